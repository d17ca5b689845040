"""The operator's word, as the commands write it: accept, approve, stop, resume."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace

from retention_enforcer.domain.errors import Refused, readable
from retention_enforcer.domain.expiry.rules import build_plan
from retention_enforcer.domain.facts import CategoryFacts
from retention_enforcer.domain.instants import DAY
from retention_enforcer.domain.lease import TERM, Lease
from retention_enforcer.domain.own.control_documents import (
    ACCEPTED,
    RESUMED,
    STOP,
    accepted_body,
    approval_document,
    at_body,
    order_document,
    resumed_at,
    stopped_at,
)
from retention_enforcer.domain.own.state_keys import LEASE
from retention_enforcer.domain.plan import Action, Plan
from retention_enforcer.domain.policy.promises import Category
from retention_enforcer.enforcement.ports import Clock, DocumentStore

_LOOK = 1.0
"""Seconds between two looks for the confirmation."""


def accept_policy(control: DocumentStore, fingerprint: str, clock: Clock) -> None:
    """Accept a policy by its fingerprint; only the last accepted one may act."""
    now = clock.now()
    control.save(ACCEPTED, accepted_body(fingerprint, now), now)


def approve_plan(control: DocumentStore, plans: Iterable[Plan], plan_hash: str, fingerprint: str, clock: Clock) -> Plan:
    """Release the purges of the plan with this hash under this policy, each once, for a day; return that plan.

    Raises Refused where no plan of now has it: what would be released is not what was looked at.
    """
    for plan in plans:
        if plan_hash and plan.hash == plan_hash:
            now = clock.now()
            key, body = approval_document(plan, fingerprint, now, until=now + DAY)
            control.save(key, body, now)
            return plan
    raise Refused(
        f"no current plan has the hash {plan_hash}: nothing is approved",
        "run `retention-enforcer plan` again, because the plan has changed",
    )


def order_erasure(
    control: DocumentStore, category: Category, facts: CategoryFacts, margin: int, fingerprint: str, clock: Clock
) -> Plan:
    """Order that what must never be stored is erased: what is there now, each index once, within a day.

    Returns the plan of exactly that; where it is empty nothing is ordered.
    """
    plan = erasure_plan(category, facts, margin, clock.now())
    if plan.purge:
        now = clock.now()
        key, body = order_document(plan, fingerprint, now, until=now + DAY)
        control.save(key, body, now)
    return plan


def erasure_plan(category: Category, facts: CategoryFacts, margin: int, now: int) -> Plan:
    """Return what an order to erase would purge now."""
    own = {index.uuid for index in facts.indices} if category.never_stored else set()
    elsewhere = {(found.index.uuid, Action.DELETE_DOCUMENTS.value) for found in facts.forbidden}
    everything = frozenset((uuid, action.value) for uuid in own for action in Action) | elsewhere
    return build_plan(category, margin, replace(facts, ordered=everything), now)


def stop(control: DocumentStore, state: DocumentStore, clock: Clock) -> str:
    """Set the flag, and wait until nobody acts any more; return how that is known.

    Raises Refused where a daemon goes on renewing its lease without having confirmed.
    """
    now = clock.now()
    # After the last `resume`, whatever clock that had: what it took back is not this flag, if this one is lost.
    with readable("the operator's resume", so="the flag is not set"):
        at = max(now, resumed_at(control.load([RESUMED]).get(RESUMED)) + 1)
    control.save(STOP, at_body(at), now)
    lapsed_at = time.monotonic() + TERM
    seen: tuple[int, int] | None = None
    until = time.monotonic() + 2 * TERM
    while time.monotonic() < until:
        documents = state.versions([LEASE, STOP])
        confirmed = documents.get(STOP)
        with readable(
            "the confirmed stop in retention-state", so="the flag is set, but it is unknown whether the daemon obeys it"
        ):
            if confirmed and int(confirmed.body["at"]) >= at:
                return f"confirmed by {confirmed.body['instance']}"
        lease = documents.get(LEASE)
        if lease is None or not Lease.of(lease.body).holder:
            return "no enforcer holds the lease"
        if lease.version != seen:
            seen, lapsed_at = lease.version, time.monotonic() + TERM
        elif time.monotonic() >= lapsed_at:
            return f"the lease of {Lease.of(lease.body).holder} has lapsed"
        time.sleep(_LOOK)
    raise Refused(
        "the flag is set, but the daemon has not confirmed it and may still be carrying out a request",
        "check the daemon's log, or end its process, which stops it for certain",
    )


def resume(control: DocumentStore, clock: Clock) -> None:
    """Take the flag back, and say so first: a flag that is gone without this was lost."""
    now = clock.now()
    with readable("the operator's stop", so="the flag stays set"):
        stopped = stopped_at(control.load([STOP]).get(STOP))
    control.save(RESUMED, at_body(max(now, stopped or 0)), now)
    control.remove(STOP)
