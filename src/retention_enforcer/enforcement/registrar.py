"""Takes requests into the registry, each once, in the order in which they were written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from retention_enforcer.domain.control import Control
from retention_enforcer.domain.errors import Refused, readable
from retention_enforcer.domain.instants import format_instant
from retention_enforcer.domain.ledger import Entry, Kind
from retention_enforcer.domain.pseudonyms import Pseudonyms
from retention_enforcer.domain.requests import Ask, Mailbox, Malformed, Request, Written, is_unusual, read_request
from retention_enforcer.domain.terminations import (
    Termination,
    held_back,
    open_twin,
    reinstated,
    termination_body,
    termination_of,
)
from retention_enforcer.enforcement.appender import Appender
from retention_enforcer.enforcement.ports import Clock, Registry, Requests, StateStore

_log = structlog.get_logger()

REQUESTS = "requests"
"""The key of what is remembered of the requests, in `retention-state`."""

REMEMBERED = "remembered"
"""The kind of a termination in the registry whose subject is known; a forgotten one has its pseudonym for a kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestsMemory:
    """How far requests were read."""

    uuid: str
    sequence: int
    refused: Mapping[str, str] = field(default_factory=dict)
    """Malformed requests that are still there, by their documents' ids, and why."""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> RequestsMemory:
        """Read it from its document."""
        with readable("what retention-state remembers of requests"):
            return cls(uuid=str(body["uuid"]), sequence=int(body["sequence"]), refused=dict(body["refused"]))

    def body(self) -> dict[str, Any]:
        """Return it as its document."""
        return {"uuid": self.uuid, "sequence": self.sequence, "refused": dict(self.refused)}


class TerminationBook:
    """The registry, and the ledger's record of each change in it.

    A change is recorded before it is stored: a crash may put it into the ledger twice, never into the registry alone.
    """

    def __init__(self, registry: Registry, appender: Appender, clock: Clock) -> None:
        self._registry = registry
        self._appender = appender
        self._clock = clock

    def remembered(self) -> list[Termination]:
        """Return all terminations whose subjects are known, in the order in which they were registered."""
        found = [termination_of(body) for body in self._registry.all(REMEMBERED).values()]
        return sorted(found, key=lambda t: (t.registered_at, t.key))

    def enter(self, termination: Termination, action: str, text: str = "", actor: str = "enforcer") -> None:
        """Record what became of a termination, then store it as it is now. `text` names no id."""
        self.record(termination, action, text, actor)
        self.save(termination)

    def save(self, termination: Termination) -> None:
        """Store a termination of which there is a record, or nothing to record."""
        kind = termination.pseudonym if termination.is_forgotten else REMEMBERED
        self._registry.save(termination.key, termination_body(termination), self._clock.now(), kind)

    def record(self, termination: Termination, action: str, text: str = "", actor: str = "enforcer") -> int:
        """Record what became of a termination; return the record's sequence. `text` names no id."""
        who = f"{termination.ask} of {termination.kind} {termination.pseudonym}"
        reason = f"{who}: {text}" if text else who
        record = self._appender.append(Entry(kind=Kind.TERMINATION, action=action, reason=reason, actor=actor))
        return int(record["sequence"])


