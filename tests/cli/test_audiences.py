"""`relata audiences`: what is registered, shown, changed and removed."""

from __future__ import annotations

import json

import pytest

from relata.authorizer import Relata
from relata.tokens.audiences import Audience, Audiences
from relata.tokens.claim_mappings import ClaimMapping, Lookup
from relata.tokens.enrichment import Enrichment
from tests.cli.commands import Commands

TEMPLATE = "https://{organization}.api.example.com"
ENRICHMENT = '{"url": "https://facts.example/claims", "on_failure": "omit"}'
PLAN = '{"claim": "plan", "attribute": "plan"}'
DOCUMENTS = (
    '{"claim": "documents", "may_leave": true,'
    ' "lookup": {"resource_type": "document", "permission": "view"}}'
)
FULL = (
    *("audiences", "create", TEMPLATE, "--product", "wiki", "--product", "shop"),
    *("--lifetime", "60", "--max-bytes", "8192", "--encoding", "bitset"),
    *("--signing-algorithm", "EdDSA", "--enrichment", ENRICHMENT),
    *("--claim", PLAN, "--claim", DOCUMENTS),
)
REGISTERED = Audience(
    id=TEMPLATE,
    products=("wiki", "shop"),
    lifetime=60,
    max_bytes=8192,
    encoding="bitset",
    signing_algorithm="EdDSA",
    enrichment=Enrichment(url="https://facts.example/claims", on_failure="omit"),
    claims=(
        ClaimMapping(claim="plan", attribute="plan"),
        ClaimMapping(claim="documents", lookup=Lookup("document", "view"), may_leave=True),
    ),
)


def test_an_audience_is_registered_and_printed(cli: Commands, relata: Relata) -> None:
    printed = cli("audiences", "create", "suite", "--product", "wiki", "--product", "shop")
    assert (printed.code, printed.err) == (0, "")
    assert printed.lines == [
        "id: suite",
        "products: wiki shop",
        "max_bytes: 4096",
        "encoding: names",
    ]
    registered = Audiences(relata.store).get("suite")
    assert registered == Audience(id="suite", products=("wiki", "shop"))


def test_every_setting_has_an_option(cli: Commands, relata: Relata) -> None:
    assert cli(*FULL).code == 0
    assert Audiences(relata.store).list() == (REGISTERED,)


def test_what_is_registered_is_shown(cli: Commands) -> None:
    cli(*FULL)
    lines = cli("audiences", "show", TEMPLATE).lines
    assert lines[:6] == [
        f"id: {TEMPLATE}",
        "products: wiki shop",
        "lifetime: 60",
        "max_bytes: 8192",
        "encoding: bitset",
        "signing_algorithm: EdDSA",
    ]
    assert [line.partition(": ")[0] for line in lines[6:]] == ["enrichment", "claims"]
    assert json.loads(lines[7].partition(": ")[2])[0]["claim"] == "plan"


def test_json_has_the_fields_of_the_http_api(cli: Commands) -> None:
    created = cli(*FULL, "--json").json
    assert created.keys() == set(Audience.__struct_fields__)
    assert cli("audiences", "show", TEMPLATE, "--json").json == created
    assert cli("audiences", "list", "--json").json == {"audiences": [created]}


def test_the_list_is_a_table(cli: Commands) -> None:
    cli(*FULL)
    cli("audiences", "create", "suite", "--product", "wiki")
    lines = cli("audiences", "list").lines
    assert lines[0].split() == ["id", "products", "max", "bytes", "encoding"]
    assert [line.split() for line in lines[1:]] == [
        [TEMPLATE, "wiki", "shop", "8192", "bitset"],
        ["suite", "wiki", "4096", "names"],
    ]


def test_an_update_changes_what_is_given(cli: Commands, relata: Relata) -> None:
    cli(*FULL)
    changed = cli(
        *("audiences", "update", TEMPLATE, "--lifetime", "30", "--claim", PLAN),
        *("--unset", "enrichment", "--unset", "signing-algorithm", "--json"),
    ).json
    registered = Audiences(relata.store).get(TEMPLATE)
    assert registered is not None
    assert registered.lifetime == changed["lifetime"] == 30
    assert [mapping.claim for mapping in registered.claims] == ["plan"]
    assert (registered.enrichment, registered.signing_algorithm) == (None, None)
    assert (registered.products, registered.max_bytes) == (("wiki", "shop"), 8192)


def test_a_removed_audience_is_gone(cli: Commands, relata: Relata) -> None:
    cli(*FULL)
    assert cli("audiences", "delete", TEMPLATE) == (0, f"deleted {TEMPLATE}\n", "")
    assert Audiences(relata.store).list() == ()
    said = f"there is no audience `{TEMPLATE}` (in `id`)"
    assert cli.fails("audiences", "delete", TEMPLATE) == said
    assert cli.fails("audiences", "show", TEMPLATE) == said
    assert cli.fails("audiences", "update", TEMPLATE, "--lifetime", "30") == said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "an audience has 1 to 100 products"),
        (("--product", "wiki", "--max-bytes", "9000"), "`max_bytes` is 1024 to 8192"),
        (("--product", "wiki", "--encoding", "zip"), "invalid enum value"),
        (("--product", "wiki", "--enrichment", "{"), "`{` is not a JSON object"),
        (("--product", "wiki", "--enrichment", "{}"), "missing required field `url`"),
        (("--product", "wiki", "--claim", "[]"), "`[]` is not a JSON object"),
        (
            ("--product", "wiki", "--claim", '{"claim": "sub", "attribute": "plan"}'),
            "the claim `sub` has a meaning of its own",
        ),
        (
            (
                *("--product", "wiki", "--claim"),
                '{"claim": "x", "lookup": {"resource_type": "robot", "permission": "see"}}',
            ),
            "the schema has no `robot#see`",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(
    cli: Commands, relata: Relata, arguments: tuple[str, ...], message: str
) -> None:
    assert message in cli.fails("audiences", "create", "suite", *arguments)
    assert Audiences(relata.store).list() == ()


def test_only_what_has_a_default_can_be_unset(cli: Commands) -> None:
    cli(*FULL)
    said = cli.fails("audiences", "update", TEMPLATE, "--unset", "products")
    assert said.startswith("`products` cannot be unset; what can is lifetime,")


def test_what_could_be_confused_is_refused(cli: Commands) -> None:
    cli(*FULL)
    said = cli.fails("audiences", "create", "https://acme.api.example.com", "--product", "wiki")
    assert said.startswith("a name could be both of `https://acme.api.example.com` and of")
