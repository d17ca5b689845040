"""The ledger on a real server: whoever changes a record is found out, and a lost ledger stops every deletion."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ledgers import NO_IDS
from other_verifier import verdict, verified_elsewhere
from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.cluster.own.ledger_index import LedgerIndex
from retention_enforcer.cluster.own.position import lasting
from retention_enforcer.domain.instants import DAY
from retention_enforcer.domain.ledger.records import Entry, Head, Kind, check_chain, record_hash, seal
from retention_enforcer.enforcement.ledger.appender import Appender, Signature
from workbench import Workbench

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def kept(bench: Workbench) -> Workbench:
    """A workbench whose ledger holds a few records of real deletions, and whose next cycle would delete more."""
    now = SystemClock().now()
    for name in ("logs-a", "logs-b", "logs-c"):
        bench.index(name, [now - 20 * DAY])
    bench.ready()
    assert bench.run("run", "--once").code == 0
    bench.index("logs-d", [now - 20 * DAY])
    return bench


def _refused(bench: Workbench) -> str:
    ran = bench.run("run", "--once")
    assert ran.code == 4, ran.err
    assert bench.count("logs-d") == 1
    return ran.err


CHANGES: dict[str, Change] = {
    "a value": lambda r: r.update(reason="another reason"),
    "a number": lambda r: r.update(epoch=r["epoch"] + 1),
    "a field less": lambda r: r.pop("instance"),
    "a field more": lambda r: r.update(actor="somebody", outcome="done"),
    "a value within": lambda r: r.update(evidence={"documents": 12_345}),
}


@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_a_changed_record_is_found_and_named(kept: Workbench, place: str) -> None:
    """Whatever is changed in it, and whether or not its own hash was recomputed."""
    records = kept.records()
    at = {"first": 0, "middle": len(records) // 2, "last": len(records) - 1}[place]
    for name, change in CHANGES.items():
        for rehashed in (False, True):
            record = dict(records[at])
            change(record)
            if rehashed:
                record["hash"] = record_hash(record)
            kept.ledger.put(at + 1, record)
            ran = kept.run("ledger", "verify")
            assert ran.code == 1, name
            named = at + 2 if rehashed and place != "last" else at + 1
            assert f"record {named}:" in ran.err, name
    kept.ledger.put(at + 1, records[at])
    assert kept.run("ledger", "verify").code == 0


def test_a_record_missing_in_the_middle_is_named(kept: Workbench) -> None:
    kept.ledger.take(3)
    ran = kept.run("ledger", "verify")
    assert ran.code == 1
    assert "record 3: missing" in ran.err


def test_a_record_missing_at_the_end_is_named_against_the_remembered_head(kept: Workbench) -> None:
    last = kept.records()[-1]["sequence"]
    kept.ledger.take(last)
    ran = kept.run("ledger", "verify")
    assert ran.code == 1
    assert f"record {last}: missing" in ran.err
    assert "ends before record" in _refused(kept)


def test_two_swapped_records_are_named(kept: Workbench) -> None:
    records = kept.records()
    kept.ledger.put(3, records[3])
    kept.ledger.put(4, records[2])
    ran = kept.run("ledger", "verify")
    assert ran.code == 1
    assert "record 4: it is in the place of record 3" in ran.err


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda d: d.update(sequence=d["sequence"] + 1), "record {2}: it is in the place of record {3}"),
        (lambda d: d.update(sequence=d["sequence"] - 1), "record {2}: it is in the place of record {1}"),
        (lambda d: d["records"].pop(1), "record {2}: it is in the place of record {1}"),
        (lambda d: d["records"].reverse(), "record {2}: it is in the place of record {0}"),
        (lambda d: d["records"].append(dict(d["records"][-1])), "record {2}: it is in the place of record {3}"),
        (lambda d: d["records"][0].pop("sequence"), "record None: it is in the place of record {0}"),
        (lambda d: d.update(reason="forged"), "record {0}: its document says something else than its records"),
        (lambda d: d.update(time="2020-01-01T00:00:00.000Z"), "record {0}: its document says something else"),
        (lambda d: d.update(records=d["records"][0]), "record {2}: it is in the place of record {0}"),
        (lambda d: d["records"].append(None), "record {2}: it is in the place of record {0}"),
    ],
    ids=[
        "too far",
        "not far enough",
        "one less",
        "turned around",
        "one twice",
        "one without a place",
        "more beside them",
        "another time beside them",
        "one that is no list",
        "one that is none",
    ],
)
def test_what_is_stored_together_is_where_it_says(
    kept: Workbench, change: Callable[[dict[str, Any]], object], named: str
) -> None:
    id_, document = _together(kept)
    assert [record["kind"] for record in document["records"]] == ["intent"] * 3
    change(document)
    kept.es.index(index=kept.own.ledger, id=id_, document=document, refresh=True)
    ran = kept.run("ledger", "verify")
    assert (ran.code, named.format(*range(int(id_), int(id_) + 4)) in ran.err) == (1, True), ran.err


def test_what_is_stored_together_and_gone_is_named(kept: Workbench) -> None:
    id_, _ = _together(kept)
    kept.es.delete(index=kept.own.ledger, id=id_, refresh=True)
    ran = kept.run("ledger", "verify")
    assert ran.code == 1
    assert f"record {int(id_)}: missing" in ran.err


@pytest.mark.parametrize("begins", [-1, 1], ids=["before", "within"])
def test_records_that_are_there_a_second_time_are_named(kept: Workbench, begins: int) -> None:
    """The chain could be read around them; a certificate would meet them."""
    id_, document = _together(kept)
    first = int(id_) + begins
    true = {record["sequence"]: record for record in kept.records()}
    records = [true[place] for place in range(first, document["sequence"] + 1)]
    records[0] = {**records[0], "reason": "forged"}
    again = {**document, "records": records}
    kept.es.index(index=kept.own.ledger, id=f"{first:012d}", document=again, refresh=True)
    ran = kept.run("ledger", "verify")
    named = ("it is there twice, in two documents", f"record {first}: missing; record {int(id_)} is in its place")
    assert (ran.code, any(text in ran.err for text in named)) == (1, True), ran.err


def test_a_list_that_was_changed_hides_nothing_but_what_is_missing_in_it(kept: Workbench) -> None:
    """A certificate names it as an open item: it is not refused for it."""
    id_, document = _together(kept)
    first, head = int(id_), LedgerIndex(kept.es, kept.own.ledger).head()
    missing = document["records"].pop(1)
    kept.es.index(index=kept.own.ledger, id=id_, document={**document, "reason": "forged"}, refresh=True)
    ledger = LedgerIndex(kept.es, kept.own.ledger)
    assert [ledger.get(first + n) for n in range(3)] == [document["records"][0], None, document["records"][1]]
    assert missing not in ledger.standing(first + 1)
    assert ledger.head() == head
    for later, stored in kept.ledger.documents().items():
        if stored["sequence"] > document["sequence"]:
            kept.es.delete(index=kept.own.ledger, id=later, refresh=True)
    assert ledger.head() == Head(document["sequence"], document["records"][-1]["hash"])


def _together(bench: Workbench) -> tuple[str, dict[str, Any]]:
    """The first document that holds several records."""
    return next((id_, document) for id_, document in bench.ledger.documents().items() if "records" in document)


def test_an_honest_ledger_verifies_in_the_cluster_and_as_an_export(kept: Workbench) -> None:
    export = kept.run("ledger", "export").out
    file = kept.folder / "ledger.jsonl"
    file.write_text(export, encoding="utf-8")
    head = json.loads(export.splitlines()[-1])["hash"]
    for arguments in ([], ["--file", str(file)], ["--file", str(file), "--head", head], ["--head", head]):
        ran = kept.run("ledger", "verify", *arguments)
        assert ran.code == 0, ran.err
        assert head in ran.out
    assert kept.run("ledger", "verify", "--file", str(file), "--head", "0" * 64).code == 1


def test_an_export_verifies_in_another_language_too(kept: Workbench) -> None:
    export = kept.run("ledger", "export").out
    file = kept.folder / "ledger.jsonl"
    file.write_text(export, encoding="utf-8")
    head = json.loads(export.splitlines()[-1])["hash"]
    assert verified_elsewhere(file, head) == (0, f"head {head}")
    file.write_text(export.replace('"done"', '"failed"', 1), encoding="utf-8")
    here = kept.run("ledger", "verify", "--file", str(file))
    assert verified_elsewhere(file) == (here.code, verdict(here.err))
    assert here.code == 1


@pytest.mark.parametrize("broken", ["not json", '{"sequence": 1}', '["a"]', ""])
def test_an_export_that_is_none_is_named(kept: Workbench, broken: str) -> None:
    lines = kept.run("ledger", "export").out.splitlines()
    file = kept.folder / "ledger.jsonl"
    file.write_text("\n".join([*lines[:2], broken, *lines[3:]]), encoding="utf-8")
    ran = kept.run("ledger", "verify", "--file", str(file))
    assert ran.code == 1
    assert "record 3:" in ran.err


def test_a_deleted_ledger_stops_every_deletion(kept: Workbench) -> None:
    kept.es.indices.delete(index=kept.own.ledger_index)
    assert "retention-enforcer setup" in _refused(kept)


def test_a_ledger_deleted_and_made_anew_stops_every_deletion_until_it_is_adopted(kept: Workbench) -> None:
    kept.es.indices.delete(index=kept.own.ledger_index)
    assert kept.run("setup", "--indices-only").code == 0
    assert "is not the same index as before" in _refused(kept)
    assert kept.run("ledger", "adopt").code == 0
    assert kept.run("run", "--once").code == 0
    assert kept.count("logs-d") is None


def test_an_emptied_ledger_stops_every_deletion(kept: Workbench) -> None:
    kept.ledger.empty()
    assert "ends before record" in _refused(kept)


def test_a_ledger_restored_older_stops_every_deletion(kept: Workbench) -> None:
    records = kept.records()
    for record in records[-2:]:
        kept.ledger.take(record["sequence"])
    assert "ends before record" in _refused(kept)


def test_a_ledger_whose_remembered_record_was_rewritten_stops_every_deletion(kept: Workbench) -> None:
    last = dict(kept.records()[-1])
    last["reason"] = "rewritten"
    last["hash"] = record_hash(last)
    kept.ledger.put(last["sequence"], last)
    assert "was changed" in _refused(kept)


def test_a_ledger_alias_of_two_indices_stops_every_deletion(kept: Workbench) -> None:
    kept.es.indices.create(index=kept.prefix + "second", aliases={kept.own.ledger: {}})
    assert "not an alias of exactly one index" in _refused(kept)


def test_a_document_among_the_records_that_is_none_is_found(kept: Workbench) -> None:
    kept.es.index(index=kept.own.ledger, id="stranger", document={"reason": "hello"}, refresh=True)
    ran = kept.run("ledger", "verify")
    assert ran.code == 1
    assert "in the ledger is not a record" in ran.err


def test_a_document_with_no_place_of_a_record_is_found(kept: Workbench) -> None:
    kept.es.index(index=kept.own.ledger, id="stranger", document={"sequence": 0, "reason": "hello"}, refresh=True)
    ran = kept.run("ledger", "verify")
    assert (ran.code, "in the ledger is not a record" in ran.err) == (1, True), ran.err


def test_a_ledger_that_loses_its_end_meanwhile_is_not_adopted(kept: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy that is cut off shows what the others do not have: the last record must stand on all."""
    last, standing = kept.records()[-1]["sequence"], LedgerIndex.standing

    def lost_by_then(self: LedgerIndex, sequence: int) -> Any:
        kept.ledger.take(last)
        return standing(self, sequence)

    monkeypatch.setattr(LedgerIndex, "standing", lost_by_then)
    ran = kept.run("ledger", "adopt")
    assert (ran.code, "the shard copies of the ledger differ" in ran.err) == (1, True), ran.err


