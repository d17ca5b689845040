"""A policy, own indices and sample indices under one test's prefix, and the command line against them."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from elasticsearch.helpers import bulk

from ledgers import StoredLedger
from retention_enforcer import cli
from retention_enforcer.bootstrap import Deployment, Surroundings, SystemClock
from retention_enforcer.daemon.rhythm import Rhythm
from retention_enforcer.daemon.work import Worker
from retention_enforcer.domain.instants import DAY, HOUR, SECOND
from retention_enforcer.domain.lease import Lease
from retention_enforcer.domain.policy.names import OwnIndices
from retention_enforcer.domain.privileges import AccessRole, descriptor, rights_of
from retention_enforcer.enforcement.erasure.eraser import LONGEST_RUN
from retention_enforcer.policy_file import load_policy

MARGIN = HOUR
LIMIT = 14 * DAY
KEY = "a pseudonym key of the tests, long enough"

POLICY = """\
version: 1
name: {prefix}policy
margin: 1h
ignore: ["metrics-*"]
categories:
  - id: logs
    clause: {{document: Test promises, section: "1", item: logs, updated: 2026-01-01}}
    indices: ["{prefix}logs-*"]
    subjects: {{application: sdkappid, user: user_id}}
    max_age: {max_age}
    rollover: 1d
  - id: records
    clause: {{document: Test promises, section: "2", item: records, updated: 2026-01-01}}
    indices: ["{prefix}records"]
    subjects: {{account: uin}}
    max_age: {max_age}
