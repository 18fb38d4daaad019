package promql

import (
	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

// The labels in which kube-state-metrics exports the pod annotation and the pod label hub.jupyter.org/username.
// kubespawner writes the user's name into the annotation and a form of it into the label. Other software that creates
// pods for a user, like Dask Gateway, is configured by hand and may write a form into the annotation too.
const (
	UserAnnotation = "annotation_hub_jupyter_org_username"
	UserLabel      = "label_hub_jupyter_org_username"
)

// The labels of results that have no username yet.
const (
	// Owner is the user to whom a pod belongs: the user's name, or a form of it.
	Owner = "owner"
	// Directory is the name of a directory, as prometheus-dirsize-exporter exports it.
	Directory = "directory"
)

// lookback is how long a pod keeps its owner after its end. The rate of its CPU over five minutes continues for almost
// as long. The lookback is twice that, because owners are recorded and scraped at other moments than CPU, and
// Prometheus 3 leaves out a sample at the very beginning of a range: "[5m]" has the owners of the last four minutes
// only.
const lookback = "[10m]"

// PodOwners returns the selectors of the series that name the owner of a pod.
func (q Queries) PodOwners(matchers ...string) (annotations, labels string) {
	return q.pods(PodAnnotations, append(matchers, UserAnnotation+`!=""`)...),
		q.pods(PodLabels, append(matchers, UserLabel+`!=""`)...)
}

// Owners returns the owner of each pod that has one: series of value 1 with the labels namespace, pod and owner. The
// annotation decides, or the label if there is no annotation.
func (q Queries) Owners() string {
	annotations, labels := q.PodOwners()
	return q.best([]string{"pod"}, Owner,
		copyLabel("2 * "+annotations, UserAnnotation, Owner),
		copyLabel(labels, UserLabel, Owner))
}

// recentOwners is like Owners, but includes pods that ended within the lookback. If a new pod has the same name, its
// owner takes precedence.
func (q Queries) recentOwners() string {
	annotations, labels := q.PodOwners()
	return q.best([]string{"pod"}, Owner,
		copyLabel("4 * "+annotations+" or 3 * last_over_time("+annotations+lookback+")", UserAnnotation, Owner),
		copyLabel("2 * "+labels+" or last_over_time("+labels+lookback+")", UserLabel, Owner))
}

// ownersFor returns the owners that the usage of a resource is joined with. Pods that have ended count for CPU only:
// the kubelet's series have timestamps of their own, so Prometheus keeps their last value for five minutes after the
// pod's end.
func (q Queries) ownersFor(resource usage.Resource) string {
	if resource == usage.CPU {
		return q.recentOwners()
	}
	return q.Owners()
}

// recordedUsersFor is like ownersFor, but returns the users that rules have recorded.
func (q Queries) recordedUsersFor(resource usage.Resource) string {
	recorded := q.OfHubs(RecordedPodUsers)
	if resource == usage.CPU {
		return q.best([]string{"pod"}, metrics.LabelUsername, "2 * "+recorded, "last_over_time("+recorded+lookback+")")
	}
	return recorded
}

// PodUsers returns the user of each pod that has an owner: series of value 1 with the labels namespace, pod and
// username. Its argument is an expression for owners, like that of Owners. An owner that is neither the name of a user
// nor a form of one is taken for a name.
func (q Queries) PodUsers(owners string) string {
	return call("group by ("+q.Labels("pod", metrics.LabelUsername)+")",
		owners,
		"* on ("+q.Labels(Owner)+") group_left (username)",
		q.namedByForm(),
		"or on ("+q.Labels("pod")+")",
		copyLabel(owners, Owner, metrics.LabelUsername))
}

// namedByForm returns users by those forms of their names that differ from the name: series of value 1 with the labels
// namespace, owner and username. Such a form ends in a hash, or has a hyphen before each escaped byte. A name that
// looks like a form stands for itself, so that its pods don't count for another user.
func (q Queries) namedByForm() string {
	const hashed = `=~".+---[0-9a-f]{8}"`
	return q.best([]string{Owner}, metrics.LabelUsername,
		"4 * "+q.usersBy(metrics.UserGroupInfo, metrics.LabelUsername, Owner, `=~"[a-z0-9-]*-[0-9a-f][a-z0-9-]*"`),
		"3 * "+q.usersBy(metrics.UserInfo, metrics.LabelLabel, Owner, hashed),
		"2 * "+q.usersBy(metrics.UserGroupInfo, metrics.LabelSafe, Owner, hashed),
		q.usersBy(metrics.UserGroupInfo, metrics.LabelEscaped, Owner, `=~".*-.*"`))
}

// directoryUsers returns users by the names that their directories may have: series of value 1 with the labels
// namespace, directory and username. If a directory's name is the safe form of one user's name and the escaped form of
// another's, the former owns it.
func (q Queries) directoryUsers() string {
	return q.best([]string{Directory}, metrics.LabelUsername,
		"2 * "+q.usersBy(metrics.UserGroupInfo, metrics.LabelSafe, Directory, ""),
		q.usersBy(metrics.UserGroupInfo, metrics.LabelEscaped, Directory, ""))
}

// usersBy returns the users of a membership metric, with a form of their names copied to a label: series of value 1
// with the labels namespace, username, form and label.
func (q Queries) usersBy(family, form, label, matcher string) string {
	if matcher != "" {
		matcher = form + matcher
	}
	labels := []string{metrics.LabelUsername}
	if form != metrics.LabelUsername {
		labels = append(labels, form)
	}
	return copyLabel(call("group by ("+q.Labels(labels...)+")", q.OfHubs(metrics.Name(q.Prefix, family), matcher)), form, label)
}
