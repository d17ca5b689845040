"""Terminations and deletion requests on a real server: exactly whose documents go, when, and what is recorded."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from elasticsearch import BadRequestError, Elasticsearch

from customers import add, interrupted, move, now, of, states
from retention_enforcer.domain.errors import RequestRejected
from retention_enforcer.domain.instants import DAY, HOUR, SECOND, format_instant
from retention_enforcer.domain.plan import Purge
from retention_enforcer.enforcement.erasure.write_blocks import WriteBlocks
from retention_enforcer.enforcement.terminations.observer import SubjectObserver
from workbench import FixedClock, Workbench


def actions(bench: Workbench) -> list[str]:
    return [r["action"] for r in bench.records() if r["kind"] == "termination"]


def test_an_erasure_takes_all_that_can_be_narrowed_to_a_user_of_one_application(tenants: Workbench) -> None:
    assert tenants.run("erase", "--application", "11", "--user", "u").code == 0
    assert tenants.run("run", "--once").code == 0
    left = of(tenants, "logs-a", "user_id")
    assert left == ["u", "u", "uu", "uu", "uu"]
    assert len(of(tenants, "keys")) == 5
    (found,) = tenants.run("terminations", "--output", "json").json
    assert found["documents_purged"] == 1
    assert {item.split()[0] for item in found["open_items"]} == {"configuration", "keys", "application-logs"}


def test_nothing_goes_before_the_grace_is_over_and_a_backdated_request_does_not_skip_it(tenants: Workbench) -> None:
    tenants.settings["ENFORCER_GRACE"] = "24h"
    assert tenants.run("policy", "accept").code == 0
    start = now()
    year = format_instant(start - 365 * DAY)
    assert tenants.run("terminate", "--application", "1", "--at", year).code == 2, "unusual, and not confirmed"
    assert tenants.run("terminate", "--application", "1", "--at", year, "--confirm").code == 0
    ran = tenants.run("run", "--once")
    assert ran.code == 3, "its promise is over already"
    assert states(tenants) == ["in-grace"]
    assert of(tenants, "keys").count("1") == 2
    assert "termination-late" in ran.err


def test_a_termination_is_cancelled_by_a_reinstatement_before_its_purge(tenants: Workbench) -> None:
    tenants.settings["ENFORCER_GRACE"] = "24h"
    assert tenants.run("policy", "accept").code == 0
    assert tenants.run("terminate", "--application", "1").code == 0
    assert tenants.run("run", "--once").code == 0
    assert tenants.run("reinstate", "--application", "1").code == 0
    assert tenants.run("run", "--once").code == 0
    assert states(tenants) == ["cancelled"]
    assert of(tenants, "keys").count("1") == 2
    assert tenants.run("terminate", "--application", "1").code == 0, "after that it is a new one"
    assert tenants.run("run", "--once").code == 0
    assert states(tenants) == ["cancelled", "in-grace"]


def test_the_same_again_while_one_is_open_changes_nothing(tenants: Workbench) -> None:
    assert tenants.run("terminate", "--application", "1").code == 0
    assert tenants.run("run", "--once").code == 0
    again = tenants.run("terminate", "--application", "1")
    assert again.code == 0
    assert "unchanged" in again.out
    assert tenants.run("run", "--once").code == 0
    assert states(tenants) == ["verifying"]


def test_late_writes_are_purged_again_and_what_returns_after_closing_is_a_finding(tenants: Workbench) -> None:
    assert tenants.run("terminate", "--application", "1").code == 0
    assert tenants.run("run", "--once").code == 0
    add(tenants, "keys", {"sdkappid": "1"})
    assert tenants.run("run", "--once").code == 0
    assert "1" not in of(tenants, "keys")
    assert actions(tenants).count("purged") == 4, "configuration, keys, the tenant's own index, and keys again"
    a_day_ago = now() - 25 * HOUR
    move(tenants, found_at=a_day_ago, purged_at=a_day_ago, erased_at=a_day_ago)
    assert tenants.run("run", "--once").code == 0
    assert states(tenants) == ["closed"]
    add(tenants, "keys", {"sdkappid": "1"})
    ran = tenants.run("run", "--once")
    assert ran.code == 0
    assert "1 new document was found" in ran.err
    assert of(tenants, "keys").count("1") == 1


def test_twenty_one_in_a_day_wait_for_approval(tenants: Workbench) -> None:
    for number in range(20):
        body = {"kind": "application", "id": str(1_000 + number), "action": "terminate"}
        tenants.es.index(index=tenants.own.requests, document=body)
    tenants.settings["ENFORCER_GRACE"] = "24h"
    assert tenants.run("policy", "accept").code == 0
    assert tenants.run("run", "--once").code == 0
    assert states(tenants) == ["in-grace"] * 20
    tenants.settings["ENFORCER_GRACE"] = "0s"
    assert tenants.run("policy", "accept").code == 0
    assert tenants.run("terminate", "--application", "1").code == 0
    ran = tenants.run("run", "--once")
    assert ran.code == 0
    assert states(tenants) == ["waiting-for-approval"] * 21
    assert "21 terminations wait for approval" in ran.err
    assert len(of(tenants, "keys")) == 5
    assert "21 waiting terminations" in tenants.run("terminations", "approve").out
    assert tenants.run("run", "--once").code == 0
    assert of(tenants, "keys") == ["11", "111", "1111"]
    assert states(tenants) == ["verifying"] * 21


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "application", "id": "*", "action": "terminate"},
        {"kind": "application", "id": "a,b", "action": "terminate"},
        {"kind": "application", "id": "", "action": "terminate"},
        {"kind": "application", "id": "<now>", "action": "erase"},
        {"kind": "application", "id": "x" * 300, "action": "terminate"},
        {"kind": "application", "action": "terminate"},
        {"kind": "everybody", "id": "1", "action": "terminate"},
        {"kind": "application", "id": "1", "action": "destroy"},
        {"kind": "user", "id": "1", "action": "erase"},
        {"kind": "account", "id": "1", "application": "1", "action": "terminate"},
    ],
    ids=str,
)
def test_a_request_that_cannot_be_meant_is_a_finding_and_nothing_else(tenants: Workbench, body: dict[str, Any]) -> None:
    answer = tenants.es.index(index=tenants.own.requests, document=body, refresh=True)
    ran = tenants.run("run", "--once")
    assert ran.code == 0, ran.err
    assert "a request is refused" in ran.err
    assert len(of(tenants, "keys")) == 5
    assert tenants.run("terminations", "--output", "json").json == []
    tenants.es.delete(index=tenants.own.requests, id=answer["_id"], refresh=True)
    assert "a request is refused" not in tenants.run("run", "--once").err


def test_a_request_that_nobody_can_act_on_is_in_the_report_as_long_as_it_is_there(tenants: Workbench) -> None:
    body = {"kind": "application", "id": "", "action": "erase"}
    answer = tenants.es.index(index=tenants.own.requests, document=body, refresh=True)
    assert tenants.run("run", "--once").code == 0

    def reported() -> list[str]:
        findings = tenants.run("report", "--output", "json").json["findings"]
        return [finding["text"] for finding in findings if finding["kind"] == "request-refused"]

    (text,) = reported()
    assert text.startswith("a request is refused: ")
    tenants.es.delete(index=tenants.own.requests, id=answer["_id"], refresh=True)
    assert tenants.run("run", "--once").code == 0
    assert reported() == []


@pytest.mark.parametrize("id_", ["-x", "_all", "..", "\uff11\uff11", "11 1", "1.0", "01"])
def test_odd_ids_are_exact_and_never_patterns(tenants: Workbench, id_: str) -> None:
    assert tenants.run("terminate", "--application", id_).code == 0
    assert tenants.run("run", "--once").code == 0
    expected = ["1", "1", "11", "111", "1111"]
    assert of(tenants, "keys") == [a for a in expected if a != id_]


def test_a_request_document_with_an_unusual_time_waits_for_approval(tenants: Workbench) -> None:
    body = {"kind": "application", "id": "1", "action": "terminate", "terminated_at": format_instant(now() - 30 * DAY)}
    tenants.es.index(index=tenants.own.requests, document=body, refresh=True)
    tenants.run("run", "--once")
    assert states(tenants) == ["waiting-for-approval"]
    assert of(tenants, "keys").count("1") == 2


def test_requests_that_were_made_anew_are_not_carried_out(tenants: Workbench) -> None:
    assert tenants.run("run", "--once").code == 0
    tenants.es.indices.delete(index=tenants.own.requests)
    assert tenants.run("setup", "--indices-only").code == 0
    assert tenants.run("terminate", "--application", "1").code == 0
    ran = tenants.run("run", "--once")
    assert ran.code == 4
    assert "retention-requests is another index than before" in ran.err
    assert of(tenants, "keys").count("1") == 2
    assert tenants.run("ledger", "adopt").code == 0
    assert tenants.run("run", "--once").code == 0
    assert of(tenants, "keys").count("1") == 2, "what was there then is skipped"
    assert tenants.run("terminate", "--application", "1").code == 0
    assert tenants.run("run", "--once").code == 0
    assert of(tenants, "keys").count("1") == 0


@pytest.mark.parametrize(("application", "gone"), [("abc", True), ("ABC", False)])
def test_an_empty_index_goes_only_for_the_application_in_its_name(
    tenants: Workbench, application: str, gone: bool
) -> None:
    tenants.index("application-logs-abc-x", [])
    assert tenants.run("terminate", "--application", application).code == 0
    assert tenants.run("run", "--once").code == 0
    assert tenants.is_gone("application-logs-abc-x") is gone


def test_a_write_block_of_a_deletion_that_came_off_since_is_not_put_back(
    tenants: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = tenants.prefix + "logs-a"
    assert tenants.run("erase", "--application", "111").code == 0
    look, lifted = SubjectObserver.look, WriteBlocks.lifted

    def block(self: SubjectObserver, *arguments: Any) -> Any:  # as a deletion by age does beside it
        tenants.es.indices.add_block(index=full, block="write")
        return look(self, *arguments)

    def take_off(self: WriteBlocks, purges: Sequence[Purge], cycle: str) -> Any:
        if full in {purge.facts.name for purge in purges}:
            tenants.es.indices.put_settings(index=full, settings={"index.blocks.write": None})
        monkeypatch.setattr(SubjectObserver, "look", look)
        return lifted(self, purges, cycle)

    monkeypatch.setattr(SubjectObserver, "look", block)
    monkeypatch.setattr(WriteBlocks, "lifted", take_off)
    assert tenants.run("run", "--once").code == 0
    assert tenants.count("logs-a") == 4
    assert "blocks" not in tenants.es.indices.get_settings(index=full)[full]["settings"]["index"]


def test_a_write_block_is_lifted_for_the_purge_and_put_back(tenants: Workbench) -> None:
    tenants.es.indices.put_settings(index=tenants.prefix + "keys", settings={"index.blocks.write": True})
    assert tenants.run("terminate", "--application", "1").code == 0
    ran = tenants.run("run", "--once")
    assert ran.code == 0, ran.err
    assert of(tenants, "keys").count("1") == 0
    settings = tenants.es.indices.get_settings(index=tenants.prefix + "keys", flat_settings=True)
    assert settings[tenants.prefix + "keys"]["settings"]["index.blocks.write"] == "true"
    assert [a for a in actions(tenants) if a.endswith("_block")] == ["lift_block", "restore_block"]


def test_what_cannot_be_looked_into_keeps_a_termination_open(tenants: Workbench) -> None:
    tenants.es.indices.close(index=tenants.prefix + "keys")
    assert tenants.run("terminate", "--application", "1").code == 0
    assert tenants.run("run", "--once").code == 3, "a closed index is not proven"
    (found,) = tenants.run("terminations", "--output", "json").json
    assert found["state"] == "purging"
    assert any("is closed" in item for item in found["open_items"])
    tenants.es.indices.open(index=tenants.prefix + "keys", wait_for_active_shards="1")
    assert tenants.run("run", "--once").code == 0
    assert states(tenants) == ["verifying"]


def test_a_held_subject_is_spared_and_its_termination_stays_open(tenants: Workbench) -> None:
    until = format_instant(now() + 10 * DAY)
    words = ("--owner", "legal", "--reason", "a case", "--until", until)
    assert tenants.run("hold", "add", "--application", "1", *words).code == 0
    assert tenants.run("terminate", "--account", "100").code == 0
    assert tenants.run("run", "--once").code == 0
    assert of(tenants, "keys").count("1") == 2
    assert of(tenants, "keys").count("11") == 0
    assert not tenants.is_gone("application-logs-1-x")
    assert states(tenants) == ["purging"]
    (hold,) = tenants.run("hold", "list", "--output", "json").json
    assert tenants.run("hold", "remove", hold["id"]).code == 0
    assert tenants.run("run", "--once").code == 0
    assert states(tenants) == ["verifying"]
    assert of(tenants, "keys") == ["111", "1111"]


def test_what_a_hold_keeps_of_one_is_no_open_item_of_another(tenants: Workbench) -> None:
    until = format_instant(now() + 10 * DAY)
    words = ("--owner", "legal", "--reason", "a case", "--until", until)
    assert tenants.run("hold", "add", "--application", "1", *words).code == 0
    for application in ("1", "11"):
        assert tenants.run("terminate", "--application", application).code == 0
    for _ in range(2):
        assert tenants.run("run", "--once").code == 0
    held, free = tenants.run("terminations", "--output", "json").json
    assert (held["state"], free["state"]) == ("purging", "verifying")
    assert any("held" in item for item in held["open_items"])
    assert not any("held" in item for item in free["open_items"])


def test_stopped_or_in_plan_mode_nothing_goes(tenants: Workbench) -> None:
    assert tenants.run("terminate", "--application", "1").code == 0
    assert tenants.run("stop").code == 0
    tenants.run("run", "--once")
    tenants.settings["ENFORCER_MODE"] = "plan"
    tenants.run("run", "--once")
    assert of(tenants, "keys").count("1") == 2


def test_after_five_days_of_downtime_all_is_gone_in_time(tenants: Workbench) -> None:
    tenants.settings["ENFORCER_GRACE"] = "24h"
    assert tenants.run("policy", "accept").code == 0
    start = now()
    assert tenants.run("terminate", "--application", "1", "--at", format_instant(start - 6 * DAY)).code == 0
    assert tenants.run("run", "--once").code == 0
    assert states(tenants) == ["in-grace"]
    move(tenants, registered_at=start - 6 * DAY)
    assert tenants.run("run", "--once", clock=FixedClock(ahead=30 * SECOND)).code == 0
    assert states(tenants) == ["verifying"]
    assert of(tenants, "keys").count("1") == 0


def test_an_application_that_was_handed_on_during_the_grace_stays(tenants: Workbench) -> None:
    tenants.settings["ENFORCER_GRACE"] = "24h"
    assert tenants.run("policy", "accept").code == 0
    assert tenants.run("terminate", "--account", "100").code == 0
    assert tenants.run("run", "--once").code == 0
    add(tenants, "configuration", {"uin": "2002", "sdkappid": "11", "@timestamp": now()})
    move(tenants, registered_at=now() - 2 * DAY, terminated_at=now() - 2 * DAY)
    assert tenants.run("run", "--once").code == 0
    assert of(tenants, "configuration", "uin") == ["1001", "1002", "2002"]
    assert of(tenants, "keys") == ["11", "111", "1111"]
    assert tenants.is_gone("application-logs-1-x")
    assert not tenants.is_gone("application-logs-11-x")


def test_where_two_accounts_claim_an_application_at_one_instant_it_is_not_taken(tenants: Workbench) -> None:
    instant = now() - HOUR
    for uin in ("100", "3003"):
        add(tenants, "configuration", {"uin": uin, "sdkappid": "11", "@timestamp": instant})
    assert tenants.run("terminate", "--account", "100").code == 0
    ran = tenants.run("run", "--once")
    assert "1 application is not included" in ran.err
    assert of(tenants, "keys") == ["11", "111", "1111"]
    (found,) = tenants.run("terminations", "--output", "json").json
    assert any("not included" in item for item in found["open_items"])


def test_a_termination_right_after_a_reinstatement_that_nobody_read_yet_counts(tenants: Workbench) -> None:
    tenants.settings["ENFORCER_GRACE"] = "24h"
    assert tenants.run("policy", "accept").code == 0
    assert tenants.run("terminate", "--application", "1").code == 0
    assert tenants.run("run", "--once").code == 0
    assert tenants.run("reinstate", "--application", "1").code == 0
    assert tenants.run("terminate", "--application", "1").code == 0
    assert tenants.run("run", "--once").code == 0
    assert states(tenants) == ["cancelled", "in-grace"]


def test_a_text_that_is_no_unicode_refuses_its_own_request_and_no_other(tenants: Workbench) -> None:
    raw = b'{"kind": "application", "id": "111", "action": "terminate", "reason": "a\\ud800b"}'
    tenants.es.perform_request(
        "POST",
        f"/{tenants.own.requests}/_doc?refresh=true",
        headers={"content-type": "application/json", "accept": "application/json"},
        body=raw,
    )
    assert tenants.run("terminate", "--application", "1").code == 0
    ran = tenants.run("run", "--once")
    assert ran.code == 0, ran.err
    assert "a request is refused" in ran.err
    assert of(tenants, "keys") == ["11", "111", "1111"]


def test_while_owners_cannot_be_told_nothing_goes_along_with_an_account(tenants: Workbench) -> None:
    assert tenants.run("terminate", "--account", "100").code == 0
    assert tenants.run("run", "--once").code == 0
    add(tenants, "configuration", {"uin": "3003", "sdkappid": "11", "@timestamp": now()})
    add(tenants, "keys", {"sdkappid": "11"}, {"sdkappid": "11"})
    tenants.es.indices.close(index=tenants.prefix + "configuration")
    tenants.run("run", "--once")
    assert of(tenants, "keys").count("11") == 2


@pytest.fixture
def refusing(tenants: Workbench, es: Elasticsearch) -> Iterator[dict[str, str]]:
    """The environment of an enforcer whose deletions of documents the cluster refuses, but for its own."""
    name = f"{tenants.prefix}reader"
    most = ["read", "view_index_metadata", "monitor", "maintenance", "delete_index", "indices:admin/settings/update"]
    own = tenants.own.state.removesuffix("state")
    privileges = [{"names": ["*"], "privileges": most}, {"names": [f"{own}*"], "privileges": ["all"]}]
    try:
        es.security.put_role(name=name, cluster=["all"], indices=privileges)
    except BadRequestError as error:
        pytest.skip(f"this server makes no roles: {error.message}")
    es.security.put_user(username=name, password="changeme-changeme", roles=[name])
    yield {
        **tenants.environ,
        "ENFORCER_ELASTICSEARCH_USERNAME": name,
        "ENFORCER_ELASTICSEARCH_PASSWORD": "changeme-changeme",
    }
    es.security.delete_user(username=name)
    es.security.delete_role(name=name)


def test_a_purge_that_is_refused_is_a_finding_until_it_is_done(tenants: Workbench) -> None:
    assert tenants.run("terminate", "--application", "1").code == 0
    with interrupted(tenants, RequestRejected("the request was refused: no room for it", status=429)):
        ran = tenants.run("run", "--once")
    assert ran.code == 0, "its promise is not over"
    assert "finding purge-failed: the purge for the terminate of application hmac-sha256:" in ran.err
    assert "no room for it" in ran.err
    assert "no room for it" in tenants.run("terminations", "--output", "json").out
    (found,) = (f for f in tenants.run("report", "--output", "json").json["findings"] if f["kind"] == "purge-failed")
    assert "no room for it" in found["text"]
    assert "purge-failed" not in tenants.run("run", "--once").err
    assert "purge-failed" not in tenants.run("report").out


def test_a_purge_that_the_cluster_refuses_is_a_finding_with_its_cause(
    tenants: Workbench, refusing: dict[str, str]
) -> None:
    assert tenants.run("terminate", "--application", "1").code == 0
    ran = tenants.run("run", "--once", environ=refusing)
    assert ran.code == 0, "its promise is not over"
    assert "finding purge-failed: the purge for the terminate of application hmac-sha256:" in ran.err
    assert "security_exception" in ran.err
    (found,) = tenants.run("terminations", "--output", "json").json
    assert any("delete_documents of" in item and "security_exception" in item for item in found["open_items"])
    reported = tenants.run("report", "--output", "json").json
    assert "security_exception" in str([f for f in reported["findings"] if f["kind"] == "purge-failed"])
    move(tenants, terminated_at=now() - 8 * DAY)
    ran = tenants.run("run", "--once", environ=refusing)
    assert ran.code == 3
    assert re.search("finding termination-late: .*security_exception", ran.err), "late, and why"
    assert tenants.run("run", "--once").code == 3, "erasure has not ended"
    assert "purge-failed" not in tenants.run("report").out


def test_a_purge_that_a_block_forbids_is_a_finding_until_the_block_is_gone(tenants: Workbench) -> None:
    keys = tenants.prefix + "keys"
    tenants.es.indices.put_settings(index=keys, settings={"index.blocks.read_only": True})
    try:
        assert tenants.run("terminate", "--application", "1").code == 0
        assert tenants.run("terminate", "--application", "9").code == 0
        ran = tenants.run("run", "--once")
        assert ran.code == 0, "its promise is not over"
        assert ran.err.count("finding purge-failed") == 1, "there is nothing of the other one"
        assert "index.blocks.read_only" in ran.err
        reported = tenants.run("report", "--output", "json").json
        (found,) = (f for f in reported["findings"] if f["kind"] == "purge-failed")
        assert "index.blocks.read_only" in found["text"]
    finally:
        tenants.es.indices.put_settings(index=keys, settings={"index.blocks.read_only": None})
    assert "purge-failed" not in tenants.run("run", "--once").err
    assert of(tenants, "keys").count("1") == 0
    assert "purge-failed" not in tenants.run("report").out


def test_what_was_seen_once_stands_while_something_else_cannot_be_looked_into(tenants: Workbench) -> None:
    assert tenants.run("terminate", "--application", "1").code == 0
    assert tenants.run("run", "--once").code == 0
    was = purged_at(tenants)
    tenants.es.indices.close(index=tenants.prefix + "keys")
    for _ in range(2):
        tenants.run("run", "--once")
    assert (purged_at(tenants), states(tenants)) == (was, ["verifying"])
    (found,) = tenants.run("terminations", "--output", "json").json
    assert any("is closed" in item for item in found["open_items"])
    tenants.es.indices.open(index=tenants.prefix + "keys", wait_for_active_shards="1")
    assert tenants.run("run", "--once").code == 0
    assert (purged_at(tenants), actions(tenants).count("verified")) == (was, 1)
    add(tenants, "keys", {"sdkappid": "1"})
    assert tenants.run("run", "--once").code == 0
    assert purged_at(tenants) > was, "documents that come take it back"


def purged_at(tenants: Workbench) -> int:
    answer = tenants.es.search(index=tenants.own.terminations, query={"term": {"kind": "remembered"}})
    (hit,) = answer["hits"]["hits"]
    return int(hit["_source"]["body"]["purged_at"])


def test_a_report_knows_what_was_purged_and_says_where_requests_are_not_known(tenants: Workbench) -> None:
    def rows() -> dict[str, Any]:
        report = tenants.run("report", "--output", "json").json
        return {row["id"]: row for row in report["categories"]} | {"notes": report["notes"]}

    never = rows()
    assert (never["on-request"]["kept"], never["keys"]["kept"], never["logs"]["kept"]) == (False, False, True)
    assert "requests have not been processed yet" in str(never["notes"])
    assert tenants.run("terminate", "--application", "1").code == 0
    assert tenants.run("erase", "--application", "11").code == 0
    assert tenants.run("run", "--once").code == 0
    known = rows()
    assert (known["on-request"]["kept"], known["keys"]["kept"]) == (True, True)
    assert all(known[id_]["last_purge"] for id_ in ("keys", "application-logs", "logs", "on-request"))
    tenants.es.indices.delete(index=tenants.own.requests)
    assert tenants.run("setup", "--indices-only").code == 0
    assert tenants.run("run", "--once").code == 4
    state = tenants.es.get(index=tenants.own.state, id="terminations-looked-at")["_source"]
    state["body"]["at"] -= HOUR
    tenants.es.index(index=tenants.own.state, id="terminations-looked-at", document=state, refresh=True)
    late = rows()
    assert (late["on-request"]["kept"], late["keys"]["kept"]) == (False, False)
    assert "requests were last processed" in str(late["notes"])


def ask_in_grace(tenants: Workbench, *subject: str) -> None:
    """A day's grace, and a termination that the daemon has read."""
    tenants.settings["ENFORCER_GRACE"] = "24h"
    assert tenants.run("policy", "accept").code == 0
    assert tenants.run("terminate", *subject).code == 0
    assert tenants.run("run", "--once").code == 0


