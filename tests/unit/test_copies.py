"""What is remembered of who has copies: a node that is away keeps what it had when it was last seen."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pytest

from builders import NOW, category, covered, seen
from retention_enforcer.domain.coverage.node_copies import (
    CopiesMemory,
    Dangling,
    Kept,
    NodeCopies,
    copies_left,
    dangling_findings,
)
from retention_enforcer.domain.errors import Refused, RequestRejected
from retention_enforcer.domain.own.state_keys import COPIES
from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.domain.subjects.pseudonyms import Pseudonyms, Redactor
from retention_enforcer.enforcement.coverage.node_copies import CopiesBook

LOGS = category(indices=["logs-*"])
POLICY = Policy(name="test", categories=(LOGS,))
NAMES = {"n1": "one", "n2": "two", "n3": "three"}
A, B = seen("logs-a", categories=["backend-logs"]), seen("logs-b", categories=["backend-logs"])
KNOWN = {uuid: Kept(category="backend-logs", name=name) for uuid, name in ((A.uuid, "logs-a"), (B.uuid, "logs-b"))}


def placed(**copies: Collection[str]) -> NodeCopies:
    return NodeCopies(
        nodes={id_: NAMES[id_] for id_ in copies}, copies={id_: frozenset(c) for id_, c in copies.items()}
    )


def left(memory: CopiesMemory, now: NodeCopies, *purged: str, categories: Collection[str] = ()) -> list[str]:
    return copies_left(memory, now, purged=purged, categories=categories)


def after(*looks: NodeCopies, still: Mapping[str, Collection[str]] | None = None) -> CopiesMemory:
    memory = CopiesMemory()
    for look in looks:
        there = {uuid for copies in look.copies.values() for uuid in copies}
        memory = memory.after({uuid: KNOWN[uuid] for uuid in there}, look, still or {})
    return memory


def test_a_node_that_is_away_has_what_it_had_however_often_is_looked_since() -> None:
    made_anew = placed(n1=[A.uuid], n3=[A.uuid])
    memory = after(placed(n1=[A.uuid], n2=[A.uuid], n3=[]), made_anew, made_anew)
    (text,) = left(memory, made_anew, A.uuid)
    assert f"node two left the cluster with a copy of logs-a ({A.uuid})" in text


def test_a_node_that_is_back_without_it_has_it_no_more() -> None:
    memory = after(placed(n1=[A.uuid], n2=[A.uuid]), placed(n1=[A.uuid]), placed(n1=[A.uuid], n2=[]))
    assert left(memory, placed(n1=[A.uuid], n2=[]), A.uuid) == []
    assert memory.names.keys() == {"n1"}


def test_a_node_that_is_back_with_files_of_it_still_has_it() -> None:
    back = placed(n1=[A.uuid], n2=[])
    memory = after(placed(n1=[A.uuid], n2=[A.uuid]), back, still={"n2": [A.uuid]})
    (text,) = left(memory, back, A.uuid)
    assert f"node two has not yet removed its files of logs-a ({A.uuid})" in text


@pytest.mark.parametrize(("categories", "named"), [(["backend-logs"], True), (["other"], False)])
def test_what_is_gone_since_counts_for_whoever_may_have_had_documents_in_it(
    categories: list[str], *, named: bool
) -> None:
    gone = placed(n1=[], n3=[])
    memory = after(placed(n1=[A.uuid], n2=[A.uuid], n3=[]), gone)
    assert bool(left(memory, gone, categories=categories)) is named


def test_an_index_that_is_there_and_had_nothing_of_the_subject_is_no_matter() -> None:
    now = placed(n1=[A.uuid, B.uuid], n3=[A.uuid, B.uuid])
    memory = after(placed(n1=[A.uuid, B.uuid], n2=[A.uuid, B.uuid], n3=[]), now)
    assert left(memory, now, categories=["backend-logs"]) == []
    (text,) = left(memory, now, B.uuid, categories=["backend-logs"])
    assert "logs-a" not in text


def test_it_is_read_as_it_was_written() -> None:
    memory = after(placed(n1=[A.uuid], n2=[A.uuid, B.uuid]), placed(n1=[A.uuid]))
    assert CopiesMemory.of(memory.body()) == memory


@pytest.mark.parametrize("body", [{}, {"indices": [["a"]], "nodes": []}, {"indices": [], "nodes": [{"id": "a"}]}])
def test_what_cannot_be_read_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="shard copies is not readable"):
        CopiesMemory.of(body)


@pytest.mark.parametrize(
    ("name", "uuid", "found"),
    [
        ("logs-x", "u", True),
        ("other", "u", False),
        ("other", A.uuid, True),
        (".ds-logs-x-2026.01.01-000001", "", True),
    ],
)
def test_an_index_on_disks_alone_is_a_finding_where_its_name_or_its_uuid_was_governed(
    name: str, uuid: str, *, found: bool
) -> None:
    memory = after(placed(n1=[A.uuid]))
    findings = dangling_findings(POLICY, memory, [Dangling(uuid=uuid, name=name, nodes=("n1",))])
    assert [finding.kind for finding in findings] == (["dangling-index"] if found else [])


class Clock:
    def now(self) -> int:
        return NOW


class State:
    def __init__(self) -> None:
        self.documents: dict[str, Mapping[str, Any]] = {}
        self.saved = 0

    def load(self, keys: Collection[str]) -> dict[str, Mapping[str, Any]]:
        return {key: self.documents[key] for key in keys if key in self.documents}

    def save(self, key: str, body: Mapping[str, Any], now: int) -> None:
        self.documents[key] = body
        self.saved += 1


class Nodes:
    """What is on the nodes; where `refused`, what dangles may not be asked."""

    def __init__(self, now: NodeCopies) -> None:
        self.now = now
        self.files: dict[str, frozenset[str]] = {}
        self.on_disks: list[Dangling] = []
        self.refused = False

    def placed(self) -> NodeCopies:
        return self.now

    def unused(self, uuids: Collection[str]) -> Mapping[str, frozenset[str]]:
        return {id_: found & set(uuids) for id_, found in self.files.items()}

    def dangling(self) -> Collection[Dangling]:
        if self.refused:
            raise RequestRejected("the enforcer may not do this", status=403)
        return self.on_disks


def book(nodes: Nodes, state: State) -> CopiesBook:
    return CopiesBook(nodes, state, Redactor(Pseudonyms(None), POLICY.patterns), Clock())


def test_nothing_is_written_where_nothing_moved() -> None:
    nodes, state = Nodes(placed(n1=[A.uuid], n2=[A.uuid])), State()
    for _ in range(3):
        book(nodes, state).keep(covered(A))
    assert state.saved == 1


def test_an_index_that_its_node_brought_back_is_remembered_until_it_is_deleted_there() -> None:
    nodes, state = Nodes(placed(n1=[A.uuid], n2=[A.uuid])), State()
    book(nodes, state).keep(covered(A))
    nodes.now = placed(n1=[])
    book(nodes, state).keep(covered())
    nodes.now, nodes.on_disks = placed(n1=[], n2=[]), [Dangling(uuid=A.uuid, name="logs-a", nodes=("n2",))]
    book(nodes, state).keep(covered())
    assert CopiesMemory.of(state.documents[COPIES]).copies == {"n2": {A.uuid}}
    nodes.on_disks = []
    book(nodes, state).keep(covered())
    assert CopiesMemory.of(state.documents[COPIES]) == CopiesMemory()


def test_where_it_may_not_be_asked_that_is_a_finding() -> None:
    nodes, state = Nodes(placed(n1=[])), State()
    nodes.refused = True
    assert [finding.kind for finding in book(nodes, state).findings(POLICY)] == ["not-looked-into"]
