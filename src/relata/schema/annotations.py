"""The rule that an annotation names every type that can hold its permission.

It holds with `use typechecking`; without the flag annotations are not looked at. They may name
more than needed, even what is not defined.
Every type counts that stands in any relation on the way, a wildcard's too, and also on the right
of a `-`; `self` counts nothing.

The check can cost more than the schema's length, so it has limits of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

import networkx as nx

from relata.schema import syntax
from relata.schema.names import Names
from relata.schema.source import Findings, quote

MAX_DEFINITIONS = 10_000
MAX_ARROW_ENDS = 1_000_000

_Key = tuple[str, str]


def find_incomplete_annotations(names: Names, findings: Findings) -> None:
    """Note permissions whose annotation leaves out a type that can hold them."""
    if len(names.blocks) > MAX_DEFINITIONS or _arrow_ends(names) > MAX_ARROW_ENDS:
        findings.add(0, "the schema is too large to check annotations; remove `use typechecking`")
        return
    order = [block.name.text for block in names.blocks]
    bits = {definition: 1 << index for index, definition in enumerate(order)}
    reach = _reach(names, bits)
    for definition, member in names.members():
        if isinstance(member, syntax.Permission) and member.annotation:
            told = 0
            for type_ in member.annotation:
                told |= bits.get(type_.text, 0)
            untold = reach[definition, member.name.text] & ~told
            if untold:
                missing = order[(untold & -untold).bit_length() - 1]
                message = f"the annotation leaves out {quote(missing)}, which can hold this"
                findings.add(member.annotation[0].at, message)


def _arrow_ends(names: Names) -> int:
    """How many places all arrows together lead to, at most."""
    return sum(
        len(relation.subjects)
        for definition, member in names.members()
        if isinstance(member, syntax.Permission)
        for node, _ in syntax.walk(member.expression)
        if isinstance(node, syntax.Arrow)
        and isinstance(relation := names.member(definition, node.relation.text), syntax.Relation)
    )


def _reach(names: Names, bits: dict[str, int]) -> dict[_Key, int]:
    """The types that can hold each member, as the bits of a number."""
    graph: nx.DiGraph[_Key] = nx.DiGraph()
    direct: dict[_Key, int] = {}
    for definition, member in names.members():
        key = (definition, member.name.text)
        graph.add_node(key)
        direct[key] = 0
        if isinstance(member, syntax.Permission):
            graph.add_edges_from((key, inner) for inner in _leads_to(definition, member, names))
            continue
        for subject in member.subjects:
            if subject.relation:
                graph.add_edge(key, (subject.type.text, subject.relation.text))
            else:
                direct[key] |= bits.get(subject.type.text, 0)
    circles = nx.condensation(graph)
    reach: dict[int, int] = {}
    for circle in reversed([*nx.topological_sort(circles)]):
        types = 0
        for key in circles.nodes[circle]["members"]:
            types |= direct.get(key, 0)
        for inner in circles.successors(circle):
            types |= reach[inner]
        reach[circle] = types
    return {key: reach[circle] for key, circle in circles.graph["mapping"].items()}


def _leads_to(definition: str, permission: syntax.Permission, names: Names) -> Iterator[_Key]:
    for node, _ in syntax.walk(permission.expression):
        if isinstance(node, syntax.Reference):
            yield definition, node.name.text
        elif isinstance(node, syntax.Arrow):
            relation = names.member(definition, node.relation.text)
            for subject in relation.subjects if isinstance(relation, syntax.Relation) else ():
                key = (subject.type.text, node.steps[0].target.text)
                if names.member(*key):
                    yield key
