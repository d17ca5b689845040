"""What a scheduler calls: one cycle of one category, after everything was checked that must be true before."""

from __future__ import annotations

from dataclasses import replace

from retention_enforcer.domain.control import Control
from retention_enforcer.domain.facts import ClusterFacts
from retention_enforcer.domain.findings import Finding, sighted
from retention_enforcer.domain.own.state_keys import LIFECYCLES, LOOKED, TERMINATIONS, memory_key
from retention_enforcer.domain.subjects.pseudonyms import Redactor
from retention_enforcer.enforcement.coverage.job import CoverageCycle, RecordedCoverage
from retention_enforcer.enforcement.coverage.node_copies import CopiesBook
from retention_enforcer.enforcement.coverage.observer import CoverageLook
from retention_enforcer.enforcement.expiry.cycle import Cycle, CycleResult, PlanningCycle
from retention_enforcer.enforcement.expiry.deletion_blocks import DeletionBlocks
from retention_enforcer.enforcement.findings import FindingRecorder, log_findings
from retention_enforcer.enforcement.ledger.books import LedgerBooks
from retention_enforcer.enforcement.lifecycles.strays import StrayLifecycles, StrayWatch
from retention_enforcer.enforcement.memory import Memory
from retention_enforcer.enforcement.ports import Clock, Inventory, StateStore
from retention_enforcer.enforcement.preconditions.decisions import Decisions
from retention_enforcer.enforcement.preconditions.safety import (
    Preconditions,
    raise_if_wrong_clock,
    raise_if_wrong_cluster,
)
from retention_enforcer.enforcement.scope import Scope
from retention_enforcer.enforcement.terminations.job import TerminationResult, TerminationWork
from retention_enforcer.enforcement.terms import Terms


class Planner:
    """Plan mode: observes, plans, logs; writes nothing, needs none of the enforcer's own indices, holds no lease."""

    def __init__(
        self,
        *,
        terms: Terms,
        inventory: Inventory,
        clock: Clock,
        redactor: Redactor,
        cycle: PlanningCycle,
        coverage: CoverageCycle,
        lifecycles: StrayWatch,
    ) -> None:
        self._terms = terms
        self._inventory = inventory
        self._clock = clock
        self._redactor = redactor
        self._cycle = cycle
        self._coverage = coverage
        self._lifecycles = lifecycles

    def start(self) -> None:
        """Check what must be true of the cluster."""
        self._check(self._inventory.cluster())

    def cover(self) -> CoverageLook:
        """Look past the policy once."""
        self._check(self._inventory.cluster())
        policy, found = self._terms.policy, self._lifecycles.run(self._scope).findings
        log_findings(found, self._redactor)
        look = self._coverage.run(policy, Control(), {})
        return replace(look, findings=(*look.findings, *sighted({}, found, self._clock.now())))

    def run(self, category: str) -> CycleResult:
        """Run one cycle of a category without acting."""
        self._check(self._inventory.cluster())
        return self._cycle.run(self._terms.policy.category(category), self._scope)

    def work_on_terminations(self) -> TerminationResult:
        """Nothing is taken in, since nothing may be deleted: the requests wait for an enforcer."""
        return TerminationResult(terminations=(), findings=(), late=False)

    def finish(self) -> None:
        """Nothing is kept, so nothing is to be finished."""

    def raise_if_unaccepted(self) -> None:
        """Nothing is deleted, so nothing needs to be accepted."""

    @property
    def _scope(self) -> Scope:
        return self._terms.scope(Control(), may_act=False)

    def _check(self, cluster: ClusterFacts) -> None:
        raise_if_wrong_clock(cluster, self._clock.now())
        raise_if_wrong_cluster(cluster, self._terms.pinned_cluster, None)


class Enforcer:
    """Enforce mode. One object serves all categories, from several threads."""

    def __init__(
        self,
        *,
        terms: Terms,
        preconditions: Preconditions,
        decisions: Decisions,
        books: LedgerBooks,
        state: StateStore,
        clock: Clock,
        cycle: Cycle,
        coverage: RecordedCoverage,
        copies: CopiesBook,
        terminations: TerminationWork,
        lifecycles: StrayLifecycles,
        findings: FindingRecorder,
        blocks: DeletionBlocks,
    ) -> None:
        self._terms = terms
        self._preconditions = preconditions
        self._decisions = decisions
        self._books = books
        self._state = state
        self._clock = clock
        self._cycle = cycle
        self._coverage = coverage
        self._copies = copies
        self._terminations = terminations
        self._lifecycles = lifecycles
        self._findings = findings
        self._blocks = blocks

    def start(self) -> None:
        """Check that everything is in its place, and give each interrupted intent its outcome. Needs the lease.

        Raises Refused where nothing may be deleted.
        """
        self._preconditions.check_own()
        self._terminations.start()
        self._preconditions.check()
        self._books.start()
        self._blocks.start()
        self._decisions.register_environment()

    def run(self, category: str) -> CycleResult:
        """Run one cycle of a category; what may not be done under the operator's word is planned and proven only."""
        self._preconditions.check()
        control = self._decisions.read()
        self._settle(category)
        with self._books.watching(category):
            result = self._cycle.run(self._terms.policy.category(category), self._decisions.scope(control))
        if result.unknown:
            self._books.leave(category)
        self._books.keep()
        return result

    def cover(self) -> CoverageLook:
        """Look past the policy once: what no category's cycle sees."""
        self._preconditions.check()
        control = self._decisions.read()
        strays = self._look_at_lifecycles(control)
        policy, fingerprint = self._terms.policy, self._terms.fingerprint
        bodies = self._state.load([memory_key(category.id) for category in policy.categories])
        memories = [Memory.of(body, fingerprint) for body in bodies.values()]
        evidence = {uuid: known for memory in memories for uuid, known in memory.evidence.items()}
        look = self._coverage.run(policy, control, evidence)
        self._copies.keep(look.facts)
        self._books.keep()
        return replace(look, findings=(*look.findings, *strays))

    def _look_at_lifecycles(self, control: Control) -> tuple[Finding, ...]:
        """Look at the lifecycles of the whole cluster; the enforcer's own are nowhere outside the policy."""
        self._settle(LIFECYCLES)
        with self._books.watching(LIFECYCLES):
            result = self._lifecycles.run(self._decisions.scope(control))
        if result.unknown:
            self._books.leave(LIFECYCLES)
        return self._findings.record_of_job(LIFECYCLES, result.findings, self._clock.now())

    def work_on_terminations(self) -> TerminationResult:
        """Take in requests, purge what is due for them, erase, watch and close."""
        with self._terminations.renewing():
            self._preconditions.check()
            control = self._decisions.read()
            self._settle(TERMINATIONS)
            with self._books.watching(TERMINATIONS):
                result = self._terminations.run(self._decisions.scope(control))
        if result.unknown:
            self._books.leave(TERMINATIONS)
        now = self._clock.now()
        findings = self._findings.record_of_job(TERMINATIONS, result.findings, now)
        self._state.save(LOOKED, {"at": now}, now)
        self._books.keep()
        return replace(result, findings=findings)

    def _settle(self, job: str) -> None:
        """Finish what the last run of a job left open."""
        self._books.settle(job)
        self._blocks.tidy(job)

    def finish(self) -> None:
        """Remember how far the ledger goes."""
        self._books.keep()

    def raise_if_unaccepted(self) -> None:
        """Raise Refused if nobody accepted the policy that is in force here."""
        self._decisions.raise_if_unaccepted()
