package month

import (
	"fmt"
	"time"
	_ "time/tzdata" // the tests need Berlin everywhere

	"github.com/groups-exporter/groups-exporter/internal/slug"
)

const gib = 1 << 30

// berlin is the time zone of the month. Daylight saving time ends there on October 25.
var berlin = func() *time.Location {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		panic(err)
	}
	return zone
}()

// October is the whole of October 2026 in Berlin, which has 745 hours.
var October = Span{at("10-01 00:00:00"), at("11-01 00:00:00")}

// at returns a moment of 2026, written like "10-31 14:00:00" in Berlin's time.
func at(text string) time.Time {
	moment, err := time.ParseInLocation(time.DateTime, "2026-"+text, berlin)
	if err != nil {
		panic(err)
	}
	return moment
}

// span returns the span of a length that begins at a moment.
func span(from string, length time.Duration) Span { return Span{at(from), at(from).Add(length)} }

// NewOctober returns the cases of October 2026 in three hubs: prod, lab and twin.
func NewOctober() *Month {
	m := &Month{
		Span: Span{October.From.Add(-3 * time.Hour), October.To.Add(3 * time.Hour)},
		Down: []Span{span("10-20 11:20:00", 3*time.Hour)},
	}
	m.Hubs = []*Hub{prod(m.Span), lab(m.Span), twin(m.Span)}
	return m
}

// target returns a target with a job and an instance.
func target(job, instance string, every, offset time.Duration) Target {
	return Target{Labels: Labels{"job": job, "instance": instance}, Every: every, Offset: offset}
}

// base returns a hub with its own pod, which runs all month and has no owner.
func base(namespace string, all Span) *Hub {
	return &Hub{Namespace: namespace, MultiGroup: "each", Pods: []Pod{{
		Name: "hub-5d4f", UID: namespace + "-hub", Exists: all, Runs: all, Series: Bare, // fewer samples
		Containers: []Container{{
			Name: "hub", Memory: Constant(0.25 * gib), CPU: Constant(0.02), Requests: map[string]float64{"cpu": 0.2, "memory": 0.5 * gib},
		}},
	}}}
}

// user adds a user whose groups stay the same all month.
func (h *Hub) user(name, example string, groups ...string) {
	all := Span{October.From.Add(-3 * time.Hour), October.To.Add(3 * time.Hour)}
	h.Users = append(h.Users, User{name, example, []Membership{{all, groups}}})
}

// server adds a user's server and returns it. Its Kubernetes object exists for twenty seconds before the server runs.
func (h *Hub) server(user string, runs Span, memory, cores Curve) *Pod {
	p := h.pod("jupyter-"+slug.Safe(user), user, runs, memory, cores)
	p.Containers[0].Name = "notebook"
	return p
}

// pod adds a pod that requests half a core and 2 GiB.
func (h *Hub) pod(name, owner string, runs Span, memory, cores Curve) *Pod {
	h.Pods = append(h.Pods, Pod{
		Name: name, UID: fmt.Sprintf("%s-%03d", h.Namespace, len(h.Pods)), Owner: owner, Annotation: owner,
		Exists: Span{runs.From.Add(-20 * time.Second), runs.To}, Runs: runs,
		Containers: []Container{{Name: "main", Memory: memory, CPU: cores, Requests: map[string]float64{"cpu": 0.5, "memory": 2 * gib}}},
	})
	return &h.Pods[len(h.Pods)-1]
}

func (h *Hub) directory(name, owner string, exists Span, size Curve) *Directory {
	h.Directories = append(h.Directories, Directory{Name: name, Owner: owner, Exists: exists, Size: size})
	return &h.Directories[len(h.Directories)-1]
}

// prod has most cases. Everything is scraped every minute.
func prod(all Span) *Hub {
	h := base("prod", all)
	exporter := target("groups-exporter", "10.1.0.7:9100", time.Minute, 41300*time.Millisecond)
	exporter.Down = []Span{span("10-08 14:00:00", 10*time.Minute)}
	h.Exporters = []Target{exporter}
	// kube-state-metrics is restarted, and for five minutes there are two.
	old := target("kube-state-metrics", "10.1.0.8:8080", time.Minute, 17700*time.Millisecond)
	old.Up = Span{all.From, at("10-13 10:05:00")}
	restarted := target("kube-state-metrics", "10.1.0.9:8080", time.Minute, 33100*time.Millisecond)
	restarted.Up = Span{at("10-13 10:00:00"), all.To}
	h.StateMetrics = []Target{old, restarted}
	h.Kubelets = []Target{target("kubelet", "node-1:10250", time.Minute, 5200*time.Millisecond)}
	h.Disks = []Target{target("dirsize", "10.1.0.10:8000", time.Minute, 52900*time.Millisecond)}
	h.groups()
	h.times()
	h.kinds()
	h.resources()
	h.homes(all)
	return h
}

