"""The report: every promise with its verdict, and every index with the promise it is under, as values and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from retention_enforcer.domain.expiry.proof import Proof
from retention_enforcer.domain.facts import CategoryFacts
from retention_enforcer.domain.findings import Finding, Severity
from retention_enforcer.domain.instants import SECOND, format_duration, format_instant, format_known_instant
from retention_enforcer.domain.ledger.records import Head
from retention_enforcer.domain.policy.claims import IndexOwner
from retention_enforcer.domain.policy.promises import ON_REQUEST, Policy
from retention_enforcer.domain.terminations.findings import Outstanding, termination_findings
from retention_enforcer.domain.terminations.states import is_late
from retention_enforcer.enforcement.coverage.observer import CoverageLook
from retention_enforcer.enforcement.reader import Look
from retention_enforcer.reporting.owed import Timed, next_due, owed_under


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One promise. Instants and durations in milliseconds; None if there is none or it is not known."""

    id: str
    promise: str
    clause: str | None
    kept: bool
    limit: int | None
    indices: int = 0
    documents: int | None = 0
    oldest: int | None = None
    margin: int | None = None
    last_purge: int | None = None
    """When a cycle, or a termination or request, last purged anything under it."""
    next_due: int | None = None
    """When something is next due; in the past if it is due now."""
    findings: tuple[str, ...] = ()
    """Ids of the findings that concern it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedIndex:
    """One index of the cluster, and the promise it is under. Instants in epoch milliseconds."""

    name: str
    uuid: str
    standing: IndexOwner
    categories: tuple[str, ...]
    excluded_from: tuple[str, ...]
    """The categories from which `ignore` excludes it."""
    documents: int | None
    oldest: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The result of one look, with the head of the ledger at that time (None: the ledger could not be read)."""

    policy: Policy
    as_of: int
    head: Head | None
    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]
    """All of them, the broken promises first."""
    indices: tuple[ReportedIndex, ...] = ()
    notes: tuple[str, ...] = ()
    """One sentence for each thing that could not be looked at."""

    @property
    def kept(self) -> bool:
        """Whether every promise is proven to be kept by this look."""
        return all(row.kept for row in self.rows)

    def under(self, category: str) -> tuple[ReportedIndex, ...]:
        """Return the indices under a promise."""
        return tuple(index for index in self.indices if category in index.categories)

    def standing(self, standing: IndexOwner) -> tuple[ReportedIndex, ...]:
        """Return the indices with this relation to the policy."""
        return tuple(index for index in self.indices if index.standing is standing)


def make_report(
    policy: Policy,
    look: Look,
    proofs: Sequence[Proof],
    coverage: CoverageLook | None,
    *,
    head: Head | None,
    notes: Iterable[str] = (),
    asked: Sequence[Timed] = (),
    refused: Mapping[int, str] = MappingProxyType({}),
    unknown: str = "",
) -> Report:
    """Return the report of a look at all categories and, if there was one, of a look past the policy.

    `asked` are the terminations and requests that are remembered, with the lengths that decide about each, `refused`
    the malformed requests that are there, by their places, and why nobody can act on them; `unknown` is why it is not
    known what else was asked for: what ends with a request is not kept then.
    """
    late = frozenset(t.key for t, times in asked if is_late(t, times, look.as_of))
    of_terminations = tuple(termination_findings((t for t, _ in asked), Outstanding(late=late, refused=refused)))
    beyond = (*(coverage.findings if coverage else ()), *of_terminations)
    every = [*(finding for proof in proofs for finding in proof.findings), *beyond]
    return Report(
        policy=policy,
        as_of=look.as_of,
        head=head,
        rows=(
            *(_row(policy, look, proof, beyond, asked, unknown) for proof in proofs),
            _on_request(policy, look.as_of, asked, beyond, unknown),
        ),
        findings=tuple(sorted(every, key=_urgency)),
        indices=_placed(coverage, look.facts) if coverage else (),
        notes=tuple(note for note in (look.note, *notes, _unknown_note(unknown)) if note),
    )


