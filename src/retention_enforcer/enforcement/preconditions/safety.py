"""Whether this process may act now: the cluster it believes to face, the operator's word, and its own memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

from retention_enforcer.domain.errors import Refused
from retention_enforcer.domain.facts import ClusterFacts
from retention_enforcer.domain.instants import MINUTE, describe_duration
from retention_enforcer.domain.own.state_keys import CLUSTER, LEDGER
from retention_enforcer.enforcement.ledger.appender import Appender
from retention_enforcer.enforcement.ledger.memory import LedgerMemory, raise_if_ledger_lost
from retention_enforcer.enforcement.ports import Clock, DocumentStore, Inventory, LedgerStore
from retention_enforcer.enforcement.preconditions.own_indices import OwnWatch

CLOCK_TOLERANCE = MINUTE
"""How far the clocks of the enforcer and of the cluster may be apart."""

CHECKED_FOR = 5.0
"""Seconds for which one check serves all jobs: they begin at the same moment, and last for longer."""


def raise_if_wrong_clock(cluster: ClusterFacts, now: int) -> None:
    """Raise Refused where the enforcer's and the cluster's clocks disagree: one of them would delete too early."""
    apart = abs(now - cluster.time)
    if apart > CLOCK_TOLERANCE:
        raise Refused(
            f"the clocks of this host and of the cluster differ by {describe_duration(apart)}: nothing is deleted",
            "correct the wrong clock (NTP), then start again",
        )


def raise_if_wrong_cluster(cluster: ClusterFacts, pinned: str | None, remembered: Mapping[str, Any] | None) -> None:
    """Raise Refused where the cluster is not the pinned one, or not the one that was first recorded."""
    expected = pinned or (remembered or {}).get("uuid")
    if expected and expected != cluster.uuid:
        raise Refused(
            f"this is cluster {cluster.uuid}, not {expected}: nothing is deleted",
            "correct ENFORCER_ELASTICSEARCH_URL or ENFORCER_CLUSTER_UUID",
        )


class Preconditions:
    """The right cluster, the right clock, own indices and a ledger that are those they were."""

    def __init__(
        self,
        *,
        inventory: Inventory,
        ledger: LedgerStore,
        appender: Appender,
        state: DocumentStore,
        own: OwnWatch,
        clock: Clock,
        pinned_cluster: str | None,
    ) -> None:
        self._inventory = inventory
        self._ledger = ledger
        self._appender = appender
        self._state = state
        self._own = own
        self._clock = clock
        self._pinned_cluster = pinned_cluster
        self._checking = threading.Lock()
        self._checked_at = -CHECKED_FOR

    def check_own(self) -> None:
        """Raise Refused where an own index is not the one that it was."""
        self._own.check()

    def check(self) -> None:
        """Raise Refused where nothing may be deleted."""
        self._own.check()  # each job for itself: what was wiped a moment ago must not be worked with
        with self._checking:
            if time.monotonic() - self._checked_at >= CHECKED_FOR:
                self._check_now()
                self._checked_at = time.monotonic()

    def _check_now(self) -> None:
        cluster = self._inventory.cluster()
        now = self._clock.now()
        raise_if_wrong_clock(cluster, now)
        known = self._state.load([CLUSTER, LEDGER])
        raise_if_wrong_cluster(cluster, self._pinned_cluster, known.get(CLUSTER))
        body = known.get(LEDGER)
        raise_if_ledger_lost(self._ledger, LedgerMemory.of(body) if body else None)
        if written := self._appender.written:  # whatever is remembered: all own indices may be older than this process
            raise_if_ledger_lost(self._ledger, LedgerMemory(uuid=self._ledger.uuid(), head=written, settled=0))
        if CLUSTER not in known:
            self._state.save(CLUSTER, {"uuid": cluster.uuid}, now)
