"""What is remembered between cycles: evidence, approvals that were used, the last verdict."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from builders import DUE_AGE, LIMIT, NOW, apart, facts, index, purge
from retention_enforcer.domain.control import Approval, Control, Order, Shown
from retention_enforcer.domain.errors import Refused
from retention_enforcer.domain.expiry.proof import Proof
from retention_enforcer.domain.facts import Evidence, IndexFacts, Outlook, RefusedRollover
from retention_enforcer.domain.findings import Sighting
from retention_enforcer.domain.instants import DAY, HOUR, MINUTE
from retention_enforcer.domain.lifecycles.vanished import Vanished
from retention_enforcer.domain.own.state_keys import memory_key
from retention_enforcer.domain.plan import Action
from retention_enforcer.enforcement.memory import Managed, Memory, remember

UUID = "uuid-of-logs-a"
EARLIER = NOW - 5 * MINUTE
SEEN = Evidence(oldest=NOW - DAY, first_seen=NOW - HOUR, documents=2, last_trim=NOW - 2 * HOUR)


# --- evidence -----------------------------------------------------------------------------------------


def test_what_is_seen_for_the_first_time_is_remembered_as_of_now() -> None:
    assert remember({}, facts(index(ages=[DAY, HOUR])), ()) == {
        UUID: Evidence(oldest=NOW - DAY, newest=NOW - HOUR, first_seen=NOW, documents=2, name="logs-a")
    }


def test_the_first_sight_stays_while_the_oldest_document_does() -> None:
    now = remember({UUID: SEEN}, facts(index(ages=[DAY, HOUR, MINUTE])), ())
    assert now == {UUID: replace(SEEN, documents=3, newest=NOW - MINUTE, name="logs-a")}


@pytest.mark.parametrize("age", [DAY - 1, DAY + 1], ids=["younger", "older"])
def test_another_oldest_document_is_seen_for_the_first_time(age: int) -> None:
    assert remember({UUID: SEEN}, facts(index(ages=[age])), ())[UUID].first_seen == NOW


def test_a_trim_is_remembered_with_its_time() -> None:
    assert remember({UUID: SEEN}, facts(index(ages=[DAY])), [UUID])[UUID].last_trim == NOW
    assert remember({UUID: SEEN}, facts(index(ages=[DAY])), ["another"])[UUID].last_trim == NOW - 2 * HOUR


def test_a_refused_rollover_is_remembered_as_long_as_it_is_the_write_index() -> None:
    why = RefusedRollover(at=NOW, reason="no room", remedy="make room")
    writing = index(ages=[DAY], write_index=True)
    after = remember({UUID: SEEN}, facts(writing), (), refused={UUID: why})
    memory = Memory(fingerprint="f", evidence=after)
    read = Memory.of(json.loads(json.dumps(memory.body())), "another")
    assert read.evidence[UUID].refused_rollover == why, "a fact, whatever the policy"
    known = replace(writing, evidence=read.evidence[UUID])
    assert remember(read.evidence, facts(known), ())[UUID].refused_rollover == why
    assert remember(read.evidence, facts(replace(known, write_index=False)), ())[UUID].refused_rollover is None


def test_an_index_that_is_gone_is_forgotten() -> None:
    assert remember({UUID: SEEN}, facts(), ()) == {}


def test_an_index_of_the_same_name_is_another_index() -> None:
    after = remember({UUID: SEEN}, facts(index(ages=[DAY], uuid="new")), ())
    known = Evidence(oldest=NOW - DAY, newest=NOW - DAY, first_seen=NOW, documents=1, name="logs-a")
    assert after == {"new": known}


def test_an_index_in_doubt_keeps_what_is_known_of_it_but_for_what_was_seen_coming() -> None:
    known = {UUID: replace(SEEN, outlook=OUTLOOK)}
    assert remember(known, facts(set_apart=[apart("logs-a")]), ()) == {UUID: SEEN}
    assert remember({}, facts(set_apart=[apart("logs-a"), apart("logs", uuid=None)]), ()) == {}


def test_a_lifecycle_is_remembered_until_an_index_is_seen_without() -> None:
    seen = facts(index(ages=[DAY]))
    under = Managed(policy="retention-p-c-plain", deletes_from=NOW + DAY)
    first = remember({}, seen, (), {UUID: under})
    assert (first[UUID].lifecycle, first[UUID].deletes_from) == (under.policy, under.deletes_from)
    assert remember(first, seen, (), {})[UUID].lifecycle == under.policy, "its lifecycle was not seen this time"
    assert remember(first, seen, (), {UUID: None})[UUID].lifecycle is None


def test_names_are_remembered_as_they_may_be_shown() -> None:
    assert remember({}, facts(index(ages=[DAY])), (), {}, str.upper)[UUID].name == "LOGS-A"


def test_what_vanished_is_read_back_as_it_was_written() -> None:
    gone = Vanished(uuid="u", evidence=replace(SEEN, name="logs-a", newest=NOW), at=NOW, ours=False, reason="gone")
    known = Memory(fingerprint="f", vanished=(gone,), evidence={UUID: replace(SEEN, lifecycle="l", deletes_from=1)})
    assert Memory.of(json.loads(json.dumps(known.body())), "f") == known


# --- documents without a date -------------------------------------------------------------------------

DUE_DOCUMENTS = index(ages=[DUE_AGE + HOUR] * 3)
DUE_UNDATED = index(undated=5_000)


def look(known: dict[str, Evidence], one: IndexFacts, at: int) -> dict[str, Evidence]:
    return remember(known, facts(one, now=at), ())


def test_sequence_numbers_are_remembered_where_there_are_undated_documents_alone() -> None:
    assert look({}, DUE_UNDATED, NOW)[UUID].sequence_numbers == (41,)
    assert look({}, DUE_DOCUMENTS, NOW)[UUID].sequence_numbers == ()


def test_sequence_numbers_are_facts_whatever_the_policy() -> None:
    before = Memory(fingerprint="old", evidence=look({}, DUE_UNDATED, NOW))
    body = json.loads(json.dumps(before.body()))
    assert body["indices"][UUID]["sequence_numbers"] == [41]
    assert Memory.of(body, "new").evidence[UUID].sequence_numbers == (41,)
    assert Memory.of(body, "old") == before
    assert before.body() == body


def test_that_there_were_dated_documents_is_remembered_as_long_as_the_policy_is_the_same() -> None:
    dated = look({}, DUE_DOCUMENTS, NOW)
    once = look(dated, DUE_UNDATED, NOW + 1)
    still = look(once, DUE_UNDATED, NOW + 2)
    assert [e[UUID].ever_dated for e in (dated, once, still)] == [True, True, True]
    assert not look({}, DUE_UNDATED, NOW)[UUID].ever_dated
    assert remember({}, facts(DUE_UNDATED), [UUID])[UUID].ever_dated, "a trim took them in the same cycle"
    body = Memory(fingerprint="old", evidence=still).body()
    assert Memory.of(body, "old").evidence[UUID].ever_dated
    assert not Memory.of(body, "new").evidence[UUID].ever_dated


# --- the document -------------------------------------------------------------------------------------

OUTLOOK = Outlook(documents=2, due=0, foreseen=0, coming=1)
FULL = Memory(
    fingerprint="f1",
    evidence={UUID: replace(SEEN, outlook=OUTLOOK), "u2": Evidence(oldest=None, first_seen=NOW, documents=0)},
    findings={"abc": Sighting(first=NOW - DAY, last=NOW)},
    used={"approval-1": [("u1", "delete_documents"), ("u1", "delete_index")]},
    kept=False,
    proven_at=NOW - HOUR,
    looked_at=NOW - MINUTE,
)


@pytest.mark.parametrize("memory", [FULL, Memory(fingerprint="f1")], ids=["full", "empty"])
def test_a_memory_is_read_as_it_was_written(memory: Memory) -> None:
    assert Memory.of(json.loads(json.dumps(memory.body())), "f1") == memory


def test_without_a_document_nothing_is_remembered() -> None:
    assert Memory.of(None, "f1") == Memory(fingerprint="f1")


def test_another_policy_leaves_no_evidence_but_the_times_of_trims() -> None:
    other = Memory.of(FULL.body(), "f2")
    assert other.fingerprint == "f2"
    assert {(e.oldest, e.outlook) for e in other.evidence.values()} == {(None, None)}
    assert other.looked_at is None
    assert other.evidence[UUID].last_trim == NOW - 2 * HOUR
    assert (other.findings, other.used, other.kept, other.proven_at) == (
        FULL.findings,
        FULL.used,
        FULL.kept,
        FULL.proven_at,
    )


@pytest.mark.parametrize("lost", ["fingerprint", "indices", "findings", "used", "proven_at"])
def test_a_document_that_lost_a_part_is_refused(lost: str) -> None:
    body = FULL.body()
    del body[lost]
    with pytest.raises(Refused, match="is not readable"):
        Memory.of(body, "f1")


def test_each_category_has_a_document_of_its_own() -> None:
    assert memory_key("backend-logs") == "category-backend-logs"


# --- approvals ----------------------------------------------------------------------------------------

A, B = purge("logs-a"), purge("logs-b", action=Action.DELETE_DOCUMENTS)


SHOWN = Shown(documents=7, foreseen=2)


def approval(
    key: str = "k1", *, until: int = NOW + 1, pairs: Any = (A.pair, B.pair), policy: str | None = "f1"
) -> Approval:
    shown = dict.fromkeys(pairs, SHOWN)
    return Approval(key=key, pairs=frozenset(pairs), until=until, policy=policy, shown=shown)


FRESH = Memory(fingerprint="f1")


def test_an_approval_holds_until_its_end() -> None:
    control = Control(approvals=(approval(),))
    assert FRESH.approved(control, NOW) == {A.pair: SHOWN, B.pair: SHOWN}
    assert FRESH.approved(control, NOW + 1) == {}


def test_each_pair_of_an_approval_counts_once() -> None:
    control = Control(approvals=(approval(),))
    after_one = FRESH.use(control, [A], NOW)
    assert after_one.approved(control, NOW) == {B.pair: SHOWN}
    after_both = after_one.use(control, [B], NOW)
    assert after_both.approved(control, NOW) == {}


def test_what_was_used_stays_used_after_a_restart() -> None:
    control = Control(approvals=(approval(),))
    stored = json.loads(json.dumps(FRESH.use(control, [A], NOW).body()))
    assert Memory.of(stored, "f1").approved(control, NOW) == {B.pair: SHOWN}


def test_an_approval_counts_under_its_own_policy_alone_and_stays_used_under_it() -> None:
    control = Control(approvals=(approval(),))
    used = FRESH.use(control, [A], NOW)
    other = Memory.of(json.loads(json.dumps(used.body())), "another policy")
    assert other.approved(control, NOW) == {}
    back = Memory.of(json.loads(json.dumps(other.use(control, [B], NOW).body())), "f1")
    assert back.approved(control, NOW) == {B.pair: SHOWN}


def test_an_approval_that_does_not_say_its_policy_or_what_was_shown_releases_nothing() -> None:
    assert FRESH.approved(Control(approvals=(approval(policy=None),)), NOW) == {}
    assert FRESH.approved(Control(approvals=(replace(approval(), shown={}),)), NOW) == {}


def test_of_two_approvals_of_the_same_the_one_that_showed_more_counts() -> None:
    more = Shown(documents=9, foreseen=0)
    both = (approval("k1"), replace(approval("k2"), shown={A.pair: more}))
    for those in (both, both[::-1]):
        assert FRESH.approved(Control(approvals=those), NOW) == {A.pair: more, B.pair: SHOWN}


def test_a_purge_that_nobody_approved_uses_nothing_up() -> None:
    control = Control(approvals=(approval(pairs=[A.pair]),))
    assert FRESH.use(control, [B], NOW) == FRESH


def test_a_second_approval_of_the_same_plan_counts_again() -> None:
    used = FRESH.use(Control(approvals=(approval("k1"),)), [A, B], NOW)
    assert used.approved(Control(approvals=(approval("k1"), approval("k2"))), NOW).keys() == {A.pair, B.pair}


def test_approvals_that_have_ended_or_were_taken_back_are_forgotten() -> None:
    control = Control(approvals=(approval("k1"), approval("k2", until=NOW + DAY)))
    used = FRESH.use(control, [A], NOW)
    assert used.used.keys() == {"k1", "k2"}
    assert used.use(control, [], NOW + 1).used.keys() == {"k2"}
    assert used.use(Control(), [], NOW).used == {}


# --- when a proof is recorded -------------------------------------------------------------------------


def proof(*, kept: bool) -> Proof:
    return Proof(
        category="logs", as_of=NOW, kept=kept, limit=LIMIT, indices=0, documents=0, oldest=None, overdue=0, findings=()
    )


@pytest.mark.parametrize(
    ("before", "proven_at", "kept", "expected"),
    [
        pytest.param(None, 0, True, True, id="the first"),
        pytest.param(True, NOW - 1, True, False, id="the same verdict"),
        pytest.param(True, NOW - 1, False, True, id="a promise broken"),
        pytest.param(False, NOW - 1, True, True, id="a promise kept again"),
        pytest.param(False, NOW - 1, False, False, id="still broken"),
        pytest.param(True, NOW - DAY + 1, True, False, id="a millisecond before a day has passed"),
        pytest.param(True, NOW - DAY, True, True, id="after a day"),
    ],
)
def test_a_proof_is_recorded_when_its_verdict_changes_and_daily(
    before: bool | None, proven_at: int, kept: bool, expected: bool
) -> None:
    assert Memory(fingerprint="f1", kept=before, proven_at=proven_at).must_prove(proof(kept=kept)) is expected


# --- orders -------------------------------------------------------------------------------------------


def order(category_id: str = "media", key: str = "o1", *, until: int = NOW + 1, pairs: Any = (A.pair, B.pair)) -> Order:
    return Order(key=key, pairs=frozenset(pairs), until=until, category=category_id, policy="f1")


def test_an_order_is_for_its_own_category_until_its_end() -> None:
    control = Control(orders=(order(), order("keys", "o2", pairs=[("u9", "delete_index")])))
    assert FRESH.ordered("media", control, NOW) == {A.pair, B.pair}
    assert FRESH.ordered("media", control, NOW + 1) == frozenset()
    assert FRESH.ordered("logs", control, NOW) == frozenset()


def test_an_approval_orders_nothing_and_an_order_approves_nothing() -> None:
    assert FRESH.ordered("media", Control(approvals=(approval(),)), NOW) == frozenset()
    assert FRESH.approved(Control(orders=(order(),)), NOW) == {}


def test_each_pair_of_an_order_counts_once_also_after_a_restart() -> None:
    control = Control(orders=(order(),))
    stored = json.loads(json.dumps(FRESH.use(control, [replace(A, ordered=True)], NOW).body()))
    assert Memory.of(stored, "f1").ordered("media", control, NOW) == {B.pair}
    assert Memory.of(stored, "another policy").ordered("media", control, NOW) == frozenset()


def test_what_goes_by_its_age_uses_no_order_up() -> None:
    control = Control(approvals=(approval(),), orders=(order(),))
    assert FRESH.use(control, [A], NOW).ordered("media", control, NOW) == {A.pair, B.pair}
    assert FRESH.use(control, [A], NOW).approved(control, NOW) == {B.pair: SHOWN}


def test_when_a_cycle_last_purged_is_remembered_whatever_the_policy() -> None:
    body = json.loads(json.dumps(replace(FULL, purged_at=NOW).body()))
    assert Memory.of(body, "f1").purged_at == Memory.of(body, "f2").purged_at == NOW
    assert "purged_at" not in FULL.body()
