// Package metrics turns snapshots of memberships into metric families, and defines the names of all metrics and labels
// of the exporter. The families about a hub are built from a snapshot each time, so no series remain of deleted users.
// Self holds the metrics about the exporter itself.
package metrics

import (
	"iter"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/slug"
)

// Options select the published families.
type Options struct {
	// Prefix is the prefix of family names, DefaultPrefix if empty.
	Prefix string
	// UserInfo, Share and Activity add families. Activity adds only what the snapshot contains.
	UserInfo, Share, Activity bool
	// OmitUsernames omits every family with user names.
	OmitUsernames bool
	// MaxLabelLength is the maximum length of a label value in bytes. Series with longer values are omitted. It is 0 for
	// no limit, or at least MinLabelLength.
	MaxLabelLength int
}

// MinLabelLength is the minimum of MaxLabelLength. The names of Kubernetes and all forms of a user's name except
// username_escaped fit, so a user has either all series or none.
const MinLabelLength = 64

// TooLong returns the users and groups whose series Families omits because a label value is too long. For users, the
// longest value is username_escaped.
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
		// An escaped byte takes at most three bytes, so most names needn't be escaped to compare their length.
		if 3*len(name) > o.MaxLabelLength && len(slug.Escape(name)) > o.MaxLabelLength {
			users = append(users, name)
		}
	}
	return users, groups
}

// partSize is the number of metrics in one part of a family. It is large enough to make the cost of the header
// negligible, and small enough to save memory.
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
		{o.Activity, GroupActiveUsers, "Members of the group who were active in the period before the last refresh.",
			[]string{LabelNamespace, LabelUsergroup, LabelPeriod}, activeUsers},
		{true, GroupMembers, "Number of users in the group.",
			[]string{LabelNamespace, LabelUsergroup}, groupMembers},
		{o.Activity, GroupRunningServers, "Number of running servers of the group's members.",
			[]string{LabelNamespace, LabelUsergroup}, runningServers},
		{!o.OmitUsernames, UserGroupInfo, "Group memberships of users. The value is always 1.",
			[]string{LabelNamespace, LabelUsergroup, LabelUsername, LabelEscaped, LabelSafe}, groupInfo},
		{o.Share && !o.OmitUsernames, UserGroupShare, "Share of the user that counts for the group. The shares of a user add up to 1.",
			[]string{LabelNamespace, LabelUsergroup, LabelUsername, LabelEscaped, LabelSafe}, groupShare},
		{o.UserInfo && !o.OmitUsernames, UserInfo, "Names of the user on the hub and in Kubernetes. The value is always 1.",
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
		// Without a share there is no series: a user's real groups have all shares, and the pseudo-group has none.
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

// nameForms computes the forms of a name once for all consecutive rows of a user.
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

// part is a part of a family. It is filled and yielded again and again, so its memory is allocated only once. All
// objects of a family of 270,000 metrics would take 300 MB.
type part struct {
	family  dto.MetricFamily
	metrics []*dto.Metric
	values  []float64
	labels  []string // label values, metric by metric
	width   int      // number of labels of a metric
	longest int      // maximum length of a label value in bytes, 0 for no limit
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

// add adds a metric, unless one of its label values is too long. It returns false if the consumer has stopped.
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

// flush yields the metrics that were added, if any. It returns false if the consumer has stopped.
func (p *part) flush() bool {
	if len(p.family.Metric) == 0 {
		return true
	}
	more := p.yield(&p.family)
	p.family.Metric = p.family.Metric[:0]
	return more
}
