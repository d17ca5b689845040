"""Lifecycles on a server that has them: attaching, swapping and detaching in each state, and each hang.

Nothing here waits for a clock of days: ages are a few polls, and the polls of the server should be a second.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import pytest
from elasticsearch import ApiError, Elasticsearch
from elasticsearch.helpers import bulk

from builders import category, index
from lifecycle_bench import eventually, slow_repository
from retention_enforcer.cluster.lifecycles.changes import ClusterLifecycles
from retention_enforcer.cluster.lifecycles.reads import ClusterUser
from retention_enforcer.cluster.preflight import Capabilities
from retention_enforcer.domain.errors import ClusterUnavailable, Refused, RequestRejected
from retention_enforcer.domain.facts import Block
from retention_enforcer.domain.findings import FindingKind
from retention_enforcer.domain.instants import DAY, HOUR, SECOND
from retention_enforcer.domain.lifecycles.compiler import (
    LifecyclePolicy,
    Lifecycles,
    Stored,
    compare_stored,
    compile_lifecycles,
)
from retention_enforcer.domain.lifecycles.watch import (
    Explained,
    LifecycleService,
    expected_deletion,
    judge_managed,
)
from retention_enforcer.domain.policy.promises import Policy

LONGEST_POLL = 2 * SECOND
UNBLOCKED = {f"index.blocks.{block}": None for block in Block}


@pytest.fixture(scope="module")
def lifecycles(es: Elasticsearch) -> ClusterLifecycles:
    """The lifecycles of a server that has them."""
    if not Capabilities(es).has_lifecycles():
        pytest.skip("this server has no lifecycles: _ilm/status does not answer")
    return ClusterLifecycles(es)


@pytest.fixture
def quick(lifecycles: ClusterLifecycles) -> int:
    """The poll interval of a server on which waiting for polls takes seconds."""
    poll = lifecycles.poll_interval()
    if poll > LONGEST_POLL:
        pytest.skip(f"indices.lifecycle.poll_interval is {poll} ms: too long to wait for")
    return poll


def now() -> int:
    return int(time.time() * 1_000)


class Bench:
    """Indices, streams and compiled policies of one test."""

    def __init__(self, es: Elasticsearch, prefix: str) -> None:
        self.es = es
        self.prefix = prefix
        self.policy_name = prefix.rstrip("-")
        self.made: list[str] = []
        self.templates: list[str] = []

    def compiled(
        self, *, max_age: int = 14 * DAY, rollover: int = DAY, margin: int = HOUR, fingerprint: str = "f"
    ) -> Lifecycles:
        """The policies of a category of this test's own."""
        under = category("logs", max_age=max_age, rollover=rollover, indices=("logs-{application}-*",))
        policy = Policy(name=self.policy_name, categories=(under,), margin=margin)
        found = compile_lifecycles(policy, under, fingerprint, SECOND)
        assert isinstance(found, Lifecycles), found
        self.made += [p.name for p in found.policies]
        return found

    def put(self, lifecycles: ClusterLifecycles, **ages: int) -> Lifecycles:
        found = self.compiled(**ages)
        for policy in found.policies:
            lifecycles.put_policy(policy)
        return found

    def index(self, name: str, **settings: Any) -> str:
        full = self.prefix + name
        self.es.indices.create(index=full, settings={"number_of_shards": 1, "number_of_replicas": 0, **settings})
        return full

    def stream(self, name: str, backing: int = 1) -> list[str]:
        full = self.prefix + name
        template = {"settings": {"number_of_shards": 1, "number_of_replicas": 0}}
        self.templates.append(full)
        self.es.indices.put_index_template(
            name=full, index_patterns=[full], data_stream={}, template=template, priority=500
        )
        self.es.indices.create_data_stream(name=full)
        for _ in range(backing - 1):
            self.es.indices.rollover(alias=full)
        return self.backing(name)

    def backing(self, name: str) -> list[str]:
        (found,) = self.es.indices.get_data_stream(name=self.prefix + name)["data_streams"]
        return [one["index_name"] for one in found["indices"]]

    def fill(self, name: str) -> None:
        self.es.index(index=self.prefix + name, op_type="create", document={"@timestamp": now()}, refresh=True)

    def clean(self) -> None:
        found = self.es.indices.resolve_index(name=f"{self.prefix}*", expand_wildcards="all")
        for name in (one["name"] for one in found["indices"]):
            self.es.options(ignore_status=404).indices.put_settings(
                index=name, settings={"index.blocks.metadata": None}
            )
            self.es.options(ignore_status=404).indices.put_settings(
                index=name, settings={"index.blocks.read_only": None}
            )
        for stream in found["data_streams"]:
            self.es.options(ignore_status=404).indices.delete_data_stream(name=stream["name"])
        for name in (one["name"] for one in found["indices"] if "data_stream" not in one):
            self.es.options(ignore_status=404).indices.delete(index=name)
        for name in self.templates:
            self.es.indices.delete_index_template(name=name)
        for name in self.made:
            self.es.options(ignore_status=404).ilm.delete_lifecycle(name=name)


