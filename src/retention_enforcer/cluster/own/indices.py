"""The enforcer's own indices: their mappings, and `setup`, which alone creates them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.errors import translated
from retention_enforcer.cluster.own.position import missing as missing_index
from retention_enforcer.cluster.state import read_state
from retention_enforcer.domain.errors import RequestRejected
from retention_enforcer.domain.own.settings import ADDED, LATER, STATED, OwnSeen, deviations
from retention_enforcer.domain.policy.names import OWN, OwnIndices

_ABOVE_ALL = 2_000_000_000
"""The priority of a template that keeps others away."""

_KEYWORD = {"type": "keyword"}
_STORED = {"type": "keyword", "index": False, "doc_values": False}
_LONG = {"type": "long"}
_DATE = {"type": "date"}
_OBJECT = {"type": "object", "enabled": False}

_LEDGER_FIELDS: dict[str, Any] = {
    "sequence": _LONG,
    "time": _DATE,
    "kind": _KEYWORD,
    "cycle": _KEYWORD,
    "instance": _KEYWORD,
    "epoch": _LONG,
    "actor": _KEYWORD,
    "mode": _KEYWORD,
    "policy": _KEYWORD,
    "category": _KEYWORD,
    "clause": _STORED,
    "action": _KEYWORD,
    "target": {"properties": {"index": _KEYWORD, "uuid": _KEYWORD}},
    "evidence": {"properties": {"documents": _LONG, "oldest": _DATE, "newest": _DATE, "bytes": _LONG}},
    "details": _OBJECT,
    "reason": _STORED,
    "outcome": _KEYWORD,
    "intent": _LONG,
    "previous": _STORED,
    "hash": _KEYWORD,
}
_LEDGER_FIELDS["records"] = {"properties": dict(_LEDGER_FIELDS)}
_DOCUMENT_FIELDS: dict[str, Any] = {"kind": _KEYWORD, "updated": _DATE, "body": _OBJECT}
_REQUEST_FIELDS: dict[str, Any] = {
    "kind": _KEYWORD,
    "id": _KEYWORD,
    "application": _KEYWORD,
    "action": _KEYWORD,
    "terminated_at": _DATE,
    "reason": _STORED,
    "requested_by": _KEYWORD,
}


def creation_bodies(own: OwnIndices = OWN) -> dict[str, dict[str, Any]]:
    """Return, for each own index, the body of the request that creates it: what `setup --print` shows.

    What is not in an index's fields is refused by the index itself.
    """
    fields = {
        own.ledger_index: _LEDGER_FIELDS,
        own.control: _DOCUMENT_FIELDS,
        own.state: _DOCUMENT_FIELDS,
        own.requests: _REQUEST_FIELDS,
        own.terminations: _DOCUMENT_FIELDS,
    }
    bodies: dict[str, dict[str, Any]] = {
        name: {"settings": dict(STATED), "mappings": {"dynamic": "strict", "properties": properties}}
        for name, properties in fields.items()
    }
    bodies[own.ledger_index]["aliases"] = {own.ledger: {"is_write_index": True}}
    return bodies


def create_own_indices(client: Elasticsearch, own: OwnIndices = OWN) -> dict[str, str]:
    """Create those that are missing, and put right what deviates in the others; return what was done to each.

    Safe to repeat, and removes nothing. Raises RequestRejected where that is refused.
    """
    bodies, there = creation_bodies(own), read_own_indices(client, own)
    done = dict.fromkeys(bodies, "up to date")
    for name, seen in there.items():
        repairable = [one.what for one in seen.deviations if one.repairable]
        if repairable:
            _repair(client, own, name, repairable)
            done[name] = f"corrected ({', '.join(repairable)})"
    missing = [name for name in bodies if name not in there]
    if missing:
        with _shielded(client, own, missing):
            for name in missing:
                if _create(client, name, bodies[name]):
                    done[name] = "created"
    return done


def read_own_indices(client: Elasticsearch, own: OwnIndices = OWN) -> dict[str, OwnSeen]:
    """Return those own indices that are there as they are, in one request; needs the cluster privilege `monitor`."""
    state = read_state(
        client,
        metric=["metadata"],
        fields=[f"metadata.indices.*.{part}" for part in ("settings", "mappings")],
        index=",".join(own.names),
    )
    bodies = creation_bodies(own)
    found = {}
    for name, index in state.get("metadata", {}).get("indices", {}).items():
        if name in bodies:
            settings = dict(_flat(index["settings"]))
            mapping = index.get("mappings", {}).get("_doc", {})
            found[name] = OwnSeen(
                uuid=str(settings["index.uuid"]),
                deviations=tuple(deviations(name, settings, mapping, bodies[name]["mappings"])),
            )
    return found


class OwnIndicesReader:
    """Reads the enforcer's own indices; changes nothing."""

    def __init__(self, client: Elasticsearch, own: OwnIndices = OWN) -> None:
        self._client = client
        self._own = own

    def look(self) -> dict[str, OwnSeen]:
        """Return all of them as they are. Raises Refused where one is missing."""
        found = read_own_indices(self._client, self._own)
        for name in self._own.names:
            if name not in found:
                raise missing_index(name)
        return found


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


