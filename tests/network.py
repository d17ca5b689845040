"""One run that sends every kind of request there is, with a fault at any one of them, and what must hold then."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

from elasticsearch import Elasticsearch

from ledgers import records_in
from proxy import Choose, Fault, Proxy, Request, proxied
from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.cluster.client import READ_RETRIES
from retention_enforcer.domain.instants import DAY
from workbench import KEY, Ran, Workbench

POLICY = """\
version: 1
name: {prefix}policy
margin: 1h
on_request: 7d
categories:
  - id: logs
    clause: {{document: Test promises, section: "1", item: logs, updated: 2026-01-01}}
    indices: ["{prefix}logs-*"]
    subjects: {{application: sdkappid}}
    max_age: 14d
    rollover: 1d
  - id: configuration
    clause: {{document: Test promises, section: "2", item: configuration, updated: 2026-01-01}}
    indices: ["{prefix}configuration"]
    subjects: {{account: uin, application: sdkappid}}
    owns: {{account: uin, application: sdkappid}}
    after_termination: 7d
  - id: keys
    clause: {{document: Test promises, section: "3", item: keys, updated: 2026-01-01}}
    indices: ["{prefix}keys", "{prefix}usage"]
    subjects: {{application: sdkappid}}
    after_termination: 7d
  - id: application-logs
    clause: {{document: Test promises, section: "4", item: application logs, updated: 2026-01-01}}
    indices: ["{prefix}application-logs-{{application}}-x"]
    subjects: {{application: sdkappid}}
    after_termination: 7d
"""
FIELDS = {"@timestamp": {"type": "date"}, "uin": {"type": "keyword"}, "sdkappid": {"type": "keyword"}}
ACCOUNT, GOES, EARLIER, STAYS = "4711000815", "1400123456", "1400654321", "1400777777"
"""An account and its application, one that was purged in an earlier run and waits for erasure, and one that stays."""

WHOLE = ("logs-a", "logs-b", "logs-000001", f"application-logs-{GOES}-x")
TRIMMED = ("logs-000002", "logs-straddling", "configuration", "keys")
"""The write index of the alias goes whole, but if its rollover failed and it is the last by then, it stays, empty."""

WRITES = ("PUT", "DELETE", "POST /{indices}/_rollover", "POST /{indices}/_forcemerge", "POST /{indices}/_pit")
NOT_REPEATED = (Fault.LATENCY, Fault.BLACK_HOLE_BEFORE, Fault.BLACK_HOLE_AFTER, Fault.AWAY)
"""After these the client sends no request a second time."""
BEFORE = (Fault.RESET_BEFORE, Fault.BLACK_HOLE_BEFORE)
"""Of a request that changes nothing it makes no difference whether the server heard of it."""


# --- one run ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A request of a run: which kind, and the how many-th of it."""

    call: str
    occurrence: int

    def __str__(self) -> str:
        return f"{self.call} #{self.occurrence}"


def call_of(request: Request, prefix: str) -> str:
    """Return a request's method and path, without what is this run's alone, and what it asks of the state."""
    path = request.path.replace(prefix + "retention-", "retention-")
    path = re.sub(r"/[^/]*-\d{12}$", "/{key}", re.sub(r"/\d{12}$", "/{sequence}", path))
    path = re.sub(r"/erasure-[^/]*$", "/erasure-{uuid}", path)
    path = re.sub(r"^/_tasks/.*", "/_tasks/{task}", path)
    path = re.sub(rf"/{re.escape(prefix)}[^/]*", "/{indices}", path)
    if path == "/retention-state/_mget":
        path += f" {'+'.join(sorted(json.loads(request.body)['ids']))}"
    return f"{request.method} {path}"


def places_of(requests: list[Request], prefix: str) -> list[Place]:
    """Return of each kind of request the first, and one from the middle where there are several."""
    counted = Counter(call_of(request, prefix) for request in requests)
    return [Place(call, n) for call, count in sorted(counted.items()) for n in sorted({1, _later(call, count)})]


def _later(call: str, count: int) -> int:
    """One from the middle; of documents that are told by their names, the first stands for all."""
    return 1 if "/retention-state/" in call and not call.endswith("/lease") else count // 2 + 1


def fault_at(place: Place | None, fault: Fault, prefix: str) -> Choose:
    """Return what spoils one request of a run, and its repetitions: those the client sends before it gives up."""
    seen: Counter[str] = Counter()
    hit: list[tuple[str, str, bytes]] = []

    def choose(request: Request) -> Fault | None:
        call, same = call_of(request, prefix), (request.method, request.target, request.body)
        seen[call] += 1
        if hit:
            repeated = same == hit[0] and place is not None and seen[call] <= place.occurrence + READ_RETRIES
            return fault if repeated and fault not in NOT_REPEATED else None
        if place is None or (call, seen[call]) != (place.call, place.occurrence):
            return None
        hit.append(same)
        return fault

    return choose


