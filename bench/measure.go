package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	program     = "github.com/groups-exporter/groups-exporter/cmd/groups-exporter"
	metricsPath = "/metrics"
	pythonPath  = "/services/groups-exporter/"

	nameExporter = "groups-exporter"
	namePython   = "Python exporter"

	refreshes       = 10
	scrapesOfMemory = 100
	// A turn is turnScrapes scrapes, or fewer if they take longer than turnLength. If a scrape takes longer than
	// slowScrape, the contestant has a turn only in every fifth round.
	turnScrapes = 10
	turnLength  = 100 * time.Millisecond
	slowScrape  = 300 * time.Millisecond
	extraRounds = 4
)

func encodings() []string { return []string{"gzip", "identity"} }

// contestant is a process that serves a data set.
type contestant struct {
	*child
	name, path string
	byEncoding map[string]*scrapes
}

func (c *contestant) isPython() bool { return c.path == pythonPath }

// scrapes are those of one contestant in one encoding.
type scrapes struct {
	client      *client
	took        []time.Duration
	cpu         time.Duration
	bytes       int
	allocations float64 // per scrape
}

func (s *scrapes) median() time.Duration { return quantile(s.took, 0.5) }

// bench is one run.
type bench struct {
	options
	report
	ctx     context.Context
	running sync.WaitGroup // all children
	self    string         // path of this program
	program string         // path of groups-exporter
}

// measure runs the benchmark and returns the report as text.
func measure(ctx context.Context, o options) (text string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	b := &bench{options: o, ctx: ctx, self: must(os.Executable())}
	defer func() {
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		cancel()
		b.running.Wait()
	}()
	defer recoverFailure(&err)
	dir := must(os.MkdirTemp("", "bench"))
	defer func() { _ = os.RemoveAll(dir) }()
	b.program = filepath.Join(dir, "groups-exporter")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", b.program, program) //nolint:gosec // all arguments are from here
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	stripped := float64(must(os.Stat(b.program)).Size()) / 1e6

	b.markdown = o.output == "markdown"
	for _, n := range o.series {
		b.withHub(size{series: n}, func(s size, hub *child) {
			b.measureScrapes(s, hub)
			b.measureRefreshes(s, hub)
		})
	}
	if o.refreshUsers > 0 {
		b.withHub(size{users: o.refreshUsers}, b.measureRefreshes)
	}
	b.withHub(size{series: o.series[len(o.series)/2]}, func(s size, hub *child) {
		b.measureStarts(hub)
		b.measureConcurrent(s, hub)
	})
	b.addTarget(stripped <= 20, "the stripped binary has 20 MB at most", fmt.Sprintf("%.1f MB", stripped))
	return b.finish(o), nil
}

// withHub starts a hub, calls do, and stops the hub.
func (b *bench) withHub(s size, do func(s size, hub *child)) {
	hub := b.startProcess(process{kind: "hub", size: s})
	defer hub.stop()
	do(s, hub)
}

// startProcess starts this program as another process, and waits until it listens.
func (b *bench) startProcess(p process) *child {
	p.seed = b.seed
	c := b.launch(nil, b.self, "-"+processFlag, p.String())
	c.address = c.await("listening ")
	return c
}

// exporter starts groups-exporter. It refreshes at the start, and then only after a request to /-/reload.
func (b *bench) exporter(hub *child, args ...string) *child {
	address := b.reserveAddress()
	c := b.launch([]string{"JUPYTERHUB_API_TOKEN=" + token}, b.program, append([]string{"serve", "--hub-url", "http://" + hub.address,
		"--namespace", namespace, "--web.listen-address", address, "--refresh-interval", "24h", "--max-staleness", "72h", "--web.enable-lifecycle"}, args...)...)
	c.address = address
	return c
}

