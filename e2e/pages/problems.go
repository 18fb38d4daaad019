package pages

import (
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"
)

// languages are what a fence may say, and who looks at such a block.
func languages() map[string]string {
	return map[string]string{
		"sh":      "executed",
		"output":  "compared with what the shell block before it prints",
		"python":  "the configuration of a real hub",
		"yaml":    "parsed, and given to promtool where it is Prometheus'",
		"promql":  "parsed by Prometheus",
		"ini":     "a systemd unit, verified, or an environment file",
		"mermaid": "drawn by GitHub",
		"text":    "for reading",
	}
}

// generated are pages that a program writes. Their blocks are the help's.
func generated(name string) bool { return name == "docs/reference/commands.md" }

// Executed tells whether the blocks of a page are. What is deployed has a module with tests of its own.
func (p *Page) Executed() bool { return !generated(p.Name) && !strings.HasPrefix(p.Name, "deploy/") }

// doors are the pages from which every other is reached.
func doors() []string { return []string{"README.md", "docs/index.md"} }

// Problems tells what is wrong with the pages of a root, a line each. What an external link points to
// isn't looked at: the tests reach no network.
func Problems(root fs.FS, all []*Page) []string {
	var found []string
	byName := map[string]*Page{}
	for _, page := range all {
		byName[page.Name] = page
	}
	for _, page := range all {
		for _, problem := range append(page.blockProblems(), page.linkProblems(root, byName)...) {
			found = append(found, page.Name+": "+problem)
		}
	}
	reached := reachable(byName)
	for _, page := range all {
		if !reached[page.Name] {
			found = append(found, page.Name+": no link from "+strings.Join(doors(), " or ")+" leads here")
		}
	}
	return found
}

func (p *Page) blockProblems() []string {
	if generated(p.Name) {
		return nil
	}
	var found []string
	for _, line := range p.Unfenced {
		found = append(found, fmt.Sprintf("line %d: a block of code without a fence", line))
	}
	last := Block{}
	for _, b := range p.Blocks {
		switch {
		case b.Info == "":
			found = append(found, fmt.Sprintf("line %d: a fence without a language", b.Line))
		case languages()[b.Info] == "":
			found = append(found, fmt.Sprintf("line %d: nobody looks at blocks of %q", b.Line, b.Info))
		case b.Info == "output" && last.Info != "sh":
			found = append(found, fmt.Sprintf("line %d: output of nothing: the block before isn't sh", b.Line))
		}
		if !b.Known() {
			found = append(found, fmt.Sprintf("line %d: not a comment that the tests know, like <!-- not run: REASON -->: %s", b.Line, strings.TrimSpace(b.Comment)))
		}
		last = b
	}
	return found
}

func (p *Page) linkProblems(root fs.FS, byName map[string]*Page) []string {
	var found []string
	for _, link := range p.Links {
		if problem := p.linkProblem(link, root, byName); problem != "" {
			found = append(found, link.Target+" "+problem)
		}
	}
	return found
}

func (p *Page) linkProblem(link Link, root fs.FS, byName map[string]*Page) string {
	u, err := url.Parse(link.Target)
	switch {
	case err != nil:
		return "is no address"
	case u.Scheme == "http" && slices.Contains([]string{"localhost", "127.0.0.1"}, u.Hostname()):
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

// reachable follows links from the doors.
func reachable(byName map[string]*Page) map[string]bool {
	seen := map[string]bool{}
	next := doors()
	for len(next) > 0 {
		page := byName[next[0]]
		next = next[1:]
		if page == nil || seen[page.Name] {
			continue
		}
		seen[page.Name] = true
		for _, link := range page.Links {
			if u, err := url.Parse(link.Target); err == nil && !u.IsAbs() {
				next = append(next, path.Join(path.Dir(page.Name), u.Path))
			}
		}
	}
	return seen
}
