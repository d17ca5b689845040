"""One cycle of one category: observe, plan, refuse what is unsafe, enforce, look again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from retention_enforcer.domain.expiry.fuse import FuseLimits, UnsafePlan, raise_if_unsafe
from retention_enforcer.domain.expiry.proof import Proof, verify
from retention_enforcer.domain.facts import CategoryFacts
from retention_enforcer.domain.findings import TRIED_AGAIN, Finding, FindingKind, sighted
from retention_enforcer.domain.lifecycles.vanished import still_told, vanished_finding
from retention_enforcer.domain.plan import Plan, Purge
from retention_enforcer.domain.policy.promises import Category
from retention_enforcer.domain.subjects.pseudonyms import Redactor
from retention_enforcer.enforcement.expiry.purge import Purger, Results
from retention_enforcer.enforcement.expiry.recorder import CycleObservation, CycleRecorder, log_cycle
from retention_enforcer.enforcement.expiry.rollovers import RollingResult, Rollovers
from retention_enforcer.enforcement.lifecycles.reconcile import LifecycleWatch, LifecycleWork
from retention_enforcer.enforcement.lifecycles.vanished import VanishedIndices
from retention_enforcer.enforcement.memory import Memory
from retention_enforcer.enforcement.observer import Observer
from retention_enforcer.enforcement.ports import Clock
from retention_enforcer.enforcement.scope import Scope, named_run

_CYCLE_PASSES = 3
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


class PlanningCycle:
    """Plan mode: observes, plans, looks at lifecycles, logs; writes nothing."""

    def __init__(self, observer: Observer, redactor: Redactor, lifecycles: LifecycleWatch) -> None:
        self._observer = observer
        self._redactor = redactor
        self._lifecycles = lifecycles

    def run(self, category: Category, scope: Scope) -> CycleResult:
        """Run one cycle and return what would be done. Raises ClusterUnavailable where that cannot be told."""
        with named_run(category.id, **{"retention.category": category.id}):
            memories = {category.id: Memory(fingerprint=scope.fingerprint)}
            facts, plan = self._observer.look(scope, [category], memories)[category.id]
            proof = verify(category, facts, plan)
            findings = (*proof.findings, *self._lifecycles.report(category, scope, facts).findings)
            proof = replace(proof, findings=tuple(sighted({}, findings, proof.as_of)))
            log_cycle(plan, proof, self._redactor, acted=False)
            return CycleResult(category=category.id, plan=plan, left=plan, proof=proof)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """Enforce mode. One serves all categories; what is known between cycles is in the recorder's memory."""

    observer: Observer
    clock: Clock
    redactor: Redactor
    purger: Purger
    recorder: CycleRecorder
    lifecycles: LifecycleWork
    rollovers: Rollovers
    vanished: VanishedIndices

    def run(self, category: Category, scope: Scope) -> CycleResult:
        """Run one cycle and return its result; what it did and found is in the log, the ledger and the memory.

        Raises Refused and ClusterUnavailable where the cycle could not be brought to its proof.
        """
        with named_run(category.id, **{"retention.category": category.id}) as cycle:
            memory = self.recorder.memory(category, scope.fingerprint)
            result, seen = self._run(category, scope, memory, cycle)
            log_cycle(result.plan, result.proof, self.redactor, acted=result.acted)
            self.recorder.record(
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
        run = _Run(
            category=category,
            scope=scope,
            memory=memory,
            cycle=cycle,
            acting=scope.may_act and category.enforce,
        )
        self._observe(run)
        first = run.together = run.plan
        self.lifecycles.protect(category, scope, run.facts, cycle)
        limits = self._enforce(run)
        proof = verify(category, run.facts, run.plan)
        managing = self.lifecycles.apply(category, scope, run.facts, run.together, limits, cycle)
        rolling = RollingResult()
        if run.acting:
            rolling = self.rollovers.carry_out(category, run.facts, managing.managed, cycle, run.results.rolled)
        went = self.vanished.look(category, memory.evidence, run.facts, cycle)
        vanished = still_told((*memory.vanished, *went), self.clock.now())
        found = (
            *proof.findings,
            *_about_purges(category, run.results, run.refused),
            *managing.findings,
            *rolling.findings,
            *(vanished_finding(category.id, one) for one in vanished),
        )
        results = run.results
        result = CycleResult(
            category=category.id,
            plan=first,
            left=run.plan,
            proof=replace(proof, findings=tuple(sighted(memory.findings, found, proof.as_of))),
            refused=run.refused,
            acted=run.acting,
            purged_indices=results.purged_indices,
            purged_documents=results.purged_documents,
            expired_indices=sum(one.ours for one in went),
            expired_documents=sum(one.evidence.documents or 0 for one in went if one.ours),
            last_purge=proof.as_of if results.purged_indices or results.purged_documents else memory.purged_at,
        )
        seen = CycleObservation(
            facts=run.facts,
            trimmed=results.trimmed,
            managed=managing.managed,
            vanished=vanished,
            refused=results.refused | rolling.refused,
        )
        return result, seen

    def _observe(self, run: _Run) -> None:
        """Look at the category, with what this cycle has done since it began."""
        memory = run.memory.after_trims(run.results.trimmed, run.began).after_refusals(run.results.refused, run.began)
        look = self.observer.look(run.scope, [run.category], {run.category.id: memory})
        run.facts, run.plan = look[run.category.id]

    def _enforce(self, run: _Run) -> FuseLimits:
        """Purge what the fuse releases; what was written to meanwhile is planned anew, a few times."""
        run.began = self.clock.now()
        planned = {purge.pair for purge in run.plan.purge}
        approvals = run.memory.approved(run.scope.control, run.began)
        approved = {pair: shown for pair, shown in approvals.items() if pair in planned}
        limits = FuseLimits(max_share=run.scope.max_share, approved=approved)
        if not run.acting or not run.plan.purge:
            return limits
        released, run.refused = _released(run.plan, limits)
        self.recorder.use_approvals(run.category, run.memory, run.scope.control, released, run.began)
        self._purge(run, released)
        for _ in range(_CYCLE_PASSES - 1):
            changed = run.results.take_changed()
            again = [purge for purge in run.plan.purge if purge.facts.uuid in changed]
            if not again:
                break
            run.together = _together(run.together, again, changed)
            may_go, _ = _released(run.together, limits)
            self._purge(run, [purge for purge in again if purge in may_go])
        return limits

    def _purge(self, run: _Run, purges: Sequence[Purge]) -> None:
        self.purger.carry_out(run.category, purges, run.cycle, run.results, run.scope.control.holds)
        self._observe(run)


@dataclass(slots=True, kw_only=True)
class _Run:
    """One cycle under way."""

    category: Category
    scope: Scope
    memory: Memory
    """What was known before it."""
    cycle: str
    acting: bool
    began: int = 0
    """When it began to purge, in epoch milliseconds."""
    facts: CategoryFacts = field(init=False)
    plan: Plan = field(init=False)
    together: Plan = field(init=False)
    """All that was planned in it so far."""
    results: Results = field(default_factory=Results)
    refused: UnsafePlan | None = None


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
        text = f"{purge.action} of {purge.facts.name} failed: {reason}"
        findings.append(Finding.of(FindingKind.PURGE_FAILED, category.id, text, TRIED_AGAIN, index=purge.facts))
    if refused:
        findings.append(Finding.of(FindingKind.UNSAFE_PLAN, category.id, refused.message, refused.remedy))
    return findings
