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
	// A turn is so many scrapes, or fewer where they take longer than that. Who is
	// slow has a turn in every fifth round only.
	turnScrapes = 10
	turnLength  = 100 * time.Millisecond
	slow        = 300 * time.Millisecond
	closeTurns  = 4
)

func encodings() []string { return []string{"gzip", "identity"} }

// contestant is a process that serves a data set.
type contestant struct {
	*child
	name, path string
	of         map[string]*scrapes // by encoding
}

func (c *contestant) isPython() bool { return c.path == pythonPath }

// scrapes are those of one contestant in one encoding.
type scrapes struct {
	client      *client
	took        []time.Duration
	cpu         time.Duration
	bytes       int
	allocations float64 // of one scrape
}

func (s *scrapes) median() time.Duration { return quantile(s.took, 0.5) }

// bench is one run.
type bench struct {
	options
	report
	ctx     context.Context
	running sync.WaitGroup // the children
	self    string         // this program
	program string         // and the one under test
}

// measure gives all that was measured, as text.
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
	defer caught(&err)
	dir := must(os.MkdirTemp("", "bench"))
	defer func() { _ = os.RemoveAll(dir) }()
	b.program = filepath.Join(dir, "groups-exporter")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", b.program, program) //nolint:gosec // a folder of ours
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	stripped := float64(must(os.Stat(b.program)).Size()) / 1e6

	b.markdown = o.output == "markdown"
	for _, n := range o.series {
		b.withHub(size{series: n}, func(s size, hub *child) {
			b.scrapes(s, hub)
			b.refresh(s, hub)
		})
	}
	if o.refreshUsers > 0 {
		b.withHub(size{users: o.refreshUsers}, b.refresh)
	}
	b.withHub(size{series: o.series[len(o.series)/2]}, func(s size, hub *child) {
		b.begin(hub)
		b.crowds(s, hub)
	})
	b.target(stripped <= 20, "the stripped binary has 20 MB at most", fmt.Sprintf("%.1f MB", stripped))
	return b.finish(o), nil
}

// withHub starts a hub for do.
func (b *bench) withHub(s size, do func(s size, hub *child)) {
	hub := b.role(role{name: "hub", size: s})
	defer hub.stop()
	do(s, hub)
}

// role starts this program in another role, and waits until it listens.
func (b *bench) role(r role) *child {
	r.seed = b.seed
	c := b.launch(nil, b.self, "-"+roleFlag, r.String())
	c.address = c.await("listening ")
	return c
}

// exporter starts the program, which asks the hub at once, and then when it is told to.
func (b *bench) exporter(hub *child, args ...string) *child {
	address := b.reserved()
	c := b.launch([]string{"JUPYTERHUB_API_TOKEN=" + token}, b.program, append([]string{"serve", "--hub-url", "http://" + hub.address,
		"--namespace", namespace, "--web.listen-address", address, "--refresh-interval", "24h", "--max-staleness", "72h", "--web.enable-lifecycle"}, args...)...)
	c.address = address
	return c
}

// pythonExporter starts the Python exporter, which asks the hub once, and no Prometheus.
func (b *bench) pythonExporter(hub *child) *child {
	const never = "1000000" // seconds
	address := b.reserved()
	_, port, _ := strings.Cut(address, ":")
	c := b.launch(nil, b.python, "-m", "jupyterhub_groups_exporter.app", "--port", port,
		"--hub_url", "http://"+hub.address, "--hub_api_token", token, "--jupyterhub_namespace", namespace, "--log_level", "WARNING",
		"--update_info_interval", never, "--update_metrics_interval", never, "--update_dirsize_interval", never)
	c.address = address
	return c
}

// listens waits until somebody does.
func (c *child) listens() {
	c.until(200*time.Microsecond, func() error {
		connection, err := net.Dial("tcp", c.address)
		if err == nil {
			_ = connection.Close()
		}
		return err
	})
}

// enter starts the contestants: ours, then the limit.
func (b *bench) enter(s size, hub *child) (all []*contestant, leave func()) {
	add := func(c *child, name, path string) {
		all = append(all, &contestant{child: c, name: name, path: path, of: map[string]*scrapes{}})
	}
	exporter := b.exporter(hub, "--web.enable-pprof")
	exporter.await("msg=refreshed")
	add(exporter, nameExporter, metricsPath)
	add(b.role(role{name: "limit", from: exporter.address}), "limit: writes bytes", metricsPath)
	add(b.role(role{name: "gaugevec", size: s}), "GaugeVec, promhttp", metricsPath)
	add(b.role(role{name: "constant", size: s}), "constant metrics, promhttp", metricsPath)
	if b.python != "" && s.series <= b.pythonMost {
		add(b.pythonRefresh(s, hub), namePython, pythonPath)
	}
	return all, func() {
		for _, c := range all {
			c.stop()
		}
	}
}

