"""All that touches the CEL library: what is declared to it, compiling, and running.

Python functions are declared to it, so that their calls are type-checked, but never run by it: it
leaks what it hands to Python. `expression.py` calls them instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from cel_expr_python import cel  # type: ignore[import-untyped]  # its stubs are not marked
from cel_expr_python.ext import ext_optional  # type: ignore[import-untyped]  # as above

from relata.caveats import moments, wording
from relata.caveats.syntax import Program, as_expression, read_program, without_early_ends
from relata.caveats.types import Type

RESERVED = frozenset(
    [
        *("bool", "bytes", "double", "dyn", "int", "list", "map", "null_type", "optional_type"),
        *("string", "type", "uint"),
    ]
)
"""The names of CEL's own types, which no parameter can have."""

_T = cel.Type
_SIMPLE = {
    "any": _T.DYN,
    "bool": _T.BOOL,
    "string": _T.STRING,
    "int": _T.INT,
    "uint": _T.INT,  # as SpiceDB declares it
    "double": _T.DOUBLE,
    "bytes": _T.BYTES,
    "duration": _T.DURATION,
    "timestamp": _T.TIMESTAMP,
}
_ADDRESS = _T.AbstractType("ipaddress")
_TREE = _T.Map(_T.STRING, _T.DYN)
_CONFIG = cel.NewEnvConfigFromYaml(
    """
stdlib:
  exclude_functions:
    - {name: getMilliseconds, overloads: [{id: duration_to_milliseconds}]}
    - {name: int, overloads: [{id: duration_to_int64}]}
"""
)
"""Without what SpiceDB's library understands otherwise, so that no answer differs silently."""


class Failed:
    """A run has no value. `error` is what the library says, or a reason in our words."""

    __slots__ = ("error",)

    def __init__(self, error: str) -> None:
        self.error = error

    @property
    def reason(self) -> str:
        """Why, in this project's words."""
        return wording.reason(self.error)

    @property
    def valueless(self) -> str | None:
        """The name without a value that it stopped at, if that was it."""
        return wording.valueless_name(self.error)


class Opaque:
    """A value that Python does not see, such as an optional."""


class RejectedError(Exception):
    """An expression does not compile; `issues` are offsets in its text with messages."""

    def __init__(self, issues: Iterable[tuple[int, str]]) -> None:
        super().__init__()
        self.issues = sorted(set(issues))


class Compiled:
    """A compiled expression."""

    def __init__(self, text: str, parameters: Mapping[str, Type]) -> None:
        """Compile it. Raises RejectedError."""
        self._environment = _environment(parameters, _ADDRESS)
        try:
            checked = self._expression = self._environment.compile(text)
            if any("ipaddress" in str(kind) for kind in parameters.values()):
                # Whatever compiles with addresses compiles with bytes in their place.
                self._environment = _environment(parameters, _T.BYTES)
                self._expression = self._environment.compile(text)
        except Exception as error:  # noqa: BLE001  the library raises RuntimeError and others
            raise RejectedError(wording.issues(text, str(error))) from None
        self.result_type = str(checked.return_type().name())
        """What it results in, as the library calls it: `BOOL` for every caveat that is sound."""
        serialized = self._expression.serialize()
        self.program: Program = read_program(serialized)
        source = without_early_ends(self.program.tree)
        if source is not None:
            self.program = read_program(serialized, source)
            self.replace(source)

    def replace(self, source: bytes) -> None:
        """Run another expression instead, over the same parameters and others."""
        self._expression = self._environment.deserialize(as_expression(source))

    def run(self, values: Mapping[str, Any]) -> bool | Failed:
        """Run it. A parameter that it needs and that has no value makes it fail."""
        try:
            found = self._expression.eval(None, values).value()
        except Exception as error:  # noqa: BLE001  the library raises RuntimeError and others
            return Failed(str(error))
        if found is True or found is False:
            return found
        return Failed(str(found))


def run_part(source: bytes, values: Mapping[str, Any]) -> Any:
    """The value of a part of an expression, or why it has none (Failed)."""
    try:
        found = _part(source).eval(None, values)
    except Exception as error:  # noqa: BLE001  the library raises RuntimeError and others
        return Failed(str(error))
    try:
        if found.type() == _T.ERROR:
            return Failed(str(found.value()))
        return dynamic(found.plain_value())
    except Exception:  # noqa: BLE001  the library raises TypeError, SystemError and others
        return Opaque()


def dynamic(value: Any) -> Any:
    """A value as the library takes it where no type is declared."""
    if isinstance(value, datetime | timedelta):
        return moments.as_message(value)
    if isinstance(value, bytes):
        return bytearray(value)
    if isinstance(value, list):
        return [dynamic(item) for item in value]
    if isinstance(value, dict):
        return {key: dynamic(item) for key, item in value.items()}
    return value


@lru_cache(maxsize=1024)
def _part(source: bytes) -> Any:
    return _UNTYPED.deserialize(as_expression(source))


def _cel_type(kind: Type, address: Any) -> Any:
    if kind.element is None:
        return _SIMPLE.get(kind.name, address)
    element = _cel_type(kind.element, address)
    return _T.List(element) if kind.name == "list" else _T.Map(_T.STRING, element)


def _environment(parameters: Mapping[str, Type], address: Any) -> Any:
    return cel.NewEnv(
        config=_CONFIG,
        variables={name: _cel_type(kind, address) for name, kind in parameters.items()},
        extensions=[ext_optional.ExtOptional(version=0)],
        functions=[
            _method("in_cidr", [address, _T.STRING]),
            _method("isSubtreeOf", [_TREE, _TREE]),
        ],
    )


def _method(name: str, parameters: list[Any]) -> Any:
    return cel.FunctionDecl(name, [cel.Overload(name, _T.BOOL, parameters, is_member=True)])


_UNTYPED = _environment({}, _T.BYTES)
