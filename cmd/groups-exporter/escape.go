package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/groups-exporter/groups-exporter/internal/remote"
	"github.com/groups-exporter/groups-exporter/internal/slug"
)

// scheme is one of kubespawner's forms of a name.
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
	cmd.Flags().VarP(choice[output]{&o.output, escapeOutputs()}, "output", "o", "format of the output")
	completeWords(cmd, "output", words(escapeOutputs()))
	cmd.Flags().BoolVarP(&o.null, "null", "0", false, "names on standard input end with NUL")
	cmd.Flags().StringVar(&o.server, "server-name", "", "`name` of a named server")
}

func escapeOutputs() []output {
	return []output{outputTable, outputWide, outputCSV, outputTSV, outputJSON}
}

func (o *escapeOptions) complete() error {
	if o.scheme != "" && (o.output != outputTable || o.server != "") {
		return usagef("--scheme prints one form alone: it goes without --output and --server-name")
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
			return interruptible(cmd.Context(), func() error {
				return runEscape(cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr(), args, o)
			})
		},
	}
	o.addFlags(cmd)
	return cmd
}

func runEscape(in io.Reader, out, errOut io.Writer, args []string, o escapeOptions) error {
	names := nameReader{args: args, unit: "argument", errOut: errOut}
	if len(args) == 0 {
		if isTerminal(in) {
			say(errOut, "reading names, one a line; Ctrl-D ends", "")
		}
		names.in = bufio.NewReader(in)
		names.end, names.unit = '\n', "line"
		if o.null {
			names.end, names.unit = 0, "name"
		}
	}
	var err error
	if o.scheme != "" {
		err = writeScheme(out, &names, o.scheme)
	} else {
		err = writeForms(out, &names, o)
	}
	if err == nil && names.invalid > 0 {
		err = encodingError(names.invalid)
	}
	return err
}

// encodingError is the number of names that were not converted because they are not UTF-8.
type encodingError int

func (e encodingError) Error() string {
	if e == 1 {
		return "1 name was not converted"
	}
	return fmt.Sprintf("%d names were not converted", int(e))
}

// nameReader returns one name after another, and io.EOF after the last.
type nameReader struct {
	args []string
	in   *bufio.Reader // nil where the arguments are all
	end  byte
	last bool // the end of input was seen: on a terminal, reading on would ask again

	unit          string    // "argument", "line" or "name"
	errOut        io.Writer // for reports of invalid names
	read, invalid int       // numbers of names
}

// isName reports whether the text that was just read can be a user's name, which on a hub is
// UTF-8 and not empty. If it can't, isName says so on standard error.
func (r *nameReader) isName(name string) bool {
	r.read++
	switch {
	case name == "":
		say(r.errOut, fmt.Sprintf("%s %d is empty", r.unit, r.read), "")
		return false
	case !utf8.ValidString(name):
		r.invalid++
		say(r.errOut, fmt.Sprintf("%s %d is not UTF-8: %q", r.unit, r.read, remote.Short(name)), "")
		return false
	}
	return true
}

func (r *nameReader) next() (string, error) {
	if r.in == nil {
		if len(r.args) == 0 {
			return "", io.EOF
		}
		name := r.args[0]
		r.args = r.args[1:]
		return name, nil
	}
	if r.last {
		return "", io.EOF
	}
	name, err := r.in.ReadString(r.end)
	r.last = errors.Is(err, io.EOF)
	if err != nil && (name == "" || !errors.Is(err, io.EOF)) {
		return "", err
	}
	if r.read == 0 && r.end == '\n' {
		// Windows programs begin a text file with a byte order mark, which alone is not a line.
		name = strings.TrimPrefix(name, "\ufeff")
		if name == "" {
			return "", io.EOF
		}
	}
	if line, ok := strings.CutSuffix(name, string(rune(r.end))); ok {
		name = line
		if r.end == '\n' {
			name = strings.TrimSuffix(name, "\r")
		}
	}
	return name, nil
}

// writeScheme writes one form per line. It flushes whenever there is no more input yet, so
// that a program can send a name and wait for the form. For invalid names it writes an empty
// line, so that the lines of the output match those of the input.
func writeScheme(out io.Writer, names *nameReader, as scheme) error {
	convert := map[scheme]func(string) string{schemeEscape: slug.Escape, schemeSafe: slug.Safe, schemeLabel: slug.Label}[as]
	w := bufio.NewWriter(out)
	for {
		name, err := names.next()
		if errors.Is(err, io.EOF) {
			return w.Flush()
		}
		if err != nil {
			return errors.Join(w.Flush(), err)
		}
		form := ""
		if names.isName(name) {
			form = convert(name)
		}
		if _, err := w.WriteString(form + "\n"); err != nil {
			return err
		}
		if names.in != nil && names.in.Buffered() == 0 {
			if err := w.Flush(); err != nil {
				return err
			}
		}
	}
}

// formsCells are the forms in the order of their columns.
func formsCells(f slug.Forms) []string {
	return []string{
		f.Username, f.Servername, f.Escape, f.Safe, f.Label,
		f.SafeUserServer, f.EscapeUserServer, f.SafePodName, f.EscapePodName,
	}
}

// writeForms writes all forms of all names.
func writeForms(out io.Writer, names *nameReader, o escapeOptions) error {
	rows := []slug.Forms{}
	for {
		name, err := names.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if names.isName(name) {
			rows = append(rows, slug.FormsOf(name, o.server))
		}
	}
	cells := make([][]string, len(rows))
	for i, row := range rows {
		cells[i] = formsCells(row)
	}
	columns := []string{
		"username", "servername", "escape", "safe", "label",
		"safe_user_server", "escape_user_server", "safe_pod_name", "escape_pod_name",
	}
	switch o.output {
	case outputJSON:
		return writeJSON(out, rows)
	case outputCSV:
		return writeCSV(out, ',', columns, cells)
	case outputTSV:
		return writeCSV(out, '\t', columns, cells)
	}
	header := []string{"NAME", "ESCAPE", "SAFE", "LABEL"}
	if o.output == outputWide {
		header = append(header, "USER_SERVER (SAFE)", "USER_SERVER (ESCAPE)", "POD (SAFE)", "POD (ESCAPE)")
	}
	table := make([][]string, len(rows))
	for i, row := range rows {
		table[i] = []string{printable(row.Username), printable(row.Escape), printable(row.Safe), printable(row.Label)}
		if o.output == outputWide {
			table[i] = append(table[i], row.SafeUserServer, row.EscapeUserServer, row.SafePodName, row.EscapePodName)
		}
	}
	width := terminalWidth(out)
	if width > 0 && tableWidth(header, table) > width {
		return writeBlocks(out, header, table)
	}
	return writeTable(out, width > 0, nil, header, table)
}
