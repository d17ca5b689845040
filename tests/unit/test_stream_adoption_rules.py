"""Which streams are adopted, what stands against their retention, and what they get back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from builders import MARGIN, NOW, apart, category, facts, index
from retention_enforcer.cluster.lifecycles.reads import StreamMember, attachment_of
from retention_enforcer.domain.errors import RetentionError
from retention_enforcer.domain.facts import Ageless, Doubt, IndexFacts
from retention_enforcer.domain.instants import DAY, HOUR, MINUTE
from retention_enforcer.domain.lifecycles.adoption import PutLifecycle, against, due_by, unsettled
from retention_enforcer.domain.lifecycles.changes import Way, doubtful_changes
from retention_enforcer.domain.lifecycles.choice import Attachment, NoLifecycle, Wanted, wanted_lifecycle
from retention_enforcer.domain.lifecycles.compiler import Lifecycles, compile_lifecycles
from retention_enforcer.domain.lifecycles.exemption import FAR_AHEAD
from retention_enforcer.domain.lifecycles.streams import (
    AdoptedStream,
    StreamLifecycle,
    StreamRetention,
    StreamRollover,
    adopted_streams,
    same_lifecycle,
)
from retention_enforcer.domain.policy.promises import Category, Policy

POLL = 5 * MINUTE
ADOPTS = category(max_age=14 * DAY, rollover=DAY, foreign_lifecycle="adopt")
FITTING = 12 * DAY + 21 * HOUR + 45 * MINUTE
TARGET = StreamRetention(retention=FITTING, rollover_age=DAY, arithmetic="a + b = c")
BODY = {"enabled": True, "data_retention": "30d", "downsampling": []}


def lifecycle(**more: Any) -> StreamLifecycle:
    values: dict[str, Any] = {
        "stream": "logs",
        "body": BODY,
        "asked": 30 * DAY,
        "enabled": True,
        "retention": 30 * DAY,
        "determined_by": None,
        "rollover": StreamRollover(max_age=7 * DAY, automatic=True),
        "members": frozenset({"rolled"}),
        "rules_the_next": True,
        **more,
    }
    return StreamLifecycle(**values)


def adopted(**more: Any) -> AdoptedStream:
    return AdoptedStream(lifecycle=lifecycle(**more), target=TARGET)


# --- which ---


def test_an_adopted_stream_and_what_is_put_on_it() -> None:
    (found,) = adopted_streams(ADOPTS, MARGIN, [lifecycle()], POLL).values()
    assert found.target.retention == FITTING
    assert found.body == {**BODY, "data_retention": "18585m"}
    assert not found.settled


@pytest.mark.parametrize(
    ("under", "one"),
    [
        (replace(ADOPTS, foreign_lifecycle="leave"), lifecycle()),
        (replace(ADOPTS, enforce=False), lifecycle()),
        (replace(ADOPTS, max_age=18 * DAY), lifecycle()),
        (category(max_age=None, after_termination=7 * DAY, foreign_lifecycle="adopt"), lifecycle()),
        (category(max_age=14 * DAY, foreign_lifecycle="adopt", indices=("logs-{application}-*",)), lifecycle()),
        (ADOPTS, lifecycle(enabled=False)),
        (ADOPTS, lifecycle(rules_the_next=False)),
        (ADOPTS, lifecycle(failure_store=True)),
    ],
    ids=["left", "not enforced", "no retention", "no age", "a tenant's", "off", "ILM's", "a failure store's"],
)
def test_one_that_is_not(under: Category, one: StreamLifecycle) -> None:
    assert adopted_streams(under, MARGIN, [one], POLL) == {}


@pytest.mark.parametrize(
    ("one", "settled"),
    [(adopted(asked=FITTING), True), (adopted(asked=FITTING, enabled=False), False), (adopted(asked=None), False)],
)
def test_one_is_settled_while_it_has_its_retention_and_is_on(one: AdoptedStream, settled: bool) -> None:
    assert one.settled is settled


def test_what_is_about_to_be_put_may_be_there_or_not() -> None:
    pending = PutLifecycle(put=BODY, before=BODY, pending={**BODY, "data_retention": "18585m"})
    assert pending.is_on(lifecycle())
    assert pending.is_on(lifecycle(body={**BODY, "data_retention": "18585m"}))
    assert not pending.is_on(lifecycle(body={**BODY, "data_retention": "9d"}))
    assert PutLifecycle.of(pending.body()) == pending


@pytest.mark.parametrize(
    ("there", "same"),
    [
        ({"data_retention": "720h"}, True),
        ({"data_retention": "43200m"}, True),
        ({"data_retention": "721h"}, False),
        ({}, False),
        ({"data_retention": "720h", "downsampling": []}, False),
        ({"data_retention": "720h", "enabled": False}, False),
    ],
)
def test_equal_retentions_in_other_words_are_the_same(there: dict[str, Any], same: bool) -> None:
    mine = PutLifecycle(put={"enabled": True, "data_retention": "30d"}, before={"enabled": True})
    body = {"enabled": True, **there}
    assert mine.is_on(lifecycle(body=body)) is same
    assert same_lifecycle(body, mine.put) is same


def test_whose_retention_is_to_change() -> None:
    mine = PutLifecycle(put=BODY, before={"enabled": True})
    other = lifecycle(stream="other")
    assert unsettled([lifecycle()], {"logs": adopted()}, {}) == {"logs"}
    assert unsettled([lifecycle()], {"logs": adopted(asked=FITTING)}, {"logs": mine}) == set()
    assert unsettled([other], {}, {"other": mine}) == {"other"}, "it is to be given back"
    assert unsettled([other], {}, {"other": replace(mine, put={})}) == set(), "somebody changed it"


# --- what it gets back ---


@pytest.mark.parametrize(
    ("before", "default", "returned"),
    [
        ({"enabled": True, "data_retention": "30d"}, None, {"enabled": True, "data_retention": "30d"}),
        ({"enabled": True, "data_retention": "30d"}, 3 * DAY, {"enabled": True, "data_retention": "30d"}),
        ({"enabled": True}, None, {"enabled": True}),
        ({"enabled": True}, 30 * DAY, {"enabled": True}),
        ({"enabled": True}, 3 * DAY, {"enabled": False}),
        ({"enabled": True, "data_retention": "18585m"}, None, {"enabled": True, "data_retention": "18585m"}),
        ({"enabled": True, "data_retention": "7d"}, None, {"enabled": False, "data_retention": "7d"}),
    ],
)
def test_what_deletes_sooner_is_not_given_back_enabled(
    before: dict[str, Any], default: int | None, returned: dict[str, Any]
) -> None:
    put = PutLifecycle(put={"enabled": True, "data_retention": "18585m"}, before=before)
    assert put.returned(default) == returned
    assert PutLifecycle.of(put.body()) == put


# --- from when an index of it counts ---


@pytest.mark.parametrize(
    ("rollovers", "rolled_over"),
    [({"logs": 5}, 5), ({"alias": 9}, None), ({"logs": 5, "alias": 9}, 5), ({}, None)],
)
def test_in_a_stream_only_the_rollover_of_that_stream_counts(
    rollovers: dict[str, int], rolled_over: int | None
) -> None:
    info = {by: {"met_conditions": {}, "time": at} for by, at in rollovers.items()}
    state = {"settings": {"index": {"uuid": "u"}}, "state": "open", "rollover_info": info}
    member = StreamMember(stream="logs", failure_store=False, lifecycle=True)
    assert attachment_of(state, member).rolled_over == rolled_over
    assert attachment_of(state, None).rolled_over == max(rollovers.values(), default=None)


@pytest.mark.parametrize("body", [{}, {"put": {}}, {"put": 1, "before": {}}])
def test_a_memory_that_cannot_be_read_is_said_to_be_so(body: dict[str, Any]) -> None:
    with pytest.raises(RetentionError):
        PutLifecycle.of(body)


# --- what stands against it ---

ROLLED = index("rolled", ages=[2 * DAY], index_age=3 * DAY, stream="logs")
THERE = Attachment(uuid=ROLLED.uuid, stream="logs", stream_lifecycle=True, rolled_over=NOW - DAY)
BY_STREAM = NoLifecycle(reason="the lifecycle of its data stream deletes it", foreign=True)


@pytest.mark.parametrize(
    ("seen", "there", "wanted", "reason"),
    [
        (facts(ROLLED), {"rolled": THERE}, {"rolled": BY_STREAM}, None),
        (facts(ROLLED), {"rolled": replace(THERE, origination=FAR_AHEAD)}, {"rolled": BY_STREAM}, None),
        (facts(ROLLED), {"rolled": replace(THERE, policy="theirs")}, {}, None),
        (facts(), {"rolled": THERE}, {}, "rolled was not checked"),
        (facts(), {}, {}, "rolled was not checked"),
        (facts(ROLLED), {"rolled": THERE}, {}, "rolled was not checked"),
        (facts(set_apart=[apart("rolled")]), {"rolled": THERE}, {}, "rolled is closed"),
        (
            facts(ROLLED),
            {"rolled": THERE},
            {"rolled": NoLifecycle(reason="held: h1", foreign=True, exempt=True)},
            "rolled is not exempt from it: held: h1",
        ),
    ],
    ids=["free", "exempt", "ILM's", "unseen", "unknown", "came in between", "in doubt", "held"],
)
def test_what_it_would_rule_and_must_not(
    seen: Any, there: dict[str, Attachment], wanted: dict[str, Wanted], reason: str | None
) -> None:
    assert against(adopted(), seen, there, wanted) == (() if reason is None else (reason,))


def due(one: AdoptedStream, attached: Attachment, wanted: Wanted = BY_STREAM) -> list[IndexFacts]:
    return due_by(one, facts(ROLLED), {"rolled": attached}, {"rolled": wanted}, NOW + DAY)


def test_what_a_retention_deletes_by_an_instant_and_the_one_before_did_not() -> None:
    rolled = NOW + DAY - FITTING
    old = replace(THERE, rolled_over=rolled)
    assert due(adopted(), old) == [ROLLED]
    assert due(adopted(), replace(old, rolled_over=rolled + 1)) == []
    assert due(adopted(retention=FITTING), old) == [], "it did already"
    assert due(adopted(), replace(THERE, origination=rolled)) == [ROLLED], "its date counts, not its rollover"
    assert due(adopted(), replace(old, policy="theirs")) == []


def test_what_is_exempt_until_the_retention_is_put_counts_as_what_it_will_be() -> None:
    rolled = NOW + DAY - FITTING
    exempt = replace(THERE, rolled_over=rolled, origination=FAR_AHEAD + 1)
    assert due(adopted(), exempt) == [ROLLED]
    assert due(adopted(retention=FITTING), exempt) == [ROLLED], "its exemption ends with the next put"
    assert due(adopted(), exempt, NoLifecycle(reason="held", foreign=True, exempt=True)) == []
    assert due(adopted(), replace(exempt, origination=FAR_AHEAD)) == [], "ILM ruled it, it is not given back"
    assert due(adopted(), replace(THERE, origination=2 * 10**15 + rolled)) == [ROLLED], "it had that date"


# --- which index it may rule ---


def wanted(one: IndexFacts, attached: Attachment, **more: Any) -> Wanted:
    compiled = compile_lifecycles(Policy(name="trtc", categories=(ADOPTS,), margin=MARGIN), ADOPTS, "f", POLL)
    assert isinstance(compiled, Lifecycles)
    return wanted_lifecycle(ADOPTS, compiled, one, attached, now=NOW, by_stream=True, **more)


@pytest.mark.parametrize(
    ("one", "attached"),
    [
        (ROLLED, THERE),
        (index("rolled", ages=[5 * HOUR], write_index=True, stream="logs"), replace(THERE, rolled_over=None)),
        (index("rolled", stream="logs"), THERE),
        (index("rolled", ages=[10 * DAY, 2 * DAY], index_age=3 * DAY, stream="logs"), THERE),
        (index("rolled", ages=[DAY - HOUR], index_age=3 * DAY, stream="logs"), THERE),
    ],
    ids=["rolled", "write index", "empty", "with late documents", "with one that is as late as may be"],
)
def test_an_index_that_the_lifecycle_of_its_stream_may_delete(one: IndexFacts, attached: Attachment) -> None:
    assert wanted(one, attached) == BY_STREAM


@pytest.mark.parametrize(
    ("one", "attached"),
    [
        (index("rolled", ages=[2 * DAY], undated=1, stream="logs"), THERE),
        (replace(ROLLED, ageless=Ageless(doubt=Doubt.TIMESTAMP_ABSENT, text="none has one", remedy="")), THERE),
        (index("rolled", ages=[DAY - HOUR - 1], index_age=3 * DAY, stream="logs"), THERE),
        (index("rolled", ages=[DAY], index_age=20 * DAY, stream="logs"), replace(THERE, rolled_over=None)),
        (ROLLED, replace(THERE, origination=NOW - 30 * DAY)),
    ],
    ids=["undated", "ageless", "written to after its rollover", "added by hand", "dated back by somebody"],
)
def test_one_that_it_must_not_is_exempt(one: IndexFacts, attached: Attachment) -> None:
    found = wanted(one, attached)
    assert isinstance(found, NoLifecycle)
    assert (found.exempt, found.foreign) == (True, True)


def test_a_held_one_is_exempt_and_one_under_ilm_goes_by_ilm() -> None:
    held = wanted(ROLLED, THERE, held="h1")
    assert isinstance(held, NoLifecycle)
    assert held.exempt
    assert not isinstance(wanted(ROLLED, replace(THERE, policy="theirs")), NoLifecycle)


@pytest.mark.parametrize(
    ("doubt", "origination", "way"),
    [
        (Doubt.TIMESTAMP_TYPE, None, Way.DETACH),
        (Doubt.CLAIMED_TWICE, None, Way.DETACH),
        (Doubt.CLOSED, None, None),
        (Doubt.CLOSED, FAR_AHEAD + 1, None),
    ],
)
def test_in_doubt_it_is_exempt_as_from_the_enforcers_own_and_nothing_is_given_back(
    doubt: Doubt, origination: int | None, way: Way | None
) -> None:
    one = apart("rolled", doubt=doubt)
    there = Attachment(uuid=str(one.uuid), stream="logs", stream_lifecycle=True, origination=origination)
    found = [change.way for change in doubtful_changes(facts(set_apart=[one]), {"rolled": there}, (), (), {"logs"})]
    assert found == ([way] if way else [])
