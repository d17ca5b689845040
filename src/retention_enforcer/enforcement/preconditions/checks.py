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
from retention_enforcer.enforcement.ports import Clock, ControlStore, Inventory, LedgerStore, StateStore
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


class Checks:
    """Looks at everything that `run` needs; writes nothing."""

    def __init__(
        self,
        *,
        terms: Terms,
        inventory: Inventory,
        state: StateStore,
        control: ControlStore,
        watch: ControlWatch,
        own: OwnLook,
        ledger: LedgerStore,
        access: AccessLook,
        role: AccessRole,
        clock: Clock,
        deletion: Callable[[], str],
        observer: Observer,
        hide: Callable[[str], str],
    ) -> None:
        self._observer = observer
        self._hide = hide
        self._access = access
        self._role = role
        self._terms = terms
        self._inventory = inventory
        self._state = state
        self._control = control
        self._watch = watch
        self._own = own
        self._ledger = ledger
        self._clock = clock
        self._deletion = deletion

    def run(self) -> Sequence[Check]:
        """Return all checks. Raises ClusterUnavailable where the cluster does not answer at all."""
        try:
            cluster = self._inventory.cluster()
        except RequestRejected as error:
            if error.status != HTTPStatus.FORBIDDEN:
                raise
            return [Check(name="cluster", text=error.message, error=error), *self._privileges()]
        return list(self._checks(cluster))

    def _checks(self, cluster: ClusterFacts) -> Iterator[Check]:
        yield Check(name="cluster", text=f"{cluster.uuid}, Elasticsearch {cluster.version}")
        yield from self._privileges()
        yield _check("clock", "agrees with the cluster's", lambda: raise_if_wrong_clock(cluster, self._clock.now()))
        yield self._lifecycles()
        yield from self._ages()
        known: Mapping[str, Mapping[str, Any]] = {}
        try:
            known = self._state.load([CLUSTER, LEDGER, POLICY])
        except RetentionError as error:
            yield Check(name="own indices", text=error.message, error=error)
            return
        yield _check("own indices", "in place, and as they must be", lambda: raise_if_deviating(self._own.look()))
        yield _check(
            "identity",
            "the cluster is the one that was recorded" if CLUSTER in known else "nothing was recorded yet",
            lambda: raise_if_wrong_cluster(cluster, self._terms.pinned_cluster, known.get(CLUSTER)),
        )
        body = known.get(LEDGER)
        yield _check(
            "ledger",
            f"goes on from record {body['sequence']}" if body else "no record is remembered yet",
            lambda: raise_if_ledger_lost(self._ledger, LedgerMemory.of(body) if body else None),
        )
        if self._role is AccessRole.ENFORCER:
            yield _check("operator's word", "goes on from where it was", self._watch.check)
        yield _check("policy", f"{self._terms.fingerprint} is accepted", lambda: self._accepted(known.get(POLICY)))

    def _privileges(self) -> Iterator[Check]:
        """Yield a check for each privilege that is missing; one in all where none is."""
        held = self._access.held(self._role, self._terms.policy)
        if held is None:
            yield Check(name="privileges", text="the cluster's security is off: there is nothing to check")
            return
        for missing, error in shortcomings(held, self._role):
            yield Check(name=f"privilege {missing.right.privilege}", text=error.message, error=error)
        if not held.missing:
            yield Check(name="privileges", text=f"{held.user} has all {held.needed} that the {self._role} needs")
        if (too_much := excess(held, self._role)) is not None:
            yield Check(name="far too many privileges", text=too_much, warning=True)

    def _lifecycles(self) -> Check:
        """Say by whom whole indices are deleted here, or why that is not as the settings want it."""
        try:
            return Check(name="deletion", text=self._deletion())
        except ClusterUnavailable:
            raise
        except RetentionError as error:
            return Check(name="deletion", text=error.message, error=error)

    def _ages(self) -> Iterator[Check]:
        """Yield a check for each thing by which documents have no age; one in all where there is none."""
        categories = self._terms.policy.categories
        try:
            looks = self._observer.look(Scope.looking(self._terms.policy, Control()), categories, self._memories())
        except ClusterUnavailable:
            raise
        except RetentionError as error:
            yield Check(name="documents", text=error.message, error=error)
            return
        wrong = [found for category in categories for found in about_ages(category, looks[category.id][0])]
        for found in wrong:
            text = self._hide(found.text)
            yield Check(name=f"timestamp of {found.category}", text=text, error=Refused(text, self._hide(found.remedy)))
        if not wrong:
            yield Check(name="timestamps", text="the documents of all categories with a max_age have one")

    def _memories(self) -> dict[str, Memory]:
        categories = self._terms.policy.categories
        try:
            bodies = self._state.load([memory_key(category.id) for category in categories])
        except RetentionError:
            return {}  # a check of its own says so
        return {c.id: Memory.of(bodies.get(memory_key(c.id)), self._terms.fingerprint) for c in categories}

    def _accepted(self, by_environment: Mapping[str, Any] | None) -> None:
        accepted = accepted_fingerprint(self._control.read(), by_environment)
        self._terms.raise_if_not(accepted)


def _check(name: str, text: str, look: Callable[[], None]) -> Check:
    try:
        look()
    except ClusterUnavailable:
        raise
    except RetentionError as error:
        return Check(name=name, text=error.message, error=error)
    return Check(name=name, text=text)
