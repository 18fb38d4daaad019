"""Print the pods, claims and directories that kubespawner makes for users and their servers.

Usage: owned.py < {"owners": [[username, servername], ...], "templates": {kind: [template, ...]}} > {kind: {name: [owner, ...]}}

An owner is an index. Without templates of pods and claims, those are kubespawner's own.
"""

import inspect
import json
import sys
from types import SimpleNamespace

from kubespawner import KubeSpawner

spawner = KubeSpawner.__new__(KubeSpawner)  # __init__ would look for a cluster
given = json.load(sys.stdin)
templates = given["templates"] or {
    "pod": [spawner.pod_name_template],
    "claim": [spawner.pvc_name_template],
    "directory": ["{username}"],
}
schemes = [{}]  # kubespawner 6 has only one
if "slug_scheme" in inspect.signature(spawner._expand_user_properties).parameters:
    schemes = [{"slug_scheme": "escape"}, {"slug_scheme": "safe"}]

found = {kind: {} for kind in templates}
for owner, (username, servername) in enumerate(given["owners"]):
    spawner.user = SimpleNamespace(name=username, id=1)
    spawner.orm_spawner = SimpleNamespace(name=servername, server=None)
    for kind, texts in templates.items():
        for template in texts:
            for scheme in schemes:
                name = spawner._expand_user_properties(template, **scheme)
                owners = found[kind].setdefault(name, [])
                if owner not in owners:
                    owners.append(owner)

json.dump(found, sys.stdout)
