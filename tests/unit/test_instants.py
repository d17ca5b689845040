"""Instants and durations as people and RFC 3339 write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retention_enforcer.domain.instants import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    describe_duration,
    format_duration,
    format_instant,
    parse_duration,
    parse_instant,
)

LAST = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z
MORNING = 1_769_846_400_000  # 2026-01-31T08:00:00Z


@pytest.mark.parametrize(
    ("duration", "text"),
    [(0, "0s"), (90 * SECOND, "90s"), (HOUR, "1h"), (36 * HOUR, "36h"), (14 * DAY, "14d"), (1_500, "1500ms")],
)
def test_a_duration_is_written_in_its_largest_whole_unit(duration: int, text: str) -> None:
    assert format_duration(duration) == text


@pytest.mark.parametrize("text", [" 15m", "15m ", "15m\n"])
def test_blanks_around_a_duration_do_not_matter(text: str) -> None:
    assert parse_duration(text) == 15 * MINUTE


DESCRIBED = [
    (0, "0 s"),
    (999, "0 s"),
    (SECOND, "1 s"),
    (MINUTE - 1, "59 s"),
    (MINUTE, "1 min"),
    (61 * SECOND, "1 min 1 s"),
    (HOUR - 1, "59 min 59 s"),
    (HOUR, "1 h"),
    (HOUR + 59 * SECOND, "1 h"),
    (HOUR + MINUTE, "1 h 1 min"),
    (DAY, "1 d"),
    (DAY + 5 * MINUTE + 5 * SECOND, "1 d 5 min"),
    (14 * DAY - 40 * MINUTE, "13 d 23 h 20 min"),
    (-90 * MINUTE, "-1 h 30 min"),
]


@pytest.mark.parametrize(("duration", "text"), DESCRIBED)
def test_a_duration_is_said_to_the_second_below_an_hour_and_to_the_minute_above(duration: int, text: str) -> None:
    assert describe_duration(duration) == text


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (MORNING, "2026-01-31T08:00:00.000Z"),
        (MORNING + 7, "2026-01-31T08:00:00.007Z"),
        (LAST, "9999-12-31T23:59:59.999Z"),
        (LAST + 1, "9999-12-31T23:59:59.999Z"),
        (2**63 - 1, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_an_instant_is_written_in_utc_with_milliseconds(instant: int, text: str) -> None:
    assert format_instant(instant) == text


@given(st.integers(0, LAST))
def test_an_instant_is_read_back_as_it_was_written(instant: int) -> None:
    assert parse_instant(format_instant(instant)) == instant


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-01-31T08:00:00Z", MORNING),
        ("2026-01-31T08:00:00.007Z", MORNING + 7),
        ("2026-01-31T08:00:00.0079Z", MORNING + 7),
        ("2026-01-31T16:00:00+08:00", MORNING),
        ("2026-01-31T08:00:00", MORNING),
        (" 2026-01-31 08:00 ", MORNING),
        ("2026-01-31", MORNING - 8 * HOUR),
        ("1969-12-31T23:59:59Z", -SECOND),
    ],
)
def test_a_time_without_a_zone_is_utc(text: str, instant: int) -> None:
    assert parse_instant(text) == instant


@pytest.mark.parametrize(
    "text", ["", "now", "31.01.2026", "2026-13-01", "2026-02-30", "1769846400000", "2026-01-31T25:00"]
)
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a time: .* 2026-01-31T08:00:00Z or 2026-01-31"):
        parse_instant(text)
