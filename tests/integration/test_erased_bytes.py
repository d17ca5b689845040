"""What a purged tenant wrote is in the files until the erasure, and its id in no record and no log."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import tenants
from retention_enforcer.bootstrap import Deployment, Surroundings
from retention_enforcer.cluster.deletion import Deletion
from retention_enforcer.daemon.work import Worker
from retention_enforcer.domain.errors import ClusterUnavailable
from retention_enforcer.domain.instants import DAY, HOUR
from retention_enforcer.enforcement import enforcer, erasing
from workbench import FixedClock, Workbench

PATIENCE = erasing.PATIENCE
OTHERS, DOOMED = 300, 5

KINDS = ("id", "routing", "keyword", "text", "term", "stored", "source", "nested")
# What is stored is compressed, so that its presence is not always seen; its absence is proven by the files being gone.
CERTAIN = KINDS[:5]
MAPPING: dict[str, Any] = {
    "keyword": {"type": "keyword"},
    "stored": {"type": "keyword", "index": False, "doc_values": False, "store": True},
    "text": {"type": "text", "analyzer": "whitespace"},
    "term": {"type": "keyword", "doc_values": False},
    "source": {"type": "object", "enabled": False},
    "nested": {"type": "nested", "properties": {"text": {"type": "keyword", "index": False}}},
}


def canary() -> str:
    """Something that is in no file unless it was written there; upper case, which no compression of terms touches."""
    return "".join(secrets.choice("BCDFGHJKLMNPQRSTVWXZ") for _ in range(24))


@pytest.fixture
def terminating(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    """Tenants that are purged in the run that first sees their requests; nobody waits for erasures."""
    monkeypatch.setattr(erasing, "PATIENCE", 0)
    bench.policy_text = tenants.POLICY
    bench.settings["ENFORCER_GRACE"] = "0s"
    for name in tenants.SHARED:
        tenants.create(bench, name)
        tenants.add(bench, name, [{"sdkappid": "other"}] * OTHERS)
    bench.ready()
    return bench


def add_canaries(bench: Workbench, index: str, tenant: str) -> dict[str, list[str]]:
    """Add documents that can be found by each kind of field, among many others in one segment."""
    es, name = bench.es, bench.prefix + index
    es.indices.put_mapping(index=name, properties=MAPPING)
    canaries: dict[str, list[str]] = {kind: [] for kind in KINDS}
    operations: list[dict[str, Any]] = []
    for _ in range(DOOMED):
        one = {kind: canary() for kind in KINDS}
        for kind, text in one.items():
            canaries[kind].append(text)
        # With a dot: else an id may be stored decoded, as base64, and not be found as such.
        operations.append({"index": {"_index": name, "_id": f"d.{one['id']}", "routing": one["routing"]}})
        fields = {kind: one[kind] for kind in ("keyword", "stored", "text", "term")}
        inner = {"source": {"only": one["source"]}, "nested": [{"text": one["nested"]}]}
        operations.append({"@timestamp": 1_700_000_000_000, "sdkappid": tenant, **fields, **inner})
    for _ in range(OTHERS):  # few of many, so that no ordinary merge rewrites them
        operations += [{"index": {"_index": name}}, {"@timestamp": 1_700_000_000_000, "sdkappid": "other"}]
    assert not es.bulk(operations=operations, refresh=True)["errors"]
    es.indices.flush(index=name, force=True)
    return canaries


def files(bench: Workbench, *names: str) -> bytes:
    """All that is on disk of these indices; skips where that cannot be read from here."""
    stats = bench.es.indices.stats(index=names, level="shards", filter_path="indices.*.uuid,**.shard_path.data_path")
    return b"".join(content for index in stats["indices"].values() for content in _contents(index))


def _contents(index: dict[str, Any]) -> Iterator[bytes]:
    for folder in {copy["shard_path"]["data_path"] for copies in index["shards"].values() for copy in copies}:
        path = Path(folder) / "indices" / index["uuid"]
        if not path.is_dir():
            pytest.skip(f"the server's files cannot be read from here: {path}")
        for file in path.rglob("*"):
            try:
                yield file.read_bytes() if file.is_file() else b""
            except FileNotFoundError:
                continue  # a merge was faster


def on_disk(bench: Workbench, index: str, canaries: dict[str, list[str]]) -> dict[str, int]:
    content = files(bench, bench.prefix + index)
    return {kind: sum(text.encode() in content for text in those) for kind, those in canaries.items()}


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_bytes_of_a_purged_tenant_are_in_the_files_until_they_are_erased_and_its_id_is_nowhere_else(
    terminating: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, tenant = terminating, f"q{secrets.token_hex(8)}"
    canaries = add_canaries(bench, "keys", tenant)
    # Its own index, in which a document of somebody else has come to be: trimmed, under a block that has to be lifted.
    tenants.create(bench, tenants.own(tenant))
    tenants.add(bench, tenants.own(tenant), [{"sdkappid": tenant}] * 3 + [{"sdkappid": "other"}])
    bench.es.indices.put_settings(index=bench.prefix + tenants.own(tenant), settings={"index.blocks.write": True})
    asked = bench.run("terminate", "--application", tenant, "--reason", f"because of {tenant}")
    assert asked.code == 0

    first = bench.run("run", "--once")
    assert first.code == 0, first.err
    assert tenants.by_application(bench, "keys") == Counter({"other": 2 * OTHERS})
    before = on_disk(bench, "keys", canaries)
    assert {kind: before[kind] for kind in CERTAIN} == dict.fromkeys(CERTAIN, DOOMED), "deleted is not erased"

    monkeypatch.setattr(erasing, "PATIENCE", PATIENCE)
    second = bench.run("run", "--once")
    assert second.code == 0, second.err
    assert on_disk(bench, "keys", canaries) == dict.fromkeys(KINDS, 0)
    assert tenants.by_application(bench, tenants.own(tenant)) == Counter({"other": 1})
    (found,) = tenants.registry(bench)
    assert (found["erased_at"] is not None, sum(p["documents"] for p in found["purges"])) == (True, DOOMED + 3)
    assert "erased" in tenants.actions(bench)

    for text in (asked.out, asked.err, first.err, second.err, str(bench.records())):
        assert tenant not in text
    # Neither now nor before, since nothing expunges these two.
    assert tenant.encode() not in files(bench, bench.own.ledger_index, bench.own.state)


def test_what_comes_for_a_watched_tenant_and_goes_with_another_ones_purge_is_not_called_erased(
    terminating: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = terminating
    tenants.add(bench, "keys", [{"sdkappid": "1"}, {"sdkappid": "2"}])
    assert bench.run("terminate", "--application", "1").code == 0
    assert bench.run("run", "--once").code == 0
    _pretend_erased(bench)
    original = Deletion.trim

    def late(self: Deletion, trim: Any, permit: Any) -> Any:
        monkeypatch.setattr(Deletion, "trim", original)
        tenants.add(bench, "keys", [{"sdkappid": "1"}])
        return original(self, trim, permit)

    monkeypatch.setattr(Deletion, "trim", late)
    assert bench.run("terminate", "--application", "2").code == 0
    assert bench.run("run", "--once").code == 0
    assert tenants.by_application(bench, "keys") == Counter({"other": OTHERS})
    one, _ = tenants.registry(bench)
    assert sum(p["documents"] for p in one["purges"]) == 2
    assert one["erased_at"] is None, "its bytes are still there"


def _pretend_erased(bench: Workbench) -> None:
    """Do what a minute's wait would: the erasures under way are done."""
    for kind in ("remembered", "erasure"):
        for hit in bench.es.search(index=bench.own.terminations, query={"term": {"kind": kind}})["hits"]["hits"]:
            if kind == "erasure":
                bench.es.delete(index=bench.own.terminations, id=hit["_id"], refresh=True)
                continue
            source = hit["_source"]
            source["body"]["erased_at"] = source["body"]["purged_at"]
            bench.es.index(index=bench.own.terminations, id=hit["_id"], document=source, refresh=True)


