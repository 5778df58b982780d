"""casbin (PyCasbin): roles of users and of resources, and a matcher over every policy.

It has no schema language, so the workload's schema is translated by hand into its model with
resource roles: a group is a role of its members, a folder a role of what lies in it, and a viewer
is a policy. Other schemas it is not asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.metadata import version

import casbin

from benchmarks.peers import Unable, WithoutLookups
from benchmarks.peers.texts import parts
from benchmarks.workload import SCHEMA

_MODEL = """
[request_definition]
r = sub, obj

[policy_definition]
p = sub, obj

[role_definition]
g = _, _
g2 = _, _

[policy_effect]
e = some(where (p.eft == allow))

[matchers]
m = g(r.sub, p.sub) && g2(r.obj, p.obj)
"""


class Casbin(WithoutLookups):
    """A `benchmarks.peers.Peer`."""

    def __init__(self, relationships: Iterable[str]) -> None:
        self.name = f"casbin {version('casbin')}"
        self._enforcer = casbin.Enforcer(casbin.Enforcer.new_model(text=_MODEL))
        policies, groups, folders = _translated(relationships)
        self._enforcer.add_policies(policies)
        self._enforcer.add_named_grouping_policies("g", groups)
        self._enforcer.add_named_grouping_policies("g2", folders)

    def check(self, resource: str, permission: str, subject: str) -> bool:
        if permission != "view":
            raise Unable("its model is for `view` alone")
        return bool(self._enforcer.enforce(subject, resource))

    def close(self) -> None:
        del self._enforcer


def open_(schema: str, relationships: Sequence[str]) -> Casbin:
    """For the workload's schema alone."""
    if schema != SCHEMA:
        raise Unable("it has no schemas; the model here is the workload's")
    return Casbin(relationships)


def _translated(relationships: Iterable[str]) -> tuple[list[list[str]], ...]:
    """Policies, roles of users, and roles of resources."""
    policies, groups, folders = [], [], []
    for part in map(parts, relationships):
        resource = f"{part.resource_type}:{part.resource_id}"
        subject = f"{part.subject_type}:{part.subject_id}"
        match part.relation:
            case "viewer":
                policies.append([subject, resource])
            case "member":
                groups.append([subject, resource])
            case _:
                folders.append([resource, subject])
    return policies, groups, folders
