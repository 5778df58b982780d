"""`relata clients`: what is registered, shown, changed and removed; secrets are printed once."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from relata.authorizer import Relata
from relata.tokens.clients import Client, Clients, secret_digest
from relata.tokens.exchange import CLIENT_CREDENTIALS, TOKEN_EXCHANGE
from tests.cli.commands import Commands
from tests.tokens.identity import public_jwk

APP = (
    *("clients", "create", "app", "--authentication", "none"),
    *("--origin", "https://app.example"),
)
MACHINE = (
    *("clients", "create", "nightly", "--authentication", "client_secret_basic"),
    *("--grant", "client-credentials"),
)


def client_of(relata: Relata, client_id: str) -> Client:
    client = Clients(relata.store).get(client_id)
    assert client is not None
    return client


def digests(relata: Relata, client_id: str) -> list[bytes]:
    registration = Clients(relata.store).registration(client_id)
    assert registration is not None
    return [kept.digest for kept in registration.secrets]


def test_an_app_is_registered_without_a_secret(cli: Commands, relata: Relata) -> None:
    assert cli(*APP) == (0, "created app\n", "")
    client = client_of(relata, "app")
    assert (client.grants, client.origins) == ((TOKEN_EXCHANGE,), ("https://app.example",))
    assert client.is_public


def test_the_secret_of_a_machine_is_printed_alone(cli: Commands, relata: Relata) -> None:
    """So that it can be caught; what is said about it goes elsewhere."""
    printed = cli(*MACHINE)
    assert printed.err == "the secret of nightly; keep it, it is shown this once\n"
    assert digests(relata, "nightly") == [secret_digest(printed.out.strip())]
    for command in (("show", "nightly"), ("show", "nightly", "--json"), ("list", "--json")):
        assert printed.out.strip() not in cli("clients", *command).out


def test_every_setting_has_an_option(cli: Commands, relata: Relata, tmp_path: Path) -> None:
    jwks: dict[str, object] = {
        "keys": [public_jwk(ec.generate_private_key(ec.SECP256R1()), kid="key-1")]
    }
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps(jwks))
    printed = cli(
        *("clients", "create", "full", "--authentication", "private_key_jwt"),
        *("--name", "nightly report", "--grant", "token-exchange", "--grant", CLIENT_CREDENTIALS),
        *("--audience", "reports", "--audience", "billing", "--scope", "read:reports"),
        *("--organization", "acme", "--origin", "https://app.example"),
        *("--delegation", "--require-dpop", "--subject", "machine:full", "--disabled"),
        *("--jwks", str(file)),
    )
    assert printed.code == 0, printed.err
    client = client_of(relata, "full")
    assert client == Client(
        id="full",
        name="nightly report",
        authentication="private_key_jwt",
        grants=(TOKEN_EXCHANGE, CLIENT_CREDENTIALS),
        audiences=("reports", "billing"),
        scopes=("read:reports",),
        organizations=("acme",),
        origins=("https://app.example",),
        delegation=True,
        require_dpop=True,
        subject="machine:full",
        jwks=jwks,
        disabled=True,
        created_at=client.created_at,
    )


def test_an_id_is_made_up_where_none_is_given(cli: Commands, relata: Relata) -> None:
    made = cli("clients", "create", "--authentication", "none", "--json").json
    assert client_of(relata, made["id"]).is_public
    assert made["secret"] is None


def test_json_has_the_fields_of_the_http_api(cli: Commands) -> None:
    created = cli(*MACHINE, "--json").json
    assert len(created.pop("secret")) == 43
    assert created.keys() == {*Client.__struct_fields__, "secrets"}
    assert cli("clients", "show", "nightly", "--json").json == created
    assert cli("clients", "list", "--json").json == {"clients": [created]}


def test_what_is_registered_is_shown(cli: Commands) -> None:
    cli(*MACHINE, "--audience", "reports", "--audience", "billing", "--require-dpop")
    lines = cli("clients", "show", "nightly").lines
    assert lines[:5] == [
        "id: nightly",
        "authentication: client_secret_basic",
        "grants: client_credentials",
        "audiences: reports billing",
        "require_dpop: yes",
    ]
    assert [line.partition(": ")[0] for line in lines[5:]] == ["created_at", "secrets"]


def test_the_list(cli: Commands) -> None:
    cli(*MACHINE, "--name", "[red]nightly")
    cli(*APP, "--disabled")
    header, *rows = cli("clients", "list").lines
    assert header.split() == ["id", "name", "authentication", "grants", "state"]
    assert [row.split() for row in rows] == [
        ["app", "none", "token-exchange", "disabled"],
        ["nightly", "[red]nightly", "client_secret_basic", "client-credentials", "active"],
    ]


def test_what_is_given_changes_and_the_rest_stays(cli: Commands, relata: Relata) -> None:
    cli(*MACHINE, "--name", "nightly", "--audience", "reports", "--scope", "read")
    before = client_of(relata, "nightly")
    kept = digests(relata, "nightly")
    printed = cli(
        *("clients", "update", "nightly", "--audience", "billing", "--delegation"),
        *("--unset", "scopes", "--unset", "name"),
    )
    assert (printed.code, printed.err) == (0, "")
    after = client_of(relata, "nightly")
    assert (after.audiences, after.scopes, after.name) == (("billing",), None, "")
    assert (after.delegation, after.grants) == (True, before.grants)
    assert (after.created_at, digests(relata, "nightly")) == (before.created_at, kept)
    cli("clients", "update", "nightly", "--no-delegation", "--disabled")
    assert (client_of(relata, "nightly").delegation, client_of(relata, "nightly").disabled) == (
        False,
        True,
    )
    assert cli("clients", "update", "nightly", "--enabled", "--json").json["disabled"] is False


def test_who_begins_to_use_a_secret_is_told_how_to_get_one(cli: Commands, relata: Relata) -> None:
    cli(*APP)
    printed = cli("clients", "update", "app", "--authentication", "client_secret_post")
    assert printed.err == "it has no secret; make one with `relata clients rotate app`\n"
    secret = cli("clients", "rotate", "app").out.strip()
    assert digests(relata, "app") == [secret_digest(secret)]


def test_a_secret_is_changed_with_an_overlap(cli: Commands, relata: Relata) -> None:
    first = cli(*MACHINE).out.strip()
    printed = cli("clients", "rotate", "nightly", "--overlap", "60")
    second = printed.out.strip()
    assert printed.err == "the secret of nightly; keep it, it is shown this once\n"
    assert digests(relata, "nightly") == [secret_digest(second), secret_digest(first)]
    registration = Clients(relata.store).registration("nightly")
    assert registration is not None
    assert (registration.secrets[1].ends_at or 0) <= time.time() + 60
    third = cli("clients", "rotate", "nightly", "--overlap", "0", "--json").json
    assert digests(relata, "nightly") == [secret_digest(third["secret"])]
    assert [kept["ends_at"] for kept in third["secrets"]] == [None]


def test_a_client_is_removed(cli: Commands, relata: Relata) -> None:
    cli(*APP)
    assert cli("clients", "delete", "app") == (0, "deleted app\n", "")
    assert Clients(relata.store).get("app") is None


@pytest.mark.parametrize("command", ["show", "update", "rotate", "delete"])
def test_a_client_that_is_not_there(cli: Commands, command: str) -> None:
    assert cli.fails("clients", command, "nobody").startswith("there is no client `nobody`")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a/b",), "a client's id has 1 to 200"),
        (("app", "--grant", "password"), "`password` is not a grant"),
        (("app", "--grant", "client-credentials"), "a public client has no credentials"),
        (("app", "--authentication", "tls"), "invalid enum value `tls`"),
        (("app", "--origin", "*"), "`*` is not an origin"),
        (("app", "--jwks", "-"), "standard input is not a JSON object"),
        (("app", "--jwks", "/nowhere.json"), "`/nowhere.json` cannot be read"),
        (("app", "--authentication", "private_key_jwt"), "needs exactly one of `jwks`"),
    ],
)
def test_what_makes_no_sense_is_refused(
    cli: Commands, arguments: tuple[str, ...], message: str
) -> None:
    said = cli.fails("clients", "create", "--authentication", "none", *arguments, stdin="[]")
    assert message in said
    assert cli("clients", "list", "--json").json == {"clients": []}


def test_what_has_no_default_cannot_be_unset(cli: Commands) -> None:
    cli(*APP)
    said = cli.fails("clients", "update", "app", "--unset", "authentication")
    assert said.startswith("`authentication` cannot be unset; what can is name, audiences")
