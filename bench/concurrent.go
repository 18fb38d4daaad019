package main

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// The concurrent scrapers: fast ones, slow ones, and one that sends requests and never reads the responses.
const (
	fastReaders = 44
	slowReaders = 5
	// A slow reader pauses after each slowBytes, which makes 1.3 MB/s.
	slowBytes = 64 << 10
	slowPause = 50 * time.Millisecond
	// unreadRequests is large enough that the responses don't fit into the kernel's buffers.
	unreadRequests = 8
)

// concurrentResult is the result of concurrent scrapes of a contestant.
type concurrentResult struct {
	name      string
	took      []time.Duration // of the fast readers' scrapes
	failed    int             // number of scrapers that failed
	lasted    time.Duration   // until the last response
	now, peak int             // resident memory in bytes
}

// rate returns the number of fast scrapes per second.
func (c concurrentResult) rate() float64 { return float64(len(c.took)) / c.lasted.Seconds() }

// scrapeConcurrently scrapes a contestant with all scrapers for the given time.
func scrapeConcurrently(ctx context.Context, c *contestant, length time.Duration) concurrentResult {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	result := concurrentResult{name: c.name}
	var mu sync.Mutex
	var running sync.WaitGroup
	start := time.Now()
	add := func(encoding string, scrape func(*client) error) {
		scraper := dial(c.address, encoding)
		if tcp, ok := scraper.connection.(*net.TCPConn); ok && encoding == "identity" {
			_ = tcp.SetReadBuffer(slowBytes) // limits what the kernel reads ahead
			scraper.buffer = scraper.buffer[:slowBytes]
		}
		running.Go(func() {
			defer scraper.close()
			for done := false; !done; done = ctx.Err() != nil { // scrapes at least once, even on a slow machine
				if err := scrape(scraper); err != nil && ctx.Err() == nil {
					mu.Lock()
					result.failed++
					mu.Unlock()
					return
				}
			}
		})
	}
	add("identity", func(scraper *client) error {
		for range unreadRequests {
			if err := scraper.send(http.MethodGet, c.path); err != nil {
				return err
			}
		}
		<-ctx.Done()
		return nil
	})
	for range slowReaders {
		add("identity", func(scraper *client) error {
			_, err := scraper.do(http.MethodGet, c.path, writerFunc(func(b []byte) (int, error) {
				time.Sleep(slowPause)
				return len(b), ctx.Err()
			}))
			return err
		})
	}
	for range fastReaders {
		add("gzip", func(scraper *client) error {
			_, took, err := scraper.scrape(c.path)
			if err == nil {
				mu.Lock()
				result.took = append(result.took, took)
				mu.Unlock()
			}
			return err
		})
	}
	<-ctx.Done()
	result.now, result.peak = c.resident()
	running.Wait()
	result.lasted = time.Since(start)
	return result
}
