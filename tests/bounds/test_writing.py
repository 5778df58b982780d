"""What a bound key may write: relationships that are wholly inside, before and after."""

from __future__ import annotations

import threading

import pytest

from relata.authorizer import Relata
from relata.bounds import Bounded, OutsideError
from relata.errors import (
    InvalidArgumentError,
    PreconditionFailedError,
    QuestionOnlyError,
    RelationshipExistsError,
)
from relata.relationships import Precondition, RelationshipFilter, create, delete, touch
from tests.bounds.world import RELATIONSHIPS, SCHEMA


def stored(relata: Relata) -> set[str]:
    relata.refresh()
    return {str(it) for it in relata.read().relationships}


@pytest.mark.parametrize(
    "updates",
    [
        ["folder:acme-top#viewer@user:zoe"],
        ["folder:acme-top#viewer@user:*"],
        ["organization:acme#admin@user:zoe"],
        ["organization:acme-eu#member@user:zoe"],
        ["folder:eu-top#viewer@group:acme-staff#member"],
        ["document:acme-plan#product@product:another"],
        ["folder:new#organization@organization:acme", "folder:new#viewer@user:zoe"],
        ["folder:new#above@folder:acme-top"],
        ["document:new#folder@folder:new", "folder:new#organization@organization:acme-eu"],
        ["group:new#organization@organization:acme", "folder:acme-top#viewer@group:new#member"],
    ],
)
def test_what_is_inside_is_written(relata: Relata, acme: Bounded, updates: list[str]) -> None:
    """An object is new where no relationship names it, and belongs by those that come with it."""
    before = stored(relata)
    acme.write(updates)
    assert stored(relata) - before == set(updates)


@pytest.mark.parametrize(
    "updates",
    [
        ["folder:globex-top#viewer@user:ada"],
        ["folder:globex-top#organization@organization:acme"],
        ["folder:globex-top#above@folder:acme-top"],
        ["organization:globex#parent@organization:acme"],
        ["organization:globex#admin@user:ada"],
        ["organization:acme#parent@organization:globex"],
        ["organization:holding#admin@user:ada"],
        ["organization:new#parent@organization:acme"],
        ["folder:acme-top#viewer@group:globex-staff#member"],
        ["folder:acme-top#viewer@group:*"],
        ["folder:acme-top#viewer@team:shared#member"],
        ["folder:acme-top#above@folder:globex-top"],
        ["folder:acme-top#above@folder:nobodys"],
        ["folder:acme-top#organization@organization:globex"],
        ["folder:nobodys#viewer@user:ada"],
        ["product:wiki#subscriber@organization:acme"],
        ["team:shared#member@user:ada"],
        ["team:new#member@user:ada"],
        ["group:acme-staff#organization@organization:holding"],
    ],
)
def test_what_is_not_wholly_inside_is_refused_with_all_that_comes_with_it(
    relata: Relata, acme: Bounded, updates: list[str]
) -> None:
    """By every operation, in one wording, and nothing is stored."""
    before = stored(relata)
    for operation in (create, touch, delete):
        for more in ((), (touch("folder:acme-top#viewer@user:zoe"),)):
            with pytest.raises(OutsideError):
                acme.write([*map(operation, updates), *more])
    assert stored(relata) == before


def test_what_something_names_already_cannot_be_claimed(relata: Relata, acme: Bounded) -> None:
    """An object without an owner may yet be what another's permissions rest on."""
    relata.write(["folder:globex-top#above@folder:loose", "document:lost#owner@user:olga"])
    for claim in (
        ["folder:loose#organization@organization:acme"],
        ["document:lost#folder@folder:acme-top"],
    ):
        with pytest.raises(OutsideError):
            acme.write(claim)


def test_an_existing_relationship_of_another_is_not_told_by_a_create(acme: Bounded) -> None:
    """It is refused as one that is not there."""
    for relationship in (
        "folder:globex-top#viewer@group:globex-staff#member",
        "folder:globex-top#viewer@user:nobody",
    ):
        with pytest.raises(OutsideError):
            acme.write([create(relationship)])
    with pytest.raises(RelationshipExistsError):
        acme.write([create("folder:eu-top#viewer@user:eve")])


def test_a_choice_is_not_stored(acme: Bounded) -> None:
    with pytest.raises(QuestionOnlyError):
        acme.write(["organization:acme#chosen_by@user:anne"])


def test_an_object_leaves_with_everything_or_not_at_all(relata: Relata, acme: Bounded) -> None:
    with pytest.raises(InvalidArgumentError, match="`folder:eu-top` would leave the organization"):
        acme.write([delete("folder:eu-top#organization@organization:acme-eu")])
    with pytest.raises(InvalidArgumentError, match="`folder:acme-top` would leave"):
        acme.write(  # `folder:acme-sub` is below it
            [
                delete("folder:acme-top#organization@organization:acme"),
                delete("folder:acme-top#viewer@group:acme-staff#member"),
            ]
        )
    acme.write(
        [
            delete("folder:eu-top#organization@organization:acme-eu"),
            delete("folder:eu-top#viewer@user:eve"),
        ]
    )
    assert not any("eu-top" in it for it in stored(relata))


def test_an_object_changes_hands_within_the_organization(relata: Relata, acme: Bounded) -> None:
    acme.write(
        [
            delete("folder:eu-top#organization@organization:acme-eu"),
            touch("folder:eu-top#organization@organization:acme"),
        ]
    )
    assert acme.belongs("folder:eu-top")
    assert not Bounded(relata, "acme-eu").belongs("folder:eu-top")


def test_an_organization_below_cannot_leave(acme: Bounded) -> None:
    with pytest.raises(InvalidArgumentError, match="would leave the organization"):
        acme.write([delete("organization:acme-eu#parent@organization:acme")])


