"""docs/recipes.md, taken apart: each recipe's commands, what they print, and its programs."""

from __future__ import annotations

import re
from typing import NamedTuple

from tests.cli.transcripts import Block
from tests.docs.pages import blocks, page

PAGE = "recipes.md"
BEGINNING = "The beginning"


class Recipe(NamedTuple):
    """What stands below one heading of the page."""

    title: str
    commands: list[Block]
    programs: dict[str, str]
    """The text of each program by its name, such as `facts.py`."""

    @property
    def name(self) -> str:
        """What the recipe's heading is reached by."""
        return self.title.lower().replace(" ", "-")


def read_recipes() -> list[Recipe]:
    """The beginning and the recipes, in the page's order."""
    headings = [
        (number, line.removeprefix("## "))
        for number, line in enumerate(page(PAGE).split("\n"), start=1)
        if line.startswith("## ")
    ]
    ends = [*(number for number, _ in headings[1:]), page(PAGE).count("\n") + 1]
    return [
        Recipe(title, _commands(range(start, end)), _programs(range(start, end)))
        for (start, title), end in zip(headings, ends, strict=True)
    ]


def listed() -> list[str]:
    """The names of the recipes, as the table at the top of the page links to them."""
    return re.findall(r"^\| \[[^\]]+\]\(#([a-z-]+)\) \|", page(PAGE), re.M)


def _commands(lines: range) -> list[Block]:
    return [
        Block(block.text, None if block.answer is None else f"{block.answer}\n")
        for block in blocks(PAGE, "sh")
        if block.line in lines
    ]


def _programs(lines: range) -> dict[str, str]:
    return {block.name: block.text for block in blocks(PAGE, "python") if block.line in lines}
