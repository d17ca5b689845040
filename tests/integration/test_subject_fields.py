"""Which documents carry exactly an id, on a real server: each kind of mapping is exact, absent or refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from elastic_transport import Urllib3HttpNode
from elasticsearch import BadRequestError, Elasticsearch
from elasticsearch.helpers import bulk

from naming import named
from retention_enforcer.cluster.expressions import Batch, batches, packed
from retention_enforcer.cluster.limits import OWN
from retention_enforcer.cluster.subject_queries import query_of_any
from retention_enforcer.cluster.subjects.fields import _NO_OBJECTS, Verdict, read_subject_fields
from retention_enforcer.domain.policy.places import Place
from retention_enforcer.domain.subjects.identity import NUMBERS, ExactField, Inexact, Match, Subject, match, subject_of

if TYPE_CHECKING:
    from conftest import Server

FIELDS = named(account="uin", application="app", user="user.id")
ALL = ("uin", "app", "user.id")
MANY = (*ALL, *(f"one.of.more.names.than.have.room.in.one.url.{number}" for number in range(9)))
"""With these, mappings are read as a whole."""
KEYWORD = {"type": "keyword"}
LONG = {"type": "long"}


def create(es: Elasticsearch, name: str, mappings: Mapping[str, Any], *documents: Any, **settings: Any) -> None:
    """Create an index, or skip the test where the server has no such mapping; ids of documents are their numbers."""
    settings = {"number_of_shards": 1, "number_of_replicas": 0, **settings}
    try:
        es.indices.create(index=name, settings=settings, mappings=mappings)
    except BadRequestError as error:
        reason = error.body["error"]["root_cause"][0]["reason"]
        if any(words in reason for words in ("declared on field", "unknown setting", "script_lang not supported")):
            pytest.skip(f"this server: {reason}")
        raise
    write(es, name, *documents)


def write(es: Elasticsearch, name: str, *documents: Any) -> None:
    actions = ({"_index": name, "_id": str(number), "_source": d} for number, d in enumerate(documents))
    bulk(es, actions, refresh=True)


def read(es: Elasticsearch, name: str, *fields: str) -> dict[str, Verdict]:
    return read_together(es, name, [name], fields or ALL)[name]


def read_together(
    es: Elasticsearch, expression: str, names: Sequence[str], fields: Sequence[str]
) -> dict[str, dict[str, Verdict]]:
    """What is said of some indices that one expression reaches."""
    wanted = dict.fromkeys(names, tuple(Place(field=name) for name in fields))
    found = read_subject_fields(es, wanted, lambda some: [Batch(expression, tuple(some))], OWN)
    return {index: {place.field: verdict for place, verdict in those.items()} for index, those in found.items()}


def found_in(es: Elasticsearch, name: str, subject: Subject) -> Match | Inexact | None:
    """Return what is told of a subject in one index: at most one thing is."""
    exact = {Place(field=field): verdict for field, verdict in read(es, name).items()}
    told = match(subject, FIELDS, exact)
    assert len(told) < 2
    return told[0] if told else None


def carrying(es: Elasticsearch, name: str, subject: Subject) -> list[str] | Inexact | None:
    """Return the numbers of the documents in one index that carry a subject."""
    found = found_in(es, name, subject)
    if not isinstance(found, Match):
        return found
    hits = es.search(index=name, query=query_of_any([found]), size=100)["hits"]["hits"]
    return sorted(hit["_id"] for hit in hits)


# --- mappings -------------------------------------------------------------------------------------------

LOWER = {"type": "keyword", "normalizer": "lowercase"}
APP: dict[str, tuple[Mapping[str, Any], Verdict | str]] = {
    "keyword": (KEYWORD, ExactField(name="app")),
    "a limited keyword": ({"type": "keyword", "ignore_above": 8}, ExactField(name="app", longest=8)),
    "keyword with a normalizer": (LOWER, "has a normalizer"),
    "keyword that is not indexed": ({"type": "keyword", "index": False}, "is not indexed"),
    "keyword without doc_values": ({"type": "keyword", "doc_values": False}, "has no doc_values"),
    "keyword with a value for null": ({"type": "keyword", "null_value": "14"}, "has a null_value"),
    "keyword beside another": ({"type": "keyword", "fields": {"keyword": LOWER}}, ExactField(name="app")),
    "text": ({"type": "text"}, "is of type text"),
    "text with a keyword": (
        {"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}},
        ExactField(name="app.keyword", longest=256),
    ),
    "text with another keyword": ({"type": "text", "fields": {"raw": KEYWORD}}, "app is of type text"),
    "text with a normalized keyword": ({"type": "text", "fields": {"keyword": LOWER}}, "app.keyword has a normalizer"),
    "text with a text": ({"type": "text", "fields": {"keyword": {"type": "text"}}}, "app.keyword is of type text"),
    "normalized, with a keyword": ({**LOWER, "fields": {"keyword": KEYWORD}}, "app has a normalizer"),
    "long": (LONG, ExactField(name="app", numeric=NUMBERS["long"])),
    "integer": ({"type": "integer"}, ExactField(name="app", numeric=NUMBERS["integer"])),
    "unsigned_long": ({"type": "unsigned_long"}, ExactField(name="app", numeric=NUMBERS["unsigned_long"])),
    "long that is not indexed": ({"type": "long", "index": False}, "is not indexed"),
    "long without doc_values": ({"type": "long", "doc_values": False}, "has no doc_values"),
    "long with a value for null": ({"type": "long", "null_value": 14}, "has a null_value"),
    "short": ({"type": "short"}, "is of type short"),
    "double": ({"type": "double"}, "is of type double"),
    "date": ({"type": "date"}, "is of type date"),
    "ip": ({"type": "ip"}, "is of type ip"),
    "constant_keyword": ({"type": "constant_keyword", "value": "14"}, "is of type constant_keyword"),
    "wildcard": ({"type": "wildcard"}, "is of type wildcard"),
    "flattened": ({"type": "flattened"}, "is of type flattened"),
    "alias of a keyword": ({"type": "alias", "path": "other"}, "is of type alias"),
    "an object": ({"properties": {"id": KEYWORD}}, "app is an object"),
    "nested documents": ({"type": "nested", "properties": {"id": KEYWORD}}, "is of type nested"),
    "an object that is not indexed": ({"type": "object", "enabled": False}, "not indexed"),
}


@pytest.mark.parametrize("kind", APP)
def test_a_field_is_exact_or_refused_by_its_mapping(es: Elasticsearch, prefix: str, kind: str) -> None:
    mapping, expected = APP[kind]
    create(es, f"{prefix}logs", {"properties": {"app": mapping, "other": KEYWORD}})
    verdict = read(es, f"{prefix}logs")["app"]
    if isinstance(expected, str):
        assert isinstance(verdict, Inexact)
        assert expected in verdict.reason
    else:
        assert verdict == expected


def below(**user: Any) -> dict[str, Any]:
    return {"properties": {"user": user}}


WHOLE: dict[str, tuple[Mapping[str, Any], Verdict | str]] = {
    "in an object": (below(properties={"id": KEYWORD}), ExactField(name="user.id")),
    "with a dot in its name": ({"subobjects": False, "properties": {"user.id": KEYWORD}}, ExactField(name="user.id")),
    "as the keyword of a text": (below(type="text", fields={"id": KEYWORD}), ExactField(name="user.id")),
    "in nested documents": (below(type="nested", properties={"id": KEYWORD}), "is in nested documents, below user"),
    "not in nested documents": (below(type="nested", properties={"other": KEYWORD}), "in nested documents, below user"),
    "in a flattened object": (below(type="flattened"), "is of type flattened"),
    "below a text, which refuses objects": (below(type="text"), None),
    "below a text with a keyword": (below(type="text", fields={"keyword": KEYWORD}), None),
    "below a keyword": (below(**KEYWORD), None),
    "below a text, and nothing else is indexed": ({"dynamic": False, **below(type="text")}, None),
    "below a text in an index that reads nothing": ({"enabled": False, **below(type="text")}, "user is of type text"),
    "below a number": (below(**LONG), "user is of type long"),
    "computed at search time": ({"runtime": {"user.id": KEYWORD}}, "is a runtime field"),
    "computed over the real one": (
        {"runtime": {"user.id": KEYWORD}, **below(properties={"id": KEYWORD})},
        "is a runtime field",
    ),
    "nowhere": ({"properties": {"other": KEYWORD}}, None),
    "nowhere, without any field": ({}, None),
    "nowhere, nothing else is taken": ({"dynamic": "strict"}, None),
    "nowhere, in another object": (below(properties={"other": KEYWORD}), None),
    "kept but not indexed": ({"dynamic": False, "properties": {"other": KEYWORD}}, "not indexed"),
    "kept in an object": (below(dynamic=False, properties={"other": KEYWORD}), "not indexed"),
    "added in an object": ({"dynamic": False, **below(dynamic=True, properties={"other": KEYWORD})}, None),
    "kept in an object that is not indexed": (below(type="object", enabled=False), "not indexed"),
    "kept in an index that indexes nothing": ({"enabled": False}, "not indexed"),
    "computed in a group over the real one": (
        {
            "runtime": {"user": {"type": "composite", "script": "emit(['id': 'x'])", "fields": {"id": KEYWORD}}},
            **below(properties={"id": KEYWORD}),
        },
        "is a runtime field",
    ),
    "nowhere, below a text that takes no objects": (
        {"subobjects": False, "properties": {"user": {"type": "text"}}},
        None,
    ),
    "kept below a text that takes no objects": (
        {"subobjects": False, "dynamic": False, "properties": {"user": {"type": "text"}}},
        "not indexed",
    ),
    "below a flattened field that takes no objects": (
        {"subobjects": False, "properties": {"user": {"type": "flattened"}}},
        "is of type flattened",
    ),
    "under a name that passes through": (
        {"properties": {"tags": {"type": "passthrough", "priority": 1, "properties": {"user.id": KEYWORD}}}},
        "not a field of the mapping",
    ),
}


@pytest.mark.parametrize("where", WHOLE)
def test_a_field_is_exact_absent_or_refused_by_where_it_is(es: Elasticsearch, prefix: str, where: str) -> None:
    mappings, expected = WHOLE[where]
    create(es, f"{prefix}logs", mappings)
    for fields in (ALL, MANY):
        verdict = read(es, f"{prefix}logs", *fields)["user.id"]
        if isinstance(expected, str):
            assert isinstance(verdict, Inexact), verdict
            assert expected in verdict.reason
        else:
            assert verdict == expected


BELOW = ({"user": {"id": "x"}}, {"user.id": "x"}, {"user": ["x", {"id": "x"}]}, {"user": "x", "user.id": "x"})
IN_PLACE = ({"user": "x"}, {"user": ["x"]}, {"user": [{"id": "x"}, "x"]}, {"user": 1})


@pytest.mark.parametrize("dynamic", ["true", "false", "strict", "runtime"])
@pytest.mark.parametrize("kind", [*sorted(_NO_OBJECTS), "object", "nested"])
def test_a_text_takes_no_object_and_an_object_no_text(es: Elasticsearch, prefix: str, kind: str, dynamic: str) -> None:
    """By which an index is known that cannot have a field, whatever else its mapping and its settings say."""
    inner = {} if kind in _NO_OBJECTS else {"properties": {"id": KEYWORD}}
    mappings = {"dynamic": dynamic, **below(type=kind, **inner)}
    create(es, f"{prefix}logs", mappings, **{"index.mapping.ignore_malformed": True})
    for document in BELOW if kind in _NO_OBJECTS else IN_PLACE:
        with pytest.raises(BadRequestError):
            es.index(index=f"{prefix}logs", document=document)


TEXT = {"type": "text", "fields": {"keyword": KEYWORD}}
COPIED: dict[str, tuple[Mapping[str, Any], Verdict | str]] = {
    "by another": ({"uin": KEYWORD, "by": {**KEYWORD, "copy_to": "uin"}}, "other fields into uin"),
    "among others": (
        {"uin": KEYWORD, "by": {**LONG, "copy_to": ["all", "uin"]}, "all": KEYWORD},
        "other fields into uin",
    ),
    "from an object": ({"uin": KEYWORD, "by": {"properties": {"id": {**KEYWORD, "copy_to": "uin"}}}}, "copy_to"),
    "from nested ones": (
        {"uin": KEYWORD, "by": {"type": "nested", "properties": {"id": {**KEYWORD, "copy_to": "uin"}}}},
        "other fields into uin",
    ),
    "from a field of that name": ({"uin": KEYWORD, "copy_to": {**KEYWORD, "copy_to": "uin"}}, "other fields into uin"),
    "into a number": ({"uin": LONG, "by": {**LONG, "copy_to": "uin"}}, "other fields into uin"),
    "into the text of a keyword": ({"uin": TEXT, "by": {**KEYWORD, "copy_to": "uin"}}, "other fields into uin"),
    "from it": ({"uin": {**KEYWORD, "copy_to": "all"}, "all": KEYWORD}, ExactField(name="uin")),
    "between others": ({"uin": KEYWORD, "by": {**KEYWORD, "copy_to": "uin2"}, "uin2": KEYWORD}, ExactField(name="uin")),
    "while it is absent": ({"by": {**KEYWORD, "copy_to": "uin"}}, None),
}


@pytest.mark.parametrize("kind", COPIED)
def test_a_field_into_which_others_are_copied_is_refused(es: Elasticsearch, prefix: str, kind: str) -> None:
    properties, expected = COPIED[kind]
    create(es, f"{prefix}logs", {"properties": properties})
    for fields in (ALL, MANY):
        verdict = read(es, f"{prefix}logs", *fields)["uin"]
        if isinstance(expected, str):
            assert isinstance(verdict, Inexact), verdict
            assert expected in verdict.reason
        else:
            assert verdict == expected


def test_the_first_document_that_a_template_copies_is_known(es: Elasticsearch, prefix: str) -> None:
    """What stands in a template alone copies nothing before a field is made of it."""
    template = {"by": {"match": "by", "mapping": {**KEYWORD, "copy_to": "uin"}}}
    mappings = {"dynamic_templates": [template], "properties": {"uin": KEYWORD}}
    create(es, f"{prefix}logs", mappings, {"uin": "1"})
    assert read(es, f"{prefix}logs")["uin"] == ExactField(name="uin")
    write(es, f"{prefix}logs", {"uin": "1", "by": "2"})
    assert isinstance(read(es, f"{prefix}logs")["uin"], Inexact)


def test_the_limit_of_a_whole_index_is_known(es: Elasticsearch, prefix: str) -> None:
    create(es, f"{prefix}logs", {"properties": {"app": KEYWORD}}, **{"index.mapping.ignore_above": 4})
    assert read(es, f"{prefix}logs")["app"] == ExactField(name="app", longest=4)


def test_a_name_that_the_cluster_would_read_as_two_is_refused(es: Elasticsearch, prefix: str) -> None:
    create(es, f"{prefix}logs", {"properties": {"app": KEYWORD, "uin": KEYWORD}})
    assert isinstance(read(es, f"{prefix}logs", "app,uin")["app,uin"], Inexact)


# --- values that a field does not find ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mapping", "values", "refused"),
    [
        ({"type": "keyword", "ignore_above": 4}, ["1234", "12345"], True),
        ({"type": "keyword", "ignore_above": 4}, ["1234", None], False),
        ({"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 4}}}, ["12345"], True),
        ({"type": "keyword", "fields": {"keyword": {"type": "keyword", "ignore_above": 4}}}, ["12345"], False),
        ({"type": "long", "ignore_malformed": True}, ["14", "fourteen"], True),
        ({"type": "long", "ignore_malformed": True}, ["14", 15], False),
    ],
)
def test_a_field_that_left_a_value_out_is_refused(
    es: Elasticsearch, prefix: str, mapping: Mapping[str, Any], values: list[Any], refused: bool
) -> None:
    create(es, f"{prefix}logs", {"properties": {"app": mapping}}, *({"app": value} for value in values))
    create(es, f"{prefix}more", {"properties": {"app": KEYWORD}}, {"app": "14"})
    verdicts = read_together(es, f"{prefix}*", [f"{prefix}logs", f"{prefix}more"], ["app"])
    assert verdicts[f"{prefix}more"]["app"] == ExactField(name="app")
    verdict = verdicts[f"{prefix}logs"]["app"]
    if refused:
        assert isinstance(verdict, Inexact)
        assert verdict.reason.startswith("1 document with a value in app")
    else:
        assert isinstance(verdict, ExactField)


def test_what_an_earlier_limit_left_out_is_known(es: Elasticsearch, prefix: str) -> None:
    create(es, f"{prefix}logs", {"properties": {"app": {"type": "keyword", "ignore_above": 4}}}, {"app": "12345"})
    es.indices.put_mapping(index=f"{prefix}logs", properties={"app": KEYWORD})
    assert isinstance(read(es, f"{prefix}logs")["app"], Inexact)


def test_a_field_that_had_no_place_any_more_is_not_absent(es: Elasticsearch, prefix: str) -> None:
    limits = {
        "index.mapping.total_fields.limit": 1,
        "index.mapping.total_fields.ignore_dynamic_beyond_limit": True,
    }
    create(es, f"{prefix}logs", {"properties": {"other": KEYWORD}}, {"app": "14"}, {"user": {"id": "eve"}}, **limits)
    verdicts = read(es, f"{prefix}logs")
    assert isinstance(verdicts["app"], Inexact)
    assert isinstance(verdicts["user.id"], Inexact), "only the object around it is said to be left out"
    assert verdicts["uin"] is None


def test_a_field_that_had_no_place_until_somebody_added_it_is_in_doubt(es: Elasticsearch, prefix: str) -> None:
    limits = {"index.mapping.total_fields.ignore_dynamic_beyond_limit": True}
    mapping = {"properties": {"other": KEYWORD}}
    create(es, f"{prefix}logs", mapping, {"user": {"id": "eve"}}, **{"index.mapping.total_fields.limit": 1, **limits})
    es.indices.put_settings(index=f"{prefix}logs", settings={"index.mapping.total_fields.limit": 100})
    es.indices.put_mapping(index=f"{prefix}logs", properties={"user": {"properties": {"id": KEYWORD}}})
    verdict = read(es, f"{prefix}logs")["user.id"]
    assert isinstance(verdict, Inexact)
    assert verdict.reason.startswith("1 document with a value in user.id that was not indexed")


# --- subjects -------------------------------------------------------------------------------------------

IDS = ["1", "14", "140", "1400000001", "014", "14.0", "-14", "14 0", "eve", "Eve", "év", "e\u0301v", "_all", "..", "-x"]


@pytest.mark.parametrize("kind", ["keyword", "text with a keyword"])
def test_each_id_finds_its_own_documents_and_no_others(es: Elasticsearch, prefix: str, kind: str) -> None:
    hostile = ["*", "14*", "a,b", "<now>", "\\", '"14"', " 14", "x" * 256]
    create(es, f"{prefix}logs", {"properties": {"app": APP[kind][0]}}, *({"app": id_} for id_ in [*IDS, *hostile]))
    for number, id_ in enumerate(IDS):
        assert carrying(es, f"{prefix}logs", subject_of(application=id_)) == [str(number)], id_
    assert carrying(es, f"{prefix}logs", subject_of(application="x" * 256)) == [str(len(IDS) + len(hostile) - 1)]
    assert carrying(es, f"{prefix}logs", subject_of(application="absent")) == []


@pytest.mark.parametrize("type_", ["long", "integer", "unsigned_long"])
def test_numbers_are_found_by_their_own_digits_alone(es: Elasticsearch, prefix: str, type_: str) -> None:
    last = NUMBERS[type_][1]
    create(es, f"{prefix}logs", {"properties": {"app": {"type": type_}}}, *({"app": n} for n in (0, 14, 140, last)))
    expected = {"0": ["0"], "14": ["1"], "140": ["2"], str(last): ["3"], "1": [], "141": []}
    never = ["eve", "_all", "..", "-x", str(last + 1), "9" * 256]
    spelled = ["014", "14.0", "1e1", "\uff11\uff14", "+14", "14d"]
    for id_, documents in expected.items():
        assert carrying(es, f"{prefix}logs", subject_of(application=id_)) == documents, id_
    for id_ in never:
        assert carrying(es, f"{prefix}logs", subject_of(application=id_)) is None, id_
    for id_ in spelled:
        found = carrying(es, f"{prefix}logs", subject_of(application=id_))
        assert isinstance(found, Inexact), id_
        assert "use that spelling" in found.reason


def test_an_id_that_is_too_long_for_the_field_cannot_be_told(es: Elasticsearch, prefix: str) -> None:
    create(
        es, f"{prefix}logs", {"properties": {"app": {"type": "keyword", "ignore_above": 4}}}, {"app": "\U0001f600" * 2}
    )
    assert carrying(es, f"{prefix}logs", subject_of(application="\U0001f600" * 2)) == ["0"]
    assert isinstance(carrying(es, f"{prefix}logs", subject_of(application="\U0001f600" * 3)), Inexact)


def test_a_user_is_one_of_its_application_alone(es: Elasticsearch, prefix: str) -> None:
    mappings = {"properties": {"app": LONG, **below(properties={"id": KEYWORD})["properties"]}}
    pairs = [(14, "eve"), (140, "eve"), (14, "eva"), (14, None), (None, "eve"), (14, "eve")]
    create(es, f"{prefix}logs", mappings, *({"app": app, "user": {"id": user}} for app, user in pairs))
    assert carrying(es, f"{prefix}logs", subject_of(application="14", user="eve")) == ["0", "5"]
    assert carrying(es, f"{prefix}logs", subject_of(application="140", user="eve")) == ["1"]
    assert carrying(es, f"{prefix}logs", subject_of(application="140", user="eva")) == []
    assert carrying(es, f"{prefix}logs", subject_of(application="x", user="eve")) is None


def test_several_subjects_are_found_together(es: Elasticsearch, prefix: str) -> None:
    pairs = [("14", "eve"), ("14", "eva"), ("15", "eve"), ("16", "eve")]
    mappings = {"properties": {"app": KEYWORD, "user.id": KEYWORD}}
    create(es, f"{prefix}logs", mappings, *({"app": app, "user.id": user} for app, user in pairs))
    subjects = [subject_of(application="14", user="eve"), subject_of(application="15")]
    told = (found_in(es, f"{prefix}logs", subject) for subject in subjects)
    matches = [found for found in told if isinstance(found, Match)]
    hits = es.search(index=f"{prefix}logs", query=query_of_any(matches))["hits"]["hits"]
    assert sorted(hit["_id"] for hit in hits) == ["0", "2"]
    assert es.count(index=f"{prefix}logs", query=query_of_any([]))["count"] == 0


# --- many, and changing, indices ------------------------------------------------------------------------


class WatchedNode(Urllib3HttpNode):
    """Keeps the paths of all requests, and acts before one of them is sent."""

    sent: list[str] = []  # noqa: RUF012 - one list for the nodes of a test, renewed by `watched`
    before: Callable[[str], None] | None = None

    def perform_request(self, method: str, target: str, *args: Any, **more: Any) -> Any:
        if WatchedNode.before is not None:
            WatchedNode.before(target)
        WatchedNode.sent.append(target)
        return super().perform_request(method, target, *args, **more)


@contextmanager
def watched(server: Server, before: Callable[[str], None] | None = None) -> Iterator[tuple[Elasticsearch, list[str]]]:
    WatchedNode.sent, WatchedNode.before = [], before
    login = (server.username, server.password)
    with closing(Elasticsearch(server.url, basic_auth=login, node_class=WatchedNode, request_timeout=60)) as client:
        yield client, WatchedNode.sent
    WatchedNode.before = None


def test_many_indices_of_unlike_mappings_take_five_requests(server: Server, es: Elasticsearch, prefix: str) -> None:
    kinds = ["keyword", "long", "text with a keyword", "double"]
    for number in range(12):
        mapping, _ = APP[kinds[number % len(kinds)]]
        create(es, f"{prefix}logs-{number}", {"properties": {"app": mapping}})
    create(es, f"{prefix}logs-without", {"properties": {"other": KEYWORD}})
    with watched(server) as (client, sent):
        every = [*(f"{prefix}logs-{number}" for number in range(12)), f"{prefix}logs-without"]
        verdicts = read_together(client, f"{prefix}logs-*", every, ALL)
    assert len(sent) == 5
    assert len(verdicts) == 13
    for number in range(12):
        verdict, (_, expected) = verdicts[f"{prefix}logs-{number}"], APP[kinds[number % len(kinds)]]
        assert isinstance(verdict["app"], Inexact) if isinstance(expected, str) else verdict["app"] == expected
        assert verdict["uin"] is None
    assert verdicts[f"{prefix}logs-without"] == dict.fromkeys(ALL)


def test_indices_named_one_by_one_are_read_in_as_many_lists_as_needed(es: Elasticsearch, prefix: str) -> None:
    names = [f"{prefix}{'n' * 220}-{number:02}" for number in range(14)]
    for name in names:
        create(es, name, {"properties": {"app": KEYWORD}})
    assert len(list(packed(names))) == 2
    app = Place(field="app")
    verdicts = read_subject_fields(es, dict.fromkeys(names, (app,)), batches, OWN)
    assert verdicts == {name: {app: ExactField(name="app")} for name in names}


def test_documents_older_than_the_keyword_beside_their_text_are_in_doubt(es: Elasticsearch, prefix: str) -> None:
    create(es, f"{prefix}logs", {"properties": {"app": {"type": "text"}}}, {"app": "ME"}, {"other": 1})
    added = {"app": {"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}}}
    es.indices.put_mapping(index=f"{prefix}logs", properties=added)
    es.index(index=f"{prefix}logs", document={"app": "ME"}, refresh=True)
    verdict = read(es, f"{prefix}logs", "app")["app"]
    assert isinstance(verdict, Inexact)
    assert verdict.reason.startswith("1 document with app but without app.keyword")


@pytest.mark.parametrize("whole", [{"type": "text"}, KEYWORD, LONG], ids=["text", "keyword", "number"])
def test_documents_older_than_a_field_of_a_field_that_the_policy_names_are_in_doubt(
    es: Elasticsearch, prefix: str, whole: Mapping[str, Any]
) -> None:
    create(es, f"{prefix}logs", {"properties": {"app": whole}}, {"app": "14"}, {"other": 1})
    es.indices.put_mapping(index=f"{prefix}logs", properties={"app": {**whole, "fields": {"raw": KEYWORD}}})
    es.index(index=f"{prefix}logs", document={"app": "14"}, refresh=True)
    for fields in (("app.raw",), ("app.raw", *MANY)):
        verdict = read(es, f"{prefix}logs", *fields)["app.raw"]
        assert isinstance(verdict, Inexact)
        assert verdict.reason.startswith("1 document with app but without app.raw")
        assert verdict.certain == ExactField(name="app.raw")


def test_where_the_text_beside_a_keyword_is_not_indexed_all_without_the_keyword_may_be_older(
    es: Elasticsearch, prefix: str
) -> None:
    text = {"type": "text", "index": False}
    create(es, f"{prefix}logs", {"properties": {"app": text}}, {"app": "14"})
    es.indices.put_mapping(index=f"{prefix}logs", properties={"app": {**text, "fields": {"keyword": KEYWORD}}})
    es.index(index=f"{prefix}logs", document={"app": "14"}, refresh=True)
    verdict = read(es, f"{prefix}logs")["app"]
    assert isinstance(verdict, Inexact)
    assert verdict.reason.startswith("1 document that may have app, but without app.keyword")
    create(es, f"{prefix}more", {"properties": {"app": {**text, "fields": {"keyword": KEYWORD}}}}, {"app": "14"})
    assert read(es, f"{prefix}more")["app"] == ExactField(name="app.keyword")


def test_a_field_beside_a_text_that_is_called_its_keyword_is_none(es: Elasticsearch, prefix: str) -> None:
    fields = {"app": {"type": "text"}, "app.keyword": KEYWORD}
    create(es, f"{prefix}logs", {"subobjects": False, "properties": fields}, {"app": "14", "app.keyword": "15"})
    verdict = read(es, f"{prefix}logs")["app"]
    assert isinstance(verdict, Inexact)
    assert verdict.reason.startswith("app is of type text")


def test_an_index_that_is_not_there_is_absent_from_the_answer(es: Elasticsearch, prefix: str) -> None:
    assert read_together(es, f"{prefix}absent", [f"{prefix}absent"], ALL) == {}
    assert read_together(es, f"{prefix}absent-*", [f"{prefix}absent"], ALL) == {}
    assert read_subject_fields(es, {}, batches, OWN) == {}


def test_an_index_that_comes_while_others_are_read_is_not_told_of(
    server: Server, es: Elasticsearch, prefix: str
) -> None:
    create(es, f"{prefix}logs-1", {"properties": {"app": KEYWORD}})

    def appear(target: str) -> None:
        if "_field_caps" in target:
            create(es, f"{prefix}logs-2", {})

    with watched(server, appear) as (client, _):
        verdicts = read_together(client, f"{prefix}logs-*", [f"{prefix}logs-1"], ["app"])
    assert verdicts == {f"{prefix}logs-1": {"app": ExactField(name="app")}}


def test_an_index_whose_fields_change_while_they_are_read_is_not_known(
    server: Server, es: Elasticsearch, prefix: str
) -> None:
    create(es, f"{prefix}logs-1", {})
    create(es, f"{prefix}logs-2", {"properties": {"app": KEYWORD}})

    def change(target: str) -> None:
        if "_field_caps" in target:
            es.indices.put_mapping(index=f"{prefix}logs-1", properties={"app": KEYWORD})
            es.indices.delete(index=f"{prefix}logs-2")
            create(es, f"{prefix}logs-2", {"properties": {"app": LONG}})

    with watched(server, change) as (client, _):
        verdicts = read_together(client, f"{prefix}logs-*", [f"{prefix}logs-1", f"{prefix}logs-2"], ["app"])
    assert isinstance(verdicts[f"{prefix}logs-1"]["app"], Inexact)
    assert isinstance(verdicts[f"{prefix}logs-2"]["app"], Inexact)


@pytest.mark.parametrize("at", ["_field_caps", "_msearch"])
def test_an_index_that_goes_while_it_is_read_is_not_known(
    server: Server, es: Elasticsearch, prefix: str, at: str
) -> None:
    create(es, f"{prefix}logs-1", {"properties": {"app": KEYWORD}})
    create(es, f"{prefix}logs-2", {"properties": {"app": KEYWORD}})

    def vanish(target: str) -> None:
        if at in target:
            es.indices.delete(index=f"{prefix}logs-2", ignore_unavailable=True)

    both = [f"{prefix}logs-1", f"{prefix}logs-2"]
    with watched(server, vanish) as (client, _):
        verdicts = read_together(client, f"{prefix}logs-*", both, ["app"])
    assert verdicts[both[0]] == {"app": ExactField(name="app")}
    assert isinstance(verdicts[both[1]]["app"], Inexact)


def test_an_index_whose_shard_does_not_answer_is_not_known(server: Server, es: Elasticsearch, prefix: str) -> None:
    create(es, f"{prefix}logs-1", {"properties": {"app": KEYWORD}})
    create(es, f"{prefix}logs-2", {"properties": {"app": KEYWORD}})

    def lose(target: str) -> None:
        if "_msearch" in target:
            es.indices.delete(index=f"{prefix}logs-2")
            nowhere = {"index.routing.allocation.require._name": "nobody"}
            es.indices.create(index=f"{prefix}logs-2", settings=nowhere, wait_for_active_shards=0)

    with watched(server, lose) as (client, _):
        verdicts = read_together(client, f"{prefix}logs-*", [f"{prefix}logs-1"], ["app"])
    assert verdicts == {f"{prefix}logs-1": {"app": ExactField(name="app")}}
