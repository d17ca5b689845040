"""What has to be done so that each index has the lifecycle that it shall have."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from retention_enforcer.domain.facts import FORBID_SETTINGS, CategoryFacts, Doubt, IndexFacts
from retention_enforcer.domain.lifecycles.choice import Attachment, NoLifecycle, Rolling, Wanted
from retention_enforcer.domain.lifecycles.compiler import LifecyclePolicy, Lifecycles, Variant, deletes_at_once
from retention_enforcer.domain.lifecycles.exemption import STREAM_LIFECYCLE

_NEVER_TO_GO_WHOLE = frozenset(
    {Doubt.CLAIMED_TWICE, Doubt.INVISIBLE, Doubt.TIMESTAMP_TYPE, Doubt.TIMESTAMP_ABSENT, Doubt.FOLLOWER}
)
"""Doubts under which nobody can say that an index holds nothing young. Others pass, and what was known of the index
when its lifecycle was attached holds on: closed ones no lifecycle deletes, unassigned ones come back."""


class Way(StrEnum):
    """How an index gets from the lifecycle it has to the one it shall have."""

    DETACH = "detach"
    """No lifecycle of anybody deletes it afterwards: its stream's own is kept from it first."""
    RELEASE = "release"
    """Its stream's own lifecycle gets it back."""
    ATTACH = "attach"
    SWAP = "swap"
    """Detach, then attach: a policy that is only overwritten goes on with what is cached of the old one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of the lifecycle of one index. `policy` is None where it is detached, or released."""

    index: str
    uuid: str
    way: Way
    reason: str
    policy: str | None = None
    origination: int | None = None
    rollover_alias: str | None = None


def doubtful_changes(
    facts: CategoryFacts,
    attachments: Mapping[str, Attachment],
    own: Collection[str],
    held: Collection[str] = (),
    adopted: Collection[str] = (),
) -> Iterator[Change]:
    """Yield how the enforcer's own lifecycles leave the indices of which is in doubt whether they may go whole.

    `own` names the enforcer's lifecycles, `held` the indices that a hold may cover: nobody can look whether it does.
    One that deletes at once goes in any doubt: whether somebody else has written into the index, or its tenant has come
    back, nobody can tell. The lifecycle of its stream is kept from what may be held, and where the stream is one of
    `adopted` in the same doubts as the enforcer's own; there nothing in doubt is given back.
    """
    for apart in facts.set_apart:
        attached = attachments.get(apart.name)
        if attached is None or attached.uuid != apart.uuid:
            continue
        if attached.policy is None or attached.policy not in own:
            adoptive = attached.stream in adopted and apart.doubt in _NEVER_TO_GO_WHOLE
            reason = f"a hold may cover the index; {apart.text}" if apart.name in held else apart.text
            ruled = NoLifecycle(reason=reason, foreign=True, exempt=apart.name in held or adoptive)
            way = _way_out(ruled, attached)
            if way is not None and not (way is Way.RELEASE and attached.stream in adopted):
                yield Change(index=apart.name, uuid=attached.uuid, way=way, reason=_reason(way, ruled))
            continue
        if apart.doubt in _NEVER_TO_GO_WHOLE or apart.name in held or deletes_at_once(attached.policy):
            reason = f"a hold may cover the index; {apart.text}" if apart.name in held else apart.text
            yield Change(index=apart.name, uuid=attached.uuid, way=Way.DETACH, reason=reason)


def lifecycle_changes(
    facts: CategoryFacts,
    lifecycles: Lifecycles,
    wanted: Mapping[str, Wanted],
    attachments: Mapping[str, Attachment],
) -> tuple[Change, ...]:
    """Return what differs, detaching first; nothing for what is as it shall be.

    A block that forbids to change settings defers everything but taking a lifecycle off that is attached.
    """
    changes = [
        change
        for index in facts.indices
        if index.name in wanted
        and (change := _change(index, lifecycles, wanted[index.name], attachments[index.name])) is not None
        and (_takes_off(change, attachments[index.name]) or not index.blocks & FORBID_SETTINGS)
    ]
    return tuple(sorted(changes, key=lambda change: (change.way is not Way.DETACH, change.index)))


