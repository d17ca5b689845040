"""Copies that Elasticsearch keeps: an answer in part is none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from elasticsearch import Elasticsearch

from builders import NOW
from retention_enforcer.cluster.coverage.elastics_copies import ElasticsCopies
from retention_enforcer.cluster.indices.identities import IndexIdentities
from retention_enforcer.cluster.preflight import Capabilities
from retention_enforcer.domain.policy.claims import Claim, IndexOwner
from retention_enforcer.domain.policy.names import OWN

WHOSE = IndexIdentities(metadata=cast(Any, {".async-search": None}), members={}, identities={}, claims={}, streams={})
WHOLE = {"timed_out": False, "_shards": {"total": 1, "successful": 1, "failed": 0, "skipped": 0}}
NOTHING = {"hits": {"total": {"value": 0}, "hits": []}, "aggregations": {"last": {"value": None}}}


@pytest.mark.parametrize(
    ("answer", "kinds"),
    [
        (WHOLE, []),
        ({**WHOLE, "timed_out": True}, ["not-looked-into"]),
        ({**WHOLE, "_shards": {"total": 2, "successful": 1, "failed": 1}}, ["not-looked-into"]),
        ({**WHOLE, "_shards": {"total": 0, "successful": 0, "failed": 0}}, ["not-looked-into"]),
    ],
    ids=["whole", "too late", "a shard failed", "no shard"],
)
def test_stored_searches_are_told_of_only_where_all_of_the_index_answered(
    answer: dict[str, Any], kinds: list[str]
) -> None:
    client = cast(Elasticsearch, SimpleNamespace(search=lambda **_: SimpleNamespace(body={**answer, **NOTHING})))
    copies = ElasticsCopies(client, cast(Capabilities, None), OWN)
    assert [found.kind for found in copies._searches(WHOSE, NOW, NOW)] == kinds


def test_the_object_around_a_field_of_queries_is_not_taken_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = {"alerts": SimpleNamespace(why_unreadable=None, system=False)}
    claims = {"alerts": Claim(standing=IndexOwner.UNCLAIMED)}
    whose = IndexIdentities(metadata=cast(Any, metadata), members={}, identities={}, claims=claims, streams={})
    # Elasticsearch tells of the objects around a field too, although it is asked for one type alone.
    fields = {"alert": {"object": {"type": "object"}}, "alert.query": {"percolator": {"type": "percolator"}}}
    body = {"indices": ["alerts"], "fields": fields}
    client = cast(Elasticsearch, SimpleNamespace(field_caps=lambda **_: SimpleNamespace(body=body)))
    asked: list[tuple[str, str]] = []
    monkeypatch.setattr(ElasticsCopies, "_queries_in", lambda _, index, field, ids: asked.append((index, field)) or ())
    assert list(ElasticsCopies(client, cast(Capabilities, None), OWN)._queries(whose, [])) == []
    assert asked == [("alerts", "alert.query")]
