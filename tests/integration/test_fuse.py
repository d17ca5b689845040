"""The fuse on a real server: what counts as foreseen, what an approval covers, and what the share is taken of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.cluster.deletion.deletion import Deletion
from retention_enforcer.domain.instants import DAY, HOUR, MINUTE, SECOND
from workbench import LIMIT, MARGIN, FixedClock, Workbench

CUT = LIMIT - MARGIN


class Stepped:
    """A clock that cluster and enforcer share, and that steps for both: only the enforcer's is seen to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def to(self, now: int) -> FixedClock:
        """Return the clock at an instant that the cluster, too, takes for now."""
        self._monkeypatch.setattr("retention_enforcer.enforcement.preconditions.safety.CLOCK_TOLERANCE", 1_000 * DAY)
        self._monkeypatch.setattr("retention_enforcer.enforcement.preconditions.safety.CHECKED_FOR", 0.0)
        return FixedClock(now)


@pytest.fixture
def stepped(monkeypatch: pytest.MonkeyPatch) -> Stepped:
    return Stepped(monkeypatch)


def approve(bench: Workbench, clock: FixedClock | None = None) -> None:
    """Approve the plan of the logs as it is now."""
    plan_hash = bench.run("plan", "--output", "json", clock=clock).plan("logs")["hash"]
    approved = bench.run("plan", "approve", plan_hash, clock=clock)
    assert approved.code == 0, approved.err


# --- a gap in which nobody looked ---------------------------------------------------------------------


def test_after_a_step_of_both_clocks_nothing_counts_as_foreseen(bench: Workbench, stepped: Stepped) -> None:
    now = SystemClock().now()
    for day in range(1, 6):
        bench.index(f"logs-{day}", [now - day * DAY] * 500)
    bench.ready()
    assert bench.run("run", "--once", clock=stepped.to(now)).code == 0
    ahead = bench.run("run", "--once", clock=stepped.to(now + 20 * DAY))
    assert ahead.code == 4
    assert "2,500 of 2,500 documents" in ahead.err
    assert "the last check was 20 d before this one" in ahead.err
    assert "no document is younger than the last check" in ahead.err
    again = bench.run("run", "--once", clock=stepped.to(now + 20 * DAY + 5 * MINUTE))
    assert again.code == 4, "a refused look must not release the next one"
    assert [bench.count(f"logs-{day}") for day in range(1, 6)] == [500] * 5


def test_within_a_few_intervals_what_was_seen_coming_goes(bench: Workbench, stepped: Stepped) -> None:
    now = SystemClock().now()
    bench.index("logs-a", [now - CUT + 10 * MINUTE] * 900)
    bench.index("logs-b", [now] * 200)
    bench.ready()
    assert bench.run("run", "--once", clock=stepped.to(now)).code == 0
    ran = bench.run("run", "--once", clock=stepped.to(now + 14 * MINUTE))
    assert ran.code == 0, ran.err
    assert bench.count("logs-a") is None


def test_nothing_is_foreseen_in_the_place_of_what_is_still_to_come(bench: Workbench, stepped: Stepped) -> None:
    now = SystemClock().now()
    bench.index("logs-a", [*[now - CUT + 14 * MINUTE] * 1_000, *[now] * 100])
    bench.ready()
    assert bench.run("run", "--once", clock=stepped.to(now)).code == 0
    bench.add("logs-a", [now - CUT + 2 * MINUTE] * 1_500)
    refused = bench.run("run", "--once", clock=stepped.to(now + 4 * MINUTE))
    assert refused.code == 4
    assert "1,500 of 2,600 documents" in refused.err
    assert bench.count("logs-a") == 2_600


def test_after_a_longer_gap_the_same_documents_are_refused_with_the_gap(bench: Workbench, stepped: Stepped) -> None:
    now = SystemClock().now()
    bench.index("logs-a", [now - CUT + 10 * MINUTE] * 900)
    bench.index("logs-b", [now] * 200)
    bench.ready()
    assert bench.run("run", "--once", clock=stepped.to(now)).code == 0
    bench.add("logs-b", [now + 16 * MINUTE])
    ran = bench.run("run", "--once", clock=stepped.to(now + 16 * MINUTE))
    assert ran.code == 4
    assert "the last check was 16 min before this one" in ran.err
    assert "no document is younger" not in ran.err
    assert bench.count("logs-a") == 900


