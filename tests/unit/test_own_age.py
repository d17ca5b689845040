"""How old documents are that have no timestamp, on purpose: what is known of their index, and what goes by it."""

from __future__ import annotations

from typing import Any

import pytest

from builders import LIMIT, MARGIN, NOW, category, facts, index, verdict_on
from retention_enforcer.domain.expiry.own_age import own_age, quiet_since
from retention_enforcer.domain.expiry.proof import verify
from retention_enforcer.domain.expiry.rules import build_plan
from retention_enforcer.domain.facts import Block, Evidence, IndexFacts
from retention_enforcer.domain.instants import DAY, HOUR, MINUTE
from retention_enforcer.domain.plan import Action, Keep, Purge, Skip

LOGS = category(timestamp=None, rollover=DAY)


def known(*numbers: int, documents: int | None = 10, quiet: int | None = None) -> Evidence:
    return Evidence(oldest=None, first_seen=NOW - DAY, documents=documents, sequence_numbers=numbers, quiet_since=quiet)


@pytest.mark.parametrize(
    ("before", "numbers", "documents", "rolled_over", "expected"),
    [
        (None, (41,), 10, None, None),  # never looked at
        (known(), (41,), 10, None, None),  # the numbers were not seen then
        (known(40), (41,), 11, None, None),  # written to since
        (known(40), (41,), 10, None, None),  # a document was replaced
        (known(41), (41,), 10, None, NOW),  # quiet from this look on, for certain
        (known(41, quiet=NOW - HOUR), (41,), 10, None, NOW - HOUR),
        (known(41, quiet=NOW - HOUR), (41, 5), 10, None, None),  # another number of shards
        (known(41), (41,), 10, NOW - 3 * DAY, NOW - 3 * DAY),  # a stream has left it behind
        (known(41, quiet=NOW - HOUR), (41,), 10, NOW - 3 * DAY, NOW - 3 * DAY),
        (known(40), (41,), 11, NOW - 3 * DAY, None),
        (known(40, 7, quiet=NOW - HOUR), (42, 8), 7, None, NOW - HOUR),  # three deletions, and nothing else
        (known(40, 7, quiet=NOW - HOUR), (42, 9), 7, None, None),
        (known(40, quiet=NOW - HOUR), (43,), 9, None, None),  # one new, two deleted
        (known(40, quiet=NOW - HOUR, documents=None), (43,), 7, None, None),
        (known(40, 7, quiet=NOW - HOUR), (44, 6), 7, None, None),  # a shard went back
    ],
)
def test_since_when_nothing_new_was_written(
    before: Evidence | None, numbers: tuple[int, ...], documents: int, rolled_over: int | None, expected: int | None
) -> None:
    assert quiet_since(before, numbers, documents, rolled_over=rolled_over, now=NOW) == expected


@pytest.mark.parametrize(
    ("created", "quiet", "newest", "counts_from"),
    [
        (NOW - 20 * DAY, None, NOW, NOW),
        (NOW - 20 * DAY, NOW - 19 * DAY, NOW - 19 * DAY, NOW - 20 * DAY),
        (NOW - 20 * DAY, NOW - 18 * DAY, NOW - 18 * DAY, NOW - 18 * DAY),
        (NOW - HOUR, None, NOW, NOW - HOUR),
        (NOW - DAY, NOW - 2 * DAY, NOW - DAY, NOW - DAY),
    ],
)
def test_an_index_written_to_for_one_rollover_counts_from_its_creation_any_other_from_its_last_write(
    created: int, quiet: int | None, newest: int, counts_from: int
) -> None:
    age = own_age(LOGS, created, quiet, NOW)
    assert (age.created, age.newest, age.counts_from) == (created, newest, counts_from)


def own(name: str = "logs-a", *, created: int, quiet: int | None, documents: int = 3, **more: Any) -> IndexFacts:
    age = own_age(LOGS, created, quiet, NOW)
    values: dict[str, Any] = {
        "documents": documents,
        "created": created,
        "oldest": age.created,
        "newest": age.newest,
        "imprecision": age.counts_from - age.created,
        "due": documents if age.counts_from < NOW - LIMIT + MARGIN else 0,
        "overdue": documents if age.created < NOW - LIMIT else 0,
        "quiet_since": quiet,
        "timestamp": None,
        **more,
    }
    return index(name, **values)


def judged(one: IndexFacts, **more: Any) -> Purge | Keep | Skip:
    return verdict_on(one.name, build_plan(LOGS, MARGIN, facts(one, **more), NOW))


OLD, QUIET = NOW - 20 * DAY, NOW - 19 * DAY


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (own(created=NOW - 13 * DAY, quiet=NOW - 12 * DAY), "no new writes for 12 d"),
        (own(created=OLD, quiet=NOW - 13 * DAY), "no new writes for 13 d"),
        (own(created=OLD, quiet=None), "once two checks in a row"),
        (own(created=OLD, quiet=QUIET, write_index=True, write_aliases=("w",)), "the write index"),
        (own(created=OLD, quiet=QUIET, write_index=True, stream="s"), "the write index"),
        (own(created=OLD, quiet=QUIET, container=True), "a container: the index itself is kept"),
        (own(created=OLD, quiet=QUIET, aliases=("view",)), "the last index of alias view"),
    ],
)
def test_what_is_young_or_may_be_written_to_stays(one: IndexFacts, why: str) -> None:
    verdict = judged(one)
    assert isinstance(verdict, Keep)
    assert why in verdict.reason


@pytest.mark.parametrize(
    ("quiet", "said"), [(QUIET, "for 19 d"), (NOW - 15 * DAY, "for 15 d")], ids=["from creation", "from the last write"]
)
def test_what_is_old_and_quiet_goes_whole(quiet: int, said: str) -> None:
    verdict = judged(own(created=OLD, quiet=quiet))
    assert isinstance(verdict, Purge)
    assert (verdict.action, verdict.documents) == (Action.DELETE_INDEX, 3)
    assert said in verdict.reason
    assert "early" not in verdict.reason


def test_it_says_how_much_too_early_the_youngest_go_with_an_index_of_one_rollover() -> None:
    verdict = judged(own(created=NOW - 14 * DAY, quiet=NOW - 13 * DAY))
    assert isinstance(verdict, Purge)
    assert "its youngest documents are deleted up to 23 h early" in verdict.reason


@pytest.mark.parametrize(
    "more",
    [{"matching_documents": 1}, {"blocks": frozenset({Block.METADATA})}, {"blocks": frozenset({Block.READ_ONLY})}],
)
def test_it_is_never_trimmed(more: dict[str, Any]) -> None:
    assert isinstance(judged(own(created=OLD, quiet=QUIET, **more)), Skip)


def test_it_is_kept_from_its_creation_on_whenever_it_was_written_to() -> None:
    def kept(one: IndexFacts) -> bool:
        seen = facts(one)
        return verify(LOGS, seen, build_plan(LOGS, MARGIN, seen, NOW)).kept

    assert kept(own(created=NOW - 14 * DAY, quiet=None))
    assert not kept(own(created=NOW - 14 * DAY - 1, quiet=None))
    assert not kept(own(created=NOW - DAY, quiet=None, resized=True)), "its documents are older than it"
    assert not kept(own(created=OLD, quiet=NOW - MINUTE, container=True))
