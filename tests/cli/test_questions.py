"""`relata check`, `expand` and `lookup`: answers, exit codes, JSON."""

from __future__ import annotations

import pytest

from relata.authorizer import Relata
from tests.cli.commands import Commands


@pytest.mark.parametrize(
    ("question", "printed", "code"),
    [
        (("document:readme", "view", "user:anne"), "allowed\n", 0),
        (("document:readme", "edit", "user:anne"), "denied\n", 1),
        (("document:public", "view", "user:anybody"), "allowed\n", 0),
        (("document:public", "view", "user:bob"), "denied\n", 1),
        (("document:readme", "viewer", "group:leads#member"), "allowed\n", 0),
    ],
)
def test_a_check_prints_its_answer_and_exits_with_it(
    cli: Commands, question: tuple[str, str, str], printed: str, code: int
) -> None:
    assert cli("check", *question) == (code, printed, "")


@pytest.mark.parametrize(("permission", "allowed", "code"), [("view", True, 0), ("edit", False, 1)])
def test_a_check_in_json_has_the_fields_of_the_http_api(
    cli: Commands, permission: str, allowed: bool, code: int
) -> None:
    printed = cli("check", "document:readme", permission, "user:anne", "--json")
    assert printed.code == code
    assert printed.json == {
        "allowed": allowed,
        "permissionship": "allowed" if allowed else "denied",
        "missing_context": [],
        "checked_at": printed.json["checked_at"],
    }


def test_contextual_relationships_hold_for_the_question_only(cli: Commands) -> None:
    question = ("check", "document:readme", "view", "user:dora")
    context = ("-c", "group:new#member@user:dora", "-c", "group:eng#member@group:new#member")
    assert cli(*question, *context).out == "allowed\n"
    assert cli(*question).out == "denied\n"


def test_a_choice_can_come_with_a_question(cli: Commands) -> None:
    question = ("check", "organization:acme", "session", "user:anne")
    chosen = "organization:acme#chosen_by@user:anne"
    assert cli(*question, "--contextual", chosen).out == "allowed\n"
    assert cli(*question).out == "denied\n"


def test_an_exact_snapshot_answers_as_of_then(cli: Commands, relata: Relata) -> None:
    question = ("check", "document:readme", "edit", "user:olga")
    before = relata.read().read_at
    after = cli("write", "--delete", "document:readme#owner@user:olga", "--json").json["written_at"]
    assert cli(*question, "--consistency", f"at_exact_snapshot={before}").out == "allowed\n"
    for now in (f"at_least_as_fresh={after}", "fully_consistent", "minimize_latency"):
        assert cli(*question, "--consistency", now).out == "denied\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("document:readme", "veiw", "user:anne"),
            "the definition `document` has no relation or permission `veiw`",
        ),
        (("page:readme", "view", "user:anne"), "the schema has no definition `page` (in"),
        (("readme", "view", "user:anne"), "`readme` is not an object; write `type:id` (in `res"),
        (("document:readme", "view", "anne"), "`anne` is not an object; write `type:id` (in `sub"),
        (("document:readme", "view", "user:*"), "`user:*`"),
        (
            ("document:readme", "view", "user:anne", "-c", "group:eng"),
            "`group:eng` is not a relationship",
        ),
        (
            ("document:readme", "view", "user:anne", "-c", "group:eng#owner@user:anne"),
            "the definition `group` has no relation `owner`",
        ),
        (
            ("document:readme", "view", "user:anne", "--consistency", "at_exact_snapshot"),
            "`at_exact_snapshot` is no consistency; write minimize_latency",
        ),
        (
            ("document:readme", "view", "user:anne", "--consistency", "at_exact_snapshot=x"),
            "the zed token is malformed",
        ),
    ],
)
def test_a_question_without_an_answer_is_one_line_and_never_a_denial(
    cli: Commands, arguments: tuple[str, ...], message: str
) -> None:
    said = cli.fails("check", *arguments)
    assert message in said
    assert "\n" not in said


def test_a_borrowed_choice_is_refused(cli: Commands) -> None:
    borrowed = "organization:acme#chosen_by@user:bob"
    said = cli.fails("check", "organization:acme", "session", "user:anne", "-c", borrowed)
    assert "chooses for another subject" in said


