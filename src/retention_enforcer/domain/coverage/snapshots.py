"""Snapshots: copies of governed data that outlive its limit. They are reported, never deleted.

What a snapshot holds of an index is past the limit when the first of these fits:

1. the snapshot itself is older than the limit                  -> all of it is
2. no governed index of that name is in the cluster any more    -> it went because it was due
3. the index's oldest document is past the limit                -> it is in the snapshot, which is younger
4. documents were trimmed from the index since                  -> they were due, and are in the snapshot
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from retention_enforcer.domain.findings import Finding, FindingKind, abbreviated
from retention_enforcer.domain.instants import DAY, describe_duration, format_instant
from retention_enforcer.domain.policy.claims import possible_claimants
from retention_enforcer.domain.policy.names import IndexPattern, governed_part, overlap
from retention_enforcer.domain.policy.promises import Category, Policy
from retention_enforcer.domain.wording import counted, verb

RETENTION_PAUSE = DAY
"""How long an expired snapshot may still be there: Elasticsearch looks for them once a day (`slm.retention_schedule`,
half past one at night by default)."""

ALL_REPOSITORIES = "_all"
"""The name under which it is reported that the repositories themselves cannot be listed."""

_NAMED = 3
"""So many snapshots are named in a text, the oldest ones."""

_DATE_MATH = re.compile(r"<(.*)>", re.DOTALL)
_MATH = re.compile(r"\{.*\}", re.DOTALL)
_ID = re.compile(r"[a-z0-9_]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One snapshot, and which of its indices some category claims."""

    repository: str
    name: str
    uuid: str
    taken: int
    """When it began, epoch milliseconds."""
    policy: str | None
    """The id of the snapshot policy that took it; None for one that was taken by hand."""
    indices: tuple[str, ...]
    """The names that they had when it was taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """One repository, with those of its snapshots that are known."""

    name: str
    snapshots: tuple[Snapshot, ...]
    problem: str | None = None
    """One line on why not all is known of it; None where all is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotLifecycle:
    """A snapshot policy of the cluster (SLM): what it copies, and how long the copies stay. Milliseconds."""

    id: str
    repository: str
    indices: tuple[str, ...]
    """The expressions of its configuration, `*` where it has none."""
    expire_after: int | None
    """None where it has none, or none that can be read."""
    min_count: int | None
    max_count: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotsSeen:
    """All that one look at the snapshots showed."""

    repositories: tuple[Repository, ...]
    lifecycles: tuple[SnapshotLifecycle, ...] = ()
    lifecycles_problem: str | None = None
    """One line on why the snapshot policies are not known; then `lifecycles` says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GovernedIndex:
    """What is known now of a governed index of some name. Instants in milliseconds.

    Both are None for an index that is there and set apart: it must not be taken for one that is gone.
    """

    category: str
    oldest: int | None
    last_trim: int | None


def claimants_of(policy: Policy, index: str) -> tuple[str, ...]:
    """Return the ids of all categories that claim an index, by its own name or by that of its stream.

    The cluster may not know the index or its stream any more: whose a copy is can be told by names alone, also by
    those that lifecycles give to what they make of an index.
    """
    return possible_claimants(policy, index)


def snapshot_findings(
    policy: Policy, seen: SnapshotsSeen, known: Mapping[str, GovernedIndex], now: int
) -> list[Finding]:
    """Return what the snapshots break, or will. All are warnings: they never change whether a category is kept.

    `known` has every index that is there and governed, by its name, those set apart too: what is not among them is
    taken for deleted. It must be older than `seen`, or as old.
    """
    return [*_unread(seen), *_expired(policy, seen, known, now), *_policies_that_keep_too_long(policy, seen)]


def _unread(seen: SnapshotsSeen) -> Iterator[Finding]:
    for repository in seen.repositories:
        if repository.problem is not None:
            yield _finding(
                FindingKind.REPOSITORY_UNREADABLE,
                repository.name,
                f"the snapshots in repository {repository.name} could not all be read: {repository.problem}",
                f"check what GET _snapshot/{repository.name}/_all answers; if the repository is no longer needed, "
                "delete its content first and then its registration",
            )
    if seen.lifecycles_problem is not None:
        text = f"it is unknown how long snapshots are kept: {seen.lifecycles_problem}"
        yield _finding(FindingKind.REPOSITORY_UNREADABLE, None, text, "check what GET _slm/policy answers")


def _finding(kind: FindingKind, about: str | None, text: str, remedy: str) -> Finding:
    return Finding.of(kind, None, text, remedy, about=about)


# --- snapshots that hold data past its limit ----------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Past:
    """Data past its limit; `since` when at the latest, None where that is not known."""

    since: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Expired:
    """A snapshot with data past its limit, and of which categories."""

    snapshot: Snapshot
    categories: frozenset[str]
    since: int | None


def _expired(policy: Policy, seen: SnapshotsSeen, known: Mapping[str, GovernedIndex], now: int) -> Iterator[Finding]:
    """Yield one finding for each repository and the policy that took the snapshots, or none for those by hand."""
    snapshots = [snapshot for repository in seen.repositories for snapshot in repository.snapshots]
    names = {name for snapshot in snapshots for name in snapshot.indices}
    limited = {name: [c for c in map(policy.category, claimants_of(policy, name)) if c.max_age] for name in names}
    together: dict[tuple[str, str | None], list[_Expired]] = {}
    for snapshot in snapshots:
        if expired := _judge(snapshot, limited, known, now):
            together.setdefault((snapshot.repository, snapshot.policy), []).append(expired)
    applications = _applications(policy, {*names, *known})
    for (repository, id_), those in together.items():
        lifecycle = next((x for x in seen.lifecycles if x.id == id_ and x.repository == repository), None)
        those.sort(key=lambda each: (each.snapshot.taken, each.snapshot.name))
        end = "it is unknown when they expire" if seen.lifecycles_problem and id_ else _end(those, lifecycle, now)
        yield _finding(
            FindingKind.SNAPSHOT_EXPIRED,
            f"{repository}/{id_ or ''}",
            f"{_describe(those, applications)}; {end}",
            f"delete them (DELETE _snapshot/{repository}/<name>)"
            + (f", or shorten expire_after of the snapshot policy {id_}" if lifecycle else ""),
        )


def _judge(
    snapshot: Snapshot, limited: Mapping[str, Sequence[Category]], known: Mapping[str, GovernedIndex], now: int
) -> _Expired | None:
    categories: set[str] = set()
    since: list[int] = []
    for name in snapshot.indices:
        for category in limited[name]:
            if past := _past(category, snapshot.taken, known.get(name), now):
                categories.add(category.id)
                since += [past.since] if past.since is not None else []
    if not categories:
        return None
    return _Expired(snapshot=snapshot, categories=frozenset(categories), since=min(since, default=None))


def _past(category: Category, taken: int, known: GovernedIndex | None, now: int) -> _Past | None:
    """Return since when what a snapshot holds of an index is past the limit, or None while it is not known to be."""
    max_age = category.max_age or 0
    if taken + max_age <= now:
        return _Past(since=taken + max_age)
    if known is None:
        # One that began after the look at the indices may hold an index that is younger than that look.
        return _Past(since=None) if taken <= now else None
    if known.category != category.id:
        return None
    if known.oldest is not None and known.oldest + max_age <= now:
        return _Past(since=known.oldest + max_age)
    if known.last_trim is not None and known.last_trim >= taken:
        return _Past(since=None)
    return None


def _describe(those: Sequence[_Expired], applications: frozenset[str]) -> str:
    """Say which snapshots hold what; `those` are sorted by age. Names no index: an application's id may stand in it."""
    oldest, youngest = those[0].snapshot, those[-1].snapshot
    manual, whose = ("", f" of snapshot policy {oldest.policy}") if oldest.policy else ("manual ", "")
    days = dict.fromkeys((_day(oldest.taken), _day(youngest.taken)))
    categories = sorted(set().union(*(each.categories for each in those)))
    known_since = [each.since for each in those if each.since is not None]
    since = f" since {_day(min(known_since))} at the latest" if known_since else ""
    names = abbreviated([_label(each.snapshot, applications) for each in those], _NAMED)
    return (
        f"{counted(len(those), f'{manual}snapshot')}{whose} in repository {oldest.repository}, taken "
        f"{' to '.join(days)}, {verb(len(those), 'contains', 'contain')} data of {', '.join(categories)} past the "
        f"limit{since}: "
        f"{names}"
    )


