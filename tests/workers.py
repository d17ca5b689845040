"""A run in several workers, each with a server of its own: how many, what goes where, and what is told at the end.

`make test` asks for them; a run of one file, with `-s`, or on a given cluster stays in one process. Files go whole to
a worker, the long ones first. What needs the machine for itself runs in the main process once all workers have ended.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import psutil
import pytest

WORKER_BYTES = 2 << 30  # measured 0.9 GB with its server, and 0.6 GB for another that a test starts
MOST_WORKERS = 6
SERVER_FIXTURES = {"server", "es", "prefix", "embedded_version", "own_server"}
FIRST_SERVER_TEST_SECONDS = 900  # it may have to download 92 MB
LONG = 8  # times what another test takes

FIRST = pytest.StashKey[bool]()
ALONE = pytest.StashKey[list[str]]()
REASON = pytest.StashKey[str]()
DESCRIPTION = pytest.StashKey[str]()
SERVERS = pytest.StashKey[Counter[str]]()


def is_worker(config: pytest.Config) -> bool:
    """Whether this process is one of several."""
    return hasattr(config, "workerinput")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One more than processors, as tests wait for servers half of the time; 0 where all has to be in one process."""
    if os.environ.get("TEST_ELASTICSEARCH_URL") or config.option.capture == "no":
        return 0
    room = psutil.virtual_memory().available // WORKER_BYTES
    wanted = min((os.cpu_count() or 1) + 1, room, MOST_WORKERS, len(set(_files(config))))
    return wanted if wanted > 1 else 0


def _files(config: pytest.Config) -> Iterator[Path]:
    for argument in config.args:
        path = (config.invocation_params.dir / argument.partition("::")[0]).resolve()
        yield from path.rglob("test_*.py") if path.is_dir() else [path]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None, object, object]:
    """Mark what uses a server, and bring all into order; a worker leaves what needs the machine to the main process."""
    for item in items:
        if SERVER_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker("server")
    items[:] = _in_order(config, items)
    result = yield  # `-m` and `-k` select
    if is_worker(config):
        config.stash[ALONE] = [item.nodeid for item in items if _has(item, "alone")]
        items[:] = [item for item in items if not _has(item, "alone")]
    return result


def _in_order(config: pytest.Config, items: list[pytest.Item]) -> list[pytest.Item]:
    """Return what uses no server first: mistakes show sooner. In a worker, whole files, those that take long first."""
    if not is_worker(config):
        return sorted(items, key=lambda item: (_has(item, "server"), _has(item, "alone")))
    weights, servers = Counter[Path](), set[Path]()
    for item in items:
        weights[item.path] += LONG if _has(item, "slow") or item.path.parent.name == "faults" else 1
        if _has(item, "server"):
            servers.add(item.path)
    return sorted(items, key=lambda item: (item.path in servers, -weights[item.path], item.path))


def _has(item: pytest.Item, marker: str) -> bool:
    return item.get_closest_marker(marker) is not None


# --- what needs the machine for itself -----------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Run, after all workers have ended, what they left."""
    result = yield
    if left := session.config.stash.get(ALONE, []):
        others = session.testscollected
        items = session.perform_collect(left)
        session.testscollected = others + len(items)
        for item, following in zip_longest(items, items[1:]):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.shouldfail:
                raise session.Failed(session.shouldfail)
            if session.shouldstop:
                raise session.Interrupted(session.shouldstop)
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before its timeout is looked up
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Give the first test on a server of this process the time to get one."""
    if _has(item, "server") and item.config.stash.setdefault(FIRST, True):
        item.config.stash[FIRST] = False
        if not _has(item, "timeout"):
            item.add_marker(pytest.mark.timeout(FIRST_SERVER_TEST_SECONDS))
    return (yield)


# --- what is told at the end -----------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the main process what only the worker knows."""
    config = session.config
    if is_worker(config):
        found = {"alone": ALONE, "description": DESCRIPTION, "reason": REASON}
        config.workeroutput |= {name: config.stash[key] for name, key in found.items() if key in config.stash}


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what a worker tells; one that crashed tells nothing."""
    told, stash = getattr(node, "workeroutput", {}), node.config.stash
    if "alone" in told:
        stash[ALONE] = told["alone"]
    if "reason" in told:
        stash[REASON] = told["reason"]
    if "description" in told:
        stash.setdefault(SERVERS, Counter())[told["description"]] += 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how many tests ran on a real server, or loudly that some did not."""
    counted = Counter[str]()
    for outcome in ("passed", "failed", "xfailed", "error", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            if "server" in getattr(report, "keywords", ()) and (
                report.when == "call" or outcome in {"error", "skipped"}
            ):
                counted["skipped" if outcome == "skipped" else "ran" if report.when == "call" else "broken"] += 1
    if counted["ran"]:
        text = f"{counted['ran']} tests ran on {_servers(config)}"
        terminalreporter.write_sep("=", text, green=True, bold=True)
    if REASON in config.stash:  # a test that skips for a reason of its own is none of these
        missed, reason = counted["skipped"] + counted["broken"], config.stash[REASON].splitlines()[0]
        text = f"{missed} TESTS DID NOT RUN ON A REAL ELASTICSEARCH: {reason}"
        terminalreporter.write_sep("!", text, red=True, bold=True)


def _servers(config: pytest.Config) -> str:
    servers = config.stash.get(SERVERS, Counter[str]())
    if DESCRIPTION in config.stash:
        servers[config.stash[DESCRIPTION]] += 1
    several = [f"{what}, {count} of them" if count > 1 else what for what, count in servers.items()]
    return "; ".join(several) or "a real Elasticsearch"
