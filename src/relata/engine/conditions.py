"""Whether a relationship with a caveat or an expiration holds, for one question.

A question has one moment and one context. A relationship that has expired by that moment is not
there. What a caveat says may be unknown, for want of context, or it may have failed; a failure is
like something unknown: it matters only where the answer rests on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Generic, TypeVar

import msgspec

from relata.caveats import Caveat, Outcome
from relata.graph import Trait

T = TypeVar("T")

EVALUATION_STEPS = 20
"""What evaluating a caveat costs of a question's budget at least, in relationships followed."""
_STEP_NANOSECONDS = 1_000
"""How long an evaluation may take for each step that it costs."""


class Missing(msgspec.Struct, Generic[T], frozen=True):
    """The names of the parameters that an answer waits for and, if a caveat has failed that it
    rests on, which."""

    names: frozenset[str] = frozenset()
    failed: T | None = None

    @classmethod
    def of_all(cls, parts: Iterable[Missing[T]]) -> Missing[T]:
        """What an answer waits for that waits for all of these; of failures, the first."""
        names: frozenset[str] = frozenset()
        failed: T | None = None
        for part in parts:
            if not part.names <= names:
                names |= part.names
            if failed is None:
                failed = part.failed
        return cls(names, failed)


class Conditions:
    """The moment and the context of a question, and what the caveats said of it so far.

    `caveats` has, by the number of each kind, the caveat of its relationships.
    """

    def __init__(
        self,
        caveats: Sequence[Caveat | None],
        context: Mapping[str, Any],
        now: int | None = None,
    ) -> None:
        self._caveats = caveats
        self._context = context
        self._known: dict[tuple[int, str], Outcome] = {}
        if now is not None:
            self.now = now

    @cached_property
    def now(self) -> int:
        """The moment of the question, in microseconds since the epoch: when it is first needed."""
        return time.time_ns() // 1_000

    def with_context(self, context: Mapping[str, Any]) -> Conditions:
        """The same moment with another context."""
        return Conditions(self._caveats, context, self.now)

    def afresh(self) -> Conditions:
        """The same moment and context, with nothing known of the caveats."""
        return self.with_context(self._context)

    def has_expired(self, trait: Trait) -> bool:
        """Whether a relationship is no longer there."""
        return trait.expires_at is not None and trait.expires_at <= self.now

    def outcome(self, kind: int, trait: Trait, spend: Callable[[int], None]) -> Outcome:
        """Whether a relationship of a kind holds, by its trait."""
        if self.has_expired(trait):
            return False
        caveat = self._caveats[kind]
        if caveat is None:
            return True
        key = (kind, trait.context)
        outcome = self._known.get(key)
        if outcome is None:
            started = time.perf_counter_ns()
            outcome = self._known[key] = caveat.evaluate(trait.context, self._context)
            taken = time.perf_counter_ns() - started
            spend(max(EVALUATION_STEPS, taken // _STEP_NANOSECONDS))
        return outcome
