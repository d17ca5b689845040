"""Promises of seconds that the lifecycles of streams keep: no document outlives its limit, none goes early."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from elasticsearch import Elasticsearch

from lifecycle_bench import daemon
from retention_enforcer.domain.instants import SECOND
from streams import Kind, StreamBench

LIMIT, MARGIN, ROLLOVER = 120 * SECOND, 30 * SECOND, 12 * SECOND
LATE = MARGIN
RETENTION = LIMIT - MARGIN - LATE - ROLLOVER - 3 * SECOND
STREAMS = 40
EARLY = RETENTION - SECOND
"""The least age at which a document goes: its rollover may come just after it. A second is for clocks."""

POLICY = """\
version: 1
name: {prefix}policy
margin: 30s
on_request: 1d
categories:
  - id: logs
    clause: {{document: Test promises, section: "1", item: logs, updated: 2026-01-01}}
    indices: ["{prefix}logs-*"]
    subjects: {{application: sdkappid}}
    max_age: 120s
    rollover: 12s
    foreign_lifecycle: adopt
"""


@pytest.fixture
def quick(server: object, es: Elasticsearch, prefix: str, tmp_path: object) -> Iterator[StreamBench]:
    """An enforcer of promises of seconds, on a server that rolls streams over after twelve."""
    for bench in StreamBench.on(server, es, prefix, tmp_path, settled=False):
        bench.policy_text = POLICY
        bench.settings |= {"ENFORCER_INTERVAL": "7s", "ENFORCER_GRACE": "0s"}
        setting = "cluster.lifecycle.default.rollover"
        es.cluster.put_settings(persistent={setting: "max_age=12s,min_docs=1"})
        yield bench
        es.cluster.put_settings(persistent={setting: None})


class Watch:
    """Writes into every stream, and looks how old the oldest document was, and how young the youngest that went."""

    def __init__(self, bench: StreamBench, names: list[str]) -> None:
        self.oldest_age = 0
        self.least_age = LIMIT
        self.went = 0
        self._bench = bench
        self._names = names
        self._first: dict[str, int] = {}
        self._written: list[int] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._end.is_set():
            now = self._bench.now()
            operations = [
                line
                for name in self._names
                for line in ({"create": {"_index": self._bench.prefix + name}}, {"@timestamp": now})
            ]
            self._written.append(now)
            self._bench.es.bulk(operations=operations, refresh=True)
            self._look()
            self._end.wait(2)

    def _look(self) -> None:
        asked = self._bench.now()
        searches = [
            line
            for name in self._names
            for line in (
                {"index": self._bench.prefix + name, "expand_wildcards": "all"},
                {"size": 0, "aggs": {"oldest": {"min": {"field": "@timestamp"}}}},
            )
        ]
        answers = self._bench.es.msearch(searches=searches)["responses"]
        for name, answer in zip(self._names, answers, strict=True):
            oldest = answer["aggregations"]["oldest"]["value"]
            if oldest is None:
                continue
            self.oldest_age = max(self.oldest_age, asked - int(oldest))
            if int(oldest) > self._first.setdefault(name, int(oldest)):
                youngest = max((at for at in self._written if at < int(oldest)), default=0)
                self.least_age = min(self.least_age, self._bench.now() - youngest)
                self.went += 1
            self._first[name] = int(oldest)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()


@pytest.mark.timeout(600)
def test_forty_streams_with_the_daemon_and_after_it_has_stopped(quick: StreamBench) -> None:
    names = [f"logs-{number}" for number in range(STREAMS)]
    for name in names:
        quick.make(name, Kind(), retention="5m")
    quick.ready()
    with Watch(quick, names) as watch:
        with daemon(quick):
            time.sleep(130)
        assert {str(quick.lifecycle_of(name)["data_retention"]) for name in names} == {f"{RETENTION // SECOND}s"}
        assert watch.oldest_age <= LIMIT
        with_the_daemon = watch.went
        time.sleep(130)
    assert watch.oldest_age <= LIMIT
    assert watch.least_age >= EARLY
    assert (with_the_daemon > STREAMS, watch.went - with_the_daemon > STREAMS) == (True, True)
