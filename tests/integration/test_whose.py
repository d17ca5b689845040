"""Whose an index is, on a real server: also one that left its stream, or got another name from a lifecycle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from elasticsearch import ApiError, Elasticsearch

from backups import Backups
from lifecycle_bench import eventually
from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.cluster.preflight import Capabilities
from retention_enforcer.domain.instants import DAY
from workbench import MAPPING, Ran, Workbench

OLD = 20 * DAY


def now() -> int:
    return SystemClock().now()


@pytest.fixture
def stream(bench: Workbench, es: Elasticsearch) -> Iterator[str]:
    """A stream of two backing indices: one with a document of twenty days, one of today."""
    try:
        es.indices.get_data_stream(name="*")
    except ApiError as error:
        pytest.skip(f"this server has no data streams ({error.meta.status})")
    full = bench.prefix + "logs-web"
    mappings = {"properties": {"@timestamp": {"type": "date"}, "sdkappid": {"type": "keyword"}}}
    template: dict[str, Any] = {"settings": {"number_of_replicas": 0}, "mappings": mappings}
    es.indices.put_index_template(name=full, index_patterns=[full], data_stream={}, template=template, priority=500)
    es.index(index=full, document={"@timestamp": now() - OLD, "sdkappid": "1"}, op_type="create", refresh=True)
    es.indices.rollover(alias=full)
    es.index(index=full, document={"@timestamp": now(), "sdkappid": "2"}, op_type="create", refresh=True)
    yield full
    left = es.indices.get(index=f".ds-{full}-*,*{bench.prefix}*", expand_wildcards="all").body
    es.options(ignore_status=404).indices.delete_data_stream(name=f"{bench.prefix}*")
    for name in left:
        es.options(ignore_status=404).indices.delete(index=name)
    es.indices.delete_index_template(name=full)


def backing(es: Elasticsearch, stream: str) -> list[str]:
    (found,) = es.indices.get_data_stream(name=stream)["data_streams"]
    return [str(index["index_name"]) for index in found["indices"]]


def remove(es: Elasticsearch, stream: str, index: str) -> None:
    es.indices.modify_data_stream(actions=[{"remove_backing_index": {"data_stream": stream, "index": index}}])


def report(bench: Workbench, category: str = "logs") -> dict[str, Any]:
    """What the report says of a category, with the findings about it."""
    said = bench.run("report", "--output", "json").json
    found = next(c for c in said["categories"] if c["id"] == category)
    return {**found, "findings": [f for f in said["findings"] if f["category"] == category]}


def purged(plan: Ran) -> dict[str, str]:
    return {p["index"]: p["action"] for p in plan.plan("logs")["purge"]}


def kinds_of(bench: Workbench) -> set[str]:
    return {finding["kind"] for finding in report(bench)["findings"]}


# --- outside of the stream ----------------------------------------------------------------------------


def test_a_backing_index_that_was_taken_out_of_its_stream_is_judged_alone(bench: Workbench, stream: str) -> None:
    first, last = backing(bench.es, stream)
    remove(bench.es, stream, first)
    bench.ready()
    assert not report(bench)["kept"]
    assert purged(bench.run("plan", "--output", "json")) == {first: "delete_index"}
    assert bench.run("run", "--once").code == 0
    assert not bench.es.indices.exists(index=first)
    assert backing(bench.es, stream) == [last]
    assert report(bench)["kept"]


def test_a_backing_index_that_was_restored_alone_is_judged_when_its_stream_is_gone(
    bench: Workbench, stream: str, backups: Backups
) -> None:
    es, (first, _) = bench.es, backing(bench.es, stream)
    repository = backups.repository()
    es.snapshot.create(repository=repository, snapshot="one", indices=stream, wait_for_completion=True)
    es.indices.delete_data_stream(name=stream)
    es.snapshot.restore(repository=repository, snapshot="one", indices=first, wait_for_completion=True)
    bench.ready()
    assert purged(bench.run("plan", "--output", "json")) == {first: "delete_index"}
    assert bench.run("run", "--once").code == 0
    assert not es.indices.exists(index=first)


def test_a_backing_index_in_a_stream_of_another_name_is_its_first_streams_still(bench: Workbench, stream: str) -> None:
    es, (first, _) = bench.es, backing(bench.es, stream)
    other = bench.prefix + "archive"
    remove(es, stream, first)
    es.indices.put_index_template(name=other, index_patterns=[other], data_stream={}, template={}, priority=500)
    try:
        es.indices.create_data_stream(name=other)
        es.indices.modify_data_stream(actions=[{"add_backing_index": {"data_stream": other, "index": first}}])
        bench.ready()
        ran = bench.run("run", "--once")
        assert ran.code == 0, ran.err
        assert first not in backing(es, other)
        assert not es.indices.exists(index=first)
    finally:
        es.indices.delete_data_stream(name=other)
        es.indices.delete_index_template(name=other)


def test_no_certificate_is_final_over_a_backing_index_outside_of_its_stream(bench: Workbench, stream: str) -> None:
    first, _ = backing(bench.es, stream)
    remove(bench.es, stream, first)
    bench.settings["ENFORCER_GRACE"] = "0s"
    bench.max_age = "40d"
    bench.ready()
    assert bench.run("erase", "--application", "1").code == 0
    assert bench.run("run", "--once").code == 0
    assert not bench.es.indices.exists(index=first) or bench.es.count(index=first)["count"] == 0
    found = bench.run("certificate", "--application", "1", "--output", "json").json[0]
    assert found["found_now"]["logs"] == 0


# --- other names --------------------------------------------------------------------------------------


@pytest.fixture
def lifecycles(bench: Workbench, es: Elasticsearch) -> Iterator[Workbench]:
    if not Capabilities(es).has_lifecycles():
        pytest.skip("this server has no lifecycles: _ilm/status does not answer")
    bench.policy_text = bench.policy_text.replace("rollover: 1d\n", "rollover: 1d\n    foreign_lifecycle: adopt\n")
    yield bench
    for name in es.indices.get(index=f"*{bench.prefix}*", expand_wildcards="all").body:
        es.options(ignore_status=404).indices.delete(index=name)
    for name in es.ilm.get_lifecycle().body:
        if bench.prefix in name:
            es.options(ignore_status=[400, 404]).ilm.delete_lifecycle(name=name)


def with_lifecycle(
    bench: Workbench, actions: dict[str, Any], *, phase: str, shards: int = 1, age: int = OLD, undated: int = 0
) -> None:
    """Make `logs-x` with three documents and undated ones, and a lifecycle that makes something else of it at once."""
    policy = {"phases": {phase: {"min_age": "0ms", "actions": actions}}}
    bench.es.ilm.put_lifecycle(name=f"{bench.prefix}theirs", policy=policy)
    settings = {"index.lifecycle.name": f"{bench.prefix}theirs", "number_of_shards": shards}
    bench.index("logs-x", [*[now() - age] * 3, *[None] * undated], settings=settings)


def renamed(bench: Workbench, beginning: str) -> str:
    """Wait until a lifecycle has renamed `logs-x`; return its new name."""
    es, old = bench.es, bench.prefix + "logs-x"

    def new() -> list[str]:
        found = es.options(ignore_status=404).indices.get_alias(name=old).body
        return [name for name in found if name.startswith(beginning)]

    eventually(lambda: bool(new()), seconds=60)
    eventually(lambda: es.ilm.explain_lifecycle(index=new()[0])["indices"][new()[0]].get("step") == "complete", 60)
    return str(new()[0])


def test_an_index_that_a_lifecycle_shrank_is_followed_and_deleted(lifecycles: Workbench) -> None:
    bench = lifecycles
    with_lifecycle(bench, {"shrink": {"number_of_shards": 1}}, phase="warm", shards=2)
    name = renamed(bench, "shrink-")
    bench.ready()
    assert "overdue" in kinds_of(bench)
    assert purged(bench.run("plan", "--output", "json")) == {name: "delete_index"}
    ran = bench.run("run", "--once")
    assert ran.code == 0, ran.err
    assert not bench.es.indices.exists(index=name)
    assert not bench.es.indices.exists_alias(name=bench.prefix + "logs-x")


def test_undated_documents_that_a_lifecycle_shrank_are_of_unknown_age(lifecycles: Workbench) -> None:
    with_lifecycle(lifecycles, {"shrink": {"number_of_shards": 1}}, phase="warm", shards=2, age=DAY, undated=1)
    lifecycles.ready()
    renamed(lifecycles, "shrink-")
    found = report(lifecycles)
    (undated,) = (finding for finding in found["findings"] if finding["kind"] == "undated")
    assert (found["kept"], undated["severity"]) == (False, "error")
    assert "was shrunk, split or cloned" in undated["text"]


@pytest.mark.parametrize("storage", ["full_copy", "shared_cache"])
def test_an_index_that_a_lifecycle_mounted_is_followed_and_deleted_whole(
    lifecycles: Workbench, backups: Backups, storage: str
) -> None:
    bench, repository = lifecycles, backups.repository()
    phase, beginning = ("cold", "restored-") if storage == "full_copy" else ("frozen", "partial-")
    try:
        with_lifecycle(bench, {"searchable_snapshot": {"snapshot_repository": repository}}, phase=phase)
        name = renamed(bench, beginning)
    except (ApiError, AssertionError) as error:
        pytest.skip(f"this server mounts no snapshots: {error}")
    bench.ready()
    assert not report(bench)["kept"]
    assert purged(bench.run("plan", "--output", "json")) == {name: "delete_index"}
    ran = bench.run("run", "--once")
    assert ran.code == 0, ran.err
    assert not bench.es.indices.exists(index=name)


def test_an_index_that_went_into_another_is_not_recorded_as_gone(lifecycles: Workbench) -> None:
    bench = lifecycles
    bench.policy_text = bench.policy_text.replace("    foreign_lifecycle: adopt\n", "")
    bench.index("logs-x", [now() - DAY] * 3, settings={"number_of_shards": 2})
    bench.ready()
    assert bench.run("run", "--once").code == 0
    policy = {"phases": {"warm": {"min_age": "0ms", "actions": {"shrink": {"number_of_shards": 1}}}}}
    bench.es.ilm.put_lifecycle(name=f"{bench.prefix}theirs", policy=policy)
    bench.es.ilm.remove_policy(index=f"{bench.prefix}logs-x")
    bench.es.indices.put_settings(
        index=f"{bench.prefix}logs-x", settings={"index.lifecycle.name": f"{bench.prefix}theirs"}
    )
    name = renamed(bench, "shrink-")
    assert bench.run("run", "--once").code == 0
    assert "observed_deletion" not in {record.get("action") for record in bench.records()}
    found = report(bench)
    assert (found["kept"], found["indices"], found["documents"]) == (True, 1, 3)
    plan = bench.run("plan", "--output", "json").plan("logs")
    assert name in {index["index"] for index in (*plan["keep"], *plan["skip"])}


def test_a_name_that_only_looks_as_if_a_lifecycle_had_given_it_is_a_finding_and_stays(bench: Workbench) -> None:
    alias = {bench.prefix + "logs-x": {}}
    name = f"shrink-abcd-{bench.prefix}logs-x"
    try:
        bench.es.indices.create(index=name, aliases=alias, mappings=MAPPING, settings={"number_of_replicas": 0})
        bench.es.index(index=name, document={"@timestamp": now() - OLD}, refresh=True)
        bench.ready()
        ran = bench.run("run", "--once")
        assert ran.code == 3
        assert bench.es.count(index=name)["count"] == 1
        assert kinds_of(bench) >= {"behind-alias"}
    finally:
        bench.es.indices.delete(index=name)


def test_what_else_is_behind_an_alias_of_a_governed_name_is_a_finding_and_stays(bench: Workbench) -> None:
    bench.index("billing", [now() - OLD], aliases={bench.prefix + "logs-all": {}})
    bench.index("logs-1", [now()], aliases={bench.prefix + "logs-all": {}})
    bench.ready()
    assert bench.run("run", "--once").code == 3
    assert (bench.count("billing"), bench.count("logs-1")) == (1, 1)
    (finding,) = [f for f in report(bench)["findings"] if f["kind"] == "behind-alias"]
    assert finding["index"] == bench.prefix + "billing"


def test_what_another_category_has_behind_such_an_alias_is_judged_there(bench: Workbench) -> None:
    bench.index("records", [now() - OLD, now()], aliases={bench.prefix + "logs-records": {}})
    bench.ready()
    assert bench.run("run", "--once").code == 3
    assert bench.count("records") == 1
    assert (report(bench)["kept"], report(bench, "records")["kept"]) == (False, True)


def test_an_alias_of_a_stream_is_looked_behind(bench: Workbench, stream: str) -> None:
    bench.policy_text = bench.policy_text.replace('"{prefix}logs-*"', '"{prefix}reading-*"')
    bench.es.indices.put_alias(index=stream, name=bench.prefix + "reading-all")
    bench.ready()
    assert bench.run("run", "--once").code == 3
    assert kinds_of(bench) >= {"behind-alias"}
    assert len(backing(bench.es, stream)) == 2


# --- excluded -----------------------------------------------------------------------------------------


def test_what_ignore_excludes_from_a_wildcard_stays_and_is_listed(bench: Workbench) -> None:
    bench.policy_text = bench.policy_text.replace('["metrics-*"]', '["{prefix}logs-archive-*"]')
    archived = bench.index("logs-archive-1", [now() - OLD] * 3)
    bench.index("logs-1", [now() - OLD])
    bench.ready()
    planned = bench.run("plan", "--output", "json").plan("logs")
    assert (planned["excluded"], [p["index"] for p in planned["purge"]]) == ([archived], [bench.prefix + "logs-1"])
    assert "not covered by a promise" in bench.run("plan").out
    assert bench.run("run", "--once").code == 0
    assert (bench.count("logs-archive-1"), bench.is_gone("logs-1")) == (3, True)
    (placed,) = [i for i in bench.run("report", "--output", "json").json["indices"] if i["index"] == archived]
    assert (placed["standing"], placed["excluded_from"]) == ("ignored", ["logs"])
    (shown, _) = bench.run("policy", "show", "--output", "json").json["categories"]
    assert shown["without"] == [f"{bench.prefix}logs-archive-*"]
    assert "without" in bench.run("policy", "show").out


def test_no_certificate_is_final_while_what_is_excluded_names_the_subject(bench: Workbench) -> None:
    bench.policy_text = bench.policy_text.replace('["metrics-*"]', '["{prefix}logs-archive-*"]')
    bench.settings["ENFORCER_GRACE"] = "0s"
    archived = bench.index("logs-archive-old", [])
    bench.es.index(index=archived, document={"@timestamp": now() - DAY, "sdkappid": "1"}, refresh=True)
    bench.ready()
    assert bench.run("erase", "--application", "1").code == 0
    assert bench.run("run", "--once").code == 0
    ran = bench.run("certificate", "--application", "1", "--output", "json")
    assert ran.code == 3
    assert any(i["kind"] == "copy" and archived in i["text"] for i in ran.json[0]["open_items"])
    assert bench.count("logs-archive-old") == 1