@contextmanager
def _shielded(client: Elasticsearch, own: OwnIndices, names: Sequence[str]) -> Iterator[None]:
    """Let no template of the cluster apply to these names for the moment, as far as templates may be changed.

    Aliases and fields of a template cannot be refused in the request that creates an index, and one that makes streams
    forbids it; of all that match a name the first alone applies.
    """
    template = f"{own.prefix}retention-own-indices"
    try:
        with translated(destructive=True):
            client.indices.put_index_template(
                name=template, index_patterns=list(names), priority=_ABOVE_ALL, template={"settings": {}}
            )
    except RequestRejected:  # may not be changed: what the requests themselves state has to do
        yield
        return
    try:
        yield
    finally:
        with translated(destructive=True):
            client.indices.delete_index_template(name=template)


def _create(client: Elasticsearch, name: str, body: Mapping[str, Any]) -> bool:
    settings = dict(body["settings"])
    while True:
        try:
            with translated(destructive=True):
                client.options(max_retries=0).indices.create(index=name, **{**body, "settings": settings})
        except RequestRejected as error:
            if error.kind == "resource_already_exists_exception":
                return False
            unknown = [key for key, value in settings.items() if value is None and f"[{key}]" in error.message]
            if unknown and "unknown setting" in error.message:  # the server does not have what it would switch off
                settings = {key: value for key, value in settings.items() if key not in unknown}
                continue
            if "creates data streams only" in error.message:
                raise RequestRejected(
                    f"{name} cannot be created, because an index template makes every such name a data stream",
                    "grant `setup` the privilege manage_index_templates, or create a template for retention-* with a "
                    "higher priority and no data_stream, then run retention-enforcer setup",
                    kind=error.kind,
                    status=error.status,
                ) from None
            raise
        return True


def _repair(client: Elasticsearch, own: OwnIndices, name: str, what: Sequence[str]) -> None:
    """Put right what can be changed on an index that is there."""
    settings = {setting: STATED.get(setting) for setting in what if setting.startswith("index.")}
    with translated(destructive=True):
        if settings.pop("index.lifecycle.name", "") is None:
            client.ilm.remove_policy(index=name)
        if settings:
            client.indices.put_settings(index=name, settings=settings)
        if ADDED in what:
            wanted = creation_bodies(own)[name]["mappings"]["properties"]
            client.indices.put_mapping(index=name, properties={f: wanted[f] for f in LATER & wanted.keys()})
        if "dynamic" in what:
            client.indices.put_mapping(index=name, dynamic="strict")
        if "runtime" in what:
            fields = client.indices.get_mapping(index=name)[name]["mappings"].get("runtime", {})
            nothing: dict[str, Any] = dict.fromkeys(fields)
            client.indices.put_mapping(index=name, runtime=nothing)
