package kubestate

import (
	"maps"
	"slices"
	"strings"
)

// phases are the phases of a pod, in the order in which they are exported.
var phases = []string{"Pending", "Succeeded", "Failed", "Unknown", "Running"}

// ofPods returns the metrics of pods. Pods that have ended are exported until they are deleted, and pods that aren't
// scheduled have an empty node.
func (e *Exporter) ofPods(pods []pod) []*family {
	annotations, labels := &family{name: "kube_pod_annotations"}, &family{name: "kube_pod_labels"}
	phase := &family{name: "kube_pod_status_phase"}
	requests := &family{name: "kube_pod_container_resource_requests"}
	initRequests := &family{name: "kube_pod_init_container_resource_requests"}
	terminated := &family{name: "kube_pod_container_status_terminated"}
	initTerminated := &family{name: "kube_pod_init_container_status_terminated"}
	for _, p := range pods {
		of := []label{{"namespace", p.Metadata.Namespace}, {"pod", p.Metadata.Name}, {"uid", p.Metadata.UID}}
		annotations.addNames(of, "annotation", p.Metadata.Annotations, e.Annotations["pods"])
		labels.addNames(of, "label", p.Metadata.Labels, e.Labels["pods"])
		for _, one := range phases {
			if p.Status.Phase != "" {
				phase.add(truth(one == p.Status.Phase), of, label{"phase", one})
			}
		}
		requests.addRequests(of, p.Spec.NodeName, p.Spec.Containers)
		initRequests.addRequests(of, p.Spec.NodeName, p.Spec.InitContainers)
		terminated.addTerminated(of, p.Status.ContainerStatuses)
		initTerminated.addTerminated(of, p.Status.InitContainerStatuses)
	}
	return []*family{annotations, labels, phase, requests, initRequests, terminated, initTerminated}
}

// ofClaims returns the metrics of volume claims.
func (e *Exporter) ofClaims(claims []claim) []*family {
	annotations, labels := &family{name: "kube_persistentvolumeclaim_annotations"}, &family{name: "kube_persistentvolumeclaim_labels"}
	storage := &family{name: "kube_persistentvolumeclaim_resource_requests_storage_bytes"}
	for _, c := range claims {
		of := []label{{"namespace", c.Metadata.Namespace}, {"persistentvolumeclaim", c.Metadata.Name}}
		annotations.addNames(of, "annotation", c.Metadata.Annotations, e.Annotations["persistentvolumeclaims"])
		labels.addNames(of, "label", c.Metadata.Labels, e.Labels["persistentvolumeclaims"])
		if requested, ok := c.Spec.Resources.Requests["storage"]; ok {
			storage.add(units(requested), of)
		}
	}
	return []*family{annotations, labels, storage}
}

// addNames adds an object's annotations or labels. An object without any has a series too, unless nothing is allowed.
func (f *family) addNames(of []label, prefix string, values map[string]string, allowed []string) {
	if len(allowed) == 0 {
		return
	}
	if allowed[0] != "*" {
		values = maps.Clone(values)
		maps.DeleteFunc(values, func(name, _ string) bool { return !slices.Contains(allowed, name) })
	}
	f.add(1, of, labelsOf(prefix, values)...)
}

func (f *family) addRequests(of []label, node string, containers []container) {
	for _, c := range containers {
		for _, resource := range slices.Sorted(maps.Keys(c.Resources.Requests)) {
			quantity := c.Resources.Requests[resource]
			unit, value := unitOf(resource), units(quantity)
			if unit == "core" {
				value = cores(quantity)
			}
			if unit != "" {
				f.add(value, of, label{"container", c.Name}, label{"node", node}, label{"resource", sanitize(resource)}, label{"unit", unit})
			}
		}
	}
}

func (f *family) addTerminated(of []label, statuses []containerStatus) {
	for _, s := range statuses {
		f.add(truth(s.State.Terminated != nil), of, label{"container", s.Name})
	}
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// unitOf returns the unit of a requested resource, or "" if the resource isn't exported.
func unitOf(resource string) string {
	switch {
	case resource == "cpu":
		return "core"
	case resource == "memory", resource == "storage", resource == "ephemeral-storage",
		strings.HasPrefix(resource, "hugepages-"), strings.HasPrefix(resource, "attachable-volumes-"):
		return "byte"
	case strings.Contains(resource, "/") && !strings.Contains(resource, "kubernetes.io/"):
		return "integer"
	default:
		return ""
	}
}
