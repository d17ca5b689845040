"""The lifecycle of a data stream: which age its documents reach, and which retention keeps a promise."""

from __future__ import annotations

import pytest

from builders import MARGIN, category
from retention_enforcer.domain.findings import FindingKind
from retention_enforcer.domain.instants import DAY, HOUR, MINUTE, format_duration, parse_duration
from retention_enforcer.domain.lifecycles.compiler import Unmeetable
from retention_enforcer.domain.lifecycles.streams import (
    StreamLifecycle,
    StreamRetention,
    StreamRollover,
    automatic_rollover,
    compile_stream_retention,
    deletes_from,
    greatest_age,
    judge_stream,
)
from retention_enforcer.domain.policy.promises import Category

POLL = 5 * MINUTE
AUTO = StreamRollover(max_age=DAY, automatic=True)
MEMBER = frozenset({".ds-logs-000001"})


def lifecycle(
    retention: int | None = 30 * DAY,
    rollover: StreamRollover | None = None,
    *,
    enabled: bool = True,
    members: frozenset[str] = MEMBER,
    determined_by: str = "data_stream_configuration",
    rules_the_next: bool = True,
) -> StreamLifecycle:
    return StreamLifecycle(
        stream="logs-app",
        body={},
        asked=None,
        enabled=enabled,
        retention=retention,
        determined_by=determined_by,
        rollover=rollover or StreamRollover(max_age=automatic_rollover(retention), automatic=True),
        members=members,
        rules_the_next=rules_the_next,
    )


@pytest.mark.parametrize(
    ("retention", "age"),
    [
        ("1s", DAY),
        ("1d", DAY),
        ("14d", DAY),
        ("337h", 7 * DAY),
        ("90d", 7 * DAY),
        ("91d", 30 * DAY),
        ("365d", 30 * DAY),
        (None, 30 * DAY),
    ],
)
def test_the_steps_of_auto_as_measured_on_8_17(retention: str | None, age: int) -> None:
    assert automatic_rollover(None if retention is None else parse_duration(retention)) == age


@pytest.mark.parametrize(
    ("of", "age"),
    [
        (lifecycle(30 * DAY), 37 * DAY + 3 * POLL),
        (lifecycle(HOUR), DAY + HOUR + 3 * POLL),
        (lifecycle(None), None),
        (lifecycle(HOUR, StreamRollover(max_age=6 * HOUR)), 7 * HOUR + 3 * POLL),
        (lifecycle(HOUR, StreamRollover(max_age=None)), None),
        (lifecycle(HOUR, StreamRollover(max_age=HOUR, may_wait=True)), None),
    ],
)
def test_the_greatest_age(of: StreamLifecycle, age: int | None) -> None:
    assert greatest_age(of, POLL) == age


@pytest.mark.parametrize(
    ("limit", "rollover", "retention", "age"),
    [
        ("14d", "1d", 12 * DAY + 21 * HOUR + 45 * MINUTE, DAY),
        ("30d", "7d", 22 * DAY + 21 * HOUR + 45 * MINUTE, 7 * DAY),
        ("180d", "30d", 149 * DAY + 21 * HOUR + 45 * MINUTE, 30 * DAY),
    ],
)
def test_the_greatest_retention_that_keeps_the_promise(limit: str, rollover: str, retention: int, age: int) -> None:
    found = compile_stream_retention(_category(limit, rollover), HOUR, AUTO, POLL)
    assert isinstance(found, StreamRetention)
    assert (found.retention, found.rollover_age) == (retention, age)


@pytest.mark.parametrize(
    ("limit", "rollover", "of", "says"),
    [
        ("26h", "1h", AUTO, "no time for a retention"),
        ("18d", "1d", AUTO, "without deleting days too early"),
        ("100d", "7d", AUTO, "without deleting days too early"),
        ("30d", "1d", AUTO, "set rollover: 7d for the category"),
        ("14d", "1d", StreamRollover(max_age=None), "no fixed age"),
        ("14d", "1d", StreamRollover(max_age=DAY, may_wait=True), "no fixed age"),
        ("14d", "1d", StreamRollover(max_age=2 * DAY), "set rollover: 2d for the category"),
        ("14d", "1d", StreamRollover(max_age=20 * DAY), "no time for a retention"),
    ],
)
def test_where_no_retention_keeps_it(limit: str, rollover: str, of: StreamRollover, says: str) -> None:
    found = compile_stream_retention(_category(limit, rollover), HOUR, of, POLL)
    assert isinstance(found, Unmeetable)
    assert says in f"{found.arithmetic} {found.remedy}"


