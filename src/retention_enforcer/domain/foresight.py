"""What was foreseen: documents that an earlier look knew before they were due, counted, and no more than it counted.

    look before       counts what is due, what of it was foreseen, what becomes due within the horizon, and everything
    this look         counts what is due, and what of it became due since
    foreseen now      what was foreseen and is still there, and what was seen coming and came

Having merely been seen is not enough: a look whose plan was refused would release the next one. And over a gap in which
nobody looked nothing is seen coming: when clocks step, everything becomes due in it.
"""

from __future__ import annotations

from dataclasses import dataclass

from retention_enforcer.domain.deadlines import due_at
from retention_enforcer.domain.facts import CategoryFacts, IndexFacts, Outlook
from retention_enforcer.domain.policy.promises import Category

INTERVALS = 3
"""So many intervals may lie between two looks: a late cycle, or one that failed, is no gap."""


def horizon_of(interval: int) -> int:
    """Return for how long a look foresees, with this time between two cycles; both in milliseconds."""
    return INTERVALS * interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """That the look before this one was too long ago to have foreseen anything. Milliseconds."""

    length: int
    """Negative where the clock went back."""
    horizon: int
    nothing_younger: bool
    """Whether the category holds no document that is younger than that look: then a clock may have stepped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """How many documents of an index were foreseen."""

    dated: int = 0
    """Of those that are due by their timestamps."""
    undated: int = 0
    """Of those without one, that are due by the creation of the index."""
    whole: int = 0
    """If the index goes whole: with the young ones that were known."""
    known: int = 0
    """If it goes whole before anything in it is due, as a lifecycle may do it."""


def is_near(facts: CategoryFacts) -> bool:
    """Whether the look before this one was at most a horizon ago, under the same policy."""
    return facts.looked_at is not None and 0 <= facts.as_of - facts.looked_at <= facts.horizon


def gap_of(facts: CategoryFacts) -> Gap | None:
    """Return the gap before this look; None where there is none, or no look at all."""
    if facts.looked_at is None or is_near(facts):
        return None
    newest = [index.newest for index in facts.indices if index.newest is not None]
    return Gap(
        length=facts.as_of - facts.looked_at,
        horizon=facts.horizon,
        nothing_younger=bool(newest) and max(newest) <= facts.looked_at,
    )


def foreseen_in(index: IndexFacts, category: Category, margin: int, facts: CategoryFacts) -> Foreseen:
    """Return what was foreseen in an index that was just looked at."""
    before = index.evidence.outlook if index.evidence else None
    if before is None or category.max_age is None or facts.looked_at is None:
        return Foreseen()
    near, created_due = is_near(facts), due_at(category, margin, index.created)
    surprising = before.due - before.foreseen
    # What is still to come of what was seen coming has not come: nothing else may count in its place.
    came = min(max(0, before.coming - index.still), index.lately) if near else 0
    dated = max(0, min(index.due - surprising, before.foreseen + came))
    was_due = created_due < facts.looked_at
    undated = 0
    if created_due < facts.as_of:
        undated = min(index.undated, before.undated_foreseen if was_due else before.undated * near)
    if not near:
        return Foreseen(dated=dated, undated=undated, whole=dated + undated)
    known = before.documents - surprising - (before.undated - before.undated_foreseen if was_due else 0)
    young = index.documents - index.due - index.undated
    # What surprises by its age must not take along what is known: without it the index would not go.
    whole = undated if index.due and not dated else min(dated + undated + young, known)
    return Foreseen(dated=dated, undated=undated, whole=whole, known=min(index.documents, known))


def outlooks(category: Category, margin: int, facts: CategoryFacts) -> dict[str, Outlook]:
    """Return, by uuid, what a look saw coming, for the next one; of what is set apart nothing was seen."""
    if category.max_age is None:
        return {}
    return {index.uuid: _outlook(index, foreseen_in(index, category, margin, facts)) for index in facts.indices}


def _outlook(index: IndexFacts, foreseen: Foreseen) -> Outlook:
    return Outlook(
        documents=index.documents,
        due=index.due,
        foreseen=foreseen.dated,
        coming=index.coming,
        undated=index.undated,
        undated_foreseen=foreseen.undated,
    )
