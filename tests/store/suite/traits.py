"""Caveats and expirations: said of a relationship, no part of which one it is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import permutations, product

import pytest

from relata.errors import (
    InvalidArgumentError,
    PreconditionFailedError,
    RelationshipExistsError,
    SchemaStrandsError,
)
from relata.relationships import (
    Kind,
    Precondition,
    Relationship,
    RelationshipFilter,
    create,
    delete,
    relationship_kind,
    touch,
)
from relata.store import Store, StoredSchema
from tests.store.suite.base import EPOCH, Base, live, put, rel, replayed, stored

A = "document:a#viewer@user:anne"
B = "document:b#viewer@user:anne"
CAVEATED = f'{A}[weekdays:{{"days":5}}]'
OTHERWISE = f'{A}[weekdays:{{"days":6}}]'
WITHOUT_CONTEXT = f"{A}[weekdays]"
EXPIRING = f"{A}[expiration:2130-01-01T00:00:00Z]"
BOTH = f'{A}[weekdays:{{"days":5}}][expiration:2130-01-01T00:00:00Z]'
VARIANTS = (A, CAVEATED, OTHERWISE, WITHOUT_CONTEXT, EXPIRING, BOTH)

END = datetime(2130, 1, 1, tzinfo=UTC)
JUST_BEFORE = END - timedelta(microseconds=1)
END_MICROSECONDS = 5_049_129_600_000_000
EVERYTHING = RelationshipFilter(resource_type="document")


class TraitSuite(Base):
    @pytest.mark.parametrize("text", VARIANTS)
    def test_a_relationship_comes_back_with_all_that_is_said_of_it(
        self, store: Store, text: str
    ) -> None:
        put(store, text)
        assert stored(store) == [text]
        assert live(store) == {rel(text)}
        assert replayed(store.changes(after=0)) == {rel(text)}

    def test_live_rows_have_the_context_as_text_and_microseconds(self, store: Store) -> None:
        put(store, BOTH, B)
        _, rows = store.live()
        assert sorted(rows) == [
            (
                *("document", "a", "viewer", "user", "anne", ""),
                *("weekdays", '{"days":5}', END_MICROSECONDS),
            ),
            ("document", "b", "viewer", "user", "anne", "", "", "", None),
        ]

    @pytest.mark.parametrize(
        "moment",
        [
            datetime.min.replace(tzinfo=UTC),
            EPOCH - timedelta(microseconds=1),
            EPOCH,
            datetime(2130, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
            datetime.max.replace(tzinfo=UTC),
        ],
    )
    def test_a_moment_is_kept_to_the_microsecond(self, store: Store, moment: datetime) -> None:
        expiring = Relationship(rel(A).resource, "viewer", rel(A).subject, None, moment)
        store.write([touch(expiring)], schema_revision=0)
        assert live(store) == {expiring}
        (change,) = store.changes(after=0)
        assert change.relationship.expires_at == moment

    @pytest.mark.parametrize("text", VARIANTS)
    def test_touching_it_the_same_changes_nothing(self, store: Store, text: str) -> None:
        put(store, text)
        assert put(store, text) == 1
        assert store.state().head == 1

    def test_touching_it_otherwise_replaces_what_was_said(self, store: Store) -> None:
        for before, after in permutations(VARIANTS, 2):
            revision = put(store, before, B)
            assert put(store, after, B) == revision + 1
            assert live(store) == {rel(after), rel(B)}
            assert set(stored(store, revision)) == {before, B}
            changes = [(it.added, str(it.relationship)) for it in store.changes(after=revision)]
            assert changes == [(False, before), (True, after)]

    @pytest.mark.parametrize("present", VARIANTS)
    def test_creating_over_what_is_there_is_refused_whatever_is_said(
        self, store: Store, present: str
    ) -> None:
        put(store, present)
        for text in VARIANTS:
            with pytest.raises(RelationshipExistsError, match=f"`{A}` exists already"):
                store.write([create(B), create(text)], schema_revision=0, now=JUST_BEFORE)
        assert stored(store) == [present]

    @pytest.mark.parametrize("after", VARIANTS)
    def test_what_has_expired_is_created_again(self, store: Store, after: str) -> None:
        put(store, EXPIRING)
        assert store.write([create(after), create(B)], schema_revision=0, now=END) == 2
        assert live(store) == {rel(after), rel(B)}
        removed, *added = [(it.added, str(it.relationship)) for it in store.changes(after=1)]
        assert removed == (False, EXPIRING)
        assert sorted(added) == sorted([(True, after), (True, B)])

    def test_of_several_creates_the_one_that_is_refused_is_named(self, store: Store) -> None:
        put(store, EXPIRING, B)
        with pytest.raises(RelationshipExistsError, match=f"`{B}`") as caught:
            store.write([create(A), create(B)], schema_revision=0, now=END)
        assert caught.value.field == "updates[1]"
        assert live(store) == {rel(EXPIRING), rel(B)}

    def test_what_is_created_with_an_end_in_the_past_is_created_once(self, store: Store) -> None:
        put(store, B)
        later = END + timedelta(days=1)
        with pytest.raises(RelationshipExistsError, match=f"`{B}`"):
            store.write([create(EXPIRING), create(B)], schema_revision=0, now=later)
        assert store.write([create(EXPIRING)], schema_revision=0, now=later) == 2
        assert live(store) == {rel(EXPIRING), rel(B)}

    def test_deleting_it_needs_to_say_nothing_of_it(self, store: Store) -> None:
        for present, named in product(VARIANTS, VARIANTS):
            revision = put(store, present, B)
            assert store.write([delete(named)], schema_revision=0, now=END) == revision + 1
            assert live(store) == {rel(B)}
            (change,) = store.changes(after=revision)
            assert (change.added, str(change.relationship)) == (False, present)

    def test_two_updates_of_one_relationship_are_refused_whatever_they_say(
        self, store: Store
    ) -> None:
        for text in VARIANTS:
            with pytest.raises(InvalidArgumentError, match=f"`{A}`") as caught:
                store.write([touch(CAVEATED), delete(text)], schema_revision=0)
            assert caught.value.field == "updates[1]"

    def test_what_has_expired_is_not_read(self, store: Store) -> None:
        """At the moment of its end it is gone, at every revision, also for a filter."""
        put(store, EXPIRING, B)
        put(store, "document:c#viewer@user:anne")

        def read(now: datetime, filter_: RelationshipFilter | None) -> list[str]:
            page = store.read(filter_, revision=1, limit=10, now=now)
            return [str(item.relationship) for item in page]

        for filter_ in (None, EVERYTHING, RelationshipFilter(subject_id="anne")):
            assert set(read(JUST_BEFORE, filter_)) == {EXPIRING, B}
            assert set(read(END, filter_)) == {B}

    def test_what_expired_before_the_call_is_not_read(self, store: Store) -> None:
        """The present moment decides where none is given."""
        ended = datetime.now(UTC)
        passed = Relationship(rel(A).resource, "viewer", rel(A).subject, None, ended)
        coming = Relationship(
            rel(B).resource, "viewer", rel(B).subject, None, ended + timedelta(days=1)
        )
        store.write([touch(passed), touch(coming)], schema_revision=0)
        assert stored(store) == [str(coming)]
        assert live(store) == {passed, coming}
        store.write([create(A)], schema_revision=0)
        assert store.delete(EVERYTHING, limit=None, schema_revision=0).deleted == 2

    def test_what_has_expired_is_not_deleted_by_a_filter(self, store: Store) -> None:
        put(store, EXPIRING, B)
        outcome = store.delete(EVERYTHING, limit=1, schema_revision=0, now=END)
        assert (outcome.deleted, outcome.complete) == (1, True)
        outcome = store.delete(EVERYTHING, limit=None, schema_revision=0, now=END)
        assert (outcome.revision, outcome.deleted) == (2, 0)
        assert live(store) == {rel(EXPIRING)}
        outcome = store.delete(EVERYTHING, limit=None, schema_revision=0, now=JUST_BEFORE)
        assert outcome.deleted == 1

    def test_a_precondition_does_not_see_what_has_expired(self, store: Store) -> None:
        put(store, EXPIRING)
        must = Precondition("must_match", EVERYTHING)
        must_not = Precondition("must_not_match", EVERYTHING)
        with pytest.raises(PreconditionFailedError):
            store.write([touch(B)], [must], schema_revision=0, now=END)
        with pytest.raises(PreconditionFailedError):
            store.write([touch(B)], [must_not], schema_revision=0, now=JUST_BEFORE)
        assert store.write([touch(B)], [must], schema_revision=0, now=JUST_BEFORE) == 2
        store.write([delete(B)], schema_revision=0)
        assert store.write([touch(B)], [must_not], schema_revision=0, now=END) == 4

    def test_neighbours_are_of_the_exact_kind(self, store: Store) -> None:
        """Also those that have expired: whether they have is for the question to judge."""
        others = ("user:bob", "user:cleo", "user:dan", "user:eve", "user:fay")
        put(
            store,
            *(text.replace("user:anne", it) for text, it in zip(VARIANTS[1:], others, strict=True)),
            A,
        )
        kinds = {
            Kind("document", "viewer", "user"): [("anne", "", None)],
            Kind("document", "viewer", "user", caveat="weekdays"): [
                ("bob", '{"days":5}', None),
                ("cleo", '{"days":6}', None),
                ("dan", "", None),
            ],
            Kind("document", "viewer", "user", expiration=True): [("eve", "", END_MICROSECONDS)],
            Kind("document", "viewer", "user", caveat="weekdays", expiration=True): [
                ("fay", '{"days":5}', END_MICROSECONDS)
            ],
            Kind("document", "viewer", "user", caveat="other"): [],
        }
        for kind, neighbours in kinds.items():
            assert sorted(store.subjects_at(kind, "a", 1)) == neighbours
            for id_, context, end in neighbours:
                assert store.resources_at(kind, id_, 1) == [("a", context, end)]
        assert set(store.using(kinds, now=JUST_BEFORE)) == {it for it in kinds if kinds[it]}
        assert set(store.using(kinds, now=END)) == {
            it for it in kinds if kinds[it] and not it.expiration
        }

    def test_using_gives_one_relationship_of_each_kind(self, store: Store) -> None:
        put(store, CAVEATED, B, "document:c#viewer@user:anne")
        caveated, plain = relationship_kind(rel(CAVEATED)), relationship_kind(rel(A))
        used = store.using([caveated, plain, Kind("document", "editor", "user")])
        assert used[caveated] == rel(CAVEATED)
        assert str(used[plain]) in (B, "document:c#viewer@user:anne")
        assert set(used) == {caveated, plain}
        assert store.using([]) == {}

    @pytest.mark.parametrize("text", VARIANTS)
    def test_a_schema_that_no_longer_allows_the_kind_is_refused(
        self, store: Store, text: str
    ) -> None:
        put(store, text)
        for other in VARIANTS:
            kind = relationship_kind(rel(other))
            if kind != relationship_kind(rel(text)):
                store.write_schema(
                    f"without {other}",
                    replaces=store.state().schema_revision,
                    removed=[kind],
                    now=JUST_BEFORE,
                )
        kind = relationship_kind(rel(text))
        replaces = store.state().schema_revision
        with pytest.raises(SchemaStrandsError) as caught:
            store.write_schema("without", replaces=replaces, removed=[kind], now=JUST_BEFORE)
        assert caught.value.relationship == text
        assert f"does not allow `{kind}`" in caught.value.message

    def test_what_has_expired_does_not_hold_up_a_schema(self, store: Store) -> None:
        put(store, EXPIRING)
        kind = relationship_kind(rel(EXPIRING))
        assert store.write_schema("one", replaces=0, removed=[kind], now=END) == 2

    def test_contexts_are_given_once_each(self, store: Store) -> None:
        other = "document:c#viewer@user:anne[weekends]"
        put(store, CAVEATED, CAVEATED.replace("document:a", "document:b"), other)
        put(store, "document:d#viewer@user:anne[weekdays]", "document:x#viewer@user:anne")
        put(store, BOTH.replace("document:a", "document:e").replace("5", "7"))

        def contexts(now: datetime) -> list[str]:
            found = list(store.contexts("weekdays", now=now))
            assert {it.caveat.name for it in found if it.caveat} == {"weekdays"}
            return sorted(it.caveat.context for it in found if it.caveat)

        assert contexts(JUST_BEFORE) == ["", '{"days":5}', '{"days":7}']
        assert contexts(END) == ["", '{"days":5}']
        assert [str(it) for it in store.contexts("weekends")] == [other]
        assert list(store.contexts("other")) == []

    def test_a_schema_that_a_stored_context_does_not_fit_is_refused(self, store: Store) -> None:
        store.write_schema("one", replaces=0, removed=[])
        put(store, CAVEATED, f"{B}[weekdays]", "document:c#viewer@user:anne[weekends]")
        asked: list[str] = []

        def rechecked(
            complaints: dict[str, str],
        ) -> dict[str, Callable[[Relationship], str | None]]:
            def fault(stored: Relationship) -> str | None:
                asked.append(str(stored))
                return complaints.get(str(stored))

            return {"weekdays": fault}

        with pytest.raises(SchemaStrandsError) as caught:
            store.write_schema(
                "two",
                replaces=1,
                removed=[],
                rechecked=rechecked({CAVEATED: "`days` is not text"}),
            )
        assert caught.value.relationship == CAVEATED
        assert "does not fit the new caveat `weekdays`: `days` is not text;" in caught.value.message
        assert store.schema() == StoredSchema(1, "one")
        assert store.state().head == 2
        asked.clear()
        assert store.write_schema("two", replaces=1, removed=[], rechecked=rechecked({})) == 3
        assert sorted(asked) == sorted([CAVEATED, f"{B}[weekdays]"])

    def test_what_has_expired_is_collected_as_a_revision(self, store: Store) -> None:
        texts = [
            f"document:{name}#viewer@user:anne[expiration:2130-01-0{day}T00:00:00Z]"
            for day in (1, 2)
            for name in (f"x{day}", f"y{day}", f"z{day}")
        ]
        put(store, *texts, A)
        assert store.collect_expired(before=JUST_BEFORE, limit=10) == 0
        assert store.state().head == 1
        assert store.collect_expired(before=END, limit=2) == 2
        assert store.collect_expired(before=END, limit=2) == 1
        assert store.collect_expired(before=END, limit=2) == 0
        assert store.state().head == 3
        assert live(store) == {rel(text) for text in [*texts[3:], A]}
        assert [it.revision for it in store.changes(after=1)] == [2, 2, 3]
        assert {str(it.relationship) for it in store.changes(after=1) if not it.added} == set(
            texts[:3]
        )
        with pytest.raises(InvalidArgumentError):
            store.collect_expired(before=END, limit=0)
