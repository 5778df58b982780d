"""Asks Relata, and the peers that are installed, about the shapes that are known to hurt.

Each answer is compared with the shape's own before anything is timed; a peer that has another one
or cannot take a shape is left out of its lines, and the note says so. Rounds of the shape, of the
plain check and of the peers alternate.

    python -m benchmarks.ask_shapes [PART OF A SHAPE'S NAME]
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from benchmarks import report, shapes
from benchmarks.contest import Entrant, compete, first_pass
from benchmarks.in_process import WrongAnswerError
from benchmarks.loaded import open_loaded
from benchmarks.measure import Group, Measurement, measured
from benchmarks.peers import Unable
from benchmarks.plan import Plan, full, quick
from benchmarks.rivals import Rivals, rivals
from benchmarks.shapes import Pair, Shape
from relata.authorizer import ANSWERS_KEPT, Relata


class _Ours(NamedTuple):
    """Relata on a shape: finding each answer, unless it is `again`, which remembers answers."""

    relata: Relata
    shape: Shape
    first: dict[str, str]
    """How long the checks took when nothing had been asked before, by their answer."""

    def again(self, held: ExitStack) -> _Ours:
        """The same database, remembering what has been answered."""
        url = str(self.relata.store.engine.url)
        remembering = held.enter_context(Relata.open(url, answers_kept=ANSWERS_KEPT))
        return self._replace(relata=remembering)

    def check(self, pair: Pair) -> bool:
        return self.relata.check(pair[0], "view", pair[1]).allowed

    def resources(self, subject: str) -> Collection[str]:
        return self.relata.lookup_resources("document", "view", subject).resource_ids

    def subjects(self, document: str) -> Collection[str]:
        return self.relata.lookup_subjects(document, "view", "user").subject_ids

    def begin(self) -> None:
        """Ask for the first time, and raise WrongAnswerError where an answer is not the shape's."""
        shape = self.shape
        for answer, pairs in (("allowed", shape.allowed), ("denied", shape.denied)):
            self.first[answer] = first_pass(self.check, pairs)
        wrong = [pair for pair in shape.allowed if not self.check(pair)]
        wrong += [pair for pair in shape.denied if self.check(pair)]
        for finding, ask in ((shape.resources, self.resources), (shape.subjects, self.subjects)):
            if finding is not None and frozenset(ask(finding.of)) != finding.ids:
                wrong.append(("lookup", finding.of))
        if wrong:
            raise WrongAnswerError(f"`{shape.name}`: Relata answers {wrong[0]} wrongly")


def measure_shapes(plan: Plan, directory: Path, only: str = "") -> list[Group]:
    """Measure every shape whose name has `only` in it, with databases in a directory.

    Raises WrongAnswerError where an answer of Relata's is not the shape's.
    """
    checks: list[Measurement] = []
    lookups: list[Measurement] = []
    with ExitStack() as stack:
        plain = _open(stack, shapes.plain(plan.shapes), directory)
        for make in (shapes.plain, *shapes.SHAPES):
            shape = make(plan.shapes)
            if only in shape.name:
                with ExitStack() as inner:
                    ours = _open(inner, shape, directory)
                    others = inner.enter_context(
                        rivals(plan.rivals, shape.schema, shape.relationships)
                    )
                    again = ours.again(inner)
                    checks += _checks(ours, again, plain, others, plan)
                    lookups += _lookups(ours, again, plain, others, plan)
    return [
        Group("Shapes: checks (ratio: plain checks that one takes)", tuple(checks)),
        Group("Shapes: lookups (ratio: plain checks that one id takes)", tuple(lookups)),
    ]


def _open(stack: ExitStack, shape: Shape, directory: Path) -> _Ours:
    path = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=directory)))
    made = open_loaded(path / "shape.db", shape.schema, shape.relationships)
    ours = _Ours(stack.enter_context(closing(made)), shape, {})
    ours.begin()
    return ours


def _checks(
    ours: _Ours, again: _Ours, plain: _Ours, others: Rivals, plan: Plan
) -> Iterator[Measurement]:
    for answer, pairs, plain_pairs in (
        ("allowed", ours.shape.allowed, plain.shape.allowed),
        ("denied", ours.shape.denied, plain.shape.denied),
    ):
        faults = {rival: rival.fault(pairs, answer == "allowed") for rival in others.able}
        entrants = [
            Entrant(rival.name, rival.check, pairs, timed=False)
            for rival, fault in faults.items()
            if not fault
        ]
        yield _compared(
            Entrant(f"{ours.shape.name}, {answer}", ours.check, pairs),
            Entrant("again", again.check, pairs, timed=False),
            Entrant("plain", plain.check, plain_pairs, timed=False),
            entrants,
            plan,
            1,
            [ours.first[answer], *others.excuses, *filter(None, faults.values())],
        )


def _lookups(
    ours: _Ours, again: _Ours, plain: _Ours, others: Rivals, plan: Plan
) -> Iterator[Measurement]:
    shape = ours.shape
    for what, finding in (("resources", shape.resources), ("subjects", shape.subjects)):
        if finding is None:
            continue
        asked = [finding.of]
        entrants = []
        for rival in others.able:
            ask: Callable[[str], Collection[str] | None] = getattr(rival, what)
            if _finds(ask, finding.of, finding.ids):
                entrants.append(Entrant(rival.name, ask, asked, timed=False))
        count = len(finding.ids)
        yield _compared(
            Entrant(f"{shape.name}, {what}", getattr(ours, what), asked),
            Entrant("again", getattr(again, what), asked, timed=False),
            Entrant("plain", plain.check, plain.shape.allowed, timed=False),
            entrants,
            plan,
            count,
            [f"{count:,} id{'s' if count > 1 else ''}"],
        )


def _finds(ask: Callable[[str], Collection[str] | None], of: str, expected: frozenset[str]) -> bool:
    """Whether a peer's lookup finds what it should; a peer may be without it, or refuse."""
    try:
        found = ask(of)
    except Unable:
        return False
    return found is not None and frozenset(found) == expected


def _compared(
    ours: Entrant[Any],
    again: Entrant[Any],
    plain: Entrant[Any],
    others: Sequence[Entrant[Any]],
    plan: Plan,
    ids: int,
    notes: Sequence[str],
) -> Measurement:
    found = compete([ours, again, plain, *others], plan.rounds, plan.shape_seconds)
    (rate, nanoseconds), (again_rate, _), (plain_rate, _), *peers = found
    remembered = f"{again_rate.median:,.0f} a second where remembered"
    line = measured(
        ours.name,
        rate,
        nanoseconds,
        ratio=plain_rate.median / (rate.median * ids),
        note="; ".join([*notes, remembered]),
    )
    against = {
        other.name: rate.median / their_rate.median
        for other, (their_rate, _) in zip(others, peers, strict=True)
    }
    against |= {
        f"{other.name}, remembered": again_rate.median / their_rate.median
        for other, (their_rate, _) in zip(others, peers, strict=True)
    }
    return msgspec.structs.replace(line, against=against)


def main() -> None:
    """Measure the shapes alone, quickly."""
    only = sys.argv[1] if len(sys.argv) > 1 else ""
    plan = msgspec.structs.replace(quick(), shapes=1.0, rivals=full().rivals)
    with tempfile.TemporaryDirectory(prefix="relata-benchmarks-") as directory:
        report.show_groups(measure_shapes(plan, Path(directory), only))


if __name__ == "__main__":
    main()
