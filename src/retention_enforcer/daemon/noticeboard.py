"""Where the daemon's jobs leave what they saw. Readers never wait for a job."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from retention_enforcer.daemon.work import Worker
from retention_enforcer.domain.errors import RetentionError
from retention_enforcer.domain.subjects.pseudonyms import Redactor
from retention_enforcer.enforcement.coverage.observer import CoverageLook
from retention_enforcer.enforcement.expiry.cycle import CycleResult
from retention_enforcer.enforcement.ports import Clock
from retention_enforcer.enforcement.preconditions.status import InstanceStatus
from retention_enforcer.enforcement.terminations.job import TerminationResult
from retention_enforcer.reporting.known import (
    CategorySeen,
    ClusterSeen,
    FindingSeen,
    FindingsSeen,
    JobSeen,
    Known,
    LeaseSeen,
    SituationSeen,
    TerminationsSeen,
    readable_findings,
    readable_holds,
    readable_terminations,
)
from retention_enforcer.reporting.promises import next_due

CATEGORY, COVERAGE, TERMINATIONS, SITUATION = "category", "coverage", "terminations", "situation"
"""Names of jobs. The name of a category's job ends with the id of the category."""

_Seen = TypeVar("_Seen")

_PULSE = 60.0
"""Seconds without a beat after which the scheduler counts as stuck. It beats every few seconds."""


class Noticeboard:
    """Takes in what jobs saw, with the subjects replaced, and gives it out whole. Safe to use from several threads.

    `lease` tells who acts, now and without waiting; it returns None in plan mode.
    """

    def __init__(self, known: Known, redactor: Redactor, clock: Clock, lease: Callable[[], LeaseSeen | None]) -> None:
        self._lock = threading.Lock()
        self._known = known
        self._redactor = redactor
        self._clock = clock
        self._lease = lease
        self._counted = 0
        self._beat = time.monotonic()

    def known(self) -> Known:
        """Return everything that is known now."""
        with self._lock:
            known = self._known
        return replace(known, lease=self._lease())

    def beat(self) -> None:
        """Record that the scheduler runs."""
        self._beat = time.monotonic()

    def is_alive(self) -> bool:
        """Whether the scheduler ran within the last minute."""
        return time.monotonic() - self._beat < _PULSE

    def stands(self, *, started: bool, obstacle: str = "") -> None:
        """Record whether the work may be done, and what prevents it."""
        with self._lock:
            self._known = replace(self._known, started=started, obstacle=self._redactor.text(obstacle))

    def saw_situation(self, seen: InstanceStatus) -> None:
        """Record a look at the cluster and at the operator's decisions."""
        at, cluster, control = seen.as_of, seen.cluster, seen.control
        situation = SituationSeen(
            cluster=ClusterSeen(
                connected=True, uuid=cluster.uuid, name=cluster.name, version=cluster.version, answered_at=at
            ),
            accepted=seen.accepted,
            head=seen.head,
            holds=readable_holds(self._redactor, control, now=at),
            stopped_at=control.stopped_at if control else None,
            note=seen.note,
        )
        with self._lock:
            self._known = replace(self._known, situation=situation)

    def saw_cycle(self, result: CycleResult, seconds: float) -> None:
        """Record a cycle of a category, and how long it took."""
        proof, left = result.proof, result.left
        findings = readable_findings(self._redactor, proof.findings, now=proof.as_of)
        with self._lock:
            known = self._known
            before = known.categories.get(result.category)
            seen = CategorySeen(
                proof=replace(proof, findings=()),
                findings=_first_sight(before.findings if before else (), findings),
                next_due=next_due(left),
                last_purge=result.last_purge,
            )
            direct, ilm = (result.category, "direct"), (result.category, "ilm")
            indices = {direct: result.purged_indices, ilm: result.expired_indices}
            documents = {direct: result.purged_documents, ilm: result.expired_documents}
            self._known = replace(
                known,
                categories={**known.categories, result.category: seen},
                purged_indices=_more(known.purged_indices, indices),
                purged_documents=_more(known.purged_documents, documents),
                durations=known.durations.and_one_of(seconds),
            )

    def saw_coverage(self, look: CoverageLook) -> None:
        """Record a look past the policy."""
        at = look.facts.as_of
        findings = readable_findings(self._redactor, look.findings, now=at)
        with self._lock:
            before = self._known.coverage.findings if self._known.coverage else ()
            seen = FindingsSeen(at=at, findings=_first_sight(before, findings))
            self._known = replace(self._known, coverage=seen)

    def saw_terminations(self, result: TerminationResult) -> None:
        """Record the work on terminations; what was purged for them is counted once."""
        now = self._clock.now()
        findings = readable_findings(self._redactor, result.findings, now=now)
        terminations = readable_terminations(self._redactor, result.terminations)
        with self._lock:
            purges = [purge for t in result.terminations for purge in t.purges if purge.record > self._counted]
            documents = Counter[tuple[str, str]]()
            for purge in purges:
                if purge.at >= self._known.started_at:
                    documents[purge.category, "termination"] += purge.documents
            self._counted = max((purge.record for purge in purges), default=self._counted)
            self._known = replace(
                self._known,
                terminations=TerminationsSeen(at=now, findings=findings, terminations=terminations),
                purged_documents=_more(self._known.purged_documents, documents),
            )

    def succeeded(self, job: str) -> None:
        """Record that a job has ended."""
        self._fares(JobSeen(name=job, last_success=self._clock.now()))

    def failed(self, job: str, error: BaseException) -> None:
        """Record that a job has failed, and why."""
        defect = not isinstance(error, RetentionError)
        text, remedy = f"internal error: {type(error).__name__}", "see the log and report a bug"
        if isinstance(error, RetentionError):
            text, remedy = error.message, error.remedy
        with self._lock:
            before = self._known.job(job)
        now = self._clock.now()
        text, remedy = self._redactor.text(text), self._redactor.text(remedy)
        self._fares(replace(before, failed_at=now, error=text, remedy=remedy, defect=defect))

    def _fares(self, seen: JobSeen) -> None:
        with self._lock:
            self._known = replace(self._known, jobs={**self._known.jobs, seen.name: seen})


