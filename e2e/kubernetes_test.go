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
	kind       kind
	label      string // a form of the user's name
}

// kind is how a pod shows in Prometheus.
type kind int

const (
	plain   kind = iota // as the kubelet and kube-state-metrics have it
	bare                // Prometheus drops the labels name, id and image
	whole               // the kubelet doesn't tell the pod's containers apart
	doubled             // two jobs scrape the kubelet, and there are two kube-state-metrics
	ended               // Succeeded, and not deleted
)

// elsewhere reports whether queries that other programs come with see the pod: they look
// for its name and its annotation.
func (p pod) elsewhere() bool { return strings.HasPrefix(p.name, "jupyter-") && p.annotation != "" }

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
					{name: "jupyter-ada-uni-example---5b41514d", annotation: "ada@uni.example", containers: []float64{1, 2}},
					{name: "jupyter-ada-uni-example---5b41514d--gpu", annotation: "ada@uni.example", containers: []float64{4}},
					{name: "dask-worker-0", annotation: "ada@uni.example", containers: []float64{256}},
					{name: "dask-scheduler-0", annotation: "ada-40uni-2eexample", containers: []float64{1 << 12}},
					{name: "lab-ada-done", annotation: "ada@uni.example", containers: []float64{1 << 20}, kind: ended},
				},
				sizes{"ada-uni-example---5b41514d": 1},
			},
			{ // with names of before kubespawner 7
				"Bob.Smith", []string{"bio", "chem", "phys"},
				[]pod{
					{name: "jupyter--42ob-2e-53mith", annotation: "Bob.Smith", containers: []float64{8}},
					{name: "jupyterhub-nb-bob", annotation: "Bob.Smith", containers: []float64{1 << 13, 1 << 14}, kind: bare},
					{name: "lab-bob", annotation: "Bob.Smith", containers: []float64{1 << 15}, kind: whole},
				},
				sizes{"-42ob-2e-53mith": 2},
			},
			{ // whose name is the same in both forms
				"carol", nil,
				[]pod{
					{name: "jupyter-carol", annotation: "carol", containers: []float64{16}},
					{name: "lab-carol", annotation: "carol", containers: []float64{1 << 16}, kind: doubled},
				},
				sizes{"carol": 4},
			},
			{ // with a directory of each form
				"dan-b", []string{"bio"},
				[]pod{
					{name: "jupyter-dan-b", annotation: "dan-b", containers: []float64{32}},
					{name: "jupyter-dan-b--old", label: "dan-2db", containers: []float64{1 << 17}}, // of kubespawner 6, without its annotation
				},
				sizes{"dan-b": 8, "dan-2db": 16},
			},
			{ // whose escaped form is the safe form, so the directory, of the next
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
			{name: "jupyter-ghost", annotation: "ghost", containers: []float64{2048}}, // deleted from the hub, and still running
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
		strangers: []pod{{name: "jupyter-carol", annotation: "carol", containers: []float64{32}}}, // known to the other hub alone
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

// of is how much of the resource somebody uses, in pods that count.
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

// counting says how somebody in several groups counts.
type counting int

const (
	inEach     counting = iota // in each group in full
	byShare                    // in each group with a part
	inMultiple                 // in the group "multiple" alone
)

// byUser is what the people use of a resource, by namespace, group and user.
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

// byGroup is the same by namespace and group.
func (r resource) byGroup(how counting) map[[2]string]float64 { return r.byGroupOf(how, all) }

func (r resource) byGroupOf(how counting, counts func(pod) bool) map[[2]string]float64 {
	sums := map[[2]string]float64{}
	for key, used := range r.byUser(how, counts) {
		sums[[2]string{key[0], key[1]}] += used
	}
	return sums
}

// total is what the people use in a namespace, whatever their groups.
func (r resource) total() map[string]float64 {
	sums := map[string]float64{}
	for _, n := range namespaces {
		for _, p := range n.people {
			sums[n.name] += r.of(p, all)
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

// exposeContainers writes what the kubelet's cAdvisor has of a pod.
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
	if p.kind == plain && !strings.HasPrefix(p.name, "jupyter-") { // else the queries of others count it
		usage(fmt.Sprintf(`%s,name="%s-pause",id="/kubepods/%[2]s/pause",image="pause"`, labels, p.name), sum)
	}
}

// exposeState writes what kube-state-metrics has of a pod.
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
	// A pod that was replaced by another of the same name stays known for a while.
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