@pytest.fixture
def bench(es: Elasticsearch, prefix: str) -> Iterator[Bench]:
    """Data and policies under this test's prefix, which alone are removed after it."""
    made = Bench(es, prefix)
    yield made
    made.clean()


@pytest.fixture
def repository(es: Elasticsearch, prefix: str) -> Iterator[str]:
    """A repository so slow that a snapshot lasts for as long as a test needs."""
    yield from slow_repository(es, prefix)


def gone(bench: Bench, name: str) -> Callable[[], bool]:
    return lambda: not bench.es.indices.exists(index=name)


def the(policy: LifecyclePolicy | None) -> LifecyclePolicy:
    assert policy is not None
    return policy


def explained(lifecycles: ClusterLifecycles, name: str) -> Explained:
    return lifecycles.explain([name])[name]


# --- reading ------------------------------------------------------------------------------------------


def test_a_server_without_lifecycles_is_told_apart(es: Elasticsearch) -> None:
    try:
        answer = es.ilm.get_status()
    except ApiError:
        assert not Capabilities(es).has_lifecycles()
    else:
        assert Capabilities(es).has_lifecycles()
        assert ClusterLifecycles(es).status() == answer["operation_mode"]


def test_the_poll_interval_is_the_one_in_force(lifecycles: ClusterLifecycles, es: Elasticsearch) -> None:
    settings = es.cluster.get_settings(include_defaults=True, flat_settings=True).body
    levels = ("transient", "persistent", "defaults")
    expected = next(v for level in levels if (v := settings[level].get("indices.lifecycle.poll_interval")))
    assert {"1s": SECOND, "10m": 600 * SECOND}.get(expected, lifecycles.poll_interval()) == lifecycles.poll_interval()


def test_one_request_explains_hidden_and_closed_indices_too(lifecycles: ClusterLifecycles, bench: Bench) -> None:
    plain = the(bench.put(lifecycles).plain).name
    names = [bench.index("logs-a"), bench.index("logs-shut"), bench.index("logs-hid", **{"index.hidden": True})]
    (backing,) = bench.stream("logs-ds")
    free = bench.index("logs-free")
    bench.es.indices.close(index=names[1])
    assert lifecycles.attach([*names, backing], plain) == {}
    found = lifecycles.explain([f"{bench.prefix}*"])
    assert set(found) == {*names, backing}
    assert {one.policy for one in found.values()} == {plain}
    there = lifecycles.attachments([f"{bench.prefix}*"])
    assert set(there) == {*names, backing, free}
    assert [there[name].open for name in names] == [True, False, True]
    assert there[free].policy is None


def test_a_rollover_is_seen_with_its_time(lifecycles: ClusterLifecycles, bench: Bench) -> None:
    before = now()
    first, second = bench.stream("logs-ds", 2)
    there = lifecycles.attachments([f"{bench.prefix}*"])
    assert there[first].rolled_by == f"{bench.prefix}logs-ds"
    assert before - SECOND <= (there[first].rolled_over or 0) <= now() + SECOND
    assert there[second].rolled_over is None


