// Package exposition encodes metric families for scrapes. It knows nothing about what they mean.
//
// Memberships change every few minutes and are scraped every few seconds. So families are encoded and compressed once,
// into a Sheet, and a scrape copies the sheets of a Page.
package exposition

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"sync"

	"github.com/klauspost/compress/flate"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// Format is an exposition format.
type Format int

// The formats.
const (
	Text        Format = iota // Prometheus' text format 0.0.4
	OpenMetrics               // OpenMetrics 1.0.0
)

// level is the compression level. Levels 5 and 6 produce a third fewer bytes than level 1 and take twice as long.
const level = 5

// lastBlock is an empty deflate block that ends a stream.
const lastBlock = "\x03\x00"

// Sheet is an immutable list of encoded metric families. The nil Sheet is empty.
type Sheet struct {
	// deflated is a deflate stream that ends in a sync flush and lastBlock. Without lastBlock, it ends at a whole byte,
	// so the stream of the next sheet can follow.
	deflated []byte
	text     checksum
	series   int
}

// TooManySeries is the error for more series than allowed.
type TooManySeries struct{ Most int }

func (e TooManySeries) Error() string {
	return fmt.Sprintf("there are more than %d series to publish", e.Most)
}

// Encode returns a sheet with the families, or a TooManySeries if they have more than most series. A family may come in
// several parts, one after another. Encode doesn't keep a part, which may change as soon as the next part is requested.
func Encode(families iter.Seq[*dto.MetricFamily], format Format, most int) (*Sheet, error) {
	var compressed bytes.Buffer
	deflate, err := flate.NewWriter(&compressed, level)
	if err != nil {
		return nil, err
	}
	sheet := &Sheet{}
	var part bytes.Buffer
	last := ""
	for family := range families {
		if sheet.series += len(family.Metric); sheet.series > most {
			return nil, TooManySeries{most}
		}
		part.Reset()
		if format == OpenMetrics {
			_, err = expfmt.MetricFamilyToOpenMetrics(&part, family)
		} else {
			_, err = expfmt.MetricFamilyToText(&part, family)
		}
		if err != nil {
			return nil, err
		}
		text := part.Bytes()
		if family.GetName() == last {
			text = withoutHeader(text)
		}
		last = family.GetName()
		sheet.text.add(text)
		if _, err := deflate.Write(text); err != nil {
			return nil, err
		}
	}
	if format == OpenMetrics {
		const end = "# EOF\n"
		sheet.text.add([]byte(end))
		if _, err := io.WriteString(deflate, end); err != nil {
			return nil, err
		}
	}
	if err := deflate.Flush(); err != nil {
		return nil, err
	}
	compressed.WriteString(lastBlock)
	sheet.deflated = bytes.Clone(compressed.Bytes()) // without the buffer's unused half
	return sheet, nil
}

// withoutHeader cuts off the comment lines that start a family.
func withoutHeader(text []byte) []byte {
	for len(text) > 0 && text[0] == '#' {
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	return text
}

// WriteTo writes the text.
func (s *Sheet) WriteTo(w io.Writer) (int64, error) {
	if s == nil {
		return 0, nil
	}
	inflate := inflaters.Get().(*inflater)
	defer inflaters.Put(inflate)
	inflate.compressed.Reset(s.deflated)
	if err := inflate.Reset(&inflate.compressed, nil); err != nil {
		return 0, err
	}
	return io.Copy(w, inflate)
}

// inflater is a reusable decompressor.
type inflater struct {
	compressed bytes.Reader
	flateReader
}

type flateReader interface {
	io.Reader
	flate.Resetter
}

var inflaters = sync.Pool{New: func() any {
	i := &inflater{}
	i.flateReader = flate.NewReader(&i.compressed).(flateReader)
	return i
}}

// Page is an immutable sequence of sheets, which a scrape returns as one exposition. The nil Page is empty.
type Page struct {
	sheets     []*Sheet
	compressed int64 // bytes, without the gzip header and trailer
	text       checksum
	series     int
}

// Join returns a page of the sheets.
func Join(sheets ...*Sheet) *Page {
	page := &Page{compressed: int64(len(lastBlock))}
	for _, sheet := range sheets {
		if sheet == nil {
			continue
		}
		page.sheets = append(page.sheets, sheet)
		page.compressed += int64(len(sheet.deflated) - len(lastBlock))
		page.text.join(sheet.text)
		page.series += sheet.series
	}
	return page
}

// Size returns the length of the text in bytes.
func (p *Page) Size() int64 {
	if p == nil {
		return 0
	}
	return p.text.size
}

// Series returns the number of series.
func (p *Page) Series() int {
	if p == nil {
		return 0
	}
	return p.series
}

// WriteTo writes the text.
func (p *Page) WriteTo(w io.Writer) (written int64, err error) {
	if p == nil {
		return 0, nil
	}
	for _, sheet := range p.sheets {
		n, err := sheet.WriteTo(w)
		written += n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// gzipHeader announces a deflate stream without a name, without a time, from an unknown system (RFC 1952).
const gzipHeader = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"

// GzipSize returns the number of bytes that WriteGzip writes.
func (p *Page) GzipSize() int64 {
	const checksum, length = 4, 4
	if p == nil {
		p = Join()
	}
	return int64(len(gzipHeader)) + p.compressed + checksum + length
}

// WriteGzip writes the text as one gzip member. Several members in a row are legal too, but curl 7.88 refuses them, and
// decoders of one member silently drop the others.
func (p *Page) WriteGzip(w io.Writer) error {
	if p == nil {
		p = Join()
	}
	if _, err := io.WriteString(w, gzipHeader); err != nil {
		return err
	}
	for _, sheet := range p.sheets {
		if _, err := w.Write(sheet.deflated[:len(sheet.deflated)-len(lastBlock)]); err != nil {
			return err
		}
	}
	end := []byte(lastBlock)
	end = binary.LittleEndian.AppendUint32(end, p.text.crc)
	end = binary.LittleEndian.AppendUint32(end, uint32(p.text.size)) // RFC 1952: modulo 2^32
	_, err := w.Write(end)
	return err
}

// checksum is the CRC-32 and the length of a text.
type checksum struct {
	crc  uint32
	size int64
}

func (c *checksum) add(text []byte) {
	c.crc = crc32.Update(c.crc, crc32.IEEETable, text)
	c.size += int64(len(text))
}

// join appends a text of which only the checksum is known, as zlib's crc32_combine does: it feeds as many zero bytes to
// the first CRC as the text has, and adds the CRC of the text.
func (c *checksum) join(next checksum) {
	// A CRC is a polynomial over GF(2), bits reversed: 1<<31 is 1, and 1<<30 is x. A zero byte multiplies it by x^8.
	power := uint32(1) << (31 - 8) // x^8, then x^16, x^32, ...
	for n := next.size; n > 0; n >>= 1 {
		if n&1 == 1 {
			c.crc = multiply(c.crc, power)
		}
		power = multiply(power, power)
	}
	c.crc ^= next.crc
	c.size += next.size
}

// multiply returns the product of two polynomials modulo the polynomial of the CRC.
func multiply(a, b uint32) (product uint32) {
	for bit := uint32(1) << 31; bit != 0; bit >>= 1 {
		if a&bit != 0 {
			product ^= b
		}
		b = b>>1 ^ crc32.IEEE&-(b&1)
	}
	return product
}
