//go:build e2e

package e2e

// lookup checks that lookup finds the user and the server of each pod and claim that kubespawner has made.
func (u *spawnedUsage) lookup(k *kubernetes, env []string) {
	u.t.Helper()
	type row struct{ Name, Kind, User, Server string }
	for _, kind := range []string{"pod", "persistentvolumeclaim"} {
		list, err := k.Kubectl(u.t.Context(), "", "get", kind, "--namespace="+usageNamespace, "--output=name")
		noError(u.t, err)
		r := run(u.t, env, list, "lookup", "--output=json")
		if r.code != 0 || r.stderr != "" {
			u.t.Errorf("lookup: exit code %d\n%s", r.code, r.stderr)
		}
		got, want := map[string]string{}, map[string]string{}
		for _, row := range decode[[]row](u.t, r.stdout) {
			got[row.Name] = row.User + "/" + row.Server
		}
		for _, s := range u.servers {
			name := s.pod.Metadata.Name
			if kind != "pod" {
				name = s.claim
			}
			want[kind+"/"+name] = s.pod.user()
		}
		report(u.t, "lookup", same(want, got))
	}
}
