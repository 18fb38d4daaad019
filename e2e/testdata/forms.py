"""Print every form of a name that kubespawner itself makes.

Usage: forms.py < [[username, servername], ...] > [{"username", "servername", "escape", "safe", ...}, ...]
"""

import json
import sys
from types import SimpleNamespace

from kubespawner import KubeSpawner
from kubespawner.slugs import is_valid_label, safe_slug

spawner = KubeSpawner.__new__(KubeSpawner)  # __init__ would look for a cluster


def forms(username, servername):
    spawner.user = SimpleNamespace(name=username, id=1)
    spawner.orm_spawner = SimpleNamespace(name=servername, server=None)

    def expand(template, scheme):
        return spawner._expand_user_properties(template, slug_scheme=scheme)

    return {
        "username": username,
        "servername": servername,
        "escape": expand("{username}", "escape"),
        "safe": expand("{username}", "safe"),
        "label": safe_slug(username, is_valid=is_valid_label),
        "safe_user_server": expand("{user_server}", "safe"),
        "escape_user_server": expand("{user_server}", "escape"),
        "safe_pod_name": expand(spawner.pod_name_template, "safe"),
        "escape_pod_name": expand(spawner.pod_name_template, "escape"),
    }


json.dump([forms(*names) for names in json.load(sys.stdin)], sys.stdout)
