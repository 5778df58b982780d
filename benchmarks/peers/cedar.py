"""cedarpy: Cedar's policies and entities, in Rust under Python.

Cedar knows a user's groups, nested as deep as they are, but follows no other relation: there are no
loops in a policy. So the workload's schema is translated by hand. A place has its viewers and its
folder as attributes, and the one policy is written out for as many folders above one another as
the data has. Other schemas it is not asked.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import cedarpy

from benchmarks.peers import Unable, WithoutLookups
from benchmarks.peers.texts import parts, split
from benchmarks.workload import SCHEMA


class Cedar(WithoutLookups):
    """A `benchmarks.peers.Peer`."""

    def __init__(self, relationships: Iterable[str]) -> None:
        self.name = f"cedarpy {version('cedarpy')}"
        groups, viewers, folders = _translated(relationships)
        self._policies = cedarpy.PolicySet.from_str(_policy(_depth(folders)))
        entities = _entities(groups, viewers, folders)
        self._entities = cedarpy.Entities.from_json_str(json.dumps(entities))

    def check(self, resource: str, permission: str, subject: str) -> bool:
        if permission != "view":
            raise Unable("its policy is for `view` alone")
        request = {
            "principal": _uid(subject),
            "action": {"type": "Action", "id": permission},
            "resource": _uid(resource),
        }
        return bool(cedarpy.is_authorized(request, self._policies, self._entities).allowed)

    def close(self) -> None:
        del self._entities


def open_(schema: str, relationships: Sequence[str]) -> Cedar:
    """For the workload's schema alone."""
    if schema != SCHEMA:
        raise Unable("its policies follow no relations; the one here is the workload's")
    return Cedar(relationships)


def _translated(
    relationships: Iterable[str],
) -> tuple[dict[str, list[str]], dict[str, list[str]], dict[str, str]]:
    """The groups of users and groups, the viewers of places, and the folder of each place."""
    groups: dict[str, list[str]] = {}
    viewers: dict[str, list[str]] = {}
    folders: dict[str, str] = {}
    for part in map(parts, relationships):
        resource = f"{part.resource_type}:{part.resource_id}"
        subject = f"{part.subject_type}:{part.subject_id}"
        match part.relation:
            case "member":
                groups.setdefault(subject, []).append(resource)
            case "viewer":
                viewers.setdefault(resource, []).append(subject)
            case _ if folders.setdefault(resource, subject) != subject:
                raise Unable(f"the policy is for one folder, and {resource} is in two")
    return groups, viewers, folders


def _depth(folders: Mapping[str, str]) -> int:
    """The most folders above one another, over any place."""
    deepest = 0
    for place in folders:
        above, depth = folders.get(place), 0
        while above is not None:
            depth += 1
            if depth > len(folders):
                raise Unable("its policy cannot follow folders in a circle")
            above = folders.get(above)
        deepest = max(deepest, depth)
    return deepest


def _policy(depth: int) -> str:
    """The policy for places with so many folders above them."""
    place = "resource" + ".folder" * depth
    condition = f"principal in {place}.viewers"
    for above in reversed(range(depth)):
        place = "resource" + ".folder" * above
        condition = f"principal in {place}.viewers || ({place} has folder && ({condition}))"
    return f'permit(principal, action == Action::"view", resource) when {{ {condition} }};'


def _entities(
    groups: Mapping[str, Sequence[str]],
    viewers: Mapping[str, Sequence[str]],
    folders: Mapping[str, str],
) -> list[dict[str, Any]]:
    people = {person: None for held in groups.values() for person in held}
    people |= dict.fromkeys(groups)
    places = dict.fromkeys([*viewers, *folders, *folders.values()])
    found: list[dict[str, Any]] = [
        {"uid": _uid(person), "attrs": {}, "parents": [_uid(up) for up in groups.get(person, ())]}
        for person in people
    ]
    for place in places:
        attributes: dict[str, Any] = {"viewers": [_of(it) for it in viewers.get(place, ())]}
        if place in folders:
            attributes["folder"] = _of(folders[place])
        found.append({"uid": _uid(place), "attrs": attributes, "parents": []})
    return found


def _uid(object_: str) -> dict[str, str]:
    type_, id_ = split(object_)
    return {"type": type_, "id": id_}


def _of(object_: str) -> dict[str, Any]:
    return {"__entity": _uid(object_)}
