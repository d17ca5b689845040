"""Fields in the mappings of governed indices that none may have, and how many documents hold them.

Which fields: those that a category names, and for a never-stored one every field of type `binary`. Where a field is
neither indexed nor has doc values no search finds it (measured on 8.10 and 8.17: `exists` on a `binary` field as it is
by default, and on a disabled object, finds nothing): there every document may hold it, and nothing is proven.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.batches import Refusals, ask_each
from retention_enforcer.cluster.expressions import Batch, batches, fitting
from retention_enforcer.cluster.field_names import parents
from retention_enforcer.cluster.indices.contents import Search, search_documents
from retention_enforcer.cluster.indices.mappings import ask_field_caps, ask_mappings
from retention_enforcer.cluster.indices.statistics import refresh
from retention_enforcer.cluster.indices.survey import Governed
from retention_enforcer.cluster.limits import Limits
from retention_enforcer.domain.facts import ForbiddenField
from retention_enforcer.domain.policy.promises import Category, Policy

_BINARY = "binary"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expressions:
    """The expressions that reach the governed indices, and those among them whose mapping can be read."""

    searchable: Sequence[Batch]
    mappings: Sequence[Batch]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    """One field as one index maps it."""

    index: str
    name: str
    type: str
    countable: bool


def read_forbidden(
    client: Elasticsearch,
    policy: Policy,
    categories: Iterable[Category],
    governed: Mapping[str, Governed],
    reach: Expressions,
    *,
    now: int,
    limits: Limits,
) -> dict[str, tuple[ForbiddenField, ...]]:
    """Return, by category, the forbidden fields that these governed indices have; at most four requests for all.

    What is refused of an index is not known of it: that it cannot be looked into is for its own category to say.
    """
    categories = list(categories)
    names = sorted({field for category in categories for field in category.forbidden_fields})
    fields = {(f.index, f.name): f for f in _disabled_objects(client, reach.mappings, names)}
    fields |= {(f.index, f.name): f for f in _by_name(client, reach.searchable, names)}
    if any(category.never_stored for category in categories):
        fields |= {(f.index, f.name): f for f in _mapped(client, reach.searchable, "*", types=[_BINARY])}
    known = [field for _, field in sorted(fields.items()) if field.index in governed]
    counted = _count(client, policy, known, governed, now, limits)
    return {c.id: tuple(_forbidden(f, governed[f.index], counted) for f in known if _forbids(c, f)) for c in categories}


def _forbids(category: Category, field: _Field) -> bool:
    return field.name in category.forbidden_fields or (category.never_stored and field.type == _BINARY)


def _by_name(client: Elasticsearch, asked: Sequence[Batch], names: Sequence[str]) -> Iterator[_Field]:
    """Yield the fields of these names; an object shows by what is in it, and can hold more than is mapped."""
    if not names:
        return
    inside = [f"{name}.*" for name in names]
    found = [field for page in fitting([*names, *inside]) for field in _mapped(client, asked, page)]
    for field in found:
        above = next((name for name in names if field.name.startswith(f"{name}.")), None)
        if above is not None:
            yield _Field(index=field.index, name=above, type="object", countable=False)
    nested = {(field.index, field.name) for field in found if field.type == "nested"}
    for field in found:
        if field.name in names:
            hidden = any((field.index, parent) in nested for parent in parents(field.name))
            yield replace(field, countable=field.countable and not hidden)


def _mapped(
    client: Elasticsearch, asked: Iterable[Batch], fields: Collection[str] | str, types: Sequence[str] | None = None
) -> Iterator[_Field]:
    request = partial(ask_field_caps, client, fields=fields, types=types, said=("searchable", "aggregatable"))
    for answer in ask_each(asked, Refusals(), request):
        for field in answer.fields:
            # A name with a wildcard would ask for other fields as well.
            countable = bool(field.caps["searchable"] or field.caps["aggregatable"]) and "*" not in field.name
            for index in field.indices:
                yield _Field(index=index, name=field.name, type=field.type, countable=countable)


def _disabled_objects(client: Elasticsearch, asked: Sequence[Batch], names: Sequence[str]) -> Iterator[_Field]:
    """Yield objects whose content is stored but not mapped: the types of fields do not show them."""
    paths = {name: f"properties.{name.replace('.', '.properties.')}" for name in names}
    for page in fitting([f"*.mappings.{path}.enabled" for path in paths.values()]):
        for answer in ask_each(asked, Refusals(), partial(ask_mappings, client, paths=page)):
            for index, mapping in answer.items():
                for name, path in paths.items():
                    if _at(mapping, path) is not None:
                        yield _Field(index=index, name=name, type="object", countable=False)


def _at(mapping: Mapping[str, Any], path: str) -> Mapping[str, Any] | None:
    found: Any = mapping
    for key in path.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None


def _count(
    client: Elasticsearch,
    policy: Policy,
    fields: Collection[_Field],
    governed: Mapping[str, Governed],
    now: int,
    limits: Limits,
) -> dict[tuple[str, str], tuple[int, int]]:
    """Return, by index and field, how many documents are seen to hold it and how many there are; unknown is absent."""
    asked = tuple(sorted({field.name for field in fields if "*" not in field.name}))
    indices = {name: governed[name].metadata for name in sorted({field.index for field in fields})}
    # Other categories' indices are refreshed in their own cycles, which may come later than this one.
    live = {name: index for name, index in indices.items() if not index.mounted}
    refusals = Refusals()
    refresh(client, batches(live), live, refusals)
    shards = {name: index.shards for name, index in indices.items() if name not in refusals.causes}
    search = Search(category=None, shards=shards, timestamp=None, fields=asked)
    answer = search_documents(client, policy, [search], now, limits)
    counted = {}
    for field in fields:
        seen = answer.seen.get(field.index)
        if seen is not None:
            holding = seen.holding[asked.index(field.name)] if field.name in asked else 0
            counted[field.index, field.name] = (holding, seen.documents)
        elif field.index in shards.keys() - answer.unknown.keys() - answer.gone:
            counted[field.index, field.name] = (0, 0)
    return counted


def _forbidden(field: _Field, governed: Governed, counted: Mapping[tuple[str, str], tuple[int, int]]) -> ForbiddenField:
    documents, of_all = counted.get((field.index, field.name), (0, 0))
    return ForbiddenField(
        index=governed.facts(of_all),
        category=governed.category.id,
        field=field.name,
        type=field.type,
        documents=documents,
        countable=field.countable,
        counted=(field.index, field.name) in counted,
    )
