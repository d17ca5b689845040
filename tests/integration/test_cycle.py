"""A whole cycle on a real server: what goes, what stays, what is recorded, and what is refused."""

from __future__ import annotations

import pytest

from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.domain.instants import DAY, HOUR, SECOND
from workbench import LIMIT, MARGIN, FixedClock, Workbench

CUT = LIMIT - MARGIN


def test_in_a_container_the_document_past_the_cut_goes_and_the_one_a_second_younger_stays(bench: Workbench) -> None:
    now = SystemClock().now()
    bench.index("records", [now - CUT - SECOND, now - CUT + SECOND])
    bench.ready()
    assert bench.run("run", "--once", clock=FixedClock(now)).code == 0
    bench.es.indices.refresh(index=bench.prefix + "records")
    hits = bench.es.search(index=bench.prefix + "records")["hits"]["hits"]
    assert [hit["_source"]["@timestamp"] for hit in hits] == [now - CUT + SECOND]


def test_an_index_that_gives_few_hits_at_once_is_trimmed_all_the_same(bench: Workbench) -> None:
    now = SystemClock().now()
    bench.index("records", [*[now - 15 * DAY] * 25, now], settings={"index.max_result_window": 10})
    bench.ready()
    assert bench.run("run", "--once").code == 0
    assert bench.count("records") == 1


def test_old_indices_go_whole_straddling_ones_are_trimmed_and_strangers_are_untouched(bench: Workbench) -> None:
    now = SystemClock().now()
    bench.index("logs-old", [now - 16 * DAY, now - 15 * DAY])
    bench.index("logs-new", [now - DAY, now])
    bench.index("logs-straddling", [now - 20 * DAY, now - 10 * DAY, now])
    bench.index("billing", [now - 400 * DAY])
    bench.ready()
    planned = bench.run("plan", "--output", "json").plan("logs")
    assert {(p["index"].removeprefix(bench.prefix), p["action"]) for p in planned["purge"]} == {
        ("logs-old", "delete_index"),
        ("logs-straddling", "delete_documents"),
    }
    ran = bench.run("run", "--once")
    assert ran.code == 0, ran.err
    assert [bench.count(n) for n in ("logs-old", "logs-new", "logs-straddling", "billing")] == [None, 2, 2, 1]


def test_each_deletion_has_its_intent_before_and_its_outcome_after(bench: Workbench) -> None:
    now = SystemClock().now()
    uuids = {}
    for name in ("logs-a", "logs-b"):
        bench.index(name, [now - 20 * DAY])
        settings = bench.es.indices.get_settings(index=bench.prefix + name)
        uuids[name] = settings[bench.prefix + name]["settings"]["index"]["uuid"]
    bench.ready()
    assert bench.run("run", "--once").code == 0
    records = bench.records()
    for name, uuid in uuids.items():
        about = [r for r in records if r.get("target", {}).get("uuid") == uuid]
        assert [(r["kind"], r.get("outcome")) for r in about] == [("intent", None), ("outcome", "done")], name
        assert about[1]["intent"] == about[0]["sequence"]
        assert about[0]["evidence"]["documents"] == 1
    assert bench.run("ledger", "verify").code == 0


def test_a_second_run_writes_no_record_and_deletes_nothing(bench: Workbench) -> None:
    now = SystemClock().now()
    bench.index("logs-a", [now - 20 * DAY])
    bench.index("logs-b", [now - DAY])
    bench.ready()
    assert bench.run("run", "--once").code == 0
    before = bench.records()
    assert bench.run("run", "--once").code == 0
    assert bench.records() == before


def test_nothing_goes_under_a_policy_that_nobody_accepted(bench: Workbench) -> None:
    bench.index("logs-a", [SystemClock().now() - 20 * DAY])
    assert bench.run("setup", "--indices-only").code == 0
    ran = bench.run("run", "--once")
    assert ran.code == 4
    assert "nobody has accepted this policy" in ran.err
    assert bench.count("logs-a") == 1


def test_a_limit_changed_from_14d_to_1d_deletes_nothing_until_it_is_accepted(bench: Workbench) -> None:
    bench.index("logs-a", [SystemClock().now() - 3 * DAY])
    bench.ready()
    assert bench.run("run", "--once").code == 0
    bench.max_age = "5d"
    bench.policy_text = bench.policy_text.replace("rollover: 1d", "rollover: 6h")
    changed = bench.run("run", "--once")
    assert changed.code == 4
    assert "the policy was changed after" in changed.err
    assert bench.count("logs-a") == 1


