// Package metrics turns snapshots of memberships into metric families. Every
// metric and label name that the program publishes is written here, once. What
// is about a hub is built from its snapshot each time, so nothing lingers when a
// user is gone; what the exporter says about itself is in Self.
package metrics

import (
	"iter"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/slug"
)

// Options say which families are published.
type Options struct {
	// Prefix is as Name takes it.
	Prefix string
	// UserInfo, Share and Activity add families. Activity gives only what the
	// snapshot knows.
	UserInfo, Share, Activity bool
	// OmitUsernames leaves out every family with user names.
	OmitUsernames bool
	// MaxLabelLength leaves out every series with a longer label value, in bytes; 0 leaves
	// out none. It is at least MinLabelLength.
	MaxLabelLength int
}

// MinLabelLength is the least MaxLabelLength. Kubernetes' names and kubespawner's forms, but
// for username_escaped, are not longer. So a user has either all series or none.
const MinLabelLength = 64

// TooLong returns the names of which Families leaves out the series, as some label value is
// too long: users, by the form in username_escaped, and groups.
func TooLong(o Options, s *membership.Snapshot) (users, groups []string) {
	if o.MaxLabelLength == 0 {
		return nil, nil
	}
	for _, g := range s.Groups() {
		if len(g.Name) > o.MaxLabelLength {
			groups = append(groups, g.Name)
		}
	}
	if o.OmitUsernames {
		return nil, groups
	}
	for name := range s.Users() {
		// A byte is escaped by three at most: of nearly all names the form isn't needed.
		if 3*len(name) > o.MaxLabelLength && len(slug.Escape(name)) > o.MaxLabelLength {
			users = append(users, name)
		}
	}
	return users, groups
}

// partSize is how many metrics come in one part of a family: enough that its
// header costs nothing, few enough that parts stay small.
const partSize = 512

// Families yields the families about a snapshot's hub, sorted by name. A family comes in parts, one after another with
// the same name. A part is valid until the next one is requested.
func Families(o Options, s *membership.Snapshot) iter.Seq[*dto.MetricFamily] {
	families := []struct {
		on         bool
		name, help string
		labels     []string
		fill       func(s *membership.Snapshot, p *part) bool
	}{
		{o.Activity, GroupActiveUsers, "Users of a group who were seen in the period before the last refresh.",
			[]string{LabelNamespace, LabelUsergroup, LabelPeriod}, activeUsers},
		{true, GroupMembers, "Users in a group.",
			[]string{LabelNamespace, LabelUsergroup}, groupMembers},
		{o.Activity, GroupRunningServers, "Running servers of a group's users.",
			[]string{LabelNamespace, LabelUsergroup}, runningServers},
		{!o.OmitUsernames, UserGroupInfo, "Who is in which group. The value is always 1.",
			[]string{LabelNamespace, LabelUsergroup, LabelUsername, LabelEscaped, LabelSafe}, groupInfo},
		{o.Share && !o.OmitUsernames, UserGroupShare, "The part of a user that belongs to a group: a user's shares add up to 1.",
			[]string{LabelNamespace, LabelUsergroup, LabelUsername, LabelEscaped, LabelSafe}, groupShare},
		{o.UserInfo && !o.OmitUsernames, UserInfo, "The user's name and its forms in Kubernetes. The value is always 1.",
			[]string{LabelNamespace, LabelUsername, LabelEscaped, LabelSafe, LabelLabel}, userInfo},
	}
	return func(yield func(*dto.MetricFamily) bool) {
		for _, f := range families {
			if !f.on {
				continue
			}
			p := newPart(o, f.name, f.help, f.labels, yield)
			if !f.fill(s, p) || !p.flush() {
				return
			}
		}
	}
}

func groupInfo(s *membership.Snapshot, p *part) bool {
	for row, user := range namedRows(s) {
		if !p.add(1, s.Namespace(), row.Group, row.User, user.escaped, user.safe) {
			return false
		}
	}
	return true
}

func groupShare(s *membership.Snapshot, p *part) bool {
	for row, user := range namedRows(s) {
		// The pseudo-group beside the real ones carries none, and has no series.
		if row.Share > 0 && !p.add(row.Share, s.Namespace(), row.Group, row.User, user.escaped, user.safe) {
			return false
		}
	}
	return true
}

