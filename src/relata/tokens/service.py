"""The token service: who asks comes in, and a token that says what they may do goes out.

It puts the parts together: the form's rules (`exchange`), the client (`client_authentication`),
who asks (`askers`), what for (`audiences`), the organization's own rules (`policy`), what the
schema grants (`holdings`), and the making of the token (`issuing`). No permission rule is here.

A token is for one subject, one organization and one audience. It lives for minutes, and never
longer than the token that it was exchanged for.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta

from relata.authorizer import Relata
from relata.errors import (
    InvalidArgumentError,
    NotFreshError,
    OAuthError,
    RelataError,
    SnapshotUnavailableError,
    WriteConflictError,
)
from relata.tokens.askers import Asker, Askers, is_object_id
from relata.tokens.audiences import Audiences, Target
from relata.tokens.client_authentication import ClientAuthentication
from relata.tokens.clients import ASSERTION_ALGORITHMS, Client, Clients
from relata.tokens.dpop import PROOF_ALGORITHMS, verify_proof
from relata.tokens.enrichment import Enricher
from relata.tokens.exchange import (
    BEARER,
    CLIENT_CREDENTIALS,
    DPOP,
    GRANTS,
    TokenRequest,
    TokenResponse,
    check_form,
    target_of,
    wished_scope,
)
from relata.tokens.holdings import (
    OrganizationChoice,
    Questions,
    not_available,
    not_choosable,
)
from relata.tokens.introspection import Introspection
from relata.tokens.issuers import TrustedIssuer, check_address
from relata.tokens.issuing import Issuing, Made, Order
from relata.tokens.ledger import Ledger
from relata.tokens.marking import Marking
from relata.tokens.own_tokens import OwnTokens
from relata.tokens.pairwise import PairwiseSubjects, Sectors
from relata.tokens.policy import Policies
from relata.tokens.profile import TokenProfile, check_profile
from relata.tokens.signing import ALGORITHMS, SigningKeys
from relata.tokens.status_list import StatusLists
from relata.tokens.stored_secrets import stored_secret
from relata.tokens.subject_tokens import ACCESS_TOKEN, ID_TOKEN, JWT, SubjectTokens

TOKEN_PATH = "/oauth/token"  # noqa: S105 - a path
INTROSPECTION_PATH = "/oauth/introspect"
REVOCATION_PATH = "/oauth/revoke"
JWKS_PATH = "/.well-known/jwks.json"
METADATA_PATH = "/.well-known/oauth-authorization-server"

_PAIRWISE = "pairwise_subjects"
_EVENTS_SECONDS = 24 * 3600
"""How long events can be followed after they happened, and ended tokens be asked about."""


class TokenService:
    """Issues tokens, and says what has become of them. Safe to share between threads.

    `issuer_url` is what the tokens' `iss` says and where the service is reached, without a slash
    at its end. `secret` encrypts the keys that sign; `former_secrets` open those that were stored
    under them. Raises InvalidArgumentError where an issuer is named twice, where
    the schema lacks a name of the profile, where a relation that comes only with a question could
    be stored, or where stored keys do not open with the secret.
    """

    def __init__(
        self,
        authorizer: Relata,
        issuers: Iterable[TrustedIssuer],
        *,
        issuer_url: str,
        profile: TokenProfile | None = None,
        lifetime: timedelta = timedelta(minutes=5),
        secret: str | None = None,
        former_secrets: Sequence[str] = (),
    ) -> None:
        self._profile = profile = profile or TokenProfile()
        self.issuer_url = _checked_issuer_url(issuer_url)
        self._lifetime = _checked_lifetime(lifetime)
        trusted = tuple(issuers)
        if any(issuer.issuer == issuer_url for issuer in trusted):
            raise InvalidArgumentError(
                "the service's own `issuer_url` is registered as an issuer; its tokens are "
                "exchanged without that",
                field="issuers",
            )
        subject_tokens = SubjectTokens(trusted, profile)
        check_profile(
            profile,
            authorizer.schema,
            question_only=authorizer.question_only,
            subject_types=subject_tokens.subject_types(),
        )
        store = authorizer.store
        self._store = store
        self._questions = Questions(authorizer, profile)
        self.signing_keys = SigningKeys(store, secret=secret, former_secrets=former_secrets)
        self.statuses = StatusLists(store, self.signing_keys, issuer_url=self.issuer_url)
        self.clients = Clients(store)
        self.audiences = Audiences(store)
        self.introspection = Introspection(
            store.issued, self.signing_keys, issuer_url=self.issuer_url
        )
        self._authentication = ClientAuthentication(
            self.clients,
            store.replays,
            audiences=(self.issuer_url, f"{self.issuer_url}{TOKEN_PATH}"),
        )
        own_tokens = OwnTokens(self.signing_keys.jwks, self.issuer_url)
        self._askers = Askers(subject_tokens, own_tokens, store.issued, profile)
        self._enricher = Enricher(
            self.issuer_url, lambda claims, typ: self.signing_keys.sign(claims, typ=typ)
        )
        ledger = Ledger(store.issued)
        self.policies = Policies(store)
        self._sectors = Sectors(store)
        self._pairwise = PairwiseSubjects(stored_secret(store, _PAIRWISE))
        self._marking = Marking(authorizer, ledger, profile, tidy=self._forget)
        self._issuing = Issuing(
            store,
            issuer_url=self.issuer_url,
            questions=self._questions,
            keys=self.signing_keys,
            ledger=ledger,
            statuses=self.statuses,
            enricher=self._enricher,
        )
        self._marking.start()

    def close(self) -> None:
        """Stop marking tokens, and let go of connections."""
        self._marking.close()
        self._enricher.close()

    def _forget(self) -> None:
        """Let go of keys that sign no longer, of tokens that ended, and of old events."""
        self.signing_keys.collect()
        self._store.issued.collect(int(time.time()) - _EVENTS_SECONDS)

    # Who asks

    def authenticate(
        self, form: Sequence[tuple[str, str]], authorization: str | None = None
    ) -> Client:
        """Say which client sends a form, by its credentials there or in `Authorization`.

        Raises OAuthError `invalid_client`, or `invalid_request` where credentials come twice.
        """
        return self._authentication.authenticate(form, authorization, now=int(time.time()))

    def prove(self, proof: str, *, method: str, url: str, access_token: str | None = None) -> str:
        """Return the thumbprint of the key that a DPoP proof is by (RFC 9449).

        Raises OAuthError `invalid_dpop_proof`.
        """
        return verify_proof(
            proof,
            method=method,
            url=url,
            replays=self._store.replays,
            now=int(time.time()),
            access_token=access_token,
        )

    # Issuing

    def issue(
        self, request: TokenRequest, client: Client, *, key: str | None = None
    ) -> TokenResponse:
        """Issue a token for what a client asks, or say why not.

        `key` is the thumbprint of the key that the client has proved to hold, to which the token
        is bound. Raises OAuthError with the code that RFC 6749, 8693, 8707, 9449 or 9470 has for
        the refusal; `temporarily_unavailable` where asking again later may help; `server_error`
        where the question could not be answered.
        """
        with _as_oauth_errors():
            check_form(request)
            since = self._store.issued.last_event()
            if request.grant_type not in client.grants:
                raise OAuthError(
                    "unauthorized_client",
                    "the client may not use this `grant_type`",
                    field="grant_type",
                )
            _require_key(client, key)
            wished = wished_scope(request.scope)
            target = self._target_of(request, client)
            asker = self._asker_of(request, client)
            if asker.key is not None and asker.key != key:
                raise OAuthError(
                    "invalid_dpop_proof", "the subject token is bound to another key", field="DPoP"
                )
            organization = self._organization_of(request, client, target, asker)
            order = self._order(client, target, asker, organization, wished, key, since)
            return _response(order, self._issuing.make(order), request)

    def _asker_of(self, request: TokenRequest, client: Client) -> Asker:
        if request.grant_type == CLIENT_CREDENTIALS:
            return self._askers.machine(client)
        return self._askers.user(request, client)

    def _target_of(self, request: TokenRequest, client: Client) -> Target:
        name = target_of(request)
        target = self.audiences.resolve(name)
        allowed = client.audiences
        if allowed is not None and not {target.audience, target.settings.id} & set(allowed):
            raise not_available(name)
        if not all(is_object_id(self._profile.product, product) for product in target.products):
            raise not_available(name)
        return target

    def _organization_of(
        self, request: TokenRequest, client: Client, target: Target, asker: Asker
    ) -> str:
        """The organization that was asked for, by whatever says it, or the only one there is."""
        given = (request.organization, target.organization, asker.organization)
        wishes = {wish for wish in given if wish}
        if len(wishes) > 1:
            raise OAuthError(
                "invalid_request",
                "`organization` is not the one whose audience is asked for, or that the caller's "
                "token is for",
                field="organization",
            )
        allowed = client.organizations
        if not wishes and allowed is not None and len(allowed) == 1:
            wishes = set(allowed)
        if not wishes:
            return self._only_organization(asker, client)
        (organization,) = wishes
        if (allowed is not None and organization not in allowed) or not self._may_choose(
            asker, organization
        ):
            raise not_choosable(organization)
        return organization

    def _may_choose(self, asker: Asker, organization: str) -> bool:
        return is_object_id(self._profile.organization, organization) and (
            self._questions.may_choose(asker.subject, organization)
        )

    def _only_organization(self, asker: Asker, client: Client) -> str:
        names = [
            name
            for name in self._questions.organizations(asker.subject)
            if client.organizations is None or name in client.organizations
        ]
        if len(names) != 1:
            raise OAuthError(
                "invalid_request",
                "`organization` is missing; name one of `organizations`"
                if names
                else "the subject has no organization to choose",
                field="organization",
                extra={"organizations": names},
            )
        return names[0]

    def _order(
        self,
        client: Client,
        target: Target,
        asker: Asker,
        organization: str,
        wished: frozenset[str] | None,
        key: str | None,
        since: int,
    ) -> Order:
        """Decide all of a token but what it holds, by the organization's own rules."""
        now = int(time.time())
        policy = self.policies.of(organization)
        if not asker.is_machine:
            policy.require(asker.authentication, asker.issuer, now)
        wanted = min(self._lifetime, target.settings.lifetime or self._lifetime)
        expires_at = now + policy.lifetime(wanted)
        if asker.expires_at is not None:
            expires_at = min(expires_at, asker.expires_at)
        return Order(
            asker=asker,
            client=client,
            target=target,
            organization=organization,
            wished=wished,
            key=key,
            pairwise_sub=self._pairwise_sub(asker, organization),
            issued_at=now,
            expires_at=expires_at,
            since=since,
        )

    def _pairwise_sub(self, asker: Asker, organization: str) -> str | None:
        """What a token calls a user where users are kept apart; None where they are shared."""
        sector = "" if asker.is_machine else self._sectors.of(organization)
        return self._pairwise.of(asker.subject, sector) if sector else None

    # What there is to choose from

    def organizations(
        self, user_token: str, *, key: str | None = None
    ) -> tuple[OrganizationChoice, ...]:
        """Return the organizations that a token's subject may choose, sorted by id.

        `user_token` is any token that could be exchanged; one that is bound to a key needs the
        proof of it. Raises OAuthError as `issue` does.
        """
        with _as_oauth_errors():
            asker = self._user(user_token)
            if asker.key is not None and asker.key != key:
                raise OAuthError("invalid_dpop_proof", "the token is bound to another key")
            choices = self._questions.choices(asker.subject)
            return tuple(it for it in choices if asker.organization in ("", it.organization))

    def _user(self, user_token: str) -> Asker:
        """Say who a token is about that can be exchanged as one kind or another."""
        try:
            return self._askers.read(user_token, JWT)[0]
        except OAuthError:
            with suppress(OAuthError):  # of an id token the audience is the client
                return self._askers.read(user_token, ID_TOKEN)[0]
            raise

    # What has become of tokens

    def revoke(
        self,
        *,
        jti: str | None = None,
        subject: str | None = None,
        client: str | None = None,
        organization: str | None = None,
        session: str | None = None,
        reason: str = "revoked by an admin",
    ) -> int:
        """Revoke the live tokens that match all that is given, and those exchanged from them.

        Return how many. Raises InvalidArgumentError where nothing is given.
        """
        return self._store.issued.revoke(
            jti=jti,
            subject=subject,
            client=client,
            organization=organization,
            session=session,
            reason=reason,
            now=int(time.time()),
        )

    # What the service says of itself

    def metadata(self) -> dict[str, object]:
        """Return the authorization server's metadata (RFC 8414, section 2)."""
        at = self.issuer_url
        methods = ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"]
        return {
            "issuer": at,
            "token_endpoint": f"{at}{TOKEN_PATH}",
            "jwks_uri": f"{at}{JWKS_PATH}",
            "introspection_endpoint": f"{at}{INTROSPECTION_PATH}",
            "revocation_endpoint": f"{at}{REVOCATION_PATH}",
            "response_types_supported": [],
            "grant_types_supported": list(GRANTS),
            "token_endpoint_auth_methods_supported": methods,
            "token_endpoint_auth_signing_alg_values_supported": list(ASSERTION_ALGORITHMS),
            "introspection_endpoint_auth_methods_supported": [*methods[1:], "Bearer"],
            "revocation_endpoint_auth_methods_supported": methods,
            "dpop_signing_alg_values_supported": list(PROOF_ALGORITHMS),
            "introspection_signing_alg_values_supported": [ALGORITHMS[0]],
        }

    def jwks(self) -> dict[str, object]:
        """Return the public keys that verify the issued tokens, as a JWK Set."""
        return self.signing_keys.jwks()


