//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/version"
	"io/fs"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/groups-exporter/groups-exporter/e2e/pages"
	"github.com/groups-exporter/groups-exporter/internal/fakehub"
)

const dockerfile = "../deploy/Dockerfile"

func TestDockerfileLint(t *testing.T) {
	t.Parallel()
	if err := tool("", "hadolint", "--failure-threshold=style", dockerfile); err != nil {
		t.Error(err)
	}
}

// golangIn returns the image with Go that a Dockerfile names, and its tag.
func golangIn(dockerfile string) (image, tag string) {
	match := regexp.MustCompile(`(?m)^FROM .*\b(golang:(\S+))`).FindStringSubmatch(dockerfile)
	if match == nil {
		return "", ""
	}
	return match[1], match[2]
}

// The Go of the image can compile what go.mod demands, and is updated with it.
func TestImageGo(t *testing.T) {
	t.Parallel()
	_, tag := golangIn(read(t, dockerfile))
	mod := regexp.MustCompile(`(?m)^go (\S+)$`).FindStringSubmatch(read(t, "../go.mod"))
	if mod == nil || version.Lang("go"+tag) != version.Lang("go"+mod[1]) || version.Compare("go"+tag, "go"+mod[1]) < 0 {
		t.Errorf("the image's Go is %q, which doesn't go with the line %q of go.mod", tag, mod)
	}
}

// A containerImage is a built image: its archive, and what that contains.
type containerImage struct {
	archive string
	tags    []string
	root    string // its files
	config  struct {
		Architecture, OS string
		Config           imageConfig
	}
}

type imageConfig struct {
	User            string
	ExposedPorts    map[string]struct{}
	Entrypoint, Cmd []string
	Labels          map[string]string
	Healthcheck     struct {
		Test                           []string
		Interval, Timeout, StartPeriod time.Duration
	}
}

// checkout is a clean clone in which an image is built, and the image's builder.
type checkout struct {
	builder
	dir string
}

var theCheckout = sync.OnceValues(func() (checkout, error) {
	storage := filepath.Join(shared, "buildah")
	c := checkout{dir: filepath.Join(shared, "checkout")}
	if err := errors.Join(os.Mkdir(storage, 0o755), tool("", "git", "clone", "--quiet", "..", c.dir), tool(c.dir, "go", "mod", "download")); err != nil {
		return c, err
	}
	text, err := os.ReadFile(dockerfile)
	if err != nil {
		return c, err
	}
	golang, _ := golangIn(string(text))
	c.builder, err = newBuilder(storage, golang)
	return c, err
})

// builtImage is the archive of the image, built with the command that the docs show.
var builtImage = sync.OnceValues(func() (archive string, err error) {
	c, err := theCheckout()
	if err != nil {
		return "", err
	}
	chart, err := os.ReadFile("../deploy/helm/groups-exporter/Chart.yaml")
	if err != nil {
		return "", err
	}
	page, err := os.ReadFile("../docs/how-to/install.md")
	if err != nil {
		return "", err
	}
	blocks := pages.Parse("install.md", page).Blocks
	i := slices.IndexFunc(blocks, func(b pages.Block) bool { return strings.HasPrefix(b.Text, "docker build ") })
	appVersion := regexp.MustCompile(`(?m)^appVersion: (\S+)$`).FindSubmatch(chart)
	if i < 0 || appVersion == nil {
		return "", errors.New("the docs don't show how to build the image, or the chart has no appVersion")
	}
	if err := c.build(c.dir, strings.Fields(blocks[i].Text)[2:]...); err != nil {
		return "", err
	}
	archive = filepath.Join(shared, "image.tar")
	return archive, c.save("groups-exporter/groups-exporter", archive, "groups-exporter/groups-exporter:"+string(appVersion[1]))
})

// buildImage returns an archive with the image of the last commit, which containerd imports under the name in the chart's
// defaults. The only authority in the image is that of httptest's servers. Like theRelease, it isn't for parallel tests.
func buildImage(t *testing.T) (archive string) {
	t.Helper()
	archive, err := builtImage()
	noError(t, err)
	return archive
}

