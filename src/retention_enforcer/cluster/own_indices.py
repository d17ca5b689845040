"""The enforcer's own indices: their mappings, and `setup`, which alone creates them."""

from __future__ import annotations

from typing import Any

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.errors import translated
from retention_enforcer.domain.errors import RequestRejected
from retention_enforcer.domain.names import OWN, OwnIndices

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
    "reason": _STORED,
    "outcome": _KEYWORD,
    "intent": _LONG,
    "previous": _STORED,
    "hash": _KEYWORD,
}
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

SETTINGS = {"index.number_of_shards": 1, "index.auto_expand_replicas": "0-1"}
"""One primary keeps records in one order; a replica as soon as there is a second node."""


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
        name: {"settings": SETTINGS, "mappings": {"dynamic": "strict", "properties": properties}}
        for name, properties in fields.items()
    }
    bodies[own.ledger_index]["aliases"] = {own.ledger: {"is_write_index": True}}
    return bodies


def create_own_indices(client: Elasticsearch, own: OwnIndices = OWN) -> dict[str, bool]:
    """Create those that are missing; return for each whether it was created now. Safe to repeat."""
    created = {}
    for name, body in creation_bodies(own).items():
        try:
            with translated(destructive=True):
                client.options(max_retries=0).indices.create(index=name, **body)
            created[name] = True
        except RequestRejected as error:
            if error.kind != "resource_already_exists_exception":
                raise
            created[name] = False
    return created
