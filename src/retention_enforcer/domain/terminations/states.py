r"""Terminations and deletion requests: what is to be purged for whom, from when on, until when, and when it has ended.

    registered -> in grace -> due -> purging -> verifying -> erased, watched -> closed -> forgotten
               \\-> waiting for approval /
    cancelled: reinstated before its purge

A promise runs from `terminated_at`, the earliest time that was asked for. Grace runs from the later of that and the
first sight of the request, so that a mistake, or a forged date, can be taken back; where it ends after the deadline,
the purge runs late and says so. Asking again never moves the first sight. Where all that was asked for until then waits
for a time that nobody confirmed, a request that nobody has to confirm has a grace of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Self

from retention_enforcer.domain.instants import DAY
from retention_enforcer.domain.policy.promises import Category, Policy
from retention_enforcer.domain.subjects.identity import Subject, SubjectKind
from retention_enforcer.domain.terminations.requests import Ask, is_unusual

QUIET = DAY
"""How long nothing may come any more before a termination is closed."""

ID_KEPT_FOR = 30 * DAY
"""How long a closed termination's raw id is kept, so that what comes back is found."""

WINDOW = DAY
"""The time over which registrations are counted."""


class State(StrEnum):
    """The state of a termination."""

    REGISTERED = "registered"
    WAITING = "waiting-for-approval"
    IN_GRACE = "in-grace"
    DUE = "due"
    PURGING = "purging"
    VERIFYING = "verifying"
    WATCHED = "watched"
    CLOSED = "closed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Purged:
    """What one purge took of one index for a subject."""

    category: str
    index: str
    """The name without an application's id; the uuid identifies."""
    uuid: str
    documents: int
    at: int
    record: int
    """The sequence of its outcome in the ledger."""


class OpenItemKind(StrEnum):
    """Why something still holds data of a subject, or may. Shown in `docs/findings.md`."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> Self:
        """Make a member."""
        kind = str.__new__(cls, value)
        kind._value_, kind.meaning = value, meaning
        return kind

    NOT_LOOKED_INTO = "not-looked-into", "It could not be searched, or the owner of its documents is unknown."
    OWNER_UNDECIDED = "owner-undecided", "It is unknown whether an application belongs to the account."
    PURGE_FAILED = "purge-failed", "Its purge was refused or not answered, or the index prevents it."
    HELD = "held", "A hold protects it."
    NOT_NARROWED = "not-narrowed", "A category has no field for the subject of a document."
    BY_AGE = "by-age", "These documents are deleted by age, not by the termination."
    ERASURE = "erasure", "The segment files of an index still contain deleted documents."
    SNAPSHOT = "snapshot", "A snapshot may contain it, or it is unknown which snapshots do."
    COPY = "copy", "An index outside the policy contains it, or Elasticsearch keeps it elsewhere than in an index."
    COPY_AWAY = "copy-away", "It may be on the disk of a node that left the cluster or has not removed it yet."
    DANGLING = "dangling", "A deleted index is on the disk of a node again (a dangling index)."
    LEDGER = "ledger", "The ledger does not prove that it was purged."


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenItem:
    """What still holds data of the subject, or may, and when that is expected to end."""

    kind: OpenItemKind
    """In one that was read, the word alone: another version may have written it."""
    text: str
    until: int | None = None
    """Epoch milliseconds; None where it ends by nobody's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Termination:
    """One termination or deletion request, as the registry keeps it. Instants in epoch milliseconds."""

    key: str
    request: str
    """The id of the request document."""
    pseudonym: str
    kind: SubjectKind
    ask: Ask
    subject: Subject | None
    """None once it is forgotten: then only the pseudonym is left."""
    registered_at: int
    """When it was first seen; never moved."""
    terminated_at: int
    """The earliest time that was asked for, of those that nobody has to confirm or somebody did."""
    counted_at: int | None = None
    """When a request came that nobody has to confirm, where the ones before it waited for somebody who did not."""
    reason: str = ""
    requested_by: str = ""
    unusual: bool = False
    """Whether a person has to approve its time."""
    held_back: bool = False
    """Whether it waits for approval, because of its time or because too many came at once."""
    suspended_at: int | None = None
    """Since when it waits for approval, begun or not, because what was asked for or done may have been lost."""
    applications: tuple[str, ...] = ()
    """Of an account; found before its purge, and only added to."""
    begun_at: int | None = None
    purged_at: int | None = None
    """When a look first found nothing left."""
    found_at: int | None = None
    """When documents of the subject were last found and purged."""
    erased_at: int | None = None
    closed_at: int | None = None
    cancelled_at: int | None = None
    reinstated: bool = False
    """Whether the subject came back, so that what there is of it is no mistake."""
    purges: tuple[Purged, ...] = ()
    open_items: tuple[OpenItem, ...] = ()
    looked_in: Mapping[str, int] = field(default_factory=dict)
    """By category, in how many indices it was looked for at the last look."""

    @property
    def asked_at(self) -> int:
        """Since when it is known, and could have been taken back, as something that is meant: grace runs from here."""
        return self.counted_at if self.counted_at is not None else self.registered_at

    @property
    def documents(self) -> int:
        """Documents that were purged for it."""
        return sum(purged.documents for purged in self.purges)

    @property
    def is_open(self) -> bool:
        """Whether anything is still to be done."""
        return self.closed_at is None and self.cancelled_at is None

    @property
    def waits(self) -> bool:
        """Whether a person has to approve it before anything goes."""
        return self.is_open and (self.suspended_at is not None or (self.held_back and self.begun_at is None))

    @property
    def is_forgotten(self) -> bool:
        """Whether its raw id is gone."""
        return self.subject is None

    def takes_along(self, subject: Subject) -> bool:
        """Whether a subject's data goes with this one's: an account's application, or a user of an application."""
        if self.kind is SubjectKind.ACCOUNT:
            return (subject.application or subject.id) in self.applications and subject.kind is not SubjectKind.ACCOUNT
        same = self.subject is not None and self.subject.id == subject.application
        return self.kind is SubjectKind.APPLICATION and same

    def subjects(self) -> tuple[tuple[Subject, str | None], ...]:
        """Return whose documents go: the subject's, and its applications' along with the account."""
        if self.subject is None:
            return ()
        along = (Subject(kind=SubjectKind.APPLICATION, id=application) for application in self.applications)
        return ((self.subject, None), *((application, self.subject.id) for application in along))


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """The lengths that decide when a termination does what. In milliseconds."""

    grace: int
    margin: int
    limit: int
    """The promise."""

    def grace_ends(self, termination: Termination) -> int:
        """Return from when on it may be purged."""
        return max(termination.terminated_at, termination.asked_at) + self.grace

    def deadline(self, termination: Termination) -> int:
        """Return until when it has to be purged: a margin before the promise ends."""
        return termination.terminated_at + self.limit - self.margin

    def promised(self, termination: Termination) -> int:
        """Return when the promise ends."""
        return termination.terminated_at + self.limit


