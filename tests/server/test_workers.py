"""`relata serve --workers 2`: processes that share a socket, and one that keeps them going."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from relata.authorizer import Relata
from tests.server.test_process import wait_for
from tests.server.world import RELATIONSHIPS, SCHEMA

SERVE = (sys.executable, "-m", "relata", "serve")
ISSUERS = [
    {"issuer": "https://id.example", "jwks_uri": "https://id.example/keys", "audiences": ["a"]}
]
BODY = b'{"resource": "document:readme", "permission": "view", "subject": "user:anne"}'
CONNECTIONS = 500
"""How many are opened until both workers have one."""

pytestmark = pytest.mark.skipif(
    not Path("/proc/net/tcp").exists(), reason="who has a connection is read from /proc"
)


class Server:
    """A server with two workers, and its log."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, key: str) -> None:
        self.process = process
        self.key = key
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def wait_for(self, pattern: str, times: int = 1) -> list[str]:
        """Wait until the log has a pattern so often; all that was found."""
        wait_for(lambda: len(re.findall(pattern, self.log)) >= times, seconds=60)
        return re.findall(pattern, self.log)

    @property
    def port(self) -> int:
        return int(self.wait_for(r"running on http://127.0.0.1:(\d+)")[0])

    def workers(self, started: int = 2) -> list[int]:
        """The processes of the workers, when so many have been started in all."""
        return [int(id_) for id_ in self.wait_for(r"Started server process \[(\d+)\]", started)]

    def connect(self, workers: Sequence[int], stack: ExitStack) -> dict[int, Connection]:
        """A connection to each worker, closed with the stack."""
        found: dict[int, Connection] = {}
        for _ in range(CONNECTIONS):
            connection = stack.enter_context(closing(Connection(self.port, self.key)))
            assert connection.ask("GET", "/healthz")[0] == 200
            owners = (id_ for id_ in workers if connection.is_of(id_))
            found.setdefault(next(owners), connection)
            if len(found) == len(workers):
                return found
        raise AssertionError(f"{CONNECTIONS} connections never met both workers")


class Connection:
    """A connection that is kept open, so that one worker answers all of it."""

    def __init__(self, port: int, key: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.key = key

    def close(self) -> None:
        self._connection.close()

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        content = None if body is None else json.dumps(body)
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        self._connection.request(method, path, content, headers)
        answer = self._connection.getresponse()
        read = answer.read()
        return answer.status, json.loads(read) if read else None

    def write(self, relationship: str) -> str:
        updates = [{"operation": "touch", "relationship": relationship}]
        status, answer = self.ask("POST", "/relationships", {"updates": updates})
        assert status == 200
        return str(answer["written_at"])

    def allows(self, user: str, **fields: Any) -> bool:
        question = {"resource": "document:readme", "permission": "view", "subject": user, **fields}
        status, answer = self.ask("POST", "/check", question)
        assert status == 200, answer
        return bool(answer["allowed"])

    def is_of(self, process: int) -> bool:
        """Whether it is this process that has the other end."""
        assert self._connection.sock is not None, "something was asked before"
        mine = f":{self._connection.sock.getsockname()[1]:04X}"
        for line in Path("/proc/net/tcp").read_text(encoding="utf-8").splitlines():
            fields = line.split()
            if fields[2].endswith(mine):
                return f"socket:[{fields[9]}]" in _open_files(process)
        return False


def _open_files(process: int) -> set[str]:
    found = set()
    for file in Path(f"/proc/{process}/fd").iterdir():
        try:
            found.add(str(file.readlink()))
        except FileNotFoundError:  # closed meanwhile
            continue
    return found


@contextmanager
def serving(directory: Path) -> Iterator[Server]:
    """A server with two workers on a new database, when both answer."""
    url = f"sqlite:///{directory / 'relata.db'}"
    with Relata.open(url, schema=SCHEMA, follow_seconds=None) as authorizer:
        authorizer.write(RELATIONSHIPS)
        key = authorizer.keys.create("admin", ["admin"])[1]
    log = directory / "log"
    command = [*SERVE, "--workers", "2", "--port", "0", "--database", url]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stderr=output, env=_environment())
    server = Server(process, log, key)
    try:
        server.workers()
        yield server
    finally:
        process.kill()
        process.wait()


def _environment(**more: str) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("RELATA_")} | more


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("workers")) as server:
        yield server


def test_what_one_worker_wrote_the_other_knows(server: Server) -> None:
    """At once by its zed token, and soon without; whichever of the two wrote it."""
    with ExitStack() as stack:
        one, other = server.connect(server.workers()[-2:], stack).values()
        for number, (writer, reader) in enumerate([(one, other), (other, one)] * 10):
            user = f"user:new{number}"
            token = writer.write(f"document:readme#viewer@{user}")
            assert reader.allows(user, consistency={"at_least_as_fresh": token})
        one.write("document:readme#viewer@user:later")
        wait_for(lambda: other.allows("user:later"))


