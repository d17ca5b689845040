"""How much is asked for at a time, so that a slow pace keeps its views open and can be told to end."""

from __future__ import annotations

import pytest

from retention_enforcer.cluster.deletion.pace import Pace


@pytest.mark.parametrize(
    ("rate", "seconds", "expected"),
    [(None, 1, 1_000), (20_000, 1, 1_000), (300, 1, 300), (1, 1, 1), (1, 60, 60), (17, 60, 1_000)],
)
def test_no_more_pass_within_a_time_than_the_rate_allows(rate: int | None, seconds: int, expected: int) -> None:
    assert Pace(rate).most(1_000, seconds) == expected