def test_a_request_that_was_edited_is_no_new_one_and_a_finding(tenants: Workbench) -> None:
    body = {"kind": "application", "id": "1", "action": "terminate"}
    tenants.settings["ENFORCER_GRACE"] = "24h"
    assert tenants.run("policy", "accept").code == 0
    request = tenants.es.index(index=tenants.own.requests, document=body, refresh=True)["_id"]
    assert tenants.run("run", "--once").code == 0
    assert tenants.run("reinstate", "--application", "1").code == 0
    assert tenants.run("run", "--once").code == 0
    tenants.es.update(index=tenants.own.requests, id=request, doc={"reason": "a comment"}, refresh=True)
    ran = tenants.run("run", "--once")
    assert states(tenants) == ["cancelled"]
    assert "it was changed after it was processed" in ran.err
    tenants.es.index(index=tenants.own.requests, id=request, document=body, refresh=True)
    assert tenants.run("run", "--once").code == 0
    assert states(tenants) == ["cancelled"]
    tenants.es.delete(index=tenants.own.requests, id=request, refresh=True)
    assert "changed after it was processed" not in tenants.run("run", "--once").err
    raw = [hit["_id"] for hit in tenants.es.search(index=tenants.own.terminations, size=100)["hits"]["hits"]]
    assert not any(request in key for key in raw)