def test_records_follow_one_that_somebody_else_appended(kept: Workbench) -> None:
    """A record in the way is read and followed: the chain does not fork."""
    last = kept.records()[-1]
    other = {**last, "sequence": last["sequence"] + 1, "previous": last["hash"], "reason": "of another process"}
    other["hash"] = record_hash(other)
    kept.ledger.put(other["sequence"], other)
    assert kept.run("run", "--once").code == 0
    assert kept.count("logs-d") is None
    assert kept.run("ledger", "verify").code == 0


def test_two_that_write_at_once_leave_a_whole_chain(bench: Workbench) -> None:
    """Also of lists: what is stored together is never stored in part, whoever is faster."""
    bench.ready()
    signature = Signature(instance="i", mode="enforce", policy="p")

    def write(who: str) -> list[str]:
        chance, told = random.Random(who), list[str]()
        appender = Appender(LedgerIndex(bench.es, bench.own.ledger), SystemClock(), signature, lambda: 1, NO_IDS)
        for number in range(40):
            reasons = [f"{who} {number}.{n}" for n in range(chance.choice([1, 2, 7]))]
            appender.append_all([Entry(kind=Kind.FINDING, reason=reason) for reason in reasons])
            told += reasons
        return told

    with ThreadPoolExecutor(3) as pool:
        told = [reason for written in pool.map(write, "abc") for reason in written]
    ledger = LedgerIndex(bench.es, bench.own.ledger)
    records = list(ledger.read())
    check_chain(records)
    assert Counter(r["reason"] for r in records if r["kind"] == "finding") == Counter(told)
    for record in (records[0], records[len(records) // 2], records[-1]):
        assert ledger.get(record["sequence"]) == record
        assert record in ledger.standing(record["sequence"])
    assert ledger.get(len(records) + 1) is None
    assert ledger.standing(len(records) + 1) == ()
    assert list(ledger.read(after=len(records) - 3)) == records[-3:]


def test_a_record_that_is_being_written_is_waited_for(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen after the copies were asked how far they are: that is no reason for another process to give up."""
    bench.ready()
    ledger, other = LedgerIndex(bench.es, bench.own.ledger), LedgerIndex(bench.es, bench.own.ledger)
    signature = Signature(instance="i", mode="enforce", policy="p")
    appender = Appender(other, SystemClock(), signature, lambda: 1, NO_IDS)
    place = appender.append(Entry(kind=Kind.FINDING, reason="before"))["sequence"] + 1
    written: list[Any] = []

    def meanwhile(client: Any, index: str) -> tuple[str, int]:
        found = lasting(client, index)
        if not written:
            written.append(appender.append(Entry(kind=Kind.FINDING, reason="meanwhile")))
        return found

    monkeypatch.setattr("retention_enforcer.cluster.own.ledger_index.lasting", meanwhile)
    assert list(ledger.standing(place)) == written


def test_a_list_that_comes_too_late_is_not_stored_at_all(bench: Workbench) -> None:
    """The request of one whose lease was taken, on its way for so long that its successor wrote before it."""
    bench.ready()
    ledger = LedgerIndex(bench.es, bench.own.ledger)
    late: list[Any] = []
    head = Head()
    for reason in ("one", "two", "three"):
        late.append(seal({"kind": "intent", "epoch": 1, "reason": reason, "time": "2026-01-01T00:00:00.000Z"}, head))
        head = Head(late[-1]["sequence"], late[-1]["hash"])
    successor = Appender(ledger, SystemClock(), Signature(instance="i", mode="enforce", policy="p"), lambda: 2, NO_IDS)
    successor.append(Entry(kind=Kind.FINDING, reason="of the successor"))
    assert ledger.create(late) is False
    successor.append(Entry(kind=Kind.FINDING, reason="again"))
    assert [r["reason"] for r in ledger.read()] == ["holds the lease", "of the successor", "again"]
    check_chain(ledger.read())
