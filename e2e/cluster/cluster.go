//go:build linux

// Package cluster runs a Kubernetes of one node on this machine, for tests: etcd, containerd and runc of Debian, and
// Kubernetes' own programs, which the script build compiles.
//
// A cluster runs in its own mount, network and PID namespaces. Its mounts, interfaces, netfilter rules and processes end
// with the process that started it, whatever happens. Only its control groups and its folder remain. Sandbox.Remove
// removes the control groups.
package cluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// NodeIP is the address of the node, which has no other network than the cluster's.
const NodeIP = "10.88.1.1"

const (
	podsCIDR     = "10.88.0.0/24"
	gateway      = "10.88.0.1" // the node, as pods see it
	servicesCIDR = "10.88.2.0/24"
	apiServer    = "https://" + NodeIP + ":6443"
	etcd         = "http://127.0.0.1:2379"
)

// nodeName is the name of the node.
const nodeName = "node1"

// AdminToken authenticates an administrator to the API server and the kubelet.
const AdminToken = "admin-token"

// identities are the users as whom Kubernetes' programs authenticate, with a token each. Their roles come with Kubernetes.
var identities = []struct{ program, user, groups string }{
	{"admin", "admin", "system:masters"},
	{"kube-controller-manager", "system:kube-controller-manager", ""},
	{"kube-scheduler", "system:kube-scheduler", ""},
	{"kube-proxy", "system:kube-proxy", ""},
	{"kubelet", "system:node:" + nodeName, "system:nodes"},
}

// A Cluster is a running Kubernetes.
type Cluster struct {
	Kubeconfig string // of an administrator
	Programs   string // folder with kubectl and the other programs

	dir     string
	cgroup  string
	client  *http.Client
	running []*process
}

// A process is a program of the cluster.
type process struct {
	name, log string
	done      chan struct{}
}

// Start starts a cluster and waits until its node is ready. programs is a folder that build has filled. It has to be
// called by the process that a Sandbox has started. The cluster ends with this process.
//
// It returns an error that says what the machine lacks, or the end of the log of the program that has failed.
func Start(ctx context.Context, programs string) (*Cluster, error) {
	s, err := current()
	if err != nil {
		return nil, err
	}
	c := &Cluster{Kubeconfig: filepath.Join(s.Dir, "admin.kubeconfig"), Programs: programs, dir: s.Dir, cgroup: s.cgroup()}
	for _, step := range []func(context.Context) error{
		c.checkMachine, c.mount, c.connect, c.writeFiles, c.startControlPlane, c.startNode, c.serveNames,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// checkMachine returns an error that names what the machine lacks.
func (c *Cluster) checkMachine(context.Context) error {
	var missing []string
	for _, program := range []string{"etcd", "containerd", "ctr", "runc", "ip", "nft", "mount", "openssl"} {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, program)
		}
	}
	for _, file := range []string{filepath.Join(c.Programs, "kubelet"), plugins + "/ptp", plugins + "/host-local"} {
		if _, err := os.Stat(file); err != nil {
			missing = append(missing, file)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("a Kubernetes can't run here: missing %s", strings.Join(missing, ", "))
	}
	return nil
}

// mount mounts the cluster's own folders. They are in memory, because the kernel refuses an overlay on another overlay, and
// because etcd would wait for each write to a disk.
func (c *Cluster) mount(ctx context.Context) error {
	return c.shell(ctx, `
		mount --make-rshared /
		mount -t tmpfs -o mode=755 cluster /run
		mount -t tmpfs -o mode=755 cluster "$0"
		mkdir "$0/containerd" "$0/kubelet" "$0/cni"
		for folder in etc opt var; do
			mkdir "$0/$folder" "$0/$folder.work"
			mount -t overlay -o "lowerdir=/$folder,upperdir=$0/$folder,workdir=$0/$folder.work" cluster "/$folder"
		done`, c.dir)
}

// connect gives the node an address. The default route has no end, but without one the kernel refuses to send to the
// address of a service before kube-proxy's rules replace it.
func (c *Cluster) connect(ctx context.Context) error {
	return c.shell(ctx, `
		ip link set lo up
		ip link add node type bridge
		ip address add "$0/32" dev node
		ip link set node up
		ip route add default dev node
		echo 1 > /proc/sys/net/ipv4/ip_forward`, NodeIP)
}

func (c *Cluster) startControlPlane(ctx context.Context) error {
	if err := c.start("etcd", "etcd", "--data-dir="+c.file("etcd"), "--listen-client-urls="+etcd, "--advertise-client-urls="+etcd,
		"--listen-peer-urls=http://127.0.0.1:2380", "--unsafe-no-fsync"); err != nil {
		return err
	}
	err := c.start("kube-apiserver", c.program("kube-apiserver"), "--etcd-servers="+etcd, "--advertise-address="+NodeIP,
		"--service-cluster-ip-range="+servicesCIDR, "--authorization-mode=Node,RBAC", "--token-auth-file="+c.file("tokens.csv"),
		"--cert-dir="+c.file("certificates"), "--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+c.file("account.pub"), "--service-account-signing-key-file="+c.file("account.key"),
		"--kubelet-preferred-address-types=InternalIP", "--allow-privileged",
		"--kubelet-client-certificate="+c.file("apiserver.crt"), "--kubelet-client-key="+c.file("apiserver.key"))
	if err != nil {
		return err
	}
	if err := c.until(ctx, "the API server is ready", func() error {
		if err := c.trust(); err != nil {
			return err
		}
		_, err := c.Get(ctx, "/readyz")
		return err
	}); err != nil {
		return err
	}
	if err := c.start("kube-controller-manager", c.program("kube-controller-manager"), c.as("kube-controller-manager"),
		"--use-service-account-credentials", "--service-account-private-key-file="+c.file("account.key"),
		"--root-ca-file="+c.file("certificates/apiserver.crt"), "--leader-elect=false",
		"--authentication-kubeconfig="+c.file("kube-controller-manager.kubeconfig"),
		"--authorization-kubeconfig="+c.file("kube-controller-manager.kubeconfig")); err != nil {
		return err
	}
	return c.start("kube-scheduler", c.program("kube-scheduler"), c.as("kube-scheduler"), "--leader-elect=false")
}

func (c *Cluster) startNode(ctx context.Context) error {
	if err := c.start("containerd", "containerd", "--config="+c.file("containerd.toml")); err != nil {
		return err
	}
	if err := c.until(ctx, "containerd answers", func() error { return c.run(ctx, "ctr", "version") }); err != nil {
		return err
	}
	if err := c.importPause(ctx); err != nil {
		return err
	}
	// Containers are measured every 2 s and not every 10 s, so that a minute has as many samples as five minutes usually have.
	if err := c.start("kubelet", c.program("kubelet"), c.as("kubelet"), "--config="+c.file("kubelet.yaml"), "--housekeeping-interval=2s",
		"--root-dir="+c.file("kubelet"), "--hostname-override="+nodeName, "--node-ip="+NodeIP); err != nil {
		return err
	}
	if err := c.start("kube-proxy", c.program("kube-proxy"), "--config="+c.file("kube-proxy.yaml"), "--hostname-override="+nodeName); err != nil {
		return err
	}
	return c.until(ctx, "the node is ready", func() error {
		out, err := c.Kubectl(ctx, "", "get", "node", nodeName, "--output=jsonpath={.status.conditions[?(@.type=='Ready')].status}")
		if err == nil && out != "True" {
			err = errors.New("it isn't")
		}
		return err
	})
}

// Import adds the images of an archive to the node.
func (c *Cluster) Import(ctx context.Context, archive string) error {
	return c.run(ctx, "ctr", "--namespace=k8s.io", "images", "import", "--no-unpack=false", archive)
}

// Kubectl runs kubectl as the administrator, and returns its standard output.
func (c *Cluster) Kubectl(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.program("kubectl"), args...)
	cmd.Env, cmd.Stdin = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig), strings.NewReader(stdin)
	return outputOf(cmd)
}