def _takes_off(change: Change, attached: Attachment) -> bool:
    return change.way is Way.DETACH and attached.policy is not None


def _change(index: IndexFacts, lifecycles: Lifecycles, wanted: Wanted, attached: Attachment) -> Change | None:
    if isinstance(wanted, NoLifecycle):
        out = _way_out(wanted, attached)
        return Change(index=index.name, uuid=index.uuid, way=out, reason=_reason(out, wanted)) if out else None
    way = Way.ATTACH if attached.policy is None else Way.SWAP
    change = change_to(index, lifecycles, wanted, way)
    if change is None:
        raise ValueError(f"{lifecycles.category} has no lifecycle policy {wanted.variant}")
    if attached.policy is not None and attached.policy != change.policy:
        # What deletes too early goes first, whatever becomes of what is to be attached.
        if isinstance(wanted, Rolling):
            return Change(index=index.name, uuid=index.uuid, way=Way.DETACH, reason=wanted.reason)
        if deletes_at_once(attached.policy):
            return not_ended(index.name, index.uuid, attached.policy)
    return None if attached.has(change.policy, change.origination, change.rollover_alias) else change


def not_ended(index: str, uuid: str, lifecycle: str) -> Change:
    """Return how the lifecycle that deletes at once leaves an index that it is not for, or not any more."""
    reason = f"{lifecycle} no longer applies: not all documents are of terminated tenants, or something keeps them"
    return Change(index=index, uuid=uuid, way=Way.DETACH, reason=reason)


def _way_out(wanted: NoLifecycle, attached: Attachment) -> Way | None:
    """Return how an index gets rid of what must not delete it, or gets back to its stream's lifecycle."""
    if attached.policy is not None and not wanted.foreign:
        return Way.DETACH
    if wanted.exempt:
        return Way.DETACH if attached.acting == STREAM_LIFECYCLE else None
    given_back = attached.exemption is not None and attached.exemption.given_back
    return Way.RELEASE if given_back and attached.stream is not None else None


def _reason(way: Way, wanted: NoLifecycle) -> str:
    """Return why; one that begins with the name of a lifecycle where that gets the index."""
    if way is Way.RELEASE:
        return f"{STREAM_LIFECYCLE}: no hold exempts the index from it any more"
    return wanted.reason


def change_to(index: IndexFacts, lifecycles: Lifecycles, wanted: Wanted, way: Way, why: str = "") -> Change | None:
    """Return how an index gets a lifecycle that it shall have; None where it shall have none, or there is none."""
    policy = None if isinstance(wanted, NoLifecycle) else lifecycles.of(wanted.variant)
    if policy is None or isinstance(wanted, NoLifecycle):
        return None
    why = f"; {wanted.reason}{why}" if isinstance(wanted, Rolling) else why
    return Change(
        index=index.name,
        uuid=index.uuid,
        way=way,
        reason=f"{policy.arithmetic}{why}",
        policy=policy.name,
        origination=wanted.origination,
        rollover_alias=wanted.rollover_alias,
    )


def earliest_deletion(change: Change, policy: LifecyclePolicy, index: IndexFacts, attached: Attachment) -> int | None:
    """Return the instant before which a lifecycle that is to be attached does not delete the index; None: never.

    What the fuse has to know: a write index is rolled over by that lifecycle itself, at its `max_age`.
    """
    rolled_over = attached.rolled_over if attached.rolled_over is not None else index.created + (policy.max_age or 0)
    return deletes_from(policy, index, rolled_over=rolled_over, origination=change.origination)


def deletes_from(
    policy: LifecyclePolicy, index: IndexFacts, *, rolled_over: int | None, origination: int | None
) -> int | None:
    """Return the earliest instant at which a lifecycle can delete an index, whenever it is rolled over; None: never.

    The rolled policy counts from the rollover, the plain one from the origination date; without it, from creation.
    """
    if policy.min_age is None:
        return None
    dated = {Variant.ROLLED: rolled_over, Variant.PLAIN: origination}.get(policy.variant)
    return (index.created if dated is None else dated) + policy.min_age
