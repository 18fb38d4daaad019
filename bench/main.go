// Command bench measures groups-exporter against the other ways to serve the same
// series, in one run: what anyone would write with client_golang, and the limit, which
// only writes bytes. Single times on a shared machine are noise; ratios within a run
// are not. It reads /proc, so it needs Linux.
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

// options say what is measured. The defaults take about three minutes.
type options struct {
	series       []int // the sizes, from small to large
	rounds       int
	seed         uint64
	refreshUsers int // the hub that refreshes are measured on beside the sizes
	starts       int
	crowd        time.Duration // how long the many scrape
	python       string        // an interpreter that has the Python exporter, or ""
	pythonMost   int
	output       string
}

func main() {
	log.SetFlags(log.Ltime)
	o := options{refreshUsers: 100_000, starts: 20, crowd: 5 * time.Second}
	var r role
	sizes := flag.String("series", "2000,20000,200000", "sizes of the data sets, from small to large")
	flag.IntVar(&o.rounds, "rounds", 20, "how often it is each contestant's turn")
	flag.Uint64Var(&o.seed, "seed", 1, "of the made-up users and groups")
	flag.StringVar(&o.python, "python", "", "interpreter that can import jupyterhub_groups_exporter, to measure that too")
	flag.IntVar(&o.pythonMost, "python-most", 20_000, "most series that the Python exporter is measured with: its refresh is quadratic")
	flag.StringVar(&o.output, "output", "table", "table or markdown")
	flag.Var(&r, roleFlag, "as which the benchmark starts itself")
	flag.Parse()
	for text := range strings.SplitSeq(*sizes, ",") {
		var n int
		if _, err := fmt.Sscan(text, &n); err != nil || n < 100 {
			log.Fatalf("-series: %q is no number from 100 on", text)
		}
		o.series = append(o.series, n)
	}
	if o.rounds < 1 || o.output != "table" && o.output != "markdown" {
		log.Fatal("-rounds is 1 or more, and -output is table or markdown")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := r.serve(ctx)
	if r.name == "" {
		var text string
		text, err = measure(ctx, o)
		fmt.Print(text)
	}
	stop()
	if err != nil {
		log.Fatal("bench: ", err)
	}
}

// failure is a panic of ours: any error ends the benchmark.
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

// caught makes an error of a failure.
func caught(err *error) {
	switch r := recover().(type) {
	case nil:
	case failure:
		*err = r.error
	default:
		panic(r)
	}
}
