"""Promises of seconds on a server whose lifecycles work every second: no document outlives its limit."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from lifecycle_bench import LifecycleBench, daemon, eventually
from retention_enforcer.cluster.lifecycles.history import LifecycleHistory
from retention_enforcer.domain.instants import SECOND

LONGEST_POLL = 2 * SECOND
LIMIT, MARGIN, ROLLOVER = 28 * SECOND, 8 * SECOND, 4 * SECOND
WRITTEN_FOR = ROLLOVER * 11 // 10 + MARGIN
"""How long documents of now may come into a dated index: until then no lifecycle is attached to it."""

POLICY = """\
version: 1
name: {prefix}policy
margin: 8s
on_request: 1d
categories:
  - id: logs
    clause: {{document: Test promises, section: "1", item: logs, updated: 2026-01-01}}
    indices: ["{prefix}logs-*"]
    subjects: {{application: sdkappid}}
    max_age: 28s
    rollover: 4s
"""
DATED, STREAMS = 24, 3


@pytest.fixture
def quick(server: object, es: Elasticsearch, prefix: str, tmp_path: object) -> Iterator[LifecycleBench]:
    """An enforcer of promises of seconds, on a server whose polls are short enough for them."""
    for bench in LifecycleBench.on(server, es, prefix, tmp_path, settled=False):
        if (poll := bench.poll()) > LONGEST_POLL:
            pytest.skip(f"indices.lifecycle.poll_interval is {poll} ms: too long to wait for")
        bench.policy_text = POLICY
        bench.settings |= {"ENFORCER_INTERVAL": "2s", "ENFORCER_GRACE": "0s", "ENFORCER_LIFECYCLE": "ilm"}
        yield bench


class Watch:
    """Looks again and again how old the oldest document is, over all indices of the test."""

    def __init__(self, bench: LifecycleBench) -> None:
        self.oldest_age = 0
        self.looks = 0
        self._bench = bench
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def look(self) -> None:
        bench = self._bench
        bench.es.options(ignore_status=404).indices.refresh(index=f"{bench.prefix}logs-*", expand_wildcards="all")
        answer = bench.es.search(
            index=f"{bench.prefix}logs-*",
            expand_wildcards=["open", "hidden"],
            size=0,
            aggs={"oldest": {"min": {"field": "@timestamp"}}},
            allow_partial_search_results=True,
        )
        oldest = answer["aggregations"]["oldest"]["value"]
        self.looks += 1
        if oldest is not None:
            self.oldest_age = max(self.oldest_age, bench.now() - int(oldest))

    def _run(self) -> None:
        while not self._end.wait(0.2):
            self.look()

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()


def streams(bench: LifecycleBench) -> list[str]:
    return [
        bench.stream(f"logs-stream-{n}", **{"index.hidden": n == 0}).removeprefix(bench.prefix) for n in range(STREAMS)
    ]


def left(bench: LifecycleBench) -> dict[str, dict[str, Any]]:
    """The settings of the indices that are there, by name, in one request: they go at any moment."""
    found = bench.es.indices.get_settings(index=f"{bench.prefix}logs-*", expand_wildcards="all")
    return {name: body["settings"]["index"] for name, body in found.body.items()}


def uuids(bench: LifecycleBench) -> set[str]:
    return {settings["uuid"] for settings in left(bench).values()}


def observed(bench: LifecycleBench) -> dict[str, str]:
    """The reason of each deletion by a lifecycle that the ledger has, by the index's uuid."""
    records = (record for record in bench.records() if record.get("action") == "observed_deletion")
    return {record["target"]["uuid"]: record["reason"] for record in records}


