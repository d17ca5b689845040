"""Write indices that go on being rolled over: with late documents, held, refused, and as time series."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from elasticsearch import ApiError, Elasticsearch

from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.domain.instants import DAY, HOUR, MINUTE
from workbench import Workbench

ROLLOVER = 2.0
POLICY = """\
version: 1
name: {prefix}policy
margin: 1h
categories:
  - id: logs
    clause: {{document: Test promises, section: "1", item: logs, updated: 2026-01-01}}
    indices: ["{prefix}logs-*"]
    subjects: {{application: sdkappid}}
    max_age: 14d
    rollover: 2s
"""


@pytest.fixture
def direct(bench: Workbench) -> Workbench:
    """An enforcer that uses no lifecycles, for indices that may span two seconds."""
    bench.policy_text = POLICY
    bench.settings["ENFORCER_LIFECYCLE"] = "direct"
    return bench


def written(bench: Workbench, *ages: int, **body: Any) -> str:
    """Make an index that an alias writes to, with documents of these ages, after one that it reads; return its name."""
    now, alias = SystemClock().now(), f"{bench.prefix}logs-write"
    bench.index("logs-000000", [now], aliases={alias: {"is_write_index": False}})
    aliases = {alias: {"is_write_index": True}}
    return bench.index("logs-000001", [now - age for age in ages], aliases=aliases, **body)


def rollovers(bench: Workbench) -> list[str | None]:
    """How the rollovers went that the ledger has: None for an intent."""
    return [r.get("outcome") for r in bench.records() if r.get("action") == "rollover"]


def old_enough() -> None:
    time.sleep(1.5 * ROLLOVER)


def test_a_write_index_with_a_late_document_is_rolled_over_when_it_is_old_enough(direct: Workbench) -> None:
    written(direct, 0, 9 * DAY)
    direct.ready()
    old_enough()
    ran = direct.run("run", "--once")
    assert ran.code == 0, ran.err
    assert rollovers(direct) == [None, "done"]
    assert (direct.count("logs-000001"), direct.count("logs-000002")) == (2, 0), "nothing is deleted for it"
    intent = next(r for r in direct.records() if r.get("action") == "rollover")
    assert intent["evidence"]["documents"] == 0
    assert f"an index may span at most 2 s: {direct.prefix}logs-write is rolled over" in intent["reason"]
    old_enough()
    assert direct.run("run", "--once").code == 0
    assert rollovers(direct) == [None, "done"], "an empty index waits for its first document"


def test_a_young_write_index_is_not_rolled_over(direct: Workbench) -> None:
    direct.policy_text = POLICY.replace("rollover: 2s", "rollover: 1d")
    written(direct, 0, 9 * DAY)
    direct.ready()
    assert direct.run("run", "--once").code == 0
    assert rollovers(direct) == []


def test_a_hold_does_not_stop_it_and_stop_does(direct: Workbench) -> None:
    written(direct, 0, 9 * DAY)
    direct.ready()
    old_enough()
    assert direct.run("stop").code == 0
    direct.run("run", "--once")
    assert rollovers(direct) == []
    words = ("--owner", "legal", "--reason", "case", "--until", "2099-01-01T00:00:00Z")
    assert direct.run("hold", "add", "--category", "logs", *words).code == 0
    assert direct.run("resume").code == 0
    assert direct.run("run", "--once").code == 0
    assert rollovers(direct) == [None, "done"]
    assert direct.count("logs-000001") == 2


def test_a_category_that_is_not_enforced_is_not_rolled_over(direct: Workbench) -> None:
    direct.policy_text = POLICY + "    enforce: false\n"
    written(direct, 0, 9 * DAY)
    direct.ready()
    old_enough()
    assert direct.run("run", "--once").code == 0
    assert rollovers(direct) == []


# --- what is refused ----------------------------------------------------------------------------------


def taken(bench: Workbench) -> None:
    """Give the next index's name to another index."""
    bench.index("logs-000002", [SystemClock().now()])


def repeated(bench: Workbench) -> None:
    """Name the alias in the template of the next index."""
    bench.es.indices.put_index_template(
        name=f"{bench.prefix}template",
        index_patterns=[f"{bench.prefix}logs-*"],
        template={"aliases": {f"{bench.prefix}logs-write": {}}},
        priority=700,
    )


@pytest.fixture
def no_template(es: Elasticsearch, prefix: str) -> Iterator[None]:
    yield
    es.options(ignore_status=404).indices.delete_index_template(name=f"{prefix}template")


