// Package exposition turns metric families into the bytes that a scrape gets.
//
// Memberships change every few minutes and are scraped every few seconds, so a
// Page is encoded once, compressed as it is encoded, and kept only so: a scrape
// copies it, or unpacks it. It never knows what the families are about.
package exposition

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"slices"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/s2"
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

const (
	// level is klauspost's: 5 and 6 give a page a third smaller than 1 does, at
	// twice the time.
	level = 5
	// pieceSize is how much of a page that is being compressed stands in one piece.
	// Pieces spare the copies of a growing buffer, which would be the peak of memory.
	pieceSize = 64 << 10
	// blockSize is the most text in a block. Larger ones are hardly smaller when they are
	// compressed, and no quicker; and who reads slowly holds memory for one.
	blockSize = 64 << 10
)

// Page is an immutable exposition, kept twice: as a deflate stream for those who take
// it so, and for the others in blocks that unpack four times as quickly. The nil Page
// is empty.
type Page struct {
	// chunks, one for each With, end in a sync flush: at a whole byte, and not yet the
	// last block. A scrape writes each at once: in pieces of 64 KiB it takes twice as
	// long at 200,000 series.
	chunks     [][]byte
	compressed int64
	blocks     [][]byte // S2, each on its own
	size       int64
	crc        uint32
	series     int
	most       int // of series
}

// TooManySeries is the error of a page that would have more series than it may.
type TooManySeries struct{ Most int }

func (e TooManySeries) Error() string {
	return fmt.Sprintf("there are more than %d series to publish", e.Most)
}

// Empty is a page without families, on which there may be so many series.
func Empty(most int) *Page { return &Page{most: most} }

// Encode makes text of families, with at most so many series, or a TooManySeries. A
// family may come in several parts, one after another; a part is not kept and may be
// changed when the next is asked for.
func Encode(families iter.Seq[*dto.MetricFamily], format Format, most int) (io.WriterTo, error) {
	page := Empty(most)
	if err := page.encode(families, format, io.Discard); err != nil { // nobody scrapes it
		return nil, err
	}
	return page, nil
}

// With makes a page of what is on this one and of more families, as Encode takes them,
// as Text. This one stays as it is, and is neither encoded nor copied again.
func (p *Page) With(families iter.Seq[*dto.MetricFamily]) (*Page, error) {
	var compressed pieces
	deflate, err := flate.NewWriter(&compressed, level)
	if err != nil {
		return nil, err
	}
	longer := *p
	if err := longer.encode(families, Text, deflate); err != nil {
		return nil, err
	}
	if err := deflate.Flush(); err != nil {
		return nil, err
	}
	chunk := slices.Concat(compressed...)
	longer.compressed += int64(len(chunk))
	longer.chunks = append(slices.Clip(p.chunks), chunk)
	return &longer, nil
}

// encode adds families to the page's blocks, and writes their text to deflate.
func (p *Page) encode(families iter.Seq[*dto.MetricFamily], format Format, deflate io.Writer) (err error) {
	p.blocks = slices.Clip(p.blocks)
	packed := make([]byte, s2.MaxEncodedLen(blockSize))
	var room []byte // for many blocks: each in memory of its own would take half as much again
	add := func(text []byte) error {
		p.crc = crc32.Update(p.crc, crc32.IEEETable, text)
		p.size += int64(len(text))
		for part := range slices.Chunk(text, blockSize) {
			block := s2.Encode(packed, part)
			if len(block) > cap(room)-len(room) {
				room = make([]byte, 0, max(pieceSize, len(block)))
			}
			room = append(room, block...)
			p.blocks = append(p.blocks, room[len(room)-len(block):])
		}
		_, err := deflate.Write(text)
		return err
	}
	var part bytes.Buffer
	last := ""
	for family := range families {
		if p.series += len(family.Metric); p.series > p.most {
			return TooManySeries{p.most}
		}
		part.Reset()
		if format == OpenMetrics {
			_, err = expfmt.MetricFamilyToOpenMetrics(&part, family)
		} else {
			_, err = expfmt.MetricFamilyToText(&part, family)
		}
		if err != nil {
			return err
		}
		text := part.Bytes()
		if family.GetName() == last {
			text = withoutHeader(text)
		}
		last = family.GetName()
		if err := add(text); err != nil {
			return err
		}
	}
	if format == OpenMetrics {
		return add([]byte("# EOF\n"))
	}
	return nil
}

