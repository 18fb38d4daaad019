// Package month creates the samples of a month with known usage. They are what Prometheus would have scraped from
// groups-exporter, kubelets, kube-state-metrics and prometheus-dirsize-exporter.
//
// A Month describes which groups users are in, when pods run, and how much the pods use, as curves over time. Both the
// samples (Write) and the sums that a report must have (Used) are computed from this description. The sums are
// integrals of the curves, so they don't depend on the samples.
package month

import (
	"strings"
	"time"
)

// Month is what happens in a month, in one Prometheus.
type Month struct {
	// Span is the time with samples. It extends beyond the month.
	Span Span
	// Down lists the times when Prometheus scrapes nothing. Pods keep running then, but use no CPU, because nobody
	// could say when in such a gap a counter has grown.
	Down []Span
	Hubs []*Hub
}

// Hub is a hub with its exporter, users, pods and directories.
type Hub struct {
	Namespace string
	// MultiGroup is how the exporter publishes users in several groups: each, both or multiple.
	MultiGroup string
	// Exporters are the replicas of groups-exporter, and StateMetrics those of kube-state-metrics. Kubelets are the
	// jobs that scrape the same kubelet, and Disks those that scrape prometheus-dirsize-exporter.
	Exporters, StateMetrics, Kubelets, Disks []Target
	Users                                    []User
	Pods                                     []Pod
	Directories                              []Directory
}

// Target is a target that Prometheus scrapes.
type Target struct {
	// Labels are the labels of the target, such as job and instance.
	Labels Labels
	// Every is the scrape interval, and Offset the time of the first scrape within an interval.
	Every, Offset time.Duration
	// Jitter is the maximum age of a sample when it is scraped. The kubelet's samples have timestamps of their own.
	Jitter time.Duration
	// Up is the time when the target exists. The zero value means always.
	Up Span
	// Down lists the times when scrapes fail.
	Down []Span
}

// User is a user of a hub.
type User struct {
	Name string
	// Case is the name of the case that the user is an example of.
	Case string
	// Memberships are the user's memberships, sorted by time. The user exists only at these times.
	Memberships []Membership
}

// Membership is a time in which the user's groups stay the same.
type Membership struct {
	Span
	Groups []string
}

// Series is the kind of series that the kubelet has for a pod.
type Series int

// The kinds of series.
const (
	// Containers are the containers, the pause container and the pod as a whole. The pause container has a name, but no
	// label container.
	Containers Series = iota
	// WholeAndPOD is the pod as a whole, and the pause container with the label container="POD".
	WholeAndPOD
	// WholeAndPause is the pod as a whole, and the pause container without the label container.
	WholeAndPause
	// Bare are the containers without the labels id, image and name.
	Bare
	// SameID are the containers with an id that stays the same when they are restarted.
	SameID
)

// Pod is a pod.
type Pod struct {
	Name, UID string
	// Owner is the name of the user to whom the pod belongs, or empty.
	Owner string
	// Annotation and Label are the values of hub.jupyter.org/username, or empty.
	Annotation, Label string
	// Exists is the time of the Kubernetes object, and Runs that of its containers. A pod that never runs has no Runs.
	Exists, Runs Span
	Containers   []Container
	Series       Series
	// NaN lists the times when the samples of the pod are NaN.
	NaN []Span
}

// server reports whether the pod is a user's server.
func (p *Pod) server() bool { return p.Owner != "" && strings.HasPrefix(p.Name, "jupyter-") }

// Container is a container of a pod.
type Container struct {
	Name string
	// Memory is in bytes and CPU in cores. Both curves begin when the pod starts to run.
	Memory, CPU Curve
	// Requests has the names of resources as kube-state-metrics writes them, such as nvidia_com_gpu.
	Requests map[string]float64
	// Restarts lists the times at which the container is restarted.
	Restarts []time.Time
}

// Directory is a home directory.
type Directory struct {
	Name string
	// Owner is the name of the user to whom the directory belongs, or empty.
	Owner string
	// Exists is the time when the directory exists, and Size its size in bytes from then on.
	Exists Span
	Size   Curve
	// NaN lists the times when the samples are NaN.
	NaN []Span
}

// Case returns the case that a user of a hub is an example of, or "others" for a row of several users or of nobody.
func (m *Month) Case(namespace, user string) string {
	for _, hub := range m.Hubs {
		for _, u := range hub.Users {
			if hub.Namespace == namespace && u.Name == user {
				return u.Case
			}
		}
	}
	return "others"
}
