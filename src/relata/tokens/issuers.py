"""Trusted issuers: whose tokens about a subject are believed, and how far.

An issuer is believed only for the audiences registered with it, only under the algorithms
registered with it, and only with keys from the address registered with it. There is no default
audience: an issuer without one cannot be registered.

The subject of a token becomes an object of the schema: `user:{sub}`, or `client:{sub}` for a
machine. Subjects of two issuers with the same types are the same objects; give an issuer types
of its own where its subjects must be kept apart.
"""

from __future__ import annotations

import ipaddress
from types import MappingProxyType

import httpx
import msgspec

from relata.errors import InvalidArgumentError

KEY_TYPES = MappingProxyType(
    {
        "RS256": ("RSA", None),
        "RS384": ("RSA", None),
        "RS512": ("RSA", None),
        "PS256": ("RSA", None),
        "PS384": ("RSA", None),
        "PS512": ("RSA", None),
        "ES256": ("EC", "P-256"),
        "ES384": ("EC", "P-384"),
        "ES512": ("EC", "P-521"),
        "EdDSA": ("OKP", "Ed25519"),
    }
)
"""The algorithms that can be allowed, each with the one key type and curve that fits it.

All are signatures by a private key (RFC 8725, section 3.1): an algorithm with a shared secret
would let the holder of a public key forge a token, and `none` would let anybody.
"""
MAX_LEEWAY_SECONDS = 300
_ALGORITHMS = ", ".join(f"`{name}`" for name in KEY_TYPES)


class TrustedIssuer(msgspec.Struct, frozen=True, kw_only=True):
    """Whose tokens are believed.

    Raises InvalidArgumentError where a setting is missing or unsafe.
    """

    issuer: str
    """What the token's `iss` must be, character by character."""
    jwks_uri: str
    """Where the issuer publishes its keys: https, or http on this machine."""
    audiences: tuple[str, ...]
    """A token must be meant for one of these: an API's identifier, or a client's for id tokens."""
    algorithms: tuple[str, ...] = ("RS256", "ES256")
    """How the issuer signs, among KEY_TYPES."""
    user_type: str | None = None
    """The definition of the issuer's people; the profile's `user` if None."""
    client_type: str | None = None
    """The definition of the issuer's machines; the profile's `client` if None."""
    leeway: int = 30
    """By how many seconds the issuer's clock may run ahead of ours."""

    def __post_init__(self) -> None:
        """Refuse what would weaken verification."""
        if not self.issuer:
            raise InvalidArgumentError("an issuer needs its `iss`", field="issuer")
        _check_names(self.audiences, "audiences", "or its tokens for anybody would be believed")
        _check_names(self.algorithms, "algorithms", f"among {_ALGORITHMS}")
        for algorithm in self.algorithms:
            if algorithm not in KEY_TYPES:
                raise InvalidArgumentError(
                    f"`{algorithm}` cannot be allowed; choose among {_ALGORITHMS}",
                    field="algorithms",
                )
        if not 0 <= self.leeway <= MAX_LEEWAY_SECONDS:
            raise InvalidArgumentError(
                f"a leeway is 0 to {MAX_LEEWAY_SECONDS} seconds", field="leeway"
            )
        check_address(self.jwks_uri, field="jwks_uri")


def check_address(address: str, *, field: str) -> None:
    """Accept an https address, or an http one on this machine.

    Raises InvalidArgumentError, naming `field`, where the address is anything else.
    """
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL:
        url = httpx.URL()
    if not url.host or " " in address:
        raise InvalidArgumentError(f"`{address}` is not an https address", field=field)
    if url.scheme != "https" and not (url.scheme == "http" and _is_this_machine(url.host)):
        raise InvalidArgumentError(
            f"`{address}` is not https, which only an address on this machine may do without",
            field=field,
        )


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_names(names: object, field: str, why: str) -> None:
    if not isinstance(names, tuple) or not names or not all(names):
        raise InvalidArgumentError(f"an issuer needs its `{field}`, {why}", field=field)
