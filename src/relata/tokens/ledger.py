"""The issued tokens that are still good, in memory, where a change can find those it touches.

What a token says is kept, not the token: whom it is for, what it was issued for, what it holds.
Texts and lists that many tokens share are kept once. A token leaves when it has expired or has
been marked, for then nothing is left to find out about it.

Every process follows the store by the tokens' ids, so each has those of all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import msgspec

from relata.store import IssuedToken, IssuedTokens, TokenState

_PAGE = 1_000
"""How many tokens are read from the store at once."""


class LiveToken(msgspec.Struct, frozen=True, gc=False):
    """What an issued token says, as IssuedToken has it."""

    id: int
    subject: str
    organization: str
    audience: str
    products: tuple[str, ...]
    issued_at: int
    expires_at: int
    revision: int
    scope: tuple[str, ...] | None
    permissions: tuple[str, ...]
    roles: tuple[str, ...]

    @property
    def subject_type(self) -> str:
        """The subject's definition."""
        return self.subject.partition(":")[0]


class LiveTokens:
    """Live tokens by whom and what they are for. Not thread-safe."""

    def __init__(self) -> None:
        self._by_id: dict[int, LiveToken] = {}
        self._of_subject: dict[str, set[int]] = {}
        self._of_organization: dict[str, set[int]] = {}
        self._of_product: dict[str, set[int]] = {}
        self._shared = _Shared()

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[LiveToken]:
        return iter(self._by_id.values())

    def __contains__(self, id_: object) -> bool:
        return id_ in self._by_id

    def add(self, tokens: Iterable[LiveToken]) -> None:
        """Take in tokens."""
        for token in tokens:
            kept = self._by_id[token.id] = self._shared.token(token)
            for index, key in self._keys(kept):
                index.setdefault(key, set()).add(token.id)

    def discard(self, ids: Iterable[int]) -> None:
        """Let go of tokens; nothing where one is not there."""
        for id_ in ids:
            token = self._by_id.pop(id_, None)
            if token is None:
                continue
            for index, key in self._keys(token):
                index[key].discard(id_)
                if not index[key]:
                    del index[key]

    def expire(self, now: int) -> None:
        """Let go of the tokens that have expired by a moment, in seconds since 1970."""
        gone = [token.id for token in self if token.expires_at <= now]
        self.discard(gone)
        if gone:
            shared = self._shared = _Shared()
            self._by_id = {id_: shared.token(token) for id_, token in self._by_id.items()}

    def subject_types(self) -> frozenset[str]:
        """The definitions that the tokens' subjects are of."""
        return frozenset(subject.partition(":")[0] for subject in self._of_subject)

    def of_subject(self, subject: str) -> Collection[int]:
        """The ids of a subject's tokens."""
        return self._of_subject.get(subject, ())

    def of_organization(self, organization: str) -> Collection[int]:
        """The ids of the tokens for an organization."""
        return self._of_organization.get(organization, ())

    def of_product(self, product: str) -> Collection[int]:
        """The ids of the tokens for a product, or for several of which it is one."""
        return self._of_product.get(product, ())

    def find(self, ids: Iterable[int]) -> list[LiveToken]:
        """Tokens by their ids, those that are there."""
        return [token for id_ in ids if (token := self._by_id.get(id_)) is not None]

    def _keys(self, token: LiveToken) -> Iterator[tuple[dict[str, set[int]], str]]:
        yield self._of_subject, token.subject
        yield self._of_organization, token.organization
        for product in token.products:
            yield self._of_product, product


class _Shared:
    """Texts, and lists of texts, of which equal ones are kept once."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._lists: dict[tuple[str, ...], tuple[str, ...]] = {}

    def text(self, text: str) -> str:
        """A text that is equal."""
        return self._texts.setdefault(text, text)

    def list(self, texts: tuple[str, ...]) -> tuple[str, ...]:
        """A list that is equal."""
        known = self._lists.get(texts)
        if known is None:
            known = tuple(map(self.text, texts))
            self._lists[known] = known
        return known

    def token(self, token: LiveToken) -> LiveToken:
        """A token that is equal, made of what is kept."""
        return LiveToken(
            id=token.id,
            subject=self.text(token.subject),
            organization=self.text(token.organization),
            audience=self.text(token.audience),
            products=self.list(token.products),
            issued_at=token.issued_at,
            expires_at=token.expires_at,
            revision=token.revision,
            scope=None if token.scope is None else self.list(token.scope),
            permissions=self.list(token.permissions),
            roles=self.list(token.roles),
        )


class Ledger:
    """Where tokens are entered when they are issued, and followed from.

    `add` is safe to share between threads; one thread follows.
    """

    def __init__(self, issued: IssuedTokens) -> None:
        self._issued = issued
        self._followed = 0

    def add(self, token: IssuedToken, *, since: int | None = None) -> IssuedToken:
        """Store a token; return it with its id. From then on every process can find it.

        Raises WriteConflictError as `IssuedTokens.add` does.
        """
        return self._issued.add(token, since=since)

    def follow(self, now: int) -> list[LiveToken]:
        """The tokens that are new since the last time, and good at a moment (seconds since 1970).

        Raises StoreError and WriteConflictError; they are then new the next time.
        """
        found: list[LiveToken] = []
        followed = self._followed
        while page := self._issued.after(followed, now=now, limit=_PAGE):
            found.extend(_live(token) for token in page if token.state is TokenState.VALID)
            followed = page[-1].id
            if len(page) < _PAGE:
                break
        self._followed = followed
        return found


def _live(token: IssuedToken) -> LiveToken:
    return LiveToken(**{name: getattr(token, name) for name in LiveToken.__struct_fields__})
