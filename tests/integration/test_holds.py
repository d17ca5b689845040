"""Holds on a real server: what they keep, what they say, and what stands in the ledger."""

from __future__ import annotations

from typing import Any

import pytest
from elasticsearch import ApiError

from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.cluster.deletion.deletion import Deletion
from retention_enforcer.domain.instants import DAY, HOUR, MINUTE, format_instant
from workbench import FixedClock, Ran, Workbench

POLICY = """\
version: 1
name: {prefix}policy
margin: 1h
categories:
  - id: logs
    clause: {{document: Test promises, section: "1", item: logs, updated: 2026-01-01}}
    indices: ["{prefix}logs-*"]
    subjects: {{application: sdkappid, user: user_id}}
    max_age: {max_age}
    rollover: 1d
  - id: accounts
    clause: {{document: Test promises, section: "2", item: accounts, updated: 2026-01-01}}
    indices: ["{prefix}accounts"]
    subjects: {{account: uin, application: sdkappid}}
    owns: {{account: uin, application: sdkappid}}
    after_termination: 7d
  - id: numbers
    clause: {{document: Test promises, section: "3", item: numbers, updated: 2026-01-01}}
    indices: ["{prefix}numbers"]
    subjects: {{account: uin}}
    max_age: {max_age}
"""
KEYWORDS = {name: {"type": "keyword"} for name in ("sdkappid", "user_id", "uin")}
MAPPING = {"properties": {"@timestamp": {"type": "date"}, **KEYWORDS}}
OLD = 20 * DAY


@pytest.fixture
def held(bench: Workbench) -> Workbench:
    bench.policy_text = POLICY
    return bench


def now() -> int:
    return SystemClock().now()


def index(bench: Workbench, name: str, *documents: dict[str, Any], mappings: Any = MAPPING) -> None:
    bench.index(name, [], mappings=mappings)
    for document in documents:
        bench.es.index(index=bench.prefix + name, document=document, refresh=True)


def log(application: str, user: str = "u1", age: int = OLD) -> dict[str, Any]:
    return {"@timestamp": now() - age, "sdkappid": application, "user_id": user}


def hold(bench: Workbench, *target: str, until: int | None = None, clock: Any = None) -> Ran:
    end = format_instant(until if until is not None else now() + 10 * DAY)
    words = ("--owner", "Anna of legal", "--reason", "the case of Smith", "--until", end)
    return bench.run("hold", "add", *target, *words, clock=clock)


def left(bench: Workbench, name: str) -> list[str]:
    """The applications and users of the documents that are left."""
    bench.es.indices.refresh(index=bench.prefix + name)
    hits = bench.es.search(index=bench.prefix + name, size=100)["hits"]["hits"]
    return sorted(f"{h['_source'].get('sdkappid')}/{h['_source'].get('user_id')}" for h in hits)


# --- whole categories and indices ---------------------------------------------------------------------


def test_a_hold_on_a_category_keeps_it_until_it_is_removed(held: Workbench) -> None:
    index(held, "logs-a", log("1"))
    index(held, "numbers", {"@timestamp": now() - OLD, "uin": "1"})
    held.ready()
    added = hold(held, "--category", "logs")
    assert added.code == 0, added.err
    assert "logs: 1 whole index; 1 document" in added.out
    ran = held.run("run", "--once")
    assert ran.code == 3, "a promise that is held is not kept"
    assert (held.count("logs-a"), held.count("numbers")) == (1, 0)
    assert "1 due document in 1 index, the oldest 20 d old, is kept by" in ran.err
    plan = held.run("plan", "--output", "json").plan("logs")
    assert [skip["kind"] for skip in plan["skip"]] == ["held"]
    (listed,) = held.run("hold", "list", "--output", "json").json
    assert (listed["category"], listed["owner"], listed["reason"]) == ("logs", "Anna of legal", "the case of Smith")
    assert held.run("hold", "remove", listed["id"]).code == 0
    assert held.run("run", "--once").code == 0
    assert held.count("logs-a") is None
    actions = [(r["action"], r["actor"]) for r in held.records() if r["kind"] == "hold"]
    assert actions == [("added", "operator"), ("removed", "operator")]


def test_a_hold_on_an_index_keeps_that_one_alone(held: Workbench) -> None:
    index(held, "logs-a", log("1"))
    index(held, "logs-b", log("1"))
    held.ready()
    assert hold(held, "--index", f"{held.prefix}logs-a").code == 0
    assert held.run("run", "--once").code == 3
    assert (held.count("logs-a"), held.count("logs-b")) == (1, None)


def test_a_hold_ends_by_itself_and_its_end_is_announced_a_day_before(held: Workbench) -> None:
    start = now()
    index(held, "logs-a", log("1"))
    held.ready()
    assert hold(held, "--category", "logs", until=start + 50 * 1000).code == 0
    ran = held.run("run", "--once", clock=FixedClock(start))
    assert "hold-ends" in ran.err
    assert "ends in 50 s" in ran.err
    assert held.count("logs-a") == 1
    assert held.run("run", "--once", clock=FixedClock(start + 51 * 1000)).code == 0
    assert held.count("logs-a") is None
    assert [r["action"] for r in held.records() if r["kind"] == "hold"] == ["added", "ended"]
    assert "ended" in held.run("hold", "list", clock=FixedClock(start + 51 * 1000)).out


