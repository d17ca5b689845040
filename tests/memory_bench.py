"""A whole enforcer over a cluster in memory, put together as `bootstrap.acting` does it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from logging import CRITICAL
from typing import Any

import structlog

from builders import category
from in_memory import (
    BEGIN,
    Call,
    Cluster,
    MemoryControl,
    MemoryCounter,
    MemoryDeletion,
    MemoryErasures,
    MemoryHistory,
    MemoryInventory,
    MemoryLifecycles,
    MemoryNodes,
    MemoryOwners,
    MemoryOwnIndices,
    MemoryPermit,
    MemoryResolver,
    MemorySnapshots,
    MemoryStreams,
    MemoryWholeCluster,
)
from retention_enforcer.daemon.work import jobs_of
from retention_enforcer.domain.control import Control
from retention_enforcer.domain.errors import RetentionError
from retention_enforcer.domain.holds.hold import Hold
from retention_enforcer.domain.instants import DAY, HOUR, SECOND
from retention_enforcer.domain.policy.places import Place, SubjectPlaces
from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.domain.subjects.identity import Subject, SubjectKind
from retention_enforcer.domain.subjects.pseudonyms import Pseudonyms, Redactor
from retention_enforcer.enforcement.coverage.job import CoverageCycle, CoverageRecorder, RecordedCoverage
from retention_enforcer.enforcement.coverage.node_copies import CopiesBook
from retention_enforcer.enforcement.coverage.observer import CoverageObserver
from retention_enforcer.enforcement.enforcer import Enforcer, Planner, Runs
from retention_enforcer.enforcement.erasure.eraser import Eraser
from retention_enforcer.enforcement.erasure.write_blocks import WriteBlocks
from retention_enforcer.enforcement.expiry.cycle import Cycle, PlanningCycle
from retention_enforcer.enforcement.expiry.deletion_blocks import DeletionBlocks
from retention_enforcer.enforcement.expiry.purge import Purger
from retention_enforcer.enforcement.expiry.recorder import CycleRecorder
from retention_enforcer.enforcement.expiry.rollovers import Roller, Rollovers
from retention_enforcer.enforcement.findings import FindingRecorder
from retention_enforcer.enforcement.holds.coverage import HoldCoverage, NothingKept
from retention_enforcer.enforcement.holds.records import HoldRecorder
from retention_enforcer.enforcement.ledger.acts import Acts
from retention_enforcer.enforcement.ledger.appender import Appender, Signature
from retention_enforcer.enforcement.ledger.books import LedgerBooks
from retention_enforcer.enforcement.lifecycles.adoption import StreamAdoption
from retention_enforcer.enforcement.lifecycles.changer import LifecycleChanger
from retention_enforcer.enforcement.lifecycles.ended import EndedLifecycles
from retention_enforcer.enforcement.lifecycles.observer import LifecycleObserver
from retention_enforcer.enforcement.lifecycles.reconcile import LifecycleWatch, LifecycleWork
from retention_enforcer.enforcement.lifecycles.strays import StrayLifecycles, StrayWatch
from retention_enforcer.enforcement.lifecycles.vanished import VanishedIndices
from retention_enforcer.enforcement.observer import Observer
from retention_enforcer.enforcement.preconditions.control_memory import ControlWatch
from retention_enforcer.enforcement.preconditions.decisions import Decisions
from retention_enforcer.enforcement.preconditions.own_indices import OwnWatch
from retention_enforcer.enforcement.preconditions.safety import Preconditions
from retention_enforcer.enforcement.terminations.applications import OwnedApplications
from retention_enforcer.enforcement.terminations.intake import IntakeMemory, TakenRequests
from retention_enforcer.enforcement.terminations.job import TerminationWork
from retention_enforcer.enforcement.terminations.observer import SubjectObserver
from retention_enforcer.enforcement.terminations.purge import SubjectPurge
from retention_enforcer.enforcement.terminations.registrar import Registrar, TerminationRecorder
from retention_enforcer.enforcement.terms import Terms

FINGERPRINT = "fingerprint"
GRACE = DAY
MOST = 3
PSEUDONYMS = Pseudonyms(b"k" * 32)

OTHER = "category other"
LOGS = "category logs"
TERMINATIONS = "terminations"
COVERAGE = "coverage"
"""Names of jobs, as the schedule has them."""


@dataclass(slots=True)
class Process:
    """One process of the enforcer: all that it keeps in memory ends with it."""

    cluster: Cluster
    enforcer: Enforcer
    started: bool = False
    told: dict[str, RetentionError] = field(default_factory=dict)
    """The last error of each category; of the other jobs under no name."""

    def run(self, *jobs: str) -> dict[str, int]:
        """Do these jobs once, all where none is named, as the schedule does; return their exit codes."""
        if not self.started:
            with suppress(RetentionError):
                self.enforcer.start()
                self.started = True
        every = jobs_of(self.enforcer, [one.id for one in self.cluster.policy.categories], self._tell)
        return {name: job() for name, job in every.items() if self.started and (not jobs or name in jobs)}

    def _tell(self, error: RetentionError, *, category: str = "") -> None:
        self.told[category] = error


def start(cluster: Cluster, *, max_share: float = 1.0, setting: str = "auto") -> Process:
    """Return a new process of the enforcer over what there is."""
    return Process(cluster, _Parts(cluster, max_share, setting).enforcer())


def planner(cluster: Cluster, *, max_share: float = 1.0, setting: str = "auto") -> Planner:
    """Return a process in plan mode."""
    return _Parts(cluster, max_share, setting).planner()


@contextmanager
def quiet() -> Iterator[None]:
    """Write no log: thousands of runs would."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(CRITICAL))
    try:
        yield
    finally:
        structlog.reset_defaults()


