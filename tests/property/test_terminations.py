"""What holds for any requests, in any order, at any times, and wherever the process ends."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from registrar_bench import NOW, Killed, Office
from retention_enforcer.domain.control import Control
from retention_enforcer.domain.instants import DAY, HOUR, format_instant, parse_instant
from retention_enforcer.domain.terminations.requests import is_unusual
from retention_enforcer.domain.terminations.states import Termination, Times, held_back, may_purge, state_of

GRACE = DAY
TIMES = Times(grace=GRACE, margin=HOUR, limit=7 * DAY)

IDS = st.sampled_from(["1", "2", "11"])
ACTIONS = st.sampled_from(["terminate", "terminate", "erase", "reinstate"])
TIMES_AGO = st.none() | st.integers(-2 * DAY, 9 * DAY)


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    """A request, of which some cannot be meant."""
    body: dict[str, Any] = {"kind": "application", "id": draw(IDS | st.just("*")), "action": draw(ACTIONS)}
    ago = draw(TIMES_AGO)
    return body if ago is None else {**body, "terminated_at": format_instant(NOW - ago)}


def essence(terminations: list[Termination]) -> list[Any]:
    """What has to be the same; one that was cancelled may have waited before."""
    same = (replace(t, held_back=t.held_back and t.is_open) for t in terminations)
    return sorted(same, key=lambda t: t.key)


@settings(deadline=None)
@given(st.lists(bodies(), max_size=8), st.lists(st.tuples(st.integers(0, 8), st.integers(0, 12)), max_size=6))
def test_requests_are_taken_in_to_the_same_end_in_any_interleaving_of_crashes(
    requests: list[dict[str, Any]], crashes: list[tuple[int, int]]
) -> None:
    """`crashes` are how many requests were written by then, and how many writes the process lived for."""
    calm, office = Office(), Office()
    for body in requests:
        calm.requests.add(**body)
    expected = essence(calm.register())
    written = 0
    for until, writes in sorted(crashes):
        for body in requests[written:until]:
            office.requests.add(**body)
        written = max(written, min(until, len(requests)))
        office.fuse.left = writes
        with suppress(Killed):
            office.register()
        office.fuse.left = None
    for body in requests[written:]:
        office.requests.add(**body)
    # Too many at once are held back once they are all seen, whenever that is.
    assert essence(office.register()) == expected
    assert essence(office.register()) == expected
    assert office.refused == calm.refused
    lost = {a: calm.actions().count(a) for a in ("registered", "cancelled", "refused")}
    assert all(office.actions().count(action) >= count for action, count in lost.items())


class Life(RuleBasedStateMachine):
    """A registrar's life, with a purger that begins whatever may be purged as soon as it may."""

    def __init__(self) -> None:
        super().__init__()
        self.office = Office()
        self.found: dict[str, Termination] = {}
        self.first_seen: dict[str, int] = {}
        self.begun: set[str] = set()
        self.asked: dict[str, tuple[str, str]] = {}
        self.times: dict[str, int | None] = {}
        self.looks: dict[str, list[int]] = {}
        """By request, when a daemon began that could see it."""
        self.promised_from: dict[str, int] = {}

    @property
    def now(self) -> int:
        return self.office.clock.instant

    @rule(body=bodies())
    def somebody_asks(self, body: dict[str, Any]) -> None:
        request = self.office.requests.add(**body)
        self.asked[request] = (body["id"], body["action"])
        at = body.get("terminated_at")
        self.times[request] = parse_instant(at) if at is not None else None
        self.looks[request] = []

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def somebody_edits_a_request(self, data: st.DataObject) -> None:
        request = data.draw(st.sampled_from(sorted(self.asked)))
        self.office.requests.edit(request, reason="edited")

    @rule(hours=st.integers(1, 40))
    def time_goes_by(self, hours: int) -> None:
        self.office.clock.instant += hours * HOUR

    @rule()
    def they_are_approved(self) -> None:
        self.office.control = Control(terminations_approved_at=self.now)

    @rule(writes=st.none() | st.integers(0, 10))
    def the_daemon_runs(self, writes: int | None) -> None:
        self.office.fuse.left = writes
        for looks in self.looks.values():
            looks.append(self.now)
        try:
            terminations = self.office.register()
        except Killed:
            return
        finally:
            self.office.fuse.left = None
        for one in terminations:
            assert one.terminated_at <= self.promised_from.get(one.key, one.terminated_at), (
                "a promise only gets stricter"
            )
            self.promised_from[one.key] = one.terminated_at
            self.first_seen.setdefault(one.key, one.registered_at)
            if one.begun_at is None and may_purge(one, TIMES, self.now):
                self._judge(one)
                self.office.begin(one)
                self.begun.add(one.key)
        self.found = {t.key: t for t in self.office.register()}

    def _judge(self, one: Termination) -> None:
        """A purge begins never before its time, and never past anybody's word."""
        assert self.now >= max(one.terminated_at, one.registered_at) + GRACE
        assert not one.held_back
        assert one.cancelled_at is None
        approved = self.office.control.terminations_approved_at
        same = [r for r, asked in self.asked.items() if asked == self.asked[one.request]]
        meant = [at for request in same for at in self.looks[request] if self._is_usual(request, at)]
        assert one.registered_at <= approved or any(at + GRACE <= self.now for at in meant)
        order = list(self.asked)
        back = [order.index(r) for r in order if self.asked[r] == (self.asked[one.request][0], "reinstate")]
        assert one.registered_at <= approved or max(map(order.index, same)) > max(back, default=-1), "they came back"

    def _is_usual(self, request: str, seen: int) -> bool:
        """Whether nobody had to confirm the time of a request when it was seen."""
        at = self.times[request]
        return at is None or not is_unusual(at, seen)

    @invariant()
    def the_first_sight_is_never_moved(self) -> None:
        assert all(self.found[key].registered_at == at for key, at in self.first_seen.items() if key in self.found)

    @invariant()
    def each_request_is_at_most_one_termination_and_only_of_whom_it_names(self) -> None:
        requests = [one.request for one in self.found.values()]
        assert len(requests) == len(set(requests))
        for one in self.found.values():
            assert one.subject is not None
            assert (one.subject.id, str(one.ask)) == self.asked[one.request]

    @invariant()
    def of_the_same_subject_at_most_one_of_a_kind_is_open(self) -> None:
        those = [(one.subject, one.ask) for one in self.found.values() if one.is_open]
        assert len(those) == len(set(those))

    @invariant()
    def what_has_begun_goes_on_until_it_is_taken_back(self) -> None:
        for key in self.begun & self.found.keys():
            one = self.found[key]
            assert may_purge(one, TIMES, self.now) or one.closed_at is not None

    @precondition(lambda self: self.found)
    @invariant()
    def no_state_is_both(self) -> None:
        for one in self.found.values():
            assert state_of(one, TIMES, self.now)
            assert not (one.cancelled_at is not None and one.begun_at is not None)


