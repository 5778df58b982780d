"""Measuring: how many a second, and how long one takes.

The two come from separate passes, since reading the clock around every call costs more than a
fast call may. A rate is the median of several rounds; where two things are compared, their rounds
alternate, so that a machine that slows down slows both.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import msgspec

T = TypeVar("T")

NANOSECONDS = 1_000_000_000


class Latency(msgspec.Struct, frozen=True):
    """How long one call takes, in microseconds: what half, 95 and 99 of 100 calls stay within."""

    p50: float
    p95: float
    p99: float


class Measurement(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a table."""

    name: str
    per_second: float | None = None
    latency: Latency | None = None
    ratio: float | None = None
    """The rate divided by that of the line which the table compares with."""
    value: str = ""
    """What was measured, where it is neither a rate nor a latency."""
    note: str = ""


class Group(msgspec.Struct, frozen=True):
    """Measurements that belong in one table."""

    title: str
    measurements: tuple[Measurement, ...]


def latency(nanoseconds: Iterable[int]) -> Latency:
    """The percentiles of durations, of which there is at least one."""
    ordered = sorted(nanoseconds)
    last = len(ordered) - 1
    return Latency(*(ordered[round(last * share)] / 1_000 for share in (0.5, 0.95, 0.99)))


def rates(
    calls: Sequence[Callable[[T], object]], arguments: Sequence[T], rounds: int
) -> list[float]:
    """How many calls a second each of `calls` makes over all the arguments."""
    found: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, rates_of_call in zip(calls, found, strict=True):
            rates_of_call.append(len(arguments) / _seconds(call, arguments))
    return [statistics.median(rates_of_call) for rates_of_call in found]


def timed(call: Callable[[T], object], arguments: Iterable[T]) -> Latency:
    """The latency of a call over the arguments."""
    clock = time.perf_counter_ns
    durations = []
    for argument in arguments:
        start = clock()
        call(argument)
        durations.append(clock() - start)
    return latency(durations)


def measure(
    name: str, call: Callable[[T], object], arguments: Sequence[T], rounds: int, note: str = ""
) -> Measurement:
    """The rate and the latency of a call over the arguments."""
    (per_second,) = rates([call], arguments, rounds)
    return Measurement(name, per_second, timed(call, arguments), note=note)


def _seconds(call: Callable[[T], object], arguments: Sequence[T]) -> float:
    start = time.perf_counter_ns()
    for argument in arguments:
        call(argument)
    return (time.perf_counter_ns() - start) / NANOSECONDS
