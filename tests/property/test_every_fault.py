"""The whole enforcer in memory: whatever call goes wrong, in whatever way, and whatever happens right before it.

Each run is repeated with its first call going wrong, then with its second, and so on. What may never happen is looked
at by `in_memory.Cluster` while it runs: nothing goes that the policy does not cover, or that was not announced,
acknowledged and permitted, each intent has one outcome, and that one is true, and "kept" is said only of what was seen.
Afterwards all is as if nothing had gone wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest

from builders import category
from in_memory import BEGIN, Call, Cluster, Document, Fault, Killed
from memory_bench import (
    ACCOUNT,
    COVERAGE,
    GRACE,
    LOGS,
    TERMINATIONS,
    Process,
    aged,
    quiet,
    start,
    streams,
    tenants,
    told,
    two_tenants,
    written_no_more,
)
from retention_enforcer.domain.holds.hold import Hold
from retention_enforcer.domain.instants import DAY, HOUR
from retention_enforcer.domain.ledger.records import Kind
from retention_enforcer.domain.lifecycles.compiler import deletes_at_once
from retention_enforcer.domain.subjects.identity import Subject, SubjectKind
from retention_enforcer.domain.terminations.requests import Ask
from retention_enforcer.domain.terminations.states import ID_KEPT_FOR, QUIET, Termination
from retention_enforcer.enforcement.terminations.intake import remembered

A1 = Subject(kind=SubjectKind.APPLICATION, id="a1")
OTHER_ACCOUNT = Subject(kind=SubjectKind.ACCOUNT, id="acc2")
ALL, OTHERS = 18, 7
"""Documents in the cluster of the tenants, and those of them that are not the terminated account's."""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with quiet():
        yield


@dataclass(frozen=True, slots=True)
class Scenario:
    """What there is, which job goes wrong, and what is true in the end if nothing does."""

    make: Callable[[], Cluster]
    job: str
    stays: Callable[[Cluster], int]
    """How many documents there are in the end."""
    prepare: Callable[[Cluster, Process], None] = lambda cluster, process: None
    finish: Callable[[Cluster, Process], None] = lambda cluster, process: None

    def begin(self) -> tuple[Cluster, Process]:
        """Return a cluster, and a process that has started and is about to do the job."""
        cluster = self.make()
        process = start(cluster)
        process.run("none, but start")
        policy = cluster.policy
        self.prepare(cluster, process)
        if cluster.policy is not policy:
            process = start(cluster)
            process.run("none, but start")
        return cluster, process

    def end(self, cluster: Cluster, process: Process) -> None:
        """Let nothing more go wrong, and see that everything is as it has to be."""
        for _ in range(2):
            cluster.clock.instant += HOUR
            process.run(self.job)
        cluster.check_settled()
        self.finish(cluster, process)
        assert len(cluster.documents()) == self.stays(cluster)


def terminate(cluster: Cluster, process: Process) -> None:
    """Have an account terminated, registered, and its grace over."""
    cluster.requests.add(Ask.TERMINATE, ACCOUNT)
    process.run(TERMINATIONS)
    cluster.clock.instant += GRACE + HOUR


def ask(cluster: Cluster, process: Process) -> None:
    """Have two accounts terminated and one of them reinstated, all of it new."""
    cluster.requests.add(Ask.TERMINATE, ACCOUNT)
    cluster.requests.add(Ask.TERMINATE, OTHER_ACCOUNT)
    cluster.requests.add(Ask.REINSTATE, OTHER_ACCOUNT)


def registered(cluster: Cluster, process: Process) -> None:
    """See that each was taken in once, with all that goes along."""
    mine, other = remembered(cluster.registry)
    assert (mine.applications, mine.is_open) == (("a1", "a2"), True)
    assert other.cancelled_at is not None


def the_one(cluster: Cluster) -> Termination:
    """Return the one termination that is remembered."""
    (termination,) = remembered(cluster.registry)
    return termination


