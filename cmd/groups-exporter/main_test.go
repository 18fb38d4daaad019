package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/groups-exporter/groups-exporter/internal/fakehub"
	"github.com/groups-exporter/groups-exporter/internal/ports"
	"github.com/groups-exporter/groups-exporter/internal/remote"
)

// update makes the tests write what they would else compare with.
var update = flag.Bool("update", false, "write the generated files and the scripts' expectations anew")

func TestMain(m *testing.M) {
	// Most tests wait for much of their time. An argument takes precedence.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	testscript.Main(m, map[string]func(){"groups-exporter": main})
}

// TestScripts runs the whole program as a user does. The scripts in testdata have
// the hub's answers, the commands and what they print.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata",
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			// Nothing of the machine's own hub, namespace or colour.
			env.Vars = append(env.Vars, "TOKEN=s3cret-token", "JUPYTERHUB_API_TOKEN=s3cret-token", "NAMESPACE=hub")
			address, release, err := ports.Reserve()
			if err != nil {
				return err
			}
			env.Defer(release)
			env.Setenv("WORK_ESCAPED", url.PathEscape(env.WorkDir))
			env.Values["hub"] = new(*fakehub.Hub)
			env.Values["asked"] = make(chan struct{}, 1)
			_, port, err := net.SplitHostPort(address)
			env.Setenv("ADDR", address)
			env.Setenv("PORT", port)
			return err
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"hub":        startHub,
			"tlshub":     startTLSHub,
			"sockethub":  startSocketHub,
			"stale":      makeStale,
			"answer":     startAnswer,
			"prometheus": startPrometheus,
			"grant":      grant,
			"users":      changeUsers,
			"away":       away,
			"silent":     silent,
			"asked":      asked,
			"fetch":      fetch,
			"reach":      reach,
			"prints":     prints,
		},
	})
}

// startHub starts a hub with the users of a file: hub FILE [SCOPE...]. $HUB is its address.
func startHub(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: hub FILE [SCOPE...]")
	}
	serve(ts, readHub(ts, args))
}

func readHub(ts *testscript.TestScript, args []string) *fakehub.Hub {
	var told struct {
		Users  []fakehub.User `json:"users"`
		Groups []string       `json:"groups"`
		Base   string         `json:"base"`
		// Properties of groups, by group.
		Properties map[string]map[string]any `json:"properties"`
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &told))
	scopes := args[1:]
	if len(scopes) == 0 {
		scopes = []string{"list:users", "read:users:groups"}
	}
	h := &fakehub.Hub{BaseURL: told.Base}
	h.SetUsers(told.Users...)
	h.AddGroups(told.Groups...)
	for group, properties := range told.Properties {
		h.SetProperties(group, properties)
	}
	h.Grant(ts.Getenv("TOKEN"), scopes...)
	*ts.Value("hub").(**fakehub.Hub) = h
	return h
}

// grant makes a token known to the last hub: grant TOKEN [SCOPE...].
func grant(ts *testscript.TestScript, _ bool, args []string) {
	(*ts.Value("hub").(**fakehub.Hub)).Grant(args[0], args[1:]...)
}

// changeUsers replaces the users of the last hub: users FILE.
func changeUsers(ts *testscript.TestScript, _ bool, args []string) {
	var told struct {
		Users []fakehub.User `json:"users"`
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &told))
	(*ts.Value("hub").(**fakehub.Hub)).SetUsers(told.Users...)
}

// startTLSHub starts a hub that shows a certificate and wants one, which is the
// same here: tlshub FILE CERTIFICATE KEY.
func startTLSHub(ts *testscript.TestScript, _ bool, args []string) {
	server := httptest.NewUnstartedServer(readHub(ts, args[:1]))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	server.StartTLS()
	ts.Defer(server.Close)
	setHub(ts, server)
	pair := server.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	ts.Check(err)
	for name, block := range map[string]*pem.Block{
		args[1]: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]},
		args[2]: {Type: "PRIVATE KEY", Bytes: key},
	} {
		ts.Check(os.WriteFile(ts.MkAbs(name), pem.EncodeToMemory(block), 0o600))
	}
}

// startSocketHub starts a hub on a Unix socket: sockethub FILE SOCKET. $HUB is its address, as JupyterHub writes it.
func startSocketHub(ts *testscript.TestScript, _ bool, args []string) {
	server := httptest.NewUnstartedServer(readHub(ts, args[:1]))
	server.Listener.Close()
	path := ts.MkAbs(args[1])
	var err error
	server.Listener, err = net.Listen("unix", path)
	ts.Check(err)
	server.Start()
	ts.Defer(server.Close)
	ts.Setenv("HUB", "http+unix://"+url.PathEscape(path))
}

