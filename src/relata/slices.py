"""Long work in one thread, in slices short enough for the other threads not to notice.

The interpreter takes its lock away from a busy thread only every few milliseconds. Work that takes
longer gives it away by itself.
"""

from __future__ import annotations

import time

SLICE = 256
"""How many items of some microseconds each make a slice."""


def let_others_run(number: int) -> None:
    """Give other threads a turn after every slice of items, which are numbered from 0."""
    if number % SLICE == SLICE - 1:
        time.sleep(0)
