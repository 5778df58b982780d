"""Scenarios run: what is found wrong, at which place, with which hint; and what was exercised."""

from __future__ import annotations

from pathlib import Path

import pytest

from relata.validation import Coverage, Failure, Report, read_scenario, run_scenario, together
from tests.validation.texts import RELATIONSHIPS, SCHEMA, report_of, scenario_text

RIGHT = """\
assertions:
  assertTrue:
    - document:readme#view@user:olga
    - document:readme#view@user:anne
    - document:public#view@user:somebody
    - 'document:readme#view@user:tim with {"day": "monday"}'
  assertFalse:
    - document:public#view@user:bob
    - document:readme#edit@user:anne
    - 'document:readme#view@user:tim with {"day": "friday"}'
  assertCaveated:
    - document:readme#view@user:tim
validation:
  document:readme#view:
    - "[user:olga] is <document:readme#owner>"
    - "[group:eng#member] is <document:readme#viewer>"
    - "[user:anne] is <group:eng#member>"
    - "[user:tim[...]] is <document:readme#viewer>"
  document:public#view:
    - "[user:* - {user:bob}] is <document:public#viewer>"
  document:nothing#view: []
"""


def failures(rest: str, **parts: str) -> tuple[Failure, ...]:
    """What fails in a scenario with such assertions and expected relations."""
    return report_of(scenario_text(rest, **parts)).failures


def failure(rest: str) -> Failure:
    """The only failure of a scenario."""
    [only] = failures(rest)
    return only


def test_what_is_right_passes() -> None:
    report = report_of(scenario_text(RIGHT))
    assert (report.passed, report.failures, report.warnings) == (True, (), ())
    assert (report.assertions, report.expected_relations) == (8, 3)


def assertion(group: str, text: str) -> Failure:
    """The failure of an assertion that is the last line of its file."""
    only = failure(f"assertions:\n  {group}:\n    - '{text}'\n")
    assert (only.kind, only.source, only.line, only.column) == ("assertion", "s.yaml", 30, 7)
    return only


@pytest.mark.parametrize(
    ("group", "text", "message", "hint"),
    [
        (
            "assertTrue",
            "document:readme#edit@user:anne",
            "`document:readme#edit@user:anne` is denied; `assertTrue` says allowed",
            "those it has are `user:olga`",
        ),
        (
            "assertTrue",
            "document:public#view@user:bob",
            "`document:public#view@user:bob` is denied; `assertTrue` says allowed",
            "those it has are `user:* - {user:bob}`",
        ),
        (
            "assertTrue",
            "document:none#edit@user:anne",
            "`document:none#edit@user:anne` is denied; `assertTrue` says allowed",
            "nobody has it",
        ),
        (
            "assertTrue",
            'document:readme#view@user:tim with {"day": "friday"}',
            "`document:readme#view@user:tim` is denied; `assertTrue` says allowed",
            "it hangs on a caveat, which says no to the context of the question and the stored",
        ),
        (
            "assertFalse",
            "document:readme#view@user:anne",
            "`document:readme#view@user:anne` is allowed; `assertFalse` says denied",
            "it is allowed through `group:eng#member`",
        ),
        (
            "assertFalse",
            "document:public#view@user:anne",
            "`document:public#view@user:anne` is allowed; `assertFalse` says denied",
            "it is allowed through `document:public#viewer`",
        ),
        (
            "assertCaveated",
            "document:readme#edit@user:olga",
            "`document:readme#edit@user:olga` is allowed; `assertCaveated` says conditional",
            "it is allowed through `document:readme#owner`",
        ),
        (
            "assertTrue",
            "document:readme#view@user:tim",
            "`document:readme#view@user:tim` is conditional and waits for `day`; "
            "`assertTrue` says allowed",
            'ask it `with {"day": …}`, or list it under `assertCaveated`',
        ),
    ],
)
def test_a_wrong_answer_is_told_with_a_hint(group: str, text: str, message: str, hint: str) -> None:
    only = assertion(group, text)
    assert (only.message, only.hint) == (message, hint)
    assert only.expected == message.rpartition(" ")[2]
    assert f" is {only.answered}" in only.message


