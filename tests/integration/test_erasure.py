"""Erasure on a real server: found in the files after the deletion, and not after the erasure; and what it waits for."""

from __future__ import annotations

import json
import random
import secrets
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from elastic_transport import ConnectionError as ConnectionBroken
from elastic_transport import ConnectionTimeout, Urllib3HttpNode
from elasticsearch import Elasticsearch
from elasticsearch.helpers import bulk

from backups import Backups
from retention_enforcer.cluster.erasure import Erasure
from retention_enforcer.domain.erasure.facts import Gone, IndexGone, Mark, Remains
from retention_enforcer.domain.erasure.steps import Act, Erased, ErasureProgress, NotYet, judge, next_step
from retention_enforcer.domain.errors import ClusterUnavailable, OutcomeUnknown, Refused, RequestRejected
from retention_enforcer.domain.facts import Block
from retention_enforcer.domain.instants import SECOND

if TYPE_CHECKING:
    from conftest import Server

ALLOWED = "index.merge.policy.expunge_deletes_allowed"
MAPPING = {
    "properties": {
        "tenant": {"type": "keyword"},
        "word": {"type": "keyword"},
        "text": {"type": "text", "analyzer": "whitespace"},
        "kept": {"type": "object", "enabled": False},
    }
}
KINDS = ("id", "routing", "keyword", "text", "source")
DOOMED, OTHERS = 5, 300
LEASE_WAIT = 35.0  # seconds: a renewal every 30 s, and two looks
LONGEST = 120.0


def now() -> int:
    return int(time.time() * SECOND)


def permitted() -> AbstractContextManager[None]:
    return nullcontext()


def canary() -> str:
    """Something that is in no file unless it was written there; upper case, which no compression of terms touches."""
    return "".join(secrets.choice("BCDFGHJKLMNPQRSTVWXZ") for _ in range(24))


@dataclass
class Shelf:
    """An index with some documents that have to go, and what each of them can be found by."""

    es: Elasticsearch
    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    canaries: dict[str, list[str]] = field(default_factory=lambda: {kind: [] for kind in KINDS})

    def filled(self) -> Shelf:
        """Create it, with all documents of a shard in one segment: few of many, which no ordinary merge rewrites."""
        settings = {"number_of_shards": 1, "number_of_replicas": 0, **self.settings}
        self.es.indices.create(index=self.name, settings=settings, mappings=MAPPING)
        for number in range(OTHERS):
            self._add({"_id": f"other.{number}"}, {"tenant": "other", "word": "w", "text": "t", "kept": {"n": number}})
        for _ in range(DOOMED):
            found = {kind: canary() for kind in KINDS}
            for kind, text in found.items():
                self.canaries[kind].append(text)
            document = {"tenant": "doomed", "word": found["keyword"], "text": found["text"]}
            # With a dot: else an id may be stored decoded, as base64, and not be found as such.
            self._add(
                {"_id": f"d.{found['id']}", "routing": found["routing"]},
                {**document, "kept": {"only": found["source"]}},
            )
        self._send()
        return self

    def _add(self, action: Mapping[str, Any], source: Mapping[str, Any]) -> None:
        self.__dict__.setdefault("waiting", []).extend([{"index": action}, source])

    def _send(self) -> None:
        assert not self.es.bulk(index=self.name, operations=self.__dict__.pop("waiting"), refresh=True)["errors"]

    @property
    def uuid(self) -> str:
        return str(self.es.indices.get_settings(index=self.name)[self.name]["settings"]["index"]["uuid"])

    @property
    def own_setting(self) -> str | None:
        settings = self.es.indices.get_settings(index=self.name, flat_settings=True)[self.name]["settings"]
        return settings.get(ALLOWED)

    def delete_the_doomed(self) -> Shelf:
        """Delete them as a purge does, each by its id and routing."""
        ids, routings = self.canaries["id"], self.canaries["routing"]
        deletes = [{"delete": {"_id": f"d.{i}", "routing": r}} for i, r in zip(ids, routings, strict=True)]
        assert not self.es.bulk(index=self.name, operations=deletes, refresh=True)["errors"]
        assert self.es.count(index=self.name, query={"term": {"tenant": "doomed"}})["count"] == 0
        return self

    def on_disk(self) -> dict[str, int]:
        """Count the canaries of each kind in the files of the index; skips where they cannot be read from here."""
        content = b"".join(self._files())
        return {kind: sum(c.encode() in content for c in canaries) for kind, canaries in self.canaries.items()}

    def _files(self) -> Iterator[bytes]:
        stats = self.es.indices.stats(index=self.name, level="shards", filter_path="**.shard_path.data_path")
        (shards,) = (index["shards"] for index in stats["indices"].values())
        for folder in {copy["shard_path"]["data_path"] for copies in shards.values() for copy in copies}:
            path = Path(folder) / "indices" / self.uuid
            if not path.is_dir():
                pytest.skip(f"the server's files cannot be read from here: {path}")
            for file in path.rglob("*"):
                try:
                    yield file.read_bytes() if file.is_file() else b""
                except FileNotFoundError:
                    continue  # a merge was faster


