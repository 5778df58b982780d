"""A schema over several files: how they become one, what is refused, and where errors point."""

from __future__ import annotations

from pathlib import Path

import pytest

from relata.errors import Diagnostic, InvalidArgumentError, SchemaParseError, SchemaTypeError
from relata.schema import Schema, compile_file, compile_schema, lint_file
from relata.schema.imports import MAX_CHAIN

ROOT = "root.zed"


def written(directory: Path, **texts: str) -> Path:
    """Write files (`a__b` is `a/b.zed`), and return the path of the root from their directory."""
    for name, text in texts.items():
        path = directory / f"{name.replace('__', '/')}.zed"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, newline="")
    return Path(ROOT)


@pytest.fixture(autouse=True)
def _beside_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors name a file by the path that it was asked for by."""
    monkeypatch.chdir(tmp_path)


def fault(path: Path, error: type[SchemaParseError | SchemaTypeError]) -> Diagnostic:
    """The one fault of a schema's file."""
    with pytest.raises(error) as caught:
        compile_file(path)
    (only,) = caught.value.diagnostics
    return only


def same(left: Schema, right: Schema) -> bool:
    """Whether two schemas say the same, docs and places included."""
    return left.definitions == right.definitions and left.caveats.keys() == right.caveats.keys()


USER = "/** Someone. */\ndefinition user {}\n"


def test_a_file_without_imports_is_its_own_text(tmp_path: Path) -> None:
    text = "// Header.\r\nuse self\n\n" + USER
    schema = compile_file(written(tmp_path, root=text))
    assert schema.text == text
    assert same(schema, compile_schema(text))
    assert same(compile_file(str(tmp_path / ROOT)), schema)


def test_a_byte_order_mark_at_the_start_of_a_file_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "main.zed").write_bytes(b"\xef\xbb\xbfdefinition user {}\n")
    assert compile_file(tmp_path / "main.zed").text == "definition user {}\n"


def test_imported_definitions_come_first_and_only_once(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        root='use import\ndefinition one {}\nimport "a.zed"\nimport "b.zed"\ndefinition two {}\n',
        a='use import\nimport "parts/c.zed"\ndefinition from_a {}\n',
        b='use import\nimport \'a.zed\'\nimport """parts/c.zed"""\ndefinition from_b {}\n',
        parts__c='use import\nimport "d.zed"\ndefinition from_c {}\n',
        parts__d=USER,
    )
    schema = compile_file(path)
    assert list(schema.definitions) == ["user", "from_c", "from_a", "from_b", "one", "two"]
    assert "import" not in schema.text


def test_the_text_compiles_to_the_same_schema(tmp_path: Path) -> None:
    """Docs are kept, and lines and columns are those of the whole text."""
    path = written(
        tmp_path,
        root=(
            "// A header, which documents nothing.\n"
            "use import\n"
            "use self // me\n"
            "\n"
            "// The people.\n"
            'import "parts/user.zed"; // shared\n'
            "\n"
            "// A document.\n"
            "/* It has readers. */\n"
            "definition doc {\n"
            "\t// Readers.\n"
            "\trelation reader: user with busy | user with expired and expiration\n"
            "\t...common\n"
            "\tpermission own = self\n"
            "} // the end\n"
            "// Nothing follows.\n"
        ).replace("use self", "use expiration use partial use self"),
        parts__user=(
            "use partial; use expiration use expiration\n"
            "/** Busy days. */\n"
            "caveat busy(day int) { day == 1 }\n"
            "// Not now.\n"
            "caveat expired(day int) { day == 2 }\n" + USER + "partial common {\n"
            "  // Owns.\n  relation owner: user with expiration\n}"
        ),
    )
    schema = compile_file(path)
    again = compile_schema(schema.text)
    assert same(schema, again)
    assert (
        schema.text
        == again.text
        == (
            "use expiration\nuse partial\nuse self\n\n"
            "/** Busy days. */\n"
            "caveat busy(day int) { day == 1 }\n"
            "// Not now.\n"
            "caveat expired(day int) { day == 2 }\n" + USER + "partial common {\n"
            "  // Owns.\n  relation owner: user with expiration\n}\n"
            "\n"
            "// A document.\n"
            "/* It has readers. */\n"
            "definition doc {\n"
            "\t// Readers.\n"
            "\trelation reader: user with busy | user with expired and expiration\n"
            "\t...common\n"
            "\tpermission own = self\n"
            "} // the end\n"
        )
    )
    doc = schema.definitions["doc"]
    assert doc.doc == "A document.\nIt has readers."
    assert doc.relations["owner"].doc == "Owns."
    assert {name: caveat.doc for name, caveat in schema.caveats.items()} == {
        "busy": "Busy days.",
        "expired": "Not now.",
    }
    assert (doc.line, doc.column) == (18, 12)


