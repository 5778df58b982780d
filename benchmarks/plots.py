"""Pictures of a run, from the file that `benchmarks/run --json` has written.

    python -m benchmarks.plots out.json docs/benchmarks

Each is an SVG. What a run did not measure is left out, with its picture if nothing else is in it.
`matplotlib` is an optional install (`pip install relata[plots]`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import matplotlib
import msgspec
import typer
from matplotlib import pyplot as plt

from benchmarks.measure import QUANTILES, Group, Measurement
from benchmarks.report import Report

_WIDTH, _HEIGHT = 8.0, 4.2
_MANY_TIMES = 20
"""From how many plain checks on docs/benchmarks.md says why."""
_STYLE: Any = {
    "svg.hashsalt": "relata",  # the same numbers give the same file
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "figure.constrained_layout.use": True,
}
_OURS, _OTHERS = (
    "#1f5fa8",
    (
        "#c2571a",
        "#3f8f4f",
        "#7b4fa3",
        "#8a6d3b",
        "#5a5a5a",
        "#c94f7c",
        "#2f9c95",
        "#b3a125",
    ),
)
_BARE_QUANTILES = (0.5, 0.95, 0.99)

Axes = Any
"""Of matplotlib, which is an optional install."""


def draw(report: Report, directory: Path) -> list[Path]:
    """Draw what a run has measured into a directory; return the files."""
    directory.mkdir(parents=True, exist_ok=True)
    matplotlib.use("Agg")
    drawn = []
    with plt.rc_context(_STYLE):
        for name, picture in _PICTURES.items():
            figure = picture(report)
            if figure is not None:
                path = directory / f"{name}.svg"
                figure.text(0.995, 0.005, _origin(report), ha="right", va="bottom", fontsize=5.5)
                figure.savefig(path, metadata={"Date": None})
                plt.close(figure)
                drawn.append(path)
    return drawn


def _latency(report: Report) -> Any:
    """How many checks stay within which time."""
    panels = {
        "in process": _named(report, "Checks in process"),
        "over HTTP": [line for line in _named(report, "Over HTTP") if "check, " in line.name],
        "beside long work": _named(report, "Checks beside long work"),
    }
    filled = {title: lines for title, lines in panels.items() if lines}
    if not filled:
        return None
    figure, all_axes = _figure(len(filled))
    for axes, (title, lines) in zip(all_axes, filled.items(), strict=True):
        for line, color in zip(lines, _colors(), strict=False):
            shares, times = _distribution(line)
            marker = "o" if len(shares) <= len(_BARE_QUANTILES) else ""
            axes.plot(times, shares, color=color, marker=marker, ms=3, lw=1.2, label=line.name)
        axes.set(title=f"Latency {title}", xscale="log", xlabel="µs", ylim=(0, 1.02))
        axes.set_ylabel("share of checks that stay within it")
        axes.legend(fontsize=6)
    return figure


def _growth(report: Report) -> Any:
    """What grows with the data."""
    checks = [line for line in _named(report, "Growth: checks") if "first" not in line.name]
    lookups = _named(report, "Growth: lookups")
    loading = _named(report, "Growth: loading")
    if not checks:
        return None
    figure, (left, middle, right) = _figure(3)
    for (name, lines), color in zip(_series(checks).items(), _colors(), strict=False):
        sizes = [line.at for line in lines]
        latencies = [line.latency for line in lines if line.latency is not None]
        left.plot(sizes, [it.p50 for it in latencies], "o-", color=color, label=f"{name}, p50")
        left.plot(sizes, [it.p99 for it in latencies], "o:", color=color, label=f"{name}, p99")
    left.set(title="Checks", xscale="log", xlabel="relationships", ylabel="µs", ylim=(0, None))
    _amounts(middle, lookups)
    middle.set(title="Lookups", xscale="log", xlabel="relationships", ylabel="µs an id")
    _amounts(right, [line for line in loading if line.name.startswith("memory")])
    right.set(title="Memory", xscale="log", xlabel="relationships", ylabel="bytes each")
    for axes in (left, middle, right):
        axes.set_ylim(0, None)
        axes.legend(fontsize=6)
    return figure


def _shapes(report: Report) -> Any:
    """How many plain checks one of each shape takes."""
    lines = [line for line in _named(report, "Shapes: checks") if line.ratio is not None]
    if not lines:
        return None
    figure, (axes,) = _figure(1)
    names = [line.name for line in lines][::-1]
    colors = [_OURS if "allowed" in name else _OTHERS[0] for name in names]
    axes.barh(names, [line.ratio or 0 for line in lines][::-1], color=colors)
    axes.axvline(_MANY_TIMES, color="#555555", ls=":", lw=1)
    axes.set(title="Shapes that hurt", xscale="log", xlabel="plain checks that one takes")
    axes.tick_params(axis="y", labelsize=6)
    axes.set_xlim(0.5, None)
    return figure


def _peers(report: Report) -> Any:
    """How many times faster or slower Relata is than each peer, on the same data."""
    lines = [
        line
        for title in ("Peers in process", "Each over its own wire", "Checks in process")
        for line in _named(report, title)
        if line.ratio is not None
    ]
    if not any("pemba" in line.name or "SpiceDB" in line.name for line in lines):
        return None
    figure, (axes,) = _figure(1, height=1.2 + 0.2 * len(lines))
    ratios = [line.ratio or 0 for line in lines][::-1]
    names = [_rival(line.name) for line in lines][::-1]
    colors = [_OURS if ratio >= 1 else _OTHERS[0] for ratio in ratios]
    axes.barh(range(len(lines)), [ratio - 1 for ratio in ratios], left=1, color=colors)
    axes.set_yticks(range(len(lines)), names, fontsize=6)
    axes.axvline(1, color="#555555", lw=1)
    axes.set(title="Relata beside the others", xscale="log", xlabel="Relata's rate / the other's")
    return figure


_PICTURES: dict[str, Callable[[Report], Any]] = {
    "latency": _latency,
    "growth": _growth,
    "shapes": _shapes,
    "peers": _peers,
}


def _figure(panels: int, height: float = _HEIGHT) -> tuple[Any, list[Axes]]:
    figure, axes = plt.subplots(
        1, panels, figsize=(_WIDTH if panels == 1 else 4.4 * panels, height), squeeze=False
    )
    return figure, list(axes[0])


def _named(report: Report, title: str) -> list[Measurement]:
    """The lines of the group whose title begins so."""
    found: list[Group] = [it for it in report.groups if it.title.startswith(title)]
    return [line for group in found for line in group.measurements]


def _distribution(line: Measurement) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Shares of calls, and the times that they stay within."""
    if line.quantiles:
        return QUANTILES, line.quantiles
    if line.latency is None:
        return (), ()
    return _BARE_QUANTILES, (line.latency.p50, line.latency.p95, line.latency.p99)