def test_what_a_conditional_answer_waits_for_is_told() -> None:
    only = assertion("assertFalse", "document:readme#view@user:tim")
    assert (only.answered, only.missing_context) == ("conditional", ("day",))


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("document:readme#veiw@user:a", "no relation or permission `veiw`", "you mean `view`?"),
        ("documen:readme#view@user:a", "no definition `documen`", "did you mean `document`?"),
        ("document:readme#view@usr:a", "no definition `usr`", ""),
        ("document:readme#view@user:*", "is a wildcard", ""),
        ('document:readme#view@user:tim with {"day": 1}', "has no answer", ""),
    ],
)
def test_a_question_without_an_answer_fails(text: str, message: str, hint: str) -> None:
    only = assertion("assertTrue", text)
    assert only.answered == "error"
    assert message in only.message
    assert hint in only.hint


def test_what_has_expired_is_asked_as_if_it_were_gone() -> None:
    schema = "use expiration\n" + SCHEMA.replace("banned: user", "banned: user with expiration")
    past = "document:public#banned@user:bob[expiration:2001-01-01T00:00:00Z]"
    asked = "assertions:\n  assertTrue:\n    - document:public#view@user:bob\n"
    stored = RELATIONSHIPS.replace("document:public#banned@user:bob", past)
    expected = (
        'validation:\n  document:public#view:\n    - "[user:*] is <document:public#viewer>"\n'
    )
    assert failures(asked + expected, relationships=stored, schema=schema) == ()


# Expected relations


def expected(name: str, *lines: str) -> list[tuple[int, str, str]]:
    """The line (from the key's), message and hint of each failure of one expected relation."""
    listed = "".join(f"    - {line!r}\n" for line in lines)
    found = failures(f"validation:\n  {name}:\n{listed}")
    assert {(item.kind, item.source) for item in found} <= {("expected_relation", "s.yaml")}
    return [(item.line - 29, item.message, item.hint) for item in found]


def test_a_subject_that_is_missing_is_told_in_its_line() -> None:
    owner = "[user:olga] is <document:readme#owner>"
    assert expected("document:readme#edit", owner, "[user:tim] is <document:readme#owner>") == [
        (2, "`document:readme#edit` does not have `user:tim`", "those it has are `user:olga`")
    ]
    assert expected("document:none#edit", owner) == [
        (1, "`document:none#edit` does not have `user:olga`", "it has nobody")
    ]


def test_a_subject_that_is_not_listed_is_told_with_the_line_to_add() -> None:
    assert expected("document:public#view") == [
        (
            0,
            "`document:public#view` has `user:*`, whom it does not list",
            'if that is right, add - "[user:* - {user:bob}] is <document:public#viewer>"',
        )
    ]


@pytest.mark.parametrize(
    ("name", "line", "message", "hint"),
    [
        (
            "document:readme#edit",
            "[user:olga] is <document:readme#owner>/<document:readme#viewer>",
            "`user:olga` of `document:readme#edit` is there through other relations than those "
            "listed",
            "it is <document:readme#owner>",
        ),
        (
            "document:public#view",
            "[user:*] is <document:public#viewer>",
            "`user:*` of `document:public#view` leaves out others than those listed",
            "it leaves out {user:bob}",
        ),
        (
            "document:public#view",
            "[user:* - {user:bob[...]}] is <document:public#viewer>",
            "`user:*` of `document:public#view` leaves out others than those listed",
            "it leaves out {user:bob}",
        ),
        (
            "document:public#viewer",
            "[user:* - {user:bob}] is <document:public#viewer>",
            "`user:*` of `document:public#viewer` leaves out others than those listed",
            "it leaves out nobody",
        ),
        (
            "document:public#viewer",
            "[user:*[...]] is <document:public#viewer>",
            "`user:*` of `document:public#viewer` hangs on no caveat",
            "write `user:*`",
        ),
    ],
)
def test_a_subject_that_is_there_otherwise_is_told(
    name: str, line: str, message: str, hint: str
) -> None:
    assert expected(name, line) == [(1, message, hint)]


