//go:build linux

package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// folder is the environment variable with the folder of the sandbox that a process runs in.
const folder = "E2E_CLUSTER"

// hierarchies is where Linux shows control groups: in one folder (version 2), or one for each controller (version 1).
const hierarchies = "/sys/fs/cgroup"

// A Sandbox is a place for one cluster, and for the process that starts it.
type Sandbox struct {
	Dir string // an empty folder, for the state of the cluster
}

// current returns the sandbox of this process.
func current() (*Sandbox, error) {
	dir := os.Getenv(folder)
	if dir == "" || os.Getpid() != 1 {
		return nil, errors.New("a cluster has to be started in a sandbox")
	}
	return &Sandbox{dir}, nil
}

// Inside reports whether this process was started by a Sandbox.
func Inside() bool { return os.Getenv(folder) != "" }

// Command returns a command that will run in the sandbox, as the first process of its PID namespace. It ends with this
// process.
func (s *Sandbox) Command(command ...string) (*exec.Cmd, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("a Kubernetes can't run here: it needs root")
	}
	for _, group := range s.groups() {
		if err := os.MkdirAll(group, 0o755); err != nil {
			return nil, fmt.Errorf("a Kubernetes can't run here: control groups: %w", err)
		}
	}
	cmd := exec.Command("unshare", append([]string{"--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"}, command...)...)
	cmd.Env = append(os.Environ(), folder+"="+s.Dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	return cmd, nil
}

// cgroup is the control group of the cluster's pods.
func (s *Sandbox) cgroup() string {
	return "/cluster-" + filepath.Base(filepath.Dir(s.Dir)) + "-" + filepath.Base(s.Dir)
}

// groups returns the folders of the control group.
func (s *Sandbox) groups() []string {
	if _, err := os.Stat(hierarchies + "/cgroup.controllers"); err == nil {
		return []string{hierarchies + s.cgroup()}
	}
	controllers, _ := filepath.Glob(hierarchies + "/*/cgroup.procs")
	for i, file := range controllers {
		controllers[i] = filepath.Dir(file) + s.cgroup()
	}
	return controllers
}

// Remove removes what namespaces don't: the control groups, whose processes have ended with the cluster.
func (s *Sandbox) Remove() error {
	var failed []error
	for _, group := range s.groups() {
		failed = append(failed, removeGroup(group))
	}
	return errors.Join(failed...)
}

// removeGroup removes a control group and those in it. The kernel refuses until it has cleaned up after the last process.
func removeGroup(group string) error {
	var inside []string
	err := filepath.WalkDir(group, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			inside = append(inside, path)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, path := range slices.Backward(inside) {
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			err := syscall.Rmdir(path)
			if err == nil || errors.Is(err, fs.ErrNotExist) {
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("removing %s: %w", path, err)
			}
		}
	}
	return nil
}