// groups adds the cases about groups.
func (h *Hub) groups() {
	const day = 24 * time.Hour
	h.user("nora", "a user in no group")
	h.server("nora", span("10-05 08:00:13", 30*time.Hour), Constant(1.5*gib), Constant(0.25))

	h.user("otto", "a user in one group", "bio")
	h.server("otto", span("10-05 09:00:00", 20*time.Hour), Constant(gib), Constant(0.5))

	h.user("tina", "a user in three groups", "bio", "chem", "phys")
	h.server("tina", span("10-06 09:30:44", 24*time.Hour), Constant(3*gib), Constant(1))

	change := at("10-15 14:23:00")
	h.Users = append(h.Users, User{"maja", "a change of group while a server runs", []Membership{
		{Span{h.from(), change}, []string{"bio"}}, {Span{change, h.to()}, []string{"chem"}},
	}})
	h.server("maja", span("10-14 09:00:00", 2*day), Constant(2*gib), Constant(0.75))

	h.Users = append(h.Users, User{"dora", "a deleted user", []Membership{{Span{h.from(), at("10-12 10:00:00")}, []string{"bio"}}}})
	h.server("dora", span("10-11 10:00:00", 3*day), Constant(gib), Constant(0.1))

	h.user(`jo "x", y`, "odd names", `Grp, "Comma"`, `back\slash`)
	h.server(`jo "x", y`, span("10-02 10:00:00", 10*time.Hour), Constant(gib), Constant(0.2))

	h.server("ghost", span("10-03 10:00:00", 10*time.Hour), Constant(gib), Constant(0.2))

	h.user("tobi", "a gap of ten minutes in the exporter", "med")
	h.server("tobi", span("10-08 12:00:00", 5*time.Hour), Constant(gib), Constant(0.2))
}

func (h *Hub) from() time.Time { return October.From.Add(-3 * time.Hour) }
func (h *Hub) to() time.Time   { return October.To.Add(3 * time.Hour) }

// times adds the cases about times.
func (h *Hub) times() {
	h.user("mira", "a pod over midnight", "med")
	h.server("mira", span("10-07 18:00:00", 12*time.Hour), Constant(4*gib), Constant(2))

	h.user("pius", "pods that end and begin at midnight", "med")
	h.server("pius", span("10-21 19:00:00", 5*time.Hour), Constant(gib), Constant(0.5))
	h.server("pius", span("10-24 00:00:00", 5*time.Hour), Constant(gib), Constant(0.5))

	h.user("zeno", "a pod over the change to winter time", "med")
	h.server("zeno", Span{at("10-24 18:00:00"), at("10-26 06:00:00")}, Constant(2*gib), Constant(0.5))

	h.user("beate", "pods over the beginning and the end of the month", "med")
	h.server("beate", Span{h.from().Add(31 * time.Second), at("10-01 06:00:31")}, Constant(gib), Constant(0.5))
	h.server("beate", Span{at("10-31 16:00:00"), h.to()}, Constant(3*gib), Constant(0.25))

	h.user("kurt", "a pod of twenty minutes", "phys")
	h.server("kurt", span("10-09 11:11:11", 20*time.Minute), Constant(2*gib), Constant(1.5))

	h.user("dieter", "a server each working day", "phys")
	for day := at("10-01 08:30:00"); day.Before(October.To); day = day.AddDate(0, 0, 1) {
		if day.Weekday() != time.Saturday && day.Weekday() != time.Sunday {
			h.server("dieter", Span{day, day.Add(9 * time.Hour)}, Constant(gib), Constant(0.3))
		}
	}

	h.user("kasper", "kube-state-metrics restarted", "phys")
	h.server("kasper", span("10-13 06:00:00", 8*time.Hour), Constant(gib), Constant(0.4))

	h.user("gina", "a gap of three hours in Prometheus", "phys")
	h.server("gina", span("10-20 06:00:00", 12*time.Hour), Constant(2*gib), Constant(1))

	h.user("nadia", "samples that are NaN", "med")
	h.server("nadia", span("10-16 08:00:00", 38*time.Hour), Constant(2*gib), Constant(1)).NaN = []Span{
		span("10-16 12:00:00", time.Minute), span("10-16 20:30:00", 2*time.Minute),
	}

	h.user("rampe", "memory and CPU that change", "bio")
	h.server("rampe", span("10-19 08:00:00", 20*time.Hour), Line(gib, 9*gib, 15*time.Hour),
		Curve{{0, 0}, {time.Hour, 2}, {5 * time.Hour, 0.1}, {15 * time.Hour, 0.1}, {16 * time.Hour, 4}})
}

