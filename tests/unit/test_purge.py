"""How purges are carried out when the cluster is slow, refuses, or loses answers: over small true seams in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

import pytest

from builders import category, index
from ledgers import NO_IDS, MemoryLedger
from retention_enforcer.domain.control import Control
from retention_enforcer.domain.errors import ClusterUnavailable, OutcomeUnknown, Refused, RequestRejected
from retention_enforcer.domain.facts import Block, IndexFacts
from retention_enforcer.domain.instants import DAY
from retention_enforcer.domain.ledger.records import Record, check_chain
from retention_enforcer.domain.plan import Action, Purge
from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.domain.selection import Existing, IndexVersion, Trim, Trimmed
from retention_enforcer.domain.subjects.pseudonyms import Pseudonyms, Redactor
from retention_enforcer.enforcement.erasure.write_blocks import WriteBlocks
from retention_enforcer.enforcement.expiry.deletion_blocks import DeletionBlocks
from retention_enforcer.enforcement.expiry.purge import Purger, Results
from retention_enforcer.enforcement.expiry.rollovers import Roller
from retention_enforcer.enforcement.ledger.acts import Acts
from retention_enforcer.enforcement.ledger.appender import Appender, Signature
from retention_enforcer.enforcement.ledger.fresh_permit import INTENT_LIFETIME
from retention_enforcer.enforcement.scope import job_of

NOW = 1_800_000_000_000
SIGNATURE = Signature(instance="i", mode="enforce", policy="p")


class Clock:
    def __init__(self) -> None:
        self.instant = NOW

    def now(self) -> int:
        return self.instant


class Ledger(MemoryLedger):
    """Keeps records; each takes `slowness` milliseconds to be stored, also of several."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.slowness = 0
        self._clock = clock

    def create(self, records: Sequence[Record]) -> bool:
        self._clock.instant += self.slowness * len(records)
        return super().create(records)


class Cluster:
    """Indices by name; `on_delete` may raise, before or instead of the deletion."""

    def __init__(self, facts: Sequence[IndexFacts]) -> None:
        self.indices = {f.name: f for f in facts}
        self.requests: list[list[str]] = []
        self.on_delete: Callable[[Sequence[str]], bool] = lambda _: True
        self.seen: dict[str, IndexVersion] = {}
        self.on_look: Callable[[Sequence[str]], None] = lambda _: None
        self.readable = True
        self.rolled: set[str] = set()
        self.on_roll_over: Callable[[], bool] = lambda: True
        self.blocked: set[str] = set()
        self.unconfirmed: set[str] = set()
        """Indices of which a shard does not answer when their writes are stopped."""
        self.on_stop: Callable[[Sequence[str]], None] = lambda _: None
        self.on_lift: Callable[[], object] = lambda: None

    def identities(self, names: Sequence[str]) -> dict[str, IndexVersion]:
        self.on_look(names)
        there = [self.indices[n] for n in names if n in self.indices]
        found = {f.name: IndexVersion(uuid=f.uuid, sequence_numbers=f.sequence_numbers) for f in there}
        return {**found, **self.seen}

    def existing(self, uuids: Collection[str], names: Collection[str] | None = None) -> dict[str, Existing]:
        if not self.readable:
            raise ClusterUnavailable("away")
        return {
            f.uuid: Existing(name=f.name, rolled_over=f.name in self.rolled)
            for f in self.indices.values()
            if f.uuid in uuids
        }

    def stop_writes(self, names: Sequence[str]) -> dict[str, bool]:
        self.on_stop(names)
        newly = {name: name not in self.unconfirmed for name in names if name not in self.blocked}
        self.blocked |= newly.keys()
        return newly

    def set_write_block(self, uuid: str, *, blocked: bool) -> bool:
        self.on_lift()
        names = {f.name for f in self.indices.values() if f.uuid == uuid}
        had = bool(names & self.blocked)
        self.blocked = self.blocked | names if blocked else self.blocked - names
        return had

    def lift_write_blocks(self, uuids: Collection[str]) -> None:
        for uuid in uuids:
            self.set_write_block(uuid, blocked=False)

    def delete_indices(self, names: Sequence[str]) -> None:
        self.requests.append(list(names))
        if self.on_delete(names):
            for name in names:
                del self.indices[name]

    def roll_over(self, target: str, new_index: str | None) -> None:
        if self.on_roll_over():
            self.rolled.add("logs-a")

    def trim(self, trim: Trim, permit: Callable[[], AbstractContextManager[None]]) -> Trimmed:
        with permit():
            return Trimmed(deleted=3, left=0)


