"""What is remembered of the ledger: another one, or a shorter one, is not taken for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from retention_enforcer.domain.errors import Refused, readable
from retention_enforcer.domain.ledger.records import Head
from retention_enforcer.enforcement.ports import LedgerStore


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerMemory:
    """What `retention-state` remembers of the ledger."""

    uuid: str
    head: Head
    settled: int
    """Up to this sequence every intent has its outcome for good."""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> LedgerMemory:
        """Read it from its document."""
        with readable("what retention-state stores about the ledger"):
            head = Head(int(body["sequence"]), str(body["hash"]))
            return cls(uuid=str(body["uuid"]), head=head, settled=int(body["settled"]))

    def body(self) -> dict[str, Any]:
        """Return it as its document."""
        return {"uuid": self.uuid, "sequence": self.head.sequence, "hash": self.head.hash, "settled": self.settled}


def raise_if_ledger_lost(ledger: LedgerStore, remembered: LedgerMemory | None) -> None:
    """Raise Refused where the ledger is another one, ends before what is remembered, or holds another record there."""
    if remembered is None:
        head = ledger.head()
        if head.sequence:
            raise Refused(
                f"the ledger has {head.sequence} records, but retention-state knows of none: nothing is deleted",
                "restore retention-state, or find out what happened and run `retention-enforcer ledger adopt`",
            )
        return
    remedy = "restore the ledger, or find out what happened and run `retention-enforcer ledger adopt`"
    if ledger.uuid() != remembered.uuid:
        raise Refused("retention-ledger is not the same index as before: nothing is deleted", remedy)
    known = remembered.head
    if known.sequence == 0:
        return
    record = ledger.get(known.sequence)
    if record is None:
        raise Refused(f"the ledger ends before record {known.sequence}, which it once had: nothing is deleted", remedy)
    if record.get("hash") != known.hash:
        raise Refused(f"record {known.sequence} of the ledger was changed: nothing is deleted", remedy)
