package kubestate_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/groups-exporter/groups-exporter/e2e/kubestate"
)

// The values and names are examples from kube-state-metrics' documentation and tests.
const (
	pods = `{"items": [
  {
    "metadata": {"namespace": "ns1", "name": "pod1", "uid": "uid1",
      "annotations": {"hub.jupyter.org/username": "a \"b\"\\c\nd", "other": "x"}, "labels": {"app.kubernetes.io/name": "hub"}},
    "spec": {
      "containers": [
        {"name": "pod1_con1", "resources": {"requests": {
          "cpu": "200m", "memory": "100M", "ephemeral-storage": "300M", "storage": "400M", "nvidia.com/gpu": "1",
          "hugepages-2Mi": "4Mi", "attachable-volumes-aws-ebs": "5", "kubernetes.io/resource-foo": "1", "foo": "1"
        }}},
        {"name": "pod1_con2", "resources": {"requests": {"cpu": "1500u", "memory": "1.5Ki"}}},
        {"name": "pod1_con3"}
      ],
      "initContainers": [{"name": "pod1_initcon1", "resources": {"requests": {"cpu": "2", "memory": "1e3"}}}]
    },
    "status": {"phase": "Pending"}
  },
  {
    "metadata": {"namespace": "ns2", "name": "pod2", "uid": "uid2"},
    "spec": {"nodeName": "node1", "containers": [{"name": "c", "resources": {"requests": {"nvidia.com/mig-1g.5gb": "2"}}}]},
    "status": {
      "phase": "Succeeded",
      "containerStatuses": [{"name": "c", "state": {"terminated": {"exitCode": 0}}}],
      "initContainerStatuses": [{"name": "i", "state": {"running": {}}}]
    }
  },
  {"metadata": {"namespace": "ns3", "name": "pod3", "uid": "uid3"}}
]}`
	claims = `{"items": [
  {"metadata": {"namespace": "ns1", "name": "claim-ada", "uid": "uid4", "annotations": {"hub.jupyter.org/username": "ada"}},
    "spec": {"resources": {"requests": {"storage": "1Gi"}}}},
  {"metadata": {"namespace": "ns1", "name": "claim-none"}}
]}`
	exported = `# TYPE kube_pod_annotations gauge
kube_pod_annotations{namespace="ns1",pod="pod1",uid="uid1",annotation_hub_jupyter_org_username="a \"b\"\\c\nd"} 1
kube_pod_annotations{namespace="ns2",pod="pod2",uid="uid2"} 1
kube_pod_annotations{namespace="ns3",pod="pod3",uid="uid3"} 1
# TYPE kube_pod_labels gauge
# TYPE kube_pod_status_phase gauge
kube_pod_status_phase{namespace="ns1",pod="pod1",uid="uid1",phase="Pending"} 1
kube_pod_status_phase{namespace="ns1",pod="pod1",uid="uid1",phase="Succeeded"} 0
kube_pod_status_phase{namespace="ns1",pod="pod1",uid="uid1",phase="Failed"} 0
kube_pod_status_phase{namespace="ns1",pod="pod1",uid="uid1",phase="Unknown"} 0
kube_pod_status_phase{namespace="ns1",pod="pod1",uid="uid1",phase="Running"} 0
kube_pod_status_phase{namespace="ns2",pod="pod2",uid="uid2",phase="Pending"} 0
kube_pod_status_phase{namespace="ns2",pod="pod2",uid="uid2",phase="Succeeded"} 1
kube_pod_status_phase{namespace="ns2",pod="pod2",uid="uid2",phase="Failed"} 0
kube_pod_status_phase{namespace="ns2",pod="pod2",uid="uid2",phase="Unknown"} 0
kube_pod_status_phase{namespace="ns2",pod="pod2",uid="uid2",phase="Running"} 0
# TYPE kube_pod_container_resource_requests gauge
kube_pod_container_resource_requests{namespace="ns1",pod="pod1",uid="uid1",container="pod1_con1",node="",resource="attachable_volumes_aws_ebs",unit="byte"} 5
kube_pod_container_resource_requests{namespace="ns1",pod="pod1",uid="uid1",container="pod1_con1",node="",resource="cpu",unit="core"} 0.2
kube_pod_container_resource_requests{namespace="ns1",pod="pod1",uid="uid1",container="pod1_con1",node="",resource="ephemeral_storage",unit="byte"} 3e+08
kube_pod_container_resource_requests{namespace="ns1",pod="pod1",uid="uid1",container="pod1_con1",node="",resource="hugepages_2Mi",unit="byte"} 4.194304e+06
kube_pod_container_resource_requests{namespace="ns1",pod="pod1",uid="uid1",container="pod1_con1",node="",resource="memory",unit="byte"} 1e+08
kube_pod_container_resource_requests{namespace="ns1",pod="pod1",uid="uid1",container="pod1_con1",node="",resource="nvidia_com_gpu",unit="integer"} 1
kube_pod_container_resource_requests{namespace="ns1",pod="pod1",uid="uid1",container="pod1_con1",node="",resource="storage",unit="byte"} 4e+08
kube_pod_container_resource_requests{namespace="ns1",pod="pod1",uid="uid1",container="pod1_con2",node="",resource="cpu",unit="core"} 0.002
kube_pod_container_resource_requests{namespace="ns1",pod="pod1",uid="uid1",container="pod1_con2",node="",resource="memory",unit="byte"} 1536
kube_pod_container_resource_requests{namespace="ns2",pod="pod2",uid="uid2",container="c",node="node1",resource="nvidia_com_mig_1g_5gb",unit="integer"} 2
# TYPE kube_pod_init_container_resource_requests gauge
kube_pod_init_container_resource_requests{namespace="ns1",pod="pod1",uid="uid1",container="pod1_initcon1",node="",resource="cpu",unit="core"} 2
kube_pod_init_container_resource_requests{namespace="ns1",pod="pod1",uid="uid1",container="pod1_initcon1",node="",resource="memory",unit="byte"} 1000
# TYPE kube_pod_container_status_terminated gauge
kube_pod_container_status_terminated{namespace="ns2",pod="pod2",uid="uid2",container="c"} 1
# TYPE kube_pod_init_container_status_terminated gauge
kube_pod_init_container_status_terminated{namespace="ns2",pod="pod2",uid="uid2",container="i"} 0
# TYPE kube_persistentvolumeclaim_annotations gauge
kube_persistentvolumeclaim_annotations{namespace="ns1",persistentvolumeclaim="claim-ada",annotation_hub_jupyter_org_username="ada"} 1
kube_persistentvolumeclaim_annotations{namespace="ns1",persistentvolumeclaim="claim-none"} 1
# TYPE kube_persistentvolumeclaim_labels gauge
# TYPE kube_persistentvolumeclaim_resource_requests_storage_bytes gauge
kube_persistentvolumeclaim_resource_requests_storage_bytes{namespace="ns1",persistentvolumeclaim="claim-ada"} 1.073741824e+09
`
)