def test_a_hold_that_ends_later_is_not_announced_yet(held: Workbench) -> None:
    held.ready()
    assert hold(held, "--category", "logs", until=now() + DAY + HOUR).code == 0
    assert "hold-ends" not in held.run("run", "--once").err


# --- subjects -----------------------------------------------------------------------------------------


def test_a_hold_on_an_application_turns_a_deletion_into_a_trim_that_spares_it(held: Workbench) -> None:
    index(held, "logs-a", log("14", "a"), log("14", "b"), log("140", "a"), log("1", "14"))
    index(held, "logs-b", log("140", "a"))
    held.ready()
    added = hold(held, "--application", "14")
    assert added.code == 0, added.err
    assert "logs: 0 whole indices and documents in 1 more; 2 documents" in added.out
    assert "not covered, because they have no field for this subject: numbers" in added.out
    ran = held.run("run", "--once")
    assert ran.code == 3
    assert left(held, "logs-a") == ["14/a", "14/b"]
    assert held.count("logs-b") is None
    assert "are kept by holds on subjects" in ran.err
    again = held.run("run", "--once")
    assert again.code == 3
    assert left(held, "logs-a") == ["14/a", "14/b"]
    assert (
        "all due documents (2) are of held subjects"
        in held.run("plan", "--output", "json").plan("logs")["skip"][0]["reason"]
    )


def test_a_hold_on_a_user_spares_that_user_of_that_application_alone(held: Workbench) -> None:
    index(held, "logs-a", log("14", "anna"), log("15", "anna"), log("14", "annabel"), log("14", "ann"))
    held.ready()
    assert hold(held, "--application", "14", "--user", "anna").code == 0
    held.run("run", "--once")
    assert left(held, "logs-a") == ["14/anna"]


def test_a_hold_on_an_account_takes_its_applications_along(held: Workbench) -> None:
    index(
        held,
        "accounts",
        {"@timestamp": now() - 90 * DAY, "uin": "100", "sdkappid": "14"},
        {"@timestamp": now() - 80 * DAY, "uin": "100", "sdkappid": "15"},
        {"@timestamp": now() - 80 * DAY, "uin": "1001", "sdkappid": "16"},
    )
    index(held, "logs-a", log("14"), log("15"), log("16"), log("17"))
    index(held, "numbers", *({"@timestamp": now() - OLD, "uin": uin} for uin in ("100", "1001")))
    held.ready()
    assert hold(held, "--account", "100").code == 0
    held.run("run", "--once")
    assert left(held, "logs-a") == ["14/u1", "15/u1"]
    assert held.count("numbers") == 1


def test_where_documents_cannot_be_told_apart_the_index_is_held_whole(held: Workbench) -> None:
    text = {"properties": {**MAPPING["properties"], "sdkappid": {"type": "text"}}}
    index(held, "logs-text", log("14"), log("15"), mappings=text)
    index(held, "logs-a", log("15"))
    held.ready()
    assert "logs: 1 whole index" in hold(held, "--application", "14").out
    assert held.run("run", "--once").code == 3
    assert (held.count("logs-text"), held.count("logs-a")) == (2, None)


def test_documents_written_after_the_hold_are_spared_too(held: Workbench) -> None:
    index(held, "logs-a", log("15"))
    held.ready()
    assert hold(held, "--application", "14").code == 0
    held.es.index(index=f"{held.prefix}logs-a", document=log("14"), refresh=True)
    held.run("run", "--once")
    assert left(held, "logs-a") == ["14/u1"]


def test_a_subject_and_what_the_operator_wrote_are_in_no_log_and_no_record(held: Workbench) -> None:
    index(held, "logs-a", log("canary-application", "canary-user"), log("other"))
    held.ready()
    assert hold(held, "--application", "canary-application", "--user", "canary-user").code == 0
    ran = held.run("run", "--once")
    for word in ("canary", "Anna", "Smith"):
        assert word not in ran.err
        assert word not in str(held.records())
    assert "canary-user" in held.run("hold", "list").out


def test_where_an_accounts_applications_cannot_be_told_what_names_applications_is_held_whole(held: Workbench) -> None:
    index(held, "accounts", {"@timestamp": now() - DAY, "uin": "100", "sdkappid": "14"})
    index(held, "logs-a", log("77"))
    index(held, "numbers", *({"@timestamp": now() - OLD, "uin": uin} for uin in ("100", "200")))
    held.ready()
    assert hold(held, "--account", "100").code == 0
    held.es.indices.close(index=f"{held.prefix}accounts")
    ran = held.run("run", "--once")
    assert ran.code == 3
    assert held.count("logs-a") == 1, "77 may be one of the account's"
    assert held.count("numbers") == 1, "one bad index stops nothing else"


