"""What the engine answers."""

from __future__ import annotations

import enum
from typing import Literal

import msgspec

from relata.relationships import SubjectRef


class Permissionship(enum.StrEnum):
    """The three answers to a check."""

    ALLOWED = "allowed"
    DENIED = "denied"
    CONDITIONAL = "conditional"
    """It depends on context that was not given. Faces that know only yes and no say no."""


class FoundSubjects(msgspec.Struct, frozen=True):
    """Who has a permission: these ids and, with `wildcard`, everybody but the excluded."""

    ids: tuple[str, ...]
    wildcard: bool = False
    excluded_ids: tuple[str, ...] = ()


class ExpandNode(msgspec.Struct, frozen=True, omit_defaults=True):
    """A node of an expansion: who is in `expression` at the resource, a part of `resource#name`.

    A `leaf` lists subjects: for a relation those that are stored, objects, wildcards, and
    usersets, which can be expanded in turn. A `union`, `intersection` or `exclusion` has children;
    an exclusion has two, the base and the subtracted. With `cycle`, the node stands for one that
    is already on the way to it, and lists nobody.
    """

    resource: str
    name: str
    expression: str
    operation: Literal["leaf", "union", "intersection", "exclusion"]
    subjects: tuple[SubjectRef, ...] = ()
    children: tuple[ExpandNode, ...] = ()
    cycle: bool = False
