r"""Names of indices and the patterns that claim them.

A pattern is a literal name, a name with `*`, or one with `{application}`, which stands for one application's
id (`[a-z0-9_]+`) between literals. Elasticsearch's rules for names: lower case, none of `\ / * ? " < > | , # :`
or blanks, no leading `-`, `_` or `+`, at most 255 bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class OwnIndices:
    """The names of the enforcer's own indices. The prefix is for tests, so that they meet nobody else's."""

    prefix: str = ""

    @property
    def ledger(self) -> str:
        """The alias under which records are written and read."""
        return f"{self.prefix}retention-ledger"

    @property
    def ledger_index(self) -> str:
        """The index behind that alias."""
        return f"{self.ledger}-000001"

    @property
    def control(self) -> str:
        """The operator writes it, the enforcer reads it."""
        return f"{self.prefix}retention-control"

    @property
    def state(self) -> str:
        """What the enforcer remembers."""
        return f"{self.prefix}retention-state"

    @property
    def requests(self) -> str:
        """Where terminations and deletions are asked for."""
        return f"{self.prefix}retention-requests"

    @property
    def terminations(self) -> str:
        """What became of these requests."""
        return f"{self.prefix}retention-terminations"

    @property
    def names(self) -> tuple[str, ...]:
        """The five indices, the ledger's alias not among them."""
        return (self.ledger_index, self.control, self.state, self.requests, self.terminations)


OWN = OwnIndices()
"""The own indices of every enforcer but a test's; no policy may claim them."""

_BEHIND_STREAM = re.compile(r"\.[df]s-(.+?)(?:-[0-9]{4}\.[0-9]{2}\.[0-9]{2})?-[0-9]{6,}", re.DOTALL)
"""Streams that were made before 7.11 have no date in the names of their indices."""

_MADE_BY_LIFECYCLE = re.compile(r"(?:shrink-[a-z0-9_-]{4}|restored|partial|downsample-[a-z0-9_]+)-(.+)", re.DOTALL)
"""How lifecycles name what they make from an index: the same, with something before it."""

_SHRUNK = re.compile(r"shrink-[a-z0-9_-]{4}-.+", re.DOTALL)


def stream_in(name: str) -> str | None:
    """Return the stream in the name of a backing or failure index (`.ds-<stream>-2026.01.31-000001`), or None."""
    match = _BEHIND_STREAM.fullmatch(name)
    return match[1] if match else None


def former_names(name: str) -> tuple[str, ...]:
    """Return what an index may have been called before lifecycles made others of it, the last name first.

    `restored-shrink-abcd-logs-1` may have been `shrink-abcd-logs-1`, and that `logs-1`. Anybody can name an index so:
    whether it was made from one of that name, other facts tell.
    """
    found = []
    while match := _MADE_BY_LIFECYCLE.fullmatch(name):
        name = match[1]
        found.append(name)
    return tuple(found)


def is_shrunk(name: str) -> bool:
    """Whether a lifecycle calls so what it has shrunk, or what it made from that."""
    return any(_SHRUNK.fullmatch(each) for each in (name, *former_names(name)))


def governed_part(name: str) -> str:
    """Return the name that a policy claims: a backing index's stream, or the index's own."""
    return stream_in(name) or name


def governed_parts(name: str) -> tuple[str, ...]:
    """Return the same, and those of what it may have been before lifecycles gave it other names."""
    return tuple(governed_part(each) for each in (name, *former_names(name)))


APPLICATION = "{application}"
_APPLICATION_CLASS = "[a-z0-9_]+"
_FORBIDDEN = frozenset('\\/?"<>|,#:{} ')
_MAX_BYTES = 255  # MetadataCreateIndexService.MAX_INDEX_NAME_BYTES


@dataclass(frozen=True, slots=True)
class IndexPattern:
    """What one entry under `indices` claims."""

    text: str
    _regex: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = re.split(r"(\*|\{application\})", self.text)
        translated = {"*": ".*", APPLICATION: f"({_APPLICATION_CLASS})"}
        regex = "".join(translated.get(part, re.escape(part)) for part in parts)
        object.__setattr__(self, "_regex", re.compile(regex, re.DOTALL))

    def __str__(self) -> str:
        return self.text

    @property
    def literal(self) -> bool:
        """Whether it names exactly one index, stream or alias."""
        return "*" not in self.text and not self.tenant

    @property
    def tenant(self) -> bool:
        """Whether it names the indices of single applications."""
        return APPLICATION in self.text

    @property
    def expression(self) -> str:
        """The wildcard expression that asks Elasticsearch for a superset of what it claims."""
        return self.text.replace(APPLICATION, "*")

    def matches(self, name: str) -> bool:
        """Whether it claims the index, stream or alias of this name; dot names are never claimed by a wildcard."""
        if name.startswith(".") and not self.literal:
            return False
        return self._regex.fullmatch(name) is not None

    def application_in(self, name: str) -> str | None:
        """The application's id in the name of a tenant's index, or None."""
        match = self._regex.fullmatch(name) if self.tenant else None
        return match[1] if match else None

    def replace_applications(self, text: str, replacement: Callable[[str], str], replaced: str) -> str:
        """Return a text with the application's id replaced wherever a name like those of the pattern stands in it.

        Names in which it was replaced already have something that begins with `replaced` in its place.
        """
        before, found, after = self.text.partition(APPLICATION)
        if not found:
            return text
        literal = re.escape(before.rpartition("*")[2]), re.escape(after.partition("*")[0])
        inside = re.compile(f"({literal[0]})(?!{re.escape(replaced)})({_APPLICATION_CLASS})(?={literal[1]})")
        return inside.sub(lambda match: match[1] + replacement(match[2]), text)

    def replace_application(self, name: str, replacement: str) -> str:
        """Return a tenant index's name with the application's id replaced; other names as they are."""
        match = self._regex.fullmatch(name) if self.tenant else None
        return name[: match.start(1)] + replacement + name[match.end(1) :] if match else name


