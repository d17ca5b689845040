"""`terminate`, `reinstate`, `erase`: writes a request, and says what it will come to; carries nothing out."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from retention_enforcer.domain.control import CONFIRMED, TERMINATIONS_APPROVED, Control
from retention_enforcer.domain.errors import ConfigurationError, Refused
from retention_enforcer.domain.instants import format_instant
from retention_enforcer.domain.policy import Policy
from retention_enforcer.domain.pseudonyms import Pseudonyms
from retention_enforcer.domain.requests import Ask, is_unusual, request_body
from retention_enforcer.domain.subjects import Subject, SubjectKind
from retention_enforcer.domain.termination_document import termination_of
from retention_enforcer.domain.termination_plan import sought_of
from retention_enforcer.domain.terminations import (
    Termination,
    Times,
    categories_of,
    narrows,
    open_twin,
    times_of,
)
from retention_enforcer.enforcement.intake import remembered
from retention_enforcer.enforcement.operator import ControlDocuments
from retention_enforcer.enforcement.ports import Clock, Owners, Registry, Requests
from retention_enforcer.enforcement.scope import Scope
from retention_enforcer.enforcement.subject_look import SubjectObserver


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """What a request will come to, as far as can be told now."""

    termination: Termination
    times: Times
    open_already: bool
    """Whether the same is under way: nothing new was asked for."""
    documents: Mapping[str, int] = field(default_factory=dict)
    """By category that will be purged, how many documents there are of the subject now."""
    not_narrowed: tuple[str, ...] = ()
    """Categories that do not tell whose documents they have."""
    problem: str = ""
    """Why the applications of an account cannot be told."""


class Asking:
    """The operator's, or a program's, way to ask."""

    def __init__(
        self,
        *,
        policy: Policy,
        requests: Requests,
        registry: Registry,
        documents: ControlDocuments,
        owners: Owners,
        observer: SubjectObserver,
        pseudonyms: Pseudonyms,
        clock: Clock,
        grace: int,
    ) -> None:
        self._policy = policy
        self._requests = requests
        self._registry = registry
        self._documents = documents
        self._owners = owners
        self._observer = observer
        self._pseudonyms = pseudonyms
        self._clock = clock
        self._grace = grace

    def ask(
        self, ask: Ask, subject: Subject, *, at: int | None, reason: str, requested_by: str, confirm: bool
    ) -> Prospect:
        """Write a request, and return what it will come to.

        Raises ConfigurationError where its time is unusual and was not confirmed.
        """
        now = self._clock.now()
        unusual = at is not None and is_unusual(at, now)
        if unusual and not confirm:
            raise ConfigurationError(
                "this time is ahead, or more than 7 d back", "give --confirm if it is meant: the promise runs from it"
            )
        prospect = self._prospect(ask, subject, at if at is not None else now, now)
        # Written also where the same is open: a reinstatement may be on its way. The daemon drops what changes nothing.
        id_ = secrets.token_hex(10)
        if unusual:  # first: the daemon may read the request at once
            self._documents.save(f"{CONFIRMED}{id_}", {"at": now, "terminated_at": at}, now)
        terminated_at = format_instant(at if at is not None else now)
        body = request_body(ask, subject, terminated_at=terminated_at, reason=reason, requested_by=requested_by)
        self._requests.write(id_, body)
        return prospect

    def approve(self) -> int:
        """Let all terminations go on that are registered; return how many of them waited.

        Up to the last of them by the daemon's own clock: another one that is fast would approve what is to come.
        """
        known = self.terminations()
        if known:
            at = max(max(t.asked_at, t.suspended_at or 0) for t in known)
            self._documents.save(TERMINATIONS_APPROVED, {"at": at}, self._clock.now())
        return sum(termination.waits for termination in known)

    def terminations(self) -> list[Termination]:
        """Return all terminations whose subjects are remembered, in the order in which they were registered."""
        return remembered(self._registry)

    def about(self, subject: Subject) -> list[Termination]:
        """Return all terminations of a subject, those that are forgotten too: they are found by its pseudonym."""
        pseudonym = self._pseudonyms.of(subject.text)
        old = (termination_of(body) for body in self._registry.all(pseudonym).values())
        known = [*old, *(t for t in self.terminations() if t.subject == subject)]
        return [t for t in known if t.kind is subject.kind]  # an account and an application can share an id

    def times(self, termination: Termination) -> Times:
        """Return the lengths that decide about a termination."""
        return times_of(self._policy, termination, self._grace)

    def _prospect(self, ask: Ask, subject: Subject, terminated_at: int, now: int) -> Prospect:
        twin = open_twin(self.terminations(), subject, ask)
        termination = twin or Termination(
            key="asked",
            request="",
            pseudonym=self._pseudonyms.of(subject.text),
            kind=subject.kind,
            ask=ask,
            subject=subject,
            registered_at=now,
            terminated_at=terminated_at,
            applications=(),
        )
        applications, problem = self._applications(subject, now)
        termination = _with(termination, applications)
        concerned = categories_of(self._policy, ask)
        return Prospect(
            termination=termination,
            times=self.times(termination),
            open_already=twin is not None,
            documents=self._documents_of(termination) if ask is not Ask.REINSTATE else {},
            not_narrowed=tuple(c.id for c in concerned if not narrows(c, subject)),
            problem=problem,
        )

    def _applications(self, subject: Subject, now: int) -> tuple[tuple[str, ...], str]:
        if subject.kind is not SubjectKind.ACCOUNT:
            return (), ""
        try:
            return tuple(sorted(self._owners.of(self._policy, subject.id, (), now).applications[subject.id])), ""
        except Refused as error:
            return (), f"{error.message}; {error.mend}"

    def _documents_of(self, termination: Termination) -> dict[str, int]:
        scope = Scope.looking(self._policy, Control())
        look = self._observer.look(scope, sought_of(self._policy, termination))
        return {id_: sum(i.held_documents for i in facts.indices) for id_, facts in look.sought.items()}


def _with(termination: Termination, applications: tuple[str, ...]) -> Termination:
    return replace(termination, applications=tuple(sorted({*termination.applications, *applications})))
