"""What a policy must satisfy beyond its shape: every promise can be kept, and every index has one owner.

The rules see values, never a file: a `Problem` names the path of keys and indices at which it stands, and whoever
read the policy knows the line of that path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import product

from retention_enforcer.domain.instants import DAY, HOUR, MINUTE, SECOND, format_duration, format_instant
from retention_enforcer.domain.policy.names import overlap, pattern_problem
from retention_enforcer.domain.policy.places import Place
from retention_enforcer.domain.policy.promises import ON_REQUEST, Category, Policy
from retention_enforcer.domain.timestamps import unit_problem

Path = tuple[str | int, ...]
"""Keys and list indices from the top of a policy down to a value."""

_JOBS = frozenset({"terminations", "coverage", "lifecycles"})

_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
YEAR = 365 * DAY
_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong, where it stands, and what to write instead."""

    path: Path
    text: str
    remedy: str


def policy_problems(policy: Policy) -> list[Problem]:
    """Return all that is wrong with a policy; an empty list if it can be kept."""
    problems = [*_whole_problems(policy), *_id_problems(policy)]
    for number, category in enumerate(policy.categories):
        path: Path = ("categories", number)
        problems += _clause_problems(category, path)
        problems += _promise_problems(category, path, policy.margin)
        problems += _index_problems(category, path)
        problems += _subject_problems(category, path)
        problems += _field_problems(category, path)
        problems += _place_problems(category, path)
        problems += _timestamp_problems(category, (*path, "timestamp", "unit"), policy.margin)
    return [*problems, *_ignored_problems(policy), *_overlap_problems(policy)]


def earliest_problems(policy: Policy, now: int) -> list[Problem]:
    """Return whether documents that are past a limit at `now` would not be believed, and so be kept for ever."""
    longest = max(policy.categories, key=lambda category: category.max_age or 0, default=None)
    max_age = (longest.max_age or 0) if longest is not None else 0
    if policy.earliest <= now - max_age:
        return []
    since = format_instant(now - max_age)[:10]
    if longest is None or not max_age:
        text = f"{format_instant(policy.earliest)} is in the future, so no current timestamp would be plausible"
    else:
        text = (
            f"{format_instant(policy.earliest)} is less than {format_duration(max_age)} ago, the max_age of "
            f"{longest.id}: "
            "the timestamp of a document past that limit would not be plausible, and the document would be kept"
        )
    remedy = f"set a day well before {since}, such as {format_instant(now - 2 * max_age - YEAR)[:10]}"
    return [Problem(path=("earliest",), text=text, remedy=remedy)]


def settings_problems(policy: Policy, *, interval: int, grace: int) -> list[Problem]:
    """Return which settings cannot meet the policy's limits; durations in milliseconds.

    The path is the name of the environment variable.
    """
    problems = []
    if 4 * interval > policy.margin:
        # A quarter of the margin leaves room for a failed cycle and its repetition before the limit.
        text = f"an interval of {format_duration(interval)} is too long for a margin of {_show(policy.margin)}"
        remedy = (
            f"set ENFORCER_INTERVAL to at most {format_duration(policy.margin // 4)}, or raise margin in the policy"
        )
        problems.append(Problem(path=("ENFORCER_INTERVAL",), text=text, remedy=remedy))
    limits = {"on_request": policy.on_request}
    limits |= {f"after_termination of {c.id}": c.after_termination for c in policy.categories if c.after_termination}
    name, smallest = min(limits.items(), key=lambda limit: limit[1])
    if grace + policy.margin >= smallest:
        text = (
            f"a grace of {format_duration(grace)} and a margin of {_show(policy.margin)} leave no time within "
            f"{name}, which is {_show(smallest)}"
        )
        remedy = f"set ENFORCER_GRACE below {format_duration(max(smallest - policy.margin, 0))}"
        problems.append(Problem(path=("ENFORCER_GRACE",), text=text, remedy=remedy))
    return problems


def _show(duration: int) -> str:
    return f"-{format_duration(-duration)}" if duration < 0 else format_duration(duration)


def _round_down(duration: int) -> int:
    """The largest duration up to this one that is written in few digits."""
    unit = next((unit for unit in (HOUR, MINUTE, SECOND) if duration >= 10 * unit), SECOND)
    return duration - duration % unit


def _whole_problems(policy: Policy) -> Iterator[Problem]:
    yield from _name_problems(policy.name, ("name",))
    if policy.margin <= 0:
        yield _not_positive(policy.margin, ("margin",), "1h")
    yield from _limit_problems(policy.on_request, ("on_request",), policy.margin)
    if not policy.categories:
        remedy = "add at least one category: a policy without any enforces nothing"
        yield Problem(path=("categories",), text="the policy has no category", remedy=remedy)
    for number, pattern in enumerate(policy.ignore):
        if problem := pattern_problem(pattern.text):
            yield _bad_pattern(pattern.text, problem, ("ignore", number))


