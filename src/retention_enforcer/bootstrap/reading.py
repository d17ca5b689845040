"""What the reading commands use, and acting begins with."""

from __future__ import annotations

from functools import cached_property

from retention_enforcer.bootstrap.configuration import Configuration
from retention_enforcer.bootstrap.connection import Connection
from retention_enforcer.bootstrap.stores import Stores
from retention_enforcer.cluster.coverage.elastics_copies import ElasticsCopies
from retention_enforcer.cluster.coverage.node_copies import CopiesOnNodes
from retention_enforcer.cluster.coverage.outside import Coverage
from retention_enforcer.cluster.coverage.snapshots import Snapshots
from retention_enforcer.cluster.held_subjects import HeldSubjects, Owners
from retention_enforcer.cluster.subjects.elsewhere import Elsewhere
from retention_enforcer.enforcement.coverage.node_copies import CopiesBook
from retention_enforcer.enforcement.coverage.observer import CoverageObserver
from retention_enforcer.enforcement.holds.coverage import NothingKept
from retention_enforcer.enforcement.lifecycles.observer import LifecycleObserver
from retention_enforcer.enforcement.lifecycles.reconcile import LifecycleWatch
from retention_enforcer.enforcement.lifecycles.strays import StrayWatch
from retention_enforcer.enforcement.observer import Observer
from retention_enforcer.enforcement.preconditions.checks import CheckedStores, Checks
from retention_enforcer.enforcement.reader import Reader
from retention_enforcer.enforcement.terminations.certificates import Certifier
from retention_enforcer.enforcement.terminations.known import KnownTerminations
from retention_enforcer.enforcement.terminations.observer import SubjectObserver
from retention_enforcer.enforcement.terminations.other_places import OtherPlaces


class Reading:
    """What looks and judges: it writes nothing, and nothing acts on it."""

    def __init__(self, config: Configuration, connection: Connection, stores: Stores) -> None:
        self.config = config
        self.connection = connection
        self.stores = stores

    @cached_property
    def observer(self) -> Observer:
        """What reads facts and plans, where nobody acts on what it shows."""
        return Observer(self.connection.inventory, self.hold_resolver, self.config.clock, NothingKept())

    @cached_property
    def hold_resolver(self) -> HeldSubjects:
        """What finds out whom holds cover."""
        return HeldSubjects(self.connection.client, self.connection.capabilities)

    @cached_property
    def coverage(self) -> Coverage:
        """What knows whose each index of the cluster is."""
        return Coverage(self.connection.client, self.connection.capabilities, self.config.own)

    @cached_property
    def coverage_observer(self) -> CoverageObserver:
        """What looks past the policy."""
        snapshots = Snapshots(self.connection.client, self.connection.capabilities)
        return CoverageObserver(self.coverage, snapshots, self.config.clock, self.copies.findings)

    @cached_property
    def copies(self) -> CopiesBook:
        """What knows which nodes have copies."""
        return CopiesBook(
            CopiesOnNodes(self.connection.client), self.stores.state, self.config.redactor, self.config.clock
        )

    @cached_property
    def lifecycle_observer(self) -> LifecycleObserver:
        """What looks at lifecycles."""
        return LifecycleObserver(
            self.connection.lifecycles, self.connection.capabilities.has_lifecycles, self.config.settings.lifecycle
        )

    @cached_property
    def watched_lifecycles(self) -> LifecycleWatch:
        """What looks where lifecycles hang."""
        return LifecycleWatch(self.lifecycle_observer, self.connection.lifecycles, self.config.clock)

    @cached_property
    def stray_watch(self) -> StrayWatch:
        """What looks at the lifecycles of the whole cluster."""
        return StrayWatch(self.lifecycle_observer, self.connection.lifecycles, self.connection.governed)

    @cached_property
    def owners(self) -> Owners:
        """What tells which applications belong to an account."""
        return Owners(self.connection.client, self.connection.capabilities)

    @cached_property
    def subject_observer(self) -> SubjectObserver:
        """What looks for subjects."""
        return self.subject_observer_of(self.observer)

    def subject_observer_of(self, observer: Observer) -> SubjectObserver:
        """What looks for subjects, and by this observer for what is held of them."""
        return SubjectObserver(self.connection.inventory, observer, self.config.clock)

    @cached_property
    def reader(self) -> Reader:
        """What the reading commands ask."""
        return Reader(
            terms=self.config.terms,
            inventory=self.connection.inventory,
            observer=self.observer,
            coverage=self.coverage_observer,
            state=self.stores.state,
            control=self.stores.control_reader,
            ledger=self.stores.ledger,
            lifecycles=self.watched_lifecycles,
            lifecycle_round=self.stray_watch,
            clock=self.config.clock,
        )

    @cached_property
    def terminations(self) -> KnownTerminations:
        """What is known of terminations and requests."""
        return KnownTerminations(
            policy=self.config.policy,
            registry=self.stores.registry,
            state=self.stores.state,
            pseudonyms=self.config.pseudonyms,
            grace=self.config.settings.grace,
        )

    @cached_property
    def certifier(self) -> Certifier:
        """What makes certificates."""
        return Certifier(
            known=self.terminations,
            ledger=self.stores.ledger,
            verifier=self.stores.verifier,
            observer=self.subject_observer,
            places=OtherPlaces(
                snapshots=Snapshots(self.connection.client, self.connection.capabilities),
                outside=Elsewhere(self.connection.client, self.connection.capabilities, self.config.own),
                copies=ElasticsCopies(self.connection.client, self.connection.capabilities, self.config.own),
                nodes=self.copies,
                redactor=self.config.redactor,
            ),
            redactor=self.config.redactor,
            control=self.stores.control_reader,
            clock=self.config.clock,
        )

    @cached_property
    def checks(self) -> Checks:
        """What `check` runs."""
        return Checks(
            terms=self.config.terms,
            inventory=self.connection.inventory,
            own=CheckedStores(
                state=self.stores.state,
                control=self.stores.control_reader,
                watch=self.stores.control_watch,
                indices=self.stores.own_indices,
                ledger=self.stores.ledger,
            ),
            access=self.connection.access,
            role=self.config.role,
            clock=self.config.clock,
            deletion=self.connection.deletion,
            observer=self.observer,
            hide=self.config.hide,
        )
