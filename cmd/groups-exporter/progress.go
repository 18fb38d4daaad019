package main

import (
	"io"

	"github.com/schollz/progressbar/v3"
)

// progressBar shows how many days have been read, if the output is a terminal.
type progressBar struct {
	out io.Writer
	bar *progressbar.ProgressBar
}

func newProgressBar(out io.Writer) *progressBar { return &progressBar{out: out} }

// set shows that some of all days were read.
func (p *progressBar) set(done, all int) {
	if terminalWidth(p.out) == 0 {
		return
	}
	if p.bar == nil {
		p.bar = progressbar.NewOptions(all,
			progressbar.OptionSetWriter(p.out), progressbar.OptionSetDescription("reading days"), progressbar.OptionShowCount(),
			progressbar.OptionSetPredictTime(true), progressbar.OptionClearOnFinish(), progressbar.OptionSetWidth(20))
	}
	_ = p.bar.Set(done) // the writer's errors don't matter here
}

// remove removes the bar, so that further output begins on an empty line.
func (p *progressBar) remove() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}
