"""The most that an expression can cost, judged before it runs.

The library stops a run after 10,000 rounds of macros, and nothing else stops it: it cannot be
interrupted. So the cost is bounded beforehand, from the tree and the sizes of the values, in
nanoseconds of a slow machine: high enough never to let through what takes seconds, low enough
that no ordinary caveat comes near.

Every value has a *weight*: the time it takes to go through it once. What is taken out of a value
weighs at most what the value does, and the items of a list together at most what the list does.
Costs grow at least in proportion to the weights that they depend on, so the rounds of a macro
together cost no more than one round with an item as heavy as the whole list, and the others with
items that weigh nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from relata.caveats.patterns import LARGEST, pattern_size
from relata.caveats.syntax import Fold, Node
from relata.caveats.types import Type

BUDGET = 250_000_000
"""Nanoseconds that a run may cost by the bound."""

_ROUNDS = 10_000
"""After so many rounds of macros the library gives up."""
_HEAVIEST_CONTEXT = 30_000
"""Bytes of JSON that stored and request context have together at most."""

_STEP = 100
_SCALAR = 20
_ITEM = 40
_ENTRY = 200
_CONVERTED = 3
"""How many times its weight a value costs to hand over to the library, or to convert."""
_COMPILED = 3_000
_MATCHED = 30
"""What an instruction of a regular expression costs: once, and for each unit of a text's weight."""
_UNCOUNTED = 350
"""Instructions at most for each unit of weight of a pattern without a `{`."""
_CALLED = 5_000
_CALLED_WEIGHT = 10
_SPLIT_DEPTH = 4
_ENOUGH = 10**15
_SMALLER = frozenset(["_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "startsWith", "endsWith"])
_SCALAR_RESULT = frozenset(
    ["_&&_", "_||_", "!_", "@not_strictly_false", "_-_", "_*_", "_/_", "_%_", "-_", "hasValue"]
)
_PART_RESULT = frozenset(["_[_]", "_?._", "_[?_]"])
_SAME_RESULT = frozenset(["value", "orValue", "or", "of", "optional.of", "dyn"])


class Size(NamedTuple):
    """What is known of a value."""

    weight: int = _SCALAR
    pattern: int = 20
    """The instructions of its texts as regular expressions."""
    varies: bool = False
    """Whether it is another one in each round of a macro."""
    is_counted: bool = False
    """Whether there is a `{` in its texts, so that patterns made of them may be huge."""
    items: int = _ENOUGH
    """How many items it has at most, where that is known."""


class Cost(NamedTuple):
    """What a part costs: with the rounds of its macros; without; and its dearest round."""

    size: Size
    total: int
    flat: int
    round: int


class Budget:
    """Whether an expression may run."""

    def __init__(self, tree: Node, parameters: Mapping[str, Type]) -> None:
        self._tree = tree
        self._size = _measure if _has_patterns(tree) else _weigh
        largest = {name: _largest(kind) for name, kind in parameters.items()}
        heaviest = max((size.weight for size in largest.values()), default=0)
        self._safe = self._safe_weight(largest, heaviest)
        self._always = self._safe == heaviest

    def _safe_weight(self, largest: Mapping[str, Size], heaviest: int) -> int:
        """How heavy every value may be for the expression to run without a closer look."""
        weight = heaviest
        while weight:
            sizes = {
                name: size._replace(weight=min(size.weight, weight))
                for name, size in largest.items()
            }
            if self._bound(sizes) <= BUDGET:
                return weight
            weight //= 8
        return 0

    def allows(self, values: Mapping[str, Any]) -> bool:
        """Whether the expression may run with the values."""
        if self._always:
            return True
        sizes = {name: self._size(value) for name, value in values.items()}
        if all(size.weight <= self._safe for size in sizes.values()):
            return True
        return self._bound(sizes) <= BUDGET

    def _bound(self, sizes: Mapping[str, Size]) -> int:
        cost = _cost(self._tree, sizes, 0)
        handing = _CONVERTED * sum(size.weight for size in sizes.values())
        return handing + min(cost.total, cost.flat + _ROUNDS * cost.round)


def weigh(value: Any) -> int:
    """The weight of a value."""
    return _weigh(value).weight


def _weigh(value: Any) -> Size:
    """The size of a value, but for patterns."""
    if isinstance(value, str | bytes | bytearray):
        return Size(_SCALAR + len(value) // 2)
    if isinstance(value, list | dict):
        return _held(value, _weigh)
    return Size()


def _measure(value: Any) -> Size:
    """The size of a value."""
    if isinstance(value, str):
        return Size(weigh(value), pattern_size(value), is_counted="{" in value)
    if isinstance(value, bytes | bytearray):
        return Size(weigh(value), is_counted=b"{" in value)
    if isinstance(value, list | dict):
        return _held(value, _measure)
    return _weigh(value)


def _held(value: list[Any] | dict[str, Any], size: Callable[[Any], Size]) -> Size:
    """The size of a list or a map, from the sizes of what it holds."""
    inside, each = (
        (value, _ITEM) if isinstance(value, list) else ([*value, *value.values()], _ENTRY)
    )
    return _together(each, map(size, inside))._replace(items=len(value))


def _together(each: int, sizes: Iterable[Size]) -> Size:
    """The size of what holds values of the sizes."""
    weight, pattern, varies, is_counted = 0, 0, False, False
    for size in sizes:
        weight += each + size.weight
        pattern += size.pattern
        varies = varies or size.varies
        is_counted = is_counted or size.is_counted
    weight = max(weight, _SCALAR)
    return Size(min(weight, _ENOUGH), min(pattern, _ENOUGH), varies, is_counted)


def _joined(size: Size) -> Size:
    """The size of a text that is made of others."""
    pattern = LARGEST if size.is_counted else min(_UNCOUNTED * size.weight, LARGEST)
    return size._replace(pattern=max(size.pattern, pattern))


def _largest(kind: Type) -> Size:
    """The size that no value of a type exceeds in a context that is allowed."""
    if kind.name in ("string", "bytes"):
        return Size(_weigh("x" * _HEAVIEST_CONTEXT).weight, LARGEST, is_counted=True)
    if kind.name in ("any", "list", "map"):
        weight, pattern = (_ITEM + _SCALAR) * _HEAVIEST_CONTEXT // 2, LARGEST * _HEAVIEST_CONTEXT
        return Size(weight, pattern, is_counted=True)
    return Size()


def _has_patterns(node: Node) -> bool:
    """Whether a regular expression in it comes from outside."""
    if node.text == "matches" and node.kind == "call" and node.parts[-1].kind != "constant":
        return True
    return any(map(_has_patterns, node.parts))


def _cost(node: Node, sizes: Mapping[str, Size], depth: int) -> Cost:
    """What a part costs where its names have the sizes, inside as many macros as `depth`."""
    if node.kind == "constant":
        weight = _SCALAR + len(node.source) // 2
        size = Size(weight, pattern_size(node.text), is_counted=b"{" in node.source)
        return Cost(size, _STEP, _STEP, 0)
    if node.kind == "name":
        return Cost(_sized(node, sizes.get(node.text, Size())), _STEP, _STEP, 0)
    if node.fold:
        cost = _macro_cost(node.fold, sizes, depth)
        return cost._replace(size=_sized(node, cost.size))
    parts = [_cost(part, sizes, depth) for part in node.parts]
    size, own = _OWN[node.kind](node.text, [part.size for part in parts])
    return Cost(
        _sized(node, size),
        min(own + sum(part.total for part in parts), _ENOUGH),
        min(own + sum(part.flat for part in parts), _ENOUGH),
        max((part.round for part in parts), default=0),
    )


def _sized(node: Node, size: Size) -> Size:
    """The size of a part, which its type may bound."""
    return Size(varies=size.varies) if node.is_scalar else size


def _macro_cost(fold: Fold, sizes: Mapping[str, Size], depth: int) -> Cost:
    items = _cost(fold.range, sizes, depth)
    start = _cost(fold.start, sizes, depth)
    rounds = min(items.size.weight // (_ITEM + _SCALAR), items.size.items, _ROUNDS)
    heavy = light = _round_cost(fold, sizes, items.size, depth)
    if depth < _SPLIT_DEPTH:
        light = _round_cost(fold, sizes, Size(), depth)
    rest = max(heavy.size.weight - light.size.weight, 0)
    carried = Size(
        min(start.size.weight + rounds * light.size.weight + rest, _ENOUGH),
        min(start.size.pattern + rounds * light.size.pattern + heavy.size.pattern, _ENOUGH),
        is_counted=heavy.size.is_counted,
        items=rounds,
    )
    result = _cost(fold.result, {**sizes, fold.total: carried}, depth)
    # A list that grows is copied in every round.
    copied = carried.weight if fold.start.kind == "list" else 0
    total = items.total + start.total + result.total
    total += heavy.total + copied + rounds * (light.total + copied)
    return Cost(
        result.size,
        min(total, _ENOUGH),
        min(items.flat + start.flat + result.flat, _ENOUGH),
        min(max(items.round, heavy.round, result.round, heavy.flat + copied), _ENOUGH),
    )


def _round_cost(fold: Fold, sizes: Mapping[str, Size], item: Size, depth: int) -> Cost:
    """One round, with nothing carried yet; its size is by how much the total grows."""
    varying = item._replace(varies=True, items=_ENOUGH)
    inner = {**sizes, fold.item: varying, fold.total: Size(0, 0, varies=True)}
    condition = _cost(fold.condition, inner, depth + 1)
    step = _cost(fold.step, inner, depth + 1)
    return Cost(
        step.size,
        min(condition.total + step.total, _ENOUGH),
        min(condition.flat + step.flat, _ENOUGH),
        max(condition.round, step.round),
    )


def _literal(each: int) -> Callable[[str, list[Size]], tuple[Size, int]]:
    def own_cost(_: str, parts: list[Size]) -> tuple[Size, int]:
        size = _together(each, parts)
        return size._replace(items=len(parts)), size.weight

    return own_cost


def _select(_: str, parts: list[Size]) -> tuple[Size, int]:
    return parts[0]._replace(items=_ENOUGH), _STEP


def _call(function: str, parts: list[Size]) -> tuple[Size, int]:
    """The size of a call's result, and what the call itself costs."""
    both = _together(0, parts)
    scalar = Size(varies=both.varies)
    if function in _SCALAR_RESULT:
        return scalar, _STEP
    if function in _PART_RESULT:
        return parts[0]._replace(varies=both.varies, items=_ENOUGH), _STEP
    if function in _SAME_RESULT:
        return both, both.weight + _STEP
    if function in _SMALLER:
        return scalar, _STEP + _smaller(*parts)
    match function:
        case "_?_:_":
            return _together(0, parts[1:]), _STEP
        case "@in":
            return scalar, parts[1].weight + _STEP
        case "_+_":
            items = min(sum(part.items for part in parts), _ENOUGH)
            return _joined(both)._replace(items=items), both.weight + _STEP
        case "matches":
            text, pattern = parts
            return scalar, pattern.pattern * (_COMPILED + _MATCHED * text.weight)
        case "contains":
            return scalar, both.weight + parts[0].weight * parts[1].weight // 20
        case "in_cidr":
            return scalar, _CALLED
        case "isSubtreeOf":
            return scalar, _CALLED + _CALLED_WEIGHT * both.weight
        case "size":
            return scalar, _CONVERTED * both.weight + _STEP
    return _joined(both), _CONVERTED * both.weight + _STEP


def _smaller(one: Size, other: Size) -> int:
    """The cost of a comparison, which ends with the smaller value.

    Where one value varies by round, that one is taken, so that the cost grows with it.
    """
    if one.varies != other.varies:
        return one.weight if one.varies else other.weight
    return one.weight + other.weight if one.varies else min(one.weight, other.weight)


_OWN: dict[str, Callable[[str, list[Size]], tuple[Size, int]]] = {
    "select": _select,
    "list": _literal(_ITEM),
    "map": _literal(_ENTRY),
    "call": _call,
}
