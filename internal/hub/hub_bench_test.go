package hub_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/fakehub"
	"github.com/groups-exporter/groups-exporter/internal/hub"
)

// onePage is a hub that answered once, and says that again: what it takes to answer
// doesn't count.
type onePage struct {
	answers map[string]*httptest.ResponseRecorder
	hub     http.Handler
}

func (p onePage) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := p.answers[r.URL.Path]
	if answer == nil {
		answer = httptest.NewRecorder()
		p.hub.ServeHTTP(answer, r)
		p.answers[r.URL.Path] = answer
	}
	return &http.Response{StatusCode: answer.Code, Header: answer.Header(), Body: io.NopCloser(bytes.NewReader(answer.Body.Bytes()))}, nil
}

// pageOf is a client of a hub that has so many users, which fit on a page.
func pageOf(users ...fakehub.User) *hub.Client {
	api, _ := hub.APIURL("http://hub.test")
	page := onePage{map[string]*httptest.ResponseRecorder{}, newHub(users...)}
	return hub.New(hub.Options{API: api, Token: always(token), Timeout: time.Minute, Transport: page})
}

// BenchmarkPage reads a page of 200 users.
func BenchmarkPage(b *testing.B) {
	c := pageOf(people(200)...)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.List(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