def test_a_role_that_may_not_read_knows_nothing(lifecycles: ClusterLifecycles, bench: Bench, es: Elasticsearch) -> None:
    try:
        key = es.security.create_api_key(
            name=bench.prefix, role_descriptors={"none": {"cluster": [], "index": []}}
        ).body
    except ApiError as error:
        pytest.skip(f"this server makes no API keys ({error.meta.status})")
    try:
        with closing(with_key(es, key)) as powerless:
            for read in ("status", "poll_interval", "policies", "snapshotting"):
                with pytest.raises((RequestRejected, ClusterUnavailable)):
                    getattr(ClusterLifecycles(powerless), read)()
            with pytest.raises(RequestRejected):
                ClusterLifecycles(powerless).attachments([f"{bench.prefix}*"])
    finally:
        es.security.invalidate_api_key(ids=[key["id"]])


def with_key(es: Elasticsearch, key: Mapping[str, Any]) -> Elasticsearch:
    node = next(iter(es.transport.node_pool.all()))
    return Elasticsearch(node.base_url, api_key=key["encoded"], max_retries=0, request_timeout=60)


# --- policies -----------------------------------------------------------------------------------------


def test_a_compiled_policy_is_stored_as_it_was_compiled(lifecycles: ClusterLifecycles, bench: Bench) -> None:
    made = bench.put(lifecycles, max_age=14 * DAY + 123_456)
    stored = lifecycles.policies()
    kept = [compare_stored(policy, stored[policy.name].content) for policy in made.policies]
    assert kept == [Stored.SAME] * 4, "rolled, rolling, plain, ended"


def test_putting_a_policy_again_changes_nothing_unless_it_differs(lifecycles: ClusterLifecycles, bench: Bench) -> None:
    plain = the(bench.put(lifecycles).plain)
    lifecycles.put_policy(plain)
    assert bench.es.ilm.get_lifecycle(name=plain.name)[plain.name]["version"] == 1
    later = the(bench.compiled(fingerprint="g").plain)
    assert compare_stored(later, lifecycles.policies()[plain.name].content) is Stored.OUTDATED
    lifecycles.put_policy(later)
    assert compare_stored(later, lifecycles.policies()[plain.name].content) is Stored.SAME


def test_a_policy_of_our_name_that_is_not_ours_is_not_put(lifecycles: ClusterLifecycles, bench: Bench) -> None:
    plain = the(bench.compiled().plain)
    theirs = {"phases": {"delete": {"min_age": "900d", "actions": {"delete": {}}}}}
    bench.es.ilm.put_lifecycle(name=plain.name, policy=theirs)
    with pytest.raises(Refused, match="the enforcer did not create it"):
        lifecycles.put_policy(plain)
    assert bench.es.ilm.get_lifecycle(name=plain.name)[plain.name]["policy"]["phases"]["delete"]["min_age"] == "900d"


def test_whose_rights_a_policy_carries(lifecycles: ClusterLifecycles, bench: Bench, es: Elasticsearch) -> None:
    plain = the(bench.put(lifecycles).plain)
    me = lifecycles.identity()
    if me is None:
        pytest.skip("this server has no security")
    mine = lifecycles.policies()[plain.name]
    assert mine.acts_as(me)
    assert not mine.acts_as(replace(me, name=me.name[:-1]))
    assert not mine.acts_as(ClusterUser(name=me.name, realm="_es_api_key"))
    key = es.security.create_api_key(name=bench.prefix).body
    try:
        with closing(with_key(es, key)) as other:
            keyed = ClusterLifecycles(other)
            keyed.put_policy(the(bench.compiled(fingerprint="g").plain))
            who = keyed.identity()
            assert who == ClusterUser(name=key["id"], realm="_es_api_key")
    finally:
        es.security.invalidate_api_key(ids=[key["id"]])
    theirs = lifecycles.policies()[plain.name]
    assert theirs.acts_as(who)
    assert not theirs.acts_as(me)
    assert not theirs.acts_as(ClusterUser(name="x" * len(key["id"]), realm="_es_api_key"))


