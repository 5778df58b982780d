"""Writes are whole, checked against the schema, and seen when they are committed."""

import threading

import pytest
import sqlalchemy as sa

from relata.authorizer import Relata
from relata.consistency import MINIMIZE_LATENCY, at_least_as_fresh
from relata.errors import (
    InvalidArgumentError,
    LimitExceededError,
    NotFreshError,
    PermissionNotWritableError,
    PreconditionFailedError,
    QuestionOnlyError,
    RelataError,
    RelationshipExistsError,
    SchemaMissingError,
    SchemaStrandsError,
    StoreError,
    SubjectNotAllowedError,
    UnknownDefinitionError,
    UnknownRelationError,
)
from relata.relationships import Precondition, RelationshipFilter, create, delete, touch
from relata.requests import Limits
from tests.authorizer.conftest import SCHEMA

READ_ME = "document:readme"


def test_a_write_is_seen_by_the_next_question(relata: Relata) -> None:
    relata.write(["document:readme#viewer@user:anne"])
    assert relata.check(READ_ME, "view", "user:anne").allowed
    relata.write([delete("document:readme#viewer@user:anne")])
    assert not relata.check(READ_ME, "view", "user:anne").allowed


def test_a_create_of_what_exists_changes_nothing(relata: Relata) -> None:
    relata.write([create("document:readme#viewer@user:anne")])
    with pytest.raises(RelationshipExistsError):
        relata.write(
            [
                touch("document:readme#viewer@user:bob"),
                create("document:readme#viewer@user:anne"),
            ]
        )
    assert not relata.check(READ_ME, "view", "user:bob").allowed


@pytest.mark.parametrize(
    ("relationship", "error", "field"),
    [
        ("nope:a#viewer@user:anne", UnknownDefinitionError, "updates[1].relationship"),
        ("document:a#nope@user:anne", UnknownRelationError, "updates[1].relationship"),
        ("document:a#view@user:anne", PermissionNotWritableError, "updates[1].relationship"),
        ("document:a#viewer@group:eng", SubjectNotAllowedError, "updates[1].relationship"),
        ("document:a#viewer@user:a#boss", SubjectNotAllowedError, "updates[1].relationship"),
        ("document:a#banned@user:*", SubjectNotAllowedError, "updates[1].relationship"),
        ("document:a#viewer@nope:a", UnknownDefinitionError, "updates[1].relationship"),
        ("document:*#viewer@user:anne", InvalidArgumentError, "updates[1].relationship"),
        ("document:a viewer anne", InvalidArgumentError, "updates[1].relationship"),
        ("document:a#viewer@user:a[cav]", InvalidArgumentError, "updates[1].relationship"),
        ("organization:a#chosen_by@user:anne", QuestionOnlyError, "updates[1].relationship"),
    ],
)
def test_a_bad_relationship_is_named_and_nothing_is_written(
    relata: Relata, relationship: str, error: type[RelataError], field: str
) -> None:
    before = relata.store.state()
    with pytest.raises(error) as caught:
        relata.write(["document:readme#viewer@user:anne", relationship])
    assert caught.value.field == field
    assert relata.store.state() == before
    assert not relata.check(READ_ME, "view", "user:anne").allowed


def test_a_precondition_that_fails_stops_the_write(relata: Relata) -> None:
    only_if_member = Precondition(
        "must_match", RelationshipFilter(resource_type="group", subject_id="anne")
    )
    with pytest.raises(PreconditionFailedError) as caught:
        relata.write(["document:readme#viewer@user:anne"], preconditions=[only_if_member])
    assert caught.value.field == "preconditions[0]"
    relata.write(["group:eng#member@user:anne"])
    relata.write(["document:readme#viewer@user:anne"], preconditions=[only_if_member])
    assert relata.check(READ_ME, "view", "user:anne").allowed


def test_a_mistyped_precondition_is_an_error(relata: Relata) -> None:
    mistyped = Precondition(
        "must_not_match", RelationshipFilter(resource_type="document", relation="baned")
    )
    with pytest.raises(UnknownRelationError) as caught:
        relata.write(["document:readme#viewer@user:anne"], preconditions=[mistyped])
    assert caught.value.field == "preconditions[0].filter.relation"