@pytest.fixture
def shelf(es: Elasticsearch, prefix: str) -> Callable[..., Shelf]:
    def filled(name: str = "a", **settings: Any) -> Shelf:
        return Shelf(es, f"{prefix}{name}", settings).filled()

    return filled


def forgetful(progress: ErasureProgress) -> ErasureProgress:
    """What another process reads of it."""
    return ErasureProgress.of(json.loads(json.dumps(progress.body())))


# --- whole erasures, which wait for the leases together ------------------------------------------------


@dataclass
class Scene:
    """What an erasure left behind, and how it went."""

    shelf: Shelf
    after_deletion: dict[str, int]
    progress: ErasureProgress
    waited: float = 0.0
    reasons: set[str] = field(default_factory=set)
    after_erasure: dict[str, int] = field(default_factory=dict)


def erase(es: Elasticsearch, running: Mapping[str, Scene], before: Callable[[str, ErasureProgress], None]) -> None:
    """Step through all of them in one loop, each step by an object that knows nothing but what was stored."""
    deadline, marked = time.monotonic() + LONGEST, dict[str, float]()
    while open_ones := {n: one for n, one in running.items() if one.progress.act is not Act.DONE}:
        assert time.monotonic() < deadline, {n: one.progress.body() for n, one in open_ones.items()}
        for name, one in open_ones.items():
            if next_step(one.progress, now()).at > now():
                continue
            before(name, one.progress)
            act = one.progress.act
            if name == "repeated":  # its result is lost before it is stored
                Erasure(es).advance(forgetful(one.progress), now(), permitted)
            one.progress = Erasure(es).advance(forgetful(one.progress), now(), permitted)
            one.reasons |= set(one.progress.reasons)
            if act is Act.MARK:
                marked[name] = time.monotonic()
            if act is Act.WAIT and one.progress.act is Act.EXPUNGE and one.progress.passes == 0:
                one.waited = time.monotonic() - marked[name]
        time.sleep(0.1)
    for one in running.values():
        one.after_erasure = one.shelf.on_disk()


@contextmanager
def writers(es: Elasticsearch, index: str) -> Iterator[None]:
    """Write new documents, and overwrite and delete others, all the time."""
    ended, wrote = threading.Event(), []

    def write() -> None:
        while not ended.wait(0.02):
            number = len(wrote)
            es.index(index=index, id=f"other.{number % OTHERS}", document={"tenant": "other", "word": "new"})
            es.index(index=index, id=f"new.{number}", document={"tenant": "other"})
            es.options(ignore_status=404).delete(index=index, id=f"new.{number - 7}")
            wrote.append(number)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    assert len(wrote) > 100