# --- attaching, swapping, detaching -------------------------------------------------------------------


def test_an_attached_policy_deletes_within_the_polls_of_its_arithmetic(
    lifecycles: ClusterLifecycles, bench: Bench, quick: int
) -> None:
    limit, margin = 12 * SECOND, 2 * SECOND
    made = bench.put(lifecycles, max_age=limit, rollover=2 * SECOND, margin=margin)
    began = now()
    dated = bench.index("logs-a")
    (writing,) = bench.stream("logs-ds")
    bench.fill("logs-ds")
    assert lifecycles.attach([dated], the(made.plain).name) == {}
    assert lifecycles.attach([writing], the(made.rolled).name) == {}
    eventually(gone(bench, dated))
    eventually(gone(bench, writing))
    assert now() - began <= limit
    assert len(bench.backing("logs-ds")) == 1


@pytest.mark.parametrize("state", ["plain", "rolled", "waiting-for-rollover", "missing-policy"])
def test_a_swap_works_in_every_state(lifecycles: ClusterLifecycles, bench: Bench, quick: int, state: str) -> None:
    made = bench.put(lifecycles)
    name, before = {
        "plain": lambda: (bench.index("logs-a"), the(made.plain).name),
        "rolled": lambda: (bench.stream("logs-ds", 2)[0], the(made.rolled).name),
        "waiting-for-rollover": lambda: (bench.stream("logs-ds")[0], the(made.rolled).name),
        "missing-policy": lambda: (bench.index("logs-a"), f"{bench.prefix}none"),
    }[state]()
    lifecycles.attach([name], before)
    # Of a policy that is missing 8.10 says no step at all, 8.17 an error.
    waiting = {"waiting-for-rollover": ("check-rollover-ready",), "missing-policy": (None, "ERROR")}
    eventually(lambda: explained(lifecycles, name).step in waiting.get(state, ("complete",)))
    if state == "waiting-for-rollover":
        bench.es.indices.rollover(alias=f"{bench.prefix}logs-ds")
    assert lifecycles.swap([name], the(made.ended).name) == {}
    eventually(gone(bench, name), seconds=3 * quick / SECOND + 3)


def test_a_swap_counts_from_creation_and_no_more_from_the_rollover(lifecycles: ClusterLifecycles, bench: Bench) -> None:
    made = bench.put(lifecycles)
    (first,) = bench.stream("logs-ds")
    time.sleep(0.5)  # the server's clocks of creation and of rollover differ by up to a fifth of a second
    bench.es.indices.rollover(alias=f"{bench.prefix}logs-ds")
    lifecycles.attach([first], the(made.rolled).name)
    eventually(lambda: explained(lifecycles, first).step == "complete" and explained(lifecycles, first).phase == "hot")
    one = explained(lifecycles, first)
    assert (one.since or 0) > (one.created or 0)
    assert lifecycles.swap([first], the(made.plain).name) == {}
    eventually(lambda: explained(lifecycles, first).since == one.created)
    assert lifecycles.swap([first], the(made.plain).name, origination=now() - DAY) == {}
    assert now() - DAY - (explained(lifecycles, first).since or 0) < 60 * SECOND


def test_attaching_takes_away_every_other_date(lifecycles: ClusterLifecycles, bench: Bench) -> None:
    made = bench.put(lifecycles)
    first, _ = bench.stream("logs-ds", 2)
    ahead = {"index.lifecycle.indexing_complete": True, "index.lifecycle.origination_date": now() + DAY}
    bench.es.indices.put_settings(index=first, settings=ahead)
    assert lifecycles.attach([first], the(made.rolled).name) == {}
    eventually(lambda: explained(lifecycles, first).step == "complete" and explained(lifecycles, first).phase == "hot")
    assert explained(lifecycles, first).since == lifecycles.attachments([first])[first].rolled_over


