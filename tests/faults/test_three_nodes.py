"""A node is cut off from the two others: what it alone wrote and nobody acknowledged is never built upon."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cluster_of_three import NODES, ThreeNodes, three_nodes
from ledgers import NO_IDS, records_in
from network_cuts import cut_at_random
from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.cluster.own.documents import Documents
from retention_enforcer.cluster.own.ledger_index import LedgerIndex
from retention_enforcer.daemon.lease import LeaseKeeper
from retention_enforcer.domain.errors import ClusterUnavailable
from retention_enforcer.domain.ledger.records import Entry, Kind, check_chain
from retention_enforcer.enforcement.ledger.appender import Appender, Signature
from workbench import Workbench

pytestmark = [pytest.mark.alone, pytest.mark.slow, pytest.mark.timeout(600)]

SIGNATURE = Signature(instance="i", mode="enforce", policy="p")
SHORT = 3.0
"""Seconds for which a request to a node that is cut off is waited for."""


@pytest.fixture(scope="module")
def nodes(embedded_version: str) -> Iterator[ThreeNodes]:
    with three_nodes(embedded_version, **{"cluster.indices.tombstones.size": "1"}) as made:
        yield made


@contextmanager
def ready(nodes: ThreeNodes, folder: Path) -> Iterator[Workbench]:
    prefix = f"n{secrets.token_hex(3)}-"
    with nodes.client() as es:
        bench = Workbench(es=es, url=nodes.urls, username="", password="", prefix=prefix, folder=folder)
        bench.ready()
        nodes.wait_until_whole()
        yield bench


@pytest.mark.parametrize("lost", [["two"], ["two", "and", "so", "on"]], ids=["one", "several"])
@pytest.mark.parametrize("killed", [True, False], ids=["which dies", "which comes back"])
def test_a_record_that_the_cut_off_node_alone_has_is_not_stored(
    nodes: ThreeNodes, tmp_path: Path, killed: bool, lost: list[str]
) -> None:
    with ready(nodes, tmp_path) as bench:
        victim = nodes.primary_of(bench.es, bench.own.ledger_index)
        others = [name for name in NODES if name != victim]
        with nodes.client(victim, timeout=SHORT) as alone, nodes.client(*others, timeout=20) as rest:
            ledger = LedgerIndex(alone, bench.own.ledger)
            appender = Appender(ledger, SystemClock(), SIGNATURE, lambda: 1, NO_IDS)
            appender.append(Entry(kind=Kind.FINDING, reason="one"))
            # In silence: whose connections are reset may know at once that it is alone, and write nothing any more.
            with nodes.cut_off(victim):
                with pytest.raises(ClusterUnavailable):
                    appender.append_all([Entry(kind=Kind.FINDING, reason=reason) for reason in lost])
                # Where it was written: any copy may be asked, and a replica lies beyond the cut.
                there_alone = ledger._document(3, preference="_local")
                assert there_alone["found"], "it is there to be read"
                assert [record["reason"] for record in records_in(there_alone["_source"])] == lost
                with pytest.raises(ClusterUnavailable):
                    appender.append(Entry(kind=Kind.FINDING, reason="three"))
                nodes.wait_until_whole(others, "yellow")
                if killed:
                    nodes.kill(victim)
                there = LedgerIndex(rest, bench.own.ledger)
                assert there.get(3) is None, "nobody else has it"
            ledger._client = rest
            appender.append(Entry(kind=Kind.FINDING, reason="three"))
            if killed:
                nodes.start(victim)
            nodes.wait_until_whole()
            records = list(there.read())
            check_chain(records)
            assert [record.get("reason") for record in records] == ["holds the lease", "one", *lost, "three"]


def test_a_head_that_the_cut_off_node_alone_has_is_no_head(nodes: ThreeNodes, tmp_path: Path) -> None:
    with ready(nodes, tmp_path) as bench:
        victim = nodes.primary_of(bench.es, bench.own.ledger_index)
        with nodes.client(victim, timeout=SHORT) as alone:
            ledger = LedgerIndex(alone, bench.own.ledger)
            first = Appender(ledger, SystemClock(), SIGNATURE, lambda: 1, NO_IDS)
            first.append(Entry(kind=Kind.FINDING, reason="one"))
            with nodes.cut_off(victim, reset=True):
                with pytest.raises(ClusterUnavailable):
                    first.append(Entry(kind=Kind.FINDING, reason="two"))
                after_a_restart = Appender(ledger, SystemClock(), SIGNATURE, lambda: 2, NO_IDS)
                with pytest.raises(ClusterUnavailable):
                    _ = after_a_restart.head
            nodes.wait_until_whole()
            after_a_restart.append(Entry(kind=Kind.FINDING, reason="three"))
            check_chain(ledger.read())


def test_a_lease_that_was_written_on_the_cut_off_node_alone_is_not_held(nodes: ThreeNodes, tmp_path: Path) -> None:
    with ready(nodes, tmp_path) as bench:
        victim = nodes.primary_of(bench.es, bench.own.state)
        others = [name for name in NODES if name != victim]
        with nodes.client(victim, timeout=SHORT) as alone, nodes.client(*others) as rest:
            mine = LeaseKeeper(Documents(alone, bench.own.state), SystemClock(), "same name")
            twin = LeaseKeeper(Documents(rest, bench.own.state), SystemClock(), "same name")
            with nodes.cut_off(victim, reset=True):
                with pytest.raises(ClusterUnavailable):
                    mine.try_to_take()
                assert not mine.held
                nodes.wait_until_whole(others, "yellow")
                assert twin.try_to_take()
                mine.renew()
                assert not mine.held
            nodes.wait_until_whole()
            twin.renew()
            mine.renew()
            assert not mine.try_to_take()
            assert (twin.held, mine.held) == (True, False)
            twin.release()
            assert mine.try_to_take()


POLICY = """\
version: 1
name: {prefix}policy
margin: 1h
categories:
  - id: keys
    clause: {{document: Test promises, section: "1", item: keys, updated: 2026-01-01}}
    indices: ["{prefix}usage"]
    subjects: {{application: sdkappid}}
    after_termination: 7d
  - id: application-logs
    clause: {{document: Test promises, section: "2", item: application logs, updated: 2026-01-01}}
    indices: ["{prefix}application-logs-{{application}}-x"]
    subjects: {{application: sdkappid}}
    after_termination: 7d
