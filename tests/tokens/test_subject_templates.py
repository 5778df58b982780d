"""From claims to an object: what a template makes, and what no claim can make of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from relata.errors import InvalidArgumentError
from relata.relationships import SubjectRef
from relata.tokens.subject_templates import SubjectError, SubjectTemplate

TENANT = "https://id.example/tenant"


def subject(template: str, **claims: Any) -> SubjectRef:
    return SubjectTemplate(template, field="subject").subject_of(claims)


def reason(template: str, **claims: Any) -> str:
    with pytest.raises(SubjectError) as caught:
        subject(template, **claims)
    return str(caught.value)


@pytest.mark.parametrize(
    ("template", "claims", "made"),
    [
        ("user:{sub}", {"sub": "anne"}, SubjectRef("user", "anne")),
        ("acme/user:{sub}", {"sub": "anne"}, SubjectRef("acme/user", "anne")),
        ("user:google/{sub}", {"sub": "7"}, SubjectRef("user", "google/7")),
        ("user:{tid}.{oid}", {"tid": "t", "oid": "o.p"}, SubjectRef("user", "t.o.p")),
        (f"user:{{{TENANT}}}/{{sub}}", {TENANT: "t", "sub": "7"}, SubjectRef("user", "t/7")),
        ("user:{sub}@{sub}!", {"sub": "anne"}, SubjectRef("user", "anne@anne!")),
    ],
)
def test_what_a_template_makes(template: str, claims: dict[str, Any], made: SubjectRef) -> None:
    assert subject(template, **claims) == made


@pytest.mark.parametrize(
    "sub", ["organization:acme", "organization:acme@x", "a%3Ab", "a%2Fb", "%23", "a/../b", "{sub}"]
)
def test_a_claim_chooses_neither_type_nor_relation(sub: str) -> None:
    """The type ends at the template's own colon, and nothing is decoded or filled in twice."""
    assert subject("user:{sub}", sub=sub) == SubjectRef("user", sub)


@pytest.mark.parametrize("sub", ["*", "anne#member", "a b", "[x]", "a\n", "\x00", "\ud800"])
def test_a_claim_that_no_id_can_have(sub: str) -> None:
    """Neither a wildcard nor a userset comes out of a claim."""
    assert reason("user:{sub}", sub=sub) == "its `sub` cannot be the id of an object"


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({}, "it has no `org`"),
        ({"org": None, "sub": "a"}, "it has no `org`"),
        ({"org": "acme"}, "it has no `sub`"),
        ({"org": 7, "sub": "a"}, "its `org` is not a string"),
        ({"org": ["acme"], "sub": "a"}, "its `org` is not a string"),
        ({"org": True, "sub": "a"}, "its `org` is not a string"),
        ({"org": "", "sub": "a"}, "its `org` cannot be part of the id of an object"),
        ({"org": "acme", "sub": ""}, "its `sub` cannot be part of the id of an object"),
        ({"org": "a/b", "sub": "c"}, "its `org` cannot be part of the id of an object"),
        ({"org": "a", "sub": "x" * 1024}, "its `org` and `sub` cannot be the id of an object"),
    ],
    ids=str,
)
def test_a_claim_that_is_missing_or_of_no_use(claims: dict[str, Any], why: str) -> None:
    assert reason("user:{org}/{sub}", **claims) == why


@pytest.mark.parametrize(
    ("claim", "flag"), [("email", "email_verified"), ("phone_number", "phone_number_verified")]
)
@pytest.mark.parametrize("verified", [False, None, "true", 1])
def test_an_address_that_nobody_verified(claim: str, flag: str, verified: object) -> None:
    """OpenID Connect Core, 5.1: whoever may write any address would be anybody."""
    template = f"user:{{{claim}}}"
    assert (
        reason(template, **{claim: "a@b.example", flag: verified})
        == f"its `{claim}` is not verified"
    )
    assert reason(template, **{claim: "a@b.example"}) == f"its `{claim}` is not verified"
    made = subject(template, **{claim: "a@b.example", flag: True})
    assert made == SubjectRef("user", "a@b.example")


@pytest.mark.parametrize(
    "template",
    [
        "",
        ":",
        "user",
        "user:",
        "user:anne",
        "user:{}",
        "{sub}",
        "{type}:{sub}",
        "u{type}er:{sub}",
        "User:{sub}",
        " user:{sub}",
        "user:{sub",
        "user:sub}",
        "user:{{sub}}",
        "user:{sub}}",
        "user:{a}{b}",
        "user:#{sub}",
        "user:{sub}#member",
        "user:a {sub}",
        "user:" + "x" * 1024 + "{sub}",
    ],
)
def test_a_template_that_is_none(template: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        SubjectTemplate(template, field="client_subject")
    assert caught.value.field == "client_subject"


_texts = st.text("ab/-:.", max_size=4)


@given(
    separator=st.text("/-", min_size=1, max_size=3),
    one=st.tuples(_texts, _texts),
    other=st.tuples(_texts, _texts),
)
def test_different_claims_never_make_the_same_object(
    separator: str, one: tuple[str, str], other: tuple[str, str]
) -> None:
    """Else somebody at one organization could pass for somebody at another."""
    assume(one != other)
    template = SubjectTemplate(f"user:{{org}}{separator}{{sub}}", field="subject")
    made = []
    for org, sub in (one, other):
        try:
            made.append(template.subject_of({"org": org, "sub": sub}))
        except SubjectError:
            return
    assert made[0] != made[1]


@given(claims=st.dictionaries(st.sampled_from(["org", "sub"]), st.text(max_size=5)))
def test_whatever_the_claims_the_object_is_of_the_template_s_type(claims: dict[str, str]) -> None:
    """Or there is none."""
    try:
        made = SubjectTemplate("user:{org}/{sub}", field="subject").subject_of(claims)
    except SubjectError:
        return
    assert (made.type, made.relation, made.is_wildcard) == ("user", "", False)
    assert made.id == f"{claims['org']}/{claims['sub']}"
