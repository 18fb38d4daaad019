package prometheus_test

import (
	"testing"

	"github.com/groups-exporter/groups-exporter/internal/prometheus"
)

func TestServerURL(t *testing.T) {
	for address, want := range map[string]string{
		"http://p:9090": "http://p:9090", "http://p:9090/": "http://p:9090", "127.0.0.1:9090": "http://127.0.0.1:9090",
		"http://p/api/v1": "http://p", "http://p/api/v1/query": "http://p", "http://p/api/v1/label/x/values": "http://p", "http://p/graph": "http://p", "http://p/graph/": "http://p",
		"https://x.org/prometheus/api/v1/": "https://x.org/prometheus", "https://x.org/prometheus/graph": "https://x.org/prometheus",
		"http://vm/select/0/prometheus": "http://vm/select/0/prometheus", "http://p/api/v12": "http://p/api/v12", "http://p/query": "http://p/query",
	} {
		if got, err := prometheus.ServerURL(address); err != nil || got.String() != want {
			t.Errorf("%q is %v, error %v; want %s", address, got, err, want)
		}
	}
	for _, address := range []string{"", "p:9090", "http://u:p@p", "http://p/graph?g0.expr=up", "http+unix://%2Fp.sock"} {
		if got, err := prometheus.ServerURL(address); err == nil {
			t.Errorf("%q is %v", address, got)
		}
	}
}
