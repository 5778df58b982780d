"""The token service: a trusted issuer's token in, Relata's token out.

It puts the parts together: the form's rules (`exchange`), who is asking (`subject_tokens`), what
the schema grants them (`holdings`), and the signature (`signing`). No permission rule is here.

A token is for one subject, one organization and one product. It lives for minutes, and never
longer than the token that it was exchanged for. Nothing is stored, so nothing can be revoked
before it ends.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

from relata.authorizer import Relata
from relata.errors import (
    InvalidArgumentError,
    NotFreshError,
    OAuthError,
    RelataError,
    SnapshotUnavailableError,
)
from relata.relationships import ObjectRef, SubjectRef, parse_object
from relata.tokens.exchange import (
    BEARER,
    TOKEN_EXCHANGE,
    TokenRequest,
    TokenResponse,
    check_form,
    grant_scope,
    is_scope_token,
    target_of,
)
from relata.tokens.holdings import (
    Choice,
    Holdings,
    OrganizationChoice,
    Questions,
    not_available,
    not_choosable,
)
from relata.tokens.issuers import TrustedIssuer, check_address
from relata.tokens.profile import TokenProfile, check_profile
from relata.tokens.signing import SigningKeys
from relata.tokens.subject_tokens import ACCESS_TOKEN, ID_TOKEN, JWT, SubjectTokens, VerifiedSubject

TOKEN_PATH = "/oauth/token"  # noqa: S105 - a path
JWKS_PATH = "/.well-known/jwks.json"
METADATA_PATH = "/.well-known/oauth-authorization-server"


class TokenService:
    """Exchanges tokens. Safe to share between threads.

    `issuer_url` is what the tokens' `iss` says and where the service is reached, without a slash
    at its end. Raises InvalidArgumentError where an issuer is missing or named twice, where the
    schema lacks a name of the profile, or where a relation that comes only with a question could
    be stored.
    """

    def __init__(
        self,
        authorizer: Relata,
        issuers: Iterable[TrustedIssuer],
        *,
        issuer_url: str,
        profile: TokenProfile | None = None,
        lifetime: timedelta = timedelta(minutes=5),
    ) -> None:
        profile = profile or TokenProfile()
        self._profile = profile
        self._issuer_url = _checked_issuer_url(issuer_url)
        self._lifetime = _checked_lifetime(lifetime)
        self._subject_tokens = SubjectTokens(issuers, profile)
        check_profile(
            profile,
            authorizer.schema,
            question_only=authorizer.question_only,
            subject_types=self._subject_tokens.subject_types(),
        )
        self._questions = Questions(authorizer, profile)
        self._signing_keys = SigningKeys(authorizer.store)

    def exchange(self, request: TokenRequest) -> TokenResponse:
        """Issue a token for what a request asks, or say why not.

        Raises OAuthError with the code that RFC 6749, 8693 or 8707 has for the refusal;
        `temporarily_unavailable` where asking again later may help; `server_error` where the
        question could not be answered.
        """
        now = int(time.time())
        with _as_oauth_errors():
            check_form(request)
            product = self._product_of(request)
            verified = self._subject_tokens.verify(
                request.subject_token, request.subject_token_type
            )
            client_id = _client_of(verified)
            _check_client(request, client_id)
            choice = Choice(
                verified.subject, self._organization_of(request, verified.subject), product
            )
            holdings = self._questions.holdings(choice)
            granted = Holdings(grant_scope(request.scope, holdings.permissions), holdings.roles)
            claims = self._claims(choice, granted, verified, client_id, now)
            return self._response(choice, granted, claims, request.requested_token_type)

    def organizations(self, user_token: str) -> tuple[OrganizationChoice, ...]:
        """Return the organizations that a token's subject may choose, sorted by id.

        `user_token` is any token that could be exchanged. Raises OAuthError as `exchange` does.
        """
        with _as_oauth_errors():
            return self._questions.choices(self._subject_of(user_token))

    def metadata(self) -> dict[str, object]:
        """Return the authorization server's metadata (RFC 8414, section 2)."""
        return {
            "issuer": self._issuer_url,
            "token_endpoint": f"{self._issuer_url}{TOKEN_PATH}",
            "jwks_uri": f"{self._issuer_url}{JWKS_PATH}",
            "response_types_supported": [],
            "grant_types_supported": [TOKEN_EXCHANGE],
            "token_endpoint_auth_methods_supported": ["none"],
        }

    def jwks(self) -> dict[str, object]:
        """Return the public keys that verify the issued tokens, as a JWK Set."""
        return self._signing_keys.jwks()

    def _subject_of(self, user_token: str) -> SubjectRef:
        """Say who a token is about that can be exchanged as one kind or another."""
        verified = self._subject_tokens.verify(user_token, JWT)
        if verified.client_id is None:
            with suppress(OAuthError):  # of an id token the audience is the client
                verified = self._subject_tokens.verify(user_token, ID_TOKEN)
        _client_of(verified)
        return verified.subject

    def _product_of(self, request: TokenRequest) -> str:
        target = target_of(request)
        if not _is_object(self._profile.product, target):
            raise not_available(target)
        return target

    def _organization_of(self, request: TokenRequest, subject: SubjectRef) -> str:
        """Return the organization that was wished for, or the only one there is."""
        wish = request.organization
        if wish and not _is_object(self._profile.organization, wish):
            raise not_choosable(wish)
        return wish or self._only_organization(subject)

    def _only_organization(self, subject: SubjectRef) -> str:
        names = self._questions.organizations(subject)
        if len(names) != 1:
            raise OAuthError(
                "invalid_request",
                "`organization` is missing; name one of `organizations`"
                if names
                else "the subject has no organization to choose",
                field="organization",
                extra={"organizations": list(names)},
            )
        return names[0]

    def _claims(
        self,
        choice: Choice,
        granted: Holdings,
        verified: VerifiedSubject,
        client_id: str,
        now: int,
    ) -> dict[str, Any]:
        """Return what the token says (RFC 9068, section 2.2)."""
        claims: dict[str, Any] = {
            "iss": self._issuer_url,
            "sub": verified.sub,
            "aud": choice.product,
            "iat": now,
            "exp": min(now + self._lifetime, verified.expires_at),
            "jti": str(uuid.uuid4()),
            "client_id": client_id,
            "org_id": choice.organization,
            "permissions": granted.permissions,
            "roles": granted.roles,
            **verified.authentication,
        }
        scope = " ".join(filter(is_scope_token, granted.permissions))
        return {**claims, "scope": scope} if scope else claims

    def _response(
        self, choice: Choice, granted: Holdings, claims: dict[str, Any], token_type: str
    ) -> TokenResponse:
        return TokenResponse(
            access_token=self._signing_keys.sign(claims),
            issued_token_type=token_type or ACCESS_TOKEN,
            token_type=BEARER,
            expires_in=claims["exp"] - claims["iat"],
            scope=claims.get("scope", ""),
            organization=choice.organization,
            permissions=granted.permissions,
            roles=granted.roles,
        )


