"""A story: commands given to the enforcer, and events in its cluster, each judged by the oracle."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from elastic_transport import Transport
from elasticsearch import ApiError

from shapes import census as counting
from shapes.catalogue import CATALOGUE
from shapes.census import Census
from shapes.oracle import Asked, Oracle
from shapes.promises import Promises, Subject, usual
from shapes.world import Draft, World, abilities, now
from workbench import FixedClock, Ran, Workbench

CHANGES = {"run", "hold", "stop", "resume", "policy", "plan approve", "terminate", "erase", "reinstate", "setup"}


@dataclass
class Story:
    """One cluster from its making to its end."""

    bench: Workbench
    promises: Promises
    world: World
    oracle: Oracle
    census: Census = field(default_factory=lambda: Census(0))
    ahead: int = 0
    """How far both clocks are ahead, the cluster's and the enforcer's."""
    told: list[str] = field(default_factory=list)
    """What was done, in order: for the reader of a violation."""
    hold_ids: list[str] = field(default_factory=list)
    clumsy: list[str] = field(default_factory=list)
    """Tracebacks."""

    @classmethod
    def on(cls, bench: Workbench, promises: Callable[[str], Promises] = usual) -> Story:
        world = World(bench.es, bench.prefix, abilities(bench.es))
        policy = promises(bench.prefix)
        bench.settings |= {"ENFORCER_GRACE": "0s"}
        story = cls(bench, policy, world, Oracle(world))
        story.write_policy()
        return story

    def write_policy(self) -> None:
        self.bench.policy_text = self.promises.text().replace("{", "{{").replace("}", "}}")

    # --- events ---

    def build(self, *named: tuple[str, str]) -> None:
        """Make shapes, each named with its state; what the server cannot make is left out by name."""
        making = []
        for number, (name, state) in enumerate(named):
            shape = CATALOGUE[name]
            if lacks := self.world.able.lacks(shape.needs):
                self.world.left_out.append(f"{name}: no {', '.join(lacks)}")
                continue
            making.append(shape.at(self.world, number, state))
        self.world.build(*making)
        self.look()

    def look(self) -> Census:
        """Take a new census after an event of the world, which nobody is blamed for."""
        self.census = counting.take(self.world, self.census)
        self.oracle.extend_holds(self.census)
        return self.census

    def event(self, text: str, do: Callable[[], Any]) -> Any:
        """Something happens in the cluster; what deletes meanwhile is judged as if a command had."""
        self.told.append(text)
        answer = do()
        self.look()
        return answer

    def write(self, name: str, *drafts: Draft, **options: Any) -> None:
        """Others write documents."""
        self.world.write(name, drafts, **options)
        self.world.flush()
        self.look()

    def wait_and_judge(self, what: str) -> None:
        """Judge what went while nobody gave a command."""
        self.told.append(what)
        before, self.census = self.census, counting.take(self.world, self.census)
        self.oracle.judge_what_went(before, self.census, ["wait"], 0)

    # --- commands ---

    def command(
        self, *arguments: str, clock: Any = None, hook: Any = None, environ: dict[str, str] | None = None
    ) -> Ran:
        """Give a command; judge what went, and what it said."""
        before = self.look()
        oracle, first = self.oracle, " ".join(arguments[:2])
        oracle.ahead = self.ahead
        began = now() + self.ahead
        clock = clock or (FixedClock(ahead=self.ahead) if self.ahead else None)
        hiding = {"environ": environ} if environ else {}
        with both_ahead(self.ahead):
            ran = self.bench.run(*arguments, clock=clock, **hiding)
        took = (now() + self.ahead - began) / 1_000
        self.told.append(f"{' '.join(arguments)} -> {ran.code} ({took:.1f} s)")
        if ran.code in {1, 2, 4}:
            errors = re.findall(r'"log.level": "error", "message": "([^"]*)"', ran.err)
            self.told.append(f"    {'; '.join(errors)[:600] or ran.err[:300]}")
        if "Traceback" in ran.err:
            self.clumsy.append(f"{' '.join(arguments)}: {ran.err[ran.err.index('Traceback') :][-1_500:]}")
        changes = arguments[0] in CHANGES or first in CHANGES
        before = self.census  # what came while it ran was looked at then
        after = counting.take(self.world, before) if changes else before
        self.census = after
        with suppress(ValueError):
            self._understand(ran, arguments, before, after, began)
        if changes:
            oracle.judge_what_went(before, after, arguments, ran.code)
            oracle.extend_holds(after)
        return ran

    def _understand(self, ran: Ran, arguments: tuple[str, ...], before: Census, after: Census, began: int) -> None:
        oracle, first = self.oracle, " ".join(arguments[:2])
        if first == "policy accept" and ran.code == 0:
            self.accepted()
        elif first == "hold add" and ran.code in {0, 1}:
            self._held(ran, arguments, before)
        elif first == "hold remove" and ran.code in {0, 1} and arguments[2] in oracle.holds:
            del oracle.holds[arguments[2]]
        elif arguments[0] == "stop" and ran.code in {0, 1}:
            oracle.stopped = True
            oracle.excused = set(re.findall(r"NOT STOPPED (\S+):", ran.out))
        elif arguments[0] == "resume" and ran.code in {0, 1}:
            oracle.stopped = False
        elif arguments[0] == "run" and ran.code == 0 and oracle.accepted is not None:
            every = [one.id for one in oracle.accepted.every]
            oracle.judge_kept(after, every, began, oracle.accepted, "run exits 0")
        elif arguments[0] == "report" and ran.code in {0, 3}:
            document = ran.json
            kept = [c["id"] for c in document["categories"] if c["kept"]]
            oracle.judge_kept(after, kept, began, self.promises, "report")
        elif arguments[0] == "terminations":
            oracle.judge_milestones({**one, "purged_at": None, "erased_at": None} for one in ran.json)
        elif arguments[0] == "certificate" and ran.code in {0, 3}:
            oracle.judge_milestones(ran.json)
        elif first == "ledger verify":
            oracle.judge_chain(ran.code)

    def accepted(self) -> None:
        """The policy as it is in the file is the one that counts now: what was approved or foreseen is void."""
        if self.oracle.accepted != self.promises:
            self.oracle.looks.clear()
            self.oracle.approved.clear()
        self.oracle.accepted = self.promises

    def _held(self, ran: Ran, arguments: tuple[str, ...], census: Census) -> None:
        listed = self.bench.run("hold", "list", "--output", "json").json
        (id_,) = [one["id"] for one in listed if one["id"] not in self.hold_ids][-1:] or [""]
        if not id_:
            return
        self.hold_ids.append(id_)
        kind, what = arguments[2].removeprefix("--"), arguments[3]
        target: Any = what if kind in {"index", "category"} else self._subject_of(arguments)
        excused = set(re.findall(r"NOT PROTECTED (\S+):", ran.out)) if ran.code == 1 else set()
        self.oracle.hold(id_, kind if kind in {"index", "category"} else "subject", target, census, excused)

    @staticmethod
    def _subject_of(arguments: Iterable[str]) -> Subject:
        given = list(arguments)
        options = {k: given[given.index(k) + 1] for k in ("--account", "--application", "--user") if k in given}
        if "--user" in options:
            return Subject("user", options["--user"], options["--application"])
        kind = "account" if "--account" in options else "application"
        return Subject(kind, options[f"--{kind}"])

    # --- commands that need more than their words ---

    def ready(self) -> None:
        """Set up, accept, and put the holds on that shapes want."""
        for words in (("setup", "--indices-only"), ("policy", "accept")):
            ran = self.command(*words)
            assert ran.code == 0, ran.err
        for kind, what in dict.fromkeys(self.world.holds):
            self.add_hold(kind, what)

    def add_hold(self, kind: str, what: Any) -> Ran:
        options = [f"--{kind}", what] if kind in {"index", "category"} else what.options
        return self.command("hold", "add", *options, "--owner", "o", "--reason", "r", "--until", "2030-01-01")

    def ask(self, ask: str, subject: Subject, *more: str) -> Ran:
        ran = self.command(ask, *subject.options, *more)
        if ran.code == 0:
            if ask == "reinstate":
                same = [one for one in self.oracle.asked if one.subject == subject]
                for one in same:
                    self.oracle.asked.remove(one)
                if not same:
                    self.oracle.reinstated.append(subject)
            else:
                self.oracle.asked.append(Asked(subject, ask, now()))
                self.oracle.reinstated = [one for one in self.oracle.reinstated if one != subject]
        return ran

    def approve(self, category: str) -> Ran:
        """Approve what the plan shows of a category: exactly the documents that it would destroy now."""
        found = self.command("plan", "--output", "json").plan(category)
        ran = self.command("plan", "approve", found["hash"])
        if ran.code == 0:
            promise = next(p for p in self.promises.every if p.id == category)
            for purge in found["purge"]:
                keys = list(self.census.of(purge["uuid"]))
                if purge["action"] != "delete_index":
                    due = [key for key in keys if self.oracle.is_due(promise, key, now() + self.ahead)]
                    keys = [key for key in due if not self.oracle.is_held(key)]
                self.oracle.approved |= set(keys)
                if len(keys) != purge["documents"]:
                    self.oracle.blame(
                        "a plan shows another number", f"{purge['index']}: {purge['documents']}, not {len(keys)}"
                    )
        return ran

    def certificate(self, subject: Subject, environ: dict[str, str] | None = None) -> Ran:
        ran = self.command("certificate", *subject.options, "--output", "json", environ=environ)
        if ran.code in {0, 3} and ran.out.strip():
            for one in ran.json:
                if one["final"]:
                    self.oracle.judge_final(self.census, subject)
                self.told += [f"    open: {item['text'][:200]}" for item in one["open_items"]]
                self._judge_counts(one)
        return ran

    def _judge_counts(self, certificate: dict[str, Any]) -> None:
        """A purge that the certificate names with its record: its number is the one of the documents that went."""
        for purge in certificate["purged"]:
            if purge["documents"] == 0:
                self.oracle.blame("0 documents for what cannot be told", f"certificate: {purge['index']}")

    def report(self) -> Ran:
        """The report, and whether it is silent about a purge that fails."""
        ran = self.command("report", "--output", "json")
        if ran.code in {0, 3}:
            self.oracle.judge_silence(self.census, ran.json["findings"])
        return ran

    def end(self) -> None:
        """The last looks: the ledger's chain, and a census with every closed index opened."""
        if self.census.ledger:
            self.command("ledger", "verify")
        before = self.census
        after = counting.take(self.world, before, opening=True)
        for uuid, seen in before.indices.items():
            if uuid in after.indices and uuid in before.guessed and uuid not in after.guessed:
                there = set(after.of(uuid))
                for key in before.of(uuid):
                    if key not in there:
                        self.oracle.blame("gone from what nobody could look into", seen.name)
        self.census = after

    def verdict(self) -> list[str]:
        """All violations, and tracebacks, as lines."""
        return [str(one) for one in self.oracle.found] + [f"[traceback] {text}" for text in self.clumsy]