def test_an_interval_as_long_as_a_schedulers_makes_its_runs_foresee(bench: Workbench, stepped: Stepped) -> None:
    now = SystemClock().now()
    bench.settings["ENFORCER_INTERVAL"] = "15m"
    bench.index("logs-a", [now - CUT + 10 * MINUTE] * 900)
    bench.index("logs-b", [now] * 200)
    bench.ready()
    assert bench.run("run", "--once", clock=stepped.to(now)).code == 0
    assert bench.run("run", "--once", clock=stepped.to(now + 16 * MINUTE)).code == 0
    assert bench.count("logs-a") is None


# --- how many documents were foreseen -----------------------------------------------------------------


def test_one_known_document_does_not_release_six_thousand_that_came_later(bench: Workbench, stepped: Stepped) -> None:
    now = SystemClock().now()
    oldest = now - CUT + 45 * SECOND
    bench.index("records", [oldest, *[now] * 1_500])
    bench.ready()
    assert bench.run("run", "--once", clock=stepped.to(now)).code == 0
    bench.add("records", [oldest + 1] * 6_000)
    ran = bench.run("run", "--once", clock=stepped.to(now + MINUTE))
    assert ran.code == 4
    assert "6,000 of 7,500 documents" in ran.err
    assert bench.count("records") == 7_501


def test_the_young_documents_of_a_whole_index_were_foreseen_if_they_were_known(
    bench: Workbench, stepped: Stepped
) -> None:
    now = SystemClock().now()
    oldest = now - CUT + 45 * SECOND
    bench.index("logs-a", [oldest, *[oldest + HOUR] * 1_500])
    bench.index("logs-b", [now] * 10)
    bench.ready()
    assert bench.run("run", "--once", clock=stepped.to(now)).code == 0
    assert bench.run("run", "--once", clock=stepped.to(now + MINUTE)).code == 0
    assert bench.count("logs-a") is None


def test_young_documents_that_came_since_the_last_look_were_not_foreseen(bench: Workbench, stepped: Stepped) -> None:
    now = SystemClock().now()
    oldest = now - CUT + 45 * SECOND
    bench.index("logs-a", [oldest, *[oldest + HOUR] * 9])
    bench.index("logs-b", [now] * 1_000)
    bench.ready()
    assert bench.run("run", "--once", clock=stepped.to(now)).code == 0
    bench.add("logs-a", [oldest + HOUR] * 1_500)
    ran = bench.run("run", "--once", clock=stepped.to(now + MINUTE))
    assert ran.code == 4
    assert "1,500 of 2,500 documents" in ran.err
    assert bench.count("logs-a") == 1_510


def test_what_was_foreseen_stays_so_while_a_stop_keeps_it(bench: Workbench, stepped: Stepped) -> None:
    now = SystemClock().now()
    bench.index("logs-a", [now - CUT + 4 * MINUTE] * 900)
    bench.index("logs-b", [now] * 200)
    bench.ready()
    assert bench.run("run", "--once", clock=stepped.to(now)).code == 0
    assert bench.run("stop").code == 0
    for minutes in (5, 10):
        bench.run("run", "--once", clock=stepped.to(now + minutes * MINUTE))
        assert bench.count("logs-a") == 900
    assert bench.run("resume").code == 0
    assert bench.run("run", "--once", clock=stepped.to(now + 15 * MINUTE)).code == 0
    assert bench.count("logs-a") is None


# --- what an approval covers --------------------------------------------------------------------------


def test_an_approval_is_void_under_another_policy(bench: Workbench) -> None:
    now = SystemClock().now()
    bench.index("records", [*[now - 20 * DAY] * 1_200, *[now - 5 * DAY] * 800])
    bench.ready()
    assert bench.run("run", "--once").code == 4
    plan_hash = bench.run("plan", "--output", "json").plan("records")["hash"]
    assert bench.run("plan", "approve", plan_hash).code == 0
    bench.max_age = "3d"
    assert bench.run("policy", "accept").code == 0
    ran = bench.run("run", "--once")
    assert ran.code == 4
    assert "2,000 of 2,000 documents" in ran.err
    assert bench.count("records") == 2_000


