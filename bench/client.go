package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// client is a scraper with one persistent connection. The client of net/http would take longer than the responses of
// the limit.
type client struct {
	connection net.Conn
	reader     *bufio.Reader
	encoding   string // value of Accept-Encoding
	buffer     []byte
}

func dial(address, encoding string) *client {
	connection := must(net.DialTimeout("tcp", address, 10*time.Second))
	return &client{connection, bufio.NewReader(connection), encoding, make([]byte, 256<<10)}
}

func (c *client) close() { _ = c.connection.Close() }

// send sends a request without waiting for the response.
func (c *client) send(method, path string) error {
	_, err := fmt.Fprintf(c.connection, "%s %s HTTP/1.1\r\nHost: bench\r\nAccept-Encoding: %s\r\n\r\n", method, path, c.encoding)
	return err
}

// do sends a request and copies the body of the response to a writer, still compressed. It returns the header.
func (c *client) do(method, path string, to io.Writer) (http.Header, error) {
	if err := c.send(method, path); err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		return nil, fmt.Errorf("%s: %s", path, response.Status)
	}
	_, err = io.CopyBuffer(to, struct{ io.Reader }{response.Body}, c.buffer)
	return response.Header, err
}

// scrape sends a request and reads the whole response. It returns the length of the body in bytes and the duration.
func (c *client) scrape(path string) (int, time.Duration, error) {
	read := 0
	start := time.Now()
	_, err := c.do(http.MethodGet, path, writerFunc(func(b []byte) (int, error) {
		read += len(b)
		return len(b), nil
	}))
	return read, time.Since(start), err
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// hubSeries scrapes a contestant and returns the series about the hub, sorted.
func (c *client) hubSeries(path string) []string {
	var page bytes.Buffer
	header := must(c.do(http.MethodGet, path, &page))
	var text io.Reader = &page
	if header.Get("Content-Encoding") == "gzip" {
		text = must(gzip.NewReader(&page))
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	var all []string
	for name, family := range must(parser.TextToMetricFamilies(text)) {
		if !strings.HasPrefix(name, "jupyterhub_") {
			continue
		}
		for _, m := range family.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			slices.Sort(labels)
			all = append(all, fmt.Sprint(name, labels, m.GetGauge().GetValue()))
		}
	}
	slices.Sort(all)
	return all
}

// compare fails if the contestants serve different series about the hub, plain or compressed. The Python exporter has
// only one family, and an additional group.
func compare(all []*contestant) {
	var want []string
	for _, c := range all {
		for _, s := range c.byEncoding {
			got := s.client.hubSeries(c.path)
			if want == nil {
				want = got
			}
			if c.isPython() { // always the last contestant
				otherFamily := func(s string) bool {
					return !strings.HasPrefix(s, "jupyterhub_user_group_info[") || strings.Contains(s, ` usergroup="multiple"`)
				}
				got, want = slices.DeleteFunc(got, otherFamily), slices.DeleteFunc(want, otherFamily)
			}
			if !slices.Equal(got, want) {
				check(fmt.Errorf("%s serves %d series, which differ from the %d of %s", c.name, len(got), len(want), all[0].name))
			}
		}
	}
}
