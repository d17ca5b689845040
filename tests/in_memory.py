"""A cluster in memory: every port of the enforcement layer, filled with state, and any one call of it can go wrong.

The fakes keep state as Elasticsearch keeps it, and refuse what it refuses. What may never happen is looked at in the
very moment of each deletion: that it was announced and acknowledged, permitted, that the operator's word was the last
thing that was asked for, and that the policy, and no hold, covers each document that goes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Concatenate, ParamSpec, TypeVar

from retention_enforcer.domain.control import Control
from retention_enforcer.domain.coverage.findings import CoverageFacts, IndexSeen
from retention_enforcer.domain.coverage.node_copies import Dangling, NodeCopies
from retention_enforcer.domain.coverage.snapshots import SnapshotsSeen
from retention_enforcer.domain.deadlines import due_before, overdue_before
from retention_enforcer.domain.erasure.steps import Act, ErasureProgress
from retention_enforcer.domain.errors import ClusterUnavailable, OutcomeUnknown, Refused, RequestRejected
from retention_enforcer.domain.facts import (
    FORBID_DOCUMENT_DELETION,
    FORBID_INDEX_DELETION,
    Block,
    CategoryFacts,
    ClusterFacts,
    Doubt,
    Evidence,
    IndexFacts,
    Indistinguishable,
    SetApart,
)
from retention_enforcer.domain.holds.hold import Hold
from retention_enforcer.domain.instants import DAY, HOUR, MINUTE, parse_duration
from retention_enforcer.domain.lease import Versioned
from retention_enforcer.domain.ledger.records import (
    MOST_TOGETHER,
    SET_RETENTION,
    Head,
    Kind,
    Outcome,
    Record,
    check_chain,
    unanswered,
)
from retention_enforcer.domain.lifecycles.choice import Attachment
from retention_enforcer.domain.lifecycles.compiler import LifecyclePolicy, StoredLifecycle, deletes_at_once
from retention_enforcer.domain.lifecycles.exemption import STREAM_LIFECYCLE, Exemption
from retention_enforcer.domain.lifecycles.stream_watch import StreamError
from retention_enforcer.domain.lifecycles.streams import StreamLifecycle, StreamRollover, automatic_rollover
from retention_enforcer.domain.lifecycles.vanished import HistoryEntry
from retention_enforcer.domain.lifecycles.watch import RUNNING, Explained
from retention_enforcer.domain.own.position import IndexPosition
from retention_enforcer.domain.own.settings import OwnSeen
from retention_enforcer.domain.policy.claims import Claim, IndexOwner
from retention_enforcer.domain.policy.promises import Category, Policy
from retention_enforcer.domain.rollover import next_name
from retention_enforcer.domain.selection import Due, Every, Existing, IndexVersion, OfSubjects, Trim, Trimmed
from retention_enforcer.domain.subjects.identity import (
    ExactField,
    Inexact,
    Match,
    Ownership,
    Subject,
    SubjectKind,
    Values,
)
from retention_enforcer.domain.subjects.query import SubjectQuery
from retention_enforcer.domain.terminations.requests import Ask, Written
from retention_enforcer.domain.timestamps import AT_TIMESTAMP, Mapped
from retention_enforcer.enforcement.ports import Permission

P = ParamSpec("P")
R = TypeVar("R")

BEGIN = 1_800_000_000_000
HORIZON = 3 * HOUR
POLL = 10 * MINUTE
PAGE = 2
"""Documents that one request of a trim deletes."""


# --- what goes wrong ---------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process ends here: nothing of it handles that."""


class Fault(Enum):
    """How one call goes wrong."""

    UNAVAILABLE = "no answer, and nothing was done"
    REJECTED = "the cluster says no"
    REFUSED = "it is unsafe by now"
    LOST = "it was done, and the answer is lost"
    LATE = "the answer is lost, and it is done later"
    KILLED = "the process ends before it"

    @property
    def is_of_changes(self) -> bool:
        """Whether only a call that changes something can go wrong in this way."""
        return self in (Fault.LOST, Fault.LATE)


_RAISED: Mapping[Fault, Callable[[], BaseException]] = {
    Fault.UNAVAILABLE: lambda: ClusterUnavailable("no connection", "wait"),
    Fault.REJECTED: lambda: RequestRejected("the cluster refused it", "look", kind="some_exception", status=403),
    Fault.REFUSED: lambda: Refused("it is unsafe", "look"),
    Fault.LOST: lambda: OutcomeUnknown("the answer was lost", "wait"),
    Fault.LATE: lambda: OutcomeUnknown("the answer was lost", "wait"),
    Fault.KILLED: Killed,
}


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a port."""

    name: str
    changes: bool
    """Whether it changes anything."""
    queued: bool = False
    """Whether the cluster may do it after its answer was lost: its master has a queue."""

    @property
    def port(self) -> str:
        """Whose call it is."""
        return self.name.partition(".")[0]

    def can(self, fault: Fault) -> bool:
        """Whether it can go wrong so."""
        if fault is Fault.REFUSED:
            return self.name in ("permit", "control.read")
        if fault is Fault.KILLED:
            return self.changes  # before a call that only asks, all is as it was before the last one that changed it
        if self.name == "permit":
            return False
        if fault is Fault.LATE:
            return self.queued
        return self.changes or not fault.is_of_changes


class Calls:
    """All calls of all ports, in their order; one of them goes wrong, or something happens right before it."""

    def __init__(self) -> None:
        self.made: list[Call] = []
        self.late: list[Callable[[], object]] = []
        """What the cluster has yet to do."""
        self._dead = False
        self.catching_up = False
        """Whether the cluster does so now."""
        self._at: int | None = None
        self._fault: Fault | None = None
        self._meanwhile: Callable[[], object] | None = None
        self._lasts_for: str | None = None

    def fail(self, at: int, fault: Fault, lasts_for: str | None = None) -> None:
        """Have the call of this number go wrong, counted from now on from 0; and all further ones of one port."""
        self.made.clear()
        self._at, self._fault, self._meanwhile, self._lasts_for = at, fault, None, lasts_for

    def interrupt(self, at: int, meanwhile: Callable[[], object]) -> None:
        """Have something happen right before the call of this number, counted from now on from 0."""
        self.made.clear()
        self._at, self._fault, self._meanwhile = at, None, meanwhile

    def go_well(self) -> None:
        """Let nothing more go wrong, and have the cluster do what it still has to."""
        self._at = self._fault = self._meanwhile = self._lasts_for = None
        self._dead = False
        self.catch_up()

    def catch_up(self) -> None:
        """Have the cluster do what is still in its queue; what has become impossible it gives up."""
        late, self.late = self.late, []
        self.catching_up = True
        for do in late:
            with suppress(RequestRejected):
                do()
        self.catching_up = False

    def before(self, call: Call, do: Callable[[], object]) -> None:
        """Note a call, and raise where it goes wrong before anything is done."""
        if self._dead:
            raise Killed
        number = len(self.made)
        self.made.append(call)
        if not self._goes_wrong(number, call):
            return
        if self._meanwhile is not None:
            happens, self._meanwhile = self._meanwhile, None
            happens()
        if self._fault is not None and not self._fault.is_of_changes and call.can(self._fault):
            self._dead = self._fault is Fault.KILLED
            raise _RAISED[self._fault]()
        if self._fault is Fault.LATE and call.can(Fault.LATE):
            self.late.append(do)
            raise _RAISED[Fault.LATE]()

    def _goes_wrong(self, number: int, call: Call) -> bool:
        further = self._at is not None and number > self._at and call.port == self._lasts_for
        return number == self._at or further

    def after(self, call: Call, number: int) -> None:
        """Raise where a call goes wrong after it was done."""
        if self._goes_wrong(number, call) and self._fault is Fault.LOST and call.can(Fault.LOST):
            raise _RAISED[Fault.LOST]()


class Port:
    """What is asked over the network, each call of which is counted."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    @property
    def calls(self) -> Calls:
        """All calls."""
        return self._cluster.calls

    @property
    def prefix(self) -> str:
        """How the names of its calls begin."""
        return type(self).__name__.removeprefix("Memory").lower()