def erased(cluster: Cluster, process: Process) -> None:
    """See that each document was counted once, and that none is left in the files."""
    termination = the_one(cluster)
    assert termination.purged_at is not None
    assert termination.erased_at is not None
    assert not cluster.dirty, "deleted documents are left in the files"
    assert termination.documents == len(cluster.destroyed)


def terminate_undeletable(cluster: Cluster, process: Process) -> None:
    """Have an account terminated whose indices cannot be deleted for now."""
    cluster.requests.add(Ask.TERMINATE, A1)
    process.run(TERMINATIONS)
    cluster.clock.instant += GRACE + HOUR
    cluster.refuses_deletions = True


def deleted_at_last(cluster: Cluster, process: Process) -> None:
    """See that whole indices were left to a lifecycle, and that they go once they can be deleted."""
    left = {i.name for i in cluster.indices.values() if deletes_at_once(i.attachment.policy or "")}
    assert left == {"logs-a1-x"}
    cluster.refuses_deletions = False
    cluster.clock.instant += HOUR
    process.run(TERMINATIONS)
    erased(cluster, process)


def watch(cluster: Cluster, process: Process) -> None:
    """Have a termination purged and erased, its watch over, and something come for it since."""
    terminate(cluster, process)
    process.run(TERMINATIONS)
    erased(cluster, process)
    cluster.add("shared-1", [0], application="a1")
    cluster.clock.instant += QUIET


def forget(cluster: Cluster, process: Process) -> None:
    """Have a termination closed, and its raw id not needed any more."""
    terminate(cluster, process)
    process.run(TERMINATIONS)
    cluster.clock.instant += QUIET
    process.run(TERMINATIONS)
    assert the_one(cluster).closed_at is not None
    cluster.clock.instant += ID_KEPT_FOR


def forgotten(cluster: Cluster, process: Process) -> None:
    """See that nobody's raw id is left."""
    assert not remembered(cluster.registry)
    assert not cluster.requests.written
    assert "acc1" not in str(cluster.registry.documents)


def attach(cluster: Cluster, process: Process) -> None:
    """Have lifecycles attached."""
    process.run(LOGS)
    assert cluster.indices["logs-lying"].attachment.policy == "retention-p-logs-plain"


def hold_all(cluster: Cluster, process: Process) -> None:
    """Have lifecycles attached, and then everything held."""
    attach(cluster, process)
    held = Hold(id="h1", owner="o", reason="r", until=BEGIN + 365 * DAY, category="logs")
    cluster.control = replace(cluster.control, holds=(held,))


def detached(cluster: Cluster, process: Process) -> None:
    """See that no lifecycle is left on what is held."""
    assert not [one.name for one in cluster.indices.values() if one.attachment.policy and cluster.held(one)]


def clone(cluster: Cluster, process: Process) -> None:
    """Have lifecycles attached, and an index with one cloned under a name that nobody claims."""
    attach(cluster, process)
    cluster.add("clone-of-it", [DAY])
    attached = replace(cluster.indices["logs-lying"].attachment, uuid=cluster.indices["clone-of-it"].uuid)
    cluster.indices["clone-of-it"].attachment = attached


def strays_no_more(cluster: Cluster, process: Process) -> None:
    """See that it has none any more, and that the others kept theirs."""
    assert cluster.indices["clone-of-it"].attachment.policy is None
    assert cluster.indices["logs-lying"].attachment.policy is not None


def adopted(cluster: Cluster, process: Process) -> None:
    """See that all streams have the retention that keeps the promise, and that what is held is exempt from it."""
    (retention,) = {body["data_retention"] for body in cluster.streams.values()}
    assert retention != "30d"
    exempt = {name for name, one in cluster.indices.items() if one.attachment.exemption is not None}
    assert exempt == {".ds-logs-t-000001"}


