"""Terminations where something is in doubt, on a real server: it deletes nothing, and is not forgotten."""

from __future__ import annotations

from typing import Any

import pytest

from customers import FIELDS, MAPPING, add, index, interrupted, now, of, states
from retention_enforcer.cluster.own.requests_index import RequestsIndex
from retention_enforcer.cluster.subjects.counts import SubjectCounts
from retention_enforcer.domain.errors import ClusterUnavailable
from retention_enforcer.domain.instants import DAY, HOUR, format_instant
from retention_enforcer.domain.subjects.identity import Subject, SubjectKind
from retention_enforcer.enforcement.terminations.purge import SubjectPurge
from workbench import FixedClock, Workbench


def pairs(bench: Workbench) -> list[tuple[str, str]]:
    """Who is named with which application in the documents that say whose it is."""
    name = bench.prefix + "configuration"
    bench.es.indices.refresh(index=name)
    hits = bench.es.search(index=name, size=100)["hits"]["hits"]
    return sorted((hit["_source"]["uin"], hit["_source"]["sdkappid"]) for hit in hits)


@pytest.mark.parametrize("owner", ["100", "3003"])
def test_what_may_say_whose_an_application_is_stays_until_that_is_decided(tenants: Workbench, owner: str) -> None:
    instant = now() - HOUR
    for uin in ("100", "3003"):
        add(tenants, "configuration", {"uin": uin, "sdkappid": "11", "@timestamp": instant})
    assert tenants.run("terminate", "--account", "100").code == 0
    for _ in range(2):
        ran = tenants.run("run", "--once")
        assert ran.code == 0, ran.err
        assert "1 application is not included" in ran.err, "it is not forgotten"
        assert pairs(tenants) == [("100", "11"), ("100", "11"), ("1001", "111"), ("1002", "11"), ("3003", "11")]
        assert states(tenants) == ["purging"]
        assert of(tenants, "keys") == ["11", "111", "1111"]
    intents = [r for r in tenants.records() if r["kind"] == "intent" and r["category"] == "configuration"]
    assert len(intents) == 1, "what takes nothing is not announced"
    add(tenants, "configuration", {"uin": owner, "sdkappid": "11", "@timestamp": now()})
    assert tenants.run("run", "--once").code == 0
    assert states(tenants) == ["verifying"]
    assert "100" not in [uin for uin, _ in pairs(tenants)]
    assert of(tenants, "keys") == (["111", "1111"] if owner == "100" else ["11", "111", "1111"])


def test_a_registry_that_was_made_anew_stops_all_and_what_it_lost_is_named(tenants: Workbench) -> None:
    tenants.settings["ENFORCER_GRACE"] = "24h"
    assert tenants.run("policy", "accept").code == 0
    assert tenants.run("terminate", "--application", "1").code == 0
    assert tenants.run("run", "--once").code == 0
    pseudonym = tenants.run("terminations", "--output", "json").json[0]["subject"]
    tenants.es.indices.delete(index=tenants.own.terminations)
    assert tenants.run("setup").code == 0
    ran = tenants.run("run", "--once")
    assert ran.code == 4
    assert "retention-terminations is another index than before" in ran.err
    adopted = tenants.run("ledger", "adopt")
    assert adopted.code == 0
    assert "1 termination; request again" in adopted.out
    assert pseudonym.rpartition(" ")[2] in adopted.out
    assert tenants.run("run", "--once").code == 0
    assert tenants.run("terminations", "--output", "json").json == []
    assert tenants.run("terminate", "--application", "1").code == 0
    assert tenants.run("run", "--once").code == 0
    assert states(tenants) == ["in-grace"]


def test_where_the_state_was_lost_requests_are_not_carried_out_again(tenants: Workbench) -> None:
    assert tenants.run("terminate", "--application", "1").code == 0
    assert tenants.run("run", "--once").code == 0
    assert tenants.run("reinstate", "--application", "1").code == 0
    assert tenants.run("run", "--once").code == 0
    add(tenants, "keys", {"sdkappid": "1"})
    tenants.es.indices.delete(index=tenants.own.state)
    assert tenants.run("setup").code == 0
    assert tenants.run("run", "--once").code == 4
    assert tenants.run("ledger", "adopt").code == 0
    assert tenants.run("policy", "accept").code == 0
    assert tenants.run("run", "--once").code == 0
    assert of(tenants, "keys").count("1") == 1


