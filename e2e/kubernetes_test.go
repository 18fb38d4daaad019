//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A Kubernetes namespace with a hub.
type namespace struct {
	name       string
	multiGroup string   // value of --multi-group
	people     []person // users of the hub
	strangers  []pod    // pods that belong to none of them
	strays     sizes    // directories that belong to none of them
}

type person struct {
	name   string
	groups []string
	pods   []pod
	homes  sizes
}

type pod struct {
	name       string
	annotation string    // the user's name in the annotation of kubespawner, if any
	containers []float64 // memory of each container
	kind       kind
	label      string // a form of the user's name
}

// kind is how Prometheus sees a pod.
type kind int

const (
	plain   kind = iota // with all series of the kubelet and kube-state-metrics
	bare                // Prometheus drops the labels name, id and image
	whole               // the kubelet reports only the pod as a whole
	doubled             // two jobs scrape the kubelet, and there are two kube-state-metrics
	ended               // Succeeded, and not deleted
)

// elsewhere reports whether the queries of other programs find the pod. They select it by its name and annotation.
func (p pod) elsewhere() bool { return strings.HasPrefix(p.name, "jupyter-") && p.annotation != "" }

// Sizes of directories by name. All sizes in a namespace are different powers of two, so each sum identifies its parts.
type sizes map[string]float64

// Two hubs. Ada has different groups and different usage in each.
var namespaces = []namespace{
	{
		name: "uni", multiGroup: "each",
		people: []person{
			{
				"ada@uni.example", []string{"bio", "chem"},
				[]pod{
					{name: "jupyter-ada-uni-example---5b41514d", annotation: "ada@uni.example", containers: []float64{1, 2}},
					{name: "jupyter-ada-uni-example---5b41514d--gpu", annotation: "ada@uni.example", containers: []float64{4}},
					{name: "dask-worker-0", annotation: "ada@uni.example", containers: []float64{256}},
					{name: "dask-scheduler-0", annotation: "ada-40uni-2eexample", containers: []float64{1 << 12}},
					{name: "lab-ada-done", annotation: "ada@uni.example", containers: []float64{1 << 20}, kind: ended},
				},
				sizes{"ada-uni-example---5b41514d": 1},
			},
			{ // with names from before kubespawner 7
				"Bob.Smith", []string{"bio", "chem", "phys"},
				[]pod{
					{name: "jupyter--42ob-2e-53mith", annotation: "Bob.Smith", containers: []float64{8}},
					{name: "jupyterhub-nb-bob", annotation: "Bob.Smith", containers: []float64{1 << 13, 1 << 14}, kind: bare},
					{name: "lab-bob", annotation: "Bob.Smith", containers: []float64{1 << 15}, kind: whole},
				},
				sizes{"-42ob-2e-53mith": 2},
			},
			{ // both forms of the name are the same
				"carol", nil,
				[]pod{
					{name: "jupyter-carol", annotation: "carol", containers: []float64{16}},
					{name: "lab-carol", annotation: "carol", containers: []float64{1 << 16}, kind: doubled},
				},
				sizes{"carol": 4},
			},
			{ // has a directory for each form
				"dan-b", []string{"bio"},
				[]pod{
					{name: "jupyter-dan-b", annotation: "dan-b", containers: []float64{32}},
					{name: "jupyter-dan-b--old", label: "dan-2db", containers: []float64{1 << 17}}, // from kubespawner 6, without its annotation
				},
				sizes{"dan-b": 8, "dan-2db": 16},
			},
			{ // the escaped form is the safe form, and so the directory, of the next user
				"has-hyphen", []string{"chem"},
				[]pod{{name: "jupyter-has-hyphen", annotation: "has-hyphen", containers: []float64{64}}},
				nil,
			},
			{
				"has-2dhyphen", []string{"phys"},
				[]pod{{name: "jupyter-has-2dhyphen", annotation: "has-2dhyphen", containers: []float64{128}}},
				sizes{"has-2dhyphen": 32},
			},
			{"eve", []string{"phys", "idle"}, nil, nil},
		},
		strangers: []pod{
			{name: "grafana-0", containers: []float64{512}},
			{name: "jupyter-carol--old", containers: []float64{1024}},
			{name: "jupyter-ghost", annotation: "ghost", containers: []float64{2048}}, // the user was deleted, but the pod still runs
		},
		strays: sizes{"ghost": 64, "lost+found": 128},
	},
	{
		name: "lab", multiGroup: "both",
		people: []person{
			{
				"ada@uni.example", []string{"robots"},
				[]pod{{name: "jupyter-ada-uni-example---5b41514d", annotation: "ada@uni.example", containers: []float64{1}}},
				sizes{"ada-uni-example---5b41514d": 2},
			},
			{
				"mia", []string{"robots", "vision"},
				[]pod{{name: "jupyter-mia", annotation: "mia", containers: []float64{2, 4}}},
				sizes{"mia": 1},
			},
			{
				"Noor@lab.example", []string{"bio", "robots", "vision"},
				[]pod{
					{name: "jupyter-noor-lab-example---5907bb63", annotation: "Noor@lab.example", containers: []float64{8}},
					{name: "dask-worker-1", label: "noor-lab-example---5907bb63", containers: []float64{64}},
				},
				sizes{"noor-lab-example---5907bb63": 4, "-4eoor-40lab-2eexample": 8},
			},
			{
				"solo", nil,
				[]pod{{name: "jupyter-solo", annotation: "solo", containers: []float64{16}}},
				sizes{"solo": 16},
			},
		},
		strangers: []pod{{name: "jupyter-carol", annotation: "carol", containers: []float64{32}}}, // a user of the other hub only
		strays:    sizes{"carol": 32},
	},
}

