package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/groups-exporter/groups-exporter/internal/homes"
	"github.com/groups-exporter/groups-exporter/internal/prometheus"
)

// standardInput is the name of standard input as a file.
const standardInput = "-"

// homesSources are the flags that say which homes there are.
type homesSources struct {
	directories string
	claims      string
	null        bool
	prometheus  matchedOptions
}

func (s *homesSources) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&s.directories, "directories", "", "`file` with directories or the output of du in bytes; - is standard input")
	flags.StringVar(&s.claims, "claims", "", "`file` with the output of 'kubectl get pvc --output json', or -")
	flags.BoolVarP(&s.null, "null", "0", false, "names end with NUL, in --directories and in --output names")
	s.prometheus.addFlags(cmd)
}

// isSet reports whether there is a source of homes.
func (s *homesSources) isSet() bool {
	return s.directories != "" || s.claims != "" || s.prometheus.address != ""
}

func (s *homesSources) check(demo bool) error {
	switch {
	case !s.isSet() && !demo:
		return usagef("homes needs --directories, --claims or --prometheus-url; --demo shows sample homes")
	case s.directories == standardInput && s.claims == standardInput:
		return usagef("--directories and --claims can't both be standard input")
	}
	return nil
}

// read returns all homes.
func (s *homesSources) read(ctx context.Context, in io.Reader, errOut io.Writer, reader *prometheus.UsageReader) ([]homes.Home, error) {
	var listed, measured []homes.Home
	if s.directories != "" {
		directories, err := s.readDirectories(in, errOut)
		if err != nil {
			return nil, err
		}
		listed = directories
	}
	if s.claims != "" {
		claims, err := s.readClaims(in, errOut)
		if err != nil {
			return nil, err
		}
		listed = append(listed, claims...)
	}
	if reader != nil {
		storage, err := reader.Storage(ctx)
		if err != nil {
			return nil, err
		}
		if measured = measuredHomes(storage); len(measured) == 0 {
			return nil, fmt.Errorf("%w for the namespace %q", errNoStorage, reader.Namespace)
		}
	}
	return homes.Combine(listed, measured), nil
}

// errNoStorage begins the error if Prometheus has no homes.
var errNoStorage = errors.New("Prometheus has no home directories or claims") //nolint:staticcheck // a name

func (s *homesSources) readDirectories(in io.Reader, errOut io.Writer) (directories []homes.Home, err error) {
	split, what := bufio.ScanLines, "directories, one per line"
	if s.null {
		split, what = splitAtNull, "directories with NUL after each"
	}
	err = readFile(s.directories, what, in, errOut, func(r io.Reader) (err error) {
		directories, err = homes.ReadDirectories(r, split)
		return err
	})
	if err == nil && len(directories) == 0 {
		err = fmt.Errorf("there are no homes in %s", nameOfFile(s.directories))
	}
	return directories, err
}

func (s *homesSources) readClaims(in io.Reader, errOut io.Writer) (claims []homes.Home, err error) {
	var others []string
	err = readFile(s.claims, "the output of kubectl get pvc -o json", in, errOut, func(r io.Reader) (err error) {
		claims, others, err = homes.ReadClaims(r)
		return err
	})
	if err == nil && len(claims) == 0 {
		err = fmt.Errorf("there are no claims of users in %s", nameOfFile(s.claims))
	}
	if err == nil && len(others) > 0 {
		say(errOut, fmt.Sprintf("left out %s that kubespawner didn't create: %s", plural(len(others), "claim"), some(quoteAll(others))), "")
	}
	return claims, err
}

// readFile calls read with a file or with standard input. If somebody has to type the content, it first says what to type.
func readFile(name, what string, in io.Reader, errOut io.Writer, read func(io.Reader) error) error {
	if name == standardInput {
		sayReading(in, errOut, what)
	} else {
		file, err := os.Open(name) //nolint:gosec // the path comes from the operator
		if err != nil {
			return fmt.Errorf("%s can't be used: %w", name, err)
		}
		defer file.Close()
		in = file
	}
	if err := read(in); err != nil {
		return fmt.Errorf("%s can't be used: %w", nameOfFile(name), err)
	}
	return nil
}

func nameOfFile(name string) string {
	if name == standardInput {
		return "standard input"
	}
	return name
}

func quoteAll(texts []string) []string {
	quoted := make([]string, len(texts))
	for i, text := range texts {
		quoted[i] = quote(text)
	}
	return quoted
}

// measuredHomes returns the homes that Prometheus has.
func measuredHomes(s *prometheus.Storage) []homes.Home {
	var list []homes.Home
	names := maps.Clone(s.Sizes)
	maps.Copy(names, s.Limits)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		list = append(list, homes.Home{Kind: homes.Directory, Name: name, Path: name, Size: valueOf(s.Sizes, name), Limit: valueOf(s.Limits, name)})
	}
	for _, c := range s.Claims {
		h := homes.Home{Kind: homes.Claim, Name: c.Name, Path: c.Name, User: c.User, Server: c.Server}
		if c.Size > 0 {
			h.Size, h.Limit = &c.Size, &c.Size
		}
		list = append(list, h)
	}
	return list
}

func valueOf(values map[string]int64, name string) *int64 {
	if value, ok := values[name]; ok {
		return &value
	}
	return nil
}
