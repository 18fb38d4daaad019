//go:build linux || darwin

package main

import (
	"fmt"
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
	has, needs := info.Sys().(*syscall.Stat_t), old.Sys().(*syscall.Stat_t)
	if has.Uid != needs.Uid || has.Gid != needs.Gid {
		if err := unix.Fchown(int(file.Fd()), int(needs.Uid), int(needs.Gid)); err != nil {
			return fmt.Errorf("a new file can't have its owner, which is user %d of group %d (%w): run this command as the owner, or remove the file", needs.Uid, needs.Gid, err)
		}
	}
	size, _ := unix.Getxattr(name, accessACL, nil)
	if size <= 0 { // no ACL, or the file system doesn't support them
		// Remove the ACL that the new file may have inherited from its folder.
		_ = unix.Fremovexattr(int(file.Fd()), accessACL)
		return nil
	}
	acl := make([]byte, size)
	if size, err = unix.Getxattr(name, accessACL, acl); err != nil {
		return err
	}
	return unix.Fsetxattr(int(file.Fd()), accessACL, acl[:size], 0)
}
