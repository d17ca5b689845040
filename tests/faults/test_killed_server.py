"""The server is killed in the middle of a cycle: no false `done`, and the next run ends where it would have ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch

from embedded_elasticsearch import EmbeddedServer
from kill_points import Point
from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.cluster.deletion.deletion import Deletion
from retention_enforcer.cluster.own.ledger_index import LedgerIndex
from retention_enforcer.daemon.rhythm import Rhythm
from retention_enforcer.domain.instants import DAY
from running import running, until
from workbench import Workbench

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

POINTS = {
    "before the DELETE": Point("before", Deletion.delete_indices),
    "after the DELETE, before an outcome": Point("after", Deletion.delete_indices),
    "in the middle of a trim": Point("after", Elasticsearch.bulk),
    "after the intents of a list": Point("after", LedgerIndex.create, "records[0].get('action') == 'delete_index'"),
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


@pytest.mark.parametrize("point", POINTS.values(), ids=POINTS.keys())
def test_a_run_whose_server_dies_ends_by_itself_and_the_next_finishes_it(
    bench: Workbench, mortal: EmbeddedServer, point: Point
) -> None:
    now = SystemClock().now()
    for name in ("a", "b"):
        bench.index(f"logs-{name}", [now - 20 * DAY] * 20)
    bench.index("logs-straddling", [*([now - 20 * DAY] * 1_500), *([now] * 1_500)])
    bench.index("logs-young", [now - DAY] * 500)
    bench.index("stranger", [now - 400 * DAY])
    bench.ready()
    reached, dead = bench.folder / "reached", bench.folder / "dead"
    process = bench.process("run", "--once", before=point.does(f"ask_and_wait({str(reached)!r}, {str(dead)!r})"))
    until(lambda: reached.exists() or process.poll() is not None, "the point")
    assert reached.exists(), f"it was not at that point: {process.communicate()[1]}"
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
    reached, on = bench.folder / "reached", bench.folder / "on"
    waiting = Point("before", Deletion.delete_indices).does(f"ask_and_wait({str(reached)!r}, {str(on)!r})")
    with running(bench, Rhythm(lease_renewal=0.2), before=waiting, once=True) as run:
        until(reached.exists, "the deletion")
        mortal.kill()
        try:
            run.wait_for("lease not renewed")
            on.touch()
            assert run.ended() == 1, "".join(run.lines)[-3_000:]
        finally:
            mortal.start()
        assert not any("Traceback" in line for line in run.lines), "".join(run.lines)[:3_000]
