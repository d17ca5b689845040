"""What asks a search for documents by when they are from, and reads what it answers.

Ranges alone are exact for dates and plain numbers. Values that are written by a pattern are not all well-formed: there
a keyword is held against a regular expression, a number against a script, for it has no digits to look at. Where a
cluster allows neither (`search.allow_expensive_queries`, a build without Painless) it refuses the search, by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retention_enforcer.domain.timestamps import Mapped, layout_of

_WELL_FORMED = """\
for (long value : doc[params.field]) {
  long rest = value;
  boolean good = true;
  for (int n = 0; n < params.most.size(); n++) {
    long by = ((Number) params.by.get(n)).longValue();
    if (rest % by > ((Number) params.most.get(n)).longValue()) { good = false; }
    rest = rest / by;
  }
  long day = rest % 100, month = (rest / 100) % 100, year = rest / 10000;
  if (!good || day < 1 || month < 1 || month > 12) { continue; }
  long last = 31;
  if (month == 4 || month == 6 || month == 9 || month == 11) { last = 30; }
  if (month == 2) { last = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28; }
  if (day <= last) { return true; }
}
return false;
"""
"""Whether a number of digits names a period; one text for all patterns, so that it is compiled once."""


def between(mapped: Mapped, *, gte: int, lt: int) -> dict[str, Any]:
    """Return the query for documents that are from `gte` on, and from before `lt`: by the end of what they name."""
    spanned = spanning(mapped, gte=gte, lt=lt)
    well_formed = _well_formed(mapped)
    return spanned if well_formed is None else {"bool": {"filter": [spanned, well_formed]}}


def spanning(mapped: Mapped, *, gte: int, lt: int) -> dict[str, Any]:
    """Return the same for documents of which it is known that what they say is well-formed."""
    if mapped.timestamp.unit is None:
        return {"range": {mapped.field: {"gte": gte, "lt": lt, "format": "epoch_millis"}}}
    span = mapped.span(gte, lt)
    if span is None:
        return {"match_none": {}}
    ends = {"lt": span.before, "lte": span.last}
    return {"range": {mapped.field: {"gte": span.first, **{key: end for key, end in ends.items() if end is not None}}}}


def _well_formed(mapped: Mapped) -> dict[str, Any] | None:
    if not mapped.timestamp.is_pattern:
        return None
    layout = layout_of(str(mapped.timestamp.unit))
    if mapped.type == "keyword":
        return {"regexp": {mapped.field: {"value": layout.regexp(), "flags": "NONE"}}}
    by, most = [by for by, _ in layout.clock], [most for _, most in layout.clock]
    script = {"lang": "painless", "source": _WELL_FORMED, "params": {"field": mapped.field, "by": by, "most": most}}
    return {"script": {"script": script}}


def oldest(mapped: Mapped) -> dict[str, Any]:
    """Return the aggregation of the oldest of documents that are all well-formed, for `instant_in`."""
    return _end(mapped, "min", "asc")


def newest(mapped: Mapped) -> dict[str, Any]:
    """Return the aggregation of the newest."""
    return _end(mapped, "max", "desc")


def _end(mapped: Mapped, metric: str, order: str) -> dict[str, Any]:
    if mapped.timestamp.unit is None:
        return {metric: {"field": mapped.field}}
    # A minimum is a floating point number: of 2^53 and more it is not the value, and of a keyword there is none.
    sort = [{mapped.field: {"order": order, "unmapped_type": mapped.type}}]
    return {"top_hits": {"size": 1, "_source": False, "sort": sort}}


def instant_in(mapped: Mapped, aggregation: Mapping[str, Any]) -> int | None:
    """Return the instant that `oldest` or `newest` found: the end of what the document names; None without one."""
    if mapped.timestamp.unit is None:
        value = aggregation.get("value")
        return None if value is None else int(value)
    hits = aggregation.get("hits", {}).get("hits", [])
    return mapped.timestamp.instant(hits[0]["sort"][0]) if hits else None
