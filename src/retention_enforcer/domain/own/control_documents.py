"""The documents of `retention-control`: the operator's word as it is stored, each with its key and both directions.

What is malformed raises KeyError, TypeError, ValueError or AttributeError: whoever reads says, by `errors.readable`,
which document it was. Instants in epoch milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from retention_enforcer.domain.control import Approval, Control, DetachedLifecycle, Order, Shown
from retention_enforcer.domain.errors import ConfigurationError, readable
from retention_enforcer.domain.holds.hold import CoveredIndex, CoveredIndices, Hold
from retention_enforcer.domain.plan import Plan
from retention_enforcer.domain.subjects.identity import Subject, subject_of

Body = Mapping[str, Any]


def control_of(documents: Mapping[str, Body]) -> Control:
    """Read the operator's word, but for what its holds were seen to cover, from its documents by their keys."""
    accepted = documents.get(ACCEPTED, {})
    approved = documents.get(TERMINATIONS_APPROVED, {})
    return Control(
        accepted=accepted.get("fingerprint"),
        accepted_at=int(accepted.get("at", 0)),
        approvals=tuple(approval_of(key, body) for key, body in _beginning(APPROVAL, documents)),
        orders=tuple(order_of(key, body) for key, body in _beginning(ORDER, documents)),
        holds=tuple(hold_of(key, body) for key, body in _beginning(HOLD, documents)),
        removed=frozenset(key.removeprefix(REMOVED) for key, _ in _beginning(REMOVED, documents)),
        resumed_at=resumed_at(documents.get(RESUMED)),
        stopped_at=stopped_at(documents.get(STOP)),
        terminations_approved_at=int(approved.get("at", 0)),
        terminations_approved_under=approved.get("policy"),
        confirmed={k.removeprefix(CONFIRMED): confirmed_time(body) for k, body in _beginning(CONFIRMED, documents)},
    )


def _beginning(prefix: str, documents: Mapping[str, Body]) -> Iterator[tuple[str, Body]]:
    return ((key, body) for key, body in documents.items() if key.startswith(prefix))


# --- the accepted policy ------------------------------------------------------------------------------

ACCEPTED = "accepted-policy"


def accepted_body(fingerprint: str, at: int) -> dict[str, Any]:
    """Return the acceptance of a policy as its document."""
    return {"fingerprint": fingerprint, "at": at}


# --- approvals and orders -----------------------------------------------------------------------------

APPROVAL, ORDER = "approval-", "order-"
"""How their keys begin."""


def approval_document(plan: Plan, fingerprint: str, now: int, until: int) -> tuple[str, dict[str, Any]]:
    """Return the key and the document that release a plan's purges under a policy."""
    body = {
        "hash": plan.hash,
        "policy": fingerprint,
        "pairs": sorted(p.pair for p in plan.purge),
        "shown": sorted((*p.pair, p.documents, p.foreseen) for p in plan.purge),
        "until": until,
    }
    return f"{APPROVAL}{plan.hash}-{now}", body


def approval_of(key: str, body: Body) -> Approval:
    """Read an approval."""
    shown = {
        (str(uuid), str(action)): Shown(documents=int(documents), foreseen=int(foreseen))
        for uuid, action, documents, foreseen in body.get("shown", ())
    }
    return Approval(
        key=key, pairs=_pairs(body), until=int(body["until"]), policy=_optional_text(body, "policy"), shown=shown
    )


def order_document(plan: Plan, fingerprint: str, now: int, until: int) -> tuple[str, dict[str, Any]]:
    """Return the key and the document that order a plan's purges under a policy."""
    body = {
        "category": plan.category,
        "policy": fingerprint,
        "pairs": sorted(p.pair for p in plan.purge),
        "until": until,
    }
    return f"{ORDER}{plan.category}-{now}", body


def order_of(key: str, body: Body) -> Order:
    """Read an order."""
    return Order(
        key=key,
        pairs=_pairs(body),
        until=int(body["until"]),
        policy=_optional_text(body, "policy"),
        category=str(body["category"]),
    )


def _pairs(body: Body) -> frozenset[tuple[str, str]]:
    return frozenset((str(uuid), str(action)) for uuid, action in body["pairs"])


# --- holds, and what they were seen to cover ----------------------------------------------------------

HOLD, COVERED = "hold-", "covered-"
"""How their keys begin. What a hold covers is there as `hold add` saw it, and in `retention-state`, under the same key,
as the enforcer did."""

_HOLD_FIELDS = frozenset(
    {"owner", "reason", "until", "category", "index", "account", "application", "user", "applications"}
)


def hold_body(hold: Hold) -> dict[str, Any]:
    """Return a hold as its document, without what it was seen to cover."""
    target = {"category": hold.category, "index": hold.index, **_subject_body(hold.subject)}
    applications = list(hold.applications) or None
    body = {"owner": hold.owner, "reason": hold.reason, "until": hold.until, "applications": applications, **target}
    return {name: value for name, value in body.items() if value is not None}


