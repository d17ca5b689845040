"""The operator's word that was lost, on a real server: nothing is deleted until somebody has looked."""

from __future__ import annotations

import threading

import pytest

from backups import Backups
from retention_enforcer.bootstrap import Deployment, Surroundings, SystemClock
from retention_enforcer.domain.instants import DAY, format_instant
from workbench import FixedClock, Workbench

WORDS = ("--owner", "legal", "--reason", "a case")


def hold(bench: Workbench) -> str:
    until = format_instant(SystemClock().now() + 10 * DAY)
    added = bench.run("hold", "add", "--category", "logs", *WORDS, "--until", until)
    assert added.code == 0, added.err
    return added.out.split()[1]


def actions(bench: Workbench) -> list[str]:
    return [r["action"] for r in bench.records() if r["kind"] == "hold"]


@pytest.fixture
def old(bench: Workbench) -> Workbench:
    bench.index("logs-a", [SystemClock().now() - 20 * DAY])
    bench.ready()
    return bench


@pytest.mark.parametrize("since", [0, 12], ids=["at once", "after as many writes as were lost"])
def test_an_older_word_restored_in_place_deletes_nothing_until_it_is_adopted(
    old: Workbench, backups: Backups, since: int
) -> None:
    repository = backups.repository()
    backups.take(repository, "before")
    id_ = hold(old)
    assert old.run("run", "--once").code == 3
    old.es.indices.close(index=old.own.control)
    old.es.snapshot.restore(repository=repository, snapshot="before", indices=old.own.control, wait_for_completion=True)
    for _ in range(since):
        assert old.run("policy", "accept").code == 0
    assert old.run("hold", "list", "--output", "json").json == []
    refused = old.run("run", "--once")
    assert refused.code == 4
    assert "ledger adopt" in refused.err
    assert old.run("check").code == 4
    assert (old.count("logs-a"), actions(old)) == (1, ["added"])
    adopted = old.run("ledger", "adopt")
    assert adopted.code == 0
    assert id_ in adopted.out
    assert old.run("run", "--once").code == 0
    assert actions(old) == ["added", "lost"]


def test_a_word_made_anew_deletes_nothing_until_it_is_adopted(old: Workbench) -> None:
    hold(old)
    assert old.run("run", "--once").code == 3
    old.es.indices.delete(index=old.own.control)
    refused = old.run("run", "--once")
    assert refused.code == 4
    assert "restore" in refused.err, "what is missing was lost"
    old.ready()
    assert old.run("run", "--once").code == 4
    assert old.count("logs-a") == 1


def test_a_hold_or_a_flag_that_somebody_deleted_is_lost_and_one_taken_back_is_not(old: Workbench) -> None:
    id_ = hold(old)
    assert old.run("run", "--once").code == 3
    old.es.delete(index=old.own.control, id=f"hold-{id_}", refresh=True)
    refused = old.run("run", "--once")
    assert (refused.code, id_ in refused.err) == (4, True)
    assert old.run("ledger", "adopt").code == 0
    assert old.run("stop").code == 0
    assert old.run("run", "--once").code == 3
    old.es.delete(index=old.own.control, id="stop", refresh=True)
    refused = old.run("run", "--once")
    assert refused.code == 4
    assert "stop flag" in refused.err
    assert old.count("logs-a") == 1
    assert old.run("resume").code == 0
    assert old.run("run", "--once").code == 0
    assert old.is_gone("logs-a")


def restored(bench: Workbench, backups: Backups, snapshot: str, repository: str) -> None:
    """Put an older memory in the place of the one there is, as a restore of all own indices but the ledger would."""
    bench.es.indices.close(index=bench.own.state)
    backups.es.snapshot.restore(
        repository=repository, snapshot=snapshot, indices=bench.own.state, wait_for_completion=True
    )


def test_an_older_memory_does_not_bring_back_what_was_approved_and_used(bench: Workbench, backups: Backups) -> None:
    old = [SystemClock().now() - 20 * DAY] * 1_200
    bench.index("logs-a", [*old, *[SystemClock().now()] * 100])
    bench.ready()
    assert bench.run("run", "--once").code == 4
    plan_hash = bench.run("plan", "--output", "json").plan("logs")["hash"]
    assert bench.run("plan", "approve", plan_hash).code == 0
    repository = backups.repository()
    backups.take(repository, "before")
    assert bench.run("run", "--once").code == 0
    bench.add("logs-a", old)
    assert bench.run("run", "--once").code == 4, "it counted once"
    restored(bench, backups, "before", repository)
    refused = bench.run("run", "--once")
    assert refused.code == 4
    assert "is older than the ledger" in refused.err
    assert bench.count("logs-a") == 1_300
    adopted = bench.run("ledger", "adopt")
    assert (adopted.code, "retention-state was older" in adopted.out) == (0, True)
    assert bench.run("run", "--once").code == 4, "whether it was carried out nobody knows any more"
    assert bench.count("logs-a") == 1_300
    again = bench.run("ledger", "adopt")
    assert "retention-state" not in again.out


def test_a_flag_that_is_lost_is_missed_although_a_fast_clock_resumed_before(old: Workbench) -> None:
    assert old.run("stop").code == 0
    assert old.run("resume", clock=FixedClock(ahead=2 * DAY)).code == 0
    assert old.run("stop").code == 0
    assert old.run("run", "--once").code == 3
    old.es.delete(index=old.own.control, id="stop", refresh=True)
    assert old.run("run", "--once").code == 4
    assert old.count("logs-a") == 1


def test_two_operators_at_once_lose_nothing_in_the_eyes_of_a_run(old: Workbench) -> None:
    def work() -> None:
        deployment = Deployment(Surroundings(environ=old.environ, own=old.own))
        for _ in range(3):
            held, now = deployment.stores.control, deployment.clock.now()
            id_ = f"{threading.get_ident()}-{now}"
            body = {"owner": "o", "reason": "r", "until": now + DAY, "category": "logs"}
            held.save(f"hold-{id_}", body, now)
            deployment.deciding.holding.remove(id_)

    operators = [threading.Thread(target=work) for _ in range(2)]
    for operator in operators:
        operator.start()
    codes = {old.run("run", "--once").code for _ in range(2)}
    for operator in operators:
        operator.join()
    codes.add(old.run("run", "--once").code)
    assert 4 not in codes
    assert set(actions(old)) <= {"added", "removed"}
