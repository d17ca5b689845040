"""Erasure: after documents were deleted, until none of them is left in the files of their index.

A deleted document stays in its segment until that segment is rewritten, and a rewrite keeps it for as long as a
retention lease may need its history. So an erasure is a sequence of short steps, each of which may be repeated:

    mark      make all deletions durable, and note the last sequence number of each shard
    wait      until every lease of every copy is past it: a background renewal moves them every 30 s
    expunge   start the rewrite of all segments that hold deleted documents
    watch     until that task has ended
    restore   put the index's own setting back
    check     look at every copy; repeat what did not help
    done

`next_step` says which of them is next and from when on; the `Progress` between two of them is a document. One
erasure of an index at a time: it is the one that knows the index's own setting.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from retention_enforcer.domain.erasure.facts import (
    Expunge,
    Gone,
    Held,
    LeaseBehind,
    Mark,
    Remains,
    ShardCopy,
    held_body,
    held_of,
)
from retention_enforcer.domain.errors import readable
from retention_enforcer.domain.facts import FORBID_SETTINGS
from retention_enforcer.domain.instants import MINUTE, SECOND, describe_duration
from retention_enforcer.domain.wording import counted

POLL = 2 * SECOND
"""Between two looks at leases, or at a running task."""

RETENTION_LEASE_RENEWAL = 30 * SECOND
"""How often Elasticsearch moves the leases on; measured waits: 15 to 30.3 s."""

RETENTION_LEASE_PATIENCE = 90 * SECOND
"""After three renewals without effect, a lease is not only slow."""

RARELY = 5 * MINUTE
"""The longest time between two looks at anything."""

MANY_PASSES = 5
"""One pass is the rule, two where something was merged or written meanwhile."""

_CCR = "ccr"


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """None of the documents deleted before the mark is left in the files of the index."""

    gone: bool = False
    """Because the index itself is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotYet:
    """Something is left, or may be; each reason a sentence."""

    reasons: tuple[str, ...]
    documents: bool
    """Whether deleted documents are left, so that another expunge is needed; else waiting is."""


Verdict = Erased | NotYet


def judge(
    remains: Remains | Gone, mark: Mark, held: Held | None = None, released: Collection[str] = frozenset()
) -> Verdict:
    """Return whether an index is erased.

    It is where every copy that was ever assigned has answered, and holds no deleted document at all, or no longer
    any of the segments that could hold one of before the mark (`held`, noted when every lease was past the mark
    and no merge was running: later merges drop them). And where nothing keeps replaced files: no search that was
    open (`released` are the allocation ids of copies that had none at some time since the rewrite), no recovery,
    no snapshot, no transaction log.
    """
    if isinstance(remains, Gone):
        return Erased(gone=True)
    dirty = [copy for copy in remains.copies if _may_hold(copy, held or {})]
    reasons = (
        *_absences(remains, mark),
        *_documents_left(dirty, remains),
        *_files_kept(remains, mark, released),
    )
    return NotYet(reasons=reasons, documents=bool(dirty)) if reasons else Erased()


def _may_hold(copy: ShardCopy, held: Held) -> bool:
    if not copy.deleted and not copy.segments:
        return False
    return copy.allocation not in held or not set(copy.segments).isdisjoint(held[copy.allocation])


def _absences(remains: Remains, mark: Mark) -> Iterator[str]:
    if not remains.open:
        yield "the index is closed, so its shard copies cannot be checked: open it"
    elif not remains.copies:
        yield "no shard copy of the index is assigned: check the cluster's health"
    for copy in remains.away:
        yield f"a shard copy is not assigned ({copy}): its disk may keep the old files until it is assigned again"
    for copy in remains.unsettled:
        yield f"a shard copy is initializing or relocating ({copy}): it is checked once it has started"
    for id_, name in sorted(mark.nodes.items()):
        if id_ not in remains.nodes:
            yield (
                f"node {name} had a shard copy and has left the cluster: its disk keeps the old files until it returns"
            )
    for copy in remains.unused:
        yield f"files of a former shard copy are left ({copy}): Elasticsearch removes them once all copies have started"


def _documents_left(dirty: Collection[ShardCopy], remains: Remains) -> Iterator[str]:
    if not dirty:
        return
    deleted = sum(copy.deleted for copy in dirty)
    copies = counted(len(remains.copies), "shard copy", "shard copies")
    yield f"{counted(deleted, 'deleted document')} left on {len(dirty)} of {copies}"
    if merging := sum(1 for copy in dirty if copy.merging):
        yield (
            f"a merge is running on {_copies(merging)}: it may rewrite deleted documents that a retention lease "
            "retained when the merge began"
        )
    for block in sorted(remains.blocks & FORBID_SETTINGS):
        yield f"index.blocks.{block} prevents changes to the index settings: remove it"


