"""A policy in the least words: what the oracle believes, and, as a file, what the enforcer reads."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

SECOND = 1_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
UNITS = {"s": SECOND, "m": 60 * SECOND, "h": HOUR, "d": DAY}
BEHIND_A_STREAM = re.compile(r"\.[df]s-(.+)-[0-9]{4}\.[0-9]{2}\.[0-9]{2}-[0-9]+")


def milliseconds(text: str) -> int:
    """Return the length of a duration such as `14d`."""
    return int(text[:-1]) * UNITS[text[-1]]


@dataclass(frozen=True, kw_only=True)
class Promise:
    """One category. `{p}` in a pattern is the cluster's prefix."""

    id: str
    indices: tuple[str, ...]
    max_age: str | None = None
    after_termination: str | None = None
    subjects: tuple[tuple[str, str], ...] = (("application", "sdkappid"), ("user", "user_id"))
    timestamp: str = ""
    owns: bool = False
    rollover: str | None = "1d"

    def names(self, subject: str) -> bool:
        """Whether documents of the category name a subject of this kind."""
        kinds = {kind for kind, _ in self.subjects}
        return kinds >= ({"application", "user"} if subject == "user" else {subject})


@dataclass(frozen=True, kw_only=True)
class Promises:
    """A whole policy. Documents are due `margin` before their limit."""

    prefix: str
    every: tuple[Promise, ...]
    ignore: tuple[str, ...] = ()
    margin: str = "1h"
    earliest: str | None = None

    def text(self) -> str:
        """The policy file."""
        lines = ["version: 1", f"name: {self.prefix}policy", f"margin: {self.margin}", "on_request: 7d"]
        if self.earliest:
            lines.append(f"earliest: {self.earliest}")
        if self.ignore:
            lines.append(f"ignore: [{self._quoted(self.ignore)}]")
        lines.append("categories:")
        for one in self.every:
            lines += [
                f"  - id: {one.id}",
                f'    clause: {{document: Test promises, section: "1", item: {one.id}, updated: 2026-01-01}}',
                f"    indices: [{self._quoted(one.indices)}]",
            ]
            if one.timestamp:
                lines.append(f"    timestamp: {one.timestamp}")
            if one.subjects:
                fields = ", ".join(f"{kind}: {name}" for kind, name in one.subjects)
                lines.append(f"    subjects: {{{fields}}}")
                if one.owns:
                    lines.append(f"    owns: {{{fields}}}")
            for key in ("max_age", "after_termination"):
                if value := getattr(one, key):
                    lines.append(f"    {key}: {value}")
            if one.max_age and one.rollover:
                lines.append(f"    rollover: {one.rollover}")
        return "\n".join(lines) + "\n"

    def _quoted(self, patterns: tuple[str, ...]) -> str:
        return ", ".join('"' + pattern.replace("{p}", self.prefix) + '"' for pattern in patterns)

    def changed(self, id_: str, **values: object) -> Promises:
        """The same policy with one category changed."""
        return replace(self, every=tuple(replace(p, **values) if p.id == id_ else p for p in self.every))  # type: ignore[arg-type]

    def ignores(self, name: str) -> bool:
        """Whether a name is left alone on purpose."""
        return any(self._matches(pattern, name) for pattern in self.ignore)

    def of(self, name: str) -> list[Promise]:
        """The categories that claim an index, a stream or an alias of this name; a backing index by its stream's."""
        behind = BEHIND_A_STREAM.fullmatch(name)
        name = behind[1] if behind else name
        if self.ignores(name):
            return []
        return [one for one in self.every if any(self._matches(pattern, name) for pattern in one.indices)]

    def container(self, name: str) -> bool:
        """Whether an index is named without a wildcard, so that it is trimmed and never goes whole."""
        return any(p.replace("{p}", self.prefix) == name for one in self.every for p in one.indices)

    def _matches(self, pattern: str, name: str) -> bool:
        text = re.escape(pattern.replace("{p}", self.prefix))
        text = text.replace(r"\*", ".*").replace(r"\{application\}", "[a-z0-9_]+")
        if name.startswith(".") and "*" in text:
            return False
        return re.fullmatch(text, name) is not None


ANYWHERE = "[sdkappid, project, {path: tags, key: app.id, value: value}, {field: _q, prefix: app.id=}]"
"""An application in one of several places: fields, nested pairs of key and value, or after a text."""
ANYBODY = "[user_id, {path: tags, key: user.id}, {field: _q, prefix: user.id=}]"


def usual(prefix: str) -> Promises:
    """The policy of most clusters here."""
    return Promises(
        prefix=prefix,
        ignore=("{p}logs-archive-*", "{p}metrics-*"),
        every=(
            Promise(id="logs", indices=("{p}logs-*",), max_age="14d"),
            Promise(id="records", indices=("{p}records", "{p}records-2"), max_age="14d"),
            Promise(id="events", indices=("{p}events-*",), max_age="3d", rollover="12h"),
            Promise(id="epochs", indices=("{p}epochs-*",), max_age="14d", timestamp="start"),
            Promise(id="spelled", indices=("{p}spelled-*",), max_age="14d", timestamp="day"),
            Promise(id="millis", indices=("{p}millis-*",), max_age="14d", timestamp="{field: start, unit: ms}"),
            Promise(id="nanos", indices=("{p}nanos-*",), max_age="14d", timestamp="{field: start, unit: ns}"),
            Promise(
                id="buckets",
                indices=("{p}buckets-*",),
                max_age="14d",
                timestamp="{field: bucket, unit: yyyyMMddHHmmss}",
            ),
            Promise(id="plain", indices=("{p}plain-*",), max_age="14d", timestamp="none"),
            Promise(id="box", indices=("{p}box-*",), max_age="14d"),
            Promise(
                id="spans",
                indices=("{p}spans-*",),
                max_age="14d",
                subjects=(("application", ANYWHERE), ("user", ANYBODY)),
            ),
            Promise(
                id="configuration",
                indices=("{p}configuration",),
                subjects=(("account", "uin"), ("application", "sdkappid")),
                owns=True,
                after_termination="7d",
            ),
            Promise(
                id="tenants",
                indices=("{p}tenant-{application}-x",),
                subjects=(("application", "sdkappid"),),
                after_termination="7d",
            ),
        ),
    )


@dataclass(frozen=True)
class Subject:
    """Somebody who is held, terminated, or asks for deletion."""

    kind: str
    id: str
    application: str | None = None
    applications: tuple[str, ...] = field(default=())
    """What belongs to an account, as the cluster was made."""

    @property
    def options(self) -> list[str]:
        """How the command line names it."""
        if self.kind == "user":
            return ["--application", str(self.application), "--user", self.id]
        return [f"--{self.kind}", self.id]