@pytest.fixture(scope="module")
def erased(es: Elasticsearch) -> Iterator[dict[str, Scene]]:
    """Erasures of every sort, in one loop, so that they wait for the leases once."""
    prefix, blocked = f"t{secrets.token_hex(3)}-", {"index.blocks.write": True}
    sorts: dict[str, dict[str, Any]] = {
        "plain": {ALLOWED: 37, "number_of_shards": 2},
        "replica": {"number_of_replicas": 1},  # a single node never has it
        "repeated": {},
        "blocked": {},
        "viewed": {},
        "live": {"refresh_interval": "200ms"},
        "dropped": {},
    }
    running: dict[str, Scene] = {}
    try:
        for sort, settings in sorts.items():
            shelf = Shelf(es, f"{prefix}{sort}", settings).filled()
            if sort == "viewed":
                view = es.open_point_in_time(index=shelf.name, keep_alive="5m")["id"]
            shelf.delete_the_doomed()
            progress = ErasureProgress(index=shelf.name, uuid=shelf.uuid)
            running[sort] = Scene(shelf, shelf.on_disk(), progress)
        es.indices.put_settings(index=running["blocked"].shelf.name, settings=blocked)
        dropped, checks = running.pop("dropped"), []

        def before(sort: str, progress: ErasureProgress) -> None:
            if sort == "viewed" and progress.act is Act.CHECK:
                checks.append(running[sort].shelf.on_disk())
                if len(checks) == 2:
                    es.close_point_in_time(id=view)

        with writers(es, running["live"].shelf.name):
            erase(es, running, before)
        running["viewed"].after_deletion = checks[0]
        dropped.progress = Erasure(es).advance(dropped.progress, now(), permitted)
        es.indices.delete(index=dropped.shelf.name)
        dropped.progress = Erasure(es).advance(dropped.progress, now(), permitted)
        yield {**running, "dropped": dropped}
    finally:
        for sort in sorts:
            es.options(ignore_status=404).indices.delete(index=f"{prefix}{sort}")


WHOLE = ("plain", "replica", "repeated", "blocked", "viewed", "live")


@pytest.mark.slow
@pytest.mark.parametrize("sort", WHOLE)
def test_what_was_deleted_is_in_the_files_until_it_is_erased(erased: dict[str, Scene], sort: str) -> None:
    one = erased[sort]
    before = one.after_deletion
    # The source is compressed, so that its presence is not always seen; its absence is proven by the files being gone.
    assert {kind: before[kind] for kind in KINDS if kind != "source"} == dict.fromkeys(KINDS[:-1], DOOMED)
    assert before["source"]
    assert one.after_erasure == dict.fromkeys(KINDS, 0)
    assert (one.progress.act, one.progress.gone) == (Act.DONE, False)


@pytest.mark.slow
def test_all_of_them_wait_for_the_leases_together(erased: dict[str, Scene]) -> None:
    assert {sort: erased[sort].waited < LEASE_WAIT for sort in WHOLE} == dict.fromkeys(WHOLE, True)


@pytest.mark.slow
def test_nothing_else_is_deleted_and_own_settings_are_as_they_were(erased: dict[str, Scene]) -> None:
    assert erased["plain"].shelf.own_setting == "37"
    assert {erased[sort].shelf.own_setting for sort in WHOLE[1:]} == {None}
    es = erased["plain"].shelf.es
    assert {es.count(index=erased[sort].shelf.name)["count"] for sort in WHOLE if sort != "live"} == {OTHERS}
    blocks = es.indices.get_settings(index=erased["blocked"].shelf.name, flat_settings=True)
    assert blocks[erased["blocked"].shelf.name]["settings"]["index.blocks.write"] == "true"


@pytest.mark.slow
def test_one_pass_is_enough_where_nobody_writes(erased: dict[str, Scene]) -> None:
    assert {sort: erased[sort].progress.passes for sort in WHOLE if sort not in ("live", "repeated")} == {
        sort: 1 for sort in WHOLE if sort not in ("live", "repeated")
    }


@pytest.mark.slow
def test_a_point_in_time_keeps_the_files_and_is_the_reason(erased: dict[str, Scene]) -> None:
    (reason,) = erased["viewed"].reasons
    assert reason.startswith("a point in time, scroll or search is open on 1 shard:")


@pytest.mark.slow
def test_an_index_that_goes_meanwhile_is_erased(erased: dict[str, Scene]) -> None:
    assert (erased["dropped"].progress.act, erased["dropped"].progress.gone) == (Act.DONE, True)


# --- single steps ------------------------------------------------------------------------------------


def marked(es: Elasticsearch, shelf: Shelf) -> Mark:
    return Erasure(es).mark(shelf.name, shelf.uuid)


def looked(es: Elasticsearch, shelf: Shelf, mark: Mark) -> Remains:
    remains = Erasure(es).remains(shelf.name, mark)
    assert isinstance(remains, Remains)
    return remains


