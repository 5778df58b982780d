"""Organizations: made whole or not at all, changed by compare and set, deleted without a trace."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from relata.authorizer import Relata
from relata.bounds import OutsideError
from relata.consistency import at_exact_snapshot
from relata.demo.scenario import RELATIONSHIPS, schema_text
from relata.errors import (
    AuthenticationError,
    InvalidArgumentError,
    NotFoundError,
    OrganizationConflictError,
    RelataError,
    ScopeError,
    SnapshotUnavailableError,
    WriteConflictError,
)
from relata.store import IssuedToken, StoredKey, TokenState
from relata.tokens import organization_removal
from relata.tokens.organization_records import OrganizationRecords
from relata.tokens.organizations import (
    NewOrganization,
    Organizations,
    OrganizationSettings,
)
from relata.tokens.policy import Policy

NOW = 4_000_000_000


@pytest.fixture
def relata() -> Iterator[Relata]:
    with Relata.open("sqlite://", schema=schema_text(), follow_seconds=None) as relata:
        relata.write(RELATIONSHIPS)
        yield relata


@pytest.fixture
def organizations(relata: Relata) -> Organizations:
    return Organizations(relata)


def stored(relata: Relata, text: str = "") -> list[str]:
    relata.refresh()
    return sorted(str(it) for it in relata.read().relationships if text in str(it))


def active_keys(relata: Relata, organization: str) -> list[StoredKey]:
    return [
        it for it in relata.keys.list() if it.organization == organization and not it.revoked_at
    ]


# Making


def test_an_organization_is_made_in_one_call(relata: Relata, organizations: Organizations) -> None:
    created = organizations.create(
        NewOrganization(
            id="eu",
            parent="org_1",
            name="Europe",
            attributes={"region": ["eu"]},
            users="pairwise",
            policy=Policy(max_age=60),
        )
    )
    assert stored(relata, "organization:eu") == ["organization:eu#parent@organization:org_1"]
    assert organizations.get("eu") == created.organization
    key = relata.keys.authenticate(created.secret)
    assert (key.organization, key.scopes) == ("eu", ("check", "read", "write"))
    assert created.secret.rsplit("_", 1)[1] not in repr(created)
    assert relata.check(
        "organization:eu",
        "belongs_to",
        "organization:org_1",
        consistency=at_exact_snapshot(created.written_at),
    ).allowed


def test_one_without_a_parent_has_no_relationships_yet(
    relata: Relata, organizations: Organizations
) -> None:
    organizations.create(NewOrganization(id="alone"))
    assert stored(relata, "alone") == []
    organizations.inside("alone").write(["organization:alone#admin@user:anne"])
    assert relata.check("organization:alone", "manage", "user:anne").allowed


def test_the_role_templates_of_the_parent_are_shared_where_that_is_wanted(
    relata: Relata, organizations: Organizations
) -> None:
    """A role like the parent's for each that a template defines; not its assignees."""
    organizations.create(NewOrganization(id="eu", parent="org_1", share_role_templates=True))
    assert stored(relata, "eu/") == [
        "role:eu/user_api_1#organization@organization:eu",
        "role:eu/user_api_1#product@product:api_1",
        "role_template:user_api_1#instance@role:eu/user_api_1",
    ]
    organizations.create(NewOrganization(id="us", parent="org_1"))
    assert stored(relata, "us/") == []


def test_products_are_shared_where_that_is_wanted(
    relata: Relata, organizations: Organizations
) -> None:
    organizations.create(NewOrganization(id="eu", parent="org_1", share_products=True))
    assert stored(relata, "subscriber@organization:eu") == [
        "product:api_1#subscriber@organization:eu",
        "product:api_2#subscriber@organization:eu",
    ]


