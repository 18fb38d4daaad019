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

// writeFile replaces a file by a new one with the same owner, group and permissions. If that fails or ctx ends, the
// file stays as it is, and no other file is left behind.
func writeFile(ctx context.Context, name string, content io.WriterTo) error {
	err := replaceFile(ctx, name, content)
	if err == nil {
		return nil
	}
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathErr.Err // without the name of the temporary file
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
		return errors.New("it is a symbolic link: use the path of the file that it points to")
	case !old.Mode().IsRegular():
		return errors.New("it is not a regular file")
	}
	file, err := os.CreateTemp(filepath.Dir(name), ".groups-exporter-*")
	if err != nil {
		return err
	}
	remove := func() { _ = os.Remove(file.Name()) } // after the rename there is nothing to remove
	defer remove()
	defer file.Close()
	// Remove the file as soon as a signal arrives, because a second signal can end the process while this function still
	// writes. Then the rename fails.
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
	if _, err := content.WriteTo(file); err != nil {
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
