package exposition_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/groups-exporter/groups-exporter/internal/exposition"
)

// family returns a part of a family of gauges, with labels that don't compress to nothing.
func family(name string, from, to int) *dto.MetricFamily {
	f := &dto.MetricFamily{Name: &name, Help: new("Help with \\ and\nnewline."), Type: dto.MetricType_GAUGE.Enum()}
	random := rand.New(rand.NewPCG(1, uint64(from)))
	for i := from; i < to; i++ {
		f.Metric = append(f.Metric, &dto.Metric{
			Label: []*dto.LabelPair{
				{Name: new("user"), Value: new(fmt.Sprintf("user%d@university.example", i))},
				{Name: new("hash"), Value: new(fmt.Sprintf("%08x\"\\\n", random.Uint32()))},
			},
			Gauge: &dto.Gauge{Value: new(float64(i))},
		})
	}
	return f
}

// parts returns two families, the second in parts of 100.
func parts(n int) []*dto.MetricFamily {
	all := []*dto.MetricFamily{family("a_first", 0, 3)}
	for i := 0; i < n; i += 100 {
		all = append(all, family("b_second", i, min(i+100, n)))
	}
	return all
}

// whole returns the families of parts, the second in one part. It has at least one metric.
func whole(n int) []*dto.MetricFamily {
	all := parts(n)
	for _, part := range all[2:] {
		all[1].Metric = append(all[1].Metric, part.Metric...)
	}
	return all[:2]
}

