"""The catalogue: each shape makes one kind of index, or of document, in a cluster. It knows nothing of the product.

A shape is a generator over a `World`: at each `yield` the documents asked for so far are written. `needs` names what
the server must be able to make; what it cannot is left out by name. `slow` shapes are drawn seldom.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from shapes.promises import DAY, HOUR
from shapes.world import FIELDS, STATES, Doc, Draft, Rounds, World, day_of, now, true_of

FAR = {"index.routing.allocation.require._name": "no-such-node"}


@dataclass(frozen=True)
class Place:
    """Where one shape stands in a cluster, and in which state its documents are."""

    number: int
    state: str
    prefix: str
    drafts: list[Draft]

    def name(self, category: str = "logs", tail: str = "") -> str:
        return f"{self.prefix}{category}-s{self.number}{tail}"


@dataclass(frozen=True)
class Shape:
    """One kind of index or document."""

    name: str
    make: Callable[[World, Place], Rounds]
    needs: tuple[str, ...]
    states: tuple[str, ...]
    slow: bool
    once: bool
    limit: int

    def at(self, world: World, number: int, state: str) -> Rounds:
        """Begin to make it as the `number`-th of a cluster."""
        place = Place(number, state, world.prefix, world.drafts(state, self.limit))
        yield from self.make(world, place)
        if state == "held":
            world.holds.append(("subject", world.kept))


CATALOGUE: dict[str, Shape] = {}
Maker = Callable[[World, Place], Rounds]


def shape(
    name: str,
    *needs: str,
    states: tuple[str, ...] = STATES,
    slow: bool = False,
    once: bool = False,
    limit: int = 14 * DAY,
) -> Callable[[Maker], Maker]:
    """Put a shape into the catalogue."""

    def add(make: Maker) -> Maker:
        assert name not in CATALOGUE, name
        CATALOGUE[name] = Shape(name, make, needs, states, slow, once, limit)
        return make

    return add


DATED = tuple(state for state in STATES if state != "undated")


# --- plain indices ------------------------------------------------------------------------------------


@shape("dated index")
def _(world: World, place: Place) -> Rounds:
    world.index(place.name(tail=f"-{day_of(now() - 20 * DAY)}"), place.drafts)
    yield


@shape("of another category", limit=3 * DAY)
def _(world: World, place: Place) -> Rounds:
    world.index(place.name("events"), place.drafts)
    yield


@shape("container", once=True)
def _(world: World, place: Place) -> Rounds:
    world.index(f"{place.prefix}records", place.drafts)
    yield


@shape("container that others write to by an alias", once=True)
def _(world: World, place: Place) -> Rounds:
    world.index(f"{place.prefix}records-2", place.drafts, aliases={place.name("to-records"): {"is_write_index": True}})
    yield


@shape("hidden index")
def _(world: World, place: Place) -> Rounds:
    world.index(place.name(), place.drafts, settings={"index.hidden": True})
    yield


@shape("empty index", states=("expired",))
def _(world: World, place: Place) -> Rounds:
    world.index(place.name())
    yield


@shape("closed index")
def _(world: World, place: Place) -> Rounds:
    name = world.index(place.name(), place.drafts)
    yield
    world.es.indices.close(index=name)


@shape("index that is allocated nowhere", slow=True)
def _(world: World, place: Place) -> Rounds:
    name = world.index(place.name(), place.drafts)
    yield
    world.es.indices.close(index=name)
    world.settings(name, **FAR)
    world.es.indices.open(index=name, wait_for_active_shards="0")


@shape("index that was never allocated", states=("expired",), slow=True)
def _(world: World, place: Place) -> Rounds:
    world.es.indices.create(
        index=place.name(),
        settings={"number_of_shards": 1, "number_of_replicas": 0, **FAR},
        mappings={"properties": FIELDS},
        wait_for_active_shards="0",
    )
    yield


for _block in ("read_only", "write", "metadata", "read", "read_only_allow_delete"):

    def _blocked(world: World, place: Place, block: str = _block) -> Rounds:
        name = world.index(place.name(), place.drafts)
        yield
        world.block(name, block)

    shape(f"index with the block {_block}")(_blocked)


@shape("many shards")
def _(world: World, place: Place) -> Rounds:
    world.index(place.name(), place.drafts, settings={"number_of_shards": 3})
    yield


@shape("missing replica")
def _(world: World, place: Place) -> Rounds:
    world.index(place.name(), place.drafts, settings={"number_of_replicas": 1})
    yield


@shape("sorted index")
def _(world: World, place: Place) -> Rounds:
    world.index(place.name(), place.drafts, settings={"index.sort.field": "@timestamp", "index.sort.order": "desc"})
    yield


@shape("never refreshed by itself")
def _(world: World, place: Place) -> Rounds:
    world.index(place.name(), place.drafts, settings={"index.refresh_interval": "-1"})
    yield


@shape("documents that were deleted and written again")
def _(world: World, place: Place) -> Rounds:
    name = world.index(place.name(), place.drafts)
    yield
    hits = world.es.search(index=name, size=100)["hits"]["hits"]
    for hit in hits[:2]:
        world.es.delete(index=name, id=hit["_id"])
        world.es.index(index=name, id=hit["_id"], document=hit["_source"], refresh=True)


@shape("small result window")
def _(world: World, place: Place) -> Rounds:
    world.index(place.name(), place.drafts, settings={"index.max_result_window": 1})
    yield


@shape("settings inherited from a template")
def _(world: World, place: Place) -> Rounds:
    name = place.name()
    world.es.indices.put_index_template(
        name=name,
        index_patterns=[name],
        priority=700 + place.number,
        template={"settings": {"index.refresh_interval": "1h", "index.number_of_replicas": 0}, "aliases": {}},
    )
    world.index(name, place.drafts)
    yield


# --- what the text of a policy leaves open ------------------------------------------------------------


@shape("ignored below a wildcard")
def _(world: World, place: Place) -> Rounds:
    world.index(place.name("logs-archive"), place.drafts)
    yield


@shape("ignored by a name of its own")
def _(world: World, place: Place) -> Rounds:
    world.index(place.name("metrics"), place.drafts)
    yield


@shape("outside the policy, with other fields")
def _(world: World, place: Place) -> Rounds:
    name = place.name("foreign")
    world.es.indices.create(
        index=name,
        settings={"number_of_shards": 1, "number_of_replicas": 0},
        mappings={"properties": {"when": {"type": "date"}, "who": {"type": "keyword"}}},
    )
    world.write(name, place.drafts, render=lambda d: {"when": d.at, "who": "x"}, facts=_unnamed)
    yield


def _unnamed(draft: Draft) -> Doc:
    return Doc(times=() if draft.at is None else (draft.at,), applications=(), users=(), accounts=())


@shape("outside the policy, with the same fields")
def _(world: World, place: Place) -> Rounds:
    world.index(place.name("neighbour"), place.drafts)
    yield


@shape("name of a category and a longer one", limit=3 * DAY)
def _(world: World, place: Place) -> Rounds:
    world.index(f"{place.prefix}events-s{place.number}-{place.prefix}logs-x", place.drafts)
    yield


# --- copies -------------------------------------------------------------------------------------------


@shape("re-indexed copy outside")
def _(world: World, place: Place) -> Rounds:
    name = world.index(place.name(), place.drafts)
    yield
    world.copy(name, place.name("copy"))


@shape("re-indexed copy under a dot")
def _(world: World, place: Place) -> Rounds:
    name = world.index(place.name(), place.drafts)
    yield
    world.copy(name, "." + place.name("my-copy"), **{"index.hidden": True})


@shape("migrated backing index under a dot")
def _(world: World, place: Place) -> Rounds:
    name = world.index(place.name(), place.drafts)
    yield
    world.copy(name, f".migrated-ds-{place.name()}-2026.01.01-000001", **{"index.hidden": True})


@shape("alerts under a dot")
def _(world: World, place: Place) -> Rounds:
    name = world.index(place.name(), place.drafts)
    yield
    world.copy(name, f".internal.alerts-{place.name('x')}-000001", **{"index.hidden": True})


@shape("copy inside the pattern")
def _(world: World, place: Place) -> Rounds:
    name = world.index(place.name(), place.drafts)
    yield
    world.copy(name, place.name(tail="-again"))


def _resized(world: World, place: Place, how: str, target: str, *, keep: bool, **settings: Any) -> Rounds:
    shards = {"shrink": 2, "split": 1, "clone": 1}[how]
    name = world.index(place.name(), place.drafts, settings={"number_of_shards": shards})
    yield
    world.settings(name, **{"index.blocks.write": True})
    made = {"index.number_of_shards": 2 if how == "split" else 1}
    body = {"settings": {"index.number_of_replicas": 0, "index.blocks.write": None, **made, **settings}}
    world.es.options(request_timeout=60).perform_request(
        "PUT",
        f"/{name}/_{how}/{target}?wait_for_active_shards=1",
        body=body,
        headers={"accept": "application/json", "content-type": "application/json"},
    )
    if keep:
        world.settings(name, **{"index.blocks.write": None})
    else:
        world.es.indices.delete(index=name)


@shape("clone outside")
def _(world: World, place: Place) -> Rounds:
    yield from _resized(world, place, "clone", place.name("clone"), keep=True)


@shape("clone inside the pattern")
def _(world: World, place: Place) -> Rounds:
    yield from _resized(world, place, "clone", place.name(tail="-clone"), keep=True)


@shape("clone of what is gone")
def _(world: World, place: Place) -> Rounds:
    yield from _resized(world, place, "clone", place.name("survivor"), keep=False)


@shape("split outside")
def _(world: World, place: Place) -> Rounds:
    yield from _resized(world, place, "split", place.name("split"), keep=False)


@shape("shrunk inside the pattern")
def _(world: World, place: Place) -> Rounds:
    yield from _resized(world, place, "shrink", place.name(tail="-small"), keep=False)


@shape("shrunk by a lifecycle")
def _(world: World, place: Place) -> Rounds:
    name, target = place.name(), f"shrink-ab{place.number}-{place.name()}"
    yield from _resized(world, place, "shrink", target, keep=False)
    world.es.indices.put_alias(index=target, name=name)


@shape("shrunk by a lifecycle, twice")
def _(world: World, place: Place) -> Rounds:
    first, second = f"shrink-ab{place.number}-{place.name()}", f"shrink-cd{place.number}-{place.name()}"
    yield from _resized(world, place, "shrink", first, keep=False)
    world.settings(first, **{"index.blocks.write": True})
    world.es.indices.clone(
        index=first, target=second, settings={"index.number_of_replicas": 0, "index.blocks.write": None}
    )
    world.es.indices.delete(index=first)
    world.es.indices.put_alias(index=second, name=place.name())


# --- aliases ------------------------------------------------------------------------------------------


@shape("alias that rolled over")
def _(world: World, place: Place) -> Rounds:
    old = [d for d in place.drafts if d.at is None or d.at < now() - 2 * DAY]
    first = place.name(tail="-000001")
    world.index(first, old, aliases={place.name(tail="-write"): {"is_write_index": True}})
    yield
    world.es.indices.rollover(alias=place.name(tail="-write"))
    world.write(place.name(tail="-000002"), [d for d in place.drafts if d not in old])
    yield


@shape("alias that never rolled over")
def _(world: World, place: Place) -> Rounds:
    world.index(place.name(tail="-000001"), place.drafts, aliases={place.name(tail="-w"): {"is_write_index": True}})
    yield


@shape("alias that moved on")
def _(world: World, place: Place) -> Rounds:
    world.index(place.name(tail="-old"), place.drafts, aliases={place.name(tail="-now"): {}})
    world.index(place.name(tail="-new"), [Draft(at=now() - HOUR)])
    yield
    alias = place.name(tail="-now")
    world.es.indices.update_aliases(
        actions=[
            {"remove": {"index": place.name(tail="-old"), "alias": alias}},
            {"add": {"index": place.name(tail="-new"), "alias": alias}},
        ]
    )


@shape("chain of aliases")
def _(world: World, place: Place) -> Rounds:
    world.index(place.name(tail="-1"), place.drafts, aliases={place.name(tail="-a"): {}, place.name("view"): {}})
    world.index(place.name(tail="-2"), [Draft(at=now() - HOUR)], aliases={place.name(tail="-a"): {}})
    yield


@shape("alias with a filter")
def _(world: World, place: Place) -> Rounds:
    world.index(place.name(), place.drafts, aliases={place.name("view"): {"filter": {"term": {"user_id": "u1"}}}})
    yield


@shape("alias of the policy on a stranger's index")
def _(world: World, place: Place) -> Rounds:
    world.index(place.name("stranger"), place.drafts, aliases={place.name(): {}})
    yield


@shape("held by a name that moves on", states=("expired", "both"))
def _(world: World, place: Place) -> Rounds:
    first, alias = place.name(tail="-000001"), place.name("case")
    world.index(first, place.drafts, aliases={alias: {"is_write_index": True}})
    world.holds.append(("index", alias))
    yield


@shape("held by its name", states=("expired", "both", "undated"))
def _(world: World, place: Place) -> Rounds:
    world.holds.append(("index", world.index(place.name(), place.drafts)))
    yield


@shape("of a held category", states=("expired", "both", "undated"))
def _(world: World, place: Place) -> Rounds:
    world.index(place.name("box"), place.drafts)
    if ("category", "box") not in world.holds:
        world.holds.append(("category", "box"))
    yield


# --- timestamps ---------------------------------------------------------------------------------------


def _seconds(draft: Draft) -> dict[str, Any]:
    source = draft.source() | ({"start": draft.at // 1_000} if draft.at is not None else {})
    source.pop("@timestamp", None)
    return source


@shape("timestamps as numbers of seconds", states=DATED)
def _(world: World, place: Place) -> Rounds:
    seconds = {"start": {"type": "date", "format": "epoch_second"}}
    world.index(place.name("epochs"), place.drafts, fields=seconds, render=_seconds)
    yield


@shape("numbers of seconds in a field of milliseconds", states=("young",))
def _(world: World, place: Place) -> Rounds:
    """A mistake of a producer: they say January 1970, which nobody believes."""
    world.index(
        place.name("epochs"),
        place.drafts,
        fields={"start": {"type": "date"}},
        render=_seconds,
        facts=lambda d: replace(true_of(d), dated=False),
    )
    yield


@shape("timestamps as numbers in a field that is no date", states=DATED)
def _(world: World, place: Place) -> Rounds:
    world.index(
        place.name("epochs"),
        place.drafts,
        fields={"start": {"type": "long"}},
        render=_seconds,
        facts=lambda d: replace(true_of(d), dated=False),
    )
    yield


@shape("timestamps as strings of a format", states=DATED)
def _(world: World, place: Place) -> Rounds:
    def spelled(draft: Draft) -> dict[str, Any]:
        source = draft.source()
        at = source.pop("@timestamp", None)
        day = day_of(at).replace(".", "") + "000000" if at is not None else None
        return source | ({"day": day} if day else {})

    field = {"day": {"type": "date", "format": "yyyyMMddHHmmss"}}
    world.index(place.name("spelled"), [d for d in place.drafts if d.at], fields=field, render=spelled)
    yield


def _started(factor: int) -> Callable[[Draft], dict[str, Any]]:
    """A document whose time is a number of so many a millisecond."""

    def render(draft: Draft) -> dict[str, Any]:
        source = draft.source()
        at = source.pop("@timestamp", None)
        return source | ({"start": at * factor} if at is not None else {})

    return render


@shape("numbers of milliseconds")
def _(world: World, place: Place) -> Rounds:
    world.index(place.name("millis"), place.drafts, fields={"start": {"type": "long"}}, render=_started(1))
    yield


@shape("numbers of nanoseconds")
def _(world: World, place: Place) -> Rounds:
    world.index(place.name("nanos"), place.drafts, fields={"start": {"type": "long"}}, render=_started(1_000_000))
    yield


@shape("unsigned numbers of nanoseconds", "unsigned_long")
def _(world: World, place: Place) -> Rounds:
    fields = {"start": {"type": "unsigned_long"}}
    world.index(place.name("nanos"), place.drafts, fields=fields, render=_started(1_000_000))
    yield


@shape("numbers of milliseconds in a field of nanoseconds", states=DATED)
def _(world: World, place: Place) -> Rounds:
    """A mistake of a producer: they say January 1970, which nobody believes."""
    world.index(
        place.name("nanos"),
        [d for d in place.drafts if d.at is not None and d.at > now() - 2 * DAY],
        fields={"start": {"type": "long"}},
        render=_started(1),
        facts=lambda d: replace(true_of(d), dated=False),
    )
    yield


@shape("numbers at the edges of their type", states=("both",))
def _(world: World, place: Place) -> Rounds:
    edges = iter([0, -1, -(2**63), 2**63 - 1, 1])
    name = world.index(place.name("millis"), place.drafts, fields={"start": {"type": "long"}}, render=_started(1))
    world.write(
        name,
        [Draft(at=None)] * 5,
        render=lambda d: d.source() | {"start": next(edges)},
    )
    yield


@shape("a date where the policy says a number", states=DATED)
def _(world: World, place: Place) -> Rounds:
    world.index(
        place.name("millis"),
        place.drafts,
        fields={"start": {"type": "date"}},
        render=_started(1),
        facts=lambda d: replace(true_of(d), dated=False),
    )
    yield


@shape("many numbers of milliseconds in a document", states=DATED)
def _(world: World, place: Place) -> Rounds:
    def render(draft: Draft) -> dict[str, Any]:
        return _started(1)(draft) | {"start": [draft.at, now()]}

    def facts(draft: Draft) -> Doc:
        return replace(true_of(draft), times=(int(draft.at or 0), now()))

    world.index(place.name("millis"), place.drafts, fields={"start": {"type": "long"}}, render=render, facts=facts)
    yield


def _bucket(draft: Draft) -> dict[str, Any]:
    source = draft.source()
    at = source.pop("@timestamp", None)
    written = datetime.fromtimestamp(at // 1_000, UTC).strftime("%Y%m%d%H%M%S") if at is not None else None
    return source | ({"bucket": written} if written else {})


@shape("digits of a pattern in a keyword")
def _(world: World, place: Place) -> Rounds:
    world.index(place.name("buckets"), place.drafts, fields={"bucket": {"type": "keyword"}}, render=_bucket)
    yield


@shape("digits of a pattern in a number", "scripts")
def _(world: World, place: Place) -> Rounds:
    def render(draft: Draft) -> dict[str, Any]:
        return {key: int(value) if key == "bucket" else value for key, value in _bucket(draft).items()}

    world.index(place.name("buckets"), place.drafts, fields={"bucket": {"type": "long"}}, render=render)
    yield


_NO_MOMENTS = (
    *("2025", "", "abc", "20251301000000", "20250230000000"),
    *("20250101240000", "20250101006000", "2025010100000"),
)


@shape("digits that are no moment, in a keyword", states=("expired", "both"))
def _(world: World, place: Place) -> Rounds:
    wrong = iter(_NO_MOMENTS)
    name = world.index(place.name("buckets"), place.drafts, fields={"bucket": {"type": "keyword"}}, render=_bucket)
    world.write(name, [Draft(at=None)] * len(_NO_MOMENTS), render=lambda d: d.source() | {"bucket": next(wrong)})
    yield


@shape("digits that are no moment, in a number", "scripts", states=("expired", "both"))
def _(world: World, place: Place) -> Rounds:
    wrong = iter([int(text) for text in _NO_MOMENTS if text.isdigit()])
    name = world.index(
        place.name("buckets"),
        place.drafts,
        fields={"bucket": {"type": "long"}},
        render=lambda d: {key: int(value) if key == "bucket" else value for key, value in _bucket(d).items()},
    )
    many = sum(text.isdigit() for text in _NO_MOMENTS)
    world.write(name, [Draft(at=None)] * many, render=lambda d: d.source() | {"bucket": next(wrong)})
    yield


@shape("digits of a pattern in text", states=DATED)
def _(world: World, place: Place) -> Rounds:
    world.index(
        place.name("buckets"),
        place.drafts,
        fields={"bucket": {"type": "text"}},
        render=_bucket,
        facts=lambda d: replace(true_of(d), dated=False),
    )
    yield


def _as_it_is_written(draft: Draft) -> Doc:
    """What has no timestamp on purpose is as old as it is in the index."""
    return replace(true_of(draft), times=(now(),))


@shape("no timestamp, on purpose")
def _(world: World, place: Place) -> Rounds:
    world.index(place.name("plain"), place.drafts, facts=_as_it_is_written)
    yield


@shape("no timestamp, on purpose, behind an alias that is written to", states=("expired",))
def _(world: World, place: Place) -> Rounds:
    aliases = {place.name("to-plain"): {"is_write_index": True}}
    world.index(place.name("plain"), place.drafts, facts=_as_it_is_written, aliases=aliases)
    yield


@shape("timestamps of nanoseconds")
def _(world: World, place: Place) -> Rounds:
    world.index(place.name(), place.drafts, fields={"@timestamp": {"type": "date_nanos"}})
    yield


@shape("timestamps as keywords")
def _(world: World, place: Place) -> Rounds:
    world.index(
        place.name(),
        place.drafts,
        fields={"@timestamp": {"type": "keyword"}},
        facts=lambda d: replace(true_of(d), dated=False),
    )
    yield


@shape("timestamps as plain numbers")
def _(world: World, place: Place) -> Rounds:
    world.index(
        place.name(),
        place.drafts,
        fields={"@timestamp": {"type": "long"}},
        facts=lambda d: replace(true_of(d), dated=False),
    )
    yield


@shape("timestamp under an alias field")
def _(world: World, place: Place) -> Rounds:
    def render(draft: Draft) -> dict[str, Any]:
        source = draft.source()
        at = source.pop("@timestamp", None)
        return source | ({"time": at} if at is not None else {})

    fields = {"time": {"type": "date"}, "@timestamp": {"type": "alias", "path": "time"}}
    world.index(place.name(), place.drafts, fields=fields, render=render)
    yield


@shape("timestamp that a runtime field shadows", "runtime fields")
def _(world: World, place: Place) -> Rounds:
    script = {"source": f"emit({now() - HOUR}L)"}
    runtime = {"runtime": {"@timestamp": {"type": "date", "script": script}}}
    name = world.index(place.name(), place.drafts, mapping=runtime)
    yield
    assert "runtime" in world.es.indices.get_mapping(index=name)[name]["mappings"]


@shape("many timestamps in a document")
def _(world: World, place: Place) -> Rounds:
    def render(draft: Draft) -> dict[str, Any]:
        return draft.source() | ({"@timestamp": [draft.at, draft.at + HOUR]} if draft.at is not None else {})

    def facts(draft: Draft) -> Doc:
        return replace(true_of(draft), times=() if draft.at is None else (draft.at, draft.at + HOUR))

    world.index(place.name(), place.drafts, render=render, facts=facts)
    yield


@shape("an old and a young timestamp in one document", states=("young",))
def _(world: World, place: Place) -> Rounds:
    def both(draft: Draft) -> list[int]:
        return [now() - 20 * DAY, int(draft.at or 0)]

    world.index(
        place.name(),
        place.drafts,
        render=lambda d: d.source() | {"@timestamp": both(d)},
        facts=lambda d: replace(true_of(d), times=tuple(both(d))),
    )
    yield


@shape("timestamps ahead of their time", states=("both",))
def _(world: World, place: Place) -> Rounds:
    ahead = [Draft(at=now() + 40 * DAY)]
    world.index(place.name(), [*place.drafts, *ahead], facts=_believable)
    yield


@shape("timestamps that nobody believes", states=("both",))
def _(world: World, place: Place) -> Rounds:
    world.index(place.name(), [*place.drafts, Draft(at=0), Draft(at=DAY)], facts=_believable)
    yield


def _believable(draft: Draft) -> Doc:
    at = draft.at
    known = at is not None and 1_420_070_400_000 <= at <= now() + HOUR
    return replace(true_of(draft), times=(int(at),) if known and at is not None else ())


@shape("timestamp field that no document has", states=("young",))
def _(world: World, place: Place) -> Rounds:
    def elsewhere(draft: Draft) -> dict[str, Any]:
        source = draft.source()
        return source | {"time": source.pop("@timestamp", None)}

    world.index(place.name(), place.drafts, fields={"time": {"type": "date"}}, render=elsewhere, facts=_unnamed_time)
    yield


def _unnamed_time(draft: Draft) -> Doc:
    return replace(true_of(draft), dated=False)


@shape("fields that a mapping does not take up", states=("expired", "both"))
def _(world: World, place: Place) -> Rounds:
    world.index(place.name(), place.drafts, mapping={"dynamic": False}, render=lambda d: d.source() | {"other": 1})
    yield


# --- documents ----------------------------------------------------------------------------------------


@shape("documents that count for more than one")
def _(world: World, place: Place) -> Rounds:
    world.index(place.name(), place.drafts, render=lambda d: d.source() | {"_doc_count": 7})
    yield


@shape("no source", states=("expired", "young", "both", "held"))
def _(world: World, place: Place) -> Rounds:
    world.index(place.name(), place.drafts, mapping={"_source": {"enabled": False}})
    yield


@shape("synthetic source", "logsdb", "licence")
def _(world: World, place: Place) -> Rounds:
    world.index(place.name(), place.drafts, settings={"index.mapping.source.mode": "synthetic"})
    yield


@shape("routed documents")
def _(world: World, place: Place) -> Rounds:
    world.index(
        place.name(),
        place.drafts,
        settings={"number_of_shards": 2},
        mapping={"_routing": {"required": True}},
        routing="r1",
    )
    yield


@shape("joined documents", "joins")
def _(world: World, place: Place) -> Rounds:
    join = {"family": {"type": "join", "relations": {"parent": "child"}}}
    world.index(
        place.name(), place.drafts, fields=join, render=lambda d: d.source() | {"family": "parent"}, routing="r1"
    )
    yield


@shape("nested documents beside the subject")
def _(world: World, place: Place) -> Rounds:
    nested = {"parts": {"type": "nested", "properties": {"x": {"type": "keyword"}}}}
    world.index(
        place.name(), place.drafts, fields=nested, render=lambda d: d.source() | {"parts": [{"x": "1"}, {"x": "2"}]}
    )
    yield


@shape("subject inside nested documents")
def _(world: World, place: Place) -> Rounds:
    def render(draft: Draft) -> dict[str, Any]:
        return {**draft.source(), "sdkappid": {"id": draft.application}}

    nested = {"sdkappid": {"type": "nested", "properties": {"id": {"type": "keyword"}}}}
    world.index(
        place.name(), place.drafts, fields=nested, render=render, facts=lambda d: replace(true_of(d), nested=True)
    )
    yield


@shape("several subjects in a document")
def _(world: World, place: Place) -> Rounds:
    def render(draft: Draft) -> dict[str, Any]:
        return draft.source() | {"sdkappid": [draft.application, "second"], "user_id": ["u1", "u2"]}

    def facts(draft: Draft) -> Doc:
        return replace(true_of(draft), applications=(draft.application, "second"), users=("u1", "u2"))

    world.index(place.name(), place.drafts, render=render, facts=facts)
    yield


@shape("subject as text with a keyword below")
def _(world: World, place: Place) -> Rounds:
    text = {"sdkappid": {"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}}}
    world.index(place.name(), place.drafts, fields=text)
    yield


@shape("subject as text alone")
def _(world: World, place: Place) -> Rounds:
    world.index(place.name(), place.drafts, fields={"sdkappid": {"type": "text"}})
    yield


@shape("subject under a normalizer")
def _(world: World, place: Place) -> Rounds:
    world.index(
        place.name(),
        place.drafts,
        fields={"sdkappid": {"type": "keyword", "normalizer": "lowercase"}},
    )
    yield


@shape("subject longer than is indexed")
def _(world: World, place: Place) -> Rounds:
    world.index(place.name(), place.drafts, fields={"sdkappid": {"type": "keyword", "ignore_above": 3}})
    yield


@shape("subject that is not indexed")
def _(world: World, place: Place) -> Rounds:
    world.index(place.name(), place.drafts, fields={"sdkappid": {"type": "keyword", "index": False}})
    yield


@shape("subject that is only in the source")
def _(world: World, place: Place) -> Rounds:
    world.index(
        place.name(), place.drafts, fields={"sdkappid": {"type": "keyword", "index": False, "doc_values": False}}
    )
    yield


# --- subjects in one of several places ----------------------------------------------------------------

PAIRS = {"type": "nested", "properties": {"key": {"type": "keyword"}, "value": {"type": "keyword"}}}
SPANS = {"project": {"type": "keyword"}, "tags": PAIRS, "_q": {"type": "keyword"}}


def _pairs(*pairs: tuple[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": value} for key, value in pairs]


def _elsewhere(draft: Draft, **fields: Any) -> dict[str, Any]:
    """A document that names its application in these fields alone."""
    return {name: value for name, value in draft.source().items() if name != "sdkappid"} | fields


def _spans(world: World, place: Place, render: Callable[[Draft], dict[str, Any]], **fields: Any) -> Rounds:
    """Documents of a place, and beside each one of another application that only seems to be of the same."""

    def decoy(draft: Draft) -> dict[str, Any]:
        app = draft.application
        tags = _pairs(("x", app), ("app.id", f"{app}2"), ("app.ids", app), (app, "app.id"))
        return _elsewhere(draft, note=app, tags=tags, _q=[app, f"app.id={app}2", f"xapp.id={app}", "app.id"])

    name = world.index(place.name("spans"), place.drafts, fields={**SPANS, **fields}, render=render)
    yield
    decoys = [d for d in place.drafts if d.application in {world.gone.id, world.kept.id}]
    world.write(name, decoys, render=decoy, facts=lambda d: replace(true_of(d), applications=(f"{d.application}2",)))
    yield


@shape("subject in another field of a list")
def _(world: World, place: Place) -> Rounds:
    yield from _spans(world, place, lambda d: _elsewhere(d, project=d.application))


@shape("subject in nested pairs")
def _(world: World, place: Place) -> Rounds:
    yield from _spans(
        world, place, lambda d: _elsewhere(d, tags=_pairs(("x", "y"), ("app.id", d.application), ("user.id", "u1")))
    )


@shape("subject after a text")
def _(world: World, place: Place) -> Rounds:
    yield from _spans(world, place, lambda d: _elsewhere(d, _q=["error", f"app.id={d.application}", "user.id=u1"]))


@shape("subject in all places of a list")
def _(world: World, place: Place) -> Rounds:
    def render(draft: Draft) -> dict[str, Any]:
        app = draft.application
        return {**draft.source(), "project": app, "tags": _pairs(("app.id", app)), "_q": [f"app.id={app}"]}

    yield from _spans(world, place, render)


@shape("several subjects in the places of a list")
def _(world: World, place: Place) -> Rounds:
    def render(draft: Draft) -> dict[str, Any]:
        return _elsewhere(draft, project="second", tags=_pairs(("app.id", draft.application), ("app.id", "third")))

    def facts(draft: Draft) -> Doc:
        return replace(true_of(draft), applications=(draft.application, "second", "third"))

    world.index(place.name("spans"), place.drafts, fields=SPANS, render=render, facts=facts)
    yield


for _kind, _mapping in {
    "as plain objects": {"properties": PAIRS["properties"]},
    "with values of text": {"type": "nested", "properties": {"key": {"type": "keyword"}, "value": {"type": "text"}}},
    "in flattened objects": {"type": "flattened"},
    "that are kept unindexed": {"type": "object", "enabled": False},
    "with values that are left out": {
        "type": "nested",
        "properties": {"key": {"type": "keyword"}, "value": {"type": "keyword", "ignore_above": 3}},
    },
    "with a key that is left out": {
        "type": "nested",
        "properties": {"key": {"type": "keyword", "ignore_above": 3}, "value": {"type": "keyword"}},
    },
}.items():

    def _pairs_mapped(world: World, place: Place, mapping: dict[str, Any] = _mapping) -> Rounds:  # type: ignore[assignment]
        def render(draft: Draft) -> dict[str, Any]:
            return _elsewhere(draft, tags=_pairs(("app.id", draft.application), ("x", "a longer one")))

        flat = mapping.get("type") == "flattened"
        world.index(
            place.name("spans"),
            place.drafts,
            fields={**SPANS, "tags": mapping},
            render=(lambda d: _elsewhere(d, tags={"app.id": d.application})) if flat else render,
        )
        yield

    shape(f"subject in pairs {_kind}")(_pairs_mapped)


@shape("subject after a text that is left out")
def _(world: World, place: Place) -> Rounds:
    short = {"type": "keyword", "ignore_above": 9}
    yield from _spans(world, place, lambda d: _elsewhere(d, _q=[f"app.id={d.application}"]), _q=short)


@shape("re-indexed copy of nested pairs")
def _(world: World, place: Place) -> Rounds:
    yield from _spans(world, place, lambda d: _elsewhere(d, tags=_pairs(("app.id", d.application))))
    world.copy(place.name("spans"), place.name("pairs"))


@shape("re-indexed copy of nested pairs, as they are")
def _(world: World, place: Place) -> Rounds:
    yield from _spans(world, place, lambda d: _elsewhere(d, tags=_pairs(("app.id", d.application))))
    world.copy(place.name("spans"), place.name("pairs"), mappings=SPANS)


@shape("tenant's own index", states=("young", "subject"))
def _(world: World, place: Place) -> Rounds:
    application = world.gone.id if place.state == "subject" else f"{world.token}_t{place.number}"
    name = f"{place.prefix}tenant-{application}-x"
    if not world.es.indices.exists(index=name):
        world.index(name)
    world.write(name, [replace(d, application=application) for d in place.drafts])
    yield


@shape("tenant's own index with a stranger in it", states=("subject",), once=True)
def _(world: World, place: Place) -> Rounds:
    name = f"{place.prefix}tenant-{world.gone.id}-x"
    if not world.es.indices.exists(index=name):
        world.index(name)
    world.write(name, place.drafts)
    yield


# --- snapshots ----------------------------------------------------------------------------------------


def _taken(world: World, place: Place, *names: str) -> str:
    snapshot = world.take(f"snap{place.number}", *names)
    if place.state == "subject":
        world.elsewhere[f"snapshot {snapshot}"] = (world.gone.id, lambda: True)
    return snapshot


@shape("in a snapshot", "snapshots", slow=True)
def _(world: World, place: Place) -> Rounds:
    name = world.index(place.name(), place.drafts)
    yield
    _taken(world, place, name)


@shape("restored under its own name", "snapshots", slow=True)
def _(world: World, place: Place) -> Rounds:
    name = world.index(place.name(), place.drafts)
    yield
    snapshot = _taken(world, place, name)
    world.es.indices.delete(index=name)
    world.restore(snapshot, name)


@shape("restored under another name of the pattern", "snapshots", slow=True)
def _(world: World, place: Place) -> Rounds:
    name = world.index(place.name(), place.drafts)
    yield
    world.restore(_taken(world, place, name), name, rename_pattern="(.+)", rename_replacement="$1-back")


@shape("restored outside the policy", "snapshots", slow=True)
def _(world: World, place: Place) -> Rounds:
    name = world.index(place.name(), place.drafts)
    yield
    target = place.name("restored")
    world.restore(_taken(world, place, name), name, rename_pattern="(.+)", rename_replacement=target)


def _mounted(world: World, place: Place, storage: str, before: str) -> Rounds:
    name = world.index(place.name(), place.drafts)
    yield
    snapshot, target = _taken(world, place, name), f"{before}-{place.name()}"
    world.es.options(request_timeout=60).searchable_snapshots.mount(
        repository=world.snapshots(),
        snapshot=snapshot,
        index=name,
        renamed_index=target,
        index_settings={"index.number_of_replicas": 0},
        storage=storage,
        wait_for_completion=True,
    )
    world.es.indices.delete(index=name)
    world.es.indices.put_alias(index=target, name=name)


@shape("mounted as a full copy", "snapshots", "mounts", slow=True)
def _(world: World, place: Place) -> Rounds:
    yield from _mounted(world, place, "full_copy", "restored")


@shape("mounted with a shared cache", "snapshots", "mounts", "shared cache", slow=True)
def _(world: World, place: Place) -> Rounds:
    yield from _mounted(world, place, "shared_cache", "partial")


# --- streams and what is named like their parts -------------------------------------------------------


def _behind(place: Place, generation: int = 1, kind: str = "ds") -> str:
    return f".{kind}-{place.name()}-2026.11.01-{generation:06d}"


@shape("backing index without a stream")
def _(world: World, place: Place) -> Rounds:
    world.index(_behind(place), place.drafts, settings={"index.hidden": True})
    yield


@shape("failure index without a stream")
def _(world: World, place: Place) -> Rounds:
    world.index(_behind(place, kind="fs"), place.drafts, settings={"index.hidden": True})
    yield


@shape("backing index of a stream outside the policy")
def _(world: World, place: Place) -> Rounds:
    name = f".ds-{place.name('elsewhere')}-2026.11.01-000001"
    world.index(name, place.drafts, settings={"index.hidden": True})
    yield


def _stream(world: World, place: Place, name: str = "", **more: Any) -> Rounds:
    stream = world.stream(name or place.name(), **more)
    old = [d for d in place.drafts if d.at is not None and d.at < now() - 2 * DAY]
    fresh = [d for d in place.drafts if d.at is not None and d not in old]
    world.write(stream, old, own_ids=False)
    yield
    if old:
        world.es.indices.rollover(alias=stream)
    world.write(stream, fresh, own_ids=False)
    yield


@shape("stream", "streams", states=DATED)
def _(world: World, place: Place) -> Rounds:
    yield from _stream(world, place)


@shape("stream that never rolled over", "streams", states=DATED)
def _(world: World, place: Place) -> Rounds:
    world.write(world.stream(place.name()), [d for d in place.drafts if d.at], own_ids=False)
    yield


@shape("stream with an alias of the policy", "streams", states=DATED)
def _(world: World, place: Place) -> Rounds:
    stream = place.name("feed")
    yield from _stream(world, place, stream)
    world.es.indices.put_alias(index=stream, name=place.name())


@shape("backing index taken out of its stream", "streams", states=DATED)
def _(world: World, place: Place) -> Rounds:
    yield from _stream(world, place)
    stream = place.name()
    if len(names := world.backing(stream)) > 1:
        taken = [{"remove_backing_index": {"data_stream": stream, "index": names[0]}}]
        world.es.indices.modify_data_stream(actions=taken)


@shape("foreign index taken into a stream", "streams", states=DATED)
def _(world: World, place: Place) -> Rounds:
    stream, name = world.stream(place.name()), place.name("joined")
    world.index(name, place.drafts)
    yield
    taken = [{"add_backing_index": {"data_stream": stream, "index": name}}]
    world.es.indices.modify_data_stream(actions=taken)


@shape("closed backing index", "streams", states=DATED)
def _(world: World, place: Place) -> Rounds:
    yield from _stream(world, place)
    if len(names := world.backing(place.name())) > 1:
        world.es.indices.close(index=names[0])


@shape("one backing index restored alone", "streams", "snapshots", states=("expired", "both"), slow=True)
def _(world: World, place: Place) -> Rounds:
    yield from _stream(world, place)
    stream = place.name()
    first = world.backing(stream)[0]
    snapshot = _taken(world, place, stream)
    world.es.indices.delete(index=first)
    world.restore(snapshot, first)


@shape("stream of time series", "streams", "time series", states=("young",))
def _(world: World, place: Place) -> Rounds:
    fields = {**FIELDS, "sdkappid": {"type": "keyword", "time_series_dimension": True}, "load": {"type": "double"}}
    settings = {"index.mode": "time_series", "index.routing_path": ["sdkappid"]}
    stream = world.stream(place.name(), settings, mappings={"properties": fields})
    at = now() - 60_000
    drafts = [replace(d, at=at - 1_000 * n) for n, d in enumerate(place.drafts)]
    world.write(stream, drafts, render=lambda d: d.source() | {"load": 1.0}, own_ids=False)
    yield


@shape("time series of the past", "time series", states=("expired",))
def _(world: World, place: Place) -> Rounds:
    _series(world, place.name(), place.drafts)
    yield


@shape("downsampled by a lifecycle", "time series", "licence", states=("expired",), slow=True)
def _(world: World, place: Place) -> Rounds:
    name, target = place.name(), f"downsample-1h-{place.name()}"
    _series(world, name, place.drafts)
    yield
    world.settings(name, **{"index.blocks.write": True})
    world.es.options(request_timeout=60).perform_request(  # the client's own call warns that it is a preview
        "POST",
        f"/{name}/_downsample/{target}",
        body={"fixed_interval": "1h"},
        headers={"accept": "application/json", "content-type": "application/json"},
    )
    world.es.indices.delete(index=name)
    world.es.indices.put_alias(index=target, name=name)


def _series(world: World, name: str, drafts: list[Draft]) -> None:
    world.es.indices.create(
        index=name,
        settings={
            "number_of_shards": 1,
            "number_of_replicas": 0,
            "index.mode": "time_series",
            "index.routing_path": ["sdkappid"],
            "index.time_series.start_time": "2020-01-01T00:00:00Z",
            "index.time_series.end_time": "2026-11-20T00:00:00Z",
        },
        mappings={
            "properties": {
                **FIELDS,
                "sdkappid": {"type": "keyword", "time_series_dimension": True},
                "load": {"type": "double", "time_series_metric": "gauge"},
            }
        },
    )
    world.write(name, drafts, render=lambda d: d.source() | {"load": 1.0}, own_ids=False)


@shape("logsdb", "logsdb")
def _(world: World, place: Place) -> Rounds:
    world.index(place.name(), [d for d in place.drafts if d.at], settings={"index.mode": "logsdb"})
    yield


# --- lifecycles of others -----------------------------------------------------------------------------


def _managed(world: World, place: Place, phases: dict[str, Any], name: str, **settings: Any) -> Rounds:
    policy = world.lifecycle(name, {"phases": phases})
    world.index(place.name(), place.drafts, settings={"index.lifecycle.name": policy, **settings})
    yield


@shape("lifecycle of others that deletes late", "lifecycles")
def _(world: World, place: Place) -> Rounds:
    phases = {"hot": {"actions": {}}, "delete": {"min_age": "400d", "actions": {"delete": {}}}}
    yield from _managed(world, place, phases, "late")


@shape("lifecycle of others that never deletes", "lifecycles")
def _(world: World, place: Place) -> Rounds:
    yield from _managed(world, place, {"hot": {"actions": {}}}, "never")


@shape("lifecycle of others that deletes soon", "lifecycles")
def _(world: World, place: Place) -> Rounds:
    phases = {"hot": {"actions": {}}, "delete": {"min_age": "8s", "actions": {"delete": {}}}}
    yield from _managed(world, place, phases, "soon")


@shape("name of a lifecycle that does not exist", "lifecycles")
def _(world: World, place: Place) -> Rounds:
    world.index(place.name(), place.drafts, settings={"index.lifecycle.name": f"{place.prefix}nobody"})
    yield


@shape("stream under its own lifecycle", "stream lifecycle", states=DATED)
def _(world: World, place: Place) -> Rounds:
    yield from _stream(world, place, lifecycle={"data_retention": "8s"})


@shape("stream lifecycle behind another one", "stream lifecycle", "lifecycles", states=DATED)
def _(world: World, place: Place) -> Rounds:
    policy = world.lifecycle("never", {"phases": {"hot": {"actions": {}}}})
    settings = {"index.lifecycle.name": policy}
    yield from _stream(world, place, settings=settings, lifecycle={"data_retention": "5s"})


@shape("stream lifecycle that wins", "stream lifecycle", "lifecycles", states=DATED)
def _(world: World, place: Place) -> Rounds:
    policy = world.lifecycle("never", {"phases": {"hot": {"actions": {}}}})
    settings = {"index.lifecycle.name": policy, "index.lifecycle.prefer_ilm": False}
    yield from _stream(world, place, settings=settings, lifecycle={"data_retention": "8s"})


# --- Elasticsearch's own copies -----------------------------------------------------------------------


@shape("queries about a subject", "percolator", states=("subject",))
def _(world: World, place: Place) -> Rounds:
    name = place.name("watchers")
    world.index(name, fields={"query": {"type": "percolator"}})
    world.write(
        name, place.drafts, render=lambda d: {"query": {"term": {"sdkappid": d.application}}}, facts=_unnamed_time
    )
    yield


@shape("stored asynchronous search", "async search", states=("subject",), once=True)
def _(world: World, place: Place) -> Rounds:
    name = world.index(place.name(), place.drafts)
    yield
    world.es.indices.refresh(index=name)
    found = world.es.async_search.submit(
        index=name,
        query={"term": {"sdkappid": world.gone.id}},
        keep_on_completion=True,
        keep_alive="1h",
        wait_for_completion_timeout="5s",
    )
    id_ = found["id"]
    world.searches.append(id_)
    world.elsewhere[f"async search {id_[:8]}"] = (world.gone.id, lambda: _async_is_there(world, id_))


def _async_is_there(world: World, id_: str) -> bool:
    answer = world.es.options(ignore_status=[404]).async_search.get(id=id_)
    return bool(answer.meta.status == 200 and answer["response"]["hits"]["hits"])


@shape("enrichment made of documents", "enrich", states=("subject",), once=True, slow=True)
def _(world: World, place: Place) -> Rounds:
    name, policy = world.index(place.name(), place.drafts), f"{place.prefix}enrich"
    yield
    world.es.enrich.put_policy(
        name=policy, match={"indices": name, "match_field": "sdkappid", "enrich_fields": ["user_id"]}
    )
    world.es.options(request_timeout=60).enrich.execute_policy(name=policy)
