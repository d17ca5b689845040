"""The proof: when a promise is kept, and what is said where it is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from builders import DUE_AGE, LIMIT, MARGIN, NOW, apart, category, facts, forbidden, index
from retention_enforcer.domain.expiry.proof import Proof, verify
from retention_enforcer.domain.expiry.rules import build_plan
from retention_enforcer.domain.facts import Block, CategoryFacts, Doubt, HeldIndex
from retention_enforcer.domain.findings import Severity
from retention_enforcer.domain.instants import DAY, HOUR, MINUTE
from retention_enforcer.domain.policy.promises import Category
from retention_enforcer.domain.timestamps import Timestamp

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
        "dated documents older than an index that was shrunk",
        facts(index(ages=[DAY], index_age=1, resized=True)),
        {},
        {},
    ),
    (
        "undated, index created exactly at the limit",
        facts(index(undated=1, index_age=LIMIT)),
        {},
        {"undated": Severity.WARNING},
    ),
    ("held, within the limit", facts(index(ages=[LIMIT]), holds={"logs-a": "h1"}), {}, {"held": Severity.WARNING}),
    ("held, and nothing due", facts(index(ages=[DAY]), holds={"logs-a": "h1"}), {}, {}),
    ("foreign, nothing due", facts(index(lifecycle="x", ages=[DAY])), {}, {}),
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
    (
        "undated, from before the index was made from another",
        facts(index(undated=1, index_age=DAY, resized=True)),
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
    proof = proven(facts(set_apart=[apart("logs-x", doubt=doubt, text="why", remedy="what to do")]))
    assert not proof.kept
    (finding,) = proof.findings
    assert (finding.kind, finding.index, finding.uuid) == (doubt.value, "logs-x", "uuid-of-logs-x")
    assert (finding.text, finding.remedy, finding.severity) == ("why", "what to do", Severity.ERROR)


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
        "logs-a has 2 documents past the limit, the oldest 15 d old",
        "logs-b has 1 document past the limit, the oldest 14 d old",
    ]


def test_undated_documents_are_counted_with_the_name_of_their_field() -> None:
    (finding,) = proven(facts(index(undated=3)), category(timestamp=Timestamp("created_at"))).findings
    assert "3 documents without a plausible created_at" in finding.text
    assert "created_at" in finding.remedy


def test_documents_that_must_never_be_stored_are_counted() -> None:
    (finding,) = proven(facts(index(ages=[1, 2])), category(**NEVER)).findings
    assert (finding.kind, "2 documents" in finding.text) == ("never-stored", True)


def test_a_finding_of_a_skip_says_why_and_what_to_do() -> None:
    seen = facts(index(ages=[DUE_AGE + 1], blocks=frozenset({Block.READ_ONLY})))
    (finding,) = proven(seen).findings
    assert "blocked by index.blocks.read_only" in finding.text
    assert "remove index.blocks.read_only" in finding.remedy
    assert (finding.index, finding.uuid) == ("logs-a", "uuid-of-logs-a")


def test_a_finding_keeps_its_id_while_the_number_of_documents_changes() -> None:
    one = facts(index(ages=[LIMIT + 1]))
    more = replace(facts(index(ages=[LIMIT + 1, LIMIT + 2])), as_of=NOW + HOUR)
    assert [f.id for f in proven(one).findings] == [f.id for f in proven(more).findings]


# --- forbidden fields ---------------------------------------------------------------------------------

THREE = index("logs-a", ages=[1, 2, 3])
EMPTY = index("logs-a")
FORBIDDEN: list[tuple[str, dict[str, Any], bool, str]] = [
    ("in documents", {"documents": 2}, False, "audio_data (keyword) in 2 documents"),
    ("in none", {"documents": 0}, True, "audio_data (keyword) in no document"),
    (
        "that cannot be searched",
        {"documents": 0, "countable": False, "type": "binary"},
        False,
        "audio_data (binary), which cannot be searched: any of 3 documents may contain it",
    ),
    (
        "that cannot be searched, in documents that can",
        {"documents": 1, "countable": False, "type": "object"},
        False,
        "audio_data (object) in 1 document",
    ),
    (
        "of an index that did not answer",
        {"documents": 0, "counted": False},
        False,
        "audio_data (keyword), in an unknown number of documents",
    ),
]


@pytest.mark.parametrize(("given", "kept", "text"), [pytest.param(*row[1:], id=row[0]) for row in FORBIDDEN])
def test_a_forbidden_field_breaks_the_promise_unless_no_document_can_hold_it(
    given: dict[str, Any], kept: bool, text: str
) -> None:
    proof = proven(facts(forbidden=(forbidden(THREE, **given),), category_id="media"), category("media", **NEVER))
    (finding,) = proof.findings
    assert proof.kept is kept
    assert finding.severity is (Severity.WARNING if kept else Severity.ERROR)
    assert finding.text == f"logs-a of backend-logs has a forbidden field: {text}"
    assert (finding.kind, finding.index, finding.uuid) == ("forbidden-field", "logs-a", "uuid-of-logs-a")
    assert finding.category == "media", "the one that forbids it, not the one whose index it is"
    assert ("erase --category media --confirm" in finding.remedy) is bool(given["documents"])
    assert "reindex without that field" in finding.remedy


@pytest.mark.parametrize("countable", [True, False])
def test_an_index_without_documents_holds_nothing_forbidden(countable: bool) -> None:
    proof = proven(facts(forbidden=(forbidden(EMPTY, documents=0, countable=countable),)), category(**NEVER))
    assert proof.kept
    assert proof.findings[0].text.endswith("in no document")


def test_all_forbidden_fields_of_an_index_are_one_finding_as_bad_as_the_worst() -> None:
    fields = [
        forbidden(THREE, field="audio_data", documents=0),
        forbidden(index("logs-b", ages=[1]), field="audio_data", documents=0),
        forbidden(THREE, field="video_data", documents=1),
    ]
    proof = proven(facts(forbidden=tuple(fields)), category(**NEVER))
    assert {f.index: f.severity for f in proof.findings} == {"logs-a": Severity.ERROR, "logs-b": Severity.WARNING}
    assert "audio_data (keyword) in no document; video_data (keyword) in 1 document" in proof.findings[0].text
    fewer = proven(facts(forbidden=tuple(fields[:2])), category(**NEVER))
    assert [f.id for f in fewer.findings] == [f.id for f in proof.findings]


# --- held ---------------------------------------------------------------------------------------------


def test_what_a_hold_keeps_is_one_finding_with_the_age_of_the_oldest() -> None:
    names = [f"logs-{n:04d}" for n in range(1_200)]
    due = [index(name, ages=[DUE_AGE + 1, DUE_AGE + HOUR, 1]) for name in names]
    proof = proven(facts(*due, index("logs-young", ages=[1]), holds=dict.fromkeys([*names, "logs-young"], "h1")))
    (finding,) = proof.findings
    assert "2,400 due documents in 1,200 indices, the oldest 14 d old" in finding.text
    assert (finding.kind, finding.about, finding.index) == ("held", "h1", None)


def test_each_hold_is_a_finding_of_its_own() -> None:
    seen = facts(index("logs-a", ages=[LIMIT]), index("logs-b", ages=[LIMIT]), holds={"logs-a": "h1", "logs-b": "h2"})
    findings = proven(seen).findings
    assert [(f.about, f.text) for f in findings] == [
        ("h1", "1 due document in 1 index, the oldest 14 d old, is kept by h1"),
        ("h2", "1 due document in 1 index, the oldest 14 d old, is kept by h2"),
    ]
    assert findings[0].id != findings[1].id


def test_due_documents_of_held_subjects_are_one_finding_for_all() -> None:
    partly = {"matching_documents": 2, "matching_due": 1}
    seen = facts(
        index("logs-a", ages=[LIMIT, LIMIT, 1], **partly),
        index("logs-b", ages=[LIMIT - MINUTE, 1], **partly),
        index("logs-c", ages=[1, 1], matching_documents=1),
    )
    (finding,) = proven(seen).findings
    assert finding.text == "2 due documents in 2 indices, the oldest 14 d old, are kept by holds on subjects"
    assert (finding.kind, finding.about, finding.severity) == ("held", "subjects", Severity.WARNING)


def test_an_index_that_is_held_as_a_whole_is_not_told_again_for_its_subjects() -> None:
    seen = facts(index(ages=[LIMIT, LIMIT], matching_documents=1, matching_due=1), holds={"logs-a": "h1"})
    assert [f.text for f in proven(seen).findings] == [
        "2 due documents in 1 index, the oldest 14 d old, are kept by h1"
    ]


def test_what_is_held_under_a_lifecycle_of_somebody_else_is_one_warning() -> None:
    adopt: dict[str, Any] = {"foreign_lifecycle": "adopt"}
    managed = [index(f"logs-{n}", ages=[1], lifecycle="theirs") for n in range(4)]
    partly = index("logs-p", ages=[1], matching_documents=1, lifecycle="others")
    holds = {f"logs-{n}": "h1" for n in range(4)}
    (finding,) = proven(facts(*managed, partly, holds=holds), category(**adopt)).findings
    assert finding.text.endswith(": logs-0 (theirs), logs-1 (theirs), logs-2 (theirs) and 2 more")
    assert (finding.kind, finding.severity) == ("held-but-managed", Severity.WARNING)
    assert proven(facts(*managed), category(**adopt)).findings == ()
    assert proven(facts(index("logs-0", ages=[1]), holds={"logs-0": "h1"}), category(**adopt)).findings == ()


def test_a_finding_about_a_hold_says_nothing_that_its_owner_wrote() -> None:
    seen = replace(facts(index(ages=[LIMIT])), holds={"logs-a": HeldIndex(hold="h1", text="hold h1 until then")})
    (finding,) = proven(seen).findings
    assert finding.text.endswith(" is kept by hold h1 until then")
