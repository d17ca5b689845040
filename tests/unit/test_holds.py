"""Holds: what they cover, and until when."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from builders import NOW, apart, category, facts, index, seen
from naming import after, field, named, tag
from retention_enforcer.domain.coverage.findings import IndexSeen
from retention_enforcer.domain.facts import HeldIndex, IndexFacts, Indistinguishable
from retention_enforcer.domain.holds.hold import (
    CoveredIndex,
    CoveredIndices,
    Hold,
    held_for_all,
    indices_held,
    out_of_sight,
)
from retention_enforcer.domain.holds.shortfalls import shortfalls
from retention_enforcer.domain.instants import DAY
from retention_enforcer.domain.own.control_documents import covered_body, covered_in
from retention_enforcer.domain.policy.places import SubjectPlaces
from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.domain.subjects.identity import Subject, SubjectKind

A = index("logs-a", aliases=("reading", "writing"))
B = index(".ds-logs-b-000001", stream="logs-b")
BOTH = {A.name, B.name}


def hold(**more: Any) -> Hold:
    values: dict[str, Any] = {"id": "h1", "owner": "anna", "reason": "a lawsuit", "until": NOW + DAY, **more}
    return Hold(**values)


@pytest.mark.parametrize(
    ("one", "covered"),
    [
        pytest.param(hold(category="logs"), BOTH, id="a category"),
        pytest.param(hold(category="keys"), set(), id="another category"),
        pytest.param(hold(index="logs-a"), {A.name}, id="an index"),
        pytest.param(hold(index="writing"), {A.name}, id="one of its aliases"),
        pytest.param(hold(index="logs-b"), {B.name}, id="a stream"),
        pytest.param(hold(index=".ds-logs-b-000001"), {B.name}, id="a backing index"),
        pytest.param(hold(index="logs"), set(), id="the beginning of a name"),
        pytest.param(hold(index="logs-*"), set(), id="a wildcard is no name"),
        pytest.param(hold(), set(), id="nothing named"),
        pytest.param(hold(category="logs", until=NOW + 1), BOTH, id="a millisecond before it ends"),
        pytest.param(hold(category="logs", until=NOW), set(), id="when it ends"),
        pytest.param(hold(category="logs", until=NOW - DAY), set(), id="ended"),
    ],
)
def test_a_hold_covers_what_it_names_until_it_ends(one: Hold, covered: set[str]) -> None:
    assert set(indices_held([one], "logs", [A, B], NOW)) == covered


def test_a_hold_names_its_end_and_nothing_that_an_operator_wrote() -> None:
    expected = HeldIndex(hold="h1", text="hold h1 until 2026-02-01T08:00:00.000Z")
    assert indices_held([hold(index="logs-a")], "logs", [A], NOW) == {"logs-a": expected}


def test_one_hold_that_is_alive_is_enough() -> None:
    holds = [hold(id="h1", category="logs"), hold(id="h2", category="logs", until=NOW)]
    for order in (holds, holds[::-1]):
        assert indices_held(iter(order), "logs", [A, B], NOW).keys() == BOTH
        assert indices_held(order, "logs", [A], NOW)["logs-a"].hold == "h1"


def test_without_holds_nothing_is_held() -> None:
    assert indices_held([], "logs", [A], NOW) == {}


# --- what was covered once ----------------------------------------------------------------------------

APPLICATION = Subject(kind=SubjectKind.APPLICATION, id="14")
SUBJECTS = named(application="sdkappid")
LOGS = category("logs", subjects=SUBJECTS)


def once(*indices: IndexFacts, **more: Any) -> CoveredIndices:
    return {i.uuid: CoveredIndex(created=i.created, **more) for i in indices}


RESTORED = index("logs-r", uuid="new", created=A.created, origin="logs-a")


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        pytest.param(hold(index="moved", covered=once(A)), {"logs-a"}, id="its name leads nowhere"),
        pytest.param(hold(index="logs-b", covered=once(A)), BOTH, id="its name leads elsewhere"),
        pytest.param(hold(category="gone", covered=once(A)), {"logs-a"}, id="no such category"),
        pytest.param(hold(index="moved", covered=once(A), until=NOW), set(), id="it ended"),
        pytest.param(hold(subject=APPLICATION, covered=once(A)), set(), id="a subject's documents, not the whole"),
    ],
)
def test_what_a_hold_once_covered_stays_covered(one: Hold, expected: set[str]) -> None:
    assert set(indices_held([one], "logs", [A, B], NOW)) == expected


def test_what_was_restored_under_another_name_is_known_by_its_creation() -> None:
    one = hold(index="logs-a", covered=once(A))
    assert one.covers("logs", RESTORED, NOW)
    assert not one.covers("logs", replace(RESTORED, created=A.created + 1), NOW)


def test_what_was_restored_under_the_same_name_is_known_once_the_one_before_it_is_gone() -> None:
    one, restored = hold(index="an alias", covered=once(A)), replace(RESTORED, name="logs-a", origin=None)
    assert one.covers("logs", restored, NOW, present={"new"})
    assert not one.covers("logs", restored, NOW, present={"new", A.uuid}), "only made in the same millisecond"
    assert not one.covers("logs", replace(restored, created=A.created + 1), NOW)
    assert not hold(index="an alias", covered={A.uuid: CoveredIndex()}).covers(
        "logs", replace(restored, created=0), NOW
    )


@pytest.mark.parametrize(
    ("fields", "matching_labels", "lost"),
    [
        pytest.param(SUBJECTS, {"h1"}, False, id="found as before"),
        pytest.param(SUBJECTS, {"h2"}, True, id="only another's are found"),
        pytest.param(SUBJECTS, set(), True, id="none is found"),
        pytest.param(named(application="app"), {"h1"}, True, id="the policy names another field"),
        pytest.param(named(), set(), True, id="the policy names none"),
        pytest.param(SubjectPlaces(application=field("app") + field("sdkappid")), {"h1"}, False, id="one more place"),
        pytest.param(SubjectPlaces(application=(tag("app"),)), {"h1"}, True, id="nested pairs in its place"),
        pytest.param(SubjectPlaces(application=(after("app=", "sdkappid"),)), {"h1"}, True, id="after a text in it"),
    ],
)
def test_an_index_that_had_documents_of_a_held_subject_is_held_where_they_are_out_of_sight(
    fields: SubjectPlaces, matching_labels: set[str], lost: bool
) -> None:
    one = hold(subject=APPLICATION, covered=once(A, fields=("sdkappid",)))
    now = category("logs", subjects=fields)
    seen_now = facts(replace(A, matching_labels=frozenset(matching_labels)), B)
    assert set(out_of_sight([one], now, seen_now, NOW)) == ({"logs-a"} if lost else set())


def test_what_is_seen_of_a_subject_is_remembered_with_its_fields_and_passing_doubts_are_not() -> None:
    one = hold(subject=APPLICATION)
    indistinguishable = {
        "logs-t": (Indistinguishable(label="h1", note="", reason="text"),),
        "logs-p": (Indistinguishable(label="h1", note="", reason="closed just now", passing=True),),
    }
    shown = facts(
        replace(A, matching_labels=frozenset({"h1"})),
        B,
        index("logs-t"),
        index("logs-p"),
        indistinguishable=indistinguishable,
    )
    assert one.seen_in(LOGS, shown, NOW) == {
        i.uuid: CoveredIndex(created=i.created, fields=("sdkappid",)) for i in (A, index("logs-t"))
    }


def test_what_is_set_apart_is_remembered_too() -> None:
    closed = apart("logs-closed")
    assert closed.uuid in hold(category="logs").seen_in(LOGS, facts(A, set_apart=(closed,)), NOW)
    assert hold(index="moved", covered={str(closed.uuid): CoveredIndex()}).may_cover("logs", closed, NOW)


def test_a_hold_on_a_category_that_is_not_there_and_was_never_looked_at_may_be_on_anything() -> None:
    policy = Policy(name="p", categories=(LOGS,))
    assert set(held_for_all([hold(category="gone")], policy, [A, B], NOW)) == BOTH
    assert not held_for_all([hold(category="gone", looked=True)], policy, [A, B], NOW)
    assert not held_for_all([hold(category="logs")], policy, [A, B], NOW)


def test_what_was_covered_is_written_and_read_alike() -> None:
    covered = {**once(A), **once(B, fields=("sdkappid", "user_id")), "closed": CoveredIndex()}
    assert covered_in(json.loads(json.dumps(covered_body(covered)))) == covered


# --- holds that cover less than they did ---------------------------------------------------------------

POLICY = Policy(name="p", categories=(LOGS, category("keys", indices=["keys-*"])))
HERE = replace(seen("logs-a", categories=["logs"]), uuid="a", created=1)
AWAY = replace(seen("other"), uuid="a", created=1)
ONCE = {"a": CoveredIndex(created=1)}


@pytest.mark.parametrize(
    ("one", "indices", "voided"),
    [
        pytest.param(hold(category="logs", covered=ONCE), [HERE], None, id="as before"),
        pytest.param(hold(category="logs"), [], None, id="an empty category"),
        pytest.param(hold(category="gone"), [], True, id="no such category"),
        pytest.param(hold(category="keys", covered=ONCE), [HERE], True, id="an index left the category"),
        pytest.param(hold(category="logs", covered=ONCE), [AWAY], True, id="no category claims it any more"),
        pytest.param(hold(category="logs", covered=ONCE), [], False, id="it is gone"),
        pytest.param(hold(category="gone", until=NOW), [], None, id="the hold has ended"),
        pytest.param(hold(index="case", covered=ONCE), [replace(HERE, names=("logs-a", "case"))], None, id="an alias"),
        pytest.param(hold(index="case", covered=ONCE), [HERE], False, id="an alias that moved on"),
        pytest.param(hold(index="other", covered=ONCE), [AWAY], True, id="a name that is not governed any more"),
        pytest.param(
            hold(index="logs-a", covered={"x": CoveredIndex(created=1)}),
            [replace(HERE, name="logs-r", origin="logs-a")],
            False,
            id="restored under another name",
        ),
        pytest.param(
            hold(subject=APPLICATION, covered={"a": CoveredIndex(created=1, fields=("sdkappid",))}),
            [HERE],
            None,
            id="a subject",
        ),
        pytest.param(
            hold(subject=APPLICATION, covered={"a": CoveredIndex(created=1, fields=("app",))}),
            [HERE],
            True,
            id="its field",
        ),
    ],
)
def test_a_hold_that_covers_less_is_found_and_whether_the_policy_is_why(
    one: Hold, indices: list[IndexSeen], voided: bool | None
) -> None:
    found = shortfalls(POLICY, [one], indices, NOW)
    assert [s.voided for s in found] == ([] if voided is None else [voided])
    assert "anna" not in str([s.finding for s in found])
