"""Two daemons on three nodes, one of which is cut off at a moment of its own: around a record, or a conditional write.

Time runs at ten times its pace for the lease: its two minutes are twelve seconds.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from elasticsearch import Elasticsearch

from cluster_of_three import NODES, ThreeNodes
from proxy import Fault, Proxy, Request, proxied
from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.daemon.rhythm import Rhythm
from retention_enforcer.domain.instants import SECOND
from retention_enforcer.domain.ledger.records import check_chain
from running import Daemon, running
from workbench import Workbench

PACE = 10
LIMIT, MARGIN = 30 * SECOND, 4 * SECOND
SOON = 2 * SECOND
"""What is written becomes due so long after: the cut comes when all is written."""
HEALED_WITHIN = 120.0
"""Seconds after which everything that is due has gone again."""

HASTE = Rhythm(lease_term=120 / PACE, lease_renewal=10 / PACE, look_around=30 / PACE)

POLICY = """\
version: 1
name: {prefix}policy
margin: 4s
categories:
  - id: logs
    clause: {{document: Test promises, section: "1", item: logs, updated: 2026-01-01}}
    indices: ["{prefix}logs-*"]
    max_age: 30s
    rollover: 10s
  - id: records
    clause: {{document: Test promises, section: "2", item: records, updated: 2026-01-01}}
    indices: ["{prefix}records"]
    max_age: 30s
    rollover: 10s
"""

MOMENTS = {
    "record": "-retention-ledger/_create/",
    "lease": "-retention-state/_doc/lease",
    "memory": "-retention-state/_doc/",
}
"""What is being sent when a node is cut off, by how its path goes on after the prefix."""


@dataclass(frozen=True, kw_only=True)
class Cut:
    """One cut, all of it decided before."""

    moment: str
    occurrence: int
    """At which of these requests from now."""
    later: float
    """Seconds after that request was heard."""
    victim: str
    """`primary`: the node with the primary shard that the request is for; else any."""
    reset: bool
    kill: bool
    seconds: float

    @classmethod
    def drawn(cls, chance: random.Random) -> Cut:
        return cls(
            moment=chance.choice(["record", "record", "lease", "memory"]),
            occurrence=chance.randint(1, 8),
            later=chance.choice([0.0, 0.0, chance.uniform(0, 0.05), chance.uniform(0, 1)]),
            victim=chance.choice(["primary", "primary", "primary", "any"]),
            reset=chance.random() < 0.5,
            kill=chance.random() < 0.5,
            seconds=chance.choice([chance.uniform(0.3, 3), chance.uniform(0.3, 3), chance.uniform(3, 10)]),
        )

    def __str__(self) -> str:
        how = "reset" if self.reset else "silence"
        end = f"killed after {self.seconds:.1f} s" if self.kill else f"healed after {self.seconds:.1f} s"
        return f"{self.moment} #{self.occurrence} +{self.later:.3f} s, {self.victim}, {how}, {end}"


class Trigger:
    """Does something at the n-th of some requests; heard by the proxies before it is passed on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: tuple[str, int, Any] | None = None
        self.pulled = threading.Event()

    def set(self, path: str, occurrence: int, do: Any) -> None:
        with self._lock:
            self.pulled.clear()
            self._waiting = (path, occurrence, do)

    def choose(self, request: Request) -> Fault | None:
        with self._lock:
            if self._waiting is None or request.method != "PUT":
                return None
            path, left, do = self._waiting
            if path not in request.path:
                return None
            self._waiting = (path, left - 1, do) if left > 1 else None
            if left > 1:
                return None
        do()
        self.pulled.set()
        return None


