"""Snapshots as read from a real server: what they hold, what cannot be read, and at what cost."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING, Any

import pytest
from elastic_transport import Urllib3HttpNode
from elasticsearch import ApiError, Elasticsearch

from backups import Backups
from retention_enforcer.cluster.coverage.snapshots import Snapshots, lifecycle_of
from retention_enforcer.cluster.preflight import Capabilities
from retention_enforcer.domain.coverage.snapshots import (
    GovernedIndex,
    Repository,
    Snapshot,
    SnapshotsSeen,
    snapshot_findings,
)
from retention_enforcer.domain.findings import Finding
from retention_enforcer.domain.instants import DAY, HOUR, SECOND
from retention_enforcer.domain.policy.names import IndexPattern
from retention_enforcer.domain.policy.promises import Category, Clause, Policy

if TYPE_CHECKING:
    from conftest import Server

LIMIT = 14 * DAY
CLAUSE = Clause(document="a module", section="6", item="logs", updated="2022-08-11")
NEVER = "0 0 0 1 1 ? 2099"  # a schedule of SLM
PATIENCE = 30.0

pytestmark = pytest.mark.filterwarnings("ignore::elasticsearch.ElasticsearchWarning")  # a wildcard met a dot index


def policy_of(prefix: str, *patterns: str) -> Policy:
    indices = tuple(IndexPattern(prefix + pattern) for pattern in patterns or ("logs-*",))
    return Policy(name="trtc", categories=(Category(id="logs", clause=CLAUSE, indices=indices, max_age=LIMIT),))


def now() -> int:
    return int(time.time() * SECOND)


class WatchedNode(Urllib3HttpNode):
    """Keeps what was asked, and does something before it is sent."""

    sent: list[str] = []  # noqa: RUF012 - one list for the nodes of a test, renewed by `Look`
    before: Callable[[str], None] | None = None

    def perform_request(self, method: str, target: str, *args: Any, **more: Any) -> Any:
        WatchedNode.sent.append(f"{method} {target}")
        if WatchedNode.before is not None:
            WatchedNode.before(target)
        return super().perform_request(method, target, *args, **more)


class Look:
    """One reader of snapshots, as a daemon keeps it, and the requests of its last look."""

    def __init__(self, client: Elasticsearch, prefix: str) -> None:
        self._snapshots = Snapshots(client, Capabilities(client))
        self._prefix = prefix
        self.whole = SnapshotsSeen(repositories=())

    def __call__(
        self, policy: Policy | None = None, before: Callable[[str], None] | None = None
    ) -> dict[str, Repository]:
        """The test's own repositories, by their names without the prefix."""
        WatchedNode.sent, WatchedNode.before = [], before
        try:
            self.whole = self._snapshots.read(policy or policy_of(self._prefix))
        finally:
            WatchedNode.before = None
        mine = (each for each in self.whole.repositories if each.name.startswith(self._prefix))
        return {each.name.removeprefix(self._prefix): each for each in mine}

    def asked(self, repository: str) -> list[str]:
        """What the last look asked of a repository: the names of snapshots, `_all` for the list."""
        part = f"/_snapshot/{repository}/"
        return [sent.partition(part)[2].partition("?")[0] for sent in WatchedNode.sent if part in sent]


@pytest.fixture
def look(server: Server, prefix: str) -> Iterator[Look]:
    login = (server.username, server.password)
    with closing(Elasticsearch(server.url, basic_auth=login, node_class=WatchedNode, max_retries=0)) as client:
        yield Look(client, prefix)


def names(repository: Repository) -> list[str]:
    return sorted(snapshot.name for snapshot in repository.snapshots)


# --- what there is ------------------------------------------------------------------------------------