def test_one_edited_to_a_reinstatement_waits_for_a_person_and_purges_nothing(tenants: Workbench) -> None:
    tenants.settings["ENFORCER_GRACE"] = "24h"
    assert tenants.run("policy", "accept").code == 0
    body = {"kind": "application", "id": "1", "action": "terminate"}
    request = tenants.es.index(index=tenants.own.requests, document=body, refresh=True)["_id"]
    assert tenants.run("run", "--once").code == 0
    tenants.es.update(index=tenants.own.requests, id=request, doc={"action": "reinstate"}, refresh=True)
    move(tenants, registered_at=now() - 2 * DAY, terminated_at=now() - 2 * DAY)
    before = tenants.count("keys")
    ran = tenants.run("run", "--once")
    assert states(tenants) == ["waiting-for-approval"]
    assert "a request is refused: it was changed after it was processed" in ran.err
    assert tenants.count("keys") == before
    assert tenants.run("terminations", "approve").code == 0
    assert tenants.run("run", "--once").code == 0
    assert states(tenants) == ["verifying"], "its files are not clean yet"
    assert tenants.count("keys") < before


def test_an_application_that_goes_with_its_account_is_not_said_to_be_reinstated(tenants: Workbench) -> None:
    ask_in_grace(tenants, "--account", "100")
    for subject in (("--application", "1"), ("--application", "11"), ("--application", "1", "--user", "u")):
        ran = tenants.run("reinstate", *subject)
        assert ran.code == 4
        assert "is part of the terminate of account" in ran.err
    assert tenants.run("run", "--once").code == 0
    assert states(tenants) == ["in-grace"]
    assert tenants.run("reinstate", "--application", "111").code == 0, "another's application"
    assert tenants.run("reinstate", "--account", "100").code == 0
    assert tenants.run("reinstate", "--application", "1").code == 0, "its account is on its way back"
    assert tenants.run("run", "--once").code == 0
    assert states(tenants) == ["cancelled"]


