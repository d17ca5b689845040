"""Every state of an index, or of a stream, of which the lifecycles of 8.17 were measured: what the enforcer does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from elasticsearch import Elasticsearch

from lifecycle_bench import eventually
from retention_enforcer.domain.instants import DAY
from streams import FITTING, MARK, NO_DELETION, Kind, StreamBench

ROLLOVER = "cluster.lifecycle.default.rollover"


@pytest.fixture
def streams(server: object, es: Elasticsearch, prefix: str, tmp_path: object) -> Iterator[StreamBench]:
    """An enforcer on a server whose streams can have lifecycles of their own."""
    yield from StreamBench.on(server, es, prefix, tmp_path)


def observed(bench: StreamBench, index: str) -> str:
    """The reason of the deletion of an index that the enforcer did not make."""
    (found,) = (r for r in bench.records() if r.get("action") == "observed_deletion" and r["target"]["index"] == index)
    return str(found["reason"])


# --- which lifecycle rules ----------------------------------------------------------------------------


def test_a_policy_that_does_not_exist_is_taken_off_under_a_hold_and_cannot_be_put_back(streams: StreamBench) -> None:
    streams.es.ilm.put_lifecycle(name=streams.theirs, policy=NO_DELETION)
    streams.make("logs-ghost", Kind(ilm=True), retention="1s")
    rolled, writing = streams.members("logs-ghost")
    for index in (rolled, writing):
        streams.es.indices.put_settings(index=index, settings={"index.lifecycle.name": f"{streams.prefix}ghost"})
    streams.ready()
    ran = streams.run("run", "--once")
    (line,) = [line for line in ran.err.splitlines() if '"finding lifecycle-foreign: ' in line]
    assert f"{streams.prefix}ghost" in line
    held = streams.hold("--category", "logs")
    assert held.code == 0, held.out
    assert (streams.attached(rolled), streams.date(rolled)) == (None, MARK)
    removed = streams.run("hold", "remove", held.out.split()[1])
    assert removed.code == 1
    assert f"its former lifecycle {streams.prefix}ghost no longer exists" in removed.out
    streams.polls()
    assert {rolled, writing} <= streams.members("logs-ghost").keys(), "nobody hands it to the lifecycle of its stream"


def test_a_template_that_names_a_policy_later_makes_the_next_index_ilms(streams: StreamBench) -> None:
    streams.adopt()
    streams.es.ilm.put_lifecycle(name=streams.theirs, policy=NO_DELETION)
    full = streams.make("logs-own", Kind(), retention="30d")
    streams.ready()
    assert streams.run("run", "--once").code == 0
    assert streams.retention("logs-own") == FITTING
    (template,) = streams.es.indices.get_index_template(name=full)["index_templates"]
    body = template["index_template"]
    body["template"]["settings"]["index"]["lifecycle"] = {"name": streams.theirs}
    streams.es.indices.put_index_template(name=full, **body)
    for _ in range(2):
        assert streams.run("run", "--once").code == 0
    assert streams.lifecycle_of("logs-own") == {"enabled": True, "data_retention": "30d"}
    streams.write("logs-own", streams.now())
    streams.es.indices.rollover(alias=full)
    before = streams.members("logs-own")
    last = list(before)[-1]
    assert streams.attached(last) == streams.theirs
    assert streams.run("run", "--once").code == 0
    assert streams.attached(last) == streams.lifecycle("logs", "rolled")
    streams.polls()
    assert streams.members("logs-own") == before


def test_a_template_that_gets_a_lifecycle_later_changes_nothing(streams: StreamBench) -> None:
    """The stream does not get it, not by its next rollover either: it is the enforcer's to manage as before."""
    full = streams.make("logs-own", Kind(lifecycle=None))
    streams.ready()
    assert streams.run("run", "--once").code == 0
    policy = streams.lifecycle("logs", "rolled")
    assert {streams.attached(index) for index in streams.members("logs-own")} == {policy}
    (template,) = streams.es.indices.get_index_template(name=full)["index_templates"]
    body = template["index_template"]
    body["template"]["lifecycle"] = {"enabled": True, "data_retention": "1s"}
    streams.es.indices.put_index_template(name=full, **body)
    streams.write("logs-own", streams.now())
    streams.es.indices.rollover(alias=full)
    assert streams.lifecycle_of("logs-own") == {}
    assert streams.run("run", "--once").code == 0
    before = streams.members("logs-own")
    assert {streams.attached(index) for index in before} == {policy}
    streams.polls()
    assert streams.members("logs-own") == before


@pytest.mark.parametrize("how", ["disabled", "removed"])
def test_a_stream_whose_lifecycle_somebody_takes_away_is_the_enforcers_own_to_manage(
    streams: StreamBench, how: str
) -> None:
    streams.adopt()
    full = streams.make("logs-own", Kind(), retention="30d")
    streams.ready()
    assert streams.run("run", "--once").code == 0
    if how == "disabled":
        streams.put_lifecycle("logs-own", retention=FITTING, enabled=False)
    else:
        path = f"/_data_stream/{full}/_lifecycle"
        streams.es.perform_request("DELETE", path, headers={"accept": "application/json"})
    there = streams.lifecycle_of("logs-own")
    for _ in range(2):
        assert streams.run("run", "--once").code == 0
    assert streams.lifecycle_of("logs-own") == there, "neither the template's nor the enforcer's comes back"
    streams.write("logs-own", streams.now())
    streams.es.indices.rollover(alias=full)
    assert streams.run("run", "--once").code == 0
    ours = streams.lifecycle("logs", "rolled")
    assert {streams.attached(one) for one in streams.members("logs-own")} == {ours}


