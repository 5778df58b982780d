"""What depends on what in a schema: as a graph, as a diagram, and as an answer.

The graph has a node for each definition (`document`) and each relation and permission
(`document#view`), and an edge from what is asked to what that asks of:

- a permission *reads* the names in its expression;
- by an arrow it *walks* the relation before the arrow and *reaches* the name after it, on every
  type that the relation allows and that has the name;
- a relation *allows* definitions and, for usersets, their relations and permissions.

Nothing here looks at stored relationships: an edge says that an answer can depend, not that it
does.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator

import msgspec
import networkx as nx

from relata.errors import InvalidArgumentError, UnknownDefinitionError, UnknownRelationError
from relata.schema.model import (
    Arrow,
    Computed,
    Definition,
    Exclusion,
    Expression,
    Intersection,
    Permission,
    Schema,
    Union,
    expression_text,
)


class NodeKind(enum.StrEnum):
    """What a node is."""

    DEFINITION = "definition"
    RELATION = "relation"
    PERMISSION = "permission"


class Way(enum.StrEnum):
    """How one thing depends on another."""

    READS = "reads"
    WALKS = "walks"
    REACHES = "reaches"
    ALLOWS = "allows"


class Link(msgspec.Struct, frozen=True, order=True):
    """One reason for an edge; the text is the arrow, or the kind of subject that is allowed."""

    way: Way
    text: str = ""


def schema_graph(schema: Schema) -> nx.DiGraph[str]:
    """The graph of a schema, in the order of its text.

    A node's attributes are `kind`, `definition` and `label`, its name within the definition; an
    edge's is `links`, a tuple of every `Link` that it stands for.
    """
    graph: nx.DiGraph[str] = nx.DiGraph()
    for definition in schema.definitions.values():
        _add_nodes(graph, definition)
    for definition in schema.definitions.values():
        for source, target, link in _links(schema, definition):
            links = graph.edges.get((source, target), {}).get("links", ())
            if link not in links:
                graph.add_edge(source, target, links=(*links, link))
    return graph


def affected_by(schema: Schema, changed: str) -> list[tuple[str, str]]:
    """The relations and permissions whose answers can change when those of one do.

    `changed` names it (`document#viewer`); each that is affected comes as its definition and its
    name, in the order of the schema, without the changed one itself. An arrow depends on the
    relationships of the relation before it, and not on who is in their usersets.

    Raises InvalidArgumentError, UnknownDefinitionError and UnknownRelationError.
    """
    graph = schema_graph(schema)
    affected = _affected(graph, _require_member(schema, changed))
    nodes = graph.nodes(data=True)
    return [(data["definition"], data["label"]) for node, data in nodes if node in affected]


def mermaid(schema: Schema, *, changed: str | None = None) -> str:
    """A flowchart for Mermaid; with `changed`, that and what it affects stand out.

    Raises what `affected_by` raises.
    """
    return "".join(f"{line}\n" for line in _mermaid_lines(_Drawing(schema, changed)))


def dot(schema: Schema, *, changed: str | None = None) -> str:
    """A directed graph for Graphviz; with `changed`, that and what it affects stand out.

    Raises what `affected_by` raises.
    """
    return "".join(f"{line}\n" for line in _dot_lines(_Drawing(schema, changed)))


# The graph


def _add_nodes(graph: nx.DiGraph[str], definition: Definition) -> None:
    name = definition.name
    graph.add_node(name, kind=NodeKind.DEFINITION, definition=name, label=name)
    for kind, members in (
        (NodeKind.RELATION, definition.relations),
        (NodeKind.PERMISSION, definition.permissions),
    ):
        for member in members:
            graph.add_node(f"{name}#{member}", kind=kind, definition=name, label=member)


def _links(schema: Schema, definition: Definition) -> Iterator[tuple[str, str, Link]]:
    """Each reason for an edge from a member of a definition, with the edge."""
    for relation in definition.relations.values():
        source = f"{definition.name}#{relation.name}"
        for allowed in relation.allowed:
            target = f"{allowed.type}#{allowed.relation}" if allowed.relation else allowed.type
            yield source, target, Link(Way.ALLOWS, str(allowed))
    for permission in definition.permissions.values():
        source = f"{definition.name}#{permission.name}"
        for target, link in _permission_links(schema, definition, permission):
            yield source, target, link


def _permission_links(
    schema: Schema, definition: Definition, permission: Permission
) -> Iterator[tuple[str, Link]]:
    for leaf in _leaves(permission.expression):
        match leaf:
            case Computed(name):
                yield f"{definition.name}#{name}", Link(Way.READS)
            case Arrow(relation, target):
                text = expression_text(leaf)
                yield f"{definition.name}#{relation}", Link(Way.WALKS, text)
                for allowed in definition.relations[relation].allowed:
                    if target in schema.definitions[allowed.type]:
                        yield f"{allowed.type}#{target}", Link(Way.REACHES, text)


def _leaves(expression: Expression) -> Iterator[Expression]:
    """The names and arrows of an expression, from left to right. Needs no recursion."""
    stack = [expression]
    while stack:
        match stack.pop():
            case Union(children) | Intersection(children):
                stack.extend(reversed(children))
            case Exclusion(base, subtracted):
                stack += (subtracted, base)
            case leaf:
                yield leaf


def _links_of(graph: nx.DiGraph[str], source: str, target: str) -> tuple[Link, ...]:
    links: tuple[Link, ...] = graph.edges[source, target]["links"]
    return links


# What is affected


def _require_member(schema: Schema, name: str) -> str:
    type_, hash_sign, member = name.partition("#")
    if not hash_sign or not member:
        raise InvalidArgumentError(
            f"`{name}` names no relation or permission; write `document#viewer`", field="changed"
        )
    if type_ not in schema.definitions:
        raise UnknownDefinitionError(f"the schema has no definition `{type_}`", field="changed")
    if member not in schema.definitions[type_]:
        raise UnknownRelationError(
            f"the definition `{type_}` has no relation or permission `{member}`", field="changed"
        )
    return name


def _affected(graph: nx.DiGraph[str], changed: str) -> set[str]:
    """All from which an edge leads to the changed one, or to another that is affected."""
    found = {*graph.predecessors(changed)}
    waiting = [*found]
    while waiting:
        target = waiting.pop()
        for source in graph.predecessors(target):
            ways = {link.way for link in _links_of(graph, source, target)}
            if source not in found and ways != {Way.WALKS}:
                found.add(source)
                waiting.append(source)
    return found - {changed}


# Diagrams


class _Drawing:
    """What both kinds of diagrams draw."""

    def __init__(self, schema: Schema, changed: str | None) -> None:
        self.graph = schema_graph(schema)
        self.changed: frozenset[str] = frozenset()
        self.affected: frozenset[str] = frozenset()
        if changed is not None:
            self.changed = frozenset({_require_member(schema, changed)})
            self.affected = frozenset(_affected(self.graph, changed))

    def definitions(self) -> Iterator[tuple[str, list[str]]]:
        """Each definition with the nodes to draw in it: its members, and itself where it is led
        to or has none."""
        members: dict[str, list[str]] = {}
        for node, data in self.graph.nodes(data=True):
            inside = members.setdefault(data["definition"], [])
            if node != data["definition"]:
                inside.append(node)
        for name, inside in members.items():
            itself = [name] if self.graph.in_degree(name) or not inside else []
            yield name, [*itself, *inside]

    def edges(self) -> Iterator[tuple[str, str, Way, str]]:
        """Each edge with the way it is drawn, and its label."""
        for source, target in self.graph.edges:
            links = _links_of(self.graph, source, target)
            way = min((link.way for link in links), key=[*Way].index)
            said = [link.text for link in links if link.text and link.way is not Way.WALKS]
            label = ", ".join(dict.fromkeys(said))
            yield source, target, way, "" if label == target else label

    def kind(self, node: str) -> NodeKind:
        """What a node is."""
        kind: NodeKind = self.graph.nodes[node]["kind"]
        return kind

    def label(self, node: str) -> str:
        """What a node is called within its definition."""
        label: str = self.graph.nodes[node]["label"]
        return label


_MERMAID_SHAPES = {
    NodeKind.DEFINITION: '{{{{"{}"}}}}',
    NodeKind.RELATION: '["{}"]',
    NodeKind.PERMISSION: '(["{}"])',
}
_MERMAID_ARROWS = {
    Way.READS: "-->",
    Way.WALKS: "-.->",
    Way.REACHES: "-.->",
    Way.ALLOWS: "==>",
}
_MERMAID_ENTITIES = str.maketrans({'"': "#quot;", "#": "#35;", "<": "#lt;", ">": "#gt;"})


def _mermaid_lines(drawing: _Drawing) -> Iterator[str]:
    """Ids are numbers, for names may be words of Mermaid's own."""
    ids = {node: f"n{number}" for number, node in enumerate(drawing.graph)}
    yield "flowchart LR"
    for name, nodes in drawing.definitions():
        lines = [f"{ids[node]}{_mermaid_shape(drawing, node)}" for node in nodes]
        if nodes == [name]:
            yield f"\t{lines[0]}"
        else:
            yield f'\tsubgraph s{ids[name]}["{_mermaid_text(name)}"]'
            yield from (f"\t\t{line}" for line in lines)
            yield "\tend"
    for source, target, way, text in drawing.edges():
        label = f'|"{_mermaid_text(text)}"|' if text else ""
        yield f"\t{ids[source]} {_MERMAID_ARROWS[way]}{label} {ids[target]}"
    for name, marked in (("changed", drawing.changed), ("affected", drawing.affected)):
        if marked:
            width = "3px" if name == "changed" else "1px"
            yield f"\tclassDef {name} fill:#fc9,stroke:#c60,stroke-width:{width},color:#000"
            yield f"\tclass {','.join(ids[node] for node in ids if node in marked)} {name}"


