"""Terminations to their end, when no byte is left: all begin at the start, so that they wait for the leases together.

An index's files can be cleaned once its leases have moved on, which they do every half minute.
"""

from __future__ import annotations

import secrets
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

import customers
import tenants
from customers import add, index, interrupted, move, now, of, states
from disk_search import CERTAIN, DOOMED, KINDS, add_canaries, contents, files, on_disk
from retention_enforcer.domain.errors import Refused
from retention_enforcer.domain.instants import DAY, HOUR, MINUTE
from retention_enforcer.enforcement.erasure.eraser import LONGEST_RUN
from retention_enforcer.enforcement.preconditions import safety
from tenants import OTHERS
from workbench import FixedClock, Ran, Workbench

pytestmark = pytest.mark.timeout(300)


@dataclass(frozen=True)
class Begun:
    """A termination under way, and what its beginning returned: a run that takes it to its end, or what it told."""

    bench: Workbench
    returned: Any

    def ended(self) -> Ran:
        """How that run ended."""
        assert isinstance(self.returned, subprocess.Popen)
        out, err = self.returned.communicate(timeout=200)
        return Ran(self.returned.returncode, out, err)


Beginning = Callable[[Workbench], Any]

Begins = TypeVar("Begins", bound=Beginning)

BEGINNINGS: list[Beginning] = []


def begins(beginning: Begins) -> Begins:
    """Have this done before all tests of the module, in a world of its own, by runs that do not wait for erasures."""
    BEGINNINGS.append(beginning)
    return beginning


@pytest.fixture(scope="module")
def begun(benches: Callable[[], Workbench]) -> Iterator[Mapping[Beginning, Begun]]:
    """The worlds, by how they began. The runs of the tests wait for what is left of the half minute."""
    worlds: dict[Beginning, Begun] = {}
    try:
        for beginning in BEGINNINGS:
            bench = benches()
            bench.erases_for = 0
            worlds[beginning] = Begun(bench, beginning(bench))
            bench.erases_for = LONGEST_RUN
        yield worlds
    finally:
        for world in worlds.values():
            if isinstance(world.returned, subprocess.Popen):
                world.returned.kill()
                world.returned.communicate()


def actions(bench: Workbench) -> list[str]:
    return [r["action"] for r in bench.records() if r["kind"] == "termination"]


@begins
def account(bench: Workbench) -> subprocess.Popen[str]:
    customers.founded(bench)
    asked = bench.run("terminate", "--account", "100", "--reason", "the contract ended")
    assert asked.code == 0, asked.err
    assert "including 2 applications" in asked.out
    assert "keys: 3 documents now" in asked.out
    return replace(bench, erases_for=LONGEST_RUN).process("run", "--once")


def test_an_account_goes_with_its_applications_and_nothing_else_does(begun: Mapping[Beginning, Begun]) -> None:
    bench, ran = begun[account].bench, begun[account].ended()
    assert ran.code == 0, ran.err
    assert of(bench, "configuration", "uin") == ["1001", "1002"]
    assert of(bench, "keys") == ["111", "1111"]
    assert [bench.is_gone(f"application-logs-{a}-x") for a in ("1", "11", "111")] == [True, True, False]
    assert len(of(bench, "logs-a")) == 6, "what ends by its age is not purged by a termination"
    assert states(bench) == ["watched"]
    (found,) = bench.run("terminations", "--output", "json").json
    assert found["documents_purged"] == 2 + 3 + 6
    assert [a for a in actions(bench) if a != "purged"] == [
        "registered",
        "resolved",
        "purging",
        "verified",
        "expunge",
        "expunge",
        "expunge",
        "expunge",
        "erased",
    ]
    assert bench.run("ledger", "verify").code == 0
    bench.assert_every_intent_is_answered_once()


CANARY = "CANARY8QX"


@begins
def closed(bench: Workbench) -> subprocess.Popen[str]:
    customers.founded(bench)
    add(bench, "keys", {"sdkappid": CANARY})
    assert bench.run("terminate", "--application", CANARY, "--reason", "because").code == 0
    assert bench.run("run", "--once").code == 0
    move(bench, found_at=now() - 40 * DAY, purged_at=now() - 40 * DAY, closed_at=now() - 31 * DAY)
    before = contents(bench, bench.own.requests, bench.own.terminations)
    assert before is None or CANARY.encode() in before
    return replace(bench, erases_for=LONGEST_RUN).process("run", "--once")


