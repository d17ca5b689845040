"""What the write block before a deletion costs, and how whole indices go against plain DELETE, in one run.

    make bench
    TEST_ELASTICSEARCH_URL=http://user:password@host:9200 make bench

Each way deletes as many indices of a few documents each; the best of several turns counts, in turns. What is measured
is the carrying out of the plan, from the first intent to the last outcome.
"""

from __future__ import annotations

import io
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from bench_purge import Login, server
from elastic_transport import Transport
from elasticsearch import Elasticsearch
from elasticsearch.helpers import bulk
from table import row

from retention_enforcer import cli
from retention_enforcer.bootstrap import Surroundings
from retention_enforcer.cluster.deletion.deletion import Deletion
from retention_enforcer.domain.policy.names import OwnIndices
from retention_enforcer.enforcement.expiry.purge import Purger

INDICES = int(os.environ.get("BENCH_INDICES", "2000"))
MOST_REQUESTS = 100
"""For 1,000 indices, all that is sent from the first intent to the last outcome."""

TURNS = 3
LIST = 20
MOST_COST = 1.0
"""Of the write block, against a time that is little without it."""

LEAST_RATIO = 0.7

SENT: list[str] = []
"""The requests of the last carrying out."""

POLICY = """\
version: 1
name: {prefix}bench
categories:
  - id: logs
    clause: {{document: Bench, section: "1", item: logs, updated: 2026-01-01}}
    indices: ["{prefix}logs-*"]
    max_age: 14d
"""


def filled(es: Elasticsearch, prefix: str) -> list[str]:
    """Create the indices that are to go; return their names."""
    names = [f"{prefix}logs-{n:04d}" for n in range(INDICES)]
    settings = {"number_of_shards": 1, "number_of_replicas": 0}
    for name in names:
        es.indices.create(
            index=name,
            settings=settings,
            mappings={"properties": {"@timestamp": {"type": "date"}}},
            wait_for_active_shards="0",
        )
    old = int(time.time() * 1000) - 20 * 24 * 3600 * 1000
    bulk(es, ({"_index": name, "_source": {"@timestamp": old + n}} for name in names for n in range(5)))
    es.indices.refresh(index=f"{prefix}logs-*")
    es.cluster.health(wait_for_no_initializing_shards=True, timeout="60s")
    return names


def plain(es: Elasticsearch, login: Login, prefix: str) -> float:
    """Nothing but DELETE, in lists."""
    names = filled(es, prefix)
    started = time.perf_counter()
    for start in range(0, len(names), LIST):
        es.indices.delete(index=names[start : start + LIST])
    return time.perf_counter() - started


def blocked(es: Elasticsearch, login: Login, prefix: str) -> float:
    """As the product does."""
    return _run(es, login, prefix)


def unblocked(es: Elasticsearch, login: Login, prefix: str) -> float:
    """As the product would do without the write block."""

    def nothing(self: Deletion, names: Sequence[str]) -> dict[str, bool]:
        return dict.fromkeys(names, True)

    with _replaced(Deletion, "stop_writes", nothing):
        return _run(es, login, prefix)


WAYS: dict[str, Callable[[Elasticsearch, Login, str], float]] = {
    "blocked": blocked,
    "unblocked": unblocked,
    "plain": plain,
}


@contextmanager
def _replaced(cls: type, name: str, function: Callable[..., Any]) -> Iterator[None]:
    original = getattr(cls, name)
    setattr(cls, name, function)
    try:
        yield
    finally:
        setattr(cls, name, original)


