"""The noticeboard: what jobs saw, with the time, and with nobody's id in it."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from builders import NOW, facts, index, plan, purge
from retention_enforcer.daemon.noticeboard import NotedWorker, Noticeboard
from retention_enforcer.domain.control import Control
from retention_enforcer.domain.coverage.findings import CoverageFacts
from retention_enforcer.domain.errors import ClusterUnavailable
from retention_enforcer.domain.expiry.proof import verify
from retention_enforcer.domain.expiry.rules import build_plan
from retention_enforcer.domain.facts import ClusterFacts
from retention_enforcer.domain.findings import Finding, FindingKind
from retention_enforcer.domain.holds.hold import Hold
from retention_enforcer.domain.instants import DAY, HOUR, SECOND
from retention_enforcer.domain.plan import Keep
from retention_enforcer.domain.subjects.identity import subject_of
from retention_enforcer.domain.subjects.pseudonyms import Pseudonyms, Redactor
from retention_enforcer.domain.terminations.states import OpenItem, OpenItemKind, Purged
from retention_enforcer.enforcement.coverage.observer import CoverageLook
from retention_enforcer.enforcement.expiry.cycle import CycleResult
from retention_enforcer.enforcement.preconditions.status import InstanceStatus
from retention_enforcer.enforcement.terminations.job import TerminationResult
from retention_enforcer.reporting.known import LeaseSeen
from retention_enforcer.reporting.status import build_status, status_json
from retention_enforcer.reporting.status_page import status_page
from retention_enforcer.web.metrics import exposition
from statuses import TRTC, just_started, termination

PSEUDONYMS = Pseudonyms(b"k" * 32)
REDACTOR = Redactor(PSEUDONYMS, TRTC.patterns)
APPLICATION, USER, ACCOUNT = "1400777333", "smith@example.org", "100007654321"
TENANT = f"trtc-application-logs-{APPLICATION}-2026"


class Clock:
    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> int:
        return self.time


def board(clock: Clock | None = None, lease: LeaseSeen | None = None) -> Noticeboard:
    return Noticeboard(just_started(), REDACTOR, clock or Clock(), lambda: lease)


def cycle(*findings: Finding, **more: Any) -> CycleResult:
    one = TRTC.category("backend-logs")
    observed = facts(index("trtc-backend-logs-a", ages=[DAY]))
    left = build_plan(one, TRTC.margin, observed, NOW)
    proof = verify(one, observed, left)
    return CycleResult(
        category=one.id, plan=left, left=left, proof=replace(proof, findings=(*proof.findings, *findings)), **more
    )


def finding(**more: Any) -> Finding:
    return Finding(
        **{"kind": FindingKind.CLOSED, "category": "backend-logs", "text": "a text", "remedy": "a remedy", **more}
    )


def purged(record: int, *, at: int = NOW, documents: int = 10) -> Purged:
    return Purged(category="uin", index="trtc-uin", uuid="u", documents=documents, at=at, record=record)


def asked(*those: Any, **more: Any) -> TerminationResult:
    return TerminationResult(terminations=those, findings=(), late=False, **more)


# --- what is taken in ---------------------------------------------------------------------------------


def test_a_cycle_leaves_its_proof_what_is_due_next_and_what_it_purged() -> None:
    on = board()
    on.saw_cycle(cycle(purged_indices=2, purged_documents=120, last_purge=NOW), 0.3)
    on.saw_cycle(
        cycle(purged_indices=1, purged_documents=30, expired_indices=4, expired_documents=500, last_purge=NOW), 70.0
    )
    known = on.known()
    seen = known.categories["backend-logs"]
    assert (seen.proof.documents, seen.proof.oldest, seen.last_purge) == (1, NOW - DAY, NOW)
    assert seen.next_due == NOW + 13 * DAY - HOUR
    assert known.purged_indices == {("backend-logs", "direct"): 3, ("backend-logs", "ilm"): 4}
    assert known.purged_documents == {("backend-logs", "direct"): 150, ("backend-logs", "ilm"): 500}
    assert (known.durations.count, known.durations.seconds) == (2, 70.3)
    assert known.durations.at_most == (0, 0, 1, 1, 1, 1, 1, 1, 1, 2)


def test_what_is_due_next_is_what_is_left_after_the_cycle() -> None:
    on = board()
    done = plan(purge())
    left = replace(done, purge=(), keep=(Keep(facts=index("b"), due=NOW + HOUR, reason="later"),))
    on.saw_cycle(replace(cycle(), plan=done, left=left), 0.1)
    assert on.known().categories["backend-logs"].next_due == NOW + HOUR


def test_a_finding_keeps_its_first_sight_while_it_stays() -> None:
    on = board()
    on.saw_cycle(cycle(finding(index="a", first_seen=NOW - DAY)), 0.1)
    on.saw_cycle(cycle(finding(index="a", first_seen=NOW), finding(index="b", first_seen=NOW)), 0.1)
    seen = {f.index: f.first_seen for f in on.known().categories["backend-logs"].findings}
    assert seen == {"a": NOW - DAY, "b": NOW}
    look = CoverageLook(facts=CoverageFacts(as_of=NOW, indices=()), findings=(finding(),), nothing_since={})
    on.saw_coverage(look)
    on.saw_coverage(replace(look, facts=CoverageFacts(as_of=NOW + HOUR, indices=())))
    coverage = on.known().coverage
    assert coverage is not None
    assert (coverage.at, [f.first_seen for f in coverage.findings]) == (NOW + HOUR, [NOW])


def test_what_was_purged_for_customers_is_counted_once_and_from_the_start_on() -> None:
    on = board()
    before = purged(7, at=NOW - DAY)
    on.saw_terminations(asked(termination(1, purges=(before,))))
    on.saw_terminations(asked(termination(1, purges=(before, purged(8)), closed_at=None)))
    on.saw_terminations(asked(termination(1, purges=(before, purged(8))), termination(2, purges=(purged(8),))))
    assert on.known().purged_documents == {("uin", "termination"): 10}
    on.saw_terminations(asked(termination(2, purges=(purged(8), purged(9, documents=5)))))
    on.saw_terminations(asked())
    assert on.known().purged_documents == {("uin", "termination"): 15}


def test_one_purge_for_many_customers_counts_for_each() -> None:
    on = board()
    on.saw_terminations(asked(*(termination(n, purges=(purged(8, documents=n),)) for n in (1, 2, 3))))
    assert on.known().purged_documents == {("uin", "termination"): 6}


class Failing:
    """A worker whose cycles end as they are told to."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    def run(self, category: str) -> CycleResult:
        if self.error:
            raise self.error
        return cycle()

    def __getattr__(self, name: str) -> Any:
        raise NotImplementedError(name)


