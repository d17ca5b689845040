"""A fault at every request of a run in turn: a table of call, fault and result, and nothing in it that is not true.

It takes about half an hour; SOAK_ONLY, a pattern, names the requests to which it is confined.
"""

from __future__ import annotations

import os
import re
import secrets
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from elasticsearch import Elasticsearch

from network import (
    Place,
    Stage,
    assert_erased,
    assert_erasure_honest,
    assert_honest,
    assert_settled,
    fault_at,
    faults_of,
    places_of,
    run_through,
)
from proxy import Fault
from retention_enforcer.enforcement.erasure import eraser
from workbench import Workbench

if TYPE_CHECKING:
    from conftest import Server

WORKERS = 3
LEASES = 32.0
"""Seconds after which a deleted document may leave its files: leases move on every 30."""
AT_ONCE = 16
"""Erasures that wait for that together."""


@dataclass(frozen=True, slots=True)
class Address:
    """The server, as a process of its own is told of it."""

    url: str
    username: str
    password: str

    @contextmanager
    def stage(self) -> Iterator[Stage]:
        login = (self.username, self.password) if self.username else None
        prefix = f"t{secrets.token_hex(3)}-"
        with (
            TemporaryDirectory() as folder,
            Elasticsearch(self.url, basic_auth=login, max_retries=0, request_timeout=60) as es,
        ):
            bench = Workbench(
                es=es,
                url=self.url,
                username=self.username,
                password=self.password,
                prefix=prefix,
                folder=Path(folder),
                erases_for=0,
            )
            stage = Stage.of(bench)
            try:
                yield stage
            finally:
                stage.remove()


Case = tuple[Place | None, Fault]
Row = tuple[Place | None, Fault, str]


def purge(address: Address, place: Place | None, fault: Fault) -> tuple[Row, list[Place]]:
    """Run with a fault at a place, and judge; return also which places there were."""
    with address.stage() as stage:
        stage.fill()
        ran, proxy = run_through(stage, fault_at(place, fault, stage.bench.prefix))
        try:
            assert place is None or proxy.spoiled, "the place was not reached"
            result = assert_honest(stage, ran, proxy)
            assert_settled(stage)
        except Exception as error:  # noqa: BLE001 - a row of its own, beside all others
            result = _failed(error)
        return (place, fault, result), places_of(proxy.requests, stage.bench.prefix)


def erase(address: Address, cases: Sequence[Case]) -> list[tuple[Row, list[Place]]]:
    """Do the same with runs that carry an erasure on."""
    eraser.MINUTE = 1_000  # after a failure it is tried again in a second
    found, stages, held = [], [], []
    for _ in cases:
        held.append(address.stage())
        stages.append(held[-1].__enter__())
        stages[-1].purge_earlier()
    time.sleep(LEASES)
    for (place, fault), stage, context in zip(cases, stages, held, strict=True):
        stage.bench.erases_for = 6_000
        ran, proxy = run_through(stage, fault_at(place, fault, stage.bench.prefix))
        try:
            assert place is None or proxy.spoiled, "the place was not reached"
            result = assert_erasure_honest(stage, ran)
            stage.bench.erases_for = 40_000
            assert_erased(stage)
        except Exception as error:  # noqa: BLE001 - a row of its own, beside all others
            result = _failed(error)
        found.append(((place, fault, result), places_of(proxy.requests, stage.bench.prefix)))
        context.__exit__(None, None, None)
    return found


def _failed(error: Exception) -> str:
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"FAILED: {type(error).__name__} at {where.line}: {error}"


def shown(rows: Iterable[Row]) -> str:
    """Return the table: a line for each place and result, with the faults that led to it."""
    alike: dict[tuple[str, str], list[Fault]] = {}
    for place, fault, result in rows:
        alike.setdefault((str(place), result), []).append(fault)
    return "\n".join(f"| {place} | {', '.join(faults)} | {result} |" for (place, result), faults in alike.items())


@pytest.mark.timeout(7_200)
def test_a_fault_at_every_request(server: Server) -> None:
    address = Address(server.url, server.username, server.password)
    (_, _, undisturbed), places = purge(address, None, Fault.LATENCY)
    assert undisturbed.startswith("exit 0; 0 left"), undisturbed
    (((_, _, undisturbed), while_erasing),) = erase(address, [(None, Fault.LATENCY)])
    assert undisturbed == "exit 0; erased"
    calls, started = {place.call for place in places}, time.monotonic()
    later = _cases(place for place in while_erasing if place.call not in calls)
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        erased = [pool.submit(erase, address, later[at : at + AT_ONCE]) for at in range(0, len(later), AT_ONCE)]
        purged = [pool.submit(purge, address, *case) for case in _cases(places)]
        rows = [_told(one.result()[0]) for one in purged]
        rows += [_told(row) for some in erased for row, _ in some.result()]
    print(f"\n| call | fault | result |\n|---|---|---|\n{shown(rows)}")
    failed = [row for row in rows if row[2].startswith("FAILED")]
    ends = Counter(result.split(";")[0] for _, _, result in rows)
    minutes = (time.monotonic() - started) / 60
    kinds = {place.call for place, _, _ in rows if place is not None}
    print(
        f"{len(rows)} cases at {len({place for place, _, _ in rows})} requests of {len(kinds)} kinds, server "
        f"{server.version}, {minutes:.0f} min: {len(failed)} failed; {dict(ends)}"
    )
    assert not failed


def _cases(places: Iterable[Place]) -> list[Case]:
    """Return all, or only those of requests that the pattern SOAK_ONLY finds."""
    wanted = os.environ.get("SOAK_ONLY", "")
    return [(place, fault) for place in places if re.search(wanted, str(place)) for fault in faults_of(place)]


def _told(row: Row) -> Row:
    print(*row, sep=" | ", flush=True)
    return row
