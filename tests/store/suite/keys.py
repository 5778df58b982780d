"""API keys, signing keys and settings, as rows; what they are for is tested elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import msgspec

from relata.store import Store, StoredKey, StoredSigningKey
from tests.store.suite.base import Base

BERLIN = timezone(timedelta(hours=1))
KEY = StoredKey(
    id="abc",
    name="a name",
    digest=bytes(range(32)),
    scopes=("check", "read"),
    created_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=BERLIN),
)
SIGNING_KEY = StoredSigningKey(
    kid="k1", algorithm="ES256", private_pem="-----BEGIN", created_at=datetime.now(UTC)
)


class KeySuite(Base):
    def test_a_key_comes_back_as_it_was(self, store: Store) -> None:
        store.add_key(KEY)
        (key,) = store.keys()
        assert key == KEY
        assert key.created_at.tzinfo is UTC

    def test_a_key_is_revoked_once(self, store: Store) -> None:
        store.add_key(KEY)
        before = datetime.now(UTC)
        assert store.revoke_key("abc") is True
        (key,) = store.keys()
        assert key.revoked_at is not None
        assert before <= key.revoked_at <= datetime.now(UTC)
        assert store.revoke_key("abc") is False
        assert store.revoke_key("unknown") is False
        assert store.keys() == [key]

    def test_the_version_of_the_keys_moves_exactly_when_they_change(self, store: Store) -> None:
        versions = [store.state().keys_version]
        store.add_key(KEY)
        versions.append(store.state().keys_version)
        store.revoke_key("unknown")
        versions.append(store.state().keys_version)
        store.revoke_key("abc")
        versions.append(store.state().keys_version)
        store.revoke_key("abc")
        versions.append(store.state().keys_version)
        assert versions == [0, 1, 1, 2, 2]
        assert store.state().head == 0

    def test_signing_keys_come_oldest_first(self, store: Store) -> None:
        younger = StoredSigningKey(
            "k0", "ES256", "-----BEGIN", SIGNING_KEY.created_at + timedelta(seconds=1)
        )
        store.add_signing_key(younger)
        store.add_signing_key(SIGNING_KEY)
        assert store.signing_keys() == [SIGNING_KEY, younger]

    def test_no_secret_is_shown(self) -> None:
        assert "BEGIN" not in repr(SIGNING_KEY) + str(SIGNING_KEY)
        assert "digest" not in repr(KEY)
        assert "\\x01" not in repr(KEY)

    def test_settings_are_set_and_set_again(self, store: Store, url: str) -> None:
        assert store.setting("colour") is None
        store.set_setting("colour", "red")
        store.set_setting("colour", "blue 'n' green")
        other = Store.open(url)
        assert other.setting("colour") == "blue 'n' green"
        other.close()

    def test_keys_of_an_organization_are_revoked_together(self, store: Store) -> None:
        for name in ("one", "two"):
            store.add_key(msgspec.structs.replace(KEY, id=name, organization="acme"))
        store.add_key(KEY)
        assert store.revoke_keys_of("acme") == 2
        assert store.revoke_keys_of("acme") == 0
        stored = store.keys()
        assert [key.id for key in stored if key.revoked_at is None] == [KEY.id]

    def test_a_signing_key_is_replaced_retired_and_forgotten(self, store: Store) -> None:
        store.add_signing_key(SIGNING_KEY)
        end = SIGNING_KEY.created_at + timedelta(days=1)
        store.retire_signing_key("k1", end)
        assert store.signing_keys() == [msgspec.structs.replace(SIGNING_KEY, retired_at=end)]
        other = msgspec.structs.replace(SIGNING_KEY, private_pem="-----OTHER")
        store.replace_signing_key(other)
        assert store.signing_keys() == [other]
        store.delete_signing_key("k1")
        assert store.signing_keys() == []