def test_every_difference_of_a_subject_is_told() -> None:
    found = expected("document:public#view", "[user:*[...]] is <document:public#owner>")
    assert [line for line, *_ in found] == [1, 1, 1]


def test_a_name_that_the_schema_has_not_is_told() -> None:
    assert expected("document:readme#veiw") == [
        (0, "the schema has no `document#veiw`", "did you mean `view`?")
    ]
    assert expected("documnt:readme#view") == [
        (0, "the schema has no `documnt#view`", "did you mean `document`?")
    ]


def test_members_that_rest_on_their_own_opposite_cannot_be_listed() -> None:
    schema = (
        "definition user {}\ndefinition page {\n  relation next: page\n  relation reader: user\n"
        "  permission read = reader - next->read\n}\n"
    )
    stored = "page:p#next@page:p\npage:p#reader@user:anne"
    rest = 'validation:\n  page:p#read: []\nassertions:\n  assertTrue: ["page:p#read@user:anne"]\n'
    circular, denied = failures(rest, relationships=stored, schema=schema)
    assert "has no answer: it is taken away from itself" in circular.message
    assert (denied.answered, denied.hint) == ("denied", "")


# What ends a run


def test_a_relationship_that_the_schema_refuses_ends_the_run() -> None:
    wrong = ("document:readme#owner@group:eng", "document:readme#owner@user:zoe[no_cav]")
    stored = RELATIONSHIPS + "\n".join(wrong)
    report = report_of(scenario_text(RIGHT, relationships=stored))
    assert [(item.kind, item.line, item.column) for item in report.failures] == [
        ("relationship", 27, 3),
        ("relationship", 28, 3),
    ]
    assert report.failures[0].excerpt.startswith("  document:readme#owner@group:eng\n  ^")
    assert report.coverage is None


LITERAL = (
    "schema: |-\n    definition user {}\n    definition doc {\n      relation a_b: usr\n    }\n"
)
FOLDED = "schema: >-\n  definition user {}\n\n  definition doc {\n    relation a_b: usr\n  }\n"
QUOTED = 'schema: "definition user {}\\ndefinition doc {\\n relation a_b: usr\\n}\\n"\n'
UNENDED = "schema: |\n  definition user {}\n  definition doc {\n    relation abc: user |\n\n  }\n"


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [(LITERAL, 4, 21), (FOLDED, 5, 19), (QUOTED, 1, 63), (UNENDED, 6, 3)],
)
def test_a_fault_of_the_schema_is_told_where_it_stands_in_the_file(
    text: str, line: int, column: int
) -> None:
    report = report_of(text)
    [only] = report.failures
    assert (only.kind, only.line, only.column) == ("schema", line, column)
    assert only.excerpt.split("\n")[0].strip() == text.split("\n")[line - 1].strip()
    assert report.coverage is None


def test_every_fault_of_the_schema_is_told() -> None:
    text = "schema: |\n  definition doc {\n    relation abc: usr\n    relation dfg: urs\n  }\n"
    assert [item.line for item in report_of(text).failures] == [3, 4]


def test_a_schema_that_is_too_deep_is_told_at_its_place() -> None:
    levels = "".join(f"  permission p{n:03} = p{n + 1:03}\n" for n in range(150))
    deep = f"definition user {{}}\ndefinition doc {{\n  relation p150: user\n{levels}}}\n"
    [only] = failures("", schema=deep, relationships="doc:a#p150@user:b")
    assert (only.kind, only.line) == ("schema", 1)
    assert "levels deep" in only.message


def test_warnings_are_told_where_they_stand_and_do_not_fail() -> None:
    schema = SCHEMA.replace("permission edit =", "permission edit_document =").replace(
        "+ edit)", "+ edit_document)"
    )
    report = report_of(scenario_text(schema=schema))
    [warning] = report.warnings
    assert report.passed
    assert (warning.source, warning.line, warning.column) == ("s.yaml", 16, 16)
    assert warning.name == "relation-name-references-parent"


# A schema in a file of its own


