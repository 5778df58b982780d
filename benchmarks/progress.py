"""What a run says while it goes on, on standard error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import track

T = TypeVar("T")

_console = Console(stderr=True)


def say(what: str) -> None:
    """Say what is done now."""
    _console.print(what, style="dim", highlight=False)


def shown(steps: Sequence[T] | Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
    """The steps, with a bar on a terminal that shows how many are done."""
    return track(
        steps,
        what,
        total=total,
        console=_console,
        transient=True,
        disable=not _console.is_terminal,
    )
