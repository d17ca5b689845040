"""The shape of the policy file: its keys, their types, and their defaults.

The pydantic models here are used by the loader and for the JSON Schema. A refused value is a `PydanticCustomError` of
the type `refused`, with its text and its remedy.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, WithJsonSchema
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import PydanticCustomError, core_schema

from retention_enforcer.domain.instants import DAY, parse_duration, parse_instant
from retention_enforcer.domain.policy.names import IndexPattern
from retention_enforcer.domain.policy.places import Key, Place, SubjectPlaces
from retention_enforcer.domain.policy.promises import Category, Clause, Policy
from retention_enforcer.domain.timestamps import Timestamp

REFUSED = "refused"


def refused(text: str, remedy: str) -> PydanticCustomError:
    """The error of a validator, with the remedy in its context."""
    return PydanticCustomError(REFUSED, "{text}: {remedy}", {"text": text, "remedy": remedy})


def shown(value: object) -> str:
    """A value of the file as an error may repeat it: on one line, and not for long."""
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"  # noqa: PLR2004 - half a line


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise refused(f"{shown(value)} is not text", "put it in quotes if you meant that text")
    if value == "":
        raise refused("the text is empty", "write a text, or remove the line")
    return str(value)  # a number's digits are its text: `section: 6`


def _prose(value: object) -> str:
    return " ".join(_text(value).split())


_DURATION_REMEDY = "write a whole number and a unit, such as 90s, 15m, 1h or 14d"


def _duration(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        raise refused(f"{value} has no unit", f"write {value}d, not {value}, if you meant days (or s, m, h)")
    if not isinstance(value, str):
        raise refused(f"{shown(value)} is not a duration", _DURATION_REMEDY)
    if value.strip().startswith("-"):
        raise refused(f"{shown(value)} is negative", "write a duration above zero, such as 14d")
    try:
        return parse_duration(value)
    except ValueError:
        raise refused(f"{shown(value)} is not a duration", _DURATION_REMEDY) from None


def _instant(value: object) -> int:
    try:
        return parse_instant(_text(value))
    except ValueError:
        raise refused(
            f"{shown(value)} is not a time", "write a time such as 2015-01-01 or 2015-01-01T08:00:00Z"
        ) from None


def _switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise refused(f"{shown(value)} is neither true nor false", "write true or false, without quotes")
    return value


def _version(value: object) -> int:
    if isinstance(value, bool) or value != 1:
        raise refused(f"{shown(value)} is not a supported version", "write version: 1")
    return 1


_DURATION_SCHEMA = {"type": "string", "pattern": "^[1-9][0-9]{0,8}[smhd]$"}
_PROSE_SCHEMA = {"type": ["string", "number"], "minLength": 1}
_NAME_SCHEMA = {"type": "string", "pattern": "^[a-z0-9][a-z0-9-]*$"}

Name = Annotated[str, BeforeValidator(_text), WithJsonSchema(_NAME_SCHEMA)]
Text = Annotated[str, BeforeValidator(_text), WithJsonSchema({"type": "string", "minLength": 1})]
Prose = Annotated[str, BeforeValidator(_prose), WithJsonSchema(_PROSE_SCHEMA)]
Day = Annotated[str, BeforeValidator(_prose), WithJsonSchema({"type": "string", "format": "date"})]
Duration = Annotated[int, BeforeValidator(_duration), WithJsonSchema(_DURATION_SCHEMA)]
Instant = Annotated[int, BeforeValidator(_instant), WithJsonSchema({"type": "string"})]
Switch = Annotated[bool, BeforeValidator(_switch), WithJsonSchema({"type": "boolean"})]
Texts = Annotated[tuple[Text, ...], Field(min_length=1)]


class SchemaWithoutNull(GenerateJsonSchema):
    """The JSON Schema as the loader reads a file: a key is left out, never null."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """The schema of a value without null."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """The schema with its default, if that can be written."""
        return (
            self.generate_inner(schema["schema"]) if schema.get("default") is None else super().default_schema(schema)
        )


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class ClauseEntry(_Entry):
    """Where the promise is written down."""

    document: Prose
    section: Prose
    item: Prose
    updated: Day
    """The day of the document's last update."""

    def clause(self) -> Clause:
        """The domain's value."""
        return Clause(document=self.document, section=self.section, item=self.item, updated=self.updated)


