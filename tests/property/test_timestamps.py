"""Value, instant and bound agree for every unit and pattern: what goes is what is older than the cut, and only that."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from retention_enforcer.domain.instants import DAY
from retention_enforcer.domain.timestamps import Mapped, Timestamp, layout_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PATTERNS = ("yyyyMMdd", "yyyyMMddHH", "yyyyMMddHHmm", "yyyyMMddHHmmss", "yyyyMMddHHmmssSSS")
SPELLED = (
    "yyyy-MM-dd",
    "yyyy.MM.dd HH",
    "yyyy-MM-dd'T'HH:mm",
    "'at 'yyyy/MM/dd#HH:mm:ss",
    "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'",
)
LIMITS = {"integer": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1), "unsigned_long": (0, 2**64 - 1)}
UNITS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
"""Nanoseconds."""

instants = st.one_of(
    st.integers(0, 4 * 10**12),
    st.integers(-(2**63) // 10**6, 2**64 // 10**6),
    st.integers(-(10**15), 10**15),
    st.sampled_from([0, -1, 1, 999, 1_000, DAY, DAY - 1, 2**63 // 10**6, 2**64 // 10**6 + 1]),
)


def chosen(mapped: Mapped, value: int | str, first: int, before: int) -> bool:
    """Whether a range from what is asked takes a value, as Elasticsearch compares them."""
    span = mapped.span(first, before)
    if span is None:
        return False
    if isinstance(value, str):
        assert isinstance(span.first, str)
        return span.first <= value and (span.before is None or value < str(span.before))
    assert isinstance(span.first, int)
    low, high = LIMITS[mapped.type]
    assert all(low <= bound <= high for bound in (span.first, span.before, span.last) if isinstance(bound, int))
    below = span.before is None or value < int(span.before)
    return span.first <= value and below and (span.last is None or value <= span.last)


@st.composite
def numbers(draw: st.DrawFn) -> tuple[Mapped, int, int]:
    """A number of a unit, as a field takes it, and an instant near it, or anywhere."""
    unit = draw(st.sampled_from(sorted(UNITS)))
    type_ = draw(st.sampled_from(Timestamp("t", unit).types))
    low, high = LIMITS[type_]
    near = draw(instants) * 1_000_000 // UNITS[unit] + draw(st.integers(-2, 2))
    value = draw(st.one_of(st.integers(low, high), st.just(min(max(near, low), high)), st.sampled_from([low, high])))
    about = value * UNITS[unit] // 1_000_000
    cut = draw(st.one_of(instants, st.integers(about - 1_001, about + 1_001)))
    return Mapped(timestamp=Timestamp("t", unit), type=type_), value, cut


@given(numbers(), st.integers(0, 10**13))
def test_a_number_goes_if_and_only_if_its_instant_is_older_than_the_cut(
    drawn: tuple[Mapped, int, int], length: int
) -> None:
    mapped, value, cut = drawn
    unit = UNITS[str(mapped.timestamp.unit)]
    end = max((value * unit + unit - 1) // 1_000_000, value * unit // 1_000_000)
    assert mapped.timestamp.instant(value) == end
    assert chosen(mapped, value, cut - length, cut) is (cut - length <= end < cut)


def milliseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(milliseconds=1)


@st.composite
def written(draw: st.DrawFn) -> tuple[Mapped, int | str, int]:
    """A value of a pattern, and the instant at which its period begins."""
    pattern = draw(st.sampled_from(PATTERNS + SPELLED))
    timestamp = Timestamp("t", pattern)
    type_ = draw(st.sampled_from(timestamp.types))
    last = datetime(2147 if type_ == "integer" else 9999, 1, 1, tzinfo=UTC)
    start = draw(st.integers(milliseconds(datetime(1, 1, 1, tzinfo=UTC)), milliseconds(last)))
    start -= start % timestamp.width
    begins = EPOCH + timedelta(milliseconds=start)
    parts = {"yyyy": f"{begins.year:04d}", "SSS": f"{begins.microsecond // 1_000:03d}"}
    parts |= {
        "MM": f"{begins:%m}",
        "dd": f"{begins:%d}",
        "HH": f"{begins:%H}",
        "mm": f"{begins:%M}",
        "ss": f"{begins:%S}",
    }
    text = re.sub("yyyy|MM|dd|HH|mm|ss|SSS", lambda part: parts[part[0]], pattern).replace("'", "")
    return Mapped(timestamp=timestamp, type=type_), text if type_ == "keyword" else int(text), start


@given(written(), st.data())
def test_a_value_of_a_pattern_goes_if_and_only_if_its_period_has_ended_before_the_cut(
    drawn: tuple[Mapped, int | str, int], data: st.DataObject
) -> None:
    mapped, value, start = drawn
    end = start + mapped.timestamp.width - 1
    assert mapped.timestamp.instant(value) == end
    cut = data.draw(st.one_of(instants, st.integers(start - 2, start + 2), st.integers(end - 2, end + 2)))
    first = data.draw(st.one_of(st.just(cut - 1), st.just(-(10**15)), st.integers(end - 2, end + 2)))
    assert chosen(mapped, value, first, cut) is (first <= end < cut)


@given(st.sampled_from(PATTERNS + SPELLED), st.data())
def test_the_regular_expression_takes_what_names_a_period_and_nothing_else(pattern: str, data: st.DataObject) -> None:
    layout = layout_of(pattern)
    digit = st.sampled_from("0123456789")
    one = data.draw(
        st.one_of(
            st.tuples(
                *[
                    st.just(p) if n % 2 == 0 else st.text(digit, min_size=len(p), max_size=len(p))
                    for n, p in enumerate(layout.pieces)
                ]
            ).map("".join),
            st.from_regex(layout.regexp(), fullmatch=True, alphabet=st.characters(max_codepoint=126)),
            st.text(st.sampled_from("0123456789-/.: T"), max_size=24),
        )
    )
    takes = re.fullmatch(layout.regexp(), one, re.ASCII) is not None
    assert takes is (layout.start(one) is not None) or one.startswith(layout.pieces[0] + "0000")
