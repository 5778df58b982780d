"""Real servers for the demo: uvicorn on a socket of this machine, in a thread of this process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from relata.errors import InvalidArgumentError, RelataError

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


def listen(port: int) -> socket.socket:
    """Take a port of this machine; 0 takes any that is free. Raises InvalidArgumentError."""
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((HOST, port))
    except OSError as error:
        taken.close()
        raise InvalidArgumentError(
            f"port {port} cannot be listened on: {error.strerror}; choose another", field="port"
        ) from error
    return taken


def address(listening: socket.socket) -> str:
    """The URL of what is served on a socket."""
    return f"http://{HOST}:{listening.getsockname()[1]}"


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
