"""The CEL library's messages, in this project's words and places.

A message that is not known is passed on with its quotes made backticks, so that a new version of
the library at worst reads oddly.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_ISSUE = re.compile(r"^(?:[A-Z_]+: )?ERROR: <input>:(-?\d+):(-?\d+): (.*)$", re.MULTILINE)
_BESIDES = re.compile(r"\*error\*|more errors were truncated|issues exceeded|parsetree")
"""Messages that only follow from others, as those do that name the type `*error*`."""
_STATUS = re.compile(r"^[A-Z_]+: |\s*\[[A-Z_]+\]$")
_OPERATOR = re.compile(r"@?(?:_(\W+)_|(\W)_|_?(\[)_\]|_(\?)_:_|(in))")
_NO_VALUE = re.compile(r'No value with name "(.*)" found in Activation')
_WORDINGS = [
    (
        re.compile(r"undeclared reference to '(.*)' \(in container ''\)"),
        "`{}` is neither a parameter of the caveat nor a function",
    ),
    (
        re.compile(r"found no matching overload for '(.*)' applied to '(.*)'"),
        "`{}` does not take `{}`",
    ),
    (re.compile(r"expression of type '(.*)' cannot be .* select.*"), "`{}` has no fields"),
    (re.compile(r"reserved identifier: (.*)"), "`{}` is a reserved word of CEL"),
    (re.compile(r"Syntax error: .*'<EOF>' expecting .*"), "the expression ends too early"),
    (re.compile(r"Syntax error: missing '(.*)' at '(.*)'"), "`{}` is missing before `{}`"),
    (
        re.compile(r"Syntax error: (?:mismatched|extraneous) input '(.*)' expecting .*"),
        "`{}` is not expected here",
    ),
    (re.compile(r"Syntax error: [^']*'(.*)'"), "`{}` is not expected here"),
    (
        re.compile(r".*recursion (?:depth|limit).*?(\d+).*"),
        "the expression nests too deep; at most {} levels are allowed",
    ),
    (
        re.compile(r"Maximum expression node count exceeded: (\d+)"),
        "the expression has more than {} parts",
    ),
]
_REASONS = [
    (re.compile(r"divide by zero"), "it divides by zero"),
    (re.compile(r"modulus by zero"), "it takes a remainder by zero"),
    (re.compile(r'Key not found in map : "?(.*?)"?'), "the map has no key `{}`"),
    (re.compile(r"Index error: index=(-?\d+) size=(\d+)"), "there is no item {} in a list of {}"),
    (re.compile(r"Iteration budget exceeded"), "it is more work than is allowed"),
    (re.compile(r"No matching overloads found : (.*)"), "`{}` does not exist for such values"),
    (re.compile(r"optional.none\(\) dereference"), "it takes the value of an empty optional"),
]


def issues(text: str, error: str) -> Iterator[tuple[int, str]]:
    """What is wrong with an expression that does not compile: offsets in its text, messages."""
    found = _ISSUE.findall(error)
    for line, column, message in found:
        if not _BESIDES.search(message):
            yield _offset(text, int(line), int(column)), _worded(message, _WORDINGS)
    if not found:
        yield 0, _worded(_STATUS.sub("", error), _WORDINGS)


def _offset(text: str, line: int, column: int) -> int:
    """The offset of a place that the library counts from 1, or 0 where it has none."""
    if line < 1:
        return 0
    start = 0
    for _ in range(line - 1):
        start = text.find("\n", start) + 1
    return min(start + max(column - 1, 0), len(text))


def _worded(message: str, wordings: Iterable[tuple[re.Pattern[str], str]]) -> str:
    """A message of the library in this project's words."""
    for pattern, words in wordings:
        match = pattern.fullmatch(message)
        if match:
            return words.format(*(_plain_operator(group.strip()) for group in match.groups()))
    plain = message.replace("'", "`").rstrip(".")
    return plain[:1].lower() + plain[1:200]


def _plain_operator(name: str) -> str:
    """An operator as it is written: `_==_` is `==`."""
    match = _OPERATOR.fullmatch(name)
    if not match:
        return name
    written: str = next(filter(None, match.groups()))
    return {"[": "[]", "?": "? :"}.get(written, written)


def reason(error: str) -> str:
    """Why a run has no value."""
    return _worded(_STATUS.sub("", _STATUS.sub("", error)), _REASONS)


def valueless_name(error: str) -> str | None:
    """The name that has no value, where that is what the library stopped at."""
    match = _NO_VALUE.search(error)
    return match[1] if match else None
