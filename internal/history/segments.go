package history

import (
	"cmp"
	"context"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/promql"
)

// segment holds the memberships in a part of a window.
type segment struct {
	window
	// scrapes maps exporters to the times of their scrapes, also of those shortly before and after the segment. The times
	// are sorted.
	scrapes map[string][]int64
	// constant maps users whose groups were the same at each scrape to these groups.
	constant map[string][]string
	// changing maps the other users to their memberships, and these to the times of their samples.
	changing map[string]map[membership][]int64
}

// membership is a user's membership in a group, as one exporter published it.
type membership struct{ exporter, group string }

const (
	// maxSamples is the number of samples up to which all are read.
	maxSamples = 20_000
	// maxUsers limits the users whose samples one query reads.
	maxUsers = 100
	// longestInterval is the longest usual time between two scrapes.
	longestInterval = time.Hour
	// maxGaps limits the gaps between the samples of a membership in which one query looks for other memberships.
	maxGaps = 50
)

// counts holds the number of samples of each membership in a window.
type counts struct {
	// memberships are the numbers by user and group. Several exporters of a hub count together.
	memberships []*model.Sample
	// most is the largest of these numbers, and all is their sum.
	most, all model.SampleValue
	// scrapes maps exporters to the times of the samples that count for most, and of those shortly before and after.
	scrapes map[string][]int64
	// interval is the usual time between two of these samples from one exporter, or 0 if there is only one.
	interval time.Duration
}

// count counts the samples of memberships in a window. An answer with all of their labels would be several times as large.
func (h *hub) count(ctx context.Context, w window) (*counts, error) {
	memberships, err := samples(h.at(ctx, "sum by (username, usergroup) (count_over_time("+h.queries.Memberships()+w.brackets()+"))", w))
	if err != nil || len(memberships) == 0 {
		return &counts{}, err
	}
	fullest := slices.MaxFunc(memberships, func(a, b *model.Sample) int {
		return cmp.Or(cmp.Compare(a.Value, b.Value), cmp.Compare(b.Metric.String(), a.Metric.String()))
	})
	user, group := userOf(fullest.Metric), string(fullest.Metric[metrics.LabelUsergroup])
	series, err := h.raw(ctx, h.queries.Memberships(promql.Is(metrics.LabelUsername, user), promql.Is(metrics.LabelUsergroup, group)), w.widened(longestInterval))
	if err != nil {
		return nil, err
	}
	c := &counts{memberships: memberships, most: fullest.Value, scrapes: map[string][]int64{}}
	for _, one := range memberships {
		c.all += one.Value
	}
	for _, one := range series { // the samples of one exporter may be in several series, if username_safe changed
		exporter := exporterOf(one.Metric)
		c.scrapes[exporter] = sorted(append(c.scrapes[exporter], timesOf([]*model.SampleStream{one})...))
	}
	longest := 0
	for _, exporter := range slices.Sorted(maps.Keys(c.scrapes)) {
		if times := w.times(c.scrapes[exporter]); len(times) > longest {
			longest, c.interval = len(times), newSampling(times).interval
		}
	}
	return c, nil
}

// membershipLabels are the labels in which the memberships that one exporter publishes differ.
var membershipLabels = []string{metrics.LabelUsername, metrics.LabelUsergroup, metrics.LabelEscaped, metrics.LabelSafe}

// exporterOf returns the other labels of a membership as text.
func exporterOf(labels model.Metric) string {
	exporter := withoutName(labels)
	for _, label := range membershipLabels {
		delete(exporter, model.LabelName(label))
	}
	return exporter.String()
}

