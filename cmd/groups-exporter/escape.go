package main

import (
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/groups-exporter/groups-exporter/internal/slug"
)

// scheme is a form of names in kubespawner.
type scheme string

const (
	schemeEscape scheme = "escape"
	schemeSafe   scheme = "safe"
	schemeLabel  scheme = "label"
)

type escapeOptions struct {
	scheme scheme
	output output
	null   bool
	server string
}

func (o *escapeOptions) addFlags(cmd *cobra.Command) {
	o.output = outputTable
	addChoice(cmd, &o.scheme, "scheme", "print only this form, one per line", schemeEscape, schemeSafe, schemeLabel)
	addOutput(cmd, &o.output, outputTable, outputWide, outputCSV, outputTSV, outputJSON)
	cmd.Flags().BoolVarP(&o.null, "null", "0", false, "names on standard input end with NUL")
	cmd.Flags().StringVar(&o.server, "server-name", "", "`name` of a named server")
}

func (o *escapeOptions) complete() error {
	if o.scheme != "" && (o.output != outputTable || o.server != "") {
		return usagef("--scheme prints only names: remove --output and --server-name")
	}
	if !utf8.ValidString(o.server) {
		return usagef("--server-name is not UTF-8: %q", o.server)
	}
	if o.server != "" && o.output == outputTable {
		o.output = outputWide // a table without pods would not show the server
	}
	return nil
}

func newEscapeCommand() *cobra.Command {
	var o escapeOptions
	cmd := &cobra.Command{
		Use:   "escape [NAME...]",
		Short: "Convert user names as kubespawner does",
		Long: `Convert user names to the forms that kubespawner uses. Names come from the
arguments, or from standard input, one per line. The hub isn't queried.

  escape  {username} in kubespawner 6, and later with slug_scheme "escape"
  safe    {username} in kubespawner 7
  label   the pod label hub.jupyter.org/username in kubespawner 7

--output wide also shows {user_server} and the names of pods. A name that isn't
UTF-8 is reported and not converted, and the exit code is 1.

` + exitCodes,
		Example: `  groups-exporter escape ada@university.example
  groups-exporter escape --server-name gpu ada
  groups-exporter escape --output json ada | jq -r '.[].safe_pod_name'
  cut -d, -f1 users.csv | groups-exporter escape --scheme escape
  groups-exporter escape -- --a-name-that-looks-like-a-flag`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.complete(); err != nil {
				return err
			}
			return runEscape(cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr(), args, o)
		},
	}
	o.addFlags(cmd)
	return cmd
}

func runEscape(in io.Reader, out, errOut io.Writer, args []string, o escapeOptions) error {
	rows := []slug.Forms{}
	handle := func(name string) error {
		if name != "" {
			rows = append(rows, slug.FormsOf(name, o.server))
		}
		return nil
	}
	if o.scheme != "" {
		convert := map[scheme]func(string) string{schemeEscape: slug.Escape, schemeSafe: slug.Safe, schemeLabel: slug.Label}[o.scheme]
		// Without a buffer, so that a program can write a name and wait for its form.
		handle = func(name string) error {
			if name != "" {
				name = convert(name)
			}
			_, err := fmt.Fprintln(out, name)
			return err
		}
	}
	invalid, err := eachName(in, errOut, args, o.null, handle)
	if err == nil && o.scheme == "" {
		err = writeForms(out, o.output, rows)
	}
	if err == nil && invalid > 0 {
		err = fmt.Errorf("names that were not converted: %d. If the input is Latin-1, convert it with 'iconv -f LATIN1 -t UTF-8'", invalid)
	}
	return err
}

// writeForms writes all forms of names.
func writeForms(out io.Writer, as output, names []slug.Forms) error {
	var table, cells [][]string
	for _, f := range names {
		row := []string{printable(f.Username), printable(f.Escape), printable(f.Safe), printable(f.Label)}
		if as == outputWide {
			row = append(row, f.SafeUserServer, f.EscapeUserServer, f.SafePodName, f.EscapePodName)
		}
		table = append(table, row)
		cells = append(cells, []string{f.Username, f.Servername, f.Escape, f.Safe, f.Label, f.SafeUserServer, f.EscapeUserServer, f.SafePodName, f.EscapePodName})
	}
	if !as.isForPeople() {
		columns := []string{"username", "servername", "escape", "safe", "label", "safe_user_server", "escape_user_server", "safe_pod_name", "escape_pod_name"}
		return writeData(out, as, names, columns, cells)
	}
	header := []string{"NAME", "ESCAPE", "SAFE", "LABEL"}
	if as == outputWide {
		header = append(header, "USER_SERVER (SAFE)", "USER_SERVER (ESCAPE)", "POD (SAFE)", "POD (ESCAPE)")
	}
	width := terminalWidth(out)
	if width > 0 && tableWidth(header, table) > width {
		return writeBlocks(out, header, table)
	}
	return writeTable(out, width > 0, nil, header, table)
}
