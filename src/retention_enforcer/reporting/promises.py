"""The verdict on each promise: the one answer that page, JSON, metrics and report give. Pure.

What is not proven is not kept. A proof is valid for three intervals, whatever it said. If nobody looked at requests, it
is not known what customers are owed. What was last seen broken stays broken until a proof says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Annotated, TypeVar

from retention_enforcer.domain.expiry.proof import Proof
from retention_enforcer.domain.findings import Finding, Severity
from retention_enforcer.domain.instants import describe_duration, format_duration
from retention_enforcer.domain.plan import Plan
from retention_enforcer.domain.policy.promises import ON_REQUEST, Category, Policy
from retention_enforcer.domain.terminations.requests import Ask
from retention_enforcer.domain.terminations.states import Termination, Times, categories_of, is_late
from retention_enforcer.reporting.known import CategorySeen, FindingSeen
from retention_enforcer.reporting.published import UNPUBLISHED, Instant, Seconds

Timed = tuple[Termination, Times]
"""A termination, and the lengths that decide about it."""

PROVEN_FOR = 3
"""For this many intervals a look is valid: a cycle may fail and be repeated before its result is needed."""

_AnyFinding = TypeVar("_AnyFinding", Finding, FindingSeen)


class Verdict(StrEnum):
    """The verdict on a promise."""

    KEPT = "kept"
    NOT_KEPT = "not-kept"
    NOT_PROVEN = "not-proven"


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """One promise and its verdict."""

    id: str
    promise: str
    clause: str | None  # None for the promise across all categories
    verdict: Verdict
    """`not-proven`: it is not known whether the promise is kept."""
    why: str = ""  # it is not kept or not proven; empty if it is kept
    limit: Seconds | None
    proven_at: Instant | None = None
    indices: int | None = None
    documents: int | None = None
    overdue: int | None = None
    oldest: Instant | None = None
    age: Seconds | None = None
    """The age of the oldest document at `as_of`."""
    margin: Seconds | None = None
    """The time until the oldest document reaches the limit; negative past the limit."""
    last_purge: Instant | None = None  # by a cycle, or for a termination or request
    next_due: Instant | None = None  # in the past if it is due now
    findings: tuple[str, ...] = ()  # ids of those that concern it
    due_after: Annotated[int | None, UNPUBLISHED] = None
    """The age at which a document is due: the limit minus the margin. None if nothing is deleted by age."""

    @property
    def kept(self) -> bool:
        """Whether it is proven to be kept."""
        return self.verdict is Verdict.KEPT

    @property
    def used(self) -> float | None:
        """The age of the oldest document divided by the limit: above 1 past the limit."""
        return self.age / self.limit if self.age is not None and self.limit else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """Everything that decides about the verdicts. Durations and instants in milliseconds."""

    policy: Policy
    now: int
    categories: Mapping[str, CategorySeen]
    """The results of the last cycles, by category; a category without one is missing."""
    unseen: str = "no cycle has completed yet"
    """Why a category is missing there."""
    errors: Mapping[str, str] = field(default_factory=dict)
    """Why the last cycle of a category failed, by category."""
    interval: int | None = None
    """The time between two cycles; None if everything was seen just now."""
    asked: Sequence[Timed] = ()
    """The terminations and requests that are remembered."""
    asked_at: int | None = None
    """When requests were last looked at; None if never, or just now."""
    unknown: str = ""
    """Why it is not known what else customers asked for; empty if it is known."""
    beside: Sequence[FindingSeen] = ()
    """The findings of jobs that prove nothing."""

    def promises(self) -> tuple[Promise, ...]:
        """Return the promises of all categories, and last the promise on request."""
        return (*(self._of_category(category) for category in self.policy.categories), self._on_request())

    def _of_category(self, category: Category) -> Promise:
        seen, limit = self.categories.get(category.id), category.limit
        asked = [(t, times) for t, times in self.asked if category in categories_of(self.policy, t.ask)]
        purged = [one.at for t, _ in self.asked for one in t.purges if one.category == category.id]
        verdict, why = self._verdict(category, seen, asked)
        made = Promise(
            id=category.id,
            promise=category.promise,
            clause=str(category.clause),
            verdict=verdict,
            why=why,
            limit=limit,
            due_after=category.max_age - self.policy.margin if category.max_age is not None else None,
            last_purge=_last(purged, seen.last_purge if seen else None),
            next_due=_next(asked, seen.next_due if seen else None),
            findings=(*(f.id for f in (seen.findings if seen else ())), *self._beside(category.id)),
        )
        if seen is None:
            return made
        proof = seen.proof
        age = self.now - proof.oldest if proof.oldest is not None else None
        return replace(
            made,
            proven_at=proof.as_of,
            indices=proof.indices,
            documents=proof.documents,
            overdue=proof.overdue if category.max_age is not None else None,
            oldest=proof.oldest,
            age=age,
            margin=limit - age if age is not None and limit is not None else None,
        )

    def _on_request(self) -> Promise:
        asked = [(t, times) for t, times in self.asked if t.ask is Ask.ERASE]
        verdict, why = _verdict_on_customers(asked, self.now, self.unknown)
        return Promise(
            id=ON_REQUEST,
            promise=f"deleted within {format_duration(self.policy.on_request)} of a request",
            clause=None,
            verdict=verdict,
            why=why,
            limit=self.policy.on_request,
            proven_at=self.asked_at,
            last_purge=_last([purged.at for t, _ in asked for purged in t.purges], None),
            next_due=_next(asked, None),
            findings=tuple(self._beside(ON_REQUEST)),
        )

    def _beside(self, promise: str) -> Iterator[str]:
        return (finding.id for finding in self.beside if finding.category == promise)

    def _verdict(self, category: Category, seen: CategorySeen | None, asked: Sequence[Timed]) -> tuple[Verdict, str]:
        error = self.errors.get(category.id, "")
        if seen is None:
            return Verdict.NOT_PROVEN, because(self.unseen, error)
        if not seen.proof.kept:
            return Verdict.NOT_KEPT, ", ".join(sorted({f.kind for f in seen.findings if f.severity is Severity.ERROR}))
        unknown = self.unknown if category.after_termination is not None else ""
        return _verdict_on_customers(asked, self.now, self._too_old(seen.proof, error) or unknown)

    def _too_old(self, proof: Proof, error: str) -> str:
        """Return why a proof is not valid any more; empty if it is."""
        since = self.now - proof.as_of
        if self.interval is None:
            return ""
        if since > PROVEN_FOR * self.interval:
            return because(f"the last proof is {describe_duration(since)} old", error)
        if proof.margin is not None and proof.margin < since:
            return "the oldest document of the last proof is past the limit now"
        return ""


def _verdict_on_customers(asked: Iterable[Timed], now: int, unproven: str) -> tuple[Verdict, str]:
    """Return the verdict by what customers asked for; `unproven` is why the promise is not proven otherwise."""
    late = sum(is_late(t, times, now) for t, times in asked)
    if late:
        text = "1 request is past its limit" if late == 1 else f"{late:,} requests are past their limits"
        return Verdict.NOT_KEPT, text
    return (Verdict.NOT_PROVEN, unproven) if unproven else (Verdict.KEPT, "")


def _last(purged: Iterable[int], by_cycle: int | None) -> int | None:
    return max((at for at in (by_cycle, *purged) if at is not None), default=None)


def _next(asked: Iterable[Timed], by_age: int | None) -> int | None:
    deadlines = (times.deadline(t) for t, times in asked if t.is_open and t.erased_at is None)
    return min((at for at in (by_age, *deadlines) if at is not None), default=None)


def most_urgent_first(findings: Iterable[_AnyFinding]) -> tuple[_AnyFinding, ...]:
    """Return findings in the order in which they are shown, the broken promises first."""
    return tuple(
        sorted(findings, key=lambda f: (f.severity is not Severity.ERROR, f.category or "", f.kind, f.index or ""))
    )


def next_due(plan: Plan) -> int | None:
    """Return when something is next due by age; in the past if it is due now."""
    due = [purge.due for purge in plan.purge] + [keep.due for keep in plan.keep if keep.due is not None]
    return min(due, default=None)


def requests_unknown(looked_at: int | None, now: int, interval: int) -> str:
    """Return why it is not known what customers asked for; empty if the last look at requests is recent enough."""
    if looked_at is None:
        return "requests have not been processed yet"
    if now - looked_at > PROVEN_FOR * interval:
        return f"requests were last processed {describe_duration(now - looked_at)} ago"
    return ""


def because(text: str, error: str) -> str:
    """Return a text followed by the error that is its reason, if there is one."""
    return f"{text}: {error}" if error else text
