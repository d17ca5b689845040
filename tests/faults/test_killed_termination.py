"""A run is killed while it works on terminations: the next one ends where an undisturbed one would have ended."""

from __future__ import annotations

from collections import Counter

import pytest
from elasticsearch import Elasticsearch

import tenants
from kill_points import Point
from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.cluster.deletion.deletion import Deletion
from retention_enforcer.cluster.own.documents import Documents
from retention_enforcer.cluster.own.ledger_index import LedgerIndex
from retention_enforcer.domain.instants import DAY
from retention_enforcer.domain.terminations.records import PURGED, REGISTERED
from retention_enforcer.enforcement.erasure.eraser import Eraser
from retention_enforcer.enforcement.erasure.write_blocks import LIFTED_BLOCKS, WriteBlocks
from retention_enforcer.enforcement.terminations.purge import SubjectPurge
from retention_enforcer.enforcement.terminations.registrar import TerminationRecorder
from workbench import Workbench

pytestmark = pytest.mark.timeout(120)

POINTS = {
    "before the first request is stored": Point("before", TerminationRecorder.save),
    "after the first request is recorded": Point("after", TerminationRecorder.record, f"action == {REGISTERED!r}"),
    "after the first request is stored": Point("after", TerminationRecorder.save),
    "after one of two has begun": Point("after", TerminationRecorder.save, "termination.begun_at is not None"),
    "after it is noted which block is lifted": Point("after", Documents.save, f"key == {LIFTED_BLOCKS!r}"),
    "after the block is lifted, before that is recorded": Point("after", Deletion.set_write_block, "not blocked"),
    "after it is recorded that the block is lifted": Point(
        "after", LedgerIndex.create, "records[0].get('action') == 'lift_block'"
    ),
    "after the first announcement": Point("after", Eraser.begin),
    "before the DELETE": Point("before", Deletion.delete_indices),
    "after the DELETE, before an outcome": Point("after", Deletion.delete_indices),
    "after the first deletes": Point("after", Elasticsearch.bulk),
    "after the trim, before its outcome": Point("after", Deletion.trim),
    "after the outcomes, before the block is back": Point("before", Deletion.set_write_block, "blocked"),
    "after the block is back, before anything is noted": Point(
        "before", TerminationRecorder.record, f"action == {PURGED!r}", since=WriteBlocks.restore
    ),
    "after what went is noted for one of two": Point("after", TerminationRecorder.save, "termination.purges"),
    "after all is noted, before that is noted": Point("before", Eraser.noted),
    "before stock is taken": Point("before", SubjectPurge.take_stock),
}

OWNER = {"1": "100", "11": "100", "111": "1001", "2": "7"}
GONE = {
    "configuration": Counter({"1": 1, "11": 1, "2": 1}),
    "keys": Counter({"1": 1_500, "11": 30, "2": 25}),
    "usage": Counter({"1": 20, "11": 10, "2": 3}),
}
STAY = {
    "configuration": Counter({"111": 1}),
    "keys": Counter({"111": 40, "1111": 2}),
    "usage": Counter({"111": 5}),
}
OWN = {"1": 7, "11": 3, "2": 4, "111": 6}
PURGED = [2 + 1_530 + 30 + 10, 1 + 25 + 3 + 4]
"""Of the account and of application 2."""

UNDISTURBED = Counter(
    {"registered": 2, "resolved": 1, "purging": 2, "verified": 2, "lift_block": 1, "restore_block": 1, "purged": 9}
)
"""What the ledger has to say at least."""


@pytest.fixture
def due(bench: Workbench) -> Workbench:
    """Account 100 with its applications 1 and 11, and application 2 of another one, are to go; nothing is done yet."""
    bench.erases_for = 0
    bench.policy_text = tenants.POLICY
    bench.settings["ENFORCER_GRACE"] = "0s"
    for name in tenants.SHARED:
        tenants.create(bench, name)
        for application, documents in (GONE[name] + STAY[name]).items():
            names = {"uin": OWNER[application]} if name == "configuration" else {}
            tenants.add(bench, name, [{"sdkappid": application, **names}] * documents)
    for application, documents in OWN.items():
        tenants.create(bench, tenants.own(application))
        tenants.add(bench, tenants.own(application), [{"sdkappid": application}] * documents)
    bench.es.indices.put_settings(index=bench.prefix + "usage", settings={"index.blocks.write": True})
    bench.ready()
    assert bench.run("terminate", "--account", "100").code == 0
    assert bench.run("terminate", "--application", "2").code == 0
    return bench


