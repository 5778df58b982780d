"""Records of issued tokens, as the token service would store them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from typing import Any

from relata.authorizer import Relata
from relata.consistency import decode_zed_token
from relata.relationships import parse_subject
from relata.store import IssuedToken
from relata.tokens import TokenProfile
from relata.tokens.holdings import Choice, Holdings, Questions


def issued(**changes: Any) -> IssuedToken:
    """A token of Anne for the wiki at Acme, with changes."""
    return IssuedToken(
        **{
            "jti": str(uuid.uuid4()),
            "subject": "user:anne",
            "client": "app",
            "organization": "acme",
            "audience": "wiki",
            "products": ("wiki",),
            "issued_at": 1_000,
            "expires_at": 2_000_000_000,
            "revision": 1,
            **changes,
        }
    )


class Desk:
    """Makes records of what the graph grants, and asks again later."""

    def __init__(self, authorizer: Relata) -> None:
        self._authorizer = authorizer
        self._questions = Questions(authorizer, TokenProfile())

    def holdings(
        self,
        subject: str,
        organization: str,
        products: Sequence[str],
        scope: tuple[str, ...] | None = None,
    ) -> Holdings:
        """What a token would hold. Raises what asking raises."""
        audience = products[0] if len(products) == 1 else "several"
        choice = Choice(parse_subject(subject), organization, audience, tuple(products))
        return self._questions.holdings(choice).within(scope)

    def token(
        self,
        subject: str,
        organization: str,
        *products: str,
        scope: tuple[str, ...] | None = None,
        held: Holdings | None = None,
    ) -> IssuedToken:
        """The record of a token that is issued now, for what it holds or `held`.

        Raises what asking raises.
        """
        held = held or self.holdings(subject, organization, products, scope)
        now = int(time.time())
        datastore_id = self._authorizer.store.datastore_id
        return issued(
            subject=subject,
            organization=organization,
            audience=products[0] if len(products) == 1 else "several",
            products=products,
            issued_at=now,
            expires_at=now + 3_600,
            revision=decode_zed_token(held.revision.zed_token, datastore_id),
            scope=scope,
            permissions=held.permissions,
            roles=held.roles,
        )
