"""What `hold add` and `stop` do to the cluster's own deletions, and how they are undone.

The operator's commands take every lifecycle from what they cover, whoever's it is. Those of others are remembered in
`retention-control`, and put back when nothing stands against it any more; the enforcer's own come back by its next
cycle, where a category claims the index.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from retention_enforcer.domain.control import DETACHED, Control
from retention_enforcer.domain.errors import readable
from retention_enforcer.domain.lifecycle_choice import Attachment
from retention_enforcer.domain.lifecycle_policies import own_lifecycles
from retention_enforcer.domain.policy import Policy
from retention_enforcer.enforcement.ports import Clock, LifecycleCluster

STREAM_LIFECYCLE = "its stream's own lifecycle may delete it, and nothing detaches that from one index"
STILL_ATTACHED = "its lifecycle could not be detached and may delete it"


class OperatorDocuments(Protocol):
    """Where the operator's word is kept."""

    def load(self, keys: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """Return these documents as they are now; absent ones are absent."""

    def save(self, key: str, body: Mapping[str, Any], now: int) -> None:
        """Replace one document."""

    def remove(self, key: str) -> None:
        """Remove one document; an absent one is no error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Remembered:
    """Somebody else's lifecycle that was detached from an index."""

    index: str
    policy: str
    origination: int | None = None
    rollover_alias: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PutBack:
    """What became of lifecycles that were to be put back, by the names of the indices."""

    attached: Mapping[str, str]
    """And which lifecycle each has again."""
    failed: Mapping[str, str]
    """And why."""


class LifecycleSwitch:
    """Switches the cluster's own deletions off and on, by the operator's word."""

    def __init__(
        self,
        *,
        policy: Policy,
        cluster: LifecycleCluster,
        has_lifecycles: Callable[[], bool],
        under_stream_lifecycle: Callable[[], Collection[str]],
        governed: Callable[[], Mapping[str, Collection[str]]],
        documents: OperatorDocuments,
        clock: Clock,
    ) -> None:
        self._policy = policy
        self._cluster = cluster
        self._has_lifecycles = has_lifecycles
        self._under_stream_lifecycle = under_stream_lifecycle
        self._governed = governed
        """Returns every governed index, and its categories."""
        self._documents = documents
        self._clock = clock

    def detach(self, names: Collection[str]) -> dict[str, str]:
        """Detach every lifecycle from these indices; return those that something may delete all the same, and why."""
        if not names or not self._has_lifecycles():
            return {}
        there = self._cluster.attachments_of(names)
        return self._detach(there, self._own(there))

    def detach_all(self) -> dict[str, str]:
        """Detach every lifecycle from every governed index, and the enforcer's own wherever they are."""
        unprotected = dict.fromkeys(self._under_stream_lifecycle(), STREAM_LIFECYCLE)
        if not self._has_lifecycles():
            return unprotected
        there = self._cluster.attachments(["*"])
        own, governed = self._own(there), self._governed()
        covered = {name: a for name, a in there.items() if name in governed or a.policy in own}
        return unprotected | self._detach(covered, own)

    def put_back(self, held: Callable[[], Collection[str]], control: Control) -> PutBack:
        """Attach again what others had attached, where it is neither held nor stopped; the rest stays remembered.

        `held` names the indices that are held, at least in part; it is asked only where something is remembered.
        """
        known = self._known()
        if not known or control.stopped_at is not None or not self._has_lifecycles():
            return PutBack(attached={}, failed={})
        kept, stored = held(), self._cluster.stored()
        there = {a.uuid: a for a in self._cluster.attachments_of({one.index for one in known.values()}).values()}
        governed = self._governed()
        left, attached, failed = {}, {}, {}
        for uuid, one in known.items():
            now = there.get(uuid)
            if now is None or now.policy is not None or self._is_adopted(governed.get(one.index, ())):
                continue
            if one.index in kept:
                left[uuid] = one
            elif one.policy not in stored:
                failed[one.index] = f"the lifecycle {one.policy}, which it had, does not exist any more"
            elif error := self._attach(one):
                left[uuid], failed[one.index] = one, error
            else:
                attached[one.index] = one.policy
        self._remember(left)
        return PutBack(attached=attached, failed=failed)

    def _attach(self, one: _Remembered) -> str | None:
        failures = self._cluster.attach(
            [one.index], one.policy, origination=one.origination, rollover_alias=one.rollover_alias
        )
        return failures.get(one.index)

    def _detach(self, there: Mapping[str, Attachment], own: Collection[str]) -> dict[str, str]:
        managed = {name: attached for name, attached in there.items() if attached.policy is not None}
        theirs = {
            attached.uuid: _Remembered(
                index=name,
                policy=attached.policy,
                origination=attached.origination,
                rollover_alias=attached.rollover_alias,
            )
            for name, attached in managed.items()
            if attached.policy is not None and attached.policy not in own
        }
        if theirs:  # before they are detached: what is not written down could not be put back
            self._remember({**self._known(), **theirs})
        if not managed:
            return {}
        return dict.fromkeys(self._cluster.detach(sorted(managed)), STILL_ATTACHED)

    def _own(self, there: Mapping[str, Attachment]) -> Collection[str]:
        return own_lifecycles(self._policy, (a.policy for a in there.values()), self._cluster.contents)

    def _is_adopted(self, categories: Collection[str]) -> bool:
        return any(self._policy.category(id_).foreign_lifecycle == "adopt" for id_ in categories)

    def _known(self) -> dict[str, _Remembered]:
        body = self._documents.load([DETACHED]).get(DETACHED, {})
        with readable(f"{DETACHED} in retention-control"):
            return {uuid: _Remembered(**entry) for uuid, entry in body.items()}

    def _remember(self, remembered: Mapping[str, _Remembered]) -> None:
        if remembered:
            self._documents.save(DETACHED, {u: asdict(one) for u, one in remembered.items()}, self._clock.now())
        else:
            self._documents.remove(DETACHED)
