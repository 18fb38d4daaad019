package pages

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

// The pages of the repository have no problems, and their YAML and PromQL can be parsed.
func TestRepository(t *testing.T) {
	root := os.DirFS("../..")
	all, err := All(root)
	if err != nil || len(all) < 10 {
		t.Fatalf("only %d pages (error: %v)", len(all), err)
	}
	for _, problem := range Problems(root, all) {
		t.Error(problem)
	}
	for _, page := range all {
		for _, b := range page.Blocks {
			var err error
			switch b.Info {
			case "yaml":
				err = yaml.Unmarshal([]byte(b.Text), new(any))
			case "promql":
				_, err = parser.NewParser(parser.Options{}).ParseExpr(b.Text)
			}
			if err != nil {
				t.Errorf("%s, line %d: %v", page.Name, b.Line, err)
			}
		}
	}
}

// wrong has all kinds of mistakes.
var wrong = fstest.MapFS{
	"README.md": {Data: []byte(strings.ReplaceAll(`# Title of *it*: `+"`x_y`"+`, twice

## Again

[good](docs/a.md#ein-schöner-tag) [good](#title-of-it-x_y-twice) [good](#again-1) [good](https://example.org/) <http://localhost:1/>
![good](a.png) [gone](docs/b.md) [no heading](docs/a.md#nowhere) [no heading here](#nowhere) ![gone](b.png)
[plain](http://example.org/) [odd](https:///path) [absolute](/docs/a.md) [not a page](a.png#x)

## Again

'''sh
true
'''

'''output
'''

<!-- not run: it takes a year -->
'''sh
sleep 31536000
'''

<!-- not run:  -->
'''sh
true
'''

<!-- a note -->

'''text
'''

'''
what is it?
'''

'''klingon
nuqneH
'''

'''output
of what?
'''

    indented
`, "'''", "```"))},
	"docs/a.md":    {Data: []byte("# Ein schöner Tag\n")},
	"docs/lost.md": {Data: []byte("[self](lost.md)\n")},
	"a.png":        {Data: []byte{}},
}

// Each kind of mistake is found, and nothing else.
func TestProblems(t *testing.T) {
	all, err := All(wrong)
	if err != nil {
		t.Fatal(err)
	}
	got := Problems(wrong, all)
	want := []string{
		"README.md: docs/b.md points to nothing",
		"README.md: docs/a.md#nowhere points to no heading of docs/a.md",
		"README.md: #nowhere points to no heading of README.md",
		"README.md: b.png points to nothing",
		"README.md: http://example.org/ should be https",
		"README.md: https:///path should be https",
		"README.md: /docs/a.md is not relative",
		"README.md: a.png#x points to no heading of a.png",
		"README.md: line 45: a block of code without a fence",
		"README.md: line 25: unknown comment, want one like <!-- not run: REASON -->: <!-- not run:  -->",
		"README.md: line 34: a fence without a language",
		`README.md: line 38: no test for blocks of "klingon"`,
		"README.md: line 42: output, but the block before isn't sh",
		"docs/lost.md: no link from README.md or docs/index.md leads here",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// The comment before a block sets its fields.
func TestBlocks(t *testing.T) {
	page := Parse("a.md", []byte("1. In a list:\n\n   <!-- file: /etc/x -->\n   ```yaml\n   a: b\n   ```\n\n<!-- not run: no -->\n```sh\nx\n```\n\n```output\ny\n```\n"))
	want := []Block{
		{Line: 5, Info: "yaml", Text: "a: b\n", File: "/etc/x", Comment: "<!-- file: /etc/x -->\n"},
		{Line: 10, Info: "sh", Text: "x\n", NotRun: "no", Comment: "<!-- not run: no -->\n"},
		{Line: 14, Info: "output", Text: "y\n"},
	}
	if diff := cmp.Diff(want, page.Blocks); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A walk consists of the blocks before the first way, and of those from its own way up to the next one.
func TestWalks(t *testing.T) {
	block := func(name string) string { return "\n```text\n" + name + "\n```\n" }
	page := Parse("a.md", []byte("# A\n"+block("first")+`
| way | for |
| --- | --- |
| [elsewhere](b.md), [one](#one-way) | x |
| [another](#another) | [not a way](#rest) |

| thing | where |
| --- | --- |
| [rest](#rest) | x |

## One *way*
`+block("one")+"\n### Details\n"+block("details")+"\n## Another\n"+block("another")+"\n## Rest\n"+block("rest")))
	got := map[string][]string{}
	for way, walk := range page.Walks() {
		for _, b := range walk {
			got[way] = append(got[way], strings.TrimSpace(b.Text))
		}
	}
	want := map[string][]string{"one-way": {"first", "one", "details"}, "another": {"first", "another", "rest"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if walks := Parse("b.md", []byte(block("all"))).Walks(); len(walks) != 1 || len(walks[""]) != 1 {
		t.Errorf("without ways: %v", walks)
	}
}
