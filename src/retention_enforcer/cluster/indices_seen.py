"""What indices say of themselves, many in one request: counts, aliases, types of fields; and the refresh before."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.deletion import primary_numbers
from retention_enforcer.cluster.errors import SECURITY, translated
from retention_enforcer.cluster.expressions import packed
from retention_enforcer.domain.errors import RequestRejected

_REACHED = ("open", "hidden")
"""Closed indices fail a whole request or are left out in silence; they have been set apart before."""

_STATS = [
    "indices.*.uuid",
    "indices.*.primaries.docs.count",
    "indices.*.primaries.store.size_in_bytes",
    "indices.*.shards.*.routing.primary",
    "indices.*.shards.*.seq_no.max_seq_no",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What an index's shards say of themselves: nested documents count, and what a role may not see does too."""

    uuid: str
    documents: int
    bytes: int
    sequence_numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """How a refresh went: on how many copies of shards it worked, and which indices it names as failed."""

    copies: int
    failed: frozenset[str]
    unnamed: int
    """Failures that name no index."""


def refresh(client: Elasticsearch, expressions: Iterable[str]) -> Refreshed:
    """Make everything written so far visible to searches.

    Without it neither search nor counts show what a refresh interval holds back.
    """
    copies, failed, unnamed = 0, set[str](), 0
    fields = ["_shards.successful", "_shards.failed", "_shards.failures.index"]
    for names in expressions:
        with translated():
            shards = client.indices.refresh(
                index=names, filter_path=fields, expand_wildcards=_REACHED, ignore_unavailable=True
            ).body["_shards"]
        copies += int(shards["successful"])
        named = {failure["index"] for failure in shards.get("failures", []) if "index" in failure}
        failed |= named
        unnamed += int(shards["failed"]) if not named else 0
    return Refreshed(copies=copies, failed=frozenset(failed), unnamed=unnamed)


def count(client: Elasticsearch, expressions: Iterable[str]) -> dict[str, Counts]:
    """Return the counts of all open indices that the expressions reach; one that may not be counted is absent."""
    found: dict[str, Counts] = {}
    for answer in _counted(client, expressions):
        for name, index in answer.get("indices", {}).items():
            primaries = index.get("primaries", {})
            found[name] = Counts(
                uuid=str(index["uuid"]),
                documents=int(primaries.get("docs", {}).get("count", 0)),
                bytes=int(primaries.get("store", {}).get("size_in_bytes", 0)),
                sequence_numbers=primary_numbers(index),
            )
    return found


