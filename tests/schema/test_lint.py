"""Warnings: when each is given, when not, where it points, and how it is silenced."""

from __future__ import annotations

import pytest

from relata.errors import SchemaTypeError
from relata.schema import SchemaWarning, lint

PARENT = "relation-name-references-parent"
ITSELF = "permission-references-itself"
UNREACHABLE = "arrow-references-unreachable-relation"
WALKS = "arrow-walks-subject-relation"
RELATION = "arrow-references-relation"

SCHEMA = """definition user {{}}
definition group {{
 relation member: user | group#member
 relation owner: user
 permission everyone = member + owner
}}
definition team {{
 relation owner: user
 permission everyone = owner
}}
definition doc {{
 relation reader: user
 relation parent: doc
 relation group: group
 relation members: group#member | group
 relation either: user | group | team
 {member}
}}
"""


def warned(member: str) -> list[SchemaWarning]:
    """What a schema with this member of `doc`, on line 17, warns of."""
    return lint(SCHEMA.format(member=member))


@pytest.mark.parametrize(
    ("member", "name", "column", "message"),
    [
        (
            "permission view_doc = reader",
            PARENT,
            13,
            "`view_doc` repeats the name of its definition `doc`, which says it already; "
            "leave it out",
        ),
        (
            "relation olddoc: user",
            PARENT,
            11,
            "`olddoc` repeats the name of its definition `doc`, which says it already; "
            "leave it out",
        ),
        ("relation doc: user", PARENT, 11, "`doc` repeats the name of its definition `doc`"),
        (
            "permission view = reader + view",
            ITSELF,
            29,
            "`view` refers to itself; nobody comes to have it by that",
        ),
        ("permission view = reader - (nil & (view + reader))", ITSELF, 37, "`view` refers to"),
        (
            "permission view = reader + parent->nope",
            UNREACHABLE,
            29,
            "no subject of `parent` has a relation or permission `nope`",
        ),
        ("permission view = reader.all(everyone)", UNREACHABLE, 20, "no subject of `reader`"),
        (
            "permission view = members.any(everyone)",
            WALKS,
            20,
            "the arrow goes on from `group` and not from those who are `group#member`: "
            "an arrow ignores the relation of a subject",
        ),
        (
            "permission view = group->member",
            RELATION,
            20,
            "`member` is a relation of `group`; "
            "point the arrow at a permission, which can change without it",
        ),
        ("permission view = either.all(owner)", RELATION, 20, "`owner` is a relation of `group`"),
    ],
)
def test_a_warning(member: str, name: str, column: int, message: str) -> None:
    (warning,) = warned(member)
    assert warning.name == name
    assert warning.message.startswith(message)
    assert (warning.source, warning.line, warning.column) == ("schema.zed", 17, column)
    assert warning.excerpt == f" {member}\n{' ' * (column - 1)}^"
    assert str(warning) == (
        f"schema.zed:17:{column}: {warning.message} ({name})\n{warning.excerpt}"
    )


@pytest.mark.parametrize(
    "member",
    [
        "permission doc_view = reader",
        "permission view_Doc = reader".lower().replace("doc", "docs"),
        "permission view = reader",
        "permission view = group->everyone",
        "permission view = either->everyone",
        "permission view = parent->reader",
        "permission view = parent->view",
        "permission view = parent.all(view)",
        "permission group_view = nil",
    ],
)
def test_no_warning(member: str) -> None:
    assert warned(member) == []


def test_a_prefix_belongs_to_a_definitions_name() -> None:
    text = "definition acme/doc {\n permission view_doc = nil\n}"
    assert lint(text) == []


def test_all_warnings_come_in_the_order_of_the_text() -> None:
    """An arrow may be wrong in several ways, and each way is told once."""
    member = "permission doc = members->member + members->member + doc"
    assert [(warning.column, warning.name) for warning in warned(member)] == [
        (13, PARENT),
        (19, RELATION),
        (19, WALKS),
        (37, RELATION),
        (37, WALKS),
        (55, ITSELF),
    ]


@pytest.mark.parametrize("word", ["spicedb-ignore-warning", "relata-ignore-warning"])
@pytest.mark.parametrize(
    ("member", "name"),
    [
        ("permission view_doc = reader", PARENT),
        ("permission view = reader + view", ITSELF),
        ("permission view = parent->nope", UNREACHABLE),
        ("permission view = members->everyone", WALKS),
        ("permission view = group->member", RELATION),
    ],
)
def test_a_comment_silences_a_warning_by_its_name(word: str, member: str, name: str) -> None:
    assert warned(f"// Why.\n // {word}: {name}\n // So.\n {member}") == []
    other = next(each for each in (PARENT, ITSELF) if each != name)
    assert [warning.name for warning in warned(f"// {word}: {other}\n {member}")] == [name]


@pytest.mark.parametrize(
    "comment",
    [
        f"// spicedb-ignore-warnings: {PARENT}",
        f"// please spicedb-ignore-warning: {PARENT}",
        f"// spicedb-ignore-warning: {PARENT} and more",
        "// spicedb-ignore-warning:",
        f"permission other = reader // spicedb-ignore-warning: {PARENT}",
        f"// spicedb-ignore-warning: {PARENT}\n permission other = reader",
    ],
)
def test_a_comment_that_silences_nothing(comment: str) -> None:
    warnings = warned(f"{comment}\n permission view_doc = reader")
    assert [warning.name for warning in warnings] == [PARENT]


def test_two_comments_silence_two_warnings() -> None:
    ignore = "".join(f"// relata-ignore-warning: {name}\n " for name in (RELATION, WALKS))
    assert warned(f"{ignore}permission view = members->member") == []


def test_what_a_partial_brings_is_looked_at_where_it_is_included() -> None:
    text = """use partial
partial common {
 permission view_doc = nil
 // relata-ignore-warning: relation-name-references-parent
 permission edit_doc = nil
}
definition doc { ...common
}
definition folder { ...common
}
"""
    (warning,) = lint(text, source="my.zed")
    assert (warning.source, warning.line, warning.column) == ("my.zed", 3, 13)


def test_a_schema_that_does_not_compile_is_not_looked_at() -> None:
    with pytest.raises(SchemaTypeError):
        lint("definition doc { relation one: nope\n}")
