"""Several processes that serve on one socket and one database, and the one that keeps them going.

Each worker opens the database itself, has a graph of its own and follows the writes of the others;
they share nothing but the socket, from which whoever is free takes the next connection.

The first worker starts alone. What it cannot start with, no other could, so that is said once, and
is the end. When it answers, the others start. A worker that ends is replaced, at first at once and
then after ever longer pauses. Where one worker after the other ends before it answers, and none is
left, the supervisor gives up: whoever runs it is better off knowing.

uvicorn's supervisor does less than is needed here: it starts workers without a pause and without
an end, waits for them without an end, and its workers outlive it where it is killed.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from types import FrameType

import msgspec

from relata.errors import RelataError
from relata.question_only import agree_on_question_only
from relata.server.listening import address
from relata.server.serving import GRACE_SECONDS, leave_when_told, log_to_stderr, serve
from relata.server.settings import Settings
from relata.store import Store

_SHORTEST_PAUSE = 0.1
_LONGEST_PAUSE = 30.0
"""Seconds between a worker's end and its replacement."""
_STEADY_SECONDS = 60.0
"""How long a worker must have answered for its end to be no sign of trouble."""
_TRIES = 3
"""How many starts in a row may fail where nobody answers."""
_END_SECONDS = GRACE_SECONDS + 5.0
"""How long workers may take to end, before they are killed."""
_FAILED = 1

# A process that is forked has the connections to the database of the one that forked it, and
# SQLite must not see these.
_processes = multiprocessing.get_context("spawn")
_log = logging.getLogger("relata.server")


class _Report(msgspec.Struct, frozen=True):
    """What a worker says of itself, once: that it answers requests, or why it cannot."""

    error: str | None = None
    field: str | None = None


def supervise(settings: Settings, listening: socket.socket) -> None:
    """Keep the workers of the settings running until SIGTERM or SIGINT, then let them end.

    Raises RelataError where the first cannot start, or none can any longer.
    """
    store = Store.open(settings.database)
    try:
        agree_on_question_only(store, None)
    finally:
        store.close()
    _Supervisor(settings, listening).run()


class _Worker:
    """One worker process, from its start to its end."""

    def __init__(self, name: str, settings: Settings, listening: socket.socket) -> None:
        self._reports, reporting = _processes.Pipe(duplex=False)
        self.process = _processes.Process(
            target=_work, args=(name, settings, listening, reporting), name=name
        )
        self.ready_at: float | None = None
        """When it began to answer requests; None before."""
        self.failure: _Report | None = None
        """Why it cannot start, if it has said so."""
        with _uninterrupted():
            self.process.start()
        reporting.close()

    @property
    def waited_for(self) -> list[Connection | int]:
        """What becomes readable when it says something, and when it ends."""
        if self.ready_at is None and self.failure is None:
            return [self._reports, self.process.sentinel]
        return [self.process.sentinel]

    @property
    def has_ended(self) -> bool:
        """Whether it is no longer there."""
        return not self.process.is_alive()

    def listen(self) -> bool:
        """Take in what it says of itself; whether that is that it answers, since now."""
        if self.ready_at is not None or self.failure is not None or not self._reports.poll():
            return False
        with suppress(EOFError):  # it was killed
            report: _Report = self._reports.recv()
            if report.error is None:
                self.ready_at = time.monotonic()
                return True
            self.failure = report
        return False

    def ending(self) -> str:
        """How it has ended, in words."""
        code = self.process.exitcode or 0
        if self.failure is not None:
            return f"could not start: {self.failure.error}"
        how = f"was ended by {_signal_name(-code)}" if code < 0 else f"ended with the code {code}"
        return how if self.ready_at is not None else f"{how} before it answered"

    def end(self) -> None:
        """Tell it to end; told twice, it does not wait for requests that have begun."""
        self.process.terminate()

    def let_go(self) -> None:
        """Close what is left of it once it has ended."""
        self.process.join()
        self._reports.close()


