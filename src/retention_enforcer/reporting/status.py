"""The status: whether every promise is kept, as far as the daemon knows at this instant. Pure.

Not proven is not kept: a category whose last proof is older than three intervals is `not-proven`, whatever it said.
What was last seen broken stays broken until a proof says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from retention_enforcer.domain.findings import Severity
from retention_enforcer.domain.instants import SECOND, describe_duration, format_duration, format_instant
from retention_enforcer.domain.policy.promises import ON_REQUEST, Category
from retention_enforcer.domain.terminations.states import State, Termination, Times, state_of, times_of
from retention_enforcer.reporting.known import FindingSeen, JobSeen, Known
from retention_enforcer.reporting.owed import PROVEN_FOR, Owed, owed_under, requests_unknown

_CONTACT = 75.0 * SECOND
"""How old the last response of the cluster or the last look at the lease may be. One look every 30 s may be missed."""


class Verdict(StrEnum):
    """The verdict on a promise."""

    KEPT = "kept"
    NOT_KEPT = "not-kept"
    NOT_PROVEN = "not-proven"


class Role(StrEnum):
    """The role of this process."""

    PLANNING = "planning"  # deletes nothing
    ACTING = "acting"  # holds the lease
    STANDBY = "standby"  # waits for the lease of another
    UNKNOWN = "unknown"  # cannot tell who holds the lease


@dataclass(frozen=True, slots=True, kw_only=True)
class PromiseStatus:
    """One promise and its verdict. Durations and instants in milliseconds; None if there is none."""

    id: str
    promise: str
    clause: str | None
    """None for the promise across all categories."""
    verdict: Verdict
    why: str
    """Why it is not kept or not proven; empty if it is kept."""
    limit: int | None
    due_after: int | None
    """The age at which a document is due: the limit minus the margin. None if nothing is deleted by age."""
    proven_at: int | None
    indices: int | None
    documents: int | None
    overdue: int | None
    oldest: int | None
    age: int | None
    """The age of the oldest document now."""
    margin: int | None
    """The time until the oldest document reaches the limit; negative past the limit."""
    last_purge: int | None
    next_due: int | None
    findings: tuple[str, ...]
    """Ids of the findings that concern it."""

    @property
    def used(self) -> float | None:
        """The age of the oldest document divided by the limit: above 1 past the limit."""
        return self.age / self.limit if self.age is not None and self.limit else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """One termination or request that is not closed. Durations and instants in milliseconds."""

    subject: str
    """Kind and pseudonym."""
    request: str
    state: State
    registered_at: int
    terminated_at: int
    deadline: int
    remaining: int | None
    """The time until its purge must be finished; negative after that; None once everything is erased."""
    used: float | None
    """The part of the time to its deadline that has passed; None once everything is erased."""
    documents: int
    open_items: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldView:
    """One hold."""

    id: str
    on: str
    until: int
    remaining: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Everything that page, JSON and metrics show, as of one instant."""

    known: Known
    as_of: int
    role: Role
    not_ready: tuple[str, ...]
    """Why it is not ready; empty if it is ready."""
    connected: bool
    accepted: bool | None
    """Whether the policy of this instance is the accepted one; None if that is not known."""
    promises: tuple[PromiseStatus, ...]
    pending: tuple[Pending, ...]
    """The most urgent first."""
    closed: int
    """How many terminations are closed or cancelled, and still remembered."""
    findings: tuple[FindingSeen, ...]
    """The broken promises first."""
    holds: tuple[HoldView, ...]

    @property
    def verdict(self) -> Verdict:
        """The verdict on all promises together."""
        found = {promise.verdict for promise in self.promises}
        return next((v for v in (Verdict.NOT_KEPT, Verdict.NOT_PROVEN) if v in found), Verdict.KEPT)

    @property
    def next_deadline(self) -> int | None:
        """Milliseconds until the first open termination must be purged; None if there is none."""
        return min((p.remaining for p in self.pending if p.remaining is not None), default=None)