func TestExporter(t *testing.T) {
	username := []string{"hub.jupyter.org/username"}
	got := scrape(t, &kubestate.Exporter{
		Get:         answering(map[string]string{"/api/v1/pods": pods, "/api/v1/persistentvolumeclaims": claims}),
		Annotations: kubestate.Allowlist{"pods": username, "persistentvolumeclaims": username},
	})
	if diff := cmp.Diff(strings.Split(exported, "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// Names of labels are sanitized, and numbered where they become the same.
func TestNames(t *testing.T) {
	for labels, want := range map[string]string{
		`{}`:                                                      ``,
		`{"app.kubernetes.io/name": "hub"}`:                       `label_app_kubernetes_io_name="hub"`,
		`{"0_app3": "a", "$app4": "b"}`:                           `label__app4="b",label_0_app3="a"`,
		`{"camelCase": "a"}`:                                      `label_camel_case="a"`,
		`{"snake_camelCase": "a"}`:                                `label_snake_camel_case="a"`,
		`{"foo-bar": "a", "foo_bar": "b"}`:                        `label_foo_bar_conflict1="a",label_foo_bar_conflict2="b"`,
		`{"c_camelCase":"a","c_camel_case":"b"}`:                  `label_c_camel_case_conflict1="a",label_c_camel_case_conflict2="b"`,
		`{"x.1": "d", "x-1": "h", "x_1": "u"}`:                    `label_x_1_conflict1="h",label_x_1_conflict2="d",label_x_1_conflict3="u"`,
		`{"A.b.conflict1": "taken", "a-b": "dash", "a.b": "dot"}`: `label_a_b_conflict1="taken",label_a_b_conflict2="dash",label_a_b_conflict3="dot"`,
	} {
		got := scrape(t, &kubestate.Exporter{
			Get: answering(map[string]string{
				"/api/v1/pods":                   `{"items": [{"metadata": {"namespace": "n", "name": "p", "uid": "u", "labels": ` + labels + `}}]}`,
				"/api/v1/persistentvolumeclaims": `{}`,
			}),
			Labels: kubestate.Allowlist{"pods": {"*"}},
		})
		if want != "" {
			want = "," + want
		}
		if want = `kube_pod_labels{namespace="n",pod="p",uid="u"` + want + "} 1\n"; !strings.Contains(got, want) {
			t.Errorf("%s: no %s in\n%s", labels, want, got)
		}
	}
}

// A scrape fails if the API server does.
func TestFailure(t *testing.T) {
	recorder := httptest.NewRecorder()
	(&kubestate.Exporter{Get: answering(nil)}).ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if recorder.Code != http.StatusBadGateway {
		t.Errorf("status %d, want 502", recorder.Code)
	}
}

func answering(answers map[string]string) func(context.Context, string) ([]byte, error) {
	return func(_ context.Context, path string) ([]byte, error) {
		answer, found := answers[path]
		if !found {
			return nil, errors.New("no such object")
		}
		return []byte(answer), nil
	}
}

func scrape(t *testing.T, e *kubestate.Exporter) string {
	t.Helper()
	recorder := httptest.NewRecorder()
	e.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if recorder.Code != http.StatusOK {
		t.Fatalf("status %d: %s", recorder.Code, recorder.Body)
	}
	return recorder.Body.String()
}
