"""Durations and timestamps as they stand in JSON, read to the nanosecond.

Durations are written as Go writes them (`1h30m`, `1.5s`, `-300ms`), timestamps as in RFC 3339.
Python's own types stop at microseconds; a finer value becomes a protobuf message, which the CEL
library takes as well.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import overload

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

_UNITS = {
    "ns": 1,
    "us": 10**3,
    "\u00b5s": 10**3,
    "\u03bcs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_PART = r"(\d{1,30})?(?:\.(\d{0,100}))?(ns|us|\u00b5s|\u03bcs|ms|s|m|h)"
_PARTS = re.compile(_PART, re.ASCII)
_DURATION = re.compile(rf"[+-]?(?:0|(?:(?=\.?\d){_PART})+)", re.ASCII)
_MOMENT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,](\d{1,40}))?(?:Z|([+-])(\d\d):(\d\d))",
    re.ASCII,
)
_SHORTEST = -(2**63)
_LONGEST = 2**63 - 1
"""Nanoseconds: some 292 years."""
_EXTREMES = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
"""What the library takes for the infinite past and future."""


def duration(text: str) -> timedelta | Duration:
    """Read a duration. Raises ValueError."""
    if not _DURATION.fullmatch(text):
        raise ValueError
    total = 0
    for whole, fraction, unit in _PARTS.findall(text):
        size = _UNITS[unit]
        total += int(whole or 0) * size
        if fraction:
            total += int(fraction) * size // 10 ** len(fraction)
    if text.startswith("-"):
        total = -total
    if not _SHORTEST <= total <= _LONGEST:
        raise ValueError
    microseconds, rest = divmod(total, 1000)
    if not rest:
        return timedelta(microseconds=microseconds)
    seconds = abs(total) // 10**9 * (-1 if total < 0 else 1)
    return Duration(seconds=seconds, nanos=total - seconds * 10**9)


def timestamp(text: str) -> datetime | Timestamp:
    """Read a timestamp. Raises ValueError."""
    match = _MOMENT.fullmatch(text)
    if not match:
        raise ValueError
    *numbers, fraction, sign, hours, minutes = match.groups()
    nanos = int((fraction or "0")[:9].ljust(9, "0"))
    year, month, day, hour, minute, second = map(int, numbers)
    zone = UTC
    if sign:
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        zone = timezone(-offset if sign == "-" else offset)
    local = datetime(year, month, day, hour, minute, second, nanos // 1000, tzinfo=zone)
    try:
        moment = local.astimezone(UTC)
    except OverflowError as error:
        raise ValueError from error
    if not nanos % 1000 and moment not in _EXTREMES:
        return moment
    message = as_message(moment)
    message.nanos = nanos
    return message


@overload
def as_message(value: datetime) -> Timestamp: ...
@overload
def as_message(value: timedelta) -> Duration: ...
def as_message(value: datetime | timedelta) -> Timestamp | Duration:
    """The value as a protobuf message."""
    if isinstance(value, timedelta):
        length = Duration()
        length.FromTimedelta(value)
        return length
    moment = Timestamp()
    moment.FromDatetime(value)
    return moment
