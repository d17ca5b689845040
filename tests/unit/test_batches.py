"""Requests that many indices share, when some of them are not there."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from retention_enforcer.cluster.batches import of_those_there
from retention_enforcer.domain.errors import RequestRejected

NAMES = [f"logs-{number:03}" for number in range(200)]


@pytest.mark.parametrize("gone", [set(), {"logs-000"}, {"logs-117", "logs-118"}, set(NAMES)], ids=len)
def test_a_few_that_are_gone_cost_a_few_requests(gone: set[str]) -> None:
    asked = 0

    def ask(names: Sequence[str]) -> dict[str, int]:
        nonlocal asked
        asked += 1
        if gone.intersection(names):
            raise RequestRejected("no such index", status=404)
        return dict.fromkeys(names, 1)

    assert of_those_there(NAMES, ask).keys() == set(NAMES) - gone
    assert asked <= 1 + 2 * 8 * len(gone)
