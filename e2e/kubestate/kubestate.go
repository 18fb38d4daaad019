// Package kubestate stands in for kube-state-metrics, for tests. It exports the metrics that the program's queries need,
// with the names, labels and values of kube-state-metrics 2.20.
package kubestate

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// An Allowlist says which annotations or labels become labels of metrics. Its keys are kinds of objects, such as "pods",
// and its values are the names of annotations or labels. "*" as the first name stands for all of them.
type Allowlist map[string][]string

// An Exporter exports the objects of a cluster, like kube-state-metrics with --metric-annotations-allowlist and
// --metric-labels-allowlist.
type Exporter struct {
	// Get returns the answer of the API server to a request for a path.
	Get                 func(ctx context.Context, path string) ([]byte, error)
	Annotations, Labels Allowlist
}

// ServeHTTP lists the objects again for each scrape. kube-state-metrics watches them instead, so both are up to date.
func (e *Exporter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := e.write(r.Context(), w); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
	}
}

func (e *Exporter) write(ctx context.Context, w io.Writer) error {
	pods, err := list[pod](ctx, e, "pods")
	if err != nil {
		return err
	}
	claims, err := list[claim](ctx, e, "persistentvolumeclaims")
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, exposition(append(e.ofPods(pods), e.ofClaims(claims)...)))
	return err
}

// list returns the objects of a kind in all namespaces.
func list[T any](ctx context.Context, e *Exporter, kind string) ([]T, error) {
	body, err := e.Get(ctx, "/api/v1/"+kind)
	if err != nil {
		return nil, err
	}
	var found struct{ Items []T }
	if err := json.Unmarshal(body, &found); err != nil {
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	return found.Items, nil
}
