package usage_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/slug"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

func university(rules membership.Rules) *membership.Snapshot {
	return membership.New("hub", membership.NewListing(time.Now(),
		membership.User{Name: "ada", Groups: []string{"bio", "chem"}},
		membership.User{Name: "bob", Groups: []string{"bio"}},
		membership.User{Name: "cy"},
	), rules)
}

func TestRows(t *testing.T) {
	answer := &usage.Answer{Resource: usage.Memory, Values: map[string]float64{"ada": 10, "bob": 0, "cy": 3, "gone": 7, "": 1}}
	type rows = []usage.Row
	row := func(user, group string, value float64) usage.Row {
		return usage.Row{User: user, Group: group, Value: value}
	}
	for _, c := range []struct {
		what        string
		rules       membership.Rules
		attribution usage.Attribution
		want        rows
	}{
		{"in full", membership.Rules{}, usage.Full, rows{row("ada", "bio", 10), row("ada", "chem", 10), row("bob", "bio", 0), row("cy", "none", 3)}},
		{"by share", membership.Rules{}, usage.Share, rows{row("ada", "bio", 5), row("ada", "chem", 5), row("bob", "bio", 0), row("cy", "none", 3)}},
		{"multiple in the groups' place", membership.Rules{MultiGroup: membership.Multiple}, usage.Full, rows{row("ada", "multiple", 10), row("bob", "bio", 0), row("cy", "none", 3)}},
		{"multiple beside the groups adds nothing", membership.Rules{MultiGroup: membership.Both}, usage.Full, rows{row("ada", "bio", 10), row("ada", "chem", 10), row("bob", "bio", 0), row("cy", "none", 3)}},
		{"one allowed group is all", membership.Rules{Allow: []string{"chem"}}, usage.Share, rows{row("ada", "chem", 10), row("bob", "none", 0), row("cy", "none", 3)}},
	} {
		joined := usage.Join(answer, university(c.rules))
		if diff := cmp.Diff(c.want, slices.Collect(joined.Rows(c.attribution))); diff != "" {
			t.Errorf("%s: -want +got:\n%s", c.what, diff)
		}
		if joined.Unknown != 2 {
			t.Errorf("%s: %d unknown users, want 2", c.what, joined.Unknown)
		}
	}
}

// An owner of pods is a user's name or a form of it. If the same text is the name of one user
// and a form of another's, it belongs to the first.
func TestOwners(t *testing.T) {
	snapshot := membership.New("hub", membership.NewListing(time.Now(),
		membership.User{Name: "ada@x.org"},
		membership.User{Name: "Bob.Smith"},
		membership.User{Name: "a-very-long-name@of-a-very-long-domain.example"},
		membership.User{Name: "has-2dhyphen"},
		membership.User{Name: "has-hyphen"},
	), membership.Rules{})
	long := slug.Label("a-very-long-name@of-a-very-long-domain.example")
	joined := usage.Join(&usage.Answer{Resource: usage.Memory, Values: map[string]float64{
		"ada@x.org": 1, "ada-40x-2eorg": 2, "ada-x-org---210e59f6": 4, // annotation, kubespawner 6, a Dask worker
		"Bob.Smith": 8, "-42ob-2e-53mith": 16,
		long:           32,
		"has-2dhyphen": 64,
		"ghost":        128, "": 256,
	}}, snapshot)
	want := []usage.Row{
		{User: "Bob.Smith", Group: "none", Value: 24}, {User: "a-very-long-name@of-a-very-long-domain.example", Group: "none", Value: 32},
		{User: "ada@x.org", Group: "none", Value: 7}, {User: "has-2dhyphen", Group: "none", Value: 64},
	}
	if diff := cmp.Diff(want, slices.Collect(joined.Rows(usage.Full))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if joined.Unknown != 2 {
		t.Errorf("%d unknown owners, want 2", joined.Unknown)
	}
}

func TestHomeDirs(t *testing.T) {
	snapshot := membership.New("hub", membership.NewListing(time.Now(),
		membership.User{Name: "ada@x.org"},
		membership.User{Name: "bob"},
		membership.User{Name: "has-2dhyphen"},
		membership.User{Name: "has-hyphen"},
		membership.User{Name: "only-escaped"},
	), membership.Rules{})
	joined := usage.Join(&usage.Answer{Resource: usage.HomeDir, Values: map[string]float64{
		"ada-40x-2eorg": 1, "ada-x-org---210e59f6": 2, // before and after a change of the naming scheme
		"bob":            4, // both forms are the same
		"has-2dhyphen":   8, // the safe form of one user, and the escaped form of another
		"has-hyphen":     16,
		"only-2descaped": 32,
		"_shared":        64, "Bob": 128,
	}}, snapshot)
	want := []usage.Row{
		{User: "ada@x.org", Group: "none", Value: 3}, {User: "bob", Group: "none", Value: 4}, {User: "has-2dhyphen", Group: "none", Value: 8},
		{User: "has-hyphen", Group: "none", Value: 16}, {User: "only-escaped", Group: "none", Value: 32},
	}
	if diff := cmp.Diff(want, slices.Collect(joined.Rows(usage.Full))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if joined.Unknown != 2 {
		t.Errorf("%d unknown directories, want 2", joined.Unknown)
	}
}

// The shares of a value add up to the value, up to rounding.
func TestSharesAddUp(t *testing.T) {
	for groups := range 12 {
		user := membership.User{Name: "u"}
		for i := range groups {
			user.Groups = append(user.Groups, string(rune('a'+i)))
		}
		snapshot := membership.New("hub", membership.NewListing(time.Now(), user), membership.Rules{MultiGroup: membership.Both})
		for _, value := range []float64{1, 7, 1e15 + 1, 0.1} {
			answer := &usage.Answer{Resource: usage.CPU, Values: map[string]float64{"u": value}}
			sum := 0.0
			for row := range usage.Join(answer, snapshot).Rows(usage.Share) {
				sum += row.Value
			}
			if math.Abs(sum-value) > 1e-15*value {
				t.Errorf("%v in %d groups adds up to %v", value, groups, sum)
			}
		}
	}
}

// Sums of finite values can be infinite. They are omitted.
func TestInfiniteSums(t *testing.T) {
	snapshot := membership.New("hub", membership.NewListing(time.Now(), membership.User{Name: "ada@x.org"}), membership.Rules{})
	joined := usage.Join(&usage.Answer{Resource: usage.Memory, Values: map[string]float64{"ada@x.org": 1e308, "ada-40x-2eorg": 1e308}}, snapshot)
	if rows := slices.Collect(joined.Rows(usage.Full)); len(rows) != 0 || joined.NotFinite != 1 {
		t.Errorf("got rows %v and %d values that are not finite, want no rows and 1", rows, joined.NotFinite)
	}
}
