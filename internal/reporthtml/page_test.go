package reporthtml_test

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/report"
	"github.com/groups-exporter/groups-exporter/internal/reporthtml"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

var update = flag.Bool("update", false, "write the golden files anew")

// october returns the month that the tests are about.
func october(t *testing.T) report.Period {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Zurich")
	if err != nil {
		t.Fatal(err)
	}
	month, err := report.ParseMonth("2026-10", zone)
	if err != nil {
		t.Fatal(err)
	}
	return month
}

// amounts returns made-up amounts, given the GiB hours of memory.
func amounts(memory float64) report.Amounts {
	return report.Amounts{
		report.ActiveUsers: math.Ceil(memory / 90), report.Sessions: math.Ceil(memory / 11), report.ServerHours: memory / 2.5,
		report.CPU: memory / 7, report.CPURequested: memory / 3, report.CPUCharged: memory / 2.8, report.Memory: memory,
		report.MemoryRequested: memory * 1.4, report.MemoryCharged: memory * 1.5, report.GPU: memory / 60, report.Home: memory / 9,
	}
}

// section returns a section with a row for each group, and one each for the pseudo-groups none and unknown.
func section(period report.Period, groups []string, scale float64) *report.Section {
	s := &report.Section{Period: period, Total: &report.Row{Share: 1}, Ranked: len(groups)}
	for i, group := range groups {
		s.Rows = append(s.Rows, &report.Row{Group: group, Amounts: amounts(scale * 5200 / (float64(i) + 1.3)), Rank: i + 1})
	}
	s.Rows = append(s.Rows,
		&report.Row{Group: membership.DefaultNoneName, Amounts: amounts(scale * 410)},
		&report.Row{Group: report.Unknown.String(), Kind: report.Unknown, Amounts: amounts(scale * 35.5)},
	)
	for _, row := range s.Rows {
		s.Total.Amounts.Add(&row.Amounts, 1)
		row.Cents = report.Cents(13 * row.Amounts[report.Memory])
		s.Total.Cents += row.Cents
	}
	for _, row := range s.Rows {
		row.Share = row.Amounts[report.Memory] / s.Total.Amounts[report.Memory]
	}
	return s
}

// days returns a section for each day of a period, with less usage at weekends.
func days(period report.Period, groups []string) []*report.Section {
	var trend []*report.Section
	for i, day := range period.Split(report.EveryDay) {
		scale := 0.033 * (1 + 0.3*math.Sin(float64(i)/3))
		if weekday := day.From.Weekday(); weekday == time.Saturday || weekday == time.Sunday {
			scale /= 4
		}
		trend = append(trend, section(day, groups, scale))
	}
	return trend
}

// prices returns costs by memory.
func prices(t *testing.T, charge report.Charge) *report.Costs {
	t.Helper()
	costs, err := report.ParsePrices([]byte("currency: CHF\nprices: {memory_gib_hours: 0.13}"), charge)
	if err != nil {
		t.Fatal(err)
	}
	return costs
}

// madeUp returns a report of a month.
func madeUp(t *testing.T, groups ...string) *report.Report {
	t.Helper()
	month := october(t)
	r := &report.Report{
		Version: "1.2.3", Flags: map[string]string{"month": "2026-10", "prometheus-url": "https://prometheus.example", "timezone": "Europe/Zurich"},
		Period: month, Namespaces: []string{"prod"},
		Options: report.Options{By: []report.Dimension{report.ByGroup}, Attribution: usage.Share, ShareOf: report.Memory, Costs: prices(t, report.ChargeUsed)},
		Coverage: []report.Coverage{
			{Source: "memberships", Namespace: "prod", Covered: 1, Gaps: []report.Gap{{Period: report.Period{From: month.From.Add(50 * time.Hour), To: month.From.Add(50*time.Hour + 10*time.Minute)}, Carried: true}}},
			{Source: "containers", Covered: 1}, {Source: "requests", Covered: 0.99871}, {Source: "directories", Namespace: "prod", Covered: 1},
		},
		Sections: []*report.Section{section(month, groups, 1)}, Trend: days(month, groups),
		Queries: []string{`sum by (namespace, pod) (container_memory_working_set_bytes{namespace="prod"})`, "max by (a) (b < 3)"},
		Notes:   []string{"No pod requested a part of a GPU."},
	}
	r.Sections[0].Missing = []report.Measure{report.GPUSlices}
	return r
}

