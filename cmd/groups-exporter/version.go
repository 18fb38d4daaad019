package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/prometheus/common/version"
	"github.com/spf13/cobra"
)

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Long:    "Print the version, the revision it was built from, and what it was built for.\n\n" + exitCodes,
		Example: "  groups-exporter version",
		Args:    needsNoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), cmd.Root().Name(), versionText())
			return err
		},
	}
}

// versionNumber returns the version of a release, or that of the module for other builds.
func versionNumber() string {
	if version.Version != "" {
		return version.Version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

func versionText() string {
	return fmt.Sprintf("%s (revision %s, %s, %s/%s)", versionNumber(), version.GetRevision(), version.GoVersion, runtime.GOOS, runtime.GOARCH)
}

// userAgent returns the header User-Agent of requests.
func userAgent() string { return "groups-exporter/" + versionNumber() }