// makeStale makes a socket that a process left behind: stale SOCKET.
func makeStale(ts *testscript.TestScript, _ bool, args []string) {
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: ts.MkAbs(args[0]), Net: "unix"})
	ts.Check(err)
	listener.SetUnlinkOnClose(false)
	ts.Check(listener.Close())
}

// startAnswer starts what answers everything with one file: answer STATUS TYPE FILE.
func startAnswer(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: answer STATUS TYPE FILE")
	}
	status, err := strconv.Atoi(args[0])
	ts.Check(err)
	content := ts.ReadFile(args[2])
	serve(ts, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", args[1])
		w.WriteHeader(status)
		fmt.Fprint(w, content)
	}))
}

// startPrometheus starts a Prometheus that knows values by metric, and by user, directory or "claim|user|server":
// prometheus FILE. The file is read for each query. A metric with null is a query that fails. $PROMETHEUS is its address.
func startPrometheus(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: prometheus FILE")
	}
	file := ts.MkAbs(args[0])
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var metrics map[string]map[string]string
		data, err := os.ReadFile(file)
		if err == nil {
			err = errors.Join(json.Unmarshal(data, &metrics), r.ParseForm())
		}
		if user, password, _ := r.BasicAuth(); err != nil || user+password != "" && user+password != "adasecret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/values") {
			fmt.Fprintf(w, `{"status": "success", "data": %s}`, labelValues(metrics["labels"], path.Base(path.Dir(r.URL.Path)), r.Form["match[]"]))
			return
		}
		delete(metrics, "labels")
		if strings.HasSuffix(r.URL.Path, "/query_range") {
			fmt.Fprintf(w, `{"status": "success", "data": {"resultType": "matrix", "result": [%s]}}`, lastSamples(metrics, r.FormValue("query")))
			return
		}
		result := []string{}
		for metric, values := range metrics {
			if !strings.Contains(r.FormValue("query"), metric) {
				continue
			}
			if values == nil {
				w.WriteHeader(http.StatusUnprocessableEntity)
				fmt.Fprint(w, `{"status": "error", "errorType": "execution", "error": "found duplicate series"}`)
				return
			}
			for name, value := range values {
				parts := append(strings.Split(name, "|"), "", "")
				result = append(result, fmt.Sprintf(`{"metric": {"owner": %[1]q, "directory": %[1]q, "persistentvolumeclaim": %[1]q, "annotation_hub_jupyter_org_username": %[2]q, "annotation_hub_jupyter_org_servername": %[3]q}, "value": [1, %[4]q]}`,
					parts[0], parts[1], parts[2], value))
			}
		}
		fmt.Fprintf(w, `{"status": "success", "data": {"resultType": "vector", "result": [%s]}}`, strings.Join(result, ","))
	}))
	ts.Defer(server.Close)
	ts.Setenv("PROMETHEUS", server.URL)
}

// lastSamples returns series of users as JSON, each with a sample at the time that the file has as the value.
func lastSamples(metrics map[string]map[string]string, query string) string {
	var series []string
	for metric, times := range metrics {
		for user, when := range times {
			if strings.Contains(query, metric) && strings.Contains(query, strings.Trim(strconv.Quote(regexp.QuoteMeta(user)), `"`)) {
				series = append(series, fmt.Sprintf(`{"metric": {"username": %q}, "values": [[%s, "1"]]}`, user, when))
			}
		}
	}
	return strings.Join(series, ",")
}

// labelValues returns the values of a label as JSON, by what the file says of the label
// and of the metrics in the selectors. By default, the namespace hub has every metric.
func labelValues(told map[string]string, label string, selectors []string) string {
	for _, selector := range selectors {
		metric, _, _ := strings.Cut(selector, "{")
		for _, name := range []string{label + " " + selector, label + " " + metric} {
			if values, ok := told[name]; ok {
				return values
			}
		}
	}
	if label == "namespace" {
		return `["hub"]`
	}
	return `[]`
}

func serve(ts *testscript.TestScript, handler http.Handler) {
	server := httptest.NewServer(handler)
	ts.Defer(server.Close)
	setHub(ts, server)
}

// setHub sets the variables for the address of a hub.
func setHub(ts *testscript.TestScript, server *httptest.Server) {
	ts.Setenv("HUB", server.URL)
	host, port, err := net.SplitHostPort(server.Listener.Addr().String())
	ts.Check(err)
	ts.Setenv("HUBHOST", host)
	ts.Setenv("HUBPORT", port)
}

