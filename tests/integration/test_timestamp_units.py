"""Timestamps that are no dates: numbers of a unit, and digits of a pattern, exact to the last document on a server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from elasticsearch import ApiError, Elasticsearch
from elasticsearch.helpers import bulk

from builders import category
from customers import of
from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.cluster.deletion.deletion import Deletion
from retention_enforcer.cluster.inventory import Inventory
from retention_enforcer.domain.facts import CategoryFacts, Doubt, IndexFacts
from retention_enforcer.domain.instants import DAY, HOUR, MINUTE, SECOND
from retention_enforcer.domain.policy.promises import EARLIEST, Policy
from retention_enforcer.domain.selection import Due, Trim
from retention_enforcer.domain.timestamps import Timestamp
from workbench import Workbench

NOW = 1_795_817_700_123  # 2026-11-27T22:15:00.123Z
LIMIT, MARGIN = 14 * DAY, 2 * DAY
CUT, PAST = NOW - LIMIT + MARGIN, NOW - LIMIT
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Kind:
    """A unit on a type of field: how an instant is written, and how long the period is that is read of it."""

    unit: str
    type: str
    write: Callable[[int], int | str]
    width: int = 1
    needs: str = ""

    def __str__(self) -> str:
        return f"{self.unit}-{self.type}"


def spelled(form: str) -> Callable[[int], str]:
    def write(instant: int) -> str:
        moment = EPOCH + timedelta(milliseconds=instant)
        return moment.strftime(form.replace("{ms}", f"{moment.microsecond // 1_000:03d}"))

    return write


def digits(form: str) -> Callable[[int], int]:
    return lambda instant: int(spelled(form)(instant))


SCRIPTS, UNSIGNED = "scripts", "unsigned_long"
KINDS = [
    Kind("s", "long", lambda t: t // 1_000, SECOND),
    Kind("s", "integer", lambda t: t // 1_000, SECOND),
    Kind("ms", "long", lambda t: t),
    Kind("us", "long", lambda t: t * 1_000 + 999),
    Kind("ns", "long", lambda t: t * 1_000_000 + 999_999),
    Kind("s", "unsigned_long", lambda t: t // 1_000, SECOND, UNSIGNED),
    Kind("ms", "unsigned_long", lambda t: t, needs=UNSIGNED),
    Kind("us", "unsigned_long", lambda t: t * 1_000, needs=UNSIGNED),
    Kind("ns", "unsigned_long", lambda t: t * 1_000_000 + 1, needs=UNSIGNED),
    Kind("yyyyMMdd", "keyword", spelled("%Y%m%d"), DAY),
    Kind("yyyyMMddHHmm", "keyword", spelled("%Y%m%d%H%M"), MINUTE),
    Kind("yyyyMMddHHmmss", "keyword", spelled("%Y%m%d%H%M%S"), SECOND),
    Kind("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", "keyword", spelled("%Y-%m-%dT%H:%M:%S.{ms}Z")),
    Kind("yyyyMMdd", "integer", digits("%Y%m%d"), DAY, SCRIPTS),
    Kind("yyyyMMddHH", "integer", digits("%Y%m%d%H"), HOUR, SCRIPTS),
    Kind("yyyyMMdd", "long", digits("%Y%m%d"), DAY, SCRIPTS),
    Kind("yyyyMMddHHmm", "long", digits("%Y%m%d%H%M"), MINUTE, SCRIPTS),
    Kind("yyyyMMddHHmmss", "long", digits("%Y%m%d%H%M%S"), SECOND, SCRIPTS),
    Kind("yyyyMMddHHmmssSSS", "long", digits("%Y%m%d%H%M%S{ms}"), needs=SCRIPTS),
]


@pytest.fixture(scope="module")
def able(es: Elasticsearch, prefixes: Callable[[], str]) -> frozenset[str]:
    """What this build can do of what is needed here."""
    name, found = f"{prefixes()}able", set()
    try:
        es.indices.create(index=name, mappings={"properties": {"u": {"type": "unsigned_long"}}})
        found.add(UNSIGNED)
    except ApiError:
        es.indices.create(index=name)
    try:
        es.search(index=name, query={"script": {"script": {"source": "true"}}})
        found.add(SCRIPTS)
    except ApiError:
        pass
    return frozenset(found)


def needed(able: frozenset[str], need: str) -> None:
    if need and need not in able:
        pytest.skip(f"this build has no {need}")


def create(es: Elasticsearch, name: str, type_: str, values: dict[str, Any], **field: Any) -> None:
    """Create an index whose documents, by their ids, have these values; None: without one."""
    mapping = {"properties": {"t": {"type": type_, **field}, "sdkappid": {"type": "keyword"}}}
    settings = {"number_of_shards": 2, "number_of_replicas": 0}
    es.indices.create(index=name, settings=settings, mappings=mapping)
    bulk(
        es,
        (
            {"_index": name, "_id": id_, "_source": {"sdkappid": "A1", **({} if value is None else {"t": value})}}
            for id_, value in values.items()
        ),
        refresh=True,
    )


def policy_of(prefix: str, timestamp: Timestamp | None, **more: Any) -> Policy:
    logs = category("logs", indices=[f"{prefix}logs-*"], timestamp=timestamp, max_age=LIMIT, **more)
    return Policy(name="test", categories=(logs,), margin=MARGIN)


def observe(es: Elasticsearch, policy: Policy, **more: Any) -> CategoryFacts:
    return Inventory(es, horizon=HOUR).observe(policy, policy.categories, NOW, {}, **more)["logs"]


def the_index(facts: CategoryFacts) -> IndexFacts:
    assert facts.set_apart == ()
    (index,) = facts.indices
    return index


def trimmed(es: Elasticsearch, index: IndexFacts) -> set[str]:
    """Trim what is due, and return the ids that are left."""
    assert index.timestamp is not None
    due = Due(timestamp=index.timestamp, earliest=EARLIEST, cut=CUT)

    @contextmanager
    def permit() -> Iterator[None]:
        yield

    done = Deletion(es).trim(Trim(index=index.name, uuid=index.uuid, takes=due), permit)
    assert (done.deleted, done.left) == (index.due, 0)
    es.indices.refresh(index=index.name)
    return {hit["_id"] for hit in es.search(index=index.name, size=1_000, source=False)["hits"]["hits"]}


# --- exact to the last document -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_counts_ages_and_trims_are_exact(es: Elasticsearch, prefix: str, able: frozenset[str], kind: Kind) -> None:
    needed(able, kind.needs)
    edges = (EARLIEST, PAST, CUT, CUT + HOUR, NOW, NOW + HOUR)
    steps = (-2, -1, 0, 1, 2, 999, 1_000, -1_000, kind.width, -kind.width, 2 * kind.width)
    instants = [edge + step for edge in edges for step in steps]
    values = {str(number): kind.write(instant) for number, instant in enumerate(instants)}
    create(es, f"{prefix}logs-a", kind.type, values | {"without": None})

    # What is true of a value: the period that its digits leave open. All that follows is counted from that.
    start = {}
    for id_, instant in zip(values, instants, strict=True):
        start[id_] = instant - instant % kind.width if kind.width > 1 else instant
    dated = {id_: at for id_, at in start.items() if EARLIEST <= at <= NOW + HOUR}
    end = {id_: at + kind.width - 1 for id_, at in dated.items()}
    due = {id_ for id_, at in end.items() if at < CUT}

    index = the_index(observe(es, policy_of(prefix, Timestamp("t", kind.unit)), looks={"logs": NOW - MINUTE}))

    assert (index.documents, index.undated) == (len(values) + 1, len(values) + 1 - len(dated))
    assert (index.oldest, index.newest) == (min(dated.values()), max(end.values()))
    assert index.counts_from == min(end.values())
    assert index.due == len(due)
    assert index.overdue == sum(at < PAST for at in dated.values())
    assert index.coming == sum(CUT <= at < CUT + HOUR for at in end.values())
    assert index.lately == sum(CUT - MINUTE <= at < CUT for at in end.values())
    assert index.still == sum(CUT <= at < CUT + HOUR - MINUTE for at in end.values())
    assert trimmed(es, index) == {*values, "without"} - due


OLD = CUT - 2 * DAY
MALFORMED: dict[str, Any] = {
    "year alone": "2026",
    "letters": "abcdefghijklmn",
    "short": "2026111500000",
    "long": "202611150000000",
    "month 13": "20261315000000",
    "month 0": "20260015000000",
    "30 February": "20260230000000",
    "29 February of no leap year": "20250229000000",
    "31 April": "20260431000000",
    "hour 24": "20261115240000",
    "minute 60": "20261115006000",
    "second 60": "20261115000060",
    "sign": "-0261115000000",
    "space": "20261115 00000",
    "empty": "",
    "zero": "0",
    "other digits": "\u0662\u0660261115000000",
}


def test_a_keyword_that_is_not_well_formed_is_undated_and_never_trimmed(es: Elasticsearch, prefix: str) -> None:
    good = {"good": spelled("%Y%m%d%H%M%S")(OLD), "leap": "20240229000000"}
    create(es, f"{prefix}logs-a", "keyword", good | MALFORMED)
    index = the_index(observe(es, policy_of(prefix, Timestamp("t", "yyyyMMddHHmmss"))))
    assert (index.documents, index.due, index.undated) == (len(MALFORMED) + 2, 2, len(MALFORMED))
    assert trimmed(es, index) == set(MALFORMED)


def test_a_number_that_is_no_date_is_undated_and_never_trimmed(
    es: Elasticsearch, prefix: str, able: frozenset[str]
) -> None:
    needed(able, SCRIPTS)
    bad = {name: int(v) for name, v in MALFORMED.items() if v.isascii() and v.isdigit()}
    bad |= {"zero": 0, "negative": -20261115000000, "largest": 2**63 - 1, "smallest": -(2**63)}
    create(es, f"{prefix}logs-a", "long", bad | {"good": digits("%Y%m%d%H%M%S")(OLD), "leap": 20240229000000})
    index = the_index(observe(es, policy_of(prefix, Timestamp("t", "yyyyMMddHHmmss"))))
    assert (index.documents, index.due, index.undated) == (len(bad) + 2, 2, len(bad))
    assert trimmed(es, index) == set(bad)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("type_", ["long", "unsigned_long"])
def test_numbers_at_the_edges_of_their_type_are_undated(
    es: Elasticsearch, prefix: str, able: frozenset[str], unit: str, type_: str
) -> None:
    needed(able, UNSIGNED if type_ == "unsigned_long" else "")
    low, high = (-(2**63), 2**63 - 1) if type_ == "long" else (0, 2**64 - 1)
    edges = {"zero": 0, "least": low, "one": 1, "most": high, "almost": high - 1}
    create(es, f"{prefix}logs-a", type_, edges)
    index = the_index(observe(es, policy_of(prefix, Timestamp("t", unit))))
    assert (index.documents, index.undated, index.oldest) == (len(edges), len(edges), None)
    assert trimmed(es, index) == set(edges)


@pytest.mark.parametrize(
    ("unit", "type_", "value"),
    [
        ("ms", "long", [OLD, NOW]),
        ("yyyyMMdd", "keyword", ["20261115", "x"]),
        ("yyyyMMdd", "keyword", ["20261115", "20261116"]),
    ],
    ids=["numbers", "one that is not well-formed", "days"],
)
def test_several_in_one_document_make_its_age_ambiguous(
    es: Elasticsearch, prefix: str, unit: str, type_: str, value: Any
) -> None:
    create(es, f"{prefix}logs-a", type_, {"1": value})
    (index,) = observe(es, policy_of(prefix, Timestamp("t", unit))).indices
    assert index.ageless is not None
    assert "several values" in index.ageless.text
    assert (index.undated, index.due, index.timestamp) == (1, 0, None)


# --- what the mapping says ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("timestamp", "mapping", "said"),
    [
        (Timestamp("t", "ms"), {"type": "date"}, "t of {name} is mapped as date, but the policy gives the unit ms"),
        (Timestamp("t", "ms"), {"type": "keyword"}, "is mapped as keyword, but the policy gives the unit ms"),
        (Timestamp("t", "ms"), {"type": "integer"}, "is mapped as integer, but the policy gives the unit ms"),
        (Timestamp("t", "ms"), {"type": "double"}, "is mapped as double, but the policy gives the unit ms"),
        (Timestamp("t"), {"type": "long"}, "is mapped as long"),
        (Timestamp("t"), {"type": "keyword"}, "is mapped as keyword"),
        (Timestamp("t"), {"type": "text"}, "is mapped as text"),
        (
            Timestamp("t", "yyyyMMddHHmmss"),
            {"type": "text"},
            "is mapped as text, but the policy gives the unit yyyyMMddHHmmss",
        ),
        (Timestamp("t", "yyyyMMddHHmmss"), {"type": "date", "format": "yyyyMMddHHmmss"}, "is mapped as date"),
        (Timestamp("t", "ms"), {"type": "long", "null_value": 5}, "has a null_value"),
        (Timestamp("t", "yyyyMMdd"), {"type": "keyword", "null_value": "20200101"}, "has a null_value"),
        (Timestamp("t", "yyyyMMdd"), {"type": "keyword", "normalizer": "lowercase"}, "has a normalizer"),
    ],
    ids=lambda value: str(value) if isinstance(value, Timestamp) else "",
)
def test_what_is_mapped_otherwise_than_the_policy_says_goes_by_nothing(
    es: Elasticsearch, prefix: str, timestamp: Timestamp, mapping: dict[str, Any], said: str
) -> None:
    old = "20200101000000" if timestamp.is_pattern and "null_value" not in mapping else "1577836800000"
    create(es, f"{prefix}logs-a", value := mapping.pop("type"), {"1": old if value != "integer" else 5}, **mapping)
    (index,) = observe(es, policy_of(prefix, timestamp)).indices
    assert index.ageless is not None
    assert index.ageless.doubt is Doubt.TIMESTAMP_TYPE
    assert said.format(name=f"{prefix}logs-a") in index.ageless.text
    assert (index.documents, index.undated, index.due, index.timestamp) == (1, 1, 0, None)


def test_indices_of_one_category_may_map_a_pattern_as_keyword_or_as_number(
    es: Elasticsearch, prefix: str, able: frozenset[str]
) -> None:
    needed(able, SCRIPTS)
    create(es, f"{prefix}logs-a", "keyword", {"1": "20261101", "2": "x"})
    create(es, f"{prefix}logs-b", "long", {"1": 20261101, "2": 20261301})
    create(es, f"{prefix}logs-c", "integer", {"1": 20261127})
    es.indices.create(index=f"{prefix}logs-d")
    facts = observe(es, policy_of(prefix, Timestamp("t", "yyyyMMdd")))
    assert facts.set_apart == ()
    assert [(i.documents, i.due, i.undated) for i in facts.indices] == [(2, 1, 1), (2, 1, 1), (1, 0, 0), (0, 0, 0)]


def test_what_the_cluster_does_not_search_by_a_pattern_has_no_age_and_is_looked_into_all_the_same(
    es: Elasticsearch, prefix: str, able: frozenset[str]
) -> None:
    if SCRIPTS in able:
        pytest.skip("this build has Painless")
    create(es, f"{prefix}logs-a", "long", {"1": 20200101, "2": 20200102})
    facts = observe(es, policy_of(prefix, Timestamp("t", "yyyyMMdd")))
    index = the_index(facts)
    assert (index.documents, index.undated, index.due) == (2, 2, 0)
    assert index.ageless is not None
    assert "cannot search" in index.ageless.text
    assert "script_lang not supported" in index.ageless.text


# --- the whole way ------------------------------------------------------------------------------------

POLICY = """\
version: 1
name: {prefix}policy
margin: 1h
on_request: 7d
categories:
  - id: logs
    clause: {{document: Test promises, section: "1", item: logs, updated: 2026-01-01}}
    indices: ["{prefix}logs-*"]
    timestamp: TIMESTAMP
    subjects: {{application: sdkappid, user: user_id}}
    max_age: 14d
    rollover: 1d
