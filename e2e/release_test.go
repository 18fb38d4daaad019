//go:build e2e

package e2e

import (
	"bytes"
	"debug/buildinfo"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v3"
)

// A release from goreleaser, without the parts that need a network: images, signatures and uploads.
type release struct {
	commit string
	dist   string
}

// file returns the only file of the release with a suffix.
func (r release) file(t *testing.T, suffix string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(r.dist, "*"+suffix))
	if err != nil || len(files) != 1 {
		t.Fatalf("files of the release that end in %s: %v, %v", suffix, files, err)
	}
	return files[0]
}

// snapshot returns the release of the last commit. It builds the release twice, to check that builds are reproducible.
var snapshot = sync.OnceValues(func() (release, error) {
	first, err := build(filepath.Join(shared, "here"))
	if err != nil {
		return release{}, err
	}
	second, err := build(filepath.Join(shared, "and", "elsewhere"), "--detach") // a tag is checked out detached too
	if err != nil {
		return release{}, err
	}
	if err := tool("", "diff", first.dist+"/checksums.txt", second.dist+"/checksums.txt"); err != nil {
		return release{}, fmt.Errorf("the second build of the same commit differs: %w", err)
	}
	return first, nil
})

func build(dir string, checkout ...string) (release, error) {
	if err := tool("", "git", "clone", "--quiet", "..", dir); err != nil {
		return release{}, err
	}
	for _, command := range [][]string{append([]string{"git", "checkout", "--quiet"}, checkout...), {"goreleaser", "check"}, {"make", "snapshot"}} {
		if err := tool(dir, command...); err != nil {
			return release{}, err
		}
	}
	commit, err := exec.Command("git", "-C", dir, "rev-parse", "HEAD").Output()
	return release{strings.TrimSpace(string(commit)), filepath.Join(dir, "dist")}, err
}

// tool runs a command in a folder. Its error contains the output of the command.
func tool(dir string, command ...string) error {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = dir
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, output)
	}
	return nil
}

// theRelease returns the release. Tests that use it must not be parallel: a build takes all cores and would delay hubs.
func theRelease(t *testing.T) release {
	t.Helper()
	r, err := snapshot()
	noError(t, err)
	return r
}

func TestReleaseArchives(t *testing.T) {
	t.Parallel()
	r := theRelease(t)
	want := []string{"CHANGELOG.md", "LICENSE", "README.md"}
	for pattern, folder := range map[string]string{"../completions/*": "completions", "../docs/man/*": "man"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, files, err)
		}
		for _, file := range files {
			want = append(want, folder+"/"+filepath.Base(file))
		}
	}
	for _, platform := range []string{"linux_amd64", "linux_arm64", "darwin_amd64", "darwin_arm64", "windows_amd64", "windows_arm64"} {
		name, suffix := "groups-exporter", ".tar.gz"
		if strings.HasPrefix(platform, "windows") {
			name, suffix = "groups-exporter.exe", ".zip"
		}
		files := unpack(t, r.file(t, platform+suffix))
		report(t, platform, same(slices.Sorted(slices.Values(append(want, name))), slices.Sorted(maps.Keys(files))))
		info, err := buildinfo.Read(bytes.NewReader(files[name]))
		if err != nil {
			t.Errorf("%s: %v", platform, err)
			continue
		}
		settings := map[string]string{}
		for _, setting := range info.Settings {
			settings[setting.Key] = setting.Value
		}
		got := []string{settings["GOOS"] + "_" + settings["GOARCH"], settings["CGO_ENABLED"], settings["-trimpath"]}
		if err := same([]string{platform, "0", "true"}, got); err != nil {
			t.Errorf("%s: build settings: %v", platform, err)
		}
		checkBillOfMaterials(t, r.file(t, platform+".cdx.json"), info)
	}

	path := filepath.Join(t.TempDir(), "groups-exporter")
	writeFile(t, path, string(unpack(t, r.file(t, "linux_amd64.tar.gz"))["groups-exporter"]), 0o700)
	version, err := exec.Command(path, "version").Output()
	if want := "groups-exporter 0.0.1-next (revision " + r.commit; err != nil || !strings.HasPrefix(string(version), want) {
		t.Errorf("version of the binary: %s, %v; want %s…", version, err, want)
	}
}