def _files_kept(remains: Remains, mark: Mark, released: Collection[str]) -> Iterator[str]:
    if busy := {copy.shard for copy in remains.copies if copy.contexts and copy.allocation not in released}:
        shards = counted(len(busy), "shard")
        yield f"a point in time, scroll or search is open on {shards}: the old files stay until it closes or expires"
    if read := sum(1 for copy in remains.copies if copy.recoveries):
        yield f"a recovery is reading from {_copies(read)}: the old files stay until it ends"
    if remains.snapshot:
        yield "a snapshot of the index is in progress: the old files stay until it ends"
    if logged := sum(1 for copy in remains.copies if not _log_is_clear(copy, mark)):
        yield f"the translog of {_copies(logged)} may contain operations from before the deletion: flush the index"


def _log_is_clear(copy: ShardCopy, mark: Mark) -> bool:
    """Whether no operation of before the mark is in the log.

    The mark's own flush has begun a new file of the log, so that all files with such operations end before it; and
    a commit that has everything up to the mark needs none of these.
    """
    return not copy.logged or (
        copy.shard < len(mark.sequence_numbers) and copy.committed >= mark.sequence_numbers[copy.shard]
    )


def _copies(number: int) -> str:
    return counted(number, "shard copy", "shard copies")


class Act(StrEnum):
    """What an erasure does next."""

    MARK = "mark"
    WAIT = "wait"
    EXPUNGE = "expunge"
    WATCH = "watch"
    RESTORE = "restore"
    CHECK = "check"
    DONE = "done"

    @property
    def doing(self) -> str:
        """What is done, for those who read a certificate."""
        return _DOING[self]


