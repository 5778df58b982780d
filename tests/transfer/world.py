"""A schema for lines, and stores that have it."""

from __future__ import annotations

from collections.abc import Iterable

from relata.store import Store
from relata.transfer import Imported, Importer, Layout, importing

SCHEMA = """\
use expiration

caveat weekdays(days int) {
	days < 6
}

definition user {}

definition group {
	relation member: user | group#member
}

definition document {
	relation owner: user
	relation viewer: user | user:* | group#member | user with weekdays
	relation guest: user with expiration | user with weekdays and expiration
	relation asked_by: user

	permission view = viewer + owner
}
"""

QUESTION_ONLY = frozenset({"document#asked_by"})

LINES = (
    "document:readme#viewer@user:anne",
    "document:readme#viewer@user:*",
    "document:readme#viewer@group:eng#member",
    "document:readme#owner@user:auth0|123",
    "document:r\N{LATIN SMALL LETTER E WITH ACUTE}sum\N{LATIN SMALL LETTER E WITH ACUTE}"
    "#owner@user:anne@example.com",
    "group:eng#member@user:anne",
    'document:plan#viewer@user:anne[weekdays:{"days":5}]',
    "document:plan#viewer@user:bob[weekdays]",
    "document:plan#guest@user:cleo[expiration:2130-01-01T00:00:00Z]",
    'document:plan#guest@user:dan[weekdays:{"days":3}][expiration:2130-01-01T00:00:00.000001Z]',
)
"""Every form of relationship that the schema allows."""


def with_schema(url: str) -> Store:
    """A store with the schema."""
    store = Store.open(url)
    store.write_schema(SCHEMA, replaces=0, removed=[])
    return store


def take(
    store: Store,
    blocks: Iterable[bytes],
    layout: Layout = Layout.TEXT,
    *,
    batch: int = 3,
    name: str = "",
) -> Imported:
    """Import blocks to their end."""
    with importing(store, QUESTION_ONLY, layout, batch=batch, name=name) as importer:
        return feed(importer, blocks)


def feed(importer: Importer, blocks: Iterable[bytes]) -> Imported:
    """Feed blocks to their end."""
    for block in blocks:
        importer.feed(block)
    return importer.finish()


def many(count: int) -> list[str]:
    """Different relationships."""
    return [f"document:d{number}#viewer@user:u{number % 7}" for number in range(count)]


def text_of(lines: Iterable[str]) -> bytes:
    """Lines as the bytes of a file."""
    return "".join(f"{line}\n" for line in lines).encode()