// Get returns the body of the API server's answer to the administrator. Any status but 200 is an error.
func (c *Cluster) Get(ctx context.Context, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, apiServer+path, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+AdminToken)
	response, err := c.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %s", path, response.Status, body)
	}
	return body, err
}

// trust reads the certificate that the API server has made for itself.
func (c *Cluster) trust() error {
	certificate, err := os.ReadFile(c.file("certificates/apiserver.crt"))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(certificate) {
		return errors.New("the API server's certificate isn't written yet")
	}
	c.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}, Timeout: 10 * time.Second}
	return nil
}

func (c *Cluster) file(name string) string    { return filepath.Join(c.dir, name) }
func (c *Cluster) program(name string) string { return filepath.Join(c.Programs, name) }
func (c *Cluster) as(program string) string   { return "--kubeconfig=" + c.file(program+".kubeconfig") }

// start starts a program that runs as long as the cluster.
func (c *Cluster) start(name, program string, args ...string) error {
	p := &process{name: name, log: c.file(name + ".log"), done: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the tests alone
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		cmd.Wait()
		close(p.done)
	}()
	c.running = append(c.running, p)
	return nil
}

// until waits for check to return nil, as long as all programs run.
func (c *Cluster) until(ctx context.Context, what string, check func() error) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		err := check()
		if err == nil {
			return nil
		}
		for _, p := range c.running {
			select {
			case <-p.done:
				return fmt.Errorf("%s ended before %s: %w\n%s", p.name, what, err, tail(p.log))
			default:
			}
		}
		select {
		case <-ctx.Done():
			last := c.running[len(c.running)-1]
			return fmt.Errorf("waiting until %s: %w; the end of the log of %s:\n%s", what, err, last.name, tail(last.log))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func tail(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}

func (c *Cluster) run(ctx context.Context, command ...string) error {
	_, err := outputOf(exec.CommandContext(ctx, command[0], command[1:]...))
	return err
}

func (c *Cluster) shell(ctx context.Context, script, argument string) error {
	return c.run(ctx, "sh", "-ec", script, argument)
}

// outputOf runs a command and returns its standard output. The error contains its standard error.
func outputOf(cmd *exec.Cmd) (string, error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w: %s", cmd, err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}