def test_delete_by_filter_says_what_it_left(relata: Relata) -> None:
    relata.write([f"document:d{n}#viewer@user:anne" for n in range(5)])
    anne = RelationshipFilter(subject_type="user", subject_id="anne")
    first = relata.delete(anne, limit=2)
    assert (first.deleted, first.complete) == (2, False)
    rest = relata.delete(anne)
    assert (rest.deleted, rest.complete) == (3, True)
    assert relata.lookup_resources("document", "view", "user:anne").resource_ids == ()


def test_too_many_updates_are_refused(url: str) -> None:
    with (
        Relata.open(url, schema=SCHEMA, limits=Limits(updates=2), follow_seconds=None) as relata,
        pytest.raises(LimitExceededError) as caught,
    ):
        relata.write([f"document:d{n}#viewer@user:anne" for n in range(3)])
    assert caught.value.field == "updates"


def test_a_joined_write_is_seen_from_its_commit_on(relata: Relata) -> None:
    with relata.store.engine.connect() as connection:
        connection.execute(sa.text("create table invoice (id text)"))
        connection.commit()
        connection.execute(sa.text("insert into invoice values ('1')"))
        written = relata.write(["document:inv1#viewer@user:anne"], connection=connection)
        assert not relata.check("document:inv1", "view", "user:anne").allowed
        connection.commit()
        assert connection.scalar(sa.text("select count(*) from invoice")) == 1
    assert relata.check("document:inv1", "view", "user:anne").allowed
    fresh = at_least_as_fresh(written.written_at)
    assert relata.check("document:inv1", "view", "user:anne", consistency=fresh).allowed


def test_a_joined_write_ends_with_its_transaction(relata: Relata, url: str) -> None:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        connection.execute(sa.text("create table invoice (id text)"))
        connection.commit()
        connection.execute(sa.text("insert into invoice values ('1')"))
        relata.write(["document:inv1#viewer@user:anne"], connection=connection)
        connection.rollback()
        assert connection.scalar(sa.text("select count(*) from invoice")) == 0
    engine.dispose()
    assert not relata.check("document:inv1", "view", "user:anne").allowed
    assert relata.read().relationships == ()


def test_a_failed_joined_write_leaves_the_callers_transaction(relata: Relata) -> None:
    relata.write(["document:inv1#viewer@user:anne"])
    with relata.store.engine.connect() as connection:
        connection.execute(sa.text("create table invoice (id text)"))
        connection.commit()
        connection.execute(sa.text("insert into invoice values ('1')"))
        with pytest.raises(RelationshipExistsError):
            relata.write(
                ["document:inv2#viewer@user:anne", create("document:inv1#viewer@user:anne")],
                connection=connection,
            )
        connection.commit()
        assert connection.scalar(sa.text("select count(*) from invoice")) == 1
    assert not relata.check("document:inv2", "view", "user:anne").allowed


def test_a_connection_to_another_database_is_refused(relata: Relata) -> None:
    other = Relata.open("sqlite://", schema=SCHEMA, follow_seconds=None)
    with other, other.store.engine.connect() as connection, pytest.raises(StoreError):
        relata.write(["document:inv1#viewer@user:anne"], connection=connection)


def test_a_zed_token_of_an_open_transaction_is_not_reached(url: str) -> None:
    with (
        Relata.open(url, schema=SCHEMA, follow_seconds=None) as relata,
        relata.store.engine.connect() as connection,
    ):
        written = relata.write(["document:inv1#viewer@user:anne"], connection=connection)
        fresh = at_least_as_fresh(written.written_at)
        with pytest.raises(NotFreshError):
            relata.check("document:inv1", "view", "user:anne", consistency=fresh)
        assert not relata.check(
            "document:inv1", "view", "user:anne", consistency=MINIMIZE_LATENCY
        ).allowed
        connection.rollback()


