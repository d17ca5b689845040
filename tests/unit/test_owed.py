"""What is owed to customers under each promise: the same for the page and for the report."""

from __future__ import annotations

import pytest

from builders import NOW
from retention_enforcer.domain.instants import DAY, HOUR, MINUTE
from retention_enforcer.domain.policy.promises import ON_REQUEST
from retention_enforcer.domain.terminations.findings import Outstanding, termination_findings
from retention_enforcer.domain.terminations.requests import Ask
from retention_enforcer.domain.terminations.states import OpenItem, OpenItemKind, Purged, Termination, times_of
from retention_enforcer.reporting.owed import Timed, owed_under, requests_unknown
from statuses import TRTC, termination

ENDING = next(c.id for c in TRTC.categories if c.after_termination is not None)
BY_AGE = next(c.id for c in TRTC.categories if c.after_termination is None and c.max_age is not None)


def timed(*those: Termination) -> list[Timed]:
    return [(one, times_of(TRTC, one, DAY)) for one in those]


def purged(category: str, at: int) -> tuple[Purged, ...]:
    return (Purged(category=category, index="i", uuid="u", documents=1, at=at, record=1),)


def test_the_last_purge_is_the_later_of_a_cycles_and_a_terminations_also_of_one_that_is_closed() -> None:
    asked = timed(
        termination(1, purges=purged(ENDING, NOW - HOUR), closed_at=NOW),
        termination(2, ask=Ask.ERASE, purges=purged(BY_AGE, NOW - MINUTE)),
    )
    assert owed_under(TRTC, ENDING, asked, NOW).last_purge == NOW - HOUR
    assert owed_under(TRTC, ENDING, asked, NOW, last_purge=NOW - 1).last_purge == NOW - 1
    assert owed_under(TRTC, BY_AGE, asked, NOW).last_purge == NOW - MINUTE
    assert owed_under(TRTC, ON_REQUEST, asked, NOW).last_purge == NOW - MINUTE
    assert owed_under(TRTC, ON_REQUEST, [], NOW).last_purge is None


def test_what_is_due_next_is_the_earliest_deadline_of_what_is_open_or_what_goes_by_age() -> None:
    one, over = termination(1, terminated_at=NOW - DAY), termination(2, terminated_at=NOW - 6 * DAY, closed_at=NOW)
    ((_, times), _) = asked = timed(one, over)
    assert owed_under(TRTC, ENDING, asked, NOW).next_due == times.deadline(one)
    assert owed_under(TRTC, ENDING, asked, NOW, next_due=NOW).next_due == NOW
    assert owed_under(TRTC, ENDING, timed(over), NOW).next_due is None


@pytest.mark.parametrize("promise", [ENDING, ON_REQUEST])
def test_what_is_late_or_not_known_is_not_kept(promise: str) -> None:
    late = termination(1, ask=Ask.ERASE, terminated_at=NOW - 30 * DAY, registered_at=NOW - 30 * DAY, held_back=False)
    if promise == ENDING:
        late = termination(1, terminated_at=NOW - 30 * DAY, registered_at=NOW - 30 * DAY, held_back=False)
    owed = owed_under(TRTC, promise, timed(late), NOW)
    assert (owed.kept, owed.late) == (False, "one request is past its promise")
    assert owed_under(TRTC, promise, [], NOW).kept
    assert not owed_under(TRTC, promise, [], NOW, unknown="nobody looked").kept
    assert owed_under(TRTC, BY_AGE, [], NOW, unknown="nobody looked").kept, "it goes by its age alone"


@pytest.mark.parametrize(
    ("looked_at", "why"),
    [
        (None, "requests have not been looked at yet"),
        (NOW - 15 * MINUTE, ""),
        (NOW - 16 * MINUTE, "requests were last looked at 16 min ago"),
        (NOW - HOUR, "requests were last looked at 1 h ago"),
    ],
)
def test_a_look_at_requests_counts_for_three_intervals(looked_at: int | None, why: str) -> None:
    assert requests_unknown(looked_at, NOW, 5 * MINUTE) == why


def test_a_purge_that_was_refused_is_a_finding_as_long_as_its_termination_is_open() -> None:
    items = (OpenItem(kind=OpenItemKind.PURGE_FAILED, text="delete_documents of keys did not succeed: unauthorized"),)
    (found,) = termination_findings([termination(1, held_back=False, open_items=items)], Outstanding())
    assert (found.kind, "unauthorized" in found.text) == ("purge-failed", True)
    assert not list(termination_findings([termination(1, closed_at=NOW, open_items=items)], Outstanding()))


def test_of_whom_it_cannot_be_told_what_there_is_is_one_finding_for_all() -> None:
    items = [
        tuple(OpenItem(kind=OpenItemKind.NOT_LOOKED_INTO, text=f"logs-{n} cannot tell") for n in those)
        for those in ((1, 2), (2, 3, 4))
    ]
    doubted = [termination(n, held_back=False, open_items=some) for n, some in enumerate(items)]
    (found,) = termination_findings(doubted, Outstanding())
    assert found.kind == "purge-unproven"
    assert "of 2 terminations and requests" in found.text
    assert "logs-1 cannot tell; logs-2 cannot tell; logs-3 cannot tell; and 1 more causes" in found.text
    assert not list(termination_findings([termination(1, closed_at=NOW, open_items=items[0])], Outstanding()))
