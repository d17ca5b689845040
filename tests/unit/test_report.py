"""The report: every promise in it, as JSON whose fields are fixed, as tables of 100 columns, and as a page to print."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import RenderableType

from builders import CLAUSE, DUE_AGE, LIMIT, NOW, apart, category, covered, facts, index, seen, suspected
from retention_enforcer.cli.console import print_table
from retention_enforcer.domain.coverage.findings import CoverageFacts, coverage_findings
from retention_enforcer.domain.expiry.proof import verify
from retention_enforcer.domain.expiry.rules import build_plan
from retention_enforcer.domain.facts import CategoryFacts
from retention_enforcer.domain.findings import Finding, FindingKind, sighted
from retention_enforcer.domain.holds.hold import Hold
from retention_enforcer.domain.instants import DAY, HOUR, MINUTE
from retention_enforcer.domain.ledger.records import Head
from retention_enforcer.domain.policy.claims import IndexOwner
from retention_enforcer.domain.policy.promises import ON_REQUEST, Policy
from retention_enforcer.domain.subjects.identity import subject_of
from retention_enforcer.enforcement.coverage.observer import CoverageLook
from retention_enforcer.enforcement.memory import Memory
from retention_enforcer.enforcement.reader import Look
from retention_enforcer.policy_file import load_policy
from retention_enforcer.reporting.holds import holds_document, holds_table
from retention_enforcer.reporting.report import Report, ReportedIndex, Row, make_report, report_document
from retention_enforcer.reporting.report_page import report_page
from retention_enforcer.reporting.report_table import report_table

TRTC = load_policy(Path(__file__).parents[2] / "config" / "trtc.yaml")
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
    looked = {c.id: replace(of.get(c.id, facts()), category=c.id) for c in policy.categories}
    plans = {id_: build_plan(policy.category(id_), policy.margin, one, NOW) for id_, one in looked.items()}
    look = Look(cluster="c", as_of=NOW, note=note, memories=memories or {}, facts=looked, plans=plans)
    proofs = [verify(policy.category(id_), one, plans[id_]) for id_, one in looked.items()]
    return make_report(policy, look, proofs, coverage, head=head, notes=notes)


def row_of(made: Report, id_: str) -> Row:
    (row,) = [row for row in made.rows if row.id == id_]
    return row


def finding(kind: str = "unclaimed", **more: Any) -> Finding:
    values: dict[str, Any] = {"category": None, "text": "a text", "remedy": "a remedy", **more}
    return Finding(kind=FindingKind(kind), **values)


BROKEN = {"backend-logs": facts(index("trtc-backend-logs-a", ages=[LIMIT + HOUR, LIMIT + 1, DAY]))}


# --- the rows -----------------------------------------------------------------------------------------


def test_the_report_of_the_default_policy_has_eleven_rows() -> None:
    made = report()
    assert [row.id for row in made.rows] == PROMISES
    assert all(row.kept for row in made.rows)
    assert [row.id for row in made.rows if row.clause is None] == [ON_REQUEST]
    assert [row.limit for row in made.rows] == [
        7 * DAY if id_ in {"console-configuration", "temporary-keys", "application-logs", ON_REQUEST} else limit
        for id_, limit in zip(PROMISES, [LIMIT] * 7 + [None] * 4, strict=True)
    ]


def test_a_row_says_how_much_there_is_how_old_it_is_and_how_long_it_may_stay() -> None:
    logs = facts(index("trtc-backend-logs-a", ages=[3 * DAY, DAY]), index("trtc-backend-logs-b", ages=[HOUR]))
    row = row_of(report({"backend-logs": logs}), "backend-logs")
    assert (row.kept, row.indices, row.documents) == (True, 2, 3)
    assert (row.oldest, row.margin) == (NOW - 3 * DAY, 11 * DAY)
    assert row.next_due == NOW - 3 * DAY + DUE_AGE
    assert (row.promise, row.last_purge, row.findings) == ("at most 14d old", None, ())
    assert row.clause == "TRTC privacy module (2022-08-11), section storage: backend log data"


def test_what_is_due_already_is_due_before_what_is_due_later() -> None:
    logs = facts(index("trtc-backend-logs-a", ages=[DUE_AGE + MINUTE]), index("trtc-backend-logs-b", ages=[DAY]))
    assert row_of(report({"backend-logs": logs}), "backend-logs").next_due == NOW - MINUTE


def test_where_nothing_is_ever_due_there_is_no_next_time() -> None:
    assert row_of(report(), "backend-logs").next_due is None
    keys = {"temporary-keys": facts(index("trtc-temporary-keys", ages=[900 * DAY], container=True))}
    row = row_of(report(keys), "temporary-keys")
    assert (row.documents, row.oldest, row.margin, row.next_due) == (1, None, None, None)


def test_when_a_cycle_last_purged_is_known_from_its_memory() -> None:
    memories = {"backend-logs": Memory(fingerprint="f", purged_at=NOW - HOUR), "uin": Memory(fingerprint="f")}
    made = report(memories=memories)
    assert {row.id: row.last_purge for row in made.rows if row.last_purge} == {"backend-logs": NOW - HOUR}


def test_a_broken_promise_breaks_its_own_row_and_the_whole() -> None:
    made = report(BROKEN)
    assert [row.id for row in made.rows if not row.kept] == ["backend-logs"]
    assert not made.kept
    (overdue,) = [f for f in made.findings if f.kind == "overdue"]
    assert overdue.id in row_of(made, "backend-logs").findings
    assert not [row for row in made.rows if row.findings and row.id != "backend-logs"]


def test_an_index_in_doubt_is_counted_and_breaks_its_row() -> None:
    row = row_of(report({"uin": facts(set_apart=[apart("trtc-uin")])}), "uin")
    assert (row.kept, row.indices, row.documents) == (False, 1, None), "0 is not said for what nobody can tell"


def test_what_is_found_past_the_policy_stands_in_the_row_it_concerns_and_breaks_nothing() -> None:
    coverage = beyond(covered(seen(documents=3), copies=(suspected(age=LIMIT + DAY, overdue=1),)))
    made = report(coverage=coverage)
    assert made.kept
    unclaimed, copy = coverage.findings
    assert row_of(made, "backend-logs").findings == (copy.id,)
    assert [row.id for row in made.rows if unclaimed.id in row.findings] == []
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
    assert {i.name for i in made.under("backend-logs")} == {"trtc-backend-logs-a", "trtc-backend-logs-shut"}
    assert made.under("uin") == made.under("sdkappid") != ()
    assert made.under("media-content") == ()
    placed = {i.name: (i.documents, i.oldest) for i in made.indices}
    assert placed["trtc-backend-logs-a"] == (2, NOW - DAY), "what the category's look saw"
    assert placed["billing"] == (7, None), "what the look past the policy saw"
    assert placed["trtc-backend-logs-shut"] == (None, None), "what nobody saw"
    assert [i.name for i in made.standing(IndexOwner.UNCLAIMED)] == ["billing"]
    assert {s: len(made.standing(s)) for s in IndexOwner} == dict(zip(IndexOwner, [3, 1, 1, 1, 1], strict=True))


def test_without_a_look_past_the_policy_the_promises_are_reported_all_the_same() -> None:
    made = report(BROKEN)
    assert (made.indices, len(made.rows)) == ((), 11)


# --- JSON ---------------------------------------------------------------------------------------------

EVERYTHING = report(
    {**BROKEN, "uin": facts(set_apart=[apart("trtc-uin")])},
    beyond(replace(PLACED, copies=(suspected(age=None),))),
    memories={"backend-logs": Memory(fingerprint="f", purged_at=NOW - HOUR)},
    notes=["a note"],
)
NUMBER, TEXT, MAYBE_TEXT, MAYBE_NUMBER = int, str, str | None, int | None
FIELDS: dict[str, dict[str, Any]] = {
    "categories": {
        "id": TEXT,
        "kept": bool,
        "limit": MAYBE_NUMBER,
        "indices": NUMBER,
        "documents": MAYBE_NUMBER,
        "oldest": MAYBE_TEXT,
        "margin": MAYBE_NUMBER,
        "findings": list,
    },
    "findings": {
        "id": TEXT,
        "kind": TEXT,
        "category": MAYBE_TEXT,
        "index": MAYBE_TEXT,
        "severity": TEXT,
        "text": TEXT,
        "remedy": TEXT,
        "first_seen": TEXT,
    },
}
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.mark.parametrize("made", [EVERYTHING, report(), report(head=None)], ids=["full", "empty", "no ledger"])
def test_the_document_has_the_fields_that_programs_rely_on(made: Report) -> None:
    document = json.loads(json.dumps(report_document(made)))
    assert {"as_of", "ledger", "kept", "categories", "findings"} <= document.keys()
    assert RFC3339.fullmatch(document["as_of"])
    assert document["kept"] is made.kept
    for part, fields in FIELDS.items():
        for entry in document[part]:
            assert fields.keys() <= entry.keys()
            assert all(isinstance(entry[name], type_) for name, type_ in fields.items())
    assert [c["id"] for c in document["categories"]] == PROMISES
    ids = {f["id"] for f in document["findings"]}
    assert all(set(c["findings"]) <= ids for c in document["categories"])
    instants = [c["oldest"] for c in document["categories"] if c["oldest"]]
    assert all(RFC3339.fullmatch(instant) for instant in (*instants, *(f["first_seen"] for f in document["findings"])))


def test_the_document_names_the_ledger_or_says_that_there_is_none() -> None:
    assert report_document(report())["ledger"] == {"sequence": 4_711, "hash": "ab" * 32}
    assert report_document(report(head=None))["ledger"] is None


def test_durations_are_in_seconds_and_instants_in_utc() -> None:
    row = next(c for c in report_document(EVERYTHING)["categories"] if c["id"] == "backend-logs")
    assert (row["limit"], row["margin"], row["oldest"]) == (14 * 86_400, -3_600, "2026-01-17T07:00:00.000Z")
    assert (row["last_purge"], row["next_due"]) == ("2026-01-31T07:00:00.000Z", "2026-01-31T06:00:00.000Z")
    assert (row["indices"], row["documents"], row["kept"]) == (1, 3, False)


def test_a_promise_that_is_broken_by_less_than_a_second_has_no_margin_left() -> None:
    late = {"backend-logs": facts(index("trtc-backend-logs-a", ages=[LIMIT + 1]))}
    row = next(c for c in report_document(report(late))["categories"] if c["id"] == "backend-logs")
    assert row["margin"] < 0


def test_a_finding_that_was_never_stored_is_first_seen_now() -> None:
    made = report(coverage=CoverageLook(facts=covered(), findings=(finding(),), nothing_since={}))
    (told,) = report_document(made)["findings"]
    assert told["first_seen"] == told["last_seen"] == report_document(made)["as_of"]
    known = replace(finding(), first_seen=NOW - DAY, last_seen=NOW)
    (told,) = report_document(replace(made, findings=(known,)))["findings"]
    assert told["first_seen"] == "2026-01-30T08:00:00.000Z"


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


def printed(what: RenderableType, capsys: pytest.CaptureFixture[str]) -> str:
    """The text of a table as a command prints it; every line of it fits."""
    capsys.readouterr()
    print_table(what)
    text = capsys.readouterr().out
    assert [line for line in text.splitlines() if len(line) > 100] == []
    return text


def solid(text: str) -> str:
    """A text without the places where it was folded."""
    return re.sub(r"\s", "", text)


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
    assert "ignorednoindex" in text


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


class Page(HTMLParser):
    """Reads a page: its elements with their attributes, its text, and whether every element is closed in order."""

    VOID = frozenset({"meta", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        """What a person reads, with single blanks."""
        return " ".join(" ".join(self.texts).split())

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)


TAGS = {
    *("html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "h3", "p", "span", "strong", "code", "br"),
    *("div", "table", "thead", "tbody", "tr", "th", "td"),
}
ATTRIBUTES = {"lang", "charset", "name", "content", "http-equiv", "class", "scope", "role", "tabindex", "aria-label"}


def page_of(made: Report) -> Page:
    """The page of a report: it loads nothing, runs nothing, and is whole."""
    html = report_page(made)
    page = Page(html)
    assert html.startswith("<!doctype html>")
    assert {tag for tag, _ in page.elements} <= TAGS
    assert {name for _, attributes in page.elements for name in attributes} <= ATTRIBUTES
    assert not re.search(r"url\(|@import|//", html)
    policies = [a["content"] for tag, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
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
    for text in (*(row.id for row in made.rows), *(i.name for i in made.indices), *made.notes):
        assert text in page.text
    for told in made.findings:
        assert told.text in page.text
        assert f"To remedy it: {told.remedy}" in page.text
        assert told.id in page.text
    assert ("Every promise is kept." in page.text) is made.kept
    assert ("Not every promise is kept." in page.text) is not made.kept
    assert ("The ledger was not read." in page.text) is (made.head is None)
    assert page.text.count("NOT KEPT") == sum(not row.kept for row in made.rows)
    assert ("None." in page.text) is (made.findings == ())
    if made.head:
        assert f"record {made.head.sequence:,}, hash {made.head.hash}" in page.text


def test_the_figures_of_a_page_are_those_of_the_rows() -> None:
    page = page_of(EVERYTHING)
    start = page.texts.index("backend-logs")
    row = [text.strip() for text in page.texts[start : start + 25] if text.strip()]
    assert row[2:11] == ["NOT KEPT", "14d", "1", "3", "14 d 1 h", "-1 h", "1 h ago", "2 h ago", "2"]


HOSTILE = "<script>alert(1)</script><img src=//evil.example onerror=alert(2)>\"'&amp;{{ 7 * 7 }}"


def test_whatever_is_hostile_on_a_page_is_text() -> None:
    """Names, clauses and what the cluster says come from outside: all are put in as they are, and stay text."""
    clause = replace(CLAUSE, document=HOSTILE, section=HOSTILE, item=HOSTILE, updated=HOSTILE)
    policy = Policy(name=HOSTILE, categories=(category(HOSTILE, indices=["a"], clause=clause),))
    told = finding(text=HOSTILE, remedy=HOSTILE, category=HOSTILE, index=HOSTILE, first_seen=NOW)
    row = Row(id=HOSTILE, promise=HOSTILE, clause=HOSTILE, kept=False, limit=1, findings=(told.id,))
    placed = [
        ReportedIndex(
            name=HOSTILE,
            uuid=HOSTILE,
            standing=s,
            categories=(HOSTILE,) * (not n),
            excluded_from=(),
            documents=1,
            oldest=1,
        )
        for n, s in enumerate(IndexOwner)
    ]
    made = Report(
        policy=policy,
        as_of=NOW,
        head=Head(1, HOSTILE),
        rows=(row, replace(row, id="on-request", clause=None)),
        findings=(told,),
        indices=tuple(placed),
        notes=(HOSTILE,),
    )
    html = report_page(made)
    page = Page(html)
    assert {tag for tag, _ in page.elements} <= TAGS
    assert {name for _, attributes in page.elements for name in attributes} <= ATTRIBUTES
    assert "<script" not in html
    assert "<img" not in html
    assert page.text.count("alert(1)") >= 15
    assert "49" not in page.text


def test_a_page_of_five_hundred_findings_has_them_all() -> None:
    told = [
        finding("closed", category="backend-logs", index=f"logs-{n:03d}", uuid=f"u{n}", text=f"logs-{n:03d} is closed")
        for n in range(500)
    ]
    page = page_of(report(coverage=beyond(PLACED, TRTC, *told)))
    assert page.count("strong") == 500 + 1, "and the one about what nobody claims"
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
    columns: dict[int, str] = {}
    assert "[red]" in solid(text)
    for line in text.splitlines()[1:]:
        for match in re.finditer(r"\S+", line):
            columns[match.start()] = columns.get(match.start(), "") + match[0]
    joined = " ".join(columns.values())
    assert all(name in joined for name in (LONG[1], LONG[2], LONG[3]))
