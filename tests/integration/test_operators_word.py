"""Whose word counts: policies that were accepted, in which order, and what is said while work is under way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lifecycle_bench import LifecycleBench
from retention_enforcer.bootstrap import Deployment, Surroundings, SystemClock
from retention_enforcer.cluster.deletion.deletion import Deletion
from retention_enforcer.cluster.erasure import Erasure
from retention_enforcer.cluster.lifecycles.changes import ClusterLifecycles
from retention_enforcer.domain.errors import Refused
from retention_enforcer.domain.instants import DAY, MINUTE
from retention_enforcer.domain.own.control_documents import ACCEPTED, STOP
from retention_enforcer.enforcement.expiry import purge
from workbench import Workbench


def fingerprint(bench: Workbench) -> str:
    return str(bench.run("policy", "show", "--output", "json").json["fingerprint"])


# --- the environment's word ---------------------------------------------------------------------------


def accepting(bench: Workbench, max_age: str) -> None:
    """Let the instance that is started next bring its own policy, and its environment's word for it."""
    bench.max_age = max_age
    bench.settings["ENFORCER_ACCEPT_POLICY"] = fingerprint(bench)


def test_an_old_instance_does_not_bring_its_old_policy_back(bench: Workbench) -> None:
    now = SystemClock().now()
    assert bench.run("setup", "--indices-only").code == 0
    accepting(bench, "14d")
    assert bench.run("run", "--once").code == 0
    accepting(bench, "30d")
    assert bench.run("run", "--once").code == 0
    bench.index("logs-a", [now - 20 * DAY])
    accepting(bench, "14d")
    ran = bench.run("run", "--once")
    assert ran.code == 4
    assert "ENFORCER_ACCEPT_POLICY accepts a policy only once" in ran.err
    assert bench.count("logs-a") == 1
    accepting(bench, "30d")
    assert bench.run("run", "--once").code == 0, "the last word still counts"
    bench.max_age = "14d"
    assert bench.run("policy", "accept").code == 0
    accepting(bench, "14d")
    assert bench.run("run", "--once").code == 0
    assert bench.count("logs-a") is None, "an operator can go back to it"


def test_nor_after_an_operator_accepted_another_one(bench: Workbench) -> None:
    now = SystemClock().now()
    assert bench.run("setup", "--indices-only").code == 0
    accepting(bench, "14d")
    assert bench.run("run", "--once").code == 0
    del bench.settings["ENFORCER_ACCEPT_POLICY"]
    bench.max_age = "30d"
    assert bench.run("policy", "accept").code == 0
    bench.index("logs-a", [now - 20 * DAY])
    accepting(bench, "20d")
    assert bench.run("run", "--once").code == 0
    accepting(bench, "14d")
    assert bench.run("run", "--once").code == 4
    assert bench.count("logs-a") is None, "by the 20 days, whose word was new"
    bench.index("logs-b", [now - 15 * DAY])
    assert bench.run("run", "--once").code == 4
    assert bench.count("logs-b") == 1


def test_what_was_accepted_while_an_instance_waited_for_the_lease_is_newer_than_its_word(bench: Workbench) -> None:
    assert bench.run("setup", "--indices-only").code == 0
    accepting(bench, "14d")
    waiting = Deployment(Surroundings(environ=bench.environ, own=bench.own)).acting()
    bench.max_age = "30d"
    assert bench.run("policy", "accept").code == 0
    assert waiting.lease.try_to_take()
    waiting.worker.start()
    with pytest.raises(Refused, match="was accepted last"):
        waiting.worker.raise_if_unaccepted()
    waiting.lease.release()


# --- what is said while work is under way -------------------------------------------------------------


def accept_another(bench: Workbench) -> None:
    """What `policy accept` writes, with another policy at hand."""
    body = {"fingerprint": "f" * 64, "at": SystemClock().now()}
    say(bench, ACCEPTED, body)


def set_the_flag(bench: Workbench) -> None:
    """What `stop` writes before it waits."""
    say(bench, STOP, {"at": SystemClock().now()})


def say(bench: Workbench, key: str, body: dict[str, Any]) -> None:
    source = {"kind": key, "updated": "2026-01-01T00:00:00.000Z", "body": body}
    bench.es.index(index=bench.own.control, id=key, document=source, refresh=True)


