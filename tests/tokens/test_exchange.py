"""The rules of the form: what a request is refused for before anybody asks who is asking."""

from __future__ import annotations

import pytest

from relata.errors import OAuthError
from relata.tokens import JWT, TOKEN_EXCHANGE, TokenRequest
from relata.tokens.exchange import (
    check_form,
    is_scope_token,
    narrowest,
    target_of,
    wished_scope,
)
from tests.tokens.world import asking


def refusal(request: TokenRequest) -> OAuthError:
    with pytest.raises(OAuthError) as caught:
        check_form(request)
    return caught.value


def test_a_form_becomes_a_request() -> None:
    """Fields are read, `audience` may repeat, unknown fields are ignored (RFC 6749, 3.2)."""
    request = TokenRequest.from_form(
        [
            ("grant_type", TOKEN_EXCHANGE),
            ("audience", "a"),
            ("audience", "b"),
            ("resource", "https://c.example"),
            ("favourite_colour", "blue"),
            ("favourite_colour", "red"),
        ]
    )
    assert request == TokenRequest(
        grant_type=TOKEN_EXCHANGE, audience=("a", "b"), resource=("https://c.example",)
    )


def test_an_empty_field_is_as_good_as_none() -> None:
    """RFC 6749, 3.2: a parameter without a value is treated as omitted."""
    assert TokenRequest.from_form([("scope", ""), ("audience", "")]) == TokenRequest()


@pytest.mark.parametrize("name", ["grant_type", "subject_token", "organization", "scope"])
def test_a_repeated_field_is_refused(name: str) -> None:
    """RFC 6749, 3.2: a parameter must not be included more than once."""
    with pytest.raises(OAuthError, match=f"`{name}` is given more than once") as caught:
        TokenRequest.from_form([(name, "one"), (name, "one")])
    assert (caught.value.error, caught.value.field) == ("invalid_request", name)


def test_another_grant_is_unsupported() -> None:
    """RFC 6749, 5.2."""
    assert refusal(asking("t", grant_type="password")).error == "unsupported_grant_type"


@pytest.mark.parametrize("name", ["grant_type", "subject_token", "subject_token_type"])
def test_required_fields_are_missed_by_name(name: str) -> None:
    """RFC 8693, 2.1: these are required."""
    error = refusal(asking("t", **{name: ""}) if name != "subject_token" else asking(""))
    assert (error.error, error.field) == ("invalid_request", name)
    assert error.message == f"`{name}` is missing"


@pytest.mark.parametrize("name", ["actor_token", "actor_token_type"])
def test_an_actor_token_has_a_type(name: str) -> None:
    """RFC 8693, 2.1: one is required where the other is there, and must not be without it."""
    error = refusal(asking("t", **{name: "x"}))
    assert (error.error, error.field) == ("invalid_request", "actor_token")


def test_only_access_tokens_are_issued() -> None:
    """RFC 8693, 2.1: `requested_token_type` names what is wished for."""
    check_form(asking("t", requested_token_type=JWT))
    saml = refusal(asking("t", requested_token_type="urn:ietf:params:oauth:token-type:saml2"))
    assert (saml.error, saml.field) == ("invalid_request", "requested_token_type")


def test_one_target_is_needed() -> None:
    """Without a product there is nothing to issue a token for."""
    with pytest.raises(OAuthError, match="`audience` or `resource` is missing") as caught:
        target_of(asking(audience=()))
    assert caught.value.error == "invalid_request"


@pytest.mark.parametrize(
    ("audience", "resource"),
    [(("a", "b"), ()), ((), ("https://a.example", "https://b.example")), (("a",), ("urn:b",))],
)
def test_more_than_one_target_is_refused(
    audience: tuple[str, ...], resource: tuple[str, ...]
) -> None:
    """One token serves one audience."""
    with pytest.raises(OAuthError, match="one token per audience") as caught:
        target_of(asking(audience=audience, resource=resource))
    assert caught.value.error == "invalid_request"


def test_audience_and_resource_may_say_the_same() -> None:
    """Both name the target; naming it twice is naming one."""
    uri = "https://a.example"
    assert target_of(asking(audience=(uri, uri), resource=(uri,))) == uri
    assert target_of(asking(audience=(), resource=(uri,))) == uri
    assert target_of(asking(audience=("plain",))) == "plain"


@pytest.mark.parametrize("resource", ["wiki", "/wiki", "https://a.example#top", "https://a b"])
def test_a_resource_is_an_absolute_uri_without_fragment(resource: str) -> None:
    """RFC 8707, 2."""
    with pytest.raises(OAuthError, match="absolute URI") as caught:
        target_of(asking(audience=(), resource=(resource,)))
    assert caught.value.error == "invalid_target"


def test_wishes_are_permissions_by_name() -> None:
    """RFC 6749, 3.3: their order has no meaning, and none is as good as no wish."""
    assert wished_scope("") is None
    assert wished_scope("write read write") == frozenset({"read", "write"})


def test_limits_narrow_one_another() -> None:
    assert narrowest() is None
    assert narrowest(None, None) is None
    assert narrowest(None, ["read", "write"]) == frozenset({"read", "write"})
    assert narrowest(["read", "write"], None, ["write", "delete"]) == frozenset({"write"})
    assert narrowest([], ["read"]) == frozenset()


@pytest.mark.parametrize(
    "asked", [" read", "read ", "read  write", 're"ad', "read\twrite", "größe"]
)
def test_malformed_scope_is_refused(asked: str) -> None:
    """RFC 6749, 3.3: scope-tokens of certain characters, separated by single spaces."""
    with pytest.raises(OAuthError, match="malformed") as caught:
        wished_scope(asked)
    assert caught.value.error == "invalid_scope"


def test_what_can_be_written_as_a_scope() -> None:
    """RFC 6749, 3.3: printable ASCII but space, quote and backslash."""
    assert is_scope_token("read:pages/1!~")
    assert not any(is_scope_token(text) for text in ["", "a b", 'a"b', "a\\b", "ä", "\x7f"])


def test_an_error_description_keeps_to_its_characters() -> None:
    """RFC 6749, 5.2: a description has no quotes, backslashes, controls or non-ASCII."""
    error = OAuthError("invalid_request", 'so `ä"\\\n~`', extra={"organizations": ["acme"]})
    assert error.body() == {
        "error": "invalid_request",
        "error_description": "so `????~`",
        "organizations": ["acme"],
    }
