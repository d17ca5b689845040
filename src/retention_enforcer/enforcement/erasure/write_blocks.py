"""Lifts a write block for a purge of single documents, and puts it back: recorded, and remembered across a crash."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from retention_enforcer.domain.errors import RequestRejected, readable
from retention_enforcer.domain.facts import Block
from retention_enforcer.domain.ledger.records import Entry, Kind
from retention_enforcer.domain.own.state_keys import LIFTED_BLOCKS
from retention_enforcer.domain.plan import Purge
from retention_enforcer.enforcement.expiry.deletion_blocks import DeletionBlocks
from retention_enforcer.enforcement.ledger.appender import Appender
from retention_enforcer.enforcement.ports import Clock, DocumentStore, Permit, WriteBlockSwitch

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class WriteBlocks:
    """Which write blocks are lifted now stands in `retention-state` before the first is.

    By the uuids of their indices: the name of a tenant's own has its id in it, which belongs into the registry alone.
    """

    switch: WriteBlockSwitch
    state: DocumentStore
    appender: Appender
    permit: Permit
    clock: Clock
    deletions: DeletionBlocks

    @contextmanager
    def lifted(self, purges: Sequence[Purge], cycle: str) -> Iterator[None]:
        """Lift the write blocks of the indices of these purges, and put them back afterwards.

        One that the cluster does not lift stays: its purge fails, and no other. So does one under which an index is
        about to be deleted as a whole; what had come off by itself is not put back.
        """
        seen = {p.facts.uuid for p in purges if Block.WRITE in p.facts.blocks}
        if not seen:
            yield
            return
        with self.deletions.none_of(seen) as blocked:
            self._remember(self._lifted() | blocked)
            free = {uuid for uuid in sorted(blocked) if not self._lift(uuid, cycle)}
            if free:
                self._remember(self._lifted() - free)
        try:
            yield
        finally:
            self.restore(cycle)

    def _lift(self, uuid: str, cycle: str) -> bool:
        """Lift one block; False only where there was none any more."""
        try:
            return self._set(uuid, cycle, blocked=False)
        except RequestRejected as error:
            _log.warning(error.message, **{"event.action": "lift_block", "event.outcome": "failure"})
            return True

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

    def _set(self, uuid: str, cycle: str, *, blocked: bool) -> bool:
        action = "restore_block" if blocked else "lift_block"
        if blocked:  # nothing is destroyed by it, and it must not stay off because the enforcer is told to stop
            had = self.switch.set_write_block(uuid, blocked=True)
        else:
            with self.permit.destructive():
                had = self.switch.set_write_block(uuid, blocked=False)
            if not had:
                return False
        reason = f"index.blocks.write of index {uuid}, for the deletion of single documents"
        self.appender.append(Entry(kind=Kind.TERMINATION, action=action, reason=reason, cycle=cycle))
        return had

    def _lifted(self) -> set[str]:
        with readable("what retention-state stores about removed write blocks"):
            return {str(uuid) for uuid in self.state.load([LIFTED_BLOCKS]).get(LIFTED_BLOCKS, {}).get("uuids", ())}

    def _remember(self, lifted: set[str]) -> None:
        self.state.save(LIFTED_BLOCKS, {"uuids": sorted(lifted)}, self.clock.now())
