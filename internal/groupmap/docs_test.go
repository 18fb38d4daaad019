package groupmap_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The maps on the pages are valid, and do what the tables after them say.
func TestPages(t *testing.T) {
	maps, rows := 0, 0
	for _, page := range []string{"how-to/groups.md", "reference/group-map.md"} {
		text, err := os.ReadFile("../../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range strings.Split(string(text), "```yaml\n")[1:] {
			document, after, _ := strings.Cut(part, "```\n")
			g := parse(t, document).For(nil)
			maps++
			table, _, _ := strings.Cut(after, "\n\n"+"## ")
			header := regexp.MustCompile(`(?m)^\| (group|user) \| counts`).FindStringSubmatch(table)
			if header == nil {
				continue
			}
			for _, row := range regexp.MustCompile("(?m)^\\| `(.*)` \\| (?:`(.*)`|dropped) \\|$").FindAllStringSubmatch(table, -1) {
				rows++
				user, groups, want := "somebody", []string{row[1]}, row[2]
				if header[1] == "user" {
					user, groups = row[1], nil
				}
				if want == "none" {
					want = ""
				}
				if got := strings.Join(g.Groups(user, groups), ", "); got != want {
					t.Errorf("%s: %s counts as %q, and the page says %q", page, row[1], got, want)
				}
			}
			if err := g.Err(); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
	if maps < 7 || rows < 14 {
		t.Errorf("found %d maps and %d rows of tables: are the patterns right?", maps, rows)
	}
}
