//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A container with Debian and systemd, on the network of this machine.
type debian struct {
	t       *testing.T
	root    string
	process *process
	leader  string // process ID of its systemd
	address string // of the service
}

func bootDebian(t *testing.T) *debian {
	t.Helper()
	d := &debian{t: t, root: filepath.Join(t.TempDir(), "debian"), address: freeAddress(t)}
	noError(t, os.Mkdir(d.root, 0o755))
	noError(t, tool("", "tar", "--extract", "--preserve-permissions", "--exclude=./dev/*", "--file="+os.Getenv("E2E_DEBIAN"), "--directory="+d.root))
	d.process = launch(t, "/", environment(), "systemd-nspawn", "--register=no", "--keep-unit", "--link-journal=no",
		"--resolv-conf=off", "--timezone=off", "--console=read-only", fmt.Sprintf("--machine=groups-exporter-%d", os.Getpid()), "--directory="+d.root, "--boot")
	d.process.until("Debian is up", time.Minute, func() error {
		pid := d.process.cmd.Process.Pid
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
		if err != nil {
			return err
		}
		if d.leader = strings.TrimSpace(string(children)); d.leader == "" {
			return errors.New("no child yet")
		}
		if state, err := d.try("systemctl is-system-running"); state != "running" {
			return fmt.Errorf("systemd is %q (%w)", state, err)
		}
		return nil
	})
	return d
}

// try runs a shell command in the container and returns its combined output.
func (d *debian) try(command string) (string, error) {
	cmd := exec.Command("nsenter", "--target="+d.leader, "--all", "--", "sh", "-c", command)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"}
	output, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(output)), err
}

// do is like try, but the command must succeed.
func (d *debian) do(command string) string {
	d.t.Helper()
	output, err := d.try(command)
	if err != nil {
		d.t.Fatalf("%s: %v\n%s\n%s", command, err, output, d.journal())
	}
	return output
}

// want compares the output of a command, whether it succeeds or not.
func (d *debian) want(want, command string) {
	d.t.Helper()
	if got, _ := d.try(command); got != want {
		d.t.Errorf("%s: got %q, want %q\n%s", command, got, want, d.journal())
	}
}

func (d *debian) journal() string {
	output, _ := d.try("systemctl status --no-pager --full groups-exporter; journalctl --no-pager --unit=groups-exporter --lines=20")
	return output
}

func (d *debian) write(path, content string) {
	d.t.Helper()
	writeFile(d.t, d.root+path, content, 0o600)
}

// An administrator installs the package, configures the exporter, upgrades it and removes it.
func TestDebianPackage(t *testing.T) {
	deb := theRelease(t).file(t, "linux_amd64.deb")
	d := bootDebian(t)
	before := d.do("ls -d /etc/*")
	noError(t, tool("", "cp", deb, d.root+"/root/groups-exporter.deb"))
	d.do("dpkg --install /root/groups-exporter.deb")
	d.checkInstalled()
	h := startHub(t, versions[0], []user{{Name: "ada", Groups: []string{"bio"}}}, reader)
	settings := read(t, d.root+"/etc/default/groups-exporter")
	edited := strings.Replace(settings, "http://127.0.0.1:8081\n",
		h.api+"\nGROUPS_EXPORTER_WEB_LISTEN_ADDRESS=\""+strings.TrimPrefix(d.address, "http://")+"\nunix:/run/groups-exporter/groups-exporter.sock\"\n", 1)
	d.checkService(h, edited)
	d.checkUpgrade(edited)
	d.do("dpkg --remove groups-exporter")
	if _, err := get(d.address + "/metrics"); err == nil {
		t.Error("the service still runs after the package was removed")
	}
	if got := d.do("cat /etc/groups-exporter/token"); got != token("reader") {
		t.Errorf("token after the package was removed: %s", got)
	}
	d.do("dpkg --purge groups-exporter")
	d.want(before, "ls -d /etc/*")
	if left := d.do("find / -xdev -name '*groups-exporter*' -not -path '/root/*' -not -path '/var/log/*' -not -path '/var/cache/man/*' -not -path '/proc/*'"); left != "" {
		t.Errorf("files left after a purge:\n%s", left)
	}
	if code := d.process.stop(syscall.SIGTERM); code > 0 {
		t.Logf("Debian ended with %d", code)
	}
}

