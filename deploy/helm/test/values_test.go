package chart_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// value is a leaf of values.yaml, or an object that users replace as a whole.
type value struct{ name, description, standard string }

// values reads the values in values.yaml. A description is the comment above a value that begins with "--".
func values(t *testing.T) []value {
	t.Helper()
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(read(t, chart+"/values.yaml")), &document); err != nil {
		t.Fatal(err)
	}
	var found []value
	var walk func(prefix string, node *yaml.Node)
	walk = func(prefix string, node *yaml.Node) {
		for i := 0; i+1 < len(node.Content); i += 2 {
			key, content := node.Content[i], node.Content[i+1]
			name := prefix + key.Value
			// Only the paragraph directly above a key belongs to it.
			paragraphs := strings.Split(key.HeadComment, "\n\n")
			_, text, described := strings.Cut(paragraphs[len(paragraphs)-1], "# -- ")
			if !described && content.Kind == yaml.MappingNode && len(content.Content) > 0 {
				walk(name+".", content)
				continue
			}
			var decoded any
			if err := content.Decode(&decoded); err != nil {
				t.Fatal(err)
			}
			standard, err := json.Marshal(decoded)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, value{name, strings.ReplaceAll(text, "\n# ", " "), string(standard)})
		}
	}
	walk("", document.Content[0])
	return found
}

func valuesTable(t *testing.T) string {
	t.Helper()
	var table strings.Builder
	table.WriteString("\n| value | what it is | default |\n| --- | --- | --- |\n")
	for _, v := range values(t) {
		standard := "`" + v.standard + "`"
		if len(standard) > 60 {
			standard = "see [values.yaml](values.yaml)"
		}
		table.WriteString("| `" + v.name + "` | " + strings.ReplaceAll(v.description, "|", `\|`) + " | " + standard + " |\n")
	}
	table.WriteString("\n")
	return table.String()
}

func TestEveryValueIsDescribed(t *testing.T) {
	for _, v := range values(t) {
		if v.description == "" {
			t.Errorf("%s has no description in values.yaml: a comment that begins with --", v.name)
		}
	}
}

type schema struct {
	Properties           map[string]*schema `json:"properties"`
	AdditionalProperties any                `json:"additionalProperties"`
	Required             []string           `json:"required"`
}

// The schema has the keys of values.yaml, and rejects unknown ones.
func TestSchemaAndValuesHaveTheSameKeys(t *testing.T) {
	var whole schema
	if err := json.Unmarshal([]byte(read(t, chart+"/values.schema.json")), &whole); err != nil {
		t.Fatal(err)
	}
	var allowed []string
	var walk func(prefix string, s *schema)
	walk = func(prefix string, s *schema) {
		if s.AdditionalProperties != false {
			t.Errorf("the schema allows unknown keys in %q", prefix)
		}
		for name, property := range s.Properties {
			if property.Properties != nil {
				walk(prefix+name+".", property)
			} else {
				allowed = append(allowed, prefix+name)
			}
		}
	}
	walk("", &whole)
	known := []string{"global"} // added by Helm
	for _, v := range values(t) {
		known = append(known, v.name)
	}
	slices.Sort(allowed)
	slices.Sort(known)
	if d := cmp.Diff(known, allowed); d != "" {
		t.Errorf("-values.yaml +values.schema.json:\n%s", d)
	}
}

