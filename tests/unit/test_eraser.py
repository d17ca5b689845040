"""Erasures side by side: for whom one is not done yet is never taken for clean."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import pytest

from ledgers import NO_IDS, MemoryLedger
from registrar_bench import NOW, Clock, Documents, Fuse
from retention_enforcer.domain.erasure.steps import Act, ErasureProgress
from retention_enforcer.domain.instants import DAY, MINUTE, SECOND
from retention_enforcer.enforcement.erasure.eraser import ERASURE, LONGEST_RUN, Eraser, PendingErasure
from retention_enforcer.enforcement.ledger.appender import Appender, Signature


class Erasures:
    """Two acts for each index, but for one that is stuck; what happens in between is up to the test."""

    def __init__(self) -> None:
        self.stuck: set[str] = set()
        self.asked = 0
        self.between: Callable[[ErasureProgress], None] = lambda _: None

    def advance(
        self, progress: ErasureProgress, now: int, permit: Callable[[], AbstractContextManager[None]]
    ) -> ErasureProgress:
        self.asked += 1
        if progress.uuid in self.stuck:
            return replace(progress, due=now + SECOND)
        if progress.act is Act.MARK:
            return replace(progress, act=Act.CHECK, due=now)
        self.between(progress)
        return replace(progress, act=Act.DONE)


class Permit:
    def destructive(self) -> AbstractContextManager[None]:
        return nullcontext()


class Bench:
    def __init__(self) -> None:
        self.clock = Clock()
        self.erasures = Erasures()
        self.paused = 0.0
        ledger, signature = MemoryLedger(), Signature(instance="i", mode="enforce", policy="p")
        self.registry = Documents(Fuse())
        self.eraser = Eraser(
            erasures=self.erasures,
            registry=self.registry,
            appender=Appender(ledger, self.clock, signature, lambda: 1, NO_IDS),
            permit=Permit(),
            clock=self.clock,
            pause=self.pause,
            hide=str,
            own_indices=dict,
        )

    def pause(self, seconds: float) -> None:
        self.paused += seconds
        self.clock.instant += round(seconds * SECOND)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_one_that_begins_again_is_pending_also_beside_one_that_is_stuck(bench: Bench) -> None:
    bench.erasures.stuck = {"stuck"}
    bench.eraser.begin("a", "stuck", ["one"])
    checking = ErasureProgress(index="b", uuid="again", since=NOW, due=NOW, act=Act.CHECK)
    under_way = PendingErasure(progress=checking, labels=frozenset({"two"}))
    bench.registry.save("erasure-again", under_way.body(), NOW, ERASURE)
    bench.eraser.begin("b", "again", ["three"])
    bench.erasures.between = lambda _: bench.erasures.stuck.add("again")
    pending = bench.eraser.carry_on()
    assert {uuid: one.labels for uuid, one in pending.items()} == {"stuck": {"one"}, "again": {"three"}}


def test_one_that_will_go_by_itself_is_not_waited_for_and_not_touched(bench: Bench) -> None:
    bench.eraser.begin("a", "a-uuid", ["one"], not_before=NOW + DAY)
    bench.eraser.begin("b", "b-uuid", ["two"])
    assert list(bench.eraser.carry_on()) == ["a-uuid"]
    assert bench.paused < MINUTE / SECOND
    assert bench.eraser.pending()["a-uuid"].progress.act is Act.MARK
    bench.clock.instant = NOW + DAY
    assert bench.eraser.carry_on() == {}


def test_one_that_is_wanted_sooner_by_another_does_not_wait(bench: Bench) -> None:
    bench.eraser.begin("a", "a-uuid", ["one"], not_before=NOW + DAY)
    bench.eraser.begin("a", "a-uuid", ["two"])
    bench.eraser.begin("a", "a-uuid", ["three"], not_before=NOW + 2 * DAY)
    assert bench.eraser.pending()["a-uuid"].progress.due == NOW
    assert bench.eraser.carry_on() == {}


def test_one_that_has_to_follow_another_is_there_before_that_is_forgotten(bench: Bench) -> None:
    checking = ErasureProgress(index="b", uuid="again", since=NOW, due=NOW, act=Act.CHECK)
    under_way = PendingErasure(progress=checking, labels=frozenset({"two"}), again=frozenset({"three"}))
    bench.registry.save("erasure-again", under_way.body(), NOW, ERASURE)
    bench.registry.remove = None  # type: ignore[method-assign, assignment] - it would be missed if it were called
    bench.erasures.between = lambda _: bench.erasures.stuck.add("again")
    assert bench.eraser.carry_on()["again"].labels == {"three"}


def test_one_whose_purge_is_not_counted_yet_waits_for_that_and_nobody_waits_for_it(bench: Bench) -> None:
    bench.eraser.begin("a", "a-uuid", ["one"], {"one": 7})
    assert bench.eraser.carry_on()["a-uuid"].expected == {"one": 7}
    assert bench.paused < MINUTE / SECOND
    bench.eraser.noted("a-uuid")
    assert bench.eraser.carry_on() == {}


def test_beside_one_that_waits_to_be_counted_another_is_waited_for_and_not_asked_all_the_time(bench: Bench) -> None:
    bench.erasures.stuck = {"stuck"}
    bench.eraser.begin("a", "a-uuid", ["one"], {"one": 7})
    bench.eraser.begin("b", "stuck", ["two"])
    assert bench.eraser.carry_on().keys() == {"a-uuid", "stuck"}
    assert bench.erasures.asked < 2 * LONGEST_RUN / SECOND
    assert bench.eraser.pending()["a-uuid"].progress.act is Act.MARK, "nothing of it before it is counted"
