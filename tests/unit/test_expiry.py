"""The rules of expiry, each with its boundaries and the reason it gives."""

from __future__ import annotations

from typing import Any

import pytest

from builders import DUE_AGE, LIMIT, MARGIN, NOW, UNWRITTEN, apart, category, facts, index, verdict_on
from naming import having
from retention_enforcer.domain.expiry.rules import build_plan
from retention_enforcer.domain.facts import Ageless, Block, CategoryFacts, Doubt, Evidence, IndexFacts, RefusedRollover
from retention_enforcer.domain.instants import DAY, HOUR, MINUTE, SECOND
from retention_enforcer.domain.plan import Action, Keep, Plan, Purge, Skip, SkipKind
from retention_enforcer.domain.policy.promises import Category

SPAN = DAY * 11 // 10
"""What an index of one rollover may span and still go whole."""

DUE = DUE_AGE + 20 * MINUTE
DUE_REASON = "oldest document 13 d 23 h 20 min old, limit 14 d, margin 1 h: due since 20 min"
STRADDLING = (DUE, DAY)
"""The ages of one due and one young document, too far apart to go together."""


def planned(
    *indices: IndexFacts, under: Category | None = None, now: int = NOW, seen: CategoryFacts | None = None
) -> Plan:
    return build_plan(under or category(), MARGIN, seen or facts(*indices, now=now), now)


def verdict(one: IndexFacts, under: Category | None = None) -> Purge | Keep | Skip:
    return verdict_on(one.name, planned(one, under=under))


def purged(one: IndexFacts, under: Category | None = None) -> Purge:
    found = verdict(one, under)
    assert isinstance(found, Purge), found.reason
    return found


def kept(one: IndexFacts, under: Category | None = None) -> Keep:
    found = verdict(one, under)
    assert isinstance(found, Keep), found.reason
    return found


def skipped(one: IndexFacts, under: Category | None = None) -> Skip:
    found = verdict(one, under)
    assert isinstance(found, Skip), found.reason
    return found


def what(found: Purge | Keep | Skip) -> str:
    """One word for a verdict: the action, the kind of skip, or `keep`."""
    if isinstance(found, Purge):
        return found.action.value
    return found.kind.value if isinstance(found, Skip) else "keep"


SETTLED: dict[str, Any] = {"evidence": UNWRITTEN}
AGELESS: dict[str, Any] = {"ageless": Ageless(doubt=Doubt.TIMESTAMP_ABSENT, text="none has it", remedy="write it")}

WHOLE, TRIM, KEEP = Action.DELETE_INDEX.value, Action.DELETE_DOCUMENTS.value, "keep"


# --- the decisions, one line each ---------------------------------------------------------------------

