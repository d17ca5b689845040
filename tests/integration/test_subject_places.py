"""A subject in one of several fields, in nested pairs of key and value, or after a text: on a real server."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import pytest
from elasticsearch import BadRequestError, Elasticsearch
from elasticsearch.helpers import bulk

from customers import add, index, now
from naming import after, field, tag
from retention_enforcer.cluster.deletion.deletion import Deletion
from retention_enforcer.cluster.expressions import batches
from retention_enforcer.cluster.limits import OWN
from retention_enforcer.cluster.subject_queries import query_of_any
from retention_enforcer.cluster.subjects.fields import Verdict, read_subject_fields
from retention_enforcer.domain.errors import ClusterUnavailable
from retention_enforcer.domain.instants import DAY, format_instant
from retention_enforcer.domain.policy.places import Key, Place, SubjectPlaces
from retention_enforcer.domain.selection import OfSubjects, Trim
from retention_enforcer.domain.subjects.identity import NUMBERS, ExactField, Inexact, Match, Subject, match, subject_of
from workbench import Workbench

KEYWORD = {"type": "keyword"}
USER = Key(path="tags", field="tags.key", text="user.id")
EXACT = ExactField(name="tags.value", key=USER)


def nested(**properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "nested", "properties": properties}


TAGS = nested(key=KEYWORD, value=KEYWORD)


def pairs(*those: tuple[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": value} for key, value in those]


def create(es: Elasticsearch, name: str, properties: Mapping[str, Any], *documents: Any, **body: Any) -> None:
    """Create an index; ids of documents are their numbers."""
    settings = {"number_of_shards": 1, "number_of_replicas": 0, **body.pop("settings", {})}
    try:
        es.indices.create(index=name, settings=settings, mappings={"properties": properties, **body})
    except BadRequestError as error:
        reason = error.body["error"]["root_cause"][0]["reason"]
        if "declared on field" in reason:
            pytest.skip(f"this server: {reason}")
        raise
    bulk(es, ({"_index": name, "_id": str(n), "_source": d} for n, d in enumerate(documents)), refresh=True)


def verdict(es: Elasticsearch, name: str, place: Place) -> Verdict:
    return read_subject_fields(es, {name: [place]}, batches, OWN)[name][place]


def matches_in(es: Elasticsearch, name: str, subject: Subject, places: SubjectPlaces) -> tuple[Match | Inexact, ...]:
    return match(subject, places, read_subject_fields(es, {name: places.all}, batches, OWN)[name])


def carrying(es: Elasticsearch, name: str, subject: Subject, places: SubjectPlaces) -> list[str]:
    """Return the numbers of the documents in one index that carry a subject, where that can be told."""
    told = matches_in(es, name, subject, places)
    assert all(isinstance(one, Match) for one in told), told
    query = query_of_any(one for one in told if isinstance(one, Match))
    return sorted((hit["_id"] for hit in es.search(index=name, query=query, size=100)["hits"]["hits"]), key=int)


# --- mappings -------------------------------------------------------------------------------------------

LOWER = {"type": "keyword", "normalizer": "lowercase"}
PAIRS: dict[str, tuple[Mapping[str, Any], Verdict | str]] = {
    "pairs": (TAGS, EXACT),
    "pairs with a type": (nested(key=KEYWORD, value=KEYWORD, type=KEYWORD), EXACT),
    "limited values": (
        nested(key=KEYWORD, value={"type": "keyword", "ignore_above": 256}),
        ExactField(name="tags.value", longest=256, key=USER),
    ),
    "numbers": (
        nested(key=KEYWORD, value={"type": "long"}),
        ExactField(name="tags.value", numeric=NUMBERS["long"], key=USER),
    ),
    "texts with keywords": (
        nested(
            key={"type": "text", "fields": {"keyword": KEYWORD}}, value={"type": "text", "fields": {"keyword": KEYWORD}}
        ),
        ExactField(name="tags.value.keyword", key=Key(path="tags", field="tags.key.keyword", text="user.id")),
    ),
    "pairs that the document has too": ({**TAGS, "include_in_root": True}, EXACT),
    "a value that is text": (nested(key=KEYWORD, value={"type": "text"}), "tags.value is of type text: map it as"),
    "a key that is text": (nested(key={"type": "text"}, value=KEYWORD), "tags.key is of type text: map it as"),
    "a key that is a number": (nested(key={"type": "long"}, value=KEYWORD), "tags.key is a number"),
    "a key that is too long": (
        nested(key={"type": "keyword", "ignore_above": 6}, value=KEYWORD),
        "tags.key does not index keys of more than 6 characters",
    ),
    "a key with a normalizer": (nested(key=LOWER, value=KEYWORD), "tags.key has a normalizer"),
    "a value with a normalizer": (nested(key=KEYWORD, value=LOWER), "tags.value has a normalizer"),
    "a value that is an object": (nested(key=KEYWORD, value={"properties": {"s": KEYWORD}}), "tags.value is an object"),
    "values that are nested too": (nested(key=KEYWORD, value=nested(s=KEYWORD)), "of type nested"),
    "plain objects": (
        {"properties": {"key": KEYWORD, "value": KEYWORD}},
        "tags is an object, not nested, so it is unknown which key belongs to which value: map it as nested",
    ),
    "plain objects of something else": ({"properties": {"environment": KEYWORD}}, None),
    "plain objects without values": ({"properties": {"key": KEYWORD}}, None),
    "plain objects that keep all": ({"dynamic": False, "properties": {"key": KEYWORD}}, "not indexed"),
    "nested objects without values": (nested(key=KEYWORD), None),
    "nested objects without keys": (nested(value=KEYWORD), None),
    "nested objects that keep all": ({**nested(key=KEYWORD), "dynamic": False}, "not indexed"),
    "nested objects that keep nothing": ({**nested(key=KEYWORD), "dynamic": "strict"}, None),
    "objects that are not indexed": ({"type": "object", "enabled": False}, "not indexed"),
    "flattened objects": ({"type": "flattened"}, "tags is of type flattened"),
    "words": (KEYWORD, None),
    "words with another below": ({"type": "keyword", "fields": {"value": KEYWORD}}, None),
    "a text": ({"type": "text"}, None),
    "a date": ({"type": "date"}, "tags is of type date"),
}


@pytest.mark.parametrize(
    ("mappings", "expected"),
    [
        ({"properties": {"tags.key": KEYWORD, "tags.value": KEYWORD}}, "tags is of type keyword, not nested"),
        ({"properties": {"tags.value": KEYWORD}}, None),
        ({"properties": {}}, None),
        ({"dynamic": False, "properties": {"tags.value": KEYWORD}}, "not indexed"),
        ({"dynamic": False, "properties": {}}, "not indexed"),
    ],
)
def test_words_may_have_other_names_below_them_where_there_are_no_objects(
    es: Elasticsearch, prefix: str, mappings: dict[str, Any], expected: str | None
) -> None:
    name = f"{prefix}logs"
    properties = {"tags": KEYWORD, **mappings.pop("properties")}
    create(es, name, properties, {"tags.key": "user.id", "tags.value": "42"}, subobjects=False, **mappings)
    if expected is None:
        es.indices.delete(index=name)
        create(es, name, properties, {"tags": "user.id"}, subobjects=False, **mappings)
    found = verdict(es, name, tag("user.id"))
    if expected is None:
        assert found is None
    else:
        assert isinstance(found, Inexact), found
        assert expected in found.reason


INNER = {"properties": {"key": KEYWORD, "value": KEYWORD}}
RAW = {"type": "text", "fields": {"raw": KEYWORD}}
WITHIN: dict[str, tuple[str, str, Mapping[str, Any], str | None]] = {
    "both": ("meta.key", "meta.value", nested(meta=INNER), "tags.meta is an object within tags, not nested"),
    "both, deeper": ("a.b.key", "a.c.value", nested(a={"properties": {"b": INNER, "c": INNER}}), "tags.a is an object"),
    "the key": ("meta.key", "value", nested(meta=INNER, value=KEYWORD), "tags.meta is an object within tags"),
    "the value": ("key", "meta.value", nested(meta=INNER, key=KEYWORD), None),
    "nested ones": ("meta.key", "meta.value", nested(meta=nested(key=KEYWORD, value=KEYWORD)), "in nested documents"),
    "no object": ("key.raw", "value.raw", nested(key=RAW, value=RAW), None),
}


@pytest.mark.parametrize("which", WITHIN)
def test_what_is_in_objects_within_nested_ones_belongs_to_no_key(es: Elasticsearch, prefix: str, which: str) -> None:
    key, value, mapping, refused = WITHIN[which]
    create(es, f"{prefix}logs", {"tags": mapping})
    place = Place(field=f"tags.{value}", key=Key(path="tags", field=f"tags.{key}", text="user.id"))
    found = verdict(es, f"{prefix}logs", place)
    if refused is None:
        assert found == ExactField(name=place.field, key=place.key)
    else:
        assert isinstance(found, Inexact), found
        assert refused in found.reason


def test_values_in_an_object_beside_the_key_are_all_of_this_key(es: Elasticsearch, prefix: str) -> None:
    """As OpenTelemetry writes them."""

    def of(key: str, *values: str) -> dict[str, Any]:
        return {"key": key, "value": [{"string": value} for value in values]}

    mapping = nested(key=KEYWORD, value={"properties": {"string": KEYWORD}})
    documents = [[of("user.id", "42")], [of("user.id", "43"), of("x", "42")], [of("user.id", "43", "42")]]
    create(es, f"{prefix}logs", {"tags": mapping}, *({"tags": those} for those in documents))
    place = Place(field="tags.value.string", key=USER)
    assert carrying(es, f"{prefix}logs", subject_of(account="42"), SubjectPlaces(account=(place,))) == ["0", "2"]


@pytest.mark.parametrize("kind", PAIRS)
def test_pairs_are_exact_absent_or_refused_by_their_mapping(es: Elasticsearch, prefix: str, kind: str) -> None:
    mapping, expected = PAIRS[kind]
    create(es, f"{prefix}logs", {"tags": mapping, "other": KEYWORD})
    found = verdict(es, f"{prefix}logs", tag("user.id"))
    if isinstance(expected, str):
        assert isinstance(found, Inexact), found
        assert expected in found.reason
    else:
        assert found == expected


@pytest.mark.parametrize("type_", ["keyword", "text", "wildcard", "match_only_text"])
def test_where_words_are_mapped_an_object_is_refused_and_never_kept(es: Elasticsearch, prefix: str, type_: str) -> None:
    name = f"{prefix}logs"
    create(es, name, {"tags": {"type": type_}}, settings={"index.mapping.ignore_malformed": True})
    for tags in (pairs(("user.id", "42")), {"key": "user.id", "value": "42"}, {"tags.key": "user.id"}):
        with pytest.raises(BadRequestError):
            es.index(index=name, document={"tags": tags})
    assert verdict(es, name, tag("user.id")) is None


def test_where_there_is_no_such_object_there_is_nobody(es: Elasticsearch, prefix: str) -> None:
    create(es, f"{prefix}logs", {"other": KEYWORD})
    create(es, f"{prefix}kept", {"other": KEYWORD}, dynamic=False)
    assert verdict(es, f"{prefix}logs", tag("user.id")) is None
    assert isinstance(verdict(es, f"{prefix}kept", tag("user.id")), Inexact)


@pytest.mark.parametrize(
    ("path", "mapping"),
    [
        ("process.tags", {"process": {"properties": {"tags": TAGS}}}),
        ("logs.fields", {"logs": nested(fields=TAGS)}),
        ("logs.more.fields", {"logs": nested(more={"properties": {"fields": TAGS}})}),
    ],
)
def test_nested_objects_may_be_in_other_objects(
    es: Elasticsearch, prefix: str, path: str, mapping: Mapping[str, Any]
) -> None:
    def document(*those: tuple[str, str]) -> dict[str, Any]:
        built: Any = pairs(*those)
        for part in reversed(path.split(".")):
            built = {part: built}
        return dict(built)

    create(es, f"{prefix}logs", mapping, document(("user.id", "42")), document(("user.id", "43"), ("x", "42")))
    places = SubjectPlaces(account=(tag("user.id", path),))
    assert carrying(es, f"{prefix}logs", subject_of(account="42"), places) == ["0"]
    assert isinstance(verdict(es, f"{prefix}logs", Place(field=f"{path}.value")), Inexact), "a plain field is not"


AFTER: dict[str, tuple[Mapping[str, Any], Verdict | str]] = {
    "keyword": (KEYWORD, ExactField(name="_q", prefix="user.id=")),
    "limited": ({"type": "keyword", "ignore_above": 256}, ExactField(name="_q", longest=256, prefix="user.id=")),
    "text": ({"type": "text"}, "_q is of type text"),
    "text with a keyword": (
        {"type": "text", "fields": {"keyword": KEYWORD}},
        ExactField(name="_q.keyword", prefix="user.id="),
    ),
    "nested": (TAGS, "_q is of type nested"),
    "long": ({"type": "long"}, None),
    "numbers where words are left out": ({"type": "long", "ignore_malformed": True}, None),
    "normalized": (LOWER, "has a normalizer"),
}


@pytest.mark.parametrize("kind", AFTER)
def test_a_field_of_texts_is_exact_or_refused_by_its_mapping(es: Elasticsearch, prefix: str, kind: str) -> None:
    mapping, expected = AFTER[kind]
    create(es, f"{prefix}logs", {"_q": mapping})
    found = verdict(es, f"{prefix}logs", after("user.id="))
    if isinstance(expected, str):
        assert isinstance(found, Inexact)
        assert expected in found.reason
    else:
        assert found == expected


@pytest.mark.parametrize("before", ["1", "-", " +", "٤"])
def test_a_number_may_begin_with_what_stands_before_the_id(es: Elasticsearch, prefix: str, before: str) -> None:
    create(es, f"{prefix}logs", {"_q": {"type": "long"}})
    found = verdict(es, f"{prefix}logs", after(before))
    assert isinstance(found, Inexact), found
    assert "_q is a number, not text: map it as keyword" in found.reason


def test_numbers_that_left_out_a_text_may_name_anybody(es: Elasticsearch, prefix: str) -> None:
    create(es, f"{prefix}logs", {"_q": {"type": "long", "ignore_malformed": True}}, {"_q": "user.id=42"}, {"_q": 42})
    assert isinstance(verdict(es, f"{prefix}logs", after("user.id=")), Inexact)


# --- values that are left out -----------------------------------------------------------------------------

SHORT = nested(key={"type": "keyword", "ignore_above": 10}, value={"type": "keyword", "ignore_above": 8})


@pytest.mark.parametrize(
    ("those", "refused"),
    [
        ([("user.id", "42"), ("sql", "x" * 20)], False),
        ([("user.id", "42"), ("sql", None)], False),
        ([("user.id", None)], False),
        ([("user.id", "x" * 20)], True),
        ([("user.id", "42"), ("user.id", "x" * 20)], True),
        ([("k" * 20, "42")], True),
    ],
)
def test_only_a_value_of_the_key_that_was_left_out_counts(
    es: Elasticsearch, prefix: str, those: list[tuple[str, Any]], refused: bool
) -> None:
    create(es, f"{prefix}logs", {"tags": SHORT}, {"tags": pairs(*those)}, {"tags": pairs(("user.id", "42"))})
    found = verdict(es, f"{prefix}logs", tag("user.id"))
    assert isinstance(found, Inexact) is refused
    if isinstance(found, Inexact):
        assert found.reason.startswith("1 document with a value in tags.value")


def test_a_number_of_several_that_was_left_out_may_be_anybodys(es: Elasticsearch, prefix: str) -> None:
    numbers = nested(key=KEYWORD, value={"type": "long", "ignore_malformed": True})
    create(es, f"{prefix}logs", {"tags": numbers}, {"tags": pairs(("user.id", [7, "eve"]))})
    found = verdict(es, f"{prefix}logs", tag("user.id"))
    assert isinstance(found, Inexact), found
    assert found.reason.startswith("1 document with a value in tags.value")


def test_objects_that_had_no_place_any_more_are_not_absent(es: Elasticsearch, prefix: str) -> None:
    limits = {"index.mapping.total_fields.limit": 2, "index.mapping.total_fields.ignore_dynamic_beyond_limit": True}
    create(es, f"{prefix}logs", {"o": KEYWORD, "tags": nested()}, {"tags": pairs(("user.id", "42"))}, settings=limits)
    create(es, f"{prefix}more", {"o": KEYWORD, "p": KEYWORD}, {"tags": pairs(("user.id", "42"))}, settings=limits)
    assert isinstance(verdict(es, f"{prefix}logs", tag("user.id")), Inexact)
    assert isinstance(verdict(es, f"{prefix}more", tag("user.id")), Inexact)


@pytest.mark.parametrize("younger", ["key", "value"])
def test_nested_objects_older_than_the_keyword_beside_a_text_of_theirs_are_in_doubt(
    es: Elasticsearch, prefix: str, younger: str
) -> None:
    text = {"type": "text"}
    both = {"key": KEYWORD, "value": KEYWORD, younger: text}
    create(es, f"{prefix}logs", {"tags": nested(**both)}, {"tags": pairs(("user.id", "42"))}, {"other": 1})
    both[younger] = {**text, "fields": {"keyword": KEYWORD}}
    es.indices.put_mapping(index=f"{prefix}logs", properties={"tags": nested(**both)})
    es.index(index=f"{prefix}logs", document={"tags": pairs(("user.id", "42"), ("sql", "1"))}, refresh=True)
    found = verdict(es, f"{prefix}logs", tag("user.id"))
    assert isinstance(found, Inexact), found
    assert found.reason.startswith(f"1 document with tags.{younger} but without tags.{younger}.keyword")
    assert found.certain is not None


def test_a_text_that_was_left_out_may_name_anybody(es: Elasticsearch, prefix: str) -> None:
    create(es, f"{prefix}logs", {"_q": {"type": "keyword", "ignore_above": 12}}, {"_q": ["user.id=42", "x" * 20]})
    assert isinstance(verdict(es, f"{prefix}logs", after("user.id=")), Inexact)


# --- documents --------------------------------------------------------------------------------------------


def test_key_and_value_are_of_one_object(es: Elasticsearch, prefix: str) -> None:
    documents = [
        pairs(("user.id", "42"), ("x", "43")),
        pairs(("user.id", "43"), ("x", "42")),
        pairs(("x", "1"), ("user.id", "42")),
        pairs(("user.id", 42)),
        pairs(("user.id", ["42", "43"])),
        pairs(("user.id.x", "42")),
        pairs(("user.id", "421")),
        {"key": "user.id", "value": "42"},
        [{"key": "user.id"}],
    ]
    create(es, f"{prefix}logs", {"tags": TAGS}, *({"tags": those} for those in documents))
    places = SubjectPlaces(account=(tag("user.id"),))
    assert carrying(es, f"{prefix}logs", subject_of(account="42"), places) == ["0", "2", "3", "4", "7"]
    assert carrying(es, f"{prefix}logs", subject_of(account="43"), places) == ["1", "4"]


@pytest.mark.parametrize(
    "document",
    [
        {"tags": [{"key": "user.id"}, {"value": "42"}]},
        {"tags.key": "user.id", "tags.value": "42"},
        {"tags": [{"key": ["user.id", "friend"], "value": ["43", "42"]}]},
        {"tags": [{"key": ["a", "user.id"], "value": ["42", "43"]}]},
    ],
)
def test_objects_that_mix_keys_and_values_up_are_in_doubt(
    es: Elasticsearch, prefix: str, document: dict[str, Any]
) -> None:
    create(es, f"{prefix}logs", {"tags": TAGS}, document, {"tags": pairs(("user.id", "42"))})
    found = verdict(es, f"{prefix}logs", tag("user.id"))
    assert isinstance(found, Inexact)
    assert found.reason.startswith("1 document with objects in which it is unknown")
    assert verdict(es, f"{prefix}logs", tag("unrelated")) == ExactField(
        name="tags.value", key=Key(path="tags", field="tags.key", text="unrelated")
    )


def test_the_text_before_the_id_is_part_of_the_term(es: Elasticsearch, prefix: str) -> None:
    texts = ["user.id=42", ["user.id", "42"], "user.id=421", "xuser.id=42", ["a", "user.id=42", "b"], "user.id=", "42"]
    create(es, f"{prefix}logs", {"_q": KEYWORD}, *({"_q": text} for text in texts))
    places = SubjectPlaces(account=(after("user.id="),))
    assert carrying(es, f"{prefix}logs", subject_of(account="42"), places) == ["0", "4"]


LISTED = SubjectPlaces(account=(*field("sender"), *field("recipient"), tag("user.id"), after("user.id=")))


def test_any_of_several_places_is_enough_and_each_is_judged_by_itself(es: Elasticsearch, prefix: str) -> None:
    documents = [
        {"sender": "42"},
        {"recipient": ["41", 42]},
        {"tags": pairs(("user.id", "42"))},
        {"_q": ["x", "user.id=42"]},
        {"sender": "42", "recipient": "42", "_q": "user.id=42"},
        {"sender": "41", "recipient": 43, "tags": pairs(("x", "42")), "_q": "42"},
        {},
    ]
    kinds = {"sender": KEYWORD, "recipient": {"type": "long"}, "tags": TAGS, "_q": KEYWORD}
    create(es, f"{prefix}logs", kinds, *documents)
    found = ["0", "1", "2", "3", "4"]
    assert carrying(es, f"{prefix}logs", subject_of(account="42"), LISTED) == found
    assert carrying(es, f"{prefix}logs", subject_of(account="eve"), LISTED) == []

    create(es, f"{prefix}text", {**kinds, "sender": {"type": "text"}}, *documents)
    told, doubt = matches_in(es, f"{prefix}text", subject_of(account="42"), LISTED)
    assert isinstance(told, Match)
    assert isinstance(doubt, Inexact)
    assert "sender is of type text" in doubt.reason
    hits = es.search(index=f"{prefix}text", query=query_of_any([told]))["hits"]["hits"]
    assert sorted(hit["_id"] for hit in hits) == ["1", "2", "3", "4"]


def test_what_goes_is_counted_for_whom_it_was_also_without_its_source(es: Elasticsearch, prefix: str) -> None:
    kinds = {"sender": KEYWORD, "recipient": {"type": "long"}, "tags": TAGS, "_q": KEYWORD}
    documents = [
        {"sender": "42", "recipient": 43},
        {"tags": pairs(("user.id", "42"), ("x", "43"))},
        {"tags": pairs(("user.id", "43"), ("user.id", "42"))},
        {"_q": ["user.id=43", "user.id=44"]},
        {"sender": "44", "tags": pairs(("user.id", "44"), ("x", "42"))},
    ]
    name = f"{prefix}logs"
    create(es, name, kinds, *documents, _source={"enabled": False})
    uuid = es.indices.get_settings(index=name)[name]["settings"]["index"]["uuid"]
    told = [
        Match(parts=one.parts, label=id_)
        for id_ in ("42", "43")
        for one in matches_in(es, name, subject_of(account=id_), LISTED)
        if isinstance(one, Match)
    ]
    trimmed = Deletion(es).trim(Trim(index=name, uuid=uuid, takes=OfSubjects(matches=tuple(told))), nullcontext)
    assert (trimmed.deleted, trimmed.left, trimmed.by_label) == (4, 0, {"42": 3, "43": 3})
    assert [hit["_id"] for hit in es.search(index=name)["hits"]["hits"]] == ["4"]


def test_of_many_objects_of_one_key_those_that_are_not_read_count_as_others(es: Elasticsearch, prefix: str) -> None:
    kinds = {"app": KEYWORD, "tags": TAGS}
    name = f"{prefix}logs"
    alike, many = pairs(*[("user.id", "42")] * 3), pairs(*(("user.id", str(n)) for n in range(3)))
    create(
        es, name, kinds, {"app": "1", "tags": alike[:2]}, {"app": "1", "tags": alike}, {"app": "1", "tags": many},
        settings={"index.max_inner_result_window": 2},
    )  # fmt: skip
    uuid = es.indices.get_settings(index=name)[name]["settings"]["index"]["uuid"]
    places = SubjectPlaces(application=field("app"), user=(tag("user.id"),))
    (told,) = matches_in(es, name, subject_of(application="1", user="42"), places)
    assert isinstance(told, Match)
    takes = OfSubjects(matches=(Match(parts=told.parts, label="42", single=True),))
    trimmed = Deletion(es).trim(Trim(index=name, uuid=uuid, takes=takes), nullcontext)
    assert (trimmed.deleted, trimmed.left, trimmed.by_label) == (1, 1, {"42": 1}), "it is said that one is left"


# --- whole commands ---------------------------------------------------------------------------------------

POLICY = """\
version: 1
name: {prefix}policy
margin: 1h
on_request: 7d
categories:
  - id: mails
    clause: {{document: Test promises, section: "1", item: mails, updated: 2026-01-01}}
    indices: ["{prefix}mails-*"]
    subjects: {{account: [envelope.sender, envelope.recipient]}}
    max_age: {max_age}
  - id: spans
    clause: {{document: Test promises, section: "2", item: spans, updated: 2026-01-01}}
    indices: ["{prefix}spans-*"]
    subjects:
      account: {{path: tags, key: tenant}}
      application: service
      user: [{{path: tags, key: user.id, value: value}}, {{path: tags, key: enduser.id}}]
    max_age: {max_age}
  - id: traces
    clause: {{document: Test promises, section: "3", item: traces, updated: 2026-01-01}}
    indices: ["{prefix}traces-*"]
    subjects: {{account: {{field: _q, prefix: tenant=}}, application: service, user: {{field: _q, prefix: user.id=}}}}
    max_age: {max_age}
  - id: tenants
    clause: {{document: Test promises, section: "4", item: tenants, updated: 2026-01-01}}
    indices: ["{prefix}own-{{application}}-x"]
    subjects: {{application: [service, {{path: tags, key: service}}]}}
    after_termination: 7d
