"""Scenario files: the YAML of SpiceDB's tools, read whole.

The keys are `schema` or `schemaFile`, `relationships`, `assertions` with its three lists, and
`validation`. What is wrong with the form of a file is found together and told with its line and
column; nothing here knows what the schema says.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import partial
from os import PathLike
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, TypeVar

import msgspec
import yaml

from relata.engine import Permissionship
from relata.errors import InvalidArgumentError
from relata.relationships import (
    ObjectRef,
    Relationship,
    check_relation_name,
    parse_object,
    parse_relationship,
    parse_subject,
)
from relata.schema.source import Findings, Source, quote
from relata.validation.composing import compose, text_of
from relata.validation.model import (
    Assertion,
    ExpectedRelation,
    ExpectedSubject,
    GivenRelationship,
    Marked,
    Scenario,
    ScenarioError,
    Schema,
    SchemaFile,
    Text,
)

T = TypeVar("T")

MAX_BYTES = 8 * 1024 * 1024
"""The longest scenario file."""
MAX_ITEMS = 100_000
"""How many assertions and expected subjects a file may have, those that aliases repeat counted."""

KEYS = ("schema", "schemaFile", "relationships", "assertions", "validation")
LEGACY = {
    "namespace_configs": "write the definitions under `schema`",
    "relation_tuples": "write them under `relationships`",
    "validation_tuples": "write them under `assertions`",
}
ANSWERS = {
    "assertTrue": Permissionship.ALLOWED,
    "assertFalse": Permissionship.DENIED,
    "assertCaveated": Permissionship.CONDITIONAL,
}
_EXPECTED = re.compile(
    r"\[\s*(?P<who>[^\s\[\]]+(?:\[\.\.\.\])?)(?:\s+-\s+\{(?P<excluded>[^}]*)\})?\s*\]"
    r"\s+is\s+(?P<through><[^<>]+>(?:\s*/\s*<[^<>]+>)*)"
)
_NAME = re.compile(r"<([^<>]+)>")
_MARK = "[...]"
_COMMENT = "//"
_LINE_END = re.compile(r"[\r\n]")
_TEXT = "tag:yaml.org,2002:str"
_NULL = "tag:yaml.org,2002:null"


def read_scenario(path: str | PathLike[str]) -> Scenario:
    """Read a scenario's file.

    Raises ScenarioError, with a diagnostic for each fault of its form; InvalidArgumentError where
    the file cannot be read at all.
    """
    path = Path(path)
    try:
        content = path.read_bytes() if path.stat().st_size <= MAX_BYTES else None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise InvalidArgumentError(f"`{path}` cannot be read: {why}") from error
    if content is None:
        raise InvalidArgumentError(f"`{path}` is longer than {MAX_BYTES} bytes; split it")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise InvalidArgumentError(
            f"`{path}` is not UTF-8 at byte {error.start + 1}; save it as UTF-8"
        ) from None
    return parse_scenario(text, source=str(path), directory=path.parent)


def parse_scenario(
    text: str, *, source: str = "scenario.yaml", directory: Path | None = None
) -> Scenario:
    """Read a scenario's text; `source` is what errors call it.

    A `schemaFile` is looked for in the directory, and is refused where there is none. Raises
    ScenarioError.
    """
    return _Reading(Source(text, source), directory).scenario()


class _Reading:
    """Reads one file; faults are collected, and what has one is left out."""

    def __init__(self, source: Source, directory: Path | None) -> None:
        self._source = source
        self._directory = directory
        self._findings = Findings(source)
        self._items = 0
        self._length = 0

    def scenario(self) -> Scenario:
        root = compose(self._source)
        if root is None:
            self._add(0, "the file is empty; a scenario has a `schema` at least")
            raise self._error()
        fields = self._fields(root, "a scenario", KEYS, LEGACY)
        schema = self._schema(root, fields)
        relationships = tuple(self._relationships(fields.get("relationships")))
        assertions = tuple(self._assertions(fields.get("assertions")))
        expected = tuple(self._expected(fields.get("validation")))
        if schema is None or self._findings:
            raise self._error()
        return Scenario(self._source, schema, relationships, assertions, expected)

    def _error(self) -> ScenarioError:
        return ScenarioError(self._findings.diagnostics())

    def _add(self, at: int, message: str) -> None:
        self._findings.add(at, message)

    # Nodes

    def _entries(self, node: yaml.Node | None, what: str) -> Iterator[tuple[Text, yaml.Node]]:
        """The keys and values of a mapping; nothing where there is none."""
        if node is None or _is_null(node):
            return
        if not isinstance(node, yaml.MappingNode):
            self._add(_at(node), f"{what} is a mapping; write `key: value` lines")
            return
        seen: set[str] = set()
        for key, value in node.value:
            text = self._text(key, "a key")
            if text is None:
                continue
            if text.value in seen:
                self._add(text.at, f"{quote(text.value)} is there twice; join the two")
            seen.add(text.value)
            yield text, value

    def _fields(
        self, node: yaml.Node | None, what: str, keys: Collection[str], legacy: Mapping[str, str]
    ) -> dict[str, yaml.Node]:
        """The values of a mapping whose keys are known; a null is as good as nothing."""
        fields = {}
        for key, value in self._entries(node, what):
            if key.value in keys:
                if not _is_null(value):
                    fields[key.value] = value
            elif key.value in legacy:
                shown = f"{quote(key.value)} is of an older format"
                self._add(key.at, f"{shown}; {legacy[key.value]}")
            else:
                close = get_close_matches(key.value, keys, n=1)
                hint = f"did you mean `{close[0]}`?" if close else f"there are {listed(keys)}"
                self._add(key.at, f"{quote(key.value)} is no key of {what}; {hint}")
        return fields

    def _texts(self, node: yaml.Node | None, what: str) -> Iterator[Text]:
        """The texts of a list; nothing where there is none."""
        if node is None or _is_null(node):
            return
        if not isinstance(node, yaml.SequenceNode):
            self._add(_at(node), f"{what} is a list; begin each line with `- `")
            return
        self._items += len(node.value)
        if self._items > MAX_ITEMS:
            self._add(_at(node), f"the file has more than {MAX_ITEMS} items; split it")
            raise self._error()
        for item in node.value:
            text = self._text(item, f"an item of {what}")
            if text is not None:
                yield text

    def _text(self, node: yaml.Node, what: str) -> Text | None:
        if isinstance(node, yaml.ScalarNode) and node.tag == _TEXT:
            self._length += len(node.value)
            if self._length > MAX_BYTES:  # more than the file has: aliases repeat a long text
                self._add(_at(node), f"the file means more than {MAX_BYTES} characters; split it")
                raise self._error()
            return text_of(node, self._source)
        self._add(_at(node), f"{what} is a text; put it in quotes")
        return None

    def _parsed(self, at: int, parse: Callable[[], T]) -> T | None:
        """What a text means; None, with a fault, where it means nothing."""
        try:
            return parse()
        except InvalidArgumentError as error:
            self._add(at, error.message)
            return None

    # Schema

    def _schema(self, root: yaml.Node, fields: Mapping[str, yaml.Node]) -> Schema | None:
        text, file = fields.get("schema"), fields.get("schemaFile")
        if text is not None and file is not None:
            self._add(_at(file), "`schema` and `schemaFile` exclude each other; leave one out")
        elif text is not None:
            return self._text(text, "`schema`")
        elif file is not None:
            return self._schema_file(file)
        elif isinstance(root, yaml.MappingNode):
            self._add(_at(root), "there is no `schema` and no `schemaFile`")
        return None

    def _schema_file(self, node: yaml.Node) -> SchemaFile | None:
        name = self._text(node, "`schemaFile`")
        if name is None:
            return None
        shown = quote(name.value)
        if self._directory is None:
            self._add(name.at, f"there is no directory to look for {shown} in; write a `schema`")
            return None
        if not is_local(name.value):
            self._add(name.at, f"{shown} is no file beside or below this one; name it from here")
            return None
        try:
            directory = self._directory.resolve()
            path = (directory / name.value).resolve()
        except (OSError, RuntimeError):  # a circle of links, a name too long
            self._add(name.at, f"{shown} cannot be found in this file's directory")
            return None
        if not path.is_relative_to(directory):
            self._add(name.at, f"{shown} leads out of this file's directory; keep it inside")
        elif not path.is_file():
            self._add(name.at, f"there is no file {shown} in this one's directory")
        else:
            return SchemaFile(path, self._directory / name.value, name.at)
        return None

    # Relationships

    def _relationships(self, node: yaml.Node | None) -> Iterator[GivenRelationship]:
        text = None if node is None else self._text(node, "`relationships`")
        if text is None:
            return
        first: dict[Relationship, int] = {}
        for index, word in relationship_words(text, self._source):
            at = text.offsets[index]
            relationship = self._parsed(at, partial(parse_relationship, word))
            if relationship is None:
                continue
            before = first.setdefault(relationship.key, at)
            if before != at:
                line = self._findings.line(before, beside=at)
                self._add(at, f"{quote(str(relationship.key))} is there already, on {line}")
            yield GivenRelationship(relationship, at)

    # Assertions

    def _assertions(self, node: yaml.Node | None) -> Iterator[Assertion]:
        groups = self._fields(node, "`assertions`", ANSWERS, {})
        for group, items in groups.items():
            for text in self._texts(items, f"`{group}`"):
                parsed = self._parsed(text.at, partial(_parse_assertion, text.value))
                if parsed is not None:
                    yield Assertion(group, ANSWERS[group], *parsed, text.at)

    # Expected relations

    def _expected(self, node: yaml.Node | None) -> Iterator[ExpectedRelation]:
        for key, value in self._entries(node, "`validation`"):
            asked = self._parsed(key.at, partial(_parse_name, key.value))
            subjects = tuple(self._expected_subjects(value, key.value))
            if asked is not None:
                yield ExpectedRelation(*asked, subjects, key.at)

    def _expected_subjects(self, node: yaml.Node, key: str) -> Iterator[ExpectedSubject]:
        for text in self._texts(node, quote(key)):
            parsed = self._parsed(text.at, partial(_parse_expected, text.value))
            if parsed is not None:
                yield ExpectedSubject(*parsed, text.at)


def relationship_words(text: Text, source: Source) -> Iterator[tuple[int, str]]:
    """The relationships of a text, each with its offset in it: one a line, or several with blanks.

    Folded text has several on a line. What follows `//` on its line of the file is a comment,
    unless it is within a relationship; blanks within the brackets of one belong to it.
    """
    value, at = text.value, 0
    while at < len(value):
        if value[at].isspace():
            at += 1
        elif value.startswith(_COMMENT, at):
            line_end = _LINE_END.search(source.text, text.offsets[at])
            end = line_end.start() if line_end else len(source.text)
            own_end = value.find("\n", at)
            at = min(bisect_right(text.offsets, end, at), own_end if own_end >= 0 else len(value))
        else:
            end = _end_of_word(value, at)
            yield at, value[at:end]
            at = end


def _end_of_word(text: str, at: int) -> int:
    depth, quoted = 0, False
    while at < len(text) and text[at] != "\n":
        letter = text[at]
        if quoted:
            at += letter == "\\"
            quoted = letter != '"'
        elif letter == '"' and depth:
            quoted = True
        elif letter == "[":
            depth += 1
        elif letter == "]":
            depth -= 1
        elif letter.isspace() and depth <= 0:
            break
        at += 1
    return min(at, len(text))


def is_local(name: str) -> bool:
    """Whether a file's name leads to no other place than beside or below where it is read."""
    path = PurePosixPath(name)
    return not (
        not name
        or "\0" in name
        or "\\" in name
        or not name.isprintable()
        or path.is_absolute()
        or ".." in path.parts
        or PureWindowsPath(name).drive
    )