def test_a_closed_subject_is_forgotten_to_the_last_byte_and_still_found_by_its_pseudonym(
    begun: Mapping[Beginning, Begun],
) -> None:
    bench, ran = begun[closed].bench, begun[closed].ended()
    assert ran.code == 0, ran.err
    assert CANARY not in ran.err
    for name in (bench.own.requests, bench.own.terminations, bench.own.state, bench.own.ledger_index):
        bench.es.indices.refresh(index=name)
        hits = bench.es.search(index=name, size=1000)["hits"]["hits"]
        assert CANARY not in str(hits), name
        assert "because" not in str(hits), name
    assert "forgotten" in actions(bench)
    after = contents(bench, bench.own.requests, bench.own.terminations)
    assert after is None or CANARY.encode() not in after


@begins
def written(bench: Workbench) -> tuple[str, dict[str, list[str]], tuple[Ran, Ran]]:
    tenants.founded(bench)
    tenant = f"q{secrets.token_hex(8)}"
    canaries = add_canaries(bench, "keys", tenant)
    # Its own index, in which a document of somebody else has come to be: trimmed, under a block that has to be lifted.
    tenants.create(bench, tenants.own(tenant))
    tenants.add(bench, tenants.own(tenant), [{"sdkappid": tenant}] * 3 + [{"sdkappid": "other"}])
    bench.es.indices.put_settings(index=bench.prefix + tenants.own(tenant), settings={"index.blocks.write": True})
    asked = bench.run("terminate", "--application", tenant, "--reason", f"because of {tenant}")
    assert asked.code == 0
    first = bench.run("run", "--once")
    assert first.code == 0, first.err
    assert tenants.by_application(bench, "keys") == Counter({"other": 2 * OTHERS})
    return tenant, canaries, (asked, first)


def test_the_bytes_of_a_purged_tenant_are_in_the_files_until_they_are_erased_and_its_id_is_nowhere_else(
    begun: Mapping[Beginning, Begun],
) -> None:
    bench, (tenant, canaries, (asked, first)) = begun[written].bench, begun[written].returned
    before = on_disk(bench, "keys", canaries)
    assert {kind: before[kind] for kind in CERTAIN} == dict.fromkeys(CERTAIN, DOOMED), "deleted is not erased"
    second = bench.run("run", "--once")
    assert second.code == 0, second.err
    assert on_disk(bench, "keys", canaries) == dict.fromkeys(KINDS, 0)
    assert tenants.by_application(bench, tenants.own(tenant)) == Counter({"other": 1})
    (found,) = tenants.registry(bench)
    assert (found["erased_at"] is not None, sum(p["documents"] for p in found["purges"])) == (True, DOOMED + 3)
    assert "erased" in actions(bench)

    for text in (asked.out, asked.err, first.err, second.err, str(bench.records())):
        assert tenant not in text
    # Neither now nor before, since nothing expunges these two.
    assert tenant.encode() not in files(bench, bench.own.ledger_index, bench.own.state)


