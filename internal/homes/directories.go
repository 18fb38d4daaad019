package homes

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// longest is the maximum length of an entry in a list of directories.
const longest = 1 << 20

var (
	duLine = regexp.MustCompile(`(?s)^([0-9]+)\t(.+)$`)
	// shortened matches a size with a unit, as du --human-readable prints it.
	shortened = regexp.MustCompile(`^[0-9]+([.,][0-9]+)?[KMGTPEZY]i?B?\t`)
)

// ReadDirectories reads a list of directories: names, paths or the output of du in bytes. The function split separates
// its entries. The last entry of du is the directory that it measured, which holds the homes and isn't one.
func ReadDirectories(r io.Reader, split bufio.SplitFunc) ([]Home, error) {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, longest)
	scanner.Split(split)
	var list []Home
	number, sizes := 0, 0
	for scanner.Scan() {
		number++
		entry := scanner.Text()
		if entry == "" {
			continue
		}
		if shortened.MatchString(entry) {
			return nil, fmt.Errorf("entry %d has a size with a unit: let du print bytes, with --block-size=1", number)
		}
		h := Home{Kind: Directory, Path: entry}
		if parts := duLine.FindStringSubmatch(entry); parts != nil {
			size, err := strconv.ParseInt(parts[1], 10, 64)
			if err != nil {
				return nil, fmt.Errorf("entry %d has no valid size: %w", number, err)
			}
			h.Path, h.Size = parts[2], &size
			sizes++
		}
		list = append(list, h)
	}
	if err := scanner.Err(); err != nil {
		return nil, err
	}
	if sizes > 0 && sizes < len(list) {
		return nil, fmt.Errorf("%d of %d entries have a size: the list has to be either names or the output of du", sizes, len(list))
	}
	return withoutParent(list, sizes > 0)
}

// withoutParent returns the list without the directory that holds the others, and sets their names. It returns an error
// if the list has folders of homes.
func withoutParent(list []Home, isDu bool) ([]Home, error) {
	paths := make(map[string]bool, len(list))
	for _, h := range list {
		paths[trimmed(h.Path)] = true
	}
	parents, inside := map[string]bool{}, 0
	for path := range paths {
		if parent, ok := parentOf(path); ok && paths[parent] {
			parents[parent] = true
			inside++
		}
	}
	if isDu && len(paths) == 1 {
		return nil, nil // du --max-depth=1 of a directory that is empty, or du --summarize
	}
	if len(parents) > 1 || len(parents) == 1 && inside != len(paths)-1 {
		return nil, errors.New("the list has folders inside of homes: list only the homes, as with du --block-size=1 --max-depth=1")
	}
	homes := make([]Home, 0, len(list))
	for _, h := range list {
		path := trimmed(h.Path)
		if parents[path] {
			continue
		}
		if !paths[path] {
			return nil, fmt.Errorf("%q is listed twice", path)
		}
		delete(paths, path)
		h.Path, h.Name = path, path[strings.LastIndexByte(path, '/')+1:]
		homes = append(homes, h)
	}
	return homes, nil
}

// trimmed returns a path without slashes at its end. That of the root is empty.
func trimmed(path string) string { return strings.TrimRight(path, "/") }

// parentOf returns the path of the directory that holds another one. It reports false for a name without a path.
func parentOf(path string) (string, bool) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", false
	}
	return trimmed(path[:i]), true
}