def build_status(known: Known, now: int) -> Status:
    """Return the status at an instant."""
    role, connected, accepted = _role(known), _is_connected(known, now), _is_accepted(known)
    asked = _asked(known)
    pending = sorted((_pending(t, times, now) for t, times in asked if t.is_open), key=_urgency_of_pending)
    situation = known.situation
    return Status(
        known=known,
        as_of=now,
        role=role,
        not_ready=tuple(_not_ready(known, role, connected=connected, accepted=accepted)),
        connected=connected,
        accepted=accepted,
        promises=(
            *(_promise(known, category, role, asked, now) for category in known.policy.categories),
            _on_request(known, role, asked, now),
        ),
        pending=tuple(pending),
        closed=sum(not t.is_open for t, _ in asked),
        findings=tuple(sorted(_findings(known, role), key=_urgency)),
        holds=tuple(
            HoldView(id=hold.id, on=hold.on, until=hold.until, remaining=hold.until - now)
            for hold in (situation.holds if situation else ())
            if hold.until > now
        ),
    )


# --- the process itself ---


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


def _is_connected(known: Known, now: int) -> bool:
    job = known.jobs.get("situation", JobSeen())
    return job.last_success is not None and job.failed_at is None and now - job.last_success <= _CONTACT


def _is_accepted(known: Known) -> bool | None:
    if known.situation is None or known.situation.note:
        return None
    return known.situation.accepted == known.fingerprint


def _not_ready(known: Known, role: Role, *, connected: bool, accepted: bool | None) -> Iterable[str]:
    if not connected:
        error = known.jobs.get("situation", JobSeen()).error
        yield f"the cluster does not answer: {error}" if error else "the cluster has not answered lately"
    if role is not Role.PLANNING and accepted is False:
        yield f"the policy {known.fingerprint[:12]} is not the accepted one"
    elif role is not Role.PLANNING and accepted is None:
        yield _because("whether the policy is accepted is not known", known.situation.note if known.situation else "")
    if role is Role.UNKNOWN:
        yield "who holds the lease is not known"
    if role in (Role.PLANNING, Role.ACTING) and not known.started:
        yield _because("the work has not begun", known.obstacle)
    for name, job in known.jobs.items():
        if job.defect:
            yield f"{name} ended in a defect"


# --- promises ---


def _promise(
    known: Known, category: Category, role: Role, asked: Sequence[tuple[Termination, Times]], now: int
) -> PromiseStatus:
    seen = known.categories.get(category.id) if role is not Role.STANDBY else None
    proof = seen.proof if seen else None
    owed = owed_under(
        known.policy,
        category.id,
        asked,
        now,
        unknown=_terminations_unknown(known, now),
        next_due=seen.next_due if seen else None,
        last_purge=seen.last_purge if seen else None,
    )
    verdict, why = _verdict(known, category, role, owed, now)
    oldest = proof.oldest if proof else None
    by_age = category.max_age is not None
    findings = seen.findings if seen else ()
    return PromiseStatus(
        id=category.id,
        promise=category.promise,
        clause=str(category.clause),
        verdict=verdict,
        why=why,
        limit=category.limit,
        due_after=category.max_age - known.policy.margin if category.max_age is not None else None,
        proven_at=proof.as_of if proof else None,
        indices=proof.indices if proof else None,
        documents=proof.documents if proof else None,
        overdue=proof.overdue if proof and by_age else None,
        oldest=oldest,
        age=now - oldest if oldest is not None else None,
        margin=oldest + category.limit - now if oldest is not None and category.limit is not None else None,
        last_purge=owed.last_purge,
        next_due=owed.next_due,
        findings=(*(f.id for f in findings), *(f.id for f in _beside(known) if f.category == category.id)),
    )


def _verdict(known: Known, category: Category, role: Role, owed: Owed, now: int) -> tuple[Verdict, str]:
    if role is Role.STANDBY:
        return Verdict.NOT_PROVEN, _standing_by(known)
    job = known.jobs.get(f"category {category.id}", JobSeen())
    seen = known.categories.get(category.id)
    if seen is None:
        return Verdict.NOT_PROVEN, _because("no cycle has ended yet", job.error)
    if not seen.proof.kept:
        kinds = sorted({finding.kind for finding in seen.findings if finding.severity is Severity.ERROR})
        return Verdict.NOT_KEPT, ", ".join(kinds)
    if owed.late:
        return Verdict.NOT_KEPT, owed.late
    since = now - seen.proof.as_of
    if since > PROVEN_FOR * known.interval:
        return Verdict.NOT_PROVEN, _because(f"the last proof is {describe_duration(since)} old", job.error)
    margin = seen.proof.margin
    if margin is not None and margin < since:
        return Verdict.NOT_PROVEN, "the oldest document of the last proof is past the limit by now"
    if owed.unknown:
        return Verdict.NOT_PROVEN, owed.unknown
    return Verdict.KEPT, ""


