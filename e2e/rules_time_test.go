//go:build e2e

package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Over time, the recorded memory and CPU by user and by group add up to the usage of servers, whether they run for minutes
// or hours. Each server uses one core and 100 bytes. After half of its time, its user moves to another group.
func TestRulesOverTime(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		scrape time.Duration
		// The recorded part of the real CPU time, by the length of a session. Short sessions lose a part, because scrapes
		// miss the beginning and the end of a container, and an increase needs two scrapes in its range.
		cpu map[time.Duration]float64
	}{
		{15 * time.Second, map[time.Duration]float64{
			3 * time.Minute: 0.98, 10 * time.Minute: 0.995, 30 * time.Minute: 0.995, time.Hour: 0.995, 4 * time.Hour: 0.995,
		}},
		{time.Minute, map[time.Duration]float64{
			3 * time.Minute: 0.84, 10 * time.Minute: 0.95, 30 * time.Minute: 0.98, time.Hour: 0.99, 4 * time.Hour: 0.995,
		}},
	} {
		t.Run(test.scrape.String(), func(t *testing.T) {
			t.Parallel()
			o := overTime{scrape: test.scrape}
			for length, least := range test.cpu {
				o.addSessions(length, least)
			}
			dir := write(t, map[string]string{"rules.yml": succeed(t, environment(), "rules"), "test.yml": o.test()})
			promtool(t, "", "test", "rules", filepath.Join(dir, "test.yml"))
		})
	}
}

// overTime is a test of rules with concurrent sessions of several lengths.
type overTime struct {
	scrape        time.Duration
	series, exprs strings.Builder
}

// The first session starts after the rules have been evaluated once. The last one ends before the end of the test.
const (
	firstSession = 10 * time.Minute
	lastSession  = 5 * time.Hour
)

// The rules are evaluated at whole minutes, and scrapes are offset by a third of their interval. So the two never coincide,
// as is usual in production. Otherwise, a range would have one more sample in Prometheus 2 than in 3.
const (
	evaluation = time.Minute
	steps      = 3 // steps of a promtool series between two scrapes
)

// addSessions adds sessions of a length, each with its own user. They start at different times between two evaluations and
// between two scrapes, which therefore cover more or less of a session.
func (o *overTime) addSessions(length time.Duration, least float64) {
	const phases = 4
	for phase := range phases {
		const quarter = evaluation / phases
		o.addSession(length, phase, firstSession+time.Duration(phase)*quarter+time.Duration(2*phase+1)*quarter/(2*phases))
	}
	minutes := length.Minutes() * phases
	name := fmt.Sprintf("%.0f", length.Minutes())
	const memory, cpu = "container_memory_working_set_bytes:%ssum", "container_cpu_usage_seconds:%srate5m"
	for _, by := range []struct {
		level, sum string
		part       float64 // part of the user's usage
	}{
		{"namespace_username:%s{username=~\"u" + name + "-.*\"}", "", 1},
		{"namespace_usergroup:%s{usergroup=\"all" + name + "\"}", "", 1},
		{"namespace_usergroup:%s{usergroup=~\"(before|after)" + name + "\"}", "", 1},
		{"namespace_usergroup:%s{usergroup=\"all" + name + "\"}", "share_", 0.5},
		{"namespace_usergroup:%s{usergroup=~\"(before|after)" + name + "\"}", "share_", 0.5},
	} {
		o.expect(fmt.Sprintf(by.level, fmt.Sprintf(memory, by.sum)), by.part*minutes*100, 0.99, 1.01)
		o.expect(fmt.Sprintf(by.level, fmt.Sprintf(cpu, by.sum)), by.part*minutes, least, 1.01)
	}
	if length >= time.Hour {
		o.expect("namespace_usergroup:container_cpu_usage_seconds:rate5m{usergroup=\"before"+name+"\"}", minutes/2, 0.9, 1.1)
		o.expect("namespace_usergroup:container_memory_working_set_bytes:sum{usergroup=\"before"+name+"\"}", minutes*100/2, 0.9, 1.1)
	}
}

