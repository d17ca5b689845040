"""Two daemons, work that never ends, and twenty times the one that holds the lease is killed, or paused and awakened.

Time runs at twenty times its pace: the lease's two minutes are six seconds, the five minutes within which the other has
to take over are fifteen. Each daemon has a proxy of its own, so that it is known who sent what.
"""

from __future__ import annotations

import json
import random
import secrets
import signal
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

import pytest

from ledgers import records_in
from network import destroyed
from proxy import Proxy, proxied
from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.daemon.rhythm import Rhythm
from retention_enforcer.domain.instants import SECOND
from running import Daemon, running, until
from workbench import KEY, Workbench

PACE = 20
FAULTS = 20
TAKEOVER = 300 / PACE
LIMIT, MARGIN = 30 * SECOND, 4 * SECOND
SOON = 4 * SECOND
"""What is written becomes due so long after."""
TOLERANCE = 0.5 * SECOND
"""Between the clocks of test and daemon: one machine, but not one instant."""

HASTE = Rhythm(lease_term=120 / PACE, lease_renewal=10 / PACE, look_around=30 / PACE)
HURRIED = f"""
from retention_enforcer.enforcement.ledger import fresh_permit
fresh_permit.INTENT_LIFETIME = 10_000 // {PACE}
"""

POLICY = """\
version: 1
name: {prefix}policy
margin: 4s
categories:
  - id: logs
    clause: {{document: Test promises, section: "1", item: logs, updated: 2026-01-01}}
    indices: ["{prefix}logs-*", "{prefix}records"]
    subjects: {{application: sdkappid}}
    max_age: 30s
    rollover: 10s
  - id: others
    clause: {{document: Test promises, section: "2", item: others, updated: 2026-01-01}}
    indices: ["{prefix}others"]
    subjects: {{application: sdkappid}}
    max_age: 1d
"""


# --- the work --------------------------------------------------------------------------------------------


@dataclass
class Feeder:
    """Writes indices and documents that become due soon, and remembers each."""

    bench: Workbench
    due: dict[str, int] = field(default_factory=dict)
    """By a document's id, from when on it may go."""
    indices: dict[str, tuple[str, list[str]]] = field(default_factory=dict)
    """By name, the uuid and the ids of the documents of an index."""
    _end: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Feeder:
        self._thread = threading.Thread(target=self._run)
        self.index("records", 0)
        self.index("others", 50)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        while not self._end.wait(0.4):
            number += 1
            self.write("records", 8)
            if number % 2 == 0:
                self.index(f"logs-{number:05d}", 5)

    def index(self, name: str, documents: int) -> None:
        full = self.bench.index(name, [], mappings={"properties": {"@timestamp": {"type": "date"}}})
        settings = self.bench.es.indices.get_settings(index=full, flat_settings=True)[full]["settings"]
        self.indices[name] = (str(settings["index.uuid"]), [])
        if documents:
            self.write(name, documents)

    def write(self, name: str, documents: int) -> None:
        at = SystemClock().now() - (LIMIT - MARGIN) + SOON
        operations: list[dict[str, Any]] = []
        for _ in range(documents):
            id_ = secrets.token_hex(8)
            self.due[id_] = at + LIMIT - MARGIN
            self.indices[name][1].append(id_)
            operations += [{"create": {"_index": self.bench.prefix + name, "_id": id_}}, {"@timestamp": at}]
        answer = self.bench.es.bulk(operations=operations)
        assert not answer["errors"], answer


# --- the twins -------------------------------------------------------------------------------------------


@dataclass
class Twin:
    """A daemon under a name of its own, and all that it sent."""

    name: str
    daemon: Daemon
    proxy: Proxy


class Pair:
    """Two daemons at any time; one that is killed is followed by another."""

    def __init__(self, bench: Workbench, stack: ExitStack) -> None:
        self._bench = bench
        self._stack = stack
        self.all: list[Twin] = []
        self.alive = [self._start(), self._start()]

    def _start(self) -> Twin:
        name = f"twin-{len(self.all) + 1}"
        proxy = self._stack.enter_context(proxied(self._bench.url))
        settings = {**self._bench.settings, "ENFORCER_INSTANCE": name}
        daemon = self._stack.enter_context(
            running(replace(self._bench, url=proxy.url, settings=settings), HASTE, HURRIED)
        )
        self.all.append(Twin(name, daemon, proxy))
        return self.all[-1]

    def lease(self) -> tuple[str, int]:
        """Who holds the lease, and in which epoch."""
        found = self._bench.es.options(ignore_status=404).get(index=self._bench.own.state, id="lease")
        body = found["_source"]["body"] if found.get("found") else {"holder": "", "epoch": 0}
        return str(body["holder"]), int(body["epoch"])

    def holder(self) -> Twin:
        until(lambda: self._held() is not None, "somebody holds the lease")
        held = self._held()
        assert held is not None
        return held

    def _held(self) -> Twin | None:
        return next((twin for twin in self.alive if twin.name == self.lease()[0]), None)

    def takeover(self, epoch: int, at_most: float) -> float | None:
        """Wait for a later epoch; return after how many seconds it came."""
        started = time.monotonic()
        while time.monotonic() - started < at_most:
            if self.lease()[1] > epoch:
                return time.monotonic() - started
            time.sleep(0.05)
        return None

    def kill(self, twin: Twin) -> float:
        _, epoch = self.lease()
        twin.daemon.process.kill()
        took = self.takeover(epoch, TAKEOVER)
        assert took is not None, f"nobody took over from {twin.name} within {TAKEOVER} s"
        self.alive.remove(twin)
        self.alive.append(self._start())
        return took

    def pause(self, twin: Twin, seconds: float) -> float | None:
        """Stop it for so long; None where it came back before its lease had lapsed."""
        _, epoch = self.lease()
        twin.daemon.process.send_signal(signal.SIGSTOP)
        took = self.takeover(epoch, seconds)
        time.sleep(max(seconds - took, 0) if took is not None else 0)
        twin.daemon.process.send_signal(signal.SIGCONT)
        return took


