"""Requests are taken in once each, in their order, whatever is interrupted: over small true seams in memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pytest

from registrar_bench import MOST, NOW, Killed, Office
from retention_enforcer.domain.control import Control
from retention_enforcer.domain.errors import Refused
from retention_enforcer.domain.instants import DAY, HOUR, MINUTE, format_instant
from retention_enforcer.domain.own.position import IndexPosition
from retention_enforcer.domain.own.state_keys import REQUESTS
from retention_enforcer.domain.terminations.requests import CHANGED, Written
from retention_enforcer.domain.terminations.states import State, Termination, Times, may_purge, state_of
from retention_enforcer.enforcement.terminations.intake import TAKEN


@pytest.fixture
def office() -> Office:
    return Office()


TERMINATE = {"kind": "application", "id": "1", "action": "terminate"}


def test_a_request_is_taken_in_once_and_names_nobody_in_the_ledger(office: Office) -> None:
    office.requests.add(**TERMINATE, reason="a secret reason", requested_by="somebody")
    (found,) = office.register()
    assert office.register() == [found]
    assert (found.terminated_at, found.registered_at, found.request) == (NOW, NOW, "r0")
    assert office.actions() == ["registered"]
    assert not {"secret", "somebody"} & {word for r in office.ledger.records for word in str(r).split()}


def test_requests_count_in_the_order_in_which_they_were_written(office: Office) -> None:
    for action in ("terminate", "reinstate", "terminate", "terminate", "erase"):
        office.requests.add(**{**TERMINATE, "action": action})
    found = office.register()
    assert [(t.request, str(t.ask), t.cancelled_at is not None) for t in found] == [
        ("r0", "terminate", True),
        ("r2", "terminate", False),
        ("r4", "erase", False),
    ]


def test_a_request_that_is_still_being_written_is_left_to_the_next_time(office: Office) -> None:
    office.requests.add(**TERMINATE)
    office.requests.add(**{**TERMINATE, "id": "2"})
    office.requests.hidden = 1
    assert [t.request for t in office.register()] == ["r0"]
    office.requests.hidden = 0
    assert [t.request for t in office.register()] == ["r0", "r1"]


def test_grace_is_counted_from_when_the_daemon_first_saw_a_request_also_after_a_restart(office: Office) -> None:
    office.requests.add(**TERMINATE, terminated_at=format_instant(NOW - 3 * DAY))
    office.register()
    office.clock.instant += 5 * HOUR
    (found,) = office.register()
    assert (found.registered_at, found.terminated_at) == (NOW, NOW - 3 * DAY)


def test_a_malformed_request_is_refused_until_it_is_gone_and_recorded_once(office: Office) -> None:
    office.requests.add(**{**TERMINATE, "id": "RAW,ID"})
    assert (office.register(), list(office.refused)) == ([], [0])
    assert (office.register(), list(office.refused)) == ([], [0])
    assert office.actions() == ["refused"]
    assert "RAW" not in str(office.ledger.records) + str(office.refused)
    office.requests.written = []
    office.requests.position = lambda: IndexPosition(uuid=office.requests.uuid, until=1)  # type: ignore[method-assign]
    assert (office.register(), dict(office.refused)) == ([], {})


def test_one_that_was_corrected_is_taken_in(office: Office) -> None:
    office.requests.add(kind="application", id="1", action="destroy")
    office.register()
    office.requests.written = [Written(id="r0", sequence=1, body=TERMINATE)]
    assert [t.request for t in office.register()] == ["r0"]
    assert office.refused == {}


def test_a_request_is_known_by_its_id_and_a_changed_one_is_no_new_one(office: Office) -> None:
    id_ = office.requests.add(**TERMINATE)
    office.register()
    office.requests.add(**{**TERMINATE, "action": "reinstate"})
    office.register()
    office.requests.edit(id_, reason="a comment")
    (found,) = office.register()
    assert (found.request, found.cancelled_at) == ("r0", NOW)
    assert list(office.refused.values()) == [CHANGED]
    office.requests.edit(id_, id="2")
    assert [t.request for t in office.register()] == ["r0"]
    assert office.actions() == ["registered", "cancelled", "refused", "refused"]
    assert "r0" not in str([key for key in office.registry.documents if key.startswith(TAKEN)])


def test_a_reinstatement_and_a_repetition_are_known_by_their_ids_too(office: Office) -> None:
    office.requests.add(**TERMINATE)
    again, back = office.requests.add(**TERMINATE), office.requests.add(**{**TERMINATE, "action": "reinstate"})
    office.register()
    office.requests.edit(again, reason="edited")
    assert [t.is_open for t in office.register()] == [False]
    office.requests.add(**TERMINATE)
    office.register()
    office.requests.edit(back, reason="edited")
    assert [t.is_open for t in office.register()] == [False, True], "an old word does not win either way"


@pytest.mark.parametrize(
    ("edit", "waits"),
    [
        ({"action": "reinstate"}, [True, False]),
        ({"action": "reinstate", "id": "2"}, [False, True]),
        ({"action": "reinstate", "id": "3"}, [False, False]),
        ({"action": "reinstate", "kind": "user", "application": "1", "id": "u"}, [True, False]),
        ({"action": "erase"}, [False, False]),
        ({"reason": "a comment"}, [False, False]),
    ],
)
def test_one_edited_to_a_reinstatement_reinstates_nobody_and_holds_back_what_it_would_have_ended(
    office: Office, edit: dict[str, str], waits: list[bool]
) -> None:
    id_ = office.requests.add(**TERMINATE)
    office.requests.add(**{**TERMINATE, "id": "2"})
    office.register()
    office.requests.edit(id_, **edit)
    assert [(t.is_open, t.waits) for t in office.register()] == [(True, waiting) for waiting in waits]
    assert [t.waits for t in office.register()] == waits, "it goes on waiting"
    office.control = Control(terminations_approved_at=NOW)
    assert [(t.is_open, t.waits) for t in office.register()] == [(True, False)] * 2


def test_ids_that_were_lost_or_never_noted_are_noted_before_anything_is_read(office: Office) -> None:
    id_, skipped = office.requests.add(**TERMINATE), office.requests.add(**{**TERMINATE, "action": "reinstate"})
    office.register()
    for key in [key for key in office.registry.documents if key.startswith(TAKEN)]:
        del office.registry.documents[key]
    kind, body = office.state.documents[REQUESTS]
    office.state.documents[REQUESTS] = (kind, {name: value for name, value in body.items() if name != "knows_ids"})
    office.register()
    office.requests.edit(id_, reason="edited")
    assert [t.is_open for t in office.register()] == [False]
    office.state.documents.clear()
    office.adopt()
    office.register()
    office.requests.edit(skipped, action="terminate")
    assert [t.is_open for t in office.register()] == [False]


def test_one_that_was_rewritten_before_anybody_saw_it_waits_where_its_subject_came_back(office: Office) -> None:
    id_ = office.requests.add(**TERMINATE)
    office.requests.add(**{**TERMINATE, "action": "reinstate"})
    other = office.requests.add(**{**TERMINATE, "id": "2"})
    office.requests.edit(id_, reason="edited")
    office.requests.edit(other, reason="edited")
    assert [(t.request, t.waits) for t in office.register()] == [(id_, True), (other, False)]


@pytest.mark.parametrize(
    ("at", "waits"),
    [(NOW - 7 * DAY, False), (NOW - 7 * DAY - 1, True), (NOW, False), (NOW + 1, True)],
)
def test_a_time_ahead_or_more_than_a_week_back_waits_unless_it_was_confirmed(
    office: Office, at: int, waits: bool
) -> None:
    id_ = office.requests.add(**TERMINATE, terminated_at=format_instant(at))
    assert [t.held_back for t in office.register()] == [waits]
    confirmed = Office()
    confirmed.control = Control(confirmed={id_: at})
    confirmed.requests = office.requests
    assert [t.held_back for t in confirmed.register()] == [False]
    another = Office()
    another.control = Control(confirmed={id_: at - 1})
    another.requests = office.requests
    assert [t.held_back for t in another.register()] == [waits], "a confirmation is of one time, not of a document"


def test_one_too_many_holds_all_back_until_they_are_approved(office: Office) -> None:
    for number in range(MOST):
        office.requests.add(**{**TERMINATE, "id": str(number)})
    assert not any(t.held_back for t in office.register())
    office.requests.add(**{**TERMINATE, "id": "another"})
    assert all(t.held_back for t in office.register())
    office.clock.instant += 3 * DAY
    assert all(t.held_back for t in office.register()), "time is no approval"
    office.control = Control(terminations_approved_at=office.clock.instant)
    assert not any(t.held_back for t in office.register())
    assert office.actions().count("approved") == MOST + 1
    office.clock.instant += 1
    office.requests.add(**{**TERMINATE, "id": "after the approval"})
    assert not any(t.held_back for t in office.register())


def test_other_requests_than_those_that_were_read_are_refused_until_adopted(office: Office) -> None:
    office.requests.add(**TERMINATE)
    office.register()
    office.requests.uuid = "another index"
    office.requests.add(**{**TERMINATE, "id": "2"})
    with pytest.raises(Refused, match="another index than before"):
        office.register()
    assert office.adopt().skipped_up_to == 1
    assert office.adopt().skipped_up_to is None
    assert [t.request for t in office.register()] == ["r0"], "those there now are skipped"
    office.requests.add(**{**TERMINATE, "id": "3"})
    assert [t.request for t in office.register()] == ["r0", "r2"]


def test_where_the_state_is_lost_no_request_is_carried_out_a_second_time(office: Office) -> None:
    office.requests.add(**TERMINATE)
    office.requests.add(**{**TERMINATE, "action": "reinstate"})
    office.register()
    office.state.documents.clear()
    with pytest.raises(Refused, match="how far requests were read"):
        office.register()
    assert office.adopt().skipped_up_to == 1
    assert [t.cancelled_at for t in office.register()] == [NOW]
    office.requests.add(**TERMINATE)
    assert [t.request for t in office.register()] == ["r0", "r2"]


def test_a_registry_that_was_made_anew_is_refused_and_what_it_lost_is_named(office: Office) -> None:
    office.requests.add(**TERMINATE)
    office.requests.add(**{**TERMINATE, "id": "2"})
    office.requests.add(**{**TERMINATE, "id": "2", "action": "reinstate"})
    open_, cancelled = office.register()
    office.registry.documents.clear()
    office.registry.uuid, office.registry.operations = "made anew", -1
    with pytest.raises(Refused, match="retention-terminations is another index than before"):
        office.register()
    adopted = office.adopt()
    assert adopted.lost == (f"terminate of application {open_.pseudonym}, request {open_.key}",)
    assert cancelled.pseudonym not in str(adopted.lost)
    assert office.register() == []
    office.requests.add(**TERMINATE)
    assert [t.request for t in office.register()] == ["r3"]


@pytest.mark.parametrize("in_place", [True, False])
def test_an_older_registry_does_not_bring_back_what_was_reinstated_since(office: Office, in_place: bool) -> None:
    office.requests.add(**TERMINATE)
    office.requests.add(**{**TERMINATE, "id": "2"})
    for termination in office.register():
        office.begin(termination)
    older = (dict(office.registry.documents), office.registry.operations)
    office.requests.add(**{**TERMINATE, "id": "2", "action": "reinstate"})
    office.register()
    office.registry.documents, office.registry.operations = older
    if not in_place:
        office.registry.uuid = "restored"
    with pytest.raises(Refused, match="retention-terminations is another index than before"):
        office.register()
    assert office.adopt().lost == ()
    for _ in range(2):
        assert [(t.request, t.is_open, t.reinstated, t.waits) for t in office.register()] == [
            ("r0", True, False, True),
            ("r1", False, True, False),
        ]
    assert office.actions().count("closed") == 1
    assert office.actions().count("held-back") == 1
    office.approve()
    assert [t.waits for t in office.register()] == [False, False]


def test_an_approval_after_an_adoption_counts_although_the_run_does_not_come_to_its_end(office: Office) -> None:
    office.requests.add(**TERMINATE)
    office.begin(office.register()[0])
    older = (dict(office.registry.documents), office.registry.operations)
    office.requests.add(**{**TERMINATE, "id": "2"})
    office.register()
    office.registry.documents, office.registry.operations = older
    office.adopt()
    assert [t.waits for t in office.register()] == [True]
    office.clock.instant += 1
    office.approve()
    for _ in range(3):
        office.clock.instant += 1
        assert [t.waits for t in office.register()] == [False]


def test_an_older_registry_does_not_bring_back_an_earlier_round_of_the_same_subject(office: Office) -> None:
    office.requests.add(**TERMINATE)
    office.register()
    older = (dict(office.registry.documents), office.registry.operations)
    office.requests.add(**{**TERMINATE, "action": "reinstate"})
    office.requests.add(**TERMINATE)
    _, again = office.register()
    office.registry.documents, office.registry.operations = older
    office.registry.uuid = "restored"
    assert office.adopt().lost == (f"terminate of application {again.pseudonym}, request {again.key}",)
    assert [(t.request, t.is_open) for t in office.register()] == [("r0", False)]


def test_where_requests_are_skipped_all_wait_for_a_person_also_what_has_begun(office: Office) -> None:
    for id_ in ("1", "2"):
        office.requests.add(**{**TERMINATE, "id": id_})
    office.begin(office.register()[1])
    office.requests.add(**{**TERMINATE, "action": "reinstate"})
    office.state.documents.clear()
    assert office.adopt().skipped_up_to == 2
    times = Times(grace=0, margin=0, limit=7 * DAY)
    assert [state_of(t, times, NOW) for t in office.register()] == [State.WAITING] * 2
    assert not any(may_purge(t, times, NOW) for t in office.register())
    assert office.actions().count("held-back") == 2
    office.requests.add(**{**TERMINATE, "action": "reinstate"})
    office.approve()
    cancelled, begun = office.register()
    assert (cancelled.is_open, state_of(begun, times, NOW)) == (False, State.PURGING)


@pytest.mark.parametrize(
    ("first", "then", "expected"),
    [
        # promised from, grace from
        (NOW + 30 * DAY, None, (NOW + HOUR, NOW + HOUR)),
        (NOW - DAY, None, (NOW - DAY, NOW)),  # the same again
        (NOW, NOW - 2 * DAY, (NOW - 2 * DAY, NOW)),  # no further grace than there was
        (NOW + 30 * DAY, NOW - 2 * DAY, (NOW - 2 * DAY, NOW + HOUR)),
        (NOW - 2 * DAY, NOW - DAY, (NOW - 2 * DAY, NOW)),
        (NOW + 30 * DAY, NOW + 20 * DAY, (NOW + 30 * DAY, NOW + 30 * DAY)),  # a person would have to confirm it
        (NOW - DAY, NOW - 30 * DAY, (NOW - DAY, NOW)),
        (NOW - 30 * DAY, None, (NOW - 30 * DAY, NOW + HOUR)),  # nobody confirmed it: what is usual goes on all the same
    ],
)
def test_the_earliest_time_that_was_asked_for_counts_and_grace_is_not_skipped(
    office: Office, first: int, then: int | None, expected: tuple[int, int]
) -> None:
    office.requests.add(**TERMINATE, terminated_at=format_instant(first))
    office.register()
    office.clock.instant += HOUR
    office.requests.add(**TERMINATE, **({"terminated_at": format_instant(then)} if then is not None else {}))
    (found,) = office.register()
    assert (found.terminated_at, max(found.terminated_at, found.asked_at)) == expected
    assert found.registered_at == NOW
    assert found.held_back == (found.terminated_at > office.clock.instant)


def test_asking_again_for_what_waited_for_its_time_counts_as_new(office: Office) -> None:
    ahead = format_instant(NOW + 2 * MINUTE)
    for number in range(MOST + 1):
        office.requests.add(**{**TERMINATE, "id": str(number)}, terminated_at=ahead)
    assert all(t.held_back for t in office.register())
    office.clock.instant += 25 * HOUR
    for number in range(MOST + 1):
        office.requests.add(**{**TERMINATE, "id": str(number)}, terminated_at=format_instant(NOW + MINUTE))
    found = office.register()
    assert all(t.held_back for t in found), "too many still"
    assert {(t.registered_at, t.asked_at) for t in found} == {(NOW, office.clock.instant)}, "with a grace of its own"


def test_asking_again_for_what_was_confirmed_or_approved_begins_no_grace_anew(office: Office) -> None:
    earlier = [NOW - 9 * DAY, NOW - 10 * DAY, NOW - 11 * DAY]
    for at in earlier:
        id_ = office.requests.add(**TERMINATE, terminated_at=format_instant(at))
        office.control = Control(confirmed={**office.control.confirmed, id_: at})
        (found,) = office.register()
        assert (found.terminated_at, found.asked_at, found.held_back) == (at, NOW, False)
        office.clock.instant += 10 * HOUR
    office.requests.add(**{**TERMINATE, "id": "2"}, terminated_at=format_instant(NOW - 30 * DAY))
    office.register()
    office.approve()
    approved = office.clock.instant
    office.register()
    office.clock.instant += 10 * HOUR
    id_ = office.requests.add(**{**TERMINATE, "id": "2"}, terminated_at=format_instant(NOW - 31 * DAY))
    office.control = Control(confirmed={id_: NOW - 31 * DAY}, terminations_approved_at=approved)
    _, found = office.register()
    assert (found.terminated_at, found.asked_at, found.held_back) == (NOW - 31 * DAY, approved, False)


def test_an_approval_that_is_ahead_of_the_clock_approves_nothing(office: Office) -> None:
    office.control = Control(terminations_approved_at=NOW + DAY)
    for number in range(MOST + 1):
        office.requests.add(**{**TERMINATE, "id": str(number)})
    assert all(t.held_back for t in office.register())


def test_what_waits_since_too_many_came_is_not_released_by_asking_again(office: Office) -> None:
    for number in range(MOST + 1):
        office.requests.add(**{**TERMINATE, "id": str(number)})
    assert all(t.held_back for t in office.register())
    office.clock.instant += 2 * DAY
    office.requests.add(**TERMINATE, terminated_at=format_instant(NOW - DAY))
    assert all(t.held_back for t in office.register())
    assert office.actions().count("brought-forward") == 1


STORY: tuple[Mapping[str, Any], ...] = (
    TERMINATE,
    {"kind": "application", "id": "2", "action": "terminate"},
    {"kind": "application", "id": "1", "action": "reinstate"},
    {"kind": "application", "id": "<>", "action": "terminate"},
    TERMINATE,
    TERMINATE,
    {"kind": "application", "id": "3", "action": "erase"},
    {"kind": "account", "id": "1", "action": "terminate"},
)


def essence(terminations: Collection[Termination]) -> list[tuple[Any, ...]]:
    return [(t.key, t.request, t.pseudonym, t.ask, t.cancelled_at, t.held_back) for t in terminations]


def undisturbed() -> Office:
    office = Office()
    for body in STORY:
        office.requests.add(**body)
    return office


def test_killed_before_any_write_the_next_process_ends_in_the_same_state_and_every_change_is_in_the_ledger() -> None:
    calm = undisturbed()
    expected, actions = essence(calm.register()), sorted(calm.actions())
    writes = 0
    while True:
        office = undisturbed()
        office.fuse.left = writes
        try:
            office.register()
        except Killed:
            office.fuse.left = None
            assert essence(office.register()) == expected, f"killed before write {writes + 1}"
            missing = [a for a in set(actions) if office.actions().count(a) < actions.count(a)]
            assert not missing, f"killed before write {writes + 1}, {missing} are not in the ledger"
            assert office.state.load([REQUESTS])[REQUESTS]["sequence"] == len(STORY) - 1
            writes += 1
            continue
        break
    assert writes > len(STORY)
