"""The jobs of the daemon, which the schedule or `--once` runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

import structlog

from retention_enforcer.daemon.exit_codes import FAILED, NOT_KEPT, OK, code_of
from retention_enforcer.domain.errors import RetentionError
from retention_enforcer.enforcement.coverage.observer import CoverageLook
from retention_enforcer.enforcement.expiry.cycle import CycleResult
from retention_enforcer.enforcement.terminations.job import TerminationResult

_log = structlog.get_logger()

_REPEATED = 60.0
"""Seconds after which a persistent error is logged again."""


class Worker(Protocol):
    """Runs cycles: `enforcement.enforcer.Enforcer`, or its `Planner` in plan mode."""

    def start(self) -> None:
        """Check what must be true, and finish what was interrupted."""

    def run(self, category: str) -> CycleResult:
        """Run one cycle of a category."""

    def cover(self) -> CoverageLook:
        """Look past the policy once."""

    def work_on_terminations(self) -> TerminationResult:
        """Carry out what customers asked for, as far as it is due."""

    def finish(self) -> None:
        """Remember how far the ledger goes."""

    def raise_if_unaccepted(self) -> None:
        """Raise Refused if nobody accepted the policy of this instance."""


Job = Callable[[], int]
"""Does one piece of work and returns its exit code; errors of the cluster and refusals are logged, not raised."""


class Tell(Protocol):
    """Says that a job failed."""

    def __call__(self, error: RetentionError, *, category: str = "") -> None:
        """Say it, with the category that it concerns."""


def jobs_of(worker: Worker, categories: Iterable[str], tell: Tell | None = None) -> dict[str, Job]:
    """Return what is done on the schedule, by its name: terminations, a cycle for each category, coverage.

    In this order where it is done one after another: a cycle sees what the work on terminations left to a lifecycle.
    """
    tell = tell or log_error
    jobs: dict[str, Job] = {f"category {id_}": partial(run_category, worker, id_, tell) for id_ in categories}
    terminations, coverage = partial(work_on_terminations, worker, tell), partial(look_past, worker, tell)
    return {"terminations": terminations, **jobs, "coverage": coverage}


def run_category(worker: Worker, category: str, tell: Tell) -> int:
    """Run one cycle and return its exit code; an error of this category is logged and stops no other."""
    try:
        return code_of(worker.run(category))
    except RetentionError as error:
        tell(error, category=category)
        return error.exit_code


def look_past(worker: Worker, tell: Tell) -> int:
    """Look past the policy once. Its findings change no exit code, but a look that fails does."""
    try:
        worker.cover()
    except RetentionError as error:
        tell(error)
        return error.exit_code
    return OK


def work_on_terminations(worker: Worker, tell: Tell) -> int:
    """Carry out what customers asked for. A purge that is late counts as a promise that is not kept."""
    try:
        return NOT_KEPT if worker.work_on_terminations().late else OK
    except RetentionError as error:
        tell(error)
        return error.exit_code


def run_even_if_defective(job: Job, name: str) -> int:
    """Run one job; a defect is logged with its traceback, and keeps no other job from running."""
    try:
        return job()
    except Exception as error:  # noqa: BLE001 - the one place where a defect must not end the run
        log_defect(error, name)
        return FAILED


def log_instead_of_raising(look: Callable[[], None]) -> None:
    """Call a function that is soon called again anyway; log its error."""
    try:
        look()
    except RetentionError as error:
        log_error(error)


def log_defect(error: BaseException, job: str) -> None:
    """Log a defect of the enforcer itself."""
    text = f"internal error in {job}: {type(error).__name__}"
    _log.error(text, exc_info=error, **{"event.action": "defect", "event.outcome": "failure"})


class QuietTell:
    """Logs a repeated error of a category only once in a while: a cluster can be away for long."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, str], float] = {}

    def __call__(self, error: RetentionError, *, category: str = "") -> None:
        """Say it, unless it was just said."""
        key, now = (category, error.message), time.monotonic()
        if now - self._said.get(key, -_REPEATED) >= _REPEATED:
            self._said = {said: at for said, at in self._said.items() if now - at < _REPEATED} | {key: now}
            log_error(error, category=category)


def log_error(error: RetentionError, *, category: str = "") -> None:
    """Log an error with its remedy, in one line."""
    fields = {"retention.category": category} if category else {}
    about = f"{category}: " if category else ""
    text = f"{about}{error.message}; {error.remedy}" if error.remedy else f"{about}{error.message}"
    _log.error(text, **{"event.action": "error", "event.outcome": "failure", **fields})
