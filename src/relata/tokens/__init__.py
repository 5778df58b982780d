"""Tokens: who asks comes in, and a token that says what they may do goes out.

`TokenService` is the whole of it; a `TokenRequest` of a `Client` goes in, a `TokenResponse` comes
out, and `OAuthError` says why not. Nothing here knows HTTP servers.
"""

from __future__ import annotations

from relata.tokens.clients import Client, Clients
from relata.tokens.exchange import (
    CLIENT_CREDENTIALS,
    GRANTS,
    TOKEN_EXCHANGE,
    TokenRequest,
    TokenResponse,
)
from relata.tokens.holdings import OrganizationChoice
from relata.tokens.introspection import MEDIA_TYPE as INTROSPECTION_MEDIA_TYPE
from relata.tokens.issuers import TrustedIssuer
from relata.tokens.issuing import PERMISSIONS_PATH
from relata.tokens.profile import TokenProfile
from relata.tokens.service import (
    INTROSPECTION_PATH,
    JWKS_PATH,
    METADATA_PATH,
    REVOCATION_PATH,
    TOKEN_PATH,
    TokenService,
)
from relata.tokens.signing import SigningKeys
from relata.tokens.subject_tokens import ACCESS_TOKEN, ID_TOKEN, JWT

__all__ = [
    "ACCESS_TOKEN",
    "CLIENT_CREDENTIALS",
    "GRANTS",
    "ID_TOKEN",
    "INTROSPECTION_MEDIA_TYPE",
    "INTROSPECTION_PATH",
    "JWKS_PATH",
    "JWT",
    "METADATA_PATH",
    "PERMISSIONS_PATH",
    "REVOCATION_PATH",
    "TOKEN_EXCHANGE",
    "TOKEN_PATH",
    "Client",
    "Clients",
    "OrganizationChoice",
    "SigningKeys",
    "TokenProfile",
    "TokenRequest",
    "TokenResponse",
    "TokenService",
    "TrustedIssuer",
]
