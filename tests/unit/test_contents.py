"""What a search of documents asks for, and what is read of its answer: under the same names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

from elasticsearch import Elasticsearch

from builders import NOW, category
from retention_enforcer.cluster.indices.contents import Search, search_documents
from retention_enforcer.cluster.limits import Limits
from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.domain.subjects.identity import AnyOf, Condition, ExactField, Match
from retention_enforcer.domain.timestamps import AT_TIMESTAMP, Mapped

INDEX = "logs-a"


class Answering:
    """A cluster in whose only index each thing that is counted is there once."""

    def msearch(self, searches: Sequence[Mapping[str, Any]], filter_path: Sequence[str]) -> SimpleNamespace:
        assert filter_path
        bucket = {"key": INDEX, **_once(searches[1]["aggs"]["indices"]["aggs"])}
        answer = {
            "timed_out": False,
            "_shards": {"total": 1, "successful": 1, "failed": 0, "skipped": 0},
            "hits": {"total": {"value": 1}},
            "aggregations": {"indices": {"sum_other_doc_count": 0, "buckets": [bucket]}},
        }
        return SimpleNamespace(body={"responses": [answer]})


def _once(aggregations: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _once(what.get("aggs", {})) or {"value": 1} for name, what in aggregations.items()}


def test_everything_that_is_counted_is_read() -> None:
    logs = category(indices=["logs-*"])
    where = ExactField(name="user")
    named = AnyOf(fields=(where,), conditions=(Condition(where=where, value="14"),))
    user = Match(parts=(named,), label="h1")
    search = Search(
        category=logs,
        shards={INDEX: 1},
        timestamp=Mapped(timestamp=AT_TIMESTAMP, type="date"),
        fields=("payload",),
        matches=(user,),
        spelled=(user,),
        horizon=1,
        since=NOW - 1,
    )
    client = cast(Elasticsearch, Answering())
    answer = search_documents(client, Policy(name="p", categories=(logs,)), [search], NOW, Limits())
    seen = answer.seen[INDEX]
    assert (seen.documents, seen.having, seen.dated, seen.values, seen.holding, seen.spelled) == (1, 1, 1, 1, (1,), 1)
    assert (seen.due, seen.overdue, seen.coming, seen.lately, seen.still) == (1, 1, 1, 1, 1)
    assert (seen.matching, seen.matching_due, seen.matching_labels) == (1, 1, {"h1"})
