"""Ledger records as a table that fits 100 columns."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from retention_enforcer.domain.ledger.records import Record


def records_table(records: Iterable[Record]) -> Table:
    """Return records, one a row: what happened to what, how it ended, and why."""
    table = Table(box=None, padding=(0, 1), header_style="bold")
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("time", no_wrap=True)
    table.add_column("what", no_wrap=True)
    table.add_column("target", overflow="fold", max_width=30)
    table.add_column("reason", overflow="fold", ratio=1)
    for record in records:
        what = " ".join(str(record[name]) for name in ("kind", "action", "outcome") if name in record)
        target = record.get("target", {}).get("index", record.get("category", ""))
        reason = str(record.get("reason", ""))
        if "intent" in record:
            reason = f"to {record['intent']}: {reason}"
        table.add_row(str(record["sequence"]), str(record["time"])[:19], Text(what), Text(str(target)), Text(reason))
    return table
