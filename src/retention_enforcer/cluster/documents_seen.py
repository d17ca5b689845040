"""What one search says of the documents in many indices: how many there are, and how old they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.changes import IndicesChanged
from retention_enforcer.cluster.errors import from_answer, kind_of, one_line, reason_of, translated
from retention_enforcer.cluster.subject_queries import query_of_any
from retention_enforcer.domain.deadlines import believable, due_before, overdue_before
from retention_enforcer.domain.policy import Category, Policy
from retention_enforcer.domain.subjects import Match

CHUNK = 2_000
"""Indices in one search. Each is a bucket, and Elasticsearch gives up at 65,536 buckets."""

_MOST_LABELS = 20
"""Subjects whose documents are counted one by one; of more, every one that an index can have counts as there."""

_CHANGED = frozenset({"index_not_found_exception", "index_closed_exception"})
_HOLDING = "holding-"
_HELD_BY = "held-by-"
_BUCKETS = "responses.aggregations.indices.buckets"
_FIELDS = [
    "responses.status",
    "responses.error",
    "responses.timed_out",
    "responses._shards",
    "responses.hits.total",
    "responses.aggregations.indices.sum_other_doc_count",
    f"{_BUCKETS}.key",
    f"{_BUCKETS}.doc_count",
    f"{_BUCKETS}.having.doc_count",
    f"{_BUCKETS}.dated.doc_count",
    f"{_BUCKETS}.dated.*.doc_count",
    f"{_BUCKETS}.dated.*.value",
    f"{_BUCKETS}.held.doc_count",
    f"{_BUCKETS}.held.due.doc_count",
    f"{_BUCKETS}.pairs.*.value",
    f"{_BUCKETS}.{_HELD_BY}*.doc_count",
    f"{_BUCKETS}.spelled.doc_count",
    f"{_BUCKETS}.{_HOLDING}*.doc_count",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """One question about some indices; without category and timestamp it asks for the number of documents only."""

    category: Category | None
    names: tuple[str, ...]
    shards: int
    """How many shards these indices have together, all of which must answer."""
    timestamp: str | None
    fields: tuple[str, ...] = ()
    """Fields of which it is asked how many documents hold them, also with a value that was not indexed."""
    held: tuple[Match, ...] = ()
    """What the documents of held subjects look like, to be counted."""
    spelled: tuple[Match, ...] = ()
    """What those look like that have the same ids as numbers in another spelling."""
    horizon: int = 0
    """For how long ahead it is counted what becomes due, in milliseconds; 0: not at all."""
    since: int | None = None
    """The instant since which it is counted what became due; None: not at all."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Whose documents these are."""
        return tuple(sorted({match.label for match in self.held}))


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentsSeen:
    """The documents of one index. Instants in milliseconds."""

    documents: int = 0
    having: int = 0
    """Documents that have the timestamp, whatever stands in it."""
    dated: int = 0
    values: int = 0
    """Timestamps in the dated documents; more than documents where one has several."""
    oldest: int | None = None
    newest: int | None = None
    due: int = 0
    overdue: int = 0
    coming: int = 0
    """Documents that become due within the horizon."""
    lately: int = 0
    """Documents that became due since the look before."""
    still: int = 0
    """Documents that become due within the horizon of the look before."""
    held: int = 0
    """Documents of held subjects."""
    held_by: frozenset[str] = frozenset()
    """The labels of those of these subjects of which there are documents."""
    held_due: int = 0
    several: bool = False
    """Whether any of these may have several values in a field of a pair."""
    spelled: int = 0
    """Documents with the same ids in another spelling."""
    holding: tuple[int, ...] = ()
    """Documents that hold each of the fields asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the searches said: an index stands in one of the two, an empty one in none."""

    seen: dict[str, DocumentsSeen]
    unknown: dict[str, str]
    """Why nothing is known of an index."""


