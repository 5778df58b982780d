"""Permissions as bits: what they mean, that it stays so, and that anybody can read them."""

from __future__ import annotations

import json
import multiprocessing
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relata.authorizer import Relata
from relata.errors import InvalidArgumentError, LimitExceededError
from relata.store import Store
from relata.tokens import TokenService, bitset
from relata.tokens.audiences import Audience
from relata.tokens.bitset import (
    KIND,
    PermissionList,
    PermissionLists,
    compacted,
    decode_permissions,
    encode_permissions,
)
from tests.tokens.identity import LocalIssuer
from tests.tokens.world import EDITOR, asking, issue

DOCUMENTS = Path(__file__).parents[2] / "docs"
NODE = shutil.which("node")

names = st.lists(st.text(min_size=1, max_size=8), unique=True, max_size=70).map(tuple)


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    store = Store.open("sqlite://")
    yield store
    store.close()


@pytest.fixture
def lists(store: Store) -> PermissionLists:
    for audience, _ in store.records.list(KIND):
        store.records.delete(KIND, audience)
    return PermissionLists(store.records)


@given(names, st.data())
def test_what_is_encoded_is_what_is_decoded(names: tuple[str, ...], data: st.DataObject) -> None:
    held = data.draw(st.sets(st.sampled_from(names))) if names else set()
    claim = encode_permissions(held, PermissionList(3, names))
    assert claim["v"] == 3
    assert decode_permissions(claim, names) == tuple(sorted(held))


@pytest.mark.parametrize(
    ("held", "bits"),
    [
        ((), ""),
        (("p0",), "AQ"),  # 0000 0001
        (("p0", "p2"), "BQ"),  # 0000 0101
        (("p7",), "gA"),  # 1000 0000
        (("p8",), "AAE"),  # a byte of zeros, then 0000 0001
        (("p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8"), "_wE"),
    ],
)
def test_where_the_bits_are(held: tuple[str, ...], bits: str) -> None:
    """What is documented, so that decoders that others wrote go on working."""
    published = PermissionList(1, tuple(f"p{number}" for number in range(9)))
    assert encode_permissions(held, published) == {"v": 1, "b": bits}
    assert decode_permissions({"v": 1, "b": bits}, published.names) == held


@pytest.mark.parametrize(
    "claim",
    [
        None,
        "BQ",
        [],
        {},
        {"v": 1},
        {"v": 1, "b": 5},
        {"v": 1, "b": None},
        {"v": 1, "b": "BQ=="},  # padding
        {"v": 1, "b": "B"},  # six bits are no byte
        {"v": 1, "b": "BR"},  # BQ with a spare bit
        {"v": 1, "b": "+/"},  # base64, not base64url
        {"v": 1, "b": "B Q"},
        {"v": 1, "b": "BQ\n"},
        {"v": 1, "b": "ÄÄ"},
        {"v": 1, "b": "gA"},  # bit 7, of three names
    ],
    ids=repr,
)
def test_a_malformed_claim_grants_nothing(claim: object) -> None:
    """Neither half of it nor something else."""
    with pytest.raises(InvalidArgumentError) as caught:
        decode_permissions(claim, ("read", "write", "share"))
    assert caught.value.field == "permissions_bits"


def test_a_list_grows_at_its_end(lists: PermissionLists) -> None:
    assert lists.covering("wiki", ["write", "read"]) == PermissionList(1, ("read", "write"))
    assert lists.covering("wiki", ["write"]) == PermissionList(1, ("read", "write"))
    grown = lists.covering("wiki", ["comment", "write", "admin"])
    assert grown == PermissionList(2, ("read", "write", "admin", "comment"))


def test_an_old_version_keeps_its_meaning(lists: PermissionLists) -> None:
    first = lists.covering("wiki", ["read", "write"])
    claim = encode_permissions(["write"], first)
    for number in range(5):
        lists.covering("wiki", [f"a{number}"])
    kept = lists.get("wiki", 1)
    assert kept == first
    assert kept is not None
    assert decode_permissions(claim, kept.names) == ("write",)


def test_a_newer_version_reads_old_bits_too(lists: PermissionLists) -> None:
    """So an API that has the newest list needs no other."""
    claim = encode_permissions(["write"], lists.covering("wiki", ["read", "write"]))
    newest = lists.covering("wiki", ["admin"])
    assert decode_permissions(claim, newest.names) == ("write",)


def test_versions_that_have_not_been_published(lists: PermissionLists) -> None:
    lists.covering("wiki", ["read"])
    assert lists.get("wiki", 0) == PermissionList(0, ())
    assert lists.get("wiki", 2) is None
    assert lists.get("wiki", -1) is None
    assert lists.get("shop", 1) is None


def test_audiences_have_lists_of_their_own(lists: PermissionLists) -> None:
    lists.covering("wiki", ["read"])
    assert lists.covering("shop", ["buy"]) == PermissionList(1, ("buy",))


def test_without_permissions_nothing_is_published(lists: PermissionLists) -> None:
    """A member without a role needs no list."""
    empty = lists.covering("wiki", [])
    assert empty == PermissionList(0, ())
    assert encode_permissions([], empty) == {"v": 0, "b": ""}


def test_a_list_has_an_end(lists: PermissionLists) -> None:
    lists.covering("wiki", [f"p{number}" for number in range(bitset.MAX_NAMES)])
    with pytest.raises(LimitExceededError, match="use the encoding `names`"):
        lists.covering("wiki", ["one more"])
    newest = lists.get("wiki", 1)
    assert newest is not None
    assert len(newest.names) == bitset.MAX_NAMES
    assert lists.get("wiki", 2) is None


