"""Under what one piece of work runs."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from retention_enforcer.domain.control import Control
from retention_enforcer.domain.ledger.records import Record
from retention_enforcer.domain.policy.promises import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Under what one cycle runs."""

    policy: Policy
    fingerprint: str
    max_share: float
    control: Control
    may_act: bool
    """False: everything but the purges."""

    @classmethod
    def looking(cls, policy: Policy, control: Control) -> Scope:
        """For a look at the indices alone: nothing is purged under it."""
        return cls(policy=policy, fingerprint="", max_share=1.0, control=control, may_act=False)


def cycle_of(job: str) -> str:
    """Return a new name for one run of a job: a category, or the work on terminations."""
    return f"{job}-{secrets.token_hex(4)}"


@contextmanager
def named_run(job: str, **fields: str) -> Iterator[str]:
    """Give one run of a job its name, under which it logs, with these fields beside it."""
    cycle = cycle_of(job)
    with structlog.contextvars.bound_contextvars(**{"retention.cycle": cycle}, **fields):
        yield cycle


def job_of(cycle: str) -> str:
    """Return the job whose run has this name."""
    return cycle.rpartition("-")[0]


def job_of_record(record: Record) -> str:
    """Return the job in whose run a ledger record was written."""
    return job_of(str(record.get("cycle", "")))
