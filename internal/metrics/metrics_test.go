package metrics_test

import (
	"bytes"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"

	"github.com/groups-exporter/groups-exporter/internal/exposition"
	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

func text(t *testing.T, o metrics.Options, snapshot *membership.Snapshot) string {
	t.Helper()
	return textOf(t, metrics.Families(o, snapshot))
}

func textOf(t *testing.T, families iter.Seq[*dto.MetricFamily]) string {
	t.Helper()
	page, err := exposition.Encode(families, exposition.Text, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := page.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func university(rules membership.Rules) *membership.Snapshot {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	listing := membership.NewListing(now,
		membership.User{Name: "ada@x.org", Groups: []string{"bio", "chem"}, LastActivity: now.Add(-time.Hour), RunningServers: 2},
		membership.User{Name: "bob", Groups: []string{"bio"}, LastActivity: now.Add(-10 * 24 * time.Hour)},
		membership.User{Name: "cy"})
	listing.AddGroups("bio", "chem", "empty")
	listing.HasActivity, listing.HasServers = true, true
	return membership.New("hub", listing, rules)
}

func TestFamilies(t *testing.T) {
	all := metrics.Options{UserInfo: true, Share: true, Activity: true}
	for _, c := range []struct {
		what    string
		options metrics.Options
		rules   membership.Rules
		want    string
	}{
		{"the usual", metrics.Options{}, membership.Rules{}, `
# HELP jupyterhub_group_members Number of users in the group.
# TYPE jupyterhub_group_members gauge
jupyterhub_group_members{namespace="hub",usergroup="bio"} 2
jupyterhub_group_members{namespace="hub",usergroup="chem"} 1
jupyterhub_group_members{namespace="hub",usergroup="empty"} 0
jupyterhub_group_members{namespace="hub",usergroup="none"} 1
# HELP jupyterhub_user_group_info Group memberships of users. The value is always 1.
# TYPE jupyterhub_user_group_info gauge
jupyterhub_user_group_info{namespace="hub",usergroup="bio",username="ada@x.org",username_escaped="ada-40x-2eorg",username_safe="ada-x-org---210e59f6"} 1
jupyterhub_user_group_info{namespace="hub",usergroup="chem",username="ada@x.org",username_escaped="ada-40x-2eorg",username_safe="ada-x-org---210e59f6"} 1
jupyterhub_user_group_info{namespace="hub",usergroup="bio",username="bob",username_escaped="bob",username_safe="bob"} 1
jupyterhub_user_group_info{namespace="hub",usergroup="none",username="cy",username_escaped="cy",username_safe="cy"} 1
`},
		{"everything", all, membership.Rules{MultiGroup: membership.Both, Allow: []string{"bio", "chem"}}, `
# HELP jupyterhub_group_active_users Members of the group who were active in the period before the last refresh.
# TYPE jupyterhub_group_active_users gauge
jupyterhub_group_active_users{namespace="hub",usergroup="bio",period="24h"} 1
jupyterhub_group_active_users{namespace="hub",usergroup="bio",period="7d"} 1
jupyterhub_group_active_users{namespace="hub",usergroup="bio",period="30d"} 2
jupyterhub_group_active_users{namespace="hub",usergroup="chem",period="24h"} 1
jupyterhub_group_active_users{namespace="hub",usergroup="chem",period="7d"} 1
jupyterhub_group_active_users{namespace="hub",usergroup="chem",period="30d"} 1
jupyterhub_group_active_users{namespace="hub",usergroup="multiple",period="24h"} 1
jupyterhub_group_active_users{namespace="hub",usergroup="multiple",period="7d"} 1
jupyterhub_group_active_users{namespace="hub",usergroup="multiple",period="30d"} 1
jupyterhub_group_active_users{namespace="hub",usergroup="none",period="24h"} 0
jupyterhub_group_active_users{namespace="hub",usergroup="none",period="7d"} 0
jupyterhub_group_active_users{namespace="hub",usergroup="none",period="30d"} 0
# HELP jupyterhub_group_members Number of users in the group.
# TYPE jupyterhub_group_members gauge
jupyterhub_group_members{namespace="hub",usergroup="bio"} 2
jupyterhub_group_members{namespace="hub",usergroup="chem"} 1
jupyterhub_group_members{namespace="hub",usergroup="multiple"} 1
jupyterhub_group_members{namespace="hub",usergroup="none"} 1
# HELP jupyterhub_group_running_servers Number of running servers of the group's members.
# TYPE jupyterhub_group_running_servers gauge
jupyterhub_group_running_servers{namespace="hub",usergroup="bio"} 2
jupyterhub_group_running_servers{namespace="hub",usergroup="chem"} 2
jupyterhub_group_running_servers{namespace="hub",usergroup="multiple"} 2
jupyterhub_group_running_servers{namespace="hub",usergroup="none"} 0
# HELP jupyterhub_user_group_info Group memberships of users. The value is always 1.
# TYPE jupyterhub_user_group_info gauge
jupyterhub_user_group_info{namespace="hub",usergroup="bio",username="ada@x.org",username_escaped="ada-40x-2eorg",username_safe="ada-x-org---210e59f6"} 1
jupyterhub_user_group_info{namespace="hub",usergroup="chem",username="ada@x.org",username_escaped="ada-40x-2eorg",username_safe="ada-x-org---210e59f6"} 1
jupyterhub_user_group_info{namespace="hub",usergroup="multiple",username="ada@x.org",username_escaped="ada-40x-2eorg",username_safe="ada-x-org---210e59f6"} 1
jupyterhub_user_group_info{namespace="hub",usergroup="bio",username="bob",username_escaped="bob",username_safe="bob"} 1
jupyterhub_user_group_info{namespace="hub",usergroup="none",username="cy",username_escaped="cy",username_safe="cy"} 1
# HELP jupyterhub_user_group_share Share of the user that counts for the group. The shares of a user add up to 1.
# TYPE jupyterhub_user_group_share gauge
jupyterhub_user_group_share{namespace="hub",usergroup="bio",username="ada@x.org",username_escaped="ada-40x-2eorg",username_safe="ada-x-org---210e59f6"} 0.5
jupyterhub_user_group_share{namespace="hub",usergroup="chem",username="ada@x.org",username_escaped="ada-40x-2eorg",username_safe="ada-x-org---210e59f6"} 0.5
jupyterhub_user_group_share{namespace="hub",usergroup="bio",username="bob",username_escaped="bob",username_safe="bob"} 1
jupyterhub_user_group_share{namespace="hub",usergroup="none",username="cy",username_escaped="cy",username_safe="cy"} 1
# HELP jupyterhub_user_info Names of the user on the hub and in Kubernetes. The value is always 1.
# TYPE jupyterhub_user_info gauge
jupyterhub_user_info{namespace="hub",username="ada@x.org",username_escaped="ada-40x-2eorg",username_safe="ada-x-org---210e59f6",username_label="ada-x-org---210e59f6"} 1
jupyterhub_user_info{namespace="hub",username="bob",username_escaped="bob",username_safe="bob",username_label="bob"} 1
jupyterhub_user_info{namespace="hub",username="cy",username_escaped="cy",username_safe="cy",username_label="cy"} 1
`},
		{"no user names", metrics.Options{Prefix: "lab", UserInfo: true, Share: true, OmitUsernames: true}, membership.Rules{MultiGroup: membership.Multiple}, `
# HELP lab_group_members Number of users in the group.
# TYPE lab_group_members gauge
lab_group_members{namespace="hub",usergroup="bio"} 1
lab_group_members{namespace="hub",usergroup="chem"} 0
lab_group_members{namespace="hub",usergroup="empty"} 0
lab_group_members{namespace="hub",usergroup="multiple"} 1
lab_group_members{namespace="hub",usergroup="none"} 1
`},
	} {
		t.Run(c.what, func(t *testing.T) {
			got := text(t, c.options, university(c.rules))
			if diff := cmp.Diff(strings.TrimPrefix(c.want, "\n"), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			lint(t, got)
		})
	}
}

// A user or a group with a label value that is too long has no series in any family. All
// others have all series.
func TestTooLong(t *testing.T) {
	long := strings.Repeat("\u4e2d", 22) // 66 bytes, and 198 escaped
	group := strings.Repeat("g", 101)
	now := time.Now()
	listing := membership.NewListing(now,
		membership.User{Name: "ada", Groups: []string{"bio", group}, LastActivity: now},
		membership.User{Name: long, Groups: []string{"bio"}, LastActivity: now},
		membership.User{Name: strings.Repeat("b", 100), Groups: []string{group[1:]}, LastActivity: now},
		membership.User{Name: strings.Repeat("C", 34), LastActivity: now}) // 102 escaped
	listing.HasActivity, listing.HasServers = true, true
	snapshot := membership.New("hub", listing, membership.Rules{})
	all := metrics.Options{UserInfo: true, Share: true, Activity: true}
	limited := all
	limited.MaxLabelLength = 100

	everything := func(o metrics.Options) string {
		used := map[string]float64{}
		for user := range snapshot.Users() {
			used[user] = 1
		}
		return text(t, o, snapshot) + textOf(t, metrics.UsageFamily(o, usage.Join(usage.NewAnswer(usage.CPU, used), snapshot), usage.Full))
	}
	var want strings.Builder
	for line := range strings.Lines(everything(all)) {
		if !strings.Contains(line, long) && !strings.Contains(line, group+`"`) && !strings.Contains(line, "CCC") {
			want.WriteString(line)
		}
	}
	if diff := cmp.Diff(want.String(), everything(limited)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	users, groups := metrics.TooLong(limited, snapshot)
	if diff := cmp.Diff([]string{strings.Repeat("C", 34), long}, users) + cmp.Diff([]string{group}, groups); diff != "" {
		t.Error(diff)
	}
	limited.OmitUsernames = true
	if users, groups := metrics.TooLong(limited, snapshot); len(users) != 0 || len(groups) != 1 {
		t.Errorf("without user names: got users %q and groups %q", users, groups)
	}
	if users, groups := metrics.TooLong(all, snapshot); len(users)+len(groups) != 0 {
		t.Errorf("without a limit: got users %q and groups %q, want none", users, groups)
	}
}

// Unknown activity is not published as zero.
func TestUnknownActivity(t *testing.T) {
	snapshot := membership.New("hub", membership.NewListing(time.Time{}, membership.User{Name: "ada"}), membership.Rules{})
	if got := text(t, metrics.Options{Activity: true}, snapshot); strings.Contains(got, "active") || strings.Contains(got, "servers") {
		t.Errorf("got metrics of activity or servers:\n%s", got)
	}
}

// Families of several parts, with a full and a partial last part.
func TestLargeFamilies(t *testing.T) {
	for _, n := range []int{0, 1, 511, 512, 513, 1024, 3000} {
		var users []membership.User
		for i := range n {
			users = append(users, membership.User{Name: fmt.Sprintf("user%d", i), Groups: []string{"g"}})
		}
		snapshot := membership.New("hub", membership.NewListing(time.Time{}, users...), membership.Rules{})
		if got := strings.Count(text(t, metrics.Options{}, snapshot), "\njupyterhub_user_group_info{"); got != n {
			t.Errorf("%d users: got %d series, want one for each user", n, got)
		}
	}
}

func TestSelf(t *testing.T) {
	self := metrics.NewSelf()
	h := self.Hub("hub", 5*time.Minute, "connect", "scope")
	h.Answered(200)
	h.Answered(200)
	h.Answered(0)
	h.Took(300 * time.Millisecond)
	h.Refreshed(time.Unix(1700000000, 500e6), university(membership.Rules{}))
	h.Omitted(2, 0)
	h.Published(1<<24, 70_000)
	h.Inconsistent()
	h.Partial(true)
	names := []string{
		"groups_exporter_hub_up", "groups_exporter_last_refresh_success_timestamp_seconds", "groups_exporter_users", "groups_exporter_memberships",
		"groups_exporter_hub_requests_total", "groups_exporter_refresh_interval_seconds", "groups_exporter_refresh_failures_total", "groups_exporter_inconsistent_refreshes_total",
		"groups_exporter_hub_partial", "groups_exporter_omitted_names", "groups_exporter_page_size_bytes", "groups_exporter_page_series",
	}
	check := func(want string) {
		t.Helper()
		if err := testutil.GatherAndCompare(self.Registry, strings.NewReader(want), names...); err != nil {
			t.Error(err)
		}
	}
	const constant = `
# HELP groups_exporter_hub_requests_total Requests to the hub, by status code of the response, or 0 if there was none.
# TYPE groups_exporter_hub_requests_total counter
groups_exporter_hub_requests_total{code="0",namespace="hub"} 1
groups_exporter_hub_requests_total{code="200",namespace="hub"} 2
# HELP groups_exporter_inconsistent_refreshes_total Refreshes that may have missed a user, because the list of users changed each time it was read.
# TYPE groups_exporter_inconsistent_refreshes_total counter
groups_exporter_inconsistent_refreshes_total{namespace="hub"} 1
# HELP groups_exporter_last_refresh_success_timestamp_seconds Unix time of the last successful refresh.
# TYPE groups_exporter_last_refresh_success_timestamp_seconds gauge
groups_exporter_last_refresh_success_timestamp_seconds{namespace="hub"} 1.7000000005e+09
# HELP groups_exporter_refresh_interval_seconds Configured interval between refreshes from the hub.
# TYPE groups_exporter_refresh_interval_seconds gauge
groups_exporter_refresh_interval_seconds{namespace="hub"} 300
`
	check(constant + `
# HELP groups_exporter_hub_partial Whether the token's scopes cover only a part of the hub, so that users or memberships may be missing.
# TYPE groups_exporter_hub_partial gauge
groups_exporter_hub_partial{namespace="hub"} 1
# HELP groups_exporter_hub_up Whether the last refresh from the hub succeeded (1) or failed (0).
# TYPE groups_exporter_hub_up gauge
groups_exporter_hub_up{namespace="hub"} 1
# HELP groups_exporter_memberships Number of published memberships.
# TYPE groups_exporter_memberships gauge
groups_exporter_memberships{namespace="hub"} 4
# HELP groups_exporter_omitted_names Users and groups whose series are omitted because a label value is too long.
# TYPE groups_exporter_omitted_names gauge
groups_exporter_omitted_names{kind="group",namespace="hub"} 0
groups_exporter_omitted_names{kind="user",namespace="hub"} 2
# HELP groups_exporter_page_series Number of series in the hub's published metrics, with usage.
# TYPE groups_exporter_page_series gauge
groups_exporter_page_series{namespace="hub"} 70000
# HELP groups_exporter_page_size_bytes Size of the hub's published metrics, with usage, as uncompressed text.
# TYPE groups_exporter_page_size_bytes gauge
groups_exporter_page_size_bytes{namespace="hub"} 1.6777216e+07
# HELP groups_exporter_refresh_failures_total Failed refreshes, by reason.
# TYPE groups_exporter_refresh_failures_total counter
groups_exporter_refresh_failures_total{namespace="hub",reason="connect"} 0
groups_exporter_refresh_failures_total{namespace="hub",reason="scope"} 0
# HELP groups_exporter_users Number of published users.
# TYPE groups_exporter_users gauge
groups_exporter_users{namespace="hub"} 3
`)
	h.Failed("scope")
	h.Dropped()
	check(constant + `
# HELP groups_exporter_hub_up Whether the last refresh from the hub succeeded (1) or failed (0).
# TYPE groups_exporter_hub_up gauge
groups_exporter_hub_up{namespace="hub"} 0
# HELP groups_exporter_refresh_failures_total Failed refreshes, by reason.
# TYPE groups_exporter_refresh_failures_total counter
groups_exporter_refresh_failures_total{namespace="hub",reason="connect"} 0
groups_exporter_refresh_failures_total{namespace="hub",reason="scope"} 1
`)
	lintSelf(t, self)
}

func TestSelfOfUsage(t *testing.T) {
	self := metrics.NewSelf()
	h := self.Hub("hub", time.Minute)
	names := []string{metrics.UsageInterval, metrics.UsageFailures, metrics.LastUsageSuccess, metrics.UsageUnattributed}
	check := func(want string) {
		t.Helper()
		if err := testutil.GatherAndCompare(self.Registry, strings.NewReader(want), names...); err != nil {
			t.Error(err)
		}
	}
	check("") // without usage
	h.Usage(usage.CPU, time.Minute, "timeout", "query")
	h.UsageFailed(usage.CPU, "query")
	h.UsageRead(usage.CPU, time.Unix(1700000000, 500e6))
	h.Unattributed(usage.CPU, 3, 1)
	const constant = `
# HELP groups_exporter_last_usage_success_timestamp_seconds Unix time of the last successful query for the usage of a resource.
# TYPE groups_exporter_last_usage_success_timestamp_seconds gauge
groups_exporter_last_usage_success_timestamp_seconds{namespace="hub",resource="cpu"} 1.7000000005e+09
# HELP groups_exporter_usage_failures_total Failed queries for usage, by reason.
# TYPE groups_exporter_usage_failures_total counter
groups_exporter_usage_failures_total{namespace="hub",reason="query",resource="cpu"} 1
groups_exporter_usage_failures_total{namespace="hub",reason="timeout",resource="cpu"} 0
# HELP groups_exporter_usage_interval_seconds Configured interval between queries for the usage of a resource.
# TYPE groups_exporter_usage_interval_seconds gauge
groups_exporter_usage_interval_seconds{namespace="hub",resource="cpu"} 60
`
	check(constant + `
# HELP groups_exporter_usage_unattributed Results of the last query for usage that count for no group, by reason.
# TYPE groups_exporter_usage_unattributed gauge
groups_exporter_usage_unattributed{namespace="hub",reason="not_finite",resource="cpu"} 1
groups_exporter_usage_unattributed{namespace="hub",reason="unknown",resource="cpu"} 3
`)
	h.UsageDropped(usage.CPU)
	check(constant)
	lintSelf(t, self)
}

func lintSelf(t *testing.T, self *metrics.Self) {
	t.Helper()
	problems, err := testutil.GatherAndLint(self.Registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("got the problems %v (error: %v), want none", problems, err)
	}
}

func lint(t *testing.T, text string) {
	t.Helper()
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("got the problems %v (error: %v), want none", problems, err)
	}
}
