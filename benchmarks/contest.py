"""Several calls measured in turns, each as often as it takes to be measured well.

What takes a microsecond is called thousands of times a round, what takes a second once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from typing import Generic, NamedTuple, TypeVar

from benchmarks.measure import NANOSECONDS, Rate, durations, rate, seconds_of

T = TypeVar("T")

_MOST_CALLS = 20_000


class Entrant(NamedTuple, Generic[T]):
    """A call, and what it is called with, over and over."""

    name: str
    call: Callable[[T], object]
    arguments: Sequence[T]
    timed: bool = True
    """Whether its latency is wanted too, and not only its rate."""


def compete(
    entrants: Sequence[Entrant[T]], rounds: int, seconds: float
) -> list[tuple[Rate, list[int]]]:
    """The rate of each entrant, and the durations, in nanoseconds, of a pass of its own.

    A round of one takes about `seconds`, or one call where that is longer.
    """
    found: list[list[float]] = [[] for _ in entrants]
    loads = [_load(entrant, seconds) for entrant in entrants]
    for _ in range(rounds):
        for entrant, load, rates in zip(entrants, loads, found, strict=True):
            rates.append(len(load) / seconds_of(entrant.call, load))
    return [
        (rate(rates), durations(entrant.call, load) if entrant.timed else [])
        for entrant, load, rates in zip(entrants, loads, found, strict=True)
    ]


def first_pass(call: Callable[[T], object], arguments: Sequence[T]) -> str:
    """Call with each argument once, before anybody else does; what to note of how long it took."""
    taken = sorted(durations(call, arguments))
    p50, longest = taken[len(taken) // 2] / 1_000, taken[-1] / 1_000
    return f"first {p50:,.1f} µs, at most {longest:,.0f} µs"


def _load(entrant: Entrant[T], seconds: float) -> list[T]:
    """The arguments of a round, by how long the first calls take."""
    start, calls = time.perf_counter_ns(), 0
    for argument in islice(cycle(entrant.arguments), _MOST_CALLS):
        entrant.call(argument)
        calls += 1
        if (taken := time.perf_counter_ns() - start) > seconds / 2 * NANOSECONDS:
            break
    count = min(_MOST_CALLS, max(1, round(calls * seconds * NANOSECONDS / taken)))
    return list(islice(cycle(entrant.arguments), count))
