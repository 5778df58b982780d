"""A FastAPI dependency that lets a request pass by the access token that it brings.

    app = FastAPI()
    protect(app, Verifier("https://relata.example", "reports"))
    Reader = Annotated[VerifiedToken, Depends(requires("read:reports"))]

    @app.get("/reports")
    def reports(token: Reader) -> ...: ...

A token comes as `Authorization: Bearer` (RFC 6750 section 2.1), or `Authorization: DPoP` with its
proof in `DPoP` (RFC 9449 section 7.1), and in no other way. Refusals are challenges as those RFCs
have them: 401 for a token that is missing or not believed, and for a login that is too old or too
weak (RFC 9470); 403 for permissions that are lacking; 503 where the token cannot be verified now.
Why a token is not believed is for the log, `relata.client`, and not for whoever sent it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from urllib.parse import quote

from fastapi import FastAPI, HTTPException, Request

from relata.client.verifier import Proof, VerifiedToken, Verifier
from relata.errors import OAuthError
from relata.tokens.dpop import PROOF_ALGORITHMS, proof_in

_STATE = "relata_protection"
_RETRY_SECONDS = "1"
_ALGORITHMS = " ".join(PROOF_ALGORITHMS)
_log = logging.getLogger("relata.client")


class _Protection:
    """How an application's requests are verified."""

    def __init__(self, verifier: Verifier, base_url: str | None) -> None:
        self.verifier = verifier
        self._base_url = None if base_url is None else base_url.rstrip("/")

    async def token(self, request: Request) -> VerifiedToken:
        scheme, credential = _credential(request)
        if credential is None:
            raise _refusal(401, "send an access token", self._challenges({}))
        try:
            return await self.verifier.verify_async(credential, self._proof(request, scheme))
        except OAuthError as error:
            raise self._refused(error, scheme) from error

    def insufficient(self, token: VerifiedToken, members: Mapping[str, str]) -> dict[str, str]:
        """The challenge for a good token that is not enough."""
        bound = "cnf" in token.claims
        return {"WWW-Authenticate": _dpop(members) if bound else _challenge("Bearer", members)}

    def _proof(self, request: Request, scheme: str) -> Proof | None:
        proof = proof_in(request.headers.raw)
        if scheme == "bearer":
            return None
        if proof is None:
            raise OAuthError("invalid_dpop_proof", "there is no DPoP proof")
        return Proof(proof, request.method, self._url(request))

    def _url(self, request: Request) -> str:
        """The address that the client asked for, as it wrote it."""
        base = self._base_url or f"{request.url.scheme}://{request.url.netloc}"
        path: bytes = request.scope.get("raw_path") or quote(request.scope["path"]).encode()
        return base + path.decode("ascii", errors="replace")

    def _refused(self, error: OAuthError, scheme: str) -> HTTPException:
        _log.info("%s: %s", error.error, error.message)
        if error.error == "temporarily_unavailable":
            detail = "the token cannot be verified now"
            return _refusal(503, detail, {"Retry-After": _RETRY_SECONDS})
        members = {"error": error.error}
        if scheme == "dpop":
            headers = {"WWW-Authenticate": _dpop(members)}
        else:
            headers = self._challenges(members)
        if error.error == "use_dpop_nonce" and self.verifier.nonces is not None:
            headers["DPoP-Nonce"] = self.verifier.nonces.issue(int(time.time()))
        return _refusal(401, "the token is refused", headers)

    def _challenges(self, members: Mapping[str, str]) -> dict[str, str]:
        dpop = _dpop(members if self.verifier.dpop_required else {})
        if self.verifier.dpop_required:
            return {"WWW-Authenticate": dpop}
        return {"WWW-Authenticate": f"{_challenge('Bearer', members)}, {dpop}"}


def protect(app: FastAPI, verifier: Verifier, *, base_url: str | None = None) -> None:
    """Say how an application's tokens are verified.

    `base_url` is the address under which clients know the application, such as
    `https://api.example`: a DPoP proof names it. Without it the request's own word for that is
    taken, its `Host`, which is wrong behind a proxy, and which the sender writes: give it wherever
    tokens are bound to keys.
    """
    setattr(app.state, _STATE, _Protection(verifier, base_url))


def requires(
    *permissions: str, max_age: int | None = None, acr_values: Sequence[str] = ()
) -> Callable[[Request], Awaitable[VerifiedToken]]:
    """Make a dependency that gives the request's token if it holds all of the permissions.

    With `max_age` its user must have logged in at most so many seconds ago, with `acr_values` in
    one of these ways: else the challenge says so, and the app has them log in again (RFC 9470,
    section 3). Raises HTTPException; and RuntimeError where the application is not under `protect`.
    """

    async def verified(request: Request) -> VerifiedToken:
        protection = getattr(request.app.state, _STATE, None)
        if not isinstance(protection, _Protection):
            raise RuntimeError("no verifier: call `protect(app, verifier)` first")
        token = await protection.token(request)
        if _is_too_weak(token, max_age, acr_values):
            members = _step_up(max_age, acr_values)
            headers = protection.insufficient(token, members)
            raise _refusal(401, "log in again, as the challenge says", headers)
        missing = [name for name in permissions if not token.allows(name)]
        if missing:
            members = {"error": "insufficient_scope", **_scope(permissions)}
            headers = protection.insufficient(token, members)
            raise _refusal(403, f"the token lacks {missing[0]}", headers)
        return token

    return verified


def _credential(request: Request) -> tuple[str, str | None]:
    """The scheme, in lower case, and the token; None without one of the two schemes."""
    values = request.headers.getlist("authorization")
    scheme, _, credential = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    scheme, credential = scheme.lower(), credential.strip(" ")
    if scheme not in ("bearer", "dpop") or not credential or not credential.isascii():
        return scheme, None
    return scheme, credential


def _is_too_weak(token: VerifiedToken, max_age: int | None, acr_values: Sequence[str]) -> bool:
    if acr_values and token.acr not in acr_values:
        return True
    if max_age is None:
        return False
    return token.auth_time is None or time.time() - token.auth_time > max_age


def _step_up(max_age: int | None, acr_values: Sequence[str]) -> dict[str, str]:
    members = {
        "error": "insufficient_user_authentication",
        "error_description": "a different authentication level is required",
    }
    if acr_values:
        members["acr_values"] = " ".join(acr_values)
    if max_age is not None:
        members["max_age"] = str(max_age)
    return members


def _scope(permissions: Sequence[str]) -> dict[str, str]:
    """The permissions that are needed, if they can be written as scopes (RFC 6750, section 3)."""
    if all(_is_scope_token(name) for name in permissions):
        return {"scope": " ".join(permissions)}
    return {}


def _is_scope_token(text: str) -> bool:
    return bool(text) and all("!" <= letter <= "~" and letter not in '"\\' for letter in text)


def _dpop(members: Mapping[str, str]) -> str:
    return _challenge("DPoP", {**members, "algs": _ALGORITHMS})


def _challenge(scheme: str, members: Mapping[str, str]) -> str:
    written = ", ".join(f'{name}="{value}"' for name, value in members.items())
    return f"{scheme} {written}".rstrip()


def _refusal(status: int, detail: str, headers: dict[str, str]) -> HTTPException:
    return HTTPException(status, detail, headers)
