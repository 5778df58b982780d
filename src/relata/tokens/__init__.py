"""Tokens: a trusted issuer's token about a user, exchanged for one that says what they may do.

`TokenService` is the whole of it; `TokenRequest` goes in, `TokenResponse` comes out, and
`OAuthError` says why not. Nothing here knows HTTP servers.
"""

from __future__ import annotations

from relata.tokens.exchange import TOKEN_EXCHANGE, TokenRequest, TokenResponse
from relata.tokens.holdings import OrganizationChoice
from relata.tokens.issuers import TrustedIssuer
from relata.tokens.profile import TokenProfile
from relata.tokens.service import JWKS_PATH, METADATA_PATH, TOKEN_PATH, TokenService
from relata.tokens.signing import SigningKeys
from relata.tokens.subject_tokens import ACCESS_TOKEN, ID_TOKEN, JWT

__all__ = [
    "ACCESS_TOKEN",
    "ID_TOKEN",
    "JWKS_PATH",
    "JWT",
    "METADATA_PATH",
    "TOKEN_EXCHANGE",
    "TOKEN_PATH",
    "OrganizationChoice",
    "SigningKeys",
    "TokenProfile",
    "TokenRequest",
    "TokenResponse",
    "TokenService",
    "TrustedIssuer",
]