def _id_problems(policy: Policy) -> Iterator[Problem]:
    seen: set[str] = set()
    for number, category in enumerate(policy.categories):
        path: Path = ("categories", number, "id")
        yield from _name_problems(category.id, path)
        if category.id == ON_REQUEST:
            text = f"{ON_REQUEST!r} is reserved for reports of deletion on request"
            yield Problem(path=path, text=text, remedy="give the category another id")
        if category.id in _JOBS:
            text = f"{category.id!r} is reserved for other work in the ledger and the log"
            yield Problem(path=path, text=text, remedy="give the category another id")
        if category.id in seen:
            text = f"{category.id!r} is already the id of an earlier category"
            yield Problem(path=path, text=text, remedy="give each category a unique id")
        seen.add(category.id)


def _name_problems(name: str, path: Path) -> Iterator[Problem]:
    if not _NAME.fullmatch(name):
        remedy = "use lower case letters, digits and -, beginning with a letter or digit, as in backend-logs"
        yield Problem(path=path, text=f"{name[:60]!r} is not a valid name", remedy=remedy)


def _clause_problems(category: Category, path: Path) -> Iterator[Problem]:
    clause = category.clause
    for key in ("document", "section", "item"):
        if not getattr(clause, key).strip():
            remedy = "state where the document makes the promise, in its own words"
            yield Problem(path=(*path, "clause", key), text="the text is empty", remedy=remedy)
    if not _is_date(clause.updated):
        text = f"{clause.updated[:60]!r} is not a date"
        remedy = "set the day of the document's last update, in the form 2022-08-11"
        yield Problem(path=(*path, "clause", "updated"), text=text, remedy=remedy)


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    # Python reads 20220811 and 2022-W32-4 as well; people and Elasticsearch need not.
    return _ISO_DATE.fullmatch(text) is not None


def _promise_problems(category: Category, path: Path, margin: int) -> Iterator[Problem]:
    limits = {"max_age": category.max_age, "after_termination": category.after_termination}
    given = {key: limit for key, limit in limits.items() if limit is not None}
    if not given and not category.never_stored:
        remedy = "set max_age, after_termination or never_stored: true"
        yield Problem(path=path, text="the category promises nothing", remedy=remedy)
    if given and category.never_stored:
        text = f"never_stored excludes {' and '.join(given)}"
        yield Problem(
            path=(*path, "never_stored"), text=text, remedy=f"remove either never_stored or {' and '.join(given)}"
        )
    for key, limit in given.items():
        yield from _limit_problems(limit, (*path, key), margin)
    yield from _rollover_problems(category, (*path, "rollover"), margin)


def _limit_problems(limit: int, path: Path, margin: int) -> Iterator[Problem]:
    if limit <= 0:
        yield _not_positive(limit, path, "14d")
    elif limit <= margin:
        text = f"{_show(limit)} is not longer than the margin of {_show(margin)}, so documents would be due at once"
        yield Problem(path=path, text=text, remedy="reduce margin, or set the limit that was promised")