// users returns the users of the hub.
func (n namespace) users() []user {
	var all []user
	for _, p := range n.people {
		all = append(all, user{Name: p.name, Groups: p.groups})
	}
	return all
}

// A resource and its amount per size of 1. Halves and thirds of the amount are exact in floating point.
type resource struct {
	word             string // value of the label resource
	gauge            string // the exporter's own metric
	recorded, shared string // recorded series by group, in full and by share
	unit             float64
	tolerance        float64 // relative tolerance for the results of Prometheus
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
	gpuRequests = resource{
		"gpu_requests", "jupyterhub_user_group_gpu_requests",
		"namespace_usergroup_gpu:kube_pod_container_resource_requests:sum",
		"namespace_usergroup_gpu:kube_pod_container_resource_requests:share_sum", 6, 0,
	}
	gpuSliceRequests = resource{
		"gpu_slice_requests", "jupyterhub_user_group_gpu_slice_requests",
		"namespace_usergroup_gpu_slice:kube_pod_container_resource_requests:sum",
		"namespace_usergroup_gpu_slice:kube_pod_container_resource_requests:share_sum", 12, 0,
	}
	resources = []resource{memory, cpu, memoryRequests, cpuRequests, gpuRequests, gpuSliceRequests, homes}
)

// of returns a user's usage of the resource, in pods that count.
func (r resource) of(p person, counts func(pod) bool) float64 {
	size := 0.0
	if r == homes {
		for _, s := range p.homes {
			size += s
		}
	} else {
		for _, pod := range p.pods {
			if pod.kind == ended || !counts(pod) {
				continue
			}
			for _, s := range pod.containers {
				size += s
			}
		}
	}
	return size * r.unit
}

func all(pod) bool { return true }

// counting is how a user in several groups counts.
type counting int

const (
	inEach     counting = iota // in each group in full
	byShare                    // in each group by share
	inMultiple                 // only in the group "multiple"
)

// byUser returns the usage of a resource by namespace, group and user.
func (r resource) byUser(how counting, counts func(pod) bool) map[[3]string]float64 {
	sums := map[[3]string]float64{}
	for _, n := range namespaces {
		for _, p := range n.people {
			used := r.of(p, counts)
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
				sums[[3]string{n.name, group, p.name}] = used / parts
			}
		}
	}
	return sums
}

// byGroup returns the usage of a resource by namespace and group.
func (r resource) byGroup(how counting) map[[2]string]float64 { return r.byGroupOf(how, all) }

func (r resource) byGroupOf(how counting, counts func(pod) bool) map[[2]string]float64 {
	sums := map[[2]string]float64{}
	for key, used := range r.byUser(how, counts) {
		sums[[2]string{key[0], key[1]}] += used
	}
	return sums
}

// total returns the usage of a resource by namespace.
func (r resource) total() map[string]float64 {
	sums := map[string]float64{}
	for _, n := range namespaces {
		for _, p := range n.people {
			sums[n.name] += r.of(p, all)
		}
	}
	return sums
}

