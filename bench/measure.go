package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/fakehub"
)

const (
	program     = "github.com/groups-exporter/groups-exporter/cmd/groups-exporter"
	token       = "bench"
	metricsPath = "/metrics"
	pythonPath  = "/services/groups-exporter/"

	starts             = 20
	refreshes          = 10
	scrapesEachRefresh = 10
	turnLength         = 50 * time.Millisecond
)

// bench is one run.
type bench struct {
	users, rounds, scrapers int
	scrapeFor               time.Duration // how long the concurrent scrapers scrape each process
	python                  string        // interpreter that can import the Python exporter, or ""

	ctx     context.Context
	running sync.WaitGroup // the processes
	hub     *httptest.Server
	program string // path of groups-exporter
	report  strings.Builder
}

// contestant is a process that serves the series, with its measurements.
type contestant struct {
	*process
	name, path string
	client     *client
	took       []time.Duration // of each scrape
	spent      time.Duration   // CPU time of all scrapes
	bytes      int
}

// run runs the benchmark and writes the report.
func (b *bench) run(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	b.ctx = ctx
	b.hub = httptest.NewServer(fakehub.NewDemo(1, b.users, token, time.Now()))
	defer func() {
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		cancel()
		b.running.Wait()
		b.hub.Close()
	}()
	defer recoverFailure(&err)
	dir := must(os.MkdirTemp("", "bench"))
	defer func() { _ = os.RemoveAll(dir) }()
	b.program = filepath.Join(dir, "groups-exporter")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", b.program, program) //nolint:gosec // all arguments are from here
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	fmt.Fprintf(&b.report, "%s, %s/%s, %d cores, %d users, %d rounds.\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), b.users, b.rounds)
	b.measureStarts()
	all := b.startContestants()
	series := compare(all)
	b.measureScrapes(series, all)
	b.measureConcurrent(all)
	return nil
}

// startExporter starts groups-exporter. It refreshes at the start, and then only after a request to /-/reload.
func (b *bench) startExporter() *process {
	address := b.reserveAddress()
	return b.start(address, []string{"JUPYTERHUB_API_TOKEN=" + token}, b.program, "serve", "--hub-url", b.hub.URL, "--namespace", "bench",
		"--web.listen-address", address, "--refresh-interval", "24h", "--max-staleness", "72h", "--web.enable-lifecycle", "--log.level", "debug")
}

// startPython starts the Python exporter. It refreshes only at the start, and queries no Prometheus.
func (b *bench) startPython() *process {
	const never = "1000000" // seconds
	address := b.reserveAddress()
	_, port, _ := strings.Cut(address, ":")
	return b.start(address, nil, b.python, "-m", "jupyterhub_groups_exporter.app", "--port", port,
		"--hub_url", b.hub.URL, "--hub_api_token", token, "--jupyterhub_namespace", "bench", "--log_level", "WARNING",
		"--update_info_interval", never, "--update_metrics_interval", never, "--update_dirsize_interval", never)
}

// startSelf starts this program as a server of the series of groups-exporter.
func (b *bench) startSelf(kind string, exporter *process) *process {
	c := b.start("", nil, must(os.Executable()), kind, exporter.address)
	c.address = c.await("listening ")
	return c
}

// measureStarts measures the time from exec to listening.
func (b *bench) measureStarts() {
	log.Printf("%d starts", starts)
	rows := [][]string{{"from exec to listening", "median", "slowest"}}
	measure := func(name string, start func() *process) {
		var took []time.Duration
		for range starts {
			c := start()
			took = append(took, c.awaitListening())
			c.stop()
		}
		rows = append(rows, []string{name, duration(quantile(took, 0.5)), duration(slices.Max(took))})
	}
	measure("groups-exporter", b.startExporter)
	if b.python != "" {
		measure("Python exporter", b.startPython)
	}
	addTable(&b.report, rows)
}

// startContestants starts groups-exporter, the limit, client_golang and the Python exporter, in this order. It measures
// the refreshes before anything else happens.
func (b *bench) startContestants() []*contestant {
	log.Printf("%d refreshes", refreshes)
	rows := [][]string{{"refresh", "CPU", "resident", "peak"}}
	exporter := b.startExporter()
	rows = append(rows, append([]string{"groups-exporter", duration(exporter.refreshes())}, exporter.memory()...))
	all := []*contestant{
		{process: exporter, name: "groups-exporter", path: metricsPath},
		{process: b.startSelf(limit, exporter), name: "limit: writes bytes", path: metricsPath},
		{process: b.startSelf(clientGolang, exporter), name: "client_golang", path: metricsPath},
	}
	if b.python != "" {
		python := b.startPython()
		rows = append(rows, append([]string{"Python exporter", duration(python.firstRefresh())}, python.memory()...))
		all = append(all, &contestant{process: python, name: "Python exporter", path: pythonPath})
	}
	for _, c := range all {
		c.client = dial(c.address)
	}
	addTable(&b.report, rows)
	return all
}

// refreshes returns the median CPU time of the refreshes of groups-exporter. Some scrapes follow each refresh, as in
// production.
func (c *process) refreshes() time.Duration {
	c.await("msg=refreshed")
	scraper := dial(c.address)
	defer scraper.close()
	var spent []time.Duration
	for range refreshes {
		before := c.cpu()
		must(scraper.do(http.MethodPost, "/-/reload", io.Discard))
		c.await("msg=refreshed")
		spent = append(spent, c.cpu()-before)
		for range scrapesEachRefresh {
			_, _, err := scraper.scrape(metricsPath)
			check(err)
		}
	}
	return quantile(spent, 0.5)
}

// firstRefresh returns the CPU time of the only refresh of the Python exporter. The Python exporter is single-threaded,
// so it serves series as soon as the refresh is done.
func (c *process) firstRefresh() time.Duration {
	c.awaitListening()
	scraper := dial(c.address)
	defer scraper.close()
	before := c.cpu()
	for deadline := time.Now().Add(maxWait); len(scraper.families(pythonPath)) == 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			check(errors.New("the Python exporter has no series"))
		}
	}
	return c.cpu() - before
}

