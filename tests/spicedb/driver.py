"""SpiceDB at arm's length: a process of its own, ended when it is slow, large or gone.

A question can hang the engine or exhaust the machine (data that leads back to itself by many ways),
so nothing is asked without a time limit. Where the limit is passed or the process dies, there is no
answer, and the caller counts that.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from relata.relationships import Relationship
from tests.spicedb.questions import Answered, Asked, Refusal

SECONDS = 30
RESIDENT_BYTES = 1 << 30
LIBRARY = "SPICEDB_LIBRARY_PATH"


def absent() -> str | None:
    """Why there is no SpiceDB here, or None where there is one."""
    if importlib.util.find_spec("spicedb_embedded") is None:
        return "SpiceDB is not installed: pip install -e '.[spicedb]'"
    if not Path(os.environ.get(LIBRARY, "")).is_file():
        return f"{LIBRARY} is not set: export {LIBRARY}=$(./scripts/spicedb)"
    return None


class SpiceDB:
    """The real engine. Not for several threads."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._sockets: TemporaryDirectory[str] | None = None

    def close(self) -> None:
        """End the process; the next question starts another."""
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
        if self._sockets is not None:
            self._sockets.cleanup()
        self._pipe = self._process = self._sockets = None

    def ask(self, asked: Asked) -> Answered | Refusal:
        """Answers to questions about a world; a refusal where it is refused or takes too long."""
        answered: Answered | Refusal = self._request("ask", asked)
        return answered

    def write_schema(self, text: str) -> Refusal | None:
        """Why a schema is refused, or None."""
        refused: Refusal | None = self._request("write_schema", text)
        return refused

    def write_each(
        self, schema: str, relationships: Sequence[Relationship]
    ) -> list[bool] | Refusal:
        """Which relationships a schema accepts, each written for itself."""
        accepted: list[bool] | Refusal = self._request("write_each", schema, relationships)
        return accepted

    def create(self, relationship: Relationship) -> Refusal | None:
        """Why a relationship cannot be created beside those stored last, or None."""
        refused: Refusal | None = self._request("create", relationship)
        return refused

    def _request(self, method: str, *arguments: object) -> Any:
        pipe = self._pipe or self._start()
        try:
            pipe.send((method, arguments))
            if not pipe.poll(self._seconds):
                raise TimeoutError
            reply, resident_bytes = pipe.recv()
        except (EOFError, OSError) as error:  # a TimeoutError is an OSError
            fault = self._is_fault()
            self.close()
            assert not fault, "server.py failed; its traceback is above"
            return Refusal("DeadlineExceeded", f"no reply: {error!r}")
        if resident_bytes > RESIDENT_BYTES:
            self.close()
        return reply

    def _is_fault(self) -> bool:
        """Whether the process ended by a fault in our Python and not by what befell SpiceDB."""
        assert self._process is not None
        self._process.join(1)
        return self._process.exitcode == 1

    def _start(self) -> Connection:
        # Started anew, not forked: neither Go nor gRPC survives a fork.
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._sockets = TemporaryDirectory(prefix="spicedb-")
        self._process = context.Process(
            target=_serve, args=(theirs, self._sockets.name), daemon=True
        )
        self._process.start()
        theirs.close()
        return self._pipe


def _serve(pipe: Connection, folder: str) -> None:
    # In the child: only there SpiceDB is imported, which leaves its sockets behind.
    os.environ["TMPDIR"] = folder
    from tests.spicedb.server import serve

    serve(pipe)
