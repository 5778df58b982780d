"""What the graph of a database costs to load and to hold, measured in a process of its own.

It opens an empty database first, so that what is counted is not the libraries' own memory, and
writes a `Footprint` as JSON to standard output.

    python -m benchmarks.memory sqlite:///relata.db
"""

from __future__ import annotations

import gc
import os
import sys
import time
from pathlib import Path

import msgspec

from relata.authorizer import Relata

_STATUS = Path("/proc/self/statm")


class Footprint(msgspec.Struct, frozen=True):
    """What opening a database took."""

    seconds: float
    bytes: int | None
    """By how much the resident set grew; None where the system does not say."""


def resident_bytes() -> int | None:
    """The size of this process's resident set; None where there is no /proc to read it from."""
    if not _STATUS.exists():
        return None
    return int(_STATUS.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def footprint(url: str) -> Footprint:
    """Open a database and say what it took."""
    Relata.open("sqlite://", follow_seconds=None).close()
    gc.collect()
    before = resident_bytes()
    start = time.perf_counter()
    with Relata.open(url, follow_seconds=None):
        seconds = time.perf_counter() - start
        gc.collect()
        after = resident_bytes()
    grown = None if before is None or after is None else after - before
    return Footprint(seconds, grown)


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(footprint(sys.argv[1])))
