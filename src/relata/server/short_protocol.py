"""uvicorn's HTTP protocol, with a door for checks.

uvicorn makes a task for each request, in which the application asks for the body and sends the
answer. For a check that costs several times as much as the check. Here `FastCheck` is asked as
soon as the last byte of a check has come, and what it answers is written at once. Everything else,
which is every other request, every check that `FastCheck` hands on, and every connection that is
not in its plainest state, goes uvicorn's way from its beginning, as if this module were not there.

A client may send many checks in one go. After `_IN_ONE_GO` of them the next goes uvicorn's way,
where everybody else has a turn in between.

It relies on how uvicorn's `HttpToolsProtocol` calls itself: `_start_asgi_task` when the head of a
request is there, or its turn has come, and `on_message_complete` when its body is.
`tests/server/test_connections.py` goes both ways.
"""

from __future__ import annotations

from typing import Any, cast

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from relata.server.fast_check import FastCheck

_IN_ONE_GO = 8
_STATUS_LINE = b"HTTP/1.1 200 OK\r\n"


class ShortProtocol(HttpToolsProtocol):
    """A connection. Only an application that is a `FastCheck` gains by it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # With an access log, uvicorn writes a line for each request.
        takes_part = isinstance(self.app, FastCheck) and not self.access_log
        self._fast: FastCheck | None = self.app if takes_part else None
        self._waiting: RequestResponseCycle | None = None
        """A check whose body is still to come."""
        self._answered = 0
        """How many were answered since data came."""
        self._default_headers: list[tuple[bytes, bytes]] = []
        self._beginning = _STATUS_LINE

    def data_received(self, data: bytes) -> None:
        """Take in what has come."""
        self._answered = 0
        super().data_received(data)
        if self._waiting is not None:
            self._give_up_waiting()

    def on_message_complete(self) -> None:
        """Answer a check that is there as a whole, if that can be done at once."""
        super().on_message_complete()
        cycle = self._waiting
        if cycle is None or self._fast is None:
            return
        scope = cast("Scope", cycle.scope)  # uvicorn's own type of the same
        response = self._fast.respond(scope, bytes(cycle.body))
        if response is None:
            self._give_up_waiting()
            return
        self._waiting = None
        self._answered += 1
        cycle.response_started = cycle.response_complete = True
        self.transport.write(b"".join((self._head(), response.head, response.body)))
        self.on_response_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if (
            app is self._fast
            and cycle.more_body
            and cycle.keep_alive
            and not cycle.waiting_for_100_continue
            and not self.flow.write_paused
            and self._answered < _IN_ONE_GO
            and cycle.scope["path"] in FastCheck.PATHS
        ):
            self._waiting = cycle
        else:
            super()._start_asgi_task(cycle, app)

    def _give_up_waiting(self) -> None:
        cycle, self._waiting = self._waiting, None
        if cycle is not None:
            super()._start_asgi_task(cycle, self.app)

    def _head(self) -> bytes:
        """How every answer of this second begins."""
        headers = self.server_state.default_headers
        if headers is not self._default_headers:
            lines = [b"%b: %b\r\n" % header for header in headers]
            self._beginning = b"".join((_STATUS_LINE, *lines))
            self._default_headers = headers
        return self._beginning