def _parse_assertion(text: str) -> tuple[Relationship, dict[str, Any]]:
    """Read `document:readme#view@user:anne with {"day": "monday"}`."""
    text = text.strip()
    end = _end_of_word(text, 0)
    question = parse_relationship(text[:end])
    if question != question.key:
        raise InvalidArgumentError(
            f"{quote(text[:end])} has a caveat or an expiration, and a question has none; "
            'write the context behind it, as in `… with {"day": "monday"}`'
        )
    rest = text[end:].split(maxsplit=1)
    if not rest:
        return question, {}
    if rest[0] != "with":
        raise InvalidArgumentError(f"{quote(rest[0])} follows the question; only ` with {{…}}` may")
    try:
        return question, msgspec.json.decode("".join(rest[1:]), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        raise InvalidArgumentError(
            'what follows `with` is not a JSON object; write it as in `with {"day": "monday"}`'
        ) from None


def _parse_name(text: str) -> tuple[ObjectRef, str]:
    """Read `document:readme#view`."""
    resource, separator, name = text.strip().partition("#")
    if not separator:
        raise InvalidArgumentError(
            f"{quote(text)} names no relation or permission; write `type:id#name`"
        )
    check_relation_name(name, field="validation")
    return parse_object(resource), name


def _parse_expected(text: str) -> tuple[Marked, frozenset[Marked], frozenset[str]]:
    """Read `[user:* - {user:bob}] is <document:readme#viewer>/<document:readme#owner>`."""
    parts = _EXPECTED.fullmatch(text.strip())
    if parts is None:
        raise InvalidArgumentError(
            f"{quote(text)} is no expected subject; write `[user:anne] is "
            "<document:readme#viewer>`, with `[...]` behind a subject that is there on a "
            "condition, and `[user:* - {user:bob}]` where a wildcard leaves somebody out"
        )
    excluded = (parts["excluded"] or "").split(",") if parts["excluded"] else []
    through = (_parse_name(name) for name in _NAME.findall(parts["through"]))
    return (
        _parse_marked(parts["who"]),
        frozenset(map(_parse_marked, excluded)),
        frozenset(f"{resource}#{name}" for resource, name in through),
    )


def _parse_marked(text: str) -> Marked:
    text = text.strip()
    return Marked(parse_subject(text.removesuffix(_MARK)), text.endswith(_MARK))


def listed(words: Iterable[str]) -> str:
    """Words in backticks, with commas."""
    return ", ".join(f"`{word}`" for word in words)


def _is_null(node: yaml.Node) -> bool:
    return node.tag == _NULL


def _at(node: yaml.Node) -> int:
    at: int = node.start_mark.index
    return at
