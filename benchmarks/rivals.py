"""The peers that are installed, opened on the same data, with what they cannot do taken note of."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import NamedTuple

from benchmarks.peers import PEERS, Peer, Unable

Pair = tuple[str, str]
"""A resource and a subject."""

_COMPARED = 100
"""Answers of a peer that are compared; some take very long."""

_LONGEST_EXCUSE = 80


class Rival(NamedTuple):
    """A peer on the data of a benchmark."""

    name: str
    peer: Peer

    def check(self, pair: Pair) -> bool:
        """Whether the subject may view the resource."""
        return self.peer.check(pair[0], "view", pair[1])

    def resources(self, subject: str) -> Collection[str] | None:
        """The documents that the subject may view."""
        return self.peer.lookup_resources("document", "view", subject)

    def subjects(self, resource: str) -> Collection[str] | None:
        """The users who may view the resource."""
        return self.peer.lookup_subjects(resource, "view", "user")

    def fault(self, pairs: Sequence[Pair], answer: bool) -> str:
        """Why the peer cannot be compared on these checks; empty where it answers them."""
        try:
            wrong = sum(self.check(pair) is not answer for pair in pairs[:_COMPARED])
        except Unable as error:
            return f"{self.name}: {_first_line(error)}"
        return f"{self.name} answers otherwise" if wrong else ""


class Rivals(NamedTuple):
    """The rivals that take a schema and data, and why others do not."""

    able: list[Rival]
    excuses: list[str]


@contextmanager
def rivals(names: Iterable[str], schema: str, relationships: Sequence[str]) -> Iterator[Rivals]:
    """Open the peers of these names that are installed, on a schema and relationships."""
    found = Rivals([], [])
    with ExitStack() as stack:
        for name in names:
            try:
                peer = PEERS[name](schema, relationships)
            except ImportError:
                continue
            except Unable as error:
                found.excuses.append(f"{name}: {_first_line(error)}")
            else:
                found.able.append(Rival(name, stack.enter_context(closing(peer))))
        yield found


def _first_line(error: Exception) -> str:
    line = (str(error) or type(error).__name__).splitlines()[0]
    return line if len(line) <= _LONGEST_EXCUSE else f"{line[:_LONGEST_EXCUSE]} ..."
