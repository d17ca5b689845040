"""Which documents of which indices a hold on a subject covers.

Where an index cannot tell them apart with certainty it is held as a whole: a hold rather keeps too much.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.subject_fields import Verdict, read_subject_fields
from retention_enforcer.cluster.survey import Governed
from retention_enforcer.domain.facts import Held
from retention_enforcer.domain.holds import HeldSubject
from retention_enforcer.domain.subjects import Inexact, Match, Subject, SubjectKind, match


@dataclass(frozen=True, slots=True)
class HeldDocuments:
    """By the names of indices: what the documents look like that are held, or why all of them are."""

    matches: dict[str, tuple[Match, ...]] = field(default_factory=dict)
    whole: dict[str, Held] = field(default_factory=dict)


def held_documents(
    client: Elasticsearch,
    held: Collection[HeldSubject],
    governed: Mapping[str, Governed],
    expressions: Callable[[Collection[str]], Iterator[str]],
) -> HeldDocuments:
    """Return what is held in these indices, of which each can be read; `expressions` reach the indices named."""
    found = HeldDocuments()
    if not held:
        return found
    fields = {f for g in governed.values() for f in g.category.subjects.names}
    asked = {name for name, g in governed.items() if g.category.subjects}
    exact = read_subject_fields(client, expressions(asked), fields) if asked else {}
    for name in asked:
        matches = []
        for one in held:
            what = _what_is_held(one.subject, governed[name], exact.get(name))
            if isinstance(what, Match):
                matches.append(what)
            elif what is not None:
                found.whole.setdefault(name, Held(hold=one.hold.id, text=f"{one.hold}; {what.reason}"))
        if matches:
            found.matches[name] = tuple(matches)
    return found


def _what_is_held(subject: Subject, governed: Governed, exact: Mapping[str, Verdict] | None) -> Match | Inexact | None:
    """Return which documents of an index carry a held subject, or why none is let go; None where none does."""
    if subject.kind is SubjectKind.APPLICATION and _is_tenants_own(subject, governed):
        return Inexact(reason="the index is that application's own")
    fields = governed.category.subjects
    if subject.wanted(fields) is None:
        return None
    if exact is None:
        return Inexact(reason="the index does not say how its documents name a subject")
    return match(subject, fields, exact)


def _is_tenants_own(subject: Subject, governed: Governed) -> bool:
    names = (governed.metadata.name, governed.member.stream if governed.member else "")
    owners = {pattern.application_in(name) for pattern in governed.category.indices for name in names}
    return subject.id.lower() in owners
