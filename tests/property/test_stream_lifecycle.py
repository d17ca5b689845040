"""What holds of every retention that is compiled for a data stream, at the worst of polls.

The simulation takes its steps from what was measured on 8.17: one poll notices the rollover, a later one the retention,
and a new master waits a whole poll before its first look.
"""

from __future__ import annotations

from hypothesis import assume, event, given
from hypothesis import strategies as st

from builders import category
from retention_enforcer.domain.instants import DAY, HOUR, SECOND
from retention_enforcer.domain.lifecycles.compiler import lateness
from retention_enforcer.domain.lifecycles.streams import (
    StreamLifecycle,
    StreamRetention,
    StreamRollover,
    automatic_rollover,
    compile_stream_retention,
    judge_stream,
)
from retention_enforcer.domain.policy.promises import SPAN_TOLERANCE

LIMITS = st.integers(30 * SECOND, 400 * DAY) | st.integers(1, 200).map(lambda days: days * DAY)
ROLLOVERS = st.none() | st.integers(SECOND, 40 * DAY) | st.just(DAY)


def noticed(instant: int, offset: int, poll: int) -> int:
    """The first poll that finds this instant over; polls come at offset, offset + poll, ..."""
    return instant + (offset - instant) % poll


@given(
    limit=LIMITS,
    share=st.integers(5, 400),
    fixed=ROLLOVERS,
    spans=st.integers(1, 31) | st.none(),
    poll=st.integers(SECOND, 20 * 60 * SECOND),
    offset=st.integers(0, 20 * 60 * SECOND),
    master=st.booleans(),
    data=st.data(),
)
def test_no_document_outlives_the_limit_nor_goes_early(
    *,
    limit: int,
    share: int,
    fixed: int | None,
    spans: int | None,
    poll: int,
    offset: int,
    master: bool,
    data: st.DataObject,
) -> None:
    margin = min(HOUR, limit // 4)
    rollover = StreamRollover(max_age=fixed) if fixed is not None else StreamRollover(max_age=DAY, automatic=True)
    span = spans * DAY if spans is not None else max(SECOND, limit // share)
    under = category(max_age=limit, rollover=span)
    found = compile_stream_retention(under, margin, rollover, poll)
    event(type(found).__name__)
    assume(isinstance(found, StreamRetention))
    assert isinstance(found, StreamRetention)
    assert found.retention > 0
    age = automatic_rollover(found.retention) if fixed is None else fixed
    assert age == found.rollover_age, "the retention changes the step that it was compiled for"
    assert age <= SPAN_TOLERANCE * span

    late = lateness(margin)
    written = data.draw(st.integers(-late, age), label="when a document was dated, after the creation of its index")
    rolled = noticed(age, offset, poll)
    gone = noticed(rolled + found.retention, offset, poll) + (poll if master else 0)
    assert gone - written <= limit - margin
    assert gone - written >= limit - margin - age - late - 3 * poll - SECOND
    assert 3 * poll <= span, "else that may be days too early"


@given(limit=LIMITS, poll=st.integers(SECOND, 600 * SECOND))
def test_what_is_compiled_is_no_finding(limit: int, poll: int) -> None:
    margin = min(HOUR, limit // 4)
    under = category(max_age=limit, rollover=30 * DAY)
    found = compile_stream_retention(under, margin, StreamRollover(max_age=DAY, automatic=True), poll)
    assume(isinstance(found, StreamRetention))
    assert isinstance(found, StreamRetention)
    lifecycle = StreamLifecycle(
        stream="logs",
        body={},
        asked=None,
        enabled=True,
        retention=found.retention,
        determined_by=None,
        rollover=StreamRollover(max_age=found.rollover_age, automatic=True),
        members=frozenset(),
        rules_the_next=True,
    )
    assert judge_stream(under, margin, lifecycle, poll) is None
