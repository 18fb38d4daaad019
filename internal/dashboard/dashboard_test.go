package dashboard_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/groups-exporter/groups-exporter/internal/dashboard"
	"github.com/groups-exporter/groups-exporter/internal/promql"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

type board struct {
	UID           string
	SchemaVersion int
	Panels        []panel
	Templating    struct {
		List []struct{ Name, Type, Query string }
	}
}

type panel struct {
	ID          int
	Type, Title string
	Datasource  struct{ Type, UID string }
	GridPos     struct{ X, Y, W, H int }
	Targets     []struct {
		RefID, Expr string
		Datasource  struct{ UID string }
	}
}

func write(t *testing.T, o dashboard.Options) (board, string) {
	t.Helper()
	var text bytes.Buffer
	if err := dashboard.Write(&text, o); err != nil {
		t.Fatal(err)
	}
	var b board
	if err := json.Unmarshal(text.Bytes(), &b); err != nil {
		t.Fatal(err)
	}
	return b, text.String()
}

func (b board) exprs() []string {
	var all []string
	for _, p := range b.Panels {
		for _, target := range p.Targets {
			all = append(all, target.Expr)
		}
	}
	return all
}

// Grafana requires these properties of a dashboard.
func TestPanels(t *testing.T) {
	b, _ := write(t, dashboard.Options{})
	if b.UID != "groups-exporter" || b.SchemaVersion != 39 {
		t.Errorf("got the UID %q and the schema version %d, want groups-exporter and 39", b.UID, b.SchemaVersion)
	}
	ids := map[int]bool{}
	taken := map[[2]int]string{}
	for _, p := range b.Panels {
		if ids[p.ID] || p.ID == 0 {
			t.Errorf("%s has the ID %d, want a unique one above 0", p.Title, p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%s overlaps with %q or the edge", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		letters := map[string]bool{}
		for _, target := range p.Targets {
			if target.RefID == "" || letters[target.RefID] || target.Datasource.UID != "${datasource}" || !strings.Contains(target.Expr, `namespace=~"$hub"`) {
				t.Errorf("%s: got the query %+v, want a unique letter, the data source and the hub of the variables", p.Title, target)
			}
			letters[target.RefID] = true
		}
		if p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 {
			t.Errorf("%s has the data source %v and %d queries, want the variable's and at least 1", p.Title, p.Datasource, len(p.Targets))
		}
	}
	var variables []string
	for _, v := range b.Templating.List {
		variables = append(variables, v.Name)
	}
	if want := []string{"datasource", "hub", "group"}; !slices.Equal(variables, want) {
		t.Errorf("got the variables %q, want %q", variables, want)
	}
}

func TestUsage(t *testing.T) {
	q := promql.Queries{Prefix: "lab", MultipleName: "several", Hubs: []string{`namespace=~"$hub"`}, Groups: []string{`usergroup=~"$group"`}}
	for _, o := range []dashboard.Options{{}, {Share: true}, {Plain: true}, {Plain: true, Share: true}} {
		o.Prefix, o.MultipleName = q.Prefix, q.MultipleName
		b, text := write(t, o)
		for _, resource := range usage.Resources() {
			want := "max by (namespace, usergroup) (" + q.OfHubs(promql.RecordedByGroup(resource, o.Share), q.Groups...) + ")"
			if o.Plain {
				want = q.ByGroup(q.ByUser(resource), o.Share)
			}
			n := 0
			for _, expr := range b.exprs() {
				if expr == want {
					n++
				}
			}
			if n != 2 { // the table and the panel
				t.Errorf("%+v: %s is queried %d times, want 2", o, resource, n)
			}
		}
		if strings.Contains(text, "jupyterhub_") || strings.Contains(text, "multiple") {
			t.Errorf("%+v: got a default name instead of the configured one", o)
		}
		if stacked := strings.Contains(text, `"mode": "normal"`); stacked != o.Share {
			t.Errorf("%+v: got stacked %v, want it only for shares", o, stacked)
		}
	}
}
