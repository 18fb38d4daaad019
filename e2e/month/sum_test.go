package month_test

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/groups-exporter/groups-exporter/e2e/month"
)

// The samples add up to the integrals: minute by minute, with each scrape job of the kubelets.
func TestSamples(t *testing.T) {
	m := month.NewOctober()
	rows := month.Rows(m.Used(month.October, 1), byAll, false)
	for _, job := range []string{"kubelet", "cadvisor"} {
		for _, hub := range m.Hubs {
			if job == "cadvisor" && hub.Namespace != "twin" {
				continue
			}
			got := newSums(m, hub, job).byUser()
			for key, row := range rows {
				if key.Namespace == hub.Namespace {
					compare(t, job, key, row.Amounts, got[key])
					delete(got, key)
				}
			}
			for key, amounts := range got {
				t.Errorf("job %s, %v: got %v, want nothing", job, key, amounts)
			}
		}
	}
}

func compare(t *testing.T, job string, key month.Key, want, got month.Amounts) {
	t.Helper()
	for column, amount := range want {
		tolerance := 0.005
		if column == "cpu_core_hours" {
			tolerance = 0.01
			if want["server_hours"] < 1 {
				tolerance = 0.05 // a counter isn't scraped when a pod begins and ends
			}
		}
		if math.Abs(got[column]-amount) > tolerance*amount {
			t.Errorf("job %s, %v, %s: the samples add up to %v, want %v", job, key, column, got[column], amount)
		}
	}
}

// slots are amounts by minute.
type slots map[int64]float64

// sums are the amounts of a hub, added up from samples without anything that PromQL does.
type sums struct {
	namespace string
	seen      slots                       // when there are memberships
	groups    map[string]map[string]slots // memberships by user and group
	names     map[string]string           // users' names by their forms
	owners    map[string]string           // by pod
	running   map[string]slots            // by pod
	// By pod, and then by what else distinguishes a series.
	memory, cpu, requests map[string]map[string]slots
	sizes                 map[string]slots // by directory
}

func newSums(m *month.Month, hub *month.Hub, job string) *sums {
	s := &sums{
		hub.Namespace, slots{}, map[string]map[string]slots{}, map[string]string{}, map[string]string{}, map[string]slots{},
		map[string]map[string]slots{}, map[string]map[string]slots{}, map[string]map[string]slots{}, map[string]slots{},
	}
	every := map[string]time.Duration{}
	for _, target := range slices.Concat(hub.Exporters, hub.StateMetrics, hub.Kubelets, hub.Disks) {
		every[target.Labels["job"]] = target.Every
	}
	for series := range m.Series(m.Span) {
		kubelet := strings.HasPrefix(series.Name, "container_")
		ofHub := strings.HasPrefix(series.Labels["pod"], "hub-") // belongs to nobody
		if series.Labels["namespace"] == hub.Namespace && !ofHub && (!kubelet || series.Labels["job"] == job) {
			s.read(m, series, every[series.Labels["job"]])
		}
	}
	return s
}

func (s *sums) read(m *month.Month, series *month.Stored, every time.Duration) {
	l := series.Labels
	pod, container := l["pod"], cmp.Or(l["container"], "whole")
	switch series.Name {
	case "jupyterhub_user_group_info":
		s.names[l["username_escaped"]], s.names[l["username_safe"]], s.names[l["username"]] = l["username"], l["username"], l["username"]
		member := level(m, series, every)
		maps.Copy(s.seen, member)
		put(s.groups, l["username"], l["usergroup"], member)
	case "kube_pod_annotations", "kube_pod_labels":
		if owner := cmp.Or(l["annotation_hub_jupyter_org_username"], l["label_hub_jupyter_org_username"]); owner != "" {
			s.owners[pod] = owner
		}
	case "kube_pod_status_phase":
		if l["phase"] == "Running" {
			s.running[pod+" "+l["uid"]] = largest(s.running[pod+" "+l["uid"]], level(m, series, every))
		}
	case "kube_pod_container_resource_requests":
		key := l["resource"] + " " + l["uid"] + " " + container
		put(s.requests, pod, key, level(m, series, every))
	case "container_memory_working_set_bytes":
		if container != "POD" && (container != "whole" || l["name"] == "") {
			put(s.memory, pod, container, level(m, series, every))
		}
	case "container_cpu_usage_seconds_total":
		if container != "POD" && (container != "whole" || l["name"] == "") {
			put(s.cpu, pod, container+" "+l["id"], growth(m, series))
		}
	case "dirsize_total_size_bytes":
		s.sizes[l["directory"]] = largest(s.sizes[l["directory"]], level(m, series, every))
	}
}

