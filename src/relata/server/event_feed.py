"""Token events, handed from the store to whoever follows them.

While anybody follows, one task of the process asks the store for new events, and gives each to all
readers. What a reader missed before it came, it reads from the store itself. A reader that does
not keep up is let go, and comes back to where it was by the number of the last event that it has.

Everything here belongs to one event loop, but for the questions to the store, which threads ask.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress

from relata.errors import RelataError
from relata.server.problems import Refusal
from relata.store import IssuedTokens, TokenEvent

POLL_SECONDS = 0.2
"""How often the store is asked."""
MAX_READERS = 1_000
BACKLOG = 5_000
"""How many events a reader may be behind."""
_PAGE = 500

_log = logging.getLogger("relata.server")


class EventFeed:
    """The events of a store, for at most `max_readers` at a time."""

    def __init__(
        self,
        issued: IssuedTokens,
        *,
        poll_seconds: float = POLL_SECONDS,
        max_readers: int = MAX_READERS,
        backlog: int = BACKLOG,
    ) -> None:
        self._issued = issued
        self._poll_seconds = poll_seconds
        self._max_readers = max_readers
        self._backlog = backlog
        self._readers: set[Reader] = set()
        self._given = 0
        self._task: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    async def join(self) -> Reader:
        """Begin to follow. Raises Refusal where there are too many readers."""
        async with self._starting:
            if len(self._readers) >= self._max_readers:
                raise Refusal("temporarily_unavailable", "too many follow the events; try later")
            if self._task is None:
                self._given = await asyncio.to_thread(self._issued.last_event)
                self._task = asyncio.create_task(self._follow())
            reader = Reader(self, self._issued, self._given, self._backlog)
            self._readers.add(reader)
            return reader

    def leave(self, reader: Reader) -> None:
        """Let a reader go; with the last one the store is left alone."""
        self._readers.discard(reader)
        if not self._readers and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _follow(self) -> None:
        while True:
            try:
                events = await asyncio.to_thread(self._issued.events, self._given, limit=_PAGE)
            except RelataError as error:
                _log.warning("the token events cannot be read: %s", error.message)
                events = []
            # INVARIANT: nothing waits between these lines and the `Reader(...)` of `join` sees
            # them all or none, so a reader is given every event after its `start`.
            for event in events:
                for reader in self._readers:
                    reader.offer(event)
                self._given = event.id
            if len(events) < _PAGE:
                await asyncio.sleep(self._poll_seconds)


class Reader:
    """One who follows the events."""

    def __init__(self, feed: EventFeed, issued: IssuedTokens, start: int, backlog: int) -> None:
        self.start = start
        """The newest event when it came; later ones are given to it."""
        self.dropped = False
        """Whether it fell too far behind, and is given no more."""
        self._feed = feed
        self._issued = issued
        self._waiting: asyncio.Queue[TokenEvent] = asyncio.Queue(backlog)

    def offer(self, event: TokenEvent) -> None:
        """Give it an event, unless it is too far behind."""
        if self.dropped or self._waiting.full():
            self.dropped = True
        else:
            self._waiting.put_nowait(event)

    @property
    def ended(self) -> bool:
        """Whether it was dropped, and has read what it was given before."""
        return self.dropped and self._waiting.empty()

    async def next(self, seconds: float) -> TokenEvent | None:
        """Return the next event that it is given, None where none comes in time."""
        with suppress(TimeoutError):
            return await asyncio.wait_for(self._waiting.get(), seconds)
        return None

    async def missed(self, after: int) -> AsyncIterator[TokenEvent]:
        """Yield what happened after an event, up to when it came."""
        while after < self.start:
            page = await asyncio.to_thread(self._issued.events, after, limit=_PAGE)
            for event in page:
                if event.id > self.start:
                    return
                yield event
                after = event.id
            if len(page) < _PAGE:
                return

    def leave(self) -> None:
        """Follow no longer."""
        self._feed.leave(self)
