"""Index expressions for the URL: as few as possible, none too long, and none that reaches what it must not.

A wildcard reaches indices by their own name, but also through aliases and streams that it matches. For some
requests one index can spoil the answer for all (a red one makes `_refresh` hang for a minute, one with
`index.blocks.metadata` makes `_stats` answer 403), so such indices are kept out: by an exclusion where the wildcard
reaches them by name alone, else by naming all others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

LONGEST = 2_800
"""Bytes of an expression. Elasticsearch takes 4,096 for the whole request line (measured); the rest of it has room."""

LONGEST_FIELDS = 800
"""Bytes of the names of fields beside it."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some indices, and the expression that reaches all of them in a URL."""

    expression: str
    names: tuple[str, ...]


def matches(expression: str, name: str) -> bool:
    """Whether a name or wildcard, as Elasticsearch reads it, matches a name."""
    return _regex(expression).fullmatch(name) is not None


@lru_cache(maxsize=1024)
def _regex(expression: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, expression.split("*"))), re.DOTALL)


def covering(
    expressions: Iterable[str],
    wanted: Mapping[str, str | None],
    caught: Mapping[str, Collection[str]],
    avoid: Collection[str] = (),
) -> Iterator[Batch]:
    """Yield expressions that together reach all wanted indices, and none that is to be avoided.

    `wanted` maps each index to the stream through whose name it is reached too, or None. `caught` maps each index
    that the expressions can reach to its further names, aliases and streams.
    """
    kept: dict[str, list[str]] = {}
    reached_by: dict[str, set[str]] = {}
    left = set(wanted)
    for expression in expressions:
        reached = {
            name
            for name, stream in wanted.items()
            if matches(expression, name) or (stream is not None and matches(expression, stream))
        }
        excluded = sorted(name for name in avoid if matches(expression, name))
        if reached and not _reaches_by_another_name(expression, caught, avoid) and _size(excluded) < LONGEST // 2:
            kept[expression] = [f"-{name}" for name in excluded]
            reached_by[expression] = reached
            left -= reached
    for units, expression in _packed(kept, sorted(left)):
        names = set[str]().union(*(reached_by.get(unit, {unit}) for unit in units))
        yield Batch(expression, tuple(sorted(names)))


def packed(names: Iterable[str]) -> Iterator[str]:
    """Yield these names or wildcards in lists that are not too long."""
    return (expression for _, expression in _packed({}, names))


def batches(names: Iterable[str]) -> Iterator[Batch]:
    """Yield these indices, by their names alone, in lists that are not too long."""
    return (Batch(expression, tuple(units)) for units, expression in _packed({}, names))


def by_fields(
    wanted: Mapping[str, Collection[str]], spelled: Callable[[Iterable[str]], list[str]]
) -> Iterator[tuple[list[str], list[str]]]:
    """Yield indices with the fields that one request asks of them, as many as fit into a URL beside an expression.

    `wanted` says which fields each index is asked for; it is asked for others only where they fit in as well. `spelled`
    gives all names that stand for some fields in the request.
    """
    alike: dict[frozenset[str], list[str]] = {}
    for name, fields in wanted.items():
        if fields:
            alike.setdefault(frozenset(fields), []).append(name)
    indices: list[str] = []
    together: set[str] = set()
    for some, names in sorted(alike.items(), key=lambda one: sorted(one[0])):
        if _bytes(spelled(together | some)) > LONGEST_FIELDS:
            if indices:
                yield indices, sorted(together)
            indices, together = [], set()
        if _bytes(spelled(some)) > LONGEST_FIELDS:
            yield from ((names, page) for page in fitting(sorted(some), spelled))
        else:
            indices, together = [*indices, *names], together | some
    if indices:
        yield indices, sorted(together)


def fitting(texts: Iterable[str], spelled: Callable[[Iterable[str]], list[str]] = list) -> Iterator[list[str]]:
    """Yield these names of fields, or paths, in lists that fit into a URL beside an expression."""
    page: list[str] = []
    for text in texts:
        if page and _bytes(spelled([*page, text])) > LONGEST_FIELDS:
            yield page
            page = []
        page.append(text)
    if page:
        yield page


def _bytes(fields: Collection[str]) -> int:
    return sum(len(quote(field, safe="")) + 3 for field in fields)  # a comma is three bytes in the query


def _reaches_by_another_name(expression: str, caught: Mapping[str, Collection[str]], avoid: Collection[str]) -> bool:
    return any(matches(expression, other) for name in avoid for other in caught.get(name, ()))


def _packed(wildcards: Mapping[str, list[str]], names: Iterable[str]) -> Iterator[tuple[list[str], str]]:
    """Yield lists of wildcards, then their exclusions, which work on what stands before them, then names."""
    chosen: list[str] = []
    exclusions: set[str] = set()
    plain: list[str] = []
    size = 0
    for unit, without in [*wildcards.items(), *((name, []) for name in names)]:
        more = _size([unit, *(one for one in without if one not in exclusions)])
        if chosen + plain and size + more > LONGEST:
            yield [*chosen, *plain], ",".join([*chosen, *sorted(exclusions), *plain])
            chosen, exclusions, plain, size = [], set(), [], 0
            more = _size([unit, *without])
        (chosen if unit in wildcards else plain).append(unit)
        exclusions.update(without)
        size += more
    if chosen or plain:
        yield [*chosen, *plain], ",".join([*chosen, *sorted(exclusions), *plain])


def _size(names: Collection[str]) -> int:
    return sum(len(quote(name, safe="*-")) + 1 for name in names)


def concrete(names: Iterable[str]) -> list[str]:
    """Return the names, if each can only be that of one index: where something is changed, nothing else may stand."""
    found = [concrete_name(name) for name in names]
    if not found:
        raise ValueError("no index named")
    return found


def concrete_name(name: str) -> str:
    """Return the name, if it can only be that of one index: Elasticsearch would take more than names in its place."""
    if not name or name[0] in "-_+<" or set(name) & set('*,?"<>|\\/ #:') or name != name.lower():
        raise ValueError(f"{name!r} is not the name of one index")
    return name
