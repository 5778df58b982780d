"""Staying true: issued tokens that no longer say what holds are marked, within a second.

After each change of the graph, a pass finds the live tokens that it can touch, asks
what they say again, and marks those that say something else, in the store, for every process. It
asks for none but these: of a change that touches few answers, only those answers; otherwise all
that the token says, with the questions that it was issued by.

Nothing doubtful stays unmarked. A token whose answers cannot be determined (a caveat fails, a
limit is hit) is marked with that reason, and so is one whose subject may no longer choose the
organization or ask for the audience. Where the database is away, or was busy, the pass is made
again, and marks what the first has not.

Every process marks for itself, and the store settles who was first. A token that comes to a
process after the process has looked at later revisions is looked at once by itself, as are those
that were issued before the process was started; so no note is kept of how far anybody has come.

A relationship that expires changes nothing that is written. It counts when it is collected, which
every process that follows its database does each minute.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import msgspec

from relata.authorizer import Relata
from relata.consistency import Consistency, at_exact_snapshot, encode_zed_token
from relata.store import TokenState
from relata.tokens.comparing import Comparing, Difference, is_narrow
from relata.tokens.ledger import Ledger, LiveTokens
from relata.tokens.profile import TokenProfile
from relata.tokens.suspects import Slices, Suspect, Suspects

T = TypeVar("T")

MOST_CHANGES = 5_000
"""Changes of one pass, above which all live tokens are looked at instead of those touched."""
_BEHIND = 1_000
"""From how many later revisions on it is not asked any more who noticed a change."""
_MARKED_AT_ONCE = 500
_POLL_SECONDS = 0.25
"""How often tokens that other processes have issued are looked for."""
_REST_SECONDS = 0.001
"""Between two slices of work, for those who wait to ask a question."""
_EXPIRY_SECONDS = 60.0
"""Between two times that expired tokens are let go of."""
_TIDY_SECONDS = 300.0
"""Between two times that what is over is forgotten."""
_LONGEST_PAUSE = 5.0
"""Seconds between two tries where the database is away."""
_log = logging.getLogger(__name__)


class Pass(msgspec.Struct, frozen=True):
    """What one pass has done."""

    marked: tuple[int, ...] = ()
    """The tokens that it has marked, by id."""
    checked: int = 0
    """Tokens that were asked about single answers."""
    recomputed: int = 0
    """Tokens that were asked about whole."""


class _StoppedError(Exception):
    """The marking was closed in the middle of its work."""


class Passes:
    """Marks tokens that have changed, one pass at a time. For one thread.

    `rest` is called between two slices of work.
    """

    def __init__(
        self,
        authorizer: Relata,
        ledger: Ledger,
        profile: TokenProfile,
        *,
        rest: Callable[[], None] = lambda: None,
    ) -> None:
        self._authorizer = authorizer
        self._ledger = ledger
        self._profile = profile
        self._slices = Slices(authorizer, rest)
        self._suspects = Suspects(authorizer, profile, self._slices)
        self._tokens = LiveTokens()
        self._newcomers = LiveTokens()
        self._revision = authorizer.revision
        self._expire_at = time.monotonic() + _EXPIRY_SECONDS
        self.checked = 0
        """Tokens that were asked about single answers, by all passes so far."""
        self.recomputed = 0
        """Tokens that were asked about whole."""

    @property
    def revision(self) -> int:
        """The revision through which tokens are marked."""
        return self._revision

    def __len__(self) -> int:
        """How many live tokens are followed."""
        return len(self._tokens)

    def catch_up(self) -> Pass:
        """Mark what has changed up to the graph's present revision.

        Raises StoreError, WriteConflictError and SnapshotUnavailableError; the next pass then
        does what this one has not.
        """
        now = int(time.time())
        self._take_in_newcomers(now)
        through = self._authorizer.revision
        oldest = min((token.revision for token in self._newcomers), default=through)
        done = _summed(
            [
                self._round(self._tokens, self._revision, through, now),
                self._round(self._newcomers, oldest, through, now),
            ]
        )
        self._tokens.add(self._newcomers)
        self._newcomers = LiveTokens()
        self.checked += done.checked
        self.recomputed += done.recomputed
        self._revision = through
        return done

    def _take_in_newcomers(self, now: int) -> None:
        if time.monotonic() >= self._expire_at:
            self._expire_at = time.monotonic() + _EXPIRY_SECONDS
            self._tokens.expire(now)
        self._newcomers.add(self._ledger.follow(now))
        latest = max((token.revision for token in self._newcomers), default=0)
        if latest > self._authorizer.revision:  # of a process that has seen more than this one
            self._authorizer.refresh()

    def _round(self, tokens: LiveTokens, after: int, through: int, now: int) -> Pass:
        """Mark tokens that say what held at `after`, or later, and does not hold any longer."""
        if after >= through or not len(tokens):
            return Pass()
        comparing = Comparing(self._authorizer, self._profile, self._suspects, self._slices)
        suspects = self._suspected(tokens, after, through)
        narrow = [suspect for suspect in suspects if is_narrow(suspect)]
        wide = [suspect for suspect in suspects if not is_narrow(suspect)]
        marked: list[int] = []
        for part in _parts(narrow):
            marked += self._mark(tokens, comparing.some_answers(part), now)
        for part in _parts(self._noticing(wide, through)):
            differing = comparing.whole(suspect.token for suspect in part)
            marked += self._mark(tokens, differing, now)
        return Pass(tuple(marked), comparing.checked, comparing.recomputed)

    def _suspected(self, tokens: LiveTokens, after: int, through: int) -> list[Suspect]:
        """The tokens that changes can touch: few, or all of them."""
        store = self._authorizer.store
        changes = store.changes(after=after, through=through, limit=MOST_CHANGES + 1)
        schema = store.schema(through)
        if len(changes) > MOST_CHANGES or (schema is not None and schema.revision > after):
            return [Suspect(token, (), None) for token in tokens]
        changed = list(dict.fromkeys(change.relationship for change in changes))
        return list(self._suspects.of(tokens, changed, self._at(through)))

    def _noticing(self, suspects: Sequence[Suspect], through: int) -> Sequence[Suspect]:
        if self._authorizer.revision - through > _BEHIND:
            return suspects
        return self._suspects.noticing(suspects, self._at(through))

    def _at(self, revision: int) -> Consistency:
        return at_exact_snapshot(encode_zed_token(self._authorizer.store.datastore_id, revision))

    def _mark(self, tokens: LiveTokens, differing: Iterable[Difference], now: int) -> list[int]:
        by_reason: dict[str, list[int]] = {}
        for token, reason in differing:
            by_reason.setdefault(reason, []).append(token.id)
        marked: list[int] = []
        for reason, ids in by_reason.items():
            marked += self._authorizer.store.issued.mark(
                ids, TokenState.CHANGED, reason=reason, now=now
            )
            tokens.discard(ids)
        return marked


class Marking:
    """Marks tokens that have changed, on a thread of its own, after each change of the graph.

    Begins with `start`; `close` it before the authorizer. `poll_seconds` is how often tokens that
    other processes have issued are looked for. `tidy` is called every few minutes.
    """

    def __init__(
        self,
        authorizer: Relata,
        ledger: Ledger,
        profile: TokenProfile,
        *,
        poll_seconds: float = _POLL_SECONDS,
        tidy: Callable[[], None] = lambda: None,
    ) -> None:
        self._tidy = tidy
        self._tidy_at = time.monotonic() + _TIDY_SECONDS
        self.passes = Passes(authorizer, ledger, profile, rest=self._rest)
        self._poll_seconds = poll_seconds
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._authorizer = authorizer
        self._unlisten: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._run, name="relata-marking", daemon=True)

    def start(self) -> None:
        """Begin to mark."""
        self._unlisten = self._authorizer.listen(self._wake.set)
        self._thread.start()

    def close(self) -> None:
        """Stop, for good. What is not marked then is by the next process that starts."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._wake.set()
        self._unlisten()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                self.passes.catch_up()
                self._tidy_now_and_then()
            except _StoppedError:
                return
            except Exception as error:  # noqa: BLE001  a database that is away may be back
                if not failures:
                    _log.error("cannot mark tokens that have changed: %s", error)
                failures += 1
                self._stopping.wait(min(self._poll_seconds * 2**failures, _LONGEST_PAUSE))
            else:
                if failures:
                    _log.info("marking tokens that have changed again")
                failures = 0
                self._wake.wait(self._poll_seconds)
                self._wake.clear()

    def _tidy_now_and_then(self) -> None:
        if time.monotonic() >= self._tidy_at:
            self._tidy_at = time.monotonic() + _TIDY_SECONDS
            self._tidy()

    def _rest(self) -> None:
        """Let others ask their questions. Raises _StoppedError where the marking is closed."""
        if self._stopping.wait(_REST_SECONDS):
            raise _StoppedError


def _summed(passes: Sequence[Pass]) -> Pass:
    return Pass(
        tuple(id_ for done in passes for id_ in done.marked),
        sum(done.checked for done in passes),
        sum(done.recomputed for done in passes),
    )


def _parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), _MARKED_AT_ONCE):
        yield items[start : start + _MARKED_AT_ONCE]