// segments reads the memberships in a window, given their counts. With thousands of users, reading each sample would take
// too long. If one membership has a sample at each scrape, all memberships with as many samples are constant, and only the
// samples of other users are read. Otherwise, the groups of all users changed, and segments splits the window there.
func (h *hub) segments(ctx context.Context, c *counts, w window, interval time.Duration) ([]*segment, error) {
	if len(c.memberships) == 0 {
		return nil, nil
	}
	s := &segment{window: w, scrapes: c.scrapes, constant: map[string][]string{}, changing: map[string]map[membership][]int64{}}
	if few := int(c.all) <= h.maxSamples; !few || len(c.memberships) > maxUsers {
		gaps, complete, err := h.gaps(ctx, c, w, interval)
		if err != nil {
			return nil, err
		}
		if middle, ok := splitPoint(gaps, w); ok && !complete && !few {
			return h.split(ctx, middle, w, interval)
		}
		if complete {
			s.constant = h.groupsOf(c.memberships)
		}
	}
	changed := map[string]bool{}
	for _, one := range c.memberships {
		if user := userOf(one.Metric); one.Value < c.most || s.constant[user] == nil {
			changed[user] = true
		}
	}
	maps.DeleteFunc(s.constant, func(user string, _ []string) bool { return changed[user] })
	return []*segment{s}, h.readSamples(ctx, s, slices.Sorted(maps.Keys(changed)), interval)
}

// gaps returns the times without samples of the membership that has the most, exporter by exporter. It also reports whether
// the exporters have no other memberships in these times, so that the membership has a sample at each scrape.
func (h *hub) gaps(ctx context.Context, c *counts, w window, interval time.Duration) (all []window, complete bool, err error) {
	exporters, err := h.exporters(ctx, []window{w}, w)
	if err != nil {
		return nil, false, err
	}
	complete = true
	for _, exporter := range exporters {
		times := w.times(c.scrapes[exporter])
		gaps := gapsBetween(times, interval, w)
		all = append(all, gaps...)
		complete = complete && len(times) > 0 && len(gaps) <= maxGaps
		if complete && len(gaps) > 0 {
			active, err := h.exporters(ctx, gaps, w)
			if err != nil {
				return nil, false, err
			}
			complete = !slices.Contains(active, exporter)
		}
	}
	return all, complete, nil
}

// exporters returns the exporters that have memberships in any of some parts of a window, sorted.
func (h *hub) exporters(ctx context.Context, parts []window, w window) ([]string, error) {
	present := make([]string, len(parts))
	for i, part := range parts {
		offset := ""
		if part.to < w.to {
			offset = " offset " + promql.Duration(time.Duration(w.to-part.to)*time.Millisecond)
		}
		present[i] = "present_over_time(" + h.queries.Memberships() + part.brackets() + offset + ")"
	}
	found, err := samples(h.at(ctx, "group without ("+strings.Join(membershipLabels, ", ")+") ("+strings.Join(present, " or ")+")", w))
	exporters := make([]string, len(found))
	for i, one := range found {
		exporters[i] = exporterOf(one.Metric)
	}
	slices.Sort(exporters)
	return exporters, err
}

// gapsBetween returns the parts of a window in which an exporter may have been scraped at other times than the given ones,
// because they are longer than the shortest interval. They begin 2 ms after a sample, because Prometheus 2 also looks at the
// millisecond before a range.
func gapsBetween(times []int64, interval time.Duration, w window) []window {
	shortest := interval.Milliseconds()
	for i := 1; i < len(times); i++ {
		shortest = min(shortest, times[i]-times[i-1])
	}
	var gaps []window
	from := w.from
	for i, next := range append(slices.Clone(times), w.to) {
		usual := shortest * 3 / 2
		if i == 0 || i == len(times) { // there may be a scrape right at the start or the end
			usual = shortest * 9 / 10
		}
		if next-from > usual {
			gaps = append(gaps, window{from, next})
		}
		from = next + 2
	}
	return gaps
}

// split reads the memberships of two parts of a window.
func (h *hub) split(ctx context.Context, middle int64, w window, interval time.Duration) ([]*segment, error) {
	var all []*segment
	for _, part := range []window{{w.from, middle}, {middle, w.to}} {
		c, err := h.count(ctx, part)
		if err != nil {
			return nil, err
		}
		segments, err := h.segments(ctx, c, part, interval)
		if err != nil {
			return nil, err
		}
		all = append(all, segments...)
	}
	return all, nil
}

