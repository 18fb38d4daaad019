//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A service of a hub. Its token is token(name).
type service struct {
	name    string
	scopes  []string
	url     string
	command []string // the hub runs it, if set
}

func token(service string) string { return "token-of-" + service }

// reader has the scopes that the program needs, and owner has all scopes.
var reader = service{name: "reader", scopes: []string{"list:users", "read:users:groups"}}

const owner = "owner"

// A real hub with its proxy, in its own folder and on its own ports.
type hub struct {
	t       *testing.T
	dir     string
	version string
	python  string   // folder of the Python environment with JupyterHub
	env     []string // more environment variables
	public  string   // address at the proxy
	api     string   // address of the REST API, without the proxy
	process *process
	config  map[string]object // jupyterhub_config.json, by class; nil if there is none
}

type object map[string]any

// startHub starts a hub at the root path.
func startHub(t *testing.T, version string, people []user, services ...service) *hub {
	t.Helper()
	h := prepareHub(t, version, "/", people, services...)
	h.start()
	return h
}

// prepareHub prepares a hub below the path base, with users in its database, without starting it.
func prepareHub(t *testing.T, version, base string, people []user, services ...service) *hub {
	t.Helper()
	return prepareHubOf(t, hubPrefix+version, version, base, people, services...)
}

// prepareHubOf is like prepareHub, for a hub that is installed in a Python environment.
func prepareHubOf(t *testing.T, python, version, base string, people []user, services ...service) *hub {
	t.Helper()
	publicPort, apiPort := freePort(t), freePort(t)
	h := &hub{
		t:       t,
		dir:     t.TempDir(),
		version: version,
		python:  python,
		public:  fmt.Sprintf("http://127.0.0.1:%d%s", publicPort, base),
		api:     fmt.Sprintf("http://127.0.0.1:%d%shub/api", apiPort, base),
	}
	singleuser, err := filepath.Abs("testdata/singleuser.py")
	noError(t, err)
	configured, roles := configuration(services)
	h.config = map[string]object{
		"JupyterHub": {
			"bind_url":            h.public,
			"hub_ip":              "127.0.0.1",
			"hub_port":            apiPort,
			"db_url":              "sqlite:///jupyterhub.sqlite",
			"authenticator_class": "dummy",
			"spawner_class":       "simple",
			"allow_named_servers": true,
			"log_level":           "DEBUG", // logs how a service was stopped
			"services":            configured,
			"load_roles":          roles,
		},
		"ConfigurableHTTPProxy": {
			"command": []string{proxy},
			"api_url": freeAddress(t),
		},
		"Spawner":                   {"cmd": []string{"python3", singleuser}},
		"SimpleLocalProcessSpawner": {"home_dir_template": h.dir + "/home/{username}"},
	}
	h.load(people)
	t.Cleanup(h.sweep) // runs after the hub is stopped: the last cleanup runs first
	return h
}

// configuration returns the options services and load_roles of a hub.
func configuration(services []service) (configured, roles []object) {
	configured = []object{{"name": owner, "api_token": token(owner), "admin": true}}
	roles = []object{}
	for _, s := range services {
		entry := object{"name": s.name, "api_token": token(s.name)}
		if s.url != "" {
			entry["url"] = s.url
		}
		if s.command != nil {
			entry["command"] = s.command
		}
		configured = append(configured, entry)
		if len(s.scopes) > 0 {
			roles = append(roles, object{"name": "of-" + s.name, "services": []string{s.name}, "scopes": s.scopes})
		}
	}
	return configured, roles
}

func (h *hub) start() {
	h.t.Helper()
	h.startWith("jupyterhub_config.json")
}

// startWith starts the hub with a configuration file.
func (h *hub) startWith(file string) {
	h.t.Helper()
	if h.config != nil {
		text, err := json.Marshal(h.config)
		noError(h.t, err)
		writeFile(h.t, filepath.Join(h.dir, "jupyterhub_config.json"), string(text), 0o600)
	}
	env := append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + h.dir}, h.env...)
	h.process = launch(h.t, h.dir, env, h.python+"/bin/jupyterhub", "-f", file)
	h.process.untilLogged("JupyterHub is now running")
}

func (h *hub) stop() {
	h.t.Helper()
	h.process.end(syscall.SIGTERM)
}

// stopWithout stops the hub, and checks that some texts are not in its log and those of its services.
func (h *hub) stopWithout(texts ...string) {
	h.t.Helper()
	h.stop()
	for _, text := range texts {
		if strings.Contains(h.process.output(), text) {
			h.t.Errorf("%q in the log of the hub and its services\n%s", text, h.process.tail())
		}
	}
}

// sweep ends processes that the hub has left: its proxy, services and servers all work in its folder.
func (h *hub) sweep() {
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		left := workingIn(h.t, h.dir)
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			for pid, command := range left {
				syscall.Kill(pid, syscall.SIGKILL)
				h.t.Errorf("left running by the hub: %d %s", pid, command)
			}
			return
		}
	}
}

// load writes users and their groups into the database.
func (h *hub) load(people []user) {
	h.t.Helper()
	input, err := json.Marshal(map[string]any{"groups": []string{emptyGroup}, "users": people})
	noError(h.t, err)
	outputOf(h.t, "", os.Environ(), string(input), h.python+"/bin/python", "testdata/load.py", "sqlite:///"+h.dir+"/jupyterhub.sqlite")
}

// request sends a request to the REST API and returns the status and the body of the response.
func (h *hub) request(service, method, path string, body any) (int, []byte) {
	h.t.Helper()
	content, err := json.Marshal(body)
	noError(h.t, err)
	request, err := http.NewRequest(method, h.api+path, bytes.NewReader(content))
	noError(h.t, err)
	request.Header.Set("Authorization", "token "+token(service))
	request.Header.Set("Accept", "application/jupyterhub-pagination+json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		h.t.Fatalf("%v\n%s", err, h.process.tail())
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	noError(h.t, err)
	return response.StatusCode, answer
}

// newToken creates a token for a user, as the hub's Token page does.
func (h *hub) newToken(user string) string {
	h.t.Helper()
	status, answer := h.request(owner, "POST", "/users/"+user+"/tokens", map[string]string{"note": "mine"})
	created := decode[struct{ Token string }](h.t, string(answer)).Token
	if created == "" {
		h.t.Fatalf("a token of %s: %d %s", user, status, answer)
	}
	return created
}

// change sends a request with the token of the owner.
func (h *hub) change(method, path string, body any) {
	h.t.Helper()
	if status, answer := h.request(owner, method, path, body); status/100 != 2 {
		h.t.Fatalf("%s %s: %d %s", method, path, status, answer)
	}
}

// front starts a proxy in front of the hub. It calls between for each request.
func (h *hub) front(between func(r *http.Request, answer func())) string {
	h.t.Helper()
	hub, err := url.Parse(h.api)
	noError(h.t, err)
	forward := httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = hub.Scheme, hub.Host
			// The hub builds the address of the next page from this host, which doesn't exist.
			r.Out.Host = "elsewhere.invalid"
		},
		ErrorLog: log.New(io.Discard, "", 0), // errors occur when a test stops the hub
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		between(r, func() { forward.ServeHTTP(w, r) })
	}))
	h.t.Cleanup(server.Close)
	return server.URL
}
