"""The rule that a permission is not merely another name for itself.

`permission a = b` with `permission b = a` says nothing. Recursion through an operator or an arrow
says something, and is allowed.
"""

from __future__ import annotations

import networkx as nx

from relata.schema import syntax
from relata.schema.names import Names
from relata.schema.source import Findings, quote

_Key = tuple[str, str]


def find_circular_aliases(names: Names, findings: Findings) -> None:
    """Note permissions that are only other names for each other."""
    places: dict[_Key, int] = {}
    graph: nx.DiGraph[_Key] = nx.DiGraph()
    for definition, member in names.members():
        if isinstance(member, syntax.Permission):
            places[definition, member.name.text] = member.name.at
            if isinstance(member.expression, syntax.Reference):
                graph.add_edge(
                    (definition, member.name.text), (definition, member.expression.name.text)
                )
    for circle in nx.strongly_connected_components(graph):
        some = next(iter(circle))
        if len(circle) > 1 or graph.has_edge(some, some):
            first, *rest = sorted(circle, key=lambda key: places[key])
            message = f"{quote(first[1])} is only another name for itself"
            if rest:
                message += f", by way of {quote(rest[0][1])}"
            findings.add(places[first], message)