def adopt_no_more(cluster: Cluster, process: Process) -> None:
    """Have streams adopted, and then another policy."""
    process.run(LOGS)
    adopted(cluster, process)
    cluster.policy = replace(cluster.policy, categories=(category("logs"),))


def claim_no_more(cluster: Cluster, process: Process) -> None:
    """Have streams adopted, the hold removed, and then a policy without their category."""
    process.run(LOGS)
    adopted(cluster, process)
    cluster.control = replace(cluster.control, holds=(), removed=frozenset({"h1"}))
    process.run(LOGS)
    cluster.policy = replace(cluster.policy, categories=(category("other", indices=("other-*",)),))


def given_back(cluster: Cluster, process: Process) -> None:
    """See that all streams have what they had."""
    assert all(body == {"enabled": True, "data_retention": "30d"} for body in cluster.streams.values())
    exempt = {name for name, one in cluster.indices.items() if one.attachment.exemption is not None}
    assert exempt == {one.index for one in cluster.control.holds}


SCENARIOS = {
    "expiry": Scenario(aged, LOGS, lambda _: 1 + 3),  # another category's, and the young ones
    "attaching": Scenario(written_no_more, LOGS, lambda _: 1 + 3 + 2),
    "holding": Scenario(written_no_more, LOGS, lambda _: 1 + 3 + 2, hold_all, detached),
    "strays": Scenario(written_no_more, COVERAGE, lambda _: 1 + 3 + 2 + 1, clone, strays_no_more),
    "adopting": Scenario(streams, LOGS, lambda _: 4, finish=adopted),
    "giving back": Scenario(streams, LOGS, lambda _: 4, adopt_no_more, given_back),
    "giving back what nobody claims": Scenario(streams, COVERAGE, lambda _: 4, claim_no_more, given_back),
    "registering": Scenario(tenants, TERMINATIONS, lambda _: ALL, ask, registered),
    "terminations": Scenario(tenants, TERMINATIONS, lambda _: OTHERS, terminate, erased),
    "left to a lifecycle": Scenario(two_tenants, TERMINATIONS, lambda _: 3, terminate_undeletable, deleted_at_last),
    "watching": Scenario(tenants, TERMINATIONS, lambda _: OTHERS, watch, erased),
    "forgetting": Scenario(tenants, TERMINATIONS, lambda _: OTHERS, forget, forgotten),
}
EVERY = pytest.mark.parametrize("name", SCENARIOS)


def calls_of(scenario: Scenario) -> list[Call]:
    """Return the calls of a run in which nothing goes wrong."""
    cluster, process = scenario.begin()
    cluster.calls.made.clear()
    process.run(scenario.job)
    made = list(cluster.calls.made)
    scenario.end(cluster, process)
    return made


def run_with(scenario: Scenario, number: int, call: Call, *, fault: Fault, lasts: bool, restart: bool) -> None:
    """Run a job one of whose calls goes wrong, in the same process afterwards or in a new one."""
    cluster, process = scenario.begin()
    cluster.calls.fail(number, fault, lasts_for=call.port if lasts else None)
    try:
        process.run(scenario.job)
    except Killed:
        restart = True
    cluster.check()
    cluster.calls.go_well()
    scenario.end(cluster, start(cluster) if restart else process)


@EVERY
@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name.lower())
def test_whatever_call_goes_wrong_once(name: str, fault: Fault) -> None:
    scenario = SCENARIOS[name]
    for number, call in enumerate(calls_of(scenario)):
        if call.can(fault):
            with told(number, call):
                run_with(scenario, number, call, fault=fault, lasts=False, restart=bool(number % 2))


@EVERY
@pytest.mark.parametrize("fault", [Fault.UNAVAILABLE, Fault.REJECTED, Fault.LOST], ids=lambda fault: fault.name.lower())
def test_from_whatever_call_on_a_port_fails(name: str, fault: Fault) -> None:
    scenario = SCENARIOS[name]
    for number, call in enumerate(calls_of(scenario)):
        if call.can(fault):
            with told(number, call):
                run_with(scenario, number, call, fault=fault, lasts=True, restart=bool(number % 2))


