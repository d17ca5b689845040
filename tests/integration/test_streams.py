"""Data streams: where the server has them. Backing indices are judged one by one, the stream itself stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext

import pytest
from elasticsearch import ApiError, Elasticsearch
from elasticsearch.helpers import bulk

from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.cluster.coverage.node_copies import CopiesOnNodes
from retention_enforcer.cluster.deletion.deletion import Deletion
from retention_enforcer.cluster.erasure import Erasure
from retention_enforcer.cluster.lifecycles.reads import LifecyclesSeen
from retention_enforcer.domain.erasure.facts import Remains
from retention_enforcer.domain.instants import DAY
from retention_enforcer.domain.selection import Every, Trim
from workbench import Workbench

Stream = Callable[..., str]


@pytest.fixture
def stream(bench: Workbench, es: Elasticsearch) -> Iterator[Stream]:
    """Makes a data stream under the prefix: one backing index for each list of timestamps."""
    try:
        es.indices.get_data_stream(name="*")
    except ApiError as error:
        pytest.skip(f"this server has no data streams ({error.meta.status})")
    made: list[str] = []

    def make(name: str, *backing: list[int], settings: dict | None = None, failure_store: bool = False) -> str:
        full = bench.prefix + name
        template = {
            "settings": {"number_of_shards": 1, "number_of_replicas": 0, **(settings or {})},
            "mappings": {"properties": {"@timestamp": {"type": "date"}}},
        }
        made.append(full)
        of_streams = {"failure_store": True} if failure_store else {}
        try:
            es.indices.put_index_template(
                name=full, index_patterns=[full], data_stream=of_streams, template=template, priority=500
            )
        except ApiError as error:
            made.pop()
            if failure_store:
                pytest.skip(f"this server has no failure stores ({error.meta.status})")
            raise
        es.indices.create_data_stream(name=full)
        for number, timestamps in enumerate(backing):
            if number:
                es.indices.rollover(alias=full)
            actions = ({"_op_type": "create", "_index": full, "_source": {"@timestamp": t}} for t in timestamps)
            bulk(es, actions, refresh=True)
        return full

    yield make
    for full in made:
        es.indices.delete_data_stream(name=full)
        es.indices.delete_index_template(name=full)


def failure_store(bench: Workbench, full: str) -> tuple[str, str]:
    """Write what cannot be indexed; return the name and the uuid of the index where it is kept."""
    bench.es.index(index=full, document={"@timestamp": "no time"}, op_type="create", refresh=True)
    (described,) = bench.es.indices.get_data_stream(name=full)["data_streams"]
    (store,) = described["failure_store"]["indices"]
    return store["index_name"], store["index_uuid"]


def backing_counts(es: Elasticsearch, full: str) -> list[int]:
    (found,) = es.indices.get_data_stream(name=full)["data_streams"]
    return [int(es.count(index=index["index_name"])["count"]) for index in found["indices"]]


def test_due_backing_indices_go_and_the_write_index_stays(bench: Workbench, stream: Stream) -> None:
    now = SystemClock().now()
    full = stream("logs-app", [now - 20 * DAY], [now - 18 * DAY, now - 17 * DAY], [now - DAY, now])
    bench.ready()
    ran = bench.run("run", "--once")
    assert ran.code == 0, ran.err
    assert backing_counts(bench.es, full) == [2]


def test_a_due_write_index_is_rolled_over_and_then_deleted(bench: Workbench, stream: Stream) -> None:
    now = SystemClock().now()
    full = stream("logs-idle", [now - 20 * DAY], [now - 19 * DAY])
    bench.ready()
    ran = bench.run("run", "--once")
    assert ran.code == 0, ran.err
    assert backing_counts(bench.es, full) == [0]
    outcomes = [(r["action"], r["outcome"]) for r in bench.records() if r["kind"] == "outcome"]
    deletions = [outcome for outcome in outcomes if outcome[0] != "apply_lifecycle"]
    assert sorted(deletions) == [("delete_index", "done"), ("delete_index", "done"), ("rollover", "done")]


def test_a_straddling_backing_index_is_trimmed(bench: Workbench, stream: Stream) -> None:
    now = SystemClock().now()
    full = stream("logs-late", [now - 20 * DAY, now - 5 * DAY, now], [now])
    bench.ready()
    assert bench.run("run", "--once").code == 0
    assert backing_counts(bench.es, full) == [2, 1]


def test_a_stream_named_literally_is_no_container(bench: Workbench, stream: Stream) -> None:
    now = SystemClock().now()
    full = stream("records", [now - 20 * DAY], [now])
    bench.ready()
    planned = bench.run("plan", "--output", "json").plan("records")
    assert [p["action"] for p in planned["purge"]] == ["delete_index"]
    assert bench.run("run", "--once").code == 0
    assert backing_counts(bench.es, full) == [1]


def test_an_index_under_somebody_elses_lifecycle_is_left_alone_unless_it_is_adopted(
    bench: Workbench, stream: Stream
) -> None:
    now = SystemClock().now()
    full = stream("logs-ilm", [now - 20 * DAY], [now], settings={"index.lifecycle.name": "not-ours"})
    bench.ready()
    left = bench.run("run", "--once")
    assert left.code == 3
    assert "lifecycle policy not-ours, which the enforcer did not create" in left.err
    assert backing_counts(bench.es, full) == [1, 1]
    bench.policy_text = bench.policy_text.replace("rollover: 1d\n", "rollover: 1d\n    foreign_lifecycle: adopt\n")
    assert bench.run("policy", "accept").code == 0
    assert bench.run("run", "--once").code == 0
    assert backing_counts(bench.es, full) == [1]


def test_a_closed_backing_index_is_in_doubt_and_hides_no_other(bench: Workbench, stream: Stream) -> None:
    now = SystemClock().now()
    full = stream("logs-closed", [now - 20 * DAY], [now - 19 * DAY], [now])
    (found,) = bench.es.indices.get_data_stream(name=full)["data_streams"]
    bench.es.indices.close(index=found["indices"][0]["index_name"])
    bench.ready()
    assert bench.run("run", "--once").code == 3
    (after,) = bench.es.indices.get_data_stream(name=full)["data_streams"]
    assert [i["index_name"] for i in after["indices"]] == [found["indices"][n]["index_name"] for n in (0, 2)]


def test_an_index_of_a_failure_store_is_seen_by_its_name_alone(bench: Workbench, stream: Stream) -> None:
    """The cluster leaves it out where it is named: what is there would count as deleted, and could not be trimmed."""
    full = stream("logs-app", [SystemClock().now()], failure_store=True)
    name, uuid = failure_store(bench, full)
    (described,) = bench.es.indices.get_data_stream(name=full)["data_streams"]
    deletion = Deletion(bench.es)
    assert deletion.existing([uuid]).keys() == {uuid}
    assert deletion.existing([uuid], [name]) == deletion.existing([uuid])
    assert deletion.existing([uuid], [full]) == {}
    failure_store(bench, stream("other", [SystemClock().now()], failure_store=True))
    assert LifecyclesSeen(bench.es).attachments([name]).keys() == {name, described["indices"][0]["index_name"]}
    assert isinstance(Erasure(bench.es).remains(name, Erasure(bench.es).mark(name, uuid)), Remains)
    assert any(uuid in copies for copies in CopiesOnNodes(bench.es).placed().copies.values())
    trimmed = deletion.trim(Trim(index=name, uuid=uuid, takes=Every()), nullcontext)
    assert (trimmed.deleted, trimmed.left) == (1, 0)


def test_what_is_due_in_a_failure_store_goes_from_the_index_that_stays(bench: Workbench, stream: Stream) -> None:
    now = SystemClock().now()
    name, _ = failure_store(bench, stream("logs-app", [now], failure_store=True))
    old = {"source": f"ctx._source['@timestamp'] = {now - 20 * DAY}L"}
    bench.es.update_by_query(index=name, script=old, refresh=True)
    bench.ready()
    ran = bench.run("run", "--once")
    assert "logs: promise kept" in ran.err
    done = {(r["action"], r["target"]["index"]) for r in bench.records() if r.get("outcome") == "done"}
    if bench.es.indices.exists(index=name):  # where it cannot be rolled over, as on 8.17
        assert bench.es.count(index=name)["count"] == 0
        assert ("delete_documents", name) in done
    else:
        assert ("delete_index", name) in done
