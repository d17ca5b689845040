"""Which lifecycle each index shall have: only one that may be deleted whole has one that deletes.

A write index that may not is rolled over all the same: a late document must not make it grow without end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from retention_enforcer.domain.facts import CategoryFacts, HeldIndex, IndexFacts
from retention_enforcer.domain.instants import describe_duration
from retention_enforcer.domain.lifecycles.compiler import (
    ROLLOVER_POLLS,
    LifecyclePolicy,
    Lifecycles,
    Variant,
    is_to_delete,
    lateness,
)
from retention_enforcer.domain.lifecycles.exemption import STREAM_LIFECYCLE, Exemption, exemption_in, not_ours
from retention_enforcer.domain.policy.promises import SPAN_TOLERANCE, Category
from retention_enforcer.domain.rollover import last_of_alias, rollover_target
from retention_enforcer.domain.wording import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """What the cluster's state says of an index's lifecycle. Instants in milliseconds."""

    uuid: str
    policy: str | None = None
    """The lifecycle policy that is attached, whoever's."""
    origination: int | None = None
    """`index.lifecycle.origination_date`."""
    rollover_alias: str | None = None
    rolled_over: int | None = None
    """When it was rolled over."""
    rolled_by: str | None = None
    """The stream or alias that was rolled over."""
    open: bool = True
    metadata_block: bool = False
    """Whether a block hides it from all but the cluster's state."""
    stream: str | None = None
    """The stream that it belongs to."""
    stream_lifecycle: bool = False
    """Whether its stream has a lifecycle of its own that is enabled: it deletes the index, or would if ILM left."""
    prefers_ilm: bool = True
    """`index.lifecycle.prefer_ilm`: which of the two rules where there are both."""

    @property
    def exemption(self) -> Exemption | None:
        """What keeps it from its stream's lifecycle, if anything does."""
        return exemption_in(self.origination)

    @property
    def before(self) -> int | None:
        """The date that its age counted from before it was exempt, or counts from."""
        return self.origination if self.exemption is None else self.exemption.before

    @property
    def ruled_by_ilm(self) -> bool:
        """Whether index lifecycle management rules it now."""
        return self.policy is not None and (self.prefers_ilm or not self.stream_lifecycle)

    @property
    def at_stake(self) -> bool:
        """Whether its stream's lifecycle may delete it, now or as soon as ILM leaves."""
        return self.stream_lifecycle and self.exemption is None

    @property
    def acting(self) -> str | None:
        """The lifecycle that may delete it now, if any."""
        if self.ruled_by_ilm:
            return self.policy
        return STREAM_LIFECYCLE if self.at_stake else None

    def has(self, policy: str | None, origination: int | None, rollover_alias: str | None) -> bool:
        """Whether it has this policy, counting from this date, or from none of its own, and rolling this alias over."""
        return (self.policy, self.origination, self.rollover_alias) == (policy, origination, rollover_alias)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rolled:
    """Wanted: the rolled policy. An alias has to be named to it, a stream has not."""

    rollover_alias: str | None = None
    variant: Variant = Variant.ROLLED
    origination: None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rolling:
    """Wanted: the policy that rolls a write index over and deletes nothing, and why no other."""

    reason: str
    rollover_alias: str | None = None
    variant: Variant = Variant.ROLLING
    origination: None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """Wanted: the plain policy, counting from `origination` (epoch milliseconds), or from creation where it is None."""

    origination: int | None = None
    variant: Variant = Variant.PLAIN
    rollover_alias: None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteNow:
    """Wanted: the policy that deletes at once."""

    variant: Variant = Variant.ENDED
    origination: None = None
    rollover_alias: None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoLifecycle:
    """Wanted: none of ours, and why. `foreign`: somebody else's is left where it is."""

    reason: str
    foreign: bool = False
    exempt: bool = False
    """Whether its stream's lifecycle must not rule it either."""


Wanted = Rolled | Rolling | Plain | DeleteNow | NoLifecycle


def wanted_lifecycles(
    category: Category,
    lifecycles: Lifecycles,
    facts: CategoryFacts,
    attachments: Mapping[str, Attachment],
    ended: Iterable[str] = (),
    *,
    adopted: Collection[str] = (),
) -> dict[str, Wanted]:
    """Return for each index of a category which lifecycle it shall have; `ended` names those of terminated tenants.

    `adopted` names the streams whose own lifecycles are to keep the promise.

    An index of which nothing is known about its lifecycle is absent, and so are those set apart.
    """
    ended = frozenset(ended)
    stays = last_of_alias(facts.indices)
    return {
        index.name: wanted_lifecycle(
            category,
            lifecycles,
            index,
            attachments[index.name],
            now=facts.as_of,
            held=_why_held(index, facts.holds.get(index.name)),
            stays=stays.get(index.name),
            ended=index.name in ended,
            by_stream=attachments[index.name].stream in adopted,
        )
        for index in facts.indices
        if index.name in attachments and attachments[index.name].uuid == index.uuid
    }


