//go:build e2e

package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const dockerfile = "../deploy/Dockerfile"

// contain is a script that runs a command in a root ($0) as a user and a group ($1, $2).
const contain = `
ip link set lo up
mount --bind "$0" "$0"
mount -o remount,bind,ro "$0"
mount -t proc proc "$0/proc"
user=$1 group=$2
shift 2
exec unshare --root="$0" --wd=/ --setgid="$group" --setuid="$user" -- "$@"`

func TestDockerfileLint(t *testing.T) {
	t.Parallel()
	if err := tool("", "hadolint", "--failure-threshold=style", dockerfile); err != nil {
		t.Error(err)
	}
}

// The test runs the image without a container engine. The root is read-only and contains only what the Dockerfile
// copies. The user has no capabilities, and the container has its own network.
func TestImage(t *testing.T) {
	text := read(t, dockerfile)
	instruction := func(pattern string) []string {
		t.Helper()
		match := regexp.MustCompile(`(?m)^` + pattern + `$`).FindStringSubmatch(text)
		if match == nil {
			t.Fatalf("the Dockerfile has no line %s", pattern)
		}
		return match[1:]
	}
	words := func(pattern string) []string {
		t.Helper()
		var list []string
		noError(t, json.Unmarshal([]byte(instruction(pattern)[0]), &list))
		return list
	}

	root := imageRoot(t, text)
	for _, label := range []string{"title", "description", "licenses", "url", "source", "documentation"} {
		if !regexp.MustCompile(`org\.opencontainers\.image\.` + label + `="[^"]+"`).MatchString(text) {
			t.Errorf("the image has no label %s", label)
		}
	}
	id := instruction(`USER (\d+):(\d+)`)
	command := append(words(`ENTRYPOINT (\[.*\])`), words(`CMD (\[.*\])`)...)
	container := launch(t, "/", environment(), append([]string{"unshare", "--mount", "--net", "sh", "-ec", contain, root, id[0], id[1]},
		append(command, "--demo")...)...)
	pid := strconv.Itoa(container.cmd.Process.Pid)
	inside := append([]string{"nsenter", "--target=" + pid, "--mount", "--net", "--root", "--wd=/", "--setgid=" + id[1], "--setuid=" + id[0], "--"},
		words(`HEALTHCHECK .* CMD (\[.*\])`)...)
	container.until("the container is healthy", 10*time.Second, func() error { return tool("", inside...) })

	status := read(t, "/proc/"+pid+"/status")
	containsAll(t, "process status", status, "Uid:\t"+id[0]+"\t", "Gid:\t"+id[1]+"\t", "CapEff:\t0000000000000000\n")
	metrics := output(t, "/", "nsenter", "--target="+pid, "--net", "curl", "--silent", "--fail", "http://127.0.0.1:"+instruction(`EXPOSE (\d+)`)[0]+"/metrics")
	containsAll(t, "metrics", metrics, "\njupyterhub_user_group_info{", "\nprocess_resident_memory_bytes ")
	container.end(syscall.SIGTERM)
}

// imageRoot returns a folder with what the Dockerfile copies: files from goreleaser, and those of the repository.
func imageRoot(t *testing.T, dockerfile string) string {
	t.Helper()
	platform, root := t.TempDir(), t.TempDir()
	binary := unpack(t, theRelease(t).file(t, "linux_amd64.tar.gz"))["groups-exporter"]
	writeFile(t, filepath.Join(platform, "groups-exporter"), string(binary), 0o755)
	noError(t, os.Mkdir(filepath.Join(root, "proc"), 0o755))
	copied := regexp.MustCompile(`(?m)^COPY (\S+) (\S+)$`).FindAllStringSubmatch(dockerfile, -1)
	if len(copied) == 0 {
		t.Fatal("the Dockerfile copies nothing")
	}
	for _, line := range copied {
		from := "../" + line[1]
		if built, ok := strings.CutPrefix(line[1], "${TARGETPLATFORM}"); ok {
			from = platform + built
		}
		noError(t, tool("", "install", "-D", "--preserve-timestamps", "--mode=755", from, root+line[2]))
	}
	noError(t, os.Chmod(root, 0o755))
	return root
}
