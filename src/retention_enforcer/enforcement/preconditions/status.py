"""How this process stands: which cluster answers, what the operator's word is, how far the ledger goes. Reads only."""

from __future__ import annotations

from dataclasses import dataclass

from retention_enforcer.domain.control import Control
from retention_enforcer.domain.errors import Refused
from retention_enforcer.domain.facts import ClusterFacts
from retention_enforcer.domain.ledger.records import Head
from retention_enforcer.domain.own.state_keys import LEDGER, POLICY
from retention_enforcer.enforcement.ledger.memory import LedgerMemory
from retention_enforcer.enforcement.ports import Clock, ControlStore, DocumentStore, Inventory
from retention_enforcer.enforcement.terms import accepted_fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceStatus:
    """What one look at it showed, in epoch milliseconds `as_of`."""

    as_of: int
    cluster: ClusterFacts
    control: Control | None = None
    """None where the enforcer's own indices are not there, as `note` says."""
    accepted: str | None = None
    """The fingerprint of the policy that may act."""
    head: Head | None = None
    """How far the ledger goes, as it was remembered after the last job that wrote into it."""
    note: str = ""


class InstanceStatusReader:
    """Looks, in three small requests."""

    def __init__(self, inventory: Inventory, state: DocumentStore, control: ControlStore, clock: Clock) -> None:
        self._inventory = inventory
        self._state = state
        self._control = control
        self._clock = clock

    def read(self) -> InstanceStatus:
        """Look once. Raises ClusterUnavailable where the cluster does not answer."""
        cluster = self._inventory.cluster()
        now = self._clock.now()
        try:
            known = self._state.load([POLICY, LEDGER])
            control = self._control.read()
            body = known.get(LEDGER)
            head = LedgerMemory.of(body).head if body else None
        except Refused as error:
            return InstanceStatus(as_of=now, cluster=cluster, note=error.message)
        return InstanceStatus(
            as_of=now,
            cluster=cluster,
            control=control,
            accepted=accepted_fingerprint(control, known.get(POLICY)),
            head=head,
        )
