"""What an operator orders to be erased: nothing goes but by its own pair of index and action, and nothing held."""

from __future__ import annotations

from typing import Any

import pytest

from builders import LIMIT, MARGIN, NOW, apart, category, facts, forbidden, index, verdict_on
from naming import having
from retention_enforcer.domain.expiry.rules import build_plan
from retention_enforcer.domain.facts import Block, CategoryFacts, ForbiddenField, IndexFacts
from retention_enforcer.domain.instants import DAY
from retention_enforcer.domain.plan import Action, Keep, Plan, Purge, Skip
from retention_enforcer.domain.policy.promises import Category
from retention_enforcer.domain.selection import Every, HasField

MEDIA = category("media", indices=["logs-*"], max_age=None, never_stored=True)
WHOLE, TRIM, KEEP = Action.DELETE_INDEX.value, Action.DELETE_DOCUMENTS.value, "keep"
BOTH = (WHOLE, TRIM)
Pair = tuple[str, str]


def pairs_of(one: IndexFacts, *actions: str) -> frozenset[Pair]:
    return frozenset((one.uuid, action) for action in actions)


def planned(seen: CategoryFacts, under: Category = MEDIA) -> Plan:
    return build_plan(under, MARGIN, seen, NOW)


def verdict(one: IndexFacts, *ordered: str, under: Category = MEDIA, **more: Any) -> Purge | Keep | Skip:
    return verdict_on(one.name, planned(facts(one, ordered=pairs_of(one, *ordered), **more), under))


def purged(one: IndexFacts, *ordered: str, **more: Any) -> Purge:
    found = verdict(one, *ordered, **more)
    assert isinstance(found, Purge), found.reason
    return found


def what(found: Purge | Keep | Skip) -> str:
    """One word for a verdict: the action, the kind of skip, or `keep`."""
    if isinstance(found, Purge):
        return found.action.value
    return found.kind.value if isinstance(found, Skip) else KEEP


# --- whole indices and their documents ----------------------------------------------------------------

ALIAS: dict[str, Any] = {"aliases": ("reading",)}
NO_ROLLOVER: dict[str, Any] = {"write_index": True}
STREAM: dict[str, Any] = {"write_index": True, "stream": "logs"}


def blocks(*those: Block) -> dict[str, Any]:
    return {"blocks": frozenset(those)}


DECISIONS: list[tuple[str, dict[str, Any], str, str, str]] = [
    # (what it is, its facts, what an order for the whole index does, one for its documents, one for both)
    ("an index", {}, WHOLE, TRIM, WHOLE),
    ("a write index that is rolled over first", STREAM, WHOLE, TRIM, WHOLE),
    ("a write index that cannot be rolled over", NO_ROLLOVER, KEEP, TRIM, TRIM),
    ("a container", {"container": True}, KEEP, TRIM, TRIM),
    ("a mounted snapshot", {"mounted": True, **blocks(Block.WRITE)}, WHOLE, "blocked", WHOLE),
    ("one that may not be written to", blocks(Block.WRITE), WHOLE, "blocked", WHOLE),
    ("one on a full disk", blocks(Block.FLOOD_STAGE), WHOLE, "blocked", WHOLE),
    ("one that may not be deleted", blocks(Block.METADATA), KEEP, TRIM, TRIM),
    ("one that may only be read", blocks(Block.READ_ONLY), KEEP, "blocked", "blocked"),
    ("one with both blocks", blocks(Block.METADATA, Block.WRITE), KEEP, "blocked", "blocked"),
    ("a container on a full disk", {"container": True, **blocks(Block.FLOOD_STAGE)}, KEEP, "blocked", "blocked"),
    ("one with documents of held subjects", {"matching_documents": 1}, "held", "held", "held"),
    ("a container with such", {"matching_documents": 1, "container": True}, KEEP, "held", "held"),
    ("one under somebody else's lifecycle", {"lifecycle": "theirs"}, WHOLE, TRIM, WHOLE),
    ("an empty one", {"ages": ()}, KEEP, KEEP, KEEP),
    ("one whose documents have no date", {"ages": (), "undated": 2}, WHOLE, TRIM, WHOLE),
]


@pytest.mark.parametrize(
    ("given", "whole", "documents", "both"), [pytest.param(*row[1:], id=row[0]) for row in DECISIONS]
)
def test_an_index_goes_as_far_as_exactly_that_was_ordered(
    given: dict[str, Any], whole: str, documents: str, both: str
) -> None:
    one = index(**{"ages": [DAY, 900 * DAY], **given})
    assert what(verdict(one)) == KEEP
    assert what(verdict(one, WHOLE)) == whole
    assert what(verdict(one, TRIM)) == documents
    assert what(verdict(one, *BOTH)) == both


@pytest.mark.parametrize("given", [row[1] for row in DECISIONS], ids=[row[0] for row in DECISIONS])
def test_an_order_for_one_index_is_none_for_another(given: dict[str, Any]) -> None:
    one = index(**{"ages": [DAY], **given})
    others = pairs_of(index("logs-b"), *BOTH) | pairs_of(index(uuid="made anew under this name"), *BOTH)
    assert what(verdict_on(one.name, planned(facts(one, ordered=others)))) == KEEP