# --- what must hold --------------------------------------------------------------------------------------


def assert_all_was_announced(bench: Workbench, feeder: Feeder, twin: Twin, ahead: float) -> Counter[str]:
    """Each request that destroys has an intent of its own sender's before it, and takes what is due alone."""
    announced, counted = set[str](), Counter[str]()
    for request in twin.proxy.requests:
        if "/_create/" in request.path and request.status == HTTPStatus.CREATED:
            for record in records_in(json.loads(request.body)):
                assert record["instance"] == twin.name
                if record["kind"] == "intent":
                    announced.add(record["target"]["uuid"])
        at = request.at * 1_000 + ahead
        for full, id_ in destroyed(request):
            name = full.removeprefix(bench.prefix)
            uuid, documents = feeder.indices[name]
            assert name != "others"
            assert uuid in announced, f"{twin.name}: {request.method} of {name} without an intent of its own before"
            for one in documents if id_ is None else [id_]:
                assert feeder.due[one] <= at + TOLERANCE, f"{twin.name} took from {name} what was not due"
            counted["indices" if id_ is None else "documents"] += request.status == HTTPStatus.OK
    return counted


def takings(pair: Pair) -> list[tuple[float, int, str]]:
    """When which epoch of the lease was written by whom, renewals too, in the order in which the server was asked."""
    return sorted(
        (request.at, int(json.loads(request.body)["body"]["epoch"]), twin.name)
        for twin in pair.all
        for request in twin.proxy.requests
        if request.path.endswith("/_doc/lease") and request.status in (HTTPStatus.OK, HTTPStatus.CREATED)
    )


def assert_no_fork(pair: Pair, records: list[dict[str, Any]]) -> None:
    """Sequences without a gap, epochs that never go back, and each epoch's records written by the one who had it."""
    assert [record["sequence"] for record in records] == list(range(1, len(records) + 1))
    epochs = [record["epoch"] for record in records]
    assert epochs == sorted(epochs)
    held = {(epoch, name) for _, epoch, name in takings(pair)}
    assert len(held) == len({epoch for epoch, _ in held}), "two instances had the same epoch"
    assert {(record["epoch"], record["instance"]) for record in records} <= held


def late_deletions(pair: Pair) -> int:
    """How many requests that destroy reached the server after a later holder had taken the lease."""
    taken, late = takings(pair), 0
    for twin in pair.all:
        for request in twin.proxy.requests:
            if next(destroyed(request), None):
                _, name = max((epoch, name) for at, epoch, name in taken if at <= request.at)
                late += name != twin.name
    return late


@pytest.mark.timeout(1_800)
def test_twins(bench: Workbench) -> None:
    seed = secrets.randbits(32)
    chance, started = random.Random(seed), time.monotonic()
    print(f"\nseed {seed}")
    bench.policy_text = POLICY
    bench.settings |= {"ENFORCER_MAX_SHARE": "1", "ENFORCER_ELASTICSEARCH_TIMEOUT": "1s", "ENFORCER_INTERVAL": "1s"}
    bench.ready()
    waits: list[float] = []
    done = Counter[str]()
    with ExitStack() as stack:
        feeder = stack.enter_context(Feeder(bench))
        pair = Pair(bench, stack)
        for number in range(1, FAULTS + 1):
            twin = pair.holder()
            time.sleep(chance.uniform(0, 4))
            if chance.random() < 0.5:
                what, took = "killed", pair.kill(twin)
            else:
                what, took = "paused", pair.pause(twin, chance.uniform(1, 14))
            done[what] += 1
            waits += [took] if took is not None else []
            after = f"taken over after {took:.1f} s" if took is not None else "back before its lease had lapsed"
            print(f"{number}. {twin.name} {what}: {after}, {len(feeder.indices)} indices so far", flush=True)
        feeder.__exit__()
        due = [f"logs-{name[5:]}" for name in feeder.indices if name.startswith("logs-")]
        until(lambda: all(bench.is_gone(name) for name in due), "all indices that are due")
        until(lambda: bench.count("records") == 0, "all documents that are due")
        for twin in pair.alive:
            assert twin.daemon.end() == 0
    ahead = SystemClock().now() - time.monotonic() * 1_000
    counted = Counter[str]()
    for twin in pair.all:
        counted += assert_all_was_announced(bench, feeder, twin, ahead)
        log = "".join(twin.daemon.lines)
        for text in ("Traceback", "internal error in", KEY, bench.password or KEY):
            assert text not in log, f"{text!r} in the log of {twin.name}"
    assert bench.count("others") == 50
    records = bench.records()
    assert_no_fork(pair, records)
    bench.assert_every_intent_is_answered_once()
    assert bench.run("ledger", "verify").code == 0
    outcomes = Counter(record["outcome"] for record in records if record["kind"] == "outcome")
    print(
        f"{done['killed']} killed, {done['paused']} paused, {records[-1]['epoch']} epochs, {len(pair.all)} daemons in "
        f"{time.monotonic() - started:.0f} s; takeover after {min(waits):.1f} to {max(waits):.1f} s of {TAKEOVER:.0f}; "
        f"{len(feeder.due)} documents and {len(due)} indices written, {counted['indices']} indices deleted; "
        f"{len(records)} records, {dict(outcomes)}; "
        f"{late_deletions(pair)} deletions of a holder that was none any more"
    )
