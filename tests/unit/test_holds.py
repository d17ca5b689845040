"""Holds: what they cover, and until when."""

from __future__ import annotations

from typing import Any

import pytest

from builders import NOW, index
from retention_enforcer.domain.facts import Held
from retention_enforcer.domain.holds import Hold, held
from retention_enforcer.domain.instants import DAY

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
    assert set(held([one], "logs", [A, B], NOW)) == covered


def test_a_hold_names_its_end_and_nothing_that_an_operator_wrote() -> None:
    expected = Held(hold="h1", text="hold h1 until 2026-02-01T08:00:00.000Z")
    assert held([hold(index="logs-a")], "logs", [A], NOW) == {"logs-a": expected}


def test_one_hold_that_is_alive_is_enough() -> None:
    holds = [hold(id="h1", category="logs"), hold(id="h2", category="logs", until=NOW)]
    for order in (holds, holds[::-1]):
        assert held(iter(order), "logs", [A, B], NOW).keys() == BOTH
        assert held(order, "logs", [A], NOW)["logs-a"].hold == "h1"


def test_without_holds_nothing_is_held() -> None:
    assert held([], "logs", [A], NOW) == {}
