"""Where a server listens: the address is taken before anything else is done."""

from __future__ import annotations

import errno
import socket

from relata.errors import InvalidArgumentError

_NOT_OURS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def listen(host: str, port: int) -> socket.socket:
    """Take a port of an address of this machine; 0 takes any that is free.

    Raises InvalidArgumentError.
    """
    taken = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((host, port))
        taken.listen()  # two sockets can be bound to one address, but only one listens
    except (OSError, UnicodeError) as error:
        taken.close()
        raise InvalidArgumentError(_complaint(host, port, error)) from error
    return taken


def address(listening: socket.socket) -> str:
    """The URL of what is served on a socket."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _complaint(host: str, port: int, error: OSError | UnicodeError) -> str:
    if not isinstance(error, OSError) or isinstance(error, socket.gaierror):
        return f"`{host}` is no address; name one of this machine with `--host`"
    if error.errno in _NOT_OURS:
        return f"`{host}` is not an address of this machine; name another with `--host`"
    return (
        f"port {port} cannot be listened on: {error.strerror}; "
        "choose another with `--port`, or `--port 0` for any"
    )
