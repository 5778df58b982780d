"""Clients: the apps and machines that may ask for tokens, and how far their tokens go.

A client is registered by an administrator. A public one (`none`) runs where it can keep no secret,
such as in a browser, and only says who it is (RFC 6749, section 2.1). The others prove it: with a
secret, or with a private key whose public half is registered.

A secret is 256 random bits that the server makes. The store keeps SHA-256 of it, as of API keys,
and for the same reason: nobody can try out 2**256 secrets however fast the hash is. While a secret
is changed the older one still counts, until the moment that the change names, so that the machines
of a client need not all change at once. There are never more than two.

A client that is disabled or deleted gets no token, and those that it has are revoked.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from relata.errors import InvalidArgumentError, NotFoundError, StoreError, WriteConflictError
from relata.relationships import ObjectRef, parse_object
from relata.store import Store
from relata.tokens.exchange import CLIENT_CREDENTIALS, GRANTS
from relata.tokens.issuers import check_address, is_this_machine
from relata.tokens.public_keys import check_pinned, keys_in

KIND = "client"
Method = Literal["none", "client_secret_basic", "client_secret_post", "private_key_jwt"]
METHODS: tuple[Method, ...] = (
    "none",
    "client_secret_basic",
    "client_secret_post",
    "private_key_jwt",
)
"""How clients authenticate, by the names of the registry (RFC 7591, section 2)."""
SECRET_METHODS = frozenset({"client_secret_basic", "client_secret_post"})
ASSERTION_ALGORITHMS = ("ES256", "EdDSA", "ES384", "ES512", "PS256", "RS256")
"""How a client may sign. Signatures by a private key alone: nobody could tell a client's HMAC from
one by whoever knows the secret, and `none` proves nothing."""
OVERLAP = timedelta(days=1)
"""For how long an older secret still counts, unless said otherwise."""
MAX_OVERLAP = timedelta(days=90)
MAX_ID_CHARACTERS = 200
MAX_NAME_CHARACTERS = 200
MAX_NAMES = 1_000
"""How many names each of a client's lists may have."""
MAX_KEYS = 20
MAX_ORIGIN_CHARACTERS = 300

_ID = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9._~-]{{0,{MAX_ID_CHARACTERS - 1}}}")
_HOST = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
)
_DEFAULT_PORTS = {"https": 443, "http": 80}
_ID_BYTES = 12
_SECRET_BYTES = 32
_REVOKED_WITH = "its client was disabled or deleted"


