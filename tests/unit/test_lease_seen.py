"""What is known of the lease can be told at any moment, also while a renewal waits for a silent cluster."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from builders import NOW
from retention_enforcer.daemon import lease
from retention_enforcer.daemon.lease import LeaseKeeper
from retention_enforcer.domain.lease import TERM, Lease, Versioned


class Clock:
    def now(self) -> int:
        return NOW


class Store:
    """Keeps the lease; answers nothing while `silent` is set."""

    def __init__(self, held_by: str = "") -> None:
        self.lease = Versioned(body=Lease(holder=held_by, epoch=4).body(), version=(1, 1))
        self.asked, self.answers = threading.Event(), threading.Event()
        self.answers.set()

    def versions(self, keys: list[str]) -> dict[str, Versioned]:
        self._answer()
        return {"lease": self.lease}

    def replace_version(self, key: str, body: dict[str, Any], now: int, version: Any) -> tuple[int, int] | None:
        self._answer()
        self.lease = Versioned(body=body, version=(self.lease.version[0] + 1, 1))
        return self.lease.version

    def _answer(self) -> None:
        self.asked.set()
        assert self.answers.wait(30)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1_000.0]
    monkeypatch.setattr(lease, "_now", lambda: now[0])
    return now


def test_before_the_first_look_nothing_is_known(time: list[float]) -> None:
    seen = LeaseKeeper(Store(), Clock(), "me").seen
    assert (seen.held, seen.epoch, seen.holder, seen.seen_ago) == (False, None, None, None)


def test_who_holds_it_is_known_for_as_long_as_nobody_has_looked_since(time: list[float]) -> None:
    keeper = LeaseKeeper(Store("other"), Clock(), "me")
    assert not keeper.try_to_take()
    time[0] += 7
    seen = keeper.seen
    assert (seen.held, seen.holder, seen.seen_ago) == (False, "other", 7.0)


def test_it_is_held_until_its_term_ends(time: list[float]) -> None:
    keeper = LeaseKeeper(Store(), Clock(), "me")
    assert keeper.try_to_take()
    assert (keeper.seen.held, keeper.seen.epoch, keeper.seen.holder) == (True, 5, "me")
    time[0] += TERM - 0.1
    assert keeper.seen.held
    time[0] += 0.1
    assert (keeper.seen.held, keeper.seen.epoch, keeper.seen.seen_ago) == (False, None, TERM)


def test_it_is_told_while_a_renewal_waits(time: list[float]) -> None:
    store = Store()
    keeper = LeaseKeeper(store, Clock(), "me")
    assert keeper.try_to_take()
    store.asked.clear()
    store.answers.clear()
    renewal = threading.Thread(target=keeper.renew)
    renewal.start()
    assert store.asked.wait(10)
    told: list[bool] = []
    teller = threading.Thread(target=lambda: told.append(keeper.seen.held))
    teller.start()
    teller.join(5)
    store.answers.set()
    renewal.join(5)
    teller.join(5)
    assert told == [True]
    assert not renewal.is_alive()