DECISIONS: list[tuple[str, dict[str, Any], str]] = [
    # 2. no documents
    ("an empty index a millisecond before max_age stays", {"index_age": LIMIT - 1}, KEEP),
    ("an empty index at exactly max_age stays", {"index_age": LIMIT}, KEEP),
    ("an empty index older than max_age goes", {"index_age": LIMIT + 1}, WHOLE),
    ("the margin does not count for an empty index", {"index_age": LIMIT - MARGIN + 1}, KEEP),
    ("an empty write index of a stream stays", {"write_index": True, "stream": "logs"}, KEEP),
    ("an empty write index of an alias stays", {"write_index": True, "aliases": ("w",), "write_aliases": ("w",)}, KEEP),
    ("an empty container stays", {"container": True}, KEEP),
    ("the empty last index of an alias stays", {"aliases": ("reading",)}, KEEP),
    # 3. nothing due
    ("a document exactly at limit - margin stays", {"ages": [DUE_AGE]}, KEEP),
    ("a document a millisecond older goes", {"ages": [DUE_AGE + 1]}, WHOLE),
    ("a young document in an old index stays", {"ages": [MINUTE], "index_age": 10 * LIMIT}, KEEP),
    ("a document half an hour ahead of the clock stays", {"ages": [-30 * MINUTE]}, KEEP),
    ("a container with nothing due stays", {"ages": [DUE_AGE], "container": True}, KEEP),
    # 5. whole
    ("all documents due go with their index", {"ages": [DUE, DUE + 30 * DAY]}, WHOLE),
    ("the newest a millisecond past limit - margin goes with it", {"ages": [40 * DAY, DUE_AGE + 1]}, WHOLE),
    ("a span of exactly 1.1 rollovers goes whole", {"ages": [DUE, DUE - SPAN]}, WHOLE),
    ("a span a millisecond longer is trimmed", {"ages": [DUE, DUE - SPAN - 1]}, TRIM),
    # 4. and 6. trims
    ("the newest exactly at limit - margin makes a trim", {"ages": [40 * DAY, DUE_AGE]}, TRIM),
    ("a straddling index is trimmed", {"ages": STRADDLING}, TRIM),
    ("a container is trimmed though all is due", {"ages": [DUE], "container": True}, TRIM),
    ("the last index of an alias is trimmed though all is due", {"ages": [DUE], "aliases": ("reading",)}, TRIM),
    # write indices
    ("a stream's write index goes whole", {"ages": [DUE], "write_index": True, "stream": "logs"}, WHOLE),
    ("a straddling write index is trimmed", {"ages": STRADDLING, "write_index": True, "stream": "logs"}, TRIM),
    (
        "the only index of an alias is trimmed though it could be rolled over",
        {"name": "logs-000001", "ages": [DUE], "write_index": True, "aliases": ("w",), "write_aliases": ("w",)},
        TRIM,
    ),
    ("a write index that nothing rolls over is trimmed", {"ages": [DUE], "write_index": True}, TRIM),
    # undated documents
    ("only undated, creation exactly at limit - margin", {"undated": 3, "index_age": DUE_AGE}, KEEP),
    ("only undated, creation a millisecond older", {"undated": 3, "index_age": DUE_AGE + 1, **SETTLED}, WHOLE),
    ("only undated, creation due, at the first look", {"undated": 3}, KEEP),
    ("only undated, creation due, written to since", {"undated": 3, **SETTLED, "sequence_numbers": (42,)}, KEEP),
    ("undated beside due, creation due, at the first look", {"ages": [DUE], "undated": 1}, TRIM),
    (
        "undated beside due, creation due, written to since",
        {"ages": [DUE], "undated": 1, **SETTLED, "sequence_numbers": (42,)},
        TRIM,
    ),
    ("documents that have no age, creation due, nothing written", {"undated": 3, **SETTLED, **AGELESS}, "set-apart"),
    (
        "undated beside due, creation exactly at limit - margin",
        {"ages": [DUE], "undated": 1, "index_age": DUE_AGE},
        TRIM,
    ),
    (
        "undated beside due, creation a ms older",
        {"ages": [DUE], "undated": 1, "index_age": DUE_AGE + 1, **SETTLED},
        WHOLE,
    ),
    ("undated beside young, creation due", {"ages": [DAY], "undated": 1}, KEEP),
    ("undated in a straddling index, creation due", {"ages": STRADDLING, "undated": 1}, TRIM),
    ("only undated in a container, creation due", {"undated": 3, "container": True}, KEEP),
    ("only undated in a write index that cannot be rolled over", {"undated": 3, "write_index": True}, KEEP),
    ("only undated in a stream's write index", {"undated": 3, "write_index": True, "stream": "logs", **SETTLED}, WHOLE),
    ("only undated in the last index of an alias", {"undated": 3, "aliases": ("reading",)}, KEEP),
    # mounted snapshots
    ("a mounted snapshot goes whole", {"ages": [DUE], "mounted": True}, WHOLE),
    ("a mounted snapshot of one rollover goes whole", {"ages": [DUE, DUE - SPAN], "mounted": True}, WHOLE),
    ("a mounted snapshot is never trimmed", {"ages": STRADDLING, "mounted": True}, "mounted-snapshot"),
    ("a mounted snapshot with nothing due stays", {"ages": [DAY], "mounted": True}, KEEP),
    ("an empty mounted snapshot goes", {"mounted": True}, WHOLE),
    # time series
    ("a time series that accepts documents is trimmed", {"ages": [DUE], "end_time": NOW + 1}, TRIM),
    ("a straddling one too", {"ages": STRADDLING, "end_time": NOW + 1}, TRIM),
    (
        "its write index too: its end moves on",
        {"ages": [DUE], "end_time": NOW + HOUR, "write_index": True, "stream": "logs"},
        TRIM,
    ),
    ("an empty time series waits", {"end_time": NOW + 1}, "time-series"),
    ("a time series goes from its end on", {"ages": [DUE], "end_time": NOW}, WHOLE),
    ("a time series is trimmed from its end on", {"ages": STRADDLING, "end_time": NOW}, TRIM),
    ("a time series with nothing due stays", {"ages": [DAY], "end_time": NOW + 1}, KEEP),
]


