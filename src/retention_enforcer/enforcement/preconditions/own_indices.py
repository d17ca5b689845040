"""Watches the enforcer's own indices while it runs: each is the one it was, no older, and as it must be."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from retention_enforcer.domain.errors import Refused, readable
from retention_enforcer.domain.own.position import IndexPosition
from retention_enforcer.domain.own.settings import Deviation, OwnSeen
from retention_enforcer.domain.own.state_keys import ADOPTED
from retention_enforcer.enforcement.ports import DocumentStore

_LOST = "restore it, or find out what happened and run `retention-enforcer ledger adopt`"

_FRESH = 1.0
"""Seconds for which a look serves those who write one record after another."""


class OwnLook(Protocol):
    """Reads all own indices in one request."""

    def look(self) -> Mapping[str, OwnSeen]:
        """Return all of them as they are. Raises Refused where one is missing."""


class OwnWatch:
    """What this process knows of the own indices, beside what they say of each other: all may be lost at once.

    Safe to use from several threads.
    """

    def __init__(self, own: OwnLook, state: DocumentStore) -> None:
        self._own = own
        self._state = state
        self._lock = threading.Lock()
        self._uuids: dict[str, str] | None = None
        self._memory: IndexPosition | None = None
        self._adopted: int | None = None
        self._looked_at: float | None = None
        self.forget: Callable[[], None] = lambda: None
        """Called where an operator adopted what there is now: what was known of it before does not count."""

    def check(self) -> None:
        """Raise Refused where an own index is missing, another one, an older one, or not as it must be."""
        with self._lock:
            seen, position = self._own.look(), self._state.position()
            self._obey_adoption()
            raise_if_deviating(seen)
            for name, index in seen.items():
                if self._uuids is not None and self._uuids.get(name) != index.uuid:
                    raise Refused(f"{name} is not the same index as before: nothing is deleted", _LOST)
            if self._memory is not None and not position.continues(self._memory):
                raise Refused("retention-state is an older state than before: nothing is deleted", _LOST)
            self._uuids = {name: index.uuid for name, index in seen.items()}
            self._memory = position
            self._looked_at = time.monotonic()

    def check_again(self) -> None:
        """Do so before a record is written, unless it was just done."""
        looked_at = self._looked_at
        if looked_at is None or time.monotonic() - looked_at >= _FRESH:
            self.check()

    def _obey_adoption(self) -> None:
        body = self._state.load([ADOPTED]).get(ADOPTED)
        at = adopted_at(body)
        if self._adopted is not None and at > self._adopted:
            self._uuids = self._memory = None
            self.forget()
        self._adopted = max(at, self._adopted or 0)


def adopted_at(body: Mapping[str, Any] | None) -> int:
    """Return when `ledger adopt` was given last, in epoch milliseconds; 0 where it never was."""
    with readable("the adoption in retention-state"):
        return int(body["at"]) if body else 0


def raise_if_deviating(seen: Mapping[str, OwnSeen]) -> None:
    """Raise Refused where an own index is not as it must be: a template brought a lifecycle, or somebody changed it."""
    found: list[Deviation] = [one for index in seen.values() for one in index.deviations]
    if found:
        first = found[0]
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise Refused(f"{first.index} is not as required: {first.text}{more}; nothing is deleted", first.remedy)