def _mermaid_shape(drawing: _Drawing, node: str) -> str:
    return _MERMAID_SHAPES[drawing.kind(node)].format(_mermaid_text(drawing.label(node)))


def _mermaid_text(text: str) -> str:
    return text.translate(_MERMAID_ENTITIES)


_DOT_SHAPES = {
    NodeKind.DEFINITION: "hexagon",
    NodeKind.RELATION: "box",
    NodeKind.PERMISSION: "ellipse",
}
_DOT_STYLES = {
    Way.READS: "solid",
    Way.WALKS: "dashed",
    Way.REACHES: "dashed",
    Way.ALLOWS: "bold",
}


def _dot_lines(drawing: _Drawing) -> Iterator[str]:
    yield "digraph schema {"
    yield "\trankdir=LR;"
    for number, (name, nodes) in enumerate(drawing.definitions()):
        lines = [f"{_dot_text(node)} {_dot_node(drawing, node)};" for node in nodes]
        if nodes == [name]:
            yield f"\t{lines[0]}"
        else:
            yield f"\tsubgraph cluster_{number} {{"
            yield from (f"\t\t{line}" for line in (f"label={_dot_text(name)};", *lines))
            yield "\t}"
    for source, target, way, text in drawing.edges():
        label = [f"label={_dot_text(text)}"] if text else []
        attributes = ", ".join([f"style={_DOT_STYLES[way]}", *label])
        yield f"\t{_dot_text(source)} -> {_dot_text(target)} [{attributes}];"
    yield "}"


def _dot_node(drawing: _Drawing, node: str) -> str:
    attributes = [f"label={_dot_text(drawing.label(node))}"]
    attributes.append(f"shape={_DOT_SHAPES[drawing.kind(node)]}")
    if node in drawing.changed | drawing.affected:
        attributes.append('style=filled, fillcolor="#ffcc99"')
    if node in drawing.changed:
        attributes.append("penwidth=3")
    return f"[{', '.join(attributes)}]"


def _dot_text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