@pytest.mark.parametrize(("given", "expected"), [pytest.param(g, e, id=id_) for id_, g, e in DECISIONS])
def test_an_index_gets_the_first_rule_that_fits(given: dict[str, Any], expected: str) -> None:
    assert what(verdict(index(**given))) == expected


def test_the_age_that_is_due_follows_limit_and_margin() -> None:
    one = index(ages=[2 * DAY - 10 * MINUTE])
    short = category(max_age=2 * DAY, rollover=HOUR)
    assert isinstance(build_plan(short, 10 * MINUTE, facts(one), NOW).keep[0], Keep)
    assert build_plan(short, 10 * MINUTE, facts(one), NOW + 1).purge[0].cut == NOW + 1 - 2 * DAY + 10 * MINUTE


def test_the_rollover_of_the_category_decides_what_may_go_early() -> None:
    under = category(rollover=10 * MINUTE)
    assert purged(index(ages=[DUE_AGE + 1, DUE_AGE + 1 - 11 * MINUTE]), under).action is Action.DELETE_INDEX
    assert purged(index(ages=[DUE_AGE + 1, DUE_AGE - 11 * MINUTE]), under).action is Action.DELETE_DOCUMENTS


# --- what a purge says --------------------------------------------------------------------------------


def test_a_whole_deletion_says_how_old_the_oldest_document_is_and_since_when_it_is_due() -> None:
    found = purged(index(ages=[DUE, DUE]))
    assert found.reason == DUE_REASON
    assert (found.action, found.documents, found.due) == (Action.DELETE_INDEX, 2, NOW - 20 * MINUTE)
    assert (found.cut, found.rollover, found.foreseen) == (NOW - DUE_AGE, None, 0)


def test_a_whole_deletion_says_how_many_young_documents_go_early() -> None:
    found = purged(index(ages=[DUE, DUE_AGE - 2 * HOUR, DUE_AGE - 5 * HOUR]))
    assert "; 2 younger documents " in found.reason
    assert found.reason.endswith(" 5 h early")
    assert found.documents == 3


def test_a_whole_deletion_says_how_many_undated_documents_go_along() -> None:
    found = purged(index(ages=[DUE], undated=4, **SETTLED))
    assert f"{DUE_REASON}; 4 documents without a plausible timestamp" in found.reason
    assert found.documents == 5


def test_an_index_with_undated_documents_only_goes_by_its_creation() -> None:
    found = purged(index(undated=3, index_age=DUE, **SETTLED))
    assert found.reason.startswith("3 documents ")
    assert found.reason.endswith(" 13 d 23 h 20 min ago")
    assert (found.due, found.documents) == (NOW - 20 * MINUTE, 3)


def test_an_empty_index_goes_by_its_creation() -> None:
    found = purged(index(index_age=LIMIT + HOUR))
    assert found.reason == "no documents, and created 14 d 1 h ago"
    assert (found.due, found.documents) == (NOW - HOUR, 0)


TRIM_REASONS = [
    ("young documents stay", {"ages": [DUE, DAY, HOUR]}, "2 younger documents kept"),
    (
        "undated documents stay",
        {"ages": [DUE], "undated": 2, "index_age": DAY},
        "2 documents without a plausible timestamp kept",
    ),
    ("a container", {"ages": [DUE], "container": True}, "a container: the index itself is kept"),
    ("an alias", {"ages": [DUE], "aliases": ("w",)}, "the last index of alias w: the index itself is kept"),
    (
        "a write index",
        {"ages": [DUE], "write_index": True},
        "a write index that cannot be rolled over: the index itself is kept",
    ),
]


