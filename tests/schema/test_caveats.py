"""Caveats and expirations: what the compiler makes of them, and where it points at their faults."""

from __future__ import annotations

import pytest

from relata.errors import ContextError, SchemaTypeError
from relata.relationships import parse_relationship
from relata.schema import AllowedSubject, compile_schema, require_allowed
from relata.schema.conditions import MAX_CAVEATS
from tests.schema.texts import compiled, faults


def test_a_caveat_is_compiled_with_its_doc_and_place() -> None:
    schema = compiled("""
        /** On working days. */
        caveat acme/weekday(
            day int, allowed list< string >,
            names map<list<any>>
        ) {
            // The first is Monday.
            day < 6 && "all" in allowed && {"}": "'"}["}"] != "" && names == {} // }
        }
        definition user {}
    """)
    (weekday,) = schema.caveats.values()
    assert schema.caveats["acme/weekday"] is weekday
    assert (weekday.doc, weekday.line, weekday.column) == ("On working days.", 2, 8)
    assert weekday.caveat.name == "acme/weekday"
    assert dict(weekday.caveat.parameters) == {
        "day": "int",
        "allowed": "list<string>",
        "names": "map<list<any>>",
    }
    assert weekday.caveat.expression == (
        'day < 6 && "all" in allowed && {"}": "\'"}["}"] != "" && names == {}'
    )
    assert list(schema.definitions) == ["user"]


def test_caveats_stand_in_the_order_of_the_text() -> None:
    """A caveat may be used before it is written, and need not be used."""
    schema = compiled("""
        definition user {
            relation friend: user with two
        }
        caveat two(day int) { day == 2 }
        caveat one(day int) { day == 1 }
    """)
    assert list(schema.caveats) == ["two", "one"]


def test_kinds_of_subjects_are_told_apart_by_caveat_and_expiration() -> None:
    schema = compiled("""
        use expiration
        caveat busy(day int) { day == 1 }
        caveat ns/idle(day int) { day == 2 }
        definition user {}
        definition doc {
            relation one: user | user with busy | user with ns/idle
            relation two: user:* | user:* with busy | user:* with expiration
            relation three: doc#one with busy and expiration | doc#one with expiration
            relation four: user#... with busy | user
        }
    """)
    allowed = {
        name: relation.allowed for name, relation in schema.definitions["doc"].relations.items()
    }
    assert allowed == {
        "one": (
            AllowedSubject("user"),
            AllowedSubject("user", caveat="busy"),
            AllowedSubject("user", caveat="ns/idle"),
        ),
        "two": (
            AllowedSubject("user", wildcard=True),
            AllowedSubject("user", wildcard=True, caveat="busy"),
            AllowedSubject("user", wildcard=True, expiration=True),
        ),
        "three": (
            AllowedSubject("doc", "one", caveat="busy", expiration=True),
            AllowedSubject("doc", "one", expiration=True),
        ),
        "four": (AllowedSubject("user", caveat="busy"), AllowedSubject("user")),
    }


def test_without_the_flag_expiration_is_a_caveat() -> None:
    schema = compiled("""
        caveat expiration(and int) { and == 1 }
        definition user {
            relation one: user with expiration
        }
    """)
    assert schema.definitions["user"].relations["one"].allowed == (
        AllowedSubject("user", caveat="expiration"),
    )


@pytest.mark.parametrize("name", ["c", "CAV", "1x", "_x", "a/b/c", "use", "any", "x" * 128])
def test_a_name_of_a_caveat_is_any_that_a_relationship_can_give(name: str) -> None:
    schema = compile_schema(
        f"caveat {name}(day int) {{ day == 1 }}\n"
        f"definition user {{ relation one: user with {name}\n}}"
    )
    relationship = parse_relationship(f'user:a#one@user:b[{name}:{{"day":1}}]')
    require_allowed(schema, relationship, field="it")


def test_partials_bring_caveats_and_expirations() -> None:
    schema = compiled("""
        use partial
        use expiration
        partial shared {
            relation one: user with busy and expiration
        }
        definition user { ...shared
        }
        caveat busy(day int) { day == 1 }
    """)
    assert str(schema.definitions["user"].relations["one"].allowed[0]) == (
        "user with busy and expiration"
    )


def test_a_partial_that_nothing_includes_may_name_a_caveat_that_is_not_there() -> None:
    compiled("""
        use partial
        partial unused { relation one: user with gone
        }
        definition user {}
    """)


def test_annotations_count_conditional_subjects() -> None:
    text = """
        use typechecking
        use expiration
        caveat busy(day int) { day == 1 }
        definition user {}
        definition team {}
        definition doc {
            relation one: user with busy | team:* with expiration
            permission two: user = one
            permission three: user | team = one
        }
    """
    (fault,) = faults(text, SchemaTypeError)
    assert fault.message == "the annotation leaves out `team`, which can hold this"
    assert (fault.line, fault.column) == (8, 21)


