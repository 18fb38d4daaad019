package main

import (
	"bytes"
	"html"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	renderer "github.com/yuin/goldmark/renderer/html"
)

// cellsOf renders a table as GitHub does, and returns the text of its rows. It fails
// where there is any element but code in a cell.
func cellsOf(t *testing.T, markdown string) [][]string {
	t.Helper()
	var page bytes.Buffer
	github := goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithRendererOptions(renderer.WithUnsafe()))
	if err := github.Convert([]byte(markdown), &page); err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	for _, row := range regexp.MustCompile(`(?s)<tr>(.*?)</tr>`).FindAllStringSubmatch(page.String(), -1) {
		var cells []string
		for _, cell := range regexp.MustCompile(`(?s)<td[^>]*>(.*?)</td>`).FindAllStringSubmatch(row[1], -1) {
			text := strings.NewReplacer("<code>", "", "</code>", "").Replace(cell[1])
			if strings.Contains(text, "<") {
				t.Errorf("a cell has more than text: %s", cell[1])
			}
			cells = append(cells, html.UnescapeString(text))
		}
		if cells != nil { // else it is the header
			rows = append(rows, cells)
		}
	}
	return rows
}

func TestMarkdownShowsNamesAsTheyAre(t *testing.T) {
	var groups []groupRow
	for _, name := range hostileNames() {
		groups = append(groups, groupRow{Group: name, Members: 2, Users: []string{name, "ada_1"}})
	}
	random := rand.New(rand.NewPCG(1, 2))
	letters := []rune("`|\\ *_~<a@#")
	for range 5000 {
		name := make([]rune, random.IntN(8))
		for i := range name {
			name[i] = letters[random.IntN(len(letters))]
		}
		groups = append(groups, groupRow{Group: string(name), Members: 1, Users: []string{string(name)}})
	}
	var markdown bytes.Buffer
	if err := writeGroups(&markdown, outputMarkdown, groups, false, ""); err != nil {
		t.Fatal(err)
	}
	rows := cellsOf(t, markdown.String())
	if len(rows) != len(groups) {
		t.Fatalf("%d rows, want %d", len(rows), len(groups))
	}
	for i, g := range groups {
		var users []string
		for _, name := range g.Users {
			users = append(users, printable(name))
		}
		want := []string{printable(g.Group), strconv.Itoa(g.Members), strings.Join(users, ", ")}
		if !slices.Equal(rows[i], want) {
			t.Errorf("a row shows %q, want %q", rows[i], want)
		}
	}
}

// GitHub links these after it has rendered a page, unless they are code.
func TestMarkdownHasNamesInCode(t *testing.T) {
	for name, want := range map[string]string{
		"ada": "`ada`", "@ada": "`@ada`", "#1": "`#1`", "GH-1": "`GH-1`", "a|b": "`a`&#124;`b`", "|": "&#124;", `a\|b`: "`a\\`&#124;`b`",
		"`": "`` ` ``", "a`b": "``a`b``", "": "`\"\"`", "a | b": "` a  `&#124;`  b `",
	} {
		if got := codeSpan(name); got != want {
			t.Errorf("%q is written as %s, want %s", name, got, want)
		}
	}
}