def test_the_environment_can_accept_a_policy_by_its_fingerprint(bench: Workbench) -> None:
    bench.index("logs-a", [SystemClock().now() - 20 * DAY])
    assert bench.run("setup", "--indices-only").code == 0
    fingerprint = bench.run("plan", "--output", "json").json["policy"]
    bench.settings["ENFORCER_ACCEPT_POLICY"] = fingerprint
    assert bench.run("run", "--once").code == 0
    assert bench.count("logs-a") is None


def test_an_environment_that_accepts_another_policy_deletes_nothing(bench: Workbench) -> None:
    bench.index("logs-a", [SystemClock().now() - 20 * DAY])
    assert bench.run("setup", "--indices-only").code == 0
    bench.settings["ENFORCER_ACCEPT_POLICY"] = "a" * 64
    ran = bench.run("run", "--once")
    assert ran.code == 4
    assert "ENFORCER_ACCEPT_POLICY is" in ran.err
    assert bench.count("logs-a") == 1


@pytest.mark.parametrize("ahead", [3650 * DAY, -3650 * DAY, 2 * HOUR])
def test_a_clock_that_differs_from_the_clusters_deletes_nothing(bench: Workbench, ahead: int) -> None:
    bench.index("logs-a", [SystemClock().now() - DAY])
    bench.ready()
    ran = bench.run("run", "--once", clock=FixedClock(ahead=ahead))
    assert ran.code == 4
    assert "the clocks of this host and of the cluster differ by" in ran.err
    assert bench.count("logs-a") == 1


