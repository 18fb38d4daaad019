package history

import (
	"context"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/promql"
	"github.com/groups-exporter/groups-exporter/internal/slug"
)

// pod is the namespace and the name of a pod. kubespawner uses it again for the next pod of the same server.
type pod struct{ namespace, name string }

// recentlyEnded is how long a pod keeps its owner after its end, because its last CPU time may count in the next
// window.
const recentlyEnded = 10 * time.Minute

// readOwners returns the owners of the pods in a window. A pod has several if pods of several users had the same name.
func (r *reader) readOwners(ctx context.Context, past promql.Past, w window) (map[pod][]string, error) {
	annotations, labels := past.PastOwners(w.length() + recentlyEnded)
	owners := map[pod][]string{}
	for _, query := range []string{annotations, labels} {
		series, err := r.vector(ctx, query, w)
		if err != nil {
			return nil, err
		}
		found := map[pod][]string{}
		for _, one := range series {
			p := pod{string(one.Metric[metrics.LabelNamespace]), string(one.Metric["pod"])}
			found[p] = append(found[p], string(one.Metric[promql.Owner]))
		}
		for p, names := range found {
			if owners[p] == nil {
				owners[p] = names
			}
		}
	}
	return owners, nil
}

// formsCache maps users to the forms of their names, which are expensive to compute.
type formsCache map[string][]string

func (c formsCache) of(user string) []string {
	forms, ok := c[user]
	if !ok {
		forms = []string{user, slug.Label(user), slug.Safe(user), slug.Escape(user)}
		c[user] = forms
	}
	return forms
}

// The forms of a user name that pods and directories may have, as indices of the result of formsCache.of. Earlier ones
// take precedence.
var (
	ownerForms     = []int{0, 1, 2, 3}
	directoryForms = []int{2, 3}
)

// byForm maps forms of user names to users. If a text is a form of two users, the earlier form takes precedence.
func (c formsCache) byForm(users map[string][]run, positions []int) map[string]string {
	index := make(map[string]string, 2*len(users))
	for _, position := range positions {
		forms := make(map[string]string, len(users))
		for user := range users {
			form := c.of(user)[position]
			if other, taken := forms[form]; !taken || user < other {
				forms[form] = user
			}
		}
		for form, user := range forms {
			if _, taken := index[form]; !taken {
				index[form] = user
			}
		}
	}
	return index
}
