package main

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/groups-exporter/groups-exporter/internal/exposition"
	"github.com/groups-exporter/groups-exporter/internal/remote"
	"github.com/groups-exporter/groups-exporter/internal/scopes"
)

// say writes a message and, unless it is empty, a hint. Each is one line, whatever text from outside it contains.
func say(w io.Writer, message, hint string) {
	fmt.Fprintf(w, "groups-exporter: %s\n", oneLine(message))
	if hint != "" {
		fmt.Fprintf(w, "groups-exporter: hint: %s\n", oneLine(hint))
	}
}

// usageHint returns the command or flag that was probably meant, or else where the help is.
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
	if i := slices.IndexFunc(args, func(arg string) bool { return !strings.HasPrefix(arg, "-") }); command == root && i >= 0 {
		root.SuggestionsMinimumDistance = 2
		if alike := root.SuggestionsFor(args[i]); len(alike) > 0 && alike[0] != args[i] {
			return "did you mean '" + root.Name() + " " + alike[0] + "'?"
		}
	}
	return "'" + command.CommandPath() + " --help' shows the flags"
}

// flagHint returns what to do about a flag that doesn't exist, or "".
func flagHint(command *cobra.Command, unknown *pflag.NotExistError) string {
	if alike := alikeFlags(command.Flags(), unknown.GetSpecifiedName()); len(alike) > 0 {
		return "did you mean " + strings.Join(alike, " or ") + "?"
	}
	if command.Name() == "escape" || command.Name() == "lookup" {
		return "put a name that begins with - after --, as in '" + command.CommandPath() + " -- -name'"
	}
	return ""
}

// alikeFlags returns the flags that contain a name or are spelled almost like it, unless there are many.
func alikeFlags(flags *pflag.FlagSet, name string) []string {
	const most = 3
	if len(name) < 2 {
		return nil // too short to compare
	}
	var alike []string
	root := &cobra.Command{SuggestionsMinimumDistance: 2} // its commands are the flags, because cobra compares commands only
	flags.VisitAll(func(flag *pflag.Flag) {
		if flag.Hidden {
			return
		}
		root.AddCommand(&cobra.Command{Use: "--" + flag.Name, Run: func(*cobra.Command, []string) {}})
		if strings.Contains(flag.Name, name) {
			alike = append(alike, "--"+flag.Name)
		}
	})
	alike = append(alike, root.SuggestionsFor("--"+name)...)
	slices.Sort(alike)
	if alike = slices.Compact(alike); len(alike) > most {
		return nil
	}
	return alike
}

// hint returns what to do about an error, or "".
func hint(err error) string {
	if failed, ok := errors.AsType[*remote.Error](err); ok {
		return failureHint(failed)
	}
	if text := cmp.Or(reportHint(err), homesHint(err)); text != "" {
		return text
	}
	if errors.As(err, new(exposition.TooManySeries)) {
		return "raise --max-series, or publish fewer series with --allow-group, --deny-group or --usernames omit"
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return "another program uses this address: stop it, or set another --web.listen-address"
	}
	return ""
}

// failureHint returns what to do about an error of a request to the hub or to Prometheus.
func failureHint(err *remote.Error) string {
	urlFlag, more := "--hub-url", hubHint
	authorityHint := "set --hub-ca-file to the certificate of the authority that signed the hub's certificate"
	hostHint := "use a host name in --hub-url that is in the hub's certificate"
	if err.Server == "Prometheus" {
		urlFlag, more = "--prometheus-url", prometheusHint
		authorityHint = "set ca_file in tls_config of --prometheus.config.file to the authority that signed Prometheus' certificate"
		hostHint = "use a host name in --prometheus-url that is in Prometheus' certificate, or set server_name in tls_config of --prometheus.config.file"
	}
	if wrong, ok := errors.AsType[*remote.WrongScheme](err); ok {
		_, host, _ := strings.Cut(err.URL, "://")
		host, _, _ = strings.Cut(host, "/")
		return "try " + wrong.Speaks + "://" + host + " (" + urlFlag + ")"
	}
	switch {
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return authorityHint
	case errors.As(err, new(x509.HostnameError)):
		return hostHint
	case err.Reason == remote.Connect && strings.HasPrefix(err.Problem, "unable to "): // the Prometheus client's words for a file
		return "that file is named in --prometheus.config.file"
	case err.Proxy != "" && (err.Reason == remote.Connect || err.Reason == remote.Timeout || err.Intermediary):
		return proxyHint(err.Proxy)
	default:
		return more(err)
	}
}

func hubHint(err *remote.Error) string {
	isRedirect, isNotFound := err.Status/100 == 3, err.Status == http.StatusNotFound
	switch {
	case err.Reason == remote.Connect && strings.HasPrefix(err.URL, remote.HTTPUnix+":") && errors.Is(err, fs.ErrPermission):
		return "only the user that the hub runs as may connect to its socket, unless c.JupyterHub.hub_socket_mode allows others"
	case err.Reason == remote.Connect && strings.HasPrefix(err.URL, remote.HTTPUnix+":"):
		return "is the hub running, and is --hub-url right? c.JupyterHub.hub_bind_url has the path of its socket"
	case err.Reason == remote.Scope && strings.HasSuffix(err.URL, "/groups"):
		return "give the token's role the scopes " + some(scopes.GroupProperties().Scopes) + " without a filter (c.JupyterHub.load_roles), or remove the properties from the group map"
	case err.Reason == remote.Scope:
		return "give the token's role the scopes " + some(scopes.Memberships().Scopes) + " without a filter (c.JupyterHub.load_roles)"
	case err.Reason == remote.BadToken:
		return "check that the token belongs to a service or user of this hub and hasn't expired (--hub-token-file, JUPYTERHUB_API_TOKEN)"
	case err.Reason == remote.Timeout:
		return "a hub that has just started is slow; --hub-timeout gives it more time"
	case err.Reason == remote.Connect, err.Reason == remote.Format, isRedirect, isNotFound:
		return "is --hub-url right? It is the address of the hub or of its API, like http://127.0.0.1:8081"
	case err.Intermediary && refuses(err.Status):
		return "a proxy, an ingress or a service mesh in front of the hub refuses the request, whatever the token is: configure it to let the exporter through"
	case err.Intermediary:
		return "a proxy, an ingress or a service mesh in front of the hub answered: read its log, and that of the hub"
	default:
		return "read the log of the hub"
	}
}

// refuses reports whether a status means that the client isn't allowed to make the request.
func refuses(status int) bool {
	return slices.Contains([]int{http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired}, status)
}

func prometheusHint(err *remote.Error) string {
	switch {
	case err.Status == http.StatusUnauthorized, err.Status == http.StatusForbidden:
		return "set the credentials in --prometheus.config.file (basic_auth, authorization)"
	case err.Reason == remote.Timeout:
		return "raise --prometheus-timeout, or let Prometheus record usage ('groups-exporter rules')"
	case err.Reason == remote.Connect, err.Reason == remote.Format, err.Reason == remote.Status:
		return "is --prometheus-url right? It is the address without /api/v1, like http://127.0.0.1:9090"
	default:
		return ""
	}
}