// checkInstalled checks the files of the package. The service isn't started yet.
func (d *debian) checkInstalled() {
	d.t.Helper()
	d.want("disabled", "systemctl is-enabled groups-exporter")
	d.want("inactive", "systemctl is-active groups-exporter")
	d.want("drwxr-x--- root groups-exporter", "stat --format='%A %U %G' /etc/groups-exporter")
	d.want("", "dpkg --verify groups-exporter")

	d.want("", "systemd-analyze verify groups-exporter.service")
	if rating := d.do("systemd-analyze security --no-pager groups-exporter | tail -n 1"); !regexp.MustCompile(`: 1\.\d OK`).MatchString(rating) {
		d.t.Errorf("unexpected result of systemd-analyze security: %s", rating)
	}
	if page := d.do("man groups-exporter-serve"); !strings.Contains(page, "--hub-token-file=file") {
		d.t.Errorf("unexpected man page:\n%s", page)
	}
	for shell, completion := range map[string]string{
		"bash": `. /usr/share/bash-completion/bash_completion; __load_completion groups-exporter; complete -p groups-exporter`,
		"zsh":  `autoload -U compinit; compinit -u -D; print $_comps[groups-exporter]`,
		"fish": `complete --do-complete "groups-exporter ver"`,
	} {
		if got := d.do(shell + " -c '" + completion + "'"); !regexp.MustCompile(`_groups-exporter|__start_groups-exporter|^version`).MatchString(got) {
			d.t.Errorf("no completion for %s: %s", shell, got)
		}
	}
}

// checkService starts the service with settings for a hub.
func (d *debian) checkService(h *hub, settings string) {
	d.t.Helper()
	d.write("/etc/groups-exporter/token", token("reader"))
	d.do("chown root:groups-exporter /etc/groups-exporter/token && chmod 640 /etc/groups-exporter/token")
	d.write("/etc/default/groups-exporter", settings)
	d.do("systemctl enable --now groups-exporter")
	d.metrics("the memberships", `jupyterhub_user_group_info{.*usergroup="bio",username="ada"`)
	const overSocket = "groups-exporter healthcheck --url http+unix://%2Frun%2Fgroups-exporter%2Fgroups-exporter.sock/-/ready"
	d.do("setpriv --reuid=nobody --regid=groups-exporter --clear-groups " + overSocket)
	if output, err := d.try("setpriv --reuid=nobody --regid=nogroup --clear-groups " + overSocket); err == nil || !strings.Contains(output, "permission denied") {
		d.t.Errorf("a user outside of the group: got %v, %s", err, output)
	}

	h.change("POST", "/groups/chem", nil)
	h.change("POST", "/groups/chem/users", map[string]any{"users": []string{"ada"}})
	d.do("systemctl reload groups-exporter")
	d.metrics("the changed memberships", `jupyterhub_user_group_info{.*usergroup="chem",username="ada"`)

	status := d.do("cat /proc/$(systemctl show --property=MainPID --value groups-exporter)/status")
	containsAll(d.t, "process status", status, "CapEff:\t0000000000000000\n", "CapBnd:\t0000000000000000\n", "NoNewPrivs:\t1\n", "Seccomp:\t2\n")
	d.want("groups-exporter", "stat --format=%U /proc/$(systemctl show --property=MainPID --value groups-exporter)")
}

// checkUpgrade upgrades the package, and checks that a mistake in the settings stops the service.
func (d *debian) checkUpgrade(settings string) {
	d.t.Helper()
	// An upgrade keeps the settings, and restarts the service only if it was running.
	pid := d.do("systemctl show --property=MainPID --value groups-exporter")
	d.do("dpkg --install /root/groups-exporter.deb")
	d.want("active", "systemctl is-active groups-exporter")
	if now := d.do("systemctl show --property=MainPID --value groups-exporter"); now == pid {
		d.t.Error("the old program still runs after an upgrade")
	}
	if got := d.do("cat /etc/default/groups-exporter"); got != strings.TrimSpace(settings) {
		d.t.Errorf("settings after an upgrade:\n%s", got)
	}
	d.metrics("metrics after an upgrade", `jupyterhub_user_group_info{.*usergroup="chem",username="ada"`)

	// systemd doesn't restart the service after a configuration error.
	d.write("/etc/default/groups-exporter", `GROUPS_EXPORTER_REFRESH_INTERVAL=soon`)
	d.do("systemctl restart groups-exporter")
	d.process.until("the service fails", 10*time.Second, func() error {
		if state, _ := d.try("systemctl show --property=ActiveState,ExecMainStatus,NRestarts groups-exporter"); state != "NRestarts=0\nExecMainStatus=2\nActiveState=failed" {
			return errors.New(state)
		}
		return nil
	})
	d.write("/etc/default/groups-exporter", settings)
	d.do("systemctl restart groups-exporter")
	d.metrics("metrics after a mistake", `jupyterhub_user_group_info{.*usergroup="chem",username="ada"`)
}

