"""When a termination may do what, to the millisecond."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from builders import category
from naming import named
from retention_enforcer.domain.errors import Refused
from retention_enforcer.domain.instants import DAY, HOUR
from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.domain.subjects.identity import Subject, SubjectKind, subject_of
from retention_enforcer.domain.terminations.document import termination_body, termination_of
from retention_enforcer.domain.terminations.findings import Outstanding, termination_findings
from retention_enforcer.domain.terminations.requests import Ask
from retention_enforcer.domain.terminations.states import (
    ID_KEPT_FOR,
    QUIET,
    OpenItem,
    OpenItemKind,
    Purged,
    State,
    Termination,
    Times,
    after_look,
    categories_of,
    closes,
    forgotten,
    held_back,
    is_late,
    may_be_forgotten,
    may_purge,
    narrows,
    open_duplicate,
    reinstated,
    state_of,
    times_of,
)

NOW = 1_800_000_000_000
TIMES = Times(grace=DAY, margin=HOUR, limit=7 * DAY)
ONE = subject_of(application="1")


def termination(key: str = "k", *, subject: Subject = ONE, **more: Any) -> Termination:
    values: dict[str, Any] = {
        "request": f"request-{key}",
        "pseudonym": "p",
        "kind": subject.kind,
        "ask": Ask.TERMINATE,
        "registered_at": NOW,
        "terminated_at": NOW,
        **more,
    }
    return Termination(key=key, subject=subject, **values)


PURGED = Purged(category="c", index="i", uuid="u", documents=3, at=NOW, record=7)


# --- times ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("terminated", "registered", "begins"),
    [
        (NOW, NOW, NOW + DAY),
        (NOW - 3 * DAY, NOW, NOW + DAY),  # a backdated request does not skip the grace
        (NOW + 3 * DAY, NOW, NOW + 4 * DAY),  # nor does one that is ahead purge before its time
    ],
)
def test_grace_runs_from_the_later_of_termination_and_first_sight(
    terminated: int, registered: int, begins: int
) -> None:
    one = termination(terminated_at=terminated, registered_at=registered)
    assert not may_purge(one, TIMES, begins - 1)
    assert may_purge(one, TIMES, begins)
    assert state_of(one, TIMES, begins - 1) is State.IN_GRACE
    assert state_of(one, TIMES, begins) is State.DUE


def test_the_promise_runs_from_the_termination_and_the_purge_is_due_a_margin_before() -> None:
    one = termination(registered_at=NOW + DAY)
    assert TIMES.deadline(one) == NOW + 7 * DAY - HOUR
    assert TIMES.promised(one) == NOW + 7 * DAY


def test_late_is_what_is_not_erased_when_the_promise_is_over() -> None:
    promised = TIMES.promised(termination())
    assert not is_late(termination(), TIMES, promised)
    assert is_late(termination(purged_at=NOW), TIMES, promised + 1), "purged is not erased"
    assert not is_late(termination(purged_at=NOW, erased_at=NOW), TIMES, promised + 1)
    assert not is_late(termination(cancelled_at=NOW), TIMES, promised + 1)


POLICY = Policy(
    name="p",
    on_request=5 * DAY,
    categories=(
        category("a", indices=["a-*"], max_age=None, after_termination=9 * DAY, subjects=named(account="uin")),
        category("b", indices=["b-*"], after_termination=8 * DAY, subjects=named(application="app")),
        category("c", indices=["c-*"], subjects=named(application="app", user="user")),
        category("d", indices=["d-*"]),
    ),
)


@pytest.mark.parametrize(
    ("ask", "limit", "categories"),
    [(Ask.TERMINATE, 8 * DAY, ["a", "b"]), (Ask.ERASE, 5 * DAY, ["a", "b", "c"])],
)
def test_a_termination_takes_what_ends_with_it_and_an_erasure_all_that_names_subjects(
    ask: Ask, limit: int, categories: list[str]
) -> None:
    assert times_of(POLICY, termination(ask=ask), DAY) == Times(grace=DAY, margin=HOUR, limit=limit)
    assert [c.id for c in categories_of(POLICY, ask)] == categories


@pytest.mark.parametrize(
    ("subject", "narrowed"),
    [
        (subject_of(account="1"), ["a", "b", "c"]),  # by the account's applications
        (subject_of(application="1"), ["b", "c"]),
        (subject_of(application="1", user="u"), ["c"]),
    ],
    ids=["account", "application", "user"],
)
def test_which_categories_tell_whose_documents_they_have(subject: Subject, narrowed: list[str]) -> None:
    assert [c.id for c in POLICY.categories if narrows(c, subject)] == narrowed


# --- states ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reached", "state", "purges"),
    [
        ({}, State.IN_GRACE, False),
        ({"held_back": True}, State.WAITING, False),
        ({"begun_at": NOW}, State.PURGING, True),
        ({"begun_at": NOW, "held_back": True}, State.PURGING, True),
        ({"begun_at": NOW, "purged_at": NOW}, State.VERIFYING, True),
        ({"begun_at": NOW, "purged_at": NOW, "erased_at": NOW}, State.WATCHED, True),
        ({"begun_at": NOW, "purged_at": NOW, "erased_at": NOW, "closed_at": NOW}, State.CLOSED, False),
        ({"cancelled_at": NOW}, State.CANCELLED, False),
    ],
)
def test_where_a_termination_is_and_whether_it_purges(reached: dict[str, Any], state: State, purges: bool) -> None:
    one = termination(**reached)
    assert state_of(one, TIMES, NOW) is state
    assert may_purge(one, TIMES, NOW) is purges
    if state is State.WAITING:
        assert not may_purge(one, TIMES, NOW + 365 * DAY), "time is no approval"


@pytest.mark.parametrize(
    ("found_ago", "purged_ago", "erased", "closed"),
    [
        (QUIET, QUIET, True, True),
        (QUIET - 1, QUIET, True, False),
        (None, QUIET, True, True),
        (None, QUIET - 1, True, False),
        (QUIET, QUIET, False, False),
    ],
)
def test_a_termination_closes_after_a_day_without_documents(
    found_ago: int | None, purged_ago: int, erased: bool, closed: bool
) -> None:
    one = termination(
        purged_at=NOW - purged_ago,
        found_at=NOW - found_ago if found_ago is not None else None,
        erased_at=NOW if erased else None,
    )
    assert closes(one, NOW) is closed
    assert not closes(replace(one, closed_at=NOW), NOW)


@pytest.mark.parametrize("ended", ["closed_at", "cancelled_at"])
def test_an_id_is_forgotten_thirty_days_after_the_end_with_all_that_tells_it(ended: str) -> None:
    one = termination(reason="why", requested_by="who", applications=("2",), **{ended: NOW - ID_KEPT_FOR})
    assert may_be_forgotten(one, NOW)
    assert not may_be_forgotten(one, NOW - 1)
    assert not may_be_forgotten(termination(), NOW + 365 * DAY), "what is open needs its id"
    gone = forgotten(one)
    assert (gone.subject, gone.applications, gone.reason, gone.requested_by) == (None, (), "", "")
    assert (gone.pseudonym, gone.is_forgotten, gone.subjects()) == ("p", True, ())
    assert not may_be_forgotten(gone, NOW)


@pytest.mark.parametrize(
    ("left", "items", "first", "again"),
    [
        (0, (), NOW, (NOW - DAY, NOW - HOUR)),
        (0, (OpenItem(kind=OpenItemKind.NOT_NARROWED, text="t"),), NOW, (NOW - DAY, NOW - HOUR)),
        (1, (), None, (None, None)),
        (1, (OpenItem(kind=OpenItemKind.NOT_LOOKED_INTO, text="t"),), None, (None, None)),
        (0, (OpenItem(kind=OpenItemKind.NOT_LOOKED_INTO, text="t"),), None, (NOW - DAY, NOW - HOUR)),
        (0, (OpenItem(kind=OpenItemKind.OWNER_UNDECIDED, text="t"),), None, (NOW - DAY, NOW - HOUR)),
    ],
)
def test_a_purge_is_proven_by_a_look_without_a_doubt_and_a_later_doubt_takes_that_not_back(
    left: int, items: tuple[OpenItem, ...], first: int | None, again: tuple[int | None, int | None]
) -> None:
    after = after_look(termination(), left=left, open_items=items, looked_in={"c": 2}, now=NOW)
    assert (after.purged_at, after.erased_at, after.open_items, dict(after.looked_in)) == (first, None, items, {"c": 2})
    before = termination(purged_at=NOW - DAY, erased_at=NOW - HOUR)
    after = after_look(before, left=left, open_items=items, looked_in={"c": 2}, now=NOW)
    assert (after.purged_at, after.erased_at, after.open_items) == (*again, items)


def test_what_is_in_doubt_is_not_closed() -> None:
    quiet = termination(begun_at=NOW - 3 * DAY, purged_at=NOW - 2 * DAY, erased_at=NOW - 2 * DAY)
    assert closes(quiet, NOW)
    assert not closes(replace(quiet, open_items=(OpenItem(kind=OpenItemKind.NOT_LOOKED_INTO, text="t"),)), NOW)


# --- several --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ages", "approved_ago", "waiting"),
    [
        ([0, 0], None, 0),
        ([0, 0, 0], None, 3),
        ([0, 0, DAY], None, 0),  # one of them came a day ago
        ([0, 0, DAY - 1], None, 3),
        ([0, 0, 0, 5 * DAY], None, 4),  # also those of long ago, as long as they have not begun
        ([5, 5, 5], 5, 0),
        ([5, 5, 5, 0], 5, 0),
        ([5, 5, 5, 0, 0, 0], 5, 3),
    ],
)
def test_more_than_so_many_in_a_day_hold_back_all_that_have_not_begun(
    ages: list[int], approved_ago: int | None, waiting: int
) -> None:
    those = [termination(str(n), registered_at=NOW - age) for n, age in enumerate(ages)]
    approved_at = NOW - approved_ago if approved_ago is not None else 0
    assert len(held_back(those, 2, approved_at, NOW)) == waiting


def test_what_has_begun_or_ended_is_not_held_back_but_counts() -> None:
    those = [
        termination("begun", begun_at=NOW),
        termination("cancelled", cancelled_at=NOW),
        termination("waits"),
    ]
    assert held_back(those, 2, 0, NOW) == {"waits"}


def test_an_unusual_time_waits_alone() -> None:
    assert held_back([termination("a", unusual=True), termination("b")], 20, 0, NOW) == {"a"}
    assert held_back([termination("a", unusual=True)], 20, NOW, NOW) == set()


def test_the_same_again_is_the_open_one_of_the_same_subject_and_kind() -> None:
    those = [
        termination("cancelled", cancelled_at=NOW),
        termination("other", subject=subject_of(application="11")),
        termination("account", subject=subject_of(account="1")),
        termination("erasure", ask=Ask.ERASE),
    ]
    assert open_duplicate(those, ONE, Ask.TERMINATE) is None
    open_one = termination("open")
    assert open_duplicate([*those, open_one], ONE, Ask.TERMINATE) is open_one


def test_a_reinstatement_cancels_what_has_not_begun_and_ends_the_watch_of_what_has() -> None:
    those = [
        termination("waits", held_back=True),
        termination("begun", begun_at=NOW - HOUR),
        termination("closed", begun_at=NOW - DAY, closed_at=NOW - HOUR),
        termination("other", subject=subject_of(application="11")),
    ]
    changed = {t.key: t for t in reinstated(those, ONE, NOW)}
    assert changed.keys() == {"waits", "begun"}
    assert (changed["waits"].cancelled_at, changed["begun"].closed_at) == (NOW, NOW)


def test_an_account_takes_its_applications_along_by_its_own_name() -> None:
    one = termination(subject=subject_of(account="100"), applications=("1", "11"))
    assert one.subjects() == (
        (subject_of(account="100"), None),
        (Subject(kind=SubjectKind.APPLICATION, id="1"), "100"),
        (Subject(kind=SubjectKind.APPLICATION, id="11"), "100"),
    )


# --- documents ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "one",
    [
        termination(),
        termination(subject=subject_of(application="1", user="u"), ask=Ask.ERASE, reason="r", unusual=True),
        termination(
            subject=subject_of(account="100"),
            applications=("1", "11"),
            purges=(PURGED, PURGED),
            open_items=(OpenItem(kind=OpenItemKind.HELD, text="t", until=NOW),),
            looked_in={"c": 1},
            erased_at=NOW,
        ),
        forgotten(termination(closed_at=NOW)),
    ],
    ids=["plain", "user", "account", "forgotten"],
)
def test_a_termination_is_read_back_as_it_was_stored(one: Termination) -> None:
    assert termination_of(json.loads(json.dumps(termination_body(one)))) == one


@pytest.mark.parametrize("change", [{"kind": "x"}, {"purges": [{}]}, {"more": 1}, {"subject": {"kind": "user"}}])
def test_a_document_that_is_not_readable_is_refused_and_nothing_guessed(change: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="not readable"):
        termination_of({**termination_body(termination()), **change})


# --- findings -------------------------------------------------------------------------------------------


def test_a_purge_that_was_refused_is_a_finding_as_long_as_its_termination_is_open() -> None:
    items = (OpenItem(kind=OpenItemKind.PURGE_FAILED, text="delete_documents of keys did not succeed: unauthorized"),)
    (found,) = termination_findings([termination(open_items=items)], Outstanding())
    assert (found.kind, "unauthorized" in found.text) == ("purge-failed", True)
    assert not list(termination_findings([termination(closed_at=NOW, open_items=items)], Outstanding()))


def test_of_whom_it_cannot_be_told_what_there_is_is_one_finding_for_all() -> None:
    doubt = OpenItemKind.NOT_LOOKED_INTO
    items = [tuple(OpenItem(kind=doubt, text=f"logs-{n} cannot tell") for n in those) for those in ((1, 2), (2, 3, 4))]
    (found,) = termination_findings(
        [termination(str(n), open_items=some) for n, some in enumerate(items)], Outstanding()
    )
    assert found.kind == "purge-unproven"
    assert "for 2 terminations and erasure requests" in found.text
    assert "logs-1 cannot tell; logs-2 cannot tell; logs-3 cannot tell; and 1 more cause" in found.text
    assert not list(termination_findings([termination(closed_at=NOW, open_items=items[0])], Outstanding()))
