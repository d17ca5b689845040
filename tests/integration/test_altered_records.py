"""What a certificate rests on was not altered, on a real server: records, checkpoints, milestones of the registry."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

import customers
from retention_enforcer.domain.instants import DAY
from retention_enforcer.domain.ledger.records import Head, record_hash, seal
from workbench import Ran, Workbench


@pytest.fixture
def application() -> str:
    """An application of which no other test has documents: certificates look at the whole cluster."""
    return f"9{secrets.randbelow(10**12):012d}"


@pytest.fixture
def certified(bench: Workbench, application: str) -> Workbench:
    """An application that is erased, with a certificate that is final."""
    customers.founded_without_logs(bench, application)
    assert bench.run("terminate", "--application", application).code == 0
    for _ in range(5):
        assert bench.run("run", "--once").code == 0
        if certificate(bench, application)[0].code == 0:
            return bench
    raise AssertionError(certificate(bench, application)[1]["open_items"])


def certificate(bench: Workbench, application: str) -> tuple[Ran, dict[str, Any]]:
    ran = bench.run("certificate", "--application", application, "--output", "json")
    return ran, ran.json[0]


def ledger_items(bench: Workbench, application: str) -> str:
    """The open items of a certificate that is not final by what the ledger says, and by that alone."""
    ran, found = certificate(bench, application)
    assert (ran.code, found["final"], {item["kind"] for item in found["open_items"]}) == (3, False, {"ledger"})
    return " ".join(item["text"] for item in found["open_items"])


def write(bench: Workbench, records: Sequence[Mapping[str, Any]]) -> None:
    for record in records:
        bench.ledger.put(record["sequence"], record)


def test_a_certificate_counts_on_nothing_that_was_altered(certified: Workbench, application: str) -> None:
    """One test: what it alters is put back, and an erasure takes its time."""
    records = certified.records()
    verified = certified.run("ledger", "verify")
    assert (verified.code, "checkpoints: 1 checked" in verified.out) == (0, True)

    place = certificate(certified, application)[1]["purged"][0]["record"]
    outcome = {**records[place - 1], "reason": "another"}
    write(certified, [{**outcome, "hash": record_hash(outcome)}])
    assert f"the ledger is not whole: record {place + 1}" in ledger_items(certified, application)
    write(certified, records)

    anew: list[dict[str, Any]] = []
    for record in ({**records[0], "reason": "another"}, *records[1:]):
        bare = {name: value for name, value in record.items() if name not in ("sequence", "previous", "hash")}
        anew.append(seal(bare, Head(len(anew), anew[-1]["hash"]) if anew else Head()))
    memory = certified.es.get(index=certified.own.state, id="ledger")["_source"]
    head = {**memory["body"], "hash": anew[memory["body"]["sequence"] - 1]["hash"]}
    certified.es.index(index=certified.own.state, id="ledger", document={**memory, "body": head}, refresh=True)
    write(certified, anew)
    verified = certified.run("ledger", "verify")
    assert (verified.code, "this checkpoint does not match record" in verified.err) == (1, True)
    assert "this checkpoint does not match record" in ledger_items(certified, application)
    certified.es.index(index=certified.own.state, id="ledger", document=memory, refresh=True)
    write(certified, records)

    remembered = {"term": {"kind": "remembered"}}
    (hit,) = certified.es.search(index=certified.own.terminations, query=remembered)["hits"]["hits"]
    body = hit["_source"]["body"]
    for change, named in (
        ({"erased_at": body["erased_at"] - DAY}, "that everything was erased at"),
        ({"purged_at": body["purged_at"] - DAY}, "that no document was left at"),
        ({"terminated_at": body["terminated_at"] + DAY}, "that it was requested with effect from"),
        ({"purges": [{**body["purges"][0], "documents": 1_000}, *body["purges"][1:]]}, "that 1,000 documents of index"),
        ({"applications": [f"8{application}"]}, "that 1 application belonged to it, and which"),
    ):
        altered = {**hit["_source"], "body": {**body, **change}}
        certified.es.index(index=certified.own.terminations, id=hit["_id"], document=altered, refresh=True)
        assert f"the registry says {named}" in ledger_items(certified, application)
    certified.es.index(index=certified.own.terminations, id=hit["_id"], document=hit["_source"], refresh=True)
    assert certificate(certified, application)[0].code == 0

    state = certified.es.get(index=certified.own.state, id="checkpoint")["_source"]
    beyond = {**state, "body": {**state["body"], "sequence": len(records) + 1}}
    certified.es.index(index=certified.own.state, id="checkpoint", document=beyond, refresh=True)
    assert "was written, but is gone" in ledger_items(certified, application)