def _run(es: Elasticsearch, login: Login, prefix: str) -> float:
    took: list[float] = []
    original, send = Purger.carry_out, Transport.perform_request

    def counted(self: Transport, method: str, target: str, **options: Any) -> Any:
        SENT.append(f"{method} {target.partition('?')[0][:60]}")
        return send(self, method, target, **options)

    def timed(self: Purger, *arguments: Any, **options: Any) -> None:
        started = time.perf_counter()
        SENT.clear()
        with _replaced(Transport, "perform_request", counted):
            original(self, *arguments, **options)
        took.append(time.perf_counter() - started)

    with tempfile.TemporaryDirectory() as folder:
        policy = Path(folder) / "policy.yaml"
        policy.write_text(POLICY.format(prefix=prefix), encoding="utf-8")
        environ = {
            "ENFORCER_MODE": "enforce",
            "ENFORCER_POLICY_FILE": str(policy),
            "ENFORCER_ELASTICSEARCH_URL": login.url,
            "ENFORCER_ELASTICSEARCH_USERNAME": login.username,
            "ENFORCER_ELASTICSEARCH_PASSWORD": login.password,
            "ENFORCER_PSEUDONYM_KEY": "a pseudonym key of the bench, long enough",
            "ENFORCER_HTTP_ADDRESS": "127.0.0.1:0",
            "ENFORCER_MAX_SHARE": "1",
            "ENFORCER_LIFECYCLE": "direct",
        }
        surroundings = Surroundings(environ=environ, own=OwnIndices(prefix))
        for command in (["setup", "--indices-only"], ["policy", "accept"]):
            _command(command, surroundings)
        names = filled(es, prefix)
        with _replaced(Purger, "carry_out", timed):
            _command(["run", "--once"], surroundings)
    left = [index["name"] for index in es.indices.resolve_index(name=f"{prefix}logs-*")["indices"]]
    assert left == [], f"{len(left)} of {len(names)} did not go"
    return sum(took)


def _command(arguments: list[str], surroundings: Surroundings) -> None:
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        code = cli.main(arguments, surroundings)
    if code != 0:
        sys.exit(f"{arguments}: {code}\n{said.getvalue()}")


def main() -> None:
    with ExitStack() as stack:
        login = stack.enter_context(server())
        es = stack.enter_context(login.client())
        seconds: dict[str, list[float]] = {way: [] for way in WAYS}
        for turn in range(TURNS):
            for way in WAYS if turn % 2 == 0 else reversed(WAYS):
                prefix = f"t{secrets.token_hex(3)}-"
                try:
                    took = WAYS[way](es, login, prefix)
                finally:
                    _remove(es, prefix)
                seconds[way].append(took)
                requests = "" if way == "plain" else f", {len(SENT)} requests"
                print(
                    f"  {way}: {INDICES} indices in {took:.2f} s, {INDICES / took:.0f} a second{requests}", flush=True
                )
    best = {way: min(times) for way, times in seconds.items()}
    cost = best["blocked"] / best["unblocked"] - 1
    print(f"cost of the write block: {cost:.0%} of the time without (target: below {MOST_COST:.0%})")
    ratio = best["plain"] / best["blocked"]
    print(
        f"speed of whole indices against plain DELETE in lists of {LIST}: {ratio:.2f} (target: at least {LEAST_RATIO})"
    )
    requests = len(SENT) * 1_000 // INDICES
    print(f"requests for 1,000 indices: {requests} (target: at most {MOST_REQUESTS})")
    what = f"deletion of {INDICES:,} whole indices"
    row(what, f"DELETE in lists of {LIST}", f"{ratio:.2f} of its speed", target=f"at least {LEAST_RATIO}")
    row(what, "the same without the write block", f"{cost:+.0%} time", target=f"below +{MOST_COST:.0%}")
    row(what, "requests for 1,000 indices", f"{requests}", target=f"at most {MOST_REQUESTS}")
    missed = [
        name
        for name, is_missed in (
            ("cost of the write block", cost >= MOST_COST),
            ("speed of whole indices", ratio < LEAST_RATIO),
            ("requests", requests > MOST_REQUESTS),
        )
        if is_missed
    ]
    if missed:
        sys.exit(f"missed: {', '.join(missed)}")


def _remove(es: Elasticsearch, prefix: str) -> None:
    found = [index["name"] for index in es.indices.resolve_index(name=f"{prefix}*", expand_wildcards="all")["indices"]]
    for start in range(0, len(found), LIST):
        es.indices.delete(index=found[start : start + LIST])


if __name__ == "__main__":
    main()
