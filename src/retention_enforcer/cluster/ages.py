"""Of which indices nobody can tell how old their documents are, and which field is likely meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.batches import Refusals
from retention_enforcer.cluster.documents_seen import Answer, DocumentsSeen
from retention_enforcer.cluster.expressions import batches
from retention_enforcer.cluster.indices_seen import FieldTypes, read_dates
from retention_enforcer.cluster.survey import Governed
from retention_enforcer.domain.facts import Ageless, Evidence
from retention_enforcer.domain.timestamps import absent, ambiguous, computed, no_date

_TIMESTAMPS = frozenset({"date", "date_nanos"})


def is_timestamp(type_: str | None) -> bool:
    """Whether a field of this type has an age; one that is not mapped has not, and disturbs nothing."""
    return type_ is None or type_ in _TIMESTAMPS


def ages_untold(
    client: Elasticsearch,
    governed: Mapping[str, Governed],
    types: FieldTypes,
    computed_by: Mapping[str, Mapping[str, str]],
    answer: Answer,
    evidence: Mapping[str, Evidence],
) -> dict[str, Ageless]:
    """Return why the documents of these indices have no age: these alone, and what else is known of them stands.

    What had dated documents before, and lost them, is not judged by the others. One request for all indices with
    documents of which none has the timestamp.
    """
    by_age = {name: index for name, index in governed.items() if index.category.max_age is not None}
    found: dict[str, Ageless] = dict(_by_what_is_said(by_age, types, computed_by, answer))
    without = {
        name: index
        for name, index in by_age.items()
        if name not in found and _has_none(index, answer.seen.get(name, DocumentsSeen()), evidence)
    }
    # Where that is refused no field is proposed; what else is said stands.
    dates = read_dates(client, batches(sorted(without)), Refusals()) if without else {}
    for name, index in without.items():
        found[name] = absent(name, index.category.timestamp, answer.seen[name].documents, dates.get(name, ()))
    return found


def _by_what_is_said(
    governed: Mapping[str, Governed],
    types: FieldTypes,
    computed_by: Mapping[str, Mapping[str, str]],
    answer: Answer,
) -> Iterator[tuple[str, Ageless]]:
    for name, index in governed.items():
        timestamp, seen = index.category.timestamp, answer.seen.get(name, DocumentsSeen())
        type_ = types.of(timestamp, name)
        if not is_timestamp(type_):
            yield name, no_date(name, timestamp, type_)
        elif (why := computed_by.get(name, {}).get(timestamp)) is not None:
            yield name, computed(name, timestamp, why)
        elif seen.values > seen.dated:
            yield name, ambiguous(name, timestamp)


def _has_none(index: Governed, seen: DocumentsSeen, evidence: Mapping[str, Evidence]) -> bool:
    """Whether no document of an index that has some has, or had, the timestamp."""
    if not seen.documents or seen.having:
        return False
    known = evidence.get(index.metadata.uuid)
    return known is None or not known.ever_dated
