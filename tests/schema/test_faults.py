"""Every fault is told with its place, in words that say what to do."""

from __future__ import annotations

import pytest

from relata.errors import SchemaParseError, SchemaTypeError
from tests.schema.texts import faults

PARSE_FAULTS = [
    # Around definitions.
    ("foo", "expected a definition or `use`, found `foo`", 1, 1),
    ("definition user {}\n}", "expected a definition, found `}`", 2, 1),
    ("definition {}", "expected a name, found `{`", 1, 12),
    ("definition user", "expected `{`, found the end of the text", 1, 16),
    (
        "definition user {\n foo\n}",
        "expected a relation, a permission or `}`, found `foo`",
        2,
        2,
    ),
    (
        "definition user {\n\n",
        "expected a relation, a permission or `}`, found the end of the text",
        1,
        18,
    ),
    # Relations.
    ("definition user { relation one\n}", "expected `:`, found the end of the line", 1, 31),
    ("definition user { relation one:*\n}", "expected a name, found `*`", 1, 32),
    ("definition user { relation one: user#*\n}", "expected a name or `...`, found `*`", 1, 38),
    ("definition user { relation one: user:one\n}", "expected `*`, found `one`", 1, 38),
    (
        "definition user { relation one: user }",
        "expected `|` or the end of the statement, found `}`; put `;` before it",
        1,
        38,
    ),
    (
        "definition user { relation one: user\n | team\n}",
        "expected a relation, a permission or `}`, found `|`; "
        "to go on over a line, end it with the operator",
        2,
        2,
    ),
    (
        "definition user { relation one: user#...\n}",
        "expected `|` or the end of the statement, found `}`; put `;` before it",
        2,
        1,
    ),
    (
        "definition user { relation one: user#...\n relation two: user\n}",
        "expected `|` or the end of the statement, found `relation`; put `;` before it",
        2,
        2,
    ),
    (
        "definition user { relation one: user:*#one\n}",
        "expected `|` or the end of the statement, found `#`",
        1,
        39,
    ),
    (
        "definition user { relation one: user#one:*\n}",
        "expected `|` or the end of the statement, found `:`",
        1,
        41,
    ),
    ("definition user { relation one:\n\n}", "expected a name, found `}`", 3, 1),
    # Caveats and expirations of subjects.
    (
        "definition user { relation one: user with\n}",
        "expected a name or `expiration`, found the end of the line",
        1,
        42,
    ),
    (
        "definition user { relation one: user with acme/\n}",
        "expected a name, found `}`",
        2,
        1,
    ),
    (
        "use expiration\ndefinition user { relation one: user with expiration and busy\n}",
        "expected `|` or the end of the statement, found `and`; "
        "a caveat stands before it, `with caveat and expiration`",
        2,
        54,
    ),
    (
        "use expiration\ndefinition user { relation one: user with busy and other\n}",
        "expected `expiration`, found `other`",
        2,
        52,
    ),
    (
        "use expiration\ndefinition user { relation one: user with busy and\n}",
        "expected `expiration`, found the end of the line",
        2,
        51,
    ),
    # Permissions.
    ("definition user { permission one\n}", "expected `=`, found the end of the line", 1, 33),
    (
        "definition user { permission one = \n}",
        "expected a name, `(`, `nil` or `self`, found `}`",
        2,
        1,
    ),
    (
        "definition user { permission one = two three\n}",
        "expected an operator or the end of the statement, found `three`",
        1,
        40,
    ),
    (
        "definition user { permission one = two\n + three\n}",
        "expected a relation, a permission or `}`, found `+`; "
        "to go on over a line, end it with the operator",
        2,
        2,
    ),
    (
        "definition user { permission one = (two\n}",
        "expected `)`, found the end of the line",
        1,
        40,
    ),
    ("definition user { permission one = two->(three)\n}", "expected a name, found `(`", 1, 41),
    (
        "definition user { permission one = two->nil\n}",
        "expected a name, found the keyword `nil`",
        1,
        41,
    ),
    (
        "definition user { permission one = two.some(three)\n}",
        "expected `any` or `all`, found `some`",
        1,
        40,
    ),
    ("definition user { permission one: = two\n}", "expected a name, found `=`", 1, 35),
    ("definition user { permission one: user | = two\n}", "expected a name, found `=`", 1, 42),
    (
        "definition user { permission one = nil->two\n}",
        "expected an operator or the end of the statement, found `->`; "
        "an arrow starts at the name of a relation",
        1,
        39,
    ),
    (
        "use self\ndefinition user { permission one = self.all(two)\n}",
        "expected an operator or the end of the statement, found `.`; "
        "an arrow starts at the name of a relation",
        2,
        40,
    ),
    (
        "definition user { permission one = (two)->one\n}",
        "expected an operator or the end of the statement, found `->`; an arrow starts at",
        1,
        41,
    ),
    (
        "definition user { permission one = two.any\n}",
        "expected `(`, found the end of the line",
        1,
        43,
    ),
    (
        "definition user { permission one = two +\n relation three: user\n}",
        "expected a name, `(`, `nil` or `self`, found the keyword `relation`",
        2,
        2,
    ),
    (
        "definition user { permission one: acme/user = two\n}",
        "expected `|` or `=`, found `/`",
        1,
        39,
    ),
    (
        "definition user { permission one = two || three\n}",
        "expected an operator or the end of the statement, found `||`",
        1,
        40,
    ),
    # Flags.
    (
        "use selfie",
        "`selfie` is not a flag; "
        "the flags are `expiration`, `import`, `partial`, `self` and `typechecking`",
        1,
        5,
    ),
    ("use\n", "expected a flag, found the end of the line", 1, 4),
    (
        "definition user {}\nuse self",
        "expected a definition, found `use`; a `use` stands before the first definition",
        2,
        1,
    ),
    (
        "partial common {}",
        "expected a definition or `use`, found `partial`; "
        "`partial` is a keyword only after `use partial`",
        1,
        1,
    ),
    (
        "import 'other.zed'",
        "expected a definition or `use`, found `import`; "
        "`import` is a keyword only after `use import`",
        1,
        1,
    ),
    ("use import\nimport", "expected a path in quotes, found the end of the text", 2, 7),
    (
        "use import\nimport 'other.zed'",
        "a text cannot import a file; compile the schema from its own file",
        2,
        1,
    ),
    ("use import\nimport other", "expected a path in quotes, found `other`", 2, 8),
    (
        "definition user { relation one: user with busy and expiration\n}",
        "expected `|` or the end of the statement, found `and`; "
        "`and` is a keyword only after `use expiration`",
        1,
        48,
    ),
    (
        "use partial\ndefinition user { ...acme/common\n}",
        "expected the end of the statement, found `/`",
        2,
        26,
    ),
    # Caveats.
    ("caveat busy() { true }", "expected a name, found `)`", 1, 13),
    ("caveat (day int) { true }", "expected a name, found `(`", 1, 8),
    ("caveat busy { true }", "expected `(`, found `{`", 1, 13),
    ("caveat busy(day) { true }", "expected a name, found `)`", 1, 16),
    ("caveat busy(day int,) { true }", "expected a name, found `)`", 1, 21),
    ("caveat busy(day list<>) { true }", "expected a name, found `>`", 1, 22),
    ("caveat busy(day list<int) { true }", "expected `,` or `>`, found `)`", 1, 25),
    ("caveat busy(day int) true", "expected `{`, found `true`", 1, 22),
    ("caveat busy(day int)\n{ true }", "expected `{`, found the end of the line", 1, 21),
    ("caveat busy(day int) { true }}", "expected a definition, found `}`", 1, 30),
    (
        "definition user { caveat busy(day int) { true }\n}",
        "expected a relation, a permission or `}`, found `caveat`",
        1,
        19,
    ),
    (
        "use expiration\ncaveat expiration(day int) { day == 1 }",
        "expected a name, found the keyword `expiration`",
        2,
        8,
    ),
    (
        "use expiration\ncaveat busy(and int) { and == 1 }",
        "expected a name, found the keyword `and`",
        2,
        13,
    ),
    ("caveat busy(day int) { }", "expected an expression, found `}`", 1, 24),
    (
        "caveat busy(day int\n) { true }",
        "expected `,`, `<` or `)`, found the end of the line",
        1,
        20,
    ),
    ("caveat busy(day int) { {}", "expected an expression, found the end of the text", 1, 26),
    # Characters.
    ("definition user @ {}", "the character `@` is not part of the language", 1, 17),
    ("caveat busy(day int) { ~day }", "the character `~` is not part of the language", 1, 24),
    ("caveat busy(day int) { day ^ 1 }", "the character `^` is not part of the lang", 1, 28),
    ("caveat busy(day int) { 'day }", "this string is not closed", 1, 24),
    ("caveat busy(day int) { /* day }", "this comment is not closed", 1, 24),
    ("definition user {} /* never", "this comment is not closed", 1, 20),
    ("use import\nimport 'other\n'", "this string is not closed", 2, 8),
    ('caveat busy(day int) { """ " }', "this string is not closed", 1, 24),
]


