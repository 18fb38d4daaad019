//go:build linux || darwin

package main

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// accessACL is the attribute in which Linux stores a file's ACL.
const accessACL = "system.posix_acl_access"

// keepOwner gives a new file the owner, the group and the ACL of the old one.
func keepOwner(file *os.File, name string, old fs.FileInfo) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	has, ok1 := info.Sys().(*syscall.Stat_t)
	needs, ok2 := old.Sys().(*syscall.Stat_t)
	if !ok1 || !ok2 {
		return errors.ErrUnsupported
	}
	if has.Uid != needs.Uid || has.Gid != needs.Gid {
		if err := unix.Fchown(int(file.Fd()), int(needs.Uid), int(needs.Gid)); err != nil {
			return &ownerError{needs.Uid, needs.Gid, err}
		}
	}
	size, _ := unix.Getxattr(name, accessACL, nil)
	if size <= 0 { // there is none, or the file system has no such thing
		// The new file may have inherited an ACL from its folder. Otherwise this fails, too.
		_ = unix.Fremovexattr(int(file.Fd()), accessACL)
		return nil
	}
	acl := make([]byte, size)
	if size, err = unix.Getxattr(name, accessACL, acl); err != nil {
		return err
	}
	return unix.Fsetxattr(int(file.Fd()), accessACL, acl[:size], 0)
}
