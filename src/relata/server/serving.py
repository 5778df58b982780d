"""One process that serves: opens what the settings name, answers until a signal, closes it again.

It is the whole server, or one of several workers (`workers`) that share a socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable
from datetime import timedelta
from types import FrameType

import uvicorn

from relata.authorizer import Relata
from relata.server.app import create_app
from relata.server.pauses import without_long_pauses
from relata.server.settings import Settings
from relata.server.short_protocol import ShortProtocol
from relata.tokens import TokenService

KEEP_ALIVE_SECONDS = 30
GRACE_SECONDS = 10
"""How long requests that have begun may take once the server is told to stop."""

_log = logging.getLogger("relata.server")


def serve(
    settings: Settings,
    listening: socket.socket,
    ready: Callable[[], None],
    *,
    supervised: bool = False,
) -> None:
    """Serve on a socket until SIGTERM or SIGINT, then answer what has begun and stop.

    `ready` is called once requests are answered. Told to stop again by SIGINT, it does not wait
    for what has begun. Where it is `supervised`, SIGTERM means both, and SIGINT nothing: a terminal
    sends that to all processes at once, and the supervisor knows what to make of it.

    Raises RelataError where the database, the schema or the issuers cannot be used.
    """
    with contextlib.ExitStack() as closing:
        with without_long_pauses():
            authorizer = closing.enter_context(
                Relata.open(
                    settings.database,
                    follow_seconds=settings.poll_interval,
                    answers_kept=settings.answers_kept,
                )
            )
            tokens = token_service(authorizer, settings)
            if tokens is not None:
                closing.callback(tokens.close)
                _warn_of(tokens)
            app = create_app(authorizer, tokens, settings)
        config = uvicorn.Config(
            app,
            http=ShortProtocol,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        _Server(config, ready, supervised=supervised).run([listening])


class _Server(uvicorn.Server):
    """A server that says when it answers, and that can be left to a supervisor."""

    def __init__(
        self, config: uvicorn.Config, ready: Callable[[], None], *, supervised: bool
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self._supervised = supervised

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self._supervised:
            super().handle_exit(sig, frame)
        elif sig == signal.SIGTERM:
            self.force_exit = self.should_exit
            super().handle_exit(sig, frame)


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


def leave_when_told() -> None:
    """From now on exit in good order at SIGTERM and SIGINT, while nothing is served yet too."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)


def log_to_stderr(level: str, who: str = "") -> None:
    """Write this process's log to standard error, each line with `who` it is by, if given."""
    named = f" {who} [%(process)d]" if who else ""
    logging.basicConfig(
        level=level.upper(), format=f"%(asctime)s %(levelname)s{named} %(name)s: %(message)s"
    )
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").addFilter(_is_news)


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
    """Exit with 0: uvicorn raises its signal again when it has stopped."""
    raise SystemExit(0)
