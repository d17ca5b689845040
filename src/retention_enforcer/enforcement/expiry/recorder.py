"""Keeps the books of a cycle: findings and proofs into the ledger when they change, evidence into the memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import structlog

from retention_enforcer.domain.control import Control
from retention_enforcer.domain.expiry.proof import Proof
from retention_enforcer.domain.facts import CategoryFacts, RefusedRollover
from retention_enforcer.domain.findings import Severity, compare_findings, refreshed
from retention_enforcer.domain.foresight import outlooks
from retention_enforcer.domain.instants import format_duration, format_instant
from retention_enforcer.domain.ledger.records import Entry, Kind
from retention_enforcer.domain.lifecycles.vanished import Vanished
from retention_enforcer.domain.own.state_keys import memory_key
from retention_enforcer.domain.plan import Plan, Purge
from retention_enforcer.domain.policy.promises import Category, Policy
from retention_enforcer.domain.subjects.pseudonyms import Redactor
from retention_enforcer.enforcement.findings import FindingRecorder, log_findings
from retention_enforcer.enforcement.ledger.appender import Appender
from retention_enforcer.enforcement.memory import Managed, Memory, remember
from retention_enforcer.enforcement.ports import DocumentStore

_log = structlog.get_logger()


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

    def __init__(self, state: DocumentStore, appender: Appender, findings: FindingRecorder, redactor: Redactor) -> None:
        self._state = state
        self._appender = appender
        self._findings = findings
        self._redactor = redactor

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
        self._findings.record(change, cycle, category.id)
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
                self._redactor.index_name,
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


def log_cycle(plan: Plan, proof: Proof, redactor: Redactor, *, acted: bool) -> None:
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
    log_findings(proof.findings, redactor)