def times_of(policy: Policy, termination: Termination, grace: int) -> Times:
    """Return the lengths for one termination: of its strictest promise, or of that on request."""
    limits = [c.after_termination for c in policy.categories if c.after_termination is not None]
    limit = min(limits, default=policy.on_request) if termination.ask is Ask.TERMINATE else policy.on_request
    return Times(grace=grace, margin=policy.margin, limit=limit)


def categories_of(policy: Policy, ask: Ask) -> tuple[Category, ...]:
    """Return the categories that it purges: those that end with a termination; on request all that name subjects."""
    if ask is Ask.TERMINATE:
        return tuple(category for category in policy.categories if category.after_termination is not None)
    return tuple(category for category in policy.categories if category.subjects)


def narrows(category: Category, subject: Subject) -> bool:
    """Whether the documents of a category tell whether they are this subject's, or an account's application's."""
    if subject.wanted(category.subjects) is not None:
        return True
    return subject.kind is SubjectKind.ACCOUNT and bool(category.subjects.application)


def state_of(termination: Termination, times: Times, now: int) -> State:
    """Return where a termination is."""
    if termination.cancelled_at is not None:
        return State.CANCELLED
    if termination.closed_at is not None:
        return State.CLOSED
    if termination.suspended_at is not None:
        return State.WAITING
    if termination.erased_at is not None:
        return State.WATCHED
    if termination.purged_at is not None:
        return State.VERIFYING
    if termination.begun_at is not None:
        return State.PURGING
    if termination.held_back:
        return State.WAITING
    return State.DUE if now >= times.grace_ends(termination) else State.IN_GRACE


def may_purge(termination: Termination, times: Times, now: int) -> bool:
    """Whether its documents may be deleted now, for the first time or again."""
    return state_of(termination, times, now) in (State.DUE, State.PURGING, State.VERIFYING, State.WATCHED)


def is_late(termination: Termination, times: Times, now: int) -> bool:
    """Whether the promise has ended, and not everything is erased."""
    return termination.is_open and termination.erased_at is None and now > times.promised(termination)


