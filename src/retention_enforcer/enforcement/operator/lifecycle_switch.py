"""What `hold add`, `stop` and `policy accept` do to the cluster's own deletions, and how they are undone.

The operator's commands keep every lifecycle from what they cover, whoever's it is: first that of the stream, which
would take over where ILM leaves, then the one that is attached. They look again when the lifecycles of all streams have
been looked at anew: a deletion may have been under way. What others had attached, and the lifecycles of streams that
`stop` switched off, are remembered in `retention-control`, and put back when nothing stands against it any more; the
enforcer's own come back by its next cycle, where a category claims the index. So do the indices of a stream that has
the enforcer's retention, or is to have it: not only holds keep some exempt, and it may be that of a former policy.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from retention_enforcer.domain.control import Control, DetachedLifecycle
from retention_enforcer.domain.errors import readable
from retention_enforcer.domain.instants import SECOND, describe_duration
from retention_enforcer.domain.lifecycles.adoption import put_in
from retention_enforcer.domain.lifecycles.choice import Attachment
from retention_enforcer.domain.lifecycles.compiler import own_lifecycles
from retention_enforcer.domain.lifecycles.exemption import STREAM_LIFECYCLE
from retention_enforcer.domain.lifecycles.streams import same_lifecycle
from retention_enforcer.domain.own.control_documents import (
    DETACHED,
    STREAMS_STOPPED,
    detached_body,
    detached_in,
    streams_stopped,
)
from retention_enforcer.domain.own.state_keys import PUT_STREAMS
from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.enforcement.ports import Clock, DocumentStore, LifecycleCluster, StreamLifecycles

GONE = "it is gone: something deleted it in the meantime"

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class PutBack:
    """What became of lifecycles that were to be put back, by the names of the indices and streams."""

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
        streams: StreamLifecycles,
        has_lifecycles: Callable[[], bool],
        governed: Callable[[], Mapping[str, Collection[str]]],
        documents: DocumentStore,
        state: DocumentStore,
        clock: Clock,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._policy = policy
        self._cluster = cluster
        self._streams = streams
        self._has_lifecycles = has_lifecycles
        self._governed = governed
        """Returns every governed index, and its categories."""
        self._documents = documents
        self._state = state
        self._clock = clock
        self._pause = pause

    def detach(self, names: Collection[str]) -> dict[str, str]:
        """Keep every lifecycle from these indices; return those that something may delete all the same, and why.

        All that belong to a stream are kept from its lifecycle, also where it has none that is enabled now.
        """
        if not names or not self._has_lifecycles():
            return {}
        there = self._cluster.attachments_of(names)
        self._remember_theirs(there)
        self._cluster.exempt(there)
        return dict.fromkeys(set(names) - there.keys(), GONE) | self._keep_off(there)

    def members_of(self, stream: str) -> frozenset[str]:
        """Return the indices of a stream, closed ones too; none where the name is that of none."""
        if not self._has_lifecycles():
            return frozenset()
        there = self._cluster.attachments([stream])
        return frozenset(name for name, attached in there.items() if attached.stream == stream)

    def retire(self, names: Collection[str]) -> dict[str, str]:
        """Take lifecycles of the enforcer's own off; return those that something may delete all the same, and why."""
        if not names:
            return {}
        there = self._cluster.attachments_of(names)
        return dict.fromkeys(set(names) - there.keys(), GONE) | self._keep_off(there)

    def detach_all(self) -> dict[str, str]:
        """Keep every lifecycle from every governed index, and the enforcer's own from all; return what may go, and why.

        The lifecycles of governed streams are switched off as well: they would delete what is written meanwhile.
        """
        if not self._has_lifecycles():
            return {}
        there = self._cluster.attachments(["*"])
        own, governed = self._own(there), self._governed()
        covered = {name: a for name, a in there.items() if name in governed or a.policy in own}
        self._remember_theirs(covered)
        # Before the streams' lifecycles are off: afterwards nobody could tell what ruled an index.
        self._cluster.exempt([name for name, attached in covered.items() if attached.at_stake])
        unprotected = self._stop_streams() | self._keep_off(covered)
        now, governed = self._cluster.attachments(["*"]), self._governed()
        new = {name: a for name, a in now.items() if name not in covered and name in governed and a.acting}
        return unprotected | {name: f"created in the meantime, with lifecycle {a.acting}" for name, a in new.items()}

    def put_back(self, held: Callable[[], Collection[str]], control: Control) -> PutBack:
        """Give back to others what neither a hold nor `stop` keeps from them; the rest stays remembered, or exempt.

        `held` names the indices that are held, at least in part; it is asked only where something is to be given back.
        """
        if control.stopped_at is not None or not self._has_lifecycles():
            return PutBack(attached={}, failed={})
        known, streams = self._known(), self._stopped_streams()
        attachments, governed = self._cluster.attachments(["*"]), self._governed()
        there = {name: attached for name, attached in attachments.items() if name in governed}
        exempt = {name for name, a in there.items() if a.exemption is not None and a.exemption.given_back}
        if not known and not streams and not exempt:
            return PutBack(attached={}, failed={})
        kept = held()
        attached, failed = self._attach_theirs(known, kept, governed)
        restarted, not_restarted = self._restart_streams(streams, there, kept)
        left_to_a_cycle = self._adopted({name: there[name] for name in exempt}, governed)
        released = sorted(exempt - set(kept) - left_to_a_cycle)
        refused = self._cluster.release(released)
        ruled = [name for name, attached in there.items() if attached.stream in restarted or attached.stream_lifecycle]
        back = dict.fromkeys(set(released) & set(ruled) - refused.keys(), STREAM_LIFECYCLE)
        return PutBack(attached=attached | restarted | back, failed=failed | not_restarted | refused)

    # --- what is attached ---

    def _attach_theirs(
        self, known: Mapping[str, DetachedLifecycle], kept: Collection[str], governed: Mapping[str, Collection[str]]
    ) -> tuple[dict[str, str], dict[str, str]]:
        if not known:
            return {}, {}
        stored = self._cluster.stored()
        there = {a.uuid: a for a in self._cluster.attachments_of({one.index for one in known.values()}).values()}
        left, attached, failed = {}, {}, {}
        for uuid, one in known.items():
            now = there.get(uuid)
            if now is None or now.policy is not None or self._is_adopted(governed.get(one.index, ())):
                continue
            if one.index in kept:
                left[uuid] = one
            elif one.policy not in stored:
                failed[one.index] = f"its former lifecycle {one.policy} no longer exists"
            elif error := self._attach(one):
                left[uuid], failed[one.index] = one, error
            else:
                attached[one.index] = one.policy
        self._remember(DETACHED, detached_body(left))
        return attached, failed

    def _attach(self, one: DetachedLifecycle) -> str | None:
        failures = self._cluster.attach(
            [one.index], one.policy, origination=one.origination, rollover_alias=one.rollover_alias
        )
        return failures.get(one.index)

    def _remember_theirs(self, there: Mapping[str, Attachment]) -> None:
        """Write down what others have attached, before it is taken off: else it could not be put back."""
        own = self._own(there)
        theirs = {
            attached.uuid: DetachedLifecycle(
                index=name,
                policy=attached.policy,
                origination=attached.before,
                rollover_alias=attached.rollover_alias,
            )
            for name, attached in there.items()
            if attached.policy is not None and attached.policy not in own
        }
        if theirs:
            self._remember(DETACHED, detached_body({**self._known(), **theirs}))

    def _keep_off(self, there: Mapping[str, Attachment]) -> dict[str, str]:
        """Keep every lifecycle from these indices; return those that one may delete after all, or has deleted."""
        failures = self._cluster.detach([name for name, a in there.items() if a.policy is not None or a.at_stake])
        looked = self._look_again({name: a for name, a in there.items() if a.stream_lifecycle})
        return failures | {name: why for name, why in looked.items() if why == GONE or name not in failures}

    def _look_again(self, there: Mapping[str, Attachment]) -> dict[str, str]:
        """Look at indices of streams with lifecycles when a deletion that was under way must have shown itself."""
        if not there:
            return {}
        wait = self._cluster.stream_round()
        text = "the lifecycle of a data stream may have begun to delete some of it: checking again in"
        _log.info(
            f"{text} {describe_duration(wait)}", **{"event.action": "look-again", "retention.indices": len(there)}
        )
        self._pause(wait / SECOND)
        now = self._cluster.attachments_of(there)
        gone = {name: GONE for name, a in there.items() if name not in now or now[name].uuid != a.uuid}
        acting = {name: f"lifecycle {a.acting} may delete it" for name, a in now.items() if a.acting}
        return acting | gone

    # --- streams ---

    def _stop_streams(self) -> dict[str, str]:
        """Switch the lifecycles of all governed streams off; return those that are on still, and why."""
        enabled = self._streams.enabled()
        if enabled:  # before they are switched off: what is not written down could not be put back
            self._remember(STREAMS_STOPPED, streams_stopped({**self._stopped_streams(), **enabled}))
        off = {name: self._streams.put(name, {**body, "enabled": False}) for name, body in enabled.items()}
        return {name: f"its lifecycle could not be disabled: {why}" for name, why in off.items() if why}

    def _restart_streams(
        self, stopped: Mapping[str, Mapping[str, Any]], there: Mapping[str, Attachment], kept: Collection[str]
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Put the lifecycles of streams as they were; none that somebody changed, or that would delete what is held."""
        restarted, failed, left = {}, {}, {}
        now = self._streams.of(stopped)
        for stream, body in stopped.items():
            if stream not in now or same_lifecycle(now[stream], body):
                continue
            if not same_lifecycle(now[stream], {**body, "enabled": False}):
                failed[stream] = "its lifecycle was changed in the meantime and stays as it is"
                continue
            held = [name for name, attached in there.items() if attached.stream == stream and name in kept]
            if open_ := self._cluster.exempt(held):
                left[stream], failed[stream] = (
                    body,
                    f"its lifecycle would delete held indices: {', '.join(sorted(open_))}",
                )
            elif error := self._streams.put(stream, body):
                left[stream], failed[stream] = body, error
            else:
                restarted[stream] = STREAM_LIFECYCLE
        if stopped:
            self._remember(STREAMS_STOPPED, streams_stopped(left))
        return restarted, failed

    def _stopped_streams(self) -> dict[str, Mapping[str, Any]]:
        body = self._documents.load([STREAMS_STOPPED]).get(STREAMS_STOPPED, {})
        with readable(f"{STREAMS_STOPPED} in retention-control"):
            return streams_stopped(body)

    # --- whose ---

    def _own(self, there: Mapping[str, Attachment]) -> Collection[str]:
        return own_lifecycles(self._policy, (a.policy for a in there.values()), self._cluster.contents)

    def _adopted(self, there: Mapping[str, Attachment], governed: Mapping[str, Collection[str]]) -> frozenset[str]:
        """Return which of these indices have the enforcer's retention, of whichever policy, or are to get it."""
        if not there:
            return frozenset()
        put = {stream for body in self._state.all(PUT_STREAMS).values() for stream in put_in(body)}
        return frozenset(n for n, a in there.items() if a.stream in put or self._is_adopted(governed.get(n, ())))

    def _is_adopted(self, categories: Collection[str]) -> bool:
        return any(self._policy.category(id_).foreign_lifecycle == "adopt" for id_ in categories)

    # --- what is remembered ---

    def _known(self) -> dict[str, DetachedLifecycle]:
        body = self._documents.load([DETACHED]).get(DETACHED, {})
        with readable(f"{DETACHED} in retention-control"):
            return detached_in(body)

    def _remember(self, key: str, remembered: Mapping[str, Mapping[str, Any]]) -> None:
        if remembered:
            self._documents.save(key, remembered, self._clock.now())
        else:
            self._documents.remove(key)