def test_expand_draws_a_tree(cli: Commands) -> None:
    printed = cli("expand", "document:readme", "view")
    assert printed.code == 0
    assert printed.lines == [
        "document:readme#view  viewer + edit - banned  exclusion",
        "├── document:readme#view  viewer + edit  union",
        "│   ├── document:readme#viewer",
        "│   │   └── group:eng#member",
        "│   └── document:readme#owner",
        "│       └── user:olga",
        "└── document:readme#banned",
    ]


def test_expand_in_json_is_the_whole_tree(cli: Commands) -> None:
    printed = cli("expand", "document:readme", "owner", "--json")
    assert printed.json["tree"] == {
        "resource": "document:readme",
        "name": "owner",
        "expression": "owner",
        "operation": "leaf",
        "subjects": ["user:olga"],
        "conditional": {},
        "missing_context": [],
        "children": [],
        "cycle": False,
    }
    assert printed.json["expanded_at"]


def test_a_drawn_tree_cuts_nothing_off(cli: Commands) -> None:
    """An id as long as the terminal is wide stands in one piece."""
    long = "x" * 150
    cli("write", f"group:{long}#member@user:anne")
    assert cli("expand", f"group:{long}", "member").lines == [
        f"group:{long}#member",
        "└── user:anne",
    ]


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (("resources", "document", "view", "user:anne"), ["document:public", "document:readme"]),
        (("resources", "document", "edit", "user:anne"), []),
        (("subjects", "document:readme", "view", "user"), ["user:anne", "user:lee", "user:olga"]),
        (("subjects", "document:public", "view", "user"), ["user:*", "- user:bob"]),
        (
            ("subjects", "document:readme", "view", "group#member"),
            ["group:eng#member", "group:leads#member"],
        ),
        (("permissions", "document:readme", "user:olga"), ["edit", "view"]),
        (("permissions", "document:readme", "user:nobody"), []),
    ],
)
def test_a_lookup_prints_a_line_for_each(
    cli: Commands, arguments: tuple[str, ...], lines: list[str]
) -> None:
    printed = cli("lookup", *arguments)
    assert (printed.code, printed.lines, printed.err) == (0, lines, "")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ("resources", "document", "view", "user:anne"),
            {"resource_ids": ["public", "readme"], "conditional": {}, "cursor": None},
        ),
        (
            ("subjects", "document:public", "view", "user"),
            {
                "subject_ids": [],
                "conditional": {},
                "wildcard": True,
                "wildcard_missing_context": None,
                "excluded_ids": ["bob"],
                "cursor": None,
            },
        ),
        (
            ("permissions", "document:readme", "user:olga"),
            {"permissions": ["edit", "view"], "conditional": {}},
        ),
    ],
)
def test_a_lookup_in_json(
    cli: Commands, arguments: tuple[str, ...], expected: dict[str, object]
) -> None:
    answer = cli("lookup", *arguments, "--json").json
    assert answer.pop("looked_up_at")
    assert answer == expected


def test_pages_of_a_lookup_follow_each_other(cli: Commands) -> None:
    lookup = ("lookup", "resources", "document", "view", "user:anne", "--limit", "1")
    first = cli(*lookup)
    assert first.lines == ["document:public"]
    cursor = first.err.strip().removeprefix("there are more; go on with --cursor ")
    assert cli(*lookup, "--cursor", cursor) == (0, "document:readme\n", "")


def test_a_lookup_takes_contextual_relationships(cli: Commands) -> None:
    context = ("-c", "group:eng#member@user:dora")
    found = cli("lookup", "resources", "document", "view", "user:dora", *context)
    assert found.lines == ["document:public", "document:readme"]
    assert "user:dora" in cli("lookup", "subjects", "document:readme", "view", "user", *context).out
    assert cli("lookup", "permissions", "document:readme", "user:dora", *context).lines == ["view"]


def test_a_userset_without_its_relation_is_refused(cli: Commands) -> None:
    said = cli.fails("lookup", "subjects", "document:readme", "view", "group#")
    assert said == "`group#` has no relation after its `#` (in `TYPE`)"
