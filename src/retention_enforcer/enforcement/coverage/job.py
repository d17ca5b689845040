"""The cycle of coverage: findings only, nothing is ever changed."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from retention_enforcer.domain.control import Control
from retention_enforcer.domain.facts import Evidence
from retention_enforcer.domain.findings import compare_findings, refreshed
from retention_enforcer.domain.own.state_keys import COVERAGE, memory_key
from retention_enforcer.domain.policy.claims import IndexOwner
from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.domain.subjects.pseudonyms import Redactor
from retention_enforcer.enforcement.coverage.node_copies import CopiesBook
from retention_enforcer.enforcement.coverage.observer import CoverageLook, CoverageObserver
from retention_enforcer.enforcement.findings import FindingRecorder, log_findings
from retention_enforcer.enforcement.memory import CoverageMemory, Memory
from retention_enforcer.enforcement.ports import DocumentStore
from retention_enforcer.enforcement.scope import named_run
from retention_enforcer.enforcement.terms import Terms

_log = structlog.get_logger()


class CoverageRecorder:
    """Keeps the books of the looks past the policy: findings into the ledger when they change."""

    def __init__(self, state: DocumentStore, findings: FindingRecorder) -> None:
        self._state = state
        self._findings = findings

    def memory(self) -> CoverageMemory:
        """Return what is remembered of coverage."""
        return CoverageMemory.of(self._state.load([COVERAGE]).get(COVERAGE))

    def evidence(self, terms: Terms) -> dict[str, Evidence]:
        """Return what is remembered of the governed indices, by their uuid."""
        bodies = self._state.load([memory_key(category.id) for category in terms.policy.categories])
        memories = [Memory.of(body, terms.fingerprint) for body in bodies.values()]
        return {uuid: known for memory in memories for uuid, known in memory.evidence.items()}

    def record(self, memory: CoverageMemory, look: CoverageLook, cycle: str) -> None:
        """Record the findings of a look past the policy, and remember what it saw."""
        now = look.facts.as_of
        change = compare_findings(memory.findings, look.findings, now)
        self._findings.record(change, cycle, None)
        findings = refreshed(memory.findings, change.sightings)
        after = CoverageMemory(findings=findings, nothing_since=look.nothing_since)
        if after != memory:
            self._state.save(COVERAGE, after.body(), now)


class CoverageCycle:
    """Looks past the policy; what it finds is in the log."""

    def __init__(self, observer: CoverageObserver, redactor: Redactor) -> None:
        self._observer = observer
        self._redactor = redactor

    def run(self, policy: Policy, control: Control, evidence: Mapping[str, Evidence]) -> CoverageLook:
        """Look once. Raises ClusterUnavailable, RequestRejected or Refused where nothing can be said."""
        with named_run(COVERAGE):
            return self.look(policy, control, evidence, CoverageMemory())

    def look(
        self, policy: Policy, control: Control, evidence: Mapping[str, Evidence], memory: CoverageMemory
    ) -> CoverageLook:
        """Look once, and log what was seen."""
        look = self._observer.look(policy, control, evidence, memory)
        log_coverage(look, self._redactor)
        return look


class RecordedCoverage:
    """The same; what it finds is in the ledger too, and which node has a copy of what is remembered."""

    def __init__(self, cycle: CoverageCycle, recorder: CoverageRecorder, copies: CopiesBook, terms: Terms) -> None:
        self._cycle = cycle
        self._recorder = recorder
        self._copies = copies
        self._terms = terms

    def run(self, control: Control) -> CoverageLook:
        """Look once, and record it. Raises as the look does."""
        policy, evidence = self._terms.policy, self._recorder.evidence(self._terms)
        with named_run(COVERAGE) as cycle:
            memory = self._recorder.memory()
            look = self._cycle.look(policy, control, evidence, memory)
            self._recorder.record(memory, look, cycle)
        self._copies.keep(look.facts)
        return look


def log_coverage(look: CoverageLook, redactor: Redactor) -> None:
    """Log what a look past the policy showed in one line, and its findings in one line a kind."""
    fields = {f"retention.indices.{standing}": len(look.facts.of(standing)) for standing in IndexOwner}
    outcome = "failure" if look.findings else "success"
    _log.info(
        "searched for copies outside the policy", **{"event.action": "coverage", "event.outcome": outcome, **fields}
    )
    log_findings(look.findings, redactor)
