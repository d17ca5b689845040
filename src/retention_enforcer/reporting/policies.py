"""The policy as a table."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from retention_enforcer.domain.instants import format_duration
from retention_enforcer.domain.policy.places import SubjectPlaces
from retention_enforcer.domain.policy.promises import ON_REQUEST, Category, Policy


def policy_table(policy: Policy) -> Table:
    """Return the promises of a policy, one a row."""
    table = Table(box=None, padding=(0, 1), header_style="bold")
    for name in ("category", "promise", "timestamp", "indices", "subjects", "enforced"):
        table.add_column(name, overflow="fold")
    for category in policy.categories:
        without = [f"without {pattern}" for pattern in policy.excluded(category)]
        indices = "\n".join([*map(str, category.indices), *without])
        when = "none: age of the index" if category.timestamp is None else str(category.timestamp)
        subjects = "\n".join(f"{kind}: {' or '.join(those)}" for kind, those in named_in(category.subjects).items())
        table.add_row(
            Text(category.id), category.promise, Text(when), Text(indices), Text(subjects), enforced(category)
        )
    table.add_row(
        ON_REQUEST,
        f"deleted within {format_duration(policy.on_request)} of a request",
        "",
        "all with subjects",
        "",
        "yes",
    )
    return table


def named_in(places: SubjectPlaces) -> dict[str, list[str]]:
    """Return in which places each kind of subject is named, in words."""
    kinds = {"account": places.account, "application": places.application, "user": places.user}
    return {kind: [str(place) for place in those] for kind, those in kinds.items() if those}


def enforced(category: Category) -> str:
    """Return what is done about a category."""
    if not category.enforce:
        return "reported only"
    return "alarm; deleted by order only" if category.never_stored else "yes"
