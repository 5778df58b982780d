"""pemba: an engine in Rust under Python, with a subset of SpiceDB's schema language.

It has two stores: one in memory, and SQLite, which every question reads from.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from pemba import Engine, PembaError

from benchmarks.peers import Unable

_WRITE = 1_000


class Pemba:
    """A `benchmarks.peers.Peer`."""

    def __init__(self, engine: Engine, store: str, held: ExitStack) -> None:
        self.name = f"pemba {version('pemba')} {store}"
        self._engine = engine
        self._held = held

    def load(self, schema: str, relationships: Sequence[str]) -> None:
        """Write the schema and the relationships."""
        try:
            self._engine.write_schema(schema)
            for start in range(0, len(relationships), _WRITE):
                self._engine.write(touch=relationships[start : start + _WRITE])
        except PembaError as error:
            raise Unable(str(error)) from error

    def check(self, resource: str, permission: str, subject: str) -> bool:
        try:
            return bool(self._engine.check(resource, permission, subject))
        except PembaError as error:
            raise Unable(str(error)) from error

    def lookup_resources(
        self, resource_type: str, permission: str, subject: str
    ) -> Collection[str]:
        try:
            return list(self._engine.iter_resources(resource_type, permission, subject))
        except PembaError as error:
            raise Unable(str(error)) from error

    def lookup_subjects(self, resource: str, permission: str, subject_type: str) -> Collection[str]:
        try:
            found = self._engine.lookup_subjects(resource, permission, subject_type)
        except PembaError as error:
            raise Unable(str(error)) from error
        return [*found.ids, "*"] if found.wildcard else found.ids

    def close(self) -> None:
        del self._engine
        self._held.close()


def in_memory(schema: str, relationships: Sequence[str]) -> Pemba:
    """Over its store in memory."""
    return _loaded(Pemba(Engine.memory(), "memory", ExitStack()), schema, relationships)


def in_sqlite(schema: str, relationships: Sequence[str]) -> Pemba:
    """Over its SQLite store, in a temporary directory."""
    held = ExitStack()
    directory = held.enter_context(TemporaryDirectory(prefix="pemba-"))
    engine = Engine.sqlite(Path(directory) / "pemba.db")
    return _loaded(Pemba(engine, "SQLite", held), schema, relationships)


def _loaded(peer: Pemba, schema: str, relationships: Sequence[str]) -> Pemba:
    try:
        peer.load(schema, relationships)
    except BaseException:
        peer.close()
        raise
    return peer