def after_the_first(patch: pytest.MonkeyPatch, owner: type, method: str, do: Callable[[], None]) -> list[int]:
    """Do something after the first call of a method; return the list in which its calls are counted."""
    original, calls = getattr(owner, method), []

    def hook(self: Any, *arguments: Any, **options: Any) -> Any:
        result = original(self, *arguments, **options)
        calls.append(1)
        if len(calls) == 1:
            do()
        return result

    patch.setattr(owner, method, hook)
    return calls


SAID = pytest.mark.parametrize("said", [accept_another, set_the_flag], ids=["another policy", "stop"])
Word = Callable[[Workbench], None]


@SAID
def test_a_long_trim_ends_before_its_next_request(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch, said: Word
) -> None:
    now = SystemClock().now()
    bench.index("records", [*[now - 20 * DAY] * 8_000, *[now] * 9_000])
    bench.ready()
    calls = after_the_first(monkeypatch, Deletion, "_delete_documents", lambda: said(bench))
    ran = bench.run("run", "--once")
    assert ran.code == 4
    assert len(calls) <= 3, "two are under way at a time"
    left = bench.count("records")
    assert left is not None
    assert 9_000 + 5_000 <= left < 17_000
    assert bench.run("ledger", "verify").code == 0


@SAID
def test_no_further_list_of_indices_is_deleted(bench: Workbench, monkeypatch: pytest.MonkeyPatch, said: Word) -> None:
    monkeypatch.setattr(purge, "BATCH", 2)
    names = [f"logs-{number}" for number in range(5)]
    for name in names:
        bench.index(name, [SystemClock().now() - 20 * DAY])
    bench.ready()
    after_the_first(monkeypatch, Deletion, "delete_indices", lambda: said(bench))
    assert bench.run("run", "--once").code == 4
    assert sum(bench.is_gone(name) for name in names) == 2
    bench.assert_every_intent_is_answered_once()


@SAID
def test_a_long_purge_for_a_termination_ends(tenants: Workbench, monkeypatch: pytest.MonkeyPatch, said: Word) -> None:
    tenants.index("logs-b", [], mappings={"properties": {"sdkappid": {"type": "keyword"}}})
    mine: list[dict[str, Any]] = [{"index": {}}, {"sdkappid": "1"}] * 6_000
    tenants.es.bulk(index=f"{tenants.prefix}logs-b", operations=mine, refresh=True)
    assert tenants.run("erase", "--application", "1").code == 0
    calls = after_the_first(monkeypatch, Deletion, "_delete_documents", lambda: said(tenants))
    assert tenants.run("run", "--once").code == 4
    assert len(calls) <= 3
    assert (tenants.count("logs-b") or 0) + sum(1_000 for _ in calls) >= 6_000


@SAID
def test_an_erasure_ends(tenants: Workbench, monkeypatch: pytest.MonkeyPatch, said: Word) -> None:
    tenants.erases_for = MINUTE
    monkeypatch.setattr(Erasure, "leases_behind", lambda *_: ())  # which takes them half a minute
    assert tenants.run("erase", "--application", "1").code == 0
    after_the_first(monkeypatch, Erasure, "_flush", lambda: said(tenants))
    merges = after_the_first(monkeypatch, Erasure, "_start_merge", lambda: None)
    assert tenants.run("run", "--once").code == 4
    assert not merges


@pytest.fixture
def managed(server: Any, es: Any, prefix: str, tmp_path: Any) -> Iterator[LifecycleBench]:
    yield from LifecycleBench.on(server, es, prefix, tmp_path)


@SAID
def test_no_further_lifecycle_is_attached(managed: LifecycleBench, monkeypatch: pytest.MonkeyPatch, said: Word) -> None:
    names = ["logs-a", "logs-b"]
    for name in names:
        managed.index(name, [managed.now()])
    managed.index("records", [managed.now()])
    managed.ready()
    after_the_first(monkeypatch, ClusterLifecycles, "put_policy", lambda: said(managed))
    managed.run("run", "--once")
    assert [managed.attached(name) for name in names] == [None, None]
