"""One cycle of one category: observe, plan, refuse what is unsafe, enforce, look again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import structlog

from retention_enforcer.domain.expiry.fuse import FuseLimits, UnsafePlan, raise_if_unsafe
from retention_enforcer.domain.expiry.proof import Proof, verify
from retention_enforcer.domain.findings import TRIED_AGAIN, Finding, FindingKind, sighted
from retention_enforcer.domain.ledger.records import Outcome
from retention_enforcer.domain.lifecycles.vanished import still_told, vanished_finding
from retention_enforcer.domain.plan import Plan, Purge
from retention_enforcer.domain.policy.promises import Category
from retention_enforcer.domain.subjects.pseudonyms import Redactor
from retention_enforcer.enforcement.expiry.purge import Purger, Results
from retention_enforcer.enforcement.expiry.recorder import CycleObservation, CycleRecorder, log_cycle
from retention_enforcer.enforcement.expiry.rollovers import RollingResult, Rollovers
from retention_enforcer.enforcement.lifecycles.seam import CategoryLifecycles, LifecycleResult
from retention_enforcer.enforcement.lifecycles.vanished import VanishedSource
from retention_enforcer.enforcement.memory import Memory
from retention_enforcer.enforcement.observer import Observer
from retention_enforcer.enforcement.ports import Clock
from retention_enforcer.enforcement.scope import Scope, cycle_of

_PASSES = 3
"""How often one cycle plans anew for indices that were written to between plan and deletion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleResult:
    """What one cycle of a category came to."""

    category: str
    plan: Plan
    """What was planned at its beginning."""
    left: Plan
    """What would be planned at its end: what is still to be done, and when."""
    proof: Proof
    refused: UnsafePlan | None = None
    acted: bool = False
    purged_indices: int = 0
    purged_documents: int = 0
    expired_indices: int = 0
    """Those that lifecycles of the enforcer's deleted since the last cycle."""
    expired_documents: int = 0
    last_purge: int | None = None
    """When a cycle of this category last purged anything, in epoch milliseconds."""
    unknown: bool = False
    """Whether an intent is left whose outcome is not known: it is looked at again before the next cycle."""


