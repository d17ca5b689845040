"""Which field of each index can be asked for exactly an id, and the queries that ask.

    the mapping of the fields     type and parameters, defaults included
    the mapping's outline         runtime fields, objects and nested documents, and what is kept without being indexed
    the types in a search         everything by which a name is not the field of the mapping
    a search for `_ignored`       documents whose value was too long or malformed are not found by it

Only where all of them agree is a field exact, or certainly absent.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.documents_seen import chunks
from retention_enforcer.cluster.errors import from_answer, kind_of, reason_of, translated
from retention_enforcer.domain.errors import ClusterUnavailable, RequestRejected
from retention_enforcer.domain.subjects import NUMBERS, ExactField, Inexact

Verdict = ExactField | Inexact | None

_REACHED = ("open", "hidden")
_UNLIMITED = 2_147_483_647
"""What `ignore_above` is where a keyword has no limit."""

_UNREAD = Inexact(reason="the index does not say of what type its fields are")
_MOVED = frozenset({"index_not_found_exception", "index_closed_exception"})


def read_subject_fields(
    client: Elasticsearch, expressions: Iterable[str], fields: Collection[str]
) -> dict[str, dict[str, Verdict]]:
    """Return, for each open index that the expressions reach, how each of these fields can be asked for an id.

    None: no document of the index can have such a field. An index that did not answer at all is absent: that is
    not None. Three requests an expression, and one search for all. The indices have been refreshed; none of them is
    closed, unassigned, or has a metadata or read block. What was written before a field was added to the mapping
    by hand, in an index that then ignored unmapped fields, is not known of.
    Raises ClusterUnavailable or RequestRejected where the cluster does not answer for all of it.
    """
    found: dict[str, _Fields] = {}
    for names in expressions:
        found.update(_read(client, names, fields))
    ignored = _Ignored.read(client, found, _asked(fields))
    return {index: {f: ignored.judge(index, f, said.judge(f)) for f in fields} for index, said in found.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fields:
    """What one index says of some fields; None where it did not answer."""

    mapped: Mapping[str, Mapping[str, Any]] | None
    """The parameters of each field that is in the mapping."""
    outline: Mapping[str, Any]
    """The mapping without its fields; empty where there is nothing to be said."""
    types: Mapping[str, str] | None
    """The type of each field in a search."""

    def judge(self, name: str) -> Verdict:
        if self.mapped is None or self.types is None:
            return _UNREAD
        if "," in name:
            return Inexact(reason="the cluster cannot be asked for a field with a comma in its name")
        for parent in parents(name):
            if _place(self.outline, parent).get("type") == "nested":
                return Inexact(reason=f"{name} is in nested documents, below {parent}")
        mapping = self.mapped.get(name)
        if mapping is not None and mapping.get("type") == "text" and _keyword_of(name) in self.mapped:
            return self._mapped(_keyword_of(name), self.mapped[_keyword_of(name)], self.types)
        return self._absent(name, self.types) if mapping is None else self._mapped(name, mapping, self.types)

    def _mapped(self, name: str, mapping: Mapping[str, Any], types: Mapping[str, str]) -> ExactField | Inexact:
        type_ = mapping.get("type")
        if name in self.outline.get("runtime", {}):
            return Inexact(reason=f"{name} is a runtime field")
        if type_ != "keyword" and type_ not in NUMBERS:
            return Inexact(reason=f"{name} is of type {type_ or 'unknown'}")
        if types.get(name) != type_:
            return Inexact(reason=f"{name} is of type {type_} in the mapping, and {types.get(name)} in a search")
        if doubt := next(_doubts_about(mapping), None):
            return Inexact(reason=f"{name} {doubt}")
        if type_ in NUMBERS:
            return ExactField(name=name, numeric=NUMBERS[type_])
        longest = int(mapping.get("ignore_above", _UNLIMITED))
        return ExactField(name=name, longest=longest if longest < _UNLIMITED else None)

    def _absent(self, name: str, types: Mapping[str, str]) -> Inexact | None:
        """Return None if the index cannot hold such a field: it would be in the mapping."""
        if name in self.outline.get("runtime", {}):
            return Inexact(reason=f"{name} is a runtime field")
        if name in types:
            return Inexact(reason=f"{name} is of type {types[name]}, and no field of the mapping")
        for place in (*parents(name), name):
            if (type_ := _place(self.outline, place).get("type", "object")) != "object":
                return Inexact(reason=f"{place} is of type {type_}, so that {name} is no field of its own")
        if "properties" in _place(self.outline, name):
            return Inexact(reason=f"{name} is an object")
        if _keeps_unindexed(self.outline, name):
            return Inexact(reason=f"documents may have {name}, but the index does not index it")
        return None


def is_absent(mapping: Mapping[str, Any], name: str) -> bool:
    """Whether a whole mapping says by itself that no document of its index can have a field."""
    return _Fields(mapped={}, outline=mapping, types={}).judge(name) is None


def _doubts_about(mapping: Mapping[str, Any]) -> Iterator[str]:
    """Yield why a search for a value of this keyword or number does not find exactly the documents that have it."""
    if mapping.get("index") is not True:
        yield "is not indexed"
    if mapping.get("doc_values") is not True:
        yield "has no doc_values"
    if mapping.get("normalizer") is not None:
        yield "has a normalizer, so that unlike ids are the same"
    if mapping.get("null_value") is not None:
        yield "has a null_value, so that documents without an id have one"
    if mapping.get("script") is not None:
        yield "is computed by a script"


def _keeps_unindexed(outline: Mapping[str, Any], name: str) -> bool:
    """Whether documents can have a field that is not in the mapping, without its being added there."""
    dynamic = "true"
    for place in ("", *parents(name), name):
        here = _place(outline, place)
        if str(here.get("enabled", True)).lower() == "false":
            return True
        dynamic = str(here.get("dynamic", dynamic)).lower()
    return dynamic == "false"


def _place(outline: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return what an outline says of the object or field of this name, of the whole mapping where it is empty."""
    here = outline
    for part in name.split(".") if name else ():
        here = here.get("properties", {}).get(part, {})
    return here


