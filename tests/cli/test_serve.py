"""`relata serve`, as a process: it listens, answers, ends, and does not start with bad settings."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.cli.commands import Commands
from tests.cli.transcripts import shell_environment

SERVE = (sys.executable, "-m", "relata", "serve")
SCHEMA_PROFILE_ISSUERS = (
    '[{"issuer": "https://id.example", "jwks_uri": "https://id.example/keys", "audiences": ["a"]}]'
)


@contextmanager
def serving(url: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server on a free port, when it listens: the process and its address."""
    process = subprocess.Popen(
        [*SERVE, "--port", "0", "--database", url],
        stderr=subprocess.PIPE,
        text=True,
        env=shell_environment(),
    )
    try:
        assert process.stderr is not None, "it is piped"
        for line in process.stderr:
            found = re.search(r"running on (http://\S+)", line)
            if found:
                yield process, found[1]
                return
        raise AssertionError("the server ended before it listened")
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_a_signal(cli: Commands, ending: signal.Signals) -> None:
    key = cli("keys", "create", "--name", "test", "--scope", "check").out.strip()
    with serving(cli.url) as (process, address):
        answer = httpx.get(
            f"{address}/check",
            params={
                "resource": "document:readme",
                "permission": "view",
                "subject": "user:anne",
            },
            headers={"Authorization": f"Bearer {key}"},
            trust_env=False,
        )
        assert answer.json()["allowed"] is True
        process.send_signal(ending)
        _, log = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Traceback" not in log
    assert key not in log


def refused(*arguments: str, **environment: str) -> str:
    """Start a server that cannot start; what it says."""
    ended = subprocess.run(
        [*SERVE, *arguments],
        capture_output=True,
        text=True,
        env={**shell_environment(), **environment},
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "Traceback" not in ended.stderr
    return ended.stderr


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"RELATA_ISSUERS": "https://id.example"}, "`RELATA_ISSUERS` should be JSON"),
        ({"RELATA_ISSUERS": '[{"issuer": "a"}]'}, "`RELATA_ISSUERS` "),
        ({"RELATA_ISSUERS": SCHEMA_PROFILE_ISSUERS}, "`RELATA_ISSUER_URL` is needed"),
        ({"RELATA_TOKEN_LIFETIME": "soon"}, "`RELATA_TOKEN_LIFETIME` should be"),
        ({"RELATA_PORT": "99999"}, "`RELATA_PORT` should be"),
    ],
)
def test_bad_settings_are_one_readable_line(environment: dict[str, str], message: str) -> None:
    said = refused(**environment)
    assert said.startswith(f"error: {message}")
    assert said.count("\n") == 1


def test_a_schema_that_tokens_do_not_fit_is_said_so(cli: Commands) -> None:
    said = refused(
        "--database",
        cli.url,
        RELATA_ISSUERS=SCHEMA_PROFILE_ISSUERS,
        RELATA_ISSUER_URL="https://permissions.example",
    )
    assert "error: the schema does not fit the token profile: " in said


def test_a_port_that_is_taken_is_said_so(cli: Commands) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert refused("--port", port, "--database", cli.url) == (
            f"error: port {port} cannot be listened on: Address already in use; "
            "choose another with `--port`, or `--port 0` for any\n"
        )


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("192.0.2.1", "`192.0.2.1` is not an address of this machine; name another with `--host`"),
        ("a b", "`a b` is no address; name one of this machine with `--host`"),
        ("x" * 64, f"`{'x' * 64}` is no address; name one of this machine with `--host`"),
    ],
)
def test_an_address_of_another_machine_is_said_so(
    empty: Commands, tmp_path: Path, host: str, message: str
) -> None:
    assert refused("--host", host, "--port", "0", "--database", empty.url) == f"error: {message}\n"
    assert list(tmp_path.iterdir()) == [], "nothing is made before the address is taken"


def test_a_second_ctrl_c_does_not_wait_for_requests(cli: Commands) -> None:
    """The first one waits for what has begun; neither prints a traceback."""
    key = cli("keys", "create", "--name", "test", "--scope", "check").out.strip()
    start = f"POST /check HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\n"
    with serving(cli.url) as (process, address):
        host, _, port = address.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port))) as unfinished:
            unfinished.sendall(f"{start}Expect: 100-continue\r\n".encode())
            unfinished.sendall(b"Content-Type: application/json\r\nContent-Length: 9\r\n\r\n")
            assert unfinished.recv(100).startswith(b"HTTP/1.1 100")
            process.send_signal(signal.SIGINT)
            assert process.stderr is not None, "it is piped"
            assert any("Waiting for" in line for line in process.stderr)
            process.send_signal(signal.SIGINT)
            _, log = process.communicate(timeout=5)
    assert process.returncode == 0
    assert "Traceback" not in log
