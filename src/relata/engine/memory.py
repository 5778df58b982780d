"""What is remembered of a graph from question to question, and when it must be forgotten.

A `Memory` belongs to one engine over one graph. It has tables of things found (`flat.py` says
which), each by a node, which outlive the writes that do not touch them; and the answers of one
revision, which go with it. Questions read it without a lock, and beside a write: a write makes the
`sequence` odd before it changes the graph, takes away what it has made untrue, and makes it even
again. What a question has found may be kept only while the sequence is what it was when the
question began, so nothing that rests on a graph between two revisions ever stays.

Much may be dropped at once, and to free it takes long. So it is freed little by little, somewhat
faster than new things are kept.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

_MOST_KEPT = 4_000_000
"""Integers in all tables together, about 20 bytes each with what is around them."""
_ENTRY = 10
"""What an entry takes beside the integers in it."""
_FREED_AT_ONCE = 4
_ANSWER_BYTES = 170
"""What an answer takes; all lists together may take as much as all answers."""
_LIST_BYTES = 500
"""What a list takes without its ids and the texts of its question."""
_ID_BYTES = 8
"""What an id takes in a list; the text is the graph's own."""
_LISTS_AT_LEAST = 10
"""How many lists as long as the longest that is kept must have room."""


class Dropped(list[dict[Any, Any]]):
    """What is no longer used and has yet to be freed."""

    def free_some(self) -> None:
        """Free a few entries."""
        try:
            dropped = self[-1]
            for _ in range(_FREED_AT_ONCE):
                dropped.popitem()
        except KeyError:  # it is empty
            with suppress(ValueError):  # another thread has found out too
                self.remove(dropped)
        except IndexError:  # there is none
            pass


class Tables(dict[int, dict[int, Any]]):
    """By their numbers; one that is asked for is there."""

    def __init__(self, dropped: Dropped) -> None:
        super().__init__()
        self._dropped = dropped

    def drop(self, number: int) -> None:
        """Put an empty table in the place of one."""
        table = self.pop(number, None)
        if table:
            self._dropped.append(table)

    def __missing__(self, number: int) -> dict[int, Any]:
        return self.setdefault(number, {})


class Answers(dict[tuple[str, str, str], bool]):
    """Answers to plain checks, by resource, permission and subject, at one revision; and lists, by
    what the question is made of."""

    def __init__(self, revision: int) -> None:
        super().__init__()
        self.revision = revision
        self.lists: dict[tuple[object, ...], object] = {}
        self.listed = 0
        """Bytes that the lists take."""


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
    """Tables of what was found, each by a node, and answers, of a graph at a revision."""

    def __init__(self, revision: int, most_answers: int = 0) -> None:
        self.sequence = 0
        self.most_answers = most_answers
        self._dropped = Dropped()
        self.tables = Tables(self._dropped)
        self.answers = Answers(revision)
        """Of the graph's revision, for whoever has seen an even sequence before and the same one
        after; and in any case of the revision that they name."""
        self._lock = threading.Lock()
        self._retired = False
        self._kept = 0

    def keep(self, table: int, node: int, found: object, size: int, sequence: int) -> None:
        """Remember something of a node, if no write has begun since `sequence`, when none was
        being made."""
        with self._lock:
            if sequence & 1 or self.sequence != sequence:
                return
            self._kept += _ENTRY + size
            if self._kept > _MOST_KEPT:
                for number in list(self.tables):
                    self.tables.drop(number)
                self._kept = _ENTRY + size
            self.tables[table][node] = found
        self._dropped.free_some()

    def keep_answer(self, answers: Answers, question: tuple[str, str, str], allowed: bool) -> None:
        """Remember an answer among those of its revision."""
        if len(answers) >= self.most_answers:
            with self._lock:
                if answers and self.answers is answers:
                    self._begin_answers(answers.revision)
            return
        answers[question] = allowed
        if self._dropped:
            self._dropped.free_some()

    def keep_list(
        self, revision: int, question: tuple[object, ...], found: object, size: int
    ) -> None:
        """Remember a list of so many items that a question has found at a revision, if that is
        still the graph's, and if the list is not long."""
        answers, most = self.answers, self.most_answers * _ANSWER_BYTES
        texts = sum(len(text) for text in question if isinstance(text, str))
        size = _LIST_BYTES + texts + size * _ID_BYTES
        if answers.revision != revision or size * _LISTS_AT_LEAST > most:
            return
        if answers.listed + size > most:
            with self._lock:
                if self.answers is answers:
                    self._begin_answers(revision)
            return
        answers.lists[question] = found
        answers.listed += size
        self._dropped.free_some()

    def _begin_answers(self, revision: int) -> None:
        self._dropped.extend(some for some in (self.answers, self.answers.lists) if some)
        self.answers = Answers(revision)

    @contextmanager
    def writing(self, revision: int) -> Iterator[None]:
        """Around a change of the graph to a revision, and the forgetting that it needs. One at a
        time."""
        with self._lock:
            self.sequence += 1
        try:
            yield
        except BaseException:
            self.tables.clear()  # what was to be forgotten may not have been
            revision = self.answers.revision
            raise
        finally:
            with self._lock:
                self._begin_answers(revision)
                if not self._retired:
                    self.sequence += 1

    def retire(self, successor: Memory) -> None:
        """In `writing`, never be even again: another memory has taken this one's place, and frees
        what was in it."""
        self._retired = True
        successor._dropped.extend(filter(None, (*self._dropped, *self.tables.values())))
        self._dropped = successor._dropped