def _asked(fields: Collection[str]) -> list[str]:
    return sorted({name for f in fields for name in (f, _keyword_of(f))})


def _keyword_of(name: str) -> str:
    return f"{name}.keyword"


def parents(name: str) -> list[str]:
    """Return the objects that a dotted name goes through, the outermost first."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


# --- what indices say -----------------------------------------------------------------------------------


def _read(client: Elasticsearch, expression: str, fields: Collection[str]) -> dict[str, _Fields]:
    mappings = _read_mappings(client, expression, fields)
    outlines = _read_outlines(client, expression, fields)
    types = _read_types(client, expression, fields)
    return {
        index: _Fields(mapped=mappings.get(index), outline=outlines.get(index, {}), types=types.get(index))
        for index in mappings.keys() | types.keys()
    }


def _read_mappings(
    client: Elasticsearch, expression: str, fields: Collection[str]
) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Return the parameters of the fields in each index, also in one that has none of them."""
    try:
        with translated():
            # Not filtered: a filter drops the indices without any of the fields, as if they had not answered. With
            # the defaults, since some of them are set for a whole index.
            answer = client.indices.get_field_mapping(
                index=expression,
                fields=_asked(fields),
                include_defaults=True,
                expand_wildcards=_REACHED,
                ignore_unavailable=True,
            ).body
    except RequestRejected as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        return {}  # how this request answers where not one index is there
    return {
        index: {name: next(iter(said["mapping"].values()), {}) for name, said in what["mappings"].items()}
        for index, what in answer.items()
    }


def _read_outlines(client: Elasticsearch, expression: str, fields: Collection[str]) -> dict[str, Mapping[str, Any]]:
    """Return runtime fields, and what the mapping says of the objects around the fields, or in the place of one.

    An index of which none of that is to be said is absent.
    """
    objects = sorted({name for f in fields for name in (*parents(f), f)})
    places = [f"properties.{name.replace('.', '.properties.')}." for name in objects]
    keys = ["dynamic", "enabled", *(place + key for place in places for key in ("dynamic", "enabled", "type"))]
    inside = [f"properties.{f.replace('.', '.properties.')}.properties.*.type" for f in sorted(fields)]
    with translated():
        answer = client.indices.get_mapping(
            index=expression,
            filter_path=[f"*.mappings.{path}" for path in ("runtime.*.type", *keys, *inside)],
            expand_wildcards=_REACHED,
            ignore_unavailable=True,
        ).body
    return {index: what["mappings"] for index, what in answer.items()}