def test_a_snapshot_is_described_with_the_indices_that_the_policy_claims(backups: Backups, look: Look) -> None:
    repository = backups.repository()
    claimed = sorted([backups.index("logs-b"), backups.index("logs-a")])
    backups.index("other")
    by_hand, nightly = backups.take(repository, "by-hand"), backups.take(repository, "night-1", policy="nightly")

    found = look()["backups"]

    assert found.problem is None
    first, second = sorted(found.snapshots, key=lambda snapshot: snapshot.name)
    assert first == Snapshot(
        repository=repository,
        name="by-hand",
        uuid=by_hand["uuid"],
        taken=by_hand["start_time_in_millis"],
        policy=None,
        indices=tuple(claimed),
    )
    assert (second.name, second.uuid, second.policy) == ("night-1", nightly["uuid"], "nightly")


def test_an_empty_repository_and_a_snapshot_of_nothing_that_is_claimed(backups: Backups, look: Look) -> None:
    backups.repository("empty")
    repository = backups.repository()
    backups.index("other")
    backups.take(repository, "nothing")
    found = look()
    assert (found["empty"].snapshots, found["empty"].problem) == ((), None)
    assert [(s.name, s.indices) for s in found["backups"].snapshots] == [("nothing", ())]


def test_an_expired_snapshot_is_a_finding_until_it_is_deleted(backups: Backups, look: Look) -> None:
    repository = backups.repository()
    index = backups.index("logs-a")
    backups.take(repository, "s1")
    known = {index: GovernedIndex(category="logs", oldest=now(), last_trim=None)}

    def found(known: Mapping[str, GovernedIndex], ahead: int = 0) -> list[tuple[str, str | None]]:
        look()
        return [(f.kind, f.about) for f in mine(look.whole, backups.prefix, known, now() + ahead)]

    expired = ("snapshot-expired", f"{repository}/")
    assert found(known) == []
    assert found(known, ahead=LIMIT) == [expired]
    backups.es.indices.delete(index=index)
    assert found({}) == [expired]
    backups.es.snapshot.delete(repository=repository, snapshot="s1")
    assert found({}) == found({}, ahead=LIMIT) == []


def mine(seen: SnapshotsSeen, prefix: str, known: Mapping[str, GovernedIndex], at: int) -> list[Finding]:
    """The findings about this test's own repositories and snapshot policies: the server may be shared."""
    found = snapshot_findings(policy_of(prefix), seen, known, at)
    return [finding for finding in found if finding.about is not None and finding.about.startswith(prefix)]


@pytest.mark.parametrize("name", ["-odd", "a+b%c{d}", "snäp"])
def test_names_that_are_no_plain_words_are_read(backups: Backups, look: Look, name: str) -> None:
    repository = backups.repository()
    backups.index("logs-a")
    backups.take(repository, "plain")
    backups.take(repository, name)
    found = look()["backups"]
    assert (names(found), found.problem) == (sorted(["plain", name]), None)


# --- at what cost -------------------------------------------------------------------------------------


def test_a_finished_snapshot_is_described_once(backups: Backups, look: Look) -> None:
    repository = backups.repository()
    backups.index("logs-a")
    backups.take(repository, "s1")
    backups.take(repository, "s2")

    first = look()["backups"]
    assert look.asked(repository) == ["_all", "s1,s2"]
    assert look()["backups"] == first
    assert look.asked(repository) == ["_all"]

    backups.take(repository, "s3")
    backups.es.snapshot.delete(repository=repository, snapshot="s1")
    assert names(look()["backups"]) == ["s2", "s3"]
    assert look.asked(repository) == ["_all", "s3"]
    assert sum("/_snapshot?" in sent for sent in WatchedNode.sent) == 1
    assert sum("/_slm/" in sent for sent in WatchedNode.sent) <= 1


def test_a_snapshot_of_the_same_name_is_another_one(backups: Backups, look: Look) -> None:
    repository = backups.repository()
    backups.index("logs-a")
    backups.take(repository, "s1")
    assert len(look()["backups"].snapshots[0].indices) == 1
    backups.es.snapshot.delete(repository=repository, snapshot="s1")
    backups.index("logs-b")
    backups.take(repository, "s1")
    assert len(look()["backups"].snapshots[0].indices) == 2


