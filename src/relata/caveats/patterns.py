"""How large a regular expression compiles, at most, without compiling it.

The library's regular expressions (RE2) never backtrack: matching costs at most the compiled size
times the length of the text. Counted repetition is what makes a short pattern large:
`((a{100}){100}){100}` is a million.
"""

from __future__ import annotations

LARGEST = 131_072
"""What RE2 refuses to exceed."""

_CLASS = 500
"""A class by name, such as `\\pL`, holds many ranges."""
_ANY = 10
_LITERAL = 4


def pattern_size(pattern: str) -> int:
    """An upper bound of the instructions that a pattern compiles to."""
    letter = 3 if "(?" in pattern else 1
    groups = [0]
    last = 0
    at = 0
    while at < len(pattern):
        sign = pattern[at]
        at += 1
        if sign == "(":
            groups[-1] += last
            groups.append(0)
            last = 0
        elif sign == ")" and len(groups) > 1:
            last = groups.pop() + last + 2
        elif sign in "*+?":
            last += 2
        elif sign == "{":
            times, at = _times(pattern, at)
            last = (last + 1) * times
        else:
            groups[-1] += last
            last, at = _one(pattern, at - 1, letter)
        if last > LARGEST or groups[-1] > LARGEST:
            return LARGEST
    return min(sum(groups) + last + 2, LARGEST)


def _times(pattern: str, at: int) -> tuple[int, int]:
    """How often `{n}`, `{n,}` or `{n,m}` repeats; 1 where the brace is a letter."""
    end = pattern.find("}", at, at + 12)
    numbers = pattern[at:end].split(",") if end >= 0 else []
    if not 1 <= len(numbers) <= 2 or not all(n.isdigit() or not n for n in numbers):
        return 1, at
    return max([int(n) + 1 for n in numbers if n], default=1), end + 1


def _one(pattern: str, at: int, letter: int) -> tuple[int, int]:
    """The size of one letter, escape or class, and where it ends."""
    sign = pattern[at]
    if sign == "\\":
        return _escape(pattern, at)
    if sign == "[":
        return _class(pattern, at + 1, letter)
    if sign == ".":
        return _ANY, at + 1
    return (letter if sign.isascii() else _LITERAL * letter), at + 1


def _escape(pattern: str, at: int) -> tuple[int, int]:
    """An escape: `\\d`, `\\pL`, `\\p{Greek}`."""
    if pattern[at + 1 : at + 2] not in ("p", "P"):
        return 2 * _LITERAL, at + 2
    if pattern[at + 2 : at + 3] != "{":
        return _CLASS, at + 3
    end = pattern.find("}", at)
    return _CLASS, len(pattern) if end < 0 else end + 1


def _class(pattern: str, at: int, letter: int) -> tuple[int, int]:
    """What follows `[`, to its `]`."""
    size = _ANY
    first = True
    while at < len(pattern):
        if pattern[at] == "]" and not first:
            return size, at + 1
        if pattern[at] == "\\":
            more, at = _escape(pattern, at)
            size += more
        elif pattern.startswith("[:", at) and ":]" in pattern[at:]:
            size += _ANY
            at = pattern.index(":]", at) + 2
        else:
            size += _LITERAL * letter
            at += 1
        first = first and pattern[at - 1] == "^"
    return size, at
