"""Which indices of terminated tenants could not be deleted yet, so that a lifecycle has to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from retention_enforcer.domain.errors import readable
from retention_enforcer.domain.facts import CategoryFacts, IndexFacts
from retention_enforcer.enforcement.ports import StateStore

ENDED = "ended-indices"
"""The key of what is remembered, in `retention-state`."""


class Ended:
    """Remembers, between the work on terminations and the cycles, which indices are whole a terminated tenant's.

    An index that was written to since is not: its new documents may be somebody else's.
    """

    def __init__(self, state: StateStore | None = None) -> None:
        self._state = state

    def remember(self, indices: Mapping[str, Iterable[IndexFacts]], now: int) -> None:
        """Remember those of each category, as they were seen; what is not among them is forgotten."""
        body = {
            category: {index.uuid: list(index.sequence_numbers) for index in those}
            for category, those in indices.items()
        }
        body = {category: those for category, those in sorted(body.items()) if those}
        if self._state is not None and body != self._known():
            self._state.save(ENDED, body, now)

    def names(self, category: str, facts: CategoryFacts) -> frozenset[str]:
        """Return the names of those of a category that are still what they were."""
        known = self._known().get(category, {})
        with readable(f"{ENDED} in retention-state"):
            return frozenset(
                index.name
                for index in facts.indices
                if index.uuid in known and tuple(known[index.uuid]) == index.sequence_numbers
            )

    def _known(self) -> Mapping[str, Any]:
        return self._state.load([ENDED]).get(ENDED, {}) if self._state is not None else {}
