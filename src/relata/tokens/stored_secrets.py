"""Random secrets of a database's own, made when first needed and the same for every process.

They are for what only has to agree between processes and to be unknown outside: who can read the
database knows them.
"""

from __future__ import annotations

import secrets

from relata.errors import StoreError
from relata.store import Store

_KIND = "secret"
_BYTES = 32


def stored_secret(store: Store, name: str) -> bytes:
    """Return 32 random octets, the same whenever and wherever the name is asked for."""
    value = store.records.get(_KIND, name)
    if value is None:
        store.records.put(_KIND, name, secrets.token_bytes(_BYTES), expected=None)
        value = store.records.get(_KIND, name)  # another process may have been first
    if value is None:
        raise StoreError(f"the secret `{name}` that was just made is not in the database")
    return value
