"""What is remembered of a graph from question to question, and when it must be forgotten.

A `Memory` belongs to one engine over one graph. It has tables of things found (`flat.py` says
which), each by a node, and no answers. Questions read it without a lock, and beside a write: a
write makes the `sequence` odd before it changes the graph, takes away what it has made untrue, and
makes it even again. What a question has found may be kept only while the sequence is what it was
when the question began, so nothing that rests on a graph between two revisions ever stays.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from relata.slices import let_others_run

_MOST_KEPT = 4_000_000
"""Integers in all tables together, about 20 bytes each with what is around them."""
ENTRY = 10
"""What an entry takes beside the integers in it."""


class Tables(dict[int, dict[int, Any]]):
    """By their numbers; one that is asked for is there. Those that were dropped may be large, and
    are freed when there is time."""

    def __init__(self) -> None:
        super().__init__()
        self.dropped: list[dict[int, Any]] = []

    def drop(self, number: int) -> None:
        """Put an empty table in the place of one."""
        dropped = self.pop(number, None)
        if dropped:
            self.dropped.append(dropped)

    def __missing__(self, number: int) -> dict[int, Any]:
        return self.setdefault(number, {})


class Recall:
    """A memory as a session may use it: as long as no write has overtaken its questions."""

    __slots__ = ("memory", "sequence")

    def __init__(self, memory: Memory | None = None, sequence: int = 0) -> None:
        self.memory = memory
        self.sequence = sequence

    def look_again(self) -> None:
        """Give the memory up if a write has come in between."""
        if self.memory is not None and self.memory.sequence != self.sequence:
            self.memory = None


class Memory:
    """Tables of what was found, each by a node."""

    def __init__(self) -> None:
        self.sequence = 0
        self.revision = 0
        """The revision of the graph, for whoever has seen that the sequence is even."""
        self.tables = Tables()
        self._lock = threading.Lock()
        self._retired = False
        self._kept = 0

    def keep(self, table: int, node: int, found: object, size: int, sequence: int) -> None:
        """Remember something of a node, if no write has begun since `sequence`, when none was
        being made."""
        with self._lock:
            if sequence & 1 or self.sequence != sequence:
                return
            self._kept += ENTRY + size
            if self._kept > _MOST_KEPT:
                for number in list(self.tables):
                    self.tables.drop(number)
                self._kept = ENTRY + size
            self.tables[table][node] = found

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Around a change of the graph, and the forgetting that it needs. One at a time."""
        with self._lock:
            self.sequence += 1
        try:
            yield
        except BaseException:
            self.tables.clear()  # what was to be forgotten may not have been
            raise
        finally:
            if not self._retired:
                with self._lock:
                    self.sequence += 1

    def retire(self) -> None:
        """In `writing`, never be even again: another memory has taken this one's place."""
        self._retired = True

    def forget(self, table: int, node: int) -> None:
        """Forget what is remembered of a node, in `writing`."""
        self.tables[table].pop(node, None)

    def clear(self, table: int) -> None:
        """Forget a whole table, in `writing`."""
        self.tables.drop(table)

    def dispose(self) -> None:
        """Free what was forgotten, which may be much, while others run."""
        while self.tables.dropped:
            table = self.tables.dropped.pop()
            for number in range(len(table)):
                table.popitem()
                let_others_run(number)