// pythonExporter starts the Python exporter. It refreshes only at the start, and queries no Prometheus.
func (b *bench) pythonExporter(hub *child) *child {
	const never = "1000000" // seconds
	address := b.reserveAddress()
	_, port, _ := strings.Cut(address, ":")
	c := b.launch(nil, b.python, "-m", "jupyterhub_groups_exporter.app", "--port", port,
		"--hub_url", "http://"+hub.address, "--hub_api_token", token, "--jupyterhub_namespace", namespace, "--log_level", "WARNING",
		"--update_info_interval", never, "--update_metrics_interval", never, "--update_dirsize_interval", never)
	c.address = address
	return c
}

// waitUntilListening waits until the child accepts connections.
func (c *child) waitUntilListening() {
	c.retry(200*time.Microsecond, func() error {
		connection, err := net.Dial("tcp", c.address)
		if err == nil {
			_ = connection.Close()
		}
		return err
	})
}

// startContestants starts the contestants: first groups-exporter, then the limit, then the others.
func (b *bench) startContestants(s size, hub *child) (all []*contestant, stop func()) {
	add := func(c *child, name, path string) {
		all = append(all, &contestant{child: c, name: name, path: path, byEncoding: map[string]*scrapes{}})
	}
	exporter := b.exporter(hub, "--web.enable-pprof")
	exporter.await("msg=refreshed")
	add(exporter, nameExporter, metricsPath)
	add(b.startProcess(process{kind: "limit", source: exporter.address}), "limit: writes bytes", metricsPath)
	add(b.startProcess(process{kind: "gaugevec", size: s}), "GaugeVec, promhttp", metricsPath)
	add(b.startProcess(process{kind: "constant", size: s}), "constant metrics, promhttp", metricsPath)
	if b.python != "" && s.series <= b.maxPythonSeries {
		add(b.pythonRefresh(s, hub), namePython, pythonPath)
	}
	return all, func() {
		for _, c := range all {
			c.stop()
		}
	}
}

// measureScrapes scrapes all contestants in each round, so that other load on the machine affects all of them. Each
// round starts with a different contestant, because the one after a slow contestant finds the CPU caches cold.
func (b *bench) measureScrapes(s size, hub *child) {
	log.Printf("%d series: starting", s.series)
	all, stop := b.startContestants(s, hub)
	defer stop()
	for _, c := range all {
		for _, encoding := range encodings() {
			c.byEncoding[encoding] = &scrapes{client: dial(c.address, encoding)}
		}
	}
	compare(all)
	log.Printf("%d series: %d rounds", s.series, b.rounds)
	for round := range b.rounds {
		// With gzip, the exporter is so close to the limit that these two need more turns.
		for i := range 2 * extraRounds {
			all[i%2].turn(round, all[i%2].byEncoding["gzip"])
		}
		for i := range all {
			c := all[(i+round)%len(all)]
			for _, encoding := range encodings() {
				check(b.ctx.Err())
				c.turn(round, c.byEncoding[encoding])
			}
		}
	}
	b.addMemory(s, all) // before the profiles, which take memory too
	for _, c := range all {
		if !c.isPython() {
			c.countAllocations()
		}
	}
	b.addScrapes(s, all)
}

// turn scrapes a contestant a few times.
func (c *contestant) turn(round int, s *scrapes) {
	n := 1 // the first round only warms up
	if round > 0 {
		last := s.took[len(s.took)-1]
		if last > slowScrape && round%5 != 0 {
			return
		}
		n = int(min(max(turnLength/last, 1), turnScrapes))
	}
	before := c.cpu()
	for range n {
		bytes, took, err := s.client.scrape(c.path)
		check(err)
		s.bytes, s.took = bytes, append(s.took, took)
	}
	s.cpu += c.cpu() - before
}

// countAllocations counts the allocations of a scrape with the heap profile of the process. It subtracts the
// allocations of a request for the profile, which are the difference between two requests. An earlier request loads
// the program's symbols.
func (c *contestant) countAllocations() {
	for _, s := range c.byEncoding {
		count := func() float64 {
			var profile bytes.Buffer
			must(s.client.do(http.MethodGet, "/debug/pprof/heap?debug=1", &profile))
			_, rest, _ := strings.Cut(profile.String(), "# Mallocs = ")
			number, _, _ := strings.Cut(rest, "\n")
			return must(strconv.ParseFloat(number, 64))
		}
		n := int(min(max(turnLength/s.median(), 2), 50))
		_, first, second := count(), count(), count()
		for range n {
			_, _, err := s.client.scrape(c.path)
			check(err)
		}
		s.allocations = max(0, count()-second-(second-first)) / float64(n)
	}
}

