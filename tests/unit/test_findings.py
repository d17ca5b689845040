"""Findings: one id a cause and a place, and what is new or gone."""

from __future__ import annotations

from typing import Any

import pytest

from builders import NOW
from retention_enforcer.domain.findings import Finding, FindingKind, Sighting, compare_findings, refreshed, sighted
from retention_enforcer.domain.instants import DAY, HOUR, MINUTE


def finding(**more: Any) -> Finding:
    values: dict[str, Any] = {"kind": FindingKind.OVERDUE, "category": "logs", "text": "3 documents", "remedy": "look"}
    return Finding(**values | more)


ONE = finding(index="logs-a", uuid="u1")
SEEN = Sighting(first=NOW - DAY, last=NOW - MINUTE)


@pytest.mark.parametrize(
    "same",
    [
        {"text": "4 documents"},
        {"remedy": "wait"},
        {"milder": True},
        {"first_seen": NOW},
        {"index": "renamed"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_id_stays_when_only_the_words_change(same: dict[str, Any]) -> None:
    assert finding(**{"index": "logs-a", "uuid": "u1", **same}).id == ONE.id


def test_the_id_survives_a_new_version_of_the_program() -> None:
    assert ONE.id == "7cd75076f805"


def test_other_causes_and_places_have_other_ids() -> None:
    different = [
        ONE,
        finding(index="logs-a", uuid="u2"),
        finding(index="logs-a"),
        finding(index="logs-b"),
        finding(),
        finding(kind=FindingKind.UNDATED, index="logs-a", uuid="u1"),
        finding(category="keys", index="logs-a", uuid="u1"),
        finding(category="keys"),
        finding(category=None),
        finding(category=None, about="backups"),
    ]
    assert len({each.id for each in different}) == len(different)


def test_a_finding_keeps_its_first_sight_while_its_cause_lasts() -> None:
    change = compare_findings({ONE.id: SEEN}, [ONE, finding()], NOW)
    assert [each.first_seen for each in change.current] == [NOW - DAY, NOW]
    assert [each.id for each in change.opened] == [finding().id]
    assert change.closed == ()


def test_a_finding_whose_cause_is_gone_is_closed() -> None:
    change = compare_findings({ONE.id: SEEN, finding().id: SEEN}, [ONE], NOW)
    assert change.closed == (finding().id,)
    assert change.opened == ()


def test_a_finding_that_comes_back_is_a_new_one() -> None:
    gone = compare_findings({ONE.id: SEEN}, [], NOW)
    assert (gone.current, gone.closed) == ((), (ONE.id,))
    assert compare_findings({}, [ONE], NOW).opened[0].first_seen == NOW


def test_the_same_cause_seen_twice_is_one_finding() -> None:
    change = compare_findings({}, [ONE, finding(index="logs-a", uuid="u1", text="again")], NOW)
    assert len(change.current) == len(change.opened) == 1


def test_when_a_finding_was_last_seen_is_stored_once_an_hour_and_with_every_other_change() -> None:
    stored = {ONE.id: SEEN}
    soon = {ONE.id: Sighting(first=SEEN.first, last=SEEN.last + HOUR - 1)}
    late = {ONE.id: Sighting(first=SEEN.first, last=SEEN.last + HOUR)}
    assert refreshed(stored, soon) == stored
    assert refreshed(stored, late) == late
    assert refreshed(stored, {}) == {}
    both = {**soon, finding().id: SEEN}
    assert refreshed(stored, both) == both


def test_a_finding_that_is_only_shown_has_its_first_sight_too() -> None:
    known, new = sighted({ONE.id: SEEN, "gone": SEEN}, [ONE, finding()], NOW)
    assert (known.first_seen, known.last_seen) == (SEEN.first, NOW)
    assert (new.first_seen, new.last_seen) == (NOW, NOW)
    assert (known.id, new.id) == (ONE.id, finding().id)


def test_what_a_finding_is_about_tells_its_cause_where_no_index_does() -> None:
    ids = {finding(about=about).id for about in (None, "h1", "h2", "subjects")}
    assert len(ids) == 4
    assert finding(about="h1", index="logs-a", uuid="u1").id == ONE.id, "an index tells more"
