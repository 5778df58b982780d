"""The graph of a schema, what a change affects, and the diagrams."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relata.errors import (
    InvalidArgumentError,
    RelataError,
    UnknownDefinitionError,
    UnknownRelationError,
)
from relata.relationships import SubjectRef
from relata.schema import Definition, Schema, compile_schema
from relata.schema.graph import Link, NodeKind, Way, affected_by, dot, mermaid, schema_graph
from tests.reference.evaluator import Node, Reference
from tests.schema.layouts import thorough
from tests.strategies import World, allowed_relationships, worlds

TEXT = """
use expiration

caveat limit(most int) { most > 1 }

definition user {}

definition group {
	relation member: user | user with limit | group#member
}

definition folder {
	relation parent: folder
	relation public: user:* | user
	relation viewer: user | group#member with limit and expiration
	permission view = viewer + public + parent->view
}

definition document {
	relation folder: folder | folder#viewer
	relation owner: user
	permission edit = owner
	permission view = (edit + folder->view) - nil
	permission all = folder.all(view) & folder & owner
	permission lost = folder->nothing
}
"""


@pytest.fixture(scope="module")
def schema() -> Schema:
    return compile_schema(TEXT)


def test_the_nodes_are_definitions_relations_and_permissions(schema: Schema) -> None:
    nodes = schema_graph(schema).nodes
    assert list(nodes) == [
        *("user", "group", "group#member"),
        *("folder", "folder#parent", "folder#public", "folder#viewer", "folder#view"),
        *("document", "document#folder", "document#owner"),
        *("document#edit", "document#view", "document#all", "document#lost"),
    ]
    assert nodes["user"] == {"kind": NodeKind.DEFINITION, "definition": "user", "label": "user"}
    assert nodes["folder#parent"]["kind"] is NodeKind.RELATION
    assert nodes["document#view"] == {
        "kind": NodeKind.PERMISSION,
        "definition": "document",
        "label": "view",
    }


def test_the_edges_say_how_one_thing_depends_on_another(schema: Schema) -> None:
    edges = {
        (source, target): data["links"]
        for source, target, data in schema_graph(schema).edges(data=True)
    }
    assert edges == {
        ("group#member", "user"): (
            Link(Way.ALLOWS, "user"),
            Link(Way.ALLOWS, "user with limit"),
        ),
        ("group#member", "group#member"): (Link(Way.ALLOWS, "group#member"),),
        ("folder#parent", "folder"): (Link(Way.ALLOWS, "folder"),),
        ("folder#public", "user"): (Link(Way.ALLOWS, "user:*"), Link(Way.ALLOWS, "user")),
        ("folder#viewer", "user"): (Link(Way.ALLOWS, "user"),),
        ("folder#viewer", "group#member"): (
            Link(Way.ALLOWS, "group#member with limit and expiration"),
        ),
        ("folder#view", "folder#viewer"): (Link(Way.READS),),
        ("folder#view", "folder#public"): (Link(Way.READS),),
        ("folder#view", "folder#parent"): (Link(Way.WALKS, "parent->view"),),
        ("folder#view", "folder#view"): (Link(Way.REACHES, "parent->view"),),
        ("document#folder", "folder"): (Link(Way.ALLOWS, "folder"),),
        ("document#folder", "folder#viewer"): (Link(Way.ALLOWS, "folder#viewer"),),
        ("document#owner", "user"): (Link(Way.ALLOWS, "user"),),
        ("document#edit", "document#owner"): (Link(Way.READS),),
        ("document#view", "document#edit"): (Link(Way.READS),),
        ("document#view", "document#folder"): (Link(Way.WALKS, "folder->view"),),
        ("document#view", "folder#view"): (Link(Way.REACHES, "folder->view"),),
        ("document#all", "document#folder"): (
            Link(Way.WALKS, "folder.all(view)"),
            Link(Way.READS),
        ),
        ("document#all", "folder#view"): (Link(Way.REACHES, "folder.all(view)"),),
        ("document#all", "document#owner"): (Link(Way.READS),),
        ("document#lost", "document#folder"): (Link(Way.WALKS, "folder->nothing"),),
    }


@pytest.mark.parametrize(
    ("changed", "affected"),
    [
        ("document#owner", "document#edit document#view document#all"),
        ("document#edit", "document#view"),
        ("document#view", ""),
        ("document#folder", "document#view document#all document#lost"),
        ("folder#parent", "folder#view document#view document#all"),
        # Who is in folder#viewer does not change which folders a document is in: `lost` stays.
        ("folder#viewer", "folder#view document#folder document#view document#all"),
        (
            "group#member",
            "folder#viewer folder#view document#folder document#view document#all",
        ),
    ],
)
def test_what_a_change_affects(schema: Schema, changed: str, affected: str) -> None:
    assert [f"{type_}#{name}" for type_, name in affected_by(schema, changed)] == affected.split()


@thorough
@given(worlds(), st.data())
def test_nothing_else_changes(world: World, data: st.DataObject) -> None:
    """Whatever is written to a relation, only what is said to be affected is answered otherwise."""
    relations = [(type_, name) for type_, body in world.bodies.items() for name in body.relations]
    type_, relation = data.draw(st.sampled_from(relations))
    pool = [
        one
        for one in allowed_relationships(world.bodies)
        if (one.resource.type, one.relation) == (type_, relation)
    ]
    kept = [one for one in world.stored if (one.resource.type, one.relation) != (type_, relation)]
    written = data.draw(st.lists(st.sampled_from(pool), max_size=6))
    before, after = sets(world), sets(replace(world, stored=(*kept, *written)))
    found = {(node[0].type, node[1]) for node in before if before[node] != after[node]}
    schema = compile_schema(world.text)
    assert found <= {(type_, relation), *affected_by(schema, f"{type_}#{relation}")}


def sets(world: World) -> dict[Node, tuple[frozenset[SubjectRef], frozenset[SubjectRef]]]:
    """Who surely and who perhaps is in each relation and permission of each object."""
    schema = compile_schema(world.text)
    reference = Reference(schema, world.stored, world.objects, context=world.context)
    return {node: (reference.sets[node], reference.possible[node]) for node in reference.sets}


@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        ("document", InvalidArgumentError, "`document` names no relation or permission"),
        ("document#", InvalidArgumentError, "`document#` names no relation or permission"),
        ("paper#viewer", UnknownDefinitionError, "the schema has no definition `paper`"),
        (
            "document#veiw",
            UnknownRelationError,
            "the definition `document` has no relation or permission `veiw`",
        ),
    ],
)
def test_a_name_that_is_none_is_refused(
    schema: Schema, changed: str, error: type[RelataError], said: str
) -> None:
    for ask in (
        lambda: affected_by(schema, changed),
        lambda: mermaid(schema, changed=changed),
        lambda: dot(schema, changed=changed),
    ):
        with pytest.raises(error) as caught:
            ask()
        assert said in caught.value.message
        assert caught.value.field == "changed"


SMALL = """
definition user {}

