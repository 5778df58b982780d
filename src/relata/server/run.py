"""Runs the server: opens what the settings name, serves until a signal, and closes it again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from datetime import timedelta
from types import FrameType

import uvicorn

from relata.authorizer import Relata
from relata.server.app import create_app
from relata.server.listening import address, listen
from relata.server.settings import Settings
from relata.tokens import TokenService

KEEP_ALIVE_SECONDS = 30
GRACE_SECONDS = 10

_log = logging.getLogger("relata.server")


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then answer what has begun and stop.

    Raises RelataError where the address, the database, the schema or the issuers cannot be used.
    """
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    with (
        listen(settings.host, settings.port) as listening,
        Relata.open(settings.database, follow_seconds=settings.poll_interval) as authorizer,
        contextlib.ExitStack() as closing,
    ):
        tokens = token_service(authorizer, settings)
        if tokens is not None:
            closing.callback(tokens.close)
            _warn_of(tokens)
        app = create_app(authorizer, tokens, settings)
        config = uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        _Server(config).run([listening])


class _Server(uvicorn.Server):
    """A server that says where it listens, which uvicorn leaves to whoever made the socket."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listening in sockets or ():
            _log.info("running on %s", address(listening))


def token_service(authorizer: Relata, settings: Settings) -> TokenService | None:
    """Make the token service that the settings ask for; None where they name no issuers.

    Raises RelataError where the schema does not fit the token profile.
    """
    if not settings.issuers:
        return None
    return TokenService(
        authorizer,
        settings.issuers,
        issuer_url=settings.issuer_url or "",
        lifetime=timedelta(seconds=settings.token_lifetime),
        secret=settings.key_secret.get_secret_value() if settings.key_secret else None,
        former_secrets=[secret.get_secret_value() for secret in settings.former_key_secrets],
    )


def _warn_of(tokens: TokenService) -> None:
    if not tokens.signing_keys.encrypts:
        _log.warning(
            "keys that sign tokens are stored unencrypted; set RELATA_KEY_SECRET, then run "
            "`relata keys rotate`"
        )


def _is_news(record: logging.LogRecord) -> bool:
    """Leave out the tracebacks of requests that a second signal, or the grace's end, has cut."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


def _leave(_signal: int, _frame: FrameType | None) -> None:
    """Exit in good order: uvicorn raises its signal again when it has stopped."""
    raise SystemExit(0)
