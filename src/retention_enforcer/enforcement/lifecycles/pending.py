"""Which indices of terminated tenants could not be deleted yet, so that a lifecycle has to."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from retention_enforcer.domain.errors import readable
from retention_enforcer.domain.facts import CategoryFacts, IndexFacts
from retention_enforcer.domain.instants import HOUR
from retention_enforcer.domain.own.state_keys import ENDED_INDICES
from retention_enforcer.enforcement.ports import DocumentStore

_DOUBTED = "_doubted"
"""Among the categories, whose ids never begin so: since when a look has begun, and none come to its end."""

_KEPT_IN_DOUBT = HOUR
"""For how long what has the lifecycle keeps it then: a run that goes well is over by then, and says so."""


def none_pending(category: str, facts: CategoryFacts, having: Collection[str]) -> frozenset[str]:  # noqa: ARG001
    """Return what `PendingWholeDeletions.names` does where nobody works on terminations: nothing."""
    return frozenset()


class PendingWholeDeletions:
    """Remembers, between the work on terminations and the cycles, which indices are whole a terminated tenant's.

    An index that was written to since is not: its new documents may be somebody else's. Whose tenant is back only the
    work on terminations knows: an index gets the lifecycle only on the word of the last run, of this very process, that
    came to its end. One for both sides; while it runs again, its last word holds on.
    """

    def __init__(self, state: DocumentStore) -> None:
        self._state = state
        self._renewed = False
        self._told = False
        """Whether the last run of this process came to its end."""

    @contextmanager
    def renewing(self) -> Iterator[None]:
        """Find out in this block what is to be remembered."""
        self._renewed = told = False
        try:
            yield
            told = self._renewed
        finally:
            self._told = told

    def take_no_word(self) -> None:
        """Let no other index have the lifecycle before the next run has come to its end."""
        self._told = False

    def remember(self, indices: Mapping[str, Iterable[IndexFacts]], now: int) -> None:
        """Remember those of each category, as they were seen; what is not among them is forgotten."""
        body = {
            category: {index.uuid: list(index.sequence_numbers) for index in those}
            for category, those in indices.items()
        }
        body = {category: those for category, those in sorted(body.items()) if those}
        if body != self._known():
            self._state.save(ENDED_INDICES, body, now)
        self._renewed = True

    def doubt(self, now: int) -> None:
        """Take what is remembered for old until the next `remember`: a tenant may be back whom nobody has heeded."""
        known = self._known()
        if known and _DOUBTED not in known:
            self._state.save(ENDED_INDICES, {**known, _DOUBTED: {"since": now}}, now)

    def names(self, category: str, facts: CategoryFacts, having: Collection[str]) -> frozenset[str]:
        """Return the names of those of a category that are still what they were.

        `having` names those that have the lifecycle already: in doubt it stays there for an hour. Others get it on the
        word of the last run only.
        """
        known = self._known()
        with readable(f"{ENDED_INDICES} in retention-state"):
            indices, doubted = known.get(category, {}), known.get(_DOUBTED)
            kept = having if doubted is None or facts.as_of - int(doubted["since"]) <= _KEPT_IN_DOUBT else ()
            return frozenset(
                index.name
                for index in facts.indices
                if index.uuid in indices
                and tuple(indices[index.uuid]) == index.sequence_numbers
                and (self._told or index.name in kept)
            )

    def _known(self) -> Mapping[str, Any]:
        return self._state.load([ENDED_INDICES]).get(ENDED_INDICES, {})