def test_an_alias_is_rolled_over_by_its_name(lifecycles: ClusterLifecycles, bench: Bench, quick: int) -> None:
    made = bench.put(lifecycles, max_age=20 * SECOND, rollover=2 * SECOND, margin=SECOND)
    alias, name = f"{bench.prefix}w", bench.index("logs-000001")
    bench.es.indices.put_alias(index=name, name=alias, is_write_index=True)
    bench.es.index(index=alias, document={"@timestamp": now()}, refresh=True)
    assert lifecycles.attach([name], the(made.rolled).name, rollover_alias=alias) == {}
    eventually(lambda: lifecycles.attachments([name])[name].rolled_by == alias)
    assert bench.es.indices.exists(index=f"{bench.prefix}logs-000002")


@pytest.mark.parametrize("block", [*Block, "closed"])
def test_detaching_works_whatever_the_index_carries(lifecycles: ClusterLifecycles, bench: Bench, block: str) -> None:
    plain = the(bench.put(lifecycles).plain).name
    name, other = bench.index("logs-a"), bench.index("logs-b")
    assert lifecycles.attach([name, other], plain) == {}
    if block == "closed":
        bench.es.indices.close(index=name)
    else:
        bench.es.indices.put_settings(index=name, settings={f"index.blocks.{block}": True})
    assert lifecycles.detach([name, other, f"{bench.prefix}logs-gone"]) == {}
    there = lifecycles.attachments([name, other])
    assert [there[n].policy for n in (name, other)] == [None, None]


def test_what_could_not_be_detached_is_named(lifecycles: ClusterLifecycles, bench: Bench, es: Elasticsearch) -> None:
    plain = the(bench.put(lifecycles).plain).name
    mine, theirs = bench.index("logs-mine"), bench.index("logs-theirs")
    assert lifecycles.attach([mine, theirs], plain) == {}
    role = {"cluster": ["monitor"], "index": [{"names": [mine], "privileges": ["all"]}]}
    try:
        key = es.security.create_api_key(name=bench.prefix, role_descriptors={"mine": role}).body
    except ApiError as error:
        pytest.skip(f"this server makes no API keys ({error.meta.status})")
    try:
        with closing(with_key(es, key)) as limited:
            assert ClusterLifecycles(limited).detach([mine, theirs]).keys() == {theirs}
            failed = ClusterLifecycles(limited).attach([theirs], the(bench.compiled().ended).name)
            assert "is not allowed" in failed[theirs]
    finally:
        es.security.invalidate_api_key(ids=[key["id"]])
    assert lifecycles.attachments([mine])[mine].policy is None


def test_one_blocked_index_does_not_keep_the_others_from_being_attached(
    lifecycles: ClusterLifecycles, bench: Bench
) -> None:
    plain = the(bench.put(lifecycles).plain).name
    names = [bench.index(f"logs-{n}") for n in "abc"]
    bench.es.indices.put_settings(index=names[1], settings={"index.blocks.read_only": True})
    failed = lifecycles.attach([*names, f"{bench.prefix}logs-gone"], plain)
    assert set(failed) == {names[1]}
    assert "blocked by" in failed[names[1]]
    assert [lifecycles.attachments(names)[name].policy for name in names] == [plain, None, plain]


def test_a_name_that_could_be_a_pattern_is_no_name(lifecycles: ClusterLifecycles, bench: Bench) -> None:
    name = bench.index("logs-a")
    lifecycles.attach([name], the(bench.put(lifecycles).plain).name)
    for pattern in (f"{bench.prefix}*", "_all", f"{name},x", "-x", ""):
        with pytest.raises(ValueError, match="is not the name of one index"):
            lifecycles.detach([pattern])
        with pytest.raises(ValueError, match="is not the name of one index"):
            lifecycles.attach([pattern], "p")
    assert lifecycles.attachments([name])[name].policy is not None
    assert lifecycles.detach([]) == {}
    assert lifecycles.swap([], "p") == {}


