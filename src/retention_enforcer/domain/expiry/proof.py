"""The proof: what is left after a cycle, and how old. Not proven is not kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from retention_enforcer.domain.deadlines import overdue_before
from retention_enforcer.domain.facts import CategoryFacts, Doubt, ForbiddenField, IndexFacts
from retention_enforcer.domain.findings import Finding, FindingKind, Severity, abbreviated
from retention_enforcer.domain.instants import describe_duration
from retention_enforcer.domain.lifecycles.exemption import STREAM_LIFECYCLE
from retention_enforcer.domain.plan import Plan, Skip, SkipKind
from retention_enforcer.domain.policy.promises import Category
from retention_enforcer.domain.rollover import refusal_finding
from retention_enforcer.domain.wording import counted, verb


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What one look at a category showed. Instants and durations in milliseconds."""

    category: str
    as_of: int
    kept: bool
    limit: int | None
    indices: int
    documents: int | None
    """In the indices that are known; None where that is none of them."""
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
    timestamp lie in an index created before the limit, or shrunk, split or cloned from another, or if a never-stored
    category holds a document.
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
        documents=None if facts.set_apart and not facts.documents else facts.documents,
        oldest=min(dated, default=None) if by_age else None,
        overdue=sum(index.overdue for index in facts.indices) if by_age else 0,
        findings=findings,
    )


def about_ages(category: Category, facts: CategoryFacts) -> Iterator[Finding]:
    """Yield the findings about indices whose documents have no age; one for all where no document has the timestamp."""
    if category.max_age is None or category.timestamp is None:
        return
    with_documents = [index for index in facts.indices if index.documents]
    absent = [(i, i.ageless) for i in with_documents if i.ageless and i.ageless.doubt is Doubt.TIMESTAMP_ABSENT]
    if len(absent) == len(with_documents) > 1:
        documents = sum(index.documents for index in with_documents)
        _, why = max(absent, key=lambda one: one[0].documents)
        text = (
            f"no document of {category.id} has {category.timestamp.field}: the age of its {documents:,} documents in "
            f"{len(absent):,} indices is unknown, so none is deleted by age"
        )
        kind, about = FindingKind(why.doubt), category.timestamp.field
        yield Finding.of(kind, category.id, text, why.remedy, about=about)
        return
    for index in facts.indices:
        if one := index.ageless:
            kind, milder = FindingKind(one.doubt), not index.documents
            yield Finding.of(kind, category.id, one.text, one.remedy, index=index, milder=milder)


_STOP_AND_ERASE = "stop what writes them, then run retention-enforcer erase --category {category} --confirm"


def _findings(category: Category, facts: CategoryFacts, plan: Plan) -> Iterator[Finding]:
    for apart in facts.set_apart:
        yield Finding.of(FindingKind(apart.doubt), category.id, apart.text, apart.remedy, index=apart)
    yield from about_ages(category, facts)
    yield from _about_holds(category, facts)
    yield from _about_forbidden(category, facts)
    for skip in plan.skip:
        if skip.kind not in (SkipKind.SET_APART, SkipKind.HELD) and not _left_to_others(skip):
            yield Finding.of(FindingKind(skip.kind), category.id, skip.reason, skip.remedy, index=skip)
    for index in facts.indices:
        yield from _about_index(category, index, facts.as_of)
        if index.refused_rollover is not None:
            yield refusal_finding(category.id, index, index.refused_rollover)


def _left_to_others(skip: Skip) -> bool:
    """Whether somebody else's lifecycle has nothing to be reproached with in an index: nothing in it is due."""
    return skip.kind is SkipKind.FOREIGN_LIFECYCLE and skip.facts is not None and not skip.facts.due


def _about_holds(category: Category, facts: CategoryFacts) -> Iterator[Finding]:
    """One finding a hold, for all that it keeps although it is due; the holds on subjects are one."""
    kept: dict[str, list[tuple[int, IndexFacts]]] = {}
    texts: dict[str, str] = {}
    yield from _held_but_managed(category, facts)
    for index in facts.indices:
        hold = facts.holds.get(index.name)
        due = index.documents if category.never_stored else index.due
        if hold and due:
            kept.setdefault(hold.hold, []).append((due, index))
            texts.setdefault(hold.hold, hold.text)
        elif not hold and index.matching_due:
            kept.setdefault("subjects", []).append((index.matching_due, index))
    for about, indices in kept.items():
        what = texts.get(about, "holds on subjects")
        oldest = min((index.oldest for _, index in indices if index.oldest is not None), default=None)
        age = f", the oldest {describe_duration(facts.as_of - oldest)} old" if oldest is not None else ""
        documents = sum(due for due, _ in indices)
        where = counted(len(indices), "index", "indices")
        text = f"{counted(documents, 'due document')} in {where}{age}, {verb(documents, 'is', 'are')} kept by {what}"
        remedy = "run `retention-enforcer hold remove` when the hold is no longer needed"
        yield Finding.of(FindingKind.HELD, category.id, text, remedy, about=about)


