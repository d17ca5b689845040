"""Gives streams the retention by which their own lifecycle keeps a promise, and back what they had."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from retention_enforcer.domain.errors import ClusterUnavailable, Refused, RequestRejected
from retention_enforcer.domain.expiry.fuse import Soon, UnsafePlan
from retention_enforcer.domain.facts import CategoryFacts
from retention_enforcer.domain.findings import TRIED_AGAIN, Finding, FindingKind
from retention_enforcer.domain.foresight import foreseen_in
from retention_enforcer.domain.holds.hold import Hold
from retention_enforcer.domain.instants import DAY, format_duration
from retention_enforcer.domain.ledger.records import SET_RETENTION, Outcome
from retention_enforcer.domain.lifecycles.adoption import PutLifecycle, against, due_by, put_in
from retention_enforcer.domain.lifecycles.streams import AdoptedStream, StreamLifecycle, same_lifecycle
from retention_enforcer.domain.own.state_keys import PUT_STREAMS, streams_key
from retention_enforcer.domain.policy.promises import Category
from retention_enforcer.enforcement.ledger.acts import Act, Acts
from retention_enforcer.enforcement.ledger.fresh_permit import StaleIntent
from retention_enforcer.enforcement.lifecycles.observer import LifecycleLook
from retention_enforcer.enforcement.ports import Clock, DocumentStore, LifecycleSource, StreamLifecycles
from retention_enforcer.enforcement.scope import Scope


@dataclass(slots=True)
class Adoption:
    """What one run did about the retentions of streams."""

    findings: list[Finding] = field(default_factory=list)
    touched: bool = False
    """Whether anything was sent."""
    given_back: set[str] = field(default_factory=set)
    """The streams that have what they had, or what somebody else gave them."""


class _Changed(Refused):
    """The lifecycle of a stream is another than the one that was looked at; nothing was sent."""

    def __init__(self) -> None:
        super().__init__(
            "the lifecycle of the data stream was changed in the meantime", "no action needed: it is checked again"
        )


@dataclass(frozen=True, slots=True)
class StreamAdoption:
    """Replaces the lifecycles of streams, one at a time, where nothing stands against it.

    What is put is remembered before, with what was there: it has no owner in the cluster. Each category has a document
    of its own, which nobody else writes while it is in the policy.
    """

    source: LifecycleSource
    streams: StreamLifecycles
    acts: Acts
    state: DocumentStore
    clock: Clock

    def known(self, scope: Scope, category: Category) -> dict[str, PutLifecycle]:
        """Return what was put on the streams of a category, by stream; also for one that had another name."""
        return _known(scope, category, self._stored())

    def apply(
        self,
        scope: Scope,
        look: LifecycleLook,
        facts: CategoryFacts,
        cycle: str,
        fuse: Callable[[Sequence[Soon]], None],
    ) -> Adoption:
        """Put what differs, as far as the fuse allows; what is adopted no more gets back what it had.

        `look` was taken after everything that is not to go was exempted; `fuse` raises UnsafePlan for what would be
        deleted within a day. Raises Refused where the right to act was lost.
        """
        category, soon, stored = look.category, list[Soon](), self._stored()
        known = _known(scope, category, stored)
        run = _Run(self, category, streams_key(category.id), known, scope.control.holds, cycle)
        if inherited := _inherited(scope, category, stored):
            self.remember(run.key, run.known)
            self.forget(scope, inherited)
        for stream in sorted(run.known.keys() - look.adopted.keys()):
            run.give_back(stream)
        for stream, adopted in sorted(look.adopted.items()):
            if adopted.settled:
                run.note_shortened(adopted.lifecycle)
                continue
            run.note_alteration(adopted)
            if reasons := against(adopted, facts, look.attachments, look.wanted):
                run.fail(stream, "; ".join(reasons))
                continue
            more = [
                Soon(
                    uuid=i.uuid,
                    documents=i.documents,
                    foreseen=foreseen_in(i, category, scope.policy.margin, facts).known,
                )
                for i in due_by(adopted, facts, look.attachments, look.wanted, self.clock.now() + DAY)
            ]
            try:
                fuse([*soon, *more])
            except UnsafePlan as unsafe:
                run.find(FindingKind.UNSAFE_LIFECYCLES, stream, unsafe.message, unsafe.remedy)
                continue
            soon += more
            run.adopt(adopted)
        return run.result

    def give_back_orphaned(self, scope: Scope, cycle: str) -> Adoption:
        """Give back what was put for categories that are in the policy no more, on streams that have no other.

        It is known until `forget`: what is exempt in these streams has to be given back as well.
        """
        result = Adoption()
        for key, known in _orphaned(scope, self._stored()):
            run = _Run(self, None, key, known, scope.control.holds, cycle, result)
            for stream in sorted(known):
                if len(scope.policy.claimants(stream)) != 1:
                    run.give_back(stream, forget=False)
        return result

    def forget(self, scope: Scope, streams: Collection[str]) -> None:
        """Forget these streams of categories that are in the policy no more."""
        for key, known in _orphaned(scope, self._stored()):
            left = {stream: one for stream, one in known.items() if stream not in streams}
            if left.keys() != known.keys():
                self.remember(key, left)

    def _stored(self) -> dict[str, dict[str, PutLifecycle]]:
        return {key: put_in(body) for key, body in sorted(self.state.all(PUT_STREAMS).items())}

    def remember(self, key: str, known: Mapping[str, PutLifecycle]) -> None:
        """Store what was put on the streams of a category; also that it is nothing: the enforcer may remove nothing."""
        body = {stream: one.body() for stream, one in sorted(known.items())}
        self.state.save(key, body, self.clock.now(), PUT_STREAMS)


def _orphaned(
    scope: Scope, stored: Mapping[str, dict[str, PutLifecycle]]
) -> Iterator[tuple[str, dict[str, PutLifecycle]]]:
    """Yield what was put for categories that are in the policy no more, with the key that it is stored under."""
    kept = {streams_key(category.id) for category in scope.policy.categories}
    yield from ((key, known) for key, known in stored.items() if key not in kept)


def _known(scope: Scope, category: Category, stored: Mapping[str, dict[str, PutLifecycle]]) -> dict[str, PutLifecycle]:
    """Return what was put on the streams of a category, also under another name that it had."""
    return {**_inherited(scope, category, stored), **stored.get(streams_key(category.id), {})}


def _inherited(
    scope: Scope, category: Category, stored: Mapping[str, dict[str, PutLifecycle]]
) -> dict[str, PutLifecycle]:
    """Return what was put for such categories on streams that this one alone claims now."""
    return {
        stream: one
        for _, known in _orphaned(scope, stored)
        for stream, one in known.items()
        if scope.policy.claimants(stream) == (category.id,)
    }


@dataclass(frozen=True, slots=True)
class _Run:
    """One run over the streams of one category, or of one that is gone."""

    parts: StreamAdoption
    category: Category | None
    key: str
    known: dict[str, PutLifecycle]
    holds: Collection[Hold]
    cycle: str
    result: Adoption = field(default_factory=Adoption)

    def adopt(self, adopted: AdoptedStream) -> None:
        stream, lifecycle = adopted.lifecycle.stream, adopted.lifecycle
        mine = self.known.get(stream)
        before = mine.before if mine is not None and mine.is_on(lifecycle) else lifecycle.body
        self.known[stream] = PutLifecycle(put=lifecycle.body, before=before, pending=adopted.body)
        self._remember()
        why = self._replace(stream, lifecycle.body, adopted.body, adopted.target.arithmetic)
        if why is None:
            self.known[stream] = PutLifecycle(put=adopted.body, before=before)
            self._remember()
            why = self._differs(adopted)
        if why is not None:
            self.fail(stream, why)

    def _differs(self, adopted: AdoptedStream) -> str | None:
        """Return what is in force of a retention that was put, where it is not what the arithmetic says."""
        (now,) = self._now(adopted.lifecycle.stream) or (None,)
        if now is None:
            return "the data stream is gone"
        if self.note_shortened(now):
            return None  # the rollover age may follow from that
        if now.rollover.max_age != adopted.target.rollover_age or now.rollover.may_wait:
            return "the cluster rolls it over at another age than the one that its retention is calculated for"
        return None if now.rules_the_next else "another lifecycle manages the index that its next rollover creates"

    def give_back(self, stream: str, *, forget: bool = True) -> None:
        """Put back what a stream had, unless somebody has changed its lifecycle since: then that stays."""
        mine = self.known[stream]
        there = next((one.body for one in self._now(stream) if mine.is_on(one)), None)
        returned = mine.returned(self.parts.source.default_retention())
        if there is not None and not any(same_lifecycle(there, one) for one in (returned, mine.before)):
            reason = "the data stream is no longer adopted: it gets its former lifecycle back"
            if returned != mine.before:
                reason += ", disabled, because it deletes sooner and nothing covers what it would delete"
            why = self._replace(stream, there, returned, reason)
            if why is not None:
                self.fail(stream, why)
                return
        self.result.given_back.add(stream)
        if forget:
            del self.known[stream]
            self._remember()

    def note_alteration(self, adopted: AdoptedStream) -> None:
        """Say so where somebody changed what was put; where the policy or the cluster has changed, that is none."""
        mine, stream = self.known.get(adopted.lifecycle.stream), adopted.lifecycle.stream
        if mine is None or mine.is_on(adopted.lifecycle) or mine.put.get("data_retention") != adopted.target.text:
            return
        text = f"somebody changed the lifecycle of {adopted.lifecycle.name}, which the enforcer set and now restores"
        self.find(
            FindingKind.LIFECYCLE_ALTERED, stream, text, "find out who changed it; change the policy file instead"
        )

    def note_shortened(self, lifecycle: StreamLifecycle) -> bool:
        """Say so where less is in force than was put, as long as that is so; True if it is."""
        put, in_force = lifecycle.asked, lifecycle.retention
        if put is None or in_force is None or in_force >= put:
            return False
        text = (
            f"{lifecycle.name} keeps documents for {format_duration(in_force)} ({lifecycle.determined_by}), although "
            f"{lifecycle.body['data_retention']} was put: they are deleted earlier than the policy says"
        )
        remedy = "raise data_streams.lifecycle.retention.max"
        self.find(FindingKind.LIFECYCLE_ALTERED, lifecycle.stream, text, remedy)
        return True

    def fail(self, stream: str, why: str) -> None:
        text = f"the lifecycle of the data stream {stream} could not be replaced: {why}"
        self.find(FindingKind.LIFECYCLE_FAILED, stream, text, TRIED_AGAIN)

    def find(self, kind: FindingKind, stream: str, text: str, remedy: str) -> None:
        category = self.category.id if self.category is not None else None
        self.result.findings.append(Finding.of(kind, category, text, remedy, about=stream))

    def _replace(self, stream: str, there: Mapping[str, Any], body: Mapping[str, Any], reason: str) -> str | None:
        """Replace the lifecycle of one stream; return why a look shows another one, None where it is as put."""
        acts, retention = self.parts.acts, body.get("data_retention")
        one = acts.record_intent(
            Act(
                what=stream,
                category=self.category,
                action=SET_RETENTION,
                index=stream,
                uuid="",
                reason=reason,
                details={
                    "stream": stream,
                    "enabled": int(bool(body.get("enabled", True))),
                    **({"retention": str(retention)} if retention is not None else {}),
                },
                cycle=self.cycle,
            )
        )
        unheld = acts.holds_unchanged(self.holds)

        def raise_if_changed() -> None:
            unheld()
            if not same_lifecycle(self.parts.streams.of([stream]).get(stream), there):
                raise _Changed

        self.result.touched = True
        try:
            with acts.permit([one], raise_if_changed).destructive():
                why = self.parts.streams.put(stream, body)
        except (ClusterUnavailable, RequestRejected) as error:
            why = f"the outcome cannot be verified: {error.message}"
            acts.finish(one, Outcome.UNKNOWN, why)
            return why
        except Refused as error:
            acts.finish(one, Outcome.REFUSED, f"not carried out: {error.message}")
            if isinstance(error, StaleIntent | _Changed):
                return error.message
            raise
        done = f"the data stream has {f'data_retention {retention}' if retention is not None else 'no retention'}"
        acts.finish(one, Outcome.DONE if why is None else Outcome.FAILED, done if why is None else why)
        return why

    def _now(self, stream: str) -> Sequence[StreamLifecycle]:
        return [one for one in self.parts.source.stream_lifecycles([stream]) if not one.failure_store]

    def _remember(self) -> None:
        self.parts.remember(self.key, self.known)
