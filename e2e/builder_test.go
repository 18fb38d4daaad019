//go:build e2e

package e2e

import (
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// A builder of container images: buildah, which has its own storage in a folder, and no network.
type builder struct{ dir string }

// isolated is a script that runs buildah with its storage in a folder ($0). What buildah writes elsewhere goes into memory.
const isolated = `
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib
exec buildah --root="$0/root" --runroot="$0/run" --storage-driver=vfs "$@"`

// standIn replaces the image golang, which can't be had without a network. What runs in it is this machine's, from volumes.
const standIn = `
FROM scratch
COPY ca-certificates.crt /etc/ssl/certs/
WORKDIR /tmp
ENV PATH=/goroot/bin:/usr/bin GOCACHE=/gocache GOMODCACHE=/gomodcache GOTOOLCHAIN=local
`

// newBuilder returns a builder that has an image with the name of golang's. The only authority in it is that of
// httptest's servers.
func newBuilder(dir, golang string) (builder, error) {
	b := builder{dir}
	base := filepath.Join(dir, "golang")
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for _, err := range []error{
		os.Mkdir(base, 0o755),
		os.WriteFile(filepath.Join(base, "Dockerfile"), []byte(standIn), 0o644),
		os.WriteFile(filepath.Join(base, "ca-certificates.crt"), authority, 0o644),
	} {
		if err != nil {
			return b, err
		}
	}
	return b, b.build(base, "--tag="+golang, ".")
}

// build does what docker build does with these arguments, in a folder.
func (b builder) build(dir string, args ...string) error {
	bud := []string{"bud", "--format=docker", "--isolation=chroot", "--pull=never", "--build-arg=BUILDPLATFORM=linux/" + runtime.GOARCH}
	for _, volume := range []string{"/usr:/usr:ro", "/bin:/bin:ro", "/lib:/lib:ro", "/lib64:/lib64:ro",
		goEnv("GOROOT") + ":/goroot:ro", goEnv("GOCACHE") + ":/gocache", goEnv("GOMODCACHE") + ":/gomodcache"} {
		bud = append(bud, "--volume="+volume)
	}
	return b.run(dir, append(bud, args...)...)
}

// save writes an image to an archive that containerd can import.
func (b builder) save(image, archive, tag string) error {
	return b.run("", "push", image, "docker-archive:"+archive+":"+tag)
}

func (b builder) run(dir string, args ...string) error {
	cmd := exec.Command("unshare", append([]string{"--mount", "--net", "sh", "-ec", isolated, b.dir}, args...)...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "TMPDIR="+b.dir)
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("buildah %s: %w\n%s", strings.Join(args, " "), err, output)
	}
	return nil
}

func goEnv(name string) string {
	value, _ := exec.Command("go", "env", name).Output()
	return strings.TrimSpace(string(value))
}