class PrefixedEntry(_Entry):
    """A field whose texts are a fixed text and the id, such as `user.id=42` in Zipkin's `_q`."""

    field: Text
    prefix: Text
    """The whole text before the id, with its sign: `user.id=`."""

    def place(self) -> Place:
        """The domain's value."""
        return Place(field=self.field, prefix=self.prefix)


class NestedEntry(_Entry):
    """Nested objects of a key and a value, such as Jaeger's `tags`. The object with this key has the id as value."""

    path: Text
    """The field of type `nested`."""
    key: Text
    """The key of the object with the id: a text, not the name of a field."""
    key_field: Text = "key"
    """The name of the field, within the objects, that has the key."""
    value: Text = "value"
    """The name of the field, within the objects, that has the id."""

    def place(self) -> Place:
        """The domain's value."""
        key = Key(path=self.path, field=f"{self.path}.{self.key_field}", text=self.key)
        return Place(field=f"{self.path}.{self.value}", key=key)


LIST, FIELD, PREFIXED, NESTED = "<list>", "<field>", "<prefixed>", "<nested>"
"""The forms of a place. They occur in the paths of pydantic's errors, not in a file."""

FORMS = frozenset({LIST, FIELD, PREFIXED, NESTED})


def _form(value: object) -> str:
    match value:
        case dict():
            return NESTED if {"path", "key"} & value.keys() else PREFIXED
        case PrefixedEntry():
            return PREFIXED
        case NestedEntry():
            return NESTED
        case _:
            return LIST if isinstance(value, list | tuple) else FIELD


_PlaceEntry = Annotated[
    Annotated[Text, Tag(FIELD)] | Annotated[PrefixedEntry, Tag(PREFIXED)] | Annotated[NestedEntry, Tag(NESTED)],
    Discriminator(lambda value: FIELD if (form := _form(value)) == LIST else form),
]
_PlaceEntries = Annotated[tuple[_PlaceEntry, ...], Field(min_length=1)]
Places = Annotated[
    Annotated[Text, Tag(FIELD)]
    | Annotated[PrefixedEntry, Tag(PREFIXED)]
    | Annotated[NestedEntry, Tag(NESTED)]
    | Annotated[_PlaceEntries, Tag(LIST)],
    Discriminator(_form),
]
"""A place, or a list of places: any of them may name the subject."""


def _only_fields(value: object) -> object:
    if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(one, dict) for one in value)):
        text = "an owner can only be read from fields, not from nested objects or parts of texts"
        raise refused(text, "name a field, such as uin, or a list of fields")
    return value


Fields = Annotated[
    Annotated[Text, Tag(FIELD)] | Annotated[Texts, Tag(LIST)],
    Discriminator(lambda value: LIST if _form(value) == LIST else FIELD),
    BeforeValidator(_only_fields),
]
"""A field, or a list of them."""


def _places(entry: str | PrefixedEntry | NestedEntry | tuple[object, ...] | None) -> tuple[Place, ...]:
    match entry:
        case None:
            return ()
        case str():
            return (Place(field=entry),)
        case PrefixedEntry() | NestedEntry():
            return (entry.place(),)
        case _:
            return tuple(place for one in entry for place in _places(one))  # type: ignore[arg-type]


class SubjectsEntry(_Entry):
    """Where a document names a customer account, its application, and a user of that application."""

    account: Places | None = None
    application: Places | None = None
    user: Places | None = None

    def places(self) -> SubjectPlaces:
        """The domain's value."""
        return SubjectPlaces(
            account=_places(self.account), application=_places(self.application), user=_places(self.user)
        )


class OwnsEntry(_Entry):
    """The fields of one document that name an account and its applications."""

    account: Fields
    application: Fields

    def places(self) -> SubjectPlaces:
        """The domain's value."""
        return SubjectPlaces(account=_places(self.account), application=_places(self.application))


