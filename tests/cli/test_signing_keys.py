"""`relata keys rotate` and `relata keys signing`: the keys that sign tokens."""

from __future__ import annotations

import jwt
import pytest

from relata.authorizer import Relata
from relata.tokens import SigningKeys
from tests.cli.commands import Commands

SECRET = "a secret of the test, long enough"


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELATA_KEY_SECRET", SECRET)
    monkeypatch.delenv("RELATA_FORMER_KEY_SECRETS", raising=False)


def signed_with(relata: Relata, algorithm: str = "ES256", secret: str = SECRET) -> str:
    """The key that a server signs with."""
    token = SigningKeys(relata.store, secret=secret).sign({}, algorithm=algorithm)
    return str(jwt.get_unverified_header(token)["kid"])


def test_a_rotated_key_waits_until_it_has_been_seen(cli: Commands, relata: Relata) -> None:
    old = signed_with(relata)
    printed = cli("keys", "rotate")
    new, state = printed.out.split()
    assert (printed.code, printed.err, state) == (0, "", "waiting")
    assert signed_with(relata) == old
    listed = cli("keys", "signing", "--json").json["keys"]
    assert [(key["kid"], key["state"]) for key in listed] == [(old, "signing"), (new, "waiting")]
    assert all(key["encrypted"] for key in listed)


def test_now_means_now(cli: Commands, relata: Relata) -> None:
    old = signed_with(relata)
    new = cli("keys", "rotate", "--now", "--json").json
    assert (new["state"], signed_with(relata)) == ("signing", new["kid"])
    assert {key["kid"] for key in cli("keys", "signing", "--json").json["keys"]} == {
        old,
        new["kid"],
    }


def test_a_key_that_is_no_longer_secret_is_forgotten(cli: Commands, relata: Relata) -> None:
    signed_with(relata)
    new = cli("keys", "rotate", "--forget", "--json").json["kid"]
    assert [key["kid"] for key in cli("keys", "signing", "--json").json["keys"]] == [new]


def test_another_kind_can_be_made_before_it_is_needed(cli: Commands, relata: Relata) -> None:
    made = cli("keys", "rotate", "--algorithm", "RS256").out.split()[0]
    assert signed_with(relata, "RS256") == made


def test_the_table_has_a_line_for_each(cli: Commands, relata: Relata) -> None:
    kid = signed_with(relata)
    heading, row = cli("keys", "signing").lines
    assert heading.split() == ["kid", "algorithm", "state", "stored", "created", "retired"]
    assert row.split()[:4] == [kid, "ES256", "signing", "encrypted"]


def test_an_unknown_kind_is_refused(cli: Commands) -> None:
    said = cli.fails("keys", "rotate", "--algorithm", "HS256")
    assert said.startswith("`HS256` is not how tokens are signed here")


@pytest.mark.parametrize("command", ["rotate", "signing"])
def test_a_wrong_secret_is_said(
    cli: Commands, relata: Relata, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    signed_with(relata)
    monkeypatch.setenv("RELATA_KEY_SECRET", "another secret, as long as that other")
    assert "and not with this secret" in cli.fails("keys", command)
    monkeypatch.delenv("RELATA_KEY_SECRET")
    assert "set `RELATA_KEY_SECRET`" in cli.fails("keys", command)


def test_without_a_secret_a_warning_is_printed(
    cli: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RELATA_KEY_SECRET")
    printed = cli("keys", "rotate")
    assert (printed.code, printed.out.split()[1]) == (0, "signing")
    assert printed.err == (
        "the key is stored unencrypted; set RELATA_KEY_SECRET and rotate again\n"
    )


def test_a_secret_is_replaced_by_a_rotation(
    cli: Commands, relata: Relata, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = signed_with(relata)
    new_secret = "the secret that replaces the former"
    monkeypatch.setenv("RELATA_KEY_SECRET", new_secret)
    monkeypatch.setenv("RELATA_FORMER_KEY_SECRETS", f'["{SECRET}"]')
    assert cli("keys", "rotate").code == 0
    assert signed_with(relata, secret=new_secret) == old


def test_former_secrets_that_are_no_list(cli: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELATA_FORMER_KEY_SECRETS", "secret")
    said = cli.fails("keys", "signing")
    assert said == "`RELATA_FORMER_KEY_SECRETS` should be a JSON list of secrets"


def test_no_private_key_is_printed(cli: Commands, relata: Relata) -> None:
    signed_with(relata)
    for arguments in (("rotate", "--json"), ("signing", "--json"), ("signing",)):
        assert "PRIVATE" not in cli("keys", *arguments).out
