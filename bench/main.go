// Command bench compares groups-exporter with other servers of the same series: the usual ways to use client_golang,
// and a lower limit that only writes recorded bytes. On a shared machine, absolute times vary a lot. Compare the
// ratios within a run instead. The command reads /proc, so it needs Linux.
//
//	go run ./bench
//	go run ./bench -series 2000 -rounds 5 -output markdown
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// options configure a run. The defaults take about three minutes.
type options struct {
	series          []int // sizes of the data sets, ascending
	rounds          int
	seed            uint64
	refreshUsers    int // users of an additional hub, for refreshes only
	starts          int
	concurrentFor   time.Duration // duration of the concurrent scrapes
	python          string        // interpreter that can import the Python exporter, or ""
	maxPythonSeries int
	output          string
}

func main() {
	log.SetFlags(log.Ltime)
	o := options{refreshUsers: 100_000, starts: 20, concurrentFor: 5 * time.Second}
	var p process
	sizes := flag.String("series", "2000,20000,200000", "sizes of the data sets, ascending")
	flag.IntVar(&o.rounds, "rounds", 20, "number of rounds, in each of which every contestant is scraped")
	flag.Uint64Var(&o.seed, "seed", 1, "seed of the made-up users and groups")
	flag.StringVar(&o.python, "python", "", "interpreter that can import jupyterhub_groups_exporter, to measure it too")
	flag.IntVar(&o.maxPythonSeries, "python-most", 20_000, "largest number of series for the Python exporter, whose refresh takes quadratic time")
	flag.StringVar(&o.output, "output", "table", "output format: table or markdown")
	flag.Var(&p, processFlag, "internal: how the benchmark starts itself")
	flag.Parse()
	for text := range strings.SplitSeq(*sizes, ",") {
		var n int
		if _, err := fmt.Sscan(text, &n); err != nil || n < 100 {
			log.Fatalf("-series: %q is not a number of at least 100", text)
		}
		o.series = append(o.series, n)
	}
	if o.rounds < 1 || o.output != "table" && o.output != "markdown" {
		log.Fatal("-rounds must be at least 1, and -output must be table or markdown")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := p.serve(ctx)
	if p.kind == "" {
		var text string
		text, err = measure(ctx, o)
		fmt.Print(text)
	}
	stop()
	if err != nil {
		log.Fatal("bench: ", err)
	}
}

// failure is the panic value of check. Every error ends the benchmark.
type failure struct{ error }

func check(err error) {
	if err != nil {
		panic(failure{err})
	}
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

// recoverFailure recovers from a panic of check and stores its error.
func recoverFailure(err *error) {
	switch r := recover().(type) {
	case nil:
	case failure:
		*err = r.error
	default:
		panic(r)
	}
}
