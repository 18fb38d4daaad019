//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/groups-exporter/groups-exporter/e2e/cluster"
)

// Work is what a server uses and requests.
type work struct {
	Cores          float64  `json:"cores"`
	Bytes          float64  `json:"bytes"`
	RequestedCores *float64 `json:"requested_cores"`
	RequestedBytes *float64 `json:"requested_bytes"`
}

func working(cores float64, mebibytes float64) work {
	requestedCores, requestedBytes := cores+0.01, (mebibytes+32)*(1<<20)
	return work{cores, mebibytes * (1 << 20), &requestedCores, &requestedBytes}
}

// workers are users with servers. Some of their names can't be names of pods, and one of them has no requests, as by
// default.
var workers = []struct {
	user
	servers map[string]work
}{
	{user{Name: "ada@uni.example", Groups: []string{"bio", "chem", "phys"}, Servers: []string{oldServer}}, map[string]work{
		"": working(0.02, 10), "gpu": working(0.03, 20), oldServer: working(0.01, 15),
	}},
	{user{Name: "Kept.Capitals", Groups: []string{"bio"}}, map[string]work{"": working(0.02, 30)}},
	{user{Name: "007"}, map[string]work{"": working(0.01, 25)}},
	{user{Name: "dots.and_lines", Groups: []string{"chem"}}, map[string]work{"": working(0.01, 35)}},
	{user{Name: "two--hyphens-", Groups: []string{"bio", "chem"}}, map[string]work{"": working(0.01, 40)}},
	{user{Name: "日本", Groups: []string{"phys"}}, map[string]work{"": {Cores: 0.02, Bytes: 50 << 20}}},
	{user{Name: strings.Repeat("long", 50), Groups: []string{"phys"}}, map[string]work{"": working(0.01, 45)}},
	{user{Name: leaver, Groups: []string{"leavers"}}, map[string]work{"": working(0.02, 60)}},
	{user{Name: "without-server", Groups: []string{"bio"}}, nil},
}

// oldServer is a server that JupyterHub 5 created. JupyterHub 6 keeps its name, but creates none with such a name.
const oldServer = "Big Job 2.0"

// leaver is the user whose pod is deleted in the middle of the test.
const leaver = "leaver"

// A spawned server.
type spawned struct {
	user, name string
	work       work
	pod        kubernetesObject
	claim      string // name of the volume claim
	meter      *meter
}

// isBestEffort reports whether the server requests nothing, so that it gets only the CPU that no other process wants.
func (s *spawned) isBestEffort() bool { return s.work.RequestedCores == nil }

// A kubernetesObject is a pod or a claim that kubespawner has made.
type kubernetesObject struct {
	Metadata struct {
		Name                string
		Annotations, Labels map[string]string
	}
	Status struct {
		Phase             string
		ContainerStatuses []struct{ ContainerID string }
	}
}

// user returns the user and the server that the object is for, as "user/server".
func (o kubernetesObject) user() string {
	return o.Metadata.Annotations["hub.jupyter.org/username"] + "/" + o.Metadata.Annotations["hub.jupyter.org/servername"]
}

const (
	singleuserImage = "example.test/singleuser:1"
	claimsClass     = "homes"
)

// startSpawner starts a hub that runs the servers of workers in a namespace, with KubeSpawner's default configuration
// apart from what the servers use, their image and their claims.
func startSpawner(t *testing.T, k *kubernetes, namespace string, services ...service) *hub {
	t.Helper()
	prepareNode(t, k, namespace)
	people, loads := []user{}, map[string]work{}
	for _, w := range workers {
		people = append(people, w.user)
		for name, load := range w.servers {
			loads[w.Name+"/"+name] = load
		}
	}
	h := prepareHubOf(t, kubernetesHubPrefix+k.hub, k.hub, "/", people, services...)
	h.env = []string{"KUBECONFIG=" + k.Kubeconfig}
	hubClass := h.config["JupyterHub"]
	hubClass["spawner_class"], hubClass["hub_ip"], hubClass["hub_connect_ip"] = "kubespawner.KubeSpawner", "0.0.0.0", cluster.NodeIP
	delete(h.config, "Spawner")
	delete(h.config, "SimpleLocalProcessSpawner")
	h.config["KubeSpawner"] = object{
		"namespace": namespace, "image": singleuserImage,
		"storage_pvc_ensure": true, "storage_class": claimsClass, "storage_capacity": "1Gi",
		"volumes":       []object{{"name": "home", "persistentVolumeClaim": object{"claimName": "claim-{user_server}"}}},
		"volume_mounts": []object{{"name": "home", "mountPath": "/home/jovyan"}},
	}
	text, err := json.Marshal(loads)
	noError(t, err)
	writeFile(t, filepath.Join(h.dir, "loads.json"), string(text), 0o600)
	config, err := filepath.Abs("testdata/usage_config.py")
	noError(t, err)
	h.startWith(config)
	return h
}

