"""Audiences: what a name stands for, and which names stand for nothing."""

from __future__ import annotations

import contextlib
import multiprocessing
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relata.errors import (
    AudienceConflictError,
    InvalidArgumentError,
    NotFoundError,
    OAuthError,
    StoreError,
)
from relata.store import Store
from relata.tokens import TokenService
from relata.tokens.audiences import (
    KIND,
    Audience,
    Audiences,
    Target,
    could_match_both,
    read_audience,
)
from relata.tokens.claim_mappings import ClaimMapping, Lookup
from relata.tokens.enrichment import Enrichment
from relata.tokens.holdings import not_available
from tests.tokens.identity import LocalIssuer
from tests.tokens.world import EDITOR, SHOP, asking, issue

BY_HOST = "https://{organization}.api.example.com"
BY_PATH = "https://api.example.com/v1/{organization}/wiki"


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    store = Store.open("sqlite://")
    yield store
    store.close()


@pytest.fixture
def audiences(store: Store) -> Audiences:
    for audience_id, _ in store.records.list(KIND, limit=10_000):
        store.records.delete(KIND, audience_id)
    return Audiences(store)


def audience(audience_id: str, *products: str, **settings: Any) -> Audience:
    return Audience(id=audience_id, products=products or ("wiki",), **settings)


def organization_of(audiences: Audiences, name: str) -> str | None:
    return audiences.resolve(name).organization


def resolved(audiences: Audiences, name: str) -> Target | None:
    """What a name stands for, None where it is refused."""
    try:
        return audiences.resolve(name)
    except OAuthError:
        return None


def test_a_product_needs_no_registration(audiences: Audiences) -> None:
    assert audiences.resolve("wiki") == Target("wiki", audience("wiki", "wiki"))
    target = audiences.resolve("https://shop.example/api")
    assert (target.products, target.organization) == (("https://shop.example/api",), None)


def test_a_registered_name_comes_before_a_product_of_that_id(audiences: Audiences) -> None:
    audiences.create(audience("wiki", "wiki", lifetime=60))
    assert audiences.resolve("wiki").settings.lifetime == 60


def test_one_audience_over_several_products(audiences: Audiences) -> None:
    audiences.create(audience("https://suite.example.com", "wiki", "shop", "mail"))
    target = audiences.resolve("https://suite.example.com")
    assert target.products == ("wiki", "shop", "mail")
    assert target.audience == "https://suite.example.com"


@pytest.mark.parametrize("organization", ["acme", "a", "a1", "acme-2", "4ever", "a" * 63, "a-b--c"])
def test_a_template_yields_the_organization(audiences: Audiences, organization: str) -> None:
    audiences.create(audience(BY_HOST))
    name = f"https://{organization}.api.example.com"
    assert audiences.resolve(name) == Target(name, audience(BY_HOST), organization)


@pytest.mark.parametrize("organization", ["acme", "Acme", "a.b", "a_b", "~me", "x" * 255])
def test_a_template_in_a_path(audiences: Audiences, organization: str) -> None:
    """There case counts, as it does in ids."""
    audiences.create(audience(BY_PATH))
    name = f"https://api.example.com/v1/{organization}/wiki"
    assert organization_of(audiences, name) == organization


