"""Where the lifecycle of a data stream hangs: an index that should have been rolled over, or deleted, and was not.

Elasticsearch forgets the errors of these lifecycles at each restart, reports some of them after ten tries, and others
never. So what counts is what should have come about and did not; the error, where there is one, only says why. Whatever
hangs, the daemon deletes at the deadline what it may.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from retention_enforcer.domain.facts import FORBID_INDEX_DELETION, CategoryFacts, IndexFacts
from retention_enforcer.domain.findings import Finding, FindingKind, abbreviated
from retention_enforcer.domain.instants import describe_duration, format_duration, format_instant
from retention_enforcer.domain.lifecycles.choice import Attachment
from retention_enforcer.domain.lifecycles.exemption import STREAM_LIFECYCLE
from retention_enforcer.domain.lifecycles.streams import STREAM_POLLS, StreamLifecycle, deletes_from
from retention_enforcer.domain.wording import verb

_HARMLESS = frozenset({"index_closed_exception"})
"""Errors on an index that is deleted all the same: a closed one is not merged (measured on 8.17)."""

_SNAPSHOT = "snapshot_in_progress_exception"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamError:
    """What Elasticsearch says it could not do with an index, at its last run."""

    type: str
    reason: str

    def __str__(self) -> str:
        """Return both in words."""
        return f"{self.type}: {self.reason}" if self.type else self.reason


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSurroundings:
    """What the lifecycle of a stream depends on beside its indices. Durations in milliseconds."""

    poll: int
    """`data_streams.lifecycle.poll_interval`."""
    errors: Mapping[str, StreamError] = field(default_factory=dict)
    """By index; one of which nobody can tell is absent."""
    snapshotting: Collection[str] = ()
    """Indices of which a snapshot is being taken."""


def watch_stream(
    lifecycle: StreamLifecycle,
    facts: CategoryFacts,
    attachments: Mapping[str, Attachment],
    around: StreamSurroundings,
) -> tuple[Finding, ...]:
    """Return where the lifecycle of one stream hangs among the indices of a category, at the instant of its facts."""
    watch = _Watch(lifecycle, facts, attachments, around)
    return tuple(found for index in facts.indices if (found := watch.judge(index)) is not None)


@dataclass(frozen=True, slots=True)
class _Watch:
    lifecycle: StreamLifecycle
    facts: CategoryFacts
    attachments: Mapping[str, Attachment]
    around: StreamSurroundings

    def judge(self, index: IndexFacts) -> Finding | None:
        attached = self.attachments.get(index.name)
        if attached is None or attached.uuid != index.uuid or not self.lifecycle.is_for(index):
            return None
        if attached.acting != STREAM_LIFECYCLE or not self.lifecycle.enabled:
            return None
        if index.name not in self.lifecycle.members:
            return self._ruled_by_nobody(index)
        return self._not_rolled_over(index) if index.write_index else self._not_deleted(index, attached)

    def _ruled_by_nobody(self, index: IndexFacts) -> Finding:
        text = "no lifecycle rolls it over or deletes it, because its index.lifecycle.name is empty"
        return self._finding(FindingKind.LIFECYCLE_STUCK, index, text, "set its index.lifecycle.name to null")

    def _error(self, index: IndexFacts) -> StreamError | None:
        error = self.around.errors.get(index.name)
        return None if error is not None and error.type in _HARMLESS else error

    def _not_rolled_over(self, index: IndexFacts) -> Finding | None:
        age, error = self.lifecycle.rollover.max_age, self._error(index)
        if age is None or not index.documents:
            return None  # that no age makes it is said of the whole stream; without a document it waits for one
        late = self.facts.as_of - (index.created + age)
        if error is None and late <= STREAM_POLLS * self.around.poll:
            return None
        why, remedy = self._why(index, error)
        text = (
            f"the lifecycle of {self.lifecycle.name} rolls over at {format_duration(age)}, but not this index, created "
            f"{describe_duration(self.facts.as_of - index.created)} ago: {why}. Until it is rolled over, "
            "nothing in the "
            "data stream is deleted in time"
        )
        return self._finding(FindingKind.STREAM_NOT_ROLLED_OVER, index, text, remedy)

    def _why(self, index: IndexFacts, error: StreamError | None) -> tuple[str, str]:
        """Return why the rollover of a stream fails, and the remedy: each of its indices can prevent it."""
        if blocked := self._blocked():
            return f"prevented by a block of {abbreviated(sorted(blocked), 3)}", "remove that block"
        if self._snapshotting():
            return "a snapshot of the data stream is in progress", "wait for the snapshot, or delete it"
        if error is not None:
            return str(error), f"fix what GET {index.name}/_lifecycle/explain reports"
        return "Elasticsearch reports no error", _STANDS_STILL

    def _blocked(self) -> set[str]:
        hidden = {
            name
            for name, attached in self.attachments.items()
            if attached.stream == self.lifecycle.stream and attached.metadata_block
        }
        return hidden | {
            index.name
            for index in self.facts.indices
            if index.stream == self.lifecycle.stream and index.blocks & FORBID_INDEX_DELETION
        }

    def _snapshotting(self) -> bool:
        return any(
            attached.stream == self.lifecycle.stream and name in self.around.snapshotting
            for name, attached in self.attachments.items()
        )

    def _not_deleted(self, index: IndexFacts, attached: Attachment) -> Finding | None:
        rolled_over, dated = attached.rolled_over, attached.origination
        begins = deletes_from(self.lifecycle, created=index.created, rolled_over=rolled_over, dated=dated)
        by_rollover = deletes_from(self.lifecycle, created=index.created, rolled_over=rolled_over, dated=None)
        if begins is None or by_rollover is None:
            return None
        if dated is not None and by_rollover <= self.facts.as_of < begins:
            return self._dated_ahead(index, dated)
        late = self.facts.as_of - begins
        error = self._error(index)
        if late < 0 or (error is None and late <= STREAM_POLLS * self.around.poll):
            return None
        return self._late(index, late, error)

    def _late(self, index: IndexFacts, late: int, error: StreamError | None) -> Finding:
        if blocks := index.blocks & FORBID_INDEX_DELETION:
            names = ", ".join(sorted(f"index.blocks.{block}" for block in blocks))
            prevents = verb(len(blocks), "prevents", "prevent")
            text = f"{names} {prevents} the lifecycle of its data stream from deleting it and from rolling over"
            return self._finding(FindingKind.LIFECYCLE_BLOCKED, index, text, f"remove {names}")
        if index.name in self.around.snapshotting or (error is not None and error.type == _SNAPSHOT):
            text = (
                "a snapshot of it is in progress: it cannot be deleted until that ends, by its data "
                "stream's lifecycle or otherwise"
            )
            remedy = "wait for the snapshot, or delete it; consider scheduling snapshots at another time"
            return self._finding(FindingKind.LIFECYCLE_SNAPSHOT, index, text, remedy)
        if index.end_time is not None and index.end_time > self.facts.as_of:
            text = (
                "the lifecycle of its data stream waits for the end of the time series, "
                f"{describe_duration(index.end_time - self.facts.as_of)} from now; Elasticsearch reports no error"
            )
            remedy = "wait, or shorten index.look_ahead_time in its index template"
            return self._finding(FindingKind.LIFECYCLE_LATE, index, text, remedy)
        if error is not None:
            text = f"the lifecycle of its data stream fails to delete it: {error}"
            remedy = f"fix what GET {index.name}/_lifecycle/explain reports"
            return self._finding(FindingKind.LIFECYCLE_ERROR, index, text, remedy)
        text = (
            f"the lifecycle of its data stream should have deleted it {describe_duration(late)} ago; no "
            "error is reported"
        )
        return self._finding(FindingKind.LIFECYCLE_STUCK, index, text, _STANDS_STILL)

    def _dated_ahead(self, index: IndexFacts, dated: int) -> Finding:
        text = (
            "the lifecycle of its data stream counts its age from index.lifecycle.origination_date, "
            f"{format_instant(dated)}; counted from its rollover, it would be deleted by now"
        )
        remedy = "set index.lifecycle.origination_date to null, or add a hold on what must be kept"
        return self._finding(FindingKind.LIFECYCLE_LATE, index, text, remedy)

    def _finding(self, kind: FindingKind, index: IndexFacts, text: str, remedy: str) -> Finding:
        return Finding.of(kind, self.facts.category, f"{index.name}: {text}", remedy, index=index)


_STANDS_STILL = (
    "check GET _lifecycle/stats: if time_between_starts_in_millis is absent, or far above "
    "data_streams.lifecycle.poll_interval, data stream lifecycles do not run; a new master waits one interval first"
)
