"""What the cluster's state says of indices that nobody can search: which cannot hold what is looked for.

The state has the mapping of each, also of one that is closed, blocked or assigned to no node.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.expressions import packed
from retention_enforcer.cluster.state import read_state
from retention_enforcer.cluster.subjects.fields import is_absent
from retention_enforcer.domain.policy.places import Place

_FIELDS = [
    "metadata.indices.*.mappings",
    "metadata.indices.*.settings.index.mode",
    "metadata.indices.*.settings.index.mapping.total_fields.ignore_dynamic_beyond_limit",
]


_METADATA = frozenset(
    {"_id", "_index", "_routing", "_source", "_ignored", "_field_names", "_tier", "_version", "_seq_no", "_size"}
)
"""Fields of Elasticsearch itself: each document has them, and they are in no mapping."""

_TYPE = "_doc"
"""The type of all mappings since version 8; in the state they stand below it."""


def without_places(client: Elasticsearch, names: Collection[str], places: Collection[Place]) -> frozenset[str]:
    """Return those of these indices of which no document can name anybody in these places, as their mappings are now.

    Never among them: an index of another mode than the standard one, or with a mapping type of its own (made before
    version 8); one that leaves fields out of a full mapping; and one whose mapping has names with dots in them, fields
    that are found by another name, or runtime fields that come by themselves or in groups.
    """
    found = set()
    for some in packed(sorted(names)):
        state = read_state(client, metric=["metadata"], fields=_FIELDS, index=some)
        for name, index in state.get("metadata", {}).get("indices", {}).items():
            if cannot_have(index, places):
                found.add(name)
    return frozenset(found & set(names))


def cannot_have(index: Mapping[str, Any], places: Collection[Place]) -> bool:
    """Whether an index, as the cluster's state describes it, can have no document that names anybody there."""
    mapping = index.get("mappings", {}).get(_TYPE, {})
    return _is_plain(index, mapping) and all(_is_absent(mapping, place) for place in places)


def _is_absent(mapping: Mapping[str, Any], place: Place) -> bool:
    return not _METADATA.intersection(place.fields) and is_absent(mapping, place)


def _is_plain(index: Mapping[str, Any], mapping: Mapping[str, Any]) -> bool:
    """Whether each field of its documents stands in the mapping, under its own name, where its name says."""
    if "settings" in index or index.get("mappings", {}).keys() - {_TYPE}:
        return False
    grouped = any(field.get("type") == "composite" for field in mapping.get("runtime", {}).values())
    return not grouped and all(_is_plain_object(place) for place in _objects(mapping))


def _is_plain_object(place: Mapping[str, Any]) -> bool:
    dotted = any("." in name for name in place.get("properties", {}))
    by_another_name = "subobjects" in place or place.get("type", "object") == "passthrough"
    return not dotted and not by_another_name and place.get("dynamic") != "runtime"


def _objects(mapping: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the mapping and all that is below it, however deep."""
    waiting = [mapping]
    while waiting:
        place = waiting.pop()
        yield place
        waiting += place.get("properties", {}).values()