@pytest.mark.parametrize(("text", "message", "line", "column"), PARSE_FAULTS)
def test_a_parse_fault(text: str, message: str, line: int, column: int) -> None:
    (fault,) = faults(text, SchemaParseError)
    assert fault.message.startswith(message)
    assert (fault.source, fault.line, fault.column) == ("schema.zed", line, column)


BUSY = "use expiration\ncaveat busy(day int) { day == 1 }\n"
WORD = "3 to 64 of a-z, 0-9 and _, starting with a letter and not ending with _"
TYPE_FAULTS = [
    # Names.
    (
        "definition User {}",
        f"`User` cannot name a definition: words of {WORD}, joined by /, together at most 128",
        1,
        12,
    ),
    ("definition acme/us {}", "`acme/us` cannot name a definition", 1, 12),
    (f"definition {'x' * 65} {{}}", f"`{'x' * 64}…` cannot name a definition", 1, 12),
    (f"definition {'/'.join(['abc'] * 33)} {{}}", "`abc/abc/", 1, 12),
    ("definition doc { relation ab: doc\n}", f"`ab` cannot name a relation: {WORD}", 1, 27),
    ("definition doc { permission one_ = nil\n}", "`one_` cannot name a permission", 1, 29),
    ("definition doc { relation éclair: doc\n}", "`éclair` cannot name a relation", 1, 27),
    ("use partial\npartial part { relation a: doc\n}", "`a` cannot name a relation", 2, 25),
    (f"definition doc {{ permission {'x' * 65} = nil\n}}", "`xxx", 1, 29),
    (
        "caveat über(day int) { day == 1 }",
        "`über` cannot name a caveat: at most 128 of a-z, A-Z, 0-9, _ and /",
        1,
        8,
    ),
    (f"caveat {'x' * 129}(day int) {{ day == 1 }}", "`xxx", 1, 8),
    # Duplicates.
    ("definition doc {}\ndefinition doc {}", "`doc` is defined already, on line 1", 2, 12),
    (
        "definition doc { relation one: doc\n permission one = nil\n}",
        "`doc` has `one` already, on line 1",
        2,
        13,
    ),
    ("definition doc { relation one: doc | doc\n}", "`doc` is allowed on `one` already", 1, 38),
    ("definition doc { relation one: doc | doc#...;}", "`doc` is allowed on `one` already", 1, 38),
    ("definition doc { relation one: doc:* | doc:*\n}", "`doc:*` is allowed on `one` alr", 1, 40),
    ("definition doc { relation one: doc#one | doc#one\n}", "`doc#one` is allowed on", 1, 42),
    (
        "definition doc {}\ncaveat doc(day int) { day == 1 }",
        "`doc` is defined already, on line 1",
        2,
        8,
    ),
    (
        "caveat busy(day int) { day == 1 }\n caveat busy(day int) { day == 1 }",
        "`busy` is defined already, on line 1",
        2,
        9,
    ),
    (
        f"{BUSY}definition doc {{ relation one: doc with busy | doc | doc with busy\n}}",
        "`doc with busy` is allowed on `one` already",
        3,
        54,
    ),
    (
        f"{BUSY}definition doc {{ relation one: doc:* with expiration|doc:* with expiration\n}}",
        "`doc:* with expiration` is allowed on `one` already",
        3,
        54,
    ),
    (
        f"{BUSY}definition doc {{ relation one: doc#one with busy and expiration | "
        "doc#one with busy and expiration\n}",
        "`doc#one with busy and expiration` is allowed on `one` already",
        3,
        67,
    ),
    # Unknown names.
    ("definition doc { relation one: doc with busy\n}", "there is no caveat `busy`", 1, 41),
    ("definition doc { relation one: doc with doc\n}", "there is no caveat `doc`", 1, 41),
    (
        "definition doc { relation one: doc with expiration\n}",
        "there is no caveat `expiration`; for an expiration, write `use expiration` at the top",
        1,
        41,
    ),
    (
        "use partial\npartial part { relation one: doc with gone\n}\ndefinition doc { ...part\n}",
        "there is no caveat `gone`",
        2,
        39,
    ),
    ("definition doc { relation one: nope\n}", "there is no definition `nope`", 1, 32),
    ("definition doc { relation one: nope:*\n}", "there is no definition `nope`", 1, 32),
    ("definition doc { relation one: nope#one\n}", "there is no definition `nope`", 1, 32),
    (
        "definition doc { relation one: doc#nope\n}",
        "`doc` has no relation or permission `nope`",
        1,
        36,
    ),
    (
        "definition doc { permission one = nil + nope\n}",
        "`doc` has no relation or permission `nope`",
        1,
        41,
    ),
    (
        "definition doc { permission one = nope->one\n}",
        "`doc` has no relation or permission `nope`",
        1,
        35,
    ),
    (
        "definition doc { permission one = self\n}",
        "`doc` has no relation or permission `self`; "
        "for the resource itself, write `use self` at the top",
        1,
        35,
    ),
    # Arrows.
    (
        "definition doc { permission one = nil\n permission two = one->one\n}",
        "`one` is a permission; only a relation stands before an arrow",
        2,
        19,
    ),
    (
        "definition doc { permission one = nil\n permission two = one.all(one)\n}",
        "`one` is a permission; only a relation stands before an arrow",
        2,
        19,
    ),
    (
        "definition doc { relation one: doc\n permission two = one->one.any(one)\n}",
        "arrows cannot be chained; "
        "make the rest a permission where the first arrow leads, and point the arrow at that",
        2,
        32,
    ),
    # Wildcards.
    (
        "definition doc { relation one: doc:*\n permission two = one->two\n}",
        "`doc#one` includes `doc:*`; an arrow cannot start at a wildcard",
        2,
        19,
    ),
    (
        "definition doc { relation one: doc:*\n relation two: doc#one\n"
        " permission three = two.all(one)\n}",
        "`doc#two` includes `doc:*` of `doc#one`; an arrow cannot start at a wildcard",
        3,
        21,
    ),
    (
        "definition doc { relation one: doc:*\n}\ndefinition team { relation two: doc#one\n}",
        "`doc#one` includes `doc:*`; another definition cannot allow it",
        3,
        33,
    ),
    (
        "definition doc { relation one: doc:*\n relation two: doc#one\n}\n"
        "definition team { relation three: team | doc#two\n}",
        "`doc#two` includes `doc:*` of `doc#one`; another definition cannot allow it",
        4,
        42,
    ),
    (
        f"{BUSY}definition doc {{ relation one: doc:* with busy\n permission two = one->two\n}}",
        "`doc#one` includes `doc:*`; an arrow cannot start at a wildcard",
        4,
        19,
    ),
    (
        f"{BUSY}definition doc {{ relation one: doc:* with expiration\n}}\n"
        "definition team { relation two: doc#one with busy\n}",
        "`doc#one` includes `doc:*`; another definition cannot allow it",
        5,
        33,
    ),
    # Aliases.
    (
        "definition doc { permission one = one\n}",
        "`one` is only another name for itself",
        1,
        29,
    ),
    (
        "definition doc { permission one = (two)\n permission two = one\n}",
        "`one` is only another name for itself, by way of `two`",
        1,
        29,
    ),
    # Partials.
    ("definition doc { ...part\n}", "there is no partial `part`", 1, 21),
    ("use partial\npartial part { ...gone\n}", "there is no partial `gone`", 2, 19),
    ("use partial\npartial part { ...part\n}", "the partial `part` includes itself", 2, 9),
    (
        "use partial\npartial one { ...two\n}\npartial two { ...one\n}",
        "the partial `one` includes itself",
        2,
        9,
    ),
    (
        "use partial\npartial one {}\npartial one {}",
        "there is a partial `one` already",
        3,
        9,
    ),
    (
        "use partial\npartial one {}\ndefinition one {}",
        "`one` is the name of a partial already",
        3,
        12,
    ),
    (
        "use partial\npartial busy {}\ncaveat busy(day int) { day == 1 }",
        "`busy` is the name of a partial already",
        3,
        8,
    ),
    (
        "use partial\npartial part { relation one: doc\n}\n"
        "definition doc { relation one: doc\n ...part\n}",
        "`doc` has `one` already, on line 4",
        2,
        25,
    ),
    (
        "use partial\npartial part { permission one = nope\n}\ndefinition doc { ...part\n}",
        "`doc` has no relation or permission `nope`",
        2,
        33,
    ),
    # Annotations.
    (
        "use typechecking\ndefinition doc { relation one: doc\n permission two: team = one\n}",
        "the annotation leaves out `doc`, which can hold this",
        3,
        18,
    ),
]


