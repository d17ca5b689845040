"""What became of holds stands in the ledger, each change once, and without any word or id; over small true seams."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from builders import NOW, category
from ledgers import NO_IDS, MemoryLedger
from retention_enforcer.domain.control import Control
from retention_enforcer.domain.errors import ClusterUnavailable, Refused
from retention_enforcer.domain.holds.hold import Hold
from retention_enforcer.domain.instants import DAY, HOUR
from retention_enforcer.domain.ledger.records import Record, check_chain
from retention_enforcer.domain.own.state_keys import HOLDS
from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.domain.subjects.identity import Subject, subject_of
from retention_enforcer.domain.subjects.pseudonyms import Pseudonyms, Redactor
from retention_enforcer.enforcement.holds.records import HoldRecorder, lost_holds
from retention_enforcer.enforcement.ledger.appender import Appender, Signature

POLICY = Policy(name="test", categories=(category(), category("tenants", indices=["tenant-{application}-logs"])))
NAMES = Pseudonyms(b"k" * 32)
REDACTOR = Redactor(NAMES, POLICY.patterns)
SECRETS = ("Anna of legal", "the case of Smith", "1400000001", "smith@example.org", "1000001")
USER = subject_of(application="1400000001", user="smith@example.org")


def hold(id_: str = "h1", **more: Any) -> Hold:
    values: dict[str, Any] = {"owner": SECRETS[0], "reason": SECRETS[1], "until": NOW + 10 * DAY, **more}
    target = {} if {"category", "index", "subject"} & values.keys() else {"category": "backend-logs"}
    return Hold(id=id_, **values, **target)


def word(*holds: Hold, removed: frozenset[str] = frozenset({"h1", "h2", "h3"})) -> Control:
    """The operator's word with these holds; what else there was has been removed, unless that is said."""
    return Control(holds=holds, removed=removed)


class Clock:
    def now(self) -> int:
        return NOW


class Ledger(MemoryLedger):
    """Keeps records; one that is full stores none."""

    def __init__(self) -> None:
        super().__init__()
        self.full = False

    def create(self, records: Sequence[Record]) -> bool:
        return not self.full and super().create(records)


class State:
    """Keeps documents as JSON, and counts how often one was read or replaced."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.read = self.saved = 0

    def load(self, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        self.read += 1
        return {key: json.loads(self.texts[key]) for key in keys if key in self.texts}

    def save(self, key: str, body: Mapping[str, Any], now: int) -> None:
        self.texts[key] = json.dumps(body)
        self.saved += 1


class Bench:
    """A ledger and a memory that outlive each process."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.state = State()

    def keep(self, *holds: Hold, now: int = NOW) -> list[str]:
        """Keep the book in a new process; return the actions of the records that this added."""
        before = len(self.ledger.records)
        signature = Signature(instance="i", mode="enforce", policy="p")
        appender = Appender(self.ledger, Clock(), signature, lambda: 1, NO_IDS)
        HoldRecorder(self.state, appender, REDACTOR).keep(POLICY, word(*holds), now)
        return [str(r["action"]) for r in self.ledger.records[before:] if r["kind"] == "hold"]

    def reasons(self) -> list[str]:
        check_chain(self.ledger.records)
        return [str(r["reason"]) for r in self.ledger.records if r["kind"] == "hold"]


@pytest.fixture
def bench() -> Bench:
    return Bench()


# --- one change, one record ---------------------------------------------------------------------------


def test_a_hold_is_recorded_from_its_beginning_to_its_end_each_change_once(bench: Bench) -> None:
    one = hold()
    longer = replace(one, until=NOW + 20 * DAY)
    story = [
        ([], NOW, []),
        ([one], NOW, ["added"]),
        ([one], NOW + HOUR, []),
        ([longer], NOW + HOUR, ["changed"]),
        ([longer], NOW + 20 * DAY - 1, []),
        ([longer], NOW + 20 * DAY, ["ended"]),
        ([longer], NOW + 21 * DAY, []),
        ([], NOW + 22 * DAY, ["removed"]),
        ([], NOW + 23 * DAY, []),
    ]
    for holds, now, expected in story:
        assert bench.keep(*holds, now=now) == expected


CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("its end", {"until": NOW + 9 * DAY}),
    ("its owner", {"owner": "Bert"}),
    ("its reason", {"reason": "another case"}),
    ("its category", {"category": "tenants"}),
    ("its kind", {"category": None, "index": "logs-a"}),
    ("whom it is on", {"category": None, "subject": USER}),
]


@pytest.mark.parametrize("change", [row[1] for row in CHANGES], ids=[row[0] for row in CHANGES])
def test_whatever_changes_of_a_hold_is_recorded(bench: Bench, change: dict[str, Any]) -> None:
    bench.keep(hold())
    assert bench.keep(replace(hold(), **change)) == ["changed"]
    assert bench.keep(replace(hold(), **change)) == []


def test_the_other_holds_are_not_told_again(bench: Bench) -> None:
    one, two, three = hold("h1"), hold("h2"), hold("h3")
    assert bench.keep(one, two) == ["added", "added"]
    assert bench.keep(three, two, one) == ["added"]
    assert bench.keep(one, three) == ["removed"]
    assert bench.reasons()[-1] == "hold h2"


def test_two_holds_on_the_same_are_two(bench: Bench) -> None:
    assert bench.keep(hold("h1"), hold("h2")) == ["added", "added"]
    assert bench.keep(hold("h2")) == ["removed"]


def test_one_that_was_removed_and_added_again_is_told_again(bench: Bench) -> None:
    assert [bench.keep(hold()), bench.keep(), bench.keep(hold())] == [["added"], ["removed"], ["added"]]


def test_one_that_is_prolonged_after_its_end_is_told_again(bench: Bench) -> None:
    bench.keep(hold())
    assert bench.keep(hold(), now=NOW + 10 * DAY) == ["ended"]
    assert bench.reasons()[-1] == "hold h1"
    assert bench.keep(hold(until=NOW + 30 * DAY), now=NOW + 11 * DAY) == ["changed"]


def test_one_that_had_ended_before_it_was_first_seen_is_no_news(bench: Bench) -> None:
    ended = hold(until=NOW)
    assert bench.keep(ended) == []
    assert bench.state.saved == 1
    assert bench.keep(ended) == []
    assert bench.keep() == ["removed"]


def test_what_has_not_changed_is_not_written(bench: Bench) -> None:
    bench.keep()
    assert bench.state.saved == 0
    bench.keep(hold())
    bench.keep(hold())
    assert bench.state.saved == 1


# --- what can go wrong --------------------------------------------------------------------------------


def test_a_change_that_could_not_be_recorded_is_recorded_the_next_time(bench: Bench) -> None:
    bench.ledger.full = True
    with pytest.raises(ClusterUnavailable):
        bench.keep(hold())
    bench.ledger.full = False
    assert bench.keep(hold()) == ["added"]


def test_a_memory_that_cannot_be_saved_tells_a_change_twice_rather_than_never(bench: Bench) -> None:
    bench.keep(hold())
    del bench.state.texts["holds"]
    assert bench.keep(hold()) == ["added"]


@pytest.mark.parametrize("recorded", [["h1"], "h1", None, 7])
def test_a_spoiled_memory_is_refused(bench: Bench, recorded: Any) -> None:
    bench.state.save("holds", {"recorded": recorded}, NOW)
    with pytest.raises(Refused, match="holds is not readable"):
        bench.keep(hold())
    assert bench.ledger.records == []


# --- what a record says -------------------------------------------------------------------------------

WORDS = f"owner {NAMES.of('Anna of legal')}, reason {NAMES.of('the case of Smith')}"
END = "until 2026-02-10T08:00:00.000Z"
TARGETS: list[tuple[dict[str, Any], str]] = [
    ({"category": "backend-logs"}, "category backend-logs"),
    ({"index": "logs-a"}, "index logs-a"),
    ({"index": "tenant-1400000001-logs"}, f"index tenant-{NAMES.of('1400000001')}-logs"),
    (
        {"index": ".ds-tenant-1400000001-logs-2026.01.31-000001"},
        f"index .ds-tenant-{NAMES.of('1400000001')}-logs-2026.01.31-000001",
    ),
    ({"index": "reading-1400000001"}, f"index {NAMES.of('reading-1400000001')}"),
    ({"subject": subject_of(account="1000001")}, f"account {NAMES.of('1000001')}"),
    ({"subject": subject_of(application="1400000001")}, f"application {NAMES.of('1400000001')}"),
    ({"subject": USER}, f"user {NAMES.of(USER.text)}"),
]


