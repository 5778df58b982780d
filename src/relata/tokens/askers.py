"""Who asks for a token, by whose word, and how far a token for them may go.

A user asks with a subject token: a trusted issuer's, or one of the service's own, with which an
app changes the organization or the audience without going back to the issuer. A machine asks with
its client's credentials. Whoever asks with an own token gets no more than that token could have
had: it ends no later, its limits on permissions stay, and for the same organization and audience
it holds nothing that the first did not.

A client may exchange the tokens that were issued to it. One that may act for users may exchange
those of other clients too; the new token then says who acts (`act`, RFC 8693, section 4.1). An API
that was called with a token for one organization stays in that organization: its caller opened no
other to it.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from relata.errors import InvalidArgumentError, OAuthError
from relata.relationships import SubjectRef, parse_object
from relata.store import IssuedToken, IssuedTokens, TokenState
from relata.tokens.clients import Client
from relata.tokens.dpop import bound_key
from relata.tokens.exchange import TokenRequest
from relata.tokens.own_tokens import OwnToken, OwnTokens
from relata.tokens.profile import TokenProfile
from relata.tokens.signed_tokens import Members, refused
from relata.tokens.subject_tokens import SubjectTokens, VerifiedSubject

_MOST_EXCHANGES = 20
"""How often what was exchanged may be exchanged again."""


class Ceiling(msgspec.Struct, frozen=True):
    """What a token that was exchanged from one of the service's own may not go beyond."""

    organization: str
    audience: str
    scope: tuple[str, ...] | None
    """The permissions that the first one was limited to, whatever it held; None for all."""
    permissions: tuple[str, ...]
    """What the first one held, in its organization and for its audience."""

    def limit(self, organization: str, audience: str) -> tuple[str, ...] | None:
        """The permissions that a token may hold there at most; None for all."""
        if (organization, audience) == (self.organization, self.audience):
            return self.permissions
        return self.scope


