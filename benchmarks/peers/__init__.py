"""Other permission engines, asked the same questions about the same relationships.

Each is an optional install, and lies in a module of its own that is imported when it is opened.
What an engine has no word for is `Unable`: nothing is approximated, so that every answer can be
compared.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from importlib import import_module
from typing import Protocol


class Unable(Exception):  # noqa: N818  it is an answer
    """This peer cannot take this schema, so much data or this question; says why."""


class Peer(Protocol):
    """An engine that has been given a schema and relationships.

    A question that it gives up is an `Unable` with its own words.
    """

    name: str
    """With its version."""

    def check(self, resource: str, permission: str, subject: str, /) -> bool:
        """Whether the subject has the permission."""
        ...

    def lookup_resources(
        self, resource_type: str, permission: str, subject: str, /
    ) -> Collection[str] | None:
        """The ids of all resources on which the subject has the permission.

        None where it has no such question.
        """
        ...

    def lookup_subjects(
        self, resource: str, permission: str, subject_type: str, /
    ) -> Collection[str] | None:
        """The ids of all subjects of a type that have the permission, `*` for a wildcard.

        None where it has no such question.
        """
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


class WithoutLookups:
    """The lookups of an engine that has none."""

    def lookup_resources(self, *_: str) -> None:
        """None: no such question."""

    def lookup_subjects(self, *_: str) -> None:
        """None: no such question."""


Open = Callable[[str, Sequence[str]], Peer]
"""Makes a peer of a schema and relationships.

Raises ImportError where its package is not installed, and Unable where it cannot take them.
"""


def _lazily(module: str, opener: str) -> Open:
    def open_(schema: str, relationships: Sequence[str]) -> Peer:
        opened: Open = getattr(import_module(f"benchmarks.peers.{module}"), opener)
        return opened(schema, relationships)

    return open_


PEERS: Mapping[str, Open] = {
    "pemba": _lazily("pemba", "in_memory"),
    "pemba SQLite": _lazily("pemba", "in_sqlite"),
    "zanzibar-index": _lazily("zanzibar_index", "of_sets"),
    "zanzibar-index graph": _lazily("zanzibar_index", "of_edges"),
    "casbin": _lazily("casbin", "open_"),
    "cedarpy": _lazily("cedar", "open_"),
    "SpiceDB": _lazily("spicedb", "in_process"),
    "SpiceDB gRPC": _lazily("spicedb", "over_grpc"),
}
