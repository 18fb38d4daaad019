package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/groups-exporter/groups-exporter/internal/fakehub"
	"github.com/groups-exporter/groups-exporter/internal/hub"
	"github.com/groups-exporter/groups-exporter/internal/membership"
)

// podNamespaceFile is where Kubernetes tells a pod its own namespace.
const podNamespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// hubOptions are the flags of whatever asks a hub: which one, as whom, and the
// rules for what it says.
type hubOptions struct {
	demo      bool
	address   string
	tokenFile string
	caFile    string
	certFile  string
	keyFile   string
	timeout   time.Duration
	namespace string
	rules     membership.Rules
	whole     bool // an error if the token's scopes cover a part of the hub only

	// What complete makes of them.
	sample *fakehub.Demo // the hub of --demo, otherwise nil
	api    *url.URL
	token  hub.Token // of the environment, or of the command line
	tls    *hubTLS   // nil trusts the system's authorities, and shows no certificate

	secrets *secrets // gets each token that is read
}

func (o *hubOptions) addFlags(cmd *cobra.Command) {
	o.timeout = 30 * time.Second
	o.rules.MultiGroup = membership.Each
	o.rules.NoneName, o.rules.MultipleName = membership.DefaultNoneName, membership.DefaultMultipleName
	flags := cmd.Flags()
	flags.BoolVar(&o.demo, "demo", false, "use a built-in sample hub")
	setHeading(cmd, mainHeading)
	flags.StringVar(&o.address, "hub-url", "", "`URL` of the hub or its API [$JUPYTERHUB_API_URL]")
	flags.StringVar(&o.tokenFile, "hub-token-file", "", "`file` with the token [$JUPYTERHUB_API_TOKEN]")
	flags.StringVar(&o.caFile, "hub-ca-file", "", "PEM `file` with the authorities to trust")
	flags.StringVar(&o.certFile, "hub-cert-file", "", "PEM `file` with the client certificate")
	flags.StringVar(&o.keyFile, "hub-key-file", "", "PEM `file` with its key")
	flags.Var(duration{&o.timeout}, "hub-timeout", "limit for one request")
	flags.BoolVar(&o.whole, "require-whole-hub", false, "fail if the token sees only part of the hub")
	flags.StringVar(&o.namespace, "namespace", "", "value of the label `namespace` [$NAMESPACE]")
	setHeading(cmd, "Hub")
	addChoice(cmd, &o.rules.MultiGroup, "multi-group", "series of a user in several groups", membership.Each, membership.Multiple, membership.Both)
	flags.StringArrayVar(&o.rules.Allow, "allow-group", nil, "export only these groups (`glob`, repeatable)")
	flags.StringArrayVar(&o.rules.Deny, "deny-group", nil, "never export these groups (`glob`, repeatable)")
	flags.StringVar(&o.rules.NoneName, "none-name", o.rules.NoneName, "group `name` for users in no group")
	flags.StringVar(&o.rules.MultipleName, "multiple-name", o.rules.MultipleName, "group `name` for users in several groups")
	setHeading(cmd, "Groups")
}

// complete fills in from the environment what the flags leave open, and reads
// the files that they name.
func (o *hubOptions) complete(getenv func(string) string) error {
	if o.demo {
		o.namespace = cmp.Or(o.namespace, "demo")
		return cmp.Or(o.completeDemo(), o.checkRules())
	}
	if err := o.completeAddress(getenv); err != nil {
		return err
	}
	o.namespace = cmp.Or(o.knownNamespace(getenv), "default")
	if err := o.checkRules(); err != nil {
		return err
	}
	if err := o.completeToken(getenv); err != nil {
		return err
	}
	return o.completeTLS(getenv)
}

// knownNamespace returns the namespace that a flag, the environment or Kubernetes names,
// or "".
func (o *hubOptions) knownNamespace(getenv func(string) string) string {
	pod, _ := os.ReadFile(podNamespaceFile)
	return cmp.Or(o.namespace, getenv("NAMESPACE"), strings.TrimSpace(string(pod)))
}

// isKnown reports whether a flag or the environment names a hub.
func (o *hubOptions) isKnown(getenv func(string) string) bool {
	return o.demo || cmp.Or(o.address, getenv("JUPYTERHUB_API_URL"), getenv("HUB_SERVICE_HOST")) != ""
}

