"""The rule of the lease: who waits takes over what has not changed for a whole term on its own clock."""

from __future__ import annotations

import pytest

from retention_enforcer.domain.errors import Refused
from retention_enforcer.domain.lease import LEASE_RENEWAL, TERM, Lease, Versioned, Watch

STARTED = 50_000.0


def lease(version: int, holder: str = "other") -> Versioned:
    return Versioned(body=Lease(holder=holder, epoch=3, beat=version).body(), version=(version, 1))


def test_a_lease_that_was_never_taken_is_free() -> None:
    assert Watch().may_take(None, STARTED)


def test_a_lease_that_was_given_back_is_free_at_once() -> None:
    assert Watch().may_take(lease(1, holder=""), STARTED)


def test_at_first_sight_a_lease_belongs_to_its_holder_however_long_the_clock_has_run() -> None:
    assert not Watch().may_take(lease(1), STARTED)


def test_a_lease_may_be_taken_after_exactly_one_term_without_a_change() -> None:
    watch = Watch()
    assert not watch.may_take(lease(1), STARTED)
    assert not watch.may_take(lease(1), STARTED + TERM - 0.001)
    assert watch.may_take(lease(1), STARTED + TERM)


def test_each_renewal_begins_a_new_term() -> None:
    watch = Watch()
    for beat in range(30):
        assert not watch.may_take(lease(beat), STARTED + beat * (TERM - 1))
    assert watch.may_take(lease(29), STARTED + 29 * (TERM - 1) + TERM)


def test_a_new_primary_is_a_change_too() -> None:
    watch = Watch()
    watch.may_take(lease(1), STARTED)
    other_term = Versioned(body=lease(1).body, version=(1, 2))
    assert not watch.may_take(other_term, STARTED + TERM)


def test_somebody_else_who_took_it_first_has_a_whole_term() -> None:
    watch = Watch()
    watch.may_take(lease(1), STARTED)
    assert not watch.may_take(lease(2, holder="third"), STARTED + TERM)


def written_by(token: str, holder: str = "host-1") -> Versioned:
    return Versioned(body=Lease(holder=holder, epoch=3, token=token).body(), version=(1, 1))


def test_what_the_one_who_asks_has_written_itself_and_does_not_hold_may_be_taken_at_once() -> None:
    assert Watch().may_take(written_by("mine"), STARTED, "mine")


@pytest.mark.parametrize("token", ["", "other"])
def test_a_process_of_the_same_name_is_somebody_else(token: str) -> None:
    assert not Watch().may_take(written_by(token), STARTED, "mine")


def test_a_lease_of_before_there_were_tokens_is_nobodys_own() -> None:
    assert not Watch().may_take(written_by(""), STARTED, "")


def test_ten_renewals_may_fail() -> None:
    assert TERM >= 11 * LEASE_RENEWAL


def test_a_lease_is_read_as_it_was_written() -> None:
    for one in (Lease(holder="host-1", epoch=7, beat=99), Lease(holder="host-1", epoch=7, beat=99, token="t")):
        assert Lease.of(one.body()) == one


@pytest.mark.parametrize(
    "body", [{}, {"holder": "a", "epoch": "x", "beat": 1}, {"holder": "a", "epoch": None, "beat": 1}]
)
def test_a_lease_that_cannot_be_read_belongs_to_nobody_who_asks(body: dict[str, object]) -> None:
    with pytest.raises(Refused, match="the lease in retention-state is not readable"):
        Watch().may_take(Versioned(body=body, version=(1, 1)), STARTED)
