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

// podNamespaceFile holds the namespace of this pod in Kubernetes.
const podNamespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// hubOptions are the flags of all commands that query a hub: the address, the token, and the rules for groups.
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
	groupMap  groupMapOption
	whole     bool // fail if the token sees only part of the hub; without a flag if it is set before addFlags
	servers   bool // read the names of all servers
	// ignoring is set by commands that leave out the users whom the group map ignores. All others know these users, so that
	// their pods and homes aren't taken for those of nobody.
	ignoring bool

	// Set by complete.
	sample *fakehub.Demo // the hub of --demo, or nil
	api    *url.URL
	token  hub.Token // unless it is in tokenFile
	tls    *tlsFiles // nil for the system's authorities and no client certificate

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
	if !o.whole {
		flags.BoolVar(&o.whole, "require-whole-hub", false, "fail if the token sees only part of the hub")
	}
	flags.StringVar(&o.namespace, "namespace", "", "value of the label `namespace` [$NAMESPACE]")
	setHeading(cmd, "Hub")
	addChoice(cmd, &o.rules.MultiGroup, "multi-group", "series of a user in several groups", membership.Each, membership.Multiple, membership.Both)
	o.groupMap.addFlag(cmd)
	flags.StringArrayVar(&o.rules.Allow, "allow-group", nil, "export only these groups (`glob`, repeatable)")
	flags.StringArrayVar(&o.rules.Deny, "deny-group", nil, "never export these groups (`glob`, repeatable)")
	flags.StringVar(&o.rules.NoneName, "none-name", o.rules.NoneName, "group `name` for users in no group")
	flags.StringVar(&o.rules.MultipleName, "multiple-name", o.rules.MultipleName, "group `name` for users in several groups")
	setHeading(cmd, "Groups")
}

// complete sets what no flag sets from the environment, and reads the files.
func (o *hubOptions) complete(getenv func(string) string) error {
	o.completeNamespace(getenv)
	if o.demo {
		return cmp.Or(o.completeDemo(), o.checkRules())
	}
	if err := o.completeAddress(getenv); err != nil {
		return err
	}
	if err := o.checkRules(); err != nil {
		return err
	}
	if err := o.completeToken(getenv); err != nil {
		return err
	}
	return o.completeTLS(getenv)
}

// completeNamespace sets the namespace to that of the flag, of the environment or of this pod.
func (o *hubOptions) completeNamespace(getenv func(string) string) {
	if o.demo {
		o.namespace = cmp.Or(o.namespace, "demo")
	}
	o.namespace = cmp.Or(o.knownNamespace(getenv), "default")
}

// knownNamespace returns the namespace of the flag, of the environment or of this pod, or "".
func (o *hubOptions) knownNamespace(getenv func(string) string) string {
	pod, _ := os.ReadFile(podNamespaceFile) // there is none outside of Kubernetes
	return cmp.Or(o.namespace, getenv("NAMESPACE"), strings.TrimSpace(string(pod)))
}

// isKnown reports whether a flag or the environment names a hub.
func (o *hubOptions) isKnown(getenv func(string) string) bool {
	return o.demo || cmp.Or(o.address, getenv("JUPYTERHUB_API_URL"), getenv("HUB_SERVICE_HOST")) != ""
}

// checkRules reads the group map, and returns an error if it or the rules can't be applied.
func (o *hubOptions) checkRules() error {
	for _, label := range []string{o.namespace, o.rules.NoneName, o.rules.MultipleName} {
		if !utf8.ValidString(label) {
			return usagef("%q can't be the value of a label, because it is not UTF-8", label)
		}
	}
	if err := checkPatterns(slices.Concat(o.rules.Allow, o.rules.Deny)); err != nil {
		return err
	}
	if o.rules.NoneName == "" || o.rules.MultipleName == "" {
		return usagef("--none-name and --multiple-name must not be empty")
	}
	if err := o.rules.Validate(); err != nil {
		return &usageError{err}
	}
	for _, name := range o.rules.PseudoNames() {
		if slices.Contains(o.rules.Deny, name) {
			who, flag := o.pseudoGroup(name)
			return usagef("--deny-group %s has no effect on users in %s: to deny a group of the hub with this name, set another %s", quote(name), who, flag)
		}
	}
	return o.groupMap.complete(o.rules)
}

// pseudoGroup returns which users a pseudo-group stands for, and the flag that names it.
func (o *hubOptions) pseudoGroup(name string) (who, flag string) {
	if name == o.rules.MultipleName {
		return "several groups", "--multiple-name"
	}
	return "no group", "--none-name"
}

