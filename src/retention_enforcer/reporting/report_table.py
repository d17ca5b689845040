"""The report as tables that fit 100 columns."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from retention_enforcer.domain.findings import Finding, Severity, abbreviated
from retention_enforcer.domain.instants import describe_roughly, format_duration, format_instant
from retention_enforcer.domain.policy.claims import IndexOwner
from retention_enforcer.reporting.promises import Promise
from retention_enforcer.reporting.report import Report, ReportedIndex

_NAMED = 6
"""Indices that are named under each promise; the JSON and the page have all of them."""

_COLUMNS = ("", "promise", "limit", "indices", "documents", "oldest", "margin", "purged", "next due")
_LEFT = frozenset({"", "promise", "limit"})


def report_table(report: Report) -> RenderableType:
    """Return the report for people."""
    parts: list[RenderableType] = [_promises(report)]
    parts += [_finding(finding) for finding in report.findings]
    if report.indices:
        parts += [Text("\nIndices by promise", "bold"), _indices(report)]
    parts += [Text(f"\n{note}", "yellow") for note in report.notes]
    parts.append(Text(f"\n{_standing(report)}"))
    return Group(*parts)


def _promises(report: Report) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    for name in _COLUMNS:
        table.add_column(name, overflow="fold", justify="left" if name in _LEFT else "right")
    for promise in report.promises:
        verdict = Text("kept", "green") if promise.kept else Text("NOT KEPT", "bold red")
        table.add_row(verdict, promise.id, *_figures(promise, report.as_of))
    return table


def _figures(promise: Promise, now: int) -> list[str]:
    due = "-"
    if promise.next_due is not None:
        due = f"in {describe_roughly(promise.next_due - now)}" if promise.next_due > now else "now"
    return [
        format_duration(promise.limit) if promise.limit is not None else "never",
        f"{promise.indices:,}" if promise.indices is not None else "-",
        f"{promise.documents:,}" if promise.documents is not None else "-",
        describe_roughly(now - promise.oldest) if promise.oldest is not None else "-",
        describe_roughly(promise.margin) if promise.margin is not None else "-",
        f"{describe_roughly(now - promise.last_purge)} ago" if promise.last_purge is not None else "-",
        due,
    ]


def _finding(finding: Finding) -> Text:
    style = "red" if finding.severity is Severity.ERROR else "yellow"
    where = " ".join(part for part in (finding.category, finding.index) if part) or "the cluster"
    return Text.assemble((f"\n{finding.kind}: {where}\n", style), f"  {finding.text}\n  {finding.remedy}")


def _indices(report: Report) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", ratio=1)
    for promise in report.promises:
        if promise.clause is not None:
            placed = _names(report.under(promise.id))
            table.add_row(promise.id, Text.assemble(promise.clause, "\n", (placed, "dim")))
    for standing in (IndexOwner.UNCLAIMED, IndexOwner.IGNORED, IndexOwner.OWN, IndexOwner.SYSTEM):
        placed = _names(report.standing(standing))
        table.add_row(Text(standing.value, "italic"), Text(placed, "dim"))
    return table


def _names(indices: Sequence[ReportedIndex]) -> str:
    return abbreviated([index.index for index in indices], _NAMED) or "no indices"


def _standing(report: Report) -> str:
    verdict = "Every promise is kept" if report.kept else "Not every promise is kept"
    ledger = f"record {report.head.sequence}, hash {report.head.hash}" if report.head else "not read"
    return f"{verdict}, as of {format_instant(report.as_of)}. Ledger: {ledger}"
