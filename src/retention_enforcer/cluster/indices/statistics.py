"""What indices say of themselves, many in one request: counts, aliases, types of fields; and the refresh before."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.batches import Cause, Refusals, ask_each
from retention_enforcer.cluster.errors import cause_of, translated
from retention_enforcer.cluster.expressions import Batch
from retention_enforcer.cluster.indices.mappings import REACHED, ask_field_caps, ask_mappings
from retention_enforcer.cluster.indices.metadata import IndexMetadata
from retention_enforcer.cluster.shards import primary_numbers
from retention_enforcer.domain.errors import RequestRejected

_STATS = [
    "indices.*.uuid",
    "indices.*.primaries.docs.count",
    "indices.*.primaries.store.size_in_bytes",
    "indices.*.shards.*.routing.primary",
    "indices.*.shards.*.seq_no.max_seq_no",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexStatistics:
    """What an index's shards say of themselves: nested documents count, and what a role may not see does too."""

    uuid: str
    documents: int
    bytes: int
    sequence_numbers: tuple[int, ...]


def refresh(
    client: Elasticsearch, asked: Iterable[Batch], known: Mapping[str, IndexMetadata], refusals: Refusals
) -> None:
    """Make everything written so far visible to searches.

    Without it neither search nor counts show what a refresh interval holds back. Where fewer copies of shards took
    part than are active in the cluster's state it is done by halves, until the indices that did not are alone: one that
    may not be refreshed is passed over without a word, and so is one beside another that failed by name.
    """
    fields = ["_shards.successful", "_shards.failed", "_shards.failures"]
    asked = list(asked)
    of_expression = {batch.expression: batch.names for batch in asked}

    def request(expression: str) -> None:
        with translated():
            shards = client.indices.refresh(
                index=expression, filter_path=fields, expand_wildcards=REACHED, ignore_unavailable=True
            ).body["_shards"]
        names = of_expression.get(expression) or expression.split(",")
        wanted = sum(known[name].active_copies for name in names)
        if not shards["failed"] and int(shards["successful"]) >= wanted:
            return
        failures = [failure for failure in shards.get("failures", []) if failure.get("index") in names]
        if len(names) == 1 and failures:
            refusals.causes.setdefault(names[0], Cause(f"the refresh failed: {cause_of(failures[0])}"))
            return
        text = (
            f"a refresh reached only {shards['successful']} of {wanted} shard copies, and the response "
            "does not say which"
        )
        raise RequestRejected(text)

    for _ in ask_each(asked, refusals, request):
        pass


def count(client: Elasticsearch, asked: Iterable[Batch], refusals: Refusals) -> dict[str, IndexStatistics]:
    """Return the counts of all open indices that the expressions reach; one that may not be counted is absent."""
    found: dict[str, IndexStatistics] = {}
    for answer in ask_each(asked, refusals, lambda names: _stats(client, names)):
        for name, index in answer.get("indices", {}).items():
            primaries = index.get("primaries", {})
            found[name] = IndexStatistics(
                uuid=str(index["uuid"]),
                documents=int(primaries.get("docs", {}).get("count", 0)),
                bytes=int(primaries.get("store", {}).get("size_in_bytes", 0)),
                sequence_numbers=primary_numbers(index),
            )
    return found


def _stats(client: Elasticsearch, names: str) -> Mapping[str, Any]:
    with translated():
        answer = client.indices.stats(
            index=names,
            metric=["docs", "store"],
            level="shards",
            filter_path=_STATS,
            expand_wildcards=REACHED,
            forbid_closed_indices=False,  # an alias may reach one
        )
    return dict(answer.body)


def read_write_aliases(client: Elasticsearch, asked: Iterable[Batch], refusals: Refusals) -> dict[str, tuple[str, ...]]:
    """Return the aliases that name an index as the one to write to, for each index of which anything is said."""

    def request(names: str) -> Mapping[str, Any]:
        with translated():
            answer = client.indices.get_alias(
                index=names,
                filter_path="*.aliases",  # with an exclusion 8.10 loses aliases of which nothing is said
                expand_wildcards=REACHED,
                ignore_unavailable=True,
            )
        return dict(answer.body)

    found: dict[str, tuple[str, ...]] = {}
    for answer in ask_each(asked, refusals, request):
        for name, index in answer.items():
            aliases = index.get("aliases", {})
            found[name] = tuple(sorted(alias for alias, what in aliases.items() if what.get("is_write_index") is True))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldTypes:
    """The types of some fields: by field and index, for all indices that answered."""

    indices: frozenset[str]
    types: dict[str, dict[str, frozenset[str]]]
    """Field -> type -> indices; an index in none of them has no such field."""

    def of(self, field: str, index: str) -> str | None:
        """Return the type of a field in an index that answered, or None where it has no such field."""
        by_type = self.types.get(field, {})
        return next((type_ for type_, indices in by_type.items() if index in indices), None)


