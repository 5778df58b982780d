"""An expression: what the library runs of it, and what is done around that.

Calls of the functions of `functions.py` are done beforehand where they can be, and the library
runs the expression with their results. Where they depend on the items of a macro, and where the
library finds no answer because a parameter is missing, the expression is evaluated step by step.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from relata.caveats.cost import Budget
from relata.caveats.functions import FUNCTIONS
from relata.caveats.library import Compiled, Failed, dynamic, run_part
from relata.caveats.stepwise import TooMuchError, Unknown, evaluate
from relata.caveats.syntax import Node, with_names_inside
from relata.caveats.types import Type

Names = frozenset[str]
Values = Mapping[str, Any]

_TOO_MUCH = Failed("it is more work than is allowed; give it less to go through")
_NO_NAMES: Names = frozenset()


class Expression:
    """An expression that compiles, over typed parameters."""

    def __init__(self, text: str, parameters: Mapping[str, Type]) -> None:
        """Compile it. Raises RejectedError."""
        compiled = Compiled(text, parameters)
        self.result_type = compiled.result_type
        self.referred = compiled.program.referred
        self._tree = compiled.program.tree
        self._run = compiled.run
        self._needs = self._tree.names.intersection(parameters)
        self._budget = Budget(self._tree, parameters)
        self._indexes = b"_[" in self._tree.source
        calls = list(_calls(self._tree, _NO_NAMES))
        self._by_steps = None in calls
        self._calls = [(f"@{at}", call) for at, call in enumerate(calls) if call is not None]
        if self._calls and not self._by_steps:
            names = {call.source: name for name, call in self._calls}
            compiled.replace(with_names_inside(self._tree, names))

    def judge(self, values: Values) -> bool | Names | Failed:
        """True, false, which of the missing parameters it needs, or why it fails."""
        if not self._budget.allows(values):
            return _TOO_MUCH
        if self._by_steps:
            return self._step(values)
        found = self._run(self._with_calls(values) if self._calls else values)
        if found is True or found is False:
            return found
        missing = self._needs.difference(values)
        valueless = found.valueless
        if not missing and valueless is None:
            return found
        if len(missing) == 1 and valueless in missing and not self._indexes:
            return missing  # the only unknown there is; only an index's error would outrank it
        stepped = self._step(values)
        return found if isinstance(stepped, bool) else stepped

    def _with_calls(self, values: Values) -> Values:
        """The values, and the results of the calls that have one."""
        results = {}
        for name, call in self._calls:
            found = [_argument(part, values) for part in call.parts]
            if not any(isinstance(each, Failed) for each in found):
                with contextlib.suppress(ValueError):
                    results[name] = FUNCTIONS[call.text](*found)
        return {**values, **results}

    def _step(self, values: Values) -> bool | Names | Failed:
        missing = self._needs.difference(values)
        try:
            found = evaluate(self._tree, values, missing)
        except TooMuchError:
            return missing or _TOO_MUCH
        if isinstance(found, Unknown):
            return found.names
        if isinstance(found, bool | Failed):
            return found
        return Failed("it is neither true nor false")


def _calls(node: Node, bound: Names) -> Iterator[Node | None]:
    """The calls of our functions, or None for one that only makes sense inside a macro.

    `bound` are the names that macros around the part give to their items.
    """
    if not node.is_ours:
        return
    if node.kind == "call" and node.text in FUNCTIONS:
        has_calls = any(part.is_ours for part in node.parts)
        yield None if has_calls or node.names & bound else node
        return
    inner = bound | {node.fold.item, node.fold.total} if node.fold else bound
    for part in node.parts:
        yield from _calls(part, inner)


def _argument(node: Node, values: Values) -> Any:
    if node.kind == "name" and node.text in values:
        return dynamic(values[node.text])
    if node.kind == "constant" and node.text:
        return node.text
    known = {name: dynamic(values[name]) for name in node.names & values.keys()}
    return run_part(node.source, known)
