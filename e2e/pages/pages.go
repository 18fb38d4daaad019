// Package pages parses the project's Markdown for tests: code blocks, headings and links.
package pages

import (
	"bytes"
	"io/fs"
	"path"
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

// A Block is a fenced code block.
type Block struct {
	Line int    // of its first line of content
	Info string // the language
	Text string
	// Comment is the HTML comment directly before the block. NotRun and File are what it says.
	Comment string
	NotRun  string // reason why the block isn't executed, or ""
	File    string // name of the file that the block is the content of, or ""
	// Way is the section of Page.Ways that the block belongs to, or "" before the first one.
	Way string
}

// A Page is a Markdown file.
type Page struct {
	Name    string // path from the root, with slashes
	Blocks  []Block
	Links   []string // targets of links and images
	Anchors []string // of its headings, as GitHub generates them
	// Ways are the anchors of alternative sections, of which a reader follows one. A page lists them in a table whose
	// first column is headed "way". Everything after such a section, up to the next one, belongs to it.
	Ways []string
	// Unfenced are the lines of indented code blocks, which have no language.
	Unfenced []int
}

// Walks returns the blocks that a reader of each way follows, in order. A page without ways has one walk, for "".
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

// All parses all Markdown files, except those in dist and in hidden folders.
func All(root fs.FS) ([]*Page, error) {
	var all []*Page
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "dist"):
			return fs.SkipDir
		case entry.IsDir() || path.Ext(name) != ".md":
			return nil
		}
		content, err := fs.ReadFile(root, name)
		all = append(all, Parse(name, content))
		return err
	})
	return all, err
}

// Parse parses a page.
func Parse(name string, content []byte) *Page {
	page := &Page{Name: name}
	way := ""
	root := goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser().Parse(text.NewReader(content))
	for node := range nodes(root) {
		switch node := node.(type) {
		case *ast.FencedCodeBlock:
			b := block(node, content)
			b.Way = way
			page.Blocks = append(page.Blocks, b)
		case *ast.CodeBlock:
			page.Unfenced = append(page.Unfenced, lineOf(node, content))
		case *ast.Heading:
			anchor := page.newAnchor(plain(node, content))
			page.Anchors = append(page.Anchors, anchor)
			if slices.Contains(page.Ways, anchor) {
				way = anchor
			}
		case *extensions.Table:
			page.Ways = append(page.Ways, waysIn(node, content)...)
		case *ast.Link:
			page.Links = append(page.Links, string(node.Destination))
		case *ast.Image:
			page.Links = append(page.Links, string(node.Destination))
		case *ast.AutoLink:
			page.Links = append(page.Links, string(node.URL(content)))
		}
	}
	return page
}

// nodes iterates over a node and its descendants, in the order of the text.
func nodes(root ast.Node) func(yield func(ast.Node) bool) {
	return func(yield func(ast.Node) bool) {
		_ = ast.Walk(root, func(node ast.Node, entering bool) (ast.WalkStatus, error) {
			if entering && !yield(node) {
				return ast.WalkStop, nil
			}
			return ast.WalkContinue, nil
		})
	}
}

// lineOf returns the line of the content of a code block, or 0 if the block is empty.
func lineOf(node ast.Node, content []byte) int {
	if node.Lines().Len() == 0 {
		return 0
	}
	return 1 + bytes.Count(content[:node.Lines().At(0).Start], []byte("\n"))
}

// waysIn returns the anchors that the first column of a table of ways links to.
func waysIn(table *extensions.Table, content []byte) []string {
	if plain(table.FirstChild().FirstChild(), content) != "way" {
		return nil
	}
	var ways []string
	for row := table.FirstChild().NextSibling(); row != nil; row = row.NextSibling() {
		for node := range nodes(row.FirstChild()) {
			if link, ok := node.(*ast.Link); ok && bytes.HasPrefix(link.Destination, []byte("#")) {
				ways = append(ways, string(link.Destination[1:]))
			}
		}
	}
	return ways
}

var directive = regexp.MustCompile(`^<!-- (not run|file): (.*\S) -->\s*$`)

func block(node *ast.FencedCodeBlock, content []byte) Block {
	b := Block{Line: lineOf(node, content), Info: string(node.Language(content)), Text: string(node.Lines().Value(content))}
	if comment, ok := node.PreviousSibling().(*ast.HTMLBlock); ok && !node.HasBlankPreviousLines() {
		b.Comment = string(comment.Lines().Value(content))
		if match := directive.FindStringSubmatch(b.Comment); match != nil && match[1] == "file" {
			b.File = match[2]
		} else if match != nil {
			b.NotRun = match[2]
		}
	}
	return b
}

// plain returns the text of a node without its markup.
func plain(root ast.Node, content []byte) string {
	var out strings.Builder
	for node := range nodes(root) {
		switch node := node.(type) {
		case *ast.Text:
			out.Write(node.Value(content))
		case *ast.String:
			out.Write(node.Value)
		}
	}
	return out.String()
}

// newAnchor returns the anchor that GitHub generates for a heading after the other headings of the page.
func (p *Page) newAnchor(heading string) string {
	slug := strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
	anchor := slug
	for n := 1; slices.Contains(p.Anchors, anchor); n++ {
		anchor = slug + "-" + strconv.Itoa(n)
	}
	return anchor
}
