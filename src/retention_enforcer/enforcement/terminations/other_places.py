"""Where else a terminated subject's data may be: snapshots, indices outside the policy, copies, disks of nodes."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from retention_enforcer.domain.coverage.snapshots import Snapshot, SnapshotsSeen, claimants_of
from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.domain.subjects.identity import Subject
from retention_enforcer.domain.subjects.pseudonyms import Redactor
from retention_enforcer.domain.terminations.certificate import KeptCopy
from retention_enforcer.domain.terminations.plan import may_hold_until
from retention_enforcer.domain.terminations.states import OpenItem, OpenItemKind, Termination
from retention_enforcer.domain.wording import counted
from retention_enforcer.enforcement.coverage.node_copies import CopiesBook
from retention_enforcer.enforcement.coverage.observer import SnapshotReader


class OutsideReader(Protocol):
    """Looks for subjects where no category governs."""

    def look(self, policy: Policy, subjects: Collection[Subject], now: int) -> tuple[dict[str, int], dict[str, str]]:
        """Return how many documents each index has, and why some cannot be asked."""


class CopiesReader(Protocol):
    """Reads what Elasticsearch itself keeps of indices."""

    def look(self, policy: Policy, subjects: Collection[Subject], clean: Mapping[str, int], now: int) -> list[KeptCopy]:
        """Return what was copied while something of these subjects may have been left, and is there still."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherPlaces:
    """Looks where no purge goes."""

    snapshots: SnapshotReader
    outside: OutsideReader
    copies: CopiesReader
    nodes: CopiesBook
    redactor: Redactor

    def open_items(
        self, policy: Policy, termination: Termination, snapshots: SnapshotsSeen, now: int
    ) -> Iterator[OpenItem]:
        """Yield what may still hold documents of the subject; `snapshots` are all that there are."""
        yield from self._in_snapshots(policy, termination, snapshots, now)
        yield from self._elsewhere(policy, termination, now)
        yield from self.nodes.open_items(policy, termination)

    def _in_snapshots(
        self, policy: Policy, termination: Termination, seen: SnapshotsSeen, now: int
    ) -> Iterator[OpenItem]:
        """Yield the snapshots that may hold documents of the subject.

        Those that were taken before nothing was left of it, and hold any index of a category that names it, also of one
        that goes by age: an index that went by its age, or has another name now, was not purged for it.
        """
        clean = termination.erased_at if termination.erased_at is not None else now
        until = {purged.index: clean for purged in termination.purges}
        held_until = may_hold_until(policy, termination, now)
        ends = {(lifecycle.id, lifecycle.repository): lifecycle.expire_after for lifecycle in seen.lifecycles}
        for repository in seen.repositories:
            if repository.problem is not None:
                text = f"the snapshots in repository {repository.name} could not all be read: {repository.problem}"
                yield OpenItem(kind=OpenItemKind.SNAPSHOT, text=text)
            for snapshot in repository.snapshots:
                claimants = {id_ for name in snapshot.indices for id_ in claimants_of(policy, name)}
                holds = any(snapshot.taken <= held_until.get(id_, -1) for id_ in claimants)
                purged = any(snapshot.taken <= until.get(name, -1) for name in self._hidden(snapshot.indices))
                if purged or holds:
                    yield _in_snapshot(snapshot, ends.get((snapshot.policy or "", repository.name)), now)

    def _hidden(self, names: Sequence[str]) -> list[str]:
        return [self.redactor.index_name(name) for name in names]

    def _elsewhere(self, policy: Policy, termination: Termination, now: int) -> Iterator[OpenItem]:
        subjects = [subject for subject, _ in termination.subjects()]
        found, indistinguishable = self.outside.look(policy, subjects, now)
        for name, documents in sorted(found.items()):
            where = self._without_ids(name, termination)
            text = f"{where}, outside the policy, has {counted(documents, 'document')} of the subject"
            yield OpenItem(kind=OpenItemKind.COPY, text=text)
        for name, why in sorted(indistinguishable.items()):
            text = f"{self._without_ids(name, termination)}, outside the policy, could not be searched: {why}"
            yield OpenItem(kind=OpenItemKind.NOT_LOOKED_INTO, text=text)
        for copy in self.copies.look(policy, subjects, may_hold_until(policy, termination, now), now):
            text = copy.text
            for name in copy.names:
                text = text.replace(name, self._without_ids(name, termination))
            yield OpenItem(kind=copy.kind, text=text, until=copy.until)

    def _without_ids(self, name: str, termination: Termination) -> str:
        """Return the name of an index outside the policy without the subject's id, which it may be named after."""
        for subject, _ in termination.subjects():
            alone = re.compile(rf"(?<![A-Za-z0-9_]){re.escape(subject.id)}(?![A-Za-z0-9_])", re.IGNORECASE)
            name = alone.sub(self.redactor.pseudonyms.of(subject.id), name)
        return name


def _in_snapshot(snapshot: Snapshot, expire_after: int | None, now: int) -> OpenItem:
    text = f"a snapshot in {snapshot.repository} ({snapshot.uuid}) was taken before the erasure was complete"
    if expire_after is not None and snapshot.taken + expire_after <= now:
        return OpenItem(
            kind=OpenItemKind.SNAPSHOT, text=f"{text}: its policy should have deleted it, but it still exists"
        )
    if expire_after is None:
        return OpenItem(kind=OpenItemKind.SNAPSHOT, text=f"{text}: it stays until somebody deletes it")
    return OpenItem(
        kind=OpenItemKind.SNAPSHOT, text=f"{text}: its policy deletes it", until=snapshot.taken + expire_after
    )