def test_before_the_daemon_has_read_an_accounts_termination_its_application_is_refused_too(tenants: Workbench) -> None:
    assert tenants.run("terminate", "--account", "100").code == 0
    assert tenants.run("reinstate", "--application", "1").code == 4
    assert tenants.run("terminate", "--application", "111").code == 0
    assert tenants.run("reinstate", "--application", "111", "--user", "u").code == 4
    assert tenants.run("reinstate", "--application", "111").code == 0


@pytest.mark.parametrize(
    "subject", [{"kind": "application", "id": "1"}, {"kind": "user", "id": "u", "application": "11"}], ids=str
)
def test_a_request_to_reinstate_what_goes_with_an_account_is_a_finding(
    tenants: Workbench, subject: dict[str, str]
) -> None:
    tenants.es.index(index=tenants.own.requests, document={**subject, "action": "reinstate"}, refresh=True)
    ask_in_grace(tenants, "--account", "100")
    assert "reinstatement-refused" not in tenants.run("run", "--once").err, "the later word counts"
    answer = tenants.es.index(index=tenants.own.requests, document={**subject, "action": "reinstate"}, refresh=True)
    ran = tenants.run("run", "--once")
    assert ran.code == 0
    assert "finding reinstatement-refused: a reinstatement of a" in ran.err
    assert "its data is purged with the terminate of account hmac-sha256:" in ran.err
    opened = [r for r in tenants.records() if r.get("action") == "opened" and "reinstatement-refused" in r["reason"]]
    assert len(opened) == 1
    tenants.es.delete(index=tenants.own.requests, id=answer["_id"], refresh=True)
    assert "reinstatement-refused" not in tenants.run("run", "--once").err


