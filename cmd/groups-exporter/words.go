package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/groups-exporter/groups-exporter/internal/hub"
)

// say writes a message, and a hint where there is one, in the form that every
// error of the program has: a line each, whatever a name or an answer in it holds.
func say(w io.Writer, message, hint string) {
	fmt.Fprintf(w, "groups-exporter: %s\n", oneLine(message))
	if hint != "" {
		fmt.Fprintf(w, "groups-exporter: hint: %s\n", oneLine(hint))
	}
}

func oneLine(text string) string {
	var line strings.Builder
	for _, r := range text {
		if unicode.IsControl(r) {
			line.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		} else {
			line.WriteRune(r)
		}
	}
	return line.String()
}

// usageHint names the command that was probably meant, or the help to read.
func usageHint(root, command *cobra.Command, args []string) string {
	if command == nil {
		command = root
	}
	if command == root {
		for _, arg := range args {
			if strings.HasPrefix(arg, "-") {
				continue
			}
			root.SuggestionsMinimumDistance = 2
			if alike := root.SuggestionsFor(arg); len(alike) > 0 {
				return "did you mean '" + root.Name() + " " + alike[0] + "'?"
			}
			break
		}
	}
	return "'" + command.CommandPath() + " --help' shows the flags"
}

// hint says what to do about an error, where we know.
func hint(err error) string {
	var hubErr *hub.Error
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "something else listens there already; --web.listen-address chooses another"
	case !errors.As(err, &hubErr):
		return ""
	}
	_, untrusted := errors.AsType[x509.UnknownAuthorityError](err)
	switch {
	case untrusted:
		return "--hub-ca-file names the authority that signed the hub's certificate"
	case hubErr.Reason == hub.Scope:
		return "give the token's role the scopes list:users and read:users:groups (c.JupyterHub.load_roles)"
	case hubErr.Reason == hub.BadToken:
		return "is it the token of a service or user of this hub, and not expired? (--hub-token-file, JUPYTERHUB_API_TOKEN)"
	case hubErr.Reason == hub.Timeout:
		return "a hub that was just started is slow; --hub-timeout gives it more time"
	case hubErr.Reason == hub.Connect, hubErr.Reason == hub.Format, hubErr.Location != "", hubErr.Status == http.StatusNotFound:
		return "is --hub-url right? It is the address of the hub, like http://127.0.0.1:8081, or of its API"
	default:
		return "the hub's own log says more"
	}
}
