"""Remembers what holds were seen to cover, so that it stays covered: written before anything of the look follows."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from retention_enforcer.domain.errors import ClusterUnavailable
from retention_enforcer.domain.facts import CategoryFacts
from retention_enforcer.domain.holds.hold import CoveredIndex, Hold
from retention_enforcer.domain.own.control_documents import COVERED, covered_body, covered_in
from retention_enforcer.domain.policy.promises import Category
from retention_enforcer.enforcement.ports import DocumentStore

_TRIES = 5
"""How often one document is written anew where somebody else was faster."""


class KnownCoverage(Protocol):
    """What holds cover, beside what was read with them."""

    def recalled(self, holds: Sequence[Hold]) -> Sequence[Hold]:
        """Return the holds with what was seen of them since they were read."""

    def keep(self, holds: Sequence[Hold], category: Category, facts: CategoryFacts) -> None:
        """Take note of what a look at a category shows that they cover."""


class NothingKept:
    """For looks on which nobody acts: nothing is remembered of them."""

    def recalled(self, holds: Sequence[Hold]) -> Sequence[Hold]:
        """Return the holds as they were read."""
        return holds

    def keep(self, holds: Sequence[Hold], category: Category, facts: CategoryFacts) -> None:
        """Take no note."""


class HoldCoverage:
    """Adds to what is remembered. All threads of a process share one."""

    def __init__(self, state: DocumentStore) -> None:
        self._state = state
        self._seen: dict[str, dict[str, CoveredIndex]] = {}
        """By hold, what this process saw: known to the rest of a cycle without being read again."""
        self._lock = threading.Lock()

    def recalled(self, holds: Iterable[Hold]) -> tuple[Hold, ...]:
        """Return the holds with what was seen of them since they were read."""
        with self._lock:
            return tuple(replace(hold, covered={**self._seen.get(hold.id, {}), **hold.covered}) for hold in holds)

    def keep(self, holds: Iterable[Hold], category: Category, facts: CategoryFacts) -> None:
        """Remember what a look at a category shows that they cover; raises ClusterUnavailable if it is not stored."""
        for hold in holds:
            seen = hold.seen_in(category, facts, facts.as_of)
            if seen.keys() - hold.covered.keys():
                with self._lock:
                    self._add(hold.id, seen, facts.as_of)

    def _add(self, hold_id: str, seen: Mapping[str, CoveredIndex], now: int) -> None:
        """Write it down conditionally: what somebody else added must not go."""
        for _ in range(_TRIES):
            found = self._state.versions([f"{COVERED}{hold_id}"]).get(f"{COVERED}{hold_id}")
            known = covered_in(found.body) if found else {}
            after = {**seen, **known}
            if after == known or self._state.replace_version(
                f"{COVERED}{hold_id}", covered_body(after), now, found.version if found else None
            ):
                self._seen.setdefault(hold_id, {}).update(after)
                return
        raise ClusterUnavailable(
            "what a hold covers could not be recorded", "wait for the next cycle, which tries again"
        )
