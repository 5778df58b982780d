"""A caveat: compiled once, asked often."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from relata.caveats.expression import Expression
from relata.caveats.library import RESERVED, Failed, RejectedError
from relata.caveats.types import MisfitError, Type, UnknownTypeError, parse_type
from relata.errors import CaveatFailedError, ContextError, RelataError

MAX_EXPRESSION_CHARACTERS = 100_000
"""The longest expression, without the space around it."""

_SMALL = 1_000
_KEPT_SMALL = 2_048
_KEPT_LARGE = 16
"""How many stored contexts a caveat keeps converted: of at most `_SMALL` characters, and longer."""

Outcome = bool | frozenset[str] | RelataError
"""What a caveat says: yes, no, which parameters it misses, or why it has no value."""

_Fault = tuple[str, int, str]


class CaveatFault(Exception):  # noqa: N818  it holds several, each with its place
    """What is wrong with a caveat: (parameter, or "" for the expression; offset; message)."""

    def __init__(self, faults: Sequence[_Fault]) -> None:
        super().__init__("; ".join(message for _, _, message in faults))
        self.faults = tuple(faults)


class _Stored(msgspec.Struct, frozen=True):
    """A stored context, converted."""

    values: dict[str, Any]
    fault: str = ""
    """Why it does not fit the caveat, if so."""


class Caveat:
    """A caveat compiled. It does not change, and threads may share it."""

    def __init__(
        self, name: str, parameters: Mapping[str, str], types: Mapping[str, Type], text: str
    ) -> None:
        """Use `compile`. Raises RejectedError."""
        self.name = name
        self.parameters = dict(parameters)
        """The text of each parameter's type, by the parameter's name."""
        self.expression = text
        """The expression, as it was given."""
        self._expression = Expression(text.strip(), types)
        self._converters = tuple((each, kind.convert) for each, kind in types.items())
        self._small = lru_cache(_KEPT_SMALL)(self._convert)
        self._large = lru_cache(_KEPT_LARGE)(self._convert)
        self._settled = lru_cache(_KEPT_SMALL)(self._settle)

    @classmethod
    def compile(cls, name: str, parameters: Mapping[str, str], expression: str) -> Caveat:
        """Compile a caveat from the types of its parameters, as text, and its expression.

        Raises CaveatFault with all that is wrong.
        """
        faults: list[_Fault] = []
        types = dict(_types(name, parameters, faults))
        if len(expression.strip()) > MAX_EXPRESSION_CHARACTERS:
            allowed = f"at most {MAX_EXPRESSION_CHARACTERS} are allowed"
            faults.append(("", 0, f"the expression has more characters than allowed; {allowed}"))
            raise CaveatFault(faults)
        try:
            caveat = cls(name, parameters, types, expression)
        except RejectedError as error:
            start = len(expression) - len(expression.lstrip())
            faults.extend(("", start + offset, message) for offset, message in error.issues)
        else:
            faults.extend(caveat._misuses(sound=not faults))
        if faults:
            raise CaveatFault(faults)
        return caveat

    def _misuses(self, *, sound: bool) -> Iterator[_Fault]:
        """What is wrong though the expression compiles; `sound` if the parameters are right."""
        for parameter in self.parameters:
            if parameter not in self._expression.referred:
                yield parameter, 0, f"parameter `{parameter}` of caveat `{self.name}` is not used"
        result = self._expression.result_type
        if result != "BOOL" and (sound or result != "DYN"):
            shown = result.lower()
            yield "", 0, f"the expression must be true or false, but its type is `{shown}`"

    def require_context(self, values: Mapping[str, Any], *, field: str) -> None:
        """Raise ContextError unless the values can be stored with a relationship."""
        converters = dict(self._converters)
        for name, value in values.items():
            if name not in converters:
                known = ", ".join(f"`{each}`" for each in sorted(converters))
                raise ContextError(
                    f"caveat `{self.name}` has no parameter `{name}`; it has {known}", field=field
                )
            try:
                converters[name](value)
            except MisfitError as error:
                raise ContextError(self._misfit(name, error), field=field) from None

    def evaluate(self, stored: str, request: Mapping[str, Any]) -> Outcome:
        """What the caveat says, from the context stored with a relationship and a question's.

        `stored` is a JSON object as text, or empty; it wins over `request`, of which what is no
        parameter is ignored. Never raises: an error is returned, ContextError where the request
        is at fault and CaveatFailedError where the expression has no value.
        """
        if not request:
            outcome = (self._settled if len(stored) <= _SMALL else self._settle)(stored)
            if isinstance(outcome, RelataError):  # its holder may change it
                return type(outcome)(outcome.message, field=outcome.field)
            return outcome
        base = self._base(stored)
        values = base.values.copy()
        for name, convert in self._converters:
            if name in request and name not in values:
                try:
                    values[name] = convert(request[name])
                except MisfitError as error:
                    return ContextError(self._misfit(name, error), field=f"context.{name}")
        return self._judge(base, values)

    def _settle(self, stored: str) -> Outcome:
        base = self._base(stored)
        return self._judge(base, base.values)

    def _base(self, stored: str) -> _Stored:
        return self._small(stored) if len(stored) <= _SMALL else self._large(stored)

    def _judge(self, base: _Stored, values: dict[str, Any]) -> Outcome:
        if base.fault:
            return self._failed(base.fault)
        found = self._expression.judge(values)
        return self._failed(found.reason) if isinstance(found, Failed) else found

    def _convert(self, stored: str) -> _Stored:
        """Convert a stored context. What is no parameter any more is ignored."""
        if not stored:
            return _Stored({})
        try:
            given = msgspec.json.decode(stored, type=dict[str, Any])
        except (msgspec.MsgspecError, RecursionError, UnicodeError):
            return _Stored({}, "the context stored with the relationship is not a JSON object")
        values = {}
        for name, convert in self._converters:
            if name in given:
                try:
                    values[name] = convert(given[name])
                except MisfitError as error:
                    return _Stored({}, f"in the stored context, {self._misfit(name, error)}")
        return _Stored(values)

    def _misfit(self, name: str, error: MisfitError) -> str:
        return f"parameter `{name}` of caveat `{self.name}`: {error}"

    def _failed(self, reason: str) -> CaveatFailedError:
        return CaveatFailedError(f"caveat `{self.name}` has no answer: {reason}")


def _types(
    name: str, parameters: Mapping[str, str], faults: list[_Fault]
) -> Iterator[tuple[str, Type]]:
    """The type of each parameter, `any` for one that is at fault."""
    if not parameters:
        faults.append(("", 0, f"caveat `{name}` needs at least one parameter"))
    for parameter, text in parameters.items():
        if parameter in RESERVED:
            faults.append((parameter, 0, f"`{parameter}` is a type of CEL; choose another name"))
            continue
        try:
            yield parameter, parse_type(text)
        except UnknownTypeError as error:
            faults.append((parameter, 0, str(error)))
            yield parameter, parse_type("any")
