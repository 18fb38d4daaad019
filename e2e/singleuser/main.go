//go:build linux

// Singleuser is a server of a JupyterHub user, for tests. It uses as much memory and CPU as its environment says:
// USE_BYTES, and USE_CORES, a fraction of a core.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "singleuser:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	size, err := strconv.Atoi(os.Getenv("USE_BYTES"))
	if err != nil {
		return fmt.Errorf("USE_BYTES: %w", err)
	}
	cores, err := strconv.ParseFloat(os.Getenv("USE_CORES"), 64)
	if err != nil {
		return fmt.Errorf("USE_CORES: %w", err)
	}
	// The kernel gives memory to those who write to it.
	memory := make([]byte, size)
	for i := 0; i < size; i += os.Getpagesize() {
		memory[i] = 1
	}
	go burn(cores)
	err = serve(ctx)
	runtime.KeepAlive(memory)
	return err
}

// serve answers the hub, which waits until the server does. It returns when ctx is done.
func serve(ctx context.Context) error {
	service, err := url.Parse(os.Getenv("JUPYTERHUB_SERVICE_URL"))
	if err != nil {
		return err
	}
	prefix := service.Path
	server := &http.Server{
		Addr:              net.JoinHostPort("", service.Port()),
		ReadHeaderTimeout: time.Minute,
		Handler: http.StripPrefix(prefix, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintln(w, "the server at", prefix)
		})),
	}
	go func() {
		<-ctx.Done()
		server.Close()
	}()
	if err := server.ListenAndServe(); ctx.Err() == nil {
		return err
	}
	return nil
}

// burn uses a fraction of a core: whenever the process has used less CPU than that since its start, it computes.
func burn(cores float64) {
	start := time.Now()
	for {
		for used().Seconds() < cores*time.Since(start).Seconds() {
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// used returns the CPU time of the process.
func used() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
