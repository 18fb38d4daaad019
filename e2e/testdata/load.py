"""Fill the database of a hub that is not running: through the API, thousands of users take minutes.

Usage: load.py DATABASE_URL < {"groups": [name], "users": [{"name", "groups", "hours_ago", "servers"}]}

Servers are the names of named servers, which are stopped.
"""

import json
import sys
from datetime import datetime, timedelta, timezone

from jupyterhub import orm, roles

data = json.load(sys.stdin)
db = orm.new_session_factory(sys.argv[1])()
# A hub without roles would assign the default ones when it starts, which takes minutes for thousands of users.
for role in roles.get_default_roles():
    roles.create_role(db, role)
default_roles = [orm.Role.find(db, "user")]
names = data["groups"] + [name for user in data["users"] for name in user["groups"] or []]
groups = {name: orm.Group(name=name) for name in dict.fromkeys(names)}
db.add_all(groups.values())
now = datetime.now(timezone.utc).replace(tzinfo=None)  # the hub stores naive UTC
for user in data["users"]:
    row = orm.User(name=user["name"], roles=default_roles, groups=[groups[name] for name in user["groups"] or []])
    if "hours_ago" in user:
        row.last_activity = now - timedelta(hours=user["hours_ago"])
    db.add(row)
    db.add_all(orm.Spawner(name=name, user=row) for name in user.get("servers") or [])
db.commit()
