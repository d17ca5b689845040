"""Keeps the books of a cycle: findings and proofs into the ledger when they change, evidence into the memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby

import structlog

from retention_enforcer.domain.claims import IndexOwner
from retention_enforcer.domain.control import Control
from retention_enforcer.domain.errors import readable
from retention_enforcer.domain.facts import CategoryFacts, RefusedRollover
from retention_enforcer.domain.findings import Finding, FindingsChange, Severity, compare_findings, refreshed
from retention_enforcer.domain.foresight import outlooks
from retention_enforcer.domain.instants import format_duration, format_instant
from retention_enforcer.domain.ledger import Entry, Kind
from retention_enforcer.domain.lifecycle_audit import Vanished
from retention_enforcer.domain.plan import Plan, Purge
from retention_enforcer.domain.policy import Category, Policy
from retention_enforcer.domain.proof import Proof
from retention_enforcer.domain.pseudonyms import Pseudonyms
from retention_enforcer.enforcement.appender import Appender
from retention_enforcer.enforcement.coverage_look import COVERAGE, CoverageLook, CoverageMemory
from retention_enforcer.enforcement.memory import Managed, Memory, memory_key, remember, sightings_body, sightings_of
from retention_enforcer.enforcement.ports import StateStore
from retention_enforcer.enforcement.settle import cycle_of

_log = structlog.get_logger()

_LOGGED = 5
"""Findings of one kind that a line of the log tells; the others it counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleObservation:
    """What a cycle saw at its end."""

    facts: CategoryFacts
    trimmed: Collection[str] = ()
    """Uuids of indices whose due documents were deleted."""
    managed: Mapping[str, Managed | None] = field(default_factory=dict)
    """By uuid, which lifecycle each index has; absent where that was not seen."""
    vanished: tuple[Vanished, ...] = ()
    """What went without the enforcer, as long as it is told of."""
    refused: Mapping[str, RefusedRollover] = field(default_factory=dict)
    """By uuid, the rollovers that the cluster refused since, for reasons that last."""


class CycleRecorder:
    """Writes only what changed: a cycle that found what the last one found leaves no record."""

    def __init__(self, state: StateStore, appender: Appender, pseudonyms: Pseudonyms) -> None:
        self._state = state
        self._appender = appender
        self._pseudonyms = pseudonyms

    def memory(self, category: Category, fingerprint: str) -> Memory:
        """Return what is remembered of a category under a policy."""
        key = memory_key(category.id)
        return Memory.of(self._state.load([key]).get(key), fingerprint)

    def use_approvals(
        self, category: Category, memory: Memory, control: Control, purges: Collection[Purge], now: int
    ) -> None:
        """Use approvals up before anything is done under them: whatever happens then, each counts once."""
        after = memory.use(control, purges, now)
        if after.used != memory.used:
            self._state.save(memory_key(category.id), after.body(), now)

    def record(
        self,
        policy: Policy,
        category: Category,
        *,
        fingerprint: str,
        seen: CycleObservation,
        proof: Proof,
        purged: bool,
        cycle: str,
    ) -> None:
        """Record a cycle's findings and proof, and remember its evidence."""
        key = memory_key(category.id)
        stored = self._state.load([key]).get(key)
        memory = Memory.of(stored, fingerprint)

        change = compare_findings(memory.findings, proof.findings, proof.as_of)
        self._record_findings(policy, change, cycle, category.id)
        proven = memory.must_prove(proof)
        if proven:
            self._appender.append(_proof_entry(category, proof, cycle))
        after = replace(
            memory,
            evidence=remember(
                memory.evidence,
                seen.facts,
                seen.trimmed,
                seen.managed,
                lambda name: self._pseudonyms.index_name(policy.patterns, name),
                outlooks(category, policy.margin, seen.facts),
                refused=seen.refused,
            ),
            looked_at=seen.facts.as_of if category.max_age is not None else None,
            vanished=seen.vanished,
            findings=refreshed(memory.findings, change.sightings),
            kept=proof.kept,
            proven_at=proof.as_of if proven else memory.proven_at,
            purged_at=proof.as_of if purged else memory.purged_at,
        )
        if after.body() != stored:
            self._state.save(key, after.body(), proof.as_of)

    def coverage_memory(self) -> CoverageMemory:
        """Return what is remembered of coverage."""
        return CoverageMemory.of(self._state.load([COVERAGE]).get(COVERAGE))

    def record_coverage(self, policy: Policy, memory: CoverageMemory, look: CoverageLook, cycle: str) -> None:
        """Record the findings of a look past the policy, and remember what it saw."""
        now = look.facts.as_of
        change = compare_findings(memory.findings, look.findings, now)
        self._record_findings(policy, change, cycle, None)
        findings = refreshed(memory.findings, change.sightings)
        after = CoverageMemory(findings=findings, nothing_since=look.nothing_since)
        if after != memory:
            self._state.save(COVERAGE, after.body(), now)

    def record_others(self, policy: Policy, job: str, findings: tuple[Finding, ...], now: int) -> tuple[Finding, ...]:
        """Log and record the findings of a job that proves nothing, and return them with their first sight."""
        stored = self._state.load([job]).get(job)
        with readable(f"what retention-state remembers of {job}"):
            known = sightings_of(stored["findings"]) if stored else {}
        change = compare_findings(known, findings, now)
        log_findings(policy, change.current, self._pseudonyms)
        self._record_findings(policy, change, cycle_of(job), None)
        after = refreshed(known, change.sightings)
        if after != known:
            self._state.save(job, {"findings": sightings_body(after)}, now)
        return change.current

    def _record_findings(self, policy: Policy, change: FindingsChange, cycle: str, category: str | None) -> None:
        """Record which findings were opened, and which closed since the last cycle: each once."""
        for finding in change.opened:
            target = None
            if finding.index is not None and finding.uuid is not None:
                target = (self._pseudonyms.index_name(policy.patterns, finding.index), finding.uuid)
            self._appender.append(
                Entry(
                    kind=Kind.FINDING,
                    category=finding.category,
                    action="opened",
                    target=target,
                    reason=f"{finding.id} {finding.kind}: {without_subjects(policy, finding, self._pseudonyms)}",
                    cycle=cycle,
                )
            )
        for id_ in change.closed:
            self._appender.append(Entry(kind=Kind.FINDING, category=category, action="closed", reason=id_, cycle=cycle))


