"""The schedule: jobs that are due by elapsed time, however the clock is set meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from apscheduler.events import EVENT_JOB_ERROR, JobExecutionEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

_log = structlog.get_logger()

_LOOK = 1.0
"""Seconds between two looks at the clock."""

_STEP = 2.0
"""Seconds. A larger difference between clock and elapsed time, from one look to the next, is a step."""


class ClockSteps:
    """Notices that the clock was set, by comparing it with elapsed time."""

    def __init__(self, wall: Callable[[], float] = time.time, elapsed: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._elapsed = elapsed
        self._ahead = wall() - elapsed()

    def look(self) -> float:
        """Return by how many seconds the clock was set ahead since the last look: negative if back, else 0."""
        ahead = self._wall() - self._elapsed()
        step, self._ahead = ahead - self._ahead, ahead
        return step if abs(step) > _STEP else 0.0


class Schedule:
    """Runs jobs at intervals, each in a thread, and one that is still running never twice.

    APScheduler waits for times of the clock. After a clock was set back nothing would be due until it has caught up,
    the renewal of the lease neither: so what waits for too late a time is brought back. A clock that was set ahead
    makes everything due once, which harms nothing: what may be deleted is judged by the cluster's clock as well.
    """

    def __init__(self, threads: int) -> None:
        self._scheduler = BackgroundScheduler(
            timezone="UTC",
            executors={"default": ThreadPoolExecutor(threads)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self._end = threading.Event()
        self._watch = threading.Thread(target=self._watch_clock, name="clock", daemon=True)

    def on_defect(self, tell: Callable[[BaseException, str], None]) -> None:
        """Call this for each exception that a job raises, with the name of the job."""

        def told(event: JobExecutionEvent) -> None:
            tell(event.exception, event.job_id)

        self._scheduler.add_listener(told, EVENT_JOB_ERROR)

    def every(self, seconds: float, name: str, job: Callable[[], Any], *, at_once: bool = False) -> None:
        """Run a job at an interval, for the first time at once or after one interval."""
        first = {"next_run_time": datetime.now(UTC)} if at_once else {}
        self._scheduler.add_job(job, "interval", seconds=seconds, id=name, **first)

    def run_at_once(self, name: str) -> None:
        """Run a job now, and at its interval from then on."""
        self._scheduler.modify_job(name, next_run_time=datetime.now(UTC))

    def start(self) -> None:
        """Start the schedule."""
        self._scheduler.start()
        self._watch.start()

    def shut_down(self) -> None:
        """End the schedule, after the running jobs."""
        self._end.set()
        self._scheduler.shutdown(wait=True)

    def _watch_clock(self) -> None:
        steps = ClockSteps()
        while not self._end.wait(_LOOK):
            if step := steps.look():
                way = "ahead" if step > 0 else "back"
                text = f"the clock was set {way} by {abs(step):.0f} s: the schedule follows elapsed time"
                _log.warning(text, **{"event.action": "clock"})
                self._bring_back(step)

    def _bring_back(self, step: float) -> None:
        now = datetime.now(UTC)
        for job in self._scheduler.get_jobs():
            if job.next_run_time is not None and job.next_run_time - now > job.trigger.interval:
                self._scheduler.modify_job(job.id, next_run_time=job.next_run_time + timedelta(seconds=step))
