"""The proof: what is left after a cycle, and how old. Not proven is not kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from retention_enforcer.domain.deadlines import overdue_before
from retention_enforcer.domain.facts import CategoryFacts, IndexFacts
from retention_enforcer.domain.findings import Finding, Severity
from retention_enforcer.domain.instants import describe_duration
from retention_enforcer.domain.plan import Plan, SkipKind
from retention_enforcer.domain.policy import Category


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What one look at a category showed. Instants and durations in milliseconds."""

    category: str
    as_of: int
    kept: bool
    limit: int | None
    indices: int
    documents: int
    oldest: int | None
    """The oldest dated document over all indices that are known."""
    overdue: int
    """Documents older than the limit."""
    findings: tuple[Finding, ...]

    @property
    def margin(self) -> int | None:
        """How long the oldest document may still stay; negative when the promise is broken, None without a document."""
        if self.limit is None or self.oldest is None:
            return None
        return self.oldest + self.limit - self.as_of


def verify(category: Category, facts: CategoryFacts, plan: Plan) -> Proof:
    """Return the proof of a category from the facts observed after the cycle, and the plan they would ask for.

    `kept` is false if a document is past the limit, if anything is in doubt, if documents without a believable
    timestamp lie in an index created before the limit, or if a never-stored category holds a document.
    """
    findings = tuple(_findings(category, facts, plan))
    dated = [index.oldest for index in facts.indices if index.oldest is not None]
    by_age = category.max_age is not None
    return Proof(
        category=category.id,
        as_of=facts.as_of,
        kept=not any(finding.severity is Severity.ERROR for finding in findings),
        limit=category.limit,
        indices=len(facts.indices) + len(facts.set_apart),
        documents=facts.documents,
        oldest=min(dated, default=None) if by_age else None,
        overdue=sum(index.overdue for index in facts.indices) if by_age else 0,
        findings=findings,
    )


def _findings(category: Category, facts: CategoryFacts, plan: Plan) -> Iterator[Finding]:
    for apart in facts.set_apart:
        yield Finding(
            kind=apart.doubt.value,
            category=category.id,
            index=apart.name,
            uuid=apart.uuid,
            text=apart.text,
            mend=apart.mend,
        )
    for skip in plan.skip:
        if skip.kind is not SkipKind.SET_APART:
            yield Finding(
                kind=skip.kind.value,
                category=category.id,
                index=skip.name,
                uuid=skip.uuid,
                text=skip.reason,
                mend=skip.mend,
                severity=Severity.WARNING,
            )
    for index in facts.indices:
        yield from _about_index(category, index, facts.as_of)


def _about_index(category: Category, index: IndexFacts, now: int) -> Iterator[Finding]:
    def finding(kind: str, text: str, mend: str, severity: Severity = Severity.ERROR) -> Finding:
        return Finding(
            kind=kind,
            category=category.id,
            index=index.name,
            uuid=index.uuid,
            text=text,
            mend=mend,
            severity=severity,
        )

    if category.never_stored and index.documents:
        text = f"{index.documents:,} documents in {index.name} that must never be stored"
        yield finding("never-stored", text, "stop what writes them, then remove the index by hand")
    if category.max_age is None:
        return
    if index.overdue:
        oldest = describe_duration(now - index.oldest) if index.oldest is not None else "unknown"
        text = f"{index.overdue:,} documents of {index.name} are past the limit, the oldest {oldest} old"
        yield finding("overdue", text, "see what this index's line in `plan` says, and the other findings about it")
    if index.undated:
        past = index.created < overdue_before(category, now)
        yield finding(
            "undated",
            f"{index.undated:,} documents of {index.name} have no believable {category.timestamp}"
            + (", and the index was created before the limit" if past else ""),
            f"correct {category.timestamp} at its producer, and delete or re-index these documents",
            Severity.ERROR if past else Severity.WARNING,
        )