// kinds adds the cases about kinds of pods.
func (h *Hub) kinds() {
	h.user("rita", "a container that is restarted", "chem")
	rita := h.server("rita", span("10-21 08:00:00", 20*time.Hour), Constant(gib), Constant(1))
	rita.Containers[0].Restarts = []time.Time{at("10-21 10:10:00"), at("10-21 17:00:30"), at("10-22 01:00:00")}

	h.user("ruth", "a counter that is reset", "chem")
	ruth := h.server("ruth", span("10-21 08:00:00", 20*time.Hour), Constant(gib), Constant(1))
	ruth.Series = Bare
	ruth.Containers[0].Restarts = []time.Time{at("10-21 11:10:00"), at("10-21 18:00:30"), at("10-22 02:00:00")}

	h.user("resi", "a counter with an id that is reset", "chem")
	resi := h.server("resi", span("10-21 08:00:00", 20*time.Hour), Constant(gib), Constant(1))
	resi.Series = SameID
	resi.Containers[0].Restarts = []time.Time{at("10-21 12:10:00"), at("10-21 18:00:30"), at("10-22 02:00:00")}

	h.user("wolf", "a user with a server and Dask workers", "chem")
	h.server("wolf", span("10-22 09:00:00", 9*time.Hour), Constant(gib), Constant(0.5))
	for i := range 3 {
		h.pod(fmt.Sprintf("dask-worker-c0ffee-%d", i), "wolf", span("10-22 10:00:00", 6*time.Hour), Constant(4*gib), Constant(2))
	}

	h.user("wanda@uni.example", "Dask workers without a server, with an escaped name", "chem")
	h.pod("dask-worker-beef-0", "wanda@uni.example", span("10-23 10:00:00", 6*time.Hour), Constant(gib), Constant(1)).Annotation =
		slug.Escape("wanda@uni.example")

	h.user("pia", "pods that are pending", "chem")
	pia := h.server("pia", span("10-23 10:00:00", 5*time.Hour), Constant(gib), Constant(0.5))
	pia.Exists.From = pia.Runs.From.Add(-time.Hour)
	never := h.server("pia", span("10-24 10:00:00", 3*time.Hour), Constant(gib), Constant(0.5))
	never.Exists, never.Runs = never.Runs, Span{}

	h.user("emil", "a pod that has ended, and whose object stays", "chem")
	emil := h.server("emil", span("10-27 10:00:00", 4*time.Hour), Constant(gib), Constant(0.5))
	emil.Exists.To = emil.Runs.To.Add(2 * time.Hour)

	h.user("hans", "a pod as a whole, with a pause container POD", "chem")
	h.server("hans", span("10-28 10:00:00", 8*time.Hour), Constant(gib), Constant(0.5)).Series = WholeAndPOD
	h.user("hilde", "a pod as a whole, with a pause container", "chem")
	h.server("hilde", span("10-28 11:00:00", 8*time.Hour), Constant(gib), Constant(0.5)).Series = WholeAndPause

	h.user("dan@uni.example", "a pod that has only the label", "chem")
	dan := h.server("dan@uni.example", span("10-29 10:00:00", 8*time.Hour), Constant(gib), Constant(0.5))
	dan.Annotation, dan.Label = "", slug.Safe("dan@uni.example")

	h.user("nils", "two servers at a time", "bio")
	h.server("nils", span("10-29 10:00:00", 8*time.Hour), Constant(gib), Constant(0.5))
	h.server("nils", span("10-29 12:00:00", 8*time.Hour), Constant(gib), Constant(0.5)).Name = "jupyter-nils--second"

	h.user("sid", "two containers", "bio")
	sid := h.server("sid", span("10-30 10:00:00", 8*time.Hour), Constant(gib), Constant(0.5))
	sid.Containers = append(sid.Containers, Container{
		Name: "sidecar", Memory: Constant(0.5 * gib), CPU: Constant(0.125), Requests: map[string]float64{"cpu": 0.25, "memory": gib, "ephemeral_storage": gib},
	})
}

// resources adds the cases about GPUs.
func (h *Hub) resources() {
	for user, gpus := range map[string]struct {
		resource string
		number   float64
	}{"greta": {"nvidia_com_gpu", 1}, "gustav": {"nvidia_com_gpu", 2}, "anton": {"amd_com_gpu", 1}, "migo": {"nvidia_com_mig_1g_5gb", 1}} {
		h.user(user, "GPUs: "+gpus.resource, "phys")
		h.server(user, span("10-12 10:00:00", 8*time.Hour), Constant(8*gib), Constant(3)).Containers[0].Requests[gpus.resource] = gpus.number
	}
}

