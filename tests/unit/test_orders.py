"""Orders to erase what must never be stored: exactly what was ordered, and nothing that something forbids."""

from __future__ import annotations

from typing import Any

import pytest

from builders import MARGIN, NOW, category, facts, index, verdict_on
from retention_enforcer.domain.deletion import Every, Holding
from retention_enforcer.domain.expiry import build_plan
from retention_enforcer.domain.facts import Block, ForbiddenField
from retention_enforcer.domain.instants import DAY
from retention_enforcer.domain.plan import Action, Keep, Plan, Purge, Skip

NEVER = category("media", max_age=None, never_stored=True)
WHOLE = ("uuid-of-logs-a", "delete_index")
TRIM = ("uuid-of-logs-a", "delete_documents")


def planned(*ordered: tuple[str, str], holds: dict[str, str] | None = None, **more: Any) -> Plan:
    values = {"ages": [DAY, 2 * DAY], **more}
    seen = facts(index(**values), holds=holds, category_id="media", ordered=frozenset(ordered))
    return build_plan(NEVER, MARGIN, seen, NOW)


def test_an_ordered_index_goes_whole_and_one_that_was_not_ordered_stays() -> None:
    purge = verdict_on("logs-a", planned(WHOLE))
    assert isinstance(purge, Purge)
    assert (purge.action, purge.documents, purge.ordered) == (Action.DELETE_INDEX, 2, True)
    for other in ((), (("uuid-of-logs-b", "delete_index"),), (TRIM,)):
        assert isinstance(verdict_on("logs-a", planned(*other)), Keep), other


def test_of_a_container_the_documents_go_if_that_was_ordered() -> None:
    purge = verdict_on("logs-a", planned(TRIM, container=True))
    assert isinstance(purge, Purge)
    assert (purge.action, purge.takes) == (Action.DELETE_DOCUMENTS, Every())
    assert isinstance(verdict_on("logs-a", planned(WHOLE, container=True)), Keep)


@pytest.mark.parametrize("block", [Block.READ_ONLY, Block.METADATA])
def test_where_a_block_forbids_to_delete_the_index_the_order_for_it_is_not_one_for_its_documents(block: Block) -> None:
    assert isinstance(verdict_on("logs-a", planned(WHOLE, blocks=frozenset({block}))), Keep)


def test_where_a_block_forbids_to_delete_documents_that_is_said() -> None:
    assert isinstance(verdict_on("logs-a", planned(TRIM, container=True, blocks=frozenset({Block.WRITE}))), Skip)


def test_what_is_held_is_not_erased() -> None:
    assert isinstance(verdict_on("logs-a", planned(WHOLE, holds={"logs-a": "h1"})), Skip)
    assert isinstance(verdict_on("logs-a", planned(WHOLE, held_documents=1)), Skip)


def test_an_empty_index_has_nothing_to_erase() -> None:
    assert isinstance(verdict_on("logs-a", planned(WHOLE, ages=[])), Keep)


def test_a_write_index_is_rolled_over_first() -> None:
    more = {"write_index": True, "stream": "logs-stream"}
    purge = verdict_on("logs-a", planned(WHOLE, **more))
    assert isinstance(purge, Purge)
    assert purge.rollover == "logs-stream"


def forbidden(documents: int = 2, field: str = "audio_data", **more: Any) -> ForbiddenField:
    holder = index("other-a", ages=[], undated=5, **more)
    values = {"category": "dashboard", "type": "keyword", "countable": True}
    return ForbiddenField(index=holder, field=field, documents=documents, **values)


ORDER = ("uuid-of-other-a", "delete_documents")


def fields_planned(*fields: ForbiddenField, ordered: tuple[tuple[str, str], ...] = (ORDER,), **more: Any) -> Plan:
    seen = facts(category_id="media", forbidden=fields, ordered=frozenset(ordered), **more)
    return build_plan(NEVER, MARGIN, seen, NOW)


def test_documents_with_a_forbidden_field_go_from_whatever_index_if_that_was_ordered() -> None:
    (purge,) = fields_planned(forbidden(), forbidden(field="video_data", documents=1)).purge
    assert (purge.action, purge.documents) == (Action.DELETE_DOCUMENTS, 3)
    assert purge.takes == Holding(fields=("audio_data", "video_data"))
    assert fields_planned(forbidden(), ordered=()).purge == ()
    assert fields_planned(forbidden(), ordered=(("uuid-of-other-a", "delete_index"),)).purge == ()


def test_a_forbidden_field_without_documents_held_or_blocked_purges_nothing() -> None:
    assert fields_planned(forbidden(documents=0)).purge == ()
    assert fields_planned(forbidden(), holds={"other-a": "h1"}).purge == ()
    assert fields_planned(forbidden(blocks=frozenset({Block.READ_ONLY}))).purge == ()


@pytest.mark.parametrize(
    ("documents", "countable", "counted", "undated", "absent"),
    [
        (0, True, True, 5, True),
        (1, True, True, 5, False),
        (0, False, True, 5, False),
        (0, False, True, 0, True),
        (0, True, False, 0, False),
    ],
)
def test_that_a_field_is_absent_has_to_be_proven(
    documents: int, countable: bool, counted: bool, undated: int, absent: bool
) -> None:
    one = ForbiddenField(
        index=index("i", undated=undated),
        category="c",
        field="f",
        type="keyword",
        documents=documents,
        countable=countable,
        counted=counted,
    )
    assert one.proven_absent is absent