@pytest.mark.parametrize(("given", "why"), [pytest.param(g, w, id=id_) for id_, g, w in TRIM_REASONS])
def test_a_trim_takes_the_due_documents_only_and_says_why(given: dict[str, Any], why: str) -> None:
    found = purged(index(**given))
    assert found.action is Action.DELETE_DOCUMENTS
    assert found.reason == f"{DUE_REASON}; {why}"
    assert (found.documents, found.due, found.cut) == (1, NOW - 20 * MINUTE, NOW - DUE_AGE)
    assert found.rollover is None


# --- what a keep says ---------------------------------------------------------------------------------

KEEP_REASONS: list[tuple[str, dict[str, Any], str, int | None]] = [
    (
        "due in two hours",
        {"ages": [DUE_AGE - 2 * HOUR]},
        "oldest document 13 d 21 h old, limit 14 d, margin 1 h: due in 2 h",
        NOW + 2 * HOUR,
    ),
    (
        "due in this millisecond",
        {"ages": [DUE_AGE]},
        "oldest document 13 d 23 h old, limit 14 d, margin 1 h: due in 0 s",
        NOW,
    ),
    ("empty", {"index_age": LIMIT - HOUR}, "no documents", NOW + HOUR),
    ("empty write index", {"write_index": True, "stream": "logs"}, "no documents; the write index", None),
    ("empty container", {"container": True}, "no documents; a container: the index itself is kept", None),
    (
        "empty last index of an alias",
        {"aliases": ("w",)},
        "no documents; the last index of alias w: the index itself is kept",
        None,
    ),
    (
        "only undated",
        {"undated": 2, "index_age": DAY},
        "2 documents without a plausible timestamp: age unknown",
        None,
    ),
]


@pytest.mark.parametrize(("given", "reason", "due"), [pytest.param(g, r, d, id=i) for i, g, r, d in KEEP_REASONS])
def test_what_stays_says_why_and_until_when(given: dict[str, Any], reason: str, due: int | None) -> None:
    found = kept(index(**given))
    assert (found.reason, found.due) == (reason, due)


# --- write indices and aliases ------------------------------------------------------------------------


def alias_index(number: int, *, write: bool = False, alias: str = "logs-all", **more: Any) -> IndexFacts:
    values: dict[str, Any] = {"ages": [DUE], "aliases": (alias,), "index_age": 40 * DAY - number * DAY, **more}
    if write:
        values |= {"write_index": True, "write_aliases": (alias,)}
    return index(f"logs-{number:06d}", **values)


def actions(made: Plan) -> dict[str, str]:
    verdicts = [*made.purge, *made.keep]
    return {v.facts.name: what(v) for v in verdicts} | {s.name: what(s) for s in made.skip}


def test_the_write_index_of_a_stream_goes_after_its_rollover() -> None:
    found = purged(index(".ds-logs-000001", ages=[DUE], stream="logs", write_index=True))
    assert found.rollover == "logs"
    assert found.reason == f"{DUE_REASON}; logs is rolled over first"


def test_a_failure_store_is_rolled_over_as_such() -> None:
    found = purged(index(".fs-logs-000001", ages=[DUE], stream="logs", write_index=True, failure_store=True))
    assert found.rollover == "logs::failures"


def test_a_backing_index_that_is_not_written_to_needs_no_rollover() -> None:
    assert purged(index(".ds-logs-000001", ages=[DUE], stream="logs")).rollover is None


def test_all_indices_of_an_alias_go_when_its_write_index_can_be_rolled_over() -> None:
    made = planned(alias_index(1), alias_index(2, write=True))
    assert actions(made) == {"logs-000001": WHOLE, "logs-000002": WHOLE}
    assert {p.facts.name: p.rollover for p in made.purge} == {"logs-000001": None, "logs-000002": "logs-all"}


