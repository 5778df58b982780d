"""Whether an issued token still says what holds.

A token is asked about whole with the questions that it was issued by, or, where a change can have
touched few of its answers, about these alone: they must be what the token says, and its sessions
must be open. Both are asked of the newest revision.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from relata.authorizer import Relata
from relata.consistency import MINIMIZE_LATENCY, at_exact_snapshot, encode_zed_token
from relata.engine import Asker, Engine
from relata.errors import (
    NotFreshError,
    OAuthError,
    RelataError,
    SnapshotUnavailableError,
    StoreError,
)
from relata.graph import View
from relata.relationships import parse_subject
from relata.tokens.holdings import Choice, Holdings, Questions
from relata.tokens.ledger import LiveToken
from relata.tokens.profile import TokenProfile
from relata.tokens.suspects import Slices, Suspect, Suspects

OTHER_HOLDINGS = "its permissions or roles have changed"
NOT_OPEN = "its organization or audience is no longer open to its subject"
UNDETERMINED = "what it should say cannot be determined"

_FEW_ANSWERS = 32
"""Up to how many answers are asked one by one; more, and all are looked up."""

Difference = tuple[LiveToken, str]
"""A token that does not say what holds, and why."""


class Comparing:
    """Compares tokens with the graph, and counts. For one thread."""

    def __init__(
        self, authorizer: Relata, profile: TokenProfile, suspects: Suspects, slices: Slices
    ) -> None:
        self._authorizer = authorizer
        self._profile = profile
        self._suspects = suspects
        self._slices = slices
        self._questions = Questions(authorizer, profile)
        self.checked = 0
        """Tokens that were asked about single answers."""
        self.recomputed = 0
        """Tokens that were asked about whole."""

    def some_answers(self, suspects: Iterable[Suspect]) -> list[Difference]:
        """Those of narrow suspects of which an answer that was touched differs."""
        found: list[Difference] = []

        def comparing(engine: Engine, view: View) -> Callable[[Suspect], None]:
            now = time.time_ns() // 1_000

            def compare(suspect: Suspect) -> None:
                self.checked += 1
                asker = self._suspects.asker(suspect.token, engine, view, moment=now)
                reason = self._difference(suspect, asker, engine)
                if reason:
                    found.append((suspect.token, reason))

            return compare

        self._slices.each(suspects, comparing, MINIMIZE_LATENCY)
        return found

    def _difference(self, suspect: Suspect, asker: Asker, engine: Engine) -> str:
        try:
            for name, resource in suspect.answers or ():
                for said, reason in self._statements(suspect.token, name, resource):
                    number = engine.number(*name, type_field="profile", field="profile")
                    if asker.is_allowed(number, resource) != said:
                        return reason
        except (RelataError, RecursionError):
            return UNDETERMINED
        return ""

    def _statements(
        self, token: LiveToken, name: tuple[str, str], resource: str
    ) -> Iterator[tuple[bool, str]]:
        """What a token says of an answer, and why it should be marked if that is not so."""
        profile, object_id = self._profile, resource.partition(":")[2]
        if name == (profile.organization, profile.session) and object_id == token.organization:
            yield True, NOT_OPEN
        if name == (profile.product, profile.session) and object_id in token.products:
            yield True, NOT_OPEN
        is_in_scope = token.scope is None or object_id in token.scope
        if name == (profile.capability, profile.held) and is_in_scope:
            yield object_id in token.permissions, OTHER_HOLDINGS
        if name == (profile.role, profile.active):
            yield object_id in token.roles, OTHER_HOLDINGS

    def whole(self, tokens: Iterable[LiveToken]) -> Iterator[Difference]:
        """Those of some tokens that should say something else.

        Raises StoreError, SnapshotUnavailableError and NotFreshError where it cannot be known now.
        """
        for token in tokens:
            self.recomputed += 1
            reason = self._whole_difference(token)
            if reason:
                yield token, reason
            self._slices.between()

    def _whole_difference(self, token: LiveToken) -> str:
        try:
            held = self._holdings(token)
            if (held.permissions, held.roles) != (token.permissions, token.roles):
                return OTHER_HOLDINGS
            if len(token.products) > 1 and held.products != self._products_said(token):
                return OTHER_HOLDINGS
        except (StoreError, SnapshotUnavailableError, NotFreshError):
            raise
        except OAuthError:
            return NOT_OPEN
        except RelataError:
            return UNDETERMINED
        return ""

    def _holdings(self, token: LiveToken, revision: int | None = None) -> Holdings:
        subject = parse_subject(token.subject)
        choice = Choice(subject, token.organization, token.audience, token.products)
        at = MINIMIZE_LATENCY
        if revision is not None:
            at = at_exact_snapshot(encode_zed_token(self._authorizer.store.datastore_id, revision))
        return self._questions.holdings(choice, at).within(token.scope)

    def _products_said(self, token: LiveToken) -> dict[str, tuple[str, ...]]:
        """What a token of several products says of each, which is what held when it was made."""
        return self._holdings(token, token.revision).products


def is_narrow(suspect: Suspect) -> bool:
    """Whether it is enough to ask about some of a token's answers."""
    answers = suspect.answers
    return answers is not None and len(answers) <= _FEW_ANSWERS and len(suspect.token.products) == 1
