"""What a look at many indices takes of processor and memory: answers as a cluster gives them, without the cluster.

    make bench

Each number of indices is looked at in a process of its own, once. What the cluster needs for its answers is not in it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from elastic_transport import ApiResponseMeta, BaseNode, HttpHeaders
from elastic_transport._node import NodeApiResponse
from elasticsearch import Elasticsearch
from table import row

from retention_enforcer.cluster.inventory import Inventory
from retention_enforcer.domain.instants import DAY, HOUR
from retention_enforcer.domain.policy.names import IndexPattern
from retention_enforcer.domain.policy.promises import Category, Clause, Policy

SIZES = (1_000, 10_000, 50_000)
MOST_GROWTH = 2.0
"""How much more than in proportion the processor's time may grow from the smallest to the largest."""
NOW = 1_795_873_425_000


def names(count: int) -> Iterator[str]:
    return (f"logs-{number:06d}" for number in range(count))


def state(count: int) -> Any:
    described = {
        "state": "open",
        "settings": {"index": {"provided_name": "", "creation_date": str(NOW - 20 * DAY), "uuid": ""}},
        "aliases": [],
        "system": False,
    }
    indices = {}
    for name in names(count):
        settings = {"index": {**described["settings"]["index"], "provided_name": name, "uuid": f"uuid-of-{name}"}}
        indices[name] = {**described, "settings": settings}
    shards = {"shards": {"0": [{"state": "STARTED", "primary": True}]}}
    return {
        "cluster_uuid": "simulated",
        "metadata": {"indices": indices},
        "routing_table": {"indices": dict.fromkeys(names(count), shards)},
    }


def statistics(count: int) -> Any:
    primary = {"docs": {"count": 3}, "store": {"size_in_bytes": 3_612}}
    shards = {"0": [{"routing": {"primary": True}, "seq_no": {"max_seq_no": 2}}]}
    return {"indices": {n: {"uuid": f"uuid-of-{n}", "primaries": primary, "shards": shards} for n in names(count)}}


def found(indices: list[str]) -> Any:
    def of(name: str) -> dict[str, Any]:
        old = int(name[-6:]) % 10 == 0
        counted = {"documents": {"value": 3}}
        instant = float(NOW - (20 if old else 2) * DAY)
        due = {"documents": {"value": 3 if old else 0}}
        return {
            "key": name,
            "having": counted,
            "dated": {
                "overdue": due,
                "documents": {"value": 3},
                "due": due,
                "newest": {"value": instant},
                "oldest": {"value": instant},
                "coming": {"documents": {"value": 0}},
                "values": {"value": 3},
            },
            "documents": {"value": 3},
        }

    return {
        "timed_out": False,
        "_shards": {"total": len(indices), "successful": len(indices), "skipped": 0, "failed": 0},
        "hits": {"total": {"value": 3 * len(indices), "relation": "eq"}},
        "aggregations": {"indices": {"sum_other_doc_count": 0, "buckets": [of(name) for name in indices]}},
        "status": 200,
    }


@lru_cache(maxsize=1)
def answers(count: int) -> Mapping[str, bytes]:
    every = {
        "/_cluster/state/metadata,routing_table": state(count),
        "/_stats/": statistics(count),
        "/_refresh": {"_shards": {"successful": count, "failed": 0}},
        "/_field_caps": {"indices": list(names(count)), "fields": {"@timestamp": {"date": {"type": "date"}}}},
        "/_mapping": {},
        "/_cluster/settings": {"defaults": {"search": {"max_buckets": "65536", "max_keep_alive": "24h"}}},
        "/_nodes/http": {"nodes": {"a": {"http": {"max_content_length_in_bytes": 104_857_600}}}},
        "/_data_stream": {"data_streams": []},
        "/_security/_authenticate": {"username": "a", "roles": ["superuser"]},
        "/_security/user/_privileges": {"indices": [{"names": ["*"], "privileges": ["all"]}]},
    }
    return {path: json.dumps(answer).encode() for path, answer in every.items()}


class Answers(BaseNode):
    """Answers in the place of a cluster; what is not foreseen is an error."""

    count = 0

    def perform_request(
        self, method: str, target: str, body: bytes | None = None, headers: Any = None, request_timeout: Any = None
    ) -> NodeApiResponse:
        path = target.partition("?")[0]
        if path == "/_msearch":
            asked = [line for line in (body or b"").splitlines() if line.startswith(b'{"index"')]
            raw = json.dumps({"responses": [found(json.loads(line)["index"]) for line in asked]}).encode()
        else:
            raw = next((answer for end, answer in answers(self.count).items() if end in path), b"")
            if not raw:
                raise LookupError(f"{method} {path}")
        kind = {"x-elastic-product": "Elasticsearch", "content-type": "application/vnd.elasticsearch+json"}
        return NodeApiResponse(ApiResponseMeta(200, "1.1", HttpHeaders(kind), 0.0, self.config), raw)

    def close(self) -> None:
        pass


def look(count: int) -> None:
    """Look at so many indices, and say how long that took and what it weighed."""
    Answers.count = count
    answers(count)
    clause = Clause(document="Bench", section="1", item="logs", updated="2026-01-01")
    category = Category(id="logs", clause=clause, indices=(IndexPattern("logs-*"),), max_age=14 * DAY)
    policy = Policy(name="bench", categories=(category,), margin=HOUR)
    es = Elasticsearch("http://localhost:9200", node_class=Answers)
    before = weight("VmRSS")
    started = time.process_time()
    facts = Inventory(es).observe(policy, [category], NOW, {})["logs"]
    took = time.process_time() - started
    assert len(facts.indices) == count
    print(json.dumps({"seconds": took, "mib": weight("VmHWM") - before}))


def weight(what: str) -> float:
    """Return the memory of this process in MiB: VmRSS now, VmHWM at its peak."""
    said = re.search(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    assert said is not None
    return int(said[1]) / 1024


def main() -> None:
    if len(sys.argv) > 1:
        look(int(sys.argv[1]))
        return
    each: dict[int, float] = {}
    for count in SIZES:
        ran = subprocess.run([sys.executable, __file__, str(count)], capture_output=True, text=True, check=True)
        weighed = json.loads(ran.stdout)
        each[count] = weighed["seconds"] / count
        print(
            f"a look at {count:,} indices: {weighed['seconds']:.2f} s of processor, "
            f"{weighed['mib']:.0f} MiB more than before it",
            flush=True,
        )
        memory = f"{weighed['mib']:.0f} MiB more"
        row(
            f"look at {count:,} indices", "(processor, answers simulated)", f"{weighed['seconds']:.2f} s", memory=memory
        )
    growth = each[SIZES[-1]] / each[SIZES[0]]
    print(f"processor an index, at {SIZES[-1]:,} against {SIZES[0]:,}: {growth:.2f} (target: below {MOST_GROWTH})")
    if growth >= MOST_GROWTH:
        sys.exit("missed: the time of a look grows faster than the number of indices")


if __name__ == "__main__":
    main()
