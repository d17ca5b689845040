"""Holds: what must not be deleted for now, by whose word, for what reason and until when."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

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

    def covers(self, category: str, name: str, now: int) -> bool:
        """Whether it covers an index of a category at this instant."""
        return now < self.until and (self.category == category or self.index == name)

    def __str__(self) -> str:
        return f"{self.id} of {self.owner} until {format_instant(self.until)}"


def held(holds: Iterable[Hold], category: str, names: Iterable[str], now: int) -> dict[str, str]:
    """Return which of a category's indices are held at this instant, and by which hold."""
    holds = tuple(holds)
    return {name: str(hold) for name in names for hold in holds if hold.covers(category, name, now)}