def test_the_write_index_of_an_alias_without_a_number_is_trimmed() -> None:
    written = index("logs-new", ages=[DUE], aliases=("logs-all",), write_index=True, write_aliases=("logs-all",))
    made = planned(alias_index(1), written)
    assert actions(made) == {"logs-000001": WHOLE, "logs-new": TRIM}
    assert "a write index that cannot be rolled over" in verdict_on("logs-new", made).reason


def test_the_write_index_of_an_alias_whose_next_name_leaves_the_category_is_trimmed() -> None:
    under = category(indices=("logs-000001", "logs-000002"))
    made = planned(alias_index(1), alias_index(2, write=True), under=under)
    assert actions(made) == {"logs-000001": WHOLE, "logs-000002": TRIM}


def test_the_write_index_of_two_aliases_is_trimmed() -> None:
    two = {"aliases": ("logs-all", "other"), "write_index": True, "write_aliases": ("logs-all", "other")}
    made = planned(alias_index(1), alias_index(2, **two))
    assert actions(made) == {"logs-000001": WHOLE, "logs-000002": TRIM}


def test_of_several_due_indices_of_an_alias_the_newest_stays_and_is_trimmed() -> None:
    made = planned(alias_index(2), alias_index(3), alias_index(1))
    assert actions(made) == {"logs-000001": WHOLE, "logs-000002": WHOLE, "logs-000003": TRIM}
    assert verdict_on("logs-000003", made).reason.endswith("the last index of alias logs-all: the index itself is kept")


def test_an_alias_keeps_its_young_index_and_loses_the_due_ones() -> None:
    made = planned(alias_index(1), alias_index(2), alias_index(3, ages=[DAY]))
    assert actions(made) == {"logs-000001": WHOLE, "logs-000002": WHOLE, "logs-000003": KEEP}


def test_of_several_empty_indices_of_an_alias_one_stays() -> None:
    made = planned(alias_index(1, ages=[]), alias_index(2, ages=[]))
    assert actions(made) == {"logs-000001": WHOLE, "logs-000002": KEEP}


def test_an_index_that_stays_for_one_alias_saves_the_other_alias_too() -> None:
    made = planned(alias_index(1, aliases=("one", "two")), alias_index(2, aliases=("one", "two")))
    assert actions(made) == {"logs-000001": WHOLE, "logs-000002": TRIM}


def test_each_alias_keeps_an_index_of_its_own() -> None:
    made = planned(
        alias_index(1, aliases=("one",)), alias_index(2, aliases=("one", "two")), alias_index(3, aliases=("two",))
    )
    assert actions(made) == {"logs-000001": WHOLE, "logs-000002": TRIM, "logs-000003": TRIM}


def test_a_rollover_saves_no_alias_but_the_one_it_rolls() -> None:
    both = {"aliases": ("logs-all", "reading"), "write_index": True, "write_aliases": ("logs-all",)}
    made = planned(alias_index(1, aliases=("logs-all", "reading")), alias_index(2, **both))
    assert actions(made) == {"logs-000001": WHOLE, "logs-000002": TRIM}


def test_a_held_index_saves_its_alias() -> None:
    seen = facts(alias_index(1), alias_index(2), holds={"logs-000001": "h1 of anna"})
    assert actions(planned(seen=seen)) == {"logs-000001": "held", "logs-000002": WHOLE}


# --- blocks -------------------------------------------------------------------------------------------

BLOCKS = [
    # (blocks, what becomes of a whole deletion, of a trim, of an empty index that is due)
    (set(), WHOLE, TRIM, WHOLE),
    ({Block.READ_ONLY}, "blocked", "blocked", "blocked"),
    ({Block.METADATA}, TRIM, TRIM, "blocked"),
    ({Block.WRITE}, WHOLE, "blocked", WHOLE),
    ({Block.FLOOD_STAGE}, WHOLE, "blocked", WHOLE),
    ({Block.METADATA, Block.WRITE}, "blocked", "blocked", "blocked"),
]


