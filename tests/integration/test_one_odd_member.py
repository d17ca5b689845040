"""One odd index of each kind beside fifty good ones: what is known of the fifty, and what goes, is as without them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from elasticsearch.helpers import bulk

from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.cluster.deletion.deletion import Deletion
from retention_enforcer.domain.instants import DAY, HOUR
from shapes.catalogue import CATALOGUE, Place
from shapes.world import FIELDS, Ability, Rounds, World, abilities
from workbench import Workbench

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

GOOD, DUE = 50, 25

POLICY = """\
version: 1
name: {prefix}policy
categories:
  - id: logs
    clause: {{document: Test promises, section: "1", item: logs, updated: 2026-01-01}}
    indices: [%s]
    subjects: {{application: sdkappid, user: user_id}}
    max_age: 14d
    rollover: 1d
"""

OWN_SHAPES: dict[str, tuple[tuple[str, ...], Callable[[World, Place], Rounds]]] = {}
"""Kinds that the catalogue does not have, and what the server must be able to make for them."""


def odd(name: str, *needs: str) -> Callable[[Callable[[World, Place], Rounds]], None]:
    def add(make: Callable[[World, Place], Rounds]) -> None:
        OWN_SHAPES[name] = (needs, make)

    return add


def _timestamp(name: str, *needs: str, **mapping: Any) -> None:
    @odd(name, *needs)
    def _(world: World, place: Place) -> Rounds:
        world.index(place.name(), place.drafts, fields={"@timestamp": mapping})
        yield


_timestamp("timestamp without doc values", type="date", doc_values=False)
_timestamp("timestamp that is not indexed", type="date", index=False)
_timestamp("timestamp neither indexed nor with doc values", type="date", index=False, doc_values=False)
_timestamp("timestamp as text", type="text")
_timestamp("timestamp with a value for documents without", type="date", null_value="2001-01-01")


@odd("timestamp as a range")
def _(world: World, place: Place) -> Rounds:
    fields = {"@timestamp": {"type": "date_range"}}
    world.index(place.name(), place.drafts, fields=fields, render=lambda d: {"@timestamp": {"gte": d.at, "lte": d.at}})
    yield


@odd("timestamp as an object")
def _(world: World, place: Place) -> Rounds:
    fields = {"@timestamp": {"properties": {"at": {"type": "date"}}}}
    world.index(place.name(), place.drafts, fields=fields, render=lambda d: {"@timestamp": {"at": d.at}})
    yield


@odd("timestamp inside nested documents")
def _(world: World, place: Place) -> Rounds:
    fields = {"@timestamp": {"type": "nested", "properties": {"at": {"type": "date"}}}}
    world.index(place.name(), place.drafts, fields=fields, render=lambda d: {"@timestamp": [{"at": d.at}]})
    yield


@odd("small limits of its own")
def _(world: World, place: Place) -> Rounds:
    limits = {"index.max_terms_count": 1, "index.max_docvalue_fields_search": 0, "index.max_result_window": 1}
    world.index(place.name(), place.drafts, settings=limits)
    yield


@odd("as many fields as it may have")
def _(world: World, place: Place) -> Rounds:
    world.index(place.name(), place.drafts, settings={"index.mapping.total_fields.limit": len(FIELDS)})
    yield


@odd("with aliases that leave documents out")
def _(world: World, place: Place) -> Rounds:
    none = {"filter": {"term": {"sdkappid": "nobody"}}}
    world.index(
        place.name(), place.drafts, aliases={place.name(tail="-none"): none, place.name(tail="-r"): {"routing": "1"}}
    )
    yield


@odd("pipeline that drops every document", "pipelines")
def _(world: World, place: Place) -> Rounds:
    name = world.index(place.name(), place.drafts)
    yield
    world.es.ingest.put_pipeline(id=name, processors=[{"drop": {}}])
    world.settings(name, **{"index.default_pipeline": name, "index.final_pipeline": name})


@odd("stream with a failure store", "failure store")
def _(world: World, place: Place) -> Rounds:
    name = place.name()
    body = {"settings": {"number_of_replicas": 0}, "mappings": {"properties": FIELDS}}
    stream = {"failure_store": True}
    world.es.indices.put_index_template(
        name=name, index_patterns=[name], data_stream=stream, template=body, priority=500 + place.number
    )
    world.es.indices.create_data_stream(name=name)
    world.write(name, place.drafts, own_ids=False)
    yield
    broken = {"@timestamp": place.drafts[0].at, "sdkappid": {"no": "keyword"}}
    world.es.options(ignore_status=400).index(index=name, document=broken, op_type="create", refresh=True)


@odd("follower", "licence")
def _(world: World, place: Place) -> Rounds:
    leader = world.index(place.name("leader"), place.drafts)
    yield
    (node,) = world.es.nodes.info(filter_path="nodes.*.transport_address")["nodes"].values()
    remote = f"{world.token}-itself"
    seeds = {f"cluster.remote.{remote}.seeds": [node["transport_address"]]}
    world.es.cluster.put_settings(persistent=seeds)
    world.es.ccr.follow(index=place.name(), remote_cluster=remote, leader_index=leader, wait_for_active_shards="1")
    world.es.ccr.pause_follow(index=place.name())


APART = {
    "closed index": "closed",
    "index that was never allocated": "not assigned to a node",
    "index with the block read": "index.blocks.read",
    "closed backing index": "closed",
    "follower": "follows an index",
}
"""Kinds of index that nobody can look into, and what is said of each."""

AGELESS = {
    "timestamps as keywords": "keyword",
    "timestamps as plain numbers": "long",
    "timestamp that a runtime field shadows": "runtime field",
    "timestamp without doc values": "doc_values",
    "timestamp neither indexed nor with doc values": "doc_values",
    "timestamp as text": "text",
    "timestamp as a range": "date_range",
    "timestamp inside nested documents": ", none with ",
    "timestamp with a value for documents without": "null_value",
    "many timestamps in a document": "several",
    "timestamp field that no document has": ", none with ",
}
"""Kinds of which nobody can tell how old their documents are, and what is said of each."""

JUDGED = (
    "hidden index",
    "empty index",
    "index with the block read_only",
    "index with the block write",
    "index with the block metadata",
    "index with the block read_only_allow_delete",
    "missing replica",
    "never refreshed by itself",
    "small result window",
    "small limits of its own",
    "as many fields as it may have",
    "with aliases that leave documents out",
    "documents that count for more than one",
    "fields that a mapping does not take up",
    "no source",
    "synthetic source",
    "routed documents",
    "nested documents beside the subject",
    "subject inside nested documents",
    "several subjects in a document",
    "subject as text alone",
    "subject that is only in the source",
    "timestamps of nanoseconds",
    "timestamp that is not indexed",
    "timestamp under an alias field",
    "timestamp as an object",
    "mounted as a full copy",
    "mounted with a shared cache",
    "stream",
    "stream with a failure store",
    "stream of time series",
    "time series of the past",
    "downsampled by a lifecycle",
    "logsdb",
    "pipeline that drops every document",
)
"""Kinds that can be looked into, however odd."""


class Fifty:
    """Fifty good indices of one category, half of them due, and room for odd ones beside them."""

    def __init__(self, bench: Workbench, *, odd_ones_inside: bool) -> None:
        names = ["good-*", *(["logs-*", "events-*"] if odd_ones_inside else [])]
        bench.policy_text = POLICY % ", ".join(f'"{{prefix}}{name}"' for name in names)
        bench.settings |= {"ENFORCER_GRACE": "0s"}
        self.bench = bench
        able = Ability(abilities(bench.es).names | failure_store(bench.es))
        self.world = World(bench.es, bench.prefix, able)
        now = SystemClock().now()
        settings = {"number_of_shards": 1, "number_of_replicas": 0}
        for number in range(GOOD):
            bench.es.indices.create(
                index=self.name(number), settings=settings, mappings={"properties": FIELDS}, wait_for_active_shards="1"
            )
        bulk(
            bench.es,
            (
                {
                    "_index": self.name(number),
                    "@timestamp": now - (20 if number < DUE else 2) * DAY + each * HOUR,
                    "sdkappid": self.gone if each == 0 and number >= DUE else "neighbour",
                    "user_id": "u1",
                }
                for number in range(GOOD)
                for each in range(3)
            ),
            refresh=True,
        )

    @property
    def gone(self) -> str:
        return self.world.gone.id

    def name(self, number: int) -> str:
        return f"{self.bench.prefix}good-{number:02d}"

    def make_odd_ones(self) -> dict[str, str]:
        """Make an index of each kind that the server can make; return their names in the policy, by kind."""
        made, rounds = {}, []
        for number, kind in enumerate([*APART, *AGELESS, *JUDGED]):
            needs, make = OWN_SHAPES.get(kind) or (CATALOGUE[kind].needs, CATALOGUE[kind].make)
            if not self.world.able.lacks(needs):
                state = "expired" if kind in {"time series of the past", "downsampled by a lifecycle"} else "young"
                if kind == "closed backing index":
                    state = "both"
                place = Place(number, state, self.bench.prefix, self.world.drafts(state))
                rounds.append(make(self.world, place))
                made[kind] = f"-s{number}"
        self.world.build(*rounds)
        return made

    def planned(self) -> dict[str, Any]:
        """What is planned for the good ones."""
        plan = self.bench.run("plan", "--output", "json")
        assert plan.code == 0, plan.err
        found = plan.plan("logs")
        return {
            # A reason tells the age as of now.
            what: [{**row, "reason": ""} for row in found[what] if row["index"].startswith(f"{self.bench.prefix}good-")]
            for what in ("purge", "keep", "skip")
        }

    def said_in_plan(self) -> dict[str, list[tuple[str, str]]]:
        """What is planned for each odd index, and why, by the end of its name; under "" for the good ones."""
        found = self.bench.run("plan", "--output", "json").plan("logs")
        said: dict[str, list[tuple[str, str]]] = {}
        for what in ("purge", "keep", "skip"):
            for row in found[what]:
                tail = re.search(r"-s[0-9]+(?=$|-)", row["index"])
                said.setdefault(tail[0] if tail else "", []).append((what, row["reason"]))
        return said

    def of_the_subject(self) -> dict[str, int]:
        """How many documents of the subject each good index has."""
        good = f"{self.bench.prefix}good-*"
        self.bench.es.indices.refresh(index=good)
        hits = self.bench.es.search(index=good, query={"term": {"sdkappid": self.gone}}, size=100)["hits"]["hits"]
        return dict(Counter(hit["_index"] for hit in hits))

    def left(self) -> list[str]:
        found = self.bench.es.indices.get(index=f"{self.bench.prefix}good-*", features="aliases")
        return sorted(found)


def assert_a_look_by_name_shows_what_there_is(bench: Workbench) -> None:
    """Whatever an index is like: by a look at its name alone it would otherwise count as deleted."""
    found = bench.es.cluster.state(metric="metadata", filter_path="metadata.indices.*.settings.index.uuid")
    uuids = {name: index["settings"]["index"]["uuid"] for name, index in found["metadata"]["indices"].items()}
    concerned = {name for name in uuids if bench.prefix in name}
    deletion = Deletion(bench.es)
    everything = deletion.existing([uuids[name] for name in concerned])
    assert {each.name for each in everything.values()} == concerned
    assert deletion.existing(everything.keys(), concerned) == everything
    for name in concerned:
        assert deletion.existing([uuids[name]], [name]) == {uuids[name]: everything[uuids[name]]}
    assert deletion.existing(["of-another-index"], concerned) == {}
    assert deletion.existing(everything.keys(), [f"{bench.prefix}was-never-there"]) == {}


def failure_store(es: Elasticsearch) -> frozenset[str]:
    """Whether the server keeps what it could not index: by a flag, on 8.17."""
    name, body = "t-failure-store-probe", {"failure_store": True}
    quiet = es.options(ignore_status=[400, 404, 405])
    answer = quiet.indices.put_index_template(name=name, index_patterns=[name], data_stream=body, priority=0)
    if answer.meta.status != 200:
        return frozenset()
    quiet.indices.delete_index_template(name=name)
    return frozenset({"failure store"})


@pytest.fixture
def fifty(bench: Workbench) -> Iterator[Callable[[bool], Fifty]]:
    made: list[Fifty] = []

    def make(odd_ones_inside: bool) -> Fifty:
        made.append(Fifty(bench, odd_ones_inside=odd_ones_inside))
        return made[-1]

    yield make
    for one in made:
        one.world.remove()


@pytest.mark.parametrize("inside", [True, False], ids=["inside", "outside"])
def test_one_odd_member_of_each_kind_changes_nothing_for_the_others(
    fifty: Callable[[bool], Fifty], inside: bool
) -> None:
    those = fifty(inside)
    bench = those.bench
    assert bench.run("setup", "--indices-only").code == 0
    alone = those.planned()
    assert [len(alone[what]) for what in ("purge", "keep", "skip")] == [DUE, GOOD - DUE, 0]
    made = those.make_odd_ones()
    print(f"{len(made)} kinds; left out: {sorted({*APART, *AGELESS, *JUDGED} - made.keys())}")

    assert_a_look_by_name_shows_what_there_is(bench)
    assert those.planned() == alone
    said = those.said_in_plan()
    if inside:
        for kind, cause in {**APART, **AGELESS}.items():
            if kind in made:
                assert [cause for _, reason in said[made[kind]] if cause in reason] == [cause], (kind, said[made[kind]])
        for kind in JUDGED:
            assert {what for what, _ in said.get(made.get(kind, ""), [])} <= {"purge", "keep"}, (kind, said[made[kind]])
    else:
        assert set(said) == {""}

    until = ("--owner", "a", "--reason", "b", "--until", "2030-01-01")
    for code, command in (
        (0, ["policy", "accept"]),
        (0, ["hold", "add", "--index", those.name(GOOD - 1), *until]),
        (0, ["stop"]),
        (0, ["resume"]),
        (3 if inside else 0, ["run", "--once"]),
        (0, ["erase", "--application", those.gone]),
        (3 if inside else 0, ["run", "--once"]),
        (3 if inside else 0, ["report", "--output", "json"]),
        (3, ["certificate", "--application", those.gone, "--output", "json"]),
    ):
        ran = bench.run(*command)
        assert ran.code == code, (command, ran.err[-3_000:], ran.out[-3_000:])
        for silence in ("all shards failed", "the search failed: ;", "no reason given", "Traceback"):
            assert silence not in ran.out + ran.err, (command, silence)

    assert those.left() == [those.name(number) for number in range(DUE, GOOD)]
    assert those.of_the_subject() == {those.name(GOOD - 1): 1}  # that one is held