def _proof_entry(category: Category, proof: Proof, cycle: str) -> Entry:
    evidence: dict[str, int | str] = {} if proof.documents is None else {"documents": proof.documents}
    if proof.oldest is not None:
        evidence["oldest"] = format_instant(proof.oldest)
    return Entry(
        kind=Kind.PROOF,
        category=category.id,
        clause=str(category.clause),
        evidence=evidence,
        reason=_verdict(proof),
        cycle=cycle,
    )


def _verdict(proof: Proof) -> str:
    errors = [finding for finding in proof.findings if finding.severity is Severity.ERROR]
    return "kept" if proof.kept else f"not kept: {', '.join(sorted({finding.kind for finding in errors}))}"


def log_cycle(policy: Policy, plan: Plan, proof: Proof, pseudonyms: Pseudonyms, *, acted: bool) -> None:
    """Log what a cycle proved in one line, and its findings in one line a kind."""
    fields: dict[str, object] = {
        "event.action": "proof",
        "event.outcome": "success" if proof.kept else "failure",
        "retention.kept": proof.kept,
        "retention.acted": acted,
        "retention.purge": len(plan.purge),
        "retention.keep": len(plan.keep),
        "retention.skip": len(plan.skip),
        "retention.overdue": proof.overdue,
    }
    if proof.documents is not None:
        fields["retention.documents"] = proof.documents
    if proof.limit is not None:
        fields["retention.limit"] = format_duration(proof.limit)
    if proof.oldest is not None:
        fields["retention.oldest"] = format_instant(proof.oldest)
    if proof.kept:
        _log.info(f"{proof.category}: promise kept", **fields)
    else:
        _log.error(f"{proof.category}: promise {_verdict(proof)}", **fields)
    log_findings(policy, proof.findings, pseudonyms)


def log_coverage(policy: Policy, look: CoverageLook, pseudonyms: Pseudonyms) -> None:
    """Log what a look past the policy showed in one line, and its findings in one line a kind."""
    fields = {f"retention.indices.{standing}": len(look.facts.of(standing)) for standing in IndexOwner}
    outcome = "failure" if look.findings else "success"
    _log.info("looked past the policy", **{"event.action": "coverage", "event.outcome": outcome, **fields})
    log_findings(policy, look.findings, pseudonyms)


def log_findings(policy: Policy, findings: Iterable[Finding], pseudonyms: Pseudonyms) -> None:
    """Log findings in one line a kind."""
    for kind, alike in groupby(sorted(findings, key=lambda f: f.kind), key=lambda f: f.kind):
        alarms = list(alike)
        first, unnamed = alarms[0], len(alarms) - _LOGGED
        texts = "; ".join(without_subjects(policy, finding, pseudonyms) for finding in alarms[:_LOGGED])
        more = f" (and {unnamed} more)" if unnamed > 0 else ""
        remedy = without_subjects(policy, replace(first, text=first.remedy), pseudonyms)
        (_log.error if first.severity is Severity.ERROR else _log.warning)(
            f"finding {kind}: {texts}{more}; {remedy}",
            **{"event.action": "finding", "retention.finding.kind": kind, "retention.finding.count": len(alarms)},
        )


def without_subjects(policy: Policy, finding: Finding, pseudonyms: Pseudonyms) -> str:
    """Return a finding's text as anybody may read it: with no application's id from the name of an index."""
    if finding.index is not None:
        return pseudonyms.hide(policy.patterns, finding.index, finding.text)
    return pseudonyms.hide_everywhere(policy.patterns, finding.text)