def test_a_key_that_one_worker_revoked_the_other_refuses(server: Server) -> None:
    with ExitStack() as stack:
        one, other = server.connect(server.workers()[-2:], stack).values()
        made = one.ask("POST", "/keys", {"name": "short", "scopes": ["check"]})[1]
        other.key = made["key"]
        wait_for(lambda: other.ask("GET", "/relationships")[0] == 403)
        assert one.ask("DELETE", f"/keys/{made['id']}")[0] in {200, 204}
        wait_for(lambda: other.ask("GET", "/relationships")[0] == 401)


def test_a_killed_worker_is_replaced(server: Server) -> None:
    """What it had acknowledged is there, and the other has answered all the while."""
    before = server.workers()
    with ExitStack() as stack:
        victim, survivor = before[-2:]
        found = server.connect([victim, survivor], stack)
        users = [f"user:kept{number}" for number in range(10)]
        for user in users:
            found[victim].write(f"document:readme#viewer@{user}")
        os.kill(victim, signal.SIGKILL)
        found[survivor].write("document:readme#viewer@user:meanwhile")
        newcomer = server.workers(started=len(before) + 1)[-1]
        replacement = server.connect([survivor, newcomer], stack)[newcomer]
        assert all(replacement.allows(user) for user in [*users, "user:meanwhile"])
    assert server.wait_for(r"worker \d was ended by SIGKILL; another one starts in [\d.]+ s")


def _begin_a_check(server: Server) -> socket.socket:
    """A connection with a request whose body is yet to come."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    connection.sendall(
        f"POST /check HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {server.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n"
        "Expect: 100-continue\r\n\r\n".encode()
    )
    assert connection.recv(100).startswith(b"HTTP/1.1 100")
    return connection


def test_sigterm_lets_what_has_begun_be_answered(tmp_path: Path) -> None:
    """Then all workers end, and the server with 0."""
    with serving(tmp_path) as server, _begin_a_check(server) as connection:
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("Shutting down", times=2)
        connection.sendall(BODY)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        assert server.process.wait(timeout=30) == 0
        assert len(server.wait_for("Finished server process")) == 2
        assert "Traceback" not in server.log


def test_a_second_ctrl_c_does_not_wait(tmp_path: Path) -> None:
    """The first one does what SIGTERM does."""
    with serving(tmp_path) as server, _begin_a_check(server):
        server.process.send_signal(signal.SIGINT)
        server.wait_for("Waiting for")
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(timeout=30) == 0
        assert "timeout graceful shutdown exceeded" not in server.log
        assert "Traceback" not in server.log


def test_workers_end_with_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    """Nobody is left to listen."""
    with serving(tmp_path) as server:
        server.process.kill()
        server.wait_for("Finished server process", times=2)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port))


def test_it_gives_up_where_no_worker_can_start(tmp_path: Path) -> None:
    """The database is lost, and then all workers."""
    with serving(tmp_path) as server:
        for left in ("relata.db-wal", "relata.db-shm"):
            (tmp_path / left).unlink()
        (tmp_path / "relata.db").write_text("no database" * 100, encoding="utf-8")
        for worker in server.workers():
            os.kill(worker, signal.SIGKILL)
        assert server.process.wait(timeout=30) == 2
        assert re.search(r"starts in 0\.1 s\n(.*\n)*.*starts in 0\.2 s\n", server.log)
        last = server.log.splitlines()[-1]
        assert last.startswith("error: no worker can be kept running; the last one, worker ")
        assert "file is not a database" in last
        assert "Traceback" not in server.log


def refused(*arguments: str, **environment: str) -> str:
    """Start a server that cannot start; what it says."""
    ended = subprocess.run(
        [*SERVE, "--workers", "2", *arguments],
        capture_output=True,
        text=True,
        env=_environment(**environment),
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "Traceback" not in ended.stderr
    return ended.stderr


def test_a_private_database_has_no_second_process() -> None:
    assert refused("--port", "0", "--database", "sqlite://") == (
        "error: a private database (`sqlite://`) can be opened by one process only; name a file "
        "with `--database`, or leave out `--workers`\n"
    )


def test_what_no_worker_can_start_with_is_said_once(tmp_path: Path) -> None:
    """The first worker finds it; there is no second one."""
    url = f"sqlite:///{tmp_path / 'relata.db'}"
    with Relata.open(url, schema="definition user {}", follow_seconds=None):
        pass
    said = refused(
        *("--port", "0", "--database", url),
        RELATA_ISSUERS=json.dumps(ISSUERS),
        RELATA_ISSUER_URL="https://permissions.example",
    )
    assert said.count("the schema does not fit the token profile") == 1
    assert said.splitlines()[-1].startswith("error: the schema does not fit")


def test_a_database_that_cannot_be_opened_is_said_once(tmp_path: Path) -> None:
    """By the supervisor, before there is any worker."""
    said = refused("--port", "0", "--database", f"sqlite:///{tmp_path / 'no' / 'relata.db'}")
    assert said.startswith("error: the database ")
    assert said.count("\n") == 1
