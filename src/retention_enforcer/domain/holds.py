"""Holds: what must not be deleted for now, by whose word, for what reason and until when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from retention_enforcer.domain.facts import Held, IndexFacts
from retention_enforcer.domain.findings import Finding, Severity
from retention_enforcer.domain.instants import DAY, describe_duration, format_instant
from retention_enforcer.domain.subjects import Subject

ANNOUNCED = DAY
"""How long before its end a hold's end is announced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A hold on a whole category, on one index, stream or alias, or on a subject; `until` in epoch milliseconds."""

    id: str
    owner: str
    reason: str
    until: int
    category: str | None = None
    index: str | None = None
    subject: Subject | None = None
    applications: tuple[str, ...] = field(default=(), repr=False)
    """Of a held account, those that were named with it when it was held: what says so may be gone later."""

    def is_alive(self, now: int) -> bool:
        """Whether it holds at this instant."""
        return now < self.until

    def covers(self, category: str, index: IndexFacts, now: int) -> bool:
        """Whether it covers a whole index of a category: by the category, its name, stream or an alias."""
        names = (index.name, index.stream, *index.aliases, *index.former_names)
        named = self.category == category or (self.index is not None and self.index in names)
        return self.is_alive(now) and named

    def may_cover(self, category: str, name: str, now: int) -> bool:
        """Whether it may cover an index of a category into which nobody can look."""
        named = self.subject is not None or self.category == category or self.index == name
        return self.is_alive(now) and named

    def __str__(self) -> str:
        """Return what anybody may read: owner and reason are an operator's free text, a subject's id is personal."""
        return f"hold {self.id} until {format_instant(self.until)}"

    @property
    def held(self) -> Held:
        """What is said of an index that is held as a whole."""
        return Held(hold=self.id, text=str(self))


def held(holds: Iterable[Hold], category: str, indices: Iterable[IndexFacts], now: int) -> dict[str, Held]:
    """Return which of a category's indices are held as a whole at this instant, and by which hold."""
    holds = tuple(holds)
    return {index.name: hold.held for index in indices for hold in holds if hold.covers(category, index, now)}


def on_subjects(holds: Iterable[Hold], now: int) -> tuple[Hold, ...]:
    """Return the holds on subjects that are alive at this instant."""
    return tuple(hold for hold in holds if hold.subject is not None and hold.is_alive(now))


def ending_soon(holds: Iterable[Hold], now: int) -> Iterator[Finding]:
    """Yield the announcement of each hold that ends within a day."""
    for hold in holds:
        if hold.is_alive(now) and hold.until - now <= ANNOUNCED:
            yield Finding(
                kind="hold-ends",
                category=hold.category,
                about=hold.id,
                text=f"hold {hold.id} ends in {describe_duration(hold.until - now)}: what it kept past its limit is "
                "deleted then",
                mend="nothing, or `retention-enforcer hold add` with a later end",
                severity=Severity.WARNING,
            )