def test_an_approval_is_for_no_more_documents_than_were_shown(bench: Workbench) -> None:
    now = SystemClock().now()
    bench.index("logs-a", [*[now - 20 * DAY] * 1_200, *[now] * 100])
    bench.ready()
    assert bench.run("run", "--once").code == 4
    approve(bench)
    bench.add("logs-a", [now - 20 * DAY] * 1_000)
    ran = bench.run("run", "--once")
    assert ran.code == 4
    assert "1,000 of 1,100 documents" in ran.err
    assert bench.count("logs-a") == 2_300


def test_what_is_foreseen_since_goes_with_what_was_approved(bench: Workbench, stepped: Stepped) -> None:
    now = SystemClock().now()
    due_soon = [now - CUT + 30 * SECOND] * 500
    bench.index("logs-a", [*[now - 20 * DAY] * 1_200, *due_soon, *[now] * 10])
    bench.ready()
    assert bench.run("run", "--once", clock=stepped.to(now)).code == 4
    approve(bench, stepped.to(now))
    assert bench.run("run", "--once", clock=stepped.to(now + MINUTE)).code == 0
    assert bench.count("logs-a") == 10


def test_the_hash_stays_while_documents_become_due_that_were_seen_coming(bench: Workbench, stepped: Stepped) -> None:
    """Else nobody could approve the plan of a container in which a document is due every second."""
    now = SystemClock().now()
    bench.index("records", [*[now - 20 * DAY] * 1_200, *[now - CUT + n * SECOND for n in range(30)]])
    bench.ready()
    assert bench.run("run", "--once", clock=stepped.to(now)).code == 4

    def shown(at: int) -> str:
        return str(bench.run("plan", "--output", "json", clock=stepped.to(at)).plan("records")["hash"])

    assert shown(now + 10 * SECOND) == shown(now + 20 * SECOND)
    before = shown(now + 20 * SECOND)
    bench.add("records", [now - 20 * DAY])
    assert shown(now + 20 * SECOND) != before


# --- the share, and of what ---------------------------------------------------------------------------


def test_what_is_approved_does_not_enlarge_the_whole(bench: Workbench) -> None:
    now = SystemClock().now()
    bench.index("logs-a", [now - 20 * DAY] * 1_200)
    bench.ready()
    assert bench.run("run", "--once").code == 4
    approve(bench)
    bench.index("logs-b", [now - 20 * DAY] * 1_200)
    ran = bench.run("run", "--once")
    assert ran.code == 4
    assert "1,200 of 1,200 documents" in ran.err
    assert (bench.count("logs-a"), bench.count("logs-b")) == (None, 1_200)


def test_what_is_foreseen_does_not_enlarge_the_whole(bench: Workbench, stepped: Stepped) -> None:
    now = SystemClock().now()
    bench.index("logs-a", [now - CUT + 45 * SECOND] * 1_200)
    bench.ready()
    assert bench.run("run", "--once", clock=stepped.to(now)).code == 0
    bench.index("logs-b", [now - 20 * DAY] * 1_100)
    ran = bench.run("run", "--once", clock=stepped.to(now + MINUTE))
    assert ran.code == 4
    assert "1,100 of 1,100 documents" in ran.err
    assert bench.count("logs-b") == 1_100


def test_a_small_rest_beside_what_was_approved_is_no_small_category(bench: Workbench) -> None:
    now = SystemClock().now()
    bench.index("logs-a", [now - 20 * DAY] * 1_200)
    bench.ready()
    assert bench.run("run", "--once").code == 4
    approve(bench)
    bench.index("logs-b", [now - 20 * DAY] * 900)
    assert bench.run("run", "--once").code == 4
    assert (bench.count("logs-a"), bench.count("logs-b")) == (None, 900)


def test_a_second_pass_lets_no_more_through_than_one_plan(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written to since it was planned is planned anew, and judged with what has gone already."""
    now = SystemClock().now()
    bench.index("logs-a", [now - 20 * DAY] * 250)
    bench.index("logs-b", [now - 20 * DAY] * 250)
    bench.index("logs-c", [now] * 500)
    bench.ready()
    look, written = Deletion.identities, []

    def late(deletion: Deletion, names: Sequence[str]) -> Any:
        if not written:
            written.append(1)
            bench.add("logs-b", [now - 20 * DAY] * 250)
        return look(deletion, names)

    monkeypatch.setattr(Deletion, "identities", late)
    bench.run("run", "--once")
    assert written
    assert (bench.count("logs-a"), bench.count("logs-b"), bench.count("logs-c")) == (None, 500, 500)
