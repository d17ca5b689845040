"""The daemon is killed between any two steps: the next run answers every intent, and ends where it would have ended."""

from __future__ import annotations

import pytest

from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.domain.instants import DAY
from workbench import WHEN_CALLED, Workbench

pytestmark = pytest.mark.timeout(120)

LEDGER = "cluster.own.ledger_index.LedgerIndex"
DELETION = "cluster.deletion.deletion.Deletion"

# The first records: 1 leader, 2 policy, 3 checkpoint, then the batch: its rollover, its intents, and their outcomes.
STEPS = {
    "before anything is recorded": (LEDGER, "create", 1, "before"),
    "after the first intent": (LEDGER, "create", 4, "after"),
    "before the rollover": (DELETION, "roll_over", 1, "before"),
    "after the rollover": (DELETION, "roll_over", 1, "after"),
    "after the rollover's outcome": (LEDGER, "create", 5, "after"),
    "in the middle of the intents": (LEDGER, "create", 7, "after"),
    "before the write block": (DELETION, "stop_writes", 1, "before"),
    "after the write block": (DELETION, "stop_writes", 1, "after"),
    "before the DELETE": (DELETION, "delete_indices", 1, "before"),
    "after the DELETE, before an outcome": (DELETION, "delete_indices", 1, "after"),
    "after the first outcome": (LEDGER, "create", 10, "after"),
    "before the first deletes of a trim": (DELETION, "_delete_documents", 1, "before"),
    "after the first deletes of a trim": (DELETION, "_delete_documents", 1, "after"),
    "after the trim, before its outcome": (DELETION, "trim", 1, "after"),
    "before the memory is saved": ("enforcement.expiry.recorder.CycleRecorder", "record", 1, "before"),
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


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS.keys())
def test_a_killed_run_is_finished_by_the_next(bench: Workbench, step: tuple[str, str, int, str]) -> None:
    now = SystemClock().now()
    _sample(bench, now)
    bench.ready()
    target, name, n, when = step
    killed = bench.process(
        "run", "--once", before=f"{WHEN_CALLED}when_called({target!r}, {name!r}, {n}, {when!r}, die)"
    )
    _, err = killed.communicate(timeout=60)
    assert killed.returncode == -9, err
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
    "step",
    [
        (DELETION, "stop_writes", 1, "before"),
        (DELETION, "stop_writes", 1, "after"),
        (DELETION, "identities", 2, "after"),
        (DELETION, "delete_indices", 1, "before"),
    ],
    ids=["before the block", "after the block", "after the last look", "before the deletion"],
)
def test_a_killed_run_leaves_no_write_block_behind(bench: Workbench, step: tuple[str, str, int, str]) -> None:
    """Held since, so that the next run does not delete it: it can be written to again."""
    now = SystemClock().now()
    name = bench.index("logs-a", [now - 20 * DAY])
    bench.ready()
    target, method, n, when = step
    killed = bench.process(
        "run", "--once", before=f"{WHEN_CALLED}when_called({target!r}, {method!r}, {n}, {when!r}, die)"
    )
    _, err = killed.communicate(timeout=60)
    assert killed.returncode == -9, err
    bench.free_the_lease()
    hold = ("hold", "add", "--index", name, "--owner", "legal", "--reason", "a case", "--until", "2099-01-01")
    assert bench.run(*hold).code == 0

    assert bench.run("run", "--once").code in {0, 3}
    bench.add("logs-a", [now])
    assert bench.count("logs-a") == 2
    bench.assert_every_intent_is_answered_once()
