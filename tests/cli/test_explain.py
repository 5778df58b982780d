"""`relata explain`: trees, diagrams, JSON, exit codes; and docs/debugging.md, run as printed."""

from __future__ import annotations

import pytest

from relata.authorizer import Relata
from tests.cli.commands import Commands
from tests.cli.transcripts import DOCUMENTS, matches, read_blocks, run_blocks

BLOCKS = read_blocks(DOCUMENTS / "debugging.md")
README = ("explain", "document:readme", "view")
CONDITIONAL = """\
caveat tuesday(day string) {
	day == "tuesday"
}
definition user {}
definition page {
	relation viewer: user with tuesday
	permission view = viewer
}
"""


def test_what_is_allowed_is_drawn_as_the_shortest_way(cli: Commands) -> None:
    assert cli(*README, "user:lee") == (
        0,
        """\
allowed
✓ document:readme#view = viewer + edit - banned  line 13
├── ✓ viewer + edit
│   └── ✓ document:readme#viewer@group:eng#member
│       └── ✓ group:eng#member@group:leads#member
│           └── ✓ group:leads#member@user:lee
└── ✗ document:readme#banned  takes nothing away
""",
        "",
    )


def test_what_is_denied_is_drawn_as_what_was_tried(cli: Commands) -> None:
    assert cli(*README, "user:dora") == (
        1,
        """\
denied
✗ document:readme#view = viewer + edit - banned  line 13
└── ✗ viewer + edit
    ├── ✗ document:readme#viewer  no relationship with `user:dora`; 1 userset tried
    │   └── ✗ document:readme#viewer@group:eng#member
    │       └── ✗ group:eng#member  no relationship with `user:dora`; 1 userset tried
    │           └── ✗ group:eng#member@group:leads#member
    │               └── ✗ group:leads#member  no relationship with `user:dora`
    └── ✗ document:readme#edit = owner  line 12; no relationship with `user:dora`
""",
        "",
    )


def test_what_is_conditional_says_which_context_is_missing(empty: Commands) -> None:
    empty("schema", "write", "-", stdin=CONDITIONAL)
    empty("write", "page:one#viewer@user:anne[tuesday]")
    question = ("explain", "page:one", "view", "user:anne")
    assert empty(*question) == (
        1,
        """\
conditional, waits for day
? page:one#view = viewer  line 7
└── ? page:one#viewer@user:anne[tuesday]  caveat `tuesday` lacks `day`
""",
        "",
    )
    assert empty(*question, "--json").json["missing_context"] == ["day"]
    assert empty(*question, "--context", '{"day": "tuesday"}').code == 0
    said = empty.fails(*question, "--context", '{"day": 2}')
    assert "at `page:one#viewer@user:anne[tuesday]`" in said


def test_contextual_relationships_and_past_revisions_are_explained(
    cli: Commands, relata: Relata
) -> None:
    before = relata.read().read_at
    added = "document:readme#owner@user:dora"
    assert f"✓ {added}" in cli(*README, "user:dora", "-c", added).out
    cli("write", "--delete", "group:leads#member@user:lee")
    past = ("--consistency", f"at_exact_snapshot={before}")
    assert cli(*README, "user:lee", *past).out.startswith("allowed\n")
    assert cli(*README, "user:lee").out.startswith("denied\n")


def test_a_tree_in_json_has_every_field_of_every_node(cli: Commands) -> None:
    answer = cli("explain", "document:readme", "owner", "user:olga", "--json").json
    assert answer == {
        "allowed": True,
        "permissionship": "allowed",
        "missing_context": [],
        "explanation": {
            "resource": "document:readme",
            "name": "owner",
            "expression": "owner",
            "operation": "relation",
            "answer": "allowed",
            "reason": "",
            "line": 8,
            "relationship": "",
            "condition": "",
            "missing_context": [],
            "children": [
                {
                    "resource": "document:readme",
                    "name": "owner",
                    "expression": "owner",
                    "operation": "relationship",
                    "answer": "allowed",
                    "reason": "",
                    "line": 0,
                    "relationship": "document:readme#owner@user:olga",
                    "condition": "",
                    "missing_context": [],
                    "children": [],
                    "left_out": 0,
                    "cycle": False,
                    "repeated": False,
                    "undefined": False,
                }
            ],
            "left_out": 0,
            "cycle": False,
            "repeated": False,
            "undefined": False,
        },
        "checked_at": answer["checked_at"],
    }


def test_a_diagram_is_text_for_mermaid(cli: Commands) -> None:
    printed = cli("explain", "document:public", "view", "user:bob", "--mermaid")
    assert (printed.code, printed.lines) == (
        1,
        [
            "flowchart TD",
            '\tn0["✗ document:public#35;view = viewer + edit - banned<br>'
            'line 13; taken away by what is subtracted"]:::denied',
            '\tn1["✓ viewer + edit"]:::allowed',
            "\tn0 --> n1",
            '\tn2["✓ document:public#35;banned@user:bob"]:::allowed',
            "\tn0 --> n2",
            "\tclassDef allowed fill:#dfd,stroke:#393,color:#000",
            "\tclassDef denied fill:#fdd,stroke:#933,color:#000",
        ],
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("document:readme", "veiw", "user:anne"), "no relation or permission `veiw`"),
        (("document:readme", "view", "user:*"), "`user:*` is a wildcard"),
        (("document:readme", "view", "user:anne", "--json", "--mermaid"), "exclude each other"),
        (("document:readme", "view", "user:anne", "--context", "[]"), "is not a JSON object"),
    ],
)
def test_what_has_no_answer_has_no_explanation(
    cli: Commands, arguments: tuple[str, ...], message: str
) -> None:
    said = cli.fails("explain", *arguments)
    assert message in said
    assert "\n" not in said


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return run_blocks(BLOCKS, tmp_path_factory.mktemp("debugging"))


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_the_page_on_debugging_prints_what_it_says(number: int, printed: list[str]) -> None:
    expected = BLOCKS[number].output
    assert expected is not None, BLOCKS[number].commands
    assert matches(printed[number], expected), f"{printed[number]}\n-- expected --\n{expected}"
