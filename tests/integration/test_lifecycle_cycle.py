"""Lifecycles in the cycle of an enforcer, on a server that has them: what is attached, and what is written down."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch

from lifecycle_bench import LifecycleBench, requests_counted
from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.cluster.preflight import Capabilities
from retention_enforcer.domain.instants import DAY, HOUR
from retention_enforcer.enforcement.expiry.recorder import CycleRecorder
from retention_enforcer.enforcement.lifecycles.changer import LifecycleChanger
from workbench import POLICY, Workbench


@pytest.fixture
def managed(server: object, es: Elasticsearch, prefix: str, tmp_path: object) -> Iterator[LifecycleBench]:
    """An enforcer on a server with lifecycles; what it put is taken away again."""
    yield from LifecycleBench.on(server, es, prefix, tmp_path)


def test_whole_indices_get_a_lifecycle_on_sight_with_intent_and_outcome(managed: LifecycleBench) -> None:
    now = managed.now()
    managed.index("logs-a", [now - HOUR, now])
    managed.index("records", [now - HOUR])
    managed.ready()
    assert managed.run("run", "--once").code == 0
    assert managed.attached("logs-a") == managed.lifecycle("logs", "plain")
    assert managed.attached("records") is None, "a container never has one"
    about = managed.about("logs-a")
    assert [(r["kind"], r["action"], r.get("outcome")) for r in about] == [
        ("intent", "apply_lifecycle", None),
        ("outcome", "apply_lifecycle", "done"),
    ]
    assert about[0]["reason"].startswith(f"{managed.lifecycle('logs', 'plain')}: min_age ")
    assert managed.run("ledger", "verify").code == 0


def test_nothing_is_attached_under_a_policy_that_nobody_accepted(managed: LifecycleBench) -> None:
    managed.index("logs-a", [managed.now()])
    assert managed.run("setup").code == 0
    assert managed.run("run", "--once").code == 4
    assert managed.attached("logs-a") is None
    assert managed.lifecycle("logs", "plain") not in managed.es.ilm.get_lifecycle()


def test_an_index_that_comes_to_straddle_is_detached_and_its_late_document_trimmed(managed: LifecycleBench) -> None:
    now = managed.now()
    managed.index("logs-a", [now - HOUR] * 5)
    managed.ready()
    assert managed.run("run", "--once").code == 0
    assert managed.attached("logs-a") is not None
    managed.add("logs-a", [now - 15 * DAY])
    assert managed.run("run", "--once").code == 0
    assert managed.count("logs-a") == 5
    actions = [(r["action"], r.get("outcome")) for r in managed.about("logs-a")]
    assert actions[2:6] == [
        ("detach_lifecycle", None),
        ("detach_lifecycle", "done"),
        ("delete_documents", None),
        ("delete_documents", "done"),
    ], "detached before anything else"
    assert managed.attached("logs-a") == managed.lifecycle("logs", "plain"), "it may go whole again"


def test_a_write_index_with_a_late_document_is_rolled_over_all_the_same(managed: LifecycleBench) -> None:
    now = managed.now()
    managed.stream("logs-stream")
    managed.write("logs-stream", now)
    managed.ready()
    assert managed.run("run", "--once").code == 0
    (writing,) = managed.backing("logs-stream")
    assert managed.attached(writing) == managed.lifecycle("logs", "rolled")
    managed.write("logs-stream", now - 9 * DAY)
    assert managed.run("run", "--once").code == 0
    rolling = managed.lifecycle("logs", "rolling")
    assert managed.attached(writing) == rolling
    about = [(r["action"], r.get("outcome"), r["reason"]) for r in managed.about(writing)][2:]
    assert [(action, outcome) for action, outcome, _ in about] == [
        ("detach_lifecycle", None),
        ("detach_lifecycle", "done"),
        ("apply_lifecycle", None),
        ("apply_lifecycle", "done"),
    ]
    assert about[2][2] == (
        f"{rolling}: max_age 1d, nothing is deleted; its documents span 9 d: the youngest would be deleted "
        "together with the oldest"
    )
    assert list(managed.es.ilm.get_lifecycle(name=rolling)[rolling]["policy"]["phases"]) == ["hot"]
    before = managed.records()
    assert managed.run("run", "--once").code == 0
    assert [r for r in managed.records()[len(before) :] if r["cycle"].startswith("logs-")] == []
    managed.es.indices.rollover(alias=f"{managed.prefix}logs-stream")
    assert managed.run("run", "--once").code == 0
    rolled, new = managed.backing("logs-stream")
    assert (managed.attached(rolled), managed.attached(new)) == (None, managed.lifecycle("logs", "rolled"))


@pytest.mark.parametrize(
    "command",
    [("stop",), ("hold", "add", "--category", "logs", "--owner", "o", "--reason", "r", "--until", "2099-01-01")],
)
def test_what_takes_lifecycles_off_takes_the_rolling_one_off_too(
    managed: LifecycleBench, command: tuple[str, ...]
) -> None:
    managed.stream("logs-stream")
    managed.write("logs-stream", managed.now(), managed.now() - 9 * DAY)
    managed.ready()
    assert managed.run("run", "--once").code == 0
    (writing,) = managed.backing("logs-stream")
    assert managed.attached(writing) == managed.lifecycle("logs", "rolling")
    ran = managed.run(*command)
    assert ran.code == 0, ran.err
    assert managed.attached(writing) is None


def test_a_second_run_writes_nothing_but_lease_and_state(managed: LifecycleBench) -> None:
    """Counted at the transport, over a stream, a rolled alias, dated indices, a late document and a container."""
    now = managed.now()
    managed.stream("logs-stream")
    managed.write("logs-stream", now)
    managed.es.indices.rollover(alias=f"{managed.prefix}logs-stream")
    managed.write("logs-stream", now)
    alias = {f"{managed.prefix}logs-write": {"is_write_index": True}}
    managed.index("logs-rolled-000001", [now], aliases=alias)
    managed.index("logs-a", [now - HOUR, now])
    managed.index("logs-restored", [now - 13 * DAY - HOUR, now - 13 * DAY])
    managed.index("logs-late", [now - 16 * DAY, *[now] * 50])
    managed.index("records", [now - HOUR])
    managed.ready()
    assert managed.run("run", "--once").code == 0
    before = managed.records()
    with requests_counted() as first:
        assert managed.run("run", "--once").code == 0
    assert first, "the counting itself works"
    # On a cluster with others' indices the look past the policy may find something new at any moment.
    new = managed.records()[len(before) :]
    assert {record["cycle"].partition("-")[0] for record in new} <= {"coverage"}, new
    written = [path for _, path in first if not path.startswith(f"/{managed.own.state}/")]
    assert [path for path in written if not path.startswith(f"/{managed.own.ledger}/_create/")] == []
    assert len(written) == len(new)
    variants = {name: managed.attached(name) for name in ("logs-a", "logs-restored", "logs-late", "logs-rolled-000001")}
    assert variants == {
        "logs-a": managed.lifecycle("logs", "plain"),
        "logs-restored": managed.lifecycle("logs", "plain"),
        "logs-late": managed.lifecycle("logs", "plain"),
        "logs-rolled-000001": managed.lifecycle("logs", "rolled"),
    }
    assert {managed.attached(name) for name in managed.backing("logs-stream")} == {managed.lifecycle("logs", "rolled")}


def date_of(managed: LifecycleBench, name: str) -> str | None:
    settings = managed.es.indices.get_settings(index=managed.prefix + name, flat_settings=True)
    found: str | None = settings[managed.prefix + name]["settings"].get("index.lifecycle.origination_date")
    return found


@pytest.mark.parametrize(
    ("unit", "type_", "value", "begins"),
    [
        ("us", "long", 1_795_000_000_123_456, 1_795_000_000_123),
        ("yyyyMMddHHmm", "keyword", "202611181126", 1_795_001_160_000),
    ],
)
def test_numbers_and_digits_give_an_index_a_date_of_its_own_as_dates_do(
    managed: LifecycleBench, unit: str, type_: str, value: int | str, begins: int
) -> None:
    timestamp = f"    timestamp: {{{{field: start, unit: {unit}}}}}\n    max_age: 400d"
    managed.policy_text = managed.policy_text.replace("    max_age: {max_age}", timestamp, 1)
    managed.index("logs-restored", [], mappings={"properties": {"start": {"type": type_}}})
    managed.es.index(index=f"{managed.prefix}logs-restored", document={"start": value}, refresh=True)
    managed.ready()
    assert managed.run("run", "--once").code == 0
    assert date_of(managed, "logs-restored") == str(begins)
    assert managed.attached("logs-restored") == managed.lifecycle("logs", "plain")


def test_what_has_no_timestamp_on_purpose_counts_from_its_creation_or_its_rollover(managed: LifecycleBench) -> None:
    managed.policy_text = managed.policy_text.replace("    max_age:", "    timestamp: none\n    max_age:", 1)
    managed.index("logs-a", [managed.now() - 9 * DAY])
    managed.stream("logs-stream")
    managed.write("logs-stream", managed.now() - 9 * DAY)
    managed.es.indices.rollover(alias=f"{managed.prefix}logs-stream")
    managed.ready()
    assert managed.run("run", "--once").code == 0
    assert managed.attached("logs-a") == managed.lifecycle("logs", "plain")
    assert date_of(managed, "logs-a") is None
    assert {managed.attached(name) for name in managed.backing("logs-stream")} == {managed.lifecycle("logs", "rolled")}


def test_only_an_old_document_gives_an_index_a_date_of_its_own(managed: LifecycleBench) -> None:
    now = managed.now()
    oldest = now - 9 * DAY
    managed.index("logs-restored", [oldest, oldest + HOUR])
    managed.index("logs-a", [now - HOUR // 2])
    managed.ready()
    assert managed.run("run", "--once").code == 0
    assert date_of(managed, "logs-restored") == str(oldest)
    assert date_of(managed, "logs-a") is None


def test_one_old_document_among_a_thousand_of_today_goes_and_the_thousand_stay(managed: LifecycleBench) -> None:
    now = managed.now()
    managed.index("logs-a", [now - 14 * DAY - HOUR, *[now] * 1_000])
    managed.ready()
    assert managed.run("run", "--once").code == 0
    assert managed.run("run", "--once").code == 0
    assert managed.count("logs-a") == 1_000


def test_with_the_daemon_stopped_for_long_an_old_document_takes_nothing_young_along(managed: LifecycleBench) -> None:
    now = managed.now()
    managed.index("logs-a", [now] * 1_000)
    managed.ready()
    assert managed.run("run", "--once").code == 0
    assert managed.attached("logs-a") == managed.lifecycle("logs", "plain")
    managed.add("logs-a", [now - 15 * DAY])
    managed.index("logs-b", [now - 15 * DAY, *[now] * 1_000])
    if managed.poll() > 2_000:
        pytest.skip("indices.lifecycle.poll_interval is too long to wait for")
    time.sleep(10 * managed.poll() / 1_000)
    assert (managed.count("logs-a"), managed.count("logs-b")) == (1_001, 1_001)


def test_what_is_deleted_within_a_day_counts_for_the_fuse_until_it_was_foreseen(managed: LifecycleBench) -> None:
    now = managed.now()
    almost_due = now - 13 * DAY - 12 * HOUR
    managed.index("logs-a", [almost_due] * 900)
    managed.index("logs-b", [now] * 300)
    managed.ready()
    ran = managed.run("run", "--once")
    assert ran.code == 0
    assert "lifecycles that would delete 900 of 1,200 documents in 1 index within a day" in ran.err
    assert (managed.attached("logs-a"), managed.attached("logs-b")) == (None, managed.lifecycle("logs", "plain"))
    again = managed.run("run", "--once")
    assert "lifecycles that would delete" not in again.err
    assert managed.attached("logs-a") == managed.lifecycle("logs", "plain"), "foreseen by now"


def test_an_interrupted_change_gets_the_outcome_that_a_look_shows(
    managed: LifecycleBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: object, **__: object) -> None:
        raise Killed

    managed.index("logs-a", [managed.now()])
    managed.index("logs-b", [managed.now()])
    managed.ready()
    with monkeypatch.context() as patch:
        patch.setattr(LifecycleChanger, "_finish", killed)
        with pytest.raises(Killed):
            managed.run("run", "--once")
    assert managed.attached("logs-a") == managed.lifecycle("logs", "plain")
    managed.es.options(ignore_status=404).perform_request(
        "POST", f"/{managed.prefix}logs-b/_ilm/remove", headers={"accept": "application/json"}
    )
    managed.free_the_lease()
    assert managed.run("run", "--once").code == 0
    first = {name: managed.about(name)[1] for name in ("logs-a", "logs-b")}
    assert {name: record["outcome"] for name, record in first.items()} == {"logs-a": "done", "logs-b": "failed"}
    assert managed.attached("logs-b") == managed.lifecycle("logs", "plain"), "attached by the next cycle"
    managed.assert_every_intent_is_answered_once()


# --- what went without the enforcer -------------------------------------------------------------------


def test_what_somebody_deleted_is_written_down_and_a_finding_also_after_a_restart(managed: LifecycleBench) -> None:
    managed.index("logs-a", [managed.now() - HOUR, managed.now()])
    managed.index("logs-b", [managed.now()])
    managed.ready()
    assert managed.run("run", "--once").code == 0
    uuid = managed.uuid("logs-a")
    managed.es.indices.delete(index=f"{managed.prefix}logs-a")
    ran = managed.run("run", "--once")
    assert ran.code == 0, "it changes no verdict"
    assert "finding deleted-by-others" in ran.err
    (record,) = [r for r in managed.records() if r.get("action") == "observed_deletion"]
    assert record["target"] == {"index": f"{managed.prefix}logs-a", "uuid": uuid}
    assert record["evidence"]["documents"] == 2
    assert "neither the enforcer nor one of its lifecycles deleted it" in record["reason"]
    assert "finding deleted-by-others" in managed.run("run", "--once").err, "told for a day"
    assert len([r for r in managed.records() if r.get("action") == "observed_deletion"]) == 1


def test_what_was_written_down_before_a_crash_is_not_written_down_again(
    managed: LifecycleBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: object, **__: object) -> None:
        raise Killed

    managed.index("logs-a", [managed.now()])
    managed.ready()
    assert managed.run("run", "--once").code == 0
    managed.es.indices.delete(index=f"{managed.prefix}logs-a")
    with monkeypatch.context() as patch:
        patch.setattr(CycleRecorder, "record", killed)
        with pytest.raises(Killed):
            managed.run("run", "--once")
    managed.free_the_lease()
    assert "finding deleted-by-others" in managed.run("run", "--once").err
    assert len([r for r in managed.records() if r.get("action") == "observed_deletion"]) == 1


def test_what_the_enforcer_deleted_itself_is_nobody_elses(managed: LifecycleBench) -> None:
    managed.index("logs-old", [managed.now() - 20 * DAY])
    managed.index("logs-a", [managed.now()])
    managed.ready()
    assert managed.run("run", "--once").code == 0
    assert managed.count("logs-old") is None
    assert managed.run("run", "--once").code == 0
    assert not [r for r in managed.records() if r.get("action") == "observed_deletion"]


def test_an_index_that_left_the_policy_is_not_missed(managed: LifecycleBench) -> None:
    managed.index("logs-a", [managed.now()])
    managed.index("logs-b", [managed.now()])
    managed.ready()
    assert managed.run("run", "--once").code == 0
    managed.policy_text = managed.policy_text.replace("{prefix}logs-*", "{prefix}logs-a*")
    assert managed.run("policy", "accept").code == 0
    ran = managed.run("run", "--once")
    assert "deleted-by-others" not in ran.err
    assert managed.attached("logs-b") is None, "no lifecycle outside the policy"


# --- settings -----------------------------------------------------------------------------------------

TOO_SHORT = """\
version: 1
name: {prefix}policy
margin: 8s
on_request: 1d
categories:
  - id: logs
    clause: {{document: Test promises, section: "1", item: logs, updated: 2026-01-01}}
    indices: ["{prefix}logs-*"]
    max_age: 20s
    rollover: 1s
