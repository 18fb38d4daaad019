package month

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"time"
)

// Format is a text format for samples with timestamps.
type Format int

// The formats.
const (
	// OpenMetrics has timestamps in seconds. promtool creates blocks from it.
	OpenMetrics Format = iota
	// Prometheus has timestamps in milliseconds. VictoriaMetrics imports it.
	Prometheus
)

// Blocks returns the spans of the blocks that promtool creates for the month. The --max-block-duration of promtool has
// to be two hours, or this times a power of three. promtool reads a whole file for each block, so it is much faster if
// each file has the samples of a single block.
func (m *Month) Blocks(length time.Duration) []Span {
	var blocks []Span
	// Blocks begin at multiples of their length since 1970. time.Truncate counts from another time.
	seconds := int64(length / time.Second)
	for from := m.Span.From.Unix() / seconds * seconds; from < m.Span.To.Unix(); from += seconds {
		blocks = append(blocks, Span{time.Unix(from, 0), time.Unix(from+seconds, 0)}.and(m.Span))
	}
	return blocks
}

// Write writes the samples within a span.
func (m *Month) Write(to io.Writer, format Format, within Span) error {
	w := bufio.NewWriterSize(to, 1<<20)
	var line []byte
	for series := range m.Series(within) {
		name := series.Name + series.Labels.String() + " "
		for t, value := range series.Samples(within) {
			line = strconv.AppendFloat(append(line[:0], name...), value, 'f', -1, 64)
			line = appendTime(append(line, ' '), t.UnixMilli(), format)
			if _, err := w.Write(append(line, '\n')); err != nil {
				return err
			}
		}
	}
	if format == OpenMetrics {
		fmt.Fprintln(w, "# EOF")
	}
	return w.Flush()
}

func appendTime(line []byte, milliseconds int64, format Format) []byte {
	if format == Prometheus {
		return strconv.AppendInt(line, milliseconds, 10)
	}
	line = strconv.AppendInt(line, milliseconds/1000, 10)
	return append(line, '.', byte('0'+milliseconds/100%10), byte('0'+milliseconds/10%10), byte('0'+milliseconds%10))
}