@pytest.mark.parametrize(("on", "target"), TARGETS, ids=[next(iter(on)) for on, _ in TARGETS])
def test_a_record_says_what_is_held_until_when_by_pseudonyms_alone(
    bench: Bench, on: dict[str, Any], target: str
) -> None:
    bench.keep(hold(**on))
    assert bench.reasons() == [f"hold h1 on {target} {END}; {WORDS}"]
    (record,) = [r for r in bench.ledger.records if r["kind"] == "hold"]
    assert record["actor"] == "operator"


@pytest.mark.parametrize("on", [on for on, _ in TARGETS], ids=[next(iter(on)) for on, _ in TARGETS])
def test_no_word_of_an_operator_and_no_id_is_in_ledger_or_memory(bench: Bench, on: dict[str, Any]) -> None:
    one = hold(**on)
    for holds, now in (([one], NOW), ([replace(one, until=NOW + DAY)], NOW), ([one], NOW + 10 * DAY), ([], NOW)):
        bench.keep(*holds, now=now)
    assert len(bench.reasons()) == 4
    written = f"{bench.ledger.records} {bench.state.texts}"
    assert not [secret for secret in SECRETS if secret in written]


def test_the_same_subject_and_the_same_word_are_known_again_by_their_pseudonyms(bench: Bench) -> None:
    other: Subject = subject_of(application="1400000001", user="another")
    bench.keep(hold("h1", subject=USER), hold("h2", subject=USER), hold("h3", subject=other))
    one, two, three = (reason.split(" on ")[1] for reason in bench.reasons())
    assert one == two != three


def test_what_this_process_recorded_is_read_again_only_under_another_lease(bench: Bench) -> None:
    epochs = [1]
    signature = Signature(instance="i", mode="enforce", policy="p")
    book = HoldRecorder(bench.state, Appender(bench.ledger, Clock(), signature, lambda: epochs[-1], NO_IDS), REDACTOR)
    book.keep(POLICY, word(hold()), NOW)
    read = bench.state.read
    book.keep(POLICY, word(hold()), NOW)
    assert bench.state.read == read
    book.keep(POLICY, word(hold(), hold("h2")), NOW)
    assert bench.keep(hold()) == ["removed"]  # another holder's
    epochs.append(2)
    book.keep(POLICY, word(hold(), hold("h2")), NOW)
    assert [r["action"] for r in bench.ledger.records if r["kind"] == "hold"] == ["added", "added", "removed", "added"]


def test_a_hold_that_is_gone_though_nobody_removed_it_is_lost_and_never_removed(bench: Bench) -> None:
    bench.keep(hold("h1"), hold("h2"))
    known = bench.state.load([HOLDS])[HOLDS]
    assert lost_holds(known, word(hold("h2"), removed=frozenset())) == ["h1"]
    assert lost_holds(known, word(removed=frozenset({"h2"}))) == ["h1"]
    assert lost_holds(known, word()) == []
    signature = Signature(instance="i", mode="enforce", policy="p")
    book = HoldRecorder(bench.state, Appender(bench.ledger, Clock(), signature, lambda: 1, NO_IDS), REDACTOR)
    book.keep(POLICY, word(hold("h2"), removed=frozenset()), NOW)
    assert [(r["action"], r["reason"][:7]) for r in bench.ledger.records if r["kind"] == "hold"][-1] == (
        "lost",
        "hold h1",
    )


def test_an_ended_hold_that_is_gone_was_not_lost(bench: Bench) -> None:
    bench.keep(hold())
    bench.keep(hold(), now=NOW + 10 * DAY)
    assert lost_holds(bench.state.load([HOLDS])[HOLDS], word(removed=frozenset())) == []
