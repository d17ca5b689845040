"""The fuse: a plan that would destroy surprisingly much is refused before anything is destroyed.

What no check of single documents can see, a producer that writes wrong timestamps, a restored snapshot, a policy
that fits the wrong indices, shows as too large a share of a category going at once, unannounced.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from retention_enforcer.domain.errors import Refused
from retention_enforcer.domain.plan import Plan, Purge

FLOOR = 1_000
"""Categories of fewer documents than this have no fuse: a share of little says little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FuseLimits:
    """How much may go unannounced, and what somebody has approved."""

    max_share: float
    """The largest share of a category's documents that one plan may destroy without having foreseen it."""
    approved: frozenset[tuple[str, str]] = field(default_factory=frozenset)
    """The (index uuid, action) pairs released by `plan approve` and not used yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Soon:
    """An index that a lifecycle, once attached, deletes within a day."""

    uuid: str
    documents: int
    foreseen: bool
    """Whether an earlier cycle already knew its oldest document."""


class UnsafePlan(Refused):
    """A plan that would destroy too much at once; `released` are those of its purges that may go all the same."""

    def __init__(self, message: str, mend: str, *, released: tuple[Purge, ...]) -> None:
        super().__init__(message, mend)
        self.released = released


def raise_if_unsafe(plan: Plan, limits: FuseLimits) -> None:
    """Raise UnsafePlan if the documents a plan destroys, unforeseen and unapproved, exceed the share allowed."""
    if plan.documents < FLOOR:
        return
    approved = tuple(purge for purge in plan.purge if purge.ordered or purge.pair in limits.approved)
    surprising = [p for p in plan.purge if not (p.foreseen or p.ordered or p.pair in limits.approved)]
    destroyed = sum(purge.documents for purge in surprising)
    if destroyed <= limits.max_share * plan.documents:
        return
    raise UnsafePlan(
        f"{plan.category}: {destroyed:,} of {plan.documents:,} documents in {len(surprising)} indices would go at "
        f"once, {destroyed / plan.documents:.1%} where {limits.max_share:.1%} is the most: refused",
        f"look at `retention-enforcer plan`; if it is right: retention-enforcer plan approve {plan.hash}",
        released=approved,
    )


def raise_if_unsafe_lifecycles(plan: Plan, soon: Sequence[Soon], limits: FuseLimits) -> None:
    """Raise UnsafePlan if what lifecycles would delete within a day, with what the plan destroys, is too large a share.

    `plan` is the one of this cycle's beginning. An index whose oldest document an earlier cycle knew was foreseen: what
    is refused in one cycle is attached in the next, if nothing about it has changed.
    """
    if plan.documents < FLOOR:
        return
    surprising = [one for one in soon if not one.foreseen]
    going = sum(p.documents for p in plan.purge if not (p.foreseen or p.ordered or p.pair in limits.approved))
    attached = sum(one.documents for one in surprising)
    if not surprising or going + attached <= limits.max_share * plan.documents:
        return
    raise UnsafePlan(
        f"{plan.category}: lifecycles would delete {attached:,} of {plan.documents:,} documents in {len(surprising)} "
        f"indices within a day, {(going + attached) / plan.documents:.1%} with what goes now, where "
        f"{limits.max_share:.1%} is the most: not attached",
        "look at `retention-enforcer plan`; the next cycle attaches them, unless you stop it or hold them",
        released=(),
    )
