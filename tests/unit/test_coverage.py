"""Findings about what no promise reaches: one a reason, under an id that stays while the indices change."""

from __future__ import annotations

from typing import Any

from builders import NOW, category
from retention_enforcer.domain.claims import Claim, Standing
from retention_enforcer.domain.coverage import (
    NOTHING_FOR,
    Copy,
    CoverageFacts,
    IndexSeen,
    coverage_findings,
    matching_nothing,
)
from retention_enforcer.domain.findings import Finding, Severity
from retention_enforcer.domain.instants import DAY
from retention_enforcer.domain.policy import Policy

POLICY = Policy(
    name="p",
    categories=(
        category("logs"),
        category("keys", indices=["keys"], max_age=None, after_termination=7 * DAY),
        category("media", indices=["media-*"], max_age=None, never_stored=True),
    ),
)


def seen(name: str, standing: Standing = Standing.UNCLAIMED, **more: Any) -> IndexSeen:
    values: dict[str, Any] = {"uuid": f"uuid-of-{name}", "created": NOW - DAY, "documents": 1, **more}
    categories = values.pop("categories", ())
    return IndexSeen(name=name, claim=Claim(standing=standing, categories=categories), **values)


def copy(name: str, *categories: str, **more: Any) -> Copy:
    values: dict[str, Any] = {
        "uuid": f"uuid-of-{name}",
        "created": NOW,
        "origin": None,
        "documents": 3,
        "oldest": NOW - 20 * DAY,
        "overdue": 2,
    }
    return Copy(name=name, categories=categories, **{**values, **more})


def found(*indices: IndexSeen, copies: tuple[Copy, ...] = (), **unseen: str) -> tuple[Finding, ...]:
    facts = CoverageFacts(as_of=NOW, indices=indices, copies=copies, unseen=unseen)
    return coverage_findings(POLICY, facts, {})


def test_unclaimed_indices_are_one_finding_that_names_the_newest() -> None:
    (one,) = found(*(seen(f"i{n:03d}", created=NOW - n) for n in range(500)))
    assert one.text == "500 indices that no category claims, 500 documents: i000, i001, i002, i003, i004 and 495 more"
    assert (one.kind, one.category, one.severity) == ("unclaimed", None, Severity.WARNING)


def test_the_finding_stays_the_same_while_indices_come_and_go() -> None:
    assert found(seen("a"))[0].id == found(seen("b"), seen("c"))[0].id


def test_what_cannot_be_counted_is_said() -> None:
    (one,) = found(seen("a"), seen("b", documents=None))
    assert one.text == "2 indices that no category claims, 1 documents and those of 1 that cannot be counted: a, b"


def test_governed_own_ignored_and_system_indices_are_no_findings() -> None:
    assert found(*(seen(s.value, s) for s in Standing if s is not Standing.UNCLAIMED)) == ()


def test_a_suspected_copy_is_not_told_as_unclaimed_too() -> None:
    (one,) = found(seen("a"), copies=(copy("a", "logs"),))
    assert one.kind == "suspected-copy"
    assert one.text == (
        "1 index outside the policy with what seem to be documents of logs: 3 documents, the oldest 20 d old, "
        "2 of them over the limit of 14d since 2026-01-25T08:00:00.000Z; a"
    )


def test_copies_are_one_finding_a_category() -> None:
    copies = (copy("a", "logs"), copy("b", "logs", "keys", origin="logs-b"), copy("c", "keys", oldest=None))
    logs, keys = found(copies=copies)
    assert "2 indices" in logs.text
    assert "documents of logs (or keys)" in logs.text
    assert "b (made from logs-b)" in logs.text
    assert keys.text == (
        "1 index outside the policy with what seem to be documents of keys: 3 documents, of unknown age; c"
    )


def test_a_copy_within_the_limit_says_so() -> None:
    (one,) = found(copies=(copy("a", "logs", oldest=NOW - DAY, overdue=0),))
    assert "the oldest 1 d old, limit 14d; a" in one.text


def test_what_could_not_be_looked_into_is_one_finding() -> None:
    (one,) = found(a="it is closed", b="it is closed")
    assert one.text == "2 indices outside the policy could not be looked into for copies: a, b (it is closed)"


def test_a_category_that_matches_nothing_is_known_since_when_but_never_one_that_is_never_stored() -> None:
    facts = CoverageFacts(as_of=NOW, indices=(seen("logs-a", Standing.GOVERNED, categories=("logs",)),))
    assert matching_nothing(POLICY, facts, {}) == {"keys": NOW}
    assert matching_nothing(POLICY, facts, {"keys": NOW - DAY, "logs": NOW - DAY}) == {"keys": NOW - DAY}


def test_that_it_matches_nothing_is_a_finding_after_more_than_a_day() -> None:
    facts = CoverageFacts(as_of=NOW, indices=())
    assert coverage_findings(POLICY, facts, {"keys": NOW - NOTHING_FOR}) == ()
    (one,) = coverage_findings(POLICY, facts, {"keys": NOW - NOTHING_FOR - 1})
    assert (one.kind, one.category, one.text) == ("matches-nothing", "keys", "no index matches keys, for 1 d")
