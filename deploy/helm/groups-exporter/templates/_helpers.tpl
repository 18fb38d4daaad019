{{- define "groups-exporter.name" -}}
{{ .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "groups-exporter.fullname" -}}
{{- $name := include "groups-exporter.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "groups-exporter.serviceAccountName" -}}
{{ .Values.serviceAccount.name | default (ternary (include "groups-exporter.fullname" .) "default" .Values.serviceAccount.create) }}
{{- end }}

{{/* All pods of the release: those that serve, and the one that checks. A release may be named 123, so names are quoted here
     and below. */}}
{{- define "groups-exporter.releaseLabels" -}}
app.kubernetes.io/name: {{ include "groups-exporter.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* Those that serve. */}}
{{- define "groups-exporter.selectorLabels" -}}
{{ include "groups-exporter.releaseLabels" . }}
app.kubernetes.io/component: exporter
{{- end }}

{{/* The metadata of an object: a list of the context, the object's own labels and annotations, and its name if it has
     another. The chart's labels win, because selectors need them. */}}
{{- define "groups-exporter.metadata" -}}
{{- $ := index . 0 }}
{{- $labels := include "groups-exporter.selectorLabels" $ | fromYaml }}
{{- $_ := set $labels "helm.sh/chart" (printf "%s-%s" $.Chart.Name $.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") }}
{{- $_ := set $labels "app.kubernetes.io/version" ($.Chart.AppVersion | replace "+" "_") }}
{{- $_ := set $labels "app.kubernetes.io/managed-by" $.Release.Service -}}
name: {{ if eq (len .) 4 }}{{ index . 3 | quote }}{{ else }}{{ include "groups-exporter.fullname" $ | quote }}{{ end }}
{{ include "groups-exporter.marks" (list $ (index . 1) (index . 2) $labels) }}
{{- end }}

{{/* Labels and annotations: a list of the context, those of the values, and the labels of the chart. */}}
{{- define "groups-exporter.marks" -}}
{{- $ := index . 0 -}}
labels:
  {{- mergeOverwrite dict (deepCopy $.Values.commonLabels) (deepCopy (index . 1)) (index . 3) | toYaml | nindent 2 }}
{{- with mergeOverwrite dict (deepCopy $.Values.commonAnnotations) (deepCopy (index . 2)) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The flags of serve that the chart sets, as JSON: name, the value of the chart that is for it, and what it is set to.
     Lists are flags given several times. "" is left to the program. */}}
{{- define "groups-exporter.flags" -}}
{{- $base := .Values.hub.baseUrl | default "/" | trimSuffix "/" }}
{{- $config := "/etc/groups-exporter" }}
{{- $webConfig := "" }}
{{- with .Values.web.configSecret }}{{ if .name }}{{ $webConfig = printf "%s/web/%s" $config .key }}{{ end }}{{ end }}
{{- $prometheusConfig := "" }}
{{- with .Values.prometheus.configSecret }}{{ if .name }}{{ $prometheusConfig = printf "%s/prometheus/%s" $config .key }}{{ end }}{{ end }}
{{- $groupMap := ternary (printf "%s/group-map/groups.yml" $config) "" (ne .Values.groupMap "") }}
{{- list
  (list "hub-url" "hub.url" (printf "%s%s/" (trimSuffix "/" .Values.hub.url) $base))
  (list "hub-token-file" "hub.existingSecret" (printf "%s/hub/token" $config))
  (list "namespace" "hub.namespace" .Values.hub.namespace)
  (list "refresh-interval" "refreshInterval" .Values.refreshInterval)
  (list "multi-group" "multiGroup" .Values.multiGroup)
  (list "multiple-name" "multipleName" .Values.multipleName)
  (list "allow-group" "allowGroups" .Values.allowGroups)
  (list "deny-group" "denyGroups" .Values.denyGroups)
  (list "group-map" "groupMap" $groupMap)
  (list "usernames" "usernames" .Values.usernames)
  (list "with" "with" .Values.with)
  (list "metrics-prefix" "metricsPrefix" .Values.metricsPrefix)
  (list "max-series" "maxSeries" (.Values.maxSeries | int64 | toString))
  (list "max-label-length" "maxLabelLength" (ternary (.Values.maxLabelLength | int64 | toString) "" (gt (int64 .Values.maxLabelLength) 0)))
  (list "prometheus-url" "prometheus.url" .Values.prometheus.url)
  (list "prometheus.config.file" "prometheus.configSecret" $prometheusConfig)
  (list "usage-attribution" "prometheus.usageAttribution" (ternary .Values.prometheus.usageAttribution "" (ne .Values.prometheus.url "")))
  (list "auth" "auth" .Values.auth)
  (list "auth-scope" "authScopes" .Values.authScopes)
  (list "web.route-prefix" "hub.serviceName" (printf "%s/services/%s/" $base .Values.hub.serviceName))
  (list "web.config.file" "web.configSecret" $webConfig)
  (list "log.level" "log.level" .Values.log.level)
  (list "log.format" "log.format" .Values.log.format)
  | toJson }}
{{- end }}

{{/* A flag as an argument. Kubernetes makes one $ of two, and a variable of $(NAME). */}}
{{- define "groups-exporter.arg" -}}
{{ printf "--%s=%s" (index . 0) (index . 1) | replace "$" "$$" | quote }}
{{- end }}

{{- define "groups-exporter.serveArgs" -}}
- serve
{{- range $flag := include "groups-exporter.flags" . | fromJsonArray }}
{{- $value := index $flag 2 }}
{{- range ternary $value (list $value) (kindIs "slice" $value) }}
{{- if . }}
- {{ include "groups-exporter.arg" (list (index $flag 0) .) }}
{{- end }}
{{- end }}
{{- end }}
{{- range .Values.extraArgs }}
- {{ quote . }}
{{- end }}
{{- end }}

{{/* The name of a flag in an argument. The program takes _ for -. */}}
{{- define "groups-exporter.flagName" -}}
{{ splitList "=" . | first | trimPrefix "--" | replace "_" "-" }}
{{- end }}

{{/* check, with those flags of serve that it has too. Of the extra ones these are all that begin with --hub-: the validation
     refuses the two that check doesn't know. */}}
{{- define "groups-exporter.checkArgs" -}}
- check
{{- range $flag := include "groups-exporter.flags" . | fromJsonArray }}
{{- if and (or (hasPrefix "hub-" (index $flag 0)) (has (index $flag 0) (list "with" "group-map"))) (index $flag 2) }}
{{- range ternary (index $flag 2) (list (index $flag 2)) (kindIs "slice" (index $flag 2)) }}
- {{ include "groups-exporter.arg" (list (index $flag 0) .) }}
{{- end }}
{{- end }}
{{- end }}
{{- range .Values.extraArgs }}
{{- if hasPrefix "hub-" (include "groups-exporter.flagName" .) }}
- {{ quote . }}
{{- end }}
{{- end }}
{{- end }}

{{/* The arguments of the report that writes one output: a list of the context and the output. Later flags win. */}}
{{- define "groups-exporter.reportArgs" -}}
{{- $ := index . 0 }}
{{- $output := index . 1 -}}
- report
{{- range $flag := include "groups-exporter.flags" $ | fromJsonArray }}
{{- if and (has (index $flag 0) (list "prometheus-url" "prometheus.config.file" "metrics-prefix" "multiple-name" "group-map")) (index $flag 2) }}
- {{ include "groups-exporter.arg" (list (index $flag 0) (index $flag 2)) }}
{{- end }}
{{- end }}
{{- range $.Values.extraArgs }}
{{- if has (include "groups-exporter.flagName" .) (list "none-name" "pods" "prometheus-matcher" "prometheus-timeout") }}
- {{ quote . }}
{{- end }}
{{- end }}
- {{ include "groups-exporter.arg" (list "timezone" $.Values.report.timeZone) }}
{{- if $.Values.report.prices }}
- "--prices=/etc/groups-exporter/report/prices.yml"
{{- end }}
{{- range concat $.Values.report.args ($output.args | default list) }}
- {{ quote . }}
{{- end }}
- {{ include "groups-exporter.arg" (list "output-file" (printf "/reports/%s" $output.file)) }}
{{- end }}

{{/* The name of the config map with the group map. */}}
{{- define "groups-exporter.groupMapName" -}}
{{ printf "%s-group-map" (include "groups-exporter.fullname" . | trunc 53 | trimSuffix "-") }}
{{- end }}

{{- define "groups-exporter.groupMapVolume" -}}
- name: group-map
  configMap:
    name: {{ include "groups-exporter.groupMapName" . | quote }}
{{- end }}

{{- define "groups-exporter.groupMapMount" -}}
- name: group-map
  mountPath: /etc/groups-exporter/group-map
  readOnly: true
{{- end }}

{{/* What all pods have in common. */}}
{{- define "groups-exporter.podBase" -}}
serviceAccountName: {{ include "groups-exporter.serviceAccountName" . | quote }}
automountServiceAccountToken: false
# What the program reads from its environment is what stands below.
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ quote . }}
{{- end }}
{{- end }}

{{/* What the pods that serve and check have in common. */}}
{{- define "groups-exporter.podSpec" -}}
{{ include "groups-exporter.podBase" . }}
volumes:
  - name: hub
    secret:
      secretName: {{ .Values.hub.existingSecret.name | quote }}
      defaultMode: 0440
      items:
        - key: {{ .Values.hub.existingSecret.key | default (printf "hub.services.%s.apiToken" .Values.hub.serviceName) | quote }}
          path: token
  {{- with .Values.web.configSecret.name }}
  - name: web
    secret:
      secretName: {{ quote . }}
      defaultMode: 0440
  {{- end }}
  {{- with .Values.prometheus.configSecret.name }}
  - name: prometheus
    secret:
      secretName: {{ quote . }}
      defaultMode: 0440
  {{- end }}
  {{- if .Values.groupMap }}
  {{- include "groups-exporter.groupMapVolume" . | nindent 2 }}
  {{- end }}
  {{- with .Values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "groups-exporter.containerBase" -}}
{{- with .Values.image -}}
image: {{ printf "%s:%s%s" .repository (.tag | default $.Chart.AppVersion) (ternary (printf "@%s" .digest) "" (ne .digest "")) | quote }}
imagePullPolicy: {{ .pullPolicy }}
{{- end }}
{{- with .Values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
env:
  - name: NAMESPACE
    valueFrom:
      fieldRef:
        fieldPath: metadata.namespace
  {{- with .Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "groups-exporter.container" -}}
{{ include "groups-exporter.containerBase" . }}
# Whole folders, no subPath: only so does a file change when its secret does.
volumeMounts:
  - name: hub
    mountPath: /etc/groups-exporter/hub
    readOnly: true
  {{- if .Values.web.configSecret.name }}
  - name: web
    mountPath: /etc/groups-exporter/web
    readOnly: true
  {{- end }}
  {{- if .Values.prometheus.configSecret.name }}
  - name: prometheus
    mountPath: /etc/groups-exporter/prometheus
    readOnly: true
  {{- end }}
  {{- if .Values.groupMap }}
  {{- include "groups-exporter.groupMapMount" . | nindent 2 }}
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* A probe: a list of the context, the path, and the probe's values. */}}
{{- define "groups-exporter.probe" -}}
{{- $ := index . 0 }}
{{- $probe := deepCopy (index . 2) }}
{{- if not (or $probe.httpGet $probe.tcpSocket $probe.exec $probe.grpc) }}
{{- $_ := set $probe "httpGet" (dict "path" (index . 1) "port" "metrics" "scheme" (ternary "HTTPS" "HTTP" $.Values.web.tls)) }}
{{- end }}
{{- toYaml $probe }}
{{- end }}

{{/* What a ServiceMonitor and a PodMonitor have in common: a list of the context, the monitor's values, and how it calls
     endpoints. */}}
{{- define "groups-exporter.monitorSpec" -}}
{{- $ := index . 0 }}
{{- $monitor := index . 1 -}}
selector:
  matchLabels:
    {{- include "groups-exporter.selectorLabels" $ | nindent 4 }}
{{- range $key := list "sampleLimit" "labelValueLengthLimit" }}
{{- with index $monitor $key }}
{{ $key }}: {{ int64 . }}
{{- end }}
{{- end }}
{{- range $key := list "bodySizeLimit" "scrapeProtocols" "fallbackScrapeProtocol" }}
{{- with index $monitor $key }}
{{ dict $key . | toYaml }}
{{- end }}
{{- end }}
{{ index . 2 }}:
  - port: metrics
    path: /metrics
    scheme: {{ ternary "https" "http" $.Values.web.tls }}
    # The label namespace is the hub's.
    honorLabels: true
    {{- range $key := list "interval" "scrapeTimeout" "authorization" "basicAuth" "tlsConfig" "relabelings" "metricRelabelings" }}
    {{- with index $monitor $key }}
    {{- dict $key . | toYaml | nindent 4 }}
    {{- end }}
    {{- end }}
{{- end }}

{{/* Values that the schema can't tell are wrong. */}}
{{- define "groups-exporter.validate" -}}
{{- $owned := dict "web.listen-address" "" "web.systemd-socket" "" "web.telemetry-path" "" "port" "" "demo" "" }}
{{- /* The same by their names in the Python exporter, which the program takes too. */}}
{{- $owned = merge $owned (dict
  "allowed-groups" "allowGroups"
  "double-count" "multiGroup"
  "hub-api-token" "hub.existingSecret"
  "hub-service-prefix" "hub.serviceName"
  "jupyterhub-metrics-prefix" "metricsPrefix"
  "jupyterhub-namespace" "hub.namespace"
  "log-level" "log.level"
  "prometheus-host" "prometheus.url"
  "prometheus-port" "prometheus.url"
  "update-info-interval" "refreshInterval") }}
{{- range include "groups-exporter.flags" . | fromJsonArray }}
{{- $_ := set $owned (index . 0) (index . 1) }}
{{- end }}
{{- range .Values.extraArgs }}
{{- $flag := include "groups-exporter.flagName" . }}
{{- if get $owned $flag }}
{{- fail (printf "extraArgs: --%s is set by the value %s" $flag (get $owned $flag)) }}
{{- else if hasKey $owned $flag }}
{{- fail (printf "extraArgs: --%s would move what the chart counts on" $flag) }}
{{- end }}
{{- end }}
{{- /* A variable stands for a flag, so it is no way around. */}}
{{- range .Values.extraEnv }}
{{- $variable := .name }}
{{- range $flag, $value := $owned }}
{{- if eq (toString $variable) (printf "GROUPS_EXPORTER_%s" (regexReplaceAll "[-.]" $flag "_" | upper)) }}
{{- if $value }}
{{- fail (printf "extraEnv: %s is set by the value %s" $variable $value) }}
{{- else }}
{{- fail (printf "extraEnv: %s would move what the chart counts on" $variable) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- if and .Values.web.tls (not .Values.web.configSecret.name) }}
{{- fail "web.tls: the web config has the certificate: name its secret in web.configSecret.name" }}
{{- end }}
{{- if and .Values.prometheus.configSecret.name (not .Values.prometheus.url) }}
{{- fail "prometheus.configSecret: there is no prometheus.url that it is for" }}
{{- end }}
{{- if and .Values.authScopes (ne .Values.auth "hub") }}
{{- fail "authScopes: they go with auth: hub" }}
{{- end }}
{{- if and .Values.serviceMonitor.enabled .Values.podMonitor.enabled }}
{{- fail "serviceMonitor and podMonitor are both enabled: each pod would be scraped twice" }}
{{- end }}
{{- range $name := list "serviceMonitor" "podMonitor" "podMonitoring" }}
{{- $monitor := index $.Values $name }}
{{- if and $monitor.enabled (eq $.Values.auth "hub") (not $monitor.authorization) }}
{{- $like := ternary "{credentials: {secret: {name: prometheus, key: token}}}" "{credentials: {name: hub, key: hub.services.prometheus.apiToken}}" (eq $name "podMonitoring") }}
{{- fail (printf "%s.authorization: with auth: hub, Prometheus needs a token of the hub, like %s" $name $like) }}
{{- end }}
{{- $limit := int64 $monitor.labelValueLengthLimit }}
{{- if and $monitor.enabled $limit (gt (int64 $.Values.maxLabelLength) $limit) }}
{{- fail (printf "maxLabelLength: one label value over %s.labelValueLengthLimit (%d), and Prometheus stores nothing: it has to be at most as large" $name $limit) }}
{{- end }}
{{- end }}
{{- if .Values.podMonitoring.enabled }}
{{- if and .Values.hub.namespace (ne .Values.hub.namespace .Release.Namespace) }}
{{- fail (printf "podMonitoring: Google's collectors set the label namespace to the namespace of the pod, %s, and hub.namespace is %s: install the release in %[2]s, or leave podMonitoring off and make a ClusterPodMonitoring" .Release.Namespace .Values.hub.namespace) }}
{{- end }}
{{- if and .Values.podMonitoring.authorization .Values.podMonitoring.basicAuth }}
{{- fail "podMonitoring: authorization and basicAuth both need the header Authorization: choose one" }}
{{- end }}
{{- end }}
{{- range $name, $own := dict "prometheusRule" .Values.prometheusRule.rules "dashboard" .Values.dashboard.json }}
{{- if and (index $.Values $name).enabled (not $own) (or (ne $.Values.metricsPrefix "jupyterhub") (ne $.Values.multipleName "multiple")) }}
{{- $what := ternary "rules" "json" (eq $name "prometheusRule") }}
{{- $command := ternary "rules" "dashboard" (eq $name "prometheusRule") }}
{{- fail (printf "%s: the chart's own has other names of metrics: --set-file %s.%s=FILE, where FILE is from: groups-exporter %s --metrics-prefix %s --multiple-name %s" $name $name $what $command $.Values.metricsPrefix $.Values.multipleName) }}
{{- end }}
{{- end }}
{{- if and .Values.prometheusRule.enabled (not .Values.prometheusRule.rules) (eq .Values.usernames "omit") }}
{{- fail "prometheusRule: the rules join by users' names, which usernames: omit leaves out: use prometheus.url, and rules of alerts alone (--set-file prometheusRule.rules=FILE, from: groups-exporter rules --only alerts)" }}
{{- end }}
{{- if .Values.report.enabled }}
{{- if not .Values.prometheus.url }}
{{- fail "report: it queries Prometheus: set prometheus.url" }}
{{- end }}
{{- if eq .Values.usernames "omit" }}
{{- fail "report: memberships without users' names, as with usernames: omit, don't say whose usage it is" }}
{{- end }}
{{- if not .Values.report.volume }}
{{- fail "report.volume: name where files are written, like {persistentVolumeClaim: {claimName: reports}}" }}
{{- end }}
{{- end }}
{{- if .Values.networkPolicy.enabled }}
{{- if not .Values.networkPolicy.ingressFrom }}
{{- fail "networkPolicy.ingressFrom: nobody could scrape: name the peers that may, like [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]" }}
{{- end }}
{{- if and .Values.prometheus.url (not .Values.networkPolicy.prometheus.to) }}
{{- fail "networkPolicy.prometheus.to: the Prometheus of prometheus.url could not be reached: name its pods" }}
{{- end }}
{{- end }}
{{- end }}
