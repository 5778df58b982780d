"""Runs the server, in this process or in several workers, until a signal."""

from __future__ import annotations

import logging

from relata.errors import InvalidArgumentError
from relata.server.listening import address, listen
from relata.server.serving import leave_when_told, log_to_stderr, serve
from relata.server.settings import Settings
from relata.server.workers import supervise
from relata.store import is_private

_log = logging.getLogger("relata.server")


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then answer what has begun and stop.

    Raises RelataError where the address, the database, the schema or the issuers cannot be used,
    or no worker can be kept running.
    """
    several = settings.workers > 1
    if several and is_private(settings.database):
        raise InvalidArgumentError(
            "a private database (`sqlite://`) can be opened by one process only; name a file with "
            "`--database`, or leave out `--workers`"
        )
    log_to_stderr(settings.log_level, "supervisor" if several else "")
    leave_when_told()
    with listen(settings.host, settings.port) as listening:
        if several:
            supervise(settings, listening)
        else:
            serve(settings, listening, lambda: _log.info("running on %s", address(listening)))
