"""What the daemon knows: what its jobs saw last, each with its time. Immutable, and without a raw id of anybody.

Whatever is put in here has its subjects replaced already, so that nothing made of it can show one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from retention_enforcer.domain.control import Control
from retention_enforcer.domain.expiry.proof import Proof
from retention_enforcer.domain.facts import ClusterFacts
from retention_enforcer.domain.findings import Finding, FindingKind, Severity
from retention_enforcer.domain.holds.hold import Hold
from retention_enforcer.domain.ledger.records import Head
from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.domain.subjects.pseudonyms import Pseudonyms, Redactor
from retention_enforcer.domain.terminations.states import Termination, forgotten

DURATION_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""The upper bounds, in seconds, of the histogram of cycle durations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingSeen:
    """A finding without ids of subjects, under the id that it has everywhere."""

    id: str
    kind: FindingKind
    category: str | None
    index: str | None
    severity: Severity
    text: str
    remedy: str
    first_seen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CategorySeen:
    """The result of the last cycle of a category. Instants in epoch milliseconds."""

    proof: Proof
    """Without its findings, which are beside it."""
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
    """A hold without owner and reason: on what, and until when."""

    id: str
    on: str
    until: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SituationSeen:
    """The result of the last look at the cluster and at the operator's decisions."""

    at: int
    cluster: ClusterFacts
    accepted: str | None
    head: Head | None
    holds: tuple[HoldSeen, ...]
    stopped_at: int | None
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseSeen:
    """Which instance acts, as far as this process knows."""

    held: bool
    """Whether it is this process, now."""
    epoch: int | None
    holder: str
    """Empty while nobody is known to hold it."""
    seen_ago: float | None
    """Seconds since the lease was last read or written; None if it never was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSeen:
    """The last runs of a job. Instants in epoch milliseconds."""

    last_success: int | None = None
    failed_at: int | None = None
    """When it last failed, if it did not succeed since."""
    error: str = ""
    remedy: str = ""
    defect: bool = False
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
    situation: SituationSeen | None = None
    jobs: Mapping[str, JobSeen] = field(default_factory=dict)
    categories: Mapping[str, CategorySeen] = field(default_factory=dict)
    coverage: FindingsSeen | None = None
    terminations: TerminationsSeen | None = None
    purged_indices: Counted = field(default_factory=dict)
    purged_documents: Counted = field(default_factory=dict)
    durations: Durations = field(default_factory=Durations)


def readable_findings(
    policy: Policy, pseudonyms: Pseudonyms, findings: Iterable[Finding], *, now: int
) -> tuple[FindingSeen, ...]:
    """Return findings without ids of subjects."""
    redactor = Redactor(pseudonyms, policy.patterns)
    return tuple(
        FindingSeen(
            id=finding.id,
            kind=finding.kind,
            category=finding.category,
            index=pseudonyms.index_name(policy.patterns, finding.index) if finding.index is not None else None,
            severity=finding.severity,
            text=redactor.text(finding.text, finding.index),
            remedy=redactor.text(finding.remedy, finding.index),
            first_seen=finding.first_seen if finding.first_seen is not None else now,
        )
        for finding in findings
    )


def readable_terminations(
    policy: Policy, pseudonyms: Pseudonyms, terminations: Iterable[Termination]
) -> tuple[Termination, ...]:
    """Return terminations without anything that identifies their subjects."""
    return tuple(
        replace(
            forgotten(one),
            open_items=tuple(
                replace(item, text=pseudonyms.hide_everywhere(policy.patterns, item.text)) for item in one.open_items
            ),
        )
        for one in terminations
    )


def readable_holds(policy: Policy, pseudonyms: Pseudonyms, control: Control | None) -> tuple[HoldSeen, ...]:
    """Return holds without names of people: the next to end first."""
    holds = sorted(control.holds if control else (), key=lambda hold: (hold.until, hold.id))
    return tuple(HoldSeen(id=hold.id, on=_on(policy, pseudonyms, hold), until=hold.until) for hold in holds)


def _on(policy: Policy, pseudonyms: Pseudonyms, hold: Hold) -> str:
    if hold.subject is not None:
        return f"{hold.subject.kind} {pseudonyms.of(hold.subject.text)}"
    if hold.index is not None:
        return f"index {pseudonyms.index_name(policy.patterns, hold.index)}"
    return f"category {hold.category}"
