package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/groups-exporter/groups-exporter/internal/exposition"
	"github.com/groups-exporter/groups-exporter/internal/remote"
	"github.com/groups-exporter/groups-exporter/internal/scopes"
)

// say writes a message, and a hint where there is one, in the form that every
// error of the program has: a line each, whatever a name or an answer in it holds.
func say(w io.Writer, message, hint string) {
	fmt.Fprintf(w, "groups-exporter: %s\n", oneLine(message))
	if hint != "" {
		fmt.Fprintf(w, "groups-exporter: hint: %s\n", oneLine(hint))
	}
}

// usageHint names the command or flag that was probably meant, or the help to read.
func usageHint(root, command *cobra.Command, args []string, err error) string {
	if command == nil {
		command = root
	}
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		if hint := flagHint(command, unknown); hint != "" {
			return hint
		}
	}
	if command.Name() == "help" {
		command, args = root, args[1:]
	}
	if command == root {
		for _, arg := range args {
			if strings.HasPrefix(arg, "-") {
				continue
			}
			root.SuggestionsMinimumDistance = 2
			if alike := root.SuggestionsFor(arg); len(alike) > 0 && alike[0] != arg {
				return "did you mean '" + root.Name() + " " + alike[0] + "'?"
			}
			break
		}
	}
	return "'" + command.CommandPath() + " --help' shows the flags"
}

// flagHint returns what to do about a flag that doesn't exist, or "".
func flagHint(command *cobra.Command, unknown *pflag.NotExistError) string {
	if alike := alikeFlags(command.Flags(), unknown.GetSpecifiedName()); len(alike) > 0 {
		return "did you mean " + strings.Join(alike, " or ") + "?"
	}
	if command.Name() == "escape" {
		return "put a name that begins with - after --, as in '" + command.CommandPath() + " -- -name'"
	}
	return ""
}

// alikeFlags returns the flags that a name was probably meant to be: those of almost the same spelling, or
// those that contain it, unless there are many.
func alikeFlags(flags *pflag.FlagSet, name string) []string {
	const most = 3
	if len(name) < 2 {
		return nil // a short flag
	}
	var contain []string
	root := &cobra.Command{SuggestionsMinimumDistance: 2} // compares names of commands, and so of flags
	flags.VisitAll(func(flag *pflag.Flag) {
		if flag.Hidden {
			return
		}
		root.AddCommand(&cobra.Command{Use: flag.Name, Run: func(*cobra.Command, []string) {}})
		if strings.Contains(flag.Name, name) {
			contain = append(contain, flag.Name)
		}
	})
	alike := slices.DeleteFunc(root.SuggestionsFor(name), func(found string) bool {
		return slices.Contains(contain, found) // because it begins with the name
	})
	if len(alike) == 0 || len(alike) > most {
		alike = contain
	}
	if len(alike) > most {
		return nil
	}
	slices.Sort(alike)
	for i, found := range alike {
		alike[i] = "--" + found
	}
	return alike
}

// hint says what to do about an error, where we know.
func hint(err error) string {
	if errors.As(err, new(*tokenFileError)) {
		return "--hub-token-file takes the path of a file that holds the token, not the token itself"
	}
	if failed, ok := errors.AsType[*remote.Error](err); ok {
		return failureHint(failed)
	}
	if errors.As(err, new(*ownerError)) {
		return "run this as root or as the file's owner, or remove the file: a new one can be read by everybody"
	}
	if errors.As(err, new(encodingError)) {
		return "is the input in another encoding? 'iconv -f LATIN1 -t UTF-8' converts it, if it is Latin-1"
	}
	if errors.As(err, new(exposition.TooManySeries)) {
		return "--max-series allows more; --allow-group, --deny-group and --usernames omit make fewer"
	}
	if listenErr, ok := errors.AsType[*listenError](err); ok {
		return listenHint(listenErr)
	}
	return ""
}

// failureHint returns what to do about an error of a request to the hub or to Prometheus.
func failureHint(err *remote.Error) string {
	urlFlag, authorityHint, more := "--hub-url", "--hub-ca-file names the authority that signed the hub's certificate", hubHint
	if err.Server == "Prometheus" {
		urlFlag, authorityHint, more = "--prometheus-url", "tls_config in --prometheus.config.file names the authority that signed its certificate (ca_file)", prometheusHint
	}
	if wrong, ok := errors.AsType[*remote.WrongScheme](err); ok {
		_, host, _ := strings.Cut(err.URL, "://")
		host, _, _ = strings.Cut(host, "/")
		return "try " + wrong.Speaks + "://" + host + " (" + urlFlag + ")"
	}
	switch {
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return authorityHint
	case err.Reason == remote.Connect && strings.HasPrefix(err.Problem, "unable to "): // the Prometheus client's words for a file
		return "--prometheus.config.file names that file"
	case err.Proxy != "" && (err.Reason == remote.Connect || err.Reason == remote.Timeout || err.Intermediary):
		return proxyHint(err.Proxy)
	default:
		return more(err)
	}
}

func hubHint(err *remote.Error) string {
	isRedirect, isNotFound := err.Status/100 == 3, err.Status == http.StatusNotFound
	switch {
	case err.Reason == remote.Connect && strings.HasPrefix(err.URL, remote.HTTPUnix+":"):
		return socketHint(err)
	case err.Reason == remote.Scope:
		return "give the token's role the scopes " + some(scopes.Memberships().Scopes) + " without a filter (c.JupyterHub.load_roles)"
	case err.Reason == remote.BadToken:
		return "is it the token of a service or user of this hub, and not expired? (--hub-token-file, JUPYTERHUB_API_TOKEN)"
	case err.Reason == remote.Timeout:
		return "a hub that was just started is slow; --hub-timeout gives it more time"
	case err.Reason == remote.Connect, err.Reason == remote.Format, isRedirect, isNotFound:
		return "is --hub-url right? It is the address of the hub, like http://127.0.0.1:8081, or of its API"
	case err.Intermediary && refuses(err.Status):
		return "a proxy, an ingress or a service mesh in front of the hub refuses the request, whatever the token is: allow the exporter there"
	case err.Intermediary:
		return "a proxy, an ingress or a service mesh is in front of the hub: its log says more, and so may the hub's own"
	default:
		return "the hub's own log says more"
	}
}

// socketHint is for a hub on a Unix socket that can't be reached.
func socketHint(err error) string {
	if errors.Is(err, fs.ErrPermission) {
		return "only the user that the hub runs as may connect to its socket, unless c.JupyterHub.hub_socket_mode lets others"
	}
	return "is the hub running, and is --hub-url right? c.JupyterHub.hub_bind_url has the path of its socket"
}

// refuses reports whether a status says that the client may not do what it asks for.
func refuses(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		return true
	default:
		return false
	}
}

func prometheusHint(err *remote.Error) string {
	switch {
	case err.Status == http.StatusUnauthorized, err.Status == http.StatusForbidden:
		return "--prometheus.config.file has the credentials (basic_auth, authorization)"
	case err.Reason == remote.Timeout:
		return "--prometheus-timeout gives it more time; recording rules ('groups-exporter rules') spare it the query"
	case err.Reason == remote.Connect, err.Reason == remote.Format, err.Reason == remote.Status:
		return "is --prometheus-url right? It is the address under which there is /api/v1, like http://127.0.0.1:9090"
	default:
		return ""
	}
}
