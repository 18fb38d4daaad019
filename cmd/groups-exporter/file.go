package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// writeFile replaces a file with a new one that has the same owner, group and permissions,
// or leaves it as it is. It leaves no other file behind, even if ctx ends.
func writeFile(ctx context.Context, name string, content io.WriterTo) error {
	err := interrupted(ctx, replaceFile(ctx, name, content))
	if err == nil || ctx.Err() != nil {
		return err
	}
	// These have the name of the temporary file.
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathErr.Err
	}
	if linkErr, ok := errors.AsType[*os.LinkError](err); ok {
		err = linkErr.Err
	}
	return fmt.Errorf("cannot write %s: %w", name, err)
}

func replaceFile(ctx context.Context, name string, content io.WriterTo) error {
	old, err := os.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		old = nil
	case err != nil:
		return err
	case old.Mode()&fs.ModeSymlink != 0:
		return errors.New("it is a symbolic link, which would be replaced itself; give the file that it points to")
	case !old.Mode().IsRegular():
		return errors.New("it is not a regular file")
	}
	file, err := os.CreateTemp(filepath.Dir(name), ".groups-exporter-*") // as short as possible
	if err != nil {
		return err
	}
	remove := func() { _ = os.Remove(file.Name()) } // after the rename there is nothing to remove
	defer remove()
	defer file.Close()
	// Remove the file as soon as a signal arrives: a second one can end the process while
	// this function still waits for the disk.
	defer context.AfterFunc(ctx, remove)()

	permissions := os.FileMode(0o644) // node_exporter runs as a user of its own
	if old != nil {
		permissions = old.Mode().Perm()
		if err := keepOwner(file, name, old); err != nil {
			return err
		}
	}
	if err := file.Chmod(permissions); err != nil {
		return err
	}
	if _, err := content.WriteTo(interruptibleWriter{ctx, file}); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return os.Rename(file.Name(), name)
}

// ownerError says that a new file can't have the owner and group of the old one.
type ownerError struct {
	uid, gid uint32
	err      error
}

func (e *ownerError) Error() string {
	return fmt.Sprintf("it belongs to user %d and group %d, and a new file cannot: %s", e.uid, e.gid, e.err)
}

// interruptibleWriter writes until ctx ends.
type interruptibleWriter struct {
	ctx context.Context
	io.Writer
}

func (w interruptibleWriter) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.Writer.Write(p)
}
