"""Which documents of which indices carry the subjects that are asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.subject_fields import read_subject_fields
from retention_enforcer.cluster.survey import Governed
from retention_enforcer.domain.facts import Untold
from retention_enforcer.domain.sought import Sought
from retention_enforcer.domain.subjects import Match


@dataclass(frozen=True, slots=True)
class SoughtDocuments:
    """By the names of indices: what the documents look like that are asked for, or why that cannot be told."""

    matches: dict[str, tuple[Match, ...]] = field(default_factory=dict)
    untold: dict[str, tuple[Untold, ...]] = field(default_factory=dict)


def sought_documents(
    client: Elasticsearch,
    sought: Collection[Sought],
    governed: Mapping[str, Governed],
    expressions: Callable[[Collection[str]], Iterator[str]],
) -> SoughtDocuments:
    """Return what is asked for in these indices, of which each can be read; `expressions` reach the indices named."""
    found = SoughtDocuments()
    if not sought:
        return found
    fields = {f for g in governed.values() for f in g.category.subjects.names}
    asked = {name for name, g in governed.items() if g.category.subjects}
    exact = read_subject_fields(client, expressions(asked), fields) if asked else {}
    for name in asked:
        index, stream = governed[name], governed[name].member
        matches, untold = [], []
        for one in sought:
            what = one.in_index(index.category, name, stream.stream if stream else None, exact.get(name))
            if isinstance(what, Match):
                matches.append(what)
            elif what is not None:
                untold.append(Untold(label=one.label, note=one.note, reason=what.reason))
        if matches:
            found.matches[name] = tuple(matches)
        if untold:
            found.untold[name] = tuple(untold)
    return found