// groupPage returns a report about one group.
func groupPage(t *testing.T, group string, members ...string) *report.Report {
	t.Helper()
	r := madeUp(t, "bio-lab", "climate-lab", group, "data-8")
	for _, s := range append(r.Trend, r.Sections...) {
		s.Rows = s.Rows[2:3]
	}
	r.Options.Groups = func(name string) bool { return name == group }
	r.Group, r.Members = group, &report.Section{Period: r.Period, Total: r.Sections[0].Total, Missing: r.Sections[0].Missing}
	whole := r.Sections[0].Rows[0].Amounts
	for i, member := range members {
		part := math.Pow(0.5, float64(min(i+1, len(members)-1)))
		row := &report.Row{User: member}
		row.Amounts.Add(&whole, part)
		row.Amounts[report.ActiveUsers] = 1
		r.Members.Rows = append(r.Members.Rows, row)
	}
	return r
}

func labGroups() []string {
	return []string{"bio-lab", "climate-lab", "data-8", "astro-101", "economics-of-information", "ml-summer-school-2026", "chem", "stat-20", "geo", "linguistics", "physics-7b", "robotics"}
}

func manyGroups(n int) []string {
	groups := make([]string, n)
	for i := range groups {
		groups[i] = fmt.Sprintf("course-%d", i+1)
	}
	return groups
}

// hostile returns names with a special meaning in HTML, CSS, a shell, or for the direction of text.
func hostile() []string {
	return []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `'; background: url(https://evil.example/x)`, `</style><script src=//evil.example>`,
		`</title></svg><script>alert(2)</script>`, `{{.Version}}`, `javascript:alert(3)`, `a&amp;b`, strings.Repeat("long", 40), "\u05d0\u05d1\u05d2 right to left", "=1+1", "",
	}
}

func render(t *testing.T, r *report.Report) string {
	t.Helper()
	var page bytes.Buffer
	show := func(name string) string { return strings.ReplaceAll(name, "\u202e", `\u202e`) }
	if err := reporthtml.Write(&page, r, show); err != nil {
		t.Fatal(err)
	}
	return page.String()
}

// reports returns all kinds of reports.
func reports(t *testing.T) map[string]*report.Report {
	t.Helper()
	all := map[string]*report.Report{
		"month": madeUp(t, labGroups()...), "one group": madeUp(t, "bio-lab"), "200 groups": madeUp(t, manyGroups(200)...), "hostile": madeUp(t, hostile()...),
		"group": groupPage(t, "ml-summer-school-2026", "ada", "béla", "chandra", "dmitri", "fatima-müller"), "hostile group": groupPage(t, hostile()[0], hostile()...),
	}
	weeks := madeUp(t, labGroups()...)
	weeks.Every, weeks.Sections = report.EveryWeek, nil
	for _, week := range weeks.Period.Split(report.EveryWeek) {
		weeks.Sections = append(weeks.Sections, section(week, labGroups(), 0.2))
	}
	weeks.Trend = weeks.Sections
	all["weeks"] = weeks

	weeksOfGroup := groupPage(t, "stat-20", "ada", "béla")
	weeksOfGroup.Every, weeksOfGroup.Sections = report.EveryWeek, nil
	for _, week := range weeksOfGroup.Period.Split(report.EveryWeek) {
		s := section(week, []string{"stat-20"}, 0.2)
		s.Rows = s.Rows[:1]
		weeksOfGroup.Sections = append(weeksOfGroup.Sections, s)
	}
	weeksOfGroup.Trend = weeksOfGroup.Sections
	all["weeks of a group"] = weeksOfGroup

	day := madeUp(t, labGroups()...)
	day.Period = day.Period.Split(report.EveryDay)[3]
	day.Sections = []*report.Section{section(day.Period, labGroups(), 0.03)}
	day.Trend = day.Sections
	all["day"] = day

	nothing := madeUp(t)
	nothing.Options.Costs = nil
	for _, s := range append(nothing.Trend, nothing.Sections...) {
		s.Rows, s.Total = nil, &report.Row{}
	}
	all["nothing used"] = nothing

	missing := madeUp(t, labGroups()...)
	missing.Namespaces = []string{"prod", `<b>"staging"`, "x"}
	missing.Options.Attribution, missing.Options.Costs = usage.Full, prices(t, report.ChargeMax)
	missing.Sections[0].Missing = []report.Measure{report.CPU, report.GPU, report.Home, report.GPUSlices}
	for i, s := range missing.Trend {
		if i > 7 && i < 12 || i == 14 || i == 16 {
			s.Missing = []report.Measure{report.Memory}
		}
	}
	missing.Coverage[0].Covered = 0.8999
	for i := range 14 {
		from := missing.Period.From.Add(time.Duration(i*40) * time.Hour)
		missing.Coverage[0].Gaps = append(missing.Coverage[0].Gaps, report.Gap{Period: report.Period{From: from, To: from.Add(70 * time.Hour)}})
	}
	all["incomplete"] = missing
	return all
}

