"""Hostile texts for everything that reads text: errors of our own, and soon.

Each test throws mutations of good texts and soups of the language's words at a reader for a while,
two seconds unless RELATA_FUZZ_SECONDS says otherwise; the long run, before a release, is

    RELATA_FUZZ_SECONDS=200 .venv/bin/python -m pytest tests/fuzz -s

Only the refusals that are documented may come out, and none may take a second of the processor.
The seed is printed where a test fails, and RELATA_FUZZ_SEED repeats it.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from relata.errors import InvalidArgumentError, LimitExceededError, SchemaError
from relata.relationships import parse_relationship, parse_subject
from relata.schema import compile_schema, lint
from relata.schema.formatter import format_schema

SECONDS = float(os.environ.get("RELATA_FUZZ_SECONDS", "2"))
SEED = int(os.environ.get("RELATA_FUZZ_SEED", str(random.randrange(2**32))))
MOST_SECONDS = 1.0

SCHEMA = """use expiration
use self
use partial
use typechecking

/** A caveat. */
caveat on_day(day int, days list<int>, where map<any>) {
	day in days && where.a.exists(x, x == "}") || size(days) > 3
}

partial shared {
	relation owner: user | user:* with on_day | group#member with on_day and expiration
}

definition user {}
definition group { relation member: user | group#member; }

// Documents.
definition acme/document {
	...shared
	relation parent: acme/document
	permission view: user | group = (owner + parent->view) & parent.all(view) - nil + self
	permission edit = owner - (view & owner) /* odd */
}
"""
RELATIONSHIPS = (
    "document:readme#viewer@user:anne",
    "acme/document:a|b#viewer@group:eng#member",
    'document:1#viewer@user:*[on_day:{"day": 5, "where": {"a": [1, "]"]}}]',
    'document:1#viewer@user:x[on_day:{"day":5}][expiration:2030-01-01T00:00:00.123456789Z]',
    "document:1#viewer@user:x#...[expiration:2030-01-01T00:00:00+02:00]",
)
LANGUAGE = (
    "definition caveat relation permission partial use with and expiration self nil import "
    "user document viewer view on_day int list<int> map<any> ipaddress any all exists has "
    "{ } ( ) | + - & / = : ; -> # ... * . , < > [ ] ! ? % ' ''' // /* */ ** @ \\ "
    '" """ '
    "0 1 -1 9999999999999999999999 1.5 1e999 true null {} [] 2030-01-01T00:00:00Z [expiration: "
    '{"a": "x" \u00e9 \u200b \u202e \U0001f600'
)
LAYOUT = ("\n", "\r\n", "\t", "\0", "\x7f", "\ud800", "\u2028")
WORDS = (*LANGUAGE.split(), *LAYOUT)


def mutated(rng: random.Random, text: str) -> str:
    """A text with a few pieces cut out, doubled, moved, repeated or replaced."""
    for _ in range(rng.randint(1, 6)):
        start, end = sorted(rng.randint(0, len(text)) for _ in range(2))
        piece = text[start : min(end, start + rng.choice((1, 8, 60, 400)))]
        after = text[start + len(piece) :]
        new = rng.choice(
            [
                "",
                piece + piece,
                piece[::-1],
                rng.choice(WORDS),
                " ".join(rng.choices(WORDS, k=5)),
                rng.choice(WORDS) * rng.choice((2, 50, 1_000)),
            ]
        )
        text = text[:start] + new + after
    return text


def soup(rng: random.Random, _: str) -> str:
    """Words of the language in any order."""
    return rng.choice(("", " ", "\n")).join(rng.choices(WORDS, k=rng.choice((3, 30, 300, 3_000))))


def repeated(rng: random.Random, text: str) -> str:
    """One thing very often, perhaps inside a good text: nesting, long names, long lists."""
    word = rng.choice(WORDS) + rng.choice(("", " ", "a", "\n"))
    middle = rng.randint(0, len(text))
    return text[:middle] + word * rng.choice((100, 2_000, 20_000)) + text[middle:]


def throw(
    read: Callable[[str], object], good: Sequence[str], refusals: tuple[type[Exception], ...]
) -> None:
    """Throw hostile texts at a reader until the time is up."""
    rng = random.Random(SEED)
    until, thrown = time.monotonic() + SECONDS, 0
    while time.monotonic() < until:
        text = rng.choice((mutated, mutated, mutated, soup, repeated))(rng, rng.choice(good))
        started = time.process_time()
        try:
            read(text)
        except refusals:
            pass
        except BaseException as error:
            error.add_note(f"seed {SEED}, text {text[:2_000]!r}")
            raise
        took = time.process_time() - started
        assert took < MOST_SECONDS, f"seed {SEED}: {took:.1f} s for {len(text)} of {text[:2_000]!r}"
        thrown += 1
    assert thrown > 10
    print(f"{thrown} texts, seed {SEED}")


def good_schemas() -> list[str]:
    scenario = Path(__file__).parents[2] / "schema.zed"
    return [SCHEMA, scenario.read_text(encoding="utf-8")]


@pytest.mark.parametrize("read", [compile_schema, lint, format_schema])
def test_whatever_reads_a_schema(read: Callable[[str], object]) -> None:
    throw(read, good_schemas(), (SchemaError, LimitExceededError))


def test_whatever_reads_a_relationship() -> None:
    """What is read is written as it reads again."""

    def there_and_back(text: str) -> None:
        relationship = parse_relationship(text)
        assert parse_relationship(str(relationship)) == relationship
        str(relationship).encode()
        parse_subject(relationship.subject)

    throw(there_and_back, RELATIONSHIPS, (InvalidArgumentError,))