// metrics waits until the metrics of the service match a pattern.
func (d *debian) metrics(what, pattern string) {
	d.t.Helper()
	d.process.untilMetrics(what, d.address, func(exposition string) error {
		if !regexp.MustCompile(pattern).MatchString(exposition) {
			return fmt.Errorf("no %s in\n%s\n%s", pattern, exposition, d.journal())
		}
		return nil
	})
}

// This test needs no Red Hat system. It checks that the rpm has the same files as the deb, and that rpm accepts it.
func TestRedHatPackage(t *testing.T) {
	r := theRelease(t)
	rpm, root := r.file(t, "linux_amd64.rpm"), t.TempDir()
	query := func(arguments ...string) string {
		t.Helper()
		return output(t, "/", append([]string{"rpm", "--query", "--package", rpm}, arguments...)...)
	}
	list := output(t, "/", "sh", "-c", `dpkg-deb --fsys-tarfile "$0" | tar --list --verbose`, r.file(t, "linux_amd64.deb"))
	moved := strings.NewReplacer("/etc/default/", "/etc/sysconfig/", "/zsh/vendor-completions/", "/zsh/site-functions/",
		"/usr/share/doc/groups-exporter/copyright", "/usr/share/licenses/groups-exporter/LICENSE")
	want := map[string]string{}
	for line := range strings.Lines(list) {
		fields := strings.Fields(line)
		path := strings.TrimSuffix(strings.TrimPrefix(fields[5], "."), "/")
		if strings.HasPrefix(fields[0], "-") || path == "/etc/groups-exporter" {
			want[moved.Replace(path)] = fields[0] + " " + fields[1]
		}
	}
	got := map[string]string{}
	for line := range strings.Lines(query("--queryformat", `[%{FILENAMES} %{FILEMODES:perms} %{FILEUSERNAME}/%{FILEGROUPNAME}\n]`)) {
		path, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		got[path] = rest
	}
	report(t, "files of the rpm, compared with the deb", same(want, got))
	if len(want) < 10 {
		t.Errorf("the deb contains only %v", slices.Sorted(maps.Keys(want)))
	}
	for _, script := range []string{"preinstall", "postinstall", "preuninstall", "postuninstall"} {
		if !strings.Contains(query("--scripts"), script+" scriptlet (using /bin/sh)") {
			t.Errorf("the rpm has no %s", script)
		}
	}
	if config := query("--configfiles"); config != "/etc/sysconfig/groups-exporter" {
		t.Errorf("unexpected configuration files of the rpm: %q", config)
	}

	noError(t, tool("", "rpm", "--root="+root, "--initdb"))
	noError(t, tool("", "rpm", "--root="+root, "--nodeps", "--noscripts", "--ignorearch", "--install", rpm))
	if err := tool("", root+"/usr/bin/groups-exporter", "version"); err != nil {
		t.Error(err)
	}
}

// rpm and dpkg pass different arguments to the scripts for removals and upgrades.
func TestPackageScripts(t *testing.T) {
	t.Parallel()
	const stop, reload, restart = "disable --now groups-exporter.service", "daemon-reload", "try-restart groups-exporter.service"
	for _, c := range []struct{ script, argument, want string }{
		{"preremove", "remove", stop},
		{"preremove", "0", stop},
		{"preremove", "upgrade", ""},
		{"preremove", "1", ""},
		{"postremove", "remove", reload},
		{"postremove", "0", reload},
		{"postinstall", "configure", reload + "\n" + restart},
		{"postinstall", "2", reload + "\n" + restart},
	} {
		bin := t.TempDir()
		writeFile(t, bin+"/systemctl", "#!/bin/sh\necho \"$@\"\n", 0o700)
		cmd := exec.Command("unshare", "--mount", "sh", "-ec", `mount -t tmpfs run /run; mkdir -p /run/systemd/system; exec sh "$0" "$1"`,
			"../deploy/package/"+c.script+".sh", c.argument)
		cmd.Env = []string{"PATH=" + bin + ":/usr/sbin:/usr/bin:/sbin:/bin"}
		if got, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(got)) != c.want {
			t.Errorf("%s %s: got systemctl %q (error: %v), want %q", c.script, c.argument, got, err, c.want)
		}
	}
}
