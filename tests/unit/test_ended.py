"""Which tenants' indices a lifecycle may have, between one run of the work on terminations and the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from builders import NOW, facts, index
from retention_enforcer.domain.instants import HOUR
from retention_enforcer.enforcement.ended import Ended

ONE, OTHER = index("logs-1-a"), index("logs-2-a")


class State:
    """The documents of `retention-state`."""

    def __init__(self) -> None:
        self.bodies: dict[str, Mapping[str, Any]] = {}

    def load(self, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        return {key: self.bodies[key] for key in keys if key in self.bodies}

    def save(self, key: str, body: Mapping[str, Any], now: int) -> None:
        self.bodies[key] = body


@pytest.fixture
def ended() -> Ended:
    known = Ended(State())
    known.remember({"logs": [ONE, OTHER]}, NOW)
    return known


def test_what_a_run_left_over_has_it_as_long_as_nobody_writes_to_it(ended: Ended) -> None:
    assert ended.names("logs", facts(ONE, OTHER), ()) == {"logs-1-a", "logs-2-a"}
    written = index("logs-1-a", sequence_numbers=(99,))
    assert ended.names("logs", facts(written, OTHER), ("logs-1-a",)) == {"logs-2-a"}


def test_in_doubt_no_other_gets_it_and_what_has_it_keeps_it_for_an_hour(ended: Ended) -> None:
    ended.doubt(NOW)
    ended.doubt(NOW + HOUR)  # the first counts
    assert ended.names("logs", facts(ONE, OTHER, now=NOW + HOUR), ("logs-1-a",)) == {"logs-1-a"}
    assert ended.names("logs", facts(ONE, OTHER, now=NOW + HOUR + 1), ("logs-1-a",)) == frozenset()


def test_the_next_run_that_comes_to_its_end_knows_anew(ended: Ended) -> None:
    ended.doubt(NOW)
    ended.remember({"logs": [ONE]}, NOW)
    assert ended.names("logs", facts(ONE, OTHER), ()) == {"logs-1-a"}


def test_where_nothing_is_known_nothing_is_doubted() -> None:
    state = State()
    Ended(state).doubt(NOW)
    assert state.bodies == {}
