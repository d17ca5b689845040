"""Index lifecycles: the policies that a category's promise compiles to, and which index may have which.

A lifecycle deletes whole indices, also while the daemon is down, and never looks at a document. So three things must
hold: its arithmetic is stricter than the promise; it is attached only where no document is older than the date it
counts from says, or so much younger that it would go too early; and it is detached as soon as that changes.

    rolled   streams and aliases that roll over    counts from the rollover, or before it from the index's creation
    plain    all others that may go whole          counts from the creation, or from `origination_date`
    ended    a terminated tenant's indices         counts from nothing: gone as soon as it is attached
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from retention_enforcer.domain.facts import Block, CategoryFacts, Held, IndexFacts
from retention_enforcer.domain.instants import HOUR, describe_duration, format_duration
from retention_enforcer.domain.policy import SPAN_TOLERANCE, Category, Policy
from retention_enforcer.domain.rollover import rollover_target

MANAGED_BY = "retention-enforcer"
"""What `_meta.managed_by` says in the policies that are the enforcer's own."""

ROLLOVER_POLLS = 1
"""Polls until `max_age` is noticed."""

DELETE_POLLS = 3
"""Polls from `min_age` until an index is gone: one to notice it, two for steps that wait (measured on 8.10)."""

_FORBID_SETTINGS = frozenset({Block.READ_ONLY, Block.METADATA})
"""Blocks under which an index's settings cannot be changed; detaching works under each (measured on 8.10)."""


class Variant(StrEnum):
    """Which of a category's policies; the end of its name."""

    ROLLED = "rolled"
    PLAIN = "plain"
    ENDED = "ended"


def policy_prefix(policy: str) -> str:
    """Return how the names of all lifecycle policies of a policy begin."""
    return f"retention-{policy}-"


def policy_name(policy: str, category: str, variant: Variant) -> str:
    """Return the name of one lifecycle policy."""
    return f"{policy_prefix(policy)}{category}-{variant}"


def lateness(margin: int) -> int:
    """Return how much older than its index's creation a document may be without the index needing a date of its own.

    An hour, or the margin where that is shorter; the compiled policies have this time in their arithmetic.
    """
    return min(HOUR, margin)


