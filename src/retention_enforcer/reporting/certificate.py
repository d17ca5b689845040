"""Certificates as JSON and as a table that fits 100 columns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from retention_enforcer.domain.instants import SECOND, format_duration, format_instant, format_known_instant
from retention_enforcer.domain.terminations.certificate import Certificate
from retention_enforcer.domain.wording import counted

LIMITS = (
    "Erased means removed from the file system of every assigned shard copy, not overwritten. What was deleted by age "
    "alone can no longer be found by a search; ordinary merges remove its bytes later. Not covered: unregistered "
    "snapshot repositories, other clusters, exports, and freed blocks of disks."
)


def subject_text(certificate: Certificate, *, reveal: bool) -> str:
    """Return whose it is: the pseudonym, or, revealed, the id."""
    termination = certificate.termination
    if reveal and termination.subject is not None:
        subject = termination.subject
        user = f" of application {subject.application}" if subject.application is not None else ""
        return f"{termination.kind} {subject.id}{user}"
    return f"{termination.kind} {termination.pseudonym}"


def certificates_document(certificates: Iterable[Certificate], *, reveal: bool) -> list[dict[str, Any]]:
    """Return what `certificate --output json` prints. Times are RFC 3339, durations in seconds."""
    return [_document(certificate, reveal=reveal) for certificate in certificates]


def _document(certificate: Certificate, *, reveal: bool) -> dict[str, Any]:
    t = certificate.termination
    return {
        "as_of": format_instant(certificate.as_of),
        "final": certificate.final,
        "subject": subject_text(certificate, reveal=reveal),
        "request": t.ask.value,
        "state": certificate.state.value,
        "promises": [
            {"category": p.category, "clause": p.clause, "limit": p.limit // SECOND} for p in certificate.promises
        ],
        "terminated_at": format_instant(t.terminated_at),
        "registered_at": format_instant(t.registered_at),
        "promised_until": format_instant(certificate.times.promised(t)),
        "applications": list(certificate.applications),
        "purged": [
            {
                "category": p.category,
                "index": p.index,
                "uuid": p.uuid,
                "documents": p.documents,
                "at": format_instant(p.at),
                "record": p.record,
                "hash": certificate.hashes.get(p.record),
            }
            for p in t.purges
        ],
        "documents_purged": t.documents,
        "purged_at": format_known_instant(t.purged_at),
        "erased_at": format_known_instant(t.erased_at),
        "closed_at": format_known_instant(t.closed_at),
        "looked_in": dict(t.looked_in),
        "found_now": dict(certificate.found),
        "open_items": [
            {"kind": item.kind, "text": item.text, "until": format_known_instant(item.until)}
            for item in certificate.waiting_for
        ],
        "ledger": {"sequence": certificate.head.sequence, "hash": certificate.head.hash} if certificate.head else None,
        "limits": LIMITS,
    }


def certificates_table(certificates: Iterable[Certificate], *, reveal: bool) -> RenderableType:
    """Return certificates for people."""
    parts: list[RenderableType] = []
    for certificate in certificates:
        t = certificate.termination
        verdict = Text("FINAL", "bold green") if certificate.final else Text("PROVISIONAL", "bold yellow")
        parts.append(Text.assemble(verdict, f"  {t.ask} of {subject_text(certificate, reveal=reveal)}\n"))
        parts += [_facts(certificate), Text("")]
        if t.purges:
            parts += [_purges(certificate), Text("")]
        parts += [
            Text(f"open: {item.text}" + (f", until {format_instant(item.until)}" if item.until else ""), "yellow")
            for item in certificate.waiting_for
        ]
        parts.append(Text(f"\n{LIMITS}\n", "dim"))
    return Group(*parts)


def _facts(certificate: Certificate) -> Table:
    t, table = certificate.termination, Table(box=None, padding=(0, 1, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", ratio=1)
    for promise in certificate.promises:
        table.add_row("promised", Text(f"{promise.category}: {format_duration(promise.limit)}, {promise.clause}"))
    table.add_row("effective", f"{format_instant(t.terminated_at)}, registered {format_instant(t.registered_at)}")
    table.add_row("promised until", format_instant(certificate.times.promised(t)))
    table.add_row(
        "purged", f"{counted(t.documents, 'document')}; no document left at {format_known_instant(t.purged_at) or '-'}"
    )
    table.add_row("erased", format_known_instant(t.erased_at) or "not yet")
    looked = ", ".join(f"{id_} ({counted(count, 'index', 'indices')})" for id_, count in t.looked_in.items()) or "-"
    table.add_row("searched in", Text(looked))
    table.add_row("found now", Text(_found(certificate) or "-"))
    if certificate.head:
        table.add_row("ledger", f"record {certificate.head.sequence}, hash {certificate.head.hash}")
    return table


def _found(certificate: Certificate) -> str:
    return ", ".join(f"{id_}: {'unknown' if n is None else f'{n:,}'}" for id_, n in certificate.found.items())


def _purges(certificate: Certificate) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    for name in ("at", "category", "index", "documents", "record"):
        table.add_column(name, overflow="fold", justify="right" if name == "documents" else "left")
    for p in certificate.termination.purges:
        table.add_row(format_instant(p.at)[:19], p.category, Text(p.index), f"{p.documents:,}", str(p.record))
    return table
