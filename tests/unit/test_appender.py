"""A record counts once its creation was acknowledged, or every copy has it; until then nothing follows from it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import pytest

from ledgers import NO_IDS, MemoryLedger
from retention_enforcer.domain.errors import ClusterUnavailable, OutcomeUnknown, Refused
from retention_enforcer.domain.ledger.records import MOST_TOGETHER, Entry, Head, Kind, Record, check_chain, seal
from retention_enforcer.enforcement.ledger.appender import Appender, Signature

SIGNATURE = Signature(instance="i", mode="enforce", policy="p")


class Clock:
    def now(self) -> int:
        return 1_800_000_000_000


class TwoCopies(MemoryLedger):
    """A primary that may be cut off from its replica; what it then writes, it alone has."""

    def __init__(self) -> None:
        super().__init__()
        self.replica: list[Record] = []
        self.cut_off = False
        self.answers_lost = 0

    def create(self, records: Sequence[Record]) -> bool:
        if not super().create(records):
            return False
        if self.cut_off:
            raise OutcomeUnknown("no answer")
        self.replica = list(self.records)
        if self.answers_lost:
            self.answers_lost -= 1
            raise OutcomeUnknown("no answer")
        return True

    def standing(self, sequence: int) -> Sequence[Record]:
        if self.get(sequence) is not None and sequence > len(self.replica):
            raise ClusterUnavailable("not on all copies")
        return super().standing(sequence)

    def heal(self) -> None:
        """The primary is the same: what it wrote gets to the replica."""
        self.cut_off, self.replica = False, list(self.records)

    def promote(self) -> None:
        """The replica is the primary now."""
        self.cut_off, self.records = False, list(self.replica)
        del self.begins[len(self.records) :]


def entry(reason: str) -> Entry:
    return Entry(kind=Kind.FINDING, reason=reason)


def of(store: MemoryLedger, epoch: Callable[[], int] = lambda: 1) -> Appender:
    return Appender(store, Clock(), SIGNATURE, epoch, NO_IDS, pause=lambda _: None)


def reasons(store: MemoryLedger) -> list[str]:
    check_chain(store.records)
    return [str(record["reason"]) for record in store.records]


def test_an_answer_that_was_lost_costs_nothing_where_every_copy_has_the_record() -> None:
    store = TwoCopies()
    store.answers_lost = 2
    appender = of(store)
    assert appender.append(entry("one"))["sequence"] == 2
    assert reasons(store) == ["holds the lease", "one"]


@pytest.mark.parametrize("end", [TwoCopies.heal, TwoCopies.promote])
def test_what_one_copy_alone_has_is_not_stored_and_is_the_first_that_is_stored_afterwards(
    end: Callable[[TwoCopies], None],
) -> None:
    store = TwoCopies()
    appender = of(store)
    appender.append(entry("one"))
    store.cut_off = True
    for reason in ("two", "three"):
        with pytest.raises(ClusterUnavailable):
            appender.append(entry(reason))
    assert len(store.records) == 3, "no other record was built upon it"
    end(store)
    appender.append(entry("four"))
    assert reasons(store) == ["holds the lease", "one", "two", "four"]


@pytest.mark.parametrize("end", [TwoCopies.heal, TwoCopies.promote])
def test_the_record_of_the_lease_is_written_once(end: Callable[[TwoCopies], None]) -> None:
    store = TwoCopies()
    store.cut_off = True
    appender = of(store)
    with pytest.raises(ClusterUnavailable):
        appender.append(entry("one"))
    end(store)
    appender.append(entry("two"))
    assert reasons(store) == ["holds the lease", "two"]


@pytest.mark.parametrize("theirs", [1, 2])
def test_what_somebody_else_wrote_in_its_place_is_followed_or_obeyed(theirs: int) -> None:
    store = TwoCopies()
    appender = of(store)
    appender.append(entry("one"))
    store.cut_off = True
    with pytest.raises(ClusterUnavailable):
        appender.append(entry("two"))
    store.promote()
    head = Head(2, store.records[-1]["hash"])
    store.create([seal({"kind": "finding", "reason": "theirs", "epoch": theirs, "instance": "other"}, head)])
    if theirs > 1:
        with pytest.raises(Refused, match="record 3 was written by other under a later lease"):
            appender.append(entry("three"))
    else:
        appender.append(entry("three"))
        assert reasons(store) == ["holds the lease", "one", "theirs", "three"]


def test_nothing_is_offered_again_without_the_lease() -> None:
    store, held = TwoCopies(), [1]

    def epoch() -> int:
        if not held:
            raise Refused("no lease")
        return held[0]

    appender = of(store, epoch)
    store.cut_off = True
    with pytest.raises(ClusterUnavailable):
        appender.append(entry("one"))
    store.promote()
    held.clear()
    with pytest.raises(Refused):
        appender.append(entry("two"))
    assert store.records == []


def test_a_head_that_one_copy_alone_has_is_none() -> None:
    store = TwoCopies()
    of(store).append(entry("one"))
    store.cut_off = True
    with pytest.raises(OutcomeUnknown):
        store.create([seal({"kind": "finding", "reason": "two", "epoch": 1}, Head(2, store.records[-1]["hash"]))])
    later = of(store)
    with pytest.raises(ClusterUnavailable):
        _ = later.head
    store.promote()
    assert later.head.sequence == 2


@pytest.mark.parametrize("together", [1, 3])
def test_any_order_of_cuts_leaves_a_whole_chain(together: int) -> None:
    for what in itertools.product(["cut", "heal", "promote", "append", "the other appends"], repeat=5):
        store = TwoCopies()
        appender, other, counted = of(store), of(store), list[str]()
        for number, act in enumerate(what):
            if "append" in act:
                entries = [entry(f"{number}.{n}") for n in range(together)]
                try:
                    stored = (appender if act == "append" else other).append_all(entries)
                except ClusterUnavailable:
                    continue
                counted += [str(record["reason"]) for record in stored]
            elif act == "cut":
                store.cut_off = True
            else:
                getattr(store, act)()
        store.promote()
        assert set(counted) <= set(reasons(store))
        assert len(counted) == len(set(counted))


def test_more_than_fit_together_are_stored_in_several_parts_one_after_the_other() -> None:
    store = TwoCopies()
    stored = of(store).append_all([entry(str(n)) for n in range(2 * MOST_TOGETHER + 1)])
    assert [record["sequence"] for record in stored] == list(range(2, 2 * MOST_TOGETHER + 3))
    assert reasons(store)[1:] == [str(n) for n in range(2 * MOST_TOGETHER + 1)]
    assert sorted(set(store.begins)) == [1, 2, MOST_TOGETHER + 2, 2 * MOST_TOGETHER + 2]


@pytest.mark.parametrize("theirs", [1, 2])
def test_several_are_stored_after_what_another_process_wrote_in_the_place_of_the_first(theirs: int) -> None:
    store = TwoCopies()
    appender, other = of(store), of(store, lambda: theirs)
    appender.append_all([entry("one"), entry("two")])
    other.append_all([entry("theirs, one"), entry("theirs, two")])
    if theirs > 1:
        with pytest.raises(Refused, match="record 4 was written by i under a later lease"):
            appender.append_all([entry("three"), entry("four")])
        return
    appender.append_all([entry("three"), entry("four")])
    lease = "holds the lease"
    assert reasons(store) == [lease, "one", "two", lease, "theirs, one", "theirs, two", "three", "four"]


def test_none_of_several_stands_whose_answer_was_lost_and_whose_place_somebody_took() -> None:
    store = TwoCopies()
    appender = of(store)
    appender.append(entry("one"))
    store.cut_off = True
    with pytest.raises(ClusterUnavailable):
        appender.append_all([entry("two"), entry("three")])
    store.promote()
    of(store).append(entry("theirs"))
    appender.append(entry("four"))
    assert reasons(store) == ["holds the lease", "one", "holds the lease", "theirs", "four"]
