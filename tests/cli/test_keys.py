"""`relata keys`: the secret is printed once, and nowhere else."""

from __future__ import annotations

from datetime import datetime

import pytest

from relata.authorizer import Relata
from relata.errors import AuthenticationError
from tests.cli.commands import Commands


def test_a_new_key_is_printed_alone_and_is_good(cli: Commands, relata: Relata) -> None:
    printed = cli("keys", "create", "--name", "reports API", "--scope", "check", "--scope", "read")
    assert printed.code == 0
    relata.refresh()
    stored = relata.keys.authenticate(printed.out.strip())
    assert (stored.name, stored.scopes) == ("reports API", ("check", "read"))
    assert printed.err == f"key {stored.id} for reports API; keep it, it is shown this once\n"


def test_a_new_key_in_json_has_the_fields_of_the_http_api(cli: Commands, relata: Relata) -> None:
    answer = cli("keys", "create", "--name", "ops", "--scope", "admin", "--json").json
    relata.refresh()
    assert relata.keys.authenticate(answer["key"]).id == answer["id"]
    assert (answer["name"], answer["scopes"], answer["revoked_at"]) == ("ops", ["admin"], None)
    assert datetime.fromisoformat(answer["created_at"]).tzinfo is not None


def test_the_list_has_no_secrets(cli: Commands) -> None:
    secret = cli("keys", "create", "--name", "[red]ops", "--scope", "admin").out.strip()
    stored = cli("keys", "list", "--json").json["keys"]
    table = cli("keys", "list")
    assert [(key["name"], key["scopes"]) for key in stored] == [("[red]ops", ["admin"])]
    assert [column for column in table.lines[0].split() if column] == [
        "id",
        "name",
        "scopes",
        "created",
        "state",
    ]
    assert "[red]ops" in table.lines[1]
    assert table.lines[1].split()[-1] == "active"
    for printed in (table.out, str(stored)):
        assert secret not in printed
        assert secret.split("_", maxsplit=2)[2] not in printed


def test_a_revoked_key_opens_nothing(cli: Commands, relata: Relata) -> None:
    key = cli("keys", "create", "--name", "ops", "--scope", "admin", "--json").json
    assert cli("keys", "revoke", key["id"]) == (0, f"revoked {key['id']}\n", "")
    relata.refresh()
    with pytest.raises(AuthenticationError):
        relata.keys.authenticate(key["key"])
    assert cli("keys", "list").lines[1].split()[-1] == "revoked"


def test_a_key_that_is_not_there_cannot_be_revoked(cli: Commands) -> None:
    said = cli.fails("keys", "revoke", "nobody")
    assert said == "there is no active key `nobody`; see `relata keys list`"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--name", "ops", "--scope", "everything"), "`everything` is not a scope; the scopes are"),
        (("--name", " ", "--scope", "admin"), "a key's name has 1 to"),
    ],
)
def test_a_key_that_makes_no_sense_is_refused(
    cli: Commands, arguments: tuple[str, ...], message: str
) -> None:
    assert message in cli.fails("keys", "create", *arguments)
    assert cli("keys", "list", "--json").json == {"keys": []}
