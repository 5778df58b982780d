"""The demo from start to end: servers up, story told, servers down, now or when told to."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType

import httpx
from rich.console import Console
from rich.text import Text

from relata.demo.serving import HOST
from relata.demo.stage import Stage, UnexpectedAnswerError
from relata.demo.story import tell
from relata.demo.world import World, running

_TIMEOUT_SECONDS = 10


def run_demo(*, once: bool, first_port: int, database: str | None) -> int:
    """Run the demo and return its exit code: 0, or 1 where an answer was not the expected one.

    Unless it is to run `once`, the servers stay until SIGINT or SIGTERM. `first_port` is the
    first of three ports, 0 for free ones; `database` is a URL, None for a temporary database.
    Raises RelataError where the database or a port cannot be used.
    """
    console = Console(highlight=False)
    _leave_proxies_out()
    signal.signal(signal.SIGTERM, _interrupt)
    with running(database=database, first_port=first_port) as world:
        if not _told(console, world):
            return 1
        if not once:
            _invite(console, world)
            _wait(console)
    return 0


def _told(console: Console, world: World) -> bool:
    started = time.monotonic()
    places = {"RELATA": world.relata, "ISSUER": world.issuer, "PRODUCT": world.product}
    with httpx.Client(timeout=_TIMEOUT_SECONDS) as client:
        stage = Stage(console, client, places)
        try:
            tell(stage, world)
        except (UnexpectedAnswerError, httpx.HTTPError) as error:
            failure = Text(f"the demo failed: {error}", style="bold red")
            Console(stderr=True).print(failure, soft_wrap=True)
            return False
    seconds = time.monotonic() - started
    console.print()
    console.print(
        f"{stage.steps} steps, {stage.requests} requests, every answer as expected, "
        f"in {seconds:.1f} s",
        style="bold green",
    )
    return True


def _invite(console: Console, world: World) -> None:
    """Say where everything is, in lines that can be pasted."""
    lines = f"""
The servers stay until Ctrl-C. Paste this into another terminal:

export RELATA={world.relata}
export ISSUER={world.issuer}
export PRODUCT={world.product}
export KEY={world.key}
export CLIENT_SECRET={world.client_secret}

and try:

curl "$RELATA/relationships?resource_type=role" -H "Authorization: Bearer $KEY"
curl "$RELATA/check?resource=organization:org_1&permission=access&subject=user:sam" \
-H "Authorization: Bearer $KEY"
curl $ISSUER/token -d grant_type=urn:relata:demo:login -d user=gerardo

docs/tutorial.md goes on from here."""
    console.print(lines, markup=False, soft_wrap=True)


def _wait(console: Console) -> None:
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        console.print("\nstopping")


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _leave_proxies_out() -> None:
    """Reach this machine's own addresses directly, whatever proxy the environment names."""
    others = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    os.environ["no_proxy"] = f"{others},{HOST}" if others else HOST
