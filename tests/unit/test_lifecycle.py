"""Compiling a promise into lifecycle policies, and which index may have which."""

from __future__ import annotations

from typing import Any

import pytest

from builders import LIMIT, MARGIN, NOW, apart, category, facts, index
from retention_enforcer.domain.facts import Block, Doubt, IndexFacts
from retention_enforcer.domain.instants import DAY, HOUR, MINUTE, SECOND
from retention_enforcer.domain.lifecycles.changes import (
    Change,
    Way,
    deletes_from,
    doubtful_changes,
    earliest_deletion,
    lifecycle_changes,
)
from retention_enforcer.domain.lifecycles.choice import (
    Attachment,
    DeleteNow,
    NoLifecycle,
    Plain,
    Rolled,
    Rolling,
    Wanted,
    wanted_lifecycle,
    wanted_lifecycles,
    without_lifecycles,
)
from retention_enforcer.domain.lifecycles.compiler import (
    Lifecycles,
    Stored,
    Unmeetable,
    compare_stored,
    compile_lifecycles,
    own_lifecycles,
)
from retention_enforcer.domain.lifecycles.exemption import FAR_AHEAD, STREAM_LIFECYCLE
from retention_enforcer.domain.policy.promises import Category, Policy
from retention_enforcer.domain.rollover import last_of_alias

POLL = 10 * MINUTE
FINGERPRINT = "f" * 64
ROLLED, ROLLING, PLAIN, ENDED = (
    f"retention-trtc-backend-logs-{variant}" for variant in ("rolled", "rolling", "plain", "ended")
)
TENANT = {"indices": ("logs-{application}-*",), "max_age": None, "after_termination": 7 * DAY}


def compiled(
    under: Category | None = None, *, margin: int = MARGIN, poll: int = POLL, **more: Any
) -> Lifecycles | Unmeetable:
    under = under or category()
    policy = Policy(name="trtc", categories=(under,), margin=margin, **more)
    return compile_lifecycles(policy, under, FINGERPRINT, poll)


def lifecycles(under: Category | None = None, **more: Any) -> Lifecycles:
    found = compiled(under, **more)
    assert isinstance(found, Lifecycles), found
    return found


# --- the compiler -------------------------------------------------------------------------------------


def test_a_rolled_policy_as_elasticsearch_takes_it() -> None:
    rolled = lifecycles().rolled
    assert rolled is not None
    assert rolled.name == ROLLED
    assert rolled.body == {
        "policy": {
            "_meta": {
                "managed_by": "retention-enforcer",
                "policy": "trtc",
                "category": "backend-logs",
                "clause": "TRTC privacy module (2022-08-11), section 6: backend logs",
                "fingerprint": FINGERPRINT,
                "arithmetic": "max_age 1d + min_age 18560m + 4 polls of 10m + lateness 1h = limit 14d - margin 1h",
            },
            "phases": {
                "hot": {"min_age": "0ms", "actions": {"rollover": {"max_age": "1d"}}},
                "delete": {"min_age": "18560m", "actions": {"delete": {"delete_searchable_snapshot": False}}},
            },
        }
    }
    assert rolled.min_age == LIMIT - MARGIN - DAY - 4 * POLL - HOUR


def test_a_plain_policy_only_deletes_and_costs_one_poll_less() -> None:
    plain = lifecycles().plain
    assert plain is not None
    assert plain.name == PLAIN
    assert plain.body["policy"]["phases"].keys() == {"delete"}
    assert plain.min_age == LIMIT - MARGIN - 3 * POLL - HOUR
    assert plain.arithmetic == "min_age 20010m + 3 polls of 10m + lateness 1h = limit 14d - margin 1h"


def test_lateness_is_never_more_than_the_margin() -> None:
    plain = lifecycles(category(max_age=60 * SECOND, rollover=10 * SECOND), margin=6 * SECOND, poll=SECOND).plain
    assert plain is not None
    assert plain.min_age == (60 - 6 - 3 - 6) * SECOND


