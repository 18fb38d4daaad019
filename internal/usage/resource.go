package usage

// Resource is a resource that users consume. It is the value of the label resource.
type Resource string

// The resources.
const (
	Memory           Resource = "memory"
	CPU              Resource = "cpu"
	MemoryRequests   Resource = "memory_requests"
	CPURequests      Resource = "cpu_requests"
	GPURequests      Resource = "gpu_requests"
	GPUSliceRequests Resource = "gpu_slice_requests"
	HomeDir          Resource = "home_dir"
)

// Resources returns all resources.
func Resources() []Resource {
	return []Resource{HomeDir, Memory, CPU, MemoryRequests, CPURequests, GPURequests, GPUSliceRequests}
}
