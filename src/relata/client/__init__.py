"""For APIs that take Relata's tokens: `Verifier` believes a token or refuses it, on the spot.

`relata.client.fastapi` makes a FastAPI dependency of it. Nothing here needs a database, a schema
or the server.
"""

from __future__ import annotations

from relata.client.verifier import MemoryReplays, Proof, VerifiedToken, Verifier

__all__ = ["MemoryReplays", "Proof", "VerifiedToken", "Verifier"]
