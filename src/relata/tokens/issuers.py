"""Trusted issuers: whose tokens about a subject are believed, and how far.

An issuer is believed only for the audiences registered with it, only under the algorithms
registered with it, and only with its own keys. There is no default audience: an issuer without one
cannot be registered. Its keys are found in one of three ways, and which is said at registration:
by OpenID Connect Discovery, at an address, or in the registration itself.

The subject of a token becomes an object of the schema as templates say: `user:{sub}`, or
`client:{sub}` for a machine. Subjects of two issuers with the same templates are the same objects;
give an issuer templates with a definition or a text of its own where its subjects must be kept
apart.
"""

from __future__ import annotations

import ipaddress

import httpx
import msgspec

from relata.errors import InvalidArgumentError
from relata.tokens.public_keys import KEY_TYPES, Jwk, check_pinned, keys_in
from relata.tokens.subject_templates import SubjectTemplate

MAX_LEEWAY_SECONDS = 300
_ALGORITHMS = ", ".join(f"`{name}`" for name in KEY_TYPES)


class TrustedIssuer(msgspec.Struct, frozen=True, kw_only=True):
    """Whose tokens are believed. Of `discovery`, `jwks_uri` and `keys` exactly one is given.

    Raises InvalidArgumentError where a setting is missing or unsafe.
    """

    issuer: str
    """What the token's `iss` must be, character by character."""
    audiences: tuple[str, ...]
    """A token must be meant for one of these: an API's identifier, or a client's for id tokens."""
    discovery: bool = False
    """Whether `{issuer}/.well-known/openid-configuration` says where the keys are."""
    jwks_uri: str | None = None
    """Where the issuer publishes its keys: https, or http on this machine."""
    keys: dict[str, object] | None = None
    """The issuer's public keys themselves, as a JWK Set; nothing is ever fetched."""
    algorithms: tuple[str, ...] = ("RS256", "ES256")
    """How the issuer signs, among KEY_TYPES."""
    subject: str | None = None
    """The template of the issuer's people; the profile's `user` and `{sub}` if None."""
    client_subject: str | None = None
    """The template of the issuer's machines; the profile's `client` and `{sub}` if None."""
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
        for field in ("subject", "client_subject"):
            if (template := getattr(self, field)) is not None:
                SubjectTemplate(template, field=field)
        self._check_keys()

    def pinned_keys(self) -> tuple[Jwk, ...] | None:
        """Return the keys that were registered, None where they are to be fetched."""
        return None if self.keys is None else keys_in(self.keys)

    def _check_keys(self) -> None:
        if [self.discovery, self.jwks_uri is not None, self.keys is not None].count(True) != 1:
            raise InvalidArgumentError(
                f"the issuer `{self.issuer}` needs exactly one of `discovery`, `jwks_uri` "
                "and `keys`, which say where its keys are",
                field="jwks_uri",
            )
        if self.discovery:
            check_issuer_url(self.issuer, field="issuer")
        elif self.jwks_uri is not None:
            check_address(self.jwks_uri, field="jwks_uri")
        else:
            check_pinned(self.pinned_keys() or (), self.algorithms, field="keys")


def check_issuer_url(issuer: str, *, field: str) -> None:
    """Accept an issuer's name that is an address (RFC 8414, section 2; OpenID Connect Discovery).

    Raises InvalidArgumentError, naming `field`, where it is none, or has a query or a fragment.
    """
    check_address(issuer, field=field)
    if "?" in issuer or "#" in issuer:
        raise InvalidArgumentError(
            f"`{issuer}` has a query or a fragment; leave it out", field=field
        )


def check_address(address: str, *, field: str) -> None:
    """Accept an https address, or an http one on this machine.

    Raises InvalidArgumentError, naming `field`, where the address is anything else.
    """
    try:
        url = httpx.URL(address)
        url.host.encode("idna")  # as a connection will; a label may be empty or too long
    except (httpx.InvalidURL, UnicodeError):
        url = httpx.URL()
    if not url.host or " " in address:
        raise InvalidArgumentError(f"`{address}` is not an https address", field=field)
    if url.scheme != "https" and not (url.scheme == "http" and is_this_machine(url.host)):
        raise InvalidArgumentError(
            f"`{address}` is not https, which only an address on this machine may do without",
            field=field,
        )


def is_this_machine(host: str) -> bool:
    """Whether a host is the loopback: its requests leave no machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_names(names: object, field: str, why: str) -> None:
    if not isinstance(names, tuple) or not names or not all(names):
        raise InvalidArgumentError(f"an issuer needs its `{field}`, {why}", field=field)
