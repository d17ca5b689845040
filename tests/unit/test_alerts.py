"""The alert rules and the dashboard: they ask for metrics that there are, and each alert is tested both ways."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import statuses
from builders import NOW
from retention_enforcer.reporting.status import build_status
from retention_enforcer.web.metrics import exposition
from statuses import exported

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "alerts" / "retention-enforcer.rules.yaml"
TESTS = DEPLOY / "alerts" / "retention-enforcer.test.yaml"
DASHBOARD = DEPLOY / "grafana" / "retention-enforcer.json"
ALERTS = {
    *("RetentionPromiseNotKept", "RetentionDueWithinTheHour", "RetentionNoProof", "RetentionTerminationLate"),
    *("RetentionLedgerNotExtended", "RetentionNobodyActs", "RetentionFindingOpen"),
}


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return list(group["rules"])


def cases() -> list[dict[str, Any]]:
    return list(yaml.safe_load(TESTS.read_text(encoding="utf-8"))["tests"])


def asked(expressions: Iterator[str]) -> set[str]:
    return {name for expression in expressions for name in re.findall(r"\bretention_[a-z_]+", expression)}


def test_the_promised_alerts_are_there_and_say_what_to_do() -> None:
    assert {rule["alert"] for rule in rules()} == ALERTS
    for rule in rules():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert set(rule["annotations"]) == {"summary", "description"}


def test_the_alerts_ask_for_metrics_that_there_are() -> None:
    names = asked(rule["expr"] for rule in rules())
    assert len(names) >= 8
    assert names <= exported()


def test_each_alert_is_tested_where_it_fires_and_where_it_is_silent() -> None:
    healthy, *others = cases()
    silent = {case["alertname"] for case in healthy["alert_rule_test"] if not case.get("exp_alerts")}
    fires = {case["alertname"] for one in others for case in one["alert_rule_test"] if case.get("exp_alerts")}
    assert not [case for case in healthy["alert_rule_test"] if case.get("exp_alerts")]
    assert (silent, fires) == (ALERTS, ALERTS)


def promtool() -> str:
    """Prometheus' own tool; where there is none, what needs it is skipped."""
    found = os.environ.get("PROMTOOL") or shutil.which("promtool")
    if not found:
        pytest.skip("no promtool: the alert rules' own tests did not run (it comes with Prometheus; PROMTOOL names it)")
    return found


def run(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([promtool(), *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_the_alert_rules_pass_their_own_tests() -> None:
    for arguments in (("check", "rules", RULES.name), ("test", "rules", TESTS.name)):
        ran = run(RULES.parent, *arguments)
        assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("true", "false"),
    [
        ("retention_kept == 0", "retention_kept == 1"),
        ("< 3600", "< 36"),
        ("> on (instance) group_left () 3 *", "> on (instance) group_left () 300 *"),
        ("ratio > 0.8", "ratio > 0.9"),
        ("ratio > 0.8", "ratio > 0.4"),
        ("<= max(retention_ledger_sequence offset 26h)", "< max(retention_ledger_sequence offset 26h)"),
        ("max(retention_leader) < 1", "min(retention_leader) < 1"),
        ("or absent(retention_leader)", ""),
        ("retention_findings > 0", "retention_findings > 9"),
        ("for: 24h", "for: 12h"),
        ("for: 15m", "for: 1m"),
    ],
)
def test_the_tests_of_the_alert_rules_notice_a_wrong_rule(tmp_path: Path, true: str, false: str) -> None:
    text = RULES.read_text(encoding="utf-8")
    assert true in text
    (tmp_path / RULES.name).write_text(text.replace(true, false), encoding="utf-8")
    shutil.copy(TESTS, tmp_path)
    ran = run(tmp_path, "test", "rules", TESTS.name)
    assert ran.returncode != 0, ran.stdout


def test_a_scraped_page_of_metrics_is_clean() -> None:
    tool = promtool()
    crowded = statuses.crowded()
    text = exposition(crowded, build_status(crowded, NOW), frozenset(), "")[0]
    ran = subprocess.run([tool, "check", "metrics"], input=text, capture_output=True, timeout=60, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b"")


# --- the dashboard ------------------------------------------------------------------------------------


def panels() -> list[dict[str, Any]]:
    return list(json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"])


def test_the_dashboard_asks_for_metrics_that_there_are() -> None:
    names = asked(target["expr"] for panel in panels() for target in panel["targets"])
    assert len(names) >= 10
    assert names <= exported()


def test_the_dashboard_names_no_data_source_of_anybody_and_no_panel_covers_another() -> None:
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    assert board["uid"] == "retention-enforcer"
    assert "id" not in board
    assert [one["name"] for one in board["templating"]["list"]] == ["datasource", "job"]
    sources = [one["datasource"]["uid"] for panel in panels() for one in (panel, *panel["targets"])]
    assert set(sources) == {"${datasource}"}
    covered = set()
    for panel in panels():
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not covered & cells, panel["title"]
        assert all(x < 24 for x, _ in cells)
        covered |= cells
    assert len({panel["id"] for panel in panels()}) == len(panels())


def test_every_expression_of_the_dashboard_is_one_that_prometheus_understands(tmp_path: Path) -> None:
    expressions = [target["expr"] for panel in panels() for target in panel["targets"]]
    plain = [one.replace("$__rate_interval", "5m").replace("$job", ".+") for one in expressions]
    recorded = [{"record": f"panel:{number}", "expr": one} for number, one in enumerate(plain)]
    file = tmp_path / "dashboard.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": recorded}]}), encoding="utf-8")
    ran = run(tmp_path, "check", "rules", file)
    assert ran.returncode == 0, ran.stdout + ran.stderr