def faults_of(place: Place) -> list[Fault]:
    """Return what can happen to a request. One that is only late is that everywhere: once for each kind."""
    writes = place.call.startswith(WRITES)
    seldom = (*(() if writes else BEFORE), *((Fault.LATENCY,) if place.occurrence > 1 else ()))
    return [fault for fault in Fault if fault not in seldom]


# --- the data --------------------------------------------------------------------------------------------


@dataclass
class Stage:
    """One enforcer and its data on the server; all that is due is due in one run."""

    bench: Workbench
    uuids: dict[str, str] = field(default_factory=dict)
    """Of the data's indices, by their names without the prefix."""

    @property
    def es(self) -> Elasticsearch:
        return self.bench.es

    @classmethod
    def of(cls, bench: Workbench) -> Stage:
        """Make it, with nothing to do yet."""
        bench.policy_text = POLICY
        bench.settings |= {"ENFORCER_GRACE": "0s", "ENFORCER_LIFECYCLE": "direct"}
        stage = cls(bench)
        stage._create("usage", [{"sdkappid": EARLIER}, {"sdkappid": STAYS}])
        bench.ready()
        return stage

    def purge_earlier(self) -> None:
        """Delete what one customer has, so that its erasure is to be carried on; it can be 30 s from now."""
        assert self.bench.run("terminate", "--application", EARLIER).code == 0
        ran = self.bench.run("run", "--once")
        assert ran.code == 0, ran.err
        self._remember_uuids()

    def remove(self) -> None:
        """Remove all of it from the server."""
        found = self.es.indices.get(index=f"{self.bench.prefix}*", expand_wildcards="all", features="settings")
        self.es.indices.delete(index=list(found))

    def fill(self) -> None:
        """Add what is due now, and what is not."""
        now = SystemClock().now()
        old, young = {"@timestamp": now - 20 * DAY}, {"@timestamp": now - DAY}
        self._create("logs-a", [old] * 2)
        self._create("logs-b", [old] * 2)
        alias = self.bench.prefix + "writing"
        self._create("logs-000001", [old], aliases={alias: {"is_write_index": False}})
        self._create("logs-000002", [old], aliases={alias: {"is_write_index": True}})
        self._create("logs-straddling", [old] * 3 + [young] * 5)
        self._create("logs-young", [young] * 20)
        self._create("configuration", [{"uin": ACCOUNT, "sdkappid": GOES}, {"uin": "4711000816", "sdkappid": STAYS}])
        self._create("keys", [{"sdkappid": GOES}] * 3 + [{"sdkappid": STAYS}] * 2, blocked=True)
        self._create(f"application-logs-{GOES}-x", [{"sdkappid": GOES}] * 2)
        asked = self.bench.run("terminate", "--account", ACCOUNT)
        assert asked.code == 0, asked.err
        self._remember_uuids()

    def _remember_uuids(self) -> None:
        names = f"{self.bench.prefix}*"
        found = self.es.indices.get_settings(index=names, name="index.uuid", flat_settings=True, expand_wildcards="all")
        self.uuids = {
            name.removeprefix(self.bench.prefix): body["settings"]["index.uuid"]
            for name, body in found.body.items()
            if not name.startswith(self.bench.prefix + "retention-")
        }

    def _create(self, name: str, documents: list[dict[str, Any]], *, blocked: bool = False, **body: Any) -> None:
        full = self.bench.prefix + name
        settings = {"number_of_shards": 1, "number_of_replicas": 0}
        self.es.indices.create(index=full, settings=settings, mappings={"properties": FIELDS}, **body)
        yesterday = {"@timestamp": SystemClock().now() - DAY}
        operations = [part for d in documents for part in ({"index": {"_index": full}}, {**yesterday, **d})]
        assert not self.es.bulk(operations=operations, refresh=True)["errors"]
        if blocked:
            self.es.indices.put_settings(index=full, settings={"index.blocks.write": True})

    # --- what there is ---

    def left(self) -> dict[str, int]:
        """Return how much is there of what is due, by index, asked without the product; 0 is left out."""
        due = {"range": {"@timestamp": {"lt": SystemClock().now() - 14 * DAY}}}
        gone = {"bool": {"should": [{"term": {"sdkappid": GOES}}, {"term": {"uin": ACCOUNT}}]}}
        counted = {}
        for name in (*WHOLE, *TRIMMED):
            full = self.bench.prefix + name
            if not self.es.indices.exists(index=full):
                continue
            if name in WHOLE and self._uuid(full) != self.uuids[name]:
                continue
            self.es.indices.refresh(index=full)
            query = due if name.startswith("logs-") else gone
            counted[name] = int(self.es.count(index=full, query=query)["count"])
            if name in WHOLE:
                counted[name] = max(counted[name], 1)  # the index itself
        return {name: count for name, count in counted.items() if count}

    def _uuid(self, full: str) -> str:
        return str(self.es.indices.get_settings(index=full, flat_settings=True)[full]["settings"]["index.uuid"])

    def raise_if_too_much_went(self) -> None:
        """Whatever happened, what is not due is there."""
        stays = {"logs-straddling": 5, "logs-young": 20, "configuration": 1, "keys": 2, "usage": 1}
        for name, documents in stays.items():
            full = self.bench.prefix + name
            self.es.indices.refresh(index=full)
            spared = {"range": {"@timestamp": {"gte": SystemClock().now() - 14 * DAY}}}
            must_not = [{"terms": {"sdkappid": [GOES, EARLIER]}}]
            query = {"bool": {"filter": [spared], "must_not": must_not}}
            assert self.es.count(index=full, query=query)["count"] == documents, f"of {name} too much is gone"

    def is_blocked(self) -> bool:
        full = self.bench.prefix + "keys"
        settings = self.es.indices.get_settings(index=full, flat_settings=True)[full]["settings"]
        return settings.get("index.blocks.write") == "true"

    def terminations(self) -> dict[str, dict[str, Any]]:
        """What the registry says of each subject."""
        self.es.indices.refresh(index=self.bench.own.terminations)
        hits = self.es.search(index=self.bench.own.terminations, query={"term": {"kind": "remembered"}})["hits"]["hits"]
        return {hit["_source"]["body"]["subject"]["id"]: hit["_source"]["body"] for hit in hits}