# --- what happens meanwhile --------------------------------------------------------------------------------


DESTRUCTIVE = {"deletion.delete_indices", "deletion._delete_page"}


def interrupted(scenario: Scenario, meanwhile: Callable[[Cluster], object]) -> Iterator[tuple[Cluster, Process]]:
    """Yield what a run comes to in which this happens right before its n-th call, for each n."""
    for number, call in enumerate(calls_of(scenario)):
        cluster, process = scenario.begin()
        cluster.calls.interrupt(number, partial(meanwhile, cluster))
        with told(number, call):
            process.run(scenario.job)
            cluster.check()
            cluster.calls.go_well()
            yield cluster, process


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("expiry", {"index": "logs-old"}),
        ("expiry", {"index": "logs-mixed"}),
        ("expiry", {"category": "logs"}),
        ("terminations", {"subject": A1}),
        ("terminations", {"subject": ACCOUNT}),
        ("terminations", {"index": "shared-1"}),
    ],
    ids=["a whole index", "single documents", "a category", "an application", "an account", "an index with others'"],
)
def test_a_hold_that_is_added_in_the_midst_counts_from_the_next_request_on(name: str, what: dict[str, Any]) -> None:
    scenario, added = SCENARIOS[name], Hold(id="h1", owner="o", reason="r", until=BEGIN + 365 * DAY, **what)
    covered: list[Document] = []

    def add(cluster: Cluster) -> None:
        cluster.control = replace(cluster.control, holds=(added,))
        if cluster.calls.made[-1].name not in DESTRUCTIVE:  # else it is under way, and `hold add` waits for its end
            covered.extend(cluster.held_by(added))

    for cluster, process in interrupted(scenario, add):
        for _ in range(2):
            cluster.clock.instant += HOUR
            process.run(scenario.job)
        cluster.check_settled()
        assert not [document for document in covered if document not in cluster.documents()]
        covered.clear()


@pytest.mark.parametrize("what", [{"subject": A1}, {"index": "logs-a1-x"}], ids=["an application", "its index"])
def test_what_is_held_in_the_midst_is_not_left_to_a_lifecycle_that_deletes_at_once(what: dict[str, Any]) -> None:
    scenario = SCENARIOS["left to a lifecycle"]

    def add(cluster: Cluster) -> None:
        added = Hold(id="h1", owner="o", reason="r", until=BEGIN + 365 * DAY, **what)
        cluster.control = replace(cluster.control, holds=(added,))

    for cluster, process in interrupted(scenario, add):
        cluster.clock.instant += HOUR
        process.run(scenario.job)
        cluster.check_settled()
        assert cluster.indices["logs-a1-x"].attachment.policy is None


def test_who_comes_back_in_the_midst_is_not_left_to_a_lifecycle_that_deletes_at_once() -> None:
    scenario = SCENARIOS["left to a lifecycle"]
    for cluster, process in interrupted(scenario, lambda cluster: cluster.requests.add(Ask.REINSTATE, A1)):
        cluster.clock.instant += HOUR
        process.run(scenario.job)
        cluster.check_settled()
        assert {one.attachment.policy for one in cluster.indices.values()} == {None}


@pytest.mark.parametrize("name", ["expiry", "terminations"])
def test_after_a_stop_nothing_goes_until_it_is_taken_back(name: str) -> None:
    scenario = SCENARIOS[name]

    def stop(cluster: Cluster) -> None:
        cluster.stopped = True
        cluster.control = replace(cluster.control, stopped_at=cluster.clock.now())

    for cluster, process in interrupted(scenario, stop):
        there = cluster.documents()
        cluster.clock.instant += HOUR
        process.run(scenario.job)
        assert cluster.documents() == there
        cluster.stopped = False
        cluster.control = replace(cluster.control, stopped_at=None, resumed_at=cluster.clock.now())
        scenario.end(cluster, process)


