"""The report: every promise in it, as JSON whose fields are fixed, as tables of 100 columns, and as a page to print."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from builders import CLAUSE, LIMIT, NOW, apart, category, covered, facts, index, seen, suspected
from pages import HOSTILE, Page, assert_hostile_is_text, columns, printed, solid
from retention_enforcer.domain.coverage.findings import CoverageFacts, coverage_findings
from retention_enforcer.domain.facts import CategoryFacts
from retention_enforcer.domain.findings import Finding, FindingKind, sighted
from retention_enforcer.domain.holds.hold import Hold
from retention_enforcer.domain.instants import DAY, HOUR
from retention_enforcer.domain.ledger.records import Head
from retention_enforcer.domain.policy.claims import IndexOwner
from retention_enforcer.domain.policy.promises import ON_REQUEST, Policy
from retention_enforcer.domain.subjects.identity import subject_of
from retention_enforcer.enforcement.coverage.observer import CoverageLook
from retention_enforcer.enforcement.memory import Memory
from retention_enforcer.reporting.holds import holds_document, holds_table
from retention_enforcer.reporting.promises import Promise, Verdict
from retention_enforcer.reporting.report import Report, ReportedIndex, make_report, report_document
from retention_enforcer.reporting.report_page import report_page
from retention_enforcer.reporting.report_table import report_table
from statuses import TRTC, look_at

PROMISES = [
    "console-configuration",
    "backend-logs",
    "dashboard",
    "sdk-logs",
    "uin",
    "sdkappid",
    "troubleshooting",
    "media-content",
    "temporary-keys",
    "application-logs",
    "on-request",
]
HEAD = Head(4_711, "ab" * 32)
NOTHING: Mapping[str, CategoryFacts] = {}


def beyond(seen_there: CoverageFacts, policy: Policy = TRTC, *more: Finding) -> CoverageLook:
    findings = (*coverage_findings(policy, seen_there, {}), *more)
    return CoverageLook(facts=seen_there, findings=tuple(sighted({}, findings, NOW)), nothing_since={})


def report(
    of: Mapping[str, CategoryFacts] = NOTHING,
    coverage: CoverageLook | None = None,
    *,
    policy: Policy = TRTC,
    head: Head | None = HEAD,
    note: str = "",
    memories: Mapping[str, Memory] | None = None,
    notes: Iterable[str] = (),
) -> Report:
    """What is reported of a policy of whose categories these facts were observed, and nothing of the others."""
    return make_report(policy, *look_at(of, policy, memories=memories, note=note), coverage, head=head, notes=notes)


def row_of(made: Report, id_: str) -> Promise:
    (row,) = [row for row in made.promises if row.id == id_]
    return row


def finding(kind: str = "unclaimed", **more: Any) -> Finding:
    values: dict[str, Any] = {"category": None, "text": "a text", "remedy": "a remedy", **more}
    return Finding(kind=FindingKind(kind), **values)


BROKEN = {"backend-logs": facts(index("trtc-backend-logs-a", ages=[LIMIT + HOUR, LIMIT + 1, DAY]))}


# --- the rows -----------------------------------------------------------------------------------------


def test_a_broken_promise_breaks_its_own_row_and_the_whole() -> None:
    made = report(BROKEN)
    assert [row.id for row in made.promises if not row.kept] == ["backend-logs"]
    assert not made.kept
    (overdue,) = [f for f in made.findings if f.kind == "overdue"]
    assert overdue.id in row_of(made, "backend-logs").findings
    assert not [row for row in made.promises if row.findings and row.id != "backend-logs"]


def test_what_is_found_past_the_policy_stands_in_the_row_it_concerns_and_breaks_nothing() -> None:
    coverage = beyond(covered(seen(documents=3), copies=(suspected(age=LIMIT + DAY, overdue=1),)))
    made = report(coverage=coverage)
    assert made.kept
    unclaimed, copy = coverage.findings
    assert row_of(made, "backend-logs").findings == (copy.id,)
    assert [row.id for row in made.promises if unclaimed.id in row.findings] == []
    assert {f.id for f in made.findings} == {unclaimed.id, copy.id}


def test_broken_promises_stand_first() -> None:
    errors = (finding("follower", category="uin"), finding("closed"))
    warnings = (
        finding("unclaimed"),
        finding("undated", category="backend-logs", milder=True, index="b"),
        finding("undated", category="backend-logs", milder=True, index="a"),
    )
    made = report(BROKEN, beyond(covered(), TRTC, *warnings, *errors))
    assert [(f.severity.value, f.category, f.kind, f.index) for f in made.findings] == [
        ("error", None, "closed", None),
        ("error", "backend-logs", "overdue", "trtc-backend-logs-a"),
        ("error", "uin", "follower", None),
        ("warning", None, "unclaimed", None),
        ("warning", "backend-logs", "undated", "a"),
        ("warning", "backend-logs", "undated", "b"),
    ]


def test_what_could_not_be_read_is_noted_once() -> None:
    assert report(note="there is no retention-state", notes=["", "nothing past the policy"]).notes == (
        "there is no retention-state",
        "nothing past the policy",
    )


# --- which index is under which promise ---------------------------------------------------------------

PLACED = covered(
    seen("trtc-backend-logs-a", categories=["backend-logs"]),
    seen("trtc-backend-logs-shut", categories=["backend-logs"]),
    seen("trtc-uin", categories=["uin", "sdkappid"]),
    seen("billing", documents=7),
    seen("metrics", standing=IndexOwner.IGNORED),
    seen("retention-state", standing=IndexOwner.OWN),
    seen(".kibana", standing=IndexOwner.SYSTEM),
)


def test_every_index_of_the_cluster_is_placed() -> None:
    logs = facts(index("trtc-backend-logs-a", ages=[DAY, HOUR]), set_apart=[apart("trtc-backend-logs-shut")])
    made = report({"backend-logs": logs}, beyond(PLACED))
    assert {i.index for i in made.under("backend-logs")} == {"trtc-backend-logs-a", "trtc-backend-logs-shut"}
    assert made.under("uin") == made.under("sdkappid") != ()
    assert made.under("media-content") == ()
    placed = {i.index: (i.documents, i.oldest) for i in made.indices}
    assert placed["trtc-backend-logs-a"] == (2, NOW - DAY), "what the category's look saw"
    assert placed["billing"] == (7, None), "what the look past the policy saw"
    assert placed["trtc-backend-logs-shut"] == (None, None), "what nobody saw"
    assert [i.index for i in made.standing(IndexOwner.UNCLAIMED)] == ["billing"]
    assert {s: len(made.standing(s)) for s in IndexOwner} == dict(zip(IndexOwner, [3, 1, 1, 1, 1], strict=True))


def test_without_a_look_past_the_policy_the_promises_are_reported_all_the_same() -> None:
    made = report(BROKEN)
    assert (made.indices, len(made.promises)) == ((), 11)


# --- JSON ---------------------------------------------------------------------------------------------

EVERYTHING = report(
    {**BROKEN, "uin": facts(set_apart=[apart("trtc-uin")])},
    beyond(replace(PLACED, copies=(suspected(age=None),))),
    memories={"backend-logs": Memory(fingerprint="f", purged_at=NOW - HOUR)},
    notes=["a note"],
)
DOCUMENT = json.loads(json.dumps(report_document(EVERYTHING)))


def test_the_document_is_what_programs_rely_on() -> None:
    assert list(DOCUMENT) == ["as_of", "ledger", "kept", "categories", "findings", "indices", "notes"]
    assert (DOCUMENT["as_of"], DOCUMENT["kept"], DOCUMENT["notes"]) == ("2026-01-31T08:00:00.000Z", False, ["a note"])
    assert DOCUMENT["ledger"] == {"sequence": 4_711, "hash": "ab" * 32}
    assert report_document(report(head=None))["ledger"] is None
    ids = {finding["id"] for finding in DOCUMENT["findings"]}
    assert {id_ for row in DOCUMENT["categories"] for id_ in row["findings"]} < ids, "one concerns no promise"


def test_a_promise_stands_in_the_document_with_durations_in_seconds_and_instants_in_utc() -> None:
    rows = {row["id"]: row for row in DOCUMENT["categories"]}
    assert list(rows) == PROMISES
    assert list(rows["backend-logs"].items()) == [
        ("id", "backend-logs"),
        ("promise", "at most 14d old"),
        ("clause", str(TRTC.category("backend-logs").clause)),
        ("kept", False),
        ("limit", 14 * 86_400),
        ("indices", 1),
        ("documents", 3),
        ("oldest", "2026-01-17T07:00:00.000Z"),
        ("margin", -3_600),
        ("last_purge", "2026-01-31T07:00:00.000Z"),
        ("next_due", "2026-01-31T06:00:00.000Z"),
        ("findings", list(row_of(EVERYTHING, "backend-logs").findings)),
    ]
    assert (rows["uin"]["indices"], rows["uin"]["documents"]) == (1, None), "0 is not said for what nobody can tell"
    on_request = {"id": ON_REQUEST, "promise": "deleted within 7d of a request", "clause": None, "kept": True}
    figures = {"limit": 7 * 86_400, "indices": 0, "documents": 0, "oldest": None, "margin": None}
    assert rows[ON_REQUEST] == {**on_request, **figures, "last_purge": None, "next_due": None, "findings": []}


def test_a_promise_that_is_broken_by_less_than_a_second_has_no_margin_left() -> None:
    late = {"backend-logs": facts(index("trtc-backend-logs-a", ages=[LIMIT + 1]))}
    row = next(c for c in report_document(report(late))["categories"] if c["id"] == "backend-logs")
    assert row["margin"] < 0


def test_a_finding_that_was_never_stored_is_first_seen_now() -> None:
    known = finding("follower", category="uin", index="trtc-uin", first_seen=NOW - DAY, last_seen=NOW)
    look = CoverageLook(facts=covered(), findings=(finding("closed"), known), nothing_since={})
    told, seen_before = report_document(report(coverage=look))["findings"]
    assert told["first_seen"] == told["last_seen"] == "2026-01-31T08:00:00.000Z"
    assert list(seen_before.items()) == [
        *(("id", known.id), ("kind", "follower"), ("category", "uin"), ("index", "trtc-uin"), ("severity", "error")),
        *(("text", "a text"), ("remedy", "a remedy")),
        *(("first_seen", "2026-01-30T08:00:00.000Z"), ("last_seen", "2026-01-31T08:00:00.000Z")),
    ]


def test_each_index_stands_in_the_document_with_its_clauses() -> None:
    placed = {i["index"]: i for i in report_document(EVERYTHING)["indices"]}
    assert placed["billing"] == {
        "index": "billing",
        "uuid": "uuid-of-billing",
        "standing": "unclaimed",
        "categories": [],
        "excluded_from": [],
        "clauses": [],
        "documents": 7,
        "oldest": None,
    }
    assert placed["trtc-backend-logs-a"]["clauses"] == [str(TRTC.category("backend-logs").clause)]
    assert len(placed["trtc-uin"]["clauses"]) == 2


# --- tables -------------------------------------------------------------------------------------------

LONG = [f"{n:02d}{'x' * 253}" for n in range(60)]
CROWD = Policy(name="crowd", categories=tuple(category(f"category-{n:02d}", indices=["a"]) for n in range(60)))


def test_the_table_has_every_promise_with_its_verdict_and_its_figures(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(report_table(EVERYTHING), capsys)
    lines = text.splitlines()[1:12]
    for id_, line in zip(PROMISES, lines, strict=True):
        assert re.match(rf"(kept|NOT KEPT) +{id_} ", line)
    assert re.search(r"NOT KEPT +backend-logs +14d +1 +3 +14 d 1 h +-1 h +1 h ago +now$", lines[1].rstrip())
    assert re.search(r"kept +media-content +never +0 +0 +- +- +- +-$", lines[7].rstrip())
    assert re.search(r"kept +on-request +7d +- +- +- +- +- +-$", lines[10].rstrip())
    assert "Not every promise is kept, as of 2026-01-31T08:00:00.000Z." in " ".join(text.split())
    assert "Ledger:record4711,hash" + "ab" * 32 in solid(text)


def test_the_table_has_every_finding_with_its_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    text = solid(printed(report_table(EVERYTHING), capsys))
    assert len(EVERYTHING.findings) >= 4
    for told in EVERYTHING.findings:
        assert solid(f"{told.kind}:") in text
        assert solid(told.text + told.remedy) in text


def test_the_table_names_six_indices_of_a_promise_and_counts_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    many = [seen(f"trtc-sdk-logs-{n:04d}", categories=["sdk-logs"]) for n in range(1_300)]
    text = solid(printed(report_table(report(coverage=beyond(covered(*many, seen(documents=1))))), capsys))
    assert "trtc-sdk-logs-0005and1,294more" in text
    assert "trtc-sdk-logs-0006" not in text
    assert "unclaimedbilling" in text
    assert "ignorednoindices" in text


def test_a_table_of_long_names_and_many_categories_fits_and_loses_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    of = {
        c.id: facts(index(name, ages=[900 * DAY] * 9, documents=10**12), set_apart=[apart(name + "y", text=name)])
        for c, name in zip(CROWD.categories, LONG, strict=True)
    }
    placed = covered(
        *(seen(name, categories=[c.id]) for c, name in zip(CROWD.categories, LONG, strict=True)),
        *(seen(f"u{name[:-1]}", documents=10**12) for name in LONG),
    )
    memories = {c.id: Memory(fingerprint="f", purged_at=NOW - 900 * DAY - 23 * HOUR) for c in CROWD.categories}
    made = report(of, beyond(placed, CROWD), policy=CROWD, memories=memories, notes=LONG[:2], note="y" * 300)
    text = solid(printed(report_table(made), capsys))
    assert all(text.count(name) >= 3 for name in LONG)
    assert all(c.id in text for c in CROWD.categories)
    assert f"u{LONG[5][:-1]}and54more" in text
    assert text.count("1,000,000,000,000") >= 60
    assert text.count("-886d") >= 60


def test_a_table_without_ledger_findings_and_indices_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(report_table(report(head=None, note="there is no retention-state")), capsys)
    assert "there is no retention-state" in text
    assert "Every promise is kept" in text
    assert "Ledger: not read" in " ".join(text.split())
    assert "Which index" not in text


def test_what_looks_like_markup_in_a_table_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    told = finding(text="[red]one[/red]", remedy="[link=x]two", index="[bold]")
    made = report(coverage=beyond(covered(seen("[blink]", documents=1)), TRTC, told), notes=["[/]"])
    text = printed(report_table(made), capsys)
    for literal in ("[red]one[/red]", "[link=x]two", "[bold]", "[blink]", "[/]"):
        assert literal in text


# --- the page -----------------------------------------------------------------------------------------


def page_of(made: Report) -> Page:
    """The page of a report, which also leads nowhere."""
    html = report_page(made)
    page = Page(html)
    assert "//" not in html
    assert not page.values("href")
    policies = [a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]
    return page


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(EVERYTHING, id="full"),
        pytest.param(report(), id="nothing found"),
        pytest.param(report(head=None, note="there is no retention-state"), id="no ledger"),
        pytest.param(report(policy=Policy(name="none", categories=())), id="no category"),
        pytest.param(report(coverage=beyond(PLACED)), id="kept"),
    ],
)
def test_a_page_has_every_promise_finding_and_index(made: Report) -> None:
    page = page_of(made)
    for text in (*(row.id for row in made.promises), *(i.index for i in made.indices), *made.notes):
        assert text in page.text
    for told in made.findings:
        assert told.text in page.text
        assert f"To remedy it: {told.remedy}" in page.text
        assert told.id in page.text
    assert ("Every promise is kept." in page.text) is made.kept
    assert ("Not every promise is kept." in page.text) is not made.kept
    assert ("The ledger was not read." in page.text) is (made.head is None)
    assert page.text.count("NOT KEPT") == sum(not row.kept for row in made.promises)
    assert ("None." in page.text) is (made.findings == ())
    if made.head:
        assert f"record {made.head.sequence:,}, hash {made.head.hash}" in page.text


def test_the_figures_of_a_page_are_those_of_the_rows() -> None:
    page = page_of(EVERYTHING)
    start = page.texts.index("backend-logs")
    row = [text.strip() for text in page.texts[start : start + 25] if text.strip()]
    assert row[2:11] == ["NOT KEPT", "14d", "1", "3", "14 d 1 h", "-1 h", "1 h ago", "2 h ago", "2"]


def test_whatever_is_hostile_on_a_page_is_text() -> None:
    """Names, clauses and what the cluster says come from outside: all are put in as they are, and stay text."""
    clause = replace(CLAUSE, document=HOSTILE, section=HOSTILE, item=HOSTILE, updated=HOSTILE)
    policy = Policy(name=HOSTILE, categories=(category(HOSTILE, indices=["a"], clause=clause),))
    told = finding(text=HOSTILE, remedy=HOSTILE, category=HOSTILE, index=HOSTILE, first_seen=NOW)
    row = Promise(id=HOSTILE, promise=HOSTILE, clause=HOSTILE, verdict=Verdict.NOT_KEPT, limit=1, findings=(told.id,))
    placed = [
        ReportedIndex(
            index=HOSTILE,
            uuid=HOSTILE,
            standing=s,
            categories=(HOSTILE,) * (not n),
            excluded_from=(),
            clauses=(),
            documents=1,
            oldest=1,
        )
        for n, s in enumerate(IndexOwner)
    ]
    made = Report(
        policy=policy,
        as_of=NOW,
        head=Head(1, HOSTILE),
        promises=(row, replace(row, id="on-request", clause=None)),
        findings=(told,),
        indices=tuple(placed),
        notes=(HOSTILE,),
    )
    assert_hostile_is_text(report_page(made))


def test_a_page_of_five_hundred_findings_has_them_all() -> None:
    told = [
        finding("closed", category="backend-logs", index=f"logs-{n:03d}", uuid=f"u{n}", text=f"logs-{n:03d} is closed")
        for n in range(500)
    ]
    page = page_of(report(coverage=beyond(PLACED, TRTC, *told)))
    assert sum(tag == "strong" for tag, _ in page.elements) == 500 + 1, "and the one about what nobody claims"
    assert all(f"logs-{n:03d} is closed" in page.text for n in (0, 250, 499))
    row = page.texts[page.texts.index("backend-logs") :]
    assert "500" in row[:25]


def test_an_error_and_a_warning_look_different_on_a_page() -> None:
    told = [finding("closed"), finding("unclaimed")]
    page = page_of(report(coverage=beyond(covered(), TRTC, *told)))
    classes = [(a.get("class") or "").split() for tag, a in page.elements if "finding" in (a.get("class") or "")]
    assert classes == [["finding", "error"], ["finding"]]


# --- holds --------------------------------------------------------------------------------------------

USER = subject_of(application="1400000001", user="smith@example.org")


def hold(id_: str = "h1", **more: Any) -> Hold:
    values: dict[str, Any] = {"owner": "Anna of legal", "reason": "the case of Smith", "until": NOW + DAY, **more}
    return Hold(id=id_, **values)


HOLDS = [
    hold("h4", subject=USER, until=NOW + 9 * DAY),
    hold("h3", subject=subject_of(account="1000001"), until=NOW + 1_999),
    hold("h2", index="logs-a"),
    hold("h1", category="backend-logs"),
    hold("h0", subject=subject_of(application="14"), until=NOW),
    hold("h9", category="uin", until=NOW - 5 * DAY),
]
NO_TARGET = dict.fromkeys(("category", "index", "account", "application", "user"))


def test_holds_are_listed_for_programs_the_next_to_end_first() -> None:
    document = json.loads(json.dumps(holds_document(HOLDS, NOW)))
    assert [h["id"] for h in document] == ["h9", "h0", "h3", "h1", "h2", "h4"]
    assert [h["remaining"] for h in document] == [0, 0, 1, 86_400, 86_400, 9 * 86_400]
    assert document[-1] == {
        **NO_TARGET,
        "id": "h4",
        "application": "1400000001",
        "user": "smith@example.org",
        "owner": "Anna of legal",
        "reason": "the case of Smith",
        "until": "2026-02-09T08:00:00.000Z",
        "remaining": 9 * 86_400,
    }
    targets = [{name: h[name] for name in NO_TARGET if h[name]} for h in document[:-1]]
    assert targets == [
        {"category": "uin"},
        {"application": "14"},
        {"account": "1000001"},
        {"category": "backend-logs"},
        {"index": "logs-a"},
    ]
    assert holds_document([], NOW) == []


def test_holds_are_listed_for_people_with_what_stands_nowhere_else(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(holds_table(HOLDS, NOW), capsys).splitlines()[1:]
    text = " ".join(" ".join(lines).split())
    assert [line.split()[0] for line in lines if re.match(r" h\d", line)] == ["h9", "h0", "h3", "h1", "h2", "h4"]
    for target in ("category uin", "account 1000001", "index logs-a", "Anna of legal", "ended", "in 1 s", "in 1 d"):
        assert target in text
    assert "1400000001" in solid(text)
    assert "smith@example.org" in solid(text)


def test_without_holds_the_table_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no hold" in printed(holds_table([], NOW), capsys)


def test_a_table_of_holds_with_long_words_fits_and_loses_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    long = {"index": LONG[1], "owner": LONG[2], "reason": f"{LONG[3]} [red]"}
    text = printed(holds_table([hold("f" * 12, **long)], NOW), capsys)
    assert "[red]" in solid(text)
    assert all(name in columns(text) for name in (LONG[1], LONG[2], LONG[3]))