NOT_BY_HOST = {
    "upper case in the label": "https://Acme.api.example.com",
    "upper case in the domain": "https://acme.API.example.com",
    "upper case in the scheme": "HTTPS://acme.api.example.com",
    "another scheme": "http://acme.api.example.com",
    "another domain": "https://acme.api.example.org",
    "a longer domain": "https://acme.api.example.com.evil.example",
    "a domain that ends alike": "https://acme.evil-api.example.com",
    "no organization": "https://api.example.com",
    "an empty label": "https://.api.example.com",
    "two labels": "https://acme.evil.api.example.com",
    "a wildcard": "https://*.api.example.com",
    "an underscore": "https://ac_me.api.example.com",
    "a hyphen in front": "https://-acme.api.example.com",
    "a hyphen at the end": "https://acme-.api.example.com",
    "64 characters": f"https://{'a' * 64}.api.example.com",
    "an encoded dot": "https://acme%2eevil.api.example.com",
    "an encoded letter": "https://%61cme.api.example.com",
    "an encoded slash": "https://acme%2f.api.example.com",
    "an encoded dot of the domain": "https://acme.api%2eexample.com",
    "a Cyrillic lookalike": "https://\u0430cme.api.example.com",
    "a full-width letter": "https://\uff41cme.api.example.com",
    "an ideographic full stop": "https://acme\u3002api.example.com",
    "a long s": "https://acme\u017f.api.example.com",
    "a zero-width joiner": "https://ac\u200dme.api.example.com",
    "punycode": "https://xn--cme-7cd.api.example.com",
    "another reserved prefix": "https://ab--acme.api.example.com",
    "an unwritten port": "https://acme.api.example.com:443",
    "another port": "https://acme.api.example.com:8443",
    "an empty port": "https://acme.api.example.com:",
    "a trailing dot": "https://acme.api.example.com.",
    "a trailing slash": "https://acme.api.example.com/",
    "a path": "https://acme.api.example.com/v1",
    "a query": "https://acme.api.example.com?x=1",
    "a fragment": "https://acme.api.example.com#x",
    "a user": "https://evil@acme.api.example.com",
    "a user that looks like it": "https://acme.api.example.com@evil.example",
    "a backslash": "https://acme.api.example.com\\@evil.example",
    "a space": " https://acme.api.example.com",
    "a newline": "https://acme.api.example.com\n",
    "a tab": "https://ac\tme.api.example.com",
    "a null": "https://acme\x00.api.example.com",
    "no slashes": "https:acme.api.example.com",
    "three slashes": "https:///acme.api.example.com",
    "the template itself": BY_HOST,
    "a variable of another name": "https://{org}.api.example.com",
    "half a surrogate pair": "https://\ud800.api.example.com",
}


@pytest.mark.parametrize("name", NOT_BY_HOST.values(), ids=NOT_BY_HOST)
def test_what_only_looks_like_a_template_yields_no_organization(
    audiences: Audiences, name: str
) -> None:
    """It is a product's id, which the graph does not know, or can be none at all."""
    audiences.create(audience(BY_HOST))
    target = resolved(audiences, name)
    assert target is None or (target.organization, target.products) == (None, (name,))


NOT_BY_PATH = {
    "a dot segment": "https://api.example.com/v1/./wiki",
    "a double dot segment": "https://api.example.com/v1/../wiki",
    "a hidden name": "https://api.example.com/v1/.acme/wiki",
    "an empty segment": "https://api.example.com/v1//wiki",
    "two segments": "https://api.example.com/v1/acme/x/wiki",
    "an encoded slash": "https://api.example.com/v1/acme%2Fx/wiki",
    "an encoded letter": "https://api.example.com/v1/%61cme/wiki",
    "a parameter": "https://api.example.com/v1/acme;x/wiki",
    "a colon": "https://api.example.com/v1/user:acme/wiki",
    "a lookalike": "https://api.example.com/v1/\u0430cme/wiki",
    "a query": "https://api.example.com/v1/acme/wiki?x",
    "other case": "https://api.example.com/V1/acme/wiki",
    "a trailing slash": "https://api.example.com/v1/acme/wiki/",
    "256 characters": f"https://api.example.com/v1/{'x' * 256}/wiki",
}


@pytest.mark.parametrize("name", NOT_BY_PATH.values(), ids=NOT_BY_PATH)
def test_what_only_looks_like_a_template_in_a_path(audiences: Audiences, name: str) -> None:
    audiences.create(audience(BY_PATH))
    assert organization_of(audiences, name) is None


