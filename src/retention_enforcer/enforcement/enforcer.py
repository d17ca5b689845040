"""What a scheduler calls: one cycle of one category, after everything was checked that must be true before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from retention_enforcer.domain.control import Control
from retention_enforcer.domain.facts import ClusterFacts
from retention_enforcer.domain.findings import sighted
from retention_enforcer.domain.own.state_keys import LIFECYCLES, LOOKED, TERMINATIONS
from retention_enforcer.domain.subjects.pseudonyms import Redactor
from retention_enforcer.enforcement.coverage.job import CoverageCycle, RecordedCoverage
from retention_enforcer.enforcement.coverage.observer import CoverageLook
from retention_enforcer.enforcement.expiry.cycle import Cycle, CycleResult, PlanningCycle
from retention_enforcer.enforcement.expiry.deletion_blocks import DeletionBlocks
from retention_enforcer.enforcement.findings import FindingRecorder, log_findings
from retention_enforcer.enforcement.ledger.books import LedgerBooks, Ran
from retention_enforcer.enforcement.lifecycles.strays import StrayLifecycles, StrayWatch
from retention_enforcer.enforcement.ports import Clock, DocumentStore, Inventory
from retention_enforcer.enforcement.preconditions.decisions import Decisions
from retention_enforcer.enforcement.preconditions.safety import (
    Preconditions,
    raise_if_wrong_clock,
    raise_if_wrong_cluster,
)
from retention_enforcer.enforcement.scope import Scope
from retention_enforcer.enforcement.terminations.job import TerminationResult, TerminationWork
from retention_enforcer.enforcement.terms import Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Planner:
    """Plan mode: observes, plans, logs; writes nothing, needs none of the enforcer's own indices, holds no lease."""

    terms: Terms
    inventory: Inventory
    clock: Clock
    redactor: Redactor
    cycle: PlanningCycle
    coverage: CoverageCycle
    lifecycles: StrayWatch

    def start(self) -> None:
        """Check what must be true of the cluster."""
        self._check(self.inventory.cluster())

    def cover(self) -> CoverageLook:
        """Look past the policy once."""
        self._check(self.inventory.cluster())
        policy, found = self.terms.policy, self.lifecycles.run(self._scope).findings
        log_findings(found, self.redactor)
        look = self.coverage.run(policy, Control(), {})
        return replace(look, findings=(*look.findings, *sighted({}, found, self.clock.now())))

    def run(self, category: str) -> CycleResult:
        """Run one cycle of a category without acting."""
        self._check(self.inventory.cluster())
        return self.cycle.run(self.terms.policy.category(category), self._scope)

    def work_on_terminations(self) -> TerminationResult:
        """Nothing is taken in, since nothing may be deleted: the requests wait for an enforcer."""
        return TerminationResult(terminations=(), findings=(), late=False)

    def finish(self) -> None:
        """Nothing is kept, so nothing is to be finished."""

    def raise_if_unaccepted(self) -> None:
        """Nothing is deleted, so nothing needs to be accepted."""

    @property
    def _scope(self) -> Scope:
        return self.terms.scope(Control(), may_act=False)

    def _check(self, cluster: ClusterFacts) -> None:
        raise_if_wrong_clock(cluster, self.clock.now())
        raise_if_wrong_cluster(cluster, self.terms.pinned_cluster, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """Runs of jobs, each begun once what the last one of the same job left open is finished."""

    books: LedgerBooks
    blocks: DeletionBlocks

    def start(self) -> None:
        """Finish what an earlier process left open."""
        self.books.start()
        self.blocks.start()

    def run(self, job: str, work: Callable[[], Ran]) -> Ran:
        """Do a job's work."""
        self.books.settle(job)
        self.blocks.tidy(job)
        return self.books.run(job, work)

    def keep(self) -> None:
        """Remember how far the ledger goes."""
        self.books.keep()


@dataclass(frozen=True, slots=True, kw_only=True)
class Enforcer:
    """Enforce mode. One object serves all categories, from several threads."""

    preconditions: Preconditions
    decisions: Decisions
    runs: Runs
    state: DocumentStore
    clock: Clock
    cycle: Cycle
    coverage: RecordedCoverage
    terminations: TerminationWork
    lifecycles: StrayLifecycles
    findings: FindingRecorder

    def start(self) -> None:
        """Check that everything is in its place, and give each interrupted intent its outcome. Needs the lease.

        Raises Refused where nothing may be deleted.
        """
        self.preconditions.check_own()
        self.preconditions.check()
        self.runs.start()
        self.decisions.register_environment()

    def run(self, category: str) -> CycleResult:
        """Run one cycle of a category; what may not be done under the operator's word is planned and proven only."""

        def work(scope: Scope) -> CycleResult:
            return self.cycle.run(scope.policy.category(category), scope)

        self.preconditions.check()
        result = self._run(category, work, self.decisions.read())
        self.runs.keep()
        return result

    def cover(self) -> CoverageLook:
        """Look past the policy once: what no category's cycle sees."""
        self.preconditions.check()
        control = self.decisions.read()
        strays = self._run(LIFECYCLES, self.lifecycles.run, control).findings
        strays = self.findings.record_of_job(LIFECYCLES, strays, self.clock.now())
        look = self.coverage.run(control)
        self.runs.keep()
        return replace(look, findings=(*look.findings, *strays))

    def work_on_terminations(self) -> TerminationResult:
        """Take in requests, purge what is due for them, erase, watch and close."""
        self.preconditions.check()
        result = self._run(TERMINATIONS, self.terminations.run, self.decisions.read())
        now = self.clock.now()
        findings = self.findings.record_of_job(TERMINATIONS, result.findings, now)
        self.state.save(LOOKED, {"at": now}, now)
        self.runs.keep()
        return replace(result, findings=findings)

    def _run(self, job: str, work: Callable[[Scope], Ran], control: Control) -> Ran:
        """Do a job's work under the operator's decisions."""
        return self.runs.run(job, lambda: work(self.decisions.scope(control)))

    def finish(self) -> None:
        """Remember how far the ledger goes."""
        self.runs.keep()

    def raise_if_unaccepted(self) -> None:
        """Raise Refused if nobody accepted the policy that is in force here."""
        self.decisions.raise_if_unaccepted()