// withoutHeader cuts off the comment lines that start a family.
func withoutHeader(text []byte) []byte {
	for len(text) > 0 && text[0] == '#' {
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	return text
}

// pieces is a writer that keeps what it is given.
type pieces [][]byte

func (p *pieces) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		last := len(*p) - 1
		if last < 0 || len((*p)[last]) == pieceSize {
			*p = append(*p, make([]byte, 0, pieceSize))
			last++
		}
		n := min(pieceSize-len((*p)[last]), len(rest))
		(*p)[last] = append((*p)[last], rest[:n]...)
		rest = rest[n:]
	}
	return len(b), nil
}

// Size is the length of the text in bytes.
func (p *Page) Size() int64 {
	if p == nil {
		return 0
	}
	return p.size
}

// Series returns the number of series.
func (p *Page) Series() int {
	if p == nil {
		return 0
	}
	return p.series
}

// WriteTo writes the text, unpacking it on the way.
func (p *Page) WriteTo(w io.Writer) (written int64, err error) {
	if p == nil {
		return 0, nil
	}
	buffer := buffers.Get().(*[blockSize]byte)
	defer buffers.Put(buffer)
	for _, block := range p.blocks {
		text, err := s2.Decode(buffer[:], block)
		if err != nil {
			return written, err
		}
		n, err := w.Write(text)
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// buffers hold a block each, which a scrape would else allocate anew.
var buffers = sync.Pool{New: func() any { return new([blockSize]byte) }}

// Tail is text that follows a page, and is made without knowing which.
type Tail struct {
	text       []byte
	compressed []byte // ends the deflate stream
}

// NewTail compresses a text.
func NewTail(text []byte) (*Tail, error) {
	var compressed bytes.Buffer
	if err := flate.StatelessDeflate(&compressed, text, true, nil); err != nil {
		return nil, err
	}
	return &Tail{text, compressed.Bytes()}, nil
}

// Size is the length of the text in bytes.
func (t *Tail) Size() int64 { return int64(len(t.text)) }

// WriteTo writes the text.
func (t *Tail) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(t.text)
	return int64(n), err
}

// Gzip is a page and its tail as one gzip member.
type Gzip struct {
	page *Page
	tail *Tail
	end  [8]byte
}

// Gzip joins the tail to the page. One member holds both: two in a row are legal,
// but curl 7.88 refuses them, and decoders of one member drop the second without a
// word.
func (p *Page) Gzip(tail *Tail) *Gzip {
	if p == nil {
		p = &Page{}
	}
	g := &Gzip{page: p, tail: tail}
	binary.LittleEndian.PutUint32(g.end[:4], crc32.Update(p.crc, crc32.IEEETable, tail.text))
	binary.LittleEndian.PutUint32(g.end[4:], uint32(p.size+tail.Size())) // modulo 2^32, says RFC 1952
	return g
}

// gzipHeader is deflate, no name, no time, an unknown system.
const gzipHeader = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"

// Size is the length of the member in bytes.
func (g *Gzip) Size() int64 {
	return int64(len(gzipHeader)) + g.page.compressed + int64(len(g.tail.compressed)) + int64(len(g.end))
}

// WriteTo writes the member.
func (g *Gzip) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, gzipHeader)
	written := int64(n)
	write := func(b []byte) {
		if err == nil {
			n, err = w.Write(b)
			written += int64(n)
		}
	}
	for _, chunk := range g.page.chunks {
		write(chunk)
	}
	write(g.tail.compressed)
	write(g.end[:])
	return written, err
}
