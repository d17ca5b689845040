"""What is said of an index whose documents have no age, and which field was likely meant."""

from __future__ import annotations

from collections.abc import Collection
from difflib import SequenceMatcher

from retention_enforcer.domain.facts import Ageless, Doubt

_NEAR = 0.6
"""How alike two names must be, from 0 to 1, for one to be taken for a slip of the other."""


def likely_field(wanted: str, dates: Collection[str]) -> str | None:
    """Return which of the fields with dates is likely meant by a name: the only one, or the nearest by its name."""
    others = sorted(set(dates) - {wanted})
    if len(others) == 1:
        return others[0]
    nearest = max(others, key=lambda name: _likeness(wanted, name), default=None)
    return nearest if nearest is not None and _likeness(wanted, nearest) >= _NEAR else None


def _likeness(one: str, other: str) -> float:
    return SequenceMatcher(a=one.casefold(), b=other.casefold(), autojunk=False).ratio()


def absent(index: str, timestamp: str, documents: int, dates: Collection[str]) -> Ageless:
    """Return what is said of an index none of whose documents has the timestamp; `dates` are its fields with dates."""
    likely = likely_field(timestamp, dates)
    if likely is not None:
        mend = f"write timestamp: {likely} for this category if that is its field"
    elif dates:
        mend = f"write the right one for this category ({', '.join(sorted(dates)[:3])} are dates there)"
    else:
        mend = f"no field there is mapped as date: let the producer write {timestamp}, mapped as date, and re-index"
    return Ageless(
        doubt=Doubt.TIMESTAMP_ABSENT,
        text=f"none of the {documents:,} documents of {index} has {timestamp}: they have no age, and none goes by it",
        mend=mend,
    )


def no_date(index: str, timestamp: str, type_: str | None) -> Ageless:
    """Return what is said of an index whose timestamp is of another type: a number has a minimum, but no age."""
    return Ageless(
        doubt=Doubt.TIMESTAMP_TYPE,
        text=f"{timestamp} of {index} is of type {type_}, so that its documents have no age",
        mend=f"map {timestamp} as date in the template, and re-index {index}",
    )


def computed(index: str, timestamp: str, why: str) -> Ageless:
    """Return what is said of an index whose timestamp need not be what was written, and why."""
    return Ageless(
        doubt=Doubt.TIMESTAMP_TYPE,
        text=f"{timestamp} of {index} {why}: nobody can tell how old its documents are",
        mend=f"take that from the mapping, and from the template, so that {timestamp} is the mapped date",
    )


def ambiguous(index: str, timestamp: str) -> Ageless:
    """Return what is said of an index with several timestamps a document."""
    return Ageless(
        doubt=Doubt.TIMESTAMP_TYPE,
        text=f"documents of {index} have several values in {timestamp}, so that their age is ambiguous",
        mend=f"let the producer write one {timestamp} a document",
    )
