"""Holds: what must not be deleted for now, by whose word, for what reason and until when."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from retention_enforcer.domain.facts import IndexFacts
from retention_enforcer.domain.instants import format_instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A hold on a whole category or on one index. `until` is in epoch milliseconds."""

    id: str
    owner: str
    reason: str
    until: int
    category: str | None = None
    index: str | None = None

    def covers(self, category: str, index: IndexFacts, now: int) -> bool:
        """Whether it covers an index of a category at this instant: by the category, its name, stream or an alias."""
        names = (index.name, index.stream, *index.aliases)
        return now < self.until and (self.category == category or (self.index is not None and self.index in names))

    def __str__(self) -> str:
        return f"{self.id} of {self.owner} until {format_instant(self.until)}"


def held(holds: Iterable[Hold], category: str, indices: Iterable[IndexFacts], now: int) -> dict[str, str]:
    """Return which of a category's indices are held at this instant, and by which hold."""
    holds = tuple(holds)
    return {index.name: str(hold) for index in indices for hold in holds if hold.covers(category, index, now)}
