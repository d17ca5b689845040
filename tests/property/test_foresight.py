"""What counts as foreseen, whatever comes into an index and whenever somebody looks; and tables of single looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import DUE_AGE, MARGIN, NOW, category, facts, index
from retention_enforcer.domain.expiry.rules import build_plan
from retention_enforcer.domain.facts import CategoryFacts, Evidence, IndexFacts, Outlook
from retention_enforcer.domain.foresight import Foreseen, foreseen_in, gap_of, horizon_of, outlooks
from retention_enforcer.domain.instants import DAY, HOUR, MINUTE, SECOND
from retention_enforcer.enforcement.memory import remember

HORIZON = horizon_of(5 * MINUTE)
LOGS = category()


def look(
    timestamps: Sequence[int], now: int, before: CategoryFacts | None = None, undated: int = 0, created: int = 0
) -> CategoryFacts:
    """One look at one index that holds these documents, after an earlier look."""
    cut, evidence, at = now - DUE_AGE, {}, None
    if before is not None:
        evidence, at = remember({}, before, (), ahead=outlooks(LOGS, MARGIN, before)), before.as_of
    near = at is not None and 0 <= now - at <= HORIZON
    one = index(
        ages=[now - t for t in timestamps],
        undated=undated,
        index_age=now - (created or NOW - 30 * DAY),
        now=now,
        coming=sum(cut <= t < cut + HORIZON for t in timestamps),
        lately=sum(cut - (now - at) <= t < cut for t in timestamps) if near and at is not None else 0,
        still=sum(cut <= t < cut + HORIZON - (now - at) for t in timestamps) if near and at is not None else 0,
    )
    one = replace(one, evidence=evidence.get(one.uuid))
    return facts(one, now=now, looked_at=at, horizon=HORIZON)


def found(seen: CategoryFacts) -> Foreseen:
    return foreseen_in(seen.indices[0], LOGS, MARGIN, seen)


def before(seen: CategoryFacts) -> Outlook:
    evidence = seen.indices[0].evidence
    assert evidence is not None
    assert evidence.outlook is not None
    return evidence.outlook


gaps = st.sampled_from([SECOND, 5 * MINUTE, HORIZON, HORIZON + 1, 20 * DAY, -HOUR]) | st.integers(0, 2 * HORIZON)
near_the_cut = st.integers(-2 * HORIZON, 3 * HORIZON) | st.sampled_from([-6 * DAY, DAY])
arrivals = st.lists(near_the_cut, max_size=6)
"""By how much they are younger than what is due at the look before they come."""


@given(arrivals, st.lists(st.tuples(gaps, arrivals), min_size=1, max_size=6))
def test_no_more_counts_as_foreseen_than_the_look_before_knew(
    first: list[int], steps: list[tuple[int, list[int]]]
) -> None:
    now, documents = NOW, [NOW - DUE_AGE + away for away in first]
    seen = look(documents, now)
    assert found(seen) == Foreseen(), "a first look foresaw nothing"
    for gap, coming in steps:
        last_cut, surprising = now - DUE_AGE, seen.indices[0].due - found(seen).dated
        came = sum(last_cut <= t < last_cut + gap for t in documents)
        documents += [last_cut + away for away in coming]
        now += gap
        seen = look(documents, now, seen)
        one, known = seen.indices[0], before(seen)
        foreseen = found(seen)
        assert 0 <= foreseen.dated <= min(one.due, known.foreseen + min(came, known.coming))
        assert foreseen.dated <= foreseen.whole <= one.documents
        assert foreseen.whole <= known.documents - (known.due - known.foreseen)
        if not 0 <= gap <= HORIZON:
            assert foreseen.dated <= known.foreseen
            assert gap_of(seen) is not None
        if gap >= 0:  # what came with an age that was due already, and what surprised before, is never foreseen
            assert one.due - foreseen.dated >= surprising + sum(away < 0 for away in coming)


young = st.lists(st.integers(HORIZON, 3 * HORIZON), max_size=6)


@given(young, st.lists(st.tuples(st.integers(0, HORIZON), young), min_size=1, max_size=8))
def test_what_is_known_and_looked_at_in_time_is_all_foreseen(
    first: list[int], steps: list[tuple[int, list[int]]]
) -> None:
    now, documents = NOW, [NOW - DUE_AGE + away for away in first]
    seen = look(documents, now)
    for gap, coming in steps:
        documents += [now - DUE_AGE + away for away in coming]
        now += gap
        seen = look(documents, now, seen)
        assert found(seen).dated == seen.indices[0].due


@given(st.lists(st.tuples(st.integers(1, HORIZON), arrivals), min_size=1, max_size=6), st.integers(0, 50))
def test_what_surprised_once_never_becomes_foreseen_by_being_looked_at(
    steps: list[tuple[int, list[int]]], surprises: int
) -> None:
    now, documents = NOW, [NOW - DUE_AGE - DAY] * surprises
    seen = look(documents, now)
    for gap, coming in steps:
        documents += [now - DUE_AGE + away for away in coming]
        now += gap
        seen = look(documents, now, seen)
        assert seen.indices[0].due - found(seen).dated >= surprises


# --- single looks -------------------------------------------------------------------------------------

CUT = NOW - DUE_AGE
LATER = NOW + 5 * MINUTE


def foreseen(documents: Sequence[int], then: Sequence[int], at: int = LATER, **more: int) -> int:
    """How many documents of the one purge were foreseen."""
    seen = look(then, at, look(documents, NOW, **more), **more)
    (planned,) = build_plan(LOGS, MARGIN, seen, at).purge
    return planned.foreseen


SOON = CUT + MINUTE
"""Due a minute later."""


@pytest.mark.parametrize(
    ("known", "then", "expected"),
    [
        pytest.param([SOON] * 9, [SOON] * 9, 9, id="seen coming"),
        pytest.param([CUT - 1] * 9, [CUT - 1] * 9, 0, id="due at the look before"),
        pytest.param([CUT] * 9, [CUT] * 9, 9, id="not due by a millisecond"),
        pytest.param([], [SOON] * 9, 0, id="came since"),
        pytest.param([SOON], [SOON] * 9, 1, id="one was seen coming, the others came since"),
        pytest.param([SOON], [CUT - DAY] * 9, 0, id="others that were due already"),
        pytest.param([SOON, SOON + HOUR], [SOON, SOON + HOUR], 2, id="a young one that was known goes along"),
        pytest.param([SOON], [SOON, *[SOON + HOUR] * 5], 1, id="young ones that came since do not"),
        pytest.param([SOON + HOUR] * 5, [CUT - HOUR, *[SOON + HOUR] * 5], 0, id="a surprise takes known ones along"),
        pytest.param([SOON, SOON + 2 * DAY], [SOON, SOON + 2 * DAY], 1, id="a trim takes what is due"),
        pytest.param([SOON, SOON + 2 * DAY], [*[SOON] * 7, SOON + 2 * DAY], 1, id="a trim takes what came since"),
    ],
)
def test_of_what_a_plan_takes_so_many_were_foreseen(known: list[int], then: list[int], expected: int) -> None:
    assert foreseen(known, then) == expected


@pytest.mark.parametrize(
    ("gap", "expected"), [(0, 0), (MINUTE, 0), (MINUTE + 1, 9), (HORIZON, 9), (HORIZON + 1, 0), (20 * DAY, 0)]
)
def test_only_a_look_within_the_horizon_foresees(gap: int, expected: int) -> None:
    seen = look([SOON] * 9, NOW + gap, look([SOON] * 9, NOW))
    assert found(seen).dated == expected


def test_what_was_foreseen_and_still_there_stays_so_also_after_a_gap() -> None:
    first = look([SOON] * 9, NOW)
    second = look([SOON] * 9, LATER, first)
    third = look([*[SOON] * 9, *[SOON + HOUR] * 50], LATER + DAY, second)
    assert found(third).dated == 9
    assert third.indices[0].due == 59


CREATED_SOON = CUT + MINUTE


@pytest.mark.parametrize(
    ("created", "then", "at", "expected"),
    [
        pytest.param(CREATED_SOON, 9, LATER, 9, id="known before the index was due"),
        pytest.param(CREATED_SOON, 12, LATER, 9, id="three came since"),
        pytest.param(CREATED_SOON, 9, NOW + DAY, 0, id="after a gap"),
        pytest.param(CUT - 1, 9, LATER, 0, id="due at the look before"),
    ],
)
def test_documents_without_a_date_were_foreseen_if_they_were_known(
    created: int, then: int, at: int, expected: int
) -> None:
    seen = look([], at, look([], NOW, undated=9, created=created), undated=then, created=created)
    assert found(seen).whole == found(seen).undated == expected


def test_a_gap_says_whether_anything_is_younger_than_the_look_before() -> None:
    first = look([NOW - DAY], NOW)
    stepped, slept = look([NOW - DAY], NOW + 20 * DAY, first), look([NOW - DAY, NOW + DAY], NOW + 20 * DAY, first)
    assert [(gap.length, gap.nothing_younger) for gap in map(gap_of, (stepped, slept)) if gap] == [
        (20 * DAY, True),
        (20 * DAY, False),
    ]
    assert gap_of(first) is None
    assert gap_of(look([], LATER, first)) is None


def test_without_evidence_of_this_policy_nothing_is_foreseen() -> None:
    seen = look([SOON] * 9, LATER, look([SOON] * 9, NOW))
    one: IndexFacts = replace(seen.indices[0], evidence=Evidence(oldest=None, first_seen=NOW, documents=9))
    assert foreseen_in(one, LOGS, MARGIN, seen) == Foreseen()
    assert foreseen_in(replace(one, evidence=None), LOGS, MARGIN, seen) == Foreseen()