// measureRefreshes measures refreshes, from the first request to the hub until the page is published. Some scrapes
// follow each refresh, as in production.
func (b *bench) measureRefreshes(s size, hub *child) {
	data := newPopulation(b.seed, s)
	log.Printf("%d users: %d refreshes", len(data.users), refreshes)
	c := b.exporter(hub, "--log.level", "debug")
	defer c.stop()
	c.await("msg=refreshed")
	scraper := dial(c.address, "gzip")
	defer scraper.close()
	var walls, cpus []time.Duration
	for range refreshes {
		hub.discardOutput()
		before := c.cpu()
		must(scraper.do(http.MethodPost, "/-/reload", io.Discard))
		c.await("msg=refreshed")
		walls = append(walls, hub.sinceRefreshStarted())
		cpus = append(cpus, c.cpu()-before)
		for range scrapesOfMemory / refreshes {
			_, _, err := scraper.scrape(metricsPath)
			check(err)
		}
	}
	b.addRefresh(data, nameExporter, c, quantile(cpus, 0.5), quantile(walls, 0.5))
}

// discardOutput discards the output so far.
func (c *child) discardOutput() {
	for len(c.lines) > 0 {
		<-c.lines
	}
}

// sinceRefreshStarted returns the time since the hub received the first request of a refresh.
func (c *child) sinceRefreshStarted() time.Duration {
	now := time.Now()
	return now.Sub(time.Unix(0, must(strconv.ParseInt(c.await("refresh started "), 10, 64))))
}

// pythonRefresh starts the Python exporter and measures its first refresh. The Python exporter is single-threaded, so
// it serves series as soon as the refresh is done.
func (b *bench) pythonRefresh(s size, hub *child) *child {
	hub.discardOutput()
	c := b.pythonExporter(hub)
	c.waitUntilListening()
	scraper := dial(c.address, "identity")
	defer scraper.close()
	before := c.cpu()
	c.retry(20*time.Millisecond, func() error {
		if len(scraper.hubSeries(pythonPath)) == 0 {
			return errors.New("the Python exporter has no series")
		}
		return nil
	})
	b.addRefresh(newPopulation(b.seed, s), namePython, c, c.cpu()-before, hub.sinceRefreshStarted())
	return c
}

// measureStarts measures the time from exec to listening.
func (b *bench) measureStarts(hub *child) {
	log.Printf("%d starts", b.starts)
	launches := map[string]func() *child{nameExporter: func() *child { return b.exporter(hub) }}
	if b.python != "" {
		launches[namePython] = func() *child { return b.pythonExporter(hub) }
	}
	var rows [][]string
	for _, name := range slices.Sorted(maps.Keys(launches)) {
		var took []time.Duration
		for range b.starts {
			c := launches[name]()
			c.waitUntilListening()
			took = append(took, time.Since(c.started))
			c.stop()
		}
		rows = append(rows, []string{name, strconv.Itoa(len(took)), duration(quantile(took, 0.5)), duration(quantile(took, 0.99))})
		if name == nameExporter {
			start := quantile(took, 0.5)
			b.addTarget(start <= 50*time.Millisecond, "it listens within 50 ms", duration(start))
		}
	}
	b.addTable([]string{"from exec to listening", "starts", "median", "p99"}, rows)
}

// measureConcurrent measures each contestant with concurrent scrapers.
func (b *bench) measureConcurrent(s size, hub *child) {
	log.Printf("%d series: concurrent scrapers", s.series)
	all, stop := b.startContestants(s, hub)
	defer stop()
	var results []concurrentResult
	for _, c := range all {
		results = append(results, scrapeConcurrently(b.ctx, c, b.concurrentFor))
	}
	b.addConcurrent(s, results)
}

// quantile returns the q-quantile of the durations.
func quantile(all []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