class NothingDecided:
    def read(self) -> Control:
        return Control()


class Permit:
    def __init__(self) -> None:
        self.refuses = False

    @contextmanager
    def destructive(self) -> Iterator[None]:
        if self.refuses:
            raise Refused("stopped by the operator")
        yield


class Bench:
    def __init__(self, *names: str) -> None:
        self.facts = [index(name=name) for name in names]
        self.clock = Clock()
        self.ledger = Ledger(self.clock)
        self.cluster = Cluster(self.facts)
        self.permit = Permit()
        self.results = Results()
        self.category = category()
        policy = Policy(name="p", categories=(self.category,))
        redactor = Redactor(Pseudonyms(b"k" * 32), policy.patterns)
        appender = Appender(self.ledger, self.clock, SIGNATURE, lambda: 1, redactor)
        self.state: dict[str, Mapping[str, Any]] = {}
        self.leased = True
        self.blocks = self.new_blocks(appender)
        acts = Acts(appender, self.permit, self.clock, NothingDecided())
        roller = Roller(self.cluster, acts, self.permit, self.clock)
        self._purger = Purger(self.cluster, roller, self.blocks, acts, policy.earliest)

    def new_blocks(self, appender: Appender) -> DeletionBlocks:
        return DeletionBlocks(
            stop=self.cluster,
            state=self,
            appender=appender,
            permit=self.permit,
            clock=self.clock,
            lasts=lambda: self.leased,
        )

    def load(self, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        return {key: self.state[key] for key in keys if key in self.state}

    def save(self, key: str, body: Mapping[str, Any], now: int) -> None:
        self.state[key] = body

    @property
    def remembered(self) -> list[str]:
        """The uuids of the indices that a start would take a block off."""
        return list(self.state.get("deletion-blocks", {}).get("uuids", ()))

    def carry_out(self, action: Action = Action.DELETE_INDEX, rollover: str | None = None) -> None:
        purges = [
            Purge(
                facts=f,
                action=action,
                documents=1,
                due=NOW - DAY,
                reason=f"{f.name} is due",
                cut=NOW,
                rollover=rollover,
            )
            for f in self.facts
        ]
        self._purger.carry_out(self.category, purges, "cycle", self.results)

    def story(self, name: str) -> list[str]:
        """What the ledger tells of one index."""
        check_chain(self.ledger.records)
        about = [r for r in self.ledger.records if r.get("target", {}).get("index") == name]
        return [str(r.get("outcome", "intent")) for r in about]


@pytest.fixture
def bench() -> Bench:
    return Bench("logs-a", "logs-b")


def test_a_list_goes_in_one_request_under_an_intent_each(bench: Bench) -> None:
    bench.carry_out()
    assert bench.cluster.requests == [["logs-a", "logs-b"]]
    assert bench.story("logs-a") == bench.story("logs-b") == ["intent", "done"]


def test_a_refused_list_is_tried_one_by_one_each_under_its_own_intent(bench: Bench) -> None:
    def refuse_lists_and_b(names: Sequence[str]) -> bool:
        if "logs-b" in names:
            raise RequestRejected("blocked", kind="cluster_block_exception", status=403)
        return True

    bench.cluster.on_delete = refuse_lists_and_b
    bench.carry_out()
    assert bench.story("logs-a") == ["intent", "refused", "intent", "done"]
    assert bench.story("logs-b") == ["intent", "refused", "intent", "failed"]
    assert list(bench.results.failures) == [bench.facts[1].uuid]


@pytest.mark.parametrize("last", [False, True])
def test_a_list_that_cannot_be_looked_at_is_tried_one_by_one(bench: Bench, *, last: bool) -> None:
    def refuse_lists_and_b(names: Sequence[str]) -> None:
        if "logs-b" in names and (bench.cluster.blocked or not last):
            raise RequestRejected("odd", kind="illegal_argument_exception", status=400)

    bench.cluster.on_look = refuse_lists_and_b
    bench.carry_out()
    assert bench.story("logs-a") == ["intent", "refused", "intent", "done"]
    assert bench.story("logs-b") == ["intent", "refused", "intent", "refused"]
    assert bench.cluster.requests == [["logs-a"]]
    assert bench.cluster.blocked == {"logs-a"}  # that one is gone


def test_a_lost_answer_is_done_where_the_index_is_gone_and_unknown_where_it_is_not(bench: Bench) -> None:
    def lose_the_answer(names: Sequence[str]) -> bool:
        del bench.cluster.indices["logs-a"]
        raise OutcomeUnknown("no answer in time")

    bench.cluster.on_delete = lose_the_answer
    bench.carry_out()
    assert bench.story("logs-a") == ["intent", "done"]
    assert bench.story("logs-b") == ["intent", "unknown"]
    assert len(bench.cluster.requests) == 1, "a destructive request must not be repeated"


def refused() -> bool:
    raise RequestRejected("not here", kind="illegal_argument_exception", status=400)


def lost() -> bool:
    raise OutcomeUnknown("no answer in time")


@pytest.mark.parametrize(
    ("roll_over", "story"),
    [
        (lambda: True, ["intent", "done", "intent", "done"]),
        (lambda: False, ["intent", "failed"]),
        (refused, ["intent", "failed"]),
        (lost, ["intent", "unknown"]),
    ],
    ids=["done", "not done", "refused", "lost"],
)
def test_a_write_index_goes_once_it_is_certainly_rolled_over(roll_over: Callable[[], bool], story: list[str]) -> None:
    bench = Bench("logs-a")
    bench.cluster.on_roll_over = roll_over
    bench.carry_out(rollover="logs")
    assert bench.story("logs-a") == story


def test_a_rollover_whose_answer_was_lost_is_done_where_it_can_be_seen() -> None:
    def lose_the_answer() -> bool:
        bench.cluster.rolled.add("logs-a")
        raise OutcomeUnknown("no answer in time")

    bench = Bench("logs-a")
    bench.cluster.on_roll_over = lose_the_answer
    bench.carry_out(rollover="logs")
    assert bench.story("logs-a") == ["intent", "done", "intent", "done"]


def test_an_outcome_that_cannot_be_looked_at_is_unknown(bench: Bench) -> None:
    bench.cluster.readable = False
    bench.carry_out()
    assert bench.story("logs-a") == ["intent", "unknown"]


def test_an_answer_that_acknowledges_is_no_proof(bench: Bench) -> None:
    bench.cluster.on_delete = lambda _: False
    bench.carry_out()
    assert bench.story("logs-a") == ["intent", "failed"]


@pytest.mark.parametrize(
    "identity",
    [
        IndexVersion(uuid="another", sequence_numbers=(7,)),
        IndexVersion(uuid="uuid-of-logs-a", sequence_numbers=(1_000_000,)),
    ],
    ids=["made anew", "written to"],
)
def test_an_index_that_is_not_what_was_planned_leaves_the_batch(bench: Bench, identity: IndexVersion) -> None:
    assert bench.facts[0].uuid == "uuid-of-logs-a"
    bench.cluster.seen = {"logs-a": identity}
    bench.carry_out()
    assert bench.story("logs-a") == ["intent", "refused"]
    assert bench.cluster.requests == [["logs-b"]]
    assert "logs-a" in bench.cluster.indices


def test_a_ledger_too_slow_for_a_list_has_each_index_deleted_under_a_fresh_intent(bench: Bench) -> None:
    bench.ledger.slowness = INTENT_LIFETIME // 2 + 100
    bench.carry_out()
    assert bench.story("logs-a") == ["intent", "refused", "intent", "done"]
    assert bench.cluster.requests == [["logs-a"], ["logs-b"]]


def test_a_ledger_too_slow_for_anything_deletes_nothing(bench: Bench) -> None:
    bench.ledger.slowness = INTENT_LIFETIME + 1
    bench.carry_out()
    assert bench.cluster.requests == []
    assert bench.story("logs-a")[-1] == "refused"
    bench.carry_out(Action.DELETE_DOCUMENTS)
    assert bench.story("logs-a")[-1] == "refused"


def test_without_permission_nothing_is_sent_and_the_rest_is_left(bench: Bench) -> None:
    bench.permit.refuses = True
    with pytest.raises(Refused, match="stopped by the operator"):
        bench.carry_out()
    assert bench.cluster.requests == []
    assert bench.story("logs-a") == ["intent", "refused"]


def test_many_indices_go_in_several_requests() -> None:
    bench = Bench(*(f"logs-{n:03d}" for n in range(450)))
    bench.carry_out()
    assert [len(names) for names in bench.cluster.requests] == [200, 200, 50]
    assert len(set(bench.ledger.begins)) == 1 + 2 * 3, "the intents of a list are stored together, and the outcomes"


def test_lists_are_half_as_long_once_one_took_too_long_and_grow_again() -> None:
    bench = Bench(*(f"logs-{n:03d}" for n in range(450)))
    bench.ledger.slowness = INTENT_LIFETIME // 120
    bench.carry_out()
    assert [len(names) for names in bench.cluster.requests] == [100, 100, 100, 110, 40]
    assert bench.story("logs-000") == bench.story("logs-199") == ["intent", "refused", "intent", "done"]
    assert bench.story("logs-200") == ["intent", "done"]


def test_of_a_refused_list_only_what_is_refused_alone_stays() -> None:
    bench = Bench(*(f"logs-{n:03d}" for n in range(64)))

    def refuse_one(names: Sequence[str]) -> bool:
        if "logs-017" in names:
            raise RequestRejected("blocked", kind="cluster_block_exception", status=403)
        return True

    bench.cluster.on_delete = refuse_one
    bench.carry_out()
    assert list(bench.cluster.indices) == ["logs-017"]
    assert len(bench.cluster.requests) == 13
    assert bench.cluster.blocked.isdisjoint({"logs-017"})


def test_long_names_make_smaller_requests() -> None:
    bench = Bench(*(f"logs-{'x' * 200}-{n:02d}" for n in range(10)))
    bench.carry_out()
    assert all(sum(len(name) for name in names) < 3_500 for names in bench.cluster.requests)
    assert sum(len(names) for names in bench.cluster.requests) == 10


# --- the write block before a deletion ---


def test_writes_are_stopped_before_the_last_look_and_nothing_is_remembered_of_what_is_gone(bench: Bench) -> None:
    told: list[str] = []
    bench.cluster.on_stop = lambda names: told.extend(bench.remembered)
    bench.carry_out()
    assert told == ["uuid-of-logs-a", "uuid-of-logs-b"], "a block was put on that a crash would leave behind"
    assert bench.cluster.blocked == {"logs-a", "logs-b"}
    assert bench.remembered == []


def test_what_is_written_to_until_the_block_is_on_stays_and_is_open_again(bench: Bench) -> None:
    def write(names: Sequence[str]) -> None:
        bench.cluster.seen = {"logs-a": IndexVersion(uuid="uuid-of-logs-a", sequence_numbers=(1_000_000,))}

    bench.cluster.on_stop = write
    bench.carry_out()
    assert bench.cluster.requests == [["logs-b"]]
    assert bench.cluster.blocked == {"logs-b"}
    assert bench.results.take_changed() == {"uuid-of-logs-a"}
    assert "its write block was removed" in bench.ledger.records[-2]["reason"] + bench.ledger.records[-1]["reason"]
    assert bench.remembered == []


def test_what_is_written_to_already_is_not_blocked_at_all(bench: Bench) -> None:
    bench.cluster.seen = {"logs-a": IndexVersion(uuid="uuid-of-logs-a", sequence_numbers=(1_000_000,))}
    stopped: list[str] = []
    bench.cluster.on_stop = stopped.extend
    bench.carry_out()
    assert stopped == ["logs-b"]


def test_a_block_of_somebody_else_is_theirs(bench: Bench) -> None:
    bench.cluster.blocked = {"logs-a"}
    bench.carry_out()
    assert bench.cluster.requests == [["logs-b"]], "it was blocked since it was planned: it is planned anew"
    assert bench.story("logs-a") == ["intent", "refused"]
    assert "logs-a" in bench.cluster.blocked


def blocked_when_planned() -> Bench:
    bench = Bench("logs-a")
    bench.facts = [replace(bench.facts[0], blocks=frozenset({Block.WRITE}))]
    bench.cluster.blocked = {"logs-a"}
    return bench


def test_an_index_that_was_blocked_when_it_was_planned_goes_without_a_block_of_ours() -> None:
    bench = blocked_when_planned()
    told: list[str] = []
    bench.cluster.on_delete = lambda names: told.extend(bench.remembered) is None
    bench.carry_out()
    assert bench.story("logs-a") == ["intent", "done"]
    assert told == []


def test_it_stays_blocked_where_it_stays() -> None:
    bench = blocked_when_planned()
    bench.cluster.on_delete = lambda names: False
    bench.carry_out()
    assert bench.story("logs-a") == ["intent", "failed"]
    assert bench.cluster.blocked == {"logs-a"}


def test_a_block_that_somebody_took_off_since_is_put_on_and_comes_off_where_the_index_stays() -> None:
    bench = blocked_when_planned()
    bench.cluster.blocked = set()
    told: list[object] = []

    def refuse(names: Sequence[str]) -> bool:
        told.extend([bench.cluster.blocked.copy(), bench.remembered])
        return False

    bench.cluster.on_delete = refuse
    bench.carry_out()
    assert told == [{"logs-a"}, ["uuid-of-logs-a"]]
    assert bench.cluster.blocked == set()
    assert bench.remembered == []


def test_nobody_takes_their_block_off_where_it_is_not_known_whether_ours_is_on() -> None:
    bench = blocked_when_planned()

    def lose(names: Sequence[str]) -> None:
        raise OutcomeUnknown("the answer was lost", "")

    bench.cluster.on_stop = lose
    bench.carry_out()
    assert bench.story("logs-a") == ["intent", "refused"]
    assert bench.cluster.blocked == {"logs-a"}


def test_the_block_comes_off_where_the_deletion_is_refused(bench: Bench) -> None:
    bench.cluster.on_delete = lambda names: refused()
    bench.carry_out()
    assert bench.cluster.blocked == set()
    assert bench.remembered == []


def test_the_block_stays_while_the_outcome_is_unknown_and_comes_off_before_the_next_run(bench: Bench) -> None:
    bench.cluster.on_delete = lambda names: lost()
    bench.carry_out()
    assert bench.cluster.blocked == {"logs-a", "logs-b"}, "the deletion may still be carried out"
    assert bench.remembered == ["uuid-of-logs-a", "uuid-of-logs-b"]
    bench.blocks.tidy("another")
    assert bench.cluster.blocked == {"logs-a", "logs-b"}
    bench.blocks.tidy(job_of("cycle"))
    assert bench.cluster.blocked == set()
    assert bench.remembered == []
    assert [r["action"] for r in bench.ledger.records[-2:]] == ["lift_block", "lift_block"]


def test_what_an_earlier_process_left_behind_comes_off_at_the_start(bench: Bench) -> None:
    bench.cluster.on_delete = lambda names: lost()
    bench.carry_out()
    later = bench.new_blocks(Appender(bench.ledger, bench.clock, SIGNATURE, lambda: 2, NO_IDS))
    later.start()
    assert bench.cluster.blocked == set()
    assert bench.remembered == []


def test_a_block_that_does_not_come_off_is_said_and_tried_again(bench: Bench) -> None:
    bench.cluster.on_delete = lambda names: refused()
    bench.cluster.on_lift = refused
    bench.carry_out()
    assert bench.remembered == ["uuid-of-logs-a", "uuid-of-logs-b"]
    assert "its write block could not be removed: not here" in bench.results.failures["uuid-of-logs-a"][1]
    bench.cluster.on_lift = lambda: None
    bench.blocks.tidy(job_of("cycle"))
    assert bench.cluster.blocked == set()


def test_without_the_lease_a_block_is_left_to_the_next_holder(bench: Bench) -> None:
    def lose_the_lease(names: Sequence[str]) -> bool:
        bench.leased = False
        return refused()

    bench.cluster.on_delete = lose_the_lease
    bench.carry_out()
    assert bench.cluster.blocked == {"logs-a", "logs-b"}
    assert bench.remembered == ["uuid-of-logs-a", "uuid-of-logs-b"]


# --- the write block that another job lifts ---


def write_blocks(bench: Bench) -> WriteBlocks:
    appender = Appender(bench.ledger, bench.clock, SIGNATURE, lambda: 1, NO_IDS)
    return WriteBlocks(bench.cluster, bench, appender, bench.permit, bench.clock, bench.blocks)


def trims(bench: Bench) -> list[Purge]:
    facts = [replace(f, blocks=frozenset({Block.WRITE})) for f in bench.facts]
    action = Action.DELETE_DOCUMENTS
    return [Purge(facts=f, action=action, documents=1, due=NOW, reason="asked for", cut=NOW) for f in facts]


@pytest.mark.parametrize("theirs", [True, False], ids=["somebody's", "ours"])
def test_a_block_under_which_an_index_is_deleted_is_not_lifted(theirs: bool) -> None:
    bench = blocked_when_planned() if theirs else Bench("logs-a")
    seen: list[set[str]] = []

    def trim_meanwhile(names: Sequence[str]) -> bool:
        with write_blocks(bench).lifted(trims(bench), "terminations-1"):
            seen.append(bench.cluster.blocked.copy())
        return False

    bench.cluster.on_delete = trim_meanwhile
    bench.carry_out()
    assert seen == [{"logs-a"}]
    assert bench.cluster.blocked == ({"logs-a"} if theirs else set())
    with write_blocks(bench).lifted(trims(bench), "terminations-2"):
        assert bench.cluster.blocked == set(), "afterwards it is"
    assert bench.cluster.blocked == ({"logs-a"} if theirs else set())


def test_a_block_that_came_off_since_is_not_put_back(bench: Bench) -> None:
    bench.cluster.blocked = {"logs-b"}
    with write_blocks(bench).lifted(trims(bench), "terminations-1"):
        assert bench.cluster.blocked == set()
    assert bench.cluster.blocked == {"logs-b"}


def test_a_list_that_cannot_be_blocked_is_tried_one_by_one(bench: Bench) -> None:
    def refuse_lists_and_b(names: Sequence[str]) -> None:
        if "logs-b" in names:
            raise RequestRejected("gone", kind="index_not_found_exception", status=404)

    bench.cluster.on_stop = refuse_lists_and_b
    bench.carry_out()
    assert bench.story("logs-a") == ["intent", "refused", "intent", "done"]
    assert bench.story("logs-b") == ["intent", "refused", "intent", "refused"]
    assert "logs-b" in bench.cluster.indices


def test_nothing_goes_whose_writes_may_not_have_been_stopped(bench: Bench) -> None:
    bench.cluster.on_stop = lambda names: lost() and None
    bench.carry_out()
    assert bench.cluster.requests == []
    assert bench.story("logs-a") == ["intent", "refused"]


def test_one_whose_writes_may_not_have_ended_stays_and_keeps_no_other_from_going() -> None:
    bench = Bench("logs-a", "logs-b", "logs-c")
    bench.cluster.unconfirmed = {"logs-b"}
    bench.carry_out()
    assert bench.cluster.requests == [["logs-a", "logs-c"]]
    assert bench.story("logs-a") == bench.story("logs-c") == ["intent", "done"]
    assert bench.story("logs-b") == ["intent", "refused"]
    assert "logs-b" not in bench.cluster.blocked
    assert bench.remembered == ["uuid-of-logs-b"], "its block may still come on: it is looked for before the next run"
    bench.blocks.tidy("")
    assert bench.remembered == []


def test_a_block_that_is_put_on_after_its_answer_was_lost_is_taken_off_before_the_next_run(bench: Bench) -> None:
    bench.cluster.on_stop = lambda names: lost() and None
    bench.carry_out()
    assert bench.cluster.blocked == set()
    assert bench.remembered == ["uuid-of-logs-a", "uuid-of-logs-b"]
    bench.cluster.blocked = {"logs-a"}  # the request was slow, and has arrived
    bench.blocks.tidy("")
    assert (bench.cluster.blocked, bench.remembered) == (set(), [])