definition end {
	relation class: user | user:*
	permission graph = class
}
"""


def test_a_flowchart() -> None:
    assert mermaid(compile_schema(SMALL), changed="end#class") == (
        "flowchart LR\n"
        '\tn0{{"user"}}\n'
        '\tsubgraph sn1["end"]\n'
        '\t\tn2["class"]\n'
        '\t\tn3(["graph"])\n'
        "\tend\n"
        '\tn2 ==>|"user, user:*"| n0\n'
        "\tn3 --> n2\n"
        "\tclassDef changed fill:#fc9,stroke:#c60,stroke-width:3px,color:#000\n"
        "\tclass n2 changed\n"
        "\tclassDef affected fill:#fc9,stroke:#c60,stroke-width:1px,color:#000\n"
        "\tclass n3 affected\n"
    )


def test_a_directed_graph() -> None:
    assert dot(compile_schema(SMALL), changed="end#class") == (
        "digraph schema {\n"
        "\trankdir=LR;\n"
        '\t"user" [label="user", shape=hexagon];\n'
        "\tsubgraph cluster_1 {\n"
        '\t\tlabel="end";\n'
        '\t\t"end#class" [label="class", shape=box, style=filled, fillcolor="#ffcc99", '
        "penwidth=3];\n"
        '\t\t"end#graph" [label="graph", shape=ellipse, style=filled, fillcolor="#ffcc99"];\n'
        "\t}\n"
        '\t"end#class" -> "user" [style=bold, label="user, user:*"];\n'
        '\t"end#graph" -> "end#class" [style=solid];\n'
        "}\n"
    )


def test_without_a_change_nothing_stands_out() -> None:
    schema = compile_schema(SMALL)
    assert "class " not in mermaid(schema)
    assert "filled" not in dot(schema)


@given(worlds())
def test_every_node_and_edge_is_drawn_once(world: World) -> None:
    """Each edge in both diagrams, between nodes that are drawn; no label can end its quotes."""
    schema = compile_schema(world.text)
    graph = schema_graph(schema)
    flowchart, directed = mermaid(schema), dot(schema)
    ids = re.findall(r'^\t+(n\d+)[\[({]+"[^"]+"[\])}]+$', flowchart, re.M)
    drawn = re.findall(r'^\t(n\d+) (?:-->|-\.->|==>)(?:\|"[^"|]+"\|)? (n\d+)$', flowchart, re.M)
    assert len(drawn) == len(set(drawn)) == graph.number_of_edges()
    assert {end for edge in drawn for end in edge} <= set(ids)
    assert len(ids) == len(set(ids))
    edges = set(re.findall(r'^\t"([^"]+)" -> "([^"]+)" \[.*\];$', directed, re.M))
    assert edges == set(graph.edges)


def test_quotes_and_backslashes_are_escaped() -> None:
    """No name of the language has them; the diagrams do not rely on that."""
    odd = 'a"b#c<\\'
    schema = Schema({odd: Definition(odd, {}, {})})
    assert mermaid(schema) == 'flowchart LR\n\tn0{{"a#quot;b#35;c#lt;\\"}}\n'
    assert '\t"a\\"b#c<\\\\" [label="a\\"b#c<\\\\", shape=hexagon];\n' in dot(schema)