@contextmanager
def another_clock() -> Iterator[None]:
    """The daemon's clock is moved, the cluster's is not: that they differ is not what is tested here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(safety, "raise_if_wrong_clock", lambda cluster, now: None)
        yield


@begins
def writes_on(bench: Workbench) -> None:
    tenants.founded(bench)
    tenants.add(bench, "keys", [{"sdkappid": "1"}] * 10)
    assert bench.run("terminate", "--application", "1").code == 0
    assert bench.run("run", "--once").code == 0
    for hours in range(3, 25, 3):
        tenants.add(bench, "keys", [{"sdkappid": "1"}] * hours)
        with another_clock():
            assert bench.run("run", "--once", clock=FixedClock(ahead=hours * HOUR)).code == 0
        assert tenants.by_application(bench, "keys") == Counter({"other": OTHERS})
        assert tenants.registry(bench)[0]["closed_at"] is None


def test_a_tenant_who_writes_on_for_a_day_ends_with_nothing_and_a_record_of_each_further_purge(
    begun: Mapping[Beginning, Begun],
) -> None:
    bench = begun[writes_on].bench
    # A day after the first purge; since the last one it was quiet for less.
    with another_clock():
        assert bench.run("run", "--once", clock=FixedClock(ahead=2 * DAY - HOUR)).code == 0
    (found,) = tenants.registry(bench)
    assert (found["erased_at"] is not None, found["closed_at"]) == (True, None)
    with another_clock():
        assert bench.run("run", "--once", clock=FixedClock(ahead=2 * DAY + HOUR)).code == 0
    (found,) = tenants.registry(bench)
    assert found["closed_at"] is not None
    assert [p["documents"] for p in found["purges"]] == [10, *range(3, 25, 3)]
    recorded = [r for r in bench.records() if r.get("action") == "purged"]
    assert len(recorded) == 9
    outcomes = {r["sequence"]: r for r in bench.records() if r["kind"] == "outcome"}
    assert [outcomes[p["record"]]["evidence"]["documents"] for p in found["purges"]] == [10, *range(3, 25, 3)]
    assert tenants.by_application(bench, "keys") == Counter({"other": OTHERS})
    bench.assert_every_intent_is_answered_once()


def pending(bench: Workbench) -> dict[str, Any]:
    """The documents of the erasures under way, by their index."""
    bench.es.indices.refresh(index=bench.own.terminations)
    hits = bench.es.search(index=bench.own.terminations, query={"term": {"kind": "erasure"}})["hits"]["hits"]
    return {hit["_source"]["body"]["progress"]["index"]: hit for hit in hits}


@begins
def goes_whole(bench: Workbench) -> int:
    customers.founded(bench)
    bench.max_age = "4d"
    assert bench.run("policy", "accept").code == 0
    newest = now() - HOUR
    index(bench, "logs-b", *({"sdkappid": a, "@timestamp": newest} for a in ("1", "11")))
    assert bench.run("erase", "--application", "1").code == 0
    assert bench.run("run", "--once").code == 0
    assert of(bench, "logs-b") == ["11"]
    return newest


def test_an_index_that_goes_whole_before_the_deadline_is_not_rewritten_before(
    begun: Mapping[Beginning, Begun],
) -> None:
    bench, newest = begun[goes_whole].bench, begun[goes_whole].returned
    logs = {bench.prefix + name for name in ("logs-a", "logs-b")}
    hit = pending(bench)[bench.prefix + "logs-b"]
    assert hit["_source"]["body"]["progress"]["due"] == newest + 4 * DAY - HOUR + 30 * MINUTE
    assert bench.run("run", "--once").code == 0, "nobody waits for days"
    assert pending(bench).keys() == logs, "the others are clean"
    assert states(bench) == ["verifying"]
    for name, hit in pending(bench).items():
        bench.es.indices.delete(index=name)
        hit["_source"]["body"]["progress"]["due"] = now()
        bench.es.index(index=bench.own.terminations, id=hit["_id"], document=hit["_source"], refresh=True)
    assert bench.run("run", "--once").code == 0
    assert states(bench) == ["watched"]


@begins
def older_registry(bench: Workbench) -> None:
    customers.founded(bench)
    assert bench.run("terminate", "--application", "1").code == 0
    assert bench.run("run", "--once").code == 0
    assert states(bench) == ["verifying"], "nothing is erased yet"
    bench.es.indices.delete(index=bench.own.terminations)
    assert bench.run("setup").code == 0
    assert bench.run("ledger", "adopt").code == 0


def test_what_an_older_registry_does_not_know_to_be_dirty_is_erased_all_the_same(
    begun: Mapping[Beginning, Begun],
) -> None:
    bench = begun[older_registry].bench
    assert bench.run("run", "--once").code == 0
    expunged = [r["reason"] for r in bench.records() if r.get("action") == "expunge"]
    for name in ("configuration", "keys"):
        full = bench.prefix + name
        uuid = bench.es.indices.get_settings(index=full)[full]["settings"]["index"]["uuid"]
        assert any(reason.startswith(f"index {uuid}: no deleted document is left") for reason in expunged), name


@begins
def undecided(bench: Workbench) -> None:
    customers.founded(bench)
    both = "subjects: {{account: uin, application: sdkappid}}"
    bench.policy_text = bench.policy_text.replace(both, "subjects: {{application: sdkappid}}", 1)
    assert bench.run("policy", "accept").code == 0
    instant = now() - HOUR
    for uin in ("100", "3003"):
        add(bench, "configuration", {"uin": uin, "sdkappid": "11", "@timestamp": instant})
    assert bench.run("terminate", "--account", "100").code == 0
    assert bench.run("run", "--once").code == 0


def test_where_nothing_names_the_account_an_undecided_application_keeps_its_certificate_open(
    begun: Mapping[Beginning, Begun],
) -> None:
    bench = begun[undecided].bench
    assert bench.run("run", "--once").code == 0
    assert states(bench) == ["purging"]
    certified = bench.run("certificate", "--account", "100", "--output", "json")
    assert (certified.code, certified.json[0]["final"]) == (3, False)
    assert "owner-undecided" in {item["kind"] for item in certified.json[0]["open_items"]}


LEAVER, CERTIFIED, ALTERED = "leaver1", "certified1", "altered1"


@begins
def left_the_policy(bench: Workbench) -> None:
    customers.founded(bench, LEAVER)
    assert bench.run("terminate", "--application", LEAVER).code == 0
    with interrupted(bench, Refused("the enforcer is shutting down")):
        bench.run("run", "--once")
    bench.policy_text = bench.policy_text.replace('["{prefix}keys"]', '["{prefix}keys-of-tomorrow"]')
    assert bench.run("policy", "accept").code == 0
    ran = bench.run("run", "--once")
    assert ran.code == 0, ran.err


def test_an_index_that_leaves_the_policy_in_the_middle_of_a_purge_is_not_waited_for(
    begun: Mapping[Beginning, Begun],
) -> None:
    bench = begun[left_the_policy].bench
    ran = bench.run("run", "--once")
    assert ran.code == 0, ran.err
    assert states(bench) == ["watched"]
    assert of(bench, "keys").count(LEAVER) == 2
    assert "copy" in open_kinds(certificate(bench, LEAVER)[1]), "it is outside now, and found there"


def certificate(bench: Workbench, application: str) -> tuple[Ran, dict[str, Any]]:
    ran = bench.run("certificate", "--application", application, "--output", "json")
    return ran, ran.json[0]


def open_kinds(found: Mapping[str, Any]) -> set[str]:
    return {item["kind"] for item in found["open_items"]}


@begins
def certified(bench: Workbench) -> None:
    customers.founded_without_logs(bench, CERTIFIED)
    assert bench.run("terminate", "--application", CERTIFIED).code == 0
    assert bench.run("run", "--once").code == 0
    ran, found = certificate(bench, CERTIFIED)
    assert (ran.code, found["final"], found["state"]) == (3, False, "verifying")
    assert open_kinds(found) == {"erasure"}


def test_a_certificate_is_provisional_until_the_bytes_are_gone_and_then_final(
    begun: Mapping[Beginning, Begun], tmp_path: Path
) -> None:
    bench, page = begun[certified].bench, tmp_path / "certificate.html"
    assert bench.run("run", "--once").code == 0
    ran = bench.run("certificate", "--application", CERTIFIED, "--html", str(page))
    assert ran.code == 0, ran.out
    assert "FINAL" in ran.out
    assert "Final: no data that can be seen is left" in page.read_text()
    ran, found = certificate(bench, CERTIFIED)
    assert (found["final"], found["documents_purged"], found["open_items"]) == (True, 6, [])
    assert {p["category"] for p in found["purged"]} == {"configuration", "keys", "application-logs"}
    hashes = {r["sequence"]: r["hash"] for r in bench.records()}
    assert all(p["hash"] == hashes[p["record"]] for p in found["purged"])
    assert found["found_now"] == {"configuration": 0, "keys": 0, "application-logs": 0}
    add(bench, "keys", {"sdkappid": CERTIFIED})
    assert certificate(bench, CERTIFIED)[0].code == 3, "it looks again each time"


@begins
def to_be_altered(bench: Workbench) -> None:
    customers.founded_without_logs(bench, ALTERED)
    assert bench.run("terminate", "--application", ALTERED).code == 0
    assert bench.run("run", "--once").code == 0


def test_a_record_that_was_altered_or_removed_keeps_a_certificate_from_being_final(
    begun: Mapping[Beginning, Begun],
) -> None:
    bench = begun[to_be_altered].bench
    assert bench.run("run", "--once").code == 0
    ran, found = certificate(bench, ALTERED)
    assert (ran.code, found["final"]) == (0, True)
    first, second, *_ = sorted({purged["record"] for purged in found["purged"]})
    index_name = bench.own.ledger_index
    altered = bench.es.get(index=index_name, id=f"{first:012d}")["_source"] | {"reason": "another"}
    bench.es.index(index=index_name, id=f"{first:012d}", document=altered, refresh=True)
    bench.es.delete(index=index_name, id=f"{second:012d}", refresh=True)
    ran, found = certificate(bench, ALTERED)
    assert (ran.code, found["final"], open_kinds(found)) == (3, False, {"ledger"})
    assert [f"record {n} of the ledger" in str(found["open_items"]) for n in (first, second)] == [True, True]
    assert {p["record"]: p["hash"] for p in found["purged"]}[first] is None
