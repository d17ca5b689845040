"""The rules of an erasure: when an index is erased, which step is next, and that any step may be lost."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retention_enforcer.domain.erasure.facts import Expunge, Gone, LeaseBehind, Mark, Remains, ShardCopy
from retention_enforcer.domain.erasure.steps import (
    MANY_PASSES,
    POLL,
    RARELY,
    RETENTION_LEASE_PATIENCE,
    RETENTION_LEASE_RENEWAL,
    Act,
    Erased,
    ErasureProgress,
    NotYet,
    judge,
    next_step,
)
from retention_enforcer.domain.errors import Refused
from retention_enforcer.domain.facts import Block
from retention_enforcer.domain.instants import DAY, SECOND

NOW = 1_769_846_400_000
MARK = Mark(uuid="u", sequence_numbers=(41, 7), copies=2, configured=4, nodes={"n1": "node-1"}, allowed=None)
EXPUNGE = Expunge(uuid="u", task="n1:7", allowed=None, held={"a0": ("_0", "_1"), "a1": ()})
LEASE = LeaseBehind(id="peer_recovery/n2", source="peer recovery", shard=0, behind=12)


def copy(shard: int = 0, **more: Any) -> ShardCopy:
    values: dict[str, Any] = {"allocation": f"a{shard}", "node": "node-1", "deleted": 0, **more}
    return ShardCopy(shard=shard, **values)


def remains(*copies: ShardCopy, **more: Any) -> Remains:
    return Remains(copies=copies or (copy(0), copy(1)), **{"nodes": frozenset({"n1", "n2"}), **more})


def reasons(seen: Remains, **more: Any) -> tuple[str, ...]:
    verdict = judge(seen, MARK, **more)
    assert isinstance(verdict, NotYet)
    return verdict.reasons


# --- the verdict --------------------------------------------------------------------------------------


def test_an_index_without_a_deleted_document_on_any_copy_is_erased() -> None:
    assert judge(remains(), MARK) == Erased()


def test_an_index_that_is_gone_is_erased() -> None:
    assert judge(Gone(), MARK) == Erased(gone=True)


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (remains(open=False), "the index is closed"),
        (remains(away=("shard 0, NODE_LEFT",)), "a shard copy is not assigned (shard 0, NODE_LEFT)"),
        (
            remains(unsettled=("shard 1, INITIALIZING",)),
            "a shard copy is initializing or relocating (shard 1, INITIALIZING)",
        ),
        (remains(nodes=frozenset({"n2"})), "node node-1 had a shard copy"),
        (remains(unused=("shard 0 on node-3",)), "files of a former shard copy are left (shard 0 on node-3)"),
        (remains(copy(deleted=1)), "1 deleted document left on 1 of 1 shard copy"),
        (remains(copy(segments=("_3",))), "0 deleted documents left on 1 of 1 shard copy"),
        (remains(copy(0, deleted=1_000), copy(1)), "1,000 deleted documents left on 1 of 2 shard copies"),
        (remains(copy(contexts=1)), "a point in time, scroll or search is open on 1 shard: the old files stay until"),
        (remains(copy(recoveries=2)), "a recovery is reading from 1 shard copy"),
        (remains(snapshot=True), "a snapshot of the index is in progress"),
        (remains(copy(logged=1, committed=40)), "the translog of 1 shard copy"),
        (remains(copy(1, logged=1, committed=6)), "the translog of 1 shard copy"),
        (remains(copy(2, logged=1, committed=99)), "the translog of 1 shard copy"),
    ],
)
def test_each_of_these_is_the_one_reason_against_it(seen: Remains, reason: str) -> None:
    (only,) = reasons(seen)
    assert only.startswith(reason)


def test_an_index_without_any_copy_is_not_erased() -> None:
    assert reasons(Remains(copies=(), nodes=frozenset({"n1"}))) == (
        "no shard copy of the index is assigned: check the cluster's health",
    )


@pytest.mark.parametrize("kept", [copy(logged=9, committed=41), copy(1, logged=9, committed=7)])
def test_operations_of_after_the_mark_may_be_in_the_log(kept: ShardCopy) -> None:
    assert judge(remains(kept), MARK) == Erased()


def test_on_a_live_index_what_is_deleted_later_does_not_count() -> None:
    live = remains(copy(0, deleted=5, segments=("_7",)), copy(1, deleted=1, segments=("_2",)))
    assert judge(live, MARK, EXPUNGE.held) == Erased()


def test_a_segment_that_could_hold_one_of_the_documents_counts_on_its_own_copy_only() -> None:
    left = remains(copy(0, deleted=5, segments=("_1", "_7")), copy(1, deleted=2, segments=("_0",)))
    assert reasons(left, held=EXPUNGE.held) == ("5 deleted documents left on 1 of 2 shard copies",)


def test_of_a_copy_of_which_nothing_was_noted_every_deleted_document_counts() -> None:
    built_anew = remains(copy(0, allocation="b0", deleted=5, segments=("_7",)))
    assert reasons(built_anew, held=EXPUNGE.held) == ("5 deleted documents left on 1 of 1 shard copy",)


def test_a_merge_and_a_block_are_told_only_where_documents_are_left() -> None:
    blocks = frozenset({Block.METADATA, Block.WRITE})
    assert judge(remains(copy(merging=1), blocks=blocks), MARK) == Erased()
    told = reasons(remains(copy(deleted=1, merging=1), blocks=blocks))
    assert [reason.split()[0] for reason in told] == ["1", "a", "index.blocks.metadata"]


def test_a_copy_that_had_no_search_open_at_some_time_since_keeps_nothing_for_one() -> None:
    busy = remains(copy(0, contexts=1), copy(1, contexts=1))
    assert judge(busy, MARK, released=("a0", "a1")) == Erased()
    assert "open on 1 shard:" in reasons(busy, released=("a0",))[0]


@given(st.lists(st.sampled_from(["away", "documents", "context", "recovery", "snapshot", "log"]), unique=True))
def test_the_number_of_reasons_is_that_of_the_causes(causes: list[str]) -> None:
    seen = remains(
        copy(
            deleted=int("documents" in causes),
            contexts=int("context" in causes),
            recoveries=int("recovery" in causes),
            logged=int("log" in causes),
        ),
        away=("shard 0, NODE_LEFT",) if "away" in causes else (),
        snapshot="snapshot" in causes,
    )
    verdict = judge(seen, MARK)
    assert (verdict == Erased()) == (not causes)
    if isinstance(verdict, NotYet):
        assert len(verdict.reasons) == len(causes)
        assert verdict.documents == ("documents" in causes)


# --- the steps ----------------------------------------------------------------------------------------

NEW = ErasureProgress(index="logs-a", uuid="u")


def acts(progress: ErasureProgress) -> Act:
    return next_step(progress, NOW).act


def at_check(passes: int = 1, **more: Any) -> ErasureProgress:
    return replace(NEW, act=Act.CHECK, mark=MARK, since=NOW, due=NOW, passes=passes, held=EXPUNGE.held, **more)


def test_an_erasure_where_nothing_is_in_its_way() -> None:
    progress, seen = NEW, []
    for step in (
        lambda p: p.marked(MARK, NOW),
        lambda p: p.waited((LEASE,), NOW),
        lambda p: p.waited((), NOW),
        lambda p: p.begun(EXPUNGE, NOW),
        lambda p: p.watched(finished=False, now=NOW),
        lambda p: p.watched(finished=True, now=NOW),
        lambda p: p.restored(NOW),
        lambda p: p.checked(remains(), NOW),
    ):
        seen.append(acts(progress))
        progress = step(progress)
    assert seen == ["mark", "wait", "wait", "expunge", "watch", "watch", "restore", "check"]
    assert next_step(progress, NOW) == next_step(progress, NOW + DAY).__class__(act=Act.DONE, at=NOW)
    assert (progress.gone, progress.passes, progress.expunge) == (False, 1, None)


@pytest.mark.parametrize(
    ("waited", "pause"),
    [(0, POLL), (RETENTION_LEASE_PATIENCE - 1, POLL), (RETENTION_LEASE_PATIENCE, RETENTION_LEASE_RENEWAL)],
)
def test_leases_are_looked_at_every_two_seconds_and_more_rarely_when_they_do_not_move(waited: int, pause: int) -> None:
    progress = NEW.marked(MARK, NOW).waited((LEASE,), NOW + waited)
    assert next_step(progress, NOW + waited).at == NOW + waited + pause


def test_a_lease_that_does_not_move_is_an_alarm_after_ninety_seconds_by_name() -> None:
    progress = NEW.marked(MARK, NOW).waited((LEASE,), NOW + 2 * SECOND)
    assert next_step(progress, NOW + RETENTION_LEASE_PATIENCE - 1).alarm is None
    alarm = next_step(progress, NOW + RETENTION_LEASE_PATIENCE).alarm
    assert alarm is not None
    assert alarm.startswith("logs-a could not be erased for 1 min 30 s: ")
    assert "lease peer_recovery/n2 (peer recovery) of shard 0 is 12 operations behind" in alarm


def test_a_followers_lease_is_named_and_never_removed() -> None:
    ccr = replace(LEASE, id="f-following-l", source="ccr", behind=1)
    alarm = next_step(NEW.marked(MARK, NOW).waited((ccr,), NOW), NOW + RETENTION_LEASE_PATIENCE).alarm
    assert alarm is not None
    assert "lease f-following-l (ccr) of shard 0 is 1 operation behind; let the follower index" in alarm
    assert "the enforcer never removes its retention lease" in alarm


def test_where_documents_are_left_it_is_expunged_again_after_a_renewal_and_then_ever_more_rarely() -> None:
    pauses = []
    for passes in (1, 2, 3, 100):
        progress = at_check(passes).checked(remains(copy(0, deleted=3, segments=("_1",))), NOW)
        pauses.append(next_step(progress, NOW).at - NOW)
        assert acts(progress) is Act.WAIT
        assert ["3 deleted documents left" in reason for reason in progress.reasons] == [True]
    assert pauses == [RETENTION_LEASE_RENEWAL, 2 * RETENTION_LEASE_RENEWAL, 3 * RETENTION_LEASE_RENEWAL, RARELY]


def test_where_only_files_are_kept_it_looks_again_without_another_expunge() -> None:
    viewed = remains(copy(0, contexts=1))
    progress = at_check().checked(viewed, NOW)
    assert (acts(progress), next_step(progress, NOW).at) == (Act.CHECK, NOW + POLL)
    later = progress.checked(viewed, NOW + 10 * SECOND)
    assert next_step(later, NOW + 10 * SECOND).at == NOW + 20 * SECOND
    assert next_step(later.checked(viewed, NOW + DAY), NOW + DAY).at == NOW + DAY + RARELY
    assert acts(later.checked(remains(), NOW + DAY)) is Act.DONE


def test_searches_that_never_rest_at_the_same_time_do_not_keep_it_open_for_ever() -> None:
    progress = at_check().checked(remains(copy(0, contexts=1), copy(1)), NOW)
    assert acts(progress) is Act.CHECK
    assert acts(progress.checked(remains(copy(0), copy(1, contexts=1)), NOW)) is Act.DONE


def test_but_each_expunge_has_files_of_its_own_to_release() -> None:
    progress = at_check(released=("a0",)).restored(NOW)
    assert acts(progress.checked(remains(copy(0, contexts=1)), NOW)) is Act.CHECK


def test_what_the_first_expunge_met_is_what_counts_and_later_ones_add_new_copies() -> None:
    second = replace(EXPUNGE, held={"a0": ("_8",), "b0": ("_9",)})
    progress = NEW.marked(MARK, NOW).begun(EXPUNGE, NOW).restored(NOW).begun(second, NOW)
    assert progress.held == {"a0": ("_0", "_1"), "a1": (), "b0": ("_9",)}
    assert progress.passes == 2


def test_an_expunge_that_failed_is_told_until_the_next_one_begins() -> None:
    failed = NEW.marked(MARK, NOW).begun(EXPUNGE, NOW).watched(finished=True, now=NOW, failure="no space left")
    assert acts(failed) is Act.RESTORE
    progress = failed.restored(NOW).checked(remains(copy(deleted=1, segments=("_1",))), NOW)
    assert progress.reasons[-1].endswith("no space left")
    assert progress.begun(EXPUNGE, NOW).failure == ""


def test_many_expunges_without_success_are_an_alarm() -> None:
    left = remains(copy(0, deleted=3, segments=("_1",)))
    assert next_step(at_check(MANY_PASSES - 1).checked(left, NOW), NOW).alarm is None
    alarm = next_step(at_check(MANY_PASSES).checked(left, NOW), NOW).alarm
    assert alarm is not None
    assert "not erased after 5 force merges: 3 deleted documents left" in alarm
    assert next_step(at_check(MANY_PASSES).checked(remains(), NOW), NOW).alarm is None


def test_an_index_that_goes_is_erased_wherever_it_was() -> None:
    for progress in (NEW.lost(NOW), at_check().checked(Gone(), NOW)):
        assert (acts(progress), progress.gone) == (Act.DONE, True)


def test_a_clock_that_was_set_back_delays_the_next_step_by_minutes_not_by_days() -> None:
    progress = NEW.marked(MARK, NOW).waited((LEASE,), NOW)
    assert next_step(progress, NOW - DAY).at == NOW - DAY + RARELY


# --- what is stored -----------------------------------------------------------------------------------

TEXT = st.text(max_size=9)
NUMBER = st.integers(min_value=-1, max_value=2**53)
HELD = st.dictionaries(TEXT, st.lists(TEXT, max_size=3).map(tuple), max_size=3)
MARKS = st.builds(
    Mark,
    uuid=TEXT,
    sequence_numbers=st.lists(NUMBER, max_size=3).map(tuple),
    copies=NUMBER,
    configured=NUMBER,
    nodes=st.dictionaries(TEXT, TEXT, max_size=3),
    allowed=st.none() | TEXT,
)
EXPUNGES = st.builds(Expunge, uuid=TEXT, task=TEXT, allowed=st.none() | TEXT, held=HELD)
LEASES = st.builds(LeaseBehind, id=TEXT, source=TEXT, shard=NUMBER, behind=NUMBER)
PROGRESS = st.builds(
    ErasureProgress,
    index=TEXT,
    uuid=TEXT,
    act=st.sampled_from(Act),
    since=NUMBER,
    due=NUMBER,
    mark=MARKS,
    behind=st.lists(LEASES, max_size=2).map(tuple),
    expunge=EXPUNGES,
    held=HELD,
    passes=NUMBER,
    failure=TEXT,
    released=st.lists(TEXT, max_size=2).map(tuple),
    reasons=st.lists(TEXT, max_size=2).map(tuple),
    gone=st.booleans(),
)


@given(PROGRESS)
def test_a_progress_is_read_as_it_was_stored(progress: ErasureProgress) -> None:
    assert ErasureProgress.of(json.loads(json.dumps(progress.body()))) == progress


def test_a_new_one_is_read_as_it_was_stored() -> None:
    assert ErasureProgress.of(json.loads(json.dumps(NEW.body()))) == NEW


@pytest.mark.parametrize(
    "change",
    [
        {"act": "rest"},
        {"uuid": 1, "since": "x"},
        {"mark": {}},
        {"behind": [{}]},
        {"held": {"a": []}},
        {"act": "watch", "expunge": None},
        {"act": "restore", "expunge": None},
    ],
)
def test_a_progress_that_cannot_be_read_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(Refused, match="the progress of an erasure is not readable"):
        ErasureProgress.of({**NEW.body(), **change})
    with pytest.raises(Refused, match="not readable"):
        ErasureProgress.of({})
