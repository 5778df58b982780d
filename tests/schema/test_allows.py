"""What a schema lets be stored, and how it says what it does not."""

from __future__ import annotations

import pytest

from relata.errors import (
    InvalidArgumentError,
    PermissionNotWritableError,
    SubjectNotAllowedError,
    UnknownCaveatError,
    UnknownDefinitionError,
    UnknownRelationError,
)
from relata.relationships import parse_relationship
from relata.schema import compile_schema, require_allowed

SCHEMA = compile_schema("""use expiration
caveat weekday(day int) { day < 6 }
caveat holiday(day int) { day > 5 }
definition user {}
definition group { relation member: user
}
definition document {
 relation owner: user
 relation viewer: user with weekday | user with holiday and expiration | group#member
 relation public: user:* with expiration | user:*
 relation maybe: user | user with weekday
 relation lent: user with weekday and expiration;relation leased: user with expiration
 permission view = viewer
}
""")
UNTIL = "[expiration:2030-01-01T00:00:00Z]"


def ask(text: str, *, deleting: bool = False) -> None:
    """Require that `document:1#text` is allowed."""
    relationship = parse_relationship(f"document:1#{text}")
    require_allowed(SCHEMA, relationship, field="it", deleting=deleting)


ALLOWED = [
    "owner@user:anne",
    "viewer@user:anne[weekday]",
    'viewer@user:anne[weekday:{"day":1}]',
    f"viewer@user:anne[holiday]{UNTIL}",
    "viewer@group:eng#member",
    f"public@user:*{UNTIL}",
    "public@user:*",
    "maybe@user:anne",
    "maybe@user:anne[weekday]",
    f"lent@user:anne[weekday]{UNTIL}",
    f"leased@user:anne{UNTIL}",
]


@pytest.mark.parametrize("text", ALLOWED)
def test_allowed(text: str) -> None:
    ask(text)
    ask(text, deleting=True)


REFUSED = [
    (
        "owner@user:*",
        SubjectNotAllowedError,
        "`document#owner` does not allow the subject `user:*`; it allows `user`",
    ),
    (
        "owner@group:eng#member",
        SubjectNotAllowedError,
        "`document#owner` does not allow the subject `group#member`; it allows `user`",
    ),
    (
        "owner@user:anne[weekday]",
        SubjectNotAllowedError,
        "`document#owner` does not allow a caveat for the subject `user`; it allows `user`",
    ),
    (
        f"owner@user:anne{UNTIL}",
        SubjectNotAllowedError,
        "`document#owner` does not allow an expiration for the subject `user`; it allows `user`",
    ),
    (
        "viewer@group:eng[weekday]",
        SubjectNotAllowedError,
        "`document#viewer` does not allow the subject `group with weekday`; it allows "
        "`user with weekday`, `user with holiday and expiration`, `group#member`",
    ),
    (
        "viewer@user:anne",
        SubjectNotAllowedError,
        "`document#viewer` needs one of the caveats `holiday`, `weekday` for the subject `user`; "
        "it allows `user with weekday`, `user with holiday and expiration`, `group#member`",
    ),
    (
        "viewer@user:anne[holiday]",
        SubjectNotAllowedError,
        "`document#viewer` needs an expiration for the subject `user`; it allows ",
    ),
    (
        f"viewer@user:anne[weekday]{UNTIL}",
        SubjectNotAllowedError,
        "`document#viewer` does not allow an expiration for the subject `user`; it allows ",
    ),
    (
        "public@user:*[weekday]",
        SubjectNotAllowedError,
        "`document#public` does not allow a caveat for the subject `user:*`; it allows ",
    ),
    (
        "lent@user:anne[holiday]",
        SubjectNotAllowedError,
        "`document#lent` does not allow the caveat `holiday` for the subject `user`; "
        "it allows `user with weekday and expiration`",
    ),
    (
        f"lent@user:anne{UNTIL}",
        SubjectNotAllowedError,
        "`document#lent` needs the caveat `weekday` for the subject `user`; it allows ",
    ),
    (
        "leased@user:anne",
        SubjectNotAllowedError,
        "`document#leased` needs an expiration for the subject `user`; it allows ",
    ),
    (
        "viewer@user:anne[weekdays]",
        UnknownCaveatError,
        "the schema has no caveat `weekdays`; did you mean `weekday`?",
    ),
    ("viewer@user:anne[nope]", UnknownCaveatError, "the schema has no caveat `nope`"),
    (
        "owner@usr:anne",
        UnknownDefinitionError,
        "the schema has no definition `usr`, the subject's type; did you mean `user`?",
    ),
    (
        "owners@user:anne",
        UnknownRelationError,
        "the definition `document` has no relation `owners`; did you mean `owner`?",
    ),
    (
        "view@user:anne",
        PermissionNotWritableError,
        "`document#view` is a permission, which is computed; "
        "write a relationship of one of its relations",
    ),
]


@pytest.mark.parametrize(("text", "error", "message"), REFUSED)
def test_refused(text: str, error: type[InvalidArgumentError], message: str) -> None:
    with pytest.raises(error) as caught:
        ask(text)
    assert type(caught.value) is error
    assert caught.value.message.startswith(message)
    assert caught.value.field == "it"


def test_an_unknown_definition_is_told_with_one_like_it() -> None:
    with pytest.raises(UnknownDefinitionError) as caught:
        require_allowed(SCHEMA, parse_relationship("documents:1#owner@user:anne"), field="it")
    assert caught.value.message == (
        "the schema has no definition `documents`; did you mean `document`?"
    )


@pytest.mark.parametrize(
    "text", ["viewer@user:anne", "public@user:*", "lent@user:anne", "leased@user:anne"]
)
def test_a_delete_needs_neither_caveat_nor_expiration(text: str) -> None:
    ask(text, deleting=True)


@pytest.mark.parametrize(
    "text",
    [
        "viewer@user:*",
        "viewer@group:eng",
        "viewer@user:anne[holiday]",
        f"lent@user:anne{UNTIL}",
        "owner@user:anne[weekday]",
        "viewer@user:anne[nope]",
    ],
)
def test_a_delete_of_what_cannot_be_is_refused(text: str) -> None:
    """What it does give must be right, for it may be a mistake."""
    with pytest.raises(InvalidArgumentError):
        ask(text, deleting=True)