def test_a_whole_deletion_takes_all_documents_on_an_operators_order() -> None:
    found = purged(index(ages=[DAY, -DAY], undated=1, index_age=3 * DAY), WHOLE)
    assert (found.action, found.documents, found.takes, found.rollover) == (Action.DELETE_INDEX, 3, None, None)
    assert (found.ordered, found.foreseen, found.due, found.spare) == (True, 0, NOW - 3 * DAY, ())
    assert found.reason.startswith("3 documents ")
    assert "by order of an operator" in found.reason


def test_documents_go_all_where_their_index_stays() -> None:
    found = purged(index(ages=[DAY, -DAY], undated=1, container=True), TRIM)
    assert (found.action, found.documents, found.takes, found.rollover) == (Action.DELETE_DOCUMENTS, 3, Every(), None)
    assert found.ordered


def test_a_trim_on_an_order_spares_what_is_held_though_none_was_seen() -> None:
    spared = (having(("sdkappid", "14")),)
    assert purged(index(ages=[DAY], container=True, matches=spared), TRIM).spare == spared


def test_a_write_index_is_rolled_over_before_it_goes_on_an_order() -> None:
    assert purged(index(ages=[DAY], **STREAM), WHOLE).rollover == "logs"
    with_block = index(ages=[DAY], **STREAM, **blocks(Block.METADATA))
    assert purged(with_block, TRIM).rollover is None


def test_the_last_index_of_an_alias_stays_and_loses_its_documents_where_that_was_ordered_too() -> None:
    one = index(ages=[DAY], **ALIAS)
    assert what(verdict(one, WHOLE)) == KEEP
    assert purged(one, *BOTH).takes == Every()
    mounted = index(ages=[DAY], mounted=True, **ALIAS, **blocks(Block.WRITE))
    assert what(verdict(mounted, *BOTH)) == "blocked"


def test_of_two_ordered_indices_of_an_alias_one_stays_unless_its_documents_were_ordered() -> None:
    old, new = (
        index("logs-1", ages=[DAY], index_age=2 * DAY, **ALIAS),
        index("logs-2", ages=[DAY], index_age=1, **ALIAS),
    )
    whole = pairs_of(old, WHOLE) | pairs_of(new, WHOLE)
    made = planned(facts(old, new, ordered=whole))
    assert [what(verdict_on(one.name, made)) for one in (old, new)] == [WHOLE, KEEP]
    made = planned(facts(old, new, ordered=whole | pairs_of(new, TRIM)))
    assert [what(verdict_on(one.name, made)) for one in (old, new)] == [WHOLE, TRIM]


def test_an_index_that_is_held_stays_whatever_was_ordered() -> None:
    one = index(ages=[DAY])
    found = verdict(one, *BOTH, holds={one.name: "h1"})
    assert isinstance(found, Skip)
    assert (found.kind.value, found.reason) == ("held", "held: h1")


def test_documents_of_held_subjects_keep_the_whole_index_and_are_counted() -> None:
    found = verdict(index(ages=[DAY, DAY], matching_documents=1), *BOTH)
    assert isinstance(found, Skip)
    assert found.reason == "held: it has 1 document of held subjects"


def test_a_block_is_named_with_what_was_ordered() -> None:
    found = verdict(index(ages=[DAY], **blocks(Block.READ_ONLY)), *BOTH)
    assert isinstance(found, Skip)
    assert found.reason.startswith("1 document that must never be stored, erased by order of an operator; ")
    assert "remove index.blocks.read_only" in found.remedy


def test_what_is_in_doubt_stays_whatever_was_ordered() -> None:
    shut = apart("logs-shut")
    made = planned(facts(set_apart=[shut], ordered=frozenset((str(shut.uuid), action) for action in BOTH)))
    assert made.purge == ()
    assert what(verdict_on("logs-shut", made)) == "set-apart"


@pytest.mark.parametrize("given", [{}, {"container": True}], ids=["an index", "a container"])
def test_what_is_kept_while_a_customer_is_active_is_never_erased_by_an_order(given: dict[str, Any]) -> None:
    keys = category("keys", max_age=None, after_termination=DAY, forbidden_fields=("audio_data",))
    assert what(verdict(index(ages=[DAY], **given), *BOTH, under=keys)) == KEEP


@pytest.mark.parametrize(
    ("ages", "expected"), [((LIMIT + DAY,), WHOLE), ((LIMIT + DAY, DAY), TRIM), ((DAY,), KEEP)], ids=str
)
def test_an_order_changes_nothing_where_age_decides(ages: tuple[int, ...], expected: str) -> None:
    one = index(ages=ages)
    for ordered in ((), (WHOLE,), (TRIM,), BOTH):
        found = verdict(one, *ordered, under=category())
        assert what(found) == expected
        assert not (isinstance(found, Purge) and found.ordered)