def reasons(verdict: object) -> str:
    assert isinstance(verdict, NotYet)
    return "; ".join(verdict.reasons)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_right_after_a_deletion_a_lease_is_behind_and_says_how_far(es: Elasticsearch, shelf: Any) -> None:
    one = shelf().delete_the_doomed()
    mark = marked(es, one)
    assert mark.sequence_numbers == (OTHERS + 2 * DOOMED - 1,)
    (lease,) = Erasure(es).leases_behind(one.name, mark)
    assert (lease.source, lease.shard) == ("peer recovery", 0)
    assert lease.id.startswith("peer_recovery/")
    assert DOOMED <= lease.behind <= OTHERS + 2 * DOOMED


def test_an_expunge_that_was_begun_too_early_answers_well_and_does_nothing_and_is_not_believed(
    es: Elasticsearch, shelf: Any
) -> None:
    one, erasure = shelf().delete_the_doomed(), Erasure(es)
    mark = marked(es, one)
    expunge = erasure.begin_expunge(one.name, mark, permitted)
    wait_until(lambda: erasure.finished(expunge))
    erasure.end_expunge(one.name, expunge, permitted)
    verdict = judge(looked(es, one, mark), mark, expunge.held)
    assert isinstance(verdict, NotYet)
    assert verdict.documents
    assert f"{2 * DOOMED} deleted documents left on 1 of 1 shard copy" in verdict.reasons


def test_a_name_with_another_index_behind_it_is_gone(es: Elasticsearch, shelf: Any) -> None:
    one = shelf()
    mark = marked(es, one)
    es.indices.delete(index=one.name)
    assert Erasure(es).remains(one.name, mark) == Gone()
    shelf()
    erasure = Erasure(es)
    assert erasure.remains(one.name, mark) == Gone()
    for act in (
        lambda: erasure.mark(one.name, mark.uuid),
        lambda: erasure.leases_behind(one.name, mark),
        lambda: erasure.begin_expunge(one.name, mark, permitted),
    ):
        with pytest.raises(IndexGone):
            act()
    assert one.own_setting is None


def test_an_alias_is_not_taken_for_the_index_that_had_its_name(es: Elasticsearch, shelf: Any, prefix: str) -> None:
    one = shelf()
    es.indices.put_alias(index=one.name, name=f"{prefix}alias")
    with pytest.raises(IndexGone):
        Erasure(es).mark(f"{prefix}alias", one.uuid)


@pytest.mark.parametrize("name", ["*", "a*", "_all", "-a", "a,b", "<a-{now/d}>", ""])
def test_only_names_of_single_indices_are_sent(es: Elasticsearch, name: str) -> None:
    with pytest.raises(ValueError, match="is not the name of one index"):
        Erasure(es).mark(name, "uuid")


def test_a_closed_index_is_not_examined_and_not_erased(es: Elasticsearch, shelf: Any) -> None:
    one = shelf()
    mark = marked(es, one)
    es.indices.close(index=one.name)
    with pytest.raises(RequestRejected, match="closed"):
        marked(es, one)
    assert "the index is closed" in reasons(judge(looked(es, one, mark), mark))


def test_a_read_only_index_refuses_and_says_why(es: Elasticsearch, shelf: Any) -> None:
    one = shelf().delete_the_doomed()
    mark = marked(es, one)
    es.indices.put_settings(index=one.name, settings={"index.blocks.read_only": True})
    with pytest.raises(RequestRejected, match="read-only"):
        Erasure(es).begin_expunge(one.name, mark, permitted)
    remains = looked(es, one, mark)
    assert remains.blocks == {Block.READ_ONLY}
    assert "index.blocks.read_only" in reasons(judge(remains, mark))


def test_a_primary_that_is_not_there_is_not_nothing(es: Elasticsearch, shelf: Any, prefix: str) -> None:
    lost = {"index.routing.allocation.require._name": "no-such-node"}
    es.indices.create(index=f"{prefix}lost", settings={"number_of_replicas": 0, **lost}, wait_for_active_shards=0)
    one = Shelf(es, f"{prefix}lost")
    with pytest.raises(ClusterUnavailable, match=r"not all shard copies .* have started \(shard 0, INDEX_CREATED\)"):
        marked(es, one)
    mark = Mark(uuid=one.uuid, sequence_numbers=(0,), copies=1, configured=1, nodes={}, allowed=None)
    assert "a shard copy is not assigned (shard 0, INDEX_CREATED)" in reasons(judge(looked(es, one, mark), mark))


