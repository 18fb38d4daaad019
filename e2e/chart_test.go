//go:build e2e

package e2e

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/groups-exporter/groups-exporter/e2e/cluster"
	"github.com/groups-exporter/groups-exporter/internal/fakehub"
)

const chart = "../deploy/helm/groups-exporter"

// prepareHub prepares a hub that the cluster's pods can reach.
func (k *kubernetes) prepareHub(t *testing.T, services ...service) *hub {
	t.Helper()
	h := prepareHub(t, versions[0], "/", readers(), services...)
	h.config["JupyterHub"]["hub_ip"] = cluster.NodeIP
	h.api = strings.Replace(h.api, "127.0.0.1", cluster.NodeIP, 1)
	return h
}

// serveOnNode starts a server that the cluster's pods can reach, and returns its address.
func serveOnNode(t *testing.T, handler http.Handler) *url.URL {
	t.Helper()
	listener, err := net.Listen("tcp", cluster.NodeIP+":0")
	noError(t, err)
	server := httptest.NewUnstartedServer(handler)
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	address, err := url.Parse(server.URL)
	noError(t, err)
	return address
}

// endpointOnNode is a service with a name in a namespace, and its endpoint: a port of the node.
func endpointOnNode(name, namespace, servicePort, nodePort string) string {
	return fmt.Sprintf(`
---
apiVersion: v1
kind: Service
metadata: {name: %[1]s, namespace: %[2]s}
spec: {ports: [{port: %[3]s, targetPort: %[4]s}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: %[1]s, namespace: %[2]s, labels: {kubernetes.io/service-name: %[1]s}}
addressType: IPv4
ports: [{port: %[4]s}]
endpoints: [{addresses: [%[5]s]}]
`, name, namespace, servicePort, nodePort, cluster.NodeIP)
}

// namespaceWith creates a namespace in which pods have to be restricted, with a service and a secret named hub, as Zero to
// JupyterHub makes them. api is an address of the hub on the node.
func (k *kubernetes) namespaceWith(t *testing.T, name, api, token string) *installation {
	t.Helper()
	address, err := url.Parse(api)
	noError(t, err)
	k.apply(t, fmt.Sprintf(`
apiVersion: v1
kind: Namespace
metadata: {name: %[1]s, labels: {pod-security.kubernetes.io/enforce: restricted}}
---
apiVersion: v1
kind: Secret
metadata: {name: hub, namespace: %[1]s}
stringData: {hub.services.groups-exporter.apiToken: %[2]q}
`, name, token)+endpointOnNode("hub", name, "8081", address.Port()))
	return &installation{k, t, name}
}

// An installation of the chart in a namespace.
type installation struct {
	*kubernetes
	t         *testing.T
	namespace string
}

func (r *installation) helm(args ...string) string {
	r.t.Helper()
	out, err := r.tryHelm(args...)
	if err != nil {
		r.t.Fatalf("%v\n%s", err, r.state())
	}
	return out
}

// tryHelm runs Helm, and returns all of its output.
func (r *installation) tryHelm(args ...string) (string, error) {
	return combined(append([]string{helm, "--namespace=" + r.namespace, "--kubeconfig=" + r.Kubeconfig}, args...)...)
}

// install installs the chart, or upgrades it, and waits until its pods are ready and its service reaches them.
func (r *installation) install(args ...string) {
	r.t.Helper()
	r.helm(append([]string{"upgrade", "--install", "groups-exporter", chart, "--wait", "--timeout=4m"}, args...)...)
	r.until("the service reaches the pods", 30*time.Second, func() error {
		_, err := r.scrape()
		return err
	})
}

func (r *installation) kubectl(args ...string) string {
	r.t.Helper()
	out, err := r.Kubectl(r.t.Context(), "", append([]string{"--namespace=" + r.namespace}, args...)...)
	noError(r.t, err)
	return strings.TrimSpace(out)
}

// state describes the namespace, for failures.
func (r *installation) state() string {
	var all []string
	for _, args := range [][]string{{"get", "pods,events", "--output=wide"}, {"logs", "--all-containers", "--selector=app.kubernetes.io/name=groups-exporter"}} {
		out, err := r.Kubectl(r.t.Context(), "", append([]string{"--namespace=" + r.namespace}, args...)...)
		all = append(all, out)
		if err != nil {
			all = append(all, err.Error())
		}
	}
	return strings.Join(all, "\n")
}

