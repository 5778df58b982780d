"""Databases with relationships in them, filled as `relata import` fills one."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from itertools import islice
from pathlib import Path

from relata.authorizer import Relata
from relata.store import Store
from relata.transfer import Layout, importing

_BLOCK = 10_000
"""Lines that are taken at once."""


def open_loaded(
    path: Path,
    schema: str,
    relationships: Iterable[str],
    *,
    question_only: frozenset[str] = frozenset(),
    answers_kept: int = 0,
) -> Relata:
    """Make a database of a schema and relationships, and open it; so that it finds each answer,
    unless it is to keep some."""
    url = f"sqlite:///{path}"
    with closing(Store.open(url)) as store:
        store.write_schema(schema, replaces=0, removed=[])
        feed(store, relationships, question_only=question_only)
    return Relata.open(url, question_only=question_only, answers_kept=answers_kept)


def feed(
    store: Store, relationships: Iterable[str], *, question_only: frozenset[str] = frozenset()
) -> None:
    """Import relationships into a store that has a schema."""
    with importing(store, question_only, Layout.TEXT) as importer:
        lines = iter(relationships)
        while block := list(islice(lines, _BLOCK)):
            importer.feed("\n".join([*block, ""]).encode())
        importer.finish()