FieldsAsked = Iterable[tuple[Iterable[Batch], Sequence[str]]]
"""Indices, and the fields that they are asked for, as many as fit into a URL."""


def read_types(client: Elasticsearch, asked: FieldsAsked, refusals: Refusals) -> FieldTypes:
    """Return the types of some fields. A runtime field counts as a field; an alias as what it leads to."""
    answered: set[str] = set()
    silent: set[str] = set()
    types: dict[str, dict[str, frozenset[str]]] = {}
    for batches, fields in asked:
        wanted, here = list(batches), set[str]()
        for answer in ask_each(wanted, refusals, partial(ask_field_caps, client, fields=fields)):
            here |= answer.indices
            for field in answer.fields:
                if field.name in fields:
                    known = types.setdefault(field.name, {})
                    known[field.type] = known.get(field.type, frozenset()) | field.indices
        answered |= here
        silent |= {name for batch in wanted for name in batch.names} - here
    return FieldTypes(indices=frozenset(answered - silent), types=types)


_COMPUTED = [
    f"*.mappings.{path}"
    for path in ("runtime.*.type", "**.null_value", "**.script", "**.path", "**.doc_values", "**.normalizer")
]


def read_computed(
    client: Elasticsearch, asked: Iterable[Batch], fields: Collection[str], refusals: Refusals
) -> dict[str, dict[str, str]]:
    """Return, by index and field, why a value that a search finds there need not be what was written.

    An index of which nothing is to be said is absent. No expression may reach an index with a metadata block.
    """
    found: dict[str, dict[str, str]] = {}
    for answer in ask_each(asked, refusals, partial(ask_mappings, client, paths=_COMPUTED)):
        for index, mapping in answer.items():
            mapped = dict(_said_of_fields(mapping))
            why = {field: _why_computed(field, mapping.get("runtime", {}), mapped) for field in fields}
            if some := {field: reason for field, reason in why.items() if reason is not None}:
                found[index] = some
    return found


def _said_of_fields(mapping: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, body in {**mapping.get("properties", {}), **mapping.get("fields", {})}.items():
        yield f"{prefix}{name}", body
        yield from _said_of_fields(body, f"{prefix}{name}.")


def is_runtime_field(name: str, runtime: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether one of the runtime fields of a mapping has this name, by itself or as a part of a group."""
    parts = name.split(".")
    groups = (runtime.get(".".join(parts[:count]), {}) for count in range(1, len(parts)))
    return name in runtime or any(group.get("type") == "composite" for group in groups)


def _why_computed(
    field: str, runtime: Mapping[str, Mapping[str, Any]], mapped: Mapping[str, Mapping[str, Any]]
) -> str | None:
    """Return why; an alias is what it leads to."""
    target = str(mapped.get(field, {}).get("path", field))
    if is_runtime_field(field, runtime) or is_runtime_field(target, runtime):
        return "is a runtime field, computed at query time"
    said = mapped.get(target, {})
    if "script" in said:
        return "is computed by a script"
    if str(said.get("doc_values", True)).lower() == "false":
        return "has no doc_values, so the oldest document cannot be searched for"
    if "normalizer" in said:
        return "has a normalizer, so its indexed values differ from the written ones"
    return "has a null_value, so documents without a date seem to have one" if "null_value" in said else None


def read_times(client: Elasticsearch, asked: Iterable[Batch], refusals: Refusals) -> dict[str, dict[str, str]]:
    """Return the fields with dates, or with numbers that may be times, in each index that has any, and their types."""
    types = ["date", "date_nanos", "long", "unsigned_long"]
    request = partial(ask_field_caps, client, fields="*", types=types, filters="-metadata")
    found: dict[str, dict[str, str]] = {}
    for answer in ask_each(asked, refusals, request):
        for field in answer.fields:
            for index in field.indices:
                found.setdefault(index, {})[field.name] = field.type
    return found


def with_nested_fields(client: Elasticsearch, asked: Iterable[Batch], refusals: Refusals) -> set[str]:
    """Return which of these indices have a nested field: there, a document counts as several."""
    found = set()
    for answer in ask_each(asked, refusals, partial(ask_mappings, client, paths=["*.mappings.**.type"])):
        found |= {name for name, mapping in answer.items() if "nested" in _types_in(mapping)}
    return found


def _types_in(mapping: Mapping[str, Any]) -> Iterator[str]:
    for key, value in mapping.items():
        if isinstance(value, dict):
            yield from _types_in(value)
        elif key == "type":
            yield str(value)
