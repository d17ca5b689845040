"""Streams whose own lifecycles keep the promise: what is put on them, when it is not, and what they get back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from lifecycle_bench import eventually, requests_counted
from retention_enforcer.cluster.lifecycles.streams import StreamLifecycles
from retention_enforcer.domain.instants import DAY, HOUR, MINUTE, format_instant
from retention_enforcer.domain.lifecycles.exemption import Exemption, exemption_in
from streams import MARK, Kind, StreamBench

ADOPT = ("rollover: 1d\n", "rollover: 1d\n    foreign_lifecycle: adopt\n")
FITTING = "1115997s"
"""14d - margin 1h - lateness 1h - rollover after 1d - 3 polls of 1s."""


@pytest.fixture
def streams(server: object, es: Elasticsearch, prefix: str, tmp_path: object) -> Iterator[StreamBench]:
    """An enforcer that adopts, on a server whose streams can have lifecycles of their own."""
    for bench in StreamBench.on(server, es, prefix, tmp_path):
        bench.policy_text = bench.policy_text.replace(*ADOPT, 1)
        yield bench


def about(bench: StreamBench, name: str) -> list[dict[str, Any]]:
    """The records of what was put on a stream."""
    return [
        record
        for record in bench.records()
        if record.get("action") == "set_retention" and record["target"]["index"] == bench.prefix + name
    ]


def retention(bench: StreamBench, name: str) -> object:
    return bench.lifecycle_of(name).get("data_retention")


@pytest.mark.parametrize("had", ["30d", "7d", "endless"])
def test_an_adopted_stream_gets_the_greatest_retention_that_keeps_the_promise_once(
    streams: StreamBench, had: str
) -> None:
    full = streams.make("logs-own", Kind(), retention="30d" if had == "endless" else had)
    if had == "endless":
        streams.put_body("logs-own", {})
    rolled, writing = streams.members("logs-own")
    streams.ready()
    ran = streams.run("run", "--once")
    assert ran.code == 0, ran.err
    assert streams.lifecycle_of("logs-own") == {"enabled": True, "data_retention": FITTING}
    intent, outcome = about(streams, "logs-own")
    assert intent["details"] == {"stream": full, "enabled": 1, "retention": FITTING}
    assert f"retention {FITTING} + 3 polls of 1s + lateness 1h = limit 14d - margin 1h" in intent["reason"]
    assert outcome["outcome"] == "done"
    assert (streams.attached(rolled), streams.attached(writing)) == (None, None), "never ILM beside it"
    assert (streams.date(rolled), streams.date(writing)) == (None, None)
    assert "lifecycle-foreign" not in streams.run("run", "--once").err
    version = streams.es.cluster.state(metric="version")["version"]
    with requests_counted() as sent:
        assert streams.run("run", "--once").code == 0
    assert [path for _, path in sent if "_lifecycle" in path or path.endswith("_settings")] == []
    assert streams.es.cluster.state(metric="version")["version"] == version, "nothing of the cluster was changed"
    assert len(about(streams, "logs-own")) == 2


def test_all_else_that_the_lifecycle_says_stays(streams: StreamBench) -> None:
    full = streams.time_series("logs-series", retention="30d")
    streams.es.index(index=full, document={"@timestamp": streams.now(), "host": "a", "load": 1.0}, op_type="create")
    rounds = [{"after": "1d", "fixed_interval": "10m"}]
    streams.put_body("logs-series", {"data_retention": "30d", "downsampling": rounds})
    streams.ready()
    assert streams.run("run", "--once").code == 0
    (found,) = streams.es.indices.get_data_stream(name=full)["data_streams"]
    assert (found["lifecycle"]["data_retention"], found["lifecycle"]["downsampling"]) == (FITTING, rounds)


def test_what_somebody_changes_is_a_finding_and_put_again(streams: StreamBench) -> None:
    streams.make("logs-own", Kind(), retention="30d")
    streams.ready()
    assert streams.run("run", "--once").code == 0
    streams.put_lifecycle("logs-own", retention="60d")
    ran = streams.run("run", "--once")
    assert "finding lifecycle-altered" in ran.err
    assert retention(streams, "logs-own") == FITTING
    assert "finding lifecycle-altered" not in streams.run("run", "--once").err


@pytest.mark.parametrize(("had", "back"), [("30d", True), ("7d", False)])
def test_a_stream_that_is_adopted_no_more_gets_back_what_it_had_unless_that_deletes_sooner(
    streams: StreamBench, had: str, back: bool
) -> None:
    streams.make("logs-own", Kind(), retention=had)
    streams.ready()
    assert streams.run("run", "--once").code == 0
    assert retention(streams, "logs-own") == FITTING
    streams.policy_text = streams.policy_text.replace("    foreign_lifecycle: adopt\n", "", 1)
    assert streams.run("policy", "accept").code == 0
    rolled, _ = streams.members("logs-own")
    assert streams.date(rolled) == MARK + 1, "no lifecycle of the former policy deletes it meanwhile"
    assert streams.run("run", "--once").code == 0
    assert streams.lifecycle_of("logs-own") == {"enabled": back, "data_retention": had}
    assert about(streams, "logs-own")[-1]["outcome"] == "done"
    assert streams.run("run", "--once").code == 0
    assert streams.date(rolled) is None
    assert len(about(streams, "logs-own")) == 4


def test_a_stream_without_a_retention_does_not_get_a_shorter_one_of_the_cluster_back(
    streams: StreamBench, request: pytest.FixtureRequest
) -> None:
    streams.make("logs-own", Kind(), retention="30d")
    streams.put_body("logs-own", {})
    streams.ready()
    assert streams.run("run", "--once").code == 0
    default = "data_streams.lifecycle.retention.default"
    request.addfinalizer(lambda: streams.es.cluster.put_settings(persistent={default: None}))
    streams.es.cluster.put_settings(persistent={default: "3d"})
    streams.policy_text = streams.policy_text.replace("    foreign_lifecycle: adopt\n", "", 1)
    assert streams.run("policy", "accept").code == 0
    assert streams.run("run", "--once").code == 0
    assert streams.lifecycle_of("logs-own") == {"enabled": False}


def test_a_stream_of_a_category_that_is_gone_gets_back_what_it_had_and_its_indices(streams: StreamBench) -> None:
    streams.make("logs-own", Kind(), retention="30d")
    rolled, writing = streams.members("logs-own")
    streams.ready()
    assert streams.run("run", "--once").code == 0
    streams.policy_text = streams.policy_text.replace("id: logs", "id: others", 1).replace("logs-*", "others-*", 1)
    assert streams.run("policy", "accept").code == 0
    assert streams.run("run", "--once").code == 0
    assert retention(streams, "logs-own") == "30d"
    streams.run("run", "--once")
    assert (streams.date(rolled), streams.date(writing)) == (None, None)
    assert streams.put_streams() == set(), "it is forgotten"


def test_under_a_policy_that_promises_longer_nothing_goes_by_the_former_retention(streams: StreamBench) -> None:
    streams.make("logs-own", Kind(), retention="30d")
    rolled, writing = streams.members("logs-own")
    streams.ready()
    assert streams.run("run", "--once").code == 0
    streams.max_age = "15d"
    accepted = streams.run("policy", "accept")
    assert accepted.code == 0, accepted.out
    assert (streams.date(rolled), streams.date(writing)) == (MARK + 1, MARK + 1)
    assert streams.run("run", "--once").code == 0
    assert retention(streams, "logs-own") == "1202397s"
    assert streams.run("run", "--once").code == 0
    assert (streams.date(rolled), streams.date(writing)) == (None, None)


@pytest.mark.parametrize("leaves", [False, True], ids=["adopt", "leave"])
@pytest.mark.parametrize("how", ["hold", "stop"])
def test_nor_when_a_hold_is_removed_or_resume_is_given_before_the_next_cycle(
    streams: StreamBench, how: str, leaves: bool
) -> None:
    streams.make("logs-own", Kind(), retention="30d")
    rolled, writing = streams.members("logs-own")
    streams.ready()
    assert streams.run("run", "--once").code == 0
    streams.max_age = "15d"
    if leaves:
        streams.policy_text = streams.policy_text.replace("    foreign_lifecycle: adopt\n", "", 1)
    due = streams.now() - 13 * DAY - 12 * HOUR
    with pytest.MonkeyPatch.context() as patch:
        # As if that time had passed since the rollover when it is exempted.
        patch.setattr(Exemption, "date", property(lambda one: 10**15 * (1 + one.given_back) + due))
        _off_and_on(streams, how, rolled, meanwhile=("policy", "accept"))
    streams.polls(4)
    assert rolled in streams.members("logs-own")
    assert streams.run("run", "--once").code == 0
    assert retention(streams, "logs-own") == ("30d" if leaves else "1202397s")
    assert streams.run("run", "--once").code == 0
    assert streams.date(writing) == due, "given back once the retention is the right one"


def test_where_no_retention_keeps_the_promise_none_is_put(streams: StreamBench) -> None:
    streams.max_age = "18d"
    streams.make("logs-own", Kind(), retention="30d")
    streams.ready()
    assert streams.run("run", "--once").code == 0
    assert (retention(streams, "logs-own"), about(streams, "logs-own")) == ("30d", [])


@pytest.mark.parametrize("kind", [Kind(ilm=True), Kind(lifecycle=False), Kind(lifecycle=None)], ids=str)
def test_a_stream_whose_lifecycle_does_not_rule_its_next_index_is_not_adopted(streams: StreamBench, kind: Kind) -> None:
    streams.es.ilm.put_lifecycle(name=streams.theirs, policy={"phases": {"hot": {"actions": {}}}})
    streams.make("logs-own", kind, retention="30d")
    before = streams.lifecycle_of("logs-own")
    streams.ready()
    assert streams.run("run", "--once").code == 0
    assert (streams.lifecycle_of("logs-own"), about(streams, "logs-own")) == (before, [])


def test_one_that_prefers_its_stream_is_adopted_although_a_lifecycle_policy_is_named(streams: StreamBench) -> None:
    streams.es.ilm.put_lifecycle(name=streams.theirs, policy={"phases": {"hot": {"actions": {}}}})
    streams.make("logs-own", Kind(ilm=True, prefer_ilm=False), retention="30d")
    streams.ready()
    assert streams.run("run", "--once").code == 0
    assert retention(streams, "logs-own") == FITTING


# --- what must not go by it ---------------------------------------------------------------------------


def test_what_is_held_is_exempt_before_the_retention_is_put(streams: StreamBench) -> None:
    full = streams.make("logs-own", Kind(), retention="30d")
    rolled, writing = streams.members("logs-own")
    streams.ready()
    end = format_instant(streams.now() + 10 * DAY)
    held = streams.run("hold", "add", "--index", full, "--owner", "A", "--reason", "b", "--until", end)
    assert held.code == 0, held.out
    assert streams.run("run", "--once").code == 0
    assert retention(streams, "logs-own") == FITTING
    assert (streams.date(rolled), streams.date(writing)) == (MARK + 1, MARK + 1)
    assert streams.run("hold", "remove", held.out.split()[1]).code == 0
    assert streams.date(rolled) == MARK + 1, "only a cycle knows whether anything else stands against it"
    assert streams.run("run", "--once").code == 0
    assert (streams.date(rolled), streams.date(writing)) == (None, None)


def test_documents_of_unknown_age_are_exempt_before_the_retention_is_put(streams: StreamBench) -> None:
    full = streams.make("logs-own", Kind(), retention="30d")
    streams.es.index(index=full, document={"@timestamp": "1980-01-01T00:00:00Z"}, op_type="create", refresh=True)
    streams.es.indices.rollover(alias=full)
    first, undated, _ = streams.members("logs-own")
    streams.ready()
    streams.run("run", "--once")
    assert retention(streams, "logs-own") == FITTING
    assert (streams.date(first), streams.date(undated)) == (None, MARK + 1)


@pytest.fixture
def seldom_ilm(streams: StreamBench) -> Iterator[None]:
    """A cluster on which no index lifecycle policy keeps a promise with a rollover of a day."""
    streams.es.cluster.put_settings(persistent={"indices.lifecycle.poll_interval": "14h"})
    yield
    streams.es.cluster.put_settings(persistent={"indices.lifecycle.poll_interval": None})


@pytest.mark.usefixtures("seldom_ilm")
def test_documents_of_unknown_age_are_exempt_also_where_no_ilm_policy_keeps_the_promise(streams: StreamBench) -> None:
    full = streams.make("logs-own", Kind(), retention="30d")
    streams.es.index(index=full, document={"@timestamp": "1980-01-01T00:00:00Z"}, op_type="create", refresh=True)
    streams.es.indices.rollover(alias=full)
    first, undated, _ = streams.members("logs-own")
    streams.ready()
    assert "finding lifecycle-unmeetable" in streams.run("run", "--once").err
    assert retention(streams, "logs-own") == FITTING
    assert (streams.date(first), streams.date(undated)) == (None, MARK + 1)


@pytest.mark.parametrize("how", ["hold", "stop"])
def test_what_no_hold_keeps_exempt_is_not_released_with_a_hold_or_by_resume(streams: StreamBench, how: str) -> None:
    full = streams.make("logs-own", Kind(), retention="30d")
    streams.es.index(index=full, document={"@timestamp": "1980-01-01T00:00:00Z"}, op_type="create", refresh=True)
    streams.es.indices.rollover(alias=full)
    first, undated, _ = streams.members("logs-own")
    due = streams.now() - 13 * DAY
    streams.es.indices.put_settings(index=undated, settings={"index.lifecycle.origination_date": due})
    streams.ready()
    streams.run("run", "--once")
    _off_and_on(streams, how, first)
    streams.polls(4)
    assert undated in streams.members("logs-own")
    streams.run("run", "--once")
    assert (streams.date(first), exemption_in(streams.date(undated))) == (
        None,
        Exemption(given_back=True, before=due),
    )


def _off_and_on(streams: StreamBench, how: str, index: str, meanwhile: tuple[str, ...] | None = None) -> None:
    """Hold an index and take the hold back, or stop and resume; with a command between the two."""
    if how == "stop":
        assert streams.run("stop").code == 0
    else:
        end = format_instant(streams.now() + 10 * DAY)
        held = streams.run("hold", "add", "--index", index, "--owner", "A", "--reason", "b", "--until", end)
        assert held.code == 0, held.out
    if meanwhile is not None:
        assert streams.run(*meanwhile).code == 0
    off = ("resume",) if how == "stop" else ("hold", "remove", held.out.split()[1])
    assert streams.run(*off).code == 0


def test_an_index_that_cannot_be_looked_into_keeps_its_stream_as_it_is(streams: StreamBench) -> None:
    streams.make("logs-own", Kind(), retention="30d")
    rolled, _ = streams.members("logs-own")
    streams.ready()
    streams.es.indices.close(index=rolled)
    ran = streams.run("run", "--once")
    assert retention(streams, "logs-own") == "30d"
    assert "finding lifecycle-failed" in ran.err
    assert about(streams, "logs-own") == []
    streams.es.indices.open(index=rolled, wait_for_active_shards=1)
    assert streams.run("run", "--once").code == 0
    assert retention(streams, "logs-own") == FITTING


def almost_due(bench: StreamBench) -> str:
    """Make a stream with an index of 1,500 documents that are due in less than a day, dated like them; return it."""
    full = bench.make("logs-own", Kind(), retention="30d")
    at = bench.now() - 13 * DAY - 4 * HOUR
    bench.write("logs-own", *(at + minute * MINUTE // 60 for minute in range(1_500)))
    bench.es.indices.rollover(alias=full)
    _, old, _ = bench.members("logs-own")
    bench.es.indices.put_settings(index=old, settings={"index.lifecycle.origination_date": at})
    return old


def test_what_a_shorter_retention_deletes_soon_counts_for_the_fuse(streams: StreamBench) -> None:
    old = almost_due(streams)
    streams.ready()
    ran = streams.run("run", "--once")
    assert "finding unsafe-lifecycles" in ran.err
    assert (retention(streams, "logs-own"), about(streams, "logs-own")) == ("30d", [])
    assert streams.run("run", "--once").code == 0, "an earlier look has foreseen it"
    assert retention(streams, "logs-own") == FITTING
    streams.polls(4)
    assert old not in streams.members("logs-own")


def test_so_does_what_it_deletes_among_what_was_exempt_until_then(streams: StreamBench) -> None:
    streams.max_age = "15d"
    old = almost_due(streams)
    streams.ready()
    for _ in range(2):  # the first look foresees it
        assert streams.run("run", "--once").code == 0
    assert retention(streams, "logs-own") == "1202397s"
    streams.max_age = "14d"
    assert streams.run("policy", "accept").code == 0
    ran = streams.run("run", "--once")
    assert "finding unsafe-lifecycles" in ran.err
    assert retention(streams, "logs-own") == "1202397s"
    streams.polls(3)
    assert old in streams.members("logs-own")
    assert streams.run("run", "--once").code == 0
    assert retention(streams, "logs-own") == FITTING


def test_what_goes_by_the_retention_that_a_cycle_has_put_is_no_deletion_by_others(streams: StreamBench) -> None:
    streams.make("logs-own", Kind(), retention="30d")
    streams.ready()
    rolled, _ = streams.members("logs-own")
    assert streams.run("run", "--once").code == 0
    streams.es.indices.put_settings(
        index=rolled, settings={"index.lifecycle.origination_date": streams.now() - 13 * DAY}
    )
    eventually(lambda: rolled not in streams.members("logs-own"))
    ran = streams.run("run", "--once")
    assert "before the data stream lifecycle" in ran.err, "somebody dated it back since the last look"


def test_an_enforcer_that_may_not_act_says_that_the_lifecycles_of_streams_go_on(streams: StreamBench) -> None:
    streams.make("logs-own", Kind(), retention="30d")
    streams.make("logs-endless", Kind(), retention="30d")
    streams.put_body("logs-endless", {})
    streams.ready()
    plan = {**streams.environ, "ENFORCER_MODE": "plan"}
    ran = streams.run("run", "--once", environ=plan)
    (line,) = [line for line in ran.err.splitlines() if "finding lifecycle-acts" in line]
    assert "delete 2 indices" in line
    assert "logs-own" in line
    assert "logs-endless" not in line


def test_a_retention_that_could_not_be_put_is_no_alteration(streams: StreamBench) -> None:
    streams.make("logs-own", Kind(), retention="30d")
    streams.ready()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StreamLifecycles, "put", lambda *_: "it failed")
        ran = streams.run("run", "--once")
        assert "finding lifecycle-failed" in ran.err
    ran = streams.run("run", "--once")
    assert "finding lifecycle-altered" not in ran.err
    assert retention(streams, "logs-own") == FITTING


# --- stop ---------------------------------------------------------------------------------------------


def test_stop_switches_it_off_and_resume_puts_the_same_back(streams: StreamBench) -> None:
    streams.make("logs-own", Kind(), retention="30d")
    streams.ready()
    assert streams.run("run", "--once").code == 0
    assert streams.run("stop").code == 0
    assert streams.lifecycle_of("logs-own") == {"enabled": False, "data_retention": FITTING}
    assert streams.run("resume").code == 0
    assert streams.lifecycle_of("logs-own") == {"enabled": True, "data_retention": FITTING}
    assert streams.run("run", "--once").code == 0
    assert len(about(streams, "logs-own")) == 2
