"""The daemon's life: its schedule, its end, its twin, the operator's stop, and a cluster that goes away."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from elasticsearch import Elasticsearch

from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.demo.server import EmbeddedServer
from retention_enforcer.domain.instants import DAY
from workbench import KEY, Workbench

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

PATIENCE = 45.0


class Daemon:
    """A `run` in a process of its own, whose log is read as it is written."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.lines.extend(iter(self.process.stderr.readline, ""))

    @property
    def messages(self) -> list[str]:
        return [json.loads(line)["message"] for line in list(self.lines)]

    def says(self, text: str) -> bool:
        return any(text in message for message in self.messages)

    def wait_for(self, text: str) -> None:
        until(lambda: self.says(text), f"{text!r} in the log, which is:\n" + "".join(self.lines[-20:]))

    def end(self, within: float = 10.0) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=within)
        self._reader.join(5)
        return code


def until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"in vain: {what}"
        time.sleep(0.1)


@contextmanager
def running(bench: Workbench, before: str = "") -> Iterator[Daemon]:
    bench.settings.setdefault("ENFORCER_INTERVAL", "1s")
    process = bench.process("run", before=before)
    daemon = Daemon(process)
    try:
        yield daemon
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()


# Looks after lease and stop each second instead of each ten.
QUICK = "from retention_enforcer.daemon import service; service.RENEWAL = 1.0"

# Takes a lease for lapsed after three seconds instead of two minutes.
IMPATIENT = """
from retention_enforcer.domain import lease
lease.TERM = 3.0
"""


@pytest.fixture(scope="module")
def mortal(own_server: Callable[..., EmbeddedServer]) -> EmbeddedServer:
    """A server that may be killed or stopped, and comes back with its data."""
    return own_server()


@pytest.fixture
def away(mortal: EmbeddedServer, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workbench]:
    """A workbench on that server."""
    login, prefix = mortal.admin, f"a{abs(hash(request.node.name)) % 10_000}-"
    with Elasticsearch(mortal.url, basic_auth=(login.username, login.password), request_timeout=60) as es:
        yield Workbench(
            es=es, url=mortal.url, username=login.username, password=login.password, prefix=prefix, folder=tmp_path
        )


@contextmanager
def silent(server: EmbeddedServer) -> Iterator[None]:
    """Let the server accept connections and answer nothing, as one does that collects garbage or swaps."""
    assert server._process is not None
    processes = psutil.Process(server._process.pid).children(recursive=True)
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


def test_it_deletes_what_becomes_due_ends_on_sigterm_and_gives_the_lease_back(bench: Workbench) -> None:
    bench.index("logs-a", [SystemClock().now() - 20 * DAY])
    bench.ready()
    with running(bench) as daemon:
        until(lambda: bench.is_gone("logs-a"), "the first deletion")
        bench.index("logs-b", [SystemClock().now() - 20 * DAY])
        until(lambda: bench.is_gone("logs-b"), "the second deletion")
        assert daemon.end() == 0
        assert not any(KEY in line or bench.password in line for line in daemon.lines)
    started = time.monotonic()
    assert bench.run("run", "--once").code == 0
    assert time.monotonic() - started < 5, "the lease had to be waited for"


def test_sigterm_in_the_middle_of_a_trim_is_out_soon_and_the_next_run_finishes(bench: Workbench) -> None:
    now = SystemClock().now()
    bench.index("logs-a", [*([now - 20 * DAY] * 6_000), *([now] * 7_000)])
    bench.ready()
    slow = """
import time
from retention_enforcer.cluster.deletion import Deletion
original = Deletion._delete_documents
def slowly(self, hits):
    print("deleting", flush=True)
    result = original(self, hits)
    time.sleep(1)
    return result
Deletion._delete_documents = slowly
"""
    with running(bench, before=slow) as daemon:
        assert daemon.process.stdout is not None
        assert daemon.process.stdout.readline() == "deleting\n"
        assert daemon.end() == 0
    assert 7_000 < (bench.count("logs-a") or 0) < 13_000
    assert bench.run("run", "--once").code == 0
    assert bench.count("logs-a") == 7_000
    bench.assert_every_intent_is_answered_once()


def test_a_second_daemon_waits_and_takes_over_when_the_first_ends(bench: Workbench) -> None:
    bench.ready()
    with running(bench, before=QUICK) as first, running(bench, before=QUICK) as second:
        until(lambda: first.says("lease taken") or second.says("lease taken"), "somebody takes the lease")
        holder, waiter = (first, second) if first.says("lease taken") else (second, first)
        waiter.wait_for("waiting for the lease")
        bench.index("logs-a", [SystemClock().now() - 20 * DAY])
        until(lambda: bench.is_gone("logs-a"), "the holder's deletion")
        assert not waiter.says("record")
        assert holder.end() == 0
        waiter.wait_for("lease taken, epoch 2")
        bench.index("logs-b", [SystemClock().now() - 20 * DAY])
        until(lambda: bench.is_gone("logs-b"), "the deletion of the one who took over")
        assert waiter.end() == 0
    bench.assert_every_intent_is_answered_once()


