"""One look at a category's lifecycles: what is attached, what shall be, and where one hangs. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from retention_enforcer.domain.deadlines import due_at
from retention_enforcer.domain.facts import CategoryFacts, IndexFacts, SetApart
from retention_enforcer.domain.findings import Finding, FindingKind
from retention_enforcer.domain.lifecycles.adoption import PutLifecycle, unsettled
from retention_enforcer.domain.lifecycles.changes import (
    Change,
    Way,
    change_to,
    deletes_from,
    doubtful_changes,
    lifecycle_changes,
)
from retention_enforcer.domain.lifecycles.choice import (
    Attachment,
    Wanted,
    wanted_lifecycles,
    without_lifecycles,
)
from retention_enforcer.domain.lifecycles.compiler import (
    LifecyclePolicy,
    Lifecycles,
    StoredLifecycle,
    Unmeetable,
    compile_lifecycles,
    own_lifecycles,
)
from retention_enforcer.domain.lifecycles.exemption import STREAM_LIFECYCLE
from retention_enforcer.domain.lifecycles.foreign import judge_foreign
from retention_enforcer.domain.lifecycles.stream_watch import StreamError, StreamSurroundings, watch_stream
from retention_enforcer.domain.lifecycles.streams import (
    AdoptedStream,
    StreamLifecycle,
    adopted_streams,
    adopts_streams,
    judge_stream,
)
from retention_enforcer.domain.lifecycles.streams import deletes_from as stream_deletes_from
from retention_enforcer.domain.lifecycles.watch import (
    REATTACHED,
    Explained,
    LifecycleService,
    expected_deletion,
    judge_managed,
    judge_service,
)
from retention_enforcer.domain.policy.promises import Category, Policy
from retention_enforcer.enforcement.memory import Managed
from retention_enforcer.enforcement.ports import LifecycleSource
from retention_enforcer.enforcement.scope import Scope

NOTHING_PUT: Mapping[str, PutLifecycle] = MappingProxyType({})
"""What was put on streams, where nobody needs to know."""

DIRECT, ILM = "direct", "ilm"
"""Values of `ENFORCER_LIFECYCLE`, beside `auto`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LifecycleLook:
    """What is attached to a category's indices, and what has to change."""

    category: Category
    own: Collection[str]
    """The enforcer's own policies among those that are attached."""
    poll: int
    lifecycles: Lifecycles
    """Without any policy where none can be used."""
    unmeetable: Unmeetable | None
    attachments: Mapping[str, Attachment]
    hiding: bool
    """Whether the category's expressions reach an index with a metadata block, for which explanations are refused."""
    wanted: Mapping[str, Wanted]
    changes: tuple[Change, ...]
    streams: Sequence[StreamLifecycle]
    """The lifecycles of their own that the category's streams have."""
    adopted: Mapping[str, AdoptedStream]
    """Those of them that are to keep the promise, by stream."""

    def compiled(self, name: str | None) -> LifecyclePolicy | None:
        """Return the compiled policy of this name."""
        return next((policy for policy in self.lifecycles.policies if policy.name == name), None)

    def managed(self, facts: CategoryFacts) -> dict[str, Managed | None]:
        """Return by uuid which lifecycle each index has; one that went since the facts were read is absent."""
        found: dict[str, Managed | None] = {}
        for index in facts.indices:
            attached = self.attachments.get(index.name)
            if attached is None or attached.uuid != index.uuid:
                continue
            acting = attached.acting if attached.acting == STREAM_LIFECYCLE else attached.policy
            found[index.uuid] = Managed(policy=acting, deletes_from=self._begins(index, attached)) if acting else None
        return found

    def _begins(self, index: IndexFacts, attached: Attachment) -> int | None:
        """Return from when on the lifecycle that rules an index can delete it, as far as that is known."""
        stream = next((one for one in self.streams if one.is_for(index)), None)
        if attached.acting == STREAM_LIFECYCLE:
            dates = {"rolled_over": attached.rolled_over, "dated": attached.origination}
            return stream_deletes_from(stream, created=index.created, **dates) if stream is not None else None
        compiled = self.compiled(attached.policy)
        if compiled is None:
            return None
        return deletes_from(compiled, index, rolled_over=attached.rolled_over, origination=attached.origination)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What the cluster says of how its lifecycles get on."""

    findings: tuple[Finding, ...] = ()
    again: tuple[Change, ...] = ()
    """What is resolved by attaching the same again."""
    next_deletion: int | None = None
    """When the first of the enforcer's lifecycles is expected to have deleted its index."""
    explained: Mapping[str, Explained] = field(default_factory=dict)


