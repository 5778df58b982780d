"""The tokens that were issued, what has become of them, and the events that say so.

A token is marked at most twice: as changed, and as revoked. Each mark is an event, written in the
same transaction, so whoever has read all events knows every mark.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, func, or_, select

from relata.errors import InvalidArgumentError, WriteConflictError
from relata.store.database import Database
from relata.store.tables import MARKED, token_events, tokens
from relata.store.values import IssuedToken, TokenEvent, TokenState

CLAIMS_CHANGE = "token-claims-change"
SESSION_REVOKED = "session-revoked"

_AT_ONCE = 500
"""How many ids one statement names."""
_KINDS = {TokenState.CHANGED: CLAIMS_CHANGE, TokenState.REVOKED: SESSION_REVOKED}
_row = tokens.c
_TEXTS = ("jti", "subject", "client", "organization", "audience", "session")
"""The columns that an event repeats."""
_PLAIN = (*_TEXTS, "parent", "issued_at", "expires_at", "revision")
_COLUMNS = [_row.id, *[_row[name] for name in _PLAIN], _row.state, _row.contents]


class _Contents(msgspec.Struct, frozen=True, array_like=True):
    products: tuple[str, ...]
    scope: tuple[str, ...] | None
    permissions: tuple[str, ...]
    roles: tuple[str, ...]
    sub: str
    issuer: str
    by_product: dict[str, tuple[str, ...]]
    extra: dict[str, object]


class IssuedTokens:
    """The issued tokens of a store. Threads may share it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, token: IssuedToken, *, since: int | None = None) -> IssuedToken:
        """Store a token; return it with its id.

        `since` is the last event when the token was asked for. Raises WriteConflictError where
        what it was exchanged from is revoked, or tokens of its subject, its session or its client
        have been since: who revoked them meant those that were about to be issued, too.
        """
        contents = _Contents(*(getattr(token, name) for name in _Contents.__struct_fields__))
        values = {name: getattr(token, name) for name in _PLAIN}
        with self._database.writing() as transaction:
            _refuse_revoked(transaction.connection, token, since)
            added = transaction.connection.execute(
                tokens.insert().values(
                    **values, state=int(token.state), contents=msgspec.json.encode(contents)
                )
            )
        (id_,) = added.inserted_primary_key or (0,)
        return msgspec.structs.replace(token, id=id_)

    def find(self, jti: str) -> IssuedToken | None:
        """The token with an id of its own; None where none was issued, or it is forgotten."""
        with self._database.reading() as connection:
            row = connection.execute(select(*_COLUMNS).where(_row.jti == jti)).first()
        return None if row is None else _token(row)

    def after(self, id: int, *, now: int, limit: int) -> list[IssuedToken]:  # noqa: A002  the field's word for it
        """Tokens that had not expired by `now` (seconds since 1970), in the order of their ids,
        from the one after `id`; at most `limit`."""
        statement = (
            select(*_COLUMNS)
            .where(_row.id > id, _row.expires_at > now)
            .order_by(_row.id)
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [_token(row) for row in connection.execute(statement)]

    def mark(self, ids: Sequence[int], state: TokenState, *, reason: str, now: int) -> list[int]:
        """Mark tokens; return the ids of those that were not marked so, each with its event.

        A token that is revoked stays revoked.
        """
        marked: list[int] = []
        with self._database.writing() as transaction:
            for start in range(0, len(ids), _AT_ONCE):
                which = _row.id.in_(ids[start : start + _AT_ONCE])
                marked += _mark(transaction.connection, which, state, reason, now)
        return marked

    def revoke(
        self,
        *,
        jti: str | None = None,
        subject: str | None = None,
        client: str | None = None,
        organization: str | None = None,
        session: str | None = None,
        reason: str,
        now: int,
    ) -> int:
        """Revoke the tokens that match everything given, and those exchanged from them.

        Return how many were revoked by it. Raises InvalidArgumentError where nothing is given.
        """
        given = {
            "jti": jti,
            "subject": subject,
            "client": client,
            "organization": organization,
            "session": session,
        }
        which = [_row[name] == value for name, value in given.items() if value is not None]
        if not which:
            raise InvalidArgumentError("name the tokens to revoke", field="revoke")
        with self._database.writing() as transaction:
            connection = transaction.connection
            roots = connection.execute(
                select(_row.id, _row.jti).where(*which, _row.expires_at > now)
            ).all()
            ids = {row.id for row in roots}
            _add_descendants(connection, [row.jti for row in roots], ids)
            return sum(
                len(_mark(connection, _row.id.in_(part), TokenState.REVOKED, reason, now))
                for part in _parts(sorted(ids))
            )

    def states(self, first: int, count: int) -> bytes:
        """The states of `count` tokens from the id `first` on, a byte each; valid where unknown."""
        statement = select(_row.id, _row.state).where(
            MARKED, _row.id >= first, _row.id < first + count
        )
        states = bytearray(count)
        with self._database.reading() as connection:
            for id_, state in connection.execute(statement):
                states[id_ - first] = state
        return bytes(states)

    def events(self, after: int, *, limit: int) -> list[TokenEvent]:
        """Events in order, from the one after `after`; at most `limit`."""
        columns = [token_events.c[name] for name in TokenEvent.__struct_fields__]
        statement = (
            select(*columns)
            .where(token_events.c.id > after)
            .order_by(token_events.c.id)
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [TokenEvent(*row) for row in connection.execute(statement)]

    def last_event(self) -> int:
        """The number of the newest event, 0 before the first; while it stays, no state changes."""
        with self._database.reading() as connection:
            return connection.execute(select(func.max(token_events.c.id))).scalar() or 0

    def collect(self, before: int) -> int:
        """Forget tokens that expired, and events that happened, before a moment (seconds since
        1970), but for the newest event; return how many tokens."""
        newest = select(func.max(token_events.c.id)).scalar_subquery()
        old = token_events.delete().where(token_events.c.at < before, token_events.c.id != newest)
        with self._database.writing() as transaction:
            connection = transaction.connection
            connection.execute(old)
            return connection.execute(tokens.delete().where(_row.expires_at < before)).rowcount


def _refuse_revoked(connection: Connection, token: IssuedToken, since: int | None) -> None:
    revoked = select(_row.id).where(_row.jti == token.parent, _row.state == int(TokenState.REVOKED))
    gone = token.parent and connection.execute(revoked).first() is not None
    if not gone and since is not None:
        event = token_events.c
        whose = [event.subject == token.subject, event.client == token.client]
        if token.session:
            whose.append(event.session == token.session)
        later = select(event.id).where(event.id > since, event.kind == SESSION_REVOKED, or_(*whose))
        gone = connection.execute(later.limit(1)).first() is not None
    if gone:
        raise WriteConflictError("tokens like this one were just revoked; ask again")


def _mark(
    connection: Connection, which: ColumnElement[bool], state: TokenState, reason: str, now: int
) -> list[int]:
    others = _row.state != int(state)
    free = others if state is TokenState.REVOKED else _row.state == int(TokenState.VALID)
    columns = [_row.id, *[_row[name] for name in _TEXTS]]
    found = connection.execute(select(*columns).where(which, free).order_by(_row.id)).all()
    if not found:
        return []
    ids = [row.id for row in found]
    connection.execute(tokens.update().where(which, free).values(state=int(state)))
    connection.execute(
        token_events.insert(),
        [
            {
                **{name: getattr(row, name) for name in _TEXTS},
                "at": now,
                "kind": _KINDS[state],
                "reason": reason,
            }
            for row in found
        ],
    )
    return ids


def _add_descendants(connection: Connection, parents: list[str], ids: set[int]) -> None:
    while parents:
        children: list[str] = []
        for part in _parts(parents):
            statement = select(_row.id, _row.jti).where(_row.parent.in_(part), _row.parent != "")
            for id_, jti in connection.execute(statement):
                if id_ not in ids:
                    ids.add(id_)
                    children.append(jti)
        parents = children


def _parts(items: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (items[start : start + _AT_ONCE] for start in range(0, len(items), _AT_ONCE))


def _token(row: Row[Any]) -> IssuedToken:
    values = row._asdict()
    state, contents = values.pop("state"), values.pop("contents")
    rest = msgspec.json.decode(contents, type=_Contents)
    return IssuedToken(**values, **msgspec.structs.asdict(rest), state=TokenState(state))
