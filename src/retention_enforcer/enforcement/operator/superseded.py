"""What `policy accept` does to the enforcer's lifecycles: none goes on deleting under another policy.

A lifecycle deletes by what it was when somebody accepted it, also while no daemon runs. So whatever does not do exactly
what the accepted policy compiles to is taken off; the next cycle attaches what is right.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from retention_enforcer.domain.facts import CategoryFacts
from retention_enforcer.domain.lifecycles.adoption import put_in
from retention_enforcer.domain.lifecycles.changes import Way
from retention_enforcer.domain.lifecycles.compiler import (
    StoredLifecycle,
    deletes_at_once,
    own_lifecycles,
    same_phases,
)
from retention_enforcer.domain.lifecycles.streams import AdoptedStream
from retention_enforcer.domain.own.state_keys import PUT_STREAMS
from retention_enforcer.enforcement.lifecycles.observer import LifecycleLook, LifecycleObserver
from retention_enforcer.enforcement.operator.lifecycle_switch import LifecycleSwitch
from retention_enforcer.enforcement.ports import DocumentStore, LifecycleSource
from retention_enforcer.enforcement.scope import Scope

_LOOKS = 2
"""How often it is looked: what was under way when the policy was accepted may have attached one more."""


@dataclass(frozen=True, slots=True)
class SupersededLifecycles:
    """Takes off what an earlier policy has attached, once another one is accepted."""

    observer: LifecycleObserver
    cluster: LifecycleSource
    governed: Callable[[], Collection[str]]
    switch: LifecycleSwitch
    state: DocumentStore

    def retire(self, scope: Scope, facts: Mapping[str, CategoryFacts]) -> tuple[int, dict[str, str]]:
        """Return how many indices lost a lifecycle, and which something may delete all the same, and why.

        `facts` are those of all categories of the policy of the scope, which is accepted by now.
        """
        if not self.observer.available:
            return 0, {}
        retired: set[str] = set()
        failed: dict[str, str] = {}
        for _ in range(_LOOKS):
            names = self._superseded(scope, facts) - failed.keys()
            if not names:
                break
            failed |= self.switch.retire(names)
            retired |= names - failed.keys()
        return len(retired), failed

    def _superseded(self, scope: Scope, facts: Mapping[str, CategoryFacts]) -> set[str]:
        """Return the indices with a lifecycle of the enforcer's that does something else than this policy says.

        Those that no category claims are among them where a policy of this name has put the lifecycle: of others nobody
        can tell whether their policy is still accepted somewhere. They are findings (`lifecycle-former`), but for the
        lifecycle that deletes at once: that needs somebody who looks whose the index is.
        """
        stored = self.cluster.stored()
        looks = [self.observer.look(scope, scope.policy.category(id_), found) for id_, found in facts.items()]
        names = {name for look in looks for name in _superseded_in(look, stored)}
        names |= self._of_streams({stream: one for look in looks for stream, one in look.adopted.items()})
        there = {name: a for name, a in self.cluster.attachments(["*"]).items() if a.policy is not None}
        governed = self.governed()  # afterwards: an index that came in between is not taken for nobody's
        own = own_lifecycles(scope.policy, (a.policy for a in there.values()), self.cluster.contents)
        lifecycles = {name: attached.policy or "" for name, attached in there.items() if name not in governed}
        return names | {
            name
            for name, policy in lifecycles.items()
            if policy in own and (own[policy] == scope.policy.name or deletes_at_once(policy))
        }

    def _of_streams(self, adopted: Mapping[str, AdoptedStream]) -> set[str]:
        """Return the indices that a retention of the enforcer's rules which this policy does not put."""
        put = {stream: one for body in self.state.all(PUT_STREAMS).values() for stream, one in put_in(body).items()}
        right = {stream for stream, one in adopted.items() if one.settled}
        theirs = self.cluster.stream_lifecycles(put) if put else ()
        stale = {one.stream for one in theirs if put[one.stream].is_on(one)} - right
        there = self.cluster.attachments(["*"]) if stale else {}
        return {name for name, attached in there.items() if attached.stream in stale and attached.at_stake}


def _superseded_in(look: LifecycleLook, stored: Mapping[str, StoredLifecycle]) -> set[str]:
    leaving = {change.index for change in look.changes if change.way is Way.DETACH}
    found = set()
    for name, attached in look.attachments.items():
        compiled = look.compiled(attached.policy)
        same = compiled is not None and same_phases(compiled, stored.get(compiled.name))
        if attached.policy in look.own and (name in leaving or not same):
            found.add(name)
    return found
