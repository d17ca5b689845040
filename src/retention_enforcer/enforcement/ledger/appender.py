"""The one place from which ledger records are written."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog

from retention_enforcer.domain.errors import ClusterUnavailable, OutcomeUnknown, Refused
from retention_enforcer.domain.instants import format_instant
from retention_enforcer.domain.ledger.records import Entry, Head, Kind, Record, canonical, seal
from retention_enforcer.domain.subjects.pseudonyms import Redactor
from retention_enforcer.enforcement.ports import Clock, LedgerStore

_log = structlog.get_logger()

_TRIES = 3
"""How often one record is offered after its answer was lost: creating under a fixed id is safe to repeat."""

_PAUSE = 0.5
"""Seconds between two of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Who writes: stands in every record."""

    instance: str
    mode: str
    policy: str
    """The fingerprint under which the instance acts."""


class Appender:
    """Appends records to the ledger, one at a time, each linked to the one before.

    All threads of a process share one. A record that another process put in the way is read and followed, unless
    it was written under a higher epoch: then this process has lost its lease, and must plan anew.

    A record counts once its creation was acknowledged, or once it is seen on every copy of the ledger. Until then
    nothing follows from it, and no other record after it: the next one that is appended has to wait until the same
    bytes stand in their place, or somebody else's do.
    """

    def __init__(
        self,
        store: LedgerStore,
        clock: Clock,
        signature: Signature,
        epoch: Callable[[], int],
        redactor: Redactor,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._check = check
        self._redactor = redactor
        self._store = store
        self._clock = clock
        self._signature = signature
        self._epoch = epoch
        self._lock = threading.Lock()
        self._head: Head | None = None
        self._led: int | None = None
        self._open: Record | None = None
        """One that was offered, and of which it is not certain that it stands."""

    @property
    def epoch(self) -> int:
        """The epoch of the lease that is held now. Raises Refused if none is."""
        return self._epoch()

    @property
    def head(self) -> Head:
        """The last record known to this process; all up to it are certain."""
        with self._lock:
            return self._known_head()

    def append(self, entry: Entry) -> Record:
        """Store a record and return it.

        Raises Refused if the lease or an own index was lost, ClusterUnavailable if the record is not stored.
        """
        self._check()
        entry = self._redacted(entry)
        with self._lock:
            epoch = self._epoch()
            self._close(epoch)
            if self._led != epoch:
                self._store_record(self._fields(Entry(kind=Kind.LEADER, reason="holds the lease"), epoch), epoch)
                self._led = epoch
            return self._store_record(self._fields(entry, epoch), epoch)

    def _redacted(self, entry: Entry) -> Entry:
        """Return an entry without the id that the name of its index may have in it."""
        index, target, reason = entry.about, entry.target, entry.reason
        if index is None:
            return entry
        details = {
            name: self._redactor.text(said, index) if isinstance(said, str) else said
            for name, said in (entry.details or {}).items()
        }
        return replace(
            entry,
            target=(self._redactor.index_name(target[0]), target[1]) if target else None,
            details=details,
            reason=self._redactor.text(reason, index) if reason is not None else None,
        )

    @property
    def written(self) -> Head | None:
        """The last record that this process knows of, without asking; None before the first."""
        return self._head

    def forget(self) -> None:
        """Ask the ledger anew where it ends: an operator adopted another one."""
        with self._lock:
            self._head = self._led = self._open = None

    def _fields(self, entry: Entry, epoch: int) -> dict[str, Any]:
        return {
            "actor": "enforcer",
            **entry.fields(),
            "time": format_instant(self._clock.now()),
            "instance": self._signature.instance,
            "mode": self._signature.mode,
            "policy": self._signature.policy,
            "epoch": epoch,
        }

    def _known_head(self) -> Head:
        if self._head is None:
            head = self._store.head()
            if head.sequence:
                last = self._store.standing(head.sequence)
                if last is None or last["hash"] != head.hash:
                    raise ClusterUnavailable("the shard copies of the ledger differ", "check the cluster's health")
            self._head = head
        return self._head

    def _close(self, epoch: int) -> None:
        """Have the record that was left open stand in its place, or see whose does."""
        if self._open is not None:
            record = self._open
            if self._place(record, epoch) and record["kind"] == Kind.LEADER and record["epoch"] == epoch:
                self._led = epoch

    def _store_record(self, fields: Mapping[str, Any], epoch: int) -> Record:
        while True:
            record = seal(fields, self._known_head())
            if self._place(record, epoch):
                return record

    def _place(self, record: Record, epoch: int) -> bool:
        """Offer a record; False where another stands in its place, which the next one follows."""
        stored = self._offer(record)
        self._open = None
        self._head = Head(int(stored["sequence"]), str(stored["hash"]))
        if stored["hash"] == record["hash"]:
            _log_record(record)
            return True
        if int(stored.get("epoch", 0)) > epoch:
            raise Refused(
                f"record {stored['sequence']} was written by {stored.get('instance')} under a later lease",
                "no action needed: this instance stops acting and waits for the lease",
            )
        return False

    def _offer(self, record: Record) -> Record:
        """Return what stands for good at the record's place after offering it: the record or somebody else's.

        That its place is taken says nothing of by whom, nor for how long: a primary that is cut off from its copies
        decides that alone. Raises ClusterUnavailable where nothing is certain; the record is open then.
        """
        sequence = int(record["sequence"])
        for attempt in range(_TRIES):
            if attempt:
                time.sleep(_PAUSE)
            try:
                if self._store.create(record):
                    return record
            except OutcomeUnknown:
                self._open = record
                continue
            if (stored := self._store.standing(sequence)) is not None:
                return stored
        raise ClusterUnavailable(
            f"record {sequence} could not be written to the ledger", "check the cluster's health and log"
        )


def _log_record(record: Record) -> None:
    """Log a record whole: the log is the copy that nobody in the cluster can change."""
    what = " ".join(str(record[name]) for name in ("kind", "action", "outcome") if name in record)
    about = record.get("target", {}).get("index", record.get("category", ""))
    text = f"record {record['sequence']}: {what} {about}".rstrip()
    _log.info(text, **{"event.action": "ledger-record", "retention.record": canonical(record).decode()})
