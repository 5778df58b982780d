"""YAML as far as a scenario needs it: mappings, lists and texts, and where each stands.

The text is composed into nodes and never constructed, so no tag makes an object. Nesting is
bounded while it is composed; an alias is the node that it names, and whoever walks the nodes
counts them, so that a small file cannot mean a large one.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from typing import Any

import yaml

from relata.schema.source import Source
from relata.validation.model import ScenarioError, Text

MAX_DEPTH = 20
"""How deep mappings and lists may be nested."""

_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)*")
_ESCAPE = re.compile(r"\\(?:x.{2}|u.{4}|U.{8}|.)|.", re.DOTALL)
_BLANK_ESCAPES = frozenset("tnvfrNLP_ \t\n\r")
_LINE_END = re.compile(r"\r\n?|\n")
_PROBLEMS = {
    "mapping values are not allowed here": "put a text that has `: ` in it in quotes",
    "found character '\\t' that cannot start any token": "indent with spaces, not with tabs",
    "but found another document": "a scenario is one document, and here begins another",
}
"""What to do about some problems, by PyYAML's words for them."""


class _Loader(yaml.SafeLoader):
    """A loader that goes down no deeper than `MAX_DEPTH`."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # PyYAML's own
            raise yaml.composer.ComposerError(
                None, None, f"it is nested more than {MAX_DEPTH} levels deep", mark
            )
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


def compose(source: Source) -> yaml.Node | None:
    """The root node of a text; None where there is nothing in it. Raises ScenarioError."""
    try:
        loader = _Loader(source.text)
        try:
            return loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at, problem = mark.index if mark else 0, error.problem or "it cannot be read"
    except yaml.reader.ReaderError as error:
        at, problem = error.position, f"it has the character U+{_code_point(error.character):04X}"
    except (ValueError, OverflowError):  # an escape or a version that is no number Python has
        at, problem = 0, "an escape or a directive in it has no meaning"
    message = f"this is not YAML: {_PROBLEMS.get(problem, problem)}"
    raise ScenarioError([source.diagnostic(min(at, len(source.text)), message)])


def text_of(node: yaml.ScalarNode, source: Source) -> Text:
    """The value of a scalar, with the place of every character.

    However a text is written, folded, quoted, indented, its characters but the blanks stand in
    the file in their order, so their places are found by counting; a blank has the place behind
    what is before it.
    """
    start, end = node.start_mark.index, node.end_mark.index
    places = _solid(source.text, start, end, node.style)
    offsets, behind = array("q"), start
    for character in node.value:
        place = behind if character.isspace() else next(places, behind)
        offsets.append(place)
        behind = place if character.isspace() else place + 1
    offsets.append(behind)
    return Text(node.value, start, offsets)


def _solid(text: str, start: int, end: int, style: str | None) -> Iterator[int]:
    """The offsets of what stands for a character that is not blank, in order."""
    properties = _PROPERTIES.match(text, start, end)
    start = properties.end() if properties else start
    if style in ("|", ">"):
        header = _LINE_END.search(text, start, end)
        start = header.end() if header else end
    elif style in ("'", '"'):
        start, end = start + 1, end - 1
    if style == '"':
        for unit in _ESCAPE.finditer(text, start, end):
            if not _is_blank(unit[0]):
                yield unit.start()
        return
    at = start
    while at < end:
        if not text[at].isspace():
            yield at
        at += 2 if style == "'" and text[at] == "'" else 1


def _is_blank(unit: str) -> bool:
    """Whether a character, or an escape in double quotes, stands for a blank."""
    if not unit.startswith("\\"):
        return unit.isspace()
    code = unit[2:]
    return chr(int(code, 16)).isspace() if code else unit[1] in _BLANK_ESCAPES


def _code_point(character: str | bytes | int) -> int:
    return character if isinstance(character, int) else ord(character)