# --- clocks and moments -------------------------------------------------------------------------------


@contextmanager
def both_ahead(ahead: int) -> Iterator[None]:
    """The cluster's clock as the enforcer reads it is ahead as well: one host, one source of time."""
    if not ahead:
        yield
        return
    original = Transport.perform_request

    def later(self: Transport, method: str, target: str, **more: Any) -> Any:
        answer = original(self, method, target, **more)
        if "_cluster/stats" in target and isinstance(answer.body, dict) and "timestamp" in answer.body:
            answer.body["timestamp"] += ahead
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Transport, "perform_request", later)
        yield


@contextmanager
def right_before(
    method: str, path: str, do: Callable[[], None], nth: int = 1, *, after: bool = False
) -> Iterator[list[str]]:
    """Do something right before (or after) the n-th request (0: each) whose method and path fit."""
    original, seen, inside = Transport.perform_request, list[str](), [False]

    def now_do() -> None:
        inside[0] = True
        try:
            do()
        finally:
            inside[0] = False

    def hooked(self: Transport, sent: str, target: str, **more: Any) -> Any:
        fits = not inside[0] and bool(re.fullmatch(method, sent) and re.search(path, target))
        if fits:
            seen.append(target)
        mine = fits and nth in {0, len(seen)}
        if mine and not after:
            now_do()
        answer = original(self, sent, target, **more)
        if mine and after:
            now_do()
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Transport, "perform_request", hooked)
        yield seen


__all__ = ["ApiError", "Story", "both_ahead", "right_before"]
