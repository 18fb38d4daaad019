package prometheus

import (
	"context"
	"time"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// QueryAt evaluates an instant query at a time. Its result is a vector, or a matrix if the query is a range selector.
// Values may be NaN or infinite. Its error is a *remote.Error.
func (c *Client) QueryAt(ctx context.Context, query string, at time.Time) (model.Value, error) {
	return c.evaluate(ctx, func(ctx context.Context) (model.Value, v1.Warnings, error) {
		value, warnings, _, err := c.api.Query(ctx, query, at, v1.WithTimeout(c.timeout))
		return value, warnings, err
	})
}

// QueryRange evaluates a range query. Its error is a *remote.Error.
func (c *Client) QueryRange(ctx context.Context, query string, from, to time.Time, step time.Duration) (model.Matrix, error) {
	value, err := c.evaluate(ctx, func(ctx context.Context) (model.Value, v1.Warnings, error) {
		value, warnings, _, err := c.api.QueryRange(ctx, query, v1.Range{Start: from, End: to, Step: step}, v1.WithTimeout(c.timeout))
		return value, warnings, err
	})
	if err != nil {
		return nil, err
	}
	matrix, ok := value.(model.Matrix)
	if !ok {
		return nil, c.malformed("it is no matrix")
	}
	return matrix, nil
}

// evaluate runs a query within the timeout, and returns a *remote.Error if it fails or if its answer may be incomplete.
func (c *Client) evaluate(ctx context.Context, query func(context.Context) (model.Value, v1.Warnings, error)) (model.Value, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	ctx, sent := withSecrets(ctx)
	value, warnings, err := query(ctx)
	return value, c.failure(err, warnings, sent)
}