def _label(snapshot: Snapshot, applications: frozenset[str]) -> str:
    """Return a snapshot's name, or its uuid where an application's id stands in the name."""
    return snapshot.name if applications.isdisjoint(_ID.findall(snapshot.name)) else snapshot.uuid


def _applications(policy: Policy, names: Iterable[str]) -> frozenset[str]:
    """Return the ids of applications that stand in the names of indices."""
    tenants = [pattern for category in policy.categories for pattern in category.indices if pattern.tenant]
    found = (pattern.application_in(governed_part(name)) for name in names for pattern in tenants)
    return frozenset(id_ for id_ in found if id_ is not None)


def _end(those: Sequence[_Expired], lifecycle: SnapshotLifecycle | None, now: int) -> str:
    if lifecycle is None or lifecycle.expire_after is None:
        return "they stay until somebody deletes them"
    end = those[-1].snapshot.taken + lifecycle.expire_after
    word = "expires" if now <= end + RETENTION_PAUSE else "should have expired"
    unless = f", unless min_count {lifecycle.min_count} keeps it regardless of age" if lifecycle.min_count else ""
    return f"the last of them {word} on {_day(end)} under that policy{unless}"


def _day(instant: int) -> str:
    return format_instant(instant).partition("T")[0]


# --- snapshot policies that keep copies too long ------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Copied:
    """One promise about data that a snapshot policy copies. `limit` in milliseconds."""

    limit: int
    category: str
    counted: str
    """From when the limit runs."""


