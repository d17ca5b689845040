"""Writes into the ledger what became of holds: the operator's word is in `retention-control`, its history is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retention_enforcer.domain.control import Control
from retention_enforcer.domain.errors import readable
from retention_enforcer.domain.holds.hold import Hold
from retention_enforcer.domain.instants import format_instant
from retention_enforcer.domain.ledger.records import Entry, Kind
from retention_enforcer.domain.own.state_keys import HOLDS
from retention_enforcer.domain.policy.claims import claimants_by_name
from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.domain.subjects.pseudonyms import Redactor
from retention_enforcer.enforcement.ledger.appender import Appender
from retention_enforcer.enforcement.ports import DocumentStore

_ENDED = "ended"


def recorded_in(body: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the holds of which the ledger knows, by their ids, and what it says of each."""
    with readable("what retention-state stores about holds"):
        return {str(id_): str(text) for id_, text in (body or {}).get("recorded", {}).items()}


def lost_holds(body: Mapping[str, Any] | None, control: Control) -> list[str]:
    """Return the holds of which the ledger knows that they hold, that are gone, and that nobody removed."""
    there = {hold.id for hold in control.holds} | control.removed
    return sorted(id_ for id_, text in recorded_in(body).items() if text != _ENDED and id_ not in there)


class HoldRecorder:
    """Compares the holds that there are with those that were recorded; each change is one record."""

    def __init__(self, state: DocumentStore, appender: Appender, redactor: Redactor) -> None:
        self._state = state
        self._appender = appender
        self._redactor = redactor
        self._pseudonyms = redactor.pseudonyms
        self._kept: tuple[int, dict[str, str]] | None = None
        """Under which epoch this process saw to it last that these are recorded: nobody else writes under it."""

    def keep(self, policy: Policy, control: Control, now: int) -> None:
        """Record holds that were added, changed, removed or came to their end since the last time.

        One that is gone although nobody removed it was given up: an operator adopted that it was lost.
        """
        holds = control.holds
        current = {hold.id: self._described(policy, hold) if hold.is_alive(now) else _ENDED for hold in holds}
        epoch = self._appender.epoch
        if self._kept == (epoch, current):
            return
        known = self._state.load([HOLDS]).get(HOLDS)
        recorded, lost = recorded_in(known), lost_holds(known, control)
        for id_, text in current.items():
            if text != recorded.get(id_, _ENDED):
                action = "ended" if text == _ENDED else ("changed" if id_ in recorded else "added")
                self._record(action, f"hold {id_}" if text == _ENDED else text)
        for id_ in sorted(recorded.keys() - current.keys()):
            if id_ in lost:
                self._record("lost", f"hold {id_}: lost from retention-control, and given up by `ledger adopt`")
            elif id_ in control.removed:
                self._record("removed", f"hold {id_}")
        if current != recorded:
            self._state.save(HOLDS, {"recorded": current}, now)
        self._kept = (epoch, current)

    def _record(self, action: str, text: str) -> None:
        self._appender.append(Entry(kind=Kind.HOLD, action=action, reason=text, actor="operator"))

    def _described(self, policy: Policy, hold: Hold) -> str:
        """Return all that a hold says; what an operator wrote, and who is held, as pseudonyms."""
        if hold.subject is not None:
            target = f"{hold.subject.kind} {self._pseudonyms.of(hold.subject.text)}"
        elif hold.index is not None:
            claimed = claimants_by_name(policy, hold.index)  # an alias can have any name, also one with an id
            hidden = self._redactor.index_name(hold.index)
            target = f"index {hidden if claimed else self._pseudonyms.of(hold.index)}"
        else:
            target = f"category {hold.category}"
        words = f"owner {self._pseudonyms.of(hold.owner)}, reason {self._pseudonyms.of(hold.reason)}"
        return f"hold {hold.id} on {target} until {format_instant(hold.until)}; {words}"
