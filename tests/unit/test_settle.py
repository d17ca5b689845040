"""What becomes of a change of a lifecycle that was interrupted: what a look at the index shows."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, cast

import pytest

from ledgers import NO_IDS, MemoryLedger
from retention_enforcer.domain.errors import ClusterUnavailable
from retention_enforcer.domain.ledger.records import (
    APPLY_LIFECYCLE,
    DETACH_LIFECYCLE,
    ROLLOVER,
    SET_RETENTION,
    Entry,
    Kind,
    Outcome,
    Record,
)
from retention_enforcer.domain.selection import Existing
from retention_enforcer.enforcement.ledger.appender import Appender, Signature
from retention_enforcer.enforcement.ledger.settle import settle_intents
from retention_enforcer.enforcement.ports import Deleter, StreamLifecycles

PLAIN = "retention-p-c-plain"


class Clock:
    def now(self) -> int:
        return 1_800_000_000_000


class Looking:
    """A cluster with one index, or none."""

    def __init__(self, there: Existing | None) -> None:
        self._there = there

    def existing(self, uuids: Collection[str], names: Collection[str] | None = None) -> dict[str, Existing]:
        return {uuid: self._there for uuid in uuids if self._there is not None}


class Streams:
    """A stream whose lifecycle says this; empty where it has none, None where the stream is gone."""

    def __init__(self, body: dict[str, Any] | None = None) -> None:
        self._body = body

    def of(self, streams: Collection[str]) -> dict[str, dict[str, Any]]:
        return {"logs": self._body} if "logs" in streams and self._body is not None else {}


NO_STREAMS = cast("StreamLifecycles", Streams())


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
@pytest.mark.parametrize("in_words", [False, True], ids=["in fields", "in words alone, as before"])
def test_an_interrupted_change_of_a_lifecycle(
    action: str, there: Existing | None, outcome: Outcome, in_words: bool
) -> None:
    ledger = MemoryLedger()
    appender = Appender(ledger, Clock(), Signature(instance="i", mode="enforce", policy="p"), lambda: 1, NO_IDS)
    details = {"lifecycle": PLAIN} if action == APPLY_LIFECYCLE and not in_words else None
    reason = f"{PLAIN}: min_age 13d + 3 polls" if in_words and action == APPLY_LIFECYCLE else "theirs: in any words"
    appender.append(
        Entry(kind=Kind.INTENT, action=action, target=("logs-a", "u"), details=details, reason=reason, cycle="c-1")
    )
    settle_intents(ledger, appender, cast("Deleter", Looking(there)), NO_STREAMS, after=0)
    last: Any = ledger.records[-1]
    assert (last["kind"], last["outcome"]) == ("outcome", outcome)


@pytest.mark.parametrize(
    ("wanted", "there", "outcome"),
    [
        ("18585m", {"enabled": True, "data_retention": "18585m"}, Outcome.DONE),
        ("18585m", {"enabled": True, "data_retention": "30d"}, Outcome.FAILED),
        ("18585m", {"enabled": True}, Outcome.FAILED),
        ("18585m", {}, Outcome.FAILED),
        ("18585m", None, Outcome.FAILED),
        (None, {"enabled": True}, Outcome.DONE),
        (None, {"enabled": True, "data_retention": "30d"}, Outcome.FAILED),
        (None, {}, Outcome.FAILED),
        (None, None, Outcome.FAILED),
        ("18585m", {"enabled": False, "data_retention": "18585m"}, Outcome.FAILED),
        ("7d off", {"enabled": False, "data_retention": "7d"}, Outcome.DONE),
        ("7d off", {"enabled": True, "data_retention": "7d"}, Outcome.FAILED),
    ],
)
def test_an_interrupted_change_of_the_lifecycle_of_a_stream(
    wanted: str | None, there: dict[str, Any] | None, outcome: Outcome
) -> None:
    ledger = MemoryLedger()
    appender = Appender(ledger, Clock(), Signature(instance="i", mode="enforce", policy="p"), lambda: 1, NO_IDS)
    retention, _, off = (wanted or "").partition(" ")
    details = {"stream": "logs", "enabled": int(not off), **({"retention": retention} if retention else {})}
    appender.append(
        Entry(kind=Kind.INTENT, action=SET_RETENTION, target=("logs", ""), details=details, reason="r", cycle="c-1")
    )
    streams = cast("StreamLifecycles", Streams(there))
    settle_intents(ledger, appender, cast("Deleter", Looking(None)), streams, after=0)
    assert ledger.records[-1]["outcome"] == outcome


@pytest.mark.parametrize("shows", [0, 2])
def test_nothing_is_settled_by_a_copy_that_does_not_show_all_of_the_ledger(shows: int) -> None:

    class Copy(MemoryLedger):
        def read(self, after: int = 0) -> Iterator[Record]:
            yield from self.records[after:shows]

    ledger = Copy()
    appender = Appender(ledger, Clock(), Signature(instance="i", mode="enforce", policy="p"), lambda: 1, NO_IDS)
    for _ in range(2):
        appender.append(Entry(kind=Kind.INTENT, action=ROLLOVER, target=("logs-a", "u"), cycle="c-1"))
    with pytest.raises(ClusterUnavailable, match="record 3 of the ledger cannot be read"):
        settle_intents(ledger, appender, cast("Deleter", Looking(None)), NO_STREAMS, after=0)
    assert len(ledger.records) == 3


def test_an_intent_beyond_the_head_is_none() -> None:
    class Copy(MemoryLedger):
        def read(self, after: int = 0) -> Iterator[Record]:
            yield from self.records
            yield {**self.records[-1], "sequence": len(self.records) + 1}

    ledger = Copy()
    appender = Appender(ledger, Clock(), Signature(instance="i", mode="enforce", policy="p"), lambda: 1, NO_IDS)
    appender.append(Entry(kind=Kind.INTENT, action=ROLLOVER, target=("logs-a", "u"), cycle="c-1"))
    settle_intents(ledger, appender, cast("Deleter", Looking(None)), NO_STREAMS, after=0)
    assert [record.get("intent") for record in ledger.records if record["kind"] == "outcome"] == [2]
