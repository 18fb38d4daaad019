package homes

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
)

// The annotations and the label of the claims that kubespawner makes.
const (
	userAnnotation   = "hub.jupyter.org/username"
	serverAnnotation = "hub.jupyter.org/servername"
	componentLabel   = "component"
	claimComponent   = "singleuser-storage"
)

// claim is a PersistentVolumeClaim of Kubernetes.
type claim struct {
	Kind     string
	Metadata struct {
		Name, Namespace     string
		Annotations, Labels map[string]string
	}
	Spec struct {
		Resources struct{ Requests struct{ Storage string } }
	}
	Status struct{ Capacity struct{ Storage string } }
}

// ReadClaims reads the JSON of "kubectl get pvc", and returns the claims that kubespawner made and the names of the
// others, such as that of the hub's own database. It returns an error if the claims are in several namespaces, because
// those of another hub would seem to be nobody's.
func ReadClaims(r io.Reader) (claims []Home, others []string, err error) {
	var list struct {
		Items    *[]claim
		Metadata struct{ Continue string }
	}
	decoder := json.NewDecoder(r)
	if err := decoder.Decode(&list); err != nil {
		return nil, nil, fmt.Errorf("it is not the JSON of kubectl: %w", err)
	}
	switch {
	case decoder.More():
		return nil, nil, errors.New("it has several lists: use a single 'kubectl get pvc'")
	case list.Items == nil:
		return nil, nil, errors.New("it is not a list of claims, as 'kubectl get pvc --output json' prints it")
	case list.Metadata.Continue != "":
		return nil, nil, errors.New("it is only a part of the list of claims")
	}
	namespaces := map[string]bool{}
	for _, c := range *list.Items {
		if c.Kind != "PersistentVolumeClaim" {
			return nil, nil, fmt.Errorf("%q in it is not a claim, but a %s", c.Metadata.Name, c.Kind)
		}
		namespaces[c.Metadata.Namespace] = true
		user := c.Metadata.Annotations[userAnnotation]
		if user == "" && c.Metadata.Labels[componentLabel] != claimComponent {
			others = append(others, c.Metadata.Name)
			continue
		}
		size, err := c.size()
		if err != nil {
			return nil, nil, err
		}
		claims = append(claims, Home{
			Kind: Claim, Name: c.Metadata.Name, Path: c.Metadata.Name, Size: size, Limit: size,
			User: user, Server: c.Metadata.Annotations[serverAnnotation],
		})
	}
	if len(namespaces) > 1 {
		return nil, nil, fmt.Errorf("its claims are in %d namespaces: list those of one hub, with 'kubectl get pvc --namespace NAME'", len(namespaces))
	}
	return claims, others, nil
}

// size returns the capacity of a claim in bytes, or nil if it has none yet.
func (c *claim) size() (*int64, error) {
	text := c.Status.Capacity.Storage
	if text == "" {
		text = c.Spec.Resources.Requests.Storage
	}
	if text == "" {
		return nil, nil //nolint:nilnil // a claim may have no capacity yet
	}
	size, ok := parseQuantity(text)
	if !ok {
		return nil, fmt.Errorf("the claim %q has the size %q, which is not a number of bytes", c.Metadata.Name, text)
	}
	return &size, nil
}

// parseQuantity parses a quantity of Kubernetes, such as "10Gi", "5e9" or "1500m", as a number of bytes. It rounds up.
func parseQuantity(text string) (bytes int64, ok bool) {
	text, isMilli := strings.CutSuffix(text, "m")
	number, err := strconv.ParseFloat(text, 64)
	switch {
	case err == nil && isMilli:
		number /= 1000
	case err != nil && !isMilli:
		var whole uint64
		whole, err = humanize.ParseBytes(text)
		number = float64(whole)
	}
	if err != nil || !(number >= 0 && number <= 1<<62) {
		return 0, false
	}
	return int64(math.Ceil(number)), true
}