def test_bits_take_the_place_of_names(lists: PermissionLists) -> None:
    claims = {"sub": "anne", "permissions": ["read", "write"], "scope": "read write", "roles": []}
    compact = compacted(claims, lists, "wiki")
    assert compact == {
        "sub": "anne",
        "roles": [],
        "permissions_bits": {"v": 1, "b": "Aw"},
    }


def test_every_product_has_its_bits_over_one_list(lists: PermissionLists) -> None:
    products = {"shop": ("buy",), "wiki": ("read", "write"), "mail": ()}
    claims = {"permissions": ("buy", "read", "write"), "products": products}
    compact: dict[str, Any] = compacted(claims, lists, "suite")
    published = lists.get("suite", 1)
    assert published is not None
    assert compact.keys() == {"permissions_bits", "products_bits"}
    assert compact["products_bits"]["v"] == 1
    decoded = {
        product: decode_permissions({"v": 1, "b": bits}, published.names)
        for product, bits in compact["products_bits"]["b"].items()
    }
    assert decoded == products


def test_bits_are_shorter_than_names(lists: PermissionLists) -> None:
    """Which is what they are for: 1,000 permissions in 167 characters."""
    permissions = [f"permission:{number:04}" for number in range(1000)]
    compact: dict[str, Any] = compacted({"permissions": permissions}, lists, "wiki")
    assert len(compact["permissions_bits"]["b"]) == 167


def test_an_issued_token_says_its_permissions_in_bits(
    service: TokenService, issuer: LocalIssuer, authorizer: Relata
) -> None:
    """Of the version that it names, which is published by then."""
    service.audiences.create(Audience(id="wiki", products=("wiki",), encoding="bitset"))
    answer = issue(service, asking(issuer.token()))
    claims = jwt.decode(answer.access_token, options={"verify_signature": False})
    bits = claims["permissions_bits"]
    published = PermissionLists(authorizer.store.records).get("wiki", bits["v"])
    assert published is not None
    assert decode_permissions(bits, published.names) == answer.permissions == EDITOR
    assert not {"permissions", "scope"} & claims.keys()


def _publish(url: str, process: int, together: Any) -> None:
    """Append names that overlap with those of the other process, one version after the other."""
    store = Store.open(url)
    lists = PermissionLists(store.records)
    together.wait(timeout=30)
    for number in range(25):
        lists.covering("wiki", [f"shared{number}", f"own{process}-{number}"])
    store.close()


def test_two_processes_that_publish_at_once(tmp_path: Path) -> None:
    """No name is lost, none is there twice, and every version begins as the one before."""
    url = f"sqlite:///{tmp_path / 'relata.db'}"
    store = Store.open(url)
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(2)
    processes = [
        context.Process(target=_publish, args=(url, number, together)) for number in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    versions = list(iter_versions(PermissionLists(store.records)))
    store.close()
    newest = versions[-1].names
    assert len(newest) == len(set(newest)) == 75
    assert all(version.names == newest[: len(version.names)] for version in versions)


def iter_versions(lists: PermissionLists) -> Iterator[PermissionList]:
    number = 0
    while (version := lists.get("wiki", number)) is not None:
        yield version
        number += 1


def test_threads_that_publish_at_once(lists: PermissionLists) -> None:
    """Each gets a version that has what it asked for."""
    together = threading.Barrier(4)
    got: list[tuple[str, PermissionList]] = []

    def publish(name: str) -> None:
        together.wait()
        got.append((name, lists.covering("wiki", [name])))

    threads = [threading.Thread(target=publish, args=(f"p{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(name in published.names for name, published in got)
    assert sorted(published.version for _, published in got) == [1, 2, 3, 4]


@pytest.mark.skipif(NODE is None, reason="there is no Node to run the decoder of the page")
def test_the_decoder_of_the_page_reads_what_is_encoded() -> None:
    """The lines of JavaScript in docs/tokens.md, run as they stand there."""
    published = PermissionList(1, tuple(f"p{number}" for number in range(40)))
    cases = [
        (),
        ("p0",),
        ("p7", "p8"),
        ("p39",),
        ("p0", "p15", "p16", "p31", "p38"),
        published.names,
    ]
    claims = [encode_permissions(held, published) for held in cases]
    script = f"""
        {javascript()}
        const {{ claims, names }} = JSON.parse(process.argv[1]);
        const outcome = claims.map((claim) => decodePermissions(claim, names));
        let refused = false;
        try {{ decodePermissions({{ v: 1, b: "gA" }}, names.slice(0, 3)); }}
        catch {{ refused = true; }}
        console.log(JSON.stringify({{ outcome, refused }}));
    """
    given = json.dumps({"claims": claims, "names": published.names})
    ran = subprocess.run(
        [str(NODE), "-e", script, given], capture_output=True, text=True, check=True, timeout=60
    )
    answer = json.loads(ran.stdout)
    assert [tuple(held) for held in answer["outcome"]] == cases
    assert answer["refused"]


def javascript() -> str:
    """The decoder of the page."""
    page = (DOCUMENTS / "tokens.md").read_text(encoding="utf-8")
    found = re.search(r"```js\n(function decodePermissions.*?)```", page, re.DOTALL)
    assert found, "docs/tokens.md has no decoder"
    return found.group(1)
