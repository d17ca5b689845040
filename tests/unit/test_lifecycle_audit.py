"""Who deleted what the enforcer did not delete, as far as it can be told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from builders import NOW, apart, facts, index
from retention_enforcer.domain.facts import Evidence
from retention_enforcer.domain.findings import Severity
from retention_enforcer.domain.instants import DAY, HOUR, MINUTE, format_instant
from retention_enforcer.domain.lifecycles.exemption import STREAM_LIFECYCLE
from retention_enforcer.domain.lifecycles.vanished import (
    TOLD_FOR,
    HistoryEntry,
    judge_vanished,
    missing,
    purged_by_the_enforcer,
    still_told,
    vanished_finding,
    with_attached,
)

OURS = "retention-trtc-backend-logs-plain"
KNOWN = Evidence(
    oldest=NOW - DAY, first_seen=NOW - HOUR, documents=7, name="logs-a", lifecycle=OURS, deletes_from=NOW - MINUTE
)


def told(index: str = "logs-a", policy: str = OURS, at: int = NOW - MINUTE) -> HistoryEntry:
    return HistoryEntry(index=index, policy=policy, at=at)


@pytest.mark.parametrize(
    ("known", "history", "ours", "said"),
    [
        (KNOWN, [told()], True, "according to ilm-history"),
        (KNOWN, [], True, "ilm-history does not mention it"),
        (KNOWN, None, True, "ilm-history cannot be read"),
        (KNOWN, [told("logs-b")], True, "ilm-history does not mention it"),
        (replace(KNOWN, deletes_from=NOW + 1), [told()], True, "according to ilm-history"),
        (replace(KNOWN, deletes_from=NOW + 1), [], False, "neither the enforcer nor"),
        (replace(KNOWN, deletes_from=None), [], False, "neither the enforcer nor"),
        (replace(KNOWN, lifecycle=None, deletes_from=None), [], False, "it had no lifecycle"),
        (replace(KNOWN, lifecycle="theirs", deletes_from=None), [], False, "it had the lifecycle theirs"),
        (KNOWN, [told(policy="theirs")], False, "deleted by lifecycle policy theirs, which"),
        (KNOWN, [told(at=KNOWN.first_seen - HOUR)], True, "ilm-history does not mention it"),
        (KNOWN, [told(at=KNOWN.first_seen - MINUTE)], True, "according to ilm-history"),
    ],
)
def test_by_whom(known: Evidence, history: list[HistoryEntry] | None, ours: bool, said: str) -> None:
    found = judge_vanished("u", known, {OURS}, history, NOW)
    assert found.ours is ours
    assert said in found.reason


BY_STREAM = replace(KNOWN, lifecycle=STREAM_LIFECYCLE)


@pytest.mark.parametrize(
    ("known", "deleted_at", "expected", "said"),
    [
        (BY_STREAM, NOW - 1, True, "the data stream lifecycle was due to delete it at"),
        (BY_STREAM, None, True, "gone; the data stream lifecycle was due to delete it at"),
        (BY_STREAM, NOW - 2 * MINUTE, True, "deleted at"),  # clocks may be a minute apart
        (BY_STREAM, NOW - 2 * MINUTE - 1, False, "before the data stream lifecycle, as last seen"),
        (
            replace(BY_STREAM, deletes_from=NOW + DAY),
            None,
            False,
            "gone, before the data stream lifecycle, as last seen",
        ),
        (replace(BY_STREAM, deletes_from=None), NOW, False, "it had the lifecycle data stream lifecycle"),
        (replace(KNOWN, lifecycle=None), NOW, False, "it had no lifecycle"),
    ],
)
def test_what_the_lifecycle_of_its_stream_was_to_delete_is_no_finding(
    known: Evidence, deleted_at: int | None, expected: bool, said: str
) -> None:
    found = judge_vanished("u", known, {OURS}, [], NOW, deleted_at)
    assert (found.ours, found.expected) == (False, expected)
    assert said in found.reason
    assert bool(still_told([found], NOW)) is not expected


def test_a_deletion_before_our_lifecycle_could_is_somebody_elses_however_late_it_is_missed() -> None:
    found = judge_vanished("u", KNOWN, {OURS}, [], NOW, KNOWN.first_seen)
    assert not found.ours
    assert "deleted at" in found.reason


ENDED = "retention-trtc-backend-logs-ended"


def applied(lifecycle: str = ENDED, outcome: str = "done", at: int = NOW) -> list[dict[str, Any]]:
    """Return the records of one attaching."""
    target, action = {"index": "logs-a", "uuid": "u"}, "apply_lifecycle"
    intent = {"kind": "intent", "sequence": 7, "details": {"lifecycle": lifecycle}}
    answer = {"kind": "outcome", "sequence": 8, "intent": 7, "outcome": outcome}
    return [{**one, "action": action, "target": target, "time": format_instant(at)} for one in (answer, intent)]


@pytest.mark.parametrize(
    ("records", "lifecycle"),
    [
        (applied(), ENDED),
        (applied(at=NOW - MINUTE), ENDED),
        (applied(at=NOW - MINUTE - 1), OURS),  # the look at that time knew better
        (applied(outcome="failed"), OURS),
        (applied(OURS), OURS),
        (applied()[1:], OURS),
        ([], OURS),
    ],
)
def test_what_was_attached_between_two_cycles_is_in_the_ledger(records: list[dict[str, Any]], lifecycle: str) -> None:
    found = with_attached({"u": KNOWN, "v": KNOWN}, records, NOW - MINUTE)
    assert (found["u"].lifecycle, found["v"]) == (lifecycle, KNOWN)
    assert judge_vanished("u", found["u"], {OURS, ENDED}, None, NOW).ours


@pytest.mark.parametrize("lifecycle", [None, OURS])
def test_what_was_taken_off_again_has_deleted_nothing(lifecycle: str | None) -> None:
    """Nobody of ours deleted it: without that a stranger's deletion would be no finding."""
    target = {"index": "logs-a", "uuid": "u"}
    again = {"action": "detach_lifecycle" if lifecycle is None else "apply_lifecycle", "target": target}
    off = [
        {**again, "kind": "intent", "sequence": 9, **({"details": {"lifecycle": lifecycle}} if lifecycle else {})},
        {**again, "kind": "outcome", "sequence": 10, "intent": 9, "outcome": "done", "time": format_instant(NOW)},
    ]
    found = with_attached({"u": replace(KNOWN, lifecycle=None, deletes_from=None)}, [*off, *applied()], NOW - MINUTE)
    assert (found["u"].lifecycle, found["u"].deletes_from) == (lifecycle, None)
    assert not judge_vanished("u", found["u"], {OURS, ENDED}, None, NOW).ours
    refused = [*off[:1], {**off[1], "outcome": "refused"}]
    assert with_attached({"u": KNOWN}, [*refused, *applied()], NOW - MINUTE)["u"].lifecycle == ENDED


