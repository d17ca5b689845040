"""Findings into log and ledger: each in one line a kind, and once when it opens and closes."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

import structlog

from retention_enforcer.domain.errors import readable
from retention_enforcer.domain.findings import Finding, FindingsChange, Severity, compare_findings, refreshed
from retention_enforcer.domain.ledger.records import Entry, Kind
from retention_enforcer.domain.subjects.pseudonyms import Redactor
from retention_enforcer.enforcement.ledger.appender import Appender
from retention_enforcer.enforcement.memory import sightings_body, sightings_of
from retention_enforcer.enforcement.ports import DocumentStore
from retention_enforcer.enforcement.scope import cycle_of

_log = structlog.get_logger()

_LOGGED = 5
"""Findings of one kind that a line of the log tells; the others it counts."""


class FindingRecorder:
    """Writes into the ledger which findings opened and which closed: each once."""

    def __init__(self, state: DocumentStore, appender: Appender, redactor: Redactor) -> None:
        self._state = state
        self._appender = appender
        self._redactor = redactor

    def record(self, change: FindingsChange, cycle: str, category: str | None) -> None:
        """Record what changed since the last cycle."""
        for finding in change.opened:
            target = None
            if finding.index is not None and finding.uuid is not None:
                target = (self._redactor.index_name(finding.index), finding.uuid)
            self._appender.append(
                Entry(
                    kind=Kind.FINDING,
                    category=finding.category,
                    action="opened",
                    target=target,
                    reason=f"{finding.id} {finding.kind}: {self._redactor.text(finding.text, finding.index)}",
                    cycle=cycle,
                )
            )
        for id_ in change.closed:
            self._appender.append(Entry(kind=Kind.FINDING, category=category, action="closed", reason=id_, cycle=cycle))

    def record_of_job(self, job: str, findings: tuple[Finding, ...], now: int) -> tuple[Finding, ...]:
        """Log and record the findings of a job that proves nothing, and return them with their first sight."""
        stored = self._state.load([job]).get(job)
        with readable(f"what retention-state stores about {job}"):
            known = sightings_of(stored["findings"]) if stored else {}
        change = compare_findings(known, findings, now)
        log_findings(change.current, self._redactor)
        self.record(change, cycle_of(job), None)
        after = refreshed(known, change.sightings)
        if after != known:
            self._state.save(job, {"findings": sightings_body(after)}, now)
        return change.current


def log_findings(findings: Iterable[Finding], redactor: Redactor) -> None:
    """Log findings in one line a kind."""
    for kind, alike in groupby(sorted(findings, key=lambda f: f.kind), key=lambda f: f.kind):
        alarms = list(alike)
        first, unnamed = alarms[0], len(alarms) - _LOGGED
        texts = "; ".join(redactor.text(finding.text, finding.index) for finding in alarms[:_LOGGED])
        more = f" (and {unnamed} more)" if unnamed > 0 else ""
        remedy = redactor.text(first.remedy, first.index)
        (_log.error if first.severity is Severity.ERROR else _log.warning)(
            f"finding {kind}: {texts}{more}; {remedy}",
            **{"event.action": "finding", "retention.finding.kind": kind, "retention.finding.count": len(alarms)},
        )
