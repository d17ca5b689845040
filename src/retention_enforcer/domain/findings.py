"""Findings: what a person has to know, with the mend. One finding a cause, under an id that survives restarts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum


class Severity(StrEnum):
    """How urgent a finding is."""

    ERROR = "error"  # a promise is broken, or cannot be proven
    WARNING = "warning"  # a promise will be broken unless somebody acts


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is not as it should be.

    `index` is None where it concerns more than one index, `category` where it concerns no single category.
    """

    kind: str
    category: str | None
    text: str
    mend: str
    severity: Severity = Severity.ERROR
    index: str | None = None
    uuid: str | None = None
    about: str | None = None
    """What it concerns where that is no index: a repository, a hold."""
    first_seen: int | None = None
    """Epoch milliseconds; None until it was stored."""

    @property
    def id(self) -> str:
        """The same for the same cause in the same place, whatever its text says today."""
        place = "|".join((self.kind, self.category or "", self.uuid or self.index or self.about or ""))
        return hashlib.sha256(place.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingsChange:
    """The findings of now, with their first sight, and what is new or gone since the last cycle."""

    current: tuple[Finding, ...]
    opened: tuple[Finding, ...]
    closed: tuple[str, ...]
    """Ids of findings whose cause is gone."""


def compare_findings(known: Mapping[str, int], seen: Iterable[Finding], now: int) -> FindingsChange:
    """Return what changed against the known findings (id to first sight, epoch milliseconds)."""
    current = {f.id: replace(f, first_seen=known.get(f.id, now)) for f in seen}
    return FindingsChange(
        current=tuple(current.values()),
        opened=tuple(f for f in current.values() if f.id not in known),
        closed=tuple(sorted(id_ for id_ in known if id_ not in current)),
    )