"""
GOES, STAYS = "1400123456", "1400777777"
"""Two applications."""


def test_a_certificate_waits_for_the_node_that_was_away_with_copies(nodes: ThreeNodes, tmp_path: Path) -> None:
    """Its replicas were made anew elsewhere, and what it has is in no list of indices when it is back."""
    with ready(nodes, tmp_path) as bench:
        bench.policy_text = POLICY
        bench.settings |= {"ENFORCER_GRACE": "0s", "ENFORCER_LIFECYCLE": "direct"}
        assert bench.run("policy", "accept").code == 0
        whole, trimmed = f"application-logs-{GOES}-x", "usage"
        settings = {"number_of_replicas": 1, "index.unassigned.node_left.delayed_timeout": "0s"}
        for name in (whole, trimmed):
            bench.index(name, [], settings=settings)
            for application in {GOES} if name == whole else {GOES, STAYS}:
                bench.es.index(index=bench.prefix + name, document={"sdkappid": application}, refresh=True)
        nodes.wait_until_whole()
        assert bench.run("run", "--once").code == 0
        away = next(
            node
            for node in nodes.holders_of(bench.es, bench.prefix + whole)
            if node in nodes.holders_of(bench.es, bench.prefix + trimmed)
        )
        others = [name for name in NODES if name != away]
        nodes.kill(away)
        nodes.wait_until_whole(others)

        assert bench.run("terminate", "--application", GOES).code == 0
        erased(bench)
        for number in range(2):  # of which the cluster remembers one
            bench.index(f"other-{number}", [])
            bench.es.indices.delete(index=f"{bench.prefix}other-{number}")
        assert GOES not in "".join(items(bench, "copy-away"))
        (said,) = items(bench, "copy-away")
        assert said.startswith(f"node {away} left the cluster with a copy of ")
        for uuid in (purged["uuid"] for purged in certificate(bench)["purged"]):
            assert uuid in said

        nodes.start(away)
        nodes.wait_until_whole()
        (dangling,) = bench.es.dangling_indices.list_dangling_indices()["dangling_indices"]
        assert dangling["index_name"] == bench.prefix + whole
        (said,) = items(bench, "dangling")
        assert said.endswith(f"was deleted, but is on the disk of {away} again")
        found = bench.run("report", "--output", "json").json["findings"]
        assert [f["index"] for f in found if f["kind"] == "dangling-index"] == [bench.prefix + whole]

        bench.es.dangling_indices.delete_dangling_index(index_uuid=dangling["index_uuid"], accept_data_loss=True)
        deadline = time.monotonic() + 60  # the node deletes what it left on its disk when it comes to it
        while True:
            assert bench.run("run", "--once").code == 0
            final = certificate(bench)
            if final["final"] or time.monotonic() > deadline:
                break
        assert final["open_items"] == []
        assert final["final"]


def certificate(bench: Workbench) -> Any:
    ran = bench.run("certificate", "--application", GOES, "--output", "json")
    assert ran.code in (0, 3), ran.err
    assert (ran.code == 0) == ran.json[0]["final"]
    return ran.json[0]


def items(bench: Workbench, kind: str) -> list[str]:
    """What keeps the certificate from being final, of one kind."""
    found = certificate(bench)
    assert not found["final"]
    return [item["text"] for item in found["open_items"] if item["kind"] == kind]


def erased(bench: Workbench) -> None:
    """Run until everything that was purged is erased, as far as the cluster's copies go."""
    end = time.monotonic() + 240
    while True:
        ran = bench.run("run", "--once")
        assert ran.code in (0, 3), ran.err
        found = certificate(bench)
        if found["erased_at"] is not None:
            return
        assert time.monotonic() < end, found["open_items"]


def test_cuts_at_random_moments(nodes: ThreeNodes, tmp_path: Path) -> None:
    print(cut_at_random(nodes, tmp_path, secrets.randbits(32), 2))
