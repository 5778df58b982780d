"""What the engine answers."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Literal

import msgspec

from relata.relationships import SubjectRef


class Permissionship(enum.StrEnum):
    """The three answers to a check."""

    ALLOWED = "allowed"
    DENIED = "denied"
    CONDITIONAL = "conditional"
    """It depends on context that was not given. Faces that know only yes and no say no."""


Answer = bool | frozenset[str]
"""Allowed, denied, or the names of the parameters that it waits for."""


class FoundResources(msgspec.Struct, frozen=True):
    """Which resources: the ids allowed and, by id, what the conditional ones wait for.

    It is `lasting` where no caveat and no expiration can be reached: true as long as the graph is
    what it is.
    """

    ids: tuple[str, ...]
    conditional: Mapping[str, tuple[str, ...]] = {}
    lasting: bool = False


class FoundSubjects(msgspec.Struct, frozen=True):
    """Who has a permission.

    These ids; the conditional ids, each with what it waits for; and, with `wildcard`, everybody
    else but the excluded. `wildcard_waits_for` is None unless everybody else has it on a
    condition. For `lasting` see FoundResources.
    """

    ids: tuple[str, ...]
    wildcard: bool = False
    excluded_ids: tuple[str, ...] = ()
    conditional: Mapping[str, tuple[str, ...]] = {}
    wildcard_waits_for: tuple[str, ...] | None = None
    lasting: bool = False


class FoundPermissions(msgspec.Struct, frozen=True):
    """Which permissions: the names allowed and, by name, what the conditional ones wait for."""

    names: tuple[str, ...]
    conditional: Mapping[str, tuple[str, ...]] = {}


class ExpandNode(msgspec.Struct, frozen=True, omit_defaults=True):
    """A node of an expansion: who is in `expression` at the resource, a part of `resource#name`.

    A `leaf` lists subjects: for a relation those that are stored, objects, wildcards, and
    usersets, which can be expanded in turn. A `union`, `intersection` or `exclusion` has children;
    an exclusion has two, the base and the subtracted. With `cycle`, the node stands for one that
    is already on the way to it, and lists nobody.

    A relationship that has expired, or whose caveat is false, is left out. One whose caveat lacks
    context says what it waits for: of a leaf in `conditional`, by subject; of an arrow in
    `missing_context` of the child that it leads to.
    """

    resource: str
    name: str
    expression: str
    operation: Literal["leaf", "union", "intersection", "exclusion"]
    subjects: tuple[SubjectRef, ...] = ()
    children: tuple[ExpandNode, ...] = ()
    cycle: bool = False
    conditional: Mapping[SubjectRef, tuple[str, ...]] = {}
    missing_context: tuple[str, ...] = ()


class ExplainNode(msgspec.Struct, frozen=True):
    """A node of an explanation: what a part of the schema, or a relationship, says of a subject.

    The part is `expression` at the resource: a whole relation or permission `resource#name`, which
    has its `line` in the schema, or a part of one. A `relation`, an `arrow` and `all` (which is
    `.all()`) have one child for each relationship that they follow; a `relationship` has as its
    child what it leads to, and none where that is the subject itself.

    `answer` is what a check of the part says. What is left out where the answer is clear without
    it is the business of whoever explains; see `explain.py`.
    """

    resource: str
    name: str
    expression: str
    operation: Literal[
        "relation",
        "relationship",
        "computed",
        "arrow",
        "all",
        "union",
        "intersection",
        "exclusion",
        "nil",
        "self",
    ]
    answer: Permissionship
    reason: str = ""
    """What the children do not say, in words."""
    line: int = 0
    """Where the schema declares the relation or permission, counted from 1; 0 for a part of one."""
    relationship: str = ""
    """As it is written, with its caveat, stored context and expiration."""
    condition: Literal["", "holds", "false", "missing_context", "failed", "expired"] = ""
    """What the caveat of the relationship says, or its expiration; empty where it has neither."""
    missing_context: tuple[str, ...] = ()
    """What the answer waits for; of a relationship, what its own caveat lacks. Sorted."""
    children: tuple[ExplainNode, ...] = ()
    left_out: int = 0
    """How many children more there are that are not listed."""
    cycle: bool = False
    """The node is one that is already on the way to it; it has no children."""
    repeated: bool = False
    """The node stands in full before this one; here it has no children."""
    undefined: bool = False
    """The answer, or what it is without its condition, rests on its own absence: it is not granted,
    nor is what subtracts it."""
