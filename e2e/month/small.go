package month

import "time"

// Small are the three days of the month of NewSmall.
var Small = Span{at("10-05 00:00:00"), at("10-08 00:00:00")}

// NewSmall returns a hub whose namespace has no pods but those of users, so that often no pod exists. Its kubelet is scraped ten
// times less often than kube-state-metrics.
func NewSmall() *Month {
	all := Span{Small.From.Add(-3 * time.Hour), Small.To.Add(3 * time.Hour)}
	h := &Hub{Namespace: "small", MultiGroup: "each"}
	h.Exporters = []Target{
		target("groups-exporter", "10.4.0.7:9100", 5*time.Minute, 41300*time.Millisecond),
		target("groups-exporter", "10.4.0.8:9100", 5*time.Minute, 123*time.Second),
	}
	h.StateMetrics = []Target{target("kube-state-metrics", "10.4.0.9:8080", 30*time.Second, 17700*time.Millisecond)}
	h.Kubelets = []Target{target("kubelet", "node-4:10250", 5*time.Minute, 95200*time.Millisecond)}
	h.Disks = []Target{target("dirsize", "10.4.0.10:8000", 5*time.Minute, 52900*time.Millisecond)}

	h.user("kurz", "a server for half an hour every two hours", "bio", "chem")
	for i := range 36 {
		from := Small.From.Add(time.Duration(i)*2*time.Hour + 11*time.Minute)
		h.server("kurz", Span{from, from.Add(30 * time.Minute)}, Constant(gib), Constant(0.5))
	}
	h.user("pia", "a pod that is pending for hours, and whose object stays", "bio")
	pia := h.server("pia", span("10-06 10:03:20", 4*time.Hour), Constant(gib), Constant(0.5))
	pia.Exists = Span{pia.Runs.From.Add(-2 * time.Hour), pia.Runs.To.Add(5 * time.Hour)}
	h.user("frei", "a pod without requests", "chem")
	h.server("frei", span("10-07 20:47:00", 70*time.Minute), Constant(gib), Constant(0.5)).Containers[0].Requests = nil
	h.user("resi", "a counter that is reset", "chem")
	resi := h.server("resi", span("10-07 05:02:00", 10*time.Hour), Constant(gib), Constant(1))
	resi.Series = SameID
	resi.Containers[0].Restarts = []time.Time{at("10-07 09:12:00")}
	h.directory("kurz", "kurz", all, Constant(10*gib))
	return &Month{Span: all, Hubs: []*Hub{h}}
}
