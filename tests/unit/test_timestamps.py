"""What a value of a timestamp names, as tables: units, patterns, and what is neither."""

from __future__ import annotations

import pytest

from retention_enforcer.domain.instants import DAY, HOUR, MINUTE, SECOND, parse_instant
from retention_enforcer.domain.timestamps import AT_TIMESTAMP, Mapped, Timestamp, layout_of, unit_problem

NOON = parse_instant("2026-11-27T12:34:56.789Z")


@pytest.mark.parametrize(
    ("unit", "value", "start", "width"),
    [
        (None, NOON, "2026-11-27T12:34:56.789Z", 1),
        ("s", NOON // 1_000, "2026-11-27T12:34:56Z", SECOND),
        ("ms", NOON, "2026-11-27T12:34:56.789Z", 1),
        ("us", NOON * 1_000 + 999, "2026-11-27T12:34:56.789Z", 1),
        ("ns", NOON * 1_000_000 + 999_999, "2026-11-27T12:34:56.789Z", 1),
        ("ns", 2**63 - 1, "2262-04-11T23:47:16.854Z", 1),
        ("ns", 2**64 - 1, "2554-07-21T23:34:33.709Z", 1),
        ("us", -1, "1969-12-31T23:59:59.999Z", 1),
        ("yyyyMMdd", 20261127, "2026-11-27", DAY),
        ("yyyyMMddHH", 2026112712, "2026-11-27T12:00:00Z", HOUR),
        ("yyyyMMddHHmm", "202611271234", "2026-11-27T12:34:00Z", MINUTE),
        ("yyyyMMddHHmmss", 20261127123456, "2026-11-27T12:34:56Z", SECOND),
        ("yyyyMMddHHmmssSSS", 20261127123456789, "2026-11-27T12:34:56.789Z", 1),
        ("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", "2026-11-27T12:34:56.789Z", "2026-11-27T12:34:56.789Z", 1),
        ("yyyy/MM/dd HH:mm", "2024/02/29 00:00", "2024-02-29", MINUTE),
    ],
)
def test_a_value_names_a_period_and_counts_from_its_end(
    unit: str | None, value: int | str, start: str, width: int
) -> None:
    timestamp = Timestamp("t", unit)
    assert timestamp.width == width
    assert timestamp.instant(value) == parse_instant(start) + width - 1


@pytest.mark.parametrize(
    ("unit", "value"),
    [
        ("ms", "abc"),
        ("yyyyMMdd", "2026112"),
        ("yyyyMMdd", "202611271"),
        ("yyyyMMdd", "2026"),
        ("yyyyMMdd", "abcdefgh"),
        ("yyyyMMdd", ""),
        ("yyyyMMdd", "\u0662\u0660261127"),
        ("yyyyMMdd", "20261301"),
        ("yyyyMMdd", "20261100"),
        ("yyyyMMdd", "20260229"),
        ("yyyyMMdd", "19000229"),
        ("yyyyMMdd", "00000101"),
        ("yyyyMMdd", 20261131),
        ("yyyyMMdd", 0),
        ("yyyyMMdd", -20261127),
        ("yyyyMMdd", 202611270),
        ("yyyyMMddHHmmss", 20261127240000),
        ("yyyyMMddHHmmss", 20261127236000),
        ("yyyyMMddHHmmss", 20261127235960),
        ("yyyy-MM-dd", "2026/11/27"),
        ("yyyy-MM-dd", "2026-11-27Z"),
        ("yyyy-MM-dd", 20261127),
    ],
)
def test_what_is_not_written_so_or_is_no_day_names_nothing(unit: str, value: int | str) -> None:
    assert Timestamp("t", unit).instant(value) is None


@pytest.mark.parametrize(
    "unit", ["", "m", "ks", "MS", "yyyy", "yyyyMM", "MMyyyydd", "yyyyMMddSSS", "YYYYMMdd", "yyyyMMddhh"]
)
def test_what_is_neither_a_unit_nor_a_pattern_is_said(unit: str) -> None:
    assert unit_problem(unit) is not None


@pytest.mark.parametrize(
    ("type_", "unit", "first", "before", "expected"),
    [
        ("long", "ns", -(10**18), 10**18, (-(2**63), None, 2**63 - 1)),
        ("unsigned_long", "ns", -5, 10**13, (0, 10**19, None)),
        ("unsigned_long", "ns", 10**12, 2**64, (10**18, None, 2**64 - 1)),
        ("unsigned_long", "us", -9, -3, (0, -3_000, None)),
        ("integer", "s", 0, 2**31 * 1_000, (0, None, 2**31 - 1)),
        ("integer", "yyyyMMddHH", NOON, NOON + HOUR, (2026112712, 2026112713, None)),
    ],
)
def test_a_bound_beyond_what_a_field_takes_is_its_edge(
    type_: str, unit: str, first: int, before: int, expected: tuple[int, int | None, int | None]
) -> None:
    span = Mapped(timestamp=Timestamp("t", unit), type=type_).span(first, before)
    if expected[1] is not None and expected[1] <= expected[0]:
        assert span is None
    else:
        assert span is not None
        assert (span.first, span.before, span.last) == expected


@pytest.mark.parametrize(
    ("type_", "unit", "first", "before"),
    [
        ("integer", "s", 2**31 * 1_000, 2**40 * 1_000),
        ("long", "ns", 10**16, 10**17),
        ("long", "ms", NOON, NOON),
        ("keyword", "yyyyMMdd", 10**15, 10**16),
    ],
)
def test_where_no_value_can_be_there_is_no_span(type_: str, unit: str, first: int, before: int) -> None:
    assert Mapped(timestamp=Timestamp("t", unit), type=type_).span(first, before) is None


def test_only_what_its_values_fit_in_can_hold_a_timestamp() -> None:
    assert set(AT_TIMESTAMP.types) == {"date", "date_nanos"}
    assert set(Timestamp("t", "s").types) == {"long", "unsigned_long", "integer"}
    assert set(Timestamp("t", "us").types) == {"long", "unsigned_long"}
    assert set(Timestamp("t", "yyyyMMddHHmmss").types) == {"long", "keyword"}
    assert set(Timestamp("t", "yyyyMMddHH").types) == {"long", "keyword", "integer"}
    assert set(Timestamp("t", "yyyy-MM-dd").types) == {"keyword"}


def test_the_regular_expression_of_a_pattern_is_short_enough_for_an_index() -> None:
    assert len(layout_of("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'").regexp()) < 1_000, "index.max_regex_length"