# --- forbidden fields ---------------------------------------------------------------------------------

LOGS = index("logs-a", ages=[DAY, DAY, DAY])


def on_fields(
    *found: ForbiddenField, ordered: frozenset[Pair] = pairs_of(LOGS, TRIM), under: Category = MEDIA, **more: Any
) -> list[Purge | Keep | Skip]:
    """All verdicts of a plan in whose own indices there is nothing."""
    made = planned(facts(forbidden=found, ordered=ordered, **more), under)
    return [*made.purge, *made.keep, *made.skip]


def test_without_an_order_a_forbidden_field_is_reported_only() -> None:
    assert on_fields(forbidden(LOGS), ordered=frozenset()) == []
    assert on_fields(forbidden(LOGS), ordered=pairs_of(index("logs-b"), *BOTH)) == []


def test_an_order_for_the_whole_index_allows_no_documents_to_go_by_their_fields() -> None:
    assert on_fields(forbidden(LOGS), ordered=pairs_of(LOGS, WHOLE)) == []


def test_documents_with_a_forbidden_field_go_on_an_order_and_no_others() -> None:
    (found,) = on_fields(forbidden(LOGS, documents=2))
    assert isinstance(found, Purge)
    assert (found.facts, found.action, found.documents) == (LOGS, Action.DELETE_DOCUMENTS, 2)
    assert (found.takes, found.ordered, found.rollover) == (HasField(fields=("audio_data",)), True, None)
    assert "audio_data" in found.reason


def test_the_forbidden_fields_of_an_index_go_together() -> None:
    fields = [
        forbidden(LOGS, field="audio_data", documents=2),
        forbidden(LOGS, field="video_data", documents=2),
        forbidden(LOGS, field="empty", documents=0),
        forbidden(LOGS, field="unknown", documents=0, counted=False),
    ]
    (found,) = on_fields(*fields)
    assert isinstance(found, Purge)
    assert found.takes == HasField(fields=("audio_data", "video_data"))
    assert found.documents == LOGS.documents, "a document that holds both is counted once"
    assert "audio_data, video_data" in found.reason


def test_each_index_with_a_forbidden_field_needs_an_order_of_its_own() -> None:
    other = index("logs-b", ages=[DAY])
    fields = [forbidden(other), forbidden(LOGS)]
    names = {p.facts.name for p in on_fields(*fields) if isinstance(p, Purge)}
    assert names == {"logs-a"}
    both = on_fields(*fields, ordered=pairs_of(LOGS, TRIM) | pairs_of(other, TRIM))
    assert {p.facts.name for p in both if isinstance(p, Purge)} == {"logs-a", "logs-b"}


@pytest.mark.parametrize(
    "documents", [{"documents": 0}, {"documents": 0, "countable": False}, {"documents": 0, "counted": False}]
)
def test_where_no_document_is_seen_to_hold_the_field_nothing_is_erased(documents: dict[str, Any]) -> None:
    assert on_fields(forbidden(LOGS, **documents)) == []


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (Block.METADATA, TRIM),
        (Block.READ_ONLY, "blocked"),
        (Block.WRITE, "blocked"),
        (Block.FLOOD_STAGE, "blocked"),
    ],
)
def test_a_block_keeps_documents_with_a_forbidden_field(block: Block, expected: str) -> None:
    one = index("logs-a", ages=[DAY], blocks=frozenset({block}))
    (found,) = on_fields(forbidden(one))
    assert what(found) == expected


def test_a_hold_on_an_index_keeps_documents_with_a_forbidden_field() -> None:
    (found,) = on_fields(forbidden(LOGS), holds={LOGS.name: "h1"})
    assert isinstance(found, Skip)
    assert (found.kind.value, found.reason) == ("held", "held: h1")


@pytest.mark.parametrize("given", [{}, {"container": True}], ids=["an index", "a container"])
def test_an_own_index_with_a_forbidden_field_goes_once(given: dict[str, Any]) -> None:
    own = index(ages=[DAY, DAY], **given)
    found = forbidden(own, documents=2, category="media")
    made = planned(facts(own, forbidden=(found,), ordered=pairs_of(own, *BOTH)))
    assert isinstance(verdict_on(own.name, made), Purge)


def test_a_category_that_only_forbids_fields_erases_them_all_the_same() -> None:
    keeps = category("keys", max_age=None, after_termination=DAY, forbidden_fields=("audio_data",))
    assert [what(found) for found in on_fields(forbidden(LOGS), under=keeps)] == [TRIM]


@pytest.mark.parametrize(
    ("documents", "countable", "counted", "of_all", "absent"),
    [
        (0, True, True, 5, True),
        (1, True, True, 5, False),
        (0, False, True, 5, False),
        (0, False, True, 0, True),
        (0, True, False, 0, False),
    ],
)
def test_that_a_field_is_absent_has_to_be_proven(
    documents: int, countable: bool, counted: bool, of_all: int, absent: bool
) -> None:
    one = forbidden(index(undated=of_all), documents=documents, countable=countable, counted=counted)
    assert one.proven_absent is absent