def _series(lines: Iterable[Measurement]) -> dict[str, list[Measurement]]:
    """The lines by what comes before the size in their names."""
    found: dict[str, list[Measurement]] = {}
    for line in lines:
        if line.at is not None:
            found.setdefault(line.name.removesuffix(f", {line.at:,}"), []).append(line)
    return found


def _amounts(axes: Axes, lines: Iterable[Measurement]) -> None:
    for (name, series), color in zip(_series(lines).items(), _colors(), strict=False):
        sizes, amounts = [line.at for line in series], [line.amount for line in series]
        axes.plot(sizes, amounts, "o-", color=color, label=name)


def _rival(name: str) -> str:
    """With whom a line compares: where it is one of ours, that is said by its group."""
    if name.startswith("Relata over HTTP"):
        return f"SpiceDB over gRPC{name.removeprefix('Relata over HTTP')}"
    return f"by hand, {name}" if name.startswith("check, ") else name


def _colors() -> Iterator[str]:
    yield from (_OURS, *_OTHERS)


def _origin(report: Report) -> str:
    machine = report.machine
    return (
        f"{machine.processor}, {machine.cores} cores, Python {machine.python}, "
        f"Relata {machine.versions.get('relata', '')}, {report.started_at:%d %B %Y}, "
        f"load average before {machine.load_before}"
    )


def main(
    results: Annotated[Path, typer.Argument(help="What `benchmarks/run --json` has written.")],
    directory: Annotated[Path, typer.Argument(help="Where the pictures go.")],
) -> None:
    """Draw the pictures of a run, and print their paths."""
    report = msgspec.json.decode(results.read_bytes(), type=Report)
    for path in draw(report, directory):
        typer.echo(path)


if __name__ == "__main__":
    typer.run(main)
