"""Streams that keep a promise by their own lifecycle: what has to be so before one gets its retention.

A retention rules all indices of a stream, at once, and looks into none. So whatever must not go by it is exempted
first, by a date of its own, and stays so until the retention is the right one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from retention_enforcer.domain.errors import readable
from retention_enforcer.domain.facts import CategoryFacts, IndexFacts
from retention_enforcer.domain.lifecycles.choice import Attachment, NoLifecycle, Wanted
from retention_enforcer.domain.lifecycles.exemption import STREAM_LIFECYCLE
from retention_enforcer.domain.lifecycles.foreign import milliseconds
from retention_enforcer.domain.lifecycles.streams import AdoptedStream, StreamLifecycle, deletes_from


@dataclass(frozen=True, slots=True, kw_only=True)
class PutLifecycle:
    """What the enforcer put on a stream, and what was there before it first did; both whole."""

    put: Mapping[str, Any]
    before: Mapping[str, Any]

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> PutLifecycle:
        """Return what was stored."""
        with readable("what retention-state stores about the lifecycle of a data stream"):
            return cls(put=dict(body["put"]), before=dict(body["before"]))

    def body(self) -> dict[str, Any]:
        """Return what is to be stored."""
        return {"put": dict(self.put), "before": dict(self.before)}

    def is_on(self, lifecycle: StreamLifecycle) -> bool:
        """Whether a stream has it still, as it was put."""
        return dict(lifecycle.body) == dict(self.put)

    def returned(self, default: int | None) -> dict[str, Any]:
        """What the stream gets where it is adopted no more: what it had.

        Not where that deletes sooner: then it is switched off, since nothing covers what it would delete. `default` is
        the retention (milliseconds) that the cluster gives where none is said; None is an endless one.
        """
        had, put = (milliseconds(str(body.get("data_retention"))) for body in (self.before, self.put))
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
    adopted: AdoptedStream, facts: CategoryFacts, attachments: Mapping[str, Attachment], until: int
) -> list[IndexFacts]:
    """Return the indices that the retention to be put deletes by an instant, and the one that is there does not."""
    return [
        index
        for index in facts.indices
        if index.name in adopted.lifecycle.members
        and (attached := attachments.get(index.name)) is not None
        and attached.acting == STREAM_LIFECYCLE
        and _begins(index, attached, adopted.target.retention) <= until
        and not _is_due_already(adopted.lifecycle, index, attached, until)
    ]


def _begins(index: IndexFacts, attached: Attachment, retention: int) -> int:
    since = attached.origination if attached.origination is not None else attached.rolled_over
    return (index.created if since is None else since) + retention


def _is_due_already(lifecycle: StreamLifecycle, index: IndexFacts, attached: Attachment, until: int) -> bool:
    begins = deletes_from(
        lifecycle, created=index.created, rolled_over=attached.rolled_over, dated=attached.origination
    )
    return begins is not None and begins <= until
