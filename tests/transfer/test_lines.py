"""Single lines: the quick way reads what the whole way reads, and nothing else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relata.errors import QuestionOnlyError, RelataError
from relata.relationships import parse_relationship
from relata.schema import compile_schema, require_allowed
from relata.store import Values, to_values
from relata.transfer import LineReader
from tests.transfer.world import LINES, QUESTION_ONLY, SCHEMA

COMPILED = compile_schema(SCHEMA)
READER = LineReader(COMPILED, QUESTION_ONLY)

TYPES = st.sampled_from(
    ["document", "user", "group", "folder", "Document", "", "a b", "//document"]
)
RELATIONS = st.sampled_from(
    ["viewer", "owner", "member", "guest", "asked_by", "view", "...", "", "Viewer", "x", "a@b"]
)
IDS = st.sampled_from(
    [
        *("a", "*", "", "a:b", "a@b", "a|b", "~", "!", '"', "\\", "a/b", "//", "a,b", "-"),
        *("a b", "a#b", "a[b", "a]b", " a", "a ", "a\tb", "a\x00", "\x7f", "\xa0", "\u2028"),
        *("\xe9", "\U0001f600", "a" * 1024, "a" * 1025, "\xe9" * 512, "\xe9" * 513, "**"),
    ]
) | st.text(max_size=3)
TRAITS = st.sampled_from(
    [
        *("", "", "", "[weekdays]", '[weekdays:{"days":5}]', '[weekdays:{"days":"x"}]'),
        *("[expiration:2130-01-01T00:00:00Z]", "[expiration:soon]", "[]", "["),
    ]
)
RESOURCES = st.builds(lambda type_, id_: f"{type_}:{id_}", TYPES, IDS) | st.text(max_size=4)
SUBJECTS = st.builds(
    lambda type_, id_, hash_, relation: f"{type_}:{id_}{hash_}{relation if hash_ else ''}",
    TYPES,
    IDS,
    st.sampled_from(["", "", "#"]),
    RELATIONS,
) | st.text(max_size=4)


def whole(text: str) -> Values | str:
    """What the parser and the schema say of a relationship, step by step."""
    try:
        relationship = parse_relationship(text)
        require_allowed(COMPILED, relationship, field="relationship")
    except RelataError as error:
        return error.code
    if f"{relationship.resource.type}#{relationship.relation}" in QUESTION_ONLY:
        return QuestionOnlyError.code
    return to_values(relationship)


def read_text(text: str) -> Values | str | None:
    try:
        return READER.read_text(text)
    except RelataError as error:
        return error.code


def read_json(members: dict[str, object]) -> Values | str | None:
    try:
        return READER.read_json(json.dumps(members))
    except RelataError as error:
        return error.code


@settings(max_examples=600, deadline=None)
@given(RESOURCES, RELATIONS, SUBJECTS, TRAITS)
def test_a_line_is_read_as_the_parser_and_the_schema_say(
    resource: str, relation: str, subject: str, traits: str
) -> None:
    text = f"{resource}#{relation}@{subject}{traits}"
    expected = whole(text)
    if text.startswith("//") and isinstance(expected, str):
        assert read_text(text) is None  # a comment
    else:
        assert read_text(text) == expected


@settings(max_examples=600, deadline=None)
@given(RESOURCES, RELATIONS, SUBJECTS)
def test_json_is_read_part_by_part(resource: str, relation: str, subject: str) -> None:
    """No part may borrow from the next, though the text put together would be a relationship."""
    members: dict[str, object] = {
        "resource": resource,
        "relation": relation,
        "subject": subject,
    }
    separable = "#" not in resource and not set(relation) & {"#", "@"} and "[" not in subject
    found = read_json(members)
    if separable:
        assert found == whole(f"{resource}#{relation}@{subject}")
    else:
        assert isinstance(found, str)


@pytest.mark.parametrize(
    ("resource", "relation", "subject"),
    [
        ("document:a#viewer@user:b", "viewer", "user:c"),
        ("document:a", "viewer@user:b#x", "user:c"),
        ("document:a#viewer", "owner", "user:c"),
        ("document:a", "viewer", "user:c[weekdays]"),
        ("document", "viewer", "user:c"),
    ],
)
def test_json_with_a_part_that_is_more_than_a_part(
    resource: str, relation: str, subject: str
) -> None:
    members: dict[str, object] = {
        "resource": resource,
        "relation": relation,
        "subject": subject,
    }
    assert read_json(members) == "invalid_argument"


@pytest.mark.parametrize("line", LINES)
def test_every_form_is_read(line: str) -> None:
    assert read_text(line) == to_values(parse_relationship(line))


def test_json_has_caveats_and_expirations() -> None:
    members: dict[str, object] = {
        "resource": "document:plan",
        "relation": "guest",
        "subject": "user:dan",
        "caveat": {"name": "weekdays", "context": {"days": 3}},
        "expires_at": "2130-01-01T01:00:00+01:00",
    }
    assert read_json(members) == to_values(
        parse_relationship(
            'document:plan#guest@user:dan[weekdays:{"days":3}][expiration:2130-01-01T00:00:00Z]'
        )
    )
    assert read_json({**members, "caveat": {"name": "weekdays"}, "cursor": "x"}) == to_values(
        parse_relationship(
            "document:plan#guest@user:dan[weekdays][expiration:2130-01-01T00:00:00Z]"
        )
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "the line is no relationship in JSON"),
        ("{", "the line is no relationship in JSON"),
        ("[]", "the line is no relationship in JSON: expected `object`, got `array`"),
        ("{}", "missing required field `resource`"),
        ('{"resource": 1, "relation": "viewer", "subject": "user:a"}', "expected `str`, got `int`"),
        (
            '{"resource": "document:a", "relation": "viewer", "subject": "user:a", "ends": 1}',
            "unknown field `ends`",
        ),
        ('{"resource": "\\ud800"}', "the line is no relationship in JSON"),
        ("[" * 100_000, "the line is no relationship in JSON"),
        (
            '{"resource": "document:a", "relation": "viewer", "subject": "user:a", '
            '"caveat": {"name": "weekdays", "context": {"days": "many"}}}',
            "`days`",
        ),
        (
            '{"resource": "document:a", "relation": "viewer", "subject": "user:a", '
            '"caveat": {"name": "a b"}}',
            "`a b` cannot name a caveat",
        ),
        (
            '{"resource": "document:a", "relation": "guest", "subject": "user:a", '
            '"expires_at": "soon"}',
            "`soon` is not a moment",
        ),
    ],
)
def test_json_that_is_wrong_says_what(line: str, message: str) -> None:
    with pytest.raises(RelataError) as caught:
        READER.read_json(line)
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "document:a#guest@user:a[expiration:2130-01-01T00:00:00Z][weekdays]",
            "write the caveat before the expiration, `[caveat][expiration:moment]`",
        ),
        (
            "document:a#guest@user:a[expiration:2130-01-01T00:00:00Z]"
            "[expiration:2131-01-01T00:00:00Z]",
            "has the expiration before its end",
        ),
        ('document:a#guest@user:a[expiration:{"a":1}][expiration:soon]', "`soon` is not a moment"),
        (
            f'document:a#viewer@user:a[weekdays:{{"days":{"[" * 70}{"]" * 70}}}]',
            "the context is nested more than 64 levels deep",
        ),
        (
            f'document:a#viewer@user:a[weekdays:{{"days":{"[" * 9_000}{"]" * 9_000}}}]',
            "the context is nested more than 64 levels deep",
        ),
        (
            "document:a#viewer@user:a\u200b",
            r"the id 'a\u200b' has U+200B, which is not printable; ids have printable characters",
        ),
        ("document:a\n#viewer@user:a", r"the id 'a\n' has whitespace (U+000A)"),
        ("document:a#viewer@user:a b", "the id 'a b' has whitespace (U+0020)"),
        ("document:a#viewer@user:a]", "the id 'a]' has `]`"),
    ],
)
def test_text_that_is_wrong_says_what(line: str, message: str) -> None:
    with pytest.raises(RelataError) as caught:
        READER.read_text(line)
    assert message in caught.value.message


def test_a_comment_is_no_relationship() -> None:
    assert read_text("// document:readme#viewer@user:anne") is None
    assert read_text("//document:readme#viewer@user:anne") is None


def test_a_relation_for_questions_only_is_not_stored() -> None:
    assert read_text("document:readme#asked_by@user:anne") == QuestionOnlyError.code
