"""Snapshots: which hold data past its limit, and which policies will make such."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import LIMIT, MARGIN, NOW, category
from naming import named
from retention_enforcer.domain.coverage.snapshots import (
    GovernedIndex,
    Repository,
    Snapshot,
    SnapshotLifecycle,
    SnapshotsSeen,
    claimants_of,
    snapshot_findings,
)
from retention_enforcer.domain.findings import Finding, Severity
from retention_enforcer.domain.instants import DAY, HOUR
from retention_enforcer.domain.policy.promises import Category, Policy

LOGS = category("logs", indices=["logs-*"])
KEYS = category("keys", indices=["keys"], max_age=None, after_termination=7 * DAY)
TENANTS = category(
    "tenants",
    indices=["tenant-{application}-*"],
    max_age=20 * DAY,
    subjects=named(application="sdkappid"),
)
POLICY = Policy(name="test", categories=(LOGS, KEYS, TENANTS), margin=MARGIN)


def snapshot(name: str = "s1", *, age: int = DAY, indices: tuple[str, ...] = ("logs-a",), **more: Any) -> Snapshot:
    values: dict[str, Any] = {"repository": "backups", "uuid": f"uuid-of-{name}", "policy": None, **more}
    return Snapshot(name=name, taken=NOW - age, indices=indices, **values)


def lifecycle(id_: str = "nightly", **more: Any) -> SnapshotLifecycle:
    values: dict[str, Any] = {"indices": ("*",), "expire_after": 30 * DAY, "min_count": None, "max_count": None, **more}
    return SnapshotLifecycle(id=id_, repository="backups", **values)


def seen(*snapshots: Snapshot, lifecycles: tuple[SnapshotLifecycle, ...] = (), **more: Any) -> SnapshotsSeen:
    names = dict.fromkeys(s.repository for s in snapshots)
    repositories = [Repository(name=n, snapshots=tuple(s for s in snapshots if s.repository == n)) for n in names]
    return SnapshotsSeen(repositories=tuple(repositories), lifecycles=lifecycles, **more)


def there(*, age: int | None = None, trimmed: int | None = None, category_id: str = "logs") -> GovernedIndex:
    """An index that is there: how old its oldest document is, and how long ago it was trimmed."""
    return GovernedIndex(
        category=category_id,
        oldest=None if age is None else NOW - age,
        last_trim=None if trimmed is None else NOW - trimmed,
    )


def findings(
    what: SnapshotsSeen, known: Mapping[str, GovernedIndex] | None = None, policy: Policy = POLICY, now: int = NOW
) -> list[Finding]:
    return snapshot_findings(policy, what, known or {}, now)


def expired(*snapshots: Snapshot, known: Mapping[str, GovernedIndex] | None = None, **more: Any) -> list[Finding]:
    return [f for f in findings(seen(*snapshots, **more), known) if f.kind == "snapshot-expired"]


def the_text(*snapshots: Snapshot, **more: Any) -> str:
    (finding,) = expired(*snapshots, **more)
    return finding.text


# --- when what a snapshot holds is past the limit -----------------------------------------------------

YOUNG = {"logs-a": there(age=DAY)}


@pytest.mark.parametrize(
    ("taken", "known", "since"),
    [
        # 1. the snapshot is older than the limit
        pytest.param(LIMIT, YOUNG, "since 2026-01-31 at the latest", id="a snapshot as old as the limit"),
        pytest.param(LIMIT + 3 * DAY, {}, "since 2026-01-28 at the latest", id="an older one of an index that is gone"),
        pytest.param(LIMIT - 1, YOUNG, None, id="one a millisecond younger, its index as young"),
        # 2. the index is gone
        pytest.param(DAY, {}, "", id="the index is gone"),
        pytest.param(DAY, {"logs-b": there(age=DAY)}, "", id="another index is there"),
        pytest.param(-1, {}, None, id="it began after the look at the indices"),
        pytest.param(0, {}, "", id="it began as the indices were looked at"),
        # 3. the oldest document is past the limit
        pytest.param(DAY, {"logs-a": there(age=LIMIT)}, "since 2026-01-31 at the latest", id="the oldest is past it"),
        pytest.param(DAY, {"logs-a": there(age=LIMIT - 1)}, None, id="the oldest is not past it yet"),
        pytest.param(DAY, {"logs-a": there()}, None, id="the index is there, and its documents unknown"),
        # 4. documents were trimmed since
        pytest.param(DAY, {"logs-a": there(age=DAY, trimmed=DAY)}, "", id="trimmed as the snapshot was taken"),
        pytest.param(DAY, {"logs-a": there(age=DAY, trimmed=1)}, "", id="trimmed after it"),
        pytest.param(DAY, {"logs-a": there(age=DAY, trimmed=DAY + 1)}, None, id="trimmed before it"),
        pytest.param(DAY, {"logs-a": there(age=LIMIT, category_id="keys")}, None, id="it belongs to another category"),
    ],
)
def test_data_in_a_snapshot_is_past_its_limit(
    taken: int, known: Mapping[str, GovernedIndex], since: str | None
) -> None:
    found = expired(snapshot(age=taken), known=known)
    assert len(found) == (0 if since is None else 1)
    for finding in found:
        assert f"contains data of logs past the limit{' ' + since if since else ''}: s1;" in finding.text


@pytest.mark.parametrize(
    ("name", "owners"),
    [
        ("logs-a", ("logs",)),
        (".ds-logs-app-2026.01.10-000003", ("logs",)),
        (".fs-logs-app-2026.01.10-000003", ("logs",)),
        (".ds-logs-app", ()),
        (".ds-tenant-app1-x-2026.01.10-000003", ("tenants",)),
        ("tenant-app1-x", ("tenants",)),
        ("keys", ("keys",)),
        ("keys-2", ()),
        ("other", ()),
        (".internal", ()),
    ],
)
def test_whose_an_index_in_a_snapshot_is(name: str, owners: tuple[str, ...]) -> None:
    assert claimants_of(POLICY, name) == owners


def test_the_earliest_of_what_is_past_the_limit_is_told() -> None:
    indices = ("logs-a", "logs-b", "tenant-1-a")
    known = {"logs-a": there(age=LIMIT + DAY), "logs-b": there(age=LIMIT + 3 * DAY)}
    both = the_text(snapshot(indices=indices), snapshot("s2", age=2 * DAY, indices=("logs-a",)), known=known)
    assert "contain data of logs, tenants past the limit since 2026-01-28 at the latest: s2, s1;" in both


def test_an_index_that_two_categories_claim_counts_for_both() -> None:
    twice = Policy(name="test", categories=(LOGS, category("all-a", indices=["*-a"])), margin=MARGIN)
    (finding,) = findings(seen(snapshot()), policy=twice)
    assert "contains data of all-a, logs past the limit" in finding.text


def test_only_a_maximum_age_makes_a_snapshot_expire() -> None:
    assert expired(snapshot(age=400 * DAY, indices=("keys", "other"))) == []
    assert expired(snapshot(age=400 * DAY, indices=())) == []


# --- what is said of them -----------------------------------------------------------------------------


def test_one_finding_for_each_repository_and_policy() -> None:
    found = expired(
        snapshot("a", policy="nightly"),
        snapshot("b", policy="nightly", age=2 * DAY),
        snapshot("c"),
        snapshot("d", repository="elsewhere", policy="nightly"),
        snapshot("young", policy="weekly", indices=("logs-b",)),
        known={"logs-b": there(age=DAY)},
    )
    assert [f.about for f in found] == ["backups/nightly", "backups/", "elsewhere/nightly"]
    assert {(f.severity, f.category, f.index) for f in found} == {(Severity.WARNING, None, None)}
    assert len({f.id for f in found}) == 3


def test_the_oldest_snapshots_are_named_and_the_others_counted() -> None:
    fifteen = [snapshot(f"s{n:02}", age=n * DAY, policy="nightly") for n in range(1, 16)]
    assert the_text(*fifteen, lifecycles=(lifecycle(),)) == (
        "15 snapshots of snapshot policy nightly in repository backups, taken 2026-01-16 to 2026-01-30, contain data "
        "of logs past the limit since 2026-01-30 at the latest: s15, s14, s13 and 12 more; "
        "the last of them expires on 2026-03-01 under that policy"
    )


NEVER = "they stay until somebody deletes them"


@pytest.mark.parametrize(
    ("policy", "lifecycles", "end"),
    [
        (None, (lifecycle(),), NEVER),
        ("nightly", (), NEVER),
        ("nightly", (lifecycle("weekly"),), NEVER),
        ("nightly", (lifecycle(expire_after=None),), NEVER),
        ("nightly", (lifecycle(),), "the last of them expires on 2026-03-01 under that policy"),
        (
            "nightly",
            (lifecycle(min_count=5),),
            "the last of them expires on 2026-03-01 under that policy, unless min_count 5 keeps it regardless of age",
        ),
        ("nightly", (lifecycle(expire_after=HOUR),), "the last of them expires on 2026-01-30 under that policy"),
        ("nightly", (lifecycle(expire_after=0),), "the last of them expires on 2026-01-30 under that policy"),
    ],
)
def test_when_they_end(policy: str | None, lifecycles: tuple[SnapshotLifecycle, ...], end: str) -> None:
    text = the_text(snapshot(policy=policy), snapshot("older", policy=policy, age=2 * DAY), lifecycles=lifecycles)
    assert text.endswith(f"; {end}")


def test_a_policy_that_does_not_end_its_snapshots_in_time_is_seen() -> None:
    """Elasticsearch looks once a day: two days after the end it has missed them."""
    text = the_text(snapshot(policy="nightly", age=3 * DAY), lifecycles=(lifecycle(expire_after=DAY),))
    assert text.endswith("the last of them should have expired on 2026-01-29 under that policy")


def test_the_snapshots_of_a_policy_that_moved_to_another_repository_do_not_end() -> None:
    text = the_text(snapshot(policy="nightly", repository="old"), lifecycles=(lifecycle(),))
    assert text.endswith(NEVER)


def test_the_remedy_says_how_to_delete_them_and_to_shorten_their_policy() -> None:
    by_hand, nightly = expired(snapshot("a"), snapshot("b", policy="nightly"), lifecycles=(lifecycle(),))
    assert by_hand.remedy == "delete them (DELETE _snapshot/backups/<name>)"
    assert nightly.remedy.startswith(by_hand.remedy)
    assert nightly.remedy.endswith("or shorten expire_after of the snapshot policy nightly")


def test_no_applications_id_stands_in_a_text() -> None:
    names = ("before-1400000001", "1400000001", "x-app_7.old", "plain")
    indices = ("tenant-1400000001-a", ".ds-tenant-app_7-a-2026.01.10-000001")
    for name in names:
        (finding,) = expired(snapshot(name, uuid="uuid-1", indices=indices))
        assert "1400000001" not in finding.text
        assert "app_7" not in finding.text
        assert ("plain" if name == "plain" else "uuid-1") in finding.text


def test_an_applications_id_is_known_from_an_index_that_is_there_too() -> None:
    known = {"tenant-1400000001-a": there(age=DAY, category_id="tenants")}
    (finding,) = expired(snapshot("before-1400000001", uuid="uuid-1"), known=known)
    assert finding.text.endswith(f"past the limit: uuid-1; {NEVER}")


# --- what cannot be read ------------------------------------------------------------------------------


def test_a_repository_that_cannot_be_read_is_a_finding_and_its_known_snapshots_still_count() -> None:
    broken = Repository(name="backups", snapshots=(snapshot(),), problem="repository_exception: no such bucket")
    unreadable, old = findings(SnapshotsSeen(repositories=(broken, Repository(name="fine", snapshots=()))))
    assert (unreadable.kind, unreadable.category, unreadable.about) == ("repository-unreadable", None, "backups")
    assert unreadable.text.endswith(": repository_exception: no such bucket")
    assert "GET _snapshot/backups/_all" in unreadable.remedy
    assert (old.kind, old.about) == ("snapshot-expired", "backups/")


def test_snapshot_policies_that_cannot_be_read_are_not_taken_for_absent() -> None:
    what = seen(snapshot(policy="nightly"), snapshot("by-hand"), lifecycles_problem="not allowed")
    unreadable, nightly, by_hand = findings(what)
    assert (unreadable.kind, unreadable.about) == ("repository-unreadable", None)
    assert unreadable.text.endswith(": not allowed")
    assert nightly.text.endswith("; it is unknown when they expire")
    assert by_hand.text.endswith(NEVER)


# --- snapshot policies --------------------------------------------------------------------------------

ROOMY = Policy(name="test", categories=(LOGS, KEYS), margin=3 * DAY)


@pytest.mark.parametrize(
    ("policy", "kept", "broken"),
    [
        (POLICY, {}, True),
        (POLICY, {"expire_after": 0}, True),
        (ROOMY, {"expire_after": 2 * DAY}, False),
        (ROOMY, {"expire_after": 2 * DAY + 1}, True),
        (ROOMY, {"expire_after": None}, True),
        (ROOMY, {"expire_after": None, "max_count": 1}, True),
        (ROOMY, {"expire_after": DAY, "max_count": 7}, False),
        (ROOMY, {"expire_after": DAY, "min_count": 1}, True),
    ],
)
def test_copies_must_end_within_the_margin(policy: Policy, kept: dict[str, Any], broken: bool) -> None:
    found = findings(seen(lifecycles=(lifecycle(**kept),)), policy=policy)
    assert [(f.kind, f.about) for f in found] == ([("snapshot-policy", "nightly")] if broken else [])


@pytest.mark.parametrize(
    ("expressions", "covered"),
    [
        (["*"], "keys, logs"),
        (["_all"], "keys, logs"),
        (["logs-*"], "logs"),
        (["logs-a"], "logs"),
        (["*-a"], "logs"),
        (["key*"], "keys"),
        (["other-*", "keys"], "keys"),
        (["other-*,logs-a"], "logs"),
        (["other-*", "key", "log*s", "keys-*"], "logs"),
        (["other-*", "key", "logs"], ""),
        (["<logs-{now/d}>"], "logs"),
        (["<logs-{now/d{yyyy.MM.dd|+02:00}}>"], "logs"),
        (["<other-{now/d}>"], ""),
        (["*", "-logs-*"], "keys"),
        (["*", "-keys", "-logs*"], ""),
        (["*", "-logs-*", "-key*", "-other"], ""),
        (["*", "-*"], ""),
        (["*", "-keys,-logs-*"], ""),
        (["*", "-logs-a*"], "keys, logs"),
        (["*", "-logs-*-old"], "keys, logs"),
        (["logs-a*", "-logs-a*"], ""),
        (["logs-a*", "logs-b*", "-logs-a*"], "logs"),
        (["-logs-*", "logs-*"], "logs"),
        (["*", "-logs-*", "logs-a"], "keys, logs"),
        ([".ds-*"], ""),
    ],
)
def test_which_categories_a_snapshot_policy_covers(expressions: list[str], covered: str) -> None:
    policy = Policy(name="test", categories=(LOGS, KEYS), margin=MARGIN)
    found = findings(seen(lifecycles=(lifecycle(indices=tuple(expressions)),)), policy=policy)
    texts = [f.text for f in found]
    assert len(texts) == (1 if covered else 0)
    assert all(text.startswith(f"snapshot policy nightly copies {covered}: ") for text in texts)


def test_an_exclusion_reaches_the_indices_of_applications() -> None:
    policy = Policy(name="test", categories=(TENANTS,), margin=MARGIN)
    assert findings(seen(lifecycles=(lifecycle(indices=("*", "-tenant-*")),)), policy=policy) == []
    assert findings(seen(lifecycles=(lifecycle(indices=("*", "-tenant-1-*")),)), policy=policy) != []


@pytest.mark.parametrize(
    ("categories", "kept", "text"),
    [
        (
            (LOGS, TENANTS),
            {},
            (
                "snapshot policy nightly copies logs, tenants: data of logs may be copied until 13 d 23 h old "
                "and stays in the snapshot for 30 d and up to 1 d more, which is until 44 d 23 h old; the limit is 14 d"
            ),
        ),
        (
            (LOGS, KEYS),
            {"min_count": 5},
            (
                "snapshot policy nightly copies keys, logs: data of keys may be copied until 6 d 23 h after "
                "termination "
                "and stays in the snapshot for 30 d and up to 1 d more, which is until 37 d 23 h after termination; "
                "the limit is 7 d; min_count 5 keeps snapshots regardless of age"
            ),
        ),
        (
            (LOGS,),
            {"expire_after": None},
            (
                "snapshot policy nightly copies logs: data of logs may be copied until 13 d 23 h old and stays in "
                "the snapshot until somebody deletes it, because the policy has no readable expire_after; "
                "the limit is 14 d"
            ),
        ),
    ],
)
def test_the_arithmetic_is_that_of_the_tightest_promise(
    categories: tuple[Category, ...], kept: dict[str, Any], text: str
) -> None:
    policy = Policy(name="test", categories=categories, margin=MARGIN)
    (finding,) = findings(seen(lifecycles=(lifecycle(**kept),)), policy=policy)
    assert finding.text == text
    assert finding.severity is Severity.WARNING


def test_the_remedy_of_a_policy_names_an_expiry_only_where_the_margin_has_room_for_one() -> None:
    what = seen(lifecycles=(lifecycle(),))
    (tight,), (roomy,) = findings(what), findings(what, policy=ROOMY)
    assert "expire_after" not in tight.remedy
    assert roomy.remedy == f"{tight.remedy}, or set expire_after to at most 2 d and remove min_count"


# --- properties ---------------------------------------------------------------------------------------

AGES = st.integers(min_value=-DAY, max_value=40 * DAY)
INDICES = st.lists(st.sampled_from(["logs-a", "logs-b", "tenant-1-a", "keys", "other"]), unique=True).map(tuple)
SNAPSHOTS = st.builds(
    snapshot,
    st.sampled_from(["s1", "s2", "s3"]),
    age=AGES,
    indices=INDICES,
    repository=st.sampled_from(["backups", "elsewhere"]),
    policy=st.sampled_from([None, "nightly"]),
)
KNOWN = st.dictionaries(
    st.sampled_from(["logs-a", "logs-b", "tenant-1-a"]),
    st.builds(
        there,
        age=st.none() | AGES,
        trimmed=st.none() | AGES,
        category_id=st.sampled_from(["logs", "tenants"]),
    ),
)


@given(some=st.lists(SNAPSHOTS, max_size=5), more=st.lists(SNAPSHOTS, max_size=5), known=KNOWN)
def test_more_snapshots_never_take_a_finding_away(
    some: list[Snapshot], more: list[Snapshot], known: Mapping[str, GovernedIndex]
) -> None:
    before = {f.id for f in findings(seen(*some), known)}
    assert before <= {f.id for f in findings(seen(*some, *more), known)}


@given(some=st.lists(SNAPSHOTS, max_size=5), known=KNOWN, later=st.integers(min_value=0, max_value=60 * DAY))
def test_time_never_makes_an_expired_snapshot_good(
    some: list[Snapshot], known: Mapping[str, GovernedIndex], later: int
) -> None:
    before = {f.id for f in findings(seen(*some), known)}
    assert before <= {f.id for f in findings(seen(*some), known, now=NOW + later)}


@given(some=st.lists(SNAPSHOTS, min_size=1, max_size=5), known=KNOWN)
def test_each_snapshot_that_is_older_than_every_limit_is_told_of(
    some: list[Snapshot], known: Mapping[str, GovernedIndex]
) -> None:
    with_data = {f"{s.repository}/{s.policy or ''}" for s in some if {*s.indices} & {"logs-a", "logs-b", "tenant-1-a"}}
    assert {f.about for f in findings(seen(*some), known, now=NOW + 30 * DAY)} == with_data