// prepareNode makes a namespace, the image, and volumes for claims.
func prepareNode(t *testing.T, k *kubernetes, namespace string) {
	t.Helper()
	dir := t.TempDir()
	noError(t, cluster.BuildImage(t.Context(), singleuserImage, "./singleuser", filepath.Join(dir, "image.tar")))
	noError(t, k.Import(t.Context(), filepath.Join(dir, "image.tar")))
	objects := []string{fmt.Sprintf("{apiVersion: v1, kind: Namespace, metadata: {name: %s}}", namespace)}
	for i := range 12 {
		home := filepath.Join(dir, fmt.Sprint("home", i))
		noError(t, os.Mkdir(home, 0o700))
		objects = append(objects, fmt.Sprintf("{apiVersion: v1, kind: PersistentVolume, metadata: {name: home%d}, spec: {capacity: {storage: 1Gi}, "+
			"accessModes: [ReadWriteOnce], storageClassName: %s, hostPath: {path: %q}}}", i, claimsClass, home))
	}
	k.apply(t, strings.Join(objects, "\n---\n"))
}

// spawn starts the servers of workers, waits until they run, and meters them.
func spawn(t *testing.T, k *kubernetes, h *hub, namespace string) []*spawned {
	t.Helper()
	var all []*spawned
	for _, w := range workers {
		for name, load := range w.servers {
			h.change("POST", "/users/"+url.PathEscape(w.Name)+"/servers/"+url.PathEscape(name), object{})
			all = append(all, &spawned{user: w.Name, name: name, work: load})
		}
	}
	h.process.until("all servers run", 3*time.Minute, func() error {
		pods, claims := objectsIn(t, k, namespace, "pods"), objectsIn(t, k, namespace, "persistentvolumeclaims")
		for _, s := range all {
			if s.meter == nil && !s.find(t, pods, claims) {
				return fmt.Errorf("the server %q of %s isn't running", s.name, s.user)
			}
		}
		status, body := h.request(owner, "GET", "/users?state=ready", nil)
		if n := strings.Count(string(body), `"ready": true`); status != 200 || n != len(all) {
			return fmt.Errorf("%d: the hub has %d servers, want %d", status, n, len(all))
		}
		return nil
	})
	return all
}

// find looks for the running pod of the server and for its claim.
func (s *spawned) find(t *testing.T, pods, claims []kubernetesObject) bool {
	t.Helper()
	isMine := func(o kubernetesObject) bool { return o.user() == s.user+"/"+s.name }
	pod, claim := slices.IndexFunc(pods, isMine), slices.IndexFunc(claims, isMine)
	if pod < 0 || claim < 0 || pods[pod].Status.Phase != "Running" {
		return false
	}
	s.pod, s.claim = pods[pod], claims[claim].Metadata.Name
	_, id, _ := strings.Cut(s.pod.Status.ContainerStatuses[0].ContainerID, "://")
	s.meter = startMeter(t, id)
	return true
}

func objectsIn(t *testing.T, k *kubernetes, namespace, kind string) []kubernetesObject {
	t.Helper()
	text, err := k.Kubectl(t.Context(), "", "get", kind, "--namespace="+namespace, "--output=json")
	noError(t, err)
	return decode[struct{ Items []kubernetesObject }](t, text).Items
}
