"""The pages of `docs/`, and the fenced blocks in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

DOCUMENTS = Path(__file__).parents[2] / "docs"

_FENCED = re.compile(r"^```(?P<info>[^\n]*)\n(?P<text>.*?)^```\n", re.M | re.S)


class Block(NamedTuple):
    """A fenced block of a page."""

    line: int
    """Where it starts."""
    language: str
    name: str
    """What follows the language: the name of a file, if anything."""
    text: str
    answer: str | None
    """The `text` block that follows with nothing between, without the end of its last line."""


def page(name: str) -> str:
    """A page's text."""
    return (DOCUMENTS / name).read_text(encoding="utf-8")


def blocks(name: str, language: str) -> list[Block]:
    """The blocks of a page that are in a language, in order."""
    return [block for block in _blocks(page(name)) if block.language == language]


def table(name: str, heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its own heading; `\\|` is a `|`."""
    lines = page(name).split("\n")
    start = next(at for at, line in enumerate(lines) if line.strip("# ") == heading)
    first = next(at for at in range(start, len(lines)) if lines[at].startswith("|"))
    rows = []
    for line in lines[first + 2 :]:
        if not line.startswith("|"):
            break
        cells = re.split(r"(?<!\\)\|", line)[1:-1]
        rows.append([cell.strip().replace(r"\|", "|") for cell in cells])
    return rows


def code(cell: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def _blocks(text: str) -> Iterator[Block]:
    found = list(_FENCED.finditer(text))
    for match, after in zip(found, [*found[1:], None], strict=True):
        language, _, name = match["info"].partition(" ")
        follows = after is not None and after.start() == match.end() and after["info"] == "text"
        answer = after["text"].removesuffix("\n") if after is not None and follows else None
        line = text.count("\n", 0, match.start()) + 1
        yield Block(line, language, name, match["text"], answer)