@pytest.mark.parametrize(("text", "message", "line", "column"), TYPE_FAULTS)
def test_a_type_fault(text: str, message: str, line: int, column: int) -> None:
    (fault,) = faults(text, SchemaTypeError)
    assert fault.message.startswith(message)
    assert (fault.source, fault.line, fault.column) == ("schema.zed", line, column)


@pytest.mark.parametrize(
    ("case", "error"),
    [(case, SchemaParseError) for case in PARSE_FAULTS]
    + [(case, SchemaTypeError) for case in TYPE_FAULTS],
)
def test_a_fault_points_at_its_place(
    case: tuple[str, str, int, int], error: type[SchemaParseError | SchemaTypeError]
) -> None:
    """The caret is under the column of the line, and messages keep to the house's form."""
    text, _, line, column = case
    (fault,) = faults(text, error)
    shown, caret = fault.excerpt.split("\n")
    written = text.split("\n")[line - 1]
    assert caret == " " * (column - 1) + "^"
    assert written.startswith(shown.removesuffix("…"))
    assert fault.message[0].islower() or not fault.message[0].isalpha()
    assert not fault.message.endswith(".")


def test_the_faults_of_one_compile_come_together_in_order() -> None:
    text = """
        definition Doc {}
        definition doc {
            permission loop = loop
            relation one: nope | doc:* | doc#gone
            permission two = one->two + gone
            ...part
        }
        definition doc {
            relation far: doc#one
            relation away: doc#gone
        }
    """
    found = [(fault.line, fault.column) for fault in faults(text, SchemaTypeError)]
    # What an unknown partial may have brought, `gone`, is not called unknown.
    assert found == [(1, 12), (3, 16), (4, 19), (5, 22), (6, 8), (8, 12)]


