"""Values that may be used once, such as the `jti` of a proof, remembered for as long as they count.

What is kept is a digest: the values are another's, and of any length.
"""

from __future__ import annotations

import hashlib

from sqlalchemy import select

from relata.store.database import Database
from relata.store.tables import replays


class Replays:
    """The values that have been used with a store, in whichever process. Threads may share it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def once(self, purpose: str, value: str, *, expires_at: int, now: int) -> bool:
        """Whether a value is used for the first time; from then on it is not, until `expires_at`.

        Values for one purpose are none of another's. The moments are seconds since 1970.
        """
        digest = hashlib.sha256(
            f"{purpose}\0{value}".encode(errors="surrogatepass"), usedforsecurity=True
        ).digest()
        with self._database.writing() as transaction:
            connection = transaction.connection
            connection.execute(replays.delete().where(replays.c.expires_at < now))
            seen = select(replays.c.digest).where(replays.c.digest == digest)
            if connection.execute(seen).first() is not None:
                return False
            connection.execute(replays.insert().values(digest=digest, expires_at=expires_at))
            return True
