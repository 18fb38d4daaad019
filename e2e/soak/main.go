// Command soak runs the exporter for a while beside a hub that misbehaves at random, with scrapers that
// do too, and refreshes all the time. Before each page users are deleted and created. It fails if a scrape
// isn't of one hub with everybody who was there all the time, if the exporter ends, or if it holds on to
// memory, goroutines or files.
//
//	go run ./e2e/soak -for 2m -seed 7
package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/fakehub"
)

const scrapers = 4

func main() {
	length := flag.Duration("for", 2*time.Minute, "how long")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "of what goes wrong")
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

func soak(ctx context.Context, length time.Duration, seed uint64) error {
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
	e, err := start(program, h.server.URL)
	if err != nil {
		return err
	}
	defer e.stop()

	// What it holds is measured when all is well and quiet, after it has seen some of it all.
	warm := max(length/10, 5*time.Second)
	if err := e.bear(ctx, warm, seed); err != nil {
		return err
	}
	before, err := e.quiet(ctx, h)
	if err != nil {
		return err
	}
	fmt.Println("before:", before)
	if err := e.bear(ctx, length-warm, seed+1); err != nil {
		return err
	}
	after, err := e.quiet(ctx, h)
	if err != nil {
		return err
	}
	fmt.Println("after: ", after)
	fmt.Printf("%d whole scrapes of %d hubs, %d broken off on purpose; %d users deleted between two pages; %d faults; refreshes failed for %v\n",
		e.whole.Load(), h.generation.Load(), e.brokenOff.Load(), h.deleted.Load(), h.faults.Load(), after.failures)
	switch {
	case after.goroutines > before.goroutines+3:
		return fmt.Errorf("%v goroutines, %v before", after.goroutines, before.goroutines)
	case after.files > before.files+3:
		return fmt.Errorf("%v open files, %v before", after.files, before.files)
	case after.resident > before.resident*1.5+16<<20:
		return fmt.Errorf("%v MiB resident, %v before", after.resident/(1<<20), before.resident/(1<<20))
	case after.inconsistent > 0:
		return fmt.Errorf("%v refreshes were inconsistent", after.inconsistent)
	case e.whole.Load() == 0 || h.deleted.Load() == 0 || h.faults.Load() == 0 || len(after.failures) < 4:
		return errors.New("too little happened")
	}
	return e.stop()
}

// hub has another set of users whenever they are listed from the beginning. Those who stay are in one
// group, which is named after the hub and says how many they are. Between them are some who don't: before
// each page a few of these are deleted, and as many are created, so that the total stays the same.
type hub struct {
	fakehub.Hub
	server     *httptest.Server
	mu         sync.Mutex
	random     *rand.Rand
	calm       atomic.Bool
	created    int // users in all
	generation atomic.Int64
	deleted    atomic.Int64
	faults     atomic.Int64
}

func newHub(seed uint64) *hub {
	h := &hub{random: rand.New(rand.NewPCG(seed, 1))}
	h.grant()
	h.Intercept = h.intercept
	h.server = httptest.NewServer(&h.Hub)
	return h
}

func (h *hub) grant() { h.Grant("t", "list:users", "read:users:groups") }

