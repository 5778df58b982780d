"""The command line in this process, on a real SQLite file with a small world of documents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from relata.authorizer import Relata
from tests.cli.commands import Commands

SCHEMA = """\
definition user {}

definition group {
	relation member: user | group#member
}

definition document {
	relation owner: user
	relation viewer: user | user:* | group#member
	relation banned: user

	permission edit = owner
	permission view = (viewer + edit) - banned
}

definition organization {
	relation member: user
	relation chosen_by: user

	permission session = member & chosen_by
}
"""

RELATIONSHIPS = (
    "document:readme#owner@user:olga",
    "document:readme#viewer@group:eng#member",
    "document:public#viewer@user:*",
    "document:public#banned@user:bob",
    "group:eng#member@user:anne",
    "group:eng#member@group:leads#member",
    "group:leads#member@user:lee",
    "organization:acme#member@user:anne",
)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database that does not exist yet."""
    return f"sqlite:///{tmp_path / 'relata.db'}"


@pytest.fixture
def empty(url: str) -> Commands:
    """The command line on a database without a schema."""
    return Commands(url)


@pytest.fixture
def relata(url: str) -> Iterator[Relata]:
    """The database of `cli`, with the world in it."""
    with Relata.open(url, schema=SCHEMA) as relata:
        relata.write(RELATIONSHIPS)
        yield relata


@pytest.fixture
def cli(relata: Relata, url: str) -> Commands:
    """The command line on a database with the world in it."""
    return Commands(url)
