"""`terminate`, `reinstate`, `erase`: writes a request, and says what it will come to; carries nothing out."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from retention_enforcer.domain.control import Control
from retention_enforcer.domain.errors import ConfigurationError, Refused
from retention_enforcer.domain.facts import CategoryFacts
from retention_enforcer.domain.instants import format_instant
from retention_enforcer.domain.own.control_documents import (
    CONFIRMED,
    TERMINATIONS_APPROVED,
    confirmed_body,
    terminations_approved_body,
)
from retention_enforcer.domain.subjects.identity import Subject, SubjectKind
from retention_enforcer.domain.terminations.plan import queries_of
from retention_enforcer.domain.terminations.requests import (
    Ask,
    Malformed,
    Request,
    is_unusual,
    read_request,
    request_body,
)
from retention_enforcer.domain.terminations.states import (
    Termination,
    Times,
    brought_forward,
    categories_of,
    held_back,
    narrows,
    open_duplicate,
)
from retention_enforcer.enforcement.ports import Clock, ControlStore, DocumentStore, Owners, Requests
from retention_enforcer.enforcement.scope import Scope
from retention_enforcer.enforcement.terminations.known import KnownTerminations
from retention_enforcer.enforcement.terminations.observer import SubjectObserver

_ALL = 2**62
"""A place after all that there are."""

_UNREAD = "asked"
"""The key of what the daemon has not read yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """What a termination or a request will come to, as far as can be told now."""

    termination: Termination
    """As it will be: the one that is open already, or the one that is asked for."""
    times: Times
    before: Termination | None = None
    """The same that is open already, as it is."""
    waits: bool = False
    """Whether a person will have to approve it before anything goes."""
    stopped: bool = False
    """Whether all deletion is stopped now."""
    documents: Mapping[str, int] = field(default_factory=dict)
    """By category that will be purged, how many documents there are of the subject now."""
    indistinguishable: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By category, why it cannot be told whether there are more."""
    spelled_otherwise: bool = False
    """Whether documents have the id as a number in another spelling."""
    not_narrowed: tuple[str, ...] = ()
    """Categories that do not tell whose documents they have."""
    problem: str = ""
    """Why the applications of an account cannot be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """What a reinstatement will come to, as far as can be told now."""

    kind: SubjectKind
    pseudonym: str
    reaches: tuple[Termination, ...]
    """What is open of the subject: taken back, or, once its purge has begun, ended."""
    others: int = 0
    """How many terminations and requests of an account's applications alone go on."""
    problems: tuple[str, ...] = ()
    """Why it cannot be told whose applications some are: the subject may go along with another's termination."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestCommands:
    """The operator's, or a program's, way to ask."""

    known: KnownTerminations
    requests: Requests
    documents: DocumentStore
    control: ControlStore
    owners: Owners
    observer: SubjectObserver
    clock: Clock
    most: int
    fingerprint: str

    def ask(
        self, ask: Ask, subject: Subject, *, at: int | None, reason: str, requested_by: str, confirm: bool
    ) -> Prospect:
        """Write a request, and return what it will come to.

        Raises ConfigurationError where its time is unusual and was not confirmed.
        """
        now = self.clock.now()
        since = at if at is not None else now
        unusual = is_unusual(since, now)
        if unusual and not confirm:
            raise ConfigurationError(
                "this time is in the future, or more than 7 days ago",
                "add --confirm if it is right: the deadline counts from it",
            )
        prospect = self._prospect(ask, subject, since, now)
        # Written also where the same is open: a reinstatement may be on its way. The daemon drops what changes nothing.
        id_ = secrets.token_hex(10)
        if unusual:  # first: the daemon may read the request at once
            self.documents.save(f"{CONFIRMED}{id_}", confirmed_body(now, since), now)
        body = request_body(ask, subject, terminated_at=format_instant(since), reason=reason, requested_by=requested_by)
        self.requests.write(id_, body)
        return prospect

    def reinstate(self, subject: Subject, *, reason: str, requested_by: str) -> Return:
        """Write a reinstatement, and return what it will come to.

        Raises Refused, and writes nothing, where the subject goes along with the termination of another.
        """
        now = self.clock.now()
        under_way = self._under_way(now)
        open_ones = [self._resolved(t, now) for t in under_way]
        for termination, _ in open_ones:
            if termination.takes_along(subject):
                raise self._goes_along(subject, termination)
        own, _ = self._applications(subject, now)
        alone = {Subject(kind=SubjectKind.APPLICATION, id=application) for application in own}
        prospect = Return(
            kind=subject.kind,
            pseudonym=self.known.pseudonyms.of(subject.text),
            reaches=tuple(t for t in under_way if t.subject == subject),
            others=sum(t.subject in alone for t in under_way),
            problems=tuple(sorted({problem for t, problem in open_ones if problem and t.subject != subject})),
        )
        body = request_body(Ask.REINSTATE, subject, terminated_at=None, reason=reason, requested_by=requested_by)
        self.requests.write(secrets.token_hex(10), body)
        return prospect

    def _resolved(self, termination: Termination, now: int) -> tuple[Termination, str]:
        """Return a termination with all applications that it takes along now, and why that cannot be told."""
        if termination.subject is None or termination.kind is not SubjectKind.ACCOUNT:
            return termination, ""
        applications, problem = self._applications(termination.subject, now)
        return _with(termination, applications), problem

    def _goes_along(self, subject: Subject, termination: Termination) -> Refused:
        what, whole = (
            f"{subject.kind} {self.known.pseudonyms.of(subject.text)}",
            f"{termination.kind} {termination.pseudonym}",
        )
        remedy = f"reinstate that {termination.kind} and then this one again"
        if termination.kind is SubjectKind.ACCOUNT and termination.begun_at is None:
            remedy += ", or write a newer document that names another account for the application"
        return Refused(f"{what} is part of the {termination.ask} of {whole}: nothing is reinstated", remedy)

    def _under_way(self, now: int) -> list[Termination]:
        """Return what will be open once the daemon has read all that is asked for by now."""
        found = [t for t in self.known.terminations() if t.is_open]
        for request in self._unread():
            if request.ask is Ask.REINSTATE:
                found = [t for t in found if t.subject != request.subject]
            elif open_duplicate(found, request.subject, request.ask) is None:
                at = request.terminated_at if request.terminated_at is not None else now
                found.append(self._new(request.ask, request.subject, at, now))
        return found

    def _unread(self) -> Iterable[Request]:
        """Yield the requests that can be meant and that the daemon has not read yet."""
        for written in self.requests.read(self.known.read_up_to(), _ALL):
            request = read_request(written.id, written.body)
            if not isinstance(request, Malformed):
                yield request

    def _new(self, ask: Ask, subject: Subject, terminated_at: int, now: int) -> Termination:
        return Termination(
            key=_UNREAD,
            request="",
            pseudonym=self.known.pseudonyms.of(subject.text),
            kind=subject.kind,
            ask=ask,
            subject=subject,
            registered_at=now,
            terminated_at=terminated_at,
        )

    def approve(self) -> int:
        """Let all terminations go on that are registered; return how many of them waited.

        Up to the last of them by the daemon's own clock: another one that is fast would approve what is to come.
        """
        known = self.known.terminations()
        if known:
            at = max(max(t.asked_at, t.suspended_at or 0) for t in known)
            body = terminations_approved_body(at, self.fingerprint)
            self.documents.save(TERMINATIONS_APPROVED, body, self.clock.now())
        return sum(termination.waits for termination in known)

    def _prospect(self, ask: Ask, subject: Subject, terminated_at: int, now: int) -> Prospect:
        under_way, control = self._under_way(now), self.control.read()
        twin = open_duplicate(under_way, subject, ask)
        termination = twin or self._new(ask, subject, terminated_at, now)
        if twin is not None:
            waited = twin.unusual and twin.waits
            # The daemon's answer to it: a time that had to be confirmed is by now.
            forward = brought_forward(twin, terminated_at, twin.request, now, confirmed=True, waited=waited)
            termination = forward or twin
        unread = (t for t in under_way if t.key == _UNREAD and t is not twin)
        known = [*(t for t in self.known.terminations() if twin is None or t.key != twin.key), *unread, termination]
        held = held_back(known, self.most, control.terminations_approved_at, now)
        applications, problem = self._applications(subject, now)
        termination = _with(termination, applications)
        look = self._look(termination)
        return Prospect(
            termination=termination,
            times=self.known.times(termination),
            before=twin,
            waits=termination.waits or (termination.key in held and termination.begun_at is None),
            stopped=control.stopped_at is not None,
            documents={id_: sum(i.matching_documents for i in facts.indices) for id_, facts in look.items()},
            indistinguishable={id_: why for id_, facts in look.items() if (why := _why_untold(facts))},
            spelled_otherwise=any(
                one.spelled_otherwise
                for facts in look.values()
                for those in facts.indistinguishable.values()
                for one in those
            ),
            not_narrowed=tuple(c.id for c in categories_of(self.known.policy, ask) if not narrows(c, subject)),
            problem=problem,
        )

    def _applications(self, subject: Subject, now: int) -> tuple[tuple[str, ...], str]:
        if subject.kind is not SubjectKind.ACCOUNT:
            return (), ""
        try:
            return tuple(sorted(self.owners.of(self.known.policy, subject.id, (), now).applications[subject.id])), ""
        except Refused as error:
            return (), f"{error.message}; {error.remedy}"

    def _look(self, termination: Termination) -> Mapping[str, CategoryFacts]:
        scope = Scope.looking(self.known.policy, Control())
        return self.observer.look(scope, queries_of(self.known.policy, termination)).terminated


def _why_untold(facts: CategoryFacts) -> tuple[str, ...]:
    """Return why indices do not tell whether they have documents of those who are asked for."""
    apart = [one.text for one in facts.set_apart]
    return (
        *apart,
        *(f"{name}: {one.reason}" for name, those in sorted(facts.indistinguishable.items()) for one in those),
    )


def _with(termination: Termination, applications: tuple[str, ...]) -> Termination:
    return replace(termination, applications=tuple(sorted({*termination.applications, *applications})))
