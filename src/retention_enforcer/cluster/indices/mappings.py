"""What indices say of their fields, many in one request: their capabilities in searches, and parts of mappings."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.errors import translated

REACHED = ("open", "hidden")
"""Closed indices fail a whole request or are left out in silence; they have been set apart before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedField:
    """A field, and the indices in which it has one type. An alias is what it leads to, a runtime field a field."""

    name: str
    type: str
    indices: frozenset[str]
    caps: Mapping[str, Any]
    """What else was asked about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldCaps:
    """What the indices that answered say of fields; one in which there is no such field stands with none."""

    indices: frozenset[str]
    fields: tuple[TypedField, ...]


def ask_field_caps(
    client: Elasticsearch,
    names: str,
    fields: Collection[str] | str,
    *,
    types: Sequence[str] | None = None,
    filters: str | None = None,
    said: Collection[str] = (),
) -> FieldCaps:
    """Return the types of fields in the indices that an expression reaches.

    Elasticsearch tells of the objects around a field as well, unasked. `types` and `filters` narrow the fields down,
    `said` is what else is asked of each. Raises RequestRejected, and what `translated` raises.
    """
    with translated():
        answer = client.field_caps(
            index=names,
            fields=fields if isinstance(fields, str) else sorted(fields),
            include_unmapped=True,  # else the indices that have a field are not told from those that have none
            filter_path=["indices", *(f"fields.*.*.{what}" for what in ("type", "indices", *said))],
            expand_wildcards=REACHED,
            ignore_unavailable=True,
            types=types,
            filters=filters,
        ).body
    everywhere = frozenset(answer.get("indices", ()))
    return FieldCaps(
        indices=everywhere,
        fields=tuple(
            # The indices are listed only where they do not all agree.
            TypedField(name=name, type=type_, indices=frozenset(caps.get("indices", everywhere)), caps=caps)
            for name, by_type in answer.get("fields", {}).items()
            for type_, caps in by_type.items()
            if type_ != "unmapped"
        ),
    )


def ask_mappings(client: Elasticsearch, names: str, paths: Collection[str]) -> dict[str, Mapping[str, Any]]:
    """Return these parts of the mappings of the indices that an expression reaches; absent where there are none.

    The paths are those of the whole answer (`*.mappings.…`). Raises RequestRejected, and what `translated` raises.
    """
    with translated():
        answer = client.indices.get_mapping(
            index=names, filter_path=list(paths), expand_wildcards=REACHED, ignore_unavailable=True
        ).body
    return {index: what["mappings"] for index, what in answer.items()}