def hold_of(key: str, body: Body) -> Hold:
    """Read a hold, without what it was seen to cover."""
    subject = _subject_in(body)
    targets = [body.get("category"), body.get("index"), subject]
    if sum(target is not None for target in targets) != 1 or not {*body} <= _HOLD_FIELDS:
        raise ValueError(f"{key} does not name exactly one category, index or subject")
    return Hold(
        id=key.removeprefix(HOLD),
        owner=str(body["owner"]),
        reason=str(body["reason"]),
        until=int(body["until"]),
        category=_optional_text(body, "category"),
        index=_optional_text(body, "index"),
        subject=subject,
        applications=tuple(str(application) for application in body.get("applications", ())),
    )


def _subject_body(subject: Subject | None) -> dict[str, str | None]:
    if subject is None:
        return {}
    if subject.application is not None:
        return {"application": subject.application, "user": subject.id}
    return {subject.kind.value: subject.id}


def _subject_in(body: Body) -> Subject | None:
    ids = {kind: body.get(kind) for kind in ("account", "application", "user")}
    if not any(ids.values()):
        return None
    try:
        return subject_of(**ids)
    except ConfigurationError as error:
        raise ValueError(error.message) from None


def covered_body(covered: CoveredIndices) -> dict[str, Any]:
    """Return what a hold was seen to cover as its document."""
    return {"indices": {uuid: _covered_index_body(seen) for uuid, seen in sorted(covered.items())}}


def covered_in(body: Body) -> dict[str, CoveredIndex]:
    """Read what a hold was seen to cover. Raises Refused where that is not readable."""
    with readable("what is stored about the coverage of a hold"):
        return {str(uuid): _covered_index_in(entry) for uuid, entry in body["indices"].items()}


def _covered_index_body(seen: CoveredIndex) -> dict[str, Any]:
    return {"created": seen.created, **({"fields": list(seen.fields)} if seen.fields else {})}


def _covered_index_in(entry: Body) -> CoveredIndex:
    return CoveredIndex(created=int(entry["created"]), fields=tuple(str(name) for name in entry.get("fields", ())))


# --- stop, resume, and the trace of a hold that was removed -------------------------------------------

STOP, RESUMED, REMOVED = "stop", "resumed", "removed-hold-"
"""The keys of the first two, and how those of the last begin: without a trace, a stop or a hold that is gone was lost.
`stop` is also the key of its confirmation in `retention-state`."""


def at_body(at: int) -> dict[str, Any]:
    """Return as its document when it was: of a resume, up to when stops are taken back."""
    return {"at": at}


def stopped_at(stop: Body | None) -> int | None:
    """Read since when all deletion is stopped; None where it is not."""
    return int(stop["at"]) if stop else None


def resumed_at(resumed: Body | None) -> int:
    """Read up to when stops are taken back; 0 where nobody ever resumed."""
    return int(resumed["at"]) if resumed is not None else 0


# --- terminations -------------------------------------------------------------------------------------

TERMINATIONS_APPROVED, CONFIRMED = "terminations-approved", "confirmed-"
"""The key of the last approval of terminations, and how those of confirmed times of requests begin."""


def terminations_approved_body(at: int, fingerprint: str) -> dict[str, Any]:
    """Return that terminations registered up to then need not wait, under a policy, as its document."""
    return {"at": at, "policy": fingerprint}


def confirmed_body(at: int, terminated_at: int) -> dict[str, Any]:
    """Return that the unusual time of a request was confirmed as its document."""
    return {"at": at, "terminated_at": terminated_at}


def confirmed_time(body: Body) -> int:
    """Read which time was confirmed."""
    return int(body["terminated_at"])


# --- lifecycles that the operator's commands took off -------------------------------------------------

DETACHED, STREAMS_STOPPED = "detached-lifecycles", "stopped-stream-lifecycles"
"""The keys of those of others that were detached, and of those of streams that were switched off."""


def detached_body(detached: Mapping[str, DetachedLifecycle]) -> dict[str, dict[str, Any]]:
    """Return the lifecycles that were detached, by the uuids of their indices, as their document."""
    return {uuid: asdict(one) for uuid, one in detached.items()}


def detached_in(body: Body) -> dict[str, DetachedLifecycle]:
    """Read the lifecycles that were detached, by the uuids of their indices."""
    return {uuid: DetachedLifecycle(**entry) for uuid, entry in body.items()}


def streams_stopped(lifecycles: Body) -> dict[str, Body]:
    """Return the lifecycles that streams had, by their names: as they are stored, and read."""
    return {stream: dict(lifecycle) for stream, lifecycle in lifecycles.items()}


def _optional_text(body: Body, name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name} must be a string")
    return value