@dataclass
class Stage:
    """The cluster, two daemons on it, and what is written for them to delete."""

    nodes: ThreeNodes
    bench: Workbench
    trigger: Trigger
    daemons: list[Daemon]
    chance: random.Random
    written: dict[str, str] = field(default_factory=dict)
    """Uuids of indices that are due, by their names without the prefix."""
    done: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0

    @property
    def es(self) -> Elasticsearch:
        return self.bench.es

    def round(self, number: int, cut: Cut) -> None:
        """Write what is due, cut a node off at a moment of the work on it, and see everything go and stand."""
        victim, before = self._victim(cut), self._sequence()
        names = [f"logs-{number:04d}-{letter}" for letter in "abc"]
        for name in names:
            self._index(name)
        self._write("records", 5)
        self.trigger.set(MOMENTS[cut.moment], cut.occurrence, lambda: self._cut(cut, victim))
        pulled = self.trigger.pulled.wait(30)
        time.sleep(cut.seconds if pulled else 0)
        if cut.kill and pulled:
            self.nodes.kill(victim)
        self.nodes.wires.heal()
        healed = time.monotonic()
        if cut.kill and pulled:
            self.nodes.start(victim)
        self.nodes.wait_until_whole()
        self._wait_until_gone(names)
        took = time.monotonic() - healed
        self.slowest = max(self.slowest, took)
        assert took < HEALED_WITHIN, f"{cut}: it took {took:.0f} s until everything had gone"
        self.assert_whole(before)
        self.done["nothing to cut" if not pulled else "killed" if cut.kill else "cut off"] += 1

    def _cut(self, cut: Cut, victim: str) -> None:
        if cut.later:
            threading.Timer(cut.later, self.nodes.wires.cut, [victim], {"reset": cut.reset}).start()
        else:
            self.nodes.wires.cut(victim, reset=cut.reset)

    def _victim(self, cut: Cut) -> str:
        if cut.victim == "any":
            return self.chance.choice(NODES)
        own = self.bench.own
        return self.nodes.primary_of(self.es, own.ledger_index if cut.moment == "record" else own.state)

    def _index(self, name: str) -> None:
        full = self.bench.prefix + name
        settings = {"number_of_shards": 1, "auto_expand_replicas": "0-1"}
        mappings = {"properties": {"@timestamp": {"type": "date"}}}
        patient = self.es.options(ignore_status=(400, 404))
        while True:
            # 400: it is there already, since the request was sent again after a lost answer. 404: it went meanwhile,
            # empty and old enough after a long wait.
            patient.indices.create(index=full, settings=settings, mappings=mappings)
            found = patient.indices.get_settings(index=full, flat_settings=True).body
            if full in found:
                break
        self.written[name] = str(found[full]["settings"]["index.uuid"])
        if name != "records":
            self._write(name, 5)

    def _write(self, name: str, documents: int) -> None:
        at = SystemClock().now() - (LIMIT - MARGIN) + SOON
        operations: list[dict[str, Any]] = []
        for _ in range(documents):
            operations += [{"create": {"_index": self.bench.prefix + name}}, {"@timestamp": at}]
        # A shard whose primary was on the node that is away may wait for a minute until it takes writes again.
        self.es.options(request_timeout=120).bulk(operations=operations, refresh=True)

    def _wait_until_gone(self, names: list[str]) -> None:
        end = time.monotonic() + HEALED_WITHIN
        while not (all(self.bench.is_gone(name) for name in names) and self.bench.count("records") == 0):
            log = "\n".join(daemon.process.args[-1][-40:] + "".join(daemon.lines[-12:]) for daemon in self.daemons)
            assert time.monotonic() < end, f"what is due does not go; the daemons say:\n{log}"
            time.sleep(0.3)

    def _sequence(self) -> int:
        records = self.bench.records()
        return int(records[-1]["sequence"]) if records else 0

    def assert_whole(self, before: int) -> None:
        """The ledger has no gap and no fork, and an intent for each thing that went."""
        records = self.bench.records()
        check_chain(records)
        intents = [record for record in records if record["kind"] == "intent"]
        announced = {record["target"]["uuid"] for record in intents}
        for name, uuid in self.written.items():
            assert uuid in announced or name == "records", f"{name} went, and no intent says so"
        trims = [r for r in intents if r["target"]["uuid"] == self.written["records"] and r["sequence"] > before]
        assert trims, "documents went from the container, and no intent of now says so"
        epochs = [record["epoch"] for record in records]
        assert epochs == sorted(epochs)
        holders = {(record["epoch"], record["instance"]) for record in records}
        assert len(holders) == len({epoch for epoch, _ in holders}), "two instances wrote in one epoch"

    def finish(self) -> None:
        for daemon in self.daemons:
            assert daemon.end(30) == 0
            log = "".join(daemon.lines)
            for text in ("Traceback", "internal error in"):
                assert text not in log, f"{text!r} in the log:\n{log[-5_000:]}"
        ran = self.bench.run("ledger", "verify")
        assert ran.code == 0, ran.err


@contextmanager
def staged(nodes: ThreeNodes, folder: Path, seed: int) -> Iterator[Stage]:
    """Set everything up; the seed decides all that chance decides."""
    with ExitStack() as stack:
        es = stack.enter_context(nodes.client(timeout=30))
        # A write that is sent again after a lost answer must not make an index anew that has gone meanwhile.
        es.cluster.put_settings(persistent={"action.auto_create_index": "false"})
        prefix = f"c{seed % 100_000}-"
        bench = Workbench(es=es, url=nodes.urls, username="", password="", prefix=prefix, folder=folder)
        bench.policy_text = POLICY
        bench.settings |= {
            "ENFORCER_MAX_SHARE": "1",
            "ENFORCER_INTERVAL": "1s",
            "ENFORCER_LIFECYCLE": "direct",
        }
        bench.ready()
        trigger = Trigger()
        made = Stage(nodes, bench, trigger, [], random.Random(seed))
        made._index("records")
        proxies: list[Proxy] = [stack.enter_context(proxied(n.url, trigger.choose)) for n in nodes.nodes.values()]
        for name in ("first", "second"):
            settings = {**bench.settings, "ENFORCER_INSTANCE": name, "ENFORCER_ELASTICSEARCH_TIMEOUT": "3s"}
            mine = replace(bench, url=",".join(proxy.url for proxy in proxies), settings=settings)
            made.daemons.append(stack.enter_context(running(mine, HASTE)))
        yield made


def cut_at_random(nodes: ThreeNodes, folder: Path, seed: int, rounds: int) -> str:
    """Cut so often, and return what came of it in a line."""
    print(f"\nseed {seed}", flush=True)
    started = time.monotonic()
    with staged(nodes, folder, seed) as stage:
        for number in range(1, rounds + 1):
            cut, at = Cut.drawn(stage.chance), time.monotonic()
            stage.round(number, cut)
            print(f"{number}. {cut}: whole after {time.monotonic() - at:.1f} s", flush=True)
        stage.finish()
        records = stage.bench.records()
        outcomes = Counter(record["outcome"] for record in records if record["kind"] == "outcome")
        return (
            f"seed {seed}: {json.dumps(stage.done)} in {time.monotonic() - started:.0f} s; {len(records)} records in "
            f"{records[-1]['epoch']} epochs, {json.dumps(outcomes)}; all gone {stage.slowest:.0f} s after healing"
        )