def _row(
    policy: Policy, look: Look, proof: Proof, beyond: Iterable[Finding], asked: Sequence[Timed], unknown: str
) -> Row:
    category = policy.category(proof.category)
    memory = look.memories.get(proof.category)
    owed = owed_under(
        policy,
        category.id,
        asked,
        look.as_of,
        unknown=unknown,
        next_due=next_due(look.plans[proof.category]),
        last_purge=memory.purged_at if memory else None,
    )
    findings = (*proof.findings, *(finding for finding in beyond if finding.category == proof.category))
    return Row(
        id=category.id,
        promise=category.promise,
        clause=str(category.clause),
        kept=proof.kept and owed.kept,
        limit=proof.limit,
        indices=proof.indices,
        documents=proof.documents,
        oldest=proof.oldest,
        margin=proof.margin,
        last_purge=owed.last_purge,
        next_due=owed.next_due,
        findings=tuple(finding.id for finding in findings),
    )


def _on_request(policy: Policy, now: int, asked: Sequence[Timed], beyond: Iterable[Finding], unknown: str) -> Row:
    owed = owed_under(policy, ON_REQUEST, asked, now, unknown=unknown)
    return Row(
        id=ON_REQUEST,
        promise=f"gone {format_duration(policy.on_request)} after a request",
        clause=None,
        kept=owed.kept,
        limit=policy.on_request,
        last_purge=owed.last_purge,
        next_due=owed.next_due,
        findings=tuple(finding.id for finding in beyond if finding.category == ON_REQUEST),
    )


def _unknown_note(unknown: str) -> str:
    return f"What is owed to customers is not known, and not kept for that: {unknown}" if unknown else ""


def _urgency(finding: Finding) -> tuple[bool, str, str, str]:
    return (finding.severity is not Severity.ERROR, finding.category or "", finding.kind, finding.index or "")


def _placed(coverage: CoverageLook, facts: Mapping[str, CategoryFacts]) -> tuple[ReportedIndex, ...]:
    known = {index.uuid: index for seen in facts.values() for index in seen.indices}
    return tuple(
        ReportedIndex(
            name=index.name,
            uuid=index.uuid,
            standing=index.claim.standing,
            categories=index.claim.categories,
            excluded_from=index.claim.excluded_from,
            documents=known[index.uuid].documents if index.uuid in known else index.documents,
            oldest=known[index.uuid].oldest if index.uuid in known else None,
        )
        for index in coverage.facts.indices
    )


def report_document(report: Report) -> dict[str, Any]:
    """Return the report as the document that `report --output json` prints. Durations are in seconds."""
    return {
        "as_of": format_instant(report.as_of),
        "ledger": {"sequence": report.head.sequence, "hash": report.head.hash} if report.head else None,
        "kept": report.kept,
        "categories": [_row_document(row) for row in report.rows],
        "findings": [_finding(finding, report.as_of) for finding in report.findings],
        "indices": [_placed_document(report.policy, index) for index in report.indices],
        "notes": list(report.notes),
    }


def _row_document(row: Row) -> dict[str, Any]:
    return {
        "id": row.id,
        "promise": row.promise,
        "clause": row.clause,
        "kept": row.kept,
        "limit": _seconds(row.limit),
        "indices": row.indices,
        "documents": row.documents,
        "oldest": format_known_instant(row.oldest),
        "margin": _seconds(row.margin),
        "last_purge": format_known_instant(row.last_purge),
        "next_due": format_known_instant(row.next_due),
        "findings": list(row.findings),
    }


def _finding(finding: Finding, as_of: int) -> dict[str, Any]:
    return {
        "id": finding.id,
        "kind": finding.kind,
        "category": finding.category,
        "index": finding.index,
        "severity": finding.severity.value,
        "text": finding.text,
        "remedy": finding.remedy,
        "first_seen": format_instant(finding.first_seen if finding.first_seen is not None else as_of),
        "last_seen": format_instant(finding.last_seen if finding.last_seen is not None else as_of),
    }


def _placed_document(policy: Policy, index: ReportedIndex) -> dict[str, Any]:
    return {
        "index": index.name,
        "uuid": index.uuid,
        "standing": index.standing.value,
        "categories": list(index.categories),
        "excluded_from": list(index.excluded_from),
        "clauses": [str(policy.category(id_).clause) for id_ in index.categories],
        "documents": index.documents,
        "oldest": format_known_instant(index.oldest),
    }


def _seconds(duration: int | None) -> int | None:
    return duration // SECOND if duration is not None else None