def test_a_replica_that_was_never_assigned_is_no_copy_also_after_the_index_was_closed_and_opened(
    es: Elasticsearch, shelf: Any
) -> None:
    one = shelf()
    es.indices.put_settings(index=one.name, settings={"number_of_replicas": 3})  # more than the nodes of a test have
    for _ in range(2):
        mark = marked(es, one)
        assert mark.configured == 4 > mark.copies
        assert looked(es, one, mark).away == ()
        es.indices.close(index=one.name)
        es.indices.open(index=one.name)


def test_a_node_that_held_a_copy_and_is_gone_is_missed(es: Elasticsearch, shelf: Any) -> None:
    one = shelf()
    mark = Mark.of({**marked(es, one).body(), "nodes": [{"id": "a-node-that-left", "name": "node-7"}]})
    assert "node node-7 had a shard copy and has left the cluster" in reasons(judge(looked(es, one, mark), mark))


def test_what_was_written_and_not_committed_since_the_mark_is_not_of_before_it(es: Elasticsearch, shelf: Any) -> None:
    one = shelf()
    mark = marked(es, one)
    es.index(index=one.name, document={"tenant": "other"}, refresh=True)
    (copy,) = looked(es, one, mark).copies
    assert copy.logged == 1
    assert judge(looked(es, one, mark), mark) == Erased()
    later = Mark.of({**mark.body(), "sequence_numbers": [mark.sequence_numbers[0] + 1]})
    assert "the translog of 1 shard copy" in reasons(judge(looked(es, one, later), later))


def test_a_running_snapshot_keeps_the_files(es: Elasticsearch, backups: Backups, shelf: Any) -> None:
    one, repository = shelf(), backups.repository(max_snapshot_bytes_per_sec="2kb")
    mark = marked(es, one)
    es.snapshot.create(repository=repository, snapshot="one", indices=one.name, wait_for_completion=False)
    wait_until(lambda: looked(es, one, mark).snapshot)
    assert "a snapshot of the index is in progress" in reasons(judge(looked(es, one, mark), mark))
    es.snapshot.delete(repository=repository, snapshot="one")
    assert not looked(es, one, mark).snapshot


def test_a_merge_is_at_work_until_no_node_is_at_it(es: Elasticsearch, shelf: Any, prefix: str) -> None:
    """One that takes seconds, and whose client has gone."""
    one, erasure, name = shelf(), Erasure(es), f"{prefix}large"
    es.indices.create(index=name, settings={"number_of_replicas": 0, "refresh_interval": -1})
    chance = random.Random(1)
    texts = (" ".join(str(chance.randrange(20_000)) for _ in range(30)) for _ in range(90_000))
    bulk(es, ({"_index": name, "_source": {"text": text}} for text in texts), chunk_size=10_000, refresh=True)
    expunge = erasure.begin_expunge(one.name, marked(es, one), permitted)
    large = replace(expunge, task="the-large-one")
    hurried = es.options(opaque_id=large.task, request_timeout=0.2, max_retries=0)
    with pytest.raises(ConnectionTimeout):
        hurried.indices.forcemerge(index=name, max_num_segments=1)
    assert (erasure.finished(large), erasure.finished(replace(expunge, task="one-that-nobody-knows"))) == (False, True)
    wait_until(lambda: erasure.finished(large))


def test_no_name_of_an_index_stays_where_the_cluster_keeps_its_tasks(es: Elasticsearch, shelf: Any) -> None:
    one, erasure = shelf(), Erasure(es)
    expunge = erasure.begin_expunge(one.name, marked(es, one), permitted)
    wait_until(lambda: erasure.finished(expunge))
    time.sleep(1)  # it is written after the task has ended
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # to look there is deprecated
        found = es.options(ignore_status=404).search(index=".tasks", query={"match_all": {}}, size=100).body
    assert one.name not in str(found)


def test_without_permission_nothing_is_changed(es: Elasticsearch, shelf: Any) -> None:
    one, asked = shelf(), []

    @contextmanager
    def refused() -> Iterator[None]:
        asked.append(now())
        raise Refused("stopped")
        yield

    with pytest.raises(Refused):
        Erasure(es).begin_expunge(one.name, marked(es, one), refused)
    assert (one.own_setting, len(asked)) == (None, 1)