def test_polls_too_long_for_the_rollover_shorten_it() -> None:
    rolled = lifecycles(category(rollover=30 * MINUTE), poll=10 * MINUTE).rolled
    assert rolled is not None
    assert rolled.max_age == 33 * MINUTE - 20 * MINUTE


def test_an_ended_policy_deletes_at_once_and_only_where_indices_are_of_single_tenants() -> None:
    found = lifecycles(category(**TENANT))
    assert (found.rolled, found.plain) == (None, None)
    assert found.ended is not None
    assert found.ended.name == ENDED
    assert found.ended.body["policy"]["phases"]["delete"]["min_age"] == "0ms"
    assert lifecycles().ended is None


def test_a_tenants_index_with_a_maximum_age_can_end_on_request() -> None:
    found = lifecycles(category(indices=("logs-{application}-*",)), on_request=2 * DAY)
    assert [policy.name for policy in found.policies] == [ROLLED, ROLLING, PLAIN, ENDED]
    assert "within limit 2d - margin 1h" in found.policies[3].arithmetic


def test_a_rolling_policy_rolls_over_as_the_rolled_one_does_and_deletes_nothing() -> None:
    found = lifecycles()
    assert found.rolled is not None
    assert found.rolling is not None
    phases = found.rolling.body["policy"]["phases"]
    assert phases == {"hot": found.rolled.body["policy"]["phases"]["hot"]}
    assert (found.rolling.name, found.rolling.min_age) == (ROLLING, None)
    assert found.rolling.arithmetic == "max_age 1d, nothing is deleted"


def test_a_category_without_age_and_tenants_compiles_to_nothing() -> None:
    assert lifecycles(category(indices=("console",), max_age=None, after_termination=7 * DAY)).policies == ()


@pytest.mark.parametrize(
    ("under", "margin", "poll", "arithmetic"),
    [
        (
            category(max_age=2 * HOUR, rollover=30 * MINUTE),
            HOUR,
            POLL,
            "max_age 13m + 4 polls of 10m + lateness 1h >= limit 2h - margin 1h",
        ),
        (category(rollover=5 * MINUTE), HOUR, POLL, "a poll every 10m is too seldom"),
        (category(**{**TENANT, "after_termination": 90 * MINUTE}), HOUR, POLL, "90m - margin 1h: 30m does not fit"),
    ],
)
def test_a_limit_that_cannot_be_met_is_refused_with_its_arithmetic(
    under: Category, margin: int, poll: int, arithmetic: str
) -> None:
    found = compiled(under, margin=margin, poll=poll)
    assert isinstance(found, Unmeetable)
    assert arithmetic in found.arithmetic
    assert "poll_interval" in found.remedy


# --- what is stored -----------------------------------------------------------------------------------


def stored(**meta: str) -> dict[str, Any]:
    rolled = lifecycles().rolled
    assert rolled is not None
    content = rolled.body["policy"]
    return {"phases": content["phases"], "_meta": {**content["_meta"], **meta}}


@pytest.mark.parametrize(
    ("there", "verdict"),
    [
        (None, Stored.MISSING),
        (stored(), Stored.SAME),
        (stored(fingerprint="0" * 64), Stored.OUTDATED),
        (stored(arithmetic="other"), Stored.OUTDATED),
        ({**stored(), "phases": {}}, Stored.ALTERED),
        ({"phases": stored()["phases"]}, Stored.FOREIGN),
        (stored(managed_by="somebody"), Stored.FOREIGN),
        (stored(category="logs", policy="trtc-backend"), Stored.FOREIGN),
    ],
)
def test_how_a_stored_policy_stands_to_the_compiled_one(there: dict[str, Any] | None, verdict: Stored) -> None:
    rolled = lifecycles().rolled
    assert rolled is not None
    assert compare_stored(rolled, there) is verdict


# --- which index may have which -----------------------------------------------------------------------


def attachment(one: IndexFacts, policy: str | None = None, **more: Any) -> Attachment:
    return Attachment(uuid=one.uuid, policy=policy, **more)


