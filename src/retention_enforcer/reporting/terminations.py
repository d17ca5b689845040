"""Terminations as a table and as JSON: by pseudonyms, never by ids."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.table import Table
from rich.text import Text

from retention_enforcer.domain.instants import SECOND, describe_roughly, format_instant
from retention_enforcer.domain.terminations.states import State, Termination, Times, state_of

Timed = Iterable[tuple[Termination, Times]]

_SHOWN = 12
"""Digits of a pseudonym in a table; the JSON has all of them."""


def terminations_document(terminations: Timed, now: int) -> list[dict[str, Any]]:
    """Return what `terminations --output json` prints; `remaining` in seconds, negative past the deadline."""
    return [
        {
            "subject": f"{termination.kind} {termination.pseudonym}",
            "request": termination.ask.value,
            "state": state_of(termination, times, now).value,
            "registered_at": format_instant(termination.registered_at),
            "terminated_at": format_instant(termination.terminated_at),
            "deadline": format_instant(times.deadline(termination)),
            "remaining": _remaining(termination, times, now),
            "documents_purged": termination.documents,
            "open_items": [item.text for item in termination.open_items],
        }
        for termination, times in terminations
    ]


def _remaining(termination: Termination, times: Times, now: int) -> int | None:
    return (times.deadline(termination) - now) // SECOND if termination.is_open else None


def terminations_table(terminations: Timed, now: int) -> Table:
    """Return terminations for people."""
    table = Table(box=None, padding=(0, 1), header_style="bold")
    for name in ("subject", "request", "state", "deadline", "left", "purged"):
        folds = name in ("subject", "request", "purged")
        table.add_column(name, overflow="fold", no_wrap=not folds, justify="right" if name == "purged" else "left")
    for termination, times in terminations:
        state = state_of(termination, times, now)
        left = "-"
        if termination.is_open and state is not State.WATCHED:
            remaining = times.deadline(termination) - now
            left = describe_roughly(remaining) if remaining > 0 else f"late by {describe_roughly(-remaining)}"
        table.add_row(
            f"{termination.kind} {termination.pseudonym.rpartition(':')[2][:_SHOWN]}",
            termination.ask.value,
            Text(state.value, "yellow" if state is State.WAITING else ""),
            format_instant(times.deadline(termination))[:16] + "Z",
            left,
            f"{termination.documents:,}",
        )
    if not table.row_count:
        table.add_row("nobody", "-", "-", "-", "-", "-")
    return table