# --- idle and hidden ----------------------------------------------------------------------------------


def test_an_idle_stream_keeps_an_empty_write_index_and_nothing_is_wrong_with_that(streams: StreamBench) -> None:
    streams.adopt()
    streams.make("logs-idle", Kind(), retention="30d")
    first, _ = streams.members("logs-idle")
    streams.es.indices.delete(index=first)
    at = streams.now() - 12 * DAY
    streams.write("logs-idle", at)
    streams.ready()
    with streams.set_to(ROLLOVER, "max_age=1s,min_docs=1"):
        eventually(lambda: len(streams.members("logs-idle")) == 2)
    old, writing = streams.members("logs-idle")
    assert streams.run("run", "--once").code == 0
    streams.es.indices.put_settings(index=old, settings={"index.lifecycle.origination_date": at - DAY})
    with streams.set_to("data_streams.lifecycle.poll_interval", "1h"):
        assert streams.run("run", "--once").code == 0
    eventually(lambda: old not in streams.members("logs-idle"), 30)
    for _ in range(2):
        ran = streams.run("run", "--once")
        assert ran.code == 0
        about_logs = [line for line in ran.err.splitlines() if '"retention.category": "logs"' in line]
        assert [line for line in about_logs if '"event.action": "finding"' in line] == []
    assert "was due to delete it" in observed(streams, old)
    streams.polls()
    assert list(streams.members("logs-idle")) == [writing]


def test_a_hidden_stream_is_adopted_stopped_and_given_back_as_any_other(streams: StreamBench) -> None:
    streams.adopt()
    full = streams.make("logs-hidden", Kind(), retention="30d", hidden=True)
    streams.ready()
    assert streams.run("run", "--once").code == 0
    assert streams.retention("logs-hidden") == FITTING
    stopped = streams.run("stop")
    assert stopped.code == 0, stopped.out
    assert streams.lifecycle_of("logs-hidden") == {"enabled": False, "data_retention": FITTING}
    streams.write("logs-hidden", streams.now())
    streams.es.indices.rollover(alias=full, expand_wildcards="all") if False else streams.es.indices.rollover(
        alias=full
    )
    there = streams.members("logs-hidden")
    streams.polls()
    assert streams.members("logs-hidden") == there
    assert streams.run("resume").code == 0
    streams.leave()
    assert streams.run("policy", "accept").code == 0
    for _ in range(2):
        assert streams.run("run", "--once").code == 0
    assert streams.lifecycle_of("logs-hidden") == {"enabled": True, "data_retention": "30d"}


# --- blocked, closed, red -----------------------------------------------------------------------------


def into(bench: StreamBench, state: str, index: str) -> None:
    """Bring an index into a state in which the lifecycle of its stream deletes it all the same."""
    if state == "closed":
        bench.es.indices.close(index=index)
    elif state == "red":
        nowhere = {"index.routing.allocation.require._name": "nobody"}
        bench.es.indices.put_settings(index=index, settings=nowhere)
        bench.es.indices.close(index=index, wait_for_active_shards=0)
        bench.es.indices.open(index=index, wait_for_active_shards=0)
        eventually(lambda: bench.es.cluster.health(index=index)["status"] == "red")
    else:
        bench.es.indices.put_settings(index=index, settings={f"index.blocks.{state}": True})


STATES = ["write", "read_only_allow_delete", "closed", "red"]


@pytest.mark.parametrize("state", STATES)
def test_what_goes_in_a_state_in_which_it_is_deleted_was_due_to_go(streams: StreamBench, state: str) -> None:
    streams.make("logs-own", Kind(), retention="12d")
    rolled, _ = streams.members("logs-own")
    streams.ready()
    with streams.set_to("data_streams.lifecycle.poll_interval", "1h"):
        streams.put_lifecycle("logs-own", retention="1s")
        assert streams.run("run", "--once").code == 0
        into(streams, state, rolled)
        streams.run("run", "--once")
        assert rolled in streams.members("logs-own")
    eventually(lambda: rolled not in streams.members("logs-own"), 60)
    ran = streams.run("run", "--once")
    assert "finding deleted-by-others" not in ran.err
    assert "was due to delete it" in observed(streams, rolled)


@pytest.mark.parametrize("state", STATES)
def test_a_hold_keeps_it_in_such_a_state(streams: StreamBench, state: str) -> None:
    streams.adopt()
    streams.make("logs-own", Kind(), retention="30d")
    rolled, writing = streams.members("logs-own")
    streams.ready()
    assert streams.run("run", "--once").code == 0
    into(streams, state, rolled)
    held = streams.hold("--category", "logs")
    assert held.code == 0, held.out
    assert (streams.date(rolled), streams.date(writing)) == (MARK + 1, MARK + 1)
    streams.run("run", "--once")
    streams.put_lifecycle("logs-own")
    streams.polls()
    assert rolled in streams.members("logs-own")


