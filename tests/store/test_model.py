"""The store against a model in plain Python: a list of sets, one a revision."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from relata.errors import RelationshipExistsError
from relata.relationships import (
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

ALL = [
    parse_relationship(f"{resource}#{relation}@{subject}")
    for resource in ("document:a", "document:A", "document:ab", "folder:a")
    for relation in ("viewer", "editor")
    for subject in ("user:anne", "user:*", "group:eng", "group:eng#member")
]
KINDS = sorted({relationship_kind(it) for it in ALL})

UPDATES = st.lists(
    st.builds(Update, st.sampled_from(Operation), st.sampled_from(ALL)),
    max_size=8,
    unique_by=lambda update: update.relationship,
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

    @rule(updates=UPDATES, keep=st.sampled_from(["alone", "joined", "rolled back"]))
    def write(self, updates: list[Update], keep: str) -> None:
        try:
            expected = apply(updates, self.history[-1])
        except KeyError:
            expected = None
        try:
            revision = self._write(updates, keep)
        except RelationshipExistsError:
            assert expected is None
        else:
            assert expected is not None
            changed = expected != self.history[-1]
            assert revision == len(self.history) - 1 + changed
            if changed and keep != "rolled back":
                self.history.append(expected)

    def _write(self, updates: list[Update], keep: str) -> int:
        if keep == "alone":
            return self.store.write(updates, schema_revision=0)
        with self.store.engine.connect() as connection:
            revision = self.store.write(updates, schema_revision=0, connection=connection)
            if keep == "joined":
                connection.commit()
            return revision

    @rule(filter_=FILTERS, limit=st.none() | st.integers(1, 3))
    def delete(self, filter_: RelationshipFilter, limit: int | None) -> None:
        before = self.history[-1]
        matching = {it for it in before if matches(filter_, it)}
        outcome = self.store.delete(filter_, limit=limit, schema_revision=0)
        assert outcome.deleted == min(len(matching), limit or len(matching))
        assert outcome.complete == (outcome.deleted == len(matching))
        if outcome.deleted:
            after = frozenset(live(self.store))
            assert after <= before
            assert before - after <= matching
            assert len(before - after) == outcome.deleted
            self.history.append(after)
        assert outcome.revision == len(self.history) - 1

    @rule(data=st.data(), filter_=st.none() | FILTERS, size=st.integers(1, 5))
    def read(self, data: st.DataObject, filter_: RelationshipFilter | None, size: int) -> None:
        revision = data.draw(st.integers(0, len(self.history) - 1))
        seen: list[Relationship] = []
        after = 0
        while page := self.store.read(filter_, revision=revision, after=after, limit=size):
            assert [it.row for it in page] == sorted({it.row for it in page})
            assert page[0].row > after
            seen.extend(it.relationship for it in page)
            after = page[-1].row
        there = self.history[revision]
        wanted = {it for it in there if filter_ is None or matches(filter_, it)}
        assert sorted(seen) == sorted(wanted)

    @rule(data=st.data(), kind=st.sampled_from(KINDS))
    def neighbours(self, data: st.DataObject, kind: Kind) -> None:
        revision = data.draw(st.integers(0, len(self.history) - 1))
        of_kind = [it for it in self.history[revision] if relationship_kind(it) == kind]
        resource_id = data.draw(st.sampled_from(["a", "A", "ab"]))
        assert sorted(self.store.subjects_at(kind, resource_id, revision)) == sorted(
            it.subject.id for it in of_kind if it.resource.id == resource_id
        )
        subject_id = data.draw(st.sampled_from(["anne", "*", "eng"]))
        assert sorted(self.store.resources_at(kind, subject_id, revision)) == sorted(
            it.resource.id for it in of_kind if it.subject.id == subject_id
        )

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


def apply(updates: list[Update], there: frozenset[Relationship]) -> frozenset[Relationship]:
    """What the updates make; KeyError where one creates what is there."""
    after = set(there)
    for update in updates:
        if update.operation is Operation.DELETE:
            after.discard(update.relationship)
            continue
        if update.operation is Operation.CREATE and update.relationship in there:
            raise KeyError(update.relationship)
        after.add(update.relationship)
    return frozenset(after)


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
