"""Searches of many indices, several in one request, that count documents by index.

The names stand in the body, where there is room for them. How many indices, shards and bytes one search and one request
have is bounded, whatever is asked. One that is refused, or answered in part, is halved until the odd index is alone.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.batches import Cause, Refusals, halves
from retention_enforcer.cluster.errors import cause_of, from_answer, translated
from retention_enforcer.cluster.limits import Limits
from retention_enforcer.domain.errors import ClusterUnavailable, RequestRejected

T = TypeVar("T")

COUNT = {"documents": {"value_count": {"field": "_seq_no"}}}
"""Counts documents. A bucket counts one several times that says so of itself, in `_doc_count`; each has one number."""

_BUCKETS = "responses.aggregations.indices.buckets"
_FIELDS = [
    "responses.status",
    "responses.error",
    "responses.timed_out",
    "responses._shards",
    "responses.hits.total",
    "responses.aggregations.indices.sum_other_doc_count",
    f"{_BUCKETS}.key",
    f"{_BUCKETS}.**.value",
    f"{_BUCKETS}.**.sort",
]
_UNSAID = "a shard failed without a reason"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question(Generic[T]):
    """One question about some indices."""

    indices: Mapping[str, int | None]
    """How many shards each of them has, all of which must answer; None where that is not known."""
    query: Mapping[str, Any] | None
    inner: Mapping[str, Any]
    """What is counted of the documents of each index, beside how many match."""
    about: T
    """What the caller knows it by."""

    def of(self, names: Iterable[str]) -> Question[T]:
        """Return the same question about some of its indices."""
        return replace(self, indices={name: self.indices[name] for name in names})

    @property
    def body(self) -> dict[str, Any]:
        """What is sent."""
        by_index = {"terms": {"field": "_index", "size": len(self.indices)}, "aggs": {**self.inner, **COUNT}}
        query = {"query": self.query} if self.query is not None else {}
        return {"size": 0, "track_total_hits": True, **query, "aggs": {"indices": by_index}}


def counted(query: Mapping[str, Any], inner: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the aggregation that counts the documents that match, under `documents`."""
    return {"filter": query, "aggs": {**(inner or {}), **COUNT}}


def count_in(bucket: Mapping[str, Any], *path: str) -> int:
    """Return how many documents one of these counted; 0 where it was not asked for."""
    for name in path:
        bucket = bucket.get(name, {})
    return int(bucket.get("documents", {}).get("value", 0))


