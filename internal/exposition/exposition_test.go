package exposition_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/groups-exporter/groups-exporter/internal/exposition"
)

// family makes part of a family of gauges, with values that don't compress to
// nothing.
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

// parts yields two families, the second in parts of 100.
func parts(n int) iter.Seq[*dto.MetricFamily] {
	return func(yield func(*dto.MetricFamily) bool) {
		if !yield(family("a_first", 0, 3)) {
			return
		}
		for i := 0; i < n; i += 100 {
			if !yield(family("b_second", i, min(i+100, n))) {
				return
			}
		}
	}
}

func whole(n int) []*dto.MetricFamily {
	all := family("b_second", 0, 0)
	for i := 0; i < n; i += 100 {
		all.Metric = append(all.Metric, family("", i, min(i+100, n)).Metric...)
	}
	return []*dto.MetricFamily{family("a_first", 0, 3), all}
}

func encode(t testing.TB, families iter.Seq[*dto.MetricFamily]) *exposition.Page {
	t.Helper()
	return with(t, exposition.Empty(1<<30), families)
}

func TestEqualsExpfmt(t *testing.T) {
	random := make([]byte, 200_000)
	_, _ = rand.NewChaCha8([32]byte{}).Read(random)
	incompressible := family("c_third", 0, 1)
	incompressible.Metric[0].Label[0].Value = new(base64.StdEncoding.EncodeToString(random))
	for _, c := range []struct {
		what     string
		families []*dto.MetricFamily
		parts    iter.Seq[*dto.MetricFamily]
	}{
		{"1", whole(1), parts(1)},
		{"99", whole(99), parts(99)},
		{"100", whole(100), parts(100)},
		{"101", whole(101), parts(101)},
		{"5000", whole(5000), parts(5000)},
		{"5000 in one part", whole(5000), slices.Values(whole(5000))},
		{"what doesn't compress", []*dto.MetricFamily{incompressible}, slices.Values([]*dto.MetricFamily{incompressible})},
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
			for _, family := range c.families {
				if _, err := f.encode(&want, family); err != nil {
					t.Fatal(err)
				}
			}
			want.WriteString(f.end)
			page, err := exposition.Encode(c.parts, f.format, 1<<30)
			if err != nil {
				t.Fatal(err)
			}
			written, err := page.WriteTo(&got)
			if err != nil || !bytes.Equal(want.Bytes(), got.Bytes()) {
				t.Errorf("%s of %s: differs from expfmt, error %v", f.what, c.what, err)
			}
			if written != int64(want.Len()) {
				t.Errorf("%s of %s: wrote %d, want %d", f.what, c.what, written, want.Len())
			}
		}
	}
}

func with(t testing.TB, page *exposition.Page, families iter.Seq[*dto.MetricFamily]) *exposition.Page {
	t.Helper()
	longer, err := page.With(families)
	if err != nil {
		t.Fatal(err)
	}
	return longer
}

