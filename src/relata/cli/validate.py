"""`relata validate`: scenario files run, and a report of what does not hold in them."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from relata.cli.options import Json
from relata.cli.output import FAILED, console, json_line, note, printable
from relata.errors import Diagnostic, InvalidArgumentError
from relata.validation import Coverage, Report, read_scenario, run_scenario, together

WRONG = 1
"""The exit code where something does not hold."""

_ENDINGS = (".yaml", ".yml")

Outcome = Report | InvalidArgumentError
"""What came of one file: what it says, or why it cannot be read."""


def validate(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE",
            help="Scenario files; a directory stands for those in it and below, a pattern such as "
            "'scenarios/*.yaml' for those that match.",
        ),
    ],
    json: Json = False,
) -> None:
    """Run scenario files: a schema, relationships, and what must be answered of them.

    Needs no database. Exits with 0 if everything holds, 1 if something does not, 2 if a file
    cannot be read.

    Example: `relata validate scenarios/`
    """
    outcomes: dict[Path, Outcome] = {}
    screen = console()
    for path in _paths(files):
        outcomes[path] = outcome = _outcome(path)
        if json:
            continue
        if isinstance(outcome, Report):
            _show(screen, outcome)
        else:
            note(f"error: {outcome.message}")
    reports = [outcome for outcome in outcomes.values() if isinstance(outcome, Report)]
    shared = _shared(reports)
    if json:
        json_line(_as_json(outcomes, shared))
    elif len(outcomes) > 1:
        _show_total(screen, outcomes, shared)
    if len(reports) < len(outcomes):
        raise typer.Exit(FAILED)
    if not all(report.passed for report in reports):
        raise typer.Exit(WRONG)


def _outcome(path: Path) -> Outcome:
    try:
        return run_scenario(read_scenario(path))
    except InvalidArgumentError as error:
        return error


def _paths(files: Sequence[str]) -> list[Path]:
    """The files that are meant, each once. Raises InvalidArgumentError where one is nothing."""
    return list(dict.fromkeys(path for name in files for path in _meant(name)))


def _meant(name: str) -> Iterator[Path]:
    path = Path(name)
    if path.is_dir():
        found = sorted(below for below in path.rglob("*") if _is_scenario(below.relative_to(path)))
        if not found:
            raise InvalidArgumentError(f"`{name}` has no file in it that ends in .yaml or .yml")
        yield from found
    elif glob.has_magic(name) and not path.exists():
        matching = sorted(glob.glob(name, recursive=True))  # noqa: PTH207  a pattern may begin with /
        if not matching:
            raise InvalidArgumentError(f"no file matches `{name}`")
        yield from (Path(file) for file in matching if not Path(file).is_dir())
    else:
        yield path


def _is_scenario(path: Path) -> bool:
    return path.suffix in _ENDINGS and not any(part.startswith(".") for part in path.parts)


def _shared(reports: Sequence[Report]) -> dict[str, Coverage]:
    """What several files exercise of one schema together, by the name of its file."""
    by_schema: dict[str, list[Coverage]] = {}
    for report in reports:
        if report.schema_file and report.coverage is not None:
            by_schema.setdefault(report.schema_file, []).append(report.coverage)
    return {name: together(found) for name, found in by_schema.items() if len(found) > 1}


def _as_json(outcomes: dict[Path, Outcome], shared: dict[str, Coverage]) -> dict[str, object]:
    scenarios = [
        {"passed": outcome.passed, **msgspec.structs.asdict(outcome)}
        for outcome in outcomes.values()
        if isinstance(outcome, Report)
    ]
    unreadable = [
        {
            "source": str(path),
            "message": outcome.message,
            "diagnostics": getattr(outcome, "diagnostics", ()),
        }
        for path, outcome in outcomes.items()
        if not isinstance(outcome, Report)
    ]
    return {
        "passed": not unreadable and all(scenario["passed"] for scenario in scenarios),
        "scenarios": scenarios,
        "unreadable": unreadable,
        "coverage": shared,
    }


def _show(screen: Console, report: Report) -> None:
    counts = ", ".join(
        _count(number, thing)
        for number, thing in (
            (report.assertions, "assertion"),
            (report.expected_relations, "expected relation"),
        )
        if number or thing == "assertion"
    )
    outcome = (
        Text("holds", "bold green")
        if report.passed
        else Text(_count(len(report.failures), "failure"), "bold red")
    )
    _print(screen, Text(report.source, "bold"), ": ", outcome, f" ({counts})")
    for failure in report.failures:
        _show_diagnostic(screen, failure, Text("failure", "red"))
        if failure.hint:
            _print(screen, Text(f"    hint: {failure.hint}", "cyan"))
    for warning in report.warnings:
        _show_diagnostic(screen, warning, Text("warning", "yellow"), f" ({warning.name})")
    if report.coverage is not None:
        _show_coverage(screen, report.coverage, "  ")


def _show_diagnostic(screen: Console, said: Diagnostic, kind: Text, name: str = "") -> None:
    place = Text(f"{said.source}:{said.line}:{said.column}", "bold")
    _print(screen, "  ", place, ": ", kind, f": {said.message}{name}")
    for line in said.excerpt.split("\n") if said.excerpt else ():
        _print(screen, Text(f"    {line}", "dim"))


def _show_coverage(screen: Console, coverage: Coverage, indent: str) -> None:
    if not coverage.names:
        return
    full = coverage.exercised == coverage.names
    figure = Text(f"{coverage.exercised} of {coverage.names}", "green" if full else "yellow")
    asked, reached = len(coverage.asked), len(coverage.reached)
    detail = f" relations and permissions exercised ({asked} asked, {reached} reached)"
    _print(screen, indent, figure, detail)
    if coverage.unexercised:
        _print(screen, Text(f"{indent}not exercised: {', '.join(coverage.unexercised)}", "yellow"))


def _show_total(
    screen: Console, outcomes: dict[Path, Outcome], shared: dict[str, Coverage]
) -> None:
    for name, coverage in shared.items():
        _print(screen, Text(name, "bold"), ", by all its scenarios:")
        _show_coverage(screen, coverage, "  ")
    failed = sum(isinstance(it, Report) and not it.passed for it in outcomes.values())
    unreadable = sum(not isinstance(it, Report) for it in outcomes.values())
    parts = [f"{len(outcomes) - failed - unreadable} of {_count(len(outcomes), 'scenario')} hold"]
    if unreadable:
        parts.append(f"{unreadable} cannot be read")
    style = "bold red" if failed or unreadable else "bold green"
    _print(screen, Text(", ".join(parts), style))


def _print(screen: Console, *parts: str | Text) -> None:
    """Print one line whole, with nothing in it that the terminal would obey."""
    line = Text.assemble(*parts)
    line.plain = printable(line.plain)
    screen.print(line, soft_wrap=True)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
