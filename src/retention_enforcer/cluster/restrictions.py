"""What the cluster's security hides from the connection: fields of indices, or documents of them.

What is hidden looks like what is not there. The rules by which it is hidden are read from the privileges of the user,
or from the API key itself. By what the user who made a key is restricted, a key may not read.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.errors import translated
from retention_enforcer.cluster.privileges import authentication
from retention_enforcer.domain.errors import RequestRejected

_READING = frozenset({"all", "read"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What one entry of privileges says of the indices that it names."""

    names: tuple[str, ...]
    reads: bool
    hides: str | None
    """What it hides of them: fields, or documents; None where it hides nothing."""

    def covers(self, names: Collection[str]) -> bool:
        """Whether it speaks of an index by one of its names; patterns that cannot be compared do."""
        return any(_matches(pattern, name) for pattern in self.names for name in names)

    @property
    def comparable(self) -> bool:
        """Whether its names are plain, and no regular expressions."""
        return not any(name.startswith("/") for name in self.names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restrictions:
    """All that is said of what the connection may see."""

    grants: tuple[Grant, ...] = ()
    unread: str = ""
    """Why it is not known; empty where it is."""

    def on(self, names: Collection[str], called: str) -> str | None:
        """Say what is hidden of an index with these names (its own, its stream's), None where nothing is.

        `called` is what the sentence calls it. One entry that lets all be read outweighs the others, as it does for
        the cluster.
        """
        if self.unread:
            return f"it is unknown whether security hides a part of {called} from the enforcer: {self.unread}"
        what = self._hidden_of(names)
        return f"security hides {what} of {called} from the enforcer" if what is not None else None

    def _hidden_of(self, names: Collection[str]) -> str | None:
        if not any(grant.hides for grant in self.grants):
            return None
        covering = [grant for grant in self.grants if grant.covers(names)]
        if any(grant.reads and grant.hides is None and grant.comparable for grant in covering):
            return None
        return next((grant.hides for grant in covering if grant.hides is not None), None)


def read_restrictions(client: Elasticsearch) -> Restrictions:
    """Return what is hidden from this connection; nothing where security is off. Two requests."""
    who = authentication(client)
    if who is None:
        return Restrictions()
    try:
        with translated():
            entries = list(_entries(client, who))
    except RequestRejected as error:
        return Restrictions(unread=error.message)
    return Restrictions(grants=tuple(map(_grant, entries)))


def _entries(client: Elasticsearch, who: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the privileges on indices: those of an API key if it has its own, else those of the user."""
    if who.get("authentication_type") == "api_key":
        keys = client.security.get_api_key(id=str(who["api_key"]["id"])).body["api_keys"]
        descriptors = [role for key in keys for role in (key.get("role_descriptors") or {}).values()]
        if descriptors:
            for role in descriptors:
                yield from role.get("indices", ())
            return
    yield from client.security.get_user_privileges().body.get("indices", ())


def _grant(entry: Mapping[str, Any]) -> Grant:
    fields, queries = _listed(entry.get("field_security")), _listed(entry.get("query"))
    hides = "fields" if fields and not any(map(_grants_all, fields)) else "documents" if queries else None
    return Grant(
        names=tuple(_listed(entry["names"])),
        reads=bool(_READING & set(entry["privileges"])),
        hides=hides,
    )


def _listed(value: object) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _grants_all(fields: Mapping[str, Iterable[str]]) -> bool:
    return "*" in fields.get("grant", ()) and not fields.get("except")


def _matches(pattern: str, name: str) -> bool:
    if pattern.startswith("/"):
        return True
    wild = "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)
    return re.fullmatch(wild, name, re.DOTALL) is not None
