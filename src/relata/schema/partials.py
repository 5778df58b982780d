"""Puts the members of partials where `...name` stands, as if they had been written there.

Order does not matter, and a partial may include partials, but not itself by any way round. A
splat names a single word, so a partial with a prefix (`acme/common`) can never be included.

Members keep the place where they were written. Their names are not looked at here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec
import networkx as nx

from relata.schema import syntax
from relata.schema.source import Findings, quote

_Members = Sequence[syntax.Member | syntax.Splat]


class Block(msgspec.Struct, frozen=True):
    """A definition with its partials written out.

    It is not complete where a splat could not be replaced: it may then have more members.
    """

    name: syntax.Name
    members: tuple[syntax.Member, ...]
    complete: bool
    at: int


def include_partials(file: syntax.File, findings: Findings, *, allowance: int) -> list[Block]:
    """Each definition, in the order of the text, with its partials written out.

    Notes partials that are unknown, share a name or include themselves, and a text that would
    grow by more than `allowance` characters; then no partial is written out.
    """
    partials = _partials_by_name(file, findings)
    splats = {
        item.at: _splats(item.members, partials, findings)
        for item in file.items
        if isinstance(item, syntax.Definition | syntax.Partial)
    }
    definitions = [item for item in file.items if isinstance(item, syntax.Definition)]
    lengths = _lengths(partials, splats, findings, most=allowance + 1)
    growth = sum(lengths.get(name, 0) for item in definitions for name in splats[item.at])
    if growth > allowance:
        findings.add(0, "the schema is too long with its partials written out")
    usable = {name: partials[name] for name in lengths if growth <= allowance}
    _find_names_of_partials(file, partials, findings)
    blocks = []
    for definition in definitions:
        members = tuple(_written_out(definition.members, usable))
        complete = all(splat in usable for splat in splats[definition.at])
        blocks.append(Block(definition.name, members, complete, definition.at))
    return blocks


def _find_names_of_partials(
    file: syntax.File, partials: Mapping[str, syntax.Partial], findings: Findings
) -> None:
    for item in file.items:
        if isinstance(item, syntax.Definition | syntax.Caveat) and item.name.text in partials:
            message = f"{quote(item.name.text)} is the name of a partial already"
            findings.add(item.name.at, message)


def _partials_by_name(file: syntax.File, findings: Findings) -> dict[str, syntax.Partial]:
    partials: dict[str, syntax.Partial] = {}
    for item in file.items:
        if isinstance(item, syntax.Partial):
            if item.name.text in partials:
                message = f"there is a partial {quote(item.name.text)} already"
                findings.add(item.name.at, message)
            partials.setdefault(item.name.text, item)
    return partials


def _lengths(
    partials: Mapping[str, syntax.Partial],
    splats: Mapping[int, list[str]],
    findings: Findings,
    *,
    most: int,
) -> dict[str, int]:
    """How long each partial is, written out; those that cannot be are left out."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(partials)
    for name, partial in partials.items():
        graph.add_edges_from((name, inner) for inner in splats[partial.at] if inner in partials)
    for circle in [*nx.strongly_connected_components(graph)]:
        first = min(circle, key=lambda name: partials[name].at)
        if len(circle) > 1 or graph.has_edge(first, first):
            findings.add(partials[first].name.at, f"the partial {quote(first)} includes itself")
            graph.remove_nodes_from(circle)
    lengths: dict[str, int] = {}
    for name in reversed([*nx.topological_sort(graph)]):
        inner = splats[partials[name].at]
        if all(splat in lengths for splat in inner):
            length = partials[name].end - partials[name].at + sum(map(lengths.__getitem__, inner))
            lengths[name] = min(length, most)
    return lengths


def _splats(
    members: _Members, partials: Mapping[str, syntax.Partial], findings: Findings
) -> list[str]:
    """The names of the partials that stand among members."""
    names = [member.name for member in members if isinstance(member, syntax.Splat)]
    for name in names:
        if name.text not in partials:
            findings.add(name.at, f"there is no partial {quote(name.text)}")
    return [name.text for name in names]


def _written_out(
    members: _Members, partials: Mapping[str, syntax.Partial]
) -> Iterator[syntax.Member]:
    stack = [iter(members)]
    while stack:
        member = next(stack[-1], None)
        if member is None:
            stack.pop()
        elif not isinstance(member, syntax.Splat):
            yield member
        elif member.name.text in partials:
            stack.append(iter(partials[member.name.text].members))