func encode(t testing.TB, families ...*dto.MetricFamily) *exposition.Sheet {
	t.Helper()
	sheet, err := exposition.Encode(slices.Values(families), exposition.Text, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	return sheet
}

func TestEqualsExpfmt(t *testing.T) {
	random := make([]byte, 200_000)
	_, _ = rand.NewChaCha8([32]byte{}).Read(random)
	incompressible := family("c_third", 0, 1)
	incompressible.Metric[0].Label[0].Value = new(base64.StdEncoding.EncodeToString(random))
	for _, c := range []struct {
		what         string
		whole, parts []*dto.MetricFamily
	}{
		{"1", whole(1), parts(1)},
		{"99", whole(99), parts(99)},
		{"100", whole(100), parts(100)},
		{"101", whole(101), parts(101)},
		{"5000", whole(5000), parts(5000)},
		{"5000 in one part", whole(5000), whole(5000)},
		{"a name that doesn't compress", []*dto.MetricFamily{incompressible}, []*dto.MetricFamily{incompressible}},
	} {
		for _, f := range []struct {
			what   string
			format exposition.Format
			encode func(io.Writer, *dto.MetricFamily) (int, error)
			end    string
		}{
			{"text", exposition.Text, expfmt.MetricFamilyToText, ""},
			{"openmetrics", exposition.OpenMetrics, func(w io.Writer, f *dto.MetricFamily) (int, error) { return expfmt.MetricFamilyToOpenMetrics(w, f) }, "# EOF\n"},
		} {
			var want, got bytes.Buffer
			for _, family := range c.whole {
				if _, err := f.encode(&want, family); err != nil {
					t.Fatal(err)
				}
			}
			want.WriteString(f.end)
			page, err := exposition.Encode(slices.Values(c.parts), f.format, 1<<30)
			if err != nil {
				t.Fatal(err)
			}
			written, err := page.WriteTo(&got)
			if err != nil || !bytes.Equal(want.Bytes(), got.Bytes()) {
				t.Errorf("%s of %s: got %d bytes (error: %v), want the %d of expfmt", f.what, c.what, got.Len(), err, want.Len())
			}
			if written != int64(want.Len()) {
				t.Errorf("%s of %s: wrote %d, want %d", f.what, c.what, written, want.Len())
			}
		}
	}
}

func text(t testing.TB, from io.WriterTo) string {
	t.Helper()
	var b bytes.Buffer
	if n, err := from.WriteTo(&b); err != nil || n != int64(b.Len()) {
		t.Fatalf("returned %d, %v after %d bytes", n, err, b.Len())
	}
	return b.String()
}

// TestGzip checks that a scrape is one gzip member that several decoders read to its end: Go's, zlib's for a single
// member, and curl's. That includes the checksum, which comes from those of the sheets.
func TestGzip(t *testing.T) {
	empty, small, large := encode(t, parts(0)...), encode(t, parts(1)...), encode(t, parts(5000)...)
	nothing := encode(t)
	for _, c := range []struct {
		what   string
		page   *exposition.Page
		sheets []*exposition.Sheet
	}{
		{"no page", nil, nil},
		{"no sheet", exposition.Join(), nil},
		{"a sheet of nothing", exposition.Join(nothing), nil},
		{"one sheet", exposition.Join(large), []*exposition.Sheet{large}},
		{"several sheets", exposition.Join(small, nil, large, nothing, empty, large), []*exposition.Sheet{small, large, empty, large}},
	} {
		t.Run(c.what, func(t *testing.T) {
			var texts []string
			for _, sheet := range c.sheets {
				texts = append(texts, text(t, sheet))
			}
			want := strings.Join(texts, "")
			if got := text(t, c.page); got != want {
				t.Errorf("the text has %d bytes, want those of the sheets: %d", len(got), len(want))
			}
			if c.page.Size() != int64(len(want)) {
				t.Errorf("size %d, want %d", c.page.Size(), len(want))
			}
			var member bytes.Buffer
			if err := c.page.WriteGzip(&member); err != nil || int64(member.Len()) != c.page.GzipSize() {
				t.Errorf("wrote %d bytes, want %d; error %v", member.Len(), c.page.GzipSize(), err)
			}
			decode(t, member.Bytes(), want)
		})
	}
}

// decode checks that decoders read a text from a gzip member.
func decode(t *testing.T, member []byte, want string) {
	t.Helper()
	reader, err := gzip.NewReader(bytes.NewReader(append(bytes.Clone(member), "beyond"...)))
	if err != nil {
		t.Fatal(err)
	}
	reader.Multistream(false)
	if got, err := io.ReadAll(reader); err != nil || string(got) != want {
		t.Errorf("Go's reader of one member: %d bytes, want %d, error %v", len(got), len(want), err)
	}
	scraped := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(member)
	}))
	defer scraped.Close()
	for _, decoder := range [][]string{
		{"gzip", "-dc"},
		{"python3", "-c", "import sys, zlib; d = zlib.decompressobj(31); sys.stdout.buffer.write(d.decompress(sys.stdin.buffer.read())); sys.exit(not d.eof or bool(d.unused_data))"},
		{"curl", "--noproxy", "*", "-sS", "--compressed", scraped.URL},
	} {
		path, err := exec.LookPath(decoder[0])
		if err != nil {
			t.Logf("%s is not installed", decoder[0])
			continue
		}
		cmd := exec.Command(path, decoder[1:]...)
		cmd.Stdin = bytes.NewReader(member)
		if got, err := cmd.Output(); err != nil || string(got) != want {
			t.Errorf("%s: %d bytes, want %d, error %v", decoder[0], len(got), len(want), err)
		}
	}
}

func TestManyReaders(t *testing.T) {
	page := exposition.Join(encode(t, parts(2000)...), encode(t, parts(1)...))
	want := text(t, page)
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() {
			var got bytes.Buffer
			if _, err := page.WriteTo(&got); err != nil || got.String() != want {
				t.Errorf("got %d bytes (error: %v), want those of the only reader: %d", got.Len(), err, len(want))
			}
		})
	}
	readers.Wait()
}

func TestInvalidFamily(t *testing.T) {
	nameless := []*dto.MetricFamily{family("", 0, 1)}
	if _, err := exposition.Encode(slices.Values(nameless), exposition.Text, 1<<30); err == nil {
		t.Error("got no error for a family without a name")
	}
}

func BenchmarkEncode(b *testing.B) {
	families := whole(100_000)
	b.ReportAllocs()
	for b.Loop() {
		encode(b, families...)
	}
}

func BenchmarkScrape(b *testing.B) {
	for _, n := range []int{1_000, 100_000} {
		page := exposition.Join(encode(b, parts(n)...), encode(b, parts(100)...))
		b.Run(fmt.Sprintf("gzip/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = page.WriteGzip(io.Discard)
			}
		})
		b.Run(fmt.Sprintf("plain/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = page.WriteTo(io.Discard)
			}
		})
	}
}