def search_documents(client: Elasticsearch, policy: Policy, searches: Sequence[Search], now: int) -> Answer:
    """Return what all searches say, in one request; the names stand in its body, where there is room for them.

    Raises IndicesChanged if an index has gone or was closed meanwhile.
    """
    if not searches:
        return Answer(seen={}, unknown={})
    lines: list[Mapping[str, Any]] = []
    for search in searches:
        # Partial results, since they name what is missing: refusing them would blind all for one broken shard.
        lines.append({"index": search.names, "allow_partial_search_results": True, "request_cache": False})
        lines.append(_body(search, policy, now))
    with translated():
        responses = client.msearch(searches=lines, filter_path=_FIELDS).body["responses"]
    answer = Answer(seen={}, unknown={})
    for search, response in zip(searches, responses, strict=True):
        _take(search, response, answer)
    return answer


def _body(search: Search, policy: Policy, now: int) -> dict[str, Any]:
    by_index: dict[str, Any] = {"terms": {"field": "_index", "size": len(search.names)}}
    inner = {f"{_HOLDING}{number}": {"filter": holds(field)} for number, field in enumerate(search.fields)}
    if search.timestamp is not None and search.category is not None:
        inner["having"] = {"filter": holds(search.timestamp)}
        inner["dated"] = _dated(search, search.category, search.timestamp, policy, now)
    if search.held:
        inner["held"] = {"filter": query_of_any(search.held)}
        if pairs := [match for match in search.held if match.single]:
            inner["pairs"] = _pairs(pairs)
        if search.timestamp is not None and search.category is not None and search.category.max_age is not None:
            inner["held"]["aggs"] = {"due": {"filter": _due(search.category, search.timestamp, policy, now)}}
    if 1 < len(search.labels) <= _MOST_LABELS:
        for number, label in enumerate(search.labels):
            theirs = [match for match in search.held if match.label == label]
            inner[f"{_HELD_BY}{number}"] = {"filter": query_of_any(theirs)}
    if search.spelled:
        inner["spelled"] = {"filter": query_of_any(search.spelled)}
    if inner:
        by_index["aggs"] = inner
    return {"size": 0, "track_total_hits": True, "aggs": {"indices": by_index}}


def _dated(search: Search, category: Category, timestamp: str, policy: Policy, now: int) -> dict[str, Any]:
    first, last = believable(policy, now)
    field = {"field": timestamp}
    inner = {"oldest": {"min": field}, "newest": {"max": field}, "values": {"value_count": field}}
    if category.max_age is not None:
        inner["due"] = {"filter": _due(category, timestamp, policy, now)}
        inner["overdue"] = {"filter": _range(timestamp, gte=first, lt=overdue_before(category, now))}
        cut = due_before(category, policy.margin, now)
        if search.horizon:
            inner["coming"] = {"filter": _range(timestamp, gte=cut, lt=cut + search.horizon)}
        if search.since is not None:
            passed = now - search.since
            inner["lately"] = {"filter": _range(timestamp, gte=cut - passed, lt=cut)}
            inner["still"] = {"filter": _range(timestamp, gte=cut, lt=max(cut, cut + search.horizon - passed))}
    return {"filter": _range(timestamp, gte=first, lte=last), "aggs": inner}


def _pairs(matches: Sequence[Match]) -> dict[str, Any]:
    """Return what counts the documents of pairs, and the values in each of their fields."""
    fields = {name for match in matches for name, _ in match.conditions}
    values = {f"values-{number}": {"value_count": {"field": name}} for number, name in enumerate(sorted(fields))}
    # Not by the count of the bucket: a document may say of itself that it counts for several.
    return {"filter": query_of_any(matches), "aggs": {"documents": {"value_count": {"field": "_seq_no"}}, **values}}


def _several(pairs: Mapping[str, Any]) -> bool:
    documents = pairs["documents"]["value"]
    return any(counted["value"] != documents for counted in pairs.values())


def _due(category: Category, timestamp: str, policy: Policy, now: int) -> dict[str, Any]:
    return _range(timestamp, gte=policy.earliest, lt=due_before(category, policy.margin, now))


def holds(field: str) -> dict[str, Any]:
    """Return the query for documents that hold a field.

    A value too long or malformed for its mapping is kept, but not indexed: only `_ignored` names its field.
    """
    return {"bool": {"should": [{"exists": {"field": field}}, {"term": {"_ignored": field}}]}}


def _range(timestamp: str, **bounds: int) -> dict[str, Any]:
    return {"range": {timestamp: {**bounds, "format": "epoch_millis"}}}


