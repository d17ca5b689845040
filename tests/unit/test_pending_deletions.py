"""Which tenants' indices a lifecycle may have, between one run of the work on terminations and the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from builders import NOW, facts, index
from retention_enforcer.domain.instants import HOUR
from retention_enforcer.enforcement.lifecycles.pending import PendingWholeDeletions

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
def ended() -> PendingWholeDeletions:
    known = PendingWholeDeletions(State())
    with known.renewing():
        known.remember({"logs": [ONE, OTHER]}, NOW)
    return known


def fail(ended: PendingWholeDeletions) -> None:
    with ended.renewing():
        ended.doubt(NOW)
        raise RuntimeError


def both(ended: PendingWholeDeletions, *having: str) -> frozenset[str]:
    return ended.names("logs", facts(ONE, OTHER), having)


def test_what_a_run_left_over_has_it_as_long_as_nobody_writes_to_it(ended: PendingWholeDeletions) -> None:
    assert ended.names("logs", facts(ONE, OTHER), ()) == {"logs-1-a", "logs-2-a"}
    written = index("logs-1-a", sequence_numbers=(99,))
    assert ended.names("logs", facts(written, OTHER), ("logs-1-a",)) == {"logs-2-a"}


def test_after_a_run_that_failed_no_other_gets_it_and_what_has_it_keeps_it_for_an_hour(
    ended: PendingWholeDeletions,
) -> None:
    with pytest.raises(RuntimeError):
        fail(ended)
    ended.doubt(NOW + HOUR)  # the first counts
    assert ended.names("logs", facts(ONE, OTHER, now=NOW + HOUR), ("logs-1-a",)) == {"logs-1-a"}
    assert ended.names("logs", facts(ONE, OTHER, now=NOW + HOUR + 1), ("logs-1-a",)) == frozenset()


def test_the_next_run_that_comes_to_its_end_knows_anew(ended: PendingWholeDeletions) -> None:
    with pytest.raises(RuntimeError):
        fail(ended)
    assert both(ended) == frozenset()
    with ended.renewing():
        ended.doubt(NOW)
        ended.remember({"logs": [ONE]}, NOW)
    assert both(ended) == {"logs-1-a"}


def test_while_it_runs_again_the_last_word_holds_on_unless_somebody_came_back(ended: PendingWholeDeletions) -> None:
    with ended.renewing():
        ended.doubt(NOW)
        assert both(ended) == {"logs-1-a", "logs-2-a"}
        ended.take_no_word()
        assert both(ended, "logs-1-a") == {"logs-1-a"}


def test_a_run_that_had_no_word_says_nothing(ended: PendingWholeDeletions) -> None:
    with ended.renewing():
        pass  # stopped: nobody is looked for
    assert both(ended, "logs-1-a") == {"logs-1-a"}


def test_the_word_of_another_process_gives_it_to_no_other() -> None:
    state = State()
    before = PendingWholeDeletions(state)
    with before.renewing():
        before.remember({"logs": [ONE, OTHER]}, NOW)
    assert both(PendingWholeDeletions(state), "logs-1-a") == {"logs-1-a"}


def test_where_nothing_is_known_nothing_is_doubted() -> None:
    state = State()
    PendingWholeDeletions(state).doubt(NOW)
    assert state.bodies == {}
