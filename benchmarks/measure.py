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
QUANTILES = (*(step / 100 for step in range(100)), 0.995, 0.999, 0.9995, 0.9999, 1.0)
"""The shares of calls at which a distribution is kept: 0 is the shortest, 1 the longest."""


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
    amount: float | None = None
    """The number in `value`."""
    at: int | None = None
    """How many relationships there were, where that is what lines differ in."""
    note: str = ""
    spread: tuple[float, float] | None = None
    """The rates of the slowest and of the fastest round."""
    against: dict[str, float] = {}
    """The rate divided by another's, by the other's name."""
    quantiles: tuple[float, ...] = ()
    """The latency, in microseconds, at each of QUANTILES."""


class Group(msgspec.Struct, frozen=True):
    """Measurements that belong in one table."""

    title: str
    measurements: tuple[Measurement, ...]


class Rate(msgspec.Struct, frozen=True):
    """Calls a second: the median of the rounds, and the slowest and the fastest of them."""

    median: float
    low: float
    high: float


def latency(nanoseconds: Iterable[int]) -> Latency:
    """The percentiles of durations, of which there is at least one."""
    return Latency(*_at((0.5, 0.95, 0.99), nanoseconds))


def quantiles(nanoseconds: Iterable[int]) -> tuple[float, ...]:
    """The durations, in microseconds, at each of QUANTILES; there is at least one."""
    return _at(QUANTILES, nanoseconds)


def rate(per_second: Iterable[float]) -> Rate:
    """The rate of several rounds."""
    ordered = sorted(per_second)
    return Rate(statistics.median(ordered), ordered[0], ordered[-1])


def alternating(
    calls: Sequence[Callable[[T], object]], arguments: Sequence[T], rounds: int
) -> list[Rate]:
    """How many calls a second each of `calls` makes over all the arguments, in turns."""
    found: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, rates_of_call in zip(calls, found, strict=True):
            rates_of_call.append(len(arguments) / seconds_of(call, arguments))
    return [rate(rates_of_call) for rates_of_call in found]


def rates(
    calls: Sequence[Callable[[T], object]], arguments: Sequence[T], rounds: int
) -> list[float]:
    """The medians of `alternating`."""
    return [found.median for found in alternating(calls, arguments, rounds)]


def durations(call: Callable[[T], object], arguments: Iterable[T]) -> list[int]:
    """How many nanoseconds a call takes with each of the arguments."""
    clock = time.perf_counter_ns
    taken = []
    for argument in arguments:
        start = clock()
        call(argument)
        taken.append(clock() - start)
    return taken


def timed(call: Callable[[T], object], arguments: Iterable[T]) -> Latency:
    """The latency of a call over the arguments."""
    return latency(durations(call, arguments))


def measured(
    name: str,
    found: Rate,
    nanoseconds: Sequence[int],
    *,
    ratio: float | None = None,
    note: str = "",
) -> Measurement:
    """A line of a rate and of a pass that took these durations, with their distribution."""
    return Measurement(
        name,
        found.median,
        latency(nanoseconds),
        ratio,
        note=note,
        spread=(found.low, found.high),
        quantiles=quantiles(nanoseconds),
    )


def measure(
    name: str, call: Callable[[T], object], arguments: Sequence[T], rounds: int, note: str = ""
) -> Measurement:
    """The rate and the latency of a call over the arguments."""
    (found,) = alternating([call], arguments, rounds)
    return measured(name, found, durations(call, arguments), note=note)


def seconds_of(call: Callable[[T], object], arguments: Iterable[T]) -> float:
    """How many seconds a call takes with all of the arguments."""
    start = time.perf_counter_ns()
    for argument in arguments:
        call(argument)
    return (time.perf_counter_ns() - start) / NANOSECONDS


def _at(shares: Sequence[float], nanoseconds: Iterable[int]) -> tuple[float, ...]:
    ordered = sorted(nanoseconds)
    last = len(ordered) - 1
    return tuple(ordered[round(last * share)] / 1_000 for share in shares)