@pytest.mark.timeout(300)
def test_with_the_daemon_running_no_document_outlives_its_limit(quick: LifecycleBench) -> None:
    quick.ready()
    names = streams(quick)
    with daemon(quick), Watch(quick) as watch:
        for n in range(DATED):
            quick.index(f"logs-{n:02}", [quick.now()])
            for name in names:
                quick.write(name, quick.now())
            time.sleep(1.5)
        made = DATED + sum(len(quick.generations(name)) for name in names)
        assert made >= 30, "so many indices there were"
        eventually(lambda: not any(name.startswith(f"{quick.prefix}logs-") for name in left(quick)), 60)
    assert watch.looks > 100
    assert watch.oldest_age <= LIMIT
    assert {quick.count(name) is not None for name in names} == {True}, "no stream went with its indices"
    records = quick.records()
    by_lifecycle = [r for r in records if r.get("action") == "observed_deletion"]
    assert len(by_lifecycle) > DATED // 2, "most of it is the lifecycles' work"
    assert {r["outcome"] for r in by_lifecycle} == {"done"}
    assert [r["reason"] for r in records if "deleted-by-others" in r.get("reason", "")] == []
    quick.assert_every_intent_is_answered_once()


@pytest.mark.timeout(300)
def test_what_was_attached_before_the_daemon_was_stopped_does_not_outlive_its_limit(quick: LifecycleBench) -> None:
    quick.policy_text = POLICY.replace("max_age: 28s", "max_age: 60s")
    limit = 60 * SECOND  # longer: on a busy machine what is due by the second run is deleted by it, without a lifecycle
    quick.ready()
    names = streams(quick)
    for n in range(27):
        quick.index(f"logs-{n:02}", [quick.now()])
    for name in names:
        quick.write(name, quick.now())
    began, first, names_of_first = quick.now(), uuids(quick), set(left(quick))
    assert len(first) == 27 + STREAMS
    with Watch(quick) as watch:
        assert quick.run("run", "--once").code == 0
        dated = [settings for name, settings in left(quick).items() if not name.startswith(".ds-")]
        assert len(dated) == 27
        may_be_written = [settings for settings in dated if int(settings["creation_date"]) + WRITTEN_FOR > quick.now()]
        assert not any("lifecycle" in settings for settings in may_be_written)
        time.sleep(max(0, began + WRITTEN_FOR - quick.now()) / SECOND)
        assert quick.run("run", "--once").code == 0
        written_down = observed(quick)  # at once, and so perhaps before the cluster's history had it
        assert [name for name, settings in left(quick).items() if "lifecycle" not in settings] == []
        eventually(lambda: not first & uuids(quick), 60)
    assert watch.oldest_age <= limit
    assert {quick.count(name) for name in names} == {0}, "the streams are there, without documents"
    history = LifecycleHistory(quick.es)  # which the cluster writes some seconds late
    eventually(
        lambda: {entry.index for entry in history.deletions(began, str, names_of_first) or ()} == names_of_first, 30
    )
    after = quick.run("run", "--once")
    assert after.code == 0
    gone = observed(quick)
    assert gone.keys() >= first, "what went while nobody looked is written down"
    reasons = {reason for uuid, reason in gone.items() if uuid not in written_down}
    assert reasons
    assert all("according to ilm-history" in reason for reason in reasons), reasons
    assert "deleted-by-others" not in after.err


@pytest.mark.timeout(300)
def test_an_index_that_is_written_to_while_nobody_looks_is_not_taken_with_its_young_documents(
    quick: LifecycleBench,
) -> None:
    quick.index("logs-month", [quick.now()])
    quick.ready()
    assert quick.run("run", "--once").code == 0
    uuid = quick.uuid("logs-month")
    until = time.monotonic() + 1.3 * LIMIT / SECOND
    while time.monotonic() < until:
        time.sleep(0.5)
        quick.add("logs-month", [quick.now()])
        assert quick.uuid("logs-month") == uuid, "it went, and what was written made it anew"
    assert quick.attached("logs-month") is None
    documents = quick.count("logs-month")
    assert quick.run("run", "--once").code == 0
    assert quick.uuid("logs-month") == uuid
    assert 0 < (quick.count("logs-month") or 0) < (documents or 0), "what is due is trimmed"