def wanted(
    under: Category | None = None,
    *,
    attached: dict[str, Any] | None = None,
    decided: dict[str, Any] | None = None,
    **of: Any,
) -> Wanted:
    under = under or category()
    one = index(**{"index_age": 2 * DAY, "ages": [DAY, 2 * DAY], **of})
    there = attachment(one, **(attached or {}))
    return wanted_lifecycle(under, lifecycles(under), one, there, now=NOW, **(decided or {}))


RULED = {"stream": "logs", "stream_lifecycle": True}
"""What is attached to an index that its stream's own lifecycle deletes."""

GIVEN_BACK = FAR_AHEAD + 1

WINDOW = DAY * 11 // 10 + HOUR
"""How long after its creation documents of now may still come into an index: 1.1 rollovers, and an hour."""

ROLLED_IN_TIME = {"rolled_over": NOW - DAY, "rolled_by": "logs"}
WRITING = {"write_index": True, "stream": "logs"}
ALIAS = {"write_index": True, "name": "logs-000007", "aliases": ("w",), "write_aliases": ("w",)}

WANTED: list[tuple[str, dict[str, Any], Wanted]] = [
    ("a dated index counts from its creation", {}, Plain()),
    ("a write index of a stream rolls over", WRITING, Rolled()),
    ("an empty write index too: it waits for its first document", {**WRITING, "ages": []}, Rolled()),
    ("a write index of an alias names it", ALIAS, Rolled(rollover_alias="w")),
    ("a rolled index counts from its rollover", {"stream": "logs", "attached": ROLLED_IN_TIME}, Rolled()),
    (
        "a rolled index of an alias names the one that was rolled over",
        {"attached": {"rolled_over": NOW - DAY, "rolled_by": "w"}},
        Rolled(rollover_alias="w"),
    ),
    ("a backing index without rollover information is plain", {"stream": "logs"}, Plain()),
    ("also a young one: the stream writes to it no more", {"stream": "logs", "index_age": DAY, "ages": [DAY]}, Plain()),
    ("a dated index once its time to be written to is over", {"index_age": WINDOW + 1, "ages": [WINDOW]}, Plain()),
    (
        "one that was rolled over long after its documents counts from its creation",
        {"stream": "logs", "attached": {"rolled_over": NOW, "rolled_by": "logs"}, "ages": [40 * HOUR, 2 * DAY]},
        Plain(),
    ),
    (
        "one that was created long before its documents, and rolled over in time, counts from its rollover",
        {"stream": "logs", "attached": ROLLED_IN_TIME, "index_age": 9 * DAY},
        Rolled(),
    ),
    (
        "an index whose oldest document is an hour older than it has no date",
        {"index_age": 2 * DAY, "ages": [2 * DAY + HOUR]},
        Plain(),
    ),
    (
        "one whose oldest document is older still has its date",
        {"index_age": 2 * DAY, "ages": [DAY + HOUR, 2 * DAY + HOUR + 1]},
        Plain(origination=NOW - 2 * DAY - HOUR - 1),
    ),
    (
        "a rolled index with a document that old is plain, with its date",
        {
            "index_age": DAY,
            "ages": [DAY, DAY + 3 * HOUR],
            "attached": {"rolled_over": NOW, "rolled_by": "logs"},
            "stream": "logs",
        },
        Plain(origination=NOW - DAY - 3 * HOUR),
    ),
    (
        "a write index with a document that old is rolled all the same",
        {**WRITING, "index_age": HOUR, "ages": [HOUR, DAY]},
        Rolled(),
    ),
    (
        "late data does not move a date",
        {
            "index_age": 2 * DAY,
            "ages": [2 * DAY, 3 * DAY],
            "attached": {"policy": PLAIN, "origination": NOW - 3 * DAY + HOUR},
        },
        Plain(origination=NOW - 3 * DAY + HOUR),
    ),
    (
        "a date that somebody else set is not kept",
        {"attached": {"policy": "theirs", "origination": NOW - 9 * DAY}},
        Plain(),
    ),
    ("a date ahead is not kept", {"attached": {"policy": PLAIN, "origination": NOW + 9 * DAY}}, Plain()),
    (
        "a document that is due stays attached to what is to delete it",
        {"index_age": 14 * DAY, "ages": [14 * DAY], "attached": {"policy": PLAIN}},
        Plain(),
    ),
    ("an index of a terminated tenant", {"under": category(**TENANT), "decided": {"ended": True}}, DeleteNow()),
]


