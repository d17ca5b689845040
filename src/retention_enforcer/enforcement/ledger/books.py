"""The books of a process: how far the ledger goes, and which runs left intents without an outcome."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from retention_enforcer.domain.instants import DAY
from retention_enforcer.domain.ledger.checkpoints import checkpoint_of
from retention_enforcer.domain.ledger.records import Record
from retention_enforcer.domain.own.state_keys import CHECKPOINT, LEDGER
from retention_enforcer.domain.subjects.pseudonyms import Pseudonyms
from retention_enforcer.enforcement.ledger.acts import Acts
from retention_enforcer.enforcement.ledger.appender import Appender
from retention_enforcer.enforcement.ledger.memory import LedgerMemory
from retention_enforcer.enforcement.ledger.settle import settle_intents
from retention_enforcer.enforcement.ports import Clock, Deleter, DocumentStore, LedgerStore, StreamLifecycles
from retention_enforcer.enforcement.scope import job_of_record

Ran = TypeVar("Ran")


class LedgerBooks:
    """Settles what was interrupted, remembers the head, anchors it once a day. Shared by the threads of a process."""

    def __init__(
        self,
        *,
        ledger: LedgerStore,
        appender: Appender,
        acts: Acts,
        deleter: Deleter,
        streams: StreamLifecycles,
        state: DocumentStore,
        pseudonyms: Pseudonyms,
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._appender = appender
        self._acts = acts
        self._deleter = deleter
        self._streams = streams
        self._state = state
        self._pseudonyms = pseudonyms
        self._clock = clock
        self._lock = threading.Lock()
        self._unfinished: set[str] = set()

    def start(self) -> None:
        """Give every interrupted intent its outcome."""
        with self._lock:
            known = self._state.load([LEDGER])
            left = self._settle(after=_settled_in(known))
            self._unfinished |= {job_of_record(intent) for intent in left}
            first = min((int(intent["sequence"]) for intent in left), default=self._appender.head.sequence + 1)
            self._remember(first - 1, known)

    def settle(self, job: str) -> None:
        """Give the intents of a job's last run their outcomes, where it was interrupted."""
        with self._lock:
            unfinished = job in self._unfinished
        if unfinished:
            after = _settled_in(self._state.load([LEDGER]))
            if not self._settle(after=after, job=job):
                with self._lock:
                    self._unfinished.discard(job)

    def _settle(self, after: int, job: str | None = None) -> list[Record]:
        return settle_intents(self._ledger, self._appender, self._deleter, self._streams, after=after, job=job)

    def run(self, job: str, work: Callable[[], Ran]) -> Ran:
        """Do a job's work; where it fails, or leaves an outcome unknown, that is settled before its next run."""
        failed = True
        try:
            result = work()
            failed = False
        finally:
            if self._acts.take_unsettled(job) or failed:
                with self._lock:
                    self._unfinished.add(job)
        return result

    def keep(self) -> None:
        """Remember how far the ledger goes; once a day with an anchor."""
        with self._lock:
            known = self._state.load([CHECKPOINT, LEDGER])
            self._checkpoint(known.get(CHECKPOINT, {}))
            self._remember(_settled_in(known), known)

    def _checkpoint(self, last: Mapping[str, Any]) -> None:
        """Record an HMAC of the head; in the log it is an anchor outside of the cluster."""
        now = self._clock.now()
        head = self._appender.head
        if head.sequence == 0 or now - int(last.get("at", 0)) < DAY:
            return
        self._appender.append(checkpoint_of(head, self._pseudonyms))
        self._state.save(CHECKPOINT, {"at": now, "sequence": head.sequence}, now)

    def _remember(self, settled: int, known: Mapping[str, Mapping[str, Any]]) -> None:
        body, head = known.get(LEDGER), self._appender.head
        memory = LedgerMemory.of(body) if body else None
        if memory is None or (head, settled) != (memory.head, memory.settled):
            after = LedgerMemory(uuid=self._ledger.uuid(), head=head, settled=settled)
            self._state.save(LEDGER, after.body(), self._clock.now())


def _settled_in(known: Mapping[str, Mapping[str, Any]]) -> int:
    body = known.get(LEDGER)
    return LedgerMemory.of(body).settled if body else 0
