"""Takes requests into the registry, each once, in the order in which they were written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import structlog

from retention_enforcer.domain.control import Control
from retention_enforcer.domain.ledger.records import Entry, Kind
from retention_enforcer.domain.own.position import IndexPosition
from retention_enforcer.domain.subjects.pseudonyms import Pseudonyms
from retention_enforcer.domain.terminations.document import termination_body
from retention_enforcer.domain.terminations.records import (
    CLOSED,
    FORWARD,
    REGISTERED,
    WATCH_ENDED,
    LedgerHistory,
    Said,
    entry_about,
    history_in,
    terminated_at,
    who_of,
)
from retention_enforcer.domain.terminations.register import Register
from retention_enforcer.domain.terminations.requests import (
    CHANGED,
    Ask,
    Malformed,
    Request,
    Written,
    is_unusual,
    read_request,
)
from retention_enforcer.domain.terminations.states import (
    Termination,
    brought_forward,
    held_back,
    open_duplicate,
    reached_by,
    reinstated,
)
from retention_enforcer.enforcement.ledger.appender import Appender
from retention_enforcer.enforcement.ports import Clock, DocumentStore, LedgerStore, Requests
from retention_enforcer.enforcement.terminations.intake import (
    REMEMBERED,
    IntakeMemory,
    RequestsMemory,
    TakenRequests,
    remembered,
)

_log = structlog.get_logger()


class TerminationRecorder:
    """The registry, and the ledger's record of each change in it.

    A change is recorded before it is stored: a crash may put it into the ledger twice, never into the registry alone.
    """

    def __init__(self, registry: DocumentStore, appender: Appender, clock: Clock) -> None:
        self._registry = registry
        self._appender = appender
        self._clock = clock

    def remembered(self) -> list[Termination]:
        """Return all terminations whose subjects are known, in the order in which they were registered."""
        return remembered(self._registry)

    def enter(self, termination: Termination, action: str, said: Said | str = "", actor: str = "enforcer") -> None:
        """Record what became of a termination, then store it as it is now."""
        self.record(termination, action, said, actor)
        self.save(termination)

    def save(self, termination: Termination) -> None:
        """Store a termination of which there is a record, or nothing to record."""
        kind = termination.pseudonym if termination.is_forgotten else REMEMBERED
        self._registry.save(termination.key, termination_body(termination), self._clock.now(), kind)

    def record(self, termination: Termination, action: str, said: Said | str = "", actor: str = "enforcer") -> int:
        """Record what became of a termination; return the record's sequence."""
        said = Said(said) if isinstance(said, str) else said
        return int(self._appender.append(entry_about(termination, action, said, actor))["sequence"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """What one look at the requests came to."""

    terminations: Register
    """All that are remembered, by their keys."""
    requests: RequestsMemory
    told: LedgerHistory = field(default_factory=LedgerHistory)
    """What the ledger says, where the registry may be older than it; else nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registrar:
    """Reads requests and registers what they ask for; deletes nothing."""

    requests: Requests
    registry: DocumentStore
    book: TerminationRecorder
    memory: IntakeMemory
    taken: TakenRequests
    ledger: LedgerStore
    appender: Appender
    pseudonyms: Pseudonyms
    clock: Clock
    most: int

    def register(self, control: Control) -> Intake:
        """Take in all new requests.

        Raises Refused where requests or registry are not those that were read before: acting on old ones again could
        terminate a customer who came back.
        """
        now = self.clock.now()
        registry = self.memory.of_registry(now)
        adopted = registry.adopted
        memory, position = self.memory.of_requests(now)
        terminations = Register(remembered(self.registry))
        told = history_in(self.ledger.read()) if adopted else LedgerHistory()
        self._end_what_has_ended(terminations, told)
        if (adopted and not registry.suspended) or memory.skipped:
            self._suspend(terminations, terminations.values(), "later requests may have been lost")
            memory = replace(memory, skipped=False)
            self.memory.keep_requests(memory, self.clock.now())
        if not memory.knows_ids:
            memory = self._note_ids(memory, terminations)
        memory = self._take_all(memory, position, terminations, control)
        self._hold_back(terminations, control)
        self.memory.keep_registry(self.clock.now(), adopted=adopted)
        return Intake(terminations=terminations, requests=memory, told=told)

    def must_look_again(self, intake: Intake) -> bool:
        """Whether a reinstatement was asked for since: its subject must not be purged any more."""
        return self.requests.reinstatements(intake.requests.position.until)

    def note_end(self) -> None:
        """Remember how far the registry goes when a run ends; what the ledger knew beside it is in it by now."""
        self.memory.keep_registry(self.clock.now())

    def _take_all(
        self, memory: RequestsMemory, position: IndexPosition, terminations: Register, control: Control
    ) -> RequestsMemory:
        new = self.requests.read(memory.position.until, position.until)
        taken = self.taken.places([written.id for written in new])
        for written in new:
            refused = dict(memory.refused)
            place = taken.get(written.id)
            if place is None:
                problem = self._take(written, position.uuid, terminations, control)
                if problem is None:
                    self.taken.note(written.id, position.uuid, written.sequence, self.clock.now())
            else:  # there it may have been interrupted after it was noted
                known = place == (position.uuid, written.sequence)
                problem = None if known else self._refuse_changed(written, terminations)
            if problem is not None:
                refused[written.sequence] = problem
            memory = RequestsMemory(position=replace(position, until=written.sequence), refused=refused)
            self.memory.keep_requests(memory, self.clock.now())
        there = self.requests.existing(memory.refused.keys()) if memory.refused else frozenset()
        if there != memory.refused.keys():
            memory = replace(memory, refused={place: why for place, why in memory.refused.items() if place in there})
            self.memory.keep_requests(memory, self.clock.now())
        return memory

    def _note_ids(self, memory: RequestsMemory, terminations: Mapping[str, Termination]) -> RequestsMemory:
        """Note the ids of all that were read or skipped before their ids were known, or after these were lost."""
        uuid, now = memory.position.uuid, self.clock.now()
        known = {written.id: written.sequence for written in self.requests.read(-1, memory.position.until)}
        known = {t.request: -1 for t in terminations.values() if t.request} | {
            id_: place for id_, place in known.items() if memory.refused.get(place, CHANGED) == CHANGED
        }
        noted = self.taken.places(list(known))
        for id_, sequence in known.items():
            if id_ not in noted:
                self.taken.note(id_, uuid, sequence, now)
        memory = replace(memory, knows_ids=True)
        self.memory.keep_requests(memory, now)
        return memory

    def _refuse_changed(self, written: Written, terminations: Register) -> str:
        """Record that a request that was taken in stands in a new place, and return why it is not taken in again.

        One that asks for a reinstatement now is not taken for one; but somebody may have meant it, and what is purged
        does not come back: so what it would keep from being purged waits for a person.
        """
        text = f"request {self.pseudonyms.of(written.id)} was changed after it was processed"
        self.appender.append(Entry(kind=Kind.TERMINATION, action="refused", reason=text))
        request = read_request(written.id, written.body)
        if isinstance(request, Request) and request.ask is Ask.REINSTATE:
            reached = reached_by(terminations.values(), request.subject)
            self._suspend(terminations, reached, "a changed request asks for the subject's reinstatement")
        return CHANGED

    def _end_what_has_ended(self, terminations: Register, told: LedgerHistory) -> None:
        """Close what an older registry shows as open, and the ledger knows as ended: it may have been reinstated."""
        for key, termination in terminations.items():
            if termination.is_open and who_of(termination) in told.ended:
                terminations[key] = replace(termination, closed_at=self.clock.now(), reinstated=True)
                self.book.enter(
                    terminations[key], CLOSED, "it was already closed before an older registry was restored"
                )

    def _suspend(self, terminations: Register, whose: Iterable[Termination], why: str) -> None:
        """Have these wait for a person, those that have begun too: their customers may have come back meanwhile."""
        for termination in list(whose):
            if termination.is_open and termination.suspended_at is None:
                waiting = replace(termination, suspended_at=self.clock.now())
                self.book.enter(waiting, "held-back", why)
                terminations[termination.key] = waiting

    def _take(self, written: Written, uuid: str, terminations: Register, control: Control) -> str | None:
        """Carry one request into the registry; return why it is refused, if it is."""
        key = f"{uuid[:8]}-{written.sequence:012d}"
        if key in terminations:
            return None  # interrupted after it was stored
        if written.rewritten and any(t.request == written.id for t in terminations.values()):
            return self._refuse_changed(written, terminations)  # interrupted after it was stored, and changed since
        request = read_request(written.id, written.body)
        if isinstance(request, Malformed):
            text = f"request {self.pseudonyms.of(written.id)} is invalid: {request.problem}"
            self.appender.append(Entry(kind=Kind.TERMINATION, action="refused", reason=text))
            return request.problem
        if request.ask is Ask.REINSTATE:
            self._reinstate(request, terminations)
            return None
        twin = open_duplicate(terminations.of(request.subject), request.subject, request.ask)
        if twin is not None:
            self._bring_forward(twin, request, terminations, control)
        else:
            termination = self._termination(key, request)
            if written.rewritten and self.requests.was_reinstated(request.subject, written.sequence):
                # Where it stood before nobody knows: perhaps before they came back.
                termination = replace(termination, unusual=True)
            reason = f"; reason {self.pseudonyms.of(request.reason)}" if request.reason else ""
            said = terminated_at(termination.terminated_at, reason)
            self.book.enter(termination, REGISTERED, said, self._actor(request))
            terminations[key] = termination
        return None

    def _termination(self, key: str, request: Request) -> Termination:
        now = self.clock.now()
        terminated_at = request.terminated_at if request.terminated_at is not None else now
        return Termination(
            key=key,
            request=request.id,
            pseudonym=self.pseudonyms.of(request.subject.text),
            kind=request.subject.kind,
            ask=request.ask,
            subject=request.subject,
            registered_at=now,
            terminated_at=terminated_at,
            reason=request.reason,
            requested_by=request.requested_by,
            unusual=is_unusual(terminated_at, now),
        )

    def _bring_forward(self, twin: Termination, request: Request, terminations: Register, control: Control) -> None:
        """Have the same that was asked for again run from its earlier time, if it is earlier."""
        now = self.clock.now()
        at = request.terminated_at if request.terminated_at is not None else now
        confirmed = control.confirmed.get(request.id) == at
        waited = twin.unusual and not _is_allowed(twin, control, now)
        changed = brought_forward(twin, at, request.id, now, confirmed=confirmed, waited=waited)
        if changed is not None:
            self.book.enter(changed, FORWARD, terminated_at(changed.terminated_at, " already"), self._actor(request))
            terminations[changed.key] = changed

    def _reinstate(self, request: Request, terminations: Register) -> None:
        for changed in reinstated(terminations.of(request.subject), request.subject, self.clock.now()):
            action = "cancelled" if changed.cancelled_at is not None else WATCH_ENDED
            self.book.enter(changed, action, "reinstated", self._actor(request))
            terminations[changed.key] = changed

    def _actor(self, request: Request) -> str:
        return self.pseudonyms.of(request.requested_by) if request.requested_by else "unknown"

    def _hold_back(self, terminations: Register, control: Control) -> None:
        """Hold terminations back, or let them go on, as the operator's word and their number ask."""
        known = [replace(t, unusual=False) if _is_confirmed(t, control) else t for t in terminations.values()]
        approved_at, now = control.terminations_approved_at, self.clock.now()
        waiting = held_back(known, self.most, approved_at, now)
        for key, termination in terminations.items():
            suspended = termination.suspended_at
            if suspended is not None and suspended <= approved_at <= now:
                suspended = None
            changed = replace(termination, held_back=key in waiting, suspended_at=suspended)
            if changed != termination and termination.is_open:
                action, actor = ("held-back", "enforcer") if changed.waits else ("approved", "operator")
                self.book.enter(changed, action, actor=actor)
                terminations[key] = changed


def _is_confirmed(termination: Termination, control: Control) -> bool:
    """Whether the operator confirmed the time of this very request."""
    return control.confirmed.get(termination.request) == termination.terminated_at


def _is_allowed(termination: Termination, control: Control, now: int) -> bool:
    """Whether somebody said that an unusual time is meant: of this request, or of all that waited."""
    approved = termination.asked_at <= control.terminations_approved_at <= now
    return approved or _is_confirmed(termination, control)
