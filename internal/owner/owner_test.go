package owner_test

import (
	"testing"

	"github.com/groups-exporter/groups-exporter/internal/owner"
)

func TestX(t *testing.T) {
	x := owner.NewIndex([]owner.User{{Name: "ada@uni.example", Servers: []string{"My GPU"}}, {Name: "has-hyphen"}, {Name: "has-2dhyphen"}, {Name: "ada"}, {Name: "first.last.of.a.long.name@university.example.org"}}, owner.DefaultTemplates())
	for _, n := range []string{"ada", "jupyter-ada--gpu", "claim-ada--gpu", "claim-has-2dhyphen", "claim-ada-uni-example---5b41514d", "jupyter-ada--my-gpu---12345678", "/home/x/ada-40uni-2eexample/", "nobody",
		owner.DefaultTemplates().Pods[0].Expand("first.last.of.a.long.name@university.example.org", "gpu", owner.Safe),
		owner.DefaultTemplates().Pods[0].Expand("first.last.of.a.long.name@university.example.org", "My GPU", owner.Safe),
		owner.DefaultTemplates().Pods[0].Expand("first.last.of.a.long.name@university.example.org", "Mi GPU", owner.Safe)} {
		t.Logf("%s %+v %v", n, x.Find(n), x.Possible(n, owner.KindPod))
	}
}