def _rollover_problems(category: Category, path: Path, margin: int) -> Iterator[Problem]:
    rollover, max_age = category.rollover, category.max_age
    if rollover <= 0:
        yield _not_positive(rollover, path, "1d")
    elif max_age is not None and max_age > margin and 2 * rollover > max_age - margin:
        # An index goes whole when its oldest document is due: its youngest shall have had half of its time by then.
        most = _round_down((max_age - margin) // 2)
        text = (
            f"a rollover of {_show(rollover)} is too long for a max_age of {_show(max_age)} with a margin of "
            f"{_show(margin)}"
        )
        remedy = f"set rollover to at most {_show(most)}, or reduce margin" if most else "reduce margin"
        yield Problem(path=path, text=text, remedy=remedy)


def _not_positive(duration: int, path: Path, example: str) -> Problem:
    text = f"{_show(duration)} is not longer than zero"
    return Problem(path=path, text=text, remedy=f"set a duration such as {example}, or remove the key")


def _index_problems(category: Category, path: Path) -> Iterator[Problem]:
    if not category.indices:
        remedy = "name the category's indices, for example trtc-backend-logs-*"
        yield Problem(path=(*path, "indices"), text="the list is empty", remedy=remedy)
    for number, pattern in enumerate(category.indices):
        here = (*path, "indices", number)
        if problem := pattern_problem(pattern.text):
            yield _bad_pattern(pattern.text, problem, here)
        elif pattern.tenant and not category.subjects.application:
            text = f"{pattern.text!r} contains an application, but the category has no field for the application"
            remedy = "name that field, for example subjects: {application: sdkappid}"
            yield Problem(path=here, text=text, remedy=remedy)


def _bad_pattern(text: str, problem: str, path: Path) -> Problem:
    return Problem(path=path, text=f"{text[:60]!r} is not allowed", remedy=problem)


def _subject_problems(category: Category, path: Path) -> Iterator[Problem]:
    subjects, owns = category.subjects, category.owns
    if subjects.user and not subjects.application:
        remedy = "also name the application's field, because a user id is unique only within its application"
        yield Problem(path=(*path, "subjects"), text="user is set without application", remedy=remedy)
    if owns and (not owns.account or not owns.application or owns.user):
        remedy = "set both fields and no other, for example owns: {account: uin, application: sdkappid}"
        yield Problem(path=(*path, "owns"), text="owns needs exactly account and application", remedy=remedy)


def _field_problems(category: Category, path: Path) -> Iterator[Problem]:
    fields: list[tuple[Path, str]] = []
    if category.timestamp is not None:
        where: Path = ("timestamp",) if category.timestamp.unit is None else ("timestamp", "field")
        fields.append((where, category.timestamp.field))
    for key, place in _places(category):
        fields.append((key, next((name for name in place.fields if not _is_field(name)), place.field)))
    fields += [(("forbidden_fields", number), name) for number, name in enumerate(category.forbidden_fields)]
    for key, name in fields:
        if not _is_field(name):
            remedy = "write the full name of one field, such as client.ip, without wildcards or blanks"
            yield Problem(path=(*path, *key), text=f"{name[:60]!r} is not a valid name of a field", remedy=remedy)


def _place_problems(category: Category, path: Path) -> Iterator[Problem]:
    seen: dict[Path, set[Place]] = {}
    for key, place in _places(category):
        known = seen.setdefault(key[:2], set())
        if place in known:
            text = f"{str(place)[:60]!r} is listed twice"
            yield Problem(path=(*path, *key), text=text, remedy="list each place once")
        known.add(place)
        texts = [place.prefix, place.key.text if place.key else ""]
        if any(not c.isprintable() for text in texts for c in text):
            remedy = "write it exactly as in the documents, on one line"
            yield Problem(path=(*path, *key), text="it contains a character that is not printable", remedy=remedy)


def _places(category: Category) -> Iterator[tuple[Path, Place]]:
    """Yield each place that a category names, with where it stands: in a list, or alone."""
    for key in ("subjects", "owns"):
        for kind in ("account", "application", "user"):
            places = getattr(getattr(category, key), kind)
            for number, place in enumerate(places):
                yield ((key, kind, number) if len(places) > 1 else (key, kind)), place


def _timestamp_problems(category: Category, path: Path, margin: int) -> Iterator[Problem]:
    timestamp = category.timestamp
    if timestamp is None or timestamp.unit is None:
        return
    if (problem := unit_problem(timestamp.unit)) is not None:
        remedy = "use s, ms, us or ns, or a pattern such as yyyyMMddHHmmss, with literal letters in quotes"
        yield Problem(path=path, text=problem, remedy=remedy)
    elif category.max_age is not None and 2 * timestamp.width > margin:
        # It goes by the end of what its timestamp names, and is overdue by the beginning; the rest is for the cycles.
        text = (
            f"a value in {timestamp.unit} is only exact to {_show(timestamp.width)}, too coarse for a margin of "
            f"{_show(margin)}: deletion in time could not be proven"
        )
        remedy = f"set margin to at least {_show(2 * timestamp.width)}, or have the producer write a finer timestamp"
        yield Problem(path=path, text=text, remedy=remedy)


def _is_field(name: str) -> bool:
    bad = any(c in "*?" or c.isspace() or not c.isprintable() for c in name)
    return not bad and "" not in name.split(".")


def _ignored_problems(policy: Policy) -> Iterator[Problem]:
    """One problem for each entry of a category that `ignore` excludes as a whole: it would promise nothing."""
    ignore = [pattern for pattern in policy.ignore if not pattern_problem(pattern.text)]
    for number, category in enumerate(policy.categories):
        for entry, pattern in enumerate(category.indices):
            # A wildcard that matches the text of another one matches all that the other does.
            ignoring = next((p for p in ignore if p.matches(pattern.text) or p == pattern), None)
            if ignoring is not None:
                text = f"{pattern.text!r} of {category.id} is wholly excluded by {ignoring.text!r} under ignore"
                remedy = "remove one of the two, or restrict ignore to what no category covers"
                yield Problem(path=("categories", number, "indices", entry), text=text, remedy=remedy)


def _overlap_problems(policy: Policy) -> Iterator[Problem]:
    """One problem for each two categories that claim one index, as far as the patterns' texts tell."""
    good = [
        [(n, pattern) for n, pattern in enumerate(category.indices) if not pattern_problem(pattern.text)]
        for category in policy.categories
    ]
    for later, category in enumerate(policy.categories):
        for earlier in range(later):
            pairs = product(good[later], good[earlier])
            clash = next(((n, one, other) for (n, one), (_, other) in pairs if overlap(one, other)), None)
            if clash is not None:
                number, one, other = clash
                rival = policy.categories[earlier].id
                text = f"{one.text!r} of {category.id} and {other.text!r} of {rival} can match the same index"
                remedy = "change the patterns so that each index belongs to one category only"
                yield Problem(path=("categories", later, "indices", number), text=text, remedy=remedy)
