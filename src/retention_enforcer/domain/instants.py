"""Instants and durations: plain integers, in milliseconds.

An instant is the number of milliseconds since 1970-01-01T00:00:00Z, as Elasticsearch keeps it; a duration is a
number of milliseconds. Integers compare, add and hash exactly, and no instant that a document can hold is out
of their range (a `datetime` ends at the year 9999).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_UNITS = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}
_DURATION = re.compile(r"(0|[1-9][0-9]{0,8})([smhd])")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z, where RFC 3339 ends


def parse_duration(text: str) -> int:
    """Return the milliseconds of a duration as Elasticsearch writes it: `90s`, `15m`, `1h`, `14d`.

    Raises ValueError with a sentence for the user.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration: use a whole number and a unit, such as 90s, 15m, 1h or 14d")
    return int(match[1]) * _UNITS[match[2]]


def format_duration(duration: int) -> str:
    """Return the shortest form that `parse_duration` reads back: `14d`, `36h`, `90s`; milliseconds as `1500ms`."""
    for unit in ("d", "h", "m", "s"):
        if duration and duration % _UNITS[unit] == 0:
            return f"{duration // _UNITS[unit]}{unit}"
    return f"{duration}ms" if duration else "0s"


def describe_duration(duration: int) -> str:
    """Return a duration as people say it, to the second below an hour, else to the minute: `13 d 23 h 20 min`."""
    sign, rest = ("-", -duration) if duration < 0 else ("", duration)
    days, rest = divmod(rest, DAY)
    hours, rest = divmod(rest, HOUR)
    minutes, rest = divmod(rest, MINUTE)
    seconds = rest // SECOND
    coarse = [f"{n} {unit}" for n, unit in ((days, "d"), (hours, "h"), (minutes, "min")) if n]
    fine = [f"{seconds} s"] if seconds and not (days or hours) else []
    return sign + (" ".join(coarse + fine) or "0 s")


def describe_roughly(duration: int) -> str:
    """Return a duration in its two largest units at most, as a narrow column can take it: `13 d 23 h`."""
    return " ".join(describe_duration(duration).split()[:4])


def format_instant(instant: int) -> str:
    """Return an instant as RFC 3339 in UTC with milliseconds: `2026-01-31T08:00:00.000Z`."""
    seconds, milliseconds = divmod(min(max(instant, 0), _LAST), SECOND)
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z"


def format_known_instant(instant: int | None) -> str | None:
    """Return an instant as `format_instant` does, and None where there is none."""
    return format_instant(instant) if instant is not None else None


def parse_instant(text: str) -> int:
    """Return the instant of an RFC 3339 time or an ISO date; without a zone it is UTC.

    Raises ValueError with a sentence for the user.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text!r} is not a time: use the form 2026-01-31T08:00:00Z or 2026-01-31") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(milliseconds=1)