@pytest.mark.parametrize(
    ("blocks", "whole", "trim", "empty"), [pytest.param(*row, id="+".join(sorted(row[0])) or "none") for row in BLOCKS]
)
def test_a_block_leaves_what_it_does_not_forbid(blocks: set[Block], whole: str, trim: str, empty: str) -> None:
    frozen = frozenset(blocks)
    assert what(verdict(index(ages=[DUE], blocks=frozen))) == whole
    assert what(verdict(index(ages=STRADDLING, blocks=frozen))) == trim
    assert what(verdict(index(blocks=frozen))) == empty


def test_a_block_is_named_with_its_remedy() -> None:
    found = skipped(index(ages=STRADDLING, blocks=frozenset({Block.WRITE})))
    assert found.reason.startswith(f"{DUE_REASON}; 1 younger document kept; ")
    assert "index.blocks.write" in found.reason
    assert "remove index.blocks.write" in found.remedy


def test_where_only_the_index_is_protected_its_due_documents_go() -> None:
    found = purged(index(ages=[DUE, DUE_AGE - HOUR], blocks=frozenset({Block.METADATA})))
    assert found.reason.startswith(f"{DUE_REASON}; a block ")
    assert found.documents == 1


def test_a_protected_index_without_dated_documents_is_left_alone() -> None:
    assert what(verdict(index(undated=3, blocks=frozenset({Block.METADATA}), **SETTLED))) == "blocked"


def test_a_protected_mounted_snapshot_is_left_alone() -> None:
    found = skipped(index(ages=[DUE], mounted=True, blocks=frozenset({Block.METADATA, Block.WRITE})))
    assert found.kind is SkipKind.MOUNTED
    assert found.reason.endswith("a mounted snapshot can only be deleted as a whole")


def test_a_block_on_an_index_with_nothing_due_is_nobodys_business() -> None:
    assert what(verdict(index(ages=[DAY], blocks=frozenset(Block)))) == KEEP


# --- held, foreign, in doubt --------------------------------------------------------------------------


def test_a_held_index_is_left_alone_and_says_by_whom() -> None:
    seen = facts(index(ages=[DUE]), index("logs-b", ages=[DUE]), holds={"logs-a": "h1 of anna until 2026-03-01"})
    made = planned(seen=seen)
    assert actions(made) == {"logs-a": "held", "logs-b": WHOLE}
    assert made.skip[0].reason == "held: h1 of anna until 2026-03-01"


def test_a_hold_comes_before_every_other_rule() -> None:
    seen = facts(index(lifecycle="theirs"), holds={"logs-a": "h1"})
    assert actions(planned(seen=seen)) == {"logs-a": "held"}
    assert actions(planned(seen=seen, under=category(max_age=None, after_termination=DAY))) == {"logs-a": "held"}


def test_somebody_elses_lifecycle_is_left_alone() -> None:
    found = skipped(index(ages=[DUE], lifecycle="their-policy"))
    assert found.kind is SkipKind.FOREIGN_LIFECYCLE
    assert "lifecycle policy their-policy" in found.reason
    assert "foreign_lifecycle: adopt" in found.remedy


def test_somebody_elses_lifecycle_is_taken_over_where_the_policy_says_so() -> None:
    assert what(verdict(index(ages=[DUE], lifecycle="theirs"), category(foreign_lifecycle="adopt"))) == WHOLE


@pytest.mark.parametrize("doubt", list(Doubt))
def test_an_index_in_doubt_is_left_alone_and_blinds_nobody(doubt: Doubt) -> None:
    unknown = apart("logs-x", doubt=doubt, text="why it is in doubt", remedy="what to do")
    made = planned(seen=facts(index(ages=[DUE]), set_apart=[unknown]))
    assert actions(made) == {"logs-a": WHOLE, "logs-x": "set-apart"}
    skip = made.skip[0]
    assert (skip.uuid, skip.reason, skip.remedy) == ("uuid-of-logs-x", "why it is in doubt", "what to do")
    assert skip.facts is None


def test_a_time_series_says_why_it_does_not_go_whole() -> None:
    found = purged(index(ages=[DUE], end_time=NOW + 90 * MINUTE))
    assert found.reason.startswith(f"{DUE_REASON}; ")
    assert found.reason.endswith(" 1 h 30 min")


