package main

import (
	"testing"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/homes"
)

// If several former users can have had a home, the one who left last counts.
func TestLastSeenOfSeveralFormerOwners(t *testing.T) {
	spring, summer := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	owners := []homes.Owner{{User: "a-2db", LastSeen: summer}, {User: "a-b", LastSeen: spring}, {User: "c"}}
	if row := newHomeRow(homes.Row{Owners: owners, Verdict: homes.Orphan}, nil); row.LastSeen == nil || *row.LastSeen != "2026-07-01" {
		t.Errorf("last seen %v, want 2026-07-01", row.LastSeen)
	}
}