# --- what must hold --------------------------------------------------------------------------------------


def run_through(stage: Stage, choose: Choose) -> tuple[Ran, Proxy]:
    """Run once, with the proxy between."""
    bench = stage.bench
    with proxied(bench.url, choose) as proxy:
        settings = {**bench.settings, "ENFORCER_ELASTICSEARCH_TIMEOUT": "1s"}
        through = replace(bench, url=proxy.url, settings=settings)
        return through.run("run", "--once"), proxy


def assert_honest(stage: Stage, ran: Ran, proxy: Proxy) -> str:
    """Nothing false is said, nothing is done unannounced. Returns in a few words how the run ended."""
    left, records = stage.left(), stage.bench.records()
    _assert_nothing_done_is_there(stage, records, left)
    _assert_all_was_announced(stage, proxy, records)
    stage.raise_if_too_much_went()
    overdue = {name for name in left if name.startswith("logs-")}
    assert ran.code != 0 or not overdue, f"exit 0, with {sorted(overdue)} left"
    known = stage.terminations()
    if left.keys() - overdue and (asked := known.get(ACCOUNT)) is not None:
        assert asked["purged_at"] is None, f"purged, it says, with {sorted(left.keys() - overdue)} left"
    _assert_quiet(stage, ran)
    outcomes = Counter(r["outcome"] for r in records if r["kind"] == "outcome")
    unanswered = sum(r["kind"] == "intent" for r in records) - sum(
        r["kind"] == "outcome" and r["outcome"] != "unknown" and "intent" in r for r in records
    )
    said = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
    return f"exit {ran.code}; {len(left)} left; {said or 'no outcome'}; {unanswered} open"


def _assert_quiet(stage: Stage, ran: Ran) -> None:
    """No traceback, and no secret or subject in log or ledger."""
    for text in ("Traceback", "internal error in", KEY, stage.bench.password or KEY, ACCOUNT, GOES, EARLIER):
        found = [line for line in ran.err.splitlines() if text in line]
        assert not found, f"{text!r} in the log: {found}"
    ledger = json.dumps(stage.bench.records())
    assert not any(subject in ledger for subject in (ACCOUNT, GOES, EARLIER))


def _assert_nothing_done_is_there(stage: Stage, records: list[dict[str, Any]], left: Mapping[str, int]) -> None:
    names = {uuid: name for name, uuid in stage.uuids.items()}
    for record in records:
        if record["kind"] == "outcome" and record["outcome"] == "done" and record["action"].startswith("delete_"):
            name = names.get(record["target"]["uuid"], "")
            assert name not in left, f"record {record['sequence']} says done, and {left[name]} of {name} are there"


