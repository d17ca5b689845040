"""No write that was acknowledged goes with an index that is deleted, and no write block stays behind."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from elasticsearch import ApiError, Elasticsearch
from elasticsearch.helpers import bulk

from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.cluster.deletion.deletion import Deletion
from retention_enforcer.domain.instants import DAY
from retention_enforcer.domain.selection import Trim
from workbench import Workbench

PAGE = 5_000
MAPPING = {"properties": {"@timestamp": {"type": "date"}}}


def blocked(bench: Workbench) -> list[str]:
    """The indices of this test that have a write block, whatever they are."""
    found = bench.es.indices.get_settings(index=f"{bench.prefix}*", expand_wildcards="all", flat_settings=True)
    return [name for name, one in found.items() if "index.blocks.write" in one["settings"]]


def before(monkeypatch: pytest.MonkeyPatch, method: str, do: Callable[[list[str]], None]) -> None:
    """Do something with the names once, right before they are sent."""
    original = getattr(Deletion, method)
    once = [do]

    def hook(self: Deletion, names: list[str]) -> Any:
        if once:
            once.pop()(names)
        return original(self, names)

    monkeypatch.setattr(Deletion, method, hook)


def test_a_write_right_before_the_deletion_is_refused_or_stays(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = SystemClock().now()
    bench.index("logs-a", [now - 20 * DAY])
    bench.ready()
    answers: list[str] = []

    def write(names: list[str]) -> None:
        try:
            answers.append(bench.es.index(index=names[0], id="late", document={"@timestamp": now})["result"])
        except ApiError as error:
            answers.append(error.message)

    before(monkeypatch, "delete_indices", write)
    assert bench.run("run", "--once").code == 0
    assert answers == ["cluster_block_exception"]
    assert bench.is_gone("logs-a")
    assert bench.run("ledger", "verify").code == 0


def test_a_write_while_the_block_is_put_on_keeps_the_index(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    now = SystemClock().now()
    bench.index("logs-a", [now - 20 * DAY])
    bench.index("logs-b", [now - 20 * DAY])
    bench.ready()

    def write(names: list[str]) -> None:
        bench.es.index(index=bench.prefix + "logs-a", id="late", document={"@timestamp": now})

    before(monkeypatch, "stop_writes", write)
    ran = bench.run("run", "--once")
    assert ran.code == 0, ran.err
    assert bench.is_gone("logs-b")
    assert bench.count("logs-a") == 1, "the old document is trimmed, the late one stays"
    assert blocked(bench) == []
    refused = [r for r in bench.records() if r.get("outcome") == "refused"]
    assert [r["reason"] for r in refused] == [
        "documents were written to it after it was planned: planned again; its write block was removed"
    ]


def test_an_index_made_anew_before_the_last_look_stays(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    now = SystemClock().now()
    bench.index("logs-a", [now - 20 * DAY])
    bench.ready()

    def make_anew(names: list[str]) -> None:
        bench.es.indices.delete(index=names[0])
        bench.index("logs-a", [now, now, now])

    before(monkeypatch, "stop_writes", make_anew)
    bench.run("run", "--once")
    assert bench.count("logs-a") == 3
    assert blocked(bench) == []


def test_documents_of_an_index_made_anew_stay_although_ids_and_numbers_are_those_of_the_planned_ones(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = SystemClock().now()

    def fill(timestamp: int) -> None:
        name = bench.index("records", [], mappings=MAPPING)
        documents = ({"_index": name, "_id": str(n), "_source": {"@timestamp": timestamp}} for n in range(900))
        bulk(bench.es, documents, refresh=True)

    def make_anew(names: list[str]) -> None:
        bench.es.indices.delete(index=names[0])
        fill(now)

    fill(now - 20 * DAY)
    bench.ready()
    original, once = Deletion._delete_documents, [make_anew]

    def hook(self: Deletion, trim: Trim, *more: Any) -> Any:  # read already, not sent yet
        if once:
            once.pop()([trim.index])
        return original(self, trim, *more)

    monkeypatch.setattr(Deletion, "_delete_documents", hook)
    assert bench.run("run", "--once").code == 0
    assert not once
    assert bench.count("records") == 900
    assert [r["outcome"] for r in bench.records() if r["kind"] == "outcome"] == ["failed"]


def test_a_block_of_the_operators_stays_where_the_index_does(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    now = SystemClock().now()
    bench.index("logs-a", [now - 20 * DAY])
    bench.ready()

    def block(names: list[str]) -> None:
        bench.es.indices.add_block(index=names[0], block="write")

    before(monkeypatch, "stop_writes", block)
    monkeypatch.setattr(Deletion, "delete_indices", lambda self, names: None)
    bench.run("run", "--once")
    assert blocked(bench) == [bench.prefix + "logs-a"]


@pytest.mark.parametrize("theirs", [True, False], ids=["nobody takes it off", "they take it off"])
def test_an_index_that_had_a_block_is_written_to_no_more_either(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch, *, theirs: bool
) -> None:
    now = SystemClock().now()
    full = bench.index("logs-a", [now - 20 * DAY])
    bench.ready()
    bench.es.indices.add_block(index=full, block="write")
    answers: list[str] = []

    def allow(names: list[str]) -> None:
        if not theirs:
            bench.es.indices.put_settings(index=full, settings={"index.blocks.write": None})

    def write(names: list[str]) -> None:
        try:
            answers.append(bench.es.index(index=names[0], document={"@timestamp": now})["result"])
        except ApiError as error:
            answers.append(error.message)

    before(monkeypatch, "identities", allow)  # after it was planned
    before(monkeypatch, "delete_indices", write)
    assert bench.run("run", "--once").code == 0
    assert answers == ["cluster_block_exception"]
    assert bench.is_gone("logs-a")


@pytest.mark.parametrize(
    ("indices", "rate", "batch", "seconds"),
    [
        pytest.param(40, 400, 1, 20, id="40 indices"),
        pytest.param(200, 2_000, 20, 60, id="200 indices", marks=(pytest.mark.soak, pytest.mark.timeout(1_200))),
    ],
)
def test_a_producer_loses_nothing_that_was_acknowledged(
    bench: Workbench, indices: int, rate: int, batch: int, seconds: int
) -> None:
    """Young documents come into indices that are due, at the moment in which they go: `rate` of them a second.

    Each index is written to for a short while, at a moment of chance: some before they go, some as they do, some after.
    """
    bench.policy_text = bench.policy_text.replace("rollover: 1d", "rollover: 1h")
    now = SystemClock().now()
    for n in range(indices):
        bench.index(f"logs-{n:03d}", [now - 20 * DAY], mappings=MAPPING)
    bench.ready()
    producer = Producer(bench, indices, rate, batch, seconds)
    with closing(producer):
        codes = []
        while producer.is_writing() or not codes:
            codes.append(bench.run("run", "--once").code)
    print(f"{len(producer.acknowledged):,} acknowledged, {producer.refused:,} refused in {seconds} s")
    assert set(codes) <= {0, 3}
    assert producer.acknowledged, "nothing was written"
    assert producer.missing() == []
    assert blocked(bench) == []
    assert bench.run("ledger", "verify").code == 0
    done = Counter(r["action"] for r in bench.records() if r.get("outcome") == "done")
    print(dict(done))
    assert done["delete_index"] > 0, f"no index went while it was written to: {done}"


class Producer:
    """Writes young documents into one index after the other, in a random order, and knows which were acknowledged."""

    def __init__(self, bench: Workbench, indices: int, rate: int, batch: int, seconds: int) -> None:
        self.acknowledged: list[str] = []
        self.refused = 0
        self._bench = bench
        self._names = [f"{bench.prefix}logs-{n:03d}" for n in range(indices)]
        random.Random(1).shuffle(self._names)
        self._batch = batch
        self._pause = batch / rate
        self._seconds = seconds
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(n,)) for n in range(2)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def is_writing(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def missing(self) -> list[str]:
        """What was acknowledged and is nowhere."""
        everywhere = f"{self._bench.prefix}logs-*"
        self._bench.es.indices.refresh(index=everywhere)
        there: set[str] = set()
        for start in range(0, len(self.acknowledged), PAGE):
            page = {"ids": {"values": self.acknowledged[start : start + PAGE]}}
            answer = self._bench.es.search(index=everywhere, query=page, size=PAGE, source=False)
            there |= {hit["_id"] for hit in answer["hits"]["hits"]}
        return [id_ for id_ in self.acknowledged if id_ not in there]

    def _write(self, thread: int) -> None:
        login = (self._bench.username, self._bench.password)
        client = Elasticsearch(self._bench.url, basic_auth=login if all(login) else None, max_retries=0)
        began = due = time.monotonic()
        n = 0
        with closing(client):
            while not self._end.wait(max(0.0, due - time.monotonic())) and due < began + self._seconds:
                name = self._names[int((due - began) / self._seconds * len(self._names))]
                due += self._pause * len(self._threads)  # what a slow answer delays is caught up with
                operations: list[dict[str, Any]] = []
                for _ in range(self._batch):
                    n += 1
                    operations += [{"create": {"_index": name, "_id": f"{thread}-{n}"}}]
                    operations += [{"@timestamp": SystemClock().now(), "young": 1}]
                for item in client.bulk(operations=operations)["items"]:
                    if item["create"]["status"] == 201:
                        self.acknowledged.append(item["create"]["_id"])
                    else:
                        self.refused += 1
