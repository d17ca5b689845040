"""The status as JSON: what `/api/status` answers, with the schema that is published beside it.

Instants are RFC 3339 in UTC, durations whole seconds. A field is never left out: what is not known is null. Later
versions may add fields, and take none away.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from retention_enforcer.domain.instants import SECOND, format_instant, format_known_instant
from retention_enforcer.domain.terminations.states import State
from retention_enforcer.reporting.status import HoldView, Pending, PromiseStatus, Role, Status, Verdict

_Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


_SCHEMA = "https://json-schema.org/draft/2020-12/schema"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class InstanceDocument(_Part):
    """The instance that answers."""

    name: str
    version: str
    mode: Literal["plan", "enforce"]
    role: Role
    """`acting` holds the lease. `standby` waits for the lease. `planning` deletes nothing."""
    started_at: _Time
    ready: bool
    not_ready: tuple[str, ...]
    """Why it is not ready."""
    interval: int
    """Seconds between two cycles of a category; a proof counts for three of them."""


class LeaseDocument(_Part):
    """The lease: which instance acts."""

    held: bool
    holder: str | None
    epoch: int | None


class ClusterDocument(_Part):
    """The cluster, as of its last response."""

    connected: bool
    uuid: str | None
    name: str | None
    version: str | None
    answered_at: _Time | None


class PolicyDocument(_Part):
    """The policy of this instance."""

    name: str
    fingerprint: str
    accepted: bool | None
    """Whether it is the accepted policy; null if that is not known."""
    stopped_at: _Time | None
    """Since when the operator has stopped all deletion."""


class LedgerDocument(_Part):
    """The last record of the ledger."""

    sequence: int
    hash: str


class PromiseDocument(_Part):
    """One promise and its verdict."""

    id: str
    promise: str
    clause: str | None
    verdict: Verdict
    """`not-proven`: it is not known whether the promise is kept."""
    why: str
    limit: int | None
    proven_at: _Time | None
    indices: int | None
    documents: int | None
    overdue: int | None
    oldest: _Time | None
    age: int | None
    """The age of the oldest document at `as_of`."""
    margin: int | None
    """The time until the oldest document reaches the limit; negative past the limit."""
    last_purge: _Time | None
    next_due: _Time | None
    findings: tuple[str, ...]


class PendingDocument(_Part):
    """One termination or request that is not closed."""

    subject: str
    """Kind and pseudonym, never an id."""
    request: str
    state: State
    registered_at: _Time
    terminated_at: _Time
    deadline: _Time
    remaining: int | None
    """The time until its purge must be finished; negative after that; null once everything is erased."""
    documents_purged: int
    open_items: tuple[str, ...]


class TerminationsDocument(_Part):
    """The open terminations and requests; a field is null if it is not known."""

    looked_at: _Time | None
    open: tuple[PendingDocument, ...]
    closed: int
    """How many are closed or cancelled, and still remembered."""


class FindingDocument(_Part):
    """One finding: something that is not as it should be."""

    id: str
    kind: str
    category: str | None
    index: str | None
    severity: Literal["error", "warning"]
    text: str
    remedy: str
    first_seen: _Time


class HoldDocument(_Part):
    """One hold: what must not be deleted for now."""

    id: str
    on: str
    until: _Time
    remaining: int


class JobDocument(_Part):
    """The last runs of a job of the schedule."""

    name: str
    last_success: _Time | None
    failed_at: _Time | None
    """When it last failed, if it has not succeeded since."""
    error: str
    remedy: str


class StatusDocument(_Part):
    """Whether every promise is kept, as far as this instance knows at `as_of`."""

    as_of: _Time
    verdict: Verdict
    instance: InstanceDocument
    lease: LeaseDocument | None
    """Null in plan mode, which needs no lease."""
    cluster: ClusterDocument
    policy: PolicyDocument
    ledger: LedgerDocument | None
    promises: tuple[PromiseDocument, ...]
    terminations: TerminationsDocument
    findings: tuple[FindingDocument, ...]
    holds: tuple[HoldDocument, ...]
    jobs: tuple[JobDocument, ...]
    notes: tuple[str, ...]
    """What could not be looked at."""


def status_schema() -> dict[str, Any]:
    """Return the JSON Schema of the document."""
    schema = StatusDocument.model_json_schema(mode="serialization")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Status of retention-enforcer",
    }


def status_document(status: Status) -> StatusDocument:
    """Return a status as the document."""
    known, situation = status.known, status.known.situation
    head = situation.head if situation else None
    return StatusDocument(
        as_of=format_instant(status.as_of),
        verdict=status.verdict,
        instance=_instance(status),
        lease=_lease(status),
        cluster=_cluster(status),
        policy=PolicyDocument(
            name=known.policy.name,
            fingerprint=known.fingerprint,
            accepted=status.accepted,
            stopped_at=format_known_instant(situation.stopped_at if situation else None),
        ),
        ledger=LedgerDocument(sequence=head.sequence, hash=head.hash) if head else None,
        promises=tuple(_promise(promise) for promise in status.promises),
        terminations=TerminationsDocument(
            looked_at=format_known_instant(known.terminations.at if known.terminations else None),
            open=tuple(_pending(pending) for pending in status.pending),
            closed=status.closed,
        ),
        findings=tuple(
            FindingDocument(
                id=finding.id,
                kind=finding.kind,
                category=finding.category,
                index=finding.index,
                severity=finding.severity.value,
                text=finding.text,
                remedy=finding.remedy,
                first_seen=format_instant(finding.first_seen),
            )
            for finding in status.findings
        ),
        holds=tuple(_hold(hold) for hold in status.holds),
        jobs=tuple(
            JobDocument(
                name=name,
                last_success=format_known_instant(job.last_success),
                failed_at=format_known_instant(job.failed_at),
                error=job.error,
                remedy=job.remedy,
            )
            for name, job in sorted(known.jobs.items())
        ),
        notes=(situation.note,) if situation and situation.note else (),
    )


def _instance(status: Status) -> InstanceDocument:
    known = status.known
    return InstanceDocument(
        name=known.instance,
        version=known.version,
        mode="plan" if known.mode == "plan" else "enforce",
        role=status.role,
        started_at=format_instant(known.started_at),
        ready=not status.not_ready,
        not_ready=status.not_ready,
        interval=known.interval // SECOND,
    )


def _lease(status: Status) -> LeaseDocument | None:
    lease = status.known.lease
    return LeaseDocument(held=lease.held, holder=lease.holder or None, epoch=lease.epoch) if lease else None


def _cluster(status: Status) -> ClusterDocument:
    situation = status.known.situation
    cluster = situation.cluster if situation else None
    return ClusterDocument(
        connected=status.connected,
        uuid=cluster.uuid if cluster else None,
        name=cluster.name if cluster else None,
        version=cluster.version if cluster else None,
        answered_at=format_known_instant(situation.at if situation else None),
    )


def _promise(promise: PromiseStatus) -> PromiseDocument:
    return PromiseDocument(
        id=promise.id,
        promise=promise.promise,
        clause=promise.clause,
        verdict=promise.verdict,
        why=promise.why,
        limit=seconds(promise.limit),
        proven_at=format_known_instant(promise.proven_at),
        indices=promise.indices,
        documents=promise.documents,
        overdue=promise.overdue,
        oldest=format_known_instant(promise.oldest),
        age=seconds(promise.age),
        margin=seconds(promise.margin),
        last_purge=format_known_instant(promise.last_purge),
        next_due=format_known_instant(promise.next_due),
        findings=promise.findings,
    )


def _pending(pending: Pending) -> PendingDocument:
    return PendingDocument(
        subject=pending.subject,
        request=pending.request,
        state=pending.state,
        registered_at=format_instant(pending.registered_at),
        terminated_at=format_instant(pending.terminated_at),
        deadline=format_instant(pending.deadline),
        remaining=seconds(pending.remaining),
        documents_purged=pending.documents,
        open_items=pending.open_items,
    )


def _hold(hold: HoldView) -> HoldDocument:
    return HoldDocument(id=hold.id, on=hold.on, until=format_instant(hold.until), remaining=hold.remaining // SECOND)


def seconds(duration: int | None) -> int | None:
    """Return a duration in whole seconds."""
    return duration // SECOND if duration is not None else None