def ask_about(
    client: Elasticsearch, questions: Iterable[Question[T]], limits: Limits, refusals: Refusals
) -> Iterator[tuple[T, Mapping[str, Mapping[str, Any]]]]:
    """Yield, for parts of the questions, what is counted in each index; one without a matching document is absent.

    What failed stands in `refusals`, by the indices, and nothing of it in what is yielded. Raises ClusterUnavailable or
    RequestRejected where not one search was answered, as `Refusals` says.
    """
    waiting = deque(question.of(some) for question in questions for some in within(question.indices, limits))
    most = limits.indices
    while waiting:
        page = _page(waiting, replace(limits, indices=most))
        responses = _responses(client, page)
        if len(page) > 1 and "refused" in responses[0]:
            most = max(1, most // 2)  # of several searches none may be at fault
            waiting.extendleft(reversed(page))
            continue
        for question, response in zip(page, responses, strict=True):
            trouble = _trouble(question, response)
            if trouble is None:
                refusals.answered()
                failed = _failed(response)
                refusals.causes.update(failed)
                yield question.about, {n: found for n, found in _buckets(response).items() if n not in failed}
                continue
            refusals.failed(trouble)
            if len(question.indices) == 1:
                refusals.alone(next(iter(question.indices)), trouble)
            else:
                waiting.extend(question.of(half) for half in halves(tuple(question.indices)))
    refusals.raise_if_nothing_was_answered()


def within(indices: Mapping[str, int | None], limits: Limits) -> Iterator[tuple[str, ...]]:
    """Yield as many of these indices at a time as one search may have; by name, with the numbers of their shards."""
    some: list[str] = []
    shards = 0
    for name, its in sorted(indices.items()):
        if some and (len(some) >= limits.indices or shards + (its or 1) > limits.shards):
            yield tuple(some)
            some, shards = [], 0
        some.append(name)
        shards += its or 1
    if some:
        yield tuple(some)


def _page(waiting: deque[Question[T]], limits: Limits) -> list[Question[T]]:
    """Take from those that wait what one request may carry, at least one."""
    page: list[Question[T]] = []
    indices, size = 0, 0
    while waiting:
        question = waiting[0]
        more = len(json.dumps([list(question.indices), question.body]).encode())
        if page and (size + more > limits.body or indices + len(question.indices) > limits.indices):
            break
        page.append(waiting.popleft())
        indices, size = indices + len(question.indices), size + more
    return page


def _responses(client: Elasticsearch, page: Sequence[Question[T]]) -> list[Mapping[str, Any]]:
    """Return what is answered to each search; where they are refused together, that for each."""
    lines: list[Mapping[str, Any]] = []
    for question in page:
        # Partial results, since they name what is missing: refusing them would blind all for one broken shard.
        lines.append({"index": list(question.indices), "allow_partial_search_results": True, "request_cache": False})
        lines.append(question.body)
    try:
        with translated():
            return list(client.msearch(searches=lines, filter_path=_FIELDS).body["responses"])
    except RequestRejected as error:
        return [{"refused": error}] * len(page)


def _trouble(question: Question[T], response: Mapping[str, Any]) -> ClusterUnavailable | RequestRejected | None:
    """Return why an answer says nothing of a question's indices, None where each is accounted for, or named."""
    if "refused" in response:
        refused: RequestRejected = response["refused"]
        return refused
    if "error" in response:
        return _refusal(response)
    shards = response["_shards"]
    failures = shards.get("failures", [])
    unnamed = [failure for failure in failures if "index" not in failure]
    if unnamed or (failures and len(question.indices) == 1):
        return RequestRejected(cause_of((unnamed or failures)[0]) or _UNSAID)
    if response["timed_out"]:
        return RequestRejected("the search took longer than search.default_search_timeout")
    if not adds_up(question.indices, response):
        return RequestRejected(
            f"the answer is incomplete: only {shards['successful']} of {shards['total']} shards answered, "
            f"but none is reported as failed"
        )
    return None


def _refusal(response: Mapping[str, Any]) -> ClusterUnavailable | RequestRejected:
    error = from_answer(int(response["status"]), response)
    if isinstance(error, ClusterUnavailable) and not response["error"].get("failed_shards"):
        return error
    if isinstance(error, RequestRejected):
        return error
    return RequestRejected(error.message)  # of its shards, not of the cluster


def _failed(response: Mapping[str, Any]) -> dict[str, Cause]:
    failures = response["_shards"].get("failures", [])
    return {failure["index"]: Cause(cause_of(failure) or _UNSAID) for failure in reversed(failures)}


def _buckets(response: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    aggregations = response.get("aggregations", {})
    return {str(bucket["key"]): bucket for bucket in aggregations.get("indices", {}).get("buckets", [])}


def adds_up(indices: Mapping[str, int | None], response: Mapping[str, Any]) -> bool:
    """Return whether every shard is accounted for, and every document stands in a bucket."""
    shards = response["_shards"]
    named = bool(shards.get("failures")) or not shards["failed"]
    expected = [its for its in indices.values() if its is not None]
    known = len(expected) < len(indices) or shards["total"] == sum(expected)
    return (
        named
        and known
        and shards["total"] == shards["successful"] + shards["failed"]
        and not shards["skipped"]
        and not response["timed_out"]
        and response["aggregations"]["indices"]["sum_other_doc_count"] == 0
        and response["hits"]["total"]["value"] == sum(count_in(bucket) for bucket in _buckets(response).values())
    )