func (h *hub) roll(n int) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.random.IntN(n)
}

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
	switch h.roll(12) {
	case 0:
		w.WriteHeader([]int{500, 502, 503, 504, 404, 403}[h.roll(6)])
	case 1:
		w.Header().Set("Retry-After", strconv.Itoa(h.roll(2)))
		w.WriteHeader(http.StatusTooManyRequests)
	case 2:
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<!doctype html>")
	case 3:
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"items":[{"name":7}],"_pagination":{"total":1,"next":null}}`)
	case 4:
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"items":[{"name":%q,"groups":[]}],"_pagination":{"total":1,"next":null}}`, strings.Repeat("x", 1<<20))
	case 5, 6: // cut off, after a part or before it
		text := `HTTP/1.1 200 OK` + "\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n" + `{"items":[{"name":"x","groups":["y"]}`
		h.hijack(w, text[:h.roll(len(text))], h.roll(2) == 0)
	case 7: // it hangs
		select {
		case <-r.Context().Done():
		case <-time.After(3 * time.Second):
		}
		return true
	case 8: // byte by byte
		for range 20 {
			fmt.Fprint(w, " ")
			if err := http.NewResponseController(w).Flush(); err != nil {
				return true
			}
			time.Sleep(100 * time.Millisecond)
		}
	case 9:
		http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
	case 10:
		h.Grant("t", "list:users") // a scope is taken away, for a moment
		time.AfterFunc(200*time.Millisecond, h.grant)
		return false
	default: // a list that doesn't end
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"items":[]`)
		for {
			if _, err := io.WriteString(w, strings.Repeat(" ", 1<<16)); err != nil {
				return true
			}
		}
	}
	return true
}

func (h *hub) hijack(w http.ResponseWriter, text string, reset bool) {
	connection, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	fmt.Fprint(connection, text)
	if tcp, ok := connection.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0)
	}
	connection.Close()
}

// passers is the group of those who don't stay.
const passers = "passers"

// renew makes the next hub. Requests come one after another, so no page is of two hubs.
func (h *hub) renew() {
	n := 1 + h.roll(1500)
	group := fmt.Sprintf("hub-%d-of-%d", h.generation.Add(1), n)
	var users []fakehub.User
	for range n {
		users = append(users, h.create(group))
		if h.roll(4) == 0 {
			users = append(users, h.create(passers))
		}
	}
	h.SetUsers(users...)
}

func (h *hub) create(group string) fakehub.User {
	h.created++
	return fakehub.User{Name: fmt.Sprintf("user%d", h.created), Groups: []string{group}}
}

// churn deletes up to n of those who don't stay, and creates as many.
func (h *hub) churn(n int) {
	h.Update(func(users []fakehub.User) []fakehub.User {
		users = slices.Clone(users)
		for range n {
			i := h.roll(len(users))
			if users[i].Groups[0] == passers {
				users = append(slices.Delete(users, i, i+1), h.create(passers))
				h.deleted.Add(1)
			}
		}
		return users
	})
}

// exporter is the program under test.
type exporter struct {
	cmd              *exec.Cmd
	log              bytes.Buffer
	address          string
	ended            chan error
	once             sync.Once
	stopErr          error
	whole, brokenOff atomic.Int64
}

func start(program, hubURL string) (*exporter, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	e := &exporter{address: listener.Addr().String(), ended: make(chan error, 1)}
	listener.Close()
	e.cmd = exec.Command(program, "serve", "--hub-url", hubURL, "--web.listen-address", e.address,
		"--refresh-interval", "100ms", "--hub-timeout", "1s", "--max-staleness", "1h", "--namespace", "n")
	e.cmd.Env = []string{"JUPYTERHUB_API_TOKEN=t", "PATH=" + os.Getenv("PATH")}
	e.cmd.Stdout, e.cmd.Stderr = &e.log, &e.log
	if err := e.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { e.ended <- e.cmd.Wait() }()
	return e, nil
}

// stop ends it, and tells how it ended.
func (e *exporter) stop() error {
	e.once.Do(func() {
		_ = e.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case e.stopErr = <-e.ended:
		case <-time.After(20 * time.Second):
			_ = e.cmd.Process.Kill()
			e.stopErr = errors.New("it does not stop")
		}
		if e.stopErr != nil {
			e.stopErr = fmt.Errorf("the exporter: %w\n%s", e.stopErr, e.log.Bytes())
		}
	})
	return e.stopErr
}

// bear scrapes for a while, in every way.
func (e *exporter) bear(ctx context.Context, length time.Duration, seed uint64) error {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	failed := make(chan error, scrapers)
	for i := range scrapers {
		go func() {
			random := rand.New(rand.NewPCG(seed, uint64(i)))
			for ctx.Err() == nil {
				if err := e.scrape(random); err != nil && ctx.Err() == nil {
					failed <- err
					return
				}
			}
			failed <- nil
		}()
	}
	for range scrapers {
		if err := <-failed; err != nil {
			return fmt.Errorf("%w\n%s", err, e.log.Bytes())
		}
	}
	return nil
}

// scrape reads the metrics, most times to the end.
func (e *exporter) scrape(random *rand.Rand) error {
	connection, err := net.DialTimeout("tcp", e.address, 5*time.Second)
	for tries := 0; err != nil && tries < 50; tries++ { // it has just been started
		time.Sleep(100 * time.Millisecond)
		connection, err = net.DialTimeout("tcp", e.address, 5*time.Second)
	}
	if err != nil {
		return err
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(30 * time.Second))
	compressed := random.IntN(2) == 0
	fmt.Fprintf(connection, "GET /metrics HTTP/1.0\r\n")
	if compressed {
		fmt.Fprintf(connection, "Accept-Encoding: gzip\r\n")
	}
	fmt.Fprintf(connection, "\r\n")
	switch random.IntN(20) {
	case 0: // it goes away
		_, _ = io.CopyN(io.Discard, connection, int64(random.IntN(2000)))
		e.brokenOff.Add(1)
		return nil
	case 1: // it reads nothing for a while, and then goes away
		time.Sleep(time.Duration(random.IntN(1000)) * time.Millisecond)
		e.brokenOff.Add(1)
		return nil
	}
	answer, err := io.ReadAll(connection)
	if err != nil {
		return err
	}
	head, body, _ := bytes.Cut(answer, []byte("\r\n\r\n"))
	if !bytes.Contains(head, []byte(" 200 ")) {
		return fmt.Errorf("a scrape got %s", head)
	}
	if compressed {
		unzip, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return err
		}
		if body, err = io.ReadAll(unzip); err != nil {
			return err
		}
	}
	if err := isWhole(string(body)); err != nil {
		return err
	}
	e.whole.Add(1)
	return nil
}

// isWhole returns an error if a page isn't of one hub, with everybody who stays in it.
func isWhole(page string) error {
	group, users, members := "", 0, ""
	for line := range strings.Lines(page) {
		name, rest, _ := strings.Cut(line, "{")
		if !strings.HasPrefix(name, "jupyterhub_") || strings.Contains(rest, `usergroup="`+passers+`"`) {
			continue
		}
		_, rest, _ = strings.Cut(rest, `usergroup="`)
		of, _, _ := strings.Cut(rest, `"`)
		if group == "" {
			group = of
		}
		switch {
		case of != group:
			return fmt.Errorf("a scrape is of %s and %s", group, of)
		case name == "jupyterhub_user_group_info":
			users++
		case name == "jupyterhub_group_members":
			_, members, _ = strings.Cut(strings.TrimSpace(line), "} ")
		}
	}
	if group == "" {
		return nil // before the first refresh
	}
	if want := group[strings.LastIndex(group, "-")+1:]; strconv.Itoa(users) != want || members != want {
		return fmt.Errorf("a scrape of %s has %d users, and says %s", group, users, members)
	}
	return nil
}

