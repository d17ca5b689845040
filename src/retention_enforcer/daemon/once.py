"""`run --once`: each job once, then the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from retention_enforcer.daemon.exit_codes import FAILED, worst
from retention_enforcer.daemon.lease import LeaseKeeper, NoLease
from retention_enforcer.daemon.schedule import Schedule
from retention_enforcer.daemon.work import Worker, jobs_of, log_error, log_instead_of_raising, run_even_if_defective
from retention_enforcer.domain.errors import Refused, RetentionError
from retention_enforcer.domain.lease import LEASE_RENEWAL

LONGEST_WAIT = 180.0
"""Seconds for which the lease is waited for: longer than its term, so that a dead holder is outlived."""


def run_once(
    worker: Worker,
    categories: Sequence[str],
    lease: LeaseKeeper | NoLease,
    tend: Callable[[], None],
    stop: threading.Event,
    lease_renewal: float = LEASE_RENEWAL,
) -> int:
    """Run each job once, under the lease, and return the exit code.

    `tend` is called as often as the lease is renewed, in seconds: it looks at the operator's stop.
    """
    if not lease.wait(LONGEST_WAIT, stop):
        raise Refused(
            f"{lease.holder} holds the lease: nothing was done",
            "stop that instance, or leave the work to it",
        )
    schedule = Schedule(2)
    schedule.every(lease_renewal, "lease", lease.renew)
    schedule.every(lease_renewal, "stop", lambda: log_instead_of_raising(tend))
    schedule.start()
    try:
        return _under_lease(worker, categories, stop)
    finally:
        schedule.shut_down()
        lease.release()


def _under_lease(worker: Worker, categories: Sequence[str], stop: threading.Event) -> int:
    worker.start()
    jobs = jobs_of(worker, categories)
    codes = [run_even_if_defective(job, name) for name, job in jobs.items() if not stop.is_set()]
    if len(codes) < len(jobs):
        codes.append(FAILED)  # told to end before its end
    try:
        worker.raise_if_unaccepted()
    except RetentionError as error:
        log_error(error)
        codes.append(error.exit_code)
    worker.finish()
    return worst(codes)
