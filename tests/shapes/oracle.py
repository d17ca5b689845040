"""The oracle: judges what a command did and said by what Elasticsearch has before and after it.

It shares no rule with the product: what it knows of a policy is `promises.py`, of documents what the shapes wrote, of
the cluster what a census shows. It says what must not be; it does not say what should have been done.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from shapes.census import Census, Key, Seen
from shapes.promises import DAY, HOUR, Promise, Promises, Subject, milliseconds
from shapes.world import Doc, World

FUSE_FLOOR = 1_000
FUSE_SHARE = 0.5
LOOKS_APART = 2 * HOUR
"""The longest gap between two looks after which something still counts as foreseen; the interval is 5 min."""
OWN = (
    "retention-ledger-000001",
    "retention-control",
    "retention-state",
    "retention-requests",
    "retention-terminations",
)


@dataclass(frozen=True)
class Violation:
    """One thing that must not be. `kind` is stable; the text is for people."""

    kind: str
    text: str

    def __str__(self) -> str:
        return f"[{self.kind}] {self.text}"


@dataclass
class Asked:
    """A request of a subject that stands: what it may take."""

    subject: Subject
    ask: str
    at: int


@dataclass
class Held:
    """A hold that was answered with success: what it has ever covered stays covered."""

    id: str
    kind: str
    what: Any
    keys: set[Key] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    uuids: set[str] = field(default_factory=set)
    excused: set[str] = field(default_factory=set)


@dataclass
class Oracle:
    """Follows one cluster from command to command."""

    world: World
    accepted: Promises | None = None
    holds: dict[str, Held] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    reinstated: list[Subject] = field(default_factory=list)
    stopped: bool = False
    excused: set[str] = field(default_factory=set)
    """Names that `stop` said it could not protect."""
    approved: set[Key] = field(default_factory=set)
    shown: set[Key] = field(default_factory=set)
    looks: list[tuple[int, set[Key]]] = field(default_factory=list)
    """When an acting look was, under the policy accepted now, and what was there."""
    milestones: dict[tuple[str, str], str] = field(default_factory=dict)
    tampered: bool = False
    """Whether somebody changed records of the ledger by hand."""
    forged: bool = False
    """Whether somebody changed by hand what the registry says of a request."""
    found: list[Violation] = field(default_factory=list)
    ahead: int = 0
    """How far both clocks, the cluster's and the enforcer's, are ahead of the true time."""
    orders: set[str] = field(default_factory=set)

    def blame(self, kind: str, text: str) -> None:
        violation = Violation(kind, text)
        if violation not in self.found:
            self.found.append(violation)

    # --- whose is what ---

    def governed(self, promises: Promises, seen: Seen, census: Census) -> list[Promise]:
        """The categories that an index belongs to: by its name, its stream, or what it was made from."""
        names = [seen.name, *([seen.stream] if seen.stream else [])]
        if promises.ignores(seen.name) or (seen.stream and promises.ignores(seen.stream)):
            return []
        found = [one for name in names for one in promises.of(name)]
        source, guard = seen.source, 0
        while not found and source is not None and guard < 9:
            found = promises.of(source)
            behind = [one for one in census.indices.values() if one.name == source]
            source, guard = (behind[0].source if behind else None), guard + 1
        if not found and seen.source is not None and any(promises.of(a) for a in seen.aliases):
            found = [one for alias in seen.aliases for one in promises.of(alias)]
        return list(dict.fromkeys(found))

    def reached(self, promises: Promises, seen: Seen, census: Census) -> list[Promise]:
        """The categories under whose names an index is reached: those it belongs to, and those of its aliases."""
        if any(seen.name == self.world.prefix + own for own in OWN):
            return []
        streams = [seen.stream] if seen.stream else []
        aliases = [one for alias in (*seen.aliases, *streams) for one in promises.of(alias)]
        return list(dict.fromkeys([*self.governed(promises, seen, census), *aliases]))

    def doc(self, key: Key) -> Doc | None:
        return self.world.docs.get(key[1])

    # --- what holds keep ---

    def hold(self, id_: str, kind: str, what: Any, census: Census, excused: Collection[str]) -> None:
        self.holds[id_] = Held(id_, kind, what, excused=set(excused))
        self.extend_holds(census)

    def extend_holds(self, census: Census) -> None:
        """Add to each hold what its name resolves to now: nothing is ever taken from it."""
        for held in self.holds.values():
            if held.kind == "index":
                more = {one.uuid for one in census.named(held.what)}
            elif held.kind == "category" and self.accepted is not None:
                more = {
                    one.uuid
                    for one in census.indices.values()
                    if any(p.id == held.what for p in self.governed(self.accepted, one, census))
                }
            else:
                more = set()
            held.uuids |= more
            held.keys |= {key for key in census.documents if key[0] in more}
            if held.kind == "subject":
                held.keys |= {key for key in census.documents if self._is_of(key, held.what)}

    def _is_of(self, key: Key, subject: Subject) -> bool:
        doc = self.doc(key)
        return doc is not None and covers(doc, subject)

    # --- after a command ---

    def judge_what_went(self, before: Census, after: Census, command: Collection[str], code: int) -> None:
        """Whether everything that is gone was due or asked for, and whether the ledger says so."""
        gone = [key for key in before.documents if key not in after.documents]
        instant = after.at + self.ahead
        by_index: dict[str, list[Key]] = defaultdict(list)
        for key in gone:
            if before.indices[key[0]].name not in self._own_names():
                by_index[key[0]].append(key)
        acting = "run" in command
        for uuid, keys in by_index.items():
            seen = before.indices[uuid]
            whole = uuid not in after.indices
            foreign = self._of_others(seen)
            recorded = self._recorded(before, after, uuid)
            for key in keys:
                self._judge_held(seen, key)
            if self._is_stopped(seen, before):
                self.blame("deleted while stopped", f"{seen.name}: {len(keys)} documents, after {' '.join(command)}")
            if foreign and whole and not recorded:
                continue
            ours = (seen.lifecycle or "").startswith("retention-") and whole
            if ours and not recorded:  # one of the enforcer's own lifecycles: what it takes must be due all the same
                self._judge_due(before, seen, keys, instant, whole=whole)
                continue
            if not acting:
                if not foreign:
                    self.blame(
                        "deleted by a command that does not", f"{seen.name}: {len(keys)} after {' '.join(command)}"
                    )
                continue
            self._judge_due(before, seen, keys, instant, whole=whole)
            if not recorded:
                self.blame("not in the ledger", f"{len(keys)} documents of {seen.name} are gone without an outcome")
        self._judge_records(before, after, by_index)
        if acting:
            self._judge_fuse(before, [key for keys in by_index.values() for key in keys], instant)
            if self.accepted is not None:
                self.looks.append((instant, set(after.documents)))

    def _is_stopped(self, seen: Seen, census: Census) -> bool:
        stopped = self.stopped and seen.name not in self.excused and self.accepted is not None
        return stopped and bool(self.accepted and self.governed(self.accepted, seen, census))

    def _own_names(self) -> set[str]:
        return {self.world.prefix + own for own in OWN}

    def _of_others(self, seen: Seen) -> bool:
        theirs = seen.lifecycle is not None and not seen.lifecycle.startswith("retention-")
        return theirs or seen.stream_lifecycle

    def is_held(self, key: Key) -> bool:
        """Whether any hold covers a document."""
        return any(key in held.keys for held in self.holds.values())

    def _judge_held(self, seen: Seen, key: Key) -> None:
        for held in self.holds.values():
            if key in held.keys and seen.name not in held.excused:
                self.blame("held, and deleted", f"{seen.name}: under the hold on {held.kind} {_name(held.what)}")

    def _judge_due(self, before: Census, seen: Seen, keys: list[Key], instant: int, *, whole: bool) -> None:
        promises = self.accepted
        if promises is None:
            self.blame("deleted, nothing accepted", f"{seen.name}: {len(keys)} documents")
            return
        claimed = self.governed(promises, seen, before)
        if not claimed:
            kind = "ignored, and deleted" if promises.ignores(seen.name) else "outside, and deleted"
            self.blame(kind, f"{seen.name}: {len(keys)} documents")
            return
        if len(claimed) > 1:
            self.blame("claimed twice, and deleted", f"{seen.name}: {len(keys)} documents")
            return
        (promise,) = claimed
        early = [key for key in keys if not self.is_due(promise, key, instant) and not self._is_asked(promise, key)]
        early = [key for key in early if promise.id not in self.orders]
        if not early:
            return
        if whole and self._may_go_whole(promise, promises, before, seen, keys, instant):
            return
        doc = self.doc(early[0])
        what = "of unknown age" if doc is None or not doc.times or not doc.dated else "not due"
        self.blame("not due, and deleted", f"{seen.name}: {len(early)} of {len(keys)} documents, the first {what}")

    def is_due(self, promise: Promise, key: Key, instant: int) -> bool:
        doc = self.doc(key)
        if doc is None or promise.max_age is None or not doc.times or not doc.dated or self.accepted is None:
            return doc is None and promise.max_age is not None
        edge = instant - milliseconds(promise.max_age) + milliseconds(self.accepted.margin)
        return min(doc.times) <= edge

    def _may_go_whole(
        self, promise: Promise, promises: Promises, before: Census, seen: Seen, keys: list[Key], instant: int
    ) -> bool:
        """Whether what is left over goes with its index: it spans one rollover; undated ones if it is due itself."""
        if promise.max_age is None or promises.container(seen.name):
            return False
        times = [t for key in keys if (doc := self.doc(key)) and doc.dated for t in doc.times]
        if not times:
            return False
        undated = [key for key in keys if (doc := self.doc(key)) is not None and (not doc.times or not doc.dated)]
        edge = instant - milliseconds(promise.max_age) + milliseconds(promises.margin)
        rollover = milliseconds(promise.rollover or "1d")
        near = max(times) - min(times) <= 1.1 * rollover and min(times) <= edge
        return near and (not undated or seen.created <= edge)

    def _is_asked(self, promise: Promise, key: Key) -> bool:
        doc = self.doc(key)
        if doc is None:
            return False
        for asked in self.asked:
            if asked.ask == "terminate" and promise.after_termination is None:
                continue
            if not promise.names(asked.subject.kind) and asked.subject.kind != "account":
                continue
            if not covers(doc, asked.subject):
                continue
            if any(covers(doc, back) for back in self.reinstated):
                continue
            return True
        return False

    def _judge_fuse(self, before: Census, gone: list[Key], instant: int) -> None:
        """Whether a surprisingly large share of a category went at once, by documents and not by indices."""
        promises = self.accepted
        if promises is None:
            return
        whole: Counter[str] = Counter()
        for key in before.documents:
            for promise in self.governed(promises, before.indices[key[0]], before):
                whole[promise.id] += 1
        surprising: Counter[str] = Counter()
        released: Counter[str] = Counter()
        for key in gone:
            for promise in self.governed(promises, before.indices[key[0]], before):
                if key in self.approved or self._was_foreseen(promise, key, instant) or self._is_asked(promise, key):
                    released[promise.id] += 1
                else:
                    surprising[promise.id] += 1
        for id_, many in surprising.items():
            rest = whole[id_] - released[id_]
            if whole[id_] >= FUSE_FLOOR and many > FUSE_SHARE * rest:
                self.blame("more at once than anybody foresaw", f"{id_}: {many} of {rest} documents")

    def _was_foreseen(self, promise: Promise, key: Key, instant: int) -> bool:
        doc = self.doc(key)
        if doc is None or not doc.times or promise.max_age is None or self.accepted is None or not self.looks:
            return False
        if instant - self.looks[-1][0] > LOOKS_APART:
            return False
        due = min(doc.times) + milliseconds(promise.max_age) - milliseconds(self.accepted.margin)
        return any(at < due and key in there for at, there in self.looks)

    # --- the ledger ---

    def _recorded(self, before: Census, after: Census, uuid: str) -> bool:
        """Whether new records tell of a deletion in an index."""
        known = {r["sequence"] for r in before.ledger}
        fresh = [r for r in after.ledger if r["sequence"] not in known]
        return any(
            r["kind"] in {"outcome", "finding"} and r.get("target", {}).get("uuid") == uuid and self._tells(r)
            for r in fresh
        )

    def _tells(self, record: dict[str, Any]) -> bool:
        if record["kind"] != "outcome":
            return False
        if record.get("action") == "observed_deletion":
            return True
        return record.get("action") in {"delete_index", "delete_documents"} and record.get("outcome") in {
            "done",
            "unknown",
            "failed",
        }

    def _judge_records(self, before: Census, after: Census, gone: dict[str, list[Key]]) -> None:
        known = {r["sequence"]: r for r in before.ledger}
        for record in after.ledger:
            old = known.get(record["sequence"])
            if old is not None and old != record:
                self.blame("a record was changed", f"record {record['sequence']}")
        if before.ledger and not self.tampered and len(after.ledger) < len(before.ledger):
            self.blame("records are missing", f"{len(before.ledger)} records before, {len(after.ledger)} after")
        fresh = [r for r in after.ledger if r["sequence"] not in known]
        told = self._told(fresh, after, gone)
        for uuid, counted in told.items():
            went, seen = len(gone.get(uuid, [])), before.indices.get(uuid)
            name = seen.name if seen else uuid
            if counted and went == 0 and uuid in after.indices and uuid not in after.guessed:
                self.blame("the ledger says deleted, and it is there", name)
            elif went > counted > 0:
                self.blame("the ledger says fewer than went", f"{name}: {counted}, not {went}")

    def _told(self, fresh: list[dict[str, Any]], after: Census, gone: dict[str, list[Key]]) -> Counter[str]:
        """How many documents new outcomes say went, by uuid; each of them has its intent, and is true."""
        every = {r["sequence"]: r for r in after.ledger}
        told: Counter[str] = Counter()
        for record in fresh:
            action, uuid = record.get("action"), record.get("target", {}).get("uuid")
            if record["kind"] != "outcome" or uuid is None or action not in {"delete_index", "delete_documents"}:
                continue
            intent = every.get(record.get("intent", -1))
            if intent is None or intent.get("target", {}).get("uuid") != uuid:
                self.blame("an outcome without its intent", f"record {record['sequence']}")
            if record.get("outcome") != "done":
                continue
            if action == "delete_index" and uuid in after.indices:
                self.blame("the ledger says deleted, and it is there", record["target"]["index"])
            counted = record.get("evidence", {}).get("documents")
            if counted is None and intent is not None:
                counted = intent.get("evidence", {}).get("documents")
            told[uuid] += int(counted or 0)
            if counted is not None and int(counted) == 0 and gone.get(uuid):
                self.blame("the ledger says 0 documents", f"{record['target']['index']}: {len(gone[uuid])} are gone")
        return told

    def judge_chain(self, code: int) -> None:
        """Whether `ledger verify` tells an altered ledger from a whole one."""
        if self.tampered and code == 0:
            self.blame("an altered ledger is called whole", "ledger verify exits 0")
        elif not self.tampered and code != 0:
            self.blame("the ledger is not whole", f"ledger verify exits {code}")

    # --- what is said ---

    def judge_kept(
        self, census: Census, categories: Iterable[str], instant: int, promises: Promises, said: str
    ) -> None:
        """No document past its limit is reached by a governed name, or sits in what was made from a governed index."""
        kept = set(categories)
        for key in census.documents:
            seen, doc = census.indices[key[0]], self.doc(key)
            if doc is None or not doc.times:
                continue
            for promise in self.reached(promises, seen, census):
                if promise.id in kept and promise.max_age and max(doc.times) < instant - milliseconds(promise.max_age):
                    self.blame(
                        "kept, and it is not", f"{said}: {promise.id}, {seen.name} has a document past its limit"
                    )

    def judge_final(self, census: Census, subject: Subject) -> None:
        """A final certificate: the subject is in no index, snapshot, or copy of Elasticsearch's own."""
        for key in census.documents:
            doc, seen = self.doc(key), census.indices[key[0]]
            if doc is not None and covers(doc, subject, doubtful=True) and seen.name not in self._own_names():
                self.blame("final, and it is not", f"{subject.kind}: {seen.name} has a document of it")
        for name, (application, is_there) in self.world.elsewhere.items():
            if application == (subject.id if subject.kind == "application" else subject.application) and is_there():
                self.blame("final, and it is not", f"{subject.kind}: it is in {name}")
        if self.tampered:
            self.blame("final over altered records", f"{subject.kind}: records were changed by hand")
        if self.forged:
            self.blame("final over a forged registry", f"{subject.kind}: a milestone was changed by hand")

    def judge_milestones(self, documents: Iterable[dict[str, Any]]) -> None:
        """What was seen once stands, with its time."""
        seen: Counter[str] = Counter()
        for one in documents:
            who = f"{one['subject']} {one['request']}"
            seen[who] += 1
            for name in ("registered_at", "purged_at", "erased_at"):
                if (value := one.get(name)) is None:
                    continue
                key = (f"{who} {seen[who]}", name)
                first = self.milestones.setdefault(key, value)
                if value != first:
                    self.blame("a milestone moved", f"{name}: {first}, now {value}")

    def judge_silence(self, census: Census, findings: Iterable[dict[str, Any]]) -> None:
        """A purge that the cluster refuses, which is due and cannot come about, is said: some finding is about it."""
        stuck = [
            (asked, census.indices[key[0]].name)
            for key in census.documents
            for asked in self.asked
            if self.accepted is not None
            and (doc := self.doc(key)) is not None
            and covers(doc, asked.subject)
            and not any(covers(doc, back) for back in self.reinstated)
            for promise in self.governed(self.accepted, census.indices[key[0]], census)
            if "read_only" in census.indices[key[0]].blocks
            if (asked.ask == "erase" or promise.after_termination) and promise.names(asked.subject.kind)
            if not self.is_held(key)
        ]
        found = list(findings)
        for asked, name in stuck:
            told = [
                f
                for f in found
                if f.get("index") == name or "purge" in f["kind"] or "terminat" in f["kind"] or "subject" in f["kind"]
            ]
            if not told:
                self.blame(
                    "a purge that fails is silent", f"{asked.subject.kind} is still in {name}, and no finding says why"
                )


def covers(doc: Doc, subject: Subject, *, doubtful: bool = False) -> bool:
    """Whether a document is of a subject. `doubtful`: or may be, as far as a person who reads it can tell."""
    if subject.kind == "application":
        return subject.id in doc.applications
    if subject.kind == "account":
        foreign = bool(doc.accounts) and subject.id not in doc.accounts
        return subject.id in doc.accounts or (not foreign and bool(set(subject.applications) & set(doc.applications)))
    both = subject.application in doc.applications and subject.id in doc.users
    if doubtful:
        return both
    return both and len(doc.applications) == len(doc.users) == 1 and not doc.nested


def _name(what: Any) -> str:
    return f"{what.kind}" if isinstance(what, Subject) else str(what)


__all__ = ["DAY", "Oracle", "Violation", "covers"]
