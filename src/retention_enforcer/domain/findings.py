"""Findings: what a person has to know, with the remedy. One finding a cause, under an id that survives restarts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from retention_enforcer.domain.instants import HOUR


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
    remedy: str
    severity: Severity = Severity.ERROR
    index: str | None = None
    uuid: str | None = None
    about: str | None = None
    """What it concerns where that is no index: a repository, a hold."""
    first_seen: int | None = None
    """Epoch milliseconds; None until it was stored."""
    last_seen: int | None = None

    @property
    def id(self) -> str:
        """The same for the same cause in the same place, whatever its text says today."""
        place = "|".join((self.kind, self.category or "", self.uuid or self.index or self.about or ""))
        return hashlib.sha256(place.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """When an open finding was first and last seen, in epoch milliseconds."""

    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingsChange:
    """The findings of now, with their first and last sight, and what is new or gone since the last cycle."""

    current: tuple[Finding, ...]
    opened: tuple[Finding, ...]
    closed: tuple[str, ...]
    """Ids of findings whose cause is gone."""

    @property
    def sightings(self) -> dict[str, Sighting]:
        """What is to be remembered of the findings of now, by their ids."""
        return {f.id: Sighting(first=f.first_seen or 0, last=f.last_seen or 0) for f in self.current}


def compare_findings(known: Mapping[str, Sighting], seen: Iterable[Finding], now: int) -> FindingsChange:
    """Return what changed against the known findings, by their ids."""
    current = {f.id: f for f in sighted(known, seen, now)}
    return FindingsChange(
        current=tuple(current.values()),
        opened=tuple(f for f in current.values() if f.id not in known),
        closed=tuple(sorted(id_ for id_ in known if id_ not in current)),
    )


def sighted(known: Mapping[str, Sighting], seen: Iterable[Finding], now: int) -> Iterator[Finding]:
    """Yield the findings of now with their first sight, if it is known, and their last."""
    for finding in seen:
        first = known[finding.id].first if finding.id in known else now
        yield replace(finding, first_seen=first, last_seen=now)


def refreshed(stored: Mapping[str, Sighting], current: Mapping[str, Sighting]) -> Mapping[str, Sighting]:
    """Return what is to be stored of the findings: the stored sightings while they say nearly the same.

    When a finding was last seen is no reason to write by itself, but once an hour.
    """
    same = stored.keys() == current.keys()
    if same and all(current[id_].last - sighting.last < HOUR for id_, sighting in stored.items()):
        return stored
    return current
