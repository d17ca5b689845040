"""The web application over real statuses: answers, headers, health, and metrics that a scraper can take."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from http.client import HTTPConnection
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse
from starlette.applications import Starlette
from starlette.testclient import TestClient

import statuses
from builders import NOW
from retention_enforcer.domain.errors import ConfigurationError
from retention_enforcer.domain.instants import DAY, SECOND
from retention_enforcer.reporting.known import Durations, JobSeen, Known, LeaseSeen
from retention_enforcer.settings import load_settings
from retention_enforcer.web import PageServer, make_application
from retention_enforcer.web import server as server_module
from retention_enforcer.web.client import ask_health
from statuses import HEALTHY, INTERVAL, TRTC, all_seen, known, situation, terminations

STANDBY = replace(HEALTHY, lease=LeaseSeen(held=False, epoch=None, holder="node-2", seen_ago=1.0), started=False)
PATHS = ("/", "/api/status", "/api/status/schema", "/metrics", "/livez", "/readyz")


class Clock:
    time = NOW

    def now(self) -> int:
        return self.time


def application(of: Known = HEALTHY, *, alive: bool = True, clock: Clock | None = None) -> Starlette:
    return make_application(lambda: of, lambda: alive, clock or Clock())


def client(of: Known = HEALTHY, **more: Any) -> TestClient:
    return TestClient(application(of, **more))


def metrics(of: Known = HEALTHY, **more: Any) -> dict[str, dict[tuple[str, ...], float]]:
    """The values of each sample, by the values of its labels."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in parse(client(of, **more).get("/metrics").text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


# --- answers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*PATHS, "/nothing"])
def test_every_answer_forbids_a_browser_to_do_more_than_show_it(path: str) -> None:
    answer = client().get(path)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "script-src" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_asked_to_act(path: str, method: str) -> None:
    assert client().request(method, path).status_code == 405


def test_each_path_answers_in_its_own_kind() -> None:
    kinds = {path: client().get(path).headers["content-type"].partition(";")[0] for path in PATHS}
    assert kinds == {
        "/": "text/html",
        "/api/status": "application/json",
        "/api/status/schema": "application/schema+json",
        "/metrics": "text/plain",
        "/livez": "text/plain",
        "/readyz": "text/plain",
    }


def test_a_page_is_of_the_moment_in_which_it_is_asked_for() -> None:
    clock = Clock()
    asked = client(clock=clock)
    assert asked.get("/api/status").json()["verdict"] == "kept"
    clock.time += 3 * INTERVAL
    assert asked.get("/api/status").json()["verdict"] == "not-proven"


# --- health -------------------------------------------------------------------------------------------


def test_alive_and_ready_are_told_apart() -> None:
    away = {
        **HEALTHY.jobs,
        "situation": JobSeen(name="situation", last_success=NOW - DAY, failed_at=NOW, error="no connection"),
    }
    lost = client(replace(HEALTHY, jobs=away))
    assert (lost.get("/livez").status_code, lost.get("/readyz").status_code) == (200, 503)
    assert lost.get("/readyz").text == "not ready, acting:\n- the cluster does not answer: no connection\n"
    stuck = client(alive=False)
    assert (stuck.get("/livez").status_code, stuck.get("/readyz").status_code) == (503, 200)
    assert client(STANDBY).get("/readyz").text == "ready, standby\n"
    assert client(statuses.just_started()).get("/readyz").status_code == 503


@pytest.fixture
def served() -> Iterator[PageServer]:
    with PageServer(application(), "127.0.0.1", 0) as server:
        yield server


def test_health_asks_who_listens_there(served: PageServer) -> None:
    assert served.address == f"http://127.0.0.1:{served.port}/"
    for host in ("127.0.0.1", "0.0.0.0"):  # noqa: S104 - asked, not listened on
        health = ask_health((host, served.port))
        assert (health.alive, health.ready) == (True, True)
        assert health.text == "alive: the scheduler runs\nready, acting"


def test_health_is_not_alive_where_nobody_or_something_else_listens() -> None:
    with closing(socket.socket()) as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        health = ask_health(("127.0.0.1", port))
    assert (health.alive, health.ready) == (False, False)
    assert health.text == f"no response from 127.0.0.1:{port}: ConnectionRefusedError"
    with PageServer(application(alive=False), "127.0.0.1", 0) as server:
        assert not ask_health(("127.0.0.1", server.port)).alive


def test_health_cannot_guess_a_port() -> None:
    with pytest.raises(ConfigurationError, match="port 0"):
        ask_health(load_settings({"ENFORCER_HTTP_ADDRESS": "127.0.0.1:0"}).http_address)


# --- the server ---------------------------------------------------------------------------------------


def test_an_address_in_use_is_an_error_with_its_remedy(served: PageServer) -> None:
    with pytest.raises(ConfigurationError) as error:
        PageServer(application(), "127.0.0.1", served.port)
    assert error.value.message.endswith(f"127.0.0.1:{served.port}: address already in use")
    assert "port 0" in error.value.remedy


