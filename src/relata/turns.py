"""Turns at the graph: one holder at a time, and long questions that let others in between.

A question that takes long calls `pause` every so often, which lets go of the graph. Meanwhile a
change may be made. Whoever makes one asks for the views of the questions that wait in the middle
(`waiting_views`), and keeps in them what it is about to replace.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from relata.graph import View

_GIVE_WAY = 0.000_05
"""Seconds in which a thread that waits wakes up and takes its turn."""


class Turns:
    """Who may read or change the graph."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._paused: dict[int, View] = {}
        self._waiting = 0

    @contextmanager
    def taken(self) -> Iterator[Turn]:
        """Wait for a turn, and have it."""
        self._take()
        turn = Turn(self)
        try:
            yield turn
        finally:
            self._paused.pop(id(turn), None)
            if turn.is_held:
                self._lock.release()

    def _take(self) -> None:
        if not self._lock.acquire(blocking=False):
            self._waiting += 1  # a hint: to be one off now and then costs one pause
            self._lock.acquire()
            self._waiting -= 1


class Turn:
    """A turn at the graph."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self.is_held = True
        """Not so in `pause`, nor where that was interrupted."""

    def pause(self, view: View) -> None:
        """Let others have a turn, and keep a view, with its family, as it is meanwhile."""
        turns = self._turns
        turns._paused[id(self)] = view
        self.is_held = False
        turns._lock.release()
        time.sleep(_GIVE_WAY if turns._waiting else 0)
        turns._take()
        self.is_held = True

    def waiting_views(self) -> Sequence[View]:
        """The views of the questions that wait in the middle."""
        return list(self._turns._paused.values())
