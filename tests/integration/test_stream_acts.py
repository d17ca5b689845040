"""What an operator's word is said to protect is there ten polls later, however the streams are managed.

Each act is done once with a stream of every kind, under both values of `foreign_lifecycle`. Afterwards every stream
that has a lifecycle of its own gets a retention of one second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial

import pytest
from elasticsearch import Elasticsearch

from retention_enforcer.domain.instants import DAY, SECOND
from streams import FITTING, KINDS, Kind, StreamBench
from workbench import Ran

pytestmark = pytest.mark.timeout(1800)


@dataclass
class Act:
    """What was done with streams of all kinds, and what is left of them."""

    bench: StreamBench
    ran: Ran
    said: dict[str, dict[str, str]] = field(default_factory=dict)
    """By kind the uuids of the indices that are said to stay, by their names."""
    left: dict[str, dict[str, str]] = field(default_factory=dict)
    """By kind what is there ten polls later."""


def _members(bench: StreamBench) -> dict[str, dict[str, str]]:
    return {str(kind): bench.members(f"logs-{kind}") for kind in KINDS}


def _hold(bench: StreamBench) -> Act:
    return Act(bench, bench.hold("--category", "logs"), _members(bench))


def _hold_of_a_tenant(bench: StreamBench) -> Act:
    ran = bench.hold("--application", "1400")
    rolled = {kind: dict(list(those.items())[:1]) for kind, those in _members(bench).items()}
    return Act(bench, ran, rolled)


def _stop(bench: StreamBench) -> Act:
    return Act(bench, bench.run("stop"), _members(bench))


def _resume(bench: StreamBench) -> Act:
    """Under a hold: what it covers stays covered, and is not given back."""
    held = bench.hold("--category", "logs")
    assert held.code == 0, held.out
    stopped = bench.run("stop")
    assert stopped.code == 0, stopped.out
    return Act(bench, bench.run("resume"), _members(bench))


def _straddle(bench: StreamBench) -> Act:
    """The enforcer has its lifecycle on what it detaches, since young documents are in it beside old ones."""
    for kind in KINDS:
        bench.write(f"logs-{kind}", bench.now(), bench.now() - 3 * DAY)
        bench.es.indices.rollover(alias=f"{bench.prefix}logs-{kind}")
    before = len(bench.records())
    ran = bench.run("run", "--once")
    detached = {
        record["target"]["uuid"]
        for record in bench.records()[before:]
        if record.get("action") == "detach_lifecycle" and record.get("outcome") == "done"
    }
    said = {kind: {n: u for n, u in those.items() if u in detached} for kind, those in _members(bench).items()}
    return Act(bench, ran, said)


def _accept(bench: StreamBench, how: str) -> Act:
    """What a lifecycle of the enforcer's ruled, or its retention: none of a former policy deletes it any more."""
    said = {}
    for kind, members in _members(bench).items():
        put = bench.retention(f"logs-{kind}") == FITTING
        ours = {name for name in members if put or (bench.attached(name) or "").startswith("retention-")}
        said[kind] = {name: uuid for name, uuid in members.items() if name in ours}
    _change(bench, how)
    return Act(bench, bench.run("policy", "accept"), said)


def _change(bench: StreamBench, how: str) -> None:
    """Have another policy file."""
    if how == "left":
        bench.leave()
    elif how == "dropped":
        bench.policy_text = bench.policy_text.replace("id: logs", "id: others", 1).replace("logs-*", "others-*", 1)
    else:
        bench.max_age = {"longer": "15d", "shorter": "13d"}[how]


_BOTH: dict[str, Callable[[StreamBench], Act]] = {
    "hold": _hold,
    "hold of a tenant": _hold_of_a_tenant,
    "stop": _stop,
    "resume": _resume,
    **{how: partial(_accept, how=how) for how in ("longer", "shorter", "dropped")},
}
ACTS = {f"leave: {name}": act for name, act in _BOTH.items()} | {
    f"adopt: {name}": act
    for name, act in {**_BOTH, "left": partial(_accept, how="left"), "straddling": _straddle}.items()
}