func TestRejectedValues(t *testing.T) {
	for _, test := range []struct{ set, want string }{
		// By the schema.
		{"refreshIntervall=5m", "additional properties 'refreshIntervall' not allowed"},
		{"hub.token=secret", "at '/hub': additional properties 'token' not allowed"},
		{"image.registry=example.org", "at '/image': additional properties 'registry' not allowed"},
		{"replicaCount=two", "at '/replicaCount': got string, want integer"},
		{"replicaCount=-1", "at '/replicaCount': minimum: got -1, want 0"},
		{"hub.url=hub:8081", "at '/hub/url': 'hub:8081' does not match pattern"},
		{"hub.url=http://hub?a=b", "at '/hub/url'"},
		{"hub.baseUrl=jupyter", "at '/hub/baseUrl': 'jupyter' does not match pattern"},
		{"hub.serviceName=a/b", "at '/hub/serviceName'"},
		{"hub.namespace=Prod", "at '/hub/namespace': 'Prod' does not match pattern"},
		{"hub.existingSecret=hub", "at '/hub/existingSecret': got string, want object"},
		{"hub.existingSecret.name=", "at '/hub/existingSecret/name'"},
		{"hub.existingSecret.key=../key", "at '/hub/existingSecret/key'"},
		{"hub=null", "missing property 'hub'"},
		{"image.tag=a:b", "at '/image/tag'"},
		{"image.digest=e3b0c442", "at '/image/digest': 'e3b0c442' does not match pattern"},
		{"image.pullPolicy=Sometimes", "at '/image/pullPolicy': value must be one of 'Always', 'IfNotPresent', 'Never'"},
		{"refreshInterval=5", "at '/refreshInterval': got number, want string"},
		{"refreshInterval=5 minutes", "at '/refreshInterval': '5 minutes' does not match pattern"},
		{"multiGroup=all", "at '/multiGroup': value must be one of 'each', 'multiple', 'both'"},
		{"multipleName=", "at '/multipleName': minLength: got 0, want 1"},
		{"allowGroups=bio", "at '/allowGroups': got string, want array"},
		{"allowGroups={a,a}", "at '/allowGroups': items at 0 and 1 are equal"},
		{"denyGroups={1}", "at '/denyGroups/0': got number, want string"},
		{"usernames=hash", "at '/usernames': value must be one of 'include', 'omit'"},
		{"with={shares}", "at '/with/0': value must be one of 'user-info', 'share', 'activity'"},
		{"metricsPrefix=my-hub", "at '/metricsPrefix': 'my-hub' does not match pattern"},
		{"maxSeries=0", "at '/maxSeries': minimum: got 0, want 1"},
		{"auth=token", "at '/auth': value must be one of 'none', 'hub'"},
		{"log.level=trace", "at '/log/level'"},
		{"log.format=text", "at '/log/format'"},
		{"prometheus.url=prometheus", "at '/prometheus/url'"},
		{"prometheus.usageAttribution=half", "at '/prometheus/usageAttribution'"},
		{"web.tls=yes", "at '/web/tls': got string, want boolean"},
		{"extraArgs={serve}", "at '/extraArgs/0': 'serve' does not match pattern"},
		{"extraArgs={--hub-timeout 1m}", "at '/extraArgs/0'"},
		{"extraEnv.A=b", "at '/extraEnv': got object, want array"},
		{"podLabels.a=1", "at '/podLabels/a': got number, want null or string"},
		{"service.type=ExternalName", "at '/service/type'"},
		{"service.port=70000", "at '/service/port': maximum: got 70,000, want 65,535"},
		{"podDisruptionBudget.maxUnavailable=0", "at '/podDisruptionBudget/maxUnavailable'"},
		{"podDisruptionBudget.minAvailable=1", "additional properties 'minAvailable' not allowed"},
		{"serviceMonitor.interval=often", "at '/serviceMonitor/interval'"},
		{"maxLabelLength=63", "at '/maxLabelLength'"},
		{"serviceMonitor.sampleLimit=-1", "at '/serviceMonitor/sampleLimit': minimum: got -1, want 0"},
		{"serviceMonitor.labelValueLengthLimit=long", "at '/serviceMonitor/labelValueLengthLimit': got string, want integer"},
		{"serviceMonitor.bodySizeLimit=32", "at '/serviceMonitor/bodySizeLimit': got number, want string"},
		{"podMonitor.bodySizeLimit=32 MB", "at '/podMonitor/bodySizeLimit': '32 MB' does not match pattern"},
		{"podMonitor.scrapeProtocols={text}", "at '/podMonitor/scrapeProtocols/0': value must be one of 'PrometheusProto'"},
		{"podMonitor.fallbackScrapeProtocol=text", "at '/podMonitor/fallbackScrapeProtocol': value must be one of '', 'PrometheusProto'"},
		{"podMonitoring.interval=", "at '/podMonitoring/interval': '' does not match pattern"},
		{"podMonitoring.bodySizeLimit=32MB", "additional properties 'bodySizeLimit' not allowed"},
		{"podMonitoring.metricRelabelings[0].action=drop", "additional properties 'metricRelabelings' not allowed"},
		{"podMonitoring.authorization.credentials.name=hub", "additional properties 'name' not allowed"}, // a ServiceMonitor's
		{"podMonitoring.authorization.type=Bearer", "at '/podMonitoring/authorization': properties 'credentials' required, if 'type' exists"},
		{"podMonitoring.basicAuth.username.name=a", "at '/podMonitoring/basicAuth/username': got object, want string"},
		{"podMonitoring.tls.cert.secret.name=a,podMonitoring.tls.cert.secret.key=b", "properties 'key' required, if 'cert' exists"},
		{"podMonitor.honorLabels=false", "additional properties 'honorLabels' not allowed"},
		{"dashboard.namespace=a b", "at '/dashboard/namespace'"},
		{"networkPolicy.hub.port=http", "at '/networkPolicy/hub/port': got string, want integer"},
		{"networkPolicy.ingressFrom={monitoring}", "at '/networkPolicy/ingressFrom/0': got string, want object"},
		{"resources=small", "at '/resources': got string, want null or object"},
		// By the templates.
		{"web.tls=true", "web.tls: the web config has the certificate"},
		{"prometheus.configSecret.name=a", "prometheus.configSecret: there is no prometheus.url"},
		{"authScopes={a}", "authScopes: they go with auth: hub"},
		{"serviceMonitor.enabled=true,podMonitor.enabled=true", "each pod would be scraped twice"},
		{"serviceMonitor.enabled=true,auth=hub", "serviceMonitor.authorization: with auth: hub, Prometheus needs a token"},
		{"podMonitor.enabled=true,auth=hub", "podMonitor.authorization: with auth: hub, Prometheus needs a token"},
		{"podMonitoring.enabled=true,auth=hub", "podMonitoring.authorization: with auth: hub, Prometheus needs a token of the hub, like {credentials: {secret: "},
		{"podMonitoring.enabled=true,hub.namespace=prod", "set the label namespace to the namespace of the pod, jhub, and hub.namespace is prod: install the release in prod"},
		{"podMonitoring.enabled=true,podMonitoring.basicAuth.username=a,podMonitoring.authorization.credentials.secret.name=a,podMonitoring.authorization.credentials.secret.key=b", "podMonitoring: authorization and basicAuth both"},
		{"serviceMonitor.enabled=true,serviceMonitor.labelValueLengthLimit=100,maxLabelLength=101", "maxLabelLength: one label value over serviceMonitor.labelValueLengthLimit (100)"},
		{"podMonitoring.enabled=true,podMonitoring.labelValueLengthLimit=100,maxLabelLength=101", "maxLabelLength: one label value over podMonitoring.labelValueLengthLimit (100)"},
		{"extraEnv[0].name=GROUPS_EXPORTER_WEB_LISTEN_ADDRESS", "extraEnv: GROUPS_EXPORTER_WEB_LISTEN_ADDRESS would move what the chart counts on"},
		{"extraEnv[0].name=GROUPS_EXPORTER_PROMETHEUS_URL", "extraEnv: GROUPS_EXPORTER_PROMETHEUS_URL is set by the value prometheus.url"},
		{"extraEnv[0].name=GROUPS_EXPORTER_WEB_CONFIG_FILE", "extraEnv: GROUPS_EXPORTER_WEB_CONFIG_FILE is set by the value web.configSecret"},
		{"extraArgs={--max_label_length=100}", "extraArgs: --max-label-length is set by the value maxLabelLength"},
		{"prometheusRule.enabled=true,metricsPrefix=hub", "groups-exporter rules --metrics-prefix hub --multiple-name multiple"},
		{"prometheusRule.enabled=true,multipleName=several", "groups-exporter rules --metrics-prefix jupyterhub --multiple-name several"},
		{"dashboard.enabled=true,metricsPrefix=hub", "--set-file dashboard.json=FILE, where FILE is from: groups-exporter dashboard"},
		{"dashboard.enabled=true,multipleName=several", "--set-file dashboard.json=FILE"},
		{"prometheusRule.enabled=true,usernames=omit", "the rules join by users' names"},
		{"networkPolicy.enabled=true", "networkPolicy.ingressFrom: nobody could scrape"},
		{"networkPolicy.enabled=true,networkPolicy.ingressFrom[0].podSelector.a=b,prometheus.url=http://p", "networkPolicy.prometheus.to: the Prometheus of prometheus.url could not be reached"},
		{"extraArgs={--web.listen-address=:80}", "extraArgs: --web.listen-address would move what the chart counts on"},
		{"extraArgs={--web.telemetry-path=/m}", "extraArgs: --web.telemetry-path would move what the chart counts on"},
		{"extraArgs={--metrics_prefix=hub}", "extraArgs: --metrics-prefix is set by the value metricsPrefix"},
		{"extraArgs={--jupyterhub_metrics_prefix=hub}", "extraArgs: --jupyterhub-metrics-prefix is set by the value metricsPrefix"},
		{"extraArgs={--web.listen_address=:80}", "extraArgs: --web.listen-address would move what the chart counts on"},
		{"extraArgs={--port=80}", "extraArgs: --port would move what the chart counts on"},
		{"extraArgs={--allowed_groups=bio}", "extraArgs: --allowed-groups is set by the value allowGroups"},
		{"extraArgs={--double_count=true}", "extraArgs: --double-count is set by the value multiGroup"},
		{"extraArgs={--hub_api_token=open-sesame}", "extraArgs: --hub-api-token is set by the value hub.existingSecret"},
		{"extraArgs={--hub-service-prefix=/x/}", "extraArgs: --hub-service-prefix is set by the value hub.serviceName"},
		{"extraArgs={--jupyterhub_namespace=prod}", "extraArgs: --jupyterhub-namespace is set by the value hub.namespace"},
		{"extraArgs={--log-level=DEBUG}", "extraArgs: --log-level is set by the value log.level"},
		{"extraArgs={--prometheus_host=p}", "extraArgs: --prometheus-host is set by the value prometheus.url"},
		{"extraArgs={--prometheus_port=80}", "extraArgs: --prometheus-port is set by the value prometheus.url"},
		{"extraArgs={--update_info_interval=60}", "extraArgs: --update-info-interval is set by the value refreshInterval"},
	} {
		t.Run(test.set, func(t *testing.T) {
			t.Parallel()
			if _, err := template(releaseName, "--set", test.set); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got the error %v, want %q in it", err, test.want)
			}
		})
	}
}