def test_each_file_has_flags_of_its_own(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        root='use import\nuse self\nimport "a.zed"\n' + USER,
        a="definition doc { permission own = self\n}",
    )
    only = fault(path, SchemaParseError)
    assert (only.source, only.line, only.column) == ("a.zed", 1, 35)
    assert only.message == (
        "`self` is a keyword in the schema as a whole, for root.zed says `use self`; "
        "choose another name"
    )


def test_a_name_that_another_file_makes_a_keyword_is_refused(tmp_path: Path) -> None:
    """Without the check, the caveat `expiration` would silently become an expiration."""
    path = written(
        tmp_path,
        root="use import\nimport 'a.zed'\nimport 'b.zed'",
        a="use expiration\ndefinition user {}\n",
        b="caveat expiration(day int) { day == 1 }\n"
        "definition doc { relation one: user with expiration\n}",
    )
    with pytest.raises(SchemaParseError) as caught:
        compile_file(path)
    found = [(item.source, item.line, item.column) for item in caught.value.diagnostics]
    assert found == [("b.zed", 1, 8), ("b.zed", 2, 42)]


ANNOTATED = "{use}definition {name} {{ relation one: doc\n permission two : {types} = one\n}}\n"


def test_annotations_are_checked_only_in_files_that_ask_for_it(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        root="use import\nimport 'a.zed'\nimport 'b.zed'\n",
        a=ANNOTATED.format(use="use typechecking\n", name="doc", types="doc"),
        b=ANNOTATED.format(use="", name="folder", types="nope | folder"),
    )
    schema = compile_file(path)
    assert "permission two : doc = one" in schema.text
    assert "permission two = one" in schema.text
    assert "nope" not in schema.text
    assert same(schema, compile_schema(schema.text))


def test_a_fault_is_told_in_its_own_file(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        root=(
            "use import\nimport 'a.zed'\ndefinition doc { relation one: nope\n}\n"
            "definition user {}\n"
        ),
        a=USER + "definition team { relation two: gone\n}\n",
    )
    with pytest.raises(SchemaTypeError) as caught:
        compile_file(path)
    assert [(item.source, item.line, item.column) for item in caught.value.diagnostics] == [
        ("a.zed", 3, 33),
        (ROOT, 3, 32),
        (ROOT, 5, 12),
    ]
    assert [item.message for item in caught.value.diagnostics] == [
        "there is no definition `gone`",
        "there is no definition `nope`",
        "`user` is defined already, on line 2 of a.zed",
    ]
    assert caught.value.diagnostics[0].excerpt == (
        "definition team { relation two: gone\n" + " " * 32 + "^"
    )


def test_a_fault_behind_an_annotation_that_is_left_out_keeps_its_place(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        root="use import\nuse typechecking\nimport 'a.zed'\n",
        a="definition doc { permission two: nope | doc = gone\n}",
    )
    only = fault(path, SchemaTypeError)
    assert (only.source, only.line, only.column) == ("a.zed", 1, 47)


def test_a_parse_fault_is_told_in_its_own_file(tmp_path: Path) -> None:
    path = written(
        tmp_path, root="use import\nimport 'parts/a.zed'\n", parts__a="definition user {}\n@"
    )
    only = fault(path, SchemaParseError)
    assert (only.source, only.line, only.column) == ("parts/a.zed", 2, 1)


def test_what_is_wrong_with_the_whole_is_told_at_the_first_file(tmp_path: Path) -> None:
    doubling = "".join(f"partial p{i} {{ ...p{i + 1}; ...p{i + 1}; }}\n" for i in range(200))
    path = written(
        tmp_path,
        root=f"use import\nuse partial\nimport 'a.zed'\n{doubling}partial p200 {{}}\n",
        a="use partial\ndefinition doc { ...p0; }",
    )
    only = fault(path, SchemaTypeError)
    assert only.message == "the schema is too long with its partials written out"
    assert (only.source, only.line, only.column) == (ROOT, 1, 1)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("../a.zed", "`../a.zed` has a `..`; an import only goes down from its file"),
        ("parts/../a.zed", "`parts/../a.zed` has a `..`; an import only goes down from its file"),
        ("/etc/a.zed", "`/etc/a.zed` is absolute; name the file from this one's directory"),
        ("C:/a.zed", "`C:/a.zed` is absolute; name the file from this one's directory"),
        ("", "`` is not a path; write one like `shared/user.zed`"),
        ("parts\\\\a.zed", "`parts\\\\a.zed` is not a path; write one like `shared/user.zed`"),
        ("gone.zed", "`gone.zed` cannot be imported: no such file or directory"),
        ("parts", "`parts` is not a file"),
        ("a.zed/b.zed", "`a.zed/b.zed` cannot be imported: not a directory"),
        ("link.zed", "`link.zed` leads out of the directory of the first file; keep it inside"),
        ("way/a.zed", "`way/a.zed` leads out of the directory of the first file; keep it inside"),
        ("loop.zed", "`loop.zed` cannot be imported: "),
        ("root.zed", "the files import each other: `root.zed` -> `root.zed`"),
        ("./root.zed", "the files import each other: `root.zed` -> `root.zed`"),
        ("self.zed", "the files import each other: `root.zed` -> `root.zed`"),
    ],
)
def test_an_import_that_leads_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, message: str
) -> None:
    directory = tmp_path / "schema"
    directory.mkdir()
    monkeypatch.chdir(directory)
    root = written(directory, root=f'use import\n\n  import "{path}"\n', a=USER, parts__a=USER)
    (tmp_path / "a.zed").write_text(USER)
    (directory / "link.zed").symlink_to(tmp_path / "a.zed")
    (directory / "way").symlink_to(tmp_path)
    (directory / "loop.zed").symlink_to(directory / "loop.zed")
    (directory / "self.zed").symlink_to(root)
    only = fault(root, SchemaParseError)
    assert only.message.startswith(message)
    assert (only.source, only.line, only.column) == (ROOT, 3, 3)


