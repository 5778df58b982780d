"""The rule that a wildcard does not travel.

No arrow starts at a relation that includes a wildcard, itself or by way of usersets, and no
relation allows a userset of another definition that does. A permission in between stops it, and
so does staying within one definition: that is SpiceDB's rule, followed to the letter. (SpiceDB
1.54 itself overlooks a wildcard where it looked at a relation of the same name before.)
"""

from __future__ import annotations

from collections.abc import Iterator

import networkx as nx

from relata.schema import syntax
from relata.schema.names import Names
from relata.schema.source import Findings, quote

_Key = tuple[str, str]


def find_travelling_wildcards(names: Names, findings: Findings) -> None:
    """Note arrows and usersets that would take a wildcard along."""
    wildcards = _wildcards(names)
    for block in names.blocks:
        for member in block.members:
            for name, key, why in _places_without_wildcards(block.name.text, member):
                if key in wildcards:
                    wildcard, holder = wildcards[key]
                    of = "" if holder == key else f" of {quote('#'.join(holder))}"
                    message = f"{quote('#'.join(key))} includes {quote(wildcard)}{of}; {why}"
                    findings.add(name.at, message)


def _wildcards(names: Names) -> dict[_Key, tuple[str, _Key]]:
    """Which relations include a wildcard, and which one of which relation."""
    root: _Key = ("", "")
    included: dict[_Key, tuple[str, _Key]] = {}
    graph: nx.DiGraph[_Key] = nx.DiGraph()
    graph.add_node(root)
    for definition, member in names.members():
        key = (definition, member.name.text)
        for subject in member.subjects if isinstance(member, syntax.Relation) else ():
            if subject.wildcard:
                graph.add_edge(root, key)
                included[key] = (f"{subject.type.text}:*", key)
            elif subject.relation:
                graph.add_edge((subject.type.text, subject.relation.text), key)
    for before, key in nx.bfs_edges(graph, root):
        if before != root:
            included[key] = included[before]
    return included


def _places_without_wildcards(
    definition: str, member: syntax.Member
) -> Iterator[tuple[syntax.Name, _Key, str]]:
    if isinstance(member, syntax.Relation):
        for subject in member.subjects:
            if subject.relation and subject.type.text != definition:
                key = (subject.type.text, subject.relation.text)
                yield subject.type, key, "another definition cannot allow it"
    else:
        for node, _ in syntax.walk(member.expression):
            if isinstance(node, syntax.Arrow):
                key = (definition, node.relation.text)
                yield node.relation, key, "an arrow cannot start at a wildcard"
