"""The lifecycle of a data stream (Elasticsearch 8.11 and newer): how old its documents become, and what keeps a limit.

It rolls the write index over at an age, and deletes a backing index once the retention has passed since its rollover.
It never looks at a document. So the oldest document that came in time reaches

    rollover age + retention + 3 polls

The rollover age is one setting of the whole cluster. By default it follows the retention in steps: a day up to 14 days,
a week up to 90 days, else 30 days (measured on 8.17).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from retention_enforcer.domain.facts import IndexFacts
from retention_enforcer.domain.findings import Finding, FindingKind
from retention_enforcer.domain.instants import DAY, MINUTE, SECOND, describe_duration, format_duration
from retention_enforcer.domain.lifecycles.compiler import Unmeetable, lateness
from retention_enforcer.domain.lifecycles.foreign import milliseconds
from retention_enforcer.domain.policy.promises import SPAN_TOLERANCE, Category
from retention_enforcer.domain.rollover import FAILURES

STREAM_POLLS = 3
"""Polls by which a deletion may be late: for the rollover, for the retention, and the one that a new master waits."""

DEFAULT_STREAM_POLL = 5 * MINUTE
"""`data_streams.lifecycle.poll_interval` where nobody has changed it."""

_STEPS = ((14 * DAY, DAY), (90 * DAY, 7 * DAY))
"""Retentions, and the rollover age of `auto` up to each."""

_LONGEST_STEP = 30 * DAY
"""The rollover age of `auto` beyond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRollover:
    """When the lifecycles of streams roll a write index over. Durations in milliseconds."""

    max_age: int | None
    """At which age; None where no age makes them."""
    automatic: bool = False
    """Whether the age follows the retention."""
    may_wait: bool = False
    """Whether another condition than a first document can hold it back for ever."""


AUTOMATIC = StreamRollover(max_age=DAY, automatic=True)
"""`auto`, the default of the cluster: its age follows from the retention."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLifecycle:
    """The lifecycle of one data stream, as the cluster describes it. Durations in milliseconds."""

    stream: str
    body: Mapping[str, Any]
    """All that was put: a request replaces it as a whole."""
    asked: int | None
    """The retention that was put; None where none was."""
    enabled: bool
    retention: int | None
    """The one that is in force, after the defaults and the maximum of the cluster; None where it is endless."""
    determined_by: str | None
    """Where that comes from, in Elasticsearch's word: `max_global_retention`, for example."""
    rollover: StreamRollover
    members: frozenset[str]
    """The indices that it rules now: not those that index lifecycle management does."""
    rules_the_next: bool
    """Whether it rules the index that the next rollover creates."""
    failure_store: bool | None = None
    """Whether it is the failure store's alone, or that of the data alone; None where there is one for both (8.17)."""

    @property
    def name(self) -> str:
        """What it is the lifecycle of, in words."""
        return (
            f"the failure store of the data stream {self.stream}"
            if self.failure_store
            else f"the data stream {self.stream}"
        )

    def is_for(self, index: IndexFacts) -> bool:
        """Whether it is the lifecycle of this index's part of its stream."""
        return index.stream == self.stream and self.failure_store in (None, index.failure_store)

    @property
    def acts(self) -> bool:
        """Whether it deletes anything, now or after the next rollover."""
        return self.enabled and (bool(self.members) or self.rules_the_next)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRetention:
    """A retention by which the lifecycle of a stream keeps a promise. Durations in milliseconds."""

    retention: int
    rollover_age: int
    arithmetic: str

    @property
    def text(self) -> str:
        """It as a request says it."""
        return format_duration(self.retention)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptedStream:
    """A stream whose own lifecycle keeps the promise of its category, with the retention that this compiles to."""

    lifecycle: StreamLifecycle
    target: StreamRetention

    @property
    def settled(self) -> bool:
        """Whether the stream has that retention."""
        return self.lifecycle.enabled and self.lifecycle.asked == self.target.retention

    @property
    def body(self) -> dict[str, Any]:
        """What is to be put: all that is there, with that retention."""
        return {**self.lifecycle.body, "enabled": True, "data_retention": self.target.text}


def adopts_streams(category: Category) -> bool:
    """Whether the streams of a category are to keep its promise by their own lifecycles."""
    adopts = category.max_age is not None and category.enforce and category.foreign_lifecycle == "adopt"
    return adopts and not any(pattern.tenant for pattern in category.indices)


