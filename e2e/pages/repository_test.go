package pages

import (
	"os"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

const root = "../.."

func TestPages(t *testing.T) {
	all := read(t)
	for _, problem := range Problems(os.DirFS(root), all) {
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

func read(t *testing.T) []*Page {
	t.Helper()
	all, err := All(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("only %d pages", len(all))
	}
	return all
}