func put(all map[string]map[string]slots, of, key string, values slots) {
	if all[of] == nil {
		all[of] = map[string]slots{}
	}
	all[of][key] = largest(all[of][key], values)
}

func largest(a, b slots) slots {
	if a == nil {
		return b
	}
	all := maps.Clone(b)
	for minute, value := range a {
		all[minute] = max(all[minute], value)
	}
	return all
}

// level returns the samples of a gauge in each minute times the scrape interval in hours.
func level(m *month.Month, series *month.Stored, every time.Duration) slots {
	values := slots{}
	for t, value := range series.Samples(m.Span) {
		if !math.IsNaN(value) {
			values[t.Unix()/60] += value * every.Hours()
		}
	}
	return values
}

// growth returns by how much a counter has grown in each minute, in hours. It begins at 0.
func growth(m *month.Month, series *month.Stored) slots {
	values, last := slots{}, 0.0
	for t, value := range series.Samples(m.Span) {
		if math.IsNaN(value) {
			continue
		}
		if value < last {
			last = 0
		}
		values[t.Unix()/60] += (value - last) / 3600
		last = value
	}
	return values
}

// groupsOf returns the groups of an owner in a minute, and the owner's name.
func (s *sums) groupsOf(owner string, minute int64) (user string, groups []string) {
	user = cmp.Or(s.names[owner], owner)
	for back := range int64(month.Carried / time.Minute) {
		if s.seen[minute-back] == 0 {
			continue
		}
		for group, member := range s.groups[user] {
			if member[minute-back] > 0 {
				groups = append(groups, group)
			}
		}
		if len(groups) > 1 {
			groups = slices.DeleteFunc(groups, func(group string) bool { return group == "multiple" })
		}
		break
	}
	if len(groups) == 0 {
		return user, []string{"unknown"}
	}
	return user, groups
}

// byUser returns the amounts by namespace, group and user.
func (s *sums) byUser() map[month.Key]month.Amounts {
	rows := map[month.Key]month.Amounts{}
	add := func(owner, column string, values slots, unit float64) {
		for minute, value := range values {
			at := time.Unix(minute*60, 0)
			if value == 0 || !month.October.Contains(at) {
				continue
			}
			user, groups := s.groupsOf(owner, minute)
			if column == "home_gib_months" && groups[0] == "unknown" {
				user, groups = "unowned", []string{"unowned"}
			}
			for _, group := range groups {
				key := month.Key{Namespace: s.namespace, Group: group, User: user}
				if rows[key] == nil {
					rows[key] = month.Amounts{}
				}
				rows[key][column] += value / unit / float64(len(groups))
			}
		}
	}
	for pod, owner := range s.owners {
		s.addPod(pod, owner, add)
	}
	const gib, hours = 1 << 30, 745 - 3 // without the gap
	for directory, values := range s.sizes {
		add(directory, "home_gib_months", values, gib*hours)
	}
	return rows
}

func (s *sums) addPod(pod, owner string, add func(owner, column string, values slots, unit float64)) {
	const gib = 1 << 30
	_, individually := s.memory[pod]["notebook"]
	if _, worker := s.memory[pod]["main"]; worker {
		individually = true
	}
	for key, values := range s.memory[pod] {
		if !individually || key != "whole" {
			add(owner, "memory_gib_hours", values, gib)
		}
	}
	for key, values := range s.cpu[pod] {
		if !individually || !strings.HasPrefix(key, "whole ") {
			add(owner, "cpu_core_hours", values, 1)
		}
	}
	for id, running := range s.running {
		if !strings.HasPrefix(id, pod+" ") {
			continue
		}
		if strings.HasPrefix(pod, "jupyter-") {
			add(owner, "server_hours", running, 1)
		}
		for key, values := range s.requests[pod] {
			var resource, uid, container string
			fmt.Sscan(key, &resource, &uid, &container)
			column, unit := column(resource)
			if id != pod+" "+uid || column == "" {
				continue
			}
			running := maps.Collect(maps.All(values))
			maps.DeleteFunc(running, func(minute int64, _ float64) bool { return s.running[id][minute] == 0 })
			add(owner, column, running, unit)
		}
	}
}

// column returns the column for a resource and the divisor to its unit.
func column(resource string) (string, float64) {
	switch resource {
	case "cpu":
		return "cpu_requested_core_hours", 1
	case "memory":
		return "memory_requested_gib_hours", 1 << 30
	case "nvidia_com_gpu", "amd_com_gpu":
		return "gpu_hours", 1
	case "nvidia_com_mig_1g_5gb":
		return "gpu_slice_hours", 1
	default:
		return "", 1
	}
}
