"""Whether a thread is busy with a question.

The authorizer answers one question at a time. While a thread asks it one, the event loop must not:
it would stand still, and every connection with it, until a long lookup is done.
"""

from __future__ import annotations

from types import TracebackType


class Busy:
    """True inside `with`. Touched in the event loop only."""

    def __init__(self) -> None:
        self._count = 0

    def __bool__(self) -> bool:
        return self._count > 0

    def __enter__(self) -> None:
        self._count += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._count -= 1
