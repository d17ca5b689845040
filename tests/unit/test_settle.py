"""What becomes of a change of a lifecycle that was interrupted: what a look at the index shows."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast

import pytest

from ledgers import MemoryLedger
from retention_enforcer.domain.deletion import Existing
from retention_enforcer.domain.ledger import APPLY_LIFECYCLE, DETACH_LIFECYCLE, Entry, Kind, Outcome
from retention_enforcer.enforcement.appender import Appender, Signature
from retention_enforcer.enforcement.ports import Deleter
from retention_enforcer.enforcement.settle import settle_intents

PLAIN = "retention-p-c-plain"


class Clock:
    def now(self) -> int:
        return 1_800_000_000_000


class Looking:
    """A cluster with one index, or none."""

    def __init__(self, there: Existing | None) -> None:
        self._there = there

    def existing(self, uuids: Collection[str]) -> dict[str, Existing]:
        return {uuid: self._there for uuid in uuids if self._there is not None}


def under(lifecycle: str | None) -> Existing:
    return Existing(name="logs-a", rolled_over=False, lifecycle=lifecycle)


@pytest.mark.parametrize(
    ("action", "there", "outcome"),
    [
        (APPLY_LIFECYCLE, under(PLAIN), Outcome.DONE),
        (APPLY_LIFECYCLE, under(None), Outcome.FAILED),
        (APPLY_LIFECYCLE, under("theirs"), Outcome.FAILED),
        (APPLY_LIFECYCLE, None, Outcome.FAILED),
        (DETACH_LIFECYCLE, under(None), Outcome.DONE),
        (DETACH_LIFECYCLE, under(PLAIN), Outcome.FAILED),
        (DETACH_LIFECYCLE, None, Outcome.FAILED),
    ],
)
def test_an_interrupted_change_of_a_lifecycle(action: str, there: Existing | None, outcome: Outcome) -> None:
    ledger = MemoryLedger()
    appender = Appender(ledger, Clock(), Signature(instance="i", mode="enforce", policy="p"), lambda: 1)
    reason = f"{PLAIN}: min_age 13d + 3 polls" if action == APPLY_LIFECYCLE else "it straddles"
    appender.append(Entry(kind=Kind.INTENT, action=action, target=("logs-a", "u"), reason=reason, cycle="c-1"))
    settle_intents(ledger, appender, cast("Deleter", Looking(there)), after=0)
    last: Any = ledger.records[-1]
    assert (last["kind"], last["outcome"]) == ("outcome", outcome)