def _read_types(client: Elasticsearch, expression: str, fields: Collection[str]) -> dict[str, dict[str, str]]:
    """Return, for each index that answered, the types of those fields that it has, and of objects around them."""
    with translated():
        answer = client.field_caps(
            index=expression,
            fields=_asked(fields),
            include_unmapped=True,
            filter_path=["indices", "fields.*.*.indices", "fields.*.*.type"],
            expand_wildcards=_REACHED,
            ignore_unavailable=True,
        ).body
    types: dict[str, dict[str, str]] = {index: {} for index in answer.get("indices", ())}
    for name, by_type in answer.get("fields", {}).items():
        for type_, what in by_type.items():
            # The indices are listed only where they do not all agree.
            for index in what.get("indices", list(types)) if type_ != "unmapped" else ():
                types[index][name] = type_
    return types


# --- documents that a field does not find ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Ignored:
    """How many documents of an index have a value that its field ignored. It may have done so under earlier limits."""

    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    """By index and field; an index without any is in none of the two."""
    unknown: dict[str, str] = field(default_factory=dict)
    """Why nothing is known of an index."""

    @classmethod
    def read(cls, client: Elasticsearch, indices: Collection[str], fields: Sequence[str]) -> _Ignored:
        ignored = cls()
        lines: list[Mapping[str, Any]] = []
        for some in chunks(indices):
            # Partial results, since they name what is missing.
            lines.append({"index": some, "allow_partial_search_results": True, "request_cache": False})
            lines.append(_ignored_by(fields, len(some)))
        if not lines or not fields:
            return ignored
        with translated():
            responses = client.msearch(searches=lines).body["responses"]
        for some, response in zip(chunks(indices), responses, strict=True):
            ignored._take(some, fields, response)
        return ignored

    def judge(self, index: str, name: str, verdict: Verdict) -> Verdict:
        """Return a verdict on a field, or why it does not hold for all documents."""
        if isinstance(verdict, Inexact):
            return verdict
        if index in self.unknown:
            return Inexact(reason=f"it cannot be told which documents it leaves out: {self.unknown[index]}")
        counts = self.counts.get(index, {})
        some = sum(counts.get(one, 0) for one in {name, verdict.name if verdict is not None else name})
        if some:
            return Inexact(reason=f"{some:,} documents have a value in {name} that it left out, too long or malformed")
        return verdict

    def _take(self, names: Collection[str], fields: Sequence[str], response: Mapping[str, Any]) -> None:
        if "error" in response:
            if kind_of(response) != "search_phase_execution_exception":
                raise search_error(response)
            self.unknown.update(dict.fromkeys(names, reason_of(response)))
            return
        shards, buckets = response["_shards"], response["aggregations"]["indices"]["buckets"]
        failed = {failure.get("index") for failure in shards.get("failures", [])}
        complete = shards["successful"] + shards["failed"] == shards["total"] and bool(failed) == bool(shards["failed"])
        counted = sum(bucket["doc_count"] for bucket in buckets) == response["hits"]["total"]["value"]
        if response["timed_out"] or not complete or not counted or None in failed:
            failed = set(names)
        self.unknown.update({name: "a shard did not answer" for name in failed if name is not None})
        for bucket in buckets:
            by_field = zip(fields, bucket["fields"]["buckets"], strict=True)
            self.counts[bucket["key"]] = {name: int(some["doc_count"]) for name, some in by_field}


def _ignored_by(fields: Sequence[str], indices: int) -> dict[str, Any]:
    each = {"filters": {"filters": [{"term": {"_ignored": {"value": name}}} for name in fields]}}
    return {
        "size": 0,
        "track_total_hits": True,
        "query": {"terms": {"_ignored": fields}},
        "aggs": {"indices": {"terms": {"field": "_index", "size": indices}, "aggs": {"fields": each}}},
    }


def search_error(response: Mapping[str, Any]) -> Exception:
    """Return the domain's error for one of several searches that failed."""
    if kind_of(response) in _MOVED:
        return ClusterUnavailable("an index was closed or deleted while it was read", "the next cycle tries again")
    return from_answer(int(response["status"]), response)


# --- queries --------------------------------------------------------------------------------------------
