package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/groups-exporter/groups-exporter/internal/prometheus"
	"github.com/groups-exporter/groups-exporter/internal/promql"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

// resourceName returns the name of a resource in messages.
func resourceName(resource usage.Resource) string {
	return map[usage.Resource]string{
		usage.Memory: "memory", usage.CPU: "CPU", usage.MemoryRequests: "memory requests", usage.CPURequests: "CPU requests",
		usage.GPURequests: "GPU requests", usage.GPUSliceRequests: "GPU slice requests", usage.HomeDir: "home directories",
	}[resource]
}

// sourceWords returns the purpose of a source, and how to get it into Prometheus.
func sourceWords(source promql.Source) (purpose, remedy string) {
	purpose = resourceName(source.Of[0])
	switch source.Metric {
	case promql.PodAnnotations:
		return "owners of pods", "start kube-state-metrics with --metric-annotations-allowlist=pods=[hub.jupyter.org/username]"
	case promql.ContainerMemory, promql.ContainerCPU:
		return purpose, "let Prometheus scrape /metrics/cadvisor of the kubelets"
	case promql.PodPhase:
		return "phases of pods", "let Prometheus keep this metric of kube-state-metrics"
	case promql.ContainerRequests:
		if source.Optional {
			return purpose, "no pod requests any"
		}
		return purpose, "let Prometheus scrape kube-state-metrics"
	default:
		return purpose, "run prometheus-dirsize-exporter, and add the label namespace in its scrape job"
	}
}

// remedy returns why the hub's namespace lacks a source, or what to do about it.
func remedy(found prometheus.Found, sources *prometheus.Sources, namespace string) string {
	_, remedy := sourceWords(found.Source)
	switch {
	case slices.Contains(sources.Renamed, namespace) && strings.HasPrefix(found.Metric, "kube_"):
		return "set honor_labels: true in the scrape job of kube-state-metrics, or the pods' namespace ends up in exported_namespace"
	case len(found.Elsewhere) > 0:
		return "Prometheus has it for " + some(found.Elsewhere) + " only"
	default:
		return remedy
	}
}

// sourceNotices returns notices about the series that Prometheus lacks for the hub in a
// namespace, one for each source.
func sourceNotices(sources *prometheus.Sources, namespace string) []string {
	var notices []string
	for _, found := range sources.Missing() {
		purpose, _ := sourceWords(found.Source)
		notices = append(notices, fmt.Sprintf("usage is incomplete: in the last day, Prometheus had no %s (%s) for the namespace %q: %s",
			found.Metric, purpose, namespace, remedy(found, sources, namespace)))
	}
	return append(notices, sourceWarnings(sources, namespace)...)
}

// sourceWarnings returns warnings about all sources together.
func sourceWarnings(sources *prometheus.Sources, namespace string) []string {
	var warnings []string
	for _, found := range sources.Found {
		if found.Metric == promql.PodAnnotations && len(found.Elsewhere) > 0 {
			warnings = append(warnings, fmt.Sprintf("the pods of users are in %s, not in %q: set --namespace to the namespace of the hub's pods", some(found.Elsewhere), namespace))
		}
	}
	if len(sources.Clusters) > 0 {
		warnings = append(warnings, fmt.Sprintf("several clusters have pods in the namespace %q (%s), and the usage of all of them counts: choose one with --prometheus-matcher 'cluster=%q'; for 'rules' and 'dashboard', use --cluster-label cluster",
			namespace, some(sources.Clusters), sources.Clusters[0]))
	}
	return warnings
}