def test_many_indices_go_in_lists_that_fit_into_a_url(lifecycles: ClusterLifecycles, bench: Bench) -> None:
    plain = the(bench.put(lifecycles).plain).name
    names = [bench.index(f"logs-{'x' * 200}-{n}") for n in range(26)]
    asked = 0

    class Counted:
        def __enter__(self) -> None:
            nonlocal asked
            asked += 1

        def __exit__(self, *_: object) -> None: ...

    assert lifecycles.attach(names, plain, permit=Counted) == {}
    assert 3 <= asked <= 4
    assert lifecycles.detach(names) == {}


# --- hangs --------------------------------------------------------------------------------------------


def judged(lifecycles: ClusterLifecycles, name: str, policy: LifecyclePolicy | None, **more: Any) -> str | None:
    around = LifecycleService(
        poll=lifecycles.poll_interval(), status=lifecycles.status(), snapshotting=lifecycles.snapshotting()
    )
    found = judge_managed(category(), explained(lifecycles, name), policy, around, now(), **more)
    return found.kind if found else None


def test_a_policy_that_was_overwritten_while_waiting_is_found_and_freed_by_a_swap(
    lifecycles: ClusterLifecycles, bench: Bench, quick: int
) -> None:
    made = bench.put(lifecycles)
    (name,) = bench.stream("logs-ds")
    lifecycles.attach([name], the(made.rolled).name)
    eventually(lambda: explained(lifecycles, name).step == "check-rollover-ready")
    amiss = lifecycles.attach([name], the(made.plain).name)
    assert amiss == {name: f"it still runs under {the(made.rolled).name}"}
    assert judged(lifecycles, name, made.plain) == FindingKind.LIFECYCLE_STALE
    assert lifecycles.swap([name], the(made.plain).name) == {}
    assert judged(lifecycles, name, made.plain) is None


def test_a_missing_policy_is_found(lifecycles: ClusterLifecycles, bench: Bench, quick: int) -> None:
    name = bench.index("logs-a")
    lifecycles.attach([name], f"{bench.prefix}none")
    eventually(lambda: judged(lifecycles, name, None) == FindingKind.LIFECYCLE_MISSING)


def test_a_write_index_in_delete_is_found_and_freed_by_a_rollover_and_a_swap(
    lifecycles: ClusterLifecycles, bench: Bench, quick: int
) -> None:
    ended = the(bench.put(lifecycles).ended)
    _, writing = bench.stream("logs-ds", 2)
    lifecycles.attach([writing], ended.name)
    eventually(lambda: explained(lifecycles, writing).step == "delete")
    facts = index(writing, write_index=True, stream=f"{bench.prefix}logs-ds")
    assert judged(lifecycles, writing, ended, facts=facts) == FindingKind.LIFECYCLE_WRITE_INDEX
    bench.es.indices.rollover(alias=f"{bench.prefix}logs-ds")
    assert lifecycles.swap([writing], ended.name) == {}
    eventually(gone(bench, writing), seconds=3 * quick / SECOND + 3)
    assert len(bench.backing("logs-ds")) == 2


def test_a_closed_and_a_read_only_index_are_found_in_both_halves_of_their_retries(
    lifecycles: ClusterLifecycles, bench: Bench, quick: int
) -> None:
    ended = the(bench.put(lifecycles).ended)
    shut, blocked = bench.index("logs-shut"), bench.index("logs-ro")
    bench.es.indices.close(index=shut)
    lifecycles.attach([shut, blocked], ended.name)
    bench.es.indices.put_settings(index=blocked, settings={"index.blocks.read_only": True})
    eventually(lambda: explained(lifecycles, shut).retries > 0 and explained(lifecycles, blocked).retries > 0)
    seen: set[str | None] = set()

    def both_halves() -> bool:
        assert judged(lifecycles, shut, ended, closed=True) == FindingKind.LIFECYCLE_CLOSED
        assert judged(lifecycles, blocked, ended) == FindingKind.LIFECYCLE_ERROR
        seen.add(explained(lifecycles, shut).step)
        return len(seen) > 1

    eventually(both_halves)
    assert seen == {"ERROR", "wait-for-shard-history-leases"}
    bench.es.indices.put_settings(index=blocked, settings={"index.blocks.read_only": None})
    eventually(gone(bench, blocked))
    assert bench.es.indices.exists(index=shut, expand_wildcards="all")


