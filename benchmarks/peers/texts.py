"""The parts of a relationship's text, for engines that take them apart."""

from __future__ import annotations

from typing import NamedTuple

from benchmarks.peers import Unable


class Parts(NamedTuple):
    """A relationship without a caveat or an expiration."""

    resource_type: str
    resource_id: str
    relation: str
    subject_type: str
    subject_id: str
    subject_relation: str
    """Empty for the object itself."""


def parts(relationship: str) -> Parts:
    """Take a relationship apart.

    Raises Unable where it carries a caveat or an expiration.
    """
    if "[" in relationship:
        raise Unable(f"takes neither caveats nor expirations: `{relationship}`")
    place, _, subject = relationship.partition("@")
    resource, _, relation = place.partition("#")
    subject_object, _, subject_relation = subject.partition("#")
    return Parts(*split(resource), relation, *split(subject_object), subject_relation)


def split(object_: str) -> tuple[str, str]:
    """The type and the id of an object."""
    type_, _, id_ = object_.partition(":")
    return type_, id_
