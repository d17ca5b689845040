"""The arithmetic of limit and margin, to the millisecond."""

from __future__ import annotations

import pytest

from builders import DUE_AGE, LIMIT, MARGIN, NOW, category
from retention_enforcer.domain.deadlines import believable, describe_due, due_at, due_before, overdue_before
from retention_enforcer.domain.instants import DAY, HOUR, MINUTE, SECOND, describe_roughly
from retention_enforcer.domain.policy.promises import EARLIEST, Policy


def test_a_document_is_due_a_margin_before_its_limit() -> None:
    assert due_at(category(), MARGIN, NOW) == NOW + LIMIT - MARGIN
    assert due_before(category(), MARGIN, NOW) == NOW - LIMIT + MARGIN


def test_what_is_due_before_now_and_when_it_is_due_agree() -> None:
    border = due_before(category(), MARGIN, NOW)
    assert due_at(category(), MARGIN, border) == NOW
    assert due_at(category(), MARGIN, border - 1) < NOW


def test_the_promise_is_broken_at_the_limit_itself() -> None:
    assert overdue_before(category(), NOW) == NOW - LIMIT


def test_a_timestamp_is_believed_from_the_earliest_to_an_hour_ahead() -> None:
    assert believable(Policy(name="p", categories=()), NOW) == (EARLIEST, NOW + HOUR)
    assert believable(Policy(name="p", categories=(), earliest=NOW - DAY), NOW) == (NOW - DAY, NOW + HOUR)


def test_the_default_of_the_earliest_timestamp_is_2015() -> None:
    assert EARLIEST == (2015 - 1970) * 365 * DAY + 11 * DAY  # with the leap days of 1972 to 2012


SENTENCES = [
    (DUE_AGE + 20 * MINUTE, "oldest document 13 d 23 h 20 min old, limit 14 d, margin 1 h: due since 20 min"),
    (LIMIT + 3 * DAY, "oldest document 17 d old, limit 14 d, margin 1 h: due since 3 d 1 h"),
    (DUE_AGE, "oldest document 13 d 23 h old, limit 14 d, margin 1 h: due in 0 s"),
    (DAY, "oldest document 1 d old, limit 14 d, margin 1 h: due in 12 d 23 h"),
    (-30 * MINUTE, "oldest document -30 min old, limit 14 d, margin 1 h: due in 13 d 23 h 30 min"),
]


@pytest.mark.parametrize(("age", "sentence"), SENTENCES)
def test_a_person_reads_how_old_and_since_when(age: int, sentence: str) -> None:
    assert describe_due(category(), MARGIN, NOW - age, NOW) == sentence


def test_without_a_maximum_age_nothing_is_ever_due() -> None:
    ageless = category("keys", max_age=None, after_termination=7 * DAY)
    for ask in (
        lambda: due_before(ageless, MARGIN, NOW),
        lambda: due_at(ageless, MARGIN, NOW),
        lambda: overdue_before(ageless, NOW),
        lambda: describe_due(ageless, MARGIN, NOW, NOW),
    ):
        with pytest.raises(ValueError, match="keys has no max_age"):
            ask()


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (0, "0 s"),
        (SECOND, "1 s"),
        (MINUTE + SECOND, "1 min 1 s"),
        (HOUR + MINUTE, "1 h 1 min"),
        (13 * DAY + 23 * HOUR + 20 * MINUTE, "13 d 23 h"),
        (DAY + 20 * MINUTE, "1 d 20 min"),
        (-DAY - HOUR - MINUTE, "-1 d 1 h"),
    ],
)
def test_a_narrow_column_has_the_two_largest_units(duration: int, text: str) -> None:
    assert describe_roughly(duration) == text
