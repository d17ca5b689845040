"""What the daemon knows: what its jobs saw last, each with its time. Immutable, and without a raw id of anybody.

Whatever is put in here has its subjects replaced already, so that nothing made of it can show one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated

from pydantic import WithJsonSchema

from retention_enforcer.domain.control import Control
from retention_enforcer.domain.expiry.proof import Proof
from retention_enforcer.domain.findings import Finding, FindingKind, Severity
from retention_enforcer.domain.holds.hold import Hold
from retention_enforcer.domain.ledger.records import Head
from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.domain.subjects.pseudonyms import Redactor
from retention_enforcer.domain.terminations.states import Termination, forgotten
from retention_enforcer.reporting.published import UNPUBLISHED, Instant, Seconds

DURATION_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""The upper bounds, in seconds, of the histogram of cycle durations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingSeen:
    """A finding: something that is not as it should be."""

    id: str  # the same everywhere, although the index may be shown under a pseudonym
    kind: Annotated[FindingKind, WithJsonSchema({"title": "Kind", "type": "string"})]
    category: str | None
    index: str | None
    severity: Annotated[Severity, WithJsonSchema({"enum": list(Severity), "title": "Severity", "type": "string"})]
    text: str
    remedy: str
    first_seen: Instant

    @classmethod
    def of(cls, finding: Finding, now: int) -> FindingSeen:
        """Return a finding as it is shown. One that was never stored is first seen now."""
        return cls(
            id=finding.id,
            kind=finding.kind,
            category=finding.category,
            index=finding.index,
            severity=finding.severity,
            text=finding.text,
            remedy=finding.remedy,
            first_seen=finding.first_seen if finding.first_seen is not None else now,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CategorySeen:
    """The result of the last cycle of a category. Instants in epoch milliseconds."""

    proof: Proof
    """Its own findings are not looked at: `findings` has them as they are shown."""
    findings: tuple[FindingSeen, ...]
    next_due: int | None
    last_purge: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingsSeen:
    """The findings of a job that proves nothing."""

    at: int
    findings: tuple[FindingSeen, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminationsSeen(FindingsSeen):
    """The result of the last work on terminations."""

    terminations: tuple[Termination, ...]
    """Without their subjects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldSeen:
    """A hold: data that must not be deleted before the hold ends."""

    id: str
    on: str
    until: Instant
    remaining: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSeen:
    """The cluster, as it was when it last answered."""

    connected: bool = False
    uuid: str | None = None
    name: str | None = None
    version: str | None = None
    answered_at: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SituationSeen:
    """The result of the last look at the cluster and at the operator's decisions, if there was one."""

    cluster: ClusterSeen = ClusterSeen()
    accepted: str | None = None
    head: Head | None = None
    holds: tuple[HoldSeen, ...] = ()
    stopped_at: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseSeen:
    """The lease: which instance acts."""

    held: bool  # by this process, now
    holder: str | None  # None while nobody is known to hold it
    epoch: int | None
    seen_ago: Annotated[float | None, UNPUBLISHED]
    """Seconds since the lease was last read or written; None if it never was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSeen:
    """A job of the schedule, and how its last runs ended."""

    name: str
    last_success: Instant | None = None
    failed_at: Instant | None = None
    """When the job last failed. Null if it has succeeded since, or never failed."""
    error: str = ""
    remedy: str = ""
    defect: Annotated[bool, UNPUBLISHED] = False
    """Whether an internal error of the enforcer was the cause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """The durations of cycles: their number, their sum, and how many were within each of `DURATION_BUCKETS`."""

    count: int = 0
    seconds: float = 0.0
    at_most: tuple[int, ...] = (0,) * len(DURATION_BUCKETS)

    def and_one_of(self, seconds: float) -> Durations:
        """Return the durations with one more cycle."""
        at_most = tuple(n + (seconds <= bound) for n, bound in zip(self.at_most, DURATION_BUCKETS, strict=True))
        return Durations(count=self.count + 1, seconds=self.seconds + seconds, at_most=at_most)


Counted = Mapping[tuple[str, str], int]
"""How much was purged since the process started, by category and mechanism (`direct`, `ilm`, `termination`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Everything that is known at one moment. Durations and instants in milliseconds."""

    policy: Policy
    fingerprint: str
    mode: str
    instance: str
    version: str
    grace: int
    interval: int
    started_at: int
    started: bool = False
    """Whether all preconditions of the work were met."""
    obstacle: str = ""
    """What prevents the work from starting or continuing, as last seen."""
    lease: LeaseSeen | None = None
    """None in plan mode, which needs none."""
    situation: SituationSeen = SituationSeen()
    jobs: Mapping[str, JobSeen] = field(default_factory=dict)
    categories: Mapping[str, CategorySeen] = field(default_factory=dict)
    coverage: FindingsSeen | None = None
    terminations: TerminationsSeen | None = None
    purged_indices: Counted = field(default_factory=dict)
    purged_documents: Counted = field(default_factory=dict)
    durations: Durations = field(default_factory=Durations)

    def job(self, name: str) -> JobSeen:
        """Return the last runs of a job, also of one that never ran."""
        return self.jobs.get(name, JobSeen(name=name))


def readable_findings(redactor: Redactor, findings: Iterable[Finding], *, now: int) -> tuple[FindingSeen, ...]:
    """Return findings without ids of subjects."""
    return tuple(
        replace(
            FindingSeen.of(finding, now),
            index=redactor.index_name(finding.index) if finding.index is not None else None,
            text=redactor.text(finding.text, finding.index),
            remedy=redactor.text(finding.remedy, finding.index),
        )
        for finding in findings
    )


def readable_terminations(redactor: Redactor, terminations: Iterable[Termination]) -> tuple[Termination, ...]:
    """Return terminations without anything that identifies their subjects."""
    return tuple(
        replace(
            forgotten(one),
            open_items=tuple(replace(item, text=redactor.text(item.text)) for item in one.open_items),
        )
        for one in terminations
    )


def readable_holds(redactor: Redactor, control: Control | None, *, now: int) -> tuple[HoldSeen, ...]:
    """Return holds without owner, reason and ids of subjects, the next to end first."""
    return tuple(
        HoldSeen(id=hold.id, on=_on(redactor, hold), until=hold.until, remaining=hold.until - now)
        for hold in sorted(control.holds if control else (), key=lambda hold: (hold.until, hold.id))
    )


def _on(redactor: Redactor, hold: Hold) -> str:
    if hold.subject is not None:
        return f"{hold.subject.kind} {redactor.pseudonyms.of(hold.subject.text)}"
    if hold.index is not None:
        return f"index {redactor.index_name(hold.index)}"
    return f"category {hold.category}"
