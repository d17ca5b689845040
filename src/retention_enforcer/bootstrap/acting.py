"""What acts in `run`, put together: in plan mode nothing does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from retention_enforcer.cluster.deletion.deletion import Deletion
from retention_enforcer.cluster.deletion.pace import Pace
from retention_enforcer.cluster.erasure import Erasure
from retention_enforcer.cluster.lifecycles.history import LifecycleHistory
from retention_enforcer.cluster.subjects.counts import SubjectCounts
from retention_enforcer.daemon.gate import Gate
from retention_enforcer.daemon.lease import LeaseKeeper, NoLease
from retention_enforcer.daemon.stopping import StopFlag
from retention_enforcer.daemon.work import Worker
from retention_enforcer.domain.instants import HOUR, SECOND
from retention_enforcer.enforcement.coverage.job import CoverageCycle, CoverageRecorder, RecordedCoverage
from retention_enforcer.enforcement.enforcer import Enforcer, Planner, Runs
from retention_enforcer.enforcement.erasure.eraser import Eraser
from retention_enforcer.enforcement.erasure.write_blocks import WriteBlocks
from retention_enforcer.enforcement.expiry.cycle import Cycle, PlanningCycle
from retention_enforcer.enforcement.expiry.deletion_blocks import DeletionBlocks
from retention_enforcer.enforcement.expiry.purge import Purger
from retention_enforcer.enforcement.expiry.recorder import CycleRecorder
from retention_enforcer.enforcement.expiry.rollovers import Roller, Rollovers
from retention_enforcer.enforcement.findings import FindingRecorder
from retention_enforcer.enforcement.holds.coverage import HoldCoverage
from retention_enforcer.enforcement.holds.records import HoldRecorder
from retention_enforcer.enforcement.ledger.acts import Acts
from retention_enforcer.enforcement.ledger.appender import Appender, Signature
from retention_enforcer.enforcement.ledger.books import LedgerBooks
from retention_enforcer.enforcement.lifecycles.adoption import StreamAdoption
from retention_enforcer.enforcement.lifecycles.changer import LifecycleChanger
from retention_enforcer.enforcement.lifecycles.ended import EndedLifecycles
from retention_enforcer.enforcement.lifecycles.reconcile import LifecycleWork
from retention_enforcer.enforcement.lifecycles.strays import StrayLifecycles
from retention_enforcer.enforcement.lifecycles.vanished import VanishedIndices
from retention_enforcer.enforcement.observer import Observer
from retention_enforcer.enforcement.preconditions.decisions import Decisions
from retention_enforcer.enforcement.preconditions.own_indices import OwnWatch, raise_if_deviating
from retention_enforcer.enforcement.preconditions.safety import Preconditions
from retention_enforcer.enforcement.preconditions.word import OperatorsWord
from retention_enforcer.enforcement.terminations.applications import OwnedApplications
from retention_enforcer.enforcement.terminations.intake import IntakeMemory, TakenRequests
from retention_enforcer.enforcement.terminations.job import TerminationWork
from retention_enforcer.enforcement.terminations.purge import SubjectPurge
from retention_enforcer.enforcement.terminations.registrar import Registrar, TerminationRecorder

if TYPE_CHECKING:
    from retention_enforcer.bootstrap import Deployment


@dataclass(frozen=True, slots=True, kw_only=True)
class Acting:
    """The parts of a process that runs cycles."""

    worker: Worker
    lease: LeaseKeeper | NoLease
    gate: Gate
    look_at_stop: Callable[[], None]


def acting_of(deployment: Deployment) -> Acting:
    """Return the parts of `run`, for the mode that the settings name."""
    if deployment.settings.require_mode() == "plan":
        return _planning(deployment)
    deployment.settings.require_pseudonym_key()
    timeout = deployment.settings.elasticsearch_timeout / SECOND
    lease = LeaseKeeper(
        deployment.stores.state,
        deployment.clock,
        deployment.instance,
        deployment.stores.ledger.last_epoch,
        lambda: raise_if_deviating(deployment.stores.own_indices.look()),
        deployment.rhythm.lease_term,
    )
    word = OperatorsWord(deployment.terms, deployment.stores.control, deployment.stores.state)
    gate = Gate(lease.outlasts, timeout, word.raise_if_against)
    stop_flag = StopFlag(
        deployment.stores.control, deployment.stores.state, gate, deployment.clock, deployment.instance
    )
    enforcer = _enforcer(deployment, lease, gate, timeout)
    return Acting(worker=enforcer, lease=lease, gate=gate, look_at_stop=stop_flag.look)


def _planning(deployment: Deployment) -> Acting:
    planner = Planner(
        terms=deployment.terms,
        inventory=deployment.connection.inventory,
        clock=deployment.clock,
        redactor=deployment.redactor,
        cycle=PlanningCycle(deployment.reading.observer, deployment.redactor, deployment.reading.watched_lifecycles),
        coverage=CoverageCycle(deployment.reading.coverage_observer, deployment.redactor),
        lifecycles=deployment.reading.stray_watch,
    )
    return Acting(
        worker=planner, lease=NoLease(), gate=Gate(lambda _: False, 0, lambda: None), look_at_stop=lambda: None
    )


def _enforcer(deployment: Deployment, lease: LeaseKeeper, gate: Gate, timeout: float) -> Enforcer:
    tools = _Tools.of(deployment, lease, gate, timeout)
    changer = LifecycleChanger(deployment.connection.lifecycles, tools.deletion, tools.acts, tools.appender, gate)
    adoption = StreamAdoption(
        deployment.connection.lifecycles,
        deployment.connection.streams,
        tools.acts,
        deployment.stores.state,
        deployment.clock,
    )
    ended = EndedLifecycles(
        deployment.reading.lifecycle_observer,
        deployment.connection.lifecycles,
        changer,
        deployment.stores.state,
        deployment.clock,
        max(HOUR, 2 * deployment.settings.interval),
    )
    return Enforcer(
        preconditions=Preconditions(
            inventory=deployment.connection.inventory,
            ledger=deployment.stores.ledger,
            appender=tools.appender,
            state=deployment.stores.state,
            own=tools.own,
            clock=deployment.clock,
            pinned_cluster=deployment.terms.pinned_cluster,
        ),
        decisions=Decisions(
            terms=deployment.terms,
            control=deployment.stores.control_reader,
            watch=deployment.stores.control_watch,
            holds=HoldRecorder(deployment.stores.state, tools.appender, deployment.redactor),
            appender=tools.appender,
            state=deployment.stores.state,
            clock=deployment.clock,
            raise_if_voided=deployment.deciding.holding.raise_if_voided,
        ),
        runs=Runs(
            books=LedgerBooks(
                ledger=deployment.stores.ledger,
                appender=tools.appender,
                acts=tools.acts,
                deleter=tools.deletion,
                streams=deployment.connection.streams,
                state=deployment.stores.state,
                pseudonyms=deployment.pseudonyms,
                clock=deployment.clock,
            ),
            blocks=tools.blocks,
        ),
        state=deployment.stores.state,
        clock=deployment.clock,
        cycle=_cycle(deployment, tools, changer, adoption, ended),
        coverage=RecordedCoverage(
            CoverageCycle(deployment.reading.coverage_observer, deployment.redactor),
            CoverageRecorder(deployment.stores.state, tools.findings),
            deployment.reading.copies,
            deployment.terms,
        ),
        terminations=_terminations(deployment, tools, ended),
        lifecycles=StrayLifecycles(deployment.reading.stray_watch, changer, adoption),
        findings=tools.findings,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tools:
    """What all that acts shares: one observer, one appender, one permit, one pace."""

    gate: Gate
    observer: Observer
    own: OwnWatch
    appender: Appender
    deletion: Deletion
    blocks: DeletionBlocks
    acts: Acts
    roller: Roller
    purger: Purger
    recorder: CycleRecorder
    findings: FindingRecorder
    timeout: float

    @classmethod
    def of(cls, deployment: Deployment, lease: LeaseKeeper, gate: Gate, timeout: float) -> _Tools:
        signature = Signature(instance=deployment.instance, mode="enforce", policy=deployment.fingerprint)
        own = OwnWatch(deployment.stores.own_indices, deployment.stores.state)
        appender = Appender(
            deployment.stores.ledger,
            deployment.clock,
            signature,
            lambda: lease.epoch,
            deployment.redactor,
            own.check_again,
        )
        own.forget = appender.forget
        deletion = Deletion(deployment.connection.client, timeout, Pace(deployment.settings.purge_rate))
        blocks = DeletionBlocks(
            stop=deletion,
            state=deployment.stores.state,
            appender=appender,
            permit=gate,
            clock=deployment.clock,
            lasts=lambda: lease.outlasts(timeout),
        )
        acts = Acts(appender, gate, deployment.clock, deployment.stores.bare_control_reader)
        roller = Roller(deletion, acts, gate, deployment.clock)
        findings = FindingRecorder(deployment.stores.state, appender, deployment.redactor)
        purger = Purger(deletion, roller, blocks, acts, deployment.policy.earliest)
        return cls(
            gate=gate,
            observer=Observer(
                deployment.connection.inventory,
                deployment.reading.hold_resolver,
                deployment.clock,
                HoldCoverage(deployment.stores.state),
            ),
            own=own,
            appender=appender,
            deletion=deletion,
            blocks=blocks,
            acts=acts,
            roller=roller,
            purger=purger,
            recorder=CycleRecorder(deployment.stores.state, appender, findings, deployment.redactor),
            findings=findings,
            timeout=timeout,
        )


def _cycle(
    deployment: Deployment, tools: _Tools, changer: LifecycleChanger, adoption: StreamAdoption, ended: EndedLifecycles
) -> Cycle:
    return Cycle(
        observer=tools.observer,
        clock=deployment.clock,
        redactor=deployment.redactor,
        purger=tools.purger,
        recorder=tools.recorder,
        lifecycles=LifecycleWork(
            deployment.reading.lifecycle_observer,
            deployment.connection.lifecycles,
            deployment.clock,
            changer,
            adoption,
            ended.known,
        ),
        rollovers=Rollovers(tools.roller, deployment.policy, deployment.clock),
        vanished=VanishedIndices(
            policy=deployment.policy,
            deleter=tools.deletion,
            ledger=deployment.stores.ledger,
            appender=tools.appender,
            history=LifecycleHistory(deployment.connection.client),
            has_lifecycles=deployment.connection.capabilities.has_lifecycles,
            lifecycles=deployment.connection.lifecycles.contents,
            redactor=deployment.redactor,
            clock=deployment.clock,
        ),
    )


def _terminations(deployment: Deployment, tools: _Tools, ended: EndedLifecycles) -> TerminationWork:
    book = TerminationRecorder(deployment.stores.registry, tools.appender, deployment.clock)
    write_blocks = WriteBlocks(
        tools.deletion, deployment.stores.state, tools.appender, tools.gate, deployment.clock, tools.blocks
    )
    eraser = Eraser(
        erasures=Erasure(deployment.connection.client, tools.timeout),
        registry=deployment.stores.registry,
        appender=tools.appender,
        permit=tools.gate,
        clock=deployment.clock,
        pause=tools.gate.pause,
        hide=deployment.hide,
        own_indices=deployment.stores.indices_with_ids,
        longest_run=deployment.erases_for,
    )
    subject_observer = deployment.reading.subject_observer_of(tools.observer)
    purge = SubjectPurge(
        book=book,
        observer=subject_observer,
        counts=SubjectCounts(deployment.connection.client),
        purger=tools.purger,
        write_blocks=write_blocks,
        eraser=eraser,
        redactor=deployment.redactor,
        clock=deployment.clock,
        grace=deployment.settings.grace,
    )
    return TerminationWork(
        registrar=_registrar(deployment, tools, book),
        book=book,
        requests=deployment.stores.requests,
        applications=OwnedApplications(
            owners=deployment.reading.owners, book=book, pseudonyms=deployment.pseudonyms, clock=deployment.clock
        ),
        purge=purge,
        write_blocks=write_blocks,
        eraser=eraser,
        ended=ended,
        clock=deployment.clock,
        grace=deployment.settings.grace,
    )


def _registrar(deployment: Deployment, tools: _Tools, book: TerminationRecorder) -> Registrar:
    return Registrar(
        requests=deployment.stores.requests,
        registry=deployment.stores.registry,
        book=book,
        memory=IntakeMemory(deployment.stores.requests, deployment.stores.registry, deployment.stores.state),
        taken=TakenRequests(deployment.stores.registry, deployment.pseudonyms),
        ledger=deployment.stores.ledger,
        appender=tools.appender,
        pseudonyms=deployment.pseudonyms,
        clock=deployment.clock,
        most=deployment.settings.max_terminations,
    )