def _take(search: Search, response: Mapping[str, Any], answer: Answer) -> None:
    if "error" in response:
        answer.unknown.update(dict.fromkeys(search.names, _why_failed(response)))
        return
    failed = dict(_failures(response["_shards"]))
    seen = {bucket["key"]: _seen(bucket, search) for bucket in response["aggregations"]["indices"].get("buckets", [])}
    if None in failed or not adds_up(search, response, seen):
        reason = failed.get(None, "the answer is incomplete and does not say where")
        answer.unknown.update(dict.fromkeys(search.names, reason))
        return
    answer.unknown.update({name: reason for name, reason in failed.items() if name is not None})
    answer.seen.update({name: facts for name, facts in seen.items() if name not in failed})


def _why_failed(response: Mapping[str, Any]) -> str:
    """Return why a search whose every shard failed did; raise what concerns more than its indices."""
    if kind_of(response) in _CHANGED:
        raise IndicesChanged
    if kind_of(response) != "search_phase_execution_exception":
        raise from_answer(int(response["status"]), response)
    shards = response["error"].get("failed_shards") or [{}]
    return _reason(shards[0]) if shards[0] else reason_of(response)


def _failures(shards: Mapping[str, Any]) -> Iterator[tuple[str | None, str]]:
    for failure in shards.get("failures", []):
        yield failure.get("index"), _reason(failure)


def _reason(failure: Mapping[str, Any]) -> str:
    reason = failure.get("reason") or {}
    return one_line(f"{reason.get('type', 'a shard failed')}: {reason.get('reason') or 'no reason given'}")


def adds_up(search: Search, response: Mapping[str, Any], seen: Mapping[str, DocumentsSeen]) -> bool:
    """Return whether every shard is accounted for, and every document stands in a bucket."""
    shards = response["_shards"]
    named = bool(shards.get("failures")) or not shards["failed"]
    all_shards = shards["total"] == search.shards == shards["successful"] + shards["failed"]
    counted = sum(index.documents for index in seen.values())
    return (
        named
        and all_shards
        and not shards["skipped"]
        and not response["timed_out"]
        and response["aggregations"]["indices"]["sum_other_doc_count"] == 0
        and response["hits"]["total"]["value"] == counted
    )


def _seen(bucket: Mapping[str, Any], search: Search) -> DocumentsSeen:
    dated = bucket.get("dated", {})
    return DocumentsSeen(
        documents=int(bucket["doc_count"]),
        having=int(bucket.get("having", {}).get("doc_count", 0)),
        dated=int(dated.get("doc_count", 0)),
        values=int(dated.get("values", {}).get("value") or 0),
        oldest=_instant(dated.get("oldest", {})),
        newest=_instant(dated.get("newest", {})),
        due=int(dated.get("due", {}).get("doc_count", 0)),
        overdue=int(dated.get("overdue", {}).get("doc_count", 0)),
        coming=int(dated.get("coming", {}).get("doc_count", 0)),
        lately=int(dated.get("lately", {}).get("doc_count", 0)),
        still=int(dated.get("still", {}).get("doc_count", 0)),
        held=int(bucket.get("held", {}).get("doc_count", 0)),
        held_by=frozenset(_held_by(bucket, search)),
        held_due=int(bucket.get("held", {}).get("due", {}).get("doc_count", 0)),
        spelled=int(bucket.get("spelled", {}).get("doc_count", 0)),
        several=_several(bucket["pairs"]) if "pairs" in bucket else False,
        holding=tuple(int(bucket[f"{_HOLDING}{number}"]["doc_count"]) for number in range(len(search.fields))),
    )


def _held_by(bucket: Mapping[str, Any], search: Search) -> Iterator[str]:
    if not bucket.get("held", {}).get("doc_count"):
        return
    for number, label in enumerate(search.labels):
        if bucket.get(f"{_HELD_BY}{number}", {"doc_count": 1})["doc_count"]:
            yield label


def _instant(aggregation: Mapping[str, Any]) -> int | None:
    value = aggregation.get("value")
    return None if value is None else int(value)


def chunks(names: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Yield the names in pieces that one search can take."""
    ordered = sorted(names)
    for start in range(0, len(ordered), CHUNK):
        yield tuple(ordered[start : start + CHUNK])
