"""Keeps the books of a cycle: findings and proofs into the ledger when they change, evidence into the memory."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import groupby

import structlog

from retention_enforcer.domain.control import Control
from retention_enforcer.domain.facts import CategoryFacts
from retention_enforcer.domain.findings import Finding, Severity, compare_findings
from retention_enforcer.domain.instants import format_duration, format_instant
from retention_enforcer.domain.ledger import Entry, Kind
from retention_enforcer.domain.plan import Plan, Purge
from retention_enforcer.domain.policy import Category
from retention_enforcer.domain.proof import Proof
from retention_enforcer.domain.pseudonyms import Pseudonyms
from retention_enforcer.enforcement.appender import Appender
from retention_enforcer.enforcement.memory import Memory, memory_key, remember
from retention_enforcer.enforcement.ports import StateStore

_log = structlog.get_logger()


class Recorder:
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
        category: Category,
        *,
        fingerprint: str,
        facts: CategoryFacts,
        proof: Proof,
        trimmed: Collection[str],
        cycle: str,
    ) -> None:
        """Record a cycle's findings and proof, and remember its evidence."""
        key = memory_key(category.id)
        stored = self._state.load([key]).get(key)
        memory = Memory.of(stored, fingerprint)
        change = compare_findings(memory.findings, proof.findings, proof.as_of)
        for finding in change.opened:
            self._appender.append(self._opened(category, finding, cycle))
        for id_ in change.closed:
            self._appender.append(
                Entry(kind=Kind.FINDING, category=category.id, action="closed", reason=id_, cycle=cycle)
            )
        proven = memory.must_prove(proof)
        if proven:
            self._appender.append(_proof_entry(category, proof, cycle))
        after = replace(
            memory,
            evidence=remember(memory.evidence, facts, trimmed),
            findings={f.id: f.first_seen or proof.as_of for f in change.current},
            kept=proof.kept,
            proven_at=proof.as_of if proven else memory.proven_at,
        )
        if after.body() != stored:
            self._state.save(key, after.body(), proof.as_of)

    def _opened(self, category: Category, finding: Finding, cycle: str) -> Entry:
        target = None
        if finding.index is not None and finding.uuid is not None:
            target = (self._pseudonyms.index_name(category, finding.index), finding.uuid)
        text = _without_subject(category, finding, finding.text, self._pseudonyms)
        return Entry(
            kind=Kind.FINDING,
            category=category.id,
            action="opened",
            target=target,
            reason=f"{finding.id} {finding.kind}: {text}",
            cycle=cycle,
        )


def _proof_entry(category: Category, proof: Proof, cycle: str) -> Entry:
    evidence: dict[str, int | str] = {"documents": proof.documents}
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


def log_cycle(category: Category, plan: Plan, proof: Proof, pseudonyms: Pseudonyms, *, acted: bool) -> None:
    """Log what a cycle proved in one line, and its findings in one line a kind."""
    fields: dict[str, object] = {
        "event.action": "proof",
        "event.outcome": "success" if proof.kept else "failure",
        "retention.kept": proof.kept,
        "retention.acted": acted,
        "retention.purge": len(plan.purge),
        "retention.keep": len(plan.keep),
        "retention.skip": len(plan.skip),
        "retention.documents": proof.documents,
        "retention.overdue": proof.overdue,
    }
    if proof.limit is not None:
        fields["retention.limit"] = format_duration(proof.limit)
    if proof.oldest is not None:
        fields["retention.oldest"] = format_instant(proof.oldest)
    if proof.kept:
        _log.info("promise kept", **fields)
    else:
        _log.error(f"promise {_verdict(proof)}", **fields)
    for kind, findings in groupby(sorted(proof.findings, key=lambda f: f.kind), key=lambda f: f.kind):
        _log_findings(category, kind, list(findings), pseudonyms)


def _log_findings(category: Category, kind: str, findings: Sequence[Finding], pseudonyms: Pseudonyms) -> None:
    first = findings[0]
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    _log.warning(
        f"finding {kind}: {_without_subject(category, first, first.text, pseudonyms)}{more}; "
        f"{_without_subject(category, first, first.mend, pseudonyms)}",
        **{"event.action": "finding", "retention.finding.kind": kind, "retention.finding.count": len(findings)},
    )


def _without_subject(category: Category, finding: Finding, text: str, pseudonyms: Pseudonyms) -> str:
    return pseudonyms.hide(category, finding.index, text) if finding.index is not None else text
