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
	scrapes []int64 // times of scrapes, sorted
	// constant maps users whose groups were the same at each scrape to these groups.
	constant map[string][]string
	// changing maps the other users to their groups, and each group to the times of the user's samples.
	changing map[string]map[string][]int64
}

const (
	// maxSamples is the number of samples up to which a window with a gap isn't split.
	maxSamples = 20_000
	// maxUsers limits the users whose samples one query reads.
	maxUsers = 100
)

// counts holds the number of samples of each membership in a window.
type counts struct {
	// memberships are the numbers by user and group. Several exporters of a hub count together.
	memberships []*model.Sample
	// most is the largest number, and times are the times of these samples.
	most  model.SampleValue
	times []int64
	// interval is the usual time between two of these samples from one exporter.
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
	byExporter, err := h.raw(ctx, h.queries.Memberships(promql.Is(metrics.LabelUsername, user), promql.Is(metrics.LabelUsergroup, group)), w)
	if err != nil {
		return nil, err
	}
	c := &counts{memberships: memberships, most: fullest.Value, times: timesOf(byExporter)}
	longest := 0
	for _, one := range byExporter {
		if len(one.Values) > longest {
			longest, c.interval = len(one.Values), newSampling(timesOf([]*model.SampleStream{one})).interval
		}
	}
	return c, nil
}

// segments reads the memberships in a window, given their counts. With thousands of users, reading each sample would take
// too long. If the membership with the most samples has some throughout the window, all memberships with as many samples are
// constant, and only the samples of other users are read. Otherwise, the exporter was down, or the groups of all users
// changed. Unless there are few samples, segments splits the window there.
func (h *hub) segments(ctx context.Context, c *counts, w window, interval time.Duration) ([]*segment, error) {
	if len(c.times) == 0 || interval == 0 {
		return nil, nil
	}
	absent := time.Duration(0)
	for _, gap := range absentBetween(c.times, interval, interval, w) {
		absent += max(0, gap.length())
	}
	read := h.segmentOfSamples
	switch expected := int(w.length() / interval); {
	case absent.Seconds() <= (1-nearlyAll)*w.length().Seconds():
		read = h.segmentOfCounts
	case len(c.memberships)*expected > maxSamples && w.length() > time.Hour:
		return h.split(ctx, c, w, interval)
	}
	s, err := read(ctx, c, w, interval)
	return []*segment{s}, err
}

// split reads the memberships of two parts of a window.
func (h *hub) split(ctx context.Context, c *counts, w window, interval time.Duration) ([]*segment, error) {
	middle := splitPoint(c.times, w, interval)
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

// splitPoint returns the time nearest to the middle of a window at which a gap between samples begins or ends, half an
// interval away from the sample.
func splitPoint(times []int64, w window, interval time.Duration) int64 {
	middle, half := (w.from+w.to)/2, interval.Milliseconds()/2
	var points []int64
	for i, now := range times {
		switch {
		case i == 0 && now-w.from > 3*half:
			points = append(points, now-half)
		case i > 0 && now-times[i-1] > 3*half:
			points = append(points, times[i-1]+half, now-half)
		}
	}
	if last := times[len(times)-1]; w.to-last > 3*half {
		points = append(points, last+half)
	}
	if len(points) == 0 {
		return middle
	}
	distance := func(point int64) int64 { return max(point-middle, middle-point) }
	return slices.MinFunc(points, func(a, b int64) int { return cmp.Compare(distance(a), distance(b)) })
}

// segmentOfCounts returns the segment for a window throughout which a membership has samples. It reads the samples of users
// who have memberships with fewer samples.
func (h *hub) segmentOfCounts(ctx context.Context, c *counts, w window, interval time.Duration) (*segment, error) {
	s := &segment{scrapes: c.times, constant: h.groupsOf(c.memberships), changing: map[string]map[string][]int64{}}
	changed := map[string]bool{}
	for _, one := range c.memberships {
		if one.Value < c.most {
			changed[userOf(one.Metric)] = true
		}
	}
	maps.DeleteFunc(s.constant, func(user string, _ []string) bool { return changed[user] })
	return s, h.readSamples(ctx, s, changed, w, interval)
}

// segmentOfSamples returns the segment for a window. It reads the samples of all users.
func (h *hub) segmentOfSamples(ctx context.Context, c *counts, w window, interval time.Duration) (*segment, error) {
	s := &segment{constant: map[string][]string{}, changing: map[string]map[string][]int64{}}
	users := map[string]bool{}
	for _, one := range c.memberships {
		users[userOf(one.Metric)] = true
	}
	if err := h.readSamples(ctx, s, users, w, interval); err != nil {
		return nil, err
	}
	for user, groups := range s.changing {
		constant := true
		for _, times := range groups {
			constant = constant && len(w.times(times)) == len(s.scrapes)
		}
		if constant {
			s.constant[user] = h.withoutPseudo(slices.Collect(maps.Keys(groups)))
			delete(s.changing, user)
		}
	}
	return s, nil
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

// readSamples reads the samples of some users' memberships in a window, and a little before and after it.
func (h *hub) readSamples(ctx context.Context, s *segment, users map[string]bool, w window, interval time.Duration) error {
	for some := range slices.Chunk(slices.Sorted(maps.Keys(users)), maxUsers) {
		series, err := h.raw(ctx, h.queries.Memberships(oneOf(metrics.LabelUsername, some)), w.widened(interval))
		if err != nil {
			return err
		}
		for _, one := range series {
			s.addSamples(one, w)
		}
	}
	s.scrapes = sorted(s.scrapes)
	return nil
}

// addSamples adds the samples of a user whose groups changed.
func (s *segment) addSamples(series *model.SampleStream, w window) {
	user, group := userOf(series.Metric), string(series.Metric[metrics.LabelUsergroup])
	if s.changing[user] == nil {
		s.changing[user] = map[string][]int64{}
	}
	times := timesOf([]*model.SampleStream{series})
	s.scrapes = append(s.scrapes, w.times(times)...)
	// The samples of several exporters aren't in order.
	s.changing[user][group] = sorted(append(s.changing[user][group], times...))
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
