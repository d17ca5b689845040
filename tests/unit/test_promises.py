"""How a promise stands: one answer, whether the page gives it or the report; not proven is never shown as kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from builders import DUE_AGE, LIMIT, NOW, apart, facts, index
from retention_enforcer.domain.facts import CategoryFacts, IndexFacts, SetApart
from retention_enforcer.domain.instants import DAY, HOUR, MINUTE, SECOND
from retention_enforcer.domain.policy.promises import ON_REQUEST
from retention_enforcer.domain.terminations.requests import Ask
from retention_enforcer.domain.terminations.states import Purged, Termination, times_of
from retention_enforcer.enforcement.memory import Memory
from retention_enforcer.reporting.promises import Promise, Verdict, requests_unknown
from retention_enforcer.reporting.report import make_report
from retention_enforcer.reporting.status import build_status
from statuses import TRTC, known, look_at, seen, termination, terminations

KEPT, NOT_KEPT, NOT_PROVEN = Verdict.KEPT, Verdict.NOT_KEPT, Verdict.NOT_PROVEN
ENDING = {"console-configuration", "temporary-keys", "application-logs"}
Promises = dict[str, Promise]


def purged(category: str, ago: int) -> tuple[Purged, ...]:
    return (Purged(category=category, index="i", uuid="u", documents=1, at=NOW - ago, record=1),)


def promises(
    of: Mapping[str, CategoryFacts] | None = None,
    *those: Termination,
    memories: Mapping[str, Memory] | None = None,
    unknown: bool = False,
) -> Promises:
    """How the promises stand by these facts: the page and the report say the same."""
    look, proofs = look_at(of or {}, memories=memories)
    purged_at = {id_: memory.purged_at for id_, memory in look.memories.items()}
    categories = {id_: seen(TRTC, one, last_purge=purged_at.get(id_)) for id_, one in look.facts.items()}
    asked = None if unknown else terminations(*those, at=NOW)
    shown = build_status(known(categories=categories, terminations=asked), NOW).promises
    reported = make_report(
        TRTC,
        look,
        proofs,
        None,
        head=None,
        asked=[(t, times_of(TRTC, t, DAY)) for t in those],
        unknown=requests_unknown(None, NOW, 5 * MINUTE) if unknown else "",
    ).promises
    for one, other in zip(shown, reported, strict=True):
        assert replace(one, findings=()) == replace(other, findings=(), proven_at=one.proven_at)
    return {one.id: one for one in shown}


def broken(made: Promises, verdict: Verdict = NOT_KEPT) -> set[str]:
    return {id_ for id_, one in made.items() if one.verdict is verdict}


# --- by age -------------------------------------------------------------------------------------------


def test_the_default_policy_has_eleven_promises_the_one_across_all_categories_last() -> None:
    made = promises()
    assert [*made] == [*(c.id for c in TRTC.categories), ON_REQUEST]
    assert {one.verdict for one in made.values()} == {KEPT}
    assert [one.id for one in made.values() if one.clause is None] == [ON_REQUEST]
    assert [one.limit for one in made.values()] == [7 * DAY, *[LIMIT] * 6, None, 7 * DAY, 7 * DAY, 7 * DAY]


def test_a_promise_has_its_figures() -> None:
    logs = facts(index("trtc-backend-logs-a", ages=[3 * DAY, DAY]), index("trtc-backend-logs-b", ages=[HOUR]))
    assert promises({"backend-logs": logs})["backend-logs"] == Promise(
        id="backend-logs",
        promise="at most 14d old",
        clause="TRTC privacy module (2022-08-11), section storage: backend log data",
        verdict=KEPT,
        limit=LIMIT,
        proven_at=NOW,
        indices=2,
        documents=3,
        overdue=0,
        oldest=NOW - 3 * DAY,
        age=3 * DAY,
        margin=11 * DAY,
        next_due=NOW - 3 * DAY + DUE_AGE,
        due_after=DUE_AGE,
    )


@pytest.mark.parametrize(
    ("of", "figures"),
    [
        pytest.param([index(ages=[LIMIT + 1, DAY])], (NOT_KEPT, 1, 2, -1, NOW - 1 - HOUR), id="past the limit"),
        pytest.param([index(ages=[DUE_AGE + MINUTE])], (KEPT, 1, 1, HOUR - MINUTE, NOW - MINUTE), id="due now"),
        pytest.param([], (KEPT, 0, 0, None, None), id="nothing"),
        pytest.param([apart()], (NOT_KEPT, 1, None, None, None), id="in doubt"),
    ],
)
def test_a_promise_by_age_goes_by_what_was_seen(of: list[Any], figures: tuple[Any, ...]) -> None:
    indices, doubts = [i for i in of if isinstance(i, IndexFacts)], [i for i in of if isinstance(i, SetApart)]
    one = promises({"uin": facts(*indices, set_apart=doubts)})["uin"]
    assert (one.verdict, one.indices, one.documents, one.margin, one.next_due) == figures


def test_what_does_not_go_by_age_has_none() -> None:
    one = promises({"temporary-keys": facts(index(ages=[900 * DAY], container=True))})["temporary-keys"]
    assert (one.documents, one.oldest, one.age, one.margin, one.overdue, one.next_due) == (1, *[None] * 5)


# --- for customers ------------------------------------------------------------------------------------


def test_the_last_purge_is_the_later_of_a_cycles_and_one_for_a_customer_also_for_one_that_is_done() -> None:
    made = promises(
        None,
        termination(1, purges=purged("temporary-keys", HOUR), closed_at=NOW),
        termination(2, ask=Ask.ERASE, purges=(*purged("uin", 2 * HOUR), *purged("dashboard", DAY))),
        memories={
            "dashboard": Memory(fingerprint="f", purged_at=NOW - SECOND),
            "uin": Memory(fingerprint="f", purged_at=NOW - 900 * DAY),
            "media-content": Memory(fingerprint="f"),
        },
    )
    assert {id_: NOW - one.last_purge for id_, one in made.items() if one.last_purge} == {
        "temporary-keys": HOUR,
        "uin": 2 * HOUR,
        "dashboard": SECOND,
        ON_REQUEST: 2 * HOUR,
    }


def test_what_is_due_next_is_the_first_of_age_and_of_what_is_still_owed() -> None:
    def due(*those: Termination) -> list[int | None]:
        made = promises({"uin": facts(index(ages=[DUE_AGE - HOUR]))}, *those)
        return [made[id_].next_due for id_ in ("uin", "sdkappid", ON_REQUEST)]

    over = termination(1, ask=Ask.ERASE, terminated_at=0, closed_at=NOW)
    watched = termination(3, ask=Ask.ERASE, terminated_at=NOW - 6 * DAY, erased_at=NOW)
    assert due(over, watched) == [NOW + HOUR, None, None]
    assert due(over, termination(2, ask=Ask.ERASE, terminated_at=NOW - 6 * DAY)) == [NOW + HOUR, *[NOW + 23 * HOUR] * 2]
    assert due(over, termination(2, ask=Ask.ERASE, terminated_at=NOW - 7 * DAY)) == [NOW - HOUR] * 3


@pytest.mark.parametrize(
    ("ask", "promised"),
    [(Ask.TERMINATE, ENDING), (Ask.ERASE, {c.id for c in TRTC.categories if c.subjects} | {ON_REQUEST})],
)
def test_who_is_late_breaks_the_promises_that_were_given(ask: Ask, promised: set[str]) -> None:
    def late(number: int, by: int) -> Termination:
        return termination(number, ask=ask, terminated_at=NOW - 7 * DAY - by)

    assert broken(promises(None, late(1, 0))) == set()
    assert broken(promises(None, replace(late(1, 1), erased_at=NOW))) == set()
    made = promises(None, late(1, 1))
    assert broken(made) == promised
    assert {made[id_].why for id_ in promised} == {"1 request is past its limit"}
    made = promises(None, late(1, 1), late(2, 1))
    assert {made[id_].why for id_ in promised} == {"2 requests are past their limits"}


def test_where_it_is_not_known_what_customers_are_owed_nothing_that_ends_with_a_request_is_proven() -> None:
    made = promises(unknown=True)
    assert broken(made, NOT_PROVEN) == ENDING | {ON_REQUEST}
    assert made[ON_REQUEST].why == "requests have not been processed yet"
    assert broken(made) == set()


@pytest.mark.parametrize(
    ("looked_at", "why"),
    [
        (None, "requests have not been processed yet"),
        (NOW - 15 * MINUTE, ""),
        (NOW - 16 * MINUTE, "requests were last processed 16 min ago"),
    ],
)
def test_a_look_at_requests_counts_for_three_intervals(looked_at: int | None, why: str) -> None:
    assert requests_unknown(looked_at, NOW, 5 * MINUTE) == why
