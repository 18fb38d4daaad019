//go:build e2e

package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/groups-exporter/groups-exporter/e2e/pages"
)

const recipesPage = "../docs/how-to/shell.md"

// blocks returns the blocks of a page in a language.
func blocks(t *testing.T, page, language string) []pages.Block {
	t.Helper()
	all := pages.Parse(page, []byte(read(t, page))).Blocks
	return slices.DeleteFunc(all, func(b pages.Block) bool { return b.Info != language })
}

// With a name that doesn't exist, every recipe on the page succeeds and changes nothing.
func TestRecipesForNobody(t *testing.T) {
	t.Parallel()
	env := startHub(t, versions[0], readers(), reader).of(token(reader.name))
	bin := programFolder(t)
	acted := filepath.Join(t.TempDir(), "acted")
	for _, command := range []string{"kubectl", "du"} {
		script := "#!/bin/sh\necho \"$0 $*\" >> " + acted + "\n"
		writeFile(t, filepath.Join(bin, command), script, 0o755)
	}
	named := regexp.MustCompile(`bio-lab|bio-\*|ada@uni\.example|ada-40uni-2eexample|ada\*`)
	recipes, filters := 0, 0
	for _, block := range blocks(t, recipesPage, "sh") {
		if !strings.Contains(block.Text, "groups-exporter ") {
			continue
		}
		recipes++
		text := named.ReplaceAllString(block.Text, "no-such-name")
		var stdout, stderr bytes.Buffer
		cmd := exec.CommandContext(t.Context(), "bash", "-c", "set -eo pipefail\n"+text)
		cmd.Dir, cmd.Stdout, cmd.Stderr = t.TempDir(), &stdout, &stderr
		cmd.Env = slices.Concat(env, []string{"PATH=" + bin + ":/usr/bin:/bin"})
		if err := cmd.Run(); err != nil {
			t.Errorf("line %d: %v\n%s\n%s", block.Line, err, text, &stderr)
		}
		if regexp.MustCompile(`--(group|user) '?no-such-name`).MatchString(text) {
			filters++
			if !strings.Contains(stderr.String(), `"no-such-name" matches no `) {
				t.Errorf("line %d: no message that nothing matches:\n%s\n%s", block.Line, text, &stderr)
			}
		}
		if what, err := os.ReadFile(acted); err == nil {
			t.Errorf("line %d runs %s without a name:\n%s", block.Line, what, text)
			os.Remove(acted)
		}
	}
	if recipes < 10 || filters < 3 {
		t.Errorf("found %d recipes, %d of them with a filter: are the patterns right?", recipes, filters)
	}
}
