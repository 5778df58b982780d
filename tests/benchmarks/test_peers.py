"""The peers answer as the workload says, wherever they are installed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from benchmarks.loaded import open_loaded
from benchmarks.peers import PEERS, Peer, Unable, WithoutLookups
from benchmarks.peers.compare import measure_peers, measure_wire
from benchmarks.peers.openfga import translated
from benchmarks.peers.texts import parts
from benchmarks.plan import quick
from benchmarks.workload import Workload

from benchmarks import workload
from relata.authorizer import Relata

ANY_SCHEMA = ("pemba", "pemba SQLite", "zanzibar-index", "SpiceDB", "SpiceDB gRPC")
ONE_SCHEMA = ("casbin", "cedarpy")
OTHER_SCHEMA = """\
definition user {}

definition team {
	relation member: user
}

definition report {
	relation owner: user
	relation team: team
	relation reader: user | user:* | team#member
	relation banned: user
	permission internal = team->member & reader
	permission view = (owner + reader) - banned
}
"""
OTHER_RELATIONSHIPS = (
    "team:red#member@user:ann",
    "team:red#member@user:bea",
    "report:may#owner@user:cid",
    "report:may#team@team:red",
    "report:may#reader@user:ann",
    "report:may#reader@team:red#member",
    "report:may#banned@user:bea",
    "report:june#reader@user:*",
    "report:june#banned@user:ann",
)
PLAN = msgspec.structs.replace(quick(), scale=0.002, seconds=0.05, rounds=1, lookups=5)


def opened(name: str, schema: str, relationships: Sequence[str]) -> Peer:
    try:
        return PEERS[name](schema, relationships)
    except ImportError as error:
        pytest.skip(f"{name} is not installed: {error}")


@pytest.fixture(scope="module")
def made() -> Workload:
    return workload.generate(PLAN.scale, seed=3, questions=60)


@pytest.fixture(scope="module")
def relata(made: Workload, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relata]:
    path = tmp_path_factory.mktemp("peers") / "relata.db"
    with closing(open_loaded(path, workload.SCHEMA, made.relationships)) as relata:
        yield relata


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_answers_as_the_workload_says(name: str, made: Workload, relata: Relata) -> None:
    with closing(opened(name, workload.SCHEMA, made.relationships)) as peer:
        for asked in (*made.allowed, *made.denied):
            assert peer.check(asked.document, "view", asked.user) is asked.allowed, asked
        for asked in made.allowed[:5]:
            resources = peer.lookup_resources("document", "view", asked.user)
            ours = relata.lookup_resources("document", "view", asked.user).resource_ids
            assert resources is None or sorted(resources) == list(ours)
            subjects = peer.lookup_subjects(asked.document, "view", "user")
            found = relata.lookup_subjects(asked.document, "view", "user").subject_ids
            assert subjects is None or sorted(subjects) == list(found)


@pytest.mark.parametrize("name", ANY_SCHEMA)
def test_a_peer_with_a_schema_language_takes_another_schema(name: str) -> None:
    with closing(opened(name, OTHER_SCHEMA, OTHER_RELATIONSHIPS)) as peer:
        granted = {
            (report, permission, user)
            for report in ("may", "june")
            for permission in ("internal", "view")
            for user in ("ann", "bea", "cid", "dan")
            if peer.check(f"report:{report}", permission, f"user:{user}")
        }
        subjects = peer.lookup_subjects("report:june", "view", "user")
    assert granted == {
        ("may", "internal", "ann"),
        ("may", "internal", "bea"),
        ("may", "view", "ann"),
        ("may", "view", "cid"),
        ("june", "view", "bea"),
        ("june", "view", "cid"),
        ("june", "view", "dan"),
    }
    assert subjects is not None
    assert "*" in subjects


@pytest.mark.parametrize("name", ONE_SCHEMA)
def test_a_peer_without_a_schema_language_refuses_another_schema(name: str) -> None:
    with pytest.raises(Unable, match="the workload's"):
        opened(name, OTHER_SCHEMA, OTHER_RELATIONSHIPS)


def test_cedar_refuses_a_document_in_two_folders() -> None:
    relationships = ["document:d#parent@folder:a", "document:d#parent@folder:b"]
    with pytest.raises(Unable, match="document:d is in two"):
        opened("cedarpy", workload.SCHEMA, relationships)


@pytest.mark.parametrize("name", ["pemba", "SpiceDB"])
def test_a_peer_that_fails_says_why(name: str) -> None:
    with (
        closing(opened(name, OTHER_SCHEMA, OTHER_RELATIONSHIPS)) as peer,
        pytest.raises(Unable, match="edit"),
    ):
        peer.check("report:may", "edit", "user:ann")


def test_what_openfga_has_no_word_for_is_not_translated() -> None:
    schema = (
        "definition user {}\ndefinition group {\nrelation member: user\npermission nobody = nil\n}"
    )
    with pytest.raises(Unable, match="nil"):
        translated(schema)


def test_a_schema_in_openfgas_language() -> None:
    text = translated(OTHER_SCHEMA)
    assert "define reader: [user, user:*, team#member]" in text
    assert "define internal: member from team and reader" in text
    assert "define view: (owner or reader) but not banned" in text


def test_relationships_with_a_caveat_are_refused() -> None:
    with pytest.raises(Unable, match="caveats"):
        parts("document:d#viewer@user:u[noon]")


class Generous(WithoutLookups):
    """An engine that allows everything."""

    name = "generous"
    closed = 0

    def check(self, resource: str, permission: str, subject: str) -> bool:
        return True

    def close(self) -> None:
        Generous.closed += 1


def test_wrong_answers_are_told_and_end_nothing(made: Workload, relata: Relata) -> None:
    group = measure_peers(made, relata, PLAN, {"generous": lambda *_: Generous()})
    load, allowed, allowed_again, denied, denied_again = group.measurements
    assert load.note == f"all {len(made.relationships)} relationships"
    for line in (allowed, allowed_again):
        assert "all right" in line.note
    for line in (denied, denied_again):
        assert "WRONG" in line.note
    assert denied.ratio is not None
    assert Generous.closed == 1


def test_peers_that_are_absent_or_unable_have_a_line(made: Workload, relata: Relata) -> None:
    def absent(*_: object) -> Peer:
        raise ImportError("not here")

    def unable(*_: object) -> Peer:
        raise Unable("too hard\nfor it")

    group = measure_peers(made, relata, PLAN, {"one": absent, "another": unable})
    assert [(line.name, line.value, line.note) for line in group.measurements] == [
        ("one", "not installed", "not here"),
        ("another", "unable", "too hard"),
    ]


def test_a_peer_that_is_slow_stays_with_less_data() -> None:
    made = workload.generate(0.02, seed=3, questions=40)
    loads: list[int] = []

    class Slow(Generous):
        name = "slow"

    def open_(_: str, relationships: Sequence[str]) -> Peer:
        loads.append(len(relationships))
        if len(loads) > 1:
            raise Unable("not so much")
        return Slow()

    plan = msgspec.structs.replace(PLAN, scale=0.02)
    with Relata.open("sqlite://", schema=workload.SCHEMA) as relata:
        load, *_ = measure_peers(made, relata, plan, {"slow": open_}).measurements
    assert loads[0] < loads[1] == len(made.relationships)
    assert load.at == loads[0]
    assert load.note == f"only {loads[0]}: with {loads[1]:,}: not so much"


def test_each_over_its_own_wire(made: Workload, relata: Relata, tmp_path: Path) -> None:
    opened("SpiceDB", workload.SCHEMA, []).close()
    _, key = relata.keys.create("benchmarks", ["check"])
    url = str(relata.store.engine.url)
    group = measure_wire(made, PLAN, url=url, key=key, logs=tmp_path)
    assert [line.ratio is not None for line in group.measurements] == [True, False, True, False]
    assert all("all right" in line.note for line in group.measurements[1::2])