@contextmanager
def told(number: int, call: Call) -> Iterator[None]:
    """Say which call it was that went wrong."""
    try:
        yield
    except AssertionError as error:
        error.add_note(f"in the run in which call {number}, {call.name}, goes wrong")
        raise


# --- what is there when a test begins ----------------------------------------------------------------------


def _places(name: str) -> tuple[Place, ...]:
    return (Place(field=name),)


BY_APPLICATION = SubjectPlaces(application=_places("application"))
BY_ALL = SubjectPlaces(account=_places("account"), application=_places("application"), user=_places("user"))
ACCOUNT = Subject(kind=SubjectKind.ACCOUNT, id="acc1")
"""The account of the applications a1 and a2."""


def aged(**more: Any) -> Cluster:
    """Return a cluster of two categories with an age: whole indices are due, single documents, and a write index."""
    cluster = Cluster(Policy(name="p", categories=(category("logs", **more), category("other", indices=("other-*",)))))
    cluster.add("logs-old", [20 * DAY] * 3)
    cluster.add("logs-older", [21 * DAY])
    cluster.add("logs-mixed", [15 * DAY] * 3 + [DAY] * 2)
    cluster.add(".ds-logs-s-000001", [15 * DAY], stream="logs-s", write_index=True)
    cluster.add("logs-young", [2 * DAY], age=2 * DAY)
    cluster.add("other-old", [15 * DAY])
    return cluster


def written_no_more() -> Cluster:
    """Return the same, with two indices that are written to no more: a lifecycle can have them."""
    cluster = aged()
    cluster.add("logs-lying", [3 * DAY])
    cluster.add("logs-resting", [4 * DAY])
    return cluster


def streams() -> Cluster:
    """Return a cluster of two streams with lifecycles of their own, and a hold on one index of one of them."""
    categories = (category("logs", foreign_lifecycle="adopt"), category("other", indices=("other-*",)))
    cluster = Cluster(Policy(name="p", categories=categories))
    for stream in ("logs-s", "logs-t"):
        cluster.streams[stream] = {"enabled": True, "data_retention": "30d"}
        cluster.add(f".ds-{stream}-000001", [4 * DAY], stream=stream)
        cluster.indices[f".ds-{stream}-000001"].roll_over(cluster.clock.now() - 3 * DAY)
        cluster.add(f".ds-{stream}-000002", [HOUR], stream=stream, write_index=True)
    held = Hold(id="h1", owner="o", reason="r", until=BEGIN + 365 * DAY, index=".ds-logs-t-000001")
    cluster.control = Control(holds=(held,))
    return cluster


_OF_TENANTS = category(
    "tenants", indices=("logs-{application}-*",), max_age=None, after_termination=7 * DAY, subjects=BY_APPLICATION
)


def two_tenants() -> Cluster:
    """Return a cluster of two indices, each of one tenant."""
    cluster = Cluster(Policy(name="p", categories=(_OF_TENANTS,)))
    cluster.add("logs-a1-x", [DAY] * 3, application="a1")
    cluster.add("logs-a3-x", [DAY] * 3, application="a3")
    return cluster


