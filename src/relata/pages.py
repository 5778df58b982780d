"""Lists whose pages are being read, so that a page does not cost the whole list again.

A list is kept for a few seconds, by its question and revision: all its pages are then of one moment
too. A list that is no longer kept is found again, at the revision that the cursor names.
"""

from __future__ import annotations

import threading
import time
from typing import Generic, TypeVar

T = TypeVar("T")

_KEPT_SECONDS = 10.0
_MOST_ITEMS = 2_000_000
"""In all lists that are kept, some 90 bytes each."""


class KeptLists(Generic[T]):
    """Lists by question and revision, the oldest first. Threads may share it."""

    def __init__(self) -> None:
        self._lists: dict[tuple[bytes, int], tuple[T, int, float]] = {}
        self._items = 0
        self._lock = threading.Lock()

    def get(self, question: bytes, revision: int) -> T | None:
        """The list that is kept; None where there is none."""
        with self._lock:
            self._drop_old()
            kept = self._lists.get((question, revision))
        return None if kept is None else kept[0]

    def keep(self, question: bytes, revision: int, found: T, size: int) -> None:
        """Keep a list of so many items for its further pages."""
        if size > _MOST_ITEMS:
            return
        with self._lock:
            if (question, revision) in self._lists:
                return
            self._lists[question, revision] = (found, size, time.monotonic() + _KEPT_SECONDS)
            self._items += size
            self._drop_old()

    def _drop_old(self) -> None:
        now = time.monotonic()
        while self._lists:
            oldest = next(iter(self._lists))
            _, size, until = self._lists[oldest]
            if until > now and self._items <= _MOST_ITEMS:
                return
            del self._lists[oldest]
            self._items -= size