def test_after_the_purge_began_an_application_is_not_taken_back_from_its_account(tenants: Workbench) -> None:
    assert tenants.run("terminate", "--account", "100").code == 0
    assert tenants.run("run", "--once").code == 0
    assert tenants.run("reinstate", "--application", "1").code == 4
    ran = tenants.run("reinstate", "--account", "100")
    assert ran.code == 0
    assert "has started: 11 documents deleted" in ran.err


def test_what_a_reinstatement_does_not_reach_is_said(tenants: Workbench) -> None:
    ask_in_grace(tenants, "--application", "1")
    assert "nothing is withdrawn" in tenants.run("reinstate", "--application", "11").err
    ran = tenants.run("reinstate", "--account", "100")
    assert ran.code == 0
    assert "1 termination or request made for its applications continues" in ran.err
    assert "its terminate is withdrawn" in tenants.run("reinstate", "--application", "1").out


def test_what_a_command_answers_is_what_will_happen(tenants: Workbench) -> None:
    ask_in_grace(tenants, "--application", "1")
    earlier = format_instant(now() - 2 * DAY)
    assert f"counts from {earlier}" in tenants.run("terminate", "--application", "1", "--at", earlier).out
    assert "unchanged" in tenants.run("terminate", "--application", "1").out
    assert tenants.run("run", "--once").code == 0
    (found,) = tenants.run("terminations", "--output", "json").json
    assert found["terminated_at"] == earlier
    tenants.settings["ENFORCER_MAX_TERMINATIONS"] = "1"
    assert "waits for approval" in tenants.run("erase", "--application", "11").out
    assert tenants.run("run", "--once").code == 0
    assert states(tenants) == ["waiting-for-approval"] * 2
    assert tenants.run("stop").code == 0
    assert "all deletion is stopped" in tenants.run("erase", "--application", "111").err