def test_an_organization_cannot_leave_the_one_above(relata: Relata) -> None:
    with pytest.raises(OutsideError):
        Bounded(relata, "acme-eu").write([delete("organization:acme-eu#parent@organization:acme")])


WRITE = (touch("folder:acme-top#viewer@user:zoe"),)


@pytest.mark.parametrize(
    "filter_",
    [
        {"resource_type": "folder", "resource_id": "globex-top"},
        {"resource_type": "folder", "resource_id": "nobodys"},
        {"resource_type": "folder"},
        {"resource_id": "acme-top"},
        {"resource_type": "folder", "resource_id_prefix": "acme"},
        {"relation": "viewer"},
        {"subject_type": "group", "subject_id": "globex-staff"},
        {"resource_type": "folder", "resource_id": "acme-top", "subject_id": "globex-staff"},
        {
            "resource_type": "folder",
            "resource_id": "acme-top",
            "subject_type": "group",
            "subject_id": "globex-staff",
        },
        {"resource_type": "product", "resource_id": "wiki"},
    ],
)
@pytest.mark.parametrize("operation", ["must_match", "must_not_match"])
def test_a_precondition_is_no_oracle(
    acme: Bounded, filter_: dict[str, str], operation: str
) -> None:
    """It is refused whether it would hold or not."""
    precondition = Precondition(operation, RelationshipFilter(**filter_))  # type: ignore[arg-type]  # a literal
    with pytest.raises(OutsideError):
        acme.write(WRITE, preconditions=[precondition])
    with pytest.raises(OutsideError):
        acme.delete(RelationshipFilter(resource_type="folder"), preconditions=[precondition])


def test_a_precondition_about_what_is_inside_holds_or_not(acme: Bounded) -> None:
    there = RelationshipFilter(
        resource_type="folder", resource_id="eu-top", subject_type="user", subject_id="eve"
    )
    acme.write(WRITE, preconditions=[Precondition("must_match", there)])
    with pytest.raises(PreconditionFailedError):
        acme.write(WRITE, preconditions=[Precondition("must_not_match", there)])


def test_a_delete_by_filter_deletes_what_is_inside(relata: Relata, acme: Bounded) -> None:
    before = stored(relata)
    outcome = acme.delete(RelationshipFilter(relation="owner"))
    assert (outcome.deleted, outcome.complete) == (1, True)
    assert before - stored(relata) == {"document:acme-plan#owner@user:olga"}


@pytest.mark.parametrize(
    "filter_",
    [
        {"resource_type": "folder", "resource_id": "globex-top"},
        {"subject_type": "user", "subject_id": "gil"},
        {"resource_type": "product"},
        {"resource_id_prefix": "globex"},
    ],
)
def test_a_delete_by_filter_finds_nothing_outside(
    relata: Relata, acme: Bounded, filter_: dict[str, str]
) -> None:
    before = stored(relata)
    outcome = acme.delete(RelationshipFilter(**filter_))
    assert (outcome.deleted, outcome.complete) == (0, True)
    assert stored(relata) == before


def test_a_delete_by_filter_goes_on(relata: Relata, acme: Bounded) -> None:
    acme.write([f"folder:acme-top#viewer@user:u{number}" for number in range(5)])
    filter_ = RelationshipFilter(
        resource_type="folder", subject_type="user", resource_id="acme-top"
    )
    assert acme.delete(filter_, limit=3).complete is False
    assert acme.delete(filter_, limit=3).deleted == 2
    assert acme.read(filter_).relationships == ()


def test_a_caveat_goes_with_its_relationship(relata: Relata, acme: Bounded) -> None:
    assert acme.delete(RelationshipFilter(subject_type="user", subject_id="wes")).deleted == 2
    assert not any("wes" in it for it in stored(relata))


def test_what_another_process_does_meanwhile_is_looked_at(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Whoever comes first has the object; the graph of the other need not know of it yet."""
    url = f"sqlite:///{tmp_path_factory.mktemp('two') / 'relata.db'}"
    with (
        Relata.open(url, schema=SCHEMA, follow_seconds=None) as one,
        Relata.open(url, follow_seconds=None) as other,
    ):
        one.write(RELATIONSHIPS)
        other.write(["folder:contested#organization@organization:globex"])
        with pytest.raises(OutsideError):
            Bounded(one, "acme").write(["folder:contested#organization@organization:acme"])


def test_one_of_many_that_claim_an_object_has_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    url = f"sqlite:///{tmp_path_factory.mktemp('race') / 'relata.db'}"
    with Relata.open(url, schema=SCHEMA, follow_seconds=None) as relata:
        relata.write(RELATIONSHIPS)
        for number in range(10):
            start = threading.Barrier(2)
            claimed: list[str] = []

            def claim(
                organization: str, number: int, start: threading.Barrier, claimed: list[str]
            ) -> None:
                start.wait()
                try:
                    Bounded(relata, organization).write(
                        [f"folder:f{number}#organization@organization:{organization}"]
                    )
                except OutsideError:
                    return
                claimed.append(organization)

            threads = [
                threading.Thread(target=claim, args=(name, number, start, claimed))
                for name in ("acme", "globex")
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            owners = {it for it in stored(relata) if it.startswith(f"folder:f{number}#")}
            assert len(claimed) == len(owners) == 1


def test_a_write_is_seen_at_once(relata: Relata, acme: Bounded) -> None:
    written = acme.write([touch("folder:acme-top#viewer@user:zoe")])
    assert relata.check("folder:acme-top", "view", "user:zoe").allowed
    assert relata.check("folder:acme-top", "view", "user:zoe").checked_at == written.written_at
