"""Fifty rollovers of an alias to which one line in a hundred comes late, beside one to which none does.

Both roll over as often, and whole indices go. A day is twenty seconds: a line that is late is two to three rollovers
old. Where the server has lifecycles they roll over, else the daemon does.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from elasticsearch.helpers import bulk

from lifecycle_bench import LifecycleBench
from retention_enforcer.cluster.preflight import Capabilities
from retention_enforcer.domain.instants import SECOND
from running import running
from workbench import MAPPING

ROLLOVER = 20 * SECOND
ROLLOVERS = int(os.environ.get("SOAK_ROLLOVERS", "50"))
LATE = (40 * SECOND, 46 * SECOND)
PER_SECOND = 100

POLICY = """\
version: 1
name: {prefix}policy
margin: 12s
on_request: 1d
categories:
  - id: logs
    clause: {{document: Test promises, section: "1", item: logs, updated: 2026-01-01}}
    indices: ["{prefix}logs-*"]
    subjects: {{application: sdkappid}}
    max_age: 60s
    rollover: 20s
"""


@pytest.fixture
def bench(server: Any, es: Elasticsearch, prefix: str, tmp_path: Any) -> Iterator[LifecycleBench]:
    made = LifecycleBench(
        es=es, url=server.url, username=server.username, password=server.password, prefix=prefix, folder=tmp_path
    )
    made.policy_text = POLICY
    made.settings |= {"ENFORCER_INTERVAL": "2s", "ENFORCER_GRACE": "0s"}
    template = {"settings": {"number_of_shards": 1, "number_of_replicas": 0}, "mappings": MAPPING}
    es.indices.put_index_template(
        name=f"{prefix}logs", index_patterns=[f"{prefix}logs-*"], template=template, priority=700
    )
    yield made
    if Capabilities(es).has_lifecycles():
        made.clean()
    es.options(ignore_status=404).indices.delete_index_template(name=f"{prefix}logs")


def write(bench: LifecycleBench, end: threading.Event) -> None:
    """Write a hundred lines a second to each alias, one of those to the first late."""
    while not end.wait(1):
        now = bench.now()
        for name, last in (("late", random.randint(*LATE)), ("plain", 0)):
            ages = [0] * (PER_SECOND - 1) + [last]
            alias = f"{bench.prefix}logs-{name}"
            bulk(bench.es, ({"_index": alias, "_source": {"@timestamp": now - age}} for age in ages), refresh=True)


def rollovers(bench: LifecycleBench, name: str) -> int:
    """How often an alias was rolled over."""
    names = bench.es.indices.get_alias(name=f"{bench.prefix}logs-{name}").body
    return max(int(index.rpartition("-")[2]) for index in names) - 1


@pytest.mark.timeout(1_800)
def test_one_late_line_in_a_hundred_keeps_no_index_from_going_whole(bench: LifecycleBench) -> None:
    lifecycles = Capabilities(bench.es).has_lifecycles()
    for name in ("late", "plain"):
        bench.index(f"logs-{name}-000001", [], aliases={f"{bench.prefix}logs-{name}": {"is_write_index": True}})
    bench.ready()
    end = threading.Event()
    writer = threading.Thread(target=write, args=(bench, end))
    with running(bench) as daemon:
        began = time.monotonic()
        writer.start()
        try:
            time.sleep(ROLLOVERS * ROLLOVER / SECOND)
            took = time.monotonic() - began
            late, plain = rollovers(bench, "late"), rollovers(bench, "plain")
        finally:
            end.set()
            writer.join()
        assert daemon.end(within=60) == 0
    gone: Counter[str] = Counter()
    for record in bench.records():
        of_late = str(record.get("target", {}).get("index", "")).startswith(f"{bench.prefix}logs-late-")
        if record["kind"] == "outcome" and record["outcome"] == "done" and of_late:
            documents = record.get("evidence", {}).get("documents", 0)
            gone[record["action"]] += documents
            gone[f"{record['action']}, times"] += 1
    whole = gone["delete_index"] + gone["observed_deletion"]
    share = whole / (whole + gone["delete_documents"])
    possible = took * SECOND / ROLLOVER
    made = f"{late} with late lines, {plain} without, of {possible:.0f} in {took:.0f} s"
    print(f"lifecycles: {lifecycles}; rollovers: {made}; {share:.2%} whole; {gone}")
    assert late >= 0.95 * plain - 1
    assert share > 0.95
    assert lifecycles or gone["rollover, times"] == late
    bench.assert_every_intent_is_answered_once()