// homes adds the cases about home directories.
func (h *Hub) homes(all Span) {
	month := all.To.Sub(all.From)
	h.user("hoda@uni.example", "a directory with an escaped name", "bio")
	h.directory(slug.Escape("hoda@uni.example"), "hoda@uni.example", all, Constant(10*gib))
	h.user("safira@uni.example", "a directory with a safe name that grows", "bio")
	h.directory(slug.Safe("safira@uni.example"), "safira@uni.example", all, Line(0, 62*gib, month))
	h.directory("maja", "maja", all, Constant(20*gib))
	h.directory("dora", "dora", all, Constant(5*gib))
	h.directory("tina", "tina", all, Constant(6*gib))
	h.directory("lost+found", "", all, Constant(7*gib))
	h.user("newton", "a directory that is created in the middle of the month", "phys")
	h.directory("newton", "newton", Span{at("10-18 15:00:20"), all.To}, Line(gib, 30*gib, 5*24*time.Hour))
	h.directory("nadia", "nadia", all, Constant(3*gib)).NaN = []Span{span("10-10 12:00:00", 3*time.Minute)}
}

// lab is scraped every half minute. Its exporter is down for a day, and it publishes users in several groups in
// "multiple". The samples of the kubelet have timestamps of their own.
func lab(all Span) *Hub {
	h := base("lab", all)
	h.MultiGroup = "multiple"
	exporter := target("groups-exporter", "10.2.0.7:9100", time.Minute, 23*time.Second)
	exporter.Down = []Span{span("10-17 09:00:00", 24*time.Hour)}
	h.Exporters = []Target{exporter}
	h.StateMetrics = []Target{target("kube-state-metrics", "10.2.0.8:8080", 30*time.Second, 11*time.Second)}
	kubelet := target("kubelet", "node-2:10250", 30*time.Second, 20*time.Second)
	kubelet.Jitter = 15 * time.Second
	h.Kubelets = []Target{kubelet}
	h.Disks = []Target{target("dirsize", "10.2.0.10:8000", time.Minute, 37*time.Second)}

	h.user("ada", "the same name in two hubs, and a gap of a day in the exporter", "bio")
	h.server("ada", span("10-16 21:00:00", 48*time.Hour), Constant(2*gib), Constant(0.5))
	h.directory("ada", "ada", all, Constant(12*gib))
	h.user("ulf", "a pod within a gap of a day in the exporter", "bio")
	h.server("ulf", span("10-17 14:00:00", 4*time.Hour), Constant(gib), Constant(0.5))
	h.user("lars", "a user in multiple", "bio", "chem")
	h.server("lars", span("10-06 09:00:00", 20*time.Hour), Constant(gib), Constant(0.5))
	h.user("kim", "a pod of twenty minutes, with timestamps of the kubelet", "chem")
	h.server("kim", span("10-09 23:50:00", 20*time.Minute), Constant(2*gib), Constant(1.5))
	return h
}

// twin has two replicas of the exporter and two jobs for the kubelet. Users in several groups are also in "multiple".
func twin(all Span) *Hub {
	h := base("twin", all)
	h.MultiGroup = "both"
	first := target("groups-exporter", "10.3.0.7:9100", time.Minute, 3*time.Second)
	first.Labels["pod"] = "groups-exporter-a"
	first.Down = []Span{span("10-07 09:00:00", 24*time.Hour)}
	second := target("groups-exporter", "10.3.0.8:9100", time.Minute, 48*time.Second)
	second.Labels["pod"] = "groups-exporter-b"
	h.Exporters = []Target{first, second}
	h.StateMetrics = []Target{target("kube-state-metrics", "10.3.0.9:8080", time.Minute, 29*time.Second)}
	h.Kubelets = []Target{
		target("kubelet", "node-3:10250", time.Minute, 7*time.Second),
		target("cadvisor", "10.3.0.1:10250", 30*time.Second, 12*time.Second),
	}
	h.Disks = []Target{target("dirsize", "10.3.0.10:8000", time.Minute, 19*time.Second), target("dirsize", "10.3.0.11:8000", time.Minute, 44*time.Second)}

	h.user("ada", "the same name in two hubs, and two of each target", "chem")
	h.server("ada", span("10-07 03:00:00", 20*time.Hour), Constant(gib), Constant(0.5))
	h.directory("ada", "ada", all, Constant(9*gib))
	h.user("zoe", "two groups and multiple", "bio", "chem")
	h.server("zoe", span("10-06 09:00:00", 20*time.Hour), Constant(3*gib), Constant(0.5))
	h.user("kay", "a pod of twenty minutes, scraped by two jobs", "chem")
	h.server("kay", span("10-09 15:00:17", 20*time.Minute), Constant(2*gib), Constant(1.5))
	return h
}

// Days returns the days of October. The day on which daylight saving time ends has 25 hours.
func Days() []Span {
	var days []Span
	for from := October.From; from.Before(October.To); from = from.AddDate(0, 0, 1) {
		days = append(days, Span{from, from.AddDate(0, 0, 1)})
	}
	return days
}
