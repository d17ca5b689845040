"""`run`: the schedule. One job for each category, one for terminations, one for coverage.

Beside them one that looks after the lease and the operator's stop, one that looks where this process stands, and a beat
that shows that the schedule turns.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

import structlog

from retention_enforcer.daemon.exit_codes import FAILED, OK
from retention_enforcer.daemon.gate import Gate
from retention_enforcer.daemon.lease import LeaseKeeper, NoLease
from retention_enforcer.daemon.noticeboard import SITUATION, NotedWorker, Noticeboard
from retention_enforcer.daemon.rhythm import Rhythm
from retention_enforcer.daemon.schedule import Schedule
from retention_enforcer.daemon.work import QuietTell, Worker, jobs_of, log_defect, log_error
from retention_enforcer.domain.errors import ClusterUnavailable, Refused, RetentionError
from retention_enforcer.enforcement.preconditions.status import InstanceStatus

_log = structlog.get_logger()

_SHUTDOWN = 8.0
"""Seconds for everything that is still to be done when the daemon is told to end."""

_BEAT = 5.0
"""Seconds between two signs that the schedule runs."""

_BESIDES = 4
"""Jobs beside those of the worker, and one thread to spare."""

_DEFECTS_IN_A_ROW = 5
"""After this many defects of one job in a row, the process ends, so that it is started again."""


class Service:
    """The daemon's life: start, schedule, stop."""

    def __init__(
        self,
        *,
        worker: Worker,
        categories: Sequence[str],
        interval: float,
        gate: Gate,
        lease: LeaseKeeper | NoLease,
        look_at_stop: Callable[[], None],
        board: Noticeboard,
        situation: Callable[[], InstanceStatus],
        rhythm: Rhythm,
    ) -> None:
        worker = NotedWorker(worker, board)
        self._worker = worker
        self._jobs = jobs_of(worker, categories, QuietTell())
        self._interval = interval
        self._gate = gate
        self._lease = lease
        self._look_at_stop = look_at_stop
        self._board = board
        self._situation = situation
        self._rhythm = rhythm
        # A thread for each job: one that waits for its cluster delays no other.
        self._schedule = Schedule(len(self._jobs) + _BESIDES)
        self._started = threading.Event()
        self._end = threading.Event()
        self._defects: dict[str, int] = {}
        self._last_refusal = ""
        self._accepted_until = 0.0

    def run(self) -> int:
        """Run until told to end; return the exit code."""
        self._schedule.on_defect(self._count_defect)
        self._schedule.every(_BEAT, "beat", self._board.beat)
        self._schedule.every(self._rhythm.look_around, SITUATION, self._look_around, at_once=True)
        self._schedule.every(self._rhythm.lease_renewal, "lease", self._tend, at_once=True)
        for name in self._jobs:
            self._schedule.every(self._interval, name, partial(self._run, name))
        self._schedule.start()
        _log.info("running", **{"event.action": "start", "retention.jobs": len(self._jobs)})
        self._end.wait()
        return self._shut_down()

    def end(self) -> None:
        """Ask the daemon to end; safe in a signal handler."""
        self._end.set()

    @property
    def _running(self) -> bool:
        return self._started.is_set() and self._lease.held

    def _look_around(self) -> None:
        """Look where this process stands; that it cannot be told is what is told then."""
        try:
            self._board.saw_situation(self._situation())
        except RetentionError as error:
            self._board.failed(SITUATION, error)
        else:
            self._board.succeeded(SITUATION)

    def _tend(self) -> None:
        """Look after the lease and the operator's stop, and start the work once both allow it."""
        try:
            self._lease.renew()
            if not self._lease.held:
                self._started.clear()
                if not self._lease.try_to_take():
                    self._say_once(f"waiting for the lease, which {self._lease.holder} holds")
                    self._board.stands(started=False)
                    return
            self._look_at_stop()
            if not self._started.is_set():
                self._worker.start()
                self._started.set()
                for name in self._jobs:
                    self._schedule.run_at_once(name)
            self._look_at_acceptance()
            self._last_refusal = ""
            self._board.stands(started=True)
        except RetentionError as error:
            self._board.stands(started=self._started.is_set(), obstacle=error.message)
            if isinstance(error, ClusterUnavailable):
                self._board.failed(SITUATION, error)  # sooner than the next look around would say it
            if error.message != self._last_refusal:
                self._last_refusal = error.message
                log_error(error)

    def _look_at_acceptance(self) -> None:
        """Let nothing through while another policy is the accepted one, also in a purge that is under way.

        As long as it is the one here that is looked at as seldom as at the rest: each cycle looks by itself.
        """
        if time.monotonic() < self._accepted_until:
            return
        try:
            self._worker.raise_if_unaccepted()
        except Refused as error:
            self._gate.close("acceptance", error.message, 0)
            raise
        self._gate.open("acceptance")
        self._accepted_until = time.monotonic() + self._rhythm.look_around

    def _say_once(self, text: str) -> None:
        if text != self._last_refusal:
            self._last_refusal = text
            _log.info(text, **{"event.action": "lease"})

    def _run(self, name: str) -> None:
        if self._running:
            self._jobs[name]()
            self._defects.pop(name, None)

    def _count_defect(self, defect: BaseException, name: str) -> None:
        self._defects[name] = self._defects.get(name, 0) + 1
        log_defect(defect, name)
        if self._broken:
            self._end.set()

    @property
    def _broken(self) -> bool:
        return any(count >= _DEFECTS_IN_A_ROW for count in self._defects.values())

    def _shut_down(self) -> int:
        """End in order, but in time: what a silent cluster keeps waiting is left, and settled at the next start."""
        _log.info("shutting down", **{"event.action": "stop"})
        self._gate.shut("the enforcer is shutting down")
        orderly = threading.Thread(target=self._end_in_order, daemon=True)
        orderly.start()
        orderly.join(_SHUTDOWN)
        if orderly.is_alive():
            _log.warning("the cluster does not answer: requests in progress are abandoned", **{"event.action": "stop"})
        return FAILED if self._broken else OK

    def _end_in_order(self) -> None:
        self._schedule.shut_down()
        try:
            if self._running:
                self._worker.finish()
        except RetentionError as error:
            log_error(error)
        self._lease.release()
