package main

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// serveFlags returns new flags of serve, and the options that they set.
func serveFlags() (*pflag.FlagSet, *serveOptions) {
	var o serveOptions
	cmd := &cobra.Command{}
	cmd.SetGlobalNormalizationFunc(normalizeFlag)
	o.addFlags(cmd)
	cmd.InitDefaultHelpFlag()
	return cmd.Flags(), &o
}

// Each visible flag of serve can be set by its own variable. Kubernetes sets none of these variables.
func TestEveryFlagHasAVariable(t *testing.T) {
	samples := map[string]string{"string": "text", "bool": "true", "int": "77", "duration": "1m30s", "stringArray": "a,b\nc"}
	flags, _ := serveFlags()
	seen := map[string]string{}
	var environ []string
	flags.VisitAll(func(flag *pflag.Flag) {
		if flag.Hidden || flag.Name == "help" {
			return
		}
		name := variableOf(flag.Name)
		if other := seen[name]; other != "" || foreignVariable.MatchString(name) || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") != "" {
			t.Errorf("--%s: the variable %s is that of --%s, or can be Kubernetes'", flag.Name, name, other)
		}
		seen[name] = flag.Name
		kind := flag.Value.Type()
		sample := samples[kind]
		if words := strings.FieldsFunc(kind, func(r rune) bool { return r == '|' || r == ',' }); len(words) > 1 {
			sample = words[len(words)-1]
		}
		environ = append(environ, name+"="+sample)

		one, o := serveFlags()
		err := setFlags(one, one, func(asked string) string { return map[string]string{name: sample}[asked] })
		if err != nil || sample == "" {
			t.Errorf("%s=%q for a %s: %v", name, sample, kind, err)
		}
		one.VisitAll(func(f *pflag.Flag) {
			if f.Changed != (f.Name == flag.Name) {
				t.Errorf("%s sets --%s: %v", name, f.Name, f.Changed)
			}
		})
		got := one.Lookup(flag.Name).Value.String()
		if flag.Name == "with" {
			got = fmt.Sprint(o.publish.with[0]) // it prints nothing
		}
		want := sample
		if kind == "stringArray" {
			want = `["a,b",c]`
		}
		if got != want {
			t.Errorf("%s=%q makes --%s %s, not %s", name, sample, flag.Name, got, want)
		}
	})
	if unknown := unknownVariables(environ, flags); len(environ) < 30 || unknown != nil {
		t.Errorf("of %d variables, these are unknown: %v", len(environ), unknown)
	}
}

func TestValuesOfVariables(t *testing.T) {
	for _, c := range []struct {
		what, environment string
		flag, want        string // its value
	}{
		{"a value a line, which can have commas", "GROUPS_EXPORTER_ALLOW_GROUP=\na,b\r\n\nc d\n", "allow-group", `["a,b",c d]`},
		{"nothing but lines", "GROUPS_EXPORTER_ALLOW_GROUP=\n\n", "allow-group", "[]"},
		{"the end of a file", "GROUPS_EXPORTER_REFRESH_INTERVAL=5m\n", "refresh-interval", "5m"},
		{"nothing", "GROUPS_EXPORTER_NONE_NAME=", "none-name", "none"},
		{"a line alone", "GROUPS_EXPORTER_NONE_NAME=\n", "none-name", "none"},
		{"spaces", "GROUPS_EXPORTER_NONE_NAME= x ", "none-name", " x "},
	} {
		flags, _ := serveFlags()
		name, value, _ := strings.Cut(c.environment, "=")
		if err := setFlags(flags, flags, func(asked string) string { return map[string]string{name: value}[asked] }); err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
		if got := flags.Lookup(c.flag).Value.String(); got != c.want {
			t.Errorf("%s: --%s is %q, not %q", c.what, c.flag, got, c.want)
		}
	}
}