@given(st.text(max_size=20))
def test_what_a_template_yields_is_what_stands_there(store: Store, organization: str) -> None:
    """And nothing that was made of it: one organization, one name."""
    store.records.put(KIND, BY_HOST, msgspec.json.encode(audience(BY_HOST)))
    target = resolved(Audiences(store), BY_HOST.replace("{organization}", organization))
    assert target is None or target.organization in (None, organization)


def test_other_templates_of_ports_and_slashes(audiences: Audiences) -> None:
    """What a template writes, a name writes too."""
    audiences.create(audience("https://{organization}.api.example.com:8443"))
    audiences.create(audience("https://{organization}.api.example.com/"))
    audiences.create(audience("http://localhost:8000/{organization}"))
    audiences.create(audience("https://{organization}.xn--bcher-kva.example"))
    for name in (
        "https://acme.api.example.com:8443",
        "https://acme.api.example.com/",
        "http://localhost:8000/acme",
        "https://acme.xn--bcher-kva.example",
    ):
        assert organization_of(audiences, name) == "acme"
    assert organization_of(audiences, "https://acme.api.example.com") is None


def test_a_refused_name_is_refused_as_an_unknown_product_is(audiences: Audiences) -> None:
    """The wording tells nobody which audiences and templates there are."""
    with pytest.raises(OAuthError) as caught:
        audiences.resolve(BY_HOST)
    expected = not_available(BY_HOST)
    assert caught.value.body() == expected.body()
    assert caught.value.field == expected.field


@pytest.mark.parametrize("name", ["", " ", "a b", "a#b", "a[b]", "*", "x" * 1025, "{", "a\nb"])
def test_what_can_be_no_product_stands_for_nothing(audiences: Audiences, name: str) -> None:
    with pytest.raises(OAuthError) as caught:
        audiences.resolve(name)
    assert caught.value.error == "invalid_target"


def test_a_name_of_very_many_parts_is_not_looked_up_part_by_part(audiences: Audiences) -> None:
    audiences.create(audience(BY_HOST))
    assert organization_of(audiences, f"https://{'a.' * 400}com") is None


