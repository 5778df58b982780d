"""Evaluates an expression step by step, where the library alone cannot.

That is where parameters are missing that the answer needs, and where a function of `functions.py`
is called for each item of a list. The rule is cel-go's partial evaluation, which SpiceDB uses: a
missing parameter is unknown; `&&` and `||` are decided by the side that can decide alone, else
need what either side needs; `? :` needs what its condition needs, then what the branch taken
needs; a macro is followed item by item; everything else needs what the first of its parts without
a value needs. An error ranks below an unknown in `&&` and `||`, and the error of an index above
the missing list or map.

Parts that miss nothing and call no such function are run by the library.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from relata.caveats.cost import BUDGET, weigh
from relata.caveats.functions import FUNCTIONS
from relata.caveats.library import Failed, dynamic, run_part
from relata.caveats.syntax import Fold, Node, with_names

_VISIT = 5_000
_RUN = 15_000
_HANDED = 3
_WEIGHED = 10
"""What a step costs, in the nanoseconds of `cost.py`: to look at a part, to run one, and to hand
over a value, for each unit of its weight, which is known or not."""
_LAZY = frozenset(["or", "orValue"])
_INDEX = frozenset(["_[_]", "_[?_]"])
_LOGIC = {"_&&_": False, "_||_": True}

Names = frozenset[str]
Scope = Mapping[str, Any]
"""What names stand for: values, Unknown or Failed."""


class Unknown:
    """A part whose value depends on missing parameters."""

    __slots__ = ("names",)

    def __init__(self, names: Names) -> None:
        self.names = names


class TooMuchError(Exception):
    """The evaluation would take longer than is allowed."""


def evaluate(tree: Node, values: Scope, missing: Names) -> Any:
    """The value of an expression, Unknown or Failed. Raises TooMuchError."""
    scope = {name: dynamic(values[name]) for name in tree.names & values.keys()}
    return _Evaluation(scope, missing).find(tree, scope)


class _Evaluation:
    """One evaluation, within a budget."""

    def __init__(self, values: Scope, missing: Names) -> None:
        self.values = values
        self.weights = {name: weigh(value) for name, value in values.items()}
        self.missing = missing
        self.left = BUDGET

    def find(self, node: Node, scope: Scope) -> Any:
        """The value of a part, Unknown or Failed."""
        self._spend(_VISIT)
        if node.kind == "name" and node.text in scope:
            return scope[node.text]
        if node.kind == "name" and node.text in self.missing:
            return Unknown(frozenset([node.text]))
        if not node.is_ours and not self._is_open(node, scope):
            return self._run(node, scope)
        if node.fold:
            return self._macro(node, node.fold, scope)
        if node.kind == "call":
            return self._call(node, scope)
        return self._strict(node, scope)

    def _call(self, node: Node, scope: Scope) -> Any:
        match node.text:
            case "_&&_" | "_||_":
                return self._logic(node, scope, decides=_LOGIC[node.text])
            case "_?_:_":
                return self._choice(node, scope)
            case "@not_strictly_false":
                found = self.find(node.parts[0], scope)
                return True if isinstance(found, Unknown | Failed) else found
            case "!_":
                found = self.find(node.parts[0], scope)
                if isinstance(found, bool):
                    return not found
            case name if name in FUNCTIONS:
                return self._ours(node, scope)
            case name if name in _LAZY:
                return self._lazy(node, scope)
        return self._strict(node, scope)

    def _is_open(self, node: Node, scope: Scope) -> bool:
        """Whether a name that the part takes has no value."""
        for name in node.names:
            if name in scope:
                if isinstance(scope[name], Unknown | Failed):
                    return True
            elif name in self.missing:
                return True
        return False

    def _run(self, node: Node, scope: Scope) -> Any:
        return run_part(node.source, self._known(node, scope))

    def _known(self, node: Node, scope: Scope) -> dict[str, Any]:
        """What to hand to the library to run a part."""
        known = {
            name: scope[name]
            for name in node.names
            if name in scope and not isinstance(scope[name], Unknown | Failed)
        }
        self._spend(_RUN + sum(self._handing(*item) for item in known.items()))
        return known

    def _handing(self, name: str, value: Any) -> int:
        if value is self.values.get(name):
            return _HANDED * self.weights[name]
        return _WEIGHED * weigh(value)

    def _spend(self, cost: int) -> None:
        self.left -= cost
        if self.left < 0:
            raise TooMuchError

    def _strict(self, node: Node, scope: Scope) -> Any:
        """What needs all of its parts."""
        if node.text in _INDEX and self._is_of_missing(node):
            index = self.find(node.parts[1], scope)
            if isinstance(index, Failed):
                return index
        ours = {}
        for part in node.parts:
            found = self.find(part, scope)
            if isinstance(found, Unknown | Failed):
                return found
            if part.is_ours:
                ours[part.source] = found
        if not ours:
            return self._run(node, scope)
        names = tuple(f"@{at}" for at in range(len(ours)))
        source = _with_names(node.kind, node.source, tuple(ours), names)
        return run_part(
            source, {**self._known(node, scope), **dict(zip(names, ours.values(), strict=True))}
        )

    def _lazy(self, node: Node, scope: Scope) -> Any:
        """What needs its second part only where the first, an optional, is empty."""
        optional, other = node.parts
        found = self.find(optional, scope)
        if isinstance(found, Unknown | Failed):
            return found
        known, parts = self._known(node, scope), {other.source: "@0"}
        if optional.is_ours:
            parts[optional.source] = "@1"
            known["@1"] = found
        source = _with_names(node.kind, node.source, tuple(parts), tuple(parts.values()))
        held = run_part(source, known)
        if not isinstance(held, Failed):
            return held
        found = self.find(other, scope)
        if isinstance(found, Unknown | Failed):
            return found
        return run_part(source, {**known, "@0": found})

    def _is_of_missing(self, node: Node) -> bool:
        """Whether it is a part of a parameter that is missing: `map[key].field`."""
        while node.kind == "select" or node.text in _INDEX:
            node = node.parts[0]
        return node.kind == "name" and node.text in self.missing

    def _logic(self, node: Node, scope: Scope, *, decides: bool) -> Any:
        sides = []
        for part in node.parts:
            found = self.find(part, scope)
            if found is decides:
                return decides
            sides.append(found)
        return _undecided(sides, decides=decides)

    def _choice(self, node: Node, scope: Scope) -> Any:
        condition, then, otherwise = node.parts
        found = self.find(condition, scope)
        if isinstance(found, Unknown | Failed):
            return found
        if not isinstance(found, bool):
            return Failed("`? :` takes `true` and `false` only")
        return self.find(then if found else otherwise, scope)

    def _ours(self, node: Node, scope: Scope) -> Any:
        values = []
        for part in node.parts:
            found = self.find(part, scope)
            if isinstance(found, Unknown | Failed):
                return found
            self._spend(_WEIGHED * weigh(found))
            values.append(found)
        try:
            return FUNCTIONS[node.text](*values)
        except ValueError as error:
            return Failed(str(error))

    def _macro(self, node: Node, fold: Fold, scope: Scope) -> Any:
        if not node.is_ours:
            found = self._run(node, scope)
            if not isinstance(found, Failed):
                return found
        items = self.find(fold.range, scope)
        if isinstance(items, Unknown | Failed):
            return items
        if not isinstance(items, list | dict):
            return Failed("a macro takes a list or a map only")
        step = fold.step
        if step.text in _LOGIC and step.parts[0].text == fold.total:  # `all` and `exists`
            return self._each(step.parts[1], fold.item, items, scope, decides=_LOGIC[step.text])
        total = self.find(fold.start, scope)
        for item in items:
            inner = {**scope, fold.item: item, fold.total: total}
            if self.find(fold.condition, inner) is False:
                break
            total = self.find(fold.step, inner)
        return self.find(fold.result, {**scope, fold.total: total})

    def _each(
        self, test: Node, name: str, items: Iterable[Any], scope: Scope, *, decides: bool
    ) -> Any:
        """`&&` or `||` of a test of every item."""
        inner, sides = dict(scope), []
        for item in items:
            inner[name] = item
            found = self.find(test, inner)
            if found is decides:
                return decides
            if found is not (not decides):
                sides.append(found)
        return _undecided(sides, decides=decides)


def _undecided(sides: Sequence[Any], *, decides: bool) -> Any:
    """`&&` or `||` of sides none of which decides."""
    unknown = [side.names for side in sides if isinstance(side, Unknown)]
    if unknown:
        return Unknown(frozenset().union(*unknown))
    for side in sides:
        if isinstance(side, Failed):
            return side
    if all(isinstance(side, bool) for side in sides):
        return not decides
    return Failed("`&&` and `||` take `true` and `false` only")


@lru_cache(maxsize=1024)
def _with_names(
    kind: str, source: bytes, parts: tuple[bytes, ...], names: tuple[str, ...]
) -> bytes:
    return with_names(kind, source, dict(zip(parts, names, strict=True)))