def test_a_hold_that_is_added_in_the_middle_of_a_purge_ends_it(
    held: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    held.settings["ENFORCER_MAX_SHARE"] = "1"
    held.index("numbers", [], mappings=MAPPING)
    operations: list[dict[str, Any]] = []
    for _ in range(6_000):
        operations += [{"index": {"_index": held.prefix + "numbers"}}, {"@timestamp": now() - OLD, "uin": "1"}]
    held.es.bulk(operations=operations, refresh=True)
    index(held, "logs-a", log("1"))
    held.ready()
    original, added = Deletion._delete_documents, list[int]()

    def deleting(self: Deletion, *page: Any) -> Any:
        gone = original(self, *page)
        if not added:
            added.append(-1)
            words = ("--owner", "legal", "--reason", "a case", "--until", format_instant(now() + DAY))
            with held.process("hold", "add", "--category", "numbers", *words) as adding:
                adding.communicate()
            added[0] = adding.returncode
        return gone

    monkeypatch.setattr(Deletion, "_delete_documents", deleting)
    held.run("run", "--once")
    assert added == [0]
    assert any("a hold was added after this was planned" in r.get("reason", "") for r in held.records())
    left = held.count("numbers")
    assert left is not None
    assert left >= 3_000, "what was sent before the hold was there is the last: at most one beside, and one after that"
    assert held.count("logs-a") is None


# --- mistakes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ((), "exactly one target"),
        (("--category", "logs", "--application", "14"), "exactly one target"),
        (("--category", "nothing"), "the policy has no category 'nothing'"),
        (("--index", "nothing"), "no governed index, data stream or alias has this name"),
        (("--index", "*"), "no governed index, data stream or alias has this name"),
        (("--user", "anna"), "exactly one subject must be named"),
        (("--account", "100", "--application", "14"), "exactly one subject must be named"),
        (("--application", "a,b"), "the id of the application is invalid"),
        (("--application", ""), "the id of the application is invalid"),
    ],
    ids=str,
)
def test_a_hold_that_cannot_be_meant_is_refused(held: Workbench, target: tuple[str, ...], said: str) -> None:
    held.ready()
    added = hold(held, *target)
    assert added.code == 2
    assert said in added.err
    assert held.run("hold", "list", "--output", "json").json == []


def test_an_end_in_the_past_and_no_time_are_refused(held: Workbench) -> None:
    held.ready()
    assert hold(held, "--category", "logs", until=now() - MINUTE).code == 2
    words = ("--owner", "x", "--reason", "y", "--until", "soon")
    assert held.run("hold", "add", "--category", "logs", *words).code == 2
    assert held.run("hold", "remove", "unknown").code == 2


def test_a_hold_whose_document_was_spoiled_lets_nothing_be_deleted(held: Workbench) -> None:
    index(held, "logs-a", log("1"))
    held.ready()
    body = {"owner": "x", "reason": "y", "until": now() + DAY, "category": "logs", "index": "also"}
    document = {"kind": "hold-1", "updated": format_instant(now()), "body": body}
    held.es.index(index=held.own.control, id="hold-1", document=document, refresh=True)
    assert held.run("run", "--once").code == 4
    assert held.count("logs-a") == 1


# --- lifecycles of the cluster ------------------------------------------------------------------------


def test_a_hold_detaches_what_it_covers_from_the_clusters_own_lifecycle(held: Workbench) -> None:
    try:
        held.es.ilm.get_status()
    except ApiError as error:
        pytest.skip(f"this server has no lifecycles ({error.meta.status})")
    name = held.prefix + "theirs"
    held.es.ilm.put_lifecycle(name=name, policy={"phases": {"delete": {"min_age": "1h", "actions": {"delete": {}}}}})
    managed = {"index.lifecycle.name": name, "number_of_replicas": 0}
    held.ready()
    try:
        for each in ("logs-a", "logs-b", "logs-c"):
            held.es.indices.create(index=held.prefix + each, settings=managed, mappings=MAPPING)
        held.es.index(index=held.prefix + "logs-a", document=log("14"), refresh=True)
        held.es.index(index=held.prefix + "logs-b", document=log("15"), refresh=True)
        held.es.indices.close(index=held.prefix + "logs-c")
        assert hold(held, "--application", "14").code == 0

        def lifecycles() -> dict[str, str | None]:
            settings = held.es.indices.get_settings(index=held.prefix + "logs-*", expand_wildcards="all")
            return {n: s["settings"]["index"].get("lifecycle", {}).get("name") for n, s in settings.items()}

        found = {n.removeprefix(held.prefix): policy for n, policy in lifecycles().items()}
        assert found == {"logs-a": None, "logs-b": name, "logs-c": None}
        held.es.indices.put_settings(index=held.prefix + "logs-a", settings={"index.lifecycle.name": name})
        assert "held-but-managed" in held.run("run", "--once").err
    finally:
        held.es.indices.delete(index=[held.prefix + each for each in ("logs-a", "logs-b", "logs-c")])
        held.es.ilm.delete_lifecycle(name=name)
