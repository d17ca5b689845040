"""The status as of one instant: what page and metrics show, and what `/api/status` returns, field by field. Pure.

In JSON no field is ever missing: what is not known is null. Later versions may add fields, but remove none. Docstrings
of classes and fields are the descriptions in the published schema.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, with_config

from retention_enforcer.domain.instants import SECOND
from retention_enforcer.domain.terminations.states import times_of
from retention_enforcer.reporting.known import ClusterSeen, FindingSeen, HoldSeen, JobSeen, Known, LeaseSeen
from retention_enforcer.reporting.promises import (
    Grounds,
    Promise,
    Timed,
    Verdict,
    because,
    most_urgent_first,
    requests_unknown,
)
from retention_enforcer.reporting.published import Instant, Seconds, schema_of
from retention_enforcer.reporting.terminations import Pending, pending_of

_CONTACT = 75.0 * SECOND
"""How old the last response of the cluster or the last look at the lease may be. One look every 30 s may be missed."""


class Role(StrEnum):
    """The role of this process."""

    PLANNING = "planning"  # deletes nothing
    ACTING = "acting"  # holds the lease
    STANDBY = "standby"  # waits for the lease of another
    UNKNOWN = "unknown"  # cannot tell who holds the lease


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """The instance that answers."""

    name: str
    version: str
    mode: Literal["plan", "enforce"]
    role: Role
    """`acting` holds the lease. `standby` waits for the lease. `planning` deletes nothing."""
    started_at: Instant
    ready: bool
    not_ready: tuple[str, ...]
    """Why the instance is not ready. Empty if it is ready."""
    interval: Seconds
    """The interval between two cycles of a category, in seconds. A proof is valid for three intervals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySeen:
    """The policy of this instance."""

    name: str
    fingerprint: str
    accepted: bool | None
    """Whether it is the accepted policy; null if that is not known."""
    stopped_at: Instant | None
    """When the operator stopped all deletion. Null if it is not stopped, or if that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSeen:
    """The last record of the ledger."""

    sequence: int
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminations:
    """The open terminations and requests; a field is null if it is not known."""

    looked_at: Instant | None
    open: tuple[Pending, ...]  # the most urgent first
    closed: int
    """The number of closed or cancelled requests that are still in the registry."""


@with_config(ConfigDict(use_attribute_docstrings=True))
@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Whether every promise is kept, as far as this instance knows at `as_of`."""

    as_of: Instant
    verdict: Verdict
    instance: Instance
    lease: LeaseSeen | None
    """Null in plan mode, which needs no lease."""
    cluster: ClusterSeen
    policy: PolicySeen
    ledger: LedgerSeen | None
    promises: tuple[Promise, ...]
    terminations: Terminations
    findings: tuple[FindingSeen, ...]  # the broken promises first
    holds: tuple[HoldSeen, ...]
    jobs: tuple[JobSeen, ...]
    notes: tuple[str, ...]
    """What could not be checked, and why. Empty if everything could be checked."""


_DOCUMENT = TypeAdapter(Status)


def status_json(status: Status) -> bytes:
    """Return the status as JSON, as `/api/status` returns it."""
    return _DOCUMENT.dump_json(status)


def status_schema() -> dict[str, Any]:
    """Return the JSON Schema of the status."""
    return {**schema_of(_DOCUMENT), "title": "Status of retention-enforcer"}


def build_status(known: Known, now: int) -> Status:
    """Return the status at an instant."""
    role, situation = _role(known), known.situation
    grounds = _grounds(known, role, now)
    promises = grounds.promises()
    verdicts = {promise.verdict for promise in promises}
    by_categories = [finding for seen in grounds.categories.values() for finding in seen.findings]
    return Status(
        as_of=now,
        verdict=next((v for v in (Verdict.NOT_KEPT, Verdict.NOT_PROVEN) if v in verdicts), Verdict.KEPT),
        instance=_instance(known, role, now),
        lease=known.lease,
        cluster=replace(situation.cluster, connected=_is_connected(known, now)),
        policy=PolicySeen(
            name=known.policy.name,
            fingerprint=known.fingerprint,
            accepted=_is_accepted(known),
            stopped_at=situation.stopped_at,
        ),
        ledger=LedgerSeen(sequence=head.sequence, hash=head.hash) if (head := situation.head) else None,
        promises=promises,
        terminations=_terminations(known, grounds.asked, now),
        findings=most_urgent_first([*by_categories, *grounds.beside]),
        holds=tuple(replace(hold, remaining=hold.until - now) for hold in situation.holds if hold.until > now),
        jobs=tuple(job for _, job in sorted(known.jobs.items())),
        notes=(situation.note,) if situation.note else (),
    )


