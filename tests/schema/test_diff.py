"""The difference between two schemas: each kind of change, its severity and its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relata.relationships import Kind
from relata.schema import Schema, compile_schema
from relata.schema.diff import Change, ChangeKind, SchemaDiff, Severity, diff_schemas
from relata.schema.formatter import format_schema
from tests.schema.layouts import laid_out, schema_texts, thorough

OLD = """
use expiration

/** Somebody. */
definition user {}

definition group {
	relation member: user | group#member
}

caveat recent(at timestamp, now timestamp) {
	now - at < duration("1h")
}

definition folder {
	relation viewer: user
}

definition document {
	relation folder: folder
	relation viewer: user | user:* | group#member | user with recent | user with expiration
	relation banned: user
	permission edit = banned
	permission view = (viewer + edit) - banned
	permission inherited = folder->view
}
"""


def changes(old: str, new: str) -> tuple[Change, ...]:
    """What changes in OLD where a part of its text is replaced."""
    assert old in OLD
    return difference(OLD, OLD.replace(old, new)).changes


def difference(old: str, new: str) -> SchemaDiff:
    return diff_schemas(compile_schema(old), compile_schema(new))


def brief(change: Change) -> tuple[str, str, str, str, str]:
    return change.kind, change.severity, change.name, change.old, change.new


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "definition folder {",
            "definition bin {}\ndefinition folder {",
            ("definition_added", "harmless", "bin", "", "bin"),
        ),
        (
            "banned: user",
            "banned: user\n\trelation owner: user | user:*",
            ("relation_added", "harmless", "document#owner", "", "user | user:*"),
        ),
        (
            "permission edit = banned",
            "permission edit = banned\n\tpermission own = edit & (banned - viewer)",
            ("permission_added", "harmless", "document#own", "", "edit & (banned - viewer)"),
        ),
        (
            "relation banned: user",
            "relation banned: user | group",
            ("allowed_subject_added", "harmless", "document#banned", "", "group"),
        ),
        (
            " | user:*",
            "",
            ("allowed_subject_removed", "breaking", "document#viewer", "user:*", ""),
        ),
        (
            " | user with expiration",
            "",
            (
                "allowed_subject_removed",
                "breaking",
                "document#viewer",
                "user with expiration",
                "",
            ),
        ),
        (
            "permission inherited = folder->view\n",
            "",
            ("permission_removed", "breaking", "document#inherited", "folder->view", ""),
        ),
        (
            "(viewer + edit) - banned",
            "viewer + (edit - banned)",
            (
                "expression_changed",
                "changes_answers",
                "document#view",
                "viewer + edit - banned",
                "viewer + (edit - banned)",
            ),
        ),
        (
            "(viewer + edit) - banned",
            "(edit + viewer + edit) - banned",
            (
                "expression_reordered",
                "harmless",
                "document#view",
                "viewer + edit - banned",
                "edit + viewer + edit - banned",
            ),
        ),
        (
            "folder->view",
            "folder.all(view)",
            (
                "expression_changed",
                "changes_answers",
                "document#inherited",
                "folder->view",
                "folder.all(view)",
            ),
        ),
        (
            "permission inherited = folder->view",
            "relation inherited: user",
            (
                "permission_became_relation",
                "changes_answers",
                "document#inherited",
                "folder->view",
                "user",
            ),
        ),
        ("Somebody.", "Anybody.", ("doc_changed", "harmless", "user", "Somebody.", "Anybody.")),
        (
            "relation banned: user",
            "// Not them.\n\trelation banned: user",
            ("doc_changed", "harmless", "document#banned", "", "Not them."),
        ),
        (
            "definition user",
            "caveat odd(number int) { number % 2 == 1 }\n/** Somebody. */\ndefinition user",
            ("caveat_added", "harmless", "odd", "", "number % 2 == 1"),
        ),
        (
            '"1h"',
            '"2h"',
            (
                "caveat_expression_changed",
                "changes_answers",
                "recent",
                'now - at < duration("1h")',
                'now - at < duration("2h")',
            ),
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_one_change(old: str, new: str, expected: tuple[str, ...]) -> None:
    (change,) = changes(old, new)
    assert brief(change) == expected


def test_what_changes_is_found_where_it_stands() -> None:
    """In the new schema; what is gone, in the old one."""
    (gone,) = changes("permission inherited = folder->view\n", "")
    assert (gone.place, gone.line, gone.column) == ("old", 25, 13)
    (come,) = changes("relation banned: user", "relation owner: user\n\trelation banned: user")
    assert (come.place, come.line, come.column) == ("new", 22, 11)
    (narrowed,) = changes(" | user:*", "")
    assert (narrowed.place, narrowed.line, narrowed.column) == ("new", 21, 11)


def test_a_removed_definition_takes_its_kinds_along() -> None:
    """And every relation that allowed it loses a kind of subject."""
    without = OLD.replace("definition group {\n\trelation member: user | group#member\n}\n", "")
    diff = difference(OLD, without.replace(" | group#member", ""))
    assert [brief(change)[:3] for change in diff.changes] == [
        ("definition_removed", "breaking", "group"),
        ("allowed_subject_removed", "breaking", "document#viewer"),
    ]
    assert diff.is_breaking
    assert diff.changes[0].line == 7
    assert diff.removed_kinds == (
        Kind("document", "viewer", "group", "member"),
        Kind("group", "member", "group", "member"),
        Kind("group", "member", "user"),
    )


def test_a_removed_relation_lists_the_kinds_it_held() -> None:
    old = "definition user {}\ndefinition doc { relation one: user | user:*\nrelation two: user\n}"
    diff = difference(old, old.replace("relation one: user | user:*", ""))
    (change,) = diff.changes
    assert brief(change) == ("relation_removed", "breaking", "doc#one", "user | user:*", "")
    assert diff.removed_kinds == (
        Kind("doc", "one", "user"),
        Kind("doc", "one", "user", wildcard=True),
    )


def test_a_relation_that_becomes_a_permission_lists_the_kinds_it_held() -> None:
    old = "definition user {}\ndefinition doc { relation one: user\nrelation two: user\n}"
    diff = difference(old, old.replace("relation two: user", "permission two = one"))
    (change,) = diff.changes
    assert brief(change) == ("relation_became_permission", "breaking", "doc#two", "user", "one")
    assert change.place == "new"
    assert diff.removed_kinds == (Kind("doc", "two", "user"),)


def test_a_trait_makes_another_kind() -> None:
    """`user` where it was `user with recent` is both a kind less and a kind more."""
    found = changes(" | user with recent", " | group with recent")
    assert [brief(change)[0] for change in found] == [
        "allowed_subject_removed",
        "allowed_subject_added",
    ]
    assert found[0].kinds == (Kind("document", "viewer", "user", caveat="recent"),)


def test_a_name_that_an_arrow_waited_for_changes_answers() -> None:
    """`folder->view` led nowhere; with a `folder#view` it does not."""
    (change,) = changes(
        "relation viewer: user\n", "relation viewer: user\n\tpermission view = viewer\n"
    )
    assert brief(change)[:3] == ("permission_added", "changes_answers", "folder#view")
    (change,) = changes(
        "relation viewer: user\n", "relation viewer: user\n\tpermission see = viewer\n"
    )
    assert brief(change)[:3] == ("permission_added", "harmless", "folder#see")


CAVEAT = "caveat limit(most int, given int) { given <= most }\n"
USED = CAVEAT + "definition user { relation one: user with limit\n}\n"


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (
            "caveat limit(most int) { 3 <= most }\n",
            [
                ("caveat_parameter_removed", "breaking", "given int", ""),
                ("caveat_expression_changed", "changes_answers", "given <= most", "3 <= most"),
            ],
        ),
        (
            "caveat limit(most int, given int, low int) { given <= most && given >= low }\n",
            [
                ("caveat_parameter_added", "changes_answers", "", "low int"),
                (
                    "caveat_expression_changed",
                    "changes_answers",
                    "given <= most",
                    "given <= most && given >= low",
                ),
            ],
        ),
        (
            "caveat limit(most double, given double) { given <= most }\n",
            [
                ("caveat_parameter_type_changed", "breaking", "most int", "most double"),
                ("caveat_parameter_type_changed", "breaking", "given int", "given double"),
            ],
        ),
        ("caveat limit(given int, most int) {\n\tgiven // of\n\t<= most\n}\n", []),
    ],
    ids=["removed", "added", "retyped", "rewritten"],
)
def test_a_caveat_changes(new: str, expected: list[tuple[str, str, str, str]]) -> None:
    found = difference(USED, USED.replace(CAVEAT, new)).changes
    assert [(c.kind, c.severity, c.old, c.new) for c in found] == expected
    unused = difference(CAVEAT, new).changes
    assert [(c.kind, c.severity) for c in unused] == [
        (kind, "harmless") for kind, *_ in expected
    ], "no relation allowed it"


def test_a_caveat_that_was_in_use_is_gone() -> None:
    diff = difference(USED, "definition user { relation one: user\n}\n")
    assert [brief(change) for change in diff.changes] == [
        ("allowed_subject_removed", "breaking", "user#one", "user with limit", ""),
        ("caveat_removed", "breaking", "limit", "given <= most", ""),
        ("allowed_subject_added", "harmless", "user#one", "", "user"),
    ]
    assert diff.removed_kinds == (Kind("user", "one", "user", caveat="limit"),)


def test_the_worst_comes_first() -> None:
    new = OLD.replace("Somebody", "Anybody").replace(" | user:*", "").replace("->view", "->see")
    severities = [change.severity for change in difference(OLD, new).changes]
    assert severities == [Severity.BREAKING, Severity.CHANGES_ANSWERS, Severity.HARMLESS]


def test_what_is_taken_from_what_is_no_matter_of_order() -> None:
    (change,) = changes("- banned", "- banned - edit")
    assert change.kind is ChangeKind.EXPRESSION_CHANGED
    (change,) = changes("(viewer + edit) - banned", "banned - (viewer + edit)")
    assert change.kind is ChangeKind.EXPRESSION_CHANGED


def test_order_partials_and_layout_are_no_difference() -> None:
    one = "use partial\npartial both { relation one: user | doc\n}\n"
    one += "definition user {}\ndefinition doc { ...both\nrelation two: user\n}\n"
    other = "definition doc { relation two: user\nrelation one: doc | user\n}\ndefinition user {}\n"
    assert difference(one, other) == SchemaDiff(())


def test_a_first_schema_only_adds() -> None:
    diff = diff_schemas(Schema({}), compile_schema(OLD))
    assert {change.severity for change in diff.changes} == {Severity.HARMLESS}
    assert not diff.is_breaking
    assert diff.removed_kinds == ()


@thorough
@given(laid_out(schema_texts()))
def test_a_schema_does_not_differ_from_itself_formatted(text: str) -> None:
    assert difference(text, format_schema(text)) == SchemaDiff(())


@thorough
@given(schema_texts(), schema_texts())
def test_what_one_way_takes_the_other_way_gives(one: str, other: str) -> None:
    """Added one way is removed the other, and nothing is lost on the way."""
    mirrored = {
        ChangeKind.DEFINITION_ADDED: ChangeKind.DEFINITION_REMOVED,
        ChangeKind.RELATION_ADDED: ChangeKind.RELATION_REMOVED,
        ChangeKind.PERMISSION_ADDED: ChangeKind.PERMISSION_REMOVED,
        ChangeKind.RELATION_BECAME_PERMISSION: ChangeKind.PERMISSION_BECAME_RELATION,
        ChangeKind.ALLOWED_SUBJECT_ADDED: ChangeKind.ALLOWED_SUBJECT_REMOVED,
        ChangeKind.CAVEAT_ADDED: ChangeKind.CAVEAT_REMOVED,
        ChangeKind.CAVEAT_PARAMETER_ADDED: ChangeKind.CAVEAT_PARAMETER_REMOVED,
    }
    mirrored |= {back: forth for forth, back in mirrored.items()}
    forth, back = difference(one, other), difference(other, one)
    assert sorted((mirrored.get(c.kind, c.kind), c.name, c.new, c.old) for c in forth.changes) == (
        sorted((c.kind, c.name, c.old, c.new) for c in back.changes)
    )


@thorough
@given(schema_texts(), schema_texts(), st.booleans())
def test_the_removed_kinds_are_those_that_only_the_old_schema_allows(
    one: str, other: str, swapped: bool
) -> None:
    old, new = (compile_schema(text) for text in ((other, one) if swapped else (one, other)))
    only_old = sorted(set(kinds(old)) - set(kinds(new)))
    diff = diff_schemas(old, new)
    assert [*diff.removed_kinds] == only_old
    assert diff.is_breaking or not only_old


def kinds(schema: Schema) -> list[Kind]:
    return [
        Kind(
            definition.name,
            relation.name,
            allowed.type,
            allowed.relation,
            allowed.wildcard,
            allowed.caveat,
            allowed.expiration,
        )
        for definition, relation in schema.relations()
        for allowed in relation.allowed
    ]
