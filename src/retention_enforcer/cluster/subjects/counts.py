"""How many documents of an index each of many subjects has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.batches import parts
from retention_enforcer.cluster.errors import raise_if_partial, translated
from retention_enforcer.cluster.expressions import concrete_name
from retention_enforcer.cluster.limits import most_terms
from retention_enforcer.cluster.searches import count_in, counted
from retention_enforcer.cluster.subject_queries import query_of_any
from retention_enforcer.domain.subjects.identity import Match

_CHUNK = 200
"""Subjects in one search; each is a filter of its own, and Elasticsearch gives up at 1,024 clauses by default."""


class SubjectCounts:
    """Counts; changes nothing."""

    def __init__(self, client: Elasticsearch) -> None:
        self._client = client

    def by_label(self, index: str, matches: Iterable[Match], spare: Sequence[Match] = ()) -> dict[str, int]:
        """Return how many documents of an index each label asks for; labels without any are absent.

        Documents that match any of `spare` do not count. What was written since the last refresh is not seen. Raises
        ClusterUnavailable for a partial answer.
        """
        asked: dict[str, list[Match]] = {}
        for match in matches:
            asked.setdefault(match.label, []).append(match)
        found: dict[str, int] = {}
        most = most_terms(self._client, [concrete_name(index)])
        for some in parts(sorted(asked), _CHUNK):
            queries = {f"n{number}": query_of_any(asked[label], most) for number, label in enumerate(some)}
            counts = self._count(index, queries, query_of_any(spare, most) if spare else None)
            found |= {label: counts[f"n{number}"] for number, label in enumerate(some) if counts[f"n{number}"]}
        return found

    def of_any(self, index: str, matches: Sequence[Match]) -> int:
        """Return how many documents of an index match any of these. Raises as `by_label`."""
        most = most_terms(self._client, [concrete_name(index)])
        return self._count(index, {"any": query_of_any(matches, most)}, None)["any"]

    def _count(
        self, index: str, queries: Mapping[str, Mapping[str, Any]], spare: Mapping[str, Any] | None
    ) -> dict[str, int]:
        with translated():
            answer = self._client.search(
                index=concrete_name(index),
                query={"bool": {"must_not": [spare]}} if spare else None,
                size=0,
                track_total_hits=False,
                aggs={name: counted(query) for name, query in queries.items()},
                filter_path=["_shards", "timed_out", "aggregations.*.documents.value"],
            ).body
        raise_if_partial(answer)
        return {name: count_in(answer["aggregations"], name) for name in queries}
