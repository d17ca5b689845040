"""The status page and its JSON: the same figures, nothing that acts, nothing loaded, and hostile text stays text."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

import statuses
from builders import CLAUSE, NOW, category
from pages import HOSTILE, Page, assert_hostile_is_text
from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.domain.terminations.states import OpenItem
from retention_enforcer.reporting.known import Known
from retention_enforcer.reporting.status import build_status, status_json, status_schema
from retention_enforcer.reporting.status_page import SHOWN, status_page
from statuses import HEALTHY, found, hold, known, situation, termination, terminations

PUBLISHED = Path(__file__).parents[2] / "docs" / "status.schema.json"
STATES = {
    "healthy": HEALTHY,
    "broken": statuses.broken(),
    "empty": statuses.just_started(),
    "crowded": statuses.crowded(),
    "plan": known(mode="plan", lease=None, terminations=None),
    "no own indices": known(situation=situation(note="retention-control is missing", accepted=None, head=None)),
    "no category": known(Policy(name="none", categories=())),
}
EVERY = pytest.mark.parametrize("of", [pytest.param(of, id=name) for name, of in STATES.items()])


def document(of: Known) -> dict[str, Any]:
    return json.loads(status_json(build_status(of, NOW)))


def page(of: Known) -> str:
    return status_page(build_status(of, NOW))


# --- the JSON -----------------------------------------------------------------------------------------


@EVERY
def test_the_document_is_valid_against_its_published_schema(of: Known) -> None:
    schema = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    assert schema == json.loads(json.dumps(status_schema())), "run make reference"
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema, format_checker=FormatChecker()).validate(document(of))


def test_the_schema_refuses_what_is_no_status() -> None:
    validator = Draft202012Validator(status_schema())
    good = document(HEALTHY)
    assert validator.is_valid(good)
    for bad in ({**good, "verdict": "fine"}, {**good, "more": 1}, {k: v for k, v in good.items() if k != "ledger"}):
        assert not validator.is_valid(bad)


def test_the_document_has_the_exact_figures() -> None:
    made = document(statuses.broken())
    logs = next(p for p in made["promises"] if p["id"] == "backend-logs")
    assert {name: logs[name] for name in ("verdict", "why", "limit", "age", "margin", "overdue", "indices")} == {
        "verdict": "not-kept",
        "why": "overdue",
        "limit": 14 * 86_400,
        "age": 14 * 86_400 + 3 * 3_600 + 42,
        "margin": -(3 * 3_600 + 42),
        "overdue": 12,
        "indices": 1,
    }
    assert made["verdict"] == "not-kept"
    assert made["ledger"] == {"sequence": 4_711, "hash": "ab" * 32}
    assert made["lease"] == {"held": True, "holder": "node-1", "epoch": 3}
    assert made["policy"]["stopped_at"] == "2026-01-31T07:00:00.000Z"
    assert made["instance"]["ready"] is True
    late = made["terminations"]["open"][0]
    assert (late["remaining"], late["state"]) == (-(86_400 + 3_600), "purging")
    assert late["open_items"] == ["a snapshot holds it, until 2026-02-03T08:00Z"]


# --- the page -----------------------------------------------------------------------------------------


@EVERY
def test_every_figure_of_the_page_is_the_one_of_the_document(of: Known) -> None:
    made, shown = document(of), Page(page(of))
    assert list(shown.figures) == [p["id"] for p in made["promises"]]
    for promise in made["promises"]:
        for field, value in shown.figures[promise["id"]].items():
            exact = promise[field]
            if field in {"age", "limit", "margin", "documents", "indices", "overdue"}:
                assert int(value) == exact, (promise["id"], field)
            else:
                assert datetime.fromisoformat(value) == datetime.fromisoformat(exact), (promise["id"], field)
    for entry in made["terminations"]["open"]:
        assert entry["subject"].rpartition(":")[2][:12] in shown.text
    for entry in (*made["findings"], *made["holds"]):
        assert entry["id"] in shown.text
    if made["ledger"]:
        assert f"record {made['ledger']['sequence']:,}, hash {made['ledger']['hash']}" in re.sub(
            r" (?=,)", "", shown.text
        )


def test_a_promise_shows_all_its_figures() -> None:
    shown = Page(page(statuses.broken()))
    assert set(shown.figures["backend-logs"]) == {
        *("age", "limit", "margin", "documents", "indices", "overdue", "last_purge", "next_due")
    }
    assert "oldest 14 d 3 h of 14 d · past by 3 h" in shown.text


@EVERY
def test_the_page_leads_nowhere_else_and_every_link_on_it_leads_somewhere(of: Known) -> None:
    shown = Page(page(of))
    targets, ids = [a["href"] or "" for tag, a in shown.elements if tag == "a"], shown.values("id")
    assert {t for t in targets if not t.startswith("#")} == {
        *("/api/status", "/api/status/schema", "/metrics", "/livez", "/readyz")
    }
    assert len(ids) == len(set(ids))
    assert {t.removeprefix("#") for t in targets if t.startswith("#")} <= set(ids)
    assert set(shown.values("aria-labelledby")) <= set(ids)


@pytest.mark.parametrize(
    ("state", "headline"),
    [
        ("healthy", "All 11 promises are kept"),
        ("broken", "4 of 11 promises are not kept, 1 not proven"),
        ("empty", "11 of 11 promises are not proven to be kept"),
        ("plan", "4 of 11 promises are not proven to be kept"),
        ("crowded", "1 of 61 promises is not kept"),
    ],
)
def test_the_headline_says_how_it_stands(state: str, headline: str) -> None:
    shown = Page(page(STATES[state]))
    assert headline in shown.texts
    assert f"{headline} ·" in shown.text, "the title of the tab begins with it"


def test_what_is_crowded_is_one_click_away_and_nothing_is_left_out() -> None:
    shown = Page(page(STATES["crowded"]))
    assert f"{500 - SHOWN} more terminations and requests" in shown.text
    assert f"{301 - SHOWN} more findings" in shown.text
    assert sum("pending" in (a.get("class") or "").split() for _, a in shown.elements) == 500
    assert sum((a.get("id") or "").startswith("finding-") for _, a in shown.elements) == 301


def test_whatever_is_hostile_on_the_page_is_text() -> None:
    clause = replace(CLAUSE, document=HOSTILE, section=HOSTILE, item=HOSTILE, updated=HOSTILE)
    policy = Policy(name=HOSTILE, categories=(category("logs", indices=["a"], clause=clause),))
    told = found(id="f" * 12, text=HOSTILE, remedy=HOSTILE, category=HOSTILE, index=HOSTILE)
    one = termination(pseudonym=HOSTILE, open_items=(OpenItem(kind="x", text=HOSTILE),))
    html = page(
        known(
            policy,
            instance=HOSTILE,
            version=HOSTILE,
            obstacle=HOSTILE,
            started=False,
            terminations=terminations(one, findings=[told]),
            situation=situation(
                holds=(hold(HOSTILE, HOSTILE, NOW + 1),),
                note=HOSTILE,
                cluster=replace(statuses.CLUSTER, name=HOSTILE, uuid=HOSTILE, version=HOSTILE),
            ),
        )
    )
    assert_hostile_is_text(html)
