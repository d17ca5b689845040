"""Each way in which the lifecycle of a stream hangs, provoked on a server: the first cycle that can know names it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from elasticsearch import Elasticsearch
from elasticsearch.helpers import bulk

from lifecycle_bench import eventually, slow_repository
from retention_enforcer.domain.instants import HOUR
from streams import Kind, StreamBench

ROLLOVER = "cluster.lifecycle.default.rollover"


@pytest.fixture
def streams(server: object, es: Elasticsearch, prefix: str, tmp_path: object) -> Iterator[StreamBench]:
    """An enforcer on a server whose streams can have lifecycles of their own."""
    yield from StreamBench.on(server, es, prefix, tmp_path)


@contextmanager
def set_to(bench: StreamBench, name: str, value: str) -> Iterator[None]:
    """Have a setting of the cluster for a while."""
    bench.es.cluster.put_settings(persistent={name: value})
    try:
        yield
    finally:
        bench.es.cluster.put_settings(persistent={name: None})


def failing(bench: StreamBench, index: str) -> bool:
    """Whether the last run of the lifecycles could not do something with an index."""
    answer = bench.es.perform_request(
        "GET", f"/{index}/_lifecycle/explain", headers={"accept": "application/json"}
    ).body
    return "error" in answer["indices"][index]


def found(bench: StreamBench, kind: str) -> list[str]:
    """What one cycle finds of a kind."""
    ran = bench.run("run", "--once")
    assert ran.code in {0, 3}, ran.err
    return [line for line in ran.err.splitlines() if f'"finding {kind}: ' in line]


def written(bench: StreamBench, name: str = "logs-own") -> tuple[str, str]:
    """Make a stream with a rolled index and a write index that has a document."""
    full = bench.make(name, Kind(), retention="12d")
    bench.write(name, bench.now())
    rolled, writing = bench.members(name)
    bench.ready()
    assert full
    return rolled, writing


@pytest.mark.parametrize("block", ["read_only", "metadata"])
def test_a_blocked_member_that_stops_the_rollover_of_its_stream(streams: StreamBench, block: str) -> None:
    rolled, writing = written(streams)
    streams.es.indices.put_settings(index=rolled, settings={f"index.blocks.{block}": True})
    with set_to(streams, ROLLOVER, "max_age=1s,min_docs=1"):
        eventually(lambda: failing(streams, writing))
        (line,) = found(streams, "stream-not-rolled-over")
        assert f"a block of {rolled}" in line
        streams.es.indices.put_settings(index=rolled, settings={f"index.blocks.{block}": None})
        eventually(lambda: len(streams.members("logs-own")) == 3)
        assert found(streams, "stream-not-rolled-over") == []


@pytest.mark.parametrize("block", ["read_only", "metadata"])
def test_a_blocked_member_that_is_not_deleted(streams: StreamBench, block: str) -> None:
    rolled, _ = written(streams)
    streams.es.indices.put_settings(index=rolled, settings={f"index.blocks.{block}": True})
    streams.put_lifecycle("logs-own", retention="1s")
    streams.polls(5)
    if block == "metadata":  # it cannot be looked into, and stands among what is set apart
        assert any(rolled in line for line in streams.run("run", "--once").err.splitlines() if "finding" in line)
    else:
        (line,) = found(streams, "lifecycle-blocked")
        assert f"{rolled}: index.blocks.read_only prevents the lifecycle of its data stream" in line
    streams.es.indices.put_settings(index=rolled, settings={f"index.blocks.{block}": None})


def test_a_snapshot_that_is_being_taken(streams: StreamBench) -> None:
    full = streams.make("logs-own", Kind(), retention="12d")
    documents = (
        {
            "_op_type": "create",
            "_index": full,
            "_source": {"@timestamp": streams.now(), "sdkappid": secrets.token_hex(2_000)},
        }
        for _ in range(150)
    )
    bulk(streams.es, documents, refresh=True)
    streams.es.indices.rollover(alias=full)
    rolled = list(streams.members("logs-own"))[1]
    streams.ready()
    for repository in slow_repository(streams.es, streams.prefix):
        streams.es.snapshot.create(repository=repository, snapshot="one", indices=full, wait_for_completion=False)
        streams.put_lifecycle("logs-own", retention="1s")
        eventually(lambda: failing(streams, rolled))
        line = next(line for line in found(streams, "lifecycle-snapshot") if rolled in line)
        assert f"{rolled}: a snapshot of it is in progress" in line
        streams.es.snapshot.delete(repository=repository, snapshot="one")


def test_a_snapshot_that_stops_the_rollover(streams: StreamBench) -> None:
    full = streams.make("logs-own", Kind(), retention="12d")
    documents = (
        {
            "_op_type": "create",
            "_index": full,
            "_source": {"@timestamp": streams.now(), "sdkappid": secrets.token_hex(2_000)},
        }
        for _ in range(150)
    )
    bulk(streams.es, documents, refresh=True)
    _, writing = streams.members("logs-own")
    streams.ready()
    for repository in slow_repository(streams.es, streams.prefix):
        streams.es.snapshot.create(repository=repository, snapshot="one", indices=full, wait_for_completion=False)
        with set_to(streams, ROLLOVER, "max_age=1s,min_docs=1"):
            eventually(lambda: failing(streams, writing))
            (line,) = found(streams, "stream-not-rolled-over")
            assert "a snapshot of the data stream is in progress" in line
        streams.es.snapshot.delete(repository=repository, snapshot="one")


def test_the_limit_of_shards(streams: StreamBench) -> None:
    _, writing = written(streams)
    with set_to(streams, ROLLOVER, "max_age=1s,min_docs=1"), set_to(streams, "cluster.max_shards_per_node", "1"):
        eventually(lambda: failing(streams, writing))
        (line,) = found(streams, "stream-not-rolled-over")
        assert "validation_exception" in line


def test_the_end_of_a_time_series(streams: StreamBench) -> None:
    full = streams.time_series("logs-series", retention="12d")
    streams.es.index(index=full, document={"@timestamp": streams.now(), "host": "a", "load": 1.0}, op_type="create")
    streams.es.indices.rollover(alias=full)
    rolled, _ = streams.members("logs-series")
    streams.ready()
    streams.put_lifecycle("logs-series", retention="1s")
    streams.polls(5)
    (line,) = found(streams, "lifecycle-late")
    assert f"{rolled}: the lifecycle of its data stream waits for the end of the time series" in line


def test_a_date_ahead(streams: StreamBench) -> None:
    rolled, _ = written(streams)
    ahead = {"index.lifecycle.origination_date": streams.now() + HOUR}
    streams.es.indices.put_settings(index=rolled, settings=ahead)
    streams.put_lifecycle("logs-own", retention="1s")
    streams.polls(2)
    (line,) = found(streams, "lifecycle-late")
    assert f"{rolled}: the lifecycle of its data stream counts its age from index.lifecycle.origination_date" in line


def test_an_index_that_no_lifecycle_rules(streams: StreamBench) -> None:
    rolled, writing = written(streams)
    streams.es.indices.put_settings(index=writing, settings={"index.lifecycle.name": ""})
    (line,) = found(streams, "lifecycle-stuck")
    assert f"{writing}: no lifecycle rolls it over" in line
    assert rolled not in line


def test_a_cluster_that_rolls_over_at_no_age(streams: StreamBench) -> None:
    written(streams)
    with set_to(streams, ROLLOVER, "min_docs=1"):
        (line,) = found(streams, "lifecycle-foreign")
        assert "no age at which it certainly rolls over" in line