def test_what_a_shared_template_grants_is_held_by_who_has_the_role(
    relata: Relata, organizations: Organizations
) -> None:
    """Assigned with the organization's own key; the template stays the parent's."""
    organizations.create(
        NewOrganization(id="eu", parent="org_1", share_role_templates=True, share_products=True)
    )
    eu = organizations.inside("eu")
    eu.write(["organization:eu#member@user:zoe", "role:eu/user_api_1#assignee@user:zoe"])
    choice = ["organization:eu#chosen_by@user:zoe", "product:api_1#requested_by@user:zoe"]

    def held() -> tuple[str, ...]:
        found = relata.lookup_resources("capability", "held", "user:zoe", contextual=choice)
        return found.resource_ids

    assert held() == ("api_1/read",)
    relata.write(["capability:api_1/write#granted_to@role_template:user_api_1"])
    assert held() == ("api_1/read", "api_1/write")
    with pytest.raises(OutsideError):
        eu.write(["capability:api_1/write#granted_to@role:eu/user_api_1"])
    with pytest.raises(OutsideError):
        eu.write(["role_template:user_api_1#instance@role:eu/user_api_1"])


def test_a_child_of_a_child_shares_too(relata: Relata, organizations: Organizations) -> None:
    organizations.create(NewOrganization(id="eu", parent="org_1", share_role_templates=True))
    organizations.create(NewOrganization(id="de", parent="eu", share_role_templates=True))
    assert "role_template:user_api_1#instance@role:de/user_api_1" in stored(relata, "de/")


@pytest.mark.parametrize(
    "taken",
    [
        ["organization:eu#admin@user:anne"],
        ["product:api_1#subscriber@organization:eu"],
    ],
)
def test_an_id_that_something_has_is_taken(
    relata: Relata, organizations: Organizations, taken: list[str]
) -> None:
    """By relationships, or by an organization without any; the key made for it is revoked."""
    relata.write(taken)
    with pytest.raises(OrganizationConflictError, match="`eu` already"):
        organizations.create(NewOrganization(id="eu", parent="org_1"))
    assert active_keys(relata, "eu") == []


def test_making_one_again_is_a_conflict(relata: Relata, organizations: Organizations) -> None:
    """And leaves the first, and its key, as they are."""
    created = organizations.create(NewOrganization(id="eu", name="first"))
    with pytest.raises(OrganizationConflictError):
        organizations.create(NewOrganization(id="eu", name="second", parent="org_1"))
    assert organizations.get("eu").name == "first"
    assert [it.id for it in active_keys(relata, "eu")] == [created.key.id]


def test_a_role_that_somebody_else_has_taken_is_not_taken_over(
    relata: Relata, organizations: Organizations
) -> None:
    """Nothing of the new organization stays: neither record nor relationship nor key."""
    relata.write(["role:eu/user_api_1#organization@organization:org_2"])
    before = stored(relata)
    with pytest.raises(OrganizationConflictError, match="`eu/user_api_1` already"):
        organizations.create(NewOrganization(id="eu", parent="org_1", share_role_templates=True))
    assert stored(relata) == before
    assert organizations.list() == ()
    assert active_keys(relata, "eu") == []


def test_a_write_that_fails_leaves_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A schema without the parent's relation: the record of the same transaction is gone too."""
    schema = "definition user {}\ndefinition organization {\n\trelation member: user\n}"
    with Relata.open("sqlite://", schema=schema, follow_seconds=None) as relata:
        relata.write(["organization:top#member@user:anne"])
        organizations = Organizations(relata)
        with pytest.raises(RelataError):
            organizations.create(NewOrganization(id="low", parent="top"))
        assert organizations.list() == ()
        assert active_keys(relata, "low") == []
        assert organizations.create(NewOrganization(id="low")).organization.id == "low"


