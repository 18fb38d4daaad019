//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// A namespace of a Kubernetes, with a hub in it.
type namespace struct {
	name       string
	multiGroup string   // the hub's exporter runs with this
	people     []person // whom the hub knows
	strangers  []pod    // pods that count for none of them
	strays     sizes    // directories that are nobody's
}

type person struct {
	name   string
	groups []string
	pods   []pod
	homes  sizes
}

type pod struct {
	name       string
	annotation string    // the user's name as kubespawner writes it, if it did
	containers []float64 // their sizes
}

// Sizes of directories, by name. All sizes in a namespace are different powers of two: each sum tells what is in it.
type sizes map[string]float64

// Two hubs: the same Ada has other groups and uses other things in each.
var namespaces = []namespace{
	{
		name: "uni", multiGroup: "each",
		people: []person{
			{
				"ada@uni.example", []string{"bio", "chem"},
				[]pod{
					{"jupyter-ada-uni-example---5b41514d", "ada@uni.example", []float64{1, 2}},
					{"jupyter-ada-uni-example---5b41514d--gpu", "ada@uni.example", []float64{4}},
				},
				sizes{"ada-uni-example---5b41514d": 1},
			},
			{ // with names of before kubespawner 7
				"Bob.Smith", []string{"bio", "chem", "phys"},
				[]pod{{"jupyter--42ob-2e-53mith", "Bob.Smith", []float64{8}}},
				sizes{"-42ob-2e-53mith": 2},
			},
			{ // whose name is the same in both forms
				"carol", nil,
				[]pod{{"jupyter-carol", "carol", []float64{16}}},
				sizes{"carol": 4},
			},
			{ // with a directory of each form
				"dan-b", []string{"bio"},
				[]pod{{"jupyter-dan-b", "dan-b", []float64{32}}},
				sizes{"dan-b": 8, "dan-2db": 16},
			},
			{ // whose escaped form is the safe form, so the directory, of the next
				"has-hyphen", []string{"chem"},
				[]pod{{"jupyter-has-hyphen", "has-hyphen", []float64{64}}},
				nil,
			},
			{
				"has-2dhyphen", []string{"phys"},
				[]pod{{"jupyter-has-2dhyphen", "has-2dhyphen", []float64{128}}},
				sizes{"has-2dhyphen": 32},
			},
			{"eve", []string{"phys", "idle"}, nil, nil},
		},
		strangers: []pod{
			{"dask-worker-0", "ada@uni.example", []float64{256}},
			{"grafana-0", "", []float64{512}},
			{"jupyter-carol--old", "", []float64{1024}},
			{"jupyter-ghost", "ghost", []float64{2048}}, // deleted from the hub, and still running
		},
		strays: sizes{"ghost": 64, "lost+found": 128},
	},
	{
		name: "lab", multiGroup: "both",
		people: []person{
			{
				"ada@uni.example", []string{"robots"},
				[]pod{{"jupyter-ada-uni-example---5b41514d", "ada@uni.example", []float64{1}}},
				sizes{"ada-uni-example---5b41514d": 2},
			},
			{
				"mia", []string{"robots", "vision"},
				[]pod{{"jupyter-mia", "mia", []float64{2, 4}}},
				sizes{"mia": 1},
			},
			{
				"Noor@lab.example", []string{"bio", "robots", "vision"},
				[]pod{{"jupyter-noor-lab-example---5907bb63", "Noor@lab.example", []float64{8}}},
				sizes{"noor-lab-example---5907bb63": 4, "-4eoor-40lab-2eexample": 8},
			},
			{
				"solo", nil,
				[]pod{{"jupyter-solo", "solo", []float64{16}}},
				sizes{"solo": 16},
			},
		},
		strangers: []pod{{"jupyter-carol", "carol", []float64{32}}}, // known to the other hub alone
		strays:    sizes{"carol": 32},
	},
}

// users are the people as the hub has them.
func (n namespace) users() []user {
	var all []user
	for _, p := range n.people {
		all = append(all, user{Name: p.name, Groups: p.groups})
	}
	return all
}