// splitPoint returns the time nearest to the middle of a window at which a gap begins or ends. It returns false if there is
// none.
func splitPoint(gaps []window, w window) (point int64, ok bool) {
	middle := (w.from + w.to) / 2
	distance := func(point int64) int64 { return max(point-middle, middle-point) }
	point = w.from
	for _, gap := range gaps {
		for _, edge := range []int64{gap.from, gap.to} {
			if w.from < edge && edge < w.to && distance(edge) < distance(point) {
				point = edge
			}
		}
	}
	return point, point > w.from
}

// groupsOf returns the groups of each user in memberships, without pseudo-groups.
func (h *hub) groupsOf(memberships []*model.Sample) map[string][]string {
	groups := map[string][]string{}
	for _, one := range memberships {
		groups[userOf(one.Metric)] = append(groups[userOf(one.Metric)], string(one.Metric[metrics.LabelUsergroup]))
	}
	for user, usergroups := range groups {
		groups[user] = h.withoutPseudo(usergroups)
	}
	return groups
}

func userOf(labels model.Metric) string { return string(labels[metrics.LabelUsername]) }

// readSamples reads the samples of some users' memberships in a segment, and a little before and after it.
func (h *hub) readSamples(ctx context.Context, s *segment, users []string, interval time.Duration) error {
	for some := range slices.Chunk(users, maxUsers) {
		series, err := h.raw(ctx, h.queries.Memberships(oneOf(metrics.LabelUsername, some)), s.widened(interval))
		if err != nil {
			return err
		}
		for _, one := range series {
			s.addSamples(one)
		}
	}
	for exporter, times := range s.scrapes {
		s.scrapes[exporter] = sorted(times)
	}
	return nil
}

// addSamples adds the samples of a user whose groups changed.
func (s *segment) addSamples(series *model.SampleStream) {
	user, exporter := userOf(series.Metric), exporterOf(series.Metric)
	if s.changing[user] == nil {
		s.changing[user] = map[membership][]int64{}
	}
	key, times := membership{exporter, string(series.Metric[metrics.LabelUsergroup])}, timesOf([]*model.SampleStream{series})
	s.changing[user][key] = sorted(append(s.changing[user][key], times...))
	s.scrapes[exporter] = append(s.scrapes[exporter], times...)
}

// times returns when any exporter was scraped in the segment, sorted.
func (s *segment) times() []int64 {
	return s.window.times(sorted(slices.Concat(slices.Collect(maps.Values(s.scrapes))...)))
}

// sources maps the exporters whose memberships count at a time to the times at which these need samples. At a scrape of
// another exporter, those memberships count that an exporter published both before and after it. After its last scrape, an
// exporter counts only if nothing is known about the time at which the next one is due.
func (s *segment) sources(when int64, interval time.Duration) map[string][]int64 {
	usual := interval.Milliseconds()
	last := int64(0)
	for _, times := range s.scrapes {
		last = max(last, times[len(times)-1])
	}
	sources := map[string][]int64{}
	for exporter, times := range s.scrapes {
		i, found := slices.BinarySearch(times, when)
		switch {
		case found:
			sources[exporter] = []int64{when}
		case i == 0:
		case i < len(times) && times[i]-times[i-1] < usual*3/2:
			sources[exporter] = times[i-1 : i+1]
		case i == len(times) && when-times[i-1] < usual && last-times[i-1] < usual*3/2:
			sources[exporter] = times[i-1:]
		}
	}
	return sources
}

// nameOf returns the name of the metric in a selector.
func nameOf(selector string) string {
	name, _, _ := strings.Cut(selector, "{")
	return name
}

// oneOf returns the matcher for any of some values of a label.
func oneOf(label string, values []string) string {
	quoted := make([]string, len(values))
	for i, value := range values {
		quoted[i] = regexp.QuoteMeta(value)
	}
	return label + "=~" + strconv.Quote(strings.Join(quoted, "|"))
}
