package month

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// NewLarge returns an October of one hub with many users, who run a server for some hours on most working days. It is
// for measuring speed. The same number of users always results in the same month.
func NewLarge(users, groups int) *Month {
	chance := rand.New(rand.NewPCG(uint64(users), uint64(groups)))
	m := &Month{Span: Span{October.From.Add(-3 * time.Hour), October.To.Add(3 * time.Hour)}}
	h := &Hub{
		Namespace: "large", MultiGroup: "each",
		Exporters:    []Target{target("groups-exporter", "10.1.0.7:9100", time.Minute, 41*time.Second)},
		StateMetrics: []Target{target("kube-state-metrics", "10.1.0.8:8080", time.Minute, 17*time.Second)},
		Kubelets:     []Target{target("kubelet", "node-1:10250", time.Minute, 5*time.Second)},
		Disks:        []Target{target("dirsize", "10.1.0.10:8000", 2*time.Minute, 52*time.Second)},
	}
	m.Hubs = []*Hub{h}
	for i := range users {
		name := fmt.Sprintf("user-%05d", i)
		in := []string{fmt.Sprintf("group-%02d", i%groups)}
		if i%10 == 0 {
			in = append(in, fmt.Sprintf("group-%02d", (i+1)%groups))
		}
		h.user(name, "", in...)
		h.directory(name, name, m.Span, Line(chance.Float64()*10*gib, 10*gib, m.Span.To.Sub(m.Span.From)))
		for _, day := range Days() {
			if weekday := day.From.Weekday(); weekday == time.Saturday || weekday == time.Sunday || chance.IntN(5) == 0 {
				continue
			}
			from := day.From.Add(time.Duration(8*3600+chance.IntN(6*3600)) * time.Second)
			length := time.Duration(2*60+chance.IntN(4*60)) * time.Minute
			h.server(name, Span{from, from.Add(length)}, Line(gib, (1+2*chance.Float64())*gib, length), Constant(chance.Float64())).Series = Bare
		}
	}
	return m
}
