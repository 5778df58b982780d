"""One member of the growth series: a process with one database, which asks what it is told to.

It loads the database and says what that took, and then, for each line of its standard input, makes
the named round and writes a `Round` as JSON. So several processes, of databases of different
sizes, can take turns.

    python -m benchmarks.grown PATH RELATIONSHIPS QUESTIONS LOOKUPS
"""

from __future__ import annotations

import gc
import resource
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from typing import TypeVar

import msgspec

from benchmarks import workload
from benchmarks.bulk import StoredWalk, size_of
from benchmarks.in_process import require_answers
from benchmarks.measure import NANOSECONDS, Latency, durations, latency
from benchmarks.memory import resident_bytes
from benchmarks.workload import Asked, Size
from relata.authorizer import Relata
from relata.relationships import delete

T = TypeVar("T")

_SEED = 2
_WRITES = 20
_KIB = 1_024


class Loaded(msgspec.Struct, frozen=True):
    """What opening the database took."""

    seconds: float
    bytes: int | None
    """By how much the resident set grew; None where the system does not say."""
    peak: int
    """The most that the process had so far, in bytes."""
    relationships: int


class Round(msgspec.Struct, frozen=True):
    """One pass over the questions."""

    seconds: float
    latency: Latency
    ids: int = 0
    """How many ids were found."""
    most: int = 0
    """How many ids the longest answer has."""


class Member:
    """A database with its questions."""

    def __init__(self, relata: Relata, path: Path, size: Size, questions: int, lookups: int):
        self._relata = relata
        random = Random(_SEED)
        with closing(StoredWalk(path)) as walk:
            self.relationships = walk.count()
            self._allowed, self._denied = workload.draw(walk, size, random, questions)
        self._users = [f"user:u{random.randrange(size.users)}" for _ in range(lookups)]
        self._documents = [f"document:d{random.randrange(size.documents)}" for _ in range(lookups)]

    def round(self, what: str) -> Round:
        """Make a round of `allowed`, `denied`, `resources`, `subjects` or `writes`."""
        match what:
            case "allowed":
                return self._checks(self._allowed)
            case "denied":
                return self._checks(self._denied)
            case "resources":
                return self._lookups(self._resources, self._users)
            case "subjects":
                return self._lookups(self._subjects, self._documents)
            case "writes":
                return self._write()
            case _:
                raise ValueError(f"there is no round of `{what}`")

    def _checks(self, asked: Sequence[Asked]) -> Round:
        """Time the questions, and then see whether the answers were right."""
        found = _round(self._check, asked)
        require_answers(asked, map(self._check, asked), "Relata")
        return found

    def _check(self, asked: Asked) -> bool:
        return self._relata.check(asked.document, "view", asked.user).allowed

    def _lookups(self, ask: Callable[[str], int], of: Sequence[str]) -> Round:
        timed = _round(ask, of)
        counts = list(map(ask, of))
        return msgspec.structs.replace(timed, ids=sum(counts), most=max(counts))

    def _resources(self, user: str) -> int:
        return len(self._relata.lookup_resources("document", "view", user).resource_ids)

    def _subjects(self, document: str) -> int:
        return len(self._relata.lookup_subjects(document, "view", "user").subject_ids)

    def _write(self) -> Round:
        new = [f"document:new{number}#viewer@user:u0" for number in range(_WRITES)]
        found = _round(lambda text: self._relata.write([text]), new)
        self._relata.write([delete(text) for text in new])
        return found


def _round(call: Callable[[T], object], of: Sequence[T]) -> Round:
    taken = durations(call, of)
    return Round(sum(taken) / NANOSECONDS, latency(taken))


def main(path: str, relationships: int, questions: int, lookups: int) -> None:
    """Load, and serve standard input."""
    Relata.open("sqlite://", follow_seconds=None).close()
    gc.collect()
    before, start = resident_bytes(), time.perf_counter()
    with Relata.open(f"sqlite:///{path}", follow_seconds=None, answers_kept=0) as relata:
        seconds = time.perf_counter() - start
        gc.collect()
        after = resident_bytes()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB
        grown = None if before is None or after is None else after - before
        size = size_of(relationships)
        member = Member(relata, Path(path), size, questions, lookups)
        _say(Loaded(seconds, grown, peak, member.relationships))
        for line in sys.stdin:
            _say(member.round(line.strip()))


def _say(value: object) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(value) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