// compare fails if the contestants serve different series about the hub, and returns the number of series. The Python
// exporter has only one family, and an additional group.
func compare(all []*contestant) int {
	onlyMemberships := func(series []string) []string {
		return slices.DeleteFunc(slices.Clone(series), func(s string) bool {
			return !strings.HasPrefix(s, "jupyterhub_user_group_info[") || strings.Contains(s, ` usergroup="multiple"`)
		})
	}
	series := all[0].client.series(metricsPath)
	for _, c := range all[1:] {
		got, want := c.client.series(c.path), series
		if c.path == pythonPath {
			got, want = onlyMemberships(got), onlyMemberships(want)
		}
		if len(got) == 0 || !slices.Equal(got, want) {
			check(fmt.Errorf("%s serves %d series, which differ from the %d of groups-exporter", c.name, len(got), len(want)))
		}
	}
	return len(series)
}

// measureScrapes scrapes all contestants in each round, so that other load on the machine affects all of them. Each
// round starts with a different contestant, because the one after a slow contestant finds the CPU caches cold.
func (b *bench) measureScrapes(series int, all []*contestant) {
	log.Printf("%d rounds", b.rounds)
	for round := range b.rounds {
		for i := range all {
			check(b.ctx.Err())
			all[(i+round)%len(all)].takeTurn()
		}
	}
	rows := [][]string{{strconv.Itoa(series) + " series", "scrapes", "median", "p99", "CPU", "body", "resident", "peak"}}
	each := func(c *contestant) time.Duration { return c.spent / time.Duration(len(c.took)) }
	for _, c := range all {
		limit := all[1]
		rows = append(rows, append([]string{
			c.name, strconv.Itoa(len(c.took)), withRatio(quantile(c.took, 0.5), quantile(limit.took, 0.5)),
			withRatio(quantile(c.took, 0.99), quantile(limit.took, 0.99)), withRatio(each(c), each(limit)), fmt.Sprintf("%d KiB", c.bytes>>10),
		}, c.memory()...))
	}
	addTable(&b.report, rows)
}

// takeTurn scrapes the contestant again and again for the length of a turn, at least once.
func (c *contestant) takeTurn() {
	before := c.cpu()
	for start, last := time.Now(), false; !last; last = time.Since(start) > turnLength {
		bytes, took, err := c.client.scrape(c.path)
		check(err)
		c.bytes, c.took = bytes, append(c.took, took)
	}
	c.spent += c.cpu() - before
}

// measureConcurrent measures each contestant with concurrent scrapers.
func (b *bench) measureConcurrent(all []*contestant) {
	log.Printf("%d concurrent scrapers", b.scrapers)
	rows := [][]string{{strconv.Itoa(b.scrapers) + " scrapers", "throughput", "p99", "resident", "peak"}}
	for _, c := range all {
		check(b.ctx.Err())
		var mu sync.Mutex
		var running sync.WaitGroup
		var took []time.Duration
		var failed error
		start := time.Now()
		for range b.scrapers {
			scraper := dial(c.address)
			running.Go(func() {
				defer scraper.close()
				for last := false; !last; { // at least once
					_, one, err := scraper.scrape(c.path)
					last = err != nil || time.Since(start) > b.scrapeFor
					mu.Lock()
					took, failed = append(took, one), errors.Join(failed, err)
					mu.Unlock()
				}
			})
		}
		running.Wait()
		check(failed)
		rate := float64(len(took)) / time.Since(start).Seconds()
		rows = append(rows, append([]string{c.name, fmt.Sprintf("%.0f/s", rate), duration(quantile(took, 0.99))}, c.memory()...))
	}
	addTable(&b.report, rows)
}

// quantile returns the q-quantile of the durations.
func quantile(all []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
