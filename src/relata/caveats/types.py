"""The types of a caveat's parameters, and how a JSON value becomes a value of the type.

| type | written in JSON as |
|---|---|
| `any` | anything; numbers are doubles |
| `bool`, `string` | themselves |
| `int`, `uint`, `double` | a number, or a number in a string (`"42"`), which is exact |
| `bytes` | standard base64 with padding |
| `duration` | `1h30m`, `1.5s`, `300ms` |
| `timestamp` | RFC 3339, `2030-01-01T00:00:00Z` |
| `list<T>`, `map<T>` | a list, an object |
| `ipaddress` | an IPv4 or IPv6 address |

A whole number beyond 64 bits becomes the nearest one within, as in SpiceDB.
"""

from __future__ import annotations

import binascii
import math
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from typing import Any

from relata.caveats import functions, moments

_WORD = re.compile(r"\w+|[^\w\s]")
_NUMBER = re.compile(r"[+-]?(?:\d{1,400}\.?\d{0,400}|\.\d{1,400})(?:[eE][+-]?\d{1,4})?", re.ASCII)
_INT_MAX = 2**63 - 1
_INT_MIN = -(2**63)
_DEEPEST = 64
_BEYOND_DOUBLE = 2**1024

Convert = Callable[[Any], Any]


class MisfitError(Exception):
    """A value is not of its parameter's type; the message says what is needed and where."""


class UnknownTypeError(Exception):
    """A text names no type; the message says why."""


class Type:
    """A parameter's type, and `convert`, which makes a CEL value of a JSON value or raises
    MisfitError."""

    __slots__ = ("convert", "element", "name")

    def __init__(self, name: str, convert: Convert, element: Type | None = None) -> None:
        self.name = name
        self.convert = convert
        self.element = element

    def __str__(self) -> str:
        return f"{self.name}<{self.element}>" if self.element else self.name


def parse_type(text: str) -> Type:
    """Read a type. Raises UnknownTypeError."""
    words = _WORD.findall(text)
    found, rest = _parse(iter(words), text, _DEEPEST)
    if rest:
        raise UnknownTypeError(f"`{text}` is not a type")
    return found


def _parse(words: Iterator[str], text: str, deepest: int) -> tuple[Type, str]:
    """Read one type, and the word after it."""
    name = next(words, "")
    if not deepest:
        raise UnknownTypeError("the type nests too deep")
    if name not in _SCALARS and name not in _GENERICS:
        known = ", ".join(f"`{each}`" for each in [*_SCALARS, *(f"{g}<T>" for g in _GENERICS)])
        raise UnknownTypeError(f"unknown type `{name}`; the types are {known}")
    elements = []
    word = next(words, "")
    if word == "<":
        word = ","
        while word == ",":
            element, word = _parse(words, text, deepest - 1)
            elements.append(element)
        if word != ">":
            raise UnknownTypeError(f"`{text}` is not a type; close `<` with `>`")
        word = next(words, "")
    if name in _SCALARS:
        return Type(name, _SCALARS[name]), word
    if len(elements) != 1:
        raise UnknownTypeError(
            f"`{name}` needs one type of what it holds, such as `{name}<string>`; "
            f"{len(elements)} are given"
        )
    return Type(name, partial(_GENERICS[name], elements[0].convert), elements[0]), word


def _shown(value: Any) -> str:
    """A value as an error names it."""
    if isinstance(value, str):
        return f"`{value[:50]}`"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, dict):
        return "an object"
    if value is None or isinstance(value, bool):
        return {None: "`null`", True: "`true`", False: "`false`"}[value]
    return f"`{str(value)[:50]}`"


def _text(value: Any, needed: str) -> str:
    if type(value) is not str:
        raise MisfitError(f"{needed} is needed, not {_shown(value)}")
    if "\0" in value:  # the library would take it for the end of the text
        raise MisfitError(f"{needed} without the character U+0000 is needed")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise MisfitError(f"{needed} is needed, not a text with half a character") from None
    return value


def _string(value: Any) -> str:
    return _text(value, "a string")


def _bool(value: Any) -> bool:
    if type(value) is not bool:
        raise MisfitError(f"`true` or `false` is needed, not {_shown(value)}")
    return value