TestLife = Life.TestCase
TestLife.settings = settings(deadline=None, max_examples=60, stateful_step_count=25)


@st.composite
def some_terminations(draw: st.DrawFn) -> list[Termination]:
    office = Office()
    office.requests.add(kind="application", id="1", action="terminate")
    (one,) = office.register()
    flags = st.tuples(st.integers(0, 2 * DAY), *[st.booleans()] * 4)
    return [
        replace(
            one,
            key=str(number),
            registered_at=NOW - ago,
            begun_at=NOW if begun else None,
            cancelled_at=NOW if cancelled else None,
            held_back=waits,
            unusual=unusual,
        )
        for number, (ago, begun, cancelled, waits, unusual) in enumerate(draw(st.lists(flags, max_size=6)))
    ]


@settings(deadline=None)
@given(some_terminations(), st.integers(0, 5), st.integers(0, 2 * DAY))
def test_only_what_is_open_has_not_begun_and_was_not_approved_is_held_back(
    those: list[Termination], most: int, approved_ago: int
) -> None:
    waiting = held_back(those, most, NOW - approved_ago, NOW)
    for one in those:
        stoppable = one.is_open and one.begun_at is None and one.registered_at > NOW - approved_ago
        assert one.key not in waiting or stoppable
        assert not (stoppable and (one.held_back or one.unusual)) or one.key in waiting
    fresh = [t for t in those if t.registered_at > NOW - min(approved_ago, DAY)]
    if len(fresh) > most:
        assert {t.key for t in fresh if t.is_open and t.begun_at is None} <= waiting
