"""The configuration of a hub whose servers use and request what loads.json says.

The keys of loads.json are a user and a server, as "user/server".
"""

import json

c = get_config()  # noqa: F821
for name, options in json.load(open("jupyterhub_config.json")).items():
    c[name].update(options)
loads = json.load(open("loads.json"))


def load(spawner):
    return loads[f"{spawner.user.name}/{spawner.name}"]


def request(spawner):
    spawner.cpu_guarantee = load(spawner)["requested_cores"]
    spawner.mem_guarantee = load(spawner)["requested_bytes"]


c.KubeSpawner.environment = {
    "USE_CORES": lambda spawner: str(load(spawner)["cores"]),
    "USE_BYTES": lambda spawner: str(load(spawner)["bytes"]),
}
c.KubeSpawner.pre_spawn_hook = request