def test_under_another_policy_all_are_described_anew(backups: Backups, look: Look) -> None:
    repository = backups.repository()
    backups.index("logs-a")
    backups.index("other")
    backups.take(repository, "s1")
    assert look()["backups"].snapshots[0].indices == (f"{backups.prefix}logs-a",)
    assert look(policy_of(backups.prefix, "other"))["backups"].snapshots[0].indices == (f"{backups.prefix}other",)


def test_more_snapshots_than_fit_into_one_url_are_described(backups: Backups, look: Look) -> None:
    repository = backups.repository()
    backups.index("logs-a")
    made = [f"s{number:02}-{'x' * 240}" for number in range(13)]
    for name in made:
        backups.take(repository, name)
    found = look()["backups"]
    assert (names(found), found.problem) == (made, None)
    assert len(look.asked(repository)) == 3


def test_a_running_snapshot_is_described_each_time(backups: Backups, look: Look) -> None:
    repository = backups.repository("slow", max_snapshot_bytes_per_sec="50kb")
    index = backups.index("logs-a", noise=secrets.token_hex(200_000))
    backups.take(repository, "running", wait=False)
    for _ in range(2):
        (running,) = look()["slow"].snapshots
        assert (running.name, running.indices) == ("running", (index,))
        assert abs(running.taken - now()) < HOUR
        assert look.asked(repository) == ["_all", "running"]
    state = backups.es.snapshot.get(repository=repository, snapshot="running")["snapshots"][0]["state"]
    assert state == "IN_PROGRESS"


# --- what changes meanwhile, and what cannot be read --------------------------------------------------


def once(part: str, act: Callable[[], object]) -> Callable[[str], None]:
    """Act before the first request whose path has this part."""
    done: list[str] = []

    def act_once(target: str) -> None:
        if part in target and not done:
            done.append(target)
            act()

    return act_once


def test_a_snapshot_that_goes_between_list_and_description_is_gone(backups: Backups, look: Look) -> None:
    repository = backups.repository()
    backups.index("logs-a")
    for name in ("s1", "s2"):
        backups.take(repository, name)
    delete = once(f"{repository}/s1", lambda: backups.es.snapshot.delete(repository=repository, snapshot="s1"))
    found = look(before=delete)["backups"]
    assert (names(found), found.problem) == (["s2"], None)


def test_a_repository_that_goes_meanwhile_is_gone(backups: Backups, look: Look) -> None:
    gone, stays = backups.repository("a"), backups.repository("b")
    backups.index("logs-a")
    backups.take(stays, "s1")
    found = look(before=once(f"{gone}/_all", lambda: backups.es.snapshot.delete_repository(name=gone)))
    assert list(found) == ["b"]
    assert names(found["b"]) == ["s1"]


def test_a_repository_that_cannot_be_read_says_so_and_disturbs_no_other(backups: Backups, look: Look) -> None:
    broken, fine = backups.repository("a"), backups.repository("b")
    backups.index("logs-a")
    for repository in (broken, fine):
        backups.take(repository, "s1")
    backups.damage(broken, "a")

    found = look()

    assert names(found["b"]) == ["s1"]
    assert (found["b"].problem, found["a"].snapshots) == (None, ())
    assert "repository_exception" in (found["a"].problem or "")
    (finding,) = (f for f in mine(look.whole, backups.prefix, {}, now()) if f.about == broken)
    assert finding.kind == "repository-unreadable"


def test_what_was_known_of_a_repository_stays_while_it_cannot_be_read(backups: Backups, look: Look) -> None:
    repository = backups.repository()
    backups.index("logs-a")
    backups.take(repository, "s1")
    before = look()["backups"]
    backups.damage(repository)
    after = look()["backups"]
    assert before.problem is None
    assert after.problem is not None
    assert after.snapshots == before.snapshots