def test_each_change_is_asked_for_and_a_finished_expunge_leaves_the_setting_as_it_was(
    es: Elasticsearch, shelf: Any
) -> None:
    one, asked, erasure = shelf(**{ALLOWED: 12}), [], Erasure(es)

    @contextmanager
    def counted() -> Iterator[None]:
        asked.append(one.own_setting)
        yield

    mark = marked(es, one)
    expunge = erasure.begin_expunge(one.name, mark, counted)
    assert asked == ["12", "0"]
    assert one.own_setting == "0"
    # One who died before it stored this begins again, and still knows what is to be put back.
    again = erasure.begin_expunge(one.name, mark, counted)
    assert (expunge.allowed, again.allowed) == ("12", "12")
    erasure.end_expunge(one.name, again, counted)
    erasure.end_expunge(one.name, again, counted)
    assert one.own_setting == "12"
    assert len(asked) == 5


def test_a_merge_that_fails_is_told_and_the_setting_is_put_back(es: Elasticsearch, shelf: Any) -> None:
    one, erasure, asked = shelf(**{ALLOWED: 12}), Erasure(es), []

    @contextmanager
    def blocking() -> Iterator[None]:
        asked.append(one.own_setting)
        if len(asked) == 2:
            es.indices.put_settings(index=one.name, settings={"index.blocks.read_only": True})
        yield

    progress = ErasureProgress(index=one.name, uuid=one.uuid, act=Act.EXPUNGE, mark=marked(es, one))
    progress = erasure.advance(progress, now(), blocking)
    assert progress.act is Act.RESTORE
    assert "read-only" in progress.failure
    es.indices.put_settings(index=one.name, settings={"index.blocks.read_only": None})
    erasure.advance(progress, now(), permitted)
    assert (asked, one.own_setting) == (["12", "0"], "12")


def test_an_index_that_was_closed_meanwhile_gets_its_setting_back(es: Elasticsearch, shelf: Any) -> None:
    one, erasure = shelf(**{ALLOWED: 12}), Erasure(es)
    expunge = erasure.begin_expunge(one.name, marked(es, one), permitted)
    es.indices.close(index=one.name)
    erasure.end_expunge(one.name, expunge, permitted)
    assert one.own_setting == "12"


class ContradictingNode(Urllib3HttpNode):
    """Asks for a merge that the server refuses."""

    def perform_request(self, method: str, target: str, *args: Any, **more: Any) -> Any:
        both = target + "&max_num_segments=1" if "_forcemerge" in target else target
        return super().perform_request(method, both, *args, **more)


def test_a_merge_that_is_refused_leaves_the_setting_as_it_was(server: Server, es: Elasticsearch, shelf: Any) -> None:
    one = shelf(**{ALLOWED: 12})
    mark, login = marked(es, one), (server.username, server.password)
    progress = ErasureProgress(index=one.name, uuid=one.uuid, act=Act.EXPUNGE, mark=mark)
    with closing(Elasticsearch(server.url, basic_auth=login, node_class=ContradictingNode)) as client:
        progress = Erasure(client).advance(progress, now(), permitted)
        assert (progress.act, "mutually exclusive" in progress.failure) == (Act.RESTORE, True)
        Erasure(client).advance(progress, now(), permitted)
    assert one.own_setting == "12"


class LosingNode(Urllib3HttpNode):
    """Sends, and loses the answer, where the path has this part."""

    part = "nothing"
    sent: list[str] = []  # noqa: RUF012 - emptied by the test that reads it

    def perform_request(self, method: str, target: str, *args: Any, **more: Any) -> Any:
        answer = super().perform_request(method, target, *args, **more)
        if self.part in target and method != "GET":
            LosingNode.sent.append(target)
            raise ConnectionBroken("the answer was lost")
        return answer


@pytest.mark.parametrize("part", ["_settings", "_forcemerge"])
def test_a_change_whose_answer_is_lost_is_sent_once(
    server: Server, es: Elasticsearch, shelf: Any, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = shelf()
    mark = marked(es, one)
    monkeypatch.setattr(LosingNode, "part", part)
    LosingNode.sent.clear()
    login = (server.username, server.password)
    unknown = pytest.raises(OutcomeUnknown) if part == "_settings" else nullcontext()  # a merge is looked for anyway
    with closing(Elasticsearch(server.url, basic_auth=login, max_retries=3, node_class=LosingNode)) as client, unknown:
        Erasure(client).begin_expunge(one.name, mark, permitted)
    assert len(LosingNode.sent) == 1