// A resource, and how much of it goes with size 1: halves and thirds of that are exact in floating point.
type resource struct {
	word             string // as the value of a label
	gauge            string // the exporter's own metric
	recorded, shared string // what rules record by group, in full and by share
	unit             float64
	tolerance        float64 // relative, of Prometheus' own sums
}

var (
	memory = resource{
		"memory", "jupyterhub_user_group_memory_bytes",
		"namespace_usergroup:container_memory_working_set_bytes:sum",
		"namespace_usergroup:container_memory_working_set_bytes:share_sum", 6 << 20, 0,
	}
	cpu = resource{
		"cpu", "jupyterhub_user_group_cpu_seconds",
		"namespace_usergroup:container_cpu_usage_seconds:rate5m",
		"namespace_usergroup:container_cpu_usage_seconds:share_rate5m", 0.375, 1e-9, // a rate is extrapolated
	}
	memoryRequests = resource{
		"memory_requests", "jupyterhub_user_group_memory_requests_bytes",
		"namespace_usergroup_memory:kube_pod_container_resource_requests:sum",
		"namespace_usergroup_memory:kube_pod_container_resource_requests:share_sum", 12 << 20, 0,
	}
	cpuRequests = resource{
		"cpu_requests", "jupyterhub_user_group_cpu_requests_seconds",
		"namespace_usergroup_cpu:kube_pod_container_resource_requests:sum",
		"namespace_usergroup_cpu:kube_pod_container_resource_requests:share_sum", 0.75, 0,
	}
	homes = resource{
		"home_dir", "jupyterhub_user_group_home_dir_bytes",
		"namespace_usergroup:dirsize_total_size_bytes:sum",
		"namespace_usergroup:dirsize_total_size_bytes:share_sum", 6 << 10, 0,
	}
	resources = []resource{memory, cpu, memoryRequests, cpuRequests, homes}
)

// of is how much of the resource somebody uses.
func (r resource) of(p person) float64 {
	size := 0.0
	if r == homes {
		for _, s := range p.homes {
			size += s
		}
	} else {
		for _, pod := range p.pods {
			for _, s := range pod.containers {
				size += s
			}
		}
	}
	return size * r.unit
}

// counting says how somebody in several groups counts.
type counting int

const (
	inEach     counting = iota // in each group in full
	byShare                    // in each group with a part
	inMultiple                 // in the group "multiple" alone
)

// byUser is what the people use of a resource, by namespace, group and user.
func (r resource) byUser(how counting) map[[3]string]float64 {
	all := map[[3]string]float64{}
	for _, n := range namespaces {
		for _, p := range n.people {
			used := r.of(p)
			if used == 0 {
				continue
			}
			groups, parts := p.groups, 1.0
			switch {
			case len(groups) == 0:
				groups = []string{"none"}
			case len(groups) > 1 && how == inMultiple:
				groups = []string{"multiple"}
			case how == byShare:
				parts = float64(len(groups))
			}
			for _, group := range groups {
				all[[3]string{n.name, group, p.name}] = used / parts
			}
		}
	}
	return all
}

// byGroup is the same by namespace and group.
func (r resource) byGroup(how counting) map[[2]string]float64 {
	sums := map[[2]string]float64{}
	for key, used := range r.byUser(how) {
		sums[[2]string{key[0], key[1]}] += used
	}
	return sums
}

// total is what the people use in a namespace, whatever their groups.
func (r resource) total() map[string]float64 {
	sums := map[string]float64{}
	for _, n := range namespaces {
		for _, p := range n.people {
			sums[n.name] += r.of(p)
		}
	}
	return sums
}

