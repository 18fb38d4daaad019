package prometheus

import (
	"context"
	"slices"

	"github.com/prometheus/common/model"

	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/promql"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

// UsageReader reads the usage of a hub's users.
type UsageReader struct {
	Client *Client
	// Queries writes the queries. It needn't contain the namespace.
	Queries promql.Queries
	// Namespace is the namespace of the hub's pods and directories, or empty for all.
	Namespace string
}

// Read returns the current usage of a resource, by owner of pods or by directory. Prometheus doesn't need to scrape the
// exporter for that. Its error is a *remote.Error.
func (u *UsageReader) Read(ctx context.Context, resource usage.Resource) (*usage.Answer, error) {
	queries := u.ofNamespace()
	query, name := queries.ByOwner(resource), model.LabelName(promql.Owner)
	if resource == usage.HomeDir {
		query, name = queries.Directories(), promql.Directory
	}
	vector, err := u.Client.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	values := make(map[string]float64, len(vector))
	for _, sample := range vector {
		values[string(sample.Metric[name])] += float64(sample.Value)
	}
	return usage.NewAnswer(resource, values), nil
}

// ofNamespace returns the queries for the namespace.
func (u *UsageReader) ofNamespace() promql.Queries {
	queries := u.Queries
	if u.Namespace != "" {
		queries.Hubs = append(slices.Clone(queries.Hubs), promql.Is(metrics.LabelNamespace, u.Namespace))
	}
	return queries
}
