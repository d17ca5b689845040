"""What the daemon shows over HTTP: before and after its first cycle, as a twin, and while its cluster is away."""

from __future__ import annotations

import re
import time

import pytest

from embedded_elasticsearch import EmbeddedServer
from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.domain.instants import DAY
from running import QUICK, Page, running, silent, until
from workbench import KEY, Workbench

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

CANARY = "1400999888"

# Begins no cycle before it is told to.
HELD_UP = """
import time
from pathlib import Path
from retention_enforcer.enforcement.enforcer import Enforcer
original = Enforcer.run
def waiting(self, category):
    while not Path({go!r}).exists():
        time.sleep(0.05)
    return original(self, category)
Enforcer.run = waiting
"""


def test_it_shows_what_it_knows_before_and_after_its_first_cycle(bench: Workbench) -> None:
    bench.index("logs-a", [SystemClock().now() - 20 * DAY] * 3)
    bench.index("logs-b", [SystemClock().now() - DAY])
    bench.ready()
    go = bench.folder / "go"
    with running(bench, QUICK, before=HELD_UP.format(go=str(go))) as daemon:
        page = Page(daemon)
        until(lambda: page.is_ready, "readiness, with every cycle held up")
        before = page.status
        assert [p["verdict"] for p in before["promises"] if p["clause"]] == ["not-proven", "not-proven"]
        assert page.get("/livez")[0] == 200
        assert "no cycle has completed yet" in page.get("/")[1]
        assert "retention_kept{" not in page.get("/metrics")[1].replace('retention_kept{category="on-request"}', "")

        go.touch()
        until(lambda: page.status["verdict"] == "kept", "every promise kept")
        after = page.status
        logs = next(p for p in after["promises"] if p["id"] == "logs")
        assert (logs["documents"], logs["indices"], logs["overdue"]) == (1, 1, 0)
        assert logs["last_purge"] is not None
        assert (after["instance"]["role"], after["policy"]["accepted"]) == ("acting", True)
        until(lambda: (page.status["ledger"] or {}).get("sequence") == bench.records()[-1]["sequence"], "the head")
        metrics = page.get("/metrics")[1]
        assert 'retention_purged_indices_total{category="logs",mechanism="direct"} 1.0' in metrics
        assert 'retention_purged_documents_total{category="logs",mechanism="direct"} 3.0' in metrics
        assert 'retention_kept{category="logs"} 1.0' in metrics
        assert "retention_leader 1.0" in metrics
        html = page.get("/")[1]
        assert "All 3 promises are kept" in html
        assert page.get("/nothing")[0] == 404
        shown = html + metrics + page.get("/api/status")[1]
        assert KEY not in shown
        assert bench.password not in shown
        assert daemon.end() == 0


def test_a_customer_is_shown_by_a_pseudonym_alone(bench: Workbench) -> None:
    bench.index("logs-a", [SystemClock().now() - DAY])
    bench.ready()
    assert (
        bench.run(
            "hold", "add", "--application", CANARY, "--owner", "Anna", "--reason", "x", "--until", "2099-01-01"
        ).code
        == 0
    )
    assert bench.run("erase", "--application", CANARY, "--reason", "asked for").code == 0
    with running(bench, QUICK) as daemon:
        page = Page(daemon)
        until(lambda: page.status["terminations"]["open"] != [], "the request")
        (asked,) = page.status["terminations"]["open"]
        assert re.fullmatch(r"application hmac-sha256:[0-9a-f]{8}:[0-9a-f]{64}", asked["subject"])
        assert asked["state"] == "in-grace"
        until(lambda: page.status["holds"] != [], "the hold")
        assert page.status["holds"][0]["on"] == asked["subject"]
        for path in ("/", "/api/status", "/metrics", "/readyz"):
            assert CANARY not in page.get(path)[1]
            assert "Anna" not in page.get(path)[1]
        assert daemon.end() == 0
        assert not any(CANARY in line for line in daemon.lines)