// until waits for check to return nil.
func (r *installation) until(what string, limit time.Duration, check func() error) {
	r.t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(500 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("not in %v: %s: %v\n%s", limit, what, err, r.state())
		}
	}
}

// service returns the address of the exporter's service.
func (r *installation) service() string {
	r.t.Helper()
	body, err := r.Get(r.t.Context(), "/api/v1/namespaces/"+r.namespace+"/services/groups-exporter")
	noError(r.t, err)
	service := decode[struct {
		Spec struct {
			ClusterIP string
			Ports     []struct{ Port int }
		}
	}](r.t, string(body))
	return fmt.Sprintf("http://%s:%d", service.Spec.ClusterIP, service.Spec.Ports[0].Port)
}

// scrape scrapes the service. With a new connection for each scrape, any of its pods may answer.
func (r *installation) scrape() (string, error) {
	return getBy(&http.Transport{DisableKeepAlives: true}, "", r.service()+"/metrics")
}

// An exporterPod is a pod of the exporter.
type exporterPod struct {
	Metadata struct{ Name, UID string }
	Spec     struct {
		Containers []struct {
			Resources struct{ Limits struct{ Memory string } }
		}
	}
	Status struct {
		ContainerStatuses []struct {
			ContainerID  string
			RestartCount int
			Ready        bool
		}
	}
}

// pods returns the exporter's pods.
func (r *installation) pods() []exporterPod {
	r.t.Helper()
	body, err := r.Get(r.t.Context(), "/api/v1/namespaces/"+r.namespace+"/pods?labelSelector=app.kubernetes.io/component%3Dexporter")
	noError(r.t, err)
	return decode[struct{ Items []exporterPod }](r.t, string(body)).Items
}

// uids returns the identities of the exporter's pods.
func (r *installation) uids() []string {
	r.t.Helper()
	var uids []string
	for _, pod := range r.pods() {
		uids = append(uids, pod.Metadata.UID)
	}
	return uids
}

// pod returns the exporter's only pod.
func (r *installation) pod() exporterPod {
	r.t.Helper()
	pods := r.pods()
	if len(pods) != 1 || len(pods[0].Status.ContainerStatuses) != 1 {
		r.t.Fatalf("want one pod with one container: %+v", pods)
	}
	return pods[0]
}

// processes returns the processes of the exporter's pods, as the node sees them.
func (r *installation) processes() []int {
	r.t.Helper()
	var pids []int
	for _, pod := range r.pods() {
		for _, container := range pod.Status.ContainerStatuses {
			pids = append(pids, r.tasks(strings.TrimPrefix(container.ContainerID, "containerd://"))...)
		}
	}
	return pids
}

// process returns the process of the exporter's only pod.
func (r *installation) process() int {
	r.t.Helper()
	pids := r.processes()
	if len(pids) != 1 {
		r.t.Fatalf("%d processes, want 1", len(pids))
	}
	return pids[0]
}

// tasks returns the processes of a container, or none if the container has ended.
func (r *installation) tasks(container string) []int {
	r.t.Helper()
	out, err := exec.CommandContext(r.t.Context(), "ctr", "--namespace=k8s.io", "tasks", "ps", container).CombinedOutput()
	if err != nil && !strings.Contains(string(out), "no running task found") {
		r.t.Fatalf("%v\n%s", err, out)
	}
	var pids []int
	for _, line := range regexp.MustCompile(`(?m)^(\d+)\s`).FindAllStringSubmatch(string(out), -1) {
		pid, err := strconv.Atoi(line[1])
		noError(r.t, err)
		pids = append(pids, pid)
	}
	return pids
}

