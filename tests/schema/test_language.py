"""The language around expressions: definitions, relations, terminators, keywords, comments."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from relata.errors import SchemaParseError
from relata.schema import AllowedSubject, Computed, Relation, Schema, compile_schema
from tests.schema.texts import compiled, faults, show

SHARED = Path(__file__).parents[3] / "shared"
SCENARIOS = sorted((SHARED / "conformance" / "spicedb").glob("*.yaml"))


def test_a_small_schema_whole() -> None:
    """Everything of a schema is in the model, in the order of the text."""
    text = (
        "/** Someone. */\n"
        "definition user {}\n"
        "\n"
        "definition acme/doc {\n"
        "\trelation viewer: user | user:* | acme/doc#reader | user#...;\n"
        "\t// Who may read.\n"
        "\tpermission reader = viewer\n"
        "}\n"
    ).replace(" | user#...;", "")
    schema = compile_schema(text)
    assert schema.text == text
    assert list(schema.definitions) == ["user", "acme/doc"]
    user, doc = schema.definitions.values()
    assert (user.doc, user.line, user.column) == ("Someone.", 2, 12)
    assert (doc.doc, doc.line, doc.column) == ("", 4, 12)
    assert doc.relations == {
        "viewer": Relation(
            "viewer",
            (
                AllowedSubject("user"),
                AllowedSubject("user", wildcard=True),
                AllowedSubject("acme/doc", "reader"),
            ),
            "",
            5,
            11,
        )
    }
    reader = doc.permissions["reader"]
    assert (reader.expression, reader.doc) == (Computed("viewer"), "Who may read.")
    assert (reader.line, reader.column) == (7, 13)


def test_an_empty_text_is_an_empty_schema() -> None:
    assert compile_schema("") == Schema({}, "")
    assert compile_schema(" \t// nothing yet\r\n\n").definitions == {}


def test_the_ellipsis_is_the_object_itself() -> None:
    schema = compiled("definition user { relation friend: user#...; }")
    assert schema.definitions["user"].relations["friend"].allowed == (AllowedSubject("user"),)


@pytest.mark.parametrize(
    "text",
    [
        "definition user { ; }",
        "definition user {;;}",
        ";definition user {};",
        "definition user {} definition doc {}",
        "definition user { relation one: user; relation two: user; }",
        "definition user { relation one: user }".replace(" }", "\n}"),
        "definition user { relation one: user:*\n permission two = (one)\n}",
        "definition user { relation one:\n user |\n user:*\n}",
        "definition user { relation one: user // so\n relation two: user /* or\n so */\n}",
        "definition user { relation one: user /* over\n lines */ | user:*\n}",
        "definition user {\r\n relation one: user\r\n}\r\n",
        "definition user {\r relation one: user\r}",
        "definition acme / user {}\ndefinition acme/\nteam {}",
        "definition user { relation one: user #\n... | user :\n*\n}",
    ],
)
def test_statements_end_here(text: str) -> None:
    compile_schema(text)


@pytest.mark.parametrize(
    "text",
    [
        "definition user { relation one: user }",
        "definition user { relation one: user relation two: user\n}",
        "definition user { relation one: user#...\n relation two: user\n}",
        "definition user { relation one: user\n | user:*\n}",
        "definition user { relation one: user\n permission two = one\n + one\n}",
        "definition user { relation one: user\n permission two = (one\n)\n}",
        "definition user { relation\n one: user\n}",
        "definition user\n{}",
        "definition\nuser {}",
        "definition user {};;definition doc {}",
        ";;",
    ],
)
def test_statements_do_not_end_here(text: str) -> None:
    with pytest.raises(SchemaParseError):
        compile_schema(text)


def test_soft_keywords_are_names_until_a_use_says_otherwise() -> None:
    """Without a flag, every word but the six keywords names a relation."""
    words = ("self", "import", "partial", "and", "expiration", "typechecking", "use", "any", "all")
    relations = "".join(f" relation {word}: user\n" for word in words)
    schema = compile_schema(
        f"definition user {{\n{relations} permission mix = self + any.any(any) & all.all(use)\n}}"
    )
    assert tuple(schema.definitions["user"].relations) == words
    mix = schema.definitions["user"].permissions["mix"].expression
    assert show(mix) == "((self + any->any) & all.all(use))"


@pytest.mark.parametrize("word", ["definition", "caveat", "relation", "permission", "nil", "with"])
def test_keywords_are_never_names(word: str) -> None:
    (fault,) = faults(f"definition user {{ relation {word}: user\n}}", SchemaParseError)
    assert fault.message == f"expected a name, found the keyword `{word}`"


@pytest.mark.parametrize(
    ("flag", "word"),
    [
        ("self", "self"),
        ("expiration", "expiration"),
        ("expiration", "and"),
        ("partial", "partial"),
        ("import", "import"),
        ("typechecking", "typechecking"),
    ],
)
def test_a_flag_makes_keywords(flag: str, word: str) -> None:
    text = f"use {flag}\ndefinition user {{ relation {word}: user\n}}"
    (fault,) = faults(text, SchemaParseError)
    assert fault.message == f"expected a name, found the keyword `{word}`"


def test_flags_may_share_a_line_and_be_repeated() -> None:
    schema = compiled("use self use self; use partial\n definition user {}")
    assert list(schema.definitions) == ["user"]


def test_a_flag_is_named_only_outside_braces() -> None:
    """Here `use` is a type, and makes no flag of the keyword `with`."""
    text = "caveat busy(day int) { day == 1 }\ndefinition use { relation one: use with busy\n}"
    schema = compile_schema(text)
    assert schema.definitions["use"].relations["one"].allowed == (
        AllowedSubject("use", caveat="busy"),
    )


def test_words_that_mark_are_names_of_definitions_too() -> None:
    schema = compiled("definition use {}\ndefinition any { relation all: use | any\n}")
    assert list(schema.definitions) == ["use", "any"]


DOCS = """
/*
 * On top,
 *   in lines.
 */
// And more.
definition user { // not about what follows
    relation plain: user

    /** One line */
    relation one: user // trailing
    relation two: user; /* trailing */
    // The last.
    permission three = /* inside */ one
    /** Here */ relation four: user
    // about nothing
}
"""


def test_comments_before_a_keyword_document_it() -> None:
    user = compiled(DOCS).definitions["user"]
    assert user.doc == "On top,\nin lines.\nAnd more."
    docs = {name: relation.doc for name, relation in user.relations.items()}
    assert docs == {"plain": "", "one": "One line", "two": "", "four": "Here"}
    assert user.permissions["three"].doc == "The last."


@pytest.mark.skipif(not SCENARIOS, reason="the conformance scenarios are not beside the project")
@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_schemas_of_the_conformance_scenarios(path: Path) -> None:
    text = yaml.safe_load(path.read_text())["schema"]
    schema = compile_schema(text)
    assert schema.definitions
    assert bool(schema.caveats) == ("caveat " in text)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the example model is not beside the project")
def test_the_example_model_compiles() -> None:
    schema = compile_schema((SHARED / "b2b" / "model.zed").read_text())
    active = schema.definitions["role"].permissions["active"].expression
    assert show(active) == "(assignee & organization->session & product->session)"