EndedNames = Callable[[Collection[str]], Collection[str]]
"""Which indices of a category shall have the lifecycle `ended`, given the names of those that have it."""


def none_ended(having: Collection[str]) -> Collection[str]:  # noqa: ARG001
    """Return none: only the work on terminations knows whose they are."""
    return ()


class LifecycleObserver:
    """Looks at lifecycles. `setting` is `ENFORCER_LIFECYCLE`."""

    def __init__(self, source: LifecycleSource, has_lifecycles: Callable[[], bool], setting: str) -> None:
        self._source = source
        self._has_lifecycles = has_lifecycles
        self._setting = setting

    @property
    def available(self) -> bool:
        """Whether the cluster has lifecycles at all."""
        return self._has_lifecycles()

    @property
    def used(self) -> bool:
        """Whether the enforcer attaches any."""
        return self._setting != DIRECT and self._has_lifecycles()

    def compile(self, policy: Policy, category: Category, fingerprint: str, poll: int) -> Lifecycles | Unmeetable:
        """Return the policies of a category, or why there are none."""
        if self._setting == DIRECT:
            return Lifecycles(category=category.id, margin=policy.margin, poll=poll)
        return compile_lifecycles(policy, category, fingerprint, poll)

    def look(
        self,
        scope: Scope,
        category: Category,
        facts: CategoryFacts,
        known: Mapping[str, PutLifecycle] = NOTHING_PUT,
        ended: EndedNames = none_ended,
    ) -> LifecycleLook:
        """Return what is attached to the indices of a category now, and what has to change.

        `known` is what was put on its streams: without it, what is exempt there may seem to be free for them.
        """
        poll = self._source.poll_interval()
        compiled = self.compile(scope.policy, category, scope.fingerprint, poll)
        unmeetable = compiled if isinstance(compiled, Unmeetable) else None
        lifecycles = (
            compiled
            if isinstance(compiled, Lifecycles)
            else Lifecycles(category=category.id, margin=scope.policy.margin, poll=poll)
        )
        reached = self._source.attachments(sorted({pattern.expression for pattern in category.indices}))
        governed = {index.name for index in facts.indices} | {apart.name for apart in facts.set_apart}
        attachments = {name: attached for name, attached in reached.items() if name in governed}
        # Some have other names than the category's: what was made from its indices, or was taken out of a stream.
        attachments |= self._source.attachments_of(governed - reached.keys())
        own = own_lifecycles(scope.policy, (a.policy for a in attachments.values()), self._source.contents)
        streams = self._streams(category, attachments)
        adopted = self._adopted(category, scope.policy.margin, streams)
        if self._setting == DIRECT or unmeetable is not None:
            reason = unmeetable.arithmetic if unmeetable else "ENFORCER_LIFECYCLE is direct"
            by_stream = {n: a for n, a in attachments.items() if a.stream in adopted and not a.ruled_by_ilm}
            wanted = {
                **without_lifecycles(facts, attachments, own, reason),
                **wanted_lifecycles(category, lifecycles, facts, by_stream, adopted=adopted),
            }
        else:
            name = lifecycles.ended.name if lifecycles.ended else ""
            having = {index for index, attached in attachments.items() if attached.policy == name}
            wanted = wanted_lifecycles(category, lifecycles, facts, attachments, ended(having), adopted=adopted)
        waiting = unsettled(streams, adopted, known)
        changes = (
            *doubtful_changes(facts, attachments, own, _held(scope, facts, attachments), adopted),
            *lifecycle_changes(facts, lifecycles, wanted, attachments),
        )
        return LifecycleLook(
            category=category,
            own=own,
            poll=poll,
            lifecycles=lifecycles,
            unmeetable=unmeetable,
            attachments=attachments,
            hiding=any(attached.metadata_block for attached in reached.values()),
            wanted=wanted,
            # What is exempt in a stream stays so until that has the right retention.
            changes=tuple(c for c in changes if c.way is not Way.RELEASE or attachments[c.index].stream not in waiting),
            streams=streams,
            adopted=adopted,
        )

    def _adopted(
        self, category: Category, margin: int, streams: Sequence[StreamLifecycle]
    ) -> Mapping[str, AdoptedStream]:
        """Return the streams whose own lifecycles are to keep the promise."""
        if not streams or self._setting == DIRECT or not adopts_streams(category):
            return {}  # nothing is asked of the cluster for it
        return adopted_streams(category, margin, streams, self._source.stream_poll())

    def _streams(self, category: Category, attachments: Mapping[str, Attachment]) -> Sequence[StreamLifecycle]:
        """Return the lifecycles that these indices' streams have of their own; nothing is asked where none has one."""
        names = {a.stream for a in attachments.values() if a.stream is not None and a.stream_lifecycle}
        expressions = {pattern.expression for pattern in category.indices}
        return self._source.stream_lifecycles(names, expressions) if names else ()

    def service(self) -> tuple[Finding, ...]:
        """Return the finding that no lifecycle of the cluster works, if that is so."""
        if not self._has_lifecycles():
            return ()
        found = judge_service(LifecycleService(poll=0, status=self._source.status()))
        return (found,) if found else ()

    def watch(
        self, look: LifecycleLook, facts: CategoryFacts, stored: Mapping[str, StoredLifecycle], now: int
    ) -> Watched:
        """Return where the lifecycles of a category hang, or come too late, from one explanation of all."""
        around = (*_unmeetable(look), *self._of_streams(look, facts))
        if not any(attached.policy for attached in look.attachments.values()):
            return Watched(findings=around)
        expressions = [] if look.hiding else [pattern.expression for pattern in look.category.indices]
        explained = self._source.explain_all(expressions, look.attachments)
        service = LifecycleService(
            poll=look.poll, status=self._source.status(), snapshotting=self._source.snapshotting()
        )
        watch = _Watch(look, facts, service, now)
        findings = [found for one in explained.values() if (found := watch.judge(one)) is not None]
        return Watched(
            findings=(*findings, *around, *_foreign(look, stored)),
            again=tuple(change for found in findings if (change := watch.again(found)) is not None),
            next_deletion=min(
                (at for one in explained.values() if (at := watch.expected(one)) is not None), default=None
            ),
            explained=explained,
        )

    def _errors(self, look: LifecycleLook, streams: Collection[str]) -> Mapping[str, StreamError]:
        """Return what the lifecycles of these streams could not do; where an index is hidden, by the others' names."""
        if not look.hiding:
            wide = [pattern for pattern in look.category.indices if not pattern.literal]
            reached = {stream for stream in streams if any(pattern.matches(stream) for pattern in wide)}
            return self._source.stream_errors({*streams} - reached, {pattern.expression for pattern in wide})
        members = {name: a for name, a in look.attachments.items() if a.stream in streams}
        hiding = {attached.stream for attached in members.values() if attached.metadata_block}
        open_ = {name for name, a in members.items() if a.stream in hiding and not a.metadata_block}
        return self._source.stream_errors({*streams} - hiding | open_)

    def _of_streams(self, look: LifecycleLook, facts: CategoryFacts) -> Iterator[Finding]:
        """Yield which streams have a lifecycle of their own that breaks the limit, and where one hangs."""
        acting = [stream for stream in look.streams if stream.acts]
        if not acting or look.category.max_age is None:
            return
        around = StreamSurroundings(
            poll=self._source.stream_poll(),
            errors=self._errors(look, {stream.stream for stream in acting}),
            snapshotting=self._source.snapshotting(),
        )
        for stream in sorted(acting, key=lambda one: one.name):
            if (found := judge_stream(look.category, look.lifecycles.margin, stream, around.poll)) is not None:
                yield found
            yield from watch_stream(stream, facts, look.attachments, around)


