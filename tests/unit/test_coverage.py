"""What no promise reaches: one finding a reason, said so that a person knows what to do."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from builders import LIMIT, NOW, category, covered, seen, suspected
from retention_enforcer.domain.coverage.findings import (
    NOTHING_FOR,
    CoverageFacts,
    IndexSeen,
    SuspectedCopy,
    coverage_findings,
    matching_nothing,
)
from retention_enforcer.domain.findings import Finding, Severity
from retention_enforcer.domain.instants import DAY, HOUR
from retention_enforcer.domain.policy.claims import IndexOwner
from retention_enforcer.domain.policy.promises import Policy

LOGS = category("backend-logs", indices=["logs-*", "more-logs"])
KEYS = category("keys", indices=["keys"], max_age=None, after_termination=7 * DAY)
MEDIA = category("media", indices=["media-*"], max_age=None, never_stored=True)
POLICY = Policy(name="test", categories=(LOGS, KEYS, MEDIA))
NOTHING: dict[str, int] = {}


def findings(facts: CoverageFacts, nothing_since: Mapping[str, int] = NOTHING) -> tuple[Finding, ...]:
    return coverage_findings(POLICY, facts, nothing_since)


def the_finding(facts: CoverageFacts, nothing_since: Mapping[str, int] = NOTHING) -> Finding:
    (found,) = findings(facts, nothing_since)
    return found


# --- unclaimed ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("standing", [s for s in IndexOwner if s is not IndexOwner.UNCLAIMED])
def test_what_has_an_owner_or_is_ignored_on_purpose_is_no_finding(standing: IndexOwner) -> None:
    assert findings(covered(seen(standing=standing, documents=3))) == ()


def test_an_empty_cluster_has_no_finding() -> None:
    assert findings(covered()) == ()


UNCLAIMED: list[tuple[str, list[IndexSeen], str]] = [
    ("one", [seen(documents=3)], "no category claims 1 index with 3 documents: billing"),
    ("empty", [seen(documents=0)], "no category claims 1 index with 0 documents: billing"),
    (
        "the newest first, then by name",
        [seen("b", documents=1), seen("old", age=DAY + 1, documents=1), seen("a", documents=1), seen("new", age=1)],
        (
            "no category claims 4 indices with 3 documents, not counting 1 whose documents cannot be counted: "
            "new, a, b, old"
        ),
    ),
    (
        "five are named",
        [seen(f"other-{n}", age=n, documents=1_000) for n in range(5)],
        "no category claims 5 indices with 5,000 documents: other-0, other-1, other-2, other-3, other-4",
    ),
    (
        "the others are counted",
        [seen(f"other-{n:04d}", age=n, documents=2) for n in range(1_500)],
        (
            "no category claims 1,500 indices with 3,000 documents: "
            "other-0000, other-0001, other-0002, other-0003, other-0004 and 1,495 more"
        ),
    ),
    (
        "none can be counted",
        [seen(f"other-{n:04d}", age=n) for n in range(1_001)],
        (
            "no category claims 1,001 indices with 0 documents, not counting 1,001 whose documents cannot be counted: "
            "other-0000, other-0001, other-0002, other-0003, other-0004 and 996 more"
        ),
    ),
]


@pytest.mark.parametrize(("indices", "text"), [pytest.param(*row[1:], id=row[0]) for row in UNCLAIMED])
def test_all_unclaimed_indices_are_one_finding(indices: list[IndexSeen], text: str) -> None:
    for facts in (covered(*indices), covered(*indices[::-1], seen("logs-a", categories=["backend-logs"]))):
        found = the_finding(facts)
        assert found.text == text
        assert (found.kind, found.category, found.index) == ("unclaimed", None, None)
        assert "`ignore`" in found.remedy


def test_a_suspected_copy_is_not_told_twice() -> None:
    clone = seen("clone", documents=7)
    found = findings(covered(clone, seen(documents=3), copies=(suspected("clone", documents=7),)))
    assert [f.kind for f in found] == ["unclaimed", "suspected-copy"]
    assert found[0].text.endswith("1 index with 3 documents: billing")
    assert the_finding(covered(clone, copies=(suspected("clone"),))).kind == "suspected-copy"


# --- copies -------------------------------------------------------------------------------------------

ONE = "1 index outside the policy seems to contain documents of"
COPIES: list[tuple[str, list[SuspectedCopy], str]] = [
    ("young", [suspected()], f"{ONE} backend-logs: 1 document, the oldest 1 d old, limit 14d; clone"),
    (
        "exactly at the limit",
        [suspected(age=LIMIT)],
        f"{ONE} backend-logs: 1 document, the oldest 14 d old, limit 14d; clone",
    ),
    (
        "past the limit",
        [suspected(age=LIMIT + HOUR, documents=1_234, overdue=1_000)],
        (
            f"{ONE} backend-logs: 1,234 documents, the oldest 14 d 1 h old, "
            "1,000 of them past the limit of 14d, the first since 2026-01-31T07:00:00.000Z; clone"
        ),
    ),
    ("of unknown age", [suspected(age=None)], f"{ONE} backend-logs: 1 document, of unknown age; clone"),
    (
        "of a category without a maximum age",
        [suspected(categories=("keys",), age=900 * DAY)],
        f"{ONE} keys: 1 document, the oldest 900 d old; clone",
    ),
    (
        "with its origin",
        [suspected(origin="logs-a")],
        f"{ONE} backend-logs: 1 document, the oldest 1 d old, limit 14d; clone (made from logs-a)",
    ),
    (
        "whose fields fit several categories",
        [suspected(categories=("backend-logs", "media", "keys"))],
        f"{ONE} backend-logs (or keys, media): 1 document, the oldest 1 d old, limit 14d; clone",
    ),
    (
        "several of one category, the newest first",
        [
            suspected("b", age=None, documents=2),
            suspected("old", created=2 * DAY, age=LIMIT + DAY, overdue=1, categories=("backend-logs", "keys")),
            suspected("a", age=LIMIT + HOUR, overdue=2, origin="logs-a"),
        ],
        (
            "3 indices outside the policy seem to contain documents of backend-logs (or keys): 4 documents, "
            "the oldest 15 d old, 3 of them past the limit of 14d, the first since 2026-01-30T08:00:00.000Z; "
            "a (made from logs-a), b, old"
        ),
    ),
    (
        "many",
        [suspected(f"copy-{n}", created=n) for n in range(7)],
        (
            "7 indices outside the policy seem to contain documents of backend-logs: 7 documents, "
            "the oldest 1 d old, limit 14d; copy-0, copy-1, copy-2, copy-3, copy-4 and 2 more"
        ),
    ),
]


@pytest.mark.parametrize(("copies", "text"), [pytest.param(*row[1:], id=row[0]) for row in COPIES])
def test_copies_of_one_category_are_one_finding_that_says_how_old_they_are(
    copies: list[SuspectedCopy], text: str
) -> None:
    for order in (copies, copies[::-1]):
        found = the_finding(covered(copies=tuple(order)))
        assert found.text == text
        assert (found.kind, found.category, found.index) == ("suspected-copy", copies[0].categories[0], None)


def test_copies_of_two_categories_are_two_findings() -> None:
    copies = (suspected("a"), suspected("b", categories=("keys",)), suspected("c"))
    found = findings(covered(copies=copies))
    assert {f.category: f.text.partition(" ")[0] for f in found} == {"backend-logs": "2", "keys": "1"}
    assert len({f.id for f in found}) == 2


# --- what could not be looked into --------------------------------------------------------------------


def test_all_that_could_not_be_looked_into_is_one_finding_with_the_reason_of_the_first() -> None:
    unseen = {f"shut-{n}": f"reason {n}" for n in (3, 1, 2, 0, 5, 4, 6)}
    found = the_finding(covered(unseen=unseen))
    assert found.text.startswith("7 indices outside the policy could not be checked")
    assert found.text.endswith(": shut-0, shut-1, shut-2, shut-3, shut-4 and 2 more (reason 0)")
    assert (found.kind, found.category) == ("not-looked-into", None)
    one = the_finding(covered(unseen={"shut": "it is closed"}))
    assert one.text.endswith(": shut (it is closed)")


@pytest.mark.parametrize("unseen", [None, {}])
def test_where_everything_could_be_looked_into_nothing_is_said(unseen: dict[str, str] | None) -> None:
    assert findings(covered(unseen=unseen)) == ()


# --- categories that match nothing --------------------------------------------------------------------


def test_a_category_that_matches_nothing_is_remembered_from_the_first_look_on() -> None:
    assert matching_nothing(POLICY, covered(), {}) == {"backend-logs": NOW, "keys": NOW}
    known = {"backend-logs": NOW - DAY, "gone": 1}
    assert matching_nothing(POLICY, covered(), known) == {"backend-logs": NOW - DAY, "keys": NOW}


def test_a_category_that_matches_an_index_alone_or_with_another_is_forgotten() -> None:
    known = {"backend-logs": NOW - DAY, "keys": NOW - DAY}
    one = covered(seen("logs-a", categories=["backend-logs"]))
    assert matching_nothing(POLICY, one, known) == {"keys": NOW - DAY}
    both = covered(seen("logs-a", categories=["keys", "backend-logs"]))
    assert matching_nothing(POLICY, both, known) == {}


def test_what_must_never_be_stored_is_never_missed() -> None:
    assert "media" not in matching_nothing(POLICY, covered(), {"media": NOW - 9 * DAY})


def test_matching_nothing_is_a_finding_after_more_than_a_day() -> None:
    assert NOTHING_FOR == DAY
    assert findings(covered(), {"backend-logs": NOW - NOTHING_FOR}) == ()
    found = the_finding(covered(), {"backend-logs": NOW - NOTHING_FOR - 1})
    assert found.text.endswith("logs-*, more-logs for 1 d")
    assert (found.kind, found.category) == ("matches-nothing", "backend-logs")


def test_each_category_that_matches_nothing_is_a_finding() -> None:
    since = {"keys": NOW - 3 * DAY, "backend-logs": NOW - 2 * DAY, "removed from the policy": 0}
    found = findings(covered(), since)
    assert [f.text for f in found] == [
        "no index has matched logs-*, more-logs for 2 d",
        "no index has matched keys for 3 d",
    ]


# --- all of them --------------------------------------------------------------------------------------

EVERYTHING = covered(
    seen(documents=3),
    seen("clone", documents=1),
    copies=(suspected("clone"), suspected("keys-copy", categories=("keys",))),
    unseen={"shut": "it is closed"},
)
SINCE = {"backend-logs": NOW - 2 * DAY, "keys": NOW - 2 * DAY}


def test_nothing_that_is_found_past_the_policy_breaks_a_promise_and_each_has_its_remedy() -> None:
    found = findings(EVERYTHING, SINCE)
    assert len(found) == len({f.id for f in found}) == 6
    assert {f.severity for f in found} == {Severity.WARNING}
    assert all(f.text and f.remedy for f in found)


def test_a_finding_stays_the_same_while_indices_come_and_go() -> None:
    later = covered(
        seen("another", documents=9),
        *(seen(f"other-{n}") for n in range(500)),
        copies=(suspected("restored", age=None), suspected("keys-again", categories=("keys", "media"), origin="keys")),
        unseen={"red": "a primary shard of it is assigned to no node", "shut": "it is closed"},
        now=NOW + DAY,
    )
    before, after = ({f.id: f.text for f in findings(facts, SINCE)} for facts in (EVERYTHING, later))
    assert before.keys() == after.keys()
    assert not set(before.values()) & set(after.values())


def test_the_ids_survive_a_new_version_of_the_program() -> None:
    ids = {(f.kind, f.category): f.id for f in findings(EVERYTHING, SINCE)}
    assert ids == {
        ("unclaimed", None): "e96371ee04d9",
        ("suspected-copy", "backend-logs"): "6c8c27099ea5",
        ("suspected-copy", "keys"): "7400c97353c8",
        ("not-looked-into", None): "d85441cc28a9",
        ("matches-nothing", "backend-logs"): "1a7b07acabd9",
        ("matches-nothing", "keys"): "b4a45bf21dd3",
    }