// state is what the exporter holds, and how its refreshes went.
type state struct {
	goroutines, files, resident, inconsistent float64
	failures                                  map[string]float64
}

func (s state) String() string {
	return fmt.Sprintf("%v goroutines, %v open files, %.1f MiB resident", s.goroutines, s.files, s.resident/(1<<20))
}

// quiet is what the exporter holds a while after all went well and nobody scraped.
func (e *exporter) quiet(ctx context.Context, h *hub) (state, error) {
	h.calm.Store(true)
	defer h.calm.Store(false)
	select {
	case <-time.After(5 * time.Second):
	case <-ctx.Done():
		return state{}, ctx.Err()
	}
	response, err := http.Get("http://" + e.address + "/metrics")
	if err != nil {
		return state{}, fmt.Errorf("%w\n%s", err, e.log.Bytes())
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		return state{}, err
	}
	if !bytes.Contains(page, []byte(`groups_exporter_hub_up{namespace="n"} 1`)) {
		return state{}, errors.New("the hub is well, and the exporter says that it is down")
	}
	s := state{failures: map[string]float64{}}
	for line := range strings.Lines(string(page)) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		value, _ := strconv.ParseFloat(text, 64)
		switch reason, isFailure := strings.CutPrefix(name, `groups_exporter_refresh_failures_total{namespace="n",reason="`); {
		case name == "go_goroutines":
			s.goroutines = value
		case name == `groups_exporter_inconsistent_refreshes_total{namespace="n"}`:
			s.inconsistent = value
		case name == "process_open_fds":
			s.files = value
		case name == "process_resident_memory_bytes":
			s.resident = value
		case isFailure && value > 0:
			s.failures[strings.TrimSuffix(reason, `"}`)] = value
		}
	}
	return s, nil
}
