"""Places and matches in a few words, for the tests of subjects."""

from __future__ import annotations

from typing import Any

from retention_enforcer.domain.policy.places import Key, Place, SubjectPlaces
from retention_enforcer.domain.subjects.identity import AnyOf, Condition, ExactField, Match


def named(account: str | None = None, application: str | None = None, user: str | None = None) -> SubjectPlaces:
    """Name each kind of subject by one field."""
    return SubjectPlaces(account=field(account), application=field(application), user=field(user))


def field(name: str | None) -> tuple[Place, ...]:
    """One field, or none."""
    return () if name is None else (Place(field=name),)


def tag(key: str, path: str = "tags") -> Place:
    """A nested pair, as Jaeger writes them."""
    return Place(field=f"{path}.value", key=Key(path=path, field=f"{path}.key", text=key))


def after(prefix: str, name: str = "_q") -> Place:
    """A text that begins so, as Zipkin writes them."""
    return Place(field=name, prefix=prefix)


def one(where: ExactField | str, value: str | int) -> AnyOf:
    """A place with one value."""
    where = ExactField(name=where) if isinstance(where, str) else where
    return AnyOf(fields=(where,), conditions=(Condition(where=where, value=value),))


def having(*pairs: tuple[ExactField | str, str | int], **more: Any) -> Match:
    """Documents that have each of these values in a field of its own."""
    return Match(parts=tuple(one(where, value) for where, value in pairs), **more)
