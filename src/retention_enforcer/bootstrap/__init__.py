"""The one place where objects are put together."""

from __future__ import annotations

import os
import secrets
import socket
from functools import cached_property

from retention_enforcer import policy_file
from retention_enforcer.bootstrap.acting import Acting, acting_of
from retention_enforcer.bootstrap.surroundings import Surroundings, SystemClock
from retention_enforcer.cluster.client import Client, connect, find_one_that_answers
from retention_enforcer.cluster.coverage.elastics_copies import ElasticsCopies
from retention_enforcer.cluster.coverage.node_copies import CopiesOnNodes
from retention_enforcer.cluster.coverage.outside import Coverage
from retention_enforcer.cluster.coverage.snapshots import Snapshots
from retention_enforcer.cluster.held_subjects import HeldSubjects, Owners
from retention_enforcer.cluster.indices.identities import governed_by
from retention_enforcer.cluster.indices.metadata import read_metadata
from retention_enforcer.cluster.inventory import Inventory
from retention_enforcer.cluster.lifecycles.changes import ClusterLifecycles
from retention_enforcer.cluster.lifecycles.streams import StreamLifecycles
from retention_enforcer.cluster.own.documents import ControlReader, ControlWithCoverage, Documents
from retention_enforcer.cluster.own.indices import OwnIndicesReader
from retention_enforcer.cluster.own.ledger_index import LedgerIndex
from retention_enforcer.cluster.own.requests_index import RequestsIndex
from retention_enforcer.cluster.preflight import Capabilities
from retention_enforcer.cluster.privileges import Access
from retention_enforcer.cluster.subjects.elsewhere import Elsewhere
from retention_enforcer.domain.errors import ConfigurationError
from retention_enforcer.domain.foresight import horizon_of
from retention_enforcer.domain.instants import SECOND, format_duration
from retention_enforcer.domain.lifecycles.compiler import Lifecycles, Unmeetable, compile_lifecycles
from retention_enforcer.domain.lifecycles.streams import (
    AUTOMATIC,
    DEFAULT_STREAM_POLL,
    StreamRetention,
    adopts_streams,
    compile_stream_retention,
)
from retention_enforcer.domain.policy.promises import Policy, fingerprint
from retention_enforcer.domain.policy.rules import settings_problems
from retention_enforcer.domain.privileges import AccessRole
from retention_enforcer.domain.subjects.pseudonyms import Pseudonyms, Redactor
from retention_enforcer.enforcement.coverage.node_copies import CopiesBook
from retention_enforcer.enforcement.coverage.observer import CoverageObserver
from retention_enforcer.enforcement.holds.coverage import NothingKept
from retention_enforcer.enforcement.ledger.verifier import Verifier
from retention_enforcer.enforcement.lifecycles.observer import DIRECT, ILM, LifecycleObserver
from retention_enforcer.enforcement.lifecycles.reconcile import LifecycleWatch
from retention_enforcer.enforcement.lifecycles.strays import StrayWatch
from retention_enforcer.enforcement.observer import Observer
from retention_enforcer.enforcement.operator.hold_commands import HoldCommands
from retention_enforcer.enforcement.operator.lifecycle_switch import LifecycleSwitch
from retention_enforcer.enforcement.operator.superseded import SupersededLifecycles
from retention_enforcer.enforcement.preconditions.checks import Checks
from retention_enforcer.enforcement.preconditions.control_memory import ControlWatch
from retention_enforcer.enforcement.reader import Reader
from retention_enforcer.enforcement.terminations.certificates import Certifier
from retention_enforcer.enforcement.terminations.commands import RequestCommands
from retention_enforcer.enforcement.terminations.known import KnownTerminations
from retention_enforcer.enforcement.terminations.observer import SubjectObserver
from retention_enforcer.enforcement.terminations.other_places import OtherPlaces
from retention_enforcer.enforcement.terms import Terms
from retention_enforcer.settings import Settings, load_settings

__all__ = ["Acting", "Deployment", "Surroundings", "SystemClock"]