// unpack returns the contents of the files in an archive by name.
func unpack(t *testing.T, archive string) map[string][]byte {
	t.Helper()
	dir := t.TempDir()
	command := []string{"tar", "--extract", "--file=" + archive, "--directory=" + dir}
	if strings.HasSuffix(archive, ".zip") {
		command = []string{"python3", "-m", "zipfile", "--extract", archive, dir}
	}
	noError(t, tool("", command...))
	files := map[string][]byte{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files[name], err = os.ReadFile(filepath.Join(dir, name))
		}
		return err
	})
	noError(t, err)
	return files
}

// checkBillOfMaterials compares an SBOM with the modules in a binary.
func checkBillOfMaterials(t *testing.T, path string, info *buildinfo.BuildInfo) {
	t.Helper()
	bill := decode[struct {
		BomFormat string
		Metadata  struct {
			Component struct{ Name, Version string }
		}
		Components []struct{ Name, Version string }
	}](t, read(t, path))
	if c := bill.Metadata.Component; bill.BomFormat != "CycloneDX" || c.Name != info.Main.Path || c.Version != "v0.0.1-next" {
		t.Errorf("%s: unexpected component %+v or format %s", path, c, bill.BomFormat)
	}
	want, got := []string{"std " + info.GoVersion}, []string{}
	for _, module := range info.Deps {
		want = append(want, module.Path+" "+module.Version)
	}
	for _, component := range bill.Components {
		got = append(got, component.Name+" "+component.Version)
	}
	slices.Sort(want)
	slices.Sort(got)
	if err := same(want, got); err != nil {
		t.Errorf("%s differs from the binary: %v", path, err)
	}
}

// The release workflow sets the variables that goreleaser's configuration reads, and a GitHub token.
func TestReleaseWorkflow(t *testing.T) {
	t.Parallel()
	config := read(t, "../.goreleaser.yaml")
	want := []string{"GITHUB_TOKEN"}
	for _, match := range regexp.MustCompile(`\.Env\.(\w+)`).FindAllStringSubmatch(config, -1) {
		want = append(want, match[1])
	}
	text := read(t, "../.github/workflows/release.yml")
	var workflow struct {
		Jobs map[string]struct {
			Steps []struct {
				Run string
				Env map[string]string
			}
		}
	}
	noError(t, yaml.Unmarshal([]byte(text), &workflow))
	var got []string
	for _, step := range workflow.Jobs["release"].Steps {
		if step.Run == "goreleaser release" {
			got = slices.Collect(maps.Keys(step.Env))
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	report(t, "the workflow's variables differ from goreleaser's", same(slices.Compact(want), got))
}

// The cask names only files in the archive, because Homebrew fails otherwise.
func TestReleaseCask(t *testing.T) {
	t.Parallel()
	r := theRelease(t)
	cask := read(t, filepath.Join(r.dist, "homebrew/Casks/groups-exporter.rb"))
	sums := read(t, filepath.Join(r.dist, "checksums.txt"))
	for _, platform := range []string{"darwin_amd64", "darwin_arm64", "linux_amd64", "linux_arm64"} {
		archive := platform + ".tar.gz"
		sum := regexp.MustCompile(`([0-9a-f]{64})  \S+` + regexp.QuoteMeta(archive)).FindStringSubmatch(sums)
		if sum == nil || !regexp.MustCompile(`(?s)`+regexp.QuoteMeta(archive)+`".{0,200}?sha256 "`+sum[1]).MatchString(cask) {
			t.Errorf("the cask lacks the checksum of %s, which is %s:\n%s", archive, sum, cask)
		}
		named := map[string]bool{}
		for _, file := range regexp.MustCompile(`(?m)^  (?:binary|manpage|\w+_completion) "(.*)"`).FindAllStringSubmatch(cask, -1) {
			named[file[1]] = true
		}
		files := unpack(t, r.file(t, archive))
		for name := range named {
			if _, ok := files[name]; !ok {
				t.Errorf("the cask names %s, which %s doesn't have", name, archive)
			}
		}
		for name := range files {
			if !named[name] && !strings.HasSuffix(name, ".md") && name != "LICENSE" && !strings.HasSuffix(name, ".ps1") {
				t.Errorf("the cask doesn't name %s, which %s has", name, archive)
			}
		}
	}
}
