"""docs/model.md: each piece of schema in it compiles in the place of what it changes."""

from __future__ import annotations

import re

import pytest

from relata.schema import compile_schema
from tests.docs.pages import DOCUMENTS, Block, blocks

SCHEMA = (DOCUMENTS.parent / "schema.zed").read_text(encoding="utf-8")
_DEFINITION = re.compile(r"^definition (\w+) \{(?:\}|\n.*?^\})$", re.M | re.S)


@pytest.mark.parametrize("block", blocks("model.md", "zed"), ids=lambda block: f"line {block.line}")
def test_a_piece_of_the_page_fits_into_the_schema(block: Block) -> None:
    changed = {match[1]: match[0] for match in _DEFINITION.finditer(block.text)}
    assert changed
    kept = _DEFINITION.sub(lambda match: "" if match[1] in changed else match[0], SCHEMA)
    names = set(compile_schema(f"{block.text}\n{kept}").definitions)
    assert names == set(compile_schema(SCHEMA).definitions) | changed.keys()
