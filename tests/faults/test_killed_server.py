"""The server is killed in the middle of a cycle: no false `done`, and the next run ends where it would have ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch

from embedded_elasticsearch import EmbeddedServer
from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.domain.instants import DAY
from workbench import WHEN_CALLED, Workbench

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

# Asks the test to kill the server, and waits until it is dead.
WAIT = """
import time
from pathlib import Path
def wait():
    Path({please!r}).touch()
    while not Path({dead!r}).exists():
        time.sleep(0.02)
"""

# Renews the lease and looks for a stop several times while the server is away.
PATIENT = """
import time
from retention_enforcer.cluster.deletion.deletion import Deletion
from retention_enforcer.daemon import once
once.LEASE_RENEWAL = 0.2
original = Deletion.delete_indices
def later(self, names):
    time.sleep(2)
    return original(self, names)
Deletion.delete_indices = later
"""

STEPS = {
    "before the DELETE": ("cluster.deletion.deletion.Deletion", "delete_indices", 1, "before"),
    "after the DELETE, before an outcome": ("cluster.deletion.deletion.Deletion", "delete_indices", 1, "after"),
    "in the middle of a trim": ("cluster.deletion.deletion.Deletion", "_delete_documents", 1, "after"),
    "in the middle of the intents": ("cluster.own.ledger_index.LedgerIndex", "create", 5, "after"),
}


@pytest.fixture(scope="module")
def mortal(own_server: Callable[..., EmbeddedServer]) -> EmbeddedServer:
    """A server that may be killed, and comes back with its data."""
    return own_server()


@pytest.fixture
def bench(mortal: EmbeddedServer, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workbench]:
    """A workbench on that server."""
    prefix = f"k{abs(hash(request.node.name)) % 10_000}-"
    login = mortal.admin
    with Elasticsearch(mortal.url, basic_auth=(login.username, login.password), request_timeout=60) as es:
        yield Workbench(
            es=es, url=mortal.url, username=login.username, password=login.password, prefix=prefix, folder=tmp_path
        )


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS.keys())
def test_a_run_whose_server_dies_ends_by_itself_and_the_next_finishes_it(
    bench: Workbench, mortal: EmbeddedServer, step: tuple[str, str, int, str]
) -> None:
    now = SystemClock().now()
    for name in ("a", "b"):
        bench.index(f"logs-{name}", [now - 20 * DAY] * 20)
    bench.index("logs-straddling", [*([now - 20 * DAY] * 1_500), *([now] * 1_500)])
    bench.index("logs-young", [now - DAY] * 500)
    bench.index("stranger", [now - 400 * DAY])
    bench.ready()
    target, name, n, when = step
    please, dead = bench.folder / "please", bench.folder / "dead"
    waiting = WHEN_CALLED + WAIT.format(please=str(please), dead=str(dead))
    hook = f"{waiting}when_called({target!r}, {name!r}, {n}, {when!r}, wait)"
    process = bench.process("run", "--once", before=hook)
    while not please.exists():
        assert process.poll() is None, process.communicate()[1]
    mortal.kill()
    dead.touch()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1, err[-3_000:]
    assert "Traceback" not in err

    mortal.start()
    bench.es.cluster.health(wait_for_status="yellow", timeout="60s")
    said = [(r.get("target", {}).get("index"), r["outcome"]) for r in bench.records() if r["kind"] == "outcome"]
    for index, outcome in said:
        if outcome == "done" and index is not None:
            left = 1_500 if index.endswith("straddling") else None
            assert bench.count(index.removeprefix(bench.prefix)) == left, f"a false `done` of {index}"
    bench.free_the_lease()
    ran = bench.run("run", "--once")
    assert ran.code == 0, ran.err
    assert [bench.count(name) for name in ("logs-a", "logs-b")] == [None, None]
    left = {"logs-straddling": 1_500, "logs-young": 500, "stranger": 1}
    assert {name: bench.count(name) for name in left} == left
    bench.assert_every_intent_is_answered_once()
    assert bench.run("ledger", "verify").code == 0


def test_a_run_whose_server_stays_away_past_a_renewal_ends_without_a_traceback(
    bench: Workbench, mortal: EmbeddedServer
) -> None:
    bench.index("logs-a", [SystemClock().now() - 20 * DAY])
    bench.ready()
    please, dead = bench.folder / "please", bench.folder / "dead"
    waiting = WHEN_CALLED + WAIT.format(please=str(please), dead=str(dead))
    hook = f'{waiting}when_called("cluster.deletion.deletion.Deletion", "delete_indices", 1, "before", wait)'
    process = bench.process("run", "--once", before=f"{PATIENT}{hook}")
    while not please.exists():
        assert process.poll() is None, process.communicate()[1]
    mortal.kill()
    dead.touch()
    try:
        _, err = process.communicate(timeout=60)
    finally:
        mortal.start()
    assert process.returncode == 1, err[-3_000:]
    assert "lease not renewed" in err, "the server was not away for long enough"
    assert "Traceback" not in err, err[:3_000]
