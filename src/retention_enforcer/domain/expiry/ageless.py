"""What is said of an index whose documents have no age, and which field was likely meant."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from difflib import SequenceMatcher

from retention_enforcer.domain.facts import Ageless, Doubt
from retention_enforcer.domain.timestamps import DATES, Timestamp
from retention_enforcer.domain.wording import counted

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
        remedy = f"set timestamp: {likely} for this category if that is the right field"
    elif likely is not None:
        remedy = f"set timestamp: {{field: {likely}, unit: …}} with the unit of its values if that is the right field"
    elif dates:
        remedy = f"set the right timestamp for this category; date fields there: {', '.join(sorted(dates)[:3])}"
    elif numbers:
        remedy = (
            f"set timestamp: {{field: …, unit: …}} to the right field of this category; numeric fields there: "
            f"{', '.join(sorted(numbers)[:3])}"
        )
    else:
        remedy = f"no field there is mapped as date: have the producer write {field}, map it as date, and reindex"
    return Ageless(
        doubt=Doubt.TIMESTAMP_ABSENT,
        text=f"{index} has {counted(documents, 'document')}, none with {field}: their age is unknown, so none "
        "is deleted",
        remedy=remedy,
    )


def _speaks_of_time(name: str) -> bool:
    return _TIMELY.search(name.casefold()) is not None


def another_type(index: str, timestamp: Timestamp, type_: str) -> Ageless:
    """Return what is said of an index whose timestamp is mapped as what the policy's unit does not fit."""
    field, first = timestamp.field, timestamp.types[0]
    remapped = f"map {field} as {first} in the index template and reindex {index}"
    meant = "" if timestamp.unit is None else f", but the policy gives the unit {timestamp.unit}"
    if type_ in DATES:
        remedy = f"set timestamp: {field} for this category, without a unit, because it is mapped as a date"
    elif timestamp.unit is None and type_ in _NUMBERS:
        remedy = f"set timestamp: {{field: {field}, unit: …}} with the unit of its values, or {remapped}"
    elif timestamp.unit is None and type_ == "keyword":
        remedy = f"set timestamp: {{field: {field}, unit: …}} with the pattern of its values, or {remapped}"
    else:
        remedy = remapped
    return Ageless(
        doubt=Doubt.TIMESTAMP_TYPE,
        text=f"{field} of {index} is mapped as {type_}{meant}: the age of its documents is unknown",
        remedy=remedy,
    )


def computed(index: str, timestamp: Timestamp, why: str) -> Ageless:
    """Return what is said of an index whose timestamp need not be what was written, and why."""
    field, mapped = timestamp.field, "date" if timestamp.unit is None else "field"
    return Ageless(
        doubt=Doubt.TIMESTAMP_TYPE,
        text=f"{field} of {index} {why}: the age of its documents is unknown",
        remedy=f"remove that from the mapping and from the index template, so that {field} is the mapped {mapped}",
    )


def ambiguous(index: str, timestamp: Timestamp) -> Ageless:
    """Return what is said of an index with several timestamps a document."""
    field = timestamp.field
    return Ageless(
        doubt=Doubt.TIMESTAMP_TYPE,
        text=f"documents of {index} have several values in {field}: their age is ambiguous",
        remedy=f"have the producer write one {field} per document",
    )


def unasked(index: str, timestamp: Timestamp, reason: str) -> Ageless:
    """Return what is said of an index that can be searched, but not by its timestamp."""
    return Ageless(
        doubt=Doubt.TIMESTAMP_TYPE,
        text=f"the cluster cannot search {index} by {timestamp}: {reason}",
        remedy="check search.allow_expensive_queries and script.allowed_types, which a timestamp with a pattern needs; "
        f"or map {timestamp.field} as date in the index template and reindex {index}",
    )