class Registrar:
    """Reads requests and registers what they ask for; deletes nothing."""

    def __init__(
        self,
        *,
        requests: Requests,
        book: TerminationBook,
        state: StateStore,
        appender: Appender,
        pseudonyms: Pseudonyms,
        clock: Clock,
        most: int,
    ) -> None:
        self._requests = requests
        self._book = book
        self._state = state
        self._appender = appender
        self._pseudonyms = pseudonyms
        self._clock = clock
        self._most = most

    def register(self, control: Control) -> tuple[dict[str, Termination], RequestsMemory]:
        """Take in all new requests; return all terminations that are remembered, and what is remembered of requests.

        Raises Refused where the requests are not those that were read before: acting on old ones again could
        terminate a customer who came back.
        """
        mailbox = self._requests.mailbox()
        memory = self._memory(mailbox)
        terminations = {t.key: t for t in self._book.remembered()}
        for written in self._requests.read(memory.sequence, mailbox.until):
            refused = {id_: why for id_, why in memory.refused.items() if id_ != written.id}
            problem = self._take(written, mailbox.uuid, terminations)
            if problem is not None:
                refused[written.id] = problem
            memory = replace(memory, sequence=written.sequence, refused=refused)
            self._state.save(REQUESTS, memory.body(), self._clock.now())
        there = self._requests.existing(memory.refused.keys())
        if there != memory.refused.keys():
            memory = replace(memory, refused={id_: why for id_, why in memory.refused.items() if id_ in there})
            self._state.save(REQUESTS, memory.body(), self._clock.now())
        self._hold_back(terminations, control)
        return terminations, memory

    def _memory(self, mailbox: Mailbox) -> RequestsMemory:
        body = self._state.load([REQUESTS]).get(REQUESTS)
        if body is None:
            memory = RequestsMemory(uuid=mailbox.uuid, sequence=-1)
            self._state.save(REQUESTS, memory.body(), self._clock.now())
            return memory
        memory = RequestsMemory.of(body)
        if memory.uuid != mailbox.uuid or mailbox.until < memory.sequence:  # made anew, or an older one restored
            raise Refused(
                "retention-requests is not the index it was: no request in it is carried out",
                "look at what happened, then: retention-enforcer ledger adopt; the requests there now are skipped",
            )
        return memory

    def _take(self, written: Written, uuid: str, terminations: dict[str, Termination]) -> str | None:
        """Carry one request into the registry; return why it is refused, if it is."""
        key = f"{uuid[:8]}-{written.sequence:012d}"
        if key in terminations:
            return None  # interrupted after it was stored
        request = read_request(written.id, written.body)
        if isinstance(request, Malformed):
            text = f"request {self._pseudonyms.of(written.id)} is malformed: {request.problem}"
            self._appender.append(Entry(kind=Kind.TERMINATION, action="refused", reason=text))
            return request.problem
        if request.ask is Ask.REINSTATE:
            self._reinstate(request, terminations)
            return None
        if open_twin(terminations.values(), request.subject, request.ask) is None:
            termination = self._termination(key, request)
            at = f"terminated at {format_instant(termination.terminated_at)}"
            words = f"{at}; reason {self._pseudonyms.of(request.reason)}" if request.reason else at
            self._book.enter(termination, "registered", words, self._actor(request))
            terminations[key] = termination
        return None

    def _termination(self, key: str, request: Request) -> Termination:
        now = self._clock.now()
        terminated_at = request.terminated_at if request.terminated_at is not None else now
        return Termination(
            key=key,
            request=request.id,
            pseudonym=self._pseudonyms.of(request.subject.text),
            kind=request.subject.kind,
            ask=request.ask,
            subject=request.subject,
            registered_at=now,
            terminated_at=terminated_at,
            reason=request.reason,
            requested_by=request.requested_by,
            unusual=is_unusual(terminated_at, now),
        )

    def _reinstate(self, request: Request, terminations: dict[str, Termination]) -> None:
        for changed in reinstated(terminations.values(), request.subject, self._clock.now()):
            action = "cancelled" if changed.cancelled_at is not None else "watch-ended"
            self._book.enter(changed, action, "reinstated", self._actor(request))
            terminations[changed.key] = changed

    def _actor(self, request: Request) -> str:
        return self._pseudonyms.of(request.requested_by) if request.requested_by else "unknown"

    def _hold_back(self, terminations: dict[str, Termination], control: Control) -> None:
        """Hold terminations back, or let them go on, as the operator's word and their number ask."""
        known = [replace(t, unusual=False) if t.request in control.confirmed else t for t in terminations.values()]
        waiting = held_back(known, self._most, control.terminations_approved_at, self._clock.now())
        for key, termination in terminations.items():
            if (key in waiting) != termination.held_back and termination.is_open:
                changed = replace(termination, held_back=key in waiting)
                action, actor = ("held-back", "enforcer") if key in waiting else ("approved", "operator")
                self._book.enter(changed, action, actor=actor)
                terminations[key] = changed


def adopt_requests(requests: Requests, state: StateStore, now: int) -> int | None:
    """Go on with requests that are not those that were read before; return the place up to which they are skipped.

    None where they are the same, or none was ever read.
    """
    mailbox = requests.mailbox()
    body = state.load([REQUESTS]).get(REQUESTS)
    if body is None or RequestsMemory.of(body).uuid == mailbox.uuid:
        return None
    state.save(REQUESTS, RequestsMemory(uuid=mailbox.uuid, sequence=mailbox.until).body(), now)
    return mailbox.until
