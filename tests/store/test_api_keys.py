"""API keys: who gets in, and that nobody else does."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from relata.api_keys import SCOPES, ApiKeys
from relata.errors import AuthenticationError, InvalidArgumentError
from relata.store import Store
from tests.store.suite.concurrency import in_threads


@pytest.fixture
def store() -> Iterator[Store]:
    with closing(Store.open("sqlite://")) as store:
        yield store


@pytest.fixture
def keys(store: Store) -> ApiKeys:
    return ApiKeys(store)


def refused(keys: ApiKeys, presented: str) -> AuthenticationError:
    with pytest.raises(AuthenticationError) as caught:
        keys.authenticate(presented)
    return caught.value


def test_a_key_reads_as_documented(keys: ApiKeys) -> None:
    """Its id holds no `_`, so that the secret may; 43 characters of base64 are 256 bits."""
    key, text = keys.create("a service", ["read", "check", "read"])
    match = re.fullmatch(r"relata_([A-Za-z0-9]{12})_([A-Za-z0-9_-]{43})", text)
    assert match is not None
    assert match[1] == key.id
    assert (key.name, key.scopes, key.revoked_at) == ("a service", ("check", "read"), None)


def test_a_key_authenticates_here_and_wherever_the_store_is_opened(
    keys: ApiKeys, store: Store
) -> None:
    key, text = keys.create("a service", ["check"])
    assert keys.authenticate(text) == key
    assert ApiKeys(store).authenticate(text) == key
    assert keys.list() == (key,)


def test_keys_are_told_apart(keys: ApiKeys) -> None:
    made = [keys.create(f"service {number}", ["check"]) for number in range(20)]
    assert len({text for _, text in made}) == 20
    assert [keys.authenticate(text) for _, text in made] == [key for key, _ in made]


def test_what_is_no_good_key_is_refused_in_the_same_words(keys: ApiKeys) -> None:
    """A wrong secret, an unknown id, a revoked key and a malformed text."""
    key, text = keys.create("a service", ["check"])
    _, other = keys.create("another", ["admin"])
    secret = text.removeprefix(f"relata_{key.id}_")
    gone, revoked = keys.create("gone", ["check"])
    keys.revoke(gone.id)
    bad = [
        "",
        "_",
        "__",
        "relata_",
        f"relata_{key.id}",
        f"relata_{key.id}_",
        f"relata__{secret}",
        f"{key.id}_{secret}",
        f"Relata_{key.id}_{secret}",
        f" {text}",
        f"{text} ",
        f"{text}\n",
        text[:-1],
        text + "A",
        text.swapcase(),
        text.replace(key.id, key.id.swapcase()),
        f"relata_{key.id}_{other.split('_', 2)[2]}",
        f"relata_{key.id}_{key.digest.hex()}",
        "relata_unknown00000_" + secret,
        "relata_" + "\ud800" + "_" + "\ud800",
        "relata_ключ_" + "é" * 50,
        revoked,
    ]
    refusals = [refused(keys, presented) for presented in bad]
    assert len({(it.message, it.field, it.code) for it in refusals}) == 1
    assert keys.authenticate(text) == key


def test_a_revoked_key_is_refused_at_once_and_stays_listed(keys: ApiKeys, store: Store) -> None:
    key, text = keys.create("a service", ["check"])
    held = keys.held
    assert keys.revoke(key.id) is True
    assert keys.held is not held
    refused(keys, text)
    refused(ApiKeys(store), text)
    assert keys.revoke(key.id) is False
    assert keys.revoke("unknown") is False
    (listed,) = keys.list()
    assert listed.revoked_at is not None


def test_another_processs_keys_count_from_the_next_refresh(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/relata.db"
    with closing(Store.open(url)) as here, closing(Store.open(url)) as there:
        ours, theirs = ApiKeys(here), ApiKeys(there)
        key, text = theirs.create("a service", ["check"])
        ours.refresh(here.state().keys_version)
        assert ours.authenticate(text) == key
        theirs.revoke(key.id)
        held = ours.held
        ours.refresh(here.state().keys_version)
        assert ours.held is not held
        refused(ours, text)


def test_a_refresh_without_news_asks_the_store_nothing(keys: ApiKeys, store: Store) -> None:
    _, text = keys.create("a service", ["check"])
    version = store.state().keys_version
    store.close()
    held = keys.held
    keys.refresh(version)
    assert keys.held is held
    assert keys.authenticate(text).name == "a service"


def test_a_refresh_that_comes_late_brings_no_revoked_key_back(keys: ApiKeys, store: Store) -> None:
    """A thread may have polled the version before another thread's revocation."""
    key, text = keys.create("a service", ["check"])
    before = store.state().keys_version
    keys.revoke(key.id)
    keys.refresh(before)
    refused(keys, text)
    keys.refresh(store.state().keys_version)
    refused(keys, text)


def test_threads_make_use_and_revoke_keys(keys: ApiKeys) -> None:
    def work(name: int) -> str:
        kept, kept_text = keys.create(f"kept {name}", ["check"])
        gone, gone_text = keys.create(f"gone {name}", ["check"])
        keys.revoke(gone.id)
        refused(keys, gone_text)
        assert keys.authenticate(kept_text) == kept
        return kept_text

    for text in in_threads(work):
        keys.authenticate(text)


@pytest.mark.parametrize("scope", SCOPES)
def test_a_scope_allows_itself_and_admin_allows_all(keys: ApiKeys, scope: str) -> None:
    key, _ = keys.create("a service", [scope])
    allowed = {it for it in SCOPES if keys.allows(key, it)}
    assert allowed == (set(SCOPES) if scope == "admin" else {scope})
    assert not keys.allows(key, "everything")


@pytest.mark.parametrize("scopes", [["check", "everything"], ["Check"], [""], [], "check"])
def test_unknown_scopes_and_none_are_refused(keys: ApiKeys, scopes: list[str]) -> None:
    with pytest.raises(InvalidArgumentError, match="the scopes are check, read, ") as caught:
        keys.create("a service", scopes)
    assert caught.value.field == "scopes"
    assert keys.list() == ()


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 201])
def test_a_name_is_something_to_print(keys: ApiKeys, name: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        keys.create(name, ["check"])
    assert caught.value.field == "name"


def test_a_secret_is_stored_and_shown_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in the files, in a `repr`, in a log or in a traceback's text."""
    caplog.set_level(logging.DEBUG)
    with closing(Store.open(f"sqlite:///{tmp_path}/relata.db")) as store:
        keys = ApiKeys(store)
        key, text = keys.create("a service", ["check"])
        secret = text.split("_", 2)[2]
        error = refused(keys, text + "x")
        shown = [repr(key), repr(keys), str(error), *traceback.format_exception(error)]
        assert not any(secret in it for it in [*shown, caplog.text])
        assert not any(key.digest.hex() in it for it in [*shown, caplog.text])
        assert not any(secret.encode() in it.read_bytes() for it in tmp_path.iterdir())


def test_a_key_of_an_organization_opens_nothing_outside_it(keys: ApiKeys) -> None:
    key, text = keys.create("acme", ["write", "check"], organization="acme")
    assert keys.authenticate(text).organization == key.organization == "acme"
    for scope in ("admin", "schema"):
        with pytest.raises(InvalidArgumentError, match="opens nothing outside") as caught:
            keys.create("acme", ["check", scope], organization="acme")
        assert caught.value.field == "scopes"
    other, _ = keys.create("other", ["check"], organization="globex")
    assert keys.revoke_of("acme") == 1
    assert [it.id for it in keys.list() if it.revoked_at is None] == [other.id]
