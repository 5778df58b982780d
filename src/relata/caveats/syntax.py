"""The tree of an expression, read from what the library serializes.

The library hands out a checked expression as protobuf (`cel.expr.CheckedExpr` of cel-spec). Only
what the other modules need is read: names, calls, macros, and each part's own bytes, which the
library takes back to run that part alone, or the whole with parts replaced.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from relata.caveats.functions import FUNCTIONS


class Fold(msgspec.Struct, frozen=True):
    """What a macro such as `all` becomes: a total carried along the items of a range."""

    item: str
    total: str
    range: Node
    start: Node
    condition: Node
    step: Node
    result: Node


class Node(msgspec.Struct, frozen=True):
    """A part of an expression."""

    kind: str
    """`constant`, `name`, `select`, `call`, `list`, `map` or `fold`."""
    text: str
    """The name, the function that is called, or a constant's text."""
    parts: tuple[Node, ...]
    """The parts in it; all but a fold's are evaluated first, in this order."""
    names: frozenset[str]
    """The names that it takes from outside."""
    is_ours: bool
    """Whether it calls a function of `functions.py`, which the library does not run."""
    is_scalar: bool
    """Whether its type is a number, a truth value, a moment or a duration."""
    source: bytes
    """The part as the library serializes it."""
    fold: Fold | None = None


class Program(msgspec.Struct, frozen=True):
    """A whole expression."""

    tree: Node
    referred: frozenset[str]
    """Every name that stands for a value somewhere in it."""


_TYPE_URL = b"type.googleapis.com/cel.expr.CheckedExpr"
_SCALAR_TYPES = frozenset(
    bytes(field)
    for field in (
        *((3 << 3, primitive) for primitive in (1, 2, 3, 4)),  # bool, int, uint, double
        *((5 << 3, known) for known in (2, 3)),  # timestamp, duration
        (2 << 3, 0),  # null
    )
)
"""How such types are serialized."""
_KINDS = {3: "constant", 4: "name", 5: "select", 6: "call", 7: "list", 8: "map", 9: "fold"}
_TRUE = bytes([3 << 3 | 2, 2, 2 << 3, 1])
"""The constant `true`."""
_ENTRIES = 2
"""Where a map holds its entries, which hold parts in turn."""

Fields = dict[int, list[bytes]]


def read_program(serialized: bytes, source: bytes | None = None) -> Program:
    """Read a serialized expression; with `source` as its tree, if given."""
    checked = _fields(_only(_fields(serialized), 2))
    references = (_fields(_only(_fields(entry), 2)) for entry in checked.get(2, ()))
    # A reference with overloads is a function's.
    names = (_text(reference, 1) for reference in references if 3 not in reference)
    types = map(_fields, checked.get(3, ()))
    scalars = frozenset(_only(each, 1) for each in types if _only(each, 2) in _SCALAR_TYPES)
    return Program(_read(source or _only(checked, 4), scalars), frozenset(names))


def as_expression(source: bytes) -> bytes:
    """A part's source as an expression of its own, as the library serializes one."""
    return _field(1, _TYPE_URL) + _field(2, _field(4, source))


def with_names(kind: str, source: bytes, names: Mapping[bytes, str]) -> bytes:
    """The source of a part of a kind, with names in the place of parts directly in it."""
    changed = {part: _name_source(name) for part, name in names.items()}
    return _substituted(source, changed, kind)


def with_names_inside(node: Node, names: Mapping[bytes, str]) -> bytes:
    """The source of a part, with names in the place of parts anywhere in it, or of itself."""
    return _rebuilt(node, {part: _name_source(name) for part, name in names.items()})


def without_early_ends(tree: Node) -> bytes | None:
    """The source of an expression whose macros go through all items, where that is needed.

    `all` and `exists` end early where they can. The library (0.1.3) then gives the `v` of a later
    `optMap(v, …)` the item that they ended with. The answer is the same without the early end.
    """
    folds = list(_folds(tree))
    binds = any(fold.range.kind == "list" and not fold.range.parts for fold in folds)
    ends = [fold.condition for fold in folds if fold.condition.kind != "constant"]
    return _rebuilt(tree, {end.source: _TRUE for end in ends}) if binds and ends else None


def _folds(node: Node) -> Iterator[Fold]:
    if node.fold:
        yield node.fold
    for part in node.parts:
        yield from _folds(part)