// checkRules says what can't be published.
func (o *hubOptions) checkRules() error {
	for _, label := range []string{o.namespace, o.rules.NoneName, o.rules.MultipleName} {
		if !utf8.ValidString(label) {
			return usagef("a label can't be %q, which is not UTF-8", label)
		}
	}
	if err := checkPatterns(slices.Concat(o.rules.Allow, o.rules.Deny)); err != nil {
		return err
	}
	if o.rules.NoneName == "" || o.rules.MultipleName == "" {
		return usagef("--none-name and --multiple-name need a name")
	}
	if err := o.rules.Validate(); err != nil {
		return &usageError{err}
	}
	return o.checkDenied()
}

// checkDenied returns an error if a pseudo-group is denied. Patterns only choose among the
// hub's groups, and users in none of the remaining groups are still published.
func (o *hubOptions) checkDenied() error {
	for _, name := range o.rules.PseudoNames() {
		if !slices.Contains(o.rules.Deny, name) {
			continue
		}
		who, flag, way := "no group", "--none-name", "to drop their series, use metric_relabel_configs in Prometheus"
		if name == o.rules.MultipleName {
			who, flag, way = "several groups", "--multiple-name", "--multi-group each publishes them in their groups alone"
		}
		return usagef("--deny-group %s has no effect on users in %s: %s; to deny a group of the hub named %[1]s, rename ours with %[4]s", quote(name), who, way, flag)
	}
	return nil
}

// checkPatterns returns an error for a pattern that can match nothing, such as a ü in another
// encoding.
func checkPatterns(patterns []string) error {
	for _, pattern := range patterns {
		if !utf8.ValidString(pattern) {
			return usagef("a pattern for names can't be %q, which is not UTF-8", pattern)
		}
	}
	return nil
}

func (o *hubOptions) completeAddress(getenv func(string) string) error {
	from := "--hub-url"
	address := strings.TrimSpace(o.address)
	if address == "" {
		from, address = "JUPYTERHUB_API_URL", strings.TrimSpace(getenv("JUPYTERHUB_API_URL"))
	}
	if host := getenv("HUB_SERVICE_HOST"); address == "" && host != "" {
		// Kubernetes sets both for a service named "hub" in the same namespace.
		from, address = "HUB_SERVICE_HOST with HUB_SERVICE_PORT", "http://"+net.JoinHostPort(host, cmp.Or(getenv("HUB_SERVICE_PORT"), "8081"))
	}
	if address == "" {
		return usagef("no hub is configured: set --hub-url or JUPYTERHUB_API_URL, as in --hub-url http://127.0.0.1:8081")
	}
	api, err := hub.APIURL(address)
	if err != nil {
		return usagef("%s is no hub's address: %w", from, err)
	}
	o.api = api
	return checkProxy(api)
}

func (o *hubOptions) completeToken(getenv func(string) string) error {
	if o.tokenFile != "" {
		token, err := o.readToken()
		if info, statErr := os.Stat(o.tokenFile); statErr == nil && !info.Mode().IsRegular() {
			o.token, o.tokenFile = token, "" // a pipe can be read once
		}
		return err
	}
	from, text := "--hub_api_token", o.token.Reveal()
	if text == "" {
		from, text = "JUPYTERHUB_API_TOKEN", getenv("JUPYTERHUB_API_TOKEN")
	}
	if text == "" {
		return usagef("no hub token is configured: set --hub-token-file or JUPYTERHUB_API_TOKEN, as in --hub-token-file /etc/groups-exporter.token")
	}
	var err error
	o.token, err = parseToken(from, text)
	return err
}

// readToken gives the token, from its file where there is one: it may be replaced.
func (o *hubOptions) readToken() (hub.Token, error) {
	if o.tokenFile == "" {
		return o.token, nil
	}
	data, err := os.ReadFile(o.tokenFile)
	if err != nil {
		return hub.Token{}, newTokenFileError(o.tokenFile, err)
	}
	return parseToken(o.tokenFile, string(data))
}

// tokenFileError is the error for a --hub-token-file that doesn't exist. It doesn't repeat
// the path, which may be the token itself.
type tokenFileError struct{ cause error }

func (e *tokenFileError) Error() string {
	return "the file of --hub-token-file can't be read: " + e.cause.Error()
}

// newTokenFileError returns the error for a token that can't be read. It names the path only
// if that exists.
func newTokenFileError(path string, err error) error {
	if _, statErr := os.Lstat(path); statErr == nil || errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("the token can't be read: %w", err)
	}
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathErr.Err
	}
	return &tokenFileError{err}
}

