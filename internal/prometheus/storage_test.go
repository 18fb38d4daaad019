package prometheus_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/groups-exporter/groups-exporter/internal/prometheus"
	"github.com/groups-exporter/groups-exporter/internal/remote"
)

// claim returns a result for a claim of 5 bytes.
func claim(name, user, server string) string {
	return fmt.Sprintf(`{"metric": {"persistentvolumeclaim": %q, "annotation_hub_jupyter_org_username": %q, "annotation_hub_jupyter_org_servername": %q}, "value": [1, "5"]}`, name, user, server)
}

// Of two kube-state-metrics, one doesn't export the annotation of the server.
func TestStorage(t *testing.T) {
	results := map[string]string{ // by a part of the query
		"dirsize_total_size_bytes":               `{"metric": {"directory": "bob"}, "value": [1, "7"]}, {"metric": {"directory": "cy"}, "value": [1, "NaN"]}`,
		"dirsize_hard_limit_bytes":               `{"metric": {"directory": "bob"}, "value": [1, "9"]}`,
		"kube_persistentvolumeclaim_annotations": claim("claim-bob", "bob", "") + "," + claim("claim-bob--gpu", "bob", "") + "," + claim("claim-bob--gpu", "bob", "gpu"),
	}
	clusters := `[]`
	fails := ""
	address := start(t, func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		if strings.HasSuffix(r.URL.Path, "/values") {
			fmt.Fprintf(w, `{"status": "success", "data": %s}`, clusters)
			return
		}
		query := r.Form.Get("query")
		for part, result := range results {
			if !strings.Contains(query, part) {
				continue
			}
			if !strings.Contains(query, part+`{namespace="prod"`) {
				t.Errorf("the query isn't limited to the namespace:\n%s", query)
			}
			if part == fails {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			fmt.Fprintf(w, `{"status": "success", "data": {"resultType": "vector", "result": [%s]}}`, result)
		}
	})
	reader := reader(t, address, time.Minute)
	reader.Namespace = "prod"
	got, err := reader.Storage(t.Context())
	want := &prometheus.Storage{
		Sizes: map[string]int64{"bob": 7}, Limits: map[string]int64{"bob": 9},
		Claims: []prometheus.VolumeClaim{{Name: "claim-bob", User: "bob", Size: 5}, {Name: "claim-bob--gpu", User: "bob", Server: "gpu", Size: 5}},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v, -want +got:\n%s", err, diff)
	}
	for fails = range results {
		if _, err := reader.Storage(t.Context()); !errors.As(err, new(*remote.Error)) {
			t.Errorf("if the query of %s fails, got the error %v", fails, err)
		}
	}
	clusters = `["east", "west"]`
	if _, err := reader.Storage(t.Context()); !errors.As(err, new(*prometheus.MixedClusters)) {
		t.Errorf("got the error %v, want one about clusters", err)
	}
}