def refused(ago: int) -> Evidence:
    """What is remembered of a write index whose rollover was refused so long ago."""
    why = RefusedRollover(at=NOW - ago, reason="the cluster refused (400): no room", remedy="make room")
    return Evidence(oldest=None, first_seen=NOW - DAY, documents=None, refused_rollover=why)


def test_a_write_index_whose_rollover_was_refused_is_trimmed_until_it_is_tried_again() -> None:
    writing: dict[str, Any] = {"ages": [DUE], "write_index": True, "stream": "logs"}
    pause = DAY // 10
    found = purged(index(**writing, evidence=refused(pause - 1)))
    assert (found.action, found.rollover) == (Action.DELETE_DOCUMENTS, None)
    said = "a write index that cannot be rolled over (the cluster refused (400): no room): the index itself is kept"
    assert found.reason == f"{DUE_REASON}; {said}"
    again = purged(index(**writing, evidence=refused(pause)))
    assert (again.action, again.rollover) == (Action.DELETE_INDEX, "logs")
    rolled = purged(index(ages=[DUE], stream="logs", evidence=refused(0)))
    assert rolled.action is Action.DELETE_INDEX, "once it is rolled over the refusal is of no account"


# --- categories without a maximum age -----------------------------------------------------------------


def test_without_a_maximum_age_nothing_goes_by_age() -> None:
    one = index(ages=[1_000 * DAY], undated=3, lifecycle="theirs")
    found = kept(one, category(max_age=None, after_termination=7 * DAY))
    assert found.due is None
    assert "no max_age" in found.reason


def test_what_must_never_be_stored_is_reported_and_not_deleted() -> None:
    never = category(max_age=None, never_stored=True)
    assert kept(index(ages=[DUE, DAY]), never).reason == "2 documents that must never be stored: reported, not deleted"
    assert kept(index(), never).reason == "empty"


def test_a_maximum_age_counts_beside_a_termination() -> None:
    assert what(verdict(index(ages=[DUE]), category(after_termination=7 * DAY))) == WHOLE


# --- the pause between trims --------------------------------------------------------------------------

PAUSE = MARGIN // 2


def trimmed_ago(ago: int, oldest_age: int = DUE_AGE + MINUTE) -> IndexFacts:
    evidence = Evidence(oldest=None, first_seen=NOW - DAY, documents=9, last_trim=NOW - ago)
    return index(ages=[oldest_age, DAY], evidence=evidence)


PAUSES = [
    ("a millisecond too early", PAUSE - 1, DUE_AGE + MINUTE, KEEP),
    ("after exactly half a margin", PAUSE, DUE_AGE + MINUTE, TRIM),
    ("early, oldest exactly at limit - margin / 2", 1, LIMIT - PAUSE, KEEP),
    ("early, oldest a millisecond older than that", 1, LIMIT - PAUSE + 1, TRIM),
    ("early, oldest past the limit", 1, LIMIT + DAY, TRIM),
]


@pytest.mark.parametrize(("ago", "oldest", "expected"), [pytest.param(a, o, e, id=i) for i, a, o, e in PAUSES])
def test_an_index_is_trimmed_once_in_half_a_margin_unless_it_is_urgent(ago: int, oldest: int, expected: str) -> None:
    assert what(verdict(trimmed_ago(ago, oldest))) == expected


def test_an_index_that_was_never_trimmed_waits_for_nothing() -> None:
    seen = Evidence(oldest=None, first_seen=NOW - SECOND, documents=9)
    assert what(verdict(index(ages=[DUE_AGE + 1, DAY], evidence=seen))) == TRIM


def test_an_index_that_waits_says_since_when_and_until_when() -> None:
    found = kept(trimmed_ago(10 * MINUTE, DUE_AGE + MINUTE))
    assert found.reason.endswith(
        "due since 1 min; 1 younger document kept; its due documents were last deleted 10 min ago"
    )
    assert found.due == NOW + 20 * MINUTE


