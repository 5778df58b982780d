"""`relata organizations`: made, listed, shown, changed and deleted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from relata.authorizer import Relata
from relata.demo.scenario import RELATIONSHIPS, schema_text
from relata.errors import AuthenticationError
from relata.tokens.organizations import Organizations
from relata.tokens.policy import Policy
from tests.cli.commands import Commands


@pytest.fixture
def relata(url: str) -> Iterator[Relata]:
    with Relata.open(url, schema=schema_text()) as relata:
        relata.write(RELATIONSHIPS)
        yield relata


@pytest.fixture
def cli(relata: Relata, url: str) -> Commands:
    return Commands(url)


def test_a_new_organization_s_key_is_printed_alone_and_is_good(
    cli: Commands, relata: Relata
) -> None:
    printed = cli(
        "organizations", "create", "eu", "--parent", "org_1", "--name", "Europe",
        "--attributes", '{"region": "eu"}', "--users", "pairwise", "--policy", '{"max_age": 60}',
        "--share-role-templates", "--share-products", "--key-scope", "check",
        "--key-scope", "write",
    )  # fmt: skip
    assert printed.code == 0, printed.err
    relata.refresh()
    key = relata.keys.authenticate(printed.out.strip())
    assert (key.organization, key.scopes) == ("eu", ("check", "write"))
    assert printed.err == f"key {key.id} for eu; keep it, it is shown this once\n"
    stored = Organizations(relata).get("eu")
    assert (stored.name, stored.parent, stored.users) == ("Europe", "org_1", "pairwise")
    assert (stored.attributes, stored.policy) == ({"region": "eu"}, Policy(max_age=60))
    assert relata.check("role:eu/user_api_1", "belongs_to", "organization:eu").allowed
    assert relata.check("product:api_1", "subscriber", "organization:eu").allowed


def test_json_has_the_fields_of_the_http_api(cli: Commands) -> None:
    made = cli("organizations", "create", "eu", "--json").json
    assert made["key"].startswith("relata_")
    shown = cli("organizations", "show", "eu", "--json").json
    assert shown.items() <= made.items()
    assert set(shown) == {
        "id",
        "parent",
        "name",
        "attributes",
        "users",
        "policy",
        "created_at",
        "deleting",
    }
    assert cli("organizations", "list", "--json").json == {"organizations": [shown]}


def test_list_and_show_are_for_people_too(cli: Commands) -> None:
    secret = cli("organizations", "create", "eu", "--name", "[red]Europe").out.strip()
    table = cli("organizations", "list")
    assert table.lines[0].split() == ["id", "parent", "name", "users", "created", "state"]
    assert "[red]Europe" in table.lines[1]
    assert table.lines[1].split()[-1] == "active"
    shown = cli("organizations", "show", "eu")
    assert '"max_age":null' in shown.out
    assert secret not in table.out + shown.out


def test_an_update_keeps_what_is_not_given(cli: Commands, relata: Relata) -> None:
    cli("organizations", "create", "eu", "--name", "Europe", "--attributes", '{"a": 1}')
    assert cli("organizations", "update", "eu", "--policy", '{"max_lifetime": 60}').out == (
        "updated eu\n"
    )
    stored = Organizations(relata).get("eu")
    assert (stored.name, stored.attributes) == ("Europe", {"a": 1})
    assert stored.policy == Policy(max_lifetime=60)
    assert cli("organizations", "update", "org_2", "--name", "Two").code == 0
    assert Organizations(relata).get("org_2").name == "Two"


def test_a_deleted_organization_is_gone(cli: Commands, relata: Relata) -> None:
    key = cli("organizations", "create", "eu").out.strip()
    cli("organizations", "create", "de", "--parent", "eu")
    assert "`de`" in cli.fails("organizations", "delete", "eu")
    assert cli("organizations", "delete", "eu", "--with-organizations") == (0, "deleted eu\n", "")
    relata.refresh()
    with pytest.raises(AuthenticationError):
        relata.keys.authenticate(key)
    assert cli("organizations", "list", "--json").json == {"organizations": []}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("create", "org_1"), "something by the name `org_1` already"),
        (("create", "eu", "--parent", "nobody"), "there is no organization `nobody`"),
        (("create", "eu", "--attributes", "[]"), "`--attributes` is not what it should be"),
        (("create", "eu", "--policy", '{"max": 1}'), "`--policy` is not what it should be"),
        (("create", "eu", "--policy", '{"max_age": -1}'), "`max_age` is a number of seconds"),
        (("create", "eu", "--key-scope", "admin"), "`admin` is not a scope"),
        (("show", "nobody"), "there is no organization `nobody`"),
        (("update", "nobody"), "there is no organization `nobody`"),
        (("delete", "nobody"), "there is no organization `nobody`"),
    ],
)
def test_what_makes_no_sense_is_refused(
    cli: Commands, arguments: tuple[str, ...], message: str
) -> None:
    assert message in cli.fails("organizations", *arguments)
