"""The queries for the documents that carry a subject, and for what such a document has in the places that tell it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from retention_enforcer.domain.selection import MOST_TERMS
from retention_enforcer.domain.subjects.identity import UNREAD, AnyOf, Condition, ExactField, Match

_SURROGATES = (0xD800, 0xDFFF)


def query_of_any(matches: Iterable[Match], most_terms: int = MOST_TERMS) -> dict[str, Any]:
    """Return the query for the documents of which at least one of these is true; none for none.

    What differs in the last value alone goes into one `terms` query, of at most `most_terms` values.
    """
    values: dict[tuple[tuple[AnyOf, ...], ExactField, AnyOf | None], dict[str | int, None]] = {}
    guarded: list[dict[str, Any]] = []
    for match in matches:
        if match.guarded:
            guarded.append(_guarded(match, most_terms))
            continue
        *common, last = match.parts
        for condition in last.conditions:
            values.setdefault((tuple(common), condition.where, match.unless_other), {})[condition.value] = None
    clauses = [
        _all_of([*(_any_of(part, most_terms) for part in common), _terms(where, some)], unless_other, most_terms)
        for (common, where, unless_other), those in values.items()
        for some in _pieces(list(those), most_terms)
    ]
    clauses += guarded
    return _either(clauses) if clauses else {"match_none": {}}


def _guarded(match: Match, most_terms: int) -> dict[str, Any]:
    """Return the query for the documents that match and name nobody else of the kinds that must match."""
    query = _all_of([_any_of(part, most_terms) for part in match.parts], match.unless_other, most_terms)
    others = [clause for part in match.parts for where in part.fields for clause in _others(where, part)]
    query["bool"].setdefault("must_not", []).extend(others)
    return query


def _others(where: ExactField, part: AnyOf) -> Iterator[dict[str, Any]]:
    """Yield queries for a document that names another one in this place: with a value below, and with one above."""
    wanted = [condition.value for condition in part.conditions if condition.where == where]
    if not wanted:
        yield _named(where)
    for value in wanted:
        yield within_pair(where, {"range": {where.name: {"lt": value, **_from(where)}}})
        yield within_pair(where, {"range": {where.name: {"gt": value, **_until(where)}}})


def _all_of(clauses: list[dict[str, Any]], unless_other: AnyOf | None, most_terms: int) -> dict[str, Any]:
    if unless_other is None:
        return {"bool": {"filter": clauses}}
    named = _either([_named(where) for where in unless_other.fields])
    other = {"bool": {"filter": [named], "must_not": [_any_of(unless_other, most_terms)]}}
    return {"bool": {"filter": clauses, "must_not": [other]}}


def _any_of(part: AnyOf, most_terms: int) -> dict[str, Any]:
    """Return the query for the documents with one of the values of a part."""
    values: dict[ExactField, list[str | int]] = {}
    for condition in part.conditions:
        values.setdefault(condition.where, []).append(condition.value)
    clauses = [
        _term(Condition(where=where, value=some[0])) if len(some) == 1 else _terms(where, some)
        for where, those in values.items()
        for some in _pieces(those, most_terms)
    ]
    return clauses[0] if len(clauses) == 1 else _either(clauses)


def _either(clauses: list[dict[str, Any]]) -> dict[str, Any]:
    return {"bool": {"should": clauses, "minimum_should_match": 1}}


def _term(condition: Condition) -> dict[str, Any]:
    return within_pair(condition.where, {"term": {condition.where.name: {"value": condition.value}}})


def _terms(where: ExactField, values: Sequence[str | int]) -> dict[str, Any]:
    return within_pair(where, {"terms": {where.name: list(values)}})


def _named(where: ExactField) -> dict[str, Any]:
    """Return the query for the documents that name anybody in a place."""
    if not where.prefix:
        return within_pair(where, {"exists": {"field": where.name}})
    return within_pair(where, {"range": {where.name: {**_from(where), **_until(where)}}})


def within_pair(where: ExactField, query: dict[str, Any]) -> dict[str, Any]:
    """Return a query about a place: of nested objects the right one, which has the key as well."""
    if where.key is None:
        return query
    clauses = [{"term": {where.key.field: {"value": where.key.text}}}, query]
    return {"nested": {"path": where.key.path, "query": {"bool": {"filter": clauses}}, "score_mode": "none"}}


def without_value(where: ExactField) -> dict[str, Any]:
    """Return the query for the documents with a nested object that has the key, and no value."""
    return within_pair(where, {"bool": {"must_not": [{"exists": {"field": where.name}}]}})


def mixed_up(where: ExactField) -> dict[str, Any]:
    """Return the query for the documents of whose nested objects nobody can tell which value belongs to the key.

    Some object has several keys; or the key stands in one and a value in another, as Elasticsearch makes it of a
    document that was written with dots in its names.
    """
    if where.key is None:
        raise ValueError("no nested pair")
    key = where.key
    others = [{"range": {key.field: {bound: key.text}}} for bound in ("lt", "gt")]
    keyless = {"bool": {"filter": [{"exists": {"field": where.name}}], "must_not": [{"exists": {"field": key.field}}]}}
    apart = [without_value(where), {"nested": {"path": key.path, "query": keyless}}]
    return {"bool": {"should": [within_pair(where, {"bool": {"should": others}}), {"bool": {"filter": apart}}]}}


def _from(where: ExactField) -> dict[str, str]:
    return {"gte": where.prefix} if where.prefix else {}


def _until(where: ExactField) -> dict[str, str]:
    after = first_after(where.prefix)
    return {"lt": after} if after else {}


def first_after(prefix: str) -> str:
    """Return the first text that stands after all those with a prefix, as Elasticsearch orders them: by their bytes.

    Empty where there is none.
    """
    for place in range(len(prefix) - 1, -1, -1):
        point = ord(prefix[place]) + 1
        if _SURROGATES[0] <= point <= _SURROGATES[1]:
            point = _SURROGATES[1] + 1
        if point <= sys.maxunicode:
            return prefix[:place] + chr(point)
    return ""


def _pieces(values: Sequence[str | int], most: int) -> Iterator[Sequence[str | int]]:
    for start in range(0, len(values), most):
        yield values[start : start + most]


# --- what a document has --------------------------------------------------------------------------------


class Telling:
    """Asks, along with documents, for what they have in some places, and reads it from each hit."""

    def __init__(self, fields: Sequence[ExactField], most: int) -> None:
        """Ask for these places; `most` is how many nested objects of one document may be asked for."""
        self._fields = tuple(fields)
        self._most = most
        self._inner = {where: f"place-{number}" for number, where in enumerate(fields) if where.key is not None}

    def values(self, most: int) -> Iterator[list[dict[str, str]] | None]:
        """Yield the fields of the documents themselves, as `docvalue_fields`, so many at a time; None for none."""
        names = sorted({where.name for where in self._fields if where.key is None})
        if not names:
            yield None
        for start in range(0, len(names), max(1, most)):
            yield [{"field": name} for name in names[start : start + max(1, most)]]

    def along_with(self, query: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a query for the same documents that brings their nested objects along."""
        if not self._inner:
            return query
        return {"bool": {"filter": [query], "should": [self._objects(where) for where in self._inner]}}

    def _objects(self, where: ExactField) -> dict[str, Any]:
        found = within_pair(where, {"exists": {"field": where.name}})
        inner = {"name": self._inner[where], "size": self._most, "_source": False, "docvalue_fields": [where.name]}
        found["nested"]["inner_hits"] = inner
        return found

    def read(self, hit: Mapping[str, Any]) -> dict[ExactField, tuple[str | int, ...]]:
        """Return what a hit has in each of the places; UNREAD is among it where there are more objects than asked for.

        The order is always the same, so that hits with the same in it can be told.
        """
        return {
            where: tuple(hit.get("fields", {}).get(where.name, ()))
            if where.key is None
            else tuple(self._of_objects(hit["inner_hits"][self._inner[where]]["hits"], where))
            for where in self._fields
        }

    def _of_objects(self, found: Mapping[str, Any], where: ExactField) -> Iterator[str | int]:
        for inner in found["hits"]:
            yield from inner["fields"][where.name]
        if found["total"]["value"] > len(found["hits"]):
            yield UNREAD


def holds(field: str) -> dict[str, Any]:
    """Return the query for documents that hold a field.

    A value too long or malformed for its mapping is kept, but not indexed: only `_ignored` names its field.
    """
    return {"bool": {"should": [{"exists": {"field": field}}, {"term": {"_ignored": field}}]}}
