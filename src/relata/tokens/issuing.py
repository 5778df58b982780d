"""Making a token: what the graph grants becomes claims, which are recorded and signed.

A token holds (what the subject is granted) and (what the client may have) and (what was asked for
with `scope`), and, where it was exchanged from one of the service's own, no more than that one
could have held. None of these is a permission rule: all are limits on what the schema grants.

The record is stored before the token is signed, so there is no token that cannot be found when it
must be marked or revoked.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping

import msgspec

from relata.consistency import decode_zed_token
from relata.errors import OAuthError
from relata.store import IssuedToken, Store
from relata.tokens.askers import Asker
from relata.tokens.audiences import Target
from relata.tokens.bitset import PermissionLists, compacted
from relata.tokens.claim_mappings import attributes_of, mapped_claims
from relata.tokens.clients import Client
from relata.tokens.enrichment import Enricher
from relata.tokens.exchange import is_scope_token, narrowest
from relata.tokens.holdings import Choice, Holdings, Questions
from relata.tokens.ledger import Ledger
from relata.tokens.signing import SigningKeys
from relata.tokens.size import SIGNATURE_BYTES, envelope_bytes, fitted
from relata.tokens.status_list import StatusLists

PERMISSIONS_PATH = "/token/permissions"
_KID_CHARACTERS = 43
_DEFAULT_ALGORITHM = "ES256"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A token that may be made: everything about it is decided but what it holds."""

    asker: Asker
    client: Client
    target: Target
    organization: str
    wished: frozenset[str] | None
    """The permissions asked for by name; None for all."""
    key: str | None
    """The thumbprint of the key that the token is bound to."""
    pairwise_sub: str | None
    """What the token calls a user who is kept apart from themselves in other organizations."""
    issued_at: int
    """In seconds since 1970, as `expires_at`."""
    expires_at: int
    since: int
    """The last event when the token was asked for."""

    @property
    def sub(self) -> str:
        """What the token calls the subject."""
        return self.pairwise_sub or self.asker.sub

    @property
    def session(self) -> str | None:
        """The issuer's session, which would tell who a user is that is kept apart."""
        return None if self.pairwise_sub else self.asker.session or None

    @property
    def choice(self) -> Choice:
        """What the graph is asked about."""
        return Choice(
            self.asker.subject, self.organization, self.target.audience, self.target.products
        )


class Made(msgspec.Struct, frozen=True):
    """A signed token, and what it holds, whole."""

    access_token: str
    holdings: Holdings
    scope: str
    """The permissions that can be written as scopes."""


