"""Worlds in which nothing leads back to itself.

SpiceDB answers a question that leads back to where it came from with an error, after fifty levels
of depth and as many ways as there are. Relata answers it. So that there is something to compare,
most worlds are straightened: permissions name only what is declared above them, and a
relationship's subject stands above its resource, in the order of ids and then of types.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from relata.relationships import ObjectRef, Relationship, SubjectRef
from tests.strategies import IDS, TYPES, Body, World

_OPERAND = re.compile(r"[a-z_]+(?:->[a-z_]+|\.a(?:ny|ll)\([a-z_]+\))?")


def straightened(world: World) -> World:
    """The world with every permission and relationship that leads back turned forward."""
    return replace(
        world,
        bodies=_forward_bodies(world.bodies),
        stored=_upwards(world.stored),
        contextual=_upwards(world.contextual),
        stale=(),
    )


def half_straightened(world: World) -> World:
    """The world with its permissions turned forward and its relationships as they are."""
    return replace(world, bodies=_forward_bodies(world.bodies), stale=())


def _forward_bodies(bodies: Mapping[str, Body]) -> dict[str, Body]:
    return {type_: Body(body.relations, _forward(body)) for type_, body in bodies.items()}


def _forward(body: Body) -> dict[str, str]:
    forward: dict[str, str] = {}
    for name, text in body.permissions.items():
        declared = partial(_declared, allowed=[*body.relations, *forward, "self", "nil"])
        forward[name] = _OPERAND.sub(declared, text)
    return forward


def _declared(found: re.Match[str], allowed: Sequence[str]) -> str:
    operand = found[0]
    return operand if not operand.isidentifier() or operand in allowed else allowed[0]


def _upwards(relationships: Iterable[Relationship]) -> tuple[Relationship, ...]:
    turned = map(_upward, relationships)
    return tuple({item.key: item for item in turned}.values())


def _upward(item: Relationship) -> Relationship:
    resource, subject = item.resource, item.subject
    if subject.is_wildcard or _height(resource) < _height(subject.object):
        return item
    low, high = sorted((resource.id, subject.id), key=IDS.index)
    if low == high and TYPES.index(resource.type) >= TYPES.index(subject.type):
        low, high = _apart(low)
    return replace_ends(
        item, ObjectRef(resource.type, low), SubjectRef(subject.type, high, subject.relation)
    )


def _height(ref: ObjectRef) -> tuple[int, int]:
    return IDS.index(ref.id), TYPES.index(ref.type)


def _apart(id_: str) -> tuple[str, str]:
    """Two ids in order, one of which is this one."""
    place = min(IDS.index(id_), len(IDS) - 2)
    return IDS[place], IDS[place + 1]


def replace_ends(item: Relationship, resource: ObjectRef, subject: SubjectRef) -> Relationship:
    """The relationship between another resource and subject."""
    return Relationship(resource, item.relation, subject, item.caveat, item.expires_at)
