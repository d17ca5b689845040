"""Which indices that nobody can look into can hold no document with a field, by their mappings in the state."""

from __future__ import annotations

from typing import Any

import pytest

from naming import after, tag
from retention_enforcer.cluster.subjects.unreadable import cannot_have
from retention_enforcer.domain.policy.places import Place

KEYWORD = {"type": "keyword"}
PLAIN = {"properties": {"message": {"type": "text"}, "host": {"properties": {"name": KEYWORD}}}}


def deep(levels: int) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    for _ in range(levels):
        mapping = {"properties": {"a": mapping}}
    return mapping


@pytest.mark.parametrize(
    ("mapping", "certain"),
    [
        (PLAIN, True),
        ({**PLAIN, "dynamic": "strict"}, True),
        ({**PLAIN, "runtime": {"other": {"type": "keyword"}}}, True),
        (deep(2_000), True),
        ({"properties": {"user": {"properties": {"id": KEYWORD}}}}, False),
        ({"properties": {"user.id": KEYWORD}}, False),
        ({"properties": {"user": {"type": "flattened"}}}, False),
        ({"properties": {"user": KEYWORD}}, True),
        ({"properties": {"user": {"type": "nested", "properties": {}}}}, False),
        ({"properties": {"user": KEYWORD | {"fields": {"id": KEYWORD}}}}, False),
        ({"properties": {"user": KEYWORD | {"fields": {"raw": KEYWORD}}}}, True),
        ({"properties": {"user": {"type": "text"}}}, True),
        ({"properties": {"user": {"type": "text"}}, "enabled": False}, False),
        ({"properties": {"user": {"type": "long"}}}, False),
        ({"properties": {"user": {"type": "object", "enabled": False}}}, False),
        ({"properties": {"labels": {"type": "passthrough", "properties": {}}}}, False),
        ({**PLAIN, "subobjects": False}, False),
        ({**PLAIN, "dynamic": "false"}, False),
        ({**PLAIN, "dynamic": "runtime"}, False),
        ({"properties": {"host": {"dynamic": "runtime"}}}, False),
        ({**PLAIN, "runtime": {"user.id": {"type": "keyword"}}}, False),
        ({**PLAIN, "runtime": {"user": {"type": "composite", "fields": {"id": KEYWORD}}}}, False),
    ],
)
def test_only_a_plain_mapping_without_the_field_says_so(mapping: dict[str, Any], certain: bool) -> None:
    assert cannot_have({"mappings": {"_doc": mapping}}, [Place(field="user.id")]) is certain


@pytest.mark.parametrize(
    "index",
    [
        {"mappings": {"customer": PLAIN}},
        {"mappings": {"_doc": PLAIN}, "settings": {"index": {"mode": "logsdb"}}},
        {"mappings": {"_doc": PLAIN}, "settings": {"index": {"mapping": {"total_fields": {}}}}},
    ],
)
def test_an_index_of_another_kind_is_never_certain(index: dict[str, Any]) -> None:
    assert not cannot_have(index, [Place(field="user.id")])


def test_what_elasticsearch_keeps_of_each_document_is_in_no_mapping() -> None:
    assert not cannot_have({"mappings": {"_doc": PLAIN}}, [Place(field="_routing")])
    assert cannot_have({"mappings": {"_doc": PLAIN}}, [after("user.id=", "_q")])


@pytest.mark.parametrize(
    ("tags", "certain"),
    [
        ({"type": "nested", "properties": {"key": KEYWORD, "value": KEYWORD}}, False),
        ({"properties": {"key": KEYWORD, "value": KEYWORD}}, False),
        ({"type": "flattened"}, False),
        ({"type": "nested", "dynamic": "false", "properties": {}}, False),
        ({"type": "nested", "properties": {"other": KEYWORD}}, True),
        ({"type": "nested", "properties": {"key": KEYWORD}}, True),
        ({"properties": {"environment": KEYWORD}}, True),
        (KEYWORD, True),
        (KEYWORD | {"fields": {"value": KEYWORD}}, True),
        ({"type": "object", "enabled": False, "properties": {}}, False),
    ],
)
def test_a_pair_is_nowhere_where_its_key_or_its_value_has_no_place(tags: dict[str, Any], certain: bool) -> None:
    assert cannot_have({"mappings": {"_doc": {"properties": {"tags": tags}}}}, [tag("user.id")]) is certain


def test_a_word_in_an_object_that_nobody_reads_may_be_pairs() -> None:
    read = {"properties": {"process": {"properties": {"tags": KEYWORD}}}}
    unread = {"properties": {"process": {"enabled": False, "properties": {"tags": KEYWORD}}}}
    place = tag("user.id", path="process.tags")
    assert cannot_have({"mappings": {"_doc": read}}, [place])
    assert not cannot_have({"mappings": {"_doc": unread}}, [place])
