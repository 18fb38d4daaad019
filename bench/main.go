// Command bench compares groups-exporter with other programs that serve the same series, on a fake hub of a given size:
// client_golang, the Python exporter, and a lower limit that only writes recorded bytes. On a shared machine, absolute
// times vary a lot. Compare the ratios within a run instead. The command reads /proc, so it needs Linux.
//
//	go run ./bench -users 1000 -rounds 5
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(log.Ltime)
	b := bench{scrapeFor: 5 * time.Second}
	flag.IntVar(&b.users, "users", 10_000, "users of the fake hub")
	flag.IntVar(&b.rounds, "rounds", 20, "rounds, in each of which every process is scraped for a while")
	flag.IntVar(&b.scrapers, "scrapers", 50, "concurrent scrapers")
	flag.StringVar(&b.python, "python", "", "interpreter that can import jupyterhub_groups_exporter, to measure it too")
	flag.Parse()
	if flag.NArg() == 2 { // the benchmark has started itself
		serve(flag.Arg(0), flag.Arg(1))
		return
	}
	if flag.NArg() > 0 || min(b.users, b.rounds, b.scrapers) < 1 {
		log.Fatal("bench takes no arguments, and its numbers must be at least 1")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := b.run(ctx)
	stop()
	if err != nil {
		log.Fatal("bench: ", err)
	}
	fmt.Print(b.report.String())
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
