"""Random clusters: shapes drawn by a seed, then a sequence of commands and events, all judged by the oracle.

A cluster is a list of shapes with their states, and a list of steps, both plain values: what is left of them after
shrinking is the smallest input that breaks a sentence. A step that cannot be taken (its index is gone, say) is no step.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from elasticsearch import ApiError

from shapes.catalogue import CATALOGUE
from shapes.promises import DAY, HOUR
from shapes.story import Story
from shapes.world import Draft, now
from workbench import FixedClock


@dataclass(frozen=True)
class Drawn:
    """One random cluster. Shapes keep their number, so that their names stay when others are left out."""

    seed: int
    shapes: tuple[tuple[int, str, str], ...]
    steps: tuple[str, ...]

    def __str__(self) -> str:
        shapes = ", ".join(f"{name} ({state})" for _, name, state in self.shapes)
        return f"seed {self.seed}: {len(self.shapes)} shapes [{shapes}]; steps [{', '.join(self.steps)}]"


Step = Callable[[Story, random.Random], None]
STEPS: dict[str, tuple[int, Step]] = {}


def step(name: str, weight: int = 2) -> Callable[[Step], Step]:
    def add(take: Step) -> Step:
        STEPS[name] = (weight, take)
        return take

    return add


def draw(seed: int, able: frozenset[str], shapes: tuple[int, int] = (25, 45), steps: tuple[int, int] = (4, 9)) -> Drawn:
    """Draw a cluster of what a server can make."""
    rng = random.Random(seed)
    can = [shape for shape in CATALOGUE.values() if set(shape.needs) <= able]
    drawn: list[tuple[int, str, str]] = []
    slow, once = 0, set()
    for number in range(rng.randint(*shapes)):
        shape = rng.choice(can)
        if (shape.once and shape.name in once) or (shape.slow and slow >= 3):
            continue
        slow += shape.slow
        once.add(shape.name)
        drawn.append((number, shape.name, rng.choice(shape.states)))
    names, weights = list(STEPS), [weight for weight, _ in STEPS.values()]
    taken = rng.choices(names, weights, k=rng.randint(*steps))
    return Drawn(seed, tuple(drawn), (*taken, "run", "report", "certificate"))


def play(story: Story, drawn: Drawn) -> list[str]:
    """Make the cluster, take every step; return the violations."""
    making = [CATALOGUE[name].at(story.world, number, state) for number, name, state in drawn.shapes]
    story.world.build(*making)
    story.look()
    story.ready()
    for number, name in enumerate(drawn.steps):
        _, take = STEPS[name]
        story.told.append(f"step {name}")
        with suppress(ApiError):  # the index of an event may be gone, blocked, or closed: then it did not happen
            take(story, random.Random(f"{drawn.seed} {number} {name}"))
    if story.oracle.stopped:
        story.command("resume")
    story.end()
    return story.verdict()


def shrunk(drawn: Drawn, breaks: Callable[[Drawn], bool], patience: int = 40) -> Drawn:
    """Leave out shapes and steps for as long as it still breaks; at most `patience` clusters are made for it."""
    tries = 0
    for field in ("shapes", "steps"):
        size = max(1, len(getattr(drawn, field)) // 2)
        while size and tries < patience:
            for less in _without(getattr(drawn, field), size):
                tries += 1
                candidate = replace(drawn, **{field: less})
                if breaks(candidate):
                    drawn = candidate
                    break
                if tries >= patience:
                    return drawn
            else:
                size //= 2
    return drawn


def _without(items: tuple[object, ...], size: int) -> Iterator[tuple[object, ...]]:
    for start in range(0, len(items), size):
        yield items[:start] + items[start + size :]


# --- steps --------------------------------------------------------------------------------------------


@step("run", 8)
def _(story: Story, rng: random.Random) -> None:
    story.command("run", "--once")


@step("report", 3)
def _(story: Story, rng: random.Random) -> None:
    story.report()


@step("plan", 1)
def _(story: Story, rng: random.Random) -> None:
    story.command("plan", "--output", "json")


@step("approve", 1)
def _(story: Story, rng: random.Random) -> None:
    story.approve(rng.choice(["logs", "events", "records"]))


@step("certificate", 2)
def _(story: Story, rng: random.Random) -> None:
    story.certificate(story.world.gone)


@step("erase", 4)
def _(story: Story, rng: random.Random) -> None:
    story.ask("erase", story.world.gone)


@step("terminate", 2)
def _(story: Story, rng: random.Random) -> None:
    story.ask("terminate", story.world.gone)


@step("reinstate", 1)
def _(story: Story, rng: random.Random) -> None:
    story.ask("reinstate", story.world.gone)


@step("hold the one who is erased", 1)
def _(story: Story, rng: random.Random) -> None:
    story.add_hold("subject", story.world.gone)


@step("hold an index", 2)
def _(story: Story, rng: random.Random) -> None:
    names = sorted(one.name for one in story.census.indices.values() if f"{story.world.prefix}logs" in one.name)
    if names:
        story.add_hold("index", rng.choice(names))


@step("hold a category", 1)
def _(story: Story, rng: random.Random) -> None:
    story.add_hold("category", rng.choice(["logs", "events", "tenants"]))


@step("remove a hold", 1)
def _(story: Story, rng: random.Random) -> None:
    if story.oracle.holds:
        story.command("hold", "remove", rng.choice(sorted(story.oracle.holds)))


@step("stop", 1)
def _(story: Story, rng: random.Random) -> None:
    story.command("stop")


@step("resume", 2)
def _(story: Story, rng: random.Random) -> None:
    story.command("resume")


@step("edit the policy", 1)
def _(story: Story, rng: random.Random) -> None:
    story.promises = story.promises.changed("logs", max_age=rng.choice(["14d", "10d", "400d"]))
    story.write_policy()


@step("accept the policy", 2)
def _(story: Story, rng: random.Random) -> None:
    story.command("policy", "accept")


@step("the enforcer's clock is ahead", 1)
def _(story: Story, rng: random.Random) -> None:
    before = story.look()
    story.command("run", "--once", clock=FixedClock(ahead=rng.choice([30, 400]) * DAY))
    gone = set(before.documents) - set(story.census.documents)
    if gone:
        story.oracle.blame("deleted by a clock that is ahead", f"{len(gone)} documents")


@step("both clocks are ahead", 1)
def _(story: Story, rng: random.Random) -> None:
    story.ahead += rng.choice([HOUR, DAY, 5 * DAY])


@step("others write", 3)
def _(story: Story, rng: random.Random) -> None:
    names = sorted(n for n in story.bench.es.indices.get(index=f"{story.world.prefix}logs-*,-*archive*"))
    if names:
        at = now() - rng.choice([HOUR, 20 * DAY])
        application = rng.choice([story.world.gone.id, story.world.kept.id, "neighbour"])
        name = rng.choice(names)
        if "properties" in str(story.bench.es.indices.get_mapping(index=name)) and _plain(story, name):
            story.write(name, Draft(at=at, application=application))


def _plain(story: Story, name: str) -> bool:
    """Whether an ordinary document can be told apart there afterwards: what its mapping makes of it is what it says."""
    (found,) = story.bench.es.indices.get(index=name).values()
    fields = found["mappings"].get("properties", {})
    blocks = found["settings"]["index"].get("blocks", {})
    mode = found["settings"]["index"].get("mode")
    takes_writes = story.bench.es.cluster.health(index=name)["status"] != "red"
    plain = all(fields.get(f, {}).get("type") == t for f, t in (("@timestamp", "date"), ("sdkappid", "keyword")))
    return takes_writes and plain and not blocks and mode is None and "_routing" not in found["mappings"]


@step("an alias rolls over", 2)
def _(story: Story, rng: random.Random) -> None:
    aliases = sorted(
        {
            alias
            for one in story.census.indices.values()
            for alias in one.aliases
            if alias.endswith(("-write", "-w")) or "case" in alias
        }
    )
    if aliases:
        alias = rng.choice(aliases)
        story.event(f"{alias} rolls over", lambda: story.bench.es.indices.rollover(alias=alias))


@step("an alias moves", 2)
def _(story: Story, rng: random.Random) -> None:
    pairs = sorted(
        (a, one.name) for one in story.census.indices.values() for a in one.aliases if story.world.prefix in a
    )
    pairs = [p for p in pairs if "retention" not in p[0] and "write" not in p[0]]
    if pairs:
        alias, name = rng.choice(pairs)
        new = f"{story.world.prefix}logs-moved-{rng.randrange(10**6)}"

        def move() -> None:
            story.world.index(new, [Draft(at=now() - HOUR)])
            story.world.flush()
            remove = {"remove": {"index": name, "alias": alias}}
            story.bench.es.indices.update_aliases(actions=[remove, {"add": {"index": new, "alias": alias}}])

        story.event(f"{alias} moves from {name} to {new}", move)


@step("a backing index leaves its stream", 2)
def _(story: Story, rng: random.Random) -> None:
    if "streams" not in story.world.able.names:
        return
    streams = sorted({str(one.stream) for one in story.census.indices.values() if one.stream})
    if streams:
        stream = rng.choice(streams)
        first, *more = story.world.backing(stream)
        if more:
            taken = [{"remove_backing_index": {"data_stream": stream, "index": first}}]
            story.event(f"{first} leaves {stream}", lambda: story.bench.es.indices.modify_data_stream(actions=taken))


@step("an index is closed", 1)
def _(story: Story, rng: random.Random) -> None:
    names = sorted(
        one.name for one in story.census.indices.values() if f"{story.world.prefix}logs" in one.name and one.open
    )
    if names:
        name = rng.choice(names)
        story.event(f"{name} is closed", lambda: story.bench.es.indices.close(index=name))


@step("an index is blocked", 1)
def _(story: Story, rng: random.Random) -> None:
    names = sorted(one.name for one in story.census.indices.values() if f"{story.world.prefix}logs" in one.name)
    if names:
        name, block = rng.choice(names), rng.choice(["read_only", "write", "metadata"])
        story.event(f"{name} gets the block {block}", lambda: story.world.block(name, block))


@step("an own index is deleted", 1)
def _(story: Story, rng: random.Random) -> None:
    name = rng.choice([story.bench.own.control, story.bench.own.requests])
    story.event(f"{name} is deleted", lambda: story.bench.es.indices.delete(index=name))
    before = story.look()
    story.command("run", "--once")
    gone = set(before.documents) - set(story.census.documents)
    if gone:
        story.oracle.blame("deleted without its own indices", f"{len(gone)} documents, {name} was gone")


@step("an index is made anew under its name", 1)
def _(story: Story, rng: random.Random) -> None:
    names = sorted(
        one.name
        for one in story.census.indices.values()
        if one.name.startswith(f"{story.world.prefix}logs-s") and one.open and not one.stream and not one.aliases
    )
    if names:
        name = rng.choice(names)

        def anew() -> None:
            story.bench.es.indices.delete(index=name)
            story.world.index(name, story.world.drafts(rng.choice(["young", "both"])))
            story.world.flush()

        story.event(f"{name} is made anew", anew)