def _rebuilt(node: Node, changed: Mapping[bytes, bytes]) -> bytes:
    """The source of a part, with parts anywhere in it changed."""
    if node.source in changed:
        return changed[node.source]
    parts = {part.source: _rebuilt(part, changed) for part in node.parts}
    return _substituted(node.source, parts, node.kind)


def _name_source(name: str) -> bytes:
    return _field(4, _field(1, name.encode()))


def _substituted(message: bytes, changed: Mapping[bytes, bytes], kind: str) -> bytes:
    """A message of a part, with some of the messages in it changed."""
    result = bytearray()
    for number, start, at, end in _walk(message):
        value = message[at:end]
        if value in changed:
            result += _field(number, changed[value])
        elif _KINDS.get(number) == kind:
            result += _field(number, _substituted(value, changed, "map entry" * (kind == "map")))
        elif number == _ENTRIES and kind == "map entry":
            result += _field(number, _substituted(value, changed, ""))
        else:
            result += message[start:end]
    return bytes(result)


def _read(source: bytes, scalars: frozenset[bytes]) -> Node:
    """Read a part; `scalars` are the ids, as serialized, of those that have a scalar type."""
    fields = _fields(source)
    number = next(number for number in _KINDS if number in fields)
    kind, body = _KINDS[number], _fields(_only(fields, number))
    is_scalar = _only(fields, 2) in scalars
    if kind == "fold":
        return _read_fold(body, source, scalars, is_scalar=is_scalar)
    text, sources = _shape(kind, body)
    parts = tuple([_read(part, scalars) for part in sources])
    names = frozenset([text] if kind == "name" else ()).union(*(part.names for part in parts))
    is_ours = (kind == "call" and text in FUNCTIONS) or any(part.is_ours for part in parts)
    return Node(kind, text, parts, names, is_ours, is_scalar, source)


def _read_fold(body: Fields, source: bytes, scalars: frozenset[bytes], *, is_scalar: bool) -> Node:
    parts = tuple([_read(_only(body, number), scalars) for number in (2, 4, 5, 6, 7)])
    fold = Fold(_text(body, 1), _text(body, 3), *parts)
    inner = (fold.condition.names | fold.step.names) - {fold.item, fold.total}
    names = fold.range.names | fold.start.names | inner | (fold.result.names - {fold.total})
    is_ours = any(part.is_ours for part in parts)
    return Node("fold", "", parts, names, is_ours, is_scalar, source, fold)


def _shape(kind: str, body: Fields) -> tuple[str, list[bytes]]:
    """The text of a part that is no fold, and the parts in it."""
    match kind:
        case "constant":
            return _text(body, 6), []
        case "name":
            return _text(body, 1).removeprefix("."), []
        case "select":
            return _text(body, 2), [_only(body, 1)]
        case "call":
            return _text(body, 2), [*body.get(1, ()), *body.get(3, ())]
        case "list":
            return "", body.get(1, [])
    entries = map(_fields, body.get(_ENTRIES, ()))
    return "", [part for entry in entries for at in (3, 4) for part in entry.get(at, ())]


def _only(fields: Fields, number: int) -> bytes:
    """The last value of a field, as protobuf says of one that is there at most once."""
    return fields[number][-1] if number in fields else b""


def _text(fields: Fields, number: int) -> str:
    return _only(fields, number).decode()


def _fields(message: bytes) -> Fields:
    """The fields of a message: what they hold, or a number as it is serialized."""
    fields: Fields = {}
    for number, _, at, end in _walk(message):
        if number in fields:
            fields[number].append(message[at:end])
        else:
            fields[number] = [message[at:end]]
    return fields


def _walk(message: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Each field of a message: its number, where it starts, and its value's start and end."""
    at = 0
    while at < len(message):
        start = at
        # No message of an expression has a field whose number takes more than one byte.
        key = message[at]
        at += 1
        end = at
        match key & 7:
            case 2:
                length, at = _varint(message, at)
                end = at + length
            case 0:
                end = _varint(message, at)[1]
            case 1:
                end = at + 8
            case _:
                end = at + 4
        yield key >> 3, start, at, end
        at = end


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def _field(number: int, value: bytes) -> bytes:
    length, size = len(value), bytearray()
    while length > 127:
        size.append(length & 127 | 128)
        length >>= 7
    return bytes([number << 3 | 2, *size, length]) + value