def test_it_ends_at_once_although_somebody_keeps_a_connection_open() -> None:
    with PageServer(application(), "127.0.0.1", 0) as server:
        kept = HTTPConnection("127.0.0.1", server.port)
        kept.request("GET", "/livez")
        assert kept.getresponse().read() == b"alive: the scheduler runs\n"
        began = time.monotonic()
    assert time.monotonic() - began < 2.5
    kept.close()
    assert not ask_health(("127.0.0.1", server.port)).alive


def test_what_fails_in_an_answer_ends_neither_the_server_nor_anything_else() -> None:
    def broken() -> Known:
        raise ZeroDivisionError

    with PageServer(make_application(broken, lambda: True, Clock()), "127.0.0.1", 0) as server:
        health = ask_health(("127.0.0.1", server.port))
        assert (health.alive, health.ready) == (True, False)
        assert ask_health(("127.0.0.1", server.port)).alive


def unfinished(
    port: int, many: int, text: bytes = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
) -> list[socket.socket]:
    """Connections whose requests never end."""
    opened = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(many)]
    for one in opened:
        one.sendall(text)
    return opened


@pytest.mark.parametrize("text", [b"", b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"])
def test_connections_that_ask_for_nothing_keep_nobody_from_asking(served: PageServer, text: bytes) -> None:
    opened = unfinished(served.port, 100, text)
    for _ in range(5):
        assert ask_health(("127.0.0.1", served.port)).alive
    for one in opened:
        one.close()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"GET /livez HTTP/1.1\r\nHost: loc",
        b"POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\na",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\nGET",
    ],
)
def test_a_request_that_never_ends_is_cut_off(monkeypatch: pytest.MonkeyPatch, text: bytes) -> None:
    monkeypatch.setattr(server_module, "_ANSWERED_WITHIN", 0.3)
    with PageServer(application(), "127.0.0.1", 0) as server:
        (one,) = unfinished(server.port, 1, text)
        with closing(one), suppress(ConnectionResetError):
            while one.recv(65_536):
                pass  # what was answered; then the end: without it this times out


@pytest.mark.parametrize(
    ("address", "asked", "status"),
    [
        ("127.0.0.1", "localhost:9464", 200),
        ("127.0.0.1", "127.0.0.1", 200),
        ("127.0.0.1", "[::1]:9464", 200),
        ("127.0.0.1", "10.1.2.3:9464", 200),
        ("127.0.0.1", "LOCALHOST", 200),
        ("127.0.0.1", "elsewhere.example", 421),
        ("127.0.0.1", "localhost.elsewhere.example:9464", 421),
        ("127.0.0.1", "", 421),
        ("127.0.0.1", "[", 421),
        ("0.0.0.0", "enforcer:9464", 200),  # noqa: S104
    ],
)
def test_on_the_machines_own_address_only_its_own_names_are_answered(address: str, asked: str, status: int) -> None:
    with (
        PageServer(application(), address, 0) as server,
        closing(HTTPConnection("127.0.0.1", server.port, timeout=5)) as connection,
    ):
        connection.request("GET", "/livez", headers={"Host": asked})
        answer = connection.getresponse()
        assert (answer.status, b"Host header" in answer.read()) == (status, status == 421)


# --- metrics ------------------------------------------------------------------------------------------

NAMES = {
    *("retention_oldest_document_age_seconds", "retention_limit_seconds", "retention_kept"),
    *("retention_overdue_documents", "retention_purged_indices_total", "retention_purged_documents_total"),
    *("retention_findings", "retention_pending_terminations", "retention_next_deadline_seconds"),
    *("retention_cycle_duration_seconds_count", "retention_cycle_duration_seconds_sum"),
    *("retention_cycle_duration_seconds_bucket", "retention_last_success_timestamp_seconds"),
    *("retention_ledger_sequence", "retention_leader"),
}
BESIDES = {
    *("retention_ready", "retention_stopped", "retention_interval_seconds", "retention_termination_time_used_ratio"),
}


def test_the_metrics_have_the_promised_names_and_the_figures_of_the_status() -> None:
    found = metrics(replace(HEALTHY, coverage=statuses.broken().coverage))
    assert {*found} == NAMES | BESIDES
    status = client().get("/api/status").json()
    assert {id_: value for (id_,), value in found["retention_limit_seconds"].items()} == {
        p["id"]: p["limit"] for p in status["promises"] if p["limit"] is not None
    }
    ages = {id_: value for (id_,), value in found["retention_oldest_document_age_seconds"].items()}
    assert ages == {p["id"]: p["age"] for p in status["promises"] if p["age"] is not None}
    assert {*found["retention_kept"].values()} == {1.0}
    assert found["retention_ledger_sequence"][()] == status["ledger"]["sequence"]
    assert found["retention_pending_terminations"][()] == 2
    assert found["retention_next_deadline_seconds"][()] == status["terminations"]["open"][0]["remaining"]
    assert found["retention_termination_time_used_ratio"][()] == pytest.approx(48 / 167)
    assert found["retention_leader"][()] == 1
    assert found["retention_interval_seconds"][()] == 300
    assert found["retention_findings"] == {("snapshot-expired",): 1, ("unclaimed",): 1}