def test_an_index_that_waits_and_gets_urgent_sooner_says_so() -> None:
    """Its oldest document is urgent in 5 minutes, though the pause would last another 20."""
    found = kept(trimmed_ago(10 * MINUTE, LIMIT - PAUSE - 5 * MINUTE))
    at_that_time = NOW + 5 * MINUTE + 1
    later = index(ages=[LIMIT - PAUSE + 1, DAY], now=at_that_time, evidence=found.facts.evidence)
    assert what(planned(later, now=at_that_time).purge[0]) == TRIM
    assert found.due in {NOW + 5 * MINUTE, at_that_time}


def test_a_whole_deletion_waits_for_no_pause() -> None:
    evidence = Evidence(oldest=None, first_seen=NOW - DAY, documents=9, last_trim=NOW - 1)
    assert what(verdict(index(ages=[DUE_AGE + 1], evidence=evidence))) == WHOLE


# --- the plan as a whole ------------------------------------------------------------------------------


def test_a_plan_says_for_what_and_as_of_when_it_is() -> None:
    made = planned(index(ages=[DUE, DUE]), index("logs-b", ages=[DAY], undated=1))
    assert (made.category, made.as_of, made.limit, made.documents) == ("backend-logs", NOW, LIMIT, 4)


def test_a_category_without_indices_has_an_empty_plan() -> None:
    made = planned()
    assert (made.purge, made.keep, made.skip, made.hash) == ((), (), (), "")


# --- documents of held subjects -----------------------------------------------------------------------

SPARED = (having(("sdkappid", "14")),)
HELD_DECISIONS: list[tuple[str, dict[str, Any], str]] = [
    ("all due, one held", {"ages": [DUE, DUE], "matching_documents": 1, "matching_due": 1}, TRIM),
    ("all due, all held", {"ages": [DUE, DUE], "matching_documents": 2, "matching_due": 2}, "held"),
    ("all due, a young one held", {"ages": [DUE, DUE_AGE - HOUR], "matching_documents": 1}, TRIM),
    ("straddling, the due one held", {"ages": STRADDLING, "matching_documents": 1, "matching_due": 1}, "held"),
    ("straddling, the young one held", {"ages": STRADDLING, "matching_documents": 1}, TRIM),
    ("nothing due", {"ages": [DAY], "matching_documents": 1}, KEEP),
    ("only undated, one held", {"undated": 2, "matching_documents": 1}, KEEP),
    ("due, an undated one held", {"ages": [DUE], "undated": 1, "matching_documents": 1}, TRIM),
    ("a container", {"ages": [DUE, DUE], "container": True, "matching_documents": 1, "matching_due": 1}, TRIM),
    (
        "a mounted snapshot",
        {"ages": [DUE, DUE], "mounted": True, "matching_documents": 1, "matching_due": 1},
        "mounted-snapshot",
    ),
    (
        "one that may not be written to",
        {"ages": [DUE, DUE], "blocks": frozenset({Block.WRITE}), "matching_documents": 1, "matching_due": 1},
        "blocked",
    ),
    (
        "one whose every due document is held and that may not be written to",
        {"ages": [DUE], "blocks": frozenset({Block.WRITE}), "matching_documents": 1, "matching_due": 1},
        "held",
    ),
]


@pytest.mark.parametrize(("given", "expected"), [pytest.param(g, e, id=id_) for id_, g, e in HELD_DECISIONS])
def test_documents_of_held_subjects_turn_a_whole_deletion_into_a_trim(given: dict[str, Any], expected: str) -> None:
    assert what(verdict(index(**given, matches=SPARED))) == expected


def test_a_trim_spares_what_is_held_and_does_not_count_it() -> None:
    found = purged(index(ages=[DUE, DUE, DUE], matching_documents=1, matching_due=1, matches=SPARED))
    assert (found.action, found.documents, found.spare, found.takes) == (Action.DELETE_DOCUMENTS, 2, SPARED, None)
    assert "; 1 document of held subjects" in found.reason


def test_where_every_due_document_is_held_it_says_so() -> None:
    found = skipped(index(ages=[DUE, DUE], matching_documents=2, matching_due=2, matches=SPARED))
    assert (
        found.reason
        == f"held: {DUE_REASON}; 2 documents of held subjects kept; all due documents (2) are of held subjects"
    )
    assert "hold remove" in found.remedy
