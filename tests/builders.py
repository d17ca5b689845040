"""Small factories for the values of the domain: everything has a default, a test names what it is about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from retention_enforcer.domain.coverage.findings import CoverageFacts, IndexSeen, SuspectedCopy
from retention_enforcer.domain.facts import (
    CategoryFacts,
    Doubt,
    Evidence,
    ForbiddenField,
    HeldIndex,
    IndexFacts,
    SetApart,
)
from retention_enforcer.domain.instants import DAY, HOUR
from retention_enforcer.domain.plan import Action, Keep, Plan, Purge, Skip
from retention_enforcer.domain.policy.claims import Claim, IndexOwner
from retention_enforcer.domain.policy.names import IndexPattern
from retention_enforcer.domain.policy.promises import Category, Clause
from retention_enforcer.domain.timestamps import AT_TIMESTAMP, Mapped

NOW = 1_769_846_400_000  # 2026-01-31T08:00:00Z
LIMIT = 14 * DAY
MARGIN = HOUR
DUE_AGE = LIMIT - MARGIN
"""A document of exactly this age is not due yet; one that is a millisecond older is."""

UNWRITTEN = Evidence(oldest=None, first_seen=NOW - DAY, documents=0, sequence_numbers=(41,))
"""What a look remembers of an index with undated documents that nothing was written to since."""

CLAUSE = Clause(document="TRTC privacy module", section="6", item="backend logs", updated="2022-08-11")


def category(id_: str = "backend-logs", *, indices: Iterable[str] = ("logs-*",), **more: Any) -> Category:
    """A category of 14 days; `max_age=None` and others as for the class."""
    values: dict[str, Any] = {"clause": CLAUSE, "max_age": LIMIT, **more}
    return Category(id=id_, indices=tuple(IndexPattern(text) for text in indices), **values)


def index(
    name: str = "logs-a",
    *,
    ages: Iterable[int] = (),
    undated: int = 0,
    index_age: int = 30 * DAY,
    now: int = NOW,
    **more: Any,
) -> IndexFacts:
    """An index that holds dated documents of these ages, and undated ones, as it is seen at `now`."""
    ages = sorted(ages)
    values: dict[str, Any] = {
        "uuid": f"uuid-of-{name}",
        "created": now - index_age,
        "documents": len(ages) + undated,
        "bytes": 1_000 * (len(ages) + undated),
        "oldest": now - ages[-1] if ages else None,
        "newest": now - ages[0] if ages else None,
        "due": sum(age > DUE_AGE for age in ages),
        "overdue": sum(age > LIMIT for age in ages),
        "undated": undated,
        "sequence_numbers": (41,),
        "timestamp": Mapped(timestamp=AT_TIMESTAMP, type="date"),
    }
    return IndexFacts(name=name, **{**values, **more})


def apart(name: str = "logs-closed", *, doubt: Doubt = Doubt.CLOSED, **more: Any) -> SetApart:
    """An index of which too little is known."""
    values: dict[str, Any] = {"uuid": f"uuid-of-{name}", "text": f"{name} is closed", "remedy": "open it", **more}
    return SetApart(name=name, doubt=doubt, **values)


def facts(
    *indices: IndexFacts,
    set_apart: Iterable[SetApart] = (),
    holds: Mapping[str, str] | None = None,
    now: int = NOW,
    category_id: str = "backend-logs",
    **more: Any,
) -> CategoryFacts:
    """What was observed of a category."""
    held = {name: HeldIndex(hold=text, text=text) for name, text in (holds or {}).items()}
    return CategoryFacts(
        category=category_id, as_of=now, indices=indices, set_apart=tuple(set_apart), holds=held, **more
    )


def forbidden(one: IndexFacts, *, field: str = "audio_data", documents: int = 1, **more: Any) -> ForbiddenField:
    """A field in the mapping of an index that no index may have, and so many documents that hold it."""
    values: dict[str, Any] = {"category": "backend-logs", "type": "keyword", "countable": True, **more}
    return ForbiddenField(index=one, field=field, documents=documents, **values)


def seen(
    name: str = "billing",
    *,
    standing: IndexOwner = IndexOwner.UNCLAIMED,
    categories: Iterable[str] = (),
    age: int = DAY,
    documents: int | None = None,
) -> IndexSeen:
    """An index of the cluster as a look past the policy shows it; one of categories is governed."""
    categories = tuple(categories)
    claim = Claim(standing=IndexOwner.GOVERNED if categories else standing, categories=categories)
    return IndexSeen(name=name, uuid=f"uuid-of-{name}", claim=claim, created=NOW - age, documents=documents)


def suspected(name: str = "clone", *, age: int | None = DAY, created: int = DAY, **more: Any) -> SuspectedCopy:
    """An index outside the policy, created so long ago, with what seems to be a log of this age (None: unknown)."""
    values: dict[str, Any] = {"categories": ("backend-logs",), "origin": None, "documents": 1, "overdue": 0, **more}
    oldest = None if age is None else NOW - age
    return SuspectedCopy(name=name, uuid=f"uuid-of-{name}", created=NOW - created, oldest=oldest, **values)


def covered(*indices: IndexSeen, now: int = NOW, **more: Any) -> CoverageFacts:
    """What one look at the whole cluster showed."""
    return CoverageFacts(as_of=now, indices=indices, **more)


def purge(
    name: str = "logs-a",
    *,
    documents: int = 1,
    action: Action = Action.DELETE_INDEX,
    foreseen: int = 0,
    uuid: str | None = None,
) -> Purge:
    """A purge of one index."""
    return Purge(
        facts=index(name, ages=[DUE_AGE + 1], documents=documents, uuid=uuid or f"uuid-of-{name}"),
        action=action,
        documents=documents,
        due=NOW - 1,
        reason="due",
        cut=NOW - DUE_AGE,
        foreseen=foreseen,
    )


def plan(
    *purges: Purge, documents: int = 10_000, category_id: str = "backend-logs", keep: Iterable[Keep] = (), **more: Any
) -> Plan:
    """A plan of a category that holds so many documents."""
    values: dict[str, Any] = {"as_of": NOW, "limit": LIMIT, **more}
    return Plan(category=category_id, documents=documents, purge=purges, keep=tuple(keep), **values)


def verdict_on(name: str, made: Plan) -> Purge | Keep | Skip:
    """The one verdict of a plan on the index of this name."""
    verdicts: list[Purge | Keep | Skip] = [
        *(p for p in made.purge if p.facts.name == name),
        *(k for k in made.keep if k.facts.name == name),
        *(s for s in made.skip if s.name == name),
    ]
    assert len(verdicts) == 1, f"{name} has to stand in the plan once"
    return verdicts[0]