def _response(order: Order, made: Made, request: TokenRequest) -> TokenResponse:
    exchanged = request.grant_type != CLIENT_CREDENTIALS
    return TokenResponse(
        access_token=made.access_token,
        issued_token_type=(request.requested_token_type or ACCESS_TOKEN) if exchanged else "",
        token_type=DPOP if order.key else BEARER,
        expires_in=order.expires_at - order.issued_at,
        scope=made.scope,
        organization=order.organization,
        permissions=made.holdings.permissions,
        roles=made.holdings.roles,
        products=made.holdings.products if len(order.target.products) > 1 else None,
        revision=made.holdings.revision.zed_token,
    )


def _require_key(client: Client, key: str | None) -> None:
    if client.require_dpop and key is None:
        raise OAuthError(
            "invalid_dpop_proof",
            "the client's tokens are bound to a key; send `DPoP`",
            field="DPoP",
        )


@contextmanager
def _as_oauth_errors() -> Iterator[None]:
    """Answer every failure in the endpoint's own language, without its particulars."""
    try:
        yield
    except OAuthError:
        raise
    except (NotFreshError, SnapshotUnavailableError, WriteConflictError) as error:
        raise OAuthError(
            "temporarily_unavailable", "the permissions cannot be read now; try again later"
        ) from error
    except RelataError as error:
        raise OAuthError("server_error", "the permissions could not be determined") from error


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
