"""What is said of an index whose documents have no age, and which field was likely meant."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from difflib import SequenceMatcher

from retention_enforcer.domain.facts import Ageless, Doubt
from retention_enforcer.domain.timestamps import DATES, Timestamp

_NUMBERS = frozenset({"integer", "long", "unsigned_long"})
_TIMELY = re.compile(r"time|date|stamp|created|millis|bucket|epoch|(^|[._])(ts|at)$")
"""What is in the names of numbers that may be times: most numbers are none."""

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


def absent(index: str, timestamp: Timestamp, documents: int, fields: Mapping[str, str]) -> Ageless:
    """Return what is said of an index none of whose documents has the timestamp.

    `fields` are those with dates there, and their types; where there is none, those with numbers of the right name.
    """
    field = timestamp.field
    dates = {name for name, type_ in fields.items() if type_ in DATES}
    numbers = {name for name in fields.keys() - dates if _speaks_of_time(name)}
    likely = likely_field(field, dates) or (None if dates else likely_field(field, numbers))
    if likely in dates:
        remedy = f"write timestamp: {likely} for this category if that is its field"
    elif likely is not None:
        remedy = f"write timestamp: {{field: {likely}, unit: …}} with the unit of its values, if that is its field"
    elif dates:
        remedy = f"write the right one for this category ({', '.join(sorted(dates)[:3])} are dates there)"
    elif numbers:
        remedy = (
            f"write the right one for this category, as timestamp: {{field: …, unit: …}} "
            f"({', '.join(sorted(numbers)[:3])} are numbers there)"
        )
    else:
        remedy = f"no field there is mapped as date: let the producer write {field}, mapped as date, and re-index"
    return Ageless(
        doubt=Doubt.TIMESTAMP_ABSENT,
        text=f"none of the {documents:,} documents of {index} has {field}: they have no age, and none goes by it",
        remedy=remedy,
    )


def _speaks_of_time(name: str) -> bool:
    return _TIMELY.search(name.casefold()) is not None


def another_type(index: str, timestamp: Timestamp, type_: str) -> Ageless:
    """Return what is said of an index whose timestamp is mapped as what the policy's unit does not fit."""
    field, first = timestamp.field, timestamp.types[0]
    remapped = f"map {field} as {first} in the template, and re-index {index}"
    meant = "" if timestamp.unit is None else f", and the policy says {timestamp.unit}"
    if type_ in DATES:
        remedy = f"write timestamp: {field} for this category, without a unit: it is mapped as a date"
    elif timestamp.unit is None and type_ in _NUMBERS:
        remedy = f"write timestamp: {{field: {field}, unit: …}} with the unit of its values; or {remapped}"
    elif timestamp.unit is None and type_ == "keyword":
        remedy = f"write timestamp: {{field: {field}, unit: …}} with the pattern of its values; or {remapped}"
    else:
        remedy = remapped
    return Ageless(
        doubt=Doubt.TIMESTAMP_TYPE,
        text=f"{field} of {index} is of type {type_}{meant}, so that its documents have no age",
        remedy=remedy,
    )


def computed(index: str, timestamp: Timestamp, why: str) -> Ageless:
    """Return what is said of an index whose timestamp need not be what was written, and why."""
    field, mapped = timestamp.field, "date" if timestamp.unit is None else "field"
    return Ageless(
        doubt=Doubt.TIMESTAMP_TYPE,
        text=f"{field} of {index} {why}: nobody can tell how old its documents are",
        remedy=f"take that from the mapping, and from the template, so that {field} is the mapped {mapped}",
    )


def ambiguous(index: str, timestamp: Timestamp) -> Ageless:
    """Return what is said of an index with several timestamps a document."""
    field = timestamp.field
    return Ageless(
        doubt=Doubt.TIMESTAMP_TYPE,
        text=f"documents of {index} have several values in {field}, so that their age is ambiguous",
        remedy=f"let the producer write one {field} a document",
    )


def unasked(index: str, timestamp: Timestamp, reason: str) -> Ageless:
    """Return what is said of an index that can be searched, but not by its timestamp."""
    return Ageless(
        doubt=Doubt.TIMESTAMP_TYPE,
        text=f"the cluster does not search {index} by {timestamp}: {reason}",
        remedy="see search.allow_expensive_queries and script.allowed_types: what is written by a pattern needs both; "
        f"or map {timestamp.field} as date in the template, and re-index {index}",
    )
