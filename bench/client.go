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

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// client is a scraper with one persistent connection. The client of net/http would take longer than the responses of
// the limit.
type client struct {
	connection net.Conn
	reader     *bufio.Reader
	buffer     []byte
}

func dial(address string) *client {
	connection := must(net.DialTimeout("tcp", address, 10*time.Second))
	return &client{connection, bufio.NewReader(connection), make([]byte, 256<<10)}
}

func (c *client) close() { _ = c.connection.Close() }

// do sends a request and copies the body of the response to a writer, still compressed. It returns the header.
func (c *client) do(method, path string, to io.Writer) (http.Header, error) {
	if _, err := fmt.Fprintf(c.connection, "%s %s HTTP/1.1\r\nHost: bench\r\nAccept-Encoding: gzip\r\n\r\n", method, path); err != nil {
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

// scrape reads a page to its end. It returns the length of the body in bytes and the duration.
func (c *client) scrape(path string) (int, time.Duration, error) {
	var read counter
	start := time.Now()
	_, err := c.do(http.MethodGet, path, &read)
	return int(read), time.Since(start), err
}

type counter int

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

// families scrapes a page and returns the families about the hub.
func (c *client) families(path string) map[string]*dto.MetricFamily {
	var page bytes.Buffer
	header := must(c.do(http.MethodGet, path, &page))
	var text io.Reader = &page
	if header.Get("Content-Encoding") == "gzip" {
		text = must(gzip.NewReader(&page))
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families := must(parser.TextToMetricFamilies(text))
	for name := range families {
		if !strings.HasPrefix(name, "jupyterhub_") {
			delete(families, name)
		}
	}
	return families
}

// series scrapes a page and returns the series about the hub, sorted.
func (c *client) series(path string) []string {
	var all []string
	for name, family := range c.families(path) {
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
