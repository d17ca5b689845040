"""What the daemon does, whatever makes it do it: the schedule or `--once`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import structlog

from retention_enforcer.daemon.exit_codes import FAILED, code_of
from retention_enforcer.domain.errors import RetentionError
from retention_enforcer.enforcement.cycle import CycleResult

_log = structlog.get_logger()


class Worker(Protocol):
    """Runs cycles: `enforcement.enforcer.Enforcer`, or its `Planner` in plan mode."""

    def start(self) -> None:
        """Check what must be true, and finish what was interrupted."""

    def run(self, category: str) -> CycleResult:
        """Run one cycle of a category."""

    def finish(self) -> None:
        """Keep the books."""

    def raise_if_unaccepted(self) -> None:
        """Raise Refused if the policy in force here was accepted by nobody."""


def run_category(worker: Worker, category: str) -> int:
    """Run one cycle and return its exit code; an error of this category is logged and stops no other."""
    try:
        return code_of(worker.run(category))
    except RetentionError as error:
        log_error(error, category=category)
        return error.exit_code


def run_even_if_defective(worker: Worker, category: str) -> int:
    """Run one cycle; a defect is logged with its traceback, and keeps no other category from its cycle."""
    try:
        return run_category(worker, category)
    except Exception as error:  # noqa: BLE001 - the one place where a defect must not end the run
        log_defect(error, category)
        return FAILED


def log_instead_of_raising(look: Callable[[], None]) -> None:
    """Do what is done again soon anyway; an error is logged."""
    try:
        look()
    except RetentionError as error:
        log_error(error)


def log_defect(error: BaseException, category: str) -> None:
    """Log a defect of the enforcer itself."""
    text = f"defect in {category}: {type(error).__name__}"
    _log.error(text, exc_info=error, **{"event.action": "defect", "event.outcome": "failure"})


def log_error(error: RetentionError, *, category: str = "") -> None:
    """Log an error with its mend, in one line."""
    fields = {"retention.category": category} if category else {}
    text = f"{error.message}; {error.mend}" if error.mend else error.message
    _log.error(text, **{"event.action": "error", "event.outcome": "failure", **fields})