// chartOn tests the chart on a cluster.
func chartOn(t *testing.T, k *kubernetes) {
	few := service{name: "few", scopes: []string{"list:users!group=chem", "read:users:groups"}}
	groupless := service{name: "groupless", scopes: []string{"list:users"}}
	h := k.prepareHub(t, reader, few, groupless)
	h.start()
	k.apply(t, "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: jupyterhub-default-priority}\nvalue: 10\n")
	for name, test := range map[string]func(*testing.T){
		"defaults": func(t *testing.T) { chartDefaults(t, k, h, few, groupless) },
		"values":   func(t *testing.T) { chartValues(t, k, h) },
		"upgrade":  func(t *testing.T) { chartUpgrade(t, k, h) },
		"hang":     func(t *testing.T) { chartHang(t, k, h) },
		"memory":   func(t *testing.T) { chartMemory(t, k) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

// Without values, the chart runs beside Zero to JupyterHub, and nothing is left when it is uninstalled.
func chartDefaults(t *testing.T, k *kubernetes, h *hub, few, groupless service) {
	r := k.namespaceWith(t, "defaults", h.api, token(few.name))
	before := r.objects()
	r.install()
	fewer := published([]user{readers()[0]})
	r.until("the memberships that the token can read are published", 30*time.Second, func() error {
		exposition, err := r.scrape()
		if err != nil {
			return err
		}
		return sameMemberships(fewer, exposition)
	})
	r.confined()

	r.rotate(reader)
	if out := r.helm("test", "groups-exporter", "--logs"); !strings.Contains(out, "Phase:          Succeeded") || !strings.Contains(out, "ok: nothing that serve needs is missing") {
		t.Errorf("helm test doesn't show what the token can do:\n%s", out)
	}
	r.rotate(groupless)
	out, err := r.tryHelm("test", "groups-exporter", "--logs")
	if err == nil || !strings.Contains(out, "groups-exporter: the hub token is missing the scope read:users:groups") {
		t.Errorf("helm test with a token without read:users:groups: %v\n%s", err, out)
	}

	r.helm("uninstall", "groups-exporter", "--wait", "--timeout=60s")
	r.until("nothing is left", 30*time.Second, func() error { return same(before, r.objects()) })
}

// confined checks the identity and the permissions of the exporter's process.
func (r *installation) confined() {
	r.t.Helper()
	pid := strconv.Itoa(r.process())
	containsAll(r.t, "process status", read(r.t, "/proc/"+pid+"/status"), "Uid:\t65532\t65532", "Gid:\t65532\t65532",
		"CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2")
	root := regexp.MustCompile(`(?m)^\S+ \S+ \S+ \S+ / (\S+) `).FindStringSubmatch(read(r.t, "/proc/"+pid+"/mountinfo"))
	if root == nil || !strings.HasPrefix(root[1], "ro") {
		r.t.Errorf("the root of the container is mounted as %q, want read-only", root)
	}
	if account := "/proc/" + pid + "/root/var/run/secrets/kubernetes.io"; !missing(account) {
		r.t.Errorf("the pod has a token for the API server: %s", account)
	}
}

func missing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, os.ErrNotExist)
}

// rotate replaces the token, and waits until the running pod has read it.
func (r *installation) rotate(to service) {
	r.t.Helper()
	pods := r.uids()
	r.kubectl("patch", "secret", "hub", "--patch="+fmt.Sprintf(`{"stringData": {"hub.services.groups-exporter.apiToken": %q}}`, token(to.name)))
	r.untilToken(token(to.name))
	report(r.t, "the pods after a new token", same(pods, r.uids()))
}

// untilToken waits until the kubelet has replaced the token of all pods.
func (r *installation) untilToken(want string) {
	r.t.Helper()
	r.until("the pods have the new token", 90*time.Second, func() error {
		pids := r.processes() // those of an earlier installation may still be ending
		if len(pids) == 0 {
			return errors.New("there is no process")
		}
		for _, pid := range pids {
			got, err := os.ReadFile(fmt.Sprintf("/proc/%d/root/etc/groups-exporter/hub/token", pid))
			if err = cmp.Or(err, same(want, string(got))); err != nil {
				return err
			}
		}
		return nil
	})
}

// objects lists all objects in the namespace but events, which nobody can delete.
func (r *installation) objects() []string {
	r.t.Helper()
	var listed []string
	for kind := range strings.FieldsSeq(r.kubectl("api-resources", "--verbs=list", "--namespaced", "--output=name")) {
		if !strings.HasPrefix(kind, "events") && !strings.HasSuffix(kind, ".metrics.k8s.io") {
			listed = append(listed, kind)
		}
	}
	return strings.Fields(r.kubectl("get", strings.Join(listed, ","), "--output=name", "--ignore-not-found"))
}

// The API server accepts each set of values, with the custom resources of the Prometheus operator and of Google, and
// admits its pods to a namespace where they have to be restricted.
func chartValues(t *testing.T, k *kubernetes, h *hub) {
	sets, err := filepath.Glob(chart + "/ci/*-values.yaml")
	noError(t, err)
	for _, file := range sets {
		name := strings.TrimSuffix(filepath.Base(file), "-values.yaml")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := k.namespaceWith(t, "values-"+name, h.api, token(reader.name))
			r.helm("install", "groups-exporter", chart, "--values="+file, "--set=dashboard.namespace=values-"+name)
			for cronJob := range strings.FieldsSeq(r.kubectl("get", "cronjobs", "--output=name")) {
				r.kubectl("create", "job", "--from="+cronJob, "now")
			}
			owners := "--output=jsonpath={range .items[*]}{.metadata.ownerReferences[0].kind} {end}"
			r.until("the pods are admitted", 90*time.Second, func() error {
				want := strings.Fields(r.kubectl("get", "replicasets,jobs", "--output=jsonpath={range .items[*]}{.kind} {end}"))
				got := map[string]bool{}
				for kind := range strings.FieldsSeq(r.kubectl("get", "pods", owners)) {
					got[kind] = true
				}
				for _, kind := range want {
					if !got[kind] {
						return fmt.Errorf("no pod of the %s", kind)
					}
				}
				if len(want) == 0 {
					return errors.New("nothing owns pods")
				}
				return nil
			})
			r.helm("uninstall", "groups-exporter")
		})
	}
}