@dataclass(frozen=True, slots=True)
class _Watch:
    look: LifecycleLook
    facts: CategoryFacts
    around: LifecycleService
    now: int

    def judge(self, explained: Explained) -> Finding | None:
        """Return why one of the enforcer's own lifecycles will not delete its index in time."""
        attached = self.look.attachments.get(explained.index)
        if attached is None or explained.policy not in self.look.own:
            return None
        index = self._index(explained.index)
        by_age = index is not None and index.oldest is not None and self.look.category.max_age is not None
        return judge_managed(
            self.look.category,
            explained,
            self.look.compiled(explained.policy),
            self.around,
            self.now,
            facts=index,
            uuid=attached.uuid,
            closed=not attached.open,
            deadline=due_at(self.look.category, self.look.lifecycles.margin, index.oldest)
            if by_age and index and index.oldest is not None
            else None,
        )

    def again(self, found: Finding) -> Change | None:
        """Return how to attach again what a lifecycle hangs in, where that resolves it."""
        index = self._index(found.index or "")
        wanted = self.look.wanted.get(found.index or "")
        if found.kind not in REATTACHED or index is None or wanted is None:
            return None
        return change_to(index, self.look.lifecycles, wanted, Way.SWAP, f"; attached again because of {found.kind}")

    def expected(self, explained: Explained) -> int | None:
        compiled = self.look.compiled(explained.policy)
        return expected_deletion(explained, compiled, self.look.poll, self.now)

    def _index(self, name: str) -> IndexFacts | None:
        attached = self.look.attachments.get(name)
        found = (i for i in self.facts.indices if i.name == name and attached is not None and i.uuid == attached.uuid)
        return next(found, None)