@pytest.mark.parametrize("state", ["write", "read_only_allow_delete", "closed"])
def test_a_write_index_in_a_state_in_which_it_is_rolled_over_is_no_finding(streams: StreamBench, state: str) -> None:
    streams.make("logs-own", Kind(), retention="12d")
    streams.write("logs-own", streams.now())
    _, writing = streams.members("logs-own")
    streams.ready()
    into(streams, state, writing)
    with streams.set_to(ROLLOVER, "max_age=1s,min_docs=1"):
        eventually(lambda: len(streams.members("logs-own")) == 3)
        assert "finding stream-not-rolled-over" not in streams.run("run", "--once").err


@pytest.mark.timeout(400)
def test_what_the_lifecycle_itself_downsamples_stays_governed_adopted_and_can_be_held(streams: StreamBench) -> None:
    streams.adopt()
    full = streams.time_series("logs-series", retention="30d")
    now = streams.now()
    streams.es.index(index=full, document={"@timestamp": now, "host": "a", "load": 1.0}, op_type="create", refresh=True)
    streams.es.indices.rollover(alias=full)
    source, _ = streams.members("logs-series")
    streams.put_body(
        "logs-series", {"data_retention": "30d", "downsampling": [{"after": "1s", "fixed_interval": "5m"}]}
    )
    streams.ready()
    assert streams.run("run", "--once").code == 0
    assert streams.retention("logs-series") == FITTING
    target = f"downsample-5m-{source}"
    eventually(lambda: target in streams.members("logs-series") and source not in streams.members("logs-series"), 240)
    dated = streams.date(target)
    assert dated is not None, "Elasticsearch dates it like its source"
    for _ in range(2):
        ran = streams.run("run", "--once")
        assert ran.code == 0, ran.err
        assert "finding deleted-by-others" not in ran.err
        assert "finding lifecycle-" not in ran.err
    there = streams.es.indices.get_settings(index=target)[target]["settings"]["index"]["lifecycle"]
    assert there == {"origination_date": str(dated)}, "the stream's lifecycle goes on with it"
    held = streams.hold("--category", "logs")
    assert held.code == 0, held.out
    assert streams.date(target) == 2 * 10**15 + dated
    streams.put_lifecycle("logs-series")
    streams.polls()
    assert target in streams.members("logs-series")
    assert streams.run("hold", "remove", held.out.split()[1]).code == 0
    assert streams.run("run", "--once").code == 0
    assert streams.run("run", "--once").code == 0
    assert streams.date(target) == dated


# --- one index exempted, by others --------------------------------------------------------------------


def test_an_index_that_no_lifecycle_rules_is_held_for_when_one_does_again(streams: StreamBench) -> None:
    streams.make("logs-own", Kind(), retention="1h")
    rolled, _ = streams.members("logs-own")
    streams.ready()
    streams.es.indices.put_settings(index=rolled, settings={"index.lifecycle.name": ""})
    held = streams.hold("--category", "logs")
    assert held.code == 0, held.out
    assert streams.date(rolled) == MARK + 1
    streams.put_lifecycle("logs-own")
    streams.es.indices.put_settings(index=rolled, settings={"index.lifecycle.name": None})
    streams.polls()
    assert rolled in streams.members("logs-own")


def test_an_index_that_leaves_its_stream_and_comes_back_is_held_all_along(streams: StreamBench) -> None:
    streams.adopt()
    full = streams.make("logs-own", Kind(), retention="30d")
    rolled, _ = streams.members("logs-own")
    streams.ready()
    assert streams.run("run", "--once").code == 0
    held = streams.hold("--index", full)
    assert held.code == 0, held.out
    moved = {"data_stream": full, "index": rolled}
    streams.es.indices.modify_data_stream(actions=[{"remove_backing_index": moved}])
    assert streams.run("run", "--once").code == 0
    assert streams.date(rolled) == MARK + 1
    streams.put_lifecycle("logs-own")
    streams.es.indices.modify_data_stream(actions=[{"add_backing_index": moved}])
    streams.polls()
    assert rolled in streams.members("logs-own")


def test_one_that_leaves_its_stream_unheld_goes_by_a_lifecycle_of_the_enforcers(streams: StreamBench) -> None:
    streams.adopt()
    full = streams.make("logs-own", Kind(), retention="30d")
    rolled, _ = streams.members("logs-own")
    streams.ready()
    assert streams.run("run", "--once").code == 0
    moved = {"data_stream": full, "index": rolled}
    streams.es.indices.modify_data_stream(actions=[{"remove_backing_index": moved}])
    assert streams.run("run", "--once").code == 0
    assert streams.attached(rolled) is not None
    streams.es.indices.modify_data_stream(actions=[{"add_backing_index": moved}])
    assert streams.run("run", "--once").code == 0
    assert streams.retention("logs-own") == FITTING
    assert rolled in streams.members("logs-own")