// checkPatterns returns an error for a pattern that no name can match, such as one in another encoding.
func checkPatterns(patterns []string) error {
	for _, pattern := range patterns {
		if !utf8.ValidString(pattern) {
			return usagef("the pattern %q matches no name, because it is not UTF-8", pattern)
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
		// Kubernetes sets both for a Service named "hub" in the same namespace.
		from, address = "HUB_SERVICE_HOST with HUB_SERVICE_PORT", "http://"+net.JoinHostPort(host, cmp.Or(getenv("HUB_SERVICE_PORT"), "8081"))
	}
	if address == "" {
		return usagef("no hub is configured: set --hub-url or JUPYTERHUB_API_URL, as in --hub-url http://127.0.0.1:8081")
	}
	api, err := hub.APIURL(address)
	if err != nil {
		return usagef("%s is not the address of a hub: %w", from, err)
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

// readToken returns the token. It reads the token file on every call, because the file may have been rotated.
func (o *hubOptions) readToken() (hub.Token, error) {
	if o.tokenFile == "" {
		return o.token, nil
	}
	data, err := os.ReadFile(o.tokenFile)
	if err != nil {
		if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
			err = pathErr.Err // without the path, which may be the token itself
		}
		return hub.Token{}, fmt.Errorf("--hub-token-file has to be the path of a file with the token: %w", err)
	}
	return parseToken(o.tokenFile, string(data))
}

func parseToken(from, text string) (hub.Token, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return hub.Token{}, fmt.Errorf("there is no token in %s", from)
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		return hub.Token{}, fmt.Errorf("%s holds no valid token: it has spaces, several lines or characters outside ASCII", from)
	}
	return hub.NewToken(text), nil
}

func (o *hubOptions) completeTLS(getenv func(string) string) error {
	// A hub with internal_ssl sets these for its services.
	o.caFile = cmp.Or(o.caFile, getenv("JUPYTERHUB_SSL_CLIENT_CA"))
	if o.certFile == "" && o.keyFile == "" {
		o.certFile, o.keyFile = getenv("JUPYTERHUB_SSL_CERTFILE"), getenv("JUPYTERHUB_SSL_KEYFILE")
	}
	if (o.certFile == "") != (o.keyFile == "") {
		return usagef("--hub-cert-file and --hub-key-file must be set together")
	}
	if o.caFile == "" && o.certFile == "" {
		return nil
	}
	o.tls = &tlsFiles{caFile: o.caFile, certFile: o.certFile, keyFile: o.keyFile}
	if err := o.tls.read(); err != nil {
		return fmt.Errorf("the certificates for the hub can't be used: %w", err)
	}
	return nil
}

// client returns the options of a client for the hub.
func (o *hubOptions) client() hub.Options {
	readToken := func() (hub.Token, error) {
		token, err := o.readToken()
		o.secrets.add(token)
		return token, err
	}
	options := hub.Options{API: o.api, Token: readToken, Timeout: o.timeout, UserAgent: userAgent(), RequireWhole: o.whole, StoppedServers: o.servers, Properties: o.groupMap.properties}
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
	if m := o.groupMap.Map; m != nil {
		if !o.ignoring {
			m = m.WithoutIgnored()
		}
		if err := m.For(result.Properties).Apply(result.Listing); err != nil {
			return nil, hub.Result{}, err
		}
	}
	return membership.New(o.namespace, result.Listing, o.rules), result, nil
}

// wholeSnapshot is like snapshot, and returns an error if users may be missing.
func (o *hubOptions) wholeSnapshot(ctx context.Context) (*membership.Snapshot, hub.Result, error) {
	snapshot, result, err := o.snapshot(ctx)
	if err == nil && result.Inconsistent {
		err = errors.New("the hub's list of users changed whenever it was read, so users may be missing: try again")
	}
	return snapshot, result, err
}

// notices returns what an operator should know although the hub was read.
func (o *hubOptions) notices(snapshot *membership.Snapshot, result hub.Result) []string {
	var notices []string
	if result.Inconsistent {
		notices = append(notices, "the hub's list of users changed whenever it was read, so users may be missing")
	}
	if result.ScopesError != nil {
		notices = append(notices, "the token's scopes can't be read, so users and memberships may be missing: "+result.ScopesError.Error())
	}
	if len(result.Filtered) > 0 {
		notices = append(notices, fmt.Sprintf("the token sees only part of the hub, so users and memberships may be missing: %s (--require-whole-hub makes this an error)", some(result.Filtered)))
	}
	if result.GroupsError != nil {
		notices = append(notices, "the hub's list of groups can't be read, so groups without members may be missing: "+result.GroupsError.Error())
	}
	notices = append(notices, o.unmatched(snapshot, "that the hub lists")...)
	if len(o.rules.Allow) > 0 && !snapshot.HasGroups() {
		notices = append(notices, "--allow-group and --deny-group exclude all groups of the hub, so all users are in "+quote(o.rules.NoneName))
	}
	if snapshot.HasUnnamed() {
		notices = append(notices, fmt.Sprintf("the hub has a group without a name: it is published as %q", membership.EmptyName))
	}
	isNamed := "the hub has a group named"
	if o.groupMap.Map != nil {
		isNamed = "there is a group named"
	}
	for _, name := range snapshot.Ambiguous() {
		who, flag := o.pseudoGroup(name)
		notices = append(notices, fmt.Sprintf("%s %q, which is also the name for users in %s: set another %s", isNamed, name, who, flag))
	}
	if name := o.rules.MultipleName; o.rules.MultiGroup == membership.Each && snapshot.IsMultipleReal() {
		notices = append(notices, fmt.Sprintf("%s %q, which is the name for users in several groups in the recording rules and the dashboard: set another --multiple-name for serve, 'rules' and 'dashboard'", isNamed, name))
	}
	return notices
}

// unmatched returns a notice for each pattern of the rules that matches none of the groups of a snapshot.
func (o *hubOptions) unmatched(snapshot *membership.Snapshot, which string) []string {
	var notices []string
	for _, filter := range []struct {
		flag     string
		patterns []string
	}{{"--allow-group", o.rules.Allow}, {"--deny-group", o.rules.Deny}} {
		for _, pattern := range snapshot.Unmatched(filter.patterns) {
			notices = append(notices, filter.flag+" "+quote(pattern)+" matches no group "+which)
		}
	}
	return notices
}