def _policies_that_keep_too_long(policy: Policy, seen: SnapshotsSeen) -> Iterator[Finding]:
    for lifecycle in seen.lifecycles:
        copied = [promise for category in policy.categories for promise in _copied(lifecycle, category)]
        if copied and not _ends_in_time(lifecycle, policy.margin):
            yield _finding(
                FindingKind.SNAPSHOT_POLICY,
                lifecycle.id,
                _arithmetic(lifecycle, copied, policy.margin),
                _remedy_of_policy(policy.margin),
            )


def _copied(lifecycle: SnapshotLifecycle, category: Category) -> Iterator[_Copied]:
    if not any(_covers(lifecycle.indices, pattern) for pattern in category.indices):
        return
    if category.max_age is not None:
        yield _Copied(limit=category.max_age, category=category.id, counted="old")
    if category.after_termination is not None:
        yield _Copied(limit=category.after_termination, category=category.id, counted="after termination")


def _covers(expressions: Sequence[str], pattern: IndexPattern) -> bool:
    """Whether index expressions, with the exclusions among them, reach a name that the pattern claims.

    By the texts alone: which indices stand behind an alias is not looked up. An exclusion counts where it certainly
    takes away all that an expression before it has in common with the pattern.
    """
    reached: list[IndexPattern] = []
    for text in chain.from_iterable(expression.split(",") for expression in expressions):
        wildcard = IndexPattern(_as_wildcard(text.removeprefix("-")))
        if not text.startswith("-"):
            reached += [wildcard] if overlap(wildcard, pattern) else []
        # A wildcard that matches the text of another one matches all that the other does.
        elif wildcard.matches(pattern.text):
            reached = []
        else:
            reached = [other for other in reached if not wildcard.matches(other.text)]
    return bool(reached)


def _as_wildcard(expression: str) -> str:
    """Return a wildcard that reaches all that an expression can: dates that are computed can be any."""
    if expression == "_all":
        return "*"
    date_math = _DATE_MATH.fullmatch(expression)
    return _MATH.sub("*", date_math[1]) if date_math else expression


def _ends_in_time(lifecycle: SnapshotLifecycle, margin: int) -> bool:
    if lifecycle.expire_after is None or lifecycle.min_count:
        return False
    return lifecycle.expire_after + RETENTION_PAUSE <= margin


def _arithmetic(lifecycle: SnapshotLifecycle, copied: Sequence[_Copied], margin: int) -> str:
    """Say why copies outlive the limit, by the promise that leaves them the least time."""
    tightest = min(copied, key=lambda promise: promise.limit)
    before = tightest.limit - margin
    kept = "until somebody deletes it, because the policy has no readable expire_after"
    if lifecycle.expire_after is not None:
        longest = before + lifecycle.expire_after + RETENTION_PAUSE
        kept = (
            f"for {describe_duration(lifecycle.expire_after)} and up to {describe_duration(RETENTION_PAUSE)} more, "
            f"which is until {describe_duration(longest)} {tightest.counted}"
        )
    regardless = f"; min_count {lifecycle.min_count} keeps snapshots regardless of age" if lifecycle.min_count else ""
    return (
        f"snapshot policy {lifecycle.id} copies {', '.join(sorted({promise.category for promise in copied}))}: "
        f"data of {tightest.category} may be copied until {describe_duration(before)} {tightest.counted} and stays in "
        f"the snapshot {kept}; the limit is {describe_duration(tightest.limit)}{regardless}"
    )


def _remedy_of_policy(margin: int) -> str:
    exclude = "exclude the indices of these categories in its config.indices, each with a leading -"
    room = margin - RETENTION_PAUSE
    if room <= 0:
        return exclude
    return f"{exclude}, or set expire_after to at most {describe_duration(room)} and remove min_count"
