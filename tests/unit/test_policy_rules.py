"""The rules of a policy, on values: the policy file is not the only one that can make them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from naming import named
from retention_enforcer.domain.instants import DAY, HOUR, MINUTE, SECOND
from retention_enforcer.domain.policy.names import IndexPattern
from retention_enforcer.domain.policy.promises import Category, Clause, Policy
from retention_enforcer.domain.policy.rules import earliest_problems, policy_problems, settings_problems
from retention_enforcer.domain.timestamps import Timestamp

CLAUSE = Clause(document="Privacy", section="6", item="logs", updated="2022-08-11")
LOGS = Category(id="logs", clause=CLAUSE, indices=(IndexPattern("shop-logs-*"),), max_age=14 * DAY)
KEYS = Category(id="keys", clause=CLAUSE, indices=(IndexPattern("shop-keys"),), after_termination=7 * DAY)
GOOD = Policy(name="shop", categories=(LOGS, KEYS))


def category(**changes: object) -> Policy:
    return replace(GOOD, categories=(replace(LOGS, **changes), KEYS))  # type: ignore[arg-type]


def patterns(*texts: str) -> tuple[IndexPattern, ...]:
    return tuple(IndexPattern(text) for text in texts)


FIRST = ("categories", 0)

WRONG = [
    (replace(GOOD, name=""), ("name",)),
    (replace(GOOD, name="-shop"), ("name",)),
    (replace(GOOD, name="shöp"), ("name",)),
    (replace(GOOD, categories=()), ("categories",)),
    (replace(GOOD, margin=0), ("margin",)),
    (replace(GOOD, margin=-HOUR), ("margin",)),
    (replace(GOOD, on_request=HOUR), ("on_request",)),
    (replace(GOOD, on_request=0), ("on_request",)),
    (replace(GOOD, ignore=patterns("shop-logs-*")), ("categories", 0, "indices", 0)),
    (replace(GOOD, ignore=patterns("ok-*", "*")), ("ignore", 1)),
    (category(id="on-request"), (*FIRST, "id")),
    (category(id="keys"), ("categories", 1, "id")),
    (category(id="logs\n"), (*FIRST, "id")),
    (category(clause=replace(CLAUSE, section=" ")), (*FIRST, "clause", "section")),
    (category(clause=replace(CLAUSE, updated="2022-13-01")), (*FIRST, "clause", "updated")),
    (category(max_age=None), FIRST),
    (category(never_stored=True), (*FIRST, "never_stored")),
    (category(max_age=0), (*FIRST, "max_age")),
    (category(max_age=HOUR), (*FIRST, "max_age")),
    (category(after_termination=HOUR), (*FIRST, "after_termination")),
    (category(after_termination=-DAY), (*FIRST, "after_termination")),
    (category(rollover=0), (*FIRST, "rollover")),
    (category(rollover=(14 * DAY - HOUR) // 2 + 1), (*FIRST, "rollover")),
    (category(indices=()), (*FIRST, "indices")),
    (category(indices=patterns("shop-logs-*", "")), (*FIRST, "indices", 1)),
    (category(indices=patterns("shop-{application}-logs")), (*FIRST, "indices", 0)),
    (category(indices=patterns("shop-ke*")), ("categories", 1, "indices", 0)),
    (category(subjects=named(user="user_id")), (*FIRST, "subjects")),
    (category(owns=named(account="owner")), (*FIRST, "owns")),
    (category(owns=named(account="a", application="b", user="c")), (*FIRST, "owns")),
    (category(timestamp=Timestamp("")), (*FIRST, "timestamp")),
    (category(timestamp=Timestamp("event created")), (*FIRST, "timestamp")),
    (category(timestamp=Timestamp("event created", "ms")), (*FIRST, "timestamp", "field")),
    (category(timestamp=Timestamp("event..created")), (*FIRST, "timestamp")),
    (category(timestamp=Timestamp("t", "msec")), (*FIRST, "timestamp", "unit")),
    (category(timestamp=Timestamp("t", "yyyyMM")), (*FIRST, "timestamp", "unit")),
    (category(timestamp=Timestamp("t", "yyyyddMM")), (*FIRST, "timestamp", "unit")),
    (category(timestamp=Timestamp("t", "yyyyMMddmm")), (*FIRST, "timestamp", "unit")),
    (category(timestamp=Timestamp("t", "yyMMdd")), (*FIRST, "timestamp", "unit")),
    (category(timestamp=Timestamp("t", "yyyyMMdd'T")), (*FIRST, "timestamp", "unit")),
    (category(timestamp=Timestamp("t", "yyyy1MMdd")), (*FIRST, "timestamp", "unit")),
    (category(timestamp=Timestamp("t", "yyyyMMdd")), (*FIRST, "timestamp", "unit")),  # coarser than the margin
    (category(timestamp=Timestamp("t", "yyyyMMddHH")), (*FIRST, "timestamp", "unit")),
    (category(subjects=named(application="app*")), (*FIRST, "subjects", "application")),
    (category(forbidden_fields=("audio", "video\x00")), (*FIRST, "forbidden_fields", 1)),
]


@pytest.mark.parametrize(("policy", "path"), WRONG, ids=["-".join(map(str, path)) for _, path in WRONG])
def test_a_wrong_policy_has_one_problem_at_one_place(policy: Policy, path: tuple[str | int, ...]) -> None:
    (problem,) = policy_problems(policy)
    assert problem.path == path
    assert problem.text
    assert problem.remedy


@pytest.mark.parametrize(
    "policy",
    [
        GOOD,
        replace(GOOD, margin=MINUTE, on_request=MINUTE + 1),
        category(max_age=HOUR + 2, rollover=1, after_termination=HOUR + 1),
        category(rollover=(14 * DAY - HOUR) // 2),
        category(max_age=None, never_stored=True),
        category(indices=patterns("shop-logs-*", "shop-logs-old-*")),
        category(indices=patterns("a-{application}-*"), subjects=named(application="app.id", user="user.id")),
        category(owns=named(account="uin", application="app")),
    ],
)
def test_what_can_be_kept_has_no_problem(policy: Policy) -> None:
    assert policy_problems(policy) == []


def test_two_categories_that_claim_one_index_are_both_named_with_their_patterns() -> None:
    (problem,) = policy_problems(category(indices=patterns("other", "shop-*")))
    assert "'shop-keys' of keys and 'shop-*' of logs" in problem.text


def test_an_impossible_pattern_is_not_reported_as_an_overlap_too() -> None:
    assert len(policy_problems(category(indices=patterns("*")))) == 1


def test_the_remedy_of_a_coarse_rollover_is_a_rollover_that_is_accepted() -> None:
    (problem,) = policy_problems(category(max_age=2 * HOUR, rollover=DAY))
    assert "at most 30m" in problem.remedy
    assert policy_problems(category(max_age=2 * HOUR, rollover=30 * MINUTE)) == []


class TestSettings:
    """What the settings have to leave to the policy."""

    def test_the_defaults_suit_a_week_after_termination(self) -> None:
        assert settings_problems(GOOD, interval=5 * MINUTE, grace=DAY) == []

    @pytest.mark.parametrize(("interval", "refused"), [(15 * MINUTE, False), (15 * MINUTE + SECOND, True)])
    def test_an_interval_is_at_most_a_quarter_of_the_margin(self, interval: int, refused: bool) -> None:
        problems = settings_problems(GOOD, interval=interval, grace=DAY)
        assert [problem.path for problem in problems] == [("ENFORCER_INTERVAL",)] * refused
        assert all("at most 15m" in problem.remedy for problem in problems)

    @pytest.mark.parametrize(("grace", "refused"), [(7 * DAY - HOUR - 1, False), (7 * DAY - HOUR, True)])
    def test_grace_and_margin_stay_below_the_smallest_limit(self, grace: int, refused: bool) -> None:
        problems = settings_problems(GOOD, interval=5 * MINUTE, grace=grace)
        assert [problem.path for problem in problems] == [("ENFORCER_GRACE",)] * refused
        assert all("below 167h" in problem.remedy for problem in problems)

    def test_the_smallest_limit_may_be_that_of_a_category(self) -> None:
        policy = replace(GOOD, categories=(replace(KEYS, after_termination=DAY),))
        (problem,) = settings_problems(policy, interval=MINUTE, grace=DAY)
        assert "after_termination of keys" in problem.text

    def test_a_request_counts_where_nothing_ends_by_termination(self) -> None:
        policy = replace(GOOD, categories=(LOGS,), on_request=DAY)
        (problem,) = settings_problems(policy, interval=MINUTE, grace=DAY)
        assert "on_request" in problem.text


# --- against the clock ------------------------------------------------------------------------------------

NOW = 1_769_846_400_000  # 2026-01-31T08:00:00Z


@pytest.mark.parametrize(
    ("earliest", "long", "text"),
    [
        (NOW - 14 * DAY, 14 * DAY, ""),
        (NOW - 14 * DAY + 1, 14 * DAY, "less than 14d ago"),
        (NOW - 400 * DAY + 1, 400 * DAY, "less than 400d ago"),
        (NOW + 1, 14 * DAY, "less than 14d ago"),
        (NOW, None, ""),
        (NOW + 1, None, "in the future"),
    ],
)
def test_a_document_past_its_limit_is_believed(earliest: int, long: int | None, text: str) -> None:
    logs = replace(LOGS, max_age=long, after_termination=None if long else DAY)
    problems = earliest_problems(replace(GOOD, categories=(logs, KEYS), earliest=earliest), NOW)
    assert [problem.path for problem in problems] == ([("earliest",)] if text else [])
    assert all(text in problem.text for problem in problems)


def test_the_remedy_for_earliest_is_a_day_that_will_do() -> None:
    (problem,) = earliest_problems(replace(GOOD, earliest=NOW), NOW)
    assert "well before 2026-01-17, such as 2025-01-03" in problem.remedy
