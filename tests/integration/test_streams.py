"""Data streams: where the server has them. Backing indices are judged one by one, the stream itself stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from elasticsearch import ApiError, Elasticsearch
from elasticsearch.helpers import bulk

from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.domain.instants import DAY
from workbench import Workbench

Stream = Callable[..., str]


@pytest.fixture
def stream(bench: Workbench, es: Elasticsearch) -> Iterator[Stream]:
    """Makes a data stream under the prefix: one backing index for each list of timestamps."""
    try:
        es.indices.get_data_stream(name="*")
    except ApiError as error:
        pytest.skip(f"this server has no data streams ({error.meta.status})")
    made: list[str] = []

    def make(name: str, *backing: list[int], settings: dict | None = None) -> str:
        full = bench.prefix + name
        template = {
            "settings": {"number_of_shards": 1, "number_of_replicas": 0, **(settings or {})},
            "mappings": {"properties": {"@timestamp": {"type": "date"}}},
        }
        made.append(full)
        es.indices.put_index_template(name=full, index_patterns=[full], data_stream={}, template=template, priority=500)
        es.indices.create_data_stream(name=full)
        for number, timestamps in enumerate(backing):
            if number:
                es.indices.rollover(alias=full)
            actions = ({"_op_type": "create", "_index": full, "_source": {"@timestamp": t}} for t in timestamps)
            bulk(es, actions, refresh=True)
        return full

    yield make
    for full in made:
        es.indices.delete_data_stream(name=full)
        es.indices.delete_index_template(name=full)


def backing_counts(es: Elasticsearch, full: str) -> list[int]:
    (found,) = es.indices.get_data_stream(name=full)["data_streams"]
    return [int(es.count(index=index["index_name"])["count"]) for index in found["indices"]]


def test_due_backing_indices_go_and_the_write_index_stays(bench: Workbench, stream: Stream) -> None:
    now = SystemClock().now()
    full = stream("logs-app", [now - 20 * DAY], [now - 18 * DAY, now - 17 * DAY], [now - DAY, now])
    bench.ready()
    ran = bench.run("run", "--once")
    assert ran.code == 0, ran.err
    assert backing_counts(bench.es, full) == [2]


def test_a_due_write_index_is_rolled_over_and_then_deleted(bench: Workbench, stream: Stream) -> None:
    now = SystemClock().now()
    full = stream("logs-idle", [now - 20 * DAY], [now - 19 * DAY])
    bench.ready()
    ran = bench.run("run", "--once")
    assert ran.code == 0, ran.err
    assert backing_counts(bench.es, full) == [0]
    outcomes = [(r["action"], r["outcome"]) for r in bench.records() if r["kind"] == "outcome"]
    deletions = [outcome for outcome in outcomes if outcome[0] != "apply_lifecycle"]
    assert sorted(deletions) == [("delete_index", "done"), ("delete_index", "done"), ("rollover", "done")]


def test_a_straddling_backing_index_is_trimmed(bench: Workbench, stream: Stream) -> None:
    now = SystemClock().now()
    full = stream("logs-late", [now - 20 * DAY, now - 5 * DAY, now], [now])
    bench.ready()
    assert bench.run("run", "--once").code == 0
    assert backing_counts(bench.es, full) == [2, 1]


def test_a_stream_named_literally_is_no_container(bench: Workbench, stream: Stream) -> None:
    now = SystemClock().now()
    full = stream("records", [now - 20 * DAY], [now])
    bench.ready()
    planned = bench.run("plan", "--output", "json").plan("records")
    assert [p["action"] for p in planned["purge"]] == ["delete_index"]
    assert bench.run("run", "--once").code == 0
    assert backing_counts(bench.es, full) == [1]


def test_an_index_under_somebody_elses_lifecycle_is_left_alone_unless_it_is_adopted(
    bench: Workbench, stream: Stream
) -> None:
    now = SystemClock().now()
    full = stream("logs-ilm", [now - 20 * DAY], [now], settings={"index.lifecycle.name": "not-ours"})
    bench.ready()
    left = bench.run("run", "--once")
    assert left.code == 3
    assert "lifecycle policy not-ours, which the enforcer did not create" in left.err
    assert backing_counts(bench.es, full) == [1, 1]
    bench.policy_text = bench.policy_text.replace("rollover: 1d\n", "rollover: 1d\n    foreign_lifecycle: adopt\n")
    assert bench.run("policy", "accept").code == 0
    assert bench.run("run", "--once").code == 0
    assert backing_counts(bench.es, full) == [1]


def test_a_closed_backing_index_is_in_doubt_and_hides_no_other(bench: Workbench, stream: Stream) -> None:
    now = SystemClock().now()
    full = stream("logs-closed", [now - 20 * DAY], [now - 19 * DAY], [now])
    (found,) = bench.es.indices.get_data_stream(name=full)["data_streams"]
    bench.es.indices.close(index=found["indices"][0]["index_name"])
    bench.ready()
    assert bench.run("run", "--once").code == 3
    (after,) = bench.es.indices.get_data_stream(name=full)["data_streams"]
    assert [i["index_name"] for i in after["indices"]] == [found["indices"][n]["index_name"] for n in (0, 2)]