def test_the_context_of_a_relationship_fits_its_caveat() -> None:
    schema = compiled("""
        caveat busy(day int) { day == 1 }
        definition user { relation one: user with busy
        }
    """)
    require_allowed(schema, parse_relationship("user:a#one@user:b[busy]"), field="it")
    for context in ('{"days":1}', '{"day":"monday"}'):
        wrong = parse_relationship(f"user:a#one@user:b[busy:{context}]")
        with pytest.raises(ContextError) as caught:
            require_allowed(schema, wrong, field="it")
        assert caught.value.field == "it"
        with pytest.raises(ContextError):
            require_allowed(schema, wrong, field="it", deleting=True)


TYPES = (
    "`any`, `bool`, `string`, `int`, `uint`, `double`, `bytes`, `duration`, `timestamp`, "
    "`ipaddress`, `list<T>`, `map<T>`"
)
CAVEAT_FAULTS = [
    # Parameters: at the parameter.
    ("(day int, day string) { day == 1 }", "`busy` has a parameter `day` already", 1, 22),
    (
        "(hour int, day integer) { day == hour }",
        f"unknown type `integer`; the types are {TYPES}",
        1,
        23,
    ),
    ("(day map<list<nope>>) { day == {} }", "unknown type `nope`; the types are", 1, 13),
    ("(day list) { day == [] }", "`list` needs one type of what it holds", 1, 13),
    ("(day list<int, int>) { day == [] }", "`list` needs one type of what it holds", 1, 13),
    ("(day list<map>) { day == [] }", "`map` needs one type of what it holds", 1, 13),
    (
        "(day int,\n hour int) { day == 1 }",
        "parameter `hour` of caveat `busy` is not used",
        2,
        2,
    ),
    # Types within the expression: at the offending part, on whichever line.
    (
        "(day int) { day }",
        "the expression must be true or false, but its type is `int`",
        1,
        24,
    ),
    (
        "(day any) {\n  // why\n  day\n}",
        "the expression must be true or false, but its type is `dyn`",
        3,
        3,
    ),
    (
        "(day int) {\n\tday == 1 &&\n\thour == 2\n}",
        "`hour` is neither a parameter of the caveat nor a function",
        3,
        2,
    ),
    ("(day string) { day == '\U0001f600é' || now }", "`now` is neither a parameter", 1, 42),
    ("(day int) { day == 'x' }", "`==` does not take `(int, string)`", 1, 28),
    ("(day uint) { day == 1u }", "`==` does not take `(int, uint)`", 1, 29),
    ("(day ipaddress) { day.in_cidr(1) }", "`in_cidr` does not take", 1, 41),
    ("(day int) { day.x == 1 }", "`int` has no fields", 1, 27),
    # Syntax of the expression.
    ("(day int) { day == }", "the expression ends too early", 1, 30),
    ("(day int) {\n  day == 1\n  ; // so\n}", "`;` is not expected here", 3, 3),
    ("(for int) { for == 1 }", "`for` is a reserved word of CEL", 1, 24),
    (
        f"(day int) {{ day == 1{' || day == 2' * 10_000} }}",
        "the expression has more characters than allowed; at most 100000 are allowed",
        1,
        24,
    ),
]


@pytest.mark.parametrize(("caveat", "message", "line", "column"), CAVEAT_FAULTS)
def test_a_fault_of_a_caveat(caveat: str, message: str, line: int, column: int) -> None:
    (fault,) = faults(f"caveat busy{caveat}", SchemaTypeError)
    assert fault.message.startswith(message)
    assert (fault.line, fault.column) == (line, column)


def test_a_comment_within_an_expression_is_the_expressions_own() -> None:
    """CEL knows `//` and no other comment; at either end, all comments are the schema's."""
    compiled("caveat busy(day int) { /* a */ // b\n day // c\n == 1 /* d */ // e\n }")
    found = faults("caveat busy(day int) { day /* so */ == 1 }", SchemaTypeError)
    assert (found[0].line, found[0].column) == (1, 29)


def test_all_faults_of_caveats_come_with_all_others_in_order() -> None:
    text = """
        definition user { relation one: nope with gone
        }
        caveat busy(day int, hour list, month int) {
            day == 1 || week == 2
                && year == 3
        }
        caveat idle(day int) { day }
        definition User {}
        caveat busy(day int) { day == "x" }
    """
    found = [(fault.line, fault.column) for fault in faults(text, SchemaTypeError)]
    assert found == [
        (1, 33),
        (1, 43),
        (3, 22),
        (4, 17),
        (5, 12),
        (7, 24),
        (8, 12),
        (9, 8),
        (9, 28),
    ]


def test_a_schema_has_so_many_caveats() -> None:
    few = "".join(f"caveat c{i}(day int) {{ day == 1 }}\n" for i in range(MAX_CAVEATS))
    more = "caveat more(day int) { day == 1 }\ncaveat and_more(day int) { day == 1 }\n"
    (fault,) = faults(few + more, SchemaTypeError)
    assert fault.message == "a schema has at most 1000 caveats"
    assert (fault.line, fault.column) == (1001, 8)