def _first_sight(before: tuple[FindingSeen, ...], now: tuple[FindingSeen, ...]) -> tuple[FindingSeen, ...]:
    """Return the present findings, each with the time when it was first seen. Plan mode remembers nothing else."""
    known = {finding.id: finding.first_seen for finding in before}
    return tuple(replace(f, first_seen=min(f.first_seen, known.get(f.id, f.first_seen))) for f in now)


def _more(counted: Mapping[tuple[str, str], int], add: Mapping[tuple[str, str], int]) -> dict[tuple[str, str], int]:
    return {**counted, **{place: counted.get(place, 0) + number for place, number in add.items()}}


class NotedWorker:
    """A worker that does what another one does, and leaves the results on the noticeboard."""

    def __init__(self, worker: Worker, board: Noticeboard) -> None:
        self._worker = worker
        self._board = board

    def start(self) -> None:
        """Check what must be true, and finish what was interrupted."""
        self._worker.start()

    def run(self, category: str) -> CycleResult:
        """Run one cycle of a category."""
        began = time.monotonic()
        result = self._noting(f"{CATEGORY} {category}", lambda: self._worker.run(category))
        self._board.saw_cycle(result, time.monotonic() - began)
        return result

    def cover(self) -> CoverageLook:
        """Look past the policy once."""
        look = self._noting(COVERAGE, self._worker.cover)
        self._board.saw_coverage(look)
        return look

    def work_on_terminations(self) -> TerminationResult:
        """Carry out what customers asked for, as far as it is due."""
        result = self._noting(TERMINATIONS, self._worker.work_on_terminations)
        self._board.saw_terminations(result)
        return result

    def finish(self) -> None:
        """Remember how far the ledger goes."""
        self._worker.finish()

    def raise_if_unaccepted(self) -> None:
        """Raise Refused if nobody accepted the policy of this instance."""
        self._worker.raise_if_unaccepted()

    def _noting(self, job: str, work: Callable[[], _Seen]) -> _Seen:
        try:
            seen = work()
        except Exception as error:
            self._board.failed(job, error)
            raise
        self._board.succeeded(job)
        return seen