def test_a_schema_that_strands_a_relationship_is_refused(relata: Relata) -> None:
    relata.write(["document:readme#viewer@user:*"])
    without_public = SCHEMA.replace("user | user:* | group#member", "user | group#member")
    with pytest.raises(SchemaStrandsError) as caught:
        relata.write_schema(without_public)
    assert caught.value.relationship == "document:readme#viewer@user:*"
    assert relata.schema.text == SCHEMA
    relata.write([delete("document:readme#viewer@user:*")])
    relata.write_schema(without_public)
    with pytest.raises(SubjectNotAllowedError):
        relata.write(["document:readme#viewer@user:*"])


def test_a_new_schema_is_in_force_at_once(relata: Relata) -> None:
    relata.write(["document:readme#viewer@user:anne"])
    relata.write_schema(SCHEMA.replace("viewer - banned", "banned"))
    assert not relata.check(READ_ME, "view", "user:anne").allowed


def test_without_a_schema_every_question_says_so(url: str) -> None:
    with Relata.open(url, follow_seconds=None) as relata:
        with pytest.raises(SchemaMissingError):
            relata.check(READ_ME, "view", "user:anne")
        with pytest.raises(SchemaMissingError):
            relata.write(["document:readme#viewer@user:anne"])


def test_another_process_database_handle_follows(relata: Relata, url: str) -> None:
    with Relata.open(url, follow_seconds=None) as other:
        written = relata.write(["document:readme#viewer@user:anne"])
        assert not other.check(READ_ME, "view", "user:anne").allowed
        fresh = at_least_as_fresh(written.written_at)
        assert other.check(READ_ME, "view", "user:anne", consistency=fresh).allowed
        relata.write_schema(SCHEMA.replace("viewer - banned", "banned"))
        other.refresh()
        assert not other.check(READ_ME, "view", "user:anne").allowed


def test_question_only_relations_are_agreed_in_the_database(url: str) -> None:
    with Relata.open(
        url, schema=SCHEMA, question_only=["document#banned"], follow_seconds=None
    ) as relata:
        relata.write(["organization:a#chosen_by@user:anne"])
    with Relata.open(url, follow_seconds=None) as relata, pytest.raises(QuestionOnlyError):
        relata.write(["document:a#banned@user:anne"])
    both = ["document#banned", "organization#chosen_by"]
    with pytest.raises(StoreError, match="are stored"):
        Relata.open(url, question_only=both, follow_seconds=None)


def test_question_only_relations_are_never_fewer(relata: Relata, url: str) -> None:
    with pytest.raises(StoreError, match="name it too"):
        Relata.open(url, question_only=["organisation#chosen_by"], follow_seconds=None)
    more = ["organization#chosen_by", "product#requested_by", "document#banned"]
    with Relata.open(url, question_only=more, follow_seconds=None) as other:
        assert other.question_only == set(more)


def test_a_stored_choice_would_not_be_seen(relata: Relata, url: str) -> None:
    """Written past the authorizer, as only a faulty program could."""
    relata.write(["organization:acme#member@user:anne"])
    past = relata.store.write(
        [touch("organization:acme#chosen_by@user:anne")],
        schema_revision=relata.store.state().schema_revision,
    )
    assert relata.store.state().head == past
    relata.refresh()
    assert not relata.check("organization:acme", "session", "user:anne").allowed
    with Relata.open(url, follow_seconds=None) as other:
        assert not other.check("organization:acme", "session", "user:anne").allowed


def test_a_joined_write_is_seen_by_every_thread_from_its_commit_on(relata: Relata) -> None:
    """Also by a thread that asks while another is still taking the write in."""
    stale: list[int] = []

    def ask(n: int, barrier: threading.Barrier) -> None:
        barrier.wait()
        if not relata.check(f"document:inv{n}", "view", "user:anne").allowed:
            stale.append(n)

    for n in range(20):
        with relata.store.engine.connect() as connection:
            relata.write([f"document:inv{n}#viewer@user:anne"], connection=connection)
            connection.commit()
        barrier = threading.Barrier(4)
        threads = [threading.Thread(target=ask, args=(n, barrier)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert stale == []
