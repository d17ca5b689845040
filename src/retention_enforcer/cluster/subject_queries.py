"""The queries for the documents that carry a subject."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from retention_enforcer.domain.subjects import Match

MOST_TERMS = 10_000
"""Values in one `terms` query. Elasticsearch refuses more than 65,536; 10,000 took 15-140 ms (measured)."""


def query_of(match: Match) -> dict[str, Any]:
    """Return the query for the documents that match."""
    return _all_of([{"term": {name: {"value": value}}} for name, value in match.conditions])


def query_of_any(matches: Iterable[Match]) -> dict[str, Any]:
    """Return the query for the documents of which at least one of these is true; none for none.

    What differs in the last value alone goes into one `terms` query.
    """
    values: dict[tuple[tuple[tuple[str, str | int], ...], str], dict[str | int, None]] = {}
    for match in matches:
        *common, (name, value) = match.conditions
        values.setdefault((tuple(common), name), {})[value] = None
    clauses = [
        _all_of([*({"term": {n: {"value": v}}} for n, v in common), {"terms": {name: some}}])
        for (common, name), those in values.items()
        for some in _pieces(list(those))
    ]
    return {"bool": {"should": clauses, "minimum_should_match": 1}} if clauses else {"match_none": {}}


def _all_of(clauses: list[dict[str, Any]]) -> dict[str, Any]:
    return {"bool": {"filter": clauses}}


def _pieces(values: list[str | int]) -> Iterator[list[str | int]]:
    for start in range(0, len(values), MOST_TERMS):
        yield values[start : start + MOST_TERMS]