def _counted(client: Elasticsearch, expressions: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    for names in expressions:
        try:
            yield _stats(client, names)
        except RequestRejected as error:
            parts = names.split(",")
            plain = [part for part in parts if "*" not in part and not part.startswith("-")]
            if error.kind != SECURITY or not plain:
                raise
            # One index by its name is enough for a refusal of all.
            if len(parts) > 1:
                wildcards = ",".join(part for part in parts if part not in plain)
                yield from _counted(client, [*([wildcards] if wildcards else []), *plain])


def _stats(client: Elasticsearch, names: str) -> Mapping[str, Any]:
    with translated():
        answer = client.indices.stats(
            index=names,
            metric=["docs", "store"],
            level="shards",
            filter_path=_STATS,
            expand_wildcards=_REACHED,
            forbid_closed_indices=False,  # an alias may reach one
        )
    return dict(answer.body)


def read_write_aliases(client: Elasticsearch, expressions: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the aliases that name an index as the one to write to, for each index of which anything is said."""
    found: dict[str, tuple[str, ...]] = {}
    for names in expressions:
        with translated():
            answer = client.indices.get_alias(
                index=names,
                filter_path="*.aliases",  # with an exclusion 8.10 loses aliases of which nothing is said
                expand_wildcards=_REACHED,
                ignore_unavailable=True,
            ).body
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
        return next((type_ for type_, indices in by_type.items() if type_ != "unmapped" and index in indices), None)


def read_types(client: Elasticsearch, expressions: Iterable[str], fields: Collection[str]) -> FieldTypes:
    """Return the types of some fields. A runtime field counts as a field; an alias as what it leads to."""
    answered: set[str] = set()
    types: dict[str, dict[str, frozenset[str]]] = {field: {} for field in fields}
    for names in expressions:
        with translated():
            answer = client.field_caps(
                index=names,
                fields=sorted(fields),
                include_unmapped=True,
                filter_path=["indices", "fields.*.*.indices", "fields.*.*.type"],
                expand_wildcards=_REACHED,
                ignore_unavailable=True,
            ).body
        everywhere = frozenset(answer.get("indices", ()))
        answered |= everywhere
        for field, by_type in answer.get("fields", {}).items():
            if field not in types:
                continue  # an object above a field that was asked for: Elasticsearch tells of it unasked
            for type_, what in by_type.items():
                # The indices are listed only where they do not all agree.
                indices = frozenset(what.get("indices", everywhere))
                types[field][type_] = types[field].get(type_, frozenset()) | indices
    return FieldTypes(indices=frozenset(answered), types=types)


_COMPUTED = ["runtime.*.type", "**.null_value", "**.script", "**.path"]


def read_computed(
    client: Elasticsearch, expressions: Iterable[str], fields: Collection[str]
) -> dict[str, dict[str, str]]:
    """Return, by index and field, why a value that a search finds there need not be what was written.

    An index of which nothing is to be said is absent. No expression may reach an index with a metadata block.
    """
    found: dict[str, dict[str, str]] = {}
    for names in expressions:
        with translated():
            answer = client.indices.get_mapping(
                index=names,
                filter_path=[f"*.mappings.{path}" for path in _COMPUTED],
                expand_wildcards=_REACHED,
                ignore_unavailable=True,
            ).body
        for index, what in answer.items():
            mapped = dict(_said_of_fields(what["mappings"]))
            why = {field: _why_computed(field, what["mappings"].get("runtime", {}), mapped) for field in fields}
            if some := {field: reason for field, reason in why.items() if reason is not None}:
                found[index] = some
    return found


def _said_of_fields(mapping: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, body in {**mapping.get("properties", {}), **mapping.get("fields", {})}.items():
        yield f"{prefix}{name}", body
        yield from _said_of_fields(body, f"{prefix}{name}.")


def _why_computed(field: str, runtime: Collection[str], mapped: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return why; an alias is what it leads to."""
    target = str(mapped.get(field, {}).get("path", field))
    if field in runtime or target in runtime:
        return "is a runtime field, computed when it is read"
    said = mapped.get(target, {})
    if "script" in said:
        return "is computed by a script"
    return "has a null_value, so that documents without a date have one" if "null_value" in said else None


def read_dates(client: Elasticsearch, expressions: Iterable[str]) -> dict[str, frozenset[str]]:
    """Return the names of the fields with dates in each index that has any."""
    found: dict[str, set[str]] = {}
    for names in expressions:
        with translated():
            answer = client.field_caps(
                index=names,
                fields="*",
                types=["date", "date_nanos"],
                include_unmapped=True,  # else the indices that have a field are not told from those that have none
                filters="-metadata",
                filter_path=["indices", "fields.*.*.indices", "fields.*.*.type"],
                expand_wildcards=_REACHED,
                ignore_unavailable=True,
            ).body
        everywhere = answer.get("indices", ())
        for field, by_type in answer.get("fields", {}).items():
            for type_, what in by_type.items():
                for index in what.get("indices", everywhere) if type_ != "unmapped" else ():
                    found.setdefault(index, set()).add(field)
    return {index: frozenset(fields) for index, fields in found.items()}


def with_nested_fields(client: Elasticsearch, names: Collection[str]) -> set[str]:
    """Return which of these indices have a nested field: there, a document counts as several."""
    found = set()
    for some in packed(sorted(names)):
        with translated():
            answer = client.indices.get_mapping(
                index=some, filter_path="*.mappings.**.type", expand_wildcards=_REACHED, ignore_unavailable=True
            ).body
        found |= {name for name, index in answer.items() if "nested" in _types_in(index)}
    return found


def _types_in(mapping: Mapping[str, Any]) -> Iterator[str]:
    for key, value in mapping.items():
        if isinstance(value, dict):
            yield from _types_in(value)
        elif key == "type":
            yield str(value)
