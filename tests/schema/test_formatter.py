"""The formatter: its style by example, and that it changes nothing but the layout."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
import yaml
from hypothesis import given

from relata.errors import SchemaParseError, SchemaTypeError
from relata.schema import Schema, compile_schema, lint
from relata.schema.formatter import format_schema
from relata.schema.lexing import pieces
from relata.schema.parser import parse
from relata.schema.source import Source
from tests.schema.layouts import laid_out, schema_texts, thorough

PROJECT = Path(__file__).parents[2]
SHARED = PROJECT.parent / "shared"
SCENARIOS = sorted((SHARED / "conformance" / "spicedb").glob("*.yaml"))


def plain(schema: Schema) -> object:
    """All that a schema says, without places and layout."""
    return (
        [
            (
                definition.name,
                definition.doc,
                [(item.name, item.allowed, item.doc) for item in definition.relations.values()],
                [
                    (name, item.expression, item.doc)
                    for name, item in definition.permissions.items()
                ],
            )
            for definition in schema.definitions.values()
        ],
        [
            (name, item.doc, dict(item.caveat.parameters), code(item.caveat.expression))
            for name, item in schema.caveats.items()
        ],
    )


def formatted(text: str) -> str:
    """Format a text that is indented with the test's code, and see that it stays so."""
    once = format_schema(textwrap.dedent(text).lstrip("\n"))
    assert format_schema(once) == once
    return once


def expected(text: str) -> str:
    return textwrap.dedent(text).lstrip("\n").replace("    ", "\t")


def code(text: str) -> list[str]:
    """A text's pieces without comments."""
    return [
        piece for kind, piece, _ in pieces(Source(text, "")) if kind not in {"comment", "newline"}
    ]


def kept(text: str) -> list[str]:
    """What must stay, in its order: every comment and token but parentheses and `;`."""
    return [
        "\n".join(line.strip() for line in piece.splitlines()) if kind == "comment" else piece
        for kind, piece, _ in pieces(Source(text, ""))
        if kind != "newline" and piece not in {"(", ")", ";"}
    ]


@thorough
@given(laid_out(schema_texts()))
def test_a_formatted_schema_is_the_same_schema(text: str) -> None:
    """Documentation too."""
    assert plain(compile_schema(format_schema(text))) == plain(compile_schema(text))


@thorough
@given(laid_out(schema_texts()))
def test_formatting_twice_is_formatting_once(text: str) -> None:
    once = format_schema(text)
    assert format_schema(once) == once


@thorough
@given(laid_out(schema_texts()))
def test_no_comment_and_no_token_is_lost_or_moved(text: str) -> None:
    assert kept(format_schema(text)) == kept(text)


@thorough
@given(laid_out(schema_texts()))
def test_warnings_and_their_suppression_stay(text: str) -> None:
    before, after = lint(text), lint(format_schema(text))
    assert [warning.message for warning in after] == [warning.message for warning in before]


@pytest.mark.skipif(not SCENARIOS, reason="the conformance scenarios are not beside the project")
@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_schemas_of_the_conformance_scenarios_stay_what_they_are(path: Path) -> None:
    text = yaml.safe_load(path.read_text(encoding="utf-8"))["schema"]
    once = format_schema(text)
    assert plain(compile_schema(once)) == plain(compile_schema(text))
    assert kept(once) == kept(text)
    assert format_schema(once) == once


@pytest.mark.parametrize("path", [PROJECT / "schema.zed", SHARED / "b2b" / "model.zed"], ids=str)
def test_the_project_s_schemas_are_formatted(path: Path) -> None:
    if not path.exists():
        pytest.skip(f"{path} is not there")
    text = path.read_text(encoding="utf-8")
    assert format_schema(text) == text


def test_the_style() -> None:
    """Tabs, one statement a line, one space about operators, empty lines between items."""
    text = """
    use  expiration; use self


    definition user { }
    definition team { relation member :user|team # member; } // people
    definition acme / doc
    {
      relation   viewer:user :*|team#member  with limit  and expiration



      relation other: user

      permission view:user|team=viewer  .all ( other )+(viewer -> other&self)
      }
    caveat limit ( most int,seen list < map<int> > ) { most>1 && seen.size()  < 2 }
    """
    text = text.replace("doc\n    {", "doc {")
    assert formatted(text) == expected(
        """
        use expiration
        use self

        definition user {}

        definition team {
            relation member: user | team#member
        } // people

        definition acme/doc {
            relation viewer: user:* | team#member with limit and expiration

            relation other: user

            permission view: user | team = viewer.all(other) + (viewer->other & self)
        }

        caveat limit(most int, seen list<map<int>>) {
            most>1 && seen.size()  < 2
        }
        """
    )


