"""Puts, attaches and detaches the enforcer's own index lifecycles, and keeps those of streams from single indices.

Everything that changes something names concrete indices, is sent once, and is followed by a look: what is attached then
is what the cluster's state says, not what the request answered. Detaching works whatever blocks an index carries,
closed ones too; attaching does not (measured on 8.10).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import nullcontext

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.client import Permission, once, patience
from retention_enforcer.cluster.errors import translated
from retention_enforcer.cluster.expressions import concrete, packed
from retention_enforcer.cluster.lifecycles.reads import LifecyclesSeen
from retention_enforcer.domain.errors import OutcomeUnknown, Refused, RequestRejected
from retention_enforcer.domain.lifecycles.compiler import LifecyclePolicy, Stored, compare_stored
from retention_enforcer.domain.lifecycles.exemption import Exemption

NOT_EXEMPT = "the lifecycle of its data stream may delete it, because it could not be exempted"


class ClusterLifecycles(LifecyclesSeen):
    """The lifecycles of a cluster that has them, to be changed."""

    def __init__(self, client: Elasticsearch, timeout: float = 30.0) -> None:
        super().__init__(client)
        self._patience = patience(timeout)
        self._once = once(client)

    # --- policies ---

    def put_policy(self, policy: LifecyclePolicy) -> None:
        """Put a compiled policy, with the rights of the enforcer from now on. Putting the same again changes nothing.

        Raises Refused where there is a policy of that name that is not the enforcer's.
        """
        stored = self.policies().get(policy.name)
        if stored is not None and compare_stored(policy, stored.content) is Stored.FOREIGN:
            message = (
                f"lifecycle policy {policy.name} has a name that the enforcer uses, but the enforcer did not create it"
            )
            raise Refused(message, "delete it, or give the retention policy another name")
        with translated(destructive=True):
            self._once.ilm.put_lifecycle(
                name=policy.name,
                policy=policy.body["policy"],
                master_timeout=self._patience,
                timeout=self._patience,
            )

    # --- indices ---

    def attach(
        self,
        names: Collection[str],
        policy: str,
        *,
        origination: int | None = None,
        rollover_alias: str | None = None,
        permit: Permission = nullcontext,
    ) -> dict[str, str]:
        """Attach a policy to indices that have none; return those of them that a look shows without it, and why.

        `origination` is the date (epoch milliseconds) that their age counts from, None for that of their creation or
        rollover. Indices that are gone are passed over. For indices that have another policy: `swap`.
        """
        settings = {
            "index.lifecycle.name": policy,
            "index.lifecycle.origination_date": origination,
            "index.lifecycle.rollover_alias": rollover_alias,
            # Both would make the age count from another date: from now, or from the index's name.
            "index.lifecycle.indexing_complete": None,
            "index.lifecycle.parse_origination_date": None,
        }

        def put(some: Sequence[str]) -> None:
            self._once.indices.put_settings(
                index=some, settings=settings, master_timeout=self._patience, timeout=self._patience
            )

        failures = self._change(names, put, permit)
        return self._amiss(names, (policy, origination, rollover_alias), failures)

    def detach(self, names: Collection[str], *, permit: Permission = nullcontext) -> dict[str, str]:
        """Keep every lifecycle from these indices; return those that a look shows some may delete still, and why.

        Where ILM leaves, the lifecycle of the stream takes over at once: so it is kept from the index first, and an
        index that it cannot be kept from stays as it is. It ends also what a lifecycle has begun. Elsewhere
        `origination_date` stays in their settings, without effect.
        """

        def remove(some: Sequence[str]) -> None:
            self._once.ilm.remove_policy(index=",".join(some))  # what failed it says, but a look says it as well

        there = self.attachments_of(concrete(names) if names else ())
        at_stake = {name: attached for name, attached in there.items() if attached.at_stake}
        failures = self.exempt(at_stake, permit=permit)
        managed = [name for name, attached in there.items() if attached.policy is not None and name not in failures]
        refused = self._change(managed, remove, permit)
        return failures | {
            name: _still_there(attached.policy, refused.get(name)) if attached.policy else NOT_EXEMPT
            for name, attached in self.attachments_of(names).items()
            if name not in failures and (attached.policy is not None or attached.at_stake)
        }

    def exempt(self, names: Collection[str], *, permit: Permission = nullcontext) -> dict[str, str]:
        """Keep the lifecycles of their streams from these indices; return those that a look shows otherwise, and why.

        It works for closed ones too; not under a block that forbids to change settings, which forbids to delete them
        as long as it stands. What is no stream's is passed over.
        """
        found = self.attachments_of(concrete(names) if names else ())
        there = {name: attached for name, attached in found.items() if attached.stream}
        dates: dict[int | None, list[str]] = {}
        for name, attached in there.items():
            if attached.exemption is None:
                date = Exemption(given_back=not attached.ruled_by_ilm, before=attached.origination).date
                dates.setdefault(date, []).append(name)
        failures = self._put_dates(dates, permit)
        return {
            name: f"{NOT_EXEMPT}: {failures[name]}" if name in failures else NOT_EXEMPT
            for name, attached in self.attachments_of(there).items()
            if attached.exemption is None
        }

    def release(self, names: Collection[str], *, permit: Permission = nullcontext) -> dict[str, str]:
        """Let the lifecycles of their streams have these indices again; return those that a look shows exempt, and why.

        They get the date back that was there before. What is due to such a lifecycle goes at its next poll.
        """
        dates: dict[int | None, list[str]] = {}
        for name, attached in self.attachments_of(concrete(names) if names else ()).items():
            if attached.exemption is not None:
                dates.setdefault(attached.exemption.before, []).append(name)
        failures = self._put_dates(dates, permit)
        return {
            name: failures.get(name, "it is still exempt from the lifecycle of its data stream")
            for name, attached in self.attachments_of(names).items()
            if attached.exemption is not None
        }

    def _put_dates(self, dates: Mapping[int | None, list[str]], permit: Permission) -> dict[str, str]:
        failures: dict[str, str] = {}
        for date, those in dates.items():

            def put(some: Sequence[str], date: int | None = date) -> None:
                self._once.indices.put_settings(
                    index=some,
                    settings={"index.lifecycle.origination_date": date},
                    master_timeout=self._patience,
                    timeout=self._patience,
                )

            failures |= self._change(those, put, permit)
        return failures

    def swap(
        self,
        names: Collection[str],
        policy: str,
        *,
        origination: int | None = None,
        rollover_alias: str | None = None,
        permit: Permission = nullcontext,
    ) -> dict[str, str]:
        """Give indices another policy, or another date; return those that a look shows without it, and why.

        Detached first: that works in every state, where overwriting the name lets an index that waits for its rollover
        go on with the old policy in silence, and keeps the rollover's date where creation's has to count. What keeps
        its stream's lifecycle from it meanwhile goes with the request that attaches.
        """
        attached = self.detach(names, permit=permit)
        failures = {name: f"its old lifecycle could not be detached: {why}" for name, why in attached.items()}
        free = sorted(set(names) - attached.keys())
        return failures | self.attach(
            free, policy, origination=origination, rollover_alias=rollover_alias, permit=permit
        )

    def _amiss(
        self, names: Collection[str], wanted: tuple[str, int | None, str | None], failures: Mapping[str, str]
    ) -> dict[str, str]:
        """Return which of the indices that are there do not have what is wanted, or go on with something else."""
        there = self.attachments_of(names)
        amiss = {
            name: failures.get(name, f"it has lifecycle {attached.policy}")
            for name, attached in there.items()
            if not attached.has(*wanted)
        }
        # One that carries a metadata block was refused, and would spoil the explanation of all.
        explained = self.explain_these(sorted(there.keys() - amiss.keys() - failures.keys()))
        return amiss | {name: f"it still runs under {e.cached_policy}" for name, e in explained.items() if e.stale}

    def _change(
        self,
        names: Collection[str],
        request: Callable[[Sequence[str]], None],
        permit: Permission,
    ) -> dict[str, str]:
        """Send a change for lists of indices; return for which it was refused, and why.

        A list of which one index is gone or blocked is refused as a whole: then each is tried alone. Where an answer is
        lost, a look decides.
        """
        failures: dict[str, str] = {}
        for batch in _batches(names):
            try:
                with permit(), translated(destructive=True):
                    request(batch)
            except OutcomeUnknown as error:
                failures |= dict.fromkeys(batch, error.message)
            except RequestRejected as error:
                if len(batch) == 1:
                    failures[batch[0]] = error.message
                    continue
                for name in batch:
                    failures |= self._change([name], request, permit)
        return failures


def _still_there(policy: str, why: str | None) -> str:
    return f"it still has lifecycle {policy}{f': {why}' if why else ''}"


def _batches(names: Collection[str]) -> Iterator[list[str]]:
    """Yield the names in lists that fit into a URL, if each can only be that of one index."""
    return (expression.split(",") for expression in packed(concrete(sorted(names)))) if names else iter(())