def test_a_write_block_that_cannot_be_put_back_is_a_finding_and_stops_nothing_else(tenants: Workbench) -> None:
    index(tenants, "closed-off", mappings=MAPPING)
    name = tenants.prefix + "closed-off"
    uuid = tenants.es.indices.get_settings(index=name)[name]["settings"]["index"]["uuid"]
    tenants.es.index(
        index=tenants.own.state,
        id="lifted-blocks",
        document={"kind": "lifted-blocks", "updated": now(), "body": {"uuids": [uuid]}},
        refresh=True,
    )
    tenants.es.indices.put_settings(index=name, settings={"index.blocks.metadata": True})
    try:
        assert tenants.run("terminate", "--application", "1").code == 0
        ran = tenants.run("run", "--once")
        assert f"the write block of index {uuid} " in ran.err
        assert "1" not in of(tenants, "keys"), "everybody else's work goes on"
    finally:
        tenants.es.indices.put_settings(index=name, settings={"index.blocks.metadata": None})
    ran = tenants.run("run", "--once")
    assert "the write block of index" not in ran.err
    assert tenants.es.indices.get_settings(index=name)[name]["settings"]["index"]["blocks"] == {"write": "true"}


def test_an_index_that_does_not_say_whose_its_documents_are_stops_no_other(
    tenants: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_counts = SubjectCounts.by_label

    def unwilling(counts: SubjectCounts, name: str, *more: Any) -> dict[str, int]:
        if name == tenants.prefix + "keys":
            raise ClusterUnavailable("only a part of the shards answered", "")
        return true_counts(counts, name, *more)

    assert tenants.run("terminate", "--application", "1").code == 0
    monkeypatch.setattr(SubjectCounts, "by_label", unwilling)
    ran = tenants.run("run", "--once")
    assert ran.code == 0, ran.err
    assert (of(tenants, "keys").count("1"), tenants.is_gone("application-logs-1-x")) == (2, True)
    assert states(tenants) == ["purging"], "nobody knows whether it is clean"
    monkeypatch.setattr(SubjectCounts, "by_label", true_counts)
    assert tenants.run("run", "--once").code == 0
    assert states(tenants) == ["verifying"]
    assert "1" not in of(tenants, "keys")


def test_a_reinstatement_that_comes_while_others_are_purged_saves_what_is_left(
    tenants: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    purge, done = SubjectPurge.carry_out, []

    def slow(work: SubjectPurge, scope: Any, category: Any, purges: Any, *more: Any) -> Any:
        ended = purge(work, scope, category, purges, *more)
        done.append(category.id)
        if len(done) == 1:
            assert tenants.run("reinstate", "--application", "1").code == 0
        return ended

    monkeypatch.setattr(SubjectPurge, "carry_out", slow)
    for application in ("1", "11"):
        assert tenants.run("terminate", "--application", application).code == 0
    assert tenants.run("run", "--once").code == 0
    assert done[0] == "keys"
    assert of(tenants, "keys") == ["111", "1111"], "what was gone by then is gone"
    assert [tenants.is_gone(f"application-logs-{a}-x") for a in ("1", "11")] == [False, True]
    assert ("100", "1") in pairs(tenants)
    assert states(tenants) == ["closed", "verifying"]
    assert "finding returned" not in tenants.run("run", "--once").err, "a reinstated customer may be there"


def test_an_approval_from_a_host_whose_clock_is_fast_approves_nothing_that_is_to_come(tenants: Workbench) -> None:
    tenants.settings["ENFORCER_MAX_TERMINATIONS"] = "1"
    for application in ("1", "11"):
        assert tenants.run("terminate", "--application", application).code == 0
    assert tenants.run("run", "--once").code == 0
    assert states(tenants) == ["waiting-for-approval"] * 2
    approved = tenants.run("terminations", "approve", clock=FixedClock(ahead=30 * DAY))
    assert "2 waiting terminations" in approved.out
    assert tenants.run("run", "--once").code == 0
    assert states(tenants) == ["verifying"] * 2
    for application in ("111", "1111"):
        assert tenants.run("terminate", "--application", application).code == 0
    assert tenants.run("run", "--once").code == 0
    assert states(tenants) == ["verifying"] * 2 + ["waiting-for-approval"] * 2


def test_a_wrong_date_far_ahead_does_not_swallow_the_right_one(tenants: Workbench) -> None:
    ahead = format_instant(now() + 300 * DAY)
    assert tenants.run("terminate", "--application", "1", "--at", ahead, "--confirm").code == 0
    assert tenants.run("run", "--once").code == 0
    assert states(tenants) == ["in-grace"]
    assert tenants.run("terminate", "--application", "1").code == 0
    assert tenants.run("run", "--once").code == 0
    assert states(tenants) == ["verifying"]
    assert "1" not in of(tenants, "keys")


def test_all_requests_about_a_subject_are_forgotten_however_many(tenants: Workbench) -> None:
    requests = RequestsIndex(tenants.es, tenants.own.requests)
    operations: list[dict[str, Any]] = []
    for number in range(2_100):
        body = {"kind": "application", "id": "1" if number % 50 else "11", "action": "terminate"}
        operations += [{"index": {"_index": tenants.own.requests}}, body]
    assert not tenants.es.bulk(operations=operations, refresh=True)["errors"]
    until = requests.position().until
    assert requests.forget(Subject(kind=SubjectKind.APPLICATION, id="1"), until) == 2_058
    assert tenants.es.count(index=tenants.own.requests)["count"] == 42
    places = {written.sequence for written in requests.read(-1, until)}
    assert requests.existing(range(until + 1)) == places


def test_after_requests_were_skipped_nothing_goes_until_a_person_says_so(tenants: Workbench) -> None:
    tenants.settings["ENFORCER_GRACE"] = "24h"
    assert tenants.run("policy", "accept").code == 0
    assert tenants.run("terminate", "--application", "1").code == 0
    assert tenants.run("run", "--once").code == 0
    assert tenants.run("reinstate", "--application", "1").code == 0, "which nobody will read"
    tenants.es.indices.delete(index=tenants.own.requests)
    assert tenants.run("setup").code == 0
    adopted = tenants.run("ledger", "adopt")
    assert "all open terminations wait" in adopted.out
    tenants.settings["ENFORCER_GRACE"] = "0s"
    assert tenants.run("policy", "accept").code == 0
    assert tenants.run("run", "--once").code == 0
    assert states(tenants) == ["waiting-for-approval"]
    assert of(tenants, "keys").count("1") == 2
    assert tenants.run("reinstate", "--application", "1").code == 0
    assert tenants.run("terminations", "approve").code == 0
    assert tenants.run("run", "--once").code == 0
    assert states(tenants) == ["cancelled"]
    assert of(tenants, "keys").count("1") == 2


def test_an_application_is_not_let_go_for_an_older_document_once_the_accounts_own_are_gone(tenants: Workbench) -> None:
    """1002 owned application 11 ninety days ago: what says that it has been 100's since goes with 100."""
    tenants.es.indices.close(index=tenants.prefix + "keys")
    assert tenants.run("terminate", "--account", "100").code == 0
    tenants.run("run", "--once")
    assert pairs(tenants) == [("1001", "111"), ("1002", "11")]
    tenants.es.indices.open(index=tenants.prefix + "keys", wait_for_active_shards="1")
    assert tenants.run("run", "--once").code == 0
    assert of(tenants, "keys") == ["111", "1111"]
    add(tenants, "keys", {"sdkappid": "11"})
    assert tenants.run("run", "--once").code == 0
    assert of(tenants, "keys") == ["111", "1111"], "late writes of it go as well"
    add(tenants, "configuration", {"uin": "3003", "sdkappid": "11", "@timestamp": now()})
    add(tenants, "keys", {"sdkappid": "11"})
    assert tenants.run("run", "--once").code == 0
    assert of(tenants, "keys").count("11") == 1, "somebody else's by a document of afterwards"


def test_an_id_that_cannot_be_told_and_an_interrupted_purge_keep_nobody_else_waiting(tenants: Workbench) -> None:
    tenants.es.indices.delete(index=tenants.prefix + "keys")
    short = {"properties": {**MAPPING["properties"], "sdkappid": {"type": "keyword", "ignore_above": 20}}}
    index(tenants, "keys", *({"sdkappid": a} for a in ("1", "11", "111")), mappings=short)
    add(tenants, "configuration", {"uin": "100", "sdkappid": "x" * 30})
    assert tenants.run("terminate", "--account", "100").code == 0
    with interrupted(tenants, ClusterUnavailable("the answer was lost", "")):
        tenants.run("run", "--once")
    assert len(of(tenants, "keys")) == 3
    assert tenants.run("terminate", "--application", "111").code == 0
    for _ in range(2):
        tenants.run("run", "--once")
    assert of(tenants, "keys") == []
    account, application = states(tenants)
    assert (account, application) == ("purging", "verifying"), "what cannot be told is not proven"


def test_whose_documents_an_index_cannot_tell_is_a_finding_until_it_is_gone(tenants: Workbench) -> None:
    index(tenants, "logs-t", {"sdkappid": "1"}, mappings={"properties": {**FIELDS, "sdkappid": {"type": "text"}}})
    assert tenants.run("erase", "--application", "1").code == 0
    ran = tenants.run("run", "--once")
    assert (ran.code, ran.err.count("finding purge-unproven")) == (0, 1)

    def reported() -> list[str]:
        findings = tenants.run("report", "--output", "json").json["findings"]
        return [finding["text"] for finding in findings if finding["kind"] == "purge-unproven"]

    (text,) = reported()
    assert f"{tenants.prefix}logs-t is unknown: sdkappid is of type text" in text
    tenants.es.indices.delete(index=tenants.prefix + "logs-t")
    assert "purge-unproven" not in tenants.run("run", "--once").err
    assert reported() == []
