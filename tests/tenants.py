"""Customers in shared indices and in some of their own, and what became of them: counted without the product."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from elasticsearch.helpers import bulk

from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.domain.instants import DAY
from workbench import Workbench

POLICY = """\
version: 1
name: {prefix}policy
margin: 1h
on_request: 7d
categories:
  - id: configuration
    clause: {{document: Test promises, section: "1", item: configuration, updated: 2026-01-01}}
    indices: ["{prefix}configuration"]
    subjects: {{account: uin, application: sdkappid}}
    owns: {{account: uin, application: sdkappid}}
    after_termination: 7d
  - id: keys
    clause: {{document: Test promises, section: "9", item: keys, updated: 2026-01-01}}
    indices: ["{prefix}keys", "{prefix}usage"]
    subjects: {{application: sdkappid}}
    after_termination: 7d
  - id: application-logs
    clause: {{document: Test promises, section: "10", item: application logs, updated: 2026-01-01}}
    indices: ["{prefix}application-logs-{{application}}-x"]
    subjects: {{application: sdkappid}}
    after_termination: 7d
"""
FIELDS = {"@timestamp": {"type": "date"}, "uin": {"type": "keyword"}, "sdkappid": {"type": "keyword"}}
SHARED = ("configuration", "keys", "usage")
OTHERS = 300
"""How many documents of somebody else each shared index begins with."""


def own(application: str) -> str:
    """The name of an application's own index."""
    return f"application-logs-{application}-x"


def founded(bench: Workbench) -> Workbench:
    """Make the shared indices, and an enforcer that purges in the run that first sees a request."""
    bench.policy_text = POLICY
    bench.settings["ENFORCER_GRACE"] = "0s"
    for name in SHARED:
        create(bench, name)
        add(bench, name, [{"sdkappid": "other"}] * OTHERS)
    bench.ready()
    return bench


def create(bench: Workbench, name: str, **settings: Any) -> None:
    """Create an index under the prefix."""
    body = {"number_of_shards": 1, "number_of_replicas": 0, **settings}
    bench.es.indices.create(index=bench.prefix + name, settings=body, mappings={"properties": FIELDS})


def add(bench: Workbench, name: str, documents: Iterable[Mapping[str, Any]]) -> int:
    """Add documents of a day ago; return how many."""
    yesterday = SystemClock().now() - DAY
    actions = ({"_index": bench.prefix + name, "_source": {"@timestamp": yesterday, **d}} for d in documents)
    written, _ = bulk(bench.es.options(request_timeout=120), actions, chunk_size=5_000, refresh=True)
    return int(written)


def by_application(bench: Workbench, name: str) -> Counter[str]:
    """How many documents of each application an index has; what names an account alone stands under it."""
    if bench.is_gone(name):
        return Counter()
    bench.es.indices.refresh(index=bench.prefix + name)
    buckets = {"terms": {"field": "sdkappid", "size": 20_000}}
    answer = bench.es.search(index=bench.prefix + name, size=0, track_total_hits=True, aggs={"whose": buckets})
    counted = Counter({str(b["key"]): int(b["doc_count"]) for b in answer["aggregations"]["whose"]["buckets"]})
    assert counted.total() == answer["hits"]["total"]["value"]
    return counted


def written(bench: Workbench, name: str) -> int:
    """How many operations an index's one shard has carried out: a document that is deleted twice counts twice."""
    stats = bench.es.indices.stats(index=bench.prefix + name, level="shards")["indices"][bench.prefix + name]
    (copies,) = stats["shards"].values()
    return int(copies[0]["seq_no"]["max_seq_no"]) + 1


def registry(bench: Workbench, kind: str = "remembered") -> list[dict[str, Any]]:
    """What the registry says of each termination, in the order of the requests."""
    bench.es.indices.refresh(index=bench.own.terminations)
    answer = bench.es.search(index=bench.own.terminations, query={"term": {"kind": kind}}, size=1_000)
    return [hit["_source"]["body"] for hit in sorted(answer["hits"]["hits"], key=lambda hit: str(hit["_id"]))]


def actions(bench: Workbench) -> list[str]:
    """What the ledger says was done about terminations."""
    return [record["action"] for record in bench.records() if record["kind"] == "termination"]
