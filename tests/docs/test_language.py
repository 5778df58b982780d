"""docs/language.md: its schemas compile or fail as it says, and nothing of the language is missing.

What is said of a block is in the `text` block behind it; one that has none compiles without a
warning. A block with a name is a file, and those that import are compiled from theirs.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lark import Lark, Tree

from relata import schema
from relata.errors import SchemaError
from relata.relationships import parse_relationship
from relata.schema import AllowedSubject, compile_schema, conditions, imports, lint, lint_file
from relata.schema import names as schema_names
from relata.schema.lexing import FLAGS, MAX_NESTING, Lexing
from relata.schema.source import Source
from tests.docs.pages import Block, blocks, code, page, table

PAGE = "language.md"
BLOCKS = blocks(PAGE, "zed")
FILES = [block for block in BLOCKS if block.name]
TEXTS = [block for block in BLOCKS if not block.name]


def line_of(block: Block) -> str:
    return f"line {block.line}"


def said_of(text: str) -> str:
    """Why a schema does not compile, or what it warns of."""
    try:
        return "\n".join(map(str, lint(text)))
    except SchemaError as error:
        return error.message


@pytest.mark.parametrize("block", TEXTS, ids=line_of)
def test_of_a_schema_is_said_what_the_page_says(block: Block) -> None:
    assert said_of(block.text) == (block.answer or "")


def test_a_schema_of_several_files_compiles_from_them(tmp_path: Path) -> None:
    for block in FILES:
        path = tmp_path / block.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")
    assert any("import " in block.text for block in FILES)
    for block in FILES:
        assert lint_file(tmp_path / block.name) == []


# The grammar


def shown_grammar() -> Lark:
    """The grammar with every rule in its trees: none is inlined, none stands for another."""
    path = Path(inspect.getfile(schema)).parent / "grammar.lark"
    text = re.sub(r"^\?|\b_(?=[a-z])", "", path.read_text(encoding="utf-8"), flags=re.M)
    return Lark(text, parser="lalr", start="file", lexer="basic", keep_all_tokens=True)


def parsed(grammar: Lark, text: str) -> Iterator[str]:
    """The names of the rules and tokens that a text is read by."""
    reading = grammar.parse_interactive()
    for token in Lexing(Source(text, "block")).tokens():
        yield token.type
        reading.feed_token(token)
    tree = reading.feed_eof()  # type: ignore[no-untyped-call]  # lark's is not annotated
    assert isinstance(tree, Tree)
    yield from (str(node.data) for node in tree.iter_subtrees())


def rules(grammar: Lark) -> set[str]:
    found = {str(rule.alias or rule.origin.name) for rule in grammar.rules}
    return {name for name in found if not name.startswith("__")}


def tokens(grammar: Lark) -> set[str]:
    return {symbol.name for rule in grammar.rules for symbol in rule.expansion if symbol.is_term}


def test_the_page_has_every_rule_and_token_of_the_grammar() -> None:
    grammar = shown_grammar()
    good = [block for block in BLOCKS if block.answer is None]
    read = {name for block in good for name in parsed(grammar, block.text)}
    assert rules(grammar) | tokens(grammar) == read


def test_the_last_table_names_every_rule() -> None:
    named = [name for row in table(PAGE, "The grammar") for name in code(row[0])]
    assert sorted(name.removeprefix("_") for name in named) == sorted(rules(shown_grammar()))


# Tables


def test_a_relationship_of_each_kind_is_of_that_kind() -> None:
    rows = [(code(kind)[0], code(example)[0]) for kind, example in table(PAGE, "Relations")]
    block = next(block for block in TEXTS if "user with low and expiration" in block.text)
    relation = compile_schema(block.text).definitions["document"].relations["viewer"]
    assert [str(kind) for kind in relation.allowed] == [kind for kind, _ in rows]
    assert [str(kind_of(example)) for _, example in rows] == [kind for kind, _ in rows]


def kind_of(text: str) -> AllowedSubject:
    relationship = parse_relationship(text)
    assert str(relationship) == text
    subject, caveat = relationship.subject, relationship.caveat
    return AllowedSubject(
        subject.type,
        subject.relation,
        subject.is_wildcard,
        caveat.name if caveat else "",
        relationship.expires_at is not None,
    )


@pytest.mark.parametrize(
    ("written", "meant"), [[code(cell)[0] for cell in row] for row in table(PAGE, "Operators")]
)
def test_an_expression_is_read_as_the_page_says(written: str, meant: str) -> None:
    relations = "".join(f"relation {letter * 3}: document\n" for letter in "abcd")

    def expression(text: str) -> object:
        text = re.sub(r"\b([abcd])\b", r"\1\1\1", text)
        members = f"{relations}permission it_is = {text}\n"
        compiled = compile_schema(f"definition document {{\n{members}}}")
        return compiled.definitions["document"].permissions["it_is"].expression

    assert expression(written) == expression(meant)
    assert expression(written) != expression(written.replace("-", "+").replace("&", "+"))


def test_every_flag_is_listed_with_its_keywords() -> None:
    rows = [(code(flag)[0], tuple(code(words))) for flag, words, _ in table(PAGE, "Flags")]
    assert rows == list(FLAGS.items())


def test_every_type_of_a_parameter_is_listed() -> None:
    known = said_of("caveat odd(one odd) { one }").split("the types are ")[1].split("\n")[0]
    assert {name for row in table(PAGE, "Caveats") for name in code(row[0])} == set(code(known))


def test_every_warning_has_a_heading_and_is_given() -> None:
    written = inspect.getsource(sys.modules[lint.__module__])
    names = set(re.findall(r'"([a-z]+(?:-[a-z]+)+)"', written))
    headings = set(re.findall(r"^### `([a-z-]+)`$", page(PAGE), re.M))
    answers = "\n".join(block.answer or "" for block in TEXTS)
    given = set(re.findall(r"\(([a-z]+-[a-z-]+)\)$", answers, re.M))
    assert names == headings == given


def test_the_limits_are_the_real_ones() -> None:
    cells = " ".join(cell for row in table(PAGE, "Names and limits") for cell in row)
    for limit in (MAX_NESTING, schema_names.MAX_LEVELS, conditions.MAX_CAVEATS, imports.MAX_CHAIN):
        assert f"{limit:,}" in cells
