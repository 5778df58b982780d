"""zanzibar-index: an engine in Python with bitmaps, or over a table of every path.

Its schemas are in OpenFGA's language. It has two ways to answer: sets of what is written, held in
memory, and an index of edges in SQLite in which every path has a row. It refuses relationships in
a circle.

What a subject can reach it tells of all types at once, so a lookup of resources does more than is
asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.peers import Unable
from benchmarks.peers.openfga import translated
from benchmarks.peers.texts import parts, split

if sys.version_info < (3, 13):
    raise ImportError("zanzibar-index needs Python 3.13")

import sqlmodel
from zanzibar.connectedstore import ConnectedStore, build_index, save_schema
from zanzibar.graphindex import Node
from zanzibar.setengine import RelationTuple, SetEngine

_STORE = "benchmarks"
_ITSELF = "..."
"""In place of a relation: the object itself."""
_AT_ONCE = 10_000


class Sets:
    """A `benchmarks.peers.Peer` of sets in memory."""

    def __init__(self, session: sqlmodel.Session, schema: str, held: ExitStack) -> None:
        self.name = f"zanzibar-index {version('zanzibar-index')} sets"
        self._engine = SetEngine(session, _STORE, schema)
        self._held = held

    def check(self, resource: str, permission: str, subject: str) -> bool:
        return bool(
            self._engine.check(_ITSELF, *split(subject), permission, *split(resource)),
        )

    def lookup_resources(
        self, resource_type: str, permission: str, subject: str
    ) -> Collection[str]:
        found = self._engine.lookup(_ITSELF, *split(subject))
        return self._named(found.node_ids, resource_type, permission)

    def lookup_subjects(self, resource: str, permission: str, subject_type: str) -> Collection[str]:
        found = self._engine.lookup_reverse(permission, *split(resource))
        everybody = {"*"} if (subject_type, _ITSELF) in found.markers else set()
        return self._named(found.node_ids, subject_type, _ITSELF) | everybody

    def close(self) -> None:
        del self._engine
        self._held.close()

    def _named(self, ids: Collection[int], type_: str, relation: str) -> set[str]:
        keys = map(self._engine.interner.key, ids)
        return {name for of, name, predicate in keys if of == type_ and predicate == relation}


class Edges:
    """A `benchmarks.peers.Peer` of an index in SQLite."""

    def __init__(self, session: sqlmodel.Session, schema: str, held: ExitStack) -> None:
        self.name = f"zanzibar-index {version('zanzibar-index')} graph"
        save_schema(session, _STORE, schema)
        session.commit()
        build_index(session, _STORE)
        self._session = session
        self._store = ConnectedStore(session, _STORE)
        self._held = held

    def check(self, resource: str, permission: str, subject: str) -> bool:
        return bool(
            self._store.check(_ITSELF, *split(subject), permission, *split(resource)),
        )

    def lookup_resources(
        self, resource_type: str, permission: str, subject: str
    ) -> Collection[str]:
        found = self._store.lookup(_ITSELF, *split(subject))
        return self._named(found.node_ids, resource_type, permission)

    def lookup_subjects(self, resource: str, permission: str, subject_type: str) -> Collection[str]:
        found = self._store.lookup_reverse(permission, *split(resource))
        everybody = {"*"} if (subject_type, _ITSELF, "any") in found.markers else set()
        return self._named(found.node_ids, subject_type, _ITSELF) | everybody

    def close(self) -> None:
        self._held.close()

    def _named(self, ids: Collection[int], type_: str, relation: str) -> set[str]:
        named: set[str] = set()
        left = iter(ids)
        while some := list(islice(left, _AT_ONCE)):
            wanted = sqlmodel.select(Node.name).where(
                sqlmodel.col(Node.id).in_(some), Node.type == type_, Node.predicate == relation
            )
            named.update(self._session.exec(wanted))
        return named


def of_sets(schema: str, relationships: Sequence[str]) -> Sets:
    """Sets of what is written."""
    with ExitStack() as held:
        session = _stored(relationships, held)
        try:
            return Sets(session, translated(schema), held.pop_all())
        except ValueError as error:
            raise Unable(str(error)) from error


def of_edges(schema: str, relationships: Sequence[str]) -> Edges:
    """An index with a row for every path."""
    with ExitStack() as held:
        session = _stored(relationships, held)
        try:
            return Edges(session, translated(schema), held.pop_all())
        except ValueError as error:
            raise Unable(str(error)) from error


def _stored(relationships: Sequence[str], held: ExitStack) -> sqlmodel.Session:
    """Its table of relationships, filled in bulk."""
    folder = held.enter_context(TemporaryDirectory(prefix="zanzibar-index-"))
    engine = sqlmodel.create_engine(f"sqlite:///{Path(folder) / 'tuples.db'}")
    held.callback(engine.dispose)
    sqlmodel.SQLModel.metadata.create_all(engine)
    session = held.enter_context(sqlmodel.Session(engine))
    rows = [_row(relationship) for relationship in relationships]
    for start in range(0, len(rows), _AT_ONCE):
        session.execute(sqlmodel.insert(RelationTuple), rows[start : start + _AT_ONCE])
    session.commit()
    return session


def _row(relationship: str) -> dict[str, Any]:
    part = parts(relationship)
    return {
        "store_id": _STORE,
        "subject_predicate": part.subject_relation or _ITSELF,
        "subject_type": part.subject_type,
        "subject_name": part.subject_id,
        "relation": part.relation,
        "object_type": part.resource_type,
        "object_name": part.resource_id,
    }
