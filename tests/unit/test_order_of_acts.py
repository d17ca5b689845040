"""The enforcer over a cluster in memory: in which order it acts, and what it makes of what it cannot do or see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from builders import category
from in_memory import BEGIN, Cluster, Fault
from memory_bench import (
    COVERAGE,
    FINGERPRINT,
    LOGS,
    OTHER,
    TERMINATIONS,
    Process,
    aged,
    planner,
    quiet,
    start,
    tenants,
    told,
)
from retention_enforcer.domain.control import Approval, Control, Shown
from retention_enforcer.domain.errors import ClusterUnavailable
from retention_enforcer.domain.expiry.fuse import FLOOR, UnsafePlan
from retention_enforcer.domain.facts import Block
from retention_enforcer.domain.holds.hold import Hold
from retention_enforcer.domain.instants import DAY, HOUR
from retention_enforcer.domain.ledger.records import Kind
from retention_enforcer.domain.policy.promises import Policy

OLD = 20 * DAY


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with quiet():
        yield


def started(cluster: Cluster, max_share: float = 1.0) -> Process:
    """Return a process that has started."""
    process = start(cluster, max_share=max_share)
    process.run("none, but start")
    cluster.calls.made.clear()
    return process


def names(cluster: Cluster) -> list[str]:
    """Return the calls that were made, in their order."""
    return [call.name for call in cluster.calls.made]


def one_index(*, due: int, young: int = 0) -> Cluster:
    """Return a cluster of one index, with so many documents that are due, and so many that are not."""
    cluster = Cluster(Policy(name="p", categories=(category("logs"), category("other", indices=("other-*",)))))
    if due or young:
        cluster.add("logs-a", [OLD] * due + [DAY] * young)
    return cluster


def rolled_by_hand() -> Cluster:
    """Return a cluster of one index that is written to no more, and has a lifecycle to come."""
    cluster = one_index(due=0)
    cluster.add("logs-a", [3 * DAY])
    return cluster


# --- the order ---------------------------------------------------------------------------------------------


def test_a_whole_index_goes_in_this_order() -> None:
    cluster = one_index(due=1)
    started(cluster).run(LOGS)
    made = names(cluster)
    last = made.index("deletion.delete_indices")
    first = last - 9
    assert made[first : last + 3] == [
        "ledger._create",  # the intent
        "deletion.identities",  # is it still what was planned?
        "permit",
        "state.save",  # which block is about to be put on
        "permit",
        "deletion.stop_writes",
        "deletion.identities",  # the last look, under the block
        "permit",
        "control.read",  # the operator has the last word
        "deletion.delete_indices",
        "deletion.existing",  # what became of it
        "ledger._create",  # its outcome
    ]
    assert [r.get("outcome") for r in cluster.ledger.records if r.get("action") == "delete_index"] == [None, "done"]


def test_single_documents_go_in_this_order_and_the_word_is_asked_for_before_each_page() -> None:
    cluster = one_index(due=3, young=1)
    started(cluster).run(LOGS)
    made = names(cluster)
    page = ["deletion._search", "permit", "control.read", "deletion._delete_page"]
    first = made.index("deletion._search") - 1
    assert made[first : first + 12] == [
        "ledger._create",
        *page,
        *page,
        "deletion._search",
        "deletion._count",
        "ledger._create",
    ]


def test_a_lifecycle_is_attached_in_this_order() -> None:
    cluster = rolled_by_hand()
    started(cluster).run(LOGS)
    made = names(cluster)
    at = made.index("lifecycles._set")
    assert made[at - 5 : at + 4] == [
        "lifecycles.attachments_of",  # is it still what was looked at?
        "ledger._create",
        "permit",
        "control.read",
        "lifecycles.attachments_of",
        "lifecycles._set",
        "lifecycles.attachments_of",
        "ledger._create",
        "control.read",  # the look of `hold add` may have been before it
    ]
    assert cluster.indices["logs-a"].attachment.policy == "retention-p-logs-plain"


def test_a_rollover_whose_answer_was_lost_is_not_asked_for_again_in_the_same_run() -> None:
    cluster = aged()
    process = started(cluster)
    cluster.calls.fail(names_until(cluster, "deletion.roll_over"), Fault.LATE)
    process.run(LOGS)
    assert names(cluster).count("deletion.roll_over") == 1


def names_until(cluster: Cluster, name: str) -> int:
    """Return the number of the first call of this name in a run over the same cluster, in which nothing goes wrong."""
    twin = aged() if ".ds-logs-s-000001" in cluster.indices else one_index(due=1)
    started(twin).run(LOGS)
    return names(twin).index(name)


# --- what is not known -------------------------------------------------------------------------------------


def test_an_outcome_that_was_stored_while_its_answer_was_lost_is_the_only_one() -> None:
    cluster = one_index(due=1)
    process = started(cluster)
    outcome = names_until(cluster, "deletion.existing") + 1
    cluster.calls.fail(outcome, Fault.LOST, lasts_for="ledger")
    assert process.run(LOGS)[LOGS] == ClusterUnavailable.exit_code
    cluster.calls.go_well()
    process.run(LOGS)
    assert [r.get("outcome") for r in cluster.ledger.records if r.get("action") == "delete_index"] == [None, "done"]


def left_unknown() -> tuple[Cluster, Process]:
    """Return a cluster whose only index was deleted, and a process that could not look whether it is gone."""
    cluster = one_index(due=1)
    process = started(cluster)
    cluster.calls.fail(names_until(cluster, "deletion.existing"), Fault.UNAVAILABLE, lasts_for="deletion")
    process.run(LOGS)
    assert not cluster.indices
    return cluster, process


def outcomes(cluster: Cluster) -> list[str]:
    """Return what the ledger says of the one intent, in its order."""
    (intent,) = cluster.ledger.of_kind(Kind.INTENT)
    return [r["outcome"] for r in cluster.ledger.records if r.get("intent") == intent["sequence"]]


def test_what_cannot_be_told_when_it_is_asked_for_again_is_asked_for_once_more() -> None:
    cluster, process = left_unknown()
    cluster.calls.fail(-1, Fault.UNAVAILABLE, lasts_for="deletion")
    process.run(LOGS)
    assert outcomes(cluster) == ["unknown"], "nothing new is known, so nothing is said again"
    cluster.calls.go_well()
    process.run(LOGS)
    assert outcomes(cluster) == ["unknown", "done"]


def test_a_start_that_cannot_tell_what_became_of_an_act_asks_again_before_the_next_run() -> None:
    cluster, _ = left_unknown()
    cluster.calls.fail(-1, Fault.UNAVAILABLE, lasts_for="deletion")
    process = start(cluster)
    process.run("none, but start")
    assert process.started
    cluster.calls.go_well()
    process.run(OTHER)
    assert outcomes(cluster) == ["unknown"]
    process.run(LOGS)
    assert outcomes(cluster) == ["unknown", "done"]


def test_a_ledger_that_refuses_a_record_is_not_taken_for_lifecycles_that_cannot_be_used() -> None:
    twin = rolled_by_hand()
    started(twin).run(LOGS)
    cluster = rolled_by_hand()
    process = started(cluster)
    cluster.calls.fail(names(twin).index("lifecycles._set") + 2, Fault.REJECTED)
    assert process.run(LOGS)[LOGS] == ClusterUnavailable.exit_code
    assert "the ledger cannot be used" in process.told["logs"].message
    cluster.calls.go_well()
    process.run(LOGS)
    cluster.check_settled()


def test_a_change_of_a_lifecycle_that_nobody_could_look_at_is_settled_before_the_next_run() -> None:
    twin = rolled_by_hand()
    started(twin).run(LOGS)
    cluster = rolled_by_hand()
    process = started(cluster)
    cluster.calls.fail(names(twin).index("lifecycles._set"), Fault.REJECTED, lasts_for="lifecycles")
    process.run(LOGS)
    cluster.calls.go_well()
    process.run(LOGS)
    cluster.check_settled()


def test_what_cannot_be_looked_into_is_set_apart_with_its_cause_and_stops_nothing_else() -> None:
    cluster = aged()
    cluster.indices["logs-mixed"].closed = True
    process = started(cluster)
    codes = process.run()
    assert codes[LOGS] == 3
    assert {"logs-old", "logs-older", "other-old"}.isdisjoint(cluster.indices)
    assert "logs-mixed" in cluster.indices
    proofs = {record["category"]: record["reason"] for record in cluster.ledger.of_kind(Kind.PROOF)}
    assert proofs == {"logs": "not kept: closed", "other": "kept"}
    (finding,) = [r for r in cluster.ledger.of_kind(Kind.FINDING) if r.get("category") == "logs"]
    assert "logs-mixed is closed" in finding["reason"]


@pytest.mark.parametrize("fault", [Fault.UNAVAILABLE, Fault.REJECTED], ids=lambda fault: fault.name.lower())
def test_whatever_fails_in_one_category_the_others_are_looked_at(fault: Fault) -> None:
    cluster = aged()
    started(cluster).run(LOGS)
    for number, call in enumerate(list(cluster.calls.made)):
        if not call.can(fault):
            continue
        cluster = aged()
        process = started(cluster)
        cluster.calls.fail(number, fault)
        with told(number, call):
            process.run(LOGS)
            cluster.calls.go_well()
            codes = process.run(OTHER, TERMINATIONS, COVERAGE)
            assert codes == {OTHER: 0, TERMINATIONS: 0, COVERAGE: 0}
            assert "other-old" not in cluster.indices


# --- what is not done --------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [aged, tenants])
def test_plan_mode_changes_nothing(make: Callable[[], Cluster]) -> None:
    cluster = make()
    cluster.indices[next(iter(cluster.indices))].closed = True
    plans = planner(cluster)
    plans.start()
    plans.work_on_terminations()
    for one in cluster.policy.categories:
        plans.run(one.id)
    plans.cover()
    plans.finish()
    assert not [call for call in cluster.calls.made if call.changes or call.name == "permit"]
    assert not cluster.ledger.records
    assert not cluster.state.documents


def test_plan_mode_says_what_enforce_mode_then_does() -> None:
    cluster = aged()
    planned = planner(cluster).run("logs").plan
    acted = started(cluster).enforcer.run("logs")
    assert [purge.pair for purge in planned.purge] == [purge.pair for purge in acted.plan.purge]
    assert acted.purged_documents == sum(purge.documents for purge in planned.purge)


def test_a_category_that_is_not_enforced_is_looked_at_alone() -> None:
    cluster = aged(enforce=False)
    there = len(cluster.documents())
    codes = started(cluster).run(LOGS)
    assert codes[LOGS] == 3
    assert len(cluster.documents()) == there


def test_the_first_look_past_the_policy_finds_what_no_category_claims() -> None:
    cluster = aged()
    cluster.add("billing", [DAY])
    look = started(cluster).enforcer.cover()
    (finding,) = look.findings
    assert finding.kind == "unclaimed"
    assert "billing" in finding.text
    (record,) = [r for r in cluster.ledger.of_kind(Kind.FINDING) if r["action"] == "opened"]
    assert "billing" in record["reason"]
    assert not [r for r in cluster.ledger.records if r["kind"] == Kind.INTENT]


# --- the fuse ----------------------------------------------------------------------------------------------


def too_much() -> Cluster:
    """Return a cluster in which more than half of a category is due at once, and nobody has foreseen it."""
    cluster = one_index(due=FLOOR, young=FLOOR // 2)
    cluster.add("other-old", [OLD])
    return cluster


def approval(cluster: Cluster, documents: int) -> Approval:
    """Return the release of what is due in the large index."""
    pair = (cluster.indices["logs-a"].uuid, "delete_documents")
    shown = {pair: Shown(documents=documents, foreseen=0)}
    return Approval(key="one", pairs=frozenset({pair}), until=BEGIN + DAY, policy=FINGERPRINT, shown=shown)


def test_the_fuse_lets_nothing_go_and_concerns_no_other_category() -> None:
    cluster = too_much()
    process = started(cluster, max_share=0.3)
    result = process.enforcer.run("logs")
    assert isinstance(result.refused, UnsafePlan)
    assert not result.proof.kept
    assert {finding.kind for finding in result.proof.findings} >= {"unsafe-plan", "overdue"}
    assert not cluster.destroyed
    assert not [r for r in cluster.ledger.records if r["kind"] == Kind.INTENT]
    process.run(OTHER)
    assert "other-old" not in cluster.indices


def test_what_the_fuse_refused_does_not_count_as_foreseen_by_that() -> None:
    cluster = too_much()
    process = started(cluster, max_share=0.3)
    for _ in range(3):
        process.run(LOGS)
        cluster.clock.instant += HOUR
    assert not cluster.destroyed


def test_an_approval_counts_once_and_for_no_more_than_was_shown() -> None:
    cluster = too_much()
    cluster.control = Control(approvals=(approval(cluster, FLOOR // 2),))
    process = started(cluster, max_share=0.3)
    process.run(LOGS)
    assert not cluster.destroyed, "twice as many would go as somebody has looked at"
    cluster.control = Control(approvals=(replace(approval(cluster, FLOOR), key="two"),))
    process.run(LOGS)
    assert len(cluster.destroyed) == FLOOR
    cluster.add("logs-a", [OLD] * FLOOR)
    cluster.clock.instant += HOUR
    process.run(LOGS)
    assert len(cluster.destroyed) == FLOOR, "the approval is used up"


def test_an_approval_is_used_up_before_anything_goes_whatever_happens_then() -> None:
    cluster = too_much()
    cluster.control = Control(approvals=(approval(cluster, FLOOR),))
    process = started(cluster, max_share=0.3)
    cluster.stopped = True
    process.run(LOGS)
    cluster.stopped = False
    process.run(LOGS)
    assert not cluster.destroyed


# --- holds -------------------------------------------------------------------------------------------------


def test_a_hold_spares_what_it_is_on_and_the_rest_goes() -> None:
    cluster = aged()
    held = Hold(id="h1", owner="o", reason="r", until=BEGIN + DAY, index="logs-old")
    cluster.control = Control(holds=(held,))
    process = started(cluster)
    process.run(LOGS)
    assert "logs-old" in cluster.indices
    assert "logs-older" not in cluster.indices
    cluster.clock.instant += DAY
    process.run(LOGS)
    assert "logs-old" not in cluster.indices


def test_a_write_block_of_somebody_else_stays_where_the_index_stays() -> None:
    cluster = one_index(due=1)
    cluster.indices["logs-a"].block_of_theirs()
    cluster.refuses_deletions = True
    started(cluster).run(LOGS)
    assert cluster.indices["logs-a"].blocks == {Block.WRITE}
    cluster.check_settled()