def test_a_schema_file_is_run_with_what_it_imports(tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "user.zed").write_text("definition user {}\n", encoding="utf-8")
    own = SCHEMA.replace("definition user {}\n", "")
    main = tmp_path / "schemas" / "main.txt"
    main.write_text(f'use import\nimport "user.zed"\n{own}', encoding="utf-8")
    file = tmp_path / "one.yaml"
    stored = "".join(f"  {line}\n" for line in RELATIONSHIPS.splitlines())
    file.write_text(
        f"schemaFile: schemas/main.txt\nrelationships: |\n{stored}{RIGHT}", encoding="utf-8"
    )
    report = run_scenario(read_scenario(file))
    assert report.failures == ()
    assert report.schema_file == str(main.resolve())


def test_a_fault_of_a_schema_file_is_told_of_that_file(tmp_path: Path) -> None:
    (tmp_path / "zed").mkdir()
    (tmp_path / "zed" / "bad.zed").write_text("definition doc {\n relation a_b: usr\n}\n")
    (tmp_path / "zed" / "odd.zed").write_text("definition doc {\n relation doc: doc\n}\n")
    [only] = report_of("schemaFile: zed/bad.zed", tmp_path).failures
    place = str(tmp_path / "zed" / "bad.zed")
    assert (only.source, only.line, only.column) == (place, 2, 16)
    [warning] = report_of("schemaFile: zed/odd.zed", tmp_path).warnings
    assert (warning.source, warning.line) == (str(tmp_path / "zed" / "odd.zed"), 2)


# Coverage


def coverage(rest: str) -> Coverage:
    found = report_of(scenario_text(rest)).coverage
    assert found is not None
    return found


ALL = {
    "group#member",
    "document#owner",
    "document#viewer",
    "document#banned",
    "document#edit",
    "document#view",
}


def test_nothing_asked_exercises_nothing() -> None:
    assert set(coverage("").unexercised) == ALL


def test_a_name_is_asked_or_reached_wherever_relationships_lead() -> None:
    """Every part of a permission is reached, whatever decided; usersets, where there are some."""
    found = coverage("assertions:\n  assertTrue:\n    - document:public#view@user:anne\n")
    assert found.asked == ("document#view",)
    assert set(found.reached) == ALL - {"document#view", "group#member"}
    assert found.unexercised == ("group#member",)
    assert (found.exercised, found.names) == (5, 6)
    assert (
        "group#member"
        in coverage("assertions:\n  assertFalse: ['document:readme#view@user:b']").reached
    )


def test_an_expected_relation_asks_and_what_is_asked_is_not_counted_as_reached() -> None:
    found = coverage("validation:\n  document:readme#edit: []\n  document:none#owner: []\n")
    assert found.asked == ("document#owner", "document#edit")
    assert found.reached == ()


def test_an_arrow_reaches_its_relation_and_its_target_where_there_is_one() -> None:
    schema = (
        "definition user {}\ndefinition team {}\ndefinition folder {\n"
        "  relation parent: folder | team\n  relation viewer: user\n"
        "  permission view = viewer + parent->viewer\n  permission other = parent.all(parent)\n}\n"
    )
    stored = "folder:a#parent@folder:b\nfolder:a#parent@team:t\n"
    rest = "assertions:\n  assertTrue: ['folder:c#view@user:anne']\n"
    found = report_of(scenario_text(rest, relationships=stored, schema=schema)).coverage
    assert found == Coverage(
        ("folder#view",), ("folder#parent", "folder#viewer"), ("folder#other",)
    )


def test_a_question_of_an_unknown_name_exercises_nothing() -> None:
    assert len(coverage("assertions:\n  assertTrue: ['document:a#veiw@user:b']").unexercised) == 6


def test_scenarios_of_one_schema_exercise_it_together() -> None:
    one = Coverage(("a#b",), ("a#c",), ("a#d", "a#e"))
    two = Coverage(("a#c",), (), ("a#b", "a#d", "a#e"))
    assert together([one, two]) == Coverage(("a#b", "a#c"), (), ("a#d", "a#e"))


def test_a_schema_without_names_is_exercised() -> None:
    report = report_of("schema: definition user {}")
    assert report == Report("s.yaml", coverage=Coverage((), (), ()))
