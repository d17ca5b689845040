"""Of which indices nobody can tell how old their documents are, and which field is likely meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.batches import Refusals
from retention_enforcer.cluster.expressions import batches
from retention_enforcer.cluster.indices.contents import Answer, DocumentsSeen
from retention_enforcer.cluster.indices.statistics import FieldTypes, read_times
from retention_enforcer.cluster.indices.survey import Governed
from retention_enforcer.domain.expiry.ageless import absent, ambiguous, another_type, computed, unasked
from retention_enforcer.domain.facts import Ageless, Evidence
from retention_enforcer.domain.timestamps import Mapped, Timestamp


def mapped_as(timestamp: Timestamp | None, type_: str | None) -> Mapped | None:
    """Return a timestamp as an index maps it with a field of this type; None where its values cannot be read there.

    One that is not mapped there is in no document, and disturbs nothing: it is asked for like the others.
    """
    if timestamp is None:
        return None
    first = timestamp.types[0]
    # One range asks for dates of either type.
    type_ = first if type_ is None or (timestamp.unit is None and type_ in timestamp.types) else type_
    return Mapped(timestamp=timestamp, type=type_) if type_ in timestamp.types else None


def ages_unknown(
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
    by_age = {name: i for name, i in governed.items() if i.category.max_age is not None and i.category.timestamp}
    found: dict[str, Ageless] = dict(_by_what_is_said(by_age, types, computed_by, answer))
    without = {
        name: index
        for name, index in by_age.items()
        if name not in found and _has_none(index, answer.seen.get(name, DocumentsSeen()), evidence)
    }
    # Where that is refused no field is proposed; what else is said stands.
    times = read_times(client, batches(sorted(without)), Refusals()) if without else {}
    for name, index in without.items():
        if (timestamp := index.category.timestamp) is not None:
            found[name] = absent(name, timestamp, answer.seen[name].documents, times.get(name, {}))
    return found


def _by_what_is_said(
    governed: Mapping[str, Governed],
    types: FieldTypes,
    computed_by: Mapping[str, Mapping[str, str]],
    answer: Answer,
) -> Iterator[tuple[str, Ageless]]:
    for name, index in governed.items():
        timestamp, seen = index.category.timestamp, answer.seen.get(name, DocumentsSeen())
        if timestamp is None:
            continue
        type_ = types.of(timestamp.field, name)
        if type_ is not None and mapped_as(timestamp, type_) is None:
            yield name, another_type(name, timestamp, type_)
        elif (why := computed_by.get(name, {}).get(timestamp.field)) is not None:
            yield name, computed(name, timestamp, why)
        elif (cause := answer.unasked.get(name)) is not None:
            yield name, unasked(name, timestamp, cause.text)
        elif seen.values > seen.dated:
            yield name, ambiguous(name, timestamp)


def _has_none(index: Governed, seen: DocumentsSeen, evidence: Mapping[str, Evidence]) -> bool:
    """Whether no document of an index that has some has, or had, the timestamp."""
    if not seen.documents or seen.having:
        return False
    known = evidence.get(index.metadata.uuid)
    return known is None or not known.ever_dated
