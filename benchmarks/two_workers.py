"""Two processes on one database: how soon one knows what the other has written.

The lines of `benchmarks.followers` as a group of a run. Raises ValueError where a check with a
write's zed token does not know of the write.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, nullcontext
from pathlib import Path
from random import Random

import msgspec

from benchmarks import followers, workload
from benchmarks.followers import Server, Times
from benchmarks.in_process import mixed_questions
from benchmarks.load_client import Job, Load
from benchmarks.loaded import open_loaded
from benchmarks.measure import Group, Latency, Measurement, rate
from benchmarks.plan import Plan

_PATIENCE = 600.0


def measure_workers(plan: Plan, directory: Path) -> list[Group]:
    """Measure two servers, and a server with two workers, on a database in a directory."""
    made = workload.generate(min(followers.SCALE, plan.scale), seed=plan.seed, questions=4_000)
    path = directory / "workers.db"
    with closing(open_loaded(path, workload.SCHEMA, made.relationships)) as relata:
        _, key = relata.keys.create("benchmarks", ["check", "write"])
    url = f"sqlite:///{path}"
    questions = [
        {"resource": asked.document, "permission": "view", "subject": asked.user}
        for asked in mixed_questions(made)
    ]
    bodies = [msgspec.json.encode(question).decode() for question in questions]
    return [
        Group(
            "Two processes: until one knows what the other wrote",
            tuple(_seen(url, key, bodies, plan)),
        ),
        Group("Workers (ratio: to one)", tuple(_load(url, key, bodies, plan))),
    ]


def _seen(url: str, key: str, bodies: list[str], plan: Plan) -> Iterator[Measurement]:
    random = Random(plan.seed)
    with ExitStack() as stack:
        (one, _), (two, _) = [stack.enter_context(followers.serving(url)) for _ in range(2)]
        writer, reader = Server(one, key), Server(two, key)
        crowd = Job(two, "/check", key, bodies, followers.OTHERS, seconds=_PATIENCE)
        for name, meanwhile in (
            ("nobody else asks", nullcontext()),
            (f"{followers.OTHERS} connections ask meanwhile", followers.asking(crowd)),
        ):
            with meanwhile:
                yield _delay(name, followers.delays(writer, reader, random, plan.writes)[0])
        missed = followers.unseen(writer, reader, random, plan.writes)
        if missed:
            raise ValueError(f"{missed} checks with a zed token did not know of its write")
        yield Measurement(
            "checks with the write's zed token that did not know of it",
            value=f"0 of {plan.writes}",
        )


def _delay(name: str, found: Times) -> Measurement:
    latency = Latency(found.p50 * 1_000, found.p95 * 1_000, found.p99 * 1_000)
    return Measurement(
        name, latency=latency, value=f"at most {found.longest:.1f} ms", amount=found.longest
    )


def _load(url: str, key: str, bodies: list[str], plan: Plan) -> Iterator[Measurement]:
    with followers.serving(url) as (one, _), followers.serving(url, "--workers", "2") as (two, _):
        loads: dict[int, list[Load]] = {one: [], two: []}
        for _ in range(plan.rounds):
            for port, found in loads.items():
                job = Job(port, "/check", key, bodies, followers.CONNECTIONS, plan.seconds)
                found.append(followers.load(job))
    rates = [rate(load.per_second for load in found) for found in loads.values()]
    for name, its_rate, found in zip(("1 worker", "2 workers"), rates, loads.values(), strict=True):
        middle = sorted(found, key=lambda load: load.per_second)[len(found) // 2]
        yield Measurement(
            f"check, {followers.CONNECTIONS} connections, {name}",
            its_rate.median,
            middle.latency,
            its_rate.median / rates[0].median,
            spread=(its_rate.low, its_rate.high),
            quantiles=middle.quantiles,
        )
