"""Where lifecycles hang, judged on answers recorded from a real server: tests/data says from which, and when."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builders import MARGIN, category, index
from retention_enforcer.domain.facts import Block, IndexFacts
from retention_enforcer.domain.findings import Finding, FindingKind, Severity
from retention_enforcer.domain.instants import DAY, HOUR, MINUTE, SECOND
from retention_enforcer.domain.lifecycles.compiler import LifecyclePolicy, Variant
from retention_enforcer.domain.lifecycles.foreign import judge_foreign, milliseconds
from retention_enforcer.domain.lifecycles.watch import (
    Explained,
    LifecycleService,
    expected_deletion,
    judge_managed,
    judge_service,
)

RECORDED = json.loads((Path(__file__).parent.parent / "data" / "ilm-explain-8.10.4.json").read_text(encoding="utf-8"))
POLL = int(RECORDED["poll"])
AROUND = LifecycleService(poll=POLL)
STOPPED = LifecycleService(poll=POLL, status="STOPPED")


def case(name: str) -> tuple[Explained, int]:
    """A recorded answer, and when it was given."""
    recorded = RECORDED["cases"][name]
    entry = recorded["entry"]
    return Explained.of(entry["index"], entry), int(recorded["now"])


def policy_of(explained: Explained) -> LifecyclePolicy | None:
    """The policy that is attached, with the ages that it had when the answer was recorded."""
    variant = next((v for v in Variant if explained.policy == f"retention-trtc-backend-logs-{v}"), None)
    if variant is None:
        return None
    phases = RECORDED["policies"][variant]
    max_age = milliseconds(phases["hot"]["actions"]["rollover"]["max_age"]) if "hot" in phases else None
    min_age = milliseconds(phases["delete"]["min_age"])
    assert min_age is not None
    return LifecyclePolicy(
        name=str(explained.policy), variant=variant, max_age=max_age, min_age=min_age, polls=4, body={}
    )


def judged(
    name: str, *, around: LifecycleService = AROUND, later: int = 0, facts: IndexFacts | None = None, **more: Any
) -> Finding | None:
    explained, now = case(name)
    return judge_managed(category(), explained, policy_of(explained), around, now + later, facts=facts, **more)


def one(name: str, **more: Any) -> IndexFacts:
    return index(case(name)[0].index, ages=[1], **more)


# --- what hangs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "plain-waiting",
        "plain-dated",
        "write-index-waiting",
        "rolled-waiting",
        "unmanaged",
        "stopped-new",
        "stopped-old",
    ],
)
def test_what_waits_as_it_should_is_no_finding(name: str) -> None:
    assert judged(name, around=STOPPED if name.startswith("stopped") else AROUND, facts=one(name)) is None


HANGS: list[tuple[str, dict[str, Any], FindingKind, str]] = [
    (
        "stale",
        {},
        FindingKind.LIFECYCLE_STALE,
        (
            "in hot/rollover/check-rollover-ready under policy retention-trtc-backend-logs-rolled, although "
            "retention-trtc-backend-logs-plain is attached"
        ),
    ),
    (
        "missing-policy",
        {},
        FindingKind.LIFECYCLE_MISSING,
        "its lifecycle policy retention-trtc-backend-logs-plai does not exist",
    ),
    (
        "write-index-in-delete",
        {"facts": one("write-index-in-delete", write_index=True, stream="logs")},
        FindingKind.LIFECYCLE_WRITE_INDEX,
        "it is the write index",
    ),
    ("closed-error", {"closed": True}, FindingKind.LIFECYCLE_CLOSED, "closed"),
    ("closed-between", {"closed": True}, FindingKind.LIFECYCLE_CLOSED, "closed"),
    ("closed-error", {}, FindingKind.LIFECYCLE_CLOSED, "closed"),
    ("plain-waiting", {"closed": True}, FindingKind.LIFECYCLE_CLOSED, "closed"),
    (
        "read-only-error",
        {},
        FindingKind.LIFECYCLE_ERROR,
        (
            "fails in step delete, 2 retries so far: cluster_block_exception: index [backend-logs-ro] "
            "blocked by: [FORBIDDEN/5/index read-only (api)];"
        ),
    ),
    ("read-only-between", {}, FindingKind.LIFECYCLE_ERROR, "fails in step delete, 7 retries"),
    (
        "read-only-between",
        {"facts": one("read-only-between", blocks=frozenset({Block.READ_ONLY, Block.WRITE}))},
        FindingKind.LIFECYCLE_BLOCKED,
        "index.blocks.read_only",
    ),
    (
        "plain-waiting",
        {"facts": one("plain-waiting", blocks=frozenset({Block.METADATA}))},
        FindingKind.LIFECYCLE_BLOCKED,
        "index.blocks.metadata",
    ),
    (
        "no-rollover-alias-error",
        {},
        FindingKind.LIFECYCLE_ERROR,
        (
            "fails in step check-rollover-ready, 1 retry so far: illegal_argument_exception: setting "
            "[index.lifecycle.rollover_alias] for index [backend-logs-clone-000001] is empty or not defined"
        ),
    ),
    (
        "no-rollover-alias-between",
        {},
        FindingKind.LIFECYCLE_ERROR,
        "fails in step check-rollover-ready, 2 retries",
    ),
    (
        "snapshot-running",
        {"around": replace(AROUND, snapshotting=frozenset({"backend-logs-snap"}))},
        FindingKind.LIFECYCLE_SNAPSHOT,
        "a snapshot of it is in progress",
    ),
    # Two polls after its action began it should have been gone.
    (
        "snapshot-running",
        {"later": 2 * POLL},
        FindingKind.LIFECYCLE_STUCK,
        "should have deleted it 5 s ago, but waits in delete",
    ),
    (
        "plain-waiting",
        {"later": HOUR + 10 * SECOND},
        FindingKind.LIFECYCLE_STUCK,
        "waits in new/complete without an error",
    ),
]


@pytest.mark.parametrize(("name", "given", "kind", "text"), HANGS, ids=[f"{n} {h[0]}" for n, h in enumerate(HANGS)])
def test_each_hang_is_named_rightly_with_its_remedy(
    name: str, given: dict[str, Any], kind: FindingKind, text: str
) -> None:
    found = judged(name, **given)
    assert found is not None
    assert (found.kind, found.severity, found.index) == (kind, Severity.WARNING, case(name)[0].index)
    assert found.text.startswith(f"{found.index}: ")
    assert text in found.text
    assert found.remedy


def test_a_snapshot_of_an_index_that_waits_for_its_age_hinders_nothing() -> None:
    around = replace(AROUND, snapshotting=frozenset({case("plain-waiting")[0].index}))
    assert judged("plain-waiting", around=around) is None


def test_a_finding_has_the_uuid_of_an_index_that_was_set_apart() -> None:
    found = judged("closed-error", closed=True, uuid="u1")
    assert found is not None
    assert found.uuid == "u1"


def test_stopped_lifecycles_are_one_finding_of_the_cluster_and_nothing_is_stuck_for_them() -> None:
    found = judge_service(STOPPED)
    assert found is not None
    assert (found.kind, found.category, found.index) == (FindingKind.LIFECYCLES_STOPPED, None, None)
    assert judge_service(AROUND) is None
    assert judged("stopped-old", around=STOPPED, later=DAY) is None


# --- expected against due -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "polls", "field"),
    [
        ("plain-waiting", 3, "since"),
        ("plain-dated", 3, "since"),
        ("rolled-waiting", 3, "since"),
        ("write-index-waiting", 3 + 1 + 3_600, "created"),
    ],
)
def test_the_deletion_that_is_expected(name: str, polls: int, field: str) -> None:
    explained, now = case(name)
    assert (
        expected_deletion(explained, policy_of(explained), POLL, now) == getattr(explained, field) + HOUR + polls * POLL
    )


def test_a_write_index_without_documents_is_expected_to_roll_over_later() -> None:
    explained, now = case("write-index-waiting")
    assert expected_deletion(explained, policy_of(explained), POLL, now + DAY) == now + DAY + HOUR + 3 * POLL


def test_a_date_that_somebody_set_counts_for_a_write_index_too_but_never_before_its_rollover() -> None:
    explained, now = case("write-index-waiting")
    policy, created = policy_of(explained), explained.created or 0
    ahead, past = replace(explained, since=created + DAY), replace(explained, since=created - DAY)
    assert expected_deletion(ahead, policy, POLL, now) == created + DAY + HOUR + 3 * POLL
    assert expected_deletion(past, policy, POLL, now) == created + HOUR + POLL + 3 * POLL


@pytest.mark.parametrize("name", ["missing-policy", "stopped-new", "unmanaged"])
def test_nothing_is_expected_where_nothing_has_begun(name: str) -> None:
    explained, now = case(name)
    assert expected_deletion(explained, policy_of(explained), POLL, now) is None
    assert expected_deletion(case("plain-waiting")[0], None, POLL, now) is None


@pytest.mark.parametrize("name", ["plain-waiting", "rolled-waiting", "write-index-waiting", "plain-future"])
def test_a_deletion_that_comes_after_the_deadline_is_found_before_it(name: str) -> None:
    explained, now = case(name)
    expected = expected_deletion(explained, policy_of(explained), POLL, now)
    assert expected is not None
    assert judged(name, deadline=expected) is None
    found = judged(name, deadline=expected - MINUTE)
    assert found is not None
    assert found.kind == FindingKind.LIFECYCLE_LATE
    assert ", 1 min later" in found.text


def test_an_index_attached_after_its_age_was_over_is_not_stuck_at_once() -> None:
    explained, now = case("plain-waiting")
    attached_late = replace(explained, since=now - 2 * DAY, step_since=now)
    policy = policy_of(explained)
    assert expected_deletion(attached_late, policy, POLL, now) == now + 3 * POLL
    assert judge_managed(category(), attached_late, policy, AROUND, now) is None


def test_an_index_that_is_not_said_to_be_managed_is_not() -> None:
    assert Explained.of("logs", {"policy": "p"}).policy is None
    assert Explained.of("logs", {"policy": "p", "managed": False}).policy is None


# --- other people's policies --------------------------------------------------------------------------


def foreign(max_age: str | None, min_age: str | None, **rollover: Any) -> dict[str, Any]:
    conditions = {**({"max_age": max_age} if max_age else {}), **rollover}
    phases: dict[str, Any] = {"hot": {"actions": {"rollover": conditions}}} if conditions else {}
    return phases | ({"delete": {"min_age": min_age, "actions": {"delete": {}}}} if min_age else {})


@pytest.mark.parametrize(
    ("phases", "says"),
    [
        (foreign("1d", "12d"), None),
        (foreign(None, "13d"), None),
        (foreign("1d", "13d"), "deletes after up to 14 d 40 min"),
        (foreign(None, "14d"), "deletes after up to 14 d 30 min"),
        (foreign("1d", None), "deletes nothing by age"),
        (foreign(None, "7d", max_size="50gb"), "deletes nothing by age"),
        (foreign("1d", "7d", min_size="1gb"), "deletes nothing by age"),
        (foreign("1d", "7d", min_docs=0), None),
        (foreign("1d", "7d", min_docs=1), None),
        (foreign("1d", "7d", min_docs=2), "deletes nothing by age"),
        (
            {"delete": {"min_age": "1d", "actions": {"delete": {}, "wait_for_snapshot": {"policy": "p"}}}},
            "deletes nothing",
        ),
        (None, "deletes nothing by age"),
    ],
)
def test_somebody_elses_policy_is_a_finding_where_its_arithmetic_breaks_the_limit(
    phases: dict[str, Any] | None, says: str | None
) -> None:
    found = judge_foreign(category(), MARGIN, "theirs", phases, 10 * MINUTE)
    if says is None:
        assert found is None
        return
    assert found is not None
    assert (found.kind, found.about) == (FindingKind.LIFECYCLE_FOREIGN, "theirs")
    assert says in found.text


def test_adopting_says_that_a_template_brings_it_back() -> None:
    found = judge_foreign(category(foreign_lifecycle="adopt"), MARGIN, "theirs", None, MINUTE)
    assert found is not None
    assert "template" in found.remedy


def test_what_has_no_maximum_age_is_broken_by_no_policy() -> None:
    under = category(max_age=None, after_termination=7 * DAY)
    assert judge_foreign(under, MARGIN, "theirs", None, MINUTE) is None


@pytest.mark.parametrize(
    ("text", "value"), [("10m", 10 * MINUTE), ("1500ms", 1500), ("7micros", 0), ("", None), ("1w", None)]
)
def test_durations_in_all_of_elasticsearchs_units(text: str, value: int | None) -> None:
    assert milliseconds(text) == value


def test_the_recorded_answers_say_where_they_come_from() -> None:
    assert RECORDED["version"] == "8.10.4"
    assert RECORDED["recorded"]
