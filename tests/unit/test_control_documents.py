"""The operator's word as it is stored: to the byte what it was, and refused where it is malformed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from builders import NOW, index
from retention_enforcer.cluster.own.documents import ControlWithCoverage
from retention_enforcer.domain.control import Control, DetachedLifecycle
from retention_enforcer.domain.errors import Refused
from retention_enforcer.domain.holds.hold import CoveredIndex, Hold
from retention_enforcer.domain.instants import DAY
from retention_enforcer.domain.own import control_documents as documents
from retention_enforcer.domain.plan import Action, Plan, Purge
from retention_enforcer.domain.subjects.identity import subject_of

FACTS = index("logs-a", ages=[DAY])
PURGES = tuple(
    Purge(facts=FACTS, action=action, documents=3, foreseen=2, due=1, reason="r", cut=0) for action in [*Action][::-1]
)
PLAN = Plan(category="logs", as_of=NOW, limit=DAY, documents=9, purge=PURGES)
WHEN: dict[str, Any] = {"owner": "legal", "reason": "a case", "until": 5}
PAIRS = '"pairs": [["uuid-of-logs-a", "delete_documents"], ["uuid-of-logs-a", "delete_index"]]'
SHOWN = '"shown": [["uuid-of-logs-a", "delete_documents", 3, 2], ["uuid-of-logs-a", "delete_index", 3, 2]]'
WRITTEN: dict[str, tuple[Any, str]] = {
    "accepted": (documents.accepted_body("f1", 5), '{"fingerprint": "f1", "at": 5}'),
    "approval": (
        documents.approval_document(PLAN, "f1", 7, 8),
        f'["approval-{PLAN.hash}-7", {{"hash": "{PLAN.hash}", "policy": "f1", {PAIRS}, {SHOWN}, "until": 8}}]',
    ),
    "order": (
        documents.order_document(PLAN, "f1", 7, 8),
        f'["order-logs-7", {{"category": "logs", "policy": "f1", {PAIRS}, "until": 8}}]',
    ),
    "hold on a category": (
        documents.hold_body(Hold(id="h", category="logs", **WHEN)),
        '{"owner": "legal", "reason": "a case", "until": 5, "category": "logs"}',
    ),
    "hold on an account": (
        documents.hold_body(Hold(id="h", subject=subject_of(account="1"), applications=("14",), **WHEN)),
        '{"owner": "legal", "reason": "a case", "until": 5, "applications": ["14"], "account": "1"}',
    ),
    "hold on a user": (
        documents.hold_body(Hold(id="h", subject=subject_of(application="14", user="eve"), **WHEN)),
        '{"owner": "legal", "reason": "a case", "until": 5, "application": "14", "user": "eve"}',
    ),
    "covered": (
        documents.covered_body({"u2": CoveredIndex(created=1, fields=("app",)), "u1": CoveredIndex()}),
        '{"indices": {"u1": {"created": 0}, "u2": {"created": 1, "fields": ["app"]}}}',
    ),
    "stop": (documents.at_body(5), '{"at": 5}'),
    "terminations approved": (documents.terminations_approved_body(5, "f1"), '{"at": 5, "policy": "f1"}'),
    "confirmed": (documents.confirmed_body(5, 4), '{"at": 5, "terminated_at": 4}'),
    "detached": (
        documents.detached_body({"u": DetachedLifecycle(index="logs-a", policy="theirs", origination=3)}),
        '{"u": {"index": "logs-a", "policy": "theirs", "origination": 3, "rollover_alias": null}}',
    ),
    "streams": (documents.streams_stopped({"logs": {"enabled": True}}), '{"logs": {"enabled": true}}'),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_stored_is_to_the_byte_what_it_was(name: str) -> None:
    body, expected = WRITTEN[name]
    assert json.dumps(body) == expected


class Stored:
    """An own index with these documents."""

    def __init__(self, bodies: Mapping[str, Mapping[str, Any]]) -> None:
        self.bodies = bodies

    def all(self, kind: str | None = None, *, without: str | None = None) -> dict[str, Mapping[str, Any]]:
        return {key: body for key, body in self.bodies.items() if without is None or not key.startswith(without)}

    def load(self, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        return {key: self.bodies[key] for key in keys if key in self.bodies}


def read(bodies: Mapping[str, Mapping[str, Any]], state: Mapping[str, Mapping[str, Any]] | None = None) -> Control:
    return ControlWithCoverage(Stored(bodies), Stored(state or {})).read()  # type: ignore[arg-type]


ON_LOGS = {**WHEN, "category": "logs"}
RELEASE = {"pairs": [["u", "delete_index"]], "until": 5}
MALFORMED: list[tuple[str, dict[str, Any]]] = [
    ("accepted-policy", {"fingerprint": "f1", "at": "then"}),
    ("accepted-policy", {"fingerprint": "f1", "at": None}),
    ("approval-1", {"until": 5}),
    ("approval-1", {"pairs": [["u", "delete_index"]]}),
    ("approval-1", {**RELEASE, "pairs": [["u"]]}),
    ("approval-1", {**RELEASE, "shown": [["u", "delete_index", 1]]}),
    ("approval-1", {**RELEASE, "shown": [["u", "delete_index", "many", 1]]}),
    ("approval-1", {**RELEASE, "policy": 1}),
    ("order-1", RELEASE),
    ("hold-1", {}),
    ("hold-1", WHEN),
    ("hold-1", {**ON_LOGS, "index": "also"}),
    ("hold-1", {**ON_LOGS, "account": "1"}),
    ("hold-1", {**ON_LOGS, "more": 1}),
    ("hold-1", {**WHEN, "category": 1}),
    ("hold-1", {**WHEN, "user": "eve"}),
    ("hold-1", {**WHEN, "account": "a,b"}),
    ("hold-1", {**WHEN, "account": 1}),
    ("hold-1", {**ON_LOGS, "until": "soon"}),
    ("hold-1", {**ON_LOGS, "applications": 1}),
    ("hold-1", {"category": "logs", "owner": "legal", "until": 5}),
    ("stop", {"since": 5}),
    ("stop", {"at": None}),
    ("resumed", {"at": "now"}),
    ("resumed", {"by": "nobody says when"}),
    ("terminations-approved", {"at": []}),
    ("confirmed-1", {"at": 5}),
]


@pytest.mark.parametrize(("key", "body"), MALFORMED, ids=str)
def test_what_is_malformed_is_refused(key: str, body: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="a document in retention-control is not readable"):
        read({key: body})


@pytest.mark.parametrize("body", [{}, {"indices": {"u": {}}}, {"indices": []}, {"indices": {"u": {"created": "x"}}}])
def test_what_a_hold_covers_is_refused_where_it_is_malformed(body: dict[str, Any]) -> None:
    for bodies, state in ({"covered-1": body}, {}), ({}, {"covered-1": body}):
        with pytest.raises(Refused, match="coverage of a hold is not readable"):
            read({"hold-1": ON_LOGS, **bodies}, state)


def test_a_hold_has_what_hold_add_saw_it_cover_and_what_the_enforcer_did() -> None:
    seen = {uuid: documents.covered_body({uuid: CoveredIndex(created=1)}) for uuid in ("u1", "u2")}
    (held,) = read({"hold-1": ON_LOGS, "covered-1": seen["u1"]}, {"covered-1": seen["u2"]}).holds
    assert (held.covered, held.looked) == ({u: CoveredIndex(created=1) for u in ("u1", "u2")}, True)
    assert read({"hold-1": ON_LOGS}).holds[0].looked is False


def test_nobody_said_anything() -> None:
    assert read({}) == Control()
    assert (documents.stopped_at(None), documents.resumed_at(None)) == (None, 0)
