"""The short way for `POST /check` and `POST /check/batch`: an ASGI application before the others.

It answers when everything about a request is good and nothing has to be waited for: a good key,
which is not bound to an organization, the exact shape, `minimize_latency` or a revision that the
graph has reached. Every other request it hands on, with what it has read of the body, to the
declared routes (`routes/checks.py`), which give the same answers and all the refusals. So the
rules stand in one place, and this module cannot refuse anything.

The evaluation runs in the event loop: it reads memory only, and a thread would cost more than it.
What would keep the loop for longer is handed on, to be done in a thread: a check that follows more
than `_STEPS` relationships, a batch of more than `_CHECKS` checks or more than `_SECONDS`.
A check also takes the long way where it would have to wait, such as while a change is taken in: the
loop must not stand still behind a large import.

This is what stands in front of every request of every API, and each line here is passed by each of
them: where a line looks odd, it is for its speed, and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from time import thread_time
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from relata.api_keys import ApiKeys
from relata.authorizer import Relata
from relata.consistency import decode_zed_token
from relata.errors import AuthenticationError
from relata.server.auth import credential_of
from relata.server.limits import too_deep

_SCOPE = "check"
_STEPS = 2_000
_CHECKS = 200
_SECONDS = 0.002
"""What a batch may have, and how long it may keep the event loop."""
_AT_A_TIME = 5
"""After so many checks of a batch the time is looked at."""
_HEADERS = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)

_Header = tuple[bytes, bytes]


class _AtLeast(msgspec.Struct, forbid_unknown_fields=True):
    at_least_as_fresh: str


_Wanted = Literal["minimize_latency"] | _AtLeast | UnsetType


class _Question(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    context: dict[str, Any] | UnsetType = UNSET
    contextual_relationships: list[str] | UnsetType = UNSET
    consistency: _Wanted = UNSET


class _Check(_Question, kw_only=True, gc=False):
    resource: str
    permission: str
    subject: str


class _Item(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    resource: str
    permission: str
    subject: str


class _Batch(_Question, kw_only=True, gc=False):
    checks: list[_Item]


class _Answer(msgspec.Struct):
    allowed: bool
    permissionship: str
    missing_context: tuple[str, ...]
    checked_at: str


class Response(NamedTuple):
    """An answer of status 200; several requests may get the same one."""

    headers: tuple[_Header, ...]
    head: bytes
    """The headers as they are sent."""
    body: bytes


_decode_check = msgspec.json.Decoder(_Check).decode
_decode_batch = msgspec.json.Decoder(_Batch).decode
_encode = msgspec.json.Encoder().encode
_ALLOWED = b'{"allowed":true,"permissionship":"allowed","missing_context":[]}'
_DENIED = b'{"allowed":false,"permissionship":"denied","missing_context":[]}'


class FastCheck:
    """Answers good checks itself and hands everything else on to `app`.

    `headers` are those that its answers have besides the usual ones.
    """

    PATHS = frozenset({"/check", "/check/batch"})
    """What it may answer."""

    def __init__(
        self,
        app: ASGIApp,
        authorizer: Relata,
        max_bytes: int,
        headers: Sequence[_Header] = (),
    ) -> None:
        self._app = app
        self._authorizer = authorizer
        self._keys = authorizer.keys
        # Credentials that open checks, as a hash of the header's value, and the keys as they were
        # held when these were let in. A request with one of them costs a hash and a look-up.
        # It goes with those keys: none that is revoked is let in once `ApiKeys` has seen to it.
        # No secret is in it, and at most one entry for each active key, since a key has one text
        # and one spelling of the header is remembered. A set does not compare in constant time:
        # who measures that learns of digests at most, and can no more find a text to a digest
        # than guess 256 bits. BLAKE2b, since its code is a part of Python: OpenSSL's SHA-256 takes
        # no longer in a loop, and several times as long where other code comes in between.
        self._held = authorizer.keys.held
        self._openers: set[bytes] = set()
        self._max_bytes = max_bytes
        self._headers = (*_HEADERS, *headers)
        self._prepared = self._prepare("")
        self._answers: dict[str, Callable[[bytes], Response | None]] = {
            "/check": self._check,
            "/check/batch": self._batch,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection."""
        if scope.get("path") not in self.PATHS or not self._admits(scope):
            await self._app(scope, receive, send)
            return
        messages = [await receive()]
        body = messages[0].get("body", b"")
        if messages[0].get("more_body", False):
            body += await self._read(messages, receive)
        response = self._answers[scope["path"]](body)
        if response is None:
            await self._app(scope, _replay(messages, receive), send)
            return
        headers = response.headers
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})

    def respond(self, scope: Scope, body: bytes) -> Response | None:
        """Answer a request to one of `PATHS` at once; None where `__call__` is to serve it."""
        return self._answers[scope["path"]](body) if self._admits(scope) else None

    def _admits(self, scope: Scope) -> bool:
        """Whether it is a JSON request with a good key, and nothing that others look after."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope["query_string"]:
            return False
        media_type = authorization = None
        for name, value in scope["headers"]:
            if name == b"content-type":
                if media_type is not None:
                    return False
                media_type = value
            elif name == b"authorization":
                if authorization is not None:
                    return False
                authorization = value
            elif name == b"origin":
                return False
        if media_type != b"application/json" or authorization is None:
            return False
        held = self._keys.held
        if held is not self._held:
            self._held, self._openers = held, set()
        return blake2b(authorization).digest() in self._openers or self._opens(authorization)

    def _opens(self, authorization: bytes) -> bool:
        """Whether a credential opens checks; remember it if so."""
        presented = credential_of(authorization)
        if presented is None:
            return False
        try:
            key = self._keys.authenticate(presented.decode())
        except AuthenticationError:  # the declared route says so
            return False
        if key.organization or not ApiKeys.allows(key, _SCOPE):
            return False
        if authorization == b"Bearer " + presented:
            self._openers.add(blake2b(authorization).digest())
        return True

    async def _read(self, messages: list[Message], receive: Receive) -> bytes:
        """Read what follows a body's first message, up to what makes it too large."""
        size = len(messages[0].get("body", b""))
        while messages[-1].get("more_body", False) and size <= self._max_bytes:
            messages.append(await receive())
            size += len(messages[-1].get("body", b""))
        return b"".join(message.get("body", b"") for message in messages[1:])

    def _check(self, body: bytes) -> Response | None:
        if len(body) > self._max_bytes:
            return None
        try:
            question = _decode_check(body)
            if question.consistency is not UNSET and self._must_wait(question.consistency):
                return None
            if question.context is UNSET and not question.contextual_relationships:
                answered = self._authorizer.answer_at_once(
                    question.resource, question.permission, question.subject
                )
                if answered is not None:
                    return self._plain(*answered)
            return self._any_other(body, question)
        except Exception:  # noqa: BLE001 - the declared route meets it again, and answers it
            return None

    def _plain(self, allowed: bool, token: str) -> Response:
        prepared_for, yes, no = self._prepared
        if token != prepared_for:
            _, yes, no = self._prepare(token)
        return yes if allowed else no

    def _any_other(self, body: bytes, question: _Check) -> Response | None:
        """Answer a check that brings something of its own, or is not as plain as it looks."""
        if question.context is not UNSET and too_deep(body):
            return None
        result = self._authorizer.check_at_once(
            question.resource,
            question.permission,
            question.subject,
            context={} if question.context is UNSET else question.context,
            contextual=(
                ()
                if question.contextual_relationships is UNSET
                else question.contextual_relationships
            ),
            steps=_STEPS,
        )
        if result is None:
            return None
        answer = _Answer(
            result.allowed, result.permissionship, result.missing_context, result.checked_at
        )
        return self._response(_encode(answer))

    def _batch(self, body: bytes) -> Response | None:
        if len(body) > self._max_bytes:
            return None
        try:
            batch = _decode_batch(body)
            if (
                batch.context is not UNSET
                or batch.contextual_relationships
                or len(batch.checks) > min(_CHECKS, self._authorizer.limits.checks)
                or (batch.consistency is not UNSET and self._must_wait(batch.consistency))
            ):
                return None
            answered = self._answered_in_time(batch.checks)
        except Exception:  # noqa: BLE001 - the declared route meets it again, and answers it
            return None
        if answered is None:
            return None
        answers, token = answered
        written = b",".join([_ALLOWED if allowed else _DENIED for allowed in answers])
        return self._response(b'{"answers":[%b],"checked_at":%b}' % (written, _encode(token)))

    def _answered_in_time(self, checks: Sequence[_Item]) -> tuple[list[bool], str] | None:
        """Answer checks at one revision, unless that takes long."""
        questions = [(item.resource, item.permission, item.subject) for item in checks]
        answers: list[bool] = []
        tokens: set[str] = set()
        end = thread_time() + _SECONDS
        for start in range(0, len(questions), _AT_A_TIME):
            if start and thread_time() > end:
                return None
            answered = self._authorizer.answers_at_once(questions[start : start + _AT_A_TIME])
            if answered is None:
                return None
            answers += answered[0]
            tokens.add(answered[1])
        return (answers, tokens.pop()) if len(tokens) == 1 else None

    def _must_wait(self, wanted: str | _AtLeast | UnsetType) -> bool:
        if not isinstance(wanted, _AtLeast):
            return False
        authorizer = self._authorizer
        token = wanted.at_least_as_fresh
        return decode_zed_token(token, authorizer.store.datastore_id) > authorizer.revision

    def _prepare(self, token: str) -> tuple[str, Response, Response]:
        """Write the two answers that there are at a revision."""
        end = b',"checked_at":%b}' % _encode(token)
        self._prepared = (
            token,
            self._response(_ALLOWED[:-1] + end),
            self._response(_DENIED[:-1] + end),
        )
        return self._prepared

    def _response(self, body: bytes) -> Response:
        headers = (*self._headers, (b"content-length", b"%d" % len(body)))
        head = b"".join([b"%b: %b\r\n" % header for header in headers]) + b"\r\n"
        return Response(headers, head, body)


def _replay(messages: list[Message], receive: Receive) -> Receive:
    waiting = iter(messages)

    async def replayed() -> Message:
        for message in waiting:
            return message
        return await receive()

    return replayed
