"""A user is named with its application: documents in which nobody can tell which two belong together."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest

from customers import MAPPING, add, index, of
from naming import having
from retention_enforcer.cluster.deletion.deletion import Deletion
from retention_enforcer.cluster.subjects.counts import SubjectCounts
from retention_enforcer.domain.errors import RequestRejected
from retention_enforcer.domain.selection import OfSubjects, Trim
from workbench import Workbench

LONGS = {"properties": {**MAPPING["properties"], "sdkappid": {"type": "long"}, "user_id": {"type": "long"}}}
OF_TWO = {"sdkappid": ["31", "32"], "user_id": ["u1", "u2"]}
"""Of an array of objects, u1 of 31 and u2 of 32: Elasticsearch keeps each field's values, and not the pairs."""


def open_items(bench: Workbench, *subject: str) -> list[str]:
    ran = bench.run("certificate", *subject, "--output", "json")
    assert ran.code == 3, ran.out
    return [item["text"] for item in ran.json[0]["open_items"]]


@pytest.mark.parametrize("several", [OF_TWO, {**OF_TWO, "sdkappid": "31"}, {**OF_TWO, "user_id": "u2"}])
def test_a_document_with_several_values_in_a_field_of_a_pair_is_never_taken_for_it(
    tenants: Workbench, several: dict[str, Any]
) -> None:
    pair = {"sdkappid": "31", "user_id": "u2"}
    index(tenants, "logs-b", several, several, pair, {"sdkappid": "32", "user_id": "u2"}, mappings=MAPPING)
    assert tenants.run("erase", "--application", "31", "--user", "u2").code == 0

    for _ in range(2):
        assert tenants.run("run", "--once").code == 0
        assert len(of(tenants, "logs-b")) == 3

    texts = open_items(tenants, "--application", "31", "--user", "u2")
    (item,) = [text for text in texts if "logs-b is unknown: " in text]
    assert "2 documents with several values in sdkappid or user_id" in item
    add(tenants, "logs-b", pair)
    assert tenants.run("run", "--once").code == 0
    assert len(of(tenants, "logs-b")) == 3, "what comes back is purged, and the others stay"


@pytest.mark.parametrize(
    ("mappings", "twice"),
    [
        (MAPPING, {"sdkappid": ["31", "31"], "user_id": ["u2", "u2"]}),
        (MAPPING, {"sdkappid": ["31", None], "user_id": [["u2"], []]}),
        (LONGS, {"sdkappid": [31, 31], "user_id": [2, 2]}),
        ({**MAPPING, "_source": {"enabled": False}}, {"sdkappid": ["31"], "user_id": "u2"}),
    ],
    ids=["keywords", "nothing beside", "numbers", "without source"],
)
def test_the_same_value_twice_is_one_value(tenants: Workbench, mappings: dict[str, Any], twice: dict[str, Any]) -> None:
    index(tenants, "logs-b", twice, twice, mappings=mappings)
    user = "2" if mappings is LONGS else "u2"
    assert tenants.run("erase", "--application", "31", "--user", user).code == 0
    assert tenants.run("run", "--once").code == 0
    assert of(tenants, "logs-b") == []


def test_numbers_of_several_are_told_from_one_number_twice(tenants: Workbench) -> None:
    one, several = {"sdkappid": [31, 31], "user_id": 2}, {"sdkappid": [31, 32], "user_id": [1, 2]}
    index(tenants, "logs-b", one, several, mappings=LONGS)
    assert tenants.run("erase", "--application", "31", "--user", "2").code == 0
    assert tenants.run("run", "--once").code == 0
    assert of(tenants, "logs-b") == ["[31, 32]"]
    texts = open_items(tenants, "--application", "31", "--user", "2")
    assert any("1 document with several values" in text for text in texts)


def test_a_hold_on_a_pair_spares_whatever_may_be_of_it(tenants: Workbench) -> None:
    index(tenants, "logs-b", OF_TWO, {"sdkappid": "32", "user_id": "u2"})
    held = ("--application", "31", "--user", "u2", "--owner", "me", "--reason", "court", "--until", "2099-01-01")
    assert tenants.run("hold", "add", *held).code == 0
    assert tenants.run("erase", "--application", "32").code == 0
    assert tenants.run("run", "--once").code == 0
    assert of(tenants, "logs-b") == ["['31', '32']"]


def test_what_was_written_since_the_look_is_judged_by_its_own_values(tenants: Workbench) -> None:
    index(tenants, "logs-b", OF_TWO, {"sdkappid": "31", "user_id": "u2"})
    name = tenants.prefix + "logs-b"
    uuid = tenants.es.indices.get_settings(index=name)[name]["settings"]["index"]["uuid"]
    pair = having(("sdkappid", "31"), ("user_id", "u2"), label="one", single=True)
    trimmed = Deletion(tenants.es).trim(Trim(index=name, uuid=uuid, takes=OfSubjects(matches=(pair,))), nullcontext)
    assert (trimmed.deleted, trimmed.left, trimmed.by_label) == (1, 1, {"one": 1})
    assert of(tenants, "logs-b") == ["['31', '32']"]


def test_where_the_cluster_refuses_to_look_closer_nothing_of_a_pair_is_taken(
    tenants: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_count: Callable[..., dict[str, int]] = SubjectCounts._count

    def refused(counts: SubjectCounts, name: str, filters: Any, spare: Any) -> dict[str, int]:
        if '"range"' in str(filters).replace("'", '"'):
            raise RequestRejected("range queries are not allowed here", "")
        return true_count(counts, name, filters, spare)

    monkeypatch.setattr(SubjectCounts, "_count", refused)
    index(tenants, "logs-b", OF_TWO, {"sdkappid": "31", "user_id": "u2"})
    assert tenants.run("erase", "--application", "31", "--user", "u2").code == 0
    assert tenants.run("run", "--once").code == 0
    assert len(of(tenants, "logs-b")) == 2
    assert any("not allowed here" in text for text in open_items(tenants, "--application", "31", "--user", "u2"))