// openImage unpacks an archive.
func openImage(t *testing.T, archive string) containerImage {
	t.Helper()
	dir := t.TempDir()
	im := containerImage{archive: archive, root: filepath.Join(dir, "root")}
	noError(t, os.Mkdir(im.root, 0o755))
	noError(t, tool("", "tar", "--extract", "--file="+archive, "--directory="+dir))
	manifest := decode[[]struct {
		Config           string
		RepoTags, Layers []string
	}](t, read(t, filepath.Join(dir, "manifest.json")))
	im.tags = manifest[0].RepoTags
	noError(t, json.Unmarshal([]byte(read(t, filepath.Join(dir, manifest[0].Config))), &im.config))
	for _, layer := range manifest[0].Layers {
		noError(t, tool("", "tar", "--extract", "--preserve-permissions", "--file="+filepath.Join(dir, layer), "--directory="+im.root))
	}
	return im
}

// check checks what all images have in common.
func (im containerImage) check(t *testing.T, arch string) {
	t.Helper()
	config := im.config.Config
	labels := config.Labels
	config.Labels = nil
	want := imageConfig{
		User: "65532:65532", ExposedPorts: map[string]struct{}{"8100/tcp": {}},
		Entrypoint: []string{"/usr/bin/groups-exporter"}, Cmd: []string{"serve"},
	}
	want.Healthcheck.Test = []string{"CMD", "/usr/bin/groups-exporter", "healthcheck"}
	want.Healthcheck.Interval, want.Healthcheck.Timeout, want.Healthcheck.StartPeriod = 30*time.Second, 6*time.Second, 5*time.Second
	report(t, "configuration of the image", same(want, config))
	report(t, "platform of the image", same("linux/"+arch, im.config.OS+"/"+im.config.Architecture))
	for _, label := range []string{"title", "description", "licenses", "url", "source", "documentation"} {
		if labels["org.opencontainers.image."+label] == "" {
			t.Errorf("the image has no label %s", label)
		}
	}

	var files []string
	noError(t, fs.WalkDir(os.DirFS(im.root), ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			info, err := entry.Info()
			noError(t, err)
			files = append(files, fmt.Sprintf("%v %s", info.Mode(), name))
		}
		return err
	}))
	report(t, "files of the image", same([]string{
		"-rw-r--r-- etc/ssl/certs/ca-certificates.crt", "-rwxr-xr-x usr/bin/groups-exporter", "-rw-r--r-- usr/share/doc/groups-exporter/LICENSE",
	}, files))
	info, err := os.Stat(im.archive)
	noError(t, err)
	t.Logf("the image for %s has %d MB", arch, info.Size()/1e6)
	if info.Size() > 40e6 {
		t.Errorf("the image for %s has %d bytes", arch, info.Size())
	}
}

func (im containerImage) binary() string { return filepath.Join(im.root, "usr/bin/groups-exporter") }

// contain is a script that runs a command in a root ($0) as a user and a group ($1, $2).
const contain = `
ip link set lo up
mount --bind "$0" "$0"
mount -o remount,bind,ro "$0"
mount -t proc proc "$0/proc"
user=$1 group=$2
shift 2
exec unshare --root="$0" --wd=/ --setgid="$group" --setuid="$user" -- "$@"`

// contained returns a command that runs one in the image without a container engine. The root is read-only. The user has
// no capabilities.
func (im containerImage) contained(t *testing.T, more []string, command ...string) []string {
	t.Helper()
	noError(t, os.MkdirAll(filepath.Join(im.root, "proc"), 0o755))
	user, group, _ := strings.Cut(im.config.Config.User, ":")
	return slices.Concat([]string{"unshare", "--mount"}, more, []string{"sh", "-ec", contain, im.root, user, group}, command)
}

// The image from a checkout runs.
func TestImage(t *testing.T) {
	t.Parallel()
	im := openImage(t, buildImage(t))
	im.check(t, runtime.GOARCH)
	chart := decodeYAML[struct {
		AppVersion string `yaml:"appVersion"`
	}](t, "../deploy/helm/groups-exporter/Chart.yaml")
	values := decodeYAML[struct{ Image struct{ Repository string } }](t, "../deploy/helm/groups-exporter/values.yaml")
	if name := "docker.io/" + values.Image.Repository + ":" + chart.AppVersion; !slices.Contains(im.tags, name) {
		t.Errorf("the image has the names %s, not %s", im.tags, name)
	}
	revision := output(t, "..", "git", "rev-parse", "HEAD")
	text := output(t, "/", im.binary(), "version")
	t.Log(text)
	if !strings.Contains(text, "(revision "+revision+",") || strings.Contains(text, "dirty") {
		t.Errorf("version of the binary: %s; want revision %s", text, revision)
	}

	config := im.config.Config
	command := slices.Concat(config.Entrypoint, config.Cmd, []string{"--demo"})
	container := launch(t, "/", environment(), im.contained(t, []string{"--net"}, command...)...)
	pid := strconv.Itoa(container.cmd.Process.Pid)
	user, group, _ := strings.Cut(config.User, ":")
	inside := append([]string{"nsenter", "--target=" + pid, "--mount", "--net", "--root", "--wd=/", "--setgid=" + group, "--setuid=" + user, "--"},
		config.Healthcheck.Test[1:]...)
	container.until("the container is healthy", 10*time.Second, func() error { return tool("", inside...) })

	status := read(t, "/proc/"+pid+"/status")
	containsAll(t, "process status", status, "Uid:\t"+user+"\t", "Gid:\t"+group+"\t", "CapEff:\t0000000000000000\n")
	metrics := output(t, "/", "nsenter", "--target="+pid, "--net", "curl", "--silent", "--fail", "http://127.0.0.1:8100/metrics")
	containsAll(t, "metrics", metrics, "\njupyterhub_user_group_info{", "\nprocess_resident_memory_bytes ")
	container.end(syscall.SIGTERM)
}

