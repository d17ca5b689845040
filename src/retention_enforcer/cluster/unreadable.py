"""What the cluster's state says of indices that nobody can search: which cannot hold what is looked for.

The state has the mapping of each, also of one that is closed, blocked or assigned to no node.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.expressions import packed
from retention_enforcer.cluster.state import read_state
from retention_enforcer.cluster.subject_fields import is_absent

_FIELDS = [
    "metadata.indices.*.mappings",
    "metadata.indices.*.settings.index.mode",
    "metadata.indices.*.settings.index.mapping.total_fields.ignore_dynamic_beyond_limit",
]


def without_fields(client: Elasticsearch, names: Collection[str], fields: Collection[str]) -> frozenset[str]:
    """Return those of these indices of which no document can have any of these fields, as far as is certain.

    An index of another mode than the standard one, or that leaves fields out of a full mapping, is never among them,
    nor one whose mapping has names with dots in them, or fields that are found by another name.
    """
    found = set()
    for some in packed(sorted(names)):
        state = read_state(client, metric=["metadata"], fields=_FIELDS, index=some)
        for name, index in state.get("metadata", {}).get("indices", {}).items():
            mapping = index.get("mappings", {}).get("_doc", {})
            if _is_plain(index, mapping) and all(is_absent(mapping, field) for field in fields):
                found.add(name)
    return frozenset(found & set(names))


def _is_plain(index: Mapping[str, Any], mapping: Mapping[str, Any]) -> bool:
    """Whether each field of its documents stands in the mapping, under its own name, where its name says."""
    return "settings" not in index and all(_is_plain_object(place) for place in _objects(mapping))


def _is_plain_object(place: Mapping[str, Any]) -> bool:
    dotted = any("." in name for name in place.get("properties", {}))
    return not dotted and "subobjects" not in place and place.get("type", "object") != "passthrough"


def _objects(place: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield place
    for inner in place.get("properties", {}).values():
        yield from _objects(inner)
