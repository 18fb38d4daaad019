//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Each version of Prometheus stores all names from the hub unchanged.
func TestPrometheus(t *testing.T) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			scrapedByPrometheus(t, version)
		})
	}
}

func scrapedByPrometheus(t *testing.T, version string) {
	scopes := []string{"list:users", "read:users:groups", "read:users:activity", "read:servers", "list:groups"}
	h := startHub(t, version, people(), service{name: "all", scopes: scopes})
	env := h.of(token("all"))
	with := []string{"--with=user-info", "--with=share", "--with=activity"}
	exporter, target := serve(t, env, with...)
	var scraped string
	exporter.until("the exporter is ready", 30*time.Second, func() (err error) {
		if _, err = get(target + "/-/ready"); err == nil {
			scraped, err = get(target + "/metrics")
		}
		return err
	})
	dumped := succeed(t, env, append([]string{"dump"}, with...)...)

	for name, exposition := range map[string]string{"serve": scraped, "dump": dumped} {
		for _, version := range prometheusVersions {
			check := exec.Command(prometheusPrefix+version+"/promtool", "check", "metrics")
			check.Stdin = strings.NewReader(exposition)
			if output, err := check.CombinedOutput(); err != nil {
				t.Errorf("%s on %s: %v\n%s", check, name, err, output)
			}
		}
	}
	for _, version := range prometheusVersions {
		t.Run("Prometheus "+version, func(t *testing.T) {
			scrapes(t, version, target, dumped)
		})
	}
}

// scrapes checks that a Prometheus that scrapes the target stores the memberships in the exposition.
func scrapes(t *testing.T, version, target, exposition string) {
	dir := t.TempDir()
	config := fmt.Sprintf("scrape_configs: [{job_name: groups, scrape_interval: 1s, static_configs: [{targets: [%q]}]}]\n",
		strings.TrimPrefix(target, "http://"))
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	prometheus := launch(t, dir, os.Environ(), prometheusPrefix+version+"/prometheus", "--web.listen-address="+address,
		"--config.file=prometheus.yml", "--storage.tsdb.path=data")
	families, err := parse(exposition)
	if err != nil {
		t.Fatal(err)
	}
	var want []map[string]string
	for _, s := range families["jupyterhub_user_group_info"] {
		want = append(want, s.labels)
	}
	prometheus.until("Prometheus has every series with its labels", time.Minute, func() error {
		body, err := get("http://" + address + "/api/v1/query?query=" + url.QueryEscape("jupyterhub_user_group_info"))
		if err != nil {
			return err
		}
		var answer struct {
			Data struct {
				Result []struct{ Metric map[string]string }
			}
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil {
			return err
		}
		var got []map[string]string
		for _, series := range answer.Data.Result {
			for _, own := range []string{"__name__", "job", "instance"} {
				delete(series.Metric, own)
			}
			got = append(got, series.Metric)
		}
		byText := func(a, b map[string]string) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }
		slices.SortFunc(want, byText)
		slices.SortFunc(got, byText)
		return same(want, got)
	})
}