def _grounds(known: Known, role: Role, now: int) -> Grounds:
    """Return what decides about the verdicts. A standby instance knows nothing: the acting one does."""
    if role is Role.STANDBY:
        holder = known.lease.holder if known.lease else "another instance"
        reason = f"standby: {holder} holds the lease; see its status"
        return Grounds(policy=known.policy, now=now, categories={}, unseen=reason, unknown=reason)
    terminations = known.terminations
    return Grounds(
        policy=known.policy,
        now=now,
        categories=known.categories,
        errors={category.id: known.job(f"category {category.id}").error for category in known.policy.categories},
        interval=known.interval,
        asked=[
            (t, times_of(known.policy, t, known.grace)) for t in (terminations.terminations if terminations else ())
        ],
        asked_at=terminations.at if terminations else None,
        unknown=_requests_unknown(known, now),
        beside=[finding for one in (known.coverage, terminations) if one for finding in one.findings],
    )


def _role(known: Known) -> Role:
    if known.mode == "plan":
        return Role.PLANNING
    lease = known.lease
    if lease and lease.held:
        return Role.ACTING
    fresh = lease is not None and lease.seen_ago is not None and lease.seen_ago * SECOND <= _CONTACT
    if lease and fresh and lease.holder and lease.holder != known.instance:
        return Role.STANDBY
    return Role.UNKNOWN


def _instance(known: Known, role: Role, now: int) -> Instance:
    not_ready = tuple(_not_ready(known, role, now))
    return Instance(
        name=known.instance,
        version=known.version,
        mode="plan" if known.mode == "plan" else "enforce",
        role=role,
        started_at=known.started_at,
        ready=not not_ready,
        not_ready=not_ready,
        interval=known.interval,
    )


def _not_ready(known: Known, role: Role, now: int) -> Iterable[str]:
    accepted = _is_accepted(known)
    if not _is_connected(known, now):
        error = known.job("situation").error
        yield f"the cluster does not answer: {error}" if error else "the cluster has not answered recently"
    if role is not Role.PLANNING and accepted is False:
        yield f"policy {known.fingerprint[:12]} is not the accepted one"
    elif role is not Role.PLANNING and accepted is None:
        yield because("it is unknown whether the policy is accepted", known.situation.note)
    if role is Role.UNKNOWN:
        yield "it is unknown which instance holds the lease"
    if role in (Role.PLANNING, Role.ACTING) and not known.started:
        yield because("the work has not started", known.obstacle)
    for name, job in known.jobs.items():
        if job.defect:
            yield f"{name} ended with an internal error"


def _is_connected(known: Known, now: int) -> bool:
    job = known.job("situation")
    return job.last_success is not None and job.failed_at is None and now - job.last_success <= _CONTACT


def _is_accepted(known: Known) -> bool | None:
    situation = known.situation
    looked = situation.cluster.answered_at is not None and not situation.note
    return situation.accepted == known.fingerprint if looked else None


def _requests_unknown(known: Known, now: int) -> str:
    """Return why it is not known what customers are owed; empty if it is known."""
    if known.mode == "plan":
        return "plan mode does not process requests, so pending terminations are unknown"
    unknown = requests_unknown(known.terminations.at if known.terminations else None, now, known.interval)
    return because(unknown, known.job("terminations").error) if unknown else ""


def _terminations(known: Known, asked: Sequence[Timed], now: int) -> Terminations:
    pending = (pending_of(termination, times, now) for termination, times in asked if termination.is_open)
    return Terminations(
        looked_at=known.terminations.at if known.terminations else None,
        open=tuple(sorted(pending, key=lambda one: (one.remaining is None, one.deadline, one.subject))),
        closed=sum(not termination.is_open for termination, _ in asked),
    )
