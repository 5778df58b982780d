"""A server as a process of its own: it survives `kill -9`, stops in order, follows the others."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from relata.authorizer import Relata
from tests.server.world import CHECK, RELATIONSHIPS, SCHEMA

PROGRAM = "from relata.server import read_settings, run; run(read_settings())"


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until a condition holds; fail where it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(url: str, **settings: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Start a server process; gives it and its address once it is ready."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    variables = {"RELATA_DATABASE": url, "RELATA_PORT": str(port), **settings}
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], env={**os.environ, **variables})

    def ready() -> bool:
        assert process.poll() is None, "the server has stopped"
        try:
            return httpx.get(f"{address}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    try:
        wait_for(ready)
        yield process, address
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'relata.db'}"


@pytest.fixture
def headers(url: str) -> dict[str, str]:
    """An administrator's key in a database that has a schema and relationships."""
    with Relata.open(url, schema=SCHEMA) as authorizer:
        authorizer.write(RELATIONSHIPS)
        return {"Authorization": f"Bearer {authorizer.keys.create('admin', ['admin'])[1]}"}


def test_an_acknowledged_write_survives_kill_9(url: str, headers: dict[str, str]) -> None:
    """The server is killed straight after it answered, and another one has the write."""
    written = [f"document:crash#viewer@user:u{n}" for n in range(20)]
    with server(url) as (process, address), httpx.Client(headers=headers) as client:
        for text in written:
            body = {"updates": [{"operation": "create", "relationship": text}]}
            assert client.post(f"{address}/relationships", json=body).status_code == 200
        process.kill()
    assert process.returncode == -signal.SIGKILL

    with server(url) as (_, address), httpx.Client(headers=headers) as client:
        where = {"resource_type": "document", "resource_id": "crash"}
        found = client.get(f"{address}/relationships", params=where).json()
        assert found["relationships"] == written
        last = {**CHECK, "resource": "document:crash", "subject": "user:u19"}
        assert client.post(f"{address}/check", json=last).json()["allowed"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_server_in_order(
    url: str, headers: dict[str, str], number: signal.Signals
) -> None:
    with server(url) as (process, address):
        assert httpx.post(f"{address}/check", json=CHECK, headers=headers).status_code == 200
        process.send_signal(number)
        assert process.wait(timeout=30) == 0


def test_other_processes_writes_and_revocations_show_up(url: str, headers: dict[str, str]) -> None:
    """Within the poll interval, without anybody asking for freshness."""
    question = {**CHECK, "subject": "user:late"}
    with server(url) as (_, address), Relata.open(url) as other:
        stored, secret = other.keys.create("other", ["check"])
        mine = {"Authorization": f"Bearer {secret}"}
        wait_for(
            lambda: httpx.post(f"{address}/check", json=question, headers=mine).status_code == 200
        )
        other.write(["document:readme#viewer@user:late"])
        wait_for(
            lambda: bool(
                httpx.post(f"{address}/check", json=question, headers=mine).json()["allowed"]
            )
        )
        other.keys.revoke(stored.id)
        wait_for(
            lambda: httpx.post(f"{address}/check", json=question, headers=mine).status_code == 401
        )


def test_a_server_without_what_its_tokens_need_does_not_start(url: str) -> None:
    """Issuers are trusted, but the schema has no organizations to choose from."""
    with Relata.open(url, schema="definition user {}"):
        pass
    issuer = {
        "issuer": "https://login.example",
        "jwks_uri": "https://login.example/keys",
        "audiences": ["relata"],
    }
    variables = {
        "RELATA_DATABASE": url,
        "RELATA_PORT": str(free_port()),
        "RELATA_ISSUER_URL": "https://relata.example",
        "RELATA_ISSUERS": json.dumps([issuer]),
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, **variables},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert b"the schema does not fit the token profile" in done.stderr