class _Place:
    """A place for a worker, with the one that has it now."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.worker: _Worker | None = None
        self.start_at = 0.0
        self.ends = 0
        """How often in a row its worker has ended soon."""

    def pause(self, lived: float) -> float:
        """Seconds until the next worker may start, after one that answered for so many."""
        self.ends = 1 if lived >= _STEADY_SECONDS else self.ends + 1
        return min(_SHORTEST_PAUSE * 2.0 ** min(self.ends - 1, 20), _LONGEST_PAUSE)


class _Supervisor:
    def __init__(self, settings: Settings, listening: socket.socket) -> None:
        self._settings = settings
        self._listening = listening
        self._places = [_Place(f"worker {number + 1}") for number in range(settings.workers)]
        self._signals, self._signalling = _processes.Pipe(duplex=False)
        self._has_served = False
        self._failed_starts = 0

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)
        try:
            while not self._signals.poll():
                self._start_what_is_due()
                wait(self._waited_for(), self._seconds_to_next_start())
                for place in self._places:
                    self._look_after(place)
        finally:
            # Who connects from now on is refused, and not left waiting for nobody.
            self._listening.close()
            self._end_all()

    def _signalled(self, _number: int, _frame: FrameType | None) -> None:
        self._signalling.send_bytes(b"\0")

    def _start_what_is_due(self) -> None:
        now = time.monotonic()
        for place in self._due():
            if place.start_at > now:
                continue
            try:
                place.worker = _Worker(place.name, self._settings, self._listening)
            except OSError as error:
                what = f"{place.name} cannot be started: {error.strerror}"
                if not self._has_served:
                    raise RelataError(what) from error
                place.start_at = now + place.pause(0.0)
                _log.error("%s", what)

    def _due(self) -> Sequence[_Place]:
        """The places that are to have a worker and have none."""
        wanted = self._places if self._has_served else self._places[:1]
        return [place for place in wanted if place.worker is None]

    def _seconds_to_next_start(self) -> float | None:
        starts = [place.start_at for place in self._due()]
        return max(min(starts) - time.monotonic(), 0) if starts else None

    def _waited_for(self) -> list[Connection | int]:
        of_workers = [it for worker in self._workers() for it in worker.waited_for]
        return [self._signals, *of_workers]

    def _workers(self) -> list[_Worker]:
        return [place.worker for place in self._places if place.worker is not None]

    def _look_after(self, place: _Place) -> None:
        worker = place.worker
        if worker is None:
            return
        ended = worker.has_ended  # asked first, so that all it had to say is there
        if worker.listen():
            self._note_ready(place.name)
        if ended:
            worker.let_go()
            place.worker = None
            if not self._signals.poll():
                self._replace(place, worker)

    def _note_ready(self, name: str) -> None:
        self._failed_starts = 0
        _log.info("%s answers requests", name)
        if not self._has_served:
            self._has_served = True
            _log.info("running on %s", address(self._listening))

    def _replace(self, place: _Place, worker: _Worker) -> None:
        """Have another worker started, or give up."""
        now = time.monotonic()
        how = f"{place.name} {worker.ending()}"
        if not self._has_served:
            if worker.failure is not None and worker.failure.error is not None:
                raise RelataError(worker.failure.error, field=worker.failure.field)
            raise RelataError(f"{how}; what it wrote to its log may say why")
        if worker.ready_at is None:
            self._failed_starts += 1
        if self._failed_starts >= _TRIES and not any(it.ready_at for it in self._workers()):
            raise RelataError(f"no worker can be kept running; the last one, {how}")
        pause = place.pause(0.0 if worker.ready_at is None else now - worker.ready_at)
        place.start_at = now + pause
        _log.error("%s; another one starts in %g s", how, pause)

    def _end_all(self) -> None:
        """Let the workers answer what has begun; kill those that take too long."""
        deadline = time.monotonic() + _END_SECONDS
        self._take_signals()
        for worker in self._workers():
            worker.end()
        while running := [worker for worker in self._workers() if not worker.has_ended]:
            left = deadline - time.monotonic()
            if left <= 0:
                _kill(running)
                break
            wait([self._signals, *[worker.process.sentinel for worker in running]], left)
            if self._take_signals():
                for worker in running:
                    worker.end()
        for worker in self._workers():
            worker.let_go()

    def _take_signals(self) -> bool:
        """Forget the signals that have come; whether any had."""
        came = False
        while self._signals.poll():
            came = True
            self._signals.recv_bytes()
        return came


def _kill(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        _log.error("%s does not end, and is killed", worker.process.name)
        worker.process.kill()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ignore Ctrl-C for a moment: a process that is started ignores it from then on, too."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"the signal {number}"


def _work(name: str, settings: Settings, listening: socket.socket, reports: Connection) -> None:
    """The whole life of a worker, in its own process."""
    log_to_stderr(settings.log_level, name)
    leave_when_told()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_supervisor, daemon=True).start()
    try:
        serve(settings, listening, lambda: reports.send(_Report()), supervised=True)
    except RelataError as error:
        reports.send(_Report(error.message, error.field))
        raise SystemExit(_FAILED) from None


def _end_with_supervisor() -> None:
    """End this process, in good order if possible, when the one that started it has ended."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    parent.join()
    _log.error("the supervisor has ended, so this worker does")
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_END_SECONDS)
    os._exit(_FAILED)