def adopted_streams(
    category: Category, margin: int, lifecycles: Iterable[StreamLifecycle], poll: int
) -> dict[str, AdoptedStream]:
    """Return the streams whose own lifecycles are to keep the promise of a category, by name.

    It adopts those that rule the next index: where index lifecycle management does, that comes first. Where no
    retention keeps the promise the stream is none of them, nor where indices are named after a customer: nothing about
    such a stream could be remembered.
    """
    if not adopts_streams(category):
        return {}
    candidates = [one for one in lifecycles if one.enabled and one.rules_the_next and not one.failure_store]
    found = {one.stream: (one, compile_stream_retention(category, margin, one.rollover, poll)) for one in candidates}
    return {
        stream: AdoptedStream(lifecycle=lifecycle, target=target)
        for stream, (lifecycle, target) in found.items()
        if isinstance(target, StreamRetention)
    }


def same_lifecycle(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> bool:
    """Whether two lifecycles say the same, or neither is there; "30d" and "720h" are the same retention.

    Elasticsearch thinks so too: it leaves what is there if that is put in other words (measured on 8.17).
    """
    return (None if one is None else _in_milliseconds(one)) == (None if other is None else _in_milliseconds(other))


def _in_milliseconds(body: Mapping[str, Any]) -> dict[str, Any]:
    said = dict(body)
    if "data_retention" in said:
        said["data_retention"] = milliseconds(str(said["data_retention"])) or said["data_retention"]
    return said


def automatic_rollover(retention: int | None) -> int:
    """Return the age at which `auto` rolls a write index over under this retention; None is an endless one."""
    if retention is None:
        return _LONGEST_STEP
    return next((age for longest, age in _STEPS if retention <= longest), _LONGEST_STEP)


def greatest_age(lifecycle: StreamLifecycle, poll: int) -> int | None:
    """Return the greatest age that a document which is not late can reach; None where there is no such age."""
    rollover = lifecycle.rollover
    if lifecycle.retention is None or rollover.max_age is None or rollover.may_wait:
        return None
    return rollover.max_age + lifecycle.retention + STREAM_POLLS * poll


def deletes_from(lifecycle: StreamLifecycle, *, created: int, rolled_over: int | None, dated: int | None) -> int | None:
    """Return the earliest instant at which the lifecycle of a stream can delete an index; None: never.

    Its age counts from its rollover, or from the `index.lifecycle.origination_date` that somebody set. All in epoch
    milliseconds.
    """
    if not lifecycle.enabled or lifecycle.retention is None:
        return None
    since = dated if dated is not None else rolled_over
    return (created if since is None else since) + lifecycle.retention


def judge_stream(category: Category, margin: int, lifecycle: StreamLifecycle, poll: int) -> Finding | None:
    """Return the finding that the lifecycle of a stream lets documents outlive the limit, or None.

    It is true before the first document does. `poll` is `data_streams.lifecycle.poll_interval`.
    """
    if category.max_age is None or not lifecycle.acts:
        return None
    greatest = greatest_age(lifecycle, poll)
    if greatest is not None and greatest <= category.max_age:
        return None
    limit = format_duration(category.max_age)
    text = (
        f"the lifecycle of {lifecycle.name} {_says(lifecycle, greatest, poll)}. "
        f"The limit is {limit}: without the daemon, documents outlive it"
    )
    return Finding.of(
        FindingKind.LIFECYCLE_FOREIGN,
        category.id,
        text,
        _remedy(category, margin, lifecycle, poll),
        about=lifecycle.stream + (FAILURES if lifecycle.failure_store else ""),
    )


def _says(lifecycle: StreamLifecycle, greatest: int | None, poll: int) -> str:
    if lifecycle.retention is None:
        return "has no retention and deletes nothing"
    retention = f"retention {format_duration(lifecycle.retention)}"
    if lifecycle.determined_by not in (None, "data_stream_configuration"):
        retention += f" ({lifecycle.determined_by})"
    if greatest is None or lifecycle.rollover.max_age is None:
        return f"has {retention}, but no age at which it certainly rolls over (cluster.lifecycle.default.rollover)"
    age = f"{format_duration(lifecycle.rollover.max_age)}{' (automatic)' if lifecycle.rollover.automatic else ''}"
    sum_ = f"rollover at {age} + {retention} + {STREAM_POLLS} polls of {format_duration(poll)}"
    return f"deletes after up to {describe_duration(greatest)} ({sum_})"


def _remedy(category: Category, margin: int, lifecycle: StreamLifecycle, poll: int) -> str:
    fitting = compile_stream_retention(category, margin, lifecycle.rollover, poll)
    if isinstance(fitting, Unmeetable):
        return f"leave its expiry to the daemon, or {fitting.remedy}: {fitting.arithmetic}"
    put = (
        f'PUT _data_stream/{lifecycle.stream}/_lifecycle with "data_retention": "{format_duration(fitting.retention)}"'
    )
    return f"{put}: {fitting.arithmetic}"


def compile_stream_retention(
    category: Category, margin: int, rollover: StreamRollover, poll: int
) -> StreamRetention | Unmeetable:
    """Return the greatest retention by which the lifecycle of a stream keeps the promise of a category by age.

    Promised, as long as lifecycles run, of documents at most `lateness` older than their arrival: none outlives
    limit - margin, and none goes earlier than one rollover of the category, the lateness and three polls before that;
    these polls together are no longer than the rollover.
    Raises ValueError for a category that has no maximum age.
    """
    if category.max_age is None:
        raise ValueError(f"{category.id} has no max_age")
    late = lateness(margin)
    left = category.max_age - margin - late - STREAM_POLLS * poll
    rest = (
        f"{STREAM_POLLS} polls of {format_duration(poll)} + lateness {format_duration(late)} "
        f"{{}} limit {format_duration(category.max_age)} - margin {format_duration(margin)}"
    )
    if (not rollover.automatic and rollover.max_age is None) or rollover.may_wait:
        return Unmeetable(
            category=category.id,
            arithmetic="the cluster has no fixed age at which it rolls data streams over",
            remedy="set a max_age, and no min_ condition but min_docs=1, in cluster.lifecycle.default.rollover",
        )
    if STREAM_POLLS * poll > category.rollover:
        return _polls_too_seldom(category, poll)
    for lowest, highest, age in _ranges(rollover):
        retention = (left - age) // SECOND * SECOND
        if lowest < retention <= highest:
            if age > SPAN_TOLERANCE * category.rollover:
                return _spans_too_much(category, age)
            sum_ = f"rollover at {format_duration(age)} + retention {format_duration(retention)} + {rest.format('=')}"
            return StreamRetention(retention=retention, rollover_age=age, arithmetic=sum_)
    return _no_retention(category, rollover, rest, left)


def _ranges(rollover: StreamRollover) -> Iterator[tuple[int, float, int]]:
    """Yield above which retention, and up to which, each rollover age holds; the longest first."""
    if not rollover.automatic:
        yield 0, float("inf"), rollover.max_age or 0
        return
    (short, day), (medium, week) = _STEPS
    yield from ((medium, float("inf"), _LONGEST_STEP), (short, medium, week), (0, short, day))


def _polls_too_seldom(category: Category, poll: int) -> Unmeetable:
    return Unmeetable(
        category=category.id,
        arithmetic=(
            f"a retention has to allow for {STREAM_POLLS} polls of {format_duration(poll)}, which is longer than the "
            f"rollover of {format_duration(category.rollover)}: documents would be deleted too early whenever a poll "
            "comes in time"
        ),
        remedy="reduce data_streams.lifecycle.poll_interval",
    )


def _spans_too_much(category: Category, age: int) -> Unmeetable:
    return Unmeetable(
        category=category.id,
        arithmetic=(
            f"the cluster rolls such a data stream over at {format_duration(age)}, but an index of the "
            "category may span "
            f"only {format_duration(category.rollover)}: young documents would be deleted with old ones"
        ),
        remedy=f"set rollover: {format_duration(age)} for the category",
    )


def _no_retention(category: Category, rollover: StreamRollover, rest: str, left: int) -> Unmeetable:
    shortest = _STEPS[0][1] if rollover.automatic else rollover.max_age or 0
    if left <= shortest:
        arithmetic = (
            f"rollover at {format_duration(shortest)} + {rest.format('>=')}: this leaves no time for a retention"
        )
        remedy = "reduce margin, data_streams.lifecycle.poll_interval or cluster.lifecycle.default.rollover"
    else:
        steps = ", ".join(f"{format_duration(age)} up to {format_duration(longest)}" for longest, age in _STEPS)
        arithmetic = (
            f"the automatic rollover age depends on the retention ({steps}, then {format_duration(_LONGEST_STEP)}), "
            f"and none fits into limit {format_duration(category.max_age or 0)} without deleting days too early"
        )
        remedy = "set a fixed max_age in cluster.lifecycle.default.rollover"
    return Unmeetable(category=category.id, arithmetic=arithmetic, remedy=remedy)