"""


def now() -> int:
    return SystemClock().now()


def by(bench: Workbench, timestamp: str) -> Workbench:
    bench.policy_text = POLICY.replace("TIMESTAMP", timestamp.replace("{", "{{").replace("}", "}}"))
    return bench


def put(bench: Workbench, name: str, mapping: dict[str, Any] | None, *values: Any) -> None:
    fields = {"sdkappid": {"type": "keyword"}, "user_id": {"type": "keyword"}}
    bench.index(name, [], mappings={"properties": fields | ({"t": mapping} if mapping else {})})
    for number, value in enumerate(values):
        stamp = {} if value is None else {"t": value}
        bench.es.index(index=bench.prefix + name, document={"sdkappid": str(31 + number), "user_id": "u", **stamp})
    bench.es.indices.refresh(index=bench.prefix + name)


@pytest.mark.parametrize(
    ("unit", "mapping", "write"),
    [
        ("ms", {"type": "long"}, lambda t: t),
        ("us", {"type": "long"}, lambda t: t * 1_000),
        ("yyyyMMddHHmmss", {"type": "keyword"}, spelled("%Y%m%d%H%M%S")),
    ],
    ids=["ms", "us", "pattern"],
)
def test_a_run_trims_deletes_and_proves_by_what_is_no_date(
    bench: Workbench, unit: str, mapping: dict[str, Any], write: Callable[[int], Any]
) -> None:
    by(bench, f"{{field: t, unit: {unit}}}")
    put(bench, "logs-old", mapping, write(now() - 20 * DAY), write(now() - 20 * DAY + HOUR))
    put(bench, "logs-both", mapping, write(now() - 20 * DAY), write(now() - DAY))
    put(bench, "logs-young", mapping, write(now() - DAY))
    bench.ready()
    assert bench.run("check").code in {0, 1}
    planned = {p["index"]: p for p in bench.run("plan", "--output", "json").plan("logs")["purge"]}
    assert planned[f"{bench.prefix}logs-old"]["action"] == "delete_index"
    assert planned[f"{bench.prefix}logs-both"]["documents"] == 1

    assert bench.run("run", "--once").code == 0

    assert bench.is_gone("logs-old")
    assert [bench.count("logs-both"), bench.count("logs-young")] == [1, 1]
    (row,) = [c for c in bench.run("report", "--output", "json").json["categories"] if c["id"] == "logs"]
    assert row["kept"]
    assert abs(now() - DAY - int(datetime.fromisoformat(row["oldest"]).timestamp() * 1_000)) < 2 * MINUTE


def test_check_and_report_name_the_mapping_that_does_not_fit_and_the_remedy(bench: Workbench) -> None:
    by(bench, "{field: t, unit: ms}")
    put(bench, "logs-a", {"type": "date"}, now() - 20 * DAY)
    put(bench, "logs-b", {"type": "long"}, now() - 20 * DAY)
    bench.ready()

    checked = bench.run("check", "--output", "json")
    (wrong,) = [check for check in checked.json if check["name"] == "timestamp of logs"]
    assert checked.code != 0
    assert f"{bench.prefix}logs-a is mapped as date, but the policy gives the unit ms" in wrong["text"]
    assert "set timestamp: t for this category, without a unit" in json.dumps(wrong)

    assert bench.run("run", "--once").code == 3
    assert bench.count("logs-a") == 1
    assert bench.is_gone("logs-b"), "the others go by theirs"
    found = bench.run("report", "--output", "json").json
    assert not next(c for c in found["categories"] if c["id"] == "logs")["kept"]
    (finding,) = [f for f in found["findings"] if f["kind"] == "timestamp-type"]
    assert finding["index"] == f"{bench.prefix}logs-a"


@pytest.mark.parametrize(
    ("timestamp", "mapping", "value"),
    [
        ("{field: t, unit: ms}", {"type": "long"}, 1_000),
        ("{field: t, unit: ms}", {"type": "date"}, 1_000),
        ("{field: t, unit: ms}", None, None),
        ("{field: t, unit: yyyyMMddHHmmss}", {"type": "keyword"}, "abc"),
        ("{field: t, unit: yyyyMMddHHmmss}", {"type": "long"}, 20201301000000),
        ("{field: t, unit: yyyyMMddHHmmss}", {"type": "text"}, "abc"),
        ("t", {"type": "long"}, 1_000),
        ("none", {"type": "date"}, 1_000),
        ("none", None, None),
    ],
    ids=str,
)
def test_a_subject_is_purged_whatever_its_documents_say_of_their_age(
    tenants: Workbench, timestamp: str, mapping: dict[str, Any] | None, value: Any
) -> None:
    insert = timestamp.replace("{", "{{").replace("}", "}}")
    tenants.policy_text = tenants.policy_text.replace("    max_age:", f"    timestamp: {insert}\n    max_age:")
    tenants.es.indices.delete(index=tenants.prefix + "logs-a")
    put(tenants, "logs-b", mapping, value, value)
    assert tenants.run("policy", "accept").code == 0

    asked = tenants.run("erase", "--application", "31")
    assert "logs: 1 document now" in asked.out
    tenants.run("run", "--once")

    assert of(tenants, "logs-b") == ["32"]
    (certificate,) = tenants.run("certificate", "--application", "31", "--output", "json").json
    # Its files are cleaned later: nothing waits for that here.
    open_items = [item for item in certificate["open_items"] if item["kind"] != "erasure"]
    assert not [item for item in open_items if "logs-b" in item["text"]]
