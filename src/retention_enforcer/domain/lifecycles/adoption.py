"""Streams that keep a promise by their own lifecycle: what has to be so before one gets its retention.

A retention rules all indices of a stream, at once, and looks into none. So whatever must not go by it is exempted
first, by a date of its own, and stays so until the retention is the right one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from retention_enforcer.domain.errors import readable
from retention_enforcer.domain.facts import CategoryFacts, IndexFacts
from retention_enforcer.domain.lifecycles.choice import Attachment, NoLifecycle, Wanted
from retention_enforcer.domain.lifecycles.exemption import STREAM_LIFECYCLE
from retention_enforcer.domain.lifecycles.foreign import milliseconds
from retention_enforcer.domain.lifecycles.streams import (
    AdoptedStream,
    StreamLifecycle,
    deletes_from,
    same_lifecycle,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PutLifecycle:
    """What the enforcer put on a stream, and what was there before it first did; all whole."""

    put: Mapping[str, Any]
    """What was there when it was last seen: until the first was put, what was there before."""
    before: Mapping[str, Any]
    pending: Mapping[str, Any] | None = None
    """What is about to be put. Whether it was, a look tells."""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> PutLifecycle:
        """Return what was stored."""
        with readable("what retention-state stores about the lifecycle of a data stream"):
            pending = dict(body["pending"]) if "pending" in body else None
            return cls(put=dict(body["put"]), before=dict(body["before"]), pending=pending)

    def body(self) -> dict[str, Any]:
        """Return what is to be stored."""
        pending = {"pending": dict(self.pending)} if self.pending is not None else {}
        return {"put": dict(self.put), "before": dict(self.before), **pending}

    def is_on(self, lifecycle: StreamLifecycle) -> bool:
        """Whether a stream has it still, as it was put."""
        return any(one is not None and same_lifecycle(lifecycle.body, one) for one in (self.put, self.pending))

    def returned(self, default: int | None) -> dict[str, Any]:
        """What the stream gets where it is adopted no more: what it had.

        Not where that deletes sooner: then it is switched off, since nothing covers what it would delete. `default` is
        the retention (milliseconds) that the cluster gives where none is said; None is an endless one.
        """
        there = self.put if self.pending is None else self.pending
        had, put = (milliseconds(str(body.get("data_retention"))) for body in (self.before, there))
        in_force = had if "data_retention" in self.before else default
        sooner = in_force is not None and put is not None and in_force < put
        return {**self.before, "enabled": False} if sooner else dict(self.before)


def put_in(body: Mapping[str, Mapping[str, Any]]) -> dict[str, PutLifecycle]:
    """Return what was put on which streams, of a document that says so."""
    return {stream: PutLifecycle.of(one) for stream, one in body.items()}


def unsettled(
    streams: Sequence[StreamLifecycle], adopted: Mapping[str, AdoptedStream], known: Mapping[str, PutLifecycle]
) -> frozenset[str]:
    """Return the streams whose retention is to change: what is exempt in them stays so until it has."""
    back = {one.stream for one in streams if one.stream in known and known[one.stream].is_on(one)} - adopted.keys()
    return frozenset(back | {name for name, one in adopted.items() if not one.settled})


def against(
    adopted: AdoptedStream,
    facts: CategoryFacts,
    attachments: Mapping[str, Attachment],
    wanted: Mapping[str, Wanted],
) -> tuple[str, ...]:
    """Return why a stream cannot get its retention now: an index that it would rule, and must not."""
    apart = {one.name: one.text for one in facts.set_apart}
    seen = {index.name for index in facts.indices}
    reasons = []
    for name in sorted(adopted.lifecycle.members):
        attached, shall = attachments.get(name), wanted.get(name)
        if attached is not None and attached.acting != STREAM_LIFECYCLE:
            continue
        if name in apart:
            reasons.append(apart[name])
        elif attached is None or name not in seen or shall is None:
            reasons.append(f"{name} was not checked")
        elif isinstance(shall, NoLifecycle) and shall.exempt:
            reasons.append(f"{name} is not exempt from it: {shall.reason}")
    return tuple(reasons)


def due_by(
    adopted: AdoptedStream,
    facts: CategoryFacts,
    attachments: Mapping[str, Attachment],
    wanted: Mapping[str, Wanted],
    until: int,
) -> list[IndexFacts]:
    """Return the indices that the retention to be put deletes by an instant, and the one that is there does not.

    Those that are exempt until it is put are among them: they are given back then.
    """
    there = adopted.lifecycle
    to_be = replace(there, enabled=True, retention=adopted.target.retention)
    return [
        index
        for index in facts.indices
        if index.name in there.members
        and (attached := attachments.get(index.name)) is not None
        and _is_to_rule(attached, wanted.get(index.name))
        and _deletes(to_be, index, attached, until)
        and not (attached.exemption is None and _deletes(there, index, attached, until))
    ]


def _is_to_rule(attached: Attachment, wanted: Wanted | None) -> bool:
    """Whether the lifecycle of its stream rules an index, or will as soon as that has the right retention."""
    if attached.exemption is None:
        return attached.acting == STREAM_LIFECYCLE
    free = isinstance(wanted, NoLifecycle) and not wanted.exempt
    return attached.exemption.given_back and attached.policy is None and free


def _deletes(lifecycle: StreamLifecycle, index: IndexFacts, attached: Attachment, until: int) -> bool:
    """Whether the lifecycle of a stream deletes an index by an instant, once it rules it."""
    begins = deletes_from(lifecycle, created=index.created, rolled_over=attached.rolled_over, dated=attached.before)
    return begins is not None and begins <= until