@pytest.fixture(scope="module")
def acts(
    server: object, es: Elasticsearch, prefixes: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Act]]:
    """Do all of it, then give every stream that has a lifecycle of its own one second, and wait for ten polls."""
    done: dict[str, Act] = {}
    made = contextmanager(StreamBench.on)
    with ExitStack() as stack:
        for name, act in ACTS.items():
            bench = stack.enter_context(made(server, es, prefixes(), tmp_path_factory.mktemp("acts")))
            if name.startswith("adopt"):
                bench.adopt()
            bench.ready()
            bench.make_all()
            first = bench.run("run", "--once")
            assert first.code == 0, first.err
            done[name] = act(bench)
        own = [f"logs-{kind}" for kind in KINDS if kind.lifecycle]
        for name, act_ in done.items():
            act_.bench.put_lifecycle(*own, enabled="stop" not in name)
        bench.polls()
        for act_ in done.values():
            act_.left = _members(act_.bench)
        yield done


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("name", ACTS)
def test_what_is_said_to_stay_is_there_ten_polls_later(acts: dict[str, Act], name: str, kind: Kind) -> None:
    act = acts[name]
    assert act.ran.code == 0, act.ran.out + act.ran.err
    said = act.said.get(str(kind), {})
    assert said.items() <= act.left[str(kind)].items()
    assert len(said) >= _least(name, kind)


def _least(name: str, kind: Kind) -> int:
    """How many indices of a stream are said to stay at least."""
    how, _, act = name.partition(": ")
    if act == "straddling":
        return 0 if kind.ruled_by_its_stream else 1
    if act == "hold of a tenant":
        return 1
    left_to_others = how == "leave" and (kind.ilm or kind.ruled_by_its_stream)
    return 0 if left_to_others and act in {"longer", "shorter", "dropped"} else 2


def test_a_stream_that_nothing_keeps_loses_its_rolled_index(acts: dict[str, Act]) -> None:
    """Else the waiting proves nothing."""
    bench = acts["leave: hold"].bench
    bench.make("elsewhere", Kind(), retention="1s")
    bench.polls(5)
    assert len(bench.members("elsewhere")) == 1
    kept = acts["leave: longer"].left[str(Kind())]
    assert len(kept) == 1, "nor does another policy keep what is somebody else's"


# --- what was due by the former retention -------------------------------------------------------------


@pytest.mark.parametrize("change", ["longer", "dropped", "left"])
def test_what_was_almost_due_under_a_former_policy_is_there_after_the_next_cycles(
    server: object, es: Elasticsearch, prefix: str, tmp_path: object, change: str
) -> None:
    for bench in StreamBench.on(server, es, prefix, tmp_path):
        bench.adopt()
        full = bench.make("logs-own", Kind(), retention="30d")
        at = bench.now() - int(FITTING.removesuffix("s")) * SECOND + 60 * SECOND
        bench.write("logs-own", at)
        bench.es.indices.rollover(alias=full)
        _, almost, _ = bench.members("logs-own")
        bench.es.indices.put_settings(index=almost, settings={"index.lifecycle.origination_date": at})
        bench.ready()
        assert bench.run("run", "--once").code == 0
        assert bench.retention("logs-own") == FITTING
        _change(bench, change)
        accepted = bench.run("policy", "accept")
        assert accepted.code == 0, accepted.out
        assert bench.now() < at + int(FITTING.removesuffix("s")) * SECOND, "the machine is too slow for this test"
        for _ in range(2):
            assert bench.run("run", "--once").code == 0
        assert bench.date(almost) == at
        bench.polls(max(0, (at + int(FITTING.removesuffix("s")) * SECOND - bench.now()) // SECOND) + 10)
        assert almost in bench.members("logs-own")
