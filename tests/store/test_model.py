"""The store against a model in plain Python: a list of sets, one a revision."""

from __future__ import annotations

from collections.abc import Set
from datetime import UTC, datetime

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from relata.errors import RelationshipExistsError
from relata.relationships import (
    CaveatRef,
    Kind,
    Operation,
    Relationship,
    RelationshipFilter,
    Update,
    parse_relationship,
    relationship_kind,
)
from relata.store import Store
from tests.store.suite.base import live, replayed

KEYS = [
    parse_relationship(f"{resource}#{relation}@{subject}")
    for resource in ("document:a", "document:A", "document:ab", "folder:a")
    for relation in ("viewer", "editor")
    for subject in ("user:anne", "user:*", "group:eng", "group:eng#member")
]
CLOCK = [datetime(2030, 1, day, tzinfo=UTC) for day in range(1, 5)]
RELATIONSHIPS = st.builds(
    lambda key, caveat, expires_at: msgspec.structs.replace(
        key, caveat=caveat, expires_at=expires_at
    ),
    st.sampled_from(KEYS),
    st.sampled_from(
        [None, None, CaveatRef.of("cav", {"a": 1}), CaveatRef.of("cav"), CaveatRef.of("cov")]
    ),
    st.sampled_from([None, None, *CLOCK[1:3]]),
)
KINDS = st.builds(
    lambda kind, caveat, expiration: msgspec.structs.replace(
        kind, caveat=caveat, expiration=expiration
    ),
    st.sampled_from(sorted({relationship_kind(it) for it in KEYS})),
    st.sampled_from(["", "cav"]),
    st.booleans(),
)

UPDATES = st.lists(
    st.builds(Update, st.sampled_from(Operation), RELATIONSHIPS),
    max_size=8,
    unique_by=lambda update: update.relationship.key,
)
FILTERS = st.builds(
    RelationshipFilter,
    resource_type=st.sampled_from(["document", "folder"]),
    resource_id=st.none() | st.sampled_from(["a", "A"]),
    relation=st.none() | st.just("viewer"),
    subject_type=st.none() | st.just("group"),
    subject_relation=st.none() | st.sampled_from(["", "member"]),
) | st.builds(RelationshipFilter, resource_id_prefix=st.sampled_from(["a", "ab", "A", "x"]))


