"""A policy with many categories, fields and indices: every request stays within its bounds, and every command works."""

from __future__ import annotations

import os
import resource

import pytest
from elastic_transport import Urllib3HttpNode
from elasticsearch.helpers import bulk

from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.domain.instants import DAY
from workbench import Workbench

pytestmark = pytest.mark.timeout(3_000)

LONGEST_LINE = 4_096
"""Bytes that Elasticsearch takes for the line of a request, with method and version."""

CATEGORY = """\
  - id: category-%(n)s
    clause: {{document: Test promises, section: "%(n)s", item: category %(n)s, updated: 2026-01-01}}
    indices: ["{prefix}many-c%(n)s-*"]
    timestamp: event.times.of_category_%(n)s.created
    subjects: {{account: %(a)s, application: %(b)s, user: %(c)s}}
    owns: {{account: %(a)s, application: %(b)s}}
    forbidden_fields: ["%(d)s", "%(e)s", "%(f)s"]
    max_age: 14d
    rollover: 1d
"""


def field(n: int, kind: str) -> str:
    """A field of four parts."""
    return f"envelope.context_{n}.identity.{kind}_of_category_{n}"


def policy(categories: int) -> str:
    kinds = {"a": "account", "b": "application", "c": "user", "d": "audio", "e": "video", "f": "image"}
    texts = (CATEGORY % {"n": n, **{key: field(n, kind) for key, kind in kinds.items()}} for n in range(categories))
    return "version: 1\nname: {prefix}policy\ncategories:\n" + "".join(texts)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of the lines of all requests, as they are sent."""
    sent: list[int] = []
    original = Urllib3HttpNode.perform_request

    def measured(self: Urllib3HttpNode, method: str, target: str, *args: object, **more: object) -> object:
        sent.append(len(f"{method} {target} HTTP/1.1\r\n".encode()))
        return original(self, method, target, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Urllib3HttpNode, "perform_request", measured)
    return sent


@pytest.mark.slow
@pytest.mark.parametrize(
    ("categories", "indices"), [(20, 60), pytest.param(200, 500, marks=pytest.mark.soak)], ids=["small", "large"]
)
def test_many_categories_fields_and_indices(bench: Workbench, lines: list[int], categories: int, indices: int) -> None:
    categories = int(os.environ.get("LARGE_CATEGORIES", categories))
    indices = int(os.environ.get("LARGE_INDICES", indices))
    bench.policy_text = policy(categories)
    bench.settings |= {"ENFORCER_GRACE": "0s"}
    make(bench, categories, indices)
    bench.ready()
    due = len(range(0, indices, 2))

    def command(*arguments: str, codes: tuple[int, ...] = (0,)) -> None:
        first = len(lines)
        ran = bench.run(*arguments)
        assert ran.code in codes, (arguments, ran.out[-2_000:], ran.err[-2_000:])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        print(
            f"{' '.join(arguments)}: {len(lines) - first} requests, the longest line {max(lines[first:])}, {peak} MiB"
        )
        return ran.out

    command("plan", "--output", "json")
    command("check")
    until = ("--owner", "a", "--reason", "b", "--until", "2030-01-01")
    command("hold", "add", "--application", "held", *until)
    command("erase", "--application", "gone")
    command("run", "--once")
    # A run that lasts longer than three intervals last looked at requests before that: then they are not known.
    command("report", "--output", "json", codes=(0, 3))
    # Whether it is final depends on what else the cluster has.
    command("certificate", "--application", "gone", "--output", "json", codes=(0, 3))
    command("policy", "accept")
    found = bench.es.indices.get(index=f"{bench.prefix}many-*", features="aliases", expand_wildcards="all")
    assert len(found) == indices - due
    assert max(lines) <= LONGEST_LINE


def make(bench: Workbench, categories: int, indices: int) -> None:
    """Spread indices over the categories; every second one is due, some others have documents of the subjects."""
    now = SystemClock().now()
    settings = {"number_of_shards": 1, "number_of_replicas": 0}
    for number in range(indices):
        n = number % categories
        name = f"{bench.prefix}many-c{n}-{number}"
        bench.es.options(request_timeout=120).indices.create(
            index=name, settings=settings, mappings={"properties": properties(n)}, wait_for_active_shards="1"
        )
        whom = "held" if number % 10 == 3 else "gone" if number % 10 == 1 else "other"
        document = {
            f"event.times.of_category_{n}.created": now - (20 if number % 2 == 0 else 2) * DAY,
            field(n, "account"): "a1",
            field(n, "application"): whom,
            field(n, "user"): "u1",
        }
        other = {**document, field(n, "application"): "other"}
        bulk(bench.es, ({"_index": name, "_source": source} for source in (document, other)), refresh=False)


def properties(n: int) -> dict[str, object]:
    kinds = ("account", "application", "user")
    mapped = {f"{kind}_of_category_{n}": {"type": "keyword"} for kind in kinds}
    identity = {f"context_{n}": {"properties": {"identity": {"properties": mapped}}}}
    times = {f"of_category_{n}": {"properties": {"created": {"type": "date"}}}}
    return {
        "envelope": {"properties": identity},
        "event": {"properties": {"times": {"properties": times}}},
    }