// A client that scrapes throughout upgrades and a rollback never misses a membership.
func chartUpgrade(t *testing.T, k *kubernetes, h *hub) {
	r := k.namespaceWith(t, "upgrade", h.api, token(reader.name))
	r.install()
	address := r.service()
	var scrapes atomic.Int64
	stop, failed := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(failed)
		for {
			select {
			case <-stop:
				return
			default:
			}
			exposition, err := getBy(&http.Transport{DisableKeepAlives: true}, "", address+"/metrics")
			if err == nil {
				err = sameMemberships(published(readers()), exposition)
			}
			if err != nil {
				failed <- fmt.Errorf("scrape %d: %w", scrapes.Load(), err)
				return
			}
			scrapes.Add(1)
			time.Sleep(20 * time.Millisecond)
		}
	}()
	r.install("--values=" + chart + "/ci/operator-values.yaml")
	r.install("--values=" + chart + "/ci/replicas-values.yaml")
	r.helm("rollback", "groups-exporter", "1", "--wait", "--timeout=90s")
	r.until("one pod is left", time.Minute, func() error { return same(1, len(r.pods())) })
	close(stop)
	if err := <-failed; err != nil {
		t.Errorf("%v\n%s", err, r.state())
	}
	if n := scrapes.Load(); n < 50 {
		t.Errorf("%d scrapes", n)
	}
}

// The liveness probe restarts a pod that hangs.
func chartHang(t *testing.T, k *kubernetes, h *hub) {
	r := k.namespaceWith(t, "hang", h.api, token(reader.name))
	r.install("--set=livenessProbe.periodSeconds=2,livenessProbe.timeoutSeconds=5") // enough for a busy machine
	noError(t, syscall.Kill(r.process(), syscall.SIGSTOP))
	r.until("the pod is restarted", 2*time.Minute, func() error {
		if status := r.pod().Status.ContainerStatuses[0]; status.RestartCount != 1 || !status.Ready {
			return fmt.Errorf("%+v", status)
		}
		return nil
	})
}

// 100,000 users fit into the memory limit.
func chartMemory(t *testing.T, k *kubernetes) {
	const users = 100_000
	demo := fakehub.NewDemo(1, users, token("many"), time.Now())
	r := k.namespaceWith(t, "memory", serveOnNode(t, demo).String(), token("many"))
	r.install("--set=with={share,activity}")
	for range 5 {
		exposition, err := r.scrape()
		noError(t, err)
		if n := strings.Count(exposition, "\njupyterhub_user_group_info{"); n < users {
			t.Fatalf("%d memberships of %d users", n, users)
		}
	}
	pod := r.pod()
	report(t, "restarts", same(0, pod.Status.ContainerStatuses[0].RestartCount))
	limit := pod.Spec.Containers[0].Resources.Limits.Memory
	t.Logf("peak of %s, limit %s", regexp.MustCompile(`VmHWM:\s+(.*)`).FindStringSubmatch(read(t, fmt.Sprintf("/proc/%d/status", r.process())))[1], limit)
}
