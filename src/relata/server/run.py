"""Runs the server: opens what the settings name, serves until a signal, and closes it again."""

from __future__ import annotations

import logging
import signal
from datetime import timedelta
from types import FrameType

import uvicorn

from relata.authorizer import Relata
from relata.server.app import create_app
from relata.server.settings import Settings
from relata.tokens import TokenService

KEEP_ALIVE_SECONDS = 30
GRACE_SECONDS = 10


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then answer what has begun and stop.

    Raises RelataError where the database, the schema or the issuers cannot be used.
    """
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("alembic").setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, _leave)
    with Relata.open(settings.database, follow_seconds=settings.poll_interval) as authorizer:
        app = create_app(authorizer, token_service(authorizer, settings), settings)
        uvicorn.run(
            app,
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )


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
    )


def _leave(_signal: int, _frame: FrameType | None) -> None:
    """Exit in good order: uvicorn raises its signal again when it has stopped."""
    raise SystemExit(0)
