"""The daemon's log: lines that ECS takes and a person can read, each event once."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import datetime
from typing import Any

import pytest

from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.domain.instants import DAY
from running import running, until
from workbench import Workbench

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

# Of the Elastic Common Schema 8.17, with their types; own fields stand under `retention`.
ECS: dict[str, Any] = {
    "@timestamp": str,
    "ecs.version": str,
    "error.message": str,
    "error.stack_trace": str,
    "error.type": str,
    "event.action": str,
    "event.outcome": str,
    "log.level": str,
    "message": str,
    "service.name": str,
    "service.node.name": str,
    "url.full": str,
}


def assert_ecs(line: str) -> dict[str, Any]:
    """One line of the log is one JSON object, whose fields ECS knows or leaves to us."""
    entry: dict[str, Any] = json.loads(line)
    for name, value in entry.items():
        if not name.startswith("retention."):
            assert isinstance(value, ECS[name]), line
        assert not isinstance(value, dict | list), line
    assert {"@timestamp", "ecs.version", "event.action", "log.level", "message", "service.name"} <= set(entry), line
    assert entry.get("event.outcome", "unknown") in {"success", "failure", "unknown"}
    assert entry["log.level"] in {"debug", "info", "warn", "error", "fatal"}
    assert datetime.fromisoformat(entry["@timestamp"]).tzinfo is not None
    assert "\n" not in entry["message"]
    assert not re.search(r"[{}\[\]]", entry["message"]), "a person reads it, and a list or a dictionary is none"
    return entry


def test_every_line_is_ecs_and_every_event_stands_there_once(bench: Workbench) -> None:
    now = SystemClock().now()
    bench.index("logs-a", [now - 20 * DAY])
    bench.index("logs-b", [now - 20 * DAY, now - DAY])
    bench.index("logs-c", [now - DAY, None])
    bench.ready()
    bench.settings["ENFORCER_INTERVAL"] = "15m"  # one cycle, whatever the machine is busy with
    with running(bench) as daemon:
        until(lambda: bench.is_gone("logs-a") and bench.count("logs-b") == 1, "both purges")
        until(lambda: sum(text.endswith("promise kept") for text in daemon.messages) == 2, "both proofs")
        daemon.wait_for("searched for copies outside the policy")
        assert daemon.end() == 0
    entries = [assert_ecs(line) for line in daemon.lines]
    actions = Counter(entry["event.action"] for entry in entries)
    assert {"start", "listen", "lease", "proof", "finding", "ledger-record", "coverage", "stop"} <= set(actions)
    records = [json.loads(entry["retention.record"]) for entry in entries if "retention.record" in entry]
    assert [record["sequence"] for record in records] == list(range(1, len(records) + 1))
    assert [record["hash"] for record in records] == [record["hash"] for record in bench.records()]
    said = Counter(entry["message"] for entry in entries if entry["event.action"] not in {"proof", "lease"})
    assert [text for text, times in said.items() if times > 1] == []
    assert {entry["log.level"] for entry in entries if entry["event.action"] == "proof"} == {"info"}