def _held(scope: Scope, facts: CategoryFacts, attachments: Mapping[str, Attachment]) -> set[str]:
    """Return the indices in doubt that a hold may cover, by their own name or that of their stream."""

    def as_named(apart: SetApart) -> tuple[SetApart, ...]:
        stream = attachments[apart.name].stream if apart.name in attachments else None
        return (apart, replace(apart, name=stream)) if stream is not None else (apart,)

    return {
        apart.name
        for apart in facts.set_apart
        for hold in scope.control.holds
        if any(hold.may_cover(facts.category, one, facts.as_of) for one in as_named(apart))
    }


def _unmeetable(look: LifecycleLook) -> Sequence[Finding]:
    if look.unmeetable is None:
        return ()
    text = f"no lifecycle can keep the promise of {look.category.id}: {look.unmeetable.arithmetic}"
    remedy = f"{look.unmeetable.remedy}; until then the daemon deletes what is due while it runs"
    return (Finding.of(FindingKind.LIFECYCLE_UNMEETABLE, look.category.id, text, remedy),)


def _foreign(look: LifecycleLook, stored: Mapping[str, StoredLifecycle]) -> Sequence[Finding]:
    """Return the findings about other people's policies on this category's indices, one a policy."""
    findings = []
    names = {attached.policy for attached in look.attachments.values() if attached.policy is not None}
    for name in sorted(names - set(look.own)):
        phases = stored[name].content.get("phases") if name in stored else None
        found = judge_foreign(look.category, look.lifecycles.margin, name, phases, look.poll)
        if found is not None:
            findings.append(found)
    return findings