S = TypeVar("S", bound=Port)
Method = Callable[Concatenate[S, P], R]


def _counted(method: Method[S, P, R], *, changes: bool, queued: bool) -> Method[S, P, R]:
    @functools.wraps(method)
    def counted(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        call = Call(f"{self.prefix}.{method.__name__}", changes, queued)
        number = len(self.calls.made)
        self.calls.before(call, functools.partial(method, self, *args, **kwargs))
        result = method(self, *args, **kwargs)
        self.calls.after(call, number)
        return result

    return counted


def asks(method: Method[S, P, R]) -> Method[S, P, R]:
    """Count a call that changes nothing."""
    return _counted(method, changes=False, queued=False)


def changes(method: Method[S, P, R]) -> Method[S, P, R]:
    """Count a call that changes something."""
    return _counted(method, changes=True, queued=False)


def queued(method: Method[S, P, R]) -> Method[S, P, R]:
    """Count a call that changes something, perhaps later than its answer is waited for."""
    return _counted(method, changes=True, queued=True)


# --- what there is -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document; `at` is its timestamp, None where it has none."""

    number: int
    at: int | None
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def values(self) -> Values:
        """What it has in the places that name subjects."""
        return {ExactField(name=name): [value] for name, value in self.fields.items()}


@dataclass(slots=True, kw_only=True)
class Index:
    """One index of the cluster."""

    name: str
    uuid: str
    created: int
    documents: list[Document] = field(default_factory=list)
    operations: int = -1
    """`max_seq_no` of its one shard."""
    blocks: set[Block] = field(default_factory=set)
    stream: str | None = None
    write_index: bool = False
    rolled_over: int | None = None
    closed: bool = False
    attachment: Attachment = field(init=False)

    theirs: bool = False
    """Whether its write block is somebody else's."""

    def __post_init__(self) -> None:
        self.attachment = Attachment(uuid=self.uuid, stream=self.stream)

    def roll_over(self, at: int) -> None:
        """Note that its stream was rolled over."""
        self.write_index, self.rolled_over = False, at
        self.attachment = replace(self.attachment, rolled_over=at, rolled_by=self.stream)

    def block_of_theirs(self) -> None:
        """Have somebody else put a write block on it."""
        self.theirs = True
        self.blocks.add(Block.WRITE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Destroyed:
    """One document that is gone."""

    document: Document
    index: str
    uuid: str
    intent: int
    """The sequence of the intent under which it went."""
    whole: bool
    """Whether it went with its index."""


class Clock:
    """The time of day, which only the test moves."""

    def __init__(self) -> None:
        self.instant = BEGIN

    def now(self) -> int:
        """Return it."""
        return self.instant


class Cluster:
    """What there is, whatever became of a process: indices, own indices, the operator's word."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.clock = Clock()
        self.calls = Calls()
        self.indices: dict[str, Index] = {}
        self.control = Control()
        self.owners: dict[str, frozenset[str]] = {}
        """By account, its applications."""
        self.lease_lost = self.stopped = self.refuses_deletions = False
        self.epoch = 1
        self.permits = 0
        """How many requests are permitted at this moment."""
        self.destroyed: list[Destroyed] = []
        self.dirty: dict[str, list[Document]] = {}
        """By uuid, what was deleted of an index and is still in its files."""
        self.policies: dict[str, StoredLifecycle] = {}
        self.streams: dict[str, Mapping[str, Any]] = {}
        """The lifecycles of their own that streams have."""
        self.proven: dict[str, bool] = {}
        """By category, whether the last look at it that came to its end allows to say that its promise is kept."""
        self.known_holds: tuple[Hold, ...] = ()
        """What the last reader of the operator's word saw."""
        self.reinstated: frozenset[Subject] = frozenset()
        """Who was back when it was last asked."""
        self.ledger = MemoryLedger(self)
        self.state = MemoryState(self)
        self.registry = MemoryRegistry(self)
        self.control_index = MemoryControlIndex(self)
        self.requests = MemoryRequests(self)
        self._numbers = 0

    # --- what others do ---

    def create(self, name: str, *, age: int = 30 * DAY, **more: Any) -> Index:
        """Make an index."""
        self._numbers += 1
        created = self.clock.now() - age
        index = Index(name=name, uuid=f"uuid-{self._numbers}", created=created, **more)
        self.indices[name] = index
        return index

    def write(self, name: str, *, age: int | None = 0, **fields: str) -> Document | None:
        """Write a document of this age; None where a block forbids it."""
        index = self.indices[name]
        if index.blocks & {Block.WRITE, Block.READ_ONLY}:
            return None
        self._numbers += 1
        document = Document(number=self._numbers, at=None if age is None else self.clock.now() - age, fields=fields)
        index.documents.append(document)
        index.operations += 1
        return document

    def add(self, name: str, ages: Iterable[int], *, age: int | None = None, **more: Any) -> None:
        """Have documents of these ages in an index, which is made where it is not there; `more` are its and theirs."""
        ages = list(ages)
        mine = {key: more.pop(key) for key in ("stream", "write_index") if key in more}
        if name not in self.indices:
            self.create(name, age=max(ages) if age is None else age, **mine)
        for each in ages:
            self.write(name, age=each, **more)

    def of_uuid(self, uuid: str) -> Index | None:
        """Return the index of this uuid."""
        return next((index for index in self.indices.values() if index.uuid == uuid), None)

    def documents(self, application: str | None = None) -> list[Document]:
        """Return all that are there, or those of an application."""
        every = [document for index in self.indices.values() for document in index.documents]
        return [d for d in every if application is None or d.fields.get("application") == application]

    # --- what is never to happen ---

    def destroy(self, index: Index, documents: Collection[Document], action: str, *, whole: bool) -> None:
        """Take documents away, and say so where they must not go."""
        self.check_permit(f"{action} of {index.name}")
        intent = self._intent(index, action)
        for document in documents:
            assert self.is_covered(index, document), f"{document} of {index.name} was destroyed, and nothing covers it"
            self.destroyed.append(
                Destroyed(document=document, index=index.name, uuid=index.uuid, intent=intent, whole=whole)
            )
        if whole:
            del self.indices[index.name]
            self.dirty.pop(index.uuid, None)
        elif documents:
            index.documents = [one for one in index.documents if one not in documents]
            index.operations += len(documents)
            self.dirty.setdefault(index.uuid, []).extend(documents)

    def check_permit(self, what: str) -> None:
        """Say so where a request that destroys is not permitted, or the operator's word was not asked for last."""
        if self.calls.catching_up:
            return  # that was looked at when it was sent
        assert self.permits, f"{what} was sent without a permit"
        asked = self.calls.made[-2].name
        assert asked == "control.read", f"the last thing before {what} was {asked}, and not the operator's word"

    def _intent(self, index: Index, action: str) -> int:
        """Return the one intent that announces this, and that the process knows to be there."""
        waiting = [r for r in unanswered(self.ledger.records) if r.get("target", {}).get("uuid") == index.uuid]
        found = [int(r["sequence"]) for r in waiting if r["action"] == action]
        assert found, f"{action} of {index.name} was announced nowhere"
        assert found[-1] in self.ledger.acknowledged, f"{action} of {index.name}: its intent was not acknowledged"
        return found[-1]

    def _is_kept(self, index: Index, document: Document) -> bool:
        """Whether the operator holds a document now, or nobody who is away now has terminated."""
        self.known_holds = self.control.holds
        self.requests.note_reinstated()
        return not self.is_covered(index, document)

    def is_covered(self, index: Index, document: Document) -> bool:
        """Whether the policy covers a document's end now, by its age or a termination, and no known hold is on it."""
        categories = self._categories(index)
        if not any(category.enforce for category in categories):
            return False
        if any(self._holds(hold, index, document, categories) for hold in self.known_holds):
            return False
        now = self.clock.now()
        by_age = any(
            c.max_age is not None and document.at is not None and document.at < due_before(c, self.policy.margin, now)
            for c in categories
        )
        return by_age or self._is_terminated(document)

    def attachment_of(self, index: Index) -> Attachment:
        """Return what is attached to an index, and what its stream has."""
        enabled = bool(self.streams.get(index.stream or "", {}).get("enabled"))
        return replace(index.attachment, open=not index.closed, stream_lifecycle=enabled)

    def held_by(self, hold: Hold) -> list[Document]:
        """Return the documents that a hold covers."""
        every = ((index, document) for index in self.indices.values() for document in index.documents)
        return [document for index, document in every if self._holds(hold, index, document, self._categories(index))]

    def held(self, index: Index) -> list[Document]:
        """Return the documents of an index that a known hold covers."""
        categories = self._categories(index)
        return [d for d in index.documents if any(self._holds(h, index, d, categories) for h in self.known_holds)]

    def _categories(self, index: Index) -> Sequence[Category]:
        return [category for category in self.policy.categories if category.claims(index.stream or index.name)]

    def _holds(self, hold: Hold, index: Index, document: Document, categories: Sequence[Category]) -> bool:
        if not hold.is_alive(self.clock.now()):
            return False
        if (subject := hold.subject) is not None:
            return self._is_of(subject, document)
        return hold.index in (index.name, index.stream) or hold.category in {category.id for category in categories}

    def _is_terminated(self, document: Document) -> bool:
        """Whether it is somebody's who terminated, and had not come back when it was last asked for."""
        asked = {subject for _, subject, ask in self.requests.history if ask is not Ask.REINSTATE}
        return any(self._is_of(subject, document) for subject in asked - self.reinstated)

    def _is_of(self, subject: Subject, document: Document) -> bool:
        """Whether a document is a subject's, or belongs to an application of that account."""
        along = self.owners.get(subject.id, ()) if subject.kind is SubjectKind.ACCOUNT else ()
        return document.fields.get(str(subject.kind)) == subject.id or document.fields.get("application") in along

    # --- what must be true afterwards ---

    def check(self) -> None:
        """Say what is wrong with what there is, whatever happened until now."""
        check_chain(self.ledger.records)
        answers: dict[int, list[str]] = {}
        for record in self.ledger.records:
            if record["kind"] == Kind.OUTCOME and "intent" in record:
                answers.setdefault(record["intent"], []).append(record["outcome"])
        for sequence, outcomes in answers.items():
            final = [outcome for outcome in outcomes if outcome != Outcome.UNKNOWN]
            assert len(final) <= 1, f"intent {sequence} has the outcomes {outcomes}"
            assert not final or outcomes[-1] == final[0], f"intent {sequence} has the outcomes {outcomes}"
            self._check_outcome(sequence, final[0] if final else Outcome.UNKNOWN)
        gone = [one.document.number for one in self.destroyed]
        assert len(gone) == len(set(gone)), "a document went twice"

    def _check_outcome(self, sequence: int, outcome: str) -> None:
        under = [one for one in self.destroyed if one.intent == sequence]
        intent = self.ledger.records[sequence - 1]
        if outcome == Outcome.REFUSED:
            assert not under, f"intent {sequence} is called refused, and took {len(under)} documents"
        if outcome == Outcome.FAILED and intent["action"] == "delete_index":
            assert not under, f"intent {sequence} is called failed, and took {len(under)} documents"
        if outcome == Outcome.DONE and intent["action"] == "delete_index":
            assert self.of_uuid(intent["target"]["uuid"]) is None, f"intent {sequence} is called done, and is not"

    def check_settled(self) -> None:
        """Say what is wrong with what there is once everything is over."""
        self.check()
        assert not list(unanswered(self.ledger.records)), "intents were left without an outcome"
        assert not self.permits
        ended = [i for i in self.indices.values() if deletes_at_once(i.attachment.policy or "")]
        assert not any(self._is_kept(i, one) for i in ended for one in i.documents), f"{ended} would go at once"
        wrong = [i.name for i in self.indices.values() if (Block.WRITE in i.blocks) is not i.theirs]
        assert not wrong, f"the write blocks of {wrong} are not as they were"


# --- own indices -------------------------------------------------------------------------------------------


class MemoryLedger(Port):
    """Keeps records; one whose sequence is taken is refused, as the index refuses it."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self.records: list[Record] = []
        self.together: list[int] = []
        """Of each record, the first of those with which it was stored."""
        self.acknowledged: set[int] = set()
        """Of which the process has heard that they are there."""

    @asks
    def uuid(self) -> str:
        """Return it."""
        return "ledger"

    def create(self, records: Sequence[Record]) -> bool:
        """Store records together; acknowledged once the answer has arrived."""
        created = self._create(records)
        if created:
            self.acknowledged.update(int(record["sequence"]) for record in records)
        return created

    @changes
    def _create(self, records: Sequence[Record]) -> bool:
        if len(self.records) >= records[0]["sequence"]:
            return False
        assert len(records) <= MOST_TOGETHER
        for record in records:
            if record["kind"] == Kind.PROOF and record["reason"] == "kept":
                category = record["category"]
                assert self._cluster.proven.get(category), f"{category} is said to be kept, and it is not known to be"
        self.together += [len(self.records) + 1] * len(records)
        self.records += records
        return True

    @asks
    def get(self, sequence: int) -> Record | None:
        """Return a record."""
        return self.records[sequence - 1] if 0 < sequence <= len(self.records) else None

    def standing(self, sequence: int) -> Sequence[Record]:
        """Return a record that is there for good, and those that were stored together with it."""
        found = self._standing(sequence)
        self.acknowledged.update(int(record["sequence"]) for record in found)
        return found

    @asks
    def _standing(self, sequence: int) -> Sequence[Record]:
        first = self.together[sequence - 1 : sequence]
        return [record for record, begin in zip(self.records, self.together, strict=True) if begin in first]

    @asks
    def read(self, after: int = 0) -> Iterator[Record]:
        """Return all with a higher sequence."""
        return iter(self.records[after:])

    @asks
    def strangers(self) -> int:
        """Return how many documents are no records."""
        return 0

    @asks
    def head(self) -> Head:
        """Return where it ends."""
        return Head(len(self.records), self.records[-1]["hash"]) if self.records else Head()

    @asks
    def about(self, uuids: Collection[str], action: str) -> Sequence[Record]:
        """Return the records of an action on these indices."""
        asked = (record for record in self.records if record.get("action") == action)
        return [record for record in asked if record.get("target", {}).get("uuid") in uuids]

    def of_kind(self, kind: Kind) -> list[Record]:
        """Return the records of a kind, for a test to look at."""
        return [record for record in self.records if record["kind"] == kind]


class MemoryDocuments(Port):
    """The small documents of one own index."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self.documents: dict[str, tuple[str, Mapping[str, Any], int]] = {}
        """By key: kind, body, sequence number."""
        self.operations = -1

    @asks
    def position(self) -> IndexPosition:
        """Return how far it goes."""
        return IndexPosition(uuid=self.prefix, until=self.operations)

    @asks
    def load(self, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Return these documents."""
        return {key: self.documents[key][1] for key in keys if key in self.documents}

    @asks
    def versions(self, keys: Sequence[str]) -> dict[str, Versioned]:
        """Return these documents with their versions."""
        found = ((key, self.documents[key]) for key in keys if key in self.documents)
        return {key: Versioned(body=body, version=(number, 1)) for key, (_, body, number) in found}

    @asks
    def all(self, kind: str | None = None) -> dict[str, Mapping[str, Any]]:
        """Return all of a kind."""
        return {key: body for key, (of, body, _) in self.documents.items() if kind in (None, of)}

    @changes
    def save(self, key: str, body: Mapping[str, Any], now: int, kind: str | None = None) -> None:
        """Replace one document."""
        self.operations += 1
        self.documents[key] = (kind or key, body, self.operations)

    @changes
    def replace_version(
        self,
        key: str,
        body: Mapping[str, Any],
        now: int,
        version: tuple[int, int] | None,
    ) -> tuple[int, int] | None:
        """Replace one document if it has this version."""
        there = (self.documents[key][2], 1) if key in self.documents else None
        if there != version:
            return None
        self.operations += 1
        self.documents[key] = (key, body, self.operations)
        return (self.operations, 1)

    @changes
    def remove(self, key: str) -> None:
        """Remove one document."""
        if self.documents.pop(key, None) is not None:
            self.operations += 1


class MemoryState(MemoryDocuments):
    """What the enforcer remembers."""


class MemoryRegistry(MemoryDocuments):
    """What became of requests."""


class MemoryControlIndex(MemoryDocuments):
    """Where the operator's word stands."""


class MemoryControl(Port):
    """The operator's word."""

    prefix = "control"

    @asks
    def read(self) -> Control:
        """Return it."""
        self._cluster.known_holds = self._cluster.control.holds
        return self._cluster.control


class MemoryOwnIndices(Port):
    """The look at the own indices themselves."""

    @asks
    def look(self) -> Mapping[str, OwnSeen]:
        """Return them: in order."""
        return {"retention-ledger-000001": OwnSeen(uuid="ledger"), "retention-state": OwnSeen(uuid="state")}


class MemoryRequests(Port):
    """Where requests are written."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self.written: list[Written] = []
        self.history: list[tuple[int, Subject, Ask]] = []
        """All that was ever asked for: when it was written, for whom and what."""

    def add(self, ask: Ask, subject: Subject, id_: str | None = None) -> None:
        """Write a request, as a system of the customer's does."""
        body = {"kind": str(subject.kind), "id": subject.id, "action": str(ask)}
        body |= {"application": subject.application} if subject.application else {}
        sequence = len(self.history)
        self.history.append((self._cluster.clock.now(), subject, ask))
        self.written.append(Written(id=id_ or f"request-{sequence}", sequence=sequence, body=body))

    @asks
    def position(self) -> IndexPosition:
        """Return how far they go."""
        return IndexPosition(uuid="requests", until=len(self.history) - 1)

    @asks
    def read(self, after: int, until: int) -> Sequence[Written]:
        """Return those in between."""
        self.note_reinstated()
        return [one for one in self.written if after < one.sequence <= until]

    @asks
    def existing(self, sequences: Collection[int]) -> frozenset[int]:
        """Return those that are there."""
        return frozenset(sequences) & {one.sequence for one in self.written}

    @asks
    def reinstatements(self, after: int) -> bool:
        """Whether there is any."""
        self.note_reinstated()
        return any(one.sequence > after and one.body["action"] == Ask.REINSTATE for one in self.written)

    def note_reinstated(self) -> None:
        """Have somebody know who is back by now."""
        last = {subject: ask for _, subject, ask in self.history}
        self._cluster.reinstated = frozenset(subject for subject, ask in last.items() if ask is Ask.REINSTATE)

    @asks
    def was_reinstated(self, subject: Subject, before: int) -> bool:
        """Whether it was."""
        return any(whose == subject and ask is Ask.REINSTATE for _, whose, ask in self.history[: max(before, 0)])

    @asks
    def reinstated(self, applications: Collection[str], users_of: Collection[str], after: int) -> Sequence[int]:
        """Return the places of reinstatements of these."""
        return [
            place
            for place, (_, subject, ask) in enumerate(self.history)
            if place > after
            and ask is Ask.REINSTATE
            and (
                (subject.kind is SubjectKind.APPLICATION and subject.id in applications)
                or (subject.kind is SubjectKind.USER and subject.application in users_of)
            )
        ]

    def write(self, id_: str, body: Mapping[str, Any]) -> None:
        """Refuse: no orchestrator writes requests."""
        raise AssertionError(f"a request was written: {id_} {body}")

    @changes
    def forget(self, subject: Subject, until: int) -> int:
        """Delete those of a subject."""
        about = {"kind": str(subject.kind), "id": subject.id}
        gone = [one for one in self.written if one.sequence <= until and about.items() <= one.body.items()]
        self.written = [one for one in self.written if one not in gone]
        return len(gone)


# --- the permit --------------------------------------------------------------------------------------------


class MemoryPermit(Port):
    """The gate: closed by a stop, by a lost lease, and by the end of the process."""

    @contextmanager
    def destructive(self) -> Iterator[None]:
        """Enter it."""
        self.calls.before(Call("permit", changes=False), lambda: None)
        if self._cluster.stopped:
            raise Refused("stopped by the operator", "resume")
        if self._cluster.lease_lost:
            raise Refused("the lease does not outlast the request", "wait")
        self._cluster.permits += 1
        try:
            yield
        finally:
            self._cluster.permits -= 1

    def lasts(self) -> bool:
        """Whether the lease lasts."""
        return not self._cluster.lease_lost

    def epoch(self) -> int:
        """Return the epoch of the lease."""
        if self._cluster.lease_lost:
            raise Refused("the lease is lost", "wait")
        return self._cluster.epoch


# --- what is looked at -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Asked:
    """What one look asks for."""

    policy: Policy
    now: int
    evidence: Mapping[str, Evidence]
    queries: Sequence[SubjectQuery]
    looks: Mapping[str, int]


class MemoryInventory(Port):
    """Reads facts."""

    @asks
    def cluster(self) -> ClusterFacts:
        """Return who the cluster is."""
        return ClusterFacts(uuid="cluster", name="memory", version="8.17.2", time=self._cluster.clock.now())

    def observe(
        self,
        policy: Policy,
        categories: Sequence[Category],
        now: int,
        evidence: Mapping[str, Evidence],
        queries: Sequence[SubjectQuery] = (),
        looks: Mapping[str, int] | None = None,
    ) -> dict[str, CategoryFacts]:
        """Return the facts of each category; until then nothing is known of it."""
        for category in categories:
            self._cluster.proven.pop(category.id, None)
        return self._observe(categories, _Asked(policy, now, evidence, queries, looks or {}))

    @asks
    def _observe(self, categories: Sequence[Category], asked: _Asked) -> dict[str, CategoryFacts]:
        return {category.id: self._category(category, asked) for category in categories}

    def _category(self, category: Category, asked: _Asked) -> CategoryFacts:
        claimed = [i for i in self._cluster.indices.values() if category.claims(i.stream or i.name)]
        broken = any(self._breaks(category, asked.now, index) for index in claimed)
        self._cluster.proven[category.id] = not broken
        seen = [self._facts(category, index, asked) for index in claimed if not index.closed]
        return CategoryFacts(
            category=category.id,
            as_of=asked.now,
            indices=tuple(index for index, _ in seen),
            set_apart=tuple(_closed(index) for index in claimed if index.closed),
            indistinguishable={index.name: those for index, those in seen if those},
            looked_at=asked.looks.get(category.id),
            horizon=HORIZON,
        )

    def _breaks(self, category: Category, now: int, index: Index) -> bool:
        """Whether an index keeps it from being said that a category's promise is kept."""
        if index.closed:
            return True
        if category.max_age is None:
            return False
        line = overdue_before(category, now)
        return any((d.at if d.at is not None else index.created) < line for d in index.documents)

    def _facts(
        self, category: Category, index: Index, asked: _Asked
    ) -> tuple[IndexFacts, tuple[Indistinguishable, ...]]:
        exact: dict[Any, ExactField | Inexact | None] = {p: ExactField(name=p.field) for p in category.subjects.all}
        matches: list[Match] = []
        unclear: list[Indistinguishable] = []
        for query in asked.queries:
            for one in query.in_index(category, index.name, index.stream, exact):
                if isinstance(one, Match):
                    matches.append(one)
                else:
                    unclear.append(Indistinguishable(label=query.label, note=query.note, reason=one.reason))
        matching = [d for d in index.documents if any(match.fits(d.values) for match in matches)]
        ages = _ages(category, index.documents, asked)
        attached = self._cluster.attachment_of(index)
        own = attached.policy is not None and attached.policy.startswith(f"retention-{asked.policy.name}-")
        return IndexFacts(
            name=index.name,
            uuid=index.uuid,
            created=index.created,
            documents=len(index.documents),
            bytes=100 * len(index.documents),
            sequence_numbers=(index.operations,),
            timestamp=Mapped(timestamp=AT_TIMESTAMP, type="date"),
            stream=index.stream,
            write_index=index.write_index,
            blocks=frozenset(index.blocks),
            lifecycle=STREAM_LIFECYCLE if attached.acting == STREAM_LIFECYCLE else None if own else attached.policy,
            exempt=attached.exemption is not None,
            matches=tuple(matches),
            matching_documents=len(matching),
            matching_labels=frozenset(m.label for m in matches if any(m.fits(d.values) for d in index.documents)),
            matching_due=sum(_is_due(category, one, asked) for one in matching),
            evidence=asked.evidence.get(index.uuid),
            **ages,
        ), tuple(unclear)


def _closed(index: Index) -> SetApart:
    return SetApart(
        name=index.name, uuid=index.uuid, doubt=Doubt.CLOSED, text=f"{index.name} is closed", remedy="open it"
    )


def _is_due(category: Category, document: Document, asked: _Asked) -> bool:
    if category.max_age is None or document.at is None:
        return False
    return document.at < due_before(category, asked.policy.margin, asked.now)


def _ages(category: Category, documents: Sequence[Document], asked: _Asked) -> dict[str, Any]:
    """Return what the facts of an index say of the ages of its documents."""
    policy, now, looked_at = asked.policy, asked.now, asked.looks.get(category.id)
    dated = [one.at for one in documents if one.at is not None]
    found: dict[str, Any] = {
        "oldest": min(dated, default=None),
        "newest": max(dated, default=None),
        "undated": len(documents) - len(dated),
        "due": 0,
        "overdue": 0,
    }
    if category.max_age is None:
        return found
    due, overdue = due_before(category, policy.margin, now), overdue_before(category, now)
    found |= {"due": sum(at < due for at in dated), "overdue": sum(at < overdue for at in dated)}
    found["coming"] = sum(due <= at < due + HORIZON for at in dated)
    if looked_at is not None and now - looked_at <= HORIZON:
        before = due_before(category, policy.margin, looked_at)
        found["lately"] = sum(before <= at < due for at in dated)
        found["still"] = sum(due <= at < before + HORIZON for at in dated)
    return found


class MemoryResolver(Port):
    """Finds out whom holds on subjects cover."""

    @asks
    def of(self, policy: Policy, holds: Sequence[Hold], now: int) -> Sequence[SubjectQuery]:
        """Return them; the applications of an account along with it."""
        found = []
        for hold in holds:
            if hold.subject is None:
                continue
            along = self._cluster.owners.get(hold.subject.id, ()) if hold.subject.kind is SubjectKind.ACCOUNT else ()
            those = [hold.subject, *(Subject(kind=SubjectKind.APPLICATION, id=one) for one in sorted(along))]
            found += [SubjectQuery(label=hold.id, subject=s, note=str(hold), spare_tenants_own=True) for s in those]
        return found


class MemoryOwners(Port):
    """Finds out which applications belong to an account."""

    @asks
    def of(self, policy: Policy, account: str, known: Collection[str], now: int) -> Ownership:
        """Return them."""
        mine = self._cluster.owners.get(account, frozenset())
        others = {a for whose, those in self._cluster.owners.items() if whose != account for a in those}
        return Ownership(applications={account: mine}, undecided={}, others=dict.fromkeys(others & set(known), 0))


class MemoryCounter(Port):
    """Counts the documents of subjects."""

    @asks
    def by_label(self, index: str, matches: Iterable[Match], spare: Sequence[Match] = ()) -> dict[str, int]:
        """Return them by label."""
        if index not in self._cluster.indices:
            raise RequestRejected("no such index", kind="index_not_found_exception", status=404)
        counted: dict[str, int] = {}
        matches = list(matches)
        for document in self._cluster.indices[index].documents:
            if any(one.fits(document.values) for one in spare):
                continue
            for label in {one.label for one in matches if one.fits(document.values)}:
                counted[label] = counted.get(label, 0) + 1
        return counted


# --- what destroys -----------------------------------------------------------------------------------------


class MemoryDeletion(Port):
    """Deletes, and sets write blocks."""

    @asks
    def identities(self, names: Sequence[str]) -> dict[str, IndexVersion]:
        """Return what these are now."""
        there = ((name, self._cluster.indices[name]) for name in names if name in self._cluster.indices)
        return {name: IndexVersion(uuid=one.uuid, sequence_numbers=(one.operations,)) for name, one in there}

    @asks
    def existing(self, uuids: Collection[str], names: Collection[str] | None = None) -> dict[str, Existing]:
        """Return those that are there."""
        return {
            one.uuid: Existing(
                name=one.name,
                rolled_over=one.rolled_over is not None,
                lifecycle=self._cluster.attachment_of(one).acting,
                write_blocked=Block.WRITE in one.blocks,
            )
            for one in self._cluster.indices.values()
            if one.uuid in uuids and (names is None or one.name in names)
        }

    @queued
    def delete_indices(self, names: Sequence[str]) -> None:
        """Delete these, all or none."""
        those = [self._cluster.indices[name] for name in names if name in self._cluster.indices]
        if len(those) < len(names):
            raise RequestRejected("no such index", kind="index_not_found_exception", status=404)
        if self._cluster.refuses_deletions or any(one.blocks & FORBID_INDEX_DELETION for one in those):
            raise RequestRejected("blocked", kind="cluster_block_exception", status=403)
        for one in those:
            self._cluster.destroy(one, tuple(one.documents), "delete_index", whole=True)

    @queued
    def roll_over(self, target: str, new_index: str | None) -> None:
        """Roll a stream over."""
        (old,) = [one for one in self._cluster.indices.values() if one.stream == target and one.write_index]
        assert new_index is None, "a stream names its indices itself"
        old.roll_over(self._cluster.clock.now())
        self._cluster.create(str(next_name(old.name)), age=0, stream=target, write_index=True)

    def trim(self, trim: Trim, permit: Permission) -> Trimmed:
        """Delete what a trim names, a page at a time."""
        deleted, by_label = 0, dict[str, int]()
        while page := self._search(trim):
            with permit():
                gone = self._delete_page(trim, page)
            deleted += len(gone)
            for document in gone:
                for label in self._labels(trim, document):
                    by_label[label] = by_label.get(label, 0) + 1
        return Trimmed(deleted=deleted, left=self._count(trim), by_label=by_label)

    @asks
    def _search(self, trim: Trim) -> Sequence[Document]:
        return self._selected(trim)[:PAGE]

    @asks
    def _count(self, trim: Trim) -> int:
        return len(self._selected(trim))

    @changes
    def _delete_page(self, trim: Trim, page: Sequence[Document]) -> Sequence[Document]:
        index = self._cluster.of_uuid(trim.uuid)
        if index is None:
            return ()
        if index.blocks & FORBID_DOCUMENT_DELETION:
            raise RequestRejected("blocked", kind="cluster_block_exception", status=403)
        there = [document for document in page if document in index.documents]
        self._cluster.destroy(index, there, "delete_documents", whole=False)
        return there

    def _selected(self, trim: Trim) -> list[Document]:
        index = self._cluster.of_uuid(trim.uuid)
        if index is None or index.name != trim.index:
            raise Refused("another index has the name now", "it is planned again")
        spared = [d for d in index.documents if any(one.fits(d.values) for one in trim.spare)]
        return [d for d in index.documents if d not in spared and self._takes(trim, d)]

    @staticmethod
    def _takes(trim: Trim, document: Document) -> bool:
        if isinstance(trim.takes, Due):
            return document.at is not None and trim.takes.earliest <= document.at < trim.takes.cut
        return isinstance(trim.takes, Every) or bool(MemoryDeletion._labels(trim, document))

    @staticmethod
    def _labels(trim: Trim, document: Document) -> frozenset[str]:
        return trim.takes.labels(document.values) if isinstance(trim.takes, OfSubjects) else frozenset()

    @queued
    def set_write_block(self, uuid: str, *, blocked: bool) -> bool:
        """Set or lift a block; return whether there was one."""
        index = self._cluster.of_uuid(uuid)
        if index is None:
            return False
        had = Block.WRITE in index.blocks
        (index.blocks.add if blocked else index.blocks.discard)(Block.WRITE)
        return had

    @queued
    def lift_write_blocks(self, uuids: Collection[str]) -> None:
        """Lift the blocks of these."""
        for index in self._cluster.indices.values():
            if index.uuid in uuids:
                index.blocks.discard(Block.WRITE)

    @queued
    def stop_writes(self, names: Sequence[str]) -> dict[str, bool]:
        """Block the writes of these; return those that had none."""
        those = [self._cluster.indices[name] for name in names if name in self._cluster.indices]
        if len(those) < len(names):
            raise RequestRejected("no such index", kind="index_not_found_exception", status=404)
        newly = {one.name: True for one in those if Block.WRITE not in one.blocks}
        for one in those:
            one.blocks.add(Block.WRITE)
        return newly


class MemoryErasures(Port):
    """Takes the bytes of what was deleted, in two steps."""

    def advance(self, progress: ErasureProgress, now: int, permit: Permission) -> ErasureProgress:
        """Do the next one."""
        with permit():
            return self._advance(progress, now)

    @changes
    def _advance(self, progress: ErasureProgress, now: int) -> ErasureProgress:
        if self._cluster.of_uuid(progress.uuid) is None:
            return replace(progress, act=Act.DONE, gone=True)
        if progress.act is Act.MARK:
            return replace(progress, act=Act.CHECK, due=now, passes=1)
        self._cluster.dirty.pop(progress.uuid, None)
        return replace(progress, act=Act.DONE)


# --- lifecycles --------------------------------------------------------------------------------------------


class MemoryLifecycles(Port):
    """The lifecycles of indices, and what there is to be seen of those of streams."""

    @asks
    def status(self) -> str:
        """Return that they run."""
        return RUNNING

    @asks
    def poll_interval(self) -> int:
        """Return how often the cluster looks at them."""
        return POLL

    @asks
    def stream_round(self) -> int:
        """Return how long all streams take."""
        return 2 * POLL

    @asks
    def stream_poll(self) -> int:
        """Return how often the cluster looks at those of streams."""
        return POLL

    @asks
    def default_retention(self) -> int | None:
        """Return that there is none."""
        return None

    @asks
    def stream_lifecycles(
        self,
        streams: Collection[str],
        expressions: Collection[str] = (),
    ) -> Sequence[StreamLifecycle]:
        """Return those of these streams."""
        bodies = ((stream, self._cluster.streams.get(stream)) for stream in sorted(streams))
        return [self._stream(stream, body) for stream, body in bodies if body is not None]

    def _stream(self, stream: str, body: Mapping[str, Any]) -> StreamLifecycle:
        retention = parse_duration(body["data_retention"]) if "data_retention" in body else None
        members = [one for one in self._cluster.indices.values() if one.stream == stream]
        return StreamLifecycle(
            stream=stream,
            body=body,
            asked=retention,
            enabled=body["enabled"],
            retention=retention,
            determined_by=None,
            rollover=StreamRollover(max_age=automatic_rollover(retention), automatic=True),
            members=frozenset(one.name for one in members if not self._of(one).ruled_by_ilm),
            rules_the_next=True,
        )

    @asks
    def stream_errors(self, names: Collection[str], expressions: Collection[str] = ()) -> Mapping[str, StreamError]:
        """Return that there are none."""
        return {}

    @asks
    def contents(self) -> Mapping[str, Mapping[str, Any]]:
        """Return what all policies say."""
        return {name: stored.content for name, stored in self._cluster.policies.items()}

    @asks
    def stored(self) -> dict[str, StoredLifecycle]:
        """Return all policies."""
        return dict(self._cluster.policies)

    @asks
    def attachments(self, expressions: Iterable[str]) -> dict[str, Attachment]:
        """Return what is attached to all that the expressions reach."""
        starts = tuple(expression.partition("*")[0] for expression in expressions)
        reached = (one for one in self._cluster.indices.values() if (one.stream or one.name).startswith(starts))
        return {one.name: self._of(one) for one in reached}

    @asks
    def attachments_of(self, names: Collection[str]) -> dict[str, Attachment]:
        """Return what is attached to these."""
        return {name: self._of(self._cluster.indices[name]) for name in names if name in self._cluster.indices}

    def _of(self, index: Index) -> Attachment:
        return self._cluster.attachment_of(index)

    @asks
    def explain_all(self, expressions: Sequence[str], attachments: Mapping[str, Attachment]) -> dict[str, Explained]:
        """Return that all wait for their time."""
        return {
            name: Explained(index=name, policy=a.policy, cached_policy=a.policy, phase="new", action="complete")
            for name, a in attachments.items()
            if a.policy is not None
        }

    @asks
    def snapshotting(self) -> frozenset[str]:
        """Return none."""
        return frozenset()

    @queued
    def put_policy(self, policy: LifecyclePolicy) -> None:
        """Put a policy."""
        assert self._cluster.permits or self.calls.catching_up, "a lifecycle policy was put without a permit"
        self._cluster.policies[policy.name] = StoredLifecycle(content=policy.body["policy"])

    def attach(
        self,
        names: Collection[str],
        policy: str,
        *,
        origination: int | None = None,
        rollover_alias: str | None = None,
        permit: Permission = nullcontext,
    ) -> dict[str, str]:
        """Attach a policy."""
        with permit():
            return self._set(names, policy, origination, rollover_alias)

    def swap(
        self,
        names: Collection[str],
        policy: str,
        *,
        origination: int | None = None,
        rollover_alias: str | None = None,
        permit: Permission = nullcontext,
    ) -> dict[str, str]:
        """Detach, then attach: two requests."""
        with permit():
            self._set(names, None, None, None)
        with permit():
            return self._set(names, policy, origination, rollover_alias)

    def detach(self, names: Collection[str], *, permit: Permission = nullcontext) -> dict[str, str]:
        """Keep every lifecycle from them, first that of their stream."""
        if exposed := [name for name in names if self._is_exposed(name)]:
            with permit():
                self._date(exposed, exempt=True)
        if having := [name for name in names if self._has_policy(name)]:
            with permit():
                self._set(having, None, None, None)
        return {}

    def _is_exposed(self, name: str) -> bool:
        return name in self._cluster.indices and self._of(self._cluster.indices[name]).at_stake

    def _has_policy(self, name: str) -> bool:
        return name not in self._cluster.indices or self._cluster.indices[name].attachment.policy is not None

    def exempt(self, names: Collection[str], *, permit: Permission = nullcontext) -> dict[str, str]:
        """Keep the lifecycles of their streams from them."""
        with permit():
            self._date(names, exempt=True)
        return {}

    def release(self, names: Collection[str], *, permit: Permission = nullcontext) -> dict[str, str]:
        """Let the lifecycles of their streams have them again."""
        with permit():
            self._date(names, exempt=False)
        return {}

    @queued
    def _date(self, names: Collection[str], *, exempt: bool) -> None:
        assert self._cluster.permits or self.calls.catching_up, "an exemption was changed without a permit"
        for index in (self._cluster.indices[name] for name in names if name in self._cluster.indices):
            attached = self._of(index)
            if exempt:
                date: int | None = Exemption(given_back=not attached.ruled_by_ilm, before=attached.before).date
            else:
                assert not self._cluster.held(index), f"{index.name} is held, and was given to its stream's lifecycle"
                date = attached.before
            index.attachment = replace(index.attachment, origination=date)

    @queued
    def _set(
        self, names: Collection[str], policy: str | None, origination: int | None, alias: str | None
    ) -> dict[str, str]:
        assert self._cluster.permits or self.calls.catching_up, "a lifecycle was changed without a permit"
        action = "detach_lifecycle" if policy is None else "apply_lifecycle"
        for name in names:
            if name not in self._cluster.indices:
                raise RequestRejected("no such index", kind="index_not_found_exception", status=404)
            index = self._cluster.indices[name]
            waiting = [r for r in unanswered(self._cluster.ledger.records) if r["target"]["uuid"] == index.uuid]
            told = [r for r in waiting if r["action"] in (action, "apply_lifecycle")]
            assert told, f"{action} of {name} was announced nowhere"
            if policy is not None and deletes_at_once(policy):
                wrong = [one for one in index.documents if not self._cluster.is_covered(index, one)]
                assert not wrong, f"{policy} was attached to {name}, and nothing covers {wrong}"
            if policy is not None and not self.calls.catching_up:
                last = [call.name for call in self.calls.made[-3:]]
                assert "control.read" in last, f"{policy} was attached without a look at the operator's word: {last}"
            index.attachment = replace(index.attachment, policy=policy, origination=origination, rollover_alias=alias)
        return {}


class MemoryStreams(Port):
    """The lifecycles of streams."""

    @asks
    def enabled(self) -> dict[str, dict[str, Any]]:
        """Return those that are."""
        return {stream: dict(body) for stream, body in self._cluster.streams.items() if body["enabled"]}

    @asks
    def of(self, streams: Collection[str]) -> dict[str, dict[str, Any]]:
        """Return what these say."""
        return {stream: dict(body) for stream, body in self._cluster.streams.items() if stream in streams}

    @queued
    def put(self, stream: str, body: Mapping[str, Any]) -> str | None:
        """Replace one."""
        assert self._cluster.permits or self.calls.catching_up, "a retention was put without a permit"
        told = [r["target"]["index"] for r in unanswered(self._cluster.ledger.records) if r["action"] == SET_RETENTION]
        assert stream in told, f"the retention of {stream} was announced nowhere"
        self._cluster.streams[stream] = dict(body)
        for index in self._cluster.indices.values():
            acts = index.stream == stream and self._cluster.attachment_of(index).acting == STREAM_LIFECYCLE
            assert not acts or not self._cluster.held(index), f"{index.name} is held, and {stream} deletes it by {body}"
        return None


class MemoryHistory(Port):
    """What the cluster has written down of deletions: nothing."""

    @asks
    def deletions(
        self,
        since: int,
        shown: Callable[[str], str],
        names: Collection[str],
    ) -> list[HistoryEntry] | None:
        """Return that there is no history."""
        return None

    @asks
    def deleted_at(self, uuids: Collection[str]) -> Mapping[str, int]:
        """Return that nothing is known."""
        return {}


# --- past the policy ---------------------------------------------------------------------------------------


class MemoryWholeCluster(Port):
    """Whose each index is."""

    @asks
    def read(self, policy: Policy, now: int) -> CoverageFacts:
        """Return it."""

        def seen(index: Index) -> IndexSeen:
            categories = policy.claimants(index.stream or index.name)
            standing = IndexOwner.GOVERNED if categories else IndexOwner.UNCLAIMED
            claim = Claim(standing=standing, categories=categories)
            return IndexSeen(name=index.name, uuid=index.uuid, claim=claim, created=index.created, documents=1)

        return CoverageFacts(as_of=now, indices=tuple(seen(index) for index in self._cluster.indices.values()))


class MemorySnapshots(Port):
    """No snapshots."""

    @asks
    def read(self, policy: Policy) -> SnapshotsSeen:
        """Return that there are none."""
        return SnapshotsSeen(repositories=())


class MemoryNodes(Port):
    """One node, with a copy of everything."""

    @asks
    def placed(self) -> NodeCopies:
        """Return where the copies are."""
        return NodeCopies(
            nodes={"n1": "node"}, copies={"n1": frozenset(one.uuid for one in self._cluster.indices.values())}
        )

    @asks
    def unused(self, uuids: Collection[str]) -> Mapping[str, frozenset[str]]:
        """Return none."""
        return {}

    @asks
    def dangling(self) -> Collection[Dangling]:
        """Return none."""
        return ()
