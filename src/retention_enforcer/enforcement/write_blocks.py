"""Lifts a write block for a purge of single documents, and puts it back: recorded, and remembered across a crash."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import structlog

from retention_enforcer.domain.errors import RequestRejected, readable
from retention_enforcer.domain.facts import Block
from retention_enforcer.domain.ledger import Entry, Kind
from retention_enforcer.domain.plan import Purge
from retention_enforcer.enforcement.appender import Appender
from retention_enforcer.enforcement.ports import Clock, Permit, StateStore

_log = structlog.get_logger()

_LIFTED = "lifted-blocks"


class WriteBlockSwitch(Protocol):
    """Sets the block of one index."""

    def set_write_block(self, uuid: str, *, blocked: bool) -> None:
        """Set or lift the write block of an index, if it is still there."""


class WriteBlocks:
    """Which write blocks are lifted now stands in `retention-state` before the first is.

    By the uuids of their indices: the name of a tenant's own has its id in it, which belongs into the registry alone.
    """

    def __init__(
        self, switch: WriteBlockSwitch, state: StateStore, appender: Appender, permit: Permit, clock: Clock
    ) -> None:
        self._switch = switch
        self._state = state
        self._appender = appender
        self._permit = permit
        self._clock = clock

    @contextmanager
    def lifted(self, purges: Sequence[Purge], cycle: str) -> Iterator[None]:
        """Lift the write blocks of the indices of these purges, and put them back afterwards.

        One that the cluster does not lift stays: its purge fails, and no other.
        """
        blocked = {p.facts.uuid for p in purges if Block.WRITE in p.facts.blocks}
        if not blocked:
            yield
            return
        self._remember(self._lifted() | blocked)
        for uuid in sorted(blocked):
            try:
                self._set(uuid, cycle, blocked=False)
            except RequestRejected as error:
                _log.warning(error.message, **{"event.action": "lift_block", "event.outcome": "failure"})
        try:
            yield
        finally:
            self.restore(cycle)

    def restore(self, cycle: str) -> dict[str, str]:
        """Put back every block that is lifted, by this process or by one that was interrupted.

        Returns which could not be put back, by the uuid of the index, and why: they are tried again the next time.
        """
        lifted = self._lifted()
        failed: dict[str, str] = {}
        for uuid in sorted(lifted):
            try:
                self._set(uuid, cycle, blocked=True)
            except RequestRejected as error:
                failed[uuid] = error.message
        if lifted != failed.keys():
            self._remember(set(failed))
        return failed

    def _set(self, uuid: str, cycle: str, *, blocked: bool) -> None:
        action = "restore_block" if blocked else "lift_block"
        if blocked:  # nothing is destroyed by it, and it must not stay off because the enforcer is told to stop
            self._switch.set_write_block(uuid, blocked=True)
        else:
            with self._permit.destructive():
                self._switch.set_write_block(uuid, blocked=False)
        reason = f"index.blocks.write of index {uuid}, for the deletion of single documents"
        self._appender.append(Entry(kind=Kind.TERMINATION, action=action, reason=reason, cycle=cycle))

    def _lifted(self) -> set[str]:
        with readable("what retention-state remembers of lifted blocks"):
            return {str(uuid) for uuid in self._state.load([_LIFTED]).get(_LIFTED, {}).get("uuids", ())}

    def _remember(self, lifted: set[str]) -> None:
        self._state.save(_LIFTED, {"uuids": sorted(lifted)}, self._clock.now())