def test_a_snapshot_without_its_description_makes_the_repository_doubtful(backups: Backups, look: Look) -> None:
    repository = backups.repository()
    backups.index("logs-a")
    lost = backups.take(repository, "s1")
    backups.take(repository, "s2")
    (path,) = backups.files(repository, f"snap-{lost['uuid']}.dat")
    path.unlink()
    found = look()["backups"]
    assert names(found) == ["s2"]
    assert found.problem == "only the names of 1 snapshot can be read"


def test_wrong_credentials_are_a_problem_with_its_remedy(server: Server, prefix: str) -> None:
    if not server.username:
        pytest.skip("security is off on this server")
    with closing(Elasticsearch(server.url, basic_auth=("nobody", "wrong-password"))) as client:
        seen = Snapshots(client, Capabilities(client)).read(policy_of(prefix))
    (unknown,) = seen.repositories
    assert unknown.name == "_all"
    assert unknown.problem == seen.lifecycles_problem
    assert "ENFORCER_ELASTICSEARCH_API_KEY" in (unknown.problem or "")


def test_missing_privileges_are_a_problem_with_its_remedy(server: Server, es: Elasticsearch, backups: Backups) -> None:
    repository, name = backups.repository(), f"{backups.prefix}reader"
    password = secrets.token_hex(16)
    with ExitStack() as stack:
        try:
            es.security.put_role(name=name, cluster=["monitor"])
            stack.callback(es.security.delete_role, name=name)
            es.security.put_user(username=name, password=password, roles=[name])
            stack.callback(es.security.delete_user, username=name)
        except ApiError as error:
            pytest.skip(f"this server can make no users ({error.meta.status})")
        client = stack.enter_context(closing(server.client(name, password)))
        refused = Snapshots(client, Capabilities(client)).read(policy_of(backups.prefix))
        es.security.put_role(name=name, cluster=["monitor_snapshot", "read_slm"])
        allowed = Snapshots(client, Capabilities(client)).read(policy_of(backups.prefix))
    assert [each.name for each in refused.repositories] == ["_all"]
    assert "one of the cluster privileges monitor_snapshot" in (refused.repositories[0].problem or "")
    assert "one of the cluster privileges read_slm" in (refused.lifecycles_problem or "")
    assert repository in [each.name for each in allowed.repositories]
    assert {each.problem for each in allowed.repositories} == {allowed.lifecycles_problem} == {None}


