package reporthtml

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/groups-exporter/groups-exporter/internal/report"
)

// The heights of the chart in pixels. It is as wide as the page.
const (
	plotTop    = 24
	plotHeight = 180
)

// plotLeft is the fraction of the width that is reserved for the amounts beside the grid lines.
const plotLeft = 0.06

// trend is a line chart with a point for each day, or for each period of the report. Horizontal positions are
// percentages of the width, vertical ones are pixels.
type trend struct {
	Title, Description string
	Height             int
	Top, PlotHeight    int
	Grid               []gridline
	Days               []day
	Labels             []label
	Lines, Areas       []string // points in a square of 1000 by 1000, one line for each part without gaps
}

type gridline struct {
	Y    float64
	Text string
}

// day is a point of the line, and the place where the browser shows its value.
type day struct {
	X, Y, Left, Width float64
	Text              string
	Known             bool
}

type label struct {
	X            float64
	Text, Anchor string
}

// point is the amount of a day.
type point struct {
	period report.Period
	value  float64
	known  bool
}

// trend returns a chart of the amount per day, or nil if fewer than two amounts are known.
func (b *builder) trend() *trend {
	measure := b.Options.ShareOf
	points, known := b.points(measure), 0
	for _, p := range points {
		if p.known {
			known++
		}
	}
	if known < 2 {
		return nil
	}
	whose := ""
	switch {
	case b.Members != nil:
		whose = " of the group"
	case b.Options.Groups != nil:
		whose = " of all groups"
	}
	every := cmp.Or(b.Every, report.EveryDay)
	t := &trend{
		Title: measure.Title() + whose + " per " + string(every) + unitSuffix(measure), Description: describe(points, every, measure),
		Height: plotTop + plotHeight + 26, Top: plotTop, PlotHeight: plotHeight,
	}
	highest := 0.0
	for _, p := range points {
		highest = max(highest, p.value)
	}
	step := niceStep(highest)
	top := max(step, math.Ceil(highest/step)*step)
	for value := 0.0; value <= top+step/2; value += step {
		t.Grid = append(t.Grid, gridline{plotTop + plotHeight*(1-value/top), report.Grouped(strconv.FormatFloat(value, 'f', -1, 64))})
	}
	t.addPoints(points, top, measure)
	t.addLabels(points)
	return t
}

func unitSuffix(m report.Measure) string {
	if m.Unit() == "" {
		return ""
	}
	return " (" + m.Unit() + ")"
}

// points returns the amount of each day: that of the group if the page is about one, or else the total.
func (b *builder) points(measure report.Measure) []point {
	var points []point
	for _, section := range b.Trend {
		amount := section.Total.Amounts[measure]
		if b.Members != nil {
			_, own := whole([]*report.Section{section}, rowsOf)
			amount = own.Amounts[measure]
		}
		points = append(points, point{section.Period, amount, !slices.Contains(section.Missing, measure)})
	}
	return points
}

// describe returns a description of the chart.
func describe(points []point, every report.Every, measure report.Measure) string {
	var least, most *point
	for i := range points {
		p := &points[i]
		if p.known && (least == nil || p.value < least.value) {
			least = p
		}
		if p.known && (most == nil || p.value > most.value) {
			most = p
		}
	}
	return fmt.Sprintf("%s. Lowest: %s. Highest: %s.", plural(len(points), string(every)), text(*least, measure), text(*most, measure))
}

// text returns the amount of a day in words.
func text(p point, measure report.Measure) string {
	date := p.period.String()
	if !p.known {
		return date + ": no data"
	}
	decimals := 1
	if measure.Unit() == "" {
		decimals = 0
	}
	return strings.TrimSpace(date + ": " + report.Rounded(p.value, decimals) + " " + measure.Unit())
}

// niceStep returns the step between grid lines: 1, 2 or 5 times a power of ten, such that there are at most five lines.
func niceStep(highest float64) float64 {
	if highest <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(highest/4)))
	for _, factor := range []float64{1, 2, 5} {
		if highest/(factor*power) <= 4 {
			return factor * power
		}
	}
	return 10 * power
}

// addPoints adds the points and the lines through them. A day without data interrupts the line.
func (t *trend) addPoints(points []point, top float64, measure report.Measure) {
	var line []string
	var first, last float64
	end := func() {
		if len(line) > 1 {
			t.Lines = append(t.Lines, strings.Join(line, " "))
			t.Areas = append(t.Areas, fmt.Sprintf("%.1f,1000 %s %.1f,1000", first, strings.Join(line, " "), last))
		}
		line = nil
	}
	width := (1 - plotLeft) / float64(len(points))
	for i, p := range points {
		left := plotLeft + float64(i)*width
		x, y := left+width/2, 1-p.value/top
		t.Days = append(t.Days, day{100 * x, plotTop + plotHeight*y, 100 * left, 100 * width, text(p, measure), p.known})
		if !p.known {
			end()
			continue
		}
		if line == nil {
			first = 1000 * x
		}
		last = 1000 * x
		line = append(line, fmt.Sprintf("%.1f,%.1f", 1000*x, 1000*y))
	}
	end()
}

// addLabels adds the dates of up to five points. They are below their points, but that of the last of many points would
// not fit on the page there, and ends at its edge.
func (t *trend) addLabels(points []point) {
	count := min(len(points), 5)
	for n := range count {
		i := n * (len(points) - 1) / max(1, count-1)
		date := label{t.Days[i].X, points[i].period.From.Format("2 Jan"), "middle"}
		if n == count-1 && len(points) > 10 {
			date.X, date.Anchor = 100, "end"
		}
		t.Labels = append(t.Labels, date)
	}
}