class Deployment:
    """Everything that one process needs, made when it is first asked for: a command demands only what it uses."""

    def __init__(self, surroundings: Surroundings) -> None:
        self.settings: Settings = load_settings(surroundings.environ)
        self.clock = surroundings.clock
        self.own = surroundings.own
        self.rhythm = surroundings.rhythm
        self.erases_for = surroundings.erases_for

    @cached_property
    def policy(self) -> Policy:
        """The policy, with the settings that must fit it."""
        policy = policy_file.load_policy(self.settings.require_policy_file(), self.clock.now())
        problems = settings_problems(policy, interval=self.settings.interval, grace=self.settings.grace)
        if problems:
            raise ConfigurationError(problems[0].text, problems[0].remedy)
        return policy

    @cached_property
    def fingerprint(self) -> str:
        """The fingerprint of all that decides deletions."""
        s = self.settings
        return fingerprint(self.policy, grace=s.grace, max_share=s.max_share, lifecycle=s.lifecycle)

    @cached_property
    def instance(self) -> str:
        """The name of this process: no two that run at the same time share it, unless they are told to."""
        return self.settings.instance or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"

    @cached_property
    def client(self) -> Client:
        """The connection to the cluster."""
        s = self.settings
        password = s.elasticsearch_password
        basic_auth = (s.elasticsearch_username, password.get_secret_value()) if password else None
        client = connect(
            s.require_elasticsearch_url(),
            api_key=s.elasticsearch_api_key.get_secret_value() if s.elasticsearch_api_key else None,
            basic_auth=(basic_auth[0] or "", basic_auth[1]) if basic_auth else None,
            ca_certs=s.elasticsearch_ca_certs,
            ca_fingerprint=s.elasticsearch_ca_fingerprint,
            timeout=s.elasticsearch_timeout / SECOND,
        )
        find_one_that_answers(client)
        return client

    @cached_property
    def capabilities(self) -> Capabilities:
        """Which parts of Elasticsearch the cluster has."""
        return Capabilities(self.client)

    @cached_property
    def access(self) -> Access:
        """What the connection may do on the cluster."""
        return Access(self.client, self.own)

    @property
    def role(self) -> AccessRole:
        """Whose privileges `run` needs in the mode that the settings name."""
        return AccessRole.ENFORCER if self.settings.mode == "enforce" else AccessRole.READER

    @cached_property
    def inventory(self) -> Inventory:
        """What reads facts."""
        return Inventory(self.client, self.capabilities, horizon_of(self.settings.interval))

    @cached_property
    def observer(self) -> Observer:
        """What reads facts and plans, where nobody acts on what it shows."""
        return Observer(self.inventory, self.hold_resolver, self.clock, NothingKept())

    @cached_property
    def hold_resolver(self) -> HeldSubjects:
        """What finds out whom holds cover."""
        return HeldSubjects(self.client, self.capabilities)

    @cached_property
    def coverage(self) -> Coverage:
        """What knows whose each index of the cluster is."""
        return Coverage(self.client, self.capabilities, self.own)

    @cached_property
    def coverage_observer(self) -> CoverageObserver:
        """What looks past the policy."""
        snapshots = Snapshots(self.client, self.capabilities)
        return CoverageObserver(self.coverage, snapshots, self.clock, self.copies.findings)

    @cached_property
    def copies(self) -> CopiesBook:
        """What knows which nodes have copies."""
        return CopiesBook(CopiesOnNodes(self.client), self.state, self.redactor, self.clock)

    @cached_property
    def lifecycles(self) -> ClusterLifecycles:
        """The lifecycles of the cluster, if it has any (`capabilities`)."""
        return ClusterLifecycles(self.client, self._timeout)

    @cached_property
    def streams(self) -> StreamLifecycles:
        """The lifecycles that belong to streams."""
        return StreamLifecycles(self.client, self.capabilities, self.policy, self._timeout)

    @property
    def _timeout(self) -> float:
        return self.settings.elasticsearch_timeout / SECOND

    @cached_property
    def lifecycle_observer(self) -> LifecycleObserver:
        """What looks at lifecycles."""
        return LifecycleObserver(self.lifecycles, self.capabilities.has_lifecycles, self.settings.lifecycle)

    @cached_property
    def watched_lifecycles(self) -> LifecycleWatch:
        """What looks where lifecycles hang."""
        return LifecycleWatch(self.lifecycle_observer, self.lifecycles, self.clock)

    @cached_property
    def stray_watch(self) -> StrayWatch:
        """What looks at the lifecycles of the whole cluster."""
        return StrayWatch(self.lifecycle_observer, self.lifecycles, self.governed)

    def governed(self) -> dict[str, tuple[str, ...]]:
        """Return every governed index by its name, and its categories."""
        return governed_by(self.client, self.capabilities, self.policy, self.own)

    @cached_property
    def ledger(self) -> LedgerIndex:
        """The ledger."""
        return LedgerIndex(self.client, self.own.ledger)

    @cached_property
    def state(self) -> Documents:
        """The enforcer's memory."""
        return Documents(self.client, self.own.state)

    @cached_property
    def requests(self) -> RequestsIndex:
        """Where terminations and deletions are asked for."""
        return RequestsIndex(self.client, self.own.requests)

    @cached_property
    def registry(self) -> Documents:
        """What became of these requests."""
        return Documents(self.client, self.own.terminations)

    @cached_property
    def owners(self) -> Owners:
        """What tells which applications belong to an account."""
        return Owners(self.client, self.capabilities)

    @cached_property
    def subject_observer(self) -> SubjectObserver:
        """What looks for subjects."""
        return self.subject_observer_of(self.observer)

    def subject_observer_of(self, observer: Observer) -> SubjectObserver:
        """What looks for subjects, and by this observer for what is held of them."""
        return SubjectObserver(self.inventory, observer, self.clock, self._indices_with_ids)

    def _indices_with_ids(self) -> dict[str, str]:
        found = read_metadata(self.client, [self.own.requests, self.own.terminations])
        return {name: index.uuid for name, index in found.items()}

    @cached_property
    def control(self) -> Documents:
        """The operator's word."""
        return Documents(self.client, self.own.control)

    @cached_property
    def control_reader(self) -> ControlWithCoverage:
        """The operator's word, read anew each time, with what holds were seen to cover."""
        return ControlWithCoverage(self.control, self.state)

    @cached_property
    def own_indices(self) -> OwnIndicesReader:
        """The enforcer's own indices, as they are."""
        return OwnIndicesReader(self.client, self.own)

    @cached_property
    def control_watch(self) -> ControlWatch:
        """What knows whether the operator's word lost anything."""
        return ControlWatch(self.control, self.control_reader, self.state)

    @cached_property
    def bare_control_reader(self) -> ControlReader:
        """The operator's word alone: before each request of long work."""
        return ControlReader(self.control)

    @cached_property
    def pseudonyms(self) -> Pseudonyms:
        """The pseudonyms; without a key they are all alike."""
        key = self.settings.pseudonym_key
        return Pseudonyms(key.get_secret_value().encode() if key else None)

    @property
    def redactor(self) -> Redactor:
        """What takes ids out of names of indices, and of texts about them."""
        return Redactor(self.pseudonyms, self.policy.patterns)

    def hide(self, text: str) -> str:
        """Return a text without the ids in the names of tenants' indices."""
        return self.redactor.text(text)

    @property
    def terms(self) -> Terms:
        """Under what the enforcer works."""
        return Terms(
            policy=self.policy,
            fingerprint=self.fingerprint,
            max_share=self.settings.max_share,
            pinned_cluster=self.settings.cluster_uuid,
            accept=self.settings.accept_policy,
        )

    @cached_property
    def reader(self) -> Reader:
        """What the reading commands ask."""
        return Reader(
            terms=self.terms,
            inventory=self.inventory,
            observer=self.observer,
            coverage=self.coverage_observer,
            state=self.state,
            control=self.control_reader,
            ledger=self.ledger,
            lifecycles=self.watched_lifecycles,
            lifecycle_round=self.stray_watch,
            clock=self.clock,
        )

    @cached_property
    def holding(self) -> HoldCommands:
        """What adds and removes holds."""
        return HoldCommands(
            policy=self.policy,
            observer=self.observer,
            resolver=self.hold_resolver,
            documents=self.control,
            control=self.control_reader,
            lifecycles=self.lifecycle_switch,
            clock=self.clock,
            whereabouts=self.coverage.whereabouts,
        )

    @cached_property
    def lifecycle_switch(self) -> LifecycleSwitch:
        """What switches the cluster's own deletions off and on."""
        return LifecycleSwitch(
            policy=self.policy,
            cluster=self.lifecycles,
            streams=self.streams,
            has_lifecycles=self.capabilities.has_lifecycles,
            governed=self.governed,
            documents=self.control,
            state=self.state,
            clock=self.clock,
        )

    @cached_property
    def superseded_lifecycles(self) -> SupersededLifecycles:
        """What takes off the lifecycles of another policy than the one that is accepted."""
        return SupersededLifecycles(
            self.lifecycle_observer, self.lifecycles, self.governed, self.lifecycle_switch, self.state
        )

    @cached_property
    def terminations(self) -> KnownTerminations:
        """What is known of terminations and requests."""
        return KnownTerminations(
            policy=self.policy,
            registry=self.registry,
            state=self.state,
            pseudonyms=self.pseudonyms,
            grace=self.settings.grace,
        )

    @cached_property
    def asking(self) -> RequestCommands:
        """What writes requests."""
        return RequestCommands(
            known=self.terminations,
            requests=self.requests,
            documents=self.control,
            control=self.control_reader,
            owners=self.owners,
            observer=self.subject_observer,
            clock=self.clock,
            most=self.settings.max_terminations,
            fingerprint=self.fingerprint,
        )

    @cached_property
    def verifier(self) -> Verifier:
        """What verifies the ledger."""
        return Verifier(self.ledger, self.state, self.pseudonyms)

    @cached_property
    def certifier(self) -> Certifier:
        """What makes certificates."""
        return Certifier(
            known=self.terminations,
            ledger=self.ledger,
            verifier=self.verifier,
            observer=self.subject_observer,
            places=OtherPlaces(
                snapshots=Snapshots(self.client, self.capabilities),
                outside=Elsewhere(self.client, self.capabilities, self.own),
                copies=ElasticsCopies(self.client, self.capabilities, self.own),
                nodes=self.copies,
                redactor=self.redactor,
            ),
            redactor=self.redactor,
            control=self.control_reader,
            clock=self.clock,
        )

    @cached_property
    def checks(self) -> Checks:
        """What `check` runs."""
        return Checks(
            terms=self.terms,
            inventory=self.inventory,
            state=self.state,
            control=self.control_reader,
            watch=self.control_watch,
            own=self.own_indices,
            ledger=self.ledger,
            access=self.access,
            role=self.role,
            clock=self.clock,
            deletion=self.deletion,
            observer=self.observer,
            hide=self.hide,
        )

    def deletion(self) -> str:
        """Return by whom indices are deleted on this cluster, in a few words.

        Raises ConfigurationError where the settings ask for lifecycles that it does not have, or that keep no promise.
        """
        if self.settings.lifecycle == DIRECT:
            return "direct"
        if not self.capabilities.has_lifecycles():
            if self.settings.lifecycle == ILM:
                raise ConfigurationError(
                    "ENFORCER_LIFECYCLE is ilm, but this cluster has no index lifecycle management",
                    "set ENFORCER_LIFECYCLE=auto or direct",
                )
            return "direct, because the cluster has no ILM"
        poll = self.lifecycles.poll_interval()
        self.raise_if_unmeetable(poll)
        return (
            f"by lifecycles (polled every {format_duration(poll)}) for indices that may be deleted as a "
            "whole, else direct"
        )

    def compiled(self, poll: int) -> dict[str, Lifecycles | Unmeetable]:
        """Return the lifecycle policies of each category on a cluster with this poll interval."""
        policy, fingerprint = self.policy, self.fingerprint
        return {c.id: compile_lifecycles(policy, c, fingerprint, poll) for c in policy.categories}

    def stream_retentions(self) -> dict[str, StreamRetention | Unmeetable]:
        """Return what the lifecycle of a stream needs to keep the promise of each category that adopts streams.

        With the automatic rollover age, and the cluster's poll interval where there is one.
        """
        asked = self.settings.elasticsearch_url is not None and self.capabilities.has_lifecycles()
        poll = self.lifecycles.stream_poll() if asked else DEFAULT_STREAM_POLL
        adopting = [category for category in self.policy.categories if adopts_streams(category)]
        return {c.id: compile_stream_retention(c, self.policy.margin, AUTOMATIC, poll) for c in adopting}

    def poll_interval(self) -> int | None:
        """Return how often the cluster looks at lifecycles; None without a cluster, or where it has none."""
        if self.settings.elasticsearch_url is None or not self.capabilities.has_lifecycles():
            return None
        return self.lifecycles.poll_interval()

    def raise_if_unmeetable(self, poll: int) -> None:
        """Raise ConfigurationError where the settings insist on lifecycles, and one cannot keep its promise."""
        for id_, found in self.compiled(poll).items():
            if self.settings.lifecycle == ILM and isinstance(found, Unmeetable):
                raise ConfigurationError(
                    f"no lifecycle can keep the promise of {id_}: {found.arithmetic}", found.remedy
                )

    def acting(self) -> Acting:
        """Return the parts of `run`, for the mode that the settings name."""
        return acting_of(self)
