"""What is remembered of requests and registry between runs, so that neither is taken for what it is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from retention_enforcer.domain.errors import Refused, readable
from retention_enforcer.domain.ledger.records import Kind
from retention_enforcer.domain.own.position import IndexPosition
from retention_enforcer.domain.own.state_keys import REGISTRY, REQUESTS
from retention_enforcer.domain.subjects.pseudonyms import Pseudonyms
from retention_enforcer.domain.terminations.document import termination_of
from retention_enforcer.domain.terminations.records import history_in, who_of
from retention_enforcer.domain.terminations.states import Termination
from retention_enforcer.enforcement.ports import DocumentStore, LedgerStore, Requests

REMEMBERED = "remembered"
"""The kind of a termination in the registry whose subject is known; a forgotten one has its pseudonym for a kind."""

TAKEN = "taken"
"""The kind of what is left of a request that was taken in, and how its key begins."""

_IDS = 500
"""How many ids are asked for at once."""

_ADOPT = "restore it, or find out what happened and run `retention-enforcer ledger adopt`"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestsMemory:
    """How far requests were read."""

    position: IndexPosition
    refused: Mapping[int, str] = field(default_factory=dict)
    """Malformed requests that are still there, by their places, and why. Not by their ids: these may name somebody."""
    skipped: bool = False
    """Whether some were skipped that nobody read: a reinstatement may be among them."""
    knows_ids: bool = True
    """Whether each that was read up to there is known by its id; else they are noted before any other is read."""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> RequestsMemory:
        """Read it from its document."""
        with readable("what retention-state stores about requests"):
            refused = {int(sequence): str(why) for sequence, why in body["refused"].items()}
            knows_ids = bool(body.get("knows_ids", False))
            return cls(
                position=IndexPosition.of(body), refused=refused, skipped=bool(body["skipped"]), knows_ids=knows_ids
            )

    def body(self) -> dict[str, Any]:
        """Return it as its document."""
        refused = {str(sequence): why for sequence, why in self.refused.items()}
        return {**self.position.body(), "refused": refused, "skipped": self.skipped, "knows_ids": self.knows_ids}


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryMemory:
    """How far the registry went."""

    position: IndexPosition
    adopted: bool = False
    """Whether it may be older than the ledger: an operator said so, and it was not compared yet."""
    suspended: bool = False
    """Whether all that was open in it then waits for a person already."""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> RegistryMemory:
        """Read it from its document."""
        with readable("what retention-state stores about the registry"):
            return cls(
                position=IndexPosition.of(body), adopted=bool(body["adopted"]), suspended=bool(body["suspended"])
            )

    def body(self) -> dict[str, Any]:
        """Return it as its document."""
        return {**self.position.body(), "adopted": self.adopted, "suspended": self.suspended}


class IntakeMemory:
    """Remembers both, and refuses what does not go on from there."""

    def __init__(self, requests: Requests, registry: DocumentStore, state: DocumentStore) -> None:
        self._requests = requests
        self._registry = registry
        self._state = state

    def of_registry(self, now: int) -> RegistryMemory:
        """Return what is remembered of the registry.

        Raises Refused where it is not the one that it was, or an older one: pending deletions would be lost in
        silence, and customers purged who came back since.
        """
        position = self._registry.position()
        body = self._state.load([REGISTRY]).get(REGISTRY)
        if body is None:
            memory = RegistryMemory(position=position)
            self._state.save(REGISTRY, memory.body(), now)
            return memory
        memory = RegistryMemory.of(body)
        if not position.continues(memory.position):
            raise Refused(
                "retention-terminations is another index than before, or an older state: no termination is carried out",
                _ADOPT,
            )
        return memory

    def keep_registry(self, now: int, *, adopted: bool = False) -> None:
        """Remember how far the registry goes now."""
        position = self._registry.position()
        after = RegistryMemory(position=position, adopted=adopted, suspended=adopted).body()
        if self._state.load([REGISTRY]).get(REGISTRY) != after:
            self._state.save(REGISTRY, after, now)

    def of_requests(self, now: int) -> tuple[RequestsMemory, IndexPosition]:
        """Return what is remembered of the requests, and how far they can be read now.

        Raises Refused where they are not those that were read before: carrying old ones out again could terminate a
        customer who came back.
        """
        position = self._requests.position()
        body = self._state.load([REQUESTS]).get(REQUESTS)
        if body is not None:
            memory = RequestsMemory.of(body)
            if not position.continues(memory.position):
                raise Refused(
                    "retention-requests is another index than before, or an older state: no request is carried out",
                    "find out what happened, then run retention-enforcer ledger adopt, which skips its "
                    "current requests",
                )
            return memory, position
        if self._registry.position().until >= 0:  # they were read once: retention-state lost that
            raise Refused("retention-state has lost how far requests were read: none is carried out", _ADOPT)
        memory = RequestsMemory(position=IndexPosition(uuid=position.uuid, until=-1))
        self.keep_requests(memory, now)
        return memory, position

    def keep_requests(self, memory: RequestsMemory, now: int) -> None:
        """Remember how far requests were read."""
        self._state.save(REQUESTS, memory.body(), now)


class TakenRequests:
    """Knows each request that was taken in by the id of its document, and for good: one small document an id.

    An id is remembered as its pseudonym, since it may name somebody.
    """

    def __init__(self, registry: DocumentStore, pseudonyms: Pseudonyms) -> None:
        self._registry = registry
        self._pseudonyms = pseudonyms

    def places(self, ids: Sequence[str]) -> dict[str, tuple[str, int]]:
        """Return where those of these were that were taken in: the uuid of the index, and the place in it."""
        keys = {self._key(id_): id_ for id_ in ids}
        found: dict[str, tuple[str, int]] = {}
        for start in range(0, len(keys), _IDS):
            for key, body in self._registry.load(list(keys)[start : start + _IDS]).items():
                with readable("a processed request in retention-terminations"):
                    found[keys[key]] = (str(body["index"]), int(body["sequence"]))
        return found

    def note(self, id_: str, index: str, sequence: int, now: int) -> None:
        """Remember that a request was taken in from this place of this index."""
        self._registry.save(self._key(id_), {"index": index, "sequence": sequence}, now, TAKEN)

    def _key(self, id_: str) -> str:
        return f"{TAKEN}-{self._pseudonyms.of(id_)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """What an operator adopted."""

    skipped_up_to: int | None
    """The place up to which requests are skipped; None where they go on as before."""
    lost: tuple[str, ...]
    """Terminations that the ledger knows as open, and the registry does not."""


def adopt(requests: Requests, registry: DocumentStore, ledger: LedgerStore, state: DocumentStore, now: int) -> Adopted:
    """Go on with requests and registry as they are now; requests that nobody can say were read are skipped."""
    known = state.load([REQUESTS, REGISTRY])
    position, place = requests.position(), registry.position()
    before = RequestsMemory.of(known[REQUESTS]).position if REQUESTS in known else None
    ever = (
        before is not None
        or registry.position().until >= 0
        or any(r.get("kind") == Kind.TERMINATION for r in ledger.read())
    )
    skipped = ever and (before is None or not position.continues(before))
    older = REGISTRY not in known or not place.continues(RegistryMemory.of(known[REGISTRY]).position)
    if skipped:
        state.save(REQUESTS, RequestsMemory(position=position, skipped=True, knows_ids=False).body(), now)
    elif REQUESTS in known and older:  # it knew the ids
        state.save(REQUESTS, replace(RequestsMemory.of(known[REQUESTS]), knows_ids=False).body(), now)
    if older:
        state.save(REGISTRY, RegistryMemory(position=place, adopted=True).body(), now)
    still = {who_of(t) for t in remembered(registry) if t.is_open}
    lost = tuple(sorted(history_in(ledger.read()).open - still))
    return Adopted(skipped_up_to=position.until if skipped else None, lost=lost)


def remembered(registry: DocumentStore) -> list[Termination]:
    """Return all terminations whose subjects are known, in the order in which they were registered."""
    found = (termination_of(body) for body in registry.all(REMEMBERED).values())
    return sorted(found, key=lambda t: (t.registered_at, t.key))
