"""The schedule, while the clock is set: by itself, and with the clock of this process moved under a real scheduler."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from structlog.testing import capture_logs

from retention_enforcer.daemon import schedule as module
from retention_enforcer.daemon.schedule import ClockSteps, Schedule


@pytest.mark.parametrize(
    ("moves", "steps"),
    [
        ([(1.0, 1.0), (1.0, 1.0)], [0, 0]),
        ([(1.0, 3601.0), (1.0, 1.0)], [3600, 0]),
        ([(1.0, -3599.0), (1.0, 1.0)], [-3600, 0]),
        ([(1.0, 2.9), (1.0, -0.9)], [0, 0]),
        ([(600.0, 600.0)], [0]),
        ([(0.0, -2.5), (1.0, 3.5)], [-2.5, 2.5]),
    ],
)
def test_a_step_is_what_the_clock_does_beside_time(moves: list[tuple[float, float]], steps: list[float]) -> None:
    """Each move: how much time went by, and how far the clock went."""
    elapsed, wall = [100.0], [1_000_000.0]
    clock = ClockSteps(lambda: wall[0], lambda: elapsed[0])
    seen = []
    for time_by, clock_by in moves:
        elapsed[0] += time_by
        wall[0] += clock_by
        seen.append(round(clock.look(), 6))
    assert seen == steps


class Counted:
    """A job that counts its runs."""

    def __init__(self) -> None:
        self.runs = 0
        self._ran = threading.Condition()

    def __call__(self) -> None:
        with self._ran:
            self.runs += 1
            self._ran.notify_all()

    def wait_for_more(self, many: int, within: float) -> bool:
        with self._ran:
            until = self.runs + many
            return self._ran.wait_for(lambda: self.runs >= until, within)


@pytest.fixture
def scheduled(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], tuple[Schedule, Counted]]:
    monkeypatch.setattr(module, "_LOOK", 0.05)

    def make(seconds: float) -> tuple[Schedule, Counted]:
        made, job = Schedule(2), Counted()
        made.every(seconds, "job", job)
        made.start()
        return made, job

    return make


@pytest.mark.parametrize("hours", [-24, -1, 1, 24])
def test_jobs_go_on_whatever_the_clock_is_set_to(
    scheduled: Callable[[float], tuple[Schedule, Counted]], hours: int
) -> None:
    made, job = scheduled(0.2)
    with closing_schedule(made), capture_logs() as logs:
        assert job.wait_for_more(2, 10)
        with time_machine.travel(datetime.now(UTC) + timedelta(hours=hours), tick=True):
            assert job.wait_for_more(4, 10), "no job ran after the clock was set"
        assert job.wait_for_more(4, 10), "no job ran after the clock was set right again"
    way, back = ("ahead", "back") if hours > 0 else ("back", "ahead")
    said = [entry["event"] for entry in logs if entry.get("event.action") == "clock"]
    assert [text.split(" by ")[0] for text in said] == [f"the clock was set {way}", f"the clock was set {back}"]


def test_a_clock_set_back_makes_nothing_due_before_its_time(
    scheduled: Callable[[float], tuple[Schedule, Counted]],
) -> None:
    made, job = scheduled(2.0)
    began = time.monotonic()
    with closing_schedule(made), time_machine.travel(datetime.now(UTC) - timedelta(hours=1), tick=True):
        assert job.wait_for_more(1, 20)
        assert time.monotonic() - began > 1.5


def closing_schedule(made: Schedule) -> closing[Closed]:
    return closing(Closed(made))


class Closed:
    """A schedule that ends with its test."""

    def __init__(self, made: Schedule) -> None:
        self.close = made.shut_down
