"""What comes between the daemon and the lifecycles that it puts on streams: modes, settings, crashes, operators."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch

from kill_points import Point
from lifecycle_bench import eventually, requests_counted
from retention_enforcer.cluster.lifecycles.streams import StreamLifecycles
from retention_enforcer.domain.lifecycles.exemption import exemption_in
from retention_enforcer.domain.privileges import AccessRole
from retention_enforcer.enforcement.ledger.acts import Acts
from retention_enforcer.enforcement.lifecycles.adoption import StreamAdoption
from streams import FITTING, MARK, Kind, StreamBench

ROLLOVER = "cluster.lifecycle.default.rollover"
POLL = "data_streams.lifecycle.poll_interval"


@pytest.fixture
def streams(server: object, es: Elasticsearch, prefix: str, tmp_path: object) -> Iterator[StreamBench]:
    """An enforcer that adopts, on a server whose streams can have lifecycles of their own."""
    for bench in StreamBench.on(server, es, prefix, tmp_path):
        bench.adopt()
        yield bench


def settled(bench: StreamBench) -> None:
    """Two cycles: what is exempt is given back by the one after the retention was put."""
    for _ in range(2):
        ran = bench.run("run", "--once")
        assert ran.code == 0, ran.out + ran.err


# --- modes --------------------------------------------------------------------------------------------


def test_direct_mode_gives_back_and_what_is_held_stays_exempt(streams: StreamBench) -> None:
    for name, had in (("logs-long", "30d"), ("logs-short", "7d"), ("logs-held", "30d")):
        streams.make(name, Kind(), retention=had)
    streams.ready()
    settled(streams)
    held = streams.hold("--index", f"{streams.prefix}logs-held")
    assert held.code == 0, held.out
    streams.settings |= {"ENFORCER_LIFECYCLE": "direct"}
    assert streams.run("policy", "accept").code == 0
    settled(streams)
    assert streams.lifecycle_of("logs-long") == {"enabled": True, "data_retention": "30d"}
    assert streams.lifecycle_of("logs-short") == {"enabled": False, "data_retention": "7d"}
    assert streams.lifecycle_of("logs-held") == {"enabled": True, "data_retention": "30d"}
    with requests_counted() as sent:
        assert streams.run("run", "--once").code == 0
    assert [path for _, path in sent if "_lifecycle" in path] == [], "given back once"
    kept = list(streams.members("logs-held"))
    assert [streams.date(one) for one in kept] == [MARK + 1] * 2
    streams.put_lifecycle("logs-held")
    streams.polls()
    assert list(streams.members("logs-held")) == kept


@pytest.mark.parametrize("how", ["plan mode", "not accepted"])
def test_an_enforcer_that_may_not_act_writes_nothing_to_lifecycles(streams: StreamBench, how: str) -> None:
    streams.make("logs-new", Kind(), retention="30d")
    streams.make("logs-had", Kind(), retention="30d")
    streams.ready()
    settled(streams)
    streams.put_lifecycle("logs-new", retention="30d")  # to be put again
    streams.policy_text = streams.policy_text.replace("id: logs", "id: others", 1)  # and to be given back
    if how == "plan mode":
        streams.settings |= {"ENFORCER_MODE": "plan"}
    with requests_counted() as sent:
        ran = streams.run("run", "--once")
        streams.run("plan")
    assert ran.code == (0 if how == "plan mode" else 4), ran.err
    assert [path for _, path in sent if "lifecycle" in path or path.endswith("_settings") or "_ilm" in path] == []
    assert (streams.retention("logs-new"), streams.retention("logs-had")) == ("30d", FITTING)


@pytest.mark.parametrize("change", ["left", "renamed"])
def test_the_enforcers_role_may_forget_what_is_given_back(streams: StreamBench, change: str) -> None:
    streams.make("logs-own", Kind(), retention="30d")
    streams.ready()

    def cycles() -> None:
        for _ in range(2):
            ran = streams.run("run", "--once", environ=streams.environ_of(AccessRole.ENFORCER))
            assert ran.code == 0, ran.out + ran.err
            assert "finding lifecycles-unusable" not in ran.err

    cycles()
    assert streams.retention("logs-own") == FITTING
    if change == "left":
        streams.leave()
    else:
        streams.policy_text = streams.policy_text.replace("id: logs", "id: others", 1)
    assert streams.run("policy", "accept").code == 0
    cycles()
    assert streams.retention("logs-own") == ("30d" if change == "left" else FITTING)


@pytest.mark.parametrize("leaves", [False, True], ids=["adopt", "leave"])
def test_a_category_under_another_name_knows_what_its_streams_had(streams: StreamBench, leaves: bool) -> None:
    streams.make("logs-own", Kind(), retention="7d")
    rolled, _ = streams.members("logs-own")
    streams.ready()
    settled(streams)
    streams.policy_text = streams.policy_text.replace("id: logs", "id: others", 1)
    if leaves:
        streams.leave()
    assert streams.run("policy", "accept").code == 0
    with requests_counted() as sent:
        settled(streams)
    puts = [path for _, path in sent if path.endswith("_lifecycle")]
    assert len(puts) == (1 if leaves else 0)
    had = {"enabled": False, "data_retention": "7d"}
    assert streams.lifecycle_of("logs-own") == (had if leaves else {"enabled": True, "data_retention": FITTING})
    streams.leave()
    assert streams.run("policy", "accept").code == 0
    settled(streams)
    assert (streams.lifecycle_of("logs-own"), streams.date(rolled)) == (had, None)


# --- failure stores and blocks ------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["index", "category", "application"])
def test_the_failure_store_of_an_adopted_stream_is_ruled_and_held_with_it(streams: StreamBench, by: str) -> None:
    full = streams.make("logs-own", Kind(), retention="30d", failure_store=True)
    streams.es.index(index=full, document={"@timestamp": "no time", "sdkappid": "1400"}, op_type="create", refresh=True)
    streams.es.perform_request(
        "POST", f"/{full}/_rollover?target_failure_store=true", headers={"accept": "application/json"}
    )
    failed, _ = (name for name in streams.members("logs-own") if name.startswith(".fs-"))
    streams.ready()
    ran = streams.run("run", "--once")
    assert ran.code == 0, ran.err
    assert streams.retention("logs-own") == FITTING
    assert streams.date(failed) is None
    target = {"index": full, "category": "logs", "application": "1400"}[by]
    held = streams.hold(f"--{by}", target)
    assert held.code == 0, held.out
    assert streams.date(failed) == MARK + 1, "whose the failures are nobody can tell"
    streams.run("run", "--once")
    assert streams.date(failed) == MARK + 1
    first = next(iter(streams.members("logs-own")))
    streams.put_lifecycle("logs-own")
    streams.polls()
    assert {first, failed} <= streams.members("logs-own").keys()


def test_a_held_member_with_a_metadata_block_keeps_its_stream_as_it_is_until_it_can_be_exempted(
    streams: StreamBench,
) -> None:
    streams.make("logs-own", Kind(), retention="30d")
    rolled, writing = streams.members("logs-own")
    streams.ready()
    streams.es.indices.put_settings(index=rolled, settings={"index.blocks.metadata": True})
    held = streams.hold("--category", "logs")
    assert held.code == 1
    assert f"NOT PROTECTED {rolled}" in held.out
    ran = streams.run("run", "--once")
    assert streams.retention("logs-own") == "30d"
    (line,) = [line for line in ran.err.splitlines() if '"finding lifecycle-failed: the lifecycle of the data' in line]
    assert f"{rolled} is not exempt from it: held" in line
    streams.es.indices.put_settings(index=rolled, settings={"index.blocks.metadata": None})
    assert streams.run("run", "--once").code == 0
    assert streams.retention("logs-own") == FITTING
    assert (streams.date(rolled), streams.date(writing)) == (MARK + 1, MARK + 1)


def test_one_that_comes_after_the_retention_was_put_is_named_where_it_is_held(streams: StreamBench) -> None:
    streams.make("logs-own", Kind(), retention="30d")
    rolled, writing = streams.members("logs-own")
    streams.ready()
    settled(streams)
    streams.es.indices.put_settings(index=rolled, settings={"index.blocks.metadata": True})
    held = streams.hold("--category", "logs")
    assert held.code == 1
    assert f"NOT PROTECTED {rolled}" in held.out
    assert f"NOT PROTECTED {writing}" not in held.out
    ran = streams.run("run", "--once")
    assert any(rolled in line for line in ran.err.splitlines() if "finding" in line)
    streams.es.indices.put_settings(index=rolled, settings={"index.blocks.metadata": None})
    streams.run("run", "--once")
    assert streams.date(rolled) == MARK + 1, "the next cycle that can exempts it"


# --- between the look and the request -----------------------------------------------------------------


def test_a_stream_that_is_rolled_over_between_look_and_request(
    streams: StreamBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = streams.make("logs-own", Kind(), retention="30d")
    streams.ready()
    held = streams.hold("--index", full)
    assert held.code == 0, held.out
    put = StreamLifecycles.put

    def rolled_over_meanwhile(self: StreamLifecycles, stream: str, body: object) -> object:
        streams.write("logs-own", streams.now())
        streams.es.indices.rollover(alias=full)
        return put(self, stream, body)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(StreamLifecycles, "put", rolled_over_meanwhile)
        assert streams.run("run", "--once").code == 0
    first, second, third = streams.members("logs-own")
    assert streams.retention("logs-own") == FITTING
    assert [streams.date(one) for one in (first, second, third)] == [MARK + 1, MARK + 1, None]
    assert streams.run("run", "--once").code == 0
    assert streams.date(third) == MARK + 1
    streams.put_lifecycle("logs-own")
    streams.polls()
    assert list(streams.members("logs-own")) == [first, second, third]


def test_a_lifecycle_that_somebody_changes_between_look_and_request_stays_for_now(
    streams: StreamBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams.make("logs-own", Kind(), retention="30d")
    streams.ready()
    remember = StreamAdoption.remember

    def changed_meanwhile(self: StreamAdoption, key: str, known: object) -> None:
        streams.put_lifecycle("logs-own", retention="60d")
        remember(self, key, known)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(StreamAdoption, "remember", changed_meanwhile)
        ran = streams.run("run", "--once")
    assert "finding lifecycle-failed" in ran.err
    assert streams.retention("logs-own") == "60d"
    assert streams.run("run", "--once").code == 0
    assert streams.retention("logs-own") == FITTING
    streams.leave()
    assert streams.run("policy", "accept").code == 0
    assert streams.run("run", "--once").code == 0
    assert streams.retention("logs-own") == "60d", "what it had last"


@pytest.mark.timeout(120)
def test_stop_outlasts_a_retention_that_is_about_to_be_put(streams: StreamBench) -> None:
    full = streams.make("logs-own", Kind(), retention="30d")
    streams.ready()
    reached, on = streams.folder / "reached", streams.folder / "on"
    waiting = Point("before", StreamLifecycles.put).does(f"ask_and_wait({str(reached)!r}, {str(on)!r})")
    running = streams.process("run", before=waiting)
    drain = threading.Thread(target=running.communicate)
    drain.start()
    try:
        eventually(reached.exists, 60)
        stopping = streams.process("stop")
        eventually(lambda: _stopped(streams), 30)
        Path(on).touch()
        said, _ = stopping.communicate(timeout=60)
        assert stopping.returncode == 0, said
    finally:
        Path(on).touch()
        running.terminate()
        drain.join(60)
    lifecycle = streams.lifecycle_of("logs-own")
    assert lifecycle["enabled"] is False
    streams.write("logs-own", streams.now())
    streams.es.indices.rollover(alias=full)
    there = streams.members("logs-own")
    streams.polls()
    assert streams.members("logs-own") == there
    resumed = streams.run("resume")
    assert resumed.code == 0, resumed.out
    assert streams.lifecycle_of("logs-own") == {**lifecycle, "enabled": True}
    settled(streams)
    assert streams.retention("logs-own") == FITTING


def _stopped(bench: StreamBench) -> bool:
    found = bench.es.options(ignore_status=404).get(index=bench.own.control, id="stop").body
    return bool(found.get("found"))


# --- a crash ------------------------------------------------------------------------------------------

POINTS = {
    "before it is remembered": Point("before", StreamAdoption.remember),
    "after it is remembered": Point("after", StreamAdoption.remember),
    "after the intent": Point("after", Acts.record_intent, "action == 'set_retention'"),
    "before the request": Point("before", StreamLifecycles.put),
    "after the request": Point("after", StreamLifecycles.put),
    "before the outcome": Point("before", Acts.finish, since=StreamLifecycles.put),
    "after the outcome": Point("after", Acts.finish, since=StreamLifecycles.put),
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("then", ["adopted", "left"])
@pytest.mark.parametrize("point", POINTS.values(), ids=POINTS.keys())
def test_a_killed_run_forgets_nothing_of_what_a_stream_had(streams: StreamBench, point: Point, then: str) -> None:
    streams.make("logs-own", Kind(), retention="30d")
    rolled, _ = streams.members("logs-own")
    streams.ready()
    process = streams.process("run", "--once", before=point.does("die()"))
    _, said = process.communicate(timeout=60)
    assert process.returncode == -9, f"it was not at that point: {said}"
    put = streams.retention("logs-own") == FITTING
    streams.free_the_lease()
    if then == "left":
        streams.leave()
        assert streams.run("policy", "accept").code == 0
        assert streams.date(rolled) == MARK + 1 or not put, "the former retention deletes nothing meanwhile"
    settled(streams)
    assert streams.retention("logs-own") == (FITTING if then == "adopted" else "30d")
    assert streams.date(rolled) is None
    streams.assert_every_intent_is_answered_once()
    assert streams.run("ledger", "verify").code == 0
    if then == "adopted":
        streams.leave()
        assert streams.run("policy", "accept").code == 0
        settled(streams)
        assert streams.retention("logs-own") == "30d"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_killed_run_gives_back_in_the_next(streams: StreamBench, when: str) -> None:
    streams.make("logs-own", Kind(), retention="7d")
    streams.ready()
    settled(streams)
    streams.leave()
    assert streams.run("policy", "accept").code == 0
    process = streams.process("run", "--once", before=Point(when, StreamLifecycles.put).does("die()"))
    _, said = process.communicate(timeout=60)
    assert process.returncode == -9, f"it was not at that point: {said}"
    streams.free_the_lease()
    settled(streams)
    assert streams.lifecycle_of("logs-own") == {"enabled": False, "data_retention": "7d"}
    streams.assert_every_intent_is_answered_once()


# --- settings of the cluster --------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::elasticsearch.ElasticsearchWarning")  # it says so as well
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_maximum_of_the_cluster_under_what_is_put_is_named_as_long_as_it_is_there(
    streams: StreamBench, before: bool
) -> None:
    streams.make("logs-own", Kind(), retention="30d")
    streams.ready()
    if not before:
        settled(streams)
    with streams.set_to("data_streams.lifecycle.retention.max", "3d"):
        for _ in range(2):
            ran = streams.run("run", "--once")
            assert ran.code == 0, ran.err
            (line,) = [line for line in ran.err.splitlines() if '"finding lifecycle-altered: ' in line]
            assert "keeps documents for 3d (max_global_retention), although 1115997s was put" in line
    assert "finding lifecycle-altered" not in streams.run("run", "--once").err
    assert streams.retention("logs-own") == FITTING


@pytest.mark.parametrize(
    ("setting", "put"),
    [
        ("max_age=12h,min_docs=1", "1159197s"),
        ("max_age=2d,min_docs=1", "30d"),
        ("min_docs=1", "30d"),
        ("max_age=1d,min_docs=5", "30d"),
    ],
)
def test_the_rollover_age_of_the_cluster_is_followed(streams: StreamBench, setting: str, put: str) -> None:
    streams.make("logs-own", Kind(), retention="30d")
    streams.ready()
    settled(streams)
    with streams.set_to(ROLLOVER, setting):
        ran = streams.run("run", "--once")
        assert "lifecycle-altered" not in ran.err
        assert streams.retention("logs-own") == put
        ran = streams.run("run", "--once")
        assert ("finding lifecycle-foreign" in ran.err) is (put == "30d")
    settled(streams)
    assert streams.retention("logs-own") == FITTING


def test_a_default_retention_of_the_cluster_does_not_touch_what_is_put(streams: StreamBench) -> None:
    streams.make("logs-own", Kind(), retention="30d")
    streams.put_body("logs-own", {})
    rolled, _ = streams.members("logs-own")
    streams.ready()
    settled(streams)
    with streams.set_to("data_streams.lifecycle.retention.default", "10s"):
        streams.polls()
        assert rolled in streams.members("logs-own")
        assert streams.run("run", "--once").code == 0
        streams.leave()
        assert streams.run("policy", "accept").code == 0
        settled(streams)
        assert streams.lifecycle_of("logs-own") == {"enabled": False}
        streams.polls()
        assert rolled in streams.members("logs-own")


def test_polls_that_come_too_seldom_are_named_by_the_first_cycle_that_can_know(streams: StreamBench) -> None:
    streams.leave()
    streams.make("logs-own", Kind(), retention="12d")
    streams.ready()
    assert "finding lifecycle-foreign" not in streams.run("run", "--once").err
    with streams.set_to(POLL, "12h"):
        ran = streams.run("run", "--once")
        (line,) = [line for line in ran.err.splitlines() if "finding lifecycle-foreign" in line]
        assert "3 polls of 12h" in line


def test_an_adopted_stream_gets_a_retention_that_fits_seldom_polls_or_what_it_had(streams: StreamBench) -> None:
    streams.make("logs-own", Kind(), retention="30d")
    streams.ready()
    settled(streams)
    with streams.set_to(POLL, "8h"):
        assert streams.run("run", "--once").code == 0
        assert streams.retention("logs-own") == "286h"
    with streams.set_to(POLL, "9h"):
        ran = streams.run("run", "--once")
        assert streams.retention("logs-own") == "30d", "else young documents go as soon as polls come in time again"
        ran = streams.run("run", "--once")
        (line,) = [line for line in ran.err.splitlines() if "finding lifecycle-foreign" in line]
        assert "3 polls of 9h, which is longer than the rollover of 1d" in line
    settled(streams)
    assert streams.retention("logs-own") == FITTING


# --- equal, but written otherwise ---------------------------------------------------------------------


def test_an_equal_retention_in_other_words_is_the_one_that_was_put(streams: StreamBench) -> None:
    streams.make("logs-own", Kind(), retention="720h")
    rolled, _ = streams.members("logs-own")
    streams.ready()
    settled(streams)
    for retention in ("60d", "1115997000ms"):  # Elasticsearch keeps the words of what is equal to what is there
        streams.put_lifecycle("logs-own", retention=retention)
    with requests_counted() as sent:
        ran = streams.run("run", "--once")
    assert "finding lifecycle-altered" not in ran.err
    assert [path for _, path in sent if "_lifecycle" in path] == []
    streams.leave()
    assert streams.run("policy", "accept").code == 0
    assert streams.date(rolled) == MARK + 1
    settled(streams)
    assert streams.retention("logs-own") == "720h"


def test_what_a_stream_has_again_in_other_words_is_given_back(streams: StreamBench) -> None:
    streams.make("logs-own", Kind(), retention="1115997000ms")
    streams.ready()
    settled(streams)
    assert streams.put_on("logs-own") == [], "it is the right one already"
    for limit, put in (("15d", "1202397s"), ("14d", FITTING)):
        streams.max_age = limit
        assert streams.run("policy", "accept").code == 0
        settled(streams)
        assert streams.retention("logs-own") == put
    streams.leave()
    assert streams.run("policy", "accept").code == 0
    for _ in range(2):
        assert "finding lifecycle-failed" not in streams.run("run", "--once").err
    assert streams.put_streams() == set(), "it is forgotten"


# --- holds --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["category", "application"])
def test_what_a_hold_covers_in_an_adopted_stream_outlives_its_lifecycle(streams: StreamBench, by: str) -> None:
    full = streams.make("logs-own", Kind(), retention="30d")
    streams.es.index(
        index=full, document={"@timestamp": streams.now(), "sdkappid": "7"}, op_type="create", refresh=True
    )
    streams.es.indices.rollover(alias=full)
    of_1400, of_7, writing = streams.members("logs-own")
    streams.ready()
    settled(streams)
    target = ("--category", "logs") if by == "category" else ("--application", "1400")
    held = streams.hold(*target)
    assert held.code == 0, held.out
    kept = [of_1400, of_7, writing] if by == "category" else [of_1400]
    streams.es.index(
        index=full, document={"@timestamp": streams.now(), "sdkappid": "1400"}, op_type="create", refresh=True
    )
    assert streams.run("run", "--once").code == 0
    assert [exemption_in(streams.date(one)) is not None for one in kept] == [True] * len(kept)
    assert exemption_in(streams.date(writing)) is not None, "the tenant came to it"
    streams.es.indices.rollover(alias=full)
    streams.put_lifecycle("logs-own")
    streams.polls()
    there = streams.members("logs-own")
    assert {*kept, writing} <= there.keys()
    assert (of_7 in there) is (by == "category")
