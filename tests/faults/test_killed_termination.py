"""A run is killed while it works on terminations: the next one ends where an undisturbed one would have ended."""

from __future__ import annotations

from collections import Counter

import pytest

import tenants
from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.domain.instants import DAY
from retention_enforcer.enforcement.erasure import eraser
from workbench import WHEN_CALLED, Workbench

pytestmark = pytest.mark.timeout(120)

BOOK = "enforcement.terminations.registrar.TerminationRecorder"
PURGE = "enforcement.terminations.purge.SubjectPurge"
ERASER = "enforcement.erasure.eraser.Eraser"
BLOCKS = "enforcement.erasure.write_blocks.WriteBlocks"
DELETION = "cluster.deletion.deletion.Deletion"

# What is stored of terminations in the first run: 1 and 2 as they are registered, 3 the account's applications,
# 4 and 5 as they begin, then one each time something went.
STEPS: dict[str, tuple[str, str, int, str]] = {
    "before the first request is stored": (BOOK, "save", 1, "before"),
    "after the first request is recorded": (BOOK, "record", 1, "after"),
    "after the first request is stored": (BOOK, "save", 1, "after"),
    "after one of two has begun": (BOOK, "save", 4, "after"),
    "after it is noted which block is lifted": (BLOCKS, "_remember", 1, "after"),
    "after the block is lifted": (BLOCKS, "_set", 1, "after"),
    "after the first announcement": (ERASER, "begin", 1, "after"),
    "before the DELETE": (DELETION, "delete_indices", 1, "before"),
    "after the DELETE, before an outcome": (DELETION, "delete_indices", 1, "after"),
    "after the first deletes": (DELETION, "_delete_documents", 1, "after"),
    "after the trim, before its outcome": (DELETION, "trim", 1, "after"),
    "after the outcomes, before the block is back": (BLOCKS, "restore", 2, "before"),
    "after the block is back, before anything is noted": (PURGE, "_note", 1, "before"),
    "after what went is noted for one of two": (BOOK, "save", 6, "after"),
    "after all is noted, before that is noted": (ERASER, "noted", 1, "before"),
    "before stock is taken": (PURGE, "take_stock", 1, "before"),
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
def due(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    """Account 100 with its applications 1 and 11, and application 2 of another one, are to go; nothing is done yet."""
    monkeypatch.setattr(eraser, "LONGEST_RUN", 0)
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


def killed(bench: Workbench, step: tuple[str, str, int, str], patience: int = 0) -> None:
    cls, name, n, when = step
    brief = f"from retention_enforcer.enforcement.erasure import eraser\neraser.LONGEST_RUN = {patience}\n"
    before = f"{brief}{WHEN_CALLED}when_called({cls!r}, {name!r}, {n}, {when!r}, die)"
    process = bench.process("run", "--once", before=before)
    _, err = process.communicate(timeout=100)
    assert process.returncode == -9, err
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


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS.keys())
def test_a_killed_run_is_finished_by_the_next(due: Workbench, step: tuple[str, str, int, str]) -> None:
    killed(due, step)
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
    killed(due, (BOOK, "save", 1, "after"))
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