def test_stop_is_confirmed_by_the_daemon_and_holds_until_resume(bench: Workbench) -> None:
    bench.ready()
    with running(bench, before=QUICK) as daemon:
        daemon.wait_for("promise kept")
        stopped = bench.run("stop")
        assert (stopped.code, "confirmed by" in stopped.out) == (0, True)
        bench.index("logs-a", [SystemClock().now() - 20 * DAY])
        daemon.wait_for("promise not kept")
        assert bench.count("logs-a") == 1
        assert bench.run("resume").code == 0
        until(lambda: bench.is_gone("logs-a"), "the deletion after resume")
        assert daemon.end() == 0


def test_unaccepted_it_stays_up_and_acts_once_the_policy_is_accepted(bench: Workbench) -> None:
    bench.index("logs-a", [SystemClock().now() - 20 * DAY])
    assert bench.run("setup", "--indices-only").code == 0
    with running(bench, before=QUICK) as daemon:
        daemon.wait_for("promise not kept")
        assert daemon.process.poll() is None
        assert bench.count("logs-a") == 1
        daemon.wait_for("nobody accepted this policy")
        assert bench.run("policy", "accept").code == 0
        until(lambda: bench.is_gone("logs-a"), "the deletion after acceptance")
        assert daemon.end() == 0


def test_a_cluster_that_answers_nobody_at_start_is_exit_1(bench: Workbench) -> None:
    bench.settings["ENFORCER_ELASTICSEARCH_URL"] = "http://127.0.0.1:9"
    for arguments in (("run",), ("run", "--once"), ("plan",), ("check",), ("report",)):
        ran = bench.run(*arguments)
        assert ran.code == 1, arguments
        assert "no connection to the cluster" in ran.err
        assert "Traceback" not in ran.err


def test_the_lease_of_a_killed_holder_lapses_and_that_of_a_living_one_does_not(bench: Workbench) -> None:
    bench.ready()
    with running(bench, before=QUICK) as holder:
        holder.wait_for("lease taken, epoch 1")
        with running(bench, before=QUICK + IMPATIENT) as waiter:
            waiter.wait_for("waiting for the lease")
            time.sleep(5)  # more than the waiter's term, in which the holder renews
            assert not waiter.says("lease taken")
            holder.process.kill()
            killed = time.monotonic()
            waiter.wait_for("lease taken, epoch 2")
            assert time.monotonic() - killed > 2, "it did not wait for the term"
            bench.index("logs-a", [SystemClock().now() - 20 * DAY])
            until(lambda: bench.is_gone("logs-a"), "the deletion of the one who took over")
            assert waiter.end() == 0
    bench.assert_every_intent_is_answered_once()


# Dies with the server in its hands: tells the test, and goes on once the server is dead.
DELETING = """
import time
from pathlib import Path
from retention_enforcer.cluster.deletion import Deletion
original = Deletion.delete_indices
def waiting(self, names):
    Path({please!r}).touch()
    while not Path({dead!r}).exists():
        time.sleep(0.02)
    return original(self, names)
Deletion.delete_indices = waiting
"""


def test_it_outlives_a_cluster_that_goes_away_in_the_middle_of_a_deletion(
    away: Workbench, mortal: EmbeddedServer
) -> None:
    away.index("logs-a", [SystemClock().now() - 20 * DAY])
    away.ready()
    # Faster than it really runs (10 s and 5 min), and still less than a line a second.
    away.settings["ENFORCER_INTERVAL"] = "5s"
    please, dead = away.folder / "please", away.folder / "dead"
    pace = "from retention_enforcer.daemon import service; service.RENEWAL = 5.0\n"
    with running(away, before=pace + DELETING.format(please=str(please), dead=str(dead))) as daemon:
        until(please.exists, "the deletion")
        mortal.kill()
        dead.touch()
        daemon.wait_for("no connection to the cluster")
        before, started = len(daemon.lines), time.monotonic()
        time.sleep(10)  # what is measured is how much it says in a while
        assert (len(daemon.lines) - before) / (time.monotonic() - started) < 1
        assert daemon.process.poll() is None
        mortal.start()
        until(lambda: away.is_gone("logs-a"), "the deletion after its return")
        until(lambda: away.records()[-1]["kind"] != "intent", "its outcome")
        assert daemon.end() == 0
        assert not any(KEY in line or away.password in line or "Traceback" in line for line in daemon.lines)
    away.assert_every_intent_is_answered_once()


def test_sigterm_is_obeyed_although_the_cluster_answers_nothing(away: Workbench, mortal: EmbeddedServer) -> None:
    away.ready()
    away.settings["ENFORCER_ELASTICSEARCH_TIMEOUT"] = "5s"
    with running(away, before=QUICK) as daemon:
        daemon.wait_for("promise kept")
        with silent(mortal):
            time.sleep(2)  # a request is under way by then: cycles run each second
            assert daemon.end(within=10.0) == 0, "the request under way may take its 5 s, and no other follows it"
