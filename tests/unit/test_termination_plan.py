"""What goes of an index for terminated subjects, what stays, and why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from builders import NOW, apart, category, facts, index
from naming import having, named
from retention_enforcer.domain.facts import Block, CategoryFacts, IndexFacts, Indistinguishable
from retention_enforcer.domain.instants import DAY
from retention_enforcer.domain.plan import Action
from retention_enforcer.domain.policy.promises import Category, Policy
from retention_enforcer.domain.selection import OfSubjects
from retention_enforcer.domain.subjects.identity import subject_of
from retention_enforcer.domain.terminations.plan import (
    SubjectPlan,
    TerminationScope,
    asked_in,
    goes_by_age,
    left_by_age,
    left_to_age,
    may_hold_until,
    not_narrowed,
    plan_purges,
    queries_of,
    should_have_ended,
)
from retention_enforcer.domain.terminations.requests import Ask
from retention_enforcer.domain.terminations.states import OpenItemKind, Termination

ONE = having(("app", "1"), label="one")
TWO = having(("app", "2"), label="two")
HELD = having(("app", "1"), label="hold")
FIELDS = named(account="uin", application="app")
CATEGORY = category("keys", indices=["keys", "logs-*", "own-{application}-x"], max_age=None, subjects=FIELDS)
ASKED = TerminationScope(
    labels=frozenset({"one", "two"}),
    tenants={"one": (subject_of(application="1"),), "two": (subject_of(application="2"),)},
)


def of_subjects(name: str = "logs-a", *, theirs: int = 3, documents: int = 10, **more: Any) -> IndexFacts:
    return index(name, ages=[DAY] * documents, matches=(ONE, TWO), matching_documents=theirs, **more)


def planned(one: IndexFacts, *, held: IndexFacts | None = None, hold: str = "", **more: Any) -> SubjectPlan:
    twin = held or replace(one, matches=(), matching_documents=0)
    holds = {one.name: hold} if hold else {}
    return plan_purges(CATEGORY, facts(one, **more), facts(twin, holds=holds), ASKED, NOW)


def test_exactly_their_documents_go() -> None:
    (purge,) = planned(of_subjects()).purges
    assert (purge.action, purge.documents, purge.spare) == (Action.DELETE_DOCUMENTS, 3, ())
    assert purge.takes == OfSubjects(matches=(ONE, TWO))


def test_where_there_is_nothing_of_theirs_nothing_is_done() -> None:
    plan = planned(of_subjects(theirs=0))
    assert (plan.purges, plan.doubts) == ([], {})


@pytest.mark.parametrize(
    ("change", "whole"),
    [
        ({}, True),
        ({"documents": 0, "theirs": 0}, True),
        ({"blocks": frozenset({Block.WRITE})}, True),
        ({"blocks": frozenset({Block.FLOOD_STAGE})}, True),
        ({"theirs": 9}, False),
        ({"aliases": ("only",)}, False),
        ({"write_index": True}, False),
        ({"write_index": True, "stream": "own-1-x", "name": ".ds-own-1-x-2026.01.31-000001"}, True),
        ({"name": "own-11-x"}, False),
        ({"name": "logs-1"}, False),
    ],
)
def test_a_tenants_own_index_goes_whole_if_every_document_is_theirs(change: dict[str, Any], whole: bool) -> None:
    values: dict[str, Any] = {"name": "own-1-x", "theirs": 10, "documents": 10, **change}
    (purge,) = planned(of_subjects(**values)).purges
    assert (purge.action is Action.DELETE_INDEX) == whole
    if whole:
        assert (purge.documents, purge.takes) == (values["documents"], None)


def test_a_container_loses_its_documents_and_stays() -> None:
    (purge,) = planned(of_subjects("keys", theirs=10, container=True)).purges
    assert purge.action is Action.DELETE_DOCUMENTS


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"blocks": frozenset({Block.READ_ONLY})}, "index.blocks.read_only"),
        ({"blocks": frozenset({Block.FLOOD_STAGE, Block.WRITE})}, "index.blocks.read_only_allow_delete"),
        ({"blocks": frozenset({Block.METADATA})}, "index.blocks.metadata"),
        ({"mounted": True}, "mounted"),
    ],
)
def test_what_cannot_lose_single_documents_is_an_open_item_of_each(change: dict[str, Any], told: str) -> None:
    plan = planned(of_subjects(**change))
    assert plan.purges == []
    assert plan.doubts.keys() == {"one", "two"}
    for (item,) in plan.doubts.values():
        assert item.kind == OpenItemKind.PURGE_FAILED, "a finding, and no doubt: it is known what there is"
        assert told in item.text


def test_what_cannot_lose_single_documents_concerns_those_alone_who_have_some() -> None:
    plan = planned(of_subjects(blocks=frozenset({Block.READ_ONLY}), matching_labels=frozenset({"two"})))
    assert plan.doubts.keys() == {"two"}


def test_a_write_block_is_no_obstacle_to_a_purge_that_lifts_it() -> None:
    plan = planned(of_subjects(blocks=frozenset({Block.WRITE})))
    assert (len(plan.purges), plan.doubts) == (1, {})


def test_a_hold_on_the_index_keeps_all_of_it() -> None:
    plan = planned(of_subjects("own-1-x", theirs=10), hold="a case")
    assert plan.purges == []
    assert {item.kind for items in plan.doubts.values() for item in items} == {"held"}
    assert planned(of_subjects(theirs=0), hold="a case").doubts == {}


def test_held_subjects_are_spared_and_their_own_index_does_not_go_whole() -> None:
    one = of_subjects("own-1-x", theirs=10)
    plan = planned(one, held=replace(one, matches=(HELD,), matching_documents=4))
    (purge,) = plan.purges
    assert (purge.action, purge.spare) == (Action.DELETE_DOCUMENTS, (HELD,))
    assert {item.kind for items in plan.doubts.values() for item in items} == {"held"}


def test_an_index_of_which_too_little_is_known_keeps_every_purge_from_being_proven() -> None:
    plan = planned(of_subjects(), set_apart=[apart()])
    assert len(plan.purges) == 1, "it does not blind the others"
    assert {label: [item.kind for item in items] for label, items in plan.doubts.items()} == {
        "one": [OpenItemKind.NOT_LOOKED_INTO],
        "two": [OpenItemKind.NOT_LOOKED_INTO],
    }


def test_an_index_that_cannot_tell_whose_its_documents_are_is_a_doubt_for_those_alone() -> None:
    indistinguishable = {"logs-a": (Indistinguishable(label="one", note="", reason="why"),)}
    plan = planned(of_subjects(theirs=0), indistinguishable=indistinguishable)
    assert [(label, item.kind) for label, items in plan.doubts.items() for item in items] == [
        ("one", OpenItemKind.NOT_LOOKED_INTO)
    ]


def test_an_index_that_came_between_the_two_looks_is_left_and_doubted() -> None:
    plan = plan_purges(CATEGORY, facts(of_subjects()), facts(), ASKED, NOW)
    assert plan.purges == []
    assert plan.doubts.keys() == {"one", "two"}
    other = replace(of_subjects(), uuid="another")
    assert plan_purges(CATEGORY, facts(of_subjects()), facts(other), ASKED, NOW).purges == []


# --- for whom -------------------------------------------------------------------------------------------


def termination(**more: Any) -> Termination:
    subject = more.pop("subject", subject_of(application="1"))
    values: dict[str, Any] = {"ask": Ask.TERMINATE, "registered_at": NOW, "terminated_at": NOW - DAY, **more}
    return Termination(key="one", request="r", pseudonym="p", kind=subject.kind, subject=subject, **values)


POLICY = Policy(
    name="p",
    categories=(
        replace(CATEGORY, after_termination=7 * DAY),
        category("aged", indices=["aged-*"], subjects=named(account="uin")),
        category("nobody", indices=["nobody-*"], max_age=None, after_termination=7 * DAY),
    ),
)


def test_an_account_is_asked_for_with_its_applications_in_the_categories_that_end_with_it() -> None:
    one = termination(subject=subject_of(account="100"), applications=("1",))
    sought = queries_of(POLICY, one)
    assert [(s.subject, s.account, s.label) for s in sought] == [
        (subject_of(account="100"), None, "one"),
        (subject_of(application="1"), "100", "one"),
    ]
    assert {s.categories for s in sought} == {frozenset({"keys", "nobody"})}


@pytest.mark.parametrize(("ask", "categories"), [(Ask.TERMINATE, ["keys"]), (Ask.ERASE, ["keys"])])
def test_nobody_is_asked_for_where_it_cannot_be_told(ask: Ask, categories: list[str]) -> None:
    one = termination(ask=ask)
    assert [c.id for c in POLICY.categories if asked_in(POLICY, c, [one]).labels] == categories


def test_what_cannot_be_narrowed_is_open_until_its_age_ends_it() -> None:
    one = termination(ask=Ask.ERASE)
    items = {item.text.split()[0]: item for item in not_narrowed(POLICY, one, NOW)}
    assert items.keys() == {"aged", "nobody"}
    assert (items["aged"].until, items["nobody"].until) == (NOW + 14 * DAY, None)
    assert {item.text.split()[0] for item in not_narrowed(POLICY, one, NOW + 14 * DAY)} == {"nobody"}
    assert OpenItemKind.NOT_LOOKED_INTO not in {item.kind for item in items.values()}


@pytest.mark.parametrize(
    ("left", "named"),
    [
        ({"ages": [13 * DAY]}, False),
        ({"ages": [13 * DAY, 14 * DAY]}, True),
        ({"ages": [13 * DAY], "undated": 1}, True),
        ({}, False),
    ],
)
def test_what_should_have_ended_by_its_age_is_open_while_it_is_there(left: dict[str, Any], named: bool) -> None:
    one, later = termination(ask=Ask.ERASE), NOW + 14 * DAY
    (aged,) = should_have_ended(POLICY, one, later)
    assert (aged.id, should_have_ended(POLICY, one, later - 1)) == ("aged", ())
    found = list(left_by_age(aged, one, facts(index("aged-a", now=later, **left))))
    assert [item.text.split()[-1] for item in found] == (["aged-a"] if named else [])


def test_what_should_have_ended_by_its_age_is_open_where_nobody_can_look() -> None:
    one = termination(ask=Ask.ERASE)
    (aged,) = should_have_ended(POLICY, one, NOW + 14 * DAY)
    (item,) = left_by_age(aged, one, facts(set_apart=(apart("aged-a"),)))
    assert (item.kind, "aged-a" in item.text) == ("not-narrowed", True)


def test_what_a_termination_leaves_to_its_age_is_what_can_tell_whose_it_is() -> None:
    account = termination(subject=subject_of(account="100"))
    assert [c.id for c in left_to_age(POLICY, account)] == ["aged"]
    assert left_to_age(POLICY, replace(account, ask=Ask.ERASE)) == (), "a request to delete ends it"
    assert left_to_age(POLICY, termination()) == (), "it does not name applications"
    assert left_to_age(POLICY, replace(account, subject=None)) == ()


@pytest.mark.parametrize(
    ("indices", "until"),
    [
        ([{"ages": [DAY, 3 * DAY], "matching_documents": 1}], 13 * DAY),
        ([{"ages": [DAY], "matching_documents": 1}, {"ages": [2 * DAY], "matching_documents": 1}], 13 * DAY),
        ([{"ages": [DAY], "matching_documents": 1}, {"ages": [14 * DAY], "matching_documents": 1}], 13 * DAY),
        ([{"ages": [14 * DAY], "matching_documents": 1}], None),
        ([{"ages": [DAY], "undated": 1, "matching_documents": 1}], None),
        ([{"undated": 1, "matching_documents": 1}, {"ages": [DAY], "matching_documents": 1}], None),
    ],
)
def test_what_is_left_to_its_age_is_open_until_the_last_is_past_its_limit(
    indices: list[dict[str, Any]], until: int | None
) -> None:
    found = facts(*(index(f"aged-{n}", now=NOW, **one) for n, one in enumerate(indices)))
    (item,) = goes_by_age(POLICY.categories[1], found, found_held(found), NOW)
    assert (item.kind, item.until) == ("by-age", until if until is None else NOW + until)
    assert "of the subject" in item.text


def found_held(found: CategoryFacts) -> CategoryFacts:
    """The same indices, in which nothing is held."""
    return replace(found, indices=tuple(replace(one, matching_documents=0) for one in found.indices))


def test_no_day_is_said_where_something_else_than_age_decides() -> None:
    aged, one = POLICY.categories[1], index("aged-a", now=NOW, ages=[DAY], matching_documents=1)
    found = facts(one)

    def until(
        category: Category = aged, sought: CategoryFacts = found, held: CategoryFacts | None = None
    ) -> int | None:
        (item,) = goes_by_age(category, sought, held or found_held(sought), NOW)
        return item.until

    assert until() == NOW + 13 * DAY
    assert until(replace(aged, enforce=False)) is None
    assert until(held=facts(replace(one, matching_documents=0), holds={"aged-a": "a case"})) is None
    assert until(held=found) is None, "the subject's own documents are held"
    assert until(held=facts()) is None, "it came while it was looked at"
    assert until(sought=facts(replace(one, blocks=frozenset({Block.READ_ONLY})))) is None


@pytest.mark.parametrize(
    ("ask", "erased_at", "expected"),
    [
        (Ask.TERMINATE, None, {"keys": NOW + 100 * DAY, "aged": NOW + 100 * DAY}),
        (Ask.TERMINATE, NOW + DAY, {"keys": NOW + DAY, "aged": NOW + 14 * DAY}),
        (Ask.TERMINATE, NOW + 20 * DAY, {"keys": NOW + 20 * DAY, "aged": NOW + 20 * DAY}),
        (Ask.ERASE, NOW + DAY, {"keys": NOW + DAY, "aged": NOW + DAY}),
    ],
)
def test_a_category_may_hold_a_subject_until_its_purge_or_its_age(
    ask: Ask, erased_at: int | None, expected: dict[str, int]
) -> None:
    one = termination(subject=subject_of(account="100"), ask=ask, erased_at=erased_at)
    assert may_hold_until(POLICY, one, NOW + 100 * DAY) == expected


def test_what_is_left_to_its_age_and_cannot_be_looked_into_is_in_doubt() -> None:
    aged = POLICY.categories[1]
    assert list(goes_by_age(aged, facts(index("aged-a", now=NOW, ages=[DAY])), facts(), NOW)) == []
    (item,) = goes_by_age(aged, facts(set_apart=(apart("aged-a"),)), facts(), NOW)
    assert (item.kind, "aged-a" in item.text) == (OpenItemKind.NOT_LOOKED_INTO, True)
    indistinguishable = {"aged-a": (Indistinguishable(label="one", note="", reason="uin is a text"),)}
    (item,) = goes_by_age(
        aged, facts(index("aged-a", now=NOW, ages=[DAY]), indistinguishable=indistinguishable), facts(), NOW
    )
    assert item.kind == OpenItemKind.NOT_LOOKED_INTO
    assert "aged-a is unknown: uin is a text" in item.text