"""

ROLES = {
    "setup": None,
    "ledger adopt": None,
    **dict.fromkeys(("run", "check"), AccessRole.ENFORCER),
    **dict.fromkeys(
        ("policy accept", "plan approve", "terminations approve", "terminate", "reinstate", "erase"),
        AccessRole.OPERATOR,
    ),
    **dict.fromkeys(("hold add", "hold remove", "stop", "resume"), AccessRole.OPERATOR),
}
"""The least role that may give a command; a reader where nothing is said, the superuser for None."""

MAPPING = {
    "dynamic": "strict",
    "properties": {"@timestamp": {"type": "date"}, "sdkappid": {"type": "keyword"}, "uin": {"type": "keyword"}},
}


class FixedClock:
    """Stands still, or goes beside the true time by `ahead` milliseconds."""

    def __init__(self, now: int | None = None, ahead: int = 0) -> None:
        self._now = now
        self._ahead = ahead

    def now(self) -> int:
        return self._now if self._now is not None else SystemClock().now() + self._ahead


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def plan(self, category: str) -> dict[str, Any]:
        return next(c for c in self.json["categories"] if c["id"] == category)


@dataclass
class Workbench:
    """One test's enforcer and data on a real server."""

    es: Elasticsearch
    url: str
    username: str
    password: str
    prefix: str
    folder: Path
    max_age: str = "14d"
    settings: dict[str, str] = field(default_factory=dict)
    policy_text: str = POLICY
    keys: dict[str, str] = field(default_factory=dict)
    """API keys by their privileges."""
    instant: int | None = None
    """Where the clock of commands in this process stands still; None where it goes."""
    rhythm: Rhythm = field(default_factory=Rhythm)
    erases_for: int = LONGEST_RUN
    """Milliseconds for which one run carries erasures on: 0 where a test does not ask what becomes of them."""

    @property
    def own(self) -> OwnIndices:
        return OwnIndices(self.prefix)

    @property
    def policy_path(self) -> Path:
        path = self.folder / "policy.yaml"
        path.write_text(self.policy_text.format(prefix=self.prefix, max_age=self.max_age), encoding="utf-8")
        return path

    @property
    def environ(self) -> dict[str, str]:
        login = {"ENFORCER_ELASTICSEARCH_USERNAME": self.username, "ENFORCER_ELASTICSEARCH_PASSWORD": self.password}
        return {
            "ENFORCER_MODE": "enforce",
            "ENFORCER_POLICY_FILE": str(self.policy_path),
            "ENFORCER_ELASTICSEARCH_URL": self.url,
            "ENFORCER_PSEUDONYM_KEY": KEY,
            "ENFORCER_HTTP_ADDRESS": "127.0.0.1:0",
            **(login if self.username else {}),
            **self.settings,
        }

    def environ_for(self, *arguments: str) -> dict[str, str]:
        """The environment for a command: as the superuser, or with TEST_ROLES=1 as the least role that may give it."""
        role = ROLES.get(arguments[0], ROLES.get(" ".join(arguments[:2]), AccessRole.READER))
        if role is None or os.environ.get("TEST_ROLES", "0") in {"", "0"} or "ELASTICSEARCH_API_KEY" in self.settings:
            return self.environ
        return self.environ_of(role)

    def environ_of(self, role: AccessRole) -> dict[str, str]:
        """The environment with an API key of this role alone."""
        return self.environ_with(descriptor(rights_of(role), load_policy(self.policy_path), self.own))

    def environ_with(self, body: dict[str, Any]) -> dict[str, str]:
        """The environment with an API key that has these privileges alone."""
        known = json.dumps(body)
        if known not in self.keys:
            key = self.es.security.create_api_key(
                name=f"{self.prefix}key", role_descriptors={"role": body}, expiration="1h"
            )
            self.keys[known] = key["encoded"]
        hidden = {"ENFORCER_ELASTICSEARCH_USERNAME": "", "ENFORCER_ELASTICSEARCH_PASSWORD": ""}
        return {**self.environ, **hidden, "ENFORCER_ELASTICSEARCH_API_KEY": self.keys[known]}

    # --- the command line ---

    def run(self, *arguments: str, clock: Any = None, environ: Mapping[str, str] | None = None) -> Ran:
        """Run a command in this process, so that it can be given a clock."""
        surroundings = Surroundings(
            environ=environ or self.environ_for(*arguments),
            own=self.own,
            clock=clock or FixedClock(self.instant),
            rhythm=self.rhythm,
            erases_for=self.erases_for,
        )
        out, err = io.StringIO(), io.StringIO()
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            with redirect_stdout(out), redirect_stderr(err):
                code = cli.main(arguments, surroundings)
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return Ran(code, out.getvalue(), err.getvalue())

    def process(self, *arguments: str, before: str = "", **options: Any) -> subprocess.Popen[str]:
        """Start a command in a process of its own; `before` is Python that runs first in it."""
        program = (
            "import os, sys\n"
            "from retention_enforcer import cli\n"
            "from retention_enforcer.bootstrap import Surroundings\n"
            "from retention_enforcer.daemon.rhythm import Rhythm\n"
            "from retention_enforcer.domain.policy.names import OwnIndices\n"
            f"{before}\n"
            f"own, rhythm, erases_for = {self.own!r}, {self.rhythm!r}, {self.erases_for}\n"
            "surroundings = Surroundings(os.environ, own, rhythm=rhythm, erases_for=erases_for)\n"
            "from retention_enforcer.__main__ import end\n"
            f"end(cli.main({list(arguments)!r}, surroundings))\n"
        )
        return subprocess.Popen(
            [sys.executable, "-c", program],
            env={"PATH": "/usr/bin:/bin", **self.environ_for(*arguments)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    @contextmanager
    def working(self) -> Iterator[Worker]:
        """A daemon's worker under its lease, to be called run after run."""
        acting = Deployment(Surroundings(environ=self.environ, own=self.own, erases_for=self.erases_for)).acting()
        assert acting.lease.try_to_take()
        try:
            acting.worker.start()
            yield acting.worker
        finally:
            acting.lease.release()

    def ready(self) -> None:
        """Create the own indices and accept the policy."""
        assert self.run("setup", "--indices-only").code == 0
        accepted = self.run("policy", "accept")
        assert accepted.code == 0, accepted.out + accepted.err

    def stop_the_clock(self) -> None:
        """Let no time pass for commands from now on, however long they take, but by `later`.

        No more than a minute must lie between that clock and the cluster's, or they refuse.
        """
        self.instant = SystemClock().now()

    def later(self, seconds: float) -> None:
        """Let time pass on the clock that stands still, instead of waiting."""
        assert self.instant is not None
        self.instant += round(seconds * SECOND)

    def catch_up(self) -> None:
        """Let as much time pass on the clock that stands still as it is behind by now."""
        assert self.instant is not None
        self.instant = max(self.instant, SystemClock().now())

    # --- data ---

    def index(self, name: str, timestamps: Iterable[int | None], **body: Any) -> str:
        """Create an index under the prefix with one document a timestamp (None: without one); return its name."""
        full = self.prefix + name
        settings = {"number_of_shards": 1, "number_of_replicas": 0, **body.pop("settings", {})}
        self.es.indices.create(index=full, settings=settings, mappings=body.pop("mappings", MAPPING), **body)
        self.add(name, timestamps)
        return full

    def add(self, name: str, timestamps: Iterable[int | None]) -> None:
        """Add one document a timestamp."""
        documents = ({} if t is None else {"@timestamp": t} for t in timestamps)
        bulk(self.es, ({"_index": self.prefix + name, "_source": d} for d in documents), refresh=True)

    def count(self, name: str) -> int | None:
        """Count an index's documents; None if there is no such index."""
        full = self.prefix + name
        if not self.es.indices.exists(index=full):
            return None
        self.es.indices.refresh(index=full)
        return int(self.es.count(index=full)["count"])

    def is_gone(self, name: str) -> bool:
        """Whether there is no index of this name."""
        return not self.es.indices.exists(index=self.prefix + name)

    def records(self) -> list[dict[str, Any]]:
        """Return all ledger records."""
        return self.ledger.records()

    @property
    def ledger(self) -> StoredLedger:
        return StoredLedger(self.es, self.own.ledger)

    # --- after a fault ---

    def free_the_lease(self) -> None:
        """Do what its term would do in two minutes."""
        found = self.es.options(ignore_status=404).get(index=self.own.state, id="lease")
        if found.get("found"):
            lease = Lease.of(found["_source"]["body"])
            free = Lease(holder="", epoch=lease.epoch, beat=lease.beat + 1)
            self.es.index(index=self.own.state, id="lease", document={**found["_source"], "body": free.body()})

    def assert_every_intent_is_answered_once(self) -> None:
        """Each intent has one outcome that is final, and epochs never go back."""
        records = self.records()
        intents = [r["sequence"] for r in records if r["kind"] == "intent"]
        outcomes = [r for r in records if r["kind"] == "outcome" and r["action"] != "observed_deletion"]
        final = [r["intent"] for r in outcomes if r["outcome"] != "unknown"]
        assert sorted(final) == sorted(intents)
        epochs = [r["epoch"] for r in records]
        assert epochs == sorted(epochs)


@pytest.fixture
def bench(server: Any, es: Elasticsearch, prefix: str, tmp_path: Path) -> Iterator[Workbench]:
    """An enforcer of this test's own on the real server: nothing is set up or accepted yet."""
    with made_for(server, es, prefix, tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def benches(
    server: Any, es: Elasticsearch, prefixes: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Workbench]]:
    """Makes enforcers that several tests of a module share."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(made_for(server, es, prefixes(), tmp_path_factory.mktemp("bench")))


@contextmanager
def made_for(server: Any, es: Elasticsearch, prefix: str, folder: Path) -> Iterator[Workbench]:
    made = Workbench(
        es=es, url=server.url, username=server.username, password=server.password, prefix=prefix, folder=folder
    )
    yield made
    if made.keys:
        es.security.invalidate_api_key(name=f"{prefix}key")