class FieldWithUnit(_Entry):
    """The field that age runs from, and the unit of its values."""

    field: Text
    unit: Text | None = None
    """s, ms, us or ns since 1970, or a pattern such as yyyyMMddHHmmss. Left out if the field is mapped as a date."""

    def timestamp(self) -> Timestamp:
        """The domain's value."""
        return Timestamp(self.field, self.unit)


_NO_TIMESTAMP = "none"
"""The value if documents have no timestamp, on purpose."""


def _timestamp(value: object) -> object:
    if value == _NO_TIMESTAMP:
        return None
    if isinstance(value, dict):
        return value
    if isinstance(value, list):
        remedy = "write the name of a field such as start_time, or {field: start_time, unit: ms}, or none"
        raise refused(f"{shown(value)} is not a timestamp", remedy)
    return {"field": _text(value)}


_TIMESTAMP_SCHEMA = {
    "oneOf": [{"type": "string", "minLength": 1}, FieldWithUnit.model_json_schema(schema_generator=SchemaWithoutNull)],
}

TimestampEntry = Annotated[FieldWithUnit | None, BeforeValidator(_timestamp), WithJsonSchema(_TIMESTAMP_SCHEMA)]


class CategoryEntry(_Entry):
    """A kind of personal data. It needs at least one of max_age, after_termination and never_stored."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": [k]} for k in ("max_age", "after_termination", "never_stored")]}
    )

    id: Name
    clause: ClauseEntry
    indices: Texts
    """Names of indices or data streams, with wildcards, or with {application} between literal text."""
    timestamp: TimestampEntry = Field(default="@timestamp", validate_default=True)
    """The field that age runs from: a field that is mapped as a date, or a field with its unit. none: there is none."""
    subjects: SubjectsEntry | None = None
    owns: OwnsEntry | None = None
    max_age: Duration | None = None
    """The maximum age of a document."""
    after_termination: Duration | None = None
    """How long a document may exist after the termination of its subject."""
    never_stored: Switch = False
    """No document may exist. A document that exists raises an alarm and is never deleted silently."""
    forbidden_fields: Texts = ()
    """Fields that must not exist in the mapping of any governed index."""
    rollover: Duration | None = None
    """How much time one index may span. Default: 1d or a tenth of max_age, whichever is less."""
    enforce: Switch = True
    """false: the category is planned and reported, but nothing is deleted."""
    foreign_lifecycle: Literal["leave", "adopt"] = "leave"
    """Whether an index that a lifecycle of others manages is left to it, or adopted."""

    def category(self) -> Category:
        """The domain's value."""
        rollover = min(DAY, (self.max_age or 10 * DAY) // 10) if self.rollover is None else self.rollover
        return Category(
            id=self.id,
            clause=self.clause.clause(),
            indices=tuple(IndexPattern(text) for text in self.indices),
            timestamp=self.timestamp.timestamp() if self.timestamp else None,
            subjects=self.subjects.places() if self.subjects else SubjectPlaces(),
            owns=self.owns.places() if self.owns else SubjectPlaces(),
            max_age=self.max_age,
            after_termination=self.after_termination,
            never_stored=self.never_stored,
            forbidden_fields=self.forbidden_fields,
            rollover=rollover,
            enforce=self.enforce,
            foreign_lifecycle=self.foreign_lifecycle,
        )


class PolicyFile(_Entry):
    """The promises of one privacy policy."""

    version: Annotated[Literal[1], BeforeValidator(_version)]
    name: Name
    margin: Duration = Field(default="1h", validate_default=True)
    """How long before the limit each deletion is due."""
    on_request: Duration = Field(default="7d", validate_default=True)
    """The limit for a customer's erasure request, in all categories."""
    earliest: Instant = Field(default="2015-01-01", validate_default=True)
    """The earliest timestamp that is believed."""
    ignore: Texts = ()
    """Indices that are excluded from the policy, on purpose."""
    categories: Annotated[tuple[CategoryEntry, ...], Field(min_length=1)]

    def policy(self) -> Policy:
        """The domain's value."""
        return Policy(
            name=self.name,
            categories=tuple(entry.category() for entry in self.categories),
            margin=self.margin,
            on_request=self.on_request,
            earliest=self.earliest,
            ignore=tuple(IndexPattern(text) for text in self.ignore),
        )
