"""Real servers for the demo: uvicorn on a socket of this machine, in a thread of this process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from relata.errors import RelataError
from relata.server import address

HOST = "127.0.0.1"
_START_SECONDS = 10


class _Server(uvicorn.Server):
    """A server that says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


@contextmanager
def serving(app: ASGIApp, listening: socket.socket) -> Iterator[None]:
    """Serve an application on a socket until the block ends. Raises RelataError."""
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, proxy_headers=False, ws="none"
    )
    server = _Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    try:
        if not server.listening.wait(_START_SECONDS):
            raise RelataError(f"the server at {address(listening)} did not start")
        yield
    finally:
        server.should_exit = True
        thread.join()
