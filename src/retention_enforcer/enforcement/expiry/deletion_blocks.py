"""Keeps an index that is about to be deleted as it was looked at: nothing more is written to it from then on.

Between the last look at an index and its DELETE a write could be acknowledged, and go with the index. So a write block
is put on before that look; the cluster answers once the writes under way have ended. Where the index stays after all,
the block is taken off again. Which blocks are on stands in `retention-state` before the first is, by the uuids of their
indices: a run that is killed leaves none behind after the next start.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from retention_enforcer.domain.errors import (
    ClusterUnavailable,
    OutcomeUnknown,
    RequestRejected,
    RetentionError,
    readable,
)
from retention_enforcer.domain.facts import Block
from retention_enforcer.domain.ledger.records import Entry, Kind
from retention_enforcer.domain.own.state_keys import DELETION_BLOCKS
from retention_enforcer.domain.plan import Purge
from retention_enforcer.enforcement.ledger.appender import Appender
from retention_enforcer.enforcement.ports import Clock, DocumentStore, Permit, WriteBlockSwitch

_log = structlog.get_logger()


TAKEN_OFF = "its write block was removed"
_NOT_TAKEN_OFF = "its write block could not be removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """The uuids of indices that nothing is written to now, and of those of which that is not certain."""

    quiet: frozenset[str]
    doubtful: frozenset[str]


class DeletionBlocks:
    """The write blocks that this enforcer put on for deletions, by the job whose deletions they are for.

    `lasts` tells whether the lease outlasts a request: without it a block is left to the next holder, who may have put
    one on the same index.
    """

    def __init__(
        self,
        *,
        stop: WriteBlockSwitch,
        state: DocumentStore,
        appender: Appender,
        permit: Permit,
        clock: Clock,
        lasts: Callable[[], bool],
    ) -> None:
        self._stop = stop
        self._state = state
        self._appender = appender
        self._permit = permit
        self._clock = clock
        self._lasts = lasts
        self._lock = threading.Lock()
        self._by_job: dict[str, set[str]] = {}
        self._remembered: frozenset[str] = frozenset()
        self._going: dict[str, set[str]] = {}
        """By job, the indices that its deletions are about, also those that somebody else has blocked."""
        self._late: set[str] = set()
        """Indices of which the block may still be put on: the answer was lost, and the request perhaps not."""

    def put_on(self, purges: Sequence[Purge], job: str) -> Stopped:
        """Stop the writes of the indices of these purges, and return of which of them that is certain.

        The request names all of them: an index that was blocked when it was looked at may not be by now. As long as it
        is, that block is somebody's and stays theirs. One that somebody else has blocked since is left to them: it is
        planned anew.

        Raises RequestRejected where the cluster blocks none, OutcomeUnknown and ClusterUnavailable where that is not
        known, and Refused where nothing may be destroyed; what may be blocked by then is taken off by `take_off`.
        """
        uuids = {p.facts.name: p.facts.uuid for p in purges}
        theirs = {p.facts.uuid for p in purges if Block.WRITE in p.facts.blocks}
        wanted = set(uuids.values()) - theirs
        with self._lock:
            self._going.setdefault(job, set()).update(theirs)
        with self._permit.destructive():
            ours = self._hold(job, wanted)
        try:
            with self._permit.destructive():
                blocked = self._stop.stop_writes(sorted(uuids))
        except RequestRejected:
            self._let_go(job, wanted - ours)
            raise
        except ClusterUnavailable:
            with self._lock:
                self._late.update(wanted - ours)
            raise
        newly = {uuids[name] for name in blocked}
        doubtful = {uuids[name] for name, confirmed in blocked.items() if not confirmed}
        with self._lock:
            self._late.update(doubtful)
        if lifted := newly & theirs:  # they took theirs off
            self._hold(job, lifted)
        ours |= newly
        self._let_go(job, wanted - ours)
        return Stopped(quiet=frozenset((theirs | ours) - doubtful), doubtful=frozenset(doubtful))

    def take_off(self, uuids: Collection[str], job: str) -> dict[str, str]:
        """Take the blocks off indices that stay; return what is to be said of those that had one, by their uuids.

        One that could not be taken off is tried again before the job's next run, and so is one that may come late.
        """
        with self._lock:
            ours = sorted(self._by_job.get(job, set()).intersection(uuids))
        if not ours:
            return {}
        if not self._lasts():
            return dict.fromkeys(ours, f"{_NOT_TAKEN_OFF}: the lease is lost, and its next holder removes the block")
        try:
            self._stop.lift_write_blocks(ours)
        except RequestRejected as error:
            if (middle := len(ours) // 2) > 0:  # one of them spoils it for all
                return self.take_off(ours[:middle], job) | self.take_off(ours[middle:], job)
            return self._not_taken_off(ours, error)
        except (OutcomeUnknown, ClusterUnavailable) as error:
            return self._not_taken_off(ours, error)
        self._let_go(job, set(ours) - self._late)
        return dict.fromkeys(ours, TAKEN_OFF)

    def _not_taken_off(self, uuids: Collection[str], error: RetentionError) -> dict[str, str]:
        _log.warning(error.message, **{"event.action": "lift_block", "event.outcome": "failure"})
        return dict.fromkeys(uuids, f"{_NOT_TAKEN_OFF}: {error.message}")

    def take_off_other(self, uuid: str, planned: str, job: str) -> None:
        """Take the block off an index that was made anew under the name of a planned one, if it is ours."""
        with self._lock:
            if planned not in self._by_job.get(job, ()):
                return
        self._hold(job, [uuid])
        self.take_off([uuid], job)

    def went(self, uuids: Collection[str], job: str) -> None:
        """Note that indices are gone, and their blocks with them."""
        self._let_go(job, uuids)

    def end(self, job: str) -> None:
        """Note that a job deletes nothing for the moment, and remember the blocks that are on now."""
        with self._lock:
            self._going.pop(job, None)
        self._keep()

    @contextmanager
    def none_of(self, uuids: Collection[str]) -> Iterator[frozenset[str]]:
        """Yield those of these indices that no deletion is about; none begins to be while it lasts."""
        with self._lock:
            yield frozenset(uuids).difference(*self._by_job.values(), *self._going.values())

    def _keep(self) -> None:
        """Remember exactly the blocks that are on now; without the lease that is for the next holder to do."""
        with self._lock:
            if self._lasts():
                self._save()

    def start(self) -> None:
        """Take off what an earlier process left behind. Raises ClusterUnavailable where that cannot be known."""
        with readable("what retention-state stores about write blocks"):
            left = frozenset(
                str(u) for u in self._state.load([DELETION_BLOCKS]).get(DELETION_BLOCKS, {}).get("uuids", ())
            )
        with self._lock:
            self._by_job, self._remembered = {"": set(left)} if left else {}, left
        self.tidy("")

    def tidy(self, job: str) -> None:
        """Take off what the last run of a job left behind, since the outcome of its deletion was not known."""
        with self._lock:
            left = sorted(self._by_job.get(job, ()))
            self._late.difference_update(left)
        if not left:
            return
        off = [uuid for uuid, said in self.take_off(left, job).items() if said == TAKEN_OFF]
        reasons = [f"index.blocks.write of index {uuid}, left by an interrupted deletion: {TAKEN_OFF}" for uuid in off]
        self._appender.append_all([Entry(kind=Kind.FINDING, action="lift_block", reason=r) for r in reasons])
        self._keep()

    def _hold(self, job: str, uuids: Collection[str]) -> set[str]:
        """Remember blocks before they are put on; return those that were on already, since they did not come off."""
        with self._lock:
            held = self._by_job.setdefault(job, set())
            before = held & set(uuids)
            held.update(uuids)
            self._save()
        return before

    def _let_go(self, job: str, uuids: Collection[str]) -> None:
        """Forget blocks that are off; what is remembered follows with the next ones that are put on, or `end`."""
        with self._lock:
            held = self._by_job.get(job, set())
            held.difference_update(uuids)
            self._late.difference_update(uuids)
            if not held:
                self._by_job.pop(job, None)

    def _save(self) -> None:
        now = frozenset(uuid for held in self._by_job.values() for uuid in held)
        if now != self._remembered:
            self._state.save(DELETION_BLOCKS, {"uuids": sorted(now)}, self._clock.now())
            self._remembered = now
