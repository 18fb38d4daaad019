package kubestate

// The parts of Kubernetes' objects that are exported.

type metadata struct {
	Namespace, Name, UID string
	Annotations, Labels  map[string]string
}

type pod struct {
	Metadata metadata
	Spec     struct {
		NodeName                   string
		Containers, InitContainers []container
	}
	Status struct {
		Phase                                    string
		ContainerStatuses, InitContainerStatuses []containerStatus
	}
}

type container struct {
	Name      string
	Resources resources
}

type containerStatus struct {
	Name  string
	State struct{ Terminated *struct{} }
}

type claim struct {
	Metadata metadata
	Spec     struct{ Resources resources }
}

type resources struct{ Requests map[string]string }
