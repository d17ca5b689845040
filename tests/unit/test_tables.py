"""The tables of the reading commands fit 100 columns, whatever the names, and lose nothing."""

from __future__ import annotations

import re

import pytest
from rich.console import RenderableType

from builders import LIMIT, NOW, category, index, plan
from retention_enforcer.cli.console import print_table
from retention_enforcer.domain.instants import DAY, HOUR
from retention_enforcer.domain.plan import Action, Keep, Purge, Skip, SkipKind
from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.domain.subjects.identity import SubjectKind
from retention_enforcer.domain.terminations.states import Purged, times_of
from retention_enforcer.reporting.plans import plan_table
from retention_enforcer.reporting.policies import policy_table
from retention_enforcer.reporting.records import records_table
from retention_enforcer.reporting.report import Report, Row
from retention_enforcer.reporting.report_table import report_table
from retention_enforcer.reporting.terminations import terminations_table
from statuses import TRTC, termination

NAME = "n" * 255
ID = "a-category-with-a-very-long-id-as-somebody-may-give-it-000001"


def printed(what: RenderableType, capsys: pytest.CaptureFixture[str]) -> str:
    """The text of a table as a command prints it, each column put together again; every line of it fits."""
    capsys.readouterr()
    print_table(what)
    text = capsys.readouterr().out
    assert [line for line in text.splitlines() if len(line) > 100] == []
    assert "…" not in text
    columns: dict[int, str] = {}
    for line in text.splitlines():
        for match in re.finditer(r"\S+( \S+)*", line):
            columns[match.start()] = columns.get(match.start(), "") + match[0].replace(" ", "")
    return " ".join(columns.values())


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
    text = printed(plan_table(Policy(name="p", categories=(category(ID),)), [made], now=NOW), capsys)
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
    text = printed(terminations_table([(t, times_of(TRTC, t, DAY)) for t in those], NOW), capsys)
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
    text = printed(records_table([record]), capsys)
    assert "123456789" in text
    assert text.count("n") >= 255
    assert text.count("because") == 30


def test_the_policy(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(policy_table(Policy(name="p", categories=(category(ID, indices=[NAME + "-*"]),))), capsys)
    assert ID in text
    assert text.count("n") >= 255


def test_the_report_with_a_long_id(capsys: pytest.CaptureFixture[str]) -> None:
    row = Row(id=ID, promise="at most 14d old", clause="c", kept=False, limit=LIMIT, documents=10**12, indices=9_999)
    policy = Policy(name="p", categories=(category(ID),))
    text = printed(report_table(Report(policy=policy, as_of=NOW, head=None, rows=(row,), findings=())), capsys)
    assert all(
        part in text for part in ("NOTKEPT", "a-category-with-a-very-long-", "id-as-somebody-may-give-it-000001")
    )
