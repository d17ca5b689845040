"""The report: every promise with its verdict, and every index with the promise it is under, as values and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pydantic import TypeAdapter

from retention_enforcer.domain.expiry.proof import Proof
from retention_enforcer.domain.facts import CategoryFacts
from retention_enforcer.domain.findings import Finding
from retention_enforcer.domain.instants import format_instant
from retention_enforcer.domain.ledger.records import Head
from retention_enforcer.domain.policy.claims import IndexOwner
from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.domain.terminations.findings import Outstanding, termination_findings
from retention_enforcer.domain.terminations.states import is_late
from retention_enforcer.enforcement.coverage.observer import CoverageLook
from retention_enforcer.enforcement.reader import Look
from retention_enforcer.reporting.known import CategorySeen, FindingSeen
from retention_enforcer.reporting.promises import Grounds, Promise, Timed, most_urgent_first, next_due
from retention_enforcer.reporting.published import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedIndex:
    """One index of the cluster, and the promise it is under."""

    index: str
    uuid: str
    standing: IndexOwner
    categories: tuple[str, ...]
    excluded_from: tuple[str, ...]
    """The categories from which `ignore` excludes it."""
    clauses: tuple[str, ...]
    """The clauses of its categories."""
    documents: int | None
    oldest: Instant | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The result of one look, with the head of the ledger at that time (None: the ledger could not be read)."""

    policy: Policy
    as_of: int
    head: Head | None
    promises: tuple[Promise, ...]
    findings: tuple[Finding, ...]
    """All of them, the broken promises first."""
    indices: tuple[ReportedIndex, ...] = ()
    notes: tuple[str, ...] = ()
    """One sentence for each thing that could not be looked at."""

    @property
    def kept(self) -> bool:
        """Whether every promise is proven to be kept by this look."""
        return all(promise.kept for promise in self.promises)

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
    of_terminations = termination_findings((t for t, _ in asked), Outstanding(late=late, refused=refused))
    beyond = (*(coverage.findings if coverage else ()), *of_terminations)
    grounds = Grounds(
        policy=policy,
        now=max((look.as_of, *(proof.as_of for proof in proofs))),  # ages are those at which the proofs were made
        categories={proof.category: _seen(look, proof) for proof in proofs},
        asked=asked,
        unknown=unknown,
        beside=[FindingSeen.of(finding, look.as_of) for finding in beyond],
    )
    not_known = (
        f"Pending terminations are unknown, so the promises about them are not shown as kept: {unknown}"
        if unknown
        else ""
    )
    return Report(
        policy=policy,
        as_of=look.as_of,
        head=head,
        promises=grounds.promises(),
        findings=most_urgent_first([*(finding for proof in proofs for finding in proof.findings), *beyond]),
        indices=_placed(policy, coverage, look.facts) if coverage else (),
        notes=tuple(note for note in (look.note, *notes, not_known) if note),
    )


def _seen(look: Look, proof: Proof) -> CategorySeen:
    memory = look.memories.get(proof.category)
    return CategorySeen(
        proof=proof,
        findings=tuple(FindingSeen.of(finding, look.as_of) for finding in proof.findings),
        next_due=next_due(look.plans[proof.category]),
        last_purge=memory.purged_at if memory else None,
    )


def _placed(policy: Policy, coverage: CoverageLook, facts: Mapping[str, CategoryFacts]) -> tuple[ReportedIndex, ...]:
    known = {index.uuid: index for seen in facts.values() for index in seen.indices}
    return tuple(
        ReportedIndex(
            index=index.name,
            uuid=index.uuid,
            standing=index.claim.standing,
            categories=index.claim.categories,
            excluded_from=index.claim.excluded_from,
            clauses=tuple(str(policy.category(id_).clause) for id_ in index.claim.categories),
            documents=known[index.uuid].documents if index.uuid in known else index.documents,
            oldest=known[index.uuid].oldest if index.uuid in known else None,
        )
        for index in coverage.facts.indices
    )


_PARTS = TypeAdapter(Promise | FindingSeen | ReportedIndex)
_OF_PROMISE = (
    *("id", "promise", "clause", "kept", "limit", "indices", "documents", "oldest", "margin"),
    *("last_purge", "next_due", "findings"),
)


def report_document(report: Report) -> dict[str, Any]:
    """Return the report as the document that `report --output json` prints. Durations are in seconds."""
    return {
        "as_of": format_instant(report.as_of),
        "ledger": {"sequence": report.head.sequence, "hash": report.head.hash} if report.head else None,
        "kept": report.kept,
        "categories": [_promise(promise) for promise in report.promises],
        "findings": [_finding(finding, report.as_of) for finding in report.findings],
        "indices": [_PARTS.dump_python(index, mode="json") for index in report.indices],
        "notes": list(report.notes),
    }


def _promise(promise: Promise) -> dict[str, Any]:
    shown = {**_PARTS.dump_python(promise, mode="json"), "kept": promise.kept}
    if promise.clause is None:
        shown |= {"indices": 0, "documents": 0}
    return {name: shown[name] for name in _OF_PROMISE}


def _finding(finding: Finding, as_of: int) -> dict[str, Any]:
    last_seen = finding.last_seen if finding.last_seen is not None else as_of
    shown = FindingSeen.of(finding, as_of)
    return {**_PARTS.dump_python(shown, mode="json"), "last_seen": format_instant(last_seen)}
