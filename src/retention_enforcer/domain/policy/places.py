"""Where documents say whose they are.

    a field                       `uin`: its value is the id
    a text before the id          `_q` with `user.id=`: its value is that text and the id, as `user.id=42`
    one of many nested objects    `tags` with the key `user.id`: the value of the object that has this key

More than one place for one kind of subject: a document is the subject's if any of them has the id.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What the nested object with the id has beside it, in the same object."""

    path: str
    """The nested objects."""
    field: str
    """The field that holds the key, with the path before it."""
    text: str
    """The key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a document may name one kind of subject."""

    field: str
    """The field that holds the id; in nested objects with the path before it."""
    prefix: str = ""
    """What stands before the id in the field."""
    key: Key | None = None
    """Which nested object it is; None where the field is in none."""

    @property
    def fields(self) -> tuple[str, ...]:
        """All fields that it takes to tell."""
        return (self.field,) if self.key is None else (self.key.field, self.field)

    def __str__(self) -> str:
        """Return it in words: no two places share them, as no field's name has a blank in it."""
        if self.key is not None:
            return f"{self.field} where {self.key.field} is {self.key.text}"
        return f"{self.field} after {self.prefix}" if self.prefix else self.field


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectPlaces:
    """Where the documents name each kind of subject; empty where they name none of that kind."""

    account: tuple[Place, ...] = ()
    application: tuple[Place, ...] = ()
    user: tuple[Place, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.all)

    @property
    def kinds(self) -> tuple[tuple[Place, ...], ...]:
        """The places of each kind that is named, in the order account, application, user."""
        return tuple(places for places in (self.account, self.application, self.user) if places)

    @property
    def all(self) -> tuple[Place, ...]:
        """The places there are."""
        return tuple(place for places in self.kinds for place in places)

    @property
    def fields(self) -> frozenset[str]:
        """The names of all fields that it takes to tell."""
        return frozenset(name for place in self.all for name in place.fields)
