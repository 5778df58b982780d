"""`relata fmt`, `relata schema diff` and `relata schema graph`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.commands import Commands
from tests.cli.conftest import SCHEMA

UNFORMATTED = "definition   user{} // somebody\n\n\n\ndefinition bot{}\n"
FORMATTED = "definition user {} // somebody\n\ndefinition bot {}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A schema that is not formatted."""
    path = tmp_path / "schema.zed"
    path.write_text(UNFORMATTED, encoding="utf-8")
    return path


def written(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_files_are_formatted_in_place(empty: Commands, file: Path, tmp_path: Path) -> None:
    """What changes is shown; a second time there is nothing to show."""
    good = written(tmp_path / "good.zed", FORMATTED)
    printed = empty("fmt", str(file), good)
    assert (printed.code, printed.err) == (0, f"{file}: formatted\n")
    assert printed.lines == [
        f"--- {file}",
        f"+++ {file}",
        "@@ -1,5 +1,3 @@",
        "-definition   user{} // somebody",
        "+definition user {} // somebody",
        " ",
        "-",
        "-",
        "-definition bot{}",
        "+definition bot {}",
    ]
    assert file.read_text(encoding="utf-8") == FORMATTED
    assert empty("fmt", str(file), good) == (0, "", "")


def test_a_check_names_the_files_and_leaves_them(
    empty: Commands, file: Path, tmp_path: Path
) -> None:
    good = written(tmp_path / "good.zed", FORMATTED)
    assert empty("fmt", "--check", good, str(file)) == (1, f"{file}: not formatted\n", "")
    assert file.read_text(encoding="utf-8") == UNFORMATTED
    assert empty("fmt", "--check", good) == (0, "", "")


def test_standard_input_goes_to_standard_output(empty: Commands) -> None:
    assert empty("fmt", "-", stdin=UNFORMATTED) == (0, FORMATTED, "")
    assert empty("fmt", "-", stdin=FORMATTED) == (0, FORMATTED, "")
    assert empty("fmt", "-", stdin=f"\ufeff{FORMATTED}") == (0, FORMATTED, "")
    said = (1, "standard input: not formatted\n", "")
    assert empty("fmt", "--check", "-", stdin=UNFORMATTED) == said
    assert empty("fmt", "--check", "-", stdin=FORMATTED) == (0, "", "")


def test_standard_input_stands_alone(empty: Commands, file: Path) -> None:
    said = empty.fails("fmt", "-", str(file), stdin="")
    assert said == "`-` goes to standard output; format files by themselves"


def test_nothing_is_written_where_one_file_does_not_parse(
    empty: Commands, file: Path, tmp_path: Path
) -> None:
    bad = written(tmp_path / "bad.zed", "definition user {\n")
    assert empty.fails("fmt", str(file), bad).startswith(f"{bad}:1:18: expected")
    assert file.read_text(encoding="utf-8") == UNFORMATTED


def test_a_file_that_is_not_there_is_said_so(empty: Commands, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.zed")
    assert empty.fails("fmt", missing) == f"`{missing}` cannot be read: No such file or directory"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to every file")
def test_a_file_that_cannot_be_written_is_said_so(empty: Commands, file: Path) -> None:
    file.chmod(0o444)
    printed = empty("fmt", str(file))
    assert printed.code == 2
    assert printed.err == f"error: `{file}` cannot be written: Permission denied\n"


def test_what_a_file_changes_in_the_database(cli: Commands, tmp_path: Path) -> None:
    """With a stored relationship that it would strand, and the exit code 1."""
    new = SCHEMA.replace(" | user:*", "").replace("(viewer + edit) - banned", "viewer - banned")
    path = written(tmp_path / "new.zed", new)
    printed = cli("schema", "diff", path)
    assert (printed.code, printed.err) == (1, "")
    head, first, second, blocked = (" ".join(text.split()) for text in printed.lines)
    assert head == "severity change of what place"
    assert first == f"breaking allowed subject removed document#viewer user:* {path}:9:11"
    assert second == (
        "changes answers expression changed document#view "
        f"viewer + edit - banned → viewer - banned {path}:13:13"
    )
    assert blocked == (
        "blocked by document:public#viewer@user:*, which is a document#viewer@user:*"
    )
    assert cli("schema", "show").out == SCHEMA, "nothing is written"


def test_a_stored_context_that_fits_no_longer_is_in_the_way(empty: Commands) -> None:
    """One that fits the parameter's new type too is not, breaking though the change is."""
    old = (
        "caveat limit(most int) {\n\tmost > 1\n}\n\ndefinition user {}\n\n"
        "definition document {\n\trelation viewer: user with limit\n}\n"
    )
    empty("schema", "write", "-", stdin=old)
    stored = 'document:plan#viewer@user:anne[limit:{"most":3}]'
    assert empty("write", stored).code == 0
    other = old.replace("most int", "most bool").replace("most > 1", "most")
    printed = empty("schema", "diff", "-", stdin=other)
    assert printed.code == 1
    assert printed.lines[-1] == f"blocked by {stored}, which is a document#viewer@user with limit"
    wider = old.replace("most int", "most double").replace("most > 1", "most > 1.0")
    printed = empty("schema", "diff", "-", "--json", stdin=wider)
    assert (printed.code, printed.json["breaking"], printed.json["blocked_by"]) == (1, True, [])


def test_a_difference_in_json(cli: Commands, tmp_path: Path) -> None:
    new = SCHEMA.replace("\tpermission session = member & chosen_by\n", "")
    path = written(tmp_path / "new.zed", new)
    printed = cli("schema", "diff", path, "--json")
    assert printed.code == 1
    assert printed.json == {
        "changes": [
            {
                "kind": "permission_removed",
                "severity": "breaking",
                "name": "organization#session",
                "old": "member & chosen_by",
                "new": "",
                "place": "old",
                "line": 20,
                "column": 13,
            }
        ],
        "breaking": True,
        "blocked_by": [],
    }


def test_two_files_are_compared_without_a_database(empty: Commands, tmp_path: Path) -> None:
    old = written(tmp_path / "old.zed", "definition user {}\n")
    new = written(tmp_path / "new.zed", "// Somebody.\ndefinition user {}\n")
    printed = empty("schema", "diff", old, new)
    assert (printed.code, printed.err) == (0, "")
    assert printed.lines[1].split() == [
        *("harmless", "doc", "changed", "user", "Somebody.", f"{new}:2:12")
    ]
    assert empty("schema", "diff", new, "-", stdin=UNFORMATTED).lines[1].split()[-1] == (
        "input:1:14"
    )
    assert not (tmp_path / "relata.db").exists()


def test_schemas_that_say_the_same_do_not_differ(cli: Commands, tmp_path: Path) -> None:
    path = written(tmp_path / "new.zed", SCHEMA.replace("\t", "    ").replace("\n\n", "\n"))
    assert cli("schema", "diff", path) == (0, "no differences\n", "")
    assert cli("schema", "diff", path, path, "--json").json == {
        "changes": [],
        "breaking": False,
        "blocked_by": [],
    }


def test_an_import_is_followed(empty: Commands, tmp_path: Path) -> None:
    written(tmp_path / "user.zed", "definition user {}\n")
    one = written(tmp_path / "one.zed", 'use import\nimport "user.zed"\n')
    assert empty("schema", "diff", one, str(tmp_path / "user.zed")).out == "no differences\n"
    assert empty("schema", "graph", one).out == 'flowchart LR\n\tn0{{"user"}}\n'


def test_what_cannot_be_compared_is_said(empty: Commands, cli: Commands, tmp_path: Path) -> None:
    good, bad = (written(tmp_path / name, text) for name, text in (("a", FORMATTED), ("b", "x")))
    assert "1:1: expected" in empty.fails("schema", "diff", good, bad)
    assert "1:1: expected" in cli.fails("schema", "diff", bad)
    for files in (("-", "-"), (good, good, good)):
        assert empty.fails("schema", "diff", *files, stdin="") == (
            "give the new schema's file, or the old one's and the new one's, "
            "at most one of them as `-`"
        )


def test_a_diagram_of_the_database_s_schema(cli: Commands) -> None:
    flowchart = cli("schema", "graph").out
    assert flowchart.startswith("flowchart LR\n")
    assert cli("schema", "graph", "--format", "mermaid").out == flowchart
    assert cli("schema", "graph", "-", stdin=SCHEMA).out == flowchart
    directed = cli("schema", "graph", "--format", "dot").out
    assert '\t"document#view" -> "document#edit" [style=solid];\n' in directed


def test_what_a_change_would_affect(cli: Commands) -> None:
    printed = cli("schema", "graph", "--changed", "group#member")
    assert printed == (0, "document#viewer\ndocument#view\n", "")
    marked = cli("schema", "graph", "--changed", "group#member", "--format", "mermaid").out
    assert "\tclass n" in marked
    assert cli.fails("schema", "graph", "--changed", "group#members") == (
        "the definition `group` has no relation or permission `members` (in `changed`)"
    )
