// Package pages reads the project's Markdown for the tests of it: the blocks that a page shows, its
// headings and its links.
package pages

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	extensions "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"
)

// The comments that may stand directly before a block.
const (
	notRun = "not run" // with the reason why a shell block isn't executed
	file   = "file"    // with the file that the block is the content of
)

// A Block is a fenced block.
type Block struct {
	Line int    // of its first line of content
	Info string // the language
	Text string

	NotRun string // why it isn't executed, or ""
	File   string // where a reader puts it, or ""
	// Comment is what stands directly before the block in <!-- -->.
	Comment string
	// Way is the way of the page that the block belongs to, or "" before the first one.
	Way string
}

// A Link is what a link or an image points to.
type Link struct {
	Target string
	Image  bool
}

// A Page is a Markdown file.
type Page struct {
	Name    string // path from the root, with slashes
	Blocks  []Block
	Links   []Link
	Anchors []string // of its headings, as GitHub makes them
	// Ways are the sections of which a reader follows one and leaves out the others, as anchors. A page
	// lists them in a table whose first column is headed "way". What comes after a way, up to the next
	// one, belongs to it.
	Ways []string
	// Unfenced are the lines of blocks of code without a fence, which have no language.
	Unfenced []int
}

// Walks returns the blocks that a reader comes by, in order, by way. A page without ways has one walk,
// and its way is "".
func (p *Page) Walks() map[string][]Block {
	if len(p.Ways) == 0 {
		return map[string][]Block{"": p.Blocks}
	}
	walks := map[string][]Block{}
	for _, way := range p.Ways {
		walks[way] = slices.DeleteFunc(slices.Clone(p.Blocks), func(b Block) bool { return b.Way != "" && b.Way != way })
	}
	return walks
}

// All reads the Markdown files below a root, but for hidden folders.
func All(root string) ([]*Page, error) {
	var all []*Page
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "dist"):
			return fs.SkipDir
		case entry.IsDir() || path.Ext(name) != ".md":
			return nil
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		all = append(all, Parse(filepath.ToSlash(relative), content))
		return nil
	})
	return all, err
}

// Parse reads a page.
func Parse(name string, content []byte) *Page {
	page := &Page{Name: name}
	way := ""
	root := goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser().Parse(text.NewReader(content))
	lineOf := func(offset int) int { return 1 + strings.Count(string(content[:offset]), "\n") }
	// The walk itself has no errors of its own.
	_ = ast.Walk(root, func(node ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch node := node.(type) {
		case *ast.FencedCodeBlock:
			b := block(node, content, lineOf)
			b.Way = way
			page.Blocks = append(page.Blocks, b)
		case *ast.CodeBlock:
			page.Unfenced = append(page.Unfenced, lineOf(node.Lines().At(0).Start))
		case *ast.Heading:
			anchor := unique(slug(plain(node, content)), page.Anchors)
			page.Anchors = append(page.Anchors, anchor)
			if slices.Contains(page.Ways, anchor) {
				way = anchor
			}
		case *extensions.Table:
			page.Ways = append(page.Ways, waysIn(node, content)...)
		case *ast.Link:
			page.Links = append(page.Links, Link{Target: string(node.Destination)})
		case *ast.Image:
			page.Links = append(page.Links, Link{Target: string(node.Destination), Image: true})
		case *ast.AutoLink:
			page.Links = append(page.Links, Link{Target: string(node.URL(content))})
		}
		return ast.WalkContinue, nil
	})
	return page
}

// waysIn returns the anchors on the page itself that the first column of a table of ways links to.
func waysIn(table *extensions.Table, content []byte) []string {
	if plain(table.FirstChild().FirstChild(), content) != "way" {
		return nil
	}
	var ways []string
	for row := table.FirstChild().NextSibling(); row != nil; row = row.NextSibling() {
		_ = ast.Walk(row.FirstChild(), func(node ast.Node, entering bool) (ast.WalkStatus, error) {
			if link, ok := node.(*ast.Link); ok && entering {
				if anchor, here := strings.CutPrefix(string(link.Destination), "#"); here {
					ways = append(ways, anchor)
				}
			}
			return ast.WalkContinue, nil
		})
	}
	return ways
}

func block(node *ast.FencedCodeBlock, content []byte, lineOf func(int) int) Block {
	b := Block{Text: string(node.Lines().Value(content))}
	if node.Info != nil {
		b.Info = string(node.Info.Value(content))
	}
	if node.Lines().Len() > 0 {
		b.Line = lineOf(node.Lines().At(0).Start)
	}
	if comment, ok := node.PreviousSibling().(*ast.HTMLBlock); ok && !node.HasBlankPreviousLines() {
		b.Comment = string(comment.Lines().Value(content))
		name, value := directive(b.Comment)
		switch name {
		case notRun:
			b.NotRun = value
		case file:
			b.File = value
		}
	}
	return b
}

// Known tells whether a comment before a block says something that the tests know.
func (b Block) Known() bool { return b.Comment == "" || b.NotRun != "" || b.File != "" }

func directive(comment string) (name, value string) {
	match := regexp.MustCompile(`^<!-- ([a-z ]+): (.*\S) -->\s*$`).FindStringSubmatch(comment)
	if match == nil {
		return "", ""
	}
	return match[1], match[2]
}

// plain is a heading's text without its markup.
func plain(node ast.Node, content []byte) string {
	var out strings.Builder
	_ = ast.Walk(node, func(node ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering {
			switch node := node.(type) {
			case *ast.Text:
				out.Write(node.Value(content))
			case *ast.String:
				out.Write(node.Value)
			}
		}
		return ast.WalkContinue, nil
	})
	return out.String()
}

// slug is GitHub's rule: small letters, digits, hyphens and underscores stay, spaces become hyphens,
// and the rest goes.
func slug(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

// unique numbers the second and later ones of the same name.
func unique(anchor string, taken []string) string {
	for n, candidate := 1, anchor; ; n++ {
		if !slices.Contains(taken, candidate) {
			return candidate
		}
		candidate = anchor + "-" + strconv.Itoa(n)
	}
}
