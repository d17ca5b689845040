"""A registrar over small true seams in memory, whose process can be ended before any write."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ledgers import NO_IDS, MemoryLedger
from retention_enforcer.domain.control import Control
from retention_enforcer.domain.ledger.records import Record
from retention_enforcer.domain.own.position import IndexPosition
from retention_enforcer.domain.subjects.identity import Subject
from retention_enforcer.domain.subjects.pseudonyms import Pseudonyms
from retention_enforcer.domain.terminations.requests import Written
from retention_enforcer.domain.terminations.states import Termination
from retention_enforcer.enforcement.ledger.appender import Appender, Signature
from retention_enforcer.enforcement.terminations.intake import Adopted, IntakeMemory, TakenRequests, adopt, remembered
from retention_enforcer.enforcement.terminations.registrar import Registrar, TerminationRecorder

NOW = 1_800_000_000_000
MOST = 3


class Clock:
    def __init__(self) -> None:
        self.instant = NOW

    def now(self) -> int:
        return self.instant


class Killed(Exception):
    """The process ended here."""


class Fuse:
    """Ends the process before the n-th write, counted over everything that is written."""

    def __init__(self) -> None:
        self.left: int | None = None

    def burn(self) -> None:
        if self.left is not None:
            if self.left == 0:
                raise Killed
            self.left -= 1


class Ledger(MemoryLedger):
    def __init__(self, fuse: Fuse) -> None:
        super().__init__()
        self._fuse = fuse

    def create(self, records: Sequence[Record]) -> bool:
        self._fuse.burn()
        return super().create(records)


class Documents:
    """A registry and a state in one: documents by their keys."""

    def __init__(self, fuse: Fuse) -> None:
        self.documents: dict[str, tuple[str | None, Mapping[str, Any]]] = {}
        self.uuid = "documents-uuid"
        self.operations = -1
        self._fuse = fuse

    def position(self) -> IndexPosition:
        return IndexPosition(uuid=self.uuid, until=self.operations)

    def all(self, kind: str | None = None) -> Mapping[str, Mapping[str, Any]]:
        return {key: body for key, (of, body) in self.documents.items() if kind in (None, of)}

    def load(self, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        return {key: self.documents[key][1] for key in keys if key in self.documents}

    def save(self, key: str, body: Mapping[str, Any], now: int, kind: str | None = None) -> None:
        self._fuse.burn()
        self.operations += 1
        self.documents[key] = (kind, body)

    def remove(self, key: str) -> None:
        self._fuse.burn()
        self.operations += 1
        self.documents.pop(key, None)


class Requests:
    def __init__(self) -> None:
        self.uuid = "requests-uuid"
        self.written: list[Written] = []
        self.added = 0
        self.hidden = 0
        """So many of the last are still being written."""

    def add(self, **body: Any) -> str:
        sequence = self.written[-1].sequence + 1 if self.written else 0
        written = Written(id=f"r{self.added}", sequence=sequence, body=body)
        self.added += 1
        self.written.append(written)
        return written.id

    def position(self) -> IndexPosition:
        until = self.written[-1].sequence if self.written else -1
        return IndexPosition(uuid=self.uuid, until=until - self.hidden)

    def read(self, after: int, until: int) -> Sequence[Written]:
        return [w for w in self.written if after < w.sequence <= until]

    def existing(self, sequences: Collection[int]) -> frozenset[int]:
        return frozenset(sequences) & {w.sequence for w in self.written}

    def reinstatements(self, after: int) -> bool:
        return any(w.sequence > after and w.body.get("action") == "reinstate" for w in self.written)

    def was_reinstated(self, subject: Subject, before: int) -> bool:
        about = {"kind": str(subject.kind), "id": subject.id, "action": "reinstate"}
        return any(w.sequence < before and about.items() <= w.body.items() for w in self.written)

    def reinstated(self, applications: Collection[str], users_of: Collection[str], after: int) -> Sequence[int]:
        raise AssertionError("the registrar asks for no reinstatements")

    def edit(self, id_: str, **changes: Any) -> None:
        """Write a request again, as `_update` does: it leaves its place."""
        (old,) = (w for w in self.written if w.id == id_)
        last = self.written[-1].sequence
        self.written.remove(old)
        self.written.append(Written(id=id_, sequence=last + 1, body={**old.body, **changes}, rewritten=True))

    def write(self, id_: str, body: Mapping[str, Any]) -> None:
        raise AssertionError("the registrar writes no requests")

    def forget(self, subject: Subject, until: int) -> int:
        raise AssertionError("the registrar forgets nothing")


class Office:
    """A registrar over all of these; each `register` is one of a new process."""

    def __init__(self) -> None:
        self.fuse = Fuse()
        self.clock = Clock()
        self.ledger = Ledger(self.fuse)
        self.registry = Documents(self.fuse)
        self.state = Documents(self.fuse)
        self.requests = Requests()
        self.control = Control()
        self.refused: Mapping[int, str] = {}

    def _appender(self) -> Appender:
        return Appender(self.ledger, self.clock, Signature(instance="i", mode="enforce", policy="p"), lambda: 1, NO_IDS)

    def begin(self, termination: Termination) -> None:
        """Do what a purge does first."""
        book = TerminationRecorder(self.registry, self._appender(), self.clock)
        book.enter(replace(termination, begun_at=self.clock.now()), "purging")

    def register(self) -> list[Termination]:
        appender, pseudonyms = self._appender(), Pseudonyms(b"k" * 32)
        intake = Registrar(
            requests=self.requests,
            registry=self.registry,
            book=TerminationRecorder(self.registry, appender, self.clock),
            memory=IntakeMemory(self.requests, self.registry, self.state),
            taken=TakenRequests(self.registry, pseudonyms),
            ledger=self.ledger,
            appender=appender,
            pseudonyms=pseudonyms,
            clock=self.clock,
            most=MOST,
        ).register(self.control)
        self.refused = intake.requests.refused
        return list(intake.terminations.values())

    def adopt(self) -> Adopted:
        return adopt(self.requests, self.registry, self.ledger, self.state, self.clock.now())

    def approve(self) -> None:
        """Do what `terminations approve` does."""
        known = remembered(self.registry)
        at = max(max(t.asked_at, t.suspended_at or 0) for t in known)
        self.control = Control(terminations_approved_at=at)

    def actions(self) -> list[str]:
        return [str(r["action"]) for r in self.ledger.records if r["kind"] == "termination"]