@contextmanager
def _as_oauth_errors() -> Iterator[None]:
    """Answer every failure in the endpoint's own language, without its particulars."""
    try:
        yield
    except OAuthError:
        raise
    except (NotFreshError, SnapshotUnavailableError) as error:
        raise OAuthError(
            "temporarily_unavailable", "the permissions cannot be read now; try again later"
        ) from error
    except RelataError as error:
        raise OAuthError("server_error", "the permissions could not be determined") from error


def _client_of(verified: VerifiedSubject) -> str:
    if verified.client_id is None:
        raise OAuthError(
            "invalid_request",
            "the subject token is refused: it names no client in `client_id` or `azp`",
            field="subject_token",
        )
    return verified.client_id


def _check_client(request: TokenRequest, client_id: str) -> None:
    if request.client_id and request.client_id != client_id:
        raise OAuthError(
            "invalid_client",
            "`client_id` is not the client that the subject token was issued to",
            field="client_id",
        )


def _is_object(definition: str, object_id: str) -> bool:
    """Whether an id from outside can stand in a relationship, as an id and nothing else."""
    try:
        parse_object(ObjectRef(definition, object_id))
    except InvalidArgumentError:
        return False
    return True


def _checked_issuer_url(url: str) -> str:
    """Accept an issuer identifier as RFC 8414 section 2 has it."""
    check_address(url, field="issuer_url")
    if "?" in url or "#" in url or url.endswith("/"):
        raise InvalidArgumentError(
            f"`{url}` has a query, a fragment or a slash at its end; leave it out",
            field="issuer_url",
        )
    return url


def _checked_lifetime(lifetime: timedelta) -> int:
    seconds = int(lifetime.total_seconds())
    if seconds < 1:
        raise InvalidArgumentError("a token lives for at least one second", field="lifetime")
    return seconds