def test_a_link_that_stays_inside_is_the_same_file(tmp_path: Path) -> None:
    path = written(tmp_path, root="use import\nimport 'a.zed'\nimport 'b.zed'\n", a=USER)
    (tmp_path / "b.zed").symlink_to("a.zed")
    assert list(compile_file(path).definitions) == ["user"]


def test_a_circle_is_named_whole(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        root="use import\nimport 'a.zed'\n",
        a="use import\nimport 'parts/b.zed'\n",
        parts__b="use import\nimport 'c.zed'\n",
        parts__c="use import\nimport 'b.zed'\n",
    )
    only = fault(path, SchemaParseError)
    assert only.message == (
        "the files import each other: `parts/b.zed` -> `parts/c.zed` -> `parts/b.zed`"
    )
    assert (only.source, only.line, only.column) == ("parts/c.zed", 2, 1)


def test_a_directory_above_is_out_of_reach_from_below(tmp_path: Path) -> None:
    """A path is relative to its own file, so `user.zed` is not the one beside the root."""
    path = written(
        tmp_path,
        root="use import\nimport 'parts/a.zed'\n",
        parts__a="use import\nimport 'user.zed'\n",
        user=USER,
    )
    only = fault(path, SchemaParseError)
    assert only.message == "`user.zed` cannot be imported: no such file or directory"
    assert only.source == "parts/a.zed"


def test_a_chain_of_imports_has_an_end(tmp_path: Path) -> None:
    chain = {f"f{i}": f"use import\nimport 'f{i + 1}.zed'\n" for i in range(MAX_CHAIN)}
    chain[f"f{MAX_CHAIN}"] = USER
    path = written(tmp_path, root="use import\nimport 'f2.zed'\n", **chain)
    assert list(compile_file(path).definitions) == ["user"]
    only = fault(Path("f0.zed"), SchemaParseError)
    assert only.message == "this import is the end of a chain of more than 100 files"
    assert only.source == "f99.zed"


def test_files_that_are_too_long_together_are_refused(tmp_path: Path) -> None:
    filler = "// " + "x" * (3 * 1024 * 1024) + "\n"
    path = written(
        tmp_path, root="use import\nimport 'a.zed'\nimport 'b.zed'\n", a=filler, b=filler
    )
    only = fault(path, SchemaParseError)
    assert only.message == "the schema is longer than 4194304 bytes with this file"
    assert (only.source, only.line) == (ROOT, 3)


def test_a_file_that_is_not_utf_8_is_refused_where_it_is_not(tmp_path: Path) -> None:
    path = written(tmp_path, root="use import\nimport 'a.zed'\n")
    (tmp_path / "a.zed").write_bytes("// é\n// ".encode() + b"\xff\n")
    only = fault(path, SchemaParseError)
    assert only.message == "the file is not UTF-8 from here on"
    assert (only.source, only.line, only.column) == ("a.zed", 2, 4)


def test_a_first_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=r"gone\.zed` cannot be read: .*No such file"):
        compile_file(tmp_path / "gone.zed")


def test_warnings_are_told_in_their_own_file(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        root="use import\nimport 'a.zed'\n",
        a="definition doc {\n permission view_doc = nil\n}",
    )
    (warning,) = lint_file(path)
    assert (warning.source, warning.line, warning.column) == ("a.zed", 2, 13)


def test_a_text_over_the_wire_imports_nothing() -> None:
    """Every import is told, and nothing is read."""
    with pytest.raises(SchemaParseError) as caught:
        compile_schema("use import\nimport '/etc/passwd'\n import 'a.zed'\ndefinition d {}")
    assert [(item.line, item.column) for item in caught.value.diagnostics] == [(2, 1), (3, 2)]
    assert {item.message for item in caught.value.diagnostics} == {
        "a text cannot import a file; compile the schema from its own file, "
        "or put the imported text here"
    }