def wanted_lifecycle(
    category: Category,
    lifecycles: Lifecycles,
    index: IndexFacts,
    attached: Attachment,
    *,
    now: int,
    held: str | None = None,
    stays: str | None = None,
    ended: bool = False,
    by_stream: bool = False,
) -> Wanted:
    """Return which lifecycle an index shall have: only one that may be deleted whole has one that deletes.

    `held` is the hold that covers it, `stays` the alias that must not lose it; `ended` says that its tenant is
    terminated, the grace over, and every document of it the tenant's; `by_stream` that its stream's own lifecycle keeps
    the promise.
    """
    if by_stream and not held and not attached.ruled_by_ilm:
        why = _why_not_by_stream(category, lifecycles, index, attached)
        if why is not None:
            return NoLifecycle(reason=why, foreign=True, exempt=True)
        return NoLifecycle(reason="the lifecycle of its data stream deletes it", foreign=True)
    never = _why_never(category, index, attached, held, stays)
    if never is not None:
        return never
    if ended and lifecycles.ended is not None:
        return NoLifecycle(reason="a write index: it is rolled over first") if index.write_index else DeleteNow()
    if lifecycles.rolled is None or lifecycles.plain is None:
        return NoLifecycle(reason="the category has no max_age")
    return _by_age(category, lifecycles, lifecycles.rolled, index, attached, now)


def _why_not_by_stream(
    category: Category, lifecycles: Lifecycles, index: IndexFacts, attached: Attachment
) -> str | None:
    """Return why the lifecycle of its stream must not delete an index, which looks into none; None where it may.

    Late documents are no reason: they are trimmed, and it counts from the rollover, not from them.
    """
    if index.ageless:
        return index.ageless.text
    if index.undated:
        return f"{index.undated} documents of unknown age"
    if index.newest is None or index.write_index:
        return None
    late = lateness(lifecycles.margin)
    if attached.before is None and attached.rolled_over is not None:
        latest = attached.rolled_over + late
    else:
        latest = (
            (index.created if attached.before is None else attached.before)
            + int(SPAN_TOLERANCE * category.rollover)
            + late
        )
    if index.newest > latest:
        return (
            "its documents arrived too long after the date that its age counts from: a lifecycle would "
            "delete them early"
        )
    return None


def _why_held(index: IndexFacts, hold: HeldIndex | None) -> str | None:
    """Return which hold keeps an index, or some of its documents, from going whole; None where none does."""
    if hold is not None:
        return hold.text
    if not index.matching_documents:
        return None
    return f"{counted(index.matching_documents, 'document')} of held subjects"


def _why_never(
    category: Category, index: IndexFacts, attached: Attachment, held: str | None, stays: str | None
) -> NoLifecycle | None:
    theirs = index.lifecycle is not None and category.foreign_lifecycle == "leave"
    if held:
        return NoLifecycle(reason=f"held: {held}", foreign=theirs, exempt=True)
    if attached.stream_lifecycle and not attached.prefers_ilm:
        return NoLifecycle(
            reason="managed by the lifecycle of its data stream, because index.lifecycle.prefer_ilm is false",
            foreign=True,
        )
    if theirs:
        return NoLifecycle(reason=f"managed by {not_ours(str(index.lifecycle))}", foreign=True)
    if not category.enforce:
        return NoLifecycle(reason="the category is not enforced", foreign=index.lifecycle is not None)
    if index.container:
        return NoLifecycle(reason="a container: the index itself is kept")
    if index.failure_store:
        return NoLifecycle(reason="a failure store index: deleted directly")
    if stays:
        return NoLifecycle(reason=f"the last index of alias {stays}: the index itself is kept")
    return None


def _by_age(
    category: Category,
    lifecycles: Lifecycles,
    rolled: LifecyclePolicy,
    index: IndexFacts,
    attached: Attachment,
    now: int,
) -> Wanted:
    if index.ageless:
        return NoLifecycle(reason=index.ageless.text)
    if (why := _why_not_whole(category, rolled, index, attached)) is not None:
        return _not_whole(category, index, why)
    if index.write_index:
        return _writing(category, index)
    if index.oldest is None or index.newest is None:
        # An index that was rolled over is written to no more; documents of any age can still come into another one.
        return _rolled(index, attached) if attached.rolled_over else NoLifecycle(reason="no documents")
    if attached.rolled_over is not None and _counts_well(
        category,
        index.oldest,
        index.newest,
        since=attached.rolled_over - (rolled.max_age or 0),
        slack=lateness(lifecycles.margin) + ROLLOVER_POLLS * lifecycles.poll,
    ):
        return _rolled(index, attached)
    if _may_still_be_written(category, lifecycles, index, attached, now):
        return NoLifecycle(reason="it may still receive documents, which its lifecycle would delete too early")
    return _plain(category, lifecycles, rolled, index, attached)


