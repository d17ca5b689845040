"""The policy as a table."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from retention_enforcer.domain.instants import format_duration
from retention_enforcer.domain.policy import ON_REQUEST, Category, Policy


def policy_table(policy: Policy) -> Table:
    """Return the promises of a policy, one a row, with what is not enforced by this version said so."""
    table = Table(box=None, padding=(0, 1), header_style="bold")
    for name in ("category", "promise", "indices", "enforced"):
        table.add_column(name, overflow="fold")
    for category in policy.categories:
        indices = "\n".join(str(pattern) for pattern in category.indices)
        table.add_row(Text(category.id), category.promise, Text(indices), enforced(category))
    table.add_row(ON_REQUEST, f"gone {format_duration(policy.on_request)} after a request", "all", "not yet")
    return table


def not_yet_enforced(policy: Policy) -> list[str]:
    """Return the ids of the promises that begin with a termination or a request: this version only shows them."""
    return [c.id for c in policy.categories if c.after_termination is not None and c.max_age is None] + [ON_REQUEST]


def enforced(category: Category) -> str:
    """Return what this version does about a category."""
    if category.max_age is not None:
        return "yes" if category.enforce else "reported only"
    return "watched" if category.never_stored else "not yet"