def held_back(terminations: Iterable[Termination], most: int, approved_at: int, now: int) -> set[str]:
    """Return the keys of those that have to wait for approval: all that are not purging yet, once too many came.

    Counted are those registered within a day, and after the last approval; one that is ahead of this clock approves
    nothing.
    """
    approved_at = approved_at if approved_at <= now else 0
    waiting = [t for t in terminations if t.is_open and t.begun_at is None and t.asked_at > approved_at]
    came = [t for t in terminations if t.asked_at > max(approved_at, now - WINDOW)]
    return {t.key for t in waiting if len(came) > most or t.held_back or t.unusual}


def open_duplicate(terminations: Iterable[Termination], subject: Subject, ask: Ask) -> Termination | None:
    """Return the open termination of the same subject that a further request would repeat, or None."""
    return next((t for t in terminations if t.is_open and t.subject == subject and t.ask is ask), None)


def brought_forward(
    termination: Termination, terminated_at: int, request: str, now: int, *, confirmed: bool, waited: bool
) -> Termination | None:
    """Return an open termination as it is after the same was asked for again; None if it stays.

    A promise runs from the earliest signal. A time that a person would have to confirm, and has not, changes nothing,
    and keeps nothing back that is asked for with another. Grace ends no later than it would have; only where it
    `waited` until now for a person who did not confirm its time, the new request has the whole of it.
    """
    doubtful = is_unusual(terminated_at, now) and not confirmed
    if termination.begun_at is not None or doubtful or (terminated_at >= termination.terminated_at and not waited):
        return None
    return replace(
        termination,
        terminated_at=min(terminated_at, termination.terminated_at),
        counted_at=now if waited and now > termination.registered_at else termination.counted_at,
        request=request,
        unusual=False,
        held_back=termination.held_back and not termination.unusual,
    )


def reinstated(terminations: Iterable[Termination], subject: Subject, now: int) -> tuple[Termination, ...]:
    """Return the open terminations of a subject as they are after it was reinstated.

    Before its purge one is cancelled; afterwards only the watch ends, since what is gone is gone.
    """
    changed = []
    for termination in terminations:
        if termination.is_open and termination.subject == subject:
            if termination.begun_at is None:
                changed.append(replace(termination, cancelled_at=now, reinstated=True))
            else:
                changed.append(replace(termination, closed_at=now, reinstated=True))
    return tuple(changed)


def reached_by(terminations: Iterable[Termination], subject: Subject) -> tuple[Termination, ...]:
    """Return the open terminations that take a subject's documents: its own, and those along with which it goes."""
    whole = {subject}
    if subject.application is not None:
        whole.add(Subject(kind=SubjectKind.APPLICATION, id=subject.application))
    return tuple(t for t in terminations if t.is_open and whole.intersection(one for one, _ in t.subjects()))


def after_look(
    termination: Termination, *, left: int, open_items: Collection[OpenItem], looked_in: Mapping[str, int], now: int
) -> Termination:
    """Return a termination after its documents were looked for: `left` were found that could not be purged.

    What was seen once stands, with its time: that an index cannot be looked into now is an open item, and takes nothing
    back. Documents that are there do.
    """
    purged_at, erased_at = termination.purged_at, termination.erased_at
    if left:
        purged_at = erased_at = None
    elif purged_at is None and not in_doubt(open_items):
        purged_at = now
    return replace(
        termination,
        purged_at=purged_at,
        erased_at=erased_at,
        open_items=tuple(open_items),
        looked_in=dict(looked_in),
    )


def in_doubt(open_items: Iterable[OpenItem]) -> bool:
    """Whether any of these keeps it from being known what there is of somebody."""
    return any(item.kind in (OpenItemKind.NOT_LOOKED_INTO, OpenItemKind.OWNER_UNDECIDED) for item in open_items)


def closes(termination: Termination, now: int) -> bool:
    """Whether a watched termination has been quiet for long enough."""
    since = max(termination.purged_at or now, termination.found_at or 0)
    watched = termination.erased_at is not None and termination.is_open and termination.suspended_at is None
    return watched and now - since >= QUIET and not in_doubt(termination.open_items)


def may_be_forgotten(termination: Termination, now: int) -> bool:
    """Whether the raw id of a closed or cancelled termination is not needed any more."""
    ended = termination.closed_at if termination.closed_at is not None else termination.cancelled_at
    return ended is not None and not termination.is_forgotten and now - ended >= ID_KEPT_FOR


def forgotten(termination: Termination) -> Termination:
    """Return a termination without anything by which its subject could be known."""
    return replace(termination, subject=None, applications=(), reason="", requested_by="", request="")
