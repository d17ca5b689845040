"""How values are written in JSON: instants as RFC 3339 in UTC, durations in whole seconds; and the schema of it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, PlainSerializer, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from retention_enforcer.domain.instants import SECOND, format_instant

_Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
_VALUES = frozenset({"Role", "State", "Verdict"})

Instant = Annotated[int, PlainSerializer(format_instant, return_type=_Time)]
"""An instant in epoch milliseconds, written as RFC 3339."""

Seconds = Annotated[int, PlainSerializer(lambda duration: duration // SECOND, return_type=int)]
"""A duration in milliseconds, written in whole seconds."""

UNPUBLISHED = Field(exclude=True)
"""Marks a field that is not written."""


def schema_of(adapter: TypeAdapter[Any]) -> dict[str, Any]:
    """Return the JSON Schema of a document in which no field is ever missing."""
    schema = adapter.json_schema(mode="serialization", schema_generator=_Schema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


class _Schema(GenerateJsonSchema):
    """Keeps the published names of the parts, whatever their classes are called."""

    def normalize_name(self, name: str) -> str:
        return super().normalize_name(name if name in _VALUES else _published_name(name))

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchemaValue:
        part, made = schema["cls"], super().dataclass_schema(schema)
        required = list(made["properties"])
        about = {"title": _published_name(part.__name__), "description": part.__doc__}
        return {**made, **about, "required": required, "additionalProperties": False}

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])


def _published_name(name: str) -> str:
    return f"{name.removesuffix('Seen')}Document"