func parseToken(from, text string) (hub.Token, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return hub.Token{}, fmt.Errorf("there is no token in %s", from)
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		return hub.Token{}, fmt.Errorf("what is in %s is no token: it has spaces, several lines or characters outside ASCII", from)
	}
	return hub.NewToken(text), nil
}

func (o *hubOptions) completeTLS(getenv func(string) string) error {
	// A hub with internal_ssl gives its services these.
	o.caFile = cmp.Or(o.caFile, getenv("JUPYTERHUB_SSL_CLIENT_CA"))
	if o.certFile == "" && o.keyFile == "" {
		o.certFile, o.keyFile = getenv("JUPYTERHUB_SSL_CERTFILE"), getenv("JUPYTERHUB_SSL_KEYFILE")
	}
	if (o.certFile == "") != (o.keyFile == "") {
		return usagef("--hub-cert-file and --hub-key-file go together")
	}
	if o.caFile == "" && o.certFile == "" {
		return nil
	}
	var err error
	o.tls, err = newHubTLS(o.caFile, o.certFile, o.keyFile)
	return err
}

// client returns the options of a client for the hub.
func (o *hubOptions) client() hub.Options {
	readToken := func() (hub.Token, error) {
		token, err := o.readToken()
		o.secrets.add(token)
		return token, err
	}
	options := hub.Options{API: o.api, Token: readToken, Timeout: o.timeout, UserAgent: userAgent(), RequireWhole: o.whole}
	if o.tls != nil {
		options.TLS = o.tls.config
	}
	if o.sample != nil {
		options.Transport = o.sample
	}
	return options
}

// snapshot reads the hub's memberships once. The result is the hub's whole answer.
func (o *hubOptions) snapshot(ctx context.Context) (*membership.Snapshot, hub.Result, error) {
	result, err := hub.New(o.client()).List(ctx)
	if err != nil {
		return nil, hub.Result{}, err
	}
	return membership.New(o.namespace, result.Listing, o.rules), result, nil
}

// notices returns what an operator has to know about a good answer of the hub.
func (o *hubOptions) notices(snapshot *membership.Snapshot, result hub.Result) []string {
	var notices []string
	if result.Inconsistent {
		notices = append(notices, "the hub's list of users changed each time it was read, so somebody may be missing")
	}
	if result.ScopesError != nil {
		notices = append(notices, "the token's scopes can't be read, so this may be a part of the hub only: "+result.ScopesError.Error())
	}
	if len(result.Filtered) > 0 {
		notices = append(notices, fmt.Sprintf("the token's scopes cover a part of the hub only, so users and memberships may be missing: %s (--require-whole-hub makes this an error)", some(result.Filtered)))
	}
	if result.GroupsError != nil {
		notices = append(notices, "the hub's groups can't be read, so those without members may be missing: "+result.GroupsError.Error())
	}
	for _, filter := range []struct {
		flag     string
		patterns []string
	}{{"--allow-group", o.rules.Allow}, {"--deny-group", o.rules.Deny}} {
		for _, pattern := range snapshot.Unmatched(filter.patterns) {
			notices = append(notices, filter.flag+" "+quote(pattern)+" matches no group that the hub lists")
		}
	}
	if len(o.rules.Allow) > 0 && !snapshot.HasGroups() {
		notices = append(notices, "--allow-group and --deny-group leave no group of the hub: all users are in "+quote(o.rules.NoneName))
	}
	if snapshot.HasUnnamed() {
		notices = append(notices, fmt.Sprintf("the hub has a group without a name: it is published as %q", membership.EmptyName))
	}
	for _, name := range snapshot.Ambiguous() {
		what, flag := "no group", "--none-name"
		if name == o.rules.MultipleName {
			what, flag = "several groups", "--multiple-name"
		}
		notices = append(notices, fmt.Sprintf("the hub has a group named %q, which can't be told apart from users in %s: %s renames ours", name, what, flag))
	}
	if name := o.rules.MultipleName; o.rules.MultiGroup == membership.Each && snapshot.IsMultipleReal() {
		notices = append(notices, fmt.Sprintf("the hub has a group named %q, which the recording rules and the dashboard take for users in several groups: give serve, 'rules' and 'dashboard' another --multiple-name", name))
	}
	return notices
}
