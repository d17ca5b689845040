"""Purges that are interrupted, or that others write into: what went is counted once, and what came is not forgotten."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

import tenants
from retention_enforcer.cluster.deletion.deletion import Deletion
from retention_enforcer.domain.errors import ClusterUnavailable
from tenants import OTHERS
from workbench import Workbench


@pytest.fixture
def terminating(bench: Workbench) -> Workbench:
    """Tenants that are purged in the run that first sees their requests; nobody waits for erasures."""
    bench.erases_for = 0
    return tenants.founded(bench)


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
    with bench.working() as worker:
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