def _why_not_whole(category: Category, rolled: LifecyclePolicy, index: IndexFacts, attached: Attachment) -> str | None:
    if index.undated:
        return f"{counted(index.undated, 'document')} of unknown age"
    if index.oldest is None or index.newest is None:
        return None
    if index.newest - index.oldest > SPAN_TOLERANCE * category.rollover:
        span = describe_duration(index.newest - index.oldest)
        return f"its documents span {span}: the youngest would be deleted together with the oldest"
    if index.due and not is_to_delete(attached.policy, rolled):
        return f"{counted(index.due, 'due document')}: deleted directly, where the fuse applies"
    return None


def _not_whole(category: Category, index: IndexFacts, reason: str) -> Rolling | NoLifecycle:
    """Return what an index gets that may not go whole: one that is written to is rolled over, nothing deletes it."""
    if rollover_target(index, category) is None:
        return NoLifecycle(reason=reason)
    return Rolling(reason=reason, rollover_alias=None if index.stream is not None else index.write_aliases[0])


def _may_still_be_written(
    category: Category, lifecycles: Lifecycles, index: IndexFacts, attached: Attachment, now: int
) -> bool:
    """Whether documents of now would still count as within one rollover of an index's creation.

    While that is so nobody can tell whether more come later, when there may be no daemon to see it: only an index of
    which the time to be written to is over is left to a lifecycle. One that a stream or an alias has left behind has
    no more to come.
    """
    left_behind = attached.rolled_over is not None or index.stream is not None
    window = int(SPAN_TOLERANCE * category.rollover) + lateness(lifecycles.margin)
    return not left_behind and now <= index.created + window


def _writing(category: Category, index: IndexFacts) -> Wanted:
    """Only the rolled policy never takes a write index, and with it a whole stream of one index.

    One with documents that are too old for it has it all the same: once it is rolled over, it is swapped to plain.
    """
    if rollover_target(index, category) is None:
        return NoLifecycle(reason="a write index that cannot be rolled over: the index itself is kept")
    return Rolled(rollover_alias=None if index.stream is not None else index.write_aliases[0])


def _rolled(index: IndexFacts, attached: Attachment) -> Rolled:
    return Rolled(rollover_alias=None if index.stream is not None else attached.rolled_by)


def _plain(
    category: Category, lifecycles: Lifecycles, rolled: LifecyclePolicy, index: IndexFacts, attached: Attachment
) -> Wanted:
    late = lateness(lifecycles.margin)
    if index.oldest is None or index.newest is None:
        raise ValueError(f"{index.name} has no document with a timestamp")
    origination = index.oldest if index.oldest < index.created - late else None
    if _keeps_its_date(index, attached, rolled, late):
        origination = attached.origination
    since = origination if origination is not None else index.created
    # Documents that are late for a date that is kept do not move it: they are trimmed.
    if not _counts_well(category, max(index.oldest, since), index.newest, since=since, slack=late):
        return NoLifecycle(
            reason="its documents arrived too long after its creation: a lifecycle would delete them early"
        )
    return Plain(origination=origination)


def _keeps_its_date(index: IndexFacts, attached: Attachment, rolled: LifecyclePolicy, late: int) -> bool:
    """Whether the date that is set is one that the enforcer has set: those of others may lie ahead of the truth."""
    ours = attached.policy == rolled.name.removesuffix(Variant.ROLLED) + Variant.PLAIN
    return ours and attached.origination is not None and attached.origination < index.created - late


def _counts_well(category: Category, oldest: int, newest: int, *, since: int, slack: int) -> bool:
    """Whether a lifecycle that counts from `since` deletes no document too late, and takes no young one along."""
    return since - slack <= oldest and newest <= since + SPAN_TOLERANCE * category.rollover + slack


def without_lifecycles(
    facts: CategoryFacts, attachments: Mapping[str, Attachment], own: Collection[str], reason: str
) -> dict[str, Wanted]:
    """Return, where no lifecycle is to delete anything, that the enforcer's own have to go; others are left."""
    return {
        index.name: NoLifecycle(
            reason=reason,
            foreign=attached.policy not in own,
            exempt=facts.is_protected(index),
        )
        for index in facts.indices
        if (attached := attachments.get(index.name)) is not None and attached.uuid == index.uuid
    }