class Asker(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks for a token."""

    subject: SubjectRef
    """Whom the graph is asked about."""
    sub: str
    """What the issuer calls them."""
    issuer: str = ""
    """Whose word it is, by `iss`; empty for a machine with its client's credentials."""
    expires_at: int | None = None
    """When a token ends at the latest, in seconds since 1970."""
    authentication: Mapping[str, object] = {}
    """`auth_time`, `acr` and `amr`, those that are there."""
    session: str = ""
    act: Members | None = None
    """Who acts for the subject."""
    may_act: Members | None = None
    """Who may act for the subject, where the subject token says."""
    key: str | None = None
    """The thumbprint of the key that whoever asks must hold (RFC 9449)."""
    called: str = ""
    """What the own token that is exchanged calls the subject, where that is not `sub`."""
    parent: str = ""
    """The `jti` of the own token that is exchanged."""
    organization: str = ""
    """The organization that a token must be for; empty where there is a choice."""
    ceilings: tuple[Ceiling, ...] = ()
    """What the own tokens were limited to that a token would come from, the latest first."""

    @property
    def is_machine(self) -> bool:
        """Whether a client asks for itself, with its own credentials."""
        return not self.issuer


class Askers:
    """Finds out who asks. Safe to share between threads."""

    def __init__(
        self,
        subject_tokens: SubjectTokens,
        own_tokens: OwnTokens,
        issued: IssuedTokens,
        profile: TokenProfile,
    ) -> None:
        self._subject_tokens = subject_tokens
        self._own_tokens = own_tokens
        self._issued = issued
        self._profile = profile

    def machine(self, client: Client) -> Asker:
        """A client that asks for itself."""
        subject = parse_object(client.subject or f"{self._profile.client}:{client.id}")
        return Asker(subject=SubjectRef(subject.type, subject.id), sub=client.id)

    def user(self, request: TokenRequest, client: Client) -> Asker:
        """Who a subject token is about, asked for by a client.

        Raises OAuthError `invalid_request` where a token is refused, or may not be exchanged by
        the client; `temporarily_unavailable` where its issuer's keys cannot be fetched.
        """
        asker, issued_to, may_act = self.read(request.subject_token, request.subject_token_type)
        named = self._actor(request, client)
        if named is None and issued_to == client.id:
            return asker
        actor = {"sub": client.id} if named is None else _named(named)
        if not client.delegation:
            raise refused("it was issued to another client")
        if may_act is not None and any(actor.get(name) != may_act[name] for name in may_act):
            raise refused("its `may_act` names another actor")
        act = actor if asker.act is None else {**actor, "act": asker.act}
        # Whoever acts for a user proves who they are by their own credentials, and does not have
        # the key that the user's app holds.
        within = asker.ceilings[0].organization if asker.ceilings else ""
        ends = [
            it.expires_at for it in (asker, named) if it is not None and it.expires_at is not None
        ]
        return msgspec.structs.replace(
            asker, act=act, key=None, organization=within, expires_at=min(ends, default=None)
        )

    def read(self, token: str, token_type: str) -> tuple[Asker, str, Members | None]:
        """Who a subject token is about, the client that it was issued to, and who may act.

        Raises OAuthError as `user` does.
        """
        if self._own_tokens.recognizes(token):
            own = self._own_tokens.verify(token, token_type)
            return self._asker_of_own(own), own.client_id, own.may_act
        verified = self._subject_tokens.verify(token, token_type)
        if verified.client_id is None:
            raise refused("it names no client in `client_id` or `azp`")
        return _asker_of(verified, self._profile), verified.client_id, verified.may_act

    def _asker_of_own(self, own: OwnToken) -> Asker:
        issued = self._issued.find(own.jti)
        if issued is None or issued.state is TokenState.REVOKED:
            raise refused("it no longer stands")
        subject = parse_object(issued.subject)
        return Asker(
            subject=SubjectRef(subject.type, subject.id),
            sub=issued.sub,
            issuer=issued.issuer,
            expires_at=own.expires_at,
            authentication=own.authentication,
            session=issued.session,
            act=own.act,
            may_act=own.may_act,
            key=bound_key({"cnf": own.cnf}),
            called="" if own.sub == issued.sub else own.sub,
            parent=own.jti,
            organization=issued.organization if own.act else "",
            ceilings=self._ceilings(issued),
        )

    def _ceilings(self, issued: IssuedToken) -> tuple[Ceiling, ...]:
        """What the tokens were limited to that an own token came from, itself first."""
        ceilings: list[Ceiling] = []
        found: IssuedToken | None = issued
        while found is not None and len(ceilings) < _MOST_EXCHANGES:
            ceilings.append(
                Ceiling(found.organization, found.audience, found.scope, found.permissions)
            )
            found = self._issued.find(found.parent) if found.parent else None
        if found is not None:
            raise refused("it was exchanged too often; begin with the issuer's token")
        return tuple(ceilings)

    def _actor(self, request: TokenRequest, client: Client) -> Asker | None:
        """The actor that a request names, whose token must be the client's."""
        if not request.actor_token:
            return None
        try:
            asker, issued_to, _ = self.read(request.actor_token, request.actor_token_type)
        except OAuthError as error:
            message = error.message.replace("subject token", "actor token")
            raise OAuthError(error.error, message, field="actor_token") from None
        if issued_to != client.id:
            raise OAuthError(
                "invalid_request",
                "the actor token is refused: it was issued to another client",
                field="actor_token",
            )
        if asker.key is not None:
            raise OAuthError(
                "invalid_request",
                "the actor token is refused: it is bound to a key; send one that is not",
                field="actor_token",
            )
        return asker


def _named(actor: Asker) -> Members:
    """An actor as `act` has it, as its own token calls it."""
    if actor.called:
        return {"sub": actor.called}
    return {"sub": actor.sub, **({"iss": actor.issuer} if actor.issuer else {})}


def sub_of(subject: SubjectRef, profile: TokenProfile) -> str:
    """What tokens call a subject: its id, with its type unless that is the usual one.

    Two issuers may call two people the same, so it is not the issuer's word that counts.
    """
    usual = subject.type in (profile.user, profile.client)
    return subject.id if usual else str(subject)


def _asker_of(verified: VerifiedSubject, profile: TokenProfile) -> Asker:
    return Asker(
        subject=verified.subject,
        sub=sub_of(verified.subject, profile),
        issuer=verified.issuer,
        expires_at=verified.expires_at,
        authentication=verified.authentication,
        session=verified.session,
        act=verified.act,
        may_act=verified.may_act,
        key=verified.key,
    )


def is_object_id(definition: str, object_id: str) -> bool:
    """Whether an id from outside can stand in a relationship, as an id and nothing else."""
    try:
        parsed = parse_object(f"{definition}:{object_id}")
    except InvalidArgumentError:
        return False
    return parsed.id == object_id