def _on_request(known: Known, role: Role, asked: Sequence[tuple[Termination, Times]], now: int) -> PromiseStatus:
    unknown = _standing_by(known) if role is Role.STANDBY else _terminations_unknown(known, now)
    owed = owed_under(known.policy, ON_REQUEST, asked, now, unknown=unknown)
    verdict, why = Verdict.KEPT, ""
    if owed.late:
        verdict, why = Verdict.NOT_KEPT, owed.late
    elif owed.unknown:
        verdict, why = Verdict.NOT_PROVEN, owed.unknown
    terminations = known.terminations if role is not Role.STANDBY else None
    return PromiseStatus(
        id=ON_REQUEST,
        promise=f"gone {format_duration(known.policy.on_request)} after a request",
        clause=None,
        verdict=verdict,
        why=why,
        limit=known.policy.on_request,
        due_after=None,
        proven_at=terminations.at if terminations else None,
        indices=None,
        documents=None,
        overdue=None,
        oldest=None,
        age=None,
        margin=None,
        last_purge=owed.last_purge,
        next_due=owed.next_due,
        findings=tuple(f.id for f in _beside(known) if f.category == ON_REQUEST),
    )


def _standing_by(known: Known) -> str:
    holder = known.lease.holder if known.lease else "another instance"
    return f"this instance stands by: {holder} acts, and knows"


def _terminations_unknown(known: Known, now: int) -> str:
    """Return why it is not known what customers are owed; empty if it is known."""
    if known.mode == "plan":
        return "plan mode takes no requests in: what is owed to customers is not known"
    seen, job = known.terminations, known.jobs.get("terminations", JobSeen())
    unknown = requests_unknown(seen.at if seen else None, now, known.interval)
    return _because(unknown, job.error) if unknown else ""


def _because(text: str, error: str) -> str:
    return f"{text}: {error}" if error else text


# --- terminations, findings ---


def _asked(known: Known) -> list[tuple[Termination, Times]]:
    terminations = known.terminations.terminations if known.terminations and _role(known) is not Role.STANDBY else ()
    return [(t, times_of(known.policy, t, known.grace)) for t in terminations]


def _pending(termination: Termination, times: Times, now: int) -> Pending:
    deadline, state = times.deadline(termination), state_of(termination, times, now)
    running = termination.erased_at is None
    whole = deadline - termination.terminated_at
    return Pending(
        subject=f"{termination.kind} {termination.pseudonym}",
        request=termination.ask.value,
        state=state,
        registered_at=termination.registered_at,
        terminated_at=termination.terminated_at,
        deadline=deadline,
        remaining=deadline - now if running else None,
        used=max(now - termination.terminated_at, 0) / whole if running and whole > 0 else None,
        documents=termination.documents,
        open_items=tuple(
            item.text + (f", until {format_instant(item.until)[:16]}Z" if item.until is not None else "")
            for item in termination.open_items
        ),
    )


def _beside(known: Known) -> tuple[FindingSeen, ...]:
    """Return the findings of the jobs that prove nothing."""
    seen = (known.coverage, known.terminations) if _role(known) is not Role.STANDBY else ()
    return tuple(finding for one in seen if one for finding in one.findings)


def _findings(known: Known, role: Role) -> Iterable[FindingSeen]:
    categories: Mapping[str, object] = known.categories if role is not Role.STANDBY else {}
    for id_ in categories:
        yield from known.categories[id_].findings
    yield from _beside(known)


def _urgency(finding: FindingSeen) -> tuple[bool, str, str, str]:
    return (finding.severity is not Severity.ERROR, finding.category or "", finding.kind, finding.index or "")


def _urgency_of_pending(pending: Pending) -> tuple[bool, int, str]:
    return (pending.remaining is None, pending.deadline, pending.subject)
