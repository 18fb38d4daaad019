//go:build linux

package cluster

import (
	"context"
	"fmt"
	"os"
	"strings"
)

// plugins is where Debian puts CNI's plugins.
const plugins = "/usr/lib/cni"

// containerd's default socket: at another one, cAdvisor in the kubelet finds pods, but no containers.
const containerdSocket = "/run/containerd/containerd.sock"

// writeFiles writes the programs' configuration.
func (c *Cluster) writeFiles(ctx context.Context) error {
	var tokens strings.Builder
	for _, i := range identities {
		fmt.Fprintf(&tokens, "%s-token,%s,%[1]s,%[3]q\n", i.program, i.user, i.groups)
		if err := c.write(i.program+".kubeconfig", fmt.Sprintf(kubeconfig, apiServer, c.file("certificates/apiserver.crt"), i.program+"-token")); err != nil {
			return err
		}
	}
	cgroupV1 := len((&Sandbox{c.dir}).groups()) > 1
	for name, text := range map[string]string{
		"tokens.csv":        tokens.String(),
		"containerd.toml":   fmt.Sprintf(containerdConfig, c.file("containerd"), plugins, c.file("cni"), pauseImage),
		"cni/pods.conflist": fmt.Sprintf(podNetwork, c.file("addresses"), podsCIDR),
		"resolv.conf":       "nameserver " + gateway + "\n",
		"kubelet.yaml":      fmt.Sprintf(kubeletConfig, c.cgroup, !cgroupV1, c.file("resolv.conf"), NodeIP, gateway, containerdSocket, c.file("apiserver.crt")),
		"kube-proxy.yaml":   fmt.Sprintf(proxyConfig, c.file("kube-proxy.kubeconfig"), podsCIDR),
	} {
		if err := c.write(name, text); err != nil {
			return err
		}
	}
	// The API server reads logs from the kubelet as an administrator.
	return c.shell(ctx, `
		openssl req -x509 -newkey rsa:2048 -nodes -days 7 -subj /O=system:masters/CN=kube-apiserver -keyout "$0/apiserver.key" -out "$0/apiserver.crt"
		openssl genrsa -out "$0/account.key" 2048
		openssl rsa -in "$0/account.key" -pubout -out "$0/account.pub"`, c.dir)
}

func (c *Cluster) write(name, text string) error {
	return os.WriteFile(c.file(name), []byte(text), 0o600)
}

const kubeconfig = `
apiVersion: v1
kind: Config
clusters: [{name: cluster, cluster: {server: %q, certificate-authority: %q}}]
users: [{name: user, user: {token: %q}}]
contexts: [{name: cluster, context: {cluster: cluster, user: user}}]
current-context: cluster
`

// A sandbox in a sandbox may not lower oom_score_adj, and runc ends if it can't.
const containerdConfig = `
version = 2
root = %q
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = %[4]q
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %[2]q
    conf_dir = %[3]q
`

const podNetwork = `{
  "cniVersion": "0.4.0", "name": "pods",
  "plugins": [{"type": "ptp", "ipMasq": false, "ipam": {
    "type": "host-local", "dataDir": %q, "subnet": %q, "routes": [{"dst": "0.0.0.0/0"}]
  }}]
}`

// The kubelet authenticates and authorizes callers through the API server, as on clusters that kubeadm makes.
const kubeletConfig = `
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: cgroupfs
cgroupRoot: %s
failCgroupV1: %v
resolvConf: %q
address: %s
clusterDNS: [%s]
clusterDomain: cluster.local
containerRuntimeEndpoint: unix://%s
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: %q}}
authorization: {mode: Webhook}
enforceNodeAllocatable: []
failSwapOn: false
evictionHard: {nodefs.available: 1%%, imagefs.available: 1%%}
syncFrequency: 10s
`

// kube-proxy leaves the machine's limits on connections alone.
const proxyConfig = `
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clientConnection: {kubeconfig: %q}
clusterCIDR: %s
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
`
