"""`check`: everything that must be in place, looked at one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from retention_enforcer.domain.control import Control
from retention_enforcer.domain.errors import ClusterUnavailable, Refused, RequestRejected, RetentionError
from retention_enforcer.domain.expiry.proof import about_ages
from retention_enforcer.domain.facts import ClusterFacts
from retention_enforcer.domain.own.state_keys import CLUSTER, LEDGER, POLICY, memory_key
from retention_enforcer.domain.privileges import AccessRole
from retention_enforcer.enforcement.ledger.memory import LedgerMemory, raise_if_ledger_lost
from retention_enforcer.enforcement.memory import Memory
from retention_enforcer.enforcement.observer import Observer
from retention_enforcer.enforcement.ports import Clock, ControlStore, DocumentStore, Inventory, LedgerStore
from retention_enforcer.enforcement.preconditions.control_memory import ControlWatch
from retention_enforcer.enforcement.preconditions.own_indices import OwnLook, raise_if_deviating
from retention_enforcer.enforcement.preconditions.privileges import AccessLook, excess, shortcomings
from retention_enforcer.enforcement.preconditions.safety import raise_if_wrong_clock, raise_if_wrong_cluster
from retention_enforcer.enforcement.scope import Scope
from retention_enforcer.enforcement.terms import Terms, accepted_fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at; `error` is None where it is in order."""

    name: str
    text: str
    error: RetentionError | None = None
    warning: bool = False
    """Whether it works, and is still not as it should be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedStores:
    """What is looked at of the enforcer's own indices."""

    state: DocumentStore
    control: ControlStore
    watch: ControlWatch
    indices: OwnLook
    ledger: LedgerStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """Looks at everything that `run` needs; writes nothing."""

    terms: Terms
    inventory: Inventory
    own: CheckedStores
    access: AccessLook
    role: AccessRole
    clock: Clock
    deletion: Callable[[], str]
    observer: Observer
    hide: Callable[[str], str]

    def run(self) -> Sequence[Check]:
        """Return all checks. Raises ClusterUnavailable where the cluster does not answer at all."""
        try:
            cluster = self.inventory.cluster()
        except RequestRejected as error:
            if error.status != HTTPStatus.FORBIDDEN:
                raise
            return [Check(name="cluster", text=error.message, error=error), *self._privileges()]
        return list(self._checks(cluster))

    def _checks(self, cluster: ClusterFacts) -> Iterator[Check]:
        yield Check(name="cluster", text=f"{cluster.uuid}, Elasticsearch {cluster.version}")
        yield from self._privileges()
        yield _check("clock", "agrees with the cluster's", lambda: raise_if_wrong_clock(cluster, self.clock.now()))
        yield self._lifecycles()
        yield from self._ages()
        known: Mapping[str, Mapping[str, Any]] = {}
        try:
            known = self.own.state.load([CLUSTER, LEDGER, POLICY])
        except RetentionError as error:
            yield Check(name="own indices", text=error.message, error=error)
            return
        yield _check(
            "own indices",
            "present, with the required settings and mappings",
            lambda: raise_if_deviating(self.own.indices.look()),
        )
        yield _check(
            "identity",
            "the cluster is the recorded one" if CLUSTER in known else "no cluster is recorded yet",
            lambda: raise_if_wrong_cluster(cluster, self.terms.pinned_cluster, known.get(CLUSTER)),
        )
        body = known.get(LEDGER)
        yield _check(
            "ledger",
            f"continues from record {body['sequence']}" if body else "has no record yet",
            lambda: raise_if_ledger_lost(self.own.ledger, LedgerMemory.of(body) if body else None),
        )
        if self.role is AccessRole.ENFORCER:
            yield _check("operator decisions", "continue from the last known state", self.own.watch.check)
        yield _check("policy", f"{self.terms.fingerprint} is accepted", lambda: self._accepted(known.get(POLICY)))

    def _privileges(self) -> Iterator[Check]:
        """Yield a check for each privilege that is missing; one in all where none is."""
        granted = self.access.granted(self.role, self.terms.policy)
        if granted is None:
            yield Check(name="privileges", text="the security of the cluster is off, so there is nothing to check")
            return
        for missing, error in shortcomings(granted, self.role):
            yield Check(name=f"privilege {missing.right.privilege}", text=error.message, error=error)
        if not granted.missing:
            yield Check(name="privileges", text=f"{granted.user} has all {granted.needed} that the {self.role} needs")
        if (too_much := excess(granted, self.role)) is not None:
            yield Check(name="excessive privileges", text=too_much, warning=True)

    def _lifecycles(self) -> Check:
        """Say by whom whole indices are deleted here, or why that is not as the settings want it."""
        try:
            return Check(name="deletion", text=self.deletion())
        except ClusterUnavailable:
            raise
        except RetentionError as error:
            return Check(name="deletion", text=error.message, error=error)

    def _ages(self) -> Iterator[Check]:
        """Yield a check for each thing by which documents have no age; one in all where there is none."""
        categories = self.terms.policy.categories
        try:
            looks = self.observer.look(Scope.looking(self.terms.policy, Control()), categories, self._memories())
        except ClusterUnavailable:
            raise
        except RetentionError as error:
            yield Check(name="documents", text=error.message, error=error)
            return
        wrong = [found for category in categories for found in about_ages(category, looks[category.id][0])]
        for found in wrong:
            text = self.hide(found.text)
            yield Check(name=f"timestamp of {found.category}", text=text, error=Refused(text, self.hide(found.remedy)))
        if not wrong:
            yield Check(name="timestamps", text="all categories with a max_age have a usable timestamp")

    def _memories(self) -> dict[str, Memory]:
        categories = self.terms.policy.categories
        try:
            bodies = self.own.state.load([memory_key(category.id) for category in categories])
        except RetentionError:
            return {}  # a check of its own says so
        return {c.id: Memory.of(bodies.get(memory_key(c.id)), self.terms.fingerprint) for c in categories}

    def _accepted(self, by_environment: Mapping[str, Any] | None) -> None:
        accepted = accepted_fingerprint(self.own.control.read(), by_environment)
        self.terms.raise_if_not(accepted)


def _check(name: str, text: str, look: Callable[[], None]) -> Check:
    try:
        look()
    except ClusterUnavailable:
        raise
    except RetentionError as error:
        return Check(name=name, text=error.message, error=error)
    return Check(name=name, text=text)