def _number(value: Any, needed: str) -> int | float | Decimal:
    """A number, or the number in a string."""
    if type(value) is int or (type(value) is float and not math.isnan(value)):
        return value
    if type(value) is str:
        if _NUMBER.fullmatch(value):
            return Decimal(value)
        if value.lower().removeprefix("-").removeprefix("+") == "inf":
            return float(value)
    raise MisfitError(f"{needed} is needed, not {_shown(value)}")


def _int(value: Any) -> int:
    if type(value) is int and _INT_MIN <= value <= _INT_MAX:
        return value
    return _whole(value, "a whole number")


def _uint(value: Any) -> int:
    whole = _whole(value, "a whole number from 0")
    if whole < 0:
        raise MisfitError(f"a whole number from 0 is needed, not {_shown(value)}")
    return whole


def _whole(value: Any, needed: str) -> int:
    number = _number(value, needed)
    if number > _INT_MAX:
        if number == float("inf"):
            raise MisfitError(f"{needed} is needed, not {_shown(value)}")
        return _INT_MAX
    if number < _INT_MIN:
        if number == float("-inf"):
            raise MisfitError(f"{needed} is needed, not {_shown(value)}")
        return _INT_MIN
    whole = int(number)
    if whole != number:
        raise MisfitError(f"{needed} is needed, not {_shown(value)}")
    return whole


def _double(value: Any) -> float:
    number = _number(value, "a number")
    try:
        return float(number)
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")


def _bytes(value: Any) -> bytearray:
    text = _text(value, "a base64 string").replace("\n", "").replace("\r", "")
    try:
        if len(text) % 4:
            raise ValueError
        # The library takes a zero byte for the end of `bytes`, but not of a bytearray.
        return bytearray(binascii.a2b_base64(text.encode(), strict_mode=True))
    except ValueError:
        raise MisfitError(f"a base64 string is needed, not {_shown(value)}") from None


def _duration(value: Any) -> Any:
    try:
        return moments.duration(_text(value, "a duration such as `1h30m`"))
    except ValueError:
        raise MisfitError(f"a duration such as `1h30m` is needed, not {_shown(value)}") from None


def _timestamp(value: Any) -> Any:
    needed = "a timestamp such as `2030-01-01T00:00:00Z`"
    try:
        return moments.timestamp(_text(value, needed))
    except ValueError:
        raise MisfitError(f"{needed} is needed, not {_shown(value)}") from None


def _ipaddress(value: Any) -> bytes:
    try:
        return functions.address_value(_text(value, "an IP address"))
    except ValueError:
        raise MisfitError(f"an IP address is needed, not {_shown(value)}") from None


def _any(value: Any, deepest: int = _DEEPEST) -> Any:
    """JSON as SpiceDB gives it to an expression: every number is a double."""
    kind = type(value)
    if kind is bool or value is None:
        return value
    if kind is str:
        return _string(value)
    if kind is int or kind is float:
        return _double(value)
    if not deepest:
        raise MisfitError(f"a value that nests at most {_DEEPEST} deep is needed")
    if isinstance(value, list | tuple):
        return [_any(item, deepest - 1) for item in value]
    if isinstance(value, dict):
        return {_string(key): _any(item, deepest - 1) for key, item in value.items()}
    raise MisfitError(f"a JSON value is needed, not {_shown(value)}")


def _list(convert: Convert, value: Any) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise MisfitError(f"a list is needed, not {_shown(value)}")
    return [_inside(convert, item, index) for index, item in enumerate(value)]


def _map(convert: Convert, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MisfitError(f"an object is needed, not {_shown(value)}")
    return {_string(key): _inside(convert, item, key) for key, item in value.items()}


def _inside(convert: Convert, value: Any, place: object) -> Any:
    try:
        return convert(value)
    except MisfitError as error:
        raise MisfitError(f"in `{str(place)[:50]}`: {error}") from None


_SCALARS: dict[str, Convert] = {
    "any": _any,
    "bool": _bool,
    "string": _string,
    "int": _int,
    "uint": _uint,
    "double": _double,
    "bytes": _bytes,
    "duration": _duration,
    "timestamp": _timestamp,
    "ipaddress": _ipaddress,
}
_GENERICS: dict[str, Callable[[Convert, Any], Any]] = {"list": _list, "map": _map}
