// Command soak runs the exporter with a hub that fails at random and whose users change between pages, while scrapers
// read its metrics or go away early. It fails if a scrape is incomplete or mixes two states of the hub, if the exporter
// ends, or if it leaks memory, goroutines or files.
//
//	go run ./e2e/soak -for 2m -seed 7
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/groups-exporter/groups-exporter/internal/fakehub"
	"github.com/groups-exporter/groups-exporter/internal/ports"
)

const scrapers = 4

// Metrics of the exporter.
const (
	up           = "groups_exporter_hub_up"
	inconsistent = "groups_exporter_inconsistent_refreshes_total"
	failures     = "groups_exporter_refresh_failures_total"
	goroutines   = "go_goroutines"
	files        = "process_open_fds"
	resident     = "process_resident_memory_bytes"
)

func main() {
	length := flag.Duration("for", 2*time.Minute, "how long")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "seed of the failures")
	flag.Parse()
	fmt.Printf("seed %d, for %v\n", *seed, *length)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := soak(ctx, *length, *seed)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func soak(ctx context.Context, length time.Duration, seed uint64) (err error) {
	dir, err := os.MkdirTemp("", "soak")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "groups-exporter")
	if out, err := exec.Command("go", "build", "-o", program, "./cmd/groups-exporter").CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	h := newHub(seed)
	defer h.server.Close()
	e, err := start(ctx, program, h.server.URL)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, e.stop()); err != nil {
			err = fmt.Errorf("%w\n%s", err, e.log.Bytes())
		}
	}()

	// The first measurement comes after a part of the time, so that caches and pools are full.
	warm := max(length/10, 5*time.Second)
	if err := e.load(ctx, warm, seed); err != nil {
		return err
	}
	before, err := e.rest(ctx, h)
	if err != nil {
		return err
	}
	if err := e.load(ctx, length-warm, seed+1); err != nil {
		return err
	}
	after, err := e.rest(ctx, h)
	if err != nil {
		return err
	}
	fmt.Printf("before: %v\nafter:  %v\n", before, after)
	fmt.Printf("%d complete scrapes of %d states of the hub, %d aborted on purpose; %d users deleted between pages; %d faults\n",
		e.complete.Load(), h.generation.Load(), e.aborted.Load(), h.deleted.Load(), h.faults.Load())
	switch {
	case after[goroutines] > before[goroutines]+3, after[files] > before[files]+3, after[resident] > before[resident]*1.5+16<<20:
		return errors.New("the exporter leaks goroutines, files or memory")
	case after[inconsistent] > 0:
		return errors.New("a refresh was inconsistent")
	case e.complete.Load() == 0 || h.deleted.Load() == 0 || after[failures] == 0:
		return errors.New("too little happened")
	}
	return nil
}

// hub has other users whenever they are listed from the beginning. Most of them are in one group, whose name contains a
// number and its number of members. The others are in the group transient. Before each page, some of these are deleted,
// and as many are created, so that the total stays the same.
type hub struct {
	fakehub.Hub
	server     *httptest.Server
	mu         sync.Mutex
	random     *rand.Rand
	calm       atomic.Bool // the hub doesn't fail
	created    int         // users in all
	generation atomic.Int64
	deleted    atomic.Int64
	faults     atomic.Int64
}

const transient = "transient"

func newHub(seed uint64) *hub {
	h := &hub{random: rand.New(rand.NewPCG(seed, 1))}
	h.grant()
	h.Intercept = h.intercept
	h.server = httptest.NewServer(&h.Hub)
	return h
}

func (h *hub) grant() { h.Grant("t", "list:users", "read:users:groups") }

// roll returns a random number from 0 to n-1.
func (h *hub) roll(n int) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.random.IntN(n)
}

// intercept changes the users before a page, and fails now and then. It reports whether it has responded.
func (h *hub) intercept(w http.ResponseWriter, r *http.Request) bool {
	if strings.HasSuffix(r.URL.Path, "/users") {
		if r.URL.Query().Get("offset") == "0" {
			h.renew()
		} else {
			h.churn(h.roll(8))
		}
	}
	if h.calm.Load() || h.roll(100) < 85 {
		return false
	}
	h.faults.Add(1)
	const list = `{"items":[{"name":%q,"groups":[]}],"_pagination":{"total":1,"next":null}}`
	switch h.roll(8) {
	case 0:
		w.WriteHeader([]int{500, 502, 503, 504, 404, 403}[h.roll(6)])
	case 1:
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	case 2:
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<!doctype html>")
	case 3: // a name that is too long
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, list, strings.Repeat("x", 1<<20))
	case 4: // an answer that is cut off
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, list[:h.roll(len(list))])
	case 5: // a timeout
		select {
		case <-r.Context().Done():
		case <-time.After(3 * time.Second):
		}
	case 6: // a missing scope, for a moment
		h.Grant("t", "list:users")
		time.AfterFunc(200*time.Millisecond, h.grant)
		return false
	default: // an endless list
		w.Header().Set("Content-Type", "application/json")
		_, err := io.WriteString(w, `{"items":[]`)
		for err == nil {
			_, err = io.WriteString(w, strings.Repeat(" ", 1<<16))
		}
	}
	return true
}

// renew replaces all users. Requests come one after another, so no page mixes two generations.
func (h *hub) renew() {
	n := 1 + h.roll(1500)
	group := fmt.Sprintf("group-%d-of-%d", h.generation.Add(1), n)
	var users []fakehub.User
	for range n {
		users = append(users, h.create(group))
		if h.roll(4) == 0 {
			users = append(users, h.create(transient))
		}
	}
	h.SetUsers(users...)
}