def test_a_metadata_block_hides_an_index_from_explain_but_not_from_the_state(
    lifecycles: ClusterLifecycles, bench: Bench
) -> None:
    plain = the(bench.put(lifecycles).plain)
    name, other = bench.index("logs-a"), bench.index("logs-b")
    lifecycles.attach([name, other], plain.name)
    bench.es.indices.put_settings(index=name, settings={"index.blocks.metadata": True})
    with pytest.raises(RequestRejected, match="blocked by"):
        lifecycles.explain([f"{bench.prefix}logs-*"])
    assert set(lifecycles.explain([f"{bench.prefix}logs-*,-{name}"])) == {other}
    assert lifecycles.attachments([f"{bench.prefix}logs-*"])[name].policy == plain.name


def test_an_index_of_which_a_snapshot_is_taken_waits_in_silence(
    lifecycles: ClusterLifecycles, bench: Bench, quick: int, repository: str
) -> None:
    ended = the(bench.put(lifecycles).ended)
    name, other = bench.index("logs-a"), bench.index("logs-b")
    documents = ({"_index": name, "_source": {"x": secrets.token_hex(2_000)}} for _ in range(150))
    bulk(bench.es, documents, refresh=True)
    bench.es.snapshot.create(repository=repository, snapshot="one", indices=name, wait_for_completion=False)
    lifecycles.attach([name, other], ended.name)
    eventually(gone(bench, other))
    assert lifecycles.snapshotting() >= {name}
    assert explained(lifecycles, name).retries == 0
    assert judged(lifecycles, name, ended) == FindingKind.LIFECYCLE_SNAPSHOT
    bench.es.snapshot.delete(repository=repository, snapshot="one")
    assert name not in lifecycles.snapshotting()
    eventually(gone(bench, name))


def test_a_clone_of_a_rolled_index_fails_and_is_freed_by_a_swap(
    lifecycles: ClusterLifecycles, bench: Bench, quick: int
) -> None:
    made = bench.put(lifecycles)
    first, _ = bench.stream("logs-ds", 2)
    lifecycles.attach([first], the(made.rolled).name)
    bench.es.indices.put_settings(index=first, settings={"index.blocks.write": True})
    clone = f"{bench.prefix}logs-clone"
    bench.es.indices.clone(index=first, target=clone, settings={"index.number_of_replicas": 0})
    eventually(lambda: judged(lifecycles, clone, made.rolled) == FindingKind.LIFECYCLE_ERROR)
    assert lifecycles.swap([clone], the(made.ended).name) == {}
    eventually(gone(bench, clone))


def test_a_date_ahead_is_found_late_long_before(lifecycles: ClusterLifecycles, bench: Bench, quick: int) -> None:
    plain = the(bench.put(lifecycles).plain)
    name = bench.index("logs-a")
    assert lifecycles.attach([name], plain.name, origination=now() + 2 * DAY) == {}
    eventually(lambda: expected_deletion(explained(lifecycles, name), plain, quick, now()) is not None)
    assert judged(lifecycles, name, plain, deadline=now() + 14 * DAY) == FindingKind.LIFECYCLE_LATE
    assert judged(lifecycles, name, plain, deadline=now() + 17 * DAY) is None


def test_an_index_that_goes_while_it_is_looked_at_is_passed_over(lifecycles: ClusterLifecycles, bench: Bench) -> None:
    missing = f"{bench.prefix}logs-gone"
    assert lifecycles.attach([missing], the(bench.put(lifecycles).plain).name) == {}
    assert lifecycles.detach([missing]) == {}
    with pytest.raises(RequestRejected) as raised:
        lifecycles.explain([missing])
    assert raised.value.status == HTTPStatus.NOT_FOUND