def _held_but_managed(category: Category, facts: CategoryFacts) -> Iterator[Finding]:
    """One finding for all indices that are held, at least in part, while a lifecycle may delete them."""
    held = [index for index in facts.indices if facts.is_protected(index)]
    managed = [i for i in held if i.lifecycle and not (i.exempt and i.lifecycle == STREAM_LIFECYCLE)]
    if managed:
        named = abbreviated([f"{index.name} ({index.lifecycle})" for index in managed], 3)
        text = f"held indices have a lifecycle that may delete them: {named}"
        remedy = "detach the lifecycle from them, and remove it from the index template that attaches it to new indices"
        yield Finding.of(FindingKind.HELD_BUT_MANAGED, category.id, text, remedy, about="holds")


def _about_forbidden(category: Category, facts: CategoryFacts) -> Iterator[Finding]:
    """One finding an index, for all its forbidden fields."""
    by_index: dict[str, list[ForbiddenField]] = {}
    for found in facts.forbidden:
        by_index.setdefault(found.index.uuid, []).append(found)
    for fields in by_index.values():
        index = fields[0].index
        absent = all(found.proven_absent for found in fields)
        named = "; ".join(_what_it_holds(found) for found in fields)
        text = f"{index.name} of {fields[0].category} has a forbidden field: {named}"
        remedy = "reindex without that field, so that no document can contain it"
        if any(found.documents for found in fields):
            remedy = f"{_STOP_AND_ERASE.format(category=category.id)}; {remedy}"
        yield Finding.of(FindingKind.FORBIDDEN_FIELD, category.id, text, remedy, index=index, milder=absent)


def _what_it_holds(found: ForbiddenField) -> str:
    field = f"{found.field} ({found.type})"
    if not found.counted:
        return f"{field}, in an unknown number of documents"
    if found.documents:
        return f"{field} in {counted(found.documents, 'document')}"
    if found.proven_absent:
        return f"{field} in no document"
    return f"{field}, which cannot be searched: any of {counted(found.index.documents, 'document')} may contain it"


def _about_index(category: Category, index: IndexFacts, now: int) -> Iterator[Finding]:
    def finding(kind: FindingKind, text: str, remedy: str, *, milder: bool = False) -> Finding:
        return Finding.of(kind, category.id, text, remedy, index=index, milder=milder)

    if category.never_stored and index.documents:
        text = f"{index.name} has {counted(index.documents, 'document')} that must never be stored"
        yield finding(FindingKind.NEVER_STORED, text, _STOP_AND_ERASE.format(category=category.id))
    if category.max_age is None:
        return
    if index.overdue:
        oldest = describe_duration(now - index.oldest) if index.oldest is not None else "unknown"
        text = f"{index.name} has {counted(index.overdue, 'document')} past the limit, the oldest {oldest} old"
        remedy = "check the line of this index in `retention-enforcer plan` and the other findings about it"
        yield finding(FindingKind.OVERDUE, text, remedy)
    if category.timestamp is None and index.resized and index.documents:
        yield finding(
            FindingKind.UNDATED,
            f"the {counted(index.documents, 'document')} of {index.name} come from another index, which was shrunk, "
            "split or cloned into this one: their age is unknown",
            "find out how old they are, and delete the index manually when they are due",
        )
    if category.timestamp is not None and index.undated and index.ageless is None:
        past = index.created < overdue_before(category, now)
        why = ", and the index was created before the limit" if past else ""
        if index.resized and not past:
            why = (
                "; they come from another index, which was shrunk, split or cloned into this one: their age is unknown"
            )
        yield finding(
            FindingKind.UNDATED,
            f"{index.name} has {counted(index.undated, 'document')} without a plausible "
            f"{category.timestamp.field}{why}",
            f"correct {category.timestamp.field} at the producer, and delete or reindex these documents",
            milder=not why,
        )