@EVERY
def test_who_loses_the_lease_changes_nothing_more_and_the_next_holder_finishes(name: str) -> None:
    scenario = SCENARIOS[name]

    def lose(cluster: Cluster) -> None:
        cluster.lease_lost = True

    for cluster, process in interrupted(scenario, lose):
        records, there = len(cluster.ledger.records), cluster.documents()
        process.run(scenario.job)
        assert (len(cluster.ledger.records), cluster.documents()) == (records, there)
        cluster.lease_lost, cluster.epoch = False, 2
        scenario.end(cluster, start(cluster))


@pytest.mark.parametrize("index", ["logs-old", "logs-older", "logs-mixed", ".ds-logs-s-000001"])
def test_what_is_written_in_the_midst_does_not_go_with_what_is_due(index: str) -> None:
    scenario = SCENARIOS["expiry"]
    came: list[Document] = []

    def write(cluster: Cluster) -> None:
        if index in cluster.indices and (document := cluster.write(index, age=0)) is not None:
            came.append(document)

    for cluster, process in interrupted(scenario, write):
        for _ in range(2):
            cluster.clock.instant += HOUR
            process.run(scenario.job)
        cluster.check_settled()
        assert not [document for document in came if document not in cluster.documents()]
        assert len(cluster.documents()) == scenario.stays(cluster) + len(came)
        came.clear()


def test_what_comes_for_a_terminated_account_in_the_midst_goes_too_and_is_counted() -> None:
    scenario = SCENARIOS["terminations"]

    def write(cluster: Cluster) -> None:
        cluster.write("shared-1", age=0, application="a2", account="acc1")

    for cluster, process in interrupted(scenario, write):
        scenario.end(cluster, process)


def test_who_comes_back_in_the_midst_keeps_what_is_left() -> None:
    scenario = SCENARIOS["terminations"]

    def reinstate(cluster: Cluster) -> None:
        cluster.requests.add(Ask.REINSTATE, ACCOUNT)

    for cluster, process in interrupted(scenario, reinstate):
        process.run(scenario.job)
        there = cluster.documents()
        assert not the_one(cluster).is_open
        assert the_one(cluster).documents == len(cluster.destroyed)
        for _ in range(2):
            cluster.clock.instant += QUIET
            process.run(scenario.job)
        assert cluster.documents() == there
        assert not cluster.dirty, "what went before is still in the files"
        cluster.check_settled()


@pytest.mark.parametrize("name", ["expiry", "terminations"])
def test_an_index_that_is_closed_in_the_midst_is_not_taken_for_empty(name: str) -> None:
    scenario = SCENARIOS[name]
    closed = {"expiry": "logs-mixed", "terminations": "shared-1"}[name]

    def close(cluster: Cluster) -> None:
        cluster.indices[closed].closed = True

    for cluster, process in interrupted(scenario, close):
        process.run(scenario.job)
        if name == "expiry":
            assert cluster.ledger.of_kind(Kind.PROOF)[-1]["reason"] == "not kept: closed"
        cluster.indices[closed].closed = False
        scenario.end(cluster, process)


@pytest.mark.parametrize("name", ["logs-old", "logs-mixed"])
def test_an_index_that_is_made_anew_under_the_same_name_in_the_midst_is_another_one(name: str) -> None:
    scenario = SCENARIOS["expiry"]

    def make_anew(cluster: Cluster) -> None:
        if cluster.calls.made[-1].name in {"permit", "control.read", *DESTRUCTIVE}:
            return  # nothing can keep a name from being taken between the last look and the request
        cluster.indices.pop(name, None)
        cluster.add(name, [DAY])

    for cluster, process in interrupted(scenario, make_anew):
        for _ in range(2):
            cluster.clock.instant += HOUR
            process.run(scenario.job)
        cluster.check()