// expect checks that the sum of a recorded series over time is between two parts of the whole.
func (o *overTime) expect(selector string, whole, least, most float64) {
	fmt.Fprintf(&o.exprs, `
  - eval_time: %[1]s
    expr: sum(sum_over_time(%[2]s[%[1]s])) / %[3]g >= bool %[4]g
    exp_samples: [{labels: '{}', value: 1}]
  - eval_time: %[1]s
    expr: sum(sum_over_time(%[2]s[%[1]s])) / %[3]g <= bool %[5]g
    exp_samples: [{labels: '{}', value: 1}]`, lastSession, selector, whole, least, most)
}

// addSession adds the series of a server and its user.
func (o *overTime) addSession(length time.Duration, phase int, begin time.Duration) {
	user := fmt.Sprintf("u%.0f-%d", length.Minutes(), phase)
	pod := fmt.Sprintf(`namespace="prod",pod="jupyter-%s"`, user)
	end := begin + length
	first, gone := o.scrapeAt(begin), o.scrapeAt(end)
	middle := o.scrapeAt(begin + length/2)
	cpu := func(share float64) func(time.Duration) float64 {
		return func(moment time.Duration) float64 { return share * (moment - begin).Seconds() }
	}
	// The series of cAdvisor have their own timestamps. If Prometheus ignores these, it marks the end of the series.
	cadvisorEnd := []string{"", "stale"}[phase%2]
	add := func(metric, labels string, value func(time.Duration) float64, from, to int, end string) {
		fmt.Fprintf(&o.series, "\n  - {series: '%s{%s}', values: '_x%d ", metric, labels, from*steps+1)
		for scrape := from; scrape < to; scrape++ {
			fmt.Fprintf(&o.series, "%g _x%d ", value(o.moment(scrape)), steps-1)
		}
		o.series.WriteString(end + "'}")
	}
	one := func(metric, labels string, value float64, from, to int, end string) {
		add(metric, labels, func(time.Duration) float64 { return value }, from, to, end)
	}
	one("kube_pod_annotations", pod+fmt.Sprintf(",uid=%q,annotation_hub_jupyter_org_username=%[1]q", user), 1, first, gone, "stale")
	one("container_memory_working_set_bytes", pod+`,container="notebook",name="c",id="/`+user+`/c"`, 100, first, gone, cadvisorEnd)
	one("container_memory_working_set_bytes", pod+`,id="/`+user+`"`, 110, first, gone, cadvisorEnd)
	add("container_cpu_usage_seconds_total", pod+`,container="notebook",name="c",id="/`+user+`/c"`, cpu(1), first, gone, cadvisorEnd)
	add("container_cpu_usage_seconds_total", pod+`,id="/`+user+`"`, cpu(1.1), first, gone, cadvisorEnd)

	last := int(lastSession / o.scrape)
	for _, m := range []struct {
		group    string
		from, to int
	}{{"all", 1, last}, {"before", 1, middle}, {"after", middle, last}} {
		labels := fmt.Sprintf(`namespace="prod",usergroup="%s%.0f",username=%q`, m.group, length.Minutes(), user)
		one("jupyterhub_user_group_info", labels, 1, m.from, m.to, "stale")
		one("jupyterhub_user_group_share", labels, 0.5, m.from, m.to, "stale")
	}
}

// scrapeAt returns the number of the first scrape at or after a time.
func (o *overTime) scrapeAt(moment time.Duration) int {
	return int((moment - o.moment(0) + o.scrape - 1) / o.scrape)
}

// moment returns the time of a scrape.
func (o *overTime) moment(scrape int) time.Duration {
	return time.Duration(scrape)*o.scrape + o.scrape/steps
}

func (o *overTime) test() string {
	return fmt.Sprintf(`rule_files: [rules.yml]
evaluation_interval: %s
tests:
- interval: %s
  input_series:%s
  promql_expr_test:%s
`, evaluation, o.scrape/steps, &o.series, &o.exprs)
}