class Client(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A registered client. The limits are None where there is no limit.

    Raises InvalidArgumentError, naming the field, where a setting is malformed or unsafe.
    """

    id: str
    """What the client calls itself: `client_id`."""
    name: str = ""
    """What people call it."""
    authentication: Method
    """The one way in which it proves who it is; a public client's is `none`."""
    grants: tuple[str, ...]
    """How it may ask, among GRANTS."""
    audiences: tuple[str, ...] | None = None
    """What it may ask tokens for."""
    scopes: tuple[str, ...] | None = None
    """The permissions that its tokens may hold."""
    organizations: tuple[str, ...] | None = None
    """Where its tokens may be for. With exactly one, the app belongs to it."""
    origins: tuple[str, ...] = ()
    """The web origins whose pages are the app (RFC 6454): `https://app.example`."""
    delegation: bool = False
    """Whether it may exchange tokens that were issued to other clients, to act for their users."""
    require_dpop: bool = False
    """Whether its tokens must be bound to a key (RFC 9449)."""
    subject: str = ""
    """The object that it is when it asks for itself; by the profile and its id if empty."""
    jwks: dict[str, object] | None = None
    """For `private_key_jwt`: its public keys, as a JWK Set (RFC 7517)."""
    jwks_uri: str | None = None
    """For `private_key_jwt`: where it publishes them; https, or http on this machine."""
    created_at: datetime | None = None
    """When it was registered; None before."""
    disabled: bool = False

    def __post_init__(self) -> None:
        """Refuse what could not be used, or would let somebody else be the client."""
        check_id(self.id)
        _check_name(self.name)
        _check_grants(self)
        _check_names(self.audiences, "audiences", "product")
        _check_names(self.scopes, "scopes", "capability")
        _check_names(self.organizations, "organizations", "organization")
        _check_origins(self.origins)
        _check_subject(self)
        _check_keys(self)

    @property
    def is_public(self) -> bool:
        """Whether anybody can say to be this client."""
        return self.authentication == "none"


class ClientSecret(msgspec.Struct, frozen=True):
    """What is kept of a secret. The moments are seconds since 1970."""

    digest: bytes
    created_at: int
    ends_at: int | None = None
    """From when on it does not count; None for the newest, which has no end."""

    def counts(self, now: int) -> bool:
        """Whether it has not ended."""
        return self.ends_at is None or now < self.ends_at

    def shown(self) -> dict[str, object]:
        """When it was made, and when it ends, if it does."""
        return {
            "created_at": datetime.fromtimestamp(self.created_at, UTC),
            "ends_at": None if self.ends_at is None else datetime.fromtimestamp(self.ends_at, UTC),
        }


class Registration(msgspec.Struct, frozen=True):
    """A client, and its secrets, the newest first."""

    client: Client
    secrets: tuple[ClientSecret, ...] = ()

    def shown(self) -> dict[str, object]:
        """All that may be shown, in lists and moments: of a secret, when it was made and ends."""
        client = {name: getattr(self.client, name) for name in Client.__struct_fields__}
        lists = {name: [*value] for name, value in client.items() if isinstance(value, tuple)}
        return {**client, **lists, "secrets": [secret.shown() for secret in self.secrets]}


class Clients:
    """The registered clients of a store. Threads and processes may share it.

    Every question reads what is stored now, by primary key: a change counts at once everywhere.
    """

    def __init__(self, store: Store) -> None:
        self._records = store.records
        self._issued = store.issued

    def create(self, client: Client) -> tuple[Client, str | None]:
        """Register a client; return it and its secret, which cannot be had again.

        There is a secret where the client authenticates with one. Raises InvalidArgumentError where
        the id is registered.
        """
        client = msgspec.structs.replace(client, created_at=datetime.now(UTC))
        secret, kept = _new_secrets(client)
        stored = msgspec.json.encode(Registration(client, kept))
        if not self._records.put(KIND, client.id, stored, expected=None):
            raise InvalidArgumentError(
                f"the client `{client.id}` exists; replace or delete it", field="id"
            )
        return client, secret

    def get(self, client_id: str) -> Client | None:
        """Return the client that has an id, None where there is none."""
        registration = self.registration(client_id)
        return None if registration is None else registration.client

    def registration(self, client_id: str) -> Registration | None:
        """Return a client with what is kept of its secrets, None where there is none."""
        stored = self._records.get(KIND, client_id) if _ID.fullmatch(client_id) else None
        return None if stored is None else _read(client_id, stored)

    def list(self) -> tuple[Registration, ...]:
        """Return all of them, by id."""
        return tuple(self._all())

    def replace(self, client: Client) -> Registration:
        """Change what is registered under an id; return what is from now on.

        The secrets stay, unless the client no longer authenticates with one; one that begins to
        gets its first from `rotate_secret`. Raises NotFoundError where there is no such client,
        WriteConflictError where it changes meanwhile.
        """
        present, stored = self._present(client.id)
        changed = Registration(
            msgspec.structs.replace(client, created_at=present.client.created_at),
            present.secrets if client.authentication in SECRET_METHODS else (),
        )
        self._store(changed, stored)
        if client.disabled:
            self._revoke_tokens(client.id)
        return changed

    def rotate_secret(self, client_id: str, *, overlap: timedelta = OVERLAP) -> str:
        """Make a new secret and return it; the one before ends after `overlap`.

        What was older still ends now. Raises NotFoundError where there is no such client,
        InvalidArgumentError where it has no use for a secret or the overlap is out of bounds,
        WriteConflictError where it changes meanwhile.
        """
        if not timedelta(0) <= overlap <= MAX_OVERLAP:
            raise InvalidArgumentError(
                f"an older secret counts for 0 to {int(MAX_OVERLAP.total_seconds())} seconds more",
                field="overlap_seconds",
            )
        present, stored = self._present(client_id)
        secret, kept = _new_secrets(present.client)
        if secret is None:
            raise InvalidArgumentError(
                f"the client `{client_id}` authenticates by `{present.client.authentication}`, "
                "without a secret",
                field="authentication",
            )
        ends_at = int(time.time() + overlap.total_seconds())
        ending = [msgspec.structs.replace(old, ends_at=ends_at) for old in present.secrets[:1]]
        older = [old for old in ending if overlap]
        self._store(Registration(present.client, (*kept, *older)), stored)
        return secret

    def delete(self, client_id: str) -> bool:
        """Remove a client; return whether there was one. Its tokens are revoked."""
        if not _ID.fullmatch(client_id):
            return False
        deleted = self._records.delete(KIND, client_id)
        # Also where there is no client: whoever deleted it may not have come to its tokens.
        self._revoke_tokens(client_id)
        return deleted

    def _present(self, client_id: str) -> tuple[Registration, bytes]:
        stored = self._records.get(KIND, client_id) if _ID.fullmatch(client_id) else None
        if stored is None:
            raise not_registered(client_id)
        return _read(client_id, stored), stored

    def _store(self, changed: Registration, expected: bytes) -> None:
        client_id = changed.client.id
        value = msgspec.json.encode(changed)
        if not self._records.put(KIND, client_id, value, expected=expected):
            raise WriteConflictError(
                f"the client `{client_id}` was changed by somebody else; try again"
            )

    def _revoke_tokens(self, client_id: str) -> None:
        self._issued.revoke(client=client_id, reason=_REVOKED_WITH, now=int(time.time()))

    def _all(self) -> Iterator[Registration]:
        after = ""
        while page := self._records.list(KIND, after=after):
            yield from (_read(client_id, stored) for client_id, stored in page)
            after = page[-1][0]


def read_client(document: Mapping[str, object]) -> Client:
    """Make a client of JSON values.

    Raises InvalidArgumentError, naming the field by its path, where it is malformed.
    """
    try:
        return msgspec.convert(document, Client)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$")
        text = f"{message[:1].lower()}{message[1:]}".replace("'", "`")
        raise InvalidArgumentError(text, field=place.strip("`.") or None) from None


def new_id() -> str:
    """Make up an id for a client that needs none in particular."""
    return secrets.token_hex(_ID_BYTES)


def secret_digest(secret: str) -> bytes:
    """What is kept of a secret, and compared."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()


def not_registered(client_id: str) -> NotFoundError:
    """Say that there is no such client."""
    return NotFoundError(f"there is no client `{client_id[:80]}`", field="id")


def check_id(client_id: str) -> None:
    """Accept an id that reads the same in a URL, a form and a log (RFC 3986, section 2.3).

    Raises InvalidArgumentError.
    """
    if not _ID.fullmatch(client_id):
        raise InvalidArgumentError(
            f"a client's id has 1 to {MAX_ID_CHARACTERS} letters, digits, `-`, `.`, `_` and `~`, "
            "and begins with a letter, a digit or `_`",
            field="id",
        )


def check_origin(origin: str, *, field: str) -> None:
    """Accept a web origin, as browsers write it in `Origin` (RFC 6454, section 6.2).

    Raises InvalidArgumentError, naming `field`, where it is anything else: an origin is compared
    character by character, so one that is written otherwise would never be met.
    """
    if len(origin) > MAX_ORIGIN_CHARACTERS:
        raise InvalidArgumentError(
            f"an origin is longer than {MAX_ORIGIN_CHARACTERS} characters", field=field
        )
    host = _host_of(origin)
    if host is None:
        raise InvalidArgumentError(
            f"`{origin}` is not an origin; write `https://host` or `https://host:port`, in lower "
            "case, without a default port and without a path",
            field=field,
        )
    if origin.startswith("http:") and not is_this_machine(host):
        raise InvalidArgumentError(
            f"`{origin}` is not https, which only an origin on this machine may do without",
            field=field,
        )


def _host_of(origin: str) -> str | None:
    """The host of an origin that is written as browsers write it, None where it is not."""
    try:
        parts = urlsplit(origin)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    default = _DEFAULT_PORTS.get(parts.scheme)
    if default is None or port == default or not _is_host(host):
        return None
    written = f"[{host}]" if ":" in host else host
    suffix = "" if port is None else f":{port}"
    return host if origin == f"{parts.scheme}://{written}{suffix}" else None


def _is_host(host: str) -> bool:
    if ":" not in host:
        return _HOST.fullmatch(host) is not None
    try:
        return str(ipaddress.IPv6Address(host)) == host
    except ValueError:
        return False


def _new_secrets(client: Client) -> tuple[str | None, tuple[ClientSecret, ...]]:
    """A secret for a client that authenticates with one, and what is kept of it."""
    if client.authentication not in SECRET_METHODS:
        return None, ()
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    return secret, (ClientSecret(secret_digest(secret), int(time.time())),)


def _read(client_id: str, stored: bytes) -> Registration:
    try:
        return msgspec.json.decode(stored, type=Registration)
    except (msgspec.MsgspecError, InvalidArgumentError) as error:
        raise StoreError(
            f"the stored client `{client_id}` is malformed; delete it and create it again"
        ) from error


def _check_name(name: str) -> None:
    if len(name) > MAX_NAME_CHARACTERS or not name.isprintable():
        raise InvalidArgumentError(
            f"a client's name has at most {MAX_NAME_CHARACTERS} printable characters", field="name"
        )


def _check_grants(client: Client) -> None:
    for position, grant in enumerate(client.grants):
        if grant not in GRANTS or grant in client.grants[:position]:
            names = ", ".join(f"`{name}`" for name in GRANTS)
            raise InvalidArgumentError(
                f"`{grant}` is not a grant, or is named twice; the grants are {names}",
                field=f"grants[{position}]",
            )
    if not client.grants:
        raise InvalidArgumentError("a client needs a grant to ask by", field="grants")
    if client.is_public and CLIENT_CREDENTIALS in client.grants:
        raise InvalidArgumentError(
            f"a public client has no credentials, so it cannot have `{CLIENT_CREDENTIALS}`",
            field="grants",
        )
    if client.is_public and client.delegation:
        raise InvalidArgumentError(
            "anybody can say to be a public client, so it cannot act for the users of others",
            field="delegation",
        )


def _check_names(names: tuple[str, ...] | None, field: str, definition: str) -> None:
    """Make sure that a limit names objects of a definition; one that names none allows nothing."""
    if names is None:
        return
    if not 1 <= len(names) <= MAX_NAMES:
        raise InvalidArgumentError(
            f"a limit has 1 to {MAX_NAMES} names; leave it out for no limit", field=field
        )
    for position, name in enumerate(names):
        parse_object(ObjectRef(definition, name), field=f"{field}[{position}]")
        if name in names[:position]:
            raise InvalidArgumentError(f"`{name}` is named twice", field=f"{field}[{position}]")


def _check_origins(origins: tuple[str, ...]) -> None:
    if len(origins) > MAX_NAMES:
        raise InvalidArgumentError(f"a client has at most {MAX_NAMES} origins", field="origins")
    for position, origin in enumerate(origins):
        check_origin(origin, field=f"origins[{position}]")


def _check_subject(client: Client) -> None:
    if not client.subject:
        return
    parse_object(client.subject, field="subject")
    if CLIENT_CREDENTIALS not in client.grants:
        raise InvalidArgumentError(
            f"a client asks for itself by `{CLIENT_CREDENTIALS}` alone, which is none of its "
            "grants; leave its subject out",
            field="subject",
        )


def _check_keys(client: Client) -> None:
    given = [name for name in ("jwks", "jwks_uri") if getattr(client, name) is not None]
    if client.authentication != "private_key_jwt":
        if given:
            raise InvalidArgumentError(
                f"keys are for clients that authenticate by `private_key_jwt`, and this one does "
                f"by `{client.authentication}`",
                field=given[0],
            )
        return
    if len(given) != 1:
        raise InvalidArgumentError(
            "a client that authenticates by `private_key_jwt` needs exactly one of `jwks` and "
            "`jwks_uri`, which say where its public keys are",
            field="jwks",
        )
    if client.jwks_uri is not None:
        check_address(client.jwks_uri, field="jwks_uri")
    elif client.jwks is not None:
        _check_jwks(client.jwks)


def _check_jwks(jwks: dict[str, object]) -> None:
    keys = keys_in(jwks)
    if keys is None or len(keys) > MAX_KEYS:
        raise InvalidArgumentError(
            f"a JWK Set has a list `keys`, of at most {MAX_KEYS} here", field="jwks"
        )
    check_pinned(keys, ASSERTION_ALGORITHMS, field="jwks")
