"""`relata import` and `relata export`."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from relata.store import Store
from tests.cli.commands import Commands
from tests.cli.conftest import RELATIONSHIPS, SCHEMA
from tests.store.suite.base import live, rel

NEW = tuple(f"document:d{number}#owner@user:u{number % 5}" for number in range(20))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of new relationships."""
    file = tmp_path / "new.txt"
    file.write_text("// new ones\n\n" + "".join(f"{line}\n" for line in NEW), encoding="utf-8")
    return file


class TestImport:
    def test_what_a_file_has_is_stored(self, cli: Commands, file: Path) -> None:
        printed = cli("import", str(file))
        assert printed.code == 0
        assert printed.out.startswith("imported 20 at ")
        assert sorted(cli("read").lines) == sorted([*RELATIONSHIPS, *NEW])

    def test_it_answers_in_json_with_a_zed_token(self, cli: Commands, file: Path) -> None:
        answer = cli("import", str(file), "--json").json
        assert answer["imported"] == 20
        fresh = f"at_least_as_fresh={answer['imported_at']}"
        assert cli("check", "document:d0", "edit", "user:u0", "--consistency", fresh).code == 0

    def test_standard_input_is_read_as_text(self, cli: Commands) -> None:
        assert cli("import", "-", stdin="\n".join(NEW)).out.startswith("imported 20 at ")

    def test_lines_of_json_are_known_by_the_name_of_their_file(
        self, cli: Commands, tmp_path: Path
    ) -> None:
        line = {"resource": "document:new", "relation": "owner", "subject": "user:anne"}
        for name in ("new.jsonl", "new.NDJSON"):
            file = tmp_path / name
            file.write_text(json.dumps(line), encoding="utf-8")
            assert cli("import", str(file)).out.startswith("imported 1 at ")
        text = tmp_path / "new.text"
        text.write_text(json.dumps(line), encoding="utf-8")
        assert cli("import", str(text), "--format", "jsonl").code == 0
        assert "document:new#owner@user:anne" in cli("read").lines

    def test_a_wrong_line_is_named_and_the_import_goes_on_when_it_is_right(
        self, cli: Commands, file: Path
    ) -> None:
        right = file.read_text(encoding="utf-8")
        file.write_text(right.replace(NEW[11], "document:d11#onwer@user:u1"), encoding="utf-8")
        printed = cli("import", str(file), "--batch", "5")
        assert (printed.code, printed.out) == (2, "")
        assert f"{file}:14: the definition `document` has no relation `onwer`" in printed.err
        assert "10 relationships are stored; the same command goes on from there" in printed.err
        assert len(cli("read").lines) == len(RELATIONSHIPS) + 10
        file.write_text(right, encoding="utf-8")
        printed = cli("import", str(file), "--batch", "5")
        assert printed.out.startswith("imported 20 at ")
        assert f"going on after line 12 of {file}" in printed.err
        assert sorted(cli("read").lines) == sorted([*RELATIONSHIPS, *NEW])

    def test_a_file_that_has_changed_is_begun_anew_only_when_told_to(
        self, cli: Commands, file: Path
    ) -> None:
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace(NEW[11], "document"), encoding="utf-8")
        assert cli("import", str(file), "--batch", "5").code == 2
        file.write_text(text.replace("new ones", "others"), encoding="utf-8")
        printed = cli("import", str(file))
        assert printed.code == 2
        assert "begin anew with `--restart`" in printed.err
        assert cli("import", str(file), "--restart").out.startswith("imported 20 at ")

    def test_standard_input_goes_on_under_a_name(self, cli: Commands) -> None:
        wrong = "\n".join([*NEW[:7], "document", *NEW[7:]])
        arguments = ("import", "-", "--batch", "5")
        assert "5 relationships are stored; import the rest" in cli(*arguments, stdin=wrong).err
        named = (*arguments, "--name", "new")
        assert cli(*named, stdin=wrong).code == 2
        printed = cli(*named, stdin="\n".join(NEW))
        assert printed.out.startswith("imported 20 at ")
        assert "going on after line 5 of standard input" in printed.err

    def test_a_relation_for_questions_only_is_refused(self, cli: Commands) -> None:
        text = "organization:acme#chosen_by@user:anne"
        assert "can't be stored" in cli.fails("import", "-", stdin=text)

    def test_what_cannot_be_read(self, cli: Commands, empty: Commands, tmp_path: Path) -> None:
        assert "No such file" in cli.fails("import", str(tmp_path / "missing.txt"))
        assert "cannot be used" in cli.fails("import", str(tmp_path))

    def test_a_database_that_is_not_there_is_not_made(self, file: Path, tmp_path: Path) -> None:
        other = Commands(f"sqlite:///{tmp_path / 'other.db'}")
        assert "there is no database" in other.fails("import", str(file))
        assert not (tmp_path / "other.db").exists()

    def test_a_database_without_a_schema(self, url: str, file: Path) -> None:
        Store.open(url).close()
        assert "no schema has been written" in Commands(url).fails("import", str(file))