func text(t testing.TB, page *exposition.Page) string {
	t.Helper()
	var b bytes.Buffer
	if _, err := page.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Several pages can go on from the same one, which stays as it is.
func TestWith(t *testing.T) {
	for _, n := range []int{0, 1, 300, 5000} { // in less than a chunk, and in several
		base := encode(t, parts(n))
		before := text(t, base)
		short, long := with(t, base, parts(1)), with(t, base, parts(5000))
		both := with(t, short, parts(300))
		for what, c := range map[string]struct {
			page *exposition.Page
			want string
		}{
			"the first":  {base, before},
			"the second": {short, before + text(t, encode(t, parts(1)))},
			"another":    {long, before + text(t, encode(t, parts(5000)))},
			"the third":  {both, text(t, short) + text(t, encode(t, parts(300)))},
		} {
			if got := text(t, c.page); got != c.want || c.page.Size() != int64(len(c.want)) {
				t.Errorf("%s on %d: %d bytes, size %d, want %d", what, n, len(got), c.page.Size(), len(c.want))
			}
		}
	}
}

func tail(t testing.TB, text string) *exposition.Tail {
	t.Helper()
	tail, err := exposition.NewTail([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return tail
}

// A scrape is one gzip member, which every decoder has to read whole: Go's, zlib's
// of one member only, and curl's.
func TestGzip(t *testing.T) {
	for _, c := range []struct {
		what string
		page *exposition.Page
		tail string
	}{
		{"a page and a tail", encode(t, parts(5000)), "live 1\n"},
		{"a page alone", encode(t, parts(5000)), ""},
		{"a tail alone", nil, "live 1\n"},
		{"a long tail", encode(t, parts(1)), strings.Repeat("live 1\n", 100_000)},
		{"layers and a tail", with(t, with(t, with(t, exposition.Empty(1<<30), parts(5000)), parts(300)), parts(1)), "live 1\n"},
		{"nothing", nil, ""},
	} {
		t.Run(c.what, func(t *testing.T) {
			var want, member bytes.Buffer
			if _, err := c.page.WriteTo(&want); err != nil {
				t.Fatal(err)
			}
			if c.page.Size() != int64(want.Len()) {
				t.Errorf("size %d, wrote %d", c.page.Size(), want.Len())
			}
			want.WriteString(c.tail)
			gz := c.page.Gzip(tail(t, c.tail))
			if n, err := gz.WriteTo(&member); err != nil || n != gz.Size() || n != int64(member.Len()) {
				t.Errorf("wrote %d, size %d, length %d, error %v", n, gz.Size(), member.Len(), err)
			}

			reader, err := gzip.NewReader(bytes.NewReader(append(member.Bytes(), "beyond"...)))
			if err != nil {
				t.Fatal(err)
			}
			reader.Multistream(false)
			if got, err := io.ReadAll(reader); err != nil || !bytes.Equal(got, want.Bytes()) {
				t.Errorf("Go's reader of one member: %d bytes, want %d, error %v", len(got), want.Len(), err)
			}
			for _, decoder := range [][]string{
				{"gzip", "-dc"},
				{"python3", "-c", "import sys, zlib; d = zlib.decompressobj(31); sys.stdout.buffer.write(d.decompress(sys.stdin.buffer.read())); sys.exit(not d.eof or bool(d.unused_data))"},
			} {
				path, err := exec.LookPath(decoder[0])
				if err != nil {
					t.Logf("%s is not here to decode", decoder[0])
					continue
				}
				cmd := exec.Command(path, decoder[1:]...)
				cmd.Stdin = bytes.NewReader(member.Bytes())
				if got, err := cmd.Output(); err != nil || !bytes.Equal(got, want.Bytes()) {
					t.Errorf("%s: %d bytes, want %d, error %v", decoder[0], len(got), want.Len(), err)
				}
			}
			curl, err := exec.LookPath("curl")
			if err != nil {
				t.Log("curl is not here to decode")
				return
			}
			scraped := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Encoding", "gzip")
				_, _ = w.Write(member.Bytes())
			}))
			defer scraped.Close()
			if got, err := exec.Command(curl, "--noproxy", "*", "-sS", "--compressed", scraped.URL).Output(); err != nil || !bytes.Equal(got, want.Bytes()) {
				t.Errorf("curl: %d bytes, want %d, error %v", len(got), want.Len(), err)
			}
		})
	}
}

func TestManyReaders(t *testing.T) {
	page := encode(t, parts(2000))
	var want bytes.Buffer
	if _, err := page.WriteTo(&want); err != nil {
		t.Fatal(err)
	}
	done := make(chan bool)
	for range 8 {
		go func() {
			var got bytes.Buffer
			_, err := page.WriteTo(&got)
			done <- err == nil && bytes.Equal(got.Bytes(), want.Bytes())
		}()
	}
	for range 8 {
		if !<-done {
			t.Error("a reader got something else")
		}
	}
}

func TestAnInvalidFamilyIsAnError(t *testing.T) {
	nameless := func(yield func(*dto.MetricFamily) bool) { yield(family("", 0, 1)) }
	if _, err := exposition.Encode(nameless, exposition.Text, 1<<30); err == nil {
		t.Error("a family without a name was encoded")
	}
}

func BenchmarkEncode(b *testing.B) {
	families := whole(100_000)
	b.ReportAllocs()
	for b.Loop() {
		encode(b, func(yield func(*dto.MetricFamily) bool) {
			for _, f := range families {
				if !yield(f) {
					return
				}
			}
		})
	}
}

func BenchmarkScrape(b *testing.B) {
	for _, n := range []int{1_000, 100_000} {
		page := encode(b, parts(n))
		tail := tail(b, strings.Repeat("live 1\n", 1000))
		b.Run(fmt.Sprintf("gzip/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = page.Gzip(tail).WriteTo(io.Discard)
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
