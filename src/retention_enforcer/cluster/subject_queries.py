"""The queries for the documents that carry a subject."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from retention_enforcer.domain.deletion import MOST_TERMS
from retention_enforcer.domain.subjects import Match

_Pair = tuple[str, str | int]


def query_of(match: Match) -> dict[str, Any]:
    """Return the query for the documents that match."""
    return query_of_any([match])


def query_of_any(matches: Iterable[Match], most_terms: int = MOST_TERMS) -> dict[str, Any]:
    """Return the query for the documents of which at least one of these is true; none for none.

    What differs in the last value alone goes into one `terms` query, of at most `most_terms` values.
    """
    values: dict[tuple[tuple[_Pair, ...], str, _Pair | None], dict[str | int, None]] = {}
    guarded: list[dict[str, Any]] = []
    for match in matches:
        if match.guarded:
            guarded.append(_guarded(match))
            continue
        *common, (name, value) = match.conditions
        values.setdefault((tuple(common), name, match.unless_other), {})[value] = None
    clauses = [
        _all_of([*(_term(*pair) for pair in common), {"terms": {name: some}}], unless_other)
        for (common, name, unless_other), those in values.items()
        for some in _pieces(list(those), most_terms)
    ]
    clauses += guarded
    return {"bool": {"should": clauses, "minimum_should_match": 1}} if clauses else {"match_none": {}}


def _guarded(match: Match) -> dict[str, Any]:
    """Return the query for the documents that match and have no other value: none below, and none above."""
    query = _all_of([_term(*pair) for pair in match.conditions], match.unless_other)
    others = [{"range": {name: {bound: value}}} for name, value in match.conditions for bound in ("lt", "gt")]
    query["bool"].setdefault("must_not", []).extend(others)
    return query


def _all_of(clauses: list[dict[str, Any]], unless_other: _Pair | None) -> dict[str, Any]:
    if unless_other is None:
        return {"bool": {"filter": clauses}}
    other = {"bool": {"filter": [{"exists": {"field": unless_other[0]}}], "must_not": [_term(*unless_other)]}}
    return {"bool": {"filter": clauses, "must_not": [other]}}


def _term(name: str, value: str | int) -> dict[str, Any]:
    return {"term": {name: {"value": value}}}


def _pieces(values: list[str | int], most: int) -> Iterator[list[str | int]]:
    for start in range(0, len(values), most):
        yield values[start : start + most]
