"""How many documents of an index each of many subjects has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.errors import translated
from retention_enforcer.cluster.expressions import concrete_name
from retention_enforcer.cluster.subject_queries import query_of_any
from retention_enforcer.domain.errors import ClusterUnavailable
from retention_enforcer.domain.subjects import Match

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
        for some in _chunks(sorted(asked)):
            filters = {f"n{number}": query_of_any(asked[label]) for number, label in enumerate(some)}
            counted = self._count(index, filters, spare)
            found |= {label: counted[f"n{number}"] for number, label in enumerate(some) if counted[f"n{number}"]}
        return found

    def of_any(self, index: str, matches: Sequence[Match]) -> int:
        """Return how many documents of an index match any of these. Raises as `by_label`."""
        return self._count(index, {"any": query_of_any(matches)}, ())["any"]

    def _count(self, index: str, filters: Mapping[str, object], spare: Sequence[Match]) -> dict[str, int]:
        with translated():
            answer = self._client.search(
                index=concrete_name(index),
                query={"bool": {"must_not": [query_of_any(spare)]}} if spare else None,
                size=0,
                track_total_hits=False,
                aggs={"labels": {"filters": {"filters": dict(filters)}}},
                filter_path=["_shards", "timed_out", "aggregations.labels.buckets.*.doc_count"],
            ).body
        shards = answer["_shards"]
        if shards["failed"] or shards["successful"] != shards["total"] or answer["timed_out"]:
            raise ClusterUnavailable(f"only a part of the shards of {index} answered", "see the cluster's health")
        buckets = answer["aggregations"]["labels"]["buckets"]
        return {name: int(bucket["doc_count"]) for name, bucket in buckets.items()}


def _chunks(labels: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(labels), _CHUNK):
        yield labels[start : start + _CHUNK]