def test_a_job_is_known_by_its_last_success_and_by_its_error_until_the_next() -> None:
    clock, failing = Clock(), Failing()
    on = board(clock)
    worker = NotedWorker(failing, on)
    worker.run("backend-logs")
    clock.time += SECOND
    failing.error = ClusterUnavailable("no connection", "wait")
    with pytest.raises(ClusterUnavailable):
        worker.run("backend-logs")
    job = on.known().jobs["category backend-logs"]
    assert (job.last_success, job.failed_at, job.error, job.remedy) == (NOW, NOW + SECOND, "no connection", "wait")
    assert not job.defect
    failing.error = ZeroDivisionError("of a secret")
    with pytest.raises(ZeroDivisionError):
        worker.run("backend-logs")
    job = on.known().jobs["category backend-logs"]
    assert (job.defect, job.error) == (True, "internal error: ZeroDivisionError")
    failing.error = None
    worker.run("backend-logs")
    job = on.known().jobs["category backend-logs"]
    assert (job.last_success, job.failed_at, job.error, job.defect) == (NOW + SECOND, None, "", False)


def test_it_is_alive_while_it_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    from retention_enforcer.daemon import noticeboard  # noqa: PLC0415 - its clock is replaced

    time = [100.0]
    monkeypatch.setattr(noticeboard.time, "monotonic", lambda: time[0])
    on = board()
    assert on.is_alive()
    time[0] += 59.9
    assert on.is_alive()
    time[0] += 0.2
    assert not on.is_alive()
    on.beat()
    assert on.is_alive()