func userInfo(s *membership.Snapshot, p *part) bool {
	for name := range s.Users() {
		if !p.add(1, s.Namespace(), name, slug.Escape(name), slug.Safe(name), slug.Label(name)) {
			return false
		}
	}
	return true
}

func groupMembers(s *membership.Snapshot, p *part) bool {
	for _, g := range s.Groups() {
		if !p.add(float64(g.Members), s.Namespace(), g.Name) {
			return false
		}
	}
	return true
}

func runningServers(s *membership.Snapshot, p *part) bool {
	if !s.HasServers() {
		return true
	}
	for _, g := range s.Groups() {
		if !p.add(float64(g.RunningServers), s.Namespace(), g.Name) {
			return false
		}
	}
	return true
}

func activeUsers(s *membership.Snapshot, p *part) bool {
	if !s.HasActivity() {
		return true
	}
	const day = 24 * time.Hour
	periods := []struct {
		name   string
		length time.Duration
	}{{"24h", day}, {"7d", 7 * day}, {"30d", 30 * day}}
	counts := make([]map[string]int, len(periods))
	for i, period := range periods {
		counts[i] = s.Active(period.length)
	}
	for _, g := range s.Groups() {
		for i, period := range periods {
			if !p.add(float64(counts[i][g.Name]), s.Namespace(), g.Name, period.name) {
				return false
			}
		}
	}
	return true
}

// namedRows yields the snapshot's rows with the forms of the user's name.
func namedRows(s *membership.Snapshot) iter.Seq2[membership.Row, escapedName] {
	return func(yield func(membership.Row, escapedName) bool) {
		var forms nameForms
		for row := range s.Rows() {
			if !yield(row, forms.of(row.User)) {
				return
			}
		}
	}
}

// nameForms makes the forms of a name, once for all rows of a user that follow
// one another.
type nameForms struct {
	name  string
	known bool
	forms escapedName
}

type escapedName struct{ escaped, safe string }

func (f *nameForms) of(name string) escapedName {
	if !f.known || name != f.name {
		*f = nameForms{name, true, escapedName{slug.Escape(name), slug.Safe(name)}}
	}
	return f.forms
}

// part is a family that is filled, yielded and filled again, in memory that is
// allocated once: a family of 270,000 metrics would else be 300 MB of objects.
type part struct {
	family  dto.MetricFamily
	metrics []*dto.Metric
	values  []float64
	labels  []string // the values of one metric's labels after the other
	width   int
	longest int // of a label value, in bytes; 0 for any
	yield   func(*dto.MetricFamily) bool
}

func newPart(o Options, family, help string, labels []string, yield func(*dto.MetricFamily) bool) *part {
	name := Name(o.Prefix, family)
	p := &part{
		family:  dto.MetricFamily{Name: &name, Help: &help, Type: dto.MetricType_GAUGE.Enum()},
		metrics: make([]*dto.Metric, partSize),
		values:  make([]float64, partSize),
		labels:  make([]string, partSize*len(labels)),
		width:   len(labels),
		longest: o.MaxLabelLength,
		yield:   yield,
	}
	metrics := make([]dto.Metric, partSize)
	gauges := make([]dto.Gauge, partSize)
	pairs := make([]dto.LabelPair, len(p.labels))
	pointers := make([]*dto.LabelPair, len(p.labels))
	for i := range pairs {
		pairs[i].Name, pairs[i].Value = &labels[i%len(labels)], &p.labels[i]
		pointers[i] = &pairs[i]
	}
	for i := range metrics {
		gauges[i].Value = &p.values[i]
		metrics[i].Gauge = &gauges[i]
		metrics[i].Label = pointers[i*p.width : (i+1)*p.width]
		p.metrics[i] = &metrics[i]
	}
	return p
}

// add adds a metric by its value and its labels' values, unless one of these is too long.
// It returns false where no more are wanted.
func (p *part) add(value float64, labels ...string) bool {
	if p.longest > 0 {
		for _, label := range labels {
			if len(label) > p.longest {
				return true
			}
		}
	}
	n := len(p.family.Metric)
	p.values[n] = value
	copy(p.labels[n*p.width:(n+1)*p.width], labels)
	p.family.Metric = p.metrics[:n+1]
	return n+1 < partSize || p.flush()
}

// flush yields what is there, if anything is.
func (p *part) flush() bool {
	if len(p.family.Metric) == 0 {
		return true
	}
	more := p.yield(&p.family)
	p.family.Metric = p.family.Metric[:0]
	return more
}
