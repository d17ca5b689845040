"""Documents that have no timestamp, on purpose: their index goes by its own age, whole and when it is quiet."""

from __future__ import annotations

import time
from typing import Any

import pytest
from elasticsearch import ApiError

from workbench import Workbench

POLICY = """\
version: 1
name: {prefix}policy
margin: 4s
on_request: 7d
categories:
  - id: logs
    clause: {{document: Test promises, section: "1", item: logs, updated: 2026-01-01}}
    indices: ["{prefix}logs-*", "{prefix}box"]
    timestamp: none
    subjects: {{application: sdkappid}}
    max_age: 10s
    rollover: 2s
"""
DUE_SECONDS, LIMIT_SECONDS = 6.2, 10.2
MAPPING = {"properties": {"sdkappid": {"type": "keyword"}}}


@pytest.fixture
def short(bench: Workbench) -> Workbench:
    """An enforcer of a limit of seconds, under a policy that is accepted."""
    bench.policy_text = POLICY
    bench.settings |= {"ENFORCER_INTERVAL": "1s", "ENFORCER_GRACE": "0s"}
    bench.ready()
    return bench


def write(bench: Workbench, name: str, *applications: str, **body: Any) -> None:
    if not bench.es.indices.exists(index=bench.prefix + name):
        bench.index(name, [], mappings=MAPPING, **body)
    for application in applications:
        bench.es.index(index=bench.prefix + name, document={"sdkappid": application}, refresh=True)


def look(bench: Workbench) -> int:
    return bench.run("run", "--once").code


def test_an_index_goes_whole_once_it_is_old_and_nothing_was_written_to_it(short: Workbench) -> None:
    write(short, "logs-a", "A1", "A2")
    short.stop_the_clock()
    assert [look(short), look(short)] == [0, 0]
    assert short.count("logs-a") == 2
    short.later(DUE_SECONDS)
    look(short)
    assert short.is_gone("logs-a")
    (intent,) = [r for r in short.records() if r["kind"] == "intent"]
    assert (intent["action"], intent["evidence"]["documents"]) == ("delete_index", 2)
    assert "no timestamp: judged by the age of the index" in intent["reason"]


def test_an_index_that_is_still_written_to_stays_and_is_not_kept(short: Workbench) -> None:
    write(short, "logs-a", "A1")
    look(short)
    until = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < until:
        write(short, "logs-a", "A2")
        look(short)
    assert look(short) == 3, "its first document is past the limit, and its last is young"
    assert short.count("logs-a")
    (row,) = short.run("report", "--output", "json").json["categories"][:1]
    assert not row["kept"]
    plan = short.run("plan", "--output", "json").plan("logs")
    assert not plan["purge"]


def test_a_document_written_right_before_makes_it_young_again(short: Workbench) -> None:
    write(short, "logs-a", "A1")
    short.stop_the_clock()
    look(short)
    look(short)
    short.later(DUE_SECONDS)
    write(short, "logs-a", "A2")
    look(short)
    look(short)
    assert short.count("logs-a") == 2
    short.later(DUE_SECONDS)
    look(short)
    assert short.is_gone("logs-a")


@pytest.mark.parametrize("what", ["container", "write index", "last of an alias"])
def test_what_may_be_written_to_at_any_time_never_goes(short: Workbench, what: str) -> None:
    aliases: dict[str, Any] = {"write index": {"is_write_index": True}, "last of an alias": {}}
    name = "box" if what == "container" else "logs-000001"
    more = {"aliases": {f"{short.prefix}alias": aliases[what]}} if what in aliases else {}
    write(short, name, "A1", **more)
    short.stop_the_clock()
    look(short)
    look(short)
    short.later(LIMIT_SECONDS)
    assert look(short) == 3
    assert short.count(name) == 1


def test_a_subject_is_purged_and_its_index_is_no_younger_for_that(short: Workbench) -> None:
    short.policy_text = short.policy_text.replace("max_age: 10s", "max_age: 1h")
    short.erases_for = 0
    assert short.run("policy", "accept").code == 0
    write(short, "logs-a", "A1", "A2", "A2")

    def due() -> str:
        (kept,) = short.run("plan", "--output", "json").plan("logs")["keep"]
        return str(kept["due"])

    assert [look(short), look(short)] == [0, 0]
    before = due()
    assert short.run("erase", "--application", "A2").code == 0
    look(short)
    assert short.count("logs-a") == 1
    look(short)
    assert due() == before


def test_an_empty_index_goes_by_its_creation(short: Workbench) -> None:
    write(short, "logs-a")
    short.stop_the_clock()
    short.later(LIMIT_SECONDS)
    assert look(short) == 0
    assert short.is_gone("logs-a")


def test_a_stream_counts_what_it_has_left_behind_from_its_rollover(short: Workbench) -> None:
    stream = short.prefix + "logs-s"
    try:
        short.es.indices.get_data_stream(name=f"{short.prefix}*")  # a build without streams takes templates for them
        short.es.indices.put_index_template(name=stream, index_patterns=[stream], data_stream={}, priority=900)
    except ApiError:
        pytest.skip("this build has no data streams")
    try:
        short.es.index(index=stream, document={"@timestamp": 1, "sdkappid": "A1"}, op_type="create", refresh=True)
        short.es.indices.rollover(alias=stream)
        short.es.index(index=stream, document={"@timestamp": 1, "sdkappid": "A1"}, op_type="create", refresh=True)
        time.sleep(DUE_SECONDS)  # really: rollovers get their dates from the cluster's clock
        short.stop_the_clock()
        look(short)  # nobody looked before, and yet it is known that nothing came since the rollover
        look(short)
        (left,) = short.es.indices.get_data_stream(name=stream)["data_streams"]
        assert [index["index_name"][-6:] for index in left["indices"]] == ["000002", "000003"]
    finally:
        short.es.options(ignore_status=404).indices.delete_data_stream(name=stream)
        short.es.indices.delete_index_template(name=stream)


def test_check_says_nothing_against_it(short: Workbench) -> None:
    write(short, "logs-a", "A1")
    checked = short.run("check", "--output", "json").json
    assert [check["name"] for check in checked if "timestamp" in check["name"]] == ["timestamps"]
