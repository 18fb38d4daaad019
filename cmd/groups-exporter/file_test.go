package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// writerTo is content that is written by a function.
type writerTo func(io.Writer) (int64, error)

func (f writerTo) WriteTo(w io.Writer) (int64, error) { return f(w) }

// folderWith returns a new folder with an old file in it, and how to check that there is nothing else.
func folderWith(t *testing.T, content string) (name string, untouched func() error) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "groups.prom")
	if err := os.WriteFile(name, []byte(content), 0o640); err != nil {
		t.Fatal(err)
	}
	return name, func() error {
		files, err := os.ReadDir(filepath.Dir(name))
		if err != nil {
			return err
		}
		if len(files) != 1 {
			return errors.New("there is more than the old file: " + files[0].Name())
		}
		got, err := os.ReadFile(name)
		if err == nil && string(got) != content {
			err = errors.New("the old file has changed")
		}
		return err
	}
}

// The first signal removes the temporary file, even while a slow disk blocks the write, because a second signal kills
// the program.
func TestAnInterruptedWriteLeavesNothing(t *testing.T) {
	name, untouched := folderWith(t, "old")
	ctx, cancel := context.WithCancel(t.Context())
	err := writeFile(ctx, name, writerTo(func(w io.Writer) (int64, error) {
		_, err := io.WriteString(w, "new")
		cancel()
		still := untouched()
		for deadline := time.Now().Add(time.Minute); still != nil && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			still = untouched()
		}
		if still != nil {
			t.Errorf("while the disk takes its time: %v", still)
		}
		return 0, err
	}))
	if err == nil {
		t.Error("got no error, though the temporary file is gone")
	}
	if err := untouched(); err != nil {
		t.Error(err)
	}
}

func TestAFailedWriteLeavesNothing(t *testing.T) {
	name, untouched := folderWith(t, "old")
	err := writeFile(t.Context(), name, writerTo(func(w io.Writer) (int64, error) {
		_, _ = io.WriteString(w, "new")
		return 0, errors.New("no more")
	}))
	if err == nil || err.Error() != "cannot write "+name+": no more" {
		t.Errorf("error %v", err)
	}
	if err := untouched(); err != nil {
		t.Error(err)
	}
}

func TestWriteFileReplaces(t *testing.T) {
	name, _ := folderWith(t, "old")
	if err := writeFile(t.Context(), name, strings.NewReader("new")); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(name)
	info, statErr := os.Stat(name)
	if err != nil || statErr != nil || string(got) != "new" || info.Mode().Perm() != 0o640 {
		t.Errorf("%q with %v, errors %v and %v", got, info.Mode(), err, statErr)
	}
}
