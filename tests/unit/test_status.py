"""The status: a pure function of what is known and of the time; not proven is never shown as kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import statuses
from builders import NOW, facts, index
from retention_enforcer.domain.instants import DAY, HOUR, MINUTE, SECOND
from retention_enforcer.domain.policy.promises import ON_REQUEST
from retention_enforcer.reporting.known import JobSeen, Known, LeaseSeen, SituationSeen
from retention_enforcer.reporting.promises import Promise, Verdict
from retention_enforcer.reporting.status import Role, Status, build_status
from statuses import BROKEN_LOGS, HEALTHY, INTERVAL, TRTC, all_seen, jobs, situation, terminations

KEPT, NOT_KEPT, NOT_PROVEN = Verdict.KEPT, Verdict.NOT_KEPT, Verdict.NOT_PROVEN
WITHOUT = {"categories": {}, "terminations": None, "coverage": None}


def status(of: Known = HEALTHY, now: int = NOW, **more: Any) -> Status:
    return build_status(replace(of, **more), now)


def away(job: str, **more: Any) -> dict[str, JobSeen]:
    values: dict[str, Any] = {"last_success": NOW - HOUR, "failed_at": NOW, "error": "no connection", "remedy": "wait"}
    return {job: JobSeen(name=job, **{**values, **more})}


def row(made: Status, id_: str = "backend-logs") -> Promise:
    (found,) = [promise for promise in made.promises if promise.id == id_]
    return found


# --- verdicts -----------------------------------------------------------------------------------------


def test_the_figures_of_a_row_are_those_of_now_and_not_of_the_proof() -> None:
    later = row(status(now=NOW + 3 * MINUTE))
    proof = HEALTHY.categories["backend-logs"].proof
    assert proof.oldest is not None
    assert proof.limit is not None
    assert later.age == NOW + 3 * MINUTE - proof.oldest
    assert later.margin == proof.limit - later.age
    assert later.used == later.age / proof.limit
    assert later.due_after == proof.limit - TRTC.margin
    assert (later.documents, later.indices, later.overdue) == (proof.documents, 1, 0)


@pytest.mark.parametrize(
    ("since", "verdict"), [(0, KEPT), (3 * INTERVAL, KEPT), (3 * INTERVAL + 1, NOT_PROVEN), (9 * DAY, NOT_PROVEN)]
)
def test_a_proof_counts_for_three_intervals(since: int, verdict: Verdict) -> None:
    fresh = all_seen(TRTC, at=NOW)
    made = status(categories=fresh, terminations=terminations(at=NOW + since), now=NOW + since)
    assert {row(made, c.id).verdict for c in TRTC.categories} == {verdict}
    assert row(made, ON_REQUEST).verdict is KEPT
    assert made.verdict is verdict


def test_a_stale_proof_says_why_there_is_no_newer_one() -> None:
    made = row(status(jobs=away("category backend-logs"), now=NOW + HOUR))
    assert made.why == "the last proof is 1 h old: no connection"


def test_what_was_last_seen_broken_stays_broken() -> None:
    made = row(status(categories=all_seen(TRTC, backend_logs=BROKEN_LOGS), now=NOW + 9 * DAY))
    assert (made.verdict, made.why) == (NOT_KEPT, "overdue")
    assert made.overdue == 12
    assert made.margin is not None
    assert made.margin < 0


def test_a_document_that_has_crossed_its_limit_since_the_proof_is_not_proven_to_be_gone() -> None:
    at = NOW - 10 * MINUTE
    close = facts(index("a", ages=[14 * DAY - 5 * MINUTE], now=at), now=at)
    made = row(status(categories=all_seen(TRTC, at=at, backend_logs=close)))
    assert (made.verdict, made.margin) == (NOT_PROVEN, -5 * MINUTE)
    assert "past the limit" in made.why


def test_before_the_first_cycle_nothing_is_proven() -> None:
    made = build_status(statuses.just_started(), NOW)
    assert {p.verdict for p in made.promises} == {NOT_PROVEN}
    assert {p.documents for p in made.promises} == {None}
    assert row(made).why == "no cycle has completed yet"
    failed = row(status(**WITHOUT, jobs=away("category backend-logs")))
    assert failed.why == "no cycle has completed yet: no connection"


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"terminations": terminations(at=NOW - 3 * INTERVAL - 1)}, id="looked long ago"),
        pytest.param({"mode": "plan", "lease": None}, id="plan mode"),
    ],
)
def test_where_it_is_not_known_what_customers_are_owed_their_promises_are_not_proven(more: dict[str, Any]) -> None:
    made = status(**more)
    unproven = {p.id for p in made.promises if p.verdict is NOT_PROVEN}
    assert unproven == {"console-configuration", "temporary-keys", "application-logs", ON_REQUEST}


# --- terminations, holds ------------------------------------------------------------------------------


def test_the_most_urgent_termination_comes_first_and_closed_ones_are_counted() -> None:
    made = status()
    assert [p.subject.split()[0] for p in made.terminations.open] == ["application", "account", "user"]
    assert [p.state.value for p in made.terminations.open] == ["due", "in-grace", "watched"]
    assert made.terminations.closed == 1
    first, _, erased = made.terminations.open
    assert first.remaining == 7 * DAY - HOUR - 2 * DAY
    assert first.used == pytest.approx(2 * DAY / (7 * DAY - HOUR))
    assert (erased.remaining, erased.used, erased.documents_purged) == (None, None, 1_234)


def test_a_hold_that_has_ended_is_not_shown() -> None:
    assert [hold.on for hold in status().holds] == ["category dashboard"]
    assert status(now=NOW + 10 * DAY).holds == ()


# --- the process --------------------------------------------------------------------------------------


def lease(held: bool = False, holder: str | None = None, seen_ago: float | None = 1.0) -> LeaseSeen:
    return LeaseSeen(held=held, epoch=3 if held else None, holder=holder, seen_ago=seen_ago)


@pytest.mark.parametrize(
    ("seen", "role"),
    [
        (lease(held=True, holder="node-1"), Role.ACTING),
        (lease(holder="node-2"), Role.STANDBY),
        (lease(holder="node-2", seen_ago=76.0), Role.UNKNOWN),
        (lease(holder="node-2", seen_ago=None), Role.UNKNOWN),
        (lease(holder="node-1"), Role.UNKNOWN),
        (lease(), Role.UNKNOWN),
        (None, Role.UNKNOWN),
    ],
)
def test_who_acts_is_told_by_the_lease_alone(seen: LeaseSeen | None, role: Role) -> None:
    made = status(lease=seen, started=role is Role.ACTING)
    assert made.instance.role is role
    assert made.instance.ready is (role is not Role.UNKNOWN)


def test_who_stands_by_claims_nothing_about_promises_and_is_ready() -> None:
    made = status(statuses.broken(), lease=lease(holder="node-2"), started=False)
    assert {p.verdict for p in made.promises} == {NOT_PROVEN}
    assert {p.why for p in made.promises} == {"standby: node-2 holds the lease; see its status"}
    assert (made.findings, made.terminations.open, made.instance.not_ready) == ((), (), ())


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"jobs": away("situation")}, "the cluster does not answer: no connection"),
        (
            {"jobs": away("situation", last_success=NOW - 76 * SECOND, failed_at=None, error="")},
            "the cluster has not answered recently",
        ),
        ({"jobs": {}}, "the cluster has not answered recently"),
        ({"situation": situation(accepted="other")}, "policy 5ca1ab1e5ca1 is not the accepted one"),
        ({"situation": situation(accepted=None)}, "policy 5ca1ab1e5ca1 is not the accepted one"),
        ({"situation": SituationSeen()}, "it is unknown whether the policy is accepted"),
        (
            {"situation": situation(note="retention-control is missing")},
            "it is unknown whether the policy is accepted: retention-control is missing",
        ),
        ({"lease": lease()}, "it is unknown which instance holds the lease"),
        ({"started": False}, "the work has not started"),
        ({"started": False, "obstacle": "the clocks are apart"}, "the work has not started: the clocks are apart"),
        ({"jobs": jobs(TRTC) | away("coverage", defect=True)}, "coverage ended with an internal error"),
    ],
)
def test_it_is_not_ready_for_a_reason(more: dict[str, Any], reason: str) -> None:
    assert status(**more).instance.not_ready == (reason,)


def test_plan_mode_needs_neither_acceptance_nor_lease_to_be_ready() -> None:
    made = status(mode="plan", lease=None, situation=situation(accepted=None))
    assert (made.instance.role, made.instance.not_ready) == (Role.PLANNING, ())


def test_a_job_that_failed_is_no_reason_not_to_be_ready_as_the_promise_tells_it() -> None:
    assert status(jobs=jobs(TRTC) | away("category uin")).instance.not_ready == ()