@pytest.mark.parametrize(("poll", "fits"), [(8 * HOUR, True), (8 * HOUR + MINUTE, False), (4 * DAY, False)])
def test_polls_that_would_delete_more_than_a_rollover_too_early_keep_no_promise(poll: int, fits: bool) -> None:
    found = compile_stream_retention(_category("14d", "1d"), HOUR, AUTO, poll)
    assert isinstance(found, StreamRetention) is fits
    if isinstance(found, Unmeetable):
        assert f"3 polls of {format_duration(poll)}" in found.arithmetic
        assert "data_streams.lifecycle.poll_interval" in found.remedy


def test_a_fixed_rollover_age_has_no_steps() -> None:
    found = compile_stream_retention(_category("18d", "1d"), HOUR, StreamRollover(max_age=DAY), POLL)
    assert isinstance(found, StreamRetention)
    assert found.retention == 17 * DAY - 2 * HOUR - 3 * POLL


@pytest.mark.parametrize(
    ("of", "says"),
    [
        (
            lifecycle(30 * DAY),
            ["37 d 15 min", "rollover at 7d (automatic) + retention 30d + 3 polls of 5m", "18585m"],
        ),
        (lifecycle(14 * DAY), ["15 d 15 min", "rollover at 1d (automatic)"]),
        (lifecycle(None), ["has no retention and deletes nothing"]),
        (lifecycle(DAY, StreamRollover(max_age=None)), ["no age at which it certainly rolls over"]),
        (lifecycle(100 * DAY, determined_by="max_global_retention"), ["retention 100d (max_global_retention)"]),
        (lifecycle(30 * DAY, members=frozenset()), ["37 d 15 min"]),
        (lifecycle(30 * DAY, rules_the_next=False), ["37 d 15 min"]),
    ],
)
def test_a_lifecycle_that_lets_documents_outlive_the_limit_is_a_finding(of: StreamLifecycle, says: list[str]) -> None:
    found = judge_stream(_category("14d", "1d"), MARGIN, of, POLL)
    assert found is not None
    assert (found.kind, found.about) == (FindingKind.LIFECYCLE_FOREIGN, "logs-app")
    for part in says:
        assert part in f"{found.text} {found.remedy}"


@pytest.mark.parametrize(
    "of",
    [
        lifecycle(12 * DAY),
        lifecycle(30 * DAY, enabled=False),
        lifecycle(30 * DAY, members=frozenset(), rules_the_next=False),
    ],
)
def test_one_that_keeps_the_limit_or_does_not_act_is_none(of: StreamLifecycle) -> None:
    assert judge_stream(_category("14d", "1d"), MARGIN, of, POLL) is None


def test_a_category_without_a_maximum_age_has_nothing_to_judge_by() -> None:
    assert judge_stream(category(max_age=None, after_termination=7 * DAY), MARGIN, lifecycle(), POLL) is None


def test_the_retention_that_a_finding_proposes_is_none_itself() -> None:
    under = _category("14d", "1d")
    fitting = compile_stream_retention(under, MARGIN, AUTO, POLL)
    assert isinstance(fitting, StreamRetention)
    assert judge_stream(under, MARGIN, lifecycle(fitting.retention), POLL) is None


@pytest.mark.parametrize(
    ("of", "rolled_over", "dated", "at"),
    [
        (lifecycle(), None, None, 30 * DAY),
        (lifecycle(), DAY, None, 31 * DAY),
        (lifecycle(), DAY, 5 * DAY, 35 * DAY),
        (lifecycle(), DAY, 0, 30 * DAY),
        (lifecycle(None), DAY, None, None),
        (lifecycle(enabled=False), DAY, None, None),
    ],
)
def test_from_when_on_an_index_can_be_deleted(
    of: StreamLifecycle, rolled_over: int | None, dated: int | None, at: int | None
) -> None:
    assert deletes_from(of, created=0, rolled_over=rolled_over, dated=dated) == at


def _category(limit: str, rollover: str) -> Category:
    return category(max_age=parse_duration(limit), rollover=parse_duration(rollover))