def test_the_lease_is_that_of_the_moment_in_which_it_is_asked_for() -> None:
    leases = iter([LeaseSeen(held=held, epoch=1, holder="me", seen_ago=0.0) for held in (True, False)])
    on = Noticeboard(just_started(), REDACTOR, Clock(), lambda: next(leases))
    first, second = on.known().lease, on.known().lease
    assert first is not None
    assert second is not None
    assert (first.held, second.held) == (True, False)


def test_many_threads_lose_nothing() -> None:
    on = board()

    def work() -> None:
        for _ in range(50):
            on.saw_cycle(cycle(purged_documents=1), 0.1)
            on.succeeded("coverage")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert on.known().purged_documents["backend-logs", "direct"] == 400


# --- nobody's id --------------------------------------------------------------------------------------


def test_no_id_of_anybody_is_in_anything_that_is_shown() -> None:
    on = board(lease=LeaseSeen(held=True, epoch=1, holder="node-1", seen_ago=0.0))
    user = subject_of(application=APPLICATION, user=USER)
    on.stands(started=False, obstacle=f"{TENANT} stands in the way")
    on.saw_cycle(cycle(finding(index=TENANT, text=f"{TENANT} is closed", remedy=f"open {TENANT}")), 0.1)
    loose = Finding.of(FindingKind.PURGE_FAILED, None, f"copy-of-{TENANT} and {TENANT}", f"see {TENANT}")
    on.saw_coverage(CoverageLook(facts=CoverageFacts(as_of=NOW, indices=()), findings=(loose,), nothing_since={}))
    on.failed("coverage", ClusterUnavailable(f"{TENANT} does not answer", f"see {TENANT}"))
    one = termination(
        1,
        subject=user,
        pseudonym=PSEUDONYMS.of(user.text),
        applications=(APPLICATION,),
        reason=f"{USER} left",
        requested_by=ACCOUNT,
        open_items=(OpenItem(kind=OpenItemKind.NOT_LOOKED_INTO, text=f"{TENANT} was not looked into"),),
    )
    on.saw_terminations(asked(one))
    holds = (
        Hold(id="h1", owner="Anna", reason=f"the case of {USER}", until=NOW + DAY, subject=subject_of(account=ACCOUNT)),
        Hold(id="h2", owner="Anna", reason="x", until=NOW + DAY, subject=user, applications=(APPLICATION,)),
        Hold(id="h3", owner="Anna", reason="x", until=NOW + DAY, index=TENANT),
        Hold(id="h4", owner="Anna", reason="x", until=NOW + DAY, category="uin"),
    )
    cluster = ClusterFacts(uuid="u", name="production", version="8.17.4", time=NOW)
    on.saw_situation(InstanceStatus(as_of=NOW, cluster=cluster, control=Control(holds=holds), accepted="f"))

    known = on.known()
    status = build_status(known, NOW)
    shown = [
        repr(replace(known, policy=TRTC)),
        status_page(status),
        status_json(status).decode(),
        exposition(known, status, frozenset(), "")[0].decode(),
    ]
    for text in shown:
        for raw in (APPLICATION, USER, ACCOUNT, "smith", "Anna"):
            assert raw not in text
    hidden = PSEUDONYMS.of(APPLICATION)
    document = shown[2]
    assert f"trtc-application-logs-{hidden}-2026 is closed" in document
    assert f"index trtc-application-logs-{hidden}-2026" in document
    assert f"account {PSEUDONYMS.of(ACCOUNT)}" in document
    assert f"user {PSEUDONYMS.of(user.text)}" in document
    assert '"on":"category uin"' in document