class TestExport:
    def test_all_is_written_and_imports_elsewhere(self, cli: Commands, tmp_path: Path) -> None:
        for name in ("all.txt", "all.jsonl"):
            file = tmp_path / name
            printed = cli("export", str(file))
            assert (printed.code, printed.out) == (0, "")
            assert f"exported {len(RELATIONSHIPS)} at " in printed.err
            other = Commands(f"sqlite:///{tmp_path / name}.db")
            other("schema", "write", "-", stdin=SCHEMA)
            assert other("import", str(file)).code == 0
            assert sorted(other("read").lines) == sorted(RELATIONSHIPS)

    def test_standard_output_has_relationships_alone(self, cli: Commands) -> None:
        assert cli("export").lines == list(RELATIONSHIPS)
        line = json.loads(cli("export", "--format", "jsonl").lines[0])
        assert line == {"resource": "document:readme", "relation": "owner", "subject": "user:olga"}

    def test_a_filter_chooses(self, cli: Commands) -> None:
        assert cli("export", "--resource-type", "organization").lines == [RELATIONSHIPS[-1]]
        assert "`nothing`" in cli.fails("export", "--relation", "nothing")

    def test_an_export_goes_on_in_its_file(self, cli: Commands, tmp_path: Path) -> None:
        """What follows the cursor's line is written anew, from the revision of the first time."""
        many = "\n".join(f"document:x{number}#owner@user:anne" for number in range(20_000))
        cli("import", "-", stdin=many)
        file = tmp_path / "all.txt"
        cli("export", str(file))
        whole = file.read_bytes()
        cursors = re.findall(rb"^// cursor: (.*)$", whole, re.MULTILINE)
        assert len(cursors) == 2
        cli("write", "document:later#owner@user:anne")
        for cursor in cursors:
            file.write_bytes(whole[: whole.index(cursor) + len(cursor) + 60])
            assert cli("export", str(file), "--cursor", cursor.decode()).code == 0
            assert file.read_bytes() == whole
            rest = cli("export", "--cursor", cursor.decode()).out.encode()
            assert whole.endswith(rest)
        file.write_bytes(b"// cursor: other\n")
        assert "no line with this cursor" in cli.fails(
            "export", str(file), "--cursor", cursors[0].decode()
        )
        assert "malformed" in cli.fails("export", "--cursor", "x")

    def test_what_cannot_be_written(self, cli: Commands, tmp_path: Path) -> None:
        assert "cannot be used" in cli.fails("export", str(tmp_path))
        assert "there is no database" in Commands(f"sqlite:///{tmp_path}/no.db").fails("export")


class TestTerminal:
    @pytest.mark.parametrize("command", ["import", "export"])
    def test_progress_is_drawn_on_a_terminal(
        self, cli: Commands, file: Path, tmp_path: Path, command: str
    ) -> None:
        """A bar with the count and the rate, on standard error alone."""
        terminal, stderr = pty.openpty()
        target = file if command == "import" else tmp_path / "all.txt"
        process = subprocess.Popen(
            [sys.executable, "-m", "relata", command, str(target)],
            env={**os.environ, "RELATA_DATABASE": cli.url, "TERM": "xterm", "COLUMNS": "100"},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        os.close(stderr)
        drawn = b""
        with contextlib.suppress(OSError):  # what Linux says at the end of a terminal
            while block := os.read(terminal, 4096):
                drawn += block
        os.close(terminal)
        out, _ = process.communicate()
        assert process.returncode == 0
        assert f"{command}ing".encode() in drawn
        if command == "export":
            assert f"{len(RELATIONSHIPS)}".encode() in drawn
            assert b" a second" in drawn
        else:
            assert out.startswith("imported 20 at ")

    def test_an_import_that_is_interrupted_says_how_to_go_on(
        self, url: str, tmp_path: Path
    ) -> None:
        """Ctrl-C while standard input has not ended."""
        Commands(url)("schema", "write", "-", stdin=SCHEMA)
        with importing(url, Path("-"), "--name", "x") as process:
            assert process.stdin is not None
            assert process.stderr is not None
            process.stdin.write("".join(f"document:d{n}#owner@user:anne\n" for n in range(5_000)))
            process.stdin.flush()
            said = [process.stderr.readline()]
            process.send_signal(signal.SIGINT)
            said += process.stderr.readlines()
        assert said[0].startswith("importing: ")
        stored = len(present(url))
        assert any(
            f"{stored} relationships are stored; the same command goes on" in it for it in said
        ), (stored, said)
        assert process.returncode != 0


class TestKilled:
    def test_a_killed_import_keeps_what_it_said_and_goes_on(self, url: str, tmp_path: Path) -> None:
        """SIGKILL after some batches, three times over; then to the end."""
        lines = [f"document:d{number}#owner@user:u{number % 97}" for number in range(30_000)]
        lines[100] = "document:d100#viewer@user:u3"
        file = tmp_path / "many.txt"
        file.write_text("// many\n" + "".join(f"{line}\n" for line in lines), encoding="utf-8")
        Commands(url)("schema", "write", "-", stdin=SCHEMA)
        for batches in (2, 5, 1):
            already = len(present(url))
            process = importing(url, file)
            assert process.stderr is not None
            said = 0
            for printed in process.stderr:
                if done := re.fullmatch(r"importing: (\d+) done\n", printed):
                    said = int(done[1])
                if said >= already + batches * 500:
                    break
            process.kill()
            process.communicate()
            assert process.returncode == -9
            there = present(url)
            assert len(there) >= said > already
            assert there == {str(rel(line)) for line in lines[: len(there)]}
            assert len(there) % 500 == 0
        process = importing(url, file)
        out, err = process.communicate()
        assert process.returncode == 0, err
        assert out.startswith("imported 30000 at ")
        assert "going on after line" in err
        assert present(url) == set(lines)
        with closing(Store.open(url)) as store:
            assert len(store.changes(after=0)) == len(lines)  # nothing was written twice


def importing(url: str, file: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "relata", "import", str(file), "--batch", "500", *options],
        env={**os.environ, "RELATA_DATABASE": url},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def present(url: str) -> set[str]:
    with closing(Store.open(url)) as store:
        return {str(it) for it in live(store)}