@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        ("((a))", "a"),
        ("(a + b)", "a + b"),
        ("a + (b + (c))", "a + b + c"),
        ("(a & b) & (c & d)", "a & b & c & d"),
        ("(a - b) - c", "a - b - c"),
        ("a - (b - c)", "a - (b - c)"),
        ("((a - b) - c) - (d - e)", "a - b - c - (d - e)"),
        ("(a + b) - c", "(a + b) - c"),
        ("a & (b + c)", "a & (b + c)"),
        ("a & ((b + c))", "a & (b + c)"),
        ("a + (b & c)", "a + (b & c)"),
        ("(a.any(b))", "a.any(b)"),
        ("(a.any(b)->c)", "a.any(b)->c"),
        ("/* x */ (a) /* y */ + b", "/* x */ a /* y */ + b"),
        ("(a /* x */) + b", "(a /* x */) + b"),
        ("((a + /* x */ b))", "((a + /* x */ b))"),
    ],
)
def test_parentheses_stay_where_they_mean_something(expression: str, shown: str) -> None:
    """To the grammar, or to a reader who does not know which operator binds tighter."""
    text = "definition user {{\n\tpermission view = {}\n}}\n"
    assert formatted(text.format(expression)) == text.format(shown)


def test_what_is_too_long_is_broken_after_its_operators() -> None:
    names = [f"a_rather_long_name_{number}" for number in range(8)]
    kinds, union, both = " | ".join(names[:6]), " + ".join(names[:6]), " & ".join(names)
    members = f"relation viewer: {kinds}\n permission view = {union} - ({both})\n"
    assert formatted(f"definition user {{ {members} }}") == expected(
        """
        definition user {
            relation viewer:
                a_rather_long_name_0 |
                a_rather_long_name_1 |
                a_rather_long_name_2 |
                a_rather_long_name_3 |
                a_rather_long_name_4 |
                a_rather_long_name_5
            permission view =
                a_rather_long_name_0 +
                    a_rather_long_name_1 +
                    a_rather_long_name_2 +
                    a_rather_long_name_3 +
                    a_rather_long_name_4 +
                    a_rather_long_name_5 -
                (a_rather_long_name_0 &
                    a_rather_long_name_1 &
                    a_rather_long_name_2 &
                    a_rather_long_name_3 &
                    a_rather_long_name_4 &
                    a_rather_long_name_5 &
                    a_rather_long_name_6 &
                    a_rather_long_name_7)
        }
        """
    )


def test_what_is_broken_and_fits_is_joined() -> None:
    text = "definition user { permission view =\n a +\n b -\n (\n c)\n}"
    assert formatted(text) == "definition user {\n\tpermission view = (a + b) - c\n}\n".replace(
        "(a + b)", "a + b"
    )


def test_lines_are_at_most_a_hundred_columns_wide() -> None:
    """A tab is four."""
    operands = " + ".join(f"operand_{number:02}" for number in range(40))
    for cut in range(40, len(operands), 11):
        text = f"definition user {{ permission view = {operands[:cut].rstrip(' +')}\n}}"
        assert max(len(line.expandtabs(4)) for line in formatted(text).splitlines()) <= 100


def test_comments_stay_in_their_places() -> None:
    text = """
    // Of the whole.

    // More of it.
    use self // flags


    /* before
       a definition */
    definition user {} /* behind */ /* it */

    definition doc { // behind the brace
    // above
    relation viewer: // alternatives
      user | // people
      // and
      /* these */ team#member
    permission view = viewer + // why
      /** edit */ edit /* behind */ - banned /* behind */ /* it */
    /** Doc. */ permission edit = viewer; // twice
    // the last
    }
    // The end.
    """
    assert formatted(text) == expected(
        """
        // Of the whole.

        // More of it.
        use self // flags

        /* before
           a definition */
        definition user {} /* behind */ /* it */

        definition doc { // behind the brace
            // above
            relation viewer: // alternatives
                user | // people
                // and
                /* these */ team#member
            permission view =
                viewer + // why
                    /** edit */ edit /* behind */ -
                banned /* behind */ /* it */
            /** Doc. */
            permission edit = viewer // twice
            // the last
        }
        // The end.
        """
    )