"""
OWNERS = """\
  - id: owners
    clause: {{document: Test promises, section: "5", item: owners, updated: 2026-01-01}}
    indices: ["{prefix}owners"]
    subjects: {{account: uin, application: service}}
    owns: {{account: uin, application: service}}
    after_termination: 7d
  - id: data
    clause: {{document: Test promises, section: "6", item: data, updated: 2026-01-01}}
    indices: ["{prefix}data-*"]
    subjects: {{account: [uin, {{field: q, prefix: uin=}}], application: service}}
    after_termination: 7d
"""
AT = {"@timestamp": {"type": "date"}}
MAILS = {"properties": {**AT, "envelope": {"properties": {"sender": KEYWORD, "recipient": KEYWORD}}}}
SPANS = {"properties": {**AT, "service": KEYWORD, "tags": TAGS}}
TRACES = {"properties": {**AT, "service": KEYWORD, "_q": KEYWORD}}


@pytest.fixture
def places(bench: Workbench) -> Workbench:
    """Accounts, applications and users in places of all kinds; no run waits for erasures."""
    bench.erases_for = 0
    bench.policy_text = POLICY
    bench.settings["ENFORCER_GRACE"] = "0s"
    bench.ready()
    return bench


def test_policy_show_says_where_subjects_are(places: Workbench) -> None:
    shown = {one["id"]: one for one in places.run("policy", "show", "--output", "json").json["categories"]}
    assert shown["mails"]["subjects"] == {"account": ["envelope.sender", "envelope.recipient"]}
    assert shown["spans"]["subjects"]["user"] == [
        "tags.value where tags.key is user.id",
        "tags.value where tags.key is enduser.id",
    ]
    assert shown["traces"]["subjects"]["account"] == ["_q after tenant="]
    assert shown["mails"]["owns"] == {}
    assert "envelope.sender" in places.run("policy", "show").out


def mail(sender: str, *recipients: str) -> dict[str, Any]:
    return {"note": f"{sender}>{'+'.join(recipients)}", "envelope": {"sender": sender, "recipient": list(recipients)}}


def span(service: str, *those: tuple[str, Any]) -> dict[str, Any]:
    note = f"{service}: {' '.join(f'{key}={value}' for key, value in those)}"
    return {"note": note, "service": service, "tags": pairs(*those)}


def trace(service: str, *texts: str) -> dict[str, Any]:
    return {"note": f"{service}: {' '.join(texts)}", "service": service, "_q": list(texts)}


def left(bench: Workbench, name: str) -> list[str] | None:
    if bench.is_gone(name):
        return None
    bench.es.indices.refresh(index=bench.prefix + name)
    hits = bench.es.search(index=bench.prefix + name, size=100)["hits"]["hits"]
    return sorted(str(hit["_source"].get("note")) for hit in hits)


def certificate(bench: Workbench, *subject: str) -> tuple[dict[str, Any], list[str]]:
    ran = bench.run("certificate", *subject, "--output", "json")
    assert ran.out, ran.err
    return ran.json[0], [item["text"] for item in ran.json[0]["open_items"]]


def erased(bench: Workbench, *subject: str) -> int:
    """Ask for the erasure of a subject, run, and return how many documents went."""
    assert bench.run("erase", *subject).code == 0
    ran = bench.run("run", "--once")
    assert ran.code in (0, 3), ran.err
    return int(bench.run("terminations", "--output", "json").json[-1]["documents_purged"])


def test_an_account_in_either_of_two_fields_goes_from_both(places: Workbench, prefix: str) -> None:
    me, other = f"{prefix}me", f"{prefix}other"
    index(places, "mails-a", mail(me, other), mail(other, me), mail(other, other, me), mail(other), mappings=MAILS)
    assert erased(places, "--account", me) == 3
    assert left(places, "mails-a") == [f"{other}>"]
    add(places, "mails-a", mail(other, me))
    assert places.run("run", "--once").code == 0
    assert left(places, "mails-a") == [f"{other}>"], "what comes late goes as well"
    found, texts = certificate(places, "--account", me)
    assert found["found_now"]["mails"] == 0
    assert not [text for text in texts if prefix in text and "segment files" not in text]


def test_an_account_in_nested_pairs_goes_with_whole_documents(places: Workbench, prefix: str) -> None:
    me, other = f"{prefix}me", f"{prefix}other"
    mine, theirs = span("s", ("tenant", me), ("a", "1"), ("b", "2")), span("s", ("tenant", other), ("a", me))
    index(places, "spans-a", mine, mine, theirs, span("s"), mappings=SPANS)
    assert erased(places, "--account", me) == 2, "documents count, and not the objects in them"
    assert left(places, "spans-a") == sorted([theirs["note"], "s: "])
    (outcome,) = [r for r in places.records() if r["kind"] == "outcome" and r["action"] == "delete_documents"]
    assert outcome["evidence"]["documents"] == 2
    found, texts = certificate(places, "--account", me)
    assert found["found_now"]["spans"] == 0
    assert not [text for text in texts if prefix in text and "segment files" not in text]


def test_an_account_after_a_text_goes_and_longer_ids_stay(places: Workbench, prefix: str) -> None:
    me = f"{prefix}me"
    mine, other = trace("s", f"tenant={me}", "x"), trace("s", f"tenant={me}2", me, f"user.id={me}")
    index(places, "traces-a", mine, other, mappings=TRACES)
    assert erased(places, "--account", me) == 1
    assert left(places, "traces-a") == [other["note"]]


def test_a_user_of_an_application_is_one_of_one_user_in_whichever_places(places: Workbench, prefix: str) -> None:
    app, me, other = f"{prefix}app", f"{prefix}me", f"{prefix}other"
    gone = [
        span(app, ("user.id", me)),
        span(app, ("enduser.id", me), ("user.id", me)),
        span(app, ("user.id", [me, me]), ("x", other)),
    ]
    in_doubt = [span(app, ("user.id", me), ("enduser.id", other)), span(app, ("user.id", me), ("user.id", other))]
    stay = [span(other, ("user.id", me)), span(app, ("user.id", other), ("x", me)), span(app, ("user.idx", me))]
    index(places, "spans-a", *gone, *in_doubt, *stay, mappings=SPANS)
    texts_gone = [trace(app, f"user.id={me}", "error", f"x={other}"), trace(app, f"user.id={me}", f"user.id={me}")]
    texts_stay = [trace(app, f"user.id={me}", f"user.id={other}"), trace(app, f"user.id={other}", me)]
    index(places, "traces-a", *texts_gone, *texts_stay, mappings=TRACES)
    user = ("--application", app, "--user", me)
    assert erased(places, *user) == 5
    assert left(places, "spans-a") == sorted(one["note"] for one in in_doubt + stay)
    assert left(places, "traces-a") == sorted(one["note"] for one in texts_stay)
    _, texts = certificate(places, *user)
    assert [t for t in texts if "spans-a" in t and "2 documents with several values in service or tags.value" in t]
    assert [t for t in texts if "traces-a" in t and "1 document with several values in _q or service" in t]


def test_many_users_are_counted_each_for_itself(places: Workbench, prefix: str) -> None:
    app = f"{prefix}app"
    for n in range(3):
        assert places.run("erase", "--application", app, "--user", f"u{n}").code == 0
    documents = [span(app, ("user.id", f"u{n}"), ("x", "u0")) for n in range(5) for _ in range(n + 1)]
    index(places, "spans-a", *documents, mappings=SPANS)
    assert places.run("run", "--once").code == 0
    counted = [t["documents_purged"] for t in places.run("terminations", "--output", "json").json]
    assert counted == [1, 2, 3]
    assert len(left(places, "spans-a") or []) == 9


@pytest.mark.parametrize(
    ("target", "spared"),
    [
        (("--account", "me"), ["me>you", "you>me"]),
        (("--account", "you"), ["me>you", "you>me", "you>them"]),
    ],
)
def test_a_hold_spares_whom_it_is_on_in_each_of_the_fields(
    places: Workbench, target: tuple[str, str], spared: list[str]
) -> None:
    mails = [mail("me", "you"), mail("you", "me"), mail("you", "them"), mail("them", "they")]
    index(places, "mails-a", *({**one, "@timestamp": now() - 20 * DAY} for one in mails), mappings=MAILS)
    words = ("--owner", "legal", "--reason", "a case", "--until", format_instant(now() + 10 * DAY))
    added = places.run("hold", "add", *target, *words)
    assert added.code == 0, added.err
    assert places.run("run", "--once").code == 3, "what is held is past its limit"
    assert left(places, "mails-a") == sorted(spared)


def test_a_hold_turns_a_whole_deletion_into_a_trim_that_spares_pairs_and_texts(places: Workbench) -> None:
    old = {"@timestamp": now() - 20 * DAY}
    spans = [span("s", ("user.id", "me")), span("s", ("user.id", "me"), ("enduser.id", "you")), span("s", ("x", "me"))]
    traces = [trace("s", "user.id=me", "user.id=you"), trace("s", "user.id=you", "me"), trace("t", "user.id=me")]
    index(places, "spans-a", *({**one, **old} for one in spans), mappings=SPANS)
    index(places, "traces-a", *({**one, **old} for one in traces), mappings=TRACES)
    words = ("--owner", "legal", "--reason", "a case", "--until", format_instant(now() + 10 * DAY))
    assert places.run("hold", "add", "--application", "s", "--user", "me", *words).code == 0
    planned = places.run("plan", "--output", "json")
    assert [p["action"] for p in planned.plan("spans")["purge"]] == ["delete_documents"]
    assert places.run("run", "--once").code == 3
    assert left(places, "spans-a") == sorted(one["note"] for one in spans[:2]), "a hold rather keeps too much"
    assert left(places, "traces-a") == [traces[0]["note"]]
    (listed,) = places.run("hold", "list", "--output", "json").json
    places.policy_text = POLICY.replace(", {{path: tags, key: enduser.id}}]", "]")
    refused = places.run("policy", "accept")
    assert refused.code == 4, "the hold covers less under a policy that names fewer places"
    assert listed["id"] in refused.err


def test_where_a_place_cannot_tell_the_others_do_and_it_is_said(places: Workbench, prefix: str) -> None:
    me, other = f"{prefix}me", f"{prefix}other"
    sender = {"envelope": {"properties": {"sender": {"type": "text"}, "recipient": KEYWORD}}}
    index(places, "mails-a", mail(other, me), mail(me, other), mappings={"properties": {**AT, **sender}})
    plain = {"properties": {"key": KEYWORD, "value": KEYWORD}}
    index(places, "spans-a", span("s", ("tenant", me)), mappings={"properties": {**SPANS["properties"], "tags": plain}})
    assert erased(places, "--account", me) == 1
    assert left(places, "mails-a") == [f"{me}>{other}"]
    assert left(places, "spans-a") == [f"s: tenant={me}"]
    _, texts = certificate(places, "--account", me)
    mine = " ".join(text for text in texts if prefix in text)
    assert "mails-a is unknown: envelope.sender is of type text: map it as keyword" in mine
    assert re.search("spans-a is unknown: tags is an object, not nested,.* map it as nested", mine)


UP_TO_20 = {"type": "keyword", "ignore_above": 20}
TOO_LONG = "x" * 30


def short(me: str, other: str) -> dict[str, tuple[dict[str, Any], list[dict[str, Any]]]]:
    """By index, a mapping that leaves long values out, and a document of mine, of another's, and with such a value."""
    named = {"properties": {**AT, "envelope": {"properties": {"sender": UP_TO_20, "recipient": KEYWORD}}}}
    return {
        "mails-a": (named, [mail(me, other), mail(other, other), mail(TOO_LONG, other)]),
        "spans-a": (
            {"properties": {**SPANS["properties"], "tags": nested(key=KEYWORD, value=UP_TO_20)}},
            [span("s", ("tenant", me)), span("s", ("tenant", other)), span("s", ("tenant", TOO_LONG))],
        ),
        "traces-a": (
            {"properties": {**TRACES["properties"], "_q": UP_TO_20}},
            [trace("s", f"tenant={me}"), trace("s", f"tenant={other}"), trace("s", f"tenant={TOO_LONG}")],
        ),
    }