// away starts a hub that fails while a file exists: away MARKER FILE [SCOPE...].
func away(ts *testscript.TestScript, _ bool, args []string) {
	h := readHub(ts, args[1:])
	marker := ts.MkAbs(args[0])
	h.Intercept = func(w http.ResponseWriter, _ *http.Request) bool {
		_, err := os.Stat(marker)
		if err == nil {
			w.WriteHeader(http.StatusInternalServerError)
		}
		return err == nil
	}
	serve(ts, h)
}

// silent starts a hub that never answers: silent.
func silent(ts *testscript.TestScript, _ bool, _ []string) {
	requested := ts.Value("asked").(chan struct{})
	serve(ts, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case requested <- struct{}{}:
		default:
		}
		<-r.Context().Done()
	}))
}

// asked waits until the silent hub gets a request: asked.
func asked(ts *testscript.TestScript, _ bool, _ []string) {
	select {
	case <-ts.Value("asked").(chan struct{}):
	case <-time.After(time.Minute):
		ts.Fatalf("no request to the silent hub in a minute")
	}
}

// fetch asks until an answer has the status, and keeps its body: fetch [METHOD:]STATUS URL FILE [TEXT]. With TEXT it
// goes on until that is in it, with !TEXT until it isn't. $AUTHORIZATION is sent along.
func fetch(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: fetch STATUS URL FILE [TEXT]")
	}
	method, want, ok := strings.Cut(args[0], ":")
	if !ok {
		method, want = http.MethodGet, args[0]
	}
	askUntil(ts, method, want, args[1], args[2], func(body string) error {
		if len(args) > 3 && strings.Contains(body, strings.TrimPrefix(args[3], "!")) == strings.HasPrefix(args[3], "!") {
			return fmt.Errorf("not %q:\n%s", args[3], body)
		}
		return nil
	})
}

// reach asks until a counter has reached a value, and keeps the page of metrics: reach VALUE URL FILE SERIES.
func reach(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 4 {
		ts.Fatalf("usage: reach VALUE URL FILE SERIES")
	}
	want, err := strconv.ParseFloat(args[0], 64)
	ts.Check(err)
	askUntil(ts, http.MethodGet, "200", args[1], args[2], func(body string) error {
		for line := range strings.Lines(body) {
			if value, ok := strings.CutPrefix(line, args[3]+" "); ok {
				if got, err := strconv.ParseFloat(strings.TrimSpace(value), 64); err != nil || got < want {
					return errors.Join(fmt.Errorf("%s is %v, not yet %v", args[3], got, want), err)
				}
				return nil
			}
		}
		return fmt.Errorf("no %s:\n%s", args[3], body)
	})
}

// prints runs a command until it prints what is in a file, for a minute: prints FILE COMMAND [ARGUMENT...].
func prints(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: prints FILE COMMAND [ARGUMENT...]")
	}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		ts.Check(ts.Exec(args[1], args[2:]...))
		if ts.ReadFile("stdout") == ts.ReadFile(args[0]) {
			return
		}
	}
	ts.Fatalf("it doesn't print %s", args[0])
}

// askUntil asks until an answer has the status and is as it should be, and keeps its
// body. It gives up after a minute: on a slow machine, much takes longer than it should.
func askUntil(ts *testscript.TestScript, method, want, url, file string, check func(body string) error) {
	var err error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		var status int
		var body string
		status, body, err = ask(method, url, ts.Getenv("AUTHORIZATION"))
		if err == nil && strconv.Itoa(status) != want {
			err = fmt.Errorf("status %d", status)
		}
		if err == nil {
			err = check(body)
		}
		if err == nil {
			ts.Check(os.WriteFile(ts.MkAbs(file), []byte(body), 0o600))
			return
		}
	}
	ts.Fatalf("%s: %v", url, err)
}

func ask(method, address, authorization string) (int, string, error) {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
	if strings.HasPrefix(address, remote.HTTPUnix) {
		u, err := remote.ParseURLOrSocket(address)
		if err != nil {
			return 0, "", err
		}
		transport.DialContext = remote.DialSocket(remote.Socket(u))
		address = remote.RequestURL(u).String()
	}
	request, err := http.NewRequest(method, address, nil) //nolint:noctx // bounded by the script
	if err != nil {
		return 0, "", err
	}
	request.Header.Set("Authorization", authorization)
	client := http.Client{Transport: transport}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}
