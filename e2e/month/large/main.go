// Command large creates Prometheus blocks with a month of a large hub, to measure the speed of a report.
//
//	go run ./e2e/month/large -users 1000 -out /tmp/data
//	prometheus --storage.tsdb.path=/tmp/data --storage.tsdb.retention.time=10y --config.file=/dev/null
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/groups-exporter/groups-exporter/e2e/month"
)

const blockLength = 54 * time.Hour

func main() {
	users := flag.Int("users", 1000, "number of users")
	groups := flag.Int("groups", 50, "number of groups")
	promtool := flag.String("promtool", "promtool", "program that makes the blocks")
	out := flag.String("out", "", "folder for the blocks")
	flag.Parse()
	if *out == "" {
		fmt.Fprintln(os.Stderr, "large: -out is missing")
		os.Exit(2)
	}
	m := month.NewLarge(*users, *groups)
	fmt.Printf("%d servers\n", len(m.Hubs[0].Pods))
	if err := write(m, *promtool, *out); err != nil {
		fmt.Fprintln(os.Stderr, "large:", err)
		os.Exit(1)
	}
}

// write creates the blocks, two at a time. It deletes the text of each block as soon as the block exists.
func write(m *month.Month, promtool, out string) error {
	dir, err := os.MkdirTemp("", "large")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var group errgroup.Group
	group.SetLimit(2)
	for _, span := range m.Blocks(blockLength) {
		group.Go(func() error { return writeBlock(m, span, promtool, dir, out) })
	}
	return group.Wait()
}

func writeBlock(m *month.Month, span month.Span, promtool, dir, out string) error {
	began := time.Now()
	text := filepath.Join(dir, span.From.UTC().Format("0102T15")+".txt")
	size, err := writeText(m, text, span)
	if err != nil {
		return err
	}
	defer os.Remove(text)
	written := time.Since(began)
	cmd := exec.Command(promtool, "tsdb", "create-blocks-from", "openmetrics", "--quiet", "--max-block-duration="+blockLength.String(), text, out)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", promtool, err)
	}
	fmt.Printf("%s: %d MiB written in %v, block made in %v\n", span.From.UTC().Format(time.DateTime), size>>20,
		written.Round(time.Second), (time.Since(began) - written).Round(time.Second))
	return nil
}

func writeText(m *month.Month, name string, span month.Span) (size int64, err error) {
	file, err := os.Create(name)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	if err := m.Write(file, month.OpenMetrics, span); err != nil {
		return 0, err
	}
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), file.Close()
}