func (h *hub) create(group string) fakehub.User {
	h.created++
	return fakehub.User{Name: fmt.Sprintf("user%d", h.created), Groups: []string{group}}
}

// churn deletes up to n transient users, and creates as many.
func (h *hub) churn(n int) {
	h.Update(func(users []fakehub.User) []fakehub.User {
		users = slices.Clone(users)
		for range n {
			i := h.roll(len(users))
			if users[i].Groups[0] == transient {
				users = append(slices.Delete(users, i, i+1), h.create(transient))
				h.deleted.Add(1)
			}
		}
		return users
	})
}

// exporter is the program under test.
type exporter struct {
	cmd               *exec.Cmd
	cancel            func()
	log               bytes.Buffer
	url               string
	complete, aborted atomic.Int64
}

// start starts the exporter and waits until it listens.
func start(ctx context.Context, program, hubURL string) (*exporter, error) {
	address, release, err := ports.Reserve()
	if err != nil {
		return nil, err
	}
	defer release()
	ctx, cancel := context.WithCancel(ctx)
	e := &exporter{url: "http://" + address, cancel: cancel}
	e.cmd = exec.CommandContext(ctx, program, "serve", "--hub-url", hubURL, "--web.listen-address", address,
		"--refresh-interval", "100ms", "--hub-timeout", "1s", "--max-staleness", "1h", "--namespace", "n")
	e.cmd.Env = []string{"JUPYTERHUB_API_TOKEN=t", "PATH=" + os.Getenv("PATH")}
	e.cmd.Stdout, e.cmd.Stderr = &e.log, &e.log
	e.cmd.Cancel = func() error { return e.cmd.Process.Signal(syscall.SIGTERM) }
	e.cmd.WaitDelay = 20 * time.Second
	if err := e.cmd.Start(); err != nil {
		cancel()
		return nil, err
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if _, err = e.families(); err == nil {
			return e, nil
		}
		if time.Now().After(deadline) {
			return nil, errors.Join(err, e.stop())
		}
	}
}

// stop terminates the exporter. It returns an error if the exporter doesn't end by itself with exit code 0.
func (e *exporter) stop() error {
	e.cancel()
	if err := e.cmd.Wait(); e.cmd.ProcessState.ExitCode() != 0 {
		return fmt.Errorf("the exporter: %w", err)
	}
	return nil
}

// load scrapes the exporter for a while with concurrent scrapers.
func (e *exporter) load(ctx context.Context, length time.Duration, seed uint64) error {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	failed := make(chan error, scrapers)
	for i := range scrapers {
		go func() {
			random := rand.New(rand.NewPCG(seed, uint64(i)))
			var err error
			for err == nil && ctx.Err() == nil {
				err = e.scrape(random)
			}
			failed <- err
		}()
	}
	var err error
	for range scrapers {
		err = errors.Join(err, <-failed)
	}
	return err
}

// get requests the metrics on a new connection. The client decompresses them if it has asked for compression.
func (e *exporter) get(compressed bool) (*http.Response, error) {
	client := http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: !compressed}}
	response, err := client.Get(e.url + "/metrics")
	if err == nil && response.StatusCode != http.StatusOK {
		response.Body.Close()
		err = fmt.Errorf("a scrape got %s", response.Status)
	}
	return response, err
}

// scrape reads the metrics, usually to the end.
func (e *exporter) scrape(random *rand.Rand) error {
	response, err := e.get(random.IntN(2) == 0)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if random.IntN(10) == 0 {
		time.Sleep(time.Duration(random.IntN(1000)) * time.Millisecond)
		_, _ = io.CopyN(io.Discard, response.Body, int64(random.IntN(2000)))
		e.aborted.Add(1)
		return nil
	}
	families, err := parse(response.Body)
	if err != nil {
		return err
	}
	e.complete.Add(1)
	return isComplete(families)
}

func parse(page io.Reader) (map[string]*dto.MetricFamily, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(page)
}

// families returns the metrics of the exporter.
func (e *exporter) families() (map[string]*dto.MetricFamily, error) {
	response, err := e.get(true)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return parse(response.Body)
}

// isComplete returns an error unless all members of exactly one group are listed. Before the first refresh, there are
// none.
func isComplete(families map[string]*dto.MetricFamily) error {
	sum := func(name string) map[string]float64 {
		sums := map[string]float64{}
		for _, m := range families[name].GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "usergroup" && l.GetValue() != transient {
					sums[l.GetValue()] += m.GetGauge().GetValue()
				}
			}
		}
		return sums
	}
	listed, counted := sum("jupyterhub_user_group_info"), sum("jupyterhub_group_members")
	for group, n := range counted {
		if len(counted) == 1 && len(listed) == 1 && listed[group] == n && strings.HasSuffix(group, fmt.Sprintf("-of-%v", n)) {
			return nil
		}
	}
	if len(counted)+len(listed) > 0 {
		return fmt.Errorf("a scrape lists the members %v and counts %v", listed, counted)
	}
	return nil
}

// rest returns measurements of the exporter by metric, after some seconds without failures and scrapes.
func (e *exporter) rest(ctx context.Context, h *hub) (map[string]float64, error) {
	h.calm.Store(true)
	defer h.calm.Store(false)
	select {
	case <-time.After(5 * time.Second):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	families, err := e.families()
	if err != nil {
		return nil, err
	}
	sums := map[string]float64{}
	for _, name := range []string{up, inconsistent, failures, goroutines, files, resident} {
		for _, m := range families[name].GetMetric() {
			sums[name] += m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	if sums[up] != 1 {
		return nil, errors.New(up + " is 0 although the hub works")
	}
	return sums, nil
}