def test_one_value_that_was_left_out_keeps_no_other_document_from_being_erased(places: Workbench, prefix: str) -> None:
    """Whose that one is nobody can tell; of the others that is certain."""
    me, other = f"{prefix}me", f"{prefix}o"
    made = short(me, other)
    for name, (mapping, documents) in made.items():
        index(places, name, *documents, mappings=mapping)
    assert erased(places, "--account", me) == 3
    for name, (_, documents) in made.items():
        assert left(places, name) == sorted(one["note"] for one in documents[1:])
    found, texts = certificate(places, "--account", me)
    assert not found["final"]
    for name in made:
        assert any(f"{name} is unknown" in text and "1 document with a value in" in text for text in texts), texts


def test_a_pair_is_not_told_where_a_value_was_left_out(places: Workbench, prefix: str) -> None:
    """It may be of a second user, and nobody can tell which of both belongs to the application."""
    app, me = f"{prefix}app", f"{prefix}me"
    mapping = {"properties": {**SPANS["properties"], "tags": nested(key=KEYWORD, value=UP_TO_20)}}
    index(places, "spans-a", span(app, ("user.id", me)), span(app, ("user.id", TOO_LONG)), mappings=mapping)
    assert erased(places, "--application", app, "--user", me) == 0
    assert len(left(places, "spans-a") or []) == 2