def tenants() -> Cluster:
    """Return a cluster of indices of single tenants, shared ones, one under a write block, and some that go by age."""
    categories = (
        _OF_TENANTS,
        category(
            "shared", indices=("shared-*",), max_age=None, after_termination=7 * DAY, subjects=BY_ALL, owns=BY_ALL
        ),
        category("plain", indices=("audit-*",)),
    )
    cluster = Cluster(Policy(name="p", categories=categories))
    cluster.owners = {"acc1": frozenset({"a1", "a2"}), "acc2": frozenset({"a3"})}
    for application in ("a1", "a2", "a3"):
        cluster.add(f"logs-{application}-x", [DAY] * 3, application=application)
    cluster.add("shared-1", [DAY] * 3, application="a1", account="acc1")
    cluster.add("shared-1", [DAY] * 2, application="a3", account="acc2")
    cluster.add("shared-1", [DAY], account="acc1")
    cluster.add("shared-blocked", [DAY], application="a1")
    cluster.add("shared-blocked", [DAY], application="a3")
    cluster.indices["shared-blocked"].block_of_theirs()
    cluster.add("audit-1", [15 * DAY])
    return cluster


class _Parts:
    """All parts of both."""

    def __init__(self, cluster: Cluster, max_share: float, setting: str) -> None:
        self.cluster = cluster
        self.clock, self.state = cluster.clock, cluster.state
        self.redactor = Redactor(PSEUDONYMS, cluster.policy.patterns)
        self.terms = Terms(policy=cluster.policy, fingerprint=FINGERPRINT, max_share=max_share, accept=FINGERPRINT)
        self.inventory, self.deletion, self.permit = (
            MemoryInventory(cluster),
            MemoryDeletion(cluster),
            MemoryPermit(cluster),
        )
        self.lifecycles, self.control = MemoryLifecycles(cluster), MemoryControl(cluster)
        self.lifecycle_observer = LifecycleObserver(self.lifecycles, lambda: True, setting)
        self.watch = LifecycleWatch(self.lifecycle_observer, self.lifecycles, self.clock)
        self.strays = StrayWatch(self.lifecycle_observer, self.lifecycles, self._governed)
        self.nodes = CopiesBook(MemoryNodes(cluster), self.state, self.redactor, self.clock)
        self.coverage = CoverageCycle(
            CoverageObserver(
                MemoryWholeCluster(cluster), MemorySnapshots(cluster), self.clock, on_disks=self.nodes.findings
            ),
            self.redactor,
        )
        signature = Signature(instance="i", mode="enforce", policy=FINGERPRINT)
        self.own = OwnWatch(MemoryOwnIndices(cluster), self.state)
        self.appender = Appender(
            cluster.ledger,
            self.clock,
            signature,
            self.permit.epoch,
            self.redactor,
            self.own.check_again,
            pause=lambda _: None,
        )
        self.acts = Acts(self.appender, self.permit, self.clock, self.control)
        self.blocks = DeletionBlocks(
            stop=self.deletion,
            state=self.state,
            appender=self.appender,
            permit=self.permit,
            clock=self.clock,
            lasts=self.permit.lasts,
        )
        self.roller = Roller(self.deletion, self.acts, self.permit, self.clock)
        self.purger = Purger(self.deletion, self.roller, self.blocks, self.acts, cluster.policy.earliest)
        self.findings = FindingRecorder(self.state, self.appender, self.redactor)
        self.observer = Observer(
            self.inventory, MemoryResolver(cluster), self.clock, HoldCoverage(cluster.control_index)
        )
        self.changer = LifecycleChanger(self.lifecycles, self.deletion, self.acts, self.appender, self.permit)
        self.streams = MemoryStreams(cluster)
        self.adoption = StreamAdoption(self.lifecycles, self.streams, self.acts, self.state, self.clock)
        self.ended = EndedLifecycles(
            self.lifecycle_observer, self.lifecycles, self.changer, self.state, self.clock, HOUR
        )

    def _governed(self) -> frozenset[str]:
        policy = self.cluster.policy
        return frozenset(i.name for i in self.cluster.indices.values() if policy.claimants(i.stream or i.name))

    def planner(self) -> Planner:
        observer = Observer(self.inventory, MemoryResolver(self.cluster), self.clock, NothingKept())
        return Planner(
            terms=self.terms,
            inventory=self.inventory,
            clock=self.clock,
            redactor=self.redactor,
            cycle=PlanningCycle(observer, self.redactor, self.watch),
            coverage=self.coverage,
            lifecycles=self.strays,
        )

    def enforcer(self) -> Enforcer:
        cluster = self.cluster
        return Enforcer(
            preconditions=Preconditions(
                inventory=self.inventory,
                ledger=cluster.ledger,
                appender=self.appender,
                state=self.state,
                own=self.own,
                clock=self.clock,
                pinned_cluster=None,
            ),
            decisions=Decisions(
                terms=self.terms,
                control=self.control,
                watch=ControlWatch(cluster.control_index, self.control, self.state),
                holds=HoldRecorder(self.state, self.appender, self.redactor),
                appender=self.appender,
                state=self.state,
                clock=self.clock,
                raise_if_voided=lambda: None,
            ),
            runs=Runs(books=self._books(), blocks=self.blocks),
            state=self.state,
            clock=self.clock,
            cycle=self._cycle(),
            coverage=RecordedCoverage(
                self.coverage, CoverageRecorder(self.state, self.findings), self.nodes, self.terms
            ),
            terminations=self._terminations(),
            lifecycles=StrayLifecycles(self.strays, self.changer, self.adoption),
            findings=self.findings,
        )

    def _books(self) -> LedgerBooks:
        return LedgerBooks(
            ledger=self.cluster.ledger,
            appender=self.appender,
            acts=self.acts,
            deleter=self.deletion,
            streams=self.streams,
            state=self.state,
            pseudonyms=PSEUDONYMS,
            clock=self.clock,
        )

    def _cycle(self) -> Cycle:
        return Cycle(
            observer=self.observer,
            clock=self.clock,
            redactor=self.redactor,
            purger=self.purger,
            recorder=CycleRecorder(self.state, self.appender, self.findings, self.redactor),
            lifecycles=LifecycleWork(
                self.lifecycle_observer, self.lifecycles, self.clock, self.changer, self.adoption, self.ended.known
            ),
            rollovers=Rollovers(self.roller, self.cluster.policy, self.clock),
            vanished=VanishedIndices(
                policy=self.cluster.policy,
                deleter=self.deletion,
                ledger=self.cluster.ledger,
                appender=self.appender,
                history=MemoryHistory(self.cluster),
                has_lifecycles=lambda: True,
                lifecycles=self.lifecycles.contents,
                redactor=self.redactor,
                clock=self.clock,
            ),
        )

    def _terminations(self) -> TerminationWork:
        cluster = self.cluster
        book = TerminationRecorder(cluster.registry, self.appender, self.clock)
        write_blocks = WriteBlocks(self.deletion, self.state, self.appender, self.permit, self.clock, self.blocks)
        eraser = Eraser(
            erasures=MemoryErasures(cluster),
            registry=cluster.registry,
            appender=self.appender,
            permit=self.permit,
            clock=self.clock,
            pause=self._pause,
            hide=self.redactor.text,
            own_indices=dict,
        )
        return TerminationWork(
            registrar=Registrar(
                requests=cluster.requests,
                registry=cluster.registry,
                book=book,
                memory=IntakeMemory(cluster.requests, cluster.registry, self.state),
                taken=TakenRequests(cluster.registry, PSEUDONYMS),
                ledger=cluster.ledger,
                appender=self.appender,
                pseudonyms=PSEUDONYMS,
                clock=self.clock,
                most=MOST,
            ),
            book=book,
            requests=cluster.requests,
            applications=OwnedApplications(
                owners=MemoryOwners(cluster), book=book, pseudonyms=PSEUDONYMS, clock=self.clock
            ),
            purge=SubjectPurge(
                book=book,
                observer=SubjectObserver(self.inventory, self.observer, self.clock),
                counts=MemoryCounter(cluster),
                purger=self.purger,
                write_blocks=write_blocks,
                eraser=eraser,
                redactor=self.redactor,
                clock=self.clock,
                grace=GRACE,
            ),
            write_blocks=write_blocks,
            eraser=eraser,
            ended=self.ended,
            clock=self.clock,
            grace=GRACE,
        )

    def _pause(self, seconds: float) -> None:
        self.clock.instant += round(seconds * SECOND)