// Extra arguments can't repeat a flag that the chart sets.
func TestFlagsOfValues(t *testing.T) {
	release := render(t, "--values", sets(t)["everything"], "--set", "authScopes={a}")
	flags := slices.DeleteFunc(container(t, release).Args[1:], func(flag string) bool {
		name, _, _ := strings.Cut(flag, "=")
		return slices.Contains([]string{"--hub-timeout", "--max-staleness", "--web.enable-lifecycle"}, name) // extra arguments of this set
	})
	if len(flags) < 20 {
		t.Fatalf("got the flags %q, want at least 20", flags)
	}
	for _, flag := range flags {
		if _, err := template(releaseName, "--set", "extraArgs={"+strings.ReplaceAll(flag, ",", `\,`)+"}"); err == nil || !strings.Contains(err.Error(), "is set by the value") {
			t.Errorf("%s as an extra argument: got the error %v, want one that names the value", flag, err)
		}
	}
}

// In a chart that depends on this one, Helm and a condition add keys.
func TestAsDependency(t *testing.T) {
	render(t, "--set", "global.anything=1,enabled=true")
}

func TestOlderKubernetes(t *testing.T) {
	if _, err := template(releaseName, "--kube-version", "1.29.15"); err == nil || !strings.Contains(err.Error(), "chart requires kubeVersion: >=1.30.0-0") {
		t.Errorf("got %v, want an error about the version", err)
	}
}
