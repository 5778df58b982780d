"""`relata validate`: which files are run, what is printed, and the exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.commands import Commands
from tests.validation.texts import scenario_text

RIGHT = "assertions:\n  assertTrue:\n    - document:readme#view@user:anne\n"
WRONG = "assertions:\n  assertTrue:\n    - document:readme#edit@user:anne\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of scenarios, one right, one wrong, one that is none, and other files."""
    files = {
        "right.yaml": scenario_text(RIGHT),
        "below/wrong.yml": scenario_text(WRONG),
        "below/.hidden/none.yaml": "[]",
        "below/schema.zed": "definition user {}",
        "none.txt": "[]\n",
    }
    for name, text in files.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_holds_is_one_report(empty: Commands, folder: Path) -> None:
    assert empty("validate", "right.yaml") == (
        0,
        "right.yaml: holds (1 assertion)\n"
        "  6 of 6 relations and permissions exercised (1 asked, 5 reached)\n",
        "",
    )


def test_what_does_not_hold_is_told_with_its_place(empty: Commands, folder: Path) -> None:
    assert empty("validate", "below/wrong.yml") == (
        1,
        "below/wrong.yml: 1 failure (1 assertion)\n"
        "  below/wrong.yml:30:7: failure: `document:readme#edit@user:anne` is denied; "
        "`assertTrue` says allowed\n"
        "    hint: those it has are `user:olga`\n"
        "  2 of 6 relations and permissions exercised (1 asked, 1 reached)\n"
        "  not exercised: group#member, document#viewer, document#banned, document#view\n",
        "",
    )


def test_what_is_no_scenario_is_told_and_the_others_are_run(empty: Commands, folder: Path) -> None:
    printed = empty("validate", "none.txt", "right.yaml", "no.yaml")
    assert printed.code == 2
    assert printed.lines[0] == "right.yaml: holds (1 assertion)"
    assert printed.lines[-1] == "1 of 3 scenarios hold, 2 cannot be read"
    assert printed.err == (
        "error: none.txt:1:1: a scenario is a mapping; write `key: value` lines\n[]\n^\n"
        "error: `no.yaml` cannot be read: No such file or directory\n"
    )


@pytest.mark.parametrize(
    ("arguments", "run"),
    [
        (["."], ["below/wrong.yml", "right.yaml"]),
        (["right.yaml", ".", "right.yaml"], ["right.yaml", "below/wrong.yml"]),
        (["*.y*ml"], ["right.yaml"]),
        (["**/*.yml"], ["below/wrong.yml"]),
        (["below"], ["below/wrong.yml"]),
    ],
)
def test_directories_and_patterns_stand_for_files(
    empty: Commands, folder: Path, arguments: list[str], run: list[str]
) -> None:
    printed = empty("validate", "--json", *arguments)
    assert [scenario["source"] for scenario in printed.json["scenarios"]] == run
    assert printed.json["unreadable"] == []


def test_a_file_whose_name_is_a_pattern_is_that_file(empty: Commands, folder: Path) -> None:
    (folder / "[a].yaml").write_text(scenario_text(RIGHT), encoding="utf-8")
    assert empty("validate", "[a].yaml").code == 0


def test_a_pattern_or_directory_that_stands_for_nothing_is_an_error(
    empty: Commands, folder: Path
) -> None:
    (folder / "empty").mkdir()
    assert empty.fails("validate", "*.jaml") == "no file matches `*.jaml`"
    assert "has no file in it that ends in .yaml" in empty.fails("validate", "empty")


def test_faults_and_warnings_show_their_line(empty: Commands, folder: Path) -> None:
    (folder / "bad.yaml").write_text("schema: |\n  definition doc {\n   relation ab: doc\n  }\n")
    printed = empty("validate", "bad.yaml")
    assert printed.code == 1
    assert printed.lines[0] == "bad.yaml: 1 failure (0 assertions)"
    assert printed.lines[1].startswith("  bad.yaml:3:13: failure: `ab` cannot name a relation")
    assert printed.lines[2:4] == ["       relation ab: doc", "                ^"]
    (folder / "odd.yaml").write_text("schema: |\n  definition doc {\n   relation doc: doc\n  }\n")
    printed = empty("validate", "odd.yaml")
    assert printed.code == 0
    assert printed.lines[1].startswith("  odd.yaml:3:13: warning: ")
    assert printed.lines[1].endswith(" (relation-name-references-parent)")


def test_the_report_as_json(empty: Commands, folder: Path) -> None:
    report = empty("validate", "--json", "right.yaml", "below/wrong.yml", "none.txt").json
    assert (report["passed"], report["coverage"]) == (False, {})
    assert [scenario["passed"] for scenario in report["scenarios"]] == [True, False]
    right, wrong = report["scenarios"]
    assert (right["assertions"], right["expected_relations"], right["failures"]) == (1, 0, [])
    assert right["coverage"]["asked"] == ["document#view"]
    [failure] = wrong["failures"]
    assert failure == {
        "source": "below/wrong.yml",
        "line": 30,
        "column": 7,
        "kind": "assertion",
        "message": "`document:readme#edit@user:anne` is denied; `assertTrue` says allowed",
        "expected": "allowed",
        "answered": "denied",
        "missing_context": [],
        "hint": "those it has are `user:olga`",
        "excerpt": "",
    }
    [unreadable] = report["unreadable"]
    assert unreadable["source"] == "none.txt"
    assert unreadable["diagnostics"][0]["line"] == 1


def test_scenarios_of_one_schema_file_are_counted_together(empty: Commands, folder: Path) -> None:
    schema = "definition doc {\n relation one: doc\n relation two: doc\n relation six: doc\n}\n"
    (folder / "schema.zed").write_text(schema)
    for name in ("one", "two"):
        text = f"schemaFile: schema.zed\nassertions:\n  assertFalse: ['doc:a#{name}@doc:b']\n"
        (folder / f"{name}.yaml").write_text(text)
    printed = empty("validate", "one.yaml", "two.yaml")
    path = (folder / "schema.zed").resolve()
    assert printed.code == 0
    assert printed.lines[-4:] == [
        f"{path}, by all its scenarios:",
        "  2 of 3 relations and permissions exercised (2 asked, 0 reached)",
        "  not exercised: doc#six",
        "2 of 2 scenarios hold",
    ]
    found = empty("validate", "--json", "one.yaml", "two.yaml").json["coverage"]
    assert found == {
        str(path): {"asked": ["doc#one", "doc#two"], "reached": [], "unexercised": ["doc#six"]}
    }


def test_nothing_in_a_file_commands_the_terminal(empty: Commands, folder: Path) -> None:
    question = json.dumps("document:\x1b]0;title\x07#view@user:a")
    (folder / "bad.yaml").write_text(
        f"schema: definition user {{}}\nassertions:\n  assertTrue: [{question}]\n"
    )
    printed = empty("validate", "bad.yaml")
    assert printed.code == 2
    assert printed.err.replace("\n", "").isprintable()
