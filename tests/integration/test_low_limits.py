"""A cluster whose limits are far below the usual: the promise is kept, slower, and nothing is asked beyond them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from elasticsearch.helpers import bulk

from retention_enforcer.cluster.limits import Limits, read_limits
from retention_enforcer.domain.instants import DAY, HOUR, SECOND
from workbench import SystemClock, Workbench, made_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CLUSTER = {
    "action.search.shard_count.limit": 5,
    "search.max_buckets": 10,
    "search.default_keep_alive": "30s",
    "search.max_keep_alive": "30s",
}
INDEX = {"index.max_result_window": 10, "index.max_terms_count": 10, "index.max_docvalue_fields_search": 1}
INDICES, DUE, USERS = 24, 12, 40
FIELDS = {
    "@timestamp": {"type": "date"},
    **{name: {"type": "keyword"} for name in ("sdkappid", "user_id", "uin")},
}


@pytest.fixture(scope="module")
def low(own_server: Callable[..., Any]) -> Iterator[Any]:
    """A server with low limits, and a client of it."""
    server = own_server(settings={"http.max_content_length": "1mb"})
    with closing(Elasticsearch(server.url, basic_auth=(server.admin.username, server.admin.password))) as es:
        es.cluster.put_settings(persistent=CLUSTER)
        yield SimpleNamespace(url=server.url, username=server.admin.username, password=server.admin.password, es=es)
    server.close()


@pytest.fixture
def bench(low: Any, tmp_path: Path) -> Iterator[Workbench]:
    with made_for(low, low.es, "low-", tmp_path) as made:
        made.settings |= {"ENFORCER_GRACE": "0s"}
        yield made


def test_the_limits_of_a_cluster_are_read(low: Any) -> None:
    assert read_limits(low.es) == Limits(indices=10, shards=5, buckets=10, keep_alive=30 * SECOND, body=512 * 1_024)


def test_the_promise_is_kept_under_low_limits(bench: Workbench) -> None:
    now = SystemClock().now()
    for number in range(INDICES):
        at = now - (20 if number < DUE else 2) * DAY
        bench.index(
            f"logs-{number:02}", [at + n * HOUR for n in range(3)], settings=INDEX, mappings={"properties": FIELDS}
        )
    # A container is trimmed; of two users of an application one is erased, of many others one is held.
    bench.index("records", [], settings=INDEX, mappings={"properties": FIELDS})
    bulk(
        bench.es,
        ({"_index": f"{bench.prefix}records", "@timestamp": now - (20 if n % 2 else 2) * DAY} for n in range(60)),
    )
    bulk(
        bench.es,
        (
            {
                "_index": f"{bench.prefix}logs-{INDICES - 1}",
                "_id": f"{n}-{'x' * 500}",
                "@timestamp": now - 2 * DAY,
                "sdkappid": f"app{n % 2}",
                "user_id": f"u{n % USERS}",
                "note": "n" * 100,
            }
            for n in range(1_500)
        ),
        refresh=True,
    )
    bench.ready()
    for user in range(12):
        until = ("--owner", "a", "--reason", "b", "--until", "2030-01-01")
        assert bench.run("hold", "add", "--application", f"app{user % 2}", "--user", f"u{user}", *until).code == 0
    assert bench.run("erase", "--application", "app1").code == 0

    ran = bench.run("run", "--once")
    assert ran.code == 0, ran.err[-4_000:]
    assert [number for number in range(INDICES) if bench.is_gone(f"logs-{number:02}")] == list(range(DUE))
    assert bench.count("records") == 30
    left = bench.es.search(
        index=f"{bench.prefix}logs-{INDICES - 1}",
        query={"term": {"sdkappid": "app1"}},
        collapse={"field": "user_id"},
        size=10,
    )
    assert sorted(hit["fields"]["user_id"][0] for hit in left["hits"]["hits"]) == ["u1", "u11", "u3", "u5", "u7", "u9"]
    report = bench.run("report", "--output", "json")
    assert (report.code, report.json["kept"]) == (0, True)


def test_an_index_that_a_limit_keeps_from_being_looked_into_names_the_setting(bench: Workbench) -> None:
    now = SystemClock().now()
    bench.index("logs-wide", [now - DAY], settings={"number_of_shards": 6}, mappings={"properties": FIELDS})
    bench.index("logs-good", [now - DAY], mappings={"properties": FIELDS})
    (skip,) = bench.run("plan", "--output", "json").plan("logs")["skip"]
    assert skip["index"] == f"{bench.prefix}logs-wide"
    assert "action.search.shard_count.limit" in skip["reason"]