// The binary trusts the authorities in the image.
func TestImageAuthorities(t *testing.T) {
	t.Parallel()
	im := openImage(t, buildImage(t))
	var hub fakehub.Hub
	hub.SetUsers(fakehub.User{Name: "ada", Groups: []string{"bio"}})
	hub.Grant("secret", "list:users", "read:users:groups")
	server := httptest.NewTLSServer(&hub)
	defer server.Close()
	env := environment("JUPYTERHUB_API_URL="+server.URL+"/hub/api", "JUPYTERHUB_API_TOKEN=secret")
	dump := func() *exec.Cmd {
		command := im.contained(t, nil, "/usr/bin/groups-exporter", "dump")
		cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
		cmd.Env = env
		return cmd
	}
	metrics, err := dump().CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, metrics)
	}
	containsAll(t, "metrics", string(metrics), `jupyterhub_user_group_info{`, `username="ada"`)
	noError(t, os.Remove(filepath.Join(im.root, "etc/ssl/certs/ca-certificates.crt")))
	if text, err := dump().CombinedOutput(); err == nil || !strings.Contains(string(text), "certificate") {
		t.Errorf("without authorities: %v: %s", err, text)
	}
}

// The image of a release has the binary of its archives. The test builds it as goreleaser does, in a folder with the
// Dockerfile, the extra files, and a folder for each platform.
func TestReleaseImage(t *testing.T) {
	t.Parallel()
	r := theRelease(t)
	c, err := theCheckout()
	noError(t, err)
	config := decodeYAML[struct {
		Dockers []struct {
			Dockerfile       string
			Platforms, Flags []string
			ExtraFiles       []string `yaml:"extra_files"`
		} `yaml:"dockers_v2"`
	}](t, "../.goreleaser.yaml").Dockers[0]
	context := t.TempDir()
	noError(t, tool("", "install", "--mode=644", "../"+config.Dockerfile, filepath.Join(context, "Dockerfile")))
	for _, file := range config.ExtraFiles {
		noError(t, tool("", "install", "-D", "--mode=644", "../"+file, filepath.Join(context, file)))
	}
	binaries := map[string][]byte{}
	for _, platform := range config.Platforms {
		archive := r.file(t, strings.ReplaceAll(platform, "/", "_")+".tar.gz")
		binaries[platform] = unpack(t, archive)["groups-exporter"]
		noError(t, os.MkdirAll(filepath.Join(context, platform), 0o755))
		writeFile(t, filepath.Join(context, platform, "groups-exporter"), string(binaries[platform]), 0o755)
	}
	report(t, "platforms", same([]string{"linux/amd64", "linux/arm64"}, config.Platforms))
	for platform, binary := range binaries {
		arch := filepath.Base(platform)
		tag := "groups-exporter/groups-exporter:" + arch
		noError(t, c.build(context, slices.Concat([]string{"--platform=" + platform, "--tag=" + tag}, config.Flags, []string{"."})...))
		archive := filepath.Join(t.TempDir(), "image.tar")
		noError(t, c.save(tag, archive, tag))
		im := openImage(t, archive)
		im.check(t, arch)
		if !bytes.Equal([]byte(read(t, im.binary())), binary) {
			t.Errorf("the binary in the image for %s isn't that of the archive", platform)
		}
	}
}

// decodeYAML reads a file of the repository.
func decodeYAML[T any](t *testing.T, name string) T {
	t.Helper()
	var value T
	noError(t, yaml.Unmarshal([]byte(read(t, name)), &value))
	return value
}
