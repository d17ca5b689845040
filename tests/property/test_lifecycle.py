"""What holds of every compiled lifecycle, whatever the promise, the poll and the index, at the worst of polls.

The simulation takes its steps from what was measured on 8.10: each thing that a lifecycle waits for is noticed at a
poll; between `min_age` and the deletion lie two more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import assume, event, given
from hypothesis import strategies as st

from builders import NOW, category, facts, index
from retention_enforcer.domain.facts import IndexFacts
from retention_enforcer.domain.instants import DAY, HOUR, MINUTE, SECOND
from retention_enforcer.domain.lifecycles.changes import lifecycle_changes
from retention_enforcer.domain.lifecycles.choice import (
    Attachment,
    NoLifecycle,
    Plain,
    Rolled,
    Rolling,
    wanted_lifecycle,
    wanted_lifecycles,
)
from retention_enforcer.domain.lifecycles.compiler import Lifecycles, compile_lifecycles, lateness
from retention_enforcer.domain.policy.promises import SPAN_TOLERANCE, Category, Policy


@dataclass(frozen=True, kw_only=True)
class Promise:
    """A category on a cluster, and what it compiles to."""

    category: Category
    lifecycles: Lifecycles
    limit: int

    @property
    def poll(self) -> int:
        return self.lifecycles.poll

    @property
    def late(self) -> int:
        return lateness(self.lifecycles.margin)

    @property
    def border(self) -> int:
        return self.limit - self.lifecycles.margin


@st.composite
def promises(draw: st.DrawFn) -> Promise:
    limit = draw(st.integers(30 * SECOND, 40 * DAY) | st.just(14 * DAY))
    margin = draw(st.integers(SECOND, limit // 4) | st.just(min(HOUR, limit // 4)))
    rollover = draw(st.integers(SECOND, (limit - margin) // 2) | st.just(min(DAY, (limit - margin) // 10)))
    poll = draw(st.integers(1, limit // 20) | st.just(min(10 * MINUTE, limit // 60)))
    under = category(max_age=limit, rollover=rollover)
    policy = Policy(name="trtc", categories=(under,), margin=margin)
    found = compile_lifecycles(policy, under, "f", poll)
    assume(isinstance(found, Lifecycles))
    assert isinstance(found, Lifecycles)
    return Promise(category=under, lifecycles=found, limit=limit)


def after(instant: int, offset: int, poll: int) -> int:
    """The first poll that finds this instant over; polls come at offset, offset + poll, ..."""
    return instant + (offset - instant) % poll


def deleted_at(since: int, min_age: int, offset: int, poll: int) -> int:
    return after(since + min_age, offset, poll) + 2 * poll


@dataclass(frozen=True, kw_only=True)
class Story:
    """An index, how it was rolled over if at all, and at what moment of a poll the cluster stands."""

    promise: Promise
    facts: IndexFacts
    attached: Attachment
    offset: int


@st.composite
def stories(draw: st.DrawFn) -> Story:
    promise = draw(promises())
    rollover = promise.category.rollover
    created = NOW - draw(st.integers(0, 2 * promise.limit) | st.integers(0, 2 * rollover))
    near = st.integers(-2 * promise.late - 2, 2 * rollover + 2 * promise.poll)
    around = near | st.sampled_from([-promise.late, -promise.late - 1, 0])
    oldest = min(created + draw(around), NOW)
    span = st.integers(0, int(1.2 * rollover)) | st.just(int(SPAN_TOLERANCE * rollover))
    newest = min(oldest + draw(span), NOW)
    write_index = draw(st.booleans())
    rolled_over = None if write_index else draw(st.none() | st.integers(created, NOW))
    ages = [NOW - newest, NOW - oldest]
    one = index(
        ages=ages,
        index_age=NOW - created,
        write_index=write_index,
        stream="logs" if write_index or rolled_over is not None else None,
        due=sum(age > promise.border for age in ages),
    )
    attached = Attachment(uuid=one.uuid, rolled_over=rolled_over, rolled_by="logs" if rolled_over is not None else None)
    return Story(promise=promise, facts=one, attached=attached, offset=draw(st.integers(0, promise.poll - 1)))


def gone_at(story: Story, wanted: Rolled | Plain) -> int:
    """When the cluster deletes the index, if nobody else does."""
    promise, facts_ = story.promise, story.facts
    poll, offset = promise.poll, story.offset
    if isinstance(wanted, Plain):
        assert promise.lifecycles.plain is not None
        since = wanted.origination if wanted.origination is not None else facts_.created
        assert promise.lifecycles.plain.min_age is not None
        return deleted_at(since, promise.lifecycles.plain.min_age, offset, poll)
    rolled, since = promise.lifecycles.rolled, story.attached.rolled_over
    assert rolled is not None
    assert rolled.max_age is not None
    assert rolled.min_age is not None
    if since is None:
        since = after(max(facts_.created + rolled.max_age, NOW), offset, poll)
    return deleted_at(since, rolled.min_age, offset, poll)


def rolls_over_in_time(story: Story) -> bool:
    """Whether the write index has been under its lifecycle early enough, and no document of it is too old."""
    one, rolled = story.facts, story.promise.lifecycles.rolled
    assert rolled is not None
    assert rolled.max_age is not None
    assert one.oldest is not None
    return max(one.created, NOW - rolled.max_age) - story.promise.late <= one.oldest


@given(stories())
def test_no_document_outlives_limit_less_margin(story: Story) -> None:
    one, promise = story.facts, story.promise
    wanted = wanted_lifecycle(promise.category, promise.lifecycles, one, story.attached, now=NOW)
    event(type(wanted).__name__)
    if isinstance(wanted, NoLifecycle | Rolling):
        return
    assert isinstance(wanted, Rolled | Plain)
    assert one.oldest is not None
    if one.write_index and not rolls_over_in_time(story):
        return  # its rollover has to come first: then it counts from its creation, or gets a date of its own
    assert gone_at(story, wanted) <= one.oldest + promise.border


@given(stories())
def test_no_young_document_goes(story: Story) -> None:
    """Young is what the daemon itself would not take along, less what the arithmetic keeps back for polls."""
    one, promise = story.facts, story.promise
    wanted = wanted_lifecycle(promise.category, promise.lifecycles, one, story.attached, now=NOW)
    if isinstance(wanted, NoLifecycle | Rolling):
        return
    assert isinstance(wanted, Rolled | Plain)
    assert one.newest is not None
    early = 5 * promise.poll + 2 * promise.late
    lived = gone_at(story, wanted) - one.newest
    assert lived >= promise.border - SPAN_TOLERANCE * promise.category.rollover - early - 1


@given(stories(), st.integers(0, 3))
def test_what_was_attached_once_is_not_changed_again(story: Story, late: int) -> None:
    """Nor where older documents come in afterwards, as long as the index still spans no more than it may."""
    one, promise = story.facts, story.promise
    seen, known = facts(one), {one.name: story.attached}
    shall = wanted_lifecycles(promise.category, promise.lifecycles, seen, known)
    for change in lifecycle_changes(seen, promise.lifecycles, shall, known):
        known = {
            one.name: replace(
                story.attached,
                policy=change.policy,
                origination=change.origination,
                rollover_alias=change.rollover_alias,
            )
        }
    again = wanted_lifecycles(promise.category, promise.lifecycles, seen, known)
    assert lifecycle_changes(seen, promise.lifecycles, again, known) == ()
    dated = known[one.name].origination
    if dated is None:
        return
    assert one.oldest is not None
    older = facts(replace(one, oldest=one.oldest - late))
    moved = wanted_lifecycles(promise.category, promise.lifecycles, older, known)[one.name]
    assert isinstance(moved, NoLifecycle | Rolling) or moved.origination == dated
