"""`relata schema`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.commands import Commands
from tests.cli.conftest import SCHEMA

TWO_FAULTS = (
    "definition user {}\ndefinition group {\n\trelation member: usr\n\trelation m: user\n}\n"
)


def test_a_schema_is_written_and_shown_as_it_was_written(empty: Commands, tmp_path: Path) -> None:
    file = tmp_path / "schema.zed"
    file.write_text(SCHEMA, encoding="utf-8")
    assert empty("schema", "write", str(file)).out.startswith("written at ")
    assert empty("schema", "show") == (0, SCHEMA, "")
    answer = empty("schema", "show", "--json").json
    assert (answer["schema"], bool(answer["zed_token"])) == (SCHEMA, True)


def test_a_schema_comes_from_standard_input_too(empty: Commands) -> None:
    assert empty("schema", "write", "-", "--json", stdin=SCHEMA).json["zed_token"]
    assert empty("schema", "show").out == SCHEMA


def test_a_check_counts_and_needs_no_database(empty: Commands, tmp_path: Path) -> None:
    printed = empty("schema", "check", "-", stdin=SCHEMA)
    assert printed == (0, "standard input: 4 definitions, no errors, no warnings\n", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["check", "write"])
def test_faults_are_shown_in_their_places(empty: Commands, tmp_path: Path, command: str) -> None:
    file = tmp_path / "bad.zed"
    file.write_text(TWO_FAULTS, encoding="utf-8")
    lines = empty.fails("schema", command, str(file)).split("\n")
    assert lines[0].startswith(f"{file}:3:19: ")
    assert lines[1:3] == ["\trelation member: usr", "\t                 ^"]


def test_a_schema_that_strands_a_relationship_is_refused(cli: Commands) -> None:
    smaller = SCHEMA.replace("\trelation chosen_by", "\trelation wished_by").replace(
        "& chosen_by", "& wished_by"
    )
    assert cli("schema", "write", "-", stdin=smaller).code == 0
    stranding = SCHEMA.replace("\trelation banned: user\n", "").replace(" - banned", "")
    said = cli.fails("schema", "write", "-", stdin=stranding)
    assert "document:public#banned@user:bob" in said


def test_permissions_too_deep_are_refused_before_they_are_written(empty: Commands) -> None:
    levels = "".join(f"\tpermission p{n:03} = p{n + 1:03}\n" for n in range(150))
    deep = f"definition user {{}}\ndefinition a_b {{\n\trelation p150: user\n{levels}}}\n"
    for command in ("check", "write"):
        assert "levels deep" in empty.fails("schema", command, "-", stdin=deep)


def test_a_file_that_is_not_there_is_said_so(empty: Commands, tmp_path: Path) -> None:
    missing = str(tmp_path / "schema.zed")
    said = empty.fails("schema", "write", missing)
    assert said == f"`{missing}` cannot be read: No such file or directory"
    assert "cannot be read: Is a directory" in empty.fails("schema", "check", str(tmp_path))


@pytest.mark.parametrize(
    "arguments",
    [
        ("schema", "show"),
        ("check", "document:readme", "view", "user:anne"),
        ("write", "document:readme#viewer@user:anne"),
        ("expand", "document:readme", "view"),
    ],
)
def test_without_a_schema_the_next_step_is_said(
    empty: Commands, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    assert empty("keys", "create", "--name", "ops", "--scope", "admin").code == 0
    assert empty.fails(*arguments) == (
        f"`{tmp_path / 'relata.db'}` has no schema; write one with `relata schema write`"
    )
