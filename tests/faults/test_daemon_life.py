"""The daemon's life: its schedule, its end, its twin, the operator's stop, and a cluster that goes away."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from elasticsearch import Elasticsearch

from embedded_elasticsearch import EmbeddedServer
from kill_points import Point
from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.cluster.deletion.deletion import Deletion
from retention_enforcer.daemon.rhythm import Rhythm
from retention_enforcer.domain import lease
from retention_enforcer.domain.instants import DAY
from running import QUICK, Page, awaits_answer, running, silent, until, until_it_failed_again
from workbench import KEY, Workbench

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

TERM = 8.0
IMPATIENT = replace(QUICK, lease_term=TERM)
"""Takes a lease for lapsed after seconds instead of two minutes: eight renewals of the holder."""


def test_it_deletes_what_becomes_due_ends_on_sigterm_and_gives_the_lease_back(bench: Workbench) -> None:
    bench.index("logs-a", [SystemClock().now() - 20 * DAY])
    bench.ready()
    with running(bench) as daemon:
        until(lambda: bench.is_gone("logs-a"), "the first deletion")
        bench.index("logs-b", [SystemClock().now() - 20 * DAY])
        until(lambda: bench.is_gone("logs-b"), "the second deletion")
        assert daemon.end() == 0
        assert not any(KEY in line or bench.password in line for line in daemon.lines)
    started = time.monotonic()
    assert bench.run("run", "--once").code == 0
    assert time.monotonic() - started < lease.TERM / 2, "the lease had to be waited for"


def test_sigterm_in_the_middle_of_a_trim_is_out_soon_and_the_next_run_finishes(bench: Workbench) -> None:
    now = SystemClock().now()
    bench.index("logs-a", [*([now - 20 * DAY] * 6_000), *([now] * 7_000)])
    bench.ready()
    reached, on = bench.folder / "reached", bench.folder / "on"
    held_up = Point("after", Elasticsearch.bulk).does(f"ask_and_wait({str(reached)!r}, {str(on)!r})")
    with running(bench, before=held_up) as daemon:
        until(reached.exists, "the first page")
        daemon.process.terminate()
        daemon.wait_for("shutting down")
        on.touch()
        assert daemon.ended(within=10.0) == 0
    assert 7_000 < (bench.count("logs-a") or 0) < 13_000
    assert bench.run("run", "--once").code == 0
    assert bench.count("logs-a") == 7_000
    bench.assert_every_intent_is_answered_once()


def test_a_second_daemon_waits_and_takes_over_when_the_first_ends(bench: Workbench) -> None:
    bench.ready()
    with running(bench, QUICK) as first, running(bench, QUICK) as second:
        until(lambda: first.says("lease taken") or second.says("lease taken"), "somebody takes the lease")
        holder, waiter = (first, second) if first.says("lease taken") else (second, first)
        waiter.wait_for("waiting for the lease")
        bench.index("logs-a", [SystemClock().now() - 20 * DAY])
        until(lambda: bench.is_gone("logs-a"), "the holder's deletion")
        assert not waiter.says("record")
        assert holder.end() == 0
        waiter.wait_for("lease taken, epoch 2")
        bench.index("logs-b", [SystemClock().now() - 20 * DAY])
        until(lambda: bench.is_gone("logs-b"), "the deletion of the one who took over")
        assert waiter.end() == 0
    bench.assert_every_intent_is_answered_once()


def test_stop_is_confirmed_by_the_daemon_and_holds_until_resume(bench: Workbench) -> None:
    bench.ready()
    with running(bench, QUICK) as daemon:
        daemon.wait_for("promise kept")
        stopped = bench.run("stop")
        assert (stopped.code, "confirmed by" in stopped.out) == (0, True)
        bench.index("logs-a", [SystemClock().now() - 20 * DAY])
        daemon.wait_for("promise not kept")
        assert bench.count("logs-a") == 1
        assert bench.run("resume").code == 0
        until(lambda: bench.is_gone("logs-a"), "the deletion after resume")
        assert daemon.end() == 0


def test_unaccepted_it_stays_up_and_acts_once_the_policy_is_accepted(bench: Workbench) -> None:
    bench.index("logs-a", [SystemClock().now() - 20 * DAY])
    assert bench.run("setup", "--indices-only").code == 0
    with running(bench, QUICK) as daemon:
        daemon.wait_for("promise not kept")
        assert daemon.process.poll() is None
        assert bench.count("logs-a") == 1
        daemon.wait_for("nobody has accepted this policy")
        assert bench.run("policy", "accept").code == 0
        until(lambda: bench.is_gone("logs-a"), "the deletion after acceptance")
        assert daemon.end() == 0


def test_a_cluster_that_answers_nobody_at_start_is_exit_1(bench: Workbench) -> None:
    bench.settings["ENFORCER_ELASTICSEARCH_URL"] = "http://127.0.0.1:9"
    for arguments in (("run",), ("run", "--once"), ("plan",), ("check",), ("report",)):
        ran = bench.run(*arguments)
        assert ran.code == 1, arguments
        assert "no connection to the cluster" in ran.err
        assert "Traceback" not in ran.err


def renewal(bench: Workbench) -> float:
    """Wait for the next renewal of the lease; return an instant, of the monotonic clock, right before it."""

    def beat() -> int:
        return int(bench.es.get(index=bench.own.state, id="lease")["_source"]["body"]["beat"])

    before, first = time.monotonic(), beat()
    while True:
        began = time.monotonic()
        if beat() != first:
            return before
        before = began
        time.sleep(0.05)


def test_the_lease_of_a_killed_holder_lapses_and_that_of_a_living_one_does_not(bench: Workbench) -> None:
    bench.ready()
    bench.settings["ENFORCER_ELASTICSEARCH_TIMEOUT"] = "3s"  # no request begins that might outlast the lease
    with running(bench, QUICK) as holder:
        holder.wait_for("lease taken, epoch 1")
        with running(bench, IMPATIENT) as waiter:
            waiter.wait_for("waiting for the lease")
            waited_since = time.monotonic()
            while time.monotonic() - waited_since <= TERM:
                before_the_last = renewal(bench)
            assert not waiter.says("lease taken")
            holder.process.kill()
            waiter.wait_for("lease taken, epoch 2")
            assert time.monotonic() - before_the_last >= TERM, "it did not wait for the term"
            bench.index("logs-a", [SystemClock().now() - 20 * DAY])
            until(lambda: bench.is_gone("logs-a"), "the deletion of the one who took over")
            assert waiter.end() == 0
    bench.assert_every_intent_is_answered_once()


def test_it_outlives_a_cluster_that_goes_away_in_the_middle_of_a_deletion(
    away: Workbench, mortal: EmbeddedServer
) -> None:
    away.index("logs-a", [SystemClock().now() - 20 * DAY])
    away.ready()
    # Faster than it really runs (10 s and 5 min), and still less than a line a second.
    away.settings["ENFORCER_INTERVAL"] = "5s"
    reached, dead = away.folder / "reached", away.folder / "dead"
    deleting = Point("before", Deletion.delete_indices).does(f"ask_and_wait({str(reached)!r}, {str(dead)!r})")
    with running(away, Rhythm(lease_renewal=5.0), before=deleting) as daemon:
        until(reached.exists, "the deletion")
        mortal.kill()
        dead.touch()
        daemon.wait_for("no connection to the cluster")
        page, before, started = Page(daemon), len(daemon.lines), time.monotonic()
        until_it_failed_again(page, "category logs", 2)  # what is measured is how much it says meanwhile
        assert (len(daemon.lines) - before) / (time.monotonic() - started) < 1
        assert daemon.process.poll() is None
        mortal.start()
        until(lambda: away.is_gone("logs-a"), "the deletion after its return")
        until(lambda: away.records()[-1]["kind"] != "intent", "its outcome")
        assert daemon.end() == 0
        assert not any(KEY in line or away.password in line or "Traceback" in line for line in daemon.lines)
    away.assert_every_intent_is_answered_once()


def test_sigterm_is_obeyed_although_the_cluster_answers_nothing(away: Workbench, mortal: EmbeddedServer) -> None:
    away.ready()
    away.settings["ENFORCER_ELASTICSEARCH_TIMEOUT"] = "5s"
    with running(away, QUICK) as daemon:
        daemon.wait_for("promise kept")
        with silent(mortal):
            until(lambda: awaits_answer(mortal), "a request that is under way")
            assert daemon.end(within=10.0) == 0, "the request under way may take its 5 s, and no other follows it"
