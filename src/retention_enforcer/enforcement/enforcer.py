"""What a scheduler calls: one cycle of one category, after everything was checked that must be true before."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import structlog

from retention_enforcer.domain.control import Control
from retention_enforcer.domain.facts import ClusterFacts
from retention_enforcer.domain.findings import Finding, sighted
from retention_enforcer.domain.instants import DAY
from retention_enforcer.domain.ledger.checkpoints import checkpoint_of
from retention_enforcer.domain.ledger.records import Entry, Kind
from retention_enforcer.domain.own.state_keys import (
    CHECKPOINT,
    CLUSTER,
    LEDGER,
    LIFECYCLES,
    LOOKED,
    POLICY,
    TERMINATIONS,
    memory_key,
)
from retention_enforcer.domain.subjects.pseudonyms import Pseudonyms, Redactor
from retention_enforcer.enforcement.coverage.job import CoverageCycle
from retention_enforcer.enforcement.coverage.node_copies import CopiesBook
from retention_enforcer.enforcement.coverage.observer import CoverageLook
from retention_enforcer.enforcement.expiry.cycle import Cycle, CycleResult
from retention_enforcer.enforcement.expiry.deletion_blocks import DeletionBlocks
from retention_enforcer.enforcement.findings import FindingRecorder, log_findings
from retention_enforcer.enforcement.holds.records import HoldRecorder
from retention_enforcer.enforcement.ledger.appender import Appender
from retention_enforcer.enforcement.ledger.memory import LedgerMemory, raise_if_ledger_lost
from retention_enforcer.enforcement.ledger.settle import settle_intents
from retention_enforcer.enforcement.lifecycles.strays import StrayLifecycles
from retention_enforcer.enforcement.memory import Memory
from retention_enforcer.enforcement.ports import Clock, ControlStore, Deleter, Inventory, LedgerStore, StateStore
from retention_enforcer.enforcement.preconditions.control_memory import ControlWatch
from retention_enforcer.enforcement.preconditions.own_indices import OwnWatch
from retention_enforcer.enforcement.preconditions.safety import raise_if_wrong_clock, raise_if_wrong_cluster
from retention_enforcer.enforcement.scope import Scope
from retention_enforcer.enforcement.terminations.job import TerminationResult, TerminationWork
from retention_enforcer.enforcement.terms import Terms, accepted_fingerprint, words_of

_log = structlog.get_logger()

_CHECKED_FOR = 5.0
"""Seconds for which a check of the standing serves all jobs: they begin at the same moment, and last for longer."""


class Planner:
    """Plan mode: observes, plans, logs; writes nothing, needs none of the enforcer's own indices, holds no lease."""

    def __init__(
        self,
        *,
        terms: Terms,
        inventory: Inventory,
        clock: Clock,
        redactor: Redactor,
        cycle: Cycle,
        coverage: CoverageCycle,
        lifecycles: StrayLifecycles,
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
        policy, found = self._terms.policy, self._lifecycles.run(self._scope()).findings
        log_findings(found, self._redactor)
        look = self._coverage.run(policy, Control(), {})
        return replace(look, findings=(*look.findings, *sighted({}, found, self._clock.now())))

    def run(self, category: str) -> CycleResult:
        """Run one cycle of a category without acting."""
        self._check(self._inventory.cluster())
        return self._cycle.run(self._terms.policy.category(category), self._scope())

    def work_on_terminations(self) -> TerminationResult:
        """Nothing is taken in, since nothing may be deleted: the requests wait for an enforcer."""
        return TerminationResult(terminations=(), findings=(), late=False)

    def finish(self) -> None:
        """Nothing is kept, so nothing is to be finished."""

    def raise_if_unaccepted(self) -> None:
        """Nothing is deleted, so nothing needs to be accepted."""

    def _scope(self) -> Scope:
        return Scope(
            policy=self._terms.policy,
            fingerprint=self._terms.fingerprint,
            max_share=self._terms.max_share,
            control=Control(),
            may_act=False,
        )

    def _check(self, cluster: ClusterFacts) -> None:
        raise_if_wrong_clock(cluster, self._clock.now())
        raise_if_wrong_cluster(cluster, self._terms.pinned_cluster, None)


class Enforcer:
    """Enforce mode. One object serves all categories, from several threads."""

    def __init__(
        self,
        *,
        terms: Terms,
        inventory: Inventory,
        deleter: Deleter,
        ledger: LedgerStore,
        state: StateStore,
        control: ControlStore,
        watch: ControlWatch,
        own: OwnWatch,
        appender: Appender,
        pseudonyms: Pseudonyms,
        clock: Clock,
        cycle: Cycle,
        coverage: CoverageCycle,
        copies: CopiesBook,
        hold_book: HoldRecorder,
        terminations: TerminationWork,
        lifecycles: StrayLifecycles,
        findings: FindingRecorder,
        blocks: DeletionBlocks,
        raise_if_voided: Callable[[], None],
    ) -> None:
        self._raise_if_voided = raise_if_voided
        self._blocks = blocks
        self._terms = terms
        self._inventory = inventory
        self._deleter = deleter
        self._ledger = ledger
        self._state = state
        self._control = control
        self._watch = watch
        self._own = own
        self._appender = appender
        self._pseudonyms = pseudonyms
        self._clock = clock
        self._cycle = cycle
        self._coverage = coverage
        self._copies = copies
        self._hold_book = hold_book
        self._terminations = terminations
        self._lifecycles = lifecycles
        self._findings = findings
        self._books = threading.Lock()
        self._checking = threading.Lock()
        self._checked_at = -_CHECKED_FOR
        self._began = clock.now()
        self._unfinished: set[str] = set()

    def start(self) -> None:
        """Check that everything is in its place, and give each interrupted intent its outcome. Needs the lease.

        Raises Refused where nothing may be deleted.
        """
        self._own.check()
        self._terminations.start()
        self._check()
        with self._books:
            known = self._state.load([LEDGER])
            settled = settle_intents(self._ledger, self._appender, self._deleter, after=_settled_in(known))
            self._remember_ledger(settled, known)
        self._blocks.start()
        self._register_environment()

    def run(self, category: str) -> CycleResult:
        """Run one cycle of a category; what may not be done under the operator's word is planned and proven only."""
        self._check()
        control = self._read_control()
        self._settle(category)
        scope = self._scope(control)
        try:
            result = self._cycle.run(self._terms.policy.category(category), scope)
        except Exception:
            self._unfinished.add(category)
            raise
        if result.unknown:
            self._unfinished.add(category)
        self._keep_books()
        return result

    def cover(self) -> CoverageLook:
        """Look past the policy once: what no category's cycle sees."""
        self._check()
        control = self._read_control()
        strays = self._look_at_lifecycles(control)
        policy, fingerprint = self._terms.policy, self._terms.fingerprint
        bodies = self._state.load([memory_key(category.id) for category in policy.categories])
        memories = [Memory.of(body, fingerprint) for body in bodies.values()]
        evidence = {uuid: known for memory in memories for uuid, known in memory.evidence.items()}
        look = self._coverage.run(policy, control, evidence)
        self._copies.keep(look.facts)
        self._keep_books()
        return replace(look, findings=(*look.findings, *strays))

    def _look_at_lifecycles(self, control: Control) -> tuple[Finding, ...]:
        """Look at the lifecycles of the whole cluster; the enforcer's own are nowhere outside the policy."""
        self._settle(LIFECYCLES)
        scope = self._scope(control)
        try:
            result = self._lifecycles.run(scope)
        except Exception:
            self._unfinished.add(LIFECYCLES)
            raise
        if result.unknown:
            self._unfinished.add(LIFECYCLES)
        return self._findings.record_of_job(LIFECYCLES, result.findings, self._clock.now())

    def _settle(self, job: str) -> None:
        """Give the intents of a job's last run their outcomes, where it was interrupted."""
        if job in self._unfinished:
            settle_intents(self._ledger, self._appender, self._deleter, after=self._settled(), job=job)
            self._unfinished.discard(job)
        self._blocks.tidy(job)

    def work_on_terminations(self) -> TerminationResult:
        """Take in requests, purge what is due for them, erase, watch and close."""
        with self._terminations.renewing():
            self._check()
            control = self._read_control()
            self._settle(TERMINATIONS)
            scope = self._scope(control)
            try:
                result = self._terminations.run(scope)
            except Exception:
                self._unfinished.add(TERMINATIONS)
                raise
        if result.unknown:
            self._unfinished.add(TERMINATIONS)
        now = self._clock.now()
        findings = self._findings.record_of_job(TERMINATIONS, result.findings, now)
        self._state.save(LOOKED, {"at": now}, now)
        self._keep_books()
        return replace(result, findings=findings)

    def _scope(self, control: Control) -> Scope:
        return Scope(
            policy=self._terms.policy,
            fingerprint=self._terms.fingerprint,
            max_share=self._terms.max_share,
            control=control,
            may_act=self._accepted(control) and control.stopped_at is None,
        )

    def finish(self) -> None:
        """Remember how far the ledger goes."""
        self._keep_books()

    def raise_if_unaccepted(self) -> None:
        """Raise Refused if nobody accepted the policy that is in force here."""
        known = self._state.load([POLICY]).get(POLICY)
        self._terms.raise_if_not(accepted_fingerprint(self._control.read(), known))

    def _check(self) -> None:
        self._own.check()  # each job for itself: what was wiped a moment ago must not be worked with
        with self._checking:
            if time.monotonic() - self._checked_at >= _CHECKED_FOR:
                self._check_now()
                self._checked_at = time.monotonic()

    def _check_now(self) -> None:
        cluster = self._inventory.cluster()
        now = self._clock.now()
        raise_if_wrong_clock(cluster, now)
        known = self._state.load([CLUSTER, LEDGER])
        raise_if_wrong_cluster(cluster, self._terms.pinned_cluster, known.get(CLUSTER))
        body = known.get(LEDGER)
        raise_if_ledger_lost(self._ledger, LedgerMemory.of(body) if body else None)
        if written := self._appender.written:  # whatever is remembered: all own indices may be older than this process
            raise_if_ledger_lost(self._ledger, LedgerMemory(uuid=self._ledger.uuid(), head=written, settled=0))
        if CLUSTER not in known:
            self._state.save(CLUSTER, {"uuid": cluster.uuid}, now)

    def _read_control(self) -> Control:
        """Return the operator's word; what is new of holds is in the ledger before anything follows from it."""
        now = self._clock.now()
        with self._books:
            word = self._watch.read(lambda control: self._hold_book.keep(self._terms.policy, control, now), now)
        return word.under(self._terms.fingerprint)

    def _accepted(self, control: Control) -> bool:
        """Whether the policy here is the last one that was accepted; the first time this is seen, it is recorded."""
        mine = self._terms.fingerprint
        with self._books:  # one category records it, and the others see that
            known = self._state.load([POLICY]).get(POLICY, {})
            if accepted_fingerprint(control, known) != mine:
                return False
            if known.get("recorded") != mine:
                self._appender.append(Entry(kind=Kind.POLICY, action="accepted", reason=mine, actor="operator"))
                self._state.save(POLICY, {**known, "recorded": mine}, self._clock.now())
        return True

    def _register_environment(self) -> None:
        """Count the environment's acceptance from when it was first seen: no restart makes it later.

        From this process's beginning, not from when it got the lease: what was accepted while it waited is newer.
        Raises Refused where `policy accept` would: under this policy a hold covers less than before.
        """
        mine = self._terms.fingerprint
        known = self._state.load([POLICY]).get(POLICY, {})
        words = words_of(known)
        if self._terms.accept == mine and mine not in words:
            self._raise_if_voided()
            after = {"environment": {**words, mine: self._began}}
            if "recorded" in known:
                after["recorded"] = known["recorded"]
            self._state.save(POLICY, after, self._clock.now())

    def _settled(self) -> int:
        return _settled_in(self._state.load([LEDGER]))

    def _keep_books(self) -> None:
        with self._books:
            known = self._state.load([CHECKPOINT, LEDGER])
            self._checkpoint(known.get(CHECKPOINT, {}))
            self._remember_ledger(_settled_in(known), known)

    def _checkpoint(self, last: Mapping[str, Any]) -> None:
        """Record, once a day, an HMAC of the head; in the log it is an anchor outside of the cluster."""
        now = self._clock.now()
        head = self._appender.head
        if head.sequence == 0 or now - int(last.get("at", 0)) < DAY:
            return
        self._appender.append(checkpoint_of(head, self._pseudonyms))
        self._state.save(CHECKPOINT, {"at": now, "sequence": head.sequence}, now)

    def _remember_ledger(self, settled: int, known: Mapping[str, Mapping[str, Any]]) -> None:
        body, head = known.get(LEDGER), self._appender.head
        memory = LedgerMemory.of(body) if body else None
        if memory is None or (head, settled) != (memory.head, memory.settled):
            after = LedgerMemory(uuid=self._ledger.uuid(), head=head, settled=settled)
            self._state.save(LEDGER, after.body(), self._clock.now())


def _settled_in(known: Mapping[str, Mapping[str, Any]]) -> int:
    body = known.get(LEDGER)
    return LedgerMemory.of(body).settled if body else 0
