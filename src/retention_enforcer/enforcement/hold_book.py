"""Writes into the ledger what became of holds: the operator's word is in `retention-control`, its history is not."""

from __future__ import annotations

from collections.abc import Iterable

from retention_enforcer.domain.claims import claimants_by_name
from retention_enforcer.domain.errors import readable
from retention_enforcer.domain.holds import Hold
from retention_enforcer.domain.instants import format_instant
from retention_enforcer.domain.ledger import Entry, Kind
from retention_enforcer.domain.policy import Policy
from retention_enforcer.domain.pseudonyms import Pseudonyms
from retention_enforcer.enforcement.appender import Appender
from retention_enforcer.enforcement.ports import StateStore

_HOLDS = "holds"
_ENDED = "ended"


class HoldBook:
    """Compares the holds that there are with those that were recorded; each change is one record."""

    def __init__(self, state: StateStore, appender: Appender, pseudonyms: Pseudonyms) -> None:
        self._state = state
        self._appender = appender
        self._pseudonyms = pseudonyms
        self._kept: tuple[int, dict[str, str]] | None = None
        """Under which epoch this process saw to it last that these are recorded: nobody else writes under it."""

    def keep(self, policy: Policy, holds: Iterable[Hold], now: int) -> None:
        """Record holds that were added, changed, removed or came to their end since the last time."""
        current = {hold.id: self._described(policy, hold) if hold.is_alive(now) else _ENDED for hold in holds}
        epoch = self._appender.epoch
        if self._kept == (epoch, current):
            return
        known = self._state.load([_HOLDS]).get(_HOLDS, {})
        with readable("what retention-state remembers of holds"):
            recorded = {str(id_): str(text) for id_, text in known.get("recorded", {}).items()}
        for id_, text in current.items():
            if text != recorded.get(id_, _ENDED):
                action = "ended" if text == _ENDED else ("changed" if id_ in recorded else "added")
                self._record(action, f"hold {id_}" if text == _ENDED else text)
        for id_ in recorded.keys() - current.keys():
            self._record("removed", f"hold {id_}")
        if current != recorded:
            self._state.save(_HOLDS, {"recorded": current}, now)
        self._kept = (epoch, current)

    def _record(self, action: str, text: str) -> None:
        self._appender.append(Entry(kind=Kind.HOLD, action=action, reason=text, actor="operator"))

    def _described(self, policy: Policy, hold: Hold) -> str:
        """Return all that a hold says; what an operator wrote, and who is held, as pseudonyms."""
        if hold.subject is not None:
            target = f"{hold.subject.kind} {self._pseudonyms.of(hold.subject.text)}"
        elif hold.index is not None:
            claimed = claimants_by_name(policy, hold.index)  # an alias can have any name, also one with an id
            hidden = self._pseudonyms.index_name(policy.patterns, hold.index)
            target = f"index {hidden if claimed else self._pseudonyms.of(hold.index)}"
        else:
            target = f"category {hold.category}"
        words = f"owner {self._pseudonyms.of(hold.owner)}, reason {self._pseudonyms.of(hold.reason)}"
        return f"hold {hold.id} on {target} until {format_instant(hold.until)}; {words}"
