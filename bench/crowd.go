package main

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// The crowd: those who read at once, those who take a while, and one who asks and
// never reads.
const (
	quickReaders = 44
	slowReaders  = 5
	// A slow reader reads slowBytes and then waits: 1.3 MB/s, as over a poor line.
	slowBytes = 64 << 10
	slowPause = 50 * time.Millisecond
	// questions of one who never reads are more than the kernel keeps the answers of.
	questions = 8
)

// crowded is how a contestant did.
type crowded struct {
	name      string
	took      []time.Duration // by the quick ones
	failed    int             // clients
	lasted    time.Duration   // until all had their answers
	now, peak int             // resident
}

func (c crowded) rate() float64 { return float64(len(c.took)) / c.lasted.Seconds() }

// crowd lets many scrape for a while.
func crowd(ctx context.Context, c *contestant, length time.Duration) crowded {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	result := crowded{name: c.name}
	var mu sync.Mutex
	var running sync.WaitGroup
	start := time.Now()
	join := func(encoding string, scrape func(*client) error) {
		scraper := dial(c.address, encoding)
		if tcp, ok := scraper.connection.(*net.TCPConn); ok && encoding == "identity" {
			_ = tcp.SetReadBuffer(slowBytes) // the kernel keeps little of what isn't read
			scraper.buffer = scraper.buffer[:slowBytes]
		}
		running.Go(func() {
			defer scraper.close()
			for done := false; !done; done = ctx.Err() != nil { // on a slow machine, the time may be over at once
				if err := scrape(scraper); err != nil && ctx.Err() == nil {
					mu.Lock()
					result.failed++
					mu.Unlock()
					return
				}
			}
		})
	}
	join("identity", func(scraper *client) error {
		for range questions {
			if err := scraper.ask(http.MethodGet, c.path); err != nil {
				return err
			}
		}
		<-ctx.Done()
		return nil
	})
	for range slowReaders {
		join("identity", func(scraper *client) error {
			_, err := scraper.do(http.MethodGet, c.path, writerFunc(func(b []byte) (int, error) {
				time.Sleep(slowPause)
				return len(b), ctx.Err()
			}))
			return err
		})
	}
	for range quickReaders {
		join("gzip", func(scraper *client) error {
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
