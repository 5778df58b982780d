"""`relata write`, `read` and `delete`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.commands import Commands
from tests.cli.conftest import RELATIONSHIPS

NEW = "document:plan#owner@user:anne"
OLD = RELATIONSHIPS[0]


def test_what_is_written_is_read(cli: Commands) -> None:
    printed = cli("write", NEW, OLD)
    assert printed.code == 0
    assert printed.out.startswith("written at ")
    assert sorted(cli("read").lines) == sorted([*RELATIONSHIPS, NEW])


def test_a_write_in_json_gives_the_zed_token(cli: Commands) -> None:
    written_at = cli("write", NEW, "--json").json["written_at"]
    fresh = f"at_least_as_fresh={written_at}"
    assert cli("check", "document:plan", "edit", "user:anne", "--consistency", fresh).code == 0


def test_create_refuses_what_is_there_and_writes_nothing(cli: Commands) -> None:
    assert OLD in cli.fails("write", "--create", NEW, OLD)
    assert NEW not in cli("read").lines


def test_delete_removes_and_does_not_mind_what_is_not_there(cli: Commands) -> None:
    assert cli("write", "--delete", OLD, NEW).code == 0
    assert sorted(cli("read").lines) == sorted(RELATIONSHIPS[1:])


def test_a_file_has_lines_comments_and_gaps(cli: Commands, tmp_path: Path) -> None:
    file = tmp_path / "new.txt"
    file.write_text(f"// the plan\n\n  {NEW}  \n", encoding="utf-8")
    assert cli("write", "--file", str(file)).code == 0
    assert NEW in cli("read").lines


def test_what_is_read_can_be_written_elsewhere(cli: Commands, tmp_path: Path) -> None:
    other = Commands(f"sqlite:///{tmp_path / 'other.db'}")
    other("schema", "write", "-", stdin=cli("schema", "show").out)
    assert other("write", "--file", "-", stdin=cli("read").out).code == 0
    assert sorted(other("read").lines) == sorted(RELATIONSHIPS)


def test_a_file_may_be_larger_than_a_request(cli: Commands) -> None:
    """A server takes 1,000 updates a write; the command line takes them all, in one."""
    many = [f"document:d{number}#owner@user:anne" for number in range(1_500)]
    assert cli("write", "-f", "-", stdin="\n".join(many)).code == 0
    assert len(cli("lookup", "resources", "document", "edit", "user:anne").lines) == len(many)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("document:plan", "`document:plan` is not a relationship"),
        ("document:plan#reader@user:anne", "the definition `document` has no relation `reader`"),
        ("document:plan#edit@user:anne", "`document#edit` is a permission"),
        ("document:plan#owner@group:eng", "`group`"),
    ],
)
def test_an_error_in_a_file_names_its_line(cli: Commands, line: str, message: str) -> None:
    said = cli.fails("write", "-f", "-", stdin=f"{NEW}\n\n{line}\n")
    assert said.startswith("standard input:3: ")
    assert message in said
    assert "\n" not in said
    assert NEW not in cli("read").lines


def test_a_choice_is_not_stored(cli: Commands) -> None:
    said = cli.fails("write", "organization:acme#chosen_by@user:anne")
    assert "`organization#chosen_by` exists only for a question" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("write",), "there is nothing to write"),
        (("write", "--file", "-"), "there is nothing to write"),
        (("write", "--create", "--delete", NEW), "`--create` and `--delete` exclude each other"),
        (("write", "--file", "nowhere.txt"), "`nowhere.txt` cannot be read: No such file"),
        (("delete",), "a delete needs a filter"),
        (("delete", "--resource-type", "page"), "the schema has no definition `page`"),
        (("read", "--relation", "reader", "--resource-type", "document"), "`reader`"),
        (("read", "--resource-id", "a", "--resource-id-prefix", "a"), "`resource_id`"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(
    cli: Commands, arguments: tuple[str, ...], message: str
) -> None:
    said = cli.fails(*arguments, stdin="")
    assert message in said
    assert "\n" not in said


def test_a_file_that_is_not_utf_8_is_refused(cli: Commands, tmp_path: Path) -> None:
    file = tmp_path / "latin.txt"
    file.write_bytes("document:größe#owner@user:anne".encode("latin-1"))
    assert "is not UTF-8 at byte 12" in cli.fails("write", "--file", str(file))


@pytest.mark.parametrize(
    ("chosen", "count"),
    [
        (("--resource-type", "document"), 4),
        (("--resource-type", "document", "--resource-id", "readme"), 2),
        (("--resource-type", "document", "--resource-id-prefix", "pub"), 2),
        (("--relation", "member"), 4),
        (("--subject-type", "user", "--subject-id", "anne"), 2),
        (("--subject-type", "group", "--subject-relation", "member"), 2),
        (("--resource-type", "group", "--subject-relation", ""), 2),
        (("--subject-id", "nobody"), 0),
    ],
)
def test_a_filter_chooses_what_is_read_and_deleted(
    cli: Commands, chosen: tuple[str, ...], count: int
) -> None:
    found = cli("read", *chosen)
    assert (found.code, len(found.lines), found.err) == (0, count, "")
    assert cli("delete", *chosen).out.startswith(f"deleted {count} at ")
    assert sorted(cli("read").lines) == sorted(set(RELATIONSHIPS) - set(found.lines))


def test_a_delete_with_a_limit_says_that_there_are_more(cli: Commands) -> None:
    printed = cli("delete", "--resource-type", "document", "--limit", "3")
    assert printed.out.startswith("deleted 3 at ")
    assert printed.err == "there are more that match; delete again\n"
    answer = cli("delete", "--resource-type", "document", "--limit", "3", "--json").json
    assert (answer["deleted"], answer["complete"]) == (1, True)


def test_pages_of_a_read_follow_each_other(cli: Commands) -> None:
    first = cli("read", "--limit", "5", "--json").json
    rest = cli("read", "--limit", "5", "--cursor", first["cursor"], "--json").json
    assert [*first["relationships"], *rest["relationships"]] == list(RELATIONSHIPS)
    assert (rest["cursor"], rest["read_at"]) == (None, first["read_at"])
    assert first["cursor"] in cli("read", "--limit", "5").err
