"""What keeps a serving process from standing still: short garbage collections, quick turns.

A full garbage collection looks at every object that could be part of a cycle, and no thread runs
meanwhile: 0.2 seconds for the graph of 340,000 relationships, seconds for one of millions. Python
makes one whenever a quarter has come on top, so also while an import is followed. The graph has no
cycles. So what was loaded is put where no collection looks, and later, whenever a full collection
has taken long, so is what it has found alive: then each object is looked at a few times in all,
and a collection takes a few milliseconds at most, however large the graph grows.

What that costs: of the requests that are being answered at such a moment, what later becomes a
cycle is never found. That is a small share of what the graph has grown by, or the collection
would not have taken long.

A thread that waits for the interpreter, such as the one that follows the database, gets it from
one that is busy after the switch interval. With Python's own, 5 ms, a busy event loop sees other
processes' writes that much later, and stands still itself for as long behind a lookup.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

_TURN_SECONDS = 0.0005
_LONG_SECONDS = 0.002
_THRESHOLDS = (2_000, 5, 3)
"""New objects before the youngest are looked at, and how often that is before older ones are: at
the 30,000th in a row that stays, all are."""

_FULL = 2


@contextmanager
def without_long_pauses() -> Iterator[None]:
    """Have this process make no long pauses, from now on. What is to stay is made in the block."""
    sys.setswitchinterval(_TURN_SECONDS)
    gc.collect()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()
    gc.set_threshold(*_THRESHOLDS)
    gc.callbacks.append(_Freezing())


class _Freezing:
    """Puts away what a long collection has found alive, so that the next one is short."""

    def __init__(self) -> None:
        self._started_at = 0.0

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        if info["generation"] != _FULL:
            return
        if phase == "start":
            self._started_at = time.perf_counter()
        elif time.perf_counter() - self._started_at > _LONG_SECONDS:
            gc.freeze()
