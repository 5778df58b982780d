"""How long fetched documents are used, and how often they are fetched."""

from __future__ import annotations

import threading

import pytest

from relata.client.documents import (
    RETRY_SECONDS,
    Documents,
    Fetch,
    Fetcher,
    FetchError,
    Kept,
    Steps,
)
from relata.errors import OAuthError
from tests.client.issuer import Issuer


class Clock:
    """A clock that the test sets, in seconds."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def read(_: Fetch, body: bytes) -> Steps[Kept[str]]:
    yield from ()
    if body == b"bad":
        raise FetchError("bad")
    return Kept(body.decode(), fresh=10, usable=100)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def documents(clock: Clock) -> Documents[str]:
    return Documents(read, size=2, clock=clock)


@pytest.fixture
def wanted(issuer: Issuer) -> Fetch:
    issuer.documents["/a"] = (200, b"one")
    return Fetch(f"{issuer.url}/a", "text/plain")


def get(documents: Documents[str], wanted: Fetch) -> str:
    return Fetcher().run(documents.get(wanted))


def test_a_fresh_document_is_not_fetched_again(
    documents: Documents[str], wanted: Fetch, issuer: Issuer, clock: Clock
) -> None:
    assert get(documents, wanted) == "one"
    issuer.documents["/a"] = (200, b"two")
    clock.now += 9.9
    assert get(documents, wanted) == "one"
    clock.now += 0.1
    assert get(documents, wanted) == "two"
    assert issuer.fetches["/a"] == 2


@pytest.mark.parametrize("answer", [(500, b""), (200, b"bad")])
def test_one_that_cannot_be_fetched_is_used_while_it_is_usable(
    documents: Documents[str],
    wanted: Fetch,
    issuer: Issuer,
    clock: Clock,
    answer: tuple[int, bytes],
) -> None:
    """And it is tried again every few seconds, not at each question."""
    get(documents, wanted)
    issuer.documents["/a"] = answer
    clock.now += 20
    assert [get(documents, wanted) for _ in range(3)] == ["one"] * 3
    assert issuer.fetches["/a"] == 2
    clock.now += RETRY_SECONDS
    assert get(documents, wanted) == "one"
    assert issuer.fetches["/a"] == 3
    clock.now += 100
    with pytest.raises(OAuthError) as caught:
        get(documents, wanted)
    assert caught.value.error == "temporarily_unavailable"


def test_one_that_was_not_there_is_tried_again_later(
    documents: Documents[str], wanted: Fetch, issuer: Issuer, clock: Clock
) -> None:
    issuer.documents["/a"] = (503, b"")
    for _ in range(3):
        with pytest.raises(OAuthError):
            get(documents, wanted)
    assert issuer.fetches["/a"] == 1
    issuer.documents["/a"] = (200, b"back")
    clock.now += RETRY_SECONDS
    assert get(documents, wanted) == "back"


def test_while_one_fetches_the_others_go_on(
    documents: Documents[str], wanted: Fetch, clock: Clock
) -> None:
    """Nobody waits for a document that is still usable."""
    get(documents, wanted)
    clock.now += 20
    fetching = documents.get(wanted)
    assert next(fetching) == wanted
    assert get(documents, wanted) == "one"
    with pytest.raises(StopIteration) as done:
        fetching.send(b"two")
    assert done.value.value == "two"
    assert get(documents, wanted) == "two"


def test_so_many_are_kept_and_no_more(
    documents: Documents[str], issuer: Issuer, wanted: Fetch
) -> None:
    for path in ("/a", "/b", "/a", "/c", "/a", "/b"):
        issuer.documents[path] = (200, path.encode())
        get(documents, Fetch(f"{issuer.url}{path}", "text/plain"))
    assert issuer.fetches == {"/a": 1, "/b": 2, "/c": 1}


def test_what_is_too_large_is_not_read_to_its_end(issuer: Issuer) -> None:
    issuer.documents["/large"] = (200, b"x" * (5 * 1024 * 1024))

    def steps() -> Steps[bytes]:
        return (yield Fetch(f"{issuer.url}/large", "text/plain"))

    with pytest.raises(FetchError, match="longer than"):
        Fetcher().run(steps())


def test_many_threads_share_one_fetch_of_a_usable_document(
    documents: Documents[str], issuer: Issuer, wanted: Fetch, clock: Clock
) -> None:
    get(documents, wanted)
    clock.now += 20
    together = threading.Barrier(8)
    found: list[str] = []

    def ask() -> None:
        together.wait()
        found.append(get(documents, wanted))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["one"] * 8
    assert issuer.fetches["/a"] == 2