def pattern_problem(text: str) -> str | None:
    """Return why a text cannot stand under `indices` or `ignore`, as a sentence, or None."""
    bare = text.replace(APPLICATION, "x")
    bad = sorted({c for c in bare if c in _FORBIDDEN or ord(c) < ord(" ")})
    problems = {
        "it would match every index; name the indices, for example trtc-backend-logs-*": bare.strip("*") == "",
        "indices with a leading dot belong to the system; name a data stream, which covers its backing "
        "indices": bare.startswith("."),
        "the name of an index cannot begin with -, _ or +; to exclude indices, list them under `ignore`": bare[:1]
        in {"-", "_", "+"},
        "date math is not supported; use a wildcard instead": bare.startswith("<"),
        "it names a remote cluster; run a retention-enforcer for that cluster": ":" in bare,
        "names of indices are lower case; write it in lower case": bare != bare.lower(),
        f"the name of an index cannot contain {''.join(bad[:1])!r}; write one name per entry": bad != [],
        f"the name of an index has at most {_MAX_BYTES} bytes; shorten it": len(text.encode()) > _MAX_BYTES,
        "it matches retention-enforcer's own indices, retention-*; make it more specific": claims_own_index(text),
    }
    return next((problem for problem, found in problems.items() if found), None) or _tenant_problem(text)


def _tenant_problem(text: str) -> str | None:
    if text.count(APPLICATION) > 1:
        return "it contains {application} more than once; write it once"
    before, found, after = text.partition(APPLICATION)
    if found and (before == "" or before.endswith("*") or after == "" or after.startswith("*")):
        return "{application} needs literal text before and after it, as in trtc-application-logs-{application}-*"
    return None


def claims_own_index(text: str) -> bool:
    """Whether a pattern claims one of the enforcer's own indices or its ledger's alias."""
    pattern = IndexPattern(text)
    return any(pattern.matches(own) for own in (*OWN.names, OWN.ledger))


def overlap(one: IndexPattern, other: IndexPattern) -> bool:
    """Whether some name is claimed by both patterns, as far as their texts tell."""
    return _meet(_tokens(one.text), _tokens(other.text))


# A token is (characters, repeats): a character, `application` for an id's characters, or `any`.
_Token = tuple[str, bool]


def _tokens(text: str) -> tuple[_Token, ...]:
    tokens: list[_Token] = []
    for part in re.split(r"(\*|\{application\})", text):
        if part == "*":
            tokens.append(("any", True))
        elif part == APPLICATION:
            tokens += [("application", False), ("application", True)]
        else:
            tokens += [(character, False) for character in part]
    return tuple(tokens)


def _share_a_character(one: str, other: str) -> bool:
    if "any" in (one, other) or one == other:
        return True
    if "application" in (one, other):
        return re.fullmatch(_APPLICATION_CLASS, other if one == "application" else one) is not None
    return False


@lru_cache(maxsize=4096)
def _meet(one: tuple[_Token, ...], other: tuple[_Token, ...]) -> bool:
    """Whether the two token sequences accept a common text: a walk over pairs of positions."""
    todo, seen = [(0, 0)], {(0, 0)}
    while todo:
        i, j = todo.pop()
        if i == len(one) and j == len(other):
            return True
        for step in _steps(one, other, i, j):
            if step not in seen:
                seen.add(step)
                todo.append(step)
    return False


def _steps(one: tuple[_Token, ...], other: tuple[_Token, ...], i: int, j: int) -> Iterable[tuple[int, int]]:
    if i < len(one) and one[i][1]:
        yield i + 1, j
    if j < len(other) and other[j][1]:
        yield i, j + 1
    if i < len(one) and j < len(other) and _share_a_character(one[i][0], other[j][0]):
        yield (i if one[i][1] else i + 1), (j if other[j][1] else j + 1)
