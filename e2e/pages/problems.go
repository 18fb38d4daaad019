package pages

import (
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"
)

// languages are the languages of blocks, and what the tests do with such a block.
var languages = map[string]string{
	"sh":      "executed",
	"output":  "compared with the output of the shell block before it",
	"python":  "the configuration of a real hub",
	"yaml":    "parsed, and checked by promtool if it configures Prometheus",
	"promql":  "parsed by Prometheus",
	"ini":     "a systemd unit, which is verified, or an environment file",
	"mermaid": "drawn by GitHub",
	"text":    "for reading",
}

// entries are the pages from which links lead to all others.
var entries = []string{"README.md", "docs/index.md"}

// generated reports whether the page is generated. Its blocks come from the help.
func (p *Page) generated() bool { return p.Name == "docs/reference/commands.md" }

// Executed reports whether the blocks of the page are executed. The files in deploy have tests of their own.
func (p *Page) Executed() bool { return !p.generated() && !strings.HasPrefix(p.Name, "deploy/") }

// Problems returns what is wrong with the pages, one line each. It doesn't check the targets of external links, because
// the tests use no network.
func Problems(root fs.FS, all []*Page) []string {
	var found []string
	byName := map[string]*Page{}
	for _, page := range all {
		byName[page.Name] = page
	}
	reached := map[string]bool{}
	for _, entry := range entries {
		reach(entry, byName, reached)
	}
	for _, page := range all {
		for _, link := range page.Links {
			if problem := page.linkProblem(link, root, byName); problem != "" {
				found = append(found, fmt.Sprintf("%s: %s %s", page.Name, link, problem))
			}
		}
		if !page.generated() {
			found = append(found, page.blockProblems()...)
		}
		if !reached[page.Name] {
			found = append(found, fmt.Sprintf("%s: no link from %s leads here", page.Name, strings.Join(entries, " or ")))
		}
	}
	return found
}

// reach adds a page and all pages that its links lead to.
func reach(name string, byName map[string]*Page, reached map[string]bool) {
	page := byName[name]
	if page == nil || reached[name] {
		return
	}
	reached[name] = true
	for _, link := range page.Links {
		if u, err := url.Parse(link); err == nil && !u.IsAbs() {
			reach(path.Join(path.Dir(name), u.Path), byName, reached)
		}
	}
}

func (p *Page) blockProblems() []string {
	var found []string
	report := func(line int, problem string) {
		found = append(found, fmt.Sprintf("%s: line %d: %s", p.Name, line, problem))
	}
	for _, line := range p.Unfenced {
		report(line, "a block of code without a fence")
	}
	last := ""
	for _, b := range p.Blocks {
		switch {
		case b.Info == "":
			report(b.Line, "a fence without a language")
		case languages[b.Info] == "":
			report(b.Line, fmt.Sprintf("no test for blocks of %q", b.Info))
		case b.Info == "output" && last != "sh":
			report(b.Line, "output, but the block before isn't sh")
		}
		if b.Comment != "" && b.NotRun == "" && b.File == "" {
			report(b.Line, "unknown comment, want one like <!-- not run: REASON -->: "+strings.TrimSpace(b.Comment))
		}
		last = b.Info
	}
	return found
}

func (p *Page) linkProblem(link string, root fs.FS, byName map[string]*Page) string {
	u, err := url.Parse(link)
	switch {
	case err != nil:
		return "is no address"
	case u.Scheme == "http" && (u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1"):
		return ""
	case u.IsAbs() && (u.Scheme != "https" || u.Host == ""):
		return "should be https"
	case u.IsAbs():
		return ""
	case strings.HasPrefix(u.Path, "/"):
		return "is not relative"
	}
	target := p.Name
	if u.Path != "" {
		target = path.Join(path.Dir(p.Name), u.Path)
		if _, err := fs.Stat(root, target); err != nil {
			return "points to nothing"
		}
	}
	if u.Fragment != "" && (byName[target] == nil || !slices.Contains(byName[target].Anchors, u.Fragment)) {
		return "points to no heading of " + target
	}
	return ""
}
