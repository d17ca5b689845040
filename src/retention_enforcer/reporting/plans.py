"""Plans as JSON, whose fields are fixed, and as a table that fits 100 columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from retention_enforcer.domain.errors import RetentionError
from retention_enforcer.domain.facts import IndexFacts
from retention_enforcer.domain.findings import abbreviated
from retention_enforcer.domain.instants import DAY, SECOND, describe_duration, format_instant, format_known_instant
from retention_enforcer.domain.plan import Plan
from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.domain.wording import counted

_NAMED = 6
"""Excluded indices that are named in a table; the JSON has all of them."""


def plan_document(plans: Iterable[Plan], *, cluster: str, mode: str, policy: str, as_of: int) -> dict[str, Any]:
    """Return plans as the document that `plan --output json` prints. Times are RFC 3339, durations in seconds."""
    return {
        "cluster": cluster,
        "mode": mode,
        "policy": policy,
        "as_of": format_instant(as_of),
        "categories": [_category(plan) for plan in plans],
    }


def _category(plan: Plan) -> dict[str, Any]:
    return {
        "id": plan.category,
        "limit": plan.limit // SECOND if plan.limit is not None else None,
        "hash": plan.hash,
        "purge": [
            {
                **_index(purge.facts),
                "action": purge.action.value,
                "documents": purge.documents,
                "due": format_instant(purge.due),
                "reason": purge.reason,
            }
            for purge in plan.purge
        ],
        "keep": [
            {**_index(keep.facts), "due": format_known_instant(keep.due), "reason": keep.reason} for keep in plan.keep
        ],
        "skip": [
            {
                **(_index(skip.facts) if skip.facts else {"index": skip.name, "uuid": skip.uuid}),
                "kind": skip.kind.value,
                "reason": skip.reason,
                "remedy": skip.remedy,
            }
            for skip in plan.skip
        ],
        "excluded": list(plan.excluded),
    }


def _index(facts: IndexFacts) -> dict[str, Any]:
    return {
        "index": facts.name,
        "uuid": facts.uuid,
        "documents": facts.documents,
        "oldest": format_known_instant(facts.oldest),
        "newest": format_known_instant(facts.newest),
    }


def plan_table(
    policy: Policy, plans: Iterable[Plan], *, now: int, refusals: Mapping[str, RetentionError] | None = None
) -> RenderableType:
    """Return plans for people: what goes and why, what is skipped, and what is due within a day."""
    parts: list[RenderableType] = []
    for plan in plans:
        category = policy.category(plan.category)
        title = Text.assemble((plan.category, "bold"), f"  {category.promise}, {counted(plan.documents, 'document')}")
        if not category.enforce:
            title.append("  reported only: enforce is false")
        parts += [title, _table(plan, now)]
        refusal = (refusals or {}).get(plan.category)
        if refusal:
            parts.append(Text(f"  {refusal.message}\n  {refusal.remedy}", style="red"))
        parts.append(Text(""))
    return Group(*parts)


def _table(plan: Plan, now: int) -> RenderableType:
    table = Table(box=None, padding=(0, 1, 0, 1), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", max_width=40)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold", ratio=1)
    for purge in sorted(plan.purge, key=lambda p: p.due):
        verb = "delete" if purge.action == "delete_index" else "trim"
        table.add_row(Text(verb, "red"), Text(purge.facts.name), f"{purge.documents:,}", Text(purge.reason))
    for skip in plan.skip:
        documents = f"{skip.facts.documents:,}" if skip.facts else "?"
        table.add_row(Text("skip", "yellow"), Text(skip.name), documents, Text(f"{skip.reason}; {skip.remedy}"))
    later = 0
    for keep in sorted(plan.keep, key=lambda k: (k.due is None, k.due or 0, k.facts.name)):
        if keep.due is not None and keep.due - now > DAY:
            later += 1
            continue
        table.add_row(Text("keep", "green"), Text(keep.facts.name), f"{keep.facts.documents:,}", Text(keep.reason))
    if later:
        first = min(k.due for k in plan.keep if k.due is not None and k.due - now > DAY)
        when = f"due later, the first in {describe_duration(first - now)}"
        table.add_row(Text("keep", "green"), Text(counted(later, "more index", "more indices")), "", Text(when))
    if plan.excluded:
        names = Text(abbreviated(plan.excluded, _NAMED))
        table.add_row(Text("leave", "yellow"), names, "", Text("listed under `ignore`: not covered by a promise"))
    if not table.row_count:
        return Text("  no indices")
    return table
