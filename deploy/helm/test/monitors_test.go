package chart_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
)

// limits are what a monitor limits, and the formats that it asks for.
type limits struct {
	Samples, LabelValueLength int64
	BodySize                  monitoringv1.ByteSize
	Protocols                 string
	Fallback                  monitoringv1.ScrapeProtocol
}

// limitsOf returns the limits of the only monitor of a release.
func limitsOf(t *testing.T, release objects) limits {
	t.Helper()
	of := func(samples, length *int64, size *monitoringv1.ByteSize, protocols []monitoringv1.ScrapeProtocol, fallback *monitoringv1.ScrapeProtocol) limits {
		words := make([]string, len(protocols))
		for i, protocol := range protocols {
			words[i] = string(protocol)
		}
		return limits{pointed(samples), pointed(length), pointed(size), strings.Join(words, " "), pointed(fallback)}
	}
	if monitors := all[*monitoringv1.ServiceMonitor](release); len(monitors) > 0 {
		s := monitors[0].Spec
		return of(s.SampleLimit, s.LabelValueLengthLimit, s.BodySizeLimit, s.ScrapeProtocols, s.FallbackScrapeProtocol)
	}
	s := one[*monitoringv1.PodMonitor](t, release).Spec
	return of(s.SampleLimit, s.LabelValueLengthLimit, s.BodySizeLimit, s.ScrapeProtocols, s.FallbackScrapeProtocol)
}

// pointed is what a pointer points to, if it points to anything.
func pointed[T any](p *T) T {
	if p == nil {
		return *new(T)
	}
	return *p
}

// TestMonitorLimits tells where a ServiceMonitor and a PodMonitor have the limits, and that they have none without values.
func TestMonitorLimits(t *testing.T) {
	for _, kind := range []string{"serviceMonitor", "podMonitor"} {
		set := []string{"--set", kind + ".enabled=true"}
		if d := cmp.Diff(limits{}, limitsOf(t, render(t, set...))); d != "" {
			t.Errorf("%s without values, -want +got:\n%s", kind, d)
		}
		values := []string{"sampleLimit=12345678", "labelValueLengthLimit=1023", "bodySizeLimit=1.5GiB", "scrapeProtocols={OpenMetricsText1.0.0,PrometheusText0.0.4}", "fallbackScrapeProtocol=PrometheusText1.0.0"}
		for _, value := range values {
			set = append(set, "--set", kind+"."+value)
		}
		want := limits{12345678, 1023, "1.5GiB", "OpenMetricsText1.0.0 PrometheusText0.0.4", "PrometheusText1.0.0"}
		if d := cmp.Diff(want, limitsOf(t, render(t, set...))); d != "" {
			t.Errorf("%s, -want +got:\n%s", kind, d)
		}
	}
}
