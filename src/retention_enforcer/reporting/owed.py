"""How a promise stands, as far as it is about what customers asked for: the one place where page and report get it.

Not known is not kept: where requests were not looked at, nobody knows what is owed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from retention_enforcer.domain.instants import describe_duration
from retention_enforcer.domain.plan import Plan
from retention_enforcer.domain.policy.promises import ON_REQUEST, Policy
from retention_enforcer.domain.terminations.requests import Ask
from retention_enforcer.domain.terminations.states import Termination, Times, categories_of, is_late

Timed = tuple[Termination, Times]
"""A termination, and the lengths that decide about it."""

PROVEN_FOR = 3
"""For this many intervals a look is valid: a cycle may fail and be repeated before its result is needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """What customers are owed under one promise. Instants in epoch milliseconds; None if there is none."""

    late: str
    """How many are past their promise, in words; empty if none is."""
    unknown: str
    """Why it is not known what is owed; empty if it is known, or if nothing can be owed."""
    next_due: int | None
    last_purge: int | None

    @property
    def kept(self) -> bool:
        """Whether it is known that nothing is past the promise."""
        return not self.late and not self.unknown


def owed_under(
    policy: Policy,
    promise: str,
    asked: Iterable[Timed],
    now: int,
    *,
    unknown: str = "",
    next_due: int | None = None,
    last_purge: int | None = None,
) -> Owed:
    """Return what is owed under a category, or under the promise on request (`ON_REQUEST`).

    `unknown` says why requests are not known, `next_due` and `last_purge` are what the category's age alone comes to.
    """
    known = list(asked)
    if promise == ON_REQUEST:
        concerned = [(t, times) for t, times in known if t.ask is Ask.ERASE]
        ends_with_requests, purges = True, [purged for t, _ in concerned for purged in t.purges]
    else:
        category = policy.category(promise)
        concerned = [(t, times) for t, times in known if category in categories_of(policy, t.ask)]
        ends_with_requests = category.after_termination is not None
        purges = [purged for t, _ in known for purged in t.purges if purged.category == promise]
    late = sum(is_late(t, times, now) for t, times in concerned)
    deadlines = (times.deadline(t) for t, times in concerned if t.is_open and t.erased_at is None)
    return Owed(
        late=_late(late) if late else "",
        unknown=unknown if ends_with_requests else "",
        next_due=min((at for at in (next_due, *deadlines) if at is not None), default=None),
        last_purge=max((at for at in (last_purge, *(one.at for one in purges)) if at is not None), default=None),
    )


def next_due(plan: Plan) -> int | None:
    """Return when something is next due by age; in the past if it is due now."""
    due = [purge.due for purge in plan.purge] + [keep.due for keep in plan.keep if keep.due is not None]
    return min(due, default=None)


def requests_unknown(looked_at: int | None, now: int, interval: int) -> str:
    """Return why it is not known what customers asked for; empty if the last look at requests is recent enough."""
    if looked_at is None:
        return "requests have not been looked at yet"
    if now - looked_at > PROVEN_FOR * interval:
        return f"requests were last looked at {describe_duration(now - looked_at)} ago"
    return ""


def _late(number: int) -> str:
    return "one request is past its promise" if number == 1 else f"{number:,} requests are past their promise"