class Issuing:
    """Makes tokens. Safe to share between threads."""

    def __init__(
        self,
        store: Store,
        *,
        issuer_url: str,
        questions: Questions,
        keys: SigningKeys,
        ledger: Ledger,
        statuses: StatusLists,
        enricher: Enricher,
    ) -> None:
        self._store = store
        self._issuer_url = issuer_url
        self._questions = questions
        self._keys = keys
        self._ledger = ledger
        self._statuses = statuses
        self._enricher = enricher
        self._lists = PermissionLists(store.records)

    def make(self, order: Order) -> Made:
        """Make a token.

        Raises OAuthError: `invalid_request` and `invalid_target` where the graph refuses the
        organization or the audience; `invalid_scope` where permissions were asked for by name and
        none of them is left; `temporarily_unavailable` where a service that must be asked does not
        answer.
        """
        whole = self._questions.holdings(order.choice)
        limit = _limit(order)
        held = whole.within(narrowest(limit, order.wished))
        if order.wished is not None and not held.permissions:
            raise OAuthError(
                "invalid_scope", "none of the permissions in `scope` is held", field="scope"
            )
        extra = self._extra_claims(order, whole)
        record = self._record(order, held, narrowest(limit, order.wished), extra)
        issued = self._ledger.add(record, since=order.since)
        claims = self._claims(order, issued, held)
        token = self._signed(order, {**extra, **claims})
        return Made(token, held, str(claims.get("scope", "")))

    def _record(
        self,
        order: Order,
        held: Holdings,
        scope: Collection[str] | None,
        extra: Mapping[str, object],
    ) -> IssuedToken:
        asker = order.asker
        return IssuedToken(
            jti=str(uuid.uuid4()),
            subject=str(asker.subject),
            client=order.client.id,
            organization=order.organization,
            audience=order.target.audience,
            products=order.target.products,
            issued_at=order.issued_at,
            expires_at=order.expires_at,
            revision=self._revision(held),
            parent=asker.parent,
            session=asker.session,
            sub=asker.sub,
            issuer=asker.issuer,
            scope=None if scope is None else tuple(sorted(scope)),
            permissions=held.permissions,
            roles=held.roles,
            by_product=held.products if len(order.target.products) > 1 else {},
            extra={
                name: extra[name]
                for name in order.target.settings.claims_that_may_leave
                if name in extra
            },
        )

    def _revision(self, held: Holdings) -> int:
        return decode_zed_token(held.revision.zed_token, self._store.datastore_id)

    def _claims(self, order: Order, issued: IssuedToken, held: Holdings) -> dict[str, object]:
        """What the token says: RFC 9068 section 2.2, and Relata's own."""
        asker = order.asker
        scope = " ".join(filter(is_scope_token, held.permissions))
        claims: dict[str, object | None] = {
            "iss": self._issuer_url,
            "sub": order.sub,
            "aud": order.target.audience,
            "iat": order.issued_at,
            "exp": order.expires_at,
            "jti": issued.jti,
            "client_id": order.client.id,
            "org_id": order.organization,
            "permissions": held.permissions,
            "products": issued.by_product or None,
            "roles": held.roles,
            "scope": scope or None,
            "revision": held.revision.zed_token,
            "status": self._statuses.status_claim(issued.id),
            "sid": order.session,
            "act": asker.act,
            "may_act": asker.may_act,
            "cnf": {"jkt": order.key} if order.key else None,
            **asker.authentication,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def _extra_claims(self, order: Order, held: Holdings) -> dict[str, object]:
        """The audience's own claims: none of them can be one of the token's."""
        settings = order.target.settings
        claims: dict[str, object] = {}
        if settings.claims:
            attributes = attributes_of(self._store.records.get("organization", order.organization))
            claims = mapped_claims(
                settings.claims,
                attributes,
                lambda type_, permission: self._questions.lookup(
                    order.choice, type_, permission, held.revision
                ),
            )
        if settings.enrichment is not None:
            enriched = self._enricher.claims(
                settings.enrichment,
                sub=order.sub,
                organization=order.organization,
                audience=order.target.audience,
            )
            claims = {**enriched, **claims}
        return claims

    def _signed(self, order: Order, claims: Mapping[str, object]) -> str:
        settings = order.target.settings
        if settings.encoding == "bitset":
            claims = compacted(claims, self._lists, settings.id)
        algorithm = settings.signing_algorithm or _DEFAULT_ALGORITHM
        header = {"alg": algorithm, "typ": "at+jwt", "kid": "k" * _KID_CHARACTERS}
        fit = fitted(
            claims,
            budget=settings.max_bytes,
            envelope=envelope_bytes(header, SIGNATURE_BYTES[algorithm]),
            endpoint=f"{self._issuer_url}{PERMISSIONS_PATH}",
            may_leave=settings.claims_that_may_leave,
        )
        return self._keys.sign(fit.claims, algorithm=algorithm)


def _limit(order: Order) -> frozenset[str] | None:
    """The permissions that the token may hold whatever is asked for; None for all."""
    inherited = (
        ceiling.limit(order.organization, order.target.audience) for ceiling in order.asker.ceilings
    )
    return narrowest(order.client.scopes, *inherited)
