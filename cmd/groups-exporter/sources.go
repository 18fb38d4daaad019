package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/groups-exporter/groups-exporter/internal/prometheus"
	"github.com/groups-exporter/groups-exporter/internal/promql"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

// resourceWord returns a resource as people call it.
func resourceWord(resource usage.Resource) string {
	switch resource {
	case usage.Memory:
		return "memory"
	case usage.CPU:
		return "CPU"
	case usage.MemoryRequests:
		return "memory requests"
	case usage.CPURequests:
		return "CPU requests"
	case usage.GPURequests:
		return "GPU requests"
	case usage.GPUSliceRequests:
		return "GPU slice requests"
	default:
		return "home directories"
	}
}

// sourceWords returns what a source is for, and how to get it into Prometheus.
func sourceWords(source promql.Source) (purpose, remedy string) {
	purpose = resourceWord(source.Of[0])
	switch source.Metric {
	case promql.PodAnnotations:
		return "owners of pods", "start kube-state-metrics with --metric-annotations-allowlist=pods=[hub.jupyter.org/username]"
	case promql.ContainerMemory, promql.ContainerCPU:
		return purpose, "let Prometheus scrape /metrics/cadvisor of the kubelets"
	case promql.PodPhase:
		return "phases of pods", "let Prometheus keep this metric of kube-state-metrics"
	case promql.ContainerRequests:
		if source.Optional {
			return purpose, "no pod has any"
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
		notices = append(notices, fmt.Sprintf("usage is incomplete: in the last day Prometheus had no %s (%s) for the namespace %q: %s",
			found.Metric, purpose, namespace, remedy(found, sources, namespace)))
	}
	return append(notices, sourceWarnings(sources, namespace)...)
}

// sourceWarnings returns warnings about the sources as a whole.
func sourceWarnings(sources *prometheus.Sources, namespace string) []string {
	var warnings []string
	for _, found := range sources.Found {
		if found.Metric == promql.PodAnnotations && len(found.Elsewhere) > 0 {
			warnings = append(warnings, fmt.Sprintf("pods of users are in %s and not in %q: --namespace has to be the namespace of the hub's pods", some(found.Elsewhere), namespace))
		}
	}
	if len(sources.Clusters) > 0 {
		warnings = append(warnings, fmt.Sprintf("pods of several clusters are in the namespace %q (%s), and all of them count: choose a cluster with --prometheus-matcher 'cluster=%q'; for 'rules' and 'dashboard', use --cluster-label cluster",
			namespace, some(sources.Clusters), sources.Clusters[0]))
	}
	return warnings
}
