"""The stream of token events: what apps and APIs follow to know when a token no longer stands.

`GET /oauth/events` is a stream of server-sent events (WHATWG HTML, section 9.2). Each has the name
and the members of a CAEP 1.0 event, as a security event token has them (RFC 8417), unsigned: the
connection is Relata's. Its `id` is a number; who comes back sends the last as `Last-Event-ID`.

Who sees which events:

- an API key with the scope `read` sees all, or those of the organization that it belongs to;
- a client that authenticates with `Authorization: Basic` sees what the token service gives it;
- an app with one of Relata's tokens sees those of its user, in its own session.

An app is told which of its tokens an event is about, and not whom the graph knows its user as.
A stream ends when its token expires, when its key or token no longer stands, and after the time
that was asked for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.security import HTTPBearer
from starlette.types import Message, Receive, Scope, Send

from relata.api_keys import ApiKeys
from relata.authorizer import Relata
from relata.errors import AuthenticationError, OAuthError, RelataError, ScopeError
from relata.server.auth import bearer, permits
from relata.server.event_feed import BACKLOG, MAX_READERS, POLL_SECONDS, EventFeed, Reader
from relata.server.problems import KEY, Refusal, responses
from relata.server.routing import Open
from relata.store import IssuedToken, StoredKey, TokenEvent, TokenState
from relata.tokens.dpop import PROOF_ALGORITHMS, bound_key, proof_in, verify_proof
from relata.tokens.signing import SigningKeys

router = APIRouter(route_class=Open, tags=["tokens"])

EVENTS_PATH = "/oauth/events"
MEDIA_TYPE = "text/event-stream"
EVENT_TYPES = "https://schemas.openid.net/secevent/caep/event-type/"
HEARTBEAT_SECONDS = 15.0
"""How long a stream is silent at most, and how often it is looked at whether it may go on."""
MAX_SECONDS = 3_600
"""How long a stream lasts at most; its reader comes back."""
SEND_SECONDS = 30.0
"""How long a reader may take to receive a piece."""

_WANTED_SCOPE = frozenset({"read"})
_KEY_PREFIX = "relata_"
_FOREVER = float("inf")
_ALGORITHMS = " ".join(PROOF_ALGORITHMS)
_CREDENTIAL = HTTPBearer(
    auto_error=False,
    scheme_name="key_or_token",
    description="An API key with the scope `read`, or one of Relata's own tokens.",
)

EventFilter = Callable[[TokenEvent], bool]
"""Whether somebody may see an event."""


class Access(msgspec.Struct, frozen=True):
    """What somebody may follow."""

    sees: EventFilter
    stands: Callable[[], bool]
    """Whether that is still so; asked now and then, in a thread."""
    until: float = _FOREVER
    """When it ends, in seconds since 1970."""
    names_subjects: bool = False
    """Whether events say whom the graph knows the subject as, and why they happened."""


class Events:
    """The token events of a server.

    `issuer_url` is what tokens and events say they are from. `clients` finds what a client may
    see by its request, which has `Authorization: Basic`, and raises OAuthError `invalid_client`;
    without it no client can follow events but with a token. `max_seconds` is how long a stream
    lasts at most, where something in between cuts long connections.
    """

    def __init__(
        self,
        authorizer: Relata,
        signing_keys: SigningKeys,
        *,
        issuer_url: str,
        clients: Callable[[Request], EventFilter] | None = None,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
        max_seconds: int = MAX_SECONDS,
        poll_seconds: float = POLL_SECONDS,
        max_readers: int = MAX_READERS,
        backlog: int = BACKLOG,
    ) -> None:
        self.issuer_url = issuer_url
        self.heartbeat_seconds = heartbeat_seconds
        self.max_seconds = max_seconds
        self.feed = EventFeed(
            authorizer.store.issued,
            poll_seconds=poll_seconds,
            max_readers=max_readers,
            backlog=backlog,
        )
        self._keys: ApiKeys = authorizer.keys
        self._store = authorizer.store
        self._signing_keys = signing_keys
        self._clients = clients

    def admit(self, request: Request) -> Access:
        """Say what a request may follow.

        Raises Refusal, AuthenticationError and ScopeError, as the other routes do.
        """
        scheme, _, credential = request.headers.get("authorization", "").partition(" ")
        match scheme.lower():
            case "basic" if self._clients is not None:
                return self._admit_client(request, self._clients)
            case "bearer" if credential.strip().startswith(_KEY_PREFIX):
                return self._admit_key(request)
            case "bearer" | "dpop" as scheme if len(request.headers.getlist("authorization")) == 1:
                return self._admit_token(request, scheme, credential.strip())
        raise _missing()

    def _admit_client(self, request: Request, clients: Callable[[Request], EventFilter]) -> Access:
        try:
            sees = clients(request)
        except OAuthError as error:
            headers = {"WWW-Authenticate": 'Basic realm="relata"'}
            raise Refusal("unauthenticated", error.message, headers=headers) from error
        return Access(sees, lambda: _still(lambda: clients(request)))

    def _admit_key(self, request: Request) -> Access:
        presented = bearer(request.headers.raw)
        if presented is None:
            raise _missing()
        key = self._keys.authenticate(presented)
        if not permits(key, _WANTED_SCOPE):
            raise ScopeError("the key needs the scope `read`")
        return Access(
            _seen_by(key),
            lambda: _still(lambda: self._keys.authenticate(presented)),
            names_subjects=True,
        )

    def _admit_token(self, request: Request, scheme: str, token: str) -> Access:
        try:
            claims = self._signing_keys.verify(token, issuer=self.issuer_url)
            self._check_possession(request, scheme, token, bound_key(claims))
        except OAuthError as error:
            raise _refused(error, scheme) from error
        jti = str(claims.get("jti"))
        issued = self._store.issued.find(jti)
        if issued is None or issued.state is TokenState.REVOKED:
            raise AuthenticationError("the access token is not valid")
        return Access(_seen_with(issued), lambda: self._has_not_ended(jti), issued.expires_at)

    def _check_possession(
        self, request: Request, scheme: str, token: str, bound_to: str | None
    ) -> None:
        """Hold a bound token to its key, a bearer token to being one (RFC 9449, section 7)."""
        if (scheme == "dpop") != (bound_to is not None):
            raise OAuthError("invalid_token", "the access token is not valid")
        if bound_to is None:
            return
        proof = proof_in(request.headers.raw)
        if proof is None:
            raise OAuthError("invalid_dpop_proof", "there is no DPoP proof")
        jkt = verify_proof(
            proof,
            method=request.method,
            url=f"{self.issuer_url}{EVENTS_PATH}",
            access_token=token,
            replays=self._store.replays,
            now=int(time.time()),
        )
        if jkt != bound_to:
            raise OAuthError("invalid_dpop_proof", "the DPoP proof is by another key")

    def _has_not_ended(self, jti: str) -> bool:
        issued = self._store.issued.find(jti)
        return issued is not None and issued.state is not TokenState.REVOKED


async def events_of(request: Request) -> Events:
    """The events. Raises Refusal where the application issues no tokens."""
    events: Events | None = getattr(request.app.state, "events", None)
    if events is None:
        detail = "this server issues no tokens; name trusted issuers in its settings"
        raise Refusal("tokens_not_configured", detail)
    return events


def access_of(request: Request, events: Annotated[Events, Depends(events_of)]) -> Access:
    """What the request may follow."""
    return events.admit(request)


class _EventStream(StreamingResponse):
    """What a reader is sent. It gives up on one who does not receive, and lets it go at the end."""

    def __init__(self, content: AsyncIterator[str], reader: Reader) -> None:
        super().__init__(content, media_type=MEDIA_TYPE, headers={"X-Accel-Buffering": "no"})
        self._reader = reader

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._reader.leave()

    async def stream_response(self, send: Send) -> None:
        """Send it piece by piece."""

        async def send_in_time(message: Message) -> None:
            await asyncio.wait_for(send(message), SEND_SECONDS)

        with suppress(TimeoutError):  # the server closes a connection whose answer is cut off
            await super().stream_response(send_in_time)


@router.get(
    EVENTS_PATH,
    operation_id="token_events",
    response_class=Response,
    responses={
        200: {
            "description": "The events, as they happen.",
            "content": {
                MEDIA_TYPE: {
                    "schema": {"type": "string"},
                    "example": "id: 7\nevent: token-claims-change\ndata: {}\n\n",
                }
            },
        },
        **responses(400, 404, *KEY, 503),
    },
    dependencies=[Depends(_CREDENTIAL)],
)
async def follow(
    events: Annotated[Events, Depends(events_of)],
    access: Annotated[Access, Depends(access_of)],
    seconds: Annotated[
        int, Query(ge=0, le=MAX_SECONDS, description="How long the stream lasts at most.")
    ] = MAX_SECONDS,
    last: Annotated[
        int | None,
        Header(alias="Last-Event-ID", ge=0, description="The last event that is known already."),
    ] = None,
) -> Response:
    """Follow what happens to issued tokens."""
    reader = await events.feed.join()
    until = min(access.until, time.time() + min(seconds, events.max_seconds))
    # A number that this database has not reached is another's.
    after = reader.start if last is None else min(last, reader.start)
    return _EventStream(_written(events, access, reader, after, until), reader)


async def _written(
    events: Events, access: Access, reader: Reader, after: int, until: float
) -> AsyncIterator[str]:
    """Write what somebody may see of what a reader is given, in the format of the stream."""
    yield f"id: {after}\n\n"
    async for event in reader.missed(after):
        after = event.id
        if access.sees(event):
            yield _message(event, access, events.issuer_url)
    look_at = time.monotonic() + events.heartbeat_seconds
    while not reader.ended and (left := until - time.time()) > 0:
        found = await reader.next(min(left, max(0.0, look_at - time.monotonic())))
        if found is not None:
            after = found.id
            if access.sees(found):
                yield _message(found, access, events.issuer_url)
        if time.monotonic() >= look_at:
            if not await asyncio.to_thread(access.stands):
                return
            look_at = time.monotonic() + events.heartbeat_seconds
            yield f": nothing new\nid: {after}\n\n"


def _message(event: TokenEvent, access: Access, issuer_url: str) -> str:
    data = msgspec.json.encode(_security_event(event, access, issuer_url)).decode()
    return f"id: {event.id}\nevent: {event.kind}\ndata: {data}\n\n"


def _security_event(event: TokenEvent, access: Access, issuer_url: str) -> dict[str, object]:
    """The claims of a security event token (RFC 8417, section 2.2), with a CAEP event."""
    subject: dict[str, object] = {
        "format": "complex",
        "session": {"format": "jwt_id", "iss": issuer_url, "jti": event.jti},
        "application": _opaque(event.client),
        "tenant": _opaque(event.organization),
    }
    details: dict[str, object] = {"event_timestamp": event.at, "audience": event.audience}
    if access.names_subjects:
        subject["user"] = _opaque(event.subject)
        details["reason_admin"] = {"en": event.reason}
    return {
        "iss": issuer_url,
        "jti": str(event.id),
        "iat": event.at,
        "sub_id": subject,
        "events": {f"{EVENT_TYPES}{event.kind}": details},
    }


def _opaque(name: str) -> dict[str, str]:
    """A subject identifier without a further meaning (RFC 9493, section 3.2.4)."""
    return {"format": "opaque", "id": name}


def _seen_by(key: StoredKey) -> EventFilter:
    """What an API key sees: everything, or what is its organization's."""
    return lambda event: key.organization in ("", event.organization)


def _seen_with(token: IssuedToken) -> EventFilter:
    """What an app sees with a token: what is its own, of the token's user, organization and
    session. Where users are kept apart, nothing tells it who they are in another organization."""
    return lambda event: (
        event.subject == token.subject
        and event.organization == token.organization
        and event.client == token.client
        and token.session in ("", event.session)
    )


def _still(admit_again: Callable[[], object]) -> bool:
    """Whether somebody would be admitted again."""
    try:
        admit_again()
    except RelataError:
        return False
    return True


def _missing() -> Refusal:
    """Refuse a request without a credential that is understood; it has no error code."""
    return Refusal(
        "unauthenticated",
        "send an API key or an access token as `Authorization`",
        headers={"WWW-Authenticate": f'Bearer realm="relata", DPoP algs="{_ALGORITHMS}"'},
    )


def _refused(error: OAuthError, scheme: str) -> RelataError | Refusal:
    """Refuse a token: RFC 6750 section 3.1, RFC 9449 section 7.1."""
    if scheme == "bearer":
        return AuthenticationError(error.message)
    challenge = f'DPoP error="{error.error}", algs="{_ALGORITHMS}"'
    return Refusal("unauthenticated", error.message, headers={"WWW-Authenticate": challenge})
