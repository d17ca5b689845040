"""The daemon is killed between any two steps: the next run answers every intent, and ends where it would have ended."""

from __future__ import annotations

import pytest
from elasticsearch import Elasticsearch

from kill_points import Point
from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.cluster.deletion.deletion import Deletion
from retention_enforcer.cluster.own.ledger_index import LedgerIndex
from retention_enforcer.domain.instants import DAY
from retention_enforcer.enforcement.expiry.recorder import CycleRecorder
from workbench import Workbench

pytestmark = pytest.mark.timeout(120)

ROLLOVER, DELETE = "records[0].get('action') == 'rollover'", "records[0].get('action') == 'delete_index'"
INTENT, OUTCOME = "records[0]['kind'] == 'intent'", "records[0]['kind'] == 'outcome'"

POINTS = {
    "before anything is recorded": Point("before", LedgerIndex.create),
    "after the checkpoint": Point("after", LedgerIndex.create, "records[0]['kind'] == 'checkpoint'"),
    "after the first intent": Point("after", LedgerIndex.create, f"{INTENT} and {ROLLOVER}"),
    "before the rollover": Point("before", Deletion.roll_over),
    "after the rollover": Point("after", Deletion.roll_over),
    "after the rollover's outcome": Point("after", LedgerIndex.create, f"{OUTCOME} and {ROLLOVER}"),
    "before the intents of a list": Point("before", LedgerIndex.create, f"{INTENT} and {DELETE}"),
    "after the intents of a list": Point("after", LedgerIndex.create, f"{INTENT} and {DELETE}"),
    "before the write block": Point("before", Deletion.stop_writes),
    "after the write block": Point("after", Deletion.stop_writes),
    "before the DELETE": Point("before", Deletion.delete_indices),
    "after the DELETE, before an outcome": Point("after", Deletion.delete_indices),
    "before the outcomes of a list": Point("before", LedgerIndex.create, f"{OUTCOME} and {DELETE}"),
    "after the outcomes of a list": Point("after", LedgerIndex.create, f"{OUTCOME} and {DELETE}"),
    "before the first deletes of a trim": Point("before", Elasticsearch.bulk),
    "after the first deletes of a trim": Point("after", Elasticsearch.bulk),
    "after the trim, before its outcome": Point("after", Deletion.trim),
    "before the memory is saved": Point("before", CycleRecorder.record),
}


def _sample(bench: Workbench, now: int) -> None:
    for name in ("a", "b"):
        bench.index(f"logs-{name}", [now - 20 * DAY] * 20)
    bench.index("logs-000001", [now - 20 * DAY], aliases={bench.prefix + "writing": {}})
    bench.index("logs-000002", [now - 19 * DAY], aliases={bench.prefix + "writing": {"is_write_index": True}})
    bench.index("logs-straddling", [*([now - 20 * DAY] * 1_500), *([now] * 1_000)])
    bench.index("logs-young", [now - DAY] * 2_000)
    bench.index("records", [now - 20 * DAY, now])
    bench.index("stranger", [now - 400 * DAY])


def _killed(bench: Workbench, point: Point) -> None:
    process = bench.process("run", "--once", before=point.does("die()"))
    _, err = process.communicate(timeout=60)
    assert process.returncode == -9, f"it was not at that point: {err}"


@pytest.mark.parametrize("point", POINTS.values(), ids=POINTS.keys())
def test_a_killed_run_is_finished_by_the_next(bench: Workbench, point: Point) -> None:
    now = SystemClock().now()
    _sample(bench, now)
    bench.ready()
    _killed(bench, point)
    under_the_first = len(bench.records())
    bench.free_the_lease()

    ran = bench.run("run", "--once")
    assert ran.code == 0, ran.err

    gone = ("logs-a", "logs-b", "logs-000001", "logs-000002")
    assert [bench.count(name) for name in gone] == [None] * len(gone)
    left = {"logs-straddling": 1_000, "logs-young": 2_000, "logs-000003": 0, "records": 1, "stranger": 1}
    assert {name: bench.count(name) for name in left} == left
    bench.assert_every_intent_is_answered_once()
    epochs = [record["epoch"] for record in bench.records()]
    assert set(epochs[:under_the_first]) <= {1}
    assert set(epochs[under_the_first:]) == {2}
    assert bench.run("ledger", "verify").code == 0


@pytest.mark.parametrize(
    "point",
    [
        Point("before", Deletion.stop_writes),
        Point("after", Deletion.stop_writes),
        Point("after", Deletion.identities, since=Deletion.stop_writes),
        Point("before", Deletion.delete_indices),
    ],
    ids=["before the block", "after the block", "after the last look", "before the deletion"],
)
def test_a_killed_run_leaves_no_write_block_behind(bench: Workbench, point: Point) -> None:
    """Held since, so that the next run does not delete it: it can be written to again."""
    now = SystemClock().now()
    name = bench.index("logs-a", [now - 20 * DAY])
    bench.ready()
    _killed(bench, point)
    bench.free_the_lease()
    hold = ("hold", "add", "--index", name, "--owner", "legal", "--reason", "a case", "--until", "2099-01-01")
    assert bench.run(*hold).code == 0

    assert bench.run("run", "--once").code in {0, 3}
    bench.add("logs-a", [now])
    assert bench.count("logs-a") == 2
    bench.assert_every_intent_is_answered_once()
