"""Filters and ids: exact to the code point, and data however they look."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relata.errors import InvalidArgumentError
from relata.relationships import (
    ObjectRef,
    Relationship,
    RelationshipFilter,
    SubjectRef,
    parse_relationship,
    touch,
)
from relata.store import Store
from tests.store.suite.base import Base, found, put, stored

ROWS = (
    "document:a#viewer@user:anne",
    "document:ab#viewer@user:bob",
    "document:a#editor@group:eng#member",
    "folder:a#viewer@group:eng",
    "folder:b#viewer@user:*",
)

# Pairs that some database, collation or normal form takes for equal.
LOOKALIKES = (
    "A",
    "a",
    "a.",
    "\N{LATIN SMALL LETTER A WITH GRAVE}",
    "a\N{COMBINING GRAVE ACCENT}",
    "\N{MATHEMATICAL BOLD SMALL A}",
    "\N{FULLWIDTH LATIN SMALL LETTER A}",
    "\N{LATIN CAPITAL LETTER A WITH RING ABOVE}",
    "\N{ANGSTROM SIGN}",
    "\N{LATIN SMALL LIGATURE FI}",
    "fi",
    "FI",
    "\N{LATIN SMALL LETTER SHARP S}",
    "ss",
    "\N{LATIN SMALL LETTER DOTLESS I}",
    "\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}",
    "i",
    "I",
    "\N{GREEK CAPITAL LETTER SIGMA}",
    "\N{GREEK SMALL LETTER SIGMA}",
    "\N{GREEK SMALL LETTER FINAL SIGMA}",
    "\N{FULLWIDTH DIGIT ONE}",
    "1",
    "01",
    "1.0",
    "1e0",
    "null",
    "NULL",
)

HOSTILE = (
    "'",
    "''",
    '"',
    "`",
    "%",
    "%a",
    "_",
    "\\",
    "\\%",
    ":name",
    "?",
    "?1",
    "$1",
    "--",
    "/*",
    "');DROP",
    "'OR'1'='1",
    "{}",
    "%(name)s",
    "%s",
)

_IDS = (
    st.text(
        st.characters(exclude_categories=["Cs"]) | st.sampled_from("aAbB%_"),
        min_size=1,
        max_size=4,
    )
    .filter(str.isprintable)
    .filter(lambda text: not any(it in "#[]" or it.isspace() for it in text) and text != "*")
)


class FilterSuite(Base):
    @pytest.mark.parametrize(
        ("filter_", "rows"),
        [
            (RelationshipFilter(resource_type="folder"), {3, 4}),
            (RelationshipFilter(resource_id="a"), {0, 2, 3}),
            (RelationshipFilter(resource_id_prefix="a"), {0, 1, 2, 3}),
            (RelationshipFilter(relation="editor"), {2}),
            (RelationshipFilter(subject_type="group"), {2, 3}),
            (RelationshipFilter(subject_id="eng"), {2, 3}),
            (RelationshipFilter(subject_id="*"), {4}),
            (RelationshipFilter(subject_relation="member"), {2}),
            (RelationshipFilter(subject_relation=""), {0, 1, 3, 4}),
            (RelationshipFilter(resource_type="document", resource_id="a"), {0, 2}),
            (RelationshipFilter(resource_type="document", resource_id_prefix="ab"), {1}),
            (RelationshipFilter(subject_type="group", subject_relation=""), {3}),
            (RelationshipFilter(resource_type="document", relation="nothing"), set()),
            (RelationshipFilter(resource_type="Document"), set()),
            (RelationshipFilter("document", "a", None, "editor", "group", "eng", "member"), {2}),
        ],
    )
    def test_read_and_delete_agree_on_a_filter(
        self, store: Store, filter_: RelationshipFilter, rows: set[int]
    ) -> None:
        put(store, *ROWS)
        assert found(store, filter_) == {ROWS[row] for row in rows}
        assert store.delete(filter_, limit=None, schema_revision=0).deleted == len(rows)
        assert set(stored(store)) == {row for at, row in enumerate(ROWS) if at not in rows}

    @pytest.mark.parametrize(
        "filter_",
        [
            RelationshipFilter(),
            RelationshipFilter(resource_id="a", resource_id_prefix="a"),
            RelationshipFilter(resource_type="document", resource_id_prefix=""),
            RelationshipFilter(resource_id="a\x00"),
            RelationshipFilter(subject_id="\ud800"),
        ],
    )
    def test_a_filter_that_means_nothing_is_refused(
        self, store: Store, filter_: RelationshipFilter
    ) -> None:
        put(store, *ROWS)
        with pytest.raises(InvalidArgumentError) as caught:
            store.delete(filter_, limit=None, schema_revision=0)
        assert caught.value.field == "filter"
        with pytest.raises(InvalidArgumentError) as caught:
            store.read(filter_, revision=1, limit=10)
        assert caught.value.field == "filter"
        assert stored(store) == list(ROWS)

    @pytest.mark.parametrize("ids", [LOOKALIKES, HOSTILE], ids=["lookalikes", "hostile"])
    def test_ids_stay_distinct_and_come_back_as_they_were(
        self, store: Store, ids: tuple[str, ...]
    ) -> None:
        """OpenFGA CVE-2026-55170: one backend compared identifiers without case."""
        assert len(set(ids)) == len(ids)
        resources = [f"document:{id_}#viewer@user:anne" for id_ in ids]
        subjects = [f"folder:all#viewer@user:{id_}" for id_ in ids]
        put(store, *resources, *subjects)
        assert stored(store) == [*resources, *subjects]
        for id_ in ids:
            assert found(store, RelationshipFilter(resource_id=id_)) == {
                f"document:{id_}#viewer@user:anne"
            }
            assert found(store, RelationshipFilter(subject_id=id_)) == {
                f"folder:all#viewer@user:{id_}"
            }
            prefixed = RelationshipFilter(resource_type="document", resource_id_prefix=id_)
            assert found(store, prefixed) == {
                f"document:{it}#viewer@user:anne" for it in ids if it.startswith(id_)
            }
        for left, text in enumerate(resources):
            outcome = store.delete(
                RelationshipFilter(resource_id=ids[left]), limit=None, schema_revision=0
            )
            assert outcome.deleted == 1, text
        assert stored(store) == subjects

    def test_a_prefix_is_what_startswith_says(self, store: Store) -> None:
        @settings(
            max_examples=60,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        )
        @given(st.sets(_IDS, min_size=1, max_size=6), st.data())
        def holds(ids: set[str], data: st.DataObject) -> None:
            chosen = data.draw(st.sampled_from(sorted(ids)))
            prefix = data.draw(st.sampled_from([chosen, chosen[:1]]) | _IDS)
            store.delete(
                RelationshipFilter(resource_type="document"), limit=None, schema_revision=0
            )
            rows = {
                Relationship(ObjectRef("document", it), "viewer", SubjectRef("user", "anne"))
                for it in ids
            }
            store.write([touch(row) for row in rows], schema_revision=0)
            read = found(store, RelationshipFilter(resource_id_prefix=prefix))
            assert {parse_relationship(text).resource.id for text in read} == {
                it for it in ids if it.startswith(prefix)
            }

        holds()