def test_a_twin_stands_by_and_says_who_acts(bench: Workbench) -> None:
    bench.ready()
    with running(bench, QUICK) as first:
        first.wait_for("lease taken")
        with running(bench, QUICK) as second:
            page = Page(second)
            until(lambda: page.is_ready, "the twin's readiness")
            status = page.status
            assert status["instance"]["role"] == "standby"
            assert status["lease"]["holder"] == Page(first).status["instance"]["name"]
            assert "retention_leader 0.0" in page.get("/metrics")[1]
            assert "retention_kept" not in page.get("/metrics")[1]
            assert second.end() == 0
        assert first.end() == 0


def test_plan_mode_shows_its_page_too(bench: Workbench) -> None:
    bench.index("logs-a", [SystemClock().now() - 20 * DAY])
    bench.settings["ENFORCER_MODE"] = "plan"
    with running(bench, QUICK) as daemon:
        page = Page(daemon)
        until(lambda: page.is_ready, "readiness without own indices")
        until(lambda: page.status["verdict"] == "not-kept", "the broken promise")
        status = page.status
        assert status["instance"]["role"] == "planning"
        assert status["lease"] is None
        assert "is missing or unreadable" in status["notes"][0]
        assert 'retention_overdue_documents{category="logs"} 1.0' in page.get("/metrics")[1]
        assert daemon.end() == 0


def test_without_acceptance_it_is_alive_and_not_ready(bench: Workbench) -> None:
    assert bench.run("setup").code == 0
    with running(bench, QUICK) as daemon:
        page = Page(daemon)
        until(lambda: page.status["policy"]["accepted"] is False, "a look at the operator's word")
        assert (page.get("/livez")[0], page.get("/readyz")[0]) == (200, 503)
        assert "is not the accepted one" in page.get("/readyz")[1]
        assert bench.run("policy", "accept").code == 0
        until(lambda: page.is_ready, "readiness after acceptance")
        assert daemon.end() == 0


def test_while_its_cluster_is_away_it_is_alive_not_ready_and_claims_nothing_for_long(
    away: Workbench, mortal: EmbeddedServer
) -> None:
    away.index("logs-a", [SystemClock().now() - DAY])
    away.ready()
    away.settings["ENFORCER_ELASTICSEARCH_TIMEOUT"] = "2s"
    with running(away, QUICK) as daemon:
        page = Page(daemon)
        until(lambda: page.status["verdict"] == "kept", "every promise kept")
        with silent(mortal):
            until(lambda: not page.is_ready, "the end of its readiness")
            began = time.monotonic()
            assert page.get("/")[0] == 200
            assert time.monotonic() - began < 2, "a request waited for the cluster"
            assert page.get("/livez")[0] == 200
            until(
                lambda: {p["verdict"] for p in page.status["promises"]} == {"not-proven"},
                "three intervals without a proof",
            )
            assert 'retention_kept{category="logs"} 0.0' in page.get("/metrics")[1]
        until(lambda: page.is_ready and page.status["verdict"] == "kept", "everything back by itself")
        mortal.kill()
        until(lambda: not page.is_ready, "the end of its readiness")
        assert "no connection to the cluster" in page.get("/readyz")[1]
        assert page.get("/livez")[0] == 200
        assert daemon.end(within=10.0) == 0


def test_an_address_in_use_is_exit_2_before_anything_is_done(bench: Workbench) -> None:
    bench.ready()
    with running(bench, QUICK) as daemon:
        bench.settings["ENFORCER_HTTP_ADDRESS"] = f"127.0.0.1:{Page(daemon).port}"
        ran = bench.run("run")
        assert ran.code == 2
        assert "address already in use" in ran.err
        assert "port 0 takes any free port" in ran.err
        asked = bench.run("health", "--ready")
        until(lambda: bench.run("health", "--ready").code == 0, "health")
        assert "alive" in asked.out
        assert daemon.end() == 0
    assert bench.run("health").code == 1
