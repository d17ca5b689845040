"""Two requests of one purge at a time, under intents that get old."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext

import pytest

from ledgers import NO_IDS, MemoryLedger
from registrar_bench import NOW, Clock
from retention_enforcer.domain.ledger.records import Record
from retention_enforcer.enforcement.ledger.appender import Appender, Signature
from retention_enforcer.enforcement.ledger.fresh_permit import FreshPermit, StaleIntent


class Always:
    def destructive(self) -> AbstractContextManager[None]:
        return nullcontext()


class One:
    def __init__(self) -> None:
        self.intent: Record = {"epoch": 1}
        self.at = NOW


def permit(clock: Clock, raise_if_held: object) -> FreshPermit:
    appender = Appender(MemoryLedger(), clock, Signature(instance="i", mode="enforce", policy="p"), lambda: 1, NO_IDS)
    return FreshPermit(Always(), clock, appender, [One()], raise_if_held)  # type: ignore[arg-type]


def test_the_second_of_two_does_not_say_that_nothing_was_sent() -> None:
    clock, looking, go_on = Clock(), threading.Event(), threading.Event()

    def slow_look() -> None:
        looking.set()
        assert go_on.wait(5)

    shared, sent = permit(clock, slow_look), list[int]()

    def send(page: int) -> None:
        with shared.destructive():
            sent.append(page)

    clock.instant = NOW + 9_999
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(send, 1)
        assert looking.wait(5)
        clock.instant = NOW + 10_001
        second = pool.submit(send, 2)
        go_on.set()
        first.result(5)
        second.result(5)
    assert sorted(sent) == [1, 2]


def test_what_is_too_old_before_anything_was_sent_is_not_sent() -> None:
    clock = Clock()
    clock.instant = NOW + 10_001
    with pytest.raises(StaleIntent), permit(clock, lambda: None).destructive():
        pytest.fail("it was sent")
