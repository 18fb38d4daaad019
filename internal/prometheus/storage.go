package prometheus

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/prometheus/common/model"

	"github.com/groups-exporter/groups-exporter/internal/promql"
)

// Storage holds the home directories and volume claims of a hub's users.
type Storage struct {
	// Sizes and Limits map directories to bytes.
	Sizes, Limits map[string]int64
	Claims        []VolumeClaim
}

// VolumeClaim is a claim that names a user.
type VolumeClaim struct {
	Name, User, Server string
	// Size is the requested size in bytes, 0 if none is known.
	Size int64
}

// MixedClusters is the error if the series of a hub are from several clusters.
type MixedClusters struct{ Clusters []string }

func (e *MixedClusters) Error() string {
	return fmt.Sprintf("the series of the hub are from several clusters: %q", e.Clusters)
}

// Storage returns the directories and the volume claims of the hub. Its error is a *remote.Error or a *MixedClusters.
func (u *UsageReader) Storage(ctx context.Context) (*Storage, error) {
	queries := u.ofNamespace()
	now := time.Now()
	clusters, err := u.Client.LabelValues(ctx, "cluster", queries.StorageSelectors(), now.Add(-recent), now)
	if err != nil {
		return nil, err
	}
	if len(clusters) > 1 {
		return nil, &MixedClusters{clusters}
	}
	s := &Storage{}
	if s.Sizes, err = u.bytes(ctx, queries.Directories()); err != nil {
		return nil, err
	}
	if s.Limits, err = u.bytes(ctx, queries.DirectoryLimits()); err != nil {
		return nil, err
	}
	claims, err := u.Client.Query(ctx, queries.Claims())
	if err != nil {
		return nil, err
	}
	s.Claims = volumeClaims(claims)
	return s, nil
}

// volumeClaims returns the claims of a vector. If a claim also has a series without a server, because one of two
// kube-state-metrics doesn't export that annotation, it counts once.
func volumeClaims(vector model.Vector) []VolumeClaim {
	type key struct{ name, user string }
	withServer := map[key]bool{}
	for _, sample := range vector {
		if sample.Metric[promql.ServerAnnotation] != "" {
			withServer[key{string(sample.Metric[promql.VolumeClaim]), string(sample.Metric[promql.UserAnnotation])}] = true
		}
	}
	var claims []VolumeClaim
	for _, sample := range vector {
		c := VolumeClaim{
			Name: string(sample.Metric[promql.VolumeClaim]), User: string(sample.Metric[promql.UserAnnotation]),
			Server: string(sample.Metric[promql.ServerAnnotation]), Size: int64(sample.Value),
		}
		if c.Server != "" || !withServer[key{c.Name, c.User}] {
			claims = append(claims, c)
		}
	}
	return claims
}

// bytes returns the results of a query by directory. It leaves out values that aren't finite.
func (u *UsageReader) bytes(ctx context.Context, query string) (map[string]int64, error) {
	vector, err := u.Client.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	values := make(map[string]int64, len(vector))
	for _, sample := range vector {
		if value := float64(sample.Value); !math.IsNaN(value) && !math.IsInf(value, 0) {
			values[string(sample.Metric[model.LabelName(promql.Directory)])] = int64(value)
		}
	}
	return values, nil
}
