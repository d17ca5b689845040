"""The one place from which ledger records are written."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import structlog

from retention_enforcer.domain.errors import ClusterUnavailable, OutcomeUnknown, Refused, RequestRejected
from retention_enforcer.domain.instants import format_instant
from retention_enforcer.domain.ledger.records import (
    MOST_TOGETHER,
    Entry,
    Head,
    Kind,
    Record,
    canonical,
    is_last,
    seal,
)
from retention_enforcer.domain.subjects.pseudonyms import Redactor
from retention_enforcer.enforcement.ports import Clock, LedgerStore

_log = structlog.get_logger()

_TRIES = 3
"""How often records are offered after the answer was lost: creating under a fixed id is safe to repeat."""

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
    """Appends records to the ledger, each linked to the one before.

    All threads of a process share one. A record that another process put in the way is read and followed, unless
    it was written under a higher epoch: then this process has lost its lease, and must plan anew.

    A record counts once its creation was acknowledged, or once it is seen on every copy of the ledger. Until then
    nothing follows from it, and no other record after it: the next one that is appended has to wait until the same
    bytes stand in their place, or somebody else's do. Records that are appended together are stored together, all or
    none.
    """

    def __init__(
        self,
        store: LedgerStore,
        clock: Clock,
        signature: Signature,
        epoch: Callable[[], int],
        redactor: Redactor,
        check: Callable[[], None] = lambda: None,
        *,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._check = check
        self._pause = pause
        self._redactor = redactor
        self._ledger = store
        self._clock = clock
        self._signature = signature
        self._epoch = epoch
        self._lock = threading.Lock()
        self._head: Head | None = None
        self._led: int | None = None
        self._open: Sequence[Record] = ()
        """What was offered, and of which it is not certain that it stands."""

    @property
    def epoch(self) -> int:
        """The epoch of the lease that is held now. Raises Refused if none is."""
        return self._epoch()

    @property
    def head(self) -> Head:
        """The last record known to this process; all up to it are certain."""
        with self._lock, _stored():
            return self._known_head()

    def append(self, entry: Entry) -> Record:
        """Store a record and return it.

        Raises Refused if the lease or an own index was lost, ClusterUnavailable if the record is not stored.
        """
        (record,) = self.append_all([entry])
        return record

    def append_all(self, entries: Sequence[Entry]) -> list[Record]:
        """Store records one after the other, in as few requests as there can be, and return them.

        Where it raises as `append` does, none after those that are stored is.
        """
        if not entries:
            return []
        self._check()
        redacted = [self._redacted(entry) for entry in entries]
        stored: list[Record] = []
        with self._lock, _stored():
            epoch = self._epoch()
            self._close(epoch)
            if self._led != epoch:
                self._store([Entry(kind=Kind.LEADER, reason="holds the lease")], epoch)
                self._led = epoch
            for start in range(0, len(redacted), MOST_TOGETHER):
                stored += self._store(redacted[start : start + MOST_TOGETHER], epoch)
        return stored

    def close(self) -> Head:
        """Have what was left open stand in its place, or see whose records do; return where the ledger ends then.

        Whoever reads the ledger to tell what is missing in it calls this first. Raises as `append`.
        """
        self._check()
        with self._lock, _stored():
            self._close(self._epoch())
            return self._known_head()

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
            self._head = self._led = None
            self._open = ()

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
            head = self._ledger.head()
            if head.sequence and not is_last(self._ledger.standing(head.sequence), head):
                raise ClusterUnavailable("the shard copies of the ledger differ", "check the cluster's health")
            self._head = head
        return self._head

    def _close(self, epoch: int) -> None:
        """Have what was left open stand in its place, or see whose does."""
        if self._open:
            first = self._open[0]
            if self._place(self._open, epoch) and first["kind"] == Kind.LEADER and first["epoch"] == epoch:
                self._led = epoch

    def _store(self, entries: Sequence[Entry], epoch: int) -> Sequence[Record]:
        fields = [self._fields(entry, epoch) for entry in entries]
        while True:
            records: list[Record] = []
            head = self._known_head()
            for each in fields:
                record = seal(each, head)
                head = Head(int(record["sequence"]), str(record["hash"]))
                records.append(record)
            if self._place(records, epoch):
                return records

    def _place(self, records: Sequence[Record], epoch: int) -> bool:
        """Offer records; False where others stand in their place, which the next ones follow."""
        stored = self._offer(records)
        last = stored[-1]
        self._open = ()
        self._head = Head(int(last["sequence"]), str(last["hash"]))
        if last["hash"] == records[-1]["hash"]:
            for record in records:
                _log_record(record)
            return True
        if int(last.get("epoch", 0)) > epoch:
            raise Refused(
                f"record {last['sequence']} was written by {last.get('instance')} under a later lease",
                "no action needed: this instance stops acting and waits for the lease",
            )
        return False

    def _offer(self, records: Sequence[Record]) -> Sequence[Record]:
        """Return what stands for good at the records' place after offering them: they or somebody else's.

        That their place is taken says nothing of by whom, nor for how long: a primary that is cut off from its copies
        decides that alone. Raises ClusterUnavailable where nothing is certain; the records are open then.
        """
        sequence = int(records[0]["sequence"])
        for attempt in range(_TRIES):
            if attempt:
                self._pause(_PAUSE)
            try:
                if self._ledger.create(records):
                    return records
            except OutcomeUnknown:
                self._open = records
                continue
            if stored := self._ledger.standing(sequence):
                return stored
        raise ClusterUnavailable(
            f"record {sequence} could not be written to the ledger", "check the cluster's health and log"
        )


@contextmanager
def _stored() -> Iterator[None]:
    """Raise ClusterUnavailable where the ledger itself refuses: that must not be taken for an index that does."""
    try:
        yield
    except RequestRejected as error:
        raise ClusterUnavailable(f"the ledger cannot be used: {error.message}", error.remedy) from error


def _log_record(record: Record) -> None:
    """Log a record whole: the log is the copy that nobody in the cluster can change."""
    what = " ".join(str(record[name]) for name in ("kind", "action", "outcome") if name in record)
    about = record.get("target", {}).get("index", record.get("category", ""))
    text = f"record {record['sequence']}: {what} {about}".rstrip()
    _log.info(text, **{"event.action": "ledger-record", "retention.record": canonical(record).decode()})
