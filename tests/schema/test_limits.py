"""No text, however long, deep or odd, costs more than its length or ends in another error."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from relata.errors import SchemaError, SchemaParseError, SchemaTypeError
from relata.schema import Exclusion, Union, compile_schema
from relata.schema.parser import MAX_BYTES
from tests.schema.texts import faults

OPENING = "definition doc {\n\trelation one: doc\n\tpermission two = "


def test_a_million_parentheses_are_given_up_early() -> None:
    (fault,) = faults(OPENING + "(" * 1_000_000, SchemaParseError)
    assert fault.message == "brackets are nested more than 100 deep"
    assert (fault.line, fault.column) == (3, 19 + 100)


def test_a_hundred_parentheses_are_read() -> None:
    schema = compile_schema(f"{OPENING}{'(' * 100}one{')' * 100}\n}}")
    assert "two" in schema.definitions["doc"].permissions


def test_parentheses_side_by_side_are_not_nested() -> None:
    compile_schema(f"{OPENING}{'(one) + ' * 200}one\n}}")


def test_fifty_thousand_operands_are_one_union() -> None:
    schema = compile_schema(f"{OPENING}{'one + ' * 50_000}one\n}}")
    expression = schema.definitions["doc"].permissions["two"].expression
    assert isinstance(expression, Union)
    assert len(expression.children) == 50_001


@pytest.mark.parametrize("count", [100, 10_000])
def test_a_long_chain_of_exclusions_is_refused(count: int) -> None:
    (fault,) = faults(f"{OPENING}{'one - ' * count}one\n}}", SchemaTypeError)
    assert fault.message == (
        "this is nested more than 100 levels deep; move a part of it into a permission of its own"
    )
    assert fault.line == 3


def test_the_deepest_chain_of_exclusions() -> None:
    schema = compile_schema(f"{OPENING}{'one - ' * 99}one\n}}")
    depth, node = 1, schema.definitions["doc"].permissions["two"].expression
    while isinstance(node, Exclusion):
        depth, node = depth + 1, node.base
    assert depth == 100


def test_operators_nested_in_parentheses_are_refused_too_deep() -> None:
    text = f"{OPENING}{'(' * 60}one{' + one & one - one)' * 60}\n}}"
    (fault,) = faults(text, SchemaTypeError)
    assert fault.message.startswith("this is nested more than 100 levels deep")


def test_a_chain_of_ten_thousand_arrows_is_one_fault() -> None:
    (fault,) = faults(f"{OPENING}{'one->' * 10_000}one\n}}", SchemaTypeError)
    assert fault.message.startswith("arrows cannot be chained")


def test_nested_parameter_types_are_given_up_early() -> None:
    (fault,) = faults("caveat busy(day " + "list<" * 100_000, SchemaParseError)
    assert fault.message == "brackets are nested more than 100 deep"


def test_the_longest_text_is_read_and_a_longer_one_is_not() -> None:
    text = "// " + "é" * ((MAX_BYTES - 4) // 2) + "\n"
    assert compile_schema(text).definitions == {}
    (fault,) = faults(text + "\n", SchemaParseError)
    assert fault.message == "the schema is 4194305 bytes long; at most 4194304 are read"


def test_partials_that_double_are_refused() -> None:
    doubling = "".join(f"partial p{i} {{ ...p{i + 1}; ...p{i + 1}; }}\n" for i in range(200))
    text = f"use partial\n{doubling}partial p200 {{ relation one: doc; }}\n"
    (fault,) = faults(f"{text}definition doc {{ ...p0; }}", SchemaTypeError)
    assert fault.message == "the schema is too long with its partials written out"


def test_partials_that_multiply_are_refused() -> None:
    part = "".join(f"relation r{i:04}: doc\n" for i in range(2_000))
    users = "".join(f"definition doc{i} {{ ...part; }}\n" for i in range(2_000))
    text = f"use partial\npartial part {{\n{part}}}\ndefinition doc {{}}\n{users}"
    (fault,) = faults(text, SchemaTypeError)
    assert fault.message == "the schema is too long with its partials written out"


def test_a_long_chain_of_partials_is_read() -> None:
    chain = "".join(f"partial p{i} {{ ...p{i + 1}; }}\n" for i in range(2_000))
    schema = compile_schema(
        f"use partial\n{chain}partial p2000 {{ relation one: doc; }}\ndefinition doc {{ ...p0; }}"
    )
    assert list(schema.definitions["doc"].relations) == ["one"]


def test_long_chains_of_members_are_checked_without_recursion() -> None:
    aliases = "".join(f"permission p{i:05}: doc = p{i + 1:05}\n" for i in range(2_000))
    usersets = "".join(f"relation r{i:05}: doc#r{i + 1:05}\n" for i in range(2_000))
    compile_schema(
        "use typechecking\ndefinition doc {\n"
        f"{aliases}permission p02000 = r00000\n{usersets}relation r02000: doc:*\n}}"
    )


def test_too_much_to_annotate_is_refused() -> None:
    definitions = "".join(f"definition d{i:05} {{}}\n" for i in range(10_001))
    (fault,) = faults(f"use typechecking\n{definitions}", SchemaTypeError)
    assert fault.message == (
        "the schema is too large to check annotations; remove `use typechecking`"
    )


WORDS = (
    "use definition caveat partial import relation permission with and expiration self nil any all"
    " typechecking doc one two { } ( ) < > | + & - = / : ; # * , . -> ... @ ? && \"x\" 'y' // /* */"
)
PHRASES = (
    *("\n", " ", '"""', "use partial\n", "use expiration\n", "definition doc {", "}\n"),
    *("relation one: doc\n", "relation two: doc with busy and expiration\n"),
    *(
        "caveat busy(day int) {",
        "day == 1",
        "day",
        "list<int>",
        "caveat busy(day int) { day == 1 }",
    ),
)
PIECES = st.sampled_from([*WORDS.split(" "), *PHRASES])


def compiles_or_is_refused(text: str) -> None:
    """Anything but a schema or a SchemaError fails the test that calls this."""
    try:
        schema = compile_schema(text)
    except SchemaError:
        return
    assert schema.text == text


@settings(deadline=5_000)
@given(st.text())
@example("\ud800")
@example("²")
@example("definition doc { relation ²³: doc\n}")
def test_arbitrary_text_compiles_or_is_refused(text: str) -> None:
    compiles_or_is_refused(text)


@settings(deadline=5_000, max_examples=300)
@given(st.lists(PIECES, max_size=40).map(" ".join))
def test_arbitrary_words_of_the_language_compile_or_are_refused(text: str) -> None:
    compiles_or_is_refused(text)


VALID = """use self
use partial
use expiration
caveat busy(day int, names list<string>) {
    day > 1 && names.all(name, name != "}") // }
}
partial common { relation owner: user
}
definition user {}
definition doc {
    ...common
    relation parent: doc | user with busy and expiration
    permission view: user | doc = (owner + self) & parent.all(view) - nil
}
"""


def test_the_schema_to_wound_compiles() -> None:
    assert compile_schema(VALID).text == VALID


@settings(deadline=5_000, max_examples=300)
@given(st.integers(0, len(VALID)), st.integers(0, 30), PIECES | st.text(max_size=3))
def test_a_schema_with_a_wound_compiles_or_is_refused(at: int, cut: int, graft: str) -> None:
    compiles_or_is_refused(VALID[:at] + graft + VALID[at + cut :])