@pytest.mark.parametrize(("what", "given", "expected"), WANTED, ids=[what for what, _, _ in WANTED])
def test_the_lifecycle_of_an_index_that_may_go_whole(what: str, given: dict[str, Any], expected: Wanted) -> None:
    assert wanted(**given) == expected


STILL_WRITTEN = "it may still receive documents"

NONE: list[tuple[str, dict[str, Any]]] = [
    ("held: h1", {"decided": {"held": "h1"}}),
    ("managed by lifecycle policy theirs", {"lifecycle": "theirs"}),
    ("the category is not enforced", {"under": category(enforce=False)}),
    ("a container: the index itself is kept", {"container": True}),
    ("a failure store index: deleted directly", {"failure_store": True, "stream": "logs"}),
    ("the last index of alias w: the index itself is kept", {"decided": {"stays": "w"}}),
    ("the category has no max_age", {"under": category(**TENANT)}),
    ("3 documents of unknown age", {"undated": 3}),
    ("3 documents of unknown age", {"undated": 3, "write_index": True}),
    ("its documents span 14 d:", {"ages": [0, 14 * DAY]}),
    (
        "its documents span 14 d:",
        {"ages": [0, 14 * DAY], "stream": "logs", "attached": {"policy": ROLLING, **ROLLED_IN_TIME}},
    ),
    ("held: h1", {"ages": [0, 14 * DAY], "decided": {"held": "h1"}, **WRITING}),
    ("its documents span 1 d 2 h 24 min:", {"ages": [0, DAY * 11 // 10 + 1]}),
    ("1 due document: deleted directly, where the fuse applies", {"index_age": 14 * DAY, "ages": [14 * DAY]}),
    ("a write index that cannot be rolled over: the index itself is kept", {"write_index": True}),
    ("a write index: it is rolled over first", {"under": category(**TENANT), "decided": {"ended": True}, **WRITING}),
    ("no documents", {"ages": []}),
    (STILL_WRITTEN, {"index_age": DAY, "ages": [0, DAY]}),
    (STILL_WRITTEN, {"index_age": WINDOW, "ages": [WINDOW]}),
    (STILL_WRITTEN, {"index_age": WINDOW, "ages": [WINDOW], "attached": {"policy": PLAIN}}),
    (STILL_WRITTEN, {"index_age": HOUR, "ages": [9 * DAY]}),
    (
        "its documents arrived too long after its creation",
        {"index_age": 10 * DAY, "ages": [0, DAY]},
    ),
]


@pytest.mark.parametrize(("reason", "given"), NONE, ids=[f"{n} {reason}" for n, (reason, _) in enumerate(NONE)])
def test_an_index_that_gets_none_says_why(reason: str, given: dict[str, Any]) -> None:
    found = wanted(**given)
    assert isinstance(found, NoLifecycle)
    assert found.reason.startswith(reason)


SPANS = "its documents span 9 d: the youngest would be deleted together with the oldest"
ROLL_ON: list[tuple[dict[str, Any], Rolling]] = [
    ({"ages": [0, 9 * DAY], **WRITING}, Rolling(reason=SPANS)),
    ({"ages": [0, 9 * DAY], **ALIAS}, Rolling(reason=SPANS, rollover_alias="w")),
    ({"ages": [0, 9 * DAY], **WRITING, "attached": {"policy": ROLLED}}, Rolling(reason=SPANS)),
    ({"undated": 3, **WRITING}, Rolling(reason="3 documents of unknown age")),
    *(
        (
            {"ages": [14 * DAY], "index_age": HOUR, **WRITING, "attached": {"policy": policy}},
            Rolling(reason="1 due document: deleted directly, where the fuse applies"),
        )
        for policy in (None, ROLLING)
    ),
]


@pytest.mark.parametrize(("given", "expected"), ROLL_ON)
def test_a_write_index_that_may_not_go_whole_is_rolled_over_by_what_deletes_nothing(
    given: dict[str, Any], expected: Rolling
) -> None:
    assert wanted(**given) == expected


def test_adoption_replaces_somebody_elses_lifecycle() -> None:
    assert wanted(category(foreign_lifecycle="adopt"), lifecycle="theirs", attached={"policy": "theirs"}) == Plain()


@pytest.mark.parametrize("foreign", ["adopt", "leave"])
def test_what_prefers_its_stream_gets_none_of_ours(foreign: str) -> None:
    found = wanted(category(foreign_lifecycle=foreign), attached={**RULED, "prefers_ilm": False}, stream="logs")
    assert isinstance(found, NoLifecycle)
    assert found.foreign
    assert wanted(category(foreign_lifecycle=foreign), attached={"prefers_ilm": False}, stream="logs") == Plain()


@pytest.mark.parametrize(
    ("attached", "acting", "at_stake"),
    [
        ({}, None, False),
        ({"policy": "p"}, "p", False),
        ({"policy": "p", "prefers_ilm": False}, "p", False),
        (RULED, STREAM_LIFECYCLE, True),
        ({**RULED, "policy": "p"}, "p", True),
        ({**RULED, "policy": "p", "prefers_ilm": False}, STREAM_LIFECYCLE, True),
        ({**RULED, "origination": FAR_AHEAD}, None, False),
        ({**RULED, "origination": FAR_AHEAD - 1}, STREAM_LIFECYCLE, True),
        ({**RULED, "origination": FAR_AHEAD, "policy": "p"}, "p", False),
    ],
)
def test_what_may_delete_an_index_now_and_once_ilm_leaves(
    attached: dict[str, Any], acting: str | None, *, at_stake: bool
) -> None:
    found = Attachment(uuid="u", **attached)
    assert (found.acting, found.at_stake) == (acting, at_stake)


def test_of_an_alias_the_last_index_has_no_lifecycle_unless_its_own_rollover_hands_it_on() -> None:
    dated = [index(f"logs-{n}", index_age=n * DAY, aliases=("read",)) for n in (1, 2, 3)]
    writing = index("logs-000002", aliases=("w",), write_aliases=("w",), write_index=True)
    rolled = index("logs-000001", aliases=("w",))
    both = index("logs-000009", aliases=("r", "w9"), write_aliases=("w9",), write_index=True)
    assert last_of_alias([*dated, writing, rolled]) == {"logs-1": "read"}
    assert last_of_alias([both]) == {"logs-000009": "r"}


def test_an_index_that_was_made_anew_since_is_left_out() -> None:
    one, other = (index(name, index_age=2 * DAY, ages=[2 * DAY]) for name in ("logs-a", "logs-b"))
    known = {"logs-a": attachment(one), "logs-b": Attachment(uuid="another")}
    assert wanted_lifecycles(category(), lifecycles(), facts(one, other), known) == {"logs-a": Plain()}


# --- what has to be done ------------------------------------------------------------------------------


def changes(one: IndexFacts, shall: Wanted, attached: Attachment) -> list[Change]:
    under = category(indices=("logs-{application}-*",))
    return list(lifecycle_changes(facts(one), lifecycles(under), {one.name: shall}, {one.name: attached}))


@pytest.mark.parametrize(
    ("attached", "shall", "way"),
    [
        ({}, Plain(), Way.ATTACH),
        ({"policy": PLAIN}, Plain(), None),
        ({"policy": PLAIN, "origination": 5}, Plain(origination=5), None),
        ({"policy": PLAIN, "origination": 5}, Plain(), Way.SWAP),
        ({"policy": ROLLED}, Plain(origination=5), Way.SWAP),
        ({"policy": "theirs"}, Plain(), Way.SWAP),
        ({"policy": ROLLED, "rollover_alias": "w"}, Rolled(rollover_alias="w"), None),
        ({"policy": ROLLED, "rollover_alias": "x"}, Rolled(rollover_alias="w"), Way.SWAP),
        ({"policy": PLAIN}, DeleteNow(), Way.SWAP),
        ({"policy": ENDED}, DeleteNow(), None),
        ({"policy": ENDED}, Plain(), Way.DETACH),
        ({"policy": ENDED}, Rolled(), Way.DETACH),
        ({"policy": ENDED.replace("backend", "other")}, Plain(), Way.DETACH),
        ({"policy": PLAIN}, NoLifecycle(reason="held: h1"), Way.DETACH),
        ({"policy": "theirs"}, NoLifecycle(reason="held: h1"), Way.DETACH),
        ({}, Rolling(reason="it straddles"), Way.ATTACH),
        ({"policy": ROLLING}, Rolling(reason="it straddles"), None),
        ({"policy": ROLLED}, Rolling(reason="it straddles"), Way.DETACH),
        ({"policy": "theirs"}, Rolling(reason="it straddles"), Way.DETACH),
        ({"policy": ROLLING}, Rolled(), Way.SWAP),
        ({"policy": ROLLING}, NoLifecycle(reason="it straddles"), Way.DETACH),
        ({"policy": "theirs"}, NoLifecycle(reason="theirs", foreign=True), None),
        ({}, NoLifecycle(reason="held: h1"), None),
        (RULED, NoLifecycle(reason="held: h1", exempt=True), Way.DETACH),
        (RULED, NoLifecycle(reason="held: h1", exempt=True, foreign=True), Way.DETACH),
        (RULED, NoLifecycle(reason="theirs", foreign=True), None),
        ({**RULED, "origination": GIVEN_BACK}, NoLifecycle(reason="held: h1", exempt=True, foreign=True), None),
        ({**RULED, "origination": GIVEN_BACK}, NoLifecycle(reason="theirs", foreign=True), Way.RELEASE),
        ({**RULED, "origination": GIVEN_BACK}, NoLifecycle(reason="it straddles"), Way.RELEASE),
        ({**RULED, "origination": GIVEN_BACK}, Plain(), Way.ATTACH),
        ({**RULED, "origination": FAR_AHEAD}, NoLifecycle(reason="it straddles"), None),
        ({**RULED, "origination": FAR_AHEAD}, Plain(), Way.ATTACH),
        ({**RULED, "policy": PLAIN}, NoLifecycle(reason="it straddles"), Way.DETACH),
        ({**RULED, "policy": "theirs"}, NoLifecycle(reason="held: h1", exempt=True, foreign=True), None),
        (
            {**RULED, "policy": "theirs", "prefers_ilm": False},
            NoLifecycle(reason="held: h1", exempt=True, foreign=True),
            Way.DETACH,
        ),
    ],
)
def test_only_what_differs_is_changed(attached: dict[str, Any], shall: Wanted, way: Way | None) -> None:
    one = index()
    assert [change.way for change in changes(one, shall, attachment(one, **attached))] == ([way] if way else [])


@pytest.mark.parametrize("block", [Block.READ_ONLY, Block.METADATA])
def test_a_block_defers_everything_but_detaching(block: Block) -> None:
    one = index(blocks=frozenset({block}))
    assert changes(one, Plain(), attachment(one)) == []
    assert [c.way for c in changes(one, NoLifecycle(reason="held"), attachment(one, PLAIN))] == [Way.DETACH]
    assert [c.way for c in changes(one, Plain(), attachment(one, ENDED))] == [Way.DETACH]
    assert (
        changes(one, NoLifecycle(reason="held", exempt=True), attachment(one, stream="logs", stream_lifecycle=True))
        == []
    )


def test_detaching_comes_before_anything_else() -> None:
    one, other = index("logs-a"), index("logs-b")
    shall = {"logs-a": Plain(), "logs-b": NoLifecycle(reason="it straddles")}
    known = {"logs-a": attachment(one), "logs-b": attachment(other, PLAIN)}
    made = lifecycle_changes(facts(one, other), lifecycles(), shall, known)
    assert [(c.index, c.way) for c in made] == [("logs-b", Way.DETACH), ("logs-a", Way.ATTACH)]


@pytest.mark.parametrize(
    ("shall", "attached", "since"),
    [
        (Plain(), {}, NOW - 2 * DAY),
        (Plain(origination=NOW - 3 * DAY), {}, NOW - 3 * DAY),
        (Rolled(), {}, NOW - DAY),
        (Rolled(), {"rolled_over": NOW - HOUR}, NOW - HOUR),
    ],
)
def test_when_an_attached_lifecycle_can_delete_first(shall: Wanted, attached: dict[str, Any], since: int) -> None:
    one = index(index_age=2 * DAY)
    (change,) = changes(one, shall, attachment(one, **attached))
    policy = next(p for p in lifecycles().policies if p.name == change.policy)
    assert policy.min_age is not None
    assert earliest_deletion(change, policy, one, attachment(one, **attached)) == since + policy.min_age


def test_what_was_not_rolled_over_yet_may_be_at_any_moment() -> None:
    one, rolled = index(index_age=2 * DAY, write_index=True), lifecycles().rolled
    assert rolled is not None
    assert rolled.min_age is not None
    dates = {"rolled_over": None, "origination": NOW - 9 * DAY}
    assert deletes_from(rolled, one, **dates) == one.created + rolled.min_age


def test_what_only_rolls_over_never_deletes() -> None:
    one = index(write_index=True, stream="logs")
    (change,) = changes(one, Rolling(reason="it straddles"), attachment(one))
    rolling = lifecycles().rolling
    assert rolling is not None
    assert change.reason == "max_age 1d, nothing is deleted; it straddles"
    assert earliest_deletion(change, rolling, one, attachment(one, rolled_over=NOW - 90 * DAY)) is None


# --- whose a lifecycle is -----------------------------------------------------------------------------

PUT_BY = {"managed_by": "retention-enforcer", "category": "backend-logs"}
STORED: dict[str, dict[str, Any]] = {
    PLAIN: {"_meta": {}},
    "retention-old-name-logs-plain": {"_meta": {**PUT_BY, "policy": "old-name", "category": "logs"}},
    "retention-trtc-gone-plain": {"_meta": {**PUT_BY, "policy": "trtc", "category": "gone"}},
    "copied": {"_meta": {**PUT_BY, "policy": "trtc"}},
    "odd": {"_meta": {"managed_by": ["retention-enforcer"], "policy": {"a": 1}}},
    "retention-trtc-eu-backend-logs-plain": {"_meta": {"managed_by": "somebody", "policy": "trtc"}},
    "retention-trtc-theirs-plain": {},
    "theirs": {"_meta": {"description": "ours"}},
}


@pytest.mark.parametrize(
    ("name", "put_by"),
    [
        (PLAIN, "trtc"),
        (ENDED, "trtc"),
        (ROLLING, "trtc"),
        ("retention-old-name-logs-plain", "old-name"),
        ("retention-trtc-gone-plain", "trtc"),
        ("retention-trtc-eu-backend-logs-plain", None),
        ("retention-trtc-theirs-plain", None),
        ("retention-trtc-lost-plain", "trtc"),
        ("retention-old-name-lost-plain", None),
        ("copied", None),
        ("odd", None),
        ("theirs", None),
    ],
)
def test_a_lifecycle_is_the_enforcers_by_what_it_says_and_not_by_how_its_name_begins(
    name: str, put_by: str | None
) -> None:
    found = own_lifecycles(Policy(name="trtc", categories=(category(),)), [name, None, "theirs"], lambda: STORED)
    assert found == ({name: put_by} if put_by is not None else {})


def test_what_is_stored_is_read_only_where_the_names_do_not_tell() -> None:
    policy = Policy(name="trtc", categories=(category(),))
    assert own_lifecycles(policy, [PLAIN, None, ROLLED], lambda: pytest.fail("read")) == {PLAIN: "trtc", ROLLED: "trtc"}


# --- where no lifecycle may delete anything -----------------------------------------------------------

FORMER = "retention-trtc-former-plain"
OWN = frozenset({PLAIN, FORMER})


@pytest.mark.parametrize(("policy", "left"), [(PLAIN, False), (FORMER, False), ("theirs", True), (None, True)])
def test_without_lifecycles_the_enforcers_own_go_and_others_are_left(policy: str | None, left: bool) -> None:
    one = index(ages=[HOUR])
    there = {one.name: Attachment(uuid=one.uuid, policy=policy)}
    wanted = without_lifecycles(facts(one), there, OWN, "direct")
    made = lifecycle_changes(facts(one), compiled(), wanted, there)
    assert [change.way for change in made] == ([] if left else [Way.DETACH])


@pytest.mark.parametrize("doubt", Doubt)
def test_of_what_is_in_doubt_only_what_may_hold_anything_young_is_detached(doubt: Doubt) -> None:
    one = apart("logs-a", doubt=doubt)
    there = {"logs-a": Attachment(uuid="uuid-of-logs-a", policy=PLAIN)}
    detached = bool(list(doubtful_changes(facts(set_apart=[one]), there, OWN)))
    stays = {Doubt.CLOSED, Doubt.UNASSIGNED, Doubt.PARTIAL, Doubt.ALIAS, Doubt.BEHIND_ALIAS}
    assert detached is (doubt not in stays)


@pytest.mark.parametrize("doubt", Doubt)
def test_what_deletes_at_once_leaves_what_is_in_any_doubt(doubt: Doubt) -> None:
    there = {"logs-a": Attachment(uuid="uuid-of-logs-a", policy=ENDED)}
    (change,) = doubtful_changes(facts(set_apart=[apart("logs-a", doubt=doubt)]), there, {ENDED})
    assert change.way is Way.DETACH


@pytest.mark.parametrize(
    ("attached", "held", "way"),
    [
        (RULED, True, Way.DETACH),
        (RULED, False, None),
        ({**RULED, "origination": GIVEN_BACK}, True, None),
        ({**RULED, "origination": GIVEN_BACK}, False, Way.RELEASE),
        ({**RULED, "policy": "theirs"}, True, None),
    ],
)
def test_of_what_is_in_doubt_its_stream_loses_what_may_be_held(
    attached: dict[str, Any], *, held: bool, way: Way | None
) -> None:
    there = {"logs-a": Attachment(uuid="uuid-of-logs-a", **attached)}
    doubtful = facts(set_apart=[apart("logs-a", doubt=Doubt.CLOSED)])
    made = doubtful_changes(doubtful, there, OWN, {"logs-a"} if held else ())
    assert [change.way for change in made] == ([way] if way else [])


@pytest.mark.parametrize(
    "attached", [{"policy": "theirs"}, {"policy": None}, {"policy": PLAIN, "uuid": "another"}], ids=str
)
def test_in_doubt_only_the_enforcers_own_are_detached_from_that_very_index(attached: dict[str, Any]) -> None:
    there = {"logs-a": Attachment(**{"uuid": "uuid-of-logs-a", **attached})}
    doubtful = facts(set_apart=[apart("logs-a", doubt=Doubt.CLAIMED_TWICE)])
    assert list(doubtful_changes(doubtful, there, OWN)) == []


def test_a_hold_leaves_what_is_somebody_elses() -> None:
    one = index(ages=[HOUR], lifecycle="theirs")
    there = {one.name: Attachment(uuid=one.uuid, policy="theirs")}
    held = facts(one, holds={one.name: "h1"})
    for category_, ways in ((category(), []), (category(foreign_lifecycle="adopt"), [Way.DETACH])):
        wanted = wanted_lifecycles(category_, compiled(), held, there)
        assert [change.way for change in lifecycle_changes(held, compiled(), wanted, there)] == ways
