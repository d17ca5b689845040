"""`check`: everything that must be in place, looked at one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from retention_enforcer.domain.errors import ClusterUnavailable, RetentionError
from retention_enforcer.domain.facts import ClusterFacts
from retention_enforcer.enforcement.enforcer import Terms
from retention_enforcer.enforcement.ports import Clock, ControlStore, Inventory, LedgerStore, StateStore
from retention_enforcer.enforcement.standing import (
    CLUSTER,
    LEDGER_MEMORY,
    POLICY,
    LedgerMemory,
    accepted_fingerprint,
    raise_if_ledger_lost,
    raise_if_wrong_clock,
    raise_if_wrong_cluster,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at; `error` is None where it is in order."""

    name: str
    text: str
    error: RetentionError | None = None


class Checks:
    """Looks at everything that `run` needs; writes nothing."""

    def __init__(
        self,
        *,
        terms: Terms,
        inventory: Inventory,
        state: StateStore,
        control: ControlStore,
        ledger: LedgerStore,
        clock: Clock,
    ) -> None:
        self._terms = terms
        self._inventory = inventory
        self._state = state
        self._control = control
        self._ledger = ledger
        self._clock = clock

    def run(self) -> Sequence[Check]:
        """Return all checks. Raises ClusterUnavailable where the cluster does not answer at all."""
        return list(self._checks(self._inventory.cluster()))

    def _checks(self, cluster: ClusterFacts) -> Iterator[Check]:
        yield Check(name="cluster", text=f"{cluster.uuid}, Elasticsearch {cluster.version}")
        yield _check("clock", "agrees with the cluster's", lambda: raise_if_wrong_clock(cluster, self._clock.now()))
        known: Mapping[str, Mapping[str, Any]] = {}
        try:
            known = self._state.load([CLUSTER, LEDGER_MEMORY, POLICY])
        except RetentionError as error:
            yield Check(name="own indices", text=error.message, error=error)
            return
        yield Check(name="own indices", text="in place")
        yield _check(
            "identity",
            "the cluster is the one that was recorded" if CLUSTER in known else "nothing was recorded yet",
            lambda: raise_if_wrong_cluster(cluster, self._terms.pinned_cluster, known.get(CLUSTER)),
        )
        body = known.get(LEDGER_MEMORY)
        yield _check(
            "ledger",
            f"goes on from record {body['sequence']}" if body else "no record is remembered yet",
            lambda: raise_if_ledger_lost(self._ledger, LedgerMemory.of(body) if body else None),
        )
        yield _check("policy", f"{self._terms.fingerprint} is accepted", lambda: self._accepted(known.get(POLICY)))

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