def test_an_earlier_index_of_the_same_name_tells_nothing() -> None:
    earlier = told(at=KNOWN.first_seen - DAY)
    found = judge_vanished("u", replace(KNOWN, lifecycle=None, deletes_from=None), {OURS}, [earlier], NOW)
    assert not found.ours


def test_what_is_in_doubt_is_not_missing() -> None:
    known = {"uuid-of-logs-a": KNOWN, "uuid-of-logs-b": KNOWN, "gone": KNOWN}
    assert missing(known, facts(index("logs-a"), set_apart=[apart("logs-b")])) == {"gone": KNOWN}


def record(sequence: int, uuid: str, outcome: str | None = None) -> dict[str, Any]:
    return {"sequence": sequence, "target": {"uuid": uuid}, **({"outcome": outcome} if outcome else {})}


@pytest.mark.parametrize(
    ("records", "ours"),
    [
        ([], False),
        ([record(1, "u")], True),
        ([record(1, "u"), record(2, "u", "unknown")], True),
        ([record(1, "u"), record(2, "u", "done")], True),
        ([record(1, "u"), record(2, "u", "failed")], False),
        ([record(1, "u"), record(2, "u", "refused")], False),
        ([record(1, "u"), record(2, "u", "refused"), record(3, "u")], True),
        ([record(2, "u", "done"), record(1, "u")], True),
        ([record(1, "v"), record(2, "v", "done")], False),
    ],
)
def test_what_the_ledger_announces_is_the_enforcers_unless_it_came_to_nothing(
    records: list[dict[str, Any]], ours: bool
) -> None:
    assert ("u" in purged_by_the_enforcer(records)) is ours


def test_only_what_nobody_of_ours_deleted_is_told_and_for_a_day() -> None:
    ours = judge_vanished("u", KNOWN, {OURS}, [told()], NOW)
    others = judge_vanished("v", replace(KNOWN, lifecycle=None), {OURS}, [], NOW)
    assert still_told([ours, others], NOW + TOLD_FOR - 1) == (others,)
    assert still_told([others], NOW + TOLD_FOR) == ()
    finding = vanished_finding("backend-logs", others)
    assert (finding.kind, finding.uuid, finding.severity) == ("deleted-by-others", "v", Severity.WARNING)
    assert "7 documents" in finding.text
