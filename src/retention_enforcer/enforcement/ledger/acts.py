"""Acts that change indices: announced in the ledger before, answered after by what a look shows, each once.

The order is always the same: intent, permit, a last look, request, look again, outcome. Nothing here is tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from retention_enforcer.domain.errors import Refused
from retention_enforcer.domain.holds.hold import Hold
from retention_enforcer.domain.ledger.records import Entry, Kind, Outcome, answer
from retention_enforcer.domain.policy.promises import Category
from retention_enforcer.enforcement.ledger.appender import Appender
from retention_enforcer.enforcement.ledger.fresh_permit import FreshPermit, Intended, What
from retention_enforcer.enforcement.ports import Clock, ControlStore, Permit


class Acts:
    """Announces acts, permits them, and records how they ended."""

    def __init__(self, appender: Appender, permit: Permit, clock: Clock, control: ControlStore) -> None:
        self._appender = appender
        self._permit = permit
        self._clock = clock
        self._control = control

    def record_intent(
        self,
        what: What,
        category: Category | None,
        action: str,
        *,
        index: str,
        uuid: str,
        reason: str,
        cycle: str,
        evidence: Mapping[str, int | str] | None = None,
        details: Mapping[str, int | str] | None = None,
    ) -> Intended[What]:
        """Record the intent of one act; returns once it is acknowledged."""
        at = self._clock.now()
        intent = self._appender.append(
            Entry(
                kind=Kind.INTENT,
                category=category.id if category else None,
                clause=str(category.clause) if category else None,
                action=action,
                target=(index, uuid),
                about=index,
                evidence=evidence,
                details=details,
                reason=reason,
                cycle=cycle,
            )
        )
        return Intended(what, index, intent, at)

    def finish(self, one: Intended[What], outcome: Outcome, reason: str, documents: int | None = None) -> Finished:
        """Record how an act ended."""
        record = self._appender.append(answer(one.intent, outcome, reason, documents, about=one.index))
        return Finished(int(record["sequence"]), str(record["reason"]))

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
