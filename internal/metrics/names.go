package metrics

import "cmp"

// DefaultPrefix is the default prefix of the families about a hub.
const DefaultPrefix = "jupyterhub"

// The families about a hub, without the prefix.
const (
	GroupActiveUsers    = "group_active_users"
	GroupMembers        = "group_members"
	GroupRunningServers = "group_running_servers"
	UserGroupInfo       = "user_group_info"
	UserGroupShare      = "user_group_share"
	UserInfo            = "user_info"
)

// Name returns the full name of a family about a hub. If the prefix is empty, Name uses DefaultPrefix.
func Name(prefix, family string) string {
	return cmp.Or(prefix, DefaultPrefix) + "_" + family
}

// The families about the exporter itself.
const (
	HubUp                 = "groups_exporter_hub_up"
	HubPartial            = "groups_exporter_hub_partial"
	GroupMapLoaded        = "groups_exporter_group_map_last_reload_successful"
	RefreshInterval       = "groups_exporter_refresh_interval_seconds"
	LastRefreshSuccess    = "groups_exporter_last_refresh_success_timestamp_seconds"
	RefreshDuration       = "groups_exporter_refresh_duration_seconds"
	RefreshFailures       = "groups_exporter_refresh_failures_total"
	InconsistentRefreshes = "groups_exporter_inconsistent_refreshes_total"
	HubRequests           = "groups_exporter_hub_requests_total"
	Users                 = "groups_exporter_users"
	Memberships           = "groups_exporter_memberships"
	OmittedNames          = "groups_exporter_omitted_names"
	PageSize              = "groups_exporter_page_size_bytes"
	PageSeries            = "groups_exporter_page_series"
	UsageFailures         = "groups_exporter_usage_failures_total"
	UsageInterval         = "groups_exporter_usage_interval_seconds"
	LastUsageSuccess      = "groups_exporter_last_usage_success_timestamp_seconds"
	UsageUnattributed     = "groups_exporter_usage_unattributed"
	UsageSeriesMissing    = "groups_exporter_usage_series_missing"
	buildInfoPrefix       = "groups_exporter" // prefix of groups_exporter_build_info
)

// The labels.
const (
	LabelNamespace = "namespace"
	LabelUsergroup = "usergroup"
	LabelUsername  = "username"
	LabelEscaped   = "username_escaped"
	LabelSafe      = "username_safe"
	LabelLabel     = "username_label"
	LabelPeriod    = "period"
	LabelReason    = "reason"
	LabelCode      = "code"
	LabelResource  = "resource"
	LabelSeries    = "series"
	LabelKind      = "kind"
)
