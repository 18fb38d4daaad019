package kubestate

import (
	"fmt"
	"strconv"
	"strings"
)

// A family is a gauge with its series in the text format.
type family struct {
	name   string
	series strings.Builder
}

// add adds a series with the labels of an object and more.
func (f *family) add(value float64, of []label, more ...label) {
	var labels []string
	for _, list := range [][]label{of, more} {
		for _, l := range list {
			labels = append(labels, fmt.Sprintf(`%s="%s"`, l.name, strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`).Replace(l.value)))
		}
	}
	fmt.Fprintf(&f.series, "%s{%s} %s\n", f.name, strings.Join(labels, ","), strconv.FormatFloat(value, 'g', -1, 64))
}

// exposition returns families in the text format.
func exposition(families []*family) string {
	var text strings.Builder
	for _, f := range families {
		fmt.Fprintf(&text, "# TYPE %s gauge\n%s", f.name, f.series.String())
	}
	return text.String()
}