def test_what_is_purged_and_how_long_it_took_is_counted() -> None:
    durations = Durations()
    for seconds in (0.05, 0.3, 400.0):
        durations = durations.and_one_of(seconds)
    found = metrics(
        replace(
            HEALTHY,
            durations=durations,
            purged_indices={("uin", "direct"): 2},
            purged_documents={("uin", "direct"): 40, ("uin", "termination"): 7},
        )
    )
    assert found["retention_purged_indices_total"]["uin", "direct"] == 2
    assert found["retention_purged_documents_total"]["uin", "direct"] == 40
    assert found["retention_purged_documents_total"]["uin", "termination"] == 7
    assert found["retention_purged_documents_total"]["sdkappid", "direct"] == 0
    buckets = found["retention_cycle_duration_seconds_bucket"]
    assert (buckets[("0.1",)], buckets[("0.5",)], buckets[("300.0",)], buckets[("+Inf",)]) == (1, 2, 2, 3)
    assert found["retention_cycle_duration_seconds_sum"][()] == 400.35


def test_a_scraper_may_ask_for_openmetrics() -> None:
    answer = client().get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    families = list(parse_openmetrics(answer.text))
    assert {"retention_kept", "retention_purged_documents"} <= {family.name for family in families}
    assert answer.text.endswith("# EOF\n")


def test_names_units_and_labels_are_as_prometheus_wants_them() -> None:
    text = client(statuses.crowded()).get("/metrics").text
    for family in parse(text):
        assert re.fullmatch(r"retention_[a-z_]+", family.name)
        assert family.documentation
        assert family.documentation.endswith(".")
        assert not re.search(r"_(minutes|hours|days|ms|milliseconds|percent)\b", family.name)
        assert family.type in {"gauge", "counter", "histogram"}
        assert {*family.samples[0].labels} <= {"category", "kind", "mechanism", "job", "le"}
    assert "hmac" not in text
    assert len(text.splitlines()) < 700, "bounded by the policy, whatever the cluster holds"


def test_kept_is_one_only_where_it_is_proven() -> None:
    kept = metrics(statuses.broken())["retention_kept"]
    assert {id_ for (id_,), value in kept.items() if value == 0} == {
        *("console-configuration", "backend-logs", "troubleshooting", "temporary-keys", "application-logs")
    }
    assert metrics(statuses.broken())["retention_overdue_documents"][("backend-logs",)] == 12


def test_before_the_first_proof_there_is_no_verdict_but_after_three_intervals_there_is() -> None:
    clock = Clock()
    young = replace(statuses.just_started(), started_at=NOW)
    assert "retention_kept" not in metrics(young, clock=clock)
    clock.time += 3 * INTERVAL + 1
    kept = metrics(young, clock=clock)["retention_kept"]
    assert ({*kept.values()}, len(kept)) == ({0.0}, 11)
    assert {*metrics(young, clock=clock)["retention_last_success_timestamp_seconds"].values()} == {0.0}


def test_who_stands_by_says_nothing_about_promises() -> None:
    found = metrics(STANDBY)
    assert found["retention_leader"][()] == 0
    assert not {*found} & {
        *("retention_kept", "retention_limit_seconds", "retention_findings", "retention_pending_terminations"),
        *("retention_last_success_timestamp_seconds", "retention_oldest_document_age_seconds"),
    }


def test_a_kind_of_findings_that_closes_is_zero_and_not_gone() -> None:
    current = [replace(HEALTHY, coverage=statuses.broken().coverage)]
    asked = TestClient(make_application(lambda: current[0], lambda: True, Clock()))
    assert 'retention_findings{kind="unclaimed"} 1.0' in asked.get("/metrics").text
    current[0] = HEALTHY
    assert 'retention_findings{kind="unclaimed"} 0.0' in asked.get("/metrics").text


def test_without_ledger_terminations_and_situation_their_metrics_are_missing_not_zero() -> None:
    found = metrics(known(terminations=None, situation=situation(head=None)))
    assert not {*found} & {"retention_ledger_sequence", "retention_pending_terminations"}
    assert "retention_next_deadline_seconds" not in metrics(known(terminations=terminations()))


def test_the_last_success_of_each_job_is_a_timestamp_in_seconds() -> None:
    found = metrics(known(categories=all_seen(TRTC)))["retention_last_success_timestamp_seconds"]
    assert found[("category uin",)] == (NOW - 42 * SECOND) / SECOND
    assert {job for (job,) in found} == {*(f"category {c.id}" for c in TRTC.categories), *statuses.JOBS}