def test_a_message_shows_every_fault() -> None:
    with pytest.raises(SchemaTypeError) as caught:
        raise SchemaTypeError(faults("definition d {}\ndefinition e {}", SchemaTypeError))
    lines = str(caught.value).split("\n")
    assert lines[0].startswith("schema.zed:1:12: `d` cannot name a definition")
    assert lines[1:3] == ["definition d {}", "           ^"]
    assert lines[3].startswith("schema.zed:2:12: `e` cannot name a definition")


def test_tabs_stay_so_that_the_caret_lines_up() -> None:
    (fault,) = faults("definition doc {\n\t\trelation\tone: nope\n}", SchemaTypeError)
    assert fault.column == 17
    assert fault.excerpt == "\t\trelation\tone: nope\n\t\t        \t     ^"


def test_a_long_line_is_shown_about_the_place() -> None:
    filler = "/* filler */ " * 1_000
    (fault,) = faults(f"definition doc {{ {filler} foo {filler} }}", SchemaParseError)
    shown, caret = fault.excerpt.split("\n")
    assert fault.column == 17 + len(filler) + 2
    assert len(shown) < 210
    assert shown[caret.index("^") :].startswith("foo")
    assert shown.startswith("…")
    assert shown.endswith("…")


def test_many_faults_are_cut_short() -> None:
    text = "".join(f"definition {index} {{}}\n" for index in range(250))
    found = faults(text, SchemaTypeError)
    assert len(found) == 101
    assert (found[-1].message, found[-1].line) == (
        "150 more from here on; mend those above first",
        101,
    )


def test_lines_end_as_editors_end_them() -> None:
    (fault,) = faults("// one\r\n// two\r// three\n\n@", SchemaParseError)
    assert (fault.line, fault.column) == (5, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("// \0", "a null character cannot be part of a schema"),
        ("// \ud800", "half of a surrogate pair is no character"),
        ("use\ufeff", "the character U+FEFF is not part of the language"),
    ],
)
def test_what_is_no_text_is_refused(text: str, message: str) -> None:
    (fault,) = faults(text, SchemaParseError)
    assert (fault.message, fault.column) == (message, 4)
    assert fault.excerpt == f"{text[:3]}\N{REPLACEMENT CHARACTER}\n   ^"


def test_nothing_that_a_terminal_obeys_is_shown() -> None:
    (fault,) = faults("definition doc { // \x1b[31m\n} \x1b", SchemaParseError)
    assert fault.message == "the character U+001B is not part of the language"
    (fault,) = faults("definition doc { /* \x1b[31m */ foo", SchemaParseError)
    assert "\x1b" not in fault.excerpt
