"""The lifecycles of streams against the promise: judged before it breaks, and what they leave goes all the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from elasticsearch import Elasticsearch

from lifecycle_bench import eventually
from retention_enforcer.domain.instants import DAY, HOUR, format_instant
from streams import Kind, StreamBench


@pytest.fixture
def streams(server: object, es: Elasticsearch, prefix: str, tmp_path: object) -> Iterator[StreamBench]:
    """An enforcer on a server whose streams can have lifecycles of their own."""
    yield from StreamBench.on(server, es, prefix, tmp_path)


def test_a_stream_lifecycle_that_lets_documents_outlive_the_limit_is_a_finding_before_one_does(
    streams: StreamBench,
) -> None:
    for name, retention in (("longer", "30d"), ("equal", "14d"), ("fits", "12d"), ("shorter", "7d"), ("endless", "9d")):
        streams.make(f"logs-{name}", Kind(), retention=retention)
    streams.make("logs-off", Kind(lifecycle=False), retention="30d")
    streams.es.perform_request(
        "PUT",
        f"/_data_stream/{streams.prefix}logs-endless/_lifecycle",
        headers={"accept": "application/json", "content-type": "application/json"},
        body={},
    )
    streams.ready()
    ran = streams.run("run", "--once")
    said = {
        name: next((line for line in ran.err.splitlines() if f"data stream {streams.prefix}logs-{name} " in line), "")
        for name in ("longer", "equal", "fits", "shorter", "endless", "off")
    }
    assert ran.code == 0, "no promise is broken yet"
    assert "rollover at 7d (automatic) + retention 30d + 3 polls of 1s" in said["longer"]
    assert "rollover at 1d (automatic) + retention 14d" in said["equal"]
    assert "has no retention and deletes nothing" in said["endless"]
    assert (said["fits"], said["shorter"], said["off"]) == ("", "", "")


def test_the_cluster_default_and_maximum_count_as_they_are_in_force(streams: StreamBench) -> None:
    streams.make("logs-capped", Kind(), retention="100d")
    streams.ready()
    setting = "data_streams.lifecycle.retention.max"
    try:
        streams.es.cluster.put_settings(persistent={setting: "12d"})
        ran = streams.run("run", "--once")
        assert f"data stream {streams.prefix}logs-capped " not in ran.err
        streams.es.cluster.put_settings(persistent={setting: "20d"})
        ran = streams.run("run", "--once")
        assert "retention 20d (max_global_retention)" in ran.err
    finally:
        streams.es.cluster.put_settings(persistent={setting: None})


@pytest.mark.parametrize("retention", ["30d", "400d"])
def test_what_the_lifecycle_of_a_stream_leaves_past_the_limit_is_deleted_and_the_lifecycle_stays(
    streams: StreamBench, retention: str
) -> None:
    full = streams.make("logs-old", Kind(), retention=retention)
    now = streams.now()
    streams.write("logs-old", now - 20 * DAY, now - 20 * DAY + HOUR)
    streams.es.indices.rollover(alias=full)
    streams.write("logs-old", now - 16 * DAY, now)
    young, old, straddling = streams.members("logs-old")
    streams.ready()
    before = streams.lifecycle_of("logs-old")
    ran = streams.run("run", "--once")
    assert ran.code == 0, ran.out + ran.err
    assert list(streams.members("logs-old")) == [young, straddling]
    streams.es.indices.refresh(index=straddling)
    assert streams.es.count(index=straddling)["count"] == 1
    assert streams.lifecycle_of("logs-old") == before
    assert [r["outcome"] for r in streams.about(old) if "outcome" in r] == ["done"]
    assert "foreign-lifecycle" not in ran.err


def test_one_under_a_hold_stays_whatever_its_lifecycle(streams: StreamBench) -> None:
    full = streams.make("logs-old", Kind(), retention="400d")
    streams.write("logs-old", streams.now() - 20 * DAY)
    streams.es.indices.rollover(alias=full)
    _, old, _ = streams.members("logs-old")
    streams.ready()
    end = format_instant(streams.now() + 10 * DAY)
    held = streams.run("hold", "add", "--index", full, "--owner", "A", "--reason", "b", "--until", end)
    assert held.code == 0, held.out
    ran = streams.run("run", "--once")
    assert (ran.code, "finding held" in ran.err) == (3, True), "what a hold keeps past the limit is not kept"
    assert old in streams.members("logs-old")


# --- what went ----------------------------------------------------------------------------------------


@contextmanager
def seldom(bench: StreamBench) -> Iterator[None]:
    """Have the lifecycles of streams not run for a while, so that a run sees what they are about to delete."""
    setting = "data_streams.lifecycle.poll_interval"
    bench.es.cluster.put_settings(persistent={setting: "1h"})
    try:
        yield
    finally:
        bench.es.cluster.put_settings(persistent={setting: None})


def gone_of(bench: StreamBench) -> dict[str, str]:
    """The reasons of the deletions that were observed, by index."""
    return {r["target"]["index"]: r["reason"] for r in bench.records() if r.get("action") == "observed_deletion"}


def test_what_the_lifecycle_of_a_stream_deleted_in_time_is_recorded_and_no_finding(streams: StreamBench) -> None:
    streams.make("logs-own", Kind(), retention="12d")
    streams.make("logs-early", Kind(), retention="12d")
    (own, _), (early, _) = streams.members("logs-own"), streams.members("logs-early")
    streams.ready()
    with seldom(streams):
        streams.put_lifecycle("logs-own", retention="1s")
        assert streams.run("run", "--once").code == 0
        assert own in streams.members("logs-own"), "the enforcer has seen it"
    streams.es.indices.delete(index=early)
    eventually(lambda: own not in streams.members("logs-own"), 60)
    ran = streams.run("run", "--once")
    said = gone_of(streams)
    assert said.keys() == {own, early}
    assert said[own].startswith("deleted at 2")
    assert "; the data stream lifecycle was due to delete it at 2" in said[own]
    assert "before the data stream lifecycle, as last seen, was due to delete it at 2" in said[early]
    told = [line for line in ran.err.splitlines() if "finding deleted-by-others" in line]
    assert len(told) == 1
    assert early in told[0]


def test_what_was_downsampled_was_replaced_and_not_deleted(streams: StreamBench) -> None:
    now = streams.now()
    full = streams.time_series("logs-series", retention="12d")
    streams.es.index(index=full, document={"@timestamp": now, "host": "a", "load": 1.0}, op_type="create", refresh=True)
    streams.es.indices.rollover(alias=full)
    source, _ = streams.members("logs-series")
    streams.ready()
    assert streams.run("run", "--once").code in {0, 3}
    streams.es.indices.add_block(index=source, block="write")
    target = f"downsample-5m-{source}"
    streams.es.perform_request(
        "POST",
        f"/{source}/_downsample/{target}",
        headers={"accept": "application/json", "content-type": "application/json"},
        body={"fixed_interval": "5m"},
    )
    streams.es.indices.modify_data_stream(
        actions=[
            {"remove_backing_index": {"data_stream": full, "index": source}},
            {"add_backing_index": {"data_stream": full, "index": target}},
        ]
    )
    streams.es.indices.delete(index=source)
    ran = streams.run("run", "--once")
    assert "deleted-by-others" not in ran.err
    assert gone_of(streams) == {}


# --- failure stores -----------------------------------------------------------------------------------


def test_the_failure_store_of_a_stream_is_ruled_and_judged_with_it(streams: StreamBench) -> None:
    full = streams.make("logs-own", Kind(), retention="12d", failure_store=True)
    streams.es.index(index=full, document={"@timestamp": "no time"}, op_type="create")
    streams.es.perform_request(
        "POST", f"/{full}/_rollover?target_failure_store=true", headers={"accept": "application/json"}
    )
    failed = [name for name in streams.members("logs-own") if name.startswith(".fs-")]
    assert len(failed) == 2
    streams.ready()
    assert "lifecycle-foreign" not in streams.run("run", "--once").err
    streams.put_lifecycle("logs-own", retention="30d")
    ran = streams.run("run", "--once")
    assert ran.err.count("finding lifecycle-foreign: the lifecycle of the data stream") == 1
    with seldom(streams):
        streams.put_lifecycle("logs-own", retention="1s")
        assert streams.run("run", "--once").code == 0
    eventually(lambda: failed[0] not in streams.members("logs-own"), 60)
    ran = streams.run("run", "--once")
    assert "deleted-by-others" not in ran.err
    assert failed[0] in gone_of(streams)