@contextmanager
def working(bench: Workbench) -> Iterator[Worker]:
    """A daemon's worker under its lease, to be called run after run."""
    acting = Deployment(Surroundings(environ=bench.environ, own=bench.own)).acting()
    assert acting.lease
    assert acting.lease.try_to_take()
    try:
        acting.worker.start()
        yield acting.worker
    finally:
        acting.lease.release()


@pytest.mark.parametrize("afterwards", ["the next run", "reinstated"])
def test_what_an_interrupted_purge_took_is_counted_once_in_the_same_run_and_after_a_reinstatement(
    terminating: Workbench, monkeypatch: pytest.MonkeyPatch, afterwards: str
) -> None:
    """The cluster answers no more after a thousand deletions, once, or until somebody takes the request back."""
    bench = terminating
    tenants.add(bench, "keys", [{"sdkappid": "1"}] * 2_500 + [{"sdkappid": "2"}])
    tenants.add(bench, "usage", [{"sdkappid": "1"}] * 4)
    original, calls = Deletion._delete_documents, [0]

    def interrupted(self: Deletion, *page: Any) -> Any:
        calls[0] += 1
        if calls[0] == 2 or (calls[0] > 2 and afterwards == "reinstated"):
            raise ClusterUnavailable("away")
        return original(self, *page)

    monkeypatch.setattr(Deletion, "_delete_documents", interrupted)
    assert bench.run("terminate", "--application", "1").code == 0
    with working(bench) as worker:
        worker.work_on_terminations()
        worker.work_on_terminations()
    if afterwards == "reinstated":
        monkeypatch.setattr(Deletion, "_delete_documents", original)
        assert bench.run("reinstate", "--application", "1").code == 0
        assert bench.run("terminate", "--application", "2").code == 0
        assert bench.run("run", "--once").code == 0
    one, *_ = tenants.registry(bench)
    left = sum(tenants.by_application(bench, name)["1"] for name in ("keys", "usage"))
    assert sum(p["documents"] for p in one["purges"]) == 2_504 - left
    assert (left > 0, one["closed_at"] is not None) == (afterwards == "reinstated",) * 2
    bench.assert_every_intent_is_answered_once()


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_tenant_who_writes_on_for_a_day_ends_with_nothing_and_a_record_of_each_further_purge(
    terminating: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The daemon's clock is moved, the cluster's is not: that they differ is not what is tested here.
    monkeypatch.setattr(enforcer, "raise_if_wrong_clock", lambda cluster, now: None)
    bench = terminating
    tenants.add(bench, "keys", [{"sdkappid": "1"}] * 10)
    assert bench.run("terminate", "--application", "1").code == 0
    assert bench.run("run", "--once").code == 0
    for hours in range(3, 25, 3):
        tenants.add(bench, "keys", [{"sdkappid": "1"}] * hours)
        assert bench.run("run", "--once", clock=FixedClock(ahead=hours * HOUR)).code == 0
        assert tenants.by_application(bench, "keys") == Counter({"other": OTHERS})
        assert tenants.registry(bench)[0]["closed_at"] is None
    monkeypatch.setattr(erasing, "PATIENCE", PATIENCE)
    # A day after the first purge; since the last one it was quiet for less.
    assert bench.run("run", "--once", clock=FixedClock(ahead=2 * DAY - HOUR)).code == 0
    (found,) = tenants.registry(bench)
    assert (found["erased_at"] is not None, found["closed_at"]) == (True, None)
    assert bench.run("run", "--once", clock=FixedClock(ahead=2 * DAY + HOUR)).code == 0
    (found,) = tenants.registry(bench)
    assert found["closed_at"] is not None
    assert [p["documents"] for p in found["purges"]] == [10, *range(3, 25, 3)]
    recorded = [r for r in bench.records() if r.get("action") == "purged"]
    assert len(recorded) == 9
    outcomes = {r["sequence"]: r for r in bench.records() if r["kind"] == "outcome"}
    assert [outcomes[p["record"]]["evidence"]["documents"] for p in found["purges"]] == [10, *range(3, 25, 3)]
    assert tenants.by_application(bench, "keys") == Counter({"other": OTHERS})
    bench.assert_every_intent_is_answered_once()