// startKubernetes serves to one Prometheus what cAdvisor, kube-state-metrics and prometheus-dirsize-exporter say of
// the namespaces, and returns its address.
//
// A rate over five minutes needs five minutes of samples. So time goes faster for the counter of CPU: it begins in
// the past, each scrape is half a minute after the one before, and it may run ahead, because Prometheus takes
// samples that are up to ten minutes in the future.
func startKubernetes(t *testing.T) string {
	start := time.Now()
	var scrapes atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		at := min(-6*time.Minute+time.Duration(scrapes.Add(1))*30*time.Second, 9*time.Minute)
		for _, n := range namespaces {
			for _, p := range n.people {
				for _, pod := range p.pods {
					pod.expose(w, n.name, start.Add(at), time.Hour+at)
				}
				exposeDirectories(w, n.name, p.homes)
			}
			for _, pod := range n.strangers {
				pod.expose(w, n.name, start.Add(at), time.Hour+at)
			}
			exposeDirectories(w, n.name, n.strays)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// expose writes the metrics of a pod that has run for some time.
func (p pod) expose(w io.Writer, namespace string, at time.Time, running time.Duration) {
	containers := func(labels string, size float64) {
		fmt.Fprintf(w, "container_memory_working_set_bytes{%s} %v\n", labels, size*memory.unit)
		fmt.Fprintf(w, "container_cpu_usage_seconds_total{%s} %v %d\n", labels, size*cpu.unit*running.Seconds(), at.UnixMilli())
	}
	labels := fmt.Sprintf("namespace=%q,pod=%q", namespace, p.name)
	whole := 0.0
	for i, size := range p.containers {
		whole += size
		of := fmt.Sprintf(`%s,container="c%d"`, labels, i)
		containers(fmt.Sprintf(`%s,name="%s-%d",id="/kubepods/%[2]s/%[3]d",image="notebook"`, of, p.name, i), size)
		fmt.Fprintf(w, "kube_pod_container_resource_requests{%s,uid=\"1\",node=\"n\",resource=\"memory\",unit=\"byte\"} %v\n", of, size*memoryRequests.unit)
		fmt.Fprintf(w, "kube_pod_container_resource_requests{%s,uid=\"1\",node=\"n\",resource=\"cpu\",unit=\"core\"} %v\n", of, size*cpuRequests.unit)
		fmt.Fprintf(w, "kube_pod_container_resource_requests{%s,uid=\"1\",node=\"n\",resource=\"ephemeral_storage\",unit=\"byte\"} 4096\n", of)
	}
	containers(fmt.Sprintf(`%s,id="/kubepods/%s"`, labels, p.name), whole) // cAdvisor's sum over the pod has no name

	// A pod that was replaced by another of the same name stays known for a while.
	for _, uid := range []string{"0", "1"} {
		annotation := ""
		if p.annotation != "" {
			annotation = fmt.Sprintf(",annotation_hub_jupyter_org_username=%q", p.annotation)
		}
		fmt.Fprintf(w, "kube_pod_annotations{%s,uid=%q%s} 1\n", labels, uid, annotation)
		fmt.Fprintf(w, "kube_pod_labels{%s,uid=%q,label_app=\"jupyterhub\",label_hub_jupyter_org_username=\"slug\"} 1\n", labels, uid)
	}
}

// exposeDirectories writes the sizes of directories as two exporters tell them, of which one lags behind.
func exposeDirectories(w io.Writer, namespace string, directories sizes) {
	for name, size := range directories {
		for server, part := range map[string]float64{"a": 1, "b": 0.5} {
			fmt.Fprintf(w, "dirsize_total_size_bytes{namespace=%q,directory=%q,server=%q} %v\n", namespace, name, server, size*homes.unit*part)
		}
	}
}

// unattributed is how many users, or directories, count for no group: their usage is of nobody in the hub.
func (r resource) unattributed(n namespace) float64 {
	if r == homes {
		return float64(len(n.strays))
	}
	var unknown []string
	for _, pod := range n.strangers {
		known := slices.ContainsFunc(n.people, func(p person) bool { return p.name == pod.annotation })
		if pod.annotation != "" && !known {
			unknown = append(unknown, pod.annotation)
		}
	}
	return float64(len(unknown))
}