def killed(bench: Workbench, point: Point) -> None:
    process = bench.process("run", "--once", before=point.does("die()"))
    _, err = process.communicate(timeout=100)
    assert process.returncode == -9, f"it was not at that point: {err}"
    bench.free_the_lease()


def assert_all_is_as_if_nothing_had_happened(bench: Workbench) -> None:
    assert {name: tenants.by_application(bench, name) for name in tenants.SHARED} == STAY
    assert {a for a in OWN if bench.is_gone(tenants.own(a))} == {"1", "11", "2"}
    # Each document is an operation, and so is each deletion that succeeds; one that finds nothing is none.
    for name in tenants.SHARED:
        assert tenants.written(bench, name) == 2 * GONE[name].total() + STAY[name].total(), name
    found = tenants.registry(bench)
    assert [sum(purged["documents"] for purged in t["purges"]) for t in found] == PURGED
    assert [t["applications"] for t in found] == [["1", "11"], []]
    assert all(t["purged_at"] is not None for t in found)
    assert is_blocked(bench, "usage")
    assert bench.es.get(index=bench.own.state, id="lifted-blocks")["_source"]["body"] in (
        {"indices": {}},
        {"uuids": []},
    )
    missing = UNDISTURBED - Counter(tenants.actions(bench))
    assert not missing, f"not in the ledger: {missing}"
    bench.assert_every_intent_is_answered_once()
    assert bench.run("ledger", "verify").code == 0


def is_blocked(bench: Workbench, name: str) -> bool:
    settings = bench.es.indices.get_settings(index=bench.prefix + name, flat_settings=True)
    return settings[bench.prefix + name]["settings"].get("index.blocks.write") == "true"


def test_an_undisturbed_run_ends_as_is_asked_of_the_others(due: Workbench) -> None:
    assert due.run("run", "--once").code == 0
    assert Counter(tenants.actions(due)) == UNDISTURBED
    assert_all_is_as_if_nothing_had_happened(due)


@pytest.mark.parametrize("point", POINTS.values(), ids=POINTS.keys())
def test_a_killed_run_is_finished_by_the_next(due: Workbench, point: Point) -> None:
    killed(due, point)
    ran = due.run("run", "--once")
    assert ran.code == 0, ran.err
    assert_all_is_as_if_nothing_had_happened(due)


def closed_long_ago(bench: Workbench, *keys: int) -> None:
    """Move the ends of some remembered terminations, by their places, to 31 days ago."""
    found = bench.es.search(index=bench.own.terminations, query={"term": {"kind": "remembered"}})["hits"]["hits"]
    for place, hit in enumerate(sorted(found, key=lambda hit: str(hit["_id"]))):
        at = SystemClock().now() - (31 * DAY if place in keys else DAY)
        source = {**hit["_source"], "body": {**hit["_source"]["body"], "closed_at": at}}
        bench.es.index(index=bench.own.terminations, id=hit["_id"], document=source, refresh=True)


def test_killed_after_it_forgot_an_id_the_next_run_still_has_the_bytes_to_erase(due: Workbench) -> None:
    assert due.run("run", "--once").code == 0
    closed_long_ago(due, 1)
    killed(due, Point("after", TerminationRecorder.save, "termination.is_forgotten"))
    assert [t["subject"]["id"] for t in tenants.registry(due)] == ["100"]
    pending = {erasing["progress"]["index"] for erasing in tenants.registry(due, "erasure")}
    assert {due.own.requests, due.own.terminations} <= pending


def test_an_id_that_is_still_needed_is_not_forgotten_and_nothing_is_erased_for_it(due: Workbench) -> None:
    assert due.run("run", "--once").code == 0
    closed_long_ago(due, 0, 1)
    assert due.run("terminate", "--application", "2").code == 0
    assert due.run("terminate", "--account", "100").code == 0
    assert due.run("run", "--once").code == 0
    assert [t["subject"]["id"] for t in tenants.registry(due)] == ["100", "2", "2", "100"]
    pending = {erasing["progress"]["index"] for erasing in tenants.registry(due, "erasure")}
    assert not {due.own.requests, due.own.terminations} & pending
