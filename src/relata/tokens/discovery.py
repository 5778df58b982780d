"""OpenID Connect Discovery: where an issuer publishes its keys, by its own word.

The document is asked for at the address that is made of the issuer's name (OpenID Connect
Discovery 1.0, section 4), and believed only if it names that issuer, character by character
(section 4.3). Of all that it says only `jwks_uri` is used: algorithms, audiences and claims are
what the issuer was registered with.
"""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from relata.errors import InvalidArgumentError
from relata.tokens.fetching import FetchError, fetch_object
from relata.tokens.issuers import check_address, is_this_machine

DISCOVERY_PATH = "/.well-known/openid-configuration"


def discovery_address(issuer: str) -> str:
    """Return the address of an issuer's document; a slash at the issuer's end is left out."""
    return issuer.removesuffix("/") + DISCOVERY_PATH


def discovered_jwks_uri(issuer: str) -> str:
    """Fetch an issuer's document, and return the address of its keys. Raises FetchError."""
    document = fetch_object(discovery_address(issuer), accept="application/json")
    return jwks_uri_in(document, issuer)


def jwks_uri_in(document: Mapping[str, object], issuer: str) -> str:
    """Return the address of an issuer's keys that a discovery document names.

    Raises FetchError where the document is another issuer's, or where the address is not https:
    only an issuer on this machine may name an http address, on this machine.
    """
    if document.get("issuer") != issuer:
        raise FetchError("the discovery document is that of another issuer")
    jwks_uri = document.get("jwks_uri")
    if not isinstance(jwks_uri, str) or not _may_name(issuer, jwks_uri):
        raise FetchError("the discovery document has no `jwks_uri` that is https")
    return jwks_uri


def _may_name(issuer: str, jwks_uri: str) -> bool:
    try:
        check_address(jwks_uri, field="jwks_uri")
    except InvalidArgumentError:
        return False
    return httpx.URL(jwks_uri).scheme == "https" or is_this_machine(httpx.URL(issuer).host)