class Cycle:
    """Runs cycles. Its parts are shared by all categories; what is known between cycles is in the recorder's memory.

    Without a purger and a recorder it observes, plans and logs, and writes nothing: that is plan mode.
    """

    def __init__(
        self,
        *,
        observer: Observer,
        clock: Clock,
        redactor: Redactor,
        purger: Purger | None = None,
        recorder: CycleRecorder | None = None,
        lifecycles: CategoryLifecycles | None = None,
        rollovers: Rollovers | None = None,
        auditor: VanishedSource | None = None,
    ) -> None:
        self._observer = observer
        self._clock = clock
        self._redactor = redactor
        self._purger = purger
        self._recorder = recorder
        self._lifecycles = lifecycles
        self._rollovers = rollovers
        self._auditor = auditor

    def run(self, category: Category, scope: Scope) -> CycleResult:
        """Run one cycle and return its result; what it did and found is in the log, the ledger and the memory.

        Raises Refused and ClusterUnavailable where the cycle could not be brought to its proof.
        """
        cycle = cycle_of(category.id)
        with structlog.contextvars.bound_contextvars(**{"retention.cycle": cycle, "retention.category": category.id}):
            memory = Memory(fingerprint=scope.fingerprint)
            if self._recorder:
                memory = self._recorder.memory(category, scope.fingerprint)
            result, seen = self._run(category, scope, memory, cycle)
            log_cycle(result.plan, result.proof, self._redactor, acted=result.acted)
            if self._recorder:
                self._recorder.record(
                    scope.policy,
                    category,
                    fingerprint=scope.fingerprint,
                    seen=seen,
                    proof=result.proof,
                    purged=bool(result.purged_indices or result.purged_documents),
                    cycle=cycle,
                )
            return result

    def _run(
        self, category: Category, scope: Scope, memory: Memory, cycle: str
    ) -> tuple[CycleResult, CycleObservation]:
        memories = {category.id: memory}
        facts, plan = self._observer.look(scope, [category], memories)[category.id]
        unknown = self._lifecycles is not None and self._lifecycles.protect(category, scope, facts, cycle)
        first, together, results, refused = plan, plan, Results(), None
        acting = scope.may_act and category.enforce and self._purger is not None
        now = self._clock.now()
        planned = {purge.pair for purge in plan.purge}
        approved = {pair: shown for pair, shown in memory.approved(scope.control, now).items() if pair in planned}
        limits = FuseLimits(max_share=scope.max_share, approved=approved)
        if acting and plan.purge and self._purger and self._recorder:
            released, refused = _released(plan, limits)
            self._recorder.use_approvals(category, memory, scope.control, released, now)
            self._purger.carry_out(category, released, cycle, results, scope.control.holds)
            memories = {category.id: _after(memory, results, now)}
            facts, plan = self._observer.look(scope, [category], memories)[category.id]
            for _ in range(_PASSES - 1):
                changed = results.take_changed()
                again = [purge for purge in plan.purge if purge.facts.uuid in changed]
                if not again:
                    break
                together = _together(together, again, changed)
                may_go, _ = _released(together, limits)
                going = [purge for purge in again if purge in may_go]
                self._purger.carry_out(category, going, cycle, results, scope.control.holds)
                memories = {category.id: _after(memory, results, now)}
                facts, plan = self._observer.look(scope, [category], memories)[category.id]
        proof = verify(category, facts, plan)
        managing = LifecycleResult()
        if self._lifecycles is not None:
            managing = self._lifecycles.apply(category, scope, facts, together, limits, cycle)
        rolling = RollingResult()
        if acting and self._rollovers is not None:
            rolling = self._rollovers.carry_out(category, facts, managing.managed, cycle)
        went = self._auditor.look(category, memory.evidence, facts, cycle) if self._auditor else ()
        vanished = still_told((*memory.vanished, *went), self._clock.now())
        found = (
            *proof.findings,
            *_about_purges(category, results, refused),
            *managing.findings,
            *rolling.findings,
            *(vanished_finding(category.id, one) for one in vanished),
        )
        findings = sighted(memory.findings, found, proof.as_of)
        purged = bool(results.purged_indices or results.purged_documents)
        result = CycleResult(
            category=category.id,
            plan=first,
            left=plan,
            proof=replace(proof, findings=tuple(findings)),
            refused=refused,
            acted=acting,
            purged_indices=results.purged_indices,
            purged_documents=results.purged_documents,
            expired_indices=sum(one.ours for one in went),
            expired_documents=sum(one.evidence.documents or 0 for one in went if one.ours),
            last_purge=proof.as_of if purged else memory.purged_at,
            unknown=unknown or managing.unknown or rolling.unknown or Outcome.UNKNOWN in results.outcomes,
        )
        seen = CycleObservation(
            facts=facts,
            trimmed=results.trimmed,
            managed=managing.managed,
            vanished=vanished,
            refused=results.refused | rolling.refused,
        )
        return result, seen


def _after(memory: Memory, results: Results, now: int) -> Memory:
    """Return the memory for a further look in the same cycle."""
    return memory.after_trims(results.trimmed, now).after_refusals(results.refused, now)


def _together(before: Plan, again: Collection[Purge], changed: Collection[str]) -> Plan:
    """Return one plan of all that a cycle planned, so that it lets no more through than in a single pass."""
    stays = [purge for purge in before.purge if purge.facts.uuid not in changed]
    return replace(before, purge=(*stays, *again))


def _released(plan: Plan, limits: FuseLimits) -> tuple[Sequence[Purge], UnsafePlan | None]:
    """Return the purges that may go, and the refusal of the others."""
    try:
        raise_if_unsafe(plan, limits)
    except UnsafePlan as unsafe:
        return unsafe.released, unsafe
    return plan.purge, None


def _about_purges(category: Category, results: Results, refused: UnsafePlan | None) -> list[Finding]:
    """Return the findings about what was not purged; they are no verdict: that is what is left, and how old."""
    findings = []
    for purge, reason in results.failures.values():
        text = f"{purge.action} of {purge.facts.name} did not succeed: {reason}"
        findings.append(Finding.of(FindingKind.PURGE_FAILED, category.id, text, TRIED_AGAIN, index=purge.facts))
    if refused:
        findings.append(Finding.of(FindingKind.UNSAFE_PLAN, category.id, refused.message, refused.remedy))
    return findings