func parse(t *testing.T, page string) *html.Node {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// all returns the elements with a name.
func all(root *html.Node, name string) []*html.Node {
	var found []*html.Node
	for node := range root.Descendants() {
		if node.Type == html.ElementNode && node.Data == name {
			found = append(found, node)
		}
	}
	return found
}

// text returns the text in a node.
func text(root *html.Node) string {
	var text strings.Builder
	for node := range root.Descendants() {
		if node.Type == html.TextNode {
			text.WriteString(node.Data)
		}
	}
	return text.String()
}

func attribute(node *html.Node, name string) string {
	for _, a := range node.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// A page loads nothing and runs nothing, whatever names it contains.
func TestPagesAreInert(t *testing.T) {
	allowed := strings.Fields("html head meta title style body header main section h1 h2 p ul ol li dl dt dd div span b bdi a code pre " +
		"figure figcaption svg desc line polyline polygon circle rect text table caption thead tbody tr th td details summary")
	for name, r := range reports(t) {
		page := render(t, r)
		if again := render(t, r); again != page {
			t.Errorf("%s: two pages of the same report differ", name)
		}
		for node := range parse(t, page).Descendants() {
			if node.Type != html.ElementNode {
				continue
			}
			if !slices.Contains(allowed, node.Data) {
				t.Errorf("%s: there is an element %s", name, node.Data)
			}
			for _, a := range node.Attr {
				switch {
				case strings.HasPrefix(a.Key, "on"), a.Key == "src", a.Key == "style", a.Key == "srcset", a.Namespace != "":
					t.Errorf("%s: %s has an attribute %s", name, node.Data, a.Key)
				case a.Key == "href" && a.Val != "#coverage":
					t.Errorf("%s: there is a link to %s", name, a.Val)
				}
			}
			if node.Data == "style" && strings.Contains(text(node), "url(") {
				t.Errorf("%s: the style loads something", name)
			}
		}
	}
}

// Names are shown as they are.
func TestPagesShowNames(t *testing.T) {
	for name, r := range map[string]*report.Report{"groups": madeUp(t, hostile()...), "members": groupPage(t, hostile()[0], hostile()...)} {
		page := parse(t, render(t, r))
		var got []string
		for _, row := range all(all(page, "tbody")[0], "tr") {
			got = append(got, text(all(row, "th")[0]))
		}
		if diff := cmp.Diff(hostile(), got[:len(hostile())]); diff != "" {
			t.Errorf("%s: names in the table: -want +got\n%s", name, diff)
		}
		if got := text(all(page, "h1")[0]); name == "members" && got != hostile()[0] {
			t.Errorf("the heading is %q, want %q", got, hostile()[0])
		}
	}
}

// People who can't see the charts and the layout get the same information.
func TestPagesAreAccessible(t *testing.T) {
	for name, r := range reports(t) {
		page := parse(t, render(t, r))
		ids := map[string]bool{}
		for node := range page.Descendants() {
			if id := attribute(node, "id"); id != "" && ids[id] {
				t.Errorf("%s: two elements have the id %s", name, id)
			} else {
				ids[id] = true
			}
		}
		for _, picture := range all(page, "svg") {
			isPart := picture.Parent.Data == "svg"
			if labels := strings.Fields(attribute(picture, "aria-labelledby")); !isPart && attribute(picture, "aria-hidden") != "true" &&
				(len(labels) != 2 || !ids[labels[0]] || !ids[labels[1]] || attribute(picture, "role") != "img") {
				t.Errorf("%s: a picture has no title or description", name)
			}
		}
		for _, table := range all(page, "table") {
			if text(all(table, "caption")[0]) == "" {
				t.Errorf("%s: a table has no caption", name)
			}
			for _, cell := range all(table, "th") {
				if scope := attribute(cell, "scope"); scope != "row" && scope != "col" {
					t.Errorf("%s: the header %q has the scope %q", name, text(cell), scope)
				}
			}
		}
	}
}

// The contrast between text and its background is at least 4.5.
func TestContrast(t *testing.T) {
	page := render(t, madeUp(t, "bio-lab"))
	themes := regexp.MustCompile(`(?s):root \{[^}]*--paper[^}]*\}`).FindAllString(page, -1)
	if len(themes) != 2 {
		t.Fatalf("there are %d themes, want 2", len(themes))
	}
	for _, theme := range themes {
		luminance := map[string]float64{}
		for _, color := range regexp.MustCompile(`--([a-z-]+): #([0-9a-f]{6}|[0-9a-f]{3});`).FindAllStringSubmatch(theme, -1) {
			luminance[color[1]] = luminanceOf(t, color[2])
		}
		for text, paper := range map[string]string{"ink": "paper", "muted": "paper", "accent": "paper", "warning": "warning-paper"} {
			light, dark := max(luminance[text], luminance[paper]), min(luminance[text], luminance[paper])
			if got := (light + 0.05) / (dark + 0.05); got < 4.5 {
				t.Errorf("the contrast of %s on %s is %.1f in %s", text, paper, got, theme)
			}
		}
	}
}

// luminanceOf returns the relative luminance of a color, as WCAG defines it.
func luminanceOf(t *testing.T, color string) float64 {
	t.Helper()
	if len(color) == 3 {
		color = string([]byte{color[0], color[0], color[1], color[1], color[2], color[2]})
	}
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		value, err := strconv.ParseUint(color[2*i:2*i+2], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		part := float64(value) / 255
		if part <= 0.04045 {
			part /= 12.92
		} else {
			part = math.Pow((part+0.055)/1.055, 2.4)
		}
		sum += weight * part
	}
	return sum
}

// withClass returns the elements with a class.
func withClass(root *html.Node, class string) []*html.Node {
	var found []*html.Node
	for node := range root.Descendants() {
		if node.Type == html.ElementNode && attribute(node, "class") == class {
			found = append(found, node)
		}
	}
	return found
}

func TestManyGroups(t *testing.T) {
	page := parse(t, render(t, madeUp(t, manyGroups(200)...)))
	if got := len(all(all(page, "ol")[0], "li")); got != 30 {
		t.Errorf("%d bars, want 30", got)
	}
	if got, want := text(withClass(page, "more")[0]), "172 more groups, together 34.5 % (9,955.8 GiB h)"; !strings.HasPrefix(got, want) {
		t.Errorf("below the bars is %q, want %q", got, want)
	}
	if got := len(all(all(page, "tbody")[0], "tr")); got != 203 {
		t.Errorf("the table has %d rows, want 200 groups, two pseudo-groups and the total", got)
	}
}

// figures returns the numbers at the top of a page, by their labels.
func figures(page *html.Node) map[string]string {
	numbers := map[string]string{}
	for _, number := range all(withClass(page, "figures")[0], "div") {
		numbers[text(all(number, "dt")[0])] = text(all(number, "dd")[0])
	}
	return numbers
}

func TestFigures(t *testing.T) {
	all := reports(t)
	month := map[string]string{
		"Cost CHF": "1,895.82", "Active users": "169", "Server time h": "5,833.5", "CPU core h": "2,083.4", "Memory GiB h": "14,583.7",
		"GPU time h": "243.1", "Home GiB months": "1,620.4",
	}
	if diff := cmp.Diff(month, figures(parse(t, render(t, all["month"])))); diff != "" {
		t.Errorf("a month: -want +got\n%s", diff)
	}
	group := map[string]string{
		"Share of all memory": "16.6 %", "Rank of 4 groups": "3rd", "Cost CHF": "204.84", "Active users": "18", "Server time h": "630.3",
		"CPU core h": "225.1", "Memory GiB h": "1,575.8", "GPU time h": "26.3", "Home GiB months": "175.1",
	}
	if diff := cmp.Diff(group, figures(parse(t, render(t, all["group"])))); diff != "" {
		t.Errorf("a group: -want +got\n%s", diff)
	}
	// A user's rank isn't that of the group.
	byUser := all["group"]
	byUser.Options.By = []report.Dimension{report.ByUser}
	delete(group, "Rank of 4 groups")
	if diff := cmp.Diff(group, figures(parse(t, render(t, byUser)))); diff != "" {
		t.Errorf("a group by user: -want +got\n%s", diff)
	}
	// The users of several weeks can't be added up.
	weeks := figures(parse(t, render(t, all["weeks"])))
	if _, found := weeks["Active users"]; found || weeks["Memory GiB h"] != "14,583.7" {
		t.Errorf("weeks have the figures %v, want the memory of the month and no active users", weeks)
	}
	// Unknown amounts aren't shown as 0.
	if incomplete := figures(parse(t, render(t, all["incomplete"]))); len(incomplete) != 4 {
		t.Errorf("an incomplete report has the figures %v, want cost, active users, server time and memory", incomplete)
	}
}

func TestRank(t *testing.T) {
	for rank, want := range map[int]string{1: "1st", 2: "2nd", 3: "3rd", 4: "4th", 11: "11th", 12: "12th", 13: "13th", 21: "21st", 102: "102nd", 111: "111th"} {
		r := groupPage(t, "chem", "ada")
		r.Sections[0].Rows[0].Rank, r.Sections[0].Ranked = rank, 1200
		if got := figures(parse(t, render(t, r)))["Rank of 1,200 groups"]; got != want {
			t.Errorf("rank %d is shown as %q, want %q", rank, got, want)
		}
	}
}

// Days without data interrupt the line: they aren't 0.
func TestTrend(t *testing.T) {
	for name, want := range map[string]struct{ lines, dots, days int }{
		"month": {1, 31, 31}, "group": {1, 31, 31}, "incomplete": {3, 25, 31}, "weeks": {1, 5, 5}, "day": {0, 0, 0}, "nothing used": {1, 31, 31},
	} {
		page := parse(t, render(t, reports(t)[name]))
		got := struct{ lines, dots, days int }{len(withClass(page, "line")), len(withClass(page, "dot")), len(withClass(page, "day"))}
		if got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	description := text(all(parse(t, render(t, reports(t)["incomplete"])), "desc")[0])
	if want := "31 days. Lowest: 18 October 2026: 99.4 GiB h. Highest: 6 October 2026: 625.0 GiB h."; description != want {
		t.Errorf("the description is %q, want %q", description, want)
	}
}

func TestWithoutData(t *testing.T) {
	page := parse(t, render(t, reports(t)["incomplete"]))
	for _, cell := range append(all(page, "th"), all(page, "dt")...) {
		if title := text(cell); strings.HasPrefix(title, "Home") || strings.HasPrefix(title, "GPU") || title == "CPU core h" {
			t.Errorf("there is a column or a number %q, for which there is no data", title)
		}
	}
	if got, want := text(page), "No data: CPU (core h), GPU time (h), GPU slice time (h), Home (GiB months)."; !strings.Contains(got, want) {
		t.Errorf("the page doesn't say %q", want)
	}
}

// TestGroupPage compares the page of a group with a golden file, which -update writes.
func TestGroupPage(t *testing.T) {
	const name = "testdata/group.html"
	// The style sheet has a file of its own.
	got := regexp.MustCompile(`(?s)<style>.+</style>`).ReplaceAllString(render(t, reports(t)["group"]), "<style></style>")
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
