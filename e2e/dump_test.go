//go:build e2e

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	nobody    = 65534
	accessACL = "system.posix_acl_access"
)

// replaced is a file that dump replaces.
type replaced struct {
	what     string
	as       uint32 // the user who runs dump
	uid, gid int    // the owner of the file
	mode     os.FileMode
	acl      []byte
	folder   []byte // the default ACL of its folder
	refused  bool
}

// A replaced file has the owner and permissions of the old one. Otherwise, the old file stays.
func TestDumpOutput(t *testing.T) {
	t.Parallel()
	h := startHub(t, versions[0], []user{{Name: "ada"}}, reader)
	dir := t.TempDir()
	binary := read(t, program)
	public := filepath.Join(dir, "groups-exporter")
	noError(t, errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.WriteFile(public, []byte(binary), 0o755)))
	// user::rw-, user:12:r--, group::---, mask::r--, other::---
	acl := []byte{
		2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 12, 0, 0, 0, 4, 0, 0, 0, 255, 255, 255, 255,
		16, 0, 4, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255,
	}
	for i, c := range []replaced{
		{"root's own", 0, 0, 0, 0o600, nil, nil, false},
		{"somebody else's", 0, nobody, 12, 0o640, nil, nil, false},
		{"a group's", 0, 0, 12, 0o440, nil, nil, false},
		{"with an ACL", 0, 12, 12, 0o640, acl, nil, false},
		{"without the ACL of its folder", 0, 0, 0, 0o640, nil, acl, false},
		{"one's own, not as root", nobody, nobody, nobody, 0o604, nil, nil, false},
		{"one's own with an ACL, not as root", nobody, nobody, nobody, 0o640, acl, nil, false},
		{"root's, not as root", nobody, 0, nobody, 0o644, nil, nil, true},
		{"of a group that isn't one's own", nobody, nobody, 12, 0o640, nil, nil, true},
	} {
		t.Run(c.what, func(t *testing.T) {
			folder := filepath.Join(dir, strconv.Itoa(i))
			c.replace(t, public, h.of(token("reader")), folder, c.create(t, folder))
		})
	}
}

// create creates the file in a new folder, and returns its name.
func (c replaced) create(t *testing.T, folder string) string {
	t.Helper()
	name := filepath.Join(folder, "groups.prom")
	err := errors.Join(
		os.Mkdir(folder, 0o755), os.Chown(folder, int(c.as), int(c.as)), os.WriteFile(name, []byte("old\n"), 0o600),
		os.Chown(name, c.uid, c.gid), os.Chmod(name, c.mode),
	)
	if c.acl != nil {
		err = errors.Join(err, unix.Setxattr(name, accessACL, c.acl, 0))
	}
	if c.folder != nil {
		err = errors.Join(err, unix.Setxattr(folder, "system.posix_acl_default", c.folder, 0))
	}
	noError(t, err)
	return name
}

// replace runs dump, and checks that it replaces the file or leaves the old one.
func (c replaced) replace(t *testing.T, program string, env []string, folder, name string) {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command(program, "dump", "--output", name)
	cmd.Env, cmd.Stderr = env, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: c.as, Gid: c.as}}
	err := cmd.Run()

	var got syscall.Stat_t
	text, readErr := os.ReadFile(name)
	noError(t, errors.Join(readErr, syscall.Stat(name, &got)))
	if int(got.Uid) != c.uid || int(got.Gid) != c.gid || os.FileMode(got.Mode).Perm() != c.mode {
		t.Errorf("file belongs to %d:%d with mode %o, want %d:%d with %o", got.Uid, got.Gid, got.Mode&0o777, c.uid, c.gid, c.mode)
	}
	kept := make([]byte, 100)
	n, _ := unix.Getxattr(name, accessACL, kept)
	if !bytes.Equal(kept[:max(n, 0)], c.acl) {
		t.Errorf("file has ACL %v, want %v", kept[:max(n, 0)], c.acl)
	}
	if files, err := os.ReadDir(folder); err != nil || len(files) != 1 {
		t.Errorf("the folder has %v (error: %v)", files, err)
	}
	switch replaced := strings.Contains(string(text), `username="ada"`); {
	case c.refused && (replaced || cmd.ProcessState.ExitCode() != 1 || string(text) != "old\n"):
		t.Errorf("replaced by %q: %v", text, err)
	case c.refused && !strings.Contains(stderr.String(), fmt.Sprintf("cannot write %s: a new file can't have its owner, which is user %d of group %d (operation not permitted): ", name, c.uid, c.gid)):
		t.Errorf("unexpected standard error: %s", &stderr)
	case !c.refused && (!replaced || err != nil):
		t.Errorf("not replaced: %v\n%s", err, &stderr)
	}
}
