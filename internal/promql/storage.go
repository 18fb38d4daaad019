package promql

// Metrics about home directories and volume claims, apart from their usage. They come from jupyterhub-home-nfs and
// kube-state-metrics.
const (
	DirectoryLimit   = "dirsize_hard_limit_bytes"
	ClaimAnnotations = "kube_persistentvolumeclaim_annotations"
	ClaimRequests    = "kube_persistentvolumeclaim_resource_requests_storage_bytes"
)

// The labels of series about volume claims. ServerAnnotation is the annotation hub.jupyter.org/servername, which claims
// of named servers have.
const (
	VolumeClaim      = "persistentvolumeclaim"
	ServerAnnotation = "annotation_hub_jupyter_org_servername"
)

// DirectoryLimits returns the limit of each directory that has one, with the labels namespace and directory.
func (q Queries) DirectoryLimits() string {
	return "max by (" + q.Labels(Directory) + ") (" + q.OfHubs(DirectoryLimit) + ") > 0"
}

// Claims returns the size of each volume claim that names a user, with the labels namespace, persistentvolumeclaim and
// those of the annotations. The size of a claim without a request is 0.
func (q Queries) Claims() string {
	owners := call("group by ("+q.Labels(VolumeClaim, UserAnnotation, ServerAnnotation)+")", q.claims())
	requests := "max by (" + q.Labels(VolumeClaim) + ") (" + q.OfHubs(ClaimRequests) + ")"
	return owners + "\n* on (" + q.Labels(VolumeClaim) + ") group_left ()\n" + requests + "\nor\n0 * " + owners
}

// claims returns the selector of the claims that name a user.
func (q Queries) claims() string { return q.OfHubs(ClaimAnnotations, UserAnnotation+`!=""`) }

// StorageSelectors returns the selectors of directories and of volume claims that name a user.
func (q Queries) StorageSelectors() []string {
	return []string{q.OfHubs(DirectorySize), q.claims()}
}