@pytest.mark.parametrize(
    "template",
    [
        "{organization}",
        "https://{organization}",
        "https://{organization}:8443",
        "https://x{organization}.example.com",
        "https://{organization}-api.example.com",
        "https://{organization}.{organization}.example.com",
        "https://{organization}.example.com/{organization}",
        "https://{organization}.{product}.example.com",
        "https://{org}.example.com",
        "https://{Organization}.example.com",
        "https://{{organization}}.example.com",
        "https://{organization.example.com",
        "https://{}.example.com",
        "https://{organization}.Example.com",
        "https://{organization}.example.com.",
        "https://{organization}..example.com",
        "https://{organization}.ex%61mple.com",
        "https://{organization}.ex_ample.com",
        "https://{organization}.example.com:",
        "https://{organization}.example.com:0",
        "https://{organization}.example.com:{port}",
        "https://user@{organization}.example.com",
        "https://{organization}.example.com//",
        "https://{organization}.example.com/a//b",
        "https://{organization}.example.com/../b",
        "https://{organization}.example.com?x=1",
        "https://example.com/v1-{organization}",
        "https://example.com/?organization={organization}",
        "HTTPS://{organization}.example.com",
        "{organization}://example.com",
        "urn:example:{organization}",
        "https://{organization}." + "a." * 20 + "com",
    ],
)
def test_a_template_has_one_variable_as_a_whole_part(template: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        audience(template)
    assert caught.value.field == "id"


CONFUSABLE = [
    (BY_HOST, "https://acme.api.example.com"),
    (BY_HOST, "https://www.{organization}.example.com"),
    (BY_HOST, "https://{organization}.api.example.com"),
    (BY_PATH, "https://api.example.com/v1/acme/{organization}"),
    (BY_PATH, "https://api.example.com/v1/Acme/wiki"),
    ("https://{organization}.example.com/v1", "https://api.example.com/{organization}"),
]
DISTINCT = [
    (BY_HOST, "https://api.example.com"),
    (BY_HOST, "https://ACME.api.example.com"),
    (BY_HOST, "https://xn--cme-7cd.api.example.com"),
    (BY_HOST, "https://acme.api.example.com/v1"),
    (BY_HOST, "https://{organization}.api.example.com/v1"),
    (BY_HOST, "https://{organization}.api.example.com:8443"),
    (BY_HOST, "http://{organization}.api.example.com"),
    (BY_HOST, "https://{organization}.api.example.org"),
    (BY_HOST, "https://{organization}.www.example.com"),
    (BY_HOST, "wiki"),
    (BY_PATH, "https://api.example.com/v1/.acme/wiki"),
    (BY_PATH, "https://api.example.com/v2/{organization}/wiki"),
    ("wiki", "Wiki"),
]


@pytest.mark.parametrize(("first", "second"), CONFUSABLE)
def test_names_that_could_be_both_are_refused(
    audiences: Audiences, first: str, second: str
) -> None:
    """Whichever comes first."""
    assert could_match_both(first, second)
    assert could_match_both(second, first)
    for one, other in ((first, second), (second, first)):
        audiences.create(audience(one))
        with pytest.raises(AudienceConflictError) as caught:
            audiences.create(audience(other))
        assert caught.value.field == "id"
        assert [it.id for it in audiences.list()] == [one]
        assert audiences.delete(one)


@pytest.mark.parametrize(("first", "second"), DISTINCT)
def test_names_that_cannot_be_both_stand_beside_each_other(
    audiences: Audiences, first: str, second: str
) -> None:
    assert not could_match_both(first, second)
    assert not could_match_both(second, first)
    audiences.create(audience(first))
    audiences.create(audience(second))
    assert len(audiences.list()) == 2


_WORDS = st.sampled_from(["a", "b", "{organization}"])
_ADDRESSES = st.builds(
    lambda labels, segments: f"https://{'.'.join(labels)}" + "".join(f"/{it}" for it in segments),
    st.lists(_WORDS, min_size=2, max_size=3),
    st.lists(_WORDS, max_size=2),
).filter(lambda address: address.count("{") <= 1)


@given(_ADDRESSES, _ADDRESSES)
def test_confusable_are_the_ids_that_share_a_name(first: str, second: str) -> None:
    """Against the definition: all names that either stands for, written out."""
    shared = {first.replace("{organization}", word) for word in ("a", "b", "c")} & {
        second.replace("{organization}", word) for word in ("a", "b", "c")
    }
    assert could_match_both(first, second) is bool(shared)


def test_an_id_is_registered_once(audiences: Audiences) -> None:
    audiences.create(audience("wiki", lifetime=60))
    with pytest.raises(AudienceConflictError, match="exists") as caught:
        audiences.create(audience("wiki"))
    assert caught.value.field == "id"
    assert audiences.resolve("wiki").settings.lifetime == 60


def test_what_is_registered_can_be_replaced_and_removed(audiences: Audiences) -> None:
    audiences.create(audience(BY_HOST, lifetime=60))
    audiences.replace(audience(BY_HOST, "shop", lifetime=30))
    assert audiences.get(BY_HOST) == audience(BY_HOST, "shop", lifetime=30)
    assert audiences.delete(BY_HOST)
    assert not audiences.delete(BY_HOST)
    assert audiences.get(BY_HOST) is None
    with pytest.raises(NotFoundError):
        audiences.replace(audience(BY_HOST))


def test_all_settings_are_kept(audiences: Audiences) -> None:
    full = audience(
        BY_HOST,
        "wiki",
        "shop",
        lifetime=60,
        max_bytes=8192,
        encoding="bitset",
        signing_algorithm="EdDSA",
        enrichment=Enrichment(url="https://facts.example/claims", claim="ext", timeout=1.5),
        claims=(
            ClaimMapping(claim="plan", attribute="plan"),
            ClaimMapping(claim="datasets", lookup=Lookup("dataset", "visible"), may_leave=True),
        ),
    )
    audiences.create(full)
    assert audiences.list() == (full,)
    assert audiences.resolve("https://acme.api.example.com").settings == full
    assert full.claims_that_may_leave == ("datasets",)


def test_there_may_be_more_audiences_than_a_page(store: Store, audiences: Audiences) -> None:
    """The last of 1,001 is still compared with a new one."""
    for number in range(1001):
        name = f"https://org{number:04}.api.example.com"
        store.records.put(KIND, name, b'{"id": "%b", "products": ["wiki"]}' % name.encode())
    assert len(audiences.list()) == 1001
    with pytest.raises(AudienceConflictError):
        audiences.create(audience(BY_HOST))


def test_what_another_process_stored_by_other_rules_is_a_fault_of_the_store(
    store: Store, audiences: Audiences
) -> None:
    for document in (b"{", b"[]", b'{"id": "wiki", "products": []}'):
        store.records.put(KIND, "wiki", document)
        with pytest.raises(StoreError, match="`wiki` is malformed"):
            audiences.resolve("wiki")


def _register(url: str, ids: tuple[str, ...], together: Any) -> None:
    store = Store.open(url)
    audiences = Audiences(store)
    for audience_id in ids:
        together.wait(timeout=30)
        with contextlib.suppress(AudienceConflictError):
            audiences.create(Audience(id=audience_id, products=("wiki",)))
    store.close()


def test_two_processes_cannot_register_what_is_ambiguous(tmp_path: Path) -> None:
    """Of each pair that one name could match exactly one is there at the end."""
    url = f"sqlite:///{tmp_path / 'relata.db'}"
    store = Store.open(url)
    pairs = [
        (
            f"https://{{organization}}.api{number}.example.com",
            f"https://acme.api{number}.example.com",
        )
        for number in range(10)
    ]
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(2)
    processes = [
        context.Process(target=_register, args=(url, ids, together))
        for ids in zip(*pairs, strict=True)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    registered = {it.id for it in Audiences(store).list()}
    store.close()
    assert [process.exitcode for process in processes] == [0, 0]
    assert [len(registered & set(pair)) for pair in pairs] == [1] * len(pairs)


def test_threads_that_register_one_id(audiences: Audiences) -> None:
    together = threading.Barrier(4)
    outcomes: list[bool] = []

    def register() -> None:
        together.wait()
        try:
            audiences.create(audience("wiki"))
        except AudienceConflictError:
            outcomes.append(False)
        else:
            outcomes.append(True)

    threads = [threading.Thread(target=register) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [False, False, False, True]


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({}, ""),
        ({"id": "wiki"}, ""),
        ({"id": 5, "products": ["wiki"]}, "id"),
        ({"id": "", "products": ["wiki"]}, "id"),
        ({"id": "wi ki", "products": ["wiki"]}, "id"),
        ({"products": []}, "products"),
        ({"products": "wiki"}, "products"),
        ({"products": [5]}, "products[0]"),
        ({"products": ["wiki", "a b"]}, "products[1]"),
        ({"products": ["wiki", "wiki"]}, "products[1]"),
        ({"products": [f"p{number}" for number in range(101)]}, "products"),
        ({"lifetime": 0}, "lifetime"),
        ({"lifetime": 86_401}, "lifetime"),
        ({"lifetime": "60"}, "lifetime"),
        ({"max_bytes": 1023}, "max_bytes"),
        ({"max_bytes": 8193}, "max_bytes"),
        ({"encoding": "bits"}, "encoding"),
        ({"signing_algorithm": "none"}, "signing_algorithm"),
        ({"signing_algorithm": "HS256"}, "signing_algorithm"),
        ({"colour": "red"}, ""),
        ({"enrichment": "https://facts.example"}, "enrichment"),
        ({"enrichment": {}}, "enrichment"),
        ({"enrichment": {"url": "http://facts.example"}}, "enrichment.url"),
        ({"enrichment": {"url": "https://facts.example", "timeout": "2"}}, "enrichment.timeout"),
        ({"enrichment": {"url": "https://facts.example", "claim": "sub"}}, "enrichment.claim"),
        ({"claims": {}}, "claims"),
        ({"claims": [{"claim": "plan"}]}, "claims[0].attribute"),
        ({"claims": [{"claim": "sub", "attribute": "plan"}]}, "claims[0].claim"),
        (
            {"claims": [{"claim": "x", "lookup": {"resource_type": "a", "permission": 5}}]},
            "claims[0].lookup.permission",
        ),
        (
            {"claims": [{"claim": "x", "attribute": "a"}, {"claim": "x", "attribute": "b"}]},
            "claims[1].claim",
        ),
        (
            {
                "enrichment": {"url": "https://facts.example"},
                "claims": [{"claim": "ext", "attribute": "a"}],
            },
            "claims[0].claim",
        ),
    ],
    ids=repr,
)
def test_a_malformed_audience_is_refused_where_it_is_wrong(
    document: dict[str, Any], field: str
) -> None:
    whole = document if "id" in document or not document else {"id": "wiki", **document}
    if "id" not in document and document and "products" not in document:
        whole["products"] = ["wiki"]
    with pytest.raises(InvalidArgumentError) as caught:
        read_audience(whole)
    assert caught.value.field == field
    assert not caught.value.message[0].isupper()


def test_a_malformed_enrichment_keeps_secrets_out_of_the_message() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        read_audience(
            {
                "id": "wiki",
                "products": ["wiki"],
                "enrichment": {"url": "https://me:hunter2@facts.example"},
            }
        )
    assert "hunter2" not in caught.value.message


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def test_the_token_of_a_template_is_for_its_organization_alone(
    service: TokenService, issuer: LocalIssuer
) -> None:
    """Anne is in both; the name chooses, and `aud` is the name."""
    service.audiences.create(audience(BY_HOST, "wiki"))
    for organization in ("acme", "globex"):
        name = f"https://{organization}.api.example.com"
        token = issue(service, asking(issuer.token(), audience=(name,), organization=""))
        claims = claims_of(token.access_token)
        assert (claims["aud"], claims["org_id"]) == (name, organization)


@pytest.mark.parametrize(
    ("sub", "name", "organization"),
    [
        ("anne", "https://acme.api.example.com", "globex"),  # hers, but not the name's
        ("anne", "https://initech.api.example.com", ""),  # somebody else's
        ("anne", "https://initech.api.example.com", "acme"),
        ("anne", "https://nobody.api.example.com", ""),
        ("anne", "https://ACME.api.example.com", "acme"),  # no name of the template
    ],
)
def test_a_name_gives_nobody_an_organization(
    service: TokenService, issuer: LocalIssuer, sub: str, name: str, organization: str
) -> None:
    service.audiences.create(audience(BY_HOST, "wiki"))
    with pytest.raises(OAuthError) as caught:
        issue(service, asking(issuer.token(sub), audience=(name,), organization=organization))
    assert caught.value.error in ("invalid_request", "invalid_target")


def test_a_logical_audience_says_which_product_a_permission_is_of(
    service: TokenService, issuer: LocalIssuer
) -> None:
    service.audiences.create(audience("https://suite.example.com", "wiki", SHOP))
    token = issue(service, asking(issuer.token(), audience=("https://suite.example.com",)))
    claims = claims_of(token.access_token)
    assert claims["permissions"] == sorted([*EDITOR, "buy"])
    assert claims["products"] == {"wiki": list(EDITOR), SHOP: ["buy"]}


def test_a_token_is_made_as_its_audience_says(service: TokenService, issuer: LocalIssuer) -> None:
    service.audiences.create(audience("wiki", "wiki", lifetime=42, signing_algorithm="EdDSA"))
    token = issue(service, asking(issuer.token())).access_token
    claims = claims_of(token)
    assert claims["exp"] - claims["iat"] == 42
    assert jwt.get_unverified_header(token)["alg"] == "EdDSA"
