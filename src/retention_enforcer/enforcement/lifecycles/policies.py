"""The compiled lifecycle policies as the cluster has them: put where they differ."""

from __future__ import annotations

from collections.abc import Mapping

from retention_enforcer.domain.findings import Finding, FindingKind
from retention_enforcer.domain.lifecycles.changes import Change, Way
from retention_enforcer.domain.lifecycles.choice import Attachment
from retention_enforcer.domain.lifecycles.compiler import (
    LifecyclePolicy,
    Stored,
    StoredLifecycle,
    compare_stored,
    same_phases,
)
from retention_enforcer.domain.policy.promises import Category
from retention_enforcer.enforcement.lifecycles.changer import LifecycleChanger
from retention_enforcer.enforcement.ports import LifecycleSource
from retention_enforcer.enforcement.scope import Scope


class PolicyWriter:
    """Puts the policies of a category where the stored ones differ."""

    def __init__(
        self, changer: LifecycleChanger, cluster: LifecycleSource, category: Category, scope: Scope, cycle: str
    ) -> None:
        self._changer = changer
        self._cluster = cluster
        self._category = category
        self._scope = scope
        self._cycle = cycle
        self.touched = False
        self.findings: list[Finding] = []

    def put(self, policy: LifecyclePolicy, stored: StoredLifecycle | None, governed: Mapping[str, Attachment]) -> bool:
        """Put one policy, if need be; True if it may be attached. `governed` are the governed indices'."""
        how = compare_stored(policy, stored.content if stored else None)
        if how is Stored.FOREIGN:
            text = (
                f"lifecycle policy {policy.name} has a name that the enforcer uses, but the enforcer did not create it"
            )
            remedy = "delete it, or give the retention policy another name"
            self._find(FindingKind.LIFECYCLE_NAME_TAKEN, policy, text, remedy)
            # Governed indices got it when it was the enforcer's: nobody knows what it does to them now.
            self._release(policy, governed)
            self.touched = True
            return False
        mine = stored is None or stored.mine
        if how is Stored.SAME and mine:
            return True
        if how is Stored.ALTERED:
            text = f"somebody changed lifecycle policy {policy.name} of the enforcer, which now restores it"
            remedy = "find out who changed it; change the policy file instead"
            self._find(FindingKind.LIFECYCLE_ALTERED, policy, text, remedy)
        elif not mine:
            text = (
                f"lifecycle policy {policy.name} had the privileges of another user; the enforcer writes "
                "it again with its own"
            )
            remedy = "let only the enforcer write its lifecycle policies"
            self._find(FindingKind.LIFECYCLE_AUTHORITY, policy, text, remedy)
        self.touched = True
        if not same_phases(policy, stored) and not self._release(policy, self._cluster.attachments(["*"])):
            return False
        self._changer.put(self._category, policy, self._cycle)
        now = self._cluster.stored().get(policy.name)
        return now is not None and compare_stored(policy, now.content) is Stored.SAME

    def _release(self, policy: LifecyclePolicy, among: Mapping[str, Attachment]) -> bool:
        """Detach a policy from every one of these indices that has it; True if none has it any more.

        What is put changes at once, and past the fuse, when the indices go that have it.
        """
        having = {name: attached for name, attached in among.items() if attached.policy == policy.name}
        changes = [
            Change(
                index=name, uuid=attached.uuid, way=Way.DETACH, reason=f"{policy.name} changes: it is attached again"
            )
            for name, attached in sorted(having.items())
        ]
        holds = self._scope.control.holds
        changed = self._changer.carry_out(self._category, changes, self._cycle, holds)
        return len(changed.done) == len(changes)

    def _find(self, kind: FindingKind, policy: LifecyclePolicy, text: str, remedy: str) -> None:
        self.findings.append(Finding.of(kind, self._category.id, text, remedy, about=policy.name))
