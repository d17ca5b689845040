"""Which documents of which indices carry the subjects that are asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.expressions import Batch
from retention_enforcer.cluster.indices.contents import Answer
from retention_enforcer.cluster.indices.survey import Governed
from retention_enforcer.cluster.limits import Limits
from retention_enforcer.cluster.subjects.counts import SubjectCounts
from retention_enforcer.cluster.subjects.fields import read_subject_fields
from retention_enforcer.domain.errors import ClusterUnavailable, RequestRejected
from retention_enforcer.domain.facts import Indistinguishable
from retention_enforcer.domain.subjects.identity import Match
from retention_enforcer.domain.subjects.query import SubjectQuery
from retention_enforcer.domain.wording import counted

_SPELLED = "in another spelling, with a fraction or an exponent: request that spelling as well"


@dataclass(frozen=True, slots=True)
class DocumentMatches:
    """By the names of indices: what the documents look like that are asked for, or why that cannot be told."""

    matches: dict[str, tuple[Match, ...]] = field(default_factory=dict)
    indistinguishable: dict[str, tuple[Indistinguishable, ...]] = field(default_factory=dict)
    spelled: dict[str, tuple[Match, ...]] = field(default_factory=dict)
    """What documents look like that have the same ids as numbers in another spelling."""


def match_documents(
    client: Elasticsearch,
    queries: Collection[SubjectQuery],
    governed: Mapping[str, Governed],
    reach: Callable[[Collection[str]], Iterator[Batch]],
    limits: Limits,
) -> DocumentMatches:
    """Return what is asked for in these indices, of which each can be read; `reach` gives the expressions for some."""
    found = DocumentMatches()
    if not queries:
        return found
    asked = {name: g.category.subjects.all for name, g in governed.items() if g.category.subjects}
    exact = read_subject_fields(client, asked, reach, limits)
    for name in asked:
        index = governed[name]
        matches: list[Match] = []
        indistinguishable: list[Indistinguishable] = []
        spelled: list[Match] = []
        for one in queries:
            for what in one.in_index(index.category, name, index.stream, exact.get(name)):
                if isinstance(what, Match):
                    matches.append(what)
                    others = one.spelled_otherwise(index.category, what)
                    # A hold rather keeps too much.
                    (matches if one.spare_tenants_own else spelled).extend(others)
                else:
                    passing = exact.get(name) is None or what.reason == one.indistinguishable
                    indistinguishable.append(
                        Indistinguishable(label=one.label, note=one.note, reason=what.reason, passing=passing)
                    )
        if matches:
            found.matches[name] = tuple(matches)
        if indistinguishable:
            found.indistinguishable[name] = tuple(indistinguishable)
        if spelled:
            found.spelled[name] = tuple(spelled)
    return found


def tell_pairs_apart(client: Elasticsearch, subjects: DocumentMatches, answer: Answer) -> None:
    """Leave out documents that name several of one kind of a pair, where an index has any, and say how many.

    Nobody can tell which values of an array of objects belong together. Two searches for each such index.
    """
    for name, seen in answer.seen.items():
        if not seen.several:
            continue
        pairs = [match for match in subjects.matches[name] if match.single]
        matches = tuple(replace(match, guarded=match.single) for match in subjects.matches[name])
        fields = " or ".join(sorted({where.name for match in pairs for part in match.parts for where in part.fields}))
        reason = f"with several values in {fields}, so it is unknown which belong together"
        counts = SubjectCounts(client)
        try:
            matching = counts.of_any(name, matches)
            told = counts.by_label(name, pairs, matches)
            reasons = {label: f"{counted(documents, 'document')} {reason}" for label, documents in told.items()}
        except (ClusterUnavailable, RequestRejected) as error:
            reasons = {
                match.label: f"documents {reason}; they could not be counted: {error.message}" for match in matches
            }
            matches, matching = (), 0
        subjects.matches[name] = matches
        indistinguishable = (Indistinguishable(label=label, note="", reason=why) for label, why in reasons.items())
        subjects.indistinguishable[name] = (*subjects.indistinguishable.get(name, ()), *indistinguishable)
        answer.seen[name] = replace(seen, matching=matching, matching_due=min(seen.matching_due, matching))


def tell_spellings(client: Elasticsearch, subjects: DocumentMatches, answer: Answer) -> None:
    """Say of indices where documents have the ids that are asked for as numbers in another spelling, as 1.4e9.

    They are not asked for: nobody has said that they are the same. One search for each such index.
    """
    for name, seen in answer.seen.items():
        if not seen.spelled:
            continue
        try:
            told = {
                label: counted(n, "document")
                for label, n in SubjectCounts(client).by_label(name, subjects.spelled[name]).items()
            }
        except (ClusterUnavailable, RequestRejected):
            told = {match.label: "some documents" for match in subjects.spelled[name]}
        indistinguishable = (
            Indistinguishable(
                label=label,
                note="",
                reason=f"{documents} with this id as a number {_SPELLED}",
                spelled_otherwise=True,
            )
            for label, documents in told.items()
        )
        subjects.indistinguishable[name] = (*subjects.indistinguishable.get(name, ()), *indistinguishable)
