"""Verifies the ledger as a whole: its chain, its checkpoints, and what is remembered of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from retention_enforcer.domain.errors import LedgerBroken, readable
from retention_enforcer.domain.ledger.checkpoints import Checkpoints
from retention_enforcer.domain.ledger.records import Head, Record, check_chain
from retention_enforcer.domain.own.state_keys import CHECKPOINT, LEDGER
from retention_enforcer.domain.subjects.pseudonyms import Pseudonyms
from retention_enforcer.domain.wording import counted, verb
from retention_enforcer.enforcement.ledger.memory import LedgerMemory
from retention_enforcer.enforcement.ports import DocumentStore, LedgerStore

_COMPARE = "compare the ledger with an export or with the checkpoints in the log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A ledger that was found whole."""

    head: Head
    checkpoints: Checkpoints


class Verifier:
    """Reads the whole ledger once; what it costs grows with the number of records."""

    def __init__(self, ledger: LedgerStore, state: DocumentStore, pseudonyms: Pseudonyms) -> None:
        self._ledger = ledger
        self._state = state
        self._pseudonyms = pseudonyms

    def verify(self, see: Callable[[Record], None] = lambda _: None) -> Verified:
        """Return how far the ledger goes; `see` is given each record.

        Raises LedgerBroken naming the first record that does not fit.
        """
        known = self._state.load([LEDGER, CHECKPOINT])
        remembered = LedgerMemory.of(known[LEDGER]) if LEDGER in known else None
        if remembered and remembered.uuid != self._ledger.uuid():
            raise LedgerBroken("record 1: this is not the index that retention-state knows as the ledger", _COMPARE)
        checkpoints = Checkpoints(self._pseudonyms)

        def look(record: Record) -> None:
            checkpoints.see(record)
            see(record)

        heads = [remembered.head] if remembered else []
        head = check_chain(self._ledger.read(), known_heads=heads, see=look)
        if strangers := self._ledger.strangers():
            raise LedgerBroken(
                f"record {head.sequence + 1}: {counted(strangers, 'document')} in the ledger "
                f"{verb(strangers, 'is not a record', 'are not records')}",
                _COMPARE,
            )
        with readable("what retention-state stores about checkpoints"):
            expected = int(known.get(CHECKPOINT, {}).get("sequence", 0))
        if expected > (checkpoints.last or 0):
            raise LedgerBroken(
                f"record {expected + 1}: the checkpoint of record {expected} was written, but is gone", _COMPARE
            )
        return Verified(head=head, checkpoints=checkpoints)