// startKubernetes serves the metrics of cAdvisor, kube-state-metrics and prometheus-dirsize-exporter about the namespaces
// to one Prometheus. It returns the address.
//
// A rate over five minutes needs five minutes of samples. So time runs faster for the counter of CPU. It starts in the
// past, and each scrape advances it by half a minute. It may run ahead, because Prometheus accepts samples that are up to
// ten minutes in the future.
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
	labels := fmt.Sprintf("namespace=%q,pod=%q", namespace, p.name)
	jobs := []string{""}
	if p.kind == doubled {
		jobs = append(jobs, `,replica="b"`)
	}
	for _, job := range jobs {
		if p.kind != ended {
			p.exposeContainers(w, labels+job, at, running)
		}
		p.exposeState(w, labels+job)
	}
}

// exposeContainers writes the metrics of the kubelet's cAdvisor about a pod.
func (p pod) exposeContainers(w io.Writer, labels string, at time.Time, running time.Duration) {
	usage := func(labels string, size float64) {
		fmt.Fprintf(w, "container_memory_working_set_bytes{%s} %v\n", labels, size*memory.unit)
		fmt.Fprintf(w, "container_cpu_usage_seconds_total{%s} %v %d\n", labels, size*cpu.unit*running.Seconds(), at.UnixMilli())
	}
	sum := 0.0
	for i, size := range p.containers {
		sum += size
		switch of := fmt.Sprintf(`%s,container="c%d"`, labels, i); p.kind {
		case plain, doubled:
			usage(fmt.Sprintf(`%s,name="%s-%d",id="/kubepods/%[2]s/%[3]d",image="notebook"`, of, p.name, i), size)
		case bare:
			usage(of, size)
		}
	}
	if p.kind == bare {
		usage(labels, sum)
		return
	}
	usage(fmt.Sprintf(`%s,id="/kubepods/%s"`, labels, p.name), sum)
	if p.kind == plain && !strings.HasPrefix(p.name, "jupyter-") { // otherwise, the queries of other programs would count it
		usage(fmt.Sprintf(`%s,name="%s-pause",id="/kubepods/%[2]s/pause",image="pause"`, labels, p.name), sum)
	}
}

// exposeState writes the metrics of kube-state-metrics about a pod.
func (p pod) exposeState(w io.Writer, labels string) {
	phase := "Running"
	if p.kind == ended {
		phase = "Succeeded"
	}
	for _, of := range []string{"Pending", "Running", "Succeeded", "Failed", "Unknown"} {
		value := 0
		if of == phase {
			value = 1
		}
		fmt.Fprintf(w, "kube_pod_status_phase{%s,uid=\"1\",phase=%q} %d\n", labels, of, value)
	}
	for i, size := range p.containers {
		for _, request := range []struct {
			resource, unit string
			value          float64
		}{
			{"memory", "byte", size * memoryRequests.unit},
			{"cpu", "core", size * cpuRequests.unit},
			{"nvidia_com_gpu", "integer", size * gpuRequests.unit / 2},
			{"amd_com_gpu", "integer", size * gpuRequests.unit / 2},
			{"nvidia_com_mig_1g_5gb", "integer", size * gpuSliceRequests.unit / 2},
			{"nvidia_com_mig_3g_20gb", "integer", size * gpuSliceRequests.unit / 2},
			{"ephemeral_storage", "byte", 4096},
		} {
			fmt.Fprintf(w, "kube_pod_container_resource_requests{%s,container=\"c%d\",uid=\"1\",node=\"n\",resource=%q,unit=%q} %v\n",
				labels, i, request.resource, request.unit, request.value)
		}
	}
	// A pod that was replaced by one with the same name is still exported for some time.
	for _, uid := range []string{"0", "1"} {
		annotation, label := "", ""
		if p.annotation != "" {
			annotation = fmt.Sprintf(",annotation_hub_jupyter_org_username=%q", p.annotation)
		}
		if p.label != "" {
			label = fmt.Sprintf(",label_hub_jupyter_org_username=%q", p.label)
		}
		fmt.Fprintf(w, "kube_pod_annotations{%s,uid=%q%s} 1\n", labels, uid, annotation)
		fmt.Fprintf(w, "kube_pod_labels{%s,uid=%q,label_app=\"jupyterhub\"%s} 1\n", labels, uid, label)
	}
}

// exposeDirectories writes the sizes of directories from two exporters, one of which is behind.
func exposeDirectories(w io.Writer, namespace string, directories sizes) {
	for name, size := range directories {
		for server, part := range map[string]float64{"a": 1, "b": 0.5} {
			fmt.Fprintf(w, "dirsize_total_size_bytes{namespace=%q,directory=%q,server=%q} %v\n", namespace, name, server, size*homes.unit*part)
		}
	}
}

// unattributed returns the number of owners or directories that belong to no user of the hub.
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
