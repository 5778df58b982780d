"""Client authentication: which client sends a request, and whether it is that client.

A client authenticates in the one way that it is registered for (RFC 6749, section 2.3):

- `client_secret_basic`: its id and secret in `Authorization: Basic`, each encoded as in a form and
  then both in base64 (section 2.3.1);
- `client_secret_post`: `client_id` and `client_secret` in the form;
- `private_key_jwt`: an assertion in the form (RFC 7523, section 2.2), see `client_assertions`;
- `none`: `client_id` in the form, which proves nothing and is not asked to.

More than one way at once is `invalid_request`. Everything else that fails is `invalid_client` with
one wording, whether there is no such client, it is disabled, it is registered for another way, or
what it presented is wrong. The same work is done in each case, so the time tells no more. The
reason is in the log.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import secrets
from collections.abc import Collection, Iterable, Sequence
from urllib.parse import unquote_plus

import msgspec

from relata.errors import OAuthError
from relata.store import Replays
from relata.tokens.client_assertions import ClientAssertions, ProofError, claimed_client
from relata.tokens.clients import Client, Clients, Method, Registration, secret_digest

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
"""RFC 7523, section 2.2."""

_FIELDS = ("client_id", "client_secret", "client_assertion", "client_assertion_type")
_SECRETS = 2  # that may count at once

_log = logging.getLogger(__name__)


class InvalidClientError(OAuthError):
    """Client authentication failed: `invalid_client` (RFC 6749, section 5.2).

    `basic` says whether `Authorization` was used, in which case the answer has to be 401 with a
    challenge.
    """

    def __init__(self, *, basic: bool) -> None:
        super().__init__("invalid_client", "client authentication failed")
        self.basic = basic


class PresentedClient(msgspec.Struct, frozen=True):
    """Who a request says to be from, and what it brings to prove it."""

    method: Method
    client_id: str
    credential: str = ""
    """The secret or the assertion; empty for a public client."""

    @property
    def basic(self) -> bool:
        """Whether it came in `Authorization`."""
        return self.method == "client_secret_basic"

    def __repr__(self) -> str:
        """Name who it is, without the credential."""
        return f"PresentedClient(method={self.method!r}, client_id={self.client_id!r})"


class ClientAuthentication:
    """Authenticates clients. Safe to share between threads.

    `audiences` are what an assertion may be meant for: the issuer URL and the address of the token
    endpoint.
    """

    def __init__(self, clients: Clients, replays: Replays, *, audiences: Collection[str]) -> None:
        self._clients = clients
        self._assertions = ClientAssertions(replays, audiences=audiences)
        # What is compared where there is no secret to compare with. Nobody knows one for it.
        self._no_digest = secrets.token_bytes(hashlib.sha256().digest_size)

    def authenticate(
        self, form: Iterable[tuple[str, str]], authorization: str | None, *, now: int
    ) -> Client:
        """Return the client that a request is from.

        `form` has the pairs of the body, `authorization` is the header's value, None without one;
        `now` is in seconds since 1970. Raises InvalidClientError; OAuthError `invalid_request`
        where a field is repeated or more than one way is used; `temporarily_unavailable` where the
        client's keys cannot be fetched.
        """
        presented = read_presented(form, authorization)
        registration = self._clients.registration(presented.client_id)
        reason = _standing(registration, presented.method)
        eligible = None if reason else registration
        try:
            self._prove(presented, eligible, now)
        except ProofError as error:
            raise _refused(presented, reason or str(error)) from None
        if eligible is None:
            raise _refused(presented, reason)
        return eligible.client

    def _prove(self, presented: PresentedClient, eligible: Registration | None, now: int) -> None:
        match presented.method:
            case "client_secret_basic" | "client_secret_post":
                self._check_secret(presented.credential, eligible, now)
            case "private_key_jwt":
                client = None if eligible is None else eligible.client
                self._assertions.verify(presented.credential, presented.client_id, client, now=now)

    def _check_secret(self, secret: str, eligible: Registration | None, now: int) -> None:
        held = () if eligible is None else eligible.secrets
        digests = [kept.digest for kept in held if kept.counts(now)]
        digests += [self._no_digest] * (_SECRETS - len(digests))
        presented = secret_digest(secret)
        if not any([hmac.compare_digest(presented, digest) for digest in digests]):  # noqa: C419 - each is compared
            raise ProofError("its secret is wrong, or has ended")


def read_presented(form: Iterable[tuple[str, str]], authorization: str | None) -> PresentedClient:
    """Read who a request says to be from, and how it would prove it.

    An empty field is as good as none (RFC 6749, section 3.2). Raises OAuthError `invalid_request`
    where a field is repeated or more than one way is used, InvalidClientError where nobody is
    named, or what is presented is malformed.
    """
    given = _fields(form)
    ways = _ways(given, authorization)
    if len(ways) > 1:
        raise OAuthError(
            "invalid_request", "authenticate the client in one way only (RFC 6749, section 2.3)"
        )
    client_id = given.get("client_id", "")
    match ways:
        case ["client_secret_basic"]:
            presented = _of_basic(authorization or "")
        case ["client_secret_post"]:
            presented = PresentedClient("client_secret_post", client_id, given["client_secret"])
        case ["private_key_jwt"]:
            presented = _of_assertion(given)
        case _:
            presented = PresentedClient("none", client_id)
    if not presented.client_id:
        raise _refused(presented, "it is not named")
    if client_id not in ("", presented.client_id):
        raise _refused(presented, "`client_id` names another client")
    return presented


def _fields(form: Iterable[tuple[str, str]]) -> dict[str, str]:
    given: dict[str, str] = {}
    for name, value in form:
        if not value or name not in _FIELDS:
            continue
        if name in given:
            raise OAuthError("invalid_request", f"`{name}` is given more than once", field=name)
        given[name] = value
    return given


def _ways(given: dict[str, str], authorization: str | None) -> Sequence[Method]:
    ways: list[Method] = []
    if authorization is not None:
        ways.append("client_secret_basic")
    if "client_secret" in given:
        ways.append("client_secret_post")
    if "client_assertion" in given or "client_assertion_type" in given:
        ways.append("private_key_jwt")
    return ways


def _of_basic(authorization: str) -> PresentedClient:
    """Read `Authorization: Basic` (RFC 7617), whose two parts are encoded as in a form."""
    scheme, _, credentials = authorization.partition(" ")
    try:
        if scheme.lower() != "basic":
            raise ValueError
        pair = base64.b64decode(credentials.strip(" "), validate=True).decode()
        client_id, colon, secret = pair.partition(":")
        if not colon:
            raise ValueError
        return PresentedClient("client_secret_basic", _decoded(client_id), _decoded(secret))
    except ValueError:
        nobody = PresentedClient("client_secret_basic", "")
        raise _refused(nobody, "`Authorization` is not `Basic` with an id and a secret") from None


def _decoded(text: str) -> str:
    """Read a value that is encoded as `application/x-www-form-urlencoded`. Raises ValueError."""
    return unquote_plus(text, errors="strict")


def _of_assertion(given: dict[str, str]) -> PresentedClient:
    nobody = PresentedClient("private_key_jwt", given.get("client_id", ""))
    if given.get("client_assertion_type") != ASSERTION_TYPE or "client_assertion" not in given:
        raise _refused(nobody, f"an assertion comes with the type `{ASSERTION_TYPE}`")
    assertion = given["client_assertion"]
    try:
        return PresentedClient("private_key_jwt", claimed_client(assertion), assertion)
    except ProofError as error:
        raise _refused(nobody, str(error)) from None


def _standing(registration: Registration | None, method: Method) -> str:
    """Why a client cannot prove who it is in a certain way, however it tries; empty if it can."""
    if registration is None:
        return "there is no such client"
    if registration.client.disabled:
        return "it is disabled"
    if registration.client.authentication != method:
        return f"it is registered for `{registration.client.authentication}`, and used `{method}`"
    return ""


def _refused(presented: PresentedClient, reason: str) -> InvalidClientError:
    """Refuse, and tell the log why. A name from outside is written so that it stays on its line."""
    _log.info("the client %r is refused: %s", presented.client_id[:80], reason)
    return InvalidClientError(basic=presented.basic)
