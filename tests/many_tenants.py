"""A crowd of tenants whose ids begin like those of others, some of whom leave; what is left is counted by itself."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property

import tenants
from retention_enforcer.domain.instants import DAY
from workbench import Workbench

ACCOUNT, ITS_APPLICATIONS = "9", 10


@dataclass(frozen=True)
class Crowd:
    """So many tenants with ids 1, 2, ...: those of small numbers begin those of larger ones."""

    tenants: int
    documents: int
    """In the shared indices together, besides one a tenant that says whose it is."""
    leaving: int
    """Applications that are terminated, each by a request of its own."""
    own_indices: int
    written: dict[str, Counter[str]] = field(default_factory=dict)
    """By index, how many documents of each tenant it was given."""

    @cached_property
    def _drawn(self) -> list[str]:
        """Half of those who leave have ids that begin others', and so have those of the account."""
        draw = random.Random(self.tenants)
        short = [str(number) for number in range(1, self.tenants // 10)]
        long = [str(number) for number in range(self.tenants // 10, self.tenants + 1)]
        half = (self.leaving + ITS_APPLICATIONS) // 2
        drawn = draw.sample(short, half) + draw.sample(long, self.leaving + ITS_APPLICATIONS - half)
        draw.shuffle(drawn)
        return drawn

    @property
    def alone(self) -> list[str]:
        """Those who leave by themselves."""
        return self._drawn[ITS_APPLICATIONS:]

    @property
    def along(self) -> list[str]:
        """Those who leave with their account."""
        return self._drawn[:ITS_APPLICATIONS]

    @property
    def gone(self) -> frozenset[str]:
        """All who leave."""
        return frozenset(self._drawn)

    def owner(self, application: str) -> str:
        """The account of an application; the ids of two others begin with that of the one that leaves."""
        return ACCOUNT if application in self.along else random.Random(application).choice(["1", "90", "99"])


def crowded(bench: Workbench, crowd: Crowd) -> Crowd:
    """Write all their documents, in random order, and remember how many of whom."""
    bench.policy_text = tenants.POLICY
    bench.settings["ENFORCER_GRACE"] = "0s"
    draw = random.Random(1)
    everybody = [str(number) for number in range(1, crowd.tenants + 1)]
    own = sorted(crowd.gone)[: crowd.own_indices // 2]
    own += [tenant for tenant in everybody if tenant not in crowd.gone][: crowd.own_indices // 2]
    plan = {
        "configuration": everybody,
        "keys": draw.choices(everybody, k=crowd.documents // 2),
        "usage": draw.choices(everybody, k=crowd.documents - crowd.documents // 2),
        **{tenants.own(tenant): [tenant] * 5 for tenant in own},
    }
    for name, order in plan.items():
        tenants.create(bench, name)
        named = name == "configuration"
        documents = ({"sdkappid": a, **({"uin": crowd.owner(a)} if named else {})} for a in order)
        assert tenants.add(bench, name, documents) == len(order)
        crowd.written[name] = Counter(order)
    # An earlier owner of one of the account's applications: what names another account is not taken along.
    other = {"sdkappid": crowd.along[0], "uin": "90", "@timestamp": 1_500_000_000_000 + DAY}
    tenants.add(bench, "configuration", [other])
    bench.ready()
    return crowd


def terminate(bench: Workbench, crowd: Crowd) -> None:
    """Ask for all that is to go, as a program does, and approve that it is so much."""
    bodies = [{"kind": "application", "id": tenant} for tenant in crowd.alone] + [{"kind": "account", "id": ACCOUNT}]
    for body in bodies:
        bench.es.index(index=bench.own.requests, document={**body, "action": "terminate"})
    bench.settings["ENFORCER_MAX_TERMINATIONS"] = str(len(bodies))


def assert_exactly_theirs_went(bench: Workbench, crowd: Crowd) -> None:
    """Compare every count of every tenant in every index, and what the registry says of each, with what was written."""
    for name, before in crowd.written.items():
        left = Counter({tenant: documents for tenant, documents in before.items() if tenant not in crowd.gone})
        if name == "configuration":
            left[crowd.along[0]] = 1
        assert tenants.by_application(bench, name) == left, name
        assert bench.is_gone(name) == (not left), name
    taken = {tenant: sum(counts[tenant] for counts in crowd.written.values()) for tenant in crowd.gone}
    found = tenants.registry(bench)
    assert [sum(p["documents"] for p in t["purges"]) for t in found] == [
        *(taken[tenant] for tenant in crowd.alone),
        sum(taken[tenant] for tenant in crowd.along),
    ]
    assert found[-1]["applications"] == sorted(crowd.along)
    assert all(termination["purged_at"] is not None for termination in found)
    bench.assert_every_intent_is_answered_once()
