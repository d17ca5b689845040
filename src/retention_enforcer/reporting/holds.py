"""Holds as a table and as JSON, for the operator: with the words and ids that stand nowhere else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.table import Table
from rich.text import Text

from retention_enforcer.domain.holds.hold import Hold
from retention_enforcer.domain.instants import SECOND, describe_duration, format_instant


def holds_document(holds: Iterable[Hold], now: int) -> list[dict[str, Any]]:
    """Return what `hold list --output json` prints; `remaining` in seconds, 0 for one that has ended."""
    return [
        {
            "id": hold.id,
            "category": hold.category,
            "index": hold.index,
            "account": _ids(hold).get("account"),
            "application": _ids(hold).get("application"),
            "user": _ids(hold).get("user"),
            "owner": hold.owner,
            "reason": hold.reason,
            "until": format_instant(hold.until),
            "remaining": max(hold.until - now, 0) // SECOND,
        }
        for hold in _in_order(holds)
    ]


def holds_table(holds: Iterable[Hold], now: int) -> Table:
    """Return holds for people, the next to end first."""
    table = Table(box=None, padding=(0, 1), header_style="bold")
    for name in ("id", "on", "until", "owner", "reason"):
        table.add_column(name, overflow="fold")
    for hold in _in_order(holds):
        left = f"in {describe_duration(hold.until - now)}" if hold.is_alive(now) else "ended"
        until = f"{format_instant(hold.until)[:16]}Z, {left}"
        table.add_row(hold.id, Text(_target(hold)), until, Text(hold.owner), Text(hold.reason))
    if not table.row_count:
        table.add_row("-", "no hold")
    return table


def _in_order(holds: Iterable[Hold]) -> list[Hold]:
    return sorted(holds, key=lambda hold: (hold.until, hold.id))


def _target(hold: Hold) -> str:
    if hold.subject is None:
        return f"category {hold.category}" if hold.category else f"index {hold.index}"
    return ", ".join(f"{kind} {id_}" for kind, id_ in _ids(hold).items())


def _ids(hold: Hold) -> dict[str, str]:
    """Return the ids of a held subject, by what they are."""
    subject = hold.subject
    if subject is None:
        return {}
    if subject.application is not None:
        return {"application": subject.application, "user": subject.id}
    return {subject.kind.value: subject.id}
