"""When something is due: the arithmetic of limit and margin. Instants and durations in milliseconds."""

from __future__ import annotations

from retention_enforcer.domain.instants import describe_duration
from retention_enforcer.domain.policy.promises import FUTURE_TOLERANCE, Category, Policy


def due_before(category: Category, margin: int, now: int) -> int:
    """Return the instant before which a timestamp is due: now - (limit - margin). For categories with a `max_age`."""
    return now - (_max_age(category) - margin)


def overdue_before(category: Category, now: int) -> int:
    """Return the instant before which a timestamp breaks the promise: now - limit."""
    return now - _max_age(category)


def due_at(category: Category, margin: int, timestamp: int) -> int:
    """Return when a document with this timestamp is due."""
    return timestamp + _max_age(category) - margin


def believable(policy: Policy, now: int) -> tuple[int, int]:
    """Return the first and the last instant, both included, that a timestamp can name and be believed."""
    return policy.earliest, now + FUTURE_TOLERANCE


def describe_due(category: Category, margin: int, oldest: int, now: int) -> str:
    """Return a sentence that says how old the oldest document is and since, or in, how long it is due."""
    late = now - due_at(category, margin, oldest)
    when = f"due since {describe_duration(late)}" if late > 0 else f"due in {describe_duration(-late)}"
    return (
        f"oldest document {describe_duration(now - oldest)} old, limit {describe_duration(_max_age(category))}, "
        f"margin {describe_duration(margin)}: {when}"
    )


def _max_age(category: Category) -> int:
    if category.max_age is None:
        raise ValueError(f"{category.id} has no max_age")
    return category.max_age
