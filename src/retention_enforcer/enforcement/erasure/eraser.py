"""Carries erasures on, step by step and all side by side, so that they share the waits; goes on after any crash."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from retention_enforcer.domain.erasure.steps import Act, ErasureProgress, next_step
from retention_enforcer.domain.errors import ClusterUnavailable, RequestRejected, readable
from retention_enforcer.domain.instants import MINUTE, SECOND
from retention_enforcer.domain.terminations.records import expunged_entry
from retention_enforcer.domain.wording import counted
from retention_enforcer.enforcement.ledger.appender import Appender
from retention_enforcer.enforcement.ports import Clock, DocumentStore, Erasures, Permit

_log = structlog.get_logger()

ERASURE = "erasure"
"""The kind of these documents in the registry, and how their keys begin."""

OWN = "own"
"""The label of an erasure of the enforcer's own registry or requests."""

LONGEST_RUN = 10 * MINUTE
"""How long one run carries erasures on, in milliseconds; what is left by then goes on with the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingErasure:
    """One index whose deleted documents have to leave its files."""

    progress: ErasureProgress
    labels: frozenset[str]
    """For which terminations."""
    again: frozenset[str] = field(default_factory=frozenset)
    """For which documents were deleted since this pass began: another one has to follow."""
    expected: Mapping[str, int] = field(default_factory=dict)
    """By termination, how many documents a purge was about to take of which it is not known what it took."""
    places: Mapping[str, Collection[str]] = field(default_factory=dict)
    """By termination, in which places it was counted: what is left is told from it only where all of them tell it."""
    after: int = 0
    """The ledger's last record before that purge: what it took was noted under a later one."""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> PendingErasure:
        """Read it from its document."""
        with readable("an erasure in retention-terminations"):
            return cls(
                progress=ErasureProgress.of(body["progress"]),
                labels=frozenset(body["labels"]),
                again=frozenset(body["again"]),
                expected={str(label): int(documents) for label, documents in body["expected"].items()},
                places={str(label): frozenset(map(str, places)) for label, places in body["places"].items()},
                after=int(body["after"]),
            )

    def body(self) -> dict[str, Any]:
        """Return it as its document."""
        return {
            "progress": self.progress.body(),
            "labels": sorted(self.labels),
            "again": sorted(self.again),
            "expected": dict(self.expected),
            "places": {label: sorted(places) for label, places in self.places.items()},
            "after": self.after,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Eraser:
    """Begins and carries on erasures; what is deleted is gone already, this takes its bytes."""

    erasures: Erasures
    registry: DocumentStore
    appender: Appender
    permit: Permit
    clock: Clock
    pause: Callable[[float], None]
    hide: Callable[[str], str]
    own_indices: Callable[[], Mapping[str, str]]
    """Returns the enforcer's own indices in which raw ids stand: name -> uuid."""
    longest_run: int = LONGEST_RUN

    def pending(self) -> dict[str, PendingErasure]:
        """Return the erasures that are not done, by the uuid of their index."""
        bodies = self.registry.all(ERASURE).values()
        return {one.progress.uuid: one for one in map(PendingErasure.of, bodies)}

    def begin(
        self,
        index: str,
        uuid: str,
        labels: Collection[str],
        expected: Mapping[str, int] | None = None,
        places: Mapping[str, Collection[str]] | None = None,
        not_before: int | None = None,
    ) -> None:
        """Have an index erased; where that has begun already, once more after it.

        To be called before the deletion: whatever happens then, its bytes are not forgotten. `expected` is what it is
        about to take of whom, until `noted`, and `places` in which places that was counted. `not_before` is when the
        whole index will have gone by itself: until then nothing is rewritten, and if it is there still, it is erased as
        any other.
        """
        under_way = self.pending().get(uuid)
        now = self.clock.now()
        due = now if not_before is None else max(now, not_before)
        if under_way is None:
            under_way = PendingErasure(
                progress=ErasureProgress(index=index, uuid=uuid, since=now, due=due), labels=frozenset(labels)
            )
        elif under_way.progress.act is Act.MARK:
            sooner = replace(under_way.progress, due=min(due, under_way.progress.due))
            under_way = replace(under_way, progress=sooner, labels=under_way.labels | frozenset(labels))
        else:
            under_way = replace(under_way, again=under_way.again | frozenset(labels))
        after = self.appender.head.sequence
        self._save(replace(under_way, expected=dict(expected or {}), places=dict(places or {}), after=after))

    def begin_own(self) -> None:
        """Have the own indices erased in which raw ids stand."""
        for name, uuid in self.own_indices().items():
            self.begin(name, uuid, [OWN])

    def noted(self, uuid: str) -> None:
        """Note that it is written down what a purge took."""
        under_way = self.pending().get(uuid)
        if under_way is not None and under_way.expected:
            self._save(replace(under_way, expected={}, places={}))

    def carry_on(self) -> dict[str, PendingErasure]:
        """Carry all erasures on until they are done or time is over; return those that are not done.

        Raises Refused when the right to change anything was lost.
        """
        until = self.clock.now() + self.longest_run
        pending, alarmed = self.pending(), set[str]()
        while self._under_way(pending.values(), until) and self.clock.now() < until:
            for uuid, erasing in list(pending.items()):
                pending[uuid] = self._advance(erasing, alarmed)
                if pending[uuid].progress.act is Act.DONE:
                    del pending[uuid]
            self._wait(pending.values(), until)
            pending = pending or self.pending()
        return self.pending()  # as it is stored: one that was done may have begun again

    def _under_way(self, pending: Iterable[PendingErasure], until: int) -> bool:
        return any(one.progress.due < until and not one.expected for one in pending)

    def _wait(self, pending: Iterable[PendingErasure], until: int) -> None:
        now = self.clock.now()
        due = min((next_step(one.progress, now).at for one in pending if not one.expected), default=now)
        if due > now:
            self.pause(min(due - now, until - now, 2 * SECOND) / SECOND)

    def _advance(self, erasing: PendingErasure, alarmed: set[str]) -> PendingErasure:
        if erasing.expected:
            return erasing  # what its purge took has to be counted first: this document is all that says so
        now = self.clock.now()
        step = next_step(erasing.progress, now)
        if step.alarm and erasing.progress.uuid not in alarmed:
            alarmed.add(erasing.progress.uuid)  # once a run
            _log.warning(self.hide(step.alarm), **{"event.action": "erasure"})
        if step.at > now:
            return erasing
        try:
            progress = self.erasures.advance(erasing.progress, now, self.permit.destructive)
        except (ClusterUnavailable, RequestRejected) as error:
            later = replace(erasing.progress, due=now + MINUTE, reasons=(error.message,))
            after = replace(erasing, progress=later)
            self._save(after)
            return after
        after = replace(erasing, progress=progress)
        if progress.act is Act.DONE:
            self._done(after)
        elif progress != erasing.progress:
            self._save(after)
        return after

    def _done(self, erasing: PendingErasure) -> None:
        progress = erasing.progress
        how = "the index is gone"
        if not progress.gone:
            how = f"no deleted document is left, after {counted(progress.passes, 'force merge')}"
        self.appender.append(expunged_entry(progress.uuid, how))
        if erasing.again and not progress.gone:  # in its place, in one write: a crash in between would forget it
            now = self.clock.now()
            anew = ErasureProgress(index=progress.index, uuid=progress.uuid, since=now, due=now)
            self._save(PendingErasure(progress=anew, labels=erasing.again))
        else:
            self.registry.remove(_key(progress.uuid))

    def _save(self, erasing: PendingErasure) -> None:
        self.registry.save(_key(erasing.progress.uuid), erasing.body(), self.clock.now(), ERASURE)


def _key(uuid: str) -> str:
    return f"{ERASURE}-{uuid}"
