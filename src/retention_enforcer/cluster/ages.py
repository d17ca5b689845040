"""Of which indices nobody can tell how old their documents are, and which field is likely meant."""

from __future__ import annotations

from collections.abc import Mapping

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.documents_seen import Answer
from retention_enforcer.cluster.expressions import packed
from retention_enforcer.cluster.indices_seen import FieldTypes, read_dates
from retention_enforcer.cluster.survey import Governed
from retention_enforcer.domain.facts import Ageless, Evidence
from retention_enforcer.domain.timestamps import absent


def ages_untold(
    client: Elasticsearch,
    governed: Mapping[str, Governed],
    types: FieldTypes,
    answer: Answer,
    evidence: Mapping[str, Evidence],
) -> dict[str, Ageless]:
    """Return why the documents of these indices have no age; absent are empty ones, and those whose documents have one.

    What had dated documents before, and lost them, is not judged by the others. One request for all indices with
    documents of which none has the timestamp.
    """
    without = []
    for name, index in governed.items():
        seen = answer.seen.get(name)
        if index.category.max_age is None or seen is None or not seen.documents:
            continue
        known = evidence.get(index.metadata.uuid)
        if known is not None and known.ever_dated and not seen.having:
            continue
        if types.of(index.category.timestamp, name) is None or not seen.having:
            without.append(name)
    dates = read_dates(client, packed(sorted(without))) if without else {}
    return {
        name: absent(name, governed[name].category.timestamp, answer.seen[name].documents, dates.get(name, ()))
        for name in without
    }
