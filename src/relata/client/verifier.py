"""Verifying Relata's access tokens in an API, without asking Relata about each.

A token is believed if and only if all of this holds (RFC 9068 section 4, RFC 8725, RFC 9449
section 7): its size is moderate and it is a signed JWT of the type `at+jwt`; its `alg` is allowed
and its header has no critical extension; its `kid` names a key that the issuer publishes and that
fits `alg`; the signature holds; `iss`, `aud` and, where one is expected, the organization are
the expected ones; it has not expired; who presents a token that is bound to a key proves to hold
it; and the status list that it names says that it still stands.

Fetched for that, and kept, are the issuer's keys and status lists, and where a token is compact or
over its size the list or the answer that has its permissions. All come from below the issuer's
address: a token cannot send a verifier elsewhere.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote

import jwt
import msgspec

from relata.client.documents import Documents, Fetch, Fetcher, FetchError, Kept, Steps, read_object
from relata.client.status import StatusList, read_list, read_reference, ttl_of
from relata.errors import InvalidArgumentError, OAuthError
from relata.tokens.bitset import PERMISSIONS_BITS, PRODUCTS_BITS, decode_permissions
from relata.tokens.dpop import Nonces, Replays, bound_key, verify_proof
from relata.tokens.public_keys import KEY_TYPES, Jwk, find_key, keys_in
from relata.tokens.status_list import LIST_TYPE, MEDIA_TYPE

MAX_TOKEN_CHARACTERS = 16 * 1024
MAX_LIST_CHARACTERS = 2 * 1024 * 1024
KEYS_FRESH_SECONDS = 300.0
KEYS_USABLE_SECONDS = 3600.0
"""How long published keys verify while they cannot be fetched again."""
REFRESH_LIMIT_SECONDS = 30.0
"""How far apart at least two fetches for unknown keys lie, since anybody can make one up."""

_TYPE = "at+jwt"
_ORGANIZATION = "{organization}"
_REQUIRED = ("iss", "aud", "exp", "iat", "sub", "jti", "client_id", "org_id")
_JSON = "application/json"
PERMISSION_LISTS_PATH = "/token/permission-lists"
INTROSPECTION_PATH = "/oauth/introspect"
_FOREVER = float("inf")

_Claims = Mapping[str, Any]


class Proof(msgspec.Struct, frozen=True):
    """The proof of possession that came with a token, and the request that it came with."""

    jwt: str
    """The `DPoP` header."""
    method: str
    url: str
    """As the client wrote it; query and fragment do not count."""


class VerifiedToken(msgspec.Struct, frozen=True, kw_only=True):
    """What a token says that may be believed."""

    subject: str
    """Its `sub`."""
    organization: str
    audience: str
    client: str
    """The app, or the machine, that the token was issued to."""
    permissions: tuple[str, ...]
    products: Mapping[str, tuple[str, ...]]
    """The permissions by product; empty where the audience is one product."""
    roles: tuple[str, ...]
    issued_at: int
    """In seconds since 1970, as `expires_at` and `auth_time`."""
    expires_at: int
    id: str
    """Its `jti`."""
    auth_time: int | None
    """When the user logged in, None where that is not said."""
    acr: str | None
    amr: tuple[str, ...]
    actor: Mapping[str, Any] | None
    """Who acts for the subject (`act`, RFC 8693 section 4.1), None for the subject itself."""
    claims: Mapping[str, Any]
    """Everything that it says, and what was fetched of it."""

    @property
    def is_machine(self) -> bool:
        """Whether the subject is the client itself (RFC 9068, section 2.2)."""
        return self.subject == self.client

    def allows(self, *permissions: str) -> bool:
        """Whether it holds all of the permissions."""
        return frozenset(permissions).issubset(self.permissions)


class MemoryReplays:
    """The proofs that this process has seen, at most `size` of them; then the oldest go.

    Another process of the API has its own, so a proof can be used once with each; give all of them
    one that they share where that is too often.
    """

    def __init__(self, size: int = 100_000) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._used: dict[tuple[str, str], int] = {}

    def once(self, purpose: str, value: str, *, expires_at: int, now: int) -> bool:
        """Whether a value is used for the first time."""
        with self._lock:
            until = self._used.get((purpose, value))
            if until is not None and until > now:
                return False
            self._used.pop((purpose, value), None)
            self._used[purpose, value] = expires_at
            while len(self._used) > self._size or self._first_is_over(now):
                del self._used[next(iter(self._used))]
            return True

    def _first_is_over(self, now: int) -> bool:
        return next(iter(self._used.values())) <= now


class Verifier:
    """Verifies the tokens of one issuer for one audience. Safe to share between threads and loops.

    `issuer` is Relata's address, as `iss` says it. `audience` is what `aud` must be; an
    `{organization}` in it stands for the organization of the token. `organization` is the only one
    whose tokens are believed, where it is given. `algorithms` are how the issuer may sign.
    `dpop="required"` refuses tokens that are not bound to a key; a token that is bound needs its
    proof either way. `status="ignored"` believes tokens until they expire, whatever has become of
    them. `leeway` is by how many seconds the issuer's clock may run ahead or behind.

    `jwks_uri` is where the keys are, if not at the usual place; `replays` remembers proofs, in
    this process if not given; `nonces` makes clients use nonces of the API's in their proofs.
    `api_key` is the API's own key, with the scope `check`: permissions that left a token for its
    size are then asked for by introspection. Without it the token itself asks for them, which one
    that is bound to a key cannot: nobody but its holder can prove that.

    Raises InvalidArgumentError where that would verify nothing. Nothing is fetched before the
    first token.
    """

    def __init__(
        self,
        issuer: str,
        audience: str,
        *,
        organization: str | None = None,
        algorithms: Sequence[str] = ("ES256",),
        dpop: Literal["allowed", "required"] = "allowed",
        status: Literal["checked", "ignored"] = "checked",
        leeway: int = 0,
        jwks_uri: str | None = None,
        replays: Replays | None = None,
        nonces: Nonces | None = None,
        api_key: str | None = None,
    ) -> None:
        self.issuer = _checked_text(issuer, "issuer")
        self.audience = _checked_text(audience, "audience")
        self.dpop_required = dpop == "required"
        self.nonces = nonces
        self._organization = organization
        self._algorithms = _checked_algorithms(algorithms)
        self._checks_status = status == "checked"
        self._leeway = leeway
        self._api_key = api_key
        self._replays = replays or MemoryReplays()
        self._fetcher = Fetcher()
        self._jwks = Fetch(jwks_uri or f"{issuer}/.well-known/jwks.json", _JSON)
        self._refreshed_at = -_FOREVER
        self._keys: Documents[tuple[Jwk, ...]] = Documents(_read_keys, size=1)
        self._lists: Documents[StatusList] = Documents(self._read_list, size=256)
        self._names: Documents[tuple[str, ...]] = Documents(_read_names, size=256)
        self._claims: Documents[_Claims] = Documents(_read_claims, size=1_024)

    def verify(self, token: str, proof: Proof | None = None) -> VerifiedToken:
        """Return what a token says. A token that came with the scheme `DPoP` has a `proof`.

        Raises OAuthError: `invalid_token` (RFC 6750), `invalid_dpop_proof` or `use_dpop_nonce`
        (RFC 9449), `temporarily_unavailable` where what verifies it cannot be fetched. The message
        is for the log; tell the client no more than the code.
        """
        return self._fetcher.run(self._steps(token, proof))

    async def verify_async(self, token: str, proof: Proof | None = None) -> VerifiedToken:
        """Do as `verify`, without holding up an event loop."""
        return await self._fetcher.run_async(self._steps(token, proof))

    def _steps(self, token: str, proof: Proof | None) -> Steps[VerifiedToken]:
        claims = yield from self._verified(token, _TYPE)
        for name in _REQUIRED:
            if name not in claims:
                raise _refused(f"it has no `{name}`")
        self._check_meant_for_us(claims)
        self._check_possession(token, claims, proof)
        if self._checks_status:
            yield from self._check_status(claims)
        claims = yield from self._completed(token, claims)
        return _verified_token(claims, self._expected_audience(claims))

    def _verified(self, token: str, typ: str) -> Steps[_Claims]:
        """Return the claims of a JWT that the issuer has signed, and that has not expired."""
        header = self._header(token, typ)
        key = yield from self._key(header["kid"], header["alg"])
        try:
            claims: _Claims = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                issuer=self.issuer,
                leeway=self._leeway,
                options={"require": ["exp", "iss"], "verify_aud": False},
            )
        except (jwt.PyJWTError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise _refused(f"it does not verify: {error!r}") from None
        return claims

    def _header(self, token: str, typ: str) -> _Claims:
        if len(token) > (MAX_LIST_CHARACTERS if typ == LIST_TYPE else MAX_TOKEN_CHARACTERS):
            raise _refused("it is too long")
        try:
            header: _Claims = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, TypeError, ValueError, RecursionError):
            raise _refused("it is not a signed JWT") from None
        if str(header.get("typ")).lower().removeprefix("application/") != typ:
            raise _refused(f"its `typ` is not `{typ}`")
        # A status list may be by any of the issuer's keys: `algorithms` is about access tokens.
        allowed = KEY_TYPES if typ == LIST_TYPE else self._algorithms
        if str(header.get("alg")) not in allowed:
            raise _refused("its `alg` is not allowed")
        if "crit" in header or "b64" in header:
            raise _refused("it has a critical header")
        if not isinstance(header.get("kid"), str):
            raise _refused("it has no `kid`")
        return header

    def _key(self, kid: str, algorithm: str) -> Steps[jwt.PyJWK]:
        key = find_key((yield from self._keys.get(self._jwks)), kid, algorithm)
        if key is None and self._may_refresh():
            key = find_key((yield from self._keys.renew(self._jwks)), kid, algorithm)
        if key is None:
            raise _refused("its `kid` names no published key that fits its `alg`")
        return key

    def _may_refresh(self) -> bool:
        now = time.monotonic()
        if now - self._refreshed_at < REFRESH_LIMIT_SECONDS:
            return False
        self._refreshed_at = now
        return True

    def _check_meant_for_us(self, claims: _Claims) -> None:
        audience = claims["aud"]
        if self._organization not in (None, claims["org_id"]):
            raise _refused("it is for another organization")
        if self._expected_audience(claims) not in (
            audience if isinstance(audience, list) else [audience]
        ):
            raise _refused("it is for another audience")

    def _expected_audience(self, claims: _Claims) -> str:
        return self.audience.replace(_ORGANIZATION, str(claims["org_id"]))

    def _check_possession(self, token: str, claims: _Claims, proof: Proof | None) -> None:
        """Hold a bound token to its key, and a bearer token to being one (RFC 9449, 7.1, 7.2)."""
        bound_to = bound_key(claims)
        if proof is None:
            if bound_to is not None:
                raise _refused("it is bound to a key, and there is no proof")
            if self.dpop_required:
                raise _refused("it is not bound to a key")
            return
        if bound_to is None:
            raise _refused("it is not bound to a key, and came with a proof")
        jkt = verify_proof(
            proof.jwt,
            method=proof.method,
            url=proof.url,
            access_token=token,
            replays=self._replays,
            nonces=self.nonces,
            now=int(time.time()),
        )
        if jkt != bound_to:
            raise OAuthError("invalid_dpop_proof", "the DPoP proof is by another key")

    def _check_status(self, claims: _Claims) -> Steps[None]:
        try:
            reference = read_reference(claims)
        except (ValueError, msgspec.ValidationError):
            raise _refused("its `status` is malformed") from None
        if reference is None:
            return
        self._check_address(reference.uri)
        found = yield from self._lists.get(Fetch(reference.uri, MEDIA_TYPE))
        state = found.state(reference.idx)
        if state != 0:
            raise _refused(f"its state is {state}")

    def _read_list(self, wanted: Fetch, body: bytes) -> Steps[Kept[StatusList]]:
        """Read a status list token (section 8.3)."""
        try:
            claims = yield from self._verified(body.decode("ascii").strip(), LIST_TYPE)
        except (OAuthError, UnicodeDecodeError) as error:
            raise FetchError(f"the status list is refused: {error}") from error
        if claims.get("sub") != wanted.url:
            raise FetchError("the status list is another one")
        usable = max(0.0, float(claims["exp"]) + self._leeway - time.time())
        return Kept(read_list(claims), fresh=min(ttl_of(claims), usable), usable=usable)

    def _completed(self, token: str, claims: _Claims) -> Steps[_Claims]:
        """Return the claims with the permissions that are not in the token as they are."""
        if PERMISSIONS_BITS in claims or PRODUCTS_BITS in claims:
            claims = yield from self._unpacked(claims)
        left = claims.get("_claim_names")
        if not isinstance(left, dict):
            return claims
        fetched = yield from self._fetched(token, claims)
        return {**claims, **{name: fetched[name] for name in left if name in fetched}}

    def _fetched(self, token: str, claims: _Claims) -> Steps[_Claims]:
        """Ask for the claims that left the token for its size (`_claim_sources`)."""
        if self._api_key is None:
            wanted = Fetch(self._source(claims), _JSON, bearer=token)
        else:
            url = f"{self.issuer}{INTROSPECTION_PATH}"
            wanted = Fetch(url, _JSON, bearer=self._api_key, form=(("token", token),))
        answer = yield from self._claims.get(wanted)
        if answer.get("active") is False:
            raise _refused("it is not active")
        return answer

    def _source(self, claims: _Claims) -> str:
        sources = claims.get("_claim_sources")
        endpoints = {
            str(source.get("endpoint"))
            for source in (sources.values() if isinstance(sources, dict) else ())
            if isinstance(source, dict)
        }
        if len(endpoints) != 1:
            raise _refused("its `_claim_sources` does not name one endpoint")
        endpoint = endpoints.pop()
        self._check_address(endpoint)
        return endpoint

    def _unpacked(self, claims: _Claims) -> Steps[_Claims]:
        """Read permissions that are bits over a published list."""
        try:
            packed = msgspec.convert(claims, _Packed)
            unpacked: dict[str, Any] = {}
            if (bits := packed.permissions_bits) is not None:
                names = yield from self._published(claims, bits.v)
                unpacked["permissions"] = decode_permissions({"b": bits.b}, names)
            if (products := packed.products_bits) is not None:
                names = yield from self._published(claims, products.v)
                unpacked["products"] = {
                    product: decode_permissions({"b": bits}, names)
                    for product, bits in products.b.items()
                }
        except (InvalidArgumentError, msgspec.ValidationError) as error:
            raise _refused(f"its permission bits are malformed: {error}") from None
        return {**claims, **unpacked}

    def _published(self, claims: _Claims, version: int) -> Steps[tuple[str, ...]]:
        """Fetch the list that bits are over; a version of it never changes."""
        audience = quote(self._expected_audience(claims), safe="")
        url = f"{self.issuer}{PERMISSION_LISTS_PATH}/{audience}/{version}"
        return (yield from self._names.get(Fetch(url, _JSON)))

    def _check_address(self, address: str) -> None:
        if not address.startswith(f"{self.issuer}/"):
            raise _refused("it names an address that is not its issuer's")


def _read_keys(_: Fetch, body: bytes) -> Steps[Kept[tuple[Jwk, ...]]]:
    yield from ()  # a generator, as every reader is
    keys = keys_in(read_object(body))
    if keys is None:
        raise FetchError("the answer has no keys")
    return Kept(keys, fresh=KEYS_FRESH_SECONDS, usable=KEYS_USABLE_SECONDS)


def _read_names(_: Fetch, body: bytes) -> Steps[Kept[tuple[str, ...]]]:
    yield from ()  # a generator, as every reader is
    try:
        names = msgspec.convert(read_object(body).get("permissions"), tuple[str, ...])
    except msgspec.ValidationError as error:
        raise FetchError("the answer has no permissions") from error
    return Kept(names, fresh=_FOREVER, usable=_FOREVER)


def _read_claims(_: Fetch, body: bytes) -> Steps[Kept[_Claims]]:
    yield from ()  # a generator, as every reader is
    return Kept(read_object(body), fresh=_FOREVER, usable=_FOREVER)


class _Bits(msgspec.Struct):
    """Permissions over version `v` of a list."""

    v: int
    b: str


class _ProductBits(msgspec.Struct):
    """The same by product."""

    v: int
    b: dict[str, str]


class _Packed(msgspec.Struct):
    """The claims that are bits (`relata.tokens.bitset`)."""

    permissions_bits: _Bits | None = None
    products_bits: _ProductBits | None = None


class _Contents(msgspec.Struct):
    """The claims of a token that have a meaning here, with their types."""

    sub: str
    org_id: str
    client_id: str
    jti: str
    iat: int
    exp: int
    permissions: tuple[str, ...]
    products: dict[str, tuple[str, ...]] = {}
    roles: tuple[str, ...] = ()
    auth_time: int | None = None
    acr: str | None = None
    amr: tuple[str, ...] = ()
    act: dict[str, Any] | None = None


def _verified_token(claims: _Claims, audience: str) -> VerifiedToken:
    try:
        contents = msgspec.convert(claims, _Contents)
    except msgspec.ValidationError as error:
        raise _refused(f"its claims are malformed: {error}") from None
    return VerifiedToken(
        subject=contents.sub,
        organization=contents.org_id,
        audience=audience,
        client=contents.client_id,
        permissions=contents.permissions,
        products=contents.products,
        roles=contents.roles,
        issued_at=contents.iat,
        expires_at=contents.exp,
        id=contents.jti,
        auth_time=contents.auth_time,
        acr=contents.acr,
        amr=contents.amr,
        actor=contents.act,
        claims=claims,
    )


def _checked_text(text: str, field: str) -> str:
    if not text or (text.endswith("/") and field == "issuer"):
        raise InvalidArgumentError(f"`{text}` is not an {field} to verify tokens of", field=field)
    return text


def _checked_algorithms(algorithms: Sequence[str]) -> frozenset[str]:
    unknown = sorted(set(algorithms) - set(KEY_TYPES))
    if unknown or not algorithms or isinstance(algorithms, str):
        raise InvalidArgumentError(
            f"`algorithms` is some of {', '.join(KEY_TYPES)}", field="algorithms"
        )
    return frozenset(algorithms)


def _refused(reason: str) -> OAuthError:
    return OAuthError("invalid_token", f"the access token is refused: {reason}")