def test_a_hold_keeps_an_index_whole_in_which_a_value_was_left_out(places: Workbench, prefix: str) -> None:
    me = f"{prefix}me"
    made = short(me, f"{prefix}o")
    for name, (mapping, documents) in made.items():
        index(places, name, *({**one, "@timestamp": now() - 20 * DAY} for one in documents), mappings=mapping)
    words = ("--owner", "legal", "--reason", "a case", "--until", format_instant(now() + 10 * DAY))
    assert places.run("hold", "add", "--account", me, *words).code == 0
    assert places.run("run", "--once").code == 3
    for name, (_, documents) in made.items():
        assert left(places, name) == sorted(one["note"] for one in documents)


@pytest.mark.parametrize("doubt", ["a text", "left out", "worse since"])
def test_what_an_interrupted_purge_took_is_counted_where_another_place_cannot_tell(
    places: Workbench, prefix: str, monkeypatch: pytest.MonkeyPatch, doubt: str
) -> None:
    """By the places it was counted in; where these are fewer now, what is left cannot be told from what went."""
    me, other = f"{prefix}me", f"{prefix}other"
    sender = {"type": "text"} if doubt == "a text" else UP_TO_20
    mapping = {"properties": {**AT, "envelope": {"properties": {"sender": sender, "recipient": KEYWORD}}}}
    index(places, "mails-a", mail(other, me), mail(other, me), mail(TOO_LONG, other), mappings=mapping)
    original = Deletion.trim

    def killed(self: Deletion, trim: Any, permit: Any) -> Any:
        original(self, trim, permit)
        if doubt == "worse since":
            computed = {"envelope.recipient": {"type": "keyword"}}
            places.es.indices.put_mapping(index=f"{prefix}mails-a", runtime=computed)
        raise ClusterUnavailable("away")

    monkeypatch.setattr(Deletion, "trim", killed)
    assert places.run("erase", "--account", me).code == 0
    assert places.run("run", "--once").code in (0, 1, 3)
    monkeypatch.setattr(Deletion, "trim", original)
    assert left(places, "mails-a") == [f"{TOO_LONG}>{other}"]
    assert places.run("run", "--once").code in (0, 3)
    (asked,) = places.run("terminations", "--output", "json").json
    assert asked["documents_purged"] == (0 if doubt == "worse since" else 2)