# --- snapshot policies --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("described", "indices", "kept"),
    [
        ({}, ("*",), (None, None, None)),
        ({"config": {}}, ("*",), (None, None, None)),
        ({"config": {"indices": []}}, ("*",), (None, None, None)),
        ({"config": {"indices": ["a-*", "-a-b"]}}, ("a-*", "-a-b"), (None, None, None)),
        ({"config": {"indices": "a-*,b"}}, ("a-*", "b"), (None, None, None)),
        ({"retention": {"expire_after": "30d", "min_count": 5, "max_count": 50}}, ("*",), (30 * DAY, 5, 50)),
        ({"retention": {"expire_after": "36h"}}, ("*",), (36 * HOUR, None, None)),
        ({"retention": {"expire_after": "90m"}}, ("*",), (HOUR + HOUR // 2, None, None)),
        ({"retention": {"expire_after": "259200s"}}, ("*",), (3 * DAY, None, None)),
        ({"retention": {"expire_after": "1500ms"}}, ("*",), (1500, None, None)),
        ({"retention": {"expire_after": "90001micros"}}, ("*",), (91, None, None)),
        ({"retention": {"expire_after": "1nanos"}}, ("*",), (1, None, None)),
        ({"retention": {"expire_after": "0s"}}, ("*",), (0, None, None)),
        ({"retention": {"expire_after": "-1"}}, ("*",), (None, None, None)),
        ({"retention": {"expire_after": "1 fortnight"}}, ("*",), (None, None, None)),
    ],
)
def test_a_snapshot_policy_is_read(
    described: dict[str, Any], indices: tuple[str, ...], kept: tuple[int | None, ...]
) -> None:
    found = lifecycle_of("nightly", {"repository": "backups", **described})
    assert (found.id, found.repository, found.indices) == ("nightly", "backups", indices)
    assert (found.expire_after, found.min_count, found.max_count) == kept


@pytest.fixture
def slm(es: Elasticsearch, backups: Backups) -> Iterator[Callable[..., str]]:
    """Makes snapshot policies under the prefix, which run when they are told to."""
    try:
        es.slm.get_status()
    except ApiError as error:
        pytest.skip(f"this server has no snapshot lifecycles ({error.meta.status})")
    made: list[str] = []

    def make(name: str, repository: str, **more: Any) -> str:
        full = backups.prefix + name
        made.append(full)
        es.slm.put_lifecycle(policy_id=full, name="<snap-{now/d}>", schedule=NEVER, repository=repository, **more)
        return full

    yield make
    for full in made:
        es.slm.delete_lifecycle(policy_id=full)


def test_a_server_without_snapshot_policies_has_none(es: Elasticsearch, look: Look) -> None:
    with suppress(ApiError):
        es.slm.get_status()
        pytest.skip("this server has them")
    look()
    look()
    assert (look.whole.lifecycles, look.whole.lifecycles_problem) == ((), None)
    assert sum("/_slm/" in sent for sent in WatchedNode.sent) == 0


def test_snapshot_policies_are_read_and_judged(backups: Backups, look: Look, slm: Callable[..., str]) -> None:
    repository = backups.repository("dotted.name")
    retention = {"expire_after": "30d", "min_count": 5}
    covering = slm("a.b", repository, config={"indices": [f"{backups.prefix}*"]}, retention=retention)
    slm("elsewhere", repository, config={"indices": [f"{backups.prefix}*", f"-{backups.prefix}logs-*"]})
    slm("everything", repository)

    assert "dotted.name" in look()
    found = {each.id.removeprefix(backups.prefix): each for each in look.whole.lifecycles}
    first = found["a.b"]
    assert (first.id, first.repository, first.indices) == (covering, repository, (f"{backups.prefix}*",))
    assert (first.expire_after, first.min_count, first.max_count) == (30 * DAY, 5, None)
    assert (found["everything"].indices, found["everything"].expire_after) == (("*",), None)
    findings = [(f.kind, f.about) for f in mine(look.whole, backups.prefix, {}, now())]
    assert findings == [("snapshot-policy", covering), ("snapshot-policy", f"{backups.prefix}everything")]


def test_a_policys_snapshot_of_a_stream_that_is_gone_is_past_its_limit(
    es: Elasticsearch, backups: Backups, look: Look, slm: Callable[..., str]
) -> None:
    repository, stream = backups.repository(), f"{backups.prefix}logs-app"
    es.indices.put_index_template(name=stream, index_patterns=[stream], data_stream={}, priority=500)
    try:
        es.index(index=stream, document={"@timestamp": now()}, op_type="create", refresh=True)
        id_ = slm("nightly", repository, config={"indices": [stream]}, retention={"expire_after": "30d"})
        name = es.slm.execute_lifecycle(policy_id=id_)["snapshot_name"]
        wait_for(es, repository, name)
        es.indices.delete_data_stream(name=stream)
    finally:
        es.indices.delete_index_template(name=stream)

    (snapshot,) = look()["backups"].snapshots

    assert (snapshot.name, snapshot.policy, len(snapshot.indices)) == (name, id_, 1)
    assert snapshot.indices[0].startswith(f".ds-{stream}-")
    expired = next(f for f in mine(look.whole, backups.prefix, {}, now()) if f.kind == "snapshot-expired")
    assert expired.about == f"{repository}/{id_}"
    assert f"contains data of logs past the limit: {name}; the last of them expires on" in expired.text


def wait_for(es: Elasticsearch, repository: str, snapshot: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = es.snapshot.get(repository=repository, snapshot=snapshot, ignore_unavailable=True)["snapshots"]
        if found and found[0]["state"] == "SUCCESS":
            return
        time.sleep(0.05)
    raise AssertionError(f"{snapshot} was not finished within {PATIENCE} s")