# --- the compiler -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LifecyclePolicy:
    """One lifecycle policy, compiled. Durations in milliseconds."""

    name: str
    variant: Variant
    max_age: int | None
    """The age at which the write index is rolled over; None where nothing is."""
    min_age: int
    """The age at which the index is deleted, counted as the variant says."""
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
    plain: LifecyclePolicy | None = None
    ended: LifecyclePolicy | None = None

    @property
    def policies(self) -> tuple[LifecyclePolicy, ...]:
        """Those that there are."""
        return tuple(p for p in (self.rolled, self.plain, self.ended) if p is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmeetable:
    """A promise that no lifecycle can keep on this cluster, with the arithmetic that says so."""

    category: str
    arithmetic: str
    mend: str


def compile_lifecycles(policy: Policy, category: Category, fingerprint: str, poll: int) -> Lifecycles | Unmeetable:
    """Return the lifecycle policies of a category on a cluster with this `indices.lifecycle.poll_interval`.

    Promised, as long as lifecycles run, of an index whose documents are at most `lateness` older than the date that
    is counted from (`wanted_lifecycle` sees to that): no document outlives limit - margin.

    rolled: max_age + min_age + 4 polls + lateness = limit - margin. `max_age` is the category's rollover, less where
    two polls would make the index span more than 1.1 rollovers.
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
            plain=compiler.plain(category.max_age) if category.max_age is not None else None,
            ended=compiler.ended() if any(pattern.tenant for pattern in category.indices) else None,
        )
    except _TooShort as short:
        mend = "shorten indices.lifecycle.poll_interval or the margin" + (", or the rollover" if by_age else "")
        return Unmeetable(category=category.id, arithmetic=str(short), mend=f"{mend}; or set ENFORCER_LIFECYCLE=direct")


class _TooShort(Exception):
    """The arithmetic leaves no time."""


@dataclass(frozen=True, slots=True)
class _Compiler:
    policy: Policy
    category: Category
    fingerprint: str
    poll: int

    def rolled(self, limit: int) -> LifecyclePolicy:
        rollover = self.category.rollover
        # With one poll to spare: with none, five of 21 indices came to span a little too much (measured on 8.10).
        max_age = min(rollover, int(SPAN_TOLERANCE * rollover) - 2 * ROLLOVER_POLLS * self.poll)
        if max_age <= 0:
            raise _TooShort(
                f"an index that spans at most {format_duration(int(SPAN_TOLERANCE * rollover))} cannot be rolled over "
                f"in time by polls of {format_duration(self.poll)}"
            )
        min_age, sum_ = self._min_age(limit, ROLLOVER_POLLS + DELETE_POLLS, max_age)
        phases = {
            "hot": {"min_age": "0ms", "actions": {"rollover": {"max_age": format_duration(max_age)}}},
            "delete": _delete_phase(min_age),
        }
        return self._policy(Variant.ROLLED, phases, max_age, min_age, sum_)

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
            raise _TooShort(f"{sum_}: {format_duration(needed)} do not fit")
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
            raise _TooShort(f"{rollover}{rest.format('>=')}: no time is left for min_age")
        return min_age, f"{rollover}min_age {format_duration(min_age)} + {rest.format('=')}"

    def _policy(
        self, variant: Variant, phases: Mapping[str, Any], max_age: int | None, min_age: int, sum_: str
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


def _delete_phase(min_age: int) -> dict[str, Any]:
    # Elasticsearch's default would also delete the snapshot behind a mounted index: snapshots are never deleted.
    action = {"delete": {"delete_searchable_snapshot": False}}
    return {"min_age": f"{min_age}ms" if min_age == 0 else format_duration(min_age), "actions": action}


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


# --- which index may have which -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """What the cluster's state says of an index's lifecycle. Instants in milliseconds."""

    uuid: str
    policy: str | None = None
    """The lifecycle policy that is attached, whoever's."""
    origination: int | None = None
    """`index.lifecycle.origination_date`."""
    rollover_alias: str | None = None
    rolled_over: int | None = None
    """When it was rolled over."""
    rolled_by: str | None = None
    """The stream or alias that was rolled over."""
    open: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Rolled:
    """Wanted: the rolled policy. An alias has to be named to it, a stream has not."""

    rollover_alias: str | None = None
    variant: Variant = Variant.ROLLED
    origination: None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """Wanted: the plain policy, counting from `origination` (epoch milliseconds), or from creation where it is None."""

    origination: int | None = None
    variant: Variant = Variant.PLAIN
    rollover_alias: None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """Wanted: the policy that deletes at once."""

    variant: Variant = Variant.ENDED
    origination: None = None
    rollover_alias: None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoLifecycle:
    """Wanted: none of ours, and why. `foreign`: somebody else's is left where it is."""

    reason: str
    foreign: bool = False


Wanted = Rolled | Plain | Ended | NoLifecycle


def wanted_lifecycles(
    category: Category,
    lifecycles: Lifecycles,
    facts: CategoryFacts,
    attachments: Mapping[str, Attachment],
    ended: Iterable[str] = (),
) -> dict[str, Wanted]:
    """Return for each index of a category which lifecycle it shall have; `ended` names those of terminated tenants.

    An index of which nothing is known about its lifecycle is absent, and so are those set apart.
    """
    ended = frozenset(ended)
    stays = last_of_alias(facts.indices)
    return {
        index.name: wanted_lifecycle(
            category,
            lifecycles,
            index,
            attachments[index.name],
            held=_why_held(index, facts.holds.get(index.name)),
            stays=stays.get(index.name),
            ended=index.name in ended,
        )
        for index in facts.indices
        if index.name in attachments and attachments[index.name].uuid == index.uuid
    }


def last_of_alias(indices: Iterable[IndexFacts]) -> dict[str, str]:
    """Return the index of each alias that would be its last if lifecycles went on alone, and the alias.

    An alias that loses its last index is gone, and the next write to its name creates an index of that name. One that
    a write index's rollover hands on to the next index needs no such care.
    """
    last: dict[str, IndexFacts] = {}
    for index in indices:
        for alias in index.aliases:
            if alias not in last or _seniority(last[alias]) < _seniority(index):
                last[alias] = index
    return {index.name: alias for alias, index in last.items() if index.write_aliases != (alias,)}


def _seniority(index: IndexFacts) -> tuple[bool, int, str]:
    return (index.write_index, index.created, index.name)


def wanted_lifecycle(
    category: Category,
    lifecycles: Lifecycles,
    index: IndexFacts,
    attached: Attachment,
    *,
    held: str | None = None,
    stays: str | None = None,
    ended: bool = False,
) -> Wanted:
    """Return which lifecycle an index shall have: only one that may be deleted whole has any.

    `held` is the hold that covers it, `stays` the alias that must not lose it; `ended` says that its tenant is
    terminated, the grace over, and every document of it the tenant's.
    """
    why = _why_never(category, index, held, stays)
    if why is not None:
        return why
    if ended and lifecycles.ended is not None:
        return NoLifecycle(reason="a write index: rolled over first") if index.write_index else Ended()
    if lifecycles.rolled is None or lifecycles.plain is None:
        return NoLifecycle(reason="no maximum age")
    return _by_age(category, lifecycles, lifecycles.rolled, index, attached)


def _why_held(index: IndexFacts, hold: Held | None) -> str | None:
    """Return which hold keeps an index, or some of its documents, from going whole; None where none does."""
    if hold is not None:
        return hold.text
    return f"{index.held_documents} documents of held subjects" if index.held_documents else None


def _why_never(category: Category, index: IndexFacts, held: str | None, stays: str | None) -> NoLifecycle | None:
    if held:
        return NoLifecycle(reason=f"held: {held}")
    if index.lifecycle and category.foreign_lifecycle == "leave":
        return NoLifecycle(reason=f"under somebody else's lifecycle {index.lifecycle}", foreign=True)
    if not category.enforce:
        return NoLifecycle(reason="the category is not enforced", foreign=index.lifecycle is not None)
    if index.container:
        return NoLifecycle(reason="a container: the index itself stays")
    if index.failure_store:
        return NoLifecycle(reason="a failure store's index: deleted directly")
    if stays:
        return NoLifecycle(reason=f"the last index of the alias {stays}: the index itself stays")
    return None


def _by_age(
    category: Category, lifecycles: Lifecycles, rolled: LifecyclePolicy, index: IndexFacts, attached: Attachment
) -> Wanted:
    if index.undated:
        return NoLifecycle(reason=f"{index.undated} documents of unknown age")
    if index.oldest is not None and index.newest is not None:
        if index.newest - index.oldest > SPAN_TOLERANCE * category.rollover:
            span = describe_duration(index.newest - index.oldest)
            return NoLifecycle(reason=f"its documents span {span}: younger ones would go with the oldest")
        if index.due and not is_ours(attached.policy, rolled):
            return NoLifecycle(reason=f"{index.due} documents are due: deleted directly, under the fuse")
    if index.write_index:
        return _writing(category, index)
    if index.oldest is None or index.newest is None:
        # An index that was rolled over is written to no more; documents of any age can still come into another one.
        return _rolled(index, attached) if attached.rolled_over else NoLifecycle(reason="no documents")
    if attached.rolled_over is not None and _counts_well(
        category,
        index.oldest,
        index.newest,
        since=attached.rolled_over - (rolled.max_age or 0),
        slack=lateness(lifecycles.margin) + ROLLOVER_POLLS * lifecycles.poll,
    ):
        return _rolled(index, attached)
    return _plain(category, lifecycles, rolled, index, attached)


def is_ours(policy: str | None, compiled: LifecyclePolicy) -> bool:
    """Whether an attached lifecycle policy is one of the same category's."""
    family = compiled.name.removesuffix(compiled.variant)
    return policy is not None and policy in {f"{family}{variant}" for variant in Variant}


def _writing(category: Category, index: IndexFacts) -> Wanted:
    """Only the rolled policy never takes a write index, and with it a whole stream of one index.

    One with documents that are too old for it has it all the same: once it is rolled over, it is swapped to plain.
    """
    if rollover_target(index, category) is None:
        return NoLifecycle(reason="a write index that cannot be rolled over: the index itself stays")
    return Rolled(rollover_alias=None if index.stream is not None else index.write_aliases[0])


def _rolled(index: IndexFacts, attached: Attachment) -> Rolled:
    return Rolled(rollover_alias=None if index.stream is not None else attached.rolled_by)


def _plain(
    category: Category, lifecycles: Lifecycles, rolled: LifecyclePolicy, index: IndexFacts, attached: Attachment
) -> Wanted:
    late = lateness(lifecycles.margin)
    if index.oldest is None or index.newest is None:
        raise ValueError(f"{index.name} holds no dated document")
    origination = index.oldest if index.oldest < index.created - late else None
    if _keeps_its_date(index, attached, rolled, late):
        origination = attached.origination
    since = origination if origination is not None else index.created
    # Documents that are late for a date that is kept do not move it: they are trimmed.
    if not _counts_well(category, max(index.oldest, since), index.newest, since=since, slack=late):
        return NoLifecycle(reason="its documents came so long after its creation that they would go too early")
    return Plain(origination=origination)


def _keeps_its_date(index: IndexFacts, attached: Attachment, rolled: LifecyclePolicy, late: int) -> bool:
    """Whether the date that is set is one that the enforcer has set: those of others may lie ahead of the truth."""
    ours = attached.policy == rolled.name.removesuffix(Variant.ROLLED) + Variant.PLAIN
    return ours and attached.origination is not None and attached.origination < index.created - late


def _counts_well(category: Category, oldest: int, newest: int, *, since: int, slack: int) -> bool:
    """Whether a lifecycle that counts from `since` deletes no document too late, and takes no young one along."""
    return since - slack <= oldest and newest <= since + SPAN_TOLERANCE * category.rollover + slack


# --- what has to be done ------------------------------------------------------------------------------


class Way(StrEnum):
    """How an index gets from the lifecycle it has to the one it shall have."""

    DETACH = "detach"
    ATTACH = "attach"
    SWAP = "swap"
    """Detach, then attach: a policy that is only overwritten goes on with what is cached of the old one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of the lifecycle of one index. `policy` is None where it is detached."""

    index: str
    uuid: str
    way: Way
    reason: str
    policy: str | None = None
    origination: int | None = None
    rollover_alias: str | None = None


def lifecycle_changes(
    facts: CategoryFacts,
    lifecycles: Lifecycles,
    wanted: Mapping[str, Wanted],
    attachments: Mapping[str, Attachment],
) -> tuple[Change, ...]:
    """Return what differs, detaching first; nothing for what is as it shall be.

    A block that forbids to change settings defers everything but detaching.
    """
    changes = [
        change
        for index in facts.indices
        if index.name in wanted
        and (change := _change(index, lifecycles, wanted[index.name], attachments[index.name])) is not None
        and (change.way is Way.DETACH or not index.blocks & _FORBID_SETTINGS)
    ]
    return tuple(sorted(changes, key=lambda change: (change.way is not Way.DETACH, change.index)))


def _change(index: IndexFacts, lifecycles: Lifecycles, wanted: Wanted, attached: Attachment) -> Change | None:
    if isinstance(wanted, NoLifecycle):
        if attached.policy is None or wanted.foreign:
            return None
        return Change(index=index.name, uuid=index.uuid, way=Way.DETACH, reason=wanted.reason)
    policy = next(p for p in lifecycles.policies if p.variant is wanted.variant)
    same_policy = attached.policy == policy.name
    if same_policy and (attached.origination, attached.rollover_alias) == (wanted.origination, wanted.rollover_alias):
        return None
    return Change(
        index=index.name,
        uuid=index.uuid,
        way=Way.ATTACH if attached.policy is None else Way.SWAP,
        reason=policy.arithmetic,
        policy=policy.name,
        origination=wanted.origination,
        rollover_alias=wanted.rollover_alias,
    )


def earliest_deletion(change: Change, policy: LifecyclePolicy, index: IndexFacts, attached: Attachment) -> int:
    """Return the instant before which an attached lifecycle does not delete the index: what the fuse has to know."""
    if policy.variant is Variant.ROLLED:
        since = attached.rolled_over if attached.rolled_over is not None else index.created + (policy.max_age or 0)
    else:
        since = change.origination if change.origination is not None else index.created
    return since + policy.min_age
