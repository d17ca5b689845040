"""What is said to hold holds one by one, also where a stream has a lifecycle of its own behind ILM."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from elasticsearch import Elasticsearch

from retention_enforcer.cluster.lifecycles.changes import ClusterLifecycles
from retention_enforcer.domain.instants import HOUR, format_instant
from streams import MARK, NO_DELETION, Kind, StreamBench

# --- one by one ---------------------------------------------------------------------------------------


@pytest.fixture
def streams(server: object, es: Elasticsearch, prefix: str, tmp_path: object) -> Iterator[StreamBench]:
    """An enforcer on a server whose streams can have lifecycles of their own."""
    yield from StreamBench.on(server, es, prefix, tmp_path)


ILM_BEFORE_STREAM = Kind(ilm=True)
OWN = Kind()


def held(bench: StreamBench, *target: str) -> str:
    added = bench.hold(*target)
    assert added.code == 0, added.out + added.err
    return added.out.split()[1]


def test_a_removed_hold_gives_each_index_back_to_what_ruled_it_with_the_date_that_it_had(streams: StreamBench) -> None:
    streams.es.ilm.put_lifecycle(name=streams.theirs, policy=NO_DELETION)
    for name, kind in (("logs-ilm", ILM_BEFORE_STREAM), ("logs-own", OWN)):
        streams.make(name, kind)
    (ilm, ilm_write), (own, own_write) = streams.members("logs-ilm"), streams.members("logs-own")
    dates = {ilm: streams.now() - HOUR // 2, own: streams.now() - HOUR // 3}
    for index, date in dates.items():
        streams.es.indices.put_settings(index=index, settings={"index.lifecycle.origination_date": date})
    streams.ready()
    first, second = held(streams, "--category", "logs"), held(streams, "--index", f"{streams.prefix}logs-own")
    assert (streams.date(ilm_write), streams.date(own_write)) == (MARK, MARK + 1)
    assert {streams.date(index) for index in dates} == {10**15 + dates[ilm], 2 * 10**15 + dates[own]}
    assert streams.attached(ilm) is None
    removed = streams.run("hold", "remove", first)
    assert removed.code == 0, removed.out
    assert f"{ilm} has its lifecycle {streams.theirs} again" in removed.out
    assert (streams.attached(ilm), streams.date(ilm), streams.date(ilm_write)) == (streams.theirs, dates[ilm], None)
    assert streams.date(own) == 2 * 10**15 + dates[own], "another hold still covers it"
    removed = streams.run("hold", "remove", second)
    assert removed.code == 0, removed.out
    assert f"{own} has its lifecycle data stream lifecycle again" in removed.out
    assert (streams.date(own), streams.date(own_write)) == (dates[own], None)
    streams.put_lifecycle("logs-own", "logs-ilm")
    streams.polls(4)
    assert own not in streams.members("logs-own"), "its stream rules it again"
    assert ilm in streams.members("logs-ilm"), "and ILM this one"


def test_what_comes_under_a_hold_later_is_kept_by_the_next_cycle_and_given_back_by_the_one_after_its_end(
    streams: StreamBench,
) -> None:
    full = streams.make("logs-own", OWN)
    streams.ready()
    until = streams.now() + 25_000
    added = streams.run(
        "hold", "add", "--index", full, "--owner", "A", "--reason", "b", "--until", format_instant(until)
    )
    assert added.code == 0, added.out
    streams.write("logs-own", streams.now())
    streams.es.indices.rollover(alias=full)
    first, second, third = streams.members("logs-own")
    assert streams.date(third) is None
    assert streams.run("run", "--once").code == 0
    assert [streams.date(index) for index in (first, second, third)] == [MARK + 1] * 3
    (intent, outcome) = streams.about(third)
    assert (intent["action"], outcome["outcome"]) == ("detach_lifecycle", "done")
    assert f"index.lifecycle.origination_date {MARK + 1} exempts it" in outcome["reason"]
    assert "held-but-managed" not in streams.run("run", "--once").err
    time.sleep(max(0.0, (until - streams.now()) / 1_000))
    assert streams.run("run", "--once").code == 0
    assert [streams.date(index) for index in (first, second, third)] == [None] * 3
    assert streams.about(third)[-1]["reason"] == "it has data stream lifecycle"


@pytest.mark.parametrize("block", ["metadata", "read_only"])
def test_what_a_block_forbids_to_keep_is_named_and_keeps_its_ilm(streams: StreamBench, block: str) -> None:
    streams.es.ilm.put_lifecycle(name=streams.theirs, policy=NO_DELETION)
    streams.make("logs-ilm", ILM_BEFORE_STREAM, retention="1s")
    rolled, _ = streams.members("logs-ilm")
    streams.ready()
    streams.es.indices.put_settings(index=rolled, settings={f"index.blocks.{block}": True})
    added = streams.hold("--category", "logs")
    assert added.code == 1
    assert f"NOT PROTECTED {rolled}" in added.out
    assert "block" in added.out
    streams.es.indices.put_settings(index=rolled, settings={f"index.blocks.{block}": None})
    streams.polls(4)
    assert rolled in streams.members("logs-ilm"), "it was not handed to its stream's lifecycle"


def test_closed_and_hidden_ones_are_held_as_any_other(streams: StreamBench) -> None:
    streams.make("logs-closed", OWN)
    streams.make("logs-hidden", OWN, hidden=True)
    closed, hidden = next(iter(streams.members("logs-closed"))), next(iter(streams.members("logs-hidden")))
    streams.es.indices.close(index=closed)
    streams.ready()
    for name in ("logs-closed", "logs-hidden"):
        held(streams, "--index", f"{streams.prefix}{name}")
    assert streams.run("run", "--once").code == 3, "what is closed is not proven"
    assert (streams.date(closed), streams.date(hidden)) == (MARK + 1, MARK + 1)
    streams.put_lifecycle("logs-closed", "logs-hidden")
    streams.polls()
    assert closed in streams.members("logs-closed")
    assert hidden in streams.members("logs-hidden")


def test_a_failure_stores_index_can_be_kept_from_the_lifecycle_of_its_stream(streams: StreamBench) -> None:
    streams.make("logs-own", OWN)
    full = streams.make("logs-failures", OWN, failure_store=True)
    streams.es.index(index=full, document={"@timestamp": "no date"}, op_type="create")
    try:
        (store,) = (name for name in streams.members("logs-failures") if name.startswith(".fs-"))
    except ValueError:
        pytest.skip("this server has no failure stores")
    cluster = ClusterLifecycles(streams.es)
    streams.es.perform_request(
        "POST", f"/{full}/_rollover", params={"target_failure_store": "true"}, headers={"accept": "application/json"}
    )
    assert cluster.exempt([store]) == {}
    streams.put_lifecycle("logs-failures")
    streams.polls()
    assert store in streams.members("logs-failures")


def test_a_deletion_that_was_under_way_is_named(streams: StreamBench, monkeypatch: pytest.MonkeyPatch) -> None:
    streams.make("logs-own", OWN)
    rolled, _ = streams.members("logs-own")
    streams.ready()
    look = ClusterLifecycles.stream_round

    def deleted_meanwhile(self: ClusterLifecycles) -> int:
        streams.es.indices.delete(index=rolled)
        return look(self)

    monkeypatch.setattr(ClusterLifecycles, "stream_round", deleted_meanwhile)
    added = streams.hold("--category", "logs")
    assert added.code == 1
    assert f"NOT PROTECTED {rolled}: it is gone: something deleted it in the meantime" in added.out


def test_what_stop_took_off_comes_back_in_reverse_and_nothing_falls_to_the_stream_in_between(
    streams: StreamBench,
) -> None:
    streams.es.ilm.put_lifecycle(name=streams.theirs, policy=NO_DELETION)
    streams.make("logs-ours", Kind(lifecycle=None))
    streams.make("logs-ilm", ILM_BEFORE_STREAM, retention="1s")
    streams.make("logs-own", OWN, retention="2h")
    streams.make("logs-held", OWN, retention="3h")
    streams.make("logs-changed", OWN, retention="4h")
    streams.ready()
    assert streams.run("run", "--once").code == 0
    rolled = {name: next(iter(streams.members(f"logs-{name}"))) for name in ("ours", "ilm", "own", "held")}
    ours = streams.attached(rolled["ours"])
    assert ours is not None
    streams.put_lifecycle("logs-ours")  # behind ours
    stopped = streams.run("stop")
    assert stopped.code == 0, stopped.out
    names = ("ours", "ilm", "own", "held", "changed")
    assert not any(streams.lifecycle_of(f"logs-{name}")["enabled"] for name in names)
    held(streams, "--index", f"{streams.prefix}logs-held")
    streams.put_lifecycle("logs-changed", retention="5h")
    resumed = streams.run("resume")
    assert resumed.code == 1
    assert f"NOT PUT BACK {streams.prefix}logs-changed: its lifecycle was changed in the meantime" in resumed.out
    for name, retention in zip(names, ("1s", "1s", "2h", "3h", "5h"), strict=True):
        assert streams.lifecycle_of(f"logs-{name}") == {"enabled": True, "data_retention": retention}
    assert streams.attached(rolled["ilm"]) == streams.theirs
    assert (streams.date(rolled["ilm"]), streams.date(rolled["own"])) == (None, None)
    streams.put_lifecycle("logs-own", "logs-held")
    streams.polls()
    left = {name: index in streams.members(f"logs-{name}") for name, index in rolled.items()}
    assert left == {"ours": True, "ilm": True, "own": False, "held": True}
    assert streams.run("run", "--once").code == 0
    assert (streams.attached(rolled["ours"]), streams.date(rolled["ours"])) == (ours, None)
    again = streams.run("resume")
    assert again.code == 0, again.out


def test_what_strays_is_not_handed_to_the_lifecycle_of_a_stream_outside_the_policy(streams: StreamBench) -> None:
    streams.make("logs-own", Kind(lifecycle=None))
    streams.make("elsewhere", Kind(lifecycle=None))
    streams.ready()
    assert streams.run("run", "--once").code == 0
    rolled, _ = streams.members("elsewhere")
    ours = {"index.lifecycle.name": streams.lifecycle("logs", "plain")}
    streams.es.indices.put_settings(index=rolled, settings=ours)
    streams.put_lifecycle("elsewhere")
    streams.polls(3)
    planned = streams.run("run", "--once", environ={**streams.environ, "ENFORCER_MODE": "plan"})
    assert f"set its index.lifecycle.origination_date to {MARK}, then run POST {rolled}/_ilm/remove" in planned.err
    assert streams.run("run", "--once", environ=streams.environ).code == 0
    assert (streams.attached(rolled), streams.date(rolled)) == (None, MARK)
    streams.polls()
    assert rolled in streams.members("elsewhere")


def test_where_an_index_prefers_its_stream_no_lifecycle_of_ours_is_attached(streams: StreamBench) -> None:
    streams.adopt()
    streams.make("logs-stream", Kind(prefer_ilm=False))
    streams.make("logs-ilm", Kind(lifecycle=False, prefer_ilm=False))
    streams.ready()
    assert streams.run("run", "--once").code == 0
    (stream, _), (ilm, _) = streams.members("logs-stream"), streams.members("logs-ilm")
    assert streams.attached(stream) is None, "it would do nothing"
    assert streams.attached(ilm) is not None, "where the stream's own is off, ILM rules all the same"


# --- another policy is accepted -----------------------------------------------------------------------


def test_no_lifecycle_of_an_earlier_policy_deletes_once_another_one_is_accepted(streams: StreamBench) -> None:
    streams.make("logs-stream", Kind(lifecycle=None))
    streams.index("logs-a", [streams.now() - HOUR])
    streams.index("logs-left", [streams.now() - HOUR])
    streams.ready()
    assert streams.run("run", "--once").code == 0
    rolled, write = streams.members("logs-stream")
    streams.put_lifecycle("logs-stream")
    assert None not in [streams.attached(name) for name in (rolled, write, "logs-a", "logs-left")]
    again = streams.run("policy", "accept")
    assert again.code == 0
    assert "were detached from" not in again.out
    assert None not in [streams.attached(name) for name in (rolled, write, "logs-a", "logs-left")], "it is the same"
    streams.max_age = "400d"
    streams.policy_text = streams.policy_text.replace('"{prefix}logs-*"', '"{prefix}logs-a", "{prefix}logs-s*"')
    accepted = streams.run("policy", "accept", environ=streams.environ)
    assert accepted.code == 0, accepted.out
    assert "lifecycles of another retention policy were detached from 4 indices; " in accepted.out
    assert [streams.attached(name) for name in (rolled, write, "logs-a", "logs-left")] == [None] * 4
    streams.polls()
    assert rolled in streams.members("logs-stream"), "and its stream's own was kept from it first"
    assert streams.run("run", "--once").code == 0
    assert streams.attached(rolled) == streams.lifecycle("logs", "rolled")


def test_what_cannot_be_taken_off_is_named_when_another_policy_is_accepted(streams: StreamBench) -> None:
    streams.make("logs-stream", Kind(lifecycle=None))
    streams.ready()
    assert streams.run("run", "--once").code == 0
    rolled, _ = streams.members("logs-stream")
    streams.put_lifecycle("logs-stream")
    streams.es.indices.put_settings(index=rolled, settings={"index.blocks.read_only": True})
    streams.max_age = "400d"
    accepted = streams.run("policy", "accept")
    assert accepted.code == 1
    assert f"LIFECYCLE NOT DETACHED {rolled}: the lifecycle of its data stream may delete it" in accepted.out
    assert streams.attached(rolled) is not None
