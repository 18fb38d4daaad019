//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// Each version of Prometheus stores all names from the hub unchanged.
func TestPrometheus(t *testing.T) {
	onEach(t, versions, scrapedByPrometheus)
}

func scrapedByPrometheus(t *testing.T, version string) {
	scopes := []string{"list:users", "read:users:groups", "read:users:activity", "read:servers", "list:groups"}
	h := startHub(t, version, people(), service{name: "all", scopes: scopes})
	env := h.of(token("all"))
	with := []string{"--with=user-info", "--with=share", "--with=activity"}
	exporter, target := serve(t, env, with...)
	exporter.untilReady(target)
	scraped, err := get(target + "/metrics")
	noError(t, err)
	dumped := succeed(t, env, append([]string{"dump"}, with...)...)

	promtool(t, scraped, "check", "metrics")
	promtool(t, dumped, "check", "metrics")
	for _, version := range prometheusVersions {
		t.Run("Prometheus "+version, func(t *testing.T) {
			scrapes(t, version, target, dumped)
		})
	}
}

// scrapes checks that a Prometheus that scrapes the target stores the memberships in the exposition.
func scrapes(t *testing.T, version, target, exposition string) {
	p := &prometheus{version: version, url: freeAddress(t)}
	p.start(t, map[string]string{"prometheus.yml": fmt.Sprintf(
		"scrape_configs: [{job_name: groups, scrape_interval: 1s, static_configs: [{targets: [%q]}]}]\n", strings.TrimPrefix(target, "http://"))})
	labels := func(samples []sample) (all []map[string]string) {
		for _, s := range samples {
			for _, added := range []string{"__name__", "job", "instance"} {
				delete(s.labels, added)
			}
			all = append(all, s.labels)
		}
		slices.SortFunc(all, func(a, b map[string]string) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		return all
	}
	want := labels(mustParse(t, exposition)["jupyterhub_user_group_info"])
	p.until("Prometheus has every series with its labels", time.Minute, func() error {
		got, err := p.query("jupyterhub_user_group_info")
		if err != nil {
			return err
		}
		return same(want, labels(got))
	})
}