func TestBadVariables(t *testing.T) {
	for _, c := range []struct{ command, environment, want string }{
		{"serve", "GROUPS_EXPORTER_REFRESH_INTERVAL=x", `GROUPS_EXPORTER_REFRESH_INTERVAL="x": it must be a duration like "90s", "5m" or "1h"`},
		{"dump", "GROUPS_EXPORTER_MAX_SERIES=many", `GROUPS_EXPORTER_MAX_SERIES="many": it must be a whole number`},
		{"groups", "GROUPS_EXPORTER_REQUIRE_WHOLE_HUB=yes", `GROUPS_EXPORTER_REQUIRE_WHOLE_HUB="yes": it must be true or false`},
		{"check", "GROUPS_EXPORTER_WITH=share, activity", `GROUPS_EXPORTER_WITH="share, activity": it must be one of: user-info, share, activity`},
		{"serve", "GROUPS_EXPORTER_AUTH=a\x1bb", `GROUPS_EXPORTER_AUTH="a\x1bb": it must be one of: none, hub`},
		{"serve", "GROUPS_EXPORTER_LOG_LEVEL=loud", `GROUPS_EXPORTER_LOG_LEVEL="loud": it must be one of: debug, info, warn, error`},
	} {
		name, value, _ := strings.Cut(c.environment, "=")
		var errOut bytes.Buffer
		code := run(t.Context(), []string{c.command}, func(asked string) string { return map[string]string{name: value}[asked] }, []string{c.environment}, nil, io.Discard, &errOut)
		want := "groups-exporter: " + c.want + "\ngroups-exporter: hint: 'groups-exporter " + c.command + " --help' shows the flags\n"
		if code != exitUsage || errOut.String() != want {
			t.Errorf("exit code %d, %s", code, cmp.Diff(want, errOut.String()))
		}
	}
}

// What Kubernetes sets for Services is no mistake, whatever the flags are called.
func TestUnknownVariables(t *testing.T) {
	environ := []string{
		// A Service named groups-exporter.
		"GROUPS_EXPORTER_SERVICE_HOST=10.0.0.1", "GROUPS_EXPORTER_SERVICE_PORT=8100", "GROUPS_EXPORTER_SERVICE_PORT_HTTP=8100",
		"GROUPS_EXPORTER_PORT=tcp://10.0.0.1:8100", "GROUPS_EXPORTER_PORT_8100_TCP=tcp://10.0.0.1:8100", "GROUPS_EXPORTER_PORT_8100_TCP_PROTO=tcp",
		"GROUPS_EXPORTER_PORT_8100_TCP_PORT=8100", "GROUPS_EXPORTER_PORT_8100_TCP_ADDR=10.0.0.1",
		// One named groups-exporter-canary.
		"GROUPS_EXPORTER_CANARY_SERVICE_HOST=10.0.0.1", "GROUPS_EXPORTER_CANARY_SERVICE_PORT=8100", "GROUPS_EXPORTER_CANARY_SERVICE_PORT_HTTP=8100",
		"GROUPS_EXPORTER_CANARY_PORT=tcp://10.0.0.1:8100", "GROUPS_EXPORTER_CANARY_PORT_8100_TCP_ADDR=10.0.0.1",
		"GROUPS_EXPORTER_ACTIVE_HELP=0", "GROUPS_EXPORTER_COMPLETION_DESCRIPTIONS=0",
		"GROUPS_EXPORTER_NAMESPACE=known", "GROUPS_EXPORTER_EMPTY=", "GROUPS_EXPORTERS=x", "OTHER=x", "GROUPS_EXPORTER",
	}
	want := []string{"GROUPS_EXPORTER_DOUBLE_COUNT", "GROUPS_EXPORTER_HELP", "GROUPS_EXPORTER_HUB_TOKEN", "GROUPS_EXPORTER_OUTPUT", "GROUPS_EXPORTER_REFRSH_INTERVAL"}
	for _, name := range want {
		environ = append(environ, name+"=x")
	}
	slices.Reverse(environ)
	flags, _ := serveFlags()
	if diff := cmp.Diff(want, unknownVariables(environ, flags)); diff != "" {
		t.Error(diff)
	}
}
