"""The compiler: the index lifecycle policies that a category's promise becomes, with their arithmetic.

A lifecycle deletes whole indices, also while the daemon is down, and never looks at a document. So three things must
hold: its arithmetic is stricter than the promise; it is attached only where no document is older than the date it
counts from says, or so much younger that it would go too early (`lifecycle_choice`); and it is detached as soon as
that changes (`lifecycle_changes`).

    rolled   streams and aliases that roll over    counts from the rollover, or before it from the index's creation
    rolling  write indices that may not go whole   deletes nothing: what is written next goes whole again
    plain    all others that may go whole          counts from the creation, or from `origination_date`
    ended    a terminated tenant's indices         counts from nothing: gone as soon as it is attached
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from retention_enforcer.domain.instants import HOUR, MINUTE, format_duration
from retention_enforcer.domain.policy.promises import SPAN_TOLERANCE, Category, Policy

MANAGED_BY = "retention-enforcer"
"""What `_meta.managed_by` says in the policies that are the enforcer's own."""

_OURS = "retention-"
"""How the names of all of them begin."""

DEFAULT_POLL = 10 * MINUTE
"""`indices.lifecycle.poll_interval` where nobody has changed it."""

ROLLOVER_POLLS = 1
"""Polls until `max_age` is noticed."""

DELETE_POLLS = 3
"""Polls from `min_age` until an index is gone: one to notice it, two for steps that wait (measured on 8.10)."""


class Variant(StrEnum):
    """Which of a category's policies; the end of its name."""

    ROLLED = "rolled"
    ROLLING = "rolling"
    PLAIN = "plain"
    ENDED = "ended"


def policy_name(policy: str, category: str, variant: Variant) -> str:
    """Return the name of one lifecycle policy."""
    return f"{_OURS}{policy}-{category}-{variant}"


def deletes_at_once(name: str) -> bool:
    """Whether one of the enforcer's lifecycle policies is an `ended` one."""
    return name.endswith(f"-{Variant.ENDED}")


def deletes_nothing(name: str) -> bool:
    """Whether one of the enforcer's lifecycle policies is a `rolling` one."""
    return name.endswith(f"-{Variant.ROLLING}")


def lateness(margin: int) -> int:
    """Return how much older than its index's creation a document may be without the index needing a date of its own.

    An hour, or the margin where that is shorter; the compiled policies have this time in their arithmetic.
    """
    return min(HOUR, margin)