"""


def test_a_promise_that_no_lifecycle_keeps_is_refused_with_its_arithmetic(managed: LifecycleBench) -> None:
    managed.policy_text = TOO_SHORT
    managed.settings |= {"ENFORCER_INTERVAL": "2s", "ENFORCER_GRACE": "0s", "ENFORCER_LIFECYCLE": "ilm"}
    managed.index("logs-a", [managed.now() + HOUR])
    managed.ready()
    refused = managed.run("run", "--once")
    assert refused.code == 2
    assert "is too seldom to roll over" in refused.err
    assert "indices.lifecycle.poll_interval" in refused.err


def test_left_to_itself_the_daemon_deletes_what_no_lifecycle_can(managed: LifecycleBench) -> None:
    managed.policy_text = TOO_SHORT
    managed.settings |= {"ENFORCER_INTERVAL": "2s", "ENFORCER_GRACE": "0s"}
    managed.index("logs-a", [managed.now() - 15_000])
    managed.ready()
    ran = managed.run("run", "--once")
    assert ran.code == 0, ran.err
    assert "finding lifecycle-unmeetable" in ran.err
    assert managed.count("logs-a") is None


def test_ilm_on_a_cluster_without_lifecycles_is_an_error_with_its_remedy(bench: Workbench) -> None:
    if Capabilities(bench.es).has_lifecycles():
        pytest.skip("this server has lifecycles")
    bench.index("logs-a", [SystemClock().now()])
    bench.settings["ENFORCER_LIFECYCLE"] = "ilm"
    bench.ready()
    ran = bench.run("run", "--once")
    assert ran.code == 2
    assert "ENFORCER_LIFECYCLE is ilm, but this cluster has no index lifecycle management" in ran.err
    bench.settings["ENFORCER_LIFECYCLE"] = "auto"
    assert bench.run("policy", "accept").code == 0
    assert bench.run("run", "--once").code == 0


def test_policy_show_gives_the_arithmetic_with_the_clusters_poll_interval(managed: LifecycleBench) -> None:
    shown = managed.run("policy", "show", "--lifecycles", "--output", "json")
    assert shown.code == 0
    assert shown.json["poll"] * 1_000 == managed.poll()
    rolled, *others = shown.json["categories"][0]["lifecycles"]
    names = [one["name"] for one in (rolled, *others)]
    assert names == [managed.lifecycle("logs", variant) for variant in ("rolled", "rolling", "plain")]
    assert rolled["arithmetic"].endswith("= limit 14d - margin 1h")
    table = managed.run("policy", "show", "--lifecycles")
    assert "set in the cluster" in table.out
    assert max(len(line) for line in table.out.splitlines()) <= 100


def test_policy_show_needs_no_cluster_for_the_arithmetic(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY.format(prefix="t-", max_age="14d"), encoding="utf-8")
    without = Workbench(es=None, url="", username="", password="", prefix="t-", folder=tmp_path)  # type: ignore[arg-type]
    shown = without.run("policy", "show", "--lifecycles", environ={"ENFORCER_POLICY_FILE": str(path)})
    assert shown.code == 0, shown.err
    assert "4 polls of 10m + lateness 1h = limit 14d - margin 1h" in " ".join(shown.out.split())
    assert "because no cluster was asked" in shown.out


@pytest.mark.parametrize(
    ("max_age", "retention", "says"),
    [("14d", "18585m", "= limit 14d - margin 1h"), ("18d", None, "without deleting days too early")],
)
def test_policy_show_gives_the_retention_of_streams_where_a_category_adopts_them(
    tmp_path: Path, max_age: str, retention: str | None, says: str
) -> None:
    path = tmp_path / "policy.yaml"
    text = POLICY.format(prefix="t-", max_age=max_age)
    path.write_text(text.replace("rollover: 1d\n", "rollover: 1d\n    foreign_lifecycle: adopt\n", 1))
    without = Workbench(es=None, url="", username="", password="", prefix="t-", folder=tmp_path)  # type: ignore[arg-type]
    environ = {"ENFORCER_POLICY_FILE": str(path)}
    shown = without.run("policy", "show", "--lifecycles", "--output", "json", environ=environ)
    first, *others = shown.json["categories"]
    assert first["stream"]["data_retention"] == retention
    assert says in first["stream"]["arithmetic"]
    assert {one["stream"] for one in others} == {None}
    assert says in " ".join(without.run("policy", "show", "--lifecycles", environ=environ).out.split())
