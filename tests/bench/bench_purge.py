"""How fast a terminated tenth of a million documents goes, against Elasticsearch's own ways, in one run.

    make bench                                              on the embedded server, which has no `_delete_by_query`
    TEST_ELASTICSEARCH_URL=http://user:password@host:9200 make bench

Each way takes the same tenants from a clone of the same index; the best of several turns counts, in turns, so that a
busy machine burdens all alike. What is measured: from the first request to the second count of zero.
"""

from __future__ import annotations

import json
import os
import random
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from elasticsearch import BadRequestError, Elasticsearch
from elasticsearch.helpers import bulk
from table import row

from embedded_elasticsearch import EmbeddedServer
from naming import having
from retention_enforcer.cluster.client import connect
from retention_enforcer.cluster.deletion.deletion import Deletion
from retention_enforcer.domain.selection import OfSubjects, Trim

DOCUMENTS = int(os.environ.get("BENCH_DOCUMENTS", "1000000"))
TENANTS, SHARE = 1_000, 10
"""Every tenth of so many tenants goes, and with it a tenth of the documents."""

TURNS = 3
WHAT = f"purge of {DOCUMENTS // SHARE:,} of {DOCUMENTS:,} documents"
LEAST_RATIO, MOST_MIB = 0.9, 150


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A server, and who asks it."""

    url: str
    username: str
    password: str

    def client(self) -> Elasticsearch:
        """A client with patience, for what the product does not do."""
        return Elasticsearch(self.url, basic_auth=(self.username, self.password), request_timeout=600)


def tenant(number: int) -> str:
    return f"t{number}"


def doomed() -> list[str]:
    return [tenant(number) for number in range(0, TENANTS, SHARE)]


# --- the ways -----------------------------------------------------------------------------------------


def guarded(login: Login, index: str, tenants: Sequence[str]) -> int:
    """As the product does: in this process, without its pace."""
    with closing(connect([login.url], basic_auth=(login.username, login.password), timeout=60.0)) as client:
        deletion = Deletion(client, 60.0)
        matches = tuple(having(("sdkappid", name), label=name) for name in tenants)
        with login.client() as es:
            uuid = es.indices.get_settings(index=index)[index]["settings"]["index"]["uuid"]
        trimmed = deletion.trim(Trim(index=index, uuid=uuid, takes=OfSubjects(matches=matches)), nullcontext)
    assert trimmed.left == 0
    assert sum(trimmed.by_label.values()) == trimmed.deleted
    return trimmed.deleted


def by_query(login: Login, index: str, tenants: Sequence[str]) -> int:
    """`_delete_by_query` for all of them together, then the same two counts."""
    with login.client() as es:
        answer = es.delete_by_query(index=index, query={"terms": {"sdkappid": list(tenants)}}, conflicts="proceed")
        es.indices.refresh(index=index)
        for _ in range(2):
            assert es.count(index=index, query={"terms": {"sdkappid": list(tenants)}})["count"] == 0
    return int(answer["deleted"])


def one_at_a_time(login: Login, index: str, tenants: Sequence[str]) -> int:
    """What one would write first: tenant after tenant, each as the product does it."""
    return sum(guarded(login, index, [name]) for name in tenants)


# --- measuring ----------------------------------------------------------------------------------------


def measured(way: str, login: Login, index: str) -> tuple[float, int]:
    """Run one way in a process of its own; return its seconds and the peak of its memory in MiB."""
    environ = {"PATH": os.environ["PATH"], "BENCH_LOGIN": json.dumps([login.url, login.username, login.password])}
    program = [sys.executable, __file__, way, index]
    told = json.loads(subprocess.run(program, env=environ, stdout=subprocess.PIPE, check=True, text=True).stdout)
    assert told["documents"] == DOCUMENTS // SHARE, told
    return float(told["seconds"]), int(told["mib"])


def measure_here(way: str, index: str) -> None:
    url, username, password = json.loads(os.environ["BENCH_LOGIN"])
    login = Login(url=url, username=username, password=password)
    started = time.perf_counter()
    documents = WAYS[way](login, index, doomed())
    seconds = time.perf_counter() - started
    # The kernel's peak since this program began.
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    mib = int(found[1]) // 1024 if found else 0
    print(json.dumps({"seconds": seconds, "documents": documents, "mib": mib}))


WAYS: dict[str, Callable[[Login, str, Sequence[str]], int]] = {
    "guarded": guarded,
    "by-query": by_query,
    "one-at-a-time": one_at_a_time,
}


def filled(es: Elasticsearch, index: str) -> None:
    """Create the index that the others are clones of: its documents in random order, as tenants write them."""
    settings = {"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": "-1"}
    fields = {"sdkappid": {"type": "keyword"}, "@timestamp": {"type": "date"}, "n": {"type": "integer"}}
    es.indices.create(index=index, settings=settings, mappings={"properties": fields})
    order = [tenant(number % TENANTS) for number in range(DOCUMENTS)]
    random.Random(1).shuffle(order)
    documents = (
        {"_index": index, "_source": {"sdkappid": who, "@timestamp": 1_700_000_000_000 + n, "n": n}}
        for n, who in enumerate(order)
    )
    bulk(es, documents, chunk_size=10_000)
    es.indices.refresh(index=index)
    es.indices.put_settings(index=index, settings={"index.blocks.write": True})


def cloned(es: Elasticsearch, source: str, target: str) -> str:
    settings = {"index.number_of_replicas": 0, "index.blocks.write": None, "index.refresh_interval": None}
    es.indices.clone(index=source, target=target, settings=settings, wait_for_active_shards="1")
    es.cluster.health(index=target, wait_for_status="green", timeout="120s")
    return target


def has_delete_by_query(es: Elasticsearch, index: str) -> bool:
    try:
        es.delete_by_query(index=index, query={"match_none": {}})
    except BadRequestError:  # 400: no handler found
        return False
    return True


@contextmanager
def server() -> Iterator[Login]:
    """The server at TEST_ELASTICSEARCH_URL, or else the embedded one."""
    if url := os.environ.get("TEST_ELASTICSEARCH_URL"):
        parts = urlsplit(url)
        bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        yield Login(url=bare, username=unquote(parts.username or ""), password=unquote(parts.password or ""))
        return
    with EmbeddedServer(heap="2g") as embedded:
        yield Login(url=embedded.url, username=embedded.admin.username, password=embedded.admin.password)


def main() -> None:
    with ExitStack() as stack:
        login = stack.enter_context(server())
        es = stack.enter_context(login.client())
        prefix = f"t{secrets.token_hex(3)}-"
        made: list[str] = []
        try:
            compare(es, login, prefix, made)
        finally:
            for name in made:
                es.options(ignore_status=404).indices.delete(index=name)


def compare(es: Elasticsearch, login: Login, prefix: str, made: list[str]) -> None:
    source = f"{prefix}source"
    made.append(source)
    started = time.perf_counter()
    filled(es, source)
    print(f"{DOCUMENTS:,} documents of {TENANTS:,} tenants in {time.perf_counter() - started:.0f} s", flush=True)
    ways = list(WAYS)
    trial = cloned(es, source, f"{prefix}trial")
    made.append(trial)
    if not has_delete_by_query(es, trial):
        print("this server has no _delete_by_query: the purge is compared with the loop alone")
        ways.remove("by-query")
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    peaks: list[int] = []
    for turn in range(TURNS):
        for way in ways if turn % 2 == 0 else reversed(ways):
            if way == "one-at-a-time" and turn > 0:
                continue  # it takes long, and its figure need not be exact
            made.append(cloned(es, source, f"{prefix}{way}-{turn}"))
            took, mib = measured(way, login, made[-1])
            seconds[way].append(took)
            peaks += [mib] if way == "guarded" else []
            es.indices.delete(index=made.pop())
            print(f"  {way}: {took:.2f} s, {DOCUMENTS / SHARE / took:,.0f} documents/s, {mib} MiB", flush=True)
    verdict({way: min(times) for way, times in seconds.items()}, max(peaks))


def verdict(best: dict[str, float], mib: int) -> None:
    """Print the ratios; end with 1 where a target is missed."""
    missed = []
    if "by-query" in best:
        ratio = best["by-query"] / best["guarded"]
        print(f"speed against _delete_by_query: {ratio:.2f} (target: at least {LEAST_RATIO})")
        missed += ["speed"] if ratio < LEAST_RATIO else []
        target = f"at least {LEAST_RATIO}"
        row(WHAT, "_delete_by_query", f"{ratio:.2f} of its speed", target=target, memory=f"{mib} MiB")
    loop = best["one-at-a-time"] / best["guarded"]
    print(f"speed against one tenant at a time: {loop:.1f}")
    row(WHAT, "one tenant at a time", f"{loop:.1f} times its speed", memory=f"{mib} MiB")
    print(f"peak memory of the purge: {mib} MiB (target: under {MOST_MIB})")
    missed += ["memory"] if mib >= MOST_MIB else []
    if missed:
        sys.exit(f"missed: {', '.join(missed)}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure_here(*sys.argv[1:])
    else:
        main()
