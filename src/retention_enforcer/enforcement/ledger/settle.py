"""Gives every intent that was left without an outcome the one that a look at the cluster shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from retention_enforcer.domain.errors import ClusterUnavailable, RequestRejected, RetentionError, readable
from retention_enforcer.domain.ledger.records import (
    APPLY_LIFECYCLE,
    DETACH_LIFECYCLE,
    ROLLOVER,
    SET_RETENTION,
    Head,
    Outcome,
    Record,
    answer,
    unanswered,
)
from retention_enforcer.domain.selection import Existing
from retention_enforcer.enforcement.ledger.appender import Appender
from retention_enforcer.enforcement.ports import Deleter, LedgerStore, StreamLifecycles
from retention_enforcer.enforcement.scope import job_of_record


def settle_intents(
    ledger: LedgerStore,
    appender: Appender,
    deleter: Deleter,
    streams: StreamLifecycles,
    *,
    after: int,
    job: str | None = None,
) -> list[Record]:
    """Record an outcome for each unanswered intent past a sequence; return those of which it cannot be told.

    By the index's uuid: gone is `done`, there is `failed` (the next plan asks for it again), unreadable is `unknown`
    and asked again the next time. With a job only its intents are looked at: those of others may be under way.

    Raises ClusterUnavailable where it is not certain which records the ledger has.
    """
    head = appender.close()  # what this process left open is an intent, or the outcome of one
    asked_before: set[int] = set()
    records = _noting(_certain(ledger.read(after), after, head), asked_before)
    intents = [i for i in unanswered(records) if job in (None, job_of_record(i))]
    seen = _look_at_indices(intents, deleter)
    looks = [(intent, *_look(intent, seen, streams)) for intent in intents]
    new = [one for one in looks if one[1] is not Outcome.UNKNOWN or int(one[0]["sequence"]) not in asked_before]
    appender.append_all([answer(intent, outcome, reason) for intent, outcome, reason in new])
    return [intent for intent, outcome, _ in looks if outcome is Outcome.UNKNOWN]


def _noting(records: Iterable[Record], answered: set[int]) -> Iterator[Record]:
    """Yield records as they come, and note which intents have any outcome by then."""
    for record in records:
        if "intent" in record:
            answered.add(int(record["intent"]))
        yield record


def _certain(records: Iterable[Record], after: int, head: Head) -> Iterator[Record]:
    """Yield the records up to the head, which stand for good. Raises ClusterUnavailable at the end where it is not met.

    A copy that is cut off from the others may show what nobody acknowledged, or lack what somebody did.
    """
    met = None
    for record in records:
        if int(record["sequence"]) <= head.sequence:
            met = record.get("hash")
            yield record
    if head.sequence > after and met != head.hash:
        raise ClusterUnavailable(f"record {head.sequence} of the ledger cannot be read", "check the cluster's health")


def _target(intent: Record) -> tuple[str, str]:
    """Return the uuid of the index that an intent is about, and what is done to it."""
    with readable(f"record {intent['sequence']} of the ledger"):
        return str(intent["target"]["uuid"]), str(intent["action"])


_Seen = Mapping[str, Existing] | ClusterUnavailable | RequestRejected
"""The indices that exist, by their uuid, or why nobody can tell."""


def _look_at_indices(intents: Sequence[Record], deleter: Deleter) -> _Seen:
    """Look once at all indices that these intents are about."""
    uuids = {uuid for uuid, action in map(_target, intents) if action != SET_RETENTION}
    try:
        return deleter.existing(uuids) if uuids else {}
    except (ClusterUnavailable, RequestRejected) as error:
        return error


def _look(intent: Record, seen: _Seen, streams: StreamLifecycles) -> tuple[Outcome, str]:
    uuid, action = _target(intent)
    if action == SET_RETENTION:
        try:
            return _look_at_stream(intent, streams)
        except (ClusterUnavailable, RequestRejected) as error:
            return _unreadable(error)
    if not isinstance(seen, Mapping):
        return _unreadable(seen)
    there = seen.get(uuid)
    if action in (APPLY_LIFECYCLE, DETACH_LIFECYCLE):
        return _look_at_lifecycle(intent, there)
    if there is None:
        return Outcome.DONE, "interrupted: the index is gone"
    if action == ROLLOVER and there.rolled_over:
        return Outcome.DONE, "interrupted: the index was rolled over"
    return Outcome.FAILED, "interrupted: the index still exists; what is due in it is planned again"


def _unreadable(error: RetentionError) -> tuple[Outcome, str]:
    return Outcome.UNKNOWN, f"interrupted, and the cluster cannot be read: {error.message}"


def _look_at_lifecycle(intent: Record, there: Existing | None) -> tuple[Outcome, str]:
    """Return what became of an interrupted change of a lifecycle."""
    if there is None:
        return Outcome.FAILED, "interrupted: the index is gone"
    wanted = None if intent["action"] == DETACH_LIFECYCLE else _lifecycle_of(intent)
    if there.lifecycle == wanted:
        return Outcome.DONE, f"interrupted: it has {wanted or 'no lifecycle'}"
    return Outcome.FAILED, f"interrupted: it has {there.lifecycle or 'no lifecycle'}; the next cycle checks it again"


def _look_at_stream(intent: Record, streams: StreamLifecycles) -> tuple[Outcome, str]:
    """Return what became of an interrupted change of a stream's lifecycle."""
    details = intent.get("details") or {}
    stream, wanted = str(details.get("stream")), details.get("retention")
    body = streams.of([stream]).get(stream)
    if not body:
        return Outcome.FAILED, f"interrupted: the data stream {'is gone' if body is None else 'has no lifecycle'}"
    there = body.get("data_retention")
    has = f"the data stream has {f'data_retention {there}' if there is not None else 'no retention'}"
    enabled = bool(body.get("enabled", True))
    if not enabled:
        has += ", disabled"
    if there == wanted and enabled == bool(details.get("enabled", True)):
        return Outcome.DONE, f"interrupted: {has}"
    return Outcome.FAILED, f"interrupted: {has}; the next cycle checks it again"


def _lifecycle_of(intent: Record) -> str:
    """Return which lifecycle an index was to get; in records of before the reason begins with its name."""
    details = intent.get("details") or {}
    return str(details.get("lifecycle") or str(intent.get("reason", "")).partition(":")[0])