@dataclass(frozen=True, slots=True, kw_only=True)
class LifecyclePolicy:
    """One lifecycle policy, compiled. Durations in milliseconds."""

    name: str
    variant: Variant
    max_age: int | None
    """The age at which the write index is rolled over; None where nothing is."""
    min_age: int | None
    """The age at which the index is deleted, counted as the variant says; None where it never is."""
    polls: int
    """The polls by which a deletion may come late."""
    body: Mapping[str, Any]
    """What `PUT _ilm/policy/<name>` takes."""

    @property
    def arithmetic(self) -> str:
        """Why these ages keep the promise."""
        return str(self.body["policy"]["_meta"]["arithmetic"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycles:
    """The policies of one category; None where it has no use for one. Durations in milliseconds."""

    category: str
    margin: int
    poll: int
    rolled: LifecyclePolicy | None = None
    rolling: LifecyclePolicy | None = None
    plain: LifecyclePolicy | None = None
    ended: LifecyclePolicy | None = None

    @property
    def policies(self) -> tuple[LifecyclePolicy, ...]:
        """Those that there are."""
        return tuple(p for p in (self.rolled, self.rolling, self.plain, self.ended) if p is not None)

    def of(self, variant: Variant) -> LifecyclePolicy | None:
        """Return the policy of one variant."""
        return next((policy for policy in self.policies if policy.variant is variant), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmeetable:
    """A promise that no lifecycle can keep on this cluster, with the arithmetic that says so."""

    category: str
    arithmetic: str
    remedy: str


def compile_lifecycles(policy: Policy, category: Category, fingerprint: str, poll: int) -> Lifecycles | Unmeetable:
    """Return the lifecycle policies of a category on a cluster with this `indices.lifecycle.poll_interval`.

    Promised, as long as lifecycles run, of an index whose documents are at most `lateness` older than the date that
    is counted from (`wanted_lifecycle` sees to that): no document outlives limit - margin.

    rolled: max_age + min_age + 4 polls + lateness = limit - margin. `max_age` is the category's rollover, less where
    two polls would make the index span more than 1.1 rollovers.
    rolling: rolls over as rolled does, and deletes nothing.
    plain: min_age + 3 polls + lateness = limit - margin.
    ended: gone within 3 polls of being attached, which has to happen between the end of grace and three polls before
    the deadline; only for categories with indices of single tenants.
    """
    compiler = _Compiler(policy, category, fingerprint, poll)
    by_age = category.max_age is not None
    try:
        return Lifecycles(
            category=category.id,
            margin=policy.margin,
            poll=poll,
            rolled=compiler.rolled(category.max_age) if category.max_age is not None else None,
            rolling=compiler.rolling() if by_age else None,
            plain=compiler.plain(category.max_age) if category.max_age is not None else None,
            ended=compiler.ended() if any(pattern.tenant for pattern in category.indices) else None,
        )
    except _TooShort as short:
        remedy = "reduce indices.lifecycle.poll_interval or margin" + (", or rollover" if by_age else "")
        return Unmeetable(
            category=category.id, arithmetic=str(short), remedy=f"{remedy}, or set ENFORCER_LIFECYCLE=direct"
        )


class _TooShort(Exception):
    """The arithmetic leaves no time."""


@dataclass(frozen=True, slots=True)
class _Compiler:
    policy: Policy
    category: Category
    fingerprint: str
    poll: int

    def rolled(self, limit: int) -> LifecyclePolicy:
        max_age = self._rolled_over_at()
        min_age, sum_ = self._min_age(limit, ROLLOVER_POLLS + DELETE_POLLS, max_age)
        phases = {"hot": _rollover_phase(max_age), "delete": _delete_phase(min_age)}
        return self._policy(Variant.ROLLED, phases, max_age, min_age, sum_)

    def rolling(self) -> LifecyclePolicy:
        max_age = self._rolled_over_at()
        sum_ = f"max_age {format_duration(max_age)}, nothing is deleted"
        return self._policy(Variant.ROLLING, {"hot": _rollover_phase(max_age)}, max_age, None, sum_)

    def _rolled_over_at(self) -> int:
        rollover = self.category.rollover
        # With one poll to spare: with none, five of 21 indices came to span a little too much (measured on 8.10).
        max_age = min(rollover, int(SPAN_TOLERANCE * rollover) - 2 * ROLLOVER_POLLS * self.poll)
        if max_age <= 0:
            raise _TooShort(
                f"a poll every {format_duration(self.poll)} is too seldom to roll over an index that may span at most "
                f"{format_duration(int(SPAN_TOLERANCE * rollover))}"
            )
        return max_age

    def plain(self, limit: int) -> LifecyclePolicy:
        min_age, sum_ = self._min_age(limit, DELETE_POLLS, None)
        return self._policy(Variant.PLAIN, {"delete": _delete_phase(min_age)}, None, min_age, sum_)

    def ended(self) -> LifecyclePolicy:
        limits = [limit for limit in (self.category.after_termination, self.policy.on_request) if limit is not None]
        left = min(limits) - self.policy.margin
        needed = DELETE_POLLS * self.poll
        sum_ = (
            f"{DELETE_POLLS} polls of {format_duration(self.poll)} after it is attached, within limit "
            f"{format_duration(min(limits))} - margin {format_duration(self.policy.margin)}"
        )
        if needed >= left:
            raise _TooShort(f"{sum_}: {format_duration(needed)} does not fit")
        return self._policy(Variant.ENDED, {"delete": _delete_phase(0)}, None, 0, sum_)

    def _min_age(self, limit: int, polls: int, max_age: int | None) -> tuple[int, str]:
        margin, late = self.policy.margin, lateness(self.policy.margin)
        min_age = limit - margin - polls * self.poll - late - (max_age or 0)
        rollover = f"max_age {format_duration(max_age)} + " if max_age is not None else ""
        rest = (
            f"{polls} polls of {format_duration(self.poll)} + lateness {format_duration(late)} "
            f"{{}} limit {format_duration(limit)} - margin {format_duration(margin)}"
        )
        if min_age <= 0:
            raise _TooShort(f"{rollover}{rest.format('>=')}: this leaves no time for min_age")
        return min_age, f"{rollover}min_age {format_duration(min_age)} + {rest.format('=')}"

    def _policy(
        self, variant: Variant, phases: Mapping[str, Any], max_age: int | None, min_age: int | None, sum_: str
    ) -> LifecyclePolicy:
        meta = {
            "managed_by": MANAGED_BY,
            "policy": self.policy.name,
            "category": self.category.id,
            "clause": str(self.category.clause),
            "fingerprint": self.fingerprint,
            "arithmetic": sum_,
        }
        return LifecyclePolicy(
            name=policy_name(self.policy.name, self.category.id, variant),
            variant=variant,
            max_age=max_age,
            min_age=min_age,
            polls=DELETE_POLLS + (ROLLOVER_POLLS if variant is Variant.ROLLED else 0),
            body={"policy": {"_meta": meta, "phases": phases}},
        )


def _rollover_phase(max_age: int) -> dict[str, Any]:
    return {"min_age": "0ms", "actions": {"rollover": {"max_age": format_duration(max_age)}}}


def _delete_phase(min_age: int) -> dict[str, Any]:
    # Elasticsearch's default would also delete the snapshot behind a mounted index: snapshots are never deleted.
    action = {"delete": {"delete_searchable_snapshot": False}}
    return {"min_age": f"{min_age}ms" if min_age == 0 else format_duration(min_age), "actions": action}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLifecycle:
    """A lifecycle policy as the cluster has it."""

    content: Mapping[str, Any]
    """`phases` and `_meta`."""
    mine: bool = True
    """Whether it deletes with the rights of this enforcer, and not with those of who put it last."""


class Stored(StrEnum):
    """How a stored lifecycle policy stands to the one that was compiled."""

    MISSING = "missing"
    SAME = "same"
    OUTDATED = "outdated"
    """Put by the enforcer under another fingerprint or arithmetic: put again."""
    ALTERED = "altered"
    """Changed by somebody since the enforcer put it: put again, and a finding."""
    FOREIGN = "foreign"
    """Not the enforcer's, although it has its name: refused."""


def compare_stored(compiled: LifecyclePolicy, stored: Mapping[str, Any] | None) -> Stored:
    """Return how the stored policy (`phases` and `_meta`) stands to the compiled one."""
    if stored is None:
        return Stored.MISSING
    wanted = compiled.body["policy"]
    meta = stored.get("_meta") or {}
    if any(meta.get(key) != wanted["_meta"][key] for key in ("managed_by", "policy", "category")):
        return Stored.FOREIGN
    if stored.get("phases") == wanted["phases"] and meta == wanted["_meta"]:
        return Stored.SAME
    decided = ("fingerprint", "arithmetic")
    if any(meta.get(key) != wanted["_meta"][key] for key in decided):
        return Stored.OUTDATED
    return Stored.ALTERED


def same_phases(compiled: LifecyclePolicy, stored: StoredLifecycle | None) -> bool:
    """Whether a stored policy does the same to the indices that have it, whatever it says about itself."""
    return stored is not None and stored.content.get("phases") == compiled.body["policy"]["phases"]


def own_lifecycles(
    policy: Policy, names: Iterable[str | None], read: Callable[[], Mapping[str, Mapping[str, Any]]]
) -> dict[str, str]:
    """Return which of these lifecycle policies are the enforcer's, and the name its policy had when it put each.

    They are those whose names the policy compiles to, and those whose `_meta` says that the enforcer put them, under
    the very name that they have: one enforcer acts on a cluster, so what it put under another policy's name, or for a
    category that is gone, is its own still; a name that only begins alike is not, nor somebody's copy. One that does
    not exist any more has but its name to tell. `read` returns what the cluster has stored (`phases` and `_meta`, by
    name); it is asked only where the names do not tell.
    """
    asked = {name for name in names if name is not None}
    compiled = {policy_name(policy.name, category.id, variant) for category in policy.categories for variant in Variant}
    own = dict.fromkeys(asked & compiled, policy.name)
    unsure = asked - compiled
    stored = read() if unsure else {}
    lost = dict.fromkeys(
        (name for name in unsure - stored.keys() if name.startswith(f"{_OURS}{policy.name}-")), policy.name
    )
    put = {name: by for name in unsure & stored.keys() if (by := _put_by(name, stored[name].get("_meta") or {}))}
    return own | lost | put


def _put_by(name: str, meta: Mapping[str, Any]) -> str | None:
    """Return for which policy the enforcer has put a lifecycle of this name; None where it has not."""
    policy, category = str(meta.get("policy")), str(meta.get("category"))
    names = {policy_name(policy, category, variant) for variant in Variant}
    return policy if meta.get("managed_by") == MANAGED_BY and name in names else None


def is_to_delete(policy: str | None, compiled: LifecyclePolicy) -> bool:
    """Whether an attached lifecycle policy is one of the same category's that delete."""
    family = compiled.name.removesuffix(compiled.variant)
    deleting = [variant for variant in Variant if variant is not Variant.ROLLING]
    return policy is not None and policy in {f"{family}{variant}" for variant in deleting}
