"""Facts as observed on a real server: what is counted, what is set apart, and at what cost."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from elastic_transport import Urllib3HttpNode
from elasticsearch import Elasticsearch

from retention_enforcer.cluster.changes import ATTEMPTS
from retention_enforcer.cluster.expressions import LONGEST, Batch, covering, packed
from retention_enforcer.cluster.indices.contents import Search, search_documents
from retention_enforcer.cluster.indices.metadata import described
from retention_enforcer.cluster.indices.streams import members_of
from retention_enforcer.cluster.inventory import Inventory
from retention_enforcer.cluster.limits import OWN
from retention_enforcer.cluster.preflight import Capabilities, cluster_facts
from retention_enforcer.cluster.searches import adds_up
from retention_enforcer.domain.errors import RequestRejected
from retention_enforcer.domain.facts import Ageless, Block, CategoryFacts, Doubt, Evidence, IndexFacts, SetApart
from retention_enforcer.domain.instants import DAY, HOUR, SECOND, format_instant
from retention_enforcer.domain.policy.names import IndexPattern
from retention_enforcer.domain.policy.promises import EARLIEST, Category, Clause, Policy
from retention_enforcer.domain.timestamps import AT_TIMESTAMP, Mapped, Timestamp

if TYPE_CHECKING:
    from conftest import Server

NOW = int(time.time() * SECOND)
LIMIT = 14 * DAY
CUT = NOW - LIMIT + HOUR
TIMESTAMP = {"properties": {"@timestamp": {"type": "date"}}}
CLAUSE = Clause(document="a module", section="6", item="logs", updated="2022-08-11")
WARNS_OF_DOTS = pytest.mark.filterwarnings("ignore::elasticsearch.ElasticsearchWarning")


def category(*patterns: str, id_: str = "logs", max_age: int | None = LIMIT, **more: Any) -> Category:
    indices = tuple(IndexPattern(pattern) for pattern in patterns)
    return Category(id=id_, clause=CLAUSE, indices=indices, max_age=max_age, **more)


def policy_of(*categories: Category) -> Policy:
    return Policy(name="trtc", categories=categories)


def observe(es: Elasticsearch, *categories: Category, now: int = NOW) -> dict[str, CategoryFacts]:
    return Inventory(es).observe(policy_of(*categories), categories, now, {})


def observe_one(es: Elasticsearch, *patterns: str, **more: Any) -> CategoryFacts:
    return observe(es, category(*patterns, **more))["logs"]


DATED = Mapped(timestamp=AT_TIMESTAMP, type="date")


def create(es: Elasticsearch, name: str, *timestamps: Any, **body: Any) -> None:
    """Create an index of one shard with a document for each timestamp, refreshed."""
    settings = {"number_of_shards": 1, "number_of_replicas": 0, **body.pop("settings", {})}
    es.indices.create(index=name, settings=settings, **{"mappings": TIMESTAMP, **body})
    write(es, name, *({"@timestamp": timestamp} for timestamp in timestamps), refresh=True)


def write(es: Elasticsearch, name: str, *documents: Mapping[str, Any], refresh: bool = False) -> None:
    if documents:
        operations = [line for document in documents for line in ({"create": {"_index": name}}, document)]
        assert not es.bulk(operations=operations, refresh=refresh)["errors"]


def the_index(facts: CategoryFacts) -> IndexFacts:
    assert facts.set_apart == ()
    (index,) = facts.indices
    return index


def the_doubt(facts: CategoryFacts) -> SetApart:
    (apart,) = facts.set_apart
    return apart


def the_ageless(facts: CategoryFacts) -> Ageless:
    assert facts.set_apart == ()
    (why,) = [index.ageless for index in facts.indices if index.ageless]
    return why


def names(facts: CategoryFacts) -> list[str]:
    return [index.name for index in facts.indices]


@pytest.fixture
def beside(es: Elasticsearch, prefix: str) -> Callable[[CategoryFacts], None]:
    """An index beside the one under test, and the check that nothing disturbed it."""
    create(es, f"{prefix}logs-beside", NOW - DAY)

    def undisturbed(facts: CategoryFacts) -> None:
        (index,) = (index for index in facts.indices if index.name == f"{prefix}logs-beside")
        assert (index.documents, index.oldest, index.undated) == (1, NOW - DAY, 0)

    return undisturbed


class WatchedNode(Urllib3HttpNode):
    """Counts the requests, and does something before one of them is sent."""

    sent: list[tuple[str, str]] = []  # noqa: RUF012 - one list for the nodes of a test, renewed by `watched`
    before: Callable[[str], None] | None = None

    def perform_request(self, method: str, target: str, *args: Any, **more: Any) -> Any:
        if WatchedNode.before is not None:
            WatchedNode.before(target)
        WatchedNode.sent.append((method, target))
        return super().perform_request(method, target, *args, **more)


def once(part: str, act: Callable[[], None]) -> Callable[[str], None]:
    """Act before the first request whose path has this part."""
    done: list[str] = []

    def act_once(target: str) -> None:
        if part in target and not done:
            done.append(target)
            act()

    return act_once


@contextmanager
def watched(
    server: Server, before: Callable[[str], None] | None = None
) -> Iterator[tuple[Elasticsearch, list[tuple[str, str]]]]:
    WatchedNode.sent, WatchedNode.before = [], before
    login = (server.username, server.password)
    with closing(Elasticsearch(server.url, basic_auth=login, node_class=WatchedNode, request_timeout=60)) as client:
        yield client, WatchedNode.sent
    WatchedNode.before = None


# --- ages ---------------------------------------------------------------------------------------------


def test_an_index_is_described_by_what_it_holds(es: Elasticsearch, prefix: str) -> None:
    create(es, f"{prefix}logs-1", NOW - 20 * DAY, NOW - 5 * DAY, NOW - DAY)

    index = the_index(observe_one(es, f"{prefix}logs-*"))

    settings = es.indices.get_settings(index=index.name)[index.name]["settings"]["index"]
    assert (index.uuid, index.created) == (settings["uuid"], int(settings["creation_date"]))
    assert (index.documents, index.oldest, index.newest) == (3, NOW - 20 * DAY, NOW - DAY)
    assert (index.due, index.overdue, index.undated) == (1, 1, 0)
    assert index.sequence_numbers == (2,)
    assert index.bytes > 0
    assert (index.container, index.hidden, index.write_index, index.mounted) == (False, False, False, False)
    assert (index.aliases, index.blocks, index.stream, index.lifecycle) == ((), frozenset(), None, None)


@pytest.mark.parametrize("type_", ["date", "date_nanos"])
def test_the_boundary_of_what_is_due_is_exact_to_the_millisecond(es: Elasticsearch, prefix: str, type_: str) -> None:
    mappings = {"properties": {"@timestamp": {"type": type_}}}
    instants = (CUT - 1, CUT, CUT + 1, NOW - LIMIT - 1, NOW - LIMIT)
    create(es, f"{prefix}logs-1", *map(format_instant, instants), mappings=mappings)

    index = the_index(observe_one(es, f"{prefix}logs-*"))

    assert (index.due, index.overdue) == (3, 1)
    assert (index.oldest, index.newest) == (NOW - LIMIT - 1, CUT + 1)


def test_timestamps_that_cannot_be_believed_are_undated(es: Elasticsearch, prefix: str) -> None:
    ancient, epoch_seconds, ahead = EARLIEST - 1, NOW // SECOND, NOW + HOUR + 1
    create(es, f"{prefix}logs-1", ancient, epoch_seconds, ahead, EARLIEST, NOW + HOUR)

    index = the_index(observe_one(es, f"{prefix}logs-*"))

    assert (index.documents, index.undated, index.due) == (5, 3, 1)
    assert (index.oldest, index.newest) == (EARLIEST, NOW + HOUR)


def test_documents_without_a_timestamp_are_undated(es: Elasticsearch, prefix: str) -> None:
    create(es, f"{prefix}logs-1", NOW - DAY)
    write(es, f"{prefix}logs-1", {"message": "no time"}, refresh=True)
    create(es, f"{prefix}logs-2", mappings={"properties": {"message": {"type": "keyword"}}})
    write(es, f"{prefix}logs-2", {"message": "no time"}, {"message": "none here either"}, refresh=True)

    facts = observe_one(es, f"{prefix}logs-*")

    assert facts.set_apart == ()
    assert [(i.documents, i.undated, i.oldest) for i in facts.indices] == [(2, 1, NOW - DAY), (2, 2, None)]


def test_an_empty_index_is_known_to_be_empty(es: Elasticsearch, prefix: str) -> None:
    create(es, f"{prefix}logs-1")
    index = the_index(observe_one(es, f"{prefix}logs-*"))
    assert (index.documents, index.oldest, index.undated, index.sequence_numbers) == (0, None, 0, (-1,))


def test_documents_that_no_refresh_has_shown_yet_are_seen(es: Elasticsearch, prefix: str) -> None:
    create(es, f"{prefix}logs-1", settings={"refresh_interval": "-1"})
    write(es, f"{prefix}logs-1", {"@timestamp": NOW - 20 * DAY})
    assert es.count(index=f"{prefix}logs-1")["count"] == 0

    index = the_index(observe_one(es, f"{prefix}logs-*"))

    assert (index.documents, index.due) == (1, 1)


def test_several_timestamps_in_one_document_make_its_age_ambiguous(
    es: Elasticsearch, prefix: str, beside: Callable[[CategoryFacts], None]
) -> None:
    create(es, f"{prefix}logs-1", [NOW - 20 * DAY, NOW - DAY])
    facts = observe_one(es, f"{prefix}logs-*")
    assert the_ageless(facts).doubt is Doubt.TIMESTAMP_TYPE
    beside(facts)


@pytest.mark.parametrize("type_", ["keyword", "long"])
def test_a_timestamp_of_another_type_leaves_its_index_alone_without_an_age(
    es: Elasticsearch, prefix: str, beside: Callable[[CategoryFacts], None], type_: str
) -> None:
    create(es, f"{prefix}logs-1", NOW - 20 * DAY, mappings={"properties": {"@timestamp": {"type": type_}}})

    facts = observe_one(es, f"{prefix}logs-*")

    why = the_ageless(facts)
    assert why.doubt is Doubt.TIMESTAMP_TYPE
    assert f"{prefix}logs-1 is mapped as {type_}" in why.text
    (index,) = [i for i in facts.indices if i.ageless]
    assert (index.documents, index.undated, index.oldest, index.due) == (1, 1, None, 0)
    beside(facts)


def test_a_category_without_a_maximum_age_counts_documents_whatever_their_timestamp(
    es: Elasticsearch, prefix: str
) -> None:
    create(es, f"{prefix}logs-1", "yesterday", mappings={"properties": {"@timestamp": {"type": "keyword"}}})
    create(es, f"{prefix}logs-2", NOW - 20 * DAY)

    facts = observe_one(es, f"{prefix}logs-*", max_age=None, after_termination=DAY)

    assert facts.set_apart == ()
    assert [(i.documents, i.oldest, i.due, i.overdue) for i in facts.indices] == [
        (1, None, 0, 0),
        (1, NOW - 20 * DAY, 0, 0),
    ]


def test_each_category_is_judged_by_its_own_timestamp_and_limit(es: Elasticsearch, prefix: str) -> None:
    mappings = {"properties": {"at": {"type": "date"}, "@timestamp": {"type": "keyword"}}}
    es.indices.create(index=f"{prefix}calls-1", mappings=mappings, settings={"number_of_replicas": 0})
    write(es, f"{prefix}calls-1", {"at": NOW - 5 * DAY, "@timestamp": "x"}, refresh=True)
    create(es, f"{prefix}logs-1", NOW - 5 * DAY)

    calls = category(f"{prefix}calls-*", id_="calls", timestamp=Timestamp("at"), max_age=3 * DAY)
    facts = observe(es, category(f"{prefix}logs-*"), calls)

    assert the_index(facts["calls"]).due == 1
    assert the_index(facts["logs"]).due == 0


def test_the_evidence_of_an_index_is_found_by_its_uuid(es: Elasticsearch, prefix: str) -> None:
    create(es, f"{prefix}logs-1", NOW - DAY)
    uuid = the_index(observe_one(es, f"{prefix}logs-*")).uuid
    known = {
        uuid: Evidence(oldest=1, first_seen=2, documents=3),
        "another": Evidence(oldest=None, first_seen=0, documents=0),
    }

    logs = category(f"{prefix}logs-*")
    facts = Inventory(es).observe(policy_of(logs), [logs], NOW, known)["logs"]

    assert the_index(facts).evidence == known[uuid]
    assert (facts.as_of, facts.holds) == (NOW, {})


# --- whose --------------------------------------------------------------------------------------------


def test_a_category_without_any_index_is_empty(es: Elasticsearch, prefix: str) -> None:
    facts = observe_one(es, f"{prefix}nothing-*", f"{prefix}absent")
    assert (facts.indices, facts.set_apart) == ((), ())


def test_hidden_indices_are_claimed_and_dot_indices_are_not(es: Elasticsearch, prefix: str) -> None:
    create(es, f"{prefix}logs-1", NOW - DAY, settings={"hidden": True})
    index = the_index(observe_one(es, f"*{prefix}logs-*"))
    assert (index.name, index.hidden, index.documents) == (f"{prefix}logs-1", True, 1)


@WARNS_OF_DOTS
def test_a_backing_index_belongs_to_the_stream_in_its_name_wherever_it_is(es: Elasticsearch, prefix: str) -> None:
    name = f".ds-{prefix}logs-2026.11.01-000001"
    create(es, name, NOW - DAY, aliases={f"{prefix}logs-restored": {}})
    try:
        index = the_index(observe_one(es, f"{prefix}logs*"))
    finally:
        es.indices.delete(index=name)
    assert (index.name, index.documents, index.oldest) == (name, 1, NOW - DAY)


def test_an_index_named_without_a_wildcard_is_a_container(es: Elasticsearch, prefix: str) -> None:
    create(es, f"{prefix}console", NOW - DAY)
    create(es, f"{prefix}logs-1", NOW - DAY)
    facts = observe_one(es, f"{prefix}console", f"{prefix}logs-*")
    assert {index.name: index.container for index in facts.indices} == {
        f"{prefix}console": True,
        f"{prefix}logs-1": False,
    }


def test_an_application_in_a_pattern_stands_for_its_characters_only(es: Elasticsearch, prefix: str) -> None:
    for name in ("logs-a1_b-x", "logs-a.b-x", "logs-a-b"):
        create(es, f"{prefix}{name}", NOW - DAY)
    facts = observe_one(es, f"{prefix}logs-{{application}}-x")
    assert names(facts) == [f"{prefix}logs-a1_b-x"]


def test_an_index_that_two_categories_claim_is_set_apart_in_both(
    es: Elasticsearch, prefix: str, beside: Callable[[CategoryFacts], None]
) -> None:
    create(es, f"{prefix}logs-calls", NOW - DAY)

    facts = observe(es, category(f"{prefix}logs-*"), category(f"{prefix}*-calls", id_="calls"))

    for found in facts.values():
        doubt = the_doubt(found)
        assert (doubt.name, doubt.doubt) == (f"{prefix}logs-calls", Doubt.CLAIMED_TWICE)
        assert "calls and logs" in doubt.text
    beside(facts["logs"])


def test_a_claim_of_a_category_that_is_not_observed_counts_too(es: Elasticsearch, prefix: str) -> None:
    create(es, f"{prefix}logs-calls", NOW - DAY)
    logs, calls = category(f"{prefix}logs-*"), category(f"{prefix}*-calls", id_="calls")
    facts = Inventory(es).observe(policy_of(logs, calls), [logs], NOW, {})
    assert the_doubt(facts["logs"]).doubt is Doubt.CLAIMED_TWICE
    assert list(facts) == ["logs"]


def test_an_alias_under_a_wildcard_does_not_make_another_index_governed(
    es: Elasticsearch, prefix: str, beside: Callable[[CategoryFacts], None]
) -> None:
    create(es, f"{prefix}other", NOW - 20 * DAY, NOW - 20 * DAY, aliases={f"{prefix}logs-alias": {}})
    facts = observe_one(es, f"{prefix}logs-*")
    assert names(facts) == [f"{prefix}logs-beside"]
    assert (the_doubt(facts).name, the_doubt(facts).doubt) == (f"{prefix}other", Doubt.BEHIND_ALIAS)
    beside(facts)


def test_a_filtered_alias_hides_nothing(es: Elasticsearch, prefix: str) -> None:
    query = {"range": {"@timestamp": {"gte": NOW - 2 * DAY}}}
    create(es, f"{prefix}logs-1", NOW - 20 * DAY, NOW - DAY, aliases={f"{prefix}logs-recent": {"filter": query}})
    index = the_index(observe_one(es, f"{prefix}logs-*"))
    assert (index.documents, index.due, index.aliases) == (2, 1, (f"{prefix}logs-recent",))


def test_an_alias_that_the_policy_names_is_set_apart(es: Elasticsearch, prefix: str) -> None:
    create(es, f"{prefix}other", NOW - 20 * DAY, aliases={f"{prefix}logs": {}})
    facts = observe_one(es, f"{prefix}logs")
    doubt = the_doubt(facts)
    assert (doubt.name, doubt.uuid, doubt.doubt) == (f"{prefix}logs", None, Doubt.ALIAS)
    assert facts.indices == ()


def test_the_write_index_of_an_alias_is_known(es: Elasticsearch, prefix: str) -> None:
    alias = f"{prefix}write"
    create(es, f"{prefix}logs-000001", NOW - DAY, aliases={alias: {"is_write_index": False}})
    create(es, f"{prefix}logs-000002", NOW - DAY, aliases={alias: {"is_write_index": True}, f"{prefix}read": {}})

    first, second = observe_one(es, f"{prefix}logs-*").indices

    assert (first.write_index, first.aliases, first.write_aliases) == (False, (alias,), ())
    assert (second.write_index, second.aliases, second.write_aliases) == (True, (f"{prefix}read", alias), (alias,))


# --- what cannot be read, and must not disturb the rest ------------------------------------------------


def test_a_closed_index_is_set_apart_alone(
    es: Elasticsearch, prefix: str, beside: Callable[[CategoryFacts], None]
) -> None:
    create(es, f"{prefix}logs-1", NOW - 20 * DAY, aliases={f"{prefix}logs-alias": {}})
    es.indices.close(index=f"{prefix}logs-1")

    facts = observe_one(es, f"{prefix}logs-*")

    doubt = the_doubt(facts)
    assert (doubt.name, doubt.doubt) == (f"{prefix}logs-1", Doubt.CLOSED)
    assert doubt.uuid
    beside(facts)


@pytest.mark.parametrize("reached_by", ["its name", "an alias too", "an alias alone"])
def test_an_unassigned_index_is_set_apart_alone_and_delays_nothing(
    es: Elasticsearch, prefix: str, beside: Callable[[CategoryFacts], None], reached_by: str
) -> None:
    name = f"{prefix}other" if reached_by == "an alias alone" else f"{prefix}logs-1"
    aliases: dict[str, Any] = {} if reached_by == "its name" else {f"{prefix}logs-alias": {}}
    nowhere = {"number_of_replicas": 0, "routing.allocation.require._name": "nowhere"}
    es.indices.create(index=name, settings=nowhere, aliases=aliases, wait_for_active_shards=0)

    began = time.monotonic()
    facts = observe_one(es, f"{prefix}logs-*")

    assert time.monotonic() - began < 20  # a refresh that includes it takes a minute
    doubt = Doubt.BEHIND_ALIAS if name.endswith("other") else Doubt.UNASSIGNED
    assert (the_doubt(facts).name, the_doubt(facts).doubt) == (name, doubt)
    beside(facts)


def test_an_unassigned_replica_is_no_doubt(es: Elasticsearch, prefix: str) -> None:
    create(es, f"{prefix}logs-1", NOW - DAY, settings={"number_of_replicas": 1 + len(es.nodes.info()["nodes"])})
    assert the_index(observe_one(es, f"{prefix}logs-*")).documents == 1


@pytest.mark.parametrize("block", ["write", "read_only", "read_only_allow_delete"])
def test_a_block_is_seen_and_hides_nothing(
    es: Elasticsearch, prefix: str, beside: Callable[[CategoryFacts], None], block: str
) -> None:
    create(es, f"{prefix}logs-1", NOW - 20 * DAY)
    es.indices.put_settings(index=f"{prefix}logs-1", settings={f"index.blocks.{block}": True})

    facts = observe_one(es, f"{prefix}logs-*")

    assert facts.set_apart == ()
    (index,) = (index for index in facts.indices if index.name == f"{prefix}logs-1")
    assert (index.blocks, index.documents, index.due) == (frozenset({Block(block)}), 1, 1)
    assert index.sequence_numbers == (0,)
    beside(facts)


@pytest.mark.parametrize("aliased", [False, True])
def test_a_metadata_block_hides_bytes_but_no_documents(
    es: Elasticsearch, prefix: str, beside: Callable[[CategoryFacts], None], *, aliased: bool
) -> None:
    aliases: dict[str, Any] = {f"{prefix}logs-alias": {"is_write_index": True}} if aliased else {}
    create(es, f"{prefix}logs-1", NOW - 20 * DAY, aliases=aliases)
    create(es, f"{prefix}logs-2", NOW - DAY, aliases={f"{prefix}logs-alias": {"is_write_index": False}})
    es.indices.put_settings(index=f"{prefix}logs-1", settings={"index.blocks.metadata": True})
    try:
        facts = observe_one(es, f"{prefix}logs-*")
    finally:
        es.indices.put_settings(index=f"{prefix}logs-1", settings={"index.blocks.metadata": None})

    assert facts.set_apart == ()
    blocked, free, _ = facts.indices
    assert (blocked.blocks, blocked.documents, blocked.due) == (frozenset({Block.METADATA}), 1, 1)
    assert (blocked.bytes, blocked.sequence_numbers) == (0, ())
    # Which of its aliases write to it cannot be asked: it counts as one that is written to.
    assert (blocked.write_index, blocked.write_aliases) == (aliased, ())
    assert (free.write_index, free.documents) == (False, 1)
    beside(facts)


def test_a_block_on_reading_sets_its_index_apart_alone(
    es: Elasticsearch, prefix: str, beside: Callable[[CategoryFacts], None]
) -> None:
    create(es, f"{prefix}logs-1", NOW - 20 * DAY)
    es.indices.put_settings(index=f"{prefix}logs-1", settings={"index.blocks.read": True})
    facts = observe_one(es, f"{prefix}logs-*")
    assert the_doubt(facts).doubt is Doubt.PARTIAL
    assert "index.blocks.read" in the_doubt(facts).text
    beside(facts)


def test_a_search_that_fails_on_some_indices_names_each_of_them(es: Elasticsearch, prefix: str) -> None:
    keyword = {"properties": {"@timestamp": {"type": "keyword"}}}
    for number in (1, 2):
        create(es, f"{prefix}logs-{number}", NOW, mappings=keyword)
    create(es, f"{prefix}logs-3", NOW - DAY)
    logs = category(f"{prefix}logs-*")
    three = tuple(f"{prefix}logs-{number}" for number in (1, 2, 3))
    search = Search(category=logs, shards=dict.fromkeys(three, 1), timestamp=DATED)

    answer = search_documents(es, policy_of(logs), [search], NOW, OWN)

    assert sorted(answer.unknown) == [f"{prefix}logs-1", f"{prefix}logs-2"]
    assert "keyword" in answer.unknown[f"{prefix}logs-1"].text
    assert answer.seen[f"{prefix}logs-3"].documents == 1


def test_an_index_of_which_not_all_shards_answer_is_unknown_alone(es: Elasticsearch, prefix: str) -> None:
    some = tuple(f"{prefix}logs-{number}" for number in range(3))
    for name in some:
        create(es, name, NOW)
    logs = category(f"{prefix}logs-*")
    search = Search(category=logs, shards={**dict.fromkeys(some, 1), some[1]: 2}, timestamp=DATED)
    answer = search_documents(es, policy_of(logs), [search], NOW, OWN)
    assert list(answer.unknown) == [some[1]]
    assert "1 of 1 shards answered" in answer.unknown[some[1]].text
    assert sorted(answer.seen) == [some[0], some[2]]


@pytest.mark.parametrize(
    ("shards", "rest", "complete"),
    [
        ({}, {}, True),
        ({"successful": 1}, {}, False),
        ({"total": 1, "successful": 1}, {}, False),
        ({"skipped": 1}, {}, False),
        ({"failed": 1, "successful": 1}, {}, False),
        ({"failed": 1, "successful": 1, "failures": [{"index": "b"}]}, {}, True),
        ({}, {"timed_out": True}, False),
        ({}, {"hits": {"total": {"value": 8}}}, False),
        ({}, {"aggregations": {"indices": {"sum_other_doc_count": 1, "buckets": []}}}, False),
    ],
)
def test_a_search_counts_only_if_all_of_it_is_accounted_for(
    shards: dict[str, Any], rest: dict[str, Any], *, complete: bool
) -> None:
    buckets = [{"key": "a", "doc_count": 1, "documents": {"value": 7}}]
    response = {
        "_shards": {"total": 2, "successful": 2, "skipped": 0, "failed": 0, **shards},
        "timed_out": False,
        "hits": {"total": {"value": 7}},
        "aggregations": {"indices": {"sum_other_doc_count": 0, "buckets": buckets}},
        **rest,
    }
    assert adds_up({"a": 1, "b": 1}, response) is complete


def test_nested_documents_are_neither_counted_nor_taken_for_hidden_ones(es: Elasticsearch, prefix: str) -> None:
    mappings = {"properties": {"@timestamp": {"type": "date"}, "calls": {"properties": {"legs": {"type": "nested"}}}}}
    create(es, f"{prefix}logs-1", mappings=mappings)
    nested = {"@timestamp": NOW - DAY, "calls": {"legs": [{"a": 1}, {"a": 2}]}}
    write(es, f"{prefix}logs-1", nested, refresh=True)
    assert es.indices.stats(index=f"{prefix}logs-1")["_all"]["primaries"]["docs"]["count"] == 3

    assert the_index(observe_one(es, f"{prefix}logs-*")).documents == 1


def test_a_time_series_index_tells_until_when_it_accepts_documents(es: Elasticsearch, prefix: str) -> None:
    dimension = {"type": "keyword", "time_series_dimension": True}
    times = {"start_time": format_instant(NOW - 30 * DAY), "end_time": format_instant(NOW + DAY)}
    settings = {"mode": "time_series", "routing_path": ["dimension"], "time_series": times}
    create(
        es,
        f"{prefix}logs-1",
        settings=settings,
        mappings={"properties": {**TIMESTAMP["properties"], "dimension": dimension}},
    )
    write(es, f"{prefix}logs-1", {"@timestamp": NOW - 20 * DAY, "dimension": "a"})

    index = the_index(observe_one(es, f"{prefix}logs-*"))

    assert (index.end_time, index.documents, index.due) == (NOW + DAY, 1, 1)


# --- changes in between, and failures of the whole ----------------------------------------------------


@pytest.mark.parametrize("at", ["_refresh", "_stats", "_field_caps", "_msearch"])
@pytest.mark.parametrize("change", ["deleted", "closed"])
def test_an_index_that_changes_in_between_is_observed_anew(
    server: Server, es: Elasticsearch, prefix: str, at: str, change: str
) -> None:
    create(es, f"{prefix}logs-1", NOW - 20 * DAY)
    create(es, f"{prefix}logs-2", NOW - DAY)

    def act() -> None:
        if change == "closed":
            es.indices.close(index=f"{prefix}logs-1")
        else:
            es.indices.delete(index=f"{prefix}logs-1")

    with watched(server, once(at, act)) as (client, _):
        facts = observe_one(client, f"{prefix}logs-*")

    assert [(index.name, index.documents) for index in facts.indices] == [(f"{prefix}logs-2", 1)]
    assert [apart.doubt for apart in facts.set_apart] == ([Doubt.CLOSED] if change == "closed" else [])


def test_an_index_that_is_recreated_before_it_is_counted_has_its_new_uuid(
    server: Server, es: Elasticsearch, prefix: str
) -> None:
    create(es, f"{prefix}logs-1", NOW - 20 * DAY)

    def recreate() -> None:
        es.indices.delete(index=f"{prefix}logs-1")
        create(es, f"{prefix}logs-1", NOW - 2 * DAY)

    with watched(server, once("_stats", recreate)) as (client, _):
        index = the_index(observe_one(client, f"{prefix}logs-*"))

    settings = es.indices.get_settings(index=index.name)[index.name]["settings"]["index"]
    assert (index.uuid, index.oldest) == (settings["uuid"], NOW - 2 * DAY)


def test_indices_that_change_all_the_time_are_set_apart(
    server: Server, es: Elasticsearch, prefix: str, beside: Callable[[CategoryFacts], None]
) -> None:
    create(es, f"{prefix}logs-1", NOW - DAY)
    made: list[str] = []

    def delete_what_was_listed(target: str) -> None:
        if "_msearch" in target:
            es.indices.delete(index=f"{prefix}logs-{len(made) + 1}", ignore_unavailable=True)
            made.append(target)
            create(es, f"{prefix}logs-{len(made) + 1}", NOW - DAY)

    with watched(server, delete_what_was_listed) as (client, _):
        facts = observe_one(client, f"{prefix}logs-*")
    assert len(made) >= ATTEMPTS
    assert the_doubt(facts).doubt is Doubt.PARTIAL
    assert "gone or closed" in the_doubt(facts).text
    beside(facts)


def test_a_request_that_is_refused_is_an_error_and_not_an_empty_category(server: Server) -> None:
    if not server.username:
        pytest.skip("security is off on this server")
    with (
        closing(Elasticsearch(server.url, basic_auth=("nobody", "wrong-password"))) as client,
        pytest.raises(RequestRejected, match="credentials"),
    ):
        observe_one(client, "anything-*")


# --- privileges ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded(own_server: Callable[..., Any]) -> Iterator[tuple[Elasticsearch, Elasticsearch]]:
    """A server whose licence knows document level security: a client as superuser, and one that may see less."""
    counted = ["monitor", "maintenance", "view_index_metadata"]
    role = {
        "cluster": ["monitor"],
        "indices": [
            {"names": ["open-*"], "privileges": ["all"]},
            {"names": ["half-*"], "privileges": ["all"], "query": '{"term": {"mine": true}}'},
            {"names": ["counted-*"], "privileges": counted},
        ],
    }
    settings = {"xpack.license.self_generated.type": "trial"}
    server = own_server(roles={"limited": role}, users={"limited": ["limited"]}, settings=settings)
    limited = server.user("limited")
    with (
        closing(Elasticsearch(server.url, basic_auth=(server.admin.username, server.admin.password))) as admin,
        closing(Elasticsearch(server.url, basic_auth=(limited.username, limited.password))) as client,
    ):
        for name in ("open-logs", "half-logs", "half-all", "counted-logs", "secret-logs"):
            create(admin, name)
            documents = ({"@timestamp": NOW - DAY, "mine": mine} for mine in (True, name.endswith("all")))
            write(admin, name, *documents, refresh=True)
        yield admin, client
    server.close()


def test_documents_that_a_role_hides_set_their_index_apart(guarded: tuple[Elasticsearch, Elasticsearch]) -> None:
    admin, limited = guarded

    facts = observe_one(limited, "half-*", "open-*")

    hidden = [(apart.name, apart.doubt, "security hides documents of" in apart.text) for apart in facts.set_apart]
    assert hidden == [("half-all", Doubt.INVISIBLE, True), ("half-logs", Doubt.INVISIBLE, True)]
    assert [(index.name, index.documents) for index in facts.indices] == [("open-logs", 2)]
    assert observe_one(admin, "half-*", "open-*").set_apart == ()


def test_an_index_that_a_role_hides_altogether_is_set_apart(guarded: tuple[Elasticsearch, Elasticsearch]) -> None:
    _, limited = guarded
    facts = observe_one(limited, "secret-*", "open-*")
    assert (the_doubt(facts).name, the_doubt(facts).doubt) == ("secret-logs", Doubt.PARTIAL)
    assert names(facts) == ["open-logs"]


def test_a_role_that_may_not_search_is_named_with_what_it_lacks(guarded: tuple[Elasticsearch, Elasticsearch]) -> None:
    _, limited = guarded
    with pytest.raises(RequestRejected) as refused:
        observe_one(limited, "counted-*")
    assert (refused.value.status, refused.value.kind) == (403, "security_exception")
    assert "indices:data/read/" in refused.value.message
    assert "index privileges read" in refused.value.remedy
    beside = observe_one(limited, "counted-*", "open-*")
    assert "indices:data/read/" in the_doubt(beside).text
    assert "index privileges read" in the_doubt(beside).remedy
    assert [index.name for index in beside.indices if index.name.startswith("open-")]


# --- what the embedded server cannot make -------------------------------------------------------------


def state_of(**settings: Any) -> dict[str, Any]:
    return {"state": "open", "settings": {"index": {"uuid": "u", "creation_date": "1", **settings}}}


STARTED: Mapping[str, list[Mapping[str, Any]]] = {
    "0": [{"state": "STARTED", "primary": True}, {"state": "UNASSIGNED", "primary": False}]
}


def test_what_the_state_says_of_mounts_followers_and_lifecycles_is_read() -> None:
    plain = described("a", state_of(), STARTED)
    assert (plain.mounted, plain.follower, plain.lifecycle, plain.assigned, plain.shards) == (
        False,
        False,
        None,
        True,
        1,
    )
    assert plain.active_copies == 1
    assert described("a", state_of(store={"type": "snapshot"}), STARTED).mounted
    assert described("a", state_of(xpack={"ccr": {"following_index": "true"}}), STARTED).follower
    assert described("a", state_of(lifecycle={"name": "thirty-days"}), STARTED).lifecycle == "thirty-days"


@pytest.mark.parametrize(
    "copies", [[{"state": "UNASSIGNED", "primary": True}], [{"state": "INITIALIZING", "primary": True}], []]
)
def test_an_index_without_an_active_primary_is_not_assigned(copies: list[Mapping[str, Any]]) -> None:
    assert not described("a", state_of(), {"0": copies}).assigned


def backing(name: str, managed_by: str = "Unmanaged") -> dict[str, str]:
    return {"index_name": name, "managed_by": managed_by}


def test_the_members_of_a_stream_are_read_with_its_failure_store() -> None:
    stream = {
        "name": "logs",
        "indices": [backing(".ds-logs-1"), backing(".ds-logs-2")],
        "failure_store": {"indices": [backing(".fs-logs-3"), backing(".fs-logs-4")]},
    }
    members = dict(members_of(stream))
    assert {name for name, member in members.items() if member.write_index} == {".ds-logs-2", ".fs-logs-4"}
    assert {name for name, member in members.items() if member.failure_store} == {".fs-logs-3", ".fs-logs-4"}
    assert {member.stream for member in members.values()} == {"logs"}
    assert not any(member.stream_lifecycle for member in members.values())


@pytest.mark.parametrize(
    ("lifecycle", "index", "managed"),
    [
        ({"enabled": True}, backing("i", "Data stream lifecycle"), True),
        ({"enabled": True}, backing("i", "Index Lifecycle Management"), False),
        ({"enabled": False}, backing("i", "Data stream lifecycle"), False),
        ({"enabled": True}, {"index_name": "i"}, True),
        ({}, backing("i", "Unmanaged"), False),
    ],
)
def test_the_lifecycle_of_a_stream_counts_where_it_manages_the_index(
    lifecycle: dict[str, bool], index: dict[str, str], *, managed: bool
) -> None:
    ((_, member),) = members_of({"name": "logs", "indices": [index], "lifecycle": lifecycle})
    assert member.stream_lifecycle is managed


# --- the cluster --------------------------------------------------------------------------------------


def test_the_cluster_tells_who_it_is_and_what_time_it_has(server: Server, es: Elasticsearch) -> None:
    facts = cluster_facts(es)
    assert abs(facts.time - time.time() * SECOND) < 60 * SECOND
    assert facts.version == server.version
    assert len(facts.uuid) == 22
    assert Inventory(es).cluster().uuid == facts.uuid


def test_what_a_cluster_lacks_is_asked_once(server: Server) -> None:
    with watched(server) as (client, sent):
        capabilities = Capabilities(client)
        first = capabilities.has_lifecycles()
        assert capabilities.has_lifecycles() is first
        assert len(sent) == 1
        if server.kind == "embedded":
            assert first is False


def test_an_error_is_not_taken_for_absence(server: Server) -> None:
    if not server.username:
        pytest.skip("security is off on this server")
    with closing(Elasticsearch(server.url, basic_auth=("nobody", "wrong-password"))) as client:
        capabilities = Capabilities(client)
        with pytest.raises(RequestRejected):
            capabilities.has_lifecycles()


# --- expressions --------------------------------------------------------------------------------------


def expressions_of(batches: Iterator[Batch]) -> list[str]:
    return [batch.expression for batch in batches]


def wanted(*names_: str) -> dict[str, str | None]:
    return dict.fromkeys(names_)


def test_what_must_not_be_reached_is_excluded_by_name() -> None:
    assert expressions_of(covering(["logs-*"], wanted("logs-1"), {"logs-2": ()}, {"logs-2"})) == ["logs-*,-logs-2"]


def test_where_a_wildcard_reaches_it_by_another_name_all_others_are_named() -> None:
    """An exclusion works on names: an alias that leads to the excluded index would still reach it."""
    caught = {"other": ("logs-alias",)}
    assert expressions_of(covering(["logs-*"], wanted("logs-1", "logs-2"), caught, {"other"})) == ["logs-1,logs-2"]
    assert expressions_of(covering(["logs-*", "calls-*"], wanted("logs-1", "calls-1"), caught, {"other"})) == [
        "calls-*,logs-1"
    ]


def test_a_wildcard_that_reaches_nothing_wanted_is_not_asked() -> None:
    assert expressions_of(covering(["logs-*", "alias"], wanted("logs-1"), {}, ())) == ["logs-*"]
    assert expressions_of(covering(["logs-*"], wanted(), {}, ())) == []


def test_the_indices_behind_a_stream_are_reached_through_its_name() -> None:
    indices = {".ds-logs-1": "logs", ".fs-logs-2": None}
    assert expressions_of(covering(["logs"], indices, {}, ())) == ["logs,.fs-logs-2"]
    assert expressions_of(covering(["logs"], indices, {".ds-logs-3": ("logs",)}, {".ds-logs-3"})) == [
        ".ds-logs-1,.fs-logs-2"
    ]


def test_no_expression_is_too_long_and_none_loses_a_name() -> None:
    many = [f"logs-{number}-é" for number in range(1_000)]
    lists = list(packed(many))
    assert max(len(quote(names_, safe=",")) for names_ in lists) <= LONGEST
    assert ",".join(lists).split(",") == many
    too_many = [f"logs-{number:04d}" for number in range(1_000)]
    kept = wanted("logs-x")
    assert expressions_of(covering(["logs-*"], kept, dict.fromkeys(too_many, ()), set(too_many))) == ["logs-x"]


# --- cost ---------------------------------------------------------------------------------------------


def create_many(es: Elasticsearch, prefix: str, count: int) -> list[str]:
    """Create indices of one document each; by one `_bulk` each 100, as single requests take several times as long."""
    template = {"settings": {"number_of_shards": 1, "number_of_replicas": 0}, "mappings": TIMESTAMP}
    es.indices.put_index_template(name=prefix, index_patterns=[f"{prefix}logs-*"], template=template)
    every = [f"{prefix}logs-{number:04d}" for number in range(count)]
    try:
        for start in range(0, count, 100):
            operations: list[Mapping[str, Any]] = []
            for name in every[start : start + 100]:
                operations += [{"create": {"_index": name}}, {"@timestamp": NOW - 20 * DAY}]
            assert not es.options(request_timeout=120).bulk(operations=operations)["errors"]
    finally:
        es.indices.delete_index_template(name=prefix)
    return every


def observed_requests(server: Server, *patterns: str) -> tuple[CategoryFacts, list[tuple[str, str]]]:
    with watched(server) as (client, sent):
        return observe_one(client, *patterns), sent


def paths(sent: Sequence[tuple[str, str]]) -> list[str]:
    return [next(part for part in target.split("/") if part.startswith("_")).partition("?")[0] for _, target in sent]


def test_more_indices_than_any_default_size_are_all_counted(server: Server, es: Elasticsearch, prefix: str) -> None:
    every = create_many(es, prefix, 12)
    facts, sent = observed_requests(server, f"{prefix}logs-*")
    assert (names(facts), facts.documents) == (every, 12)
    assert len(sent) <= 12


def test_names_that_do_not_fit_into_one_url_are_asked_in_several(
    server: Server, es: Elasticsearch, prefix: str
) -> None:
    long = [f"{prefix}{letter}-{'x' * 220}" for letter in "abcdefghijklmn"]
    for name in long:
        create(es, name, NOW - DAY)
    facts, sent = observed_requests(server, *long)
    assert (names(facts), facts.documents) == (long, 14)
    assert max(len(target) for _, target in sent) < 4_000


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_thousand_indices_cost_as_many_requests_as_ten(server: Server, es: Elasticsearch, prefix: str) -> None:
    few = create_many(es, f"{prefix}few-", 10)
    many = create_many(es, f"{prefix}many-", 1_000)
    for name in (few[0], many[0]):
        es.indices.put_alias(index=name, name=f"{name}-alias")

    ten, sent_for_ten = observed_requests(server, f"{prefix}few-logs-*")
    tracemalloc.start()
    thousand, sent = observed_requests(server, f"{prefix}many-logs-*")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert (names(ten), names(thousand)) == (few, many)
    assert all((index.documents, index.due) == (1, 1) for index in thousand.indices)
    assert paths(sent) == paths(sent_for_ten)
    assert len(sent) <= 12, paths(sent)
    assert peak < 50 << 20


def test_a_timestamp_inside_an_object_is_one(es: Elasticsearch, prefix: str) -> None:
    mappings = {"properties": {"event": {"properties": {"created": {"type": "date"}}}}}
    create(es, prefix + "logs-a", mappings=mappings)
    write(es, prefix + "logs-a", {"event": {"created": NOW - DAY}}, refresh=True)
    index = the_index(observe_one(es, prefix + "logs-*", timestamp=Timestamp("event.created")))
    assert (index.oldest, index.undated) == (NOW - DAY, 0)