// scrapes lets each contestant have its turn in each round, so that what else the machine
// does hits all alike, and begins with another one each time: who comes after one that
// takes long finds the caches cold.
func (b *bench) scrapes(s size, hub *child) {
	log.Printf("%d series: starting", s.series)
	all, leave := b.enter(s, hub)
	defer leave()
	for _, c := range all {
		for _, encoding := range encodings() {
			c.of[encoding] = &scrapes{client: dial(c.address, encoding)}
		}
	}
	compare(all)
	log.Printf("%d series: %d rounds", s.series, b.rounds)
	for round := range b.rounds {
		// Who writes compressed bytes is so close to the limit that these two need more turns.
		for i := range 2 * closeTurns {
			all[i%2].turn(round, all[i%2].of["gzip"])
		}
		for i := range all {
			c := all[(i+round)%len(all)]
			for _, encoding := range encodings() {
				check(b.ctx.Err())
				c.turn(round, c.of[encoding])
			}
		}
	}
	b.memoryOf(s, all) // before it is asked for profiles
	for _, c := range all {
		if !c.isPython() {
			c.countAllocations()
		}
	}
	b.scrapesOf(s, all)
}

func (c *contestant) turn(round int, s *scrapes) {
	n := 1 // the first only warms up
	if round > 0 {
		last := s.took[len(s.took)-1]
		if last > slow && round%5 != 0 {
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

// countAllocations asks Go's heap profile of the process. What asking allocates is known
// by asking twice; before that it reads the program's symbols.
func (c *contestant) countAllocations() {
	for _, s := range c.of {
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

// refresh measures refreshes from the hub's first byte to the published page, with some
// scrapes after each, as there are.
func (b *bench) refresh(s size, hub *child) {
	campus := newCampus(b.seed, s)
	log.Printf("%d users: %d refreshes", len(campus.users), refreshes)
	c := b.exporter(hub, "--log.level", "debug")
	defer c.stop()
	c.await("msg=refreshed")
	scraper := dial(c.address, "gzip")
	defer scraper.close()
	var walls, cpus []time.Duration
	for range refreshes {
		hub.forget()
		before := c.cpu()
		must(scraper.do(http.MethodPost, "/-/reload", io.Discard))
		c.await("msg=refreshed")
		walls = append(walls, hub.sinceAsked())
		cpus = append(cpus, c.cpu()-before)
		for range scrapesOfMemory / refreshes {
			_, _, err := scraper.scrape(metricsPath)
			check(err)
		}
	}
	b.refreshOf(campus, nameExporter, c, quantile(cpus, 0.5), quantile(walls, 0.5))
}

// forget leaves out what it wrote until now.
func (c *child) forget() {
	for len(c.lines) > 0 {
		<-c.lines
	}
}

// sinceAsked is how long ago a hub began to answer.
func (c *child) sinceAsked() time.Duration {
	now := time.Now()
	return now.Sub(time.Unix(0, must(strconv.ParseInt(c.await("asked "), 10, 64))))
}

// pythonRefresh starts the Python exporter and measures its first refresh: it does one
// thing at a time, so it answers with series as soon as it is done.
func (b *bench) pythonRefresh(s size, hub *child) *child {
	hub.forget()
	c := b.pythonExporter(hub)
	c.listens()
	scraper := dial(c.address, "identity")
	defer scraper.close()
	before := c.cpu()
	c.until(20*time.Millisecond, func() error {
		if len(scraper.hubSeries(pythonPath)) == 0 {
			return errors.New("the Python exporter has no series")
		}
		return nil
	})
	b.refreshOf(newCampus(b.seed, s), namePython, c, c.cpu()-before, hub.sinceAsked())
	return c
}

// start measures from exec to listening.
func (b *bench) begin(hub *child) {
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
			c.listens()
			took = append(took, time.Since(c.started))
			c.stop()
		}
		rows = append(rows, []string{name, strconv.Itoa(len(took)), duration(quantile(took, 0.5)), duration(quantile(took, 0.99))})
		if name == nameExporter {
			start := quantile(took, 0.5)
			b.target(start <= 50*time.Millisecond, "it listens within 50 ms", duration(start))
		}
	}
	b.table([]string{"from exec to listening", "starts", "median", "p99"}, rows)
}

// crowds measures each contestant with many scrapers.
func (b *bench) crowds(s size, hub *child) {
	log.Printf("%d series: many scrapers", s.series)
	all, leave := b.enter(s, hub)
	defer leave()
	var results []crowded
	for _, c := range all {
		results = append(results, crowd(b.ctx, c, b.crowd))
	}
	b.crowdOf(s, results)
}

// quantile is the least of all that so much of them is not above.
func quantile(all []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
