"""The fuse: a plan that would destroy surprisingly much is refused before anything is destroyed.

What no check of single documents can see, a producer that writes wrong timestamps, a restored snapshot, a clock that
steps, a policy that fits the wrong indices, shows as too large a share of a category going at once, unannounced.

Documents are *covered* that were foreseen, or that somebody approved or ordered. They count neither in the share nor in
the whole of which it is one: what goes rightly must not make room for what does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from retention_enforcer.domain.control import Shown
from retention_enforcer.domain.errors import Refused
from retention_enforcer.domain.foresight import Gap
from retention_enforcer.domain.instants import describe_duration
from retention_enforcer.domain.plan import Plan, Purge
from retention_enforcer.domain.selection import HasField
from retention_enforcer.domain.wording import counted

FLOOR = 1_000
"""Categories of fewer documents than this have no fuse: a share of little says little.

All documents of the category, also those that are covered: what is left beside an approval is no small category.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FuseLimits:
    """How much may go unannounced, and what somebody has approved."""

    max_share: float
    """The largest share of the documents that nothing covers, which one plan may destroy."""
    approved: Mapping[tuple[str, str], Shown] = field(default_factory=dict)
    """By (index uuid, action), what was shown when it was released by `plan approve` and not used yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Soon:
    """An index that a lifecycle, once attached, deletes within a day."""

    uuid: str
    documents: int
    foreseen: int
    """How many of its documents an earlier look already knew."""


class UnsafePlan(Refused):
    """A plan that would destroy too much at once; `released` are those of its purges that may go all the same."""

    def __init__(self, message: str, remedy: str, *, released: tuple[Purge, ...]) -> None:
        super().__init__(message, remedy)
        self.released = released


def covered_by(purge: Purge, limits: FuseLimits) -> int:
    """Return how many of a purge's documents were foreseen, approved or ordered.

    An approval covers as many as were shown, and those foreseen since; not what came beside them.
    """
    if purge.ordered:
        return purge.documents
    shown = limits.approved.get(purge.pair)
    if shown is None:
        return min(purge.documents, purge.foreseen)
    return min(purge.documents, shown.documents + max(0, purge.foreseen - shown.foreseen))


def released_by(plan: Plan, limits: FuseLimits) -> tuple[Purge, ...]:
    """Return the purges that somebody approved or ordered as they are now: they may go whatever the rest comes to."""
    return tuple(
        purge
        for purge in plan.purge
        if purge.ordered or (purge.pair in limits.approved and covered_by(purge, limits) == purge.documents)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Count:
    """What a plan destroys."""

    surprising: int
    whole: int
    """The documents of the category that nothing covers."""
    indices: int

    @classmethod
    def of(cls, plan: Plan, limits: FuseLimits) -> _Count:
        # Documents with a forbidden field can go from another category's index, which is no part of this whole.
        own = {p.facts.uuid for p in plan.purge if not isinstance(p.takes, HasField)}
        own |= {kept.facts.uuid for kept in plan.keep} | {left.uuid for left in plan.skip if left.uuid is not None}
        covered = {n: covered_by(purge, limits) for n, purge in enumerate(plan.purge)}
        left = [purge.documents - covered[n] for n, purge in enumerate(plan.purge)]
        inside = sum(covered[n] for n, purge in enumerate(plan.purge) if purge.facts.uuid in own)
        return cls(
            surprising=sum(left),
            whole=max(0, plan.documents - inside),
            indices=sum(1 for documents in left if documents),
        )


def raise_if_unsafe(plan: Plan, limits: FuseLimits) -> None:
    """Raise UnsafePlan if the documents a plan destroys, and nothing covers, exceed the share allowed."""
    if plan.documents < FLOOR:
        return
    count = _Count.of(plan, limits)
    if count.surprising <= limits.max_share * count.whole:
        return
    raise UnsafePlan(
        f"{plan.category}: refused to delete {count.surprising:,} of {counted(count.whole, 'document')} "
        f"in {counted(count.indices, 'index', 'indices')} at once: {_share(count.surprising, count.whole)} exceeds "
        f"the fuse's limit of {limits.max_share:.1%}{_beside(plan.documents - count.whole)}{_since_gap(plan.gap)}",
        "check the output of `retention-enforcer plan`; if it is right, run retention-enforcer plan approve "
        f"{plan.hash}{_more_often(plan.gap)}",
        released=released_by(plan, limits),
    )


def raise_if_unsafe_lifecycles(plan: Plan, soon: Sequence[Soon], limits: FuseLimits) -> None:
    """Raise UnsafePlan if what lifecycles would delete within a day, with what the plan destroys, is too large a share.

    `plan` is all that this cycle planned. What an earlier look knew is foreseen here too: what is refused in one
    cycle is attached in the next, if nothing about it has changed.
    """
    if plan.documents < FLOOR:
        return
    count = _Count.of(plan, limits)
    surprising = [one.documents - one.foreseen for one in soon if one.documents > one.foreseen]
    attached, whole = sum(surprising), max(0, count.whole - sum(min(one.documents, one.foreseen) for one in soon))
    if not attached or count.surprising + attached <= limits.max_share * whole:
        return
    raise UnsafePlan(
        f"{plan.category}: refused to attach lifecycles that would delete {attached:,} of "
        f"{counted(whole, 'document')} in {counted(len(surprising), 'index', 'indices')} within a day: "
        f"{_share(count.surprising + attached, whole)}, including what is deleted now, exceeds the fuse's limit of "
        f"{limits.max_share:.1%}{_beside(plan.documents - whole)}{_since_gap(plan.gap)}",
        "check the output of `retention-enforcer plan`; the next cycle attaches them unless you stop the enforcer or "
        f"add a hold{_more_often(plan.gap)}",
        released=(),
    )


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "all"


def _beside(covered: int) -> str:
    return f"; {covered:,} more were foreseen or approved" if covered > 0 else ""


def _since_gap(gap: Gap | None) -> str:
    if gap is None:
        return ""
    before = "before" if gap.length >= 0 else "after"
    stepped = "; no document is younger than the last check: perhaps a clock was set" if gap.nothing_younger else ""
    length = describe_duration(abs(gap.length))
    return f"; the last check was {length} {before} this one, so nothing new counts as foreseen{stepped}"


def _more_often(gap: Gap | None) -> str:
    if gap is None:
        return ""
    most = describe_duration(gap.horizon)
    return (
        f"; checks more than {most} apart foresee nothing: if the checks are that far apart, "
        "set ENFORCER_INTERVAL to the time between them"
    )