@pytest.mark.usefixtures("no_template")
@pytest.mark.parametrize(
    ("refuse", "remedy"),
    [
        (taken, "delete the index that has the next name (if it is needed, clone it first)"),
        (repeated, "from the index template"),
    ],
    ids=["next name taken", "alias in the template"],
)
def test_where_a_rollover_is_refused_the_due_documents_go_alone(direct: Workbench, refuse: Any, remedy: str) -> None:
    written(direct, 20 * DAY, 20 * DAY + HOUR // 3_600)
    refuse(direct)
    direct.ready()
    ran = direct.run("run", "--once")
    assert ran.code == 0, ran.err
    assert direct.count("logs-000001") == 0
    about = [
        (r["action"], r.get("outcome")) for r in direct.records() if r.get("target", {}).get("index", "").endswith("1")
    ]
    assert [one for one in about if one[0] in {"rollover", "delete_index", "delete_documents"}] == [
        ("rollover", None),
        ("rollover", "failed"),
        ("delete_documents", None),
        ("delete_documents", "done"),
    ]
    assert "cannot be rolled over, so it grows" in ran.err
    assert remedy in ran.err
    findings = [f for f in direct.run("report", "--output", "json").json["findings"] if f["kind"] == "rollover-refused"]
    assert [f["index"] for f in findings] == [f"{direct.prefix}logs-000001"]


def test_a_refused_rollover_is_tried_again_after_a_while_and_told_until_then(direct: Workbench) -> None:
    written(direct, 0)
    taken(direct)
    direct.ready()
    old_enough()
    ran = direct.run("run", "--once")
    assert ran.code == 0, ran.err
    assert rollovers(direct) == [None, "failed"]
    assert "rollover-refused" in ran.err
    again = direct.run("run", "--once")
    assert rollovers(direct) == [None, "failed"], "no record each cycle"
    assert "rollover-refused" in again.err
    direct.es.indices.delete(index=f"{direct.prefix}logs-000002")


def test_a_stream_that_has_no_room_for_a_further_shard_is_trimmed(direct: Workbench) -> None:
    """Of a cluster whose limit is lower than what it has: only for the time of the run."""
    now = SystemClock().now()
    written(direct, 20 * DAY, 20 * DAY)
    direct.add("logs-000001", [now - 20 * DAY])
    direct.ready()
    try:
        direct.es.cluster.put_settings(persistent={"cluster.max_shards_per_node": 1})
        ran = direct.run("run", "--once")
    finally:
        direct.es.cluster.put_settings(persistent={"cluster.max_shards_per_node": None})
    assert direct.count("logs-000001") == 0
    assert "raise cluster.max_shards_per_node" in ran.err
    assert ran.code == 0, ran.err


def test_the_index_of_a_terminated_customer_that_cannot_be_rolled_over_loses_its_documents(bench: Workbench) -> None:
    bench.policy_text = POLICY.replace('"{prefix}logs-*"', '"{prefix}logs-{{application}}-*"').replace(
        "max_age: 14d\n    rollover: 2s", "after_termination: 7d"
    )
    bench.settings["ENFORCER_GRACE"] = "0s"
    bench.erases_for = 0
    alias = {f"{bench.prefix}logs-7-write": {"is_write_index": True}}
    bench.index("logs-7-000001", [], aliases=alias)
    for _ in range(3):
        bench.es.index(
            index=f"{bench.prefix}logs-7-000001",
            document={"@timestamp": SystemClock().now(), "sdkappid": "7"},
            refresh=True,
        )
    bench.index("logs-7-000002", [])
    bench.ready()
    assert bench.run("terminate", "--application", "7").code == 0
    bench.run("run", "--once")
    assert bench.count("logs-7-000001") == 0
    about = [
        (r["action"], r["outcome"]) for r in bench.records() if r["kind"] == "outcome" and "rollover" in r["action"]
    ]
    assert about == [("rollover", "failed")]


# --- time series --------------------------------------------------------------------------------------


def test_a_time_series_that_is_written_to_is_trimmed_and_rolled_over(direct: Workbench) -> None:
    es, name = direct.es, f"{direct.prefix}logs-series"
    try:
        es.indices.get_data_stream(name="*")
    except ApiError as error:
        pytest.skip(f"this server has no data streams ({error.meta.status})")
    direct.policy_text = POLICY.replace("margin: 1h", "margin: 4s").replace("max_age: 14d", "max_age: 2m")
    direct.settings |= {"ENFORCER_INTERVAL": "1s", "ENFORCER_GRACE": "0s"}
    fields = {
        "@timestamp": {"type": "date"},
        "sdkappid": {"type": "keyword", "time_series_dimension": True},
        "load": {"type": "double", "time_series_metric": "gauge"},
    }
    settings = {"index.mode": "time_series", "index.routing_path": ["sdkappid"], "index.look_back_time": "10m"}
    template = {"settings": {"number_of_replicas": 0, **settings}, "mappings": {"properties": fields}}
    es.indices.put_index_template(name=name, index_patterns=[name], data_stream={}, template=template, priority=700)
    try:
        now = SystemClock().now()
        for age in (0, 3 * MINUTE, 4 * MINUTE):
            document = {"@timestamp": now - age, "sdkappid": "1", "load": 1}
            es.index(index=name, op_type="create", document=document, refresh=True)
        direct.ready()
        old_enough()
        ran = direct.run("run", "--once")
        assert ran.code == 0, ran.err
        assert es.count(index=name)["count"] == 1, "the two that were due went, and the young one stays"
        assert rollovers(direct) == [None, "done"]
        assert len(es.indices.get_data_stream(name=name)["data_streams"][0]["indices"]) == 2
    finally:
        es.options(ignore_status=404).indices.delete_data_stream(name=name)
        es.indices.delete_index_template(name=name)
