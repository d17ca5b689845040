"""Where the lifecycle of a data stream hangs, told by what should have come about and did not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from builders import NOW, facts, index
from retention_enforcer.cluster.lifecycles.streams import stream_error
from retention_enforcer.domain.facts import Block, IndexFacts
from retention_enforcer.domain.findings import Finding
from retention_enforcer.domain.instants import DAY, HOUR, MINUTE
from retention_enforcer.domain.lifecycles.choice import Attachment
from retention_enforcer.domain.lifecycles.exemption import FAR_AHEAD
from retention_enforcer.domain.lifecycles.stream_watch import StreamError, StreamSurroundings, watch_stream
from retention_enforcer.domain.lifecycles.streams import StreamLifecycle, StreamRollover

POLL = 5 * MINUTE
BY_STREAM = StreamLifecycle(
    stream="logs",
    body={},
    asked=None,
    enabled=True,
    retention=12 * DAY,
    determined_by=None,
    rollover=StreamRollover(max_age=DAY, automatic=True),
    members=frozenset({"rolled", "writing", "blocked"}),
    rules_the_next=True,
)
BLOCKED = StreamError(type="cluster_block_exception", reason="index [x] blocked by: [FORBIDDEN/5]")


def member(name: str = "rolled", age: int = HOUR, **more: Any) -> IndexFacts:
    return index(name, ages=[age], index_age=age, stream="logs", **more)


def attached(one: IndexFacts, since_rollover: int | None = None, **more: Any) -> Attachment:
    rolled = None if since_rollover is None else NOW - since_rollover
    return Attachment(uuid=one.uuid, stream="logs", stream_lifecycle=True, rolled_over=rolled, **more)


def watch(
    *members: tuple[IndexFacts, Attachment],
    lifecycle: StreamLifecycle = BY_STREAM,
    errors: dict[str, StreamError] | None = None,
    snapshotting: tuple[str, ...] = (),
) -> list[tuple[str, str]]:
    around = StreamSurroundings(poll=POLL, errors=errors or {}, snapshotting=snapshotting)
    seen = facts(*(one for one, _ in members))
    found: tuple[Finding, ...] = watch_stream(lifecycle, seen, {one.name: there for one, there in members}, around)
    return [(str(finding.kind), f"{finding.text} {finding.remedy}") for finding in found]


ROLLED = member("rolled", 20 * DAY)
LATE = 12 * DAY + 3 * POLL


@pytest.mark.parametrize(
    ("one", "since_rollover", "given", "kind", "says"),
    [
        (ROLLED, LATE + 1, {}, "lifecycle-stuck", "should have deleted it 15 min ago; no error is reported"),
        (
            replace(ROLLED, blocks=frozenset({Block.READ_ONLY})),
            LATE + 1,
            {},
            "lifecycle-blocked",
            "index.blocks.read_only",
        ),
        (ROLLED, 12 * DAY, {"errors": {"rolled": BLOCKED}}, "lifecycle-error", "FORBIDDEN/5"),
        (ROLLED, LATE + 1, {"snapshotting": ("rolled",)}, "lifecycle-snapshot", "a snapshot of it is in progress"),
        (replace(ROLLED, end_time=NOW + HOUR), LATE + 1, {}, "lifecycle-late", "end of the time series, 1 h from now"),
    ],
)
def test_an_index_that_should_be_gone_and_is_not(
    one: IndexFacts, since_rollover: int, given: dict[str, Any], kind: str, says: str
) -> None:
    ((found, text),) = watch((one, attached(one, since_rollover)), **given)
    assert found == kind
    assert says in text


@pytest.mark.parametrize(
    ("one", "there"),
    [
        (ROLLED, attached(ROLLED, LATE)),
        (ROLLED, attached(ROLLED, DAY)),
        (ROLLED, attached(ROLLED, LATE + 1, origination=FAR_AHEAD)),
        (ROLLED, attached(ROLLED, LATE + 1, policy="theirs")),
        (ROLLED, replace(attached(ROLLED, LATE + 1), uuid="another")),
        (replace(ROLLED, stream="another"), attached(ROLLED, LATE + 1)),
        (ROLLED, replace(attached(ROLLED, LATE + 1), stream_lifecycle=False)),
    ],
    ids=["in time", "young", "exempt", "ruled by ILM", "another index", "another stream", "switched off"],
)
def test_one_that_is_in_time_or_not_its_to_delete_is_no_finding(one: IndexFacts, there: Attachment) -> None:
    assert watch((one, there)) == []


@pytest.mark.parametrize("lifecycle", [replace(BY_STREAM, enabled=False), replace(BY_STREAM, retention=None)])
def test_what_deletes_nothing_is_late_with_nothing(lifecycle: StreamLifecycle) -> None:
    assert watch((ROLLED, attached(ROLLED, 400 * DAY)), lifecycle=lifecycle) == []


def test_a_closed_index_that_cannot_be_merged_is_deleted_all_the_same() -> None:
    error = StreamError(type="index_closed_exception", reason="closed")
    assert watch((ROLLED, attached(ROLLED, 12 * DAY)), errors={"rolled": error}) == []


def test_one_that_no_lifecycle_rules_is_named_at_once() -> None:
    one = member("unmanaged", DAY)
    ((kind, text),) = watch((one, attached(one, HOUR)))
    assert kind == "lifecycle-stuck"
    assert "index.lifecycle.name is empty" in text


def test_a_date_ahead_of_the_rollover_keeps_an_index_that_would_be_gone() -> None:
    ((kind, text),) = watch((ROLLED, attached(ROLLED, LATE + 1, origination=NOW + DAY)))
    assert kind == "lifecycle-late"
    assert "index.lifecycle.origination_date" in text
    assert watch((ROLLED, attached(ROLLED, DAY, origination=NOW + DAY))) == [], "it is not due by its rollover either"


WRITING = member("writing", DAY + 3 * POLL + 1, write_index=True)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "reports no error"),
        (
            {"errors": {"writing": StreamError(type="validation_exception", reason="shards")}},
            "validation_exception: shards",
        ),
        ({"snapshotting": ("writing",)}, "a snapshot of the data stream is in progress"),
    ],
)
def test_a_write_index_that_should_have_been_rolled_over(given: dict[str, Any], says: str) -> None:
    ((kind, text),) = watch((WRITING, attached(WRITING)), **given)
    assert kind == "stream-not-rolled-over"
    assert says in text


def test_a_blocked_member_that_stops_the_rollover_of_the_whole_stream_is_named() -> None:
    blocked = member("blocked", 2 * DAY, blocks=frozenset({Block.READ_ONLY}))
    young = replace(WRITING, created=NOW - DAY)
    pairs = ((blocked, attached(blocked, DAY)), (young, attached(young)))
    ((kind, text),) = watch(*pairs, errors={"writing": BLOCKED})
    assert kind == "stream-not-rolled-over"
    assert "a block of blocked" in text


@pytest.mark.parametrize(
    "one",
    [
        replace(WRITING, created=NOW - DAY - 3 * POLL),
        index("writing", index_age=40 * DAY, stream="logs", write_index=True),
    ],
    ids=["in time", "empty"],
)
def test_a_write_index_that_waits_is_no_finding(one: IndexFacts) -> None:
    assert watch((one, attached(one))) == []


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ('{"type":"a_exception","reason":"b"}', StreamError(type="a_exception", reason="b")),
        ('{"type":"a_exception"}', StreamError(type="a_exception", reason="")),
        ("[1]", StreamError(type="", reason="[1]")),
        ("it failed", StreamError(type="", reason="it failed")),
    ],
)
def test_what_an_error_says(message: str, expected: StreamError) -> None:
    assert stream_error(message) == expected