def test_one_of_many_that_make_the_same_has_made_it(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    url = f"sqlite:///{tmp_path_factory.mktemp('race') / 'relata.db'}"
    with Relata.open(url, schema=schema_text(), follow_seconds=None) as relata:
        relata.write(RELATIONSHIPS)
        start = threading.Barrier(4)
        outcomes: list[str] = []

        def make() -> None:
            start.wait()
            try:
                Organizations(relata).create(NewOrganization(id="eu", parent="org_1"))
            except OrganizationConflictError:
                outcomes.append("conflict")
            else:
                outcomes.append("made")

        threads = [threading.Thread(target=make) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["conflict"] * 3 + ["made"]
        assert len(active_keys(relata, "eu")) == 1


@pytest.mark.parametrize(
    ("new", "field"),
    [
        ({"id": ""}, "id"),
        ({"id": "a b"}, "id"),
        ({"id": "*"}, "id"),
        ({"id": "records"}, "id"),
        ({"parent": "no such"}, "parent"),
        ({"parent": "nobody"}, "parent"),
        ({"name": "x" * 201}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"attributes": {"x": "y" * 8_192}}, "attributes"),
        ({"attributes": {"x": "\ud800"}}, "attributes"),
        ({"policy": Policy(max_lifetime=0)}, "policy.max_lifetime"),
        ({"key_scopes": ("admin",)}, "key_scopes"),
        ({"key_scopes": ()}, "scopes"),
    ],
)
def test_what_makes_no_sense_is_refused(
    relata: Relata, organizations: Organizations, new: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidArgumentError) as refusal:
        organizations.create(NewOrganization(**{"id": "eu", **new}))
    assert refusal.value.field == field
    assert organizations.list() == ()
    assert active_keys(relata, "eu") == []


# By a bound key


@pytest.fixture
def bound(relata: Relata) -> StoredKey:
    """A key of `org_1` that may not check."""
    return relata.keys.create("org_1", ["read", "write"], organization="org_1")[0]


def test_a_bound_key_makes_organizations_below_its_own(
    relata: Relata, organizations: Organizations, bound: StoredKey
) -> None:
    """Under its own unless it says under which of those; the new key can do no more than it."""
    one = organizations.create(NewOrganization(id="eu"), by=bound)
    assert (one.organization.parent, one.key.scopes) == ("org_1", ("read", "write"))
    two = organizations.create(NewOrganization(id="de", parent="eu"), by=bound)
    assert two.organization.parent == "eu"
    with pytest.raises(ScopeError, match="lacks the scope `check`"):
        organizations.create(NewOrganization(id="fr", key_scopes=("check",)), by=bound)
    assert organizations.create(
        NewOrganization(id="fr", key_scopes=("read",)), by=bound
    ).key.scopes == ("read",)


@pytest.mark.parametrize("parent", ["org_2", "nobody", "a b", "*"])
def test_a_bound_key_makes_none_elsewhere(
    organizations: Organizations, bound: StoredKey, parent: str
) -> None:
    with pytest.raises((OutsideError, InvalidArgumentError)) as refusal:
        organizations.create(NewOrganization(id="eu", parent=parent), by=bound)
    if parent in ("org_2", "nobody"):
        assert isinstance(refusal.value, OutsideError)


def test_a_bound_key_shows_and_changes_those_below_it(
    organizations: Organizations, bound: StoredKey
) -> None:
    """Its own it may look at. What is asked of its own is said by those above."""
    for new in (
        NewOrganization(id="eu", parent="org_1"),
        NewOrganization(id="de", parent="eu"),
        NewOrganization(id="else", parent="org_2"),
    ):
        organizations.create(new)
    organizations.replace("org_1", OrganizationSettings(name="One"))
    assert [it.id for it in organizations.list(by=bound)] == ["de", "eu", "org_1"]
    assert [it.id for it in organizations.list(by=bound, after="de", limit=1)] == ["eu"]
    assert organizations.get("org_1", by=bound).name == "One"
    settings = OrganizationSettings(name="changed")
    assert organizations.replace("de", settings, by=bound).name == "changed"
    organizations.delete("de", by=bound)
    for organization in ("org_1", "org_2", "else", "nobody", "a b"):
        for change in (
            lambda it=organization: organizations.replace(it, settings, by=bound),
            lambda it=organization: organizations.delete(it, by=bound),
        ):
            with pytest.raises(OutsideError):
                change()
    for organization in ("org_2", "else", "nobody", "a b"):
        with pytest.raises(OutsideError):
            organizations.get(organization, by=bound)


# Changing


def test_an_organization_is_told_anew_as_a_whole(organizations: Organizations) -> None:
    created = organizations.create(NewOrganization(id="eu", name="Europe", attributes={"a": 1}))
    changed = organizations.replace(
        "eu", OrganizationSettings(users="pairwise", policy=Policy(max_age=60))
    )
    assert (changed.name, changed.attributes, changed.users) == ("", {}, "pairwise")
    assert (changed.created_at, changed.revision) == (
        created.organization.created_at,
        created.organization.revision,
    )
    assert organizations.get("eu") == changed


def test_a_change_that_somebody_else_was_faster_with_is_a_conflict(relata: Relata) -> None:
    records = OrganizationRecords(relata.store)
    Organizations(relata).create(NewOrganization(id="eu"))
    seen = records.get("eu")
    assert seen is not None
    Organizations(relata).replace("eu", OrganizationSettings(name="theirs"))
    with pytest.raises(WriteConflictError):
        records.replace(seen, seen)


def test_one_of_which_only_the_graph_speaks_can_be_told_something(
    relata: Relata, organizations: Organizations
) -> None:
    with pytest.raises(NotFoundError):
        organizations.get("org_1")
    relata.write(["organization:org_1#parent@organization:org_2"])
    told = organizations.replace("org_1", OrganizationSettings(name="One"))
    assert (told.name, told.parent) == ("One", "org_2")
    for unknown in ("nobody", "a b", ""):
        with pytest.raises(NotFoundError):
            organizations.replace(unknown, OrganizationSettings())
        with pytest.raises(NotFoundError):
            organizations.delete(unknown)


# Deleting


def issue(relata: Relata, organization: str, jti: str) -> IssuedToken:
    return relata.store.issued.add(
        IssuedToken(
            jti=jti,
            subject="user:anne",
            client="app",
            organization=organization,
            audience="api_1",
            issued_at=1,
            expires_at=NOW,
            revision=1,
        )
    )


def test_nothing_of_a_deleted_organization_stays(
    relata: Relata, organizations: Organizations
) -> None:
    """Keys and tokens end; no relationship names it, or what belonged to it, any more."""
    before = stored(relata)
    created = organizations.create(
        NewOrganization(id="eu", parent="org_1", share_role_templates=True, share_products=True)
    )
    organizations.inside("eu").write(
        [
            "organization:eu#member@user:zoe",
            "group:eu/staff#organization@organization:eu",
            "group:eu/staff#member@user:zoe",
            "role:eu/user_api_1#assignee@group:eu/staff#member",
            "dataset:eu-data#organization@organization:eu",
        ]
    )
    relata.write(
        [
            "organization:org_2#member@group:eu/staff#member",
            "capability:api_1/write#granted_to@role:eu/user_api_1",
        ]
    )
    ours, theirs = issue(relata, "eu", "ours"), issue(relata, "org_1", "theirs")
    organizations.delete("eu")
    assert stored(relata) == before
    with pytest.raises(AuthenticationError):
        relata.keys.authenticate(created.secret)
    states = {it.jti: relata.store.issued.find(it.jti) for it in (ours, theirs)}
    assert {jti: it and it.state for jti, it in states.items()} == {
        "ours": TokenState.REVOKED,
        "theirs": TokenState.VALID,
    }
    with pytest.raises(NotFoundError):
        organizations.get("eu")
    with pytest.raises(NotFoundError):
        organizations.delete("eu")


def test_those_below_are_deleted_only_where_that_is_wanted(
    relata: Relata, organizations: Organizations
) -> None:
    before = stored(relata)
    for new in (
        NewOrganization(id="eu", parent="org_1"),
        NewOrganization(id="de", parent="eu"),
        NewOrganization(id="fr", parent="eu"),
        NewOrganization(id="by", parent="de", share_role_templates=True),
    ):
        organizations.create(new)
    organizations.inside("by").write(["dataset:bier#organization@organization:by"])
    with pytest.raises(OrganizationConflictError, match="`de`, `fr`"):
        organizations.delete("eu")
    assert len(organizations.list()) == 4
    organizations.delete("eu", with_organizations=True)
    assert stored(relata) == before
    assert organizations.list() == ()
    assert [it for it in relata.keys.list() if not it.revoked_at] == []


def test_organizations_in_a_circle_can_be_deleted(
    relata: Relata, organizations: Organizations
) -> None:
    organizations.create(NewOrganization(id="one"))
    organizations.create(NewOrganization(id="two", parent="one"))
    relata.write(["organization:one#parent@organization:two"])
    organizations.delete("one", with_organizations=True)
    assert stored(relata, "organization:one") == stored(relata, "organization:two") == []


def test_what_is_anothers_too_stays_theirs(relata: Relata, organizations: Organizations) -> None:
    organizations.create(NewOrganization(id="eu", parent="org_1"))
    relata.write(
        [
            "dataset:common#organization@organization:eu",
            "dataset:common#organization@organization:org_2",
            "dataset:above#organization@organization:eu",
            "dataset:above#organization@organization:org_1",
        ]
    )
    organizations.delete("eu")
    assert stored(relata, "dataset:common") == ["dataset:common#organization@organization:org_2"]
    assert stored(relata, "dataset:above") == ["dataset:above#organization@organization:org_1"]


def test_a_large_one_is_deleted_in_steps(
    relata: Relata, organizations: Organizations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(organization_removal, "_RELATIONSHIPS", 7)
    monkeypatch.setattr(organization_removal, "_OBJECTS", 4)
    before = stored(relata)
    organizations.create(NewOrganization(id="eu"))
    eu = organizations.inside("eu")
    eu.write([f"dataset:d{number}#organization@organization:eu" for number in range(30)])
    eu.write(
        ["group:g#organization@organization:eu", *(f"group:g#member@user:u{n}" for n in range(20))]
    )
    eu.write([f"organization:eu#member@user:u{number}" for number in range(20)])
    head = relata.store.state().head
    organizations.delete("eu")
    assert stored(relata) == before
    assert relata.store.state().head > head + 10
    assert relata.store.records.list("organization_removal") == []


class BrokenOffError(Exception):
    """Stands for a process that ends."""


@pytest.mark.parametrize("step", range(1, 8))
def test_an_interrupted_deletion_goes_on(
    relata: Relata, organizations: Organizations, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Wherever it breaks off, deleting again ends with nothing left, also what belonged by way of
    an object that was gone already."""
    monkeypatch.setattr(organization_removal, "_OBJECTS", 2)
    relata.write_schema(
        f"{schema_text()}\n"
        "definition page {\n"
        "\trelation data: dataset\n"
        "\tpermission belongs_to = data->belongs_to\n"
        "}"
    )
    before = stored(relata)
    created = organizations.create(NewOrganization(id="eu"))
    organizations.inside("eu").write(
        [f"dataset:d{number}#organization@organization:eu" for number in range(5)]
        + [f"page:p{number}#data@dataset:d{number}" for number in range(5)]
    )
    delete, left = relata.store.records.delete, [step]

    def interrupted(kind: str, id: str, **more: Any) -> bool:  # noqa: A002  as the store has it
        left[0] -= 1
        if not left[0]:
            raise BrokenOffError
        return delete(kind, id, **more)

    with monkeypatch.context() as patch:
        patch.setattr(relata.store.records, "delete", interrupted)
        with pytest.raises(BrokenOffError):
            organizations.delete("eu")
    assert organizations.get("eu").deleting
    with pytest.raises(AuthenticationError):
        relata.keys.authenticate(created.secret)
    with pytest.raises(OrganizationConflictError, match="being deleted"):
        organizations.create(NewOrganization(id="low", parent="eu"))
    Organizations(relata).delete("eu")
    assert stored(relata) == before
    assert relata.store.records.list("organization_removal") == []


def test_an_organization_of_an_earlier_ones_name_is_told_nothing_of_it(
    relata: Relata, organizations: Organizations
) -> None:
    first = organizations.create(NewOrganization(id="eu"))
    written = organizations.inside("eu").write(["organization:eu#admin@user:anne"])
    organizations.delete("eu")
    organizations.create(NewOrganization(id="eu"))
    again = organizations.inside("eu")
    for token in (first.written_at, written.written_at):
        with pytest.raises(SnapshotUnavailableError):
            again.check(
                "organization:eu", "manage", "user:anne", consistency=at_exact_snapshot(token)
            )
    assert not again.check("organization:eu", "manage", "user:anne").allowed
