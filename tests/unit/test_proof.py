"""The proof: when a promise is kept, and what is said where it is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from builders import DUE_AGE, LIMIT, MARGIN, NOW, apart, category, facts, index
from retention_enforcer.domain.expiry import build_plan
from retention_enforcer.domain.facts import Block, CategoryFacts, Doubt
from retention_enforcer.domain.findings import Severity
from retention_enforcer.domain.instants import DAY, HOUR, MINUTE
from retention_enforcer.domain.policy import Category
from retention_enforcer.domain.proof import Proof, verify

AGELESS: dict[str, Any] = {"max_age": None, "after_termination": 7 * DAY}
NEVER: dict[str, Any] = {"max_age": None, "never_stored": True}


def proven(seen: CategoryFacts, under: Category | None = None) -> Proof:
    under = under or category()
    return verify(under, seen, build_plan(under, MARGIN, seen, seen.as_of))


def kinds(proof: Proof) -> dict[str, Severity]:
    return {finding.kind: finding.severity for finding in proof.findings}


# --- kept or not --------------------------------------------------------------------------------------

KEPT: list[tuple[str, CategoryFacts, dict[str, Any], dict[str, Severity]]] = [
    ("nothing there", facts(), {}, {}),
    ("an empty index", facts(index()), {}, {}),
    ("young documents", facts(index(ages=[DAY])), {}, {}),
    ("a document that is due and within the limit", facts(index(ages=[DUE_AGE + 1])), {}, {}),
    ("a document exactly at the limit", facts(index(ages=[LIMIT])), {}, {}),
    (
        "undated, index created exactly at the limit",
        facts(index(undated=1, index_age=LIMIT)),
        {},
        {"undated": Severity.WARNING},
    ),
    ("held, within the limit", facts(index(ages=[LIMIT]), holds={"logs-a": "h1"}), {}, {"held": Severity.WARNING}),
    ("held, and nothing due", facts(index(ages=[DAY]), holds={"logs-a": "h1"}), {}, {}),
    ("foreign, within the limit", facts(index(lifecycle="x")), {}, {"foreign-lifecycle": Severity.WARNING}),
    (
        "blocked, within the limit",
        facts(index(ages=[LIMIT], blocks=frozenset({Block.READ_ONLY}))),
        {},
        {"blocked": Severity.WARNING},
    ),
    ("old documents of an active customer", facts(index(ages=[900 * DAY], undated=3)), AGELESS, {}),
    ("nothing that must never be stored", facts(index()), NEVER, {}),
]

NOT_KEPT: list[tuple[str, CategoryFacts, dict[str, Any], dict[str, Severity]]] = [
    ("a document a ms past the limit", facts(index(ages=[LIMIT + 1])), {}, {"overdue": Severity.ERROR}),
    (
        "one such in many",
        facts(index(ages=[DAY]), index("logs-b", ages=[LIMIT + 1, 1])),
        {},
        {"overdue": Severity.ERROR},
    ),
    (
        "undated, index created a ms past the limit",
        facts(index(undated=1, index_age=LIMIT + 1)),
        {},
        {"undated": Severity.ERROR},
    ),
    ("in doubt", facts(index(ages=[DAY]), set_apart=[apart()]), {}, {"closed": Severity.ERROR}),
    ("in doubt, without any age", facts(set_apart=[apart()]), AGELESS, {"closed": Severity.ERROR}),
    ("in doubt, never stored", facts(set_apart=[apart()]), NEVER, {"closed": Severity.ERROR}),
    (
        "held past the limit",
        facts(index(ages=[LIMIT + 1]), holds={"logs-a": "h1"}),
        {},
        {"held": Severity.WARNING, "overdue": Severity.ERROR},
    ),
    (
        "foreign past the limit",
        facts(index(ages=[LIMIT + 1], lifecycle="x")),
        {},
        {"foreign-lifecycle": Severity.WARNING, "overdue": Severity.ERROR},
    ),
    ("a document that must never be stored", facts(index(ages=[1])), NEVER, {"never-stored": Severity.ERROR}),
    ("an undated one of these", facts(index(undated=1)), NEVER, {"never-stored": Severity.ERROR}),
    (
        "a held one of these",
        facts(index(ages=[1]), holds={"logs-a": "h1"}),
        NEVER,
        {"held": Severity.WARNING, "never-stored": Severity.ERROR},
    ),
]


@pytest.mark.parametrize(("seen", "under", "found"), [pytest.param(*row[1:], id=row[0]) for row in KEPT])
def test_a_promise_is_kept(seen: CategoryFacts, under: dict[str, Any], found: dict[str, Severity]) -> None:
    proof = proven(seen, category(**under))
    assert proof.kept
    assert kinds(proof) == found


@pytest.mark.parametrize(("seen", "under", "found"), [pytest.param(*row[1:], id=row[0]) for row in NOT_KEPT])
def test_a_promise_is_not_kept(seen: CategoryFacts, under: dict[str, Any], found: dict[str, Severity]) -> None:
    proof = proven(seen, category(**under))
    assert not proof.kept
    assert kinds(proof) == found


@pytest.mark.parametrize("doubt", list(Doubt))
def test_what_is_not_known_is_not_proven(doubt: Doubt) -> None:
    proof = proven(facts(set_apart=[apart("logs-x", doubt=doubt, text="why", mend="what to do")]))
    assert not proof.kept
    (finding,) = proof.findings
    assert (finding.kind, finding.index, finding.uuid) == (doubt.value, "logs-x", "uuid-of-logs-x")
    assert (finding.text, finding.mend, finding.severity) == ("why", "what to do", Severity.ERROR)


# --- what it says -------------------------------------------------------------------------------------


def test_a_proof_names_the_oldest_document_over_all_indices() -> None:
    proof = proven(
        facts(index(ages=[DAY, HOUR]), index("logs-b", ages=[3 * DAY]), index("logs-c"), set_apart=[apart()])
    )
    assert (proof.category, proof.as_of, proof.limit) == ("backend-logs", NOW, LIMIT)
    assert (proof.indices, proof.documents, proof.overdue) == (4, 3, 0)
    assert proof.oldest == NOW - 3 * DAY


@pytest.mark.parametrize(
    ("age", "margin"),
    [(DAY, 13 * DAY), (LIMIT - 1, 1), (LIMIT, 0), (LIMIT + 1, -1), (-30 * MINUTE, LIMIT + 30 * MINUTE)],
)
def test_the_margin_is_how_long_the_oldest_document_may_still_stay(age: int, margin: int) -> None:
    assert proven(facts(index(ages=[age, -30 * MINUTE]))).margin == margin


def test_there_is_no_margin_without_a_document_or_without_an_age() -> None:
    assert proven(facts(index(undated=3))).margin is None
    assert proven(facts(index(ages=[DAY])), category(**AGELESS)).margin is None
    assert proven(facts(index(ages=[DAY])), category(**NEVER)).margin is None


def test_without_a_maximum_age_no_document_is_old_or_overdue() -> None:
    proof = proven(facts(index(ages=[LIMIT + 1])), category(**AGELESS))
    assert (proof.oldest, proof.overdue, proof.limit) == (None, 0, 7 * DAY)


def test_documents_past_the_limit_are_counted() -> None:
    proof = proven(facts(index(ages=[LIMIT + DAY, LIMIT + 1, LIMIT]), index("logs-b", ages=[LIMIT + 1])))
    assert proof.overdue == 3
    assert [f.text for f in proof.findings] == [
        "2 documents of logs-a are past the limit, the oldest 15 d old",
        "1 documents of logs-b are past the limit, the oldest 14 d old",
    ]


def test_undated_documents_are_counted_with_the_name_of_their_field() -> None:
    (finding,) = proven(facts(index(undated=3)), category(timestamp="created_at")).findings
    assert finding.text == (
        "3 documents of logs-a have no believable created_at, and the index was created before the limit"
    )
    assert "created_at" in finding.mend


def test_documents_that_must_never_be_stored_are_counted() -> None:
    (finding,) = proven(facts(index(ages=[1, 2])), category(**NEVER)).findings
    assert finding.text == "2 documents in logs-a that must never be stored"


def test_a_finding_of_a_skip_says_why_and_what_to_do() -> None:
    seen = facts(index(ages=[DUE_AGE + 1], blocks=frozenset({Block.READ_ONLY})))
    (finding,) = proven(seen).findings
    assert "index.blocks.read_only forbids it" in finding.text
    assert finding.mend == "remove index.blocks.read_only from it"
    assert (finding.index, finding.uuid) == ("logs-a", "uuid-of-logs-a")


def test_a_finding_keeps_its_id_while_the_number_of_documents_changes() -> None:
    one = facts(index(ages=[LIMIT + 1]))
    more = replace(facts(index(ages=[LIMIT + 1, LIMIT + 2])), as_of=NOW + HOUR)
    assert [f.id for f in proven(one).findings] == [f.id for f in proven(more).findings]