def _assert_all_was_announced(stage: Stage, proxy: Proxy, records: list[dict[str, Any]]) -> None:
    """Before each request that destroys, the ledger had taken an intent of its own; no request was sent twice."""
    prefix, announced, sent = stage.bench.prefix, set[str](), set[tuple[str, str, bytes]]()
    in_ledger = {record["target"]["uuid"] for record in records if record["kind"] == "intent"}
    for request in proxy.requests:
        if "/_create/" in request.path and request.status == HTTPStatus.CREATED:
            intents = [r for r in records_in(json.loads(request.body)) if r["kind"] == "intent"]
            announced.update(record["target"]["uuid"] for record in intents)
            if intents:
                sent.clear()
        taken = {name.removeprefix(prefix) for name, _ in destroyed(request)}
        if taken:
            same = (request.method, request.target, request.body)
            assert same not in sent, f"{request.method} {request.target} was sent twice"
            sent.add(same)
        for name in taken:
            uuid = stage.uuids[name]
            assert uuid in announced & in_ledger, f"{request.method} of {name} without an intent before"
    there = stage.es.indices.get_settings(index=f"{prefix}*", expand_wildcards="all").body.values()
    uuids = {body["settings"]["index"]["uuid"] for body in there}
    for name, uuid in stage.uuids.items():
        assert uuid in uuids | in_ledger, f"{name} is gone without an intent"


def destroyed(request: Request) -> Iterator[tuple[str, str | None]]:
    """Yield the full name of an index and the id of a document, None for the whole, of all that a request takes."""
    if request.method == "DELETE" and not request.path.startswith("/_") and "/_doc/" not in request.path:
        yield from ((name, None) for name in request.path.strip("/").split(","))
    elif request.path.endswith("/_bulk"):
        index = request.path.removesuffix("/_bulk").strip("/")
        yield from ((index, json.loads(line)["delete"]["_id"]) for line in request.body.splitlines())


def assert_settled(stage: Stage) -> None:
    """One more run, through no proxy, and nothing is open any more."""
    bench = stage.bench
    bench.free_the_lease()
    ran = bench.run("run", "--once")
    assert ran.code == 0, _complaints(ran)
    left = stage.left()
    assert not left, f"{left} left; {_complaints(ran)}"
    stage.raise_if_too_much_went()
    assert stage.is_blocked()
    known = stage.terminations()
    assert known[ACCOUNT]["purged_at"] is not None
    assert (took := sum(p["documents"] for p in known[ACCOUNT]["purges"])) == 1 + 3 + 2, f"{took} of 6 are counted"
    bench.assert_every_intent_is_answered_once()
    verified = bench.run("ledger", "verify")
    assert verified.code == 0, verified.out + verified.err


def _complaints(ran: Ran) -> str:
    lines = [json.loads(line) for line in ran.err.splitlines() if line.startswith("{")]
    said = [line["message"] for line in lines if line["log.level"] in ("warn", "error")]
    return f"exit {ran.code}: {'; '.join(said)}"


# --- an erasure ------------------------------------------------------------------------------------------


def assert_erasure_honest(stage: Stage, ran: Ran) -> str:
    """That it is erased is said only if no deleted document is left. Returns in a few words how the run ended."""
    deleted = _deleted(stage)
    said = stage.terminations()[EARLIER]["erased_at"] is not None
    assert not said or deleted == 0, f"erased, it says, with {deleted} deleted documents in the files"
    _assert_quiet(stage, ran)
    return f"exit {ran.code}; {'erased' if said else f'{deleted} in the files, not erased'}"


def assert_erased(stage: Stage) -> None:
    """One more run, through no proxy, and it is erased, and the index has its own settings."""
    stage.bench.free_the_lease()
    ran = stage.bench.run("run", "--once")
    assert ran.code == 0, _complaints(ran)
    assert stage.terminations()[EARLIER]["erased_at"] is not None, _complaints(ran)
    assert _deleted(stage) == 0
    full = stage.bench.prefix + "usage"
    settings = stage.es.indices.get_settings(index=full, flat_settings=True)[full]["settings"]
    assert "index.merge.policy.expunge_deletes_allowed" not in settings
    assert stage.bench.run("ledger", "verify").code == 0


def _deleted(stage: Stage) -> int:
    stats = stage.es.indices.stats(index=stage.bench.prefix + "usage", metric="docs")
    return int(stats["_all"]["primaries"]["docs"]["deleted"])