def test_what_an_interrupted_purge_took_is_not_counted_by_other_places_than_before(
    places: Workbench, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many places are not the same ones."""
    me, other = f"{prefix}me", f"{prefix}other"
    mapping = {"properties": {**AT, "envelope": {"properties": {"sender": {"type": "text"}, "recipient": KEYWORD}}}}
    index(places, "mails-a", mail(other, me), mail(other, me), mail(other, other), mappings=mapping)

    def killed(self: Deletion, trim: Any, permit: Any) -> Any:
        computed = {"envelope.recipient": {"type": "keyword"}}
        sender = {"envelope": {"properties": {"sender": {"type": "text", "fields": {"keyword": KEYWORD}}}}}
        places.es.indices.put_mapping(index=f"{prefix}mails-a", runtime=computed, properties=sender)
        raise ClusterUnavailable("away")

    original = Deletion.trim
    monkeypatch.setattr(Deletion, "trim", killed)
    assert places.run("erase", "--account", me).code == 0
    assert places.run("run", "--once").code in (0, 1, 3)
    monkeypatch.setattr(Deletion, "trim", original)
    assert places.run("run", "--once").code in (0, 3)
    assert len(left(places, "mails-a") or []) == 3
    (asked,) = places.run("terminations", "--output", "json").json
    assert asked["documents_purged"] == 0


def test_what_stands_in_objects_within_a_pair_is_nobodys(places: Workbench, prefix: str) -> None:
    me, other = f"{prefix}me", f"{prefix}other"
    places.policy_text = POLICY.replace("key: tenant}}", "key: tenant, key_field: meta.key, value: meta.value}}")
    assert places.run("policy", "accept").code == 0
    documents = [{"note": "stays", "tags": [{"meta": pairs(("tenant", other), ("friend", me))}]}]
    index(places, "spans-a", *documents, mappings={"properties": {**SPANS["properties"], "tags": nested(meta=INNER)}})
    assert erased(places, "--account", me) == 0
    assert left(places, "spans-a") == ["stays"]
    _, texts = certificate(places, "--account", me)
    assert any("spans-a" in text and "tags.meta is an object within tags" in text for text in texts)


def test_what_is_copied_into_a_field_is_not_taken_for_what_stands_there(places: Workbench, prefix: str) -> None:
    me, other = f"{prefix}me", f"{prefix}other"
    envelope = {"properties": {"sender": KEYWORD, "recipient": KEYWORD}}
    copied = {"properties": {**AT, "envelope": envelope, "mentions": {**KEYWORD, "copy_to": "envelope.sender"}}}
    index(places, "mails-a", {**mail(other, other), "mentions": me}, mail(other, me), mappings=copied)
    assert erased(places, "--account", me) == 1
    assert left(places, "mails-a") == [f"{other}>{other}"]
    _, texts = certificate(places, "--account", me)
    assert any("mails-a" in text and "other fields into envelope.sender" in text for text in texts)


def test_a_number_where_others_have_a_text_before_the_id_spoils_no_query(places: Workbench, prefix: str) -> None:
    places.policy_text = POLICY + OWNERS
    assert places.run("policy", "accept").code == 0
    owner, application = f"{prefix}owner", f"{prefix}a"
    numbers = {"properties": {**AT, "uin": KEYWORD, "q": {"type": "long"}, "service": KEYWORD}}
    index(places, "owners", {"uin": owner, "service": application}, mappings=numbers)
    mine = [{"service": application, "q": 1}, {"service": application, "uin": owner}]
    others = {"note": "stays", "service": application, "uin": f"{prefix}other"}
    index(places, "data-a", *mine, others, mappings=numbers)
    assert places.run("terminate", "--account", owner).code == 0
    ran = places.run("run", "--once")
    assert ran.code in (0, 3), ran.err
    assert left(places, "data-a") == ["stays"]


@pytest.mark.parametrize("stranger", [None, {"service": "other"}, {"tags": pairs(("x", "mine"))}])
def test_a_tenants_own_index_goes_whole_only_if_every_document_carries_it(
    places: Workbench, stranger: dict[str, Any] | None
) -> None:
    mine = [{"service": "mine"}, {"tags": pairs(("service", "mine"))}, {"service": "mine", "tags": pairs(("a", "b"))}]
    others = [{"note": "stays", **stranger}] if stranger else []
    index(places, "own-mine-x", *mine, *others, mappings=SPANS)
    assert places.run("terminate", "--application", "mine").code == 0
    assert places.run("run", "--once").code == 0
    assert left(places, "own-mine-x") == (["stays"] if stranger else None)


def test_copies_outside_are_looked_into_by_all_places(places: Workbench, prefix: str) -> None:
    me, other = f"{prefix}me", f"{prefix}other"
    index(places, "copy-mails", mail(other, me), mail(other), mappings=MAILS)
    index(places, "copy-spans", span("s", ("tenant", me)), span("s", ("tenant", other), ("x", me)), mappings=SPANS)
    index(places, "copy-traces", trace("s", f"tenant={me}"), trace("s", me), mappings=TRACES)
    index(places, "words", {"tags": [me, "tenant"]}, mappings={"properties": {**AT, "tags": KEYWORD}})
    plain = {"properties": {**AT, "tags": {"properties": {"key": KEYWORD, "value": KEYWORD}}}}
    index(places, "plain", {"tags": pairs(("tenant", me))}, mappings=plain)
    assert places.run("erase", "--account", me).code == 0
    places.run("run", "--once")
    _, texts = certificate(places, "--account", me)
    mine = sorted(text.removeprefix(prefix) for text in texts if text.startswith(prefix))
    assert [text.partition(",")[0] for text in mine] == ["copy-mails", "copy-spans", "copy-traces", "plain"]
    assert all("has 1 document of the subject" in text for text in mine[:3])
    assert "could not be searched: tags is an object, not nested" in mine[3]
    found = places.run("report", "--output", "json").json["findings"]
    suspected = " ".join(one["text"] for one in found if one["kind"] == "suspected-copy")
    assert all(f"{prefix}copy-{name}" in suspected for name in ("mails", "spans", "traces"))


def test_a_number_in_another_spelling_is_said_in_each_place(places: Workbench) -> None:
    index(places, "spans-a", mappings=SPANS)
    text = f'{{"@timestamp": {now() - DAY}, "service": "s", "tags": [{{"key": "tenant", "value": 1.4e9}}]}}'
    places.es.perform_request(
        "POST",
        f"/{places.prefix}spans-a/_doc?refresh=true",
        body=text,
        headers={"content-type": "application/json", "accept": "application/json"},
    )
    index(places, "traces-a", trace("s", "tenant=1400000000.0"), mappings=TRACES)
    assert erased(places, "--account", "1400000000") == 0
    _, texts = certificate(places, "--account", "1400000000")
    for name in ("spans-a", "traces-a"):
        assert [t for t in texts if f"{places.prefix}{name}" in t and "1 document with this id as a number in" in t]
