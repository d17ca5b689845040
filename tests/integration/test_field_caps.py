"""What indices say of their fields in one request."""

from __future__ import annotations

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.indices.mappings import TypedField, ask_field_caps


def _asked(es: Elasticsearch, names: str, prefix: str) -> dict[str, set[str]]:
    found = ask_field_caps(es, names, "*", types=["keyword"], filters="-metadata")
    return {field.name: {name.removeprefix(prefix) for name in field.indices} for field in found.fields}


def test_a_field_is_told_of_also_where_all_indices_have_it(es: Elasticsearch, prefix: str) -> None:
    for name, fields in (("one", ["a"]), ("other", ["a", "b"])):
        es.indices.create(
            index=prefix + name, mappings={"properties": {field: {"type": "keyword"} for field in fields}}
        )
    assert _asked(es, f"{prefix}one", prefix) == {"a": {"one"}}
    assert _asked(es, f"{prefix}one,{prefix}other", prefix) == {"a": {"one", "other"}, "b": {"other"}}


def test_an_index_without_the_field_answers_all_the_same(es: Elasticsearch, prefix: str) -> None:
    es.indices.create(index=f"{prefix}none")
    found = ask_field_caps(es, f"{prefix}none", ["a"])
    assert (found.indices, found.fields) == ({f"{prefix}none"}, ())


def test_what_else_is_asked_stands_beside_the_type(es: Elasticsearch, prefix: str) -> None:
    es.indices.create(index=f"{prefix}one", mappings={"properties": {"a": {"type": "keyword", "index": False}}})
    (field,) = ask_field_caps(es, f"{prefix}one", ["a"], said=["searchable", "aggregatable"]).fields
    assert field == TypedField(name="a", type="keyword", indices=frozenset({f"{prefix}one"}), caps=field.caps)
    assert field.caps["aggregatable"] is True
