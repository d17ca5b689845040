"""What an own index must be like: what a template or a person can bring that would do harm is found, and no more."""

from __future__ import annotations

from typing import Any

import pytest

from retention_enforcer.cluster.own.indices import creation_bodies
from retention_enforcer.domain.own.settings import ADDED, STATED, deviations
from retention_enforcer.domain.policy.names import OWN

WANTED = creation_bodies()[OWN.ledger_index]["mappings"]
PLAIN = {name: None if value is None else str(value).lower() for name, value in STATED.items()}


def found(settings: dict[str, Any] | None = None, **mapping: Any) -> list[tuple[str, bool]]:
    seen = {**WANTED, **mapping}
    return [(d.what, d.repairable) for d in deviations("i", {**PLAIN, **(settings or {})}, seen, WANTED)]


def test_an_index_as_it_was_created_or_with_the_defaults_is_as_it_must_be() -> None:
    assert found() == []
    assert list(deviations("i", {"index.number_of_shards": "1"}, WANTED, WANTED)) == []


@pytest.mark.parametrize(
    ("setting", "value", "repairable"),
    [
        ("index.lifecycle.name", "theirs", True),
        ("index.default_pipeline", "theirs", True),
        ("index.final_pipeline", "theirs", True),
        ("index.refresh_interval", "-1", True),
        ("index.max_result_window", "9999", True),
        ("index.max_terms_count", "10", True),
        ("index.translog.durability", "async", True),
        ("index.write.wait_for_active_shards", "all", True),
        ("index.mapping.ignore_malformed", "true", True),
        ("index.mapping.source.mode", "synthetic", False),
        ("index.mode", "logsdb", False),
        ("index.sort.field", ["a"], False),
        ("index.number_of_shards", "2", False),
    ],
)
def test_a_harmful_setting_is_found(setting: str, value: Any, repairable: bool) -> None:
    assert found({setting: value}) == [(setting, repairable)]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("index.refresh_interval", "5s"),
        ("index.max_result_window", "50000"),
        ("index.hidden", "true"),
        ("index.number_of_replicas", "2"),
        ("index.sort.field", []),
    ],
)
def test_a_harmless_setting_is_not(setting: str, value: Any) -> None:
    assert found({setting: value}) == []


@pytest.mark.parametrize(
    ("mapping", "what", "repairable"),
    [
        ({"dynamic": "true"}, "dynamic", True),
        ({"_source": {"enabled": False}}, "_source", False),
        ({"_source": {"mode": "synthetic"}}, "_source", False),
        ({"_source": {"excludes": ["hash"]}}, "_source", False),
        ({"_routing": {"required": True}}, "_routing", False),
        ({"runtime": {"sequence": {"type": "keyword"}}}, "runtime", True),
        ({"properties": {**WANTED["properties"], "sequence": {"type": "keyword"}}}, "properties", False),
        ({"properties": {f: WANTED["properties"][f] for f in ("details", "records")}}, "properties", False),
        ({"properties": {f: k for f, k in WANTED["properties"].items() if f != "details"}}, ADDED, True),
        ({"properties": {f: k for f, k in WANTED["properties"].items() if f != "records"}}, ADDED, True),
    ],
)
def test_a_harmful_mapping_is_found(mapping: dict[str, Any], what: str, repairable: bool) -> None:
    assert found(**mapping) == [(what, repairable)]


def test_further_fields_do_no_harm_and_every_remedy_destroys_nothing() -> None:
    assert found(properties={**WANTED["properties"], "more": {"type": "keyword"}}) == []
    every = deviations("i", {**PLAIN, "index.mode": "logsdb", "index.lifecycle.name": "x"}, WANTED, WANTED)
    assert ["retention-enforcer setup" in d.remedy for d in every] == [True, False]
