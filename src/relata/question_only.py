"""Relations that exist only for a question, as a database's users have agreed on them.

`organization#chosen_by` says who chose the organization of the question being asked. A stored one
would choose for everybody, so it cannot be stored, and nothing stored of it is evaluated. The
names are kept in the database and hold for every process that has it open: new ones make a new
revision of the schema, so that a write under the old agreement is refused, and tried again under
the new one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from relata.errors import StoreError
from relata.relationships import RelationshipFilter
from relata.store import Store

DEFAULT_QUESTION_ONLY = ("organization#chosen_by", "product#requested_by")
"""The relations that exist only for a question, where nobody has named others."""

_SETTING = "question_only"


def agree_on_question_only(store: Store, wanted: Iterable[str] | None) -> frozenset[str]:
    """The question-only relations of a database, which may grow and never shrink.

    Raises StoreError where what is wanted leaves out one that was agreed before: a process that
    still counts on it could then be told, by what is stored, whose question it is.
    """
    stored = store.setting(_SETTING)
    agreed = question_only_of(store)
    if wanted is None:
        names = frozenset(DEFAULT_QUESTION_ONLY) if stored is None else agreed
    else:
        names = frozenset(wanted)
    if missing := agreed - names:
        raise StoreError(
            f"`{min(missing)}` exists only for questions in this database, and would no longer; "
            "name it too"
        )
    for name in sorted(names - agreed):
        _require_nothing_stored(store, name)
    if stored is None or names != agreed:
        store.set_setting(_SETTING, json.dumps(sorted(names)), renews_schema=True)
    return names


def question_only_of(store: Store) -> frozenset[str]:
    """The question-only relations that have been agreed on."""
    stored = store.setting(_SETTING)
    return frozenset(() if stored is None else json.loads(stored))


def _require_nothing_stored(store: Store, name: str) -> None:
    type_, _, relation = name.partition("#")
    named = RelationshipFilter(resource_type=type_, relation=relation)
    if store.read(named, revision=store.state().head, limit=1):
        raise StoreError(
            f"relationships of `{name}` are stored; delete them before it can exist only for "
            "questions"
        )
