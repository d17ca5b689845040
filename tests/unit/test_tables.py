"""The tables of the reading commands fit 100 columns, whatever the names, and lose nothing."""

from __future__ import annotations

import pytest

from builders import LIMIT, NOW, category, index, plan
from pages import columns, printed
from retention_enforcer.domain.instants import DAY, HOUR
from retention_enforcer.domain.plan import Action, Keep, Purge, Skip, SkipKind
from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.domain.subjects.identity import SubjectKind
from retention_enforcer.domain.terminations.states import Purged, times_of
from retention_enforcer.reporting.plans import plan_table
from retention_enforcer.reporting.policies import policy_table
from retention_enforcer.reporting.promises import Promise, Verdict
from retention_enforcer.reporting.records import records_table
from retention_enforcer.reporting.report import Report
from retention_enforcer.reporting.report_table import report_table
from retention_enforcer.reporting.terminations import terminations_table
from statuses import TRTC, termination

NAME = "n" * 255
ID = "a-category-with-a-very-long-id-as-somebody-may-give-it-000001"


def test_a_plan(capsys: pytest.CaptureFixture[str]) -> None:
    one = index(NAME, ages=[LIMIT + DAY], documents=10**12)
    purge = Purge(
        facts=one, action=Action.DELETE_DOCUMENTS, documents=10**12, due=NOW - HOUR, reason="because " * 30, cut=NOW
    )
    made = plan(
        purge,
        category_id=ID,
        keep=[Keep(facts=index("k" * 255), due=NOW + HOUR, reason="later")],
        skip=(Skip(name="s" * 255, uuid=None, kind=SkipKind.HELD, reason="held", remedy="remove it"),),
    )
    text = columns(printed(plan_table(Policy(name="p", categories=(category(ID),)), [made], now=NOW), capsys))
    assert text.count("n") >= 255
    assert text.count("because") == 30
    assert "1,000,000,000,000" in text
    assert ID in text


def test_terminations(capsys: pytest.CaptureFixture[str]) -> None:
    many = Purged(category="uin", index="i", uuid="u", documents=10**7, at=NOW, record=1)
    those = [
        termination(1, kind=SubjectKind.APPLICATION, held_back=True, purges=(many,)),
        termination(2, terminated_at=NOW - 400 * DAY, registered_at=NOW - 400 * DAY, begun_at=NOW),
    ]
    text = columns(printed(terminations_table([(t, times_of(TRTC, t, DAY)) for t in those], NOW), capsys))
    assert "waiting-for-approval" in text
    assert "10,000,000" in text
    assert "lateby393d1h" in text
    for one in those:
        assert one.pseudonym.rpartition(":")[2][:12] in text


def test_the_ledger(capsys: pytest.CaptureFixture[str]) -> None:
    record = {
        "sequence": 123_456_789,
        "time": "2026-01-31T08:00:00.000Z",
        "kind": "outcome",
        "action": "observed_deletion",
        "outcome": "unknown",
        "target": {"index": NAME, "uuid": "u"},
        "reason": "because " * 30,
        "intent": 123_456_788,
    }
    text = columns(printed(records_table([record]), capsys))
    assert "123456789" in text
    assert text.count("n") >= 255
    assert text.count("because") == 30


def test_the_policy(capsys: pytest.CaptureFixture[str]) -> None:
    text = columns(printed(policy_table(Policy(name="p", categories=(category(ID, indices=[NAME + "-*"]),))), capsys))
    assert ID in text
    assert text.count("n") >= 255


def test_the_report_with_a_long_id(capsys: pytest.CaptureFixture[str]) -> None:
    broken = Promise(
        id=ID, promise="p", clause="c", verdict=Verdict.NOT_KEPT, limit=LIMIT, documents=10**12, indices=9_999
    )
    policy = Policy(name="p", categories=(category(ID),))
    text = columns(
        printed(report_table(Report(policy=policy, as_of=NOW, head=None, promises=(broken,), findings=())), capsys)
    )
    assert all(
        part in text for part in ("NOTKEPT", "a-category-with-a-very-long-", "id-as-somebody-may-give-it-000001")
    )