class StoreMachine(RuleBasedStateMachine):
    """`history[n]` is what is live at revision n."""

    def __init__(self) -> None:
        super().__init__()
        self.store = Store.open("sqlite://")
        self.history: list[frozenset[Relationship]] = [frozenset()]
        self.now = CLOCK[0]

    def there(self, revision: int) -> frozenset[Relationship]:
        """What has not expired of a revision."""
        return frozenset(it for it in self.history[revision] if not expired(it, self.now))

    @rule(now=st.sampled_from(CLOCK))
    def wait(self, now: datetime) -> None:
        self.now = max(self.now, now)

    @rule(updates=UPDATES, keep=st.sampled_from(["alone", "joined", "rolled back"]))
    def write(self, updates: list[Update], keep: str) -> None:
        try:
            expected = apply(updates, self.history[-1], self.now)
        except KeyError:
            expected = None
        try:
            revision = self._write(updates, keep)
        except RelationshipExistsError:
            assert expected is None
        else:
            assert expected is not None
            created = {it.relationship for it in updates if it.operation is Operation.CREATE}
            # What has expired may be created again as it was, which is a change of the feed only.
            changed = expected != self.history[-1] or bool(created & self.history[-1])
            assert revision == len(self.history) - 1 + changed
            if changed and keep != "rolled back":
                self.history.append(expected)

    def _write(self, updates: list[Update], keep: str) -> int:
        if keep == "alone":
            return self.store.write(updates, schema_revision=0, now=self.now)
        with self.store.engine.connect() as connection:
            revision = self.store.write(
                updates, schema_revision=0, connection=connection, now=self.now
            )
            if keep == "joined":
                connection.commit()
            return revision

    @rule(filter_=FILTERS, limit=st.none() | st.integers(1, 3))
    def delete(self, filter_: RelationshipFilter, limit: int | None) -> None:
        before = self.history[-1]
        matching = {it for it in self.there(-1) if matches(filter_, it)}
        outcome = self.store.delete(filter_, limit=limit, schema_revision=0, now=self.now)
        assert outcome.deleted == min(len(matching), limit or len(matching))
        assert outcome.complete == (outcome.deleted == len(matching))
        self.removed(before, matching, outcome.deleted)
        assert outcome.revision == len(self.history) - 1

    @rule(limit=st.integers(1, 3))
    def collect(self, limit: int) -> None:
        before = self.history[-1]
        ended = before - self.there(-1)
        collected = self.store.collect_expired(before=self.now, limit=limit)
        assert collected == min(len(ended), limit)
        self.removed(before, ended, collected)

    def removed(
        self, before: frozenset[Relationship], candidates: Set[Relationship], count: int
    ) -> None:
        if count:
            after = frozenset(live(self.store))
            assert after <= before
            assert before - after <= candidates
            assert len(before - after) == count
            self.history.append(after)

    @rule(data=st.data(), filter_=st.none() | FILTERS, size=st.integers(1, 5))
    def read(self, data: st.DataObject, filter_: RelationshipFilter | None, size: int) -> None:
        revision = data.draw(st.integers(0, len(self.history) - 1))
        seen: list[Relationship] = []
        after = 0
        while page := self.store.read(
            filter_, revision=revision, after=after, limit=size, now=self.now
        ):
            assert [it.row for it in page] == sorted({it.row for it in page})
            assert page[0].row > after
            seen.extend(it.relationship for it in page)
            after = page[-1].row
        there = self.there(revision)
        wanted = {it for it in there if filter_ is None or matches(filter_, it)}
        assert sorted(seen) == sorted(wanted)

    @rule(data=st.data(), kind=KINDS)
    def neighbours(self, data: st.DataObject, kind: Kind) -> None:
        revision = data.draw(st.integers(0, len(self.history) - 1))
        of_kind = [it for it in self.history[revision] if relationship_kind(it) == kind]
        resource_id = data.draw(st.sampled_from(["a", "A", "ab"]))
        assert sorted(self.store.subjects_at(kind, resource_id, revision)) == sorted(
            (it.subject.id, *traits(it)) for it in of_kind if it.resource.id == resource_id
        )
        subject_id = data.draw(st.sampled_from(["anne", "*", "eng"]))
        assert sorted(self.store.resources_at(kind, subject_id, revision)) == sorted(
            (it.resource.id, *traits(it)) for it in of_kind if it.subject.id == subject_id
        )

    @rule(kinds=st.lists(KINDS, max_size=3))
    def using(self, kinds: list[Kind]) -> None:
        there = self.there(-1)
        used = self.store.using(kinds, now=self.now)
        assert set(used) == set(kinds) & {relationship_kind(it) for it in there}
        for kind, one in used.items():
            assert one in there
            assert relationship_kind(one) == kind

    @rule(name=st.sampled_from(["cav", "cov"]))
    def contexts(self, name: str) -> None:
        having = {it for it in self.there(-1) if it.caveat and it.caveat.name == name}
        found = list(self.store.contexts(name, now=self.now))
        assert set(found) <= having
        assert len(found) == len({it.caveat for it in found})
        assert {it.caveat for it in found} == {it.caveat for it in having}

    @precondition(lambda self: len(self.history) > 2)
    @rule(data=st.data())
    def feed(self, data: st.DataObject) -> None:
        """From any revision, its relationships and the changes since make any later one."""
        after = data.draw(st.integers(0, len(self.history) - 1))
        through = data.draw(st.integers(after, len(self.history) - 1))
        changes = self.store.changes(after=after, through=through)
        assert [it.revision for it in changes] == sorted(it.revision for it in changes)
        there = set(self.history[after])
        for change in changes:
            assert after < change.revision <= through
            (there.add if change.added else there.remove)(change.relationship)
        assert there == self.history[through]

    @invariant()
    def the_feed_replayed_is_what_is_live(self) -> None:
        state, rows = self.store.live()
        assert state.head == len(self.history) - 1
        assert len(list(rows)) == len(self.history[-1])
        assert replayed(self.store.changes(after=0)) == live(self.store) == self.history[-1]

    def teardown(self) -> None:
        self.store.close()


def apply(
    updates: list[Update], there: frozenset[Relationship], now: datetime
) -> frozenset[Relationship]:
    """What the updates make; KeyError where one creates what is there."""
    after = {it.key: it for it in there}
    for update in updates:
        key = update.relationship.key
        present = after.pop(key, None)
        if update.operation is Operation.DELETE:
            continue
        if update.operation is Operation.CREATE and present and not expired(present, now):
            raise KeyError(key)
        after[key] = update.relationship
    return frozenset(after.values())


def expired(relationship: Relationship, now: datetime) -> bool:
    return relationship.expires_at is not None and relationship.expires_at <= now


def traits(relationship: Relationship) -> tuple[str, int | None]:
    caveat, end = relationship.caveat, relationship.expires_at
    return (
        caveat.context if caveat else "",
        None if end is None else round(end.timestamp()) * 1_000_000,
    )


def matches(filter_: RelationshipFilter, relationship: Relationship) -> bool:
    resource, subject = relationship.resource, relationship.subject
    pairs = (
        (filter_.resource_type, resource.type),
        (filter_.resource_id, resource.id),
        (filter_.relation, relationship.relation),
        (filter_.subject_type, subject.type),
        (filter_.subject_id, subject.id),
        (filter_.subject_relation, subject.relation),
    )
    prefix = filter_.resource_id_prefix or ""
    return resource.id.startswith(prefix) and all(
        wanted is None or wanted == actual for wanted, actual in pairs
    )


TestModel = StoreMachine.TestCase
TestModel.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