def test_further_lines_of_a_comment_move_with_the_first() -> None:
    text = "definition user {\n  /**\n   * Stars\n     * line up.\n  */\n  relation a: user\n"
    text += "  /* Text\n     keeps\n       its shape\n  */\n  relation b: user\n}\n"
    assert formatted(text) == (
        "definition user {\n\t/**\n\t * Stars\n\t * line up.\n\t */\n\trelation a: user\n"
        "\t/* Text\n\t   keeps\n\t     its shape\n\t*/\n\trelation b: user\n}\n"
    )


def test_the_expression_of_a_caveat_is_moved_as_a_block() -> None:
    """Its lines stay relative to each other, and strings as they are."""
    text = (
        "caveat a(b int, c string) { // first\n"
        "      b > 1 && // why\n"
        "          b < 9 &&   \n\n\n"
        '      c != """\n  text\n""" /* over\n'
        "         lines */\n\n  }\n"
    )
    assert formatted(text) == (
        "caveat a(b int, c string) {\n"
        "\t// first\n"
        "\tb > 1 && // why\n"
        "\t\tb < 9 &&\n\n"
        '\tc != """\n  text\n""" /* over\n'
        "\t   lines */\n"
        "}\n"
    )


def test_two_characters_that_end_one_line_are_no_empty_line() -> None:
    text = "definition a {\n\trelation b: a\n\trelation c: a\n}\n"
    assert formatted(text.replace("\n", "\r\n")) == text


def test_a_carriage_return_in_an_expression_is_no_line_end() -> None:
    """CEL goes on with a comment there, so to write a line feed would change what it says."""
    text = "caveat a(b int) { \r\n b > 1 // x\r && b > 2 \r}"
    assert formatted(text) == "caveat a(b int) {\n\tb > 1 // x\r && b > 2\n}\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        (" \n;\n", ""),
        ("// alone", "// alone\n"),
        ("definition a { ; ;; }", "definition a {}\n"),
        ("definition a { /* x */ }", "definition a {\n\t/* x */\n}\n"),
        ("definition a { ; /* x */ }", "definition a {\n\t/* x */\n}\n"),
        ("definition a { relation b: a#...; }", "definition a {\n\trelation b: a#...;\n}\n"),
        ("definition a {}; // x\n", "definition a {} // x\n"),
        ("use import\nimport 'a.zed' ;", "use import\n\nimport 'a.zed'\n"),
    ],
)
def test_odd_texts(text: str, shown: str) -> None:
    assert formatted(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "// x\n;\ndefinition a {}\n",
        "; // x\ndefinition a {}\n",
        "use import\nimport 'a' // x\n// y\n;\ndefinition a {}\n",
        "definition a {\n\t// x\n\t;\n\trelation b: a\n}\n",
        "definition a {\n\trelation b: a#... // x\n\t; // y\n\trelation c: a\n}\n",
    ],
)
def test_no_comment_becomes_documentation(text: str) -> None:
    """A `;` stays where it stands between a comment and what that would document."""
    once = formatted(text)
    assert ";" in once
    assert not parse(Source(once, "")).docs
    assert kept(once) == kept(text)


def test_carriage_returns_become_line_ends() -> None:
    assert formatted("definition a {\r\n\r\n/* x\r\n*/\r\rrelation b: a\r}\r") == (
        "definition a {\n\t/* x\n\t */\n\n\trelation b: a\n}\n"
    )


def test_a_text_need_not_compile() -> None:
    text = "definition a {\n\tpermission b = nothing->known\n}\n"
    with pytest.raises(SchemaTypeError):
        compile_schema(text)
    assert formatted(text) == text


@pytest.mark.parametrize("text", ["definition", "definition a { relation b a }", "/* x", "use x"])
def test_a_text_that_does_not_parse_is_refused(text: str) -> None:
    with pytest.raises(SchemaParseError) as caught:
        format_schema(text, source="here.zed")
    assert caught.value.diagnostics[0].source == "here.zed"


def test_deep_and_long_texts_need_neither_a_deep_stack_nor_long() -> None:
    deep = "a - b & (a + " * 99 + "a" + ")" * 99
    wide = " + ".join("a" for _ in range(20_000))
    for expression in (deep, wide):
        formatted(f"definition user {{ permission view = {expression}\n}}")