def test_epoch_seconds_read_as_milliseconds_are_no_age(bench: Workbench) -> None:
    now = SystemClock().now()
    bench.index("logs-a", [now // 1000, now // 1000 + 5])
    bench.index("records", [now // 1000])
    bench.ready()
    ran = bench.run("run", "--once")
    assert ran.code == 0
    assert "without a plausible @timestamp" in ran.err
    assert (bench.count("logs-a"), bench.count("records")) == (2, 1)


def test_timestamps_ahead_of_the_clock_are_no_age(bench: Workbench) -> None:
    bench.index("logs-a", [SystemClock().now() + 10 * 365 * DAY])
    bench.ready()
    assert bench.run("run", "--once").code == 0
    assert bench.count("logs-a") == 1


def test_a_surprising_share_is_refused_until_that_plan_is_approved(bench: Workbench) -> None:
    now = SystemClock().now()
    bench.index("logs-a", [now - 20 * DAY] * 900)
    bench.index("logs-b", [now] * 200)
    bench.ready()
    refused = bench.run("run", "--once")
    assert refused.code == 4
    assert "refused to delete 900 of 1,100 documents in 1 index at once" in refused.err
    assert bench.count("logs-a") == 900
    again = bench.run("run", "--once")
    assert again.code == 4, "a refused cycle must not release the next one"
    assert bench.count("logs-a") == 900
    assert bench.run("plan", "approve", bench.run("plan", "--output", "json").plan("logs")["hash"]).code == 0
    bench.index("logs-c", [now - 20 * DAY] * 2000)
    partly = bench.run("run", "--once")
    assert partly.code == 4, "what came since the approval is refused"
    assert (bench.count("logs-a"), bench.count("logs-b"), bench.count("logs-c")) == (None, 200, 2000)


def test_a_stranger_plan_cannot_be_approved(bench: Workbench) -> None:
    bench.ready()
    ran = bench.run("plan", "approve", "0" * 64)
    assert ran.code == 4
    assert "nothing is approved" in ran.err


def test_what_was_seen_before_it_was_due_is_no_surprise(bench: Workbench) -> None:
    now = SystemClock().now()
    bench.index("logs-a", [now - CUT + 30 * SECOND] * 900)
    bench.index("logs-b", [now] * 200)
    bench.ready()
    assert bench.run("run", "--once", clock=FixedClock(now)).code == 0
    assert bench.count("logs-a") == 900
    ran = bench.run("run", "--once", clock=FixedClock(now + 50 * SECOND))
    assert ran.code == 0, ran.err
    assert bench.count("logs-a") is None


def test_a_category_that_is_not_enforced_is_planned_and_reported_only(bench: Workbench) -> None:
    bench.index("logs-a", [SystemClock().now() - 20 * DAY])
    bench.policy_text = bench.policy_text.replace("    rollover: 1d\n", "    rollover: 1d\n    enforce: false\n")
    bench.ready()
    assert len(bench.run("plan", "--output", "json").plan("logs")["purge"]) == 1
    assert bench.run("run", "--once").code == 3
    assert bench.count("logs-a") == 1


def test_plan_mode_needs_no_own_indices_and_writes_nothing(bench: Workbench) -> None:
    bench.index("logs-a", [SystemClock().now() - 20 * DAY])
    bench.settings["ENFORCER_MODE"] = "plan"
    assert bench.run("run", "--once").code == 3
    assert bench.count("logs-a") == 1
    assert not any(bench.es.indices.exists(index=name) for name in bench.own.names)


def test_without_own_indices_enforcing_is_refused(bench: Workbench) -> None:
    bench.index("logs-a", [SystemClock().now() - 20 * DAY])
    ran = bench.run("run", "--once")
    assert ran.code == 4
    assert "retention-enforcer setup" in ran.err
    assert bench.count("logs-a") == 1


def test_another_cluster_than_the_pinned_one_is_refused(bench: Workbench) -> None:
    bench.index("logs-a", [SystemClock().now() - 20 * DAY])
    bench.ready()
    bench.settings["ENFORCER_CLUSTER_UUID"] = "a" * 22
    ran = bench.run("run", "--once")
    assert ran.code == 4
    assert "this is cluster" in ran.err
    assert bench.count("logs-a") == 1


def test_a_write_index_of_an_alias_is_rolled_over_and_then_deleted(bench: Workbench) -> None:
    now = SystemClock().now()
    alias = bench.prefix + "logs-write"
    bench.index("logs-000001", [now - 20 * DAY], aliases={alias: {}})
    bench.index("logs-000002", [now - 19 * DAY], aliases={alias: {"is_write_index": True}})
    bench.ready()
    ran = bench.run("run", "--once")
    assert ran.code == 0, ran.err
    assert [bench.count(n) for n in ("logs-000001", "logs-000002", "logs-000003")] == [None, None, 0]
    rollovers = [r for r in bench.records() if r.get("action") == "rollover"]
    assert [r.get("outcome") for r in rollovers] == [None, "done"]


def test_the_last_index_of_an_alias_is_trimmed(bench: Workbench) -> None:
    now = SystemClock().now()
    bench.index("logs-a", [now - 20 * DAY, now - 19 * DAY], aliases={bench.prefix + "read": {}})
    bench.ready()
    assert bench.run("run", "--once").code == 0
    assert bench.count("logs-a") == 0


@pytest.mark.parametrize("block", ["write", "read_only"])
def test_a_blocked_index_is_a_finding_and_hides_no_other(bench: Workbench, block: str) -> None:
    now = SystemClock().now()
    bench.index("logs-blocked", [now - 20 * DAY, now])
    bench.index("logs-old", [now - 20 * DAY])
    bench.ready()
    bench.es.indices.add_block(index=bench.prefix + "logs-blocked", block=block)
    ran = bench.run("run", "--once")
    assert ran.code == 3
    assert f"blocked by index.blocks.{block}" in ran.err
    assert (bench.count("logs-blocked"), bench.count("logs-old")) == (2, None)
    bench.es.indices.put_settings(index=bench.prefix + "logs-blocked", settings={f"index.blocks.{block}": None})


def test_a_closed_index_is_not_proven_and_stays(bench: Workbench) -> None:
    now = SystemClock().now()
    bench.index("logs-closed", [now - 20 * DAY])
    bench.index("logs-old", [now - 20 * DAY])
    bench.ready()
    bench.es.indices.close(index=bench.prefix + "logs-closed")
    assert bench.run("run", "--once").code == 3
    assert bench.es.indices.exists(index=bench.prefix + "logs-closed", expand_wildcards="all")
    assert bench.count("logs-old") is None


def test_stop_keeps_everything_until_resume(bench: Workbench) -> None:
    bench.index("logs-a", [SystemClock().now() - 20 * DAY])
    bench.ready()
    assert bench.run("stop").code == 0
    bench.run("run", "--once")
    assert bench.count("logs-a") == 1
    assert bench.run("resume").code == 0
    assert bench.run("run", "--once").code == 0
    assert bench.count("logs-a") is None


def test_at_the_flood_stage_whole_indices_go_and_are_written_down(bench: Workbench) -> None:
    now = SystemClock().now()
    bench.index("logs-old", [now - 20 * DAY])
    bench.index("logs-straddling", [now - 20 * DAY, now])
    bench.ready()
    flooded = [bench.prefix + "logs-old", bench.prefix + "logs-straddling", *bench.own.names]
    bench.es.indices.put_settings(index=flooded, settings={"index.blocks.read_only_allow_delete": True})
    ran = bench.run("run", "--once")
    assert ran.code == 3
    assert "blocked by index.blocks.read_only_allow_delete" in ran.err
    assert (bench.count("logs-old"), bench.count("logs-straddling")) == (None, 2)
    assert bench.run("ledger", "verify").code == 0