_DOING = {
    Act.MARK: "next, the deletion is flushed to every shard copy",
    Act.WAIT: "retention leases of its shard copies may still keep deleted documents",
    Act.EXPUNGE: "next, its segments are rewritten",
    Act.WATCH: "its segments are being rewritten",
    Act.RESTORE: "next, its original setting is restored",
    Act.CHECK: "next, its shard copies are checked",
    Act.DONE: "the erasure is complete",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The next act of an erasure; `at`, in epoch milliseconds, is from when on it is of use."""

    act: Act
    at: int
    alarm: str | None = None
    """What a person has to look at, as a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureProgress:
    """Where an erasure is. Instants in epoch milliseconds.

    Whatever was not stored is done again: each act may be repeated, by another process too.
    """

    index: str
    uuid: str
    act: Act = Act.MARK
    since: int = 0
    """When this act became the next one."""
    due: int = 0
    """From when on it is of use."""
    mark: Mark | None = None
    behind: tuple[LeaseBehind, ...] = ()
    expunge: Expunge | None = None
    held: Held = field(default_factory=dict)
    passes: int = 0
    failure: str = ""
    """Why the last expunge failed."""
    released: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    """Why the last check did not find it erased."""
    gone: bool = False

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> ErasureProgress:
        """Read it from its document. Raises Refused if that is not readable."""
        with readable("the progress of an erasure"):
            progress = cls(
                index=str(body["index"]),
                uuid=str(body["uuid"]),
                act=Act(body["act"]),
                since=int(body["since"]),
                due=int(body["due"]),
                mark=Mark.of(body["mark"]) if body["mark"] is not None else None,
                behind=tuple(LeaseBehind.of(lease) for lease in body["behind"]),
                expunge=Expunge.of(body["expunge"]) if body["expunge"] is not None else None,
                held=held_of(body["held"]),
                passes=int(body["passes"]),
                failure=str(body["failure"]),
                released=tuple(str(allocation) for allocation in body["released"]),
                reasons=tuple(str(reason) for reason in body["reasons"]),
                gone=bool(body["gone"]),
            )
            if progress.act in (Act.WATCH, Act.RESTORE) and progress.expunge is None:
                raise ValueError(f"nothing to {progress.act}")
        return progress

    def body(self) -> dict[str, Any]:
        """Return it as its document."""
        return {
            "index": self.index,
            "uuid": self.uuid,
            "act": self.act.value,
            "since": self.since,
            "due": self.due,
            "mark": self.mark.body() if self.mark else None,
            "behind": [lease.body() for lease in self.behind],
            "expunge": self.expunge.body() if self.expunge else None,
            "held": held_body(self.held),
            "passes": self.passes,
            "failure": self.failure,
            "released": list(self.released),
            "reasons": list(self.reasons),
            "gone": self.gone,
        }

    def marked(self, mark: Mark, now: int) -> ErasureProgress:
        """Return the progress after the mark."""
        return replace(self._next(Act.WAIT, now), mark=mark)

    def waited(self, behind: tuple[LeaseBehind, ...], now: int) -> ErasureProgress:
        """Return the progress after a look at the leases."""
        if not behind:
            return replace(self._next(Act.EXPUNGE, now), behind=())
        pause = POLL if now - self.since < RETENTION_LEASE_PATIENCE else RETENTION_LEASE_RENEWAL
        return replace(self, behind=behind, due=now + pause)

    def begun(self, expunge: Expunge, now: int) -> ErasureProgress:
        """Return the progress after an expunge was begun.

        What a copy held at the first one counts: segments of later than that have nothing of before the mark.
        """
        held = {**expunge.held, **self.held}
        return replace(
            self._next(Act.WATCH, now), expunge=expunge, held=held, passes=self.passes + 1, failure="", due=now + POLL
        )

    def watched(self, *, finished: bool, now: int, failure: str = "") -> ErasureProgress:
        """Return the progress after a look at the task; one that failed has finished, too."""
        if finished:
            return replace(self._next(Act.RESTORE, now), failure=failure)
        return replace(self, due=now + POLL)

    def restored(self, now: int) -> ErasureProgress:
        """Return the progress after the index's own setting was put back."""
        return replace(self._next(Act.CHECK, now), expunge=None, released=())

    def checked(self, remains: Remains | Gone, now: int) -> ErasureProgress:
        """Return the progress after a look at all copies: done, another pass, or another look, ever more rarely."""
        if self.mark is None or isinstance(remains, Gone):
            return self.lost(now)
        free = {copy.allocation for copy in remains.copies if not copy.contexts}
        released = tuple(sorted({*self.released, *free}))
        verdict = judge(remains, self.mark, self.held, released)
        if isinstance(verdict, Erased):
            return replace(self._next(Act.DONE, now), reasons=(), released=released)
        reasons = (*verdict.reasons, *((f"the last force merge failed: {self.failure}",) if self.failure else ()))
        if verdict.documents:
            pause = min(self.passes * RETENTION_LEASE_RENEWAL, RARELY)
            return replace(self._next(Act.WAIT, now), reasons=reasons, due=now + pause)
        pause = min(max(now - self.since, POLL), RARELY)
        return replace(self, reasons=reasons, released=released, due=now + pause)

    def lost(self, now: int) -> ErasureProgress:
        """Return the progress after the index was found to be gone."""
        return replace(self._next(Act.DONE, now), gone=True, reasons=())

    def _next(self, act: Act, now: int) -> ErasureProgress:
        return replace(self, act=act, since=now, due=now)


def next_step(progress: ErasureProgress, now: int) -> Step:
    """Return what to do next; a clock that was set back delays nothing for longer than `RARELY`."""
    return Step(act=progress.act, at=min(progress.due, now + RARELY), alarm=_alarm(progress, now))


def _alarm(progress: ErasureProgress, now: int) -> str | None:
    waiting = now - progress.since
    if progress.act is Act.WAIT and progress.behind and waiting >= RETENTION_LEASE_PATIENCE:
        return _alarm_of_leases(progress, waiting)
    if progress.passes >= MANY_PASSES and progress.reasons and progress.act is not Act.DONE:
        return f"{progress.index} is not erased after {progress.passes} force merges: {'; '.join(progress.reasons)}"
    return None


def _alarm_of_leases(progress: ErasureProgress, waiting: int) -> str:
    named = ", ".join(_describe(lease) for lease in progress.behind)
    remedy = "restore the node that the retention lease belongs to, or check why its shard copy lags behind"
    if any(lease.source == _CCR for lease in progress.behind):
        remedy = (
            "let the follower index in the other cluster catch up, or unfollow it; "
            "the enforcer never removes its retention lease"
        )
    return f"{progress.index} could not be erased for {describe_duration(waiting)}: {named}; {remedy}"


def _describe(lease: LeaseBehind) -> str:
    behind = counted(lease.behind, "operation")
    return f"retention lease {lease.id} ({lease.source}) of shard {lease.shard} is {behind} behind"
