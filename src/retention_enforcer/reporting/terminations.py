"""Terminations as a table and as JSON: by pseudonyms, never by ids."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import TypeAdapter
from rich.table import Table
from rich.text import Text

from retention_enforcer.domain.instants import SECOND, describe_roughly, format_instant
from retention_enforcer.domain.terminations.states import State, Termination, Times, state_of
from retention_enforcer.reporting.promises import Timed
from retention_enforcer.reporting.published import UNPUBLISHED, Instant, Seconds

SHOWN_DIGITS = 12
"""Digits of a pseudonym in a table and on a page; the JSON has all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """One termination or request that is not closed."""

    subject: str
    """The kind of subject and its pseudonym. It never contains an id."""
    request: str
    state: State
    registered_at: Instant
    terminated_at: Instant
    deadline: Instant
    remaining: Seconds | None
    """The time left until the purge must be complete. Negative if it is late, null once everything is erased."""
    documents_purged: int
    open_items: tuple[str, ...]
    used: Annotated[float | None, UNPUBLISHED]
    """The part of the time to its deadline that has passed; None once everything is erased."""


_PENDING = TypeAdapter(Pending)


def pending_of(termination: Termination, times: Times, now: int) -> Pending:
    """Return where a termination or request is at an instant."""
    deadline = times.deadline(termination)
    running = termination.erased_at is None
    whole = deadline - termination.terminated_at
    return Pending(
        subject=f"{termination.kind} {termination.pseudonym}",
        request=termination.ask.value,
        state=state_of(termination, times, now),
        registered_at=termination.registered_at,
        terminated_at=termination.terminated_at,
        deadline=deadline,
        remaining=deadline - now if running else None,
        documents_purged=termination.documents,
        open_items=tuple(
            item.text + (f", until {format_instant(item.until)[:16]}Z" if item.until is not None else "")
            for item in termination.open_items
        ),
        used=max(now - termination.terminated_at, 0) / whole if running and whole > 0 else None,
    )


def terminations_document(terminations: Iterable[Timed], now: int) -> list[dict[str, Any]]:
    """Return what `terminations --output json` prints: `remaining` until it is closed, not only until it is erased."""
    return [
        {
            **_PENDING.dump_python(pending_of(termination, times, now), mode="json"),
            "remaining": (times.deadline(termination) - now) // SECOND if termination.is_open else None,
            "open_items": [item.text for item in termination.open_items],
        }
        for termination, times in terminations
    ]


def terminations_table(terminations: Iterable[Timed], now: int) -> Table:
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
            f"{termination.kind} {termination.pseudonym.rpartition(':')[2][:SHOWN_DIGITS]}",
            termination.ask.value,
            Text(state.value, "yellow" if state is State.WAITING else ""),
            format_instant(times.deadline(termination))[:16] + "Z",
            left,
            f"{termination.documents:,}",
        )
    if not table.row_count:
        table.add_row("nobody", "-", "-", "-", "-", "-")
    return table
