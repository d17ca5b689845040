"""The report: every promise, whether it is kept, and by what margin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from retention_enforcer.domain.findings import Finding, Severity
from retention_enforcer.domain.instants import SECOND, describe_duration, format_duration, format_instant
from retention_enforcer.domain.ledger import Head
from retention_enforcer.domain.policy import ON_REQUEST, Policy
from retention_enforcer.domain.proof import Proof
from retention_enforcer.reporting.plans import limit_text
from retention_enforcer.reporting.policies import not_yet_enforced


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one look at all categories proved, as of a place in the ledger (None: the ledger could not be read)."""

    policy: Policy
    as_of: int
    head: Head | None
    proofs: Sequence[Proof]
    note: str = ""

    @property
    def kept(self) -> bool:
        """Whether every promise is kept, as far as this look can prove it."""
        return all(proof.kept for proof in self.proofs)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, the broken promises first."""
        every = [finding for proof in self.proofs for finding in proof.findings]
        return tuple(sorted(every, key=_urgency))


def _urgency(finding: Finding) -> tuple[bool, str, str, str]:
    return (finding.severity is not Severity.ERROR, finding.category or "", finding.kind, finding.index or "")


def report_document(report: Report) -> dict[str, Any]:
    """Return the report as the document that `report --output json` prints. Durations are in seconds."""
    ledger = {"sequence": report.head.sequence, "hash": report.head.hash} if report.head else None
    on_request = {
        "id": ON_REQUEST,
        "kept": True,
        "limit": report.policy.on_request // SECOND,
        "indices": 0,
        "documents": 0,
        "oldest": None,
        "margin": None,
        "findings": [],
    }
    return {
        "as_of": format_instant(report.as_of),
        "ledger": ledger,
        "kept": report.kept,
        "categories": [*(_row(proof) for proof in report.proofs), on_request],
        "findings": [_finding(finding, report.as_of) for finding in report.findings],
    }


def _row(proof: Proof) -> dict[str, Any]:
    return {
        "id": proof.category,
        "kept": proof.kept,
        "limit": proof.limit // SECOND if proof.limit is not None else None,
        "indices": proof.indices,
        "documents": proof.documents,
        "oldest": format_instant(proof.oldest) if proof.oldest is not None else None,
        "margin": proof.margin // SECOND if proof.margin is not None else None,
        "findings": [finding.id for finding in proof.findings],
    }


def _finding(finding: Finding, as_of: int) -> dict[str, Any]:
    return {
        "id": finding.id,
        "kind": finding.kind,
        "category": finding.category,
        "index": finding.index,
        "severity": finding.severity.value,
        "text": finding.text,
        "mend": finding.mend,
        "first_seen": format_instant(finding.first_seen if finding.first_seen is not None else as_of),
    }


def report_table(report: Report) -> RenderableType:
    """Return the report for people."""
    table = Table(box=None, padding=(0, 1), header_style="bold")
    for name in ("", "category", "limit", "indices", "documents", "oldest", "margin"):
        table.add_column(name, justify="right" if name in {"indices", "documents", "oldest", "margin"} else "left")
    for proof in report.proofs:
        oldest = describe_duration(report.as_of - proof.oldest) if proof.oldest is not None else "-"
        margin = describe_duration(proof.margin) if proof.margin is not None else "-"
        verdict = Text("kept", "green") if proof.kept else Text("NOT KEPT", "bold red")
        counts = (f"{proof.indices:,}", f"{proof.documents:,}")
        table.add_row(verdict, proof.category, limit_text(proof.limit), *counts, oldest, margin)
    table.add_row(Text("kept", "green"), ON_REQUEST, format_duration(report.policy.on_request), "-", "-", "-", "-")
    parts: list[RenderableType] = [table]
    for finding in report.findings:
        style = "red" if finding.severity is Severity.ERROR else "yellow"
        where = f" {finding.index}" if finding.index else ""
        parts.append(Text(f"\n{finding.kind}: {finding.category or 'the cluster'}{where}", style))
        parts.append(Text(f"  {finding.text}\n  {finding.mend}"))
    if waiting := not_yet_enforced(report.policy):
        parts.append(Text(f"\nNot enforced by this version, only shown: {', '.join(waiting)}"))
    parts.append(Text(f"\n{_standing(report)}"))
    return Group(*parts)


def _standing(report: Report) -> str:
    verdict = "Every promise is kept" if report.kept else "Not every promise is kept"
    where = f"record {report.head.sequence}, hash {report.head.hash}" if report.head else report.note
    return f"{verdict}, as of {format_instant(report.as_of)}. Ledger: {where}"
