"""What holds of plans with documents of held subjects, whatever else is true of the indices."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from builders import DUE_AGE, LIMIT, MARGIN, NOW, category, facts, index
from retention_enforcer.domain.expiry import build_plan
from retention_enforcer.domain.facts import IndexFacts
from retention_enforcer.domain.instants import DAY, HOUR
from retention_enforcer.domain.plan import Action, Skip
from retention_enforcer.domain.subjects import Match

SPARED = (Match(conditions=(("app", "14"),)),)
CATEGORY = category(rollover=DAY)


@st.composite
def worlds(draw: st.DrawFn) -> list[tuple[IndexFacts, IndexFacts]]:
    """Indices with documents of held subjects in some, and the same without any hold."""
    found = []
    for number in range(draw(st.integers(1, 4))):
        ages = draw(st.lists(st.integers(0, LIMIT + 5 * DAY), min_size=0, max_size=6))
        free = index(
            f"logs-{number}",
            ages=ages,
            undated=draw(st.integers(0, 2)),
            index_age=draw(st.integers(0, 40 * DAY)),
            container=draw(st.booleans()),
        )
        held_due = draw(st.integers(0, free.due))
        rest = free.documents - free.due
        held = held_due + draw(st.integers(0, rest))
        found.append((free, replace(free, spared=SPARED, held_documents=held, held_due=held_due)))
    return found


@given(worlds())
def test_an_index_with_documents_of_held_subjects_is_never_deleted_whole(
    world: list[tuple[IndexFacts, IndexFacts]],
) -> None:
    plan = build_plan(CATEGORY, MARGIN, facts(*(held for _, held in world)), NOW)
    for purge in plan.purge:
        if purge.facts.held_documents:
            assert purge.action is Action.DELETE_DOCUMENTS
            assert purge.spare == SPARED
            assert purge.documents == purge.facts.due - purge.facts.held_due
            assert purge.documents > 0


@given(worlds())
def test_holds_only_ever_make_less_go(world: list[tuple[IndexFacts, IndexFacts]]) -> None:
    free = build_plan(CATEGORY, MARGIN, facts(*(one for one, _ in world)), NOW)
    held = build_plan(CATEGORY, MARGIN, facts(*(one for _, one in world)), NOW)
    before = {purge.facts.uuid: purge.documents for purge in free.purge}
    for purge in held.purge:
        assert purge.documents <= before.get(purge.facts.uuid, 0)


@given(worlds())
def test_what_is_due_and_not_held_still_goes(world: list[tuple[IndexFacts, IndexFacts]]) -> None:
    plan = build_plan(CATEGORY, MARGIN, facts(*(held for _, held in world)), NOW)
    purged = {purge.facts.uuid for purge in plan.purge}
    for _, held in world:
        if held.due > held.held_due and not held.blocks:
            assert held.uuid in purged


def test_an_index_all_of_whose_due_documents_are_held_is_skipped_and_said_to_be_held() -> None:
    held = index("logs-a", ages=[DUE_AGE + HOUR, DAY], spared=SPARED, held_documents=1, held_due=1)
    (skip,) = build_plan(CATEGORY, MARGIN, facts(held), NOW).skip
    assert isinstance(skip, Skip)
    assert skip.kind.value == "held"


def test_an_index_all_of_whose_documents_are_due_is_trimmed_where_one_of_them_is_held() -> None:
    held = index("logs-a", ages=[DUE_AGE + HOUR, DUE_AGE + DAY], spared=SPARED, held_documents=1, held_due=1)
    (purge,) = build_plan(CATEGORY, MARGIN, facts(held), NOW).purge
    assert (purge.action, purge.documents, purge.spare) == (Action.DELETE_DOCUMENTS, 1, SPARED)


def test_an_index_without_any_date_stays_where_one_of_its_documents_is_held() -> None:
    undated = index("logs-a", undated=3, index_age=40 * DAY)
    assert len(build_plan(CATEGORY, MARGIN, facts(undated), NOW).purge) == 1
    held = replace(undated, spared=SPARED, held_documents=1)
    assert build_plan(CATEGORY, MARGIN, facts(held), NOW).purge == ()
