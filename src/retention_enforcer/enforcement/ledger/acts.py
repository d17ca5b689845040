"""Acts that change indices: announced in the ledger before, answered after by what a look shows, each once.

The order is always the same: intent, permit, a last look, request, look again, outcome. Nothing here is tried again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic

from retention_enforcer.domain.errors import Refused
from retention_enforcer.domain.holds.hold import Hold
from retention_enforcer.domain.ledger.records import Entry, Kind, Outcome, answer
from retention_enforcer.domain.policy.promises import Category
from retention_enforcer.enforcement.ledger.appender import Appender
from retention_enforcer.enforcement.ledger.fresh_permit import FreshPermit, Intended, What
from retention_enforcer.enforcement.ports import Clock, ControlStore, Permit
from retention_enforcer.enforcement.scope import job_of_record


@dataclass(frozen=True, slots=True, kw_only=True)
class Act(Generic[What]):
    """One act that is to be announced: what is done to which index, for which promise and why."""

    what: What
    category: Category | None
    action: str
    index: str
    uuid: str
    reason: str
    cycle: str
    evidence: Mapping[str, int | str] | None = None
    details: Mapping[str, int | str] | None = None

    def intent(self) -> Entry:
        """Return its intent, to be recorded."""
        return Entry(
            kind=Kind.INTENT,
            category=self.category.id if self.category else None,
            clause=str(self.category.clause) if self.category else None,
            action=self.action,
            target=(self.index, self.uuid),
            about=self.index,
            evidence=self.evidence,
            details=self.details,
            reason=self.reason,
            cycle=self.cycle,
        )


@dataclass(frozen=True, slots=True)
class Ending(Generic[What]):
    """How an announced act ended."""

    one: Intended[What]
    outcome: Outcome
    reason: str
    documents: int | None = None

    def answer(self) -> Entry:
        """Return its outcome, to be recorded."""
        return answer(self.one.intent, self.outcome, self.reason, self.documents, about=self.one.index)


class Acts:
    """Announces acts, permits them, and records how they ended. Shared by the threads of a process."""

    def __init__(self, appender: Appender, permit: Permit, clock: Clock, control: ControlStore) -> None:
        self._appender = appender
        self._permit = permit
        self._clock = clock
        self._control = control
        self._lock = threading.Lock()
        self._unsettled: dict[str, set[int]] = {}
        """By job, the intents without an outcome, or with none but `unknown`."""

    def record_intent(self, act: Act[What]) -> Intended[What]:
        """Record the intent of one act; returns once it is acknowledged."""
        (intended,) = self.record_intents([act])
        return intended

    def record_intents(self, acts: Sequence[Act[What]]) -> list[Intended[What]]:
        """Record an intent for each of these acts, in one request; returns once they are acknowledged."""
        at = self._clock.now()
        intents = self._appender.append_all([act.intent() for act in acts])
        with self._lock:
            for intent in intents:
                self._unsettled.setdefault(job_of_record(intent), set()).add(int(intent["sequence"]))
        return [Intended(act.what, act.index, intent, at) for act, intent in zip(acts, intents, strict=True)]

    def finish(self, one: Intended[What], outcome: Outcome, reason: str) -> Finished:
        """Record how an act ended."""
        (finished,) = self.finish_all([Ending(one, outcome, reason)])
        return finished

    def finish_all(self, endings: Sequence[Ending[What]]) -> list[Finished]:
        """Record how acts ended, in one request."""
        records = self._appender.append_all([ending.answer() for ending in endings])
        told = [ending.one.intent for ending in endings if ending.outcome is not Outcome.UNKNOWN]
        with self._lock:
            for intent in told:
                self._unsettled.get(job_of_record(intent), set()).discard(int(intent["sequence"]))
        return [Finished(int(record["sequence"]), str(record["reason"])) for record in records]

    def take_unsettled(self, job: str) -> bool:
        """Whether a job's runs have left an act of which nobody knows how it ended; asked once for each."""
        with self._lock:
            return bool(self._unsettled.pop(job, None))

    def permit(self, intended: Sequence[Intended[What]], raise_if_against: Callable[[], None]) -> FreshPermit:
        """Return the right to carry these out, soon; `raise_if_against` has the last word before each request."""
        return FreshPermit(self._permit, self._clock, self._appender, intended, raise_if_against)

    def holds_unchanged(self, known: Collection[Hold]) -> Callable[[], None]:
        """Return what raises Refused where a hold was added: long work can take hours, and a hold counts at once."""
        known = frozenset(known)

        def raise_if_held() -> None:
            if not known.issuperset(self._control.read().holds):
                raise Refused(
                    "a hold was added after this was planned", "no action needed: it is planned again under the hold"
                )

        return raise_if_held


@dataclass(frozen=True, slots=True)
class Finished:
    """The outcome of an act, as it was recorded."""

    record: int
    """Its sequence in the ledger."""
    reason: str
    """Without the id that the index may be named after."""
