"""Introspection and revocation: what becomes of a token after it was issued.

RFC 7662 asks whether a token is good now, RFC 7009 takes one back. A token is good while its
signature holds, it has not expired, and it is not marked: one that says what is no longer so is
as little good as a revoked one, here as in the status lists. Whoever may not know of a token gets
the answer for one that does not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from relata.errors import OAuthError
from relata.store import IssuedToken, IssuedTokens, TokenState
from relata.tokens.bitset import PERMISSIONS_BITS, PRODUCTS_BITS
from relata.tokens.clients import Client
from relata.tokens.exchange import is_scope_token
from relata.tokens.signing import SigningKeys

MEDIA_TYPE = "application/token-introspection+jwt"
INTROSPECTION_TYPE = "token-introspection+jwt"
HOLDINGS_TYPE = "JWT"
MAX_TOKEN_CHARACTERS = 16 * 1024
LOGGED_OUT = "revoked by its client"

MayKnow = Callable[[IssuedToken], bool]
"""Whether who asks may know of a token."""

_INACTIVE: dict[str, object] = {"active": False}
_HIDDEN = frozenset({"status", "_claim_names", "_claim_sources", PERMISSIONS_BITS, PRODUCTS_BITS})
"""What makes sense in a token alone, or is said whole instead."""


class Introspection:
    """Answers about issued tokens. Safe to share between threads."""

    def __init__(self, issued: IssuedTokens, keys: SigningKeys, *, issuer_url: str) -> None:
        self._issued = issued
        self._keys = keys
        self._issuer_url = issuer_url

    def introspect(self, token: str, may_know: MayKnow) -> dict[str, object]:
        """Return the members of RFC 7662 section 2.2; `active` alone where the token is not."""
        found = self._found(token)
        if found is None:
            return dict(_INACTIVE)
        claims, issued = found
        if issued.state is not TokenState.VALID or not may_know(issued):
            return dict(_INACTIVE)
        told = {name: value for name, value in claims.items() if name not in _HIDDEN}
        token_type = "DPoP" if "cnf" in claims else "Bearer"
        return {"active": True, "token_type": token_type, **told, **self.holdings(issued)}

    def signed(self, answer: dict[str, object], audience: str, now: int) -> str:
        """Make an answer a signed JWT for whoever asked (RFC 9701, section 5)."""
        claims = {
            "iss": self._issuer_url,
            "aud": audience,
            "iat": now,
            "token_introspection": answer,
        }
        return self._keys.sign(claims, typ=INTROSPECTION_TYPE)

    def revoke(self, token: str, client: Client, now: int) -> None:
        """Revoke a token that was issued to a client, and those exchanged from it.

        What is no token of the client's is let be, without an error (RFC 7009, section 2.2).
        """
        found = self._found(token)
        if found is not None and found[1].client == client.id:
            self._issued.revoke(jti=found[1].jti, reason=LOGGED_OUT, now=now)

    def valid(self, token: str) -> tuple[dict[str, Any], IssuedToken]:
        """Read a token that is good now. Raises OAuthError `invalid_token` where it is not."""
        found = self._found(token)
        if found is None or found[1].state is not TokenState.VALID:
            raise OAuthError(
                "invalid_token", "the access token is not valid any longer; ask for a new one"
            )
        return found

    def holdings(self, issued: IssuedToken) -> dict[str, Any]:
        """Return what a token holds, also where the token itself had no room for it."""
        scope = " ".join(filter(is_scope_token, issued.permissions))
        return {
            "permissions": list(issued.permissions),
            "roles": list(issued.roles),
            **({"scope": scope} if scope else {}),
            **({"products": issued.by_product} if issued.by_product else {}),
            **issued.extra,
        }

    def signed_holdings(self, claims: Mapping[str, Any], issued: IssuedToken, now: int) -> str:
        """Make what a token holds a signed JWT (OpenID Connect Core, section 5.6.2)."""
        about = {name: claims[name] for name in ("iss", "sub", "aud", "exp")}
        return self._keys.sign({**about, "iat": now, **self.holdings(issued)}, typ=HOLDINGS_TYPE)

    def _found(self, token: str) -> tuple[dict[str, Any], IssuedToken] | None:
        if len(token) > MAX_TOKEN_CHARACTERS:
            return None
        try:
            claims = self._keys.verify(token, issuer=self._issuer_url)
        except OAuthError:
            return None
        issued = self._issued.find(str(claims.get("jti")))
        return None if issued is None else (claims, issued)
