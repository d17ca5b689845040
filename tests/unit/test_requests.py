"""What a request document asks for, and which cannot be meant."""

from __future__ import annotations

from typing import Any

import pytest

from retention_enforcer.domain.instants import DAY
from retention_enforcer.domain.subjects.identity import Subject, subject_of
from retention_enforcer.domain.terminations.requests import (
    Ask,
    Malformed,
    Request,
    is_unusual,
    read_request,
    request_body,
)

NOW = 1_800_000_000_000
GOOD = {"kind": "application", "id": "14", "action": "terminate"}


@pytest.mark.parametrize(
    ("body", "subject"),
    [
        ({"kind": "account", "id": "1"}, subject_of(account="1")),
        ({"kind": "application", "id": "1"}, subject_of(application="1")),
        ({"kind": "user", "id": "u", "application": "1"}, subject_of(application="1", user="u")),
        ({"kind": "application", "id": "1", "application": None}, subject_of(application="1")),
    ],
)
def test_whose_it_is(body: dict[str, Any], subject: Subject) -> None:
    read = read_request("r", {**body, "action": "erase"})
    assert isinstance(read, Request)
    assert (read.subject, read.ask, read.terminated_at) == (subject, Ask.ERASE, None)


@pytest.mark.parametrize(
    ("at", "instant"),
    [
        (None, None),
        ("2027-01-15T08:00:00Z", NOW),
        ("2027-01-15T08:00:00.000+00:00", NOW),
        ("2027-01-15T09:00:00+01:00", NOW),
        ("2027-01-15T08:00:00", NOW),
        ("2027-01-15", NOW - DAY // 3),
        (NOW, NOW),
    ],
)
def test_since_when(at: object, instant: int | None) -> None:
    read = read_request("r", {**GOOD, "terminated_at": at})
    assert isinstance(read, Request)
    assert read.terminated_at == instant


@pytest.mark.parametrize(
    "change",
    [
        {"id": None},
        {"id": 14},
        {"id": ["14"]},
        {"id": ""},
        {"id": " RAW"},
        {"id": "RAW*"},
        {"id": "RAW\n"},
        {"id": "R" * 257},
        {"kind": "everybody"},
        {"kind": None},
        {"kind": ["application"]},
        {"action": "destroy"},
        {"action": None},
        {"application": "1"},
        {"kind": "user"},
        {"kind": "user", "application": "RAW*"},
        {"kind": "account", "application": "1"},
        {"terminated_at": "yesterday"},
        {"terminated_at": True},
        {"terminated_at": 1.5},
        {"terminated_at": {}},
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_malformed_and_its_content_is_not_told(change: dict[str, Any]) -> None:
    read = read_request("r", {**GOOD, **change})
    assert isinstance(read, Malformed)
    assert read.problem
    assert "RAW" not in read.problem


@pytest.mark.parametrize("name", ["kind", "id", "action"])
def test_what_is_missing_is_named(name: str) -> None:
    read = read_request("r", {key: value for key, value in GOOD.items() if key != name})
    assert read == Malformed(id="r", problem=f"{name} is missing")


@pytest.mark.parametrize(
    ("offset", "unusual"), [(0, False), (1, True), (-7 * DAY, False), (-7 * DAY - 1, True), (365 * DAY, True)]
)
def test_a_time_ahead_or_more_than_a_week_back_is_unusual(offset: int, unusual: bool) -> None:
    assert is_unusual(NOW + offset, NOW) is unusual


@pytest.mark.parametrize(
    "subject", [subject_of(account="1"), subject_of(application="1"), subject_of(application="1", user="ü")], ids=str
)
@pytest.mark.parametrize("ask", Ask)
def test_what_is_written_is_read_back(subject: Subject, ask: Ask) -> None:
    body = request_body(ask, subject, terminated_at="2027-01-15T08:00:00Z", reason="why", requested_by="who")
    read = read_request("r", body)
    expected = Request(id="r", ask=ask, subject=subject, terminated_at=NOW, reason="why", requested_by="who")
    assert read == expected
